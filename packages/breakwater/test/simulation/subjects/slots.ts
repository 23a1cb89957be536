import { Effect, Exit, Layer, Option, Scope } from "effect"
import {
  Bulkhead,
  CircuitBreaker,
  Coalesce,
  Policy,
  Preset,
  Priority,
  RateLimiter,
  Registry,
  Resilience,
  ResilienceEvent,
  RetryBudget,
  Tracing,
  withResilience
} from "breakwater"
import * as DeadlineQueue from "../../../src/DeadlineQueue.ts"
import { Dice } from "../Dice.ts"
import { BudgetLaw } from "../laws/budget.ts"
import { BulkheadLaw } from "../laws/bulkhead.ts"
import { CircuitLaw } from "../laws/circuit.ts"
import { CoalesceLaw } from "../laws/coalesce.ts"
import { fallback, type FallbackSettings } from "../laws/fallback.ts"
import { errorOf, isRefusal, rejectionOf } from "../laws/judgement.ts"
import { OperationLaw } from "../laws/operation.ts"
import { passThrough } from "../laws/passThrough.ts"
import { RateLaw } from "../laws/rateLimit.ts"
import { RetryLaw } from "../laws/retry.ts"
import { TimeoutLaw } from "../laws/timeout.ts"
import type { Subject } from "../Simulation.ts"
import type { Attempt, Call, Law, Stage } from "../Stage.ts"
import { drawBulkhead, priorityOf } from "./bulkhead.ts"
import { circuitCommands, commandCircuit } from "./circuit.ts"
import { drawRate, rateInput } from "./rateLimiter.ts"
import { drawBudget } from "./retryBudget.ts"
import {
  asWritten,
  type Configured,
  Current,
  drawConfigured,
  drawFallback,
  drawStrategy,
  type InForce,
  inForce,
  Reading,
  repeatRejections,
  slower
} from "./stack.ts"

/** What one call goes through with. */
interface Info extends InForce {
  readonly fallback: FallbackSettings | undefined
  readonly shareBy: string | undefined
  readonly hasAdmission: boolean
  /** The outermost of the policies between the circuit and the work. */
  readonly outermost: "bulkhead" | "quota" | undefined
  readonly hasBudget: boolean
}

/** One run of the effect of a call, for itself or for all that share it. */
class Run {
  readonly call: Call
  readonly info: Info
  /** The call with the attempts that execute its effect. */
  readonly inner: Call
  /** The call with the attempts that its circuit lets through, of which a limit may refuse some. */
  readonly outer: Call
  /** When it was let through to its first attempt. */
  admittedAt: number
  private readonly leftAt: () => number | undefined
  private ended: { readonly interruptedAt: number | undefined } | undefined

  constructor(call: Call, info: Info, leftAt: () => number | undefined) {
    this.call = call
    this.info = info
    this.leftAt = leftAt
    this.admittedAt = call.startedAt
    this.inner = this.view(call.attempts, () => call.startedAt)
    this.outer = this.view([], () => this.admittedAt)
  }

  /** When nobody was left to answer. What happens to callers after its end is none of its own. */
  get interruptedAt(): number | undefined {
    return this.ended === undefined ? this.leftAt() : this.ended.interruptedAt
  }

  end(): void {
    this.ended = { interruptedAt: this.leftAt() }
  }

  get deadline(): number {
    return this.call.startedAt + (this.info.timeout?.total ?? Infinity)
  }

  /** The call as a law knows it that sees but one policy. */
  view(attempts: Array<Attempt>, startedAt: () => number): Call {
    const { bodies, id, key, treatments, variant } = this.call
    const interruptedAt = () => this.interruptedAt
    return {
      id,
      key,
      variant,
      treatments,
      attempts,
      bodies,
      fallbacks: [],
      endedAt: undefined,
      exit: undefined,
      get startedAt() {
        return startedAt()
      },
      get interruptedAt() {
        return interruptedAt()
      },
      set interruptedAt(_) {}
    }
  }
}

