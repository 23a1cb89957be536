import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, type Duration, Effect, Exit, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import {
  Bulkhead,
  CircuitBreaker,
  Configuration,
  CustomConfig,
  Description,
  Errors,
  Policies,
  Preset,
  RateLimiter,
  Registry,
  Resilience,
  RetryBudget,
  Settings,
  Strategy,
  Validation,
  withOperation,
  withResilience
} from "breakwater"

const resolve = (overlay: Preset.OverlayInput, own?: Strategy.Strategy | Strategy.BuiltIn) =>
  Preset.resolve(Preset.simple, overlay, "any", own, Policies.makers).strategy.settings

const configured = (variables: Record<string, string> = {}) =>
  Configuration.layer().pipe(
    Layer.provideMerge(Layer.succeed(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables)))
  )

const apply = (overlay: Preset.OverlayInput) =>
  Effect.flatMap(Configuration.Configuration, (configuration) => configuration.apply({ overlay }))

const operation = (name: string) =>
  Effect.flatMap(Registry, (resilience) => Effect.map(resilience.operation(name), Option.getOrThrow))

const reasonOf = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit)
    ? "ok"
    : Option.match(Exit.findErrorOption(exit), {
        onNone: () => "defect",
        onSome: (error) => (error as { readonly reason: { readonly _tag: string } }).reason._tag
      })

const down = new Errors.InfrastructureError({ message: "down" })

describe("a bulkhead of an overlay", () => {
  it("is put on a strategy without one, with and without a queue", () => {
    assert.deepStrictEqual(resolve({ bulkheadMaxConcurrent: 7 }).bulkhead, Bulkhead.settings({ maxConcurrent: 7 }))
    assert.deepStrictEqual(
      resolve({ bulkheadMaxConcurrent: 7, bulkheadMaxQueue: 3, bulkheadMaxWait: "2 seconds" }, "critical").bulkhead,
      Bulkhead.settings({ maxConcurrent: 7, maxQueue: 3, maxWait: "2 seconds" })
    )
  })

  it("is not made of a queue alone", () => {
    assert.isFalse(resolve({ bulkheadMaxQueue: 3, bulkheadMaxWait: "2 seconds" }).bulkhead)
  })

  it("keeps what the strategy says and the overlay does not", () => {
    const bulkhead = Bulkhead.settings({
      maxConcurrent: 2,
      maxQueue: 5,
      maxWait: "1 second",
      order: "lifo",
      perKey: true
    })
    const own = Strategy.make("own", { bulkhead })
    const queued = resolve({ bulkheadMaxQueue: 9 }, own).bulkhead
    assert.deepStrictEqual(
      queued,
      Bulkhead.settings({ maxConcurrent: 2, maxQueue: 9, maxWait: "1 second", order: "lifo", perKey: true })
    )
    assert.strictEqual(resolve({ retryAttempts: 2 }, own).bulkhead, bulkhead)
  })

  it("has no queue where one of its two halves is missing", () => {
    for (const half of [{ bulkheadMaxQueue: 3 }, { bulkheadMaxWait: "2 seconds" }] as const) {
      const made = resolve({ bulkheadMaxConcurrent: 7, ...half }).bulkhead
      assert.deepStrictEqual(made, Bulkhead.settings({ maxConcurrent: 7 }))
    }
    const own = Strategy.make("own", { bulkhead: Bulkhead.settings({ maxQueue: 5, maxWait: "1 second" }) })
    assert.deepStrictEqual(resolve({ bulkheadMaxQueue: 0 }, own).bulkhead, Bulkhead.settings())
  })
})

