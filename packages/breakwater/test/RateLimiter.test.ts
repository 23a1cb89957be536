import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Option, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Errors, RateLimiter, RateLimitExceeded, ResilienceEvent, ResilienceError, Settings, Timeout } from "breakwater"
import * as DeadlineQueue from "../src/DeadlineQueue.ts"
import * as Moment from "../src/Moment.ts"
import type * as Policy from "../src/Policy.ts"

const algorithms = ["gcra", "token-bucket", "sliding-log", "sliding-counter", "fixed-window"] as const

const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)
const pending = Effect.map(Clock.Clock, (clock) => DeadlineQueue.of(clock).waiting())

const make = (settings: RateLimiter.SettingsInput, options: Partial<RateLimiter.MakeOptions> = {}) =>
  RateLimiter.make({ operation: "target", settings, ...options })

type Limiter = RateLimiter.RateLimiter["Service"]

/** A call that says when its effect started, in milliseconds since it was made, or what refused it. */
const start = Effect.fnUntraced(function* (
  limiter: Limiter,
  options?: RateLimiter.ProtectOptions,
  body: Effect.Effect<unknown, unknown> = Effect.void
) {
  const madeAt = yield* now
  let startedAt: number | undefined
  const fiber = yield* Effect.map(now, (at) => void (startedAt = at - madeAt)).pipe(
    Effect.andThen(body),
    limiter.protect(options),
    Effect.forkChild({ startImmediately: true })
  )
  return {
    fiber,
    startedAt: () => startedAt,
    hasEnded: () => fiber.pollUnsafe() !== undefined,
    reason: () => reasonOf(fiber.pollUnsafe())
  }
})

const reasonOf = (exit: Exit.Exit<unknown, unknown> | undefined): RateLimitExceeded | undefined => {
  if (exit === undefined || Exit.isSuccess(exit)) return undefined
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause)) as ResilienceError | undefined
  return error?.reason instanceof RateLimitExceeded ? error.reason : undefined
}

const call = (limiter: Limiter, options?: RateLimiter.ProtectOptions) => Effect.void.pipe(limiter.protect(options))

const refusal = (limiter: Limiter, options?: RateLimiter.ProtectOptions) =>
  Effect.map(Effect.flip(call(limiter, options)), ({ reason }) => Duration.toMillis(reason.retryAfter))

const keyed = (limiter: Limiter, key?: string) =>
  Effect.map(limiter.snapshot, ({ keys }) => keys.find((one) => one.key === key)!)

const keysOf = (limiter: Limiter) =>
  Effect.map(limiter.snapshot, ({ keys }) => keys.map(({ key = "" }) => key).toSorted((a, b) => a.localeCompare(b)))

/** At rest: nobody waits, no deadline is pending, and what was granted is accounted for. */
const atRest = Effect.fnUntraced(function* (limiter: Limiter) {
  const { counters, waiting } = yield* limiter.snapshot
  assert.strictEqual(waiting, 0)
  assert.strictEqual(counters.held, 0)
  assert.strictEqual(counters.granted, counters.started + counters.returned)
  assert.strictEqual(yield* pending, 0)
})

const tooMany = (retryAfter: Duration.Input) =>
  Effect.fail(new Errors.RateLimitError({ message: "slow down", retryAfter: Duration.fromInputUnsafe(retryAfter) }))

