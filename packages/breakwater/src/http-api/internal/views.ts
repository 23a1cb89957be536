/**
 * What the admin API shows of the running operations.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Option from "effect/Option"
import type * as CircuitBreaker from "../../CircuitBreaker.ts"
import * as Errors from "../../Errors.ts"
import type * as Operation from "../../Operation.ts"
import type * as AdminApi from "../AdminApi.ts"

/** Circuits that an error names. */
const maxNamed = 100

const instant = Option.map<number, DateTime.Utc>(DateTime.makeUnsafe)

const percent = (part: number, whole: number): number => (whole === 0 ? 0 : Math.round((part / whole) * 10_000) / 100)

/** Calls are those of the operation, transitions those of the circuits. @internal */
const metrics = (
  operation: Operation.Snapshot,
  circuits: ReadonlyArray<CircuitBreaker.Snapshot> = operation.circuits
): AdminApi.Metrics => {
  const { calls, failed, rejected, retries, succeeded } = operation.counters
  const sum = (of: (counters: CircuitBreaker.Counters) => number): number =>
    circuits.reduce((total, circuit) => total + of(circuit.counters), 0)
  return {
    totalCalls: calls,
    successfulCalls: succeeded,
    failedCalls: failed + rejected,
    retryAttempts: retries,
    circuitBreakerOpens: sum(({ opened }) => opened),
    circuitBreakerHalfOpens: sum(({ halfOpened }) => halfOpened),
    circuitBreakerCloses: sum(({ closed }) => closed),
    successRate: percent(succeeded, calls),
    failureRate: percent(failed + rejected, calls),
    lastFailure: instant(operation.lastFailure),
    lastSuccess: instant(operation.lastSuccess)
  }
}

const circuitsOf = (operations: ReadonlyArray<Operation.Snapshot>): ReadonlyArray<CircuitBreaker.Snapshot> =>
  operations.flatMap(({ circuits }) => circuits)

const isOpen = ({ state }: CircuitBreaker.Snapshot): boolean => state === "open" || state === "isolated"

const namesOf = (circuits: ReadonlyArray<CircuitBreaker.Snapshot>): ReadonlyArray<string> =>
  circuits.map(({ name }) => name)

/** @internal */
export const health = (operations: ReadonlyArray<Operation.Snapshot>, timestamp: DateTime.Utc): AdminApi.Health => {
  const circuits = circuitsOf(operations)
  const open = circuits.filter(isOpen)
  const healthy = open.length === 0
  return {
    healthy,
    status: healthy ? "healthy" : "degraded",
    details: {
      healthy,
      openCircuitBreakers: namesOf(open),
      halfOpenCircuitBreakers: namesOf(circuits.filter(({ state }) => state === "half_open")),
      totalCircuitBreakers: circuits.length,
      totalOperations: operations.length,
      timestamp
    }
  }
}

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
  metrics: metrics(operation, [circuit])
})

/** @internal */
export const breakerDetails = (
  operation: Operation.Snapshot,
  circuit: CircuitBreaker.Snapshot,
  now: DateTime.Utc
): AdminApi.BreakerDetails => ({
  name: circuit.name,
  state: circuit.state,
  version: circuit.version,
  failureCount: circuit.failureCount,
  failureThreshold: circuit.settings.failureThreshold,
  recoveryTimeout: circuit.settings.openDuration,
  lastFailureTime: instant(circuit.lastFailureTime),
  retryAt: Option.map(circuit.retryAfter, (after) => DateTime.add(now, { milliseconds: Duration.toMillis(after) })),
  retryAfterSeconds: circuit.retryAfter,
  isolation: Option.map(circuit.isolation, ({ actor, expiresIn, reason }) => ({
    reason,
    actor: Option.fromUndefinedOr(actor),
    expiresAt: Option.map(expiresIn, (left) => DateTime.add(now, { milliseconds: Duration.toMillis(left) }))
  })),
  metrics: metrics(operation, [circuit])
})

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

const etagOf = (version: number): string => `"${version}"`

/** @internal */
export const tagged = (
  details: AdminApi.BreakerDetails
): HttpApiSchema.withHeaders<AdminApi.BreakerDetails, { readonly etag: string }> =>
  HttpApiSchema.withHeaders({ body: details, headers: { etag: etagOf(details.version) } })

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
