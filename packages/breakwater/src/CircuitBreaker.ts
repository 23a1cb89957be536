/**
 * Stops calling a dependency that keeps failing, and probes it until it is
 * well again.
 *
 * **Details**
 *
 * - Closed: calls run. `failureThreshold` failures in a row, in order of
 *   completion, open the circuit.
 * - Open: calls fail with `CircuitOpen` for the open time.
 * - Half-open: the first calls after it, `probes` of them, run; the others
 *   fail with `CircuitHalfOpen`. The circuit closes at the
 *   `successThreshold`-th success and opens again as soon as that many can no
 *   longer succeed. A probe that does not answer in time counts as failed.
 * - `trip` opens a circuit as if it had failed; it probes after its open time.
 * - Isolated: an operator holds the circuit open until `close`, or until the
 *   isolation expires. The states above go on underneath.
 * - One circuit per key, `maxKeys` at most. Circuits that are closed and at
 *   rest are forgotten first, others never; keys beyond the bound share one
 *   circuit.
 *
 * **Gotchas**
 *
 * - A call admitted before the circuit moved runs to its end, and its outcome
 *   changes nothing.
 * - An interrupted attempt is `Ignored`, whatever `classify` says. If
 *   `classify` throws, the attempt is `Ignored` too and the call dies with that
 *   defect.
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
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Errors from "./Classification.ts"
import { BoundedMap } from "./internal/boundedMap.ts"
import type * as circuit from "./internal/circuit.ts"
import * as machine from "./internal/circuitMachine.ts"
import * as Moment from "./Moment.ts"
import * as Monotonic from "./Monotonic.ts"
import * as Outcome from "./Outcome.ts"
import { CircuitHalfOpen, CircuitIsolated, CircuitOpen, reject, type ResilienceError } from "./ResilienceError.ts"
import { errorName, ResilienceEvents, type Sink, timestamp } from "./EventSink.ts"
import * as Settings_ from "./Settings.ts"

/**
 * When a circuit opens, and how it probes.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/CircuitBreaker/Settings")({
  /** Failures in a row that open the circuit, 1 to 100. Default 5. */
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
  probeTimeout: Schema.optionalKey(Settings_.duration({ minimum: "1 milli", maximum: "1 day" }))
}) {}

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
}

/**
 * Checks settings. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settings = (input: SettingsInput | Settings = {}): Settings => {
  const checked =
    input instanceof Settings
      ? input
      : Settings_.make(Settings, { settings: "CircuitBreaker", input, durations: ["openDuration", "probeTimeout"] })
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
 * The state of a circuit: one of the three automatic ones, or `isolated` while
 * an operator holds it open.
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
  /** Counts the transitions. */
  readonly version: number
  /** Failures in a row while closed, those that opened it while open, failed probes while half-open. */
  readonly failureCount: number
  readonly settings: Settings
  readonly counters: Counters
  /** Time spent in each state since the circuit was made. */
  readonly timeIn: Readonly<Record<State, Duration.Duration>>
  /** Time until a probe is let through: exact while open, an upper bound while half-open, else none. */
  readonly retryAfter: Option.Option<Duration.Duration>
  /** Wall time of the latest failure that counted, in milliseconds since 1970. For display. */
  readonly lastFailureTime: Option.Option<number>
  readonly isolation: Option.Option<{
    readonly reason: string
    readonly actor: string | undefined
    readonly expiresIn: Option.Option<Duration.Duration>
  }>
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
  readonly failureThreshold: number
  /** Time in this state so far, in milliseconds. */
  readonly since: number
  /** Time until the next probe, in milliseconds: exact while open, an upper bound while half-open. */
  readonly untilProbe: number
  readonly isolatedBecause: string | undefined
}

/**
 * What an operator says when holding a circuit open.
 *
 * @category models
 * @since 0.1.0
 */
export interface IsolateOptions {
  readonly reason: string
  readonly actor?: string | undefined
  /** The isolation ends by itself after this time. Default: only `close` or `reset` ends it. */
  readonly expiresIn?: Duration.Input | undefined
}

/**
 * What an operator says when opening a circuit.
 *
 * @category models
 * @since 0.1.0
 */
