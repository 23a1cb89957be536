import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as Alerts from "../../src/monitoring/Alerts.ts"
import * as Export from "../../src/monitoring/Export.ts"
import * as Monitoring from "../../src/monitoring/Monitoring.ts"
import * as Usage from "../../src/monitoring/Usage.ts"
import { app, decodes, live, open, secrets, succeed } from "./operating.ts"

/** An application that watches itself: the admin API shows what it sees. */
const watched = Effect.gen(function* () {
  const usage = yield* Usage.Usage
  const alerts = yield* Alerts.Alerts
  const made = yield* app(Layer.mergeAll(Layer.succeed(Usage.Usage, usage), Layer.succeed(Alerts.Alerts, alerts)))
  return { ...made, usage, alerts }
})

const services = Layer.provideMerge(Monitoring.layer(), live)

describe("usage statistics", () => {
  it.effect("are zeros while nothing is loaded", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      const body = yield* get("/monitoring/usage-statistics")
      yield* decodes(Usage.UsageStatistics, body)
      assert.strictEqual(body.time_window_hours, 24)
      assert.deepInclude(body.statistics, { total_loads: 0, error_rate: 0, most_used_preset: "none" })
      const performance = yield* get("/monitoring/performance-metrics")
      yield* decodes(Usage.PerformanceMetrics, performance)
      assert.strictEqual(performance.performance_metrics.total_samples, 0)
    }).pipe(Effect.provide(live))
  )

  it.effect("tell of loads within the window", () =>
    Effect.gen(function* () {
      const { get, usage } = yield* watched
      yield* usage.recordLoad("production", "50 millis")
      yield* usage.recordError("production", new Error("no such file"))
      const { statistics, summary } = yield* get("/monitoring/usage-statistics?time_window_hours=2")
      assert.deepInclude(statistics, { total_loads: 1, error_rate: 0.5, avg_load_time_ms: 50 })
      assert.isFalse(summary.healthy)
      const body = yield* get("/monitoring/performance-metrics?hours=2")
      yield* decodes(Usage.PerformanceMetrics, body)
      assert.deepInclude(body.performance_metrics, { avg_load_time_ms: 50, error_count: 1, total_samples: 1 })
    }).pipe(Effect.provide(services))
  )

  it.effect("count the calls of operations by preset, without any set-up", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      yield* succeed("ai_service")
      yield* TestClock.adjust("1 minute")
      const { statistics } = yield* get("/monitoring/usage-statistics")
      assert.deepStrictEqual(statistics.preset_usage_count, { production: 1 })
    }).pipe(Effect.provide(live))
  )
})

describe("the trend of a preset", () => {
  it.effect("has one point for each hour", () =>
    Effect.gen(function* () {
      const { get, usage } = yield* watched
      yield* usage.recordPresetUsage("production", { calls: 3 })
      const body = yield* get("/monitoring/preset-trends/Production?hours=3")
      yield* decodes(Usage.PresetTrend, body)
      assert.deepInclude(body, { preset_name: "Production", time_window_hours: 3 })
      assert.strictEqual(body.trend_data.at(-1).usage_count, 3)
      assert.deepInclude(body.summary, { total_usage: 3, peak_usage: 3 })
      assert.strictEqual((yield* get("/monitoring/preset-trends/simple")).summary.total_usage, 0)
    }).pipe(Effect.provide(services))
  )

  it.effect("that does not exist is 422 with those that do", () =>
    Effect.gen(function* () {
      const { refused } = yield* app()
      const context = yield* refused(422, "/monitoring/preset-trends/prod")
      assert.deepInclude(context, { endpoint: "get_preset_trends", preset_name: "prod", reason: "not_found" })
      assert.includeMembers(context.available_options, ["simple", "development", "production"])
    }).pipe(Effect.provide(live))
  )
})

describe("alerts", () => {
  it.effect("are listed by level, and acknowledged by the key of whoever looks after them", () =>
    Effect.gen(function* () {
      const { audit, get, post, refused } = yield* app()
      yield* open("ai_service")
      yield* TestClock.adjust("6 seconds")
      const body = yield* get("/monitoring/alerts?level=error&max_alerts=10")
      yield* decodes(Alerts.AlertList, body)
      assert.isAbove(body.summary.total_alerts, 0)
      assert.isTrue(body.summary.has_errors)
      const [alert] = body.alerts
      assert.deepInclude(alert, { level: "error", operation: "ai_service", status: "active", acknowledged_by: null })
      const done = yield* post(`/monitoring/alerts/${alert.id}/acknowledge`, { reason: "on it" })
      yield* decodes(Alerts.Alert, done)
      assert.strictEqual(done.status, "acknowledged")
      assert.match(done.acknowledged_by, /^[0-9a-f]{6}$/)
      const [entry] = yield* audit
      assert.deepInclude(entry, {
        action: "acknowledge_alert",
        resource: `alerts/${alert.id}`,
        from: "active",
        to: "acknowledged",
        reason: "on it"
      })
      const context = yield* refused(422, "/monitoring/alerts/ghost/acknowledge", { method: "POST" })
      assert.deepInclude(context, { alert_id: "ghost", reason: "not_found" })
      assert.include(context.available_options, alert.id)
      yield* refused(403, `/monitoring/alerts/${alert.id}/acknowledge`, { method: "POST", key: secrets.read })
    }).pipe(Effect.provide(live))
  )
})

