import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Schema } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import * as Environment from "../../src/config/Environment.ts"
import * as Migration from "../../src/config/Migration.ts"
import * as Shapes from "../../src/http-api/ConfigurationShapes.ts"
import { AdminClient, AdminKeys, Audit } from "../../src/http-api/index.ts"
import * as Preset from "../../src/Preset.ts"
import { Resilience } from "../../src/Resilience.ts"
import * as Strategy from "../../src/Strategy.ts"
import { app, json, root, secrets } from "./App.ts"
import { type ConfiguredApp, configured, decodes, refusedGet } from "./ConfigurationApp.ts"

const numberOf = (body: any, field: string) => {
  const { source, value } = body.effective.find((one: any) => one.field === field)
  return [value, source]
}

/** The latest entry of the audit log. */
const latest = Effect.fnUntraced(function* ({ get }: ConfiguredApp) {
  const entries = yield* get("/audit?limit=1")
  yield* decodes(Schema.Array(Audit.Entry), entries)
  return entries[0]
})

describe("the configuration over HTTP", () => {
  it.effect("is shown with its numbers, their sources and its version", () =>
    Effect.gen(function* () {
      const { call } = yield* configured(
        { RESILIENCE_PRESET: "production", RESILIENCE_CUSTOM_CONFIG: '{"retry_attempts":4}' },
        { operations: ["answer_question", "translate", { name: "pay", strategy: "aggressive" }] }
      )
      const response = yield* call("/config")
      const body = yield* json(response)
      yield* decodes(Shapes.CurrentConfiguration, body)
      assert.strictEqual(response.headers.get("etag"), `"0"`)
      assert.deepInclude(body, {
        preset_name: "production",
        preset_source: "RESILIENCE_PRESET",
        is_legacy_config: false,
        version: 0,
        custom_overrides: { retry_attempts: 4 },
        operation_strategies: { answer_question: "critical", translate: "conservative", pay: "aggressive" },
        operation_sources: { answer_question: "preset", translate: "preset_default", pay: "code" },
        toggles: { enabled: true, circuit_breaker: true, retry: true }
      })
      assert.deepStrictEqual(body.configuration, {
        strategy: "conservative",
        retry_config: {
          max_attempts: 4,
          max_delay_seconds: 100,
          exponential_multiplier: 1.5,
          exponential_min: 2,
          exponential_max: 30,
          jitter: true,
          jitter_max: 2
        },
        circuit_breaker_config: { failure_threshold: 10, recovery_timeout: 120, half_open_max_calls: 1 },
        timeout_config: { attempt_timeout: 30, total_timeout: 100 },
        bulkhead_config: null,
        admission_config: null,
        quota_config: null,
        retry_budget_config: null,
        enable_circuit_breaker: true,
        enable_retry: true
      })
      assert.deepStrictEqual(Object.keys(body.strategies), ["aggressive", "balanced", "conservative", "critical"])
      assert.strictEqual(body.strategies.critical.circuit_breaker_config.failure_threshold, 10)
      assert.deepStrictEqual(numberOf(body, "retry_attempts"), [4, "RESILIENCE_CUSTOM_CONFIG"])
      assert.deepStrictEqual(numberOf(body, "circuit_breaker_threshold"), [10, "preset production"])
    })
  )

  it.effect("says when variables of the original service decide, and what is switched off", () =>
    Effect.gen(function* () {
      const { get } = yield* configured({ RETRY_MAX_ATTEMPTS: "4", RETRY_ENABLED: "false" })
      const body = yield* get("/config")
      assert.deepInclude(body, { preset_name: "simple", preset_source: "default", is_legacy_config: true })
      assert.deepStrictEqual(numberOf(body, "retry_attempts"), [4, "RETRY_MAX_ATTEMPTS"])
      assert.deepInclude(body.configuration, { enable_retry: false, enable_circuit_breaker: true })
      assert.isNotEmpty(body.warnings)
    })
  )

  it.effect("is that of the code where nothing else provides one", () =>
    Effect.gen(function* () {
      const { body, call } = yield* app()
      const found = yield* body(`${root}/config`)
      yield* decodes(Shapes.CurrentConfiguration, found)
      assert.deepInclude(found, { preset_name: "payments", preset_source: "code", version: 0 })
      assert.deepStrictEqual(numberOf(found, "retry_attempts"), [4, "code"])
      assert.deepStrictEqual(numberOf(found, "circuit_breaker_threshold"), [6, "preset payments"])
      const headers = { "content-type": "application/json" }
      const post = (path: string, sent: unknown) =>
        Effect.flatMap(call(`${root}${path}`, { method: "POST", headers, body: JSON.stringify(sent) }), (response) =>
          json(response)
        )
      const applied = yield* post("/config/apply-preset", { preset: "production" })
      assert.strictEqual(applied.current.preset_name, "production")
      assert.strictEqual((yield* post("/config/reload", {})).current.preset_name, "production")
      assert.strictEqual((yield* post("/config/reset", {})).current.preset_name, "payments")
    }).pipe(
      Effect.provide(
        Resilience.layer(
          Preset.make("payments", {
            description: "Payments",
            retryAttempts: 2,
            circuitBreakerThreshold: 6,
            recoveryTimeout: "30 seconds",
            defaultStrategy: "aggressive",
            environmentContexts: ["production"]
          }),
          { overlay: { retryAttempts: 4 } }
        )
      )
    )
  )
})

