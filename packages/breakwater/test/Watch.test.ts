import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Cause, Deferred, Effect, Exit, Fiber, Schema } from "effect"
import * as Watch from "../src/Watch.ts"

/** What the caller gets, and what the watcher was told. */
const outcome = <A, E>(watcher: Watch.Watcher, self: Effect.Effect<A, E>) =>
  Effect.gen(function* () {
    const told: Array<string> = []
    const exit = yield* Effect.exit(
      watcher(self, (exit) => {
        told.push(String(exit))
        return undefined
      })
    )
    return { exit: String(exit), told }
  })

const ends: { readonly [name: string]: Effect.Effect<number, string> } = {
  success: Effect.succeed(1),
  "success after a pause": Effect.as(Effect.yieldNow, 1),
  failure: Effect.fail("down"),
  "failure after a pause": Effect.andThen(Effect.yieldNow, Effect.fail("down")),
  defect: Effect.die("bug"),
  throw: Effect.sync(() => {
    throw "bug"
  }),
  interruption: Effect.interrupt,
  "interruption of another": Effect.flatMap(Effect.forkChild(Effect.never), (fiber) =>
    Effect.andThen(Fiber.interrupt(fiber), Fiber.join(fiber))
  ),
  "interruption of its own fiber": Effect.withFiber((fiber) => {
    fiber.interruptUnsafe()
    return Effect.succeed(1)
  }),
  "interruption of its own fiber, uninterruptibly": Effect.uninterruptible(
    Effect.withFiber((fiber) => {
      fiber.interruptUnsafe()
      return Effect.fail("down")
    })
  )
}

describe("Watch.end", () => {
  it("is not the watcher with the mask", () => {
    assert.notStrictEqual(Watch.end, Effect.onExitPrimitive)
  })

  for (const [name, self] of Object.entries(ends)) {
    it(`tells of ${name} as Effect does`, async () => {
      for (const around of [
        Effect.exit,
        (self: Effect.Effect<number, string>) => Effect.exit(Effect.uninterruptible(self))
      ]) {
        const run = (watcher: Watch.Watcher) =>
          Effect.runPromiseExit(
            outcome(
              watcher,
              Effect.flatMap(around(self), (exit) => exit)
            )
          ).then((exit) =>
            // Fibers have numbers.
            String(exit).replaceAll(/\d+/g, "n")
          )
        assert.strictEqual(await run(Watch.end), await run(Effect.onExitPrimitive))
      }
    })
  }

  it("is told once of an interruption that comes while the effect waits", async () => {
    const told: Array<Exit.Exit<never>> = []
    await Effect.runPromise(
      Effect.gen(function* () {
        const started = yield* Deferred.make<void>()
        const fiber = yield* Effect.forkChild(
          Watch.end(Effect.andThen(Deferred.succeed(started, undefined), Effect.never), (exit) => {
            told.push(exit)
            return undefined
          })
        )
        yield* Deferred.await(started)
        yield* Fiber.interrupt(fiber)
      })
    )
    assert.strictEqual(told.length, 1)
    assert.isTrue(Exit.isFailure(told[0]!) && Cause.hasInterruptsOnly(told[0].cause))
  })

  it("lets an interruption by the watcher itself come after it", async () => {
    const steps: Array<string> = []
    const self = Watch.end(Effect.succeed(1), () => {
      Fiber.getCurrent()!.interruptUnsafe()
      steps.push("told")
      return undefined
    }).pipe(
      Effect.onInterrupt(() => Effect.sync(() => steps.push("interrupted"))),
      Effect.andThen(Effect.sync(() => steps.push("went on")))
    )
    assert.isTrue(Exit.isFailure(await Effect.runPromiseExit(self)))
    assert.deepStrictEqual(steps, ["told", "interrupted"])
  })

  it("leaves the fiber interruptible, or not, as it was", async () => {
    const mask = (self: Effect.Effect<unknown>) =>
      self.pipe(
        Effect.andThen(
          Effect.withFiber((fiber) => Effect.succeed((fiber as { interruptible?: boolean }).interruptible))
        )
      )
    const self = Watch.end(Effect.yieldNow, () => undefined)
    assert.isTrue(await Effect.runPromise(mask(self)))
    assert.isFalse(await Effect.runPromise(Effect.uninterruptible(mask(self))))
  })

  it("dies with what the watcher throws", async () => {
    const exit = await Effect.runPromiseExit(
      Watch.end(Effect.succeed(1), () => {
        throw "bug"
      })
    )
    assert.deepStrictEqual(exit, Exit.die("bug"))
  })
})

/** How effects are put together in the property below. */
const kinds = [
  "succeed",
  "fail",
  "die",
  "yield",
  "interruptSelf",
  "interruptByAnother",
  "uninterruptible",
  "restored",
  "inTurn",
  "caught",
  "cleanedUp",
  "watched",
  "watchedByThrower",
  "watchedByInterrupter"
] as const

