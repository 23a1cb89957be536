/**
 * What happens, as it happens.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { ResilienceEvent } from "../../EventSchema.ts"
import * as AdminError from "../AdminError.ts"
import { operation } from "../Endpoint.ts"

type Fields = { readonly [name: string]: Schema.Json }
type Encoded = typeof ResilienceEvent.Encoded

const durations: ReadonlySet<string> = new Set([
  "delay",
  "elapsed",
  "limit",
  "openFor",
  "expiresIn",
  "overdue",
  "pausedFor"
])
const suffix = "_seconds"

// A first underscore stays: it is part of the tag's name.
const snakeOf = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const camelOf = (name: string): string => name.replace(/(?<=.)_([a-z])/g, (_, letter: string) => letter.toUpperCase())

const toJson = (event: Encoded): Fields =>
  Object.fromEntries(
    Object.entries(event).flatMap(([name, value]: [string, Schema.Json | undefined]) => {
      if (value === undefined) return []
      if (!durations.has(name)) return [[snakeOf(name), value] as const]
      return [[`${snakeOf(name)}${suffix}`, Duration.toSeconds(value as Duration.Input)] as const]
    })
  )

const fromJson = (fields: Fields): Encoded =>
  Object.fromEntries(
    Object.entries(fields).map(([name, value]) => {
      const duration = name.endsWith(suffix) ? camelOf(name.slice(0, -suffix.length)) : name
      return durations.has(duration) ? [duration, `${Number(value) * 1000} millis`] : [camelOf(name), value]
    })
  ) as unknown as Encoded

/**
 * An event. In JSON its fields are in `snake_case`, and durations in seconds.
 *
 * @category schemas
 * @since 0.1.0
 */
const Event = Schema.Record(Schema.String, Schema.Json).pipe(
  Schema.decodeTo(ResilienceEvent, SchemaTransformation.transform({ decode: fromJson, encode: toJson }))
)

/**
 * Events after the one that the reader saw last are no longer known. What
 * follows is what is left of them.
 *
 * @category schemas
 * @since 0.1.0
 */
const EventsMissed = Schema.TaggedStruct("EventsMissed", { last_event_id: Schema.String })

/**
 * One message of the stream.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Message = Schema.Struct({
  /** For `Last-Event-ID`. */
  id: Schema.optional(Schema.String),
  /** The tag of the event. */
  event: Schema.String,
  data: Schema.fromJsonString(Schema.Union([EventsMissed, Event]))
})

/**
 * @category models
 * @since 0.1.0
 */
export type Message = typeof Message.Type

/**
 * @category groups
 * @since 0.1.0
 */
export class EventsGroup extends HttpApiGroup.make("events").add(
  HttpApiEndpoint.get("stream", "/events", {
    headers: { "last-event-id": Schema.optionalKey(Schema.String.check(Schema.isMaxLength(64))) },
    success: HttpApiSchema.StreamSse({ events: Message }),
    error: AdminError.rateLimit
  }).annotateMerge(
    operation("stream_events", "event_stream", {
      summary:
        "Server-sent events, with a comment every 15 seconds. Last-Event-ID: first what came after it. Five streams for each key."
    })
  )
) {}
