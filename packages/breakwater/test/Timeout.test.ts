import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Config,
  ConfigProvider,
  Context,
  Duration,
  Effect,
  Equal,
  Exit,
  Fiber,
  Option,
  Schema
} from "effect"
import { TestClock } from "effect/testing"
import { Deadline, type ResilienceError, Retry, Settings, Timeout, TimeoutExceeded } from "breakwater"
import * as DeadlineQueue from "../src/DeadlineQueue.ts"

const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

/** Starts a call and tells when it ended, in milliseconds since its start. */
const start = Effect.fnUntraced(function* <A, E>(self: Effect.Effect<A, E>) {
  const startedAt = yield* now
  let took: number | undefined
  const fiber = yield* self.pipe(
    Effect.onExit(() => Effect.map(now, (at) => void (took = at - startedAt))),
    Effect.forkChild({ startImmediately: true })
  )
  return {
    fiber,
    took: () => took,
    exit: () => fiber.pollUnsafe(),
    reason: () => reasonOf(fiber.pollUnsafe())
  }
})

const reasonOf = (exit: Exit.Exit<unknown, unknown> | undefined): TimeoutExceeded | undefined => {
  if (exit === undefined || Exit.isSuccess(exit)) return undefined
  const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause)) as ResilienceError | undefined
  return error?.reason instanceof TimeoutExceeded ? error.reason : undefined
}

/** What happens to an effect, by name and in order. */
const watched = <A, E>(
  log: Array<string>,
  body: Effect.Effect<A, E>,
  finalizer: Effect.Effect<unknown> = Effect.void
) =>
  Effect.acquireUseRelease(
    Effect.sync(() => log.push("started")),
    () => Effect.onInterrupt(body, () => Effect.sync(() => log.push("interrupted"))),
    () =>
      Effect.andThen(
        finalizer,
        Effect.sync(() => log.push("finalized"))
      )
  )

const waiting = Effect.map(Clock.Clock, (clock) => DeadlineQueue.of(clock).waiting())

