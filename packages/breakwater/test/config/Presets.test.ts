import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Duration, Effect, Fiber, Option, Ref, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, CircuitBreaker, Policies, Preset, Resilience, Retry, Strategy, withOperation } from "breakwater"
import * as Presets from "../../src/config/Presets.ts"
import * as backoff from "../../src/internal/backoff.ts"

const mine: Presets.Input = {
  name: "High-Throughput",
  description: "Gives up early and opens late",
  retryAttempts: 2,
  circuitBreakerThreshold: 20,
  recoveryTimeout: "30 seconds",
  defaultStrategy: "aggressive",
  environmentContexts: ["production"]
}

const seconds = Duration.toSeconds

const using = <A, E>(use: (presets: Presets.Presets["Service"]) => Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.flatMap(Presets.Presets, use).pipe(Effect.provide(Presets.layer))

describe("the registry", () => {
  it.effect("starts with the built-in presets", () =>
    Effect.gen(function* () {
      const entries = yield* using((presets) => presets.list)
      assert.deepStrictEqual(
        entries.map(({ key }) => key),
        [
          "simple",
          "development",
          "production",
          "microsoft-standard",
          "llm-interactive",
          "llm-batch",
          "embedding",
          "internal-rpc"
        ]
      )
      for (const { key, preset } of entries) assert.strictEqual(preset.name, key)
    })
  )

  for (const name of ["simple", "Simple", "  SIMPLE "]) {
    it.effect(`finds simple by "${name}"`, () =>
      Effect.gen(function* () {
        assert.strictEqual((yield* using((presets) => presets.get(name))).preset, Preset.simple)
      })
    )
  }

  it.effect("names the available presets and the nearest one when there is none of a name", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(using((presets) => presets.get("prod")))
      assert.strictEqual(error._tag, "UnknownPreset")
      assert.strictEqual(error.nearest, "production")
      assert.strictEqual(
        error.message,
        'There is no preset "prod". Did you mean "production"? Available: simple, development, production, ' +
          "microsoft-standard, llm-interactive, llm-batch, embedding, internal-rpc"
      )
      for (const name of ["constructor", "__proto__", "", "zzz"]) {
        const other = yield* Effect.flip(using((presets) => presets.get(name)))
        assert.strictEqual(other.nearest, undefined)
      }
    })
  )

  it.effect("finds a registered preset without regard to case, and shows it everywhere", () =>
    Effect.gen(function* () {
      const [found, summary] = yield* using((presets) =>
        Effect.gen(function* () {
          yield* presets.register(mine, { overlay: { attemptTimeout: "2 seconds" } })
          return [yield* presets.get("HIGH-throughput"), yield* presets.summary] as const
        })
      )
      assert.strictEqual(found.key, "high-throughput")
      assert.strictEqual(found.displayName, "High-Throughput")
      assert.strictEqual(summary["high-throughput"]?.configuration.circuitBreakerThreshold, 20)
    })
  )

  it.effect("takes a finished preset as it is", () =>
    Effect.gen(function* () {
      const preset = Preset.make("mine", { ...mine })
      const entry = yield* using((presets) => presets.register(preset, { displayName: "Mine" }))
      assert.strictEqual(entry.preset, preset)
      assert.strictEqual(entry.displayName, "Mine")
    })
  )

  it.effect("refuses a second preset of a name, unless it is to replace the first", () =>
    Effect.gen(function* () {
      yield* using((presets) =>
        Effect.gen(function* () {
          yield* presets.register(mine)
          const again = { ...mine, name: "HIGH-THROUGHPUT", retryAttempts: 1 }
          const error = yield* Effect.flip(presets.register(again))
          assert.strictEqual(error._tag, "DuplicatePreset")
          assert.match(error.message, /"high-throughput".*replace: true/)
          assert.strictEqual((yield* presets.get(mine.name)).preset.retryAttempts, 2)
          yield* presets.register(again, { replace: true })
          assert.strictEqual((yield* presets.get(mine.name)).preset.retryAttempts, 1)
          assert.lengthOf(yield* presets.list, Presets.builtIn.length + 1)
        })
      )
    })
  )

  it.effect("keeps one of many that are registered at once under one name", () =>
    Effect.gen(function* () {
      const outcomes = yield* using((presets) =>
        Effect.forEach(
          Array.from({ length: 20 }, (_, n) => n),
          () => Effect.option(presets.register(mine)),
          { concurrency: "unbounded" }
        )
      )
      assert.lengthOf(outcomes.filter(Option.isSome), 1)
    })
  )

  it.effect("names every wrong field of a preset with value, rule and fix", () =>
    Effect.gen(function* () {
      const wrong = {
        ...mine,
        name: "My Preset!",
        retryAttempts: 99,
        recoveryTimeout: "1 hour",
        defaultStrategy: "blanced",
        operationOverrides: { qa: "critcal", BAD: "critical" }
      } as unknown as Presets.Input
      const error = yield* Effect.flip(
        using((presets) => presets.register(wrong, { overlay: { attemptTimeout: "1 milli" } }))
      )
      assert.strictEqual(error._tag, "InvalidPreset")
      if (error._tag !== "InvalidPreset") return
      assert.deepStrictEqual(
        error.findings.map(({ fix, path, value }) => [path, value, fix]),
        [
          ["name", "My Preset!", 'use "my-preset"'],
          ["retryAttempts", 99, "use a whole number from 1 to 10, such as 3"],
          ["recoveryTimeout", "1 hour", 'use a time from 10 to 300 seconds, such as "60 seconds"'],
          ["defaultStrategy", "blanced", 'use "balanced"'],
          [
            "operationOverrides.BAD",
            "critical",
            "name operations in lower case with digits and _, each with a built-in strategy"
          ],
          ["operationOverrides.qa", "critcal", 'use "critical"'],
          ["overlay.attemptTimeout", "1 milli", "use a value within the range"]
        ]
      )
      for (const { rule } of error.findings) assert.isNotEmpty(rule)
    })
  )

  for (const name of ["", "1st", "a b", "__proto__", "é", "x".repeat(51), "simple\n"]) {
    it.effect(`refuses the name ${JSON.stringify(name)}`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(using((presets) => presets.register({ ...mine, name })))
        assert.strictEqual(error._tag, "InvalidPreset")
      })
    )
  }

  it.effect("refuses an environment that stands there twice", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        using((presets) => presets.register({ ...mine, environmentContexts: ["production", "production"] }))
      )
      assert.match(error.message, /environmentContexts: expected each environment once; use \["production"\]/)
    })
  )
})

