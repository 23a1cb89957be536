import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Validation from "../../src/config/Validation.ts"
import * as ValidationLimiter from "../../src/config/ValidationLimiter.ts"
import { EnvironmentValidation } from "../../src/http-api/groups/ValidationGroup.ts"
import { json, secrets } from "./App.ts"
import { type ConfiguredApp, configured, decodes } from "./ConfigurationApp.ts"

const validate = Effect.fnUntraced(function* ({ post }: ConfiguredApp, configuration: unknown, path = "validate") {
  // The limit on validations is no matter here.
  yield* TestClock.adjust("1 minute")
  const body = yield* post(`/config/${path}`, { configuration })
  yield* decodes(Validation.Response, body)
  return body
})

const codes = ({ findings }: any): ReadonlyArray<string> => findings.map(({ code }: any) => code)

const nested = (depth: number): unknown => (depth === 0 ? 1 : { a: nested(depth - 1) })

describe("validation over HTTP", () => {
  it.effect("says what is wrong with a configuration, with status 200", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      for (const configuration of [
        {},
        { retry_attempts: true },
        { retry_attempts: "5" },
        { exponential_min: 9, exponential_max: 6 },
        { retry_attempts: 3, circuit_breaker_threshold: 5, timeout_seconds: 30 },
        { operation_overrides: { qa: "nonsense" } }
      ]) {
        const body = yield* validate(app, configuration)
        assert.isFalse(body.is_valid, JSON.stringify(configuration))
        assert.isNotEmpty(body.errors)
        assert.isNull(body.security_info)
      }
      const high = yield* validate(app, { retry_attempts: 15 })
      assert.isFalse(high.is_valid)
      assert.include(codes(high), "many_retries")
      assert.isNotEmpty(high.suggestions)
      assert.lengthOf((yield* validate(app, { retry_attempts: "5" })).errors, 1)
      assert.include(codes(yield* validate(app, { exponential_min: 9, exponential_max: 6 })), "exp_bounds")
    })
  )

  it.effect("accepts what can be used, with warnings about what is doubtful", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      const patient = {
        retry_attempts: 7,
        circuit_breaker_threshold: 12,
        recovery_timeout: 180,
        default_strategy: "conservative"
      }
      for (const [configuration, expected] of [
        [{ retry_attempts: 3 }, []],
        [patient, []],
        [{ retry_attempts: 8, max_delay_seconds: 10 }, ["delay_too_short", "many_retries"]],
        [{ circuit_breaker_threshold: 2 }, ["low_threshold"]],
        [{ operation_overrides: { foo: "balanced" } }, ["unknown_operation"]],
        [{ operation_overrides: { ai_service: "balanced", qa: "critical" } }, []]
      ] as const) {
        const body = yield* validate(app, configuration)
        assert.isTrue(body.is_valid)
        assert.deepStrictEqual([...codes(body)].toSorted(), [...expected])
      }
    })
  )

  it.effect("of strangers' configurations limits size and content too", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      const path = "validate-secure?client_ip=10.0.0.1"
      const valid = yield* validate(
        app,
        { retry_attempts: 5, circuit_breaker_threshold: 8, default_strategy: "conservative" },
        path
      )
      assert.isTrue(valid.is_valid)
      assert.deepInclude(valid.security_info, { max_size_bytes: 4096, field_count: 3 })
      const overrides = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`op_${i}`, "balanced"]))
      for (const configuration of [
        { retry_attempts: 15 },
        { operation_overrides: { qa: "nonsense" } },
        { default_strategy: "ausgewogen-ü" },
        nested(11),
        { operation_overrides: overrides },
        { default_strategy: "x".repeat(201) },
        { ["x".repeat(201)]: 1 },
        { default_strategy: "x".repeat(5_000) }
      ]) {
        const body = yield* validate(app, configuration, path)
        assert.isFalse(body.is_valid)
        assert.isNotNull(body.security_info)
      }
      assert.include(codes(yield* validate(app, { default_strategy: "x".repeat(5_000) }, path)), "too_large")
      assert.notInclude(codes(yield* validate(app, { default_strategy: "ü" }, path)), "forbidden_pattern")
    })
  )

  it.effect("sees members that reach a prototype", () =>
    Effect.gen(function* () {
      const { call } = yield* configured()
      const response = yield* call("/config/validate", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: '{"configuration":{"retry_attempts":3,"__proto__":{"x":1}}}'
      })
      assert.strictEqual(response.status, 200)
      assert.isFalse((yield* json(response)).is_valid)
    })
  )

  it.effect("reads JSON text from the query or from the body, and not from both", () =>
    Effect.gen(function* () {
      const { post } = yield* configured()
      const path = "/config/validate-json"
      const text = '{"retry_attempts": 3}'
      const query = `${path}?json_config=${encodeURIComponent(text)}`
      for (const body of [yield* post(query, undefined), yield* post(path, { json_config: text })]) {
        yield* decodes(Validation.Response, body)
        assert.deepInclude(body, { is_valid: true, security_info: null })
      }
      const broken = yield* post(path, { json_config: '{"retry_attempts": 3,}' })
      assert.isFalse(broken.is_valid)
      assert.include(codes(broken), "malformed_json")
      const neither = yield* post(path, undefined, { status: 400 })
      assert.strictEqual(neither.context.endpoint, "validate_json_config")
      yield* post(query, { json_config: text }, { status: 400 })
      yield* post(path, { json_config: 5 }, { status: 400 })
    })
  )

  it.effect("holds each field against what it accepts", () =>
    Effect.gen(function* () {
      const { post } = yield* configured()
      const path = "/config/validate/field-whitelist"
      const report = yield* post(path, { configuration: { retry_attempts: 3, timeout_seconds: 30 } })
      yield* decodes(Validation.FieldReport, report)
      assert.isFalse(report.is_valid)
      assert.deepInclude(report.field_analysis.retry_attempts, {
        allowed: true,
        type: "integer",
        constraints: { minimum: 1, maximum: 10 },
        current_value: 3,
        current_type: "integer"
      })
      assert.deepStrictEqual(report.field_analysis.timeout_seconds, {
        allowed: false,
        current_value: 30,
        current_type: "integer"
      })
      assert.lengthOf(report.allowed_fields, 25)
      yield* post(path, { configuration: "text" }, { status: 400 })
    })
  )

  it.effect("shows its limits", () =>
    Effect.gen(function* () {
      const { get } = yield* configured()
      const limits = yield* get("/config/validate/security-config")
      yield* decodes(Validation.Limits, limits)
      assert.deepInclude(limits.security_limits, { max_config_size_bytes: 4096, max_nesting_depth: 10 })
      assert.deepInclude(limits.rate_limiting, { max_validations_per_minute: 60, max_validations_per_hour: 1000 })
      assert.strictEqual(limits.forbidden_pattern_count, 15)
    })
  )

  it.effect("refuses a body that is malformed with 400, and one that is too large with 413", () =>
    Effect.gen(function* () {
      const { call, post } = yield* configured()
      for (const path of ["/config/validate", "/config/validate-secure", "/config/validate/field-whitelist"]) {
        for (const body of [{}, { configuration: 5 }, { configuration: [] }, { configuration: {}, extra: 1 }, []]) {
          yield* post(path, body, { status: 400 })
        }
        const response = yield* call(path, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: "{"
        })
        assert.strictEqual(response.status, 400)
        yield* post(path, { configuration: { default_strategy: "x".repeat(65_536) } }, { status: 413 })
      }
    })
  )
})

