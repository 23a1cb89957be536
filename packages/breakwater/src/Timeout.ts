/**
 * Ends what takes too long: one attempt, or a whole call with its attempts and
 * waits.
 *
 * **Details**
 *
 * - `attempt` limits one execution. It is clipped to the deadline in force.
 * - `total` limits everything inside and sets the deadline that attempt limits,
 *   backoff and queues read (`Deadline.remaining`).
 * - The caller is released at the limit with `TimeoutExceeded`, and the effect
 *   is interrupted. Mode `detach`, the default, lets its finalizers run on
 *   while the caller goes ahead; mode `await` waits for them.
 *
 * **Gotchas**
 *
 * - `Effect.timeout` waits for finalizers. Here that is mode `await`; with
 *   `detach` an effect can still be cleaning up when a retry or a fallback
 *   starts. `onAbandoned` counts these.
 * - A caller that is interrupted from outside waits for the finalizers in both
 *   modes, as everywhere in Effect.
 * - The effect runs in a fiber of its own, started at once.
 * - A limit that passes at the very instant of the answer may go either way.
 *
 * **Example** (Limiting one attempt)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Timeout } from "breakwater"
 *
 * const program = Effect.never.pipe(
 *   Timeout.attempt("10 millis"),
 *   Effect.catchReason("ResilienceError", "TimeoutExceeded", (reason) => Effect.succeed(reason.scope))
 * )
 *
 * await Effect.runPromise(program) // => "attempt"
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Schema from "effect/Schema"
import * as Deadline from "./Deadline.ts"
import * as DeadlineQueue from "./DeadlineQueue.ts"
import * as Monotonic from "./Monotonic.ts"
import { reject, type ResilienceError, TimeoutExceeded } from "./ResilienceError.ts"
import * as Settings_ from "./Settings.ts"

const range = { minimum: "1 milli", maximum: "1 day" } as const

/**
 * What happens to an effect whose time is over: `detach` interrupts it and
 * goes ahead, `await` interrupts it and waits until it has cleaned up.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Mode = Schema.Literals(["detach", "await"])

/**
 * @category models
 * @since 0.1.0
 */
export type Mode = typeof Mode.Type

/**
 * The limits of a call.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/Timeout/Settings")({
  /** Longest time for one attempt, 1 ms to 1 day. Default 10 seconds. */
  attempt: Settings_.duration(range).pipe(Settings_.withDefault(Duration.seconds(10))),
  /** Longest time for the call with its attempts and waits, 1 ms to 1 day. Default 30 seconds. */
  total: Settings_.duration(range).pipe(Settings_.withDefault(Duration.seconds(30))),
  /** Whether the caller waits for finalizers: `detach` or `await`. Default `detach`. */
  mode: Mode.pipe(Settings_.withDefault("detach"))
}) {}

/**
 * Settings as code writes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly attempt?: Duration.Input | undefined
  readonly total?: Duration.Input | undefined
  readonly mode?: Mode | undefined
}

/**
 * Checks settings. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settings = (input: SettingsInput | Settings = {}): Settings =>
  input instanceof Settings
    ? input
    : Settings_.make(Settings, { settings: "Timeout", input, durations: ["attempt", "total"] })

/**
 * Who is told, and under which name, when a limit passes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The name in the error. Default `"timeout"`. */
  readonly operation?: string | undefined
  readonly key?: string | undefined
  /** Default `detach`. */
  readonly mode?: Mode | undefined
  /** Runs when a limit has passed, after the caller's release was decided. Must not throw. */
  readonly onTimedOut?: ((error: ResilienceError<TimeoutExceeded>, clock: Clock.Clock) => void) | undefined
  /** Runs with 1 when a released attempt goes on ending, and with −1 when it has ended. Must not throw. */
  readonly onAbandoned?: ((change: 1 | -1, clock: Clock.Clock) => void) | undefined
}

/**
 * Limits one execution of an effect, within the deadline in force.
 *
 * @category combinators
 * @since 0.1.0
 */
