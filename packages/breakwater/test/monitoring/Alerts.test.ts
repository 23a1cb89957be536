import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Fiber, Layer, Option, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  CircuitBreaker,
  Registry,
  Resilience,
  type ResilienceEvent,
  Settings,
  Strategy,
  withResilience
} from "breakwater"
import * as Alerts from "../../src/monitoring/Alerts.ts"
import * as Usage from "../../src/monitoring/Usage.ts"

const fragile = Strategy.make("fragile", {
  retry: false,
  circuitBreaker: { failureThreshold: 1, openDuration: "30 seconds" }
})
const sturdy = Strategy.make("sturdy", { retry: false, circuitBreaker: false })

const watched = (settings?: Alerts.SettingsInput) =>
  Alerts.layer(settings).pipe(Layer.provideMerge(Usage.layer()), Layer.provideMerge(Resilience.layer()))

const call = (operation: string, options: { readonly fails: boolean; readonly key?: string }) =>
  (options.fails ? Effect.fail("down") : Effect.void).pipe(
    withResilience(fragile, { operation, key: options.key }),
    Effect.exit
  )

const calls = (operation: string, ok: number, bad: number) =>
  Effect.gen(function* () {
    for (let at = 0; at < ok + bad; at++) {
      yield* (at < bad ? Effect.fail("down") : Effect.void).pipe(withResilience(sturdy, { operation }), Effect.exit)
    }
  })

/** What is open, oldest first. */
const open = Effect.gen(function* () {
  const { alerts } = yield* (yield* Alerts.Alerts).active()
  return alerts
    .map(({ level, metadata: { rule }, operation }) => `${typeof rule === "string" ? rule : ""} ${operation} ${level}`)
    .toReversed()
})

/** Events of alerts, from now on. */
const told = Effect.gen(function* () {
  const seen: Array<ResilienceEvent.ResilienceEvent> = []
  yield* (yield* Registry).events.pipe(
    Stream.filter(({ _tag }) => _tag === "AlertRaised" || _tag === "AlertResolved"),
    Stream.runForEach((event) => Effect.sync(() => void seen.push(event))),
    Effect.forkScoped({ startImmediately: true })
  )
  return seen
})

describe("a circuit that opens", () => {
  it.effect("is told at once, and its end with the next look, for five minutes", () =>
    Effect.gen(function* () {
      const events = yield* told
      yield* call("payments", { fails: true })
      yield* Effect.yieldNow
      yield* TestClock.adjust(0)
      assert.deepStrictEqual(yield* open, ["circuit_open payments error"])

      yield* TestClock.adjust("31 seconds")
      const probe = yield* Effect.never.pipe(
        withResilience(fragile, { operation: "payments" }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("5 seconds")
      const [circuit] = yield* (yield* Registry).circuits
      assert.strictEqual((yield* CircuitBreaker.snapshot(circuit!)).state, "half_open")
      assert.deepStrictEqual(yield* open, ["circuit_open payments error"])
      yield* Fiber.interrupt(probe)
      yield* call("payments", { fails: false })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* open, ["circuit_closed payments info"])
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* open, [])

      assert.deepStrictEqual(
        events.map((event) => ("rule" in event ? `${event._tag} ${event.rule} ${event.subject} ${event.level}` : "")),
        [
          "AlertRaised circuit_open payments error",
          "AlertResolved circuit_open payments error",
          "AlertRaised circuit_closed payments info",
          "AlertResolved circuit_closed payments info"
        ]
      )
    }).pipe(Effect.scoped, Effect.provide(watched()))
  )

  it.effect("is one alert for an operation with many keys", () =>
    Effect.gen(function* () {
      for (const key of ["a", "b", "c"]) yield* call("payments", { fails: true, key })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* open, ["circuit_open payments error"])
      const { alerts } = yield* (yield* Alerts.Alerts).active()
      assert.strictEqual(alerts[0]!.actualValue, 3)
      yield* call("payments", { fails: true, key: "d" })
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* open, ["circuit_open payments error", "circuits_open circuits critical"])
    }).pipe(Effect.provide(watched()))
  )

  it.effect("again within the pause is not told again, and is told when the pause is over", () =>
    Effect.gen(function* () {
      const events = yield* told
      const flap = Effect.gen(function* () {
        yield* call("payments", { fails: true })
        yield* TestClock.adjust("31 seconds")
        yield* call("payments", { fails: false })
        yield* TestClock.adjust("5 seconds")
      })
      yield* flap
      const raised = () =>
        events.filter((event) => event._tag === "AlertRaised" && event.rule === "circuit_open").length
      assert.strictEqual(raised(), 1)
      yield* flap
      yield* flap
      assert.strictEqual(raised(), 1)
      yield* TestClock.adjust("5 minutes")
      yield* flap
      assert.strictEqual(raised(), 2)
    }).pipe(Effect.scoped, Effect.provide(watched()))
  )
})

