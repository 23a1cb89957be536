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
import type * as Bulkhead from "./Bulkhead.ts"
import type * as RateLimiter from "./RateLimiter.ts"
import type * as RetryBudget from "./RetryBudget.ts"
import * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import type * as Coalesce from "./Coalesce.ts"
import * as Decision from "./Decision.ts"
import * as Errors from "./Classification.ts"
import * as latency from "./internal/latency.ts"
import { LatencyRecorder } from "./internal/latency.ts"
import type { Moment } from "./Moment.ts"
import * as Monotonic from "./Monotonic.ts"
import type * as Policy from "./Policy.ts"
import {
  isRefusal,
  isResilienceError,
  type Reason,
  type ResilienceError,
  type TimeoutExceeded
} from "./ResilienceError.ts"
import type { ResilienceEvent } from "./EventSchema.ts"
import { errorName, type Sink, timestamp } from "./EventSink.ts"
import type * as Retry from "./Retry.ts"
import type * as Strategy from "./Strategy.ts"

/**
 * Durations in milliseconds, told apart down to 1/1024 of one. Percentiles are
 * at most 1/16 too high, or 2/1024 ms if that is more. All 0 while nothing is
 * recorded.
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
  /** Of the exhausted, those that the retry budget had nothing left for. */
  readonly overBudget: number
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
  readonly source: Strategy.Source
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
  /** Runs that calls share; `None` while no call asked for it. */
  readonly coalesce: Option.Option<Coalesce.Snapshot>
  /** The rate limit before the first attempt, if there is one. */
  readonly admission: Option.Option<RateLimiter.Snapshot>
  /** None without a bulkhead; one, or one for each key. */
  readonly bulkheads: ReadonlyArray<Bulkhead.Snapshot>
  /** The rate limit of attempts, if there is one. */
  readonly quota: Option.Option<RateLimiter.Snapshot>
  /** The budget of its retries, which others may share. */
  readonly retryBudget: Option.Option<RetryBudget.Snapshot>
}

/**
 * Started policies by where they stand, each with the settings in force.
 *
 * @category models
 * @since 0.1.0
 */
export interface Policies extends Partial<Record<Policy.Slot, Policy.Placed>> {
  readonly retryBudget?: Policy.StartedBudget
}

/** What a call says about itself at its end. @internal */
export interface Ended {
  readonly key: string | undefined
  /** What guarded it. */
  readonly strategy: Strategy.Strategy
  readonly rules: ReadonlyArray<Errors.Rule>
}

/** Counts of what a call that goes well never meets. */
interface Trouble {
  readonly rejections: Partial<Record<Reason["_tag"], number>>
  readonly failures: Partial<Record<Errors.Kind | "defect", number>>
  fallbacks: number
  retries: number
  exhausted: number
  overBudget: number
  timeouts: number
}

const noTrouble = (): Trouble => ({
  rejections: {},
  failures: {},
  fallbacks: 0,
  retries: 0,
  exhausted: 0,
  overBudget: 0,
  timeouts: 0
})

const noAttempts: ReadonlyArray<Decision.FailedAttempt> = []

/** What all operations share. @internal */
export interface Services {
  readonly events: Sink
  readonly decisions: Decision.Options
}

/** What an event says besides where and when. */
type Facts<Tag extends ResilienceEvent["_tag"]> = Omit<
  Extract<ResilienceEvent, { _tag: Tag }>,
  "_tag" | "operation" | "key" | "at"
>

/**
 * One running operation. Its counters are plain fields, written in place by
 * the pipeline and read by `snapshotUnsafe`.
 *
 * @category models
 * @since 0.1.0
 */
