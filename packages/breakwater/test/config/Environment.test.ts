import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Option, Schema } from "effect"
import * as Environment from "../../src/config/Environment.ts"
import { nearest } from "../../src/config/internal/nearest.ts"

const detectIn = (
  env: Record<string, string>,
  { files = [], ...options }: { readonly files?: ReadonlyArray<string> } & Environment.DetectOptions = {}
) =>
  Environment.detect(options).pipe(
    Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))),
    Effect.provideService(Environment.FileProbe, { exists: (name) => Effect.succeed(files.includes(name)) })
  )

describe("recommend", () => {
  const names: ReadonlyArray<readonly [name: string, preset: string, confidence: number]> = [
    ["development", "development", 0.95],
    ["dev", "development", 0.9],
    ["testing", "development", 0.85],
    ["test", "development", 0.85],
    ["staging", "production", 0.9],
    ["stage", "production", 0.85],
    ["production", "production", 0.95],
    ["prod", "production", 0.9],
    ["live", "production", 0.85],
    ["  PRODUCTION ", "production", 0.95],
    // staging before development before production
    ["stag-1", "production", 0.7],
    ["preprod", "production", 0.7],
    ["pre-prod", "production", 0.7],
    ["pre_prod_3", "production", 0.7],
    ["pre-production", "production", 0.7],
    ["uat", "production", 0.7],
    ["eu.integration.2", "production", 0.7],
    ["staging-prod", "production", 0.7],
    ["staging-dev", "production", 0.7],
    ["dev2", "development", 0.75],
    ["my-dev", "development", 0.75],
    ["local", "development", 0.75],
    ["macbook.local", "development", 0.75],
    ["sandbox_7", "development", 0.75],
    ["demo", "development", 0.75],
    ["test-eu", "development", 0.75],
    ["dev-prod", "development", 0.75],
    ["prod-eu-1", "production", 0.75],
    ["prod12", "production", 0.75],
    ["release", "production", 0.75],
    ["stable", "production", 0.75],
    ["main", "production", 0.75],
    ["web.master", "production", 0.75],
    // no part is a word
    ["stagnant", "simple", 0.4],
    ["latest", "simple", 0.4],
    ["contest", "simple", 0.4],
    ["domain", "simple", 0.4],
    ["mainframe", "simple", 0.4],
    ["alive", "simple", 0.4],
    ["2dev", "simple", 0.4],
    ["pre", "simple", 0.4],
    ["qa-lab", "simple", 0.4],
    ["---", "simple", 0.4],
    ["__proto__", "simple", 0.4],
    ["", "simple", 0.4]
  ]
  for (const [name, preset, confidence] of names) {
    it(`recommends ${preset} for "${name}" with ${confidence}, and echoes the name`, () => {
      const { reasoning, ...recommendation } = Environment.recommend(name)
      assert.deepStrictEqual(recommendation, {
        environmentDetected: name,
        recommendedPreset: preset,
        confidence,
        availablePresets: ["simple", "development", "production"],
        autoDetected: false
      })
      assert.isNotEmpty(reasoning)
    })
  }

  it("has the fields of the endpoint in JSON", () => {
    assert.deepStrictEqual(
      Object.keys(Schema.encodeSync(Environment.Recommendation)(Environment.recommend("dev", ["simple", "mine"]))),
      ["environment_detected", "recommended_preset", "confidence", "reasoning", "available_presets", "auto_detected"]
    )
  })

  it.prop("gives every name a preset and echoes it", [Schema.String], ([name]) => {
    const { confidence, environmentDetected, recommendedPreset } = Environment.recommend(name)
    assert.strictEqual(environmentDetected, name)
    assert.include(["simple", "development", "production"], recommendedPreset)
    assert.isTrue(confidence >= 0.4 && confidence <= 0.95)
  })
})