describe("the shapes", () => {
  it("are those of the endpoints, with the name by which a preset is chosen", () => {
    const [simple] = Presets.builtIn
    assert.deepStrictEqual(Schema.encodeSync(Presets.PresetSummary)(Presets.summaryOf(simple!)), {
      name: "simple",
      display_name: "Simple",
      description: Preset.simple.description,
      retry_attempts: 3,
      circuit_breaker_threshold: 5,
      recovery_timeout: 60,
      default_strategy: "balanced",
      environment_contexts: ["development", "testing", "staging", "production"],
      worst_case: { latency_seconds: 38, amplification: 3 }
    })
    const details = Schema.encodeSync(Presets.PresetDetails)(Presets.detailsOf(Presets.builtIn[2]!))
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
    assert.strictEqual(details.overlay, null)
    assert.deepStrictEqual(details.worst_case.operations["qa"], { latency_seconds: 300, amplification: 7 })
  })

  for (const entry of Presets.builtIn) {
    it(`of ${entry.key} come back from JSON as they were`, () => {
      const preset = Schema.fromJsonString(Presets.PresetJson)
      assert.deepStrictEqual(Schema.decodeSync(preset)(Schema.encodeSync(preset)(entry.preset)), entry.preset)
      const details = Schema.fromJsonString(Presets.PresetDetails)
      const detailed = Presets.detailsOf(entry)
      assert.deepStrictEqual(Schema.decodeSync(details)(Schema.encodeSync(details)(detailed)), detailed)
      const text = Schema.fromJsonString(Preset.Preset)
      assert.deepStrictEqual(Schema.decodeSync(text)(Schema.encodeSync(text)(entry.preset)), entry.preset)
    })
  }

  it("of a preset need all eight fields and no other", () => {
    const decode = Schema.decodeUnknownResult(Presets.PresetJson, { onExcessProperty: "error" })
    const encoded = Schema.encodeSync(Presets.PresetJson)(Preset.simple)
    assert.strictEqual(decode(encoded)._tag, "Success")
    assert.lengthOf(Object.keys(encoded), 8)
    for (const key of Object.keys(encoded)) {
      const { [key]: _, ...rest } = encoded as Record<string, unknown>
      assert.strictEqual(decode(rest)._tag, "Failure", key)
    }
    assert.strictEqual(decode({ ...encoded, timeout_seconds: 1 })._tag, "Failure")
    assert.strictEqual(decode({ ...encoded, environment_contexts: ["production", "production"] })._tag, "Failure")
  })
})

