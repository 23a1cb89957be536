import { assert, describe, it } from "@effect/vitest"
import { Duration, Equal, Option, Schema } from "effect"
import * as Preset from "../../src/Preset.ts"
import * as CustomConfig from "../../src/config/CustomConfig.ts"
import * as Template from "../../src/config/Template.ts"
import * as Validation from "../../src/config/Validation.ts"

const keys = Template.Key.literals

const decode = Schema.decodeUnknownSync(CustomConfig.CustomConfig, { onExcessProperty: "error" })
const encode = Schema.encodeSync(CustomConfig.CustomConfig)

describe("templates", () => {
  const vectors: Readonly<Record<Template.Key, { readonly json: object; readonly warnings: ReadonlyArray<string> }>> = {
    fast_development: {
      json: {
        retry_attempts: 1,
        circuit_breaker_threshold: 2,
        recovery_timeout: 15,
        default_strategy: "aggressive",
        operation_overrides: { sentiment: "aggressive" }
      },
      warnings: ["low_threshold"]
    },
    robust_production: {
      json: {
        retry_attempts: 6,
        circuit_breaker_threshold: 12,
        recovery_timeout: 180,
        default_strategy: "conservative",
        operation_overrides: { qa: "critical", summarize: "conservative" }
      },
      warnings: []
    },
    low_latency: {
      json: {
        retry_attempts: 1,
        circuit_breaker_threshold: 2,
        recovery_timeout: 10,
        default_strategy: "aggressive",
        max_delay_seconds: 5,
        exponential_multiplier: 0.5,
        exponential_min: 0.5,
        exponential_max: 5
      },
      warnings: ["low_threshold"]
    },
    high_throughput: {
      json: {
        retry_attempts: 3,
        circuit_breaker_threshold: 8,
        recovery_timeout: 45,
        default_strategy: "balanced",
        operation_overrides: { sentiment: "aggressive", key_points: "balanced" }
      },
      warnings: []
    },
    maximum_reliability: {
      json: {
        retry_attempts: 8,
        circuit_breaker_threshold: 15,
        recovery_timeout: 300,
        default_strategy: "critical",
        operation_overrides: {
          qa: "critical",
          summarize: "critical",
          sentiment: "conservative",
          key_points: "conservative",
          questions: "conservative"
        },
        exponential_multiplier: 2,
        exponential_min: 3,
        exponential_max: 60,
        jitter_enabled: true,
        jitter_max: 5
      },
      warnings: ["many_retries"]
    }
  }

  it("are five, in the order of the original", () => {
    assert.deepStrictEqual(Object.keys(Template.templates), Object.keys(vectors))
    assert.deepStrictEqual([...keys], Object.keys(vectors))
  })

  for (const key of keys) {
    const { json, warnings } = vectors[key]
    it(`hold the numbers of ${key}`, () => {
      assert.deepStrictEqual(Template.toJson(Template.templates[key]), json)
    })

    it(`decode what they encode: ${key}`, () => {
      assert.deepStrictEqual(decode(json), Template.templates[key].config)
      assert.deepStrictEqual(encode(decode(json)), json)
    })

    it(`pass validation: ${key} with ${warnings.length} warnings`, () => {
      const result = Template.validate(Template.templates[key], {}, { level: "secure", at: at() })
      assert.isTrue(result.isValid)
      assert.deepStrictEqual(
        result.findings.map(({ code }) => code),
        warnings
      )
      assert.deepStrictEqual(result.value, Option.some(Template.templates[key].config))
    })
  }

  it("are listed with name, description and configuration", () => {
    const { templates } = Schema.encodeSync(Template.List)({ templates: Template.templates })
    assert.deepStrictEqual(Object.keys(templates), [...keys])
    assert.deepStrictEqual(Object.keys(templates["low_latency"]!), ["name", "description", "config"])
    assert.strictEqual(templates["low_latency"]!.name, "Low Latency")
  })

  it("are found by key", () => {
    assert.isTrue(Option.isSome(Template.get("low_latency")))
    for (const key of ["production", "", "__proto__", "constructor", "Low Latency"]) {
      assert.isTrue(Option.isNone(Template.get(key)), key)
    }
  })
})

const at = () => Option.getOrThrow(Schema.decodeUnknownOption(Schema.DateTimeUtcFromString)("2026-01-02T03:04:05Z"))

