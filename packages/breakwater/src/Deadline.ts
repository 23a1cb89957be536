/**
 * Carries the end of the time that a call has, so that everything inside it can
 * read what is left.
 *
 * **Details**
 *
 * A total timeout sets the deadline. Attempt timeouts are clipped to it, and
 * backoff and queues refuse to wait past it. A deadline inside another one is
 * the earlier of the two.
 *
 * **Gotchas**
 *
 * The deadline is a point on the monotonic clock of the fiber that set it. It
 * means nothing to another process: send what is left.
 *
 * **Example** (Reading what is left)
 *
 * ```ts import.meta.vitest
 * import { Duration, Effect, Option } from "effect"
 * import { Deadline, Timeout } from "breakwater"
 *
 * const program = Deadline.remaining.pipe(
 *   Effect.map(Option.map((left) => Duration.toSeconds(left) <= 30)),
 *   Timeout.total("30 seconds")
 * )
 *
 * await Effect.runPromise(program) // => Option.some(true)
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Monotonic from "./Monotonic.ts"

/**
 * The end of a call's time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Deadline {
  /** When the call started, in monotonic milliseconds. */
  readonly startedAt: number
  /** The time the call has, in milliseconds. */
  readonly limit: number
  /** When the call's time is over, in monotonic milliseconds. */
  readonly at: number
}

/**
 * The deadline in force. `undefined` where no total timeout is.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = /*#__PURE__*/ Context.Reference<Deadline | undefined>("breakwater/Deadline", {
  defaultValue: () => undefined
})

/**
 * The deadline that holds after adding one `limit` milliseconds from `now`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const tighten = (outer: Deadline | undefined, now: number, limit: number): Deadline =>
  outer !== undefined && outer.at <= now + limit ? outer : { startedAt: now, limit, at: now + limit }

/**
 * Milliseconds left for the fiber, `Infinity` without a deadline. May be
 * negative.
 *
 * @category accessors
 * @since 0.1.0
 */
export const remainingUnsafe = (fiber: Fiber.Fiber<unknown, unknown>, now: number): number => {
  const deadline = fiber.getRef(Current)
  return deadline === undefined ? Infinity : deadline.at - now
}

/**
 * What is left of the call's time, never negative. `None` where no total
 * timeout is.
 *
 * @category accessors
 * @since 0.1.0
 */
export const remaining: Effect.Effect<Option.Option<Duration.Duration>> = /*#__PURE__*/ Effect.withFiber((fiber) => {
  const left = remainingUnsafe(fiber, Monotonic.now(fiber.getRef(Clock.Clock)))
  return Effect.succeed(left === Infinity ? Option.none() : Option.some(Duration.millis(Math.max(left, 0))))
})
