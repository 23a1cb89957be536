/** What the shell adds to trip policies, slow starts and overrides. Their numbers: internal/circuitPolicies.test.ts. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Config, ConfigProvider, Duration, Effect, Equal, Exit, Fiber, Option, Random, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  CircuitBreaker,
  Decisions,
  Errors,
  Outcome,
  Preset,
  Registry,
  Resilience,
  ResilienceEvent,
  Settings,
  Strategy,
  withResilience
} from "breakwater"

const down = Effect.fail("down" as const)

const make = (settings: CircuitBreaker.SettingsInput, options: Partial<CircuitBreaker.MakeOptions> = {}) =>
  CircuitBreaker.make({ operation: "target", settings, ...options })

type Breaker = CircuitBreaker.CircuitBreaker["Service"]

/** Calls one after another: s succeeds, f fails. */
const run = (breaker: Breaker, outcomes: string, key?: string): Effect.Effect<void> => {
  const call = (outcome: string): Effect.Effect<void, "down"> => (outcome === "s" ? Effect.void : down)
  return Effect.forEach(outcomes, (outcome) => Effect.exit(call(outcome).pipe(breaker.protect({ key }))), {
    discard: true
  })
}

const reasonOf = (breaker: Breaker) =>
  Effect.void.pipe(
    breaker.protect(),
    Effect.as("admitted"),
    Effect.catch(({ reason }) => Effect.succeed(reason._tag))
  )

const snapshot = (breaker: Breaker, key?: string) => Effect.flatMap(breaker.circuit(key), CircuitBreaker.snapshot)
const state = (breaker: Breaker) => Effect.map(snapshot(breaker), ({ state }) => state)

const recording = () => {
  const events: Array<ResilienceEvent.ResilienceEvent> = []
  const sink: ResilienceEvent.Sink = {
    isActive: () => true,
    publishUnsafe: (event) => events.push(event),
    listenUnsafe: () => () => {}
  }
  return { events, provide: Effect.provideService(ResilienceEvent.ResilienceEvents, sink) }
}

const refused = (write: () => unknown): Settings.InvalidSettings => {
  try {
    write()
  } catch (error) {
    assert.instanceOf(error, Settings.InvalidSettings)
    return error
  }
  throw new Error("accepted")
}