describe("merge", () => {
  it("puts fields over those of the template, and adds operations to its operations", () => {
    const merged = Template.merge(Template.templates.robust_production, {
      retryAttempts: 2,
      recoveryTimeout: "20 seconds",
      operationOverrides: { qa: "balanced", translate: "aggressive" }
    })
    assert.strictEqual(merged.retryAttempts, 2)
    assert.strictEqual(merged.circuitBreakerThreshold, 12)
    assert.deepStrictEqual(merged.recoveryTimeout, Duration.seconds(20))
    assert.deepStrictEqual(merged.operationOverrides, {
      qa: "balanced",
      summarize: "conservative",
      translate: "aggressive"
    })
  })

  it("knows both names of an operation", () => {
    const { operationOverrides } = Template.merge(Template.templates.robust_production, {
      operationOverrides: { answer_question: "aggressive" }
    })
    assert.deepStrictEqual(operationOverrides, { answer_question: "aggressive", summarize: "conservative" })
  })

  it("leaves the template as it is", () => {
    const before = Template.toJson(Template.templates.robust_production)
    Template.merge(Template.templates.robust_production, { operationOverrides: { qa: "balanced" } })
    assert.deepStrictEqual(Template.toJson(Template.templates.robust_production), before)
  })
})

describe("validate", () => {
  const validate = (overrides: unknown) => Template.validate(Template.templates.robust_production, overrides)

  it("validates the template with the overrides over it", () => {
    const { findings, value } = validate({ retry_attempts: 8, operation_overrides: { qa: "balanced" } })
    assert.deepStrictEqual(
      findings.map(({ code }) => code),
      ["many_retries"]
    )
    const overlay = Option.getOrThrow(value)
    assert.strictEqual(overlay.retryAttempts, 8)
    assert.deepStrictEqual(overlay.operationOverrides, { qa: "balanced", summarize: "conservative" })
  })

  const invalid: ReadonlyArray<readonly [overrides: unknown, code: string]> = [
    [{ retry_attempts: 11 }, "out_of_range"],
    [{ operation_overrides: { qa: "nonsense" } }, "invalid_enum"],
    [{ operation_overrides: [] }, "invalid_type"],
    [{ operation_overrides: "qa" }, "invalid_type"],
    [{ timeout_seconds: 3 }, "unknown_field"],
    [[], "invalid_type"],
    [null, "invalid_type"],
    ["text", "invalid_type"],
    [JSON.parse('{"__proto__":{"retry_attempts":3}}'), "forbidden_key"],
    [JSON.parse('{"operation_overrides":{"__proto__":"balanced"}}'), "forbidden_key"],
    [{ a: "x".repeat(5000) }, "too_large"],
    [
      {
        get retry_attempts() {
          throw new Error("ran")
        }
      },
      "not_json"
    ]
  ]
  for (const [overrides, code] of invalid) {
    it(`refuses overrides with ${code}`, () => {
      const result = validate(overrides)
      assert.isFalse(result.isValid)
      assert.include(
        result.findings.map((finding) => finding.code),
        code
      )
    })
  }
})

describe("suggest", () => {
  for (const key of keys) {
    const { circuitBreakerThreshold, defaultStrategy, retryAttempts } = Template.templates[key].config
    it(`finds ${key} by its own numbers with confidence 1`, () => {
      const { confidence, suggestedTemplate } = Template.suggest(Template.templates[key].config)
      // The numbers of low_latency are those of fast_development, which wins the tie.
      assert.strictEqual(suggestedTemplate, key === "low_latency" ? "fast_development" : key)
      assert.strictEqual(confidence, 1)
      const two = Template.suggest({ circuitBreakerThreshold, defaultStrategy })
      assert.strictEqual(two.confidence, 1)
      assert.strictEqual(Template.suggest({ retryAttempts }).suggestedTemplate, null)
    })
  }

  it("suggests maximum_reliability for 8/15/critical", () => {
    const json = { retry_attempts: 8, circuit_breaker_threshold: 15, default_strategy: "critical" }
    const { confidence, suggestedTemplate } = Template.suggestFor(json)
    assert.strictEqual(suggestedTemplate, "maximum_reliability")
    assert.strictEqual(confidence, 1)
  })

  const none: ReadonlyArray<unknown> = [
    {},
    { retry_attempts: 8 },
    { jitter_enabled: true, recovery_timeout: 300 },
    { retry_attempts: "8", circuit_breaker_threshold: [15], default_strategy: "critical" },
    { retry_attempts: 1e9, circuit_breaker_threshold: 1e9 },
    [],
    null,
    "text"
  ]
  for (const value of none) {
    it(`suggests nothing for ${JSON.stringify(value)}`, () => {
      const suggestion = Template.suggestFor(value)
      assert.isNull(suggestion.suggestedTemplate)
      assert.strictEqual(suggestion.confidence, 0)
      assert.deepStrictEqual([...suggestion.availableTemplates], [...keys])
      assert.isTrue(suggestion.reasoning.length > 0)
    })
  }

  it("is less sure with each step away", () => {
    const confidences = [8, 7, 6, 5].map(
      (retryAttempts) =>
        Template.suggest({ retryAttempts, circuitBreakerThreshold: 15, defaultStrategy: "critical" }).confidence
    )
    assert.deepStrictEqual(
      confidences,
      confidences.toSorted((a, b) => b - a)
    )
    assert.strictEqual(new Set(confidences).size, 4)
  })

  it("has a confidence between 0.5 and 1 whenever it suggests", () => {
    for (let retryAttempts = 1; retryAttempts <= 10; retryAttempts++) {
      for (let circuitBreakerThreshold = 1; circuitBreakerThreshold <= 20; circuitBreakerThreshold++) {
        for (const defaultStrategy of ["aggressive", "balanced", "conservative", "critical", undefined] as const) {
          const { confidence, suggestedTemplate } = Template.suggest({
            retryAttempts,
            circuitBreakerThreshold,
            defaultStrategy
          })
          assert.isTrue(suggestedTemplate === null ? confidence === 0 : confidence >= 0.5 && confidence <= 1)
        }
      }
    }
  })

  it("is JSON of the original's shape", () => {
    assert.deepStrictEqual(Object.keys(Schema.encodeSync(Template.Suggestion)(Template.suggest({}))), [
      "suggested_template",
      "confidence",
      "reasoning",
      "available_templates"
    ])
  })
})

