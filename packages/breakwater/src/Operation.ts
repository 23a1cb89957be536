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
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as CircuitBreaker from "./CircuitBreaker.ts"
import * as Decision from "./Decision.ts"
import * as Errors from "./Classification.ts"
import type * as latency from "./internal/latency.ts"
import { LatencyRecorder } from "./internal/latency.ts"
import { PairCounts } from "./internal/pairCounts.ts"
import type { Moment } from "./Moment.ts"
import * as Monotonic from "./Monotonic.ts"
import type * as Preset from "./Preset.ts"
import { isResilienceError, type Reason, type ResilienceError, type TimeoutExceeded } from "./ResilienceError.ts"
import type { ResilienceEvent } from "./EventSchema.ts"
import { errorName, type Sink, timestamp } from "./EventSink.ts"
import type * as Retry from "./Retry.ts"
import type * as Strategy from "./Strategy.ts"

/**
 * Percentiles of durations in milliseconds, at most 1/16 too high. All 0 while
 * nothing is recorded.
 *
 * @category models
 * @since 0.1.0
 */
export type Latency = latency.Latency

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
  /** The same, by what `Errors.classify` says; defects apart. */
  readonly failures: Readonly<Partial<Record<Errors.Kind | "defect", number>>>
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
  /** The same over the latest half to whole minute. */
  readonly recent: { readonly callLatency: Latency; readonly attemptLatency: Latency }
  /** Wall time in milliseconds since 1970. For display. */
  readonly lastSuccess: Option.Option<number>
  readonly lastFailure: Option.Option<number>
  readonly circuits: ReadonlyArray<CircuitBreaker.Snapshot>
}

/** What a call says about itself at its end. */
interface Ended {
  readonly key: string | undefined
  readonly rules: ReadonlyArray<Errors.Rule>
}

const noAttempts: ReadonlyArray<Decision.FailedAttempt> = []

/** What an event says besides where and when. */
type Facts<Tag extends ResilienceEvent["_tag"]> = Omit<
  Extract<ResilienceEvent, { _tag: Tag }>,
  "_tag" | "operation" | "key" | "at"