export interface TripOptions {
  /** Time until the circuit probes. Default: its own open time. */
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
  readonly operation: string
  readonly events: Sink
  /** The tuning in force, for reads and commands. */
  readonly tuning: Tuning
}

/**
 * One circuit.
 *
 * @category models
 * @since 0.1.0
 */
export class Circuit {
  readonly key: string | undefined
  private readonly shared: Shared
  private readonly cell: Ref.Ref<circuit.Machine>["ref"]
  private lastFailureTime: number | undefined = undefined
  private admitted = 0
  private rejected = 0
  private succeeded = 0
  private failed = 0
  private ignored = 0
  private interrupted = 0
  private stale = 0
  private opened = 0
  private halfOpened = 0
  private closed = 0
  /** When the state in force began, and the milliseconds spent in states before it. */
  private stateSince: number
  private spent: Record<State, number> | undefined = undefined

  /** @internal */
  constructor(shared: Shared, key: string | undefined, now: number) {
    this.shared = shared
    this.stateSince = now
    this.key = key
    this.cell = Ref.makeUnsafe(machine.initial).ref
  }

  /** `operation`, or `operation:key`. */
  get name(): string {
    return this.key === undefined ? this.shared.operation : `${this.shared.operation}:${this.key}`
  }

  /** Whether a call or a command ever came here. @internal */
  get wasUsed(): boolean {
    return this.admitted > 0 || this.rejected > 0 || this.cell.current.version > 0
  }

  private get inFlight(): number {
    return this.admitted - this.succeeded - this.failed - this.ignored - this.interrupted - this.stale
  }

  /** Closed, nothing in flight and no failure to remember: forgetting it changes nothing. @internal */
  isAtRest(now: number): boolean {
    return this.inFlight === 0 && machine.isAtRest(this.cell.current, now)
  }

  /** A circuit that is closed and idle may go for its few failures only if no other may. @internal */
  mayForget(now: number): boolean | "last" {
    return this.isAtRest(now) || (this.inFlight === 0 && machine.isTimeless(this.cell.current) && "last")
  }

  private set(next: circuit.Machine): void {
    this.cell.current = next
  }

  /** Milliseconds in each state, while the one in force is `state`. */
  private timeIn(state: State, now: number): Record<State, number> {
    const spent = this.spent ?? { closed: 0, open: 0, half_open: 0, isolated: 0 }
    return { ...spent, [state]: spent[state] + now - this.stateSince }
  }

  /** Admits a call, or says why not. @internal */
  admitUnsafe(tuning: Tuning, moment: Moment.Moment): circuit.Token | CircuitRejection {
    const self = this.cell.current
    const now = machine.isTimeless(self) ? NaN : moment.now
    const [admission, moves, next] = machine.admit(tuning.machine, self, now)
    this.set(next)
    if (moves.length > 0) this.announce(moves, moment.clock, now)
    if (admission._tag === "Admitted") {
      this.admitted++
      return admission.token
    }
    this.rejected++
    return reject(this.shared.operation, this.key, reasonOf(admission))
  }

  /** Records how an admitted call ended; `undefined`: interrupted. @internal */
  settleUnsafe(
    tuning: Tuning,
    token: circuit.Token,
    outcome: Outcome.Outcome | undefined,
    exit: Exit.Exit<unknown, unknown>,
    moment: Moment.Moment
  ): void {
    const self = this.cell.current
    const tag = outcome === undefined ? "Ignored" : outcome._tag
    const now = tag === "Success" && machine.isTimeless(self) ? NaN : moment.read()
    const [recorded, moves, next] = machine.record(tuning.machine, self, now, token, tag)
    this.set(next)
    if (recorded === "stale") this.stale++
    else if (outcome === undefined) this.interrupted++
    else if (outcome._tag === "Success") this.succeeded++
    else if (outcome._tag === "Ignored") this.ignored++
    else {
      this.failed++
      this.lastFailureTime = moment.clock.currentTimeMillisUnsafe()
    }
    if (moves.length > 0) this.announce(moves, moment.clock, now, exit)
  }

