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

const summary = (histogram: Histogram): Latency =>
  histogram.count === 0
    ? none
    : { count: histogram.count, mean: histogram.sum / histogram.count, ...histogram.percentiles() }

/** @internal */
export class LatencyRecorder {
  private readonly total = new Histogram()
  private current = new Histogram()
  private previous: Histogram | undefined = undefined
  private startedAt = 0

  record(now: number, millis: number): void {
    if (now - this.startedAt >= slice) this.rotate(now)
    this.total.record(millis)
    this.current.record(millis)
  }

  /** `now` has to be a reading of the same clock. */
  read(now: number): { readonly total: Latency; readonly recent: Latency } {
    if (now - this.startedAt >= slice) this.rotate(now)
    return {
      total: summary(this.total),
      recent: summary(this.previous === undefined ? this.current : this.current.plus(this.previous))
    }
  }

  static readonly nothing = { total: none, recent: none }

  private rotate(now: number): void {
    this.previous = now - this.startedAt >= 2 * slice ? undefined : this.current
    this.current = new Histogram()
    this.startedAt = now
  }
}
