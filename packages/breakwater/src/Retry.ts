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
 * - A `budget` keeps the repetitions of all callers to a share of the calls. One
 *   that it refuses leaves the error of the last attempt in place.
 * - Retries inside of retries multiply: three attempts of three make nine calls.
 *   `nested` says which of them yields, or that it is only told.
 *
 * **Gotchas**
 *
 * - `maxAttempts` counts the first attempt: 1 never repeats.
 * - An outer retry announces itself before its second attempt, because a success
 *   is to cost nothing. With `innerYields` it does so before the first.
 * - What an inner retry has exhausted is known by an annotation of the cause,
 *   which an error that is made anew on the way does not have.
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
import * as Clock from "effect/Clock"
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
import type * as Policy from "./Policy.ts"
import { isRefusal, isResilienceError } from "./ResilienceError.ts"
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
 * What happens where one retry runs inside of another: `warn`, both repeat and
 * it is told; `innerYields`, retries inside of this one do not repeat, nor does
 * this one while another around it repeats; `outerYields`, this one does not
 * repeat an error that a retry inside of it has exhausted.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Nested = /*#__PURE__*/ Schema.Literals(["warn", "innerYields", "outerYields"])

/**
 * @category models
 * @since 0.1.0
 */
export type Nested = typeof Nested.Type

/**
 * How often, and how far apart.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Settings = /*#__PURE__*/ Settings_.struct("breakwater/Retry/Settings", () => ({
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
  jitterMax: Settings_.duration({ minimum: 0, maximum: "1 hour" }).pipe(Settings_.withDefault(Duration.seconds(2))),
  /** Default `warn`. */
  nested: Nested.pipe(Settings_.withDefault("warn"))
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
  readonly maxAttempts?: number | undefined
  readonly base?: Duration.Input | undefined
  readonly factor?: number | undefined
  readonly minDelay?: Duration.Input | undefined
  readonly maxDelay?: Duration.Input | undefined
  readonly jitter?: Jitter | undefined
  readonly jitterMax?: Duration.Input | undefined
  readonly nested?: Nested | undefined
}

/**
 * Checks settings. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settings = (input: SettingsInput | Settings = {}): Settings =>
  Settings_.make<Settings, SettingsInput>(Settings, {
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
    Effect.zipWith(Errors.Rules, Clock.currentTimeMillis, (rules, now) =>
      Errors.classify(error, [...(options.rules ?? []), ...rules], { now })
    )
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

/** What an outer retry learns from the cause of an inner one that gave up. */
class GaveUp extends Context.Service<
  GaveUp,
  { readonly operation: string; readonly attempts: number; readonly because: GivenUp["because"] }
>()("breakwater/Retry/GaveUp") {}

/** A retry that is repeating around what runs now. */
interface Around {
  readonly innerYields: boolean
  readonly onRepeatedInside: (inner: string) => void
}

const Around = /*#__PURE__*/ Context.Reference<Around | undefined>("breakwater/Retry/Around", {
  defaultValue: () => undefined
})

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
  readonly onNested?: (info: NestedRetry) => void
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
  /** `budget`: others repeat enough. `nested`: left to a retry around or inside of this one. */
  readonly because: "attempts" | "deadline" | "budget" | "nested"
  readonly key: string | undefined
  readonly moment: Moment.Moment
}

/**
 * A retry inside of this one repeats, while this one repeats too.
 *
 * @category models
 * @since 0.1.0
 */
export interface NestedRetry {
  /** The operation of the inner retry. */
  readonly inner: string
  readonly key: string | undefined
  readonly moment: Moment.Moment
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly settings?: SettingsInput | Settings | undefined
  /** The name by which other retries know this one. Default `"retry"`. */
  readonly operation?: string | undefined
  readonly budget?: Policy.Budget | undefined
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
  <A, E, R>(self: Effect.Effect<A, E, R>, { settings: input, ...call }: Options = {}) => {
    const prepared = prepare(settings(input))
    return Effect.withFiber<A, E, R>((fiber) => run(self, prepared, call, Moment.of(fiber)))
  }
)

/**
 * Settings that are ready to retry with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Prepared {
  readonly nested: Nested
  /** Makes the driver of one call's schedule. Run on the first failure only. */
  readonly makeStep: Effect.Effect<
    (now: number, failed: Errors.Classification) => Pull.Pull<[unknown, Duration.Duration], never, unknown>
  >
}

/**
 * Prepares checked settings.
 *
 * @category constructors
 * @since 0.1.0
 */
export const prepare = (settings: Settings): Prepared => ({
  nested: settings.nested,
  makeStep: Schedule.toStep(scheduleOf(settings, (failed: Errors.Classification) => Effect.succeed(failed)))
})

/**
 * What one call says to the retry.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions {
  readonly operation?: string | undefined
  readonly budget?: Policy.Budget | undefined
  readonly key?: string | undefined
  readonly rules?: ReadonlyArray<Errors.Rule> | undefined
  readonly observer?: Observer | undefined
}

/**
 * Retries one run of an effect. A success costs nothing but a place on the
 * fiber's stack, and an addition with a budget that counts by window.
 *
 * `begun` is the first attempt, if it is another effect than those that repeat
 * it, and `start` the time at which it began.
 *
 * @category combinators
 * @since 0.1.0
 */
