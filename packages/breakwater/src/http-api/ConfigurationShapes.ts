/**
 * The shapes in which the admin API shows a configuration.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as CustomConfig from "../config/CustomConfig.ts"
import * as Strategy from "../Strategy.ts"
import { orNull, Seconds, snakeCase, Timestamp } from "../Wire.ts"
import { Description, limitFields } from "./Shapes.ts"

const resilienceConfig = snakeCase("ResilienceConfig", {
  strategy: Schema.String,
  /** `null`: the strategy has no retry. */
  retryConfig: Schema.NullOr(
    snakeCase("RetryConfig", {
      maxAttempts: Schema.Int,
      /** Time for a call in all. `null`: without end. */
      maxDelaySeconds: Schema.NullOr(Seconds),
      /** First pause. */
      exponentialMultiplier: Seconds,
      exponentialMin: Seconds,
      exponentialMax: Seconds,
      jitter: Schema.Boolean,
      jitterMax: Seconds
    })
  ),
  /** `null`: the strategy has no circuit breaker. */
  circuitBreakerConfig: Schema.NullOr(
    snakeCase("CircuitBreakerConfig", {
      failureThreshold: Schema.Int,
      recoveryTimeout: Seconds,
      halfOpenMaxCalls: Schema.Int
    })
  ),
  /** `null`: the strategy has no timeouts. */
  timeoutConfig: Schema.NullOr(snakeCase("TimeoutConfig", { attemptTimeout: Seconds, totalTimeout: Seconds })),
  /** `null` for a limit that the strategy leaves out. */
  bulkheadConfig: limitFields.bulkhead,
  admissionConfig: limitFields.admission,
  quotaConfig: limitFields.quota,
  retryBudgetConfig: limitFields.retryBudget,
  enableCircuitBreaker: Schema.Boolean,
  enableRetry: Schema.Boolean
})

/**
 * By name: spelled out wherever it stands it is more than the compiler writes down.
 *
 * @category schemas
 * @since 0.1.0
 */
export interface ResilienceConfigCodec extends Schema.Codec<
  typeof resilienceConfig.Type,
  typeof resilienceConfig.Encoded
> {}

/**
 * The numbers of a strategy.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ResilienceConfig: ResilienceConfigCodec = resilienceConfig

/**
 * @category models
 * @since 0.1.0
 */
export type ResilienceConfig = typeof ResilienceConfig.Type

/**
 * A field with the value in force, and where it comes from: `runtime`, the name
 * of a variable, `preset` with the preset's name, or `strategy` with its own.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Effective = snakeCase("EffectiveField", {
  field: Schema.String,
  value: Schema.Json,
  source: Schema.String
})

/**
 * @category models
 * @since 0.1.0
 */
export type Effective = typeof Effective.Type

/**
 * How the preset was chosen.
 *
 * @category schemas
 * @since 0.1.0
 */
export const PresetSource = Schema.Literals(["runtime", "RESILIENCE_PRESET", "detected", "default", "code"])

/**
 * What is switched on.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Toggles = snakeCase("ResilienceToggles", {
  enabled: Schema.Boolean,
  circuitBreaker: Schema.Boolean,
  retry: Schema.Boolean
})

/**
 * A variable that nothing can run with.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Problem = snakeCase("ConfigurationProblem", {
  variable: Schema.String,
  value: Schema.String,
  allowed: Schema.String,
  fix: Schema.String
})

/**
 * Where the strategy of an operation comes from.
 *
 * @category schemas
 * @since 0.1.0
 */
export const StrategySource = Schema.Literals([
  "operator",
  "code",
  "overlay",
  "preset",
  "overlay_default",
  "preset_default"
])

/**
 * The configuration in force.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CurrentConfiguration = snakeCase("CurrentConfiguration", {
  presetName: Schema.String,
  presetSource: PresetSource,
  /** Whether a variable of the original service decides a number. */
  isLegacyConfig: Schema.Boolean,
  /** The numbers of operations under the default strategy. */
  configuration: ResilienceConfig,
  /** The strategy of each running operation. */
  operationStrategies: Schema.Record(Schema.String, Schema.String),
  /** Where each of them comes from. */
  operationSources: Schema.Record(Schema.String, StrategySource),
  /** What goes over the preset. */
  customOverrides: orNull(CustomConfig.CustomConfig),
  /** The numbers of operations that name a strategy. */
  strategies: Schema.Record(Schema.String, ResilienceConfig),
  /** The numbers of operations under the default strategy, each with its source. */
  effective: Schema.Array(Effective),
  toggles: Toggles,
  warnings: Schema.Array(Schema.String),
  /** Counts the changes: the value of `ETag`. */
  version: Schema.Int
})

/**
 * @category models
 * @since 0.1.0
 */
export type CurrentConfiguration = typeof CurrentConfiguration.Type

