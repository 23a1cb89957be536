import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Config, ConfigProvider, Duration, Effect, Equal, Exit, Fiber, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { CircuitOpen, ResilienceError, Retry, RetryBudget, Settings, Timeout } from "breakwater"

const plain = { maxAttempts: 4, base: "1 second", jitter: "none" } as const

const make = (settings: RetryBudget.SettingsInput, maxKeys?: number) => RetryBudget.make({ settings, maxKeys })

/** Starts a call that fails at each attempt, and notes how it was given up. */
const failing = (
  budgets: RetryBudget.RetryBudget["Service"],
  dependency = "model",
  settings: Retry.SettingsInput = plain
) => {
  const givenUp: Array<string> = []
  let attempts = 0
  const call = Effect.suspend(() => Effect.fail(++attempts)).pipe(
    Retry.retry({
      budget: budgets.of(dependency),
      settings,
      observer: { onExhausted: ({ because }) => void givenUp.push(because) }
    })
  )
  return { call, givenUp, attempts: () => attempts }
}

const finish = Effect.fnUntraced(function* <A, E>(self: Effect.Effect<A, E>, time: Duration.Input = "1 minute") {
  const fiber = yield* Effect.forkChild(self, { startImmediately: true })
  yield* TestClock.adjust(time)
  return yield* Fiber.await(fiber)
})

describe("a retry with a budget", () => {
  it.effect("leaves the last error in place when it is refused, and says why", () =>
    Effect.gen(function* () {
      const budgets = yield* make({ minPerSecond: 0.1 })
      const { attempts, call, givenUp } = failing(budgets)
      const exit = yield* finish(call)
      assert.strictEqual(attempts(), 2)
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === 2)
      assert.deepStrictEqual(givenUp, ["budget"])
      assert.deepStrictEqual(
        Exit.isFailure(exit) ? Retry.exhausted(exit.cause) : undefined,
        Option.some({ attempts: 2, elapsed: Duration.seconds(1) })
      )
      assert.deepInclude((yield* budgets.snapshot("model")).counters, { calls: 1, granted: 1, refused: 1, returned: 0 })
    })
  )

  it.effect("shares it with all that call the dependency, and with no other", () =>
    Effect.gen(function* () {
      const budgets = yield* make({ minPerSecond: 0.3 })
      const calls = [failing(budgets), failing(budgets), failing(budgets, "other")]
      yield* finish(
        Effect.all(
          calls.map(({ call }) => Effect.exit(call)),
          { concurrency: "unbounded" }
        )
      )
      assert.strictEqual(calls[0]!.attempts() + calls[1]!.attempts(), 2 + 3)
      assert.strictEqual(calls[2]!.attempts(), 4)
      assert.deepStrictEqual(
        (yield* budgets.snapshots).map(({ counters, dependency }) => [dependency, counters.calls]),
        [
          ["model", 2],
          ["other", 1]
        ]
      )
    })
  )

  it.effect("grants a share of the calls, and grants again once the window has passed", () =>
    Effect.gen(function* () {
      const budgets = yield* make({ minPerSecond: 0, ratio: 0.5 })
      for (let i = 0; i < 4; i++) {
        yield* Effect.void.pipe(Retry.retry({ budget: budgets.of("model"), settings: plain }))
      }
      assert.deepInclude(yield* budgets.snapshot("model"), { tokens: 2, max: 2, used: 0 })
      const { attempts, call } = failing(budgets, "model", { ...plain, base: "1 milli" })
      yield* finish(call)
      // Five calls with this one: 0, 1, 2 < 2.5
      assert.strictEqual(attempts(), 4)
      assert.deepInclude(yield* budgets.snapshot("model"), { tokens: 0, max: 0, used: 0 })
      const later = failing(budgets)
      yield* finish(later.call)
      assert.strictEqual(later.attempts(), 2)
    })
  )

  it.effect("gives back what it reserved when it is interrupted in its pause", () =>
    Effect.gen(function* () {
      for (const form of ["window", "in_flight"] as const) {
        const budgets = yield* make({ form })
        const fiber = yield* Effect.forkChild(failing(budgets).call, { startImmediately: true })
        assert.strictEqual((yield* budgets.snapshot("model")).used, 1)
        yield* Fiber.interrupt(fiber)
        const { counters, used } = yield* budgets.snapshot("model")
        assert.strictEqual(used, 0)
        assert.deepInclude(counters, { granted: 1, returned: 1 })
      }
    })
  )

  it.effect("reserves nothing for a pause that would pass the deadline", () =>
    Effect.gen(function* () {
      const budgets = yield* make({})
      const { call, givenUp } = failing(budgets)
      yield* finish(call.pipe(Timeout.total("500 millis")))
      assert.deepStrictEqual(givenUp, ["deadline"])
      assert.strictEqual((yield* budgets.snapshot("model")).counters.granted, 0)
    })
  )

  it.effect("counts neither a call nor a repetition that we refused before it ran", () =>
    Effect.gen(function* () {
      const open = new ResilienceError({ operation: "a", reason: new CircuitOpen({ retryAfter: Duration.seconds(1) }) })
      const budgets = yield* make({})
      yield* Effect.exit(Effect.fail(open).pipe(Retry.retry({ budget: budgets.of("model"), settings: plain })))
      assert.strictEqual((yield* budgets.snapshot("model")).counters.calls, 0)
      let attempts = 0
      const opens = Effect.suspend(() => Effect.fail(++attempts === 1 ? "down" : open))
      yield* finish(opens.pipe(Retry.retry({ budget: budgets.of("model"), settings: plain })))
      const { counters, used } = yield* budgets.snapshot("model")
      assert.strictEqual(attempts, 2)
      assert.strictEqual(used, 0)
      assert.deepInclude(counters, { calls: 1, granted: 1, returned: 1 })
    })
  )

  it.effect("by what is in flight counts attempts and pauses, and comes to rest", () =>
    Effect.gen(function* () {
      const budgets = yield* make({ form: "in_flight", minConcurrent: 1 })
      const first = yield* Effect.forkChild(failing(budgets).call, { startImmediately: true })
      assert.deepInclude(yield* budgets.snapshot("model"), { used: 1, max: 1, tokens: 0 })
      const { attempts, call, givenUp } = failing(budgets)
      yield* Effect.exit(call)
      assert.strictEqual(attempts(), 1)
      assert.deepStrictEqual(givenUp, ["budget"])
      const running = yield* Effect.forkChild(
        Effect.all(
          Array.from({ length: 20 }, () =>
            Effect.never.pipe(Retry.retry({ budget: budgets.of("model"), settings: plain }))
          ),
          { concurrency: "unbounded" }
        ),
        { startImmediately: true }
      )
      assert.strictEqual(Math.round((yield* budgets.snapshot("model")).max * 10) / 10, 4.2)
      yield* Fiber.interrupt(running)
      yield* TestClock.adjust("1 minute")
      yield* Fiber.await(first)
      assert.deepInclude(yield* budgets.snapshot("model"), { used: 0, max: 1, tokens: 1 })
    })
  )

  it.effect("shares one among the dependencies beyond its bound", () =>
    Effect.gen(function* () {
      const budgets = yield* make({ form: "in_flight", minConcurrent: 0 }, 1)
      const never = (name: string) =>
        Effect.forkChild(Effect.never.pipe(Retry.retry({ budget: budgets.of(name), settings: plain })), {
          startImmediately: true
        })
      for (const name of ["a", "b", "c"]) yield* never(name)
      assert.deepStrictEqual(
        (yield* budgets.snapshots).map(({ counters, dependency }) => [dependency, counters.calls]),
        [
          ["a", 1],
          ["(overflow)", 2]
        ]
      )
    })
  )

  it.effect("keeps what it has counted when the numbers change, and begins anew with another form", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const budgets = new RetryBudget.Budgets(RetryBudget.settings({ minPerSecond: 0.2 }))
      const account = budgets.of("model").open(0)
      assert.isDefined(account.reserve(0))
      budgets.retuneUnsafe(RetryBudget.settings({ minPerSecond: 0.3 }))
      assert.deepInclude(budgets.snapshotsUnsafe(clock)[0], { used: 1, max: 3 })
      budgets.retuneUnsafe(RetryBudget.settings({ minPerSecond: 0.3, window: "20 seconds" }))
      assert.deepInclude(budgets.snapshotsUnsafe(clock)[0], { used: 1, max: 6 })
      budgets.retuneUnsafe(RetryBudget.settings({ form: "in_flight" }))
      assert.deepStrictEqual(budgets.snapshotsUnsafe(clock), [])
      assert.isTrue(budgets.of("model").countsRunning)
    })
  )
})

