/**
 * JSON of the reads that a dashboard asks for again and again, written by hand:
 * a schema takes longer to encode them than all else that a request needs.
 *
 * A test holds each of them to what its schema writes.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Option from "effect/Option"
import type * as Health from "../../monitoring/Health.ts"
import type * as MetricsGroup from "../groups/MetricsGroup.ts"
import type * as OperationsGroup from "../groups/OperationsGroup.ts"
import type * as Shapes from "../Shapes.ts"
import { etagOf } from "./version.ts"

/** @internal */
export const answer = (body: unknown): HttpServerResponse.HttpServerResponse => answerText(JSON.stringify(body))

/** @internal */
export const answerText = (text: string): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(text, { contentType: "application/json" })

/** With its version as `ETag`. @internal */
export const tagged = (body: { readonly version: number }): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(JSON.stringify(body), {
    contentType: "application/json",
    headers: { etag: etagOf(body.version) }
  })

const entriesOf = <A, B>(record: { readonly [name: string]: A }, f: (value: A) => B): { readonly [name: string]: B } =>
  Object.fromEntries(Object.entries(record).map(([name, value]) => [name, f(value)]))

const instant = (at: Option.Option<DateTime.Utc>): string | null =>
  Option.isSome(at) ? DateTime.formatIso(at.value) : null

/** @internal */
export const health = ({ details, healthy, status }: Health.Summary): typeof Health.Summary.Encoded => ({
  healthy,
  status,
  details: {
    healthy: details.healthy,
    open_circuit_breakers: details.openCircuitBreakers,
    half_open_circuit_breakers: details.halfOpenCircuitBreakers,
    total_circuit_breakers: details.totalCircuitBreakers,
    total_operations: details.totalOperations,
    timestamp: DateTime.formatIso(details.timestamp)
  }
})

const metrics = (of: Health.Metrics): typeof Health.Metrics.Encoded => ({
  total_calls: of.totalCalls,
  successful_calls: of.successfulCalls,
  failed_calls: of.failedCalls,
  retry_attempts: of.retryAttempts,
  circuit_breaker_opens: of.circuitBreakerOpens,
  circuit_breaker_half_opens: of.circuitBreakerHalfOpens,
  circuit_breaker_closes: of.circuitBreakerCloses,
  success_rate: of.successRate,
  failure_rate: of.failureRate,
  last_failure: instant(of.lastFailure),
  last_success: instant(of.lastSuccess)
})

const breakerSummary = (of: Shapes.BreakerSummary): typeof Shapes.BreakerSummary.Encoded => ({
  state: of.state,
  failure_count: of.failureCount,
  threshold: of.threshold,
  failure_threshold: of.failureThreshold,
  recovery_timeout: Duration.toSeconds(of.recoveryTimeout),
  last_failure: instant(of.lastFailure),
  metrics: metrics(of.metrics)
})

/** @internal */
export const breakerList = (of: Shapes.BreakerList): typeof Shapes.BreakerList.Encoded => ({
  circuit_breakers: entriesOf(of.circuitBreakers, breakerSummary),
  total_count: of.totalCount,
  healthy_count: of.healthyCount,
  open_count: of.openCount
})

const override = (of: Omit<Shapes.BreakerDetails["overrides"][number], "mode">) => ({
  reason: of.reason,
  actor: Option.getOrNull(of.actor),
  expires_at: instant(of.expiresAt)
})

/** @internal */
export const breakerDetails = (of: Shapes.BreakerDetails): typeof Shapes.BreakerDetails.Encoded => ({
  name: of.name,
  state: of.state,
  automatic_state: of.automaticState,
  would_reject: of.wouldReject,
  version: of.version,
  failure_count: of.failureCount,
  failure_threshold: of.failureThreshold,
  recovery_timeout: Duration.toSeconds(of.recoveryTimeout),
  last_failure_time: instant(of.lastFailureTime),
  retry_at: instant(of.retryAt),
  retry_after_seconds: Option.isSome(of.retryAfterSeconds) ? Duration.toSeconds(of.retryAfterSeconds.value) : null,
  isolation: Option.isSome(of.isolation) ? override(of.isolation.value) : null,
  overrides: of.overrides.map((each) => ({ mode: each.mode, ...override(each) })),
  window: of.window.map(({ calls, counted, limit, policy }) => ({ policy, calls, counted, limit })),
  metrics: metrics(of.metrics)
})

/** @internal */
export const operation = (of: OperationsGroup.Operation): typeof OperationsGroup.Operation.Encoded => {
  const { circuitBreaker, retry, timeout } = of.settings
  return {
    name: of.name,
    alias: of.alias,
    strategy: of.strategy,
    source: of.source,
    version: of.version,
    settings: {
      retry:
        retry === null
          ? null
          : {
              max_attempts: retry.maxAttempts,
              base: Duration.toSeconds(retry.base),
              factor: retry.factor,
              min_delay: Duration.toSeconds(retry.minDelay),
              max_delay: Duration.toSeconds(retry.maxDelay),
              jitter: retry.jitter,
              jitter_max: Duration.toSeconds(retry.jitterMax)
            },
      circuit_breaker:
        circuitBreaker === null
          ? null
          : {
              failure_threshold: circuitBreaker.failureThreshold,
              recovery_timeout: Duration.toSeconds(circuitBreaker.recoveryTimeout),
              half_open_max_calls: circuitBreaker.halfOpenMaxCalls
            },
      timeout:
        timeout === null
          ? null
          : {
              attempt: Duration.toSeconds(timeout.attempt),
              total: Duration.toSeconds(timeout.total),
              mode: timeout.mode
            }
    },
    metrics: metrics(of.metrics),
    counters: {
      rejected: of.counters.rejected,
      interrupted: of.counters.interrupted,
      fallbacks: of.counters.fallbacks,
      attempts: of.counters.attempts,
      timeouts: of.counters.timeouts
    },
    in_flight: of.inFlight,
    latency_ms: { p50: of.latencyMs.p50, p95: of.latencyMs.p95, p99: of.latencyMs.p99 },
    circuit_breakers: of.circuitBreakers.map(({ name, state }) => ({ name, state })),
    total_circuit_breakers: of.totalCircuitBreakers
  }
}

/** @internal */
export const operationList = (of: OperationsGroup.List): typeof OperationsGroup.List.Encoded => ({
  operations: of.operations.map(operation),
  total_count: of.totalCount,
  version: of.version
})

/** @internal */
export const allMetrics = (of: MetricsGroup.All): typeof MetricsGroup.All.Encoded => ({
  operations: entriesOf(of.operations, metrics),
  circuit_breakers: entriesOf(of.circuitBreakers, (circuit) => ({
    state: circuit.state,
    failure_threshold: circuit.failureThreshold,
    recovery_timeout: Duration.toSeconds(circuit.recoveryTimeout),
    metrics: metrics(circuit.metrics)
  })),
  summary: {
    total_operations: of.summary.totalOperations,
    total_circuit_breakers: of.summary.totalCircuitBreakers,
    healthy_circuit_breakers: of.summary.healthyCircuitBreakers,
    timestamp: DateTime.formatIso(of.summary.timestamp)
  }
})
