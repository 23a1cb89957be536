import { Effect } from "effect"
import { ResilienceEvent, Tiered } from "breakwater"
import { Dice } from "../Dice.ts"
import { TieredLaw, type TierSettings } from "../laws/tiered.ts"
import type { Subject } from "../Simulation.ts"
import type { Call } from "../Stage.ts"

const drawTiers = (dice: Dice): ReadonlyArray<TierSettings> => {
  const count = dice.whole(2, 4)
  return Array.from({ length: count }, (_, at) => ({
    name: `tier ${at}`,
    on: dice.pick(["failures", "failures", "rejections", "all"]),
    // The last tier is always tried.
    isTried: at === count - 1 || dice.chance(0.8)
  }))
}

/** The tiers of a call, each with work of its own. */
export const tieredSubject = (
  name = "tiers",
  tampered: (tiers: ReadonlyArray<TierSettings>) => ReadonlyArray<TierSettings> = (tiers) => tiers
): Subject => ({
  name,
  open: (stage) => {
    const tiers = new Map<Call, ReadonlyArray<TierSettings>>()
    const law = new TieredLaw(stage, (call) => tiers.get(call)!)
    stage.obey(law)
    return {
      settings: {},
      guard: (call) => {
        const drawn = drawTiers(new Dice(call.variant * 2 ** 32))
        tiers.set(call, drawn)
        const all = tampered(drawn).map(({ isTried, name, on }, at) => {
          const run = (error: unknown) => {
            law.tried(call, at, error)
            return stage.body(call)
          }
          return isTried ? Tiered.tier(name, run, { on }) : Tiered.tier(name, run, { on, when: Effect.succeed(false) })
        })
        // As many as there are, of which the types know nothing.
        const make = Tiered.makeWith({ operation: "target", key: call.key }) as (
          ...tiers: ReadonlyArray<unknown>
        ) => Effect.Effect<unknown, unknown>
        return Effect.provideService(make(...all), ResilienceEvent.ResilienceEvents, stage.sink)
      }
    }
  }
})
