/**
 * Keeps what is known about one running operation: its numbers, its circuits,
 * and what its calls came to.
 *
 * **Details**
 *
 * A call is one use of the operation by its caller, with all its attempts. An
 * attempt is one execution of the guarded effect. They are counted apart:
 * `calls = succeeded + failed + rejected + interrupted + inFlight`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as CircuitBreaker from "./CircuitBreaker.ts"
import { Histogram, type Percentiles } from "./internal/histogram.ts"
import type { Moment } from "./Moment.ts"
import * as Monotonic from "./Monotonic.ts"
import type * as Preset from "./Preset.ts"
import { isResilienceError, type Reason, type ResilienceError, type TimeoutExceeded } from "./ResilienceError.ts"
import { errorName, type ResilienceEvent, type Sink, timestamp } from "./ResilienceEvent.ts"
import type * as Retry from "./Retry.ts"
import type * as Strategy from "./Strategy.ts"

/**
 * Percentiles of durations in milliseconds, at most 1/16 too high. All 0 while
 * nothing is recorded.
 *
 * @category models
 * @since 0.1.0
 */
export interface Latency extends Percentiles {
  readonly count: number
  readonly mean: number
}

/**
 * What the calls of an operation came to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counters {
  readonly calls: number
  readonly succeeded: number
  /** Ended with an error of the caller's effect, or a defect. */
  readonly failed: number
  /** Ended with an error of ours. */
  readonly rejected: number
  /** The same, by reason. */
  readonly rejections: Readonly<Partial<Record<Reason["_tag"], number>>>
  readonly interrupted: number
  readonly inFlight: number
  /** Failed or rejected calls whose caller got the fallback's answer. */
  readonly fallbacks: number
  readonly attempts: number
  /** Attempts after the first one of their call. */
  readonly retries: number
  /** Calls given up although their error could be retried. */
  readonly exhausted: number
  /** Attempts whose limit passed. */
  readonly timeouts: number
  /** Timed out attempts that are still ending. */
  readonly abandoned: number
}

/**
 * An operation at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly name: string
  readonly strategy: string
  readonly source: Preset.Source
  readonly settings: Strategy.Settings
  readonly counters: Counters
  readonly callLatency: Latency
  readonly attemptLatency: Latency
  /** Wall time in milliseconds since 1970. For display. */
  readonly lastSuccess: Option.Option<number>
  readonly lastFailure: Option.Option<number>
  readonly circuits: ReadonlyArray<CircuitBreaker.Snapshot>
}

/** What an event says besides where and when. */
type Facts<Tag extends ResilienceEvent["_tag"]> = Omit<
  Extract<ResilienceEvent, { _tag: Tag }>,
  "_tag" | "operation" | "key" | "at"
>

const noLatency: Latency = { count: 0, mean: 0, p50: 0, p90: 0, p95: 0, p99: 0, max: 0 }

const latencyOf = (histogram: Histogram | undefined): Latency =>
  histogram === undefined
    ? noLatency
    : { count: histogram.count, mean: histogram.sum / histogram.count, ...histogram.percentiles() }

/**
 * One running operation. Its counters are plain fields, written in place by
 * the pipeline and read by snapshot.
 *
 * @category models
 * @since 0.1.0
 */
export class Operation {
  readonly name: string
  private resolved: Preset.Resolved
  /** `undefined` while no strategy of the operation had a circuit breaker. */
  circuits: CircuitBreaker.Circuits | undefined
  private readonly events: Sink
  private calls = 0
  private succeeded = 0
  private failed = 0
  private rejected = 0
  private rejections: Partial<Record<Reason["_tag"], number>> | undefined = undefined
  private interrupted = 0
  private fallbacks = 0
  private attempts = 0
  private retries = 0
  private exhausted = 0
  private timeouts = 0
  private abandoned = 0
  private callLatency: Histogram | undefined = undefined
  private attemptLatency: Histogram | undefined = undefined
  private lastSuccess: number | undefined = undefined
  private lastFailure: number | undefined = undefined

  /** @internal */
  constructor(name: string, resolved: Preset.Resolved, circuits: CircuitBreaker.Circuits | undefined, events: Sink) {
    this.events = events
    this.name = name
    this.resolved = resolved
    this.circuits = circuits
  }

  /** Changes the strategy in force. @internal */
  retuneUnsafe(resolved: Preset.Resolved): void {
    this.resolved = resolved
  }

  /** @internal */
  callStarted(): void {
    this.calls++
  }

  /** @internal */
  callEnded(exit: Exit.Exit<unknown, unknown>, startedAt: number, key: string | undefined, moment: Moment): void {
    if (Exit.isSuccess(exit)) {
      this.succeeded++
      this.lastSuccess = moment.now
    } else if (Cause.hasInterruptsOnly(exit.cause)) {
      this.interrupted++
      return
    } else {
      this.lastFailure = moment.now
      this.callFailed(exit.cause, key, moment.clock)
    }
    this.callLatency ??= new Histogram()
    this.callLatency.record(moment.now - startedAt)
  }

