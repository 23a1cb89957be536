import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { CircuitOpen, ResilienceError, ResilienceEvent, Tiered, Timeout } from "breakwater"

const { make, makeWith, tier } = Tiered

const rejection = new ResilienceError({
  operation: "target",
  reason: new CircuitOpen({ retryAfter: Duration.seconds(1) })
})

class Down extends Error {
  readonly _tag = "Down"
}

/** A tier's effect that counts its runs. */
const counted = <A, E>(self: Effect.Effect<A, E>) => {
  const state = { runs: 0 }
  return {
    state,
    effect: Effect.suspend(() => {
      state.runs++
      return self
    })
  }
}

const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined

describe("tiers", () => {
  it.effect("answer from the first, and run no other", () =>
    Effect.gen(function* () {
      const lower = counted(Effect.succeed(2))
      const served = yield* make(tier("full", Effect.succeed(1)), tier("canned", lower.effect))
      assert.deepStrictEqual(served, { value: 1, tier: "full", reason: undefined })
      assert.strictEqual(lower.state.runs, 0)
    })
  )

  it.effect("are tried in order, once each, with the error of the one before", () =>
    Effect.gen(function* () {
      const first = counted(Effect.fail(new Down()))
      const last = counted(Effect.succeed("canned"))
      const seen: Array<unknown> = []
      const served = yield* make(
        tier("full", first.effect),
        tier("smaller", (error) => {
          seen.push(error._tag)
          return Effect.fail(rejection)
        }),
        tier("cached", (error) => {
          seen.push(error.reason._tag)
          return Effect.fail("miss")
        }),
        tier("canned", (error) => {
          seen.push(error)
          return last.effect
        })
      )
      assert.deepStrictEqual(served, { value: "canned", tier: "canned", reason: "string" })
      assert.deepStrictEqual(seen, ["Down", "CircuitOpen", "miss"])
      assert.deepStrictEqual([first.state.runs, last.state.runs], [1, 1])
    })
  )

  it.effect("name the error that led to a lower one, or the reason of our rejection", () =>
    Effect.gen(function* () {
      const canned = tier("canned", Effect.succeed(0))
      assert.strictEqual((yield* make(tier("full", Effect.fail(new Down())), canned)).reason, "Down")
      assert.strictEqual((yield* make(tier("full", Effect.fail(rejection)), canned)).reason, "CircuitOpen")
      assert.strictEqual((yield* make(tier("full", Effect.fail(new TypeError("secret"))), canned)).reason, "TypeError")
    })
  )

  it.effect("end with the last one's error, by reference, when none can answer", () =>
    Effect.gen(function* () {
      const error = new Down()
      const exit = yield* Effect.exit(make(tier("full", Effect.fail("first")), tier("canned", Effect.fail(error))))
      assert.strictEqual(errorOf(exit), error)
    })
  )

  it.effect("answer the failures that `on` names", () =>
    Effect.gen(function* () {
      const answered = {
        failures: [true, true, false],
        rejections: [false, true, false],
        all: [true, true, true]
      } as const
      const failures: ReadonlyArray<Effect.Effect<never, unknown>> = [
        Effect.fail("down"),
        Effect.fail(rejection),
        Effect.die("broken")
      ]
      for (const on of ["failures", "rejections", "all"] as const) {
        for (const [n, failure] of failures.entries()) {
          const lower = counted(Effect.succeed(1))
          const exit = yield* Effect.exit(make(tier("full", failure, { on }), tier("canned", lower.effect)))
          assert.strictEqual(Exit.isSuccess(exit), answered[on][n], `${on}, ${n}`)
          assert.strictEqual(lower.state.runs, answered[on][n] ? 1 : 0)
        }
      }
    })
  )

  it.effect("take a function that throws for a defect of its tier", () =>
    Effect.gen(function* () {
      const broken = new Error("broken")
      const throws = (): Effect.Effect<number> => {
        throw broken
      }
      const full = tier("full", Effect.fail("down"))
      const exit = yield* Effect.exit(make(full, tier("smaller", throws), tier("canned", Effect.succeed(1))))
      assert.strictEqual(errorOf(exit), broken)
      const served = yield* make(full, tier("smaller", throws, { on: "all" }), tier("canned", Effect.succeed(1)))
      assert.deepStrictEqual(served, { value: 1, tier: "canned", reason: "Error" })
    })
  )

  it.effect("never answer an interruption", () =>
    Effect.gen(function* () {
      const started = yield* Deferred.make<void>()
      const lower = counted(Effect.succeed(1))
      const fiber = yield* Effect.forkChild(
        make(
          tier("full", Effect.andThen(Deferred.succeed(started, undefined), Effect.never), { on: "all" }),
          tier("canned", lower.effect)
        )
      )
      yield* Deferred.await(started)
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      const inside = yield* Effect.exit(
        make(tier("full", Effect.interrupt, { on: "all" }), tier("canned", lower.effect))
      )
      assert.isTrue(Exit.isFailure(inside) && Cause.hasInterruptsOnly(inside.cause))
      assert.strictEqual(lower.state.runs, 0)
    })
  )

  it.effect("may run many times, each for itself", () =>
    Effect.gen(function* () {
      let runs = 0
      const flaky = Effect.suspend(() => (++runs % 2 === 1 ? Effect.fail("odd") : Effect.succeed("even")))
      const answer = make(
        tier("full", flaky, { when: Effect.sync(() => runs !== 2) }),
        tier("canned", Effect.succeed("c"))
      )
      assert.strictEqual((yield* answer).reason, "string")
      assert.strictEqual((yield* answer).tier, "full")
      assert.strictEqual((yield* answer).reason, "TierSkipped")
    })
  )

  it.effect("forget from one run to the next that one was skipped", () =>
    Effect.gen(function* () {
      let isTried = false
      const defect = new Error("bug")
      const answer = make(
        tier("full", Effect.die(defect), { when: Effect.sync(() => isTried) }),
        tier("canned", Effect.succeed("c"))
      )
      assert.strictEqual((yield* answer).reason, "TierSkipped")
      isTried = true
      assert.strictEqual(errorOf(yield* Effect.exit(answer)), defect)
    })
  )
})

