import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

describe("memory", () => {
  it(
    "is flat over 1,000,000 calls of 10,000 operations with events and decisions on",
    { timeout: 60_000 },
    async () => {
      const child = fileURLToPath(new URL("memoryChild.ts", import.meta.url))
      const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", child])
      const [half, whole] = JSON.parse(stdout) as [number, number]
      assert.isBelow(whole - half, 2 * 1024 * 1024, `grew from ${half} to ${whole} bytes`)
    }
  )
})
