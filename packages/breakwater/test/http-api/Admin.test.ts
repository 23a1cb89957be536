import { assert, describe, it } from "@effect/vitest"
import {
  Clock,
  ConfigProvider,
  Duration,
  Effect,
  FileSystem,
  Layer,
  Logger,
  Option,
  Redacted,
  Schema,
  type Scope
} from "effect"
import { TestClock } from "effect/testing"
import { HttpClient, HttpClientResponse, HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { Admin, AdminApi, AdminClient, AdminError, AdminKeys } from "../../src/http-api/index.ts"
import { peerOf } from "../../src/http-api/internal/wrongKeys.ts"
import * as Preset from "../../src/Preset.ts"
import { Registry, RegistryInForce } from "../../src/Registry.ts"
import { Resilience, withResilience } from "../../src/Resilience.ts"
import * as Strategy from "../../src/Strategy.ts"

const secrets = { read: "key-that-reads", operate: "key-that-operates", admin: "key-that-does-all" } as const
const keys = AdminKeys.AdminKeys.layer([
  { key: Redacted.make(secrets.read), scope: "read" },
  { key: Redacted.make(secrets.operate), scope: "operate" },
  { key: Redacted.make(secrets.admin) }
])
const root = "/internal/resilience"

const Fragile = Strategy.make("fragile", {
  extends: "aggressive",
  retry: false,
  circuitBreaker: { failureThreshold: 2, openDuration: "30 seconds" }
})
const fail = Effect.exit(Effect.fail("down").pipe(withResilience(Fragile, { operation: "summarize_text" })))
const succeed = Effect.succeed("fine").pipe(withResilience(Fragile, { operation: "summarize_text" }))
const open = Effect.andThen(fail, fail)

interface Init {
  readonly method?: string
  readonly key?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | ReadableStream
}

interface App {
  readonly call: (path: string, init?: Init) => Effect.Effect<Response>
  readonly body: (path: string, init?: Init) => Effect.Effect<any>
  readonly lines: ReadonlyArray<string>
}

const app = (
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

const json = (response: Response): Effect.Effect<any> => Effect.promise(() => response.json())

const live = Resilience.layer(Preset.production, { operations: ["summarize_text"] })

const decodes = (schema: Schema.Codec<any, any>, body: unknown) =>
  Schema.decodeUnknownEffect(schema)(body, { onExcessProperty: "error" })

const isFailure = Effect.fnUntraced(function* (
  response: Response,
  status: number,
  context: { readonly endpoint: string; readonly operation: string }
) {
  const body = yield* json(response)
  assert.strictEqual(response.status, status)
  assert.deepStrictEqual(Object.keys(body), ["error", "error_code", "context"])
  assert.strictEqual(body.error_code, AdminError.codeOf(status))
  assert.deepInclude(body.context, context)
  assert.strictEqual(body.context.request_id, response.headers.get("x-request-id"))
  assert.match(body.context.timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  isPrivate(response)
  return body
})

const isPrivate = (response: Response) => {
  assert.strictEqual(response.headers.get("cache-control"), "no-store")
  assert.strictEqual(response.headers.get("x-content-type-options"), "nosniff")
  assert.strictEqual(response.headers.get("referrer-policy"), "no-referrer")
  assert.strictEqual(response.headers.get("cross-origin-resource-policy"), "same-origin")
  assert.include(response.headers.get("content-security-policy"), "frame-ancestors 'none'")
  assert.include(response.headers.get("content-security-policy"), "default-src 'none'")
}

const details = { endpoint: "get_circuit_breaker_details", operation: "circuit_breaker_details_retrieval" }
const health = { endpoint: "get_resilience_health", operation: "health_status_retrieval" }
const reset = { endpoint: "reset_circuit_breaker", operation: "circuit_breaker_reset" }
const unknown = { endpoint: "unknown_route", operation: "route_lookup" }

describe("the admin API", () => {
  describe("health", () => {
    it.effect("is healthy while every circuit is closed", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        const response = yield* call(`${root}/health`)
        const body = yield* json(response)
        yield* decodes(AdminApi.Health, body)
        assert.strictEqual(response.status, 200)
        isPrivate(response)
        assert.deepStrictEqual(body, {
          healthy: true,
          status: "healthy",
          details: {
            healthy: true,
            open_circuit_breakers: [],
            half_open_circuit_breakers: [],
            total_circuit_breakers: 1,
            total_operations: 1,
            timestamp: body.details.timestamp
          }
        })
      }).pipe(Effect.provide(live))
    )

    it.effect("is degraded with an open circuit, and says so with 200", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        yield* open
        const response = yield* call(`${root}/health`)
        assert.strictEqual(response.status, 200)
        assert.deepInclude(yield* json(response), { healthy: false, status: "degraded" })
      }).pipe(Effect.provide(Resilience.layer()))
    )

    it.effect("names the open circuit with 503 when asked to be strict", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        assert.strictEqual((yield* call(`${root}/health?strict=true`)).status, 200)
        yield* open
        assert.strictEqual((yield* call(`${root}/health?strict=false`)).status, 200)
        const response = yield* call(`${root}/health?strict=true`)
        assert.strictEqual(response.status, 503)
        isPrivate(response)
        const body = yield* json(response)
        yield* decodes(AdminApi.Health, body)
        assert.deepStrictEqual(body.details.open_circuit_breakers, ["summarize_text"])
      }).pipe(Effect.provide(Resilience.layer()))
    )

    it.effect("refuses a strictness that is neither true nor false", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        const body = yield* isFailure(yield* call(`${root}/health?strict=perhaps`), 400, health)
        assert.deepStrictEqual(body.context.validation_errors[0].path, ["query", "strict"])
      }).pipe(Effect.provide(live))
    )

    it.effect("answers HEAD", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        assert.strictEqual((yield* call(`${root}/health`, { method: "HEAD" })).status, 200)
      }).pipe(Effect.provide(live))
    )
  })

  describe("circuit breakers", () => {
    it.effect("are listed with their numbers", () =>
      Effect.gen(function* () {
        const { body } = yield* app()
        const before = yield* body(`${root}/circuit-breakers`)
        yield* decodes(AdminApi.BreakerList, before)
        assert.deepStrictEqual(before, {
          circuit_breakers: {
            summarize_text: {
              state: "closed",
              failure_count: 0,
              threshold: 8,
              failure_threshold: 8,
              recovery_timeout: 120,
              last_failure: null,
              metrics: {
                total_calls: 0,
                successful_calls: 0,
                failed_calls: 0,
                retry_attempts: 0,
                circuit_breaker_opens: 0,
                circuit_breaker_half_opens: 0,
                circuit_breaker_closes: 0,
                success_rate: 0,
                failure_rate: 0,
                last_failure: null,
                last_success: null
              }
            }
          },
          total_count: 1,
          healthy_count: 1,
          open_count: 0
        })
      }).pipe(Effect.provide(live))
    )

    it.effect("are counted by calls, with rates in percent", () =>
      Effect.gen(function* () {
        const { body } = yield* app()
        yield* succeed
        yield* open
        yield* fail
        const list = yield* body(`${root}/circuit-breakers`)
        assert.deepInclude(list, { total_count: 1, healthy_count: 0, open_count: 1 })
        const { metrics, ...circuit } = list.circuit_breakers.summarize_text
        assert.deepInclude(circuit, { state: "open", threshold: 2, recovery_timeout: 30 })
        assert.isString(circuit.last_failure)
        assert.deepInclude(metrics, {
          total_calls: 4,
          successful_calls: 1,
          failed_calls: 3,
          success_rate: 25,
          failure_rate: 75,
          circuit_breaker_opens: 1
        })
      }).pipe(Effect.provide(Resilience.layer()))
    )

    it.effect("tell when they let the next probe through", () =>
      Effect.gen(function* () {
        const { body, call } = yield* app()
        yield* open
        yield* TestClock.adjust("10 seconds")
        const found = yield* body(`${root}/circuit-breakers/summarize_text`)
        yield* decodes(AdminApi.BreakerDetails, found)
        assert.deepInclude(found, {
          name: "summarize_text",
          state: "open",
          version: 1,
          failure_count: 2,
          failure_threshold: 2,
          recovery_timeout: 30,
          retry_after_seconds: 20
        })
        assert.strictEqual(found.last_failure_time, "1970-01-01T00:00:00.000Z")
        assert.strictEqual(found.retry_at, "1970-01-01T00:00:30.000Z")
        assert.strictEqual((yield* call(`${root}/circuit-breakers/summarize_text`)).headers.get("etag"), `"1"`)
      }).pipe(Effect.provide(Resilience.layer()))
    )

    it.effect("are found by the short name of their operation", () =>
      Effect.gen(function* () {
        const { body } = yield* app()
        assert.strictEqual((yield* body(`${root}/circuit-breakers/summarize`)).name, "summarize_text")
      }).pipe(Effect.provide(live))
    )

    it.effect("are found by operation and key", () =>
      Effect.gen(function* () {
        const { body } = yield* app()
        yield* Effect.succeed(1).pipe(withResilience(Fragile, { operation: "pay", key: "tenant/ü 1" }))
        const name = encodeURIComponent("pay:tenant/ü 1")
        assert.strictEqual((yield* body(`${root}/circuit-breakers/${name}`)).name, "pay:tenant/ü 1")
        const done = yield* body(`${root}/circuit-breakers/${name}/reset`, { method: "POST" })
        assert.strictEqual(done.name, "pay:tenant/ü 1")
      }).pipe(Effect.provide(live))
    )

    it.effect("that do not exist are 422 with what exists", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        const failure = { reason: "not_found", breaker_name: "ghost", available_breakers: ["summarize_text"] }
        const got = yield* isFailure(yield* call(`${root}/circuit-breakers/ghost`), 422, {
          ...details,
          operation: "circuit_breaker_lookup"
        })
        assert.deepInclude(got.context, failure)
        assert.deepStrictEqual(got.context.current_circuit_states, { summarize_text: "CLOSED" })
        const post = yield* call(`${root}/circuit-breakers/ghost/reset`, { method: "POST" })
        assert.deepInclude((yield* isFailure(post, 422, reset)).context, failure)
      }).pipe(Effect.provide(live))
    )
  })

  describe("a reset", () => {
    it.effect("closes an open circuit and keeps the metrics", () =>
      Effect.gen(function* () {
        const { body, lines } = yield* app()
        yield* open
        const done = yield* body(`${root}/circuit-breakers/summarize_text/reset`, {
          method: "POST",
          key: secrets.operate,
          headers: { "content-type": "application/json", "x-request-id": "shift-7" },
          body: JSON.stringify({ reason: "the model is back" })
        })
        yield* decodes(AdminApi.BreakerReset, done)
        assert.deepInclude(done, {
          name: "summarize_text",
          state: "closed",
          previous_state: "open",
          new_state: "closed",
          last_failure_time: null,
          retry_at: null
        })
        assert.strictEqual(done.metrics.failed_calls, 2)
        assert.strictEqual(yield* succeed, "fine")
        const line = lines.find((line) => line.includes("Circuit reset"))
        assert.include(line, "the model is back")
        assert.include(line, "shift-7")
      }).pipe(Effect.provide(Resilience.layer()))
    )

    it.effect("needs no body", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        for (const init of [{}, { headers: { "content-type": "application/json" }, body: "" }]) {
          const response = yield* call(`${root}/circuit-breakers/summarize_text/reset`, { method: "POST", ...init })
          assert.strictEqual(response.status, 200)
        }
      }).pipe(Effect.provide(live))
    )

    it.effect("goes through only for the version it names", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        yield* open
        const path = `${root}/circuit-breakers/summarize_text/reset`
        const stale = yield* call(path, { method: "POST", headers: { "if-match": `"0"` } })
        assert.strictEqual((yield* isFailure(stale, 412, reset)).context.current_version, 1)
        assert.strictEqual((yield* call(path, { method: "POST", headers: { "if-match": `"1"` } })).status, 200)
      }).pipe(Effect.provide(Resilience.layer()))
    )
  })

  describe("a key", () => {
    const status = Effect.fnUntraced(function* (headers: Readonly<Record<string, string>>, options = {}) {
      const { call } = yield* app(options)
      return yield* call(`${root}/health`, { key: "", headers })
    })
    const refused = Effect.fnUntraced(function* (headers: Readonly<Record<string, string>>, options = {}) {
      const response = yield* status(headers, options)
      yield* isFailure(response, 401, health)
      assert.strictEqual(response.headers.get("www-authenticate"), "Bearer")
    })
    const admitted = Effect.fnUntraced(function* (headers: Readonly<Record<string, string>>) {
      assert.strictEqual((yield* status(headers)).status, 200)
    })

    it.effect("is accepted as bearer, in any case of the scheme, and as X-API-Key", () =>
      Effect.gen(function* () {
        yield* admitted({ authorization: `Bearer ${secrets.read}` })
        yield* admitted({ authorization: `bEARER  ${secrets.read}` })
        yield* admitted({ "x-api-key": secrets.read })
        yield* admitted({ authorization: `Bearer ${secrets.read}`, "x-api-key": secrets.read })
      }).pipe(Effect.provide(live))
    )

    it.effect("is refused when missing, wrong, empty, cut or under another scheme", () =>
      Effect.gen(function* () {
        yield* refused({})
        yield* refused({ authorization: "Bearer wrong" })
        yield* refused({ authorization: "Bearer " })
        yield* refused({ authorization: "Bearer" })
        yield* refused({ "x-api-key": "" })
        yield* refused({ authorization: `Bearer ${secrets.read.slice(0, -1)}` })
        yield* refused({ authorization: `Bearer ${secrets.read}x` })
        yield* refused({ authorization: `Bearer${secrets.read}` })
        yield* refused({ authorization: `Basic ${secrets.read}` })
        yield* refused({ authorization: secrets.read })
        yield* refused({ "x-api-key": secrets.read.toUpperCase() })
      }).pipe(Effect.provide(live))
    )

    it.effect("is refused when the two headers disagree, even if both are valid", () =>
      Effect.gen(function* () {
        yield* refused({ authorization: `Bearer ${secrets.read}`, "x-api-key": secrets.admin })
        yield* refused({ authorization: `Bearer ${secrets.read}`, "x-api-key": "wrong" })
        yield* refused({ authorization: "Bearer wrong", "x-api-key": secrets.read })
        yield* refused({ authorization: "Basic abc", "x-api-key": secrets.read })
        yield* refused({ authorization: `Bearer ${secrets.read}`, "x-api-key": "" })
      }).pipe(Effect.provide(live))
    )

    it.effect("does not count in the query string", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        for (const name of ["api_key", "key", "access_token", "X-API-Key"]) {
          yield* isFailure(yield* call(`${root}/health?${name}=${secrets.admin}`, { key: "" }), 401, health)
        }
      }).pipe(Effect.provide(live))
    )

    it.effect("that may read may not reset", () =>
      Effect.gen(function* () {
        const { body, call } = yield* app()
        yield* open
        const path = `${root}/circuit-breakers/summarize_text/reset`
        const refusal = yield* isFailure(yield* call(path, { method: "POST", key: secrets.read }), 403, reset)
        assert.deepInclude(refusal.context, { required_scope: "operate", scope: "read" })
        assert.strictEqual((yield* body(`${root}/circuit-breakers/summarize_text`)).state, "open")
        assert.strictEqual((yield* call(path, { method: "POST", key: secrets.operate })).status, 200)
        assert.strictEqual((yield* call(path, { method: "POST", key: secrets.admin })).status, 200)
      }).pipe(Effect.provide(Resilience.layer()))
    )

    it.effect("is needed everywhere below /internal/resilience", () =>
      Effect.gen(function* () {
        const { body, call } = yield* app()
        const { paths } = yield* body("/internal/openapi.json", { key: "" })
        for (const [path, methods] of Object.entries<any>(paths)) {
          for (const [method, { operationId }] of Object.entries<any>(methods)) {
            const response = yield* call(path.replaceAll(/[{}]/g, ""), { method: method.toUpperCase(), key: "" })
            assert.strictEqual(response.status, 401)
            assert.strictEqual((yield* json(response)).context.endpoint, operationId)
          }
        }
        yield* isFailure(yield* call(`${root}/nothing`, { key: "" }), 401, unknown)
        yield* isFailure(yield* call(root, { key: "" }), 401, unknown)
        yield* isFailure(yield* call(`${root}/health`, { key: "", method: "DELETE" }), 401, unknown)
      }).pipe(Effect.provide(live))
    )

    it.effect("is asked for before the body is read", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        let pulled = 0
        const stream = new ReadableStream({ pull: (controller) => (pulled++, controller.enqueue(new Uint8Array(1))) })
        const response = yield* call(`${root}/circuit-breakers/summarize_text/reset`, {
          method: "POST",
          key: "wrong",
          headers: { "content-type": "text/csv" },
          body: stream
        })
        assert.strictEqual(response.status, 401)
        assert.isAtMost(pulled, 1)
      }).pipe(Effect.provide(live))
    )

    it.effect("does not exist when none is configured: everything is refused", () =>
      Effect.gen(function* () {
        for (const none of [
          AdminKeys.AdminKeys.layer([]),
          AdminKeys.AdminKeys.layer([{ key: Redacted.make("") }, { key: Redacted.make("  ") }])
        ]) {
          yield* refused({ authorization: "Bearer anything" }, { keys: none })
          yield* refused({ "x-api-key": "" }, { keys: none })
          yield* refused({ "x-api-key": "  " }, { keys: none })
        }
      }).pipe(Effect.provide(live))
    )

    it.effect("that is wrong is turned away after ten a minute, and valid ones pass", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        const wrong = call(`${root}/health`, { key: "wrong" })
        for (let n = 0; n < 10; n++) assert.strictEqual((yield* wrong).status, 401)
        const response = yield* wrong
        const body = yield* isFailure(response, 429, health)
        assert.strictEqual(response.headers.get("retry-after"), "60")
        assert.strictEqual(body.context.retry_after_seconds, 60)
        assert.strictEqual((yield* call(`${root}/health`)).status, 200)
        assert.strictEqual((yield* call(`${root}/health`, { key: "" })).status, 401)
        yield* TestClock.adjust("1 minute")
        assert.strictEqual((yield* wrong).status, 401)
      }).pipe(Effect.provide(live))
    )

    it.effect("is never logged or echoed", () =>
      Effect.gen(function* () {
        const { call, lines } = yield* app({ routes: broken })
        const texts: Array<string> = []
        for (const key of [secrets.admin, "a-wrong-key"]) {
          for (const path of ["/health", "/circuit-breakers/ghost", "/nothing", "/broken"]) {
            const response = yield* call(`${root}${path}`, { key })
            texts.push(JSON.stringify([...response.headers]) + (yield* Effect.promise(() => response.text())))
          }
        }
        assert.isNotEmpty(lines)
        assert.isTrue(lines.some((line) => /"key":"[0-9a-f]{6}"/.test(line)))
        assert.notInclude([...lines, ...texts].join("\n"), secrets.admin)
        assert.notInclude([...lines, ...texts].join("\n"), "a-wrong-key")
      }).pipe(Effect.provide(live))
    )
  })

  describe("a failure", () => {
    it.effect("is 404 for a path that nobody has", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        yield* isFailure(yield* call(`${root}/nothing`), 404, unknown)
        yield* isFailure(yield* call(root), 404, unknown)
        yield* isFailure(yield* call(`${root}/circuit-breakers/a/b/c`), 404, unknown)
        yield* isFailure(yield* call("/internal/nothing", { key: "" }), 404, unknown)
        yield* isFailure(yield* call("/internal", { key: "" }), 404, unknown)
      }).pipe(Effect.provide(live))
    )

    it.effect("has its envelope also where no route is looked for", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        yield* isFailure(yield* call(`${root}/circuit-breakers/%zz`), 404, unknown)
        yield* isFailure(yield* call(`${root}/circuit-breakers/%zz`, { key: "" }), 401, unknown)
        yield* isFailure(yield* call(`${root}/circuit-breakers/${"x".repeat(150)}`), 404, unknown)
        yield* isFailure(yield* call("/internal/%zz", { key: "" }), 404, unknown)
        const response = yield* call(`${root}/health`, { method: "PROPFIND" })
        yield* isFailure(response, 405, unknown)
        assert.strictEqual((yield* call("/%zz")).headers.get("x-request-id"), null)
      }).pipe(Effect.provide(live))
    )

    it.effect("is 405 for another method, with those allowed", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]) {
          const response = yield* call(`${root}/health`, { method })
          const body = yield* isFailure(response, 405, unknown)
          assert.strictEqual(response.headers.get("allow"), "GET, HEAD")
          assert.deepStrictEqual(body.context.allowed_methods, ["GET", "HEAD"])
        }
        const get = yield* call(`${root}/circuit-breakers/summarize_text/reset`)
        assert.strictEqual(get.headers.get("allow"), "POST")
        yield* isFailure(get, 405, unknown)
      }).pipe(Effect.provide(live))
    )

    const path = `${root}/circuit-breakers/summarize_text/reset`
    const json = { "content-type": "application/json" }

    it.effect("is 415 for a body that is not JSON", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        for (const type of [
          "text/plain",
          "application/x-www-form-urlencoded",
          "application/xml",
          "multipart/form-data"
        ]) {
          const response = yield* call(path, { method: "POST", headers: { "content-type": type }, body: "{}" })
          yield* isFailure(response, 415, reset)
        }
      }).pipe(Effect.provide(live))
    )

    it.effect("is 413 for a body of more than 64 KB, told or not", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        const body = JSON.stringify({ reason: "x".repeat(64 * 1024) })
        const told = yield* call(path, {
          method: "POST",
          headers: { ...json, "content-length": `${body.length}` },
          body
        })
        yield* isFailure(told, 413, reset)
        const untold = yield* call(path, { method: "POST", headers: json, body })
        yield* isFailure(untold, 413, reset)
      }).pipe(Effect.provide(live))
    )

    it.effect("is 400 for a body that is not what it should be", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        for (const body of ["{", "[]", "5", '"x"', '{"reason":1}', '{"reason":"a","force":true}', "{'a':1}"]) {
          const failure = yield* isFailure(yield* call(path, { method: "POST", headers: json, body }), 400, reset)
          assert.isNotEmpty(failure.context.validation_errors)
          assert.strictEqual(failure.context.validation_errors[0].path[0], "payload")
          assert.isString(failure.context.validation_errors[0].message)
        }
        const long = JSON.stringify({ reason: "x".repeat(60_000) })
        const failure = yield* isFailure(yield* call(path, { method: "POST", headers: json, body: long }), 400, reset)
        assert.isBelow(JSON.stringify(failure).length, 1_000)
      }).pipe(Effect.provide(live))
    )

    it.effect("is 500 for a defect, which is logged with the request id and not shown", () =>
      Effect.gen(function* () {
        const registry = yield* Registry
        let isBroken = false
        const { call, lines } = yield* app().pipe(
          Effect.provideService(RegistryInForce, {
            ...registry,
            operations: Effect.suspend(() =>
              isBroken ? Effect.die(new Error("postgres://user:hunter2@db")) : registry.operations
            )
          })
        )
        // The monitoring of the API looks at the operations when it starts.
        yield* call(`${root}/health`)
        isBroken = true
        const response = yield* call(`${root}/circuit-breakers`, { headers: { "x-request-id": "req.1" } })
        const text = yield* Effect.promise(() => response.clone().text())
        yield* isFailure(response, 500, {
          endpoint: "get_circuit_breaker_status",
          operation: "circuit_breaker_status_retrieval"
        })
        assert.notInclude(text, "hunter2")
        assert.notInclude(text, "postgres")
        const line = lines.find((line) => line.includes("hunter2"))
        assert.include(line, '"request_id":"req.1"')
        isBroken = false
      }).pipe(Effect.provide(live))
    )
  })

  describe("a request id", () => {
    it.effect("is echoed when well formed", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        const response = yield* call(`${root}/health`, { headers: { "x-request-id": "a.B_c-1" } })
        assert.strictEqual(response.headers.get("x-request-id"), "a.B_c-1")
        const failed = yield* call(`${root}/nothing`, { headers: { "x-request-id": "a.B_c-1" } })
        assert.strictEqual((yield* isFailure(failed, 404, unknown)).context.request_id, "a.B_c-1")
      }).pipe(Effect.provide(live))
    )

    it.effect("is made when missing or malformed", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        const seen = new Set<string | null>()
        for (const id of [undefined, "", "a b", "<script>", "x".repeat(65), "a;b"]) {
          const response = yield* call(`${root}/health`, { headers: id === undefined ? {} : { "x-request-id": id } })
          assert.match(response.headers.get("x-request-id") ?? "", /^[A-Za-z0-9._-]{1,64}$/)
          seen.add(response.headers.get("x-request-id"))
        }
        assert.strictEqual(seen.size, 6)
      }).pipe(Effect.provide(live))
    )
  })

  describe("the documentation", () => {
    it.effect("lists every endpoint with its operation id, scope and ways to send a key", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        const response = yield* call("/internal/openapi.json", { key: "" })
        assert.strictEqual(response.status, 200)
        isPrivate(response)
        const { components, paths } = yield* json(response)
        const operations = Object.entries<any>(paths).flatMap(([path, methods]) =>
          Object.entries<any>(methods).map(([method, op]) => [
            `${method.toUpperCase()} ${path}`,
            op.operationId,
            op["x-scope"]
          ])
        )
        assert.includeDeepMembers(operations, [
          [`GET ${root}/health`, "get_resilience_health", "read"],
          [`GET ${root}/circuit-breakers`, "get_circuit_breaker_status", "read"],
          [`GET ${root}/circuit-breakers/{breaker_name}`, "get_circuit_breaker_details", "read"],
          [`POST ${root}/circuit-breakers/{breaker_name}/reset`, "reset_circuit_breaker", "operate"],
          [`GET ${root}/audit`, "get_audit_log", "read"]
        ])
        assert.deepStrictEqual(components.securitySchemes, {
          bearer: { type: "http", scheme: "Bearer" },
          apiKey: { type: "apiKey", name: "X-API-Key", in: "header" }
        })
        const { post } = paths[`${root}/circuit-breakers/{breaker_name}/reset`]
        assert.deepStrictEqual(post.security, [{ bearer: [] }, { apiKey: [] }])
        assert.isFalse(post.requestBody.required)
        assert.containsAllKeys(post.responses, ["200", "400", "401", "403", "412", "413", "415", "422", "429", "500"])
        assert.containsAllKeys(components.schemas, ["ErrorEnvelope", "Health", "BreakerDetails", "Metrics"])
      }).pipe(Effect.provide(live))
    )

    it.effect("is a page that runs its own scripts and loads nothing", () =>
      Effect.gen(function* () {
        const { call } = yield* app()
        const response = yield* call("/internal/docs", { key: "" })
        assert.strictEqual(response.status, 200)
        isPrivate(response)
        const policy = response.headers.get("content-security-policy") ?? ""
        assert.match(policy, /script-src 'sha256-[A-Za-z0-9+/=]+';/)
        assert.notMatch(policy, /script-src[^;]*unsafe/)
        const page = yield* Effect.promise(() => response.text())
        const markup = page.replaceAll(/<(script|style)\b[^>]*>[^]*?<\/\1>/g, "")
        assert.notMatch(markup, /https?:|<(script|link|img|iframe)/)
        assert.notMatch(page, /<script[^>]+src=/)
        assert.include(page, "reset_circuit_breaker")
        const again = yield* call("/internal/docs", { key: "" })
        assert.strictEqual(again.headers.get("content-security-policy"), policy)
      }).pipe(Effect.provide(live))
    )

    it.effect("can be closed or left out", () =>
      Effect.gen(function* () {
        const closed = yield* app({ admin: { docs: "closed" } })
        const none = yield* app({ admin: { docs: "none" } })
        for (const path of ["/internal/openapi.json", "/internal/docs"]) {
          assert.strictEqual((yield* closed.call(path, { key: "" })).status, 401)
          assert.strictEqual((yield* closed.call(path)).status, 200)
          assert.strictEqual((yield* none.call(path)).status, 404)
        }
      }).pipe(Effect.provide(live))
    )
  })

  describe("beside an application", () => {
    it.effect("leaves the application's paths alone", () =>
      Effect.gen(function* () {
        const { call } = yield* app({
          routes: Layer.mergeAll(
            HttpRouter.add("GET", "/", HttpServerResponse.text("home")),
            HttpRouter.add("GET", "/internal/dashboard", HttpServerResponse.text("dashboard"))
          )
        })
        for (const [path, text] of [
          ["/", "home"],
          ["/internal/dashboard", "dashboard"]
        ] as const) {
          const response = yield* call(path, { key: "" })
          assert.strictEqual(yield* Effect.promise(() => response.text()), text)
          assert.isNull(response.headers.get("x-request-id"))
        }
        const page = yield* app({
          routes: HttpRouter.add("*", "/*", HttpServerResponse.text("an application with one page"))
        })
        yield* isFailure(yield* page.call(`${root}/nothing`), 404, unknown)
        yield* isFailure(yield* page.call("/internal/nothing", { key: "" }), 404, unknown)
        assert.strictEqual((yield* page.call("/nothing")).status, 200)
        const lost = yield* call("/nothing", { key: "" })
        assert.strictEqual(lost.status, 404)
        assert.strictEqual(yield* Effect.promise(() => lost.text()), "")
      }).pipe(Effect.provide(live))
    )
  })
})

