import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as HealthDetailsGroup from "../../src/http-api/groups/HealthDetailsGroup.ts"
import * as MetricsGroup from "../../src/http-api/groups/MetricsGroup.ts"
import * as Health from "../../src/monitoring/Health.ts"
import * as Metrics from "../../src/observability/Metrics.ts"
import { Registry } from "../../src/Registry.ts"
import { Resilience } from "../../src/Resilience.ts"
import { app, decodes, fail, live, open, secrets, succeed } from "./operating.ts"

describe("metrics", () => {
  it.effect("tell of every operation and circuit", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      yield* succeed("text_processing")
      yield* open("ai_service")
      const body = yield* get("/metrics")
      yield* decodes(MetricsGroup.All, body)
      assert.hasAllKeys(body.operations, ["ai_service", "text_processing", "summarize_text"])
      assert.deepInclude(body.operations.ai_service, { total_calls: 2, failed_calls: 2, circuit_breaker_opens: 1 })
      assert.deepInclude(body.operations.text_processing, { total_calls: 1, success_rate: 100 })
      const { metrics, ...circuit } = body.circuit_breakers.ai_service
      assert.deepInclude(circuit, { state: "open", failure_threshold: 2, recovery_timeout: 30 })
      assert.strictEqual(metrics.failed_calls, 2)
      assert.deepInclude(body.summary, {
        total_operations: 3,
        total_circuit_breakers: 3,
        healthy_circuit_breakers: 2
      })
    }).pipe(Effect.provide(live))
  )

  it.effect("tell of one operation by either of its names", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      yield* succeed("summarize_text")
      const body = yield* get("/metrics/summarize")
      yield* decodes(MetricsGroup.One, body)
      assert.strictEqual(body.operation, "summarize_text")
      assert.strictEqual(body.metrics.successful_calls, 1)
      assert.deepStrictEqual(yield* get("/metrics/summarize_text"), body)
    }).pipe(Effect.provide(live))
  )

  it.effect("of an operation that does not exist are 422, and it does not exist afterwards", () =>
    Effect.gen(function* () {
      const { get, refused } = yield* app()
      const context = yield* refused(422, "/metrics/ghost")
      assert.deepInclude(context, {
        endpoint: "get_operation_metrics",
        operation: "operation_metrics_retrieval",
        operation_name: "ghost",
        available_operations: ["ai_service", "text_processing", "summarize_text"]
      })
      assert.doesNotHaveAnyKeys((yield* get("/metrics")).operations, ["ghost"])
    }).pipe(Effect.provide(live))
  )

  it.effect("of one operation begin again at 0, and leave the state of its circuit", () =>
    Effect.gen(function* () {
      const { audit, get, post } = yield* app()
      yield* open("ai_service")
      yield* succeed("text_processing")
      const body = yield* post("/metrics/reset?operation_name=ai_service", undefined, { key: secrets.operate })
      yield* decodes(MetricsGroup.Reset, body)
      assert.deepInclude(body, { operation_name: "ai_service", operations_reset: 1 })
      const { circuit_breakers: circuits, operations } = yield* get("/metrics")
      assert.deepInclude(operations.ai_service, {
        total_calls: 0,
        failed_calls: 0,
        circuit_breaker_opens: 0,
        last_failure: null
      })
      assert.strictEqual(circuits.ai_service.state, "open")
      assert.strictEqual(operations.text_processing.total_calls, 1)
      const [entry] = yield* audit
      assert.deepInclude(entry, {
        action: "reset_resilience_metrics",
        resource: "metrics/ai_service",
        from: "2 calls",
        to: "0 calls",
        result: "done"
      })
    }).pipe(Effect.provide(live))
  )

  it.effect("of all operations begin again at 0, and calls that run stay counted", () =>
    Effect.gen(function* () {
      const { get, post } = yield* app()
      yield* succeed("text_processing")
      const running = yield* Effect.never.pipe(
        (self) =>
          Resilience.use(({ runUnsafe }) =>
            Effect.withFiber((fiber) => runUnsafe(self, "ai_service", undefined, {}, fiber))
          ),
        Effect.forkChild({ startImmediately: true })
      )
      const body = yield* post("/metrics/reset", { reason: "a new week" })
      assert.deepInclude(body, { operation_name: null, operations_reset: 3 })
      const { operations } = yield* get("/metrics")
      assert.strictEqual(operations.text_processing.total_calls, 0)
      assert.strictEqual(operations.ai_service.total_calls, 1)
      running.interruptUnsafe()
      yield* Effect.yieldNow
      const found = (yield* (yield* Registry).operations).find(({ name }) => name === "ai_service")
      assert.deepInclude(found?.counters, { calls: 1, interrupted: 1, inFlight: 0 })
    }).pipe(Effect.provide(live))
  )

  it.effect("are not reset for an operation that does not exist, nor by a key that only reads", () =>
    Effect.gen(function* () {
      const { refused } = yield* app()
      yield* refused(422, "/metrics/reset?operation_name=ghost", { method: "POST" })
      yield* refused(403, "/metrics/reset", { method: "POST", key: secrets.read })
      yield* refused(412, "/metrics/reset", { method: "POST", headers: { "if-match": '"7"' } })
    }).pipe(Effect.provide(live))
  )

  it.effect("are there for Prometheus, from the application's exporter or from one of its own", () =>
    Effect.gen(function* () {
      yield* succeed("text_processing")
      for (const services of [Layer.empty, Metrics.layer()]) {
        const { call } = yield* app(services)
        const response = yield* call("/metrics/prometheus")
        assert.strictEqual(response.status, 200)
        assert.strictEqual(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
        const text = yield* Effect.promise(() => response.text())
        assert.include(text, 'breakwater_calls_total{operation="text_processing",outcome="succeeded"} 1')
      }
    }).pipe(Effect.provide(live))
  )
})

