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
 *   starts. An observer's `onAbandoned` counts these.
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
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Schema from "effect/Schema"
import * as Attempt from "./Attempt.ts"
import * as Child from "./Child.ts"
import * as Deadline from "./Deadline.ts"
import * as DeadlineQueue from "./DeadlineQueue.ts"
import type { Entry } from "./internal/deadlineList.ts"
import * as Moment from "./Moment.ts"
import * as Monotonic from "./Monotonic.ts"
import { reject, type ResilienceError, TimeoutExceeded } from "./ResilienceError.ts"
import * as Settings_ from "./Settings.ts"
import * as Step from "./Step.ts"

const range = { minimum: "1 milli", maximum: "1 day" } as const

/**
 * What happens to an effect whose time is over: `detach` interrupts it and
 * goes ahead, `await` interrupts it and waits until it has cleaned up.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Mode = /*#__PURE__*/ Schema.Literals(["detach", "await"])

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
export const Settings = /*#__PURE__*/ Settings_.struct("breakwater/Timeout/Settings", () => ({
  /** Longest time for one attempt, 1 ms to 1 day. Default 10 seconds. */
  attempt: Settings_.duration(range).pipe(Settings_.withDefault(Duration.seconds(10))),
  /** Longest time for the call with its attempts and waits, 1 ms to 1 day. Default 30 seconds. */
  total: Settings_.duration(range).pipe(Settings_.withDefault(Duration.seconds(30))),
  /** Whether the caller waits for finalizers: `detach` or `await`. Default `detach`. */
  mode: Mode.pipe(Settings_.withDefault("detach"))
}))

/**
 * @category models
 * @since 0.1.0
 */
export type Settings = typeof Settings.Type

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
  Settings_.make<Settings, SettingsInput>(Settings, { settings: "Timeout", input, durations: ["attempt", "total"] })

/**
 * Who is told when a limit passes. Must not throw.
 *
 * @category models
 * @since 0.1.0
 */
export interface Observer {
  /** A limit has passed and the caller's release is decided. */
  readonly onTimedOut: (error: ResilienceError<TimeoutExceeded>, clock: Clock.Clock) => void
  /** 1: the caller was released and the effect is still ending. −1: it has ended. */
  readonly onAbandoned: (change: 1 | -1, key: string | undefined, clock: Clock.Clock) => void
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The name in the error. Default `"timeout"`. */
  readonly operation?: string | undefined
  readonly key?: string | undefined
  /** Default `detach`. */
  readonly mode?: Mode | undefined
  readonly observer?: Observer | undefined
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
} = /*#__PURE__*/ dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, limit: Duration.Input, options: Options = {}) =>
    run(self, Duration.toMillis(settings({ attempt: limit }).attempt), options)
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
} = /*#__PURE__*/ dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, limit: Duration.Input, options: Options = {}) => {
    const millis = Duration.toMillis(settings({ total: limit }).total)
    return Effect.withFiber<A, E | ResilienceError<TimeoutExceeded>, R>((fiber) =>
      run(self, Infinity, options, Moment.within(fiber, millis))
    )
  }
)

/**
 * What stands around the first attempt of a call, as a function: while the
 * attempt goes well, it is no frame on the fiber's stack.
 *
 * `first` is the attempt, which has failed or has yet to be made, and what is
 * returned is what the call does in its place, to its end. With `isOver` the
 * call ends here, as `first` says: with an answer, or because its caller was
 * interrupted. If whoever hears of the answer interrupts the caller, both ends
 * are told, and the first one counts.
 *
 * @category models
 * @since 0.1.0
 */
export type Around<A, E, R> = (first: Effect.Effect<A, E, R>, isOver: boolean) => Effect.Effect<A, E, R> | undefined

/**
 * Limits an effect to `attemptLimit` milliseconds and to the deadline of the
 * call. `moment` is that of the call, if it has one. `begin` is what
 * `Attempt.watch` would do around it.
 *
 * @category combinators
 * @since 0.1.0
 */
