/**
 * Rates, from counters that are read again and again.
 */
import type { Operation } from "../api/types.ts"

/** The counters of an operation at one moment. */
export interface Counted {
  /** Milliseconds on the clock of the page. */
  readonly at: number
  readonly calls: number
  readonly succeeded: number
  readonly failed: number
  readonly rejected: number
  readonly interrupted: number
  readonly attempts: number
  /** Attempts after the first one that were planned. Some of them are refused, and never made. */
  readonly retries: number
}

export const countedOf = ({ counters, metrics }: Pick<Operation, "counters" | "metrics">, at: number): Counted => ({
  at,
  calls: metrics.total_calls,
  succeeded: metrics.successful_calls,
  failed: metrics.failed_calls - counters.rejected,
  rejected: counters.rejected,
  interrupted: counters.interrupted,
  attempts: counters.attempts,
  retries: metrics.retry_attempts
})

/** What happened in between, each by the second. */
export interface Rates {
  readonly seconds: number
  readonly calls: number
  readonly succeeded: number
  readonly failed: number
  readonly rejected: number
  readonly interrupted: number
  /** Attempts of each call that made one. `undefined` if none did. */
  readonly attemptsPerCall: number | undefined
  /** 0 to 1, of the calls that ended. `undefined` if none did. */
  readonly successRate: number | undefined
}

/** `undefined` if the counters were reset in between, or no time has passed. */
export const between = (before: Counted, after: Counted): Rates | undefined => {
  const seconds = (after.at - before.at) / 1000
  const of = (name: keyof Counted): number => after[name] - before[name]
  const names = ["calls", "succeeded", "failed", "rejected", "interrupted", "attempts", "retries"] as const
  if (seconds <= 0 || names.some((name) => of(name) < 0)) return undefined
  const ended = of("succeeded") + of("failed") + of("rejected")
  // Calls that made an attempt. No counter has them, and both of these are at most as many.
  const tried = Math.max(of("calls") - of("rejected"), of("attempts") - of("retries"))
  return {
    seconds,
    calls: of("calls") / seconds,
    succeeded: of("succeeded") / seconds,
    failed: of("failed") / seconds,
    rejected: of("rejected") / seconds,
    interrupted: of("interrupted") / seconds,
    attemptsPerCall: tried > 0 && of("attempts") > 0 ? Math.max(1, of("attempts") / tried) : undefined,
    successRate: ended > 0 ? of("succeeded") / ended : undefined
  }
}
