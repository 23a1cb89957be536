import { Effect } from "effect"
import { Bulkhead, Priority, ResilienceEvent } from "breakwater"
import * as DeadlineQueue from "../../../src/DeadlineQueue.ts"
import { Dice } from "../Dice.ts"
import { BulkheadLaw, type BulkheadSettings } from "../laws/bulkhead.ts"
import { passThrough } from "../laws/passThrough.ts"
import type { Subject } from "../Simulation.ts"
import type { Call, Stage } from "../Stage.ts"

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

/** How much a call matters. Most matter as much as most. */
export const priorityOf = ({ variant }: Call): Priority.Priority => {
  const dice = new Dice(variant * 2 ** 32)
  return dice.chance(0.4) ? "medium" : dice.pick(["very_low", "low", "medium", "high", "very_high"])
}

interface Opening {
  readonly settings: BulkheadSettings
  readonly tampered: (settings: Bulkhead.SettingsInput) => Bulkhead.SettingsInput
  readonly priorityOf: ((call: Call) => Priority.Priority) | undefined
  readonly tenantOf: (key: string | undefined) => string | undefined
}

const open = (stage: Stage, { priorityOf, settings, tampered, tenantOf }: Opening) => {
  const { world } = stage
  const bulkhead = world.run(
    Bulkhead.make({ operation: "target", settings: tampered(settings) }).pipe(
      Effect.provideService(ResilienceEvent.ResilienceEvents, stage.sink)
    )
  )
  const law = new BulkheadLaw(stage, {
    operation: "target",
    settings,
    ...(priorityOf === undefined ? {} : { priorityOf }),
    snapshots: () => world.run(bulkhead.snapshots)
  })
  const timers = DeadlineQueue.of(world.clock)
  stage.obey(law, passThrough(stage), {
    settled: () => stage.equal("INV-RES", timers.waiting(), law.waiting, "timers of calls that wait")
  })
  return {
    settings,
    guard: (call: Call) =>
      stage
        .body(call)
        .pipe(stage.attempt(call), bulkhead.protect({ key: settings.perKey ? call.key : tenantOf(call.key) })),
    commands: ["resize"],
    command: (_name: string, _key: string | undefined, value: number) => {
      const limit = new Dice(value * 2 ** 32).whole(1, 5)
      law.resize(limit)
      world.run(bulkhead.resize(limit))
      world.settle()
    }
  }
}

export const bulkheadSubject = (
  name = "a bulkhead",
  tampered: (settings: Bulkhead.SettingsInput) => Bulkhead.SettingsInput = (settings) => settings,
  tenantOf: (key: string | undefined) => string | undefined = (key) => key
): Subject => ({
  name,
  open: (stage, dice) => open(stage, { settings: drawBulkhead(dice), tampered, priorityOf: undefined, tenantOf })
})

/** A bulkhead with a queue, in which some calls matter more than others. */
export const prioritySubject = (
  name = "a bulkhead with priorities",
  tampered: (priority: Priority.Priority) => Priority.Priority = (priority) => priority
): Subject => ({
  name,
  open: (stage, dice) => {
    const settings: BulkheadSettings = {
      ...drawBulkhead(dice),
      maxConcurrent: dice.whole(1, 2),
      maxQueue: dice.pick([1, 2, 3, 10]),
      maxWait: dice.pick([1_000, 30_000, 600_000])
    }
    const { guard, ...opened } = open(stage, {
      settings,
      tampered: (settings) => settings,
      priorityOf,
      tenantOf: (key) => key
    })
    return { ...opened, guard: (call) => Priority.withPriority(tampered(priorityOf(call)))(guard(call)) }
  }
})
