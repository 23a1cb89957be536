import { Effect } from "effect"
import { RateLimiter, ResilienceEvent } from "breakwater"
import { Dice } from "../Dice.ts"
import { passThrough } from "../laws/passThrough.ts"
import { RateLaw, type RateSettings } from "../laws/rateLimit.ts"
import type { Subject } from "../Simulation.ts"
import type { Call } from "../Stage.ts"

export const drawRate = (dice: Dice): RateSettings => {
  const algorithm = dice.pick(["gcra", "token-bucket", "sliding-log", "sliding-counter", "fixed-window"])
  const limit = dice.whole(1, 6)
  const refills = algorithm === "gcra" || algorithm === "token-bucket"
  return {
    algorithm,
    limit,
    window: dice.pick([100, 1_000, 7_000]),
    burst: refills && dice.chance(0.5) ? dice.whole(1, 6) : limit,
    maxWait: dice.chance(0.5) ? 0 : dice.pick([300, 5_000, 60_000]),
    maxQueue: dice.pick([1, 3, 1_000]),
    maxPause: dice.chance(0.6) ? 0 : dice.pick([200, 30_000])
  }
}

export const rateInput = ({ burst, maxWait, ...settings }: RateSettings): RateLimiter.SettingsInput => ({
  ...settings,
  ...(settings.algorithm === "gcra" || settings.algorithm === "token-bucket" ? { burst } : {}),
  ...(maxWait === 0 ? {} : { onExceeded: "wait", maxWait })
})

/** Most calls cost one unit. */
const costOf = ({ variant }: Call): number => (variant < 0.7 ? 1 : variant < 0.9 ? 2 : 4)

export const rateLimiterSubject = (
  name = "a rate limiter",
  tampered: (settings: RateLimiter.SettingsInput) => RateLimiter.SettingsInput = (settings) => settings,
  retuned: (next: RateSettings, before: RateSettings) => RateSettings = (next) => next
): Subject => ({
  name,
  open: (stage, dice) => {
    const { world } = stage
    const settings = drawRate(dice)
    const perKey = dice.chance(0.7)
    const limiter = world.run(
      RateLimiter.make({
        operation: "target",
        settings: tampered({ ...rateInput(settings), perKey })
      }).pipe(Effect.provideService(ResilienceEvent.ResilienceEvents, stage.sink))
    )
    const law = new RateLaw(stage, {
      operation: "target",
      settings,
      perKey,
      costOf,
      snapshot: () => world.run(limiter.snapshot)
    })
    stage.obey(law, passThrough(stage))
    return {
      settings: { ...settings, perKey },
      guard: (call) =>
        stage.body(call).pipe(stage.attempt(call), limiter.protect({ key: call.key, cost: costOf(call) })),
      commands: settings.maxPause === 0 ? ["retune"] : ["pause", "resume", "retune"],
      command: (name, key, value) => {
        if (name === "retune") {
          const dice = new Dice(value * 2 ** 32)
          const limit = dice.whole(1, 6)
          const burst = settings.burst === settings.limit ? limit : dice.whole(1, 6)
          const next = { ...settings, limit, burst }
          law.retune(next)
          world.run(limiter.retune(tampered({ ...rateInput(retuned(next, settings)), perKey })))
          return world.settle()
        }
        if (name === "resume") {
          law.resume(key)
          return world.run(limiter.resume(key))
        }
        const millis = new Dice(value * 2 ** 32).pick([5, 1_000])
        law.pause(key, millis, key === undefined)
        world.run(limiter.pause(key, millis))
      }
    }
  }
})
