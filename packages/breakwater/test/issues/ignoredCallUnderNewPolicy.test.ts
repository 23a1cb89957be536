import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, Errors, Preset, Registry, Resilience, Strategy, withResilience } from "breakwater"

// Found by simulation. The window of the policy before went on taking the call for one in flight.
describe("a call that is ignored after its circuit got another trip policy", () => {
  for (const [name, overlay] of [
    ["failures in a row", { circuitBreakerThreshold: 5 }],
    ["slow calls as before", { attemptTimeout: "1 minute" }]
  ] as const) {
    it.effect(`grows no older once it has ended: ${name}`, () =>
      Effect.gen(function* () {
        const strategy = Strategy.make("watched", {
          retry: false,
          circuitBreaker: {
            tripPolicy: CircuitBreaker.slowCalls({ threshold: "1 second", rate: 0.1, minimumCalls: 1 })
          }
        })
        const resilience = yield* Registry
        const answer = yield* Deferred.make<void, Errors.ValidationError>()
        const fiber = yield* Deferred.await(answer).pipe(
          withResilience(strategy, { operation: "target" }),
          Effect.exit,
          Effect.forkChild({ startImmediately: true })
        )
        yield* resilience.configure((current) => ({ ...current, overlay: Preset.overlay(overlay) }))
        // Makes the operation take the configuration over.
        const circuit = Option.getOrThrow(yield* resilience.circuit("target"))
        yield* Deferred.fail(answer, new Errors.ValidationError({ message: "no" }))
        yield* Fiber.join(fiber)
        yield* TestClock.adjust("1 minute")
        const { counters, failureCount, state } = yield* CircuitBreaker.snapshot(circuit)
        assert.strictEqual(counters.ignored, 1)
        assert.strictEqual(failureCount, 0)
        assert.strictEqual(state, "closed")
      }).pipe(Effect.provide(Resilience.layer()))
    )
  }
})
