import { assert, describe, it } from "@effect/vitest"
import {
  Arbitrary,
  Cause,
  Clock,
  Config,
  ConfigProvider,
  Deferred,
  Duration,
  Effect,
  Equal,
  Exit,
  Fiber,
  Option,
  Schedule,
  Schema,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, Errors, Outcome, ResilienceEvent, Settings, Timeout } from "breakwater"

const quick = { failureThreshold: 2, openDuration: "10 seconds" } as const
const down = Effect.fail("down" as const)

type Breaker = CircuitBreaker.CircuitBreaker["Service"]

const make = (options: Partial<CircuitBreaker.MakeOptions> = {}) =>
  CircuitBreaker.make({ operation: "target", settings: quick, ...options })

/** Fails calls until the circuit opens. */
const open = (breaker: Breaker, key?: string) =>
  Effect.repeat(Effect.exit(down.pipe(breaker.protect({ key }))), { times: 1 })

const snapshot = (breaker: Breaker, key?: string) => Effect.flatMap(breaker.circuit(key), CircuitBreaker.snapshot)

const reasonOf = <A, E>(exit: Exit.Exit<A, E>): unknown => {
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  return typeof error === "object" && error !== null && "reason" in error
    ? (error.reason as { readonly _tag: string })._tag
    : error
}

/** Keeps the events as they are published, in the same instant. */
const recording = () => {
  const events: Array<ResilienceEvent.ResilienceEvent> = []
  const sink: ResilienceEvent.Sink = {
    isActive: () => true,
    publishUnsafe: (event) => events.push(event),
    listenUnsafe: () => () => {}
  }
  const provide = Effect.provideService(ResilienceEvent.ResilienceEvents, sink)
  return { events, provide, tags: () => events.map((event) => event._tag) }
}

const balance = ({ counters: c }: CircuitBreaker.Snapshot) => {
  assert.strictEqual(c.admitted, c.succeeded + c.failed + c.ignored + c.interrupted + c.stale + c.inFlight)
  assert.isAtLeast(c.inFlight, 0)
}

