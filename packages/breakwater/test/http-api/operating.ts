/** An admin API over running operations, called as a client calls it. */
import { assert } from "@effect/vitest"
import { Clock, Effect, Layer, Logger, Redacted, Schema, type Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { Admin, AdminError, AdminKeys } from "../../src/http-api/index.ts"
import * as Preset from "../../src/Preset.ts"
import { Registry, RegistryInForce } from "../../src/Registry.ts"
import { Resilience, withResilience } from "../../src/Resilience.ts"
import * as Strategy from "../../src/Strategy.ts"

export const secrets = {
  read: "key-that-reads-0001",
  operate: "key-that-operates-1",
  admin: "key-that-does-all-1"
} as const

export const root = "/internal/resilience"

export interface Init {
  readonly method?: string
  readonly key?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
  readonly signal?: AbortSignal
}

export interface App {
  readonly call: (path: string, init?: Init) => Effect.Effect<Response>
  /** The body of a success. */
  readonly get: (path: string, init?: Init) => Effect.Effect<any>
  readonly post: (path: string, body?: unknown, init?: Init) => Effect.Effect<any>
  /** The context of a failure with that status. */
  readonly refused: (status: number, path: string, init?: Init) => Effect.Effect<any>
  readonly audit: Effect.Effect<ReadonlyArray<any>>
}

export const app = (
  services: Layer.Layer<never, never, Resilience> = Layer.empty
): Effect.Effect<App, never, Resilience | Scope.Scope> =>
  Effect.gen(function* () {
    const resilience = yield* Resilience
    const registry = yield* Registry
    const clock = yield* Clock.Clock
    const keys = AdminKeys.AdminKeys.layer([
      { key: Redacted.make(secrets.read), scope: "read" },
      { key: Redacted.make(secrets.operate), scope: "operate" },
      { key: Redacted.make(secrets.admin) }
    ])
    const web = HttpRouter.toWebHandler(
      Admin.layer().pipe(
        Layer.provide(services),
        Layer.provide(keys),
        Layer.provide(Layer.succeed(Resilience, resilience)),
        Layer.provide(Layer.succeed(RegistryInForce, registry)),
        Layer.provide(HttpServer.layerServices),
        Layer.provideMerge(Logger.layer([])),
        Layer.provideMerge(Layer.succeed(Clock.Clock, clock))
      ),
      { disableLogger: true }
    )
    yield* Effect.addFinalizer(() => Effect.promise(web.dispose))
    const call: App["call"] = (path, { body, headers, key = secrets.admin, method = "GET", signal } = {}) =>
      Effect.promise(() =>
        web.handler(
          new Request(`http://localhost${root}${path}`, {
            method,
            headers: {
              "x-api-key": key,
              ...(body === undefined ? {} : { "content-type": "application/json" }),
              ...headers
            },
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
            ...(signal === undefined ? {} : { signal })
          })
        )
      )
    const json = (response: Response) => Effect.promise(() => response.json())
    const get: App["get"] = (path, init) =>
      Effect.gen(function* () {
        const response = yield* call(path, init)
        const body = yield* json(response)
        assert.strictEqual(response.status, 200, JSON.stringify(body))
        return body
      })
    // What the layers build is there from the first request on.
    yield* call("/health")
    return {
      call,
      get,
      post: (path, body, init) => get(path, { method: "POST", body, ...init }),
      refused: (status, path, init) =>
        Effect.gen(function* () {
          const response = yield* call(path, init)
          const body = (yield* json(response)) as any
          assert.strictEqual(response.status, status, JSON.stringify(body))
          assert.strictEqual(body.error_code, AdminError.codeOf(status))
          assert.isString(body.error)
          assert.containsAllKeys(body.context, ["endpoint", "operation", "request_id", "timestamp"])
          return body.context
        }),
      audit: get("/audit?limit=1000")
    }
  })

/** JSON is what its schema says, and nothing more. */
export const decodes = (schema: Schema.Codec<any, any>, body: unknown) =>
  Schema.decodeUnknownEffect(schema)(body, { onExcessProperty: "error" })

export const Fragile = Strategy.make("fragile", {
  extends: "aggressive",
  retry: false,
  circuitBreaker: { failureThreshold: 2, openDuration: "30 seconds" }
})

export const operations = ["ai_service", "text_processing", "summarize_text"].map((name) => ({
  name,
  strategy: Fragile
}))

export const live = Resilience.layer(Preset.production, { operations })

export const succeed = (operation: string) => Effect.succeed("fine").pipe(withResilience(Fragile, { operation }))
export const fail = (operation: string) => Effect.exit(Effect.fail("down").pipe(withResilience(Fragile, { operation })))
export const open = (operation: string) => Effect.andThen(fail(operation), fail(operation))
