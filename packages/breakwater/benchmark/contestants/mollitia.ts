import * as mollitia from "mollitia"
import { numbers } from "./work.ts"

const mollitiaBreaker = (options: { state?: mollitia.BreakerState; onError?: () => boolean } = {}) =>
  new mollitia.SlidingCountBreaker({
    // The nearest to consecutive failures: all of the last five.
    slidingWindowSize: numbers.failures,
    minimumNumberOfCalls: numbers.failures,
    failureRateThreshold: 100,
    openStateDelay: numbers.openMillis,
    ...options
  })
const mollitiaRetry = (interval: number) => new mollitia.Retry({ attempts: numbers.retries, interval })
const mollitiaTimeout = () => new mollitia.Timeout({ delay: numbers.attemptMillis })

type Func = () => Promise<unknown>

const circuit = (func: Func, ...modules: Array<mollitia.Module>): Func => {
  const made = new mollitia.Circuit({ func, options: { modules } })
  return () => made.execute()
}

export const mollitiaCircuit = {
  breaker: (func: Func) => circuit(func, mollitiaBreaker()),
  openBreaker: (func: Func) => circuit(func, mollitiaBreaker({ state: mollitia.BreakerState.OPENED })),
  retry: (func: Func, interval = numbers.firstPause) => circuit(func, mollitiaRetry(interval)),
  timeout: (func: Func) => circuit(func, mollitiaTimeout()),
  full: (func: Func) => circuit(func, mollitiaRetry(numbers.firstPause), mollitiaBreaker(), mollitiaTimeout()),
  neverOpens: (func: Func) =>
    circuit(func, mollitiaRetry(0), mollitiaBreaker({ onError: () => false }), mollitiaTimeout())
}
