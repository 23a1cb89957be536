/**
 * Durations of one kind: all of them, and those of the latest half to whole
 * minute.
 */
import * as histogram from "./histogram.ts"
import { Histogram } from "./histogram.ts"

export { unitsPerMilli } from "./histogram.ts"

const slice = 30_000

/** The number of the slice that a moment is in. @internal */
export const sliceOf = (now: number): number => Math.floor(now / slice)

/** @internal */
export interface Latency extends histogram.Percentiles {
  readonly count: number
  readonly mean: number
}

const none: Latency = { count: 0, mean: 0, p50: 0, p90: 0, p95: 0, p99: 0, max: 0 }

const summary = (parts: ReadonlyArray<Histogram | undefined>): Latency => {
  const all = new Histogram()
  for (const part of parts) if (part !== undefined) all.absorb(part)
  const count = histogram.count(all)
  return count === 0 ? none : { count, mean: histogram.sum(all) / count, ...histogram.percentiles(all) }
}

/** Is itself the histogram of the slice that runs, so that a record touches little memory. @internal */
export class LatencyRecorder extends Histogram {
  /** The slice before, and everything before that. */
  previous: Histogram | undefined = undefined
  past: Histogram | undefined = undefined

  recordAt(now: number, millis: number): void {
    this.rotate(sliceOf(now))
    this.record(millis)
  }

  /** A slice that is over goes to the past. Slices lie side by side, so what is recent began less than two of them ago. */
  rotate(slice: number): void {
    const passed = slice - this.slice
    if (passed < 1) return
    const latest = this.take(slice)
    for (const part of passed === 1 ? [this.previous] : [this.previous, latest]) {
      if (part !== undefined && !part.isEmpty) (this.past ??= new Histogram()).absorb(part)
    }
    this.previous = passed === 1 ? latest : undefined
  }
}

/** The latest slices of one or several recorders, and all of them. `now` has to be a reading of their clock. @internal */
export const read = (
  now: number,
  recorders: ReadonlyArray<LatencyRecorder | undefined>
): { readonly total: Latency; readonly recent: Latency } => {
  const recent = recorders.flatMap((recorder) => {
    if (recorder === undefined) return []
    recorder.rotate(sliceOf(now))
    return [recorder, recorder.previous]
  })
  return { total: summary([...recent, ...recorders.map((recorder) => recorder?.past)]), recent: summary(recent) }
}