describe("trip policies", () => {
  it.effect("show what they count while the circuit is closed", () =>
    Effect.gen(function* () {
      const tripPolicy = CircuitBreaker.anyOf(
        CircuitBreaker.countWindow({ size: 4 }),
        CircuitBreaker.timeWindow({ duration: "10 seconds", minimumCalls: 20 }),
        CircuitBreaker.failuresIn({ count: 20, duration: "5 seconds" }),
        CircuitBreaker.slowCalls({ threshold: "1 second", minimumCalls: 20 }),
        CircuitBreaker.consecutive(9)
      )
      const breaker = yield* make({ tripPolicy })
      const figures = Effect.map(snapshot(breaker), ({ window }) =>
        window.map(({ calls, counted, policy }) => [policy._tag, calls, counted])
      )
      assert.deepStrictEqual(yield* figures, [
        ["CountWindow", 0, 0],
        ["TimeWindow", 0, 0],
        ["FailuresIn", 0, 0],
        ["SlowCalls", 0, 0],
        ["Consecutive", 0, 0]
      ])
      yield* run(breaker, "sf")
      const slow = yield* Effect.forkChild(Effect.never.pipe(breaker.protect()), { startImmediately: true })
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(yield* figures, [
        ["CountWindow", 2, 1],
        ["TimeWindow", 2, 1],
        ["FailuresIn", 0, 0],
        ["SlowCalls", 3, 1],
        ["Consecutive", 1, 1]
      ])
      assert.strictEqual((yield* snapshot(breaker)).failureCount, 1)
      yield* Fiber.interrupt(slow)
      assert.deepStrictEqual((yield* figures)[3], ["SlowCalls", 2, 0])
      yield* run(breaker, "ff")
      const opened = yield* snapshot(breaker)
      assert.strictEqual(opened.state, "open")
      assert.deepStrictEqual(opened.window, [])
      assert.strictEqual(opened.failureCount, 3)
    })
  )

  it.effect("show failures in a row where nothing else is asked for", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ failureThreshold: 3 })
      yield* run(breaker, "sff")
      assert.deepStrictEqual((yield* snapshot(breaker)).window, [
        { policy: CircuitBreaker.consecutive(3), calls: 2, counted: 2 }
      ])
    })
  )

  it.effect("open at a hang of the dependency, long before any call ends", () => {
    const { events, provide } = recording()
    return Effect.gen(function* () {
      const breaker = yield* make({
        tripPolicy: CircuitBreaker.slowCalls({ threshold: "2 seconds", minimumCalls: 3 })
      })
      for (let i = 0; i < 3; i++) {
        yield* Effect.forkChild(Effect.never.pipe(breaker.protect()), { startImmediately: true })
      }
      yield* TestClock.adjust("1999 millis")
      assert.strictEqual(yield* state(breaker), "closed")
      yield* TestClock.adjust(1)
      const error = yield* Effect.flip(Effect.void.pipe(breaker.protect()))
      assert.strictEqual(error.reason._tag, "CircuitOpen")
      assert.deepInclude(events[0], { _tag: "CircuitOpened", because: "slow_calls", failures: 3, error: undefined })
    }).pipe(provide)
  })

  it.effect("count a call as slow by the time it took, also one that is interrupted as none", () =>
    Effect.gen(function* () {
      const breaker = yield* make({
        tripPolicy: CircuitBreaker.slowCalls({ threshold: "2 seconds", window: { size: 2 } })
      })
      const call = (seconds: number) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.sleep(seconds * 1_000).pipe(
            breaker.protect(),
            Effect.forkChild({ startImmediately: true })
          )
          yield* TestClock.adjust(seconds * 1_000)
          yield* Fiber.join(fiber)
        })
      yield* call(1)
      const gone = yield* Effect.forkChild(Effect.never.pipe(breaker.protect()), { startImmediately: true })
      yield* Fiber.interrupt(gone)
      yield* call(1)
      assert.strictEqual(yield* state(breaker), "closed")
      yield* call(2)
      assert.strictEqual(yield* state(breaker), "open")
    })
  )

  it.effect("ask the policy in force where the calls of one circuit bring others", () => {
    const window = Strategy.make("window", {
      retry: false,
      circuitBreaker: { tripPolicy: CircuitBreaker.countWindow({ size: 4, minimumCalls: 4 }) }
    })
    const row = Strategy.make("row", { retry: false, circuitBreaker: { failureThreshold: 2 } })
    const call = (strategy: Strategy.Strategy) => Effect.exit(down.pipe(withResilience(strategy, { operation: "pay" })))
    return Effect.gen(function* () {
      yield* call(window)
      yield* call(row)
      yield* call(row)
      const circuit = Option.getOrThrow(yield* (yield* Registry).circuit("pay"))
      assert.strictEqual((yield* CircuitBreaker.snapshot(circuit)).state, "closed")
      yield* call(window)
      assert.strictEqual((yield* CircuitBreaker.snapshot(circuit)).state, "open")
    }).pipe(Effect.provide(Resilience.layer(Preset.simple)))
  })

  it.effect("keep what they counted when the configuration is read anew and says the same", () => {
    const strategy = Strategy.make("window", {
      retry: false,
      circuitBreaker: { tripPolicy: CircuitBreaker.countWindow({ size: 4, minimumCalls: 4 }) }
    })
    const call = Effect.exit(down.pipe(withResilience(strategy, { operation: "pay" })))
    return Effect.gen(function* () {
      const resilience = yield* Registry
      yield* call
      yield* call
      yield* resilience.configure((current) => ({ ...current }))
      yield* call
      yield* call
      const circuit = Option.getOrThrow(yield* resilience.circuit("pay"))
      assert.strictEqual((yield* CircuitBreaker.snapshot(circuit)).state, "open")
    }).pipe(Effect.provide(Resilience.layer(Preset.simple)))
  })

  it.effect("are told in a decision in their own words", () => {
    const explained = (operation: string, tripPolicy: CircuitBreaker.TripPolicy) => {
      const strategy = Strategy.make("own", {
        retry: false,
        circuitBreaker: { tripPolicy, openDuration: "10 seconds" }
      })
      const call = down.pipe(withResilience(strategy, { operation }))
      return Effect.gen(function* () {
        yield* Effect.exit(call)
        yield* Effect.exit(call)
        const error = yield* Effect.flip(call)
        const decision = yield* Decisions.find((typeof error === "string" ? undefined : error.decisionId) ?? "")
        return Decisions.explain(decision).replace(/, opened.*/, "")
      })
    }
    return Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* Effect.all([
          explained("a", CircuitBreaker.consecutive(2)),
          explained("b", CircuitBreaker.countWindow({ size: 2 })),
          explained("c", CircuitBreaker.timeWindow({ minimumCalls: 2 })),
          explained("d", CircuitBreaker.failuresIn({ count: 2, duration: "5 seconds" })),
          explained("e", CircuitBreaker.anyOf(CircuitBreaker.consecutive(2)))
        ]),
        [
          "refused by circuit a: 2 failures in a row",
          "refused by circuit b: 2 failures in 2 calls",
          "refused by circuit c: 2 failures in 1m",
          "refused by circuit d: 2 failures in 5s",
          "refused by circuit e: 2 bad calls"
        ]
      )
    }).pipe(Effect.provide(Resilience.layer(Preset.simple)))
  })
})

