/**
 * What the admin API shows of a strategy's description.
 */
import * as Duration from "effect/Duration"
import * as Strategies from "../../Description.ts"
import type * as Strategy from "../../Strategy.ts"
import type * as Shapes from "../Shapes.ts"

/** @internal */
export const description = (name: string, settings: Strategy.Settings): Shapes.Description => {
  const { findings, order, reasons, worstCase } = Strategies.describe({ name, settings })
  return {
    order,
    worstCaseLatencySeconds: secondsOf(worstCase.latency),
    worstCaseLatencyWithRetryAfterSeconds: secondsOf(worstCase.latencyWithRetryAfter),
    worstCaseCalls: worstCase.calls,
    reasons,
    findings
  }
}

const secondsOf = (duration: Duration.Duration): number | null =>
  Duration.isFinite(duration) ? Duration.toSeconds(duration) : null
