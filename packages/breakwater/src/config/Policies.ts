/**
 * Makes the policies that a configuration speaks of: bulkheads, rate limits,
 * retry budgets, and windows of circuits.
 *
 * **Details**
 *
 * - The field that names a policy's main number puts the policy on strategies
 *   that have none: `bulkheadMaxConcurrent`, `admissionLimit`, `quotaLimit`,
 *   `retryBudgetRatio` (only where there are retries) and
 *   `circuitBreakerFailureRate` (only where there is a circuit).
 * - A policy that is there keeps what the overlay does not state: its order,
 *   its algorithm, its dependency. A policy of another class stays as it is.
 * - `circuitBreakerFailureRate` takes the place of any other trip policy; a time
 *   window stays one, with other numbers. `circuitBreakerThreshold` without it
 *   takes over from the window.
 * - Settings with equal numbers are one object, so that a configuration that is
 *   applied again touches nothing that runs.
 *
 * **Gotchas**
 *
 * - A queue without a wait, or a wait without a queue, is no queue.
 * - A limit beyond what its algorithm can count is the most that it can: 1,000
 *   per millisecond of window with `gcra`, 100,000 with `sliding-log`.
 * - Retries of the form `in_flight` have no number per second.
 *
 * **Example** (An overlay with a bulkhead, in code)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Policies, Preset, Resilience, withOperation } from "breakwater"
 *
 * const summarize = Effect.sleep("10 millis").pipe(
 *   Effect.as("a summary"),
 *   withOperation("summarize_text", { fallback: () => Effect.succeed("busy") })
 * )
 *
 * const program = Effect.all([summarize, summarize], { concurrency: "unbounded" }).pipe(
 *   Effect.provide(
 *     Resilience.layer(Preset.simple, { overlay: { bulkheadMaxConcurrent: 1 }, makers: Policies.makers })
 *   )
 * )
 *
 * await Effect.runPromise(program) // => ["a summary", "busy"]
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Bulkhead from "../Bulkhead.ts"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import type * as Preset from "../Preset.ts"
import * as RateLimiter from "../RateLimiter.ts"
import * as RetryBudget from "../RetryBudget.ts"
import type * as Strategy from "../Strategy.ts"

/** Settings by their numbers, those used last at the end. One that is forgotten costs a change to the same numbers. */
const known = new Map<string, object>()
const mostKnown = 1_000

const one = <S extends object>(kind: string, made: S): S => {
  const key = `${kind} ${JSON.stringify(made)}`
  // The kind is the class.
  const same = (known.get(key) as S | undefined) ?? made
  known.delete(key)
  known.set(key, same)
  if (known.size > mostKnown) for (const oldest of [...known.keys()].slice(0, mostKnown / 10)) known.delete(oldest)
  return same
}

/** Its fields with others over them. One that is `undefined` is not stated. */
const stating = <A extends object>(from: A, fields: { readonly [K in keyof A]?: A[K] | undefined }): A => ({
  ...from,
  ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
})

const isStated = (...fields: ReadonlyArray<unknown>): boolean => fields.some((field) => field !== undefined)

const bulkhead = (
  from: Bulkhead.Settings | false,
  { bulkheadMaxConcurrent, bulkheadMaxQueue, bulkheadMaxWait }: Preset.Overlay
): Bulkhead.Settings | false => {
  if (from !== false && !(from instanceof Bulkhead.Settings)) return from
  if (!isStated(bulkheadMaxConcurrent, ...(from ? [bulkheadMaxQueue, bulkheadMaxWait] : []))) return from
  const { maxConcurrent, maxQueue, maxWait, order, perKey } = from || Bulkhead.settings()
  const queue = bulkheadMaxQueue ?? maxQueue
  const wait = bulkheadMaxWait ?? maxWait
  const waits = queue > 0 && Duration.isPositive(wait)
  return one(
    "bulkhead",
    Bulkhead.settings({
      maxConcurrent: bulkheadMaxConcurrent ?? maxConcurrent,
      maxQueue: waits ? queue : 0,
      maxWait: waits ? wait : Duration.zero,
      order,
      perKey
    })
  )
}

const mostOf = (algorithm: RateLimiter.Algorithm, window: Duration.Duration): number =>
  algorithm === "gcra"
    ? Math.floor(1_000 * Duration.toMillis(window))
    : algorithm === "sliding-log"
      ? 100_000
      : Infinity