/** Lets one law see who comes to a policy, is let through, and goes. */
class Watched implements Policy.Startable {
  private readonly settings: Policy.Startable
  private readonly watch: Watch

  constructor(settings: Policy.Startable, watch: Watch) {
    this.settings = settings
    this.watch = watch
  }

  placeUnsafe(known: Policy.Placed | undefined, services: Policy.Services, isOwn: boolean): Policy.Placed {
    return Policy.place(this, known, services, isOwn)
  }

  startUnsafe(services: Policy.Services): Policy.Running<never, unknown> {
    const running = this.settings.startUnsafe(services)
    return {
      run: (self, call, moment, observer) => {
        const { inside, outside } = this.watch()
        return outside(running.run(inside(self), call, moment, observer))
      },
      retuneUnsafe: (settings) => running.retuneUnsafe(settings),
      isAtRest: (now) => running.isAtRest(now),
      snapshotsUnsafe: (clock) => running.snapshotsUnsafe(clock)
    }
  }
}

type Around = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
type Watch = () => { readonly inside: Around; readonly outside: Around }

const onEnter =
  (enter: (call: Call) => void, leave: (exit: Exit.Exit<unknown, unknown>) => void): Around =>
  (self) =>
    Effect.flatMap(Current, (call) => {
      enter(call!)
      return Effect.onExitPrimitive(self, (exit) => {
        leave(exit)
        return undefined
      })
    })

const attemptOf = (call: Call, now: number): Attempt => {
  const attempt = { number: call.attempts.length, enteredAt: now, leftAt: undefined, exit: undefined }
  call.attempts.push(attempt)
  return attempt
}

const end = (attempt: Attempt, now: number, exit: Exit.Exit<unknown, unknown>): void => {
  attempt.leftAt = now
  attempt.exit = exit
}

const watching =
  (stage: Stage, law: Law, passageOf: (call: Call) => Call, onLetThrough: (call: Call) => void = () => {}): Watch =>
  () => {
    let passing: Call
    let attempt: Attempt
    return {
      outside: onEnter(
        (call) => {
          passing = passageOf(call)
          law.see!({ _tag: "CallStarted", call: passing })
        },
        (exit) => law.see!({ _tag: "CallEnded", call: passing, exit })
      ),
      inside: onEnter(
        (call) => {
          attempt = attemptOf(passing, stage.world.now)
          law.see!({ _tag: "Entered", call: passing, attempt })
          onLetThrough(call)
        },
        (exit) => {
          end(attempt, stage.world.now, exit)
          law.see!({ _tag: "Left", call: passing, attempt, exit })
        }
      )
    }
  }

/** What can be broken on purpose. */
export interface Tampered {
  readonly bulkhead?: (settings: Bulkhead.SettingsInput) => Bulkhead.SettingsInput
  readonly rate?: (settings: RateLimiter.SettingsInput) => RateLimiter.SettingsInput
  readonly budget?: (settings: RetryBudget.SettingsInput) => RetryBudget.SettingsInput
}

const operation = "target"

