/**
 * What the admin API shows of the running operations.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type * as CircuitBreaker from "../../CircuitBreaker.ts"
import * as Errors from "../../Errors.ts"
import * as Health from "../../monitoring/Health.ts"
import { circuitsOf, isOpen, namesOf } from "../../monitoring/internal/snapshots.ts"
import type * as Operation from "../../Operation.ts"
import type * as AdminApi from "../AdminApi.ts"

/** Circuits that an error names. */
const maxNamed = 100

const instant = Option.map<number, DateTime.Utc>(DateTime.makeUnsafe)

/** @internal */
export const breakerList = (operations: ReadonlyArray<Operation.Snapshot>): AdminApi.BreakerList => {
  const circuits = circuitsOf(operations)
  return {
    circuitBreakers: Object.fromEntries(
      operations.flatMap((operation) =>
        operation.circuits.map((circuit) => [circuit.name, breakerSummary(operation, circuit)])
      )
    ),
    totalCount: circuits.length,
    healthyCount: circuits.filter(({ state }) => state === "closed").length,
    openCount: circuits.filter(isOpen).length
  }
}

const breakerSummary = (operation: Operation.Snapshot, circuit: CircuitBreaker.Snapshot): AdminApi.BreakerSummary => ({
  state: circuit.state,
  failureCount: circuit.failureCount,
  threshold: circuit.settings.failureThreshold,
  failureThreshold: circuit.settings.failureThreshold,
  recoveryTimeout: circuit.settings.openDuration,
  lastFailure: instant(circuit.lastFailureTime),
  metrics: Health.metrics({ ...operation, circuits: [circuit] })
})

/** @internal */
export const breakerDetails = (
  operation: Operation.Snapshot,
  circuit: CircuitBreaker.Snapshot,
  now: DateTime.Utc
): AdminApi.BreakerDetails => ({
  name: circuit.name,
  state: circuit.state,
  automaticState: circuit.automatic,
  wouldReject: circuit.counters.wouldReject,
  version: circuit.version,
  failureCount: circuit.failureCount,
  failureThreshold: circuit.settings.failureThreshold,
  recoveryTimeout: circuit.settings.openDuration,
  lastFailureTime: instant(circuit.lastFailureTime),
  retryAt: Option.map(circuit.retryAfter, (after) => DateTime.add(now, { milliseconds: Duration.toMillis(after) })),
  retryAfterSeconds: circuit.retryAfter,
  isolation: Option.fromUndefinedOr(overridesOf(circuit, now).find(({ mode }) => mode === "isolated")),
  overrides: overridesOf(circuit, now),
  window: circuit.window.map(({ calls, counted, policy }) => ({
    policy: policyNames[policy._tag],
    calls,
    counted,
    limit: limitOf(policy)
  })),
  metrics: Health.metrics({ ...operation, circuits: [circuit] })
})

const overridesOf = ({ overrides }: CircuitBreaker.Snapshot, now: DateTime.Utc) =>
  overrides.map(({ actor, expiresIn, mode, reason }) => ({
    mode,
    reason,
    actor: Option.fromUndefinedOr(actor),
    expiresAt: Option.map(expiresIn, (left) => DateTime.add(now, { milliseconds: Duration.toMillis(left) }))
  }))

const policyNames = {
  Consecutive: "consecutive",
  CountWindow: "count_window",
  TimeWindow: "time_window",
  FailuresIn: "failures_in",
  SlowCalls: "slow_calls"
} as const

/** Where a policy opens the circuit: a number of failures, or a share. */
const limitOf = (policy: CircuitBreaker.Figures["policy"]): number =>
  policy._tag === "Consecutive" ? policy.failures : policy._tag === "FailuresIn" ? policy.count : policy.rate

/** @internal */
export const breakerReset = (
  before: AdminApi.BreakerDetails,
  after: AdminApi.BreakerDetails,
  now: DateTime.Utc
): AdminApi.BreakerReset => ({
  message: `Circuit breaker ${after.name} was reset`,
  previousState: before.state,
  newState: after.state,
  resetTimestamp: now,
  ...after
})

/** @internal */
export const unknownBreaker = (
  name: string,
  operations: ReadonlyArray<Operation.Snapshot>,
  extra?: { readonly operation: string }
): Errors.BusinessLogicError => {
  const named = circuitsOf(operations).slice(0, maxNamed)
  return new Errors.BusinessLogicError({
    message: "Circuit breaker not found",
    context: {
      ...extra,
      reason: "not_found",
      breaker_name: name,
      available_breakers: namesOf(named),
      current_circuit_states: Object.fromEntries(named.map(({ name, state }) => [name, state.toUpperCase()]))
    }
  })
}
