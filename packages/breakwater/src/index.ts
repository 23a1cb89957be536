/**
 * Resilience for Effect: each module is a namespace; the guarded call and the
 * errors it can end with are at the top.
 *
 * @since 0.1.0
 */
export * as Async from "./Async.ts"
export * as CircuitBreaker from "./CircuitBreaker.ts"
export * as Configuration from "./config/Configuration.ts"
export * as CustomConfig from "./config/CustomConfig.ts"
export * as Deadline from "./Deadline.ts"
export * as Decision from "./Decision.ts"
export * as Decisions from "./monitoring/Decisions.ts"
export * as Environment from "./config/Environment.ts"
export * as Errors from "./Errors.ts"
export * as Finding from "./config/Finding.ts"
export * as Legacy from "./config/Legacy.ts"
export * as Migration from "./config/Migration.ts"
export * as Operation from "./Operation.ts"
export * as Outcome from "./Outcome.ts"
export * as Preset from "./Preset.ts"
export * as Presets from "./config/Presets.ts"
export * as ResilienceEvent from "./ResilienceEvent.ts"
export * as Resolution from "./config/Resolution.ts"
export * as Retry from "./Retry.ts"
export * as Settings from "./Settings.ts"
export * as Strategy from "./Strategy.ts"
export * as Template from "./config/Template.ts"
export * as Timeout from "./Timeout.ts"
export * as Tracing from "./Tracing.ts"
export * as Validation from "./config/Validation.ts"
export * as ValidationLimiter from "./config/ValidationLimiter.ts"
export * from "./Resilience.ts"
export * from "./ResilienceError.ts"
