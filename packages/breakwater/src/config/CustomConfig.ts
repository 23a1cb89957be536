/**
 * The custom configuration: one schema for JSON text, environment, file and
 * API.
 *
 * **Details**
 *
 * JSON has `snake_case` and seconds, code has a `Preset.Overlay`. At least one
 * field has to be there, and none that is unknown.
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
  attemptTimeout: Wire.seconds({ minimum: 0.1, maximum: 600 })
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
  attemptTimeout: "attempt_timeout"
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
  attemptTimeout: Schema.optionalKey(fields.attemptTimeout)
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