describe("an operation that fails", () => {
  it.effect("is told by the next look, gets worse under the same id, and is over by itself", () =>
    Effect.gen(function* () {
      const alerts = yield* Alerts.Alerts
      yield* calls("search", 95, 5)
      yield* TestClock.adjust("4999 millis")
      assert.deepStrictEqual(yield* open, [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* open, ["error_rate search warning"])
      const [{ id }] = (yield* alerts.active()).alerts as [Alerts.Alert]

      const acknowledged = yield* alerts.acknowledge(id, "ada")
      assert.deepStrictEqual([acknowledged.status, acknowledged.acknowledgedBy], ["acknowledged", Option.some("ada")])
      yield* calls("search", 0, 8)
      yield* TestClock.adjust("5 seconds")
      const [worse] = (yield* alerts.active({ level: "critical" })).alerts
      assert.deepStrictEqual([worse?.id, worse?.status, worse?.actualValue], [id, "active", 13 / 108])

      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* open, [])
      const history = (yield* alerts.history()).alerts.find((alert) => alert.id === id)
      assert.strictEqual(history?.status, "resolved")
      assert.isTrue(Option.isSome(history!.resolvedAt))
    }).pipe(Effect.provide(watched({ burnRates: [] })))
  )

  it.effect("because its circuit refuses calls is told too", () =>
    Effect.gen(function* () {
      for (let at = 0; at < 20; at++) yield* call("payments", { fails: true })
      yield* TestClock.adjust("5 seconds")
      const { alerts } = yield* (yield* Alerts.Alerts).active({ level: "critical" })
      const found = alerts.find(({ metadata }) => metadata["rule"] === "error_rate")
      assert.deepStrictEqual([found?.actualValue, found?.metadata["errors"]], [1, 20])
    }).pipe(Effect.provide(watched()))
  )

  it.effect("is not blamed for interrupted calls", () =>
    Effect.gen(function* () {
      for (let at = 0; at < 50; at++) {
        const fiber = yield* Effect.never.pipe(
          withResilience(sturdy, { operation: "search" }),
          Effect.forkChild({ startImmediately: true })
        )
        yield* Fiber.interrupt(fiber)
      }
      yield* calls("search", 10, 0)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* open, [])
    }).pipe(Effect.provide(watched()))
  )

  it.effect("that failed before anyone watched is not told", () =>
    Effect.gen(function* () {
      yield* calls("search", 0, 50)
      yield* Effect.gen(function* () {
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* open, [])
      }).pipe(Effect.provide(Alerts.layer().pipe(Layer.provideMerge(Usage.layer()))))
    }).pipe(Effect.provide(Resilience.layer()))
  )
})

describe("the use of configuration", () => {
  it.effect("raises alerts about slow loads, errors, changes and validations", () =>
    Effect.gen(function* () {
      const usage = yield* Usage.Usage
      yield* usage.recordLoad("production", "150 millis")
      yield* usage.recordError("production", "down")
      for (let at = 0; at < 11; at++) {
        yield* usage.recordChange("simple")
        yield* usage.recordValidation("simple", at > 1)
      }
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* open, [
        "load_time configuration warning",
        "config_error configuration error",
        "change_frequency configuration warning",
        "validation_failure configuration warning"
      ])
      const { alerts } = yield* (yield* Alerts.Alerts).active()
      assert.deepStrictEqual(alerts.map(({ metricType, presetName }) => [metricType, presetName]).toReversed(), [
        ["performance_event", "production"],
        ["config_error", "production"],
        ["config_change", "simple"],
        ["validation_event", "simple"]
      ])
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* open, [
        "change_frequency configuration warning",
        "validation_failure configuration warning"
      ])
      yield* TestClock.adjust("55 minutes")
      assert.deepStrictEqual(yield* open, [])
    }).pipe(Effect.provide(watched()))
  )
})

