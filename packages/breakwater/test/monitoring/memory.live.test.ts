import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

describe("memory", () => {
  it(
    "is flat over 1,000,000 calls of 10,000 operations and as many events, with all that watches on",
    { timeout: 180_000 },
    async () => {
      const child = fileURLToPath(new URL("memoryChild.ts", import.meta.url))
      const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", child])
      const [half, whole, events, alerts] = JSON.parse(stdout) as [number, number, number, number]
      assert.isAtLeast(events, 1_000_000)
      assert.strictEqual(alerts, 1_000)
      assert.isBelow(whole - half, 2 * 1024 * 1024, `grew from ${half} to ${whole} bytes`)
    }
  )
})
