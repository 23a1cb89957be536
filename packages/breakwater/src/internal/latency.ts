/**
 * Durations of one kind: all of them, and those of the latest half to whole
 * minute.
 */
import { Histogram, type Percentiles } from "./histogram.ts"

const slice = 30_000

/** @internal */
export interface Latency extends Percentiles {
  readonly count: number
  readonly mean: number
}

const none: Latency = { count: 0, mean: 0, p50: 0, p90: 0, p95: 0, p99: 0, max: 0 }

const summary = (...parts: ReadonlyArray<Histogram | undefined>): Latency => {
  const all = new Histogram()
  for (const part of parts) if (part !== undefined) all.absorb(part)
  return all.count === 0 ? none : { count: all.count, mean: all.sum / all.count, ...all.percentiles() }
}

/** Is itself the histogram of the slice that runs, so that a record touches little memory. @internal */
export class LatencyRecorder extends Histogram {
  private startedAt = 0
  /** The slice before, and everything before that. */
  private previous: Histogram | undefined = undefined
  private past: Histogram | undefined = undefined

  recordAt(now: number, millis: number): void {
    if (now - this.startedAt >= slice) this.rotate(now)
    this.record(millis)
  }

  /** `now` has to be a reading of the same clock. */
  read(now: number): { readonly total: Latency; readonly recent: Latency } {
    if (now - this.startedAt >= slice) this.rotate(now)
    return { total: summary(this, this.previous, this.past), recent: summary(this, this.previous) }
  }

  static readonly nothing = { total: none, recent: none }

  private rotate(now: number): void {
    if (this.previous !== undefined) (this.past ??= new Histogram()).absorb(this.previous)
    this.previous = this.take()
    if (now - this.startedAt >= 2 * slice) {
      ;(this.past ??= new Histogram()).absorb(this.previous)
      this.previous = undefined
    }
    this.startedAt = now
  }
}