  /** The circuit now. Counts probes that have lapsed. */
  get snapshot(): Effect.Effect<Snapshot> {
    return Effect.map(Clock.Clock, (clock) => this.snapshotUnsafe(clock))
  }

  /** The state in a snapshot, without the rest. @internal */
  stateUnsafe(clock: Clock.Clock, now: number): State {
    return machine.state(this.advance(clock, now))
  }

  private advance(clock: Clock.Clock, now: number): circuit.Machine {
    const [moves, current] = machine.advance(this.shared.tuning.machine, this.cell.current, now)
    this.set(current)
    if (moves.length > 0) this.announce(moves, clock, now)
    return current
  }

  /** @internal */
  snapshotUnsafe(clock: Clock.Clock): Snapshot {
    const now = Monotonic.now(clock)
    const current = this.advance(clock, now)
    const { automatic, isolation } = current
    const { closed, half_open, isolated, open } = this.timeIn(machine.state(current), now)
    return {
      name: this.name,
      operation: this.shared.operation,
      key: this.key,
      state: machine.state(current),
      version: current.version,
      failureCount: machine.failures(current),
      settings: this.shared.tuning.settings,
      counters: {
        admitted: this.admitted,
        rejected: this.rejected,
        succeeded: this.succeeded,
        failed: this.failed,
        ignored: this.ignored,
        interrupted: this.interrupted,
        stale: this.stale,
        inFlight: this.inFlight,
        opened: this.opened,
        halfOpened: this.halfOpened,
        closed: this.closed
      },
      timeIn: {
        closed: Duration.millis(closed),
        open: Duration.millis(open),
        half_open: Duration.millis(half_open),
        isolated: Duration.millis(isolated)
      },
      retryAfter:
        automatic._tag === "closed" ? Option.none() : Option.some(wholeMillis(machine.untilProbe(current, now))),
      lastFailureTime: Option.fromUndefinedOr(this.lastFailureTime),
      isolation: Option.map(Option.fromUndefinedOr(isolation), ({ actor, reason, until }) => ({
        reason,
        actor,
        expiresIn: until === Infinity ? Option.none() : Option.some(wholeMillis(until - now))
      }))
    }
  }

  /** @internal */
  factsUnsafe({ now }: Moment.Moment): Facts {
    const self = this.cell.current
    return {
      state: machine.state(self),
      version: self.version,
      failureCount: machine.failures(self),
      failureThreshold: this.shared.tuning.settings.failureThreshold,
      since: now - self.automatic.since,
      untilProbe: machine.untilProbe(self, now),
      isolatedBecause: self.isolation?.reason
    }
  }

  /** Holds the circuit open until it is closed, or until the isolation expires. */
  isolate(options: IsolateOptions): Effect.Effect<void> {
    return this.command((settings, self, now) =>
      machine.isolate(settings, self, now, {
        reason: options.reason,
        actor: options.actor,
        until: options.expiresIn === undefined ? Infinity : now + Duration.toMillis(options.expiresIn)
      })
    )
  }

  /** Opens the circuit, or opens it anew. It probes after the open time, as always. An isolation stays. */
  trip(options: TripOptions = {}): Effect.Effect<void> {
    const openMillis = options.openFor === undefined ? undefined : Duration.toMillis(options.openFor)
    return this.command((settings, self, now) => machine.trip(settings, self, now, { openMillis }))
  }

  /** Closes the circuit and ends an isolation. The memory of earlier openings stays. */
  get close(): Effect.Effect<void> {
    return this.command((settings, self, now) => machine.close(settings, self, now, { forget: false }))
  }

  /** Closes the circuit, ends an isolation, and forgets earlier openings and the last failure. Counters stay. */
  get reset(): Effect.Effect<void> {
    return this.command((settings, self, now) => {
      this.lastFailureTime = undefined
      return machine.close(settings, self, now, { forget: true })
    })
  }

  /** Counts from 0 again. Attempts that run stay counted. @internal */
  resetCountersUnsafe(): void {
    this.admitted = this.inFlight
    this.rejected = 0
    this.succeeded = 0
    this.failed = 0
    this.ignored = 0
    this.interrupted = 0
    this.stale = 0
    this.opened = 0
    this.halfOpened = 0
    this.closed = 0
  }