describe("a rate limit of an overlay", () => {
  for (const slot of ["admission", "quota"] as const) {
    const fields = (limit?: number, window?: Duration.Input): Preset.OverlayInput => ({
      [`${slot}Limit`]: limit,
      [`${slot}Window`]: window
    })

    it(`is put on as ${slot}, by its limit and not by its window`, () => {
      assert.deepStrictEqual(resolve(fields(5))[slot], RateLimiter.settings({ limit: 5, window: "1 second" }))
      assert.deepStrictEqual(
        resolve(fields(5, "1 minute"))[slot],
        RateLimiter.settings({ limit: 5, window: "1 minute" })
      )
      assert.isFalse(resolve(fields(undefined, "1 minute"))[slot])
      assert.isFalse(resolve(fields(5))[slot === "quota" ? "admission" : "quota"])
    })

    it(`keeps as ${slot} what the strategy says and the overlay does not`, () => {
      const stated = { algorithm: "token-bucket", burst: 3, onExceeded: "wait", maxWait: "7 seconds" } as const
      const own = Strategy.make("own", { [slot]: RateLimiter.settings({ ...stated, limit: 10 }) })
      assert.deepStrictEqual(
        resolve(fields(20, "1 hour"), own)[slot],
        RateLimiter.settings({ ...stated, limit: 20, window: "1 hour" })
      )
    })
  }

  it("is never more than its algorithm can count", () => {
    const limitOf = (algorithm: RateLimiter.Algorithm, overlay: Preset.OverlayInput) => {
      const { quota } = resolve(overlay, Strategy.make("own", { quota: RateLimiter.settings({ algorithm }) }))
      return quota && quota.limit
    }
    assert.strictEqual(limitOf("gcra", { quotaLimit: 1_000_000 }), 1_000_000)
    assert.strictEqual(limitOf("gcra", { quotaLimit: 1_000_000, quotaWindow: "100 millis" }), 100_000)
    assert.strictEqual(limitOf("sliding-log", { quotaLimit: 1_000_000 }), 100_000)
    assert.strictEqual(limitOf("token-bucket", { quotaLimit: 1_000_000, quotaWindow: "100 millis" }), 1_000_000)
  })
})

describe("a retry budget of an overlay", () => {
  it("is put on where there are retries, by its ratio", () => {
    assert.deepStrictEqual(
      resolve({ retryBudgetRatio: 0.1, retryBudgetMinPerSecond: 0 }).retryBudget,
      RetryBudget.settings({ ratio: 0.1, minPerSecond: 0 })
    )
    assert.isFalse(resolve({ retryBudgetMinPerSecond: 3 }).retryBudget)
    assert.isFalse(resolve({ retryBudgetRatio: 0.1 }, Strategy.make("once", { retry: false })).retryBudget)
  })

  it("stays that of the dependency", () => {
    const own = Strategy.make("own", { retryBudget: RetryBudget.settings({ dependency: "model", ratio: 0.5 }) })
    assert.deepStrictEqual(
      resolve({ retryBudgetMinPerSecond: 3 }, own).retryBudget,
      RetryBudget.settings({ dependency: "model", ratio: 0.5, minPerSecond: 3 })
    )
  })
})

describe("the share of failures of an overlay", () => {
  const policyOf = (overlay: Preset.OverlayInput, own?: Strategy.Strategy) => {
    const { circuitBreaker } = resolve(overlay, own)
    return circuitBreaker && circuitBreaker.tripPolicy
  }

  it("takes the place of failures in a row, also beside them", () => {
    const window = CircuitBreaker.timeWindow({ rate: 0.25, duration: "30 seconds", minimumCalls: 20 })
    const overlay = {
      circuitBreakerFailureRate: 0.25,
      circuitBreakerWindow: "30 seconds",
      circuitBreakerMinimumCalls: 20
    } as const
    assert.deepStrictEqual(policyOf(overlay), window)
    assert.deepStrictEqual(policyOf({ ...overlay, circuitBreakerThreshold: 3 }), window)
    assert.deepStrictEqual(policyOf({ circuitBreakerFailureRate: 0.1 }), CircuitBreaker.timeWindow({ rate: 0.1 }))
  })

  it("is not made of its window alone, nor for a strategy without a circuit", () => {
    assert.isUndefined(policyOf({ circuitBreakerWindow: "30 seconds", circuitBreakerMinimumCalls: 20 }))
    assert.isFalse(policyOf({ circuitBreakerFailureRate: 0.1 }, Strategy.make("own", { circuitBreaker: false })))
  })

  it("refines the window of a strategy, which failures in a row take over from", () => {
    const tripPolicy = CircuitBreaker.timeWindow({ rate: 0.3, buckets: 5 })
    const own = Strategy.make("own", { circuitBreaker: { tripPolicy } })
    assert.deepStrictEqual(
      policyOf({ circuitBreakerWindow: "10 seconds" }, own),
      CircuitBreaker.timeWindow({ rate: 0.3, buckets: 5, duration: "10 seconds" })
    )
    assert.deepStrictEqual(policyOf({ retryAttempts: 2 }, own), tripPolicy)
    assert.isUndefined(policyOf({ circuitBreakerThreshold: 4, circuitBreakerWindow: "10 seconds" }, own))
  })
})

