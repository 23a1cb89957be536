/**
 * Stops calling a dependency that keeps failing, and probes it until it is
 * well again.
 *
 * **Details**
 *
 * - Closed: calls run. `failureThreshold` failures in a row, in order of
 *   completion, open the circuit, or what `tripPolicy` says: a share of the
 *   latest calls, of those within a time, or of slow ones.
 * - Open: calls fail with `CircuitOpen` for the open time. A failure that says
 *   when to come back (`Outcome.failureAfter`) can make it longer, up to
 *   `maxRetryAfter`.
 * - Half-open: the first calls after it, `probes` of them, run; the others
 *   fail with `CircuitHalfOpen`. The circuit closes at the
 *   `successThreshold`-th success and opens again as soon as that many can no
 *   longer succeed. A probe that does not answer in time counts as failed.
 * - With `rampUp`, a circuit that closed by itself admits a share of the calls
 *   that grows from 10 % to all of them. The others fail with
 *   `CircuitHalfOpen`, whose `because` is `"slow_start"`. One failure in that
 *   time opens the circuit again.
 * - `trip` opens a circuit as if it had failed; it probes after its open time.
 * - Operators lay overrides over these states, 16 at most; a new one takes the
 *   place of the one of its mode and actor. Each has a reason and ends by
 *   itself, by `release` or by `close`. The strongest is in force: `isolated` refuses every call, `disabled` admits
 *   every call and counts none of them in the circuit, `metrics_only` refuses
 *   nothing while the circuit moves as if it did. The states go on underneath.
 * - One circuit per key, `maxKeys` at most. Circuits that are closed and at
 *   rest are forgotten first, then idle ones whose next call would be admitted
 *   anyway, others never; keys beyond the bound share one circuit.
 *
 * **Gotchas**
 *
 * - A call admitted before the circuit moved runs to its end, and its outcome
 *   changes nothing.
 * - An interrupted attempt is `Ignored`, whatever `classify` says. If
 *   `classify` throws, the attempt is `Ignored` too and the call dies with that
 *   defect.
 * - Where calls of one circuit bring different strategies and one of these has
 *   a `tripPolicy` with a window, the policy of the operation decides for all.
 * - With growing open times the growth is remembered until the circuit has
 *   stayed closed as long as it was open the last time.
 *
 * **Example** (Rejecting calls once a circuit opens)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "breakwater"
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make({
 *     operation: "payments",
 *     settings: { failureThreshold: 2, openDuration: "30 seconds" }
 *   })
 *   const charge = Effect.fail("down").pipe(breaker.protect())
 *   yield* Effect.exit(charge)
 *   yield* Effect.exit(charge)
 *   return yield* charge.pipe(
 *     Effect.catchReason("ResilienceError", "CircuitOpen", () => Effect.succeed("queued"))
 *   )
 * })
 *
 * await Effect.runPromise(program) // => "queued"
 * ```
 *
 * **Example** (Opening at a share of failures, or when calls hang)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { CircuitBreaker } from "breakwater"
 *
 * const program = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.make({
 *     operation: "payments",
 *     settings: {
 *       tripPolicy: CircuitBreaker.anyOf(
 *         CircuitBreaker.countWindow({ size: 20, rate: 0.5, minimumCalls: 4 }),
 *         CircuitBreaker.slowCalls({ threshold: "2 seconds" })
 *       ),
 *       rampUp: "10 seconds"
 *     }
 *   })
 *   const up = Effect.void.pipe(breaker.protect())
 *   const down = Effect.fail("down").pipe(breaker.protect(), Effect.exit)
 *   yield* Effect.all([up, down, down, up])
 *   const { state } = yield* Effect.flatMap(breaker.circuit(), CircuitBreaker.snapshot)
 *   return state
 * })
 *
 * await Effect.runPromise(program) // => "open"
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Record from "effect/Record"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Attempt from "./Attempt.ts"
import * as Errors from "./Classification.ts"
import { BoundedMap } from "./internal/boundedMap.ts"
import { consecutiveOf } from "./internal/tripPolicy.ts"
import type * as circuit from "./internal/circuit.ts"
import * as machine from "./internal/circuitMachine.ts"
import * as circuitOverrides from "./internal/circuitOverrides.ts"
import { Consecutive, isTripPolicy, ofThreshold } from "./Consecutive.ts"
import * as Moment from "./Moment.ts"
import * as Monotonic from "./Monotonic.ts"
import * as Outcome from "./Outcome.ts"
import type * as Policy from "./Policy.ts"
import {
  CircuitHalfOpen,
  CircuitIsolated,
  CircuitOpen,
  isRefusal,
  reject,
  type ResilienceError
} from "./ResilienceError.ts"
import type { ResilienceEvent } from "./EventSchema.ts"
import { errorName, ResilienceEvents, type Sink, timestamp } from "./EventSink.ts"
import * as Settings_ from "./Settings.ts"
import * as Step from "./Step.ts"
import { settingsFromJson, type Single, type TripPolicy } from "./TripPolicy.ts"
import * as Watch from "./Watch.ts"

export { consecutive } from "./Consecutive.ts"
export { anyOf, countWindow, failuresIn, slowCalls, timeWindow, TripPolicy } from "./TripPolicy.ts"

// By what it does and not by class: a program bundles the trip policies that it names itself.
const AnyTripPolicy = /*#__PURE__*/ Schema.declare((u): u is TripPolicy => isTripPolicy(u), {
  expected: "a trip policy, made by CircuitBreaker.consecutive, countWindow and others"
})