describe("the list", () => {
  /** 60 warnings, older than three errors. */
  const many = Effect.gen(function* () {
    const usage = yield* Usage.Usage
    for (let at = 0; at < 3; at++) yield* usage.recordError(`broken-${at}`, "down")
    yield* TestClock.adjust("5 seconds")
    for (let at = 0; at < 60; at++) yield* usage.recordLoad(`slow-${at}`, "1 second")
    yield* TestClock.adjust("5 seconds")
    return yield* Alerts.Alerts
  })

  it.effect("takes the level before it cuts", () =>
    Effect.gen(function* () {
      const alerts = yield* many
      const { alerts: errors, summary } = yield* alerts.active({ maxAlerts: 2, level: "error" })
      assert.deepStrictEqual(
        errors.map(({ presetName }) => presetName),
        ["broken-2", "broken-1"]
      )
      assert.deepStrictEqual(summary, {
        totalAlerts: 63,
        alertCounts: { info: 0, warning: 60, error: 3, critical: 0 },
        hasCritical: false,
        hasErrors: true
      })
      assert.strictEqual((yield* alerts.active()).alerts.length, 50)
      assert.strictEqual((yield* alerts.active({ maxAlerts: 1000 })).alerts.length, 63)
      assert.deepStrictEqual((yield* alerts.active({ level: "info" })).alerts, [])
    }).pipe(Effect.provide(watched()))
  )

  for (const maxAlerts of [0, -1, 1001, 1.5, Number.NaN]) {
    it.effect(`refuses to show ${maxAlerts} alerts`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip((yield* Alerts.Alerts).active({ maxAlerts }))
        assert.deepStrictEqual([error._tag, error.parameter, error.maximum], ["OutOfRange", "max_alerts", 1000])
      }).pipe(Effect.provide(watched()))
    )
  }

  it.effect("has the original's field names in JSON", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 second")
      yield* (yield* Usage.Usage).recordLoad("simple", "150 millis")
      yield* TestClock.adjust("4 seconds")
      const alerts = yield* Alerts.Alerts
      assert.deepStrictEqual(Schema.encodeSync(Alerts.AlertList)(yield* alerts.active()), {
        alerts: [
          {
            id: "alert-0-1",
            timestamp: "1970-01-01T00:00:05.000Z",
            level: "warning",
            title: "Slow load of preset simple",
            description: "A configuration took 150 ms to load, limit 100 ms",
            preset_name: "simple",
            operation: "configuration",
            metric_type: "performance_event",
            threshold_value: 100,
            actual_value: 150,
            metadata: { rule: "load_time" },
            status: "active",
            acknowledged_by: null,
            resolved_at: null
          }
        ],
        summary: {
          total_alerts: 1,
          alert_counts: { info: 0, warning: 1, error: 0, critical: 0 },
          has_critical: false,
          has_errors: false
        }
      })
    }).pipe(Effect.provide(watched()))
  )

  it.effect("is bounded, and the levels that matter stay", () =>
    Effect.gen(function* () {
      const usage = yield* Usage.Usage
      for (let at = 0; at < 30; at++) yield* usage.recordLoad(`slow-${at}`, "1 second")
      yield* TestClock.adjust("5 seconds")
      yield* usage.recordError("broken", "down")
      yield* TestClock.adjust("5 seconds")
      const { alerts, summary } = yield* (yield* Alerts.Alerts).active()
      assert.deepStrictEqual([summary.totalAlerts, alerts[0]?.level], [10, "error"])
    }).pipe(Effect.provide(watched({ maxAlerts: 10 })))
  )
})

