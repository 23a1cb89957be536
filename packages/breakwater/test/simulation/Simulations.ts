/**
 * How many simulations a run plays, and from which seeds.
 *
 * - `SIMULATIONS=20` plays twenty times as many.
 * - `SIMULATION_BASE=7` starts from other seeds; `SIMULATION_BASE=random` from ones that nobody has seen.
 */
import { assert, it } from "@effect/vitest"
import { report, simulate, type Subject } from "./Simulation.ts"

export const times = Number(process.env["SIMULATIONS"] ?? 1)
const base = process.env["SIMULATION_BASE"] ?? "0"
/** Fixed, so that a failure is no accident of this run. */
const first = base === "random" ? Math.floor(Math.random() * 2 ** 31) : Number(base)

/** Plays simulations of a subject. `part` counts the files that share one subject, each with seeds of its own. */
export const simulations = (subject: Subject, count: number, part = 0): void => {
  it(
    `${subject.name} keeps every law in ${count} simulations${part === 0 ? "" : `, part ${part + 1}`}`,
    { timeout: 120_000 * Math.max(times, 1) },
    () => {
      let calls = 0
      for (let number = 0; number < count * times; number++) {
        const seed = first + part * 1_000_000_000 + number
        const outcome = simulate(subject, seed)
        calls += outcome.calls
        if (outcome.violation !== undefined) assert.fail(report(subject, seed))
      }
      // Simulations in which nobody calls prove nothing.
      assert.isAbove(calls, count * times * 5)
    }
  )
}
