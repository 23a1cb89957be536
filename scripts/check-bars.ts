/**
 * Holds the results of a benchmark to the bars of the project: `node scripts/check-bars.ts FILE`, where FILE is what
 * `pnpm bench --json FILE` wrote. It is not part of `pnpm test`, because machines are noisy.
 */
import { readFileSync } from "node:fs"
import { median } from "../packages/breakwater/benchmark/median.ts"

/** A row of the benchmark. A row of time has `nsPerCall`, and that of each round; any other `value` and `unit`. */
export interface Row {
  readonly name: string
  readonly contestant: string
  readonly nsPerCall?: number
  readonly rounds?: ReadonlyArray<number>
  readonly value?: number
  readonly unit?: string
}

/** What a bar compares breakwater's figure with. */
type Rule =
  /** At most so many times the contestant's figure in the same row. */
  | { readonly _tag: "times"; readonly contestant: string }
  /** The same, each less the cost of its own bare call. */
  | { readonly _tag: "timesAboveBare"; readonly contestant: string; readonly bare: string; readonly ourBare: string }
  /** At most so many times its own figure in another row. */
  | { readonly _tag: "timesRow"; readonly other: string }
  /** At most so many bytes. */
  | { readonly _tag: "bytes" }
  /** At most so many milliseconds. */
  | { readonly _tag: "millis" }

export interface Bar {
  readonly row: string
  /** Default `breakwater`. */
  readonly contestant?: string
  readonly rule: Rule
  readonly limit: number
}

const times = (contestant: string): Rule => ({ _tag: "times", contestant })
const bytes: Rule = { _tag: "bytes" }
const millis: Rule = { _tag: "millis" }
const KB = 1024

/** Promises are awaited in an async loop, and effects run in a fiber. */
const bars: ReadonlyArray<Bar> = [
  { row: "full strategy, promise (in a fiber)", rule: times("cockatiel"), limit: 0.3 },
  { row: "full strategy, promise (in a fiber)", rule: times("effect"), limit: 0.2 },
  { row: "full strategy, 1,000 in flight (in a fiber)", rule: times("cockatiel"), limit: 0.35 },
  { row: "full strategy, bulkhead and window, promise (in a fiber)", rule: times("cockatiel"), limit: 0.3 },
  { row: "full strategy, bulkhead and window, 1,000 in flight (in a fiber)", rule: times("cockatiel"), limit: 0.35 },
  {
    row: "breaker alone, promise (in a fiber)",
    rule: { _tag: "timesAboveBare", contestant: "cockatiel", bare: "bare promise", ourBare: "bare effect" },
    limit: 1.5
  },
  {
    row: "breaker alone, promise (in a fiber)",
    // Both wrap an async function. An effect that becomes a promise costs most of what opossum does before any guard.
    contestant: "breakwater, Async.protect",
    rule: times("opossum"),
    limit: 0.9
  },
  { row: "timeout alone, promise (in a fiber)", rule: times("cockatiel"), limit: 0.35 },
  { row: "timeout alone, promise (in a fiber)", rule: times("effect"), limit: 0.5 },
  { row: "rejection by an open circuit", rule: times("cockatiel"), limit: 0.5 },
  {
    row: "per call with 10,000 operations",
    rule: { _tag: "timesRow", other: "per call with 10 operations" },
    limit: 1.15
  },
  { row: "memory of one idle operation", rule: bytes, limit: 2 * KB },
  { row: "memory of one idle breaker", rule: bytes, limit: KB },
  { row: "memory of 1,000,000 keys", rule: bytes, limit: 32 * KB * KB },
  {
    row: "size beyond effect, minified and gzipped",
    contestant: "breakwater, by difference",
    rule: bytes,
    limit: 12 * KB
  },
  { row: "configuration, loading a preset", rule: millis, limit: 1 },
  { row: "configuration, full resolution", rule: millis, limit: 10 },
  { row: "configuration, validation", rule: millis, limit: 5 }
]

export interface Verdict {
  readonly bar: Bar
  /** `undefined`: the results lack a row that the bar needs. */
  readonly value: number | undefined
  readonly holds: boolean
}

