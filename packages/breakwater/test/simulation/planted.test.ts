import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect } from "effect"
import { type Priority, ResilienceError, TimeoutExceeded } from "breakwater"
import { minimise, type Opened, report, simulate, type Subject } from "./Simulation.ts"
import type { Call, Stage } from "./Stage.ts"
import { bulkheadSubject, prioritySubject } from "./subjects/bulkhead.ts"
import { circuitSubject } from "./subjects/circuit.ts"
import { coalesceSubject } from "./subjects/coalesce.ts"
import { rateLimiterSubject } from "./subjects/rateLimiter.ts"
import { retrySubject } from "./subjects/retry.ts"
import { slotsSubject } from "./subjects/slots.ts"
import { stackSubject } from "./subjects/stack.ts"
import { retryBudgetSubject } from "./subjects/retryBudget.ts"
import { staleCacheSubject } from "./subjects/staleCache.ts"
import { tieredSubject } from "./subjects/tiered.ts"
import { timeoutSubject } from "./subjects/timeout.ts"

type Guard = Opened["guard"]

/** A subject with something between the caller and the policy. */
const broken = (name: string, subject: Subject, guard: (guard: Guard, stage: Stage) => Guard): Subject => ({
  name,
  open: (stage, dice) => {
    const opened = subject.open(stage, dice)
    return { ...opened, guard: guard(opened.guard, stage) }
  }
})

const around =
  (change: (self: Effect.Effect<unknown, unknown>, call: Call, stage: Stage) => Effect.Effect<unknown, unknown>) =>
  (guard: Guard, stage: Stage): Guard =>
  (call) =>
    change(guard(call), call, stage)

const opposite: Readonly<Record<Priority.Priority, Priority.Priority>> = {
  very_low: "very_high",
  low: "high",
  medium: "medium",
  high: "low",
  very_high: "very_low"
}

