import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Layer, Logger, Option, Schema } from "effect"
import { KeyValueStore } from "effect/persistence"
import { TestClock } from "effect/testing"
import { CircuitBreaker, Preset, Registry, Resilience, Settings, Strategy, withResilience } from "breakwater"
import { CircuitStates } from "breakwater/persistence"

const settings = { failureThreshold: 2, openDuration: "1 minute" } as const
const down = Effect.fail("down" as const)

const reasonOf = <A, E>(exit: Exit.Exit<A, E>): unknown => {
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  return typeof error === "object" && error !== null && "reason" in error
    ? (error.reason as { readonly _tag: string })._tag
    : (error ?? "admitted")
}

type Breaker = CircuitBreaker.CircuitBreaker["Service"]

const ask = (breaker: Breaker, key?: string) =>
  Effect.map(Effect.exit(Effect.void.pipe(breaker.protect({ key }))), reasonOf)
const open = (breaker: Breaker, key?: string) =>
  Effect.repeat(Effect.exit(down.pipe(breaker.protect({ key }))), { times: 1 })

/** One life of a program: what is built for it is closed at its end. */
const life = <A, E, R>(
  body: (breaker: Breaker, states: CircuitStates.CircuitStates["Service"]) => Effect.Effect<A, E, R>,
  options: CircuitStates.SettingsInput = {},
  operation = "payments"
) =>
  Effect.gen(function* () {
    return yield* body(yield* CircuitBreaker.CircuitBreaker, yield* CircuitStates.CircuitStates)
  }).pipe(
    Effect.provide(
      Layer.provideMerge(CircuitBreaker.CircuitBreaker.layer({ operation, settings }), CircuitStates.layer(options))
    )
  )

const stored = Effect.gen(function* () {
  const store = yield* KeyValueStore.KeyValueStore
  const keys = yield* store.keys
  return yield* Effect.forEach(keys.toSorted(), (key) =>
    Effect.map(store.get(key), (text) => [key, JSON.parse(text ?? "null")] as const)
  )
})

