import { assert, describe, it } from "@effect/vitest"
import { Cause, Data, Duration, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { CircuitOpen, ResilienceError, Settings, StaleCache, Timeout } from "breakwater"

const fork = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })

/** A dependency that counts its lookups and answers as it is told. */
const dependency = () => {
  const state = { lookups: 0, answer: Effect.succeed("one") as Effect.Effect<string, unknown> }
  const lookup = (_key: string) =>
    Effect.suspend(() => {
      state.lookups++
      return state.answer
    })
  return { state, lookup }
}

const options = { timeToLive: "10 seconds", maxStale: "1 minute" } as const

describe("an answer", () => {
  it.effect("is served while it is fresh, and looked up again at its time to live", () =>
    Effect.gen(function* () {
      const { lookup, state } = dependency()
      const cache = yield* StaleCache.make(lookup, options)
      assert.deepStrictEqual(yield* cache.get("key"), { value: "one", age: Duration.zero, isStale: false })
      state.answer = Effect.succeed("two")
      yield* TestClock.adjust("9999 millis")
      assert.deepStrictEqual(yield* cache.get("key"), { value: "one", age: Duration.millis(9999), isStale: false })
      assert.strictEqual(state.lookups, 1)
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* cache.get("key"), { value: "two", age: Duration.zero, isStale: false })
      assert.deepStrictEqual(yield* cache.snapshot, { capacity: 1_000, size: 1, hits: 1, misses: 2, stale: 0 })
    })
  )

  it.effect("stands in for a failure as long as it may, with its age", () =>
    Effect.gen(function* () {
      const { lookup, state } = dependency()
      const cache = yield* StaleCache.make(lookup, options)
      yield* cache.get("key")
      state.answer = Effect.fail("down")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* cache.get("key"), { value: "one", age: Duration.seconds(10), isStale: true })
      yield* TestClock.adjust("59999 millis")
      assert.deepStrictEqual(yield* cache.get("key"), { value: "one", age: Duration.millis(69_999), isStale: true })
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Effect.flip(cache.get("key")), "down")
      assert.strictEqual(state.lookups, 4)
      assert.deepStrictEqual(yield* cache.snapshot, { capacity: 1_000, size: 1, hits: 0, misses: 2, stale: 2 })
    })
  )

  it.effect("gives way to a new one as soon as the lookup succeeds", () =>
    Effect.gen(function* () {
      const { lookup, state } = dependency()
      const cache = yield* StaleCache.make(lookup, options)
      yield* cache.get("key")
      state.answer = Effect.fail("down")
      yield* TestClock.adjust("20 seconds")
      assert.isTrue((yield* cache.get("key")).isStale)
      state.answer = Effect.succeed("two")
      assert.deepStrictEqual(yield* cache.get("key"), { value: "two", age: Duration.zero, isStale: false })
    })
  )

  it.effect("is forgotten when it is told to be", () =>
    Effect.gen(function* () {
      const { lookup, state } = dependency()
      const cache = yield* StaleCache.make(lookup, options)
      yield* cache.get("key")
      state.answer = Effect.fail("down")
      yield* cache.invalidate("key")
      assert.strictEqual(yield* Effect.flip(cache.get("key")), "down")
    })
  )

  it.effect("is of its own key, also if keys are equal by value", () =>
    Effect.gen(function* () {
      class Pair extends Data.Class<{ readonly from: string; readonly to: string }> {}
      let lookups = 0
      const cache = yield* StaleCache.make((pair: Pair) => Effect.sync(() => `${pair.from}${pair.to}${++lookups}`))
      assert.strictEqual((yield* cache.get(new Pair({ from: "a", to: "b" }))).value, "ab1")
      assert.strictEqual((yield* cache.get(new Pair({ from: "b", to: "a" }))).value, "ba2")
      assert.strictEqual((yield* cache.get(new Pair({ from: "a", to: "b" }))).value, "ab1")
    })
  )
})

