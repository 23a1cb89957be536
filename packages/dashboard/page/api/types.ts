/**
 * The shapes of the admin API, read off its definition. Types only: nothing of
 * the definition comes into the page.
 *
 * A schema has two sides. `AdminClient` decodes into Effect's `Option`,
 * `Duration` and `DateTime`; the page reads the JSON as it is on the wire.
 */
import type { HttpApiEndpoint, HttpApiGroup, HttpApiSchema } from "effect/http-api"
import type { Schema } from "effect"
import type { AdminApi } from "breakwater/http-api"

type Groups = (typeof AdminApi.AdminApi)["groups"]
type Endpoints = { [Name in keyof Groups]: HttpApiGroup.Endpoints<Groups[Name]> }[keyof Groups]
type Prefix = "/internal/resilience"

type At<M extends Method, P extends string> = Extract<Endpoints, { readonly method: M; readonly path: `${Prefix}${P}` }>

type Encoded<S> =
  S extends HttpApiSchema.WithHeaders<infer Body, infer _Headers>
    ? Encoded<Body>
    : S extends Schema.toCodecJson<infer T>
      ? T["Encoded"]
      : never

export type Method = "GET" | "POST" | "PUT"

/** The paths that have a method, as the API writes them: `/circuit-breakers/:breaker_name`. */
export type Path<M extends Method> =
  Extract<Endpoints, { readonly method: M }> extends { readonly path: infer P }
    ? P extends `${Prefix}${infer Rest}`
      ? Rest
      : never
    : never

/** The JSON of an answer. Some endpoints can answer with text as well, if they are asked to: the page asks for none. */
export type Answer<M extends Method, P extends Path<M>> = Exclude<
  Encoded<HttpApiEndpoint.Success<At<M, P>>>,
  string | void
>

/** The JSON of a body. */
export type Body<M extends Method, P extends Path<M>> = Exclude<Encoded<HttpApiEndpoint.Payload<At<M, P>>>, void>

type Names<P extends string> = P extends `${string}:${infer Name}/${infer Rest}`
  ? Name | Names<Rest>
  : P extends `${string}:${infer Name}`
    ? Name
    : never

/** What stands in a path for its parameters. */
export type Params<P extends string> = { readonly [Name in Names<P>]: string }

export type Operation = Answer<"GET", "/operations">["operations"][number]
export type Breaker = Answer<"GET", "/circuit-breakers">["circuit_breakers"][string]
export type BreakerDetails = Answer<"GET", "/circuit-breakers/:breaker_name">
export type OperationDetails = Answer<"GET", "/operations/:operation_name">
export type CircuitState = Breaker["state"]
export type Alert = Answer<"GET", "/monitoring/alerts">["alerts"][number]
export type Decision = Answer<"GET", "/decisions">["decisions"][number]
export type AuditEntry = Answer<"GET", "/audit">[number]
export type ConfigurationChange = Answer<"GET", "/config/changes">[number]
export type Configuration = Answer<"GET", "/config">
export type Strategies = Answer<"GET", "/strategies">
export type Finding = Answer<"POST", "/config/validate">["findings"][number]
export type Difference = ConfigurationChange["diff"][number]
export type BenchmarkRun = Answer<"GET", "/performance/history">["runs"][number]

/** What every failure says. */
export interface Failure {
  readonly error: string
  readonly error_code: string
  readonly context?: { readonly [name: string]: unknown }
}
