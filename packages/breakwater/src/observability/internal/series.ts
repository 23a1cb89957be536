/**
 * Lists the series that every operation has, and how each is read. Those of its
 * policies are in `parts`.
 */
import type { Counters, Latency, Snapshot } from "../../Operation.ts"
import type { Levels } from "./levels.ts"

type Labels = Readonly<Record<string, string>>

/** @internal */
export interface Series {
  readonly name: string
  readonly description: string
  readonly labels: Labels
}

/** What is beyond a bound. @internal */
export const rest = "(other)"

/** Each with the label `tier`. @internal */
export const tierFallbacks: Omit<Series, "labels"> = {
  name: "breakwater_tier_fallbacks_total",
  description: "Answers that came from a lower tier"
}

/** Of an operation. It never falls. @internal */
export interface Counter extends Series {
  readonly read: (counters: Counters) => number
}

/** @internal */
export interface Gauge extends Series {
  /** For the exporters that tell units. In braces: what is counted. */
  readonly unit: string
  readonly read: (levels: Levels) => number
}

/** Checked by the compiler: a word that is missing here is an error. @internal */
export const words = <const Word extends string>(all: Record<Word, true>): ReadonlyArray<Word> =>
  Object.keys(all) as Array<Word>

const outcomes = ["succeeded", "failed", "rejected", "interrupted"] as const

const kinds = words<keyof Counters["failures"]>({
  transient: true,
  rate_limited: true,
  unavailable: true,
  permanent: true,
  defect: true
})

const reasons = words<keyof Counters["rejections"]>({
  CircuitOpen: true,
  CircuitHalfOpen: true,
  CircuitIsolated: true,
  BulkheadFull: true,
  RateLimitExceeded: true,
  TimeoutExceeded: true
})

const counter = (name: string, description: string, read: Counter["read"], labels: Labels = {}): Counter => ({
  name,
  description,
  labels,
  read
})

/** @internal */
export const counters: ReadonlyArray<Counter> = [
  ...outcomes.map((outcome) =>
    counter("breakwater_calls_total", "Calls that have ended", (counters) => counters[outcome], { outcome })
  ),
  ...kinds.map((kind) =>
    counter(
      "breakwater_failures_total",
      "Calls that ended with an error of the guarded effect",
      ({ failures }) => failures[kind] ?? 0,
      { kind }
    )
  ),
  ...reasons.map((reason) =>
    counter(
      "breakwater_rejections_total",
      "Calls that were refused or cut short",
      ({ rejections }) => rejections[reason] ?? 0,
      { reason }
    )
  ),
  counter("breakwater_attempts_total", "Executions of the guarded effect", ({ attempts }) => attempts),
  counter("breakwater_retries_total", "Attempts after the first of their call", ({ retries }) => retries),
  counter(
    "breakwater_retries_exhausted_total",
    "Calls given up although their error could be retried",
    ({ exhausted }) => exhausted
  ),
  counter(
    "breakwater_fallbacks_total",
    "Calls whose caller got the answer of the fallback",
    ({ fallbacks }) => fallbacks
  ),
  counter("breakwater_timeouts_total", "Attempts whose limit has passed", ({ timeouts }) => timeouts)
]

/** @internal */
export const gauges: ReadonlyArray<Gauge> = [
  {
    name: "breakwater_in_flight",
    description: "Calls that run now",
    labels: {},
    unit: "{call}",
    read: ({ inFlight }) => inFlight
  },
  {
    name: "breakwater_abandoned",
    description: "Timed out attempts that are still ending",
    labels: {},
    unit: "{attempt}",
    read: ({ abandoned }) => abandoned
  }
]

/** Durations, as quantiles of the latest half to whole minute with a sum and a count of all. @internal */
export interface Durations {
  readonly name: string
  readonly description: string
  readonly total: (snapshot: Snapshot) => Latency
  readonly recent: (snapshot: Snapshot) => Latency
}

/** @internal */
export const durations: ReadonlyArray<Durations> = [
  {
    name: "breakwater_call_duration_seconds",
    description: "Time of calls with all their attempts and pauses, without those interrupted",
    total: ({ callLatency }) => callLatency,
    recent: ({ recent }) => recent.callLatency
  },
  {
    name: "breakwater_attempt_duration_seconds",
    description: "Time of attempts",
    total: ({ attemptLatency }) => attemptLatency,
    recent: ({ recent }) => recent.attemptLatency
  }
]

/** 1 is the longest. @internal */
export const quantiles = [0.5, 0.9, 0.95, 0.99, 1] as const

const quantileNames = ["p50", "p90", "p95", "p99", "max"] as const

/** In seconds. Of several operations an upper bound: the highest of theirs. @internal */
export const quantilesOf = (
  { recent }: Durations,
  snapshots: ReadonlyArray<Snapshot>
): ReadonlyArray<readonly [quantile: number, seconds: number | undefined]> => {
  const used = snapshots.map(recent).filter(({ count }) => count > 0)
  return quantiles.map((quantile, index) => [
    quantile,
    used.length === 0
      ? undefined
      : used.reduce((highest, latency) => Math.max(highest, latency[quantileNames[index]!]), 0) / 1000
  ])
}
