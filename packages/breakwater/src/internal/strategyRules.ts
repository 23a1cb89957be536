/**
 * The rules between the numbers of a strategy. Pure.
 *
 * A rule looks at the numbers that it needs and says nothing where one is not
 * known, so that it serves whole strategies and the few fields of a
 * configuration alike. Times are in the unit of `Words.time`.
 */
import type * as backoff from "./backoff.ts"
import { slowAttempts, worstCase } from "./worstCase.ts"

/** What is known of one condition under which a circuit opens. @internal */
export type Trip =
  | { readonly _tag: "Consecutive"; readonly failures: number }
  | { readonly _tag: "CountWindow"; readonly minimumCalls: number }
  | { readonly _tag: "TimeWindow"; readonly minimumCalls: number; readonly duration: number }
  | { readonly _tag: "FailuresIn"; readonly count: number; readonly duration: number }
  | {
      readonly _tag: "SlowCalls"
      readonly threshold: number
      readonly minimumCalls: number
      /** `undefined`: of calls, however long they take to come. */
      readonly duration: number | undefined
    }

/** `false`: the policy is left out. @internal */
export interface Numbers {
  readonly attempts?: number | undefined
  readonly backoff?: backoff.Settings | undefined
  readonly jitter?: backoff.Jitter | undefined
  readonly attempt?: number | undefined
  readonly total?: number | undefined
  readonly hasTimeout?: boolean | undefined
  readonly hasCircuit?: boolean | undefined
  readonly hasRetryBudget?: boolean | undefined
  readonly hasRetries?: boolean | undefined
  readonly trips?: ReadonlyArray<Trip> | undefined
  readonly openDuration?: number | undefined
  readonly probeTimeout?: number | undefined
  /** Probes at once. */
  readonly probes?: number | undefined
  /** Places of a bulkhead, and whether one may wait for them. */
  readonly places?: { readonly limit: number; readonly hasQueue: boolean } | undefined
  /** Longest waits, by the field that states them. */
  readonly waits?: ReadonlyArray<readonly [field: Field, wait: number]> | undefined
  /** Attempts that limits let pass within a time, by the name of each limit. */
  readonly allowed?: ReadonlyArray<readonly [limit: string, within: (duration: number) => number]> | undefined
}

/** @internal */
export type Field =
  | "retry"
  | "retry.maxAttempts"
  | "retry.minDelay"
  | "retry.maxDelay"
  | "retry.jitter"
  | "timeout"
  | "timeout.attempt"
  | "timeout.total"
  | "circuitBreaker"
  | "circuitBreaker.failureThreshold"
  | "circuitBreaker.halfOpenMaxCalls"
  | "circuitBreaker.openDuration"
  | "circuitBreaker.probeTimeout"
  | "circuitBreaker.tripPolicy"
  | "bulkhead.maxConcurrent"
  | "bulkhead.maxWait"
  | "admission.maxWait"
  | "quota.maxWait"
  | "retryBudget"

/** How the reader writes fields and times. @internal */
export interface Words {
  readonly name: (field: Field) => string
  readonly time: (time: number) => string
  /** The nearest value that the field accepts. */
  readonly fit: (field: Field, value: number) => number
  /** The number of calls that a window has to hold. */
  readonly minimumCalls: string
  /** The value that spreads pauses. */
  readonly jittered: string
  /** What else helps against a finding, after its suggestion. */
  readonly or: (code: string) => string
}

/** @internal */
export interface Found {
  readonly code: string
  readonly severity: "warning" | "info"
  readonly field: Field
  readonly message: string
  readonly suggestion: string
}

type Rule = (numbers: Numbers, words: Words) => ReadonlyArray<Found>

const maxAttemptsOfUse = 7
const lowestCalmThreshold = 3
/** So many attempts of many callers, each at the same times, are a storm. */
const manyWithoutJitter = 4

const found = (
  severity: Found["severity"],
  code: string,
  field: Field,
  message: string,
  suggestion: string
): ReadonlyArray<Found> => [{ code, severity, field, message, suggestion }]

const nothing: ReadonlyArray<Found> = []

