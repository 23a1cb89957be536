import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { AdminApi } from "../../src/http-api/index.ts"
import * as CircuitsGroup from "../../src/http-api/groups/CircuitsGroup.ts"
import { app, decodes, fail, live, open, secrets, succeed } from "./operating.ts"

const at = (command: string, name = "ai_service") => `/circuit-breakers/${name}/${command}`
const post = (body: unknown, init = {}) => ({ method: "POST", body, ...init })

const reasonOf = (operation: string) =>
  succeed(operation).pipe(
    Effect.as("admitted"),
    Effect.catchTag("ResilienceError", ({ reason }) => Effect.succeed(reason._tag))
  )

describe("a trip", () => {
  it.effect("opens a circuit for its open time, after which it probes", () =>
    Effect.gen(function* () {
      const { audit, call } = yield* app()
      const response = yield* call(at("trip"), post({ reason: "the model is wrong" }, { key: secrets.operate }))
      const body = (yield* Effect.promise(() => response.json())) as any
      assert.strictEqual(response.status, 200, JSON.stringify(body))
      yield* decodes(AdminApi.BreakerDetails, body)
      assert.deepInclude(body, { name: "ai_service", state: "open", version: 1, retry_after_seconds: 30 })
      assert.strictEqual(response.headers.get("etag"), '"1"')
      assert.strictEqual(yield* reasonOf("ai_service"), "CircuitOpen")
      assert.strictEqual(yield* reasonOf("text_processing"), "admitted")
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* reasonOf("ai_service"), "admitted")
      const [entry] = yield* audit
      assert.deepInclude(entry, {
        action: "trip_circuit_breaker",
        resource: "circuit-breakers/ai_service",
        from: "closed",
        to: "open",
        version: 1,
        reason: "the model is wrong",
        result: "done"
      })
      assert.match(entry.actor, /^[0-9a-f]{6}$/)
    }).pipe(Effect.provide(live))
  )

  it.effect("lasts as long as it says", () =>
    Effect.gen(function* () {
      const { get, post } = yield* app()
      const body = yield* post(at("trip"), { reason: "maintenance", open_for_seconds: 300 })
      assert.strictEqual(body.retry_after_seconds, 300)
      yield* TestClock.adjust("299 seconds")
      assert.strictEqual(yield* reasonOf("ai_service"), "CircuitOpen")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* reasonOf("ai_service"), "admitted")
      assert.strictEqual((yield* get("/circuit-breakers/ai_service")).state, "closed")
    }).pipe(Effect.provide(live))
  )
})

describe("an isolation", () => {
  it.effect("holds a circuit open and ends by itself after an hour", () =>
    Effect.gen(function* () {
      const { get, post } = yield* app()
      const body = yield* post(at("isolate"), { reason: "being replaced" })
      yield* decodes(AdminApi.BreakerDetails, body)
      assert.deepInclude(body, { state: "isolated", version: 1 })
      assert.deepInclude(body.isolation, { reason: "being replaced", expires_at: "1970-01-01T01:00:00.000Z" })
      assert.match(body.isolation.actor, /^[0-9a-f]{6}$/)
      assert.strictEqual(yield* reasonOf("ai_service"), "CircuitIsolated")
      yield* TestClock.adjust("59 minutes")
      assert.strictEqual(yield* reasonOf("ai_service"), "CircuitIsolated")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* reasonOf("ai_service"), "admitted")
      assert.deepInclude(yield* get("/circuit-breakers/ai_service"), { state: "closed", isolation: null })
    }).pipe(Effect.provide(live))
  )

  it.effect("ends when it is told, or when the circuit is closed", () =>
    Effect.gen(function* () {
      const { post } = yield* app()
      yield* post(at("isolate"), { reason: "a minute", expires_in_seconds: 60 })
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(yield* reasonOf("ai_service"), "admitted")
      yield* post(at("isolate"), { reason: "a day", expires_in_seconds: 86_400 })
      assert.strictEqual(yield* reasonOf("ai_service"), "CircuitIsolated")
      const body = yield* post(at("close"))
      assert.deepInclude(body, { state: "closed", isolation: null })
      assert.strictEqual(yield* reasonOf("ai_service"), "admitted")
    }).pipe(Effect.provide(live))
  )
})

