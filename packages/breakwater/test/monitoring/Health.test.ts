import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, DateTime, Duration, Effect, Layer, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Bulkhead from "../../src/Bulkhead.ts"
import * as CircuitBreaker from "../../src/CircuitBreaker.ts"
import * as Configuration from "../../src/config/Configuration.ts"
import * as Errors from "../../src/Errors.ts"
import * as Health from "../../src/monitoring/Health.ts"
import * as Preset from "../../src/Preset.ts"
import * as RateLimiter from "../../src/RateLimiter.ts"
import { Registry } from "../../src/Registry.ts"
import { type LayerOptions, Resilience, withOperation, withResilience } from "../../src/Resilience.ts"
import * as Settings from "../../src/Settings.ts"
import * as Strategy from "../../src/Strategy.ts"

const Fragile = Strategy.make("fragile", {
  extends: "aggressive",
  retry: false,
  circuitBreaker: { failureThreshold: 1, openDuration: "30 seconds" }
})

const Limited = Strategy.make("limited", {
  retry: false,
  timeout: false,
  bulkhead: Bulkhead.settings({ maxConcurrent: 2, maxQueue: 5, maxWait: "1 hour" }),
  quota: RateLimiter.settings({ limit: 100, perKey: true })
})

const environment = (variables: Record<string, string>) =>
  Layer.succeed(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables))

const running = (
  options: LayerOptions & {
    readonly preset?: Preset.Preset
    readonly health?: Health.LayerOptions
    readonly variables?: Record<string, string>
    readonly alerts?: ReadonlyArray<Health.Alert>
  } = {}
) =>
  Health.layer(options.health).pipe(
    Layer.provideMerge(Resilience.layer(options.preset ?? Preset.simple, options)),
    Layer.provide(Layer.succeed(Health.AlertSource, Effect.succeed(options.alerts ?? []))),
    Layer.provideMerge(environment(options.variables ?? {}))
  )

const configured = (variables: Record<string, string>) =>
  Health.layer().pipe(Layer.provideMerge(Configuration.layer()), Layer.provideMerge(environment(variables)))

const succeed = (operation: string, key?: string) =>
  Effect.void.pipe(withResilience(Fragile, { operation, key }), Effect.orDie)

const fail = (operation: string, key?: string) =>
  Effect.exit(Effect.fail("down").pipe(withResilience(Fragile, { operation, key })))

const encode = Schema.encodeSync(Health.Detailed)
const decode = Schema.decodeUnknownSync(Health.Detailed, { onExcessProperty: "error" })

const detailed = Effect.flatMap(Health.Health, ({ detailed }) => detailed)

const check = (name: string) =>
  Effect.map(detailed, ({ checks }) => {
    const found = checks.find((check) => check.name === name)
    assert.isDefined(found, name)
    assert.strictEqual(found.fix === null, found.ok)
    return found
  })

const isOk = (name: string) => Effect.map(check(name), ({ ok }) => ok)

describe("liveness and readiness", () => {
  it.effect("a process lives and is ready, whatever its circuits are, until it drains", () =>
    Effect.gen(function* () {
      const health = yield* Health.Health
      yield* fail("pay")
      assert.strictEqual(yield* health.liveness, "alive")
      assert.strictEqual(yield* health.readiness, "ready")
      yield* health.drain
      assert.strictEqual(yield* health.readiness, "draining")
      assert.strictEqual(yield* health.liveness, "alive")
    }).pipe(Effect.provide(running()))
  )
})

