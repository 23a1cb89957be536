import { Duration, Effect, Schedule } from "effect"
import { CircuitBreaker, ResilienceEvent } from "breakwater"
import { Dice } from "../Dice.ts"
import { CircuitLaw } from "../laws/circuit.ts"
import type { CircuitSettings } from "../laws/circuitModel.ts"
import { passThrough } from "../laws/passThrough.ts"
import type { Subject } from "../Simulation.ts"
import type { Stage } from "../Stage.ts"

const drawTripPolicy = (dice: Dice, depth = 0): CircuitBreaker.TripPolicy => {
  const size = dice.whole(1, 40)
  const rate = dice.pick([0.01, 0.3, 0.5, 1])
  const duration = dice.pick([100, 3_000, 30_000])
  const buckets = dice.pick([1, 3, 10])
  const minimumCalls = dice.whole(1, Math.min(size, 6))
  switch (dice.weighted({ consecutive: 1, count: 3, time: 3, failures: 3, slow: 4, any: depth === 0 ? 3 : 0 })) {
    case "consecutive":
      return CircuitBreaker.consecutive(dice.whole(1, 4))
    case "count":
      return CircuitBreaker.countWindow({ size, rate, ...(dice.chance(0.8) ? { minimumCalls } : {}) })
    case "time":
      return CircuitBreaker.timeWindow({ duration, buckets, rate, minimumCalls })
    case "failures":
      return CircuitBreaker.failuresIn({ count: dice.whole(1, 4), duration })
    case "slow":
      return CircuitBreaker.slowCalls({
        threshold: dice.pick([50, 1_000, 3_000]),
        rate,
        window: dice.chance(0.5) ? { size } : { duration, buckets },
        minimumCalls
      })
    case "any":
      return CircuitBreaker.anyOf(...Array.from({ length: dice.whole(1, 3) }, () => drawTripPolicy(dice, depth + 1)))
  }
}

/** Settings as code writes them, and what the observer makes of them. */
export const drawCircuit = (dice: Dice) => {
  const halfOpenMaxCalls = dice.whole(1, 4)
  const input: CircuitBreaker.SettingsInput = {
    failureThreshold: dice.pick([1, 1, 2, 3, 5]),
    openDuration: dice.pick([1, 100, 1_000, 10_000, 60_000]),
    halfOpenMaxCalls,
    ...(dice.chance(0.5) ? { successThreshold: dice.whole(1, halfOpenMaxCalls) } : {}),
    ...(dice.chance(0.5) ? { probeTimeout: dice.pick([50, 5_000, 60_000]) } : {}),
    ...(dice.chance(0.6) ? { tripPolicy: drawTripPolicy(dice) } : {}),
    ...(dice.chance(0.3) ? { rampUp: dice.pick([500, 5_000, 20_000]) } : {}),
    ...(dice.chance(0.3) ? { maxRetryAfter: dice.pick([100, 30_000]) } : {})
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
    maxRetryAfter = 3_600_000,
    probeTimeout,
    rampUp = 0,
    successThreshold = halfOpenMaxCalls,
    tripPolicy = CircuitBreaker.consecutive(failureThreshold)
  }: CircuitBreaker.SettingsInput,
  grows: boolean
): CircuitSettings => ({
  tripPolicy,
  openMillis: grows
    ? (opening) => Math.min(500 * 2 ** (Math.min(opening, 64) - 1), day)
    : () => Duration.toMillis(openDuration),
  probes: halfOpenMaxCalls,
  successThreshold,
  probeMillis: probeTimeout === undefined ? undefined : Duration.toMillis(probeTimeout),
  maxRetryAfter: Duration.toMillis(maxRetryAfter),
  rampMillis: Duration.toMillis(rampUp)
})

/** What operators do to a circuit, and to the observer's model of it. */
export const circuitCommands = ["override", "override", "release", "trip", "close", "reset"] as const

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
    case "override": {
      const mode = dice.pick(["isolated", "disabled", "metrics_only"])
      const expiresIn = dice.chance(0.8) ? dice.pick([5, 1_000, 30_000]) : undefined
      const options = { reason: "works", expiresIn }
      const { disable, isolate, metricsOnly } = CircuitBreaker
      const lay = { isolated: isolate, disabled: disable, metrics_only: metricsOnly }[mode]
      world.run(lay(circuit, options))
      return law.command(circuit.key, (model, settings, now) => model.override(settings, now, mode, "works", expiresIn))
    }
    case "release": {
      const mode = dice.pick(["isolated", "disabled", "metrics_only"])
      world.run(CircuitBreaker.release(circuit, mode))
      return law.command(circuit.key, (model, settings, now) => model.release(settings, now, mode))
    }
    case "trip": {
      const openFor = dice.chance(0.5) ? dice.pick([5, 1_000, 30_000]) : undefined
      world.run(CircuitBreaker.trip(circuit, { openFor }))
      return law.command(circuit.key, (model, settings, now) => model.trip(settings, now, openFor))
    }
    case "close":
      world.run(CircuitBreaker.close(circuit))
      return law.command(circuit.key, (model, settings, now) => model.close(settings, now, false))
    case "reset":
      world.run(CircuitBreaker.reset(circuit))
      return law.command(circuit.key, (model, settings, now) => model.close(settings, now, true))
  }
}

/** A breaker of its own. `tampered` stands for a broken one. */
export const circuitSubject = (
  name = "a circuit breaker",
  tampered: (settings: CircuitBreaker.SettingsInput) => CircuitBreaker.SettingsInput = (settings) => settings
): Subject => ({
  name,
  open: (stage, dice) => {
    const { world } = stage
    const { input, model, openSchedule } = drawCircuit(dice)
    const options = { operation: "target", settings: tampered(input), openSchedule }
    const breaker = world.run(
      CircuitBreaker.make(options).pipe(Effect.provideService(ResilienceEvent.ResilienceEvents, stage.sink))
    )
    const openedAt = world.now
    const law = new CircuitLaw(stage, {
      operation: "target",
      settingsOf: () => model,
      current: () => model,
      startedAt: () => openedAt,
      snapshots: () => world.run(Effect.flatMap(breaker.circuits, Effect.forEach(CircuitBreaker.snapshot)))
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