describe("an override that disables", () => {
  it.effect("admits every call and counts none of them, for an hour", () =>
    Effect.gen(function* () {
      const { audit, get, post } = yield* app()
      const body = yield* post(at("disable"), { reason: "load test" }, { key: secrets.operate })
      yield* decodes(AdminApi.BreakerDetails, body)
      assert.deepInclude(body, { state: "disabled", version: 1, isolation: null, failure_count: 0 })
      const [override] = body.overrides
      assert.deepInclude(override, {
        mode: "disabled",
        reason: "load test",
        expires_at: "1970-01-01T01:00:00.000Z"
      })
      assert.match(override.actor, /^[0-9a-f]{6}$/)
      yield* open("ai_service")
      assert.strictEqual(yield* reasonOf("ai_service"), "admitted")
      assert.deepInclude(yield* get("/circuit-breakers/ai_service"), { state: "disabled", failure_count: 0 })
      const [entry] = yield* audit
      assert.deepInclude(entry, {
        action: "disable_circuit_breaker",
        resource: "circuit-breakers/ai_service",
        from: "closed",
        to: "disabled",
        version: 1,
        reason: "load test",
        result: "done"
      })
      yield* TestClock.adjust("1 hour")
      yield* open("ai_service")
      assert.deepInclude(yield* get("/circuit-breakers/ai_service"), { state: "open", overrides: [] })
    }).pipe(Effect.provide(live))
  )
})

describe("an override for metrics only", () => {
  it.effect("lets the circuit move and refuse nothing, until it is closed", () =>
    Effect.gen(function* () {
      const { audit, get, post } = yield* app()
      const body = yield* post(at("metrics-only"), { reason: "trial", expires_in_seconds: 60 })
      yield* decodes(AdminApi.BreakerDetails, body)
      assert.deepInclude(body, { state: "metrics_only", version: 1 })
      yield* open("ai_service")
      assert.strictEqual(yield* reasonOf("ai_service"), "admitted")
      assert.deepInclude(yield* get("/circuit-breakers/ai_service"), { state: "metrics_only", failure_count: 2 })
      assert.deepInclude(yield* post(at("close")), { state: "closed", overrides: [] })
      const [, entry] = yield* audit
      assert.deepInclude(entry, { action: "metrics_only_circuit_breaker", from: "closed", to: "metrics_only" })
    }).pipe(Effect.provide(live))
  )

  it.effect("gives way to a stronger one, and comes back", () =>
    Effect.gen(function* () {
      const { get, post } = yield* app()
      yield* post(at("metrics-only"), { reason: "trial", expires_in_seconds: 100 })
      yield* post(at("isolate"), { reason: "incident", expires_in_seconds: 50 })
      const both = yield* post(at("disable"), { reason: "drill", expires_in_seconds: 75 })
      assert.deepStrictEqual(
        both.overrides.map(({ mode }: { readonly mode: string }) => mode),
        ["isolated", "disabled", "metrics_only"]
      )
      assert.deepInclude(both.isolation, { reason: "incident" })
      const states: Array<string> = [both.state]
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust(i === 0 ? "50 seconds" : "25 seconds")
        states.push((yield* get("/circuit-breakers/ai_service")).state)
      }
      assert.deepStrictEqual(states, ["isolated", "disabled", "metrics_only", "closed"])
    }).pipe(Effect.provide(live))
  )
})

