import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { CircuitBreaker, Preset, Registry, Resilience, Strategy, withResilience } from "breakwater"

// Found by simulation. Whoever read the circuit opened it, and whoever called it did not.
describe("a circuit that counts failures in a row since its configuration changed", () => {
  it.effect("does not open for calls that were slow under the policy before", () =>
    Effect.gen(function* () {
      const strategy = Strategy.make("watched", {
        retry: false,
        timeout: false,
        circuitBreaker: { tripPolicy: CircuitBreaker.slowCalls({ threshold: "1 second", rate: 0.1, minimumCalls: 1 }) }
      })
      const resilience = yield* Registry
      const guard = withResilience(strategy, { operation: "target" })
      const slow = yield* Effect.forkChild(guard(Effect.never), { startImmediately: true })
      const overlay = Preset.overlay({ circuitBreakerThreshold: 5 })
      yield* resilience.configure((current) => ({ ...current, overlay }))
      yield* TestClock.adjust("1 minute")
      const circuit = Option.getOrThrow(yield* resilience.circuit("target"))
      assert.strictEqual((yield* CircuitBreaker.snapshot(circuit)).state, "closed")
      yield* guard(Effect.void)
      yield* Fiber.interrupt(slow)
    }).pipe(Effect.provide(Resilience.layer()))
  )
})
