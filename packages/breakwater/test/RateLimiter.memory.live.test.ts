import { assert, describe, it } from "@effect/vitest"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"

describe("memory of a rate limiter", () => {
  it("is bounded over 200,000 distinct keys, at rest or not", { timeout: 60_000 }, async () => {
    const child = fileURLToPath(new URL("RateLimiter.memoryChild.ts", import.meta.url))
    const { stdout } = await promisify(execFile)(process.execPath, ["--expose-gc", child, "200000"])
    const growth = JSON.parse(stdout) as Record<string, { soon: number; never: number; kept: number }>
    assert.strictEqual(Object.keys(growth).length, 2)
    for (const [algorithm, { kept, never, soon }] of Object.entries(growth)) {
      assert.isBelow(soon, 32 * 1024 * 1024, algorithm)
      assert.isBelow(never, 32 * 1024 * 1024, algorithm)
      assert.isAbove(kept, 9_000, algorithm)
      assert.isAtMost(kept, 10_001, algorithm)
    }
  })
})