describe("Retry-After", () => {
  it.effect("of the failure that opens the circuit makes the open time longer, an hour at most by default", () =>
    Effect.gen(function* () {
      const openFor = (retryAfter: Duration.Input, settings: CircuitBreaker.SettingsInput = {}) =>
        Effect.gen(function* () {
          const breaker = yield* make({ failureThreshold: 1, openDuration: "10 seconds", ...settings })
          yield* Effect.exit(
            down.pipe(
              breaker.protect<never, "down">({
                classify: () => Outcome.failureAfter(Duration.fromInputUnsafe(retryAfter))
              })
            )
          )
          return Option.map((yield* snapshot(breaker)).retryAfter, Duration.toSeconds)
        })
      assert.deepStrictEqual(yield* openFor("5 seconds"), Option.some(10))
      assert.deepStrictEqual(yield* openFor("2 minutes"), Option.some(120))
      assert.deepStrictEqual(yield* openFor("5 hours"), Option.some(3_600))
      assert.deepStrictEqual(yield* openFor("5 hours", { maxRetryAfter: "1 minute" }), Option.some(60))
    })
  )

  it.effect("of a probe is heeded although another probe decides", () =>
    Effect.gen(function* () {
      const breaker = yield* make({
        failureThreshold: 1,
        openDuration: "10 seconds",
        halfOpenMaxCalls: 2,
        successThreshold: 1
      })
      const fail = (headers: object) => Effect.exit(Effect.fail({ status: 503, headers }).pipe(breaker.protect()))
      yield* fail({})
      yield* TestClock.adjust("10 seconds")
      yield* fail({ "retry-after": "300" })
      yield* fail({})
      const { retryAfter } = yield* Effect.flatMap(breaker.circuit(), CircuitBreaker.snapshot)
      assert.strictEqual(Duration.toSeconds(Option.getOrThrow(retryAfter)), 300)
    })
  )

  it.effect("that is a date is heeded, as a number of seconds is", () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(Date.UTC(2030, 0, 1))
      const breaker = yield* make({ failureThreshold: 1, openDuration: "10 seconds" })
      const headers = { "retry-after": new Date(Date.UTC(2030, 0, 1, 0, 5)).toUTCString() }
      yield* Effect.exit(Effect.fail({ status: 503, headers }).pipe(breaker.protect()))
      const { retryAfter } = yield* Effect.flatMap(breaker.circuit(), CircuitBreaker.snapshot)
      assert.strictEqual(Duration.toSeconds(Option.getOrThrow(retryAfter)), 300)
    })
  )

  it.effect("of an error is heeded without a classify of one's own", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ failureThreshold: 1, openDuration: "10 seconds" })
      const busy = new Errors.ServiceUnavailableError({ message: "busy", retryAfter: Duration.minutes(1) })
      yield* Effect.exit(Effect.fail(busy).pipe(breaker.protect()))
      assert.deepStrictEqual((yield* snapshot(breaker)).retryAfter, Option.some(Duration.minutes(1)))
    })
  )
})

