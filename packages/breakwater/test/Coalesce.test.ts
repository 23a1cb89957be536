import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Coalesce, Deadline, Settings, Timeout } from "breakwater"

/** An effect that notes its runs and how they ended. */
const work = <A, E>(body: Effect.Effect<A, E>) => {
  const ends: Array<Exit.Exit<A, E>["_tag"] | "Interrupt"> = []
  let runs = 0
  const effect = Effect.suspend(() => {
    runs++
    return Effect.onExit(body, (exit) =>
      Effect.sync(() => {
        ends.push(Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause) ? "Interrupt" : exit._tag)
      })
    )
  })
  return {
    effect,
    ends,
    get runs() {
      return runs
    }
  }
}

const fork = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })

const second = Effect.sleep("1 second")

describe("identical calls that are in flight at once", () => {
  it.effect("share one run", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const job = work(Effect.as(second, { answer: 42 }))
      const call = job.effect.pipe(coalesce.join("key"))
      const fibers = [yield* fork(call), yield* fork(call), yield* fork(call)]
      assert.deepInclude(yield* coalesce.snapshot, { inFlight: 1, waiting: 3, led: 1, joined: 2, alone: 0 })
      yield* TestClock.adjust("1 second")
      const [a, b, c] = yield* Fiber.joinAll(fibers)
      assert.strictEqual(job.runs, 1)
      assert.strictEqual(a, b)
      assert.strictEqual(b, c)
      assert.deepInclude(yield* coalesce.snapshot, { inFlight: 0, waiting: 0, led: 1, joined: 2 })
    })
  )

  it.effect("run apart under different keys", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const job = work(second)
      const fibers = [
        yield* fork(job.effect.pipe(coalesce.join("a"))),
        yield* fork(job.effect.pipe(coalesce.join("b")))
      ]
      assert.strictEqual((yield* coalesce.snapshot).inFlight, 2)
      yield* TestClock.adjust("1 second")
      yield* Fiber.joinAll(fibers)
      assert.strictEqual(job.runs, 2)
    })
  )

  it.effect("get the same error, by reference", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const error = new Error("down")
      const call = Effect.andThen(second, Effect.fail(error)).pipe(coalesce.join("key"))
      const fibers = [yield* fork(call), yield* fork(call)]
      yield* TestClock.adjust("1 second")
      for (const fiber of fibers) {
        const exit = yield* Fiber.await(fiber)
        assert.strictEqual(Exit.isFailure(exit) ? Option.getOrNull(Cause.findErrorOption(exit.cause)) : null, error)
      }
    })
  )

  it.effect("get the same defect, by reference", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const defect = new Error("broken")
      const call = Effect.andThen(second, Effect.die(defect)).pipe(coalesce.join("key"))
      const fibers = [yield* fork(call), yield* fork(call)]
      yield* TestClock.adjust("1 second")
      for (const fiber of fibers) {
        const exit = yield* Fiber.await(fiber)
        assert.strictEqual(Exit.isFailure(exit) ? Cause.squash(exit.cause) : null, defect)
      }
    })
  )

  it.effect("get their end in the order in which they came", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const order: Array<number> = []
      const call = (n: number) => second.pipe(coalesce.join("key"), Effect.andThen(Effect.sync(() => order.push(n))))
      for (const n of [1, 2, 3, 4]) yield* fork(call(n))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(order, [1, 2, 3, 4])
    })
  )

  it.effect("start anew after the end, also at once", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const job = work(second)
      const call = job.effect.pipe(coalesce.join("key"))
      // Both call again in the very step in which they are told.
      const fibers = [yield* fork(Effect.andThen(call, call)), yield* fork(Effect.andThen(call, call))]
      yield* TestClock.adjust("1 second")
      assert.strictEqual(job.runs, 2)
      assert.deepInclude(yield* coalesce.snapshot, { inFlight: 1, waiting: 2, led: 2, joined: 2 })
      yield* TestClock.adjust("1 second")
      yield* Fiber.joinAll(fibers)
      assert.strictEqual(job.runs, 2)
    })
  )

  it.effect("need not pause: a run that ends at once is shared with nobody", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const job = work(Effect.succeed(1))
      const call = job.effect.pipe(coalesce.join("key"))
      assert.strictEqual(yield* call, 1)
      assert.strictEqual(yield* call, 1)
      assert.strictEqual(job.runs, 2)
      assert.deepInclude(yield* coalesce.snapshot, { inFlight: 0, waiting: 0, led: 2, joined: 0 })
    })
  )

  it.effect("are joined by what their own run starts outside of itself, before it pauses", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const job = work(second)
      const outside = yield* Effect.context()
      const follow = Effect.sync(() => Effect.runForkWith(outside)(job.effect.pipe(coalesce.join("key"))))
      const leader = Effect.andThen(follow, job.effect)
      const fiber = yield* fork(leader.pipe(coalesce.join("key")))
      assert.deepInclude(yield* coalesce.snapshot, { inFlight: 1, waiting: 2, led: 1, joined: 1 })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.strictEqual(job.runs, 1)
    })
  )
})