/**
 * When a circuit opens, and how it probes.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Settings = /*#__PURE__*/ Settings_.struct("breakwater/CircuitBreaker/Settings", () => ({
  /** Failures in a row that open the circuit, 1 to 100: the short form of `tripPolicy`, which goes over it. Default 5. */
  failureThreshold: Settings_.count({ minimum: 1, maximum: 100 }).pipe(Settings_.withDefault(5)),
  /** Time the circuit stays open before it probes, 1 ms to 1 day. Default 60 seconds. */
  openDuration: Settings_.duration({ minimum: "1 milli", maximum: "1 day" }).pipe(
    Settings_.withDefault(Duration.seconds(60))
  ),
  /** Calls let through while half-open, 1 to 10. Default 1. */
  halfOpenMaxCalls: Settings_.count({ minimum: 1, maximum: 10 }).pipe(Settings_.withDefault(1)),
  /** Probes that must succeed to close, 1 to `halfOpenMaxCalls`. Default all of them. */
  successThreshold: Schema.optionalKey(Settings_.count({ minimum: 1, maximum: 10 })),
  /** Time a probe has, 1 ms to 1 day. Default the open time, at least 10 and at most 60 seconds. */
  probeTimeout: Schema.optionalKey(Settings_.duration({ minimum: "1 milli", maximum: "1 day" })),
  /** When the circuit opens. Default `failureThreshold` failures in a row. JSON of others: `SettingsFromJson`. */
  tripPolicy: Schema.optionalKey(
    Consecutive.pipe(Schema.decodeTo(AnyTripPolicy, SchemaTransformation.passthroughSubtype<TripPolicy, Consecutive>()))
  ),
  /** Time from closing until every call is admitted, 1 ms to 1 day. Default none: all are at once. */
  rampUp: Schema.optionalKey(Settings_.duration({ minimum: "1 milli", maximum: "1 day" })),
  /** The longest `retryAfter` of a failure that is heeded as open time, 1 ms to 1 day. Default 1 hour. */
  maxRetryAfter: Schema.optionalKey(Settings_.duration({ minimum: "1 milli", maximum: "1 day" }))
}))

/**
 * @category models
 * @since 0.1.0
 */
export type Settings = typeof Settings.Type

/**
 * Settings as JSON and configuration write them, with any trip policy.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SettingsFromJson = /*#__PURE__*/ settingsFromJson(Settings)

/**
 * Settings as code writes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly failureThreshold?: number | undefined
  readonly openDuration?: Duration.Input | undefined
  readonly halfOpenMaxCalls?: number | undefined
  readonly successThreshold?: number | undefined
  readonly probeTimeout?: Duration.Input | undefined
  readonly tripPolicy?: TripPolicy | undefined
  readonly rampUp?: Duration.Input | undefined
  readonly maxRetryAfter?: Duration.Input | undefined
}

/**
 * Checks settings. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settings = (input: SettingsInput | Settings = {}): Settings => {
  const checked = Settings_.make<Settings, SettingsInput>(Settings, {
    settings: "CircuitBreaker",
    input,
    durations: ["openDuration", "probeTimeout", "rampUp", "maxRetryAfter"]
  })
  if (checked.successThreshold !== undefined && checked.successThreshold > checked.halfOpenMaxCalls) {
    throw new Settings_.InvalidSettings({
      settings: "CircuitBreaker",
      findings: [
        {
          path: "successThreshold",
          value: checked.successThreshold,
          rule: `expected at most halfOpenMaxCalls (${checked.halfOpenMaxCalls}), got ${checked.successThreshold}`
        }
      ]
    })
  }
  return checked
}

/**
 * What an override does: refuse every call, admit every call and count none of
 * them, or refuse none while the circuit moves as if it did.
 *
 * @category models
 * @since 0.1.0
 */
export type Mode = circuit.Mode

/**
 * The state of a circuit: one of the three automatic ones, or the mode of the
 * strongest override that an operator has laid over it.
 *
 * @category models
 * @since 0.1.0
 */
export type State = circuit.State

/**
 * What a circuit has counted since it was made, by attempt.
 * `admitted = succeeded + failed + ignored + interrupted + stale + inFlight`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counters {
  readonly admitted: number
  readonly rejected: number
  readonly succeeded: number
  readonly failed: number
  readonly ignored: number
  readonly interrupted: number
  /** Ended after the circuit had moved on, and changed nothing. */
  readonly stale: number
  readonly inFlight: number
  /** Of the admitted, those that the circuit would have rejected but for an override `metrics_only`. */
  readonly wouldReject: number
  readonly opened: number
  readonly halfOpened: number
  readonly closed: number
}

/**
 * A circuit at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  /** The operation, and `operation:key` for a circuit with a key. */
  readonly name: string
  readonly operation: string
  readonly key: string | undefined
  readonly state: State
  /** What the circuit does by itself, under the overrides: `closed`, `open` or `half_open`. */
  readonly automatic: circuit.Automatic["_tag"]
  /** Counts the transitions. */
  readonly version: number
  /**
   * What speaks against the dependency: while closed, failures in a row or the
   * most that a window of its trip policy counts; while open, what opened it;
   * while half-open, failed probes.
   */
  readonly failureCount: number
  /** What each trip policy counts while closed; empty in other states. */
  readonly window: ReadonlyArray<Figures>
  readonly settings: Settings
  readonly counters: Counters
  /** Time spent in each state since the circuit was made. */
  readonly timeIn: Readonly<Record<State, Duration.Duration>>
  /** Time until a probe is let through: exact while open, an upper bound while half-open, else none. */
  readonly retryAfter: Option.Option<Duration.Duration>
  /** Wall time of the latest failure that counted, in milliseconds since 1970. For display. */
  readonly lastFailureTime: Option.Option<number>
  /** What operators have laid over the circuit, the strongest first. */
  readonly overrides: ReadonlyArray<{
    readonly mode: Mode
    readonly reason: string
    readonly actor: string | undefined
    readonly expiresIn: Option.Option<Duration.Duration>
  }>
}

/**
 * What one trip policy counts at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Figures {
  readonly policy: Single
  /** Calls in its window, with those in flight that are already too slow. */
  readonly calls: number
  /** Those that speak against the dependency: failures, or slow calls. */
  readonly counted: number
}

