import { Bulkhead, CircuitBreaker, Preset, RateLimiter, Resilience, RetryBudget, Strategy } from "breakwater"
import { type Context, Effect } from "effect"
import { build } from "./fiber.ts"
import { numbers } from "./work.ts"

export const resilience = (options?: Parameters<typeof Resilience.layer>[1]): Promise<Context.Context<Resilience>> =>
  build(Resilience.layer(Preset.simple, options))

/** `balanced` with a bulkhead, and with a window instead of failures in a row. */
export const stack = Strategy.make("stack", {
  bulkhead: Bulkhead.settings({ maxConcurrent: numbers.places }),
  circuitBreaker: { tripPolicy: CircuitBreaker.countWindow(numbers.window) }
})

/** What `balanced` can have besides, one at a time. */
export const extended = {
  "with a retry budget": Strategy.make("budgeted", { retryBudget: RetryBudget.settings() }),
  "with a bulkhead": Strategy.make("bounded", { bulkhead: Bulkhead.settings({ maxConcurrent: numbers.places }) }),
  "with a quota": Strategy.make("limited", { quota: RateLimiter.settings({ algorithm: "token-bucket", limit: 1e9 }) }),
  "with a count window": Strategy.make("windowed", {
    circuitBreaker: { tripPolicy: CircuitBreaker.countWindow(numbers.window) }
  }),
  "with a time window": Strategy.make("timed", { circuitBreaker: { tripPolicy: CircuitBreaker.timeWindow() } })
}

export const ownBulkhead = (): Bulkhead.Bulkhead["Service"] =>
  Effect.runSync(Bulkhead.make({ operation: "own", settings: { maxConcurrent: numbers.places } }))

/** Limits that the fastest loop does not reach. */
const limits = {
  // A schedule has no more than 1,000 a millisecond.
  gcra: { limit: 1e6, burst: 1e9 },
  "token-bucket": { limit: 1e9 },
  // A log has no more than 100,000 a window.
  "sliding-log": { limit: 100_000, window: 10 },
  "sliding-counter": { limit: 1e9 },
  "fixed-window": { limit: 1e9 }
} satisfies { readonly [algorithm in RateLimiter.Algorithm]: RateLimiter.SettingsInput }

export const algorithms = Object.keys(limits) as ReadonlyArray<RateLimiter.Algorithm>

export const ownLimiter = (algorithm: RateLimiter.Algorithm): RateLimiter.RateLimiter["Service"] =>
  Effect.runSync(RateLimiter.make({ operation: "own", settings: { algorithm, ...limits[algorithm] } }))

export const ownBreaker = (failureThreshold = numbers.failures): CircuitBreaker.CircuitBreaker["Service"] =>
  Effect.runSync(
    CircuitBreaker.make({ operation: "own", settings: { failureThreshold, openDuration: numbers.openMillis } })
  )