describe("the limit on validations", () => {
  const paths: ReadonlyArray<readonly [string, unknown]> = [
    ["/config/validate", { configuration: { retry_attempts: 3 } }],
    ["/config/validate-secure?client_ip=1.2.3.4", { configuration: { retry_attempts: 3 } }],
    ["/config/validate-json", { json_config: "{}" }],
    ["/config/validate/field-whitelist", { configuration: {} }],
    ["/config/validate-template", { template_name: "low_latency" }]
  ]

  it.effect("is one for all five endpoints: ten at once, then one a second", () =>
    Effect.gen(function* () {
      const { call, post } = yield* configured()
      for (const [path, body] of [...paths, ...paths]) yield* post(path, body)
      for (const [path, body] of paths) {
        const refused = yield* post(path, body, { status: 429 })
        assert.strictEqual(refused.error, "Too many validations")
        assert.strictEqual(refused.context.retry_after_seconds, 1)
      }
      const response = yield* call("/config/validate-json?json_config={}", { method: "POST" })
      assert.strictEqual(response.headers.get("retry-after"), "1")
      yield* TestClock.adjust("1 second")
      const [path, body] = paths[0]!
      yield* post(path, body)
      yield* post(path, body, { status: 429 })
    })
  )

  it.effect("counts keys apart, and neither recommendations nor malformed bodies", () =>
    Effect.gen(function* () {
      const { get, post } = yield* configured()
      const [path, body] = paths[0]!
      for (let i = 0; i < 10; i++) yield* post(path, body)
      yield* post(path, body, { status: 429 })
      yield* post(path, body, { key: secrets.read })
      for (let i = 0; i < 12; i++) yield* post(path, {}, { status: 400 })
      yield* post("/config/recommend-template", { configuration: {} })
      yield* get("/config/recommend-preset/dev")
    })
  )

  it.effect("is shown to its client, whatever address it names", () =>
    Effect.gen(function* () {
      const { body, post } = yield* configured()
      const [path, sent] = paths[0]!
      for (let i = 0; i < 3; i++) yield* post(path, sent)
      const status = "/config/validate/rate-limit-status?client_ip=1.2.3.4"
      const own = yield* body(status)
      yield* decodes(ValidationLimiter.Status, own)
      assert.match(own.client_identifier, /^[0-9a-f]{6}$/)
      assert.deepStrictEqual(own.current_status, {
        requests_last_minute: 3,
        requests_last_hour: 3,
        max_per_minute: 60,
        max_per_hour: 1000,
        cooldown_remaining: 0
      })
      assert.deepStrictEqual(own.limits, {
        max_validations_per_minute: 60,
        max_validations_per_hour: 1000,
        cooldown_seconds: 0
      })
      const other = yield* body(status, { key: secrets.read })
      assert.notStrictEqual(other.client_identifier, own.client_identifier)
      assert.strictEqual(other.current_status.requests_last_minute, 0)
    })
  )
})