describe("detect", () => {
  type Vector = readonly [
    env: Record<string, string>,
    expected: readonly [environment: Environment.Environment, preset: string, confidence: number],
    options?: { readonly files?: ReadonlyArray<string> } & Environment.DetectOptions
  ]
  const vectors: ReadonlyArray<Vector> = [
    [{}, ["unknown", "simple", 0.5]],
    [{ ENVIRONMENT: "production" }, ["production", "production", 0.95]],
    [{ ENVIRONMENT: "staging", NODE_ENV: "production" }, ["staging", "production", 0.8075]],
    [{ ENVIRONMENT: "qa-lab" }, ["unknown", "simple", 0.5]],
    [{ ENVIRONMENT: "qa-lab", NODE_ENV: "production" }, ["production", "production", 0.85]],
    [{ ENVIRONMENT: "" }, ["unknown", "simple", 0.5]],
    [{ ENVIRONMENT: " Live " }, ["production", "production", 0.95]],
    [{ ENVIRONMENT: "test" }, ["testing", "development", 0.95]],
    [{ NODE_ENV: "development" }, ["development", "development", 0.85]],
    [{ DJANGO_SETTINGS_MODULE: "mysite.settings" }, ["unknown", "simple", 0.5]],
    [{ DJANGO_SETTINGS_MODULE: "mysite.settings.production" }, ["production", "production", 0.85]],
    [{ ENV: "stage", ENV_FILE: "x" }, ["staging", "production", 0.85]],
    [
      { NODE_ENV: "production", FLASK_ENV: "production", APP_ENV: "prod", RAILS_ENV: "live" },
      ["production", "production", 0.98]
    ],
    [{ NODE_ENV: "production", RAILS_ENV: "production" }, ["production", "production", 0.9]],
    [{ NODE_ENV: "production", RAILS_ENV: "staging" }, ["production", "production", 0.7225]],
    [{ DEBUG: "1" }, ["development", "development", 0.7]],
    [{ DEBUG: "True" }, ["development", "development", 0.7]],
    [{ DEBUG: "0" }, ["production", "production", 0.75]],
    [{ DEBUG: "false" }, ["production", "production", 0.75]],
    [{ DEBUG: "express:*" }, ["unknown", "simple", 0.5]],
    [{ PROD: "true" }, ["production", "production", 0.75]],
    [{ PRODUCTION: "true", PROD: "TRUE" }, ["production", "production", 0.8]],
    [{ PROD: "false" }, ["unknown", "simple", 0.5]],
    [{}, ["development", "development", 0.7], { files: [".env"] }],
    [{}, ["development", "development", 0.8], { files: [".env", ".git", "docker-compose.dev.yml"] }],
    [{ PROD: "true" }, ["production", "production", 0.75], { files: [".git"] }],
    [{ DEBUG: "true", PROD: "true", NODE_ENV: "development" }, ["development", "development", 0.765]],
    [{ HOSTNAME: "preprod-2" }, ["staging", "production", 0.65]],
    [{ HOSTNAME: "pre-prod-2" }, ["staging", "production", 0.65]],
    [{ HOSTNAME: "dev-1" }, ["development", "development", 0.6]],
    [{ HOSTNAME: "web.prod.example.com" }, ["production", "production", 0.7]],
    [{ HOSTNAME: "domain-7" }, ["unknown", "simple", 0.5]],
    [{ HOST: "localhost" }, ["development", "development", 0.6]],
    [{ HOST: "127.0.0.1:8000" }, ["development", "development", 0.6]],
    [{ HOST: "0.0.0.0" }, ["unknown", "simple", 0.5]],
    [{ HOST: "api.prod.example.com" }, ["production", "production", 0.7]],
    [{ DATABASE_URL: "postgres://app:secret@db/shop_production" }, ["production", "production", 0.7]],
    [{ DATABASE_URL: "postgres://app:production@db/shop" }, ["unknown", "simple", 0.5]],
    [{ DATABASE_URL: "postgres://db/reproductions" }, ["unknown", "simple", 0.5]],
    [{ ENFORCE_AUTH: "yes" }, ["unknown", "simple", 0.5]],
    [{ ENFORCE_AUTH: "yes" }, ["production", "production", 0.98], { context: "security" }],
    [{ ENFORCE_AUTH: "1", NODE_ENV: "test" }, ["production", "production", 0.833], { context: "security" }]
  ]
  for (const [env, [environment, preset, confidence], options] of vectors) {
    const given = JSON.stringify({ ...env, ...options })
    it.effect(`finds ${environment} with ${confidence} in ${given}`, () =>
      Effect.gen(function* () {
        const detection = yield* detectIn(env, options)
        assert.deepStrictEqual(
          [detection.environment, detection.recommendedPreset, detection.confidence],
          [environment, preset, confidence]
        )
      })
    )
  }

  it.effect("lets the first of equally strong signals decide", () =>
    Effect.gen(function* () {
      const { conflicting, winner } = yield* detectIn({ RAILS_ENV: "production", NODE_ENV: "staging" })
      assert.strictEqual(Option.getOrThrow(winner).source, "NODE_ENV")
      assert.deepStrictEqual(
        conflicting.map(({ source }) => source),
        ["RAILS_ENV"]
      )
    })
  )

  it.effect("shows no part of a database URL", () =>
    Effect.gen(function* () {
      const detection = yield* detectIn({ DATABASE_URL: "postgres://app:hunter2@db.internal/production" })
      assert.deepStrictEqual(
        detection.signals.map(({ value }) => value),
        ["contains production"]
      )
      assert.notMatch(JSON.stringify([detection, Environment.explain(detection)]), /hunter2|db\.internal|postgres/)
    })
  )

  it.effect("reads no file and no variable of the process by itself", () =>
    Effect.gen(function* () {
      const detection = yield* Environment.detect().pipe(
        Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({})))
      )
      assert.deepStrictEqual(detection.signals, [])
    })
  )

  it.effect("puts a prefix into the metadata of an AI service", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* detectIn({ ENABLE_AI_CACHE: "true" })).metadata, {})
      const { environment, metadata } = yield* detectIn({ ENABLE_AI_CACHE: "true" }, { context: "ai" })
      assert.deepStrictEqual([environment, metadata], ["unknown", { prefix: "ai-" }])
    })
  )

  it.effect("fails when the provider fails", () =>
    Effect.gen(function* () {
      const broken = ConfigProvider.make(() => Effect.fail(new ConfigProvider.SourceError({ message: "no access" })))
      const error = yield* Effect.flip(Environment.detect().pipe(Effect.provide(ConfigProvider.layer(broken))))
      assert.strictEqual(error._tag, "ConfigError")
    })
  )

  it.effect("keeps its confidence within 0.5 and 0.98 whatever the signals are", () =>
    Effect.gen(function* () {
      const values = ["production", "staging", "dev", "test", "?"]
      for (let n = 0; n < 5 ** 4; n++) {
        const [ENVIRONMENT, NODE_ENV, APP_ENV, HOSTNAME] = [1, 5, 25, 125].map(
          (place) => values[Math.floor(n / place) % 5]!
        ) as [string, string, string, string]
        const detection = yield* detectIn({ ENVIRONMENT, NODE_ENV, APP_ENV, HOSTNAME, DEBUG: "1" })
        assert.isTrue(detection.confidence >= 0.5 && detection.confidence <= 0.98)
        assert.strictEqual(
          detection.signals.length,
          detection.agreeing.length + detection.conflicting.length + Option.toArray(detection.winner).length
        )
      }
    })
  )
})

