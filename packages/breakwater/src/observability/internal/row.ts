/**
 * Keeps the numbers of one exported operation, or of several that are exported
 * as one, from one reading to the next.
 */
import type * as Metric from "effect/Metric"
import type { Snapshot } from "../../Operation.ts"
import { levelsOf } from "./levels.ts"
import { parts } from "./parts.ts"
import * as series from "./series.ts"

/**
 * Adds up what is counted by sources that come and go. A source that counts
 * from 0 again is a new one, so the totals never fall.
 */
class Totals {
  private previous: ReadonlyMap<string, ReadonlyArray<number>> = new Map()
  readonly values: Array<number> = []

  /** The first number of a source falls only when it counts from 0 again. */
  update(sources: ReadonlyMap<string, ReadonlyArray<number>>): void {
    for (const [name, numbers] of sources) {
      const known = this.previous.get(name)
      const before = known !== undefined && known[0]! <= numbers[0]! ? known : []
      numbers.forEach((number, index) => {
        this.values[index] = (this.values[index] ?? 0) + Math.max(0, number - (before[index] ?? 0))
      })
    }
    this.previous = sources
  }
}

/** Calls, count and sum of each kind of duration, counters. */
const countsOf = (snapshot: Snapshot): ReadonlyArray<number> => [
  snapshot.counters.calls,
  ...series.durations.flatMap(({ total }) => {
    const { count, mean } = total(snapshot)
    return [count, (mean * count) / 1000]
  }),
  ...series.counters.map(({ read }) => read(snapshot.counters))
]

/** @internal */
export class Row {
  private readonly counts = new Totals()
  private readonly counted = parts.map(() => new Totals())
  private readonly found = parts.map(() => false)
  private levels = levelsOf([])
  private quantiles: ReadonlyArray<ReturnType<typeof series.quantilesOf>> = []

  update(snapshots: ReadonlyArray<Snapshot>): void {
    this.counts.update(new Map(snapshots.map((snapshot) => [snapshot.name, countsOf(snapshot)])))
    parts.forEach(({ countsOf, isIn }, index) => {
      const having = snapshots.filter(isIn)
      if (having.length > 0) this.found[index] = true
      this.counted[index]!.update(new Map(having.flatMap(countsOf)))
    })
    this.levels = levelsOf(snapshots)
    this.quantiles = series.durations.map((each) => series.quantilesOf(each, snapshots))
  }

  /** By place in `series.durations`. */
  durations(index: number): Pick<Metric.SummaryState, "count" | "sum" | "quantiles"> {
    return {
      count: this.counts.values[1 + 2 * index] ?? 0,
      sum: this.counts.values[2 + 2 * index] ?? 0,
      quantiles: this.quantiles[index] ?? []
    }
  }

  /** By place in `series.counters`. */
  counter(index: number): number {
    return this.counts.values[1 + 2 * series.durations.length + index] ?? 0
  }

  /** Whether the part at that place in `parts` was ever there. */
  has(part: number): boolean {
    return this.found[part]!
  }

  /** By place in `parts`, and in the counters of the part. */
  counterOf(part: number, index: number): number {
    return this.counted[part]!.values[1 + index] ?? 0
  }

  gauge({ read }: series.Gauge): number {
    return read(this.levels)
  }
}
