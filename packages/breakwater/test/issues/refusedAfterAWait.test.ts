import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, type Errors, RateLimiter, Registry, Resilience, Strategy, withResilience } from "breakwater"

// Found by simulation: whoever waited in vain was counted with the time at which it came.
const bare = { retry: false, circuitBreaker: false, timeout: false } as const

const operationOf = Effect.flatMap(Registry, (resilience) =>
  Effect.map(resilience.operation("target"), Option.getOrThrow)
)

const pausing: Errors.Rule = () => ({
  kind: "rate_limited",
  retried: false,
  counted: false,
  retryAfter: Duration.minutes(5)
})

describe("a call that is refused after a wait", () => {
  it.effect("has taken as long as it waited for a place", () =>
    Effect.gen(function* () {
      const strategy = Strategy.make("bulkhead", {
        ...bare,
        bulkhead: Bulkhead.settings({ maxConcurrent: 1, maxQueue: 1, maxWait: "1 second" })
      })
      const call = withResilience(Effect.never, strategy, { operation: "target" })
      const first = yield* Effect.forkChild(call, { startImmediately: true })
      const second = yield* Effect.forkChild(call, { startImmediately: true })
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isFailure(yield* Fiber.await(second)))
      const { callLatency, counters } = yield* operationOf
      assert.deepStrictEqual([counters.rejected, callLatency.count], [1, 1])
      assert.isAtLeast(callLatency.max, 1_000)
      yield* Fiber.interrupt(first)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("has taken as long as it waited for the rate limit, when a pause comes", () =>
    Effect.gen(function* () {
      const strategy = Strategy.make("limit", {
        ...bare,
        rules: [pausing],
        admission: RateLimiter.settings({
          limit: 2,
          burst: 2,
          window: "1 minute",
          onExceeded: "wait",
          maxWait: "1 minute",
          maxPause: "5 minutes"
        })
      })
      const busy = Effect.fail("busy").pipe(Effect.delay("2 seconds"))
      const call = withResilience(busy, strategy, { operation: "target" })
      const calls = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(call, { startImmediately: true }))
      yield* TestClock.adjust("2 seconds")
      const last = yield* Fiber.await(calls[2]!)
      assert.isTrue(Exit.isFailure(last))
      const { callLatency, counters } = yield* operationOf
      assert.deepStrictEqual(counters.rejections, { RateLimitExceeded: 1 })
      assert.strictEqual(callLatency.count, 3)
      // All three ended at once.
      assert.isAtLeast(callLatency.mean, 2_000)
    }).pipe(Effect.provide(Resilience.layer()))
  )
})