>

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
  private readonly decisionOptions: Decision.Options
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
  private failures: Partial<Record<Errors.Kind | "defect", number>> | undefined = undefined
  private callLatency: LatencyRecorder | undefined = undefined
  private attemptLatency: LatencyRecorder | undefined = undefined
  private log: Decision.Log | undefined = undefined
  private nested: PairCounts | undefined = undefined
  private lastSuccess: number | undefined = undefined
  private lastFailure: number | undefined = undefined

  /** @internal */
  constructor(
    name: string,
    resolved: Preset.Resolved,
    circuits: CircuitBreaker.Circuits | undefined,
    services: { readonly events: Sink; readonly decisions: Decision.Options }
  ) {
    this.events = services.events
    this.decisionOptions = services.decisions
    this.name = name
    this.resolved = resolved
    this.circuits = circuits
  }

  /** Where the strategy in force comes from. */
  get source(): Preset.Source {
    return this.resolved.source
  }

  /** Changes the strategy in force. @internal */
  retuneUnsafe(resolved: Preset.Resolved): void {
    this.resolved = resolved
  }

  /** The call is counted at its first attempt, in one step with watching how it ends. @internal */
  onArrived(moment: Moment): void {
    if (moment.startedAt !== undefined) return
    moment.startedAt = moment.now
    this.calls++
  }

  /** @internal */
  callEnded(exit: Exit.Exit<unknown, unknown>, startedAt: number, call: Ended, moment: Moment): void {
    if (Exit.isSuccess(exit)) {
      this.succeeded++
      this.lastSuccess = moment.now
      if (this.isSampled()) this.decide("succeeded", undefined, startedAt, call, moment)
    } else if (Cause.hasInterruptsOnly(exit.cause)) {
      this.interrupted++
      if (this.isSampled()) this.decide("interrupted", undefined, startedAt, call, moment)
      return
    } else {
      this.lastFailure = moment.now
      this.callFailed(exit.cause, startedAt, call, moment)
    }
    this.callLatency ??= new LatencyRecorder()
    this.callLatency.recordAt(moment.now, moment.now - startedAt)
  }

  private callFailed(cause: Cause.Cause<unknown>, startedAt: number, call: Ended, moment: Moment): void {
    const error = Cause.squash(cause)
    if (isResilienceError(error) && error.operation === this.name) {
      const { _tag: reason, message } = error.reason
      this.rejected++
      this.rejections ??= {}
      this.rejections[reason] = (this.rejections[reason] ?? 0) + 1
      const { id } = this.decide("rejected", error, startedAt, call, moment)
      error.decisionId = id
      if (this.events.isActive())
        this.publish("CallRejected", call.key, moment.clock, { reason, message, decisionId: id })
      return
    }
    this.failed++
    const kind = kindOf(cause, error, call, moment)
    this.failures ??= {}
    this.failures[kind] = (this.failures[kind] ?? 0) + 1
    if (this.isSampled()) this.decide("failed", error, startedAt, call, moment)
  }

  private isSampled(): boolean {
    const { sampleEvery } = this.decisionOptions
    // Of those that ended: while a call is in flight, `calls` stands still for many ends.
    return sampleEvery > 0 && (this.calls - this.inFlight) % sampleEvery === 0
  }

  private decide(
    verdict: Decision.Decision["verdict"],
    error: unknown,
    startedAt: number,
    { key }: Ended,
    moment: Moment
  ): Decision.Decision {
    const { source, strategy } = this.resolved
    this.log ??= new Decision.Log(this.decisionOptions)
    return this.log.add({
      operation: this.name,
      key,
      strategy: strategy.name,
      source,
      at: moment.clock.currentTimeMillisUnsafe(),
      elapsed: moment.now - startedAt,
      verdict,
      reason: verdict === "rejected" ? (error as ResilienceError).reason : undefined,
      error: error === undefined ? undefined : errorName(error),
      failedAttempts: moment.failedAttempts ?? noAttempts,
      circuit: this.circuits?.findUnsafe(key)?.factsUnsafe(moment)
    })
  }

  /** The decisions that are remembered, newest first. @internal */
  decisionsUnsafe(): ReadonlyArray<Decision.Decision> {
    return this.log?.all() ?? []
  }

  /** @internal */
  onAdmitted(): void {
    this.attempts++
  }

  /** @internal */
  onSettled(millis: number, now: number): void {
    this.attemptLatency ??= new LatencyRecorder()
    this.attemptLatency.recordAt(now, millis)
  }

  /** @internal */
  onFailed({ attempt, classification, clock, error, key, moment }: Retry.Failed): void {
    if (this.isRefusal(error)) return
    const { kind } = classification
    moment.failedAttempts = [
      ...(moment.failedAttempts ?? noAttempts),
      { attempt, error: errorName(error), kind, waited: undefined }
    ]
    if (!this.events.isActive()) return
    this.publish("AttemptFailed", key, clock, { attempt, error: errorName(error), kind: classification.kind })
  }

  /** Ours, and no attempt ran. */
  private isRefusal(error: unknown): boolean {
    return isResilienceError(error) && error.operation === this.name && error.reason._tag !== "TimeoutExceeded"
  }

  /** @internal */
  onScheduled({ attempt, clock, delay, error, key, moment }: Retry.Scheduled): void {
    this.retries++
    const last = moment.failedAttempts?.at(-1)
    if (last !== undefined) last.waited = Duration.toMillis(delay)
    if (this.events.isActive()) this.publish("RetryScheduled", key, clock, { attempt, delay, error: errorName(error) })
  }

  /** @internal */
  onExhausted({ attempts, because, clock, elapsed, error, key }: Retry.GivenUp): void {
    this.exhausted++
    if (!this.events.isActive()) return
    this.publish("RetriesExhausted", key, clock, { attempts, elapsed, error: errorName(error), because })
  }

  /** @internal */
  onNested({ clock, inner, key }: Retry.NestedRetry): void {
    this.nested ??= new PairCounts()
    const count = this.nested.add(inner, Monotonic.now(clock))
    if (count !== undefined && this.events.isActive()) this.publish("RetriesNested", key, clock, { inner, count })
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

  /** Counts from 0 again, circuits too. Calls that run stay counted; states and decisions stay. @internal */
  resetUnsafe(): void {
    this.calls = this.inFlight
    this.succeeded = 0
    this.failed = 0
    this.failures = undefined
    this.rejected = 0
    this.rejections = undefined
    this.interrupted = 0
    this.fallbacks = 0
    this.attempts = 0
    this.retries = 0
    this.exhausted = 0
    this.timeouts = 0
    this.callLatency = undefined
    this.attemptLatency = undefined
    this.lastSuccess = undefined
    this.lastFailure = undefined
    for (const circuit of this.circuits?.allUnsafe() ?? []) circuit.resetCountersUnsafe()
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
    const now = Monotonic.now(clock)
    const calls = this.callLatency?.read(now) ?? LatencyRecorder.nothing
    const attempts = this.attemptLatency?.read(now) ?? LatencyRecorder.nothing
    const wallOf = (at: number | undefined): Option.Option<number> =>
      at === undefined ? Option.none() : Option.some(Math.round(clock.currentTimeMillisUnsafe() - (now - at)))
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
        failures: { ...this.failures },
        interrupted: this.interrupted,
        inFlight: this.inFlight,
        fallbacks: this.fallbacks,
        attempts: this.attempts,
        retries: this.retries,
        exhausted: this.exhausted,
        timeouts: this.timeouts,
        abandoned: this.abandoned
      },
      callLatency: calls.total,
      attemptLatency: attempts.total,
      recent: { callLatency: calls.recent, attemptLatency: attempts.recent },
      lastSuccess: wallOf(this.lastSuccess),
      lastFailure: wallOf(this.lastFailure),
      circuits: (this.circuits?.allUnsafe() ?? []).map((circuit) => circuit.snapshotUnsafe(clock))
    }
  }
}

/** Never throws: a caller's rule that does is a defect of the call. */
const kindOf = (
  cause: Cause.Cause<unknown>,
  error: unknown,
  { rules }: Ended,
  moment: Moment
): Errors.Kind | "defect" => {
  if (Cause.hasDies(cause)) return "defect"
  const known = moment.failedAttempts?.at(-1)?.kind
  if (known !== undefined) return known
  try {
    return Errors.classify(error, rules).kind
  } catch {
    return "defect"
  }
}