describe("RateLimiter", () => {
  for (const algorithm of algorithms) {
    it.effect(`${algorithm}: lets the limit through, refuses the rest, and means its retryAfter`, () =>
      Effect.gen(function* () {
        const limiter = yield* make({ algorithm, limit: 3, window: "1 second" })
        for (let round = 0; round < 5; round++) {
          let passed = 0
          for (; ; passed++) {
            const exit = yield* Effect.exit(call(limiter))
            const reason = reasonOf(exit)
            if (reason === undefined) continue
            const millis = Duration.toMillis(reason.retryAfter)
            yield* TestClock.adjust(millis - 1)
            assert.strictEqual(yield* refusal(limiter), 1)
            yield* TestClock.adjust(1)
            yield* call(limiter)
            break
          }
          assert.isAtMost(passed, 3)
          if (round === 0) assert.strictEqual(passed, 3)
        }
        assert.strictEqual((yield* limiter.snapshot).counters.refused, 10)
        yield* atRest(limiter)
      })
    )
  }

  it.effect("tells the facts of a refusal", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 3, window: "1 second" }, { scope: "admission" })
      yield* call(limiter, { key: "tenant", cost: 2 })
      const error = yield* Effect.flip(call(limiter, { key: "tenant", cost: 3 }))
      assert.instanceOf(error, ResilienceError)
      const { reason } = error
      assert.deepStrictEqual(
        [reason.scope, reason.limit, reason.cost, Duration.toMillis(reason.retryAfter)],
        ["admission", 3, 3, 667]
      )
      assert.strictEqual(error.message, "target:tenant: admission rate limit of 3 exceeded, retry after 667ms")
      assert.isFalse(error.isRetryable)
      assert.strictEqual(Errors.classify(error).kind, "rate_limited")
    })
  )

  it.effect("passes values, errors, defects and interruption through as they are", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 1, window: "1 second", onExceeded: "wait" })
      const value = { value: true }
      for (const _ of ["at once", "after a wait"]) {
        const success = yield* start(limiter, {}, Effect.succeed(value))
        const failure = yield* start(limiter, {}, Effect.fail(value))
        const death = yield* start(limiter, {}, Effect.die(value))
        const never = yield* start(limiter, {}, Effect.interrupt)
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual((success.fiber.pollUnsafe() as Exit.Success<unknown>).value, value)
        assert.strictEqual(Cause.squash((failure.fiber.pollUnsafe() as Exit.Failure<never, unknown>).cause), value)
        assert.strictEqual(Cause.squash((death.fiber.pollUnsafe() as Exit.Failure<never, unknown>).cause), value)
        assert.isTrue(Cause.hasInterruptsOnly((never.fiber.pollUnsafe() as Exit.Failure<never, unknown>).cause))
      }
      yield* atRest(limiter)
    })
  )

  it.effect("limits all keys together when it is asked to, and names the key that it refuses", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 3, perKey: false })
      for (const key of ["a", "b", undefined]) yield* call(limiter, { key })
      const error = yield* Effect.flip(call(limiter, { key: "c" }))
      assert.strictEqual(error.key, "c")
      assert.deepStrictEqual(
        (yield* limiter.snapshot).keys.map(({ available, key, refused }) => ({ available, key, refused })),
        [{ available: 0, key: undefined, refused: 1 }]
      )
    })
  )

  it.effect("as the quota of a strategy limits all keys together, and each by itself when it is asked to", () =>
    Effect.gen(function* () {
      const events = yield* ResilienceEvent.ResilienceEvents
      const passing = (input: RateLimiter.SettingsInput, slot: Policy.Slot) =>
        Effect.gen(function* () {
          const running = RateLimiter.settings(input).startUnsafe({
            operation: "target",
            slot,
            events,
            now: yield* now
          })
          const through = (key: string) =>
            Effect.withFiber((fiber) => running.run(Effect.void, { key }, Moment.of(fiber)))
          const exits = yield* Effect.forEach(["a", "b", "c"], (key) =>
            Effect.all(Array.from({ length: 6 }, () => Effect.exit(through(key))))
          )
          return exits.flat().filter(Exit.isSuccess).length
        })
      assert.strictEqual(yield* passing({ limit: 5 }, "quota"), 5)
      assert.strictEqual(yield* passing({ limit: 5, perKey: true }, "quota"), 15)
      assert.strictEqual(yield* passing({ limit: 5 }, "admission"), 15)
      assert.strictEqual(yield* passing({ limit: 5, perKey: false }, "admission"), 5)
    })
  )

  it.effect("limits each key by itself", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 1, window: "1 second" })
      for (const key of ["a", "b", undefined]) {
        yield* call(limiter, { key })
        assert.strictEqual(yield* refusal(limiter, { key }), 1_000)
      }
    })
  )

  it.effect("takes as much as a call costs, by option or by reference", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10, window: "1 second" })
      yield* call(limiter, { cost: 4 })
      yield* Effect.provideService(call(limiter), RateLimiter.Cost, 4)
      assert.strictEqual((yield* keyed(limiter)).available, 2)
      assert.strictEqual(yield* refusal(limiter, { cost: 3 }), 100)
      assert.strictEqual(yield* Effect.provideService(refusal(limiter), RateLimiter.Cost, 4), 200)
      yield* Effect.provideService(call(limiter, { cost: 2 }), RateLimiter.Cost, 4)
      assert.strictEqual((yield* keyed(limiter)).available, 0)
    })
  )

  for (const onExceeded of ["fail", "wait"] as const) {
    it.effect(`says of a cost above all limits that it never passes (${onExceeded})`, () =>
      Effect.gen(function* () {
        for (const settings of [
          { limit: 5, burst: 3 },
          { limit: 3, algorithm: "sliding-log" }
        ] as const) {
          const limiter = yield* make({ ...settings, onExceeded })
          const error = yield* Effect.flip(call(limiter, { cost: 4 }))
          assert.isFalse(Duration.isFinite(error.reason.retryAfter))
          assert.strictEqual(
            error.message,
            `target: quota rate limit of ${settings.limit} exceeded: a cost of 4 never passes`
          )
          assert.isUndefined(Errors.classify(error).retryAfter)
          yield* call(limiter, { cost: 3 })
          yield* atRest(limiter)
        }
      })
    )
  }

  it.effect("refuses a cost that is none, with the field, the value and the range", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10 })
      for (const cost of [0, -1, 1.5, NaN, Infinity, 1e9 + 1]) {
        for (const f of [() => limiter.protect({ cost }), () => limiter.reserve({ cost })]) {
          assert.throws(f, Settings.InvalidSettings, /cost: expected a whole number from 1 to 1000000000/)
        }
        const exit = yield* Effect.exit(Effect.provideService(call(limiter), RateLimiter.Cost, cost))
        assert.instanceOf(Cause.squash((exit as Exit.Failure<void, unknown>).cause), Settings.InvalidSettings)
      }
      assert.strictEqual((yield* limiter.snapshot).counters.granted, 0)
    })
  )

  it.effect("runs one guarded effect many times at once, each by itself", () =>
    Effect.gen(function* () {
      const settings = RateLimiter.settings({ limit: 2, window: "1 second", onExceeded: "wait" })
      const events = yield* ResilienceEvent.ResilienceEvents
      const limiter = settings.startUnsafe({ operation: "target", slot: "quota", events, now: yield* now })
      let runs = 0
      const guarded = Effect.withFiber((fiber) =>
        limiter.run(
          Effect.sync(() => ++runs),
          {},
          Moment.of(fiber)
        )
      )
      const fiber = yield* Effect.all([guarded, guarded, guarded, guarded], { concurrency: "unbounded" }).pipe(
        Effect.forkChild({ startImmediately: true })
      )
      assert.strictEqual(runs, 2)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(runs, 4)
      yield* Fiber.join(fiber)
    })
  )

  it.effect("is what composes policies asks for: started by its settings, at rest once nothing matters", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const events = yield* ResilienceEvent.ResilienceEvents
      const settings = RateLimiter.settings({ limit: 1, window: "1 second" })
      const running: Policy.Running<RateLimiter.Settings, RateLimiter.Snapshot> = settings.startUnsafe({
        operation: "target",
        slot: "admission",
        events,
        now: yield* now
      })
      assert.isTrue(running.isAtRest(yield* now))
      const guarded = Effect.withFiber((fiber) => running.run(Effect.void, { key: "tenant" }, Moment.of(fiber)))
      yield* guarded
      const error = yield* Effect.flip(guarded)
      assert.strictEqual(error.reason._tag === "RateLimitExceeded" && error.reason.scope, "admission")
      assert.isFalse(running.isAtRest(yield* now))
      running.retuneUnsafe(RateLimiter.settings({ limit: 2, window: "1 second" }))
      yield* guarded
      const [snapshot] = running.snapshotsUnsafe(clock)
      assert.deepStrictEqual(
        snapshot?.keys.map(({ available, key, limit, refused }) => ({ available, key, limit, refused })),
        [{ available: 0, key: "tenant", limit: 2, refused: 1 }]
      )
      yield* TestClock.adjust("1 second")
      assert.isTrue(running.isAtRest(yield* now))
    })
  )
})

