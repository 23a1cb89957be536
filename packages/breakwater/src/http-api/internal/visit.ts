/**
 * The facts about the current request that every failure tells.
 */
import * as Context from "effect/Context"

/** @internal */
export interface Facts {
  readonly endpoint: string
  readonly operation: string
}

/** @internal */
export interface Visit extends Facts {
  readonly requestId: string
}

/** @internal */
export const Visit = Context.Reference<Visit>("breakwater/http-api/Visit", {
  defaultValue: () => ({ endpoint: "unknown", operation: "unknown", requestId: "unknown" })
})
