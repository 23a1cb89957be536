import { Retry } from "breakwater"
import type { Dice } from "../Dice.ts"
import { passThrough } from "../laws/passThrough.ts"
import { RetryLaw, type RetrySettings } from "../laws/retry.ts"
import type { Subject } from "../Simulation.ts"

/** Settings in milliseconds, as code may write them and as the observer reads them. */
export const drawRetry = (dice: Dice): RetrySettings => ({
  maxAttempts: dice.whole(1, 5),
  base: dice.pick([1, 100, 1_000, 5_000]),
  factor: dice.pick([1, 1.5, 2, 10]),
  min: dice.pick([0, 0, 50, 2_000]),
  max: dice.pick([40, 3_000, 20_000]),
  jitter: dice.pick(["none", "full", "equal", "decorrelated", "additive"]),
  jitterMax: dice.pick([0, 500, 2_000])
})

export const retryInput = ({ max, min, ...settings }: RetrySettings): Retry.SettingsInput => ({
  ...settings,
  minDelay: min,
  maxDelay: max
})

export const retrySubject = (
  name = "a retry",
  tampered: (settings: Retry.SettingsInput) => Retry.SettingsInput = (settings) => settings
): Subject => ({
  name,
  open: (stage, dice) => {
    const settings = drawRetry(dice)
    const policy = Retry.retry({ settings: tampered(retryInput(settings)) })
    stage.obey(
      new RetryLaw(stage, { operation: "target", settingsOf: () => settings, deadlineOf: () => Infinity }),
      passThrough(stage)
    )
    return { settings, guard: (call) => policy(stage.attempt(call)(stage.body(call))) }
  }
})
