import { assert, describe, it } from "@effect/vitest"
import * as format from "../../page/model/format.ts"

describe("format", () => {
  /** What is shown in another way than the table says. */
  const faults = <A>(show: (value: A) => string, table: ReadonlyArray<readonly [A, string]>) =>
    table.filter(([value, text]) => show(value) !== text).map(([value, text]) => [value, show(value), text])

  it("shows the digits of a count that matter", () => {
    assert.deepStrictEqual(
      faults(format.count, [
        [0, "0"],
        [0.416, "0.42"],
        [7, "7"],
        [9.996, "10"],
        [38.04, "38"],
        [999, "999"],
        [1_000, "1k"],
        [1_234, "1.23k"],
        [9_999, "10k"],
        [100_400, "100k"],
        [2_500_000, "2.5M"],
        [NaN, "–"]
      ]),
      []
    )
  })

  it("says 100 % only of all, and 0 % only of none", () => {
    assert.deepStrictEqual(
      faults(format.percent, [
        [1, "100%"],
        [0, "0%"],
        [0.99999, "99.99%"],
        [0.00001, "0.01%"],
        [0.9856, "98.6%"],
        [undefined, "–"]
      ]),
      []
    )
  })

  it("gives a latency the unit that fits", () => {
    assert.deepStrictEqual(
      faults(format.millis, [
        [0, "0 ms"],
        [0.0052, "5.2 µs"],
        [0.42, "420 µs"],
        [1.52, "1.5 ms"],
        [68, "68 ms"],
        [999.6, "1 s"],
        [1_088, "1.09 s"],
        [61_000, "1 min 1 s"],
        [undefined, "–"]
      ]),
      []
    )
  })

  it("names the two largest units of a span", () => {
    assert.deepStrictEqual(
      faults(format.duration, [
        [50, "50 ms"],
        [500, "500 ms"],
        [2_500, "2.5 s"],
        [12_000, "12 s"],
        [243_000, "4 min 3 s"],
        [7_200_000, "2 h"],
        [273_600_000, "3 d 4 h"],
        [Infinity, "–"]
      ]),
      []
    )
  })

  it("counts down to zero and not below", () => {
    assert.deepStrictEqual(
      faults(format.countdown, [
        [3_200, "0:04"],
        [750_000, "12:30"],
        [3_723_000, "1:02:03"],
        [-5, "0:00"]
      ]),
      []
    )
  })

  it("writes any JSON in one line", () => {
    assert.deepStrictEqual(
      faults(format.value, [
        [null as unknown, "none"],
        [{}, "none"],
        [{ qa: "critical", sentiment: "balanced" }, "qa: critical, sentiment: balanced"],
        [false, "false"]
      ]),
      []
    )
  })
})
