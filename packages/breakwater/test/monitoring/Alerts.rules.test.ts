import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as rules from "../../src/monitoring/internal/alertRules.ts"
import * as sliding from "../../src/monitoring/internal/slidingRate.ts"
import type { Signals } from "../../src/monitoring/internal/usageFigures.ts"

const minute = 60_000
const hour = 60 * minute

const settings: rules.Settings = {
  errorRate: 0.05,
  errorWindow: 5 * minute,
  minimumCalls: 10,
  objective: 0.99,
  burnRates: [
    { factor: 14.4, short: 5 * minute, long: hour, level: "critical" },
    { factor: 6, short: 30 * minute, long: 6 * hour, level: "error" }
  ],
  openCircuits: 3,
  loadTime: 100,
  changesPerHour: 10,
  validationFailureRate: 0.1,
  cooldown: 5 * minute
}

const quiet: Signals = { slowest: new Map(), errors: new Map(), changes: 0, validations: 0, invalid: 0 }

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("a sliding rate", () => {
  it.prop(
    "counts everything of the last 11/12 of its length, and nothing older than its length",
    {
      steps: Arbitrary.array(
        Arbitrary.schema(Schema.Struct({ wait: whole(0, 500), total: whole(0, 9), bad: whole(0, 9) })),
        { maxLength: 60 }
      ),
      after: whole(0, 1500)
    },
    ({ after, steps }) => {
      const length = 1200
      let window = sliding.make(length)
      let now = 0
      const all: Array<{ readonly at: number; readonly total: number; readonly bad: number }> = []
      for (const { bad, total, wait } of steps) {
        now += wait
        window = sliding.add(window, now, total, bad)
        all.push({ at: now, total, bad })
      }
      now += after
      const found = sliding.sums(window, now)
      for (const what of ["total", "bad"] as const) {
        const within = (millis: number) =>
          all.filter(({ at }) => now - at < millis).reduce((sum, each) => sum + each[what], 0)
        assert.isAtLeast(found[what], within((length * 11) / 12))
        assert.isAtMost(found[what], within(length))
      }
      assert.strictEqual(found.rate, found.total === 0 ? 0 : found.bad / found.total)
    }
  )
})

describe("a sliding rate whose clock is set back", () => {
  it("counts for the newest slot", () => {
    const window = sliding.add(sliding.add(sliding.make(1200), 5000, 1, 0), 100, 2, 1)
    assert.deepStrictEqual(sliding.sums(window, 5000), { total: 3, bad: 1, rate: 1 / 3 })
    assert.strictEqual(sliding.sums(window, 100).total, 3)
  })
})

/** Counts of one operation, told every so often. */
class Traffic {
  state: rules.State = rules.count(settings, rules.empty, 0, [])
  now = 0
  finished = 0
  bad = 0

  run(options: { readonly millis: number; readonly perMinute: number; readonly errors: number }): this {
    const { errors, millis, perMinute } = options
    const until = this.now + millis
    while (this.now < until) {
      this.now += minute
      this.finished += perMinute
      this.bad += perMinute * errors
      this.state = rules.count(settings, this.state, this.now, [this.counts])
    }
    return this
  }

  get counts(): rules.Counts {
    return { name: "payments", finished: this.finished, bad: this.bad }
  }

  get firings(): ReadonlyArray<string> {
    return rules
      .firings(settings, this.state, this.now, [], quiet)
      .map(({ level, rule, subject }) => `${rule} ${subject} ${level}`)
  }
}