  private callFailed(cause: Cause.Cause<unknown>, key: string | undefined, clock: Clock.Clock): void {
    const error = Cause.findErrorOption(cause)
    if (Option.isNone(error) || !isResilienceError(error.value) || error.value.operation !== this.name) {
      this.failed++
      return
    }
    const { _tag: reason, message } = error.value.reason
    this.rejected++
    this.rejections ??= {}
    this.rejections[reason] = (this.rejections[reason] ?? 0) + 1
    if (this.events.isActive()) this.publish("CallRejected", key, clock, { reason, message })
  }

  /** @internal */
  onAdmitted(): void {
    this.attempts++
  }

  /** @internal */
  onSettled(millis: number): void {
    this.attemptLatency ??= new Histogram()
    this.attemptLatency.record(millis)
  }

  /** @internal */
  onFailed({ attempt, classification, clock, error, key }: Retry.Failed): void {
    if (!this.events.isActive() || this.isRefusal(error)) return
    this.publish("AttemptFailed", key, clock, { attempt, error: errorName(error), kind: classification.kind })
  }

  /** Ours, and no attempt ran. */
  private isRefusal(error: unknown): boolean {
    return isResilienceError(error) && error.operation === this.name && error.reason._tag !== "TimeoutExceeded"
  }

  /** @internal */
  onScheduled({ attempt, clock, delay, error, key }: Retry.Scheduled): void {
    this.retries++
    if (this.events.isActive()) this.publish("RetryScheduled", key, clock, { attempt, delay, error: errorName(error) })
  }

  /** @internal */
  onExhausted({ attempts, because, clock, elapsed, error, key }: Retry.GivenUp): void {
    this.exhausted++
    if (!this.events.isActive()) return
    this.publish("RetriesExhausted", key, clock, { attempts, elapsed, error: errorName(error), because })
  }

  /** @internal */
  onTimedOut({ key, reason: { limit, scope } }: ResilienceError<TimeoutExceeded>, clock: Clock.Clock): void {
    this.timeouts++
    if (this.events.isActive()) this.publish("AttemptTimedOut", key, clock, { limit, scope })
  }

  /** @internal */
  onAbandoned(change: 1 | -1, key: string | undefined, clock: Clock.Clock): void {
    this.abandoned += change
    if (change > 0 && this.events.isActive()) {
      this.publish("AttemptAbandoned", key, clock, { abandoned: this.abandoned })
    }
  }

  /** @internal */
  fallbackEnded(hasServed: boolean, error: unknown, key: string | undefined, clock: Clock.Clock): void {
    if (hasServed) this.fallbacks++
    if (!this.events.isActive()) return
    this.publish(hasServed ? "FallbackServed" : "FallbackFailed", key, clock, { error: errorName(error) })
  }

  private publish<const Tag extends ResilienceEvent["_tag"]>(
    _tag: Tag,
    key: string | undefined,
    clock: Clock.Clock,
    facts: Facts<Tag>
  ): void {
    // The tag belongs to the facts, which the compiler cannot see through the generic.
    const event = { _tag, operation: this.name, key, at: timestamp(clock), ...facts } as unknown as ResilienceEvent
    this.events.publishUnsafe(event)
  }

  /** No call runs and every circuit is at rest: forgetting it loses only its counters. @internal */
  isAtRest(now: number): boolean {
    return (
      this.inFlight === 0 &&
      this.abandoned === 0 &&
      (this.circuits === undefined || this.circuits.allUnsafe().every((circuit) => circuit.isAtRest(now)))
    )
  }

  private get inFlight(): number {
    return this.calls - this.succeeded - this.failed - this.rejected - this.interrupted
  }

  /** @internal */
  snapshotUnsafe(clock: Clock.Clock): Snapshot {
    const wallOf = (at: number | undefined): Option.Option<number> =>
      at === undefined
        ? Option.none()
        : Option.some(Math.round(clock.currentTimeMillisUnsafe() - (Monotonic.now(clock) - at)))
    return {
      name: this.name,
      strategy: this.resolved.strategy.name,
      source: this.resolved.source,
      settings: this.resolved.strategy.settings,
      counters: {
        calls: this.calls,
        succeeded: this.succeeded,
        failed: this.failed,
        rejected: this.rejected,
        rejections: { ...this.rejections },
        interrupted: this.interrupted,
        inFlight: this.inFlight,
        fallbacks: this.fallbacks,
        attempts: this.attempts,
        retries: this.retries,
        exhausted: this.exhausted,
        timeouts: this.timeouts,
        abandoned: this.abandoned
      },
      callLatency: latencyOf(this.callLatency),
      attemptLatency: latencyOf(this.attemptLatency),
      lastSuccess: wallOf(this.lastSuccess),
      lastFailure: wallOf(this.lastFailure),
      circuits: (this.circuits?.allUnsafe() ?? []).map((circuit) => circuit.snapshotUnsafe(clock))
    }
  }
}
