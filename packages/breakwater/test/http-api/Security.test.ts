import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, type Exit, Fiber, Layer, Option, Redacted } from "effect"
import { OpenApi } from "effect/http-api"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { Admin, AdminApi, AdminError, AdminKeys, Audit } from "../../src/http-api/index.ts"
import { isTooDeep } from "../../src/http-api/internal/depth.ts"
import { Gate } from "../../src/http-api/internal/gate.ts"
import { Hosts } from "../../src/http-api/internal/hosts.ts"
import { render } from "../../src/http-api/internal/parserFailure.ts"
import { isWanted } from "../../src/http-api/internal/problem.ts"
import * as Preset from "../../src/Preset.ts"
import { Registry, RegistryInForce } from "../../src/Registry.ts"
import { Resilience } from "../../src/Resilience.ts"
import { app, type Init, json, keys, root, secrets } from "./App.ts"

const live = Resilience.layer(Preset.production, { operations: ["summarize_text"] })

interface Route {
  readonly method: string
  readonly path: string
  readonly endpoint: string
  readonly scope: "read" | "operate" | "admin"
}

const routes: ReadonlyArray<Route> = Object.entries<any>(OpenApi.fromApi(AdminApi.AdminApi).paths).flatMap(
  ([path, methods]) =>
    Object.entries<any>(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{\w+\}/g, "summarize_text"),
      endpoint: operation.operationId,
      scope: operation["x-scope"]
    }))
)

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
const apiKey = (key: string) => ({ "x-api-key": key })

/** Ways to come without a valid key. */
const strangers: Readonly<Record<string, { readonly headers?: Record<string, string>; readonly query?: string }>> = {
  "no key": {},
  "a wrong key": { headers: bearer("wrong-key-0123456789") },
  "an empty bearer": { headers: { authorization: "Bearer " } },
  "an empty key": { headers: apiKey("") },
  "a prefix of a key": { headers: bearer(secrets.admin.slice(0, -1)) },
  "a key and more": { headers: apiKey(`${secrets.admin}0`) },
  "a key in another case": { headers: apiKey(secrets.admin.toUpperCase()) },
  "two headers that disagree": { headers: { ...bearer(secrets.admin), ...apiKey(secrets.read) } },
  "a key and a wrong one": { headers: { ...bearer(secrets.admin), ...apiKey("wrong-key-0123456789") } },
  "a key in the query": { query: `api_key=${secrets.admin}&key=${secrets.admin}&access_token=${secrets.admin}` },
  "a key in a cookie": { headers: { cookie: `api_key=${secrets.admin}` } },
  "basic credentials": { headers: { authorization: `Basic ${btoa(`admin:${secrets.admin}`)}` } },
  "a key without a scheme": { headers: { authorization: secrets.admin } },
  "a header twice": { headers: { authorization: `Bearer ${secrets.admin}, Bearer ${secrets.admin}` } },
  "a key twice": { headers: apiKey(`${secrets.admin}, ${secrets.admin}`) }
}

const held = { read: ["read", "operate", "admin"], operate: ["operate", "admin"], admin: ["admin"] } as const