describe("the error rate of an operation", () => {
  const cases: ReadonlyArray<readonly [calls: number, errors: number, level: string | undefined]> = [
    [0, 0, undefined],
    [9, 9, undefined],
    [10, 0, undefined],
    [100, 4, undefined],
    [100, 5, "warning"],
    [100, 9, "warning"],
    [100, 10, "critical"],
    [10, 10, "critical"]
  ]
  for (const [calls, errors, level] of cases) {
    it(`of ${errors} in ${calls} is ${level ?? "nothing"}`, () => {
      const state = rules.count(settings, rules.count(settings, rules.empty, 0, []), 1, [
        { name: "payments", finished: calls, bad: errors }
      ])
      const found = rules.firings(settings, state, 1, [], quiet).find(({ rule }) => rule === "error_rate")
      assert.strictEqual(found?.level, level)
      if (found !== undefined) {
        assert.deepStrictEqual([found.threshold, found.actual, found.subject], [0.05, errors / calls, "payments"])
        assert.include(found.facts.description, `${errors} of ${calls} calls`)
      }
    })
  }

  it("does not hold what was before the first look against anyone", () => {
    const old = [{ name: "payments", finished: 100, bad: 100 }]
    let state = rules.count(settings, rules.empty, 0, old)
    assert.deepStrictEqual(rules.firings(settings, state, 0, [], quiet), [])
    // An operation that comes later is new.
    state = rules.count(settings, state, 1, [...old, { name: "search", finished: 20, bad: 20 }])
    assert.deepStrictEqual(
      rules.firings(settings, state, 1, [], quiet).map(({ subject }) => subject),
      ["search", "search", "search"]
    )
  })

  it("survives an operation that begins again", () => {
    const traffic = new Traffic().run({ millis: 5 * minute, perMinute: 100, errors: 0 })
    traffic.finished = 100
    traffic.bad = 100
    traffic.state = rules.count(settings, traffic.state, traffic.now, [traffic.counts])
    const [found] = rules.firings(settings, traffic.state, traffic.now, [], quiet)
    assert.deepStrictEqual([found?.rule, found?.facts.metadata], ["error_rate", { calls: 600, errors: 100 }])
  })

  it("forgets operations that are gone", () => {
    const traffic = new Traffic().run({ millis: minute, perMinute: 100, errors: 1 })
    assert.strictEqual(rules.count(settings, traffic.state, traffic.now, []).operations.size, 0)
  })

  it("ends with the errors, within its window", () => {
    const traffic = new Traffic().run({ millis: 2 * minute, perMinute: 100, errors: 0.5 })
    assert.include(traffic.firings, "error_rate payments critical")
    traffic.run({ millis: 6 * minute, perMinute: 100, errors: 0 })
    assert.notInclude(traffic.firings.join(), "error_rate")
  })
})

describe("burn rates", () => {
  it("tell of a fast burn within minutes, and of its end within minutes", () => {
    const traffic = new Traffic().run({ millis: 60 * minute, perMinute: 100, errors: 0 })
    traffic.run({ millis: 5 * minute, perMinute: 100, errors: 0.5 })
    // 5 of 60 minutes at 50 % are 4 %, not enough for the hour.
    assert.notInclude(traffic.firings, "slo_burn_5min_1h payments critical")
    traffic.run({ millis: 20 * minute, perMinute: 100, errors: 0.5 })
    assert.include(traffic.firings, "slo_burn_5min_1h payments critical")
    traffic.run({ millis: 6 * minute, perMinute: 100, errors: 0 })
    assert.notInclude(traffic.firings, "slo_burn_5min_1h payments critical")
  })

  it("tell of a slow burn that no short window would notice", () => {
    const traffic = new Traffic().run({ millis: 6 * hour, perMinute: 100, errors: 0.07 })
    assert.include(traffic.firings, "slo_burn_30min_6h payments error")
    assert.notInclude(traffic.firings, "slo_burn_5min_1h payments critical")
    const better = new Traffic().run({ millis: 6 * hour, perMinute: 100, errors: 0.05 })
    assert.notInclude(better.firings.join(), "slo_burn")
  })

  it("fire at exactly their factor", () => {
    const at = (bad: number) => {
      const state = rules.count(settings, rules.count(settings, rules.empty, 0, []), 1, [
        { name: "payments", finished: 1000, bad }
      ])
      return rules.firings(settings, state, 1, [], quiet).some(({ rule }) => rule === "slo_burn_5min_1h")
    }
    assert.isTrue(at(144))
    assert.isFalse(at(143))
  })

  it("say nothing about a handful of calls", () => {
    const state = rules.count(settings, rules.count(settings, rules.empty, 0, []), 1, [
      { name: "payments", finished: 9, bad: 9 }
    ])
    assert.deepStrictEqual(rules.firings(settings, state, 1, [], quiet), [])
  })
})