describe("Timeout.attempt", () => {
  it.effect("passes answers, errors and defects through as they are", () =>
    Effect.gen(function* () {
      const value = { value: true }
      const defect = new Error("bug")
      for (const wait of [Effect.void, Effect.yieldNow, Effect.sleep("1 second")]) {
        const limited = <A, E>(self: Effect.Effect<A, E>) =>
          start(Effect.andThen(wait, self).pipe(Timeout.attempt("2 seconds")))
        const success = yield* limited(Effect.succeed(value))
        const failure = yield* limited(Effect.fail(value))
        const death = yield* limited(Effect.die(defect))
        yield* TestClock.adjust("1 second")
        assert.isTrue(Exit.isSuccess(success.exit()!) && (success.exit() as Exit.Success<object>).value === value)
        assert.strictEqual(Cause.squash((failure.exit() as Exit.Failure<never, object>).cause), value)
        assert.strictEqual(Cause.squash((death.exit() as Exit.Failure<never, never>).cause), defect)
        assert.strictEqual(yield* waiting, 0)
      }
    })
  )

  it.effect("releases the caller at the limit, not before, and interrupts the effect once", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const call = yield* start(
        watched(log, Effect.never).pipe(Timeout.attempt("3 seconds", { operation: "target", key: "tenant" }))
      )
      assert.strictEqual(yield* waiting, 1)
      yield* TestClock.adjust("2999 millis")
      assert.isUndefined(call.exit())
      yield* TestClock.adjust(1)
      assert.strictEqual(call.took(), 3_000)
      assert.deepStrictEqual(log, ["started", "interrupted", "finalized"])
      const error = Cause.squash((call.exit() as Exit.Failure<never, ResilienceError>).cause) as ResilienceError
      assert.strictEqual(error.message, "target:tenant: attempt timeout of 3s exceeded")
      assert.strictEqual(error.key, "tenant")
      assert.isTrue(error.isRetryable)
      const reason = call.reason()!
      assert.strictEqual(reason.scope, "attempt")
      assert.deepStrictEqual(reason.limit, Duration.seconds(3))
      assert.deepStrictEqual(reason.elapsed, Duration.seconds(3))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(log, ["started", "interrupted", "finalized"])
      assert.strictEqual(yield* waiting, 0)
    })
  )

  it.effect("releases many calls, each at its own limit", () =>
    Effect.gen(function* () {
      const calls = []
      for (let i = 0; i < 50; i++) {
        calls.push([
          100 + ((i * 37) % 400),
          yield* start(Effect.never.pipe(Timeout.attempt(100 + ((i * 37) % 400))))
        ] as const)
        yield* TestClock.adjust(5)
      }
      yield* TestClock.adjust("1 second")
      for (const [limit, call] of calls) assert.strictEqual(call.took(), limit)
    })
  )

  it.effect("leaves no trace of an effect that ends in time", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const call = yield* start(watched(log, Effect.sleep("1 second")).pipe(Timeout.attempt("3 seconds")))
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isSuccess(call.exit()!))
      assert.strictEqual(yield* waiting, 0)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(log, ["started", "finalized"])
    })
  )

  it.effect("never arms a timer for an effect that ends at once", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      let sleeps = 0
      const counting: Clock.Clock = Object.create(clock, {
        sleep: {
          value: (duration: Duration.Duration) => {
            sleeps++
            return clock.sleep(duration)
          }
        }
      })
      const limited = (self: Effect.Effect<unknown, unknown>) =>
        self.pipe(Timeout.attempt("1 second"), Timeout.total("2 seconds"), Effect.exit)
      yield* Effect.gen(function* () {
        for (const body of [Effect.succeed(1), Effect.fail("down"), Effect.die("bug"), Effect.sync(() => 1)]) {
          yield* limited(body)
        }
        yield* limited(watched([], Effect.succeed(1)))
        assert.strictEqual(sleeps, 0)
        // One that does not, does.
        yield* limited(Effect.yieldNow)
        assert.strictEqual(sleeps, 1)
      }).pipe(Effect.provideService(Clock.Clock, counting))
    })
  )

  it.effect("gives the effect the context of its caller", () =>
    Effect.gen(function* () {
      class Tenant extends Context.Service<Tenant, string>()("test/Tenant") {}
      const found = yield* Tenant.pipe(
        Effect.tap(() => Effect.yieldNow),
        Timeout.attempt("1 second"),
        Effect.provideService(Tenant, "acme")
      )
      assert.strictEqual(found, "acme")
    })
  )

  it.effect("interrupts what the effect has forked", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      yield* start(
        Effect.forkChild(watched(log, Effect.never), { startImmediately: true }).pipe(
          Effect.andThen(Effect.never),
          Timeout.attempt("1 second")
        )
      )
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(log, ["started", "interrupted", "finalized"])
    })
  )

  it.effect("passes an effect that interrupts itself on", () =>
    Effect.gen(function* () {
      for (const body of [Effect.interrupt, Effect.andThen(Effect.yieldNow, Effect.interrupt)]) {
        const exit = yield* Effect.exit(body.pipe(Timeout.attempt("1 second")))
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
        assert.strictEqual(yield* waiting, 0)
      }
    })
  )

  for (const limit of [0, -1, NaN, Infinity, 0.5, "25 hours", "soon"]) {
    it(`refuses a limit of ${limit} where it is written`, () => {
      for (const write of [Timeout.attempt, Timeout.total]) {
        assert.throws(() => write(limit as Duration.Input)(Effect.void), Settings.InvalidSettings)
        assert.throws(() => write(Effect.void, limit as Duration.Input), Settings.InvalidSettings)
      }
    })
  }
})

