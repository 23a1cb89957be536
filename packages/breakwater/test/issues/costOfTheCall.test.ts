import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit } from "effect"
import { RateLimiter, Resilience, Settings, Strategy, withResilience } from "breakwater"

const limited = (name: string, limit: number) =>
  Strategy.make(name, {
    retry: false,
    circuitBreaker: { failureThreshold: 3 },
    quota: RateLimiter.settings({ limit, onExceeded: "fail" })
  })

describe("the cost of a call", () => {
  it.effect("that is none dies with the value and the rule, and speaks against no dependency", () =>
    Effect.gen(function* () {
      const call = Effect.succeed("up").pipe(withResilience(limited("model", 100), { operation: "model" }))
      for (let i = 0; i < 3; i++) {
        const exit = yield* Effect.exit(Effect.provideService(call, RateLimiter.Cost, 0))
        assert.isTrue(Exit.hasDies(exit))
        assert.include(String(Exit.isFailure(exit) && exit.cause), "got 0")
      }
      assert.strictEqual(yield* call, "up")
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("is not that of the calls which it makes", () =>
    Effect.gen(function* () {
      const inner = Effect.succeed("found").pipe(withResilience(limited("search", 10), { operation: "search" }))
      const outer = inner.pipe(withResilience(limited("model", 100), { operation: "model" }))
      assert.strictEqual(yield* Effect.provideService(outer, RateLimiter.Cost, 50), "found")
      assert.strictEqual(yield* Effect.provideService(outer, RateLimiter.Cost, 50), "found")
      const error = yield* Effect.flip(Effect.provideService(outer, RateLimiter.Cost, 1))
      assert.deepInclude(error, { operation: "model" })
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it("is checked where it is written, too", () => {
    assert.throws(() => RateLimiter.settings({ limit: 0 }), Settings.InvalidSettings)
  })
})