describe("explain", () => {
  it.effect("lists every signal with its part in the result", () =>
    Effect.gen(function* () {
      const detection = yield* detectIn({
        ENVIRONMENT: "staging",
        NODE_ENV: "production",
        APP_ENV: "stage",
        DEBUG: "true"
      })
      assert.deepStrictEqual(Environment.explain(detection), [
        'ENVIRONMENT ("staging") says staging, with confidence 0.95: decides.',
        'NODE_ENV ("production") says production, with confidence 0.85: contradicts.',
        'APP_ENV ("stage") says staging, with confidence 0.85: agrees.',
        'DEBUG ("true") says development, with confidence 0.70: contradicts.',
        "ENVIRONMENT decides because no signal is stronger.",
        "1 agreeing: + 0.05, up to 0.98.",
        "NODE_ENV contradicts with more than 0.7: × 0.85.",
        "Result: staging, with confidence 0.833, so the preset production fits."
      ])
    })
  )

  it.effect("says that there was nothing to go by", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(Environment.explain(yield* detectIn({})), [
        "No signal was found.",
        "Result: unknown, with confidence 0.5, so the preset simple fits."
      ])
    })
  )

  it.effect("names every source, also after a way through JSON", () =>
    Effect.gen(function* () {
      const detection = yield* detectIn({ NODE_ENV: "production", RAILS_ENV: "production", HOSTNAME: "dev-1" })
      const lines = Environment.explain(detection)
      for (const { source } of detection.signals) assert.isTrue(lines.some((line) => line.startsWith(source)))
      const codec = Schema.fromJsonString(Environment.Detection)
      const decoded = Schema.decodeSync(codec)(Schema.encodeSync(codec)(detection))
      assert.deepStrictEqual(decoded, detection)
      assert.deepStrictEqual(Environment.explain(decoded), lines)
    })
  )
})

describe("the endpoints", () => {
  it.effect("recommend automatically with both shapes of the original", () =>
    Effect.gen(function* () {
      const recommendation = Environment.toRecommendation(yield* detectIn({ ENVIRONMENT: "production" }))
      assert.deepStrictEqual(Schema.encodeSync(Environment.AutoRecommendation)(recommendation), {
        environment_detected: "production (auto-detected)",
        recommended_preset: "production",
        confidence: 0.95,
        reasoning: 'ENVIRONMENT ("production") says production, with confidence 0.95.',
        available_presets: ["simple", "development", "production"],
        auto_detected: true,
        detection_method: "environment_variables_and_context"
      })
      assert.strictEqual(Environment.label(yield* detectIn({})), "unknown (auto-detected)")
    })
  )

  it.effect("compare the detection with the preset in force", () =>
    Effect.gen(function* () {
      const detection = yield* detectIn({ ENVIRONMENT: "dev", NODE_ENV: "production" })
      const report = Schema.encodeSync(Environment.Report)(Environment.report(detection, "production"))
      assert.deepInclude(report, {
        environment: "development",
        environment_detected: "development (auto-detected)",
        recommended_preset: "development",
        current_preset: "production",
        matches_current: false,
        confidence: 0.8075
      })
      assert.deepStrictEqual(report.winner, {
        source: "ENVIRONMENT",
        value: "dev",
        environment: "development",
        confidence: 0.95
      })
      assert.isTrue(Environment.report(detection, "Development").matchesCurrent)
    })
  )
})

describe("the nearest word", () => {
  const names = ["simple", "development", "production", "llm-batch"] as const
  for (const [word, expected] of [
    ["prod", "production"],
    ["prodution", "production"],
    ["Simpel", "simple"],
    ["llm_batch", "llm-batch"],
    ["devlopement", "development"],
    ["nothing", undefined],
    ["x", undefined],
    ["", undefined]
  ] as const) {
    it(`of "${word}" is ${expected}`, () => {
      assert.strictEqual(nearest(word, names), expected)
    })
  }
})
