/**
 * Counts durations in log-linear buckets: 16 to each power of two, so that a
 * percentile is at most 1/16 too high. Takes space only for the range of powers
 * that occur.
 */

const linear = 16
const powers = 28
/** The last bucket holds everything above half an hour, and is told as the longest. */
const overflow = linear * powers - 1
/** Durations below this many milliseconds share the first bucket. */
const unit = 1 / 1024
const maxUnits = 2 ** 31 - 1

/** @internal */
export interface Percentiles {
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

// Places in the cells of a histogram. Buckets follow, from the one whose index stands at `firstAt` on.
const countAt = 0
const sumAt = 1
const longestAt = 2
const sinceAt = 3
const latestAt = 4
const firstAt = 5
const bucketsAt = 6

/** @internal */
export class Histogram {
  // All numbers in one array: where there are many operations, a call costs the memory that it touches.
  cells: Array<number> = [0, 0, 0, 0, -Infinity, 0]

  get count(): number {
    return this.cells[countAt]!
  }

  /** Since when durations are recorded, as `take` was told; 0 before. */
  get since(): number {
    return this.cells[sinceAt]!
  }

  /** When the latest duration was recorded; `-Infinity`: never. Outlives `take`. */
  get latest(): number {
    return this.cells[latestAt]!
  }

  record(millis: number, now = 0): void {
    const { cells } = this
    cells[countAt] = cells[countAt]! + 1
    cells[sumAt] = cells[sumAt]! + millis
    cells[latestAt] = now
    if (millis > cells[longestAt]!) cells[longestAt] = millis
    const units = Math.min(millis / unit, maxUnits) | 0
    if (units < linear) return this.increment(Math.max(units, 0), 1)
    // Units in [2^p, 2^(p+1)) fall into `linear` equal buckets; the first power is 2^4 = linear.
    const power = 31 - Math.clz32(units)
    this.increment((power - 3) * linear + (units >> (power - 4)) - linear, 1)
  }

  /** Counts what another histogram has counted. */
  absorb({ cells: that }: Histogram): void {
    const { cells } = this
    cells[countAt] = cells[countAt]! + that[countAt]!
    cells[sumAt] = cells[sumAt]! + that[sumAt]!
    cells[longestAt] = Math.max(cells[longestAt]!, that[longestAt]!)
    for (let at = bucketsAt; at < that.length; at++) {
      if (that[at]! > 0) this.increment(that[firstAt]! + at - bucketsAt, that[at]!)
    }
  }

  /** Hands over what was counted, and starts from nothing. */
  take(now: number): Histogram {
    const taken = new Histogram()
    taken.cells = this.cells
    this.cells = [0, 0, 0, now, this.latest, 0]
    return taken
  }

  private increment(index: number, by: number): void {
    const at = index - this.cells[firstAt]! + bucketsAt
    if (at < bucketsAt || at >= this.cells.length) return this.widen(index, by)
    this.cells[at] = this.cells[at]! + by
  }

  /** Makes room for a whole power of two, and for those between it and the ones that are there. */
  private widen(index: number, by: number): void {
    const head = this.cells.slice(0, bucketsAt)
    const tail = this.cells.slice(bucketsAt)
    const isBelow = tail.length === 0 || index < head[firstAt]!
    if (tail.length === 0) head[firstAt] = index - (index % linear)
    else if (isBelow) head[firstAt] = head[firstAt]! - linear
    this.cells = isBelow ? head.concat(room, tail) : head.concat(tail, room)
    this.increment(index, by)
  }
}

const room: ReadonlyArray<number> = Array.from({ length: linear }, () => 0)

/** In milliseconds. @internal */
export const sum = ({ cells }: Histogram): number => cells[sumAt]!

/** Upper bounds in milliseconds, 0 while nothing is recorded. @internal */
export const percentiles = ({ cells, count }: Histogram): Percentiles => {
  const max = cells[longestAt]!
  const ranks = [0.5, 0.9, 0.95, 0.99].map((fraction) => Math.ceil(count * fraction))
  const found: Array<number> = []
  let seen = 0
  for (let at = bucketsAt; at < cells.length; at++) {
    seen += cells[at]!
    while (found.length < ranks.length && seen >= ranks[found.length]!) {
      const index = cells[firstAt]! + at - bucketsAt
      found.push(index === overflow ? max : Math.min(upperBound(index), max))
    }
  }
  const [p50 = 0, p90 = 0, p95 = 0, p99 = 0] = found
  return { p50, p90, p95, p99, max }
}

/** In milliseconds, exclusive. */
const upperBound = (index: number): number => {
  if (index < linear) return (index + 1) * unit
  const power = Math.floor(index / linear) + 3
  return (linear + (index % linear) + 1) * 2 ** (power - 4) * unit
}