describe("a slow start", () => {
  it.effect("admits by chance a share that grows, and tells the others when it is over", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ failureThreshold: 1, openDuration: "10 seconds", rampUp: "10 seconds" })
      yield* run(breaker, "f")
      yield* TestClock.adjust("10 seconds")
      yield* run(breaker, "s")
      const admitted = Effect.gen(function* () {
        const before = (yield* snapshot(breaker)).counters.admitted
        yield* run(breaker, "s".repeat(1_000))
        return (yield* snapshot(breaker)).counters.admitted - before
      }).pipe(Random.withSeed("slow start"))
      assert.approximately(yield* admitted, 100, 40)
      yield* TestClock.adjust("5 seconds")
      assert.approximately(yield* admitted, 550, 60)
      const never = { nextDoubleUnsafe: () => 0.999_999, nextIntUnsafe: () => 0 }
      const error = yield* Effect.flip(Effect.void.pipe(breaker.protect(), Effect.provideService(Random.Random, never)))
      assert.strictEqual(error.reason._tag, "CircuitHalfOpen")
      assert.strictEqual(error.reason._tag === "CircuitHalfOpen" && error.reason.because, "slow_start")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(5))
      assert.include(error.message, "starting slowly")
      assert.strictEqual(yield* state(breaker), "closed")
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* admitted, 1_000)
    })
  )

  it.effect("ends with the first failure", () => {
    const { events, provide } = recording()
    return Effect.gen(function* () {
      const breaker = yield* make({ failureThreshold: 5, openDuration: "10 seconds", rampUp: "10 seconds" })
      yield* run(breaker, "fffff")
      yield* TestClock.adjust("10 seconds")
      yield* run(breaker, "s")
      yield* TestClock.adjust("9 seconds")
      const always = { nextDoubleUnsafe: () => 0, nextIntUnsafe: () => 0 }
      yield* run(breaker, "f").pipe(Effect.provideService(Random.Random, always))
      assert.strictEqual(yield* state(breaker), "open")
      assert.deepInclude(events.at(-1), { _tag: "CircuitOpened", because: "relapsed", error: "string" })
    }).pipe(provide)
  })
})