const broken = HttpRouter.add("GET", `${root}/broken`, Effect.die("broken"))

describe("a client", () => {
  const client = Effect.fnUntraced(function* (key: string) {
    const { call } = yield* app()
    const http = HttpClient.make((request) =>
      Effect.map(
        call(new URL(request.url).pathname, {
          method: request.method,
          headers: request.headers,
          key: "",
          ...(request.body._tag === "Uint8Array" ? { body: new TextDecoder().decode(request.body.body) } : {})
        }),
        (response) => HttpClientResponse.fromWeb(request, response)
      )
    )
    return yield* AdminClient.make({ baseUrl: "http://localhost" }).pipe(
      Effect.provideService(HttpClient.HttpClient, http),
      Effect.provide(AdminClient.layerKey(Redacted.make(key)))
    )
  })

  it.effect("reads durations and instants, and gets errors back as they were thrown", () =>
    Effect.gen(function* () {
      const { circuitBreakers } = yield* client(secrets.read)
      const { circuitBreakers: found } = yield* circuitBreakers.list()
      assert.deepStrictEqual(found["summarize_text"]?.recoveryTimeout, Duration.seconds(120))
      const unknown = yield* Effect.flip(circuitBreakers.get({ params: { breaker_name: "ghost" } }))
      assert(unknown._tag === "BusinessLogicError")
      assert.deepInclude(unknown.context, { breaker_name: "ghost", endpoint: "get_circuit_breaker_details" })
      const refused = yield* Effect.flip(
        circuitBreakers.reset({ params: { breaker_name: "summarize_text" }, headers: {}, payload: { reason: "why" } })
      )
      assert(refused._tag === "AuthorizationError")
    }).pipe(Effect.provide(live))
  )
})