export class Operation<out R extends Strategy.Resolved = Strategy.Resolved> {
  // First stands what a call that succeeds touches, side by side in memory.
  /** By what it runs: one object for all operations that run by the same. @internal */
  resolved: R
  /** `undefined` while no strategy of the operation had a circuit breaker. */
  circuits: CircuitBreaker.Circuits | undefined
  /** The policies that a strategy of the operation has started. */
  policies: Policies | undefined = undefined
  readonly name: string
  /** Called since room was looked for last. @internal */
  touched = false
  /** @internal */
  calls = 0
  /** @internal */
  attempts = 0
  /** @internal */
  succeeded = 0
  /** @internal */
  failed = 0
  /** @internal */
  rejected = 0
  /** @internal */
  interrupted = 0
  /**
   * Calls that took as long as their attempt, and succeeded: most of them. One
   * duration, recorded once.
   *
   * @internal
   */
  atOnce: LatencyRecorder | undefined = undefined
  /**
   * Durations that `atOnce` is yet to be told of, in its units; −1: none. A histogram lies apart and, where there are
   * many operations, is in no cache when a call ends, so three calls go to it together.
   *
   * @internal
   */
  first = -1
  /** −2 at first, so that the first duration goes there at once and makes the room. @internal */
  second = -2
  /** In whole milliseconds, −1: never. What is in `first` and `second` ended in the same slice of time. @internal */
  lastSuccess = -1
  private readonly services: Services
  /** What its code names. @internal */
  declare readonly own: Strategy.Own
  /** @internal */
  flights: Coalesce.Flights | undefined = undefined
  /** `undefined` while every call went well. @internal */
  known: Trouble | undefined = undefined
  /** @internal */
  abandoned = 0
  /** Durations of calls, but for those of `atOnce`. @internal */
  callLatency: LatencyRecorder | undefined = undefined
  /** Durations of attempts, but for those of `atOnce`. @internal */
  attemptLatency: LatencyRecorder | undefined = undefined
  /** @internal */
  log: Decision.Log | undefined = undefined
  /** @internal */
  lastFailure = -1

  /** @internal */
  constructor(
    name: string,
    own: Strategy.Own,
    resolved: R,
    circuits: CircuitBreaker.Circuits | undefined,
    services: Services
  ) {
    this.resolved = resolved
    this.circuits = circuits
    this.name = name
    this.services = services
    this.own = own
  }

  /** The call is counted at its first attempt, in one step with watching how it ends. @internal */
  onArrived(moment: Moment): void {
    if (moment.startedAt !== undefined) return
    moment.startedAt = moment.now
    this.calls++
  }

  /** @internal */
  callEnded(exit: Exit.Exit<unknown, unknown>, startedAt: number, call: Ended, moment: Moment): void {
    const { now, unrecorded } = moment
    if (Exit.isSuccess(exit)) {
      this.succeeded++
      if (this.isSampled()) this.decide("succeeded", undefined, startedAt, call, moment)
      if (this.first >= 0 && latency.sliceOf(now) !== latency.sliceOf(this.lastSuccess)) settleUnsafe(this, -1)
      this.lastSuccess = Math.floor(now)
      if (unrecorded === now - startedAt) {
        const units = Math.ceil(Math.max(unrecorded, 0) * latency.unitsPerMilli)
        if (this.second !== -1) return settleUnsafe(this, units)
        this.second = this.first
        this.first = units
        return
      }
    } else if (Cause.hasInterruptsOnly(exit.cause)) {
      this.interrupted++
      // It may have happened in the middle of a pause.
      moment.read()
      if (this.isSampled()) this.decide("interrupted", undefined, startedAt, call, moment)
      return this.recordAttempt(moment)
    } else {
      this.lastFailure = now
      this.callFailed(exit.cause, startedAt, call, moment)
    }
    this.recordAttempt(moment)
    return (this.callLatency ??= new LatencyRecorder()).recordAt(now, now - startedAt)
  }

  private callFailed(cause: Cause.Cause<unknown>, startedAt: number, call: Ended, moment: Moment): void {
    const error = Cause.squash(cause)
    if (isResilienceError(error) && error.operation === this.name) {
      const reason = error.reason._tag
      const { rejections } = this.trouble
      this.rejected++
      rejections[reason] = (rejections[reason] ?? 0) + 1
      const { id } = this.decide("rejected", error, startedAt, call, moment)
      error.decisionId = id
      // Its message is not built for nobody.
      if (this.services.events.isActive())
        this.publish("CallRejected", call.key, moment.clock, { reason, message: error.reason.message, decisionId: id })
      return
    }
    const { failures } = this.trouble
    this.failed++
    const kind = kindOf(cause, error, call, moment)
    failures[kind] = (failures[kind] ?? 0) + 1
    if (this.isSampled()) this.decide("failed", error, startedAt, call, moment)
  }

  private get trouble(): Trouble {
    return (this.known ??= noTrouble())
  }

