import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import {
  Bulkhead,
  CircuitBreaker,
  Coalesce,
  RateLimiter,
  Registry,
  Resilience,
  Retry,
  RetryBudget,
  Strategy,
  Timeout,
  withResilience
} from "breakwater"

type Guard = (self: Effect.Effect<unknown, unknown>) => Effect.Effect<unknown, unknown>

/** Policies around an effect, and what their counters come to when all is over: attempts that ended well and not. */
interface Subject {
  readonly guard: Guard
  readonly ended: Effect.Effect<readonly [well: number, badly: number]>
}

const bulkhead = Bulkhead.settings({ maxConcurrent: 2, maxQueue: 100, maxWait: "1 minute" })
const limit = RateLimiter.settings({ limit: 1_000, burst: 2, window: "1 second", onExceeded: "wait" })

const subjects: Record<string, Effect.Effect<Subject, never, Resilience>> = {
  "a circuit breaker": Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make({ operation: "target", settings: { failureThreshold: 100 } })
    const ended = Effect.gen(function* () {
      const { counters } = yield* Effect.flatMap(breaker.circuit(), CircuitBreaker.snapshot)
      assert.deepInclude(counters, { inFlight: 0, stale: 0, ignored: 0, rejected: 0, interrupted: 0 })
      return [counters.succeeded, counters.failed] as const
    })
    return { guard: (self) => breaker.protect()(self), ended }
  }),
  "a bulkhead": Effect.gen(function* () {
    const own = yield* Bulkhead.make({ operation: "target", settings: bulkhead })
    const breaker = yield* CircuitBreaker.make({ operation: "target", settings: { failureThreshold: 100 } })
    const ended = Effect.gen(function* () {
      const { active, counters, queued } = yield* own.snapshot()
      assert.deepInclude({ active, queued, ...counters }, { active: 0, queued: 0, rejected: 0, interrupted: 0 })
      const inside = (yield* Effect.flatMap(breaker.circuit(), CircuitBreaker.snapshot)).counters
      assert.strictEqual(counters.admitted, inside.admitted)
      return [inside.succeeded, inside.failed] as const
    })
    return { guard: (self) => self.pipe(breaker.protect(), own.protect()), ended }
  }),
  "a rate limiter": Effect.gen(function* () {
    const own = yield* RateLimiter.make({ operation: "target", settings: limit })
    const breaker = yield* CircuitBreaker.make({ operation: "target", settings: { failureThreshold: 100 } })
    const ended = Effect.gen(function* () {
      const { counters } = yield* own.snapshot
      const inside = (yield* Effect.flatMap(breaker.circuit(), CircuitBreaker.snapshot)).counters
      const { admitted } = inside
      assert.deepInclude(counters, { granted: admitted, started: admitted, returned: 0, held: 0, refused: 0 })
      return [inside.succeeded, inside.failed] as const
    })
    return { guard: (self) => self.pipe(breaker.protect(), own.protect()), ended }
  }),
  "a retry with timeouts around a bulkhead in a circuit": Effect.gen(function* () {
    const own = yield* Bulkhead.make({ operation: "target", settings: bulkhead })
    const budgets = yield* RetryBudget.make({ settings: { form: "in_flight", minConcurrent: 100 } })
    const breaker = yield* CircuitBreaker.make({ operation: "target", settings: { failureThreshold: 100 } })
    const ended = Effect.gen(function* () {
      assert.deepInclude(yield* own.snapshot(), { active: 0, queued: 0 })
      assert.deepInclude(yield* budgets.snapshot("model"), { used: 0 })
      const { counters } = yield* Effect.flatMap(breaker.circuit(), CircuitBreaker.snapshot)
      assert.strictEqual(counters.inFlight, 0)
      return [counters.succeeded, counters.failed] as const
    })
    const settings = { maxAttempts: 3, base: "1 milli", jitter: "none" } as const
    const guard: Guard = (self) =>
      self.pipe(
        Timeout.attempt("10 seconds"),
        own.protect(),
        breaker.protect(),
        Retry.retry({ settings, budget: budgets.of("model") }),
        Timeout.total("1 minute")
      )
    return { guard, ended }
  }),
  "a strategy with every policy": Effect.gen(function* () {
    const { operation } = yield* Registry
    const every = Strategy.make("every", {
      retry: { maxAttempts: 3, base: "1 milli", minDelay: 0, jitter: "none" },
      circuitBreaker: { failureThreshold: 100 },
      timeout: { attempt: "10 seconds", total: "1 minute" },
      admission: limit,
      bulkhead,
      quota: limit,
      retryBudget: RetryBudget.settings({ form: "in_flight", minConcurrent: 100 })
    })
    const ended = Effect.gen(function* () {
      const { admission, bulkheads, circuits, counters, quota, retryBudget } = Option.getOrThrow(
        yield* operation("every")
      )
      assert.deepInclude(counters, { inFlight: 0, rejected: 0, interrupted: 0 })
      assert.deepInclude(bulkheads[0], { active: 0, queued: 0 })
      assert.deepInclude(Option.getOrThrow(admission).counters, { held: 0, started: counters.calls })
      assert.deepInclude(Option.getOrThrow(quota).counters, { held: 0, started: counters.attempts })
      assert.deepInclude(Option.getOrThrow(retryBudget), { used: 0 })
      assert.deepInclude(circuits[0]!.counters, { inFlight: 0, admitted: counters.attempts })
      return [circuits[0]!.counters.succeeded, circuits[0]!.counters.failed] as const
    })
    const context = yield* Effect.context<Resilience>()
    return { guard: (self) => Effect.provide(withResilience(self, every), context), ended }
  })
}