describe("every route", () => {
  it("has a scope and is below the root", () => {
    assert.isNotEmpty(routes)
    for (const { path, scope } of routes) {
      assert.isTrue(path.startsWith(`${root}/`), path)
      assert.include(["read", "operate", "admin"], scope)
    }
  })

  it.effect(
    "refuses every request without a valid key in the same way",
    () =>
      Effect.gen(function* () {
        for (const [form, { headers = {}, query }] of Object.entries(strangers)) {
          // Wrong keys are counted by address: a fresh door for each form and some routes.
          for (let first = 0; first < routes.length; first += 10) {
            const { call, lines } = yield* app()
            for (const { endpoint, method, path } of routes.slice(first, first + 10)) {
              const at = `${method} ${path} with ${form}`
              const response = yield* call(query === undefined ? path : `${path}?${query}`, {
                method,
                headers,
                key: ""
              })
              const text = yield* Effect.promise(() => response.text())
              assert.strictEqual(response.status, 401, at)
              assert.strictEqual(JSON.parse(text).error_code, "AuthenticationError", at)
              assert.strictEqual(JSON.parse(text).context.endpoint, endpoint, at)
              assert.strictEqual(response.headers.get("www-authenticate"), "Bearer", at)
              assert.strictEqual(response.headers.get("vary"), "Origin", at)
              assert.isNull(response.headers.get("access-control-allow-origin"), at)
              for (const secret of Object.values(secrets)) {
                assert.notInclude(text + JSON.stringify([...response.headers]), secret, at)
                assert.notInclude(lines.join("\n"), secret, at)
              }
            }
          }
        }
      }).pipe(Effect.provide(live)),
    30_000
  )

  it.effect(
    "lets in the scope that it needs, by either header or by both",
    () =>
      Effect.gen(function* () {
        for (const { method, path, scope } of routes) {
          const { call } = yield* app()
          for (const holder of ["read", "operate", "admin"] as const) {
            for (const headers of [
              bearer(secrets[holder]),
              apiKey(secrets[holder]),
              { ...bearer(secrets[holder]), ...apiKey(secrets[holder]) }
            ]) {
              const response = yield* call(path, { method, headers, key: "" })
              const isLetIn = (held[scope] as ReadonlyArray<string>).includes(holder)
              const at = `${method} ${path} with ${holder}: ${response.status}`
              assert.notStrictEqual(response.status, 401, at)
              assert.strictEqual(response.status === 403, !isLetIn, at)
            }
          }
        }
      }).pipe(Effect.provide(live)),
    30_000
  )

  it.effect("refuses foreign hosts and origins before anything else, with and without a key", () =>
    Effect.gen(function* () {
      const { call } = yield* app()
      const open = ["/internal/openapi.json", "/internal/docs", "/livez", "/readyz", "/internal/nothing"]
      const guarded = [...routes, { method: "GET", path: `${root}/nothing`, endpoint: "unknown_route" }]
      for (const { method, path } of [...guarded, ...open.map((path) => ({ method: "GET", path }))]) {
        for (const key of ["", secrets.admin]) {
          const init: Init = { method, key }
          const misdirected = yield* call(path, { ...init, headers: { host: "evil.example" } })
          assert.strictEqual(misdirected.status, 421, path)
          assert.strictEqual((yield* json(misdirected)).error_code, "MisdirectedRequestError")
          assert.strictEqual(misdirected.headers.get("x-content-type-options"), "nosniff")
          for (const headers of [{ origin: "http://evil.example" }, { "sec-fetch-site": "cross-site" }]) {
            const foreign = yield* call(path, { ...init, headers })
            assert.strictEqual(foreign.status, 403, path)
            assert.strictEqual((yield* json(foreign)).error_code, "AuthorizationError")
            assert.strictEqual(foreign.headers.get("vary"), "Origin")
          }
        }
      }
    }).pipe(Effect.provide(live))
  )
})

describe("keys that an application wraps", () => {
  it.effect("are asked by their own words", () =>
    Effect.gen(function* () {
      const wrapped = Layer.effect(
        AdminKeys.AdminKeys,
        Effect.map(AdminKeys.AdminKeys, (service) => ({
          ...service,
          identify: (key: Redacted.Redacted) =>
            Effect.map(service.identify(key), ({ id, scope }) => ({
              id,
              scope: Option.filter(scope, (scope) => scope !== "read")
            }))
        }))
      )
      const { call } = yield* app({ keys: Layer.provide(wrapped, keys) })
      assert.strictEqual((yield* call(`${root}/health`, { key: secrets.admin })).status, 200)
      assert.strictEqual((yield* call(`${root}/health`, { key: secrets.read })).status, 401)
      assert.strictEqual((yield* call(`${root}/health`, { key: "" })).status, 401)
      assert.strictEqual((yield* call(`${root}/health`, { key: "a-wrong-key-0123456789" })).status, 401)
    }).pipe(Effect.provide(live))
  )
})

describe("a path that is written in another way", () => {
  it.effect("is as closed as the path that the router takes it for", () =>
    Effect.gen(function* () {
      const { call } = yield* app()
      for (const path of [`/${root}/health`, "/internal//resilience/health", "/internal/resilience//health"]) {
        assert.strictEqual((yield* call(path)).status, 200, path)
        assert.strictEqual((yield* call(path, { key: "" })).status, 401, path)
        assert.strictEqual((yield* call(path, { headers: { host: "evil.example" } })).status, 421, path)
        assert.strictEqual((yield* call(path, { headers: { origin: "http://evil.example" } })).status, 403, path)
      }
    }).pipe(Effect.provide(live))
  )
})

