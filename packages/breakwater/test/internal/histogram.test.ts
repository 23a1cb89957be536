import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { count, Histogram, percentiles, sum } from "../../src/internal/histogram.ts"

const fractions = { p50: 0.5, p90: 0.9, p95: 0.95, p99: 0.99 } as const
/** Durations are told apart down to this many milliseconds. */
const unit = 1 / 1024
/** From here on, all durations are told as the longest. */
const overflow = (2 ** 31 - 2 ** 26) * unit

const recorded = (samples: ReadonlyArray<number>): Histogram => {
  const histogram = new Histogram()
  for (const sample of samples) histogram.record(sample)
  return histogram
}

/** The smallest sample that is not exceeded by the fraction. */
const exact = (samples: ReadonlyArray<number>, fraction: number): number =>
  samples.toSorted((a, b) => a - b)[Math.ceil(samples.length * fraction) - 1]!

const check = (samples: ReadonlyArray<number>) => {
  const found = percentiles(recorded(samples))
  for (const name of ["p50", "p90", "p95", "p99"] as const) {
    const expected = exact(samples, fractions[name])
    assert.isAtLeast(found[name], expected, name)
    assert.isAtMost(found[name], found.max, name)
    if (expected >= overflow) assert.strictEqual(found[name], found.max, name)
    else assert.isAtMost(found[name], Math.max(expected * (1 + 1 / 16), expected + unit), name)
  }
  assert.strictEqual(found.max, Math.max(...samples))
}

const millis = Schema.Union([
  Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 2 })),
  Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 2_000 })),
  Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 90_000_000 })),
  Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 }))
])

describe("Histogram", () => {
  it("tells nothing while nothing is recorded", () => {
    const histogram = new Histogram()
    assert.strictEqual(count(histogram), 0)
    assert.strictEqual(sum(histogram), 0)
    assert.deepStrictEqual(percentiles(histogram), { p50: 0, p90: 0, p95: 0, p99: 0, max: 0 })
  })

  it("is exact for one duration", () => {
    for (const millis of [0, 0.001, 0.5, 1, 17, 1_000, 3_600_000]) {
      const histogram = recorded([millis])
      assert.deepStrictEqual(percentiles(histogram), {
        p50: millis,
        p90: millis,
        p95: millis,
        p99: millis,
        max: millis
      })
      assert.strictEqual(count(histogram), 1)
      assert.strictEqual(sum(histogram), millis)
    }
  })

  it("counts and sums", () => {
    const histogram = recorded([1, 2, 3, 4])
    assert.strictEqual(count(histogram), 4)
    assert.strictEqual(sum(histogram), 10)
  })

  it("takes the rank upwards", () => {
    // One slow call among a hundred is above p99, two are not.
    const fast = Array.from({ length: 98 }, () => 1)
    assert.isAtMost(percentiles(recorded([...fast, 1, 1_000])).p99, 17 / 16)
    assert.isAtLeast(percentiles(recorded([...fast, 1_000, 1_000])).p99, 1_000)
  })

  it("keeps zero apart from what is not", () => {
    const { max, p50 } = percentiles(recorded([0, 0, 0, 50]))
    assert.isAtMost(p50, unit)
    assert.strictEqual(max, 50)
  })

  it("tells no duration shorter than it was, up to a day and above", () => {
    const day = 86_400_000
    for (let millis = unit / 2; millis <= 4 * day; millis *= 1.07) {
      check([millis, millis * 1.01, millis * 3])
      assert.isAtLeast(percentiles(recorded([millis])).p50, millis)
    }
    check([1e12, 1e15])
  })

  it("takes a clock that went back for nothing", () => {
    const histogram = recorded([-5, 10])
    assert.strictEqual(count(histogram), 2)
    assert.isAtMost(percentiles(histogram).p50, unit)
    assert.strictEqual(percentiles(histogram).max, 10)
  })

  it.prop(
    "is at most 1/16 above the exact percentile, and never below it",
    { samples: Arbitrary.array(Arbitrary.schema(millis), { minLength: 1, maxLength: 300 }) },
    ({ samples }) => check(samples),
    { arbitrary: { runs: 2_000, size: 200 } }
  )
})
