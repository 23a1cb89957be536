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
import * as Monotonic from "./Monotonic.ts"
import type * as Preset from "./Preset.ts"
import { isResilienceError, type Reason, type ResilienceError } from "./ResilienceError.ts"
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
  readonly strategy: Strategy.Strategy
  readonly source: Preset.Source
  /** `undefined` when the strategy has no circuit breaker. */
  readonly circuits: CircuitBreaker.Circuits | undefined
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
  constructor(name: string, resolved: Preset.Resolved, circuits: CircuitBreaker.Circuits | undefined) {
    this.name = name
    this.strategy = resolved.strategy
    this.source = resolved.source
    this.circuits = circuits
  }

  /** @internal */
  callStarted(): void {
    this.calls++
  }

  /** Returns the rejection that ended the call, if one of ours did. @internal */
  callEnded(exit: Exit.Exit<unknown, unknown>, startedAt: number, clock: Clock.Clock): ResilienceError | undefined {
    let rejection: ResilienceError | undefined
    const now = Monotonic.now(clock)
    if (Exit.isSuccess(exit)) {
      this.succeeded++
      this.lastSuccess = now
    } else if (Cause.hasInterruptsOnly(exit.cause)) {
      this.interrupted++
      return undefined
    } else {
      this.lastFailure = now
      const error = Cause.findErrorOption(exit.cause)
      if (Option.isSome(error) && isResilienceError(error.value) && error.value.operation === this.name) {
        rejection = error.value
        const { _tag } = rejection.reason
        this.rejected++
        this.rejections ??= {}
        this.rejections[_tag] = (this.rejections[_tag] ?? 0) + 1
      } else {
        this.failed++
      }
    }
    this.callLatency ??= new Histogram()
    this.callLatency.record(now - startedAt)
    return rejection
  }

  /** @internal */
  attemptStarted(): void {
    this.attempts++
  }

  /** @internal */
  attemptEnded(millis: number): void {
    this.attemptLatency ??= new Histogram()
    this.attemptLatency.record(millis)
  }

  /** @internal */
  retryScheduled(): void {
    this.retries++
  }

  /** @internal */
  retriesExhausted(): void {
    this.exhausted++
  }

  /** @internal */
  timedOut(): void {
    this.timeouts++
  }

  /** Returns how many are still ending. @internal */
  abandonedChanged(change: 1 | -1): number {
    this.abandoned += change
    return this.abandoned
  }

  /** @internal */
  fallbackServed(): void {
    this.fallbacks++
  }

  /** No call runs and every circuit is at rest: forgetting it loses only its counters. @internal */
  get isAtRest(): boolean {
    return (
      this.inFlight === 0 &&
      this.abandoned === 0 &&
      (this.circuits === undefined || this.circuits.allUnsafe().every((circuit) => circuit.isAtRest))
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
      strategy: this.strategy.name,
      source: this.source,
      settings: this.strategy.settings,
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
