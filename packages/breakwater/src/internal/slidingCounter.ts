/**
 * Two fixed windows, blended: what was counted in the one before weighs as much
 * as the share of it that lies in the last `window` milliseconds.
 *
 *   admitted at t  ⇔  current + previous × share + cost ≤ limit
 *
 * Bound: that blend. It is exact for calls that came evenly; if all calls of
 * the window before came at its very end, a span of a window holds up to twice
 * the limit.
 */
import { type Algorithm, slack } from "./rateAlgorithm.ts"

/** @internal */
export interface Blend {
  /** When the current window started; `-Infinity`: none has. */
  readonly start: number
  readonly current: number
  readonly previous: number
}

const at = (state: Blend, window: number, now: number): Blend => {
  const passed = Math.floor((now - state.start + slack) / window)
  if (passed <= 0) return state
  return {
    start: state.start === -Infinity ? now : state.start + passed * window,
    current: 0,
    previous: passed === 1 ? state.current : 0
  }
}

/** How much of the window before the current one lies in the last `window` milliseconds. */
const shareOf = (start: number, window: number, now: number): number => 1 - Math.max(now - start, 0) / window

/** @internal */
export const slidingCounter: Algorithm<Blend> = {
  empty: { start: -Infinity, current: 0, previous: 0 },
  refills: false,
  wait: ({ limit, window }, state, now, cost) => {
    const { current, previous, start } = at(state, window, now)
    const room = limit - cost
    if (current + previous * shareOf(start, window, now) <= room) return 0
    // When the share of the count before has sunk so far that there is room.
    const due =
      current <= room
        ? start + window * (1 - Math.min((room - current) / previous, 1))
        : start + window * (2 - Math.min(room / current, 1))
    return Math.max(due - now, 0)
  },
  take: ({ window }, state, now, cost) => {
    const { current, previous, start } = at(state, window, now)
    return { start, current: current + cost, previous }
  },
  give: ({ window }, state, now, takenAt, cost) => {
    const { current, previous, start } = at(state, window, now)
    if (takenAt >= start - slack) return { start, current: Math.max(current - cost, 0), previous }
    if (takenAt < start - window - slack) return { start, current, previous }
    return { start, current, previous: Math.max(previous - cost, 0) }
  },
  used: ({ window }, state, now) => {
    const { current, previous, start } = at(state, window, now)
    return previous === 0 ? current : current + previous * shareOf(start, window, now)
  },
  drain: (_rate, state) => state
}
