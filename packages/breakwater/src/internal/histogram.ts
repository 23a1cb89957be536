/**
 * Counts durations in log-linear buckets: 16 to each power of two, so that a
 * percentile is at most 1/16 too high. Takes space only for the range of powers
 * that occur.
 */

const linear = 16
const powers = 28
/** The last bucket holds everything above half an hour, and is told as the longest. */
const overflow = linear * powers - 1
/** The finest that durations are told apart by. @internal */
export const unitsPerMilli = 1024
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
const sumAt = 0
const longestAt = 1
const sliceAt = 2
const firstAt = 3
const bucketsAt = 4

/** @internal */
export class Histogram {
  // All numbers in one array: where there are many operations, a call costs the memory that it touches.
  cells: Array<number> = [0, 0, 0, Infinity]

  get isEmpty(): boolean {
    return this.cells.length === bucketsAt
  }

  /** In which slice of time durations are recorded, as `take` was told; 0 before. */
  get slice(): number {
    return this.cells[sliceAt]!
  }

  record(millis: number): void {
    const { cells } = this
    cells[sumAt] = cells[sumAt]! + millis
    if (millis > cells[longestAt]!) cells[longestAt] = millis
    const units = Math.min(Math.max(millis, 0) * unitsPerMilli, maxUnits) | 0
    // Units in [2^p, 2^(p+1)) fall into `linear` equal buckets, the first powers into one for each unit.
    const shift = Math.max(31 - Math.clz32(units), 4) - 4
    this.increment(shift * linear + (units >> shift), 1)
  }

  /** Counts what another histogram has counted. */
  absorb({ cells: that }: Histogram): void {
    const { cells } = this
    cells[sumAt] = cells[sumAt]! + that[sumAt]!
    cells[longestAt] = Math.max(cells[longestAt]!, that[longestAt]!)
    for (let at = bucketsAt; at < that.length; at++) {
      if (that[at]! > 0) this.increment(that[firstAt]! + at - bucketsAt, that[at]!)
    }
  }

  /** Hands over what was counted, and starts from nothing. */
  take(slice: number): Histogram {
    const taken = new Histogram()
    taken.cells = this.cells
    this.cells = [0, 0, slice, Infinity]
    return taken
  }

  private increment(index: number, by: number): void {
    const at = index - this.cells[firstAt]! + bucketsAt
    if (at < bucketsAt || at >= this.cells.length) return this.widen(index, by)
    this.cells[at] = this.cells[at]! + by
  }

  /** Makes room for a whole power of two, until there is room for the index. */
  private widen(index: number, by: number): void {
    const { cells } = this
    const isBelow = index < cells[firstAt]!
    if (this.isEmpty) cells[firstAt] = index - (index % linear)
    else if (isBelow) cells[firstAt]! -= linear
    this.cells = cells.toSpliced(isBelow ? bucketsAt : cells.length, 0, ...room)
    this.increment(index, by)
  }
}

const room: ReadonlyArray<number> = Array.from({ length: linear }, () => 0)

/** @internal */
export const count = ({ cells }: Histogram): number => cells.slice(bucketsAt).reduce((sum, bucket) => sum + bucket, 0)

/** In milliseconds. @internal */
export const sum = ({ cells }: Histogram): number => cells[sumAt]!

/** Upper bounds in milliseconds, 0 while nothing is recorded. @internal */
export const percentiles = (self: Histogram): Percentiles => {
  const { cells } = self
  const max = cells[longestAt]!
  const calls = count(self)
  const ranks = [0.5, 0.9, 0.95, 0.99].map((fraction) => Math.ceil(calls * fraction))
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
  if (index < linear) return (index + 1) / unitsPerMilli
  const power = Math.floor(index / linear) + 3
  return ((linear + (index % linear) + 1) * 2 ** (power - 4)) / unitsPerMilli
}
