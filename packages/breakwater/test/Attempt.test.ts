import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Scheduler } from "effect"
import { TestClock } from "effect/testing"
import * as Attempt from "../src/Attempt.ts"
import * as Step from "../src/Step.ts"
import * as Timeout from "../src/Timeout.ts"

/** Begins, and keeps what it is told. */
const witness = () => {
  const seen: Array<string> = []
  let begun = 0
  const begin = (): Attempt.Ended<unknown, unknown> => {
    begun++
    return (exit) => {
      seen.push(
        Exit.isSuccess(exit)
          ? `success ${String(exit.value)}`
          : Cause.hasInterruptsOnly(exit.cause)
            ? "interrupted"
            : "failure"
      )
    }
  }
  return { begin, seen, begun: () => begun }
}

const around = {
  "a frame": <A, E>(self: Effect.Effect<A, E>, begin: Attempt.Begin<A, E, never>) => Attempt.watch(self, begin),
  "a timeout": <A, E>(self: Effect.Effect<A, E>, begin: Attempt.Begin<A, unknown, never>) =>
    Timeout.run<A, unknown, never>(self, 60_000, {}, undefined, begin)
}

describe.each(Object.entries(around))("an attempt that %s watches", (_name, watch) => {
  it.effect("begins with each run, and its end is told once", () =>
    Effect.gen(function* () {
      const { begin, begun, seen } = witness()
      const paused = watch(Effect.as(Effect.yieldNow, 2), begin)
      assert.strictEqual(yield* watch(Effect.succeed(1), begin), 1)
      assert.strictEqual(yield* paused, 2)
      assert.strictEqual(yield* paused, 2)
      assert.deepStrictEqual(yield* Effect.exit(watch(Effect.fail("no"), begin)), Exit.fail("no"))
      assert.strictEqual(begun(), 4)
      assert.deepStrictEqual(seen, ["success 1", "success 2", "success 2", "failure"])
    })
  )

  it.effect("does not run what has not begun", () =>
    Effect.gen(function* () {
      let runs = 0
      const work = Effect.sync(() => runs++)
      assert.strictEqual(yield* Effect.flip(watch(work, () => Effect.fail("refused"))), "refused")
      assert.strictEqual(runs, 0)
    })
  )

  it.effect("dies with what whoever is told throws, and keeps the failure", () =>
    Effect.gen(function* () {
      const thrown = new Error("told")
      const begin = () => () => {
        throw thrown
      }
      const late = Effect.andThen(Effect.yieldNow, Effect.fail("no"))
      const both = yield* Effect.exit(Effect.ensuring(Effect.fail("no"), Effect.die(thrown)))
      assert.deepStrictEqual(yield* Effect.exit(watch(Effect.succeed(1), begin)), Exit.die(thrown))
      assert.deepStrictEqual(yield* Effect.exit(watch(Effect.fail("no"), begin)), both)
      assert.deepStrictEqual(yield* Effect.exit(watch(late, begin)), both)
    })
  )

  it.effect("ends if it has begun, wherever an interruption falls", () =>
    Effect.gen(function* () {
      const ends = new Set<string>()
      for (let turns = 0; turns < 40; turns++) {
        const { begin, begun, seen } = witness()
        const work = watch(
          Effect.forEach([1, 2, 3, 4, 5], () => Effect.yieldNow, { discard: true }),
          begin
        )
        const fiber = yield* Effect.forkChild(Effect.provideService(work, Scheduler.MaxOpsBeforeYield, 3))
        for (let turn = 0; turn < turns; turn++) yield* Effect.yieldNow
        yield* Fiber.interrupt(fiber)
        assert.strictEqual(seen.length, begun())
        ends.add(seen[0] ?? "never begun")
      }
      assert.sameMembers([...ends], ["never begun", "interrupted", "success undefined"])
    })
  )
})

describe("a timeout that tells of the end", () => {
  it.effect("tells of an interruption once the work has cleaned up, although its time was over", () =>
    Effect.gen(function* () {
      const { begin, seen } = witness()
      const work = Effect.onInterrupt(Effect.never, () => Effect.sleep("1 second"))
      const fiber = yield* Effect.forkChild(Timeout.run(work, 100, { mode: "await" }, undefined, begin))
      yield* TestClock.adjust("500 millis")
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* TestClock.adjust("500 millis")
      assert.isEmpty(seen)
      yield* TestClock.adjust("100 millis")
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(seen, ["interrupted"])
    })
  )
})

describe("a step into an effect", () => {
  it.effect("does what the fiber would do", () =>
    Effect.gen(function* () {
      const into = <A, E>(self: Effect.Effect<A, E>) => Effect.withFiber((fiber) => Step.into(self, fiber))
      assert.strictEqual(yield* into(Effect.succeed(1)), 1)
      assert.strictEqual(yield* into(Effect.suspend(() => Effect.succeed(2))), 2)
      assert.strictEqual(yield* Effect.flip(into(Effect.fail("no"))), "no")
      assert.strictEqual(yield* into(Effect.catchCause(Effect.fail("no"), () => Effect.succeed(3))), 3)
      assert.strictEqual(
        yield* into(Effect.callback<number>((resume) => queueMicrotask(() => resume(Effect.succeed(4))))),
        4
      )
      const dies = into(
        Effect.sync(() => {
          throw new Error("thrown")
        })
      )
      assert.deepStrictEqual(yield* Effect.exit(dies), Exit.die(new Error("thrown")))
    })
  )
})