describe("a call that waits", () => {
  it.effect("runs when its turn comes, first come, first served, whatever it costs", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10, window: "1 second", burst: 2, onExceeded: "wait" })
      const calls = []
      for (const cost of [2, 2, 1, 2, 1]) calls.push(yield* start(limiter, { cost }))
      assert.strictEqual((yield* keyed(limiter)).waiting, 4)
      assert.strictEqual(yield* pending, 1)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(
        calls.map(({ startedAt }) => startedAt()),
        [0, 200, 300, 500, 600]
      )
      yield* atRest(limiter)
    })
  )

  for (const algorithm of algorithms) {
    it.effect(`${algorithm}: starts exactly when it was promised, behind those before it`, () =>
      Effect.gen(function* () {
        const limiter = yield* make({
          algorithm,
          limit: 3,
          window: "900 millis",
          onExceeded: "wait",
          maxWait: "2 seconds"
        })
        const fail = yield* make({ algorithm, limit: 3, window: "900 millis" })
        const calls = []
        let refused: RateLimitExceeded | undefined
        for (let i = 0; i < 40 && refused === undefined; i++) {
          const one = yield* start(limiter)
          if (one.hasEnded() && one.startedAt() === undefined) refused = one.reason()
          else calls.push(one)
          if (i === 1) yield* TestClock.adjust("100 millis")
        }
        assert.isAbove(Duration.toMillis(refused!.retryAfter), 2_000)
        assert.isAtLeast(calls.length, 6)
        const at = yield* now
        yield* TestClock.adjust(refused!.retryAfter)
        // Who waited is through, and there is room for exactly one more.
        assert.isTrue(calls.every(({ hasEnded }) => hasEnded()))
        yield* call(fail)
        const next = yield* start(limiter)
        assert.strictEqual(next.startedAt(), 0)
        assert.isAbove(yield* now, at)
        yield* atRest(limiter)
      })
    )
  }

  it.effect("fails at once if its turn would come after maxWait, or if too many wait", () =>
    Effect.gen(function* () {
      const limiter = yield* make({
        limit: 10,
        window: "1 second",
        burst: 1,
        onExceeded: "wait",
        maxWait: "300 millis",
        maxQueue: 3
      })
      for (let i = 0; i < 4; i++) yield* start(limiter)
      assert.strictEqual((yield* keyed(limiter)).waiting, 3)
      assert.strictEqual(yield* refusal(limiter), 400)
      yield* TestClock.adjust("100 millis")
      const dear = yield* make({
        limit: 10,
        window: "1 second",
        burst: 1,
        onExceeded: "wait",
        maxWait: "1 second",
        maxQueue: 3
      })
      for (let i = 0; i < 4; i++) yield* start(dear)
      assert.strictEqual(yield* refusal(dear), 400)
      yield* TestClock.adjust("1 second")
      yield* atRest(limiter)
      yield* atRest(dear)
    })
  )

  it.effect("fails at once, with retryAfter, if it cannot make its deadline", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 1, window: "1 second", onExceeded: "wait" })
      yield* call(limiter)
      for (const limit of ["1 milli", "999 millis", "1 second"]) {
        const one = yield* Effect.exit(call(limiter).pipe(Timeout.total(limit as Duration.Input)))
        assert.deepStrictEqual(reasonOf(one)?.retryAfter, Duration.seconds(1), limit)
        assert.strictEqual(yield* pending, 0)
      }
      const fiber = yield* call(limiter).pipe(
        Timeout.total("1001 millis"),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isSuccess(fiber.pollUnsafe()!))
      yield* atRest(limiter)
    })
  )

  it.effect("gives its place up when it is interrupted, so that those behind it are earlier", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10, window: "1 second", burst: 3, onExceeded: "wait" })
      yield* call(limiter, { cost: 3 })
      const [first, second, third, fourth] = [
        yield* start(limiter, { cost: 3 }),
        yield* start(limiter),
        yield* start(limiter, { cost: 2 }),
        yield* start(limiter)
      ]
      yield* TestClock.adjust("50 millis")
      yield* Fiber.interrupt(first.fiber)
      yield* Fiber.interrupt(third.fiber)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(
        [first, second, third, fourth].map(({ startedAt }) => startedAt()),
        [undefined, 100, undefined, 200]
      )
      const { counters } = yield* limiter.snapshot
      assert.deepStrictEqual(counters, { granted: 3, started: 3, returned: 0, held: 0, refused: 0, waited: 4 })
      yield* atRest(limiter)
    })
  )

  it.effect("that is the last to be interrupted leaves no timer", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 1, window: "1 second", onExceeded: "wait" })
      yield* call(limiter)
      const waiters = [yield* start(limiter), yield* start(limiter), yield* start(limiter)]
      assert.strictEqual(yield* pending, 1)
      for (const { fiber } of waiters) yield* Fiber.interrupt(fiber)
      yield* atRest(limiter)
      yield* TestClock.adjust("1 second")
      yield* call(limiter)
    })
  )

  it.effect("does not let newcomers overtake it, even those that there is room for", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10, window: "1 second", burst: 5, onExceeded: "wait" })
      yield* call(limiter, { cost: 3 })
      const dear = yield* start(limiter, { cost: 5 })
      const cheap = yield* start(limiter, { cost: 1 })
      assert.strictEqual(cheap.startedAt(), undefined)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([dear.startedAt(), cheap.startedAt()], [300, 400])
    })
  )

  it.effect("goes before a newcomer that comes at its turn, while its timer is late", () =>
    Effect.gen(function* () {
      const test = yield* TestClock.testClockWith(Effect.succeed)
      let passed = 0n
      // Time passes and no timer knows.
      const late: TestClock.TestClock = {
        ...test,
        monotonicTimeNanosUnsafe: () => test.monotonicTimeNanosUnsafe() + passed,
        monotonicTimeNanos: Effect.sync(() => test.monotonicTimeNanosUnsafe() + passed)
      }
      yield* Effect.gen(function* () {
        const limiter = yield* make({ limit: 10, window: "1 second", burst: 2, onExceeded: "wait" })
        yield* call(limiter, { cost: 2 })
        const order: Array<string> = []
        const told = (name: string) =>
          start(
            limiter,
            {},
            Effect.sync(() => order.push(name))
          )
        const waiter = yield* told("waiter")
        passed = 350_000_000n
        const newcomer = yield* told("newcomer")
        assert.deepStrictEqual([waiter.startedAt(), newcomer.startedAt()], [350, 0])
        assert.deepStrictEqual(order, ["waiter", "newcomer"])
        assert.strictEqual(yield* refusal(limiter, { cost: 3 }), Infinity)
        assert.strictEqual((yield* keyed(limiter)).available, 0)
        const { counters } = yield* limiter.snapshot
        assert.deepStrictEqual(counters, { granted: 3, started: 3, returned: 0, held: 0, refused: 1, waited: 1 })
        yield* atRest(limiter)

        // Its key looks idle by then, and yet stays.
        const narrow = yield* make({ limit: 1, window: "1 second", onExceeded: "wait" }, { maxKeys: 1 })
        yield* call(narrow, { key: "a" })
        const last = yield* start(narrow, { key: "a" })
        passed += 2_000_000_000n
        yield* call(narrow, { key: "b" })
        assert.deepStrictEqual(yield* keysOf(narrow), ["(overflow)", "a"])
        yield* TestClock.adjust("1 second")
        assert.isDefined(last.startedAt())
      }).pipe(Effect.provideService(Clock.Clock, late))
    })
  )

  it.effect("keeps to time in a window of hours, and of fractions of a millisecond", () =>
    Effect.gen(function* () {
      const slow = yield* make({ limit: 2, window: "5 hours", burst: 1, onExceeded: "wait", maxWait: "1 hour" })
      yield* call(slow)
      assert.strictEqual(yield* refusal(slow), 2.5 * 3_600_000)
      const fast = yield* make({ limit: 7, window: "1 milli", burst: 1, onExceeded: "wait" })
      const calls = []
      for (let i = 0; i <= 7; i++) calls.push(yield* start(fast))
      yield* TestClock.adjust(1)
      assert.isTrue(calls.every(({ hasEnded }) => hasEnded()))
      yield* atRest(fast)
    })
  )
})

