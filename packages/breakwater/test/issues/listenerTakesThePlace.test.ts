import { assert, it } from "@effect/vitest"
import { Effect, Exit, Option } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, Registry, Resilience, Strategy, withResilience } from "breakwater"

const strategy = Strategy.make("narrow", {
  retry: false,
  bulkhead: Bulkhead.settings({ maxConcurrent: 1 }),
  circuitBreaker: { failureThreshold: 1, openDuration: "1 second", halfOpenMaxCalls: 2 }
})

// The circuit moved between the look at the free place and the taking of it, and its listener's call took it.
it.effect("a call from a listener of its circuit does not get a place twice", () =>
  Effect.gen(function* () {
    const { listenUnsafe, operation } = yield* Registry
    const context = yield* Effect.context<Resilience>()
    const guard = (self: Effect.Effect<unknown, unknown>) => withResilience(self, strategy, { operation: "narrow" })
    let calls = 0
    listenUnsafe(({ _tag }) => {
      if (_tag === "CircuitHalfOpened" && calls++ === 0) {
        Effect.runForkWith(context)(Effect.exit(guard(Effect.sleep("1 second"))))
      }
    })
    yield* Effect.exit(guard(Effect.fail("down")))
    yield* TestClock.adjust("1 second")
    assert.isTrue(Exit.isSuccess(yield* Effect.exit(guard(Effect.void))))
    yield* TestClock.adjust("2 seconds")
    const { bulkheads, circuits, counters } = Option.getOrThrow(yield* operation("narrow"))
    assert.strictEqual(calls, 1)
    assert.strictEqual(counters.inFlight, 0)
    assert.deepInclude(bulkheads[0], { active: 0, queued: 0 })
    assert.deepInclude(bulkheads[0]!.counters, { admitted: 2, rejected: 1 })
    assert.strictEqual(circuits[0]!.counters.inFlight, 0)
  }).pipe(Effect.provide(Resilience.layer()))
)