  private isSampled(): boolean {
    const { sampleEvery } = this.services.decisions
    // Of those that ended: while a call is in flight, `calls` stands still for many ends.
    return sampleEvery > 0 && (this.calls - this.inFlight) % sampleEvery === 0
  }

  private decide(
    verdict: Decision.Decision["verdict"],
    error: unknown,
    startedAt: number,
    { key, strategy }: Ended,
    moment: Moment
  ): Decision.Remembered {
    const { resolved } = this
    const circuit = this.circuits?.findUnsafe(key)
    this.log ??= new Decision.Log(this.services.decisions)
    return this.log.add({
      operation: this.name,
      key,
      strategy: strategy.name,
      // The code may name another one for a call.
      source: strategy.name === resolved.strategy.name ? resolved.source : "code",
      settings: strategy.settings,
      at: moment.wallMillis,
      elapsed: moment.now - startedAt,
      verdict,
      reason: verdict === "rejected" ? (error as ResilienceError).reason : undefined,
      error: error === undefined ? undefined : errorName(error),
      failedAttempts: moment.failedAttempts ?? noAttempts,
      queued: moment.queued,
      circuit: circuit && CircuitBreaker.readUnsafe(circuit, moment)
    })
  }

  /** @internal */
  onAdmitted(): void {
    this.attempts++
  }

  /** @internal */
  onSettled(millis: number, moment: Moment): void {
    // The call may end with it.
    moment.unrecorded = millis
  }

  private recordAttempt(moment: Moment): void {
    const { unrecorded } = moment
    moment.unrecorded = undefined
    if (unrecorded !== undefined) (this.attemptLatency ??= new LatencyRecorder()).recordAt(moment.now, unrecorded)
  }

  /** @internal */
  onFailed({ attempt, classification: { kind }, error, key, moment }: Retry.Failed): void {
    this.recordAttempt(moment)
    if (isRefusal(error) && error.operation === this.name) return
    moment.failedAttempts = [
      ...(moment.failedAttempts ?? noAttempts),
      { attempt, error: errorName(error), kind, waited: undefined }
    ]
    this.publish("AttemptFailed", key, moment.clock, { attempt, error: errorName(error), kind })
  }

  /** @internal */
  onScheduled({ attempt, delay, error, key, moment }: Retry.Scheduled): void {
    this.trouble.retries++
    const last = moment.failedAttempts?.at(-1)
    if (last !== undefined) last.waited = Duration.toMillis(delay)
    this.publish("RetryScheduled", key, moment.clock, { attempt, delay, error: errorName(error) })
  }

  /** @internal */
  onExhausted({ attempts, because, elapsed, error, key, moment }: Retry.GivenUp): void {
    this.trouble.exhausted++
    if (because === "budget") this.trouble.overBudget++
    this.publish("RetriesExhausted", key, moment.clock, { attempts, elapsed, error: errorName(error), because })
  }

  /** @internal */
  onNested({ inner, key, moment }: Retry.NestedRetry): void {
    this.publish("RetriesNested", key, moment.clock, { inner })
  }

  /** @internal */
  onTimedOut({ key, reason: { limit, scope } }: ResilienceError<TimeoutExceeded>, clock: Clock.Clock): void {
    this.trouble.timeouts++
    this.publish("AttemptTimedOut", key, clock, { limit, scope })
  }

  /** @internal */
  onAbandoned(change: 1 | -1, key: string | undefined, clock: Clock.Clock): void {
    this.abandoned += change
    if (change > 0) this.publish("AttemptAbandoned", key, clock, { abandoned: this.abandoned })
  }

  /** @internal */
  fallbackEnded(hasServed: boolean, error: unknown, key: string | undefined, clock: Clock.Clock): void {
    if (hasServed) this.trouble.fallbacks++
    this.publish(hasServed ? "FallbackServed" : "FallbackFailed", key, clock, { error: errorName(error) })
  }

  private publish<const Tag extends ResilienceEvent["_tag"]>(
    _tag: Tag,
    key: string | undefined,
    clock: Clock.Clock,
    facts: Facts<Tag>
  ): void {
    if (!this.services.events.isActive()) return
    // The tag belongs to the facts, which the compiler cannot see through the generic.
    const event = { _tag, operation: this.name, key, at: timestamp(clock), ...facts } as unknown as ResilienceEvent
    this.services.events.publishUnsafe(event)
  }

