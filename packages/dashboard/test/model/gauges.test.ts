import { assert, describe, it } from "@effect/vitest"
import type { BreakerDetails, OperationDetails } from "../../page/api/types.ts"
import { ofLimits, ofWindow, overridesOf } from "../../page/model/gauges.ts"

describe("a window of a circuit", () => {
  it("that counts failures fills up to those that open the circuit", () => {
    const gauge = ofWindow({ policy: "consecutive", calls: 3, counted: 3, limit: 5 })
    assert.deepInclude(gauge, { share: 0.6, slots: 5, text: "3 of 5", tone: "trying" })
    assert.isUndefined(gauge.mark)
    assert.isUndefined(ofWindow({ policy: "failures_in", calls: 0, counted: 0, limit: 50 }).slots)
  })

  it("that counts a share has a mark where the circuit opens", () => {
    const gauge = ofWindow({ policy: "count_window", calls: 20, counted: 3, limit: 0.5 })
    assert.deepInclude(gauge, { share: 0.15, mark: 0.5, text: "3 of 20 failed", tone: "good" })
    assert.deepStrictEqual(gauge.notes, ["15%, opens at 50%"])
    // It would be open, were there enough of them.
    const early = ofWindow({ policy: "slow_calls", calls: 4, counted: 2, limit: 0.5 })
    assert.deepInclude(early, { tone: "trying", text: "2 of 4 slow" })
    assert.deepStrictEqual(early.notes, ["50%, opens at 50% of enough calls"])
    const empty = ofWindow({ policy: "time_window", calls: 0, counted: 0, limit: 0.25 })
    assert.deepInclude(empty, { share: 0, text: "no call" })
    assert.deepStrictEqual(empty.notes, ["opens at 25%"])
  })
})

const settings = {
  algorithm: "gcra",
  limit: 5,
  window: 1,
  burst: null,
  on_exceeded: "wait",
  max_wait: 5,
  max_queue: 1_000,
  max_pause: 3_600,
  per_key: true
} as const

const key = (name: string | null, available: number) => ({
  key: name,
  available,
  limit: 5,
  waiting: 0,
  refused: 0,
  paused_for_seconds: 0
})

const rateLimit = (over: object) => ({
  scope: "quota",
  settings,
  available: 2.7,
  waiting: 0,
  paused_for_seconds: 0,
  counters: { granted: 9, started: 9, returned: 0, held: 0, refused: 4, waited: 0 },
  keys: [key(null, 2.7)],
  total_keys: 1,
  ...over
})

const details = (over: object) => over as unknown as Partial<OperationDetails>

describe("the limits of an operation", () => {
  it("come in the order in which a call meets them", () => {
    const gauges = ofLimits(
      details({
        bulkheads: [
          {
            key: null,
            active: 2,
            queued: 1,
            limit: 2,
            longest_wait_seconds: 1.5,
            counters: { admitted: 9, rejected: 3, waited: 1, gave_up: 0, interrupted: 0 }
          }
        ],
        settings: { bulkhead: { max_queue: 4 } },
        rate_limits: [rateLimit({ scope: "admission", paused_for_seconds: 12 }), rateLimit({})],
        retry_budget: {
          dependency: "model",
          tokens: 0.4,
          max: 10,
          used: 9.6,
          counters: { calls: 50, granted: 9, returned: 0, refused: 2 },
          given_up: 1
        },
        coalesce: { capacity: 100, in_flight: 1, waiting: 3, led: 5, joined: 15, alone: 0 }
      })
    )
    assert.deepStrictEqual(
      gauges.map(({ label, notes, text, tone }) => [label, text, tone, notes.join(", ")]),
      [
        ["Coalesced calls", "15 of 20 calls saved", "good", "1 shared now, 3 wait"],
        ["Admission", "2 of 5 left", "bad", "5 in 1 s, 0 waiting, 4 refused"],
        ["Retry budget", "0 of 10 retries left", "bad", "9.6 count now, 2 refused, 1 call given up, for model"],
        ["Bulkhead", "2 of 2 places taken", "bad", "1 of 4 queued, longest wait 1.5 s, 3 refused"],
        ["Quota", "2 of 5 left", "good", "5 in 1 s, 0 waiting, 4 refused"]
      ]
    )
    assert.strictEqual(gauges[1]!.pausedMillis, 12_000)
    assert.isUndefined(gauges[4]!.pausedMillis)
  })

  it("have a bar for each of the first keys", () => {
    const keys = ["a", "b", "c", "d", "e", "f"].map((name, index) => key(name, index))
    const gauges = ofLimits(details({ rate_limits: [rateLimit({ keys, total_keys: 40 })] }))
    assert.strictEqual(gauges.length, 5)
    assert.strictEqual(gauges[0]!.label, "Quota of a, worst of 40 keys")
    assert.strictEqual(gauges[1]!.label, "Quota of b")
    const [only] = ofLimits(details({ rate_limits: [rateLimit({ keys: [key("tenant", 1)] })] }))
    assert.strictEqual(only!.label, "Quota of tenant")
  })

  it("are none for an operation without, or a server that tells of none", () => {
    assert.isEmpty(ofLimits({}))
    assert.isEmpty(ofLimits(details({ bulkheads: [], rate_limits: [], retry_budget: null, coalesce: null })))
  })
})

describe("overrides", () => {
  it("are those of the server, the strongest first", () => {
    const overrides = [
      { mode: "isolated", reason: "a", actor: "key", expires_at: "2026-11-24T12:00:00.000Z" },
      { mode: "metrics_only", reason: "b", actor: null, expires_at: null }
    ] as unknown as BreakerDetails["overrides"]
    assert.deepStrictEqual(overridesOf({ overrides }), [
      { mode: "isolated", reason: "a", actor: "key", expiresAt: Date.parse("2026-11-24T12:00:00.000Z") },
      { mode: "metrics_only", reason: "b", actor: undefined, expiresAt: undefined }
    ])
    assert.isEmpty(overridesOf({}))
  })
})
