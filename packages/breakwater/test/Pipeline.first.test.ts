/**
 * The first attempt of a call, around which there are no frames while it goes well: whatever happens in the step in which
 * it begins or ends, attempt and call end once.
 */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Deferred, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, Registry, Resilience, type ResilienceError, Strategy, Timeout, withResilience } from "breakwater"

const strategy = Strategy.make("first", {
  retry: { maxAttempts: 2, base: "1 second", jitter: "none" },
  circuitBreaker: { failureThreshold: 2 },
  timeout: { attempt: "1 second", total: "10 seconds" },
  bulkhead: Bulkhead.settings({ maxConcurrent: 1, maxQueue: 1, maxWait: "1 second" })
})

const guard = <A, E>(self: Effect.Effect<A, E>): Effect.Effect<A, E | ResilienceError, Resilience> =>
  withResilience(self, strategy, { operation: "first" })

const down = Effect.fail("down" as const)

/** What has become of all calls. Nothing may be left of them. */
const ended = Effect.gen(function* () {
  const { operation } = yield* Registry
  const { bulkheads, circuits, counters } = Option.getOrThrow(yield* operation("first"))
  const { attempts, calls, failed, inFlight, interrupted, rejected, succeeded } = counters
  assert.deepStrictEqual(
    { inFlight, circuit: circuits[0]!.counters.inFlight, places: bulkheads[0]!.active },
    { inFlight: 0, circuit: 0, places: 0 }
  )
  assert.strictEqual(calls, succeeded + failed + rejected + interrupted)
  const circuit = circuits[0]!.counters
  assert.strictEqual(circuit.admitted, attempts)
  return { attempts, succeeded, failed, rejected, interrupted, circuit }
})

const run = <A, E>(self: Effect.Effect<A, E, Resilience>) => Effect.provide(self, Resilience.layer())

/** Lets calls open the circuit, and time pass until it lets one probe it. */
const opened = Effect.gen(function* () {
  yield* Effect.exit(guard(Effect.die("broken")))
  yield* Effect.exit(guard(Effect.die("broken")))
  yield* TestClock.adjust("1 minute")
})

/** Runs a call that a listener interrupts when it hears of a move of the circuit. Its time passes. */
const interruptedAt = Effect.fnUntraced(function* (
  move: "CircuitOpened" | "CircuitHalfOpened" | "CircuitClosed",
  call: Effect.Effect<unknown, unknown, Resilience>
) {
  const { listenUnsafe } = yield* Registry
  let fiber: Fiber.Fiber<unknown, unknown> | undefined
  listenUnsafe(({ _tag }) => {
    if (_tag === move) fiber!.interruptUnsafe()
  })
  fiber = yield* Effect.forkChild(call)
  yield* TestClock.adjust("1 minute")
  assertInterrupted(yield* Fiber.await(fiber))
})

const assertInterrupted = (exit: Exit.Exit<unknown, unknown> | undefined): void =>
  assert.isTrue(exit !== undefined && Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))

