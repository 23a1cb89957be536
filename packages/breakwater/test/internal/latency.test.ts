import { assert, describe, it } from "@effect/vitest"
import { LatencyRecorder, read } from "../../src/internal/latency.ts"

const recorder = (...records: ReadonlyArray<readonly [at: number, millis: number]>): LatencyRecorder => {
  const made = new LatencyRecorder()
  for (const [at, millis] of records) made.recordAt(at, millis)
  return made
}

describe("LatencyRecorder", () => {
  it("tells nothing while nothing is recorded", () => {
    const { recent, total } = read(5_000_000, [undefined, recorder()])
    assert.deepStrictEqual(total, { count: 0, mean: 0, p50: 0, p90: 0, p95: 0, p99: 0, max: 0 })
    assert.deepStrictEqual(recent, total)
    assert.strictEqual(recorder().latest, -Infinity)
  })

  it("keeps what is older than a minute in the total only", () => {
    const made = recorder([1_000_000, 1], [1_020_000, 2], [1_031_000, 3])
    assert.strictEqual(read(1_032_000, [made]).recent.count, 3)
    const { recent, total } = read(1_062_000, [made])
    assert.deepInclude(recent, { count: 1, mean: 3, max: 3 })
    assert.deepInclude(total, { count: 3, mean: 2, max: 3 })
    assert.strictEqual(read(1_200_000, [made]).recent.count, 0)
    assert.strictEqual(read(9_000_000, [made]).total.count, 3)
  })

  it("reads several as one", () => {
    const parts = [recorder([1_000_000, 1]), undefined, recorder([1_000_000, 100], [1_040_000, 7])]
    const { recent, total } = read(1_041_000, parts)
    assert.deepInclude(total, { count: 3, mean: 36, max: 100 })
    assert.deepInclude(recent, { count: 3, max: 100 })
    assert.strictEqual(read(1_071_000, parts).recent.count, 1)
  })

  it("remembers when it recorded last, however long ago", () => {
    const made = recorder([1_000_000, 1], [1_040_000, 1])
    assert.strictEqual(made.latest, 1_040_000)
    read(9_000_000, [made])
    assert.strictEqual(made.latest, 1_040_000)
  })
})
