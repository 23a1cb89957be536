import { Context, Duration, Effect, Exit, Layer, Option, Scope } from "effect"
import {
  CircuitBreaker,
  type Errors,
  Preset,
  Registry,
  Resilience,
  ResilienceError,
  ResilienceEvent,
  Strategy,
  Tracing,
  withResilience
} from "breakwater"
import * as DeadlineQueue from "../../../src/DeadlineQueue.ts"
import { Dice } from "../Dice.ts"
import { CircuitLaw } from "../laws/circuit.ts"
import type { CircuitSettings } from "../laws/circuitModel.ts"
import { fallback, type FallbackSettings } from "../laws/fallback.ts"
import { OperationLaw } from "../laws/operation.ts"
import { passThrough } from "../laws/passThrough.ts"
import { RetryLaw, type RetrySettings } from "../laws/retry.ts"
import { TimeoutLaw, type TimeoutSettings } from "../laws/timeout.ts"
import type { Subject } from "../Simulation.ts"
import type { Call } from "../Stage.ts"
import type { World } from "../World.ts"
import { circuitCommands, circuitSettings, commandCircuit, drawCircuit } from "./circuit.ts"
import { drawRetry, retryInput } from "./retry.ts"
import { drawTimeout } from "./timeout.ts"

/** The call that a fiber makes. */
export const Current = Context.Reference<Call | undefined>("breakwater/test/simulation/Call", {
  defaultValue: () => undefined
})

/** A strategy as the observer knows it. */
export interface Known {
  readonly strategy: Strategy.Strategy
  readonly retry: RetrySettings | undefined
  readonly circuit: ReturnType<typeof drawCircuit> | undefined
  readonly timeout: TimeoutSettings | undefined
}

export const drawStrategy = (
  dice: Dice,
  name: string,
  more: Pick<Strategy.Overrides, "admission" | "bulkhead" | "quota" | "retryBudget"> = {}
): Known => {
  const maybe = <A>(draw: (dice: Dice) => A): A | undefined => (dice.chance(0.85) ? draw(dice) : undefined)
  const [retry, circuit, timeout] = [maybe(drawRetry), maybe(drawCircuit), maybe(drawTimeout)]
  const strategy = Strategy.make(name, {
    retry: retry === undefined ? false : retryInput(retry),
    circuitBreaker: circuit === undefined ? false : circuit.input,
    timeout: timeout === undefined ? false : timeout,
    openSchedule: circuit?.openSchedule,
    ...more
  })
  return { strategy, retry, circuit, timeout }
}

/** What is in force, besides the strategies. */
export interface Configured {
  readonly overlay: Preset.OverlayInput
  readonly isEnabled: boolean
  readonly retry: boolean
  readonly circuitBreaker: boolean
}

/** Every strategy as it was written. */
export const asWritten: Configured = { overlay: {}, isEnabled: true, retry: true, circuitBreaker: true }

export const drawConfigured = (dice: Dice): Configured => {
  const maybe = <A>(from: ReadonlyArray<A>): A | undefined => (dice.chance(0.4) ? dice.pick(from) : undefined)
  return {
    overlay: {
      retryAttempts: maybe([1, 2, 4]),
      circuitBreakerThreshold: maybe([1, 2, 4]),
      recoveryTimeout: maybe([10_000, 30_000]),
      exponentialMultiplier: maybe([100, 1_000]),
      exponentialMin: maybe([500, 2_000]),
      exponentialMax: maybe([5_000, 20_000]),
      jitterMax: maybe([100, 1_000]),
      maxDelay: maybe([5_000, 20_000]),
      halfOpenMaxCalls: maybe([1, 2, 3]),
      attemptTimeout: maybe([100, 3_000])
    },
    isEnabled: dice.chance(0.95),
    retry: dice.chance(0.9),
    circuitBreaker: dice.chance(0.9)
  }
}

/** What one call goes through with, however the configuration changes meanwhile. */
export interface InForce {
  readonly isGuarded: boolean
  readonly retry: RetrySettings | undefined
  readonly circuit: CircuitSettings | undefined
  readonly timeout: TimeoutSettings | undefined
}

