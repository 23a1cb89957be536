import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Config,
  ConfigProvider,
  Duration,
  Effect,
  Equal,
  Exit,
  Fiber,
  Option,
  Random,
  Schedule,
  Schema
} from "effect"
import { TestClock } from "effect/testing"
import {
  CircuitHalfOpen,
  CircuitIsolated,
  CircuitOpen,
  Deadline,
  Errors,
  type Reason,
  ResilienceError,
  Retry,
  Settings,
  Timeout,
  TimeoutExceeded
} from "breakwater"

const plain = { maxAttempts: 4, base: "1 second", jitter: "none" } as const

/** Notes when each attempt starts, in milliseconds. */
const attempts = () => {
  const at: Array<number> = []
  const note = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.andThen(
      Effect.map(Clock.Clock, (clock) => void at.push(Number(clock.monotonicTimeNanosUnsafe()) / 1e6)),
      self
    )
  return { at, note }
}

/** Runs an effect to its end, whatever time it takes. */
const finish = Effect.fnUntraced(function* <A, E>(self: Effect.Effect<A, E>) {
  const fiber = yield* Effect.forkChild(self, { startImmediately: true })
  while (fiber.pollUnsafe() === undefined) yield* TestClock.adjust("1 day")
  return yield* Fiber.await(fiber)
})

const exhaustedOf = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit) ? Retry.exhausted(exit.cause) : Option.none()

