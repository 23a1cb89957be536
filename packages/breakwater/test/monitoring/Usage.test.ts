import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Settings } from "breakwater"
import * as Usage from "../../src/monitoring/Usage.ts"

const hour = 3_600_000

const using = <A, E>(
  use: (usage: Usage.Usage["Service"]) => Effect.Effect<A, E>,
  settings?: Usage.SettingsInput
): Effect.Effect<A, E> => Effect.flatMap(Usage.Usage, use).pipe(Effect.provide(Usage.layer(settings)))

describe("settings", () => {
  const cases: ReadonlyArray<readonly [input: Usage.SettingsInput, path: string | undefined]> = [
    [{}, undefined],
    [{ maxEvents: 1000, retention: "1 hour" }, undefined],
    [{ maxEvents: 100_000, retention: "168 hours" }, undefined],
    [{ maxEvents: 50_000, retention: "48 hours" }, undefined],
    [{ maxEvents: 999 }, "maxEvents"],
    [{ maxEvents: 100_001 }, "maxEvents"],
    [{ maxEvents: 1000.5 }, "maxEvents"],
    [{ maxEvents: Number.NaN }, "maxEvents"],
    [{ retention: "59 minutes" }, "retention"],
    [{ retention: "169 hours" }, "retention"],
    [{ retention: Number.NaN }, "retention"],
    [{ maxSessions: 0 }, "maxSessions"]
  ]
  for (const [input, path] of cases) {
    const text = Object.entries(input)
      .map(([name, value]) => `${name} ${String(value)}`)
      .join(", ")
    it(`${path === undefined ? "take" : "refuse"} ${text || "nothing"}`, () => {
      if (path === undefined) Usage.layer(input)
      else {
        try {
          Usage.layer(input)
          assert.fail("not refused")
        } catch (error) {
          assert.instanceOf(error, Settings.InvalidSettings)
          assert.isTrue(error.findings.every((finding) => finding.path === path))
        }
      }
    })
  }

  it("have the defaults of the original", () => {
    const { maxEvents, retention } = Usage.settings()
    assert.strictEqual(maxEvents, 10_000)
    assert.strictEqual(Duration.toHours(retention), 24)
  })
})

describe("windows", () => {
  for (const hours of [0, -1, 1.5, 8761, Number.NaN, Infinity, 1e9]) {
    it.effect(`of ${hours} hours are refused by every question`, () =>
      using((usage) =>
        Effect.gen(function* () {
          const questions: ReadonlyArray<Effect.Effect<unknown, Usage.OutOfRange>> = [
            usage.usageStatistics(hours),
            usage.presetTrend("simple", hours),
            usage.performance(hours),
            usage.metrics(hours),
            usage.clearOlderThan(hours)
          ]
          for (const question of questions) {
            const error = yield* Effect.flip(question)
            assert.strictEqual(error._tag, "OutOfRange")
            assert.deepStrictEqual([error.parameter, error.minimum, error.maximum], ["hours", 1, 8760])
          }
        })
      )
    )
  }

  it.effect("are respected, whatever was asked before", () =>
    using((usage) =>
      Effect.gen(function* () {
        yield* usage.recordLoad("simple", "10 millis")
        yield* TestClock.adjust("2 hours")
        yield* usage.recordLoad("simple", "30 millis")
        const loads = (hours: number) =>
          Effect.map(usage.usageStatistics(hours), ({ statistics }) => statistics.totalLoads)
        assert.deepStrictEqual([yield* loads(24), yield* loads(1), yield* loads(2), yield* loads(3)], [2, 1, 1, 2])
        assert.strictEqual((yield* usage.performance(1)).performanceMetrics.avgLoadTimeMs, 30)
        assert.strictEqual((yield* usage.metrics(2)).length, 1)
      })
    )
  )
})

