/**
 * The custom configuration: one schema for JSON text, environment, file and
 * API.
 *
 * **Details**
 *
 * JSON has `snake_case` and seconds, code has a `Preset.Overlay`. At least one
 * field has to be there, and none that is unknown.
 *
 * | policy | put on by | refined by |
 * | --- | --- | --- |
 * | bulkhead | `bulkhead_max_concurrent` | `bulkhead_max_queue` together with `bulkhead_max_wait` |
 * | rate limit of calls | `admission_limit` | `admission_window`, else 1 second |
 * | rate limit of attempts | `quota_limit` | `quota_window`, else 1 second |
 * | retry budget | `retry_budget_ratio` | `retry_budget_min_per_second`, else 1 |
 * | share of failures | `circuit_breaker_failure_rate` | `circuit_breaker_window_seconds`, else 60; `circuit_breaker_minimum_calls`, else 10 |
 *
 * A strategy that has the policy keeps what is not stated. Leaving the field out
 * takes a policy off again that it had put on.
 *
 * **Example** (Reading a custom configuration)
 *
 * ```ts import.meta.vitest
 * import { Duration, Schema } from "effect"
 * import { CustomConfig } from "breakwater"
 *
 * const overlay = Schema.decodeUnknownSync(CustomConfig.CustomConfig)({ retry_attempts: 4, recovery_timeout: 90 })
 *
 * overlay.retryAttempts // => 4
 * overlay.recoveryTimeout && Duration.format(overlay.recoveryTimeout) // => "1m 30s"
 * ```
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Preset from "../Preset.ts"
import * as Settings from "../Settings.ts"
import * as Strategy from "../Strategy.ts"
import * as Wire from "../Wire.ts"

/**
 * The fields, by their names in code, each with its range and unit in JSON.
 *
 * @category schemas
 * @since 0.1.0
 */
export const fields = {
  /** Attempts in all, the first one included: 1 to 10. */
  retryAttempts: Settings.count({ minimum: 1, maximum: 10 }),
  /** Failures in a row that open a circuit: 1 to 20. */
  circuitBreakerThreshold: Settings.count({ minimum: 1, maximum: 20 }),
  /** Time a circuit stays open: 10 to 300 whole seconds. */
  recoveryTimeout: Wire.seconds({ minimum: 10, maximum: 300, whole: true }),
  /** The strategy of operations without one of their own. */
  defaultStrategy: Strategy.BuiltIn,
  /** Strategies of single operations. */
  operationOverrides: Schema.Record(Preset.OperationName, Strategy.BuiltIn),
  /** First pause: 0.1 to 5 seconds. */
  exponentialMultiplier: Wire.seconds({ minimum: 0.1, maximum: 5 }),
  /** Shortest pause: 0.5 to 10 seconds. */
  exponentialMin: Wire.seconds({ minimum: 0.5, maximum: 10 }),
  /** Longest pause: 5 to 120 seconds. */
  exponentialMax: Wire.seconds({ minimum: 5, maximum: 120 }),
  /** Whether pauses are spread. */
  jitterEnabled: Schema.Boolean,
  /** Most that jitter adds: 0.1 to 10 seconds. */
  jitterMax: Wire.seconds({ minimum: 0.1, maximum: 10 }),
  /** Total timeout: 5 to 600 whole seconds. */
  maxDelay: Wire.seconds({ minimum: 5, maximum: 600, whole: true }),
  /** Probes while half-open: 1 to 10. */
  halfOpenMaxCalls: Settings.count({ minimum: 1, maximum: 10 }),
  /** Attempt timeout: 0.1 to 600 seconds. */
  attemptTimeout: Wire.seconds({ minimum: 0.1, maximum: 600 }),
  /** Attempts that run at once: 1 to 10,000. */
  bulkheadMaxConcurrent: Settings.count({ minimum: 1, maximum: 10_000 }),
  /** Attempts that wait for a place: 0 to 10,000. */
  bulkheadMaxQueue: Settings.count({ minimum: 0, maximum: 10_000 }),
  /** Longest wait for a place: 0 to 60 seconds. */
  bulkheadMaxWait: Wire.seconds({ minimum: 0, maximum: 60 }),
  /** Calls that may pass in a window: 1 to 1,000,000. */
  admissionLimit: Settings.count({ minimum: 1, maximum: 1_000_000 }),
  /** That window: 0.1 to 86,400 seconds. */
  admissionWindow: Wire.seconds({ minimum: 0.1, maximum: 86_400 }),
  /** Attempts that may pass in a window: 1 to 1,000,000. */
  quotaLimit: Settings.count({ minimum: 1, maximum: 1_000_000 }),
  /** That window: 0.1 to 86,400 seconds. */
  quotaWindow: Wire.seconds({ minimum: 0.1, maximum: 86_400 }),
  /** Retries for each call: 0.01 to 1. */
  retryBudgetRatio: Settings.number({ minimum: 0.01, maximum: 1 }),
  /** Retries a second that are granted in any case: 0 to 100. */
  retryBudgetMinPerSecond: Settings.number({ minimum: 0, maximum: 100 }),
  /** Share of failures in a time that opens a circuit: 0.01 to 1. */
  circuitBreakerFailureRate: Settings.number({ minimum: 0.01, maximum: 1 }),
  /** That time: 1 to 3,600 seconds. */
  circuitBreakerWindow: Wire.seconds({ minimum: 1, maximum: 3_600 }),
  /** Calls there must be in it before a circuit opens: 1 to 10,000. */
  circuitBreakerMinimumCalls: Settings.count({ minimum: 1, maximum: 10_000 })
} as const satisfies Record<keyof Preset.Overlay, Schema.Constraint>