describe("health", () => {
  it.effect("follows the circuits from healthy to degraded and back", () =>
    Effect.gen(function* () {
      const { health } = yield* Health.Health
      const json = Effect.map(health, Schema.encodeSync(Health.Summary))
      yield* succeed("mail")
      yield* fail("pay")
      assert.deepStrictEqual(yield* json, {
        healthy: false,
        status: "degraded",
        details: {
          healthy: false,
          open_circuit_breakers: ["pay"],
          half_open_circuit_breakers: [],
          total_circuit_breakers: 2,
          total_operations: 2,
          timestamp: "1970-01-01T00:00:00.000Z"
        }
      })
      yield* TestClock.adjust("30 seconds")
      yield* succeed("pay")
      const { details, status } = yield* json
      assert.strictEqual(status, "healthy")
      assert.deepStrictEqual(details.open_circuit_breakers, [])
      assert.strictEqual(details.timestamp, "1970-01-01T00:00:30.000Z")
    }).pipe(Effect.provide(running()))
  )

  it.effect("counts an isolated circuit as open and names one that probes", () =>
    Effect.gen(function* () {
      const { health } = yield* Health.Health
      const resilience = yield* Registry
      yield* succeed("pay", "eu")
      const circuit = Option.getOrThrow(yield* resilience.circuit("pay:eu"))
      yield* CircuitBreaker.isolate(circuit, { reason: "maintenance", expiresIn: "1 minute" })
      assert.deepStrictEqual((yield* health).details.openCircuitBreakers, ["pay:eu"])
      yield* CircuitBreaker.close(circuit)
      yield* fail("pay", "eu")
      yield* TestClock.adjust("30 seconds")
      yield* Effect.forkChild(Effect.never.pipe(withResilience(Fragile, { operation: "pay", key: "eu" })), {
        startImmediately: true
      })
      const { details, healthy } = yield* health
      assert.deepStrictEqual(details.halfOpenCircuitBreakers, ["pay:eu"])
      assert.isTrue(healthy)
    }).pipe(Effect.provide(running()))
  )
})

