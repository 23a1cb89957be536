import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber } from "effect"
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

describe("Watch.unmasked", () => {
  /** A watcher of another Effect. */
  const watcherWith = (mask: string, laid: Array<unknown>): Watch.Watcher => {
    const prototype = { [mask]: (fiber: unknown) => laid.push(fiber) }
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
