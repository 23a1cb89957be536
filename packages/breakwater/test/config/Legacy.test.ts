import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Duration, Effect, Schema } from "effect"
import { Preset } from "breakwater"
import * as CustomConfig from "../../src/config/CustomConfig.ts"
import * as Legacy from "../../src/config/Legacy.ts"

const all = {
  RETRY_MAX_ATTEMPTS: "4",
  CIRCUIT_BREAKER_FAILURE_THRESHOLD: "6",
  CIRCUIT_BREAKER_RECOVERY_TIMEOUT: "90",
  DEFAULT_RESILIENCE_STRATEGY: "conservative",
  RETRY_MAX_DELAY: "45",
  RETRY_EXPONENTIAL_MULTIPLIER: "1.5",
  RETRY_EXPONENTIAL_MIN: "0.5",
  RETRY_EXPONENTIAL_MAX: "20",
  RETRY_JITTER_ENABLED: "no",
  RETRY_JITTER_MAX: "2.5",
  SUMMARIZE_RESILIENCE_STRATEGY: "balanced",
  SENTIMENT_RESILIENCE_STRATEGY: "aggressive",
  KEY_POINTS_RESILIENCE_STRATEGY: "balanced",
  QUESTIONS_RESILIENCE_STRATEGY: "conservative",
  QA_RESILIENCE_STRATEGY: "critical"
}

const config: CustomConfig.Encoded = {
  retry_attempts: 4,
  circuit_breaker_threshold: 6,
  recovery_timeout: 90,
  default_strategy: "conservative",
  max_delay_seconds: 45,
  exponential_multiplier: 1.5,
  exponential_min: 0.5,
  exponential_max: 20,
  jitter_enabled: false,
  jitter_max: 2.5,
  operation_overrides: {
    summarize: "balanced",
    sentiment: "aggressive",
    key_points: "balanced",
    questions: "conservative",
    qa: "critical"
  }
}