describe("detailed health", () => {
  it.effect("has the shape of the contract, and JSON that its schema reads back", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("90 seconds")
      yield* succeed("mail")
      yield* fail("pay")
      yield* TestClock.adjust("10 seconds")
      const found = yield* detailed
      const json = encode(found)
      assert.deepStrictEqual(decode(JSON.parse(JSON.stringify(json))), found)
      assert.hasAllKeys(json, [
        "healthy",
        "open_circuit_breakers",
        "half_open_circuit_breakers",
        "total_circuit_breakers",
        "total_operations",
        "timestamp",
        "status",
        "uptime_seconds",
        "configuration",
        "operations",
        "circuit_breakers",
        "omitted",
        "full_bulkheads",
        "paused_rate_limits",
        "environment",
        "alerts",
        "checks"
      ])
      assert.strictEqual(json.status, "degraded")
      assert.isFalse(json.healthy)
      assert.strictEqual(json.uptime_seconds, 100)
      assert.deepStrictEqual(json.configuration, {
        source: "code",
        preset_name: "production",
        is_legacy_config: false,
        generation: 0,
        custom_overrides_applied: false
      })
      assert.deepStrictEqual(json.circuit_breakers["pay"], {
        state: "open",
        failure_count: 1,
        failure_threshold: 1,
        recovery_timeout: 30,
        retry_at: "1970-01-01T00:02:00.000Z"
      })
      assert.deepStrictEqual(json.operations["pay"], {
        strategy: "fragile",
        metrics: {
          total_calls: 1,
          successful_calls: 0,
          failed_calls: 1,
          retry_attempts: 0,
          circuit_breaker_opens: 1,
          circuit_breaker_half_opens: 0,
          circuit_breaker_closes: 0,
          success_rate: 0,
          failure_rate: 100,
          last_failure: "1970-01-01T00:01:30.000Z",
          last_success: null
        },
        breaker_state: "open"
      })
      assert.strictEqual(json.operations["mail"]?.metrics.success_rate, 100)
      assert.deepStrictEqual(json.environment, {
        detected: "production",
        confidence: 0.95,
        recommended_preset: "production",
        matches_current: true
      })
      assert.deepStrictEqual(json.alerts, { counts: { info: 0, warning: 0, error: 0, critical: 0 }, latest: [] })
    }).pipe(Effect.provide(running({ preset: Preset.production, variables: { ENVIRONMENT: "production" } })))
  )

  it.effect("is unhealthy while every circuit refuses", () =>
    Effect.gen(function* () {
      yield* fail("pay")
      assert.strictEqual((yield* detailed).status, "unhealthy")
      yield* succeed("mail")
      assert.strictEqual((yield* detailed).status, "degraded")
      yield* TestClock.adjust("30 seconds")
      yield* succeed("pay")
      assert.strictEqual((yield* detailed).status, "healthy")
    }).pipe(Effect.provide(running()))
  )

  const alert = (level: Health.Level, second: number): Health.Alert => ({
    timestamp: DateTime.makeUnsafe(second * 1000),
    level,
    title: `${level} ${second}`,
    description: ""
  })
  const statusWith = (alerts: ReadonlyArray<Health.Alert>) =>
    Effect.map(Effect.provide(detailed, running({ alerts })), ({ status }) => status)

  it.effect("takes alerts into account", () =>
    Effect.gen(function* () {
      assert.strictEqual(yield* statusWith([alert("info", 1), alert("warning", 2)]), "healthy")
      assert.strictEqual(yield* statusWith([alert("error", 1)]), "degraded")
      assert.strictEqual(yield* statusWith([alert("critical", 1)]), "unhealthy")
      const many = Array.from({ length: 15 }, (_, second) => alert(second === 3 ? "error" : "info", second))
      const { alerts } = yield* Effect.provide(detailed, running({ alerts: many }))
      assert.deepStrictEqual(alerts.counts, { info: 14, warning: 0, error: 1, critical: 0 })
      assert.deepStrictEqual(
        alerts.latest.map(({ title }) => title),
        [14, 13, 12, 11, 10, 9, 8, 7, 6, 5].map((second) => `info ${second}`)
      )
    })
  )

  it.effect("lists the worst thousand operations and says how many it leaves out", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 1100; i++) yield* succeed(`op${i}`)
      yield* fail("worst")
      const { circuitBreakers, omitted, operations, totalOperations } = yield* detailed
      assert.strictEqual(totalOperations, 1101)
      assert.strictEqual(Object.keys(operations).length, 1000)
      assert.strictEqual(Object.keys(circuitBreakers).length, 1000)
      assert.strictEqual(operations["worst"]?.breakerState, "open")
      assert.deepStrictEqual(omitted, { operations: 101, circuitBreakers: 101 })
    }).pipe(Effect.provide(running()))
  )

  it.effect("tells where the configuration comes from", () =>
    Effect.gen(function* () {
      const before = yield* detailed
      assert.deepStrictEqual(before.configuration, {
        source: "detected",
        presetName: "production",
        isLegacyConfig: true,
        generation: 0,
        customOverridesApplied: false
      })
      yield* (yield* Configuration.Configuration).apply({ preset: "development", overlay: { retryAttempts: 4 } })
      const { configuration, environment } = yield* detailed
      assert.deepStrictEqual(configuration, {
        source: "runtime",
        presetName: "development",
        isLegacyConfig: true,
        generation: 1,
        customOverridesApplied: true
      })
      assert.isFalse(environment.matchesCurrent)
    }).pipe(Effect.provide(configured({ ENVIRONMENT: "production", CIRCUIT_BREAKER_FAILURE_THRESHOLD: "7" })))
  )
})

