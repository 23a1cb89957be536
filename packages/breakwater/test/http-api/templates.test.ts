import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Template from "../../src/config/Template.ts"
import * as Validation from "../../src/config/Validation.ts"
import { configured, decodes, refusedGet } from "./ConfigurationApp.ts"

const keys = ["fast_development", "robust_production", "low_latency", "high_throughput", "maximum_reliability"]

describe("templates over HTTP", () => {
  it.effect("are listed by their keys", () =>
    Effect.gen(function* () {
      const { get } = yield* configured()
      const list = yield* get("/config/templates")
      yield* decodes(Template.List, list)
      assert.deepStrictEqual(Object.keys(list.templates), keys)
      assert.deepStrictEqual(list.templates.low_latency.config, {
        retry_attempts: 1,
        circuit_breaker_threshold: 2,
        recovery_timeout: 10,
        default_strategy: "aggressive",
        max_delay_seconds: 5,
        exponential_multiplier: 0.5,
        exponential_min: 0.5,
        exponential_max: 5
      })
    })
  )

  it.effect("are found by key, and are 422 with what exists if there is none", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      const template = yield* app.get("/config/templates/robust_production")
      yield* decodes(Template.Template, template)
      assert.strictEqual(template.name, "Robust Production")
      const { context } = yield* refusedGet(app, "/config/templates/low_latancy", 422)
      assert.deepInclude(context, {
        endpoint: "get_template",
        operation: "template_lookup",
        reason: "not_found",
        template_name: "low_latancy",
        available_options: keys,
        nearest: "low_latency"
      })
    })
  )

  it.effect("are validated with overrides, of which a wrong one is a finding", () =>
    Effect.gen(function* () {
      const { post } = yield* configured()
      const path = "/config/validate-template"
      const valid = yield* post(path, { template_name: "high_throughput", overrides: { retry_attempts: 5 } })
      yield* decodes(Validation.Response, valid)
      assert.deepInclude(valid, { is_valid: true, errors: [], security_info: null })
      const bare = yield* post(path, { template_name: "high_throughput" })
      assert.isTrue(bare.is_valid)
      const wrong = yield* post(path, { template_name: "high_throughput", overrides: { retry_attempts: 50 } })
      yield* decodes(Validation.Response, wrong)
      assert.isFalse(wrong.is_valid)
      assert.strictEqual(wrong.findings[0].path, "retry_attempts")
    })
  )

  it.effect("that do not exist can not be validated", () =>
    Effect.gen(function* () {
      const { post } = yield* configured()
      const path = "/config/validate-template"
      const { context } = yield* post(path, { template_name: "production", overrides: {} }, { status: 422 })
      assert.deepInclude(context, {
        endpoint: "validate_template_based_config",
        template_name: "production",
        available_options: keys
      })
      for (const body of [
        {},
        { template_name: 5 },
        { template_name: "low_latency", overrides: [] },
        { overrides: {} }
      ]) {
        yield* post(path, body, { status: 400 })
      }
    })
  )

  it.effect("are recommended by nearness", () =>
    Effect.gen(function* () {
      const { post } = yield* configured()
      const path = "/config/recommend-template"
      const near = yield* post(path, {
        configuration: { retry_attempts: 8, circuit_breaker_threshold: 15, default_strategy: "critical" }
      })
      yield* decodes(Template.Suggestion, near)
      assert.deepInclude(near, { suggested_template: "maximum_reliability", confidence: 1, available_templates: keys })
      const odd = yield* post(path, { configuration: { retry_attempts: "many", circuit_breaker_threshold: null } })
      yield* decodes(Template.Suggestion, odd)
      assert.deepInclude(odd, { suggested_template: null, confidence: 0 })
      yield* post(path, { configuration: 5 }, { status: 400 })
    })
  )
})
