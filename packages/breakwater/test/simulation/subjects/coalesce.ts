import { Effect } from "effect"
import { Coalesce, Deadline } from "breakwater"
import { CoalesceLaw } from "../laws/coalesce.ts"
import { passThrough } from "../laws/passThrough.ts"
import type { Subject } from "../Simulation.ts"
import type { Call } from "../Stage.ts"

/** Callers that share few keys. */
export const sharedKey = ({ variant }: Call): string => `answer ${Math.floor(variant * 3)}`

export const coalesceSubject = (
  name = "shared runs",
  tampered: (settings: Coalesce.SettingsInput) => Coalesce.SettingsInput = (settings) => settings
): Subject => ({
  name,
  open: (stage, dice) => {
    const { world } = stage
    const settings = { capacity: dice.pick([1, 2, 10_000]) }
    const coalesce = world.run(Coalesce.make(tampered(settings)))
    const law = new CoalesceLaw(stage, {
      ...settings,
      keyOf: sharedKey,
      snapshot: () => world.run(coalesce.snapshot)
    })
    stage.obey(
      {
        see: (fact) => {
          if (fact._tag === "BodyStarted") law.runStarted(fact.call)
          if (fact._tag === "BodyEnded") law.runEnded(fact.call, fact.exit)
        }
      },
      law,
      passThrough(stage, (call) => law.leaderOf(call))
    )
    return {
      settings,
      guard: (call) => {
        // The leader's time is none of those who follow.
        const body = Effect.flatMap(Deadline.Current, (deadline) => {
          stage.equal("INV-CO", deadline === undefined, !law.isAlone(call), `the time of the run of call ${call.id}`)
          return stage.body(call)
        })
        const deadline = Deadline.tighten(undefined, world.now, 60_000)
        return Effect.provideService(coalesce.join(sharedKey(call))(body), Deadline.Current, deadline)
      }
    }
  }
})
