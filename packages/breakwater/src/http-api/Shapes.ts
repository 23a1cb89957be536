/**
 * The shapes that several groups of endpoints answer with.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Bulkhead from "../Bulkhead.ts"
import * as Finding from "../config/Finding.ts"
import * as Health from "../monitoring/Health.ts"
import * as RateLimiter from "../RateLimiter.ts"
import * as RetryBudget from "../RetryBudget.ts"
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

/**
 * What an operator may lay over a circuit, the strongest first.
 *
 * @category schemas
 * @since 0.1.0
 */
export const OverrideMode = Schema.Literals(["isolated", "disabled", "metrics_only"])

const overrideFields = {
  reason: Schema.String,
  /** The id of the key. */
  actor: orNull(Schema.String),
  expiresAt: orNull(Timestamp)
} as const

const detailFields = {
  name: Schema.String,
  state: CircuitState,
  /** What the circuit does by itself, under the overrides. */
  automaticState: Schema.Literals(["closed", "open", "half_open"]),
  /** Calls that an override `metrics_only` let pass, and the circuit would not have. */
  wouldReject: Schema.Int,
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
  overrides: Schema.Array(snakeCase("Override", { mode: OverrideMode, ...overrideFields })),
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

/**
 * How many run at once, and who waits.
 *
 * @category schemas
 * @since 0.1.0
 */
export const BulkheadSettings = snakeCase("BulkheadSettings", {
  maxConcurrent: Schema.Int,
  maxQueue: Schema.Int,
  maxWait: Seconds,
  order: Bulkhead.Order,
  /** Whether each key has places of its own. */
  perKey: Schema.Boolean
})

/**
 * How much passes in a time, and what happens to the rest.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RateLimitSettings = snakeCase("RateLimitSettings", {
  algorithm: RateLimiter.Algorithm,
  /** Units of cost in one window. */
  limit: Schema.Int,
  window: Seconds,
  /** Units that may pass at once; `null` for an algorithm without a burst. */
  burst: Schema.NullOr(Schema.Int),
  onExceeded: Schema.Literals(["fail", "wait"]),
  maxWait: Seconds,
  maxQueue: Schema.Int,
  /** Longest pause that a failed call may cause. */
  maxPause: Seconds,
  /** Whether each key has a limit of its own; `false`: all keys share one. */
  perKey: Schema.Boolean
})

/**
 * How many retries a dependency is spared.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RetryBudgetSettings = snakeCase("RetryBudgetSettings", {
  form: RetryBudget.Form,
  ratio: Schema.Finite,
  minPerSecond: Schema.Finite,
  minConcurrent: Schema.Int,
  window: Seconds,
  /** Whose calls share it; `null`: those of the operation. */
  dependency: Schema.NullOr(Schema.String)
})

/**
 * The limits of a strategy; `null` for one that it leaves out.
 *
 * @category schemas
 * @since 0.1.0
 */
export const limitFields = {
  /** A limit on attempts that run at once. */
  bulkhead: Schema.NullOr(BulkheadSettings),
  /** A rate limit that each call passes once, before its first attempt. */
  admission: Schema.NullOr(RateLimitSettings),
  /** A rate limit that each attempt passes. */
  quota: Schema.NullOr(RateLimitSettings),
  /** A limit on retries, as a share of the calls. */
  retryBudget: Schema.NullOr(RetryBudgetSettings)
} as const

/**
 * A bulkhead at this moment.
 *
 * @category schemas
 * @since 0.1.0
 */
export const BulkheadState = snakeCase("BulkheadState", {
  /** `null` for the one of the whole operation. */
  key: Schema.NullOr(Schema.String),
  active: Schema.Int,
  queued: Schema.Int,
  /** Attempts that may run. Fewer than `active` for a while after it was made smaller. */
  limit: Schema.Int,
  longestWaitSeconds: Seconds,
  counters: snakeCase("BulkheadCounters", {
    admitted: Schema.Int,
    rejected: Schema.Int,
    /** Attempts that had to wait. */
    waited: Schema.Int,
    /** Of the rejected, those that had waited. */
    gaveUp: Schema.Int,
    /** Interrupted while they waited. */
    interrupted: Schema.Int
  })
})

/**
 * Where a rate limit stands: once for a call, or for each attempt.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RateLimitScope = Schema.Literals(["admission", "quota"])

/**
 * A rate limit at this moment.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RateLimitState = snakeCase("RateLimitState", {
  scope: RateLimitScope,
  settings: RateLimitSettings,
  /** Units that could pass now, for the key that has least. */
  available: Schema.Finite,
  /** Calls that wait, over all keys. */
  waiting: Schema.Int,
  /** Time for which nothing passes, for the key that is paused longest; 0 without a pause. */
  pausedForSeconds: Seconds,
  counters: snakeCase("RateLimitCounters", {
    granted: Schema.Int,
    started: Schema.Int,
    returned: Schema.Int,
    held: Schema.Int,
    refused: Schema.Int,
    /** Had to wait, whatever came of it. */
    waited: Schema.Int
  }),
  /** 100 at most: paused, then most waiting, then least available. */
  keys: Schema.Array(
    snakeCase("RateLimitKey", {
      /** `null`: the calls without a key, and all calls if keys share the limit. `(overflow)`: those of the keys beyond the bound. */
      key: Schema.NullOr(Schema.String),
      available: Schema.Finite,
      /** Units that could pass at best. */
      limit: Schema.Finite,
      waiting: Schema.Int,
      refused: Schema.Int,
      pausedForSeconds: Seconds
    })
  ),
  totalKeys: Schema.Int
})

/**
 * A retry budget at this moment.
 *
 * @category schemas
 * @since 0.1.0
 */
export const RetryBudgetState = snakeCase("RetryBudgetState", {
  dependency: Schema.String,
  /** Retries that are left: from 0 to `max`. */
  tokens: Schema.Finite,
  max: Schema.Finite,
  /** Retries that count now. */
  used: Schema.Finite,
  /** Of all that share the budget. */
  counters: snakeCase("RetryBudgetCounters", {
    calls: Schema.Int,
    granted: Schema.Int,
    /** Granted, and did not happen. */
    returned: Schema.Int,
    refused: Schema.Int
  }),
  /** Calls of this operation that were given up because the budget had no retry left. */
  givenUp: Schema.Int
})

/**
 * The runs that calls share at this moment.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CoalesceState = snakeCase("CoalesceState", {
  capacity: Schema.Int,
  inFlight: Schema.Int,
  /** Callers that wait, those whose own run it is among them. */
  waiting: Schema.Int,
  led: Schema.Int,
  /** Calls that followed: runs that were saved. */
  joined: Schema.Int,
  /** Calls that ran by themselves, for lack of room. */
  alone: Schema.Int
})
