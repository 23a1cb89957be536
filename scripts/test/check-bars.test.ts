import { assert, describe, it } from "@effect/vitest"
import { type Bar, judge, line, type Row } from "../check-bars.ts"

const time = (contestant: string, nsPerCall: number, name = "a call"): Row => ({ name, contestant, nsPerCall })
const memory = (value: number): Row => ({ name: "memory", contestant: "breakwater", value, unit: "bytes" })

const lines = (rows: ReadonlyArray<Row>, bar: Bar): ReadonlyArray<string> => judge(rows, [bar]).map(line)

describe("check-bars", () => {
  it("compares with a contestant of the same row", () => {
    const bar: Bar = { row: "a call", rule: { _tag: "times", contestant: "peer" }, limit: 0.3 }
    assert.deepStrictEqual(lines([time("breakwater", 30), time("peer", 100), time("peer", 1, "other")], bar), [
      "ok        0.30 <= 0.30      a call: × peer"
    ])
    assert.deepStrictEqual(lines([time("breakwater", 31), time("peer", 100)], bar), [
      "FAIL      0.31 <= 0.30      a call: × peer"
    ])
  })

  it("holds another contestant of ours to a bar of its own", () => {
    const bar: Bar = { row: "a call", contestant: "ours", rule: { _tag: "times", contestant: "peer" }, limit: 0.3 }
    assert.deepStrictEqual(lines([time("breakwater", 1), time("ours", 31), time("peer", 100)], bar), [
      "FAIL      0.31 <= 0.30      a call: ours: × peer"
    ])
  })

  it("compares what each costs above its own bare call", () => {
    const rule = { _tag: "timesAboveBare", contestant: "peer", bare: "bare promise", ourBare: "bare effect" } as const
    const rows = [time("breakwater", 500), time("bare effect", 200), time("peer", 250), time("bare promise", 50)]
    assert.deepStrictEqual(judge(rows, [{ row: "a call", rule, limit: 1.5 }])[0]?.value, 1.5)
  })

  it("compares breakwater with itself in another row", () => {
    const bar: Bar = { row: "many", rule: { _tag: "timesRow", other: "few" }, limit: 1.15 }
    const rows = [time("breakwater", 120, "many"), time("breakwater", 100, "few")]
    assert.deepStrictEqual(lines(rows, bar), ["FAIL      1.20 <= 1.15      many: × few"])
  })

  it("compares within each round, and takes the median of that", () => {
    const bar: Bar = { row: "a call", rule: { _tag: "times", contestant: "peer" }, limit: 0.3 }
    // The machine was slow in the middle of one round, and in two rounds as a whole.
    const rows = [
      { ...time("breakwater", 50), rounds: [20, 60, 20, 200, 60] },
      { ...time("peer", 100), rounds: [100, 300, 100, 100, 300] }
    ]
    assert.deepStrictEqual(lines(rows, bar), ["ok        0.20 <= 0.30      a call: × peer"])
    assert.deepStrictEqual(lines([rows[0]!, { ...rows[1]!, rounds: [100] }], bar), [
      "FAIL   missing <= 0.30      a call: × peer"
    ])
  })

  it("holds what is counted in bytes", () => {
    const bar: Bar = { row: "memory", rule: { _tag: "bytes" }, limit: 2048 }
    assert.deepStrictEqual(lines([memory(2048)], bar), ["ok        2048 <= 2048      memory: bytes"])
    assert.deepStrictEqual(lines([memory(2049)], bar), ["FAIL      2049 <= 2048      memory: bytes"])
  })

  it("fails a bar whose rows are missing", () => {
    const bar: Bar = { row: "a call", rule: { _tag: "times", contestant: "peer" }, limit: 0.3 }
    assert.deepStrictEqual(lines([time("breakwater", 1)], bar), ["FAIL   missing <= 0.30      a call: × peer"])
    const none = JSON.parse("null") as number
    assert.deepStrictEqual(lines([time("breakwater", none), time("peer", 1)], bar), [
      "FAIL   missing <= 0.30      a call: × peer"
    ])
    const verdicts = judge([])
    assert.isNotEmpty(verdicts)
    assert.isTrue(verdicts.every(({ holds, value }) => !holds && value === undefined))
  })
})
