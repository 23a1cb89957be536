import { assert, describe, it } from "@effect/vitest"
import { DateTime, Effect, Fiber, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import {
  Bulkhead,
  CircuitBreaker,
  Decisions,
  Errors,
  Preset,
  RateLimiter,
  Registry,
  Resilience,
  Strategy,
  withResilience
} from "breakwater"

const strategy = Strategy.make("careful", {
  retry: { maxAttempts: 3, base: "1 second", minDelay: 0, jitter: "none" },
  circuitBreaker: { failureThreshold: 3, openDuration: "8 seconds" },
  timeout: { attempt: "2 seconds", total: "60 seconds" }
})

const live = (sampleEvery: number) => Resilience.layer(Preset.simple, { decisions: { sampleEvery, capacity: 4 } })

/** Three failed attempts, the third of which opens the circuit. */
const open = Effect.gen(function* () {
  const call = yield* Effect.fail(new Errors.InfrastructureError({ message: "secret" })).pipe(
    withResilience(strategy, { operation: "answer_question" }),
    Effect.exit,
    Effect.forkChild({ startImmediately: true })
  )
  yield* TestClock.adjust("3 seconds")
  yield* Fiber.join(call)
})

const refused = Effect.flip(Effect.void.pipe(withResilience(strategy, { operation: "answer_question" })))

describe("a decision", () => {
  it.effect("says in one sentence why a call was refused, under the id that the rejection carries", () =>
    Effect.gen(function* () {
      yield* open
      yield* TestClock.adjust("1 second")
      const { decisionId } = yield* refused
      const decision = yield* Decisions.find(decisionId ?? "")
      assert.strictEqual(
        Decisions.explain(decision),
        "refused by circuit answer_question: 3 failures in a row, opened 00:00:03, next probe in 7s"
      )
    }).pipe(Effect.provide(live(0)))
  )

  it.effect("tells of an isolation, a timeout and a circuit that probes", () =>
    Effect.gen(function* () {
      yield* open
      yield* TestClock.adjust("8 seconds")
      const probe = yield* Effect.forkChild(
        Effect.exit(Effect.never.pipe(withResilience(strategy, { operation: "answer_question" }))),
        { startImmediately: true }
      )
      assert.match(yield* explained(yield* refused), /half-open, all its probes are under way, next one in 8s at most$/)
      yield* Fiber.interrupt(probe)

      const slow = yield* Effect.forkChild(
        Effect.flip(
          Effect.never.pipe(
            withResilience(Strategy.make("slow", { extends: strategy, retry: false }), { operation: "slow" })
          )
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(
        yield* explained(yield* Fiber.join(slow)),
        "slow was cut short by its attempt timeout of 2s, 2s after its start"
      )

      const circuit = Option.getOrThrow(yield* (yield* Registry).circuit("answer_question"))
      yield* CircuitBreaker.isolate(circuit, { reason: "incident 42", expiresIn: "1 minute" })
      assert.strictEqual(
        yield* explained(yield* refused),
        "refused by circuit answer_question: isolated by an operator (incident 42), for another 1m"
      )
    }).pipe(Effect.provide(live(0)))
  )

  const explained = (error: { readonly decisionId: string | undefined }) =>
    Effect.map(Decisions.find(error.decisionId ?? ""), Decisions.explain)

  it.effect("tells of a bulkhead, a rate limit, and a cost that no wait makes room for", () =>
    Effect.gen(function* () {
      const crowded = Strategy.make("crowded", {
        retry: false,
        bulkhead: Bulkhead.settings({ maxConcurrent: 1, maxQueue: 1, maxWait: "2 seconds" })
      })
      const call = <A>(self: Effect.Effect<A>) =>
        self.pipe(
          withResilience(crowded, { operation: "upload" }),
          Effect.flip,
          Effect.forkChild({ startImmediately: true })
        )
      const running = yield* call(Effect.never)
      const waiting = yield* call(Effect.void)
      assert.strictEqual(
        yield* explained(yield* Effect.flip(Effect.void.pipe(withResilience(crowded, { operation: "upload" })))),
        "refused by bulkhead upload: 1 of 1 places taken and 1 waiting"
      )
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(
        yield* explained(yield* Fiber.join(waiting)),
        "refused by bulkhead upload: 1 of 1 places taken and 0 waiting, after a wait of 2s"
      )
      yield* Fiber.interrupt(running)

      const metered = Strategy.make("metered", {
        retry: false,
        admission: RateLimiter.settings({ limit: 1, window: "1 minute" })
      })
      const metering = Effect.void.pipe(withResilience(metered, { operation: "embed" }))
      yield* metering
      assert.strictEqual(
        yield* explained(yield* Effect.flip(metering)),
        "refused by the admission rate limit of embed: 1 are allowed, room again in 1m"
      )
      const costly = yield* Effect.flip(Effect.provideService(metering, RateLimiter.Cost, 2))
      assert.strictEqual(
        yield* explained(costly),
        "refused by the admission rate limit of embed: 1 are allowed, a cost of 2 never passes"
      )
      const [decision] = yield* Decisions.list({ operation: "embed" })
      const json = JSON.stringify(yield* Schema.encodeEffect(Decisions.View)(Decisions.view(decision!)))
      assert.notInclude(json, "Infinity")
      assert.notInclude(costly.message, "Infinity")
    }).pipe(Effect.provide(live(0)))
  )

  it.effect("remembers attempts and pauses, by name and never by message", () =>
    Effect.gen(function* () {
      yield* open
      const [decision] = yield* Decisions.list({ operation: "answer_question" })
      assert.deepStrictEqual(decision?.failedAttempts, [
        { attempt: 1, error: "InfrastructureError", kind: "transient", waited: 1000 },
        { attempt: 2, error: "InfrastructureError", kind: "transient", waited: 2000 },
        { attempt: 3, error: "InfrastructureError", kind: "transient", waited: undefined }
      ])
      assert.strictEqual(decision?.verdict, "failed")
      const text = JSON.stringify(yield* Schema.encodeEffect(Decisions.View)(Decisions.view(decision!)))
      assert.notInclude(text, "secret")
      assert.include(text, '"explanation":"answer_question failed with InfrastructureError after 3s')
    }).pipe(Effect.provide(live(1)))
  )

  it.effect("tells of a circuit that an operator opened", () =>
    Effect.gen(function* () {
      yield* Effect.void.pipe(withResilience(strategy, { operation: "answer_question" }))
      yield* TestClock.adjust("1 minute")
      const circuit = Option.getOrThrow(yield* (yield* Registry).circuit("answer_question"))
      yield* CircuitBreaker.trip(circuit, { openFor: "30 seconds" })
      assert.strictEqual(
        yield* explained(yield* refused),
        "refused by circuit answer_question: opened by an operator 00:01:00, next probe in 30s"
      )
    }).pipe(Effect.provide(live(0)))
  )

  it.effect("names the strategy that guarded the call, and the policies that it came by", () =>
    Effect.gen(function* () {
      const guarded = Strategy.make("guarded", {
        extends: strategy,
        admission: RateLimiter.settings({ limit: 4, window: "1 hour", maxPause: 0 }),
        bulkhead: Bulkhead.settings({ maxConcurrent: 1, maxQueue: 0 })
      })
      const bare = Strategy.make("bare", { retry: false, circuitBreaker: false, timeout: false })
      const call = (self: Effect.Effect<void, string>, named: Strategy.Strategy) =>
        Effect.exit(self.pipe(withResilience(named, { operation: "mixed" })))
      const latest = Effect.gen(function* () {
        const [decision] = yield* Decisions.list({ operation: "mixed" })
        const { policies, refused_by, strategy } = yield* Schema.encodeEffect(Decisions.View)(Decisions.view(decision!))
        return [strategy, policies.join(" "), refused_by]
      })
      const all = "total_timeout admission retry circuit_breaker bulkhead attempt_timeout"
      yield* call(Effect.void, guarded)
      assert.deepStrictEqual(yield* latest, ["guarded", all, null])
      yield* call(Effect.void, bare)
      assert.deepStrictEqual(yield* latest, ["bare", "", null])
      const busy = yield* Effect.forkChild(call(Effect.never, guarded), { startImmediately: true })
      yield* call(Effect.void, guarded)
      const first = "total_timeout admission retry circuit_breaker"
      assert.deepStrictEqual(yield* latest, ["guarded", `${first} bulkhead`, "bulkhead"])
      yield* Fiber.interrupt(busy)
      const circuit = Option.getOrThrow(yield* (yield* Registry).circuit("mixed"))
      yield* CircuitBreaker.trip(circuit)
      yield* call(Effect.void, guarded)
      assert.deepStrictEqual(yield* latest, ["guarded", first, "circuit_breaker"])
      yield* call(Effect.void, guarded)
      assert.deepStrictEqual(yield* latest, ["guarded", "total_timeout admission", "admission"])
    }).pipe(Effect.provide(live(1)))
  )

  it.effect("tells how long the call has waited for places and limits, in vain or not", () =>
    Effect.gen(function* () {
      const narrow = Strategy.make("narrow", {
        retry: { maxAttempts: 2, base: "5 seconds", minDelay: 0, jitter: "none" },
        circuitBreaker: false,
        timeout: false,
        bulkhead: Bulkhead.settings({ maxConcurrent: 1, maxQueue: 2, maxWait: "10 seconds" }),
        quota: RateLimiter.settings({ algorithm: "gcra", limit: 1, window: "3 seconds", onExceeded: "wait" })
      })
      const call = (self: Effect.Effect<void, string>) =>
        self.pipe(
          withResilience(narrow, { operation: "narrow" }),
          Effect.exit,
          Effect.forkChild({ startImmediately: true })
        )
      const queued = Effect.map(Decisions.list({ operation: "narrow" }), ([latest]) => [
        latest!.verdict,
        latest!.queued,
        latest!.elapsed
      ])
      yield* call(Effect.sleep("1 second"))
      yield* call(Effect.sleep("1 second"))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* queued, ["succeeded", 0, 1000])
      // A second in the queue of the bulkhead, then two for the quota.
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(yield* queued, ["succeeded", 3000, 4000])
      const [decision] = yield* Decisions.list({ operation: "narrow" })
      assert.strictEqual(Decisions.explain(decision!), "narrow succeeded in 4s, 3s of it waiting for its turn")
      const { queued_seconds } = yield* Schema.encodeEffect(Decisions.View)(Decisions.view(decision!))
      assert.strictEqual(queued_seconds, 3)

      const waiting = yield* call(Effect.void)
      yield* TestClock.adjust("500 millis")
      yield* Fiber.interrupt(waiting)
      assert.deepStrictEqual(yield* queued, ["interrupted", 500, 500])
    }).pipe(Effect.provide(live(1)))
  )

  it.effect("tells which overrides lay over the circuit", () =>
    Effect.gen(function* () {
      yield* Effect.void.pipe(withResilience(strategy, { operation: "answer_question" }))
      const circuit = Option.getOrThrow(yield* (yield* Registry).circuit("answer_question"))
      yield* CircuitBreaker.disable(circuit, { reason: "a drill", actor: "ada" })
      yield* CircuitBreaker.isolate(circuit, { reason: "incident 42", expiresIn: "1 minute" })
      yield* TestClock.adjust("20 seconds")
      const { decisionId } = yield* refused
      const { circuit: told } = Decisions.view(yield* Decisions.find(decisionId ?? ""))
      assert.deepStrictEqual(told?.overrides, [
        { mode: "isolated", reason: "incident 42", actor: null, secondsLeft: 40 },
        { mode: "disabled", reason: "a drill", actor: "ada", secondsLeft: null }
      ])
      assert.strictEqual(told?.isolatedBecause, "incident 42")
    }).pipe(Effect.provide(live(0)))
  )

  it.effect("is found by operation, verdict, reason and time, newest first, and no more are kept than asked for", () =>
    Effect.gen(function* () {
      yield* open
      for (let i = 0; i < 6; i++) {
        yield* refused
        yield* TestClock.adjust("1 second")
      }
      yield* Effect.void.pipe(withResilience(strategy, { operation: "other" }))
      const at = (second: number) => DateTime.makeUnsafe(second * 1000)
      const seconds = (query: Decisions.Query) =>
        Effect.map(Decisions.list(query), (found) => found.map((decision) => decision.at / 1000))
      assert.deepStrictEqual(yield* seconds({ operation: "answer_question" }), [8, 7, 6, 5])
      assert.deepStrictEqual(yield* seconds({ reason: "CircuitOpen", since: at(6), until: at(7) }), [7, 6])
      assert.deepStrictEqual(yield* seconds({ verdict: "succeeded" }), [9])
      assert.deepStrictEqual(yield* seconds({ reason: "TimeoutExceeded" }), [])
      assert.deepStrictEqual(yield* seconds({ limit: 1 }), [9])
      assert.strictEqual((yield* Effect.flip(Decisions.find("nope")))._tag, "UnknownDecision")
      const lines = Decisions.toNdjson(yield* Decisions.list({ operation: "answer_question", limit: 2 })).split("\n")
      assert.strictEqual(lines.length, 3)
      assert.deepStrictEqual(JSON.parse(lines[0]!), {
        start: "1970-01-01T00:00:08.000Z",
        operation: "answer_question",
        key: null,
        duration_seconds: 0,
        queued_seconds: 0,
        outcome: "rejected",
        reason: "CircuitOpen",
        error: "ResilienceError.CircuitOpen",
        failed_attempts: 0
      })
    }).pipe(Effect.provide(live(1)))
  )

  it.effect("is made for one in so many of the calls that were not refused", () =>
    Effect.gen(function* () {
      for (let i = 0; i < 10; i++) yield* Effect.void.pipe(withResilience(strategy, { operation: "sampled" }))
      assert.strictEqual((yield* Decisions.list()).length, 2)
    }).pipe(Effect.provide(live(5)))
  )
})