describe("the codec", () => {
  it("decodes what it encodes, for random overlays (seed 5)", () => {
    let seed = 5
    const random = () => {
      seed = (seed + 0x6d2b79f5) | 0
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296
    }
    const whole = (minimum: number, maximum: number) => minimum + Math.floor(random() * (maximum - minimum + 1))
    // To the microsecond: a duration holds whole nanoseconds.
    const seconds = (minimum: number, maximum: number) => Duration.micros(BigInt(whole(minimum * 1e6, maximum * 1e6)))
    const strategy = () => (["aggressive", "balanced", "conservative", "critical"] as const)[whole(0, 3)]!
    const fields = {
      retryAttempts: () => whole(1, 10),
      circuitBreakerThreshold: () => whole(1, 20),
      recoveryTimeout: () => Duration.seconds(whole(10, 300)),
      defaultStrategy: strategy,
      operationOverrides: () =>
        Object.fromEntries(Array.from({ length: whole(0, 10) }, (_, at) => [`operation_${at}`, strategy()])),
      exponentialMultiplier: () => seconds(0.1, 5),
      exponentialMin: () => seconds(0.5, 10),
      exponentialMax: () => seconds(5, 120),
      jitterEnabled: () => random() < 0.5,
      jitterMax: () => seconds(0.1, 10),
      maxDelay: () => Duration.seconds(whole(5, 600)),
      halfOpenMaxCalls: () => whole(1, 10),
      attemptTimeout: () => seconds(0.1, 600),
      bulkheadMaxConcurrent: () => whole(1, 10_000),
      bulkheadMaxQueue: () => whole(0, 10_000),
      bulkheadMaxWait: () => seconds(0, 60),
      admissionLimit: () => whole(1, 1_000_000),
      admissionWindow: () => seconds(0.1, 86_400),
      quotaLimit: () => whole(1, 1_000_000),
      quotaWindow: () => seconds(0.1, 86_400),
      retryBudgetRatio: () => whole(1, 100) / 100,
      retryBudgetMinPerSecond: () => whole(0, 1000) / 10,
      circuitBreakerFailureRate: () => whole(1, 100) / 100,
      circuitBreakerWindow: () => seconds(1, 3_600),
      circuitBreakerMinimumCalls: () => whole(1, 10_000)
    } satisfies Record<keyof Preset.Overlay, () => unknown>
    for (let run = 0; run < 2000; run++) {
      const chosen = Object.entries(fields).filter(([name]) => name === "retryAttempts" || random() < 0.5)
      const overlay = Preset.overlay(Object.fromEntries(chosen.map(([name, make]) => [name, make()])))
      const json = encode(overlay)
      assert.isTrue(Equal.equals(decode(json), overlay), JSON.stringify(json))
      assert.deepStrictEqual(encode(decode(JSON.parse(JSON.stringify(json)))), json)
      assert.deepStrictEqual(
        Validation.validateText(JSON.stringify(json)).findings.filter(({ code }) => /type|range|unknown_f/.test(code)),
        []
      )
    }
  })
})
