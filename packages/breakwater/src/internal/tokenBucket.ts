/**
 * A bucket of `burst` tokens into which `limit` of them drip in a window, in
 * fractions. A call takes its cost or leaves the bucket as it is.
 *
 * Bound: `burst + limit × span / window` units in any span of time.
 *
 * It admits what GCRA admits, and remembers how full the bucket is where GCRA
 * remembers when it is full.
 */
import type { Algorithm, Rate } from "./rateAlgorithm.ts"

/** @internal */
export interface Bucket {
  /** Tokens at `at`; below 0 while more was used than there was. */
  readonly tokens: number
  readonly at: number
}

const level = ({ burst, limit, window }: Rate, { at, tokens }: Bucket, now: number): number =>
  Math.min(tokens + (Math.max(now - at, 0) / window) * limit, burst)

/** @internal */
export const tokenBucket: Algorithm<Bucket> = {
  empty: { tokens: Infinity, at: 0 },
  refills: true,
  wait: (rate, state, now, cost) => (Math.max(cost - level(rate, state, now), 0) / rate.limit) * rate.window,
  take: (rate, state, now, cost) => ({ tokens: level(rate, state, now) - cost, at: now }),
  give: (rate, state, now, _at, cost) => ({ tokens: level(rate, state, now) + cost, at: now }),
  used: (rate, state, now) => rate.burst - level(rate, state, now),
  drain: (rate, state, now) => ({ tokens: Math.min(level(rate, state, now), 1), at: now })
}