const attemptExceedsTotal: Rule = ({ attempt, total }, { fit, name, time }) =>
  attempt === undefined || total === undefined || attempt <= total
    ? nothing
    : found(
        "warning",
        "attempt_exceeds_total",
        "timeout.attempt",
        `${name("timeout.attempt")} is ${time(attempt)} and ${name("timeout.total")} is ${time(total)}: the call is over before an attempt is`,
        `Set ${name("timeout.attempt")} to ${time(fit("timeout.attempt", total))} or less`
      )

const manyRetries: Rule = ({ attempts }, { name, or }) =>
  attempts === undefined || attempts <= maxAttemptsOfUse
    ? nothing
    : found(
        "warning",
        "many_retries",
        "retry.maxAttempts",
        `${name("retry.maxAttempts")} is ${attempts}: more than ${maxAttemptsOfUse} attempts load a dependency that is failing already`,
        `Set ${name("retry.maxAttempts")} to ${maxAttemptsOfUse} or less${or("many_retries")}`
      )

const unreachableAttempts: Rule = (numbers, { name, time }) => {
  const { attempts, total } = numbers
  if (attempts === undefined || total === undefined || numbers.backoff === undefined) return nothing
  const settings = { attempts, backoff: numbers.backoff, attempt: 0, total, waitOnce: 0, waitEach: 0 }
  const { calls } = worstCase(settings)
  if (calls < attempts) {
    return found(
      "warning",
      "unreachable_attempts",
      "retry.maxAttempts",
      `${name("retry.maxAttempts")} is ${attempts} and ${name("timeout.total")} is ${time(total)}: the pauses alone leave time for ${calls}`,
      `Set ${name("retry.maxAttempts")} to ${calls}, or give the call more time or shorter pauses`
    )
  }
  const { attempt } = numbers
  // More than the total is another rule's.
  if (attempt === undefined || attempt > total) return nothing
  const slow = slowAttempts({ ...settings, attempt })
  return slow >= attempts
    ? nothing
    : found(
        "info",
        "slow_attempts",
        "timeout.attempt",
        `${name("timeout.attempt")} is ${time(attempt)} and ${name("timeout.total")} is ${time(total)}: of ${attempts} attempts that each take their whole time, ${slow} can start`,
        `Shorten ${name("timeout.attempt")} if a slow attempt is to leave time for all ${attempts}`
      )
}

const minExceedsMax: Rule = ({ backoff }, { name, time }) =>
  backoff === undefined || backoff.min <= backoff.max
    ? nothing
    : found(
        "warning",
        "min_exceeds_max",
        "retry.minDelay",
        `${name("retry.minDelay")} is ${time(backoff.min)} and ${name("retry.maxDelay")} is ${time(backoff.max)}: every pause is the longest`,
        `Set ${name("retry.minDelay")} to ${time(backoff.max)} or less`
      )

const noJitter: Rule = ({ attempts, jitter }, { jittered, name }) =>
  attempts === undefined || attempts < manyWithoutJitter || jitter !== "none"
    ? nothing
    : found(
        "warning",
        "no_jitter",
        "retry.jitter",
        `Pauses have no jitter in up to ${attempts} attempts: callers that failed together return together`,
        `Set ${name("retry.jitter")} to ${jittered}`
      )

const noTimeout: Rule = ({ attempts, hasTimeout }, { name }) =>
  hasTimeout !== false
    ? nothing
    : [
        ...found(
          "warning",
          "no_timeout",
          "timeout",
          "No timeout: a call of a dependency that hangs never ends, and keeps its place",
          `Set ${name("timeout.attempt")} and ${name("timeout.total")}`
        ),
        ...(attempts === undefined || attempts < 2
          ? nothing
          : found(
              "warning",
              "unbounded_retry_after",
              "timeout.total",
              "A dependency that asks for a pause with Retry-After gets it in full: without a total timeout, however long it is",
              `Set ${name("timeout.total")}`
            ))
      ]

