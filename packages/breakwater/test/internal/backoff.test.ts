import { assert, describe, it } from "@effect/vitest"
import { Duration, Schema } from "effect"
import { Preset, Strategy } from "breakwater"
import * as backoff from "../../src/internal/backoff.ts"

const jitters = ["none", "full", "equal", "decorrelated", "additive"] as const

const between = (minimum: number, maximum: number) => Schema.Finite.check(Schema.isBetween({ minimum, maximum }))
const hour = 3_600_000

/** What settings may hold: bases from a millisecond to an hour, growth from 1 to 10. */
const fields = {
  base: Schema.Union([between(1, hour), Schema.Literals([1, 200, hour])]),
  factor: Schema.Union([between(1, 10), Schema.Literals([1, 2, 10])]),
  min: Schema.Union([between(0, hour), Schema.Literal(0)]),
  max: Schema.Union([between(1, hour), Schema.Literals([1, 20_000, hour])]),
  jitterMax: Schema.Union([between(0, hour), Schema.Literal(0)]),
  attempt: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2_000 })),
  // The hint of an attempt before may have made a pause longer than the cap.
  previous: Schema.Union([between(0, 10 * hour), Schema.Literal(0)]),
  random: Schema.Union([between(0, 1 - Number.EPSILON), Schema.Literals([0, 0.5, 1 - Number.EPSILON])])
}

const settingsOf = (
  input: {
    readonly base: number
    readonly factor: number
    readonly min: number
    readonly max: number
    readonly jitterMax: number
  },
  jitter: backoff.Jitter
): backoff.Settings => ({ ...input, jitter })

const law = { arbitrary: { runs: 10_000 } }

/** Rounding may put a sum of two parts an ulp above their whole. */
const atMost = (value: number, bound: number) => assert.isAtMost(value, bound * (1 + 1e-12))

