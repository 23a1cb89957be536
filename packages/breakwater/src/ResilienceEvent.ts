/**
 * Lists what the policies say about themselves, as one closed union of data.
 *
 * **Details**
 *
 * Policies publish, and never log, count in metrics or trace. Logs, metrics,
 * alerts, the admin stream and the dashboard are subscribers. A success is no
 * event: calls are counted in place and read by snapshot.
 *
 * **Gotchas**
 *
 * Without `ResilienceEvent.layer` every event is dropped. A subscriber that
 * falls behind loses the oldest events and slows no call.
 *
 * **Example** (Watching circuits)
 *
 * ```ts import.meta.vitest
 * import { Effect, Fiber, Stream } from "effect"
 * import { CircuitBreaker, ResilienceEvent } from "breakwater"
 *
 * const program = Effect.gen(function*() {
 *   const events = yield* ResilienceEvent.ResilienceEvents
 *   const seen = yield* events.stream.pipe(Stream.take(1), Stream.runCollect, Effect.forkChild({ startImmediately: true }))
 *   const breaker = yield* CircuitBreaker.make({ operation: "payments", settings: { failureThreshold: 1 } })
 *   yield* Effect.exit(Effect.fail("down").pipe(breaker.protect()))
 *   return (yield* Fiber.join(seen)).map((event) => event._tag)
 * }).pipe(Effect.provide(ResilienceEvent.layer))
 *
 * await Effect.runPromise(program) // => ["CircuitOpened"]
 * ```
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"

const event = <const Tag extends string, const Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.TaggedStruct(tag, {
    /** The operation it happened to. */
    operation: Schema.String,
    /** The part of the operation, for example a tenant, when the call named one. */
    key: Schema.optional(Schema.String),
    /** Wall time, for display only. */
    at: Schema.DateTimeUtcFromString,
    ...fields
  })

const circuitEvent = <const Tag extends string, const Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  event(tag, {
    /** Counts the transitions of this circuit. */
    version: Schema.Int,
    from: Schema.Literals(["closed", "open", "half_open", "isolated"]),
    ...fields
  })

/**
 * Everything that a policy can report.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ResilienceEvent = Schema.Union([
  /** A call was refused or cut short by us. */
  event("CallRejected", { reason: Schema.String, message: Schema.String, decisionId: Schema.String }),
  /** An attempt failed, and what that means. */
  event("AttemptFailed", { attempt: Schema.Int, error: Schema.String, kind: Schema.String }),
  /** Another attempt will follow. */
  event("RetryScheduled", { attempt: Schema.Int, delay: Schema.DurationFromString, error: Schema.String }),
  /** The call fails with its last error, although that error could be retried. */
  event("RetriesExhausted", {
    attempts: Schema.Int,
    elapsed: Schema.DurationFromString,
    error: Schema.String,
    because: Schema.Literals(["attempts", "deadline"])
  }),
  /** The caller was released at the deadline and the attempt was interrupted. */
  event("AttemptTimedOut", { scope: Schema.Literals(["attempt", "total"]), limit: Schema.DurationFromString }),
  /** A timed out attempt did not end at once: `abandoned` of them are still ending. */
  event("AttemptAbandoned", { abandoned: Schema.Int }),
  circuitEvent("CircuitOpened", {
    because: Schema.Literals(["failures", "probe_failed", "probe_lapsed"]),
    /** Failures that led to it. */
    failures: Schema.Int,
    /** The error of the latest of them; none for a probe that lapsed. */
    error: Schema.optional(Schema.String),
    openFor: Schema.DurationFromString
  }),
  circuitEvent("CircuitHalfOpened", {}),
  circuitEvent("CircuitClosed", { because: Schema.Literals(["probes_succeeded", "operator"]) }),
  circuitEvent("CircuitIsolated", {
    reason: Schema.String,
    actor: Schema.optional(Schema.String),
    expiresIn: Schema.optional(Schema.DurationFromString)
  }),
  /** An isolation ended by itself; `to` is the state that was underneath. */
  circuitEvent("CircuitIsolationEnded", { to: Schema.Literals(["closed", "open", "half_open"]) }),
  /** A probe did not answer in time and counts as failed. */
  event("ProbeLapsed", { overdue: Schema.DurationFromString }),
  /** The caller got the fallback's answer. */
  event("FallbackServed", { error: Schema.String }),
  /** The fallback itself failed. */
  event("FallbackFailed", { error: Schema.String }),
  /** The configuration of all operations changed. */
  Schema.TaggedStruct("ConfigurationChanged", {
    at: Schema.DateTimeUtcFromString,
    version: Schema.Int,
    actor: Schema.String,
    reason: Schema.optional(Schema.String),
    /** What differs in force. */
    fields: Schema.Array(Schema.String)
  })
]).pipe(Schema.toTaggedUnion("_tag"))

/**
 * @category models
 * @since 0.1.0
 */
export type ResilienceEvent = typeof ResilienceEvent.Type

/**
 * The name under which an error appears in events: its tag, else its class.
 * Never its message, which may hold a secret.
 *
 * @category accessors
 * @since 0.1.0
 */
export const errorName = (error: unknown): string => {
  try {
    if (typeof error !== "object" || error === null) return typeof error
    if ("_tag" in error && typeof error._tag === "string") {
      return "reason" in error &&
        typeof error.reason === "object" &&
        error.reason !== null &&
        "_tag" in error.reason &&
        typeof error.reason._tag === "string"
        ? `${error._tag}.${error.reason._tag}`
        : error._tag
    }
    if ("name" in error && typeof error.name === "string" && error instanceof Error) return error.name
    return "object"
  } catch {
    return "object"
  }
}

/**
 * Where the policies publish.
 *
 * @category models
 * @since 0.1.0
 */
export interface Sink {
  /** Whether anyone listens. A policy asks before it builds an event. */
  readonly isActive: () => boolean
  readonly publishUnsafe: (event: ResilienceEvent) => void
  /** The events from the moment the stream starts. */
  readonly stream: Stream.Stream<ResilienceEvent>
}

/**
 * The sink in force. The default drops every event, so a program that asks for
 * no telemetry pays for none and needs no layer. A policy reads it once, when
 * it is made.
 *
 * @category references
 * @since 0.1.0
 */
export const ResilienceEvents = Context.Reference<Sink>("breakwater/ResilienceEvents", {
  defaultValue: () => ({ isActive: () => false, publishUnsafe: () => {}, stream: Stream.empty })
})

/**
 * Keeps the newest `capacity` events for each subscriber and drops the oldest,
 * so that a slow subscriber can never slow a guarded call. Default 256.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (capacity = 256): Sink => {
  const subscribers = new Set<Queue.Queue<ResilienceEvent>>()
  return {
    isActive: () => subscribers.size > 0,
    publishUnsafe: (event) => {
      for (const subscriber of subscribers) Queue.offerUnsafe(subscriber, event)
    },
    stream: Stream.unwrap(
      Effect.acquireRelease(
        Effect.tap(Queue.sliding<ResilienceEvent>(capacity), (queue) => Effect.sync(() => subscribers.add(queue))),
        (queue) =>
          Effect.suspend(() => {
            subscribers.delete(queue)
            return Queue.shutdown(queue)
          })
      ).pipe(Effect.map(Stream.fromQueue))
    )
  }
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = Layer.sync(ResilienceEvents, () => make())

/**
 * Wall time as events carry it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const timestamp = (clock: Clock.Clock): DateTime.Utc => DateTime.makeUnsafe(clock.currentTimeMillisUnsafe())