const rateLimit = (
  from: RateLimiter.Settings | false,
  limit: number | undefined,
  window: Duration.Duration | undefined
): RateLimiter.Settings | false => {
  if (from !== false && !(from instanceof RateLimiter.Settings)) return from
  if (!isStated(limit, ...(from ? [window] : []))) return from
  const base = from || RateLimiter.settings()
  const most = mostOf(base.algorithm, window ?? base.window)
  return one(
    "rateLimit",
    RateLimiter.settings(
      stating<RateLimiter.SettingsInput>(base, { limit: Math.min(limit ?? base.limit, most), window })
    )
  )
}

const retryBudget = (
  from: RetryBudget.Settings | false,
  { retryBudgetMinPerSecond, retryBudgetRatio }: Preset.Overlay
): RetryBudget.Settings | false => {
  if (from !== false && !(from instanceof RetryBudget.Settings)) return from
  if (!isStated(retryBudgetRatio, ...(from ? [retryBudgetMinPerSecond] : []))) return from
  return one(
    "retryBudget",
    RetryBudget.settings(
      stating<RetryBudget.SettingsInput>(from || RetryBudget.settings(), {
        ratio: retryBudgetRatio,
        minPerSecond: retryBudgetMinPerSecond
      })
    )
  )
}

type TimeWindow = NonNullable<Parameters<typeof CircuitBreaker.timeWindow>[0]>

const tripPolicy = (
  from: CircuitBreaker.TripPolicy | undefined,
  {
    circuitBreakerFailureRate: rate,
    circuitBreakerMinimumCalls: minimumCalls,
    circuitBreakerThreshold,
    circuitBreakerWindow: duration
  }: Preset.Overlay
): CircuitBreaker.TripPolicy | undefined => {
  if (rate === undefined && circuitBreakerThreshold !== undefined) return undefined
  const known = from?._tag === "TimeWindow" ? from : undefined
  if (!isStated(rate, ...(known ? [duration, minimumCalls] : []))) return undefined
  const { _tag: _, ...base } = known ?? CircuitBreaker.timeWindow()
  return CircuitBreaker.timeWindow(stating<TimeWindow>(base, { rate, duration, minimumCalls }))
}

/**
 * Makes policies, for an overlay that speaks of them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makers: Preset.Makers = {
  started: ({ admission, bulkhead: places, quota, retry, retryBudget: budget }, over) => ({
    admission: rateLimit(admission, over.admissionLimit, over.admissionWindow),
    bulkhead: bulkhead(places, over),
    quota: rateLimit(quota, over.quotaLimit, over.quotaWindow),
    retryBudget: retry ? retryBudget(budget, over) : budget
  }),
  tripPolicy: (from, over) => tripPolicy(from.tripPolicy, over)
}

/**
 * The numbers of the policies of a strategy, as the fields of an overlay that
 * would state them. Policies that are not there, and those of other classes,
 * have none.
 *
 * @category accessors
 * @since 0.1.0
 */
export const numbersOf = ({ admission, bulkhead, circuitBreaker, quota, retryBudget }: Strategy.Settings): Numbers => {
  const tripPolicy = circuitBreaker ? circuitBreaker.tripPolicy : undefined
  return {
    ...(tripPolicy?._tag === "TimeWindow" && {
      circuitBreakerFailureRate: tripPolicy.rate,
      circuitBreakerWindow: tripPolicy.duration,
      circuitBreakerMinimumCalls: tripPolicy.minimumCalls ?? 10
    }),
    ...(bulkhead instanceof Bulkhead.Settings && {
      bulkheadMaxConcurrent: bulkhead.maxConcurrent,
      bulkheadMaxQueue: bulkhead.maxQueue,
      bulkheadMaxWait: bulkhead.maxWait
    }),
    ...(admission instanceof RateLimiter.Settings && {
      admissionLimit: admission.limit,
      admissionWindow: admission.window
    }),
    ...(quota instanceof RateLimiter.Settings && { quotaLimit: quota.limit, quotaWindow: quota.window }),
    ...(retryBudget instanceof RetryBudget.Settings && {
      retryBudgetRatio: retryBudget.ratio,
      ...(retryBudget.form === "window" && { retryBudgetMinPerSecond: retryBudget.minPerSecond })
    })
  }
}

type Numbers = { readonly [K in keyof Preset.OverlayInput]?: number | Duration.Duration }