describe("a release", () => {
  it.effect("ends one override and leaves the others, and the circuit as it is", () =>
    Effect.gen(function* () {
      const { audit, post } = yield* app()
      yield* open("ai_service")
      yield* post(at("disable"), { reason: "load test" })
      yield* post(at("isolate"), { reason: "incident" })
      const body = yield* post(at("release"), { mode: "isolated", reason: "over" }, { key: secrets.operate })
      yield* decodes(AdminApi.BreakerDetails, body)
      assert.deepInclude(body, { state: "disabled", isolation: null, version: 4 })
      assert.lengthOf(body.overrides, 1)
      assert.strictEqual(yield* reasonOf("ai_service"), "admitted")
      // Where `close` would have closed it.
      assert.deepInclude(yield* post(at("release"), { mode: "disabled" }), { state: "open", overrides: [] })
      assert.strictEqual(yield* reasonOf("ai_service"), "CircuitOpen")
      const [last, first] = yield* audit
      assert.deepInclude(first, {
        action: "release_circuit_breaker",
        resource: "circuit-breakers/ai_service",
        from: "isolated",
        to: "disabled",
        version: 4,
        reason: "over",
        result: "done"
      })
      assert.deepInclude(last, { from: "disabled", to: "open", version: 5, reason: null })
    }).pipe(Effect.provide(live))
  )

  it.effect("of what does not lie over the circuit changes nothing, and one of no mode is 400", () =>
    Effect.gen(function* () {
      const { post: send, refused } = yield* app()
      yield* send(at("isolate"), { reason: "incident" })
      assert.deepInclude(yield* send(at("release"), { mode: "disabled" }), { state: "isolated", version: 1 })
      for (const body of [{}, { mode: "open" }, { mode: "isolated", reason: "x".repeat(201) }]) {
        yield* refused(400, at("release"), post(body))
      }
    }).pipe(Effect.provide(live))
  )
})

describe("a window", () => {
  it.effect("is told while the circuit is closed", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      yield* fail("ai_service")
      const closed = yield* get("/circuit-breakers/ai_service")
      yield* decodes(AdminApi.BreakerDetails, closed)
      assert.deepStrictEqual(closed.window, [{ policy: "consecutive", calls: 1, counted: 1, limit: 2 }])
      yield* fail("ai_service")
      assert.deepStrictEqual((yield* get("/circuit-breakers/ai_service")).window, [])
    }).pipe(Effect.provide(live))
  )
})

describe("a close", () => {
  it.effect("closes an open circuit, with or without a reason", () =>
    Effect.gen(function* () {
      const { audit, post } = yield* app()
      yield* open("ai_service")
      assert.deepInclude(yield* post(at("close")), { state: "closed", version: 2 })
      yield* open("ai_service")
      assert.deepInclude(yield* post(at("close"), { reason: "it is back" }), { state: "closed", version: 4 })
      const [second, first] = yield* audit
      assert.deepInclude(second, { from: "open", to: "closed", reason: "it is back" })
      assert.deepInclude(first, { from: "open", to: "closed", reason: null })
    }).pipe(Effect.provide(live))
  )
})

describe("a reset", () => {
  it.effect("is in the audit log, and may come ten times a minute", () =>
    Effect.gen(function* () {
      const { audit, get, refused } = yield* app()
      yield* open("ai_service")
      yield* get(at("reset"), { method: "POST" })
      const [entry] = yield* audit
      assert.deepInclude(entry, {
        action: "reset_circuit_breaker",
        resource: "circuit-breakers/ai_service",
        from: "open",
        to: "closed",
        version: 2,
        result: "done"
      })
      for (let i = 0; i < 9; i++) yield* get(at("reset"), { method: "POST" })
      yield* refused(429, at("reset"), { method: "POST" })
    }).pipe(Effect.provide(live))
  )
})

describe("a reset of all", () => {
  it.effect("closes every circuit and names those that were not closed", () =>
    Effect.gen(function* () {
      const { audit, post } = yield* app()
      yield* open("ai_service")
      yield* post(at("isolate", "text_processing"), { reason: "a test" })
      const body = yield* post("/circuit-breakers/reset", { reason: "all is well" })
      yield* decodes(CircuitsGroup.AllReset, body)
      assert.deepInclude(body, { total_count: 3, reset_count: 2 })
      assert.deepStrictEqual(body.circuit_breakers, {
        ai_service: { previous_state: "open", new_state: "closed" },
        text_processing: { previous_state: "isolated", new_state: "closed" }
      })
      assert.strictEqual(yield* reasonOf("ai_service"), "admitted")
      assert.strictEqual(yield* reasonOf("text_processing"), "admitted")
      const [entry] = yield* audit
      assert.deepInclude(entry, { action: "reset_all_circuit_breakers", from: "1 of 3 closed", to: "3 of 3 closed" })
    }).pipe(Effect.provide(live))
  )
})

