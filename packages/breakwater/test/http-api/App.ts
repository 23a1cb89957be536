/**
 * The admin API in memory: requests go in, responses and log lines come out.
 */
import { Clock, Effect, Layer, Logger, Redacted, type Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { Admin, AdminKeys } from "../../src/http-api/index.ts"
import { Registry, RegistryInForce } from "../../src/Registry.ts"
import { Resilience } from "../../src/Resilience.ts"

export const secrets = {
  read: "key-that-reads-0123456789",
  operate: "key-that-operates-0123456789",
  admin: "key-that-does-all-0123456789"
} as const

export const keys = AdminKeys.AdminKeys.layer([
  { key: Redacted.make(secrets.read), scope: "read" },
  { key: Redacted.make(secrets.operate), scope: "operate" },
  { key: Redacted.make(secrets.admin) }
])

export const root = "/internal/resilience"

export interface Init {
  readonly method?: string
  readonly key?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | ReadableStream
}

export interface App {
  readonly call: (path: string, init?: Init) => Effect.Effect<Response>
  readonly body: (path: string, init?: Init) => Effect.Effect<any>
  readonly lines: ReadonlyArray<string>
}

export const json = (response: Response): Effect.Effect<any> => Effect.promise(() => response.json())

export const app = (
  options: {
    readonly keys?: Layer.Layer<AdminKeys.AdminKeys>
    readonly admin?: Admin.Options
    readonly routes?: Layer.Layer<never, never, HttpRouter.HttpRouter>
  } = {}
): Effect.Effect<App, never, Resilience | Scope.Scope> =>
  Effect.gen(function* () {
    const resilience = yield* Resilience
    const registry = yield* Registry
    const lines: Array<string> = []
    const clock = yield* Clock.Clock
    const logger = Logger.layer([Logger.map(Logger.formatJson, (line) => void lines.push(line))])
    const web = HttpRouter.toWebHandler(
      Layer.mergeAll(options.routes ?? Layer.empty, Admin.layer(options.admin)).pipe(
        Layer.provide(options.keys ?? keys),
        Layer.provide(Layer.succeed(Resilience, resilience)),
        Layer.provide(Layer.succeed(RegistryInForce, registry)),
        Layer.provide(HttpServer.layerServices),
        Layer.provideMerge(logger),
        Layer.provideMerge(Layer.succeed(Clock.Clock, clock))
      )
    )
    yield* Effect.addFinalizer(() => Effect.promise(web.dispose))
    const call: App["call"] = (path, { body, headers, key = secrets.admin, method = "GET" } = {}) =>
      Effect.promise(() =>
        web.handler(
          new Request(`http://localhost${path}`, {
            method,
            headers: { ...(key === "" ? {} : { authorization: `Bearer ${key}` }), ...headers },
            ...(body === undefined ? {} : { body, duplex: "half" })
          })
        )
      )
    return { call, lines, body: (path, init) => Effect.flatMap(call(path, init), json) }
  })
