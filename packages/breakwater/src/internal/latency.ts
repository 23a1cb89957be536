/**
 * Durations of one kind: all of them, and those of the latest half to whole
 * minute.
 */
import * as histogram from "./histogram.ts"
import { Histogram } from "./histogram.ts"

const slice = 30_000

/** @internal */
export interface Latency extends histogram.Percentiles {
  readonly count: number
  readonly mean: number
}

const none: Latency = { count: 0, mean: 0, p50: 0, p90: 0, p95: 0, p99: 0, max: 0 }

const summary = (parts: ReadonlyArray<Histogram | undefined>): Latency => {
  const all = new Histogram()
  for (const part of parts) if (part !== undefined) all.absorb(part)
  return all.count === 0
    ? none
    : { count: all.count, mean: histogram.sum(all) / all.count, ...histogram.percentiles(all) }
}

/** Is itself the histogram of the slice that runs, so that a record touches little memory. @internal */
export class LatencyRecorder extends Histogram {
  /** The slice before, and everything before that. */
  previous: Histogram | undefined = undefined
  past: Histogram | undefined = undefined

  recordAt(now: number, millis: number): void {
    if (now - this.since >= slice) this.rotate(now)
    this.record(millis, now)
  }

  /** A slice that is over goes to the past. Slices lie side by side, so what is recent began less than two of them ago. */
  rotate(now: number): void {
    const passed = Math.floor((now - this.since) / slice)
    const isRecent = passed < 2
    const latest = this.take(this.since + passed * slice)
    for (const part of isRecent ? [this.previous] : [this.previous, latest]) {
      if (part !== undefined && part.count > 0) (this.past ??= new Histogram()).absorb(part)
    }
    this.previous = isRecent ? latest : undefined
  }
}

/** The latest slices of one or several recorders, and all of them. `now` has to be a reading of their clock. @internal */
export const read = (
  now: number,
  recorders: ReadonlyArray<LatencyRecorder | undefined>
): { readonly total: Latency; readonly recent: Latency } => {
  const recent = recorders.flatMap((recorder) => {
    if (recorder === undefined) return []
    if (now - recorder.since >= slice) recorder.rotate(now)
    return [recorder, recorder.previous]
  })
  return { total: summary([...recent, ...recorders.map((recorder) => recorder?.past)]), recent: summary(recent) }
}
