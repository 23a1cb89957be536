/**
 * Counts how often something happened with each of a few others, and says when
 * to tell it: the first time, and then once a minute at most. Times are
 * monotonic milliseconds.
 */

/** @internal */
export class PairCounts {
  private readonly pairs = new Map<string, { count: number; told: number }>()

  /** Counts, and returns the count if it is to be told now. */
  add(other: string, now: number): number | undefined {
    // Those beyond the bound are counted as one.
    const name = this.pairs.has(other) || this.pairs.size < maxPairs ? other : overflow
    let pair = this.pairs.get(name)
    if (pair === undefined) {
      pair = { count: 0, told: -Infinity }
      this.pairs.set(name, pair)
    }
    pair.count++
    if (now - pair.told < pauseMillis) return undefined
    pair.told = now
    return pair.count
  }
}

const maxPairs = 64
const pauseMillis = 60_000
const overflow = "(overflow)"
