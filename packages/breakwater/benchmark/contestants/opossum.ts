import Opossum from "opossum"
import { numbers } from "./work.ts"

const opossumOptions = {
  resetTimeout: numbers.openMillis,
  // It has no consecutive window: all of the calls of its window, five at least, must fail.
  errorThresholdPercentage: 100,
  volumeThreshold: numbers.failures,
  // The timers that its documentation says to switch off where nobody reads snapshots.
  enableSnapshots: false
}

export const opossumBreaker = (action: () => unknown) =>
  new Opossum(action, { ...opossumOptions, timeout: false, rollingPercentilesEnabled: false })
/** With its latency percentiles on, as in our full strategy. */
export const opossumFull = (action: () => unknown) =>
  new Opossum(action, { ...opossumOptions, timeout: numbers.attemptMillis })

/** A breaker with its defaults: a timeout of 10 seconds and latency percentiles. */
export const opossumAsShipped = (action: () => unknown) => new Opossum(action)
