/**
 * Remembers how calls were decided: always for those that we refused or cut
 * short, and for one in so many of the rest.
 *
 * **Details**
 *
 * Each operation keeps its latest decisions in a ring. A rejection carries the
 * id of its decision.
 *
 * @since 0.1.0
 */
import * as CircuitBreaker from "./CircuitBreaker.ts"
import type * as Moment from "./Moment.ts"
import type { Reason } from "./ResilienceError.ts"
import type * as Strategy from "./Strategy.ts"

/**
 * An attempt that failed.
 *
 * @category models
 * @since 0.1.0
 */
export type FailedAttempt = Moment.FailedAttempt

/**
 * How one call was decided.
 *
 * @category models
 * @since 0.1.0
 */
export interface Decision {
  readonly id: string
  readonly operation: string
  readonly key: string | undefined
  /** The strategy that guarded the call. */
  readonly strategy: string
  readonly source: Strategy.Source
  /** Its settings: which policies the call came by, and with which numbers. */
  readonly settings: Strategy.Settings
  /** Wall time of the end in milliseconds since 1970. For display. */
  readonly at: number
  /** From the start of the call to its end, in milliseconds. */
  readonly elapsed: number
  readonly verdict: "succeeded" | "failed" | "rejected" | "interrupted"
  /** Of a rejection. */
  readonly reason: Reason | undefined
  /** The name of the last error. */
  readonly error: string | undefined
  readonly failedAttempts: ReadonlyArray<FailedAttempt>
  /** How long it waited for places and limits, in milliseconds. */
  readonly queued: number
  /** The circuit at the end of the call, with the numbers it decided by. */
  readonly circuit: CircuitBreaker.Facts | undefined
}

/** A decision with its circuit as it stood. @internal */
export interface Remembered extends Omit<Decision, "circuit"> {
  readonly circuit: CircuitBreaker.Reading | undefined
}

/**
 * What is remembered, and how much.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Decisions kept for each operation. */
  readonly capacity: number
  /** One in so many calls that were not rejected is remembered. 0: none. */
  readonly sampleEvery: number
  /** Tells the decisions of this program's runs apart. */
  readonly run: string
}

/**
 * The latest decisions of one operation.
 *
 * @category models
 * @since 0.1.0
 */
export class Log {
  declare private readonly options: Options
  /** @internal */
  ring: Array<Remembered> = []
  /** @internal */
  count = 0

  constructor(options: Options) {
    this.options = options
  }

  add(decision: Omit<Remembered, "id">): Remembered {
    const added = { id: `${this.options.run}-${decision.operation}-${++this.count}`, ...decision }
    const { capacity } = this.options
    if (this.ring.length < capacity) this.ring.push(added)
    else this.ring[(this.count - 1) % capacity] = added
    return added
  }
}

/** What a log remembers, newest first. @internal */
export const newestFirst = ({ count, ring }: Log): ReadonlyArray<Decision> =>
  Array.from({ length: ring.length }, (_, back) => {
    const { circuit, ...decision } = ring[(count - 1 - back) % ring.length]!
    return { ...decision, circuit: circuit && CircuitBreaker.factsOf(circuit) }
  })
