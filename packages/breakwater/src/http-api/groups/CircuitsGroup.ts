/**
 * What an operator may do to circuits.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import { snakeCase, Timestamp } from "../../Wire.ts"
import * as AdminError from "../AdminError.ts"
import { operation } from "../Endpoint.ts"
import { BreakerDetails, CircuitState, OverrideMode } from "../Shapes.ts"
import * as parameters from "./parameters.ts"

/**
 * What a reset of all circuits did.
 *
 * @category schemas
 * @since 0.1.0
 */
export const AllReset = snakeCase("BreakersReset", {
  message: Schema.String,
  totalCount: Schema.Int,
  /** Circuits that were not closed. */
  resetCount: Schema.Int,
  /** Those, 1,000 at most. */
  circuitBreakers: Schema.Record(
    Schema.String,
    snakeCase("BreakerTransition", { previousState: CircuitState, newState: CircuitState })
  ),
  resetTimestamp: Timestamp
})

/**
 * @category models
 * @since 0.1.0
 */
export type AllReset = typeof AllReset.Type

const day = 86_400

const command = {
  params: { breaker_name: Schema.String },
  headers: parameters.ifMatch,
  success: parameters.tagged(BreakerDetails),
  error: [AdminError.businessLogic, AdminError.preconditionFailed]
} as const

const override = {
  ...command,
  payload: Schema.Struct({
    reason: parameters.reason,
    /** Default 3,600. */
    expires_in_seconds: Schema.optionalKey(parameters.whole(1, day))
  })
} as const

/**
 * @category groups
 * @since 0.1.0
 */
export class CircuitsGroup extends HttpApiGroup.make("circuits").add(
  HttpApiEndpoint.post("resetAll", "/circuit-breakers/reset", {
    headers: parameters.ifMatch,
    payload: parameters.optionalReason,
    success: AllReset,
    error: AdminError.preconditionFailed
  }).annotateMerge(
    operation("reset_all_circuit_breakers", "circuit_breakers_reset", {
      summary: "Closes every circuit and forgets its failures. Metrics stay.",
      scope: "operate",
      optionalBody: true
    })
  ),
  HttpApiEndpoint.post("trip", "/circuit-breakers/:breaker_name/trip", {
    ...command,
    payload: Schema.Struct({
      reason: parameters.reason,
      /** Default: the open time of the circuit. */
      open_for_seconds: Schema.optionalKey(parameters.whole(1, day))
    })
  }).annotateMerge(
    operation("trip_circuit_breaker", "circuit_breaker_trip", {
      summary: "Opens a circuit. It probes after its open time, or after open_for_seconds: 1 to 86,400.",
      scope: "operate"
    })
  ),
  HttpApiEndpoint.post("isolate", "/circuit-breakers/:breaker_name/isolate", override).annotateMerge(
    operation("isolate_circuit_breaker", "circuit_breaker_isolation", {
      summary: "Holds a circuit open until it is closed, or for expires_in_seconds: 1 to 86,400, default 3,600.",
      scope: "operate"
    })
  ),
  HttpApiEndpoint.post("disable", "/circuit-breakers/:breaker_name/disable", override).annotateMerge(
    operation("disable_circuit_breaker", "circuit_breaker_disabling", {
      summary:
        "Admits every call and counts none of them in the circuit, until it is closed or for expires_in_seconds: 1 to 86,400, default 3,600.",
      scope: "operate"
    })
  ),
  HttpApiEndpoint.post("metricsOnly", "/circuit-breakers/:breaker_name/metrics-only", override).annotateMerge(
    operation("metrics_only_circuit_breaker", "circuit_breaker_metrics_only", {
      summary:
        "Lets a circuit move but refuse nothing, until it is closed or for expires_in_seconds: 1 to 86,400, default 3,600.",
      scope: "operate"
    })
  ),
  HttpApiEndpoint.post("close", "/circuit-breakers/:breaker_name/close", {
    ...command,
    payload: parameters.optionalReason
  }).annotateMerge(
    operation("close_circuit_breaker", "circuit_breaker_closing", {
      summary: "Closes a circuit and ends every override. It remembers how often it opened.",
      scope: "operate",
      optionalBody: true
    })
  ),
  HttpApiEndpoint.post("release", "/circuit-breakers/:breaker_name/release", {
    ...command,
    payload: Schema.Struct({
      mode: OverrideMode,
      /** Whose override: the id of a key. Default everybody's. */
      actor: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200))),
      reason: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200)))
    })
  }).annotateMerge(
    operation("release_circuit_breaker", "circuit_breaker_release", {
      summary:
        "Ends the overrides of a mode, those of one operator or all. What is underneath, another override or the circuit, is in force.",
      scope: "operate"
    })
  )
) {}
