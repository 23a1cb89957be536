import { assert, describe, it } from "@effect/vitest"
import { type Duration, Effect, Exit, Fiber, Layer, Option, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as CircuitBreaker from "../../src/CircuitBreaker.ts"
import { answer, latency } from "../../src/monitoring/internal/performanceLoad.ts"
import * as Performance from "../../src/monitoring/Performance.ts"
import * as Preset from "../../src/Preset.ts"
import { Registry } from "../../src/Registry.ts"
import { type LayerOptions, Resilience, withOperation } from "../../src/Resilience.ts"
import * as Strategy from "../../src/Strategy.ts"

const running = (options: LayerOptions & Performance.LayerOptions = {}) =>
  Performance.layer(options).pipe(Layer.provideMerge(Resilience.layer(Preset.simple, options)))

const service = Performance.Performance

const run = (options?: Performance.SuiteOptions) => Effect.flatMap(service, ({ run }) => run(options))
const load = (options: Performance.LoadOptions) => Effect.flatMap(service, ({ load }) => load(options))
const history = (limit?: number) => Effect.flatMap(service, ({ history }) => history(limit))

/** Runs an effect while its clock goes on. */
const passing = <A, E, R>(self: Effect.Effect<A, E, R>, time: Duration.Input = "1 minute") =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(self, { startImmediately: true })
    yield* TestClock.adjust(time)
    return yield* Fiber.join(fiber)
  })

/** A value as JSON, after its schema has read it back. */
const roundTrip = <A, I>(schema: Schema.Codec<A, I>, value: A): I => {
  const json = JSON.parse(JSON.stringify(Schema.encodeSync(schema)(value)))
  assert.deepStrictEqual(Schema.decodeUnknownSync(schema, { onExcessProperty: "error" })(json), value)
  return json
}

const takes = (name: string, time: () => Duration.Input, thresholdMs = 1000): Performance.Benchmark => ({
  name,
  description: "sleeps",
  thresholdMs,
  setup: Effect.succeed(Effect.suspend(() => Effect.sleep(time())))
})

