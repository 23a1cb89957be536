import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Preset, Registry, Resilience, type ResilienceError, Retry, Strategy, withResilience } from "breakwater"

const strategy = Strategy.make("piped", {
  retry: { maxAttempts: 3, base: "1 second", minDelay: 0, jitter: "none" },
  circuitBreaker: { failureThreshold: 4, openDuration: "10 seconds" },
  timeout: { attempt: "2 seconds", total: "30 seconds" }
})

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined

const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

/** Notes when each attempt starts and ends. */
const notes = () => {
  const at: Array<string> = []
  const note = <A, E>(self: Effect.Effect<A, E>) =>
    Effect.flatMap(now, (start) => Effect.onExit(self, () => Effect.map(now, (end) => void at.push(`${start}-${end}`))))
  return { at, note }
}

const finish = Effect.fnUntraced(function* <A, E, R>(self: Effect.Effect<A, E, R>, time: Duration.Input) {
  const fiber = yield* Effect.forkChild(self, { startImmediately: true })
  yield* TestClock.adjust(time)
  return yield* Fiber.await(fiber)
})

const operation = Effect.flatMap(Registry, (resilience) =>
  Effect.map(resilience.operation("target"), Option.getOrThrow)
)

const guard = withResilience(strategy, { operation: "target" })