describe("the check of", () => {
  it.effect("calls says no 5 minutes after an operation appeared, and yes after its first call", () =>
    Effect.gen(function* () {
      yield* succeed("mail")
      yield* TestClock.adjust("299 seconds")
      assert.isTrue(yield* isOk("operations_called"))
      yield* TestClock.adjust("61 seconds")
      assert.deepStrictEqual(yield* check("operations_called"), {
        name: "operations_called",
        ok: false,
        detail: "2 of 3 operations were never called in 5m or more: pay (known for 6m), refund (known for 6m)",
        fix: "Guard the calls with withOperation or withResilience under exactly these names, or take the names off the list"
      })
      assert.strictEqual((yield* detailed).status, "healthy")
      yield* succeed("pay")
      yield* succeed("refund")
      assert.isTrue(yield* isOk("operations_called"))
    }).pipe(Effect.provide(running({ operations: ["pay", "refund"] })))
  )

  it.effect("switches says no while resilience or a part of it is off", () =>
    Effect.gen(function* () {
      const resilience = yield* Registry
      const { detail, ok } = yield* check("resilience_enabled")
      assert.isFalse(ok)
      assert.strictEqual(detail, "1 of 3 switches is off: RESILIENCE_ENABLED. Calls run unguarded and are not counted")
      assert.strictEqual((yield* detailed).status, "degraded")
      yield* TestClock.adjust("1 hour")
      assert.isTrue(yield* isOk("operations_called"))
      yield* resilience.configure((current) => ({ ...current, isEnabled: true, retry: false }))
      const part = yield* check("resilience_enabled")
      assert.strictEqual(part.detail, "1 of 3 switches is off: RETRY_ENABLED")
      yield* resilience.configure((current) => ({ ...current, retry: true }))
      assert.isTrue(yield* isOk("resilience_enabled"))
    }).pipe(Effect.provide(configured({ RESILIENCE_ENABLED: "false" })))
  )

  it.effect("pipelines says no while calls run on the shared record, and yes once they stop", () =>
    Effect.gen(function* () {
      assert.isTrue(yield* isOk("pipelines_shared"))
      yield* fail("one")
      yield* fail("two")
      yield* succeed("three")
      const { detail, ok } = yield* check("pipelines_shared")
      assert.isFalse(ok)
      assert.strictEqual(detail, "1 call ran on the record for names beyond the bound of operations")
      assert.strictEqual((yield* detailed).status, "degraded")
      yield* TestClock.adjust("299 seconds")
      assert.isFalse(yield* isOk("pipelines_shared"))
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* isOk("pipelines_shared"))
    }).pipe(Effect.provide(running({ maxOperations: 2 })))
  )

  it.effect("pipelines says no while names that are used once keep coming", () =>
    Effect.gen(function* () {
      yield* succeed("mail")
      for (let i = 0; i < 150; i++) yield* Effect.void.pipe(withOperation(`request.${i}`))
      const { detail, ok } = yield* check("pipelines_shared")
      assert.isFalse(ok)
      assert.strictEqual(detail, "151 of 151 operations were called just once, and new ones keep coming")
      yield* TestClock.adjust("5 minutes")
      assert.isTrue(yield* isOk("pipelines_shared"))
      yield* Effect.void.pipe(withOperation("request.150"))
      assert.isFalse(yield* isOk("pipelines_shared"))
    }).pipe(Effect.provide(running()))
  )

  it.effect("pipelines does not mind a long list of operations that nobody has called", () =>
    Effect.gen(function* () {
      assert.isTrue(yield* isOk("pipelines_shared"))
    }).pipe(Effect.provide(running({ operations: Array.from({ length: 200 }, (_, i) => `op${i}`) })))
  )

  it.effect("pipelines says no while far more strategies are prepared than there are operations", () => {
    let prepared = 0
    return Effect.gen(function* () {
      yield* succeed("pay")
      prepared = 60
      assert.isTrue(yield* isOk("pipelines_shared"))
      prepared = 61
      const { detail, ok } = yield* check("pipelines_shared")
      assert.isFalse(ok)
      assert.strictEqual(detail, "61 strategies were prepared for 1 operation, 60 at most are plausible")
      yield* TestClock.adjust("5 minutes")
      assert.isTrue(yield* isOk("pipelines_shared"))
    }).pipe(Effect.provide(running({ health: { prepared: Effect.sync(() => prepared) } })))
  })

  it.effect("keys says no while new ones keep coming near the bound", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 8; i++) yield* succeed("pay", `tenant${i}`)
      assert.isTrue(yield* isOk("keys_bounded"))
      yield* succeed("pay", "tenant8")
      const { detail, ok } = yield* check("keys_bounded")
      assert.isFalse(ok)
      assert.strictEqual(detail, "pay has 9 keys of 10 at most, and new ones keep coming")
      yield* TestClock.adjust("5 minutes")
      yield* succeed("pay", "tenant8")
      assert.isTrue(yield* isOk("keys_bounded"))
      // At the bound the number stays the same while one key takes the place of another.
      for (let i = 9; i < 12; i++) yield* succeed("pay", `tenant${i}`)
      assert.isFalse(yield* isOk("keys_bounded"))
      yield* TestClock.adjust("5 minutes")
      assert.isTrue(yield* isOk("keys_bounded"))
      yield* succeed("pay", "tenant99")
      assert.isFalse(yield* isOk("keys_bounded"))
    }).pipe(Effect.provide(running({ maxKeys: 10, health: { maxKeys: 10 } })))
  )

  it.effect("keys says no while calls share the circuit beyond the bound", () =>
    Effect.gen(function* () {
      yield* fail("pay", "a")
      yield* fail("pay", "b")
      yield* succeed("pay", "c")
      const { detail, ok } = yield* check("keys_bounded")
      assert.isFalse(ok)
      assert.strictEqual(detail, "1 call of pay shared the circuit for keys beyond the bound")
      yield* TestClock.adjust("5 minutes")
      assert.isTrue(yield* isOk("keys_bounded"))
    }).pipe(Effect.provide(running({ maxKeys: 2 })))
  )

  it.effect("the preset says no while it is not meant for the environment that was detected", () =>
    Effect.gen(function* () {
      const configuration = yield* Configuration.Configuration
      const { detail, fix, ok } = yield* check("preset_fits_environment")
      assert.isFalse(ok)
      assert.strictEqual(
        detail,
        "production was detected with confidence 0.95, but the preset in force, development, is meant for development, testing"
      )
      assert.strictEqual(fix, "Choose the preset production, or correct what says production: ENVIRONMENT")
      yield* configuration.apply({ preset: "simple" })
      assert.isTrue(yield* isOk("preset_fits_environment"))
      yield* configuration.apply({ preset: "production" })
      assert.isTrue(yield* isOk("preset_fits_environment"))
    }).pipe(Effect.provide(configured({ ENVIRONMENT: "production", RESILIENCE_PRESET: "development" })))
  )

  it.effect("the preset says yes while nothing is known for sure", () =>
    Effect.gen(function* () {
      const ask = (variables: Record<string, string>) =>
        Effect.provide(check("preset_fits_environment"), running({ preset: Preset.development, variables }))
      assert.strictEqual((yield* ask({})).detail, "The environment is unknown, the preset development is in force")
      const unsure = yield* ask({ HOSTNAME: "eu-staging-2" })
      assert.isTrue(unsure.ok)
      assert.strictEqual(unsure.detail, "staging was detected with confidence 0.65, less than the 0.7 that counts")
    })
  )

  it.effect("isolations says no after an hour, and yes after the circuit was closed", () =>
    Effect.gen(function* () {
      yield* succeed("pay")
      yield* succeed("mail")
      const circuit = Option.getOrThrow(yield* (yield* Registry).circuit("pay"))
      yield* CircuitBreaker.isolate(circuit, { reason: "maintenance", actor: "ada" })
      assert.strictEqual((yield* check("isolations_short")).detail, "1 override lies over 2 circuits, none for 1h")
      yield* TestClock.adjust("65 minutes")
      const { detail, ok } = yield* check("isolations_short")
      assert.isFalse(ok)
      assert.strictEqual(
        detail,
        '1 override lies over 2 circuits, 1 of them for 1h or more: pay (isolated for 1h 5m, by ada: "maintenance")'
      )
      yield* CircuitBreaker.close(circuit)
      assert.isTrue(yield* isOk("isolations_short"))
    }).pipe(Effect.provide(running()))
  )
})

