/**
 * Gives the event loop its turn. Fibers that work side by side share one
 * breath: what they do between two turns counts together.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Monotonic from "../../Monotonic.ts"

/** Milliseconds between two turns. */
const turnMillis = 2
/** Iterations between two turns, where time stands still or the clock is coarse. */
const turnIterations = 256

/** @internal */
export interface Breath {
  /** Asked after each iteration, with the time in monotonic milliseconds. */
  readonly isDue: (now: number) => boolean
  readonly take: Effect.Effect<void>
}

/** @internal */
export const make = (clock: Clock.Clock, onTurn: () => void): Breath => {
  let startedAt = Monotonic.now(clock)
  let iterations = 0
  let turn = 0
  return {
    isDue: (now) => ++iterations >= turnIterations || now - startedAt >= turnMillis,
    take: Effect.suspend(() => {
      const seen = turn
      return Effect.map(Effect.yieldNow, () => {
        // Of all that yielded in one turn, the first to go on opens the next.
        if (turn !== seen) return
        turn++
        iterations = 0
        onTurn()
        startedAt = Monotonic.now(clock)
      })
    })
  }
}