describe("Timeout.total", () => {
  it.effect("releases the caller at the limit, and says so", () =>
    Effect.gen(function* () {
      const call = yield* start(Effect.never.pipe(Timeout.total("3 seconds")))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(call.took(), 3_000)
      const reason = call.reason()!
      assert.strictEqual(reason.scope, "total")
      assert.isFalse(reason.isRetryable)
      assert.deepStrictEqual(reason.limit, Duration.seconds(3))
      assert.deepStrictEqual(reason.elapsed, Duration.seconds(3))
    })
  )

  it.effect("clips the attempts inside, which then fail with the total", () =>
    Effect.gen(function* () {
      const call = yield* start(
        Effect.sleep("1 second").pipe(
          Effect.andThen(Effect.never.pipe(Timeout.attempt("10 seconds"))),
          Timeout.total("3 seconds", { mode: "await" })
        )
      )
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(call.took(), 3_000)
      assert.strictEqual(call.reason()!.scope, "total")
      assert.deepStrictEqual(call.reason()!.limit, Duration.seconds(3))
      assert.deepStrictEqual(call.reason()!.elapsed, Duration.seconds(3))
    })
  )

  it.effect("leaves an attempt alone that ends before it", () =>
    Effect.gen(function* () {
      const call = yield* start(Effect.never.pipe(Timeout.attempt("2 seconds"), Timeout.total("3 seconds")))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(call.took(), 2_000)
      assert.strictEqual(call.reason()!.scope, "attempt")
    })
  )

  it.effect("is the total's when both limits are the same", () =>
    Effect.gen(function* () {
      const call = yield* start(Effect.never.pipe(Timeout.attempt("2 seconds"), Timeout.total("2 seconds")))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(call.took(), 2_000)
      assert.strictEqual(call.reason()!.scope, "total")
    })
  )

  it.effect("ends a call with its attempts and pauses", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const call = yield* start(
        watched(log, Effect.never).pipe(
          Timeout.attempt("2 seconds"),
          Retry.retry({ settings: { maxAttempts: 10, base: "1 second", jitter: "none" } }),
          Timeout.total("9 seconds")
        )
      )
      yield* TestClock.adjust("1 minute")
      // Attempts at 0, 3 and 7; the third is clipped from 2 seconds to the end at 9, where both limits meet.
      assert.strictEqual(call.took(), 9_000)
      assert.strictEqual(call.reason()!.scope, "total")
      assert.deepStrictEqual(call.reason()!.elapsed, Duration.seconds(9))
      assert.strictEqual(log.filter((line) => line === "started").length, 3)
      assert.strictEqual(log.filter((line) => line === "finalized").length, 3)
    })
  )

  it.effect("does not start an effect whose time is over", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const told: Array<string> = []
      // Uninterruptible, so that the code after the deadline runs.
      const call = yield* start(
        Effect.sleep("5 seconds").pipe(
          Effect.andThen(
            watched(log, Effect.void).pipe(
              Timeout.attempt("1 second", {
                observer: {
                  onTimedOut: (error) => told.push(error.reason.scope),
                  onAbandoned: () => told.push("abandoned")
                }
              })
            )
          ),
          Effect.exit,
          Effect.tap((exit) => Effect.sync(() => told.push(reasonOf(exit)?.scope ?? "none"))),
          Effect.uninterruptible,
          Timeout.total("2 seconds", { mode: "await" })
        )
      )
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(log, [])
      assert.deepStrictEqual(told, ["total", "total"])
      assert.strictEqual(call.took(), 5_000)
    })
  )

  it.effect("is the earlier one of two", () =>
    Effect.gen(function* () {
      const outer = yield* start(Effect.never.pipe(Timeout.total("10 seconds"), Timeout.total("3 seconds")))
      const inner = yield* start(Effect.never.pipe(Timeout.total("3 seconds"), Timeout.total("10 seconds")))
      yield* TestClock.adjust("3 seconds")
      for (const call of [outer, inner]) {
        assert.strictEqual(call.took(), 3_000)
        assert.deepStrictEqual(call.reason()!.limit, Duration.seconds(3))
      }
      // Released from outside, while the inner limit has time left.
      const late = yield* start(
        Effect.sleep("2 seconds").pipe(
          Effect.andThen(Effect.never.pipe(Timeout.total("2 seconds"))),
          Timeout.total("3 seconds")
        )
      )
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(late.took(), 3_000)
      assert.deepStrictEqual(late.reason()!.limit, Duration.seconds(3))
    })
  )
})

