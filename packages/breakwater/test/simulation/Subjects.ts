/** Every subject that is simulated, by its name. */
import type { Subject } from "./Simulation.ts"
import { bulkheadSubject, prioritySubject } from "./subjects/bulkhead.ts"
import { circuitSubject } from "./subjects/circuit.ts"
import { coalesceSubject } from "./subjects/coalesce.ts"
import { rateLimiterSubject } from "./subjects/rateLimiter.ts"
import { retrySubject } from "./subjects/retry.ts"
import { retryBudgetSubject } from "./subjects/retryBudget.ts"
import { slotsSubject } from "./subjects/slots.ts"
import { stackSubject } from "./subjects/stack.ts"
import { staleCacheSubject } from "./subjects/staleCache.ts"
import { tieredSubject } from "./subjects/tiered.ts"
import { timeoutSubject } from "./subjects/timeout.ts"

export const subjects: ReadonlyArray<Subject> = [
  circuitSubject(),
  retrySubject(),
  timeoutSubject,
  rateLimiterSubject(),
  bulkheadSubject(),
  prioritySubject(),
  retryBudgetSubject(),
  coalesceSubject(),
  staleCacheSubject(),
  tieredSubject(),
  stackSubject,
  slotsSubject()
]