describe("the policies of a pipeline share a moment, and", () => {
  it.effect("each attempt has its whole limit, however long the pauses were", () =>
    Effect.gen(function* () {
      const { at, note } = notes()
      yield* TestClock.adjust("1 minute")
      const exit = yield* finish(Effect.never.pipe(note, guard), "1 minute")
      assert.deepStrictEqual(at, ["60000-62000", "63000-65000", "67000-69000"])
      const error = errorOf(exit) as ResilienceError
      assert.strictEqual(error.reason._tag, "TimeoutExceeded")
      assert.deepStrictEqual(error.reason._tag === "TimeoutExceeded" && error.reason.elapsed, Duration.seconds(2))
      assert.deepStrictEqual(
        Exit.isFailure(exit) ? Retry.exhausted(exit.cause) : undefined,
        Option.some({ attempts: 3, elapsed: Duration.seconds(9) })
      )
      const { attemptLatency, callLatency, counters } = yield* operation
      assert.deepInclude(counters, { calls: 1, attempts: 3, retries: 2, timeouts: 3, exhausted: 1, inFlight: 0 })
      assert.strictEqual(callLatency.max, 9_000)
      assert.strictEqual(attemptLatency.max, 2_000)
      assert.strictEqual(attemptLatency.count, 3)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("a duration that is the call's and its attempt's is counted for both", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("1 minute")
      yield* finish(guard(Effect.delay(Effect.void, "1 second")), "1 second")
      let runs = 0
      const once = Effect.suspend(() => (++runs === 1 ? Effect.fail("down") : Effect.void))
      yield* finish(guard(Effect.delay(once, "500 millis")), "10 seconds")
      yield* finish(guard(Effect.delay(Effect.interrupt, "200 millis")), "1 second")
      const { attemptLatency, callLatency, counters, lastSuccess } = yield* operation
      assert.deepInclude(counters, { calls: 3, attempts: 4, succeeded: 2, interrupted: 1 })
      assert.deepInclude(callLatency, { count: 2, mean: 1_500, max: 2_000 })
      assert.deepInclude(attemptLatency, { count: 4, mean: 550, max: 1_000 })
      assert.deepStrictEqual(lastSuccess, Option.some(63_000))
      yield* finish(guard(Effect.delay(Effect.void, "1 second")), "1 second")
      assert.deepStrictEqual((yield* operation).lastSuccess, Option.some(73_000))
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("the total counts from the call's start", () =>
    Effect.gen(function* () {
      const { at, note } = notes()
      const short = Strategy.make("short", { extends: strategy, timeout: { total: "6 seconds" } })
      const exit = yield* finish(Effect.never.pipe(note, withResilience(short, { operation: "target" })), "1 minute")
      // A pause of 2 seconds at 5 passes the end at 6.
      assert.deepStrictEqual(at, ["0-2000", "3000-5000"])
      const error = errorOf(exit) as ResilienceError
      assert.strictEqual(error.reason._tag === "TimeoutExceeded" && error.reason.scope, "attempt")
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("the last attempt is clipped to what is left", () =>
    Effect.gen(function* () {
      const { at, note } = notes()
      const short = Strategy.make("short", { extends: strategy, timeout: { total: "4 seconds" } })
      const exit = yield* finish(Effect.never.pipe(note, withResilience(short, { operation: "target" })), "1 minute")
      assert.deepStrictEqual(at, ["0-2000", "3000-4000"])
      const error = errorOf(exit) as ResilienceError
      assert.strictEqual(error.reason._tag === "TimeoutExceeded" && error.reason.scope, "total")
      assert.deepStrictEqual(error.reason._tag === "TimeoutExceeded" && error.reason.elapsed, Duration.seconds(4))
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("a circuit that opens under a retry counts each attempt once, at its own time", () =>
    Effect.gen(function* () {
      const { at, note } = notes()
      const call = Effect.fail("down").pipe(note, guard)
      yield* finish(call, "10 seconds")
      const rejected = yield* finish(call, "10 seconds")
      // The fourth failure opens the circuit; the pause ends before the open time does.
      assert.deepStrictEqual(at, ["0-0", "1000-1000", "3000-3000", "10000-10000"])
      const error = errorOf(rejected) as ResilienceError
      assert.strictEqual(error.reason._tag, "CircuitOpen")
      assert.deepStrictEqual(error.retryAfter, Duration.seconds(9))
      const { circuits } = yield* operation
      assert.deepInclude(circuits[0]!.counters, {
        admitted: 4,
        failed: 4,
        stale: 0,
        rejected: 1,
        inFlight: 0,
        opened: 1
      })
      const probed = yield* finish(Effect.succeed(1).pipe(guard), 0)
      assert.isTrue(Exit.isSuccess(probed))
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("an attempt that a slow finalizer abandons leaves the next one its own limit and circuit place", () =>
    Effect.gen(function* () {
      let runs = 0
      const body = Effect.suspend(() =>
        ++runs === 1 ? Effect.onInterrupt(Effect.never, () => Effect.sleep("10 seconds")) : Effect.succeed(runs)
      )
      assert.deepStrictEqual(yield* finish(body.pipe(guard), "3 seconds"), Exit.succeed(2))
      assert.strictEqual((yield* operation).counters.abandoned, 1)
      assert.deepInclude((yield* operation).circuits[0]!.counters, {
        admitted: 2,
        failed: 1,
        succeeded: 1,
        inFlight: 0
      })
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* operation).counters.abandoned, 0)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("one guarded effect may run many times at once", () =>
    Effect.gen(function* () {
      const call = Effect.sleep("1 second").pipe(guard)
      const fibers = yield* Effect.forEach(Array.from({ length: 5 }), () =>
        Effect.forkChild(call, { startImmediately: true })
      )
      assert.strictEqual((yield* operation).counters.inFlight, 5)
      yield* TestClock.adjust("1 second")
      yield* Fiber.joinAll(fibers)
      const { circuits, counters } = yield* operation
      assert.deepInclude(counters, { calls: 5, succeeded: 5, inFlight: 0 })
      assert.deepInclude(circuits[0]!.counters, { admitted: 5, succeeded: 5, inFlight: 0 })
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("a caller that leaves in a pause has waited until then", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.fail("down").pipe(guard), { startImmediately: true })
      yield* TestClock.adjust("600 millis")
      yield* Fiber.interrupt(fiber)
      const [decision] = yield* Effect.flatMap(Registry, ({ decisions }) => decisions)
      assert.deepInclude(decision, { verdict: "interrupted", elapsed: 600 })
    }).pipe(Effect.provide(Resilience.layer(Preset.simple, { decisions: { sampleEvery: 1 } })))
  )
})

describe("a fallback", () => {
  const events = <A, E>(self: Effect.Effect<A, E, Resilience>) =>
    Effect.gen(function* () {
      const resilience = yield* Registry
      const seen = yield* resilience.events.pipe(
        Stream.runForEach(({ _tag }) => Effect.sync(() => tags.push(_tag))),
        Effect.forkChild({ startImmediately: true })
      )
      const tags: Array<string> = []
      yield* Effect.exit(self)
      yield* Effect.yieldNow
      yield* Fiber.interrupt(seen)
      return tags.filter((tag) => tag.startsWith("Fallback"))
    }).pipe(Effect.provide(Resilience.layer()))

  for (const [how, fallback, expected] of [
    ["serves", Effect.succeed(1), ["FallbackServed"]],
    ["fails", Effect.fail("down too"), ["FallbackFailed"]],
    ["dies", Effect.die("a defect"), ["FallbackFailed"]],
    ["is interrupted", Effect.interrupt, []]
  ] as const) {
    it.effect(`that ${how} is told of as it is`, () =>
      Effect.map(
        events(
          Effect.fail("down").pipe(
            withResilience(Strategy.make("once", { retry: false }), {
              fallback: (): Effect.Effect<number, string> => fallback
            })
          )
        ),
        (tags) => assert.deepStrictEqual(tags, [...expected])
      )
    )
  }
})
