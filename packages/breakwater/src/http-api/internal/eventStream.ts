/**
 * Writes messages as server-sent events, with a comment every 15 seconds so
 * that nobody between takes the stream for dead. As often it asks whether the
 * reader still may read.
 */
import type * as Effect from "effect/Effect"
import * as Sse from "effect/encoding/Sse"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { Message } from "../groups/EventsGroup.ts"

const heartbeat = "15 seconds"
/** How long a reader waits before it comes back, in milliseconds. */
const retry = 3_000

const encode = Schema.encodeSync(Message)

const write = (message: Message): string => {
  const { data, event, id } = encode(message)
  return Sse.encoder.write({ _tag: "Event", event, id, data })
}

/** @internal */
export const respond = (
  messages: Stream.Stream<Message>,
  mayRead: Effect.Effect<boolean>
): HttpServerResponse.HttpServerResponse => {
  const beats = Stream.fromSchedule(Schedule.spaced(heartbeat)).pipe(
    Stream.mapEffect(() => mayRead),
    Stream.takeWhile((may) => may),
    Stream.map(() => ": heartbeat\n\n")
  )
  const text = Stream.succeed(`retry: ${retry}\n\n`).pipe(
    Stream.concat(Stream.merge(Stream.map(messages, write), beats, { haltStrategy: "either" }))
  )
  return HttpServerResponse.stream(Stream.encodeText(text), { contentType: "text/event-stream" })
}
