import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Registry, Resilience, Strategy, withResilience } from "breakwater"
import { AsyncLocalStorage } from "node:async_hooks"

const strategy = Strategy.make("hasty", {
  retry: false,
  timeout: { attempt: "1 second", total: "10 seconds" },
  circuitBreaker: { failureThreshold: 1 }
})

// The timer of one call released all that were due, and their rules and events ran in its context.
it.effect("rules and events of a call whose limit passes run in the context of that call", () =>
  Effect.gen(function* () {
    const { listenUnsafe } = yield* Registry
    const context = yield* Effect.context<Resilience>()
    const requests = new AsyncLocalStorage<string>()
    const seen: Array<string> = []
    listenUnsafe((event) => {
      if (event._tag === "CircuitOpened") seen.push(`event of ${event.key} in ${requests.getStore()}`)
    })
    const fibers = ["a", "b", "c"].map((key) => {
      const classify = () => {
        seen.push(`rule of ${key} in ${requests.getStore()}`)
        return undefined
      }
      const call = withResilience(Effect.never, strategy, { operation: "hasty", key, classify })
      return requests.run(`request ${key}`, () => Effect.runForkWith(context)(Effect.exit(call)))
    })
    yield* TestClock.adjust("1 second")
    for (const fiber of fibers) yield* Fiber.await(fiber)
    for (const key of ["a", "b", "c"]) {
      assert.include(seen, `event of ${key} in request ${key}`)
      assert.include(seen, `rule of ${key} in request ${key}`)
    }
    assert.isEmpty(seen.filter((line) => !/of (\w) in request \1$/.test(line)))
  }).pipe(Effect.provide(Resilience.layer()))
)