export const attempt: {
  (
    limit: Duration.Input,
    options?: Options
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ResilienceError<TimeoutExceeded>, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    limit: Duration.Input,
    options?: Options
  ): Effect.Effect<A, E | ResilienceError<TimeoutExceeded>, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, limit: Duration.Input, options: Options = {}) =>
    attemptMillis(self, Duration.toMillis(settings({ attempt: limit }).attempt), options)
)

/**
 * Limits an effect and sets the deadline that everything inside reads.
 *
 * @category combinators
 * @since 0.1.0
 */
export const total: {
  (
    limit: Duration.Input,
    options?: Options
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ResilienceError<TimeoutExceeded>, R>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    limit: Duration.Input,
    options?: Options
  ): Effect.Effect<A, E | ResilienceError<TimeoutExceeded>, R>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, limit: Duration.Input, options: Options = {}) =>
    withDeadlineMillis(attemptMillis(self, Infinity, options), Duration.toMillis(settings({ total: limit }).total))
)

/**
 * Sets the deadline of everything inside and leaves it to the policies inside
 * to keep it: attempt limits, backoff and queues do.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withDeadlineMillis = <A, E, R>(self: Effect.Effect<A, E, R>, limit: number): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const now = Monotonic.now(fiber.getRef(Clock.Clock))
    return Effect.provideService(self, Deadline.Current, Deadline.tighten(fiber.getRef(Deadline.Current), now, limit))
  })

/**
 * `attempt` with a checked limit in milliseconds, `Infinity` for the deadline
 * alone.
 *
 * @category combinators
 * @since 0.1.0
 */
export const attemptMillis = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  attemptLimit: number,
  options: Options
): Effect.Effect<A, E | ResilienceError<TimeoutExceeded>, R> =>
  // Everything happens inside `register`, in one step of the fiber: there is no
  // moment at which an interruption could find a started attempt unattended.
  Effect.callback<A, E | ResilienceError<TimeoutExceeded>, R>((resume) => {
    const fiber = Fiber.getCurrent()!
    const clock = fiber.getRef(Clock.Clock)
    const start = Monotonic.now(clock)
    const deadline = fiber.getRef(Deadline.Current)
    const left = deadline === undefined ? Infinity : deadline.at - start
    const isTotal = left <= attemptLimit
    const limit = isTotal && deadline !== undefined ? deadline.limit : attemptLimit
    const at = isTotal && deadline !== undefined ? deadline.at : start + attemptLimit

    const timedOut = (): ResilienceError<TimeoutExceeded> => {
      const scopeStart = isTotal && deadline !== undefined ? deadline.startedAt : start
      const error = reject(
        options.operation ?? "timeout",
        options.key,
        () =>
          new TimeoutExceeded({
            scope: isTotal ? "total" : "attempt",
            limit: Duration.millis(limit),
            elapsed: Duration.millis(Monotonic.now(clock) - scopeStart)
          })
      )
      options.onTimedOut?.(error, clock)
      return error
    }
    if (at <= start) return resume(Effect.fail(timedOut()))

    const child = Effect.runForkWith(fiber.context as Context.Context<R>)(self, {
      uninterruptible: !(fiber as { readonly interruptible?: boolean }).interruptible
    })
    const early = child.pollUnsafe()
    if (early !== undefined) return resume(early)

    let released = false
    const queue = DeadlineQueue.of(clock)
    const entry =
      limit === Infinity
        ? undefined
        : queue.add(fiber, start, limit, at, () => {
            released = true
            const failure = Effect.fail(timedOut())
            child.interruptUnsafe(fiber.id)
            const isEnding = child.pollUnsafe() === undefined
            if (!isEnding) return resume(failure)
            if (options.mode === "await") {
              child.addObserver(() => resume(failure))
              return
            }
            options.onAbandoned?.(1, clock)
            child.addObserver(() => options.onAbandoned?.(-1, clock))
            resume(failure)
          })
    child.addObserver((exit) => {
      if (released) return
      released = true
      if (entry !== undefined) queue.remove(entry)
      resume(exit)
    })
    return Effect.suspend(() => {
      released = true
      if (entry !== undefined) queue.remove(entry)
      return Fiber.interrupt(child)
    })
  })
