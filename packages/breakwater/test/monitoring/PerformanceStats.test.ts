import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { compare, stats, type Timed } from "../../src/monitoring/internal/performanceStats.ts"

const millis = Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 100_000 }))
const samples = Schema.Array(millis).check(Schema.isMinLength(1), Schema.isMaxLength(200))

const isNear = (actual: number, expected: number, what: string) =>
  assert.closeTo(actual, expected, 1e-9 * Math.max(1, Math.abs(expected)), what)

/** As a textbook has it. */
const naive = (values: ReadonlyArray<number>) => {
  const n = values.length
  let sum = 0
  for (const value of values) sum += value
  const mean = sum / n
  let squares = 0
  for (const value of values) squares += (value - mean) * (value - mean)
  /** The smallest value that at least the fraction of all do not exceed. */
  const rank = (fraction: number) =>
    Math.min(...values.filter((value) => values.filter((other) => other <= value).length >= fraction * n - 1e-9))
  return {
    total: sum,
    mean,
    min: Math.min(...values),
    max: Math.max(...values),
    stdDev: n === 1 ? 0 : Math.sqrt(squares / (n - 1)),
    p50: rank(0.5),
    p95: rank(0.95),
    p99: rank(0.99)
  }
}

describe("the statistics", () => {
  it.prop("are those of a naive model", [samples], ([values]) => {
    const { count, ...actual } = stats(Float64Array.from(values))
    assert.strictEqual(count, values.length)
    const expected = naive(values)
    for (const name of Object.keys(expected) as Array<keyof typeof expected>) isNear(actual[name], expected[name], name)
  })

  it("are 0 without samples and have no deviation for one", () => {
    const none = { count: 0, total: 0, mean: 0, min: 0, max: 0, stdDev: 0, p50: 0, p95: 0, p99: 0 }
    assert.deepStrictEqual(stats(new Float64Array()), none)
    const one = { count: 1, total: 3, mean: 3, min: 3, max: 3, stdDev: 0, p50: 3, p95: 3, p99: 3 }
    assert.deepStrictEqual(stats(Float64Array.of(3)), one)
  })

  it("leave the samples in their order", () => {
    const values = Float64Array.of(3, 1, 2)
    stats(values)
    assert.deepStrictEqual(Array.from(values), [3, 1, 2])
  })
})

describe("the comparison", () => {
  const timed = (id: string, medians: Record<string, number>): Timed => ({
    id,
    medians: new Map(Object.entries(medians))
  })

  it("calls slower what takes more than 20 % longer, and nothing else", () => {
    const before = timed("before", { a: 10, b: 10, c: 10, d: 0 })
    const changes = compare(timed("now", { a: 12, b: 12.004, c: 5, d: 7, e: 1 }), [before])
    assert.deepStrictEqual(
      changes.map(({ changePercent, operation, regressed }) => [operation, changePercent, regressed]),
      [
        ["a", 20, false],
        ["b", 20, true],
        ["c", -50, false],
        ["d", 0, false]
      ]
    )
  })

  it("takes for each benchmark the latest run that has it", () => {
    const changes = compare(timed("now", { a: 10, b: 10 }), [
      timed("latest", { a: 10 }),
      timed("older", { a: 1, b: 5 })
    ])
    assert.deepStrictEqual(
      changes.map(({ comparedWith, operation, regressed }) => [operation, comparedWith, regressed]),
      [
        ["a", "latest", false],
        ["b", "older", true]
      ]
    )
  })
})
