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
import * as Context from "effect/Context"
import type * as Fiber from "effect/Fiber"
import * as Deadline from "./Deadline.ts"
import type * as Errors from "./Classification.ts"
import * as Monotonic from "./Monotonic.ts"

/**
 * An attempt of the call that failed.
 *
 * @category models
 * @since 0.1.0
 */
export interface FailedAttempt {
  readonly attempt: number
  /** The name of the error. */
  readonly error: string
  readonly kind: Errors.Kind
  /** The pause before the next attempt in milliseconds; none after the last one. */
  waited: number | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export class Moment {
  /** Who makes the call, with what is in force there. */
  declare readonly fiber: Pick<Fiber.Fiber<unknown, unknown>, "getRef">
  declare private ownDeadline: Deadline.Deadline | undefined
  declare private knownClock: Clock.Clock | undefined
  declare private reading: number | undefined
  /** Since when it waits for one. @internal */
  declare queuedAt: number | undefined
  /** When the call was first counted; `undefined` until then. */
  declare startedAt: number | undefined
  /** How long the attempt took that ended last, in milliseconds, while its operation has not recorded it. */
  declare unrecorded: number | undefined
  /** How long the call has waited for places and limits so far, in milliseconds. */
  declare queued: number
  /** What has failed in this call so far. */
  declare failedAttempts: ReadonlyArray<FailedAttempt> | undefined

  constructor(fiber: Pick<Fiber.Fiber<unknown, unknown>, "getRef">, clock?: Clock.Clock) {
    this.fiber = fiber
    this.ownDeadline = undefined
    this.knownClock = clock
    this.reading = undefined
    this.queuedAt = undefined
    this.queued = 0
    this.startedAt = undefined
    this.unrecorded = undefined
    this.failedAttempts = undefined
  }

  get clock(): Clock.Clock {
    return (this.knownClock ??= this.fiber.getRef(Clock.Clock))
  }

  /** The latest reading, in monotonic milliseconds. The first use reads the clock. */
  get now(): number {
    return this.reading ?? this.read()
  }

  /** Wall time in milliseconds since 1970: for display, and for dates that others wrote. */
  get wallMillis(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** Reads the clock again. */
  read(): number {
    return (this.reading = Monotonic.now(this.clock))
  }

  /** The deadline of the call. */
  get deadline(): Deadline.Deadline | undefined {
    return this.ownDeadline ?? this.fiber.getRef(Deadline.Current)
  }

  /** Adds a limit of so many milliseconds from now. */
  limit(millis: number): void {
    this.ownDeadline = Deadline.tighten(this.deadline, this.now, millis)
  }

  /** Milliseconds left at the latest reading, `Infinity` without a deadline. */
  get left(): number {
    const { deadline } = this
    return deadline === undefined ? Infinity : deadline.at - this.now
  }
}

/**
 * The present moment of a fiber. Reads nothing until it is asked.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (fiber: Fiber.Fiber<unknown, unknown>): Moment => new Moment(fiber)

const noFiber = { getRef: <A>(reference: Context.Reference<A>): A => Context.get(Context.empty(), reference) }

/**
 * The present moment of a call that runs in no fiber.
 *
 * @category constructors
 * @since 0.1.0
 */
export const ofClock = (clock: Clock.Clock): Moment => new Moment(noFiber, clock)

/**
 * The present moment of a fiber, with a limit in milliseconds from now.
 *
 * @category constructors
 * @since 0.1.0
 */
export const within = (fiber: Fiber.Fiber<unknown, unknown>, limit: number): Moment => {
  const moment = new Moment(fiber)
  moment.limit(limit)
  return moment
}

/**
 * The call begins to wait for its turn.
 *
 * @category commands
 * @since 0.1.0
 */
export const enqueue = (moment: Moment): void => {
  moment.queuedAt = moment.now
}

/**
 * The call waits no longer, if it did. Reads the clock again.
 *
 * @category commands
 * @since 0.1.0
 */
export const dequeue = (moment: Moment): number => {
  const now = moment.read()
  if (moment.queuedAt !== undefined) moment.queued += now - moment.queuedAt
  moment.queuedAt = undefined
  return now
}
