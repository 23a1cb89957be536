/**
 * Says what a strategy does, from its numbers alone: the order of its policies,
 * what a call can come to at worst, how it can end, and what is doubtful.
 *
 * **Details**
 *
 * The worst case is a bound: no call takes longer or calls the dependency more
 * often. Attempts take their whole time, waits last as long as they may, and
 * jitter draws its longest, within the total timeout. Open times that grow are
 * shown by their first steps.
 *
 * | finding | says |
 * | --- | --- |
 * | `attempt_exceeds_total` | the call is over before an attempt is |
 * | `unreachable_attempts` | the pauses alone use up the total timeout |
 * | `slow_attempts` | slow attempts leave no time for all of them (a note) |
 * | `many_retries` | more than 7 attempts |
 * | `min_exceeds_max` | `minDelay` is above `maxDelay` |
 * | `no_jitter` | 4 attempts or more, at the same times for all callers |
 * | `no_timeout` | a call can hang for ever |
 * | `unbounded_retry_after` | a dependency can make a call wait as long as it likes |
 * | `retry_without_circuit_breaker` | nothing stops retries against a dependency that is down |
 * | `low_threshold` | fewer than 3 failures open the circuit |
 * | `retry_gt_threshold` | one call alone opens the circuit |
 * | `minimum_calls_unreachable` | a rate limit lets too few calls pass for the circuit to open |
 * | `slow_threshold_unreachable` | the attempt timeout comes before a call is slow |
 * | `open_shorter_than_attempt` | the circuit probes while earlier attempts still run |
 * | `probe_shorter_than_attempt` | a slow probe counts as failed before it ends |
 * | `probes_exceed_places` | the bulkhead has fewer places than the circuit has probes |
 * | `wait_exceeds_total` | a queue can use up the total timeout |
 * | `budget_without_retries` | a retry budget has nothing to limit |
 *
 * **Gotchas**
 *
 * - A dependency that asks for longer pauses with Retry-After gets them, up to
 *   the total timeout: that is `latencyWithRetryAfter`.
 * - A fallback has its own time, and so have finalizers that the caller waits
 *   for. A call that cannot be interrupted ends when it likes.
 *
 * **Example** (What is wrong with a strategy)
 *
 * ```ts import.meta.vitest
 * import { Duration } from "effect"
 * import { Description, Strategy } from "breakwater"
 *
 * const hasty = Strategy.make("hasty", {
 *   retry: { maxAttempts: 3, base: "10 seconds", jitter: "none" },
 *   timeout: { attempt: "8 seconds", total: "20 seconds" }
 * })
 *
 * const { findings, worstCase } = Description.describe(hasty)
 *
 * Duration.format(worstCase.latency) // => "20s"
 * worstCase.calls // => 2
 * findings.map(({ code, path }) => `${code} at ${path}`) // => ["unreachable_attempts at retry.maxAttempts"]
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as CircuitBreaker from "./CircuitBreaker.ts"
import type * as backoff from "./internal/backoff.ts"
import { maxOpenings } from "./internal/circuitMachine.ts"
import * as rules from "./internal/strategyRules.ts"
import { worstCase } from "./internal/worstCase.ts"
import type { Reason } from "./ResilienceError.ts"
import type * as Retry from "./Retry.ts"
import type * as Strategy from "./Strategy.ts"
import type * as Timeout from "./Timeout.ts"

/**
 * The numbers that are described. Those of a strategy are some of them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settings {
  readonly retry: Retry.Settings | false
  readonly circuitBreaker: (CircuitBreaker.Settings & { readonly tripPolicy?: TripPolicy | undefined }) | false
  readonly timeout: Timeout.Settings | false
  readonly retryBudget?: object | false | undefined
  readonly bulkhead?: Bulkhead | false | undefined
  readonly admission?: RateLimit | false | undefined
  readonly quota?: RateLimit | false | undefined
}

/**
 * What counts of a bulkhead.
 *
 * @category models
 * @since 0.1.0
 */