describe("CircuitBreaker.protect", () => {
  it.effect("rejects with CircuitOpen once open, and probes after the open time", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* open(breaker)
      yield* TestClock.adjust("4 seconds")
      let runs = 0
      const call = Effect.sync(() => ++runs).pipe(breaker.protect())
      const error = yield* Effect.flip(call)
      assert.strictEqual(error._tag, "ResilienceError")
      assert.strictEqual(error.operation, "target")
      assert.strictEqual(error.reason._tag, "CircuitOpen")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(6))
      assert.isFalse(error.isRetryable)
      assert.strictEqual(runs, 0)

      yield* TestClock.adjust("5999 millis")
      assert.deepStrictEqual((yield* Effect.flip(call)).retryAfter, Duration.millis(1))
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* call, 1)
      assert.strictEqual((yield* snapshot(breaker)).state, "closed")
    })
  )

  it.effect("opens at the end of the call that failed, and probes for as long as it takes", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ settings: { ...quick, failureThreshold: 1 } })
      const slow = Effect.andThen(Effect.sleep("3 seconds"), down).pipe(breaker.protect(), Effect.exit)
      const call = yield* Effect.forkChild(slow, { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(call)
      assert.deepStrictEqual((yield* snapshot(breaker)).retryAfter, Option.some(Duration.seconds(10)))
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.forkChild(slow, { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(probe)
      assert.deepStrictEqual((yield* snapshot(breaker)).retryAfter, Option.some(Duration.seconds(10)))
    })
  )

  it.effect("rounds the time to wait up, so that who waits that long is admitted", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("300 micros")
      const breaker = yield* make()
      yield* open(breaker)
      yield* TestClock.adjust("9999 millis")
      yield* TestClock.adjust("500 micros")
      const error = yield* Effect.flip(Effect.void.pipe(breaker.protect()))
      assert.deepStrictEqual(error.retryAfter, Duration.millis(1))
      yield* TestClock.adjust(1)
      yield* Effect.void.pipe(breaker.protect())
    })
  )

  it.effect("rejects with CircuitHalfOpen while a probe runs", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ settings: { ...quick, probeTimeout: "4 seconds" } })
      yield* open(breaker)
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.sleep("1 second").pipe(
        breaker.protect(),
        Effect.forkChild({ startImmediately: true })
      )
      const error = yield* Effect.flip(Effect.void.pipe(breaker.protect()))
      assert.strictEqual(error.reason._tag, "CircuitHalfOpen")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(4))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(probe)
      assert.strictEqual((yield* snapshot(breaker)).state, "closed")
    })
  )

  it.effect("closes when all of its probes succeed, by default", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ settings: { ...quick, halfOpenMaxCalls: 2 } })
      yield* open(breaker)
      yield* TestClock.adjust("10 seconds")
      yield* Effect.void.pipe(breaker.protect())
      assert.strictEqual((yield* snapshot(breaker)).state, "half_open")
      yield* Effect.void.pipe(breaker.protect())
      assert.strictEqual((yield* snapshot(breaker)).state, "closed")
    })
  )

  it.effect("passes values, errors and defects through as they are", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ settings: { failureThreshold: 10 } })
      const value = { value: true }
      const error = { _tag: "Custom", nested: value } as const
      const defect = new Error("bug")
      assert.strictEqual(yield* Effect.succeed(value).pipe(breaker.protect()), value)
      assert.strictEqual(yield* Effect.flip(Effect.fail(error).pipe(breaker.protect())), error)
      const exit = yield* Effect.exit(Effect.die(defect).pipe(breaker.protect()))
      assert.deepStrictEqual(exit, Exit.die(defect))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === defect)
    })
  )

  it.effect("counts a defect as a failure", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* Effect.exit(Effect.die("bug").pipe(breaker.protect()))
      yield* Effect.exit(Effect.die("bug").pipe(breaker.protect()))
      const { counters, state } = yield* snapshot(breaker)
      assert.strictEqual(state, "open")
      assert.strictEqual(counters.failed, 2)
    })
  )

  it.effect("ignores an error that says nothing about the dependency", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ settings: { failureThreshold: 1 } })
      yield* Effect.exit(Effect.fail(new Errors.ValidationError({ message: "no" })).pipe(breaker.protect()))
      const { counters, state } = yield* snapshot(breaker)
      assert.strictEqual(state, "closed")
      assert.strictEqual(counters.ignored, 1)
    })
  )

  it.effect("counts an attempt that timed out as a failure", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ settings: { failureThreshold: 1 } })
      const call = yield* Effect.never.pipe(
        Timeout.attempt("1 second"),
        breaker.protect(),
        Effect.exit,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(reasonOf(yield* Fiber.join(call)), "TimeoutExceeded")
      assert.strictEqual((yield* snapshot(breaker)).state, "open")
    })
  )

  it.effect("asks the rules of the call, then of the breaker, then those in force", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const rule =
        (name: string, answers: string): Errors.Rule =>
        (error) => {
          asked.push(name)
          return error === answers ? "permanent" : undefined
        }
      const breaker = yield* make({ rules: [rule("breaker", "b")] })
      const fail = (error: string) =>
        Effect.fail(error).pipe(
          breaker.protect({ rules: [rule("call", "c")] }),
          Effect.exit,
          Effect.provideService(Errors.Rules, [rule("in force", "f")])
        )
      yield* fail("c")
      yield* fail("b")
      yield* fail("f")
      assert.deepStrictEqual(asked, ["call", "call", "breaker", "call", "breaker", "in force"])
      assert.strictEqual((yield* snapshot(breaker)).counters.ignored, 3)
      yield* fail("none")
      assert.strictEqual((yield* snapshot(breaker)).counters.failed, 1)
    })
  )

  it.effect("lets classify judge every exit but an interruption", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const seen: Array<string> = []
      const classify: Outcome.Classify<unknown, unknown> = (exit) => {
        seen.push(exit._tag)
        return Exit.isSuccess(exit) ? Outcome.failure : Outcome.success
      }
      const guard = breaker.protect<unknown, unknown>({ classify })
      yield* Effect.exit(down.pipe(guard))
      const interrupted = yield* Effect.never.pipe(guard, Effect.forkChild({ startImmediately: true }))
      yield* Fiber.interrupt(interrupted)
      yield* Effect.exit(Effect.interrupt.pipe(guard))
      yield* Effect.succeed(1).pipe(guard)
      yield* Effect.succeed(1).pipe(guard)
      assert.deepStrictEqual(seen, ["Failure", "Success", "Success"])
      const { counters, state } = yield* snapshot(breaker)
      assert.strictEqual(state, "open")
      assert.strictEqual(counters.interrupted, 2)
    })
  )

  for (const [name, body] of [
    ["a success", Effect.succeed(1)],
    ["a failure", down]
  ] as const) {
    it.effect(`dies with the defect of a classify that throws at ${name}, and gives the probe's place back`, () =>
      Effect.gen(function* () {
        const breaker = yield* make()
        yield* open(breaker)
        yield* TestClock.adjust("10 seconds")
        const bug = new Error("classify")
        const exit = yield* Effect.exit(
          body.pipe(
            breaker.protect<number, "down">({
              classify: () => {
                throw bug
              }
            })
          )
        )
        assert.isTrue(Exit.isFailure(exit) && Option.isNone(Cause.findErrorOption(exit.cause)))
        const defects = Exit.isFailure(exit) ? exit.cause.reasons.filter(Cause.isDieReason) : []
        assert.strictEqual(defects.at(-1)?.defect, bug)
        const { counters, state } = yield* snapshot(breaker)
        assert.strictEqual(state, "half_open")
        assert.strictEqual(counters.ignored, 1)
        assert.strictEqual(counters.inFlight, 0)
        yield* Effect.void.pipe(breaker.protect())
        assert.strictEqual((yield* snapshot(breaker)).state, "closed")
      })
    )
  }

  it.effect("gives the probe's place back when it is interrupted", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* open(breaker)
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.never.pipe(breaker.protect(), Effect.forkChild({ startImmediately: true }))
      assert.strictEqual(reasonOf(yield* Effect.exit(Effect.void.pipe(breaker.protect()))), "CircuitHalfOpen")
      yield* Fiber.interrupt(probe)
      const { counters } = yield* snapshot(breaker)
      assert.strictEqual(counters.interrupted, 1)
      assert.strictEqual(counters.inFlight, 0)
      yield* Effect.void.pipe(breaker.protect())
      assert.strictEqual((yield* snapshot(breaker)).state, "closed")
    })
  )

  it.effect("keeps a lapsed probe in flight until it ends, then counts it as stale", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ settings: { ...quick, probeTimeout: "1 second" } })
      yield* open(breaker)
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.sleep("5 seconds").pipe(
        breaker.protect(),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("2 seconds")
      const lapsed = yield* snapshot(breaker)
      assert.strictEqual(lapsed.state, "open")
      assert.strictEqual(lapsed.counters.inFlight, 1)
      // The opening is dated at the deadline, a second ago.
      assert.deepStrictEqual(lapsed.retryAfter, Option.some(Duration.seconds(9)))
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(probe)
      const ended = yield* snapshot(breaker)
      assert.strictEqual(ended.state, "open")
      assert.strictEqual(ended.counters.inFlight, 0)
      assert.strictEqual(ended.counters.stale, 1)
    })
  )

  it.effect("may run the same effect many times, at once and one after another", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const call = Effect.sleep("1 second").pipe(breaker.protect())
      const fibers = yield* Effect.forEach(Array.from({ length: 3 }), () =>
        Effect.forkChild(call, { startImmediately: true })
      )
      assert.strictEqual((yield* snapshot(breaker)).counters.inFlight, 3)
      yield* Fiber.interrupt(fibers[1]!)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fibers[0]!)
      yield* Fiber.join(fibers[2]!)
      const { counters } = yield* snapshot(breaker)
      assert.deepInclude(counters, { admitted: 3, succeeded: 2, interrupted: 1, inFlight: 0 })
    })
  )

  it.effect.prop(
    "balances its counters at every moment",
    {
      steps: Arbitrary.array(
        Arbitrary.schema(
          Schema.Struct({
            what: Schema.Literals(["start", "start", "succeed", "fail", "ignore", "interrupt", "wait"]),
            call: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 }))
          })
        ),
        { maxLength: 40 }
      )
    },
    ({ steps }) =>
      Effect.gen(function* () {
        const breaker = yield* make({ settings: { ...quick, halfOpenMaxCalls: 2, probeTimeout: "6 seconds" } })
        const running: Array<{
          readonly fiber: Fiber.Fiber<unknown, unknown>
          readonly gate: Deferred.Deferred<void, string | Errors.ValidationError>
        }> = []
        let rejected = 0
        for (const { call, what } of steps) {
          const chosen = what === "start" || what === "wait" ? undefined : running.splice(call % 10, 1)[0]
          switch (what) {
            case "start": {
              const gate = yield* Deferred.make<void, string | Errors.ValidationError>()
              const fiber = yield* Deferred.await(gate).pipe(
                breaker.protect(),
                Effect.forkChild({ startImmediately: true })
              )
              if (fiber.pollUnsafe() === undefined) running.push({ fiber, gate })
              else rejected++
              break
            }
            case "wait":
              yield* TestClock.adjust(call * 1_000)
              break
            case "interrupt":
              if (chosen !== undefined) yield* Fiber.interrupt(chosen.fiber)
              break
            default:
              if (chosen === undefined) break
              yield* Deferred.done(
                chosen.gate,
                what === "succeed"
                  ? Exit.void
                  : Exit.fail(what === "fail" ? "down" : new Errors.ValidationError({ message: "no" }))
              )
              yield* Fiber.await(chosen.fiber)
          }
          const now = yield* snapshot(breaker)
          balance(now)
          assert.strictEqual(now.counters.inFlight, running.length)
          assert.strictEqual(now.counters.rejected, rejected)
        }
      }),
    { arbitrary: { runs: 200, size: 40 } }
  )
})

