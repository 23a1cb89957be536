import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { Async, CircuitBreaker } from "breakwater"

// An observer of `Async.protect` was told nothing, and the end of a call was dated at its beginning.
it.effect("an observer is told of calls that run in no fiber, and their ends have their own time", () =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make({
      operation: "target",
      settings: { failureThreshold: 1, openDuration: "10 seconds" }
    })
    const told: Array<string> = []
    const observer = {
      onArrived: () => void told.push("arrived"),
      onAdmitted: () => void told.push("admitted"),
      onSettled: (millis: number) => void told.push(`settled after ${millis} ms`)
    }
    const { promise, reject } = Promise.withResolvers<never>()
    const call = Async.protect(breaker, { observer }, () => promise)
    const ended = call().catch((error: unknown) => error)
    yield* TestClock.adjust("4 seconds")
    reject("down")
    assert.strictEqual(yield* Effect.promise(() => ended), "down")
    yield* TestClock.adjust("9 seconds")
    const { state } = yield* Effect.flatMap(breaker.circuit(), CircuitBreaker.snapshot)
    assert.strictEqual(state, "open")
    yield* Effect.promise(() => call().catch(() => "refused"))
    assert.deepStrictEqual(told, ["arrived", "admitted", "settled after 4000 ms", "arrived"])
  })
)
