import { Effect } from "effect"
import { CircuitBreaker } from "breakwater"
import { type Case, type Theatre, turn, Work } from "./Interleavings.ts"

const opened = (theatre: Theatre, settings: CircuitBreaker.SettingsInput) => {
  const work = new Work()
  const breaker = theatre.run(CircuitBreaker.make({ operation: "target", settings }))
  const circuit = theatre.run(breaker.circuit())
  const protect = breaker.protect()
  const snapshot = () => theatre.run(CircuitBreaker.snapshot(circuit))
  return {
    work,
    circuit,
    protect,
    well: protect(work.done()),
    ill: protect(work.of(1, Effect.fail("failed"))),
    wrong: () => {
      const { admitted, failed, ignored, inFlight, interrupted, stale, succeeded } = snapshot().counters
      const sum = succeeded + failed + ignored + interrupted + stale + inFlight
      return admitted === sum ? undefined : `${admitted} were let through, ${sum} are known`
    },
    after: () => {
      const { counters, state } = snapshot()
      const { inFlight, stale } = counters
      return inFlight > 0 ? `${state} with ${inFlight} in flight` : stale > 0 ? `${state}, ${stale} stale` : state
    }
  }
}

/** Past its open time: the next call is a probe. */
const halfOpen = (theatre: Theatre, settings: CircuitBreaker.SettingsInput = {}) => {
  const found = opened(theatre, { openDuration: "1 second", ...settings })
  const { circuit, work, wrong } = found
  theatre.run(CircuitBreaker.trip(circuit))
  theatre.run(theatre.pass(1_000))
  const probes = settings.halfOpenMaxCalls ?? 1
  return {
    ...found,
    wrong: () => {
      const isTooMany = work.running > probes && theatre.run(CircuitBreaker.snapshot(circuit)).state === "half_open"
      return isTooMany ? `${work.running} probes run, ${probes} may` : wrong()
    }
  }
}