describe("CircuitBreaker, keyed", () => {
  it.effect("keeps one circuit for each key, and one for calls without a key", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      yield* open(breaker, "a")
      const error = yield* Effect.flip(Effect.void.pipe(breaker.protect({ key: "a" })))
      assert.strictEqual(error.key, "a")
      yield* Effect.void.pipe(breaker.protect({ key: "b" }))
      yield* Effect.void.pipe(breaker.protect())
      assert.deepStrictEqual(
        (yield* breaker.circuits).map(({ name }) => name),
        ["target", "target:a", "target:b"]
      )
    })
  )

  it.effect("shares one circuit among the keys beyond the bound, and forgets none that must stay", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ maxKeys: 2 })
      yield* open(breaker, "a")
      yield* open(breaker, "b")
      yield* Effect.exit(down.pipe(breaker.protect({ key: "c" })))
      yield* Effect.exit(down.pipe(breaker.protect({ key: "d" })))
      for (const key of ["a", "b", "c", "d"]) {
        assert.strictEqual(reasonOf(yield* Effect.exit(Effect.void.pipe(breaker.protect({ key })))), "CircuitOpen")
      }
      assert.deepStrictEqual(
        (yield* breaker.circuits).map(({ name }) => name),
        ["target:a", "target:b", "target:(overflow)"]
      )
    })
  )

  it.effect("forgets the circuit at rest that was not used lately", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ maxKeys: 3 })
      for (const key of ["a", "b", "c", "a", "c"]) yield* Effect.void.pipe(breaker.protect({ key }))
      yield* open(breaker, "d")
      assert.sameMembers(
        (yield* breaker.circuits).map(({ key }) => key),
        ["a", "c", "d"]
      )
    })
  )

  it.effect("forgets a circuit at rest even when all were used lately", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ maxKeys: 2 })
      for (const key of ["a", "b", "a", "b", "c"]) yield* Effect.void.pipe(breaker.protect({ key }))
      const keys = (yield* breaker.circuits).map(({ key }) => key)
      assert.strictEqual(keys.length, 2)
      assert.include(keys, "c")
    })
  )

  it.effect("forgets a circuit that was open once it has been closed for as long", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ maxKeys: 1 })
      const keys = Effect.map(breaker.circuits, (circuits) => circuits.map(({ key }) => key))
      yield* open(breaker, "a")
      yield* TestClock.adjust("10 seconds")
      yield* Effect.void.pipe(breaker.protect({ key: "a" }))
      yield* TestClock.adjust("9999 millis")
      yield* Effect.void.pipe(breaker.protect({ key: "b" }))
      assert.deepStrictEqual(yield* keys, ["a", "(overflow)"])
      yield* TestClock.adjust(1)
      yield* Effect.void.pipe(breaker.protect({ key: "b" }))
      assert.deepStrictEqual(yield* keys, ["b", "(overflow)"])
    })
  )

  it.effect("guards one effect anew when its circuit was forgotten, and when it has moved", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ maxKeys: 1 })
      const a = breaker.protect({ key: "a" })
      const first = yield* breaker.circuit("a")
      yield* a(Effect.void)
      yield* Effect.void.pipe(breaker.protect({ key: "b" }))
      yield* a(Effect.void)
      const second = yield* breaker.circuit("a")
      assert.notStrictEqual(second, first)
      assert.deepInclude((yield* CircuitBreaker.snapshot(first)).counters, { admitted: 1, succeeded: 1 })
      assert.deepInclude((yield* CircuitBreaker.snapshot(second)).counters, { admitted: 1, succeeded: 1 })

      // What began before the circuit moved is told of its own beginning.
      const gate = yield* Deferred.make<void>()
      const early = yield* Effect.forkChild(a(Deferred.await(gate)), { startImmediately: true })
      yield* CircuitBreaker.trip(second)
      yield* CircuitBreaker.close(second)
      yield* a(Effect.void)
      yield* Deferred.succeed(gate, undefined)
      yield* Fiber.join(early)
      const { counters } = yield* CircuitBreaker.snapshot(second)
      assert.deepInclude(counters, { admitted: 3, succeeded: 2, stale: 1, inFlight: 0 })
    })
  )

  it.effect("never forgets a circuit with a call in flight", () =>
    Effect.gen(function* () {
      const breaker = yield* make({ maxKeys: 1 })
      const fiber = yield* Effect.never.pipe(
        breaker.protect({ key: "a" }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.void.pipe(breaker.protect({ key: "b" }))
      assert.strictEqual((yield* snapshot(breaker, "a")).counters.inFlight, 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* snapshot(breaker, "a")).counters.interrupted, 1)
    })
  )
})

