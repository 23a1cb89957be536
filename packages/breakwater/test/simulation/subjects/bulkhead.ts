import { Effect } from "effect"
import { Bulkhead, ResilienceEvent } from "breakwater"
import * as DeadlineQueue from "../../../src/DeadlineQueue.ts"
import { Dice } from "../Dice.ts"
import { BulkheadLaw, type BulkheadSettings } from "../laws/bulkhead.ts"
import { passThrough } from "../laws/passThrough.ts"
import type { Subject } from "../Simulation.ts"

export const drawBulkhead = (dice: Dice): BulkheadSettings => {
  const maxQueue = dice.pick([0, 1, 3, 10])
  return {
    maxConcurrent: dice.whole(1, 4),
    maxQueue,
    maxWait: maxQueue === 0 ? 0 : dice.pick([20, 1_000, 30_000]),
    order: dice.pick(["fifo", "lifo"]),
    perKey: dice.chance(0.3)
  }
}

export const bulkheadSubject = (
  name = "a bulkhead",
  tampered: (settings: Bulkhead.SettingsInput) => Bulkhead.SettingsInput = (settings) => settings,
  tenantOf: (key: string | undefined) => string | undefined = (key) => key
): Subject => ({
  name,
  open: (stage, dice) => {
    const { world } = stage
    const settings = drawBulkhead(dice)
    const bulkhead = world.run(
      Bulkhead.make({ operation: "target", settings: tampered(settings) }).pipe(
        Effect.provideService(ResilienceEvent.ResilienceEvents, stage.sink)
      )
    )
    const law = new BulkheadLaw(stage, {
      operation: "target",
      settings,
      snapshots: () => world.run(bulkhead.snapshots)
    })
    const timers = DeadlineQueue.of(world.clock)
    stage.obey(law, passThrough(stage), {
      settled: () => stage.equal("INV-RES", timers.waiting, law.waiting, "timers of calls that wait")
    })
    return {
      settings,
      guard: (call) =>
        stage
          .body(call)
          .pipe(stage.attempt(call), bulkhead.protect({ key: settings.perKey ? call.key : tenantOf(call.key) })),
      commands: ["resize"],
      command: (_name, _key, value) => {
        const limit = new Dice(value * 2 ** 32).whole(1, 5)
        law.resize(limit)
        world.run(bulkhead.resize(limit))
        world.settle()
      }
    }
  }
})