describe("policies of an overlay", () => {
  const all: Preset.OverlayInput = {
    bulkheadMaxConcurrent: 7,
    admissionLimit: 5,
    quotaLimit: 5,
    retryBudgetRatio: 0.1,
    circuitBreakerFailureRate: 0.5
  }

  it("are the same objects as long as their numbers are the same", () => {
    const [first, second] = [resolve({ ...all }), resolve({ ...all }, "critical")]
    for (const slot of ["bulkhead", "admission", "quota", "retryBudget"] as const) {
      assert.isNotFalse(first[slot])
      assert.strictEqual(first[slot], second[slot])
    }
    assert.strictEqual(first.admission, first.quota)
    assert.notStrictEqual(resolve({ ...all, admissionLimit: 6 }).admission, first.admission)
    assert.notStrictEqual(resolve({ ...all, admissionWindow: "2 seconds" }).admission, first.admission)
  })

  it("leave a policy of another class alone", () => {
    const foreign = { placeUnsafe: () => assert.fail("nothing is started"), keepUnsafe: () => assert.fail() } as never
    const own = Strategy.make("own", { bulkhead: foreign, admission: foreign, quota: foreign, retryBudget: foreign })
    const settings = resolve(all, own)
    for (const slot of ["bulkhead", "admission", "quota", "retryBudget"] as const)
      assert.strictEqual(settings[slot], foreign)
    assert.deepStrictEqual(Object.keys(Policies.numbersOf(settings)), [
      "circuitBreakerFailureRate",
      "circuitBreakerWindow",
      "circuitBreakerMinimumCalls"
    ])
  })

  it("come back as the numbers that they were made of", () => {
    const stated = Preset.overlay({
      bulkheadMaxConcurrent: 7,
      bulkheadMaxQueue: 3,
      bulkheadMaxWait: "2 seconds",
      admissionLimit: 5,
      admissionWindow: "3 seconds",
      quotaLimit: 6,
      quotaWindow: "4 seconds",
      retryBudgetRatio: 0.1,
      retryBudgetMinPerSecond: 2,
      circuitBreakerFailureRate: 0.5,
      circuitBreakerWindow: "9 seconds",
      circuitBreakerMinimumCalls: 11
    })
    assert.deepStrictEqual<object>(Policies.numbersOf(resolve(stated)), Object.assign({}, stated))
    assert.deepStrictEqual(Policies.numbersOf(resolve({})), {})
  })

  it.effect("are refused without makers, with field, rule and fix", () =>
    Effect.gen(function* () {
      const refused = (run: () => unknown) => {
        try {
          run()
        } catch (error) {
          assert.instanceOf(error, Settings.InvalidSettings)
          assert.deepStrictEqual(
            error.findings.map(({ path, value }) => [path, value]),
            [
              ["bulkheadMaxConcurrent", 3],
              ["quotaLimit", 4]
            ]
          )
          return assert.include(error.message, "bulkheadMaxConcurrent: expected makers for the policy; pass { makers")
        }
        return assert.fail("nothing was thrown")
      }
      const overlay = { bulkheadMaxConcurrent: 3, quotaLimit: 4, retryAttempts: 2 }
      refused(() => Resilience.layer(Preset.simple, { overlay }))
      refused(() => Preset.resolve(Preset.simple, overlay, "any"))
      yield* Effect.gen(function* () {
        const { configuration, configure } = yield* Registry
        const exit = yield* Effect.exit(configure((current) => ({ ...current, overlay: Preset.overlay(overlay) })))
        assert.strictEqual(Exit.isFailure(exit), true)
        assert.deepInclude(yield* configuration, { version: 0, overlay: Preset.overlay({}) })
        yield* configure((current) => ({ ...current, overlay: Preset.overlay(overlay), makers: Policies.makers }))
        yield* Effect.void.pipe(withOperation("t"))
        assert.strictEqual((yield* operation("t")).bulkheads[0]?.limit, 3)
      }).pipe(Effect.provide(Resilience.layer()))
    })
  )
})

