import { Effect } from "effect"
import { Timeout } from "breakwater"
import { type Case, turn } from "./Interleavings.ts"

/** Work that takes its time, and how often it began and was cleaned up. */
const watched = (millis: number, cleanup: Effect.Effect<void> = Effect.void) => {
  let [begun, cleaned] = [0, 0]
  const begin = Effect.suspend(() => {
    begun++
    return Effect.as(Effect.sleep(millis), "done")
  })
  const end = Effect.andThen(
    cleanup,
    Effect.sync(() => void cleaned++)
  )
  return {
    work: Effect.onExit(begin, () => (begun > 0 ? end : Effect.void)),
    cleaned: () => `${cleaned} of ${begun} cleaned up`
  }
}

export const timeoutCases: ReadonlyArray<Case> = [
  {
    name: "work that ends at its very limit has one end, and is cleaned up once",
    open: () => {
      const { cleaned, work } = watched(1_000)
      return { actors: { a: Timeout.attempt(work, "1 second"), other: Effect.sleep("1 second") }, after: cleaned }
    },
    outcomes: ["a: TimeoutExceeded, other: done, 1 of 1 cleaned up", "a: done, other: done, 1 of 1 cleaned up"]
  },
  {
    name: "a caller that is interrupted at its limit has one end, and its work is cleaned up once",
    open: (theatre) => {
      const { cleaned, work } = watched(2_000)
      const operator = Effect.andThen(Effect.sleep("1 second"), theatre.interrupt("a"))
      return { actors: { a: Timeout.attempt(work, "1 second"), operator }, after: cleaned }
    },
    outcomes: [
      "a: TimeoutExceeded and interrupted, operator: done, 1 of 1 cleaned up",
      "a: TimeoutExceeded, operator: done, 1 of 1 cleaned up",
      "a: interrupted, operator: done, 1 of 1 cleaned up"
    ]
  },
  {
    name: "a caller is released at its limit while its work cleans up, and work is cleaned up once",
    preemptions: 3,
    open: (theatre) => {
      const { cleaned, work } = watched(2_000, turn(2))
      const a = Effect.catch(Timeout.attempt(work, "1 second"), () => Effect.sync(() => `released, ${cleaned()}`))
      return { actors: { a, clock: theatre.pass(1_000) }, after: cleaned }
    },
    outcomes: [
      "a: done, clock: done, 1 of 1 cleaned up",
      "a: released, 0 of 0 cleaned up, clock: done, 0 of 0 cleaned up",
      "a: released, 0 of 1 cleaned up, clock: done, 1 of 1 cleaned up",
      "a: released, 1 of 1 cleaned up, clock: done, 1 of 1 cleaned up"
    ]
  },
  {
    name: "a caller that waits for its work to be cleaned up is released after it",
    preemptions: 3,
    open: (theatre) => {
      const { cleaned, work } = watched(2_000, turn(2))
      const a = Effect.catch(Timeout.attempt(work, "1 second", { mode: "await" }), () =>
        Effect.sync(() => `released, ${cleaned()}`)
      )
      return { actors: { a, clock: theatre.pass(1_000) }, after: cleaned }
    },
    outcomes: [
      "a: done, clock: done, 1 of 1 cleaned up",
      "a: released, 0 of 0 cleaned up, clock: done, 0 of 0 cleaned up",
      "a: released, 1 of 1 cleaned up, clock: done, 1 of 1 cleaned up"
    ]
  },
  {
    name: "of two limits at one instant the total ends the call",
    open: () => {
      const { cleaned, work } = watched(2_000)
      const limited = Timeout.total(Timeout.attempt(work, "1 second"), "1 second")
      const scoped = Effect.catch(limited, (error) =>
        Effect.succeed(error.reason._tag === "TimeoutExceeded" ? error.reason.scope : error.reason._tag)
      )
      return { actors: { a: scoped, other: Effect.sleep("1 second") }, after: cleaned }
    },
    outcomes: ["a: total, other: done, 1 of 1 cleaned up"]
  }
]