describe("Retry.retry", () => {
  for (let maxAttempts = 1; maxAttempts <= 5; maxAttempts++) {
    it.effect(`executes ${maxAttempts} times at most, and fails with the last error`, () =>
      Effect.gen(function* () {
        const { at, note } = attempts()
        const errors: Array<object> = []
        const failing = Effect.suspend(() => {
          errors.push({ attempt: errors.length + 1 })
          return Effect.fail(errors.at(-1)!)
        })
        const exit = yield* finish(failing.pipe(note, Retry.retry({ settings: { ...plain, maxAttempts } })))
        assert.strictEqual(at.length, maxAttempts)
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === errors.at(-1))
      })
    )
  }

  it.effect("executes an effect that succeeds once, and one that recovers as often as it takes", () =>
    Effect.gen(function* () {
      let runs = 0
      const call = Effect.suspend(() => (++runs % 3 === 0 ? Effect.succeed(runs) : Effect.fail("down"))).pipe(
        Retry.retry({ settings: plain })
      )
      assert.deepStrictEqual(yield* finish(call), Exit.succeed(3))
      // The same effect, once more, starts afresh.
      assert.deepStrictEqual(yield* finish(call), Exit.succeed(6))
      assert.deepStrictEqual(yield* finish(Effect.succeed(1).pipe(Retry.retry({ settings: plain }))), Exit.succeed(1))
    })
  )

  it.effect("pauses longer and longer, up to the longest pause", () =>
    Effect.gen(function* () {
      const { at, note } = attempts()
      yield* finish(
        Effect.fail("down").pipe(note, Retry.retry({ settings: { ...plain, maxAttempts: 7, maxDelay: "10 seconds" } }))
      )
      assert.deepStrictEqual(at, [0, 1_000, 3_000, 7_000, 15_000, 25_000, 35_000])
    })
  )

  it.effect("measures the pause from the end of the attempt", () =>
    Effect.gen(function* () {
      const { at, note } = attempts()
      yield* finish(
        Effect.sleep("3 seconds").pipe(
          Effect.andThen(Effect.fail("down")),
          note,
          Retry.retry({ settings: { ...plain, maxAttempts: 3 } })
        )
      )
      assert.deepStrictEqual(at.length, 3)
      // Each sleep is woken exactly, although the clock moves by days.
      assert.deepStrictEqual(at, [0, 4_000, 9_000])
    })
  )

  const once = (name: string, body: Effect.Effect<unknown, unknown>) =>
    it.effect(`does not repeat ${name}`, () =>
      Effect.gen(function* () {
        const { at, note } = attempts()
        yield* finish(body.pipe(note, Retry.retry({ settings: plain })))
        assert.strictEqual(at.length, 1)
      })
    )

  once("a defect", Effect.die("bug"))
  once("an interruption", Effect.interrupt)
  once("a permanent error", Effect.fail(new Errors.ValidationError({ message: "no" })))
  once("an error that says it is not retryable", Effect.fail({ isRetryable: false }))
  once("a failure that comes with a defect", Effect.failCause(Cause.combine(Cause.fail("down"), Cause.die("bug"))))
  once(
    "a failure that comes with an interruption",
    Effect.failCause(Cause.combine(Cause.fail("down"), Cause.interrupt(1)))
  )

  const retryAfter = Duration.seconds(1)
  const limits = { limit: Duration.seconds(1), elapsed: Duration.seconds(1) }
  const rejections: ReadonlyArray<Reason> = [
    new CircuitOpen({ retryAfter }),
    new CircuitHalfOpen({ retryAfter }),
    new CircuitIsolated({ because: "maintenance", retryAfter }),
    new TimeoutExceeded({ scope: "total", ...limits })
  ]
  for (const reason of rejections) {
    const error = new ResilienceError({ operation: "target", reason })
    const name = reason._tag === "TimeoutExceeded" ? "total TimeoutExceeded" : reason._tag
    once(`our rejection ${name}`, Effect.fail(error))

    it.effect(`does not repeat our rejection ${name}, whatever a rule says`, () =>
      Effect.gen(function* () {
        const { at, note } = attempts()
        yield* finish(Effect.fail(error).pipe(note, Retry.retry({ settings: plain, rules: [() => "transient"] })))
        assert.strictEqual(at.length, 1)
      })
    )
  }

  it.effect("repeats an attempt that timed out, and one whose error is the caller's own", () =>
    Effect.gen(function* () {
      const { at, note } = attempts()
      const exit = yield* finish(
        Effect.never.pipe(note, Timeout.attempt("2 seconds"), Retry.retry({ settings: { ...plain, maxAttempts: 3 } }))
      )
      assert.deepStrictEqual(at, [0, 3_000, 7_000])
      assert.isTrue(
        Exit.isFailure(exit) && Option.getOrThrow(Cause.findErrorOption(exit.cause)).reason._tag === "TimeoutExceeded"
      )
    })
  )

  it.effect("asks its rules first, then those in force", () =>
    Effect.gen(function* () {
      const { at, note } = attempts()
      const permanent =
        (word: string): Errors.Rule =>
        (error) =>
          error === word ? "permanent" : undefined
      const call = (error: string) =>
        finish(
          Effect.fail(error).pipe(
            note,
            Retry.retry({ settings: plain, rules: [permanent("own")] }),
            Effect.provideService(Errors.Rules, [permanent("in force"), () => "transient"])
          )
        )
      yield* call("own")
      yield* call("in force")
      assert.strictEqual(at.length, 2)
      yield* call("other")
      assert.strictEqual(at.length, 6)
    })
  )

  describe("with a Retry-After", () => {
    const limited = (wait: Duration.Input) =>
      new Errors.RateLimitError({ message: "slow down", retryAfter: Duration.fromInputUnsafe(wait) })

    it.effect("waits that long, although the pause is shorter, and although the longest pause is", () =>
      Effect.gen(function* () {
        const { at, note } = attempts()
        yield* finish(
          Effect.fail(limited("2 minutes")).pipe(
            note,
            Retry.retry({ settings: { ...plain, maxAttempts: 3, maxDelay: "5 seconds" } })
          )
        )
        assert.deepStrictEqual(at, [0, 120_000, 240_000])
      })
    )

    it.effect("waits for the pause when that is longer", () =>
      Effect.gen(function* () {
        const { at, note } = attempts()
        yield* finish(
          Effect.fail(limited("1500 millis")).pipe(note, Retry.retry({ settings: { ...plain, maxAttempts: 3 } }))
        )
        assert.deepStrictEqual(at, [0, 1_500, 3_500])
      })
    )

    it.effect("puts the jitter above it, never below", () =>
      Effect.gen(function* () {
        for (const jitter of ["full", "equal", "decorrelated", "additive"] as const) {
          const { at, note } = attempts()
          yield* finish(
            Effect.fail(limited("1 minute")).pipe(
              note,
              Retry.retry({ settings: { ...plain, maxAttempts: 20, jitter, jitterMax: "2 seconds" } }),
              Random.withSeed(jitter)
            )
          )
          const pauses = at.slice(1).map((time, i) => time - at[i]!)
          assert.strictEqual(pauses.length, 19)
          assert.isAtLeast(Math.min(...pauses), 60_000)
          assert.isBelow(Math.max(...pauses), 62_000)
          assert.isAbove(new Set(pauses).size, 10)
        }
      })
    )
  })

  describe("under a deadline", () => {
    it.effect("gives up at once with the last error when the pause would pass it", () =>
      Effect.gen(function* () {
        const { at, note } = attempts()
        const error = { down: true }
        const fiber = yield* Effect.fail(error).pipe(
          note,
          Retry.retry({ settings: { ...plain, maxAttempts: 10 } }),
          Timeout.total("5 seconds"),
          Effect.forkChild({ startImmediately: true })
        )
        yield* TestClock.adjust("2999 millis")
        assert.isUndefined(fiber.pollUnsafe())
        yield* TestClock.adjust(1)
        // At 3 s the next pause would take 4 s of the 2 that are left.
        const exit = fiber.pollUnsafe()
        assert.isTrue(exit !== undefined && Exit.isFailure(exit) && Cause.squash(exit.cause) === error)
        assert.deepStrictEqual(at, [0, 1_000, 3_000])
        assert.deepStrictEqual(exhaustedOf(exit!), Option.some({ attempts: 3, elapsed: Duration.seconds(3) }))
      })
    )

    it.effect("does not pause until the very deadline", () =>
      Effect.gen(function* () {
        for (const [total, expected] of [
          ["3 seconds", [0, 1_000]],
          ["3001 millis", [0, 1_000, 3_000]]
        ] as const) {
          const { at, note } = attempts()
          const start = Number(yield* Clock.monotonicTimeNanos) / 1e6
          const exit = yield* finish(
            Effect.fail("down").pipe(note, Retry.retry({ settings: plain }), Timeout.total(total))
          )
          assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === "down")
          assert.deepStrictEqual(
            at.map((time) => time - start),
            [...expected]
          )
        }
      })
    )

    it.effect("gives up when a Retry-After passes it", () =>
      Effect.gen(function* () {
        const { at, note } = attempts()
        const error = new Errors.RateLimitError({ message: "slow down", retryAfter: Duration.minutes(1) })
        const exit = yield* Effect.fail(error).pipe(
          note,
          Retry.retry({ settings: plain }),
          Timeout.total("30 seconds"),
          Effect.exit
        )
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === error)
        assert.strictEqual(at.length, 1)
      })
    )

    it.effect("counts the time of the attempts too", () =>
      Effect.gen(function* () {
        const { at, note } = attempts()
        const exit = yield* finish(
          Effect.sleep("2500 millis").pipe(
            Effect.andThen(Effect.fail("down" as const)),
            note,
            Retry.retry({ settings: plain }),
            Timeout.total("7 seconds")
          )
        )
        // 0 to 2.5, a pause of 1, 3.5 to 6: a pause of 2 does not fit.
        assert.deepStrictEqual(at, [0, 3_500])
        assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === "down")
      })
    )
  })

  it.effect("ends at once when it is interrupted while it pauses", () =>
    Effect.gen(function* () {
      const { at, note } = attempts()
      const fiber = yield* Effect.fail("down").pipe(
        note,
        Retry.retry({ settings: { ...plain, base: "1 hour", maxDelay: "1 hour" } }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("10 minutes")
      yield* Fiber.interrupt(fiber)
      assert.isTrue(Cause.hasInterruptsOnly((fiber.pollUnsafe() as Exit.Failure<never, string>).cause))
      yield* TestClock.adjust("10 hours")
      assert.strictEqual(at.length, 1)
    })
  )

  describe("tells of a call that it gave up", () => {
    it.effect("its attempts and its time", () =>
      Effect.gen(function* () {
        const exit = yield* finish(
          Effect.sleep("100 millis").pipe(Effect.andThen(Effect.fail("down")), Retry.retry({ settings: plain }))
        )
        assert.deepStrictEqual(exhaustedOf(exit), Option.some({ attempts: 4, elapsed: Duration.millis(7_400) }))
      })
    )

    it.effect("the same for an error that is not repeated, and nothing for a defect", () =>
      Effect.gen(function* () {
        let runs = 0
        const exit = yield* finish(
          Effect.suspend(() => Effect.fail(++runs === 1 ? "down" : new Errors.ValidationError({ message: "no" }))).pipe(
            Retry.retry({ settings: plain })
          )
        )
        assert.deepStrictEqual(exhaustedOf(exit), Option.some({ attempts: 2, elapsed: Duration.seconds(1) }))
        assert.deepStrictEqual(
          exhaustedOf(yield* finish(Effect.die("bug").pipe(Retry.retry({ settings: plain })))),
          Option.none()
        )
        assert.deepStrictEqual(exhaustedOf(Exit.fail("down")), Option.none())
      })
    )

    it.effect("to its observer, in order", () =>
      Effect.gen(function* () {
        const told: Array<string> = []
        const observer: Retry.Observer = {
          onFailed: ({ attempt, classification, error }) =>
            told.push(`failed ${attempt} ${String(error)} ${classification.kind}`),
          onScheduled: ({ attempt, delay, error }) =>
            told.push(`scheduled ${attempt} ${Duration.toMillis(delay)} ${String(error)}`),
          onExhausted: ({ attempts, because, elapsed, error }) =>
            told.push(`exhausted ${attempts} ${Duration.toMillis(elapsed)} ${String(error)} ${because}`)
        }
        const retry = Retry.retry({ settings: { ...plain, maxAttempts: 3 }, observer })
        yield* finish(Effect.fail("down").pipe(retry))
        assert.deepStrictEqual(told, [
          "failed 1 down transient",
          "scheduled 2 1000 down",
          "failed 2 down transient",
          "scheduled 3 2000 down",
          "failed 3 down transient",
          "exhausted 3 3000 down attempts"
        ])

        told.length = 0
        yield* finish(Effect.fail("down").pipe(retry, Timeout.total("2 seconds")))
        assert.deepStrictEqual(told.slice(2), ["failed 2 down transient", "exhausted 2 1000 down deadline"])

        told.length = 0
        yield* finish(Effect.succeed(1).pipe(retry))
        yield* finish(Effect.die("bug").pipe(retry))
        assert.deepStrictEqual(told, [])
        yield* finish(Effect.fail({ isRetryable: false, toString: () => "no" }).pipe(retry))
        assert.deepStrictEqual(told, ["failed 1 no permanent"])
      })
    )
  })

  it.effect("leaves the deadline in force to the effect", () =>
    Effect.gen(function* () {
      const seen: Array<number | undefined> = []
      yield* finish(
        Deadline.remaining.pipe(
          Effect.map((left) => seen.push(Option.getOrUndefined(Option.map(left, Duration.toMillis)))),
          Effect.andThen(Effect.fail("down")),
          Retry.retry({ settings: { ...plain, maxAttempts: 3 } }),
          Timeout.total("1 minute")
        )
      )
      assert.deepStrictEqual(seen, [60_000, 59_000, 57_000])
    })
  )
})