describe("a bulkhead of the configuration", () => {
  it.effect("is resized at once, keeps who is inside, and is gone with its field", () =>
    Effect.gen(function* () {
      yield* apply({ bulkheadMaxConcurrent: 2 })
      const call = Effect.sleep("1 second").pipe(withOperation("t"))
      const start = Effect.forkChild(call, { startImmediately: true })
      const inside = [yield* start, yield* start]
      assert.strictEqual(reasonOf(yield* Effect.exit(call)), "BulkheadFull")

      yield* apply({ bulkheadMaxConcurrent: 3 })
      assert.deepInclude((yield* operation("t")).bulkheads[0], { active: 2, limit: 3 })
      inside.push(yield* start)
      assert.strictEqual(reasonOf(yield* Effect.exit(call)), "BulkheadFull")

      yield* apply({ bulkheadMaxConcurrent: 1 })
      assert.deepInclude((yield* operation("t")).bulkheads[0], { active: 3, limit: 1 })
      yield* apply({ bulkheadMaxConcurrent: 4, bulkheadMaxQueue: 1, bulkheadMaxWait: "5 seconds" })
      inside.push(yield* start, yield* start)
      assert.deepInclude((yield* operation("t")).bulkheads[0], { active: 4, queued: 1 })

      yield* apply({})
      assert.isFalse((yield* operation("t")).settings.bulkhead)
      inside.push(yield* start, yield* start)
      yield* TestClock.adjust("2 seconds")
      for (const fiber of inside) assert.isTrue(Exit.isSuccess(yield* Fiber.await(fiber)))
      assert.deepInclude((yield* operation("t")).bulkheads[0], { active: 0, queued: 0 })
      assert.deepInclude((yield* operation("t")).bulkheads[0]?.counters, { admitted: 5, rejected: 2 })
    }).pipe(Effect.provide(configured()))
  )
})

describe("a rate limit of the configuration", () => {
  it.effect("keeps its count when it changes, and is gone with its field", () =>
    Effect.gen(function* () {
      const call = Effect.void.pipe(withOperation("t"), Effect.exit, Effect.map(reasonOf))
      yield* apply({ quotaLimit: 3, quotaWindow: "1 hour" })
      assert.deepStrictEqual([yield* call, yield* call, yield* call], ["ok", "ok", "ok"])
      assert.strictEqual(yield* call, "RateLimitExceeded")

      yield* apply({ quotaLimit: 4, quotaWindow: "1 hour" })
      assert.deepStrictEqual([yield* call, yield* call], ["ok", "RateLimitExceeded"])
      // Nothing about it changes.
      yield* apply({ quotaLimit: 4, quotaWindow: "1 hour", retryAttempts: 2 })
      assert.strictEqual(yield* call, "RateLimitExceeded")
      assert.deepInclude(Option.getOrThrow((yield* operation("t")).quota).counters, { granted: 4, refused: 3 })

      yield* apply({})
      assert.strictEqual(yield* call, "ok")
    }).pipe(Effect.provide(configured()))
  )

  it.effect("counts a call once as admission, and each attempt as quota", () =>
    Effect.gen(function* () {
      yield* apply({ admissionLimit: 10, quotaLimit: 10, retryAttempts: 3, jitterEnabled: false })
      const call = Effect.fail(down).pipe(withOperation("t", { classify: () => "transient" }), Effect.exit)
      const fiber = yield* Effect.forkChild(call, { startImmediately: true })
      yield* TestClock.adjust("1 minute")
      yield* Fiber.join(fiber)
      const { admission, quota } = yield* operation("t")
      assert.strictEqual(Option.getOrThrow(admission).counters.granted, 1)
      assert.strictEqual(Option.getOrThrow(quota).counters.granted, 3)
    }).pipe(Effect.provide(configured()))
  )
})