/** Builds an effect by a list of choices, with notes of all that is told. */
const build = (watcher: Watch.Watcher, choices: ReadonlyArray<number>) => {
  const notes: Array<string> = []
  let next = 0
  let named = 0
  const note = (what: string): void => void notes.push(what)
  const watched = (self: Effect.Effect<number, string>, last: () => void) => {
    const name = named++
    return watcher(self, (exit) => {
      note(`${name}: ${String(exit)}`)
      last()
      return undefined
    })
  }
  const make = (depth: number): Effect.Effect<number, string> => {
    const choice = choices[next++ % choices.length]!
    switch (depth > 6 ? kinds[choice % 5]! : kinds[choice % kinds.length]!) {
      case "succeed":
        return Effect.succeed(choice)
      case "fail":
        return Effect.fail("down")
      case "die":
        return Effect.die("bug")
      case "yield":
        return Effect.as(Effect.yieldNow, choice)
      case "interruptSelf":
        return Effect.withFiber((fiber) => {
          fiber.interruptUnsafe()
          return Effect.succeed(choice)
        })
      case "interruptByAnother":
        return Effect.withFiber((fiber) =>
          Effect.andThen(Effect.forkChild(Effect.sync(() => fiber.interruptUnsafe())), make(depth + 1))
        )
      case "uninterruptible":
        return Effect.uninterruptible(make(depth + 1))
      case "restored":
        return Effect.uninterruptibleMask((restore) => Effect.andThen(restore(make(depth + 1)), make(depth + 1)))
      case "inTurn":
        return Effect.andThen(make(depth + 1), make(depth + 1))
      case "caught":
        return Effect.catchCause(make(depth + 1), (cause) => {
          note(`caught ${String(cause)}`)
          return Effect.succeed(choice)
        })
      case "cleanedUp":
        return Effect.ensuring(
          make(depth + 1),
          Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => note("cleaned up"))
          )
        )
      case "watched":
        return watched(make(depth + 1), () => {})
      case "watchedByThrower":
        return watched(make(depth + 1), () => {
          throw "bug of the watcher"
        })
      case "watchedByInterrupter":
        return watched(make(depth + 1), () => Fiber.getCurrent()!.interruptUnsafe())
    }
  }
  const whole = watcher(make(0), (exit) => {
    note(`whole: ${String(exit)}`)
    return undefined
  })
  return { notes, effect: whole }
}

/** Runs it, and interrupts it after so many pauses. */
const run = (watcher: Watch.Watcher, choices: ReadonlyArray<number>, pauses: number) => {
  const { effect, notes } = build(watcher, choices)
  return Effect.gen(function* () {
    const fiber = yield* Effect.forkDetach(effect)
    for (let pause = 0; pause < pauses; pause++) yield* Effect.yieldNow
    if (pauses > 0) fiber.interruptUnsafe()
    notes.push(`end: ${String(yield* Fiber.await(fiber))}`)
    // Fibers have numbers.
    return notes.map((text) => text.replaceAll(/\d+(?=\))/g, "n"))
  })
}

describe("Watch.end, whatever it stands in and around,", () => {
  it.effect.prop(
    "tells what Effect's own watcher tells, in the same order",
    {
      choices: Arbitrary.array(Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 }))), {
        minLength: 1,
        maxLength: 40
      }),
      pauses: Arbitrary.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4 })))
    },
    ({ choices, pauses }) =>
      Effect.gen(function* () {
        const expected = yield* run(Effect.onExitPrimitive, choices, pauses)
        assert.deepStrictEqual(yield* run(Watch.end, choices, pauses), expected)
        assert.strictEqual(expected.filter((text) => text.startsWith("whole: ")).length, 1)
      }),
    { arbitrary: { runs: 3_000 } }
  )
})

describe("Watch.unmasked", () => {
  /** A watcher of another Effect. */
  const watcherWith = (mask: string, laid: Array<unknown>): Watch.Watcher => {
    const prototype = { [mask]: (fiber: unknown) => laid.push(fiber), "effect/failureCont": () => {} }
    return ((self: unknown, ended: unknown) => Object.assign(Object.create(prototype), { self, ended })) as never
  }
  const laysFor = (watcher: Watch.Watcher, fiber: object): void => {
    const watched = watcher(Effect.void, () => undefined) as unknown as { "effect/ensureCont": (fiber: object) => void }
    watched["effect/ensureCont"](fiber)
  }

  it("lays the mask for fibers that are interrupted, and for those that do not say", () => {
    const laid: Array<unknown> = []
    const watcher = Watch.unmasked(watcherWith("effect/ensureCont", laid))
    const [well, silent, interrupted] = [{ _interruptedCause: undefined }, {}, { _interruptedCause: "cause" }]
    for (const fiber of [well, silent, interrupted]) laysFor(watcher, fiber)
    assert.deepStrictEqual(laid, [silent, interrupted])
  })

  it("is the watcher itself if its parts are not found", () => {
    const other = watcherWith("effect/other", [])
    assert.strictEqual(Watch.unmasked(other), other)
    const hidden: Watch.Watcher = (self, ended) =>
      Effect.onExitPrimitive(
        Effect.suspend(() => self),
        (exit) => ended(exit)
      )
    assert.strictEqual(Watch.unmasked(hidden), hidden)
  })
})