/**
 * The numbers by which a circuit decides, at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Facts {
  readonly state: State
  readonly version: number
  /** As in a snapshot. */
  readonly failureCount: number
  readonly settings: Settings
  /** Time in this state so far, in milliseconds. */
  readonly since: number
  /** Time until the next probe, in milliseconds: exact while open, an upper bound while half-open. */
  readonly untilProbe: number
  readonly isolatedBecause: string | undefined
  /** What operators have laid over it, the strongest first. */
  readonly overrides: ReadonlyArray<{
    readonly mode: Mode
    readonly reason: string
    readonly actor: string | undefined
    /** Time until it ends by itself, in milliseconds; `Infinity` if it does not. */
    readonly left: number
  }>
}

/**
 * What an operator says when laying an override over a circuit.
 *
 * @category models
 * @since 0.1.0
 */
export interface OverrideOptions {
  readonly reason: string
  readonly actor?: string | undefined
  /** It ends by itself after this time, 1 ms to 30 days. Default: only `release`, `close` or `reset` ends it. */
  readonly expiresIn?: Duration.Input | undefined
}

/**
 * What an operator says when opening a circuit.
 *
 * @category models
 * @since 0.1.0
 */
export interface TripOptions {
  /** Time until the circuit probes, 1 ms to 1 day. Default: its own open time. */
  readonly openFor?: Duration.Input | undefined
}

/**
 * The error of a call that its circuit refused.
 *
 * @category models
 * @since 0.1.0
 */
export type CircuitRejection = ResilienceError<CircuitOpen | CircuitHalfOpen | CircuitIsolated>

/**
 * Settings that are ready to guard with. A call brings its own, so that it sees
 * one version of them however often they change meanwhile; circuits hold state
 * only.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tuning {
  readonly settings: Settings
  /** @internal */
  readonly machine: circuit.Settings
}

/** What all circuits of one breaker share. */
interface Shared {
  readonly events: Sink
  /** The tuning in force, for reads and commands. */
  readonly tuning: Tuning
  /** A circuit has moved, or an operator did something to it. */
  onMoved(circuit: Circuit): void
}

/**
 * Who remembers circuits beyond the life of the program.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeeperService {
  /** How a circuit that is new begins; `undefined`: closed. @internal */
  readonly recall: (operation: string, key: string | undefined) => circuit.Machine | undefined
  /** A circuit has moved, or an operator did something to it. Must not throw. */
  readonly onMoved: (circuit: Circuit) => void
  /** Makes the circuits of an operation, as `KeptCircuits`. @internal */
  readonly start: (options: CircuitsOptions) => Circuits
}

/**
 * The keeper in force. A breaker reads it once, when it is made. Default none.
 *
 * @category references
 * @since 0.1.0
 */
export const Keeper = /*#__PURE__*/ Context.Reference<KeeperService | undefined>("breakwater/CircuitBreaker/Keeper", {
  defaultValue: () => undefined
})

/**
 * One circuit.
 *
 * @category models
 * @since 0.1.0
 */
export class Circuit {
  // Not private: what reads and steers a circuit are functions, which a program bundles if it names them.
  // First stands what a call that succeeds touches, side by side in memory.
  /** Where it stands: each step puts the next machine in its place. @internal */
  current: circuit.Machine = machine.initial
  /** @internal */
  admitted = 0
  /** @internal */
  succeeded = 0
  /** Used since room was looked for last. @internal */
  touched = false
  declare readonly operation: string
  declare readonly key: string | undefined
  /** @internal */
  declare readonly shared: Shared
  /** @internal */
  lastFailureTime: number | undefined = undefined
  /** @internal */
  rejected = 0
  /** @internal */
  failed = 0
  /** @internal */
  ignored = 0
  /** @internal */
  interrupted = 0
  /** @internal */
  stale = 0
  /** @internal */
  wouldReject = 0
  /** How often it has made each move. @internal */
  moved: Partial<Record<circuit.Move["_tag"], number>> | undefined = undefined
  /** When the state in force began. @internal */
  declare stateSince: number
  /** Milliseconds spent in states before it. @internal */
  spent: Partial<Record<State, number>> | undefined = undefined

  /** @internal */
  constructor(operation: string, key: string | undefined, now: number, shared: Shared | undefined) {
    this.operation = operation
    this.key = key
    // `Circuits` is the one without a key, and what the others share.
    this.shared = shared ?? (this as unknown as Shared)
    this.stateSince = now
  }

  /** `operation`, or `operation:key`. */
  get name(): string {
    return this.key === undefined ? this.operation : `${this.operation}:${this.key}`
  }

  /** Whether a call or a command ever came here. @internal */
  get wasUsed(): boolean {
    return this.admitted > 0 || this.rejected > 0 || this.current.version > 0
  }

  /** @internal */
  get inFlight(): number {
    return this.admitted - this.succeeded - this.failed - this.ignored - this.interrupted - this.stale
  }

  /** Closed, nothing in flight and no failure to remember: forgetting it changes nothing. @internal */
  isAtRest(now: number): boolean {
    return this.inFlight === 0 && machine.isAtRest(this.current, now)
  }

  /** An idle circuit whose next call would be admitted anyway may go only if no other may. @internal */
  mayForget(now: number): boolean | "last" {
    return this.isAtRest(now) || (this.inFlight === 0 && machine.isWaiting(this.current, now) && "last")
  }

  /** Milliseconds in each state, while the one in force is `state`. @internal */
  timeIn(state: State, now: number): Partial<Record<State, number>> {
    return { ...this.spent, [state]: (this.spent?.[state] ?? 0) + now - this.stateSince }
  }

  /** Admits a call, or says why not. @internal */
  admitUnsafe(tuning: Tuning, moment: Moment.Moment): circuit.Token | CircuitRejection {
    const self = this.current
    const immediate = machine.immediate(tuning.machine, self)
    if (immediate !== undefined) {
      this.admitted++
      return immediate
    }
    const { now } = moment
    const draw = machine.isRamping(self) ? moment.fiber.getRef(Random.Random).nextDoubleUnsafe() : 0
    const [admission, moves, next] = machine.admit(tuning.machine, self, now, draw)
    this.current = next
    this.announce(moves, moment.clock)
    if (admission._tag === "Admitted") {
      this.admitted++
      if (admission.wouldReject) this.wouldReject++
      return admission.token
    }
    this.rejected++
    return reject(this.operation, this.key, reasonOf(admission))
  }