describe("a retry budget of the configuration", () => {
  it.effect("limits retries from the next call on, and keeps what it counts", () =>
    Effect.gen(function* () {
      const attempts = Effect.gen(function* () {
        let count = 0
        const call = Effect.suspend(() => {
          count++
          return Effect.fail(down)
        }).pipe(withOperation("t", { key: "k", classify: () => "transient" }), Effect.exit)
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* TestClock.adjust("2 seconds")
        yield* Fiber.join(fiber)
        return count
      })
      const fields = {
        jitterEnabled: false,
        circuitBreakerThreshold: 20,
        exponentialMultiplier: "100 millis",
        exponentialMin: "500 millis"
      } as const
      yield* apply({ ...fields, retryBudgetRatio: 0.01, retryBudgetMinPerSecond: 0.1 })
      assert.strictEqual(yield* attempts, 2)
      yield* apply({ ...fields, retryBudgetRatio: 0.01, retryBudgetMinPerSecond: 0 })
      assert.strictEqual(yield* attempts, 1)
      const budget = Option.getOrThrow((yield* operation("t")).retryBudget)
      assert.deepInclude(budget, { used: 1 })
      yield* apply(fields)
      assert.strictEqual(yield* attempts, 3)
    }).pipe(Effect.provide(configured()))
  )
})

describe("a share of failures of the configuration", () => {
  const fail = Effect.fail(down).pipe(withOperation("t"), Effect.exit)
  const state = Effect.gen(function* () {
    const circuit = Option.getOrThrow(yield* (yield* Registry).circuit("t"))
    return (yield* CircuitBreaker.snapshot(circuit)).state
  })
  const fields = { retryAttempts: 1, circuitBreakerFailureRate: 0.5, circuitBreakerMinimumCalls: 6 } as const

  it.effect("opens circuits in place of failures in a row, and keeps its window when nothing about it changes", () =>
    Effect.gen(function* () {
      yield* apply(fields)
      for (let i = 0; i < 5; i++) yield* fail
      assert.strictEqual(yield* state, "closed")
      yield* apply({ ...fields, attemptTimeout: "3 seconds" })
      yield* fail
      assert.strictEqual(yield* state, "open")
    }).pipe(Effect.provide(configured()))
  )

  it.effect("gives way to failures in a row that a stronger source states", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      const inForce = Effect.map(configuration.current, ({ effective }) =>
        effective
          .filter(({ field }) => field.startsWith("circuit_breaker"))
          .map(({ source, value }) => `${String(value)} ${source}`)
      )
      assert.deepStrictEqual(yield* inForce, [
        "4 CIRCUIT_BREAKER_FAILURE_THRESHOLD",
        "0.5 RESILIENCE_CUSTOM_CONFIG",
        "60 RESILIENCE_CUSTOM_CONFIG",
        "10 preset simple"
      ])
      yield* apply({ circuitBreakerThreshold: 3 })
      assert.deepStrictEqual(yield* inForce, [
        "3 runtime",
        "undefined preset simple",
        "undefined preset simple",
        "undefined preset simple"
      ])
      for (let i = 0; i < 3; i++) yield* fail
      assert.strictEqual(yield* state, "open")
    }).pipe(
      Effect.provide(
        configured({
          CIRCUIT_BREAKER_FAILURE_THRESHOLD: "4",
          RESILIENCE_CUSTOM_CONFIG:
            '{"retry_attempts":1,"circuit_breaker_failure_rate":0.5,"circuit_breaker_window_seconds":60}'
        })
      )
    )
  )
})

describe("the configuration in force", () => {
  it.effect("has the numbers of policies, and those that wait for one, with their sources", () =>
    Effect.gen(function* () {
      const inForce = Effect.gen(function* () {
        const { effective } = yield* (yield* Configuration.Configuration).current
        return Object.fromEntries(effective.map(({ field, source, value }) => [field, `${String(value)} ${source}`]))
      })
      assert.deepInclude(yield* inForce, {
        bulkhead_max_concurrent: "5 RESILIENCE_CUSTOM_CONFIG",
        bulkhead_max_queue: "0 preset simple",
        admission_limit: "undefined preset simple",
        admission_window: "60 RESILIENCE_CUSTOM_CONFIG"
      })
      const { diff } = yield* apply({ bulkheadMaxConcurrent: 6 })
      assert.deepStrictEqual(diff, [{ field: "bulkhead_max_concurrent", from: 5, to: 6 }])
      // The window is for those strategies that have a limit.
      const own = Strategy.make("own", { admission: RateLimiter.settings({ limit: 1 }) })
      const call = Effect.void.pipe(withResilience(own), Effect.exit, Effect.map(reasonOf))
      assert.strictEqual(yield* call, "ok")
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual(yield* call, "RateLimitExceeded")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* call, "ok")
    }).pipe(
      Effect.provide(configured({ RESILIENCE_CUSTOM_CONFIG: '{"bulkhead_max_concurrent":5,"admission_window":60}' }))
    )
  )

  it.effect("of the code has policies too, once they are wished for", () =>
    Effect.gen(function* () {
      yield* apply({ bulkheadMaxConcurrent: 2 })
      yield* Effect.void.pipe(withOperation("t"))
      assert.strictEqual((yield* operation("t")).bulkheads[0]?.limit, 2)
    }).pipe(Effect.provide(Configuration.layerCode.pipe(Layer.provideMerge(Resilience.layer()))))
  )
})