describe("a route of an application below a path of ours", () => {
  // What the router takes for the same path.
  const spellings = (path: string): ReadonlyArray<string> => [
    path,
    `${path}/`,
    `${path}?a=b`,
    `${path};a=b`,
    `/${path}`,
    path.replace("/internal/", "/internal//"),
    path.replace("/internal", "/INTERNAL"),
    path.replace("internal", "%69nternal"),
    path.toUpperCase(),
    path.replace(/(\w)(\w*)$/, (_, first: string, rest: string) => `%${first.charCodeAt(0).toString(16)}${rest}`)
  ]

  const mine = Layer.mergeAll(
    HttpRouter.add("GET", `${root}/mine`, HttpServerResponse.text("mine")),
    HttpRouter.add("GET", "/internal/page", HttpServerResponse.text("page"))
  )

  it.effect("is behind the key and the host, however its path is written", () =>
    Effect.gen(function* () {
      const beside = yield* app({ routes: mine })
      for (const path of spellings(`${root}/mine`)) {
        assert.strictEqual((yield* beside.call(path)).status, 200, path)
        assert.strictEqual((yield* beside.call(path, { key: "" })).status, 401, path)
        assert.strictEqual((yield* beside.call(path, { headers: { host: "evil.example" } })).status, 421, path)
      }
      for (const path of spellings("/internal/page")) {
        assert.strictEqual((yield* beside.call(path, { key: "" })).status, 200, path)
        assert.strictEqual((yield* beside.call(path, { headers: { host: "evil.example" } })).status, 421, path)
        assert.strictEqual((yield* beside.call(path, { headers: { origin: "http://evil.example" } })).status, 403, path)
      }
    }).pipe(Effect.provide(live))
  )
})

describe("the admin API below a prefix", () => {
  it.effect("is closed, its documentation too", () =>
    Effect.gen(function* () {
      const resilience = yield* Resilience
      const prefixed = Layer.effect(
        HttpRouter.HttpRouter,
        Effect.map(HttpRouter.HttpRouter, (router) => router.prefixed("/prefix"))
      )
      const { dispose, handler } = HttpRouter.toWebHandler(
        Admin.layer({ docs: "closed" }).pipe(
          Layer.provide(prefixed),
          Layer.provide(keys),
          Layer.provide(Layer.succeed(Resilience, resilience)),
          Layer.provide(HttpServer.layerServices)
        ),
        { disableLogger: true }
      )
      yield* Effect.addFinalizer(() => Effect.promise(dispose))
      const status = (path: string) =>
        Effect.map(
          Effect.promise(() => handler(new Request(`http://localhost/prefix${path}`))),
          (response) => response.status
        )
      for (const path of [`${root}/health`, `${root}/nothing`, "/internal/openapi.json", "/internal/docs"]) {
        assert.strictEqual(yield* status(path), 401, path)
      }
    }).pipe(Effect.scoped, Effect.provide(live))
  )
})

describe("a write to a path that is written in another way", () => {
  it.effect("is in the audit log as a write to what the router takes it for", () =>
    Effect.gen(function* () {
      const { body, call } = yield* app()
      const path = "/internal//Resilience/circuit-breakers/summarize_text/trip"
      assert.strictEqual((yield* call(path, { method: "POST", key: secrets.read })).status, 403)
      const [entry] = yield* body(`${root}/audit`)
      assert.strictEqual(entry.action, "trip_circuit_breaker")
      assert.strictEqual(entry.resource, "circuit-breakers/summarize_text/trip")
      const response = yield* call(path)
      assert.strictEqual(response.status, 405)
      assert.strictEqual(response.headers.get("allow"), "POST")
    }).pipe(Effect.provide(live))
  )

  it.effect("is in the audit log also if it is refused before the router has read it", () =>
    Effect.gen(function* () {
      const { body, call } = yield* app()
      const told = { method: "POST", headers: { "content-length": "70000" } }
      assert.strictEqual((yield* call(`${root}/circuit-breakers/summarize_text/%74rip`, told)).status, 413)
      const [entry] = yield* body(`${root}/audit`)
      assert.strictEqual(entry?.action, "trip_circuit_breaker")
      assert.strictEqual(entry.result, "RequestTooLargeError")
    }).pipe(Effect.provide(live))
  )
})

