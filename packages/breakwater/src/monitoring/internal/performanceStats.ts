/**
 * The statistics of durations, and what became slower. Pure.
 */

/** In the unit of the samples; all 0 without samples. @internal */
export interface Stats {
  readonly count: number
  readonly total: number
  readonly mean: number
  readonly min: number
  readonly max: number
  /** Of a sample: divided by `count − 1`, and 0 for one. */
  readonly stdDev: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

/** @internal */
export const stats = (samples: Float64Array): Stats => {
  const count = samples.length
  if (count === 0) return { count, total: 0, mean: 0, min: 0, max: 0, stdDev: 0, p50: 0, p95: 0, p99: 0 }
  const sorted = samples.toSorted()
  const total = sorted.reduce((sum, sample) => sum + sample, 0)
  const mean = total / count
  const squares = sorted.reduce((sum, sample) => sum + (sample - mean) ** 2, 0)
  /** The smallest sample that is not exceeded by the fraction. */
  const at = (fraction: number): number => sorted[Math.max(Math.ceil(count * fraction) - 1, 0)]!
  return {
    count,
    total,
    mean,
    min: sorted[0]!,
    max: sorted[count - 1]!,
    stdDev: count === 1 ? 0 : Math.sqrt(squares / (count - 1)),
    p50: at(0.5),
    p95: at(0.95),
    p99: at(0.99)
  }
}

/** More than this is slower. @internal */
export const regressionPercent = 20

/** What a run took, by what it ran under. @internal */
export interface Timed {
  readonly id: string
  /** Medians in milliseconds. */
  readonly medians: ReadonlyMap<string, number>
}

/** @internal */
export interface Change {
  readonly operation: string
  readonly comparedWith: string
  readonly previousP50Ms: number
  readonly p50Ms: number
  readonly changePercent: number
  readonly regressed: boolean
}

/** Compares each benchmark with the latest earlier run that has it. `earlier` has the newest first. @internal */
export const compare = (current: Timed, earlier: ReadonlyArray<Timed>): ReadonlyArray<Change> =>
  Array.from(current.medians).flatMap(([operation, p50Ms]) => {
    const previous = earlier.find(({ medians }) => medians.has(operation))
    if (previous === undefined) return []
    const previousP50Ms = previous.medians.get(operation)!
    const changePercent = previousP50Ms === 0 ? 0 : Math.round((p50Ms / previousP50Ms - 1) * 1000) / 10
    return [
      {
        operation,
        comparedWith: previous.id,
        previousP50Ms,
        p50Ms,
        changePercent,
        // Not by the rounded number: 20.04 % is more than 20 %.
        regressed: previousP50Ms > 0 && p50Ms > previousP50Ms * (1 + regressionPercent / 100)
      }
    ]
  })