describe("a session", () => {
  it.effect("tells what it did, and nothing if it is not known", () =>
    Effect.gen(function* () {
      const { get, usage } = yield* watched
      yield* usage.recordLoad("simple", "10 millis", { sessionId: "s-1" })
      const body = yield* get("/monitoring/session/s-1")
      yield* decodes(Usage.SessionMetrics, body)
      assert.strictEqual(body.metrics.length, 1)
      assert.strictEqual(body.summary.avg_load_time_ms, 10)
      assert.deepInclude(yield* get("/monitoring/session/s-2"), { session_id: "s-2", metrics: [] })
    }).pipe(Effect.provide(services))
  )
})

describe("an export", () => {
  it.effect("is text inside JSON, in either format", () =>
    Effect.gen(function* () {
      const { get, usage } = yield* watched
      yield* usage.recordLoad("simple", "10 millis")
      const json = yield* get("/monitoring/export")
      yield* decodes(Export.Exported, json)
      assert.deepInclude(json, { format: "json", time_window_hours: null })
      assert.strictEqual(JSON.parse(json.data)[0].preset_name, "simple")
      const csv = yield* get("/monitoring/export?format=CSV&time_window_hours=8760")
      yield* decodes(Export.Exported, csv)
      assert.strictEqual((yield* Export.parseCsv(csv.data)).length, 1)
    }).pipe(Effect.provide(services))
  )

  it.effect("is a file for whoever accepts one", () =>
    Effect.gen(function* () {
      const { call, usage } = yield* watched
      yield* usage.recordLoad("simple", "10 millis")
      for (const [accept, query, type] of [
        ["text/csv", "", "text/csv; charset=utf-8"],
        ["application/octet-stream", "?format=csv", "text/csv; charset=utf-8"],
        ["application/octet-stream", "", "application/json"]
      ] as const) {
        const response = yield* call(`/monitoring/export${query}`, { headers: { accept } })
        assert.strictEqual(response.headers.get("content-type"), type)
        assert.match(response.headers.get("content-disposition") ?? "", /^attachment; filename="metrics\.(csv|json)"$/)
        const text = yield* Effect.promise(() => response.text())
        const parsed = type === "application/json" ? Export.parseJson(text) : Export.parseCsv(text)
        assert.strictEqual((yield* parsed)[0]?.presetName, "simple")
      }
    }).pipe(Effect.provide(services))
  )

  it.effect("in another format is 400 with those that exist", () =>
    Effect.gen(function* () {
      const { refused } = yield* app()
      const context = yield* refused(400, "/monitoring/export?format=xml")
      assert.deepInclude(context, { invalid_format: "xml", operation: "metrics_export" })
      assert.deepStrictEqual(context.supported_formats, ["json", "csv"])
    }).pipe(Effect.provide(live))
  )
})

describe("a cleanup", () => {
  it.effect("forgets what is that old and is in the audit log", () =>
    Effect.gen(function* () {
      const { audit, post, usage } = yield* watched
      yield* usage.recordLoad("simple", "10 millis")
      yield* TestClock.adjust("2 hours")
      yield* usage.recordLoad("simple", "10 millis")
      const body = yield* post("/monitoring/cleanup?hours=1")
      yield* decodes(Monitoring.Cleanup, body)
      assert.deepInclude(body, { cleanup_threshold_hours: 1, metrics_removed: 1, metrics_remaining: 1 })
      const [entry] = yield* audit
      assert.deepInclude(entry, { action: "cleanup_old_metrics", from: "2 events", to: "1 events", result: "done" })
    }).pipe(Effect.provide(services))
  )
})

describe("a parameter out of its range", () => {
  it.effect("is 400 with the value and the range", () =>
    Effect.gen(function* () {
      const { refused } = yield* app()
      for (const [path, maximum, method] of [
        ["/monitoring/usage-statistics?time_window_hours=", 8760, "GET"],
        ["/monitoring/preset-trends/simple?hours=", 8760, "GET"],
        ["/monitoring/performance-metrics?hours=", 8760, "GET"],
        ["/monitoring/export?time_window_hours=", 8760, "GET"],
        ["/monitoring/cleanup?hours=", 8760, "POST"],
        ["/monitoring/alerts?max_alerts=", 1000, "GET"],
        ["/performance/history?limit=", 1000, "GET"]
      ] as const) {
        for (const value of [0, -1, 1.5, maximum + 1, 1e9]) {
          const { validation_errors: errors } = yield* refused(400, `${path}${value}`, { method })
          assert.strictEqual(errors[0].message, `Expected a whole number from 1 to ${maximum}, got ${value}`)
        }
        yield* refused(400, `${path}soon`, { method })
      }
      yield* refused(400, "/monitoring/alerts?level=loud")
    }).pipe(Effect.provide(live))
  )
})
