import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Exit, Fiber, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  CircuitBreaker,
  Configuration,
  Errors,
  Preset,
  Registry,
  Resilience,
  Resolution,
  withOperation
} from "breakwater"

const environment = (variables: Record<string, string>) =>
  Layer.succeed(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables))

const configured = (variables: Record<string, string> = {}) =>
  Configuration.layer().pipe(Layer.provideMerge(environment(variables)))

const inForce = (name: string) =>
  Effect.gen(function* () {
    const { effective } = yield* (yield* Configuration.Configuration).current
    const { source, value } = effective.find(({ field }) => field === name)!
    return [value, source] as const
  })

const problemsOf = (variables: Record<string, string>) =>
  Layer.build(configured(variables)).pipe(
    Effect.scoped,
    Effect.flip,
    Effect.map((error) => {
      assert.instanceOf(error, Resolution.InvalidConfiguration)
      return error
    })
  )

describe("the configuration at start", () => {
  const all = {
    RESILIENCE_PRESET: "production",
    RESILIENCE_CUSTOM_CONFIG: '{"retry_attempts":4,"operation_overrides":{"qa":"aggressive"}}',
    RETRY_MAX_ATTEMPTS: "2",
    CIRCUIT_BREAKER_FAILURE_THRESHOLD: "7",
    ENVIRONMENT: "development"
  }

  it.effect("takes the strongest source of each field and knows which", () =>
    Effect.gen(function* () {
      const { preset, presetSource, warnings } = yield* (yield* Configuration.Configuration).current
      assert.strictEqual(preset.key, "production")
      assert.strictEqual(presetSource, "RESILIENCE_PRESET")
      assert.deepStrictEqual(yield* inForce("retry_attempts"), [4, "RESILIENCE_CUSTOM_CONFIG"])
      assert.deepStrictEqual(yield* inForce("circuit_breaker_threshold"), [10, "preset production"])
      assert.isTrue(warnings.some((warning) => warning.startsWith("RETRY_MAX_ATTEMPTS has no effect")))
      yield* Effect.void.pipe(withOperation("qa"))
      const { source, strategy } = Option.getOrThrow(yield* (yield* Registry).operation("qa"))
      assert.deepStrictEqual([strategy, source], ["aggressive", "overlay"])
    }).pipe(Effect.provide(configured(all)))
  )

  it.effect("lets the original's variables fill in without a preset, with a warning each", () =>
    Effect.gen(function* () {
      const { preset, presetSource, warnings } = yield* (yield* Configuration.Configuration).current
      assert.strictEqual(preset.key, "development")
      assert.strictEqual(presetSource, "detected")
      assert.deepStrictEqual(yield* inForce("circuit_breaker_threshold"), [7, "CIRCUIT_BREAKER_FAILURE_THRESHOLD"])
      assert.deepStrictEqual(yield* inForce("retry_attempts"), [4, "RESILIENCE_CUSTOM_CONFIG"])
      assert.strictEqual(warnings.length, 2)
    }).pipe(
      Effect.provide(
        configured({
          RESILIENCE_CUSTOM_CONFIG: all.RESILIENCE_CUSTOM_CONFIG,
          RETRY_MAX_ATTEMPTS: all.RETRY_MAX_ATTEMPTS,
          CIRCUIT_BREAKER_FAILURE_THRESHOLD: all.CIRCUIT_BREAKER_FAILURE_THRESHOLD,
          ENVIRONMENT: all.ENVIRONMENT
        })
      )
    )
  )

  it.effect("is simple when nothing says otherwise, or only a faint signal does", () =>
    Effect.gen(function* () {
      for (const variables of [{}, { HOSTNAME: "dev-1" }]) {
        const { preset, presetSource } = yield* Effect.flatMap(
          Configuration.Configuration,
          ({ current }) => current
        ).pipe(Effect.provide(configured(variables), { local: true }))
        assert.deepStrictEqual([preset.key, presetSource], ["simple", "default"])
      }
    })
  )

  it.effect("reports every problem together, with the variable, what may stand there and the nearest spelling", () =>
    Effect.gen(function* () {
      const { message, problems } = yield* problemsOf({
        RESILIENCE_PRESET: "productoin",
        RESILIENCE_CUSTOM_CONFIG: '{"retry_attempts":99,"defualt_strategy":"balanced"}'
      })
      assert.deepStrictEqual(
        problems.map(({ variable }) => variable).toSorted((a, b) => a.localeCompare(b)),
        ["RESILIENCE_CUSTOM_CONFIG.defualt_strategy", "RESILIENCE_CUSTOM_CONFIG.retry_attempts", "RESILIENCE_PRESET"]
      )
      assert.include(message, 'did you mean "production"?')
      assert.include(message, "3 problems")
    })
  )

  it.effect("never repeats the text of RESILIENCE_CUSTOM_CONFIG, which may hold a secret", () =>
    Effect.gen(function* () {
      const { message, problems } = yield* problemsOf({
        RESILIENCE_CUSTOM_CONFIG: '{"api_key":"sk-not-to-be-shown","retry_attempts":99}'
      })
      assert.isNotEmpty(problems)
      assert.notInclude(message + JSON.stringify(problems), "sk-not-to-be-shown")
    })
  )

  it.effect("does not start with a legacy variable that cannot be used", () =>
    Effect.gen(function* () {
      const { problems } = yield* problemsOf({ RETRY_MAX_ATTEMPTS: "many" })
      assert.deepStrictEqual(
        problems.map(({ variable }) => variable),
        ["RETRY_MAX_ATTEMPTS"]
      )
    })
  )

  it.effect("passes calls through when it is switched off", () =>
    Effect.gen(function* () {
      const exit = yield* Effect.exit(Effect.fail("down").pipe(withOperation("target")))
      assert.isTrue(Exit.isFailure(exit))
      assert.strictEqual((yield* (yield* Registry).operations)[0]?.counters.calls, 0)
    }).pipe(Effect.provide(configured({ RESILIENCE_ENABLED: "false" })))
  )
})

