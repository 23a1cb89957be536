/**
 * One reading of the clock that the policies around a call share, with the
 * deadline of that call.
 *
 * **Details**
 *
 * Composed policies run one after another within microseconds, so they read
 * the clock once between them. Whoever waited, reads it again.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Fiber from "effect/Fiber"
import * as Deadline from "./Deadline.ts"
import * as Monotonic from "./Monotonic.ts"

/**
 * @category models
 * @since 0.1.0
 */
export class Moment {
  readonly clock: Clock.Clock
  readonly deadline: Deadline.Deadline | undefined
  private reading: number | undefined

  constructor(clock: Clock.Clock, now: number | undefined, deadline: Deadline.Deadline | undefined) {
    this.clock = clock
    this.reading = now
    this.deadline = deadline
  }

  /** The latest reading, in monotonic milliseconds. The first use reads the clock. */
  get now(): number {
    return this.reading ?? this.read()
  }

  /** Reads the clock again. */
  read(): number {
    return (this.reading = Monotonic.now(this.clock))
  }

  /** Milliseconds left at the latest reading, `Infinity` without a deadline. */
  get left(): number {
    return this.deadline === undefined ? Infinity : this.deadline.at - this.now
  }
}

/**
 * The present moment of a fiber, under the deadline in force.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (fiber: Fiber.Fiber<unknown, unknown>): Moment =>
  new Moment(fiber.getRef(Clock.Clock), undefined, fiber.getRef(Deadline.Current))

/**
 * The present moment of a fiber, under the deadline in force and a limit in
 * milliseconds from now.
 *
 * @category constructors
 * @since 0.1.0
 */
export const within = (fiber: Fiber.Fiber<unknown, unknown>, limit: number): Moment => {
  const clock = fiber.getRef(Clock.Clock)
  const now = Monotonic.now(clock)
  return new Moment(clock, now, Deadline.tighten(fiber.getRef(Deadline.Current), now, limit))
}