/**
 * Holds results to bars. A bar whose rows are missing does not hold. What is compared, is compared within each round, whose
 * contestants have met the same machine; the value is the median of that.
 */
export const judge = (rows: ReadonlyArray<Row>, held: ReadonlyArray<Bar> = bars): ReadonlyArray<Verdict> => {
  const find = (name: string, contestant: string): ReadonlyArray<number> => {
    const row = rows.find((row) => row.name === name && row.contestant === contestant)
    const figure = row?.nsPerCall ?? row?.value
    const figures: ReadonlyArray<unknown> = row?.rounds ?? [figure]
    // A file may hold anything, such as what JSON makes of NaN.
    return figures.map((figure) => (typeof figure === "number" ? figure : NaN))
  }
  return held.map((bar) => {
    const values = measured(bar, find)
    // Missing in one round, it is missing.
    const value = values.length > 0 && values.every(Number.isFinite) ? median(values) : undefined
    return { bar, value, holds: value !== undefined && value <= bar.limit }
  })
}

/** For each round. */
const measured = (
  { contestant = "breakwater", row, rule }: Bar,
  find: (name: string, contestant: string) => ReadonlyArray<number>
): ReadonlyArray<number> => {
  const ours = find(row, contestant)
  const over = (these: ReadonlyArray<number>, those: ReadonlyArray<number>) =>
    these.map((value, round) => value / (those[round] ?? NaN))
  const above = (these: ReadonlyArray<number>, bare: string) => {
    const those = find(row, bare)
    return these.map((value, round) => value - (those[round] ?? NaN))
  }
  switch (rule._tag) {
    case "times":
      return over(ours, find(row, rule.contestant))
    case "timesAboveBare":
      return over(above(ours, rule.ourBare), above(find(row, rule.contestant), rule.bare))
    case "timesRow":
      return over(ours, find(rule.other, contestant))
    case "bytes":
      return ours
    case "millis":
      return ours.map((ns) => ns / 1e6)
  }
}

const against = (rule: Rule): string => {
  switch (rule._tag) {
    case "times":
      return `× ${rule.contestant}`
    case "timesAboveBare":
      return `× ${rule.contestant}, each above its bare call`
    case "timesRow":
      return `× ${rule.other}`
    case "bytes":
      return "bytes"
    case "millis":
      return "ms"
  }
}

/** One line for a verdict: how it went, the value, the limit, and what is held. */
export const line = ({ bar, holds, value }: Verdict): string => {
  const figure = (number: number): string => (bar.rule._tag === "bytes" ? String(number) : number.toFixed(2))
  const shown = value === undefined ? "missing" : figure(value)
  const verdict = holds ? "ok  " : "FAIL"
  const row = bar.contestant === undefined ? bar.row : `${bar.row}: ${bar.contestant}`
  return `${verdict} ${shown.padStart(9)} <= ${figure(bar.limit).padEnd(9)} ${row}: ${against(bar.rule)}`
}

const rowsOf = (file: string): ReadonlyArray<Row> => {
  const read: unknown = JSON.parse(readFileSync(file, "utf8"))
  if (!Array.isArray(read)) throw new Error("expected an array of rows")
  return read as ReadonlyArray<Row>
}

if (import.meta.main) {
  const [file, ...rest] = process.argv.slice(2)
  if (file === undefined || rest.length > 0) {
    console.error("Usage: node scripts/check-bars.ts FILE")
    process.exit(2)
  }
  let rows: ReadonlyArray<Row>
  try {
    rows = rowsOf(file)
  } catch (error) {
    console.error(`${file}: ${error instanceof Error ? error.message : String(error)}`)
    process.exit(2)
  }
  const verdicts = judge(rows)
  for (const verdict of verdicts) console.log(line(verdict))
  const failed = verdicts.filter(({ holds }) => !holds).length
  console.log(`${verdicts.length - failed} bars hold, ${failed} do not`)
  process.exitCode = failed === 0 ? 0 : 1
}
