import type { Effect } from "effect"
import { Timeout } from "breakwater"
import type { Dice } from "../Dice.ts"
import { passThrough } from "../laws/passThrough.ts"
import { TimeoutLaw, type TimeoutSettings } from "../laws/timeout.ts"
import type { Subject } from "../Simulation.ts"

export const drawTimeout = (dice: Dice): TimeoutSettings => ({
  attempt: dice.pick([20, 500, 2_000, 10_000]),
  total: dice.pick([500, 5_000, 30_000]),
  mode: dice.pick(["detach", "detach", "await"])
})

/** A limit on each attempt, on the whole, or both, one in the other. */
export const timeoutSubject: Subject = {
  name: "a timeout",
  open: (stage, dice) => {
    const drawn = drawTimeout(dice)
    // Whoever waits for an attempt to be cleaned up may come to the end of the whole meanwhile.
    const scope = dice.pick(drawn.mode === "await" ? ["attempt", "total"] : ["attempt", "total", "both"])
    const settings: TimeoutSettings = {
      attempt: scope === "total" ? Infinity : drawn.attempt,
      total: scope === "attempt" ? Infinity : drawn.total,
      mode: drawn.mode
    }
    const law = new TimeoutLaw(stage, { operation: "target", settingsOf: () => settings })
    stage.obey(law, passThrough(stage))
    let abandoned = 0
    const options: Timeout.Options = {
      operation: "target",
      mode: drawn.mode,
      observer: {
        onTimedOut: () => {},
        onAbandoned: (change) => void (abandoned += change)
      }
    }
    // One limit inside another may abandon one work twice.
    if (scope !== "both") {
      stage.obey({ settled: () => stage.equal("INV-MET", abandoned, law.abandoned, "abandoned attempts") })
    }
    return {
      settings,
      guard: (call) => {
        let limited: Effect.Effect<unknown, unknown> = stage.body(call)
        if (scope !== "total") limited = Timeout.attempt(limited, settings.attempt, options)
        if (scope !== "attempt") limited = Timeout.total(limited, settings.total, options)
        return stage.attempt(call)(limited)
      },
      residue: () => abandoned
    }
  }
}