describe("presets of one's own", () => {
  const night = {
    name: "night",
    description: "Patient work while nobody waits",
    retryAttempts: 9,
    circuitBreakerThreshold: 20,
    recoveryTimeout: "300 seconds",
    defaultStrategy: "critical",
    environmentContexts: ["production"]
  } as const

  it.effect("are chosen by name, by the environment as by an operator", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      assert.deepStrictEqual(yield* inForce("retry_attempts"), [9, "preset night"])
      yield* configuration.apply({ preset: "simple" })
      yield* configuration.apply({ preset: "Night" })
      assert.deepStrictEqual(yield* inForce("circuit_breaker_threshold"), [20, "preset night"])
    }).pipe(
      Effect.provide(
        Configuration.layer({ presets: [night] }).pipe(Layer.provideMerge(environment({ RESILIENCE_PRESET: "night" })))
      )
    )
  )

  it.effect("do not start when they are wrong, or take the name of another", () =>
    Effect.gen(function* () {
      const tagOf = (preset: Parameters<typeof Configuration.layer>[0]) =>
        Layer.build(Configuration.layer(preset)).pipe(
          Effect.scoped,
          Effect.flip,
          Effect.map((error) => error._tag)
        )
      assert.strictEqual(yield* tagOf({ presets: [{ ...night, retryAttempts: 11 }] }), "InvalidPreset")
      assert.strictEqual(yield* tagOf({ presets: [{ ...night, name: "simple" }] }), "DuplicatePreset")
    }).pipe(Effect.provide(environment({})))
  )
})