describe("a tier that is not chosen", () => {
  it.effect("does not run, and the next one knows", () =>
    Effect.gen(function* () {
      const full = counted(Effect.fail("down"))
      const served = yield* make(
        tier("full", full.effect, { when: Effect.succeed(false), on: "rejections" }),
        tier("canned", (error) => Effect.succeed(error))
      )
      assert.strictEqual(full.state.runs, 0)
      assert.deepStrictEqual(served, {
        value: new Tiered.TierSkipped({ tier: "full" }),
        tier: "canned",
        reason: "TierSkipped"
      })
    })
  )

  it.effect("leaves the reason to the error before it", () =>
    Effect.gen(function* () {
      const served = yield* make(
        tier("full", Effect.fail(rejection)),
        tier("smaller", Effect.succeed(1), { when: Effect.succeed(false) }),
        tier("canned", Effect.succeed(2))
      )
      assert.deepStrictEqual(served, { value: 2, tier: "canned", reason: "CircuitOpen" })
    })
  )

  it.effect("may be one for which too little time is left", () =>
    Effect.gen(function* () {
      const answer = make(
        tier("full", Effect.succeed(1), { when: Tiered.hasTime("2 seconds") }),
        tier("canned", Effect.succeed(2))
      )
      const after = (pause: Duration.Input) => Effect.andThen(Effect.sleep(pause), answer)
      assert.strictEqual((yield* answer).tier, "full", "no deadline")
      const early = yield* Effect.forkChild(Timeout.total(after("1 second"), "3 seconds"), { startImmediately: true })
      const late = yield* Effect.forkChild(Timeout.total(after("1001 millis"), "3 seconds"), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(early)).tier, "full")
      assert.strictEqual((yield* Fiber.join(late)).tier, "canned")
    })
  )
})

describe("the fall to a lower tier", () => {
  const eventsOf = <A, E>(self: Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const events = yield* ResilienceEvent.ResilienceEvents
      const seen: Array<ResilienceEvent.ResilienceEvent> = []
      const listener = yield* ResilienceEvent.stream(events).pipe(
        Stream.runForEach((event) => Effect.sync(() => seen.push(event))),
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.exit(self)
      yield* Effect.yieldNow
      yield* Fiber.interrupt(listener)
      return seen.map((event) => ({ ...event, at: undefined }))
    }).pipe(Effect.provide(ResilienceEvent.layer))

  const named = makeWith({ operation: "target", key: "tenant" })
  const event = { at: undefined, operation: "target", key: "tenant" }

  it.effect("is an event with its tier", () =>
    Effect.gen(function* () {
      const served = named(
        tier("full", Effect.fail(rejection)),
        tier("smaller", Effect.fail(new Down())),
        tier("canned", Effect.succeed(1))
      )
      assert.deepStrictEqual(yield* eventsOf(served), [
        { ...event, _tag: "FallbackServed", error: "Down", tier: "canned" }
      ])
    })
  )

  it.effect("is another event when nothing is below", () =>
    Effect.gen(function* () {
      const failed = named(tier("full", Effect.fail(rejection)), tier("canned", Effect.fail(new Down())))
      assert.deepStrictEqual(yield* eventsOf(failed), [
        { ...event, _tag: "FallbackFailed", error: "Down", tier: "canned" }
      ])
    })
  )

  it.effect("is no event without one, without an operation, or when the caller leaves", () =>
    Effect.gen(function* () {
      const canned = tier("canned", Effect.succeed(1))
      assert.deepStrictEqual(yield* eventsOf(named(tier("full", Effect.succeed(1)), canned)), [])
      assert.deepStrictEqual(yield* eventsOf(named(tier("full", Effect.die("broken")), canned)), [])
      assert.deepStrictEqual(yield* eventsOf(make(tier("full", Effect.fail("down")), canned)), [])
      const left = named(tier("full", Effect.fail("down")), tier("canned", Effect.interrupt))
      assert.deepStrictEqual(yield* eventsOf(left), [])
    })
  )
})