  /** Judges how an admitted call ended, and records it. @internal */
  judgeUnsafe<A>(
    tuning: Tuning,
    token: circuit.Token,
    exit: Exit.Exit<A, unknown>,
    options: ProtectOptions<A, unknown>,
    moment: Moment.Moment
  ): void {
    if (
      Exit.isSuccess(exit) &&
      options.classify === undefined &&
      machine.isUnmoved(tuning.machine, this.current, token)
    ) {
      this.succeeded++
      return
    }
    let outcome: Outcome.Outcome | undefined = Outcome.ignored
    try {
      outcome = judge(exit, options, moment)
    } finally {
      this.settle(tuning, token, outcome, exit, options, moment)
    }
  }

  /** `undefined`: interrupted. */
  private settle(
    tuning: Tuning,
    token: circuit.Token,
    outcome: Outcome.Outcome | undefined,
    exit: Exit.Exit<unknown, unknown>,
    { observer }: Pick<ProtectOptions<never, never>, "observer">,
    moment: Moment.Moment
  ): void {
    const self = this.current
    const tag = outcome === undefined ? "Ignored" : outcome._tag
    // Where an observer was told of the end, the time has just been read.
    const now = observer ? moment.now : moment.read()
    const retryAfter = tag === "Failure" ? retryAfterOf(outcome) : 0
    const [recorded, moves, next] = machine.record(tuning.machine, self, now, token, tag, retryAfter)
    this.current = next
    if (recorded === "stale") this.stale++
    else if (outcome === undefined) this.interrupted++
    else if (outcome._tag === "Success") this.succeeded++
    else if (outcome._tag === "Ignored") this.ignored++
    else {
      this.failed++
      this.lastFailureTime = moment.wallMillis
    }
    this.announce(moves, moment.clock, exit)
  }

  /** @internal */
  announce(moves: ReadonlyArray<circuit.Move>, clock: Clock.Clock, exit?: Exit.Exit<unknown, unknown>): void {
    for (const move of moves) {
      if (move._tag !== "ProbeLapsed") {
        this.spent = this.timeIn(move.from, move.at)
        this.stateSince = move.at
      }
      this.moved = { ...this.moved, [move._tag]: (this.moved?.[move._tag] ?? 0) + 1 }
      if (this.shared.events.isActive()) this.publish(move, clock, exit)
    }
    if (moves.length > 0) this.shared.onMoved(this)
  }

  private publish(move: circuit.Move, clock: Clock.Clock, exit: Exit.Exit<unknown, unknown> | undefined): void {
    // The facts of a move are those of its event, but for times: they are numbers in it.
    const event: Record<string, unknown> = { operation: this.operation, key: this.key }
    for (const [fact, value] of Object.entries(move)) {
      event[times[fact] ?? fact] = fact in times && value !== undefined ? Duration.millis(value as number) : value
    }
    event["at"] = timestamp(clock)
    if (move._tag !== "ProbeLapsed") event["_tag"] = `Circuit${move._tag}`
    if (move._tag === "Opened") {
      event["error"] = exit && Exit.isFailure(exit) ? errorName(Cause.squash(exit.cause)) : undefined
    }
    this.shared.events.publishUnsafe(event as unknown as ResilienceEvent)
  }
}

const times: Readonly<Record<string, string>> = {
  openMillis: "openFor",
  overdueMillis: "overdue",
  leftMillis: "expiresIn"
}

/**
 * A circuit now. Counts probes that have lapsed.
 *
 * @category accessors
 * @since 0.1.0
 */
export const snapshot = (self: Circuit): Effect.Effect<Snapshot> =>
  Effect.map(Clock.Clock, (clock) => snapshotUnsafe(self, clock))

/** @internal */
export const snapshotUnsafe = (self: Circuit, clock: Clock.Clock): Snapshot => {
  const now = Monotonic.now(clock)
  const current = advance(self, clock, now)
  const { automatic, overrides } = current
  const { settings } = self.shared.tuning
  return {
    name: self.name,
    operation: self.operation,
    key: self.key,
    state: machine.state(current),
    automatic: automatic._tag,
    version: current.version,
    failureCount: machine.failures(current, now),
    window: automatic._tag === "closed" ? figuresOf(self.shared.tuning, automatic.window, now) : [],
    settings,
    counters: {
      admitted: self.admitted,
      rejected: self.rejected,
      succeeded: self.succeeded,
      failed: self.failed,
      ignored: self.ignored,
      interrupted: self.interrupted,
      stale: self.stale,
      inFlight: self.inFlight,
      wouldReject: self.wouldReject,
      opened: self.moved?.Opened ?? 0,
      halfOpened: self.moved?.HalfOpened ?? 0,
      closed: self.moved?.Closed ?? 0
    },
    timeIn: Record.map({ ...nothingSpent, ...self.timeIn(machine.state(current), now) }, (millis) =>
      Duration.millis(millis)
    ),
    retryAfter:
      automatic._tag === "closed" ? Option.none() : Option.some(wholeMillis(machine.untilProbe(current, now))),
    lastFailureTime: Option.fromUndefinedOr(self.lastFailureTime),
    overrides: (overrides?.list ?? []).map(({ actor, mode, reason, until }) => ({
      mode,
      reason,
      actor,
      expiresIn: until === Infinity ? Option.none() : Option.some(wholeMillis(until - now))
    }))
  }
}

/** The state in a snapshot, without the rest. @internal */
export const stateUnsafe = (self: Circuit, clock: Clock.Clock, now: number): State =>
  machine.state(advance(self, clock, now))

const advance = (self: Circuit, clock: Clock.Clock, now: number): circuit.Machine => {
  const [moves, current] = machine.advance(self.shared.tuning.machine, self.current, now)
  self.current = current
  self.announce(moves, clock)
  return current
}