describe("statistics", () => {
  interface Case {
    readonly of: string
    readonly loads?: ReadonlyArray<readonly [preset: string, millis: number, type?: Usage.ConfigType]>
    readonly errors?: number
    readonly usage?: ReadonlyArray<readonly [preset: string, calls: number]>
    readonly statistics: Partial<Usage.UsageStatistics["statistics"]>
    readonly summary: Usage.UsageStatistics["summary"]
  }
  const well = { healthy: true, performanceGood: true, presetAdoption: 1 }
  const cases: ReadonlyArray<Case> = [
    {
      of: "nothing",
      statistics: {
        totalLoads: 0,
        presetUsageCount: {},
        errorRate: 0,
        avgLoadTimeMs: 0,
        mostUsedPreset: "none",
        leastUsedPreset: "none",
        customConfigUsageRate: 0,
        legacyConfigUsageRate: 0
      },
      summary: well
    },
    {
      of: "errors only",
      errors: 3,
      statistics: { totalLoads: 0, errorRate: 1 },
      summary: { ...well, healthy: false }
    },
    {
      of: "19 loads and one error",
      loads: Array.from({ length: 19 }, () => ["simple", 10] as const),
      errors: 1,
      statistics: { totalLoads: 19, errorRate: 0.05 },
      summary: { ...well, healthy: false }
    },
    {
      of: "20 loads and one error",
      loads: Array.from({ length: 20 }, () => ["simple", 10] as const),
      errors: 1,
      statistics: { totalLoads: 20, errorRate: 1 / 21 },
      summary: well
    },
    {
      of: "custom and legacy loads, none of them counted twice",
      loads: [
        ["simple", 90, "custom"],
        ["simple", 110, "legacy"],
        ["production", 100],
        ["production", 100]
      ],
      usage: [["simple", 2]],
      statistics: {
        totalLoads: 4,
        presetUsageCount: { simple: 2 },
        customConfigUsageRate: 0.25,
        legacyConfigUsageRate: 0.25,
        avgLoadTimeMs: 100
      },
      summary: { healthy: true, performanceGood: false, presetAdoption: 0.75 }
    },
    {
      of: "usage with a tie, decided by first use",
      usage: [
        ["simple", 2],
        ["production", 5],
        ["development", 5],
        ["Simple", 3],
        ["critical", 1],
        ["last", 1]
      ],
      statistics: {
        totalLoads: 0,
        presetUsageCount: { simple: 5, production: 5, development: 5, critical: 1, last: 1 },
        mostUsedPreset: "simple",
        leastUsedPreset: "critical"
      },
      summary: well
    }
  ]
  for (const each of cases) {
    it.effect(`tell of ${each.of}`, () =>
      using((usage) =>
        Effect.gen(function* () {
          for (const [preset, millis, configType] of each.loads ?? []) {
            yield* usage.recordLoad(preset, millis, { configType })
          }
          for (let at = 0; at < (each.errors ?? 0); at++) yield* usage.recordError("simple", new TypeError("secret"))
          for (const [preset, calls] of each.usage ?? []) yield* usage.recordPresetUsage(preset, { calls })
          const { statistics, summary } = yield* usage.usageStatistics()
          for (const [name, value] of Object.entries(each.statistics)) {
            assert.deepStrictEqual(statistics[name as keyof typeof statistics], value, name)
          }
          assert.deepStrictEqual(summary, each.summary)
        })
      )
    )
  }

  it.effect("have the original's field names in JSON", () =>
    using((usage) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(Schema.encodeSync(Usage.UsageStatistics)(yield* usage.usageStatistics(48)), {
          time_window_hours: 48,
          statistics: {
            total_loads: 0,
            preset_usage_count: {},
            error_rate: 0,
            avg_load_time_ms: 0,
            most_used_preset: "none",
            least_used_preset: "none",
            custom_config_usage_rate: 0,
            legacy_config_usage_rate: 0
          },
          summary: { healthy: true, performance_good: true, preset_adoption: 1 }
        })
      })
    )
  )
})