describe("addresses", () => {
  it("are one for a /64 of IPv6 and for an IPv4 address in either form", () => {
    assert.strictEqual(peerOf("::ffff:10.0.0.1"), peerOf("10.0.0.1"))
    assert.notStrictEqual(peerOf("10.0.0.1"), peerOf("10.0.0.2"))
    assert.strictEqual(peerOf("2001:db8:1:2::1"), peerOf("2001:DB8:1:2:a:b:c:d"))
    assert.strictEqual(peerOf("2001:db8::1"), peerOf("2001:db8:0:0:5:6:7:8"))
    assert.strictEqual(peerOf("2001:db8:a::1"), peerOf("2001:0db8:000a:0000::2"))
    assert.notStrictEqual(peerOf("2001:db8:1:2::1"), peerOf("2001:db8:1:3::1"))
    assert.notStrictEqual(peerOf("2001:db8::1"), peerOf("2001:db9::1"))
  })
})

describe("the keys of the environment", () => {
  const scopeOf = (env: Record<string, string>, key: string) =>
    Effect.gen(function* () {
      const { identify } = yield* AdminKeys.AdminKeys
      return Option.getOrNull((yield* identify(Redacted.make(key))).scope)
    }).pipe(
      Effect.provide(
        AdminKeys.AdminKeys.layerConfig.pipe(
          Layer.provide(FileSystem.layerNoop({})),
          Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
        )
      )
    )

  it.effect("are API_KEY, with every scope, and a list with scopes", () =>
    Effect.gen(function* () {
      const env = { API_KEY: "one", ADDITIONAL_API_KEYS: "two, three:read , ,four:operate,five:admin" }
      assert.strictEqual(yield* scopeOf(env, "one"), "admin")
      assert.strictEqual(yield* scopeOf(env, "two"), "admin")
      assert.strictEqual(yield* scopeOf(env, "three"), "read")
      assert.strictEqual(yield* scopeOf(env, "four"), "operate")
      assert.strictEqual(yield* scopeOf(env, "five"), "admin")
      assert.isNull(yield* scopeOf(env, "six"))
      assert.isNull(yield* scopeOf(env, ""))
      assert.isNull(yield* scopeOf(env, "three:read"))
    })
  )

  it.effect("open nothing when they are missing or blank", () =>
    Effect.gen(function* () {
      assert.isNull(yield* scopeOf({}, ""))
      assert.isNull(yield* scopeOf({}, "anything"))
      assert.isNull(yield* scopeOf({ API_KEY: "", ADDITIONAL_API_KEYS: "" }, ""))
      assert.isNull(yield* scopeOf({ API_KEY: " ", ADDITIONAL_API_KEYS: " , " }, " "))
    })
  )

  it.effect("with a scope that does not exist stop the start, and are not shown", () =>
    Effect.gen(function* () {
      for (const list of ["ok,s3cret:root", "ok,s3cret:read:x", "ok,:read"]) {
        const error = yield* Effect.flip(scopeOf({ ADDITIONAL_API_KEYS: list }, "ok"))
        assert.include(error.message, "entry 2")
        assert.notInclude(error.message, "s3cret")
        assert.notInclude(error.message, "root")
      }
    })
  )
})