/**
 * A circuit at the end of a call, as it stood: what is to be told of it is
 * made of that for whoever asks.
 *
 * @internal
 */
export interface Reading {
  readonly machine: circuit.Machine
  readonly settings: Settings
  readonly failureCount: number
  readonly now: number
}

/** @internal */
export const readUnsafe = ({ current, shared }: Circuit, { now }: Moment.Moment): Reading => ({
  machine: current,
  settings: shared.tuning.settings,
  // A window goes on counting.
  failureCount: machine.failures(current, now),
  now
})

/** @internal */
export const factsOf = ({ failureCount, machine: self, now, settings }: Reading): Facts => {
  const state = machine.state(self)
  const overrides = self.overrides?.list ?? []
  return {
    state,
    version: self.version,
    failureCount,
    settings,
    since: now - self.automatic.since,
    untilProbe: machine.untilProbe(self, now),
    isolatedBecause: state === "isolated" ? overrides[0]?.reason : undefined,
    overrides: overrides.map(({ actor, mode, reason, until }) => ({ mode, reason, actor, left: until - now }))
  }
}

/** Counts from 0 again. Attempts that run stay counted. @internal */
export const resetCountersUnsafe = (self: Circuit): void => {
  self.admitted = self.inFlight
  self.rejected = 0
  self.succeeded = 0
  self.failed = 0
  self.ignored = 0
  self.interrupted = 0
  self.stale = 0
  self.wouldReject = 0
  self.moved = undefined
}

/** Goes on with what is remembered of a circuit, from now on. @internal */
export const recallUnsafe = (self: Circuit, remembered: circuit.Machine, now: number): void => {
  self.spent = self.timeIn(machine.state(self.current), now)
  self.stateSince = now
  self.current = remembered
}

type Command = (settings: circuit.Settings, self: circuit.Machine, now: number) => circuit.Step<void>

const command = (self: Circuit, step: Command): Effect.Effect<void> =>
  Effect.map(Clock.Clock, (clock) => {
    const [, moves, next] = step(self.shared.tuning.machine, self.current, Monotonic.now(clock))
    self.current = next
    self.announce(moves, clock)
    // What changes without a move is to be remembered too.
    if (moves.length === 0) self.shared.onMoved(self)
  })

const override = (self: Circuit, mode: Mode, { actor, expiresIn, reason }: OverrideOptions): Effect.Effect<void> => {
  const millis = millisOf("expiresIn", expiresIn, "30 days") ?? Infinity
  return command(self, (settings, circuit, now) =>
    circuitOverrides.override(settings, circuit, now, { mode, reason, actor, until: now + millis })
  )
}

/** A time of a command, 1 ms to `maximum`. */
const millisOf = (field: string, given: Duration.Input | undefined, maximum: Duration.Input): number | undefined => {
  if (given === undefined) return undefined
  const schema = Schema.Struct({ [field]: Settings_.duration({ minimum: "1 milli", maximum }) })
  const checked = Settings_.make<Readonly<Record<string, Duration.Duration>>, Readonly<Record<string, Duration.Input>>>(
    schema,
    { settings: "Circuit", input: { [field]: given }, durations: [field] }
  )
  return Duration.toMillis(checked[field]!)
}

/**
 * Holds a circuit open, whatever its state. Throws `InvalidSettings`.
 *
 * @category commands
 * @since 0.1.0
 */
export const isolate = (self: Circuit, options: OverrideOptions): Effect.Effect<void> =>
  override(self, "isolated", options)

/**
 * Admits every call and counts none of them in the circuit. Throws
 * `InvalidSettings`.
 *
 * @category commands
 * @since 0.1.0
 */
export const disable = (self: Circuit, options: OverrideOptions): Effect.Effect<void> =>
  override(self, "disabled", options)

/**
 * Refuses nothing, and lets the circuit move as if it did. Throws
 * `InvalidSettings`.
 *
 * @category commands
 * @since 0.1.0
 */
export const metricsOnly = (self: Circuit, options: OverrideOptions): Effect.Effect<void> =>
  override(self, "metrics_only", options)

/**
 * Ends the overrides of a mode before their time: those of an actor, or all.
 * What the circuit does by itself goes on.
 *
 * @category commands
 * @since 0.1.0
 */
export const release = (
  self: Circuit,
  mode: Mode,
  { actor }: { readonly actor?: string | undefined } = {}
): Effect.Effect<void> =>
  command(self, (settings, circuit, now) => circuitOverrides.release(settings, circuit, now, mode, actor))

/**
 * Opens a circuit, or opens it anew. It probes after the open time, as always.
 * Overrides stay. Throws `InvalidSettings`.
 *
 * @category commands
 * @since 0.1.0
 */
export const trip = (self: Circuit, { openFor }: TripOptions = {}): Effect.Effect<void> => {
  const openMillis = millisOf("openFor", openFor, "1 day")
  return command(self, (settings, circuit, now) => machine.trip(settings, circuit, now, { openMillis }))
}

/**
 * Closes a circuit and ends every override. The memory of earlier openings
 * stays.
 *
 * @category commands
 * @since 0.1.0
 */
export const close = (self: Circuit): Effect.Effect<void> =>
  command(self, (settings, circuit, now) => machine.close(settings, circuit, now, { forget: false }))

/**
 * Closes a circuit, ends every override, and forgets earlier openings and the
 * last failure. Counters stay.
 *
 * @category commands
 * @since 0.1.0
 */
export const reset = (self: Circuit): Effect.Effect<void> =>
  command(self, (settings, circuit, now) => {
    self.lastFailureTime = undefined
    return machine.close(settings, circuit, now, { forget: true })
  })

const nothingSpent: Record<State, number> = {
  closed: 0,
  open: 0,
  half_open: 0,
  isolated: 0,
  disabled: 0,
  metrics_only: 0
}

const retryAfterOf = (outcome: Outcome.Outcome | undefined): number =>
  outcome?._tag === "Failure" && outcome.retryAfter !== undefined ? Duration.toMillis(outcome.retryAfter) : 0

