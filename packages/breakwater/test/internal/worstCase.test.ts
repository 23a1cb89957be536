import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import * as backoff from "../../src/internal/backoff.ts"
import { type Settings, slowAttempts, worstCase } from "../../src/internal/worstCase.ts"

const settings = (
  over: Partial<Omit<Settings, "backoff">> & { readonly backoff?: Partial<backoff.Settings> } = {}
): Settings => ({
  attempts: 3,
  attempt: 1_000,
  total: 60_000,
  waitOnce: 0,
  waitEach: 0,
  ...over,
  backoff: { base: 1_000, factor: 2, min: 0, max: 20_000, jitter: "none", jitterMax: 0, ...over.backoff }
})

const mulberry32 = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

describe("the worst case", () => {
  const cases: ReadonlyArray<
    readonly [name: string, settings: Settings, latency: number, withRetryAfter: number, calls: number]
  > = [
    ["of one attempt is its limit", settings({ attempts: 1 }), 1_000, 1_000, 1],
    ["of several adds the pauses", settings(), 3 * 1_000 + 1_000 + 2_000, 60_000, 3],
    ["adds the longest jitter", settings({ backoff: { jitter: "additive", jitterMax: 500 } }), 7_000, 60_000, 3],
    ["has the whole pause with full jitter", settings({ backoff: { jitter: "full" } }), 6_000, 60_000, 3],
    // From 1 to 3, and from 1 to 9 seconds.
    ["follows decorrelated pauses up", settings({ backoff: { jitter: "decorrelated" } }), 6_000 + 1_000, 60_000, 3],
    ["cuts pauses at the longest", settings({ backoff: { max: 1_200 } }), 5_200, 60_000, 3],
    ["waits once, and before each attempt", settings({ waitOnce: 100, waitEach: 10 }), 6_130, 60_000, 3],
    ["is cut at the total", settings({ total: 5_500 }), 5_500, 5_500, 3],
    ["ends with the pause that does not fit", settings({ total: 1_000 }), 1_000, 1_000, 1],
    ["leaves out what pauses leave no time for", settings({ total: 3_000 }), 3_000, 3_000, 2],
    ["has no end without limits", settings({ attempt: Infinity, total: Infinity }), Infinity, Infinity, 3],
    ["needs no pauses for one attempt", { ...settings({ attempts: 1 }), backoff: undefined }, 1_000, 1_000, 1]
  ]
  for (const [name, settings, latency, latencyWithRetryAfter, calls] of cases) {
    it(`${name}: ${latency} ms and ${calls} calls`, () => {
      assert.deepStrictEqual(worstCase(settings), { latency, latencyWithRetryAfter, calls })
    })
  }

  it("counts the attempts that can start when all are slow", () => {
    assert.strictEqual(slowAttempts(settings()), 3)
    // They start at 0, 2 and 5 seconds.
    assert.strictEqual(slowAttempts(settings({ total: 5_001 })), 3)
    assert.strictEqual(slowAttempts(settings({ total: 5_000 })), 2)
    assert.strictEqual(slowAttempts(settings({ total: 2_000 })), 1)
    assert.strictEqual(slowAttempts(settings({ attempts: 1, total: 10 })), 1)
  })

  const millis = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 1, maximum }))
  const numbers = Schema.Struct({
    attempts: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 })),
    base: millis(5_000),
    factor: Schema.Finite.check(Schema.isBetween({ minimum: 1, maximum: 10 })),
    min: millis(10_000),
    max: millis(60_000),
    jitter: Schema.Literals(["none", "full", "equal", "decorrelated", "additive"]),
    jitterMax: millis(10_000),
    attempt: millis(60_000),
    total: millis(600_000),
    waitOnce: millis(5_000),
    waitEach: millis(5_000)
  })

  /** One call, as the policies make it: how long it takes, and how many attempts it has. */
  const simulate = (
    { attempt, attempts, backoff: pauses, total, waitEach, waitOnce }: Settings,
    share: { readonly of: (nth: number) => number; readonly draw: (nth: number) => number },
    retryAfter?: number
  ) => {
    let now = Math.min(waitOnce * share.of(0), total)
    let previous = 0
    let calls = 0
    while (calls < attempts) {
      now = Math.min(now + (waitEach + attempt) * share.of(calls), total)
      calls++
      previous = backoff.next(pauses!, { attempt: calls, previous, random: share.draw(calls - 1), retryAfter })
      if (calls === attempts || now + previous >= total) break
      now += previous
    }
    return { elapsed: now, calls }
  }

  it.prop(
    "is never exceeded, whatever attempts take, jitter draws and the dependency asks for",
    { numbers, seed: Schema.Int, retryAfter: millis(100_000) },
    ({ numbers: { attempt, attempts, total, waitEach, waitOnce, ...backoff }, retryAfter, seed }) => {
      const settings: Settings = { attempts, attempt, total, waitOnce, waitEach, backoff }
      const worst = worstCase(settings)
      const random = mulberry32(seed)
      const shares = Array.from({ length: 42 }, () => random())
      const share = { of: (n: number) => shares[n]!, draw: (n: number) => shares[n + 21]! }
      const usual = simulate(settings, share)
      // Products of random shares are not exact.
      assert.isAtMost(usual.elapsed, worst.latency + 1e-6)
      assert.isAtMost(usual.calls, worst.calls)
      const asked = simulate(settings, share, retryAfter)
      assert.isAtMost(asked.elapsed, worst.latencyWithRetryAfter + 1e-6)
      assert.isAtMost(asked.calls, worst.calls)
    },
    { arbitrary: { runs: 10_000 } }
  )

  it.prop(
    "is reached: in calls by attempts that fail at once, in time by attempts as slow as may be",
    { numbers },
    ({ numbers: { attempt, attempts, total, waitEach, waitOnce, ...jittered } }) => {
      const backoff_ = { ...jittered, jitter: "none" as const }
      const settings: Settings = { attempts, attempt, total, waitOnce, waitEach, backoff: backoff_ }
      const worst = worstCase(settings)
      const atOnce = simulate(settings, { of: () => 0, draw: () => 0 })
      assert.strictEqual(atOnce.calls, worst.calls)
      // As slow as leaves time for every attempt that can start.
      let low = 0
      let high = 1
      for (let step = 0; step < 60; step++) {
        const of = (low + high) / 2
        if (simulate(settings, { of: (n) => (n === worst.calls - 1 ? 1 : of), draw: () => 0 }).calls === worst.calls)
          low = of
        else high = of
      }
      const { elapsed } = simulate(settings, { of: (n) => (n === worst.calls - 1 ? 1 : low), draw: () => 0 })
      const slowest = Math.max(elapsed, simulate(settings, { of: () => 1, draw: () => 0 }).elapsed)
      assert.closeTo(slowest, worst.latency, 1e-3)
    },
    { arbitrary: { runs: 2_000 } }
  )
})
