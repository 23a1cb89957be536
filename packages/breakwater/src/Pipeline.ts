/**
 * Puts the policies of a strategy around an effect, in one order for all.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Attempt from "./Attempt.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import type * as Errors from "./Classification.ts"
import type * as Coalesce from "./Coalesce.ts"
import * as Fallback from "./Fallback.ts"
import * as Moment from "./Moment.ts"
import type { Operation } from "./Operation.ts"
import type * as Policy from "./Policy.ts"
import type { ResilienceError } from "./ResilienceError.ts"
import * as Retry from "./Retry.ts"
import * as Step from "./Step.ts"
import type * as Strategy from "./Strategy.ts"
import * as Timeout from "./Timeout.ts"
import type * as Tracing from "./Tracing.ts"

/**
 * Which final failures a fallback answers.
 *
 * @category models
 * @since 0.1.0
 */
export type FallbackOn = Fallback.On

/**
 * What one call asks of the pipeline, with its types erased.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  readonly key?: string | undefined
  readonly coalesce?: Coalesce.By | undefined
  readonly classify?: Errors.Rule | undefined
  readonly fallback?: ((error: never) => Effect.Effect<unknown, unknown, unknown>) | undefined
  readonly fallbackOn?: FallbackOn | undefined
}

/**
 * The policies of a strategy, ready to go around the effects of an operation.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pipeline {
  /** `undefined`: the strategy has no circuit breaker. */
  readonly tuning: CircuitBreaker.Tuning | undefined
  /** The policies that an operation has to have started before `run`. */
  readonly started: ReadonlyArray<readonly [Policy.Slot, Policy.Startable]>
  /** The budget of its retries, which an operation has to have started unless it is shared. */
  readonly budget: Policy.PreparedBudget | undefined
  /** Guards one run of an effect. */
  readonly run: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    operation: Operation,
    call: Call,
    fiber: Fiber.Fiber<unknown, unknown>
  ) => Effect.Effect<A, E | ResilienceError, R>
}

