/**
 * Serves the admin API on a port of its own, so that load on one port does not
 * starve the other.
 *
 * **Details**
 *
 * - `layer` answers on the `HttpServer` that it is given. Every path is its
 *   own: whatever is not the admin API is 404.
 * - `create` makes a `node:http` server that is fit to be that: bounded in
 *   headers, time and connections, and with the envelope of the API also for
 *   requests that Node can not parse. It is typed by what it needs of Node, and
 *   imports nothing.
 *
 * **Gotchas**
 *
 * Listen on `127.0.0.1` unless others have to reach the API. Then name the
 * hosts by which they do, in `hosts`: requests to other names are refused.
 *
 * Node before 24.9 has no way to refuse `Upgrade`: there it hands such a
 * connection over, and none of the times end it.
 *
 * On a server that is not from `create`, Node drops all but the first of
 * several `Authorization` headers, and looks for slow connections only twice a
 * minute.
 *
 * **Example** (On Node, with the keys of the environment)
 *
 * ```ts no-run
 * import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
 * import { Layer } from "effect"
 * import { Preset, Resilience } from "breakwater"
 * import { AdminKeys, AdminServer } from "breakwater/http-api"
 * import { createServer } from "node:http"
 *
 * const Server = NodeHttpServer.layer(() => AdminServer.create(createServer), { port: 9090, host: "127.0.0.1" })
 *
 * const Admin = AdminServer.layer().pipe(
 *   Layer.provide(AdminKeys.AdminKeys.layerConfig),
 *   Layer.provide(Server),
 *   Layer.provide(Resilience.layer(Preset.production))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as Layer from "effect/Layer"
import type { Resilience } from "../Resilience.ts"
import * as Admin from "./Admin.ts"
import * as AdminKeys from "./AdminKeys.ts"
import { maxHeaderBytes } from "./internal/limits.ts"
import * as parserFailure from "./internal/parserFailure.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options extends Admin.Options {
  /** The keys. Default: those of the service `AdminKeys`. */
  readonly keys?: ReadonlyArray<AdminKeys.Key> | undefined
  /** Routes beside those of the API, such as `Dashboard.layer`. Those below `/internal` are open. */
  readonly routes?: Layer.Layer<never, never, HttpRouter.HttpRouter> | undefined
}

/**
 * Serves the admin API, and nothing else.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: {
  /**
   * Serves the admin API, and nothing else.
   *
   * @category layers
   * @since 0.1.0
   */
  (
    options: Options & { readonly keys: ReadonlyArray<AdminKeys.Key> }
  ): Layer.Layer<never, never, HttpServer.HttpServer | Resilience>
  /**
   * Serves the admin API, and nothing else.
   *
   * @category layers
   * @since 0.1.0
   */
  (options?: Options): Layer.Layer<never, never, HttpServer.HttpServer | Resilience | AdminKeys.AdminKeys>
} = (given?: Options) => {
  const options = given ?? {}
  let hasMiddleware = false
  // A middleware of theirs for all routes sees every request, hence none may go past the router.
  const noting = Layer.effect(
    HttpRouter.HttpRouter,
    Effect.map(HttpRouter.HttpRouter, (router) =>
      HttpRouter.HttpRouter.of({
        ...router,
        addGlobalMiddleware: (middleware) => {
          hasMiddleware = true
          return router.addGlobalMiddleware(middleware)
        }
      })
    )
  )
  const admin = Admin.layerWith(options, { isAlone: true, hasMiddleware: () => hasMiddleware }).pipe(
    Layer.provide(HttpServer.layerServices)
  )
  const routes = Layer.mergeAll(admin, Layer.provide(options.routes ?? Layer.empty, noting))
  const served = HttpRouter.serve(
    options.keys === undefined ? routes : Layer.provide(routes, AdminKeys.AdminKeys.layer(options.keys)),
    { disableLogger: true, disableListenLog: true }
  )
  return served as Layer.Layer<never, never, HttpServer.HttpServer | Resilience>
}

/**
 * The options of `node:http`'s `createServer`. Times are in milliseconds.
 *
 * **Details**
 *
 * A connection that sends nothing is closed after `headersTimeout`. Node looks
 * every `connectionsCheckingInterval`.
 *
 * @category node
 * @since 0.1.0
 */
export const nodeOptions = {
  headersTimeout: 10_000,
  requestTimeout: 15_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: maxHeaderBytes,
  insecureHTTPParser: false,
  requireHostHeader: true,
  // Two `Authorization` headers are one that is wrong, and not the first of them.
  joinDuplicateHeaders: true
} as const

