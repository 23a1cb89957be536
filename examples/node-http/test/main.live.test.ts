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

const start = (env: Readonly<Record<string, string>> = {}): Run => {
  const { API_KEY: _, ...inherited } = process.env
  const child = spawn(process.execPath, [main], { env: { ...inherited, PORT: "0", ADMIN_PORT: "0", ...env } })
  children.push(child)
  let output = ""
  child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (output += text))
  return { child, output: () => output, code: once(child, "close").then(([code]) => code as number | null) }
}

const started = async (run: Run): Promise<{ readonly prices: string; readonly admin: string }> => {
  for (let waited = 0; waited < 10_000 && !run.output().includes("Ctrl-C"); waited += 20) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  const [, prices] = /Prices +(http:\S+)/.exec(run.output()) ?? assert.fail(run.output())
  const [, admin] = /Admin API +(http:\S+)/.exec(run.output()) ?? assert.fail(run.output())
  return { prices: prices!, admin: admin! }
}

describe("main.ts", () => {
  it("guards its calls, obeys the admin API, and stops within a second", { timeout: 30_000 }, async () => {
    const run = start()
    const { admin, prices } = await started(run)
    const [, key] = /Key +(\S{32}) +\(random, for this run/.exec(run.output())!
    const post = async (path: string, body: unknown) => {
      const headers = { "x-api-key": key!, "content-type": "application/json" }
      return (await fetch(`${admin}${path}`, { method: "POST", headers, body: JSON.stringify(body) })).status
    }

    const price = await fetch(prices)
    assert.strictEqual(price.status, 200)
    assert.deepStrictEqual(await price.json(), { item: "tea", cents: 300 })
    assert.strictEqual((await fetch(new URL("/", prices))).status, 404)
    assert.strictEqual((await fetch(new URL("/internal/resilience/health", prices))).status, 404)

    assert.strictEqual((await fetch(`${admin}/health`)).status, 401)
    const health = await fetch(`${admin}/health`, { headers: { authorization: `Bearer ${key}` } })
    assert.strictEqual(health.status, 200)
    assert.deepInclude(await health.json(), { healthy: true })

    assert.strictEqual(await post("/circuit-breakers/look_up_price/isolate", { reason: "the supplier moves" }), 200)
    const refused = await fetch(prices)
    assert.strictEqual(refused.status, 503)
    assert.match(((await refused.json()) as { readonly error: string }).error, /^look_up_price: /)
    assert.strictEqual(await post("/circuit-breakers/look_up_price/close", { reason: "it has moved" }), 200)
    assert.strictEqual((await fetch(prices)).status, 200)

    const before = performance.now()
    process.kill(run.child.pid!, "SIGTERM")
    assert.strictEqual(await run.code, 0, run.output())
    assert.isBelow(performance.now() - before, 1000)
    assert.strictEqual(run.output().split(key!).length, 2)
  })

  it("never prints the key that it was given", { timeout: 30_000 }, async () => {
    const run = start({ API_KEY: "a-key-of-the-environment" })
    const { admin } = await started(run)
    const headers = { "x-api-key": "a-key-of-the-environment" }
    assert.strictEqual((await fetch(`${admin}/health`, { headers })).status, 200)
    process.kill(run.child.pid!, "SIGINT")
    assert.strictEqual(await run.code, 0, run.output())
    assert.notInclude(run.output(), "a-key-of-the-environment")
  })

  it.each(["PORT", "ADMIN_PORT"])("says what to do about a %s that is taken", { timeout: 30_000 }, async (name) => {
    const other = createServer().listen(0, "127.0.0.1")
    await once(other, "listening")
    const { port } = other.address() as AddressInfo
    const run = start({ [name]: String(port) })
    assert.strictEqual(await run.code, 1)
    other.close()
    assert.strictEqual(run.output(), `Port ${port} is taken by another program. Choose another one with ${name}.\n`)
  })
})
