/**
 * Counts durations in log-linear buckets: 16 to each power of two, so that a
 * percentile is at most 1/16 too high. Takes space only for the powers that
 * occur.
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
  private readonly powers: Array<Uint32Array | undefined> = []
  private longest = 0
  count = 0
  sum = 0

  record(millis: number): void {
    this.count++
    this.sum += millis
    if (millis > this.longest) this.longest = millis
    const units = Math.min(millis / unit, maxUnits) | 0
    if (units < linear) return this.increment(0, Math.max(units, 0))
    // Units in [2^p, 2^(p+1)) fall into `linear` equal buckets; the first power is 2^4 = linear.
    const power = 31 - Math.clz32(units)
    this.increment(power - 3, (units >> (power - 4)) - linear)
  }

  /** All that this and another histogram have counted. */
  plus(that: Histogram): Histogram {
    const both = new Histogram()
    both.count = this.count + that.count
    both.sum = this.sum + that.sum
    both.longest = Math.max(this.longest, that.longest)
    for (const { powers } of [this, that]) {
      powers.forEach((buckets, power) => buckets?.forEach((count, offset) => both.increment(power, offset, count)))
    }
    return both
  }

  /** Upper bounds in milliseconds, 0 while nothing is recorded. */
  percentiles(): Percentiles {
    const at = (fraction: number): number => {
      let rank = Math.ceil(this.count * fraction)
      if (rank === 0) return 0
      for (let index = 0; index <= overflow; index++) {
        rank -= this.powers[index >> 4]?.[index & (linear - 1)] ?? 0
        if (rank <= 0) return index === overflow ? this.longest : Math.min(upperBound(index), this.longest)
      }
      return this.longest
    }
    return { p50: at(0.5), p90: at(0.9), p95: at(0.95), p99: at(0.99), max: this.longest }
  }

  private increment(power: number, offset: number, by = 1): void {
    const buckets = (this.powers[power] ??= new Uint32Array(linear))
    buckets[offset] = buckets[offset]! + by
  }
}

/** In milliseconds, exclusive. */
const upperBound = (index: number): number => {
  if (index < linear) return (index + 1) * unit
  const power = (index >> 4) + 3
  return (linear + (index & (linear - 1)) + 1) * 2 ** (power - 4) * unit
}
