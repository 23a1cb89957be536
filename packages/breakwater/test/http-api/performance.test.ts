import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect, Layer } from "effect"
import * as Performance from "../../src/monitoring/Performance.ts"
import { Registry } from "../../src/Registry.ts"
import { AdminApi } from "../../src/http-api/index.ts"
import { app, decodes, live, open, secrets } from "./operating.ts"

const quick: Performance.Benchmark = {
  name: "quick",
  description: "nothing",
  thresholdMs: 10,
  setup: Effect.succeed(Effect.void)
}

const endless: Performance.Benchmark = { ...quick, name: "endless", isSlow: true, setup: Effect.succeed(Effect.never) }

const measuring = Effect.gen(function* () {
  const performance = yield* Performance.Performance
  return yield* app(Layer.succeed(Performance.Performance, performance))
})

const services = Layer.provideMerge(Performance.layer({ benchmarks: [quick, endless] }), live)

const run = (body: unknown, init = {}) => ({ method: "POST", body, ...init })

describe("benchmarks", () => {
  it.live("are null and zeros until one was run", () =>
    Effect.gen(function* () {
      const { get } = yield* measuring
      const latest = yield* get("/performance/benchmark")
      yield* decodes(Performance.Latest, latest)
      assert.isNull(latest.benchmark_suite)
      assert.deepInclude(latest.summary, { total_benchmarks: 0, pass_rate: 0 })
      assert.deepStrictEqual(yield* get("/performance/history"), { runs: [], total_count: 0, limit: 10 })
      const report = yield* get("/performance/report")
      yield* decodes(Performance.JsonReport, report)
      assert.isNull(report.suite)
    }).pipe(Effect.provide(services))
  )

  it.live("of this process answer with an array, and are kept", () =>
    Effect.gen(function* () {
      const { audit, get, post } = yield* measuring
      const body = yield* post("/performance/benchmark", { operations: ["quick"], iterations: 20 })
      yield* decodes(Performance.Custom, body)
      assert.deepInclude(body.results[0], { operation: "quick", iterations: 20, success_rate: 1 })
      assert.strictEqual(body.summary.total_benchmarks, 1)
      const kept = yield* get(`/performance/benchmark/${body.benchmark_id}`)
      yield* decodes(Performance.Suite, kept)
      assert.deepStrictEqual((yield* get("/performance/benchmark")).benchmark_suite, kept)
      const history = yield* get("/performance/history?limit=5")
      yield* decodes(Performance.History, history)
      assert.deepInclude(history, { total_count: 1, limit: 5 })
      const text = yield* get("/performance/report?format=TEXT")
      yield* decodes(Performance.TextReport, text)
      assert.include(text.report, "quick")
      const [entry] = yield* audit
      assert.deepInclude(entry, { action: "run_benchmark", from: "0 results", to: "1 results", result: "done" })
    }).pipe(Effect.provide(services))
  )

  it.live("of an operation answer with an object, and do not touch the operation", () =>
    Effect.gen(function* () {
      const { get, post } = yield* measuring
      const body = yield* post("/performance/benchmark", {
        operation_name: "text_processing",
        iterations: 20,
        concurrency: 5,
        failure_rate: 0,
        latency_ms: 0
      })
      yield* decodes(Performance.Load, body)
      assert.deepInclude(body, { operation_name: "text_processing", iterations: 20, concurrency: 5 })
      assert.strictEqual(body.results.success_rate, 1)
      assert.isAbove(body.results.requests_per_second, 0)
      yield* decodes(Performance.Load, yield* get(`/performance/benchmark/${body.benchmark_id}`))
      assert.strictEqual((yield* get("/metrics/text_processing")).metrics.total_calls, 0)
    }).pipe(Effect.provide(services))
  )

  it.live("need no body", () =>
    Effect.gen(function* () {
      const { post } = yield* measuring
      assert.strictEqual((yield* post("/performance/benchmark")).results.length, 1)
      assert.strictEqual((yield* post("/performance/benchmark", { include_slow: false })).results.length, 1)
    }).pipe(Effect.provide(services))
  )

  it.live("that can not be are refused with what can", () =>
    Effect.gen(function* () {
      const { refused } = yield* measuring
      const both = yield* refused(
        400,
        "/performance/benchmark",
        run({ operation_name: "ai_service", operations: ["quick"] })
      )
      assert.deepStrictEqual(both.conflicting_fields, ["operation_name", "operations"])
      const operation = yield* refused(422, "/performance/benchmark", run({ operation_name: "ghost" }))
      assert.deepInclude(operation, { endpoint: "run_benchmark", unknown_operation: "ghost" })
      assert.include(operation.available_operations, "text_processing")
      const benchmark = yield* refused(422, "/performance/benchmark", run({ operations: ["quick", "ghost"] }))
      assert.deepStrictEqual(benchmark.available_operations, ["quick", "endless"])
      assert.deepStrictEqual(benchmark.requested_operations, ["quick", "ghost"])
      const id = yield* refused(422, "/performance/benchmark/bench_0")
      assert.deepInclude(id, { benchmark_id: "bench_0", reason: "not_found" })
      yield* refused(403, "/performance/benchmark", run({}, { key: secrets.read }))
    }).pipe(Effect.provide(services))
  )

  it.live("with a number out of its range are 400 with the value and the range", () =>
    Effect.gen(function* () {
      const { refused } = yield* measuring
      for (const [field, value, expected] of [
        ["iterations", 0, "a whole number from 1 to 10000"],
        ["iterations", -5, "a whole number from 1 to 10000"],
        ["iterations", 10_001, "a whole number from 1 to 10000"],
        ["concurrency", 201, "a whole number from 1 to 200"],
        ["failure_rate", 1.5, "a number from 0 to 1"],
        ["latency_ms", 10_001, "a number from 0 to 10000"]
      ] as const) {
        const { validation_errors: errors } = yield* refused(400, "/performance/benchmark", run({ [field]: value }))
        assert.include(JSON.stringify(errors), `Expected ${expected}, got ${value}`)
      }
      const context = yield* refused(400, "/performance/report?format=xml")
      assert.deepStrictEqual(context.supported_formats, ["json", "text"])
    }).pipe(Effect.provide(services))
  )

  it.live("run one at a time, and end when their caller hangs up", () =>
    Effect.gen(function* () {
      const { call, post, refused } = yield* measuring
      const controller = new AbortController()
      const first = yield* call("/performance/benchmark", {
        ...run({ operations: ["endless"] }),
        signal: controller.signal
      }).pipe(Effect.exit, Effect.forkChild({ startImmediately: true }))
      yield* Effect.sleep("50 millis")
      const context = yield* refused(409, "/performance/benchmark", run({ operations: ["quick"] }))
      assert.deepInclude(context, { benchmark_name: "resilience_performance_custom" })
      controller.abort()
      yield* Effect.sleep("50 millis")
      yield* post("/performance/benchmark", { operations: ["quick"], iterations: 1 })
      first.interruptUnsafe()
    }).pipe(Effect.provide(services))
  )

  it.effect("are held against thresholds", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      const body = yield* get("/performance/thresholds")
      yield* decodes(Performance.Thresholds, body)
      assert.deepInclude(body.thresholds, { config_loading_ms: 100, preset_access_ms: 10, validation_ms: 50 })
    }).pipe(Effect.provide(live))
  )
})

