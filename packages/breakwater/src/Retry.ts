/**
 * Tries a failed call again, after a pause that grows.
 *
 * **Details**
 *
 * - `schedule` turns settings into a `Schedule`, for `Effect.retry` and for
 *   whatever else takes one.
 * - `retry` drives that schedule and adds what a schedule cannot know: it never
 *   repeats our own rejections (a timed out attempt excepted), defects,
 *   interruptions and permanent errors, and it fails at once with the last
 *   error when the pause would pass the deadline.
 * - The pause after the n-th attempt is `base × factor^(n−1)`, raised to
 *   `minDelay` and cut to `maxDelay`, before and after jitter. A `retryAfter`
 *   of the error is honoured in full, with the jitter above it.
 * - The last error comes back as itself. Attempts and elapsed time are an
 *   annotation of its cause, read with `exhausted`.
 *
 * **Gotchas**
 *
 * `maxAttempts` counts the first attempt: 1 never repeats.
 *
 * **Example** (Three attempts)
 *
 * ```ts import.meta.vitest
 * import { Effect, Ref } from "effect"
 * import { Retry } from "breakwater"
 *
 * const program = Effect.gen(function*() {
 *   const attempts = yield* Ref.make(0)
 *   yield* Ref.update(attempts, (n) => n + 1).pipe(
 *     Effect.andThen(Effect.fail("down")),
 *     Retry.retry({ settings: { maxAttempts: 3, base: "1 milli", minDelay: "0 millis", jitter: "none" } }),
 *     Effect.ignore
 *   )
 *   return yield* Ref.get(attempts)
 * })
 *
 * await Effect.runPromise(program) // => 3
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Option from "effect/Option"
import * as Pull from "effect/Pull"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Errors from "./Classification.ts"
import * as backoff from "./internal/backoff.ts"
import * as Moment from "./Moment.ts"
import { isResilienceError } from "./ResilienceError.ts"
import * as Settings_ from "./Settings.ts"

/**
 * How pauses are spread, so that callers that failed together do not return
 * together: `none`; `full`, from 0 to the pause; `equal`, from half of it;
 * `decorrelated`, from the first pause to three times the one before;
 * `additive`, up to `jitterMax` on top.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Jitter = /*#__PURE__*/ Schema.Literals(["none", "full", "equal", "decorrelated", "additive"])

/**
 * @category models
 * @since 0.1.0
 */
export type Jitter = typeof Jitter.Type

/**
 * How often, and how far apart.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/Retry/Settings")({
  /** Attempts in all, the first one included, 1 to 20. Default 3. */
  maxAttempts: Settings_.count({ minimum: 1, maximum: 20 }).pipe(Settings_.withDefault(3)),
  /** First pause before it is raised to `minDelay`, 1 ms to 1 hour. Default 200 millis. */
  base: Settings_.duration({ minimum: "1 milli", maximum: "1 hour" }).pipe(Settings_.withDefault(Duration.millis(200))),
  /** Growth from one pause to the next, 1 to 10. Default 2. */
  factor: Settings_.number({ minimum: 1, maximum: 10 }).pipe(Settings_.withDefault(2)),
  /** Shortest pause before jitter, 0 to 1 hour. Default 0. */
  minDelay: Settings_.duration({ minimum: 0, maximum: "1 hour" }).pipe(Settings_.withDefault(Duration.zero)),
  /** Longest pause, jitter included, 1 ms to 1 hour. Default 20 seconds. */
  maxDelay: Settings_.duration({ minimum: "1 milli", maximum: "1 hour" }).pipe(
    Settings_.withDefault(Duration.seconds(20))
  ),
  /** Default `full`. */
  jitter: Jitter.pipe(Settings_.withDefault("full")),
  /** Most that jitter adds with `additive`, and above a Retry-After with any kind, 0 to 1 hour. Default 2 seconds. */
  jitterMax: Settings_.duration({ minimum: 0, maximum: "1 hour" }).pipe(Settings_.withDefault(Duration.seconds(2)))
}) {}

