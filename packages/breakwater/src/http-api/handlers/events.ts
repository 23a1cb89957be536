/**
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { AdminKeys } from "../AdminKeys.ts"
import { callerOf, credentialsOf, identitiesOf } from "../internal/credentials.ts"
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
    const keys = yield* AdminKeys
    // A stream outlives many a change of the keys.
    const mayRead = (headers: Readonly<Record<string, string | undefined>>) =>
      Effect.map(identitiesOf(keys, credentialsOf(headers)), (identities) => callerOf(identities) !== undefined)
    return handlers.handleAll({
      stream: ({ headers, request }) =>
        Effect.as(permit, eventStream.respond(after(headers["last-event-id"]), mayRead(request.headers)))
    })
  })
)