const finish = Effect.fnUntraced(function* <A, E, R>(self: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(self, { startImmediately: true })
  yield* TestClock.adjust("1 minute")
  return yield* Fiber.await(fiber)
})

describe("an effect that is guarded once", () => {
  for (const [name, subject] of Object.entries(subjects)) {
    describe(`by ${name}`, () => {
      it.effect("runs many times at once, each for itself", () =>
        Effect.gen(function* () {
          const { ended, guard } = yield* subject
          let runs = 0
          const call = guard(Effect.suspend(() => Effect.delay(Effect.succeed(++runs), "1 second")))
          const exit = yield* finish(Effect.all([call, call, call, call, call], { concurrency: 3 }))
          assert.deepStrictEqual(exit, Exit.succeed([1, 2, 3, 4, 5]))
          assert.deepStrictEqual(yield* ended, [5, 0])
        }).pipe(Effect.provide(Resilience.layer()))
      )

      it.effect("runs beside itself when one run is interrupted", () =>
        Effect.gen(function* () {
          const { guard } = yield* subject
          let [started, finished] = [0, 0]
          const work = Effect.suspend(() => {
            started++
            return Effect.onExit(Effect.sleep("1 second"), () => Effect.sync(() => finished++))
          })
          const call = guard(work)
          const leaving = yield* Effect.forkChild(call, { startImmediately: true })
          const staying = yield* Effect.forkChild(call, { startImmediately: true })
          yield* TestClock.adjust("500 millis")
          yield* Fiber.interrupt(leaving)
          assert.deepStrictEqual([started, finished], [2, 1])
          // What the one that left has given back is not taken from the one that stayed.
          const others = yield* Effect.forkChild(Effect.all([call, call], { concurrency: 2 }), {
            startImmediately: true
          })
          yield* TestClock.adjust("1 minute")
          assert.isTrue(Exit.isSuccess(yield* Fiber.await(staying)))
          assert.isTrue(Exit.isSuccess(yield* Fiber.await(others)))
          assert.deepStrictEqual([started, finished], [4, 4])
        }).pipe(Effect.provide(Resilience.layer()))
      )

      it.effect("can be repeated and retried from outside", () =>
        Effect.gen(function* () {
          const { ended, guard } = yield* subject
          let runs = 0
          // Of each four runs the first three fail, whoever repeats them.
          const call = guard(
            Effect.suspend(() => (++runs % 4 === 0 ? Effect.succeed(runs) : Effect.fail("down")))
          ).pipe(Effect.retry({ times: 3 }), Effect.repeat({ times: 2 }))
          const exit = yield* finish(call)
          assert.deepStrictEqual(exit, Exit.succeed(12))
          assert.deepStrictEqual(yield* ended, [3, 9])
        }).pipe(Effect.provide(Resilience.layer()))
      )
    })
  }

  it.effect("by a shared run runs anew each time, and once for all at once", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      let runs = 0
      const call = Effect.suspend(() => Effect.delay(Effect.succeed(++runs), "1 second")).pipe(coalesce.join("key"))
      const both = Effect.all([call, call], { concurrency: 2 })
      for (const run of [1, 2]) assert.deepStrictEqual(yield* finish(both), Exit.succeed([run, run]))
    })
  )
})