describe("a failure", () => {
  it.effect("without an answer from before is the lookup's own, by reference, and is not remembered", () =>
    Effect.gen(function* () {
      const { lookup, state } = dependency()
      const error = new Error("down")
      state.answer = Effect.fail(error)
      const cache = yield* StaleCache.make(lookup, options)
      assert.strictEqual(yield* Effect.flip(cache.get("key")), error)
      state.answer = Effect.succeed("one")
      assert.strictEqual((yield* cache.get("key")).value, "one")
    })
  )

  it.effect("is answered if it is one of those named by `on`", () =>
    Effect.gen(function* () {
      const rejection = new ResilienceError({
        operation: "rates",
        reason: new CircuitOpen({ retryAfter: Duration.seconds(1) })
      })
      const answered = {
        failures: [true, true, false],
        rejections: [false, true, false],
        all: [true, true, true]
      } as const
      for (const on of ["failures", "rejections", "all"] as const) {
        for (const [n, failure] of [Effect.fail("down"), Effect.fail(rejection), Effect.die("broken")].entries()) {
          const { lookup, state } = dependency()
          const cache = yield* StaleCache.make(lookup, { ...options, on })
          yield* cache.get("key")
          state.answer = failure
          yield* TestClock.adjust("10 seconds")
          assert.strictEqual(Exit.isSuccess(yield* Effect.exit(cache.get("key"))), answered[on][n], `${on}, ${n}`)
        }
      }
    })
  )

  it.effect("is answered only if `serveStale` says so", () =>
    Effect.gen(function* () {
      const { lookup, state } = dependency()
      const cache = yield* StaleCache.make(lookup, { ...options, serveStale: (error) => error !== "gone" })
      yield* cache.get("key")
      yield* TestClock.adjust("10 seconds")
      state.answer = Effect.fail("down")
      assert.strictEqual((yield* cache.get("key")).value, "one")
      state.answer = Effect.fail("gone")
      assert.strictEqual(yield* Effect.flip(cache.get("key")), "gone")
    })
  )
})

describe("calls at once", () => {
  it.effect("share one lookup, and its failure too is answered for each", () =>
    Effect.gen(function* () {
      const { lookup, state } = dependency()
      const cache = yield* StaleCache.make(lookup, options)
      state.answer = Effect.as(Effect.sleep("1 second"), "one")
      const first = [yield* fork(cache.get("key")), yield* fork(cache.get("key"))]
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        (yield* Fiber.joinAll(first)).map(({ value }) => value),
        ["one", "one"]
      )
      assert.strictEqual(state.lookups, 1)
      state.answer = Effect.andThen(Effect.sleep("1 second"), Effect.fail("down"))
      yield* TestClock.adjust("10 seconds")
      const second = [yield* fork(cache.get("key")), yield* fork(cache.get("key"))]
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(
        (yield* Fiber.joinAll(second)).map(({ isStale }) => isStale),
        [true, true]
      )
      assert.strictEqual(state.lookups, 2)
    })
  )

  it.effect("are not cut short by the deadline of the one that came first", () =>
    Effect.gen(function* () {
      const { lookup, state } = dependency()
      state.answer = Timeout.attempt(Effect.as(Effect.sleep("3 seconds"), "one"), "10 seconds")
      const cache = yield* StaleCache.make(lookup, options)
      const hurried = yield* fork(Timeout.total(cache.get("key"), "1 second"))
      const patient = yield* fork(cache.get("key"))
      yield* TestClock.adjust("3 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.await(hurried)))
      assert.strictEqual((yield* Fiber.join(patient)).value, "one")
      assert.strictEqual(state.lookups, 1)
    })
  )

  it.effect("end their lookup when the last of them leaves, and an interruption is not answered", () =>
    Effect.gen(function* () {
      const { lookup, state } = dependency()
      const cache = yield* StaleCache.make(lookup, { ...options, on: "all" })
      yield* cache.get("key")
      yield* TestClock.adjust("10 seconds")
      let interrupted = 0
      state.answer = Effect.onInterrupt(Effect.never, () => Effect.sync(() => void interrupted++))
      const [a, b] = [yield* fork(cache.get("key")), yield* fork(cache.get("key"))]
      yield* Fiber.interrupt(a)
      assert.strictEqual(interrupted, 0)
      yield* Fiber.interrupt(b)
      assert.strictEqual(interrupted, 1)
      const exit = yield* Fiber.await(b)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      state.answer = Effect.succeed("two")
      assert.strictEqual((yield* cache.get("key")).value, "two")
    })
  )
})

describe("what is kept", () => {
  it.effect("is bounded: what was not used for the longest time goes first", () =>
    Effect.gen(function* () {
      const { lookup, state } = dependency()
      const cache = yield* StaleCache.make(lookup, { ...options, capacity: 2 })
      yield* cache.get("a")
      yield* cache.get("b")
      yield* cache.get("a")
      yield* cache.get("c")
      assert.deepInclude(yield* cache.snapshot, { size: 2 })
      state.answer = Effect.fail("down")
      yield* TestClock.adjust("10 seconds")
      assert.isTrue((yield* cache.get("a")).isStale)
      assert.strictEqual(yield* Effect.flip(cache.get("b")), "down")
    })
  )

  it("has settings that can be", () => {
    for (const wrong of [{ capacity: 0 }, { timeToLive: 0 }, { maxStale: "-1 seconds" }, { maxStale: NaN }] as const) {
      assert.throws(() => StaleCache.make(() => Effect.succeed(Option.none()), wrong), Settings.InvalidSettings)
    }
  })
})