describe("RetryBudget.settings", () => {
  it.effect("are the same from code, JSON and configuration", () =>
    Effect.gen(function* () {
      const code = RetryBudget.settings({ form: "in_flight", ratio: 0.1, minPerSecond: 0.5, window: "1 minute" })
      const json = { form: "in_flight", ratio: 0.1, minPerSecond: 0.5, window: "1 minute" }
      assert.isTrue(Equal.equals(yield* Schema.decodeUnknownEffect(RetryBudget.Settings)(json), code))
      const config = yield* Config.schema(RetryBudget.Settings, "budget").parse(
        ConfigProvider.fromUnknown({ budget: { ...json, ratio: "0.1", minPerSecond: "0.5" } })
      )
      assert.isTrue(Equal.equals(config, code))
    })
  )

  const nonsense: ReadonlyArray<readonly [field: string, values: ReadonlyArray<unknown>]> = [
    ["form", ["bucket"]],
    ["ratio", [0, -1, 1.1, NaN, Infinity]],
    ["minPerSecond", [-1, NaN, Infinity]],
    ["minConcurrent", [-1, 0.5, NaN]],
    ["window", [0, 999, NaN, Infinity, "2 hours"]]
  ]
  for (const [field, values] of nonsense) {
    for (const value of values) {
      it(`refuse ${field} ${String(value)}`, () => {
        try {
          RetryBudget.settings({ [field]: value })
        } catch (error) {
          assert.instanceOf(error, Settings.InvalidSettings)
          assert.strictEqual(error.findings[0]?.path, field)
          return
        }
        assert.fail("accepted")
      })
    }
  }

  it("refuse a number of keys out of range", () => {
    for (const maxKeys of [0, 1.5, 1_000_001]) {
      assert.throws(() => RetryBudget.make({ maxKeys }), Settings.InvalidSettings)
    }
  })
})