describe("backoff", () => {
  it.prop(
    "is finite, at least 0 and at most the cap, with any kind of jitter",
    fields,
    ({ attempt, previous, random, ...input }) => {
      for (const jitter of jitters) {
        const wait = backoff.next(settingsOf(input, jitter), { attempt, previous, random, retryAfter: undefined })
        assert.isTrue(Number.isFinite(wait), jitter)
        assert.isAtLeast(wait, 0, jitter)
        assert.isAtMost(wait, input.max, jitter)
      }
    },
    law
  )

  it.prop(
    "spreads a pause within the range of its kind",
    fields,
    ({ attempt, previous, random, ...input }) => {
      const wait = (jitter: backoff.Jitter) =>
        backoff.next(settingsOf(input, jitter), { attempt, previous, random, retryAfter: undefined })
      const plain = Math.min(Math.max(input.base * input.factor ** Math.min(attempt - 1, 1_000), input.min), input.max)
      assert.approximately(wait("none"), plain, plain * 1e-12)
      assert.isAtLeast(wait("full"), 0)
      atMost(wait("full"), plain)
      assert.isAtLeast(wait("equal"), (plain / 2) * (1 - 1e-12))
      atMost(wait("equal"), plain)
      assert.isAtLeast(wait("additive"), plain)
      atMost(wait("additive"), Math.min(plain + input.jitterMax, input.max))
      const first = Math.min(Math.max(input.base, input.min), input.max)
      assert.isAtLeast(wait("decorrelated"), first)
      atMost(wait("decorrelated"), Math.min(Math.max(previous * 3, first), input.max))
    },
    law
  )

  it("reaches both ends of each kind's range", () => {
    const settings = { base: 1_000, factor: 2, min: 0, max: 60_000, jitterMax: 500 }
    const wait = (jitter: backoff.Jitter, random: number) =>
      backoff.next(settingsOf(settings, jitter), { attempt: 3, previous: 2_000, random, retryAfter: undefined })
    const almost = 1 - Number.EPSILON
    const range = (jitter: backoff.Jitter) => [wait(jitter, 0), Math.round(wait(jitter, almost))]
    assert.deepStrictEqual(range("none"), [4_000, 4_000])
    assert.deepStrictEqual(range("full"), [0, 4_000])
    assert.deepStrictEqual(range("equal"), [2_000, 4_000])
    assert.deepStrictEqual(range("decorrelated"), [1_000, 6_000])
    assert.deepStrictEqual(range("additive"), [4_000, 4_500])
  })

  it.prop(
    "never grows shorter from one attempt to the next, without jitter",
    fields,
    ({ attempt, base, factor, jitterMax, max, min }) => {
      const settings = settingsOf({ base, factor, min, max, jitterMax }, "none")
      assert.isAtMost(backoff.plain(settings, attempt), backoff.plain(settings, attempt + 1))
      assert.isAtMost(backoff.plain(settings, attempt), max)
    },
    law
  )

  it.prop(
    "honours a Retry-After in full, with the jitter above it",
    { ...fields, retryAfter: Schema.Union([between(0, 100 * hour), Schema.Literals([0, 1, hour])]) },
    ({ attempt, previous, random, retryAfter, ...input }) => {
      for (const jitter of jitters) {
        const settings = settingsOf(input, jitter)
        const without = backoff.next(settings, { attempt, previous, random, retryAfter: undefined })
        const wait = backoff.next(settings, { attempt, previous, random, retryAfter })
        assert.isTrue(Number.isFinite(wait))
        assert.isAtLeast(wait, retryAfter)
        assert.isAtLeast(wait, without)
        if (retryAfter <= without) assert.strictEqual(wait, without)
        else if (jitter === "none") assert.strictEqual(wait, retryAfter)
        else atMost(wait, retryAfter + Math.min(input.jitterMax, input.max))
      }
    },
    law
  )

  it("spreads callers that were told the same Retry-After", () => {
    const settings = settingsOf({ base: 100, factor: 2, min: 0, max: 1_000, jitterMax: 2_000 }, "full")
    const wait = (random: number) => backoff.next(settings, { attempt: 1, previous: 0, random, retryAfter: 30_000 })
    assert.strictEqual(wait(0), 30_000)
    // The spread is cut to the cap.
    assert.strictEqual(wait(0.5), 30_500)
  })
})

describe("the pauses without jitter", () => {
  const pauses = ({ settings }: Strategy.Strategy): ReadonlyArray<number> => {
    const { retry } = settings
    if (retry === false) throw new Error("no retry")
    const numbers: backoff.Settings = {
      base: Duration.toMillis(retry.base),
      factor: retry.factor,
      min: Duration.toMillis(retry.minDelay),
      max: Duration.toMillis(retry.maxDelay),
      jitter: "none",
      jitterMax: Duration.toMillis(retry.jitterMax)
    }
    return Array.from({ length: retry.maxAttempts - 1 }, (_, i) => backoff.plain(numbers, i + 1) / 1_000)
  }

  const strategies = {
    aggressive: [1],
    balanced: [2, 2],
    conservative: [4, 4, 8, 16],
    critical: [3, 3, 6, 12, 24, 48]
  }
  for (const [name, expected] of Object.entries(strategies)) {
    it(`of ${name} are ${expected.join(", ")} seconds`, () => {
      assert.deepStrictEqual(pauses(Strategy.builtIn[name as Strategy.BuiltIn]), expected)
    })
  }

  const presets = {
    simple: [2, 2],
    development: [1],
    production: [2, 3, 6, 12]
  }
  for (const [name, expected] of Object.entries(presets)) {
    it(`of an operation under the default strategy of ${name} are ${expected.join(", ")} seconds`, () => {
      const preset = Preset.builtIn[name as keyof typeof presets]
      assert.deepStrictEqual(pauses(Preset.resolve(preset, {}, "anything").strategy), expected)
    })
  }
})
