/**
 * Puts the policies of a strategy around an effect, in one order for all.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Errors from "./Errors.ts"
import * as Monotonic from "./Monotonic.ts"
import type { Operation } from "./Operation.ts"
import type * as Preset from "./Preset.ts"
import { isResilienceError, type ResilienceError } from "./ResilienceError.ts"
import { errorName, type Sink, timestamp } from "./ResilienceEvent.ts"
import * as Retry from "./Retry.ts"
import * as Timeout from "./Timeout.ts"

/**
 * Which final failures a fallback answers: `failures`, every error of the
 * call; `rejections`, only ours; `all`, defects too. Never an interruption.
 *
 * @category models
 * @since 0.1.0
 */
export type FallbackOn = "failures" | "rejections" | "all"

/**
 * What one call asks of the pipeline, with its types erased.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  readonly key?: string | undefined
  readonly classify?: Errors.Rule | undefined
  readonly fallback?: ((error: never) => Effect.Effect<unknown, unknown, unknown>) | undefined
  readonly fallbackOn?: FallbackOn | undefined
}

/**
 * The policies of one operation, ready to go around an effect.
 *
 * @category models
 * @since 0.1.0
 */
export interface Pipeline {
  readonly operation: Operation
  readonly protect: <A, E, R>(self: Effect.Effect<A, E, R>, call: Call) => Effect.Effect<A, E | ResilienceError, R>
}

/**
 * @category constructors
 * @since 0.1.0
 */
export const make = (operation: Operation, { strategy }: Preset.Resolved, events: Sink): Pipeline => {
  const { rules, settings } = strategy
  const { circuits } = operation
  const retry = settings.retry && Retry.make({ settings: settings.retry, rules, observer: observe(operation, events) })
  const attemptMillis = settings.timeout && Duration.toMillis(settings.timeout.attempt)
  const totalMillis = settings.timeout && Duration.toMillis(settings.timeout.total)
  const mode = settings.timeout ? settings.timeout.mode : undefined
  const timeoutOptions = (key: string | undefined) => limitObserver(operation, events, mode, key)
  const unkeyedOptions = timeoutOptions(undefined)

  return {
    operation,
    protect: (self, call) => {
      const callRules = call.classify === undefined ? undefined : [call.classify]
      // Read from the bottom: what is outer comes last.
      //
      // - The circuit sees attempts and stands inside the retry, so that a storm
      //   of retries opens it; its rejections are never retried.
      // - The attempt timeout stands inside the circuit: a slow attempt is a
      //   failure of the dependency.
      // - The total timeout stands around the retry and is kept by what is
      //   inside: attempts are clipped to it, pauses do not sleep past it.
      // - The fallback stands outside of everything and has its own time.
      return self.pipe(
        (self) => countAttempts(self, operation),
        (self) =>
          attemptMillis === false
            ? self
            : Timeout.attemptMillis(
                self,
                attemptMillis,
                call.key === undefined ? unkeyedOptions : timeoutOptions(call.key)
              ),
        (self) => (circuits === undefined ? self : circuits.protect(self, { key: call.key, rules: callRules })),
        (self) => (retry === false ? self : retry(self, { key: call.key, rules: callRules })),
        (self) => (totalMillis === false ? self : Timeout.withDeadlineMillis(self, totalMillis)),
        (self) => countCalls(self, operation, events, call.key),
        (self) => (call.fallback === undefined ? self : fallBack(self, operation, events, call))
      )
    }
  }
}

const countAttempts = <A, E, R>(self: Effect.Effect<A, E, R>, operation: Operation): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const clock = fiber.getRef(Clock.Clock)
    let start: number | undefined
    return Effect.onExitPrimitive(
      Effect.suspend(() => {
        start = Monotonic.now(clock)
        operation.attemptStarted()
        return self
      }),
      () => {
        if (start !== undefined) operation.attemptEnded(Monotonic.now(clock) - start)
        return undefined
      },
      true
    )
  })

