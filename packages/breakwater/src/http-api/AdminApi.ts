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
import * as Context from "effect/Context"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"
import { orNull, Seconds, snakeCase, Timestamp } from "../Wire.ts"
import * as AdminError from "./AdminError.ts"

/**
 * What a key may do. Each scope includes those before it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Scope = Schema.Literals(["read", "operate", "admin"])

/**
 * @category models
 * @since 0.1.0
 */
export type Scope = typeof Scope.Type

/**
 * The facts about an endpoint that are not part of its shape.
 *
 * @category annotations
 * @since 0.1.0
 */
export class Operation extends Context.Service<
  Operation,
  {
    /** The OpenAPI operation id, and `context.endpoint` of errors. */
    readonly endpoint: string
    /** `context.operation` of errors. */
    readonly operation: string
    readonly scope: Scope
  }
>()("breakwater/http-api/AdminApi/Operation") {}

const operation = (
  endpoint: string,
  tag: string,
  options: { readonly summary: string; readonly scope?: Scope; readonly optionalBody?: boolean }
): Context.Context<never> => {
  const scope = options.scope ?? "read"
  return OpenApi.annotations({
    identifier: endpoint,
    summary: options.summary,
    transform: (op) => ({
      ...op,
      "x-scope": scope,
      ...(options.optionalBody === true ? { requestBody: { ...op["requestBody"], required: false } } : {})
    })
  }).pipe(Context.add(Operation, { endpoint, operation: tag, scope })) as Context.Context<never>
}

/**
 * What the calls of an operation came to. Rates are in percent of
 * `total_calls`, with two decimals, and 0 while there was no call.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Metrics = snakeCase("Metrics", {
  totalCalls: Schema.Int,
  successfulCalls: Schema.Int,
  /** Ended with an error of the dependency, or refused or cut short by us. */
  failedCalls: Schema.Int,
  retryAttempts: Schema.Int,
  circuitBreakerOpens: Schema.Int,
  circuitBreakerHalfOpens: Schema.Int,
  circuitBreakerCloses: Schema.Int,
  successRate: Schema.Finite,
  failureRate: Schema.Finite,
  lastFailure: orNull(Timestamp),
  lastSuccess: orNull(Timestamp)
})

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
export const CircuitState = Schema.Literals(["closed", "open", "half_open", "isolated"])

/**
 * The resilience of the process in one word. A circuit that is open, or held
 * open by an operator, degrades it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Health = snakeCase("Health", {
  healthy: Schema.Boolean,
  status: Schema.Literals(["healthy", "degraded"]),
  details: snakeCase("HealthStatus", {
    healthy: Schema.Boolean,
    openCircuitBreakers: Schema.Array(Schema.String),
    halfOpenCircuitBreakers: Schema.Array(Schema.String),
    totalCircuitBreakers: Schema.Int,
    totalOperations: Schema.Int,
    timestamp: Timestamp
  })
})

/**
 * @category models
 * @since 0.1.0
 */
export type Health = typeof Health.Type

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
    error: [AdminError.authentication, AdminError.authorization, AdminError.rateLimit]
  }
) {}

/**
 * Writes every failure as one envelope.
 *
 * @category middleware
 * @since 0.1.0
 */
export class Failures extends HttpApiMiddleware.Service<Failures>()("breakwater/http-api/AdminApi/Failures", {
  error: [AdminError.validation, AdminError.requestTooLarge, AdminError.unsupportedMediaType, AdminError.infrastructure]
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
    success: HttpApiSchema.WithHeaders(BreakerDetails, { etag: Schema.String }),
    error: AdminError.businessLogic
  }).annotateMerge(
    operation("get_circuit_breaker_details", "circuit_breaker_details_retrieval", { summary: "One circuit." })
  ),
  HttpApiEndpoint.post("reset", "/circuit-breakers/:breaker_name/reset", {
    params: { breaker_name: Schema.String },
    headers: { "if-match": Schema.optionalKey(Schema.String) },
    payload: [
      HttpApiSchema.NoContent,
      Schema.Struct({ reason: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200))) })
    ],
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
 * The admin API.
 *
 * @category api
 * @since 0.1.0
 */
export class AdminApi extends HttpApi.make("breakwater-admin")
  .add(HealthGroup, CircuitBreakersGroup)
  .middleware(Authorization)
  .middleware(Failures)
  .prefix("/internal/resilience")
  .annotate(HttpApi.PayloadParseOptions, { errors: "all", onExcessProperty: "error" })
  .annotate(HttpApi.QueryParseOptions, { errors: "all" })
  .annotateMerge(
    OpenApi.annotations({
      title: "Breakwater admin API",
      version: "0.1.0",
      description: "Watches and steers the circuit breakers of a process."
    })
  ) {}