describe("overrides that refuse nothing", () => {
  it.effect("are long after an hour as well, each by itself, and short after a release", () =>
    Effect.gen(function* () {
      yield* succeed("pay")
      const circuit = Option.getOrThrow(yield* (yield* Registry).circuit("pay"))
      yield* CircuitBreaker.disable(circuit, { reason: "load test", actor: "ada" })
      yield* detailed
      yield* TestClock.adjust("30 minutes")
      yield* CircuitBreaker.metricsOnly(circuit, { reason: "trial" })
      assert.isTrue(yield* isOk("isolations_short"))
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(
        (yield* check("isolations_short")).detail,
        '2 overrides lie over 1 circuit, 1 of them for 1h or more: pay (disabled for 1h, by ada: "load test")'
      )
      yield* TestClock.adjust("30 minutes")
      assert.include(
        (yield* check("isolations_short")).detail,
        'pay (disabled for 1h 30m, by ada: "load test"), pay (metrics only for 1h, by unknown: "trial")'
      )
      assert.strictEqual((yield* detailed).status, "degraded")
      yield* CircuitBreaker.release(circuit, "disabled")
      assert.isFalse(yield* isOk("isolations_short"))
      yield* CircuitBreaker.release(circuit, "metrics_only")
      assert.isTrue(yield* isOk("isolations_short"))
    }).pipe(Effect.provide(running()))
  )
})