describe("the old variables", () => {
  it("become the fields of a custom configuration", () => {
    const legacy = Legacy.decode(all)
    assert.deepStrictEqual(legacy.config, config)
    assert.deepStrictEqual(legacy.overlay, Schema.decodeSync(CustomConfig.CustomConfig)(config))
    assert.deepStrictEqual(legacy.problems, [])
    assert.deepStrictEqual([...legacy.present], Object.entries(all))
  })

  it("are fifteen, each with the field that takes its place and one warning", () => {
    const { sources, warnings } = Legacy.decode(all)
    assert.deepStrictEqual(Legacy.variables, Object.keys(all))
    assert.deepStrictEqual(
      warnings.map(({ replacement, value, variable }) => [variable, value, replacement]),
      Object.entries(all).map(([variable, value]) => [variable, value, Legacy.replacementOf(variable)!])
    )
    assert.strictEqual(sources.get("operation_overrides.qa"), "QA_RESILIENCE_STRATEGY")
    assert.strictEqual(sources.get("max_delay_seconds"), "RETRY_MAX_DELAY")
    assert.strictEqual(sources.size, 15)
    assert.match(warnings[0]!.message, /^RETRY_MAX_ATTEMPTS is deprecated: .*retry_attempts/)
  })

  it("leave nothing behind where there are none", () => {
    const legacy = Legacy.decode({ PATH: "/bin", RETRY_MAX_ATTEMPTS: "", RETRY_MAX_DELAY: "  ", QA: undefined })
    assert.strictEqual(legacy.present.size, 0)
    assert.deepStrictEqual(legacy.config, {})
    assert.deepStrictEqual(legacy.overlay, new Preset.Overlay())
    assert.deepStrictEqual([...legacy.warnings, ...legacy.problems], [])
    assert.deepStrictEqual(legacy.toggles, { enabled: true, circuitBreaker: true, retry: true })
  })

  const accepted: ReadonlyArray<readonly [variable: keyof typeof all, text: string, expected: unknown]> = [
    ["RETRY_MAX_ATTEMPTS", " 10 ", 10],
    ["RETRY_MAX_ATTEMPTS", "3.0", 3],
    ["RETRY_EXPONENTIAL_MIN", ".5", 0.5],
    ["RETRY_JITTER_ENABLED", "ON", true],
    ["RETRY_JITTER_ENABLED", "1", true],
    ["RETRY_JITTER_ENABLED", "Off", false],
    ["DEFAULT_RESILIENCE_STRATEGY", " Critical", "critical"]
  ]
  for (const [variable, text, expected] of accepted) {
    it(`read ${variable}=${JSON.stringify(text)} as ${String(expected)}`, () => {
      const { config, problems } = Legacy.decode({ [variable]: text })
      assert.deepStrictEqual(problems, [])
      assert.deepStrictEqual(Object.values(config), [expected])
    })
  }

  const refused: ReadonlyArray<readonly [variable: string, text: string, allowed: RegExp, fix: string]> = [
    ["RETRY_MAX_ATTEMPTS", "many", /^a whole number from 1 to 10$/, "write digits, such as 1"],
    ["RETRY_MAX_ATTEMPTS", "100", /from 1 to 10/, "use 10, the nearest allowed value"],
    ["RETRY_MAX_ATTEMPTS", "0", /from 1 to 10/, "use 1, the nearest allowed value"],
    ["RETRY_MAX_ATTEMPTS", "-5", /from 1 to 10/, "use 1, the nearest allowed value"],
    ["RETRY_MAX_ATTEMPTS", "0x3", /from 1 to 10/, "write digits, such as 1"],
    ["RETRY_MAX_ATTEMPTS", "1e1", /from 1 to 10/, "write digits, such as 1"],
    ["RETRY_MAX_ATTEMPTS", "Infinity", /from 1 to 10/, "write digits, such as 1"],
    ["CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "30.5", /whole number from 10 to 300/, "use 31, the nearest allowed value"],
    ["RETRY_EXPONENTIAL_MAX", "1", /^a number from 5 to 120$/, "use 5, the nearest allowed value"],
    ["RETRY_JITTER_ENABLED", "maybe", /^one of true, 1, yes, on, false, 0, no, off$/, 'use "true" or "false"'],
    ["RETRY_JITTER_ENABLED", "fasle", /^one of/, 'use "false"'],
    ["QA_RESILIENCE_STRATEGY", "critcal", /aggressive, balanced, conservative, critical/, 'use "critical"'],
    ["DEFAULT_RESILIENCE_STRATEGY", "?", /^one of/, "use one of aggressive, balanced, conservative, critical"],
    ["RESILIENCE_ENABLED", "nope", /^one of/, 'use "true" or "false"'],
    ["RETRY_ENABLED", "2", /^one of/, 'use "true" or "false"']
  ]
  for (const [variable, text, allowed, fix] of refused) {
    it(`report ${variable}=${text} with what is allowed and what to do, and leave it out`, () => {
      const legacy = Legacy.decode({ [variable]: text, RETRY_JITTER_MAX: "1" })
      assert.deepStrictEqual(legacy.config, { jitter_max: 1 })
      assert.lengthOf(legacy.problems, 1)
      const problem = legacy.problems[0]!
      assert.deepStrictEqual([problem.variable, problem.value, problem.fix], [variable, text, fix])
      assert.match(problem.allowed, allowed)
      assert.include(problem.message, variable)
      assert.include(problem.message, JSON.stringify(text))
    })
  }

  it("are all reported at once", () => {
    const { problems } = Legacy.decode(Object.fromEntries(Legacy.variables.map((name) => [name, "wrong!"])))
    assert.deepStrictEqual(
      problems.map(({ variable }) => variable),
      Legacy.variables
    )
  })

  it("that are long or have line feeds stay on one short line of a message", () => {
    const value = `a\nb${"x".repeat(1_000)}`
    const { problems } = Legacy.decode({ RETRY_MAX_DELAY: value })
    assert.strictEqual(problems[0]?.value, value)
    assert.isBelow(problems[0]!.message.length, 300)
    assert.notInclude(problems[0]!.message, "\n")
  })

  it.prop(
    "never throw, and always leave a configuration that is valid",
    [Schema.Record(Schema.Literals(Legacy.variables), Schema.Union([Schema.String, Schema.NumberFromString]))],
    ([values]) => {
      const variables = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, String(value)]))
      const { config, overlay, present, problems, sources } = Legacy.decode(variables)
      assert.strictEqual(sources.size + problems.length, present.size)
      if (Object.keys(config).length === 0) return
      assert.deepStrictEqual(Schema.encodeSync(CustomConfig.CustomConfig)(overlay), config)
    }
  )
})

describe("the toggles", () => {
  it("are data", () => {
    const { overlay, present, toggles, warnings } = Legacy.decode({
      RESILIENCE_ENABLED: "false",
      CIRCUIT_BREAKER_ENABLED: "0",
      RETRY_ENABLED: "yes"
    })
    assert.deepStrictEqual(toggles, { enabled: false, circuitBreaker: false, retry: true })
    assert.deepStrictEqual([Object.keys(overlay).length, present.size, warnings.length], [0, 0, 0])
  })

  it("stay on where their value says nothing", () => {
    const { problems, toggles } = Legacy.decode({ RESILIENCE_ENABLED: "perhaps" })
    assert.isTrue(toggles.enabled)
    assert.lengthOf(problems, 1)
  })
})

describe("read", () => {
  it.effect("reads through the ConfigProvider", () =>
    Effect.gen(function* () {
      const env = { ...all, RETRY_ENABLED: "off", RETRY_MAX_ATTEMPTS_EXTRA: "1" }
      const legacy = yield* Legacy.read.pipe(Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env))))
      assert.deepStrictEqual(legacy, Legacy.decode(env))
      assert.deepStrictEqual(legacy.overlay.recoveryTimeout, Duration.seconds(90))
      assert.isFalse(legacy.toggles.retry)
    })
  )
})
