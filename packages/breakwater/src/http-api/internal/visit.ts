/**
 * The facts about the current request that every failure tells.
 */
import * as Context from "effect/Context"

/** @internal */
export interface Facts {
  readonly endpoint: string
  readonly operation: string
  /** Whether it changes something: it needs more than the scope `read`, and its method is not GET. */
  readonly isWrite?: boolean | undefined
}

/** @internal */
export interface Visit extends Facts {
  readonly requestId: string
  /** Whether failures are answered as RFC 9457 says. */
  readonly wantsProblem: boolean
}

/** @internal */
export const Visit = Context.Reference<Visit>("breakwater/http-api/Visit", {
  defaultValue: () => ({ endpoint: "unknown", operation: "unknown", requestId: "unknown", wantsProblem: false })
})

/**
 * Whether the audit log has an entry about the current request. The door adds
 * one for a write that nobody recorded.
 *
 * @internal
 */
export interface Recorded {
  by: "command" | undefined
}

/** @internal */
export const Recorded = Context.Reference<Recorded>("breakwater/http-api/Recorded", {
  defaultValue: () => ({ by: undefined })
})