describe("CircuitStates", () => {
  it.effect("lets an open circuit go on with what is left of its open time", () =>
    Effect.gen(function* () {
      yield* life((breaker) => Effect.andThen(open(breaker), TestClock.adjust("20 seconds")))
      yield* TestClock.adjust("10 seconds")
      yield* life((breaker) =>
        Effect.gen(function* () {
          const error = yield* Effect.flip(Effect.void.pipe(breaker.protect()))
          assert.strictEqual(error.reason._tag, "CircuitOpen")
          assert.deepStrictEqual(error.retryAfter, Duration.seconds(30))
          const snapshot = yield* CircuitBreaker.snapshot(yield* breaker.circuit())
          assert.deepInclude(snapshot, { state: "open", failureCount: 2, version: 1 })
          yield* TestClock.adjust("30 seconds")
          assert.strictEqual(yield* ask(breaker), "admitted")
          assert.strictEqual((yield* CircuitBreaker.snapshot(yield* breaker.circuit())).state, "closed")
        })
      )
      yield* life((breaker) => Effect.map(ask(breaker), (answer) => assert.strictEqual(answer, "admitted")))
    }).pipe(Effect.provide(KeyValueStore.layerMemory))
  )

  it.effect("lets the first call probe when the open time went by meanwhile", () =>
    Effect.gen(function* () {
      yield* life((breaker) => open(breaker))
      yield* TestClock.adjust("1 hour")
      yield* life((breaker) =>
        Effect.gen(function* () {
          // One failure reopens: it is a probe, not the first call of a closed circuit.
          yield* Effect.exit(down.pipe(breaker.protect()))
          assert.strictEqual(yield* ask(breaker), "CircuitOpen")
        })
      )
    }).pipe(Effect.provide(KeyValueStore.layerMemory))
  )

  it.effect("keeps a half-open circuit as one that may probe at once", () =>
    Effect.gen(function* () {
      yield* life((breaker) =>
        Effect.gen(function* () {
          yield* open(breaker)
          yield* TestClock.adjust("1 minute")
          yield* Effect.never.pipe(breaker.protect(), Effect.forkChild({ startImmediately: true }))
          assert.strictEqual((yield* CircuitBreaker.snapshot(yield* breaker.circuit())).state, "half_open")
        })
      )
      yield* life((breaker) =>
        Effect.gen(function* () {
          yield* Effect.exit(down.pipe(breaker.protect()))
          assert.strictEqual(yield* ask(breaker), "CircuitOpen")
        })
      )
    }).pipe(Effect.provide(KeyValueStore.layerMemory))
  )

  for (const [step, left] of [
    ["-10 years", Option.some(Duration.seconds(60))],
    // So long after its end that nothing is kept.
    ["+10 years", Option.none()]
  ] as const) {
    it.effect(
      `never lets a circuit stay open for longer than its open time, nor less than none, after a step of ${step}`,
      () =>
        Effect.gen(function* () {
          yield* TestClock.setTime(1e12)
          yield* life((breaker) => Effect.andThen(open(breaker), TestClock.adjust("20 seconds")))
          const years = (step.startsWith("-") ? -10 : 10) * 365 * 86_400_000
          const stepped = yield* TestClock.testClockWith((clock) =>
            Effect.succeed({ ...clock, currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + years })
          )
          yield* life((breaker) =>
            Effect.gen(function* () {
              const { retryAfter } = yield* CircuitBreaker.snapshot(yield* breaker.circuit())
              assert.deepStrictEqual(retryAfter, left)
            })
          ).pipe(Effect.provideService(Clock.Clock, stepped))
        }).pipe(Effect.provide(KeyValueStore.layerMemory))
    )
  }

  it.effect("keeps overrides with what is left of them, and forgets those whose time went by", () =>
    Effect.gen(function* () {
      yield* life((breaker) =>
        Effect.gen(function* () {
          const circuit = yield* breaker.circuit("a")
          yield* CircuitBreaker.isolate(circuit, { reason: "incident 42", actor: "ana", expiresIn: "1 minute" })
          yield* CircuitBreaker.disable(circuit, { reason: "for good" })
          yield* CircuitBreaker.metricsOnly(circuit, { reason: "trial", expiresIn: "10 seconds" })
        })
      )
      yield* TestClock.adjust("20 seconds")
      yield* life((breaker) =>
        Effect.gen(function* () {
          const circuit = yield* breaker.circuit("a")
          assert.deepStrictEqual((yield* CircuitBreaker.snapshot(circuit)).overrides, [
            { mode: "isolated", reason: "incident 42", actor: "ana", expiresIn: Option.some(Duration.seconds(40)) },
            { mode: "disabled", reason: "for good", actor: undefined, expiresIn: Option.none() }
          ])
          assert.strictEqual(yield* ask(breaker, "a"), "CircuitIsolated")
          yield* TestClock.adjust("40 seconds")
          assert.strictEqual(yield* ask(breaker, "a"), "admitted")
        })
      )
    }).pipe(Effect.provide(KeyValueStore.layerMemory))
  )

  it.effect("keeps each key apart, however it is spelled", () =>
    Effect.gen(function* () {
      const keys = ["a", "a:b", "a/b", "%", "ü \u{1f600}", "", undefined]
      yield* life((breaker) => Effect.forEach(keys, (key) => open(breaker, key)), {}, "pay:ments")
      yield* life(
        (breaker, states) =>
          Effect.gen(function* () {
            for (const key of keys) assert.strictEqual(yield* ask(breaker, key), "CircuitOpen", String(key))
            assert.strictEqual(yield* ask(breaker, "b"), "admitted")
            assert.deepInclude(yield* states.stats, { found: 7, recalled: 7, garbage: 0 })
          }),
        {},
        "pay:ments"
      )
    }).pipe(Effect.provide(KeyValueStore.layerMemory))
  )

  it.effect("saves what moved once, after the debounce, and removes what is closed", () =>
    Effect.gen(function* () {
      yield* life((breaker, states) =>
        Effect.gen(function* () {
          yield* open(breaker, "a")
          yield* open(breaker, "b")
          yield* CircuitBreaker.trip(yield* breaker.circuit("a"), { openFor: "2 minutes" })
          yield* TestClock.adjust("999 millis")
          assert.deepStrictEqual(yield* stored, [])
          yield* TestClock.adjust(1)
          assert.deepStrictEqual(yield* stored, [
            [
              "breakwater/circuit/payments:a",
              {
                version: 1,
                operation: "payments",
                key: "a",
                savedAt: "1970-01-01T00:00:01.000Z",
                open: { leftMillis: 119_000, openMillis: 120_000, openings: 1, failures: 2 },
                overrides: []
              }
            ],
            [
              "breakwater/circuit/payments:b",
              {
                version: 1,
                operation: "payments",
                key: "b",
                savedAt: "1970-01-01T00:00:01.000Z",
                open: { leftMillis: 59_000, openMillis: 60_000, openings: 1, failures: 2 },
                overrides: []
              }
            ]
          ])
          assert.deepInclude(yield* states.stats, { saved: 2, removed: 0 })
          yield* CircuitBreaker.close(yield* breaker.circuit("a"))
          yield* TestClock.adjust("1 second")
          assert.strictEqual((yield* stored).length, 1)
          assert.deepInclude(yield* states.stats, { saved: 2, removed: 1 })
        })
      )
    }).pipe(Effect.provide(KeyValueStore.layerMemory))
  )

  it.effect("takes garbage for absent and counts it", () =>
    Effect.gen(function* () {
      const store = yield* KeyValueStore.KeyValueStore
      yield* life((breaker) => open(breaker))
      const [[name, entry] = ["", undefined]] = yield* stored
      const bad: ReadonlyArray<string> = [
        "",
        "not json",
        "null",
        "[]",
        JSON.stringify({ ...entry, version: 2 }),
        JSON.stringify({ ...entry, extra: 1 }),
        JSON.stringify({ ...entry, operation: "other" }),
        JSON.stringify({ ...entry, savedAt: "yesterday" }),
        JSON.stringify({ ...entry, open: { ...entry.open, leftMillis: -1 } }),
        JSON.stringify({ ...entry, open: { ...entry.open, openMillis: 1e12 } }),
        JSON.stringify({ ...entry, open: { ...entry.open, openMillis: null } }),
        JSON.stringify({ ...entry, overrides: [{ mode: "open", reason: "", actor: null, leftMillis: 1 }] }),
        `{"__proto__":{"version":1}}`
      ]
      for (const text of bad) {
        yield* store.set(name, text)
        yield* life((breaker, states) =>
          Effect.gen(function* () {
            assert.strictEqual(yield* ask(breaker), "admitted", text)
            assert.deepInclude(yield* states.stats, { garbage: 1, found: 0, failures: 0 })
          })
        )
      }
      yield* store.set(name, JSON.stringify(entry))
      yield* life((breaker) => Effect.map(ask(breaker), (answer) => assert.strictEqual(answer, "CircuitOpen")))
    }).pipe(Effect.provide(KeyValueStore.layerMemory))
  )

  it.effect("leaves keys of others alone", () =>
    Effect.gen(function* () {
      const store = yield* KeyValueStore.KeyValueStore
      yield* store.set("mine", "not json")
      yield* life((breaker) => open(breaker), { prefix: "one/" })
      yield* life(
        (breaker, states) =>
          Effect.gen(function* () {
            assert.strictEqual(yield* ask(breaker), "admitted")
            assert.deepInclude(yield* states.stats, { found: 0, garbage: 0 })
          }),
        { prefix: "two/" }
      )
      assert.strictEqual(yield* store.get("mine"), "not json")
    }).pipe(Effect.provide(KeyValueStore.layerMemory))
  )

  it.effect("removes entries a day after nothing is left of them", () =>
    Effect.gen(function* () {
      yield* life((breaker) => open(breaker))
      yield* TestClock.adjust("1 day")
      yield* life((_, states) => Effect.map(states.stats, ({ found }) => assert.strictEqual(found, 1)))
      yield* TestClock.adjust("1 minute")
      yield* life((_, states) => Effect.map(states.stats, ({ found }) => assert.strictEqual(found, 0)))
      assert.deepStrictEqual(yield* stored, [])
    }).pipe(Effect.provide(KeyValueStore.layerMemory))
  )

  it.effect("keeps no more circuits than it may, and makes room when their time is over", () =>
    Effect.gen(function* () {
      yield* life(
        (breaker, states) =>
          Effect.gen(function* () {
            for (const key of ["a", "b", "c"]) yield* open(breaker, key)
            yield* states.save
            assert.strictEqual((yield* stored).length, 2)
            assert.deepInclude(yield* states.stats, { saved: 2, omitted: 1 })
            yield* TestClock.adjust("1 minute")
            yield* open(breaker, "d")
            yield* states.save
            assert.deepStrictEqual(
              (yield* stored).map(([name]) => name),
              ["breakwater/circuit/payments:d"]
            )
          }),
        { maxEntries: 2 }
      )
    }).pipe(Effect.provide(KeyValueStore.layerMemory))
  )

  const failing = (get: () => boolean) =>
    Layer.effect(
      KeyValueStore.KeyValueStore,
      Effect.map(KeyValueStore.KeyValueStore, (store) => {
        const unless = <A>(effect: Effect.Effect<A, KeyValueStore.KeyValueStoreError>) =>
          Effect.suspend(() =>
            get() ? Effect.fail(new KeyValueStore.KeyValueStoreError({ message: "away", method: "set" })) : effect
          )
        return {
          ...store,
          set: (key: string, value: string | Uint8Array) => unless(store.set(key, value)),
          keys: unless(store.keys)
        }
      })
    ).pipe(Layer.provide(KeyValueStore.layerMemory))

  it.effect("warns of a store that fails, and saves when it is back", () => {
    let isAway = true
    const lines: Array<unknown> = []
    const logger = Logger.make(({ message }) => lines.push(message))
    return Effect.gen(function* () {
      yield* life((breaker, states) =>
        Effect.gen(function* () {
          assert.deepInclude(yield* states.stats, { failures: 1 })
          yield* open(breaker, "a")
          yield* open(breaker, "b")
          yield* TestClock.adjust("1 second")
          assert.deepInclude(yield* states.stats, { failures: 2, saved: 0 })
          assert.strictEqual(lines.length, 2)
          isAway = false
          yield* TestClock.adjust("11 seconds")
          assert.deepInclude(yield* states.stats, { failures: 2, saved: 2 })
        })
      )
      assert.strictEqual((yield* stored).length, 2)
    }).pipe(Effect.provide(failing(() => isAway)), Effect.provide(Logger.layer([logger])))
  })

  it.effect("waits for a silent store no longer than its timeout, and no call waits for it", () =>
    Effect.gen(function* () {
      const silent = Layer.succeed(
        KeyValueStore.KeyValueStore,
        KeyValueStore.make({
          get: () => Effect.never,
          getUint8Array: () => Effect.never,
          set: () => Effect.never,
          remove: () => Effect.never,
          clear: Effect.never,
          size: Effect.never,
          keys: Effect.succeed([])
        })
      )
      const run = yield* life((breaker, states) =>
        Effect.gen(function* () {
          yield* open(breaker)
          assert.strictEqual(yield* ask(breaker), "CircuitOpen")
          yield* TestClock.adjust("1 second")
          yield* TestClock.adjust("5 seconds")
          assert.deepInclude(yield* states.stats, { failures: 1, saved: 0 })
        })
      ).pipe(Effect.provide(silent), Effect.provide(Logger.layer([])), Effect.forkChild({ startImmediately: true }))
      yield* TestClock.adjust("5 seconds")
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(run.pollUnsafe())
    })
  )

  it.effect("saves when the scope closes", () =>
    Effect.gen(function* () {
      yield* life((breaker) => open(breaker))
      assert.strictEqual((yield* stored).length, 1)
    }).pipe(Effect.provide(KeyValueStore.layerMemory))
  )

  it.effect("serves the operations of a Resilience", () => {
    const strategy = Strategy.make("fragile", { retry: false, circuitBreaker: settings })
    const call = (key?: string) =>
      down.pipe(withResilience(strategy, { operation: "pay", key }), Effect.exit, Effect.map(reasonOf))
    const program = <A, E>(body: Effect.Effect<A, E, Resilience>) =>
      body.pipe(Effect.provide(Layer.provide(Resilience.layer(Preset.simple), CircuitStates.layer())))
    return Effect.gen(function* () {
      yield* program(Effect.all([call(), call(), call("a"), call("a")]))
      yield* program(
        Effect.gen(function* () {
          assert.strictEqual(yield* call(), "CircuitOpen")
          assert.strictEqual(yield* call("a"), "CircuitOpen")
          assert.strictEqual(yield* call("b"), "down")
          const circuit = Option.getOrThrow(yield* (yield* Registry).circuit("pay"))
          assert.strictEqual((yield* CircuitBreaker.snapshot(circuit)).settings.failureThreshold, 2)
        })
      )
    }).pipe(Effect.provide(KeyValueStore.layerMemory))
  })

  it.effect("hands a circuit's state over without a store", () =>
    Effect.gen(function* () {
      const make = CircuitBreaker.make({ operation: "payments", settings })
      const [one, other] = [yield* make, yield* make]
      assert.deepStrictEqual(yield* CircuitStates.exported(yield* one.circuit()), Option.none())
      yield* open(one)
      yield* CircuitBreaker.metricsOnly(yield* one.circuit(), { reason: "trial", expiresIn: "20 seconds" })
      yield* TestClock.adjust("5 seconds")
      const entry = Option.getOrThrow(yield* CircuitStates.exported(yield* one.circuit()))
      const json: unknown = JSON.parse(JSON.stringify(yield* Schema.encodeEffect(CircuitStates.Entry)(entry)))
      yield* TestClock.adjust("5 seconds")

      const circuit = yield* other.circuit()
      const late = yield* Effect.forkChild(Effect.exit(Effect.sleep("1 second").pipe(other.protect())), {
        startImmediately: true
      })
      yield* CircuitStates.restore(circuit, yield* Schema.decodeUnknownEffect(CircuitStates.Entry)(json))
      assert.deepInclude(yield* CircuitBreaker.snapshot(circuit), {
        state: "metrics_only",
        version: 1,
        retryAfter: Option.some(Duration.seconds(50))
      })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(late)
      assert.strictEqual((yield* CircuitBreaker.snapshot(circuit)).counters.stale, 1)
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* ask(other), "CircuitOpen")
      const { timeIn } = yield* CircuitBreaker.snapshot(circuit)
      assert.deepStrictEqual(timeIn.closed, Duration.seconds(10))
      assert.deepStrictEqual(timeIn.metrics_only, Duration.seconds(10))
    })
  )

  it("refuses settings out of range", () => {
    for (const input of [{ prefix: "" }, { debounce: 0 }, { timeout: NaN }, { maxEntries: 0 }]) {
      assert.throws(() => CircuitStates.layer(input), Settings.InvalidSettings)
    }
  })
})
