/**
 * The admin API as a definition: no handler, no state, safe in a browser.
 *
 * **Details**
 *
 * Code reads and writes `camelCase`, durations and instants; JSON has
 * `snake_case`, seconds and RFC 3339 in UTC. Every endpoint carries an
 * `Operation`: its OpenAPI operation id, its tag in the context of errors, and
 * the scope it needs.
 *
 * **Example** (Listing the paths)
 *
 * ```ts import.meta.vitest
 * import { OpenApi } from "effect/http-api"
 * import { AdminApi } from "breakwater/http-api"
 *
 * Object.keys(OpenApi.fromApi(AdminApi.AdminApi).paths)[0] // => "/internal/resilience/health"
 * ```
 *
 * @since 0.1.0
 */
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { Summary } from "../monitoring/Health.ts"
import * as AdminError from "./AdminError.ts"
import * as Audit from "./Audit.ts"
import { operation } from "./Endpoint.ts"
import { CircuitsGroup } from "./groups/CircuitsGroup.ts"
import { ConfigurationGroup } from "./groups/ConfigurationGroup.ts"
import { DecisionsGroup } from "./groups/DecisionsGroup.ts"
import { EventsGroup } from "./groups/EventsGroup.ts"
import { HealthDetailsGroup } from "./groups/HealthDetailsGroup.ts"
import { MetricsGroup } from "./groups/MetricsGroup.ts"
import { MonitoringGroup } from "./groups/MonitoringGroup.ts"
import { ifMatch, optionalReason, tagged } from "./groups/parameters.ts"
import { OperationsGroup } from "./groups/OperationsGroup.ts"
import { PerformanceGroup } from "./groups/PerformanceGroup.ts"
import { PresetsGroup } from "./groups/PresetsGroup.ts"
import { TemplatesGroup } from "./groups/TemplatesGroup.ts"
import { ValidationGroup } from "./groups/ValidationGroup.ts"
import { BreakerDetails, BreakerList, BreakerReset } from "./Shapes.ts"

export { Operation, Scope } from "./Endpoint.ts"
export { BreakerDetails, BreakerList, BreakerReset, BreakerSummary, CircuitState, Metrics } from "./Shapes.ts"

/**
 * The resilience of the process in one word. A circuit that is open, or held
 * open by an operator, degrades it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Health = Summary

/**
 * @category models
 * @since 0.1.0
 */
export type Health = typeof Health.Type

/** @internal */
export const keyErrors = [AdminError.authentication, AdminError.authorization, AdminError.rateLimit] as const

/** @internal */
export const requestErrors = [
  AdminError.validation,
  AdminError.requestTooLarge,
  AdminError.unsupportedMediaType,
  AdminError.misdirectedRequest,
  AdminError.headersTooLarge,
  AdminError.infrastructure,
  AdminError.serviceUnavailable
] as const

/**
 * Lets a request in whose key has the scope that its endpoint needs.
 *
 * @category middleware
 * @since 0.1.0
 */
export class Authorization extends HttpApiMiddleware.Service<Authorization>()(
  "breakwater/http-api/AdminApi/Authorization",
  {
    requiredForClient: true,
    security: { bearer: HttpApiSecurity.bearer, apiKey: HttpApiSecurity.apiKey({ key: "X-API-Key" }) },
    error: keyErrors
  }
) {}

/**
 * Writes every failure as one envelope.
 *
 * @category middleware
 * @since 0.1.0
 */
export class Failures extends HttpApiMiddleware.Service<Failures>()("breakwater/http-api/AdminApi/Failures", {
  error: requestErrors
}) {}

/**
 * Health and metrics.
 *
 * @category groups
 * @since 0.1.0
 */
export class HealthGroup extends HttpApiGroup.make("health").add(
  HttpApiEndpoint.get("status", "/health", {
    query: { strict: Schema.optionalKey(Schema.Boolean) },
    success: Health,
    error: Health.pipe(HttpApiSchema.status(503))
  }).annotateMerge(
    operation("get_resilience_health", "health_status_retrieval", {
      summary: "Whether any circuit is open. With strict=true the status is 503 if one is."
    })
  )
) {}

/**
 * Circuit breakers.
 *
 * @category groups
 * @since 0.1.0
 */
export class CircuitBreakersGroup extends HttpApiGroup.make("circuitBreakers").add(
  HttpApiEndpoint.get("list", "/circuit-breakers", { success: BreakerList }).annotateMerge(
    operation("get_circuit_breaker_status", "circuit_breaker_status_retrieval", { summary: "Every circuit." })
  ),
  HttpApiEndpoint.get("get", "/circuit-breakers/:breaker_name", {
    params: { breaker_name: Schema.String },
    success: tagged(BreakerDetails),
    error: AdminError.businessLogic
  }).annotateMerge(
    operation("get_circuit_breaker_details", "circuit_breaker_details_retrieval", { summary: "One circuit." })
  ),
  HttpApiEndpoint.post("reset", "/circuit-breakers/:breaker_name/reset", {
    params: { breaker_name: Schema.String },
    headers: ifMatch,
    payload: optionalReason,
    success: BreakerReset,
    error: [AdminError.businessLogic, AdminError.preconditionFailed]
  }).annotateMerge(
    operation("reset_circuit_breaker", "circuit_breaker_reset", {
      summary: "Closes a circuit and forgets its failures. Metrics stay.",
      scope: "operate",
      optionalBody: true
    })
  )
) {}

/**
 * The audit log. A key that may only read sees it: it holds ids of keys and
 * reasons, and whoever watches a circuit wants to know who opened it.
 *
 * @category groups
 * @since 0.1.0
 */
export class AuditGroup extends HttpApiGroup.make("audit").add(
  HttpApiEndpoint.get("recent", "/audit", {
    query: { limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))) },
    success: Schema.Array(Audit.Entry)
  }).annotateMerge(
    operation("get_audit_log", "audit_log_retrieval", { summary: "Who wrote what, newest first. limit: 1 to 1,000." })
  )
) {}

/**
 * Every endpoint, without what stands before it. @internal
 */
export const endpoints = HttpApi.make("breakwater-admin")
  .add(HealthGroup, CircuitBreakersGroup, AuditGroup)
  .add(ConfigurationGroup, PresetsGroup, TemplatesGroup, ValidationGroup)
  .add(HealthDetailsGroup, MetricsGroup, OperationsGroup, CircuitsGroup)
  .add(DecisionsGroup, EventsGroup, MonitoringGroup, PerformanceGroup)
  .prefix("/internal/resilience")
  .annotate(HttpApi.PayloadParseOptions, { errors: "all", onExcessProperty: "error" })
  .annotate(HttpApi.QueryParseOptions, { errors: "all" })

/**
 * The admin API.
 *
 * @category api
 * @since 0.1.0
 */
export class AdminApi extends endpoints
  .middleware(Authorization)
  .middleware(Failures)
  .annotateMerge(
    OpenApi.annotations({
      title: "Breakwater admin API",
      version: "0.1.0",
      description: "Watches and steers the circuit breakers of a process."
    })
  ) {}