describe("a caller that leaves", () => {
  it.effect("leaves the run to those who stay, whoever led it", () =>
    Effect.gen(function* () {
      for (const leaving of [0, 1, 2]) {
        const coalesce = yield* Coalesce.make()
        const job = work(Effect.as(second, "done"))
        const call = job.effect.pipe(coalesce.join("key"))
        const fibers = [yield* fork(call), yield* fork(call), yield* fork(call)]
        yield* TestClock.adjust("500 millis")
        yield* Fiber.interrupt(fibers[leaving]!)
        assert.deepInclude(yield* coalesce.snapshot, { inFlight: 1, waiting: 2 })
        yield* TestClock.adjust("500 millis")
        const exits = yield* Effect.forEach(fibers, Fiber.await)
        assert.deepStrictEqual(
          exits.map((exit) => (Exit.isSuccess(exit) ? exit.value : Cause.hasInterrupts(exit.cause))),
          [0, 1, 2].map((n) => (n === leaving ? true : "done"))
        )
        assert.deepStrictEqual(job.ends, ["Success"])
      }
    })
  )

  it.effect("ends the run if it is the last, and waits until it has cleaned up", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const job = work(Effect.onInterrupt(Effect.sleep("1 hour"), () => second))
      const call = job.effect.pipe(coalesce.join("key"))
      const [leader, follower] = [yield* fork(call), yield* fork(call)]
      yield* Fiber.interrupt(leader)
      assert.deepStrictEqual(job.ends, [])
      const leaving = yield* fork(Fiber.interrupt(follower))
      assert.deepInclude(yield* coalesce.snapshot, { inFlight: 0, waiting: 0 })
      assert.isUndefined(leaving.pollUnsafe())
      yield* TestClock.adjust("1 second")
      assert.isDefined(leaving.pollUnsafe())
      assert.deepStrictEqual(job.ends, ["Interrupt"])
    })
  )

  it.effect("does not pass an ending run on to a new caller", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const ending = Effect.onInterrupt(Effect.sleep("1 hour"), () => second)
      const first = yield* fork(ending.pipe(coalesce.join("key")))
      yield* fork(Fiber.interrupt(first))
      assert.strictEqual(yield* Effect.succeed("new").pipe(coalesce.join("key")), "new")
      // The end of the old run takes nothing from a new one.
      const next = yield* fork(Effect.as(Effect.sleep("2 seconds"), "next").pipe(coalesce.join("key")))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* coalesce.snapshot).inFlight, 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(next), "next")
    })
  )

  it.effect("does not leave while it cannot be interrupted", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const job = work(second)
      const call = job.effect.pipe(coalesce.join("key"))
      const leader = yield* fork(Effect.uninterruptible(call))
      const follower = yield* fork(call)
      yield* fork(Fiber.interrupt(leader))
      yield* Fiber.interrupt(follower)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(job.ends, ["Success"])
    })
  )
})

