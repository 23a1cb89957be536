/** Prints results as tables with bars. */
import type { Result } from "./harness.ts"

const widest = 30

const figure = (result: Result): string => {
  if ("nsPerCall" in result) return withUnit(result.nsPerCall, ["ns", "µs", "ms"], 1000)
  if (result.unit === "ms") return withUnit(result.value, ["ms"], 1000)
  return withUnit(result.value, ["B", "KB", "MB"], 1024)
}

const withUnit = (value: number, [unit = "", ...larger]: ReadonlyArray<string>, step: number): string =>
  value >= step && larger.length > 0
    ? withUnit(value / step, larger, step)
    : `${value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ${unit}`

const amount = (result: Result): number => ("nsPerCall" in result ? result.nsPerCall : result.value)

/** A table for each row of the results: contestant, figure, times breakwater, bar. */
export const table = (results: ReadonlyArray<Result>): string =>
  Array.from(new Set(results.map(({ name }) => name)), (name) => {
    const rows = results.filter((result) => result.name === name)
    const longest = Math.max(...rows.map(amount))
    const width = Math.max(...rows.map(({ contestant }) => contestant.length))
    const lines = rows.map((result) => {
      const bar = "█".repeat(Math.max(1, Math.round((amount(result) / longest) * widest)))
      const ratio = `${result.ratioToBreakwater.toFixed(2)} ×`
      return `  ${result.contestant.padEnd(width)}  ${figure(result).padStart(9)}  ${ratio.padStart(9)}  ${bar}`
    })
    return [name, ...lines, ""].join("\n")
  }).join("\n")