export const inForce = (known: Known, configured: Configured): InForce => {
  const { circuitBreaker, isEnabled, overlay, retry } = configured
  const millis = (over: Duration.Input | undefined, own: number) => (over === undefined ? own : Duration.toMillis(over))
  // Whoever states failures in a row means them, in place of any other policy.
  const { tripPolicy, ...counting } = known.circuit?.input ?? {}
  const isKept = overlay.circuitBreakerThreshold === undefined && tripPolicy !== undefined
  const circuit = known.circuit && {
    ...counting,
    ...(isKept ? { tripPolicy } : {}),
    ...(overlay.circuitBreakerThreshold === undefined ? {} : { failureThreshold: overlay.circuitBreakerThreshold }),
    ...(overlay.recoveryTimeout === undefined ? {} : { openDuration: overlay.recoveryTimeout }),
    ...(overlay.halfOpenMaxCalls === undefined ? {} : { halfOpenMaxCalls: overlay.halfOpenMaxCalls })
  }
  const probes = circuit?.halfOpenMaxCalls ?? 1
  return {
    isGuarded: isEnabled,
    retry:
      retry && known.retry !== undefined
        ? {
            ...known.retry,
            maxAttempts: overlay.retryAttempts ?? known.retry.maxAttempts,
            base: millis(overlay.exponentialMultiplier, known.retry.base),
            min: millis(overlay.exponentialMin, known.retry.min),
            max: millis(overlay.exponentialMax, known.retry.max),
            jitterMax: millis(overlay.jitterMax, known.retry.jitterMax)
          }
        : undefined,
    circuit:
      circuitBreaker && circuit !== undefined
        ? circuitSettings(
            { ...circuit, successThreshold: Math.min(circuit.successThreshold ?? probes, probes) },
            known.circuit!.openSchedule !== undefined
          )
        : undefined,
    timeout: known.timeout && {
      ...known.timeout,
      attempt: millis(overlay.attemptTimeout, known.timeout.attempt),
      total: millis(overlay.maxDelay, known.timeout.total)
    }
  }
}

/**
 * The operation belongs to the strategy of its first call, and takes over what was configured when it is used next.
 */
export class Reading {
  /** Those of the circuits when nobody calls. */
  settings: CircuitSettings | undefined
  /** When the circuits were there first. */
  since = 0
  /** Whose strategy came first. */
  owner: Known | undefined
  private isStale = false
  private readonly world: World
  private readonly inForceNow: () => Configured

  constructor(world: World, inForceNow: () => Configured) {
    this.world = world
    this.inForceNow = inForceNow
  }

  configured(): void {
    this.isStale = true
  }

  /** `mine`: the strategy of a call. */
  touch(mine?: Known): void {
    if (this.owner === undefined) {
      if (mine === undefined) return
      this.owner = mine
      this.isStale = true
    }
    if (this.isStale) {
      this.isStale = false
      this.read(inForce(this.owner, this.inForceNow()).circuit)
    }
    if (mine !== undefined && this.settings === undefined) this.read(inForce(mine, this.inForceNow()).circuit)
  }

  private read(circuit: CircuitSettings | undefined): void {
    if (this.settings === undefined && circuit !== undefined) this.since = this.world.now
    this.settings = circuit ?? this.settings
  }
}

/** Of two circuits the longer time to heal. */
export const slower = (one: CircuitSettings, other: CircuitSettings): CircuitSettings => ({
  ...one,
  probes: Math.max(one.probes, other.probes),
  probeMillis:
    one.probeMillis === undefined || other.probeMillis === undefined
      ? undefined
      : Math.max(one.probeMillis, other.probeMillis)
})

export const drawFallback = (dice: Dice, call: Call): FallbackSettings | undefined =>
  dice.chance(0.5)
    ? {
        on: dice.pick(["failures", "rejections", "all"]),
        exit: dice.chance(0.8)
          ? Exit.succeed({ instead: call.id })
          : Exit.fail({ answer: "permanent", name: `fallback of ${call.id}`, isRetryable: false }),
        millis: dice.pick([0, 0, 100])
      }
    : undefined

/** A rule that asks for what no rule gets: rejections that are tried again. */
export const repeatRejections: Errors.Rule = (error) =>
  error instanceof ResilienceError && error.reason._tag !== "TimeoutExceeded"
    ? { kind: "unavailable", retried: true, counted: false }
    : undefined