describe("CircuitBreaker events", () => {
  it.effect("come in order, once, with their versions", () => {
    const { events, provide, tags } = recording()
    return Effect.gen(function* () {
      const breaker = yield* make({ settings: { ...quick, probeTimeout: "1 second" } })
      yield* open(breaker, "a")
      // The events were there before the calls returned.
      assert.deepStrictEqual(tags(), ["CircuitOpened"])
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.never.pipe(
        breaker.protect({ key: "a" }),
        Effect.forkChild({ startImmediately: true })
      )
      assert.deepStrictEqual(tags().slice(1), ["CircuitHalfOpened"])
      yield* TestClock.adjust("3 seconds")
      yield* snapshot(breaker, "a")
      yield* snapshot(breaker, "a")
      assert.deepStrictEqual(tags().slice(2), ["ProbeLapsed", "CircuitOpened"])
      yield* Fiber.interrupt(probe)
      yield* TestClock.adjust("8 seconds")
      yield* Effect.void.pipe(breaker.protect({ key: "a" }))
      assert.deepStrictEqual(tags().slice(4), ["CircuitHalfOpened", "CircuitClosed"])
      const circuit = yield* breaker.circuit("a")
      yield* CircuitBreaker.isolate(circuit, { reason: "maintenance", actor: "me", expiresIn: "1 minute" })
      yield* TestClock.adjust("1 minute")
      yield* Effect.void.pipe(breaker.protect({ key: "a" }))
      yield* CircuitBreaker.isolate(circuit, { reason: "again" })
      yield* CircuitBreaker.close(circuit)
      yield* CircuitBreaker.close(circuit)
      assert.deepStrictEqual(tags().slice(6), [
        "CircuitOverridden",
        "CircuitOverrideEnded",
        "CircuitOverridden",
        "CircuitClosed"
      ])
      assert.deepStrictEqual(
        events.flatMap((event) => ("version" in event ? [event.version] : [])),
        // The lapse of the probe has the version between.
        [
          1,
          2,
          ...(events.some((event) => event._tag === "ProbeLapsed" && "version" in event) ? [3] : []),
          4,
          5,
          6,
          7,
          8,
          9,
          10
        ]
      )
      for (const event of events) {
        assert.deepInclude(event, { operation: "target", key: "a" })
      }
      const { counters, version } = yield* CircuitBreaker.snapshot(circuit)
      assert.strictEqual(version, 10)
      assert.deepInclude(counters, { opened: 2, halfOpened: 2, closed: 2 })
    }).pipe(provide)
  })

  it.effect("say that an operator opened the circuit", () => {
    const { events, provide } = recording()
    return Effect.gen(function* () {
      const breaker = yield* make()
      const circuit = yield* breaker.circuit()
      yield* CircuitBreaker.trip(circuit, { openFor: "5 seconds" })
      const refused = yield* Effect.flip(Effect.void.pipe(breaker.protect()))
      assert.deepStrictEqual(refused.reason.retryAfter, Duration.seconds(5))
      yield* TestClock.adjust("5 seconds")
      yield* Effect.void.pipe(breaker.protect())
      yield* CircuitBreaker.trip(circuit)
      assert.deepStrictEqual((yield* CircuitBreaker.snapshot(circuit)).retryAfter, Option.some(Duration.seconds(10)))
      assert.deepInclude(events[0], {
        _tag: "CircuitOpened",
        because: "operator",
        failures: 0,
        error: undefined,
        openFor: Duration.seconds(5)
      })
    }).pipe(provide)
  })

  it.effect("say why and for how long", () => {
    const { events, provide } = recording()
    return Effect.gen(function* () {
      const breaker = yield* make()
      yield* open(breaker)
      const circuit = yield* breaker.circuit()
      yield* TestClock.adjust("10 seconds")
      yield* Effect.exit(down.pipe(breaker.protect()))
      yield* CircuitBreaker.isolate(circuit, { reason: "maintenance", actor: "me", expiresIn: "1 minute" })
      yield* CircuitBreaker.isolate(circuit, { reason: "for good" })
      yield* CircuitBreaker.reset(circuit)
      const facts = events.map((event) =>
        Object.fromEntries(Object.entries(event).filter(([field]) => !["at", "key", "operation"].includes(field)))
      )
      assert.deepStrictEqual(facts, [
        {
          _tag: "CircuitOpened",
          version: 1,
          from: "closed",
          because: "failures",
          failures: 2,
          error: "string",
          openFor: Duration.seconds(10)
        },
        { _tag: "CircuitHalfOpened", version: 2, from: "open" },
        {
          _tag: "CircuitOpened",
          version: 3,
          from: "half_open",
          because: "probe_failed",
          failures: 1,
          error: "string",
          openFor: Duration.seconds(10)
        },
        {
          _tag: "CircuitOverridden",
          version: 4,
          from: "open",
          mode: "isolated",
          reason: "maintenance",
          actor: "me",
          expiresIn: Duration.minutes(1)
        },
        {
          _tag: "CircuitOverridden",
          version: 5,
          from: "isolated",
          mode: "isolated",
          reason: "for good",
          actor: undefined,
          expiresIn: undefined
        },
        { _tag: "CircuitClosed", version: 6, from: "isolated", because: "operator" }
      ])
    }).pipe(provide)
  })

  it.effect("reach a subscriber of the layer", () =>
    Effect.gen(function* () {
      const sink = yield* ResilienceEvent.ResilienceEvents
      const seen = yield* ResilienceEvent.stream(sink).pipe(
        Stream.take(2),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      const breaker = yield* make()
      yield* open(breaker)
      yield* CircuitBreaker.close(yield* breaker.circuit())
      assert.deepStrictEqual(
        (yield* Fiber.join(seen)).map((event) => event._tag),
        ["CircuitOpened", "CircuitClosed"]
      )
    }).pipe(Effect.provide(ResilienceEvent.layer))
  )

  it.effect("may be answered with a call of the same circuit", () => {
    let answer: (() => void) | undefined
    const sink: ResilienceEvent.Sink = {
      isActive: () => true,
      publishUnsafe: () => answer?.(),
      listenUnsafe: () => () => {}
    }
    return Effect.gen(function* () {
      const breaker = yield* make()
      const clock = yield* Clock.Clock
      const seen: Array<unknown> = []
      answer = () => {
        const call = Effect.provideService(Effect.void.pipe(breaker.protect()), Clock.Clock, clock)
        seen.push(reasonOf(Effect.runSyncExit(call)))
      }
      yield* open(breaker)
      yield* TestClock.adjust("10 seconds")
      yield* Effect.void.pipe(breaker.protect())
      // At its opening, its half-opening and its closing.
      assert.deepStrictEqual(seen, ["CircuitOpen", "CircuitHalfOpen", undefined])
      balance(yield* snapshot(breaker))
    }).pipe(Effect.provideService(ResilienceEvent.ResilienceEvents, sink))
  })
})

describe("Circuit", () => {
  it.effect("tells its state, its settings and its latest failure", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 hour")
      const breaker = yield* make()
      assert.deepStrictEqual((yield* snapshot(breaker)).lastFailureTime, Option.none())
      yield* Effect.exit(down.pipe(breaker.protect()))
      const once = yield* snapshot(breaker)
      assert.strictEqual(once.failureCount, 1)
      assert.deepStrictEqual(once.lastFailureTime, Option.some(3_600_000))
      assert.deepStrictEqual(once.retryAfter, Option.none())
      assert.deepStrictEqual(once.settings.openDuration, Duration.seconds(10))
      yield* Effect.exit(down.pipe(breaker.protect()))
      yield* TestClock.adjust("3 seconds")
      const opened = yield* snapshot(breaker)
      assert.strictEqual(opened.state, "open")
      assert.strictEqual(opened.version, 1)
      assert.deepStrictEqual(opened.retryAfter, Option.some(Duration.seconds(7)))
      yield* CircuitBreaker.reset(yield* breaker.circuit())
      const reset = yield* snapshot(breaker)
      assert.strictEqual(reset.state, "closed")
      assert.deepStrictEqual(reset.lastFailureTime, Option.none())
      assert.strictEqual(reset.counters.failed, 2)
    })
  )

  it.effect("is isolated by an operator until it expires or is closed", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const circuit = yield* breaker.circuit()
      yield* CircuitBreaker.isolate(circuit, { reason: "maintenance", actor: "me", expiresIn: "1 minute" })
      yield* TestClock.adjust("20 seconds")
      const error = yield* Effect.flip(Effect.void.pipe(breaker.protect()))
      assert.strictEqual(error.reason._tag, "CircuitIsolated")
      assert.strictEqual(error.reason._tag === "CircuitIsolated" && error.reason.because, "maintenance")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(40))
      const { overrides, state } = yield* CircuitBreaker.snapshot(circuit)
      assert.strictEqual(state, "isolated")
      assert.deepStrictEqual(overrides, [
        { mode: "isolated", reason: "maintenance", actor: "me", expiresIn: Option.some(Duration.seconds(40)) }
      ])
      yield* TestClock.adjust("40 seconds")
      yield* Effect.void.pipe(breaker.protect())

      yield* CircuitBreaker.isolate(circuit, { reason: "for good" })
      yield* TestClock.adjust("365 days")
      const forGood = yield* Effect.flip(Effect.void.pipe(breaker.protect()))
      assert.strictEqual(forGood.reason._tag, "CircuitIsolated")
      assert.isUndefined(forGood.retryAfter)
      yield* CircuitBreaker.close(circuit)
      yield* Effect.void.pipe(breaker.protect())
    })
  )
})

