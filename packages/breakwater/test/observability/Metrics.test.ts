import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Metric, Option, Stream } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { OtlpExporter, PrometheusMetrics } from "effect/observability"
import { TestClock } from "effect/testing"
import * as Bulkhead from "../../src/Bulkhead.ts"
import * as CircuitBreaker from "../../src/CircuitBreaker.ts"
import * as Coalesce from "../../src/Coalesce.ts"
import * as Errors from "../../src/Errors.ts"
import { Metrics } from "../../src/observability/index.ts"
import * as Preset from "../../src/Preset.ts"
import * as RateLimiter from "../../src/RateLimiter.ts"
import { Registry } from "../../src/Registry.ts"
import { type LayerOptions, Resilience, withResilience } from "../../src/Resilience.ts"
import { isResilienceError } from "../../src/ResilienceError.ts"
import * as ResilienceEvent from "../../src/ResilienceEvent.ts"
import * as RetryBudget from "../../src/RetryBudget.ts"
import { InvalidSettings } from "../../src/Settings.ts"
import * as Strategy from "../../src/Strategy.ts"
import * as Tiered from "../../src/Tiered.ts"
import * as prometheus from "./prometheus.ts"

const quick = Strategy.make("quick", {
  retry: { maxAttempts: 3, base: "100 millis", minDelay: 0, jitter: "none" },
  circuitBreaker: { failureThreshold: 4, openDuration: "2 seconds" },
  timeout: { attempt: "500 millis", total: "3 seconds" }
})
const once = Strategy.make("once", { extends: quick, retry: false, circuitBreaker: { failureThreshold: 1 } })
const limited = Strategy.make("limited", {
  retry: { maxAttempts: 3, base: "100 millis", minDelay: 0, jitter: "none" },
  circuitBreaker: false,
  timeout: false,
  admission: RateLimiter.settings({ limit: 4, window: "1 hour", maxPause: 0 }),
  bulkhead: Bulkhead.settings({ maxConcurrent: 1, maxQueue: 1, maxWait: "10 seconds" }),
  quota: RateLimiter.settings({ limit: 100, window: "1 hour" }),
  retryBudget: RetryBudget.settings({ minPerSecond: 0, ratio: 0.001 })
})
const keyed = Strategy.make("keyed", {
  extends: once,
  timeout: false,
  circuitBreaker: false,
  bulkhead: Bulkhead.settings({ maxConcurrent: 1, perKey: true })
})

const registry = Layer.sync(Metric.MetricRegistry, () => new Map())
const live = (metrics?: Metrics.Options, options?: LayerOptions) =>
  Metrics.layer(metrics).pipe(
    Layer.provideMerge(Resilience.layer(Preset.simple, options)),
    Layer.provideMerge(registry)
  )

const scrape = Effect.map(Metrics.prometheus(), prometheus.samples)
const succeed = (operation: string, key?: string) => Effect.void.pipe(withResilience(once, { operation, key }))
const fail = (operation: string, key?: string) =>
  Effect.exit(Effect.fail("down").pipe(withResilience(once, { operation, key })))

const of = (samples: ReadonlyMap<string, number>, name: string): Record<string, number> =>
  Object.fromEntries(
    Array.from(samples)
      .filter(([identity]) => identity.startsWith(`${name}{`))
      .map(([identity, value]) => [identity.slice(name.length), value])
  )