/**
 * Settings as code writes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly maxAttempts?: number | undefined
  readonly base?: Duration.Input | undefined
  readonly factor?: number | undefined
  readonly minDelay?: Duration.Input | undefined
  readonly maxDelay?: Duration.Input | undefined
  readonly jitter?: Jitter | undefined
  readonly jitterMax?: Duration.Input | undefined
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
    : Settings_.make(Settings, {
        settings: "Retry",
        input,
        durations: ["base", "minDelay", "maxDelay", "jitterMax"]
      })

const toMachine = (settings: Settings): backoff.Settings => ({
  base: Duration.toMillis(settings.base),
  factor: settings.factor,
  min: Duration.toMillis(settings.minDelay),
  max: Duration.toMillis(settings.maxDelay),
  jitter: settings.jitter,
  jitterMax: Duration.toMillis(settings.jitterMax)
})

/**
 * The settings as a `Schedule` over the errors of the attempts. Its output is
 * the pause. It ends after `maxAttempts − 1` recurrences.
 *
 * @category constructors
 * @since 0.1.0
 */
export const schedule = (
  input: SettingsInput | Settings = {},
  options: { readonly rules?: ReadonlyArray<Errors.Rule> | undefined } = {}
): Schedule.Schedule<Duration.Duration> =>
  scheduleOf(settings(input), (error: unknown) =>
    Effect.map(Errors.Rules, (rules) => Errors.classify(error, [...(options.rules ?? []), ...rules]))
  )

const scheduleOf = <Input>(
  settings: Settings,
  classify: (input: Input) => Effect.Effect<Errors.Classification>
): Schedule.Schedule<Duration.Duration, Input> => {
  const machine = toMachine(settings)
  return Schedule.fromStepWithMetadata(
    Effect.sync(() => {
      let previous = 0
      return ({ attempt, input }: Schedule.InputMetadata<Input>) =>
        attempt >= settings.maxAttempts
          ? Cause.done(Duration.millis(previous))
          : Effect.zipWith(
              Random.next,
              classify(input),
              (random, { retryAfter }): [Duration.Duration, Duration.Duration] => {
                previous = backoff.next(machine, {
                  attempt,
                  previous,
                  random,
                  retryAfter: retryAfter === undefined ? undefined : Duration.toMillis(retryAfter)
                })
                const delay = Duration.millis(previous)
                return [delay, delay]
              }
            )
    })
  )
}

/**
 * What is known about a call that was given up: how many attempts it had and
 * how long they took with their pauses.
 *
 * @category models
 * @since 0.1.0
 */
export class Exhausted extends Context.Service<
  Exhausted,
  {
    readonly attempts: number
    readonly elapsed: Duration.Duration
  }
>()("breakwater/Retry/Exhausted") {}

/**
 * Reads how often and how long a failed call was tried. `None` for a cause
 * that did not come out of `retry`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const exhausted = <E>(cause: Cause.Cause<E>): Option.Option<Exhausted["Service"]> =>
  Context.getOption(Cause.annotations(cause), Exhausted)

/**
 * What `retry` tells while it works. Must not throw.
 *
 * @category models
 * @since 0.1.0
 */
export interface Observer {
  readonly onFailed?: (info: Failed) => void
  readonly onScheduled?: (info: Scheduled) => void
  readonly onExhausted?: (info: GivenUp) => void
}

/**
 * An attempt that failed.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failed {
  readonly attempt: number
  readonly error: unknown
  readonly classification: Errors.Classification
  readonly key: string | undefined
  readonly clock: Clock.Clock
  readonly moment: Moment.Moment
}

/**
 * An attempt that will follow.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scheduled {
  readonly attempt: number
  readonly delay: Duration.Duration
  readonly error: unknown
  readonly key: string | undefined
  readonly clock: Clock.Clock
  readonly moment: Moment.Moment
}

/**
 * A call that fails although its error could be retried.
 *
 * @category models
 * @since 0.1.0
 */
export interface GivenUp {
  readonly attempts: number
  readonly elapsed: Duration.Duration
  readonly error: unknown
  readonly because: "attempts" | "deadline"
  readonly key: string | undefined
  readonly clock: Clock.Clock
  readonly moment: Moment.Moment
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly settings?: SettingsInput | Settings | undefined
  /** Rules asked before the built-in classification. */
  readonly rules?: ReadonlyArray<Errors.Rule> | undefined
  readonly observer?: Observer | undefined
}

