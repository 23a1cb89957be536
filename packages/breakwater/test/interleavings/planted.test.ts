/** Bugs planted on purpose, which the interleavings have to find, and what they say of themselves. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Semaphore } from "effect"
import { type Case, explore, fault, type Scene, turn, Work } from "./Interleavings.ts"

const faultOf = (one: Case): string => fault(one, explore(one)) ?? "nothing is found"

const onePlace = (work: Work): Pick<Scene, "wrong"> => ({
  wrong: () => (work.running > 1 ? `${work.running} run in one place` : undefined)
})

/** Lets one run, and refuses the rest. `between`: what happens between looking and taking. */
const limiter = (between: Effect.Effect<void>) => {
  let isTaken = false
  return <A>(self: Effect.Effect<A, unknown>): Effect.Effect<A, unknown> =>
    Effect.suspend(() => {
      if (isTaken) return Effect.fail("full")
      const holding = Effect.suspend(() => {
        isTaken = true
        return self
      })
      return Effect.andThen(
        between,
        Effect.onExitPrimitive(holding, () => {
          isTaken = false
          return undefined
        })
      )
    })
}

const limited = (between: Effect.Effect<void>, preemptions: number): Case => ({
  name: "a limiter that looks first and takes then",
  preemptions,
  open: () => {
    const work = new Work()
    const call = limiter(between)(work.done())
    return { actors: { a: call, b: call }, ...onePlace(work) }
  },
  outcomes: ["a: done, b: done", "a: done, b: full", "a: full, b: done"]
})

/** Actors of so many steps, and the order in which the steps came. */
const stepping = (actors: ReadonlyArray<number>): Case => ({
  name: "steps",
  preemptions: 0,
  open: () => {
    const order: Array<number> = []
    const stepper = (actor: number, steps: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        order.push(actor)
        return steps === 1 ? Effect.void : Effect.andThen(Effect.yieldNow, stepper(actor, steps - 1))
      })
    return {
      actors: Object.fromEntries(actors.map((steps, actor) => [`actor ${actor}`, stepper(actor, steps)])),
      after: () => order.join("")
    }
  },
  outcomes: []
})

describe("interleavings", { timeout: 60_000 }, () => {
  it("are all there are, each once", () => {
    // 8! / (4! 4!), 6! / (2! 2! 2!) and 16! / (8! 8!)
    for (const [actors, count] of [
      [[4, 4], 70],
      [[2, 2, 2], 90],
      [[8, 8], 12_870]
    ] as const) {
      const { outcomes, schedules } = explore(stepping(actors))
      assert.strictEqual(schedules, count)
      assert.strictEqual(outcomes.size, count)
    }
  })

  it("are the same each time", () => {
    assert.deepStrictEqual(explore(limited(Effect.void, 1)), explore(limited(Effect.void, 1)))
  })

  it("are refused when they are too many to see", () => {
    assert.throws(() => explore(stepping([4, 4, 4])), "more than 20000 schedules")
  })

  it("find a limiter that lets others go first between looking and taking", () => {
    assert.include(faultOf(limited(turn(1), 0)), "2 run in one place")
  })

  it("find a limiter that is wrong only if it is stopped between two operations", () => {
    assert.strictEqual(faultOf(limited(Effect.void, 0)), "nothing is found")
    assert.include(faultOf(limited(Effect.void, 1)), "2 run in one place")
  })

  it("find a place that is lost when its holder is interrupted", () => {
    const found = faultOf({
      name: "a place that is given back by whoever comes to the end",
      open: (theatre) => {
        let free = 1
        const leaking = Effect.suspend(() => {
          free--
          return Effect.andThen(
            turn(1),
            Effect.sync(() => void free++)
          )
        })
        return { actors: { a: leaking, operator: theatre.interrupt("a") }, after: () => `${free} free` }
      },
      outcomes: ["a: done, operator: done, 1 free", "a: interrupted, operator: done, 1 free"]
    })
    assert.include(found, '"a: interrupted, operator: done, 0 free" is not declared')
  })

  it("find a place that is lost between taking it and watching over it", () => {
    const found = faultOf({
      name: "a place that is watched over an operation too late",
      preemptions: 1,
      open: (theatre) => {
        let free = 1
        const late = Effect.andThen(
          Effect.sync(() => void free--),
          Effect.onExitPrimitive(turn(1), () => {
            free++
            return undefined
          })
        )
        return { actors: { a: late, operator: theatre.interrupt("a") }, after: () => `${free} free` }
      },
      outcomes: ["a: done, operator: done, 1 free", "a: interrupted, operator: done, 1 free"]
    })
    assert.include(found, '"a: interrupted, operator: done, 0 free" is not declared')
  })

  it("find two who wait for each other", () => {
    const found = faultOf({
      name: "two locks, taken in two orders",
      open: () => {
        const [one, other] = [Semaphore.makeUnsafe(1), Semaphore.makeUnsafe(1)]
        const both = (first: Semaphore.Semaphore, second: Semaphore.Semaphore) =>
          first.withPermits(1)(Effect.andThen(turn(1), second.withPermits(1)(Effect.void)))
        return { actors: { a: both(one, other), b: both(other, one) } }
      },
      outcomes: ["a: done, b: done"]
    })
    assert.include(found, "deadlock: a never ends")
  })

  it("find a fiber that is left behind", () => {
    const found = faultOf({
      name: "work that nobody waits for",
      open: () => ({
        actors: { a: Effect.asVoid(Effect.forkDetach(Effect.never, { startImmediately: true })), b: turn(1) }
      }),
      outcomes: ["a: done, b: done"]
    })
    assert.include(found, "a fiber that an actor started never ends")
  })

  it("find a signal that comes before anyone waits for it", () => {
    const found = faultOf({
      name: "a signal that only reaches those who wait",
      open: () => {
        let waiter: Deferred.Deferred<void> | undefined
        const wait = Effect.suspend(() => {
          waiter = Deferred.makeUnsafe<void>()
          return Deferred.await(waiter)
        })
        const signal = Effect.suspend(() =>
          waiter === undefined ? Effect.void : Deferred.succeed(waiter, undefined).pipe(Effect.asVoid)
        )
        return { actors: { a: wait, b: signal } }
      },
      outcomes: ["a: done, b: done"]
    })
    assert.include(found, "deadlock: a never ends")
  })

  it("find a declaration that is too wide", () => {
    const one: Case = {
      name: "two who do the same",
      open: () => ({ actors: { a: turn(1), b: turn(1) } }),
      outcomes: ["a: done, b: done", "a: interrupted, b: done"]
    }
    assert.strictEqual(faultOf(one), '"a: interrupted, b: done" is never seen')
  })

  it("wake those who wake at once in either order", () => {
    const { outcomes } = explore({
      name: "two who wake at once",
      preemptions: 0,
      open: () => {
        const order: Array<string> = []
        const sleeper = (name: string) =>
          Effect.andThen(
            Effect.sleep("1 second"),
            Effect.sync(() => void order.push(name))
          )
        return { actors: { a: sleeper("a"), b: sleeper("b") }, after: () => order.join(" before ") }
      },
      outcomes: []
    })
    assert.deepStrictEqual([...outcomes.keys()].toSorted(), [
      "a: done, b: done, a before b",
      "a: done, b: done, b before a"
    ])
  })
})
