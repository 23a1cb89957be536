/**
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Health } from "../../monitoring/Health.ts"
import { Served } from "../internal/served.ts"

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = HttpApiBuilder.group(
  Served,
  "healthDetails",
  Effect.fnUntraced(function* (handlers) {
    const health = yield* Health
    return handlers.handleAll({ detailed: () => health.detailed })
  })
)