/**
 * Repeats an effect that failed with an error worth repeating.
 *
 * @category combinators
 * @since 0.1.0
 */
export const retry: {
  (options?: Options): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, options?: Options): Effect.Effect<A, E, R>
} = /*#__PURE__*/ dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(self: Effect.Effect<A, E, R>, { observer, rules, settings }: Options = {}) => {
    const prepared = prepare(settings)
    return Effect.withFiber<A, E, R>((fiber) => run(self, prepared, { observer, rules }, Moment.of(fiber)))
  }
)

/**
 * Settings that are ready to retry with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Prepared {
  /** Makes the driver of one call's schedule. Run on the first failure only. */
  readonly makeStep: Effect.Effect<
    (now: number, failed: Errors.Classification) => Pull.Pull<[unknown, Duration.Duration], never, unknown>
  >
}

/**
 * Checks settings and prepares them. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const prepare = (input: SettingsInput | Settings = {}): Prepared => ({
  makeStep: Schedule.toStep(scheduleOf(settings(input), (failed: Errors.Classification) => Effect.succeed(failed)))
})

/**
 * What one call says to the retry.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions {
  readonly key?: string | undefined
  readonly rules?: ReadonlyArray<Errors.Rule> | undefined
  readonly observer?: Observer | undefined
}

/**
 * Retries one run of an effect. A success costs nothing but a place on the
 * fiber's stack.
 *
 * @category combinators
 * @since 0.1.0
 */
export const run = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  { makeStep }: Prepared,
  { key, observer, rules = [] }: CallOptions,
  moment: Moment.Moment
): Effect.Effect<A, E, R> => {
  const { clock, now: start } = moment
  let attempt = 1
  let step: Effect.Success<typeof makeStep> | undefined

  const giveUp = (cause: Cause.Cause<E>, error: E, because: "attempts" | "deadline" | undefined) => {
    const elapsed = Duration.millis(moment.now - start)
    if (because !== undefined)
      observer?.onExhausted?.({ attempts: attempt, elapsed, error, because, key, clock, moment })
    return Effect.failCause(
      Cause.annotate(cause, Context.make(Exhausted, { attempts: attempt, elapsed }), { overwrite: true })
    )
  }

  const onFailure = (cause: Cause.Cause<E>): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => {
      const failed = errorOf(cause)
      if (Option.isNone(failed)) return Effect.failCause(cause)
      const error = failed.value
      moment.read()
      const classification = Errors.classify(error, [...rules, ...fiber.getRef(Errors.Rules)])
      observer?.onFailed?.({ attempt, error, classification, key, clock, moment })
      // No rule repeats a rejection of ours: it says that the call is over.
      const isRejected = isResilienceError(error) && !error.isRetryable
      if (isRejected || !classification.retried) return giveUp(cause, error, undefined)
      return Effect.flatMap(step === undefined ? makeStep : Effect.succeed(step), (ready) => {
        step = ready
        return Pull.matchEffect(ready(clock.currentTimeMillisUnsafe(), classification), {
          onSuccess: ([, delay]) => {
            if (Duration.toMillis(delay) >= moment.left - tolerance) return giveUp(cause, error, "deadline")
            observer?.onScheduled?.({ attempt: attempt + 1, delay, error, key, clock, moment })
            return Effect.flatMap(Effect.sleep(delay), () => {
              // Waking took longer than asked for: the deadline may have passed meanwhile.
              moment.read()
              if (moment.left <= 0) return giveUp(cause, error, "deadline")
              attempt++
              return again
            })
          },
          onFailure: Effect.failCause,
          onDone: () => giveUp(cause, error, "attempts")
        })
      })
    })

  const again: Effect.Effect<A, E, R> = Effect.catchCause(self, onFailure)
  return again
}

/** A pause that ends so many milliseconds before the deadline ends with it: sums with fractions are not exact. */
const tolerance = 1e-3

/** The one error of a cause that is a failure and nothing else: no defect, no interruption. */
const errorOf = <E>(cause: Cause.Cause<E>): Option.Option<E> =>
  cause.reasons.every(Cause.isFailReason) ? Cause.findErrorOption(cause) : Option.none()