describe("validation of the environment", () => {
  const path = "/config/validate/environment"

  it.effect("finds nothing wrong with variables that are in force", () =>
    Effect.gen(function* () {
      const { post } = yield* configured({ RESILIENCE_PRESET: "production" })
      const body = yield* post(path, undefined)
      yield* decodes(EnvironmentValidation, body)
      assert.deepInclude(body, {
        is_valid: true,
        errors: [],
        ignored: [],
        preset_name: "production",
        preset_source: "RESILIENCE_PRESET"
      })
    })
  )

  it.effect("names what has no effect, and why", () =>
    Effect.gen(function* () {
      const app = yield* configured({
        RETRY_MAX_ATTEMPTS: "4",
        CIRCUIT_BREAKER_FAILURE_THRESHOLD: "7",
        RESILIENCE_CUSTOM_CONFIG: '{"retry_attempts":2}'
      })
      const some = yield* app.post(path, undefined)
      yield* decodes(EnvironmentValidation, some)
      assert.isTrue(some.is_valid)
      assert.deepStrictEqual(some.ignored, [
        { variable: "RETRY_MAX_ATTEMPTS", reason: "RESILIENCE_CUSTOM_CONFIG is stronger" }
      ])
      assert.lengthOf(some.deprecated, 2)
      app.env["RESILIENCE_PRESET"] = "simple"
      const all = yield* app.post(path, undefined)
      assert.deepStrictEqual(
        all.ignored.map(({ variable }: any) => variable),
        ["RETRY_MAX_ATTEMPTS", "CIRCUIT_BREAKER_FAILURE_THRESHOLD"]
      )
    })
  )

  it.effect("names every problem at once, before a reload would", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      Object.assign(app.env, { RESILIENCE_PRESET: "prod", RESILIENCE_CUSTOM_CONFIG: '{"retry_attempts":99}' })
      const body = yield* app.post(path, undefined)
      yield* decodes(EnvironmentValidation, body)
      assert.deepInclude(body, { is_valid: false, preset_name: null, preset_source: null, effective: [] })
      assert.deepStrictEqual(
        body.problems.map(({ variable }: any) => variable),
        ["RESILIENCE_PRESET", "RESILIENCE_CUSTOM_CONFIG.retry_attempts"]
      )
      assert.lengthOf(body.errors, 2)
      assert.include(body.suggestions.join(), "production")
    })
  )
})