describe("Metrics", () => {
  it.effect("tells what calls and attempts came to", () =>
    Effect.gen(function* () {
      yield* succeed("read")
      yield* fail("read")
      yield* fail("read")
      yield* Effect.fail("down").pipe(
        withResilience(once, { operation: "read", fallback: () => Effect.void, fallbackOn: "rejections" })
      )
      const slow = yield* Effect.forkChild(
        Effect.never.pipe(withResilience(once, { operation: "slow" }), Effect.exit),
        {
          startImmediately: true
        }
      )
      const running = yield* scrape
      assert.strictEqual(running.get(`breakwater_in_flight{operation="slow"}`), 1)
      yield* TestClock.adjust("500 millis")
      yield* Fiber.join(slow)

      const samples = yield* scrape
      assert.deepStrictEqual(of(samples, "breakwater_calls_total"), {
        [`{operation="read",outcome="succeeded"}`]: 1,
        [`{operation="read",outcome="failed"}`]: 1,
        [`{operation="read",outcome="rejected"}`]: 2,
        [`{operation="read",outcome="interrupted"}`]: 0,
        [`{operation="slow",outcome="succeeded"}`]: 0,
        [`{operation="slow",outcome="failed"}`]: 0,
        [`{operation="slow",outcome="rejected"}`]: 1,
        [`{operation="slow",outcome="interrupted"}`]: 0
      })
      const expected = {
        [`breakwater_attempts_total{operation="read"}`]: 2,
        [`breakwater_failures_total{kind="transient",operation="read"}`]: 1,
        [`breakwater_rejections_total{operation="read",reason="CircuitOpen"}`]: 2,
        [`breakwater_rejections_total{operation="slow",reason="TimeoutExceeded"}`]: 1,
        [`breakwater_fallbacks_total{operation="read"}`]: 1,
        [`breakwater_timeouts_total{operation="slow"}`]: 1,
        [`breakwater_in_flight{operation="slow"}`]: 0,
        [`breakwater_abandoned{operation="slow"}`]: 0,
        [`breakwater_call_duration_seconds_count{operation="slow"}`]: 1,
        [`breakwater_call_duration_seconds_sum{operation="slow"}`]: 0.5,
        [`breakwater_call_duration_seconds{operation="slow",quantile="1"}`]: 0.5,
        [`breakwater_attempt_duration_seconds_count{operation="read"}`]: 2,
        [`breakwater_circuit_state{operation="read",state="open"}`]: 1,
        [`breakwater_circuit_state{operation="read",state="closed"}`]: 0,
        [`breakwater_circuits{operation="read",state="open"}`]: 1,
        [`breakwater_circuit_transitions_total{operation="read",to="open"}`]: 1,
        [`breakwater_circuit_failures{operation="read"}`]: 1,
        "breakwater_operations{}": 2
      }
      for (const [identity, value] of Object.entries(expected)) {
        assert.strictEqual(samples.get(identity), value, identity)
      }
    }).pipe(Effect.provide(live()))
  )

  it.effect("counts retries and those that were exhausted", () =>
    Effect.gen(function* () {
      const call = yield* Effect.fail("down").pipe(
        withResilience(quick, { operation: "read" }),
        Effect.exit,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(call)
      const samples = yield* scrape
      assert.strictEqual(samples.get(`breakwater_attempts_total{operation="read"}`), 3)
      assert.strictEqual(samples.get(`breakwater_retries_total{operation="read"}`), 2)
      assert.strictEqual(samples.get(`breakwater_retries_exhausted_total{operation="read"}`), 1)
      assert.strictEqual(samples.get(`breakwater_calls_total{operation="read",outcome="failed"}`), 1)
    }).pipe(Effect.provide(live()))
  )

  it.effect("forgets quantiles after a minute and keeps sum and count", () =>
    Effect.gen(function* () {
      yield* succeed("read")
      assert.strictEqual(Object.keys(of(yield* scrape, "breakwater_call_duration_seconds")).length, 5)
      yield* TestClock.adjust("90 seconds")
      const later = yield* scrape
      assert.deepStrictEqual(of(later, "breakwater_call_duration_seconds"), {})
      assert.deepStrictEqual(of(later, "breakwater_call_duration_seconds_count"), { [`{operation="read"}`]: 1 })
    }).pipe(Effect.provide(live()))
  )

  it.effect("tells of limits, pauses and budgets, for operations that have them", () =>
    Effect.gen(function* () {
      yield* succeed("read")
      const slow = Effect.sleep("1 second").pipe(withResilience(limited, { operation: "pay", key: "sk-live-0f3c2b7e" }))
      const running = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(Effect.exit(slow), { startImmediately: true })
      )
      const during = yield* scrape
      assert.deepStrictEqual(
        Array.from(during).filter(([identity]) => /(bulkhead|rate_limit|budget|refused)_.*"read"/.test(identity)),
        []
      )
      for (const [identity, value] of Object.entries({
        [`breakwater_bulkhead_active{operation="pay"}`]: 1,
        [`breakwater_bulkhead_queued{operation="pay"}`]: 1,
        [`breakwater_bulkhead_limit{operation="pay"}`]: 1,
        [`breakwater_bulkhead_rejected_total{operation="pay"}`]: 1,
        [`breakwater_bulkhead_waited_total{operation="pay"}`]: 1,
        [`breakwater_rate_limit_available{operation="pay",scope="admission"}`]: 1,
        [`breakwater_rate_limit_available{operation="pay",scope="quota"}`]: 99,
        [`breakwater_rate_limit_granted_total{operation="pay",scope="admission"}`]: 3,
        [`breakwater_rate_limit_granted_total{operation="pay",scope="quota"}`]: 1,
        [`breakwater_rate_limit_refused_total{operation="pay",scope="admission"}`]: 0,
        [`breakwater_rate_limit_paused_seconds{operation="pay",scope="quota"}`]: 0
      })) {
        assert.strictEqual(during.get(identity), value, identity)
      }
      assert.isAbove(during.get(`breakwater_retry_budget_tokens{operation="pay"}`) ?? 0, 0)
      yield* TestClock.adjust("2 seconds")
      yield* Effect.forEach(running, Fiber.join)

      const limitedBy = new Errors.RateLimitError({ message: "slow down", retryAfter: Duration.seconds(30) })
      const call = (error: unknown) =>
        Effect.exit(Effect.fail(error).pipe(withResilience(limited, { operation: "pay" })))
      const retried = yield* Effect.forkChild(call("down"), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(retried)
      yield* call(limitedBy)
      yield* TestClock.adjust("10 seconds")
      yield* Effect.repeat(call("down"), { times: 3 })
      const after = yield* scrape
      for (const [identity, value] of Object.entries({
        [`breakwater_bulkhead_active{operation="pay"}`]: 0,
        [`breakwater_rate_limit_paused_seconds{operation="pay",scope="quota"}`]: 20,
        [`breakwater_rate_limit_available{operation="pay",scope="quota"}`]: 0,
        [`breakwater_rate_limit_refused_total{operation="pay",scope="admission"}`]: 2,
        [`breakwater_rate_limit_refused_total{operation="pay",scope="quota"}`]: 2,
        [`breakwater_retries_total{operation="pay"}`]: 1,
        [`breakwater_retries_refused_total{operation="pay"}`]: 2
      })) {
        assert.strictEqual(after.get(identity), value, identity)
      }
    }).pipe(Effect.provide(live()))
  )

  it.effect("counts callers that follow the run of another", () =>
    Effect.gen(function* () {
      const shared = Effect.sleep("1 second").pipe(
        withResilience(quick, { operation: "read", coalesce: Coalesce.by("one") })
      )
      const callers = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(shared, { startImmediately: true }))
      assert.strictEqual((yield* scrape).get(`breakwater_coalesce_waiting{operation="read"}`), 3)
      for (const caller of callers) yield* Fiber.interrupt(caller)
      const samples = yield* scrape
      assert.strictEqual(samples.get(`breakwater_coalesced_calls_total{operation="read"}`), 2)
      assert.strictEqual(samples.get(`breakwater_coalesce_waiting{operation="read"}`), 0)
    }).pipe(Effect.provide(live()))
  )

  it.effect("never counts down when the bulkheads of keys are forgotten", () =>
    Effect.gen(function* () {
      let before: ReadonlyMap<string, number> = new Map()
      for (let round = 0; round < 10; round++) {
        for (const key of ["a", "b", "c", "d"]) {
          const call = Effect.sleep("1 second").pipe(
            withResilience(keyed, { operation: "pay", key: `${key}${round}` }),
            Effect.exit
          )
          yield* Effect.forkChild(Effect.all([call, call], { concurrency: 2 }), { startImmediately: true })
        }
        const after = prometheus.counts(yield* Metrics.prometheus())
        for (const [identity, count] of before) assert.isAtLeast(after.get(identity) ?? -1, count, identity)
        before = after
        yield* TestClock.adjust("2 seconds")
      }
      assert.strictEqual(before.get(`breakwater_bulkhead_rejected_total{operation="pay"}`), 40)
      const { bulkheads } = Option.getOrThrow(yield* (yield* Registry).operation("pay"))
      assert.isAtMost(bulkheads.length, 5)
    }).pipe(Effect.provide(live({}, { maxKeys: 4 })))
  )

  it.effect("adds up the bulkhead of a key that was forgotten and made again between two pulls", () =>
    Effect.gen(function* () {
      const crowd = (key: string, callers: number) =>
        Effect.gen(function* () {
          const call = Effect.sleep("1 second").pipe(withResilience(keyed, { operation: "pay", key }), Effect.exit)
          const calls = yield* Effect.forkChild(
            Effect.all(
              Array.from({ length: callers }, () => call),
              { concurrency: callers }
            ),
            {
              startImmediately: true
            }
          )
          yield* TestClock.adjust("1 second")
          yield* Fiber.join(calls)
        })
      const rejected = Effect.map(scrape, (samples) =>
        samples.get(`breakwater_bulkhead_rejected_total{operation="pay"}`)
      )
      yield* crowd("a", 6)
      assert.strictEqual(yield* rejected, 5)
      yield* crowd("b", 1)
      yield* crowd("a", 4)
      assert.strictEqual(yield* rejected, 8)
    }).pipe(Effect.provide(live({}, { maxKeys: 1 })))
  )

  it.effect("counts events by their tag", () =>
    Effect.gen(function* () {
      yield* fail("read")
      yield* fail("read")
      yield* Effect.yieldNow
      const samples = yield* scrape
      assert.strictEqual(samples.get(`breakwater_events_total{event="CircuitOpened"}`), 1)
      assert.strictEqual(samples.get(`breakwater_events_total{event="CallRejected"}`), 1)
      assert.strictEqual(samples.get(`breakwater_events_total{event="FallbackServed"}`), 0)
    }).pipe(Effect.provide(live()))
  )

  it.effect("counts every event of a burst, and what happens while nobody else listens", () =>
    Effect.gen(function* () {
      for (let index = 0; index < 1000; index++) yield* fail("read")
      const samples = yield* scrape
      assert.strictEqual(samples.get(`breakwater_events_total{event="CallRejected"}`), 999)
      assert.strictEqual(samples.get(`breakwater_events_total{event="CircuitOpened"}`), 1)
    }).pipe(Effect.provide(live()))
  )

  it.effect("counts what lower tiers answered by tier, for operations that run and for others", () =>
    Effect.gen(function* () {
      const answer = (operation: string, isDown: boolean) =>
        Tiered.makeWith({ operation })(
          Tiered.tier("full", isDown ? Effect.fail("down") : Effect.succeed("full")),
          Tiered.tier(
            "excerpt",
            Effect.suspend(() => (isDown ? Effect.fail("empty") : Effect.succeed("excerpt")))
          ),
          Tiered.tier("canned", Effect.succeed("canned"))
        )
      yield* answer("summarize", false)
      assert.deepStrictEqual(of(yield* scrape, "breakwater_tier_fallbacks_total"), {})
      for (let index = 0; index < 400; index++) yield* answer("summarize", true)
      yield* answer("read", true)
      yield* succeed("read")
      const expected = {
        [`{operation="summarize",tier="canned"}`]: 400,
        [`{operation="read",tier="canned"}`]: 1
      }
      assert.deepStrictEqual(of(yield* scrape, "breakwater_tier_fallbacks_total"), expected)
      assert.deepStrictEqual(of(yield* scrape, "breakwater_tier_fallbacks_total"), expected)
    }).pipe(Effect.provide(live()))
  )

  it.effect("tells so many tiers and operations of tiers apart, and counts the others together", () =>
    Effect.gen(function* () {
      const answer = (operation: string, tier: string) =>
        Tiered.makeWith({ operation })(Tiered.tier("full", Effect.fail("down")), Tiered.tier(tier, Effect.void))
      for (let index = 0; index < 20; index++) yield* answer("one", `tier-${index}`)
      yield* answer("two", "x".repeat(10_000))
      yield* answer("three", "canned")
      yield* answer("four", "canned")
      const found = of(yield* scrape, "breakwater_tier_fallbacks_total")
      assert.strictEqual(Object.keys(found).length, 16 + 1 + 1 + 1)
      assert.strictEqual(found[`{operation="one",tier="(other)"}`], 4)
      assert.strictEqual(found[`{operation="(other)",tier="canned"}`], 2)
      assert.isBelow(Math.max(...Object.keys(found).map(({ length }) => length)), 200)
    }).pipe(Effect.provide(live({ maxOperations: 2 })))
  )

  it.effect("tells how long circuits were in each state, and never counts down", () =>
    Effect.gen(function* () {
      const spent = Effect.map(scrape, (samples) => of(samples, "breakwater_circuit_state_seconds_total"))
      const label = (state: string) => `{operation="read",state="${state}"}`
      yield* succeed("read")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* spent)[label("closed")], 10)
      yield* fail("read")
      yield* TestClock.adjust("3 seconds")
      const probe = yield* Effect.forkChild(
        Effect.sleep("400 millis").pipe(withResilience(once, { operation: "read" })),
        {
          startImmediately: true
        }
      )
      yield* TestClock.adjust("400 millis")
      yield* Fiber.join(probe)
      yield* TestClock.adjust("1 second")
      const after = yield* spent
      assert.strictEqual(after[label("closed")], 11)
      assert.strictEqual(after[label("open")], 3)
      assert.closeTo(after[label("half_open")]!, 0.4, 1e-9)
      assert.strictEqual(after[label("isolated")], 0)
      yield* (yield* Registry).resetMetrics()
      assert.deepStrictEqual(yield* spent, after)
      // The circuit of a key is forgotten for another one, and its time is not.
      yield* succeed("other", "a")
      yield* TestClock.adjust("5 seconds")
      yield* spent
      yield* succeed("other", "b")
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* spent)[`{operation="other",state="closed"}`], 7)
    }).pipe(Effect.provide(live({}, { maxKeys: 1 })))
  )

  it.effect("listens to no event when events are not counted, and none after it has closed", () =>
    Effect.gen(function* () {
      assert.isFalse((yield* ResilienceEvent.ResilienceEvents).isActive())
      assert.deepStrictEqual(of(yield* scrape, "breakwater_events_total"), {})
      const events = yield* ResilienceEvent.ResilienceEvents
      yield* Effect.gen(function* () {
        assert.isTrue(events.isActive())
      }).pipe(Effect.provide(Layer.provide(Metrics.layer(), registry)))
      assert.isFalse(events.isActive())
    }).pipe(Effect.provide(live({ events: false })))
  )

  it.effect("passes the format check beside the metrics of the program, and counts up between two scrapes", () =>
    Effect.gen(function* () {
      const latency = Metric.histogram("app_latency_seconds", {
        description: 'Of the program: a "quoted" word, a back\\slash,\nand a line',
        attributes: { path: '/a "b"\\c\nd' },
        boundaries: [0.1, 1, 10]
      })
      for (const each of [0.05, 0.5, 5, 50]) yield* Metric.update(latency, each)
      yield* succeed("read", "tenant")
      yield* fail("write")
      const before = yield* Metrics.prometheus()
      yield* Metric.update(latency, 0.5)
      yield* fail("read", "tenant")
      yield* fail("write")
      yield* succeed("list")
      const after = yield* Metrics.prometheus()

      const later = prometheus.counts(after)
      for (const [identity, count] of prometheus.counts(before)) assert.isAtLeast(later.get(identity) ?? -1, count)
      assert.strictEqual(prometheus.samples(after).get(`app_latency_seconds_count{path="/a \\"b\\"\\\\c\\nd"}`), 5)
      const types = Array.from(prometheus.check(after).values(), ({ name, type }) => [name, type] as const)
      assert.deepStrictEqual(
        types
          .filter(([name]) => name.startsWith("breakwater"))
          .map(([name]) => name)
          .toSorted(),
        [
          "breakwater_abandoned",
          "breakwater_attempt_duration_seconds",
          "breakwater_attempts_total",
          "breakwater_call_duration_seconds",
          "breakwater_calls_total",
          "breakwater_circuit_failures",
          "breakwater_circuit_state",
          "breakwater_circuit_state_seconds_total",
          "breakwater_circuit_transitions_total",
          "breakwater_circuits",
          "breakwater_events_total",
          "breakwater_failures_total",
          "breakwater_fallbacks_total",
          "breakwater_in_flight",
          "breakwater_operations",
          "breakwater_rejections_total",
          "breakwater_retries_exhausted_total",
          "breakwater_retries_total",
          "breakwater_timeouts_total"
        ]
      )
    }).pipe(Effect.provide(live()))
  )

  describe("labels", () => {
    const hostile = ['"} 1\nup 0', "\\", "a\nb", "{", "🌊", "x".repeat(10_000), "__name__", "sk-live-0f3c2b7e"]

    it.effect("hold no key, and are as many with many keys as with one", () =>
      Effect.gen(function* () {
        yield* fail("read", "one")
        const few = yield* scrape
        for (const key of hostile) yield* fail("read", key)
        for (let index = 0; index < 3000; index++) yield* succeed("read", `key-${index}`)
        yield* TestClock.adjust("2 minutes")
        const text = yield* Metrics.prometheus()
        const many = prometheus.samples(text)
        assert.isAtMost(many.size, few.size)
        for (const key of [...hostile, "key-1"]) assert.notInclude(text, JSON.stringify(key).slice(1, -1) + '"')
        assert.notInclude(text, "sk-live")
        assert.strictEqual(many.get(`breakwater_circuits{operation="read",state="open"}`), 1 + hostile.length)
      }).pipe(Effect.provide(live({}, { maxKeys: 100 })))
    )

    it.effect("name at most so many operations, and the others together", () =>
      Effect.gen(function* () {
        for (let index = 0; index < 50; index++) yield* fail(`operation_${index}`)
        yield* fail("operation_49")
        const samples = yield* scrape
        const named = of(samples, "breakwater_attempts_total")
        assert.deepStrictEqual(named, {
          [`{operation="operation_0"}`]: 1,
          [`{operation="operation_1"}`]: 1,
          [`{operation="operation_2"}`]: 1,
          [`{operation="(other)"}`]: 47
        })
        assert.strictEqual(samples.get(`breakwater_calls_total{operation="(other)",outcome="rejected"}`), 1)
        assert.strictEqual(samples.get(`breakwater_circuits{operation="(other)",state="open"}`), 47)
        assert.strictEqual(samples.get(`breakwater_circuit_state{operation="(other)",state="open"}`), 1)
        assert.strictEqual(samples.get(`breakwater_circuit_state{operation="(other)",state="closed"}`), 0)
        assert.strictEqual(samples.get("breakwater_operations{}"), 50)
        for (const name of ["constructor", "toString", "A".repeat(64)]) yield* succeed(name)
        assert.strictEqual((yield* scrape).size, samples.size)
      }).pipe(Effect.provide(live({ maxOperations: 3 })))
    )

    it("are limited by a whole number", () => {
      for (const maxOperations of [0, 1.5, NaN, 1_000_001]) {
        assert.throws(() => Metrics.layer({ maxOperations }), InvalidSettings)
      }
    })
  })

  it.effect("shows the worst state of the circuits of an operation", () =>
    Effect.gen(function* () {
      const states = Effect.map(scrape, (samples) =>
        Object.entries(of(samples, "breakwater_circuit_state")).filter(([, value]) => value === 1)
      )
      const worst = (state: string) => [[`{operation="read",state="${state}"}`, 1]]
      yield* succeed("read", "well")
      assert.deepStrictEqual(yield* states, worst("closed"))
      yield* fail("read", "ill")
      assert.deepStrictEqual(yield* states, worst("open"))
      yield* TestClock.adjust("2 seconds")
      const probe = yield* Effect.forkChild(
        Effect.sleep("1 milli").pipe(withResilience(once, { operation: "read", key: "ill" })),
        { startImmediately: true }
      )
      assert.deepStrictEqual(yield* states, worst("half_open"))
      yield* TestClock.adjust("1 milli")
      yield* Fiber.join(probe)
      assert.deepStrictEqual(yield* states, worst("closed"))
      const circuit = Option.getOrThrow(yield* (yield* Registry).circuit("read:well"))
      yield* CircuitBreaker.isolate(circuit, { reason: "drill" })
      assert.deepStrictEqual(yield* states, worst("isolated"))
    }).pipe(Effect.provide(live()))
  )

  it.effect("never counts down when circuits of keys are forgotten", () =>
    Effect.gen(function* () {
      let before = new Map<string, number>() as ReadonlyMap<string, number>
      for (let round = 0; round < 20; round++) {
        for (const key of ["a", "b", "c", "d"]) yield* fail("read", `${key}${round}`)
        yield* TestClock.adjust("2 seconds")
        for (const key of ["a", "b", "c", "d"]) yield* succeed("read", `${key}${round}`)
        yield* TestClock.adjust("5 minutes")
        const after = prometheus.counts(yield* Metrics.prometheus())
        for (const [identity, count] of before) assert.isAtLeast(after.get(identity) ?? -1, count, identity)
        before = after
      }
      const { circuits } = Option.getOrThrow(yield* (yield* Registry).operation("read"))
      assert.isAtMost(circuits.length, 6)
      assert.strictEqual(before.get(`breakwater_circuit_transitions_total{operation="read",to="open"}`), 80)
    }).pipe(Effect.provide(live({}, { maxKeys: 4 })))
  )

  it.effect("drops the series of an operation that is forgotten, and gives its place to another", () =>
    Effect.gen(function* () {
      yield* succeed("first")
      yield* succeed("second")
      assert.deepStrictEqual(Object.keys(of(yield* scrape, "breakwater_attempts_total")), [
        `{operation="first"}`,
        `{operation="second"}`
      ])
      yield* succeed("third")
      assert.deepStrictEqual(Object.keys(of(yield* scrape, "breakwater_attempts_total")), [
        `{operation="second"}`,
        `{operation="third"}`
      ])
      yield* succeed("first")
      assert.strictEqual((yield* scrape).get(`breakwater_attempts_total{operation="first"}`), 1)
    }).pipe(Effect.provide(live({ maxOperations: 2 }, { maxOperations: 2 })))
  )

  it.effect("adds up an operation that was forgotten and started again between two pulls", () =>
    Effect.gen(function* () {
      const calls = Effect.map(scrape, (samples) => samples.get(`breakwater_attempts_total{operation="first"}`))
      for (let index = 0; index < 3; index++) yield* succeed("first")
      assert.strictEqual(yield* calls, 3)
      yield* succeed("second")
      for (let index = 0; index < 2; index++) yield* succeed("first")
      assert.strictEqual(yield* calls, 5)
    }).pipe(Effect.provide(live({}, { maxOperations: 1 })))
  )

  it.effect(
    "gives exact numbers to an exporter that knows only Effect's metrics, and new operations with the second pull",
    () =>
      Effect.gen(function* () {
        const pull = Effect.map(PrometheusMetrics.format(), (text) =>
          prometheus.samples(text).get(`breakwater_attempts_total{operation="read"}`)
        )
        yield* succeed("read")
        assert.isUndefined(yield* pull)
        assert.strictEqual(yield* pull, 1)
        yield* succeed("read")
        assert.strictEqual(yield* pull, 2)
      }).pipe(Effect.provide(live()))
  )

  for (const end of ["closes", "is interrupted"]) {
    it.effect(`flushes the exporters below and removes its series when the program ${end}`, () =>
      Effect.gen(function* () {
        const context = Context.make(Metric.MetricRegistry, new Map())
        const sent: Array<string> = []
        const flusher = Layer.succeed(OtlpExporter.Flusher, {
          flush: Effect.andThen(
            Effect.sleep("1 second"),
            Effect.sync(() => void sent.push(PrometheusMetrics.formatUnsafe(context)))
          ),
          register: () => Effect.void
        })
        const exported = Metrics.layer({ maxOperations: 1 }).pipe(
          Layer.provideMerge(Resilience.layer(Preset.simple)),
          Layer.provide(Layer.merge(flusher, Layer.succeedContext(context)))
        )
        const program = yield* Effect.all([
          succeed("read"),
          succeed("write"),
          end === "closes" ? Effect.void : Effect.never
        ]).pipe(Effect.provide(exported), Effect.forkChild({ startImmediately: true }))
        if (end !== "closes") program.interruptUnsafe()
        yield* TestClock.adjust("1 second")
        yield* Fiber.await(program)
        const attempts = of(prometheus.samples(sent.join("")), "breakwater_attempts_total")
        assert.deepStrictEqual(attempts, { [`{operation="read"}`]: 1, [`{operation="(other)"}`]: 1 })
        assert.strictEqual(PrometheusMetrics.formatUnsafe(context), "")
      })
    )
  }

  it.effect("closes after three seconds when an exporter hangs", () =>
    Effect.gen(function* () {
      const flusher = Layer.succeed(OtlpExporter.Flusher, { flush: Effect.never, register: () => Effect.void })
      const closing = yield* Effect.forkChild(
        succeed("read").pipe(Effect.provide(live().pipe(Layer.provide(flusher)))),
        { startImmediately: true }
      )
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      yield* Fiber.join(closing)
    })
  )

  it.effect("serves the scrape over HTTP", () =>
    Effect.gen(function* () {
      const Served = Metrics.layerHttp().pipe(
        Layer.provide(live({}, { operations: ["read"] })),
        Layer.provide(HttpServer.layerServices)
      )
      const web = HttpRouter.toWebHandler(Served, { disableLogger: true })
      yield* Effect.addFinalizer(() => Effect.promise(web.dispose))
      const response = yield* Effect.promise(() => web.handler(new Request("http://localhost/metrics")))
      assert.strictEqual(response.headers.get("content-type"), "text/plain; version=0.0.4; charset=utf-8")
      const text = yield* Effect.promise(() => response.text())
      assert.strictEqual(prometheus.samples(text).get(`breakwater_attempts_total{operation="read"}`), 0)
    })
  )

  describe("beside an observer of its own", () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      it.effect(`counts the same in random calls with seed ${seed}`, () => compare(seed))
    }
  })
})