const planted: ReadonlyArray<readonly [subject: Subject, invariants: ReadonlyArray<string>]> = [
  [
    circuitSubject("a circuit that opens one failure late", (settings) => ({
      ...settings,
      failureThreshold: (settings.failureThreshold ?? 5) + 1
    })),
    ["INV-CB-2", "INV-CB-3", "INV-CB-8"]
  ],
  [
    circuitSubject("a circuit with a probe too many", (settings) => ({
      ...settings,
      halfOpenMaxCalls: (settings.halfOpenMaxCalls ?? 1) + 1
    })),
    ["INV-CB-1", "INV-CB-3"]
  ],
  [
    circuitSubject("a circuit that is open a millisecond too long", (settings) => ({
      ...settings,
      openDuration: Number(settings.openDuration) + 1
    })),
    ["INV-CB-3", "INV-CB-6", "INV-CB-9"]
  ],
  [
    circuitSubject("a circuit that forgets its trip policy", ({ tripPolicy: _forgotten, ...settings }) => settings),
    ["INV-CB-2", "INV-CB-3", "INV-CB-8"]
  ],
  [
    circuitSubject("a circuit that starts all at once", ({ rampUp: _forgotten, ...settings }) => settings),
    ["INV-CB-2", "INV-CB-3"]
  ],
  [
    retrySubject("a retry with an attempt too many", (settings) => ({
      ...settings,
      maxAttempts: (settings.maxAttempts ?? 3) + 1
    })),
    ["INV-RT"]
  ],
  [
    retrySubject("a retry whose pauses pass their maximum", (settings) => ({
      ...settings,
      maxDelay: Number(settings.maxDelay) * 2
    })),
    ["INV-RT"]
  ],
  [
    bulkheadSubject("a bulkhead with a place too many", (settings) => ({
      ...settings,
      maxConcurrent: (settings.maxConcurrent ?? 25) + 1
    })),
    ["INV-BH", "INV-PERMIT"]
  ],
  [
    bulkheadSubject(
      "a bulkhead that knows no tenants",
      (settings) => settings,
      () => undefined
    ),
    ["INV-FAIR", "INV-BH"]
  ],
  [
    rateLimiterSubject("a rate limiter with a unit too many", (settings) => ({
      ...settings,
      limit: (settings.limit ?? 100) + 1
    })),
    ["INV-RL", "INV-PERMIT"]
  ],
  [
    rateLimiterSubject("a rate limiter whose waiters wait longer than they may", (settings) => ({
      ...settings,
      maxWait: "1 hour"
    })),
    ["INV-RL"]
  ],
  [
    rateLimiterSubject("a rate limiter that keeps its limit when it is told another", undefined, (_, before) => before),
    ["INV-RL", "INV-PERMIT"]
  ],
  [
    retryBudgetSubject("a retry budget of twice its share", (settings) => ({
      ...settings,
      ratio: Math.min((settings.ratio ?? 0.2) * 2, 1)
    })),
    ["INV-RT"]
  ],
  [
    retryBudgetSubject("a retry budget with a floor too high", (settings) => ({
      ...settings,
      minPerSecond: (settings.minPerSecond ?? 1) + 1,
      minConcurrent: (settings.minConcurrent ?? 3) + 1
    })),
    ["INV-RT"]
  ],
  [
    retryBudgetSubject("a retry budget that remembers too long", (settings) => ({ ...settings, window: "1 minute" })),
    ["INV-RT"]
  ],
  [
    coalesceSubject("shared runs of a key too many", ({ capacity = 1 }) => ({ capacity: capacity + 1 })),
    ["INV-CO", "INV-MET"]
  ],
  [
    broken("shared runs that share nothing", coalesceSubject(), (_, stage) => (call) => stage.body(call)),
    ["INV-CO", "INV-MET"]
  ],
  [
    broken(
      "a shared run whose callers get copies",
      coalesceSubject(),
      around((self) => Effect.map(self, (value) => ({ ...(value as object) })))
    ),
    ["INV-CO", "INV-CB-10"]
  ],
  [
    broken(
      "a shared run that goes on for nobody",
      coalesceSubject(),
      around((self) => Effect.uninterruptible(self))
    ),
    ["INV-CO", "INV-MET"]
  ],
  [
    staleCacheSubject("a stale cache that takes an answer for fresh too long", (settings) => ({
      ...settings,
      timeToLive: settings.timeToLive * 2
    })),
    ["INV-SC", "INV-MET"]
  ],
  [
    staleCacheSubject("a stale cache that serves an old answer too long", (settings) => ({
      ...settings,
      maxStale: settings.maxStale + 1
    })),
    ["INV-SC"]
  ],
  [
    staleCacheSubject("a stale cache that keeps an answer too many", (settings) => ({
      ...settings,
      capacity: settings.capacity + 1
    })),
    ["INV-SC", "INV-MET"]
  ],
  [
    staleCacheSubject("a stale cache that answers any failure", (settings) => ({
      ...settings,
      serveStale: () => true
    })),
    ["INV-SC"]
  ],
  [
    broken(
      "a stale cache whose lookups nobody shares",
      staleCacheSubject(),
      (guard, stage) => (call) =>
        Effect.flatMap(Effect.exit(guard(call)), (exit) =>
          call.bodies.length > 0
            ? exit
            : Effect.map(stage.body(call), (value) => ({ value, age: Duration.zero, isStale: false }))
        )
    ),
    ["INV-SC", "INV-MET"]
  ],
  [
    broken(
      "a stale cache on the wall clock",
      staleCacheSubject(),
      around((self, _, { world }) =>
        Effect.provideService(self, Clock.Clock, {
          ...world.clock,
          monotonicTimeNanosUnsafe: () => world.clock.currentTimeNanosUnsafe()
        })
      )
    ),
    ["INV-SC", "INV-MET"]
  ],
  [prioritySubject("a bulkhead that does not know what matters", () => "medium"), ["INV-BH"]],
  [prioritySubject("a bulkhead in which the least comes first", (priority) => opposite[priority]), ["INV-BH"]],
  [
    tieredSubject("tiers that answer whatever fails", (tiers) => tiers.map((tier) => ({ ...tier, on: "all" }))),
    ["INV-FB"]
  ],
  [
    tieredSubject("tiers that are never skipped", (tiers) => tiers.map((tier) => ({ ...tier, isTried: true }))),
    ["INV-FB"]
  ],
  [
    slotsSubject("a stack whose bulkhead has a place too many", {
      bulkhead: (settings) => ({ ...settings, maxConcurrent: (settings.maxConcurrent ?? 25) + 1 })
    }),
    ["INV-BH", "INV-PERMIT"]
  ],
  [
    slotsSubject("a stack whose limits have a unit too many", {
      rate: (settings) => ({ ...settings, limit: (settings.limit ?? 100) + 1 })
    }),
    ["INV-RL", "INV-PERMIT"]
  ],
  [
    slotsSubject("a stack whose budget has a floor too high", {
      budget: (settings) => ({ ...settings, minPerSecond: 20, minConcurrent: 20 })
    }),
    ["INV-RT"]
  ],
  [
    broken(
      "a stack on the wall clock",
      slotsSubject(),
      around((self, _, { world }) =>
        Effect.provideService(self, Clock.Clock, {
          ...world.clock,
          monotonicTimeNanosUnsafe: () => world.clock.currentTimeNanosUnsafe()
        })
      )
    ),
    ["INV-CB-3", "INV-CB-6", "INV-CB-8", "INV-CB-9", "INV-MET", "INV-RT", "INV-RL", "INV-BH", "INV-TO", "INV-PERMIT"]
  ],
  [
    broken(
      "a stack with a call that nobody made",
      slotsSubject(),
      around((self) => Effect.andThen(Effect.exit(self), self))
    ),
    ["INV-RT", "INV-TO", "INV-MET", "INV-CB-10", "INV-FB", "INV-RES", "INV-CO", "INV-RL", "INV-BH", "INV-PERMIT"]
  ],
  [
    broken(
      "a policy that wraps errors",
      circuitSubject(),
      around((self) => Effect.mapError(self, (error) => (error instanceof ResilienceError ? error : { error })))
    ),
    ["INV-CB-10"]
  ],
  [
    broken(
      "a policy that leaves a fiber behind",
      retrySubject(),
      around((self) => Effect.andThen(Effect.forkDetach(Effect.never, { startImmediately: true }), self))
    ),
    ["INV-RES"]
  ],
  [
    broken(
      "a policy on the wall clock",
      circuitSubject(),
      around((self, _, { world }) =>
        Effect.provideService(self, Clock.Clock, {
          ...world.clock,
          monotonicTimeNanosUnsafe: () => world.clock.currentTimeNanosUnsafe()
        })
      )
    ),
    ["INV-CB-3", "INV-CB-6", "INV-CB-8", "INV-CB-9", "INV-MET"]
  ],
  [
    broken(
      "a timeout that waits for what it was told to leave",
      timeoutSubject,
      (_, stage) => (call) =>
        stage.body(call).pipe(
          Effect.timeoutOrElse({
            duration: 20,
            orElse: () =>
              Effect.fail(
                new ResilienceError({
                  operation: "target",
                  reason: new TimeoutExceeded({
                    scope: "attempt",
                    limit: Duration.millis(20),
                    elapsed: Duration.millis(20)
                  })
                })
              )
          }),
          stage.attempt(call)
        )
    ),
    ["INV-TO"]
  ],
  [
    broken(
      "a fallback that is told of interruptions",
      stackSubject,
      around((self, call, stage) =>
        Effect.onInterrupt(self, () => Effect.sync(() => stage.fallback(call, "interrupted")))
      )
    ),
    ["INV-FB"]
  ],
  [
    broken(
      "an operation with a call that nobody made",
      stackSubject,
      around((self) => Effect.andThen(Effect.exit(self), self))
    ),
    ["INV-RT", "INV-TO", "INV-MET", "INV-CB-10", "INV-FB", "INV-RES"]
  ]
]

