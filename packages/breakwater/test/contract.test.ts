/** Laws of `CONTRACT.md` for which no other file has a place. */
import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import {
  Coalesce,
  Errors,
  Resilience,
  type ResilienceError,
  ResilienceEvent,
  Retry,
  RetryBudget,
  StaleCache,
  Strategy,
  Timeout,
  withResilience
} from "breakwater"

const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

/** Keeps the events as they are published, in the same instant. */
const recording = () => {
  const tags: Array<string> = []
  const sink: ResilienceEvent.Sink = {
    isActive: () => true,
    publishUnsafe: (event) => void tags.push(event._tag),
    listenUnsafe: () => () => {}
  }
  return { tags, provide: Effect.provideService(ResilienceEvent.ResilienceEvents, sink) }
}

describe("a retry", () => {
  it.effect("gives each of many calls at once its own attempts and its own pauses", () =>
    Effect.gen(function* () {
      const policy = Retry.retry({ settings: { maxAttempts: 3, base: "1 second", jitter: "none" } })
      const at: Record<string, Array<number>> = { first: [], second: [] }
      const call = (name: string) =>
        Effect.flatMap(now, (time) => {
          at[name]!.push(time)
          return Effect.fail(name)
        }).pipe(policy, Effect.exit, Effect.forkChild({ startImmediately: true }))
      const first = yield* call("first")
      yield* TestClock.adjust("500 millis")
      const second = yield* call("second")
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(at, { first: [0, 1_000, 3_000], second: [500, 1_500, 3_500] })
      const known = Effect.fnUntraced(function* (fiber: typeof first) {
        const exit = yield* Fiber.join(fiber)
        return Exit.isFailure(exit) ? Option.getOrUndefined(Retry.exhausted(exit.cause)) : undefined
      })
      const expected = { attempts: 3, elapsed: Duration.seconds(3) }
      assert.deepStrictEqual(yield* known(first), expected)
      assert.deepStrictEqual(yield* known(second), expected)
    })
  )
})

describe("a retry budget", () => {
  for (const form of ["window", "in_flight"] as const) {
    it.effect(`passes a defect on as it is, and is at rest after it, by ${form}`, () =>
      Effect.gen(function* () {
        const budgets = yield* RetryBudget.make({ settings: { form } })
        const bug = new Error("bug")
        let attempts = 0
        const fiber = yield* Effect.suspend(() => (++attempts === 1 ? Effect.fail("down") : Effect.die(bug))).pipe(
          Retry.retry({ budget: budgets.of("model"), settings: { maxAttempts: 4, base: "1 second", jitter: "none" } }),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("1 minute")
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(
          Exit.isFailure(exit) && exit.cause.reasons.some((reason) => reason._tag === "Die" && reason.defect === bug)
        )
        assert.strictEqual(attempts, 2)
        const { counters, used } = yield* budgets.snapshot("model")
        assert.deepInclude(counters, { granted: 1, refused: 0 })
        assert.strictEqual(used, 0)
      })
    )
  }
})

const limited = Strategy.make("limited", {
  retry: { maxAttempts: 2, base: "1 second", jitter: "none" },
  circuitBreaker: false,
  timeout: { attempt: "1 second", total: "2 seconds" }
})

describe("a fallback", () => {
  it.effect("has its own time once the total is over", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.never.pipe(
        withResilience(limited, {
          operation: "target",
          fallback: () => Effect.delay(Effect.succeed("instead"), "10 seconds")
        }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("10 seconds")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "instead")
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("is told of, whether it serves or fails", () => {
    const { provide, tags } = recording()
    return Effect.gen(function* () {
      const wrong = Effect.fail(new Errors.ValidationError({ message: "no" }))
      yield* wrong.pipe(withResilience(limited, { operation: "target", fallback: () => Effect.succeed("instead") }))
      yield* wrong.pipe(
        withResilience(limited, { operation: "target", fallback: () => Effect.fail("no better") }),
        Effect.flip
      )
      assert.deepStrictEqual(
        tags.filter((tag) => tag.startsWith("Fallback")),
        ["FallbackServed", "FallbackFailed"]
      )
    }).pipe(Effect.provide(Resilience.layer()), provide)
  })

  it.effect("answers each of many calls at once for its own error", () =>
    Effect.gen(function* () {
      const fail = (name: string) =>
        Effect.delay(Effect.fail({ name, isRetryable: false }), "100 millis").pipe(
          withResilience(limited, {
            operation: "target",
            fallback: (error) => Effect.succeed("name" in error ? error.name : "rejected")
          })
        )
      const names = ["one", "two", "three"]
      const fiber = yield* Effect.forEach(names, fail, { concurrency: "unbounded" }).pipe(
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("100 millis")
      assert.deepStrictEqual(yield* Fiber.join(fiber), names)
    }).pipe(Effect.provide(Resilience.layer()))
  )
})

describe("a timeout", () => {
  it.effect("tells of each limit that passes, and of work that goes on, once", () =>
    Effect.gen(function* () {
      const told: Array<string> = []
      const observer: Timeout.Observer = {
        onTimedOut: ({ reason }: ResilienceError) =>
          void told.push(reason._tag === "TimeoutExceeded" ? reason.scope : reason._tag),
        onAbandoned: (change) => void told.push(change > 0 ? "abandoned" : "ended")
      }
      const fiber = yield* Effect.never.pipe(
        Effect.onInterrupt(() => Effect.sleep("1 second")),
        Timeout.attempt("1 second", { observer }),
        Effect.exit,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(told, ["attempt", "abandoned"])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(told, ["attempt", "abandoned", "ended"])
    })
  )
})

describe("what shares and what remembers", () => {
  it.effect("publishes nothing itself: what runs inside does", () => {
    const { provide, tags } = recording()
    return Effect.gen(function* () {
      let isDown = false
      const lookup = () => Effect.suspend(() => (isDown ? Effect.fail("down") : Effect.succeed(1)))
      const cache = yield* StaleCache.make(lookup, { timeToLive: "1 second" })
      const coalesce = yield* Coalesce.make()
      yield* cache.get("key")
      isDown = true
      yield* TestClock.adjust("2 seconds")
      assert.isTrue((yield* cache.get("key")).isStale)
      const call = Effect.yieldNow.pipe(coalesce.join("key"))
      yield* Effect.all([call, call], { concurrency: "unbounded" })
      assert.deepStrictEqual(tags, [])
    }).pipe(provide)
  })
})