describe("hosts and origins", () => {
  const status = (
    hosts: Hosts,
    headers: Record<string, string>,
    { addresses = false, url = "/" }: { readonly addresses?: boolean; readonly url?: string } = {}
  ) => {
    const refusal = hosts.refusal({ headers: headers as never, originalUrl: url }, { addresses })
    return refusal === undefined ? 200 : AdminError.statusOf(refusal)
  }

  it("are exact names with the port of the server", () => {
    const hosts = new Hosts(["admin.example.com", "proxy.example.com:8443"], 9090)
    for (const [host, expected] of [
      ["127.0.0.1:9090", 200],
      ["localhost:9090", 200],
      ["LOCALHOST:9090", 200],
      ["[::1]:9090", 200],
      ["localhost", 200],
      ["admin.example.com:9090", 200],
      ["admin.example.com", 200],
      ["proxy.example.com:8443", 200],
      ["proxy.example.com:9090", 421],
      ["proxy.example.com", 421],
      ["localhost:9091", 421],
      ["localhost.", 421],
      ["localhost:9090.evil.example", 421],
      ["localhost.evil.example:9090", 421],
      ["evil-localhost:9090", 421],
      ["x.admin.example.com:9090", 421],
      ["127.0.0.1.evil.example", 421],
      ["127.0.0.2:9090", 421],
      ["127.1:9090", 421],
      ["2130706433:9090", 421],
      ["0.0.0.0:9090", 421],
      ["[::]:9090", 421],
      ["::1", 421],
      ["user@localhost:9090", 421],
      ["localhost:9090, evil.example", 421],
      ["localhost:", 421],
      ["localhost:abc", 421],
      ["localhost/evil", 421],
      [" ", 421],
      ["", 421]
    ] as const) {
      assert.strictEqual(status(hosts, { host }), expected, host)
    }
    assert.strictEqual(status(hosts, {}), 421)
  })

  it("have any port where that of the server is not known, and come from the URL of a web request", () => {
    const hosts = new Hosts([], undefined)
    assert.strictEqual(status(hosts, { host: "localhost:1234" }), 200)
    assert.strictEqual(status(hosts, { host: "evil.example:1234" }), 421)
    assert.strictEqual(status(hosts, {}, { url: "http://localhost:5/x" }), 200)
    assert.strictEqual(status(hosts, {}, { url: "http://evil.example/localhost" }), 421)
  })

  it("may be an address for those who ask whether the process lives", () => {
    const hosts = new Hosts([], 80)
    for (const host of ["10.1.2.3:8080", "[fd00::1]:8080", "127.0.0.1"]) {
      assert.strictEqual(status(hosts, { host }, { addresses: true }), 200, host)
    }
    assert.strictEqual(status(hosts, { host: "10.1.2.3.evil.example" }, { addresses: true }), 421)
  })

  it("agree: the same origin and no origin pass, all others do not", () => {
    const hosts = new Hosts([], 9090)
    const host = "localhost:9090"
    for (const [headers, expected] of [
      [{ origin: "http://localhost:9090" }, 200],
      [{ origin: "https://localhost:9090" }, 200],
      [{ "sec-fetch-site": "same-origin" }, 200],
      [{ "sec-fetch-site": "none" }, 200],
      [{ origin: "http://localhost:9090", "sec-fetch-site": "same-origin" }, 200],
      [{ "sec-fetch-site": "cross-site" }, 403],
      [{ "sec-fetch-site": "same-site" }, 403],
      [{ "sec-fetch-site": "" }, 403],
      [{ origin: "http://localhost:9091" }, 403],
      [{ origin: "http://localhost" }, 403],
      [{ origin: "http://127.0.0.1:9090" }, 403],
      [{ origin: "http://evil.example" }, 403],
      [{ origin: "null" }, 403],
      [{ origin: "" }, 403],
      [{ origin: "http://localhost:9090.evil.example" }, 403],
      [{ origin: "http://localhost:9090", "sec-fetch-site": "cross-site" }, 403]
    ] as const) {
      assert.strictEqual(status(hosts, { host, ...headers }), expected, JSON.stringify(headers))
    }
    assert.strictEqual(status(new Hosts([], 80), { host: "localhost", origin: "http://localhost" }), 200)
    assert.strictEqual(status(new Hosts([], 80), { host: "localhost:80", origin: "http://localhost" }), 200)
  })
})

