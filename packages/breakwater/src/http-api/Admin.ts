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
 * - It shows and changes the `Configuration` that is provided, for example by
 *   `Configuration.layer()`. Without one it is that of the code, and a reload
 *   reads no environment.
 *
 * **Gotchas**
 *
 * An answer is private: it is never cached, and no other origin may read it.
 *
 * A reload reads the `ConfigProvider` that the admin API was built with: provide
 * the same one to it and to `Configuration.layer`.
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
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiSwagger from "effect/http-api/HttpApiSwagger"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Errors from "../Errors.ts"
import type { Resilience } from "../Resilience.ts"
import { AdminApi, Authorization, Failures, Operation } from "./AdminApi.ts"
import * as AdminHandlers from "./AdminHandlers.ts"
import * as AdminKeys from "./AdminKeys.ts"
import * as Audit from "./Audit.ts"
import * as Commands from "./Commands.ts"
import * as EventStreams from "./EventStreams.ts"
import * as auditHandlers from "./internal/auditHandlers.ts"
import * as body from "./internal/body.ts"
import * as door from "./internal/door.ts"
import * as failure from "./internal/failure.ts"
import * as probes from "./internal/probes.ts"
import * as routes from "./internal/routes.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The OpenAPI document and its page: `open` (default), `closed` for those without a key, or `none`. */
  readonly docs?: "open" | "closed" | "none" | undefined
  /**
   * Names by which the server is called, beside `127.0.0.1`, `localhost` and `[::1]`: `name` for the port of the
   * server, `name:port` for another one.
   */
  readonly hosts?: ReadonlyArray<string> | undefined
  /** `/livez` and `/readyz`. `false` if the application has its own. Default: true. */
  readonly probes?: boolean | undefined
  /** What `/readyz` says. Whatever fails, or takes longer than a second, is not ready. Default: ready. */
  readonly ready?: Effect.Effect<boolean> | undefined
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
    if (AdminKeys.includes(caller.value.scope, needed)) return yield* body.checked(handler)
    return yield* new Errors.AuthorizationError({
      message: "The API key does not have the scope that this needs",
      context: { required_scope: needed, scope: caller.value.scope }
    })
  })

const middleware = Layer.mergeAll(
  Layer.succeed(Authorization, Authorization.of({ bearer: enter, apiKey: enter })),
  Layer.succeed(Failures, (handler) => Effect.catchCause(handler, failure.respondKnown))
)

const handlers = Layer.mergeAll(AdminHandlers.layer, auditHandlers.layer).pipe(
  Layer.provide(middleware),
  Layer.provide(Commands.Commands.layer),
  Layer.provide(EventStreams.EventStreams.layer),
  Layer.provide(body.limit)
)

/**
 * The routes of the admin API.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}) => layerWith(options, { isAlone: false })

/** @internal */
export const layerWith = (options: Options, { isAlone }: { readonly isAlone: boolean }) => {
  const { docs = "open", hosts = [], probes: hasProbes = true, ready = Effect.succeed(true) } = options
  return Layer.mergeAll(
    HttpApiBuilder.layer(AdminApi, docs === "none" ? {} : { openapiPath: routes.openApiPath }).pipe(
      Layer.provide(handlers)
    ),
    docs === "none" ? Layer.empty : HttpApiSwagger.layer(AdminApi, { path: routes.docsPath }),
    hasProbes ? probes.layer(ready) : Layer.empty,
    door.withoutRoute
  ).pipe(
    Layer.provide(door.beforeRoutes({ docsAreOpen: docs === "open" })),
    Layer.provide(door.layer({ hosts, isAlone, hasProbes })),
    Layer.provide(Audit.Audit.layer)
  )
}

/**
 * A web handler, for any server that speaks `Request` and `Response`. Call
 * `dispose` when it is no longer needed.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toWebHandler = <E>(
  services: Layer.Layer<Resilience | AdminKeys.AdminKeys, E>,
  options: Options = {}
): { readonly handler: (request: Request) => Promise<Response>; readonly dispose: () => Promise<void> } => {
  const { dispose, handler } = HttpRouter.toWebHandler(
    layerWith(options, { isAlone: true }).pipe(Layer.provide(services), Layer.provide(HttpServer.layerServices)),
    { disableLogger: true }
  )
  return { dispose, handler: (request) => handler(request) }
}