describe("Deadline.remaining", () => {
  const remaining = Effect.map(Deadline.remaining, Option.map(Duration.toMillis))

  it.effect("is nothing without a total, attempts or not", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* remaining, Option.none())
      assert.deepStrictEqual(yield* remaining.pipe(Timeout.attempt("1 second")), Option.none())
      yield* Effect.void.pipe(Timeout.total("1 second"))
      assert.deepStrictEqual(yield* remaining, Option.none())
    })
  )

  it.effect("counts down, in forked fibers too, and never below zero", () =>
    Effect.gen(function* () {
      const seen: Array<Option.Option<number>> = []
      const look = Effect.map(remaining, (left) => void seen.push(left))
      const call = yield* start(
        look.pipe(
          Effect.andThen(Effect.sleep("1 second")),
          Effect.andThen(Effect.flatMap(Effect.forkChild(look), Fiber.join)),
          Effect.andThen(Effect.sleep("4 seconds")),
          Effect.andThen(look),
          Effect.uninterruptible,
          Timeout.attempt("1 minute"),
          Timeout.total("3 seconds", { mode: "await" })
        )
      )
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(call.exit())
      assert.deepStrictEqual(seen, [Option.some(3_000), Option.some(2_000), Option.some(0)])
    })
  )

  it.effect("is that of the earlier deadline", () =>
    Effect.gen(function* () {
      const look = remaining
      assert.deepStrictEqual(yield* look.pipe(Timeout.total("1 second"), Timeout.total("1 minute")), Option.some(1_000))
      assert.deepStrictEqual(yield* look.pipe(Timeout.total("1 minute"), Timeout.total("1 second")), Option.some(1_000))
      const after = yield* Effect.void.pipe(Timeout.total("1 second"), Effect.andThen(look), Timeout.total("1 minute"))
      assert.deepStrictEqual(after, Option.some(60_000))
    })
  )
})

describe("an effect whose time is over", () => {
  const observed = () => {
    const told: Array<string> = []
    const observer: Timeout.Observer = {
      onTimedOut: ({ reason }) => told.push(`timed out ${reason.scope}`),
      onAbandoned: (change, key) => told.push(`abandoned ${change} ${key}`)
    }
    return { told, observer }
  }

  it.effect("goes on ending while its caller goes ahead, with detach", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const { observer, told } = observed()
      const call = yield* start(
        watched(log, Effect.never, Effect.sleep("800 millis")).pipe(
          Timeout.attempt("1 second", { observer, key: "tenant" })
        )
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(call.took(), 1_000)
      assert.deepStrictEqual(log, ["started", "interrupted"])
      assert.deepStrictEqual(told, ["timed out attempt", "abandoned 1 tenant"])
      yield* TestClock.adjust("799 millis")
      assert.deepStrictEqual(log, ["started", "interrupted"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(log, ["started", "interrupted", "finalized"])
      assert.deepStrictEqual(told.slice(2), ["abandoned -1 tenant"])
    })
  )

  it.effect("has ended when its caller goes ahead, with await", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const { observer, told } = observed()
      const call = yield* start(
        watched(log, Effect.never, Effect.sleep("800 millis")).pipe(
          Timeout.attempt("1 second", { observer, mode: "await" })
        )
      )
      yield* TestClock.adjust("1799 millis")
      assert.isUndefined(call.exit())
      yield* TestClock.adjust(1)
      assert.strictEqual(call.took(), 1_800)
      assert.deepStrictEqual(log, ["started", "interrupted", "finalized"])
      assert.deepStrictEqual(told, ["timed out attempt"])
      // The caller was released at 1.8 s; the limit passed at 1 s.
      assert.deepStrictEqual(call.reason()!.limit, Duration.seconds(1))
    })
  )

  it.effect("is not abandoned when it ends at once", () =>
    Effect.gen(function* () {
      const { observer, told } = observed()
      yield* start(watched([], Effect.never).pipe(Timeout.attempt("1 second", { observer })))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(told, ["timed out attempt"])
    })
  )

  it.effect("tells nobody when it ends in time", () =>
    Effect.gen(function* () {
      const { observer, told } = observed()
      yield* start(Effect.sleep("500 millis").pipe(Timeout.attempt("1 second", { observer })))
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(told, [])
    })
  )

  it.effect("changes nothing with a late answer", () =>
    Effect.gen(function* () {
      for (const mode of ["detach", "await"] as const) {
        const call = yield* start(
          Effect.sleep("5 seconds").pipe(
            Effect.as("late"),
            Effect.uninterruptible,
            Timeout.attempt("1 second", { mode })
          )
        )
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(call.reason()?.scope, "attempt")
        assert.strictEqual(call.took(), mode === "detach" ? 1_000 : 5_000)
      }
    })
  )
})

