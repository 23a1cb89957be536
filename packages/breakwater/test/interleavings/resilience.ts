import { Effect, Layer, Option, Scope } from "effect"
import { Bulkhead, CircuitBreaker, Coalesce, Preset, Registry, Resilience, Strategy, withResilience } from "breakwater"
import { type Case, type Theatre, Work } from "./Interleavings.ts"

const opened = (theatre: Theatre, name: string, overrides: Strategy.Overrides) => {
  const work = new Work()
  const scope = Scope.makeUnsafe()
  const context = theatre.run(Layer.buildWithScope(Resilience.layer(), scope))
  const resilience = theatre.run(Effect.provideContext(Registry, context))
  const strategy = Strategy.make(name, { retry: false, circuitBreaker: false, timeout: false, ...overrides })
  const guard = (self: Effect.Effect<unknown, unknown>, options = {}): Effect.Effect<unknown, unknown> =>
    Effect.provideContext(withResilience(self, strategy, { operation: "target", ...options }), context)
  const circuit = () => Option.getOrUndefined(theatre.run(resilience.circuit("target")))
  return {
    work,
    guard,
    resilience,
    circuit,
    overlay: (input: Preset.OverlayInput) =>
      Effect.asVoid(resilience.configure((current) => ({ ...current, overlay: Preset.overlay(input) }))),
    after: () => {
      const snapshot = Option.getOrUndefined(theatre.run(resilience.operation("target")))
      if (snapshot === undefined) return "0 calls"
      const { abandoned, calls, failed, inFlight, interrupted, rejected, succeeded } = snapshot.counters
      if (calls !== succeeded + failed + rejected + interrupted + inFlight) return "the counters do not balance"
      const found = circuit()
      const state = found === undefined ? "" : `, ${theatre.run(CircuitBreaker.snapshot(found)).state}`
      return inFlight > 0 || abandoned > 0 ? `${inFlight} in flight` : `${calls} calls${state}`
    }
  }
}

export const resilienceCases: ReadonlyArray<Case> = [
  {
    name: "a call makes as many attempts as one configuration allows, whenever another comes",
    open: (theatre) => {
      const { after, guard, overlay, work } = opened(theatre, "repeating", {
        retry: { maxAttempts: 2, base: "1 second", jitter: "none" }
      })
      const call = guard(work.of(1, Effect.fail({ isRetryable: true })))
      const told = Effect.catch(call, () => Effect.sync(() => `${work.started} attempts`))
      return { actors: { a: told, operator: overlay({ retryAttempts: 3 }) }, after }
    },
    outcomes: ["a: 2 attempts, operator: done, 1 calls", "a: 3 attempts, operator: done, 1 calls"]
  },
  {
    name: "a failure opens the circuit by the threshold that its call began with",
    preemptions: 3,
    open: (theatre) => {
      const { after, guard, overlay, work } = opened(theatre, "counting", { circuitBreaker: { failureThreshold: 1 } })
      const a = guard(work.of(1, Effect.fail("failed")))
      return { actors: { a, operator: overlay({ circuitBreakerThreshold: 2 }) }, after }
    },
    outcomes: ["a: failed, operator: done, 1 calls, closed", "a: failed, operator: done, 1 calls, open"]
  },
  {
    name: "a half-open circuit lets no more probes through than the configuration of their calls allows",
    preemptions: 1,
    open: (theatre) => {
      const { after, circuit, guard, overlay, work } = opened(theatre, "probing", {
        circuitBreaker: { openDuration: "1 second" }
      })
      theatre.run(guard(Effect.void))
      theatre.run(CircuitBreaker.trip(circuit()!))
      theatre.run(theatre.pass(1_000))
      const call = guard(work.done())
      return { actors: { a: call, b: call, operator: overlay({ halfOpenMaxCalls: 2 }) }, after }
    },
    // Half-open: who was let through goes by two probes, of which only it has succeeded; the other one, by one, was refused.
    outcomes: [
      "a: CircuitHalfOpen, b: done, operator: done, 3 calls, closed",
      "a: CircuitHalfOpen, b: done, operator: done, 3 calls, half_open",
      "a: done, b: CircuitHalfOpen, operator: done, 3 calls, closed",
      "a: done, b: CircuitHalfOpen, operator: done, 3 calls, half_open",
      "a: done, b: done, operator: done, 3 calls, closed"
    ]
  },
  {
    name: "what is switched off guards no call that comes later, and those that run go on",
    preemptions: 1,
    open: (theatre) => {
      const { after, guard, resilience, work } = opened(theatre, "bounded", {
        bulkhead: Bulkhead.settings({ maxConcurrent: 1 })
      })
      const call = guard(work.done())
      const operator = Effect.asVoid(resilience.configure((current) => ({ ...current, isEnabled: false })))
      return { actors: { a: call, b: call, operator }, after }
    },
    outcomes: [
      "a: BulkheadFull, b: done, operator: done, 2 calls",
      "a: done, b: BulkheadFull, operator: done, 2 calls",
      "a: done, b: done, operator: done, 0 calls",
      "a: done, b: done, operator: done, 1 calls",
      "a: done, b: done, operator: done, 2 calls"
    ]
  },
  {
    name: "a guarded call that is interrupted anywhere is counted once and leaves nothing",
    open: (theatre) => {
      const { after, guard, work } = opened(theatre, "whole", {
        retry: { maxAttempts: 2, base: "1 second", jitter: "none" },
        circuitBreaker: { failureThreshold: 1 },
        timeout: { attempt: "1 second", total: "10 seconds" },
        bulkhead: Bulkhead.settings({ maxConcurrent: 1, maxQueue: 1, maxWait: "1 second" })
      })
      return { actors: { a: guard(work.done()), operator: theatre.interrupt("a") }, after }
    },
    outcomes: [
      "a: done, operator: done, 1 calls, closed",
      "a: interrupted, operator: done, 0 calls",
      "a: interrupted, operator: done, 1 calls, closed"
    ]
  },
  {
    name: "calls that share a run count as one call of the operation",
    open: (theatre) => {
      const { after, guard, work } = opened(theatre, "shared", {})
      const call = guard(work.done(), { coalesce: Coalesce.by("key") })
      return { actors: { a: call, b: call }, after: () => `${work.started} runs, ${after()}` }
    },
    outcomes: ["a: done, b: done, 1 runs, 1 calls", "a: done, b: done, 2 runs, 2 calls"]
  }
]