describe("a pause", () => {
  it.effect("after a Retry-After holds for all callers of the key, who then return one by one", () =>
    Effect.gen(function* () {
      for (const algorithm of algorithms) {
        const limiter = yield* make({
          algorithm,
          limit: 10,
          window: "1 second",
          onExceeded: "wait",
          maxWait: "1 minute"
        })
        yield* Effect.flip(tooMany("5 seconds").pipe(limiter.protect({ key: "tenant" })))
        assert.deepStrictEqual((yield* keyed(limiter, "tenant")).pausedFor, Duration.seconds(5))
        assert.strictEqual((yield* keyed(limiter, "tenant")).available, 0)
        const calls = []
        for (let i = 0; i < 12; i++) calls.push(yield* start(limiter, { key: "tenant" }))
        yield* call(limiter, { key: "other" })
        yield* call(limiter)
        yield* TestClock.adjust("10 seconds")
        const times = calls.map(({ startedAt }) => Math.round(startedAt()!))
        assert.deepStrictEqual(times.slice(0, 9), [5_000, 5_100, 5_200, 5_300, 5_400, 5_500, 5_600, 5_700, 5_800])
        assert.isAtLeast(times[9]!, 5_900, algorithm)
        yield* atRest(limiter)
      }
    })
  )

  it.effect("after a Retry-After to one key holds for every key that shares the limit", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10, perKey: false })
      yield* call(limiter, { key: "other" })
      yield* Effect.flip(tooMany("5 seconds").pipe(limiter.protect({ key: "tenant" })))
      assert.strictEqual(yield* refusal(limiter, { key: "other" }), 5_000)
      assert.strictEqual(yield* refusal(limiter), 5_000)
      yield* limiter.resume("another")
      yield* call(limiter, { key: "other" })
    })
  )

  it.effect("without a key holds for every key, also for one that is new, until it is ended without a key", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10 })
      yield* call(limiter, { key: "known" })
      yield* limiter.pause(undefined, "5 seconds")
      yield* TestClock.adjust("1 second")
      for (const key of ["known", "new", undefined]) assert.strictEqual(yield* refusal(limiter, { key }), 4_000)
      yield* limiter.resume("new")
      yield* call(limiter, { key: "new" })
      assert.strictEqual(yield* refusal(limiter, { key: "known" }), 4_000)
      yield* limiter.resume(undefined)
      for (const key of ["known", "newer", undefined]) yield* call(limiter, { key })
    })
  )

  it.effect("is over by itself for keys that come after it", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10 })
      yield* limiter.pause(undefined, "5 seconds")
      yield* TestClock.adjust("5 seconds")
      const calls = Array.from({ length: 10 }, () => call(limiter, { key: "new" }))
      yield* Effect.all(calls)
    })
  )

  it.effect("goes on for every key when keys are put together, or apart", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10 })
      yield* limiter.pause("a", "5 seconds")
      yield* call(limiter, { key: "b" })
      yield* limiter.retune({ limit: 10, perKey: false })
      assert.strictEqual(yield* refusal(limiter, { key: "b" }), 5_000)
      yield* limiter.retune({ limit: 10 })
      assert.strictEqual(yield* refusal(limiter, { key: "c" }), 5_000)
    })
  )

  it.effect("is told once, and again when it grows", () =>
    Effect.gen(function* () {
      const sink = yield* ResilienceEvent.ResilienceEvents
      const fiber = yield* ResilienceEvent.stream(sink).pipe(
        Stream.take(4),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      const limiter = yield* make({ limit: 10 }, { scope: "admission" })
      const all = yield* Effect.forEach([5_000, 5_100, 4_000, 7_000], (millis) =>
        start(limiter, { key: "tenant" }, Effect.andThen(Effect.sleep("1 second"), tooMany(millis)))
      )
      yield* TestClock.adjust("1 second")
      assert.isTrue(all.every(({ hasEnded }) => hasEnded()))
      yield* limiter.pause(undefined, "2 seconds")
      yield* limiter.resume(undefined)
      yield* limiter.resume(undefined)
      const events = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        events.map(({ at: _at, ...event }) => event),
        [
          {
            _tag: "RateLimitPaused",
            operation: "target",
            key: "tenant",
            scope: "admission",
            because: "response",
            pausedFor: Duration.seconds(5)
          },
          {
            _tag: "RateLimitPaused",
            operation: "target",
            key: "tenant",
            scope: "admission",
            because: "response",
            pausedFor: Duration.seconds(7)
          },
          {
            _tag: "RateLimitPaused",
            operation: "target",
            key: undefined,
            scope: "admission",
            because: "operator",
            pausedFor: Duration.seconds(2)
          },
          { _tag: "RateLimitResumed", operation: "target", key: undefined, scope: "admission" }
        ]
      )
    }).pipe(Effect.provide(ResilienceEvent.layer))
  )

  it.effect("is bounded by maxPause, and off with 0", () =>
    Effect.gen(function* () {
      for (const [maxPause, paused] of [
        [undefined, 3_600_000],
        ["10 seconds", 10_000],
        [0, 0]
      ] as const) {
        const limiter = yield* make({ limit: 10, maxPause })
        yield* Effect.flip(tooMany("2 days").pipe(limiter.protect()))
        assert.strictEqual(Duration.toMillis((yield* keyed(limiter)).pausedFor), paused)
      }
    })
  )

  it.effect("comes of what is classified as rate limited and says when, and of nothing else", () =>
    Effect.gen(function* () {
      const response = (status: number, after: string) => ({
        response: { status, headers: { "retry-after": after, date: "Thu, 01 Jan 1970 00:00:00 GMT" } }
      })
      const limited: Errors.Rule = (error) => (error === "mine" ? "rate_limited" : undefined)
      for (const [error, paused] of [
        [response(429, "7"), 7_000],
        [response(429, "Thu, 01 Jan 1970 00:00:09 GMT"), 9_000],
        [response(503, "7"), 0],
        [{ _tag: "RateLimitError" }, 0],
        ["down", 0],
        ["mine", 0],
        [
          new ResilienceError({
            operation: "inner",
            reason: new RateLimitExceeded({ scope: "quota", retryAfter: Duration.seconds(5), limit: 1 })
          }),
          0
        ]
      ] as const) {
        const limiter = yield* make({ limit: 10 }, { rules: [limited] })
        const exit = yield* Effect.exit(Effect.fail(error).pipe(limiter.protect()))
        assert.strictEqual(Cause.squash((exit as Exit.Failure<never, unknown>).cause), error)
        assert.strictEqual(Duration.toMillis((yield* keyed(limiter)).pausedFor), paused, JSON.stringify(error))
      }
      const own: Errors.Rule = () => ({
        kind: "rate_limited",
        retried: true,
        counted: true,
        retryAfter: Duration.seconds(3)
      })
      for (const [options, rules] of [
        [{ rules: [own] }, []],
        [{}, [own]]
      ] as const) {
        const limiter = yield* make({ limit: 10 })
        yield* Effect.exit(
          Effect.provideService(Effect.fail("odd").pipe(limiter.protect(options)), Errors.Rules, rules)
        )
        assert.deepStrictEqual((yield* keyed(limiter)).pausedFor, Duration.seconds(3))
      }
    })
  )

  it.effect("dies with the defect of a rule that throws", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10 })
      const bug = new Error("bug")
      const exit = yield* Effect.exit(
        Effect.fail("down").pipe(
          limiter.protect({
            rules: [
              () => {
                throw bug
              }
            ]
          })
        )
      )
      const defects = (exit as Exit.Failure<never, unknown>).cause.reasons.filter(Cause.isDieReason)
      assert.strictEqual(defects.at(-1)?.defect, bug)
      yield* atRest(limiter)
    })
  )

  it.effect("refuses at once those who can no longer make it, and lets the others wait", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 1, window: "1 second", onExceeded: "wait", maxWait: "1 minute" })
      yield* call(limiter)
      const patient = yield* start(limiter)
      const hurried = yield* Timeout.total(call(limiter), "3 seconds").pipe(
        Effect.forkChild({ startImmediately: true })
      )
      const last = yield* start(limiter)
      yield* TestClock.adjust("500 millis")
      yield* limiter.pause(undefined, "10 seconds")
      assert.deepStrictEqual(reasonOf(hurried.pollUnsafe())?.retryAfter, Duration.seconds(11))
      assert.isFalse(patient.hasEnded() || last.hasEnded())
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual([patient.startedAt(), last.startedAt()], [10_500, 11_500])
      yield* atRest(limiter)
    })
  )

  it.effect("that is ended leaves no trace", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 4, window: "1 second", onExceeded: "wait", maxWait: "1 minute" })
      yield* limiter.pause("tenant", "30 seconds")
      const calls = []
      for (let i = 0; i < 4; i++) calls.push(yield* start(limiter, { key: "tenant" }))
      yield* TestClock.adjust("1 second")
      yield* limiter.resume("tenant")
      assert.deepStrictEqual(
        calls.map(({ startedAt }) => startedAt()),
        [1_000, 1_000, 1_000, 1_000]
      )
      yield* atRest(limiter)
    })
  )

  it.effect("has a range", () =>
    Effect.gen(function* () {
      const limiter = yield* make({})
      for (const duration of [0, NaN, Infinity, "2 days"] as const) {
        assert.throws(() => limiter.pause("tenant", duration), Settings.InvalidSettings, /duration: expected/)
      }
    })
  )
})