/** Between 0 and 1, by a small generator (mulberry32). */
const randomOf = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

const compare = (seed: number) =>
  Effect.gen(function* () {
    const random = randomOf(seed)
    const pick = <A>(...all: ReadonlyArray<A>): A => all[Math.floor(random() * all.length)]!
    const seen = new Map<string, number>()
    const see = (name: string, change = 1) => void seen.set(name, (seen.get(name) ?? 0) + change)

    const events = yield* ResilienceEvent.ResilienceEvents
    yield* ResilienceEvent.stream(events).pipe(
      Stream.runForEach((event) => Effect.sync(() => observe(see, event))),
      Effect.forkChild({ startImmediately: true })
    )

    const call = (operation: string) => {
      const key = pick(undefined, undefined, "a", "b")
      const [chance, time] = [random(), pick(0, 10, 300, 700)]
      const target = Effect.suspend(() => {
        see(`breakwater_attempts_total{operation="${operation}"}`)
        return Effect.andThen(
          time === 0 ? Effect.void : Effect.sleep(time),
          random() < chance ? Effect.void : pick(Effect.fail("down"), Effect.die("a defect"))
        )
      })
      const ended = (exit: Exit.Exit<unknown, unknown>) => {
        const outcome = outcomeOf(exit)
        see(`breakwater_calls_total{operation="${operation}",outcome="${outcome.name}"}`)
        if (outcome.kind !== undefined)
          see(`breakwater_failures_total{kind="${outcome.kind}",operation="${operation}"}`)
        if (outcome.reason !== undefined) {
          see(`breakwater_rejections_total{operation="${operation}",reason="${outcome.reason}"}`)
        }
        see(`breakwater_in_flight{operation="${operation}"}`, -1)
      }
      see(`breakwater_in_flight{operation="${operation}"}`)
      const strategy: Strategy.Strategy = pick<Strategy.Strategy>(quick, once)
      return target.pipe(
        withResilience(strategy, { operation, key }),
        Effect.onExit((exit) => Effect.sync(() => ended(exit))),
        Effect.exit
      )
    }

    let before: ReadonlyMap<string, number> = new Map()
    for (let round = 0; round < 30; round++) {
      for (let index = 0; index < 20; index++) {
        const operation = pick("read", "write", "list")
        // Seen where it starts: a fiber that never ran is no call.
        const fiber = yield* Effect.forkChild(
          Effect.suspend(() => call(operation)),
          { startImmediately: true }
        )
        if (random() < 0.1) {
          yield* TestClock.adjust(5)
          yield* Fiber.interrupt(fiber)
        }
      }
      yield* TestClock.adjust(pick(50, 400, 3000))
      yield* Effect.yieldNow
      const text = yield* Metrics.prometheus()
      const samples = prometheus.samples(text)
      for (const [identity, count] of seen) assert.strictEqual(samples.get(identity), count, identity)
      const counts = prometheus.counts(text)
      for (const [identity, count] of before) assert.isAtLeast(counts.get(identity) ?? -1, count, identity)
      before = counts
    }
    yield* TestClock.adjust("1 minute")
    const rest = yield* scrape
    for (const operation of ["read", "write", "list"]) {
      assert.strictEqual(rest.get(`breakwater_in_flight{operation="${operation}"}`), 0)
      assert.strictEqual(rest.get(`breakwater_abandoned{operation="${operation}"}`), 0)
    }
    const names = new Set(Array.from(seen.keys(), (identity) => identity.replace(/\{.*operation="\w+",?/, "{")))
    for (const expected of [
      'breakwater_calls_total{outcome="succeeded"}',
      'breakwater_calls_total{outcome="failed"}',
      'breakwater_calls_total{outcome="rejected"}',
      'breakwater_calls_total{outcome="interrupted"}',
      'breakwater_rejections_total{reason="CircuitOpen"}',
      'breakwater_rejections_total{reason="TimeoutExceeded"}',
      'breakwater_circuit_transitions_total{to="half_open"}',
      "breakwater_retries_total{}",
      "breakwater_timeouts_total{}"
    ]) {
      assert.include(Array.from(names), expected)
    }
  }).pipe(
    Effect.provide(
      live().pipe(
        Layer.provide(registry),
        Layer.provideMerge(Layer.sync(ResilienceEvent.ResilienceEvents, () => ResilienceEvent.make()))
      )
    )
  )

const transitions = { CircuitOpened: "open", CircuitHalfOpened: "half_open", CircuitClosed: "closed" } as const

const observe = (see: (name: string) => void, event: ResilienceEvent.ResilienceEvent): void => {
  if (!("operation" in event)) return
  const operation = `operation="${event.operation}"`
  see(`breakwater_events_total{event="${event._tag}"}`)
  if (event._tag === "RetryScheduled") see(`breakwater_retries_total{${operation}}`)
  if (event._tag === "RetriesExhausted") see(`breakwater_retries_exhausted_total{${operation}}`)
  if (event._tag === "AttemptTimedOut") see(`breakwater_timeouts_total{${operation}}`)
  if (event._tag in transitions) {
    see(`breakwater_circuit_transitions_total{${operation},to="${transitions[event._tag as "CircuitOpened"]}"}`)
  }
}

interface Outcome {
  readonly name: string
  readonly kind?: string
  readonly reason?: string
}

const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return { name: "succeeded" }
  if (Exit.hasInterrupts(exit)) return { name: "interrupted" }
  if (Exit.hasDies(exit)) return { name: "failed", kind: "defect" }
  const error = Option.getOrUndefined(Exit.findErrorOption(exit))
  return isResilienceError(error)
    ? { name: "rejected", reason: error.reason._tag }
    : { name: "failed", kind: "transient" }
}