describe("a change of the configuration", () => {
  it.effect("is a preset, and is remembered with who made it and why", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      const response = yield* app.call("/config/apply-preset", {
        method: "POST",
        headers: { "content-type": "application/json", "if-match": `"0"` },
        body: JSON.stringify({ preset: "Production", reason: "load test is over" })
      })
      const body = yield* json(response)
      assert.strictEqual(response.status, 200)
      assert.strictEqual(response.headers.get("etag"), `"1"`)
      yield* decodes(Shapes.ConfigurationChanged, body)
      assert.deepInclude(body, { applied: true, generation: 1, version: 1, warnings: [] })
      assert.deepInclude(body.previous, { preset_name: "simple", version: 0 })
      assert.deepInclude(body.current, { preset_name: "production", preset_source: "runtime", version: 1 })
      assert.deepInclude(body.diff, { field: "retry_attempts", from: 3, to: 5 })
      assert.deepInclude(yield* latest(app), {
        action: "apply_preset",
        resource: "config",
        from: "simple",
        to: "production",
        version: 1,
        reason: "load test is over",
        result: "done"
      })
      const changes = yield* app.get("/config/changes")
      yield* decodes(Schema.Array(Shapes.HistoryEntry), changes)
      assert.lengthOf(changes, 1)
      assert.deepInclude(changes[0], { id: 1, source: "apply", reason: "load test is over" })
      assert.match(changes[0].actor, /^[0-9a-f]{6}$/)
      assert.strictEqual(changes[0].old.retry_attempts, 3)
      assert.strictEqual(changes[0].new.retry_attempts, 5)
    })
  )

  it.effect("changes the numbers of operations that run", () =>
    Effect.gen(function* () {
      const { get, post } = yield* configured()
      const body = yield* post("/config/reload", {
        preset: "production",
        custom_config: { retry_attempts: 8, circuit_breaker_threshold: 12 },
        operation_overrides: { ai_service: "critical" }
      })
      yield* decodes(Shapes.ConfigurationReloaded, body)
      assert.isNull(body.keys_loaded)
      assert.deepStrictEqual(body.current.operation_overrides, { ai_service: "critical" })
      assert.deepStrictEqual(body.current.custom_overrides, { retry_attempts: 8, circuit_breaker_threshold: 12 })
      assert.isTrue(body.warnings.some((warning: string) => warning.includes("retry_attempts")))
      const found = yield* get("/config")
      assert.strictEqual(found.operation_strategies.ai_service, "critical")
      assert.strictEqual(found.operation_sources.ai_service, "operator")
      assert.deepStrictEqual(numberOf(found, "retry_attempts"), [8, "runtime"])
      yield* post("/config/reload", { operation_overrides: { ai_service: null } })
      assert.strictEqual((yield* get("/config")).operation_sources.ai_service, "preset_default")
    })
  )

  it.effect("tried dry tells the difference and changes nothing", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      const body = yield* app.post("/config/apply-preset", { preset: "production", dry_run: true })
      yield* decodes(Shapes.ConfigurationChanged, body)
      assert.deepInclude(body, { applied: false, version: 0, applied_at: null })
      assert.deepInclude(body.diff, { field: "retry_attempts", from: 3, to: 5 })
      assert.strictEqual(body.current.preset_name, "simple")
      assert.strictEqual((yield* app.get("/config")).version, 0)
      assert.deepStrictEqual(yield* app.get("/config/changes"), [])
      assert.deepInclude(yield* latest(app), { reason: "dry run", version: 0 })
    })
  )

  it.effect("with nothing wished reads variables and keys again, and keeps what operators changed", () =>
    Effect.gen(function* () {
      const { env, get, post } = yield* configured()
      yield* post("/config/reload", { operation_overrides: { ai_service: "critical" } })
      env["RESILIENCE_PRESET"] = "production"
      const body = yield* post("/config/reload", undefined)
      yield* decodes(Shapes.ConfigurationReloaded, body)
      assert.strictEqual(body.keys_loaded, 3)
      assert.deepInclude(body.current, { preset_name: "production", preset_source: "RESILIENCE_PRESET" })
      assert.strictEqual((yield* get("/config")).operation_strategies.ai_service, "critical")
      const reset = yield* post("/config/reset", { reason: "back to the environment" })
      yield* decodes(Shapes.ConfigurationChanged, reset)
      assert.deepStrictEqual(reset.current.operation_overrides, {})
      assert.strictEqual(reset.current.preset_name, "production")
      yield* post("/config/reset", undefined)
    })
  )

  it.effect("that nothing can run with is 400, and changes nothing", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      const unknown = yield* app.post("/config/apply-preset", { preset: "prod" }, { status: 400 })
      assert.deepInclude(unknown.context, { endpoint: "apply_preset", nearest: "production" })
      assert.include(unknown.context.available_options, "simple")
      assert.deepInclude(yield* latest(app), { action: "apply_preset", result: "ValidationError" })
      const path = "/config/reload"
      const wrong = yield* app.post(path, { custom_config: { retry_attempts: 15 } }, { status: 400 })
      assert.strictEqual(wrong.context.findings[0].path, "retry_attempts")
      yield* app.post(path, { preset: "nope" }, { status: 400 })
      yield* app.post(path, { operation_overrides: { ai_service: "nope" } }, { status: 400 })
      yield* app.post(path, { operation_overrides: { "Not A Name": "critical" } }, { status: 400 })
      yield* app.post(path, { presets: "simple" }, { status: 400 })
      app.env["RESILIENCE_PRESET"] = "prod"
      const environment = yield* app.post(path, undefined, { status: 400 })
      assert.strictEqual(environment.context.problems[0].variable, "RESILIENCE_PRESET")
      assert.strictEqual((yield* app.get("/config")).version, 0)
    })
  )

  it.effect("does not happen if the keys can not be read again", () =>
    Effect.gen(function* () {
      const broken = Layer.effect(
        AdminKeys.AdminKeys,
        Effect.map(AdminKeys.AdminKeys, (keys) => ({
          ...keys,
          reload: Effect.fail(new AdminKeys.InvalidKeys({ problem: "malformed", message: "API_KEYS_FILE: no list" }))
        }))
      ).pipe(Layer.provide(AdminKeys.AdminKeys.layer([{ key: Redacted.make(secrets.admin) }])))
      const { env, get, post } = yield* configured({}, { keys: broken })
      env["RESILIENCE_PRESET"] = "production"
      const { context } = yield* post("/config/reload", {}, { status: 400 })
      assert.deepInclude(context, { endpoint: "reload_configuration", reason: "malformed" })
      assert.deepInclude(yield* get("/config"), { preset_name: "simple", version: 0 })
    })
  )

  it.effect("goes through only for the version it names", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      yield* app.post("/config/apply-preset", { preset: "production" })
      const stale = { headers: { "if-match": `"0"` }, status: 412 }
      const document = yield* app.get("/config/export")
      for (const [path, body] of [
        ["reload", undefined],
        ["apply-preset", { preset: "simple" }],
        ["reset", {}],
        ["rollback", { version: 1 }],
        ["import", document]
      ] as const) {
        const { context } = yield* app.post(`/config/${path}`, body, stale)
        assert.deepInclude(context, { resource: "config", current_version: 1 })
        assert.deepInclude(yield* latest(app), { result: "PreconditionFailedError", version: 1 })
      }
      yield* app.post("/config/reset", undefined, { headers: { "if-match": `"1"` } })
    })
  )

  it.effect("needs the scope admin", () =>
    Effect.gen(function* () {
      const { post } = yield* configured()
      for (const path of ["reload", "apply-preset", "reset", "rollback", "import"]) {
        for (const key of [secrets.read, secrets.operate]) {
          const { context } = yield* post(`/config/${path}`, {}, { key, status: 403 })
          assert.strictEqual(context.required_scope, "admin")
        }
      }
    })
  )

  it.effect("may happen ten times a minute for each key and command", () =>
    Effect.gen(function* () {
      const { call, post } = yield* configured()
      for (let i = 0; i < 10; i++) yield* post("/config/reset", undefined)
      yield* post("/config/reset", undefined, { status: 429 })
      const refused = yield* call("/config/reset", { method: "POST" })
      assert.isNotNull(refused.headers.get("retry-after"))
      yield* post("/config/reload", undefined)
      yield* TestClock.adjust("1 minute")
      yield* post("/config/reset", undefined)
    })
  )

  it.effect("is taken back by rollback, with the version that it made", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      yield* app.post("/config/apply-preset", { preset: "development" })
      yield* app.post("/config/apply-preset", { preset: "production" })
      const body = yield* app.post("/config/rollback", { version: 2, reason: "too slow" })
      yield* decodes(Shapes.ConfigurationChanged, body)
      assert.deepInclude(body.current, { preset_name: "development", version: 3 })
      assert.deepInclude(yield* latest(app), {
        action: "rollback_configuration",
        from: "production",
        to: "development"
      })
      const { context } = yield* app.post("/config/rollback", { version: 99 }, { status: 422 })
      assert.deepInclude(context, { reason: "not_found", version: 99, available_options: [3, 2, 1] })
      yield* app.post("/config/rollback", { version: 0 }, { status: 400 })
    })
  )

  it.effect("is listed up to a limit", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      for (const preset of ["development", "production", "simple"]) yield* app.post("/config/apply-preset", { preset })
      const changes = yield* app.get("/config/changes?limit=2")
      assert.deepStrictEqual(
        changes.map(({ id }: any) => id),
        [3, 2]
      )
      for (const limit of ["0", "-1", "1001", "1.5", "many"]) {
        yield* refusedGet(app, `/config/changes?limit=${limit}`, 400)
      }
    })
  )

  it.effect("is taken elsewhere as a document", () =>
    Effect.gen(function* () {
      const here = yield* configured({ RESILIENCE_PRESET: "production" })
      yield* here.post("/config/reload", {
        custom_config: { retry_attempts: 4, operation_overrides: { qa: "aggressive" } },
        operation_overrides: { ai_service: "critical" }
      })
      const document = yield* here.get("/config/export")
      yield* decodes(Shapes.ConfigurationDocument, document)
      assert.deepInclude(document, {
        format: "breakwater-configuration",
        preset: "production",
        operation_overrides: { ai_service: "critical" }
      })
      const there = yield* configured()
      yield* there.post("/config/reload", {
        custom_config: { recovery_timeout: 20 },
        operation_overrides: { text_processing: "critical" }
      })
      const imported = yield* there.post("/config/import", { ...document, reason: "as it is here" })
      yield* decodes(Shapes.ConfigurationChanged, imported)
      const values = ({ effective }: any) => effective.map(({ field, value }: any) => [field, value])
      assert.deepStrictEqual(values(yield* there.get("/config")), values(yield* here.get("/config")))
      assert.deepStrictEqual(imported.current.operation_overrides, { ai_service: "critical" })
      assert.deepInclude(yield* latest(there), { action: "import_configuration", reason: "as it is here" })
      yield* there.post("/config/import", { preset: "nope" }, { status: 400 })
      yield* there.post("/config/import", { ...document, format_version: 2 }, { status: 400 })
      const wrong = { preset: "simple", custom_config: { retry_attempts: 99 } }
      yield* there.post("/config/import", wrong, { status: 400 })
    })
  )
})

