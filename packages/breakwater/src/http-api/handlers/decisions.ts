/**
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Decisions from "../../monitoring/Decisions.ts"
import * as Preset from "../../Preset.ts"
import { Resilience } from "../../Resilience.ts"
import { Served } from "../internal/served.ts"
import { accepts } from "../internal/accept.ts"
import * as refusals from "../internal/refusals.ts"

const ndjson = "application/x-ndjson"

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = HttpApiBuilder.group(
  Served,
  "decisions",
  Effect.fnUntraced(function* (handlers) {
    const resilience = yield* Resilience

    const list = Effect.fnUntraced(
      function* (query: Decisions.Query, accept: string | undefined) {
        const { limit = 100, operation } = query
        const found = yield* Decisions.list({
          ...query,
          limit,
          operation: operation === undefined ? undefined : Preset.canonicalName(operation)
        })
        return accepts(accept, ndjson)
          ? HttpServerResponse.text(Decisions.toNdjson(found), { contentType: ndjson })
          : { decisions: found.map(Decisions.view), totalCount: found.length, limit }
      },
      Effect.provideService(Resilience, resilience)
    )

    const get = (id: string) =>
      Decisions.find(id).pipe(
        Effect.mapBoth({ onFailure: refusals.unknownDecision, onSuccess: Decisions.view }),
        Effect.provideService(Resilience, resilience)
      )

    return handlers.handleAll({
      list: ({ query, request }) => list(query, request.headers["accept"]),
      get: ({ params }) => get(params.decision_id)
    })
  })
)
