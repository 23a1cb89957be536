/**
 * The numbers of the operations.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import { Seconds, snakeCase, Timestamp } from "../../Wire.ts"
import * as AdminError from "../AdminError.ts"
import { operation } from "../Endpoint.ts"
import { CircuitState, Metrics } from "../Shapes.ts"
import * as parameters from "./parameters.ts"

/**
 * How much there is.
 *
 * @category schemas
 * @since 0.1.0
 */
const Summary = snakeCase("MetricsSummary", {
  totalOperations: Schema.Int,
  totalCircuitBreakers: Schema.Int,
  /** Circuits that are closed. */
  healthyCircuitBreakers: Schema.Int,
  timestamp: Timestamp
})

/**
 * The numbers of all operations and circuits.
 *
 * @category schemas
 * @since 0.1.0
 */
export const All = snakeCase("AllMetrics", {
  operations: Schema.Record(Schema.String, Metrics),
  circuitBreakers: Schema.Record(
    Schema.String,
    snakeCase("BreakerMetrics", {
      state: CircuitState,
      failureThreshold: Schema.Int,
      recoveryTimeout: Seconds,
      metrics: Metrics
    })
  ),
  summary: Summary
})

/**
 * @category models
 * @since 0.1.0
 */
export type All = typeof All.Type

/**
 * The numbers of one operation.
 *
 * @category schemas
 * @since 0.1.0
 */
export const One = snakeCase("OperationMetrics", { operation: Schema.String, metrics: Metrics })

/**
 * @category models
 * @since 0.1.0
 */
export type One = typeof One.Type

/**
 * What was reset.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Reset = snakeCase("MetricsReset", {
  message: Schema.String,
  /** Of one operation; `null` if it was all of them. */
  operationName: Schema.NullOr(Schema.String),
  operationsReset: Schema.Int,
  resetTimestamp: Timestamp
})

/**
 * @category models
 * @since 0.1.0
 */
export type Reset = typeof Reset.Type

/**
 * What fits on one screen.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Dashboard = snakeCase("Dashboard", {
  timestamp: Timestamp,
  health: snakeCase("DashboardHealth", {
    overallHealthy: Schema.Boolean,
    openCircuitBreakers: Schema.Int,
    halfOpenCircuitBreakers: Schema.Int,
    totalCircuitBreakers: Schema.Int
  }),
  performance: snakeCase("DashboardPerformance", {
    totalCalls: Schema.Int,
    successfulCalls: Schema.Int,
    failedCalls: Schema.Int,
    retryAttempts: Schema.Int,
    /** In percent, with two decimals. */
    successRate: Schema.Finite
  }),
  operations: Schema.Array(Schema.String),
  /** A sentence for each circuit that is open, 100 at most, and for a success rate below 80 % of more than 10 calls. */
  alerts: Schema.Array(Schema.String),
  summary: Summary
})

/**
 * @category models
 * @since 0.1.0
 */
export type Dashboard = typeof Dashboard.Type

/**
 * @category groups
 * @since 0.1.0
 */
export class MetricsGroup extends HttpApiGroup.make("metrics").add(
  HttpApiEndpoint.get("all", "/metrics", { success: All }).annotateMerge(
    operation("get_resilience_metrics", "metrics_retrieval", { summary: "The numbers of all operations and circuits." })
  ),
  HttpApiEndpoint.get("prometheus", "/metrics/prometheus", {
    success: Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/plain; version=0.0.4; charset=utf-8" }))
  }).annotateMerge(
    operation("get_prometheus_metrics", "prometheus_metrics_retrieval", {
      summary: "The same in the text format of Prometheus, without circuits' keys."
    })
  ),
  HttpApiEndpoint.get("one", "/metrics/:operation_name", {
    params: { operation_name: Schema.String },
    success: One,
    error: AdminError.businessLogic
  }).annotateMerge(
    operation("get_operation_metrics", "operation_metrics_retrieval", {
      summary: "The numbers of one operation, by either of its names."
    })
  ),
  HttpApiEndpoint.post("reset", "/metrics/reset", {
    query: { operation_name: Schema.optionalKey(Schema.String) },
    headers: parameters.ifMatch,
    payload: parameters.optionalReason,
    success: Reset,
    error: [AdminError.businessLogic, AdminError.preconditionFailed]
  }).annotateMerge(
    operation("reset_resilience_metrics", "metrics_reset", {
      summary: "Lets one operation, or all of them, count from 0 again. States of circuits stay.",
      scope: "operate",
      optionalBody: true
    })
  ),
  HttpApiEndpoint.get("dashboard", "/dashboard", { success: Dashboard }).annotateMerge(
    operation("get_resilience_dashboard", "dashboard_retrieval", { summary: "Health and numbers for one screen." })
  )
) {}