describe("CircuitBreaker.openSchedule", () => {
  const openTimes = (schedule: Schedule.Schedule<unknown, number>, openings: number) =>
    Effect.gen(function* () {
      const breaker = yield* make({
        openSchedule: schedule,
        settings: { failureThreshold: 1, openDuration: "7 seconds" }
      })
      const times: Array<number> = []
      for (let i = 0; i < openings; i++) {
        yield* Effect.exit(down.pipe(breaker.protect()))
        const { retryAfter } = yield* snapshot(breaker)
        times.push(Duration.toMillis(Option.getOrThrow(retryAfter)))
        yield* TestClock.adjust(times.at(-1)!)
      }
      return times
    })

  it.effect("says how long each opening in a row lasts", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* openTimes(Schedule.exponential("1 second"), 5),
        [1_000, 2_000, 4_000, 8_000, 16_000]
      )
      assert.deepStrictEqual(yield* openTimes(Schedule.spaced("3 seconds"), 3), [3_000, 3_000, 3_000])
    })
  )

  it.effect("lasts as long as its last step once it has ended, and as the open duration if it has none", () =>
    Effect.gen(function* () {
      const two = Schedule.upTo(Schedule.exponential("1 second"), { times: 2 })
      assert.deepStrictEqual(yield* openTimes(two, 4), [1_000, 2_000, 2_000, 2_000])
      assert.deepStrictEqual(yield* openTimes(Schedule.recurs(0), 2), [7_000, 7_000])
    })
  )

  it.effect("is forgotten by a reset, and by no close", () =>
    Effect.gen(function* () {
      const breaker = yield* make({
        openSchedule: Schedule.exponential("1 second"),
        settings: { failureThreshold: 1 }
      })
      const circuit = yield* breaker.circuit()
      const times: Array<number> = []
      for (const command of [
        CircuitBreaker.close(circuit),
        CircuitBreaker.close(circuit),
        CircuitBreaker.reset(circuit),
        CircuitBreaker.close(circuit)
      ]) {
        yield* Effect.exit(down.pipe(breaker.protect()))
        times.push(Duration.toMillis(Option.getOrThrow((yield* CircuitBreaker.snapshot(circuit)).retryAfter)))
        yield* command
      }
      assert.deepStrictEqual(times, [1_000, 2_000, 4_000, 1_000])
    })
  )

  it.effect("never passes a day", () =>
    Effect.gen(function* () {
      const times = yield* openTimes(Schedule.exponential("1 second"), 30)
      assert.strictEqual(Math.max(...times), 86_400_000)
      assert.strictEqual(times.at(-1), 86_400_000)
    })
  )
})

