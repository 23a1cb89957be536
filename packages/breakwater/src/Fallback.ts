/**
 * Says which failures another answer may stand in for.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import { isResilienceError, type ResilienceError } from "./ResilienceError.ts"

/**
 * Which final failures a fallback answers: `failures`, every error of the
 * call; `rejections`, only ours; `all`, defects too. Never an interruption.
 *
 * @category models
 * @since 0.1.0
 */
export type On = "failures" | "rejections" | "all"

/**
 * What a fallback gets of the errors `E`.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Answered<E, O extends On> = O extends "all"
  ? unknown
  : O extends "rejections"
    ? Extract<E, ResilienceError>
    : E

/**
 * What a fallback leaves of the errors `E`.
 *
 * @category utility types
 * @since 0.1.0
 */
export type Unanswered<E, O extends On> = O extends "rejections" ? Exclude<E, ResilienceError> : never

/**
 * The error that a fallback may answer; `undefined` if it may not.
 *
 * @category accessors
 * @since 0.1.0
 */
export const answerable = (cause: Cause.Cause<unknown>, on: On): { readonly error: unknown } | undefined => {
  if (cause.reasons.some(Cause.isInterruptReason)) return undefined
  if (on !== "all" && cause.reasons.some(Cause.isDieReason)) return undefined
  const error = Cause.squash(cause)
  return on === "rejections" && !isResilienceError(error) ? undefined : { error }
}