describe("compare", () => {
  it.effect("lists the fields that differ, and the others", () =>
    Effect.gen(function* () {
      const comparison = yield* using((presets) => presets.compare("simple", "Development"))
      assert.deepStrictEqual(Schema.encodeSync(Presets.Comparison)(comparison), {
        current: "simple",
        compare_with: "development",
        identical: false,
        differences: [
          {
            field: "description",
            current: Preset.simple.description,
            compare_with: Preset.development.description
          },
          { field: "retry_attempts", current: 3, compare_with: 2 },
          { field: "circuit_breaker_threshold", current: 5, compare_with: 3 },
          { field: "recovery_timeout", current: 60, compare_with: 30 },
          { field: "default_strategy", current: "balanced", compare_with: "aggressive" },
          {
            field: "environment_contexts",
            current: ["development", "production", "staging", "testing"],
            compare_with: ["development", "testing"]
          },
          { field: "worst_case.latency_seconds", current: 38, compare_with: 30 },
          { field: "operation_overrides.sentiment", current: null, compare_with: "aggressive" },
          { field: "operation_overrides.qa", current: null, compare_with: "balanced" }
        ],
        unchanged: ["worst_case.amplification"]
      })
    })
  )

  it.effect("takes both names of an operation for one field", () =>
    Effect.gen(function* () {
      const comparison = yield* using((presets) =>
        Effect.gen(function* () {
          yield* presets.register({ ...mine, name: "short", operationOverrides: { qa: "critical" } })
          yield* presets.register({ ...mine, name: "long", operationOverrides: { answer_question: "critical" } })
          return yield* presets.compare("short", "long")
        })
      )
      assert.isTrue(comparison.identical)
      assert.include(comparison.unchanged, "operation_overrides.qa")
    })
  )

  it.effect("shows what an overlay adds, and fails for a name that is unknown", () =>
    Effect.gen(function* () {
      const { differences } = yield* using((presets) => presets.compare("simple", "internal-rpc"))
      assert.deepInclude(differences, { field: "overlay.attempt_timeout", current: null, compareWith: 1 })
      const error = yield* Effect.flip(using((presets) => presets.compare("simple", "embeding")))
      assert.strictEqual(error.nearest, "embedding")
    })
  )
})