describe("an override", () => {
  it.effect("is told by events and in the snapshot, the strongest first", () => {
    const { events, provide } = recording()
    return Effect.gen(function* () {
      const breaker = yield* make({ failureThreshold: 2 })
      const circuit = yield* breaker.circuit()
      yield* CircuitBreaker.metricsOnly(circuit, { reason: "trial" })
      yield* CircuitBreaker.disable(circuit, { reason: "drill", actor: "ana", expiresIn: "1 minute" })
      assert.deepStrictEqual((yield* CircuitBreaker.snapshot(circuit)).overrides, [
        { mode: "disabled", reason: "drill", actor: "ana", expiresIn: Option.some(Duration.minutes(1)) },
        { mode: "metrics_only", reason: "trial", actor: undefined, expiresIn: Option.none() }
      ])
      assert.strictEqual(yield* state(breaker), "disabled")
      yield* run(breaker, "fff")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* state(breaker), "metrics_only")
      yield* run(breaker, "ff")
      assert.strictEqual(yield* reasonOf(breaker), "admitted")
      yield* CircuitBreaker.release(circuit, "metrics_only")
      assert.strictEqual(yield* state(breaker), "open")
      assert.deepStrictEqual(
        events.map((event) => [
          event._tag,
          ..."from mode to because version"
            .split(" ")
            .flatMap((field) => (field in event ? [(event as never as Record<string, unknown>)[field]] : []))
        ]),
        [
          ["CircuitOverridden", "closed", "metrics_only", 1],
          ["CircuitOverridden", "metrics_only", "disabled", 2],
          ["CircuitOverrideEnded", "disabled", "disabled", "metrics_only", 3],
          ["CircuitOpened", "metrics_only", "failures", 4],
          ["CircuitOverrideEnded", "metrics_only", "metrics_only", "open", 5]
        ]
      )
      for (const event of events) {
        const encoded = yield* Schema.encodeEffect(ResilienceEvent.ResilienceEvent)(event)
        yield* Schema.decodeUnknownEffect(ResilienceEvent.ResilienceEvent)(JSON.parse(JSON.stringify(encoded)))
      }
    }).pipe(provide)
  })

  it.effect("stands beside that of another operator, and ends by itself alone", () =>
    Effect.gen(function* () {
      const circuit = yield* (yield* make({})).circuit()
      const incident = { reason: "incident 42", actor: "ana", expiresIn: "1 hour" } as const
      yield* CircuitBreaker.isolate(circuit, incident)
      yield* CircuitBreaker.isolate(circuit, { reason: "drill", actor: "bob", expiresIn: "1 minute" })
      const who = Effect.map(CircuitBreaker.snapshot(circuit), ({ overrides, state }) => [
        state,
        ...overrides.map(({ actor }) => actor)
      ])
      assert.deepStrictEqual(yield* who, ["isolated", "ana", "bob"])
      yield* TestClock.adjust("61 seconds")
      assert.deepStrictEqual(yield* who, ["isolated", "ana"])
      // A second word of the same operator takes the place of the first.
      yield* CircuitBreaker.isolate(circuit, { ...incident, expiresIn: "1 minute" })
      yield* CircuitBreaker.isolate(circuit, { reason: "drill", actor: "bob", expiresIn: "2 minutes" })
      assert.deepStrictEqual(yield* who, ["isolated", "bob", "ana"])
      yield* CircuitBreaker.release(circuit, "isolated", { actor: "bob" })
      assert.deepStrictEqual(yield* who, ["isolated", "ana"])
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* who, ["closed"])
      yield* CircuitBreaker.isolate(circuit, incident)
      yield* CircuitBreaker.isolate(circuit, { reason: "drill", actor: "bob" })
      yield* CircuitBreaker.release(circuit, "isolated")
      assert.deepStrictEqual(yield* who, ["closed"])
    })
  )

  it.effect("is one of 16 at most: the one that ends first makes room", () =>
    Effect.gen(function* () {
      const circuit = yield* (yield* make({})).circuit()
      for (let n = 1; n <= 17; n++) {
        yield* CircuitBreaker.isolate(circuit, { reason: "drill", actor: `operator ${n}`, expiresIn: `${n} minutes` })
      }
      const { overrides } = yield* CircuitBreaker.snapshot(circuit)
      assert.strictEqual(overrides.length, 16)
      assert.notInclude(
        overrides.map(({ actor }) => actor),
        "operator 1"
      )
    })
  )

  it.effect("that refuses nothing shows the state underneath, and counts what it would have refused", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ failureThreshold: 1 })
      const circuit = yield* breaker.circuit()
      yield* CircuitBreaker.metricsOnly(circuit, { reason: "dry run" })
      yield* Effect.exit(Effect.fail("down").pipe(breaker.protect()))
      yield* Effect.repeat(Effect.void.pipe(breaker.protect()), { times: 2 })
      const { automatic, counters, state } = yield* CircuitBreaker.snapshot(circuit)
      assert.deepStrictEqual([state, automatic], ["metrics_only", "open"])
      assert.deepInclude(counters, { admitted: 4, rejected: 0, wouldReject: 3 })
    })
  )

  it.effect("that disables counts calls, and the books balance", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ failureThreshold: 1 })
      const circuit = yield* breaker.circuit()
      yield* CircuitBreaker.disable(circuit, { reason: "drill" })
      yield* run(breaker, "fsf")
      const running = yield* Effect.forkChild(Effect.never.pipe(breaker.protect()), { startImmediately: true })
      assert.deepInclude((yield* CircuitBreaker.snapshot(circuit)).counters, {
        admitted: 4,
        failed: 2,
        succeeded: 1,
        inFlight: 1,
        stale: 0
      })
      yield* Fiber.interrupt(running)
      assert.deepInclude((yield* CircuitBreaker.snapshot(circuit)).counters, { interrupted: 1, inFlight: 0, opened: 0 })
      yield* CircuitBreaker.reset(circuit)
      assert.strictEqual(yield* state(breaker), "closed")
    })
  )

  it.effect("keeps its circuit in a full table of keys", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ failureThreshold: 1 }, { maxKeys: 1 })
      yield* CircuitBreaker.disable(yield* breaker.circuit("a"), { reason: "drill", expiresIn: "1 minute" })
      yield* run(breaker, "s", "b")
      assert.deepStrictEqual(
        (yield* breaker.circuits).map(({ key }) => key),
        ["a", "(overflow)"]
      )
    })
  )

  it.effect("needs a time in its range, as a trip does", () =>
    Effect.gen(function* () {
      const circuit = yield* (yield* make({})).circuit()
      for (const expiresIn of [0, -1, NaN, Infinity, "31 days"] as ReadonlyArray<Duration.Input>) {
        for (const lay of [
          () => CircuitBreaker.isolate(circuit, { reason: "why", expiresIn }),
          () => CircuitBreaker.disable(circuit, { reason: "why", expiresIn }),
          () => CircuitBreaker.metricsOnly(circuit, { reason: "why", expiresIn })
        ]) {
          const [finding] = refused(lay).findings
          assert.strictEqual(finding?.path, "expiresIn")
        }
      }
      for (const openFor of [0, -1, NaN, Infinity, "25 hours"] as ReadonlyArray<Duration.Input>) {
        assert.strictEqual(refused(() => CircuitBreaker.trip(circuit, { openFor })).findings[0]?.path, "openFor")
      }
      assert.strictEqual((yield* CircuitBreaker.snapshot(circuit)).version, 0)
    })
  )
})