describe("the dashboard", () => {
  it.effect("has no alert while all is well", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      const body = yield* get("/dashboard")
      yield* decodes(MetricsGroup.Dashboard, body)
      assert.deepStrictEqual(body.alerts, [])
      assert.deepStrictEqual(body.health, {
        overall_healthy: true,
        open_circuit_breakers: 0,
        half_open_circuit_breakers: 0,
        total_circuit_breakers: 3
      })
      assert.deepStrictEqual(body.operations, ["ai_service", "text_processing", "summarize_text"])
    }).pipe(Effect.provide(live))
  )

  it.effect("names open circuits, and a low success rate of more than 10 calls", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      yield* open("ai_service")
      const few = yield* get("/dashboard")
      assert.strictEqual(few.alerts.length, 1)
      assert.include(few.alerts[0], "ai_service")
      for (let i = 0; i < 9; i++) yield* fail("ai_service")
      const many = yield* get("/dashboard")
      yield* decodes(MetricsGroup.Dashboard, many)
      assert.strictEqual(many.alerts.length, 2)
      assert.include(many.alerts[1], "0 % of 11 calls")
      assert.deepInclude(many.performance, { total_calls: 11, failed_calls: 11, success_rate: 0 })
    }).pipe(Effect.provide(live))
  )
})

describe("detailed health", () => {
  it.effect("tells of configuration, operations, circuits, alerts and checks", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      yield* open("ai_service")
      yield* TestClock.adjust("6 seconds")
      const body = yield* get("/health/detailed")
      yield* decodes(Health.Detailed, body)
      assert.strictEqual(HealthDetailsGroup.HealthDetailsGroup.identifier, "healthDetails")
      assert.deepInclude(body, { healthy: false, status: "degraded", open_circuit_breakers: ["ai_service"] })
      assert.strictEqual(body.uptime_seconds, 6)
      assert.deepInclude(body.circuit_breakers.ai_service, { state: "open", failure_count: 2, failure_threshold: 2 })
      assert.strictEqual(body.operations.ai_service.breaker_state, "open")
      assert.isAbove(body.alerts.counts.error, 0)
      assert.isNotEmpty(body.checks)
    }).pipe(Effect.provide(live))
  )
})