const isConsecutive = ({ machine }: Tuning): boolean => machine.tripPolicy._tag === "Consecutive"

/**
 * When a circuit of these settings opens.
 *
 * @category accessors
 * @since 0.1.0
 */
export const tripPolicyOf = ({ failureThreshold, tripPolicy }: Settings): TripPolicy =>
  tripPolicy ?? ofThreshold(failureThreshold)

const figuresOf = (
  { machine, settings }: Tuning,
  window: Parameters<circuit.Settings["tripPolicy"]["figures"]>[0],
  now: number
): ReadonlyArray<Figures> => {
  const figures = machine.tripPolicy.figures(window, now)
  const tripPolicy = tripPolicyOf(settings)
  const policies = tripPolicy._tag === "AnyOf" ? tripPolicy.policies : [tripPolicy]
  return policies.map((policy, i) => ({ policy, ...figures[i]! }))
}

// Rounded up, so that whoever waits exactly that long is not too early.
const wholeMillis = (millis: number): Duration.Duration => Duration.millis(Math.ceil(millis))

const reasonOf = (
  admission: Exclude<circuit.Admission, { _tag: "Admitted" }>
): CircuitOpen | CircuitHalfOpen | CircuitIsolated => {
  if (admission._tag === "Isolated") {
    return new CircuitIsolated({
      because: admission.override.reason,
      retryAfter: admission.retryAfterMillis === Infinity ? undefined : wholeMillis(admission.retryAfterMillis)
    })
  }
  const retryAfter = wholeMillis(admission.retryAfterMillis)
  return admission.state === "open"
    ? new CircuitOpen({ retryAfter })
    : new CircuitHalfOpen({ retryAfter, because: admission.state === "closed" ? "slow_start" : "probing" })
}

/**
 * What `protect` may be told about a call.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProtectOptions<A, E> {
  /** Which circuit. Default: the one without a key. */
  readonly key?: string | undefined
  /** Judges the attempt. Default: success is `Success`, a failure what `Errors.classify` says, a defect `Failure`. */
  readonly classify?: Outcome.Classify<A, E> | undefined
  /** Rules of this call, asked before those of the breaker. */
  readonly rules?: ReadonlyArray<Errors.Rule> | undefined
  readonly observer?: Observer | undefined
}

/**
 * Who is told about the attempts that are let through. Must not throw.
 *
 * @category models
 * @since 0.1.0
 */
export interface Observer extends Policy.Observer {
  /** An attempt wants to be admitted. */
  readonly onArrived: (moment: Moment.Moment) => void
}

/**
 * The circuits of one operation, one for each key.
 *
 * @category services
 * @since 0.1.0
 */
export class CircuitBreaker
  extends /*#__PURE__*/ Context.Service<
    CircuitBreaker,
    {
      /** Runs an effect if its circuit admits it, and records the outcome. */
      readonly protect: {
        <A, E>(
          options?: ProtectOptions<A, E>
        ): <R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitRejection, R>
      }
      /** The circuit of a key, made if it is new. */
      readonly circuit: (key?: string) => Effect.Effect<Circuit>
      /** Every circuit that exists. */
      readonly circuits: Effect.Effect<ReadonlyArray<Circuit>>
      /** `protect` for an async function, without a fiber: `Async.protect`. @internal */
      readonly protectAsync: <Args extends ReadonlyArray<unknown>, A>(
        options: ProtectOptions<A, unknown>,
        run: (...args: Args) => PromiseLike<A>
      ) => (...args: Args) => Promise<A>
    }
  >()("breakwater/CircuitBreaker")
{
  /** Throws `InvalidSettings` at once, not when the layer is built. */
  static readonly layer = (options: MakeOptions): Layer.Layer<CircuitBreaker> => {
    const checked = { ...options, settings: settings(options.settings) }
    return Layer.effect(this, make(checked))
  }
}

/**
 * @category models
 * @since 0.1.0
 */
export interface MakeOptions {
  /** The name in errors and events. */
  readonly operation: string
  readonly settings?: SettingsInput | Settings | undefined
  /**
   * Open times that grow, in place of `settings.openDuration`. The n-th opening
   * in a row lasts as long as the n-th step; when the schedule ends, its last.
   */
  readonly openSchedule?: Schedule.Schedule<unknown, number> | undefined
  /** Circuits kept at most, 1 to 1,000,000. Default 10,000. */
  readonly maxKeys?: number | undefined
  /** Rules asked before the built-in classification of errors. */
  readonly rules?: ReadonlyArray<Errors.Rule> | undefined
}

/**
 * The circuits of one operation, at hand for whoever composes policies. Is
 * itself the one without a key, so that a call touches little memory.
 *
 * @category models
 * @since 0.1.0
 */
export class Circuits extends Circuit {
  /** The tuning in force, for reads and commands. Circuits keep their state when it changes. */
  declare tuning: Tuning
  declare readonly events: Sink
  declare private readonly maxKeys: number
  private keyed: BoundedMap<string, Circuit> | undefined = undefined
  private overflow: Circuit | undefined = undefined

  /** @internal */
  constructor(options: CircuitsOptions) {
    super(options.operation, undefined, options.now, undefined)
    this.tuning = options.tuning
    this.events = options.events
    this.maxKeys = options.maxKeys
  }

  /** A circuit that has got its place. */
  protected begun(circuit: Circuit, _now: number): Circuit {
    return circuit
  }

  /** Nobody keeps them. @internal */
  onMoved(_circuit: Circuit): void {}

  /** The circuit of a key, made if it is new. @internal */
  ofUnsafe(key: string | undefined, moment: Moment.Moment): Circuit {
    if (key === undefined) return this
    this.keyed ??= new BoundedMap(this.maxKeys, (circuit, now) => circuit.mayForget(now))
    const known = this.keyed.get(key)
    if (known !== undefined) return known
    const { now } = moment
    const added = new Circuit(this.operation, key, now, this)
    if (this.keyed.add(key, added, now)) return this.begun(added, now)
    // Full of circuits that must stay: what is left over is protected together.
    return (this.overflow ??= this.begun(new Circuit(this.operation, overflowKey, now, this), now))
  }

