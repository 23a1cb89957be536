import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { StaleCache } from "breakwater"

// Found by simulation. An answer that took the place of an old one was as long unused as the call that had asked for it.
describe("an answer that takes the place of an old one", () => {
  it.effect("is the one last used", () =>
    Effect.gen(function* () {
      let lookups = 0
      const cache = yield* StaleCache.make(
        (key: string) => {
          lookups++
          return key === "slow" ? Effect.delay(Effect.succeed(key), "10 seconds") : Effect.succeed(key)
        },
        { capacity: 2, timeToLive: "1 minute" }
      )
      const slow = () => Effect.forkChild(cache.get("slow"), { startImmediately: true })
      const first = yield* slow()
      yield* TestClock.adjust("2 minutes")
      const again = yield* slow()
      yield* cache.get("quick")
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.joinAll([first, again])
      yield* cache.get("another")
      assert.strictEqual(lookups, 4)
      yield* slow()
      assert.strictEqual(lookups, 4)
    })
  )
})
