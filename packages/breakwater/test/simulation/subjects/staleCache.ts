import { Effect } from "effect"
import { Deadline, StaleCache } from "breakwater"
import { Dice } from "../Dice.ts"
import { StaleCacheLaw, type StaleCacheSettings } from "../laws/staleCache.ts"
import type { Subject } from "../Simulation.ts"
import type { Refusal } from "../Stage.ts"
import { sharedKey } from "./coalesce.ts"
import { Current } from "./stack.ts"

/** What a caller could do something about is not hidden behind an old answer. */
const serveStale = (error: unknown): boolean => (error as Refusal).answer !== "permanent"

export const staleCacheSubject = (
  name = "a stale cache",
  tampered: (settings: StaleCacheSettings) => StaleCache.Options = (settings) => settings
): Subject => ({
  name,
  open: (stage, dice) => {
    const { world } = stage
    const settings: StaleCacheSettings = {
      capacity: dice.pick([1, 2, 2, 1_000]),
      timeToLive: dice.pick([1, 1_000, 30_000]),
      maxStale: dice.pick([0, 500, 60_000, 3_600_000]),
      on: dice.pick(["failures", "failures", "rejections", "all"])
    }
    const cache = world.run(
      StaleCache.make(
        (key: string) =>
          Effect.flatMap(Effect.all([Current, Deadline.Current]), ([call, deadline]) => {
            stage.equal("INV-SC", deadline, undefined, `the time of the lookup of call ${call!.id}`)
            stage.equal("INV-SC", key, sharedKey(call!), `what the lookup of call ${call!.id} asks for`)
            return stage.body(call!)
          }),
        { serveStale, ...tampered(settings) }
      )
    )
    const law = new StaleCacheLaw(stage, {
      settings,
      keyOf: sharedKey,
      doesServe: serveStale,
      snapshot: () => world.run(cache.snapshot)
    })
    stage.obey(law)
    return {
      settings,
      guard: (call) =>
        cache
          .get(sharedKey(call))
          .pipe(
            Effect.provideService(Deadline.Current, Deadline.tighten(undefined, world.now, 60_000)),
            Effect.provideService(Current, call)
          ),
      commands: ["invalidate"],
      command: (_name, _key, value) => {
        const key = `answer ${new Dice(value * 2 ** 32).whole(0, 2)}`
        law.invalidate(key)
        world.run(cache.invalidate(key))
      }
    }
  }
})