describe("performance", () => {
  it.effect("is all zeros without loads", () =>
    using((usage) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(Schema.encodeSync(Usage.PerformanceMetrics)(yield* usage.performance()), {
          time_window_hours: 24,
          performance_metrics: {
            avg_load_time_ms: 0,
            min_load_time_ms: 0,
            max_load_time_ms: 0,
            p95_load_time_ms: 0,
            error_count: 0,
            total_samples: 0,
            preset_performance: {}
          },
          health_check: { performance_good: true, error_rate_acceptable: true, p95_within_threshold: true }
        })
      })
    )
  )

  it.effect("tells the spread of all loads and of each preset", () =>
    using((usage) =>
      Effect.gen(function* () {
        for (let at = 1; at <= 20; at++) yield* usage.recordLoad(at <= 18 ? "simple" : "production", at * 20)
        yield* usage.recordError("simple", "down")
        const { healthCheck, performanceMetrics } = yield* usage.performance(1)
        assert.deepStrictEqual(performanceMetrics, {
          avgLoadTimeMs: 210,
          minLoadTimeMs: 20,
          maxLoadTimeMs: 400,
          // The 19th of 20, not the maximum.
          p95LoadTimeMs: 380,
          errorCount: 1,
          totalSamples: 20,
          presetPerformance: {
            simple: { avgLoadTimeMs: 190, minLoadTimeMs: 20, maxLoadTimeMs: 360, sampleCount: 18 },
            production: { avgLoadTimeMs: 390, minLoadTimeMs: 380, maxLoadTimeMs: 400, sampleCount: 2 }
          }
        })
        assert.deepStrictEqual(healthCheck, {
          performanceGood: false,
          errorRateAcceptable: true,
          p95WithinThreshold: false
        })
      })
    )
  )
})

describe("a tracked load", () => {
  it.effect("is a load with its time", () =>
    using((usage) =>
      Effect.gen(function* () {
        const answer = yield* Effect.sleep("120 millis").pipe(
          Effect.as("numbers"),
          usage.trackLoad("Production", { configType: "custom", sessionId: "s1" }),
          Effect.forkChild
        )
        yield* TestClock.adjust("120 millis")
        assert.strictEqual(yield* Fiber.join(answer), "numbers")
        const [metric] = yield* usage.metrics()
        assert.deepStrictEqual(Schema.encodeSync(Usage.Metric)(metric!), {
          timestamp: "1970-01-01T00:00:00.120Z",
          metric_type: "config_load",
          preset_name: "production",
          operation: "config_load",
          value: 120,
          metadata: { config_type: "custom" },
          session_id: "s1",
          user_context: null
        })
      })
    )
  )

  it.effect("that fails is an error with a name and no message, and stays the same failure", () =>
    using((usage) =>
      Effect.gen(function* () {
        const failure = new TypeError("password=secret")
        const failed = yield* Effect.exit(Effect.fail(failure).pipe(usage.trackLoad("simple")))
        assert.deepStrictEqual(failed, Exit.fail(failure))
        const died = yield* Effect.exit(Effect.die(failure).pipe(usage.trackLoad("simple")))
        assert.deepStrictEqual(died, Exit.die(failure))
        const metrics = yield* usage.metrics()
        assert.deepStrictEqual(
          metrics.map(({ metadata, metricType, value }) => [metricType, value, metadata["error"]]),
          [
            ["config_error", 1, "TypeError"],
            ["config_error", 1, "TypeError"]
          ]
        )
        assert.notInclude(JSON.stringify(metrics), "secret")
      })
    )
  )

  it.effect("that is interrupted is nothing", () =>
    using((usage) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.never.pipe(usage.trackLoad("simple"), Effect.forkChild({ startImmediately: true }))
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(yield* usage.size, 0)
      })
    )
  )
})