describe("a caller", () => {
  for (const mode of ["detach", "await"] as const) {
    it.effect(`that is interrupted waits for the finalizers, with ${mode}`, () =>
      Effect.gen(function* () {
        const log: Array<string> = []
        const call = yield* start(
          watched(log, Effect.never, Effect.sleep("2 seconds")).pipe(Timeout.attempt("5 seconds", { mode }))
        )
        yield* TestClock.adjust("4 seconds")
        const interruption = yield* Effect.forkChild(Fiber.interrupt(call.fiber), { startImmediately: true })
        yield* TestClock.adjust("1999 millis")
        // The limit has passed meanwhile: it changes nothing.
        assert.isUndefined(interruption.pollUnsafe())
        assert.strictEqual(yield* waiting, 0)
        yield* TestClock.adjust(1)
        assert.isDefined(interruption.pollUnsafe())
        assert.isTrue(Cause.hasInterruptsOnly((call.exit() as Exit.Failure<never, never>).cause))
        assert.deepStrictEqual(log, ["started", "interrupted", "finalized"])
      })
    )
  }

  it.effect("that is interrupted while it awaits a timed out effect waits on", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const call = yield* start(
        watched(log, Effect.never, Effect.sleep("2 seconds")).pipe(Timeout.attempt("1 second", { mode: "await" }))
      )
      yield* TestClock.adjust("2 seconds")
      const interruption = yield* Effect.forkChild(Fiber.interrupt(call.fiber), { startImmediately: true })
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(interruption.pollUnsafe())
      yield* TestClock.adjust(1)
      assert.isDefined(interruption.pollUnsafe())
      assert.deepStrictEqual(log, ["started", "interrupted", "finalized"])
    })
  )

  it.effect("that is uninterruptible hands that on: the effect runs to its end", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const call = yield* start(
        Effect.sleep("3 seconds").pipe(
          Effect.onExit((exit) => Effect.sync(() => log.push(exit._tag))),
          Timeout.attempt("1 second", { mode: "await" }),
          Effect.uninterruptible
        )
      )
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(call.took(), 3_000)
      assert.strictEqual(call.reason()?.scope, "attempt")
      assert.deepStrictEqual(log, ["Success"])
    })
  )

  it.effect("that is uninterruptible is released at the limit with detach, and restores inside", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const masked = yield* start(
        Effect.uninterruptible(watched(log, Effect.sleep("3 seconds")).pipe(Timeout.attempt("1 second")))
      )
      const restored = yield* start(
        Effect.uninterruptibleMask((restore) => restore(watched([], Effect.never)).pipe(Timeout.attempt("1 second")))
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual(masked.took(), 1_000)
      assert.strictEqual(restored.took(), 1_000)
      assert.deepStrictEqual(log, ["started"])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(log, ["started", "finalized"])
    })
  )
})

const millis = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 1, maximum }))