describe("the time in each state", () => {
  it.effect("is right when a lapse and the end of an override are noticed late", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ failureThreshold: 1, openDuration: "10 seconds", probeTimeout: "4 seconds" })
      const circuit = yield* breaker.circuit()
      yield* run(breaker, "f")
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.forkChild(Effect.never.pipe(breaker.protect()), { startImmediately: true })
      yield* TestClock.adjust("30 seconds")
      yield* CircuitBreaker.metricsOnly(circuit, { reason: "trial", expiresIn: "5 seconds" })
      yield* TestClock.adjust("20 seconds")
      const { timeIn } = yield* CircuitBreaker.snapshot(circuit)
      assert.deepStrictEqual(
        { open: timeIn.open, half_open: timeIn.half_open, metrics_only: timeIn.metrics_only, closed: timeIn.closed },
        {
          open: Duration.seconds(10 + 26 + 15),
          half_open: Duration.seconds(4),
          metrics_only: Duration.seconds(5),
          closed: Duration.zero
        }
      )
      yield* Fiber.interrupt(probe)
    })
  )
})

describe("an idle open circuit", () => {
  it.effect("is forgotten once its open time is over, if there is no other", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ failureThreshold: 1, openDuration: "10 seconds" }, { maxKeys: 2 })
      const keys = Effect.map(breaker.circuits, (circuits) => circuits.map(({ key }) => key))
      yield* run(breaker, "f", "a")
      yield* run(breaker, "f", "b")
      yield* TestClock.adjust("9999 millis")
      yield* run(breaker, "s", "c")
      assert.deepStrictEqual(yield* keys, ["a", "b", "(overflow)"])
      yield* TestClock.adjust(1)
      yield* run(breaker, "s", "d")
      assert.deepStrictEqual(yield* keys, ["b", "d", "(overflow)"])
      // "d" is at rest and goes first, although "b" was not used for longer.
      yield* run(breaker, "s", "e")
      assert.deepStrictEqual(yield* keys, ["b", "e", "(overflow)"])
    })
  )
})

