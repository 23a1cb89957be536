/**
 * Runs every check of the repository, cheapest first, and closes with one line: `N passed, N failed`.
 *
 * A step is a script of package.json, so each can be run alone. The first step that fails prints what it said and ends
 * the run. Steps that read the same files and write none run side by side.
 */
import { spawn } from "node:child_process"
import { mkdirSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"

const root = join(import.meta.dirname, "..")
const report = join(root, "node_modules/.cache/vitest.json")
const parallel = 2

interface Ended {
  readonly ok: boolean
  readonly output: string
  readonly seconds: string
}

const run = (command: ReadonlyArray<string>): Promise<Ended> =>
  new Promise((resolve) => {
    const start = performance.now()
    const child = spawn(process.execPath, command, { cwd: root, stdio: ["ignore", "pipe", "pipe"] })
    let output = ""
    const end = (ok: boolean) =>
      resolve({ ok, output: output.trimEnd(), seconds: `${((performance.now() - start) / 1000).toFixed(1)} s` })
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
    child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text))
    child.on("error", (error) => {
      output += error.message
      end(false)
    })
    child.on("close", (code) => end(code === 0))
  })

const print = (name: string, { ok, output, seconds }: Ended, note = ""): void => {
  console.log(`${ok ? "ok  " : "FAIL"} ${name.padEnd(14)} ${seconds.padStart(7)}  ${note}`.trimEnd())
  if (!ok) console.log(`\n${output}\n`)
}

let passed = 0
let failed = 0

/** Runs the steps, a few at a time, and starts none after one has failed. */
const steps = async (names: ReadonlyArray<string>): Promise<void> => {
  const left = [...names]
  const worker = async (): Promise<void> => {
    for (let name = left.shift(); name !== undefined && failed === 0; name = left.shift()) {
      const ended = await run(["--run", name])
      if (ended.ok) passed++
      else failed++
      print(name, ended)
    }
  }
  await Promise.all(Array.from({ length: parallel }, worker))
}

interface Report {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly testResults: ReadonlyArray<{ readonly status: string; readonly assertionResults: ReadonlyArray<unknown> }>
}

const tests = async (): Promise<void> => {
  rmSync(report, { force: true })
  mkdirSync(join(report, ".."), { recursive: true })
  const ended = await run([
    "node_modules/vitest/vitest.mjs",
    "run",
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${report}`
  ])
  let counted = { passed: 0, failed: 0 }
  try {
    const { numFailedTests, numPassedTests, testResults } = JSON.parse(readFileSync(report, "utf8")) as Report
    // A file that does not load has no tests that could fail.
    const broken = testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0)
    counted = { passed: numPassedTests, failed: numFailedTests + broken.length }
  } catch {
    // Vitest did not come as far as a report.
  }
  const ok = ended.ok && counted.failed === 0
  passed += counted.passed
  failed += ok ? 0 : Math.max(counted.failed, 1)
  print("vitest", { ...ended, ok }, `${counted.passed} tests`)
}

// The examples of the documentation are compiled and linted with everything else; tests serve the page.
await steps(["extract", "page"])
if (failed === 0) await steps(["types", "lint", "effect", "unused", "format:check", "floors"])
if (failed === 0) await tests()
// Reads the report of the tests.
if (failed === 0) await steps(["contract"])

console.log(`${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