describe("CircuitBreaker.settings", () => {
  it.effect("are the same from code, JSON and configuration", () =>
    Effect.gen(function* () {
      const code = CircuitBreaker.settings({
        failureThreshold: 7,
        openDuration: "90 seconds",
        halfOpenMaxCalls: 3,
        successThreshold: 2,
        probeTimeout: 1_500
      })
      const json = {
        failureThreshold: 7,
        openDuration: "90 seconds",
        halfOpenMaxCalls: 3,
        successThreshold: 2,
        probeTimeout: "1500 millis"
      }
      assert.isTrue(Equal.equals(yield* Schema.decodeUnknownEffect(CircuitBreaker.Settings)(json), code))
      const text = Object.fromEntries(Object.entries(json).map(([key, value]) => [key, String(value)]))
      const config = yield* Config.schema(CircuitBreaker.Settings, "circuit").parse(
        ConfigProvider.fromUnknown({ circuit: text })
      )
      assert.isTrue(Equal.equals(config, code))
      const encoded = yield* Schema.encodeUnknownEffect(CircuitBreaker.Settings)(code)
      assert.isTrue(Equal.equals(yield* Schema.decodeUnknownEffect(CircuitBreaker.Settings)(encoded), code))
    })
  )

  it.effect("have one default for all three", () =>
    Effect.gen(function* () {
      const code = CircuitBreaker.settings()
      assert.strictEqual(code.failureThreshold, 5)
      assert.deepStrictEqual(code.openDuration, Duration.seconds(60))
      assert.strictEqual(code.halfOpenMaxCalls, 1)
      assert.isTrue(Equal.equals(yield* Schema.decodeUnknownEffect(CircuitBreaker.Settings)({}), code))
      const config = yield* Config.schema(CircuitBreaker.Settings, "circuit").parse(
        ConfigProvider.fromUnknown({ circuit: { failureThreshold: "5" } })
      )
      assert.isTrue(Equal.equals(config, code))
    })
  )

  it("read no bare number as a duration in JSON", () => {
    assert.throws(() => Schema.decodeUnknownSync(CircuitBreaker.Settings)({ openDuration: 1_000 }))
  })

  const refused = (input: object): Settings.InvalidSettings => {
    try {
      CircuitBreaker.settings(input)
    } catch (error) {
      assert.instanceOf(error, Settings.InvalidSettings)
      return error
    }
    throw new Error(`accepted ${JSON.stringify(input)}`)
  }

  const nonsense: ReadonlyArray<readonly [field: string, value: unknown, rule: RegExp]> = [
    ...["failureThreshold", "halfOpenMaxCalls", "successThreshold"].flatMap((field) =>
      [0, -1, 1.5, NaN, Infinity, 101, "3"].map((value) => [field, value, /./] as const)
    ),
    ...["openDuration", "probeTimeout"].flatMap((field) =>
      [0, -1, NaN, Infinity, -Infinity, 0.5, "0 seconds", "Infinity", "25 hours", "soon", {}, null].map(
        (value) => [field, value, /duration/] as const
      )
    )
  ]

  for (const [field, value, rule] of nonsense) {
    it(`refuse ${field} ${typeof value === "number" ? value : JSON.stringify(value)}`, () => {
      const error = refused({ [field]: value })
      assert.strictEqual(error._tag, "InvalidSettings")
      assert.strictEqual(error.settings, "CircuitBreaker")
      const [finding] = error.findings
      assert.strictEqual(finding?.path, field)
      assert.deepStrictEqual(finding?.value, value)
      assert.match(finding!.rule, rule)
      assert.include(error.message, field)
    })
  }

  it("name the range", () => {
    assert.match(refused({ failureThreshold: 0 }).message, /1.*100/)
    assert.match(refused({ openDuration: "2 days" }).message, /1ms to 1d/)
  })

  it("name every wrong field at once, and fields that do not exist", () => {
    const { findings } = refused({ failureThreshold: 0, openDuration: NaN, threshold: 3 })
    assert.deepStrictEqual(findings.map(({ path }) => path).toSorted(), [
      "failureThreshold",
      "openDuration",
      "threshold"
    ])
    assert.include(findings.find(({ path }) => path === "threshold")!.rule, "failureThreshold")
  })

  it("refuse a success threshold above the number of probes, however they were made", () => {
    assert.strictEqual(refused({ halfOpenMaxCalls: 2, successThreshold: 3 }).findings[0]?.path, "successThreshold")
    assert.strictEqual(refused({ successThreshold: 2 }).findings[0]?.path, "successThreshold")
    assert.strictEqual(
      refused(CircuitBreaker.Settings.make({ successThreshold: 2 })).findings[0]?.path,
      "successThreshold"
    )
    assert.strictEqual(CircuitBreaker.settings({ halfOpenMaxCalls: 2, successThreshold: 2 }).successThreshold, 2)
  })

  it("are refused when a breaker or a layer is written, not when it runs", () => {
    for (const write of [CircuitBreaker.make, CircuitBreaker.CircuitBreaker.layer]) {
      assert.throws(() => write({ operation: "target", settings: { failureThreshold: 0 } }), Settings.InvalidSettings)
    }
  })

  for (const maxKeys of [0, -1, 1.5, NaN, Infinity, 1_000_001]) {
    it(`refuse a bound of ${maxKeys} keys`, () => {
      for (const write of [CircuitBreaker.make, CircuitBreaker.CircuitBreaker.layer]) {
        assert.throws(() => write({ operation: "target", maxKeys }), /maxKeys/)
      }
    })
  }
})

