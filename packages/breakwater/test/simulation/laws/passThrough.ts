import { Cause, Exit } from "effect"
import { ResilienceError } from "breakwater"
import { type Call, describeExit, type Fact, type Law, type Stage } from "../Stage.ts"
import { contentsOf, isSame } from "./judgement.ts"

const isRejection = (exit: Exit.Exit<unknown, unknown>): boolean =>
  contentsOf(exit).some((content) => content instanceof ResilienceError && content.operation !== "elsewhere")

/**
 * INV-CB-10: a call ends as its last attempt did, with the very same value, error or defect, unless it was refused, cut
 * short, interrupted, or answered by a fallback. `leaderOf`: whose attempts answer a call. And no caller is left without an end once interrupted.
 */
export const passThrough = (stage: Stage, leaderOf: (call: Call) => Call = (call) => call): Law => ({
  see: (fact: Fact) => {
    if (fact._tag === "Left") {
      const { attempt, call, exit } = fact
      if (isRejection(exit) || call.interruptedAt !== undefined) return
      const body = call.bodies.at(-1)
      stage.hold(
        "INV-CB-10",
        body?.exit !== undefined && isSame(body.exit, exit),
        () => `attempt ${call.id}.${attempt.number} ends with ${describeExit(exit)}, its work did not`
      )
    }
    if (fact._tag === "CallEnded") ended(stage, leaderOf(fact.call), fact.call, fact.exit)
  }
})

const ended = (stage: Stage, leader: Call, call: Call, exit: Exit.Exit<unknown, unknown>): void => {
  stage.equal("INV-RES", call.endedAt, stage.world.now, "the end of the call")
  if (call.fallbacks.length > 0) return
  if (call.interruptedAt !== undefined) {
    const isOver = Exit.isSuccess(exit) || Cause.hasInterrupts(exit.cause) || contentsOf(exit).length > 0
    return stage.hold("INV-CB-10", isOver, () => `call ${call.id} was interrupted and ends with ${describeExit(exit)}`)
  }
  if (isRejection(exit)) return
  const last = leader.bodies.at(-1)?.exit
  stage.hold(
    "INV-CB-10",
    last !== undefined && isSame(last, exit),
    () => `call ${call.id} ends with ${describeExit(exit)}, its last attempt did not`
  )
}
