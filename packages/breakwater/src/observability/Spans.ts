/**
 * Traces calls: one span for a call, and one below it for each attempt.
 *
 * **Details**
 *
 * | span | attributes |
 * | --- | --- |
 * | `breakwater.call <operation>` | `breakwater.operation`, `.key`, `.strategy`, `.attempts`, `.outcome`, `.reason` |
 * | `breakwater.attempt` | `breakwater.operation`, `.key`, `.attempt`, `.outcome`, `.reason` |
 *
 * - `breakwater.outcome` is `succeeded`, `failed`, `rejected` (by us, and
 *   `breakwater.reason` says why) or `interrupted`. A failed span has
 *   `error.type`, the name of the error.
 * - The span of a call has an event for what the policies did in it:
 *   `CallRejected`, `RetryScheduled`, `RetriesExhausted`, `ProbeLapsed`,
 *   `RateLimitPaused`, and the transitions of its circuit that it caused or
 *   came upon.
 * - The span of a call ends before the fallback starts, whose own spans stand
 *   beside it.
 *
 * **Gotchas**
 *
 * - Provide it below `Resilience.layer`, which reads it once.
 * - An attempt whose limit passes ends as `rejected`, although its effect may
 *   still be cleaning up.
 * - Transitions outside of calls, such as those by an operator, are in no trace.
 * - A key appears as a hash unless `keys` says otherwise. The hash hides a key
 *   from a glance, not from someone who can guess it.
 * - A failed span ends with the name of the error and without its message, which
 *   may hold a secret, unless `errors` says otherwise. The spans around it are
 *   not ours and tell all.
 *
 * **Example** (The attempts of a call)
 *
 * ```ts import.meta.vitest
 * import { Effect, Layer, Tracer } from "effect"
 * import { Preset, Resilience, withOperation } from "breakwater"
 * import { Spans } from "breakwater/observability"
 *
 * const names: Array<string> = []
 * const tracer = Tracer.make({
 *   span: (options) => {
 *     names.push(options.name)
 *     return new Tracer.NativeSpan(options)
 *   }
 * })
 *
 * const program = Effect.succeed("a summary").pipe(
 *   withOperation("summarize_text"),
 *   Effect.provide(Resilience.layer(Preset.production).pipe(Layer.provide(Spans.layer()))),
 *   Effect.withTracer(tracer)
 * )
 *
 * await Effect.runPromise(program)
 * names // => ["breakwater.call summarize_text", "breakwater.attempt"]
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import { isResilienceError } from "../ResilienceError.ts"
import * as ResilienceEvent from "../ResilienceEvent.ts"
import * as Tracing from "../Tracing.ts"
import { type Keys, show } from "./internal/keys.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** How keys appear: `hashed` (default), `omitted` or `plain`. */
  readonly keys?: Keys | undefined
  /** What spans tell of errors: `names` (default), or `full` for messages and stacks too. */
  readonly errors?: "names" | "full" | undefined
}

/** The call that a fiber works for. */
interface Call {
  readonly info: Tracing.Info
  readonly span: Tracer.Span
  /** The number of the next attempt. */
  readonly next: () => number
}

const CurrentCall = Context.Reference<Call | undefined>("breakwater/observability/Spans/Call", {
  defaultValue: () => undefined
})