describe("Retry.schedule", () => {
  it.effect("ends after as many recurrences as there are retries", () =>
    Effect.gen(function* () {
      const { at, note } = attempts()
      const exit = yield* finish(Effect.fail("down").pipe(note, Effect.retry(Retry.schedule(plain))))
      assert.deepStrictEqual(at, [0, 1_000, 3_000, 7_000])
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) === "down")
    })
  )

  for (const jitter of ["none", "full", "equal", "decorrelated", "additive"] as const) {
    it.effect(`gives the pauses of retry under one seed, with jitter ${jitter}`, () =>
      Effect.gen(function* () {
        const settings = Retry.settings({
          maxAttempts: 12,
          base: "100 millis",
          maxDelay: "20 seconds",
          jitter,
          jitterMax: "3 seconds"
        })
        const pauses = Effect.fnUntraced(function* (
          repeat: (self: Effect.Effect<never, string>) => Effect.Effect<unknown, string>
        ) {
          const { at, note } = attempts()
          yield* finish(Effect.fail("down").pipe(note, repeat, Random.withSeed("seed")))
          return at.map((time) => Math.round((time - at[0]!) * 1_000) / 1_000)
        })
        const own = yield* pauses(Retry.retry({ settings }))
        const scheduled = yield* pauses(Effect.retry(Retry.schedule(settings)))
        assert.strictEqual(own.length, 12)
        assert.deepStrictEqual(scheduled, own)
        if (jitter === "none" || jitter === "decorrelated") assert.strictEqual(own[1], 100)
        if (jitter !== "none") {
          assert.notDeepEqual(yield* pauses((self) => Random.withSeed(Retry.retry(self, { settings }), "other")), own)
        }
      })
    )
  }

  it.effect("honours a Retry-After, with rules of its own", () =>
    Effect.gen(function* () {
      const { at, note } = attempts()
      const error = new Errors.RateLimitError({ message: "slow down", retryAfter: Duration.seconds(30) })
      yield* finish(Effect.fail(error).pipe(note, Effect.retry(Retry.schedule({ ...plain, maxAttempts: 2 }))))
      assert.deepStrictEqual(at, [0, 30_000])
    })
  )

  it.effect("drives each run afresh", () =>
    Effect.gen(function* () {
      const schedule = Retry.schedule({ ...plain, maxAttempts: 3 })
      const outputs = Effect.gen(function* () {
        const step = yield* Schedule.toStep(schedule)
        const [, first] = yield* step(0, "down")
        const [, second] = yield* step(1_000, "down")
        return [Duration.toMillis(first), Duration.toMillis(second)]
      }).pipe(Effect.orDie)
      assert.deepStrictEqual(yield* outputs, [1_000, 2_000])
      assert.deepStrictEqual(yield* outputs, [1_000, 2_000])
    })
  )
})

