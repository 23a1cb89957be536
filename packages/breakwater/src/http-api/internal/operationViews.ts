/**
 * What the admin API shows of operations and their numbers.
 */
import type * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import type * as CircuitBreaker from "../../CircuitBreaker.ts"
import * as Errors from "../../Errors.ts"
import * as Health from "../../monitoring/Health.ts"
import { circuitsOf, isOpen, percent, severityOf } from "../../monitoring/internal/snapshots.ts"
import type * as Operation from "../../Operation.ts"
import * as Preset from "../../Preset.ts"
import type * as CircuitsGroup from "../groups/CircuitsGroup.ts"
import type * as MetricsGroup from "../groups/MetricsGroup.ts"
import type * as OperationsGroup from "../groups/OperationsGroup.ts"
import type { RateLimitScope } from "../Shapes.ts"
import { description } from "./descriptionView.ts"
import * as limitViews from "./limitViews.ts"
import * as views from "./views.ts"

/** Names, circuits or sentences in one answer, where they are not what was asked for. */
const maxNamed = 100
/** Circuits whose reset is told. */
const maxReset = 1_000
/** Below it a success rate is an alert, once there were more than so many calls. */
const lowSuccess = { percent: 80, calls: 10 } as const

type Snapshots = ReadonlyArray<Operation.Snapshot>

/** @internal */
export const unknownOperation = (name: string, operations: Snapshots): Errors.BusinessLogicError =>
  new Errors.BusinessLogicError({
    message: "Operation not found",
    context: {
      reason: "not_found",
      operation_name: name,
      available_operations: operations.slice(0, maxNamed).map(({ name }) => name)
    }
  })

const summary = (operations: Snapshots, timestamp: DateTime.Utc): MetricsGroup.All["summary"] => {
  const circuits = circuitsOf(operations)
  return {
    totalOperations: operations.length,
    totalCircuitBreakers: circuits.length,
    healthyCircuitBreakers: circuits.filter(({ state }) => state === "closed").length,
    timestamp
  }
}

/** @internal */
export const allMetrics = (operations: Snapshots, now: DateTime.Utc): MetricsGroup.All => ({
  operations: Object.fromEntries(operations.map((operation) => [operation.name, Health.metrics(operation)])),
  circuitBreakers: views.breakerList(operations).circuitBreakers,
  summary: summary(operations, now)
})

/** @internal */
export const oneMetrics = (operation: Operation.Snapshot): MetricsGroup.One => ({
  operation: operation.name,
  metrics: Health.metrics(operation)
})

/** @internal */
export const metricsReset = (name: string | null, count: number, now: DateTime.Utc): MetricsGroup.Reset => ({
  message: name === null ? `The metrics of all ${count} operations were reset` : `The metrics of ${name} were reset`,
  operationName: name,
  operationsReset: count,
  resetTimestamp: now
})

/** @internal */
export const dashboard = (operations: Snapshots, now: DateTime.Utc): MetricsGroup.Dashboard => {
  const circuits = circuitsOf(operations)
  const open = circuits.filter(isOpen)
  const sum = (of: (counters: Operation.Counters) => number): number =>
    operations.reduce((total, { counters }) => total + of(counters), 0)
  const totalCalls = sum(({ calls }) => calls)
  const successfulCalls = sum(({ succeeded }) => succeeded)
  const successRate = percent(successfulCalls, totalCalls)
  const isLow = totalCalls > lowSuccess.calls && successRate < lowSuccess.percent
  return {
    timestamp: now,
    health: {
      overallHealthy: open.length === 0,
      openCircuitBreakers: open.length,
      halfOpenCircuitBreakers: circuits.filter(({ state }) => state === "half_open").length,
      totalCircuitBreakers: circuits.length
    },
    performance: {
      totalCalls,
      successfulCalls,
      failedCalls: sum(({ failed, rejected }) => failed + rejected),
      retryAttempts: sum(({ retries }) => retries),
      successRate
    },
    operations: operations.map(({ name }) => name),
    alerts: [
      ...open
        .slice(0, maxNamed)
        .map(({ name, state }) =>
          state === "open" ? `Circuit breaker ${name} is open` : `Circuit breaker ${name} is held open by an operator`
        ),
      ...(isLow ? [`High failure rate: ${successRate} % of ${totalCalls} calls succeeded`] : [])
    ],
    summary: summary(operations, now)
  }
}

const aliasOf: ReadonlyMap<string, string> = new Map(Array.from(Preset.aliases, ([alias, name]) => [name, alias]))

