import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as Environment from "../../src/config/Environment.ts"
import * as Presets from "../../src/config/Presets.ts"
import { configured, decodes, refusedGet } from "./ConfigurationApp.ts"

const keys = [
  "simple",
  "development",
  "production",
  "microsoft-standard",
  "llm-interactive",
  "llm-batch",
  "embedding",
  "internal-rpc"
]

describe("presets over HTTP", () => {
  it.effect("are listed by the names by which they are chosen", () =>
    Effect.gen(function* () {
      const { get } = yield* configured()
      const list = yield* get("/config/presets")
      yield* decodes(Schema.Array(Presets.PresetSummary), list)
      assert.deepStrictEqual(
        list.map(({ name }: any) => name),
        keys
      )
      assert.deepInclude(list[2], {
        name: "production",
        display_name: "Production",
        retry_attempts: 5,
        circuit_breaker_threshold: 10,
        recovery_timeout: 120,
        default_strategy: "conservative",
        environment_contexts: ["production", "staging"]
      })
    })
  )

  it.effect("are found in any case, with their configuration", () =>
    Effect.gen(function* () {
      const { get } = yield* configured()
      const details = yield* get("/config/presets/Production")
      yield* decodes(Presets.PresetDetails, details)
      assert.strictEqual(details.name, "production")
      assert.deepStrictEqual(details.configuration, {
        retry_attempts: 5,
        circuit_breaker_threshold: 10,
        recovery_timeout: 120,
        default_strategy: "conservative",
        operation_overrides: {
          qa: "critical",
          sentiment: "aggressive",
          summarize: "conservative",
          key_points: "balanced",
          questions: "balanced"
        }
      })
    })
  )

  it.effect("that do not exist are 422 with what exists and what was meant", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      const { context, error } = yield* refusedGet(app, "/config/presets/prod", 422)
      assert.strictEqual(error, "There is no such preset")
      assert.deepInclude(context, {
        endpoint: "get_preset_details",
        operation: "preset_lookup",
        reason: "not_found",
        preset_name: "prod",
        available_options: keys,
        nearest: "production"
      })
      assert.isNull((yield* refusedGet(app, "/config/presets/zzzzzzzz", 422)).context.nearest)
    })
  )

  it.effect("are summed up by name", () =>
    Effect.gen(function* () {
      const { get } = yield* configured()
      const summary = yield* get("/config/presets-summary")
      yield* decodes(Presets.PresetsSummary, summary)
      assert.deepStrictEqual(Object.keys(summary), keys)
    })
  )

  it.effect("are compared with each other, and with the one in force", () =>
    Effect.gen(function* () {
      const app = yield* configured({ RESILIENCE_PRESET: "development" })
      const both = yield* app.get("/config/presets-compare?current=simple&compare_with=production")
      yield* decodes(Presets.Comparison, both)
      assert.isFalse(both.identical)
      assert.deepInclude(both.differences, { field: "retry_attempts", current: 3, compare_with: 5 })
      const own = yield* app.get("/config/presets-compare?compare_with=development")
      assert.deepInclude(own, { current: "development", compare_with: "development", identical: true })
      const { context } = yield* refusedGet(app, "/config/presets-compare?current=simple&compare_with=prd", 422)
      assert.deepInclude(context, { endpoint: "compare_presets", preset_name: "prd", reason: "not_found" })
      yield* refusedGet(app, "/config/presets-compare", 400)
    })
  )

  it.effect("are recommended for the name of an environment", () =>
    Effect.gen(function* () {
      const { get } = yield* configured()
      for (const [environment, preset, confidence] of [
        ["dev", "development", 0.9],
        ["test", "development", 0.85],
        ["staging", "production", 0.9],
        ["PROD", "production", 0.9],
        ["live", "production", 0.85],
        ["uat", "production", 0.7],
        ["stag-1", "production", 0.7],
        ["latest", "simple", 0.4],
        ["domain", "simple", 0.4]
      ] as const) {
        const recommendation = yield* get(`/config/recommend-preset/${environment}`)
        yield* decodes(Environment.Recommendation, recommendation)
        assert.deepInclude(recommendation, {
          environment_detected: environment,
          recommended_preset: preset,
          confidence,
          auto_detected: false,
          available_presets: keys
        })
      }
    })
  )

  it.effect("are recommended for the environment of the process", () =>
    Effect.gen(function* () {
      const { get } = yield* configured({ ENVIRONMENT: "production" })
      const recommendation = yield* get("/config/recommend-preset-auto")
      yield* decodes(Environment.AutoRecommendation, recommendation)
      assert.deepInclude(recommendation, {
        environment_detected: "production (auto-detected)",
        recommended_preset: "production",
        confidence: 0.95,
        available_presets: keys,
        auto_detected: true,
        detection_method: "environment_variables_and_context"
      })
    })
  )
})
