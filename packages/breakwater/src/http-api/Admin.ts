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
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpApiSwagger from "effect/http-api/HttpApiSwagger"
import * as OpenApi from "effect/http-api/OpenApi"
import * as Layer from "effect/Layer"
import type { Resilience } from "../Resilience.ts"
import { AdminApi } from "./AdminApi.ts"
import * as AdminHandlers from "./AdminHandlers.ts"
import type * as AdminKeys from "./AdminKeys.ts"
import * as Audit from "./Audit.ts"
import * as Commands from "./Commands.ts"
import * as EventStreams from "./EventStreams.ts"
import * as auditHandlers from "./internal/auditHandlers.ts"
import * as body from "./internal/body.ts"
import * as door from "./internal/door.ts"
import * as probes from "./internal/probes.ts"
import { Reads } from "./internal/reads.ts"
import * as routes from "./internal/routes.ts"
import { Entrance, Served } from "./internal/served.ts"
import * as TrustedProxies from "./TrustedProxies.ts"

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
  /**
   * Networks and addresses of proxies that say who the client is, such as `10.0.0.0/8`. Throws `InvalidTrustedProxies`
   * at once. Default: those of the reference `TrustedProxies`, which are none.
   */
  readonly trustedProxies?: ReadonlyArray<string> | undefined
  /** What `/readyz` says. Whatever fails, or takes longer than a second, is not ready. Default: ready. */
  readonly ready?: Effect.Effect<boolean> | undefined
}

const handlers = Layer.mergeAll(AdminHandlers.layer, auditHandlers.layer).pipe(
  Layer.provide(Entrance.layer),
  Layer.provide(Commands.Commands.layer),
  Layer.provide(EventStreams.EventStreams.layer),
  Layer.provide(body.limit)
)

let document: HttpServerResponse.HttpServerResponse | undefined

const documentation = Layer.merge(
  HttpRouter.add(
    "GET",
    routes.openApiPath,
    Effect.sync(() => (document ??= HttpServerResponse.jsonUnsafe(OpenApi.fromApi(AdminApi))))
  ),
  HttpApiSwagger.layer(AdminApi, { path: routes.docsPath })
)

/**
 * The routes of the admin API.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}) => layerWith(options, { isAlone: false })

/** @internal */
export const layerWith = (
  options: Options,
  { hasMiddleware, isAlone }: Pick<door.Options, "hasMiddleware" | "isAlone">
) => {
  const { docs = "open", hosts = [], probes: hasProbes = true, ready = Effect.succeed(true), trustedProxies } = options
  const proxies =
    trustedProxies === undefined
      ? Layer.empty
      : Layer.succeed(TrustedProxies.TrustedProxies, TrustedProxies.make(trustedProxies))
  return Layer.mergeAll(
    HttpApiBuilder.layer(Served).pipe(Layer.provide(handlers)),
    docs === "none" ? Layer.empty : documentation,
    hasProbes ? probes.layer(ready) : Layer.empty,
    door.withoutRoute
  ).pipe(
    Layer.provide(door.beforeRoutes({ docsAreOpen: docs === "open" })),
    Layer.provide(door.layer({ hosts, isAlone, hasMiddleware, hasProbes })),
    Layer.provide(Reads.layer),
    Layer.provide(proxies),
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
