import { describe } from "@effect/vitest"
import { bulkheadCases } from "./bulkhead.ts"
import { circuitBreakerCases } from "./circuitBreaker.ts"
import { interleavings } from "./Interleavings.ts"
import { rateLimiterCases } from "./rateLimiter.ts"
import { resilienceCases } from "./resilience.ts"
import { retryCases } from "./retry.ts"
import { coalesceCases, staleCacheCases } from "./sharing.ts"
import { timeoutCases } from "./timeout.ts"

describe("two or three fibers:", () => {
  interleavings(bulkheadCases)
  interleavings(circuitBreakerCases)
  interleavings(rateLimiterCases)
  interleavings(coalesceCases)
  interleavings(staleCacheCases)
  interleavings(retryCases)
  interleavings(timeoutCases)
  interleavings(resilienceCases)
})
