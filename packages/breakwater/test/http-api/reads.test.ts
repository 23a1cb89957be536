/** Reads that go past the router are answered as if they did not. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Layer, Logger, type Scope } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { layerWith, type Options } from "../../src/http-api/Admin.ts"
import * as Preset from "../../src/Preset.ts"
import { Registry, RegistryInForce } from "../../src/Registry.ts"
import { Resilience } from "../../src/Resilience.ts"
import { keys, root, secrets } from "./App.ts"

const live = Resilience.layer(Preset.production, { operations: ["summarize_text", "answer_question"] })

const paths = ["/health", "/circuit-breakers"]

interface Init {
  readonly method?: string
  readonly headers?: Record<string, string>
}

/** A server that is all ours. */
const alone = (
  given: { readonly admin?: Options; readonly before?: Layer.Layer<never> } = {}
): Effect.Effect<
  { readonly call: (path: string, init?: Init) => Effect.Effect<Response>; readonly lines: ReadonlyArray<string> },
  never,
  Resilience | Scope.Scope
> =>
  Effect.gen(function* () {
    const resilience = yield* Resilience
    const registry = yield* Registry
    const clock = yield* Clock.Clock
    const lines: Array<string> = []
    const web = HttpRouter.toWebHandler(
      layerWith(given.admin ?? {}, { isAlone: true }).pipe(
        Layer.provide(given.before ?? Layer.empty),
        Layer.provide(keys),
        Layer.provide(Layer.succeed(Resilience, resilience)),
        Layer.provide(Layer.succeed(RegistryInForce, registry)),
        Layer.provide(HttpServer.layerServices),
        Layer.provideMerge(Logger.layer([Logger.map(Logger.formatJson, (line) => void lines.push(line))])),
        Layer.provideMerge(Layer.succeed(Clock.Clock, clock))
      ),
      { disableLogger: true }
    )
    yield* Effect.addFinalizer(() => Effect.promise(web.dispose))
    const call = (path: string, { headers = { "x-api-key": secrets.read }, method = "GET" }: Init = {}) =>
      Effect.promise(() => web.handler(new Request(`http://localhost${root}${path}`, { method, headers })))
    return { call, lines }
  })

const contents = (response: Response) =>
  Effect.map(
    Effect.promise(() => response.text()),
    (text) => ({ status: response.status, headers: Object.fromEntries(response.headers), text })
  )

describe("a read past the router", () => {
  it.effect("has the answer and the headers of one with parameters, which goes through it", () =>
    Effect.gen(function* () {
      const { call } = yield* alone()
      const headers = { "x-api-key": secrets.read, "x-request-id": "one" }
      for (const path of paths) {
        const past = yield* Effect.flatMap(call(path, { headers }), contents)
        const through = yield* Effect.flatMap(call(`${path}?`, { headers }), contents)
        assert.strictEqual(past.status, 200)
        assert.deepStrictEqual(past, through)
        assert.strictEqual(past.headers["x-request-id"], "one")
        assert.strictEqual(past.headers["cache-control"], "no-store")
      }
    }).pipe(Effect.provide(live))
  )

  it.effect("is refused like one that goes through it", () =>
    Effect.gen(function* () {
      for (const path of paths) {
        for (const [status, init] of [
          [401, { headers: {} }],
          [401, { headers: { "x-api-key": "a-wrong-key-0123456789" } }],
          [401, { headers: { "x-api-key": secrets.read, authorization: `Bearer ${secrets.admin}` } }],
          [421, { headers: { "x-api-key": secrets.read, host: "evil.example" } }],
          [403, { headers: { "x-api-key": secrets.read, origin: "http://evil.example" } }],
          [413, { headers: { "x-api-key": secrets.read, "content-length": "65537" } }],
          [405, { headers: { "x-api-key": secrets.read }, method: "DELETE" }],
          [200, { headers: { "x-api-key": secrets.read }, method: "HEAD" }]
        ] as const) {
          const { call } = yield* alone()
          const headers = { ...init.headers, "x-request-id": "one" }
          const past = yield* Effect.flatMap(call(path, { ...init, headers }), contents)
          const through = yield* Effect.flatMap(call(`${path}?`, { ...init, headers }), contents)
          assert.strictEqual(past.status, status)
          assert.deepStrictEqual(past, through)
        }
      }
    }).pipe(Effect.provide(live))
  )

  it.effect("that fails is answered and logged with the facts of its endpoint", () =>
    Effect.gen(function* () {
      const registry = yield* Registry
      const { call, lines } = yield* alone().pipe(
        Effect.provideService(RegistryInForce, {
          ...registry,
          states: Effect.die(new Error("postgres://user:hunter2@db"))
        })
      )
      const headers = { "x-api-key": secrets.read, "x-request-id": "one" }
      const { status, text } = yield* Effect.flatMap(call("/health", { headers }), contents)
      assert.strictEqual(status, 500)
      assert.notInclude(text, "hunter2")
      assert.deepInclude(JSON.parse(text).context, { endpoint: "get_resilience_health", request_id: "one" })
      const line = lines.find((line) => line.includes("hunter2")) ?? ""
      assert.include(line, '"request_id":"one"')
      assert.include(line, '"endpoint":"get_resilience_health"')
      assert.match(line, /"key":"[0-9a-f]{6}"/)
    }).pipe(Effect.provide(live))
  )

  it.effect("waits with the others for a place among those that are handled", () =>
    Effect.gen(function* () {
      const latch = yield* Deferred.make<void>()
      const registry = yield* Registry
      let isHeld = false
      const { call } = yield* alone().pipe(
        Effect.provideService(RegistryInForce, {
          ...registry,
          states: Effect.suspend(() =>
            isHeld ? Effect.andThen(Deferred.await(latch), registry.states) : registry.states
          )
        })
      )
      isHeld = true
      const waiting = yield* Effect.forEach(Array.from({ length: 33 }), () => Effect.forkChild(call("/health")))
      const answered = () => waiting.map((fiber) => fiber.pollUnsafe()).filter((exit) => exit !== undefined)
      while (answered().length < 1) {
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* TestClock.adjust("250 millis")
      }
      yield* Deferred.succeed(latch, undefined)
      const statuses = (yield* Effect.forEach(waiting, Fiber.join)).map(({ status }) => status)
      assert.deepStrictEqual(
        statuses.toSorted((a, b) => a - b),
        [...Array.from({ length: 32 }, () => 200), 503]
      )
    }).pipe(Effect.provide(live))
  )

  it.effect("is left to the router where the application puts a middleware before the routes", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const before = HttpRouter.middleware((handler) =>
        Effect.flatMap(HttpRouter.RouteContext, ({ route }) => {
          seen.push(route.path)
          return Effect.map(handler, HttpServerResponse.setHeader("x-seen", "yes"))
        })
      ).layer
      const { call } = yield* alone({ before })
      for (const path of paths) {
        const response = yield* call(path)
        assert.strictEqual(response.status, 200)
        assert.strictEqual(response.headers.get("x-seen"), "yes")
      }
      assert.deepStrictEqual(
        seen,
        paths.map((path) => `${root}${path}`)
      )
    }).pipe(Effect.provide(live))
  )
})
