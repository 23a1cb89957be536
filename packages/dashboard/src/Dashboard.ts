/**
 * Serves the dashboard beside the admin API, at `/internal/dashboard`.
 *
 * **Details**
 *
 * - The files of the page are part of this module: a request names one of them
 *   or gets 404, and no path is ever joined.
 * - The page is open, for it holds no secret. It asks for a key of the admin
 *   API, keeps it until its tab is closed, and sends it in a header.
 * - It loads nothing from anywhere else. Its policy allows no inline script and
 *   no text that becomes markup (Trusted Types).
 *
 * **Gotchas**
 *
 * Put it on the router that has the admin API: the page looks for the API beside
 * itself, and the API's check of the `Host` header covers both.
 *
 * **Example** (Beside the admin API)
 *
 * ```ts import.meta.vitest
 * import { Layer, Redacted } from "effect"
 * import { HttpRouter, HttpServer } from "effect/http"
 * import { Preset, Resilience } from "breakwater"
 * import { Admin, AdminKeys } from "breakwater/http-api"
 * import { Dashboard } from "@breakwater/dashboard"
 *
 * const App = Layer.mergeAll(Admin.layer(), Dashboard.layer).pipe(
 *   Layer.provide(Resilience.layer(Preset.production)),
 *   Layer.provide(AdminKeys.AdminKeys.layer([{ key: Redacted.make("0f3c2b7e") }])),
 *   Layer.provide(HttpServer.layerServices)
 * )
 *
 * const { handler } = HttpRouter.toWebHandler(App, { disableLogger: true })
 * const response = await handler(new Request("http://localhost/internal/dashboard"))
 * response.headers.get("content-type") // => "text/html; charset=utf-8"
 * ```
 *
 * **Example** (On the port of the admin API alone)
 *
 * ```ts no-run
 * import { AdminServer } from "breakwater/http-api"
 * import { Dashboard } from "@breakwater/dashboard"
 *
 * const Served = AdminServer.layer({ routes: Dashboard.layer })
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import { type Asset, assets, root } from "./internal/page.generated.js"

/**
 * Where the page is.
 *
 * @category constants
 * @since 0.1.0
 */
export const path: string = root

/**
 * What a browser may do with the page: run its one script, use its one style
 * sheet, and talk to its own origin.
 *
 * @category constants
 * @since 0.1.0
 */
export const contentSecurityPolicy: string = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'"
].join("; ")

const headers = {
  "content-security-policy": contentSecurityPolicy,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
  "referrer-policy": "no-referrer",
  vary: "Accept-Encoding, Origin",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

/** A coding with `q=0` is refused by name. */
const takesGzip = (accepted: string | undefined): boolean =>
  accepted !== undefined &&
  accepted.split(",").some((coding) => /^\s*(gzip|\*)\s*(;\s*q=(?!0(\.0*)?\s*$).*)?$/i.test(coding))

const isKnown = (etag: string, ifNoneMatch: string | undefined): boolean =>
  ifNoneMatch !== undefined &&
  ifNoneMatch.split(",").some((tag) => ["*", etag].includes(tag.trim().replace(/^W\//, "")))

const respond = (asset: Asset) => {
  const plain = new TextEncoder().encode(asset.text)
  // The module was written with it.
  const gzip = Result.getOrThrow(Base64.decode(asset.gzip))
  const common = {
    ...headers,
    etag: asset.etag,
    "cache-control": asset.isImmutable ? "public, max-age=31536000, immutable" : "no-cache"
  }
  return (request: HttpServerRequest.HttpServerRequest) => {
    if (isKnown(asset.etag, request.headers["if-none-match"])) {
      return HttpServerResponse.empty({ status: 304, headers: common })
    }
    return takesGzip(request.headers["accept-encoding"])
      ? HttpServerResponse.uint8Array(gzip, {
          contentType: asset.type,
          headers: { ...common, "content-encoding": "gzip" }
        })
      : HttpServerResponse.uint8Array(plain, { contentType: asset.type, headers: common })
  }
}

/**
 * Adds the page to the router of an application.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter> = HttpRouter.addAll(
  Array.from(assets, ([path, asset]) => {
    const answer = respond(asset)
    return HttpRouter.route("GET", path as HttpRouter.PathInput, (request) => Effect.succeed(answer(request)))
  })
)