/** Two strategies of one operation with a policy in every place, and calls that share runs. */
export const slotsSubject = (name = "a stack with every slot", tampered: Tampered = {}): Subject => ({
  name,
  open: (stage, dice) => {
    const { world } = stage
    const infos = new Map<Call, Info>()
    const runs = new Map<Call, Run>()
    const runOf = (call: Call) => runs.get(call)!
    const runOfView = new Map<Call, Run>()
    const infoOf = (view: Call) => runOfView.get(view)?.info
    let configured = asWritten
    const reading = new Reading(world, () => configured)

    const drawn = {
      admission: drawRate(dice),
      bulkhead: drawBulkhead(dice),
      quota: drawRate(dice),
      retryBudget: drawBudget(dice),
      dependency: dice.chance(0.5) ? { dependency: "store" } : {},
      capacity: dice.pick([1, 2, 10_000]),
      sharing: dice.pick([0, 0, 0.5, 0.9])
    }
    const snapshot = () => {
      reading.touch()
      return Option.getOrUndefined(world.run(resilience.operation(operation)))
    }
    let seen: ReturnType<typeof snapshot>

    const timeouts = new TimeoutLaw(stage, { operation, settingsOf: (view) => infoOf(view)?.timeout })
    const retries = new RetryLaw(stage, {
      operation,
      settingsOf: (view) => infoOf(view)?.retry,
      deadlineOf: (view) => runOfView.get(view)!.deadline
    })
    const circuits = new CircuitLaw(stage, {
      operation,
      settingsOf: (view) => infoOf(view)?.circuit,
      current: () => reading.settings!,
      startedAt: () => reading.since,
      snapshots: () => {
        reading.touch()
        return world.run(Effect.flatMap(resilience.circuits, Effect.forEach(CircuitBreaker.snapshot)))
      }
    })
    const operations = new OperationLaw(stage, {
      operation,
      isGuarded: () => true,
      isRetried: (view) => infoOf(view)?.retry !== undefined,
      snapshot: () => seen,
      retries: () => retries.retries,
      exhausted: () => retries.exhausted,
      abandoned: () => timeouts.abandoned
    })
    const costOf = () => 1
    const deadlineOf = (view: Call) => runOfView.get(view)?.deadline ?? Infinity
    const admission = new RateLaw(stage, {
      operation,
      costOf,
      deadlineOf,
      scope: "admission",
      settings: drawn.admission,
      snapshot: () => seen && Option.getOrUndefined(seen.admission)
    })
    const quota = new RateLaw(stage, {
      operation,
      costOf,
      deadlineOf,
      scope: "quota",
      perKey: false,
      settings: drawn.quota,
      snapshot: () => seen && Option.getOrUndefined(seen.quota)
    })
    const bulkhead = new BulkheadLaw(stage, {
      operation,
      deadlineOf,
      priorityOf,
      settings: drawn.bulkhead,
      snapshots: () => seen?.bulkheads ?? []
    })
    const budget = new BudgetLaw(stage, {
      settings: drawn.retryBudget,
      snapshot: () => seen && Option.getOrUndefined(seen.retryBudget)
    })
    const coalesce = new CoalesceLaw(stage, {
      capacity: drawn.capacity,
      keyOf: (call) => {
        const info = infos.get(call)
        return info?.isGuarded && info.shareBy !== undefined ? JSON.stringify([call.key, info.shareBy]) : undefined
      },
      snapshot: () => seen && Option.getOrUndefined(seen.coalesce)
    })

    /** The run whose attempt ended last: what a retry tells next is about it. */
    let latest: Run | undefined
    /** Past the admission, where the retry begins. */
    const letThrough = (run: Run): void => {
      const { info, outer } = run
      run.admittedAt = world.now
      if (info.retry !== undefined && info.hasBudget) budget.began(outer)
    }
    const passageOf = (call: Call): Call => {
      const run = runOf(call)
      const { now } = world
      const passage = run.view([], () => now)
      runOfView.set(passage, run)
      return passage
    }
    const aroundAttempt: Around = (self) => {
      let run: Run
      let attempt: Attempt
      return onEnter(
        (call) => {
          run = runOf(call)
          attempt = attemptOf(run.outer, world.now)
          budget.attemptBegan(run.outer)
          for (const law of [retries, circuits]) law.see({ _tag: "Entered", call: run.outer, attempt })
        },
        (exit) => {
          end(attempt, world.now, exit)
          latest = run
          if (Exit.isFailure(exit)) budget.attemptEnded(run.outer, !isRefusal(exit))
          for (const law of [retries, circuits]) law.see({ _tag: "Left", call: run.outer, attempt, exit })
        }
      )(self)
    }
    const started = (call: Call): void => {
      const run = new Run(call, infos.get(call)!, () => coalesce.leftAt(call))
      runs.set(call, run)
      runOfView.set(run.inner, run)
      runOfView.set(run.outer, run)
      coalesce.runStarted(call)
      operations.see({ _tag: "CallStarted", call: run.inner })
      circuits.see({ _tag: "CallStarted", call: run.outer })
      if (!run.info.hasAdmission) letThrough(run)
    }
    const ended = (call: Call, exit: Exit.Exit<unknown, unknown>): void => {
      const run = runOf(call)
      // Nothing was tried where the circuit came first.
      const error = errorOf(exit)
      const isRefused = isRefusal(exit) && errorOf(run.outer.attempts.at(-1)?.exit ?? Exit.void) !== error
      if (isRefused) budget.attemptEnded(run.outer, false)
      budget.ended(run.outer)
      const reason = rejectionOf(operation, error)?.reason
      const isKeptOut = reason?._tag === "RateLimitExceeded" && reason.scope === "admission"
      if (!isKeptOut) retries.see({ _tag: "CallEnded", call: run.outer, exit })
      circuits.see({ _tag: "CallEnded", call: run.outer, exit })
      operations.see({ _tag: "CallEnded", call: run.inner, exit })
      coalesce.runEnded(call, exit)
      run.end()
    }
    const tracing: Tracing.Tracing = {
      call: (self) => {
        let call: Call
        return onEnter(
          (each) => started((call = each)),
          (exit) => ended(call, exit)
        )(self)
      },
      attempt: (self) =>
        Effect.flatMap(Current, (call) => {
          const inner = stage.attempt(call!)(self)
          return infos.get(call!)!.outermost === undefined ? aroundAttempt(inner) : inner
        })
    }

    const watched = (slot: Policy.Slot, settings: Policy.Startable, watch: Watch): never =>
      new Watched(settings, () => {
        const { inside, outside } = watch()
        const isOutermost = (call: Call | undefined) => infos.get(call!)!.outermost === slot
        return {
          inside,
          outside: (self) => {
            const guarded = outside(self)
            const attempted = aroundAttempt(guarded)
            return Effect.flatMap(Current, (call) => (isOutermost(call) ? attempted : guarded))
          }
        }
      }) as never
    const { budget: tamperBudget, bulkhead: tamperBulkhead, rate: tamperRate } = tampered
    const rateOf = (settings: RateLimiter.SettingsInput) => RateLimiter.settings(tamperRate?.(settings) ?? settings)
    const slots = {
      admission: watched(
        "admission",
        rateOf(rateInput(drawn.admission)),
        watching(stage, admission, passageOf, (call) => letThrough(runOf(call)))
      ),
      bulkhead: watched(
        "bulkhead",
        Bulkhead.settings(tamperBulkhead?.(drawn.bulkhead) ?? drawn.bulkhead),
        watching(stage, bulkhead, passageOf)
      ),
      quota: watched("quota", rateOf(rateInput(drawn.quota)), watching(stage, quota, passageOf)),
      retryBudget: RetryBudget.settings({
        ...(tamperBudget?.(drawn.retryBudget) ?? drawn.retryBudget),
        ...drawn.dependency
      })
    }
    const draw = (name: string) => {
      const has = {
        admission: dice.chance(0.35),
        bulkhead: dice.chance(0.6),
        quota: dice.chance(0.4),
        retryBudget: dice.chance(0.6)
      }
      const known = drawStrategy(dice, name, {
        ...(has.admission ? { admission: slots.admission } : {}),
        ...(has.bulkhead ? { bulkhead: slots.bulkhead } : {}),
        ...(has.quota ? { quota: slots.quota } : {}),
        ...(has.retryBudget ? { retryBudget: slots.retryBudget } : {})
      })
      return { known, has }
    }
    const strategies = [draw("first"), draw("second")] as const

    const scope = Scope.makeUnsafe()
    const context = world.run(
      Layer.buildWithScope(Resilience.layer(), scope).pipe(
        Effect.provideService(ResilienceEvent.ResilienceEvents, stage.sink),
        Effect.provideService(Tracing.Current, tracing)
      )
    )
    const resilience = world.run(Effect.provideContext(Registry, context))
    const limits = [operations, admission, bulkhead, quota, budget, coalesce]
    let looks = 0

    stage.obey(
      { see: coalesce.see },
      {
        see: (fact) => {
          if (fact._tag === "Published") {
            const { event } = fact
            if (event._tag === "RetryScheduled" && latest?.info.hasBudget === true) budget.reserved(latest.outer)
            if (event._tag === "RetriesExhausted" && event.because === "budget") {
              budget.refused(latest!.outer)
              retries.denied(latest!.outer)
            }
            circuits.see(fact)
            return operations.see(fact)
          }
          const run = runs.get(fact.call)
          if (fact._tag === "CallEnded" && infos.get(fact.call)?.isGuarded === true && fact.call.fallbacks.length > 0)
            return operations.see(fact)
          if (run === undefined || fact._tag === "CallStarted" || fact._tag === "CallEnded") return
          if (fact._tag === "FallbackStarted") return
          timeouts.see({ ...fact, call: run.inner })
          operations.see({ ...fact, call: run.inner })
        },
        settled: () => {
          for (const law of [retries, timeouts, circuits, admission, bulkhead, quota, coalesce]) law.settled()
        },
        due: () => [retries, timeouts, circuits, admission, bulkhead, quota, budget].flatMap((law) => law.due()),
        look: () => {
          // A snapshot takes as long as all the rest of a step.
          if (looks++ % 8 !== 0) return
          circuits.look()
          seen = snapshot()
          operations.compare()
          for (const law of [admission, bulkhead, quota, budget, coalesce]) law.look()
        },
        rest: () => {
          circuits.rest()
          timeouts.rest()
          seen = snapshot()
          for (const law of limits) law.rest()
        }
      },
      fallback(stage, {
        operation,
        settingsOf: (call) => {
          const info = infos.get(call)
          return info?.isGuarded ? info.fallback : undefined
        },
        leaderOf: (call) => coalesce.leaderOf(call)
      }),
      passThrough(stage, (call) => coalesce.leaderOf(call))
    )

    const configure = (next: Configured): void => {
      configured = next
      reading.configured()
      const { overlay, ...switches } = next
      world.run(resilience.configure((current) => ({ ...current, ...switches, overlay: Preset.overlay(overlay) })))
    }

    return {
      settings: {
        ...drawn,
        strategies: strategies.map(({ has, known }) => ({ ...has, ...known, strategy: undefined }))
      },
      guard: (call) => {
        const dice = new Dice(call.variant * 2 ** 32)
        const { has, known } = strategies[dice.chance(0.8) ? 0 : 1]
        const fallback = drawFallback(dice, call)
        const isInsistent = dice.chance(0.2)
        const shareBy = dice.chance(drawn.sharing) ? `answer ${dice.whole(0, 2)}` : undefined
        reading.touch(known)
        infos.set(call, {
          ...inForce(known, configured),
          fallback,
          shareBy,
          hasAdmission: has.admission,
          outermost: has.bulkhead ? "bulkhead" : has.quota ? "quota" : undefined,
          hasBudget: has.retryBudget
        })
        const body = stage.body(call)
        const options = {
          operation,
          key: call.key,
          ...(isInsistent ? { classify: repeatRejections } : {}),
          ...(shareBy === undefined ? {} : { coalesce: Coalesce.by(shareBy, { capacity: drawn.capacity }) })
        }
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
        return Effect.provideContext(guarded, context).pipe(
          Priority.withPriority(priorityOf(call)),
          Effect.provideService(Current, call)
        )
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
        const [{ has, known }] = strategies
        // Calls that a limit keeps out heal nothing.
        if (has.admission || has.quota) return
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
})