describe("a reservation", () => {
  it.effect("takes its cost, and gives back what was not used", () =>
    Effect.gen(function* () {
      for (const algorithm of algorithms) {
        const limiter = yield* make({ algorithm, limit: 100, window: "1 minute" })
        yield* Effect.scoped(
          Effect.gen(function* () {
            const reservation = yield* limiter.reserve({ cost: 80 })
            assert.strictEqual((yield* keyed(limiter)).available, 20)
            assert.strictEqual((yield* limiter.snapshot).counters.held, 1)
            yield* reservation.settle(30)
            assert.strictEqual((yield* keyed(limiter)).available, 70)
            yield* reservation.settle(0)
            assert.strictEqual((yield* keyed(limiter)).available, 70)
          })
        )
        assert.strictEqual((yield* keyed(limiter)).available, 70, algorithm)
        assert.deepStrictEqual((yield* limiter.snapshot).counters, {
          granted: 1,
          started: 1,
          returned: 0,
          held: 0,
          refused: 0,
          waited: 0
        })
      }
    })
  )

  it.effect("that is not settled comes back, whatever ended its scope", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 100, window: "1 minute" })
      const uses: ReadonlyArray<Effect.Effect<unknown, unknown>> = [Effect.void, Effect.fail("down"), Effect.die("bug")]
      for (const use of uses) {
        yield* Effect.exit(Effect.scoped(Effect.andThen(limiter.reserve({ cost: 60 }), use)))
        assert.strictEqual((yield* keyed(limiter)).available, 100)
      }
      const fiber = yield* Effect.scoped(Effect.andThen(limiter.reserve({ cost: 60 }), Effect.never)).pipe(
        Effect.forkChild({ startImmediately: true })
      )
      assert.strictEqual((yield* keyed(limiter)).available, 40)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* keyed(limiter)).available, 100)
      assert.strictEqual((yield* limiter.snapshot).counters.returned, 4)
      yield* atRest(limiter)
    })
  )

  it.effect("that used more than it took is in debt, and has those wait who can", () =>
    Effect.gen(function* () {
      const limiter = yield* make({
        limit: 10,
        window: "1 second",
        onExceeded: "wait",
        maxWait: "1 second"
      })
      const scope = yield* Scope.make()
      const reservation = yield* Scope.provide(limiter.reserve({ cost: 10 }), scope)
      const first = yield* start(limiter, { cost: 3 })
      const second = yield* start(limiter, { cost: 5 })
      yield* reservation.settle(14)
      assert.isUndefined(first.reason())
      assert.strictEqual(Duration.toMillis(second.reason()!.retryAfter), 1_200)
      assert.strictEqual((yield* keyed(limiter)).available, 0)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(first.startedAt(), 700)
      yield* Scope.close(scope, Exit.void)
      yield* atRest(limiter)
    })
  )

  it.effect("lets those who wait go ahead with what it gives back", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10, window: "10 seconds", onExceeded: "wait" })
      const scope = yield* Scope.make()
      const reservation = yield* Scope.provide(limiter.reserve({ cost: 10 }), scope)
      const first = yield* start(limiter, { cost: 4 })
      const second = yield* start(limiter, { cost: 1 })
      yield* reservation.settle(6)
      assert.deepStrictEqual([first.startedAt(), second.startedAt()], [0, undefined])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(second.startedAt(), 1_000)
    })
  )

  it.effect("waits for its turn, and takes nothing if it is interrupted before", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10, window: "1 second", onExceeded: "wait" })
      yield* call(limiter, { cost: 10 })
      const reserved = (cost: number) =>
        Effect.scoped(Effect.flatMap(limiter.reserve({ cost }), ({ settle }) => settle())).pipe(
          Effect.forkChild({ startImmediately: true })
        )
      const first = yield* reserved(5)
      const second = yield* reserved(5)
      const late = yield* reserved(50)
      assert.isDefined(reasonOf(late.pollUnsafe()))
      yield* Fiber.interrupt(first)
      yield* TestClock.adjust("499 millis")
      assert.isUndefined(second.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(second.pollUnsafe())
      assert.strictEqual((yield* limiter.snapshot).counters.started, 2)
      yield* atRest(limiter)
    })
  )

  it.effect("comes back no further than others have left of it meanwhile", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10, window: "10 seconds" })
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* limiter.reserve({ cost: 10 })
          yield* TestClock.adjust("9 seconds")
          yield* call(limiter, { cost: 9 })
        })
      )
      // Never taken, it would have run over: nine have passed this very moment, and the bucket holds ten.
      assert.strictEqual((yield* keyed(limiter)).available, 1)
    })
  )

  it.effect("leaves the line when its wait is interrupted, however long its scope lasts", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 1, window: "10 seconds", onExceeded: "wait", maxWait: "1 minute" })
      yield* call(limiter)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(Effect.timeoutOption(limiter.reserve(), "1 second"), {
            startImmediately: true
          })
          const behind = yield* start(limiter)
          yield* TestClock.adjust("1 second")
          assert.isTrue(Option.isNone(yield* Fiber.join(fiber)))
          assert.strictEqual((yield* limiter.snapshot).waiting, 1)
          yield* TestClock.adjust("9 seconds")
          assert.strictEqual(behind.startedAt(), 10_000)
        })
      )
      yield* atRest(limiter)
    })
  )

  it.effect("comes back however many wait for it, one after another", () =>
    Effect.gen(function* () {
      const limiter = yield* make({
        limit: 1,
        window: "1 hour",
        onExceeded: "wait",
        maxWait: "1 hour",
        maxQueue: 10_000
      })
      const scope = yield* Scope.make()
      yield* Scope.provide(limiter.reserve(), scope)
      let had = 0
      const own = Effect.scoped(Effect.tap(limiter.reserve(), () => Effect.sync(() => had++)))
      // The next turns are hours away; only what comes back lets anyone through.
      const first = yield* Effect.forkChild(own, { startImmediately: true })
      yield* limiter.retune({
        limit: 1_000_000,
        window: "1 hour",
        burst: 1,
        onExceeded: "wait",
        maxWait: "1 hour",
        maxQueue: 10_000
      })
      const others = yield* Effect.forEach(Array.from({ length: 5_000 }), () =>
        Effect.forkChild(own, { startImmediately: true })
      )
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.awaitAll([first, ...others])
      assert.strictEqual(had, 5_001)
      yield* atRest(limiter)
    })
  )

  it.effect("refuses a use that is none", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10 })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { settle } = yield* limiter.reserve()
          for (const used of [-1, 0.5, NaN, Infinity]) assert.throws(() => settle(used), Settings.InvalidSettings)
        })
      )
    })
  )
})

