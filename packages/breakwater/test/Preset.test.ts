import { assert, describe, it } from "@effect/vitest"
import { Duration } from "effect"
import { CircuitBreaker, Preset, Retry, Settings, Strategy, Timeout } from "breakwater"

const seconds = (duration: Duration.Duration) => Duration.toSeconds(duration)

/** The numbers in the order of the tables below. */
const numbers = ({ settings: { circuitBreaker, retry, timeout } }: Strategy.Strategy) =>
  retry === false || circuitBreaker === false || timeout === false
    ? []
    : [
        retry.maxAttempts,
        seconds(timeout.total),
        seconds(timeout.attempt),
        seconds(retry.base),
        seconds(retry.minDelay),
        seconds(retry.maxDelay),
        retry.jitter,
        seconds(retry.jitterMax),
        circuitBreaker.failureThreshold,
        seconds(circuitBreaker.openDuration),
        circuitBreaker.halfOpenMaxCalls
      ]

describe("a strategy", () => {
  for (const [name, expected] of Object.entries({
    aggressive: [2, 10, 5, 0.5, 1, 5, "additive", 2, 3, 30, 1],
    balanced: [3, 30, 10, 1, 2, 10, "additive", 2, 5, 60, 1],
    conservative: [5, 120, 30, 2, 4, 30, "additive", 2, 8, 120, 1],
    critical: [7, 300, 60, 1.5, 3, 60, "additive", 5, 10, 300, 1]
  })) {
    it(`named ${name} has its numbers`, () => {
      assert.deepStrictEqual(numbers(Strategy.builtIn[name as Strategy.BuiltIn]), expected)
    })
  }

  it("of one's own states only what differs", () => {
    const payments = Strategy.make("payments", { extends: "critical", timeout: { attempt: "2 seconds" } })
    assert.deepStrictEqual(numbers(payments), [7, 300, 2, 1.5, 3, 60, "additive", 5, 10, 300, 1])
    const nightly = Strategy.make("nightly", { extends: payments, retry: { maxAttempts: 9 } })
    assert.deepStrictEqual(numbers(nightly), [9, 300, 2, 1.5, 3, 60, "additive", 5, 10, 300, 1])
  })

  it("leaves out a policy that is false", () => {
    const { settings } = Strategy.make("bare", { retry: false, circuitBreaker: false })
    assert.isFalse(settings.retry)
    assert.isFalse(settings.circuitBreaker)
    assert.isNotFalse(settings.timeout)
  })

  it("is refused with the field, the value and the rule", () => {
    try {
      Strategy.make("wrong", { retry: { maxAttempts: 0 }, timeout: { attempt: "soon" as never } })
      assert.fail("nothing was thrown")
    } catch (error) {
      assert.instanceOf(error, Settings.InvalidSettings)
      assert.strictEqual(error.settings, "Retry")
      assert.deepInclude(error.findings[0], { path: "maxAttempts", value: 0 })
      assert.include(error.message, "between 1 and 20")
    }
    assert.throws(() => Strategy.make("no spaces, please"), Settings.InvalidSettings)
  })
})

