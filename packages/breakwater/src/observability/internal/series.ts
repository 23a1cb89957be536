/**
 * Lists the series of an operation, and how each is read.
 */
import type * as CircuitBreaker from "../../CircuitBreaker.ts"
import type { Counters, Latency, Snapshot } from "../../Operation.ts"

type Labels = Readonly<Record<string, string>>

/** @internal */
export interface Series {
  readonly name: string
  readonly description: string
  readonly labels: Labels
}

/** Of an operation. It never falls. @internal */
export interface Counter extends Series {
  readonly read: (counters: Counters) => number
}

/** Of a circuit. It never falls. @internal */
export interface Transition extends Series {
  readonly read: (counters: CircuitBreaker.Counters) => number
}

/** @internal */
export interface Gauge extends Series {
  /** For the exporters that tell units. In braces: what is counted. */
  readonly unit: string
  /** Only for operations with a circuit. */
  readonly ofCircuits: boolean
  readonly read: (levels: Levels) => number
}

/** What goes up and down. @internal */
export interface Levels {
  readonly inFlight: number
  readonly abandoned: number
  readonly states: Readonly<Record<CircuitBreaker.State, number>>
  /** The most of all circuits. */
  readonly failures: number
}

/** The levels of several operations as of one. @internal */
export const levelsOf = (snapshots: ReadonlyArray<Snapshot>): Levels => {
  const levels = {
    inFlight: 0,
    abandoned: 0,
    states: { closed: 0, open: 0, half_open: 0, isolated: 0, disabled: 0, metrics_only: 0 },
    failures: 0
  }
  for (const { circuits, counters } of snapshots) {
    levels.inFlight += counters.inFlight
    levels.abandoned += counters.abandoned
    for (const { failureCount, state } of circuits) {
      levels.states[state]++
      if (failureCount > levels.failures) levels.failures = failureCount
    }
  }
  return levels
}

/** Checked by the compiler: a word that is missing here is an error. */
const words = <const Word extends string>(all: Record<Word, true>): ReadonlyArray<Word> =>
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

/** The worst first. */
const states = words<CircuitBreaker.State>({
  isolated: true,
  open: true,
  half_open: true,
  disabled: true,
  metrics_only: true,
  closed: true
})

const worst = (counts: Levels["states"]): CircuitBreaker.State => states.find((state) => counts[state] > 0) ?? "closed"

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

const transition = (to: CircuitBreaker.State, read: Transition["read"]): Transition => ({
  name: "breakwater_circuit_transitions_total",
  description: "Transitions of circuits",
  labels: { to },
  read
})

/** @internal */
export const transitions: ReadonlyArray<Transition> = [
  transition("open", ({ opened }) => opened),
  transition("half_open", ({ halfOpened }) => halfOpened),
  transition("closed", ({ closed }) => closed)
]

/** @internal */
export const gauges: ReadonlyArray<Gauge> = [
  {
    name: "breakwater_in_flight",
    description: "Calls that run now",
    labels: {},
    unit: "{call}",
    ofCircuits: false,
    read: ({ inFlight }) => inFlight
  },
  {
    name: "breakwater_abandoned",
    description: "Timed out attempts that are still ending",
    labels: {},
    unit: "{attempt}",
    ofCircuits: false,
    read: ({ abandoned }) => abandoned
  },
  ...states.map((state) => ({
    name: "breakwater_circuit_state",
    description: "1 for the state of the circuit, the worst of them if there are several, and 0 for the others",
    labels: { state },
    unit: "{state}",
    ofCircuits: true,
    read: ({ states }: Levels) => (worst(states) === state ? 1 : 0)
  })),
  ...states.map((state) => ({
    name: "breakwater_circuits",
    description: "Circuits by state, one for each key",
    labels: { state },
    unit: "{circuit}",
    ofCircuits: true,
    read: ({ states }: Levels) => states[state]
  })),
  {
    name: "breakwater_circuit_failures",
    description: "Failures that the circuit remembers, the most of them if there are several",
    labels: {},
    unit: "{failure}",
    ofCircuits: true,
    read: ({ failures }) => failures
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
