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
  })

  it("keeps what is older than a minute in the total only", () => {
    const made = recorder([1_000_000, 1], [1_020_000, 2], [1_031_000, 3])
    assert.strictEqual(read(1_032_000, [made]).recent.count, 3)
    const { recent, total } = read(1_062_000, [made])
    assert.deepInclude(recent, { count: 2, mean: 2.5, max: 3 })
    assert.deepInclude(total, { count: 3, mean: 2, max: 3 })
    assert.strictEqual(read(1_080_000, [made]).recent.count, 0)
    assert.strictEqual(read(9_000_000, [made]).total.count, 3)
  })

  it("tells of less than a minute, however the records lie in it", () => {
    const made = recorder([1_000_000, 1], [1_059_000, 2])
    assert.strictEqual(read(1_060_000, [made]).recent.count, 1)
    assert.strictEqual(read(1_088_000, [made]).recent.count, 1)
    for (const start of [0, 7_000, 29_999]) {
      for (let pause = 1_000; pause <= 60_000; pause += 1_000) {
        const often = new LatencyRecorder()
        for (let at = start; at <= 200_000; at += pause) {
          often.recordAt(at, at)
          const now = at + pause / 2
          const { count, max } = read(now, [often]).recent
          const oldest = max - (count - 1) * pause
          assert.isBelow(now - oldest, 60_000, `a record each ${pause} ms from ${start} on, read at ${now}`)
          assert.isAtMost(now - Math.max(oldest - pause, start - pause), 60_000 + pause)
          if (oldest > start) assert.isAtLeast(now - (oldest - pause), 30_000)
        }
      }
    }
  })

  it("reads several as one", () => {
    const parts = [recorder([1_000_000, 1]), undefined, recorder([1_000_000, 100], [1_040_000, 7])]
    const { recent, total } = read(1_041_000, parts)
    assert.deepInclude(total, { count: 3, mean: 36, max: 100 })
    assert.deepInclude(recent, { count: 3, max: 100 })
    assert.strictEqual(read(1_071_000, parts).recent.count, 1)
  })

  it("takes a clock that went back for one that stood still", () => {
    const made = recorder([1_000_000, 1], [900_000, 2])
    assert.deepInclude(read(1_000_000, [made]).recent, { count: 2, max: 2 })
    assert.strictEqual(read(900_000, [made]).recent.count, 2)
  })
})
