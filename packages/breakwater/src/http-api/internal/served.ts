/**
 * The admin API as it is served: the endpoints of `AdminApi` behind one plain
 * middleware. Clients and documents need to know how a key is sent. Here the
 * door has read it, and to read it again would cost more than most handlers.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpApi from "effect/http-api/HttpApi"
import type * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Errors from "../../Errors.ts"
import { endpoints, keyErrors, Operation, requestErrors } from "../AdminApi.ts"
import * as AdminKeys from "../AdminKeys.ts"
import * as body from "./body.ts"
import * as failure from "./failure.ts"

/**
 * Lets a request in whose key has the scope that its endpoint needs, and writes
 * every failure as one envelope.
 *
 * @internal
 */
export class Entrance extends HttpApiMiddleware.Service<Entrance>()("breakwater/http-api/Entrance", {
  error: [...keyErrors, ...requestErrors]
}) {
  static readonly layer: Layer.Layer<Entrance> = Layer.succeed(Entrance, (handler, { endpoint }) => {
    // An endpoint without a scope needs the highest.
    const needed = Context.getOrUndefined(endpoint.annotations, Operation)?.scope ?? "admin"
    const checked = endpoint.method === "GET" ? handler : body.checked(handler)
    const answered = Effect.catchCause(checked, failure.respondKnown)
    return Effect.withFiber((fiber) => {
      const caller = fiber.getRef(AdminKeys.CurrentCaller)
      if (Option.isNone(caller)) {
        return failure.respond(new Errors.AuthenticationError({ message: "A valid API key is required" }))
      }
      const { scope } = caller.value
      if (AdminKeys.includes(scope, needed)) return answered
      return failure.respond(
        new Errors.AuthorizationError({
          message: "The API key does not have the scope that this needs",
          context: { required_scope: needed, scope }
        })
      )
    })
  })
}

/** @internal */
export type Guarded<Api> =
  Api extends HttpApi.HttpApi<infer Id, infer Groups>
    ? HttpApi.HttpApi<Id, HttpApiGroup.AddMiddleware<Groups, Entrance>>
    : never

/** @internal */
export const Served: Guarded<typeof endpoints> = endpoints.middleware(Entrance)
