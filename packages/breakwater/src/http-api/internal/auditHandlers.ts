/**
 * The handlers of the audit log.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Served } from "./served.ts"
import * as Audit from "../Audit.ts"

const usual = 100

/** @internal */
export const layer = HttpApiBuilder.group(
  Served,
  "audit",
  Effect.fnUntraced(function* (handlers) {
    const { recent } = yield* Audit.Audit
    return handlers.handleAll({ recent: ({ query }) => recent(query.limit ?? usual) })
  })
)
