/**
 * Benchmarks.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import * as Performance from "../../monitoring/Performance.ts"
import * as AdminError from "../AdminError.ts"
import { operation } from "../Endpoint.ts"
import * as parameters from "./parameters.ts"

const { concurrency, failureRate, iterations, latencyMs } = Performance.limits

/**
 * What to measure: an operation under load, or this process.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Request = Schema.Struct({
  /** Of each benchmark, or in all. Default 100 for an operation, else what each benchmark states. */
  iterations: Schema.optionalKey(parameters.whole(iterations.minimum, iterations.maximum)),
  /** A running operation, to be put under load. Not together with `operations`. */
  operation_name: Schema.optionalKey(Schema.String),
  /** Calls side by side. Default 10. */
  concurrency: Schema.optionalKey(parameters.whole(concurrency.minimum, concurrency.maximum)),
  /** How long the synthetic target takes, on average. Default 1. */
  latency_ms: Schema.optionalKey(parameters.within(latencyMs)),
  /** Share of the answers that are errors. Default 0. */
  failure_rate: Schema.optionalKey(parameters.within(failureRate)),
  /** Benchmarks of this process, by name. Default: all that are not slow. */
  operations: Schema.optionalKey(Schema.Array(Schema.String).check(Schema.isMaxLength(100))),
  include_slow: Schema.optionalKey(Schema.Boolean)
}).annotate({ identifier: "BenchmarkRequest" })

/**
 * @category models
 * @since 0.1.0
 */
export type Request = typeof Request.Type

/**
 * @category groups
 * @since 0.1.0
 */
export class PerformanceGroup extends HttpApiGroup.make("performance").add(
  HttpApiEndpoint.get("latest", "/performance/benchmark", { success: Performance.Latest }).annotateMerge(
    operation("get_benchmark", "comprehensive_benchmark", { summary: "The last suite of benchmarks." })
  ),
  HttpApiEndpoint.post("run", "/performance/benchmark", {
    headers: parameters.ifMatch,
    // A client takes the first that fits, and everything fits no content.
    payload: [Request, HttpApiSchema.NoContent],
    success: [Performance.Custom, Performance.Load],
    error: [AdminError.businessLogic, AdminError.conflict, AdminError.preconditionFailed]
  }).annotateMerge(
    operation("run_benchmark", "custom_benchmark", {
      summary:
        "Puts the operation operation_name under load, or measures this process. One benchmark at a time, 30 seconds at most.",
      scope: "operate",
      optionalBody: true
    })
  ),
  HttpApiEndpoint.get("get", "/performance/benchmark/:benchmark_id", {
    params: { benchmark_id: Schema.String },
    success: [Performance.Suite, Performance.Load],
    error: AdminError.businessLogic
  }).annotateMerge(
    operation("get_benchmark_result", "benchmark_retrieval", { summary: "A result that is kept: the last 50 are." })
  ),
  HttpApiEndpoint.get("thresholds", "/performance/thresholds", { success: Performance.Thresholds }).annotateMerge(
    operation("get_performance_thresholds", "threshold_retrieval", { summary: "What benchmarks are held against." })
  ),
  HttpApiEndpoint.get("report", "/performance/report", {
    query: { format: Schema.optionalKey(Schema.String) },
    success: [Performance.JsonReport, Performance.TextReport]
  }).annotateMerge(
    operation("get_performance_report", "report_generation", {
      summary: "The last suite with what it means. format: json or text."
    })
  ),
  HttpApiEndpoint.get("history", "/performance/history", {
    query: { limit: parameters.limit },
    success: Performance.History
  }).annotateMerge(
    operation("get_performance_history", "history_retrieval", {
      summary: "The results that are kept, newest first, with what became slower. limit: 1 to 1,000, default 10."
    })
  )
) {}
