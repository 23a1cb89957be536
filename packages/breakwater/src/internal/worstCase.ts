/**
 * What one call can come to at worst. Pure.
 *
 *   wait once ─> [ wait ─> attempt ─> pause ] × attempts, all within `total`
 *
 * An attempt takes from nothing to its limit, a wait from nothing to its bound,
 * a pause what jitter can make of it. So the times at which the n-th attempt can
 * start are one interval, and only its two ends have to be followed. A pause
 * that would reach the end of the call is not slept, and ends it.
 */
import * as backoff from "./backoff.ts"

/** In milliseconds; `Infinity` where there is no limit. @internal */
export interface Settings {
  readonly attempts: number
  /** Between attempts; not needed for one attempt. */
  readonly backoff: backoff.Settings | undefined
  readonly attempt: number
  readonly total: number
  /** Longest wait before the first attempt. */
  readonly waitOnce: number
  /** Longest wait before each attempt. */
  readonly waitEach: number
}

/** @internal */
export interface WorstCase {
  readonly latency: number
  /** The same when the dependency asks for any pause it likes. */
  readonly latencyWithRetryAfter: number
  readonly calls: number
}

/** The longest and shortest pause after each attempt but the last. */
const pauses = ({ attempts, backoff: settings }: Settings): ReadonlyArray<readonly [least: number, most: number]> => {
  const found: Array<readonly [number, number]> = []
  if (settings === undefined) return found
  let previous = 0
  for (let attempt = 1; attempt < attempts; attempt++) {
    const next = (random: number) => backoff.next(settings, { attempt, previous, random, retryAfter: undefined })
    const least = next(0)
    previous = next(1)
    found.push([least, previous])
  }
  return found
}

/** @internal */
export const worstCase = (settings: Settings): WorstCase => {
  const { attempt, total, waitEach, waitOnce } = settings
  const between = pauses(settings)
  let earliest = 0
  let latest = Math.min(waitOnce, total)
  let end = Math.min(latest + waitEach + attempt, total)
  let calls = 1
  for (const [least, most] of between) {
    earliest += least
    if (earliest >= total) break
    calls++
    latest = Math.min(end + most, total)
    end = Math.min(latest + waitEach + attempt, total)
  }
  return { latency: end, latencyWithRetryAfter: calls > 1 ? total : end, calls }
}

/** How many attempts can start if each one takes its whole limit and nothing else takes longer than it must. @internal */
export const slowAttempts = (settings: Settings): number => {
  const { attempt, total } = settings
  let now = 0
  let calls = 1
  for (const [least] of pauses(settings)) {
    now += attempt + least
    if (now >= total) break
    calls++
  }
  return calls
}