describe("the bounds of a request", () => {
  it.effect("are 8 KB of URL, 16 KB of headers and 64 levels of body", () =>
    Effect.gen(function* () {
      const { call } = yield* app()
      const long = yield* call(`${root}/health?x=${"y".repeat(8 * 1024)}`)
      assert.strictEqual(long.status, 400)
      assert.include((yield* json(long)).error, "8 KB")
      const large = yield* call(`${root}/health`, { headers: { "x-large": "y".repeat(16 * 1024) } })
      assert.strictEqual(large.status, 431)
      assert.strictEqual((yield* json(large)).error_code, "HeadersTooLargeError")
      const deep = yield* call(`${root}/circuit-breakers/summarize_text/reset`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: `{"reason":${"[".repeat(30_000)}${"]".repeat(30_000)}}`
      })
      assert.strictEqual(deep.status, 400)
      assert.include((yield* json(deep)).context.validation_errors[0].message, "64 levels")
    }).pipe(Effect.provide(live))
  )

  it("see through strings", () => {
    assert.isFalse(isTooDeep(JSON.stringify({ a: "[".repeat(100), '"[': "\\".repeat(9) })))
    assert.isFalse(isTooDeep(`[${"[],".repeat(1_000)}[]]`))
    assert.isFalse(isTooDeep("[".repeat(64)))
    assert.isTrue(isTooDeep("[".repeat(65)))
    assert.isTrue(isTooDeep(`"\\""${"{".repeat(65)}`))
  })

  it.effect("are looked at after the key and the scope", () =>
    Effect.gen(function* () {
      const { call } = yield* app()
      for (const [key, status] of [
        ["wrong-key-0123456789", 401],
        [secrets.read, 403]
      ] as const) {
        let pulled = 0
        const body = new ReadableStream({
          pull: (controller) => {
            pulled++
            controller.enqueue(new Uint8Array(1_024))
          }
        })
        const response = yield* call(`${root}/circuit-breakers/summarize_text/reset`, { method: "POST", key, body })
        assert.strictEqual(response.status, status)
        assert.isAtMost(pulled, 1)
      }
    }).pipe(Effect.provide(live))
  )

  it.effect("end a body that does not arrive", () =>
    Effect.gen(function* () {
      const { call } = yield* app()
      const body = new ReadableStream({ start: (controller) => controller.enqueue(new Uint8Array([0x7b])) })
      const pending = yield* Effect.forkChild(
        call(`${root}/circuit-breakers/summarize_text/reset`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body
        })
      )
      // The key is digested in another thread: the clock may only go on when the body is waited for.
      let response: Exit.Exit<Response> | undefined
      while (response === undefined) {
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* TestClock.adjust("15 seconds")
        response = pending.pollUnsafe()
      }
      const { error } = yield* json(yield* response)
      assert.include(error, "in time")
    }).pipe(Effect.provide(live))
  )
})

describe("a gate", () => {
  const settings = { permits: 2, patience: "250 millis", maxWaiting: 3 } as const
  const busy = () => "busy" as const

  it.effect("lets others in when somebody leaves, in their order", () =>
    Effect.gen(function* () {
      const gate = new Gate(settings)
      const done: Array<number> = []
      const fibers = yield* Effect.forEach([1, 2, 3, 4, 5], (n) =>
        Effect.forkChild(
          gate.pass(
            Effect.andThen(
              Effect.sleep("100 millis"),
              Effect.sync(() => void done.push(n))
            ),
            busy
          )
        )
      )
      yield* Effect.yieldNow
      assert.strictEqual(gate.inUse, 2)
      assert.strictEqual(yield* Effect.flip(gate.pass(Effect.void, busy)), "busy")
      yield* TestClock.adjust("300 millis")
      yield* Effect.forEach(fibers, Fiber.join)
      assert.deepStrictEqual(done, [1, 2, 3, 4, 5])
      assert.strictEqual(gate.inUse, 0)
    })
  )

  it.effect("sends away who has waited for 250 ms, and loses no permit", () =>
    Effect.gen(function* () {
      const gate = new Gate(settings)
      const latch = yield* Deferred.make<void>()
      const held = yield* Effect.forEach([1, 2], () => Effect.forkChild(gate.pass(Deferred.await(latch), busy)))
      yield* Effect.yieldNow
      const late = yield* Effect.forkChild(Effect.flip(gate.pass(Effect.void, busy)))
      const gone = yield* Effect.forkChild(gate.pass(Effect.void, busy))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(gone)
      yield* TestClock.adjust("249 millis")
      assert.isUndefined(late.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(late), "busy")
      yield* Deferred.succeed(latch, undefined)
      yield* Effect.forEach(held, Fiber.join)
      yield* Effect.exit(gate.pass(Effect.die("defect"), busy))
      assert.strictEqual(gate.inUse, 0)
    })
  )

  it.effect("loses no permit to an interruption at any moment", () =>
    Effect.gen(function* () {
      for (let steps = 0; steps < 40; steps++) {
        const gate = new Gate({ ...settings, permits: 1 })
        const latch = yield* Deferred.make<void>()
        const held = yield* Effect.forkChild(gate.pass(Deferred.await(latch), busy))
        yield* Effect.yieldNow
        const waiting = yield* Effect.forkChild(Effect.exit(gate.pass(Effect.yieldNow, busy)))
        for (let n = 0; n < steps % 8; n++) yield* Effect.yieldNow
        yield* Deferred.succeed(latch, undefined)
        for (let n = 0; n < Math.floor(steps / 8); n++) yield* Effect.yieldNow
        yield* Fiber.interrupt(waiting)
        yield* Fiber.join(held)
        assert.strictEqual(gate.inUse, 0)
      }
    })
  )

  it.effect("stands before the handlers: the 33rd request waits, and then is told when to come back", () =>
    Effect.gen(function* () {
      const latch = yield* Deferred.make<void>()
      const registry = yield* Registry
      let isHeld = false
      const { call } = yield* app().pipe(
        Effect.provideService(RegistryInForce, {
          ...registry,
          operations: Effect.suspend(() =>
            isHeld ? Effect.andThen(Deferred.await(latch), registry.operations) : registry.operations
          )
        })
      )
      // The monitoring of the API looks at the operations when it starts.
      yield* call("/livez", { key: "" })
      isHeld = true
      const request = call(`${root}/circuit-breakers`)
      const waiting = yield* Effect.forEach(Array.from({ length: 40 }), () => Effect.forkChild(request))
      const answered = () => waiting.map((fiber) => fiber.pollUnsafe()).filter((exit) => exit !== undefined)
      while (answered().length < 8) {
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* TestClock.adjust("250 millis")
      }
      assert.lengthOf(answered(), 8)
      // Who asks whether the process lives is not held up.
      assert.strictEqual((yield* call("/livez", { key: "" })).status, 200)
      assert.strictEqual((yield* call(`${root}/circuit-breakers`, { key: "" })).status, 401)
      yield* Deferred.succeed(latch, undefined)
      const responses = yield* Effect.forEach(waiting, Fiber.join)
      const refused = responses.filter(({ status }) => status === 503)
      assert.lengthOf(refused, 8)
      assert.strictEqual(refused[0]!.headers.get("retry-after"), "1")
      assert.strictEqual((yield* json(refused[0]!)).error_code, "ServiceUnavailableError")
      assert.strictEqual((yield* request).status, 200)
    }).pipe(Effect.provide(live))
  )
})

