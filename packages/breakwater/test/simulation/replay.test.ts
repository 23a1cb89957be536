import { assert, describe, it } from "@effect/vitest"
import { report, simulate } from "./Simulation.ts"
import { subjects } from "./Subjects.ts"

const { SIMULATION_SEED: seed, SIMULATION_SUBJECT: name } = process.env

describe("a simulation", () => {
  for (const subject of subjects) {
    it(`of ${subject.name} goes the same way each time it is played from one seed`, () => {
      const traces = new Set<number>()
      for (let seed = 0; seed < 50; seed++) {
        const [one, other] = [simulate(subject, seed), simulate(subject, seed)]
        assert.deepStrictEqual(other.trace, one.trace)
        assert.strictEqual(other.hash, one.hash)
        traces.add(one.hash)
      }
      // And another way from another seed.
      assert.isAbove(traces.size, 45)
    })
  }

  it.runIf(seed !== undefined)(`is played again: ${name} with seed ${seed}`, () => {
    const subject = subjects.find((each) => each.name === name)
    if (subject === undefined)
      return assert.fail(`SIMULATION_SUBJECT is one of ${subjects.map((each) => each.name).join(", ")}`)
    const outcome = simulate(subject, Number(seed))
    assert.isUndefined(outcome.violation, outcome.violation && report(subject, Number(seed)))
    console.log(outcome.trace.join("\n"))
  })
})