export const run = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  attemptLimit: number,
  options: Options,
  moment?: Moment.Moment,
  begin?: Attempt.Begin<A, E | ResilienceError<TimeoutExceeded>, R>,
  around?: Around<A, E | ResilienceError<TimeoutExceeded>, R>
): Effect.Effect<A, E | ResilienceError<TimeoutExceeded>, R> =>
  // Everything happens inside `register`, in one step of the fiber: there is no
  // moment at which an interruption could find a started attempt unattended.
  Effect.callback<A, E | ResilienceError<TimeoutExceeded>, R>((resume) => {
    const fiber = Fiber.getCurrent()!
    let isRegistering = true
    const goOn = (first: Effect.Effect<A, E | ResilienceError<TimeoutExceeded>, R>, isOver = false): void => {
      const next = around?.(first, isOver)
      // In the caller's own step, an interruption may take the place of all but the frames that are there.
      resume(next && isRegistering ? Step.into(next, fiber) : (next ?? first))
    }
    let begun: ReturnType<Attempt.Begin<A, E | ResilienceError<TimeoutExceeded>, R>> | undefined
    try {
      begun = begin?.()
    } catch (defect) {
      begun = Effect.die(defect)
    }
    if (begun !== undefined && !Attempt.hasBegun(begun)) return goOn(begun)
    let ended: Attempt.Ended<A, E | ResilienceError<TimeoutExceeded>> | undefined = begun
    const { clock, deadline, now } = moment ?? Moment.of(fiber)
    const tighter = Deadline.tighten(deadline, now, attemptLimit)
    const { at, limit } = tighter
    const told = (exit: Exit.Exit<A, E | ResilienceError<TimeoutExceeded>>): undefined => {
      const tell = ended
      ended = undefined
      tell?.(exit)
    }
    const finish = (exit: Exit.Exit<A, E | ResilienceError<TimeoutExceeded>>): void => {
      try {
        told(exit)
      } catch (defect) {
        return goOn(Effect.ensuring(exit, Effect.die(defect)))
      }
      goOn(exit, Exit.isSuccess(exit))
    }
    const queue = DeadlineQueue.of(clock)
    let child: Fiber.Fiber<A, E> | undefined
    let entry: Entry | undefined
    // It ends once: by answer, by limit or by interruption.
    let hasEnded = false
    const release = (): void => {
      hasEnded = true
      const { key, mode, observer, operation = "timeout" } = options
      const elapsed = Duration.millis(Monotonic.now(clock) - tighter.startedAt)
      const scope = tighter === deadline ? "total" : "attempt"
      const error = reject(operation, key, new TimeoutExceeded({ scope, limit: Duration.millis(limit), elapsed }))
      observer?.onTimedOut(error, clock)
      const exit = Exit.fail(error)
      if (child === undefined) return finish(exit)
      child.interruptUnsafe(fiber.id)
      // Told by the fiber of the caller: a timer does not know in whose context it runs.
      const failure = Effect.onExitPrimitive(exit, told)
      if (mode === "await") {
        child.addObserver(() => goOn(failure))
        return
      }
      if (observer && !child.pollUnsafe()) {
        observer.onAbandoned(1, key, clock)
        child.addObserver(() => observer.onAbandoned(-1, key, clock))
      }
      // Left behind: the rest of the call, which has this on its stack, does not wait for it when it is interrupted.
      child = undefined
      goOn(failure)
    }
    if (at <= now) return release()
    const { context } = fiber
    child = Child.start(
      self,
      fiber,
      fiber.getRef(Deadline.Current) === deadline ? context : Context.add(context, Deadline.Current, deadline)
    )
    child.addObserver((exit) => {
      if (hasEnded) return
      hasEnded = true
      queue.remove(entry)
      finish(exit)
    })
    if (hasEnded) return
    if (at < Infinity) entry = queue.add(fiber, now, limit, at, release)
    isRegistering = false
    return Effect.suspend(() => {
      hasEnded = true
      queue.remove(entry)
      return Effect.onExitPrimitive(child === undefined ? Effect.void : Fiber.interrupt(child), () => {
        const exit = Exit.interrupt(fiber.id)
        told(exit)
        around?.(exit, true)
        return undefined
      })
    })
  })
