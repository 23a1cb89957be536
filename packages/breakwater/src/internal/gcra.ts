/**
 * The generic cell rate algorithm: one number per key. Each unit takes
 * `window / limit` milliseconds of a virtual schedule; the state is the time up
 * to which that schedule is full.
 *
 *   admitted at t  ⇔  max(full, t) + cost × interval ≤ t + burst × interval
 *
 * Bound: `burst + limit × span / window` units in any span of time.
 */
import type { Algorithm, Rate } from "./rateAlgorithm.ts"

const intervalOf = ({ limit, window }: Rate): number => window / limit

/** @internal */
export const gcra: Algorithm<number> = {
  empty: -Infinity,
  refills: true,
  wait: (rate, full, now, cost) => Math.max(Math.max(full - now, 0) + (cost - rate.burst) * intervalOf(rate), 0),
  take: (rate, full, now, cost) => Math.max(full, now) + cost * intervalOf(rate),
  give: (rate, full, _now, _at, cost) => full - cost * intervalOf(rate),
  used: (rate, full, now) => Math.max(full - now, 0) / intervalOf(rate),
  drain: (rate, full, now) => Math.max(full, now + (rate.burst - 1) * intervalOf(rate))
}