export const circuitBreakerCases: ReadonlyArray<Case> = [
  {
    name: "a half-open circuit lets one of three callers probe, and the others once it has closed",
    preemptions: 1,
    open: (theatre) => {
      const { after, well, wrong } = halfOpen(theatre)
      return { actors: { a: well, b: well, c: well }, wrong, after }
    },
    outcomes: [
      "a: CircuitHalfOpen, b: CircuitHalfOpen, c: done, closed",
      "a: CircuitHalfOpen, b: done, c: CircuitHalfOpen, closed",
      "a: CircuitHalfOpen, b: done, c: done, closed",
      "a: done, b: CircuitHalfOpen, c: CircuitHalfOpen, closed",
      "a: done, b: CircuitHalfOpen, c: done, closed",
      "a: done, b: done, c: CircuitHalfOpen, closed",
      "a: done, b: done, c: done, closed"
    ]
  },
  {
    name: "a half-open circuit opens when its probe fails, and who comes meanwhile is refused",
    open: (theatre) => {
      const { after, ill, well, wrong } = halfOpen(theatre)
      return { actors: { a: ill, b: well }, wrong, after }
    },
    outcomes: [
      "a: CircuitHalfOpen, b: done, closed",
      "a: failed, b: CircuitHalfOpen, open",
      "a: failed, b: CircuitOpen, open",
      "a: failed, b: done, closed"
    ]
  },
  {
    name: "a half-open circuit of two probes takes its verdict from both, in whichever order they end",
    open: (theatre) => {
      const { after, ill, well, wrong } = halfOpen(theatre, { halfOpenMaxCalls: 2 })
      return { actors: { a: well, b: ill }, wrong, after }
    },
    outcomes: ["a: CircuitOpen, b: failed, open", "a: done, b: failed, open, 1 stale", "a: done, b: failed, open"]
  },
  {
    name: "a half-open circuit of which one of two probes has to succeed forgives the other",
    open: (theatre) => {
      const { after, ill, well, wrong } = halfOpen(theatre, { halfOpenMaxCalls: 2, successThreshold: 1 })
      return { actors: { a: well, b: ill }, wrong, after }
    },
    outcomes: ["a: done, b: failed, closed, 1 stale", "a: done, b: failed, closed"]
  },
  {
    name: "a probe that is interrupted gives its place to whoever comes next",
    open: (theatre) => {
      const { after, well, wrong } = halfOpen(theatre)
      return { actors: { a: well, b: well, operator: theatre.interrupt("a") }, wrong, after }
    },
    outcomes: [
      "a: CircuitHalfOpen, b: done, operator: done, closed",
      "a: done, b: CircuitHalfOpen, operator: done, closed",
      "a: done, b: done, operator: done, closed",
      "a: interrupted, b: CircuitHalfOpen, operator: done, closed",
      "a: interrupted, b: CircuitHalfOpen, operator: done, half_open",
      "a: interrupted, b: done, operator: done, closed"
    ]
  },
  {
    name: "a probe that outlasts its time opens the circuit, and its late success changes nothing",
    open: (theatre) => {
      const { after, protect, well, work, wrong } = halfOpen(theatre, { probeTimeout: "1 second" })
      const slow = protect(work.of(0, Effect.as(Effect.sleep("1 second"), "late")))
      return { actors: { slow, b: Effect.andThen(Effect.sleep("1 second"), well) }, wrong, after }
    },
    outcomes: ["slow: late, b: CircuitOpen, open, 1 stale"]
  },
  {
    name: "a circuit opens for failures in a row only if no success comes between them",
    preemptions: 1,
    open: (theatre) => {
      const { after, ill, well, wrong } = opened(theatre, { failureThreshold: 2 })
      return { actors: { a: ill, b: well, c: ill }, wrong, after }
    },
    outcomes: [
      "a: failed, b: CircuitOpen, c: failed, open",
      "a: failed, b: done, c: failed, closed",
      "a: failed, b: done, c: failed, open, 1 stale",
      "a: failed, b: done, c: failed, open"
    ]
  },
  {
    name: "a call that an older generation let through changes nothing in a circuit that was closed again",
    preemptions: 3,
    open: (theatre) => {
      const { after, circuit, protect, work, wrong } = opened(theatre, { failureThreshold: 1 })
      // The transitions there were when its work began.
      let version: number | undefined
      const a = protect(
        Effect.suspend(() => {
          version = theatre.run(CircuitBreaker.snapshot(circuit)).version
          return work.of(1, Effect.fail("failed"))
        })
      )
      const operator = Effect.andThen(CircuitBreaker.trip(circuit), CircuitBreaker.close(circuit))
      return { actors: { a, operator }, wrong, after: () => `${after()}, begun at ${version ?? "none"}` }
    },
    outcomes: [
      "a: CircuitOpen, operator: done, closed, begun at none",
      "a: failed, operator: done, closed, 1 stale, begun at 0",
      "a: failed, operator: done, closed, 1 stale, begun at 1",
      "a: failed, operator: done, closed, 1 stale, begun at 2",
      "a: failed, operator: done, closed, begun at 0",
      "a: failed, operator: done, open, begun at 2"
    ]
  },
  {
    name: "two failures at once open a circuit once",
    open: (theatre) => {
      const { after, circuit, ill, wrong } = opened(theatre, { failureThreshold: 1 })
      const times = () => `${after()} ${theatre.run(CircuitBreaker.snapshot(circuit)).counters.opened} times`
      return { actors: { a: ill, b: ill }, wrong, after: times }
    },
    outcomes: [
      "a: CircuitOpen, b: failed, open 1 times",
      "a: failed, b: CircuitOpen, open 1 times",
      "a: failed, b: failed, open, 1 stale 1 times"
    ]
  },
  {
    name: "an isolated circuit refuses whoever comes after, and none that it has let through",
    preemptions: 1,
    open: (theatre) => {
      const { after, circuit, well, wrong } = opened(theatre, {})
      const operator = CircuitBreaker.isolate(circuit, { reason: "works" })
      return { actors: { a: well, b: Effect.andThen(turn(1), well), operator }, wrong, after }
    },
    outcomes: [
      "a: CircuitIsolated, b: CircuitIsolated, operator: done, isolated",
      "a: CircuitIsolated, b: done, operator: done, isolated",
      "a: done, b: CircuitIsolated, operator: done, isolated",
      "a: done, b: done, operator: done, isolated"
    ]
  },
  {
    name: "an override is over at its time, in whichever order the call and the clock come",
    open: (theatre) => {
      const { after, circuit, well, wrong } = opened(theatre, {})
      theatre.run(CircuitBreaker.isolate(circuit, { reason: "works", expiresIn: "1 second" }))
      const operator = CircuitBreaker.release(circuit, "isolated")
      return { actors: { a: well, clock: theatre.pass(1_000), operator }, wrong, after }
    },
    outcomes: [
      "a: CircuitIsolated, clock: done, operator: done, closed",
      "a: done, clock: done, operator: done, closed"
    ]
  },
  {
    name: "of two operators the last one wins",
    open: (theatre) => {
      const { after, circuit, well, wrong } = opened(theatre, {})
      const actors = { tripper: CircuitBreaker.trip(circuit), closer: CircuitBreaker.reset(circuit), a: well }
      return { actors, wrong, after }
    },
    outcomes: [
      "tripper: done, closer: done, a: CircuitOpen, closed",
      "tripper: done, closer: done, a: CircuitOpen, open",
      "tripper: done, closer: done, a: done, closed, 1 stale",
      "tripper: done, closer: done, a: done, closed",
      "tripper: done, closer: done, a: done, open, 1 stale",
      "tripper: done, closer: done, a: done, open"
    ]
  },
  {
    name: "an open circuit lets a call through from its time on",
    open: (theatre) => {
      const { after, circuit, ill, well, wrong } = opened(theatre, { openDuration: "1 second" })
      theatre.run(CircuitBreaker.trip(circuit))
      return { actors: { a: well, b: ill, clock: theatre.pass(1_000) }, wrong, after }
    },
    outcomes: [
      "a: CircuitHalfOpen, b: failed, clock: done, open",
      "a: CircuitOpen, b: CircuitOpen, clock: done, open",
      "a: CircuitOpen, b: failed, clock: done, open",
      "a: done, b: CircuitHalfOpen, clock: done, closed",
      "a: done, b: CircuitOpen, clock: done, closed",
      "a: done, b: failed, clock: done, closed"
    ]
  }
]
