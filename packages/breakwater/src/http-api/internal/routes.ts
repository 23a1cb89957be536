/**
 * The routes of the admin API as data: what each is called, and which methods a
 * path has.
 */
import * as Context from "effect/Context"
import * as FindMyWay from "effect/http/FindMyWay"
import * as HttpApi from "effect/http-api/HttpApi"
import { AdminApi, Operation } from "../AdminApi.ts"
import * as AdminError from "../AdminError.ts"
import { maxUrlLength } from "./limits.ts"
import { root } from "./paths.ts"
import type { Facts } from "./visit.ts"

/** @internal */
interface Route extends Facts {
  readonly method: string
  readonly path: string
}

const list: Array<Route> = []
HttpApi.reflect(AdminApi, {
  onGroup: () => {},
  onEndpoint: ({ endpoint }) => {
    const operation = Context.getOrUndefined(endpoint.annotations, Operation)
    // An endpoint without a scope needs the highest.
    const isRead = endpoint.method === "GET" || operation?.scope === "read"
    list.push({
      method: endpoint.method,
      path: endpoint.path,
      endpoint: operation?.endpoint ?? endpoint.identifier,
      operation: operation?.operation ?? endpoint.identifier,
      isWrite: !isRead
    })
  }
})

const keyOf = (method: string, path: string): string => `${method} ${path}`

const byKey: ReadonlyMap<string, Facts> = new Map(list.map((route) => [keyOf(route.method, route.path), route]))

// A path may be written in many ways, with capitals, escapes or two slashes. The router that reads the routes of the
// application reads them here too, or a path would be closed in one way and open in another.
const reader = <A>() => FindMyWay.make<A>({ maxParamLength: maxUrlLength })

const finder = reader<Route>()
for (const route of list) finder.on(route.method, route.path as FindMyWay.PathInput, route)

/** @internal */
export const openApiPath = "/internal/openapi.json"

/** @internal */
export const docsPath = "/internal/docs"

export { root } from "./paths.ts"

/** @internal */
export const livePath = "/livez"

/** @internal */
export const readyPath = "/readyz"

/** @internal */
export const unknown: Facts = { endpoint: "unknown_route", operation: "route_lookup" }
const documentation: ReadonlyMap<string, Facts> = new Map([
  [openApiPath, { endpoint: "get_openapi_document", operation: "documentation_retrieval" }],
  [docsPath, { endpoint: "get_documentation", operation: "documentation_retrieval" }]
])

const probes: ReadonlyMap<string, Facts> = new Map([
  [livePath, { endpoint: "get_liveness", operation: "liveness_probe" }],
  [readyPath, { endpoint: "get_readiness", operation: "readiness_probe" }]
])

const factsByRoute = new WeakMap<object, Facts>()

/** What the route is called that the router chose. @internal */
export const factsOf = (route: { readonly method: string; readonly path: string }): Facts => {
  let facts = factsByRoute.get(route)
  if (facts === undefined) {
    facts =
      byKey.get(keyOf(route.method, route.path)) ?? documentation.get(route.path) ?? probes.get(route.path) ?? unknown
    factsByRoute.set(route, facts)
  }
  return facts
}

/** Whether a route belongs to the documentation. @internal */
export const isDocumentation = (route: { readonly path: string }): boolean => documentation.has(route.path)

const methodsOf = (path: string): ReadonlyArray<string> => {
  const methods = probes.has(path)
    ? ["GET"]
    : Array.from(new Set(list.map(({ method }) => method))).filter((method) => finder.find(method, path) !== undefined)
  return methods.includes("GET") ? [...methods, "HEAD"] : methods
}

const pathOf = (url: string): string => {
  const query = url.indexOf("?")
  const path = query < 0 ? url : url.slice(0, query)
  const fragment = path.indexOf("#")
  return fragment < 0 ? path : path.slice(0, fragment)
}

const openPaths: ReadonlySet<string> = new Set(["/internal/*", livePath, readyPath])

/** Whether a route of ours needs no key. Wherever else it was put, it needs one. @internal */
export const isOpen = (route: { readonly path: string }): boolean => openPaths.has(route.path)

const isBelow = (path: string, parent: string): boolean => path === parent || path.startsWith(`${parent}/`)

const ourPlace = "/internal"

type Place = "guarded" | "ours"

const places = reader<Place>()
for (const [path, place] of [
  [ourPlace, "ours"],
  [root, "guarded"]
] as const) {
  places.on("GET", path, place)
  places.on("GET", `${path}/*`, place)
}

/** Whether a path is ours to answer. @internal */
export const isOurs = (url: string): boolean => {
  const path = pathOf(url)
  return isBelow(path, ourPlace) || places.find("GET", path) !== undefined
}

/** Whether a path says if the process is alive or ready. @internal */
export const isProbe = (url: string): boolean => probes.has(pathOf(url))

/** What a request that was not routed yet will find. @internal */
export const factsOfRequest = ({ method, url }: { readonly method: string; readonly url: string }): Facts => {
  const path = pathOf(url)
  const sought = method === "HEAD" ? "GET" : method
  return (
    byKey.get(keyOf(sought, path)) ??
    finder.find(sought, path)?.handler ??
    documentation.get(path) ??
    probes.get(path) ??
    unknown
  )
}

/** What a request is about, for the audit log. @internal */
export const resourceOf = (url: string): string => {
  const path = pathOf(url)
  return isBelow(path, root) ? path.slice(root.length + 1) : (places.find("GET", path)?.params["*"] ?? path)
}

/** Whether a path needs a key. @internal */
export const isGuarded = (url: string): boolean => {
  const path = pathOf(url)
  return isBelow(path, root) || places.find("GET", path)?.handler === "guarded"
}

/** Why no route has a request. @internal */
export const refusal = (request: { readonly method: string; readonly url: string }): AdminError.AdminError => {
  const methods = methodsOf(pathOf(request.url))
  // With the right method the path was refused for another reason, such as a name beyond the router's limit.
  return methods.length === 0 || methods.includes(request.method)
    ? new AdminError.NotFoundError({ message: "There is nothing at this path" })
    : new AdminError.MethodNotAllowedError({
        message: "This path does not have this method",
        context: { allowed_methods: methods }
      })
}