/** What one call says to its policies. */
interface Options {
  readonly operation: string
  readonly key: string | undefined
  readonly mode: Timeout.Mode | undefined
  readonly rules: ReadonlyArray<Errors.Rule>
  readonly observer: Operation
  readonly strategy: Strategy.Strategy
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (
  prepared: Strategy.Strategy,
  tracing?: Tracing.Tracing,
  budget?: Policy.PreparedBudget
): Pipeline => {
  const { name: strategy, openTimes, rules: strategyRules, settings } = prepared
  const tuning = settings.circuitBreaker ? CircuitBreaker.tune(settings.circuitBreaker, openTimes) : undefined
  const retry = settings.retry && Retry.prepare(settings.retry)
  const { attempt, mode, total }: Partial<Timeout.Settings> = settings.timeout || {}
  const attemptMillis = attempt && Duration.toMillis(attempt)
  const totalMillis = total && Duration.toMillis(total)

  const started = slots.flatMap((slot) => {
    const policy = settings[slot]
    return policy === false ? [] : [[slot, policy] as const]
  })
  const isAdmitted = settings.admission !== false
  const inner = started.flatMap(([slot]) => (slot === "admission" ? [] : [slot]))

  /** Nothing stands around the attempts that has to be there before the first one. */
  const isPlain = !(isAdmitted || budget || (retry && retry.nested === "innerYields"))

  // What comes later stands further out.
  //
  // - The attempt timeout stands inside the circuit: a slow attempt is a
  //   failure of the dependency.
  // - The quota is the dependency's own limit, which each attempt uses up. An
  //   attempt waits for it with its place in the bulkhead and without a limit of
  //   its own running.
  // - The bulkhead stands inside the circuit, whose open state spares the queue;
  //   what it refuses is no failure of the dependency.
  // - The circuit sees attempts and stands inside the retry, so that a storm of
  //   retries opens it; its rejections are never retried.
  // - The total timeout is the deadline of the call's moment: attempts are
  //   clipped to it, and no pause sleeps past it.
  // - The admission limit stands outside of the retry: a call passes it once.
  // - Calls that share a run share all of the above, and count as one call.
  // - The fallback stands outside of everything and has its own time.
  const guard = <A, E, R>(
    self: Effect.Effect<A, E, R>,
    operation: Operation,
    { classify, key }: Call,
    fiber: Fiber.Fiber<unknown, unknown>
  ): Effect.Effect<A, E | ResilienceError, R> => {
    const { circuits, name, policies } = operation
    const rules = classify === undefined ? strategyRules : [classify, ...strategyRules]
    const moment = totalMillis === undefined ? Moment.of(fiber) : Moment.within(fiber, totalMillis)
    const options: Options = { operation: name, key, mode, rules, observer: operation, strategy: prepared }
    const governing = circuits && tuning && circuits.governing(tuning)
    // An attempt is one once nothing refuses it any more: the innermost policy tells.
    const begin = (isToldInside?: boolean) =>
      governing ? circuits.begin(governing, options, moment, isToldInside) : beginUnrefused(operation, moment)
    const apart = () => {
      let guarded =
        attemptMillis === undefined
          ? self
          : Timeout.run<A, E | ResilienceError, R>(self, attemptMillis, options, moment)
      if (tracing !== undefined) guarded = tracing.attempt(guarded, { operation: name, key, strategy })
      for (let i = 0; i < inner.length; i++) {
        const { running } = policies![inner[i]!]!
        guarded = running.run(guarded, options, moment, i === 0 ? operation : undefined)
      }
      return governing || inner.length === 0 ? Attempt.watch(guarded, () => begin(inner.length > 0)) : guarded
    }
    // Where nothing waits between the circuit and the timeout, all of it begins in one step and ends in one.
    const lone = inner.length === 1 ? policies![inner[0]!]!.running : undefined
    const isTogether = tracing === undefined && (lone === undefined ? inner.length === 0 : lone.beginUnsafe)
    const first = lone === undefined ? begin : () => lone.beginUnsafe!(begin, apart, options, moment)
    // What stands around the attempts, as `Timeout.run` asks for it; without `begun` all of them are yet to be made.
    const around = (
      begun?: Effect.Effect<A, E | ResilienceError, R>,
      isOver = false
    ): Effect.Effect<A, E | ResilienceError, R> | undefined => {
      if (isOver) {
        const { startedAt } = moment
        moment.startedAt = undefined
        // Set by the first attempt, which counts the call.
        if (startedAt !== undefined)
          operation.callEnded(begun as Exit.Exit<A, E | ResilienceError>, startedAt, options, moment)
        return undefined
      }
      const attempt = !isTogether
        ? apart()
        : attemptMillis === undefined
          ? Attempt.watch(self, first)
          : Timeout.run<A, E | ResilienceError, R>(self, attemptMillis, options, moment, first)
      const spending = budget ? { ...options, budget: budget.of(policies?.retryBudget) } : options
      const attempts = () =>
        retry ? Retry.run(attempt, retry, spending, moment, begun, begun && moment.startedAt) : (begun ?? attempt)
      // A call that is refused before its first attempt is none to the budget.
      let guarded = isAdmitted
        ? policies!.admission!.running.run(Effect.suspend(attempts), options, moment)
        : attempts()
      if (isAdmitted || (inner.length > 0 && !governing)) {
        const counted = guarded
        // Counts a call that may be refused before its first attempt, unless the circuit stands around all that may.
        guarded = Effect.suspend(() => {
          operation.onArrived(moment)
          return counted
        })
      }
      if (tracing !== undefined) guarded = tracing.call(guarded, { operation: name, key, strategy })
      return Effect.onExitPrimitive(guarded, (exit) => around(exit, true) as undefined)
    }
    // Then a call that goes well is its first attempt.
    return attemptMillis !== undefined && isTogether && isPlain && (governing || inner.length === 0)
      ? Timeout.run<A, E | ResilienceError, R>(self, attemptMillis, options, moment, first, around)
      : around()!
  }

  return {
    tuning,
    started,
    budget,
    run: (self, operation, call, fiber) => {
      const { coalesce, fallback, key } = call
      // A shared run is guarded by the fiber that runs it: the deadlines of its callers are none of its own.
      const guarded = coalesce
        ? coalesce.runUnsafe(
            Effect.withFiber((fiber) => guard(self, operation, call, fiber)),
            operation,
            key
          )
        : guard(self, operation, call, fiber)
      const whole = fallback ? fallBack(guarded, operation, call) : guarded
      return coalesce ? whole : Step.into(whole, fiber)
    }
  }
}

// From the inside out, as far as they stand next to each other.
const slots = ["quota", "bulkhead", "admission"] as const satisfies ReadonlyArray<Policy.Slot>

/** What the circuit does on the way, for a strategy in which nothing refuses an attempt. */
const beginUnrefused = (operation: Operation, moment: Moment.Moment): Attempt.Ended<unknown, unknown> => {
  operation.onArrived(moment)
  const startedAt = moment.now
  operation.onAdmitted()
  return () => {
    operation.onSettled(moment.read() - startedAt, moment)
  }
}

const fallBack = <A, E, R>(self: Effect.Effect<A, E, R>, operation: Operation, call: Call): Effect.Effect<A, E, R> =>
  Effect.catchCause(self, (cause) => {
    const failed = Fallback.answerable(cause, call.fallbackOn ?? "failures")
    if (failed === undefined) return Effect.failCause(cause)
    const ended = (hasServed: boolean) =>
      Effect.map(Clock.Clock, (clock) => operation.fallbackEnded(hasServed, failed.error, call.key, clock))
    // The types of the fallback were checked where the call was written.
    const answer = Effect.suspend(() => call.fallback!(failed.error as never)) as Effect.Effect<A, E, R>
    return Effect.onExit(answer, (exit) =>
      Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? Effect.void : ended(Exit.isSuccess(exit))
    )
  })
