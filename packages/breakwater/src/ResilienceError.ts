/**
 * The one error that a strategy adds to an effect's error channel.
 *
 * A strategy never wraps the effect's own errors. It adds `ResilienceError`,
 * whose `reason` says which policy refused or cut short the call.
 *
 * **Details**
 *
 * Reasons carry facts. Every reason has `isRetryable`, which says whether a
 * retry of ours may repeat the attempt, and most have `retryAfter`, which says
 * when a caller may come back.
 *
 * **Gotchas**
 *
 * The errors have no stack: a rejection is built when the system is in trouble
 * and its place in the code is the operation's name.
 *
 * **Example** (Handling one reason)
 *
 * ```ts import.meta.vitest
 * import { Duration, Effect } from "effect"
 * import { CircuitOpen, ResilienceError } from "breakwater"
 *
 * const rejected = Effect.fail(
 *   new ResilienceError({
 *     operation: "payments",
 *     reason: new CircuitOpen({ retryAfter: Duration.seconds(8) })
 *   })
 * )
 *
 * const program = rejected.pipe(
 *   Effect.catchReason("ResilienceError", "CircuitOpen", (reason) =>
 *     Effect.succeed(`come back in ${Duration.format(reason.retryAfter)}`)
 *   )
 * )
 *
 * Effect.runSync(program) // => "come back in 8s"
 * ```
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"

// Rejections are built when the system is in trouble, so they are cheap: reasons
// are plain objects, the error has no stack, and no schema checks their fields.

abstract class Facts<Fields extends object> {
  constructor(fields: Fields) {
    Object.assign(this, fields)
  }
  /** Whether a retry of ours may repeat the attempt. */
  get isRetryable(): boolean {
    return false
  }
}

const after = (retryAfter: Duration.Duration | undefined): string =>
  retryAfter === undefined ? "" : `, retry after ${Duration.format(retryAfter)}`

/**
 * The circuit is open: the call did not run.
 *
 * @category reasons
 * @since 0.1.0
 */
export class CircuitOpen extends Facts<{ readonly retryAfter: Duration.Duration }> {
  readonly _tag = "CircuitOpen"
  /** Time until the circuit lets a probe through. Exact to the millisecond. */
  declare readonly retryAfter: Duration.Duration
  get message(): string {
    return `circuit open${after(this.retryAfter)}`
  }
}

/**
 * The circuit is probing, or starting slowly after it closed, and has no place
 * for another call: it did not run.
 *
 * @category reasons
 * @since 0.1.0
 */
export class CircuitHalfOpen extends Facts<object> {
  readonly _tag = "CircuitHalfOpen"
  /** Upper bound: the time until the oldest probe has to have answered, or until the slow start is over. */
  declare readonly retryAfter: Duration.Duration
  /** `probing`: all probes are under way. `slow_start`: the circuit has just closed and admits a growing share. */
  declare readonly because: "probing" | "slow_start"
  constructor(fields: {
    readonly retryAfter: Duration.Duration
    readonly because?: "probing" | "slow_start" | undefined
  }) {
    super({ ...fields, because: fields.because ?? "probing" })
  }
  get message(): string {
    const state = this.because === "probing" ? "half-open and probing" : "closed again and starting slowly"
    return `circuit ${state}${after(this.retryAfter)}`
  }
}

/**
 * An operator holds the circuit open: the call did not run.
 *
 * @category reasons
 * @since 0.1.0
 */
export class CircuitIsolated extends Facts<{
  readonly because: string
  readonly retryAfter?: Duration.Duration | undefined
}> {
  readonly _tag = "CircuitIsolated"
  /** What the operator gave as reason. */
  declare readonly because: string
  /** Time until the isolation ends by itself. */
  declare readonly retryAfter: Duration.Duration | undefined
  get message(): string {
    return `circuit isolated by an operator (${this.because})${after(this.retryAfter)}`
  }
}

/**
 * The call ran longer than it may and was interrupted.
 *
 * @category reasons
 * @since 0.1.0
 */
export class TimeoutExceeded extends Facts<{
  readonly scope: "attempt" | "total"
  readonly limit: Duration.Duration
  readonly elapsed: Duration.Duration
}> {
  readonly _tag = "TimeoutExceeded"
  /** `attempt`: this execution was too slow. `total`: the whole call, with its attempts and waits. */
  declare readonly scope: "attempt" | "total"
  /** The limit in force. */
  declare readonly limit: Duration.Duration
  /** Time from the start of the scope to the release of the caller. */
  declare readonly elapsed: Duration.Duration
  /** An attempt that was too slow is a failed attempt; a call that was too slow is over. */
  override get isRetryable(): boolean {
    return this.scope === "attempt"
  }
  get message(): string {
    return `${this.scope} timeout of ${Duration.format(this.limit)} exceeded`
  }
}

