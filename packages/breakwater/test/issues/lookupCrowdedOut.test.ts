import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { StaleCache } from "breakwater"

// Found by simulation. Lookups in flight had the bound of the answers that are kept.
describe("a lookup", () => {
  it.effect("is shared by those who come while it runs, however many other keys are looked up meanwhile", () =>
    Effect.gen(function* () {
      const lookups: Array<string> = []
      const cache = yield* StaleCache.make(
        (key: string) =>
          Effect.delay(
            Effect.sync(() => lookups.push(key)),
            "1 second"
          ),
        { capacity: 1 }
      )
      const get = (key: string) => Effect.forkChild(cache.get(key), { startImmediately: true })
      const callers = [yield* get("first"), yield* get("second"), yield* get("first")]
      yield* TestClock.adjust("1 second")
      yield* Fiber.joinAll(callers)
      assert.deepStrictEqual(lookups, ["first", "second"])
    })
  )
})