const countCalls = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  operation: Operation,
  events: Sink,
  key: string | undefined
): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    const clock = fiber.getRef(Clock.Clock)
    let start: number | undefined
    return Effect.onExitPrimitive(
      Effect.suspend(() => {
        start = Monotonic.now(clock)
        operation.callStarted()
        return self
      }),
      (exit) => {
        if (start === undefined) return undefined
        const rejection = operation.callEnded(exit, start, clock)
        if (rejection !== undefined && events.isActive()) {
          events.publishUnsafe({
            _tag: "CallRejected",
            operation: operation.name,
            key,
            at: timestamp(clock),
            reason: rejection.reason._tag,
            message: rejection.reason.message
          })
        }
        return undefined
      },
      true
    )
  })

const limitObserver = (
  operation: Operation,
  events: Sink,
  mode: Timeout.Mode | undefined,
  key: string | undefined
): Timeout.Options => ({
  operation: operation.name,
  key,
  mode,
  onTimedOut: (error, clock) => {
    operation.timedOut()
    if (!events.isActive()) return
    const { limit, scope } = error.reason
    events.publishUnsafe({
      _tag: "AttemptTimedOut",
      operation: operation.name,
      key,
      at: timestamp(clock),
      scope,
      limit
    })
  },
  onAbandoned: (change, clock) => {
    const abandoned = operation.abandonedChanged(change)
    if (change < 0 || !events.isActive()) return
    events.publishUnsafe({ _tag: "AttemptAbandoned", operation: operation.name, key, at: timestamp(clock), abandoned })
  }
})

const observe = (operation: Operation, events: Sink): Retry.Observer => ({
  onFailed: ({ attempt, classification, clock, error, key }) => {
    if (!events.isActive()) return
    events.publishUnsafe({
      _tag: "AttemptFailed",
      operation: operation.name,
      key,
      at: timestamp(clock),
      attempt,
      error: errorName(error),
      kind: classification.kind
    })
  },
  onScheduled: ({ attempt, clock, delay, error, key }) => {
    operation.retryScheduled()
    if (!events.isActive()) return
    events.publishUnsafe({
      _tag: "RetryScheduled",
      operation: operation.name,
      key,
      at: timestamp(clock),
      attempt,
      delay,
      error: errorName(error)
    })
  },
  onExhausted: ({ attempts, because, clock, elapsed, error, key }) => {
    operation.retriesExhausted()
    if (!events.isActive()) return
    events.publishUnsafe({
      _tag: "RetriesExhausted",
      operation: operation.name,
      key,
      at: timestamp(clock),
      attempts,
      elapsed,
      error: errorName(error),
      because
    })
  }
})

const fallBack = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  operation: Operation,
  events: Sink,
  call: Call
): Effect.Effect<A, E, R> =>
  Effect.catchCause(self, (cause) => {
    const error = answerable(cause, call.fallbackOn ?? "failures")
    if (error === undefined) return Effect.failCause(cause)
    const publish = (_tag: "FallbackServed" | "FallbackFailed") =>
      Effect.map(Clock.Clock, (clock) => {
        if (_tag === "FallbackServed") operation.fallbackServed()
        if (!events.isActive()) return
        events.publishUnsafe({
          _tag,
          operation: operation.name,
          key: call.key,
          at: timestamp(clock),
          error: errorName(error.value)
        })
      })
    // The types of the fallback were checked where the call was written.
    const answer = Effect.suspend(() => call.fallback!(error.value as never)) as Effect.Effect<A, E, R>
    return answer.pipe(
      Effect.tap(() => publish("FallbackServed")),
      Effect.tapError(() => publish("FallbackFailed"))
    )
  })

/** The error that a fallback may answer; `undefined` if it may not. */
const answerable = (cause: Cause.Cause<unknown>, on: FallbackOn): { readonly value: unknown } | undefined => {
  if (cause.reasons.some(Cause.isInterruptReason)) return undefined
  const hasDefect = cause.reasons.some(Cause.isDieReason)
  if (hasDefect && on !== "all") return undefined
  const value = Cause.squash(cause)
  return on === "rejections" && !isResilienceError(value) ? undefined : { value }
}