export interface Bulkhead {
  readonly maxConcurrent: number
  readonly maxQueue: number
  readonly maxWait: Duration.Duration
}

/**
 * What counts of a rate limit.
 *
 * @category models
 * @since 0.1.0
 */
export interface RateLimit {
  readonly limit: number
  readonly window: Duration.Duration
  readonly burst?: number | undefined
  readonly onExceeded: "fail" | "wait"
  readonly perKey?: boolean | undefined
  readonly maxWait: Duration.Duration
}

/**
 * What counts of the condition under which a circuit opens.
 *
 * @category models
 * @since 0.1.0
 */
export type TripPolicy = SingleTrip | { readonly _tag: "AnyOf"; readonly policies: ReadonlyArray<SingleTrip> }

type SingleTrip =
  | { readonly _tag: "Consecutive"; readonly failures: number }
  | {
      readonly _tag: "CountWindow"
      readonly size: number
      readonly rate: number
      readonly minimumCalls?: number | undefined
    }
  | {
      readonly _tag: "TimeWindow"
      readonly duration: Duration.Duration
      readonly rate: number
      readonly minimumCalls?: number | undefined
    }
  | { readonly _tag: "FailuresIn"; readonly count: number; readonly duration: Duration.Duration }
  | {
      readonly _tag: "SlowCalls"
      readonly threshold: Duration.Duration
      readonly rate: number
      readonly minimumCalls?: number | undefined
      /** Default 1 minute. */
      readonly window?: { readonly duration: Duration.Duration } | { readonly size: number } | undefined
    }

/**
 * The policies that a call can come by, as they are called outside of code.
 *
 * @category models
 * @since 0.1.0
 */
export type PolicyName =
  | "total_timeout"
  | "admission"
  | "retry"
  | "retry_budget"
  | "circuit_breaker"
  | "bulkhead"
  | "quota"
  | "attempt_timeout"

/**
 * One policy of a strategy, with its numbers for people.
 *
 * @category models
 * @since 0.1.0
 */
export interface Part {
  readonly policy: Exclude<PolicyName, "retry_budget">
  readonly numbers: string
}

/**
 * What one call can come to.
 *
 * @category models
 * @since 0.1.0
 */
export interface WorstCase {
  /** Time from the call to its end; infinite without a timeout. */
  readonly latency: Duration.Duration
  /** The same, if the dependency asks for longer pauses. */
  readonly latencyWithRetryAfter: Duration.Duration
  /** Calls of the dependency. */
  readonly calls: number
}

/**
 * One thing that is doubtful.
 *
 * @category models
 * @since 0.1.0
 */
