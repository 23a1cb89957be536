import { assert, describe, it } from "@effect/vitest"
import { PairCounts } from "../../src/internal/pairCounts.ts"

describe("PairCounts", () => {
  it("tells the first time, and then once a minute with the count so far", () => {
    const pairs = new PairCounts()
    assert.strictEqual(pairs.add("a", 0), 1)
    assert.isUndefined(pairs.add("a", 1))
    assert.isUndefined(pairs.add("a", 59_999))
    assert.strictEqual(pairs.add("b", 59_999), 1)
    assert.strictEqual(pairs.add("a", 60_000), 4)
    assert.isUndefined(pairs.add("a", 60_001))
  })

  it("counts those beyond its bound as one", () => {
    const pairs = new PairCounts()
    for (let i = 0; i < 64; i++) assert.strictEqual(pairs.add(`known ${i}`, 0), 1)
    assert.strictEqual(pairs.add("x", 0), 1)
    for (let i = 0; i < 100; i++) assert.isUndefined(pairs.add(`more ${i}`, 0))
    assert.strictEqual(pairs.add("y", 60_000), 102)
  })
})
