import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber, Option, Schedule } from "effect"
import { TestClock } from "effect/testing"
import {
  CircuitBreaker,
  Deadline,
  Errors,
  Registry,
  Resilience,
  type ResilienceError,
  Retry,
  StaleCache,
  Strategy,
  Timeout,
  withResilience
} from "breakwater"

/** The test clock, with a wall that can be moved without it. */
const makeWall = TestClock.testClockWith((clock) =>
  Effect.sync(() => {
    let offset = 0
    const millis = () => clock.currentTimeMillisUnsafe() + offset
    const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n
    const stepped: TestClock.TestClock = {
      ...clock,
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos)
    }
    return {
      clock: stepped,
      step: (by: number) => {
        offset += by
      }
    }
  })
)

const hour = 3_600_000
const tenYears = 10 * 365 * 24 * hour

const steps: ReadonlyArray<readonly [name: string, by: number]> = [
  ["an hour ahead", hour],
  ["an hour back", -hour],
  ["ten years ahead", tenYears],
  ["ten years back", -tenYears]
]

/** Each test runs under a wall that is moved at every `step`. */
const test = <A, E>(name: string, story: (step: Effect.Effect<void>) => Effect.Effect<A, E>) => {
  for (const [direction, by] of steps) {
    it.effect(`${name}, with the wall clock set ${direction}`, () =>
      Effect.gen(function* () {
        // Away from zero, so that a wall set back is still a time.
        yield* TestClock.adjust("7 days")
        const wall = yield* makeWall
        const before = wall.clock.currentTimeMillisUnsafe()
        yield* Effect.provideService(story(Effect.sync(() => wall.step(by))), Clock.Clock, wall.clock)
        assert.isAbove(Math.abs(wall.clock.currentTimeMillisUnsafe() - before), hour / 2)
      })
    )
  }
}

const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
const down = Effect.fail("down" as const)