export interface Finding {
  readonly code: string
  /** `info`: worth knowing, and often meant so. */
  readonly severity: "warning" | "info"
  /** The setting: `timeout.attempt`. */
  readonly path: string
  readonly message: string
  readonly suggestion: string
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Description {
  readonly strategy: string
  /** What comes earlier stands further out. */
  readonly order: ReadonlyArray<Part>
  readonly worstCase: WorstCase
  /** The reasons with which it can end a call by itself. */
  readonly reasons: ReadonlyArray<Reason["_tag"]>
  readonly findings: ReadonlyArray<Finding>
}

type Described = Pick<Strategy.Strategy, "name"> & {
  readonly settings: Settings
  readonly openTimes?: Strategy.Strategy["openTimes"]
}

/**
 * Describes a strategy.
 *
 * @category accessors
 * @since 0.1.0
 */
export const describe = (strategy: Described): Description => ({
  strategy: strategy.name,
  order: orderOf(strategy.settings, strategy.openTimes),
  worstCase: worstCaseOf(strategy.settings),
  reasons: reasonsOf(strategy.settings),
  findings: lint(strategy.settings, { hasOpenSchedule: strategy.openTimes !== undefined })
})

/**
 * The worst case of a call under these numbers.
 *
 * @category accessors
 * @since 0.1.0
 */
export const worstCaseOf = ({ admission, bulkhead, quota, retry, timeout }: Settings): WorstCase => {
  const { calls, latency, latencyWithRetryAfter } = worstCase({
    attempts: retry ? retry.maxAttempts : 1,
    backoff: retry ? backoffOf(retry) : undefined,
    attempt: timeout ? millis(timeout.attempt) : Infinity,
    total: timeout ? millis(timeout.total) : Infinity,
    waitOnce: limitWait(admission),
    waitEach: queueWait(bulkhead) + limitWait(quota)
  })
  return {
    latency: Duration.millis(latency),
    latencyWithRetryAfter: Duration.millis(latencyWithRetryAfter),
    calls
  }
}

/**
 * What is doubtful about these numbers. An open time that a schedule replaces
 * is not looked at.
 *
 * @category accessors
 * @since 0.1.0
 */
export const lint = (
  settings: Settings,
  options: { readonly hasOpenSchedule?: boolean | undefined } = {}
): ReadonlyArray<Finding> =>
  rules
    .check(numbersOf(settings, options.hasOpenSchedule === true), words)
    .map(({ field, ...finding }) => ({ ...finding, path: field }))

const millis = Duration.toMillis
const format = (duration: Duration.Duration): string => Duration.format(duration)

const words: rules.Words = {
  name: (field) => field,
  time: (time) => format(Duration.millis(time)),
  fit: (_field, value) => value,
  minimumCalls: "minimumCalls",
  jittered: "full or another kind",
  or: () => ""
}

const queueWait = (bulkhead: Settings["bulkhead"]): number =>
  bulkhead && bulkhead.maxQueue > 0 ? millis(bulkhead.maxWait) : 0

const limitWait = (limit: Settings["quota"]): number =>
  limit && limit.onExceeded === "wait" ? millis(limit.maxWait) : 0

const backoffOf = (retry: Retry.Settings): backoff.Settings => ({
  base: millis(retry.base),
  factor: retry.factor,
  min: millis(retry.minDelay),
  max: millis(retry.maxDelay),
  jitter: retry.jitter,
  jitterMax: millis(retry.jitterMax)
})

/** As the circuit has it. */
const probeMillis = ({ openDuration, probeTimeout }: CircuitBreaker.Settings): number =>
  probeTimeout === undefined ? Math.min(Math.max(millis(openDuration), 10_000), 60_000) : millis(probeTimeout)

const defaultMinimumCalls = 10

const tripOf = (trip: SingleTrip): rules.Trip => {
  switch (trip._tag) {
    case "Consecutive":
      return trip
    case "CountWindow":
      return { _tag: "CountWindow", minimumCalls: trip.minimumCalls ?? Math.min(defaultMinimumCalls, trip.size) }
    case "TimeWindow":
      return {
        _tag: "TimeWindow",
        minimumCalls: trip.minimumCalls ?? defaultMinimumCalls,
        duration: millis(trip.duration)
      }
    case "FailuresIn":
      return { _tag: "FailuresIn", count: trip.count, duration: millis(trip.duration) }
    case "SlowCalls": {
      const { window = { duration: Duration.minutes(1) } } = trip
      const size = "size" in window ? window.size : Infinity
      return {
        _tag: "SlowCalls",
        threshold: millis(trip.threshold),
        minimumCalls: trip.minimumCalls ?? Math.min(defaultMinimumCalls, size),
        duration: "size" in window ? undefined : millis(window.duration)
      }
    }
  }
}

const tripsOf = ({ failureThreshold, tripPolicy }: Exclude<Settings["circuitBreaker"], false>) => {
  const policy: TripPolicy = tripPolicy ?? { _tag: "Consecutive", failures: failureThreshold }
  return policy._tag === "AnyOf" ? policy.policies : [policy]
}

const numbersOf = (
  { admission, bulkhead, circuitBreaker, quota, retry, retryBudget, timeout }: Settings,
  hasOpenSchedule: boolean
): rules.Numbers => {
  const waits: ReadonlyArray<readonly [rules.Field, number]> = [
    ["admission.maxWait", limitWait(admission)],
    ["bulkhead.maxWait", queueWait(bulkhead)],
    ["quota.maxWait", limitWait(quota)]
  ]
  const attempts = retry ? retry.maxAttempts : 1
  return {
    attempts: retry ? retry.maxAttempts : undefined,
    backoff: retry ? backoffOf(retry) : undefined,
    jitter: retry ? retry.jitter : undefined,
    attempt: timeout ? millis(timeout.attempt) : undefined,
    total: timeout ? millis(timeout.total) : undefined,
    hasTimeout: timeout !== false,
    hasCircuit: circuitBreaker !== false,
    hasRetryBudget: retryBudget !== undefined && retryBudget !== false,
    hasRetries: attempts > 1,
    trips: circuitBreaker ? tripsOf(circuitBreaker).map(tripOf) : [],
    openDuration: circuitBreaker && !hasOpenSchedule ? millis(circuitBreaker.openDuration) : undefined,
    // Without one of its own, a probe has as long as the circuit is open.
    probeTimeout:
      circuitBreaker && !(hasOpenSchedule && circuitBreaker.probeTimeout === undefined)
        ? probeMillis(circuitBreaker)
        : undefined,
    waits: waits.filter(([, wait]) => wait > 0),
    probes: circuitBreaker ? circuitBreaker.halfOpenMaxCalls : undefined,
    places: bulkhead ? { limit: bulkhead.maxConcurrent, hasQueue: bulkhead.maxQueue > 0 } : undefined,
    allowed: [
      ...(quota ? [rules.allowedBy("quota", { ...quota, window: millis(quota.window) }, attempts)] : []),
      ...(admission ? [rules.allowedBy("admission", { ...admission, window: millis(admission.window) }, attempts)] : [])
    ]
  }
}

const reasonsOf = (settings: Settings): ReadonlyArray<Reason["_tag"]> => [
  ...(settings.circuitBreaker ? (["CircuitOpen", "CircuitHalfOpen", "CircuitIsolated"] as const) : []),
  ...(settings.bulkhead ? (["BulkheadFull"] as const) : []),
  ...(settings.admission || settings.quota ? (["RateLimitExceeded"] as const) : []),
  ...(settings.timeout ? (["TimeoutExceeded"] as const) : [])
]

/**
 * The policies under these numbers, outermost first.
 *
 * @category accessors
 * @since 0.1.0
 */
export const policiesOf = (settings: Settings): ReadonlyArray<PolicyName> =>
  stagesOf(settings, undefined).flatMap(([policy, isThere]) => (isThere ? [policy] : []))

const orderOf = (settings: Settings, openTimes: Strategy.Strategy["openTimes"]): ReadonlyArray<Part> =>
  stagesOf(settings, openTimes).flatMap(([policy, text]) =>
    policy === "retry_budget" || !text ? [] : [{ policy, numbers: text() }]
  )

/** Every policy that there can be, with a text for one that is there. */
const stagesOf = (
  { admission, bulkhead, circuitBreaker, quota, retry, retryBudget, timeout }: Settings,
  openTimes: Strategy.Strategy["openTimes"]
) =>
  [
    ["total_timeout", timeout && (() => format(timeout.total))],
    ["admission", admission && (() => limitText(admission))],
    ["retry", retry && (() => retryText(retry))],
    ["retry_budget", retry && retryBudget],
    ["circuit_breaker", circuitBreaker && (() => circuitText(circuitBreaker, openTimes))],
    ["bulkhead", bulkhead && (() => bulkheadText(bulkhead))],
    ["quota", quota && (() => limitText(quota))],
    ["attempt_timeout", timeout && (() => format(timeout.attempt))]
  ] as const

const bulkheadText = ({ maxConcurrent, maxQueue, maxWait }: Bulkhead): string =>
  `${maxConcurrent} at once, ${maxQueue > 0 ? `${maxQueue} wait up to ${format(maxWait)}` : "none waits"}`

const limitText = ({ burst, limit, maxWait, onExceeded, perKey, window }: RateLimit): string =>
  [
    `${limit} in ${format(window)}`,
    ...(perKey === undefined ? [] : [perKey ? "each key by itself" : "all keys together"]),
    ...(burst === undefined ? [] : [`${burst} at once`]),
    ...(onExceeded === "wait" ? [`waits up to ${format(maxWait)}`] : [])
  ].join(", ")

const retryText = ({ base, factor, jitter, jitterMax, maxAttempts, maxDelay, minDelay }: Retry.Settings): string => {
  if (maxAttempts === 1) return "1 attempt"
  const from = Duration.min(Duration.max(base, minDelay), maxDelay)
  const spread = jitter === "additive" ? `additive jitter up to ${format(jitterMax)}` : `${jitter} jitter`
  const growth = Duration.Equivalence(from, maxDelay)
    ? `pauses of ${format(maxDelay)}`
    : `pauses of ${format(from)} × ${factor} up to ${format(maxDelay)}`
  return `${maxAttempts} attempts, ${growth}, ${spread}`
}

const circuitText = (
  settings: Exclude<Settings["circuitBreaker"], false>,
  openTimes: Strategy.Strategy["openTimes"]
): string => {
  const { halfOpenMaxCalls, maxRetryAfter, openDuration, probeTimeout, rampUp } = settings
  const { successThreshold = halfOpenMaxCalls } = settings
  const probes =
    halfOpenMaxCalls === 1 ? "1 probe" : `${successThreshold} of ${halfOpenMaxCalls} probes have to succeed`
  return [
    `opens after ${tripsOf(settings).map(tripText).join(", or ")}`,
    `for ${openText(openTimes, openDuration)}`,
    ...(maxRetryAfter === undefined ? [] : [`up to ${format(maxRetryAfter)} if asked to`]),
    probeTimeout === undefined ? probes : `${probes} within ${format(probeTimeout)}`,
    ...(rampUp === undefined ? [] : [`all calls again ${format(rampUp)} after it closes`])
  ].join(", ")
}

const shownSteps = 4

/** The first open times, and where they lead: `1s, 2s, 4s, 8s … 1d`. */
const openText = (openTimes: Strategy.Strategy["openTimes"], openDuration: Duration.Duration): string => {
  const stepAt = (opening: number): string => format(Duration.millis(openTimes?.(opening) ?? millis(openDuration)))
  const steps = Array.from({ length: maxOpenings }, (_, index) => stepAt(index + 1))
  const last = steps.at(-1)!
  // From there on all are the same.
  const settled = steps.findLastIndex((step) => step !== last) + 1
  return settled <= shownSteps
    ? steps.slice(0, settled + 1).join(", ")
    : `${steps.slice(0, shownSteps).join(", ")} … ${last}`
}

const percent = (rate: number): string => `${Number((rate * 100).toPrecision(3))} %`

const tripText = (trip: SingleTrip): string => {
  switch (trip._tag) {
    case "Consecutive":
      return `${trip.failures} failures in a row`
    case "CountWindow":
      return `${percent(trip.rate)} failures of ${trip.size} calls`
    case "TimeWindow":
      return `${percent(trip.rate)} failures in ${format(trip.duration)}`
    case "FailuresIn":
      return `${trip.count} failures in ${format(trip.duration)}`
    case "SlowCalls":
      return `${percent(trip.rate)} calls of ${format(trip.threshold)} or more`
  }
}