describe("a shared run", () => {
  it.effect("outlives the total timeout of its leader if a follower has more time", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const job = work(Effect.as(Effect.sleep("3 seconds"), "done"))
      const shared = job.effect.pipe(Timeout.attempt("10 seconds"), coalesce.join("key"))
      const leader = yield* fork(Timeout.total(shared, "1 second"))
      const follower = yield* fork(Timeout.total(shared, "5 seconds"))
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isFailure(yield* Fiber.await(leader)))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* Fiber.join(follower), "done")
      assert.strictEqual(job.runs, 1)
    })
  )

  it.effect("has no deadline but those inside it", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const outer = yield* Deadline.remaining.pipe(coalesce.join("key"), Timeout.total("1 second"))
      assert.isTrue(Option.isNone(outer))
      const inner = yield* Deadline.remaining.pipe(
        Timeout.total("3 seconds"),
        coalesce.join("key"),
        Timeout.total("1 second")
      )
      assert.deepStrictEqual(inner, Option.some(Duration.seconds(3)))
    })
  )

  it.effect("that nobody has time for any more is interrupted", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const job = work(Effect.never)
      const shared = job.effect.pipe(coalesce.join("key"))
      const callers = [yield* fork(Timeout.total(shared, "1 second")), yield* fork(Timeout.total(shared, "2 seconds"))]
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(job.ends, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(job.ends, ["Interrupt"])
      yield* Effect.forEach(callers, Fiber.await)
    })
  )

  it.effect("that joins itself runs by itself", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const inner = Effect.succeed("inner").pipe(coalesce.join("a"))
      const between = inner.pipe(coalesce.join("b"))
      assert.strictEqual(yield* between.pipe(coalesce.join("a")), "inner")
      assert.deepInclude(yield* coalesce.snapshot, { inFlight: 0, led: 2, joined: 0, alone: 1 })
    })
  )

  it.effect("that interrupts itself is over for all", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make()
      const call = Effect.andThen(second, Effect.interrupt).pipe(coalesce.join("key"))
      const fibers = [yield* fork(call), yield* fork(call)]
      yield* TestClock.adjust("1 second")
      for (const fiber of fibers) {
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      }
      assert.strictEqual((yield* coalesce.snapshot).inFlight, 0)
    })
  )
})

describe("the keys in flight", () => {
  it.effect("are bounded: beyond the bound a call runs by itself, and known keys are joined", () =>
    Effect.gen(function* () {
      const coalesce = yield* Coalesce.make({ capacity: 2 })
      const job = work(second)
      const fibers = yield* Effect.forEach(["a", "b", "c", "c", "a"], (key) =>
        fork(job.effect.pipe(coalesce.join(key)))
      )
      assert.deepInclude(yield* coalesce.snapshot, {
        capacity: 2,
        inFlight: 2,
        waiting: 3,
        led: 2,
        joined: 1,
        alone: 2
      })
      yield* TestClock.adjust("1 second")
      yield* Fiber.joinAll(fibers)
      assert.strictEqual(job.runs, 4)
      yield* job.effect.pipe(coalesce.join("c"), fork, Effect.andThen(TestClock.adjust("1 second")))
      assert.deepInclude(yield* coalesce.snapshot, { led: 3, alone: 2 })
    })
  )

  it("have a bound that can be", () => {
    for (const capacity of [0, 1.5, NaN, 1_000_001]) {
      assert.throws(() => Coalesce.make({ capacity }), Settings.InvalidSettings)
    }
  })
})

describe("the layer", () => {
  it.effect("shares runs among all below it", () =>
    Effect.gen(function* () {
      const gate = yield* Deferred.make<string>()
      const call = Effect.flatMap(Coalesce.Coalesce, (coalesce) => Deferred.await(gate).pipe(coalesce.join("key")))
      const fibers = [yield* fork(call), yield* fork(call)]
      assert.deepInclude(yield* (yield* Coalesce.Coalesce).snapshot, { inFlight: 1, waiting: 2 })
      yield* Deferred.succeed(gate, "open")
      assert.deepStrictEqual(yield* Fiber.joinAll(fibers), ["open", "open"])
    }).pipe(Effect.provide(Coalesce.Coalesce.layer()))
  )
})