describe("acknowledging", () => {
  it.effect("is told once, with who did it", () =>
    Effect.gen(function* () {
      const alerts = yield* Alerts.Alerts
      yield* call("payments", { fails: true })
      yield* alerts.look
      const { id } = (yield* alerts.active()).alerts[0]!
      const events: Array<ResilienceEvent.ResilienceEvent> = []
      yield* (yield* Registry).events.pipe(
        Stream.filter(({ _tag }) => _tag.startsWith("Alert")),
        Stream.runForEach((event) => Effect.sync(() => void events.push(event))),
        Effect.forkScoped({ startImmediately: true })
      )
      yield* alerts.acknowledge(id, "ada")
      const { acknowledgedBy } = yield* alerts.acknowledge(id, "grace")
      assert.deepStrictEqual(acknowledgedBy, Option.some("ada"))
      yield* TestClock.adjust(0)
      assert.strictEqual(events.length, 1)
      assert.deepInclude(events[0], {
        _tag: "AlertAcknowledged",
        id,
        rule: "circuit_open",
        subject: "payments",
        level: "error",
        actor: "ada"
      })
    }).pipe(Effect.provide(watched()))
  )

  it.effect("names the open alerts when there is none of an id", () =>
    Effect.gen(function* () {
      const alerts = yield* Alerts.Alerts
      yield* call("payments", { fails: true })
      yield* alerts.look
      const { id } = (yield* alerts.active()).alerts[0]!
      const error = yield* Effect.flip(alerts.acknowledge("nope", "ada"))
      assert.strictEqual(error._tag, "UnknownAlert")
      assert.deepStrictEqual(error.available, [id])
      assert.strictEqual(error.message, `No alert "nope" is open. Open: ${id}`)
    }).pipe(Effect.provide(watched()))
  )

  it.effect("refuses an alert that is resolved", () =>
    Effect.gen(function* () {
      const alerts = yield* Alerts.Alerts
      yield* (yield* Usage.Usage).recordLoad("simple", "1 second")
      yield* alerts.look
      const { id } = (yield* alerts.active()).alerts[0]!
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* Effect.flip(alerts.acknowledge(id, "ada")))._tag, "UnknownAlert")
    }).pipe(Effect.provide(watched()))
  )
})

describe("a cleanup", () => {
  it.effect("forgets what was resolved hours ago", () =>
    Effect.gen(function* () {
      const alerts = yield* Alerts.Alerts
      yield* (yield* Usage.Usage).recordLoad("simple", "1 second")
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(yield* alerts.clearOlderThan(1), { removed: 0, remaining: 1 })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* alerts.clearOlderThan(1), { removed: 1, remaining: 0 })
      assert.strictEqual((yield* Effect.flip(alerts.clearOlderThan(0)))._tag, "OutOfRange")
    }).pipe(Effect.provide(watched()))
  )
})

describe("settings", () => {
  const cases: ReadonlyArray<readonly [name: string, input: Alerts.SettingsInput]> = [
    ["an error rate of 0", { errorRate: 0 }],
    ["an error rate above 1", { errorRate: 1.1 }],
    ["a look every millisecond", { lookEvery: "1 milli" }],
    ["an objective of 1", { objective: 1 }],
    ["no alerts", { maxAlerts: 0 }],
    ["a burn rate below 1", { burnRates: [{ factor: 0, short: "5 minutes", long: "1 hour", level: "error" }] }],
    ["a burn rate over seconds", { burnRates: [{ factor: 2, short: "5 seconds", long: "1 hour", level: "error" }] }]
  ]
  for (const [name, input] of cases) {
    it(`refuse ${name}`, () => {
      assert.throws(() => Alerts.layer(input), Settings.InvalidSettings)
    })
  }

  it.effect("decide the rules", () =>
    Effect.gen(function* () {
      yield* calls("search", 8, 2)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* open, ["error_rate search critical", "slo_burn_1min_2min search warning"])
    }).pipe(
      Effect.provide(
        watched({
          lookEvery: "1 second",
          errorRate: 0.1,
          objective: 0.9,
          burnRates: [{ factor: 2, short: "1 minute", long: "2 minutes", level: "warning" }]
        })
      )
    )
  )
})

describe("events of alerts", () => {
  it.effect("say what it is about and since when", () =>
    Effect.gen(function* () {
      const events = yield* told
      yield* (yield* Usage.Usage).recordLoad("simple", "150 millis")
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(events, [
        {
          _tag: "AlertRaised",
          at: DateTime.makeUnsafe(5000),
          id: "alert-0-1",
          rule: "load_time",
          subject: "simple",
          level: "warning",
          title: "Slow load of preset simple",
          description: "A configuration took 150 ms to load, limit 100 ms",
          threshold: 100,
          actual: 150
        }
      ])
    }).pipe(Effect.scoped, Effect.provide(watched()))
  )
})
