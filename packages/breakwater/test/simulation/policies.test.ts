import { describe } from "@effect/vitest"
import { simulations } from "./Simulations.ts"
import { bulkheadSubject, prioritySubject } from "./subjects/bulkhead.ts"
import { circuitSubject } from "./subjects/circuit.ts"
import { coalesceSubject } from "./subjects/coalesce.ts"
import { rateLimiterSubject } from "./subjects/rateLimiter.ts"
import { retrySubject } from "./subjects/retry.ts"
import { retryBudgetSubject } from "./subjects/retryBudget.ts"
import { staleCacheSubject } from "./subjects/staleCache.ts"
import { tieredSubject } from "./subjects/tiered.ts"
import { timeoutSubject } from "./subjects/timeout.ts"

describe("each policy by itself:", () => {
  simulations(circuitSubject(), 1_000)
  simulations(retrySubject(), 600)
  simulations(timeoutSubject, 600)
  simulations(rateLimiterSubject(), 600)
  simulations(bulkheadSubject(), 600)
  simulations(prioritySubject(), 500)
  simulations(retryBudgetSubject(), 500)
  simulations(coalesceSubject(), 500)
  simulations(staleCacheSubject(), 500)
  simulations(tieredSubject(), 300)
})
