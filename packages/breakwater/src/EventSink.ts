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
import { attempt, read, tagOf } from "./Classification.ts"
import type { ResilienceEvent } from "./EventSchema.ts"

/**
 * The name under which an error appears in events: its tag, else its class.
 * Never its message, which may hold a secret.
 *
 * @category accessors
 * @since 0.1.0
 */
export const errorName = (error: unknown): string => {
  const tag = tagOf(error)
  const reason = tagOf(read(error, "reason"))
  if (tag !== "") return reason === "" ? tag : `${tag}.${reason}`
  const name = read(error, "name")
  return typeof name === "string" && attempt(() => error instanceof Error) ? name : typeof error
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
  /**
   * Tells a listener, once however often it is added, of every event from now
   * on, in the step that publishes it. Returns what ends that. A listener has to be quick and must not throw:
   * `stream` is for all others.
   */
  readonly listenUnsafe: (listener: (event: ResilienceEvent) => void) => () => void
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
  defaultValue: () => ({ isActive: () => false, publishUnsafe: () => {}, listenUnsafe: () => () => {} })
})

/**
 * A sink that tells its listeners.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (): Sink => {
  const listeners = new Set<(event: ResilienceEvent) => void>()
  return {
    isActive: () => listeners.size > 0,
    publishUnsafe: (event) => {
      for (const listener of listeners) listener(event)
    },
    listenUnsafe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    }
  }
}

/**
 * The events from the moment the stream starts. It keeps the newest `capacity`
 * events for its reader, 256 by default, and drops the oldest, so that a slow
 * reader can never slow a guarded call.
 *
 * @category accessors
 * @since 0.1.0
 */
export const stream = (sink: Sink, capacity = 256): Stream.Stream<ResilienceEvent> =>
  Stream.unwrap(
    Effect.acquireRelease(
      Effect.map(Queue.sliding<ResilienceEvent>(capacity), (queue) => ({
        queue,
        end: sink.listenUnsafe((event) => Queue.offerUnsafe(queue, event))
      })),
      ({ end, queue }) =>
        Effect.suspend(() => {
          end()
          return Queue.shutdown(queue)
        })
    ).pipe(Effect.map(({ queue }) => Stream.fromQueue(queue)))
  )

/**
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<never> = /*#__PURE__*/ Layer.sync(ResilienceEvents, make)

/**
 * Wall time as events carry it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const timestamp = (clock: Clock.Clock): DateTime.Utc => DateTime.makeUnsafe(clock.currentTimeMillisUnsafe())