describe("other settings", () => {
  it.effect("keep what is counted", () =>
    Effect.gen(function* () {
      for (const algorithm of algorithms) {
        const limiter = yield* make({ algorithm, limit: 10, window: "1 second" })
        yield* call(limiter, { cost: 7 })
        yield* limiter.retune({ algorithm, limit: 20, window: "1 second" })
        assert.strictEqual((yield* keyed(limiter)).available, 13, algorithm)
        yield* limiter.retune({ algorithm, limit: 5, window: "1 second" })
        assert.strictEqual((yield* keyed(limiter)).available, 0, algorithm)
        for (const other of algorithms) {
          const from = yield* make({ algorithm, limit: 10, window: "1 second" })
          yield* call(from, { cost: 7 })
          yield* from.retune({ algorithm: other, limit: 10, window: "2 seconds" })
          assert.strictEqual((yield* keyed(from)).available, 3, `${algorithm} to ${other}`)
        }
      }
    })
  )

  it.effect("hold for those who wait: earlier, later, or no more", () =>
    Effect.gen(function* () {
      const settings = { limit: 10, window: "1 second", burst: 1, onExceeded: "wait", maxWait: "1 second" } as const
      const limiter = yield* make(settings)
      yield* call(limiter)
      const calls = []
      for (let i = 0; i < 4; i++) calls.push(yield* start(limiter))
      yield* limiter.retune({ ...settings, limit: 20 })
      yield* TestClock.adjust("50 millis")
      assert.strictEqual(calls[0]!.startedAt(), 50)
      yield* limiter.retune({ ...settings, limit: 2 })
      assert.deepStrictEqual(
        calls.map(({ reason }) => reason() && Duration.toMillis(reason()!.retryAfter)),
        [undefined, undefined, 1_000, 1_000]
      )
      yield* TestClock.adjust("500 millis")
      assert.strictEqual(calls[1]!.startedAt(), 550)
      yield* atRest(limiter)
    })
  )

  it.effect("that are wrong change nothing", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 1, window: "1 minute" })
      yield* call(limiter)
      assert.throws(() => limiter.retune({ limit: 0 }), Settings.InvalidSettings)
      assert.strictEqual(yield* refusal(limiter), 60_000)
      assert.strictEqual((yield* limiter.snapshot).settings.limit, 1)
    })
  )
})