/**
 * The connections that are open at once.
 *
 * @category node
 * @since 0.1.0
 */
export const maxConnections = 256

/**
 * What `harden` needs of a `node:http` server.
 *
 * @category node
 * @since 0.1.0
 */
export interface NodeServer {
  headersTimeout: number
  requestTimeout: number
  keepAliveTimeout: number
  maxConnections?: number | undefined
  // Node's own listeners are typed by event.
  on(event: string, listener: (...args: ReadonlyArray<any>) => void): unknown
}

/**
 * The limits that can be chosen. Times are in milliseconds.
 *
 * @category node
 * @since 0.1.0
 */
export interface Limits {
  /** Default 10,000. */
  readonly headersTimeout?: number | undefined
  /** Default 15,000. */
  readonly requestTimeout?: number | undefined
  /** Default 5,000. */
  readonly keepAliveTimeout?: number | undefined
  /** Default 1,000. */
  readonly connectionsCheckingInterval?: number | undefined
  /** Default 256. */
  readonly maxConnections?: number | undefined
}

interface Socket {
  readonly writable: boolean
  readonly _httpMessage?: { readonly headersSent: boolean } | null | undefined
  readonly end: (text: string, done: () => void) => unknown
  readonly destroy: () => unknown
}

interface Response {
  readonly writeHead: (status: number, headers: Readonly<Record<string, string>>) => unknown
  readonly end: (body: string) => unknown
}

/**
 * Makes a `node:http` server with the limits of an admin API.
 *
 * @category node
 * @since 0.1.0
 */
export const create = <S extends NodeServer>(
  createServer: (options: { -readonly [Name in keyof typeof nodeOptions]: Widen<(typeof nodeOptions)[Name]> }) => S,
  limits: Limits = {}
): S => {
  const {
    connectionsCheckingInterval = nodeOptions.connectionsCheckingInterval,
    headersTimeout = nodeOptions.headersTimeout,
    keepAliveTimeout = nodeOptions.keepAliveTimeout,
    requestTimeout = nodeOptions.requestTimeout
  } = limits
  const times = { connectionsCheckingInterval, headersTimeout, keepAliveTimeout, requestTimeout }
  return harden(createServer({ ...nodeOptions, ...times }), limits)
}

type Widen<A> = A extends number ? number : boolean

/**
 * Puts the limits on a `node:http` server that exists, and lets it answer what
 * it can not parse with the envelope. How often Node looks for slow connections
 * can not be set any more: prefer `create`.
 *
 * @category node
 * @since 0.1.0
 */
export const harden = <S extends NodeServer>(server: S, limits: Limits = {}): S => {
  server.headersTimeout = limits.headersTimeout ?? nodeOptions.headersTimeout
  server.requestTimeout = limits.requestTimeout ?? nodeOptions.requestTimeout
  server.keepAliveTimeout = limits.keepAliveTimeout ?? nodeOptions.keepAliveTimeout
  server.maxConnections = limits.maxConnections ?? maxConnections
  // Node reads these for each connection, and declares them for none.
  Object.assign(server, {
    maxHeaderSize: nodeOptions.maxHeaderSize,
    joinDuplicateHeaders: true,
    // Nothing here changes the protocol, and a connection that Node hands over for that has none of the limits.
    shouldUpgradeCallback: () => false
  })
  server.on("clientError", (error: { readonly code?: string }, socket: Socket) => {
    // A response that has begun can only be cut off, and who has reset the connection reads none.
    if (!socket.writable || error.code === "ECONNRESET" || socket._httpMessage?.headersSent === true) {
      socket.destroy()
    } else {
      socket.end(parserFailure.render(facts(error.code)), () => void socket.destroy())
    }
  })
  server.on("checkExpectation", (_request: unknown, response: Response) => {
    const { body, headers, status } = parserFailure.answer(facts("UNKNOWN_EXPECTATION"))
    response.writeHead(status, headers)
    response.end(body)
  })
  return server
}

const facts = (code: string | undefined): parserFailure.Facts => ({
  code,
  requestId: SecureRandom.uuidV4Unsafe(),
  timestamp: DateTime.formatIso(DateTime.nowUnsafe())
})

/**
 * The whole response to a request that Node can not parse, as it goes over the
 * wire.
 *
 * @category node
 * @since 0.1.0
 */
export const renderParserFailure: (facts: {
  /** The `code` of Node's error. */
  readonly code: string | undefined
  readonly requestId: string
  readonly timestamp: string
}) => string = parserFailure.render
