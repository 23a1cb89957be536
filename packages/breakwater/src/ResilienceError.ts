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
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"

const after = (retryAfter: Duration.Duration | undefined): string =>
  retryAfter === undefined ? "" : `, retry after ${Duration.format(retryAfter)}`

/**
 * The circuit is open: the call did not run.
 *
 * @category reasons
 * @since 0.1.0
 */
export class CircuitOpen extends Schema.TaggedError<CircuitOpen>("breakwater/CircuitOpen")("CircuitOpen", {
  /** Time until the circuit lets a probe through. Exact to the millisecond. */
  retryAfter: Schema.DurationFromString
}) {
  readonly isRetryable = false
  override get message(): string {
    return `circuit open${after(this.retryAfter)}`
  }
}

/**
 * The circuit is probing and has no place for another call: it did not run.
 *
 * @category reasons
 * @since 0.1.0
 */
export class CircuitHalfOpen extends Schema.TaggedError<CircuitHalfOpen>("breakwater/CircuitHalfOpen")(
  "CircuitHalfOpen",
  {
    /** Upper bound: the time until the oldest probe has to have answered. */
    retryAfter: Schema.DurationFromString
  }
) {
  readonly isRetryable = false
  override get message(): string {
    return `circuit half-open and probing${after(this.retryAfter)}`
  }
}

/**
 * An operator holds the circuit open: the call did not run.
 *
 * @category reasons
 * @since 0.1.0
 */
export class CircuitIsolated extends Schema.TaggedError<CircuitIsolated>("breakwater/CircuitIsolated")(
  "CircuitIsolated",
  {
    /** What the operator gave as reason. */
    because: Schema.String,
    /** Time until the isolation ends by itself. */
    retryAfter: Schema.optional(Schema.DurationFromString)
  }
) {
  readonly isRetryable = false
  override get message(): string {
    return `circuit isolated by an operator (${this.because})${after(this.retryAfter)}`
  }
}

/**
 * The call ran longer than it may and was interrupted.
 *
 * @category reasons
 * @since 0.1.0
 */
export class TimeoutExceeded extends Schema.TaggedError<TimeoutExceeded>("breakwater/TimeoutExceeded")(
  "TimeoutExceeded",
  {
    /** `attempt`: this execution was too slow. `total`: the whole call, with its attempts and waits. */
    scope: Schema.Literals(["attempt", "total"]),
    /** The limit in force. */
    limit: Schema.DurationFromString,
    /** Time from the start of the scope to the release of the caller. */
    elapsed: Schema.DurationFromString
  }
) {
  /** An attempt that was too slow is a failed attempt; a call that was too slow is over. */
  get isRetryable(): boolean {
    return this.scope === "attempt"
  }
  override get message(): string {
    return `${this.scope} timeout of ${Duration.format(this.limit)} exceeded`
  }
}

/**
 * Every way in which a strategy can end a call by itself.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Reason = Schema.Union([CircuitOpen, CircuitHalfOpen, CircuitIsolated, TimeoutExceeded])

/**
 * @category models
 * @since 0.1.0
 */
export type Reason = typeof Reason.Type

/**
 * The shape of `ResilienceError`, with any reason.
 *
 * @category schemas
 * @since 0.1.0
 */
class AnyResilienceError extends Schema.TaggedError<AnyResilienceError>("breakwater/ResilienceError")(
  "ResilienceError",
  {
    /** The operation that was refused or cut short. */
    operation: Schema.String,
    /** The part of the operation, for example a tenant, when the call named one. */
    key: Schema.optional(Schema.String),
    reason: Reason
  }
) {}

/**
 * Fails a call that a strategy refused or cut short. `R` lists the reasons
 * that the strategy in use can produce.
 *
 * @category errors
 * @since 0.1.0
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- callers read `reason` by it
export class ResilienceError<out R extends Reason = Reason> extends AnyResilienceError {
  declare readonly reason: R
  /** Whether a retry of ours may repeat the attempt. */
  get isRetryable(): boolean {
    return this.reason.isRetryable
  }
  /** When a caller may come back, if the reason knows. */
  get retryAfter(): Duration.Duration | undefined {
    return "retryAfter" in this.reason ? this.reason.retryAfter : undefined
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
 * Builds the error and its reason without a stack, which makes it about ten
 * times cheaper.
 *
 * @category constructors
 * @since 0.1.0
 */
export const reject = <R extends Reason>(
  operation: string,
  key: string | undefined,
  reason: () => R
): ResilienceError<R> => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return new ResilienceError({ operation, key, reason: reason() }) as ResilienceError<R>
  } finally {
    Error.stackTraceLimit = limit
  }
}