describe("keys", () => {
  it.effect("that are at rest are forgotten, others never; the rest share one limit", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 2, window: "1 second" }, { maxKeys: 3 })
      for (const key of ["a", "b", "c"]) yield* call(limiter, { key, cost: 2 })
      yield* call(limiter, { key: "d" })
      yield* call(limiter, { key: "e" })
      assert.strictEqual(yield* refusal(limiter, { key: "f" }), 500)
      const keys = keysOf(limiter)
      assert.deepStrictEqual(yield* keys, ["(overflow)", "a", "b", "c"])
      yield* TestClock.adjust("500 millis")
      yield* call(limiter, { key: "a" })
      yield* TestClock.adjust("500 millis")
      // Now `b` and `c` are at rest, and `a` is not.
      yield* call(limiter, { key: "g", cost: 2 })
      yield* call(limiter, { key: "h", cost: 2 })
      assert.deepStrictEqual(yield* keys, ["(overflow)", "a", "g", "h"])
      assert.strictEqual(yield* refusal(limiter, { key: "a", cost: 2 }), 500)
    })
  )

  it.effect("whose calls wait, hold units or are paused stay", () =>
    Effect.gen(function* () {
      const limiter = yield* make(
        { limit: 1, window: "1 second", onExceeded: "wait", algorithm: "fixed-window" },
        { maxKeys: 3 }
      )
      yield* call(limiter, { key: "waits" })
      yield* start(limiter, { key: "waits" })
      const scope = yield* Scope.make()
      yield* Scope.provide(limiter.reserve({ key: "holds" }), scope)
      yield* limiter.pause("paused", "1 minute")
      yield* TestClock.adjust("999 millis")
      yield* call(limiter, { key: "other" })
      assert.isDefined(yield* keyed(limiter, "(overflow)"))
      yield* TestClock.adjust("10 seconds")
      yield* call(limiter, { key: "new" })
      const keys = yield* keysOf(limiter)
      assert.deepStrictEqual(keys, ["(overflow)", "holds", "new", "paused"])
      yield* Scope.close(scope, Exit.void)
    })
  )

  it.effect("are shown by need, a hundred of them", () =>
    Effect.gen(function* () {
      const limiter = yield* make({ limit: 10, window: "1 second", onExceeded: "wait" })
      for (let i = 0; i < 300; i++) yield* call(limiter, { key: `k${i}` })
      yield* call(limiter, { key: "k200", cost: 5 })
      yield* limiter.pause("k299", "1 second")
      yield* start(limiter, { key: "k250", cost: 10 })
      const { keys, size, waiting } = yield* limiter.snapshot
      assert.deepStrictEqual([keys.length, size, waiting], [100, 300, 1])
      assert.deepStrictEqual(
        keys.slice(0, 3).map(({ key }) => key),
        ["k299", "k250", "k200"]
      )
    })
  )
})

describe("settings of a rate limiter", () => {
  it("have defaults", () => {
    const settings = new RateLimiter.Settings()
    assert.strictEqual(settings.algorithm, "gcra")
    assert.strictEqual(settings.limit, 100)
    assert.deepStrictEqual(settings.window, Duration.seconds(1))
    assert.strictEqual(settings.burst, undefined)
    assert.strictEqual(settings.onExceeded, "fail")
    assert.deepStrictEqual(settings.maxWait, Duration.seconds(5))
    assert.strictEqual(settings.maxQueue, 1_000)
    assert.deepStrictEqual(settings.maxPause, Duration.hours(1))
    assert.deepStrictEqual(RateLimiter.settings(), settings)
  })

  it("come from text and go to it", () => {
    const json = { algorithm: "token-bucket", limit: 5, window: "10 seconds", burst: 2, onExceeded: "wait" }
    const settings = Schema.decodeUnknownSync(RateLimiter.Settings)(json)
    assert.deepStrictEqual(
      settings,
      RateLimiter.settings({
        algorithm: "token-bucket",
        limit: 5,
        window: "10 seconds",
        burst: 2,
        onExceeded: "wait"
      })
    )
    assert.deepStrictEqual(
      Schema.decodeUnknownSync(RateLimiter.Settings)(Schema.encodeSync(RateLimiter.Settings)(settings)),
      settings
    )
  })

  it("that are wrong are refused with field, value and range", () => {
    for (const [input, path, rule] of [
      [{ limit: 0 }, "limit", /between 1 and 1000000000/],
      [{ limit: 1.5 }, "limit", /integer/],
      [{ limit: NaN }, "limit", /integer|finite/i],
      [{ window: 0 }, "window", /from 1ms to 1d/],
      [{ window: Infinity }, "window", /from 1ms to 1d/],
      [{ window: -5 }, "window", /from 1ms to 1d/],
      [{ window: NaN }, "window", /duration/],
      [{ burst: 0 }, "burst", /between 1 and/],
      [{ maxWait: 0 }, "maxWait", /from 1ms to 1h/],
      [{ maxQueue: 0 }, "maxQueue", /between 1 and 10000/],
      [{ maxPause: "2 hours" }, "maxPause", /to 1h/],
      [{ onExceeded: "delay" }, "onExceeded", /"fail" \| "wait"/],
      [{ algorithm: "leaky" }, "algorithm", /"gcra"/],
      [{ algorithm: "sliding-log", limit: 100_001 }, "limit", /at most 100000 with sliding-log/],
      [{ limit: 1_000_001 }, "limit", /at most 1000 per millisecond/],
      [{ algorithm: "fixed-window", burst: 5 }, "burst", /none with fixed-window/],
      [{ tokens: 5 }, "tokens", /unknown field/]
    ] as const) {
      let thrown: unknown
      try {
        RateLimiter.settings(input as unknown as RateLimiter.SettingsInput)
      } catch (error) {
        thrown = error
      }
      assert.instanceOf(thrown, Settings.InvalidSettings, JSON.stringify(input))
      const [finding] = thrown.findings
      assert.strictEqual(finding?.path, path)
      assert.match(finding?.rule ?? "", rule)
      assert.deepStrictEqual(finding?.value, (input as Record<string, unknown>)[path])
    }
  })

  it("that only text can hold are checked when the limiter starts", () => {
    const settings = Schema.decodeUnknownSync(RateLimiter.Settings)({ algorithm: "sliding-log", limit: 200_000 })
    const services = { operation: "target", slot: "quota", events: ResilienceEvent.make(), now: 0 } as const
    assert.throws(() => settings.startUnsafe(services), Settings.InvalidSettings)
  })

  it("are checked when the layer is written, and so is maxKeys", () => {
    assert.throws(
      () => RateLimiter.RateLimiter.layer({ operation: "x", settings: { limit: 0 } }),
      Settings.InvalidSettings
    )
    for (const maxKeys of [0, 1.5, NaN, 1_000_001]) {
      assert.throws(() => RateLimiter.make({ operation: "x", maxKeys }), Settings.InvalidSettings, /maxKeys/)
    }
  })

  it.effect("serve a layer", () =>
    Effect.gen(function* () {
      const limiter = yield* RateLimiter.RateLimiter
      yield* call(limiter)
      assert.strictEqual(yield* refusal(limiter), 1_000)
    }).pipe(Effect.provide(RateLimiter.RateLimiter.layer({ operation: "target", settings: { limit: 1 } })))
  )
})

