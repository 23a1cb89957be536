import { Duration, Effect, Schedule } from "effect"
import { CircuitBreaker, ResilienceEvent } from "breakwater"
import { Dice } from "../Dice.ts"
import { CircuitLaw } from "../laws/circuit.ts"
import type { CircuitSettings } from "../laws/circuitModel.ts"
import { passThrough } from "../laws/passThrough.ts"
import type { Subject } from "../Simulation.ts"
import type { Stage } from "../Stage.ts"

/** Settings as code writes them, and what the observer makes of them. */
export const drawCircuit = (dice: Dice) => {
  const halfOpenMaxCalls = dice.whole(1, 4)
  const input: CircuitBreaker.SettingsInput = {
    failureThreshold: dice.pick([1, 1, 2, 3, 5]),
    openDuration: dice.pick([1, 100, 1_000, 10_000, 60_000]),
    halfOpenMaxCalls,
    ...(dice.chance(0.5) ? { successThreshold: dice.whole(1, halfOpenMaxCalls) } : {}),
    ...(dice.chance(0.5) ? { probeTimeout: dice.pick([50, 5_000, 60_000]) } : {})
  }
  const grows = dice.chance(0.3)
  return {
    input,
    openSchedule: grows ? Schedule.exponential("500 millis") : undefined,
    model: circuitSettings(input, grows)
  }
}

const day = 86_400_000

export const circuitSettings = (
  {
    failureThreshold = 5,
    halfOpenMaxCalls = 1,
    openDuration = 60_000,
    probeTimeout,
    successThreshold = halfOpenMaxCalls
  }: CircuitBreaker.SettingsInput,
  grows: boolean
): CircuitSettings => ({
  failureThreshold,
  openMillis: grows
    ? (opening) => Math.min(500 * 2 ** (Math.min(opening, 64) - 1), day)
    : () => Duration.toMillis(openDuration),
  probes: halfOpenMaxCalls,
  successThreshold,
  probeMillis: probeTimeout === undefined ? undefined : Duration.toMillis(probeTimeout)
})

/** What operators do to a circuit, and to the observer's model of it. */
export const circuitCommands = ["isolate", "trip", "close", "reset"] as const

export const commandCircuit = (
  stage: Stage,
  law: CircuitLaw,
  circuit: CircuitBreaker.Circuit,
  name: string,
  value: number
): void => {
  const dice = new Dice(value * 2 ** 32)
  const { world } = stage
  switch (name) {
    case "isolate": {
      const expiresIn = dice.chance(0.8) ? dice.pick([5, 1_000, 30_000]) : undefined
      world.run(circuit.isolate({ reason: "works", expiresIn }))
      return law.command(circuit.key, (model, settings, now) => model.isolate(settings, now, "works", expiresIn))
    }
    case "trip": {
      const openFor = dice.chance(0.5) ? dice.pick([5, 1_000, 30_000]) : undefined
      world.run(circuit.trip({ openFor }))
      return law.command(circuit.key, (model, settings, now) => model.trip(settings, now, openFor))
    }
    case "close":
      world.run(circuit.close)
      return law.command(circuit.key, (model, settings, now) => model.close(settings, now, false))
    case "reset":
      world.run(circuit.reset)
      return law.command(circuit.key, (model, settings, now) => model.close(settings, now, true))
  }
}

/** A breaker of its own. `tampered` stands for a broken one. */
export const circuitSubject = (
  name = "a circuit breaker",
  tampered: (options: CircuitBreaker.MakeOptions) => CircuitBreaker.MakeOptions = (options) => options
): Subject => ({
  name,
  open: (stage, dice) => {
    const { world } = stage
    const { input, model, openSchedule } = drawCircuit(dice)
    const options = tampered({ operation: "target", settings: input, openSchedule })
    const breaker = world.run(
      CircuitBreaker.make(options).pipe(Effect.provideService(ResilienceEvent.ResilienceEvents, stage.sink))
    )
    const openedAt = world.now
    const law = new CircuitLaw(stage, {
      operation: "target",
      settingsOf: () => model,
      current: () => model,
      startedAt: () => openedAt,
      snapshots: () =>
        world.run(
          Effect.flatMap(
            breaker.circuits,
            Effect.forEach((circuit) => circuit.snapshot)
          )
        )
    })
    stage.obey(law, passThrough(stage))
    return {
      settings: { ...input, openTimesGrow: openSchedule !== undefined },
      guard: (call) => stage.body(call).pipe(stage.attempt(call), breaker.protect({ key: call.key })),
      commands: circuitCommands,
      command: (name, key, value) => {
        // A circuit is there once it was asked for.
        law.model(key)
        commandCircuit(stage, law, world.run(breaker.circuit(key)), name, value)
      },
      recover: (call) => law.recover(call)
    }
  }
})