const operation = (snapshot: Operation.Snapshot, version: number): OperationsGroup.Operation => {
  const { callLatency } = snapshot.recent
  const { circuitBreaker, retry, timeout } = snapshot.settings
  const { attempts, fallbacks, inFlight, interrupted, rejected, timeouts } = snapshot.counters
  return {
    name: snapshot.name,
    alias: aliasOf.get(snapshot.name) ?? null,
    strategy: snapshot.strategy,
    source: snapshot.source,
    version,
    settings: {
      retry: retry === false ? null : retry,
      circuitBreaker:
        circuitBreaker === false
          ? null
          : {
              failureThreshold: circuitBreaker.failureThreshold,
              recoveryTimeout: circuitBreaker.openDuration,
              halfOpenMaxCalls: circuitBreaker.halfOpenMaxCalls
            },
      timeout: timeout === false ? null : timeout
    },
    metrics: Health.metrics(snapshot),
    counters: { rejected, interrupted, fallbacks, attempts, timeouts },
    inFlight,
    latencyMs: { p50: callLatency.p50, p95: callLatency.p95, p99: callLatency.p99 },
    circuitBreakers: snapshot.circuits
      .toSorted((a, b) => severityOf(b.state) - severityOf(a.state))
      .slice(0, maxNamed)
      .map(({ name, state }) => ({ name, state })),
    totalCircuitBreakers: snapshot.circuits.length
  }
}

/** @internal */
export const operationDetails = (snapshot: Operation.Snapshot, version: number): OperationsGroup.Details => {
  const shown = operation(snapshot, version)
  return {
    ...shown,
    settings: { ...shown.settings, ...limitViews.limits(snapshot.settings) },
    ...limitViews.states(snapshot),
    description: description(snapshot.strategy, snapshot.settings)
  }
}

/** @internal */
export const unknownRateLimit = (
  name: string,
  scope: typeof RateLimitScope.Type,
  { admission, quota }: Operation.Snapshot
): Errors.BusinessLogicError =>
  new Errors.BusinessLogicError({
    message: "The operation has no such rate limit",
    context: {
      reason: "not_found",
      operation_name: name,
      scope,
      available_options: [...Option.toArray(admission), ...Option.toArray(quota)].map(({ scope }) => scope)
    }
  })

/** @internal */
export const withoutBulkhead = (name: string, operations: Snapshots): Errors.BusinessLogicError =>
  new Errors.BusinessLogicError({
    message: "The operation has no bulkhead",
    context: {
      reason: "not_found",
      operation_name: name,
      available_operations: operations
        .filter(({ bulkheads }) => bulkheads.length > 0)
        .slice(0, maxNamed)
        .map(({ name }) => name)
    }
  })

/** @internal */
export const bulkheadResized = (
  after: Operation.Snapshot,
  { from, to, version }: { readonly from: number; readonly to: number; readonly version: number }
): OperationsGroup.Resized => {
  const { bulkheads, totalBulkheads } = limitViews.states(after)
  const { bulkhead } = after.settings
  const configured = bulkhead === false ? null : bulkhead.maxConcurrent
  const isOff = configured !== null && configured !== to
  return {
    message:
      `At most ${to} attempts of ${after.name} run at once, where it was ${from}` +
      (isOff ? `. Its strategy says ${configured}, and a change of the configuration may put that back` : ""),
    operation: after.name,
    previousLimit: from,
    limit: to,
    configuredLimit: configured,
    bulkheads,
    totalBulkheads,
    version
  }
}

/** @internal */
export const operationList = (operations: Snapshots, version: number): OperationsGroup.List => ({
  operations: operations.map((each) => operation(each, version)),
  totalCount: operations.length,
  version
})

/** All circuits in a word or two. @internal */
export const circuitsState = (circuits: ReadonlyArray<CircuitBreaker.Snapshot>) => ({
  circuits,
  state: `${circuits.filter(({ state }) => state === "closed").length} of ${circuits.length} closed`,
  version: circuits.reduce((sum, { version }) => sum + version, 0)
})

/** @internal */
export const allReset = (
  before: ReadonlyArray<CircuitBreaker.Snapshot>,
  after: ReadonlyArray<CircuitBreaker.Snapshot>,
  now: DateTime.Utc
): CircuitsGroup.AllReset => {
  const states = new Map(after.map(({ name, state }) => [name, state]))
  const changed = before.filter(({ state }) => state !== "closed")
  return {
    message: `${changed.length} of ${before.length} circuit breakers were reset`,
    totalCount: before.length,
    resetCount: changed.length,
    circuitBreakers: Object.fromEntries(
      changed
        .slice(0, maxReset)
        .map(({ name, state }) => [name, { previousState: state, newState: states.get(name) ?? "closed" }])
    ),
    resetTimestamp: now
  }
}
