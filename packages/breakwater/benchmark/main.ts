/**
 * Measures breakwater beside its peers. README.md says what is measured, and how.
 *
 *     node packages/breakwater/benchmark/main.ts [--quick] [--json FILE] [--only ROW]
 */
import { mkdir, writeFile } from "node:fs/promises"
import { dirname, resolve } from "node:path"
import { parseArgs } from "node:util"
import { acquaint, measure, quick, type Result, thorough } from "./harness.ts"
import { measureOther, otherRows } from "./otherRows.ts"
import { table } from "./report.ts"
import { timeRows } from "./timeRows.ts"

const usage = `Usage: pnpm bench [--quick] [--json FILE] [--only ROW]

  --quick      the same rows in less time
  --json FILE  write the results to a file instead of printing tables
  --only ROW   only the rows whose name contains ROW; can be given several times`

interface Options {
  readonly quick: boolean
  readonly json: string | undefined
  readonly only: ReadonlyArray<string>
}

const parse = (args: ReadonlyArray<string>): Options => {
  const { values } = parseArgs({
    // pnpm hands a leading "--" on.
    args: args[0] === "--" ? args.slice(1) : [...args],
    options: {
      quick: { type: "boolean", default: false },
      json: { type: "string" },
      only: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", short: "h", default: false }
    }
  })
  if (values.help) {
    process.stdout.write(`${usage}\n`)
    process.exit()
  }
  if (values.json === "") throw new Error("--json needs the name of a file")
  const names = [...timeRows.map(({ name }) => name), ...otherRows.flat().flatMap(({ names }) => names)]
  for (const only of values.only) {
    if (only !== "" && names.some((name) => name.includes(only))) continue
    throw new Error(`--only ${JSON.stringify(only)} is in the name of no row. The rows:\n  ${names.join("\n  ")}`)
  }
  return { quick: values.quick, json: values.json, only: values.only }
}

const run = async ({ json, only, quick: isQuick }: Options): Promise<void> => {
  const effort = isQuick ? quick : thorough
  const wanted = (name: string) => only.length === 0 || only.some((part) => name.includes(part))
  const results: Array<Result> = []
  const add = (measured: ReadonlyArray<Result>): void => {
    results.push(...measured)
    if (json === undefined) process.stdout.write(`${table(measured)}\n`)
    else for (const name of new Set(measured.map(({ name }) => name))) process.stderr.write(`${name}\n`)
  }
  const timed = timeRows.filter(({ name }) => wanted(name))
  if (timed.length > 0) await acquaint(timeRows)
  for (const row of timed) add(await measure(row, effort))
  for (const group of otherRows) {
    const measured = group.flatMap((rows) => {
      const names = rows.names.filter(wanted)
      return names.length === 0 ? [] : [measureOther(rows, names, effort)]
    })
    for (const rows of await Promise.all(measured)) add(rows)
  }
  if (json === undefined) return
  await mkdir(dirname(resolve(json)), { recursive: true })
  await writeFile(json, `${JSON.stringify(results, null, 2)}\n`)
}

let options: Options
try {
  options = parse(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n\n${usage}\n`)
  process.exit(2)
}
await run(options)
// The peers keep timers.
process.exit()
