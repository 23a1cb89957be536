/**
 * The running operations, and which strategy they run by.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import * as Strategy from "../../Strategy.ts"
import { Seconds, snakeCase } from "../../Wire.ts"
import * as AdminError from "../AdminError.ts"
import { operation } from "../Endpoint.ts"
import {
  BulkheadState,
  CircuitState,
  CoalesceState,
  Description,
  limitFields,
  Metrics,
  RateLimitScope,
  RateLimitState,
  RetryBudgetState
} from "../Shapes.ts"
import * as parameters from "./parameters.ts"

const settingsFields = {
  retry: Schema.NullOr(
    snakeCase("OperationRetry", {
      maxAttempts: Schema.Int,
      base: Seconds,
      factor: Schema.Finite,
      minDelay: Seconds,
      maxDelay: Seconds,
      jitter: Schema.String,
      jitterMax: Seconds
    })
  ),
  circuitBreaker: Schema.NullOr(
    snakeCase("OperationCircuitBreaker", {
      failureThreshold: Schema.Int,
      recoveryTimeout: Seconds,
      halfOpenMaxCalls: Schema.Int
    })
  ),
  timeout: Schema.NullOr(snakeCase("OperationTimeout", { attempt: Seconds, total: Seconds, mode: Schema.String }))
} as const

const fields = {
  name: Schema.String,
  /** The short name by which it is found too. */
  alias: Schema.NullOr(Schema.String),
  strategy: Schema.String,
  /** Who chose the strategy. */
  source: Schema.Literals(["operator", "code", "overlay", "preset", "overlay_default", "preset_default"]),
  /** Counts the changes of the configuration: the value of `ETag`. */
  version: Schema.Int,
  /** `null` for a policy that the strategy leaves out, or that is switched off. */
  settings: snakeCase("OperationSettings", settingsFields),
  metrics: Metrics,
  /** What `metrics` does not tell apart. `rejected` ones are among its `failed_calls`. */
  counters: snakeCase("OperationCounters", {
    rejected: Schema.Int,
    interrupted: Schema.Int,
    /** Failed or rejected calls whose caller got the fallback's answer. */
    fallbacks: Schema.Int,
    attempts: Schema.Int,
    timeouts: Schema.Int
  }),
  /** Calls that run now. */
  inFlight: Schema.Int,
  /** Of whole calls, in milliseconds, over the latest half to whole minute. */
  latencyMs: Schema.Struct({ p50: Schema.Finite, p95: Schema.Finite, p99: Schema.Finite }).annotate({
    identifier: "OperationLatency"
  }),
  /** 100 at most, the worst ones first. */
  circuitBreakers: Schema.Array(snakeCase("OperationBreaker", { name: Schema.String, state: CircuitState })),
  totalCircuitBreakers: Schema.Int
} as const

/**
 * One operation with the numbers that it runs by.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Operation = snakeCase("Operation", fields)

/**
 * @category models
 * @since 0.1.0
 */
export type Operation = typeof Operation.Type

const details = snakeCase("OperationDetails", {
  ...fields,
  /** `null` for a policy that the strategy leaves out, or that is switched off. */
  settings: snakeCase("OperationDetailsSettings", { ...settingsFields, ...limitFields }),
  /** None without a bulkhead; one, or one for each key: 100 at most, the fullest first. */
  bulkheads: Schema.Array(BulkheadState),
  totalBulkheads: Schema.Int,
  /** `admission`, then `quota`. */
  rateLimits: Schema.Array(RateLimitState),
  retryBudget: Schema.NullOr(RetryBudgetState),
  /** `null` while no call asked to share a run. */
  coalesce: Schema.NullOr(CoalesceState),
  description: Description
})

/**
 * By name: spelled out at each endpoint it is more than the compiler writes down.
 *
 * @category schemas
 * @since 0.1.0
 */
export interface DetailsCodec extends Schema.Codec<typeof details.Type, typeof details.Encoded> {}

/**
 * One operation, with its limits and with what its strategy does.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Details: DetailsCodec = details

/**
 * @category models
 * @since 0.1.0
 */
export type Details = typeof Details.Type

/**
 * The running operations.
 *
 * @category schemas
 * @since 0.1.0
 */
export const List = snakeCase("OperationList", {
  operations: Schema.Array(Operation),
  totalCount: Schema.Int,
  version: Schema.Int
})