describe("the environment over HTTP", () => {
  it.effect("is shown with every signal beside the preset in force", () =>
    Effect.gen(function* () {
      const { get } = yield* configured({ RESILIENCE_PRESET: "simple", ENVIRONMENT: "staging", NODE_ENV: "production" })
      const body = yield* get("/config/environment")
      yield* decodes(Environment.Report, body)
      assert.deepInclude(body, {
        environment: "staging",
        environment_detected: "staging (auto-detected)",
        recommended_preset: "production",
        current_preset: "simple",
        matches_current: false
      })
      assert.lengthOf(body.signals, 2)
    })
  )

  it.effect("is migrated: variables become a preset and overrides", () =>
    Effect.gen(function* () {
      const { post } = yield* configured()
      const path = "/config/migration/analyze"
      const same = yield* post(path, {
        RETRY_MAX_ATTEMPTS: 3,
        CIRCUIT_BREAKER_FAILURE_THRESHOLD: "5",
        CIRCUIT_BREAKER_RECOVERY_TIMEOUT: "60",
        DEFAULT_RESILIENCE_STRATEGY: "balanced"
      })
      yield* decodes(Migration.Report, same)
      assert.deepInclude(same, { preset: "simple", confidence_level: "high", overrides: {} })
      const overridden = yield* post(path, {
        RETRY_MAX_ATTEMPTS: "5",
        CIRCUIT_BREAKER_FAILURE_THRESHOLD: "10",
        CIRCUIT_BREAKER_RECOVERY_TIMEOUT: "120",
        DEFAULT_RESILIENCE_STRATEGY: "conservative",
        QA_RESILIENCE_STRATEGY: "aggressive"
      })
      assert.deepInclude(overridden, {
        preset: "production",
        overrides: { operation_overrides: { qa: "aggressive" } }
      })
      assert.include(overridden.script.bash, "RESILIENCE_PRESET")
      yield* post(path, { RETRY_MAX_ATTEMPTS: ["3"] }, { status: 400 })
      yield* post(`${path}?format=fish`, {}, { status: 400 })
    })
  )

  it.effect("is migrated from the variables of the process by default, and as a script on request", () =>
    Effect.gen(function* () {
      const { call, post } = yield* configured({ RETRY_MAX_ATTEMPTS: "2" })
      const own = yield* post("/config/migration/analyze", undefined)
      yield* decodes(Migration.Report, own)
      assert.deepStrictEqual(own.legacy, { RETRY_MAX_ATTEMPTS: "2" })
      for (const format of ["bash", "env", "docker", "json"] as const) {
        const response = yield* call(`/config/migration/analyze?format=${format}`, { method: "POST" })
        assert.strictEqual(response.status, 200)
        assert.match(response.headers.get("content-type") ?? "", /^text\/plain/)
        assert.strictEqual(yield* Effect.promise(() => response.text()), own.script[format])
      }
    })
  )
})

