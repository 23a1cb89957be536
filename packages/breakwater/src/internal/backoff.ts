/**
 * The arithmetic of waiting between attempts, in milliseconds. Pure: chance
 * comes in as a number in [0, 1).
 *
 *   base × factor^(n−1), raised to `min`, cut to `max`
 *     ──jitter──> cut to `max` again
 *     ──Retry-After──> at least that, with the jitter above it
 */

/** @internal */
export type Jitter = "none" | "full" | "equal" | "decorrelated" | "additive"

/** @internal */
export interface Settings {
  readonly base: number
  readonly factor: number
  readonly min: number
  readonly max: number
  readonly jitter: Jitter
  /** Most that jitter `additive`, or a jitter above Retry-After, may add. */
  readonly jitterMax: number
}

/** The wait after the n-th attempt, n ≥ 1, without jitter. @internal */
export const plain = (settings: Settings, attempt: number): number => {
  // The exponent is cut before the power overflows to Infinity.
  const grown = settings.base * settings.factor ** Math.min(attempt - 1, 1000)
  return Math.min(Math.max(grown, settings.min), settings.max)
}

const jittered = (settings: Settings, attempt: number, previous: number, random: number): number => {
  const backoff = plain(settings, attempt)
  switch (settings.jitter) {
    case "none":
      return backoff
    case "full":
      return backoff * random
    case "equal":
      return backoff / 2 + (backoff / 2) * random
    case "decorrelated": {
      const low = plain(settings, 1)
      return low + (Math.max(previous * 3, low) - low) * random
    }
    case "additive":
      return backoff + settings.jitterMax * random
  }
}

/**
 * The wait before the next attempt. `previous` is the wait before this one, 0
 * before the first retry. `retryAfter` is the dependency's own wish: waiting
 * less would be refused, so the cap does not shorten it.
 *
 * @internal
 */
export const next = (
  settings: Settings,
  input: {
    readonly attempt: number
    readonly previous: number
    readonly random: number
    readonly retryAfter: number | undefined
  }
): number => {
  const wait = Math.min(jittered(settings, input.attempt, input.previous, input.random), settings.max)
  if (input.retryAfter === undefined || input.retryAfter <= wait) return wait
  const spread = settings.jitter === "none" ? 0 : Math.min(settings.jitterMax, settings.max)
  return input.retryAfter + spread * input.random
}
