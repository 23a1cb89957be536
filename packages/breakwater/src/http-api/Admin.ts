/**
 * Puts the admin API on an application's router.
 *
 * **Details**
 *
 * - `/internal/resilience/*` needs a key: `Authorization: Bearer <key>` or
 *   `X-API-Key: <key>`.
 * - `/internal/openapi.json` and `/internal/docs` are open unless `docs` says
 *   otherwise.
 * - Other paths below `/internal` answer 404 with the same envelope. Routes of
 *   the application below `/internal` go first. All other paths are left alone.
 *
 * **Gotchas**
 *
 * An answer is private: it is never cached, and no other origin may read it.
 *
 * **Example** (Beside the routes of an application)
 *
 * ```ts import.meta.vitest
 * import { Layer, Redacted } from "effect"
 * import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
 * import { Preset, Resilience } from "breakwater"
 * import { Admin, AdminKeys } from "breakwater/http-api"
 *
 * const App = Layer.mergeAll(
 *   HttpRouter.add("GET", "/", HttpServerResponse.text("hello")),
 *   Admin.layer()
 * ).pipe(
 *   Layer.provide(Resilience.layer(Preset.production)),
 *   Layer.provide(AdminKeys.AdminKeys.layer([{ key: Redacted.make("0f3c2b7e") }])),
 *   Layer.provide(HttpServer.layerServices)
 * )
 *
 * const { handler } = HttpRouter.toWebHandler(App, { disableLogger: true })
 * const request = new Request("http://localhost/internal/resilience/health", { headers: { "x-api-key": "0f3c2b7e" } })
 * const response = await handler(request)
 * response.status // => 200
 * ```
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiSwagger from "effect/http-api/HttpApiSwagger"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Errors from "../Errors.ts"
import { AdminApi, Authorization, Failures, Operation } from "./AdminApi.ts"
import * as AdminHandlers from "./AdminHandlers.ts"
import * as AdminKeys from "./AdminKeys.ts"
import * as door from "./internal/door.ts"
import * as failure from "./internal/failure.ts"
import * as routes from "./internal/routes.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The OpenAPI document and its page: `open` (default), `closed` for those without a key, or `none`. */
  readonly docs?: "open" | "closed" | "none" | undefined
}

type HttpEffect = Parameters<Authorization["Service"]["bearer"]>[0]

// The door has checked the key before the body was read. Here only its scope is
// left, so both ways to send a key do the same.
const enter = (handler: HttpEffect, { endpoint }: Parameters<Authorization["Service"]["bearer"]>[1]) =>
  Effect.gen(function* () {
    const caller = yield* AdminKeys.CurrentCaller
    if (Option.isNone(caller)) {
      return yield* new Errors.AuthenticationError({ message: "A valid API key is required" })
    }
    const needed = Context.getOrUndefined(endpoint.annotations, Operation)?.scope ?? "admin"
    if (AdminKeys.includes(caller.value.scope, needed)) return yield* handler
    return yield* new Errors.AuthorizationError({
      message: "The API key does not have the scope that this needs",
      context: { required_scope: needed, scope: caller.value.scope }
    })
  })

const middleware = Layer.mergeAll(
  Layer.succeed(Authorization, Authorization.of({ bearer: enter, apiKey: enter })),
  Layer.succeed(Failures, (handler) => Effect.catchCause(handler, failure.respondKnown))
)

const handlers = AdminHandlers.layer.pipe(
  Layer.provide(middleware),
  Layer.provide(Layer.succeed(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(door.maxBodyBytes)))
)

/**
 * The routes of the admin API.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}) => {
  const docs = options.docs ?? "open"
  return Layer.mergeAll(
    HttpApiBuilder.layer(AdminApi, docs === "none" ? {} : { openapiPath: routes.openApiPath }).pipe(
      Layer.provide(handlers)
    ),
    docs === "none" ? Layer.empty : HttpApiSwagger.layer(AdminApi, { path: routes.docsPath }),
    door.withoutRoute
  ).pipe(Layer.provide(door.beforeRoutes({ docsAreOpen: docs === "open" })), Layer.provide(door.layer))
}