describe("CircuitBreaker.layer", () => {
  it.effect("provides a breaker with its own circuits", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.CircuitBreaker
      yield* open(breaker)
      assert.strictEqual(reasonOf(yield* Effect.exit(Effect.void.pipe(breaker.protect()))), "CircuitOpen")
    }).pipe(Effect.provide(CircuitBreaker.CircuitBreaker.layer({ operation: "target", settings: quick })))
  )

  it.effect("makes circuits that know nothing of another layer's", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.CircuitBreaker
      yield* open(breaker)
      const other = yield* CircuitBreaker.CircuitBreaker.pipe(
        Effect.provide(CircuitBreaker.CircuitBreaker.layer({ operation: "target", settings: quick }))
      )
      yield* Effect.void.pipe(other.protect())
    }).pipe(Effect.provide(CircuitBreaker.CircuitBreaker.layer({ operation: "target", settings: quick })))
  )
})

describe("CircuitBreaker snapshots", () => {
  it.effect("tell the time in each state, which adds up to the age of the circuit", () =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({
        operation: "target",
        settings: { failureThreshold: 1, openDuration: "10 seconds" }
      })
      const circuit = yield* breaker.circuit()
      yield* TestClock.adjust("3 seconds")
      yield* Effect.exit(Effect.fail("down").pipe(breaker.protect()))
      yield* TestClock.adjust("12 seconds")
      const probe = yield* Effect.forkChild(Effect.sleep("2 seconds").pipe(breaker.protect()), {
        startImmediately: true
      })
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(probe)
      yield* TestClock.adjust("1 second")
      yield* CircuitBreaker.isolate(circuit, { reason: "drill", expiresIn: "4 seconds" })
      yield* TestClock.adjust("5 seconds")
      const { timeIn } = yield* CircuitBreaker.snapshot(circuit)
      assert.deepStrictEqual(timeIn, {
        // Nobody looked when the isolation ended; its time ends when it did.
        closed: Duration.seconds(5),
        open: Duration.seconds(12),
        half_open: Duration.seconds(2),
        isolated: Duration.seconds(4),
        disabled: Duration.zero,
        metrics_only: Duration.zero
      })
    })
  )
})
