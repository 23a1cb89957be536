/**
 * The history of benchmarks as lines: how long each took, run after run.
 */
import type { BenchmarkRun } from "../api/types.ts"

export interface Track {
  readonly operation: string
  /** Oldest run first. */
  readonly runs: ReadonlyArray<{
    readonly id: string
    readonly at: number
    readonly p50: number
    readonly p95: number
    readonly hasPassed: boolean
    readonly hasRegressed: boolean
  }>
  /** Median of the latest run over that of the run before, less 1. `undefined` for a first run. */
  readonly change: number | undefined
}

export const tracks = (runs: ReadonlyArray<BenchmarkRun>): ReadonlyArray<Track> => {
  const byOperation = new Map<string, Array<Track["runs"][number]>>()
  for (const run of runs.toSorted((a, b) => Date.parse(a.timestamp) - Date.parse(b.timestamp))) {
    for (const result of run.results) {
      const list = byOperation.get(result.operation) ?? []
      list.push({
        id: run.benchmark_id,
        at: Date.parse(run.timestamp),
        p50: result.p50_duration_ms,
        p95: result.p95_duration_ms,
        hasPassed: result.passed,
        hasRegressed:
          run.regression?.changes.some(({ operation, regressed }) => regressed && operation === result.operation) ??
          false
      })
      byOperation.set(result.operation, list)
    }
  }
  return Array.from(byOperation, ([operation, runs]) => {
    const [before, last] = runs.slice(-2)
    return {
      operation,
      runs,
      change: before === undefined || last === undefined || before.p50 === 0 ? undefined : last.p50 / before.p50 - 1
    }
  }).toSorted((a, b) => (b.change ?? -1) - (a.change ?? -1) || (a.operation < b.operation ? -1 : 1))
}

/** How far a run is that says nothing before its end: by how long the last one took, and never quite there. */
export const progress = (passedMillis: number, expectedMillis: number): number =>
  Math.min(0.97, 1 - Math.exp((-2.2 * passedMillis) / Math.max(500, expectedMillis)))

/** How long the latest run of a kind took. */
export const expected = (runs: ReadonlyArray<BenchmarkRun>, kind: BenchmarkRun["kind"]): number => {
  const last = runs
    .filter((run) => run.kind === kind)
    .toSorted((a, b) => Date.parse(b.timestamp) - Date.parse(a.timestamp))[0]
  return last === undefined ? 5_000 : last.results.reduce((sum, { duration_ms }) => sum + duration_ms, 0)
}
