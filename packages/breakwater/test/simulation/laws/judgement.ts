/** What an observer who has read the documentation makes of the end of an attempt. */
import { Cause, Duration, Exit } from "effect"
import { ResilienceError } from "breakwater"
import type { Refusal } from "../Stage.ts"

/** What it means to a circuit. */
export type Outcome = "succeeded" | "failed" | "ignored" | "interrupted"

export const outcomeOf = (exit: Exit.Exit<unknown, unknown>): Outcome => {
  if (Exit.isSuccess(exit)) return "succeeded"
  if (isInterrupted(exit)) return "interrupted"
  if (defectOf(exit) !== undefined) return "failed"
  const error = errorOf(exit)
  if (error === undefined) return "ignored"
  if (error instanceof ResilienceError) return error.reason._tag === "TimeoutExceeded" ? "failed" : "ignored"
  return (error as Refusal).answer === "permanent" ? "ignored" : "failed"
}

/** The values, errors and defects of an exit, the very same ones. */
export const contentsOf = (exit: Exit.Exit<unknown, unknown>): ReadonlyArray<unknown> =>
  Exit.isSuccess(exit)
    ? [exit.value]
    : exit.cause.reasons.map((reason) =>
        Cause.isInterruptReason(reason) ? "interrupted" : Cause.isDieReason(reason) ? reason.defect : reason.error
      )

/** Both succeed or both fail, with the very same values, errors and defects in the same order. */
export const isSame = (one: Exit.Exit<unknown, unknown>, other: Exit.Exit<unknown, unknown>): boolean => {
  const [these, those] = [contentsOf(one), contentsOf(other)]
  return one._tag === other._tag && these.length === those.length && these.every((each, at) => each === those[at])
}

/** Interrupted and nothing else. */
export const isInterrupted = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && exit.cause.reasons.every(Cause.isInterruptReason)

export const hasInterrupts = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && exit.cause.reasons.some(Cause.isInterruptReason)

export const errorOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isFailReason)?.error : undefined

export const defectOf = (exit: Exit.Exit<unknown, unknown>): unknown =>
  Exit.isFailure(exit) ? exit.cause.reasons.find(Cause.isDieReason)?.defect : undefined

/** Whether a retry may repeat the attempt. */
export const isRepeatable = (exit: Exit.Exit<unknown, unknown>): boolean => {
  if (Exit.isSuccess(exit) || !exit.cause.reasons.every(Cause.isFailReason)) return false
  const error = errorOf(exit)
  if (error instanceof ResilienceError) {
    return error.reason._tag === "TimeoutExceeded" && error.reason.scope === "attempt"
  }
  return ["transient", "limited"].includes((error as Refusal).answer)
}

/** A rejection, so that the dependency was not reached. */
export const isRefusal = (exit: Exit.Exit<unknown, unknown>): boolean => {
  if (Exit.isSuccess(exit) || !exit.cause.reasons.every(Cause.isFailReason)) return false
  const error = errorOf(exit)
  return error instanceof ResilienceError && error.reason._tag !== "TimeoutExceeded"
}

/** The dependency's own wish, in milliseconds. */
export const retryAfterOf = (exit: Exit.Exit<unknown, unknown>): number | undefined => {
  const error = errorOf(exit)
  if (error instanceof ResilienceError || typeof error !== "object" || error === null) return undefined
  const { retryAfter } = error as Refusal
  return retryAfter === undefined ? undefined : Duration.toMillis(retryAfter)
}

/** The name under which a failure is counted. */
export const kindOf = (error: unknown): string => {
  if (error instanceof ResilienceError) return error.reason._tag === "TimeoutExceeded" ? "transient" : "unavailable"
  const { answer } = error as Refusal
  return answer === "limited" ? "rate_limited" : answer
}

/** A rejection of this operation's, not of one that the dependency itself calls. */
export const rejectionOf = (operation: string, error: unknown): ResilienceError | undefined =>
  error instanceof ResilienceError && error.operation === operation ? error : undefined