/**
 * Traces with the tracer of the caller.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: Options = {}): Tracing.Tracing => {
  const { errors = "names", keys = "hashed" } = options

  /** Runs an effect in a span. `onEnd` may still write to it. */
  const within = <A, E, R>(
    name: string,
    info: Tracing.Info,
    attributes: Record<string, unknown>,
    self: (span: Tracer.Span) => Effect.Effect<A, E, R>,
    onEnd: (span: Tracer.Span, ending: Ending, now: bigint) => void
  ): Effect.Effect<A, E, R> =>
    Effect.withFiber((fiber) => {
      const clock = fiber.getRef(Clock.Clock)
      const isTimed = fiber.getRef(References.TracerTimingEnabled)
      const key = show(info.key, keys)
      attributes["breakwater.operation"] = info.operation
      if (key !== undefined) attributes["breakwater.key"] = key
      return Effect.useSpan(name, { attributes }, (span) =>
        Effect.onExitPrimitive(Effect.provideService(self(span), Tracer.ParentSpan, span), (exit) => {
          const now = isTimed ? clock.currentTimeNanosUnsafe() : BigInt(0)
          const ending = endingOf(exit, info)
          span.attribute("breakwater.outcome", ending.outcome)
          if (ending.reason !== undefined) span.attribute("breakwater.reason", ending.reason)
          if (ending.error !== undefined) span.attribute("error.type", ending.error)
          onEnd(span, ending, now)
          if (errors === "full" || ending.error === undefined) return undefined
          span.end(now, Exit.fail({ name: ending.error, message: ending.message ?? ending.error }))
          return undefined
        })
      )
    })

  return {
    call: (self, info) =>
      Effect.suspend(() => {
        let attempts = 0
        const next = () => ++attempts
        return within(
          `breakwater.call ${info.operation}`,
          info,
          { "breakwater.strategy": info.strategy },
          (span) => Effect.provideService(self, CurrentCall, { info, span, next }),
          (span, { message, reason }, now) => {
            span.attribute("breakwater.attempts", attempts)
            if (reason !== undefined) span.event("CallRejected", now, { reason, message })
          }
        )
      }),
    attempt: (self, info) =>
      Effect.withFiber((fiber) => {
        const call = fiber.getRef(CurrentCall)
        const attributes = call === undefined ? {} : { "breakwater.attempt": call.next() }
        return within(
          "breakwater.attempt",
          info,
          attributes,
          () => self,
          () => {}
        )
      })
  }
}

/** How a call or an attempt ended. */
interface Ending {
  readonly outcome: "succeeded" | "failed" | "rejected" | "interrupted"
  /** The name of the error. */
  readonly error?: string
  /** Of a rejection. */
  readonly reason?: string
  /** Of a rejection: ours, without the key. */
  readonly message?: string
}

const endingOf = (exit: Exit.Exit<unknown, unknown>, { operation }: Tracing.Info): Ending => {
  if (Exit.isSuccess(exit)) return { outcome: "succeeded" }
  if (Cause.hasInterruptsOnly(exit.cause)) return { outcome: "interrupted" }
  const found = Cause.squash(exit.cause)
  const error = ResilienceEvent.errorName(found)
  if (!isResilienceError(found) || found.operation !== operation) return { outcome: "failed", error }
  const { _tag: reason, message } = found.reason
  return { outcome: "rejected", error, reason, message }
}

/**
 * Traces the operations above it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<never> =>
  Layer.effectContext(
    Effect.map(ResilienceEvent.ResilienceEvents, (outer) => {
      const isDefault = outer === Context.get(Context.empty(), ResilienceEvent.ResilienceEvents)
      const sink = isDefault ? ResilienceEvent.make() : outer
      return Context.make(Tracing.Current, make(options)).pipe(
        Context.add(ResilienceEvent.ResilienceEvents, annotating(sink))
      )
    })
  )

/**
 * A sink that also writes events to the span of the call in whose fiber they
 * are published.
 */
const annotating = (sink: ResilienceEvent.Sink): ResilienceEvent.Sink => ({
  isActive: () => true,
  publishUnsafe: (event) => {
    annotate(event)
    if (sink.isActive()) sink.publishUnsafe(event)
  },
  listenUnsafe: sink.listenUnsafe
})

/** What policies publish in the fiber of a call. Limits pass in any fiber; a call is rejected after its span. */
const ofCalls: ReadonlySet<ResilienceEvent.ResilienceEvent["_tag"]> = new Set([
  "RetryScheduled",
  "RetriesExhausted",
  "CircuitOpened",
  "CircuitHalfOpened",
  "CircuitClosed",
  "CircuitOverridden",
  "CircuitOverrideEnded",
  "ProbeLapsed",
  "RateLimitPaused"
])

const annotate = (event: ResilienceEvent.ResilienceEvent): void => {
  if (!("operation" in event) || !ofCalls.has(event._tag)) return
  const fiber = Fiber.getCurrent()
  const call = fiber?.getRef(CurrentCall)
  if (fiber === undefined || call === undefined) return
  const { _tag, at: _at, key, operation, ...facts } = event
  if (operation !== call.info.operation || key !== call.info.key) return
  const attributes: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(facts)) {
    if (Duration.isDuration(value)) attributes[`${name}_seconds`] = Duration.toSeconds(value)
    else if (value !== undefined) attributes[name] = value
  }
  call.span.event(_tag, fiber.getRef(Clock.Clock).currentTimeNanosUnsafe(), attributes)
}