describe("recorders", () => {
  it.effect("say what happened", () =>
    using((usage) =>
      Effect.gen(function* () {
        yield* usage.recordChange("production", { from: "simple", to: "production", metadata: { actor: "ada" } })
        yield* usage.recordValidation("simple", true)
        yield* usage.recordValidation("simple", false, { errors: ["retry_attempts"] })
        yield* usage.recordPerformance("simple", 3, { operation: "payments" })
        yield* usage.record({ metricType: "config_error", presetName: "", value: Number.NaN })
        assert.deepStrictEqual(
          (yield* usage.metrics()).map(({ metadata, metricType, operation, presetName, value }) => [
            metricType,
            presetName,
            operation,
            value,
            metadata
          ]),
          [
            ["config_change", "production", "config_change", 1, { from: "simple", to: "production", actor: "ada" }],
            ["validation_event", "simple", "validation_event", 1, { errors: [] }],
            ["validation_event", "simple", "validation_event", 0, { errors: ["retry_attempts"] }],
            ["performance_event", "simple", "payments", 3, {}],
            ["config_error", "unknown", "config_error", 0, {}]
          ]
        )
      })
    )
  )
})

describe("sessions", () => {
  it.effect("take their id from the caller, unless the event has its own", () =>
    using((usage) =>
      Effect.gen(function* () {
        yield* Effect.all([
          usage.recordPresetUsage("simple"),
          usage.recordLoad("simple", 40),
          usage.recordLoad("simple", 60),
          usage.recordError("simple", "down"),
          usage.recordPresetUsage("production", { sessionId: "other" })
        ]).pipe(Effect.provideService(Usage.Caller, { sessionId: "mine", userContext: "ada" }))
        const { metrics, summary } = yield* usage.session("mine")
        assert.strictEqual(metrics.length, 4)
        assert.deepStrictEqual(summary, {
          totalOperations: 4,
          presetUsage: { simple: 1 },
          errorCount: 1,
          errorRate: 1 / 3,
          avgLoadTimeMs: 50
        })
        assert.strictEqual((yield* usage.session("other")).summary.totalOperations, 1)
      })
    )
  )

  it.effect("that are not known are empty", () =>
    using((usage) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(Schema.encodeSync(Usage.SessionMetrics)(yield* usage.session("nobody")), {
          session_id: "nobody",
          metrics: [],
          summary: { total_operations: 0, preset_usage: {}, error_count: 0, error_rate: 0, avg_load_time_ms: 0 }
        })
      })
    )
  )

  it.effect("are forgotten in the order of their last use", () =>
    using(
      (usage) =>
        Effect.gen(function* () {
          for (const sessionId of ["a", "b"]) yield* usage.recordPresetUsage("simple", { sessionId })
          yield* usage.session("a")
          yield* usage.recordPresetUsage("simple", { sessionId: "c" })
          const counts = yield* Effect.forEach(["a", "b", "c"], (id) =>
            Effect.map(usage.session(id), ({ metrics }) => metrics.length)
          )
          assert.deepStrictEqual(counts, [1, 0, 1])
          assert.strictEqual(yield* usage.size, 3)
        }),
      { maxSessions: 2 }
    )
  )
})

