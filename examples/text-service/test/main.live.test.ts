import { afterEach, assert, describe, it } from "@effect/vitest"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"

const main = join(import.meta.dirname, "../main.ts")

const children: Array<ChildProcess> = []
afterEach(() => {
  for (const child of children.splice(0)) if (child.exitCode === null) child.kill("SIGKILL")
})

interface Run {
  readonly child: ChildProcess
  readonly output: () => string
  readonly code: Promise<number | null>
}

const start = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}): Run => {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^(OPENAI_|RESILIENCE_|API_KEY)/.test(name))
  )
  const child = spawn(process.execPath, [main, ...args], { env: { ...inherited, PORT: "0", ...env } })
  children.push(child)
  let output = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text))
  return { child, output: () => output, code: once(child, "close").then(([code]) => code as number | null) }
}

const until = async (run: Run, pattern: RegExp): Promise<RegExpMatchArray> => {
  for (let waited = 0; waited < 10_000; waited += 20) {
    const found = pattern.exec(run.output())
    if (found !== null) return found
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`${pattern} did not appear in:\n${run.output()}`)
}

const operations = [
  "summarize_text",
  "analyze_sentiment",
  "extract_key_points",
  "generate_questions",
  "answer_question"
]

describe("main.ts", () => {
  it("plays its script once, recovers, and never prints the key it was given", { timeout: 60_000 }, async () => {
    const run = start(["--once", "--speed", "2"], { API_KEY: "a-key-of-the-environment" })
    assert.strictEqual(await run.code, 0, run.output())
    const output = run.output()
    assert.include(output, "Key            the value of API_KEY")
    assert.notInclude(output, "a-key-of-the-environment")
    assert.match(output, /closed → open, \d failures in a row/)
    assert.match(output, /half_open → closed, the probe succeeded/)
    assert.include(output, "Every circuit that opened has recovered.")
    assert.match(output, /(\d+) of \1 requests were answered/)
    // Without a terminal: no colours, no long lines.
    assert.notInclude(output, "\u001b")
    assert.isTrue(output.split("\n").every((line) => line.length <= 120))

    const summary = output.slice(output.lastIndexOf("opened → recovered"))
    for (const operation of operations) {
      const row = new RegExp(`${operation} +(\\d+) +(\\d+) +(\\d+) +(\\d+) +(\\d+)  \\d+\\.\\d s`).exec(summary)
      assert.isNotNull(row, summary)
      const [calls, successes, fallbacks, , saved] = row.slice(1).map(Number)
      assert.strictEqual(calls, successes! + fallbacks!)
      assert.isAbove(saved!, 0)
    }
  })

  it("serves until Ctrl-C, and stops within a second", { timeout: 30_000 }, async () => {
    const run = start([])
    const [, url] = await until(run, /POST (http:\S+)/)
    await until(run, /1\.\d s  answer_question/)
    const response = await fetch(url!, { method: "POST", body: '{"operation":"summarize","text":"One. Two."}' })
    assert.strictEqual(response.status, 200)

    const admin = /Admin API +(\S+)/.exec(run.output())![1]!
    const [, key] = /Key +(\S{32}) +\(random, for this run/.exec(run.output())!
    const health = (headers: Readonly<Record<string, string>>) => fetch(`${admin}/health`, { headers })
    assert.strictEqual((await health({})).status, 401)
    assert.strictEqual((await health({ "x-api-key": key! })).status, 200)
    assert.strictEqual((await fetch(/Docs +(\S+)/.exec(run.output())![1]!)).status, 200)

    const before = performance.now()
    run.child.kill("SIGINT")
    assert.strictEqual(await run.code, 0, run.output())
    assert.isBelow(performance.now() - before, 1000)
    assert.include(run.output(), "opened → recovered")
  })

  it("says what to do about a port that is taken", { timeout: 30_000 }, async () => {
    const other = createServer().listen(0, "127.0.0.1")
    await once(other, "listening")
    const { port } = other.address() as AddressInfo
    const run = start([], { PORT: String(port) })
    assert.strictEqual(await run.code, 1)
    other.close()
    const next = port === 65_535 ? 8001 : port + 1
    assert.strictEqual(
      run.output(),
      `Port ${port} is taken by another program. Choose another one: PORT=${next} pnpm start\n`
    )
  })

  it("prints only the message of a usage error", { timeout: 30_000 }, async () => {
    const run = start(["--twice"])
    assert.strictEqual(await run.code, 1)
    assert.match(run.output(), /^Unknown argument "--twice": expected .*\n$/)
  })

  it("calls a provider with its key and the chosen model", { timeout: 30_000 }, async () => {
    const seen: Array<{ readonly authorization: string | undefined; readonly model: string }> = []
    const provider = createServer((request, response) => {
      let body = ""
      request.setEncoding("utf8").on("data", (text: string) => (body += text))
      request.on("end", () => {
        seen.push({ authorization: request.headers.authorization, model: JSON.parse(body).model })
        response.end(JSON.stringify({ choices: [{ message: { role: "assistant", content: "Fine." } }] }))
      })
    }).listen(0, "127.0.0.1")
    await once(provider, "listening")
    const run = start([], {
      OPENAI_BASE_URL: `http://127.0.0.1:${(provider.address() as AddressInfo).port}/v1`,
      OPENAI_API_KEY: "provider-key",
      OPENAI_MODEL: "small"
    })
    await until(run, /1\.\d s  summarize_text +closed +1 +1 +100 %/)
    run.child.kill("SIGTERM")
    assert.strictEqual(await run.code, 0, run.output())
    provider.close()
    assert.deepStrictEqual(seen[0], { authorization: "Bearer provider-key", model: "small" })
    assert.notInclude(run.output(), "provider-key")
  })
})