describe("a step of the wall clock changes nothing:", () => {
  test("a circuit stays open for its open time", (step) =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({
        operation: "target",
        settings: { failureThreshold: 2, openDuration: "10 seconds" }
      })
      const call = Effect.void.pipe(breaker.protect())
      yield* Effect.exit(down.pipe(breaker.protect()))
      yield* step
      yield* Effect.exit(down.pipe(breaker.protect()))
      yield* step
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual((yield* Effect.flip(call)).retryAfter, Duration.seconds(6))
      yield* step
      yield* TestClock.adjust("5999 millis")
      assert.deepStrictEqual((yield* Effect.flip(call)).retryAfter, Duration.millis(1))
      yield* step
      yield* TestClock.adjust(1)
      yield* call
    }))

  test("an answer is fresh, and stands in for a failure, for the time it may", (step) =>
    Effect.gen(function* () {
      let lookups = 0
      const cache = yield* StaleCache.make(() => (++lookups === 1 ? Effect.succeed("one") : down), {
        timeToLive: "10 seconds",
        maxStale: "10 seconds"
      })
      yield* cache.get("key")
      yield* step
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(yield* cache.get("key"), { value: "one", age: Duration.millis(9_999), isStale: false })
      yield* step
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* cache.get("key"), { value: "one", age: Duration.millis(19_999), isStale: true })
      yield* step
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* Effect.flip(cache.get("key")), "down")
    }))

  test("a probe and an isolation have the time they have", (step) =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({
        operation: "target",
        settings: { failureThreshold: 1, openDuration: "10 seconds", probeTimeout: "3 seconds" }
      })
      const circuit = yield* breaker.circuit()
      const state = Effect.map(CircuitBreaker.snapshot(circuit), ({ state }) => state)
      yield* Effect.exit(down.pipe(breaker.protect()))
      yield* TestClock.adjust("10 seconds")
      const probe = yield* Effect.never.pipe(breaker.protect(), Effect.forkChild({ startImmediately: true }))
      yield* step
      yield* TestClock.adjust("2999 millis")
      yield* step
      assert.strictEqual(yield* state, "half_open")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* state, "open")
      yield* Fiber.interrupt(probe)

      yield* CircuitBreaker.isolate(circuit, { reason: "maintenance", expiresIn: "1 minute" })
      yield* step
      yield* TestClock.adjust("59999 millis")
      yield* step
      assert.strictEqual(yield* state, "isolated")
      yield* TestClock.adjust(1)
      assert.strictEqual(yield* state, "open")
    }))

  test("open times grow, and are forgotten, as they are", (step) =>
    Effect.gen(function* () {
      const breaker = yield* CircuitBreaker.make({
        operation: "target",
        openSchedule: Schedule.exponential("1 second"),
        settings: { failureThreshold: 1 }
      })
      const openTimes: Array<number> = []
      const fail = Effect.gen(function* () {
        yield* step
        yield* Effect.exit(down.pipe(breaker.protect()))
        const { retryAfter } = yield* Effect.flatMap(breaker.circuit(), CircuitBreaker.snapshot)
        openTimes.push(Duration.toMillis(Option.getOrThrow(retryAfter)))
        yield* step
        yield* TestClock.adjust(openTimes.at(-1)!)
      })
      yield* fail
      yield* fail
      yield* Effect.void.pipe(breaker.protect())
      yield* step
      yield* TestClock.adjust("1999 millis")
      yield* fail
      yield* Effect.void.pipe(breaker.protect())
      yield* step
      yield* TestClock.adjust("4 seconds")
      yield* fail
      assert.deepStrictEqual(openTimes, [1_000, 2_000, 4_000, 1_000])
    }))

  for (const [scope, limited] of [
    ["attempt", Effect.never.pipe(Timeout.attempt("10 seconds"))],
    ["total", Effect.never.pipe(Timeout.total("10 seconds"))]
  ] as const) {
    test(`a limit of scope ${scope} passes when it passes`, (step) =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.flip(limited), { startImmediately: true })
        yield* step
        yield* TestClock.adjust("9999 millis")
        yield* step
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust(1)
        assert.isDefined(fiber.pollUnsafe())
        const { reason } = yield* Fiber.join(fiber)
        assert.deepStrictEqual(reason.elapsed, Duration.seconds(10))
      }))
  }

  test("what is left of a call is what is left", (step) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.sleep("4 seconds").pipe(
        Effect.andThen(step),
        Effect.andThen(Deadline.remaining),
        Timeout.total("10 seconds"),
        Effect.forkChild({ startImmediately: true })
      )
      yield* step
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(yield* Fiber.join(fiber), Option.some(Duration.seconds(6)))
    }))

  for (const [name, error] of [
    ["pauses", "down"],
    ["pauses that a Retry-After asks for", new Errors.RateLimitError({ message: "no", retryAfter: Duration.millis(1) })]
  ] as const) {
    test(`the ${name} between attempts are as long as they are`, (step) =>
      Effect.gen(function* () {
        const start = yield* now
        const at: Array<number> = []
        const fiber = yield* Effect.flatMap(now, (time) => {
          at.push(time - start)
          return Effect.andThen(step, Effect.fail(error))
        }).pipe(
          Retry.retry({ settings: { maxAttempts: 5, base: "1 second", jitter: "none" } }),
          Timeout.total("16 seconds"),
          Effect.sandbox,
          Effect.flip,
          Effect.forkChild({ startImmediately: true })
        )
        for (let i = 0; i < 20; i++) {
          yield* TestClock.adjust("1 second")
          yield* step
        }
        assert.deepStrictEqual(at, [0, 1_000, 3_000, 7_000, 15_000])
        const exhausted = Retry.exhausted(yield* Fiber.join(fiber))
        assert.deepStrictEqual(exhausted, Option.some({ attempts: 5, elapsed: Duration.seconds(15) }))
      }))
  }

  test("a pipeline ends at its total", (step) =>
    Effect.gen(function* () {
      const start = yield* now
      const strategy = Strategy.make("stepped", {
        retry: { maxAttempts: 10, base: "1 second", minDelay: 0, jitter: "none" },
        timeout: { attempt: "2 seconds", total: "4 seconds" }
      })
      let ended = 0
      const fiber = yield* Effect.never.pipe(
        withResilience(strategy, { operation: "target" }),
        Effect.onExit(() => Effect.map(now, (time) => void (ended = time - start))),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      for (let i = 0; i < 10; i++) {
        yield* step
        yield* TestClock.adjust("500 millis")
      }
      const { reason } = (yield* Fiber.join(fiber)) as ResilienceError
      assert.strictEqual(ended, 4_000)
      assert.strictEqual(reason._tag === "TimeoutExceeded" && reason.scope, "total")
      const { callLatency } = Option.getOrThrow(yield* (yield* Registry).operation("target"))
      assert.strictEqual(callLatency.max, 4_000)
    }).pipe(Effect.provide(Resilience.layer())))
})