const bodyOf = (command: string) => ({ reason: "why", ...(command === "release" ? { mode: "isolated" } : {}) })

describe("a command", () => {
  it.effect("about a circuit that does not exist is 422 with those that do", () =>
    Effect.gen(function* () {
      const { refused } = yield* app()
      for (const command of ["trip", "isolate", "disable", "metrics-only", "close", "release"]) {
        const context = yield* refused(422, at(command, "ghost"), post(bodyOf(command)))
        assert.deepInclude(context, { breaker_name: "ghost", endpoint: `${command.replace("-", "_")}_circuit_breaker` })
        assert.include(context.available_breakers, "ai_service")
      }
    }).pipe(Effect.provide(live))
  )

  it.effect("with a stale version is 412 and changes nothing", () =>
    Effect.gen(function* () {
      const { get, post: send, refused } = yield* app()
      yield* open("ai_service")
      const stale = { headers: { "if-match": '"0"' } }
      for (const command of ["trip", "isolate", "disable", "metrics-only", "close", "release"]) {
        const context = yield* refused(412, at(command), post(bodyOf(command), stale))
        assert.deepInclude(context, { breaker_name: "ai_service", current_version: 1 })
      }
      assert.deepInclude(yield* get("/circuit-breakers/ai_service"), { state: "open", version: 1 })
      yield* send(at("close"), { reason: "why" }, { headers: { "if-match": '"1"' } })
    }).pipe(Effect.provide(live))
  )

  it.effect("needs a reason within its bounds, and a time within its range", () =>
    Effect.gen(function* () {
      const { get, refused } = yield* app()
      for (const [command, body] of [
        ["trip", {}],
        ["trip", { reason: "" }],
        ["trip", { reason: "x".repeat(201) }],
        ["trip", { reason: "why", open_for_seconds: 0 }],
        ["isolate", {}],
        ["isolate", { reason: "x".repeat(201) }],
        ["isolate", { reason: "why", expires_in_seconds: 0 }],
        ["isolate", { reason: "why", expires_in_seconds: 86_401 }],
        ["isolate", { reason: "why", expires_in_seconds: 1.5 }],
        ["isolate", { reason: "why", forever: true }],
        ...["disable", "metrics-only"].flatMap((command) =>
          [
            {},
            { reason: "" },
            { reason: "why", expires_in_seconds: 0 },
            { reason: "why", expires_in_seconds: 86_401 }
          ].map((body) => [command, body] as const)
        ),
        ["close", { reason: "x".repeat(201) }]
      ] as const) {
        yield* refused(400, at(command), post(body))
      }
      assert.deepInclude(yield* get("/circuit-breakers/ai_service"), { state: "closed", version: 0 })
    }).pipe(Effect.provide(live))
  )

  it.effect("may not come from a key that only reads", () =>
    Effect.gen(function* () {
      const { refused } = yield* app()
      const commands = ["trip", "isolate", "disable", "metrics-only", "close"].map((command) => at(command))
      for (const path of [...commands, "/circuit-breakers/reset"]) {
        yield* refused(403, path, post({ reason: "why" }, { key: secrets.read }))
      }
    }).pipe(Effect.provide(live))
  )

  it.effect("may come ten times a minute from one key", () =>
    Effect.gen(function* () {
      const { call, post: send, refused } = yield* app()
      for (let i = 0; i < 10; i++) yield* send(at("close"))
      yield* refused(429, at("close"), post({}))
      assert.isNotNull((yield* call(at("close"), post({}))).headers.get("retry-after"))
      yield* send(at("trip"), { reason: "another command" })
      yield* send(at("close"), undefined, { key: secrets.operate })
    }).pipe(Effect.provide(live))
  )
})