describe("strategies over HTTP", () => {
  const Payments = Strategy.make("payments", {
    extends: "conservative",
    retry: false,
    timeout: { attempt: "2 seconds" }
  })

  it.effect("are listed with their numbers, their sources and who runs under them", () =>
    Effect.gen(function* () {
      const { call } = yield* configured(
        { RESILIENCE_PRESET: "production", RESILIENCE_CUSTOM_CONFIG: '{"recovery_timeout":45}' },
        { operations: ["answer_question", { name: "pay", strategy: Payments }] }
      )
      const response = yield* call("/strategies")
      assert.strictEqual(response.headers.get("etag"), `"0"`)
      const body = yield* json(response)
      yield* decodes(Shapes.StrategyList, body)
      assert.deepInclude(body, { default_strategy: "conservative", total_count: 5, version: 0 })
      assert.deepStrictEqual(numberOf(body.default, "retry_attempts"), [5, "preset production"])
      const { conservative, critical, payments } = body.strategies
      assert.deepInclude(critical, { built_in: true, is_default: false, operations: ["answer_question"] })
      assert.isTrue(conservative.is_default)
      assert.deepStrictEqual(numberOf(critical, "retry_attempts"), [7, "strategy critical"])
      assert.deepStrictEqual(numberOf(critical, "recovery_timeout"), [45, "RESILIENCE_CUSTOM_CONFIG"])
      assert.deepInclude(payments, { built_in: false, operations: ["pay"] })
      assert.isNull(payments.configuration.retry_config)
      assert.isFalse(payments.configuration.enable_retry)
      assert.deepStrictEqual(numberOf(payments, "attempt_timeout"), [2, "strategy payments"])
    })
  )

  it.effect("are found by name, and are 422 with what exists if there is none", () =>
    Effect.gen(function* () {
      const app = yield* configured()
      const body = yield* app.get("/strategies/critical")
      yield* decodes(Shapes.StrategyDescribed, body)
      assert.strictEqual(body.name, "critical")
      const { findings, order, ...figures } = body.description
      assert.deepStrictEqual(figures, {
        worst_case_latency_seconds: 300,
        worst_case_latency_with_retry_after_seconds: 300,
        worst_case_calls: 7,
        reasons: ["CircuitOpen", "CircuitHalfOpen", "CircuitIsolated", "TimeoutExceeded"]
      })
      assert.deepStrictEqual(
        order.map(({ policy }: { readonly policy: string }) => policy),
        ["total_timeout", "retry", "circuit_breaker", "attempt_timeout"]
      )
      assert.deepStrictEqual(
        findings.map(({ code, path }: { readonly code: string; readonly path: string }) => `${code} ${path}`),
        ["slow_attempts timeout.attempt"]
      )
      assert.notProperty((yield* app.get("/strategies")).strategies.critical, "description")
      const { context } = yield* refusedGet(app, "/strategies/critcal", 422)
      assert.deepInclude(context, {
        endpoint: "get_strategy_details",
        operation: "strategy_lookup",
        reason: "not_found",
        strategy_name: "critcal",
        nearest: "critical"
      })
      yield* refusedGet(app, "/strategies/__proto__", 422)
    })
  )
})

