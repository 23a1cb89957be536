/**
 * What every endpoint of the admin API tells about itself, beside its shape.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Schema from "effect/Schema"

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

/**
 * Annotates an endpoint.
 *
 * @category annotations
 * @since 0.1.0
 */
export const operation = (
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