const noCircuit: Rule = ({ attempts, hasCircuit, hasRetryBudget }, { name }) =>
  hasCircuit !== false || hasRetryBudget === true || attempts === undefined || attempts < 2
    ? nothing
    : found(
        "warning",
        "retry_without_circuit_breaker",
        "circuitBreaker",
        `Each call of a dependency that is down becomes ${attempts}, and nothing stops them`,
        `Give the strategy a ${name("circuitBreaker")}, or leave ${name("retry")} out too`
      )

const lowThreshold: Rule = ({ trips = [] }, { name }) =>
  trips.flatMap((trip) =>
    trip._tag !== "Consecutive" || trip.failures >= lowestCalmThreshold
      ? nothing
      : found(
          "warning",
          "low_threshold",
          "circuitBreaker.failureThreshold",
          `${name("circuitBreaker.failureThreshold")} is ${trip.failures}: below ${lowestCalmThreshold} a circuit opens at the slightest fault`,
          `Set ${name("circuitBreaker.failureThreshold")} to ${lowestCalmThreshold} or more`
        )
  )

const oneCallOpens: Rule = ({ attempts, trips = [] }, { fit, minimumCalls, name }) =>
  trips.flatMap((trip) => {
    if (attempts === undefined) return nothing
    const says = (field: Field, stated: string, suggestion: string) =>
      found(
        "warning",
        "retry_gt_threshold",
        field,
        `${name("retry.maxAttempts")} is ${attempts} and ${stated}: one call alone opens the circuit`,
        suggestion
      )
    switch (trip._tag) {
      case "Consecutive": {
        const field = "circuitBreaker.failureThreshold"
        const calm = attempts + 2
        return attempts < trip.failures
          ? nothing
          : says(
              field,
              `${name(field)} is ${trip.failures}`,
              fit(field, calm) === calm
                ? `Set ${name(field)} to ${calm} or more`
                : `Set ${name("retry.maxAttempts")} to 10 or less, and ${name(field)} to 12 or more`
            )
      }
      case "CountWindow":
      case "TimeWindow":
        return attempts < trip.minimumCalls
          ? nothing
          : says(
              "circuitBreaker.tripPolicy",
              `${minimumCalls} of the window is ${trip.minimumCalls}`,
              `Set ${minimumCalls} to ${attempts + 2} or more`
            )
      case "FailuresIn":
        return attempts < trip.count
          ? nothing
          : says("circuitBreaker.tripPolicy", `count is ${trip.count}`, `Set count to ${attempts + 2} or more`)
      case "SlowCalls":
        return nothing
    }
  })

const unreachableTrips: Rule = ({ allowed = [], attempt, trips = [] }, { minimumCalls, name, time }) =>
  trips.flatMap((trip) => {
    if (trip._tag === "SlowCalls" && attempt !== undefined && trip.threshold > attempt) {
      return found(
        "warning",
        "slow_threshold_unreachable",
        "circuitBreaker.tripPolicy",
        `A call is slow from ${time(trip.threshold)} on, and ${name("timeout.attempt")} is ${time(attempt)}: no attempt lives to be slow`,
        `Set the threshold below ${name("timeout.attempt")}`
      )
    }
    const needed = neededOf(trip)
    if (needed === undefined) return nothing
    const { calls, duration } = needed
    const [least] = allowed
      .map(([limit, within]) => [Math.floor(within(duration)), limit] as const)
      .toSorted(([a], [b]) => a - b)
    if (least === undefined || least[0] >= calls) return nothing
    const [most, limit] = least
    const counted = trip._tag === "FailuresIn" ? "count" : minimumCalls
    return found(
      "warning",
      "minimum_calls_unreachable",
      "circuitBreaker.tripPolicy",
      `The ${limit} lets ${most} attempts pass in the window of ${time(duration)}, and ${counted} is ${calls}: the circuit cannot open`,
      `Set ${counted} to ${Math.max(1, most)} or less, or make the window longer`
    )
  })

/**
 * Attempts that a rate limit lets pass at once and then within a time. A call
 * passes the admission limit once, and becomes as many attempts as its strategy
 * has.
 *
 * @internal
 */