describe("a problem document", () => {
  it.effect("has the same facts as the envelope, for those who ask for it", () =>
    Effect.gen(function* () {
      const { call } = yield* app()
      const init = { headers: { accept: "application/problem+json", "x-request-id": "one" } }
      const response = yield* call(`${root}/circuit-breakers/ghost`, init)
      assert.strictEqual(response.status, 422)
      assert.match(response.headers.get("content-type") ?? "", /^application\/problem\+json/)
      assert.strictEqual(response.headers.get("x-frame-options"), "DENY")
      const problem = yield* json(response)
      const envelope = yield* json(
        yield* call(`${root}/circuit-breakers/ghost`, { headers: { "x-request-id": "one" } })
      )
      assert.deepStrictEqual(problem, {
        type: "about:blank",
        title: "Unprocessable Content",
        status: 422,
        detail: envelope.error,
        error_code: envelope.error_code,
        context: envelope.context
      })
      for (const [path, status] of [
        [`${root}/nothing`, 404],
        [`${root}/health?strict=x`, 400]
      ] as const) {
        assert.strictEqual((yield* json(yield* call(path, init))).status, status)
      }
      assert.strictEqual((yield* json(yield* call(`${root}/health`, { ...init, key: "" }))).status, 401)
    }).pipe(Effect.provide(live))
  )

  it("is wanted where Accept names it and does not like JSON better", () => {
    for (const [accept, expected] of [
      ["application/problem+json", true],
      ["Application/Problem+JSON", true],
      ["application/json, application/problem+json", true],
      ["application/problem+json;q=0.5, text/html", true],
      ["application/problem+json;q=0.5, application/json", false],
      ["application/problem+json; q=0", false],
      ["application/json", false],
      ["*/*", false],
      ["", false]
    ] as const) {
      assert.strictEqual(isWanted(accept), expected, accept)
    }
    assert.isFalse(isWanted(undefined))
  })
})

