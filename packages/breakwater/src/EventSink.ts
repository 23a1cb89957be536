/**
 * Where the policies publish, apart from what they publish: a program that
 * encodes no event loads no schema of it.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { ResilienceEvent } from "./EventSchema.ts"

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
export const ResilienceEvents = /*#__PURE__*/ Context.Reference<Sink>("breakwater/ResilienceEvents", {
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

/** Told of each event in the very step that publishes it. Has to be quick, and never throws. @internal */
export type Observer = (event: ResilienceEvent) => void

/**
 * A sink that tells observers of every event first, however many subscribers it
 * has: they miss none of a burst. @internal
 */
export const observed = (sink: Sink): { readonly sink: Sink; readonly observers: Set<Observer> } => {
  const observers = new Set<Observer>()
  return {
    observers,
    sink: {
      isActive: () => observers.size > 0 || sink.isActive(),
      publishUnsafe: (event) => {
        for (const observe of observers) observe(event)
        if (sink.isActive()) sink.publishUnsafe(event)
      },
      stream: sink.stream
    }
  }
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = /*#__PURE__*/ Layer.sync(ResilienceEvents, () => make())

/**
 * Wall time as events carry it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const timestamp = (clock: Clock.Clock): DateTime.Utc => DateTime.makeUnsafe(clock.currentTimeMillisUnsafe())