describe("a change of the configuration", () => {
  it.effect("is made, told and kept", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      const resilience = yield* Registry
      const events = yield* Effect.forkChild(resilience.events.pipe(Stream.take(1), Stream.runCollect), {
        startImmediately: true
      })
      const change = yield* configuration.apply({
        preset: "Production",
        overlay: { retryAttempts: 2 },
        strategies: { qa: "balanced" },
        actor: "ada",
        reason: "incident 42"
      })
      assert.strictEqual(change.version, 1)
      assert.deepStrictEqual(
        change.diff.map(({ field }) => field).filter((field) => /^(preset|retry_attempts|operations\.)/.test(field)),
        ["preset", "retry_attempts", "operations.answer_question"]
      )
      assert.deepStrictEqual(yield* inForce("retry_attempts"), [2, "runtime"])
      yield* Effect.void.pipe(withOperation("qa"))
      const { source, strategy } = Option.getOrThrow(yield* resilience.operation("qa"))
      assert.deepStrictEqual([strategy, source], ["balanced", "operator"])
      const [event] = yield* Fiber.join(events)
      assert.deepInclude(event, { _tag: "ConfigurationChanged", version: 1, actor: "ada", reason: "incident 42" })
      assert.deepStrictEqual(yield* configuration.history, [change])
    }).pipe(Effect.provide(configured()))
  )

  it.effect("changes nothing when it is a dry run, when it is wrong, and when it comes too late", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      const before = yield* configuration.current
      const dry = yield* configuration.apply({ overlay: { retryAttempts: 2 }, dryRun: true })
      assert.isAbove(dry.diff.length, 0)
      for (const wrong of [{ preset: "nope" }, { overlay: { retryAttempts: 0 } }, { ifVersion: 7 }]) {
        assert.isTrue(Exit.isFailure(yield* Effect.exit(configuration.apply(wrong))))
      }
      assert.deepStrictEqual(yield* configuration.current, before)
      assert.deepStrictEqual(yield* configuration.history, [])
    }).pipe(Effect.provide(configured()))
  )

  it.effect("is dropped by reset, kept by reload, and taken back by rollback", () => {
    const variables: Record<string, string> = { RESILIENCE_PRESET: "development" }
    const live = Layer.succeed(
      ConfigProvider.ConfigProvider,
      ConfigProvider.make((path) =>
        Effect.sync(() => {
          const value = variables[path.join("_")]
          return value === undefined ? undefined : ConfigProvider.makeValue(value)
        })
      )
    )
    return Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      yield* configuration.apply({ overlay: { retryAttempts: 9 } })
      variables["RESILIENCE_PRESET"] = "production"
      yield* configuration.reload()
      assert.deepStrictEqual(yield* inForce("retry_attempts"), [9, "runtime"])
      assert.deepStrictEqual(yield* inForce("circuit_breaker_threshold"), [10, "preset production"])

      variables["RESILIENCE_PRESET"] = "nonsense"
      assert.isTrue(Exit.isFailure(yield* Effect.exit(configuration.reload())))
      assert.deepStrictEqual(yield* inForce("circuit_breaker_threshold"), [10, "preset production"])

      yield* configuration.reset()
      assert.deepStrictEqual(yield* inForce("retry_attempts"), [5, "preset production"])
      yield* configuration.rollback(1)
      assert.deepStrictEqual(yield* inForce("retry_attempts"), [2, "preset development"])
      assert.strictEqual((yield* Effect.flip(configuration.rollback(77)))._tag, "UnknownChange")
      assert.deepStrictEqual(
        (yield* configuration.history).map(({ kind, version }) => [version, kind]),
        [
          [4, "rollback"],
          [3, "reset"],
          [2, "reload"],
          [1, "apply"]
        ]
      )
    }).pipe(Effect.provide(Configuration.layer().pipe(Layer.provideMerge(live))))
  })

  it.effect("keeps the state of circuits", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      yield* configuration.apply({ overlay: { retryAttempts: 1, circuitBreakerThreshold: 3 } })
      const fail = Effect.exit(
        Effect.fail(new Errors.InfrastructureError({ message: "down" })).pipe(withOperation("t"))
      )
      yield* fail
      yield* fail
      yield* configuration.apply({ overlay: { retryAttempts: 1, circuitBreakerThreshold: 4 } })
      yield* fail
      const circuit = Option.getOrThrow(yield* (yield* Registry).circuit("t"))
      assert.strictEqual((yield* CircuitBreaker.snapshot(circuit)).state, "closed")
      yield* fail
      assert.strictEqual((yield* CircuitBreaker.snapshot(circuit)).state, "open")
    }).pipe(Effect.provide(configured()))
  )

  it.effect("mixes no versions in one call and loses no call, under load", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      const overlay = (retryAttempts: number) => ({ retryAttempts, circuitBreakerThreshold: 20, jitterEnabled: false })
      yield* configuration.apply({ overlay: overlay(2) })
      const call = Effect.gen(function* () {
        let attempts = 0
        yield* Effect.suspend(() => {
          attempts++
          // Never enough failures in a row to open the circuit.
          return Effect.fail(new Errors.TransientAIError({ message: "down" }))
        }).pipe(withOperation("target", { key: String(Math.random()) }), Effect.exit)
        return attempts
      })
      const calls: Array<Fiber.Fiber<number>> = []
      for (let i = 0; i < 200; i++) {
        calls.push(yield* Effect.forkChild(call, { startImmediately: true }))
        if (i % 10 === 5) yield* configuration.apply({ overlay: overlay(i % 20 === 5 ? 4 : 2) })
        yield* TestClock.adjust("300 millis")
      }
      yield* TestClock.adjust("5 minutes")
      const attempts = yield* Effect.forEach(calls, Fiber.join)
      assert.deepStrictEqual(
        Array.from(new Set(attempts)).toSorted((a, b) => a - b),
        [2, 4]
      )
      const { counters } = Option.getOrThrow(yield* (yield* Registry).operation("target"))
      assert.strictEqual(counters.calls, 200)
      assert.strictEqual(counters.failed, 200)
    }).pipe(Effect.provide(configured()))
  )

  it.effect("is made by a reload when a stream says so", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(
        (yield* configuration.history).map(({ actor, kind }) => [actor, kind]),
        [
          ["system", "reload"],
          ["system", "reload"]
        ]
      )
    }).pipe(
      Effect.provide(
        Configuration.layerReload(Stream.make(1, 2).pipe(Stream.tap(() => Effect.sleep("1 second")))).pipe(
          Layer.provideMerge(configured())
        )
      )
    )
  )
})