/**
 * The names of the fields in JSON.
 *
 * @category models
 * @since 0.1.0
 */
export const names = {
  retryAttempts: "retry_attempts",
  circuitBreakerThreshold: "circuit_breaker_threshold",
  recoveryTimeout: "recovery_timeout",
  defaultStrategy: "default_strategy",
  operationOverrides: "operation_overrides",
  exponentialMultiplier: "exponential_multiplier",
  exponentialMin: "exponential_min",
  exponentialMax: "exponential_max",
  jitterEnabled: "jitter_enabled",
  jitterMax: "jitter_max",
  maxDelay: "max_delay_seconds",
  halfOpenMaxCalls: "half_open_max_calls",
  attemptTimeout: "attempt_timeout",
  bulkheadMaxConcurrent: "bulkhead_max_concurrent",
  bulkheadMaxQueue: "bulkhead_max_queue",
  bulkheadMaxWait: "bulkhead_max_wait",
  admissionLimit: "admission_limit",
  admissionWindow: "admission_window",
  quotaLimit: "quota_limit",
  quotaWindow: "quota_window",
  retryBudgetRatio: "retry_budget_ratio",
  retryBudgetMinPerSecond: "retry_budget_min_per_second",
  circuitBreakerFailureRate: "circuit_breaker_failure_rate",
  circuitBreakerWindow: "circuit_breaker_window_seconds",
  circuitBreakerMinimumCalls: "circuit_breaker_minimum_calls"
} as const satisfies Record<keyof Preset.Overlay, string>

/**
 * The name of a field in JSON.
 *
 * @category models
 * @since 0.1.0
 */
export type Name = (typeof names)[keyof typeof names]

/**
 * A custom configuration as JSON, and as the overlay it is.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CustomConfig = Schema.Struct({
  retryAttempts: Schema.optionalKey(fields.retryAttempts),
  circuitBreakerThreshold: Schema.optionalKey(fields.circuitBreakerThreshold),
  recoveryTimeout: Schema.optionalKey(fields.recoveryTimeout),
  defaultStrategy: Schema.optionalKey(fields.defaultStrategy),
  operationOverrides: Schema.optionalKey(fields.operationOverrides),
  exponentialMultiplier: Schema.optionalKey(fields.exponentialMultiplier),
  exponentialMin: Schema.optionalKey(fields.exponentialMin),
  exponentialMax: Schema.optionalKey(fields.exponentialMax),
  jitterEnabled: Schema.optionalKey(fields.jitterEnabled),
  jitterMax: Schema.optionalKey(fields.jitterMax),
  maxDelay: Schema.optionalKey(fields.maxDelay),
  halfOpenMaxCalls: Schema.optionalKey(fields.halfOpenMaxCalls),
  attemptTimeout: Schema.optionalKey(fields.attemptTimeout),
  bulkheadMaxConcurrent: Schema.optionalKey(fields.bulkheadMaxConcurrent),
  bulkheadMaxQueue: Schema.optionalKey(fields.bulkheadMaxQueue),
  bulkheadMaxWait: Schema.optionalKey(fields.bulkheadMaxWait),
  admissionLimit: Schema.optionalKey(fields.admissionLimit),
  admissionWindow: Schema.optionalKey(fields.admissionWindow),
  quotaLimit: Schema.optionalKey(fields.quotaLimit),
  quotaWindow: Schema.optionalKey(fields.quotaWindow),
  retryBudgetRatio: Schema.optionalKey(fields.retryBudgetRatio),
  retryBudgetMinPerSecond: Schema.optionalKey(fields.retryBudgetMinPerSecond),
  circuitBreakerFailureRate: Schema.optionalKey(fields.circuitBreakerFailureRate),
  circuitBreakerWindow: Schema.optionalKey(fields.circuitBreakerWindow),
  circuitBreakerMinimumCalls: Schema.optionalKey(fields.circuitBreakerMinimumCalls)
})
  .check(Schema.isMinProperties(1))
  .pipe(
    Schema.encodeKeys(names),
    Schema.decodeTo(
      Schema.toType(Preset.Overlay),
      SchemaTransformation.transform({
        decode: (fields) => new Preset.Overlay(fields),
        encode: (overlay) => overlay
      })
    )
  )
  .annotate({ identifier: "CustomConfig" })

/**
 * A custom configuration as JSON has it.
 *
 * @category models
 * @since 0.1.0
 */
export type Encoded = typeof CustomConfig.Encoded

/**
 * The JSON Schema document of a custom configuration.
 *
 * @category schemas
 * @since 0.1.0
 */
export const jsonSchema = () => Schema.toJsonSchemaDocument(CustomConfig, { onExcessProperty: "error" })