describe("every configuration that is valid", () => {
  const mulberry32 = (seed: number) => () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  it("goes over every strategy, and then says what it stated (seed 12)", () => {
    const random = mulberry32(12)
    const { definitions } = CustomConfig.jsonSchema()
    const { properties } = definitions["CustomConfigEncoded"] as unknown as {
      readonly properties: Readonly<
        Record<string, { readonly type: string; readonly minimum?: number; readonly maximum?: number }>
      >
    }
    const numeric = Object.entries(properties).flatMap(([name, { maximum, minimum, type }]) =>
      minimum === undefined || maximum === undefined ? [] : [{ name, minimum, maximum, type }]
    )
    const value = ({ maximum, minimum, type }: (typeof numeric)[number]): number => {
      const at = random()
      const between = at < 0.2 ? minimum : at > 0.8 ? maximum : minimum + random() * (maximum - minimum)
      return type === "integer" ? Math.round(between) : between
    }
    const limits = (["gcra", "token-bucket", "sliding-log", "sliding-counter", "fixed-window"] as const).map(
      (algorithm) => RateLimiter.settings({ algorithm, limit: 2, window: "1 milli" })
    )
    const strategies = [
      ...Object.values(Strategy.builtIn),
      Strategy.make("bare", { retry: false, circuitBreaker: false, timeout: false }),
      ...limits.map((limit, at) =>
        Strategy.make("limited", {
          bulkhead: Bulkhead.settings(
            at % 2 === 0 ? { maxQueue: 3, maxWait: "1 hour", order: "lifo" } : { perKey: true }
          ),
          admission: limit,
          quota: limit,
          retryBudget: RetryBudget.settings({ form: at % 2 === 0 ? "window" : "in_flight", dependency: "model" }),
          circuitBreaker: {
            tripPolicy: at % 2 === 0 ? CircuitBreaker.timeWindow({ minimumCalls: 3 }) : CircuitBreaker.countWindow()
          }
        })
      )
    ]
    let made = 0
    for (let run = 0; run < 1_000; run++) {
      const json = Object.fromEntries(
        numeric.filter(() => random() < 0.4).map((field) => [field.name, value(field)] as const)
      )
      const validation = Validation.validate({ retry_attempts: 3, ...json })
      if (Option.isNone(validation.value)) {
        assert.include(
          validation.findings.map(({ code }) => code),
          "exp_bounds",
          JSON.stringify(json)
        )
        continue
      }
      const overlay = validation.value.value
      for (const strategy of strategies) {
        const settings = resolve(overlay, strategy)
        Description.describe({ ...strategy, settings })
        const numbers = Policies.numbersOf(settings)
        for (const field of ["bulkheadMaxConcurrent", "admissionWindow", "quotaWindow", "retryBudgetRatio"] as const) {
          if (numbers[field] === undefined || overlay[field] === undefined) continue
          made++
          assert.deepStrictEqual(numbers[field], overlay[field])
        }
        // A limit that is cut is one of the two kinds that have a most.
        const { admission } = settings
        if (admission && overlay.admissionLimit !== undefined && admission.limit !== overlay.admissionLimit) {
          assert.include(["gcra", "sliding-log"], admission.algorithm)
          assert.isBelow(admission.limit, overlay.admissionLimit)
        }
        // The same numbers again are the same policies.
        const again = resolve(overlay, strategy)
        for (const slot of ["bulkhead", "admission", "quota", "retryBudget"] as const)
          assert.strictEqual(again[slot], settings[slot])
      }
    }
    assert.isAbove(made, 1_000)
  })
})