  /** No call runs, and all that it has is at rest: forgetting it loses only its counters. @internal */
  isAtRest(now: number): boolean {
    const { retryBudget, ...places } = this.policies ?? {}
    return (
      this.inFlight === 0 &&
      this.abandoned === 0 &&
      this.flights?.isAtRest !== false &&
      (this.circuits?.allUnsafe() ?? []).every((circuit) => circuit.isAtRest(now)) &&
      Object.values(places).every(({ running }) => running.isAtRest(now)) &&
      // Others may count on a shared budget, and it outlives the operation.
      (retryBudget?.settings.dependency !== undefined || retryBudget?.running.isAtRest(now) !== false)
    )
  }

  /** @internal */
  get inFlight(): number {
    return this.calls - this.succeeded - this.failed - this.rejected - this.interrupted
  }
}

/** Tells `atOnce` of the durations that wait, and of one more; −1: of none. */
const settleUnsafe = (self: Operation, third: number): void => {
  for (const units of [self.first, self.second, third]) {
    if (units >= 0) (self.atOnce ??= new LatencyRecorder()).recordAt(self.lastSuccess, units / latency.unitsPerMilli)
  }
  self.first = self.second = -1
}

/** Counts from 0 again, circuits too. Calls that run stay counted; states and decisions stay. @internal */
export const resetUnsafe = (self: Operation): void => {
  self.calls = self.inFlight
  self.succeeded = 0
  self.failed = 0
  self.rejected = 0
  self.interrupted = 0
  self.attempts = 0
  self.known = undefined
  self.atOnce = undefined
  self.callLatency = undefined
  self.attemptLatency = undefined
  self.first = self.second = -1
  self.lastSuccess = -1
  self.lastFailure = -1
  for (const circuit of self.circuits?.allUnsafe() ?? []) CircuitBreaker.resetCountersUnsafe(circuit)
}

const started = (self: Operation, slot: Policy.Slot, clock: Clock.Clock): ReadonlyArray<unknown> =>
  self.policies?.[slot]?.running.snapshotsUnsafe(clock) ?? []

/** @internal */
export const snapshotUnsafe = (self: Operation, clock: Clock.Clock): Snapshot => {
  const now = Monotonic.now(clock)
  const trouble = self.known ?? noTrouble()
  settleUnsafe(self, -1)
  const calls = latency.read(now, [self.atOnce, self.callLatency])
  const attempts = latency.read(now, [self.atOnce, self.attemptLatency])
  const wallOf = (at: number): Option.Option<number> =>
    at < 0 ? Option.none() : Option.some(Math.round(clock.currentTimeMillisUnsafe() - (now - Math.floor(at))))
  const { source, strategy } = self.resolved
  return {
    name: self.name,
    strategy: strategy.name,
    source,
    settings: strategy.settings,
    counters: {
      calls: self.calls,
      succeeded: self.succeeded,
      failed: self.failed,
      rejected: self.rejected,
      interrupted: self.interrupted,
      inFlight: self.inFlight,
      attempts: self.attempts,
      abandoned: self.abandoned,
      ...trouble,
      rejections: { ...trouble.rejections },
      failures: { ...trouble.failures }
    },
    callLatency: calls.total,
    attemptLatency: attempts.total,
    recent: { callLatency: calls.recent, attemptLatency: attempts.recent },
    lastSuccess: wallOf(self.lastSuccess),
    lastFailure: wallOf(self.lastFailure),
    circuits: (self.circuits?.allUnsafe() ?? []).map((circuit) => CircuitBreaker.snapshotUnsafe(circuit, clock)),
    coalesce: Option.map(Option.fromUndefinedOr(self.flights), (flights) => flights.snapshotUnsafe()),
    // What stands in a place was started by settings of the place's own class.
    admission: Option.fromUndefinedOr(started(self, "admission", clock)[0] as RateLimiter.Snapshot | undefined),
    bulkheads: started(self, "bulkhead", clock) as ReadonlyArray<Bulkhead.Snapshot>,
    quota: Option.fromUndefinedOr(started(self, "quota", clock)[0] as RateLimiter.Snapshot | undefined),
    retryBudget: Option.fromUndefinedOr(
      self.policies?.retryBudget?.running.snapshotUnsafe(clock) as RetryBudget.Snapshot | undefined
    )
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
