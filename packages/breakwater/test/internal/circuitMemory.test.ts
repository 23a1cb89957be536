import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import type * as circuit from "../../src/internal/circuit.ts"
import * as machine from "../../src/internal/circuitMachine.ts"
import * as circuitOverrides from "../../src/internal/circuitOverrides.ts"
import * as memory from "../../src/internal/circuitMemory.ts"
import { consecutive } from "../../src/internal/tripPolicy.ts"

const settings: circuit.Settings = {
  tripPolicy: consecutive(1),
  openMillis: (opening) => 100 * opening,
  probes: 1,
  successThreshold: 1,
  probeMillis: 100,
  maxRetryAfterMillis: 3_600_000,
  rampMillis: 0
}

const failed = (self: circuit.Machine, now: number): circuit.Machine => {
  const [admission, , admitted] = machine.admit(settings, self, now)
  assert.strictEqual(admission._tag, "Admitted")
  if (admission._tag !== "Admitted") return self
  return machine.record(settings, admitted, now, admission.token, "Failure")[2]
}

const isolated = (self: circuit.Machine, now: number, until: number): circuit.Machine =>
  circuitOverrides.override(settings, self, now, { mode: "isolated", reason: "why", actor: undefined, until })[2]

const millis = Schema.Int.check(Schema.isBetween({ minimum: -1_000, maximum: 1_000 }))

describe("circuitMemory", () => {
  it("remembers nothing of a closed circuit", () => {
    assert.isUndefined(memory.remember(machine.initial, 5))
    assert.isUndefined(memory.remember(isolated(machine.initial, 0, 5), 5))
  })

  it("lets openings in a row go on growing", () => {
    const twice = failed(failed(machine.make(0), 0), 100)
    const kept = memory.remember(twice, 150)!
    assert.deepStrictEqual(kept.open, { leftMillis: 150, openMillis: 200, openings: 2, failures: 1 })
    const again = failed(memory.recall(kept, 150, 7_000), 7_000)
    assert.strictEqual(again.automatic._tag === "open" && again.automatic.until, 7_300)
  })

  it.prop(
    "is open for what is left, which lies between 0 and the open time however the clock was set",
    {
      at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 100 })),
      passed: Arbitrary.schema(millis),
      now: millis
    },
    ({ at, now, passed }) => {
      const { automatic } = memory.recall(memory.remember(failed(machine.make(0), 0), at)!, passed, now)
      assert.strictEqual(
        automatic._tag === "open" && automatic.until - now,
        Math.min(Math.max(100 - at - passed, 0), 100)
      )
    },
    { arbitrary: { runs: 1_000 } }
  )

  it.prop(
    "ends an override after what is left of it",
    { passed: millis, now: millis },
    ({ now, passed }) => {
      const { overrides } = memory.recall(memory.remember(isolated(machine.make(0), 0, 300), 100)!, passed, now)
      const left = Math.min(200 - passed, 200)
      assert.strictEqual(overrides?.list[0].until, left > 0 ? now + left : undefined)
    },
    { arbitrary: { runs: 1_000 } }
  )

  it("keeps an override without an end without one", () => {
    const kept = memory.remember(isolated(machine.make(0), 0, Infinity), 100)!
    assert.strictEqual(memory.recall(kept, 1e12, 5).overrides?.list[0].until, Infinity)
  })
})