  /** The circuit of a key, if it exists. @internal */
  findUnsafe(key: string | undefined): Circuit | undefined {
    return key === undefined ? this : (this.keyed?.get(key) ?? (key === overflowKey ? this.overflow : undefined))
  }

  /** Every circuit that exists; the one without a key only once it was used. */
  allUnsafe(): ReadonlyArray<Circuit> {
    const keyed = this.keyed === undefined ? [] : Array.from(this.keyed.entries.values())
    const shared = this.overflow === undefined ? keyed : [...keyed, this.overflow]
    return this.wasUsed || shared.length === 0 ? [this, ...shared] : shared
  }

  /**
   * What a call goes by from its start to its end. A window belongs to one
   * policy: where the call's own or that in force has one, the latter decides.
   */
  governing(own: Tuning): Tuning {
    return own === this.tuning || (isConsecutive(own) && isConsecutive(this.tuning)) ? own : this.tuning
  }

  /** Admits one attempt, with the tuning that governs its call and at its moment, or refuses it. */
  begin<A, E>(
    tuning: Tuning,
    options: ProtectOptions<A, E>,
    moment: Moment.Moment,
    /** Whether a policy inside tells the observer of the attempts that it lets through. */
    isToldInside = false
  ): Attempt.Ended<A, E | CircuitRejection> | Effect.Effect<never, CircuitRejection> {
    const { key, observer } = options
    observer?.onArrived(moment)
    const circuit = this.ofUnsafe(key, moment)
    const token = circuit.admitUnsafe(tuning, moment)
    if (!isToken(token)) return Effect.fail(token)
    // Without an observer nobody needs the time.
    const at = observer && moment.now
    if (!isToldInside) observer?.onAdmitted()
    return (exit) => {
      if (!isToldInside) observer?.onSettled(moment.read() - at!, moment)
      circuit.judgeUnsafe(tuning, token, exit, options as ProtectOptions<A, unknown>, moment)
    }
  }
}

/** `undefined`: interrupted. */
const judge = <A>(
  exit: Exit.Exit<A, unknown>,
  { classify, rules = [] }: ProtectOptions<A, unknown>,
  moment: Moment.Moment
): Outcome.Outcome | undefined => {
  if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return undefined
  if (classify !== undefined) return classify(exit)
  if (Exit.isSuccess(exit)) return Outcome.success
  if (Cause.hasDies(exit.cause)) return Outcome.failure
  const error = Cause.findErrorOption(exit.cause)
  // No rule counts a refusal of ours: the dependency has not seen the call.
  return Option.isNone(error) || isRefusal(error.value)
    ? Outcome.ignored
    : Errors.toOutcome(
        Errors.classify(error.value, [...rules, ...moment.fiber.getRef(Errors.Rules)], {
          now: moment.wallMillis
        })
      )
}

const overflowKey = "(overflow)"

const isToken = (admission: circuit.Token | ResilienceError): admission is circuit.Token => "generation" in admission

/** @internal */
export interface CircuitsOptions {
  readonly operation: string
  readonly tuning: Tuning
  readonly events: Sink
  readonly maxKeys: number
  readonly now: number
}

/** Circuits that somebody keeps. A class of its own, so that the others carry nothing for it. @internal */
export class KeptCircuits extends Circuits {
  private readonly keeper: KeeperService

  constructor(options: CircuitsOptions, keeper: KeeperService) {
    super(options)
    this.keeper = keeper
    this.begun(this, options.now)
  }

  protected override begun(circuit: Circuit, now: number): Circuit {
    const remembered = this.keeper.recall(this.operation, circuit.key)
    if (remembered !== undefined) recallUnsafe(circuit, remembered, now)
    return circuit
  }

  override onMoved(circuit: Circuit): void {
    this.keeper.onMoved(circuit)
  }
}

/** The circuits of an operation. @internal */
export const makeCircuits = (options: CircuitsOptions, keeper: KeeperService | undefined): Circuits =>
  keeper === undefined ? new Circuits(options) : keeper.start(options)

/**
 * Prepares checked settings. `openTimes` are those of `openTimesOf`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tune = (settings: Settings, openTimes?: OpenTimes): Tuning => {
  const { failureThreshold, halfOpenMaxCalls, maxRetryAfter, openDuration, probeTimeout, rampUp } = settings
  const { successThreshold = halfOpenMaxCalls, tripPolicy } = settings
  return {
    settings,
    machine: {
      tripPolicy: tripPolicy === undefined ? consecutiveOf(failureThreshold) : tripPolicy.compile(),
      openMillis: openTimes ?? Duration.toMillis(openDuration),
      probes: halfOpenMaxCalls,
      successThreshold,
      probeMillis: millisOr(probeTimeout, undefined),
      maxRetryAfterMillis: millisOr(maxRetryAfter, 3_600_000),
      rampMillis: millisOr(rampUp, 0)
    }
  }
}

const millisOr = <A>(duration: Duration.Duration | undefined, otherwise: A): number | A =>
  duration === undefined ? otherwise : Duration.toMillis(duration)

/**
 * Open times in milliseconds, by the number of openings in a row.
 *
 * @category models
 * @since 0.1.0
 */
export type OpenTimes = (opening: number) => number

/**
 * The open time of the n-th opening in a row. A schedule is stepped through as
 * if each open time had passed, so that `Schedule.upTo` measures time spent
 * open. What it draws by chance is drawn once for each n. A schedule that ends
 * at once means `otherwise`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const openTimesOf = (schedule: Schedule.Schedule<unknown, number>, otherwise: Duration.Duration): OpenTimes => {
  const step = Effect.runSync(Schedule.toStep(schedule))
  const steps: Array<number> = []
  let now = 0
  for (let opening = 1; opening <= machine.maxOpenings; opening++) {
    const exit = Effect.runSyncExit(step(now, opening))
    if (Exit.isFailure(exit)) break
    const millis = Math.min(Math.max(Duration.toMillis(exit.value[1]), 1), maxOpenMillis)
    steps.push(millis)
    now += millis
  }
  return (opening) => steps[Math.min(opening, steps.length) - 1] ?? Duration.toMillis(otherwise)
}

const maxOpenMillis = /*#__PURE__*/ Duration.toMillis("1 day")