describe("a suite", () => {
  it.effect("runs every benchmark that is not slow, and all of them pass", () =>
    Effect.gen(function* () {
      const suite = yield* run({ iterations: 20 })
      const fast = Performance.benchmarks.filter(({ isSlow = false }) => !isSlow)
      assert.deepStrictEqual(
        suite.results.map(({ operation }) => operation),
        fast.map(({ name }) => name)
      )
      assert.deepStrictEqual(suite.failedBenchmarks, [])
      assert.strictEqual(suite.passRate, 1)
      for (const { iterations, metadata, successRate } of suite.results) {
        assert.strictEqual(iterations, 20)
        assert.strictEqual(successRate, 1)
        assert.deepStrictEqual(Object.keys(metadata), ["description"])
      }
    }).pipe(Effect.provide(running()))
  )

  it.effect("runs the slow ones when it is asked, or when they are named", () =>
    Effect.gen(function* () {
      const all = yield* run({ iterations: 2, includeSlow: true })
      assert.strictEqual(all.results.length, Performance.benchmarks.length)
      assert.strictEqual(all.passRate, 1)
      const named = yield* run({ operations: ["legacy_config_loading", "legacy_config_loading"] })
      assert.deepStrictEqual(
        named.results.map(({ iterations, operation }) => [operation, iterations]),
        [["legacy_config_loading", 25]]
      )
    }).pipe(Effect.provide(running()))
  )

  it.effect("measures by the clock", () =>
    Effect.gen(function* () {
      let nth = 0
      const benchmark = takes("sleeps", () => [10, 20, 30, 40][nth++ % 4]!, 24)
      const suite = yield* passing(run({ iterations: 4 }).pipe(Effect.provide(running({ benchmarks: [benchmark] }))))
      const [result] = roundTrip(Performance.Suite, suite).results
      assert.deepInclude(result, {
        operation: "sleeps",
        duration_ms: 100,
        avg_duration_ms: 25,
        min_duration_ms: 10,
        max_duration_ms: 40,
        p50_duration_ms: 20,
        p95_duration_ms: 40,
        success_rate: 1,
        iterations: 4,
        threshold_ms: 24,
        passed: false
      })
      assert.closeTo(result!.std_dev_ms, Math.sqrt(500 / 3), 1e-9)
      assert.deepStrictEqual(suite.failedBenchmarks, ["sleeps"])
      // Four iterations that do not count, and four that do.
      assert.strictEqual(suite.totalDurationMs, 200)
    })
  )

  it.effect("fails what is quick and does not succeed, and names errors without their messages", () => {
    let nth = 0
    const flaky: Performance.Benchmark = {
      name: "flaky",
      description: "fails at times",
      thresholdMs: 1000,
      setup: Effect.succeed(Effect.suspend(() => (nth++ % 10 === 0 ? Effect.fail(new Error("secret")) : Effect.void)))
    }
    const broken: Performance.Benchmark = { ...flaky, name: "broken", setup: Effect.fail(new TypeError("secret")) }
    const steady: Performance.Benchmark = { ...flaky, name: "steady", setup: Effect.succeed(Effect.void) }
    return Effect.gen(function* () {
      const suite = yield* run({ iterations: 100 })
      assert.deepStrictEqual(
        suite.results.map(({ operation, passed, successRate }) => [operation, passed, successRate]),
        [
          ["flaky", false, 0.9],
          ["broken", false, 0],
          ["steady", true, 1]
        ]
      )
      assert.deepStrictEqual(suite.failedBenchmarks, ["flaky", "broken"])
      assert.closeTo(suite.passRate, 1 / 3, 1e-9)
      assert.strictEqual(suite.results[1]!.metadata["error_0"], "TypeError")
      assert.strictEqual(Object.keys(suite.results[1]!.metadata).length, 6)
      assert.notInclude(JSON.stringify(Schema.encodeSync(Performance.Suite)(suite)), "secret")
    }).pipe(Effect.provide(running({ benchmarks: [flaky, broken, steady] })))
  })

  it.effect("tells nothing of the environment's variables", () =>
    Effect.gen(function* () {
      const { environmentInfo } = yield* run({ iterations: 1, operations: ["preset_loading"] })
      const json = roundTrip(Performance.EnvironmentInfo, environmentInfo)
      assert.hasAllKeys(json, ["runtime_version", "platform", "processor", "memory_gb", "cpu_count"])
      assert.strictEqual(json.runtime_version, process.version)
    }).pipe(Effect.provide(running()))
  )

  it.effect("gives up after 30 seconds and tells how far it came", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(passing(run({ iterations: 100 })))
      assert.instanceOf(error, Performance.BenchmarkTimeout)
      // Ten that do not count, and 19 that are done; one was interrupted.
      assert.deepInclude(Performance.contextOf(error), {
        completed_iterations: 19,
        target_iterations: 100,
        time_limit_ms: 30_000,
        execution_time_ms: 30_000
      })
      assert.strictEqual((yield* history()).totalCount, 0)
      const shorter = yield* passing(run({ iterations: 1 }))
      assert.strictEqual(shorter.results[0]?.iterations, 1)
    }).pipe(Effect.provide(running({ benchmarks: [takes("slow", () => "1010 millis")] })))
  )

  it.effect("refuses numbers out of range and names them", () =>
    Effect.gen(function* () {
      for (const iterations of [0, -5, 1.5, 10_001, NaN, Infinity]) {
        const error = yield* Effect.flip(run({ iterations }))
        assert.instanceOf(error, Performance.OutOfRange)
        assert.strictEqual(error.message, `iterations: expected a whole number from 1 to 10000, got ${iterations}`)
        assert.strictEqual(Performance.contextOf(error)["maximum"], 10_000)
      }
      assert.strictEqual((yield* run({ iterations: 10_000 })).results[0]?.iterations, 10_000)
    }).pipe(
      Effect.provide(running({ benchmarks: [{ ...takes("nothing", () => 0), setup: Effect.succeed(Effect.void) }] }))
    )
  )

  it.effect("refuses names that it does not know and tells which there are", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(run({ operations: ["preset_loading", "presets"] }))
      assert.instanceOf(error, Performance.UnknownOperation)
      assert.deepStrictEqual(Performance.contextOf(error), {
        unknown_operation: "presets",
        available_operations: Performance.benchmarks.map(({ name }) => name),
        requested_operations: ["preset_loading", "presets"]
      })
    }).pipe(Effect.provide(running()))
  )

  it.effect("runs alone, and the next one may run after it ended in whatever way", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(run({ iterations: 1 }), { startImmediately: true })
      const error = yield* Effect.flip(load({ operation: "pay" }))
      assert.instanceOf(error, Performance.BenchmarkRunning)
      assert.deepStrictEqual(Performance.contextOf(error), {
        benchmark_id: "bench_19700101_000000",
        benchmark_name: "resilience_performance"
      })
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(passing(load({ operation: "pay" })))))
    }).pipe(Effect.provide(running({ operations: ["pay"], benchmarks: [takes("slow", () => "1 second")] })))
  )
})

