/**
 * Keeps the numbers of one exported operation, or of several that are exported
 * as one, from one reading to the next.
 */
import type * as Metric from "effect/Metric"
import type { Snapshot } from "../../Operation.ts"
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

/** Version and transitions of each circuit that has ever moved. */
const movesOf = (snapshots: ReadonlyArray<Snapshot>): ReadonlyMap<string, ReadonlyArray<number>> =>
  new Map(
    snapshots.flatMap(({ circuits }) =>
      circuits
        .filter(({ version }) => version > 0)
        .map(({ counters, name, version }) => [
          name,
          [version, ...series.transitions.map(({ read }) => read(counters))]
        ])
    )
  )

/** @internal */
export class Row {
  private readonly counts = new Totals()
  private readonly moves = new Totals()
  private levels = series.levelsOf([])
  private quantiles: ReadonlyArray<ReturnType<typeof series.quantilesOf>> = []
  hasCircuits = false

  update(snapshots: ReadonlyArray<Snapshot>): void {
    this.counts.update(new Map(snapshots.map((snapshot) => [snapshot.name, countsOf(snapshot)])))
    this.moves.update(movesOf(snapshots))
    this.levels = series.levelsOf(snapshots)
    this.quantiles = series.durations.map((each) => series.quantilesOf(each, snapshots))
    this.hasCircuits ||= snapshots.some(({ circuits }) => circuits.length > 0)
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

  /** By place in `series.transitions`. */
  transition(index: number): number {
    return this.moves.values[1 + index] ?? 0
  }

  gauge({ read }: series.Gauge): number {
    return read(this.levels)
  }
}