describe("trends", () => {
  it.effect("have one point for each hour, across hours and presets", () =>
    using((usage) =>
      Effect.gen(function* () {
        yield* TestClock.adjust("30 minutes")
        yield* usage.recordPresetUsage("simple", { calls: 4 })
        yield* TestClock.adjust(30 * 60_000 - 1)
        yield* usage.recordPresetUsage("Simple")
        yield* TestClock.adjust(1)
        yield* usage.recordPresetUsage("simple", { calls: 2 })
        yield* usage.recordPresetUsage("production", { calls: 100 })
        yield* TestClock.adjust("90 minutes")
        const trend = Schema.encodeSync(Usage.PresetTrend)(yield* usage.presetTrend("simple", 3))
        assert.deepStrictEqual(trend, {
          preset_name: "simple",
          time_window_hours: 3,
          trend_data: [
            { timestamp: "1970-01-01T00:00:00.000Z", usage_count: 5 },
            { timestamp: "1970-01-01T01:00:00.000Z", usage_count: 2 },
            { timestamp: "1970-01-01T02:00:00.000Z", usage_count: 0 }
          ],
          summary: { total_usage: 7, peak_usage: 5, avg_hourly_usage: 7 / 3 }
        })
        assert.deepStrictEqual((yield* usage.presetTrend("simple", 2)).summary, {
          totalUsage: 2,
          peakUsage: 2,
          avgHourlyUsage: 1
        })
      })
    )
  )

  it.effect("of a preset that nobody used are zeros", () =>
    using((usage) =>
      Effect.gen(function* () {
        const { summary, trendData } = yield* usage.presetTrend("nothing", 8760)
        assert.strictEqual(trendData.length, 8760)
        assert.deepStrictEqual(summary, { totalUsage: 0, peakUsage: 0, avgHourlyUsage: 0 })
      })
    )
  )
})

describe("retention", () => {
  it.effect("ends with the hour it was set to, on insertion and without one", () =>
    using(
      (usage) =>
        Effect.gen(function* () {
          yield* usage.recordPresetUsage("simple", { sessionId: "s" })
          yield* TestClock.adjust(2 * hour - 1)
          assert.strictEqual((yield* usage.metrics()).length, 1)
          yield* TestClock.adjust(1)
          assert.deepStrictEqual(yield* usage.metrics(), [])
          assert.strictEqual((yield* usage.session("s")).summary.totalOperations, 0)
        }),
      { retention: "2 hours" }
    )
  )

  it.effect("can be cut short by hand", () =>
    using((usage) =>
      Effect.gen(function* () {
        for (let at = 0; at < 5; at++) {
          yield* usage.recordPresetUsage("simple")
          yield* TestClock.adjust("1 hour")
        }
        assert.deepStrictEqual(yield* usage.clearOlderThan(3), { removed: 3, remaining: 2 })
        assert.deepStrictEqual(yield* usage.clearOlderThan(8760), { removed: 0, remaining: 2 })
      })
    )
  )

  it.effect("runs by schedule, although nobody asks", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let readings = 0
      const counting = new Proxy(clock, {
        get: (target, name) => {
          if (name === "monotonicTimeNanosUnsafe") readings++
          const member: unknown = Reflect.get(target, name)
          return typeof member === "function" ? member.bind(target) : member
        }
      })
      yield* Effect.gen(function* () {
        yield* Usage.Usage
        yield* TestClock.adjust("10 minutes")
        assert.isAtLeast(readings, 10)
      }).pipe(Effect.provide(Usage.layer()), Effect.provideService(Clock.Clock, counting))
    })
  )
})

describe("bounds", () => {
  it.effect("keep the newest events and a flat heap, however many come", () =>
    using(
      (usage) =>
        Effect.gen(function* () {
          setFlagsFromString("--expose-gc")
          const gc = runInNewContext("gc") as () => void
          const heap = () => {
            gc()
            return process.memoryUsage().heapUsed / 2 ** 20
          }
          const record = (from: number, to: number) =>
            Effect.gen(function* () {
              for (let at = from; at < to; at++) {
                yield* usage.recordPresetUsage(`preset-${at % 7}`, {
                  sessionId: `session-${at}`,
                  metadata: { at, text: "t".repeat(100) }
                })
              }
            })
          yield* record(0, 20_000)
          const before = heap()
          yield* record(20_000, 200_000)
          const grown = heap() - before
          assert.isBelow(grown, 4)
          const metrics = yield* usage.metrics()
          assert.strictEqual(metrics.length, 5000)
          assert.deepStrictEqual([metrics[0]!.metadata["at"], metrics.at(-1)!.metadata["at"]], [195_000, 199_999])
        }),
      { maxEvents: 5000, maxSessions: 500 }
    )
  )
})
