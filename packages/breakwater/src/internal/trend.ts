/**
 * Sums up numbers over time and by size.
 */

/** @internal */
export const hourMillis = 3_600_000

/** @internal */
export interface Point {
  /** The start of a UTC hour, in milliseconds since 1970. */
  readonly at: number
  readonly sum: number
}

/**
 * One point for each UTC hour, oldest first; the last is the hour of `now`, as
 * far as it has gone. Every other hour is whole: what lies before the first is
 * left out. What lies after `now`, because the clock was set back, counts for
 * the last.
 *
 * @internal
 */
export const hourly = (
  values: Iterable<{ readonly at: number; readonly value: number }>,
  now: number,
  hours: number
): ReadonlyArray<Point> => {
  const last = Math.floor(now / hourMillis)
  const first = last - hours + 1
  const sums = Array.from({ length: hours }, () => 0)
  for (const { at, value } of values) {
    const hour = Math.min(Math.floor(at / hourMillis), last)
    if (hour >= first) sums[hour - first] = sums[hour - first]! + value
  }
  return sums.map((sum, index) => ({ at: (first + index) * hourMillis, sum }))
}

/** @internal */
export interface Spread {
  readonly count: number
  readonly mean: number
  readonly min: number
  readonly max: number
  readonly p95: number
}

/** Count, mean and extremes, and the 95th percentile by nearest rank. All 0 for no values. @internal */
export const spread = (values: ReadonlyArray<number>): Spread => {
  if (values.length === 0) return { count: 0, mean: 0, min: 0, max: 0, p95: 0 }
  const sorted = values.toSorted((a, b) => a - b)
  return {
    count: sorted.length,
    mean: sorted.reduce((sum, value) => sum + value, 0) / sorted.length,
    min: sorted[0]!,
    max: sorted.at(-1)!,
    p95: sorted[Math.ceil((sorted.length * 95) / 100) - 1]!
  }
}

/** A share, 0 of nothing. @internal */
export const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole)