  private command(
    step: (settings: circuit.Settings, self: circuit.Machine, now: number) => circuit.Step<void>
  ): Effect.Effect<void> {
    return Effect.map(Clock.Clock, (clock) => {
      const now = Monotonic.now(clock)
      const [, moves, next] = step(this.shared.tuning.machine, this.cell.current, now)
      this.set(next)
      this.announce(moves, clock, now)
    })
  }

  private announce(
    moves: ReadonlyArray<circuit.Move>,
    clock: Clock.Clock,
    now: number,
    exit?: Exit.Exit<unknown, unknown>
  ): void {
    for (const move of moves) {
      if (move._tag !== "ProbeLapsed") {
        this.spent = this.timeIn(move.from, now)
        this.stateSince = now
      }
      if (move._tag === "Opened") this.opened++
      else if (move._tag === "HalfOpened") this.halfOpened++
      else if (move._tag === "Closed") this.closed++
      if (this.shared.events.isActive()) this.publish(move, clock, now, exit)
    }
  }

  private publish(
    move: circuit.Move,
    clock: Clock.Clock,
    now: number,
    exit: Exit.Exit<unknown, unknown> | undefined
  ): void {
    const { publishUnsafe } = this.shared.events
    const { from, version } = move
    const common = { operation: this.shared.operation, key: this.key, at: timestamp(clock), version, from }
    switch (move._tag) {
      case "Opened":
        return publishUnsafe({
          _tag: "CircuitOpened",
          ...common,
          because: move.because,
          failures: move.failures,
          error: exit === undefined || Exit.isSuccess(exit) ? undefined : errorName(Cause.squash(exit.cause)),
          openFor: Duration.millis(move.openMillis)
        })
      case "HalfOpened":
        return publishUnsafe({ _tag: "CircuitHalfOpened", ...common })
      case "Closed":
        return publishUnsafe({ _tag: "CircuitClosed", ...common, because: move.because })
      case "Isolated": {
        const { actor, reason, until } = move.isolation
        return publishUnsafe({
          _tag: "CircuitIsolated",
          ...common,
          reason,
          actor,
          expiresIn: until === Infinity ? undefined : Duration.millis(until - now)
        })
      }
      case "IsolationEnded":
        return publishUnsafe({ _tag: "CircuitIsolationEnded", ...common, to: move.to })
      case "ProbeLapsed":
        return publishUnsafe({ _tag: "ProbeLapsed", ...common, overdue: Duration.millis(move.overdueMillis) })
    }
  }
}

// Rounded up, so that whoever waits exactly that long is not too early.
const wholeMillis = (millis: number): Duration.Duration => Duration.millis(Math.ceil(millis))