describe("the guide's lines about configuration", () => {
  const headers = { "x-api-key": secrets.admin }

  it.effect("succeed as they stand", () =>
    Effect.gen(function* () {
      const { call } = yield* configured({ RESILIENCE_PRESET: "production" })
      for (const path of [
        "presets",
        "presets/production",
        "recommend-preset/production",
        "recommend-preset-auto",
        "templates"
      ]) {
        for (const sent of [headers, { authorization: `Bearer ${secrets.admin}` }]) {
          const response = yield* call(`/config/${path}`, { key: "", headers: sent })
          assert.strictEqual(response.status, 200, path)
        }
      }
      const post = (path: string, body: unknown) =>
        call(`/config/${path}`, {
          key: "",
          method: "POST",
          headers: { ...headers, "content-type": "application/json" },
          body: JSON.stringify(body)
        })
      for (const [path, configuration, isValid] of [
        ["validate-secure", { retry_attempts: 15 }, false],
        ["validate", { retry_attempts: 3, circuit_breaker_threshold: 5, timeout_seconds: 30 }, false],
        ["validate-secure", { retry_attempts: 5, circuit_breaker_threshold: 8, default_strategy: "conservative" }, true]
      ] as const) {
        const response = yield* post(path, { configuration })
        assert.strictEqual(response.status, 200)
        assert.strictEqual((yield* json(response)).is_valid, isValid)
      }
      // The guide's template does not exist: the answer names those that do.
      const template = yield* post("validate-template", {
        template_name: "production",
        overrides: { retry_attempts: 5 }
      })
      assert.strictEqual(template.status, 422)
      assert.lengthOf((yield* json(template)).context.available_options, 5)
    })
  )
})