describe("a load benchmark", () => {
  const Quick = Strategy.make("quick", { extends: "aggressive", retry: false })

  it.effect("measures calls side by side, in seconds", () =>
    Effect.gen(function* () {
      const made = yield* passing(
        load({ operation: "summarize", iterations: 100, concurrency: 10, latency: { mean: "50 millis" } })
      )
      assert.deepStrictEqual(roundTrip(Performance.Load, made), {
        benchmark_id: "bench_19700101_000000",
        operation_name: "summarize_text",
        strategy: "balanced",
        iterations: 100,
        concurrency: 10,
        results: {
          total_time: 0.5,
          average_response_time: 0.05,
          requests_per_second: 200,
          success_rate: 1,
          p50_response_time: 0.05,
          p95_response_time: 0.05,
          p99_response_time: 0.05
        },
        failures: {},
        timestamp: "1970-01-01T00:00:00.000Z"
      })
    }).pipe(Effect.provide(running({ operations: ["summarize_text"] })))
  )

  it.effect("goes through the limits, retries and circuit of the operation's strategy", () =>
    Effect.gen(function* () {
      const slow = yield* passing(
        load({ operation: "pay", iterations: 5, concurrency: 1, latency: { mean: "6 seconds" } }),
        "2 minutes"
      )
      // The attempt limit of 5 s ends the first three, and they open the circuit.
      assert.deepStrictEqual(slow.failures, { TimeoutExceeded: 3, CircuitOpen: 2 })
      assert.strictEqual(slow.results.successRate, 0)
      assert.strictEqual(slow.results.totalTime, 15)
      const down = yield* passing(
        load({ operation: "mail", iterations: 1, failureRate: 1, latency: { mean: 0 } }),
        "2 minutes"
      )
      assert.deepStrictEqual(down.failures, { TransientAIError: 1 })
      // Two pauses of 2 s with a jitter of 2 s at most.
      assert.isAtLeast(down.results.averageResponseTime, 4)
      assert.isAtMost(down.results.averageResponseTime, 8)
    }).pipe(Effect.provide(running({ operations: [{ name: "pay", strategy: Quick }, "mail"] })))
  )

  it.effect("touches no counter, circuit or listener of the process", () =>
    Effect.gen(function* () {
      const resilience = yield* Registry
      yield* Effect.void.pipe(withOperation("pay"))
      const seen: Array<string> = []
      yield* resilience.events.pipe(
        Stream.runForEach(({ _tag }) => Effect.sync(() => seen.push(_tag))),
        Effect.forkChild({ startImmediately: true })
      )
      // What is recent ends with the time that passes.
      const facts = Effect.map(resilience.operations, (operations) =>
        operations.map(({ attemptLatency, callLatency, circuits, counters, lastFailure, lastSuccess, name }) => ({
          name,
          counters,
          callLatency,
          attemptLatency,
          lastSuccess,
          lastFailure,
          // Time goes on in every state.
          circuits: circuits.map((circuit) => ({ ...circuit, timeIn: undefined }))
        }))
      )
      const before = yield* facts
      const version = (yield* resilience.configuration).version
      const { failures } = yield* passing(load({ operation: "pay", iterations: 50, concurrency: 5, failureRate: 1 }))
      assert.isAbove(failures["CircuitOpen"]!, 0)
      yield* run({ iterations: 3 })
      assert.deepStrictEqual(yield* facts, before)
      assert.strictEqual((yield* resilience.configuration).version, version)
      assert.deepStrictEqual(seen, [])
      const circuit = Option.getOrThrow(yield* resilience.circuit("pay"))
      assert.strictEqual((yield* CircuitBreaker.snapshot(circuit)).state, "closed")
    }).pipe(Effect.provide(running({ operations: [{ name: "pay", strategy: Quick }] })))
  )

  it.effect("repeats itself with a seed", () =>
    Effect.gen(function* () {
      const options: Performance.LoadOptions = {
        operation: "pay",
        iterations: 200,
        concurrency: 1,
        failureRate: 0.2,
        latency: { distribution: "exponential", mean: "20 millis" },
        seed: "a"
      }
      const [first, second, other] = [
        yield* passing(load(options)),
        yield* passing(load(options)),
        yield* passing(load({ ...options, seed: "b" }))
      ]
      // The clock has gone on, and its fractions are rounded elsewhere.
      assert.closeTo(first.results.totalTime, second.results.totalTime, 1e-9)
      assert.closeTo(first.results.p99ResponseTime, second.results.p99ResponseTime, 1e-9)
      assert.deepStrictEqual(first.failures, second.failures)
      assert.notEqual(first.results.totalTime.toFixed(6), other.results.totalTime.toFixed(6))
      assert.isAbove(first.results.successRate, 0)
      assert.isBelow(first.results.successRate, 1)
      assert.isAbove(first.results.p99ResponseTime, first.results.p50ResponseTime)
    }).pipe(
      Effect.provide(
        running({
          operations: [{ name: "pay", strategy: Strategy.make("bare", { retry: false, circuitBreaker: false }) }]
        })
      )
    )
  )

  it.effect("gives up after 30 seconds and tells how far it came", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        passing(load({ operation: "pay", iterations: 1000, concurrency: 10, latency: { mean: "800 millis" } }))
      )
      assert.instanceOf(error, Performance.BenchmarkTimeout)
      assert.deepStrictEqual(Performance.contextOf(error), {
        benchmark_name: "pay",
        completed_iterations: 370,
        target_iterations: 1000,
        time_limit_ms: 30_000,
        execution_time_ms: 30_000
      })
    }).pipe(Effect.provide(running({ operations: ["pay"] })))
  )

  it.effect("refuses what is out of range and operations that do not run", () =>
    Effect.gen(function* () {
      const fieldOf = (options: Partial<Performance.LoadOptions>) =>
        Effect.map(Effect.flip(load({ operation: "pay", ...options })), (error) => {
          assert.instanceOf(error, Performance.OutOfRange)
          return `${error.field} ${error.minimum} ${error.maximum}`
        })
      assert.strictEqual(yield* fieldOf({ iterations: 10_001 }), "iterations 1 10000")
      for (const concurrency of [0, 201, 2.5]) {
        assert.strictEqual(yield* fieldOf({ concurrency }), "concurrency 1 200")
      }
      assert.strictEqual(yield* fieldOf({ failureRate: 1.1 }), "failureRate 0 1")
      assert.strictEqual(yield* fieldOf({ failureRate: NaN }), "failureRate 0 1")
      assert.strictEqual(yield* fieldOf({ latency: { mean: "1 hour" } }), "latency.mean in ms 0 10000")
      const error = yield* Effect.flip(load({ operation: "text_processing" }))
      assert.instanceOf(error, Performance.UnknownOperation)
      assert.deepStrictEqual(error.availableOperations, ["pay"])
    }).pipe(Effect.provide(running({ operations: ["pay"] })))
  )
})