const reasonOf = (
  admission: Exclude<circuit.Admission, { _tag: "Admitted" }>
): CircuitOpen | CircuitHalfOpen | CircuitIsolated => {
  if (admission._tag === "Isolated") {
    return new CircuitIsolated({
      because: admission.isolation.reason,
      retryAfter: admission.retryAfterMillis === Infinity ? undefined : wholeMillis(admission.retryAfterMillis)
    })
  }
  const retryAfter = wholeMillis(admission.retryAfterMillis)
  return admission.state === "open" ? new CircuitOpen({ retryAfter }) : new CircuitHalfOpen({ retryAfter })
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
export interface Observer {
  /** An attempt wants to be admitted. */
  readonly onArrived: (moment: Moment.Moment) => void
  readonly onAdmitted: () => void
  /** An attempt ended, `millis` after it was admitted. */
  readonly onSettled: (millis: number, now: number) => void
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
 * The circuits of one operation, at hand for whoever composes policies.
 *
 * @category models
 * @since 0.1.0
 */
export class Circuits {
  readonly operation: string
  readonly events: Sink
  private current: Tuning
  private readonly maxKeys: number
  private readonly unkeyed: Circuit
  private keyed: BoundedMap<string, Circuit> | undefined = undefined
  private overflow: Circuit | undefined = undefined

  /** @internal */
  constructor(options: {
    readonly operation: string
    readonly tuning: Tuning
    readonly events: Sink
    readonly maxKeys: number | undefined
    readonly now: number
  }) {
    this.operation = options.operation
    this.current = options.tuning
    this.events = options.events
    this.maxKeys = options.maxKeys ?? 10_000
    this.unkeyed = new Circuit(this, undefined, options.now)
  }

  /** The tuning in force, for reads and commands. */
  get tuning(): Tuning {
    return this.current
  }

  /** Changes the tuning. The circuits keep their state. @internal */
  retuneUnsafe(tuning: Tuning): void {
    this.current = tuning
  }

  /** The circuit of a key, made if it is new. @internal */
  ofUnsafe(key: string | undefined, moment: Moment.Moment): Circuit {
    if (key === undefined) return this.unkeyed
    this.keyed ??= new BoundedMap(this.maxKeys, (circuit, now) => circuit.mayForget(now))
    const known = this.keyed.get(key)
    if (known !== undefined) return known
    const added = new Circuit(this, key, moment.now)
    if (this.keyed.add(key, added, moment.now)) return added
    // Full of circuits that must stay: what is left over is protected together.
    this.overflow ??= new Circuit(this, overflowKey, moment.now)
    return this.overflow
  }

  /** The circuit of a key, if it exists. @internal */
  findUnsafe(key: string | undefined): Circuit | undefined {
    return key === undefined ? this.unkeyed : key === overflowKey ? this.overflow : this.keyed?.get(key)
  }

  /** Every circuit that exists; the one without a key only once it was used. */
  allUnsafe(): ReadonlyArray<Circuit> {
    const keyed = this.keyed === undefined ? [] : Array.from(this.keyed.values())
    const shared = this.overflow === undefined ? keyed : [...keyed, this.overflow]
    return this.unkeyed.wasUsed || shared.length === 0 ? [this.unkeyed, ...shared] : shared
  }

  /** Guards one run of an effect, with the tuning of its call and at its moment. */
  run<A, E, R>(
    self: Effect.Effect<A, E, R>,
    tuning: Tuning,
    options: ProtectOptions<A, E>,
    moment: Moment.Moment
  ): Effect.Effect<A, E | CircuitRejection, R> {
    const { key, observer } = options
    let admitted: { readonly circuit: Circuit; readonly token: circuit.Token; readonly at: number } | undefined
    // The exit is watched before the call is admitted: wherever an interruption
    // falls, an admitted call is settled.
    return Effect.onExitPrimitive(
      Effect.suspend((): Effect.Effect<A, E | CircuitRejection, R> => {
        observer?.onArrived(moment)
        const circuit = this.ofUnsafe(key, moment)
        const admission = circuit.admitUnsafe(tuning, moment)
        if (!isToken(admission)) return Effect.fail(admission)
        admitted = { circuit, token: admission, at: observer === undefined ? 0 : moment.now }
        observer?.onAdmitted()
        return self
      }),
      (exit) => {
        if (admitted === undefined) return undefined
        const { at, circuit, token } = admitted
        // The effect may run again, for the next attempt.
        admitted = undefined
        observer?.onSettled(moment.read() - at, moment.now)
        if (Exit.isSuccess(exit) && options.classify === undefined) {
          circuit.settleUnsafe(tuning, token, Outcome.success, exit, moment)
          return undefined
        }
        let outcome: Outcome.Outcome | undefined = Outcome.ignored
        try {
          outcome = judge(exit, options as ProtectOptions<A, unknown>)
        } finally {
          circuit.settleUnsafe(tuning, token, outcome, exit, moment)
        }
        return undefined
      }
      // No `interruptible` here: an interruptible handler is skipped by the
      // interruption that it has to see.
    )
  }
}

/** `undefined`: interrupted. */
const judge = <A>(
  exit: Exit.Exit<A, unknown>,
  { classify, rules = [] }: ProtectOptions<A, unknown>
): Outcome.Outcome | undefined => {
  if (Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)) return undefined
  if (classify !== undefined) return classify(exit)
  if (Exit.isSuccess(exit)) return Outcome.success
  if (Cause.hasDies(exit.cause)) return Outcome.failure
  const error = Cause.findErrorOption(exit.cause)
  return Option.isNone(error)
    ? Outcome.ignored
    : Errors.toOutcome(Errors.classify(error.value, [...rules, ...(Fiber.getCurrent()?.getRef(Errors.Rules) ?? [])]))
}

const overflowKey = "(overflow)"

const isToken = (admission: circuit.Token | ResilienceError): admission is circuit.Token => "generation" in admission

/**
 * Prepares checked settings.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tune = (settings: Settings, openSchedule?: Schedule.Schedule<unknown, number>): Tuning => ({
  settings,
  machine: {
    tripPolicy: { _tag: "Consecutive", failures: settings.failureThreshold },
    openMillis: openMillisOf(settings.openDuration, openSchedule),
    probes: settings.halfOpenMaxCalls,
    successThreshold: settings.successThreshold ?? settings.halfOpenMaxCalls,
    probeMillis: settings.probeTimeout === undefined ? undefined : Duration.toMillis(settings.probeTimeout)
  }
})

/** Steps of a schedule that are told apart; later openings last as long as the last of them. */
const maxSteps = 64

/**
 * The open time of the n-th opening in a row. A schedule is stepped through as
 * if each open time had passed, so that `Schedule.upTo` measures time spent
 * open. What it draws by chance is drawn once for each n.
 */
// Many circuits stay open for the same time: one function does for all of them.
const always = new BoundedMap<number, () => number>(64, () => true)

const alwaysMillis = (millis: number): (() => number) => {
  const known = always.get(millis)
  if (known !== undefined) return known
  const made = () => millis
  always.add(millis, made, 0)
  return made
}

const openMillisOf = (
  openDuration: Duration.Duration,
  schedule: Schedule.Schedule<unknown, number> | undefined
): ((opening: number) => number) => {
  const fixed = Duration.toMillis(openDuration)
  if (schedule === undefined) return alwaysMillis(fixed)
  const step = Effect.runSync(Schedule.toStep(schedule))
  const steps: Array<number> = []
  let now = 0
  for (let opening = 1; opening <= maxSteps; opening++) {
    const exit = Effect.runSyncExit(step(now, opening))
    if (Exit.isFailure(exit)) break
    const millis = Math.min(Math.max(Duration.toMillis(exit.value[1]), 1), maxOpenMillis)
    steps.push(millis)
    now += millis
  }
  return (opening) => steps[Math.min(opening, steps.length) - 1] ?? fixed
}

const maxOpenMillis = /*#__PURE__*/ Duration.toMillis("1 day")

/**
 * Makes a breaker whose circuits are closed. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: MakeOptions): Effect.Effect<CircuitBreaker["Service"]> => {
  const { maxKeys, openSchedule, operation, rules } = options
  const tuning = tune(settings(options.settings), openSchedule)
  if (maxKeys !== undefined && !(Number.isInteger(maxKeys) && maxKeys >= 1 && maxKeys <= 1_000_000)) {
    throw new Settings_.InvalidSettings({
      settings: "CircuitBreaker",
      findings: [{ path: "maxKeys", value: maxKeys, rule: `expected an integer from 1 to 1000000, got ${maxKeys}` }]
    })
  }
  return Effect.zipWith(ResilienceEvents, Clock.Clock, (events, clock) =>
    service(new Circuits({ operation, tuning, events, maxKeys, now: Monotonic.now(clock) }), rules)
  )
}

const service = (circuits: Circuits, rules: ReadonlyArray<Errors.Rule> | undefined): CircuitBreaker["Service"] => ({
  protect: (options = {}) => {
    const call = rules === undefined ? options : { ...options, rules: [...(options.rules ?? []), ...rules] }
    return (self) => Effect.withFiber((fiber) => circuits.run(self, circuits.tuning, call, Moment.of(fiber)))
  },
  circuit: (key) => Effect.withFiber((fiber) => Effect.succeed(circuits.ofUnsafe(key, Moment.of(fiber)))),
  circuits: Effect.sync(() => circuits.allUnsafe())
})
