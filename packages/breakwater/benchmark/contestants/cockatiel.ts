import {
  bulkhead,
  circuitBreaker,
  ConsecutiveBreaker,
  ConstantBackoff,
  CountBreaker,
  ExponentialBackoff,
  handleAll,
  type IPolicy,
  retry,
  timeout,
  TimeoutStrategy,
  wrap
} from "cockatiel"
import { numbers } from "./work.ts"

export const cockatielRetry = () =>
  retry(handleAll, { maxAttempts: numbers.retries, backoff: new ExponentialBackoff() })
export const cockatielRetryAtOnce = () =>
  retry(handleAll, { maxAttempts: numbers.retries, backoff: new ConstantBackoff(0) })
export const cockatielBreaker = (failures = numbers.failures) =>
  circuitBreaker(handleAll, { halfOpenAfter: numbers.openMillis, breaker: new ConsecutiveBreaker(failures) })
export const cockatielTimeout = () => timeout(numbers.attemptMillis, TimeoutStrategy.Aggressive)
export const cockatielFull = (retries: IPolicy = cockatielRetry(), failures?: number) =>
  wrap(retries, cockatielBreaker(failures), cockatielTimeout())

export const cockatielBulkhead = () => bulkhead(numbers.places)

const cockatielWindow = () => {
  const { minimumCalls: minimumNumberOfCalls, rate: threshold, size } = numbers.window
  const breaker = new CountBreaker({ minimumNumberOfCalls, threshold, size })
  return circuitBreaker(handleAll, { halfOpenAfter: numbers.openMillis, breaker })
}

/** In our order: the bulkhead stands inside of the breaker. */
export const cockatielStack = () => wrap(cockatielRetry(), cockatielWindow(), cockatielBulkhead(), cockatielTimeout())
