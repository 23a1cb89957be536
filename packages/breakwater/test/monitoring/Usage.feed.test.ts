import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, DateTime, Duration, Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Configuration, Preset, Resilience, ResilienceEvent, Strategy, withOperation, withResilience } from "breakwater"
import * as Alerts from "../../src/monitoring/Alerts.ts"
import * as Monitoring from "../../src/monitoring/Monitoring.ts"
import * as Usage from "../../src/monitoring/Usage.ts"

const environment = (variables: Record<string, string>) =>
  Layer.succeed(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables))

const monitored = (variables: Record<string, string> = {}) =>
  Monitoring.layerConfiguration(Configuration.layer()).pipe(Layer.provideMerge(environment(variables)))

const recorded = Effect.gen(function* () {
  const metrics = yield* (yield* Usage.Usage).metrics()
  return metrics.map(({ metricType, operation, presetName, value }) =>
    metricType === "config_load"
      ? `config_load ${presetName} ${operation}`
      : `${metricType} ${presetName} ${operation} ${value}`
  )
})

describe("the first load of a configuration", () => {
  const cases: ReadonlyArray<readonly [type: string, variables: Record<string, string>]> = [
    ["preset", { RESILIENCE_PRESET: "production" }],
    ["custom", { RESILIENCE_PRESET: "production", RESILIENCE_CUSTOM_CONFIG: '{"retry_attempts":4}' }],
    ["legacy", { RETRY_MAX_ATTEMPTS: "4" }]
  ]
  for (const [type, variables] of cases) {
    it.effect(`is one load of type ${type}, and no use of a preset`, () =>
      Effect.gen(function* () {
        const usage = yield* Usage.Usage
        const [load, ...more] = yield* usage.metrics()
        assert.deepStrictEqual(more, [])
        assert.deepStrictEqual([load?.metricType, load?.metadata["config_type"]], ["config_load", type])
        const { statistics } = yield* usage.usageStatistics()
        assert.deepStrictEqual(
          [statistics.totalLoads, statistics.customConfigUsageRate, statistics.legacyConfigUsageRate],
          [1, type === "custom" ? 1 : 0, type === "legacy" ? 1 : 0]
        )
        assert.deepStrictEqual(statistics.presetUsageCount, {})
      }).pipe(Effect.provide(monitored(variables)))
    )
  }

  it.effect("that fails is an error, for whoever keeps the log", () =>
    Effect.gen(function* () {
      const broken = Monitoring.watch(Configuration.layer()).pipe(
        Layer.provide(environment({ RESILIENCE_PRESET: "nothing" }))
      )
      const error = yield* Effect.flip(Effect.scoped(Layer.build(broken)))
      assert.strictEqual(error._tag, "InvalidConfiguration")
      assert.deepStrictEqual(yield* recorded, ["config_error unknown load_config 1"])
    }).pipe(Effect.provide(Usage.layer()))
  )
})

describe("later changes", () => {
  it.effect("are loads, validations and changes, each once", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      yield* configuration.apply({ preset: "production", actor: "ada", reason: "launch" })
      yield* TestClock.adjust("1 second")
      yield* configuration.reload()
      yield* configuration.rollback(1)
      yield* configuration.reset()
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* recorded, [
        "config_load simple load_config",
        "config_load production apply",
        "validation_event production apply 1",
        "config_change production config_change 1",
        "config_load production reload",
        "validation_event production reload 1",
        "config_load simple rollback",
        "config_load simple reset",
        // Neither the reload nor the reset made a difference.
        "config_change simple config_change 1"
      ])
      const change = (yield* (yield* Usage.Usage).metrics()).find(({ metricType }) => metricType === "config_change")
      assert.deepStrictEqual(change?.metadata["from"], "simple")
      assert.deepStrictEqual(change?.metadata["to"], "production")
      assert.deepStrictEqual([change?.metadata["actor"], change?.metadata["reason"]], ["ada", "launch"])
    }).pipe(Effect.provide(monitored()))
  )

  it.effect("that are refused are errors and failed validations, and a dry run is a validation only", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      yield* Effect.flip(configuration.apply({ preset: "nothing" }))
      yield* Effect.flip(configuration.apply({ preset: "production", ifVersion: 9 }))
      yield* Effect.flip(configuration.rollback(7))
      yield* Effect.flip(configuration.apply({ preset: "nothing", dryRun: true }))
      yield* configuration.apply({ preset: "production", dryRun: true })
      assert.deepStrictEqual((yield* recorded).slice(1), [
        "config_error simple apply 1",
        "validation_event simple apply 0",
        "validation_event simple apply 0",
        "validation_event simple apply 1"
      ])
      assert.strictEqual((yield* configuration.current).preset.key, "simple")
    }).pipe(Effect.provide(monitored()))
  )

  it.effect("belong to the session of the caller", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      yield* configuration
        .apply({ preset: "production" })
        .pipe(Effect.provideService(Usage.Caller, { sessionId: "s-1", userContext: "ada" }))
      const { metrics } = yield* (yield* Usage.Usage).session("s-1")
      assert.deepStrictEqual(
        metrics.map(({ metricType }) => metricType),
        ["config_load", "validation_event"]
      )
    }).pipe(Effect.provide(monitored()))
  )
})