describe("Retry.settings", () => {
  it.effect("are the same from code, JSON and configuration, with the same defaults", () =>
    Effect.gen(function* () {
      const code = Retry.settings({ maxAttempts: 5, base: 250, maxDelay: "1 minute", jitter: "equal" })
      const json = { maxAttempts: 5, base: "250 millis", maxDelay: "1 minute", jitter: "equal" }
      assert.isTrue(Equal.equals(yield* Schema.decodeUnknownEffect(Retry.Settings)(json), code))
      const config = yield* Config.schema(Retry.Settings, "retry").parse(
        ConfigProvider.fromUnknown({ retry: { ...json, maxAttempts: "5" } })
      )
      assert.isTrue(Equal.equals(config, code))
      assert.isTrue(Equal.equals(yield* Schema.decodeUnknownEffect(Retry.Settings)({}), Retry.settings()))
      assert.strictEqual(Retry.settings().maxAttempts, 3)
    })
  )

  const nonsense: ReadonlyArray<readonly [field: string, values: ReadonlyArray<unknown>]> = [
    ["maxAttempts", [0, -1, 1.5, NaN, Infinity, 21]],
    ["base", [0, -1, NaN, Infinity, "2 hours"]],
    ["factor", [0, 0.5, NaN, Infinity, 11]],
    ["minDelay", [-1, NaN, Infinity, "2 hours"]],
    ["maxDelay", [0, -1, NaN, Infinity, "2 hours"]],
    ["jitterMax", [-1, NaN, Infinity, "2 hours"]],
    ["jitter", ["some", "", null]]
  ]
  for (const [field, values] of nonsense) {
    for (const value of values) {
      it(`refuse ${field} ${typeof value === "number" ? value : JSON.stringify(value)}`, () => {
        for (const write of [Retry.settings, Retry.schedule]) {
          try {
            write({ [field]: value })
          } catch (error) {
            assert.instanceOf(error, Settings.InvalidSettings)
            const { findings } = error
            assert.isAbove(findings.length, 0)
            for (const finding of findings) {
              assert.strictEqual(finding.path, field)
              assert.deepStrictEqual(finding.value, value)
            }
            continue
          }
          assert.fail("accepted")
        }
      })
    }
  }
})
