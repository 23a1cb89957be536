/**
 * Lets a burst through, then a steady pace, and never more than so many calls
 * in any window. Pure; times are monotonic milliseconds.
 *
 *   admitted at t  ⇔  burst: the pace is at most `burst − 1` calls ahead of t
 *                  ∧  each window: fewer than `limit` calls in (t − length, t]
 *
 * The pace is a virtual schedule: `due` is when the next call would be due if
 * none came early (GCRA). Calls that are refused leave no trace.
 */

/** @internal */
export interface Settings {
  /** Calls at once. */
  readonly burst: number
  /** Milliseconds between calls after that. */
  readonly interval: number
  /** Calls in any stretch of `length` milliseconds, shortest first. */
  readonly windows: ReadonlyArray<{ readonly length: number; readonly limit: number }>
}

/** @internal */
export interface State {
  readonly due: number
  /** When the calls of the longest window were admitted, oldest first. */
  readonly times: ReadonlyArray<number>
}

/** @internal */
export const empty: State = { due: -Infinity, times: [] }

/** Milliseconds to wait, exactly: 0 if a call is admitted now. @internal */
export const wait = (settings: Settings, state: State, now: number): number =>
  settings.windows.reduce(
    (wait, { length, limit }) => {
      const first = state.times[state.times.length - limit]
      return first === undefined ? wait : Math.max(wait, first + length - now)
    },
    Math.max(state.due - now - (settings.burst - 1) * settings.interval, 0)
  )

/** Admits a call, or says how long to wait. @internal */
export const admit = (settings: Settings, state: State, now: number): readonly [wait: number, state: State] => {
  const left = wait(settings, state, now)
  if (left > 0) return [left, state]
  const longest = Math.max(...settings.windows.map(({ length }) => length))
  return [
    0,
    {
      due: Math.max(state.due, now) + settings.interval,
      times: [...state.times.slice(past(state, now - longest)), now]
    }
  ]
}

/** Calls admitted in the last `length` milliseconds. @internal */
export const countWithin = (state: State, length: number, now: number): number =>
  state.times.length - past(state, now - length)

/** Whether nothing of the past matters any more. @internal */
export const isIdle = (settings: Settings, state: State, now: number): boolean =>
  state.due <= now && settings.windows.every(({ length }) => countWithin(state, length, now) === 0)

/** Calls admitted at `until` or before. */
const past = ({ times }: State, until: number): number => {
  let low = 0
  let high = times.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (times[middle]! <= until) low = middle + 1
    else high = middle
  }
  return low
}