describe("the typed client", () => {
  it.effect("reads and changes the configuration, and gets a script as text", () =>
    Effect.gen(function* () {
      const { call } = yield* configured()
      const http = HttpClient.make((request) => {
        const url = new URL(request.url)
        for (const [name, value] of request.urlParams.params) url.searchParams.append(name, value as string)
        return Effect.map(
          call(url.pathname.slice(root.length) + url.search, {
            method: request.method,
            headers: request.headers,
            key: "",
            ...(request.body._tag === "Uint8Array" ? { body: new TextDecoder().decode(request.body.body) } : {})
          }),
          (response) => HttpClientResponse.fromWeb(request, response)
        )
      })
      const { configuration, presets } = yield* AdminClient.make({ baseUrl: "http://localhost" }).pipe(
        Effect.provideService(HttpClient.HttpClient, http),
        Effect.provide(AdminClient.layerKey(Redacted.make(secrets.admin)))
      )
      const { body, headers } = yield* configuration.current()
      assert.strictEqual(headers.etag, `"0"`)
      const change = yield* configuration.applyPreset({
        headers: { "if-match": headers.etag },
        payload: { preset: "production", dryRun: true }
      })
      assert.strictEqual(change.body.current.version, body.version)
      // A body that is left out is none, and one that is there arrives.
      const dry = yield* configuration.reload({ headers: {}, payload: { preset: "production", dryRun: true } })
      assert.isFalse(dry.body.applied)
      assert.strictEqual((yield* configuration.reload({ headers: {}, payload: undefined })).body.keysLoaded, 3)
      const script = yield* configuration.migration({ query: { format: "env" }, payload: { RETRY_MAX_ATTEMPTS: "2" } })
      assert.isString(script)
      const report = yield* configuration.migration({ query: {}, payload: { RETRY_MAX_ATTEMPTS: "2" } })
      assert(typeof report !== "string")
      assert.deepStrictEqual(report.legacy, { RETRY_MAX_ATTEMPTS: "2" })
      const unknown = yield* Effect.flip(presets.get({ params: { preset_name: "prod" } }))
      assert(unknown._tag === "BusinessLogicError")
    })
  )
})