describe("limits in detailed health", () => {
  it.effect("are bulkheads without a free place and rate limits that are paused", () =>
    Effect.gen(function* () {
      const call = (operation: string, key: string, self: Effect.Effect<void, unknown>) =>
        Effect.forkChild(Effect.exit(self.pipe(withResilience(Limited, { operation, key }))), {
          startImmediately: true
        })
      yield* call("pay", "a", Effect.never)
      const half = yield* detailed
      assert.deepStrictEqual([half.fullBulkheads, half.pausedRateLimits], [[], []])
      yield* call("pay", "a", Effect.never)
      yield* call("pay", "b", Effect.never)
      yield* call("mail", "a", Effect.never)
      yield* call("mail", "a", Effect.never)
      for (const [operation, key, seconds] of [
        ["read", "short", 10],
        ["read", "long", 40],
        ["list", "other", 20]
      ] as const) {
        const limited = new Errors.RateLimitError({ message: "slow down", retryAfter: Duration.seconds(seconds) })
        yield* call(operation, key, Effect.fail(limited))
      }
      const found = yield* detailed
      assert.deepStrictEqual(found.fullBulkheads, [
        { name: "pay", active: 2, queued: 1, limit: 2 },
        { name: "mail", active: 2, queued: 0, limit: 2 }
      ])
      assert.deepStrictEqual(
        found.pausedRateLimits.map(({ key, operation, pausedForSeconds, scope }) => [
          operation,
          scope,
          key,
          Duration.toSeconds(pausedForSeconds)
        ]),
        [
          ["read", "quota", "long", 40],
          ["list", "quota", "other", 20],
          ["read", "quota", "short", 10]
        ]
      )
      assert.strictEqual(found.status, "healthy")
      yield* TestClock.adjust("20 seconds")
      assert.lengthOf((yield* detailed).pausedRateLimits, 1)
    }).pipe(Effect.provide(running()))
  )
})

describe("settings of health", () => {
  it("refuses what nothing can run with, and names it", () => {
    assert.throws(() => Health.layer({ uncalledAfter: 0 }), Settings.InvalidSettings, "uncalledAfter")
    assert.throws(() => Health.layer({ maxKeys: 0 }), Settings.InvalidSettings, "maxKeys")
  })
})
