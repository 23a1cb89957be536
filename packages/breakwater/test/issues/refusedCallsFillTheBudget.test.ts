import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { RateLimiter, Registry, Resilience, Retry, RetryBudget, Strategy, withResilience } from "breakwater"

const strategy = Strategy.make("limited", {
  retry: { maxAttempts: 2, base: 1_000, jitter: "none" },
  admission: RateLimiter.settings({ limit: 1, window: "1 minute" }),
  retryBudget: RetryBudget.settings({ ratio: 1, minPerSecond: 0 })
})

const budgetOf = Effect.flatMap(Registry, (resilience) =>
  Effect.map(resilience.operation("target"), (found) =>
    Option.getOrThrow(Option.flatMap(found, (each) => each.retryBudget))
  )
)

describe("a call that the admission limit refuses", () => {
  it.effect("is no call to the budget of the dependency", () =>
    Effect.gen(function* () {
      const call = withResilience(Effect.succeed("well"), strategy, { operation: "target" })
      yield* call
      for (let refused = 0; refused < 9; refused++) yield* Effect.ignore(call)
      const { counters, max } = yield* budgetOf
      assert.strictEqual(counters.calls, 1)
      assert.strictEqual(max, 1)
    }).pipe(Effect.provide(Resilience.layer()))
  )
})

describe("a call that waits for its admission", () => {
  const waiting = Strategy.make("waiting", {
    extends: strategy,
    circuitBreaker: false,
    timeout: { attempt: "1 minute", total: "5 minutes" },
    retry: { maxAttempts: 1 },
    admission: RateLimiter.settings({ limit: 1, window: "1 minute", onExceeded: "wait", maxWait: "2 minutes" })
  })

  it.effect("is counted when its first attempt begins, and tells how long its attempts took", () =>
    Effect.gen(function* () {
      const call = withResilience(Effect.fail("down"), waiting, { operation: "target" })
      yield* Effect.exit(call)
      const second = yield* Effect.forkChild(Effect.sandbox(call).pipe(Effect.flip))
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* budgetOf).counters.calls, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* budgetOf).counters.calls, 2)
      const cause = yield* Fiber.join(second)
      const told = Option.getOrThrow(Retry.exhausted(cause))
      assert.deepStrictEqual([told.attempts, Duration.toMillis(told.elapsed)], [1, 0])
    }).pipe(Effect.provide(Resilience.layer()))
  )
})
