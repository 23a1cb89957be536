import { assert, describe, it } from "@effect/vitest"
import { ClockOffset } from "../../page/model/clockOffset.ts"
import { between, type Counted } from "../../page/model/counts.ts"
import { type Point, Series } from "../../page/model/series.ts"
import { moved, visible } from "../../page/model/windowing.ts"

const counted = (at: number, fields: Partial<Counted> = {}): Counted => ({
  at,
  calls: 0,
  succeeded: 0,
  failed: 0,
  rejected: 0,
  interrupted: 0,
  attempts: 0,
  retries: 0,
  ...fields
})

describe("between two snapshots", () => {
  it("divides what happened by the time that passed", () => {
    const rates = between(
      counted(1_000, { calls: 10, succeeded: 8, failed: 1, attempts: 14, retries: 4 }),
      counted(3_000, { calls: 20, succeeded: 14, failed: 3, rejected: 2, attempts: 26, retries: 8 })
    )!
    assert.strictEqual(rates.calls, 5)
    assert.strictEqual(rates.succeeded, 3)
    assert.strictEqual(rates.rejected, 1)
    assert.strictEqual(rates.successRate, 0.6)
    // 12 attempts by the 8 calls that were let through.
    assert.strictEqual(rates.attemptsPerCall, 1.5)
  })

  it("does not count attempts of a call that was refused in the end as those of the others", () => {
    // Two calls made three attempts each and were then refused by a circuit that had opened.
    const rates = between(counted(0), counted(1_000, { calls: 2, rejected: 2, attempts: 6, retries: 4 }))!
    assert.strictEqual(rates.attemptsPerCall, 3)
  })

  it("says nothing when the counters were reset, or no time passed", () => {
    assert.isUndefined(between(counted(1_000, { calls: 10 }), counted(2_000, { calls: 3 })))
    assert.isUndefined(between(counted(1_000), counted(1_000)))
  })

  it("has no success rate while no call ended", () => {
    const rates = between(counted(0), counted(1_000, { calls: 3, attempts: 3 }))!
    assert.isUndefined(rates.successRate)
    assert.strictEqual(rates.attemptsPerCall, 1)
  })
})

const point = (at: number): Point => ({
  at,
  calls: at * 2,
  succeeded: 0,
  failed: 0,
  rejected: 0,
  attemptsPerCall: NaN,
  p50: 0,
  p95: 0,
  p99: 0,
  inFlight: 0
})

describe("Series", () => {
  it("keeps the latest points in their order", () => {
    const series = new Series(3)
    for (const at of [1, 2, 3, 4, 5]) series.push(point(at))
    assert.strictEqual(series.length, 3)
    assert.deepStrictEqual(series.column("at"), [3, 4, 5])
    assert.deepStrictEqual(series.column("calls", 2), [8, 10])
    assert.strictEqual(series.at(0)?.calls, 6)
    assert.isUndefined(series.at(3))
  })

  it("finds the point that was the latest at a moment", () => {
    const series = new Series(10)
    for (const at of [10, 20, 30]) series.push(point(at))
    assert.strictEqual(series.before(25)?.at, 20)
    assert.strictEqual(series.before(30)?.at, 30)
    assert.isUndefined(series.before(9))
  })
})

describe("ClockOffset", () => {
  it("comes to the offset from headers that know seconds only", () => {
    const clock = new ClockOffset()
    const offset = 5_250
    for (let round = 0; round < 40; round++) {
      const sent = 100_000 + round * 1_137
      const date = Math.floor((sent + 10 + offset) / 1000) * 1000
      clock.observe({ sent, received: sent + 20, date })
    }
    assert.closeTo(clock.millis, offset, 60)
  })

  it("says 0 while the clocks may agree", () => {
    const clock = new ClockOffset()
    assert.strictEqual(clock.millis, 0)
    clock.observe({ sent: 1_600, received: 1_650, date: 1_000 })
    assert.strictEqual(clock.millis, 0)
  })

  it("forgets what it knew when a clock was set", () => {
    const clock = new ClockOffset()
    clock.observe({ sent: 1_000, received: 1_010, date: 1_000 })
    clock.observe({ sent: 2_000, received: 2_010, date: 62_000 })
    assert.closeTo(clock.millis, 60_000, 1_000)
  })
})

describe("a list of which a part is drawn", () => {
  const grid = { minWidth: 290, rowHeight: 170, gap: 10 }

  it("draws what is on the screen and two rows around it", () => {
    const shown = visible(2_000, { scrollTop: 1_800, height: 900, width: 1_190 }, grid)
    assert.strictEqual(shown.columns, 4)
    assert.strictEqual(shown.rows, 500)
    assert.strictEqual(shown.from, 8 * 4)
    assert.strictEqual(shown.to, 17 * 4)
    assert.strictEqual(shown.top, 8 * 180)
    assert.strictEqual(shown.height, 500 * 180 - 10)
  })

  it("has one column where there is no room for two, and no height without items", () => {
    assert.strictEqual(visible(3, { scrollTop: 0, height: 700, width: 200 }, grid).columns, 1)
    assert.strictEqual(visible(0, { scrollTop: 0, height: 700, width: 200 }, grid).height, 0)
  })

  it("stays inside when the list became shorter than where it was scrolled to", () => {
    const shown = visible(5, { scrollTop: 90_000, height: 700, width: 1_190 }, grid)
    assert.isAtMost(shown.from, 5)
    assert.isAtLeast(shown.to, shown.from)
  })

  it("moves the focus by item and by row, and stops at the ends", () => {
    assert.strictEqual(moved("ArrowDown", 1, 10, 4), 5)
    assert.strictEqual(moved("ArrowUp", 5, 10, 4), 1)
    assert.strictEqual(moved("End", 1, 10, 4), 9)
    assert.isUndefined(moved("ArrowUp", 1, 10, 4))
    assert.isUndefined(moved("ArrowRight", 9, 10, 4))
    assert.isUndefined(moved("x", 1, 10, 4))
  })
})
