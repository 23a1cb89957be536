import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as DecisionsGroup from "../../src/http-api/groups/DecisionsGroup.ts"
import * as Decisions from "../../src/monitoring/Decisions.ts"
import * as Preset from "../../src/Preset.ts"
import { Resilience } from "../../src/Resilience.ts"
import { app, decodes, fail, open, operations, succeed } from "./operating.ts"

const live = Resilience.layer(Preset.production, { operations, decisions: { sampleEvery: 1 } })

describe("decisions", () => {
  it.effect("are listed newest first, by operation, verdict, reason, time and number", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      yield* succeed("summarize_text")
      yield* TestClock.adjust("1 second")
      yield* open("ai_service")
      yield* TestClock.adjust("1 second")
      yield* fail("ai_service")
      const all = yield* get("/decisions")
      yield* decodes(DecisionsGroup.List, all)
      assert.deepInclude(all, { total_count: 4, limit: 100 })
      assert.deepInclude(all.decisions[0], { operation: "ai_service", verdict: "rejected", reason: "CircuitOpen" })
      const count = (query: string) => Effect.map(get(`/decisions?${query}`), ({ decisions }) => decisions.length)
      assert.strictEqual(yield* count("operation=ai_service"), 3)
      assert.strictEqual(yield* count("operation=summarize"), 1)
      assert.strictEqual(yield* count("verdict=failed"), 2)
      assert.strictEqual(yield* count("reason=CircuitOpen"), 1)
      assert.strictEqual(yield* count("since=1970-01-01T00:00:01.000Z"), 3)
      assert.strictEqual(yield* count("until=1970-01-01T00:00:01.000Z"), 3)
      assert.strictEqual(yield* count("limit=2"), 2)
    }).pipe(Effect.provide(live))
  )

  it.effect("are explained one by one", () =>
    Effect.gen(function* () {
      const { get, refused } = yield* app()
      yield* open("ai_service")
      const rejected = yield* Effect.flip(succeed("ai_service"))
      const body = yield* get(`/decisions/${rejected.decisionId}`)
      yield* decodes(Decisions.View, body)
      assert.include(body.explanation, "refused by circuit ai_service: 2 failures in a row")
      const context = yield* refused(422, "/decisions/ghost")
      assert.deepInclude(context, { endpoint: "get_decision", decision_id: "ghost", reason: "not_found" })
    }).pipe(Effect.provide(live))
  )

  it.effect("are lines of JSON for whoever accepts them", () =>
    Effect.gen(function* () {
      const { call } = yield* app()
      yield* succeed("ai_service")
      const response = yield* call("/decisions", { headers: { accept: "application/x-ndjson" } })
      assert.strictEqual(response.headers.get("content-type"), "application/x-ndjson")
      const line = (yield* Effect.promise(() => response.text())).trim()
      assert.deepInclude(JSON.parse(line), { operation: "ai_service", outcome: "succeeded" })
    }).pipe(Effect.provide(live))
  )

  it.effect("are 400 for a filter that cannot be", () =>
    Effect.gen(function* () {
      const { refused } = yield* app()
      for (const query of ["limit=0", "limit=1001", "limit=x", "verdict=perhaps", "since=yesterday"]) {
        const context = yield* refused(400, `/decisions?${query}`)
        assert.isNotEmpty(context.validation_errors)
      }
      const [{ message }] = (yield* refused(400, "/decisions?limit=1001")).validation_errors
      assert.match(message, /1001/)
      assert.match(message, /1000/)
    }).pipe(Effect.provide(live))
  )
})