describe("a probe", () => {
  const text = (response: Response) => Effect.promise(() => response.text())

  it.effect("says one word to anybody", () =>
    Effect.gen(function* () {
      const { call } = yield* app()
      for (const [path, word] of [
        ["/livez", "live"],
        ["/readyz", "ready"]
      ] as const) {
        const response = yield* call(path, { key: "" })
        assert.strictEqual(response.status, 200)
        assert.strictEqual(yield* text(response), word)
        assert.strictEqual(response.headers.get("cache-control"), "no-store")
        assert.strictEqual((yield* call(path, { key: "", method: "HEAD" })).status, 200)
        assert.strictEqual((yield* call(path, { key: "wrong-key-0123456789" })).status, 200)
        assert.strictEqual((yield* call(path, { key: "", headers: { host: "10.0.0.7:8080" } })).status, 200)
        const post = yield* call(path, { key: "", method: "POST" })
        assert.strictEqual(post.status, 405)
        assert.strictEqual(post.headers.get("allow"), "GET, HEAD")
      }
    }).pipe(Effect.provide(live))
  )

  it.effect("is not ready when the application says so, fails or does not know", () =>
    Effect.gen(function* () {
      for (const ready of [Effect.succeed(false), Effect.die(new Error("hunter2")), Effect.never]) {
        const { call, lines } = yield* app({ admin: { ready } })
        const pending = yield* Effect.forkChild(call("/readyz", { key: "" }))
        while (pending.pollUnsafe() === undefined) {
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
          yield* TestClock.adjust("1 second")
        }
        const response = yield* Fiber.join(pending)
        assert.strictEqual(response.status, 503)
        assert.strictEqual(yield* text(response), "not ready")
        assert.notInclude(lines.join(), "hunter2")
        assert.strictEqual(yield* text(yield* call("/livez", { key: "" })), "live")
      }
    }).pipe(Effect.provide(live))
  )

  it.effect("asks the application once for all who ask at the same time, and again for those who come later", () =>
    Effect.gen(function* () {
      let asked = 0
      const gate = yield* Deferred.make<boolean>()
      const ready = Effect.suspend(() => {
        asked++
        return Deferred.await(gate)
      })
      const { call } = yield* app({ admin: { ready } })
      const probes = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 100 }, () => call("/readyz", { key: "" })),
          { concurrency: "unbounded" }
        )
      )
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.strictEqual(asked, 1)
      yield* Deferred.succeed(gate, true)
      for (const response of yield* Fiber.join(probes)) assert.strictEqual(yield* text(response), "ready")
      assert.strictEqual(asked, 1)
      yield* call("/readyz", { key: "" })
      assert.strictEqual(asked, 2)
    }).pipe(Effect.provide(live))
  )

  it.effect("is left to an application that has its own", () =>
    Effect.gen(function* () {
      const { call } = yield* app({
        admin: { probes: false },
        routes: HttpRouter.add("GET", "/livez", HttpServerResponse.text("mine"))
      })
      assert.strictEqual(yield* text(yield* call("/livez", { key: "", headers: { host: "any.example" } })), "mine")
    }).pipe(Effect.provide(live))
  )
})

describe("the audit log", () => {
  const path = `${root}/circuit-breakers/summarize_text/reset`

  it.effect("is read with a limit, newest first", () =>
    Effect.gen(function* () {
      const { body, call } = yield* app()
      assert.deepStrictEqual(yield* body(`${root}/audit`), [])
      for (const n of [1, 2, 3]) {
        const reset = yield* call(path, {
          method: "POST",
          key: secrets.operate,
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ reason: `reason ${n}` })
        })
        assert.strictEqual(reset.status, 200)
      }
      const entries: ReadonlyArray<any> = yield* body(`${root}/audit?limit=2`, { key: secrets.read })
      assert.deepStrictEqual(
        entries.map(({ id }) => id),
        [3, 2]
      )
      assert.containsAllKeys(entries[0], Object.keys(Audit.Entry.from.fields))
      assert.deepInclude(entries[0], { action: "reset_circuit_breaker", result: "done" })
      assert.match(entries[0].actor, /^[0-9a-f]{6}$/)
      assert.match(entries[0].at, /Z$/)
      for (const limit of ["0", "1001", "-1", "1.5", "x", ""]) {
        assert.strictEqual((yield* call(`${root}/audit?limit=${limit}`)).status, 400, limit)
      }
      assert.strictEqual((yield* call(`${root}/audit?limit=1000`)).status, 200)
    }).pipe(Effect.provide(live))
  )

  it.effect("has every write that was refused to a known key, and none of a stranger", () =>
    Effect.gen(function* () {
      const { body, call } = yield* app()
      yield* call(path, { method: "POST", key: "" })
      yield* call(path, { method: "POST", key: "wrong-key-0123456789" })
      yield* call(path, { method: "POST", key: secrets.read })
      yield* call(path, { method: "POST", headers: { "content-type": "text/plain" }, body: "x" })
      yield* call(path, { method: "POST", headers: { "content-type": "application/json" }, body: "{" })
      yield* call(path, { method: "POST", headers: { "if-match": `"99"` } })
      const ghost = `${root}/circuit-breakers/ghost/reset`
      yield* call(ghost, { method: "POST" })
      yield* call(`${root}/health`)
      const entries: ReadonlyArray<any> = yield* body(`${root}/audit`)
      assert.deepStrictEqual(entries.map(({ result }) => result).toReversed(), [
        "AuthorizationError",
        "UnsupportedMediaTypeError",
        "ValidationError",
        "PreconditionFailedError",
        "BusinessLogicError"
      ])
    }).pipe(Effect.provide(live))
  )
})