describe("circuits", () => {
  const told = (names: ReadonlyArray<string>) =>
    rules
      .firings(
        settings,
        rules.empty,
        0,
        names.map((name) => ({ name, operation: name.split(":")[0]! })),
        quiet
      )
      .map(({ actual, level, rule, subject }) => `${rule} ${subject} ${level} ${actual}`)

  it("are told once for each operation, however many keys it has", () => {
    assert.deepStrictEqual(told(["payments", "search:a", "search:b"]), [
      "circuit_open payments error 1",
      "circuit_open search error 2"
    ])
  })

  it("are critical when they are more than the limit", () => {
    assert.deepStrictEqual(told(["a", "b", "c", "d"]).slice(4), ["circuits_open circuits critical 4"])
    assert.strictEqual(told(["a", "b", "c"]).length, 3)
  })

  it("are told when they are closed, for some time", () => {
    const open = rules.circuitOpen("payments", ["payments"])
    const alert = {
      ...open,
      id: "a-1",
      raisedAt: { now: 0, at: 0 },
      status: "resolved" as const,
      acknowledgedBy: undefined,
      resolvedAt: { now: 1, at: 1 }
    }
    const [closed, ...more] = rules.closings(settings, [{ _tag: "Resolved", alert }])
    assert.deepStrictEqual(more, [])
    assert.deepStrictEqual(
      [closed?.rule, closed?.subject, closed?.level, closed?.lasts],
      ["circuit_closed", "payments", "info", 5 * minute]
    )
    assert.deepStrictEqual(rules.closings(settings, [{ _tag: "Raised", alert }]), [])
    assert.deepStrictEqual(rules.closings(settings, [{ _tag: "Resolved", alert: { ...alert, rule: "load_time" } }]), [])
  })
})

describe("the use of configuration", () => {
  interface Case {
    readonly of: string
    readonly signals: Partial<Signals>
    readonly firings: Array<[rule: string, level: string, threshold: number, actual: number]>
  }
  const cases: ReadonlyArray<Case> = [
    { of: "nothing", signals: {}, firings: [] },
    { of: "a load of 100 ms", signals: { slowest: new Map([["simple", 100]]) }, firings: [] },
    {
      of: "a load of 101 ms",
      signals: { slowest: new Map([["simple", 101]]) },
      firings: [["load_time", "warning", 100, 101]]
    },
    { of: "a failed load", signals: { errors: new Map([["simple", 1]]) }, firings: [["config_error", "error", 0, 1]] },
    { of: "10 changes", signals: { changes: 10 }, firings: [] },
    { of: "11 changes", signals: { changes: 11 }, firings: [["change_frequency", "warning", 10, 11]] },
    { of: "9 invalid configurations", signals: { validations: 9, invalid: 9 }, firings: [] },
    { of: "10 % invalid configurations", signals: { validations: 20, invalid: 2 }, firings: [] },
    {
      of: "15 % invalid configurations",
      signals: { validations: 20, invalid: 3 },
      firings: [["validation_failure", "warning", 0.1, 0.15]]
    }
  ]
  for (const { firings, of, signals } of cases) {
    it(`with ${of} raises ${firings.map(([rule]) => rule).join(", ") || "nothing"}`, () => {
      assert.deepStrictEqual(
        rules
          .firings(settings, rules.empty, 0, [], { ...quiet, ...signals })
          .map(({ actual, level, rule, threshold }) => [rule, level, threshold, actual]),
        firings
      )
    })
  }
})
