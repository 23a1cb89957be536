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
import { CircuitState, Description, Metrics } from "../Shapes.ts"
import * as parameters from "./parameters.ts"

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
  settings: snakeCase("OperationSettings", {
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
  }),
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

/**
 * One operation, with what its strategy does.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Details = snakeCase("OperationDetails", { ...fields, description: Description })

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
  )
) {}
