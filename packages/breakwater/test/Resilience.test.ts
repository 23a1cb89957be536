import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Option, Ref } from "effect"
import { TestClock } from "effect/testing"
import { Errors, Preset, Resilience, Strategy, withOperation, withResilience } from "breakwater"

const quick = Strategy.make("quick", {
  retry: false,
  circuitBreaker: { failureThreshold: 2, openDuration: "10 seconds" },
  timeout: { attempt: "1 second", total: "5 seconds" }
})

describe("withResilience", () => {
  it.effect("rejects the third call after two failures without reaching the target, then lets one of two probe", () =>
    Effect.gen(function* () {
      const calls = yield* Ref.make(0)
      const target = <A, E>(answer: Effect.Effect<A, E>) => Ref.update(calls, (n) => n + 1).pipe(Effect.andThen(answer))
      const guard = withResilience(quick, { operation: "target" })

      yield* Effect.exit(target(Effect.fail("down")).pipe(guard))
      yield* Effect.exit(target(Effect.fail("down")).pipe(guard))
      const rejected = yield* Effect.flip(target(Effect.succeed("up")).pipe(guard))
      assert.strictEqual(rejected._tag, "ResilienceError")
      assert.strictEqual(rejected.reason._tag, "CircuitOpen")
      assert.deepStrictEqual(rejected.retryAfter, Duration.seconds(10))
      assert.strictEqual(yield* Ref.get(calls), 2)

      yield* TestClock.adjust("10 seconds")
      const [first, second] = yield* Effect.all([
        Effect.forkChild(Effect.exit(target(Effect.sleep("100 millis")).pipe(guard)), { startImmediately: true }),
        Effect.forkChild(Effect.exit(target(Effect.void).pipe(guard)), { startImmediately: true })
      ])
      yield* TestClock.adjust("100 millis")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(first)))
      assert.isTrue(Exit.isFailure(yield* Fiber.join(second)))
      assert.strictEqual(yield* Ref.get(calls), 3)

      const { circuits } = Option.getOrThrow(yield* (yield* Resilience).operation("target"))
      assert.strictEqual(circuits[0]?.state, "closed")
    }).pipe(Effect.provide(Resilience.layer()))
  )

  for (const error of [
    new Errors.ValidationError({ message: "no" }),
    new Errors.BusinessLogicError({ message: "no" })
  ]) {
    it.effect(`executes once when the operation fails with ${error._tag}`, () =>
      Effect.gen(function* () {
        const calls = yield* Ref.make(0)
        const failed = yield* Ref.update(calls, (n) => n + 1).pipe(
          Effect.andThen(Effect.fail(error)),
          withOperation("summarize"),
          Effect.flip
        )
        assert.strictEqual(failed, error)
        assert.strictEqual(yield* Ref.get(calls), 1)
      }).pipe(Effect.provide(Resilience.layer(Preset.production)))
    )
  }

  it.effect("executes three times on a connection error and gives the error to the fallback", () =>
    Effect.gen(function* () {
      const calls = yield* Ref.make(0)
      const refused = Object.assign(new Error("connect"), { code: "ECONNREFUSED" })
      const fiber = yield* Ref.update(calls, (n) => n + 1).pipe(
        Effect.andThen(Effect.fail(refused)),
        withResilience("balanced", { operation: "target", fallback: (error) => Effect.succeed(error) }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), refused)
      assert.strictEqual(yield* Ref.get(calls), 3)
      const { counters } = Option.getOrThrow(yield* (yield* Resilience).operation("target"))
      assert.strictEqual(counters.attempts, 3)
      assert.strictEqual(counters.retries, 2)
      assert.strictEqual(counters.fallbacks, 1)
      assert.strictEqual(counters.failed, 1)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("times out an attempt, retries it, and ends at the total", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.never.pipe(
        withResilience("aggressive", { operation: "target" }),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("30 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.reason._tag, "TimeoutExceeded")
      assert.strictEqual(error.reason._tag === "TimeoutExceeded" && error.reason.scope, "total")
      const { counters } = Option.getOrThrow(yield* (yield* Resilience).operation("target"))
      assert.strictEqual(counters.attempts, 2)
      assert.strictEqual(counters.timeouts, 2)
      assert.strictEqual(counters.inFlight, 0)
    }).pipe(Effect.provide(Resilience.layer()))
  )
})
