/**
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Served } from "../internal/served.ts"
import { EventStreams } from "../EventStreams.ts"
import { EventLog } from "../internal/eventLog.ts"
import * as eventStream from "../internal/eventStream.ts"

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = HttpApiBuilder.group(
  Served,
  "events",
  Effect.fnUntraced(function* (handlers) {
    const { after } = yield* EventLog
    const { permit } = yield* EventStreams
    return handlers.handleAll({
      stream: ({ headers }) => Effect.as(permit, eventStream.respond(after(headers["last-event-id"])))
    })
  })
)
