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

/** @internal */
export class Histogram {
  /** Buckets from index `first` on. */
  private buckets: Array<number> = []
  private first = 0
  private longest = 0
  count = 0
  sum = 0

  record(millis: number): void {
    this.count++
    this.sum += millis
    if (millis > this.longest) this.longest = millis
    const units = Math.min(millis / unit, maxUnits) | 0
    if (units < linear) return this.increment(Math.max(units, 0), 1)
    // Units in [2^p, 2^(p+1)) fall into `linear` equal buckets; the first power is 2^4 = linear.
    const power = 31 - Math.clz32(units)
    this.increment((power - 3) * linear + (units >> (power - 4)) - linear, 1)
  }

  /** Counts what another histogram has counted. */
  absorb(that: Histogram): void {
    this.count += that.count
    this.sum += that.sum
    this.longest = Math.max(this.longest, that.longest)
    that.buckets.forEach((count, offset) => count > 0 && this.increment(that.first + offset, count))
  }

  /** Hands over what was counted, and starts from nothing. */
  take(): Histogram {
    const taken = new Histogram()
    taken.buckets = this.buckets
    taken.first = this.first
    taken.longest = this.longest
    taken.count = this.count
    taken.sum = this.sum
    this.buckets = []
    this.longest = this.count = this.sum = 0
    return taken
  }

  /** Upper bounds in milliseconds, 0 while nothing is recorded. */
  percentiles(): Percentiles {
    const at = [0.5, 0.9, 0.95, 0.99].map((fraction) => Math.ceil(this.count * fraction))
    const found: Array<number> = []
    let seen = 0
    for (let offset = 0; offset < this.buckets.length; offset++) {
      seen += this.buckets[offset]!
      while (found.length < at.length && seen >= at[found.length]!) {
        const index = this.first + offset
        found.push(index === overflow ? this.longest : Math.min(upperBound(index), this.longest))
      }
    }
    const [p50 = 0, p90 = 0, p95 = 0, p99 = 0] = found
    return { p50, p90, p95, p99, max: this.longest }
  }

  private increment(index: number, by: number): void {
    const { buckets, first } = this
    const offset = index - first
    if (offset >= 0 && offset < buckets.length) buckets[offset] = buckets[offset]! + by
    else this.widen(index, by)
  }

  /** Makes room for a whole power of two. */
  private widen(index: number, by: number): void {
    const start = index - (index % linear)
    const isFirst = this.buckets.length === 0
    const first = isFirst ? start : Math.min(start, this.first)
    const end = isFirst ? start + linear : Math.max(start + linear, this.first + this.buckets.length)
    const wider = Array.from({ length: end - first }, (_, offset) => this.buckets[first + offset - this.first] ?? 0)
    wider[index - first] = wider[index - first]! + by
    this.buckets = wider
    this.first = first
  }
}

/** In milliseconds, exclusive. */
const upperBound = (index: number): number => {
  if (index < linear) return (index + 1) * unit
  const power = Math.floor(index / linear) + 3
  return (linear + (index % linear) + 1) * 2 ** (power - 4) * unit
}
