import { assert, describe, it } from "@effect/vitest"
import { Data, Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Registry, Resilience, Retry, RetryBudget, Strategy, withResilience } from "breakwater"

const plain = { maxAttempts: 3, base: "1 second", jitter: "none" } as const

class Wrapped extends Data.TaggedError("Wrapped")<{}> {}

/** Runs a retry around a retry to its end. */
const nested = Effect.fnUntraced(function* (options: {
  readonly outer?: Retry.Nested
  readonly inner?: Retry.Nested
  readonly innerAttempts?: number
  readonly between?: (self: Effect.Effect<number, unknown>) => Effect.Effect<number, unknown>
  readonly succeedsAt?: number
}) {
  const log: Array<string> = []
  let calls = 0
  const retry = (operation: string, settings: Retry.SettingsInput) =>
    Retry.retry({
      operation,
      settings: { ...plain, ...settings },
      observer: {
        onExhausted: ({ attempts, because }) => void log.push(`${operation} ${because} ${attempts}`),
        onNested: ({ inner }) => void log.push(`${operation} around ${inner}`)
      }
    })
  const call = Effect.suspend(() =>
    ++calls === options.succeedsAt ? Effect.succeed(calls) : Effect.fail("down")
  ).pipe(
    retry("inner", { nested: options.inner ?? "warn", maxAttempts: options.innerAttempts ?? 3 }),
    options.between ?? ((self) => self),
    retry("outer", { nested: options.outer ?? "warn" })
  )
  const fiber = yield* Effect.forkChild(Effect.exit(call), { startImmediately: true })
  yield* TestClock.adjust("1 hour")
  yield* Fiber.join(fiber)
  return { calls, log }
})

describe("a retry around a retry", () => {
  it.effect("multiplies by default, and tells it each time that both repeat", () =>
    Effect.gen(function* () {
      const { calls, log } = yield* nested({})
      assert.strictEqual(calls, 9)
      assert.deepStrictEqual(log, [
        "inner attempts 3",
        "outer around inner",
        "outer around inner",
        "outer around inner",
        "inner attempts 3",
        "outer around inner",
        "outer around inner",
        "inner attempts 3",
        "outer attempts 3"
      ])
    })
  )

  it.effect("tells nothing while only one of them repeats", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual((yield* nested({ succeedsAt: 3 })).log, [])
      assert.deepStrictEqual((yield* nested({ innerAttempts: 1, succeedsAt: 3 })).log, [
        "inner attempts 1",
        "inner attempts 1"
      ])
    })
  )

  it.effect("does not repeat what the inner one has exhausted, with outerYields", () =>
    Effect.gen(function* () {
      const { calls, log } = yield* nested({ outer: "outerYields" })
      assert.strictEqual(calls, 3)
      assert.deepStrictEqual(log, ["inner attempts 3", "outer nested 1"])
    })
  )

  it.effect("repeats what an inner one had no attempts for, with outerYields", () =>
    Effect.gen(function* () {
      assert.strictEqual((yield* nested({ outer: "outerYields", innerAttempts: 1 })).calls, 3)
    })
  )

  it.effect("repeats an error that was made anew on the way, with outerYields", () =>
    Effect.gen(function* () {
      const between = Effect.catch(() => Effect.fail(new Wrapped()))
      assert.strictEqual((yield* nested({ outer: "outerYields", between })).calls, 9)
    })
  )

  it.effect("repeats alone, from the first attempt on, with innerYields", () =>
    Effect.gen(function* () {
      const { calls, log } = yield* nested({ outer: "innerYields" })
      assert.strictEqual(calls, 3)
      assert.deepStrictEqual(log, ["inner nested 1", "inner nested 1", "inner nested 1", "outer attempts 3"])
    })
  )

  it.effect("that says nothing is yielded to once it repeats, by an inner one with innerYields", () =>
    Effect.gen(function* () {
      const { calls, log } = yield* nested({ inner: "innerYields" })
      assert.strictEqual(calls, 3 + 1 + 1)
      assert.deepStrictEqual(
        log.filter((line) => line.startsWith("inner")),
        ["inner attempts 3", "inner nested 1", "inner nested 1"]
      )
    })
  )

  it.effect("does not walk around the budget of the inner one, with outerYields", () =>
    Effect.gen(function* () {
      const budgets = yield* RetryBudget.make({
        settings: { minPerSecond: 0, ratio: 0.001, form: "in_flight", minConcurrent: 0 }
      })
      let calls = 0
      const call = Effect.suspend(() => Effect.fail(++calls)).pipe(
        Retry.retry({ settings: plain, budget: budgets.of("model") }),
        Retry.retry({ settings: { ...plain, nested: "outerYields" } })
      )
      const fiber = yield* Effect.forkChild(Effect.exit(call), { startImmediately: true })
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
      assert.strictEqual(calls, 1)
    })
  )
})

describe("operations inside of operations", () => {
  it.effect("are told each time that both repeat", () =>
    Effect.gen(function* () {
      const { events } = yield* Registry
      const seen: Array<string> = []
      yield* events.pipe(
        Stream.runForEach((event) =>
          Effect.sync(() => {
            if (event._tag === "RetriesNested") seen.push(`${event.operation} ${event.inner}`)
          })
        ),
        Effect.forkScoped({ startImmediately: true })
      )
      const strategy = Strategy.make("three", {
        retry: { ...plain, minDelay: 0 },
        circuitBreaker: false,
        timeout: { attempt: "5 minutes", total: "10 minutes" }
      })
      const call = Effect.fail("down").pipe(
        withResilience(strategy, { operation: "model" }),
        withResilience(strategy, { operation: "report" })
      )
      const run = Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.exit(call), { startImmediately: true })
        yield* TestClock.adjust("1 minute")
        yield* Fiber.join(fiber)
      })
      yield* run
      assert.deepStrictEqual(new Set(seen), new Set(["report model"]))
      // Twice in each of the three rounds of the inner one, but for the first, which no round was before.
      assert.strictEqual(seen.length, 5)
    }).pipe(Effect.provide(Resilience.layer()))
  )
})
