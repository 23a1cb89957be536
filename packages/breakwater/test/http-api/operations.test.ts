import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Configuration from "../../src/config/Configuration.ts"
import * as OperationsGroup from "../../src/http-api/groups/OperationsGroup.ts"
import { Registry } from "../../src/Registry.ts"
import { withOperation } from "../../src/Resilience.ts"
import { app, decodes, live, secrets, succeed } from "./operating.ts"

const put = (strategy: unknown, init = {}) => ({ method: "PUT", body: { strategy }, ...init })

describe("operations", () => {
  it.effect("are listed with strategy, source, numbers and circuits", () =>
    Effect.gen(function* () {
      const { call, get } = yield* app()
      yield* succeed("summarize_text")
      const body = yield* get("/operations")
      yield* decodes(OperationsGroup.List, body)
      assert.strictEqual(body.total_count, 3)
      const found = body.operations.find(({ name }: { name: string }) => name === "summarize_text")
      assert.deepInclude(found, { alias: "summarize", strategy: "fragile", source: "code", total_circuit_breakers: 1 })
      assert.deepStrictEqual(found.settings.retry, null)
      assert.deepInclude(found.settings.circuit_breaker, { failure_threshold: 2, recovery_timeout: 30 })
      assert.deepStrictEqual(found.circuit_breakers, [{ name: "summarize_text", state: "closed" }])
      assert.strictEqual((yield* call("/operations")).headers.get("etag"), `"${body.version}"`)
    }).pipe(Effect.provide(live))
  )

  it.effect("are found by either of their names, with a version", () =>
    Effect.gen(function* () {
      const { call, get, refused } = yield* app()
      const body = yield* get("/operations/summarize")
      yield* decodes(OperationsGroup.Details, body)
      assert.strictEqual(body.name, "summarize_text")
      assert.deepInclude(body.description, {
        worst_case_latency_seconds: 5,
        worst_case_calls: 1
      })
      assert.deepStrictEqual(
        body.description.findings.map(({ code }: { readonly code: string }) => code),
        ["low_threshold"]
      )
      assert.strictEqual((yield* call("/operations/summarize")).headers.get("etag"), `"${body.version}"`)
      const context = yield* refused(422, "/operations/ghost")
      assert.deepInclude(context, { endpoint: "get_operation", operation: "operation_retrieval" })
      assert.include(context.available_operations, "ai_service")
    }).pipe(Effect.provide(live))
  )

  it.effect("run by the strategy that an operator sets, until it is taken back", () =>
    Effect.gen(function* () {
      const { audit, call, get } = yield* app()
      const response = yield* call(
        "/operations/summarize",
        put("critical", { body: { strategy: "critical", reason: "launch" } })
      )
      const body = (yield* Effect.promise(() => response.json())) as any
      yield* decodes(OperationsGroup.Details, body)
      assert.strictEqual(body.description.worst_case_calls, 7)
      assert.deepInclude(body, { name: "summarize_text", strategy: "critical", source: "operator", version: 1 })
      assert.strictEqual(response.headers.get("etag"), '"1"')
      const [entry] = yield* audit
      assert.deepInclude(entry, {
        action: "set_operation_strategy",
        resource: "operations/summarize_text",
        from: "fragile",
        to: "critical",
        version: 1,
        reason: "launch",
        result: "done"
      })
      const after = yield* get("/operations/summarize_text", put(null))
      assert.deepInclude(after, { strategy: "fragile", source: "code", version: 2 })
    }).pipe(Effect.provide(live))
  )

  it.effect("are changed through the configuration of the application", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      yield* Effect.void.pipe(withOperation("answer_question"))
      const { get } = yield* app(Layer.succeed(Configuration.Configuration, configuration))
      yield* get("/operations/qa", put("aggressive"))
      const [change] = yield* configuration.history
      assert.deepInclude(change, { kind: "apply", version: 1 })
      assert.match(change?.actor ?? "", /^[0-9a-f]{6}$/)
      const [operation] = yield* (yield* Registry).operations
      assert.deepInclude(operation, { strategy: "aggressive", source: "operator" })
    }).pipe(Effect.provide(Configuration.layer()))
  )

  it.effect("are not changed with a stale version, a strategy that does not exist, or a scope below admin", () =>
    Effect.gen(function* () {
      const { get, refused } = yield* app()
      const stale = yield* refused(412, "/operations/ai_service", put("critical", { headers: { "if-match": '"9"' } }))
      assert.deepInclude(stale, { operation_name: "ai_service", current_version: 0 })
      yield* refused(400, "/operations/ai_service", put("heroic"))
      yield* refused(400, "/operations/ai_service", put("critical", { body: {} }))
      yield* refused(403, "/operations/ai_service", put("critical", { key: secrets.operate }))
      yield* refused(422, "/operations/ghost", put("critical"))
      assert.strictEqual((yield* get("/operations/ai_service")).strategy, "fragile")
      yield* get("/operations/ai_service", put("critical", { headers: { "if-match": '"0"' } }))
    }).pipe(Effect.provide(live))
  )
})
