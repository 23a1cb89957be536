/**
 * @since 0.1.0
 */
export * as Async from "./Async.ts"
export * as CircuitBreaker from "./CircuitBreaker.ts"
export * as Deadline from "./Deadline.ts"
export * as Errors from "./Errors.ts"
export * as Operation from "./Operation.ts"
export * as Outcome from "./Outcome.ts"
export * as Preset from "./Preset.ts"
export * from "./Resilience.ts"
export * from "./ResilienceError.ts"
export * as ResilienceEvent from "./ResilienceEvent.ts"
export * as Retry from "./Retry.ts"
export * as Settings from "./Settings.ts"
export * as Strategy from "./Strategy.ts"
export * as Timeout from "./Timeout.ts"
