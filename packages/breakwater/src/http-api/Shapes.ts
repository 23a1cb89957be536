/**
 * The shapes that several groups of endpoints answer with.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Finding from "../config/Finding.ts"
import * as Health from "../monitoring/Health.ts"
import { orNull, Seconds, snakeCase, Timestamp } from "../Wire.ts"

/**
 * What the calls of an operation came to. Rates are in percent of
 * `total_calls`, with two decimals, and 0 while there was no call.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Metrics = Health.Metrics

/**
 * @category models
 * @since 0.1.0
 */
export type Metrics = typeof Metrics.Type

/**
 * The state of a circuit.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CircuitState = Health.CircuitState

/**
 * One circuit in the list.
 *
 * @category schemas
 * @since 0.1.0
 */
export const BreakerSummary = snakeCase("BreakerSummary", {
  state: CircuitState,
  failureCount: Schema.Int,
  /** The same as `failure_threshold`. */
  threshold: Schema.Int,
  failureThreshold: Schema.Int,
  recoveryTimeout: Seconds,
  lastFailure: orNull(Timestamp),
  metrics: Metrics
})

/**
 * @category models
 * @since 0.1.0
 */
export type BreakerSummary = typeof BreakerSummary.Type

/**
 * Every circuit by name.
 *
 * @category schemas
 * @since 0.1.0
 */
export const BreakerList = snakeCase("BreakerList", {
  circuitBreakers: Schema.Record(Schema.String, BreakerSummary),
  totalCount: Schema.Int,
  /** Circuits that are closed. */
  healthyCount: Schema.Int,
  /** Circuits that are open, or held open by an operator. */
  openCount: Schema.Int
})

/**
 * @category models
 * @since 0.1.0
 */
export type BreakerList = typeof BreakerList.Type

const overrideFields = {
  reason: Schema.String,
  /** The id of the key. */
  actor: orNull(Schema.String),
  expiresAt: orNull(Timestamp)
} as const

const detailFields = {
  name: Schema.String,
  state: CircuitState,
  /** Counts the transitions: the value of `ETag`. */
  version: Schema.Int,
  failureCount: Schema.Int,
  failureThreshold: Schema.Int,
  recoveryTimeout: Seconds,
  lastFailureTime: orNull(Timestamp),
  /** When the circuit lets the next probe through: exact while open, the latest time while half-open. */
  retryAt: orNull(Timestamp),
  retryAfterSeconds: orNull(Seconds),
  /** Who holds the circuit open, and why: the override of mode `isolated`. */
  isolation: orNull(snakeCase("Isolation", overrideFields)),
  /** What operators have laid over the circuit, the strongest first: `isolated`, `disabled`, `metrics_only`. */
  overrides: Schema.Array(
    snakeCase("Override", { mode: Schema.Literals(["isolated", "disabled", "metrics_only"]), ...overrideFields })
  ),
  /** What the trip policies count while the circuit is closed. */
  window: Schema.Array(
    snakeCase("TripWindow", {
      policy: Schema.Literals(["consecutive", "count_window", "time_window", "failures_in", "slow_calls"]),
      /** Calls in the window. */
      calls: Schema.Int,
      /** Those that speak against the dependency: failures, or slow calls. */
      counted: Schema.Int,
      /** How many of them, or which share, open the circuit. */
      limit: Schema.Finite
    })
  ),
  metrics: Metrics
} as const

/**
 * One circuit.
 *
 * @category schemas
 * @since 0.1.0
 */
export const BreakerDetails = snakeCase("BreakerDetails", detailFields)

/**
 * @category models
 * @since 0.1.0
 */
export type BreakerDetails = typeof BreakerDetails.Type

/**
 * What a reset did, and the circuit after it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const BreakerReset = snakeCase("BreakerReset", {
  message: Schema.String,
  previousState: CircuitState,
  newState: CircuitState,
  resetTimestamp: Timestamp,
  ...detailFields
})

/**
 * @category models
 * @since 0.1.0
 */
export type BreakerReset = typeof BreakerReset.Type

/**
 * What a strategy does, as its numbers say.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Description = snakeCase("StrategyDescription", {
  /** What comes earlier stands further out. */
  order: Schema.Array(snakeCase("StrategyPart", { policy: Schema.String, numbers: Schema.String })),
  /** Time from a call to its end at most; `null` without a timeout. */
  worstCaseLatencySeconds: Schema.NullOr(Schema.Finite),
  /** The same, if the dependency asks for longer pauses with Retry-After. */
  worstCaseLatencyWithRetryAfterSeconds: Schema.NullOr(Schema.Finite),
  /** Calls of the dependency for one call at most. */
  worstCaseCalls: Schema.Int,
  /** The reasons with which it can end a call by itself. */
  reasons: Schema.Array(Schema.String),
  findings: Schema.Array(Finding.Finding)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Description = typeof Description.Type