describe("the first attempt of a call", () => {
  for (const [how, work, circuit] of [
    ["fails", down, { failed: 1, succeeded: 0 }],
    ["succeeds", Effect.succeed("answer"), { failed: 0, succeeded: 1 }]
  ] as const) {
    it.effect(`ends it once if it interrupts its caller, and ${how} in the same step`, () =>
      run(
        Effect.gen(function* () {
          const caller = yield* Deferred.make<Fiber.Fiber<unknown, unknown>>()
          const attempt = Effect.gen(function* () {
            const fiber = yield* Deferred.await(caller)
            fiber.interruptUnsafe()
            return yield* work
          })
          const fiber = yield* Effect.forkChild(Effect.andThen(Effect.yieldNow, guard(attempt)))
          yield* Deferred.succeed(caller, fiber)
          assertInterrupted(yield* Fiber.await(fiber))
          const { attempts, circuit: counted, ...calls } = yield* ended
          assert.strictEqual(attempts, 1)
          assert.deepInclude(counted, circuit)
          assert.strictEqual(calls.interrupted + calls.succeeded, 1)
        })
      )
    )
  }

  it.effect("ends it once if a listener interrupts the caller when it hears of the end", () =>
    run(
      Effect.gen(function* () {
        yield* Effect.exit(guard(Effect.die("broken")))
        const call = guard(Effect.andThen(Effect.sleep("100 millis"), Effect.die("broken")))
        yield* interruptedAt("CircuitOpened", call)
        const { attempts, circuit, failed, interrupted } = yield* ended
        assert.deepStrictEqual({ attempts, failed, interrupted }, { attempts: 2, failed: 1, interrupted: 1 })
        assert.deepInclude(circuit, { failed: 2, interrupted: 0 })
      })
    )
  )

  it.effect("ends it once if a listener interrupts the caller before it has begun", () =>
    run(
      Effect.gen(function* () {
        yield* opened
        yield* interruptedAt("CircuitHalfOpened", Effect.andThen(Effect.yieldNow, guard(Effect.sleep("100 millis"))))
        const { circuit, failed, interrupted } = yield* ended
        assert.deepStrictEqual({ failed, interrupted }, { failed: 2, interrupted: 1 })
        assert.deepInclude(circuit, { failed: 2, interrupted: 1 })
      })
    )
  )

  it.effect("ends it once if a listener interrupts the caller when it hears of the success", () =>
    run(
      Effect.gen(function* () {
        yield* opened
        yield* interruptedAt("CircuitClosed", guard(Effect.sleep("100 millis")))
        const { circuit, interrupted, succeeded } = yield* ended
        assert.deepStrictEqual({ interrupted, succeeded }, { interrupted: 1, succeeded: 0 })
        assert.deepInclude(circuit, { interrupted: 0, succeeded: 1 })
      })
    )
  )

  it.effect("ends it once if the deadline around it has passed before it began", () =>
    run(
      Effect.gen(function* () {
        const clock = yield* TestClock.testClockWith(Effect.succeed)
        let ahead = 0n
        // Puts the clock ahead in the middle of a step, as work that keeps the thread does.
        const late: TestClock.TestClock = {
          ...clock,
          monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + ahead
        }
        const busy = Effect.suspend(() => {
          ahead = 60_000_000_000n
          return guard(Effect.succeed("answer"))
        })
        const exit = yield* Effect.exit(busy.pipe(Timeout.total("5 seconds"), Effect.provideService(Clock.Clock, late)))
        assert.isTrue(Exit.isFailure(exit))
        const { attempts, circuit, failed, rejected, succeeded } = yield* ended
        assert.deepStrictEqual(
          { attempts, failed, rejected, succeeded },
          { attempts: 1, failed: 0, rejected: 1, succeeded: 0 }
        )
        assert.deepInclude(circuit, { failed: 1 })
      })
    )
  )

  it.effect("is repeated when its limit passes, by attempts that begin and end for themselves", () =>
    run(
      Effect.gen(function* () {
        let made = 0
        const fiber = yield* Effect.forkChild(
          guard(Effect.suspend(() => (++made === 1 ? Effect.never : Effect.succeed(made))))
        )
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.succeed(2))
        const { attempts, circuit, succeeded } = yield* ended
        assert.deepStrictEqual({ attempts, succeeded }, { attempts: 2, succeeded: 1 })
        assert.deepInclude(circuit, { failed: 1, succeeded: 1 })
      })
    )
  )

  /** Not a child of the test, which would wait for it. */
  const started = <A, E, R>(self: Effect.Effect<A, E, R>) =>
    Effect.map(Effect.context<R>(), (context) => Effect.runForkWith(context)(self))

  it.effect("is left behind when its limit passes: an interruption of the pause after it does not wait for it", () =>
    run(
      Effect.gen(function* () {
        const fiber = yield* started(guard(Effect.uninterruptible(Effect.sleep("1 hour"))))
        yield* TestClock.adjust("1500 millis")
        fiber.interruptUnsafe()
        yield* Effect.yieldNow
        assertInterrupted(fiber.pollUnsafe())
        const { attempts, circuit, interrupted } = yield* ended
        assert.deepStrictEqual({ attempts, interrupted }, { attempts: 1, interrupted: 1 })
        assert.deepInclude(circuit, { failed: 1 })
      })
    )
  )

  it.effect("is left behind when its limit passes: a later attempt that interrupts itself does not wait for it", () =>
    run(
      Effect.gen(function* () {
        let made = 0
        const work = Effect.suspend(() =>
          ++made === 1 ? Effect.uninterruptible(Effect.sleep("1 hour")) : Effect.interrupt
        )
        const fiber = yield* started(guard(work))
        yield* TestClock.adjust("20 seconds")
        assertInterrupted(fiber.pollUnsafe())
        assert.strictEqual(made, 2)
      })
    )
  )

  it.effect("ends the call even if a listener throws before it begins", () =>
    run(
      Effect.gen(function* () {
        const { listenUnsafe } = yield* Registry
        listenUnsafe(({ _tag }) => {
          if (_tag === "CircuitHalfOpened") throw new Error("listener")
        })
        yield* opened
        const exit = yield* Effect.exit(guard(Effect.succeed("answer")))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
        const { operation } = yield* Registry
        const { counters } = Option.getOrThrow(yield* operation("first"))
        assert.deepInclude(counters, { calls: 3, failed: 3, inFlight: 0 })
      })
    )
  )
})