describe("calls", () => {
  const call = (operation: string, times: number) =>
    Effect.repeat(Effect.void.pipe(withOperation(operation)), { times: times - 1 })

  it.effect("are the use of the preset that was in force", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      const usage = yield* Usage.Usage
      yield* call("search", 5)
      yield* call("payments", 2)
      yield* TestClock.adjust("1 minute")
      yield* call("search", 3)
      yield* configuration.apply({ preset: "production" })
      yield* TestClock.adjust(0)
      yield* call("search", 4)
      yield* TestClock.adjust("1 minute")
      const { statistics } = yield* usage.usageStatistics()
      assert.deepStrictEqual(statistics.presetUsageCount, { simple: 10, production: 4 })
      assert.deepStrictEqual([statistics.mostUsedPreset, statistics.leastUsedPreset], ["simple", "production"])
      assert.strictEqual((yield* usage.presetTrend("simple", 1)).summary.totalUsage, 10)
      const first = (yield* usage.metrics()).find(({ metricType }) => metricType === "preset_usage")
      assert.deepStrictEqual(first?.metadata, { operations: 2, most_called: { search: 5, payments: 2 } })
    }).pipe(Effect.provide(monitored()))
  )

  it.effect("are counted once, although nobody calls in between", () =>
    Effect.gen(function* () {
      yield* call("search", 5)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* recorded, ["preset_usage development calls 5"])
    }).pipe(Effect.provide(Monitoring.layer().pipe(Layer.provideMerge(Resilience.layer(Preset.development)))))
  )

  it.effect("of an operation that was forgotten and begins again are counted from 0", () =>
    Effect.gen(function* () {
      yield* call("search", 5)
      yield* TestClock.adjust("1 minute")
      yield* call("payments", 1)
      yield* call("search", 2)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* recorded, ["preset_usage simple calls 5", "preset_usage simple calls 2"])
    }).pipe(
      Effect.provide(Monitoring.layer().pipe(Layer.provideMerge(Resilience.layer(Preset.simple, { maxOperations: 1 }))))
    )
  )

  it.effect("that open circuits are told by operation", () =>
    Effect.gen(function* () {
      const fragile = Strategy.make("fragile", { retry: false, circuitBreaker: { failureThreshold: 1 } })
      for (const key of ["a", "b", "c"]) {
        yield* Effect.exit(Effect.fail("down").pipe(withResilience(fragile, { operation: "payments", key })))
      }
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* recorded, ["preset_usage simple calls 3", "performance_event simple payments 3"])
    }).pipe(Effect.provide(Monitoring.layer().pipe(Layer.provideMerge(Resilience.layer()))))
  )
})

describe("a cleanup", () => {
  it.effect("forgets events and alerts alike", () =>
    Effect.gen(function* () {
      const usage = yield* Usage.Usage
      yield* usage.recordLoad("simple", "1 second")
      yield* TestClock.adjust("2 hours")
      yield* usage.recordLoad("simple", "1 second")
      yield* (yield* Alerts.Alerts).look
      const cleanup = yield* Monitoring.cleanup(1)
      assert.deepStrictEqual(Schema.encodeSync(Monitoring.Cleanup)(cleanup), {
        cleanup_threshold_hours: 1,
        metrics_removed: 1,
        alerts_removed: 1,
        metrics_remaining: 1,
        alerts_remaining: 1,
        cleanup_timestamp: "1970-01-01T02:00:00.000Z"
      })
      assert.strictEqual((yield* Effect.flip(Monitoring.cleanup(0)))._tag, "OutOfRange")
    }).pipe(Effect.provide(Monitoring.layer().pipe(Layer.provideMerge(Resilience.layer()))))
  )
})

describe("openings of circuits", () => {
  it.effect("are counted, every one of a burst", () =>
    Effect.gen(function* () {
      const { publishUnsafe } = yield* ResilienceEvent.ResilienceEvents
      const fragile = Strategy.make("fragile", { retry: false, circuitBreaker: { failureThreshold: 1 } })
      yield* Effect.exit(Effect.fail("down").pipe(withResilience(fragile, { operation: "payments" })))
      for (let index = 0; index < 600; index++) {
        publishUnsafe({
          _tag: "CircuitOpened",
          operation: "search",
          key: `tenant-${index}`,
          at: DateTime.makeUnsafe(0),
          version: 1,
          from: "closed",
          because: "failures",
          failures: 1,
          error: undefined,
          openFor: Duration.seconds(1)
        })
      }
      yield* TestClock.adjust("1 minute")
      const events = (yield* recorded).filter((event) => event.startsWith("performance_event"))
      assert.deepStrictEqual(events, ["performance_event simple payments 1", "performance_event simple search 600"])
    }).pipe(Effect.provide(Monitoring.layer().pipe(Layer.provideMerge(Resilience.layer(Preset.simple)))))
  )
})