describe("the configuration of the code", () => {
  const code = Configuration.layerCode.pipe(
    Layer.provideMerge(
      Resilience.layer(Preset.production, { overlay: { retryAttempts: 2 }, operations: ["translate"] })
    ),
    Layer.provideMerge(environment({ RESILIENCE_PRESET: "development", RETRY_MAX_ATTEMPTS: "9" }))
  )

  it.effect("is what the operations run with, and the environment has no say", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      const { preset, presetSource } = yield* configuration.current
      assert.deepStrictEqual([preset.key, presetSource], ["production", "code"])
      assert.deepStrictEqual(yield* inForce("retry_attempts"), [2, "code"])
      assert.deepStrictEqual(yield* inForce("circuit_breaker_threshold"), [10, "preset production"])
      assert.deepStrictEqual((yield* configuration.reload()).diff, [])
    }).pipe(Effect.provide(code))
  )

  it.effect("comes back when operators' changes are dropped", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      yield* configuration.apply({ preset: "simple" })
      assert.deepStrictEqual(yield* inForce("retry_attempts"), [3, "preset simple"])
      yield* configuration.reset()
      assert.deepStrictEqual(yield* inForce("retry_attempts"), [2, "code"])
      const { strategy } = Option.getOrThrow(yield* (yield* Registry).operation("translate"))
      assert.strictEqual(strategy, "conservative")
    }).pipe(Effect.provide(code))
  )
})
