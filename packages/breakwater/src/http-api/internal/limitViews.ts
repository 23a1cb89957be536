/**
 * What the admin API shows of bulkheads, rate limits, retry budgets and shared
 * runs.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type * as Bulkhead from "../../Bulkhead.ts"
import { availableOf, pausedFor } from "../../monitoring/internal/snapshots.ts"
import type * as Operation from "../../Operation.ts"
import type * as RateLimiter from "../../RateLimiter.ts"
import type * as RetryBudget from "../../RetryBudget.ts"
import type * as Strategy from "../../Strategy.ts"
import type * as Shapes from "../Shapes.ts"

/** Bulkheads in one answer. */
const maxShown = 100

const bulkheadSettings = (of: Bulkhead.Settings): typeof Shapes.BulkheadSettings.Type => ({
  maxConcurrent: of.maxConcurrent,
  maxQueue: of.maxQueue,
  maxWait: of.maxWait,
  order: of.order,
  perKey: of.perKey
})

const rateLimitSettings = (
  of: RateLimiter.Settings,
  scope: RateLimiter.Snapshot["scope"]
): typeof Shapes.RateLimitSettings.Type => ({
  algorithm: of.algorithm,
  limit: of.limit,
  window: of.window,
  burst: of.algorithm === "gcra" || of.algorithm === "token-bucket" ? (of.burst ?? of.limit) : null,
  onExceeded: of.onExceeded,
  maxWait: of.maxWait,
  maxQueue: of.maxQueue,
  maxPause: of.maxPause,
  perKey: of.perKey ?? scope !== "quota"
})

const retryBudgetSettings = (of: RetryBudget.Settings): typeof Shapes.RetryBudgetSettings.Type => ({
  form: of.form,
  ratio: of.ratio,
  minPerSecond: of.minPerSecond,
  minConcurrent: of.minConcurrent,
  window: of.window,
  dependency: of.dependency ?? null
})

/** The limits of a strategy. @internal */
export const limits = ({ admission, bulkhead, quota, retryBudget }: Strategy.Settings) => ({
  bulkhead: bulkhead === false ? null : bulkheadSettings(bulkhead),
  admission: admission === false ? null : rateLimitSettings(admission, "admission"),
  quota: quota === false ? null : rateLimitSettings(quota, "quota"),
  retryBudget: retryBudget === false ? null : retryBudgetSettings(retryBudget)
})

const byLoad = (a: Bulkhead.Snapshot, b: Bulkhead.Snapshot): number =>
  b.queued - a.queued || b.active / b.limit - a.active / a.limit || b.counters.rejected - a.counters.rejected

const bulkheadState = ({
  active,
  counters,
  key,
  limit,
  longestWait,
  queued
}: Bulkhead.Snapshot): typeof Shapes.BulkheadState.Type => ({
  key: key ?? null,
  active,
  queued,
  limit,
  longestWaitSeconds: longestWait,
  counters
})

const rateLimitState = (of: RateLimiter.Snapshot): typeof Shapes.RateLimitState.Type => ({
  scope: of.scope,
  settings: rateLimitSettings(of.settings, of.scope),
  available: availableOf(of),
  waiting: of.waiting,
  pausedForSeconds: Duration.millis(pausedFor(of)),
  counters: of.counters,
  keys: of.keys.map(({ available, key, limit, pausedFor, refused, waiting }) => ({
    key: key ?? null,
    available,
    limit,
    waiting,
    refused,
    pausedForSeconds: pausedFor
  })),
  totalKeys: of.size
})

/** What the limits of an operation are at. @internal */
export const states = ({ admission, bulkheads, coalesce, counters, quota, retryBudget }: Operation.Snapshot) => ({
  bulkheads: bulkheads.toSorted(byLoad).slice(0, maxShown).map(bulkheadState),
  totalBulkheads: bulkheads.length,
  rateLimits: [...Option.toArray(admission), ...Option.toArray(quota)].map(rateLimitState),
  retryBudget: Option.match(retryBudget, {
    onNone: () => null,
    onSome: ({ counters: counted, dependency, max, tokens, used }) => ({
      dependency,
      tokens,
      max,
      used,
      counters: counted,
      givenUp: counters.overBudget
    })
  }),
  coalesce: Option.getOrNull(coalesce)
})
