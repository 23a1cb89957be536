/**
 * Numbers the events and keeps the latest, so that a reader who comes back gets
 * what it missed. None goes without a number: who reads too slowly sees that some
 * are missing.
 *
 * Ids are `run-number`: numbers of another run say nothing here.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import type { ResilienceEvent } from "../../EventSchema.ts"
import { Registry } from "../../Registry.ts"
import type { Resilience } from "../../Resilience.ts"
import type { Message } from "../groups/EventsGroup.ts"
import { Ring } from "../../internal/ring.ts"

/** Events that are kept, and events that wait for a slow reader. */
const capacity = 1_000

/** @internal */
export class EventLog extends Context.Service<
  EventLog,
  {
    /** What came after the event of an id, and then what happens from now on. */
    readonly after: (lastEventId: string | undefined) => Stream.Stream<Message>
  }
>()("breakwater/http-api/EventLog") {
  static readonly layer: Layer.Layer<EventLog, never, Resilience> = Layer.effect(
    EventLog,
    Effect.suspend(() => make)
  )
}

const make = Effect.gen(function* () {
  const { listenUnsafe } = yield* Registry
  const run = (yield* Random.nextIntBetween(0, 36 ** 5)).toString(36).padStart(5, "0")
  const ring = new Ring<Message>(capacity)
  const readers = new Set<Queue.Queue<Message>>()
  let newest = 0

  const add = (data: ResilienceEvent): void => {
    const message: Message = { id: `${run}-${++newest}`, event: data._tag, data }
    ring.push(message)
    for (const reader of readers) Queue.offerUnsafe(reader, message)
  }

  const missed = (lastEventId: string | undefined): ReadonlyArray<Message> => {
    if (lastEventId === undefined) return []
    const oldest = newest - ring.length + 1
    const [of, number] = lastEventId.split("-")
    const seen = of === run && /^\d{1,15}$/.test(number ?? "") ? Number(number) : undefined
    const isKnown = seen !== undefined && seen <= newest && seen >= oldest - 1
    if (isKnown) return Array.from(ring.from(seen - oldest + 1))
    return [
      { id: undefined, event: "EventsMissed", data: { _tag: "EventsMissed", last_event_id: lastEventId } },
      ...ring.from(0)
    ]
  }

  const end = listenUnsafe(add)
  yield* Effect.addFinalizer(() => {
    end()
    return Effect.forEach(readers, Queue.shutdown, { discard: true })
  })

  return EventLog.of({
    after: (lastEventId) =>
      Stream.unwrap(
        Effect.map(
          Effect.acquireRelease(
            Effect.map(Queue.sliding<Message>(capacity), (queue) => {
              // One step: nothing happens between what was missed and what comes.
              const before = missed(lastEventId)
              readers.add(queue)
              return { before, queue }
            }),
            ({ queue }) =>
              Effect.suspend(() => {
                readers.delete(queue)
                return Queue.shutdown(queue)
              })
          ),
          ({ before, queue }) => Stream.concat(Stream.fromIterable(before), Stream.fromQueue(queue))
        )
      )
  })
})