export const allowedBy = (
  slot: "admission" | "quota",
  { burst, limit, window }: { readonly limit: number; readonly window: number; readonly burst?: number | undefined },
  attempts: number
): NonNullable<Numbers["allowed"]>[number] => {
  const each = slot === "quota" ? 1 : attempts
  return [slot === "quota" ? slot : "admission limit", (time) => each * ((burst ?? limit) + (limit * time) / window)]
}

/** Calls that have to come within a time before a circuit opens. */
const neededOf = (trip: Trip): { readonly calls: number; readonly duration: number } | undefined => {
  if (trip._tag === "FailuresIn") return { calls: trip.count, duration: trip.duration }
  if (trip._tag !== "TimeWindow" && trip._tag !== "SlowCalls") return undefined
  return trip.duration === undefined ? undefined : { calls: trip.minimumCalls, duration: trip.duration }
}

const probesOverPlaces: Rule = ({ places, probes }, { name }) => {
  if (probes === undefined || places === undefined || probes <= places.limit) return nothing
  const [field, limit] = ["circuitBreaker.halfOpenMaxCalls", "bulkhead.maxConcurrent"] as const
  return found(
    "warning",
    "probes_exceed_places",
    field,
    `${name(field)} is ${probes} and ${name(limit)} is ${places.limit}: of as many probes at once ${probes - places.limit} ${places.hasQueue ? "wait in the queue while their time runs" : "are refused"}`,
    `Set ${name(field)} to ${places.limit} or less, or ${name(limit)} to ${probes} or more`
  )
}

const idleBudget: Rule = ({ hasRetries, hasRetryBudget }, { name }) =>
  hasRetryBudget !== true || hasRetries !== false
    ? nothing
    : found(
        "warning",
        "budget_without_retries",
        "retryBudget",
        `There are no retries that the ${name("retryBudget")} could limit`,
        `Leave ${name("retryBudget")} out, or set ${name("retry.maxAttempts")} to 2 or more`
      )

const shortOpen: Rule = ({ attempt, openDuration }, { name, time }) =>
  attempt === undefined || openDuration === undefined || openDuration >= attempt
    ? nothing
    : found(
        "warning",
        "open_shorter_than_attempt",
        "circuitBreaker.openDuration",
        `${name("circuitBreaker.openDuration")} is ${time(openDuration)} and ${name("timeout.attempt")} is ${time(attempt)}: the circuit probes while attempts from before still run`,
        `Set ${name("circuitBreaker.openDuration")} to ${time(attempt)} or more`
      )

const shortProbe: Rule = ({ attempt, probeTimeout, waits = [] }, { name, time }) => {
  if (attempt === undefined || probeTimeout === undefined) return nothing
  const needed = waits.reduce((sum, [field, wait]) => (field === "admission.maxWait" ? sum : sum + wait), attempt)
  return probeTimeout >= needed
    ? nothing
    : found(
        "warning",
        "probe_shorter_than_attempt",
        "circuitBreaker.probeTimeout",
        `A probe has ${time(probeTimeout)}, and an attempt may take ${time(needed)}: a slow probe counts as failed before it ends`,
        `Set ${name("circuitBreaker.probeTimeout")} to ${time(needed)} or more`
      )
}

const longWaits: Rule = ({ total, waits = [] }, { name, time }) =>
  total === undefined
    ? nothing
    : waits.flatMap(([field, wait]) =>
        wait < total
          ? nothing
          : found(
              "warning",
              "wait_exceeds_total",
              field,
              `${name(field)} is ${time(wait)} and ${name("timeout.total")} is ${time(total)}: a call may spend all its time in the queue`,
              `Set ${name(field)} below ${time(total)}`
            )
      )

/** Every rule by the name of what it finds. */
const rules = {
  attemptExceedsTotal,
  lowThreshold,
  manyRetries,
  unreachableAttempts,
  minExceedsMax,
  noJitter,
  noTimeout,
  noCircuit,
  oneCallOpens,
  unreachableTrips,
  shortOpen,
  shortProbe,
  probesOverPlaces,
  longWaits,
  idleBudget
} as const satisfies Record<string, Rule>

/** @internal */
export const check = (numbers: Numbers, words: Words): ReadonlyArray<Found> =>
  Object.values(rules).flatMap((rule) => rule(numbers, words))