/** Two strategies of one operation, through everything that composes policies. */
export const stackSubject: Subject = {
  name: "a stack",
  open: (stage, dice) => {
    const { world } = stage
    // Two strategies share the operation; most calls come by the first.
    const strategies = [drawStrategy(dice, "first"), drawStrategy(dice, "second")] as const
    const calls = new Map<Call, InForce & { readonly fallback: FallbackSettings | undefined }>()
    let configured = asWritten

    const tracing: Tracing.Tracing = {
      call: (self) => self,
      attempt: (self) => Effect.flatMap(Current, (call) => stage.attempt(call!)(self))
    }
    const scope = Scope.makeUnsafe()
    const context = world.run(
      Layer.buildWithScope(Resilience.layer(), scope).pipe(
        Effect.provideService(ResilienceEvent.ResilienceEvents, stage.sink),
        Effect.provideService(Tracing.Current, tracing)
      )
    )
    const resilience = world.run(Effect.provideContext(Registry, context))

    const reading = new Reading(world, () => configured)
    const snapshot = () => {
      reading.touch()
      return Option.getOrUndefined(world.run(resilience.operation("target")))
    }
    const operation = "target"
    const timeouts = new TimeoutLaw(stage, { operation, settingsOf: (call) => guardOf(call)?.timeout })
    const guardOf = (call: Call) => {
      const found = calls.get(call)
      return found?.isGuarded ? found : undefined
    }
    const retries = new RetryLaw(stage, {
      operation,
      settingsOf: (call) => guardOf(call)?.retry,
      deadlineOf: (call) => (guardOf(call) === undefined ? Infinity : timeouts.deadlineOf(call))
    })
    const circuits = new CircuitLaw(stage, {
      operation,
      settingsOf: (call) => guardOf(call)?.circuit,
      current: () => reading.settings!,
      startedAt: () => reading.since,
      snapshots: () => {
        reading.touch()
        return world.run(Effect.flatMap(resilience.circuits, Effect.forEach(CircuitBreaker.snapshot)))
      }
    })
    const operations = new OperationLaw(stage, {
      operation,
      isGuarded: (call) => calls.get(call)?.isGuarded ?? false,
      isRetried: (call) => guardOf(call)?.retry !== undefined,
      snapshot,
      retries: () => retries.retries,
      exhausted: () => retries.exhausted,
      abandoned: () => timeouts.abandoned
    })
    stage.obey(
      retries,
      timeouts,
      circuits,
      operations,
      fallback(stage, { operation, settingsOf: (call) => guardOf(call)?.fallback }),
      passThrough(stage)
    )

    const configure = (next: Configured): void => {
      configured = next
      reading.configured()
      const { overlay, ...switches } = next
      world.run(resilience.configure((current) => ({ ...current, ...switches, overlay: Preset.overlay(overlay) })))
    }

    return {
      settings: strategies.map(({ strategy }) => strategy.settings),
      guard: (call) => {
        const dice = new Dice(call.variant * 2 ** 32)
        const known = strategies[dice.chance(0.8) ? 0 : 1]
        const fallback = drawFallback(dice, call)
        const isInsistent = dice.chance(0.2)
        reading.touch(known)
        calls.set(call, { ...inForce(known, configured), fallback })
        const body = stage.body(call)
        const options = { operation, key: call.key, ...(isInsistent ? { classify: repeatRejections } : {}) }
        const guarded: Effect.Effect<unknown, unknown, Resilience> =
          fallback === undefined
            ? withResilience(body, known.strategy, options)
            : withResilience(body, known.strategy, {
                ...options,
                fallbackOn: fallback.on,
                fallback: (error: unknown) => {
                  stage.fallback(call, error)
                  return fallback.millis === 0
                    ? fallback.exit
                    : Effect.andThen(Effect.sleep(fallback.millis), fallback.exit)
                }
              })
        return Effect.provideContext(guarded, context).pipe(Effect.provideService(Current, call))
      },
      commands: [...circuitCommands, "configure", "configure", "reset metrics"],
      command: (name, key, value) => {
        if (name === "configure") return configure(drawConfigured(new Dice(value * 2 ** 32)))
        reading.touch()
        if (name === "reset metrics") {
          world.run(resilience.resetMetrics())
          circuits.forgetCounts()
          return operations.reset()
        }
        const circuit = Option.getOrUndefined(
          world.run(resilience.circuit(key === undefined ? operation : `${operation}:${key}`))
        )
        if (circuit !== undefined) commandCircuit(stage, circuits, circuit, name, value)
      },
      recover: (call) => {
        const [known] = strategies
        configure(asWritten)
        const own = inForce(known, asWritten).circuit
        if (own === undefined) return
        reading.touch(known)
        circuits.recover(call, slower(own, reading.settings!))
      },
      residue: () => {
        world.run(Scope.close(scope, Exit.void))
        return DeadlineQueue.of(world.clock).waiting()
      }
    }
  }
}