describe("the lines of the guide", () => {
  it.live("about circuits, benchmarks and health succeed", () =>
    Effect.gen(function* () {
      const { get, post } = yield* app()
      yield* open("ai_service")
      const before = yield* get("/circuit-breakers")
      yield* decodes(AdminApi.BreakerList, before)
      assert.strictEqual(before.circuit_breakers.ai_service.state, "open")
      const reset = yield* get("/circuit-breakers/ai_service/reset", { method: "POST" })
      yield* decodes(AdminApi.BreakerReset, reset)
      assert.strictEqual((yield* get("/circuit-breakers/ai_service")).state, "closed")
      const load = yield* post("/performance/benchmark", { operation_name: "text_processing", iterations: 100 })
      yield* decodes(Performance.Load, load)
      const larger = { operation_name: "text_processing", iterations: 1000, concurrency: 10 }
      assert.deepInclude(yield* post("/performance/benchmark", larger), larger)
      yield* get("/health/detailed")
      for (const path of [
        "/metrics",
        "/metrics/text_processing",
        "/monitoring/usage-statistics",
        "/monitoring/preset-trends/production",
        "/monitoring/performance-metrics",
        "/monitoring/alerts"
      ]) {
        yield* get(path)
      }
      assert.strictEqual((yield* (yield* Registry).operations).length, 3)
      assert.isAbove(yield* Clock.currentTimeMillis, 0)
    }).pipe(Effect.provide(live))
  )
})