describe("a preset", () => {
  it.each([
    ["simple", "translate", "balanced", "preset_default", [3, 60, 10, 1, 2, 10, "additive", 2, 5, 60, 1]],
    ["development", "translate", "aggressive", "preset_default", [2, 40, 5, 0.5, 1, 5, "additive", 2, 3, 30, 1]],
    ["production", "translate", "conservative", "preset_default", [5, 100, 30, 1.5, 2, 30, "additive", 2, 10, 120, 1]],
    ["production", "answer_question", "critical", "preset", [7, 300, 60, 1.5, 3, 60, "additive", 5, 10, 300, 1]],
    ["production", "qa", "critical", "preset", [7, 300, 60, 1.5, 3, 60, "additive", 5, 10, 300, 1]],
    ["production", "summarize_text", "conservative", "preset", [5, 120, 30, 2, 4, 30, "additive", 2, 8, 120, 1]],
    ["production", "extract_key_points", "balanced", "preset", [3, 30, 10, 1, 2, 10, "additive", 2, 5, 60, 1]],
    ["development", "analyze_sentiment", "aggressive", "preset", [2, 10, 5, 0.5, 1, 5, "additive", 2, 3, 30, 1]],
    ["simple", "qa", "balanced", "preset_default", [3, 60, 10, 1, 2, 10, "additive", 2, 5, 60, 1]]
  ] as const)("%s gives %s the strategy %s by %s", (preset, operation, strategy, source, expected) => {
    const resolved = Preset.resolve(Preset.builtIn[preset], {}, operation)
    assert.strictEqual(resolved.strategy.name, strategy)
    assert.strictEqual(resolved.source, source)
    assert.deepStrictEqual(numbers(resolved.strategy), [...expected])
  })

  it("gives way to the strategy that the code names, with that strategy's numbers", () => {
    const { source, strategy } = Preset.resolve(Preset.simple, {}, "translate", "balanced")
    assert.strictEqual(source, "code")
    assert.deepStrictEqual(numbers(strategy), numbers(Strategy.balanced))
  })

  it("is overlaid field by field, over its own numbers as over a strategy's", () => {
    const overlay = { retryAttempts: 4, attemptTimeout: "3 seconds", jitterEnabled: false } as const
    for (const own of [undefined, "critical"] as const) {
      const plain = numbers(Preset.resolve(Preset.production, {}, "translate", own).strategy)
      const overlaid = numbers(Preset.resolve(Preset.production, overlay, "translate", own).strategy)
      assert.deepStrictEqual(overlaid, plain.with(0, 4).with(2, 3).with(6, "none"))
    }
  })

  it("is overlaid by operation in either vocabulary", () => {
    for (const name of ["qa", "answer_question"]) {
      const overlay = { operationOverrides: { [name]: "aggressive" } } as const
      for (const operation of ["qa", "answer_question"]) {
        const { source, strategy } = Preset.resolve(Preset.production, overlay, operation)
        assert.strictEqual(source, "overlay")
        assert.deepStrictEqual(numbers(strategy), numbers(Strategy.aggressive))
      }
    }
  })

  it("takes the numbers of its own rows for another default strategy", () => {
    const { source, strategy } = Preset.resolve(Preset.simple, { defaultStrategy: "critical" }, "translate")
    assert.strictEqual(source, "overlay_default")
    assert.deepStrictEqual(numbers(strategy), [3, 60, 60, 1.5, 2, 30, "additive", 2, 5, 60, 1])
  })

  it.each([
    ["retryAttempts", { retryAttempts: 11 }],
    ["recoveryTimeout", { recoveryTimeout: "9 seconds" }],
    ["operationOverrides.no such name", { operationOverrides: { "no such name": "balanced" } }],
    ["typo", { typo: 1 }]
  ] as const)("refuses an overlay for its %s", (path, overlay) => {
    try {
      Preset.overlay(overlay as Preset.OverlayInput)
      assert.fail("nothing was thrown")
    } catch (error) {
      assert.instanceOf(error, Settings.InvalidSettings)
      assert.strictEqual(error.findings[0]?.path, path)
    }
  })
})

describe("built-in strategies, which are written as plain data", () => {
  for (const [name, strategy] of Object.entries(Strategy.builtIn)) {
    it(`have settings that pass the checks, and lack none: ${name}`, () => {
      const { circuitBreaker, retry, timeout } = strategy.settings
      assert.deepStrictEqual(Retry.settings(retry || {}), retry as Retry.Settings)
      assert.deepStrictEqual(CircuitBreaker.settings(circuitBreaker || {}), circuitBreaker as CircuitBreaker.Settings)
      assert.deepStrictEqual(Timeout.settings(timeout || {}), timeout as Timeout.Settings)
      assert.deepStrictEqual(Strategy.make(name, { extends: strategy }).settings, strategy.settings)
    })
  }

  it("come without a preset to what they come to with the simple one", () => {
    const simple = Preset.simple.chooser()
    assert.deepStrictEqual(Strategy.plainly.strategyOf(undefined), simple.strategyOf(undefined))
    for (const own of ["aggressive", "balanced", "conservative", "critical"] as const) {
      assert.deepStrictEqual(Strategy.plainly.strategyOf(own), simple.strategyOf(own))
      assert.deepStrictEqual(Strategy.plainly.choose("translate", own), simple.choose("translate", own))
    }
    assert.deepStrictEqual(Strategy.plainly.choose("translate", undefined), simple.choose("translate", undefined))
  })
})
