/**
 * The facts about the current request that every failure tells.
 */
import * as Context from "effect/Context"
import type { Caller } from "../AdminKeys.ts"

/** @internal */
export interface Facts {
  readonly endpoint: string
  readonly operation: string
  /** Whether it changes something: it needs more than the scope `read`, and its method is not GET. */
  readonly isWrite?: boolean | undefined
}

/** One for each request, and written to while it goes on. @internal */
export interface Visit {
  /** Those of the URL, until a route is found. */
  facts: Facts
  readonly requestId: string
  /** What the request accepts: failures may be answered as RFC 9457 says. */
  readonly accept: string | undefined
  /** Whose key was checked. */
  readonly caller: Caller | undefined
  /** Whether the audit log has an entry about it. The door adds one for a write that nobody recorded. */
  recordedBy: "command" | undefined
}

/** @internal */
export const Visit = Context.Reference<Visit>("breakwater/http-api/Visit", {
  defaultValue: () => ({
    facts: { endpoint: "unknown", operation: "unknown" },
    requestId: "unknown",
    accept: undefined,
    caller: undefined,
    recordedBy: undefined
  })
})
