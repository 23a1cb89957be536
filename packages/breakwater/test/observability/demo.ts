import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Bulkhead from "../../src/Bulkhead.ts"
import * as Coalesce from "../../src/Coalesce.ts"
import * as RateLimiter from "../../src/RateLimiter.ts"
import { withResilience } from "../../src/Resilience.ts"
import * as RetryBudget from "../../src/RetryBudget.ts"
import * as Strategy from "../../src/Strategy.ts"
import * as Tiered from "../../src/Tiered.ts"

export const fragile = Strategy.make("fragile", {
  retry: { maxAttempts: 2, base: "10 millis", minDelay: 0, jitter: "none" },
  circuitBreaker: { failureThreshold: 2, openDuration: "10 seconds" },
  timeout: { attempt: "100 millis", total: "1 second" }
})

export const limited = Strategy.make("limited", {
  extends: fragile,
  admission: RateLimiter.settings({ limit: 10, window: "1 minute" }),
  bulkhead: Bulkhead.settings({ maxConcurrent: 5 }),
  quota: RateLimiter.settings({ limit: 20, window: "1 minute" }),
  retryBudget: RetryBudget.settings()
})

/** Calls that succeed, fail, are retried, time out, are rejected and fall back, in less than a second. */
export const calls = Effect.gen(function* () {
  yield* Effect.succeed("fine").pipe(withResilience(fragile, { operation: "summarize_text" }))
  yield* Effect.succeed("fine").pipe(
    withResilience(limited, { operation: "extract_key_points", coalesce: Coalesce.by("a text") })
  )
  const down = Effect.fail(new Error("a secret")).pipe(
    withResilience(fragile, { operation: "analyze_sentiment", key: "sk-live-0f3c2b7e", fallback: () => Effect.void })
  )
  yield* Effect.andThen(down, down)
  yield* Tiered.makeWith({ operation: "summarize_text" })(
    Tiered.tier("full", Effect.fail("down")),
    Tiered.tier("canned", Effect.succeed("no summary today"))
  )
  yield* Effect.exit(Effect.never.pipe(withResilience(fragile, { operation: "answer_question" })))
})

/** The same under `TestClock`. */
export const demo = Effect.gen(function* () {
  const fiber = yield* Effect.forkChild(calls, { startImmediately: true })
  yield* TestClock.adjust("5 seconds")
  yield* Fiber.join(fiber)
})