/**
 * The configuration before or after a change.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ConfigurationState = snakeCase("ConfigurationState", {
  presetName: Schema.String,
  presetSource: PresetSource,
  configuration: ResilienceConfig,
  customOverrides: orNull(CustomConfig.CustomConfig),
  /** Strategies that operators have set. */
  operationOverrides: Schema.Record(Schema.String, Strategy.BuiltIn),
  version: Schema.Int
})

/**
 * @category models
 * @since 0.1.0
 */
export type ConfigurationState = typeof ConfigurationState.Type

/**
 * A field whose value in force differs.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Difference = snakeCase("ConfigurationDifference", {
  field: Schema.String,
  from: Schema.Json,
  to: Schema.Json
})

/**
 * What a change did, or would do.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ConfigurationChanged = snakeCase("ConfigurationChanged", {
  /** `false` for a dry run. */
  applied: Schema.Boolean,
  previous: ConfigurationState,
  /** What is in force now. */
  current: ConfigurationState,
  diff: Schema.Array(Difference),
  warnings: Schema.Array(Schema.String),
  /** The same as `version`. */
  generation: Schema.Int,
  version: Schema.Int,
  appliedAt: orNull(Timestamp)
})

/**
 * @category models
 * @since 0.1.0
 */
export type ConfigurationChanged = typeof ConfigurationChanged.Type

/**
 * What a reload did. A reload without wishes reads the keys again, too.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ConfigurationReloaded = snakeCase("ConfigurationReloaded", {
  applied: Schema.Boolean,
  previous: ConfigurationState,
  current: ConfigurationState,
  diff: Schema.Array(Difference),
  warnings: Schema.Array(Schema.String),
  generation: Schema.Int,
  version: Schema.Int,
  appliedAt: orNull(Timestamp),
  /** Keys that are known now. `null`: they were not read again. */
  keysLoaded: Schema.NullOr(Schema.Int)
})

/**
 * @category models
 * @since 0.1.0
 */
export type ConfigurationReloaded = typeof ConfigurationReloaded.Type

/**
 * A change that was made.
 *
 * @category schemas
 * @since 0.1.0
 */
export const HistoryEntry = snakeCase("ConfigurationHistoryEntry", {
  /** The version that it made. */
  id: Schema.Int,
  at: Timestamp,
  actor: Schema.String,
  /** What kind of change it was. */
  source: Schema.Literals(["apply", "reset", "reload", "rollback"]),
  reason: orNull(Schema.String),
  /** The fields that changed, as they were. */
  old: Schema.Record(Schema.String, Schema.Json),
  /** The same fields, as they are since. */
  new: Schema.Record(Schema.String, Schema.Json),
  diff: Schema.Array(Difference),
  warnings: Schema.Array(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type HistoryEntry = typeof HistoryEntry.Type

/**
 * The configuration in force, to take elsewhere.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ConfigurationDocument = snakeCase("ConfigurationDocument", {
  format: Schema.Literal("breakwater-configuration"),
  formatVersion: Schema.Literal(1),
  exportedAt: Timestamp,
  version: Schema.Int,
  preset: Schema.String,
  /** What goes over the preset, wherever it came from. */
  customConfig: orNull(CustomConfig.CustomConfig),
  /** Strategies that operators have set. */
  operationOverrides: Schema.Record(Schema.String, Strategy.BuiltIn)
})

/**
 * @category models
 * @since 0.1.0
 */
export type ConfigurationDocument = typeof ConfigurationDocument.Type

const strategyFields = {
  name: Schema.String,
  /** Whether it comes with the library. */
  builtIn: Schema.Boolean,
  /** Whether operations get it that name none. They run with the preset's numbers and not with these. */
  isDefault: Schema.Boolean,
  configuration: ResilienceConfig,
  effective: Schema.Array(Effective),
  /** Running operations under it. */
  operations: Schema.Array(Schema.String)
} as const

/**
 * A strategy with its numbers in force.
 *
 * @category schemas
 * @since 0.1.0
 */
export const StrategyDetails = snakeCase("StrategyDetails", strategyFields)

/**
 * @category models
 * @since 0.1.0
 */
export type StrategyDetails = typeof StrategyDetails.Type

/**
 * The same, with what it does.
 *
 * @category schemas
 * @since 0.1.0
 */
export const StrategyDescribed = snakeCase("StrategyDescribed", { ...strategyFields, description: Description })

/**
 * @category models
 * @since 0.1.0
 */
export type StrategyDescribed = typeof StrategyDescribed.Type

/**
 * Every strategy.
 *
 * @category schemas
 * @since 0.1.0
 */
export const StrategyList = snakeCase("StrategyList", {
  strategies: Schema.Record(Schema.String, StrategyDetails),
  defaultStrategy: Schema.String,
  /** The numbers of operations that name no strategy. */
  default: snakeCase("DefaultStrategy", { configuration: ResilienceConfig, effective: Schema.Array(Effective) }),
  totalCount: Schema.Int,
  version: Schema.Int
})

/**
 * @category models
 * @since 0.1.0
 */
export type StrategyList = typeof StrategyList.Type