/**
 * Makes a breaker whose circuits are closed. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: MakeOptions): Effect.Effect<CircuitBreaker["Service"]> => {
  const { maxKeys = 10_000, openSchedule, operation, rules } = options
  const checked = settings(options.settings)
  const openTimes = openSchedule === undefined ? undefined : openTimesOf(openSchedule, checked.openDuration)
  const tuning = tune(checked, openTimes)
  Settings_.checkMaxKeys("CircuitBreaker", maxKeys)
  return Effect.withFiber((fiber) => {
    const clock = fiber.getRef(Clock.Clock)
    const events = fiber.getRef(ResilienceEvents)
    const own = makeCircuits({ operation, tuning, events, maxKeys, now: Monotonic.now(clock) }, fiber.getRef(Keeper))
    return Effect.succeed(new Service(own, rules, fiber.getRef(Errors.Rules), clock))
  })
}

/** How calls end that have been let through with one token. */
class AtOnce {
  readonly circuit: Circuit
  readonly token: circuit.Token
  /** The latest state that was seen to let calls through with it: the same one does so again. */
  state: circuit.Machine
  readonly ended: Attempt.Ended<unknown, unknown>

  constructor(circuit: Circuit, tuning: Tuning, token: circuit.Token, options: ProtectOptions<unknown, unknown>) {
    this.circuit = circuit
    this.token = token
    this.state = circuit.current
    this.ended = (exit) => {
      const state = circuit.current
      // In that state it is what `isUnmoved` says, without asking for the token again.
      if (Exit.isSuccess(exit) && state === this.state && ignoresSuccess(tuning, state)) {
        circuit.succeeded++
        return
      }
      circuit.judgeUnsafe(tuning, token, exit, options, Moment.of(Fiber.getCurrent()!))
    }
  }
}

const ignoresSuccess = ({ machine: { tripPolicy } }: Tuning, { automatic }: circuit.Machine): boolean =>
  automatic._tag === "closed" && tripPolicy.ignoresSuccess(automatic.window)

class Service {
  private readonly own: Circuits
  private readonly rules: ReadonlyArray<Errors.Rule> | undefined
  /** What was in force where the breaker was made. Calls that run in no fiber go by it. */
  private readonly outerRules: ReadonlyArray<Errors.Rule>
  private readonly clock: Clock.Clock

  constructor(
    own: Circuits,
    rules: ReadonlyArray<Errors.Rule> | undefined,
    outerRules: ReadonlyArray<Errors.Rule>,
    clock: Clock.Clock
  ) {
    this.own = own
    this.rules = rules
    this.outerRules = outerRules
    this.clock = clock
  }

  readonly protect = <A, E>(
    options: ProtectOptions<A, E> = {}
  ): (<R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | CircuitRejection, R>) => {
    const { own, rules } = this
    const call = rules === undefined ? options : { ...options, rules: [...(options.rules ?? []), ...rules] }
    // Calls that a closed circuit lets through at once have one way to end, until the circuit moves.
    const mayShare = call.observer === undefined && call.classify === undefined
    let latest: AtOnce | undefined
    const atOnce = (circuit: Circuit): AtOnce | undefined => {
      const state = circuit.current
      if (latest?.state === state && latest.circuit === circuit) return latest
      const token = machine.immediate(own.tuning.machine, state)
      if (token === undefined || latest?.token !== token || latest.circuit !== circuit)
        return (latest = token && new AtOnce(circuit, own.tuning, token, call as ProtectOptions<unknown, unknown>))
      latest.state = state
      return latest
    }
    const begin = (fiber: Fiber.Fiber<unknown, unknown>): ReturnType<typeof own.begin<A, E>> => {
      const circuit = mayShare ? own.findUnsafe(call.key) : undefined
      const known = circuit && atOnce(circuit)
      if (known === undefined) return own.begin(own.tuning, call, Moment.of(fiber))
      known.circuit.admitted++
      return known.ended
    }
    return <R>(self: Effect.Effect<A, E, R>) =>
      Effect.withFiber((fiber) => {
        const begun = begin(fiber)
        return Attempt.hasBegun(begun) ? Step.into(Watch.end<A, E | CircuitRejection, R>(self, begun), fiber) : begun
      })
  }

  readonly circuit = (key?: string): Effect.Effect<Circuit> =>
    Effect.withFiber((fiber) => Effect.succeed(this.own.ofUnsafe(key, Moment.of(fiber))))

  get circuits(): Effect.Effect<ReadonlyArray<Circuit>> {
    return Effect.sync(() => this.own.allUnsafe())
  }

  protectAsync<Args extends ReadonlyArray<unknown>, A>(
    options: ProtectOptions<A, unknown>,
    run: (...args: Args) => PromiseLike<A>
  ): (...args: Args) => Promise<A> {
    const { clock, outerRules, own, rules = [] } = this
    const call = { ...options, rules: [...(options.rules ?? []), ...rules, ...outerRules] }
    return (...args) => runAsync(own, run, args, call, Moment.ofClock(clock))
  }
}

const runAsync = async <Args extends ReadonlyArray<unknown>, A>(
  circuits: Circuits,
  run: (...args: Args) => PromiseLike<A>,
  args: Args,
  options: ProtectOptions<A, unknown>,
  moment: Moment.Moment
): Promise<A> => {
  const ended = circuits.begin<A, unknown>(circuits.tuning, options, moment)
  if (!Attempt.hasBegun(ended)) return Effect.runSync(ended)
  let value: A
  try {
    value = await run(...args)
  } catch (error) {
    ended(Exit.fail(error))
    throw error
  }
  ended(Exit.succeed(value))
  return value
}