describe("a step of the wall clock", () => {
  const tenYears = 10 * 365 * 24 * 3_600_000

  for (const by of [tenYears, -tenYears]) {
    it.effect(`changes nothing (${by > 0 ? "ahead" : "back"})`, () =>
      Effect.gen(function* () {
        const test = yield* TestClock.testClockWith(Effect.succeed)
        let offset = tenYears
        const wall: TestClock.TestClock = {
          ...test,
          currentTimeMillisUnsafe: () => test.currentTimeMillisUnsafe() + offset,
          currentTimeNanosUnsafe: () => test.currentTimeNanosUnsafe() + BigInt(offset) * 1_000_000n
        }
        const step = Effect.sync(() => void (offset += by))
        yield* Effect.gen(function* () {
          for (const algorithm of algorithms) {
            offset = tenYears
            const limiter = yield* make({ algorithm, limit: 2, window: "1 second", onExceeded: "wait" })
            const first = yield* start(limiter, { cost: 2 })
            yield* step
            const second = yield* start(limiter, { cost: 2 })
            assert.strictEqual(first.startedAt(), 0)
            yield* TestClock.adjust("10 seconds")
            assert.strictEqual(second.startedAt(), algorithm === "sliding-counter" ? 2_000 : 1_000)
            yield* limiter.pause(undefined, "10 seconds")
            offset = tenYears
            yield* step
            assert.deepStrictEqual((yield* keyed(limiter)).pausedFor, Duration.seconds(10))
            yield* TestClock.adjust("9999 millis")
            assert.deepStrictEqual((yield* keyed(limiter)).pausedFor, Duration.millis(1))
          }
        }).pipe(Effect.provideService(Clock.Clock, wall))
      })
    )
  }
})

/** mulberry32 */
const random = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

describe("simulations", () => {
  for (const algorithm of algorithms) {
    it.effect(`${algorithm}: what was granted was started or returned, in order and within the bound`, () =>
      Effect.gen(function* () {
        for (let seed = 1; seed <= 150; seed++) {
          const next = random(seed * 31 + algorithm.length)
          const below = (n: number) => Math.floor(next() * n)
          const limit = 1 + below(6)
          const window = 10 * (1 + below(20))
          const burst = 1 + below(6)
          const refills = algorithm === "gcra" || algorithm === "token-bucket"
          const capacity = refills ? burst : limit
          const settings: RateLimiter.SettingsInput = {
            algorithm,
            limit,
            window,
            ...(refills ? { burst } : {}),
            onExceeded: next() < 0.8 ? "wait" : "fail",
            maxWait: 1 + below(500),
            maxQueue: 1 + below(6)
          }
          const limiter = yield* make(settings)
          const starts: Array<{ readonly at: number; readonly cost: number }> = []
          const order: Array<number> = []
          const began = yield* now
          const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
          for (let step = 0; step < 60; step++) {
            const what = next()
            if (what < 0.5) {
              const cost = 1 + below(capacity + (next() < 0.1 ? 1 : 0))
              const id = step
              const slow = next() < 0.3
              fibers.push(
                yield* Effect.flatMap(now, (at) => {
                  starts.push({ at, cost })
                  order.push(id)
                  return slow ? Effect.sleep(30) : Effect.void
                }).pipe(limiter.protect({ cost }), Effect.forkChild({ startImmediately: true }))
              )
            } else if (what < 0.65 && fibers.length > 0) {
              yield* Fiber.interrupt(fibers[below(fibers.length)]!)
            } else if (what < 0.68) {
              yield* limiter.pause(undefined, 1 + below(100))
            } else {
              yield* TestClock.adjust(below(60))
            }
            const { counters, keys, waiting } = yield* limiter.snapshot
            assert.strictEqual(counters.granted, counters.started + counters.returned + counters.held)
            assert.strictEqual(counters.started, starts.length)
            if (waiting > 0) assert.isAbove(yield* pending, 0)
            assert.isAtMost(waiting, settings.maxQueue!)
            // Whoever waits has a reason to.
            if (waiting > 0) assert.isBelow(keys[0]!.available, capacity)
          }
          yield* TestClock.adjust("10 seconds")
          yield* atRest(limiter)
          assert.isTrue(fibers.every((fiber) => fiber.pollUnsafe() !== undefined))
          assert.deepStrictEqual(
            order,
            order.toSorted((a, b) => a - b)
          )
          for (const [i, { at: from }] of starts.entries()) {
            let passed = 0
            for (const { at, cost } of starts.slice(i)) {
              passed += cost
              const span = at - from
              if (refills) assert.isAtMost(passed, burst + (span * limit) / window + 0.02)
              else if (span < window - 0.01) {
                assert.isAtMost(passed, algorithm === "sliding-log" ? limit : 2 * limit, `seed ${seed}`)
              }
            }
          }
          assert.isAtLeast(yield* now, began)
        }
      })
    )
  }
})
