/**
 * Lists the series of the policies, which only operations with that policy
 * have, and how each is read.
 */
import * as Duration from "effect/Duration"
import type * as CircuitBreaker from "../../CircuitBreaker.ts"
import type { Snapshot } from "../../Operation.ts"
import type { Levels } from "./levels.ts"
import { type Gauge, type Series, words } from "./series.ts"

/**
 * What one source has counted. The first number falls only when the source
 * counts from 0 again; the others stand in the order of the part's counters.
 */
type Counts = readonly [source: string, numbers: ReadonlyArray<number>]

/** A policy. @internal */
export interface Part {
  readonly isIn: (snapshot: Snapshot) => boolean
  readonly gauges: ReadonlyArray<Gauge>
  /** They never fall. */
  readonly counters: ReadonlyArray<Series>
  readonly countsOf: (snapshot: Snapshot) => ReadonlyArray<Counts>
}

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

const transition = (to: CircuitBreaker.State): Series => ({
  name: "breakwater_circuit_transitions_total",
  description: "Transitions of circuits",
  labels: { to }
})

const circuits: Part = {
  isIn: ({ circuits }) => circuits.length > 0,
  gauges: [
    ...states.map((state) => ({
      name: "breakwater_circuit_state",
      description: "1 for the state of the circuit, the worst of them if there are several, and 0 for the others",
      labels: { state },
      unit: "{state}",
      read: ({ states }: Levels) => (worst(states) === state ? 1 : 0)
    })),
    ...states.map((state) => ({
      name: "breakwater_circuits",
      description: "Circuits by state, one for each key",
      labels: { state },
      unit: "{circuit}",
      read: ({ states }: Levels) => states[state]
    })),
    {
      name: "breakwater_circuit_failures",
      description: "Failures that the circuit remembers, the most of them if there are several",
      labels: {},
      unit: "{failure}",
      read: ({ failures }) => failures
    }
  ],
  counters: [transition("open"), transition("half_open"), transition("closed")],
  countsOf: ({ circuits }) =>
    circuits
      // The others have counted nothing.
      .filter(({ version }) => version > 0)
      .map(({ counters: { closed, halfOpened, opened }, name, version }) => [
        name,
        [version, opened, halfOpened, closed]
      ])
}

/** Of all circuits, those too that have never moved. */
const circuitTimes: Part = {
  isIn: ({ circuits }) => circuits.length > 0,
  gauges: [],
  counters: states.map((state) => ({
    name: "breakwater_circuit_state_seconds_total",
    description: "Time that circuits have spent in a state",
    labels: { state }
  })),
  countsOf: ({ circuits }) =>
    circuits.map(({ name, timeIn }) => {
      const spent = states.map((state) => Duration.toSeconds(timeIn[state]))
      // In whole seconds: the last bits of a sum may fall without a new start.
      return [name, [Math.round(spent.reduce((sum, seconds) => sum + seconds, 0)), ...spent]]
    })
}

const bulkhead: Part = {
  isIn: ({ bulkheads }) => bulkheads.length > 0,
  gauges: [
    {
      name: "breakwater_bulkhead_active",
      description: "Attempts that hold a place of the bulkhead, over all keys",
      labels: {},
      unit: "{attempt}",
      read: ({ bulkhead: { active } }) => active
    },
    {
      name: "breakwater_bulkhead_queued",
      description: "Attempts that wait for a place of the bulkhead, over all keys",
      labels: {},
      unit: "{attempt}",
      read: ({ bulkhead: { queued } }) => queued
    },
    {
      name: "breakwater_bulkhead_limit",
      description: "Places of the bulkhead, over all keys that have one of their own",
      labels: {},
      unit: "{attempt}",
      read: ({ bulkhead: { limit } }) => limit
    }
  ],
  counters: [
    {
      name: "breakwater_bulkhead_rejected_total",
      description: "Attempts that found no place in the bulkhead, at once or after a wait",
      labels: {}
    },
    { name: "breakwater_bulkhead_waited_total", description: "Attempts that had to wait for a place", labels: {} }
  ],
  countsOf: ({ bulkheads }) =>
    bulkheads.map(({ counters: { admitted, rejected, waited }, name }) => [
      name,
      [admitted + rejected + waited, rejected, waited]
    ])
}

const rateLimit = (scope: "admission" | "quota"): Part => {
  const labels = { scope }
  return {
    isIn: (snapshot) => snapshot[scope]._tag === "Some",
    gauges: [
      {
        name: "breakwater_rate_limit_available",
        description: "Units of cost that could pass the rate limit now, the least of all keys",
        labels,
        unit: "{unit}",
        read: (levels) => levels[scope].available
      },
      {
        name: "breakwater_rate_limit_waiting",
        description: "Calls that wait for their turn at the rate limit, over all keys",
        labels,
        unit: "{call}",
        read: (levels) => levels[scope].waiting
      },
      {
        name: "breakwater_rate_limit_paused_seconds",
        description: "Time for which the rate limit still lets nothing through, the longest of all keys",
        labels,
        unit: "seconds",
        read: (levels) => levels[scope].pausedSeconds
      }
    ],
    counters: [
      { name: "breakwater_rate_limit_granted_total", description: "Calls that the rate limit let through", labels },
      { name: "breakwater_rate_limit_refused_total", description: "Calls that the rate limit refused", labels },
      { name: "breakwater_rate_limit_waited_total", description: "Calls that had to wait for their turn", labels }
    ],
    countsOf: ({ name, ...snapshot }) => {
      const limit = snapshot[scope]
      if (limit._tag === "None") return []
      const { granted, refused, waited } = limit.value.counters
      return [[name, [granted + refused + waited, granted, refused, waited]]]
    }
  }
}

const retryBudget: Part = {
  isIn: ({ retryBudget }) => retryBudget._tag === "Some",
  gauges: [
    {
      name: "breakwater_retry_budget_tokens",
      description: "Retries that the budget has left, which operations may share",
      labels: {},
      unit: "{retry}",
      read: ({ tokens }) => tokens
    }
  ],
  counters: [
    {
      name: "breakwater_retries_refused_total",
      description: "Calls of the operation given up because the budget had no retry left",
      labels: {}
    }
  ],
  countsOf: ({ counters: { calls, overBudget }, name }) => [[name, [calls, overBudget]]]
}

const coalesce: Part = {
  isIn: ({ coalesce }) => coalesce._tag === "Some",
  gauges: [
    {
      name: "breakwater_coalesce_waiting",
      description: "Callers that wait for a run, those whose own it is among them",
      labels: {},
      unit: "{call}",
      read: ({ sharing }) => sharing
    }
  ],
  counters: [
    {
      name: "breakwater_coalesced_calls_total",
      description: "Callers that followed the run of another: runs that were saved",
      labels: {}
    }
  ],
  countsOf: ({ coalesce, name }) =>
    coalesce._tag === "None" ? [] : [[name, [coalesce.value.led + coalesce.value.joined, coalesce.value.joined]]]
}

/** @internal */
export const parts: ReadonlyArray<Part> = [
  circuits,
  circuitTimes,
  bulkhead,
  rateLimit("admission"),
  rateLimit("quota"),
  retryBudget,
  coalesce
]