describe("worstCase", () => {
  const figures: ReadonlyArray<readonly [strategy: Strategy.Strategy, latency: number, amplification: number]> = [
    [Strategy.aggressive, 10, 2],
    [Strategy.balanced, 30, 3],
    [Strategy.conservative, 120, 5],
    [Strategy.critical, 300, 7],
    [Strategy.make("once", { retry: false, timeout: { attempt: "2 seconds", total: "30 seconds" } }), 2, 1],
    [
      Strategy.make("short", {
        retry: { maxAttempts: 3, base: "1 second", minDelay: 0, jitter: "additive", jitterMax: "500 millis" },
        timeout: { attempt: "2 seconds", total: "60 seconds" }
      }),
      // 3 × 2, and pauses of 1.5 and 2.5
      10,
      3
    ],
    [Strategy.make("endless", { timeout: false }), Infinity, 3]
  ]
  for (const [{ name, settings }, latency, amplification] of figures) {
    it(`is ${latency} s and ${amplification} calls for ${name}`, () => {
      const worst = Presets.worstCase(settings)
      assert.deepStrictEqual([seconds(worst.latency), worst.amplification], [latency, amplification])
    })
  }

  it("follows the numbers of .NET's standard handler", () => {
    const entry = Presets.builtIn.find(({ key }) => key === "microsoft-standard")!
    const { strategy } = Preset.resolve(entry.preset, entry.overlay, "call", undefined, Policies.makers)
    const { bulkhead, circuitBreaker, retry, timeout } = strategy.settings
    assert.deepStrictEqual(bulkhead, Bulkhead.settings({ maxConcurrent: 1_000 }))
    assert.deepStrictEqual(
      circuitBreaker && circuitBreaker.tripPolicy,
      CircuitBreaker.timeWindow({ rate: 0.1, duration: "30 seconds", minimumCalls: 100 })
    )
    assert.strictEqual(retry && retry.maxAttempts, 4)
    assert.strictEqual(timeout && seconds(timeout.attempt), 10)
    assert.strictEqual(timeout && seconds(timeout.total), 30)
    assert.strictEqual(seconds(Presets.figures(entry).max.latency), 30)
  })

  const millis = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 1, maximum }))
  const draws = Arbitrary.array(Arbitrary.schema(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))), {
    minLength: 20,
    maxLength: 20
  })

  it.prop(
    "is never exceeded, whatever attempts take and jitter draws",
    {
      settings: Schema.Struct({
        maxAttempts: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 })),
        base: millis(5_000),
        factor: Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 10 })),
        minDelay: millis(10_000),
        maxDelay: millis(60_000),
        jitter: Retry.Jitter,
        jitterMax: millis(10_000)
      }),
      attempt: millis(60_000),
      total: millis(600_000),
      draws,
      durations: draws
    },
    ({ attempt, draws, durations, settings, total }) => {
      const strategy = Strategy.make("any", { retry: settings, timeout: { attempt, total } })
      const { amplification, latency } = Presets.worstCase(strategy.settings)
      const numbers = { ...settings, min: settings.minDelay, max: settings.maxDelay }
      let now = 0
      let previous = 0
      let calls = 0
      while (calls < settings.maxAttempts) {
        now += Math.min(attempt * durations[calls]!, total - now)
        calls++
        previous = backoff.next(numbers, { attempt: calls, previous, random: draws[calls - 1]!, retryAfter: undefined })
        if (calls === settings.maxAttempts || now + previous >= total) break
        now += previous
      }
      // A millisecond is divided when durations are random.
      assert.isAtMost(now, Duration.toMillis(latency) + 1e-6)
      assert.isAtMost(calls, amplification)
    },
    { arbitrary: { runs: 2_000 } }
  )

  for (const entry of Presets.builtIn) {
    it.effect(`of ${entry.key} bounds the pauses of its schedule`, () =>
      Effect.gen(function* () {
        for (const operation of ["any", ...Object.keys(entry.preset.operationOverrides)]) {
          const { settings } = Preset.resolve(
            entry.preset,
            entry.overlay,
            operation,
            undefined,
            Policies.makers
          ).strategy
          const { retry, timeout } = settings
          if (!retry || !timeout) throw new Error("a preset has both")
          const { amplification, latency } = Presets.worstCase(settings)
          let most = 0
          for (let run = 0; run < 200; run++) {
            const step = yield* Schedule.toStep(Retry.schedule(retry))
            let calls = 1
            let now = Duration.toMillis(timeout.attempt)
            while (now < Duration.toMillis(timeout.total)) {
              const next = yield* Effect.option(step(0, "down").pipe(Effect.catchCause(() => Effect.fail("done"))))
              if (Option.isNone(next)) break
              const delay = Duration.toMillis(next.value[1])
              if (now + delay >= Duration.toMillis(timeout.total)) break
              now += delay + Duration.toMillis(timeout.attempt)
              calls++
            }
            assert.isAtMost(Math.min(now, Duration.toMillis(timeout.total)), Duration.toMillis(latency))
            most = Math.max(most, calls)
          }
          assert.isAtMost(most, amplification)
          assert.isAbove(most, 1)
        }
      })
    )

    it.effect(`of ${entry.key} bounds a call whose every attempt hangs`, () =>
      Effect.gen(function* () {
        for (const operation of ["any", ...Object.keys(entry.preset.operationOverrides)]) {
          const { settings } = Preset.resolve(
            entry.preset,
            entry.overlay,
            operation,
            undefined,
            Policies.makers
          ).strategy
          const { amplification, latency } = Presets.worstCase(settings)
          const calls = yield* Ref.make(0)
          const fiber = yield* Ref.update(calls, (n) => n + 1).pipe(
            Effect.andThen(Effect.never),
            withOperation(operation),
            Effect.provide(Resilience.layer(entry.preset, { overlay: entry.overlay, makers: Policies.makers })),
            Effect.exit,
            Effect.forkChild({ startImmediately: true })
          )
          yield* TestClock.adjust(latency)
          // A pause of a fraction of a millisecond leaves the last timer up to one behind.
          yield* TestClock.adjust("1 milli")
          assert.isDefined(fiber.pollUnsafe(), operation)
          yield* Fiber.join(fiber)
          assert.isAtMost(yield* Ref.get(calls), amplification)
        }
      })
    )
  }

  it("of a preset is the highest of its strategies", () => {
    for (const entry of Presets.builtIn) {
      const { default: byDefault, max, operations } = Presets.figures(entry)
      const all = [byDefault, ...Object.values(operations)]
      assert.strictEqual(seconds(max.latency), Math.max(...all.map(({ latency }) => seconds(latency))))
      assert.strictEqual(max.amplification, Math.max(...all.map(({ amplification }) => amplification)))
    }
  })
})
