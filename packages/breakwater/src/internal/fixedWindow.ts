/**
 * Counts in windows that follow one another from the first admitted call of
 * the key on.
 *
 * Bound: `limit` units in each of these windows, so at most twice as many in a
 * span of the same length that lies across two of them.
 */
import { type Algorithm, slack } from "./rateAlgorithm.ts"

/** @internal */
export interface Counted {
  /** When the window started; `-Infinity`: none has. */
  readonly start: number
  readonly count: number
}

const at = (state: Counted, window: number, now: number): Counted => {
  const passed = Math.floor((now - state.start + slack) / window)
  if (passed <= 0) return state
  return { start: state.start === -Infinity ? now : state.start + passed * window, count: 0 }
}

/** @internal */
export const fixedWindow: Algorithm<Counted> = {
  empty: { start: -Infinity, count: 0 },
  refills: false,
  wait: ({ limit, window }, state, now, cost) => {
    const { count, start } = at(state, window, now)
    return count + cost <= limit ? 0 : start + window - now
  },
  take: ({ window }, state, now, cost) => {
    const { count, start } = at(state, window, now)
    return { start, count: count + cost }
  },
  give: ({ window }, state, now, takenAt, cost) => {
    const { count, start } = at(state, window, now)
    return { start, count: takenAt < start - slack ? count : Math.max(count - cost, 0) }
  },
  used: ({ window }, state, now) => at(state, window, now).count,
  drain: (_rate, state) => state
}