describe("the synthetic target", () => {
  it("takes as long as its distribution says", () => {
    const of = (distribution: "fixed" | "uniform" | "exponential", random: number) =>
      latency({ distribution, meanMillis: 10, failureRate: 0 }, random)
    assert.deepStrictEqual(
      [0, 0.5, 0.999].map((random) => of("fixed", random)),
      [10, 10, 10]
    )
    assert.deepStrictEqual(
      [0, 0.5, 0.75].map((random) => of("uniform", random)),
      [0, 10, 15]
    )
    assert.closeTo(of("exponential", 1 - 1 / Math.E), 10, 1e-9)
    assert.strictEqual(of("exponential", 1 - 1e-12), 100)
  })

  it.effect("fails as often as it is told", () =>
    Effect.gen(function* () {
      let next = 0
      const random = { nextIntUnsafe: () => 0, nextDoubleUnsafe: () => (next++ % 20) / 20 }
      const call = answer({ distribution: "fixed", meanMillis: 0, failureRate: 0.3 }, random)
      let failed = 0
      for (let i = 0; i < 100; i++) if (Exit.isFailure(yield* Effect.exit(call))) failed++
      assert.strictEqual(failed, 30)
    })
  )
})

describe("what is kept", () => {
  it.effect("is nothing at first", () =>
    Effect.gen(function* () {
      const { get, latest, report } = yield* service
      assert.deepStrictEqual(roundTrip(Performance.Latest, yield* latest), {
        benchmark_suite: null,
        summary: {
          total_benchmarks: 0,
          pass_rate: 0,
          total_duration_ms: 0,
          failed_benchmarks: [],
          performance_target_met: false
        }
      })
      assert.deepStrictEqual(roundTrip(Performance.History, yield* history()), { runs: [], total_count: 0, limit: 10 })
      assert.deepStrictEqual(roundTrip(Performance.Report, yield* report()), {
        format: "json",
        suite: null,
        analysis: {
          performance_summary: { avg_config_loading_ms: null, avg_preset_loading_ms: null, target_met: false },
          recommendations: ["Run a benchmark: none is kept"]
        }
      })
      assert.deepStrictEqual(roundTrip(Performance.Report, yield* report("text")), {
        format: "text",
        report: "Run a benchmark: none is kept",
        timestamp: "1970-01-01T00:00:00.000Z"
      })
      const error = yield* Effect.flip(get("bench_1"))
      assert.deepStrictEqual(Performance.contextOf(error), { benchmark_id: "bench_1", available_options: [] })
    }).pipe(Effect.provide(running()))
  )

  it.effect("is found by its id, and the last suite by itself", () =>
    Effect.gen(function* () {
      const { get, latest, report } = yield* service
      const suite = yield* run({ iterations: 3, operations: ["preset_loading", "resilience_config_loading"] })
      const again = yield* run({ iterations: 3, operations: ["preset_loading"] })
      const pressed = yield* passing(load({ operation: "pay", iterations: 2 }))
      assert.deepStrictEqual(
        [suite.benchmarkId, again.benchmarkId, pressed.benchmarkId],
        ["bench_19700101_000000", "bench_19700101_000000_2", "bench_19700101_000000_3"]
      )
      assert.deepStrictEqual(yield* get(suite.benchmarkId), suite)
      assert.deepStrictEqual(yield* get(pressed.benchmarkId), pressed)
      roundTrip(Performance.Stored, suite)
      roundTrip(Performance.Stored, pressed)
      const { benchmark_suite, summary } = roundTrip(Performance.Latest, yield* latest)
      assert.strictEqual(benchmark_suite?.benchmark_id, again.benchmarkId)
      assert.deepInclude(summary, { total_benchmarks: 1, pass_rate: 1, performance_target_met: true })
      const json = yield* report("json")
      assert.isTrue(json.format === "json" && json.analysis.performanceSummary.avgPresetLoadingMs !== null)
      assert.isTrue(json.format === "json" && json.analysis.performanceSummary.avgConfigLoadingMs === null)
    }).pipe(Effect.provide(running({ operations: ["pay"] })))
  )

  it.effect("answers whoever asked for it with sums", () =>
    Effect.gen(function* () {
      const suite = yield* passing(run({ iterations: 2 }))
      const { results, summary } = roundTrip(Performance.Custom, Performance.toCustom(suite))
      assert.strictEqual(results.length, 2)
      assert.deepStrictEqual(summary, {
        total_benchmarks: 2,
        total_duration_ms: 800,
        avg_duration_ms: 100,
        overall_success_rate: 1,
        performance_target_met: false
      })
    }).pipe(Effect.provide(running({ benchmarks: [takes("a", () => 50), takes("b", () => 150)] })))
  )

  it.effect("is reported as text with the threshold of each benchmark", () =>
    Effect.gen(function* () {
      yield* passing(run({ iterations: 2 }))
      const found = yield* (yield* service).report("text")
      assert.isTrue(found.format === "text")
      if (found.format !== "text") return
      const lines = found.report.split("\n")
      assert.strictEqual(lines[0], "resilience_performance bench_19700101_000000, 1970-01-01T00:00:00.000Z")
      assert.include(lines[2], "1 of 2 passed")
      assert.match(lines[4]!, /^pass quick +avg 50\.0 ms, p95 50\.0 ms, max 50\.0 ms, threshold 100 ms, 100 % of 2/)
      assert.match(lines[5]!, /^FAIL slow +avg 150 ms/)
      assert.include(lines.at(-1), "slow: 150 ms on average, 100 ms are the threshold")
    }).pipe(Effect.provide(running({ benchmarks: [takes("quick", () => 50, 100), takes("slow", () => 150, 100)] })))
  )

  it.effect("is compared with the latest earlier run, benchmark by benchmark", () => {
    let time = 100
    return Effect.gen(function* () {
      const step = (next: number) =>
        Effect.gen(function* () {
          time = next
          const { benchmarkId } = yield* passing(run({ iterations: 3 }))
          const { regression } = (yield* history(1)).runs[0]!
          return [benchmarkId, regression] as const
        })
      const [first, none] = yield* step(100)
      assert.isNull(none)
      const [second, steady] = yield* step(120)
      assert.isFalse(steady?.regressed)
      assert.deepStrictEqual(steady?.changes, [
        { operation: "steady", comparedWith: first, previousP50Ms: 10, p50Ms: 10, changePercent: 0, regressed: false },
        {
          operation: "varies",
          comparedWith: first,
          previousP50Ms: 100,
          p50Ms: 120,
          changePercent: 20,
          regressed: false
        }
      ])
      const [, slower] = yield* step(145)
      assert.isTrue(slower?.regressed)
      assert.deepStrictEqual(
        slower?.changes.map(({ changePercent, comparedWith, operation, regressed }) => [
          operation,
          comparedWith,
          changePercent,
          regressed
        ]),
        [
          ["steady", second, 0, false],
          ["varies", second, 20.8, true]
        ]
      )
      const [, again] = yield* step(145)
      assert.isFalse(again?.regressed)
      roundTrip(Performance.History, yield* history())
    }).pipe(Effect.provide(running({ benchmarks: [takes("steady", () => 10), takes("varies", () => time)] })))
  })

  it.effect("compares loads under the same conditions only", () =>
    Effect.gen(function* () {
      const step = (concurrency: number, mean: Duration.Input) =>
        Effect.gen(function* () {
          yield* passing(load({ operation: "pay", iterations: 10, concurrency, latency: { mean } }))
          const { kind, passRate, regression, results } = (yield* history(1)).runs[0]!
          assert.strictEqual(kind, "load")
          assert.strictEqual(passRate, 1)
          assert.strictEqual(results[0]?.metadata["concurrency"], concurrency)
          return regression
        })
      assert.isNull(yield* step(1, "10 millis"))
      assert.isNull(yield* step(2, "10 millis"))
      assert.isNull(yield* step(1, "20 millis"))
      const same = yield* step(1, "20 millis")
      assert.isFalse(same?.regressed)
      assert.strictEqual(same?.changes[0]?.operation, "pay, 1 at a time, fixed 20 ms, failure rate 0")
    }).pipe(Effect.provide(running({ operations: ["pay"] })))
  )

  it.effect("is the last 50 runs", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 53; i++) yield* run({ iterations: 1 })
      const { limit, runs, totalCount } = yield* history(1000)
      assert.deepStrictEqual([runs.length, totalCount, limit], [50, 50, 1000])
      assert.strictEqual(runs[0]?.benchmarkId, "bench_19700101_000000_53")
      assert.strictEqual((yield* history()).runs.length, 10)
      for (const limit of [0, 1001, 1.5]) {
        const error = yield* Effect.flip(history(limit))
        assert.strictEqual(error.message, `limit: expected a whole number from 1 to 1000, got ${limit}`)
      }
    }).pipe(
      Effect.provide(running({ benchmarks: [{ ...takes("nothing", () => 0), setup: Effect.succeed(Effect.void) }] }))
    )
  )
})

describe("the thresholds", () => {
  it("are those of the original, and those of the hot path", () => {
    const { measurement_info, targets, thresholds } = roundTrip(Performance.Thresholds, Performance.thresholds)
    assert.deepStrictEqual(thresholds, {
      config_loading_ms: 100,
      preset_access_ms: 10,
      validation_ms: 50,
      service_initialization_ms: 200,
      breaker_call_ms: 1,
      state_check_ms: 0.1,
      metrics_update_ms: 0.5
    })
    assert.strictEqual(measurement_info.default_iterations, 50)
    assert.strictEqual(targets.secondary_targets.length, 3)
    const original = Object.fromEntries(Performance.benchmarks.map(({ name, thresholdMs }) => [name, thresholdMs]))
    assert.deepInclude(original, {
      preset_loading: 10,
      settings_initialization: 100,
      resilience_config_loading: 100,
      service_initialization: 200,
      custom_config_loading: 100,
      legacy_config_loading: 100,
      validation_performance: 50
    })
  })
})