export const run = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  prepared: Prepared,
  call: CallOptions,
  moment: Moment.Moment,
  begun = self,
  start = moment.now
): Effect.Effect<A, E, R> => {
  const spending = call.budget?.spend(start)
  // What repeats is made on the first failure only, unless it announces itself to what runs inside.
  const made = prepared.nested === "innerYields" ? repeating(self, prepared, call, moment, start, spending) : undefined
  const first = made === undefined ? begun : Effect.provideService(begun, Around, made.announced())
  const orElse = (cause: Cause.Cause<E>) =>
    (made ?? repeating(self, prepared, call, moment, start, spending)).decide(cause)
  return spending === undefined ? Effect.catchCause(first, orElse) : spending.run(first, orElse)
}

const repeating = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  { makeStep, nested }: Prepared,
  { key, observer, operation = "retry", rules = [] }: CallOptions,
  moment: Moment.Moment,
  start: number,
  spending: Policy.Spending | undefined
) => {
  let attempt = 1
  let step: Effect.Success<typeof makeStep> | undefined

  const giveUp = (cause: Cause.Cause<E>, error: E, because: GivenUp["because"] | undefined) => {
    const elapsed = Duration.millis(moment.now - start)
    let annotations: Context.Context<Exhausted> = Context.make(Exhausted, { attempts: attempt, elapsed })
    if (because !== undefined) {
      observer?.onExhausted?.({ attempts: attempt, elapsed, error, because, key, moment })
      annotations = Context.add(annotations, GaveUp, { operation, attempts: attempt, because })
    }
    return Effect.failCause(Cause.annotate(cause, annotations, { overwrite: true }))
  }

  const announced = (): Around => ({
    innerYields: nested === "innerYields",
    onRepeatedInside: (inner) => observer?.onNested?.({ inner, key, moment })
  })

  /** Leaves it to another retry, or tells that both repeat. */
  const yields = (outer: Around | undefined, inner: GaveUp["Service"] | undefined): boolean => {
    if (outer !== undefined && (nested === "innerYields" || outer.innerYields)) return true
    if (inner !== undefined && hasTried(inner)) {
      if (nested === "outerYields") return true
      // From the second attempt on the inner retry tells it by itself.
      if (attempt === 1 && inner.attempts > 1) observer?.onNested?.({ inner: inner.operation, key, moment })
    }
    outer?.onRepeatedInside(operation)
    return false
  }

  const decide = (cause: Cause.Cause<E>): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => {
      const failed = errorOf(cause)
      spending?.attemptEnded(Option.isNone(failed) || !isRefusal(failed.value))
      if (Option.isNone(failed)) return Effect.failCause(cause)
      const error = failed.value
      moment.read()
      const classification = Errors.classify(error, [...rules, ...fiber.getRef(Errors.Rules)], {
        now: moment.wallMillis
      })
      observer?.onFailed?.({ attempt, error, classification, key, moment })
      // No rule repeats a rejection of ours: it says that the call is over.
      const isRejected = isResilienceError(error) && !error.isRetryable
      if (isRejected || !classification.retried) return giveUp(cause, error, undefined)
      return Effect.flatMap(step === undefined ? makeStep : Effect.succeed(step), (ready) => {
        step = ready
        return Pull.matchEffect(ready(moment.wallMillis, classification), {
          onSuccess: ([, delay]) => {
            if (Duration.toMillis(delay) >= moment.left - tolerance) return giveUp(cause, error, "deadline")
            const outer = fiber.getRef(Around)
            if (yields(outer, Option.getOrUndefined(Context.getOption(Cause.annotations(cause), GaveUp)))) {
              return giveUp(cause, error, "nested")
            }
            if (spending !== undefined && !spending.reserve(moment.now)) return giveUp(cause, error, "budget")
            observer?.onScheduled?.({ attempt: attempt + 1, delay, error, key, moment })
            return Effect.flatMap(Effect.sleep(delay), () => {
              // Waking took longer than asked for: the deadline may have passed meanwhile.
              moment.read()
              if (moment.left <= 0) return giveUp(cause, error, "deadline")
              attempt++
              spending?.attemptBegins()
              return Effect.catchCause(Effect.provideService(self, Around, announced()), decide)
            })
          },
          onFailure: Effect.failCause,
          onDone: () => giveUp(cause, error, "attempts")
        })
      })
    })

  return { announced, decide }
}

/** A pause that ends so many milliseconds before the deadline ends with it: sums with fractions are not exact. */
const tolerance = 1e-3

/** Whether a retry has done what it can, so that one more around it multiplies. */
const hasTried = ({ attempts, because }: GaveUp["Service"]): boolean =>
  because === "budget" || because === "deadline" || (because === "attempts" && attempts > 1)

/** The one error of a cause that is a failure and nothing else: no defect, no interruption. */
const errorOf = <E>(cause: Cause.Cause<E>): Option.Option<E> =>
  cause.reasons.every(Cause.isFailReason) ? Cause.findErrorOption(cause) : Option.none()