/**
 * @category models
 * @since 0.1.0
 */
export type List = typeof List.Type

const resized = snakeCase("BulkheadResized", {
  /** What was done, and what undoes it. */
  message: Schema.String,
  operation: Schema.String,
  previousLimit: Schema.Int,
  limit: Schema.Int,
  /** What the strategy in force says; `null` if it leaves the bulkhead out. */
  configuredLimit: Schema.NullOr(Schema.Int),
  bulkheads: Schema.Array(BulkheadState),
  totalBulkheads: Schema.Int,
  version: Schema.Int
})

/**
 * @category schemas
 * @since 0.1.0
 */
export interface ResizedCodec extends Schema.Codec<typeof resized.Type, typeof resized.Encoded> {}

/**
 * What a resize did.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Resized: ResizedCodec = resized

/**
 * @category models
 * @since 0.1.0
 */
export type Resized = typeof Resized.Type

const limitCommand = {
  params: { operation_name: Schema.String },
  headers: parameters.ifMatch,
  success: parameters.tagged(Details),
  error: [AdminError.businessLogic, AdminError.preconditionFailed]
} as const

const limitFieldsOfCommand = {
  scope: RateLimitScope,
  /** Whose calls; without it those that have no key. */
  key: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200)))
} as const

/**
 * @category groups
 * @since 0.1.0
 */
export class OperationsGroup extends HttpApiGroup.make("operations").add(
  HttpApiEndpoint.get("list", "/operations", { success: parameters.tagged(List) }).annotateMerge(
    operation("list_operations", "operation_listing", { summary: "Every running operation." })
  ),
  HttpApiEndpoint.get("get", "/operations/:operation_name", {
    params: { operation_name: Schema.String },
    success: parameters.tagged(Details),
    error: AdminError.businessLogic
  }).annotateMerge(
    operation("get_operation", "operation_retrieval", { summary: "One operation, by either of its names." })
  ),
  HttpApiEndpoint.put("set", "/operations/:operation_name", {
    params: { operation_name: Schema.String },
    headers: parameters.ifMatch,
    payload: Schema.Struct({
      /** `null` takes back what an operator has set. */
      strategy: Schema.NullOr(Strategy.BuiltIn),
      reason: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200)))
    }),
    success: parameters.tagged(Details),
    error: [AdminError.businessLogic, AdminError.preconditionFailed]
  }).annotateMerge(
    operation("set_operation_strategy", "operation_update", {
      summary: "Puts a strategy over what code and preset chose, until the process ends or the configuration is reset.",
      scope: "admin"
    })
  ),
  HttpApiEndpoint.post("pause", "/operations/:operation_name/rate-limits/pause", {
    ...limitCommand,
    payload: Schema.Struct({
      ...limitFieldsOfCommand,
      pause_seconds: parameters.whole(1, 3_600),
      reason: parameters.reason
    })
  }).annotateMerge(
    operation("pause_rate_limit", "rate_limit_pause", {
      summary:
        "Lets no call of a key through a rate limit for pause_seconds: 1 to 3,600. Without a key, or if keys share the limit: no call at all. A pause that lasts longer stays.",
      scope: "operate"
    })
  ),
  HttpApiEndpoint.post("resume", "/operations/:operation_name/rate-limits/resume", {
    ...limitCommand,
    payload: Schema.Struct({
      ...limitFieldsOfCommand,
      reason: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200)))
    })
  }).annotateMerge(
    operation("resume_rate_limit", "rate_limit_resumption", {
      summary:
        "Ends the pause of a key at a rate limit, or without a key every pause, whoever caused it. Calls return at the rate of the limit.",
      scope: "operate"
    })
  ),
  HttpApiEndpoint.post("resize", "/operations/:operation_name/bulkhead/resize", {
    ...limitCommand,
    success: parameters.tagged(Resized),
    payload: Schema.Struct({ max_concurrent: parameters.whole(1, 100_000), reason: parameters.reason })
  }).annotateMerge(
    operation("resize_bulkhead", "bulkhead_resize", {
      summary:
        "Changes how many attempts run at once, of each key if each has a bulkhead of its own. Nothing is interrupted. A change of the configuration may undo it.",
      scope: "operate"
    })
  )
) {}