// A stream of events has no end.
const textOf = (response: Response) =>
  response.headers.get("content-type")?.startsWith("text/event-stream") === true
    ? Effect.as(
        Effect.promise(async () => response.body?.cancel()),
        ""
      )
    : Effect.promise(() => response.text())

describe("no key", () => {
  it.effect("is in an answer or a log line, whatever is asked", () =>
    Effect.gen(function* () {
      const broken = HttpRouter.add("GET", `${root}/broken`, Effect.die(new Error("broken")))
      const { call, lines } = yield* app({ routes: broken })
      const seen: Array<string> = []
      for (const key of [...Object.values(secrets), "a-wrong-key-0123456789"]) {
        for (const { method, path } of [
          ...routes,
          { method: "GET", path: `${root}/broken` },
          { method: "GET", path: `${root}/nothing` },
          { method: "GET", path: "/livez" },
          { method: "GET", path: "/internal/docs" },
          { method: "GET", path: "/internal/openapi.json" }
        ]) {
          const response = yield* call(path, { method, key })
          seen.push(JSON.stringify([...response.headers]), yield* textOf(response))
        }
      }
      const everything = [...seen, ...lines].join("\n")
      for (const key of [...Object.values(secrets), "a-wrong-key-0123456789"]) assert.notInclude(everything, key)
    }).pipe(Effect.provide(live))
  )
})

describe("a failure of the parser", () => {
  it("is the envelope as it goes over the wire", () => {
    for (const [code, status, errorCode] of [
      ["HPE_HEADER_OVERFLOW", 431, "HeadersTooLargeError"],
      ["HPE_INVALID_METHOD", 400, "ValidationError"],
      ["HPE_INVALID_CHUNK_SIZE", 400, "ValidationError"],
      ["HPE_CHUNK_EXTENSIONS_OVERFLOW", 413, "RequestTooLargeError"],
      ["ERR_HTTP_REQUEST_TIMEOUT", 408, "ValidationError"],
      [undefined, 400, "ValidationError"]
    ] as const) {
      const text = render({ code, requestId: "one", timestamp: "2025-01-01T00:00:00.000Z" })
      const [head = "", body = ""] = text.split("\r\n\r\n")
      assert.isTrue(head.startsWith(`HTTP/1.1 ${status} `), head)
      assert.include(head, `content-length: ${body.length}`)
      assert.include(head, "connection: close")
      assert.include(head, "cache-control: no-store")
      const { context, error_code } = JSON.parse(body)
      assert.strictEqual(error_code, errorCode)
      assert.deepStrictEqual(context, {
        endpoint: "unknown_route",
        operation: "request_parsing",
        request_id: "one",
        timestamp: "2025-01-01T00:00:00.000Z"
      })
    }
  })
})

describe("a web handler", () => {
  it.effect("is the whole API, and nothing else", () =>
    Effect.gen(function* () {
      const services = Layer.merge(live, AdminKeys.AdminKeys.layer([{ key: Redacted.make(secrets.admin) }]))
      const { dispose, handler } = Admin.toWebHandler(services)
      const get = (path: string, headers: Record<string, string> = {}) =>
        Effect.promise(() => handler(new Request(`http://localhost${path}`, { headers })))
      assert.strictEqual((yield* get(`${root}/health`, apiKey(secrets.admin))).status, 200)
      assert.strictEqual((yield* get(`${root}/health`)).status, 401)
      for (const path of ["/", "/nothing", "/%zz"]) {
        const lost = yield* get(path)
        assert.strictEqual(lost.status, 404, path)
        assert.strictEqual((yield* json(lost)).error_code, "NotFoundError")
      }
      yield* Effect.promise(dispose)
    })
  )

  it.effect("has room for the names by which it is called", () =>
    Effect.gen(function* () {
      const { call } = yield* app({ admin: { hosts: ["admin.example.com"] } })
      const at = (host: string) => Effect.map(call(`${root}/health`, { headers: { host } }), ({ status }) => status)
      assert.strictEqual(yield* at("admin.example.com"), 200)
      assert.strictEqual(yield* at("localhost"), 200)
      assert.strictEqual(yield* at("example.com"), 421)
    }).pipe(Effect.provide(live))
  )
})