/**
 * All places are taken and so is the queue for them, or the wait in it was over:
 * the call did not run.
 *
 * @category reasons
 * @since 0.1.0
 */
export class BulkheadFull extends Facts<{
  readonly active: number
  readonly queued: number
  readonly limit: number
  readonly waited: Duration.Duration
}> {
  readonly _tag = "BulkheadFull"
  /** Calls that ran at that moment. */
  declare readonly active: number
  /** Calls that waited at that moment. */
  declare readonly queued: number
  /** Calls that may run at once. */
  declare readonly limit: number
  /** How long the call itself waited. */
  declare readonly waited: Duration.Duration
  get message(): string {
    return `bulkhead full: ${this.active} of ${this.limit} running, ${this.queued} waiting`
  }
}

/**
 * The rate limit has no room for the call, or not soon enough: it did not run.
 *
 * @category reasons
 * @since 0.1.0
 */
export class RateLimitExceeded extends Facts<object> {
  readonly _tag = "RateLimitExceeded"
  /** `admission`: once for a call, before all attempts. `quota`: for each attempt. */
  declare readonly scope: "admission" | "quota"
  /**
   * Time until a call of the same cost has room, if no other takes it. Exact to
   * the millisecond. Infinite for a cost that never passes.
   */
  declare readonly retryAfter: Duration.Duration
  /** Calls, or units of cost, in one window. */
  declare readonly limit: number
  /** Units that the call asked for. */
  declare readonly cost: number
  constructor(fields: {
    readonly scope: "admission" | "quota"
    readonly retryAfter: Duration.Duration
    readonly limit: number
    readonly cost?: number | undefined
  }) {
    super({ ...fields, cost: fields.cost ?? 1 })
  }
  get message(): string {
    if (!Duration.isFinite(this.retryAfter)) {
      return `${this.scope} rate limit of ${this.limit} exceeded: a cost of ${this.cost} never passes`
    }
    return `${this.scope} rate limit of ${this.limit} exceeded${after(this.retryAfter)}`
  }
}

/**
 * Every way in which a strategy can end a call by itself.
 *
 * @category models
 * @since 0.1.0
 */
export type Reason =
  | CircuitOpen
  | CircuitHalfOpen
  | CircuitIsolated
  | BulkheadFull
  | RateLimitExceeded
  | TimeoutExceeded

/**
 * Fails a call that a strategy refused or cut short. `R` lists the reasons
 * that the strategy in use can produce.
 *
 * @category errors
 * @since 0.1.0
 */
export class ResilienceError<out R extends Reason = Reason> extends Data.Error {
  readonly _tag = "ResilienceError"
  /** The operation that was refused or cut short. */
  declare readonly operation: string
  /** The part of the operation, for example a tenant, when the call named one. */
  declare readonly key: string | undefined
  declare readonly reason: R
  /** The decision that tells why, once the call has ended. */
  decisionId: string | undefined = undefined
  constructor(fields: { readonly operation: string; readonly key?: string | undefined; readonly reason: R }) {
    super()
    this.operation = fields.operation
    this.key = fields.key
    this.reason = fields.reason
  }
  override get name(): string {
    return "ResilienceError"
  }
  /** Whether a retry of ours may repeat the attempt. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
  /** When a caller may come back, if the reason knows. */
  get retryAfter(): Duration.Duration | undefined {
    return (this.reason as { readonly retryAfter?: Duration.Duration | undefined }).retryAfter
  }
  override get message(): string {
    return `${this.key === undefined ? this.operation : `${this.operation}:${this.key}`}: ${this.reason.message}`
  }
}

/**
 * Whether a value is an error of ours, by class.
 *
 * @category guards
 * @since 0.1.0
 */
export const isResilienceError = (u: unknown): u is ResilienceError => u instanceof ResilienceError

/**
 * Whether a value is an error of ours that came before an attempt could run.
 * A `TimeoutExceeded` says that one ran for too long.
 *
 * @category guards
 * @since 0.1.0
 */
export const isRefusal = (u: unknown): u is ResilienceError =>
  isResilienceError(u) && u.reason._tag !== "TimeoutExceeded"

/**
 * Builds the error without a stack, which makes it many times cheaper.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reject = <R extends Reason>(operation: string, key: string | undefined, reason: R): ResilienceError<R> => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return new ResilienceError({ operation, key, reason })
  } finally {
    Error.stackTraceLimit = limit
  }
}
