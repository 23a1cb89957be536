/**
 * What goes up and down in an operation, or in several that are exported as one.
 */
import type * as CircuitBreaker from "../../CircuitBreaker.ts"
import { availableOf, pausedFor } from "../../monitoring/internal/snapshots.ts"
import type { Snapshot } from "../../Operation.ts"
import type * as RateLimiter from "../../RateLimiter.ts"

/** A rate limit, over all its keys. */
interface LimitLevels {
  /** The least of all. */
  available: number
  waiting: number
  /** The longest of all. */
  pausedSeconds: number
}

/** @internal */
export interface Levels {
  readonly inFlight: number
  readonly abandoned: number
  readonly states: Readonly<Record<CircuitBreaker.State, number>>
  /** The most of all circuits. */
  readonly failures: number
  readonly bulkhead: { readonly active: number; readonly queued: number; readonly limit: number }
  readonly admission: Readonly<LimitLevels>
  readonly quota: Readonly<LimitLevels>
  /** The least of all budgets. */
  readonly tokens: number
  /** Calls that wait for a run they share. */
  readonly sharing: number
}

const unlimited = (): LimitLevels => ({ available: Infinity, waiting: 0, pausedSeconds: 0 })

const add = (levels: LimitLevels, limit: RateLimiter.Snapshot): void => {
  levels.available = Math.min(levels.available, availableOf(limit))
  levels.waiting += limit.waiting
  levels.pausedSeconds = Math.max(levels.pausedSeconds, pausedFor(limit) / 1000)
}

/** The levels of several operations as of one. @internal */
export const levelsOf = (snapshots: ReadonlyArray<Snapshot>): Levels => {
  const levels = {
    inFlight: 0,
    abandoned: 0,
    states: { closed: 0, open: 0, half_open: 0, isolated: 0, disabled: 0, metrics_only: 0 },
    failures: 0,
    bulkhead: { active: 0, queued: 0, limit: 0 },
    admission: unlimited(),
    quota: unlimited(),
    tokens: 0,
    sharing: 0
  }
  let tokens = Infinity
  for (const { admission, bulkheads, circuits, coalesce, counters, quota, retryBudget } of snapshots) {
    levels.inFlight += counters.inFlight
    levels.abandoned += counters.abandoned
    for (const { failureCount, state } of circuits) {
      levels.states[state]++
      if (failureCount > levels.failures) levels.failures = failureCount
    }
    for (const { active, limit, queued } of bulkheads) {
      levels.bulkhead.active += active
      levels.bulkhead.queued += queued
      levels.bulkhead.limit += limit
    }
    if (admission._tag === "Some") add(levels.admission, admission.value)
    if (quota._tag === "Some") add(levels.quota, quota.value)
    if (retryBudget._tag === "Some") tokens = Math.min(tokens, retryBudget.value.tokens)
    if (coalesce._tag === "Some") levels.sharing += coalesce.value.waiting
  }
  // None of them has the policy any more.
  for (const limit of [levels.admission, levels.quota]) limit.available = finite(limit.available)
  return { ...levels, tokens: finite(tokens) }
}

const finite = (level: number): number => (Number.isFinite(level) ? level : 0)