describe("the settings of trip policies", () => {
  const policies: ReadonlyArray<CircuitBreaker.TripPolicy> = [
    CircuitBreaker.consecutive(),
    CircuitBreaker.countWindow(),
    CircuitBreaker.timeWindow(),
    CircuitBreaker.failuresIn(),
    CircuitBreaker.slowCalls({ threshold: "2 seconds" }),
    CircuitBreaker.slowCalls({ threshold: "2 seconds", window: { size: 30 }, minimumCalls: 30 }),
    CircuitBreaker.slowCalls({ threshold: "2 seconds", window: { duration: "5 seconds" }, rate: 1 }),
    CircuitBreaker.anyOf(CircuitBreaker.consecutive(3), CircuitBreaker.anyOf(CircuitBreaker.countWindow({ rate: 0.1 })))
  ]

  it.effect("are the same from code, JSON and configuration", () =>
    Effect.gen(function* () {
      for (const tripPolicy of policies) {
        const code = CircuitBreaker.settings({ tripPolicy, rampUp: "30 seconds", maxRetryAfter: "5 minutes" })
        const json: unknown = JSON.parse(
          JSON.stringify(yield* Schema.encodeEffect(CircuitBreaker.SettingsFromJson)(code))
        )
        assert.isTrue(Equal.equals(yield* Schema.decodeUnknownEffect(CircuitBreaker.SettingsFromJson)(json), code))
        const config = yield* Config.schema(CircuitBreaker.SettingsFromJson, "circuit").parse(
          ConfigProvider.fromUnknown({ circuit: json })
        )
        assert.isTrue(Equal.equals(config, code))
      }
    })
  )

  it.effect("have the defaults that are documented, in code and in JSON", () =>
    Effect.gen(function* () {
      const decode = (tripPolicy: unknown) =>
        Effect.map(
          Schema.decodeUnknownEffect(CircuitBreaker.SettingsFromJson)({ tripPolicy }),
          (settings) => settings.tripPolicy
        )
      const minute = Duration.minutes(1)
      assert.deepStrictEqual<ReadonlyArray<object>>(
        policies.slice(0, 5).map((policy) => Object.fromEntries(Object.entries(policy))),
        [
          { _tag: "Consecutive", failures: 5 },
          { _tag: "CountWindow", size: 100, rate: 0.5 },
          { _tag: "TimeWindow", duration: minute, buckets: 10, rate: 0.5 },
          { _tag: "FailuresIn", count: 5, duration: minute },
          { _tag: "SlowCalls", threshold: Duration.seconds(2), rate: 0.5, window: { duration: minute, buckets: 10 } }
        ]
      )
      for (const [_tag, more, i] of [
        ["Consecutive", {}, 0],
        ["CountWindow", {}, 1],
        ["TimeWindow", {}, 2],
        ["FailuresIn", {}, 3],
        ["SlowCalls", { threshold: "2 seconds" }, 4]
      ] as const) {
        assert.isTrue(Equal.equals(yield* decode({ _tag, ...more }), policies[i]))
      }
    })
  )

  it.effect("ask for ten calls in a window, or for as many as it holds", () =>
    Effect.gen(function* () {
      const opensAt = (tripPolicy: CircuitBreaker.TripPolicy) =>
        Effect.gen(function* () {
          const breaker = yield* make({ tripPolicy })
          for (let calls = 1; calls <= 20; calls++) {
            yield* run(breaker, "f")
            if ((yield* state(breaker)) === "open") return calls
          }
          return Infinity
        })
      assert.strictEqual(yield* opensAt(CircuitBreaker.countWindow()), 10)
      assert.strictEqual(yield* opensAt(CircuitBreaker.countWindow({ size: 3 })), 3)
      assert.strictEqual(yield* opensAt(CircuitBreaker.timeWindow()), 10)
      assert.strictEqual(yield* opensAt(CircuitBreaker.timeWindow({ minimumCalls: 4 })), 4)
      assert.strictEqual(yield* opensAt(CircuitBreaker.failuresIn()), 5)
      assert.strictEqual(yield* opensAt(CircuitBreaker.consecutive()), 5)
    })
  )

  const nonsense: ReadonlyArray<readonly [name: string, write: () => unknown, path: string]> = [
    ...[0, -0.1, 1.01, NaN, Infinity].flatMap((rate) => [
      [`countWindow rate ${rate}`, () => CircuitBreaker.countWindow({ rate }), "rate"] as const,
      [`timeWindow rate ${rate}`, () => CircuitBreaker.timeWindow({ rate }), "rate"] as const,
      [`slowCalls rate ${rate}`, () => CircuitBreaker.slowCalls({ threshold: 1, rate }), "rate"] as const
    ]),
    ...[0, -1, 1.5, NaN, Infinity, 10_001].flatMap((n) => [
      [`size ${n}`, () => CircuitBreaker.countWindow({ size: n }), "size"] as const,
      [`minimumCalls ${n}`, () => CircuitBreaker.timeWindow({ minimumCalls: n }), "minimumCalls"] as const,
      [`buckets ${n}`, () => CircuitBreaker.timeWindow({ buckets: n }), "buckets"] as const,
      [`count ${n}`, () => CircuitBreaker.failuresIn({ count: n }), "count"] as const,
      [`failures ${n}`, () => CircuitBreaker.consecutive(n), "failures"] as const
    ]),
    ...[0, -1, NaN, Infinity, "25 hours"].flatMap((given) => {
      const duration = given as Duration.Input
      return [
        [`timeWindow ${given}`, () => CircuitBreaker.timeWindow({ duration }), "duration"] as const,
        [`failuresIn ${given}`, () => CircuitBreaker.failuresIn({ duration }), "duration"] as const,
        [`threshold ${given}`, () => CircuitBreaker.slowCalls({ threshold: duration }), "threshold"] as const,
        [
          `slowCalls window ${given}`,
          () => CircuitBreaker.slowCalls({ threshold: 1, window: { duration } }),
          "duration"
        ] as const
      ]
    }),
    ["minimumCalls above size", () => CircuitBreaker.countWindow({ size: 5, minimumCalls: 6 }), "minimumCalls"],
    [
      "minimumCalls above the size of slow calls",
      () => CircuitBreaker.slowCalls({ threshold: 1, window: { size: 5 }, minimumCalls: 6 }),
      "minimumCalls"
    ],
    ["anyOf nothing", () => CircuitBreaker.anyOf(), "policies"],
    [
      "anyOf nine",
      () => CircuitBreaker.anyOf(...Array.from({ length: 9 }, () => CircuitBreaker.consecutive())),
      "policies"
    ],
    [
      "a policy made by hand",
      () => CircuitBreaker.settings({ tripPolicy: { _tag: "CountWindow", size: 5, rate: 0.2 } as never }),
      "tripPolicy"
    ],
    ["rampUp 0", () => CircuitBreaker.settings({ rampUp: 0 }), "rampUp"],
    ["maxRetryAfter 0", () => CircuitBreaker.settings({ maxRetryAfter: 0 }), "maxRetryAfter"]
  ]

  for (const [name, write, path] of nonsense) {
    it(`refuse ${name}`, () => {
      const { findings, message } = refused(write)
      assert.strictEqual(findings[0]?.path, path, message)
      assert.isNotEmpty(findings[0]?.rule)
    })
  }

  it.effect("are read from JSON by settings that were not made for it, if they are failures in a row", () =>
    Effect.gen(function* () {
      const decode = Schema.decodeUnknownEffect(CircuitBreaker.Settings)
      const code = CircuitBreaker.settings({ tripPolicy: CircuitBreaker.consecutive(3) })
      const json = yield* Schema.encodeEffect(CircuitBreaker.Settings)(code)
      assert.deepStrictEqual(json.tripPolicy, { _tag: "Consecutive", failures: 3 })
      assert.isTrue(Equal.equals(yield* decode(json), code))
      const error = yield* Effect.flip(decode({ tripPolicy: { _tag: "CountWindow" } }))
      assert.include(String(error), "tripPolicy")
    })
  )

  it.effect("are refused in JSON too", () =>
    Effect.gen(function* () {
      for (const tripPolicy of [
        { _tag: "CountWindow", size: 5, minimumCalls: 6 },
        { _tag: "CountWindow", rate: 0 },
        { _tag: "TimeWindow", duration: 1_000 },
        { _tag: "SlowCalls" },
        { _tag: "AnyOf", policies: [{ _tag: "AnyOf", policies: [] }] },
        { _tag: "Sometimes" }
      ]) {
        assert.isTrue(
          Exit.isFailure(
            yield* Effect.exit(Schema.decodeUnknownEffect(CircuitBreaker.SettingsFromJson)({ tripPolicy }))
          )
        )
      }
    })
  )

  it("give way to failures in a row that a strategy states", () => {
    const window = Strategy.make("window", { circuitBreaker: { tripPolicy: CircuitBreaker.countWindow() } })
    const settingsOf = (strategy: Strategy.Strategy) => strategy.settings.circuitBreaker || assert.fail("no circuit")
    assert.strictEqual(settingsOf(Strategy.make("same", { extends: window })).tripPolicy?._tag, "CountWindow")
    const row = settingsOf(Strategy.make("row", { extends: window, circuitBreaker: { failureThreshold: 3 } }))
    assert.isUndefined(row.tripPolicy)
    assert.strictEqual(row.failureThreshold, 3)
    const both = { failureThreshold: 3, tripPolicy: CircuitBreaker.failuresIn() }
    assert.strictEqual(
      settingsOf(Strategy.make("both", { extends: window, circuitBreaker: both })).tripPolicy?._tag,
      "FailuresIn"
    )
    const longer = Strategy.make("longer", { extends: window, circuitBreaker: { openDuration: "2 minutes" } })
    assert.strictEqual(settingsOf(longer).tripPolicy?._tag, "CountWindow")
  })

  it.prop(
    "decode what they encode",
    { settings: Arbitrary.schema(CircuitBreaker.TripPolicy) },
    ({ settings }) => {
      const json: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(CircuitBreaker.TripPolicy)(settings)))
      assert.isTrue(Equal.equals(Schema.decodeUnknownSync(CircuitBreaker.TripPolicy)(json), settings))
    },
    { arbitrary: { runs: 200 } }
  )
})
