/**
 * Counts durations in log-linear buckets: 16 to each power of two, so that a
 * percentile is at most 1/16 too high, in a fixed space.
 */

const linear = 16
const powers = 28
/** Durations below this many milliseconds share the first buckets. */
const unit = 1 / 1024

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
  private readonly buckets = new Uint32Array(linear * powers)
  private longest = 0
  count = 0
  sum = 0

  record(millis: number): void {
    this.count++
    this.sum += millis
    if (millis > this.longest) this.longest = millis
    const index = bucketOf(millis)
    this.buckets[index] = this.buckets[index]! + 1
  }

  /** Upper bounds in milliseconds, 0 while nothing is recorded. */
  percentiles(): Percentiles {
    const at = (fraction: number): number => {
      let rank = Math.ceil(this.count * fraction)
      if (rank === 0) return 0
      for (let index = 0; index < this.buckets.length; index++) {
        rank -= this.buckets[index]!
        if (rank <= 0) return Math.min(upperBound(index), this.longest)
      }
      return this.longest
    }
    return { p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), max: this.longest }
  }
}

const maxUnits = 2 ** 31 - 1

const bucketOf = (millis: number): number => {
  const units = Math.min(millis / unit, maxUnits) | 0
  if (units < linear) return Math.max(units, 0)
  // Units in [2^p, 2^(p+1)) fall into `linear` equal buckets; the first power is 2^4 = linear.
  const power = 31 - Math.clz32(units)
  return (power - 3) * linear + (units >> (power - 4)) - linear
}

/** In milliseconds, exclusive. */
const upperBound = (index: number): number => {
  if (index < linear) return (index + 1) * unit
  const power = Math.floor(index / linear) + 3
  return (linear + (index % linear) + 1) * 2 ** (power - 4) * unit
}