describe("simulations", () => {
  for (const [subject, invariants] of planted) {
    it(`find ${subject.name}`, () => {
      for (let seed = 0; seed < 400; seed++) {
        const { violation } = simulate(subject, seed)
        if (violation === undefined) continue
        assert.include(invariants, violation.invariant, violation.message)
        return
      }
      assert.fail("nobody noticed")
    })
  }
})

describe("a violation", () => {
  const [subject] = planted[0]!
  const seed = Array.from({ length: 400 }, (_, seed) => seed).find(
    (seed) => simulate(subject, seed).violation !== undefined
  )!

  it("is made as short as it can be", () => {
    const whole = simulate(subject, seed)
    const { kept, outcome } = minimise(subject, seed)
    assert.strictEqual(outcome.violation?.invariant, whole.violation?.invariant)
    assert.isBelow(kept.size, whole.steps.length / 2)
    for (const step of kept) {
      const fewer = new Set([...kept].filter((each) => each !== step))
      assert.notStrictEqual(simulate(subject, seed, { keep: fewer }).violation?.invariant, whole.violation?.invariant)
    }
  })

  it("is reported with its seed, its settings and what it takes", () => {
    const text = report(subject, seed)
    assert.include(text, `SIMULATION_SEED=${seed}`)
    assert.include(text, '"failureThreshold"')
    assert.match(text, /The \d+ steps that it takes/)
  })
})
