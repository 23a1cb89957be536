/**
 * Fails when the contract of the policies is not kept by tests: when a policy is left out, a law has no test, or a test
 * that it names does not exist or has not passed. Reads the report of the latest test run.
 *
 * The contract is a section `## Policy` for each policy, each with one table: a row for each law, the tests in its last
 * cell as `` `file` title ``, one below the other with `<br>`.
 */
import { existsSync, globSync, readFileSync } from "node:fs"
import { join, relative } from "node:path"
import { floors } from "./floors.ts"

export const laws = ["Interruption", "Defects", "Timeouts", "Events", "Concurrency", "Settings"] as const

/** Policies that other files put together. */
const composed = ["Fallback", "Strategy"]

export interface Test {
  /** Inside `packages/breakwater/test`. */
  readonly file: string
  readonly title: string
  /** With the titles of its groups in front. */
  readonly fullName: string
  readonly passed: boolean
}

interface Row {
  readonly law: string
  readonly tests: ReadonlyArray<string>
}

const sectionsOf = (contract: string): ReadonlyMap<string, ReadonlyArray<Row>> => {
  const sections = new Map<string, Array<Row>>()
  let rows: Array<Row> | undefined
  for (const line of contract.split("\n")) {
    const heading = /^## (.+)$/.exec(line)?.[1]
    if (heading !== undefined) sections.set(heading.trim(), (rows = []))
    const [law, ...cells] =
      /^\|(.*)\|\s*$/
        .exec(line)?.[1]
        ?.split("|")
        .map((cell) => cell.trim()) ?? []
    if (law === undefined || rows === undefined || law === "Law" || /^:?-+:?$/.test(law)) continue
    const tests = (cells.at(-1) ?? "").split(/<br\s*\/?>/).map((test) => test.trim())
    rows.push({ law, tests: cells.length < 2 ? [] : tests.filter((test) => test !== "") })
  }
  return sections
}

/** Every fault of a contract, given the policies that there are and the tests that ran. */
export const faults = (
  contract: string,
  policies: ReadonlyArray<string>,
  tests: ReadonlyArray<Test>
): ReadonlyArray<string> => {
  const found: Array<string> = []
  const sections = sectionsOf(contract)
  for (const policy of policies) if (!sections.has(policy)) found.push(`${policy} has no section`)
  for (const [policy, rows] of sections) {
    if (!policies.includes(policy)) found.push(`${policy} is no policy`)
    for (const law of laws) {
      const count = rows.filter((row) => row.law === law).length
      if (count !== 1) found.push(`${policy} has ${count === 0 ? "no row" : `${count} rows`} for ${law}`)
    }
    for (const { law, tests: named } of rows) {
      const where = `${policy}, ${law}`
      if (!laws.some((each) => each === law)) found.push(`${where}: there is no such law`)
      if (named.length === 0) found.push(`${where}: names no test`)
      for (const each of named) {
        const [, file, title] = /^`([^`]+)` (.+)$/.exec(each) ?? []
        if (file === undefined) {
          found.push(`${where}: "${each}" is not a file in backticks and a title`)
          continue
        }
        const same = tests.filter((test) => test.file === file && [test.title, test.fullName].includes(title!))
        if (same.length === 0) found.push(`${where}: ${file} has no test "${title}"`)
        else if (!same.every(({ passed }) => passed)) found.push(`${where}: ${file} "${title}" has not passed`)
      }
    }
  }
  return found
}

interface Report {
  readonly testResults: ReadonlyArray<{
    readonly name: string
    readonly assertionResults: ReadonlyArray<{
      readonly title: string
      readonly fullName: string
      readonly status: string
    }>
  }>
}

if (import.meta.main) {
  const root = join(import.meta.dirname, "..")
  const report = join(root, "node_modules/.cache/vitest.json")
  if (!existsSync(report)) throw new Error(`${report} is missing: it is written by pnpm test`)
  const { testResults } = JSON.parse(readFileSync(report, "utf8")) as Report
  const tests = testResults.flatMap(({ assertionResults, name }) =>
    assertionResults.map(({ fullName, status, title }) => ({
      file: relative(join(root, "packages/breakwater/test"), name),
      title,
      fullName,
      passed: status === "passed"
    }))
  )
  const floor = floors.find(({ name }) => name === "policies")!
  const files = globSync("*.ts", { cwd: join(root, "packages/breakwater/src") }).filter((file) =>
    floor.files.test(file)
  )
  const policies = [...files.map((file) => file.replace(/\.ts$/, "")), ...composed]
  const found = faults(readFileSync(join(root, "packages/breakwater/CONTRACT.md"), "utf8"), policies, tests)
  for (const fault of found) console.error(fault)
  console.log(`${policies.length} policies under ${laws.length} laws, ${found.length} faults`)
  process.exitCode = found.length === 0 ? 0 : 1
}
