import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { simulate, type Subject } from "./Simulation.ts"
import { subjects } from "./Subjects.ts"
import { circuitSubject } from "./subjects/circuit.ts"

/** What the observer sees of a seed in which the wall clock is set, if there is a step that does, and if it stays. */
const playTwice = (subject: Subject, seed: number) => {
  const stepped = simulate(subject, seed)
  if (!stepped.steps.some(({ _tag }) => _tag === "wall")) return undefined
  return { stepped: stepped.trace, still: simulate(subject, seed, { isWallStill: true }).trace }
}

describe("INV-CLOCK: the wall clock may be set ten years ahead or back, and", { timeout: 60_000 }, () => {
  for (const subject of subjects) {
    it(`${subject.name} does the same at the same times`, () => {
      let steps = 0
      for (let seed = 0; seed < 60; seed++) {
        const played = playTwice(subject, seed)
        if (played === undefined) continue
        assert.deepStrictEqual(played.stepped, played.still, `seed ${seed}`)
        steps++
      }
      assert.isAbove(steps, 30)
    })
  }

  it("a policy that goes by it does not", () => {
    const subject = circuitSubject()
    const onTheWall: Subject = {
      name: "a circuit on the wall clock",
      open: (stage, dice) => {
        const opened = subject.open(stage, dice)
        const { clock } = stage.world
        const wall = { ...clock, monotonicTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() }
        return { ...opened, guard: (call) => Effect.provideService(opened.guard(call), Clock.Clock, wall) }
      }
    }
    const differs = (seed: number) => {
      const played = playTwice(onTheWall, seed)
      return played !== undefined && played.stepped.join("\n") !== played.still.join("\n")
    }
    assert.isTrue(Array.from({ length: 60 }, (_, seed) => seed).some(differs))
  })
})
