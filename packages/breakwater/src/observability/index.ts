/**
 * @since 0.1.0
 */
export * as Logs from "./Logs.ts"
export * as Metrics from "./Metrics.ts"
export * as Spans from "./Spans.ts"