describe("a limit, over random times", () => {
  it.effect.prop(
    "gives one outcome at one instant, and interrupts and finalizes once",
    {
      takes: Schema.Union([millis(40), Schema.Literal(1_000_000)]),
      cleansUpFor: millis(30),
      attempt: millis(40),
      total: millis(60),
      before: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })),
      mode: Timeout.Mode,
      fails: Schema.Boolean
    },
    ({ attempt, before, cleansUpFor, fails, mode, takes, total }) =>
      Effect.gen(function* () {
        const log: Array<string> = []
        const end = fails ? Effect.fail("down" as const) : Effect.succeed("up")
        const body = Effect.andThen(Effect.sleep(takes), end)
        const call = yield* start(
          Effect.sleep(before).pipe(
            Effect.andThen(watched(log, body, Effect.sleep(cleansUpFor)).pipe(Timeout.attempt(attempt, { mode }))),
            Timeout.total(total, { mode })
          )
        )
        yield* TestClock.adjust("1 hour")
        const exit = call.exit()!
        const needs = takes + cleansUpFor
        const limit = Math.min(attempt, total - before)
        if (limit <= 0) {
          assert.strictEqual(call.reason()?.scope, "total")
          assert.strictEqual(call.took(), total)
          assert.isAtMost(log.filter((line) => line === "started").length, before === total ? 1 : 0)
          return
        }
        assert.strictEqual(log.filter((line) => line === "started").length, 1)
        assert.strictEqual(log.filter((line) => line === "finalized").length, 1)
        assert.isAtMost(log.filter((line) => line === "interrupted").length, 1)
        // At the very instant of the limit it may go either way.
        if (needs === limit || takes === limit) return
        if (needs < limit) {
          assert.strictEqual(call.took(), before + needs)
          assert.strictEqual(exit._tag, fails ? "Failure" : "Success")
          assert.isUndefined(call.reason())
          assert.notInclude(log, "interrupted")
        } else {
          const cleaned = takes < limit ? needs : limit + cleansUpFor
          assert.strictEqual(call.took(), before + (mode === "await" ? cleaned : limit))
          // A total that passes while the attempt's end is awaited is what the caller hears of.
          const heard = mode === "await" ? Math.max(attempt, cleaned) : attempt
          if (heard !== total - before) {
            assert.strictEqual(call.reason()?.scope, heard < total - before ? "attempt" : "total")
          }
          // What was already cleaning up is not interrupted in its body.
          assert.strictEqual(log.includes("interrupted"), takes > limit)
        }
      }),
    { arbitrary: { runs: 400 } }
  )
})

describe("Timeout.settings", () => {
  it.effect("are the same from code, JSON and configuration, with the same defaults", () =>
    Effect.gen(function* () {
      const code = Timeout.settings({ attempt: 250, total: "2 minutes", mode: "await" })
      const json = { attempt: "250 millis", total: "2 minutes", mode: "await" }
      assert.isTrue(Equal.equals(yield* Schema.decodeUnknownEffect(Timeout.Settings)(json), code))
      const config = yield* Config.schema(Timeout.Settings, "timeout").parse(
        ConfigProvider.fromUnknown({ timeout: json })
      )
      assert.isTrue(Equal.equals(config, code))
      const defaults = Timeout.settings()
      assert.isTrue(Equal.equals(yield* Schema.decodeUnknownEffect(Timeout.Settings)({}), defaults))
      assert.deepStrictEqual(
        [defaults.attempt, defaults.total, defaults.mode],
        [Duration.seconds(10), Duration.seconds(30), "detach"]
      )
    })
  )

  for (const field of ["attempt", "total"] as const) {
    for (const value of [0, -1, NaN, Infinity, 0.5, "25 hours", "soon"]) {
      it(`refuse ${field} ${value}`, () => {
        try {
          Timeout.settings({ [field]: value })
        } catch (error) {
          assert.instanceOf(error, Settings.InvalidSettings)
          const [finding] = error.findings
          assert.strictEqual(finding?.path, field)
          assert.deepStrictEqual(finding?.value, value)
          assert.match(finding!.rule, /duration/)
          return
        }
        assert.fail("accepted")
      })
    }
  }
})
