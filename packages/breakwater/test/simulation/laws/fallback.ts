import { Exit } from "effect"
import { ResilienceError } from "breakwater"
import { type Call, describeExit, type Law, type Stage } from "../Stage.ts"
import { defectOf, errorOf, isInterrupted, rejectionOf } from "./judgement.ts"

export interface FallbackSettings {
  readonly on: "failures" | "rejections" | "all"
  /** What the fallback itself comes to. */
  readonly exit: Exit.Exit<unknown, unknown>
  readonly millis: number
}

interface Options {
  readonly operation: string
  readonly settingsOf: (call: Call) => FallbackSettings | undefined
  /** Whose attempts answer a call. Default: its own. */
  readonly leaderOf?: (call: Call) => Call
}

/** INV-FB: at most one fallback for a call, for the failures that it is asked for, and never for an interruption. */
export const fallback = (stage: Stage, { leaderOf = (call) => call, operation, settingsOf }: Options): Law => {
  const started = (call: Call, error: unknown): void => {
    const { now } = stage.world
    const settings = settingsOf(call)
    stage.equal("INV-FB", call.fallbacks.length, 1, `fallbacks of call ${call.id}`)
    stage.hold("INV-FB", settings !== undefined, () => `call ${call.id} has no fallback`)
    stage.hold("INV-FB", call.interruptedAt === undefined, () => `call ${call.id} was interrupted and falls back`)
    if (rejectionOf(operation, error) !== undefined) return
    const last = leaderOf(call).attempts.at(-1)
    stage.hold(
      "INV-FB",
      last?.exit !== undefined && last.leftAt === now && [errorOf(last.exit), defectOf(last.exit)].includes(error),
      () => `call ${call.id} falls back at ${now} for an error that its last attempt did not have`
    )
    if (last?.exit === undefined || settings === undefined) return
    stage.hold(
      "INV-FB",
      defectOf(last.exit) === undefined || settings.on === "all",
      () => `call ${call.id} falls back for a defect`
    )
    stage.hold(
      "INV-FB",
      error instanceof ResilienceError || settings.on !== "rejections",
      () => `call ${call.id} falls back for an error that is no rejection`
    )
  }

  const ended = (call: Call, exit: Exit.Exit<unknown, unknown>): void => {
    const settings = settingsOf(call)
    if (settings === undefined || call.interruptedAt !== undefined) return
    if (call.fallbacks.length > 0) {
      const answered = Exit.isSuccess(exit) ? exit.value : errorOf(exit)
      const due = Exit.isSuccess(settings.exit) ? settings.exit.value : errorOf(settings.exit)
      return stage.hold(
        "INV-FB",
        exit._tag === settings.exit._tag && answered === due,
        () => `call ${call.id} ends with ${describeExit(exit)}, not with what its fallback answered`
      )
    }
    const isPassed =
      Exit.isSuccess(exit) ||
      exit.cause.reasons.some((reason) => reason._tag === "Interrupt") ||
      (settings.on !== "all" && defectOf(exit) !== undefined) ||
      (settings.on === "rejections" && !(errorOf(exit) instanceof ResilienceError))
    stage.hold("INV-FB", isPassed, () => `call ${call.id} ends with ${describeExit(exit)} and no fallback`)
    stage.equal("INV-FB", isInterrupted(exit) && call.fallbacks.length > 0, false, "a fallback for an interruption")
  }

  return {
    see: (fact) => {
      if (fact._tag === "FallbackStarted") started(fact.call, fact.error)
      if (fact._tag === "CallEnded") ended(fact.call, fact.exit)
    }
  }
}
