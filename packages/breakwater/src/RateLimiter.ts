/**
 * Lets so many calls through in a time, each key by itself or all together, and
 * refuses the others or has them wait for their turn.
 *
 * **Details**
 *
 * Five algorithms, each with its bound on the units of cost that are let
 * through. A call costs one unit unless `cost` or `Cost` says otherwise.
 *
 * | `algorithm` | bound | remembers for each key |
 * | --- | --- | --- |
 * | `gcra` (default) | `burst + limit × span / window` in any span | one time |
 * | `token-bucket` | the same | tokens and a time |
 * | `sliding-log` | `limit` in every span of a window: exact | each call of the last window |
 * | `sliding-counter` | `current + previous × share of the previous window still inside` is at most `limit` | two counts |
 * | `fixed-window` | `limit` in each window, twice that in a span across two | one count |
 *
 * - `onExceeded: "fail"` refuses a call that has no room. `"wait"` has it wait,
 *   first come, first served in each key. It fails at once if its turn would
 *   come after `maxWait` or the deadline of the call, or if `maxQueue` calls
 *   wait already. `retryAfter` is when there would be room.
 * - A call that fails as rate limited with a `retryAfter`, such as a 429 with
 *   `Retry-After`, pauses its key for all callers, `maxPause` at most. After a
 *   pause nothing is left of a burst, and calls return one by one at the rate
 *   of the limiter.
 * - With `perKey` each key has a limit of its own. Without it all keys share one,
 *   and a pause holds for all of them. A limiter by itself and the admission
 *   limit of a strategy have a limit for each key by default; the quota of a
 *   strategy, which is the dependency's own limit, has one for all.
 * - `pause` and `resume` without a key are for every key, also for those that
 *   come later.
 * - `reserve` takes units before it is known how many a call uses. `settle`
 *   corrects them; what is not settled when the scope ends comes back.
 * - `maxKeys` keys are remembered. Those at rest are forgotten first, others
 *   never; keys beyond the bound share one limit.
 *
 * **Gotchas**
 *
 * - A waiter takes nothing before its turn. One that is interrupted gives back
 *   all it has, unless its effect has started.
 * - A cost above what can pass at once never passes: its `retryAfter` is
 *   infinite.
 * - Fixed windows follow one another from the first admitted call of the key
 *   on. A key that was forgotten starts anew.
 * - A reservation that settles for more than it took may put its key in debt;
 *   no bound holds for the surplus.
 * - Settings that change keep what is counted. With another algorithm, or
 *   windows of another length, the units in use count as if taken at that
 *   moment. Who waits already keeps the longest wait it came with. With another
 *   `perKey` counting begins anew, and the longest pause holds for every key.
 * - Keys of a quota that are dependencies of their own, such as providers, need
 *   `perKey: true`: else one that answers 429 pauses the others.
 *
 * **Example** (Two calls a minute)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { RateLimiter } from "breakwater"
 *
 * const program = Effect.gen(function*() {
 *   const limiter = yield* RateLimiter.make({
 *     operation: "embeddings",
 *     settings: { limit: 2, window: "1 minute" }
 *   })
 *   const embed = Effect.succeed("a vector").pipe(limiter.protect({ key: "tenant" }))
 *   yield* embed
 *   yield* embed
 *   return yield* embed.pipe(
 *     Effect.catchReason("ResilienceError", "RateLimitExceeded", () => Effect.succeed("later"))
 *   )
 * })
 *
 * await Effect.runPromise(program) // => "later"
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
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Errors from "./Classification.ts"
import * as DeadlineQueue from "./DeadlineQueue.ts"
import { BoundedMap } from "./internal/boundedMap.ts"
import type { Entry } from "./internal/deadlineList.ts"
import { slack } from "./internal/rateAlgorithm.ts"
import { type Hold, Holds } from "./internal/rateHolds.ts"
import * as rate from "./internal/rateMachine.ts"
import * as Moment from "./Moment.ts"
import * as Monotonic from "./Monotonic.ts"
import * as Policy from "./Policy.ts"
import { isResilienceError, RateLimitExceeded, reject, type ResilienceError } from "./ResilienceError.ts"
import { ResilienceEvents, type Sink, timestamp } from "./EventSink.ts"
import * as Settings_ from "./Settings.ts"
import * as Watch from "./Watch.ts"

/**
 * How calls are counted.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Algorithm = /*#__PURE__*/ Schema.Literals([
  "gcra",
  "token-bucket",
  "sliding-log",
  "sliding-counter",
  "fixed-window"
])

/**
 * @category models
 * @since 0.1.0
 */
export type Algorithm = typeof Algorithm.Type

/** Most units of cost that anything may have. */
const maxUnits = 1_000_000_000

/** Units per millisecond of which a number still tells the times apart. */
const maxPaced = 1_000

/** A log remembers each call of a window. */
const maxLogged = 100_000

/**
 * How much may pass, and what happens to the rest.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/RateLimiter/Settings")({
  /** Default `gcra`. */
  algorithm: Algorithm.pipe(Settings_.withDefault("gcra")),
  /**
   * Units of cost in one window, 1 to 1,000,000,000. Default 100. At most
   * 100,000 with `sliding-log`, and 1,000 per millisecond with `gcra`.
   */
  limit: Settings_.count({ minimum: 1, maximum: maxUnits }).pipe(Settings_.withDefault(100)),
  /** 1 ms to 1 day. Default 1 second. */
  window: Settings_.duration({ minimum: "1 milli", maximum: "1 day" }).pipe(Settings_.withDefault(Duration.seconds(1))),
  /** Units that may pass at once with `gcra` and `token-bucket`, 1 to 1,000,000,000. Default `limit`. */
  burst: Schema.optionalKey(Settings_.count({ minimum: 1, maximum: maxUnits })),
  /** What happens to a call without room: `fail` or `wait`. Default `fail`. */
  onExceeded: Schema.Literals(["fail", "wait"]).pipe(Settings_.withDefault("fail")),
  /** Longest wait for a turn, 1 ms to 1 hour. Default 5 seconds. */
  maxWait: Settings_.duration({ minimum: "1 milli", maximum: "1 hour" }).pipe(
    Settings_.withDefault(Duration.seconds(5))
  ),
  /** Calls of one key that wait at most, 1 to 10,000. Default 1,000. */
  maxQueue: Settings_.count({ minimum: 1, maximum: 10_000 }).pipe(Settings_.withDefault(1_000)),
  /** Longest pause that a failed call may cause, 0 (none) to 1 hour. Default 1 hour. */
  maxPause: Settings_.duration({ minimum: 0, maximum: "1 hour" }).pipe(Settings_.withDefault(Duration.hours(1))),
  /**
   * Whether each key has a limit of its own; `false`: all keys share one.
   * Default `true`, but `false` for the `quota` of a strategy.
   */
  perKey: Schema.optionalKey(Schema.Boolean)
}) {
  /** @internal */
  placeUnsafe(known: Policy.Placed | undefined, services: Policy.Services, isOwn: boolean): Policy.Placed {
    return Policy.place(this, known, services, isOwn)
  }

  /** Starts a limiter for an operation. Throws `InvalidSettings`. */
  startUnsafe(services: Policy.Services): Limiter {
    const scope = services.slot === "admission" ? "admission" : "quota"
    return new Limiter({ ...services, settings: this, scope, splits: scope !== "quota" })
  }
}

/**
 * Settings as code writes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly algorithm?: Algorithm | undefined
  readonly limit?: number | undefined
  readonly window?: Duration.Input | undefined
  readonly burst?: number | undefined
  readonly onExceeded?: "fail" | "wait" | undefined
  readonly maxWait?: Duration.Input | undefined
  readonly maxQueue?: number | undefined
  readonly maxPause?: Duration.Input | undefined
  readonly perKey?: boolean | undefined
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
      : Settings_.make(Settings, {
          settings: "RateLimiter",
          input,
          durations: ["window", "maxWait", "maxPause"]
        })
  const { algorithm, burst, limit, window } = checked
  if (algorithm === "gcra" && limit > maxPaced * Duration.toMillis(window)) {
    throw invalid(
      "limit",
      limit,
      `expected at most ${maxPaced} per millisecond of window with gcra, got ${limit}; token-bucket has no such bound`
    )
  }
  if (algorithm === "sliding-log" && limit > maxLogged) {
    throw invalid(
      "limit",
      limit,
      `expected at most ${maxLogged} with sliding-log, got ${limit}; a counter has no such bound`
    )
  }
  if (burst !== undefined && algorithm !== "gcra" && algorithm !== "token-bucket") {
    throw invalid("burst", burst, `expected none with ${algorithm}, got ${burst}; gcra and token-bucket have one`)
  }
  return checked
}

const invalid = (path: string, value: unknown, rule: string): Settings_.InvalidSettings =>
  new Settings_.InvalidSettings({ settings: "RateLimiter", findings: [{ path, value, rule }] })

/**
 * What the guarded calls below cost, and not those that these make. Default 1.
 * A whole number from 1 to 1,000,000,000; a call with any other dies with
 * `InvalidSettings`, and no circuit counts it.
 *
 * @category references
 * @since 0.1.0
 */
export const Cost = /*#__PURE__*/ Context.Reference<number>("breakwater/RateLimiter/Cost", { defaultValue: () => 1 })

const checkUnits = (units: number, minimum: number): number => {
  if (Number.isInteger(units) && units >= minimum && units <= maxUnits) return units
  throw invalid("cost", units, `expected a whole number from ${minimum} to ${maxUnits}, got ${units}`)
}

/**
 * The error of a call that the limiter refused.
 *
 * @category models
 * @since 0.1.0
 */
export type RateLimitRejection = ResilienceError<RateLimitExceeded>

/**
 * What a limiter has counted since it was made.
 * `granted = started + returned + held`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counters {
  /** Calls and reservations that got their units. */
  readonly granted: number
  /** Calls whose effect was started, and reservations that were settled. */
  readonly started: number
  /** Gave all their units back. */
  readonly returned: number
  /** Reservations that are open, and calls whose turn came this very moment. */
  readonly held: number
  readonly refused: number
  /** Had to wait, whatever came of it. */
  readonly waited: number
}

/**
 * One key of a limiter at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeySnapshot {
  /** `undefined`: the calls without a key, and all calls unless `perKey`. `(overflow)`: those of the keys beyond the bound. */
  readonly key: string | undefined
  /** Units that a call could take now. */
  readonly available: number
  /** Units that it could take at best. */
  readonly limit: number
  readonly waiting: number
  readonly refused: number
  /** Time that a pause still lasts; zero without one. */
  readonly pausedFor: Duration.Duration
}

/**
 * A limiter at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly operation: string
  readonly scope: RateLimitExceeded["scope"]
  readonly settings: Settings
  readonly counters: Counters
  /** Calls that wait, over all keys. */
  readonly waiting: number
  /** Keys that are remembered. */
  readonly size: number
  /** Those that need a look first, 100 at most: paused, then most waiting, then least available. */
  readonly keys: ReadonlyArray<KeySnapshot>
}

const maxShown = 100

/**
 * Units taken ahead of their use.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reservation {
  readonly key: string | undefined
  /** Units taken. */
  readonly cost: number
  /**
   * Says how many units were used, 0 to 1,000,000,000; default all that were
   * taken. Fewer gives back the rest, more takes them too. Only the first
   * settling counts.
   */
  readonly settle: (used?: number) => Effect.Effect<void>
}

/**
 * Which key, and how much. `cost` is a whole number from 1 to 1,000,000,000;
 * default `Cost`.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions {
  readonly key?: string | undefined
  readonly cost?: number | undefined
}

/**
 * What `protect` may be told about a call. Its rules are asked before those of
 * the limiter, when it fails.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProtectOptions extends Policy.Call {
  /** A whole number from 1 to 1,000,000,000. Default `Cost`. */
  readonly cost?: number | undefined
}

/** Settings that are ready to limit with. */
interface Tuning {
  readonly settings: Settings
  readonly machine: rate.Settings
  /** 0: calls without room fail. */
  readonly maxWait: number
  readonly maxPause: number
  readonly perKey: boolean
}

/** `splits`: whether keys are apart unless the settings say. */
const tune = (input: Settings, splits: boolean): Tuning => {
  const { algorithm, burst, limit, maxPause, maxWait, onExceeded, window } = settings(input)
  return {
    settings: input,
    machine: rate.settings({ algorithm, limit, window: Duration.toMillis(window), burst: burst ?? limit }),
    maxWait: onExceeded === "fail" ? 0 : Duration.toMillis(maxWait),
    maxPause: Duration.toMillis(maxPause),
    perKey: input.perKey ?? splits
  }
}

/** What a call asks for. */
interface Want {
  readonly key: string | undefined
  readonly cost: number
}

/** Units of one call: waited for, then held, then used or given back. */
class Permit {
  readonly lane: Lane
  /** The key of the call. */
  readonly key: string | undefined
  readonly cost: number
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly clock: Clock.Clock
  /** When its turn has to come at the latest. */
  readonly latest: number
  state: "waiting" | "held" | "refused" | "ended" = "waiting"
  previous: Permit | undefined = undefined
  next: Permit | undefined = undefined
  private hold: Hold | undefined = undefined
  private error: RateLimitRejection | undefined = undefined
  private resume: ((verdict: Effect.Effect<void, RateLimitRejection>) => void) | undefined = undefined

  constructor(
    lane: Lane,
    { cost, key }: Want,
    fiber: Fiber.Fiber<unknown, unknown>,
    clock: Clock.Clock,
    latest: number
  ) {
    this.lane = lane
    this.key = key
    this.cost = cost
    this.fiber = fiber
    this.clock = clock
    this.latest = latest
  }

  /** Waits until it is held or refused. */
  readonly turn: Effect.Effect<void, RateLimitRejection> = Effect.callback((resume) => {
    // The turn may have come before anyone waited for it.
    if (this.state === "waiting") this.resume = resume
    else resume(this.verdict())
  })

  private verdict(): Effect.Effect<void, RateLimitRejection> {
    return this.error === undefined ? Effect.void : Effect.fail(this.error)
  }

  grantUnsafe(hold: Hold): void {
    this.state = "held"
    this.hold = hold
  }

  refuseUnsafe(error: RateLimitRejection): void {
    this.state = "refused"
    this.error = error
  }

  /** Tells the one who waits. May run its fiber at once. */
  deliverUnsafe(): void {
    this.resume?.(this.verdict())
  }

  /** So many units are used; by default all. */
  settleUnsafe(used = this.cost): void {
    if (this.state !== "held") return
    this.state = "ended"
    this.lane.settledUnsafe(this.hold!, this.cost, used, this.clock)
  }

  /** Gives up waiting, and gives back what it holds. Nothing once it is settled. */
  cancelUnsafe(): void {
    const { state } = this
    this.state = "ended"
    if (state === "waiting") this.lane.leaveUnsafe(this)
    else if (state === "held") this.lane.returnedUnsafe(this.hold!, this.cost, this.clock)
  }
}

/** One key: what is counted, and who waits. */
class Lane {
  touched = false
  readonly key: string | undefined
  private readonly limiter: Limiter
  private machine: rate.Machine
  /** The latest time seen: readings of the clock that calls share may be older than each other's. */
  private latest = -Infinity
  private readonly holds = new Holds()
  private first: Permit | undefined = undefined
  private last: Permit | undefined = undefined
  private waiting = 0
  /** What will be, and when, after all who wait have had their turn. `undefined`: not known. */
  private line: { readonly at: number; readonly machine: rate.Machine } | undefined = undefined
  private entry: { readonly queued: Entry; readonly queue: DeadlineQueue.DeadlineQueue } | undefined = undefined
  private ready: Array<Permit> = []
  private isDelivering = false
  private refused = 0

  constructor(limiter: Limiter, key: string | undefined) {
    this.limiter = limiter
    this.key = key
    this.machine = rate.make(limiter.tuning.machine)
  }

  isAtRest(now: number): boolean {
    return (
      this.first === undefined &&
      this.holds.size === 0 &&
      rate.isAtRest(this.limiter.tuning.machine, this.machine, this.at(now))
    )
  }

  private at(now: number): number {
    return now > this.latest ? (this.latest = now) : this.latest
  }

  /** Milliseconds until there is room; 0: there was, and it is taken. */
  admitUnsafe(cost: number, moment: Moment.Moment): number {
    const now = this.at(moment.now)
    if (this.first !== undefined) {
      const wait = this.behind(now, cost)
      if (wait > 0) return wait
      // Their turn has come, and nobody has told them yet.
      this.attend(now)
      return this.admitUnsafe(cost, moment)
    }
    const [wait, next] = rate.admit(this.limiter.tuning.machine, this.machine, now, cost)
    if (wait === 0) {
      this.observe(now)
      this.machine = next
      this.limiter.granted++
    }
    return wait
  }

  /** Holds units, or waits for them, or says why not. */
  enterUnsafe(want: Want, moment: Moment.Moment, fiber: Fiber.Fiber<unknown, unknown>): Permit | RateLimitRejection {
    const wait = this.admitUnsafe(want.cost, moment)
    if (wait > 0) return this.joinUnsafe(want, wait, moment, fiber)
    const permit = new Permit(this, want, fiber, moment.clock, Infinity)
    permit.grantUnsafe(this.holds.add(this.latest))
    return permit
  }

  /** Waits for `wait` milliseconds, if that is not too long. */
  joinUnsafe(
    want: Want,
    wait: number,
    moment: Moment.Moment,
    fiber: Fiber.Fiber<unknown, unknown>
  ): Permit | RateLimitRejection {
    const { machine, maxWait, settings } = this.limiter.tuning
    const now = this.latest
    const deadline = moment.deadline?.at ?? Infinity
    const latest = Math.min(now + maxWait + slack, deadline - slack)
    if (maxWait === 0 || this.waiting >= settings.maxQueue || now + wait > latest) return this.refuse(want, wait)
    const permit = new Permit(this, want, fiber, moment.clock, latest)
    const line = this.line ?? this.queueUp(now)
    this.line = { at: now + wait, machine: rate.take(machine, line.machine, now + wait, want.cost) }
    permit.previous = this.last
    if (this.last === undefined) this.first = permit
    else this.last.next = permit
    this.last = permit
    this.waiting++
    this.limiter.waited++
    if (this.first === permit) this.sleep(permit, now, wait)
    return permit
  }

  private refuse({ cost, key }: Want, wait: number): RateLimitRejection {
    const { operation, scope, tuning } = this.limiter
    this.refused++
    this.limiter.refused++
    const retryAfter =
      wait === Infinity ? Duration.infinity : Duration.millis(Math.ceil(wait - tuning.machine.early / 2))
    return reject(operation, key, new RateLimitExceeded({ scope, retryAfter, limit: tuning.machine.limit, cost }))
  }

  /** The wait of one more call behind all who wait. */
  private behind(now: number, cost: number): number {
    this.line ??= this.queueUp(now)
    const from = Math.max(this.line.at, now)
    return from - now + rate.wait(this.limiter.tuning.machine, this.line.machine, from, cost)
  }

  /** Who waits, one after another. Tells `onLate` of those whose turn comes too late, and passes them over. */
  private queueUp(now: number, onLate?: (permit: Permit, wait: number) => void): NonNullable<Lane["line"]> {
    const settings = this.limiter.tuning.machine
    let { machine } = this
    let at = now
    for (let permit = this.first; permit !== undefined; permit = permit.next) {
      const due = at + rate.wait(settings, machine, at, permit.cost)
      if (due > permit.latest && onLate !== undefined) {
        onLate(permit, due - now)
        continue
      }
      if (due === Infinity) continue
      at = due
      machine = rate.take(settings, machine, at, permit.cost)
    }
    return { at, machine }
  }

  /** What is in use bounds what may come back to those who hold units. */
  private observe(now: number): void {
    if (this.holds.size > 0) this.holds.observe(rate.used(this.limiter.tuning.machine, this.machine, now))
  }

  /** Lets go whose turn has come, and sleeps until the next turn. */
  private attend(now: number): void {
    const settings = this.limiter.tuning.machine
    this.line = undefined
    let permit = this.first
    let wait = 0
    while (permit !== undefined) {
      const [left, next] = rate.admit(settings, this.machine, now, permit.cost)
      wait = left
      if (wait > 0) break
      this.observe(now)
      this.machine = next
      this.limiter.granted++
      this.unlink(permit)
      permit.grantUnsafe(this.holds.add(now))
      this.ready.push(permit)
      permit = this.first
    }
    if (permit === undefined) this.wakeNever()
    else this.sleep(permit, now, wait)
    this.deliver()
  }

  /** Refuses whose turn has become too late, then as `attend`. */
  private review(now: number): void {
    if (this.first === undefined) return
    this.queueUp(now, (permit, wait) => {
      this.unlink(permit)
      permit.refuseUnsafe(this.refuse(permit, wait))
      this.ready.push(permit)
    })
    this.attend(now)
  }

  /** The state is settled before anyone is told: whoever is told may be back at once. */
  private deliver(): void {
    if (this.isDelivering) return
    this.isDelivering = true
    for (let i = 0; i < this.ready.length; i++) this.ready[i]!.deliverUnsafe()
    this.ready = []
    this.isDelivering = false
  }

  private unlink(permit: Permit): void {
    if (permit.previous === undefined) this.first = permit.next
    else permit.previous.next = permit.next
    if (permit.next === undefined) this.last = permit.previous
    else permit.next.previous = permit.previous
    this.waiting--
  }

  private sleep(permit: Permit, now: number, wait: number): void {
    const at = now + wait
    if (this.entry !== undefined && this.entry.queued.deadline === at) return
    this.wakeNever()
    if (wait === Infinity) return
    const queue = DeadlineQueue.of(permit.clock)
    const { interval } = this.limiter.tuning.machine
    const wake = () => {
      this.entry = undefined
      this.attend(this.at(Monotonic.now(permit.clock)))
    }
    this.entry = { queue, queued: queue.add(permit.fiber, now, interval, at, wake) }
  }

  private wakeNever(): void {
    if (this.entry === undefined) return
    this.entry.queue.remove(this.entry.queued)
    this.entry = undefined
  }

  /** Leaves the line before its turn: those behind may be earlier. */
  leaveUnsafe(permit: Permit): void {
    const wasFirst = this.first === permit
    this.unlink(permit)
    this.line = undefined
    if (wasFirst) this.attend(this.at(Monotonic.now(permit.clock)))
  }

  settledUnsafe(hold: Hold, cost: number, used: number, clock: Clock.Clock): void {
    this.limiter.started++
    if (used === cost) return this.holds.remove(hold)
    const now = this.at(Monotonic.now(clock))
    if (used < cost) return this.give(hold, cost - used, now)
    this.observe(now)
    this.holds.remove(hold)
    this.machine = rate.take(this.limiter.tuning.machine, this.machine, now, used - cost)
    this.line = undefined
    this.review(now)
  }

  returnedUnsafe(hold: Hold, cost: number, clock: Clock.Clock): void {
    this.limiter.returned++
    this.give(hold, cost, this.at(Monotonic.now(clock)))
  }

  private give(hold: Hold, units: number, now: number): void {
    const { machine } = this.limiter.tuning
    this.observe(now)
    const given = machine.algorithm.refills ? this.holds.give(hold, units) : units
    this.holds.remove(hold)
    this.machine = rate.give(machine, this.machine, now, hold.at, given)
    this.attend(now)
  }

  /** Whether the pause is news: it is new, or longer by a second. */
  pauseUnsafe(millis: number, now: number): boolean {
    const at = this.at(now)
    const left = rate.pausedFor(this.machine, at)
    this.machine = rate.pauseUntil(this.machine, at + millis)
    this.line = undefined
    this.review(at)
    return left === 0 || millis - left >= 1_000
  }

  pausedFor(now: number): number {
    return rate.pausedFor(this.machine, this.at(now))
  }

  /** Whether there was a pause. */
  resumeUnsafe(now: number): boolean {
    const at = this.at(now)
    const wasPaused = rate.pausedFor(this.machine, at) > 0
    if (wasPaused) this.machine = rate.resume(this.machine)
    this.attend(at)
    return wasPaused
  }

  retuneUnsafe(before: Tuning, clock: Clock.Clock): void {
    const now = this.at(Monotonic.now(clock))
    this.machine = rate.convert(before.machine, this.limiter.tuning.machine, this.machine, now)
    this.line = undefined
    this.review(now)
  }

  snapshotUnsafe(now: number): KeySnapshot {
    const settings = this.limiter.tuning.machine
    const at = this.at(now)
    return {
      key: this.key,
      available: rate.available(settings, this.machine, at),
      limit: rate.capacity(settings),
      waiting: this.waiting,
      refused: this.refused,
      pausedFor: Duration.millis(Math.ceil(rate.pausedFor(this.machine, at)))
    }
  }
}

const overflowKey = "(overflow)"

/**
 * The limits of one operation, one for each key, at hand for whoever composes
 * policies.
 *
 * @category models
 * @since 0.1.0
 */
export class Limiter implements Policy.Running<Settings, Snapshot> {
  readonly operation: string
  readonly scope: RateLimitExceeded["scope"]
  private readonly events: Sink
  private readonly maxKeys: number
  private unkeyed: Lane | undefined = undefined
  private keyed: BoundedMap<string, Lane> | undefined = undefined
  private overflow: Lane | undefined = undefined
  /** Whether keys are apart unless the settings say. */
  private readonly splits: boolean
  /** When the pause of all keys is over, for those that are not known yet. */
  private pausedUntil = -Infinity
  /** The clock of the calls. */
  private clock: Clock.Clock | undefined = undefined
  /** @internal */
  tuning: Tuning
  /** @internal */
  granted = 0
  /** @internal */
  started = 0
  /** @internal */
  returned = 0
  /** @internal */
  refused = 0
  /** @internal */
  waited = 0

  /** @internal */
  constructor(
    options: Policy.Services & {
      readonly settings: Settings
      readonly scope: RateLimitExceeded["scope"]
      readonly splits: boolean
    }
  ) {
    this.operation = options.operation
    this.scope = options.scope
    this.events = options.events
    this.maxKeys = options.maxKeys ?? 10_000
    this.splits = options.splits
    this.tuning = tune(options.settings, this.splits)
  }

  /** Runs an effect when it has room. */
  run<A, E, R>(
    self: Effect.Effect<A, E, R>,
    call: ProtectOptions,
    moment: Moment.Moment,
    observer?: Policy.Observer
  ): Effect.Effect<A, E | RateLimitRejection, R> {
    // Read before any policy around it has begun: a cost that is none speaks against nobody.
    const stated = Fiber.getCurrent()!.getRef(Cost)
    const cost = checkUnits(call.cost ?? stated, 1)
    // It is the cost of this call, and not of those that its effect makes.
    const inside = stated === 1 ? self : Effect.provideService(self, Cost, 1)
    let permit: Permit | undefined
    let hasStarted = false
    let startedAt = 0
    const start = (): Effect.Effect<A, E, R> => {
      hasStarted = true
      if (observer !== undefined) {
        startedAt = moment.now
        observer.onAdmitted()
      }
      return inside
    }
    // The exit is watched before units are taken: wherever an interruption
    // falls, what has not started is given back.
    return Watch.end(
      Effect.withFiber((fiber): Effect.Effect<A, E | RateLimitRejection, R> => {
        const lane = this.laneOf(call.key, moment)
        const wait = lane.admitUnsafe(cost, moment)
        if (wait === 0) {
          this.started++
          return start()
        }
        const joined = lane.joinUnsafe({ key: call.key, cost }, wait, moment, fiber)
        if (!(joined instanceof Permit)) return Effect.fail(joined)
        permit = joined
        Moment.enqueue(moment)
        return Effect.flatMap(joined.turn, () => {
          joined.settleUnsafe()
          Moment.dequeue(moment)
          return start()
        })
      }),
      (exit) => {
        // The effect may run again, for the next attempt.
        if (permit !== undefined) {
          const own = permit
          permit = undefined
          own.cancelUnsafe()
          // Refused after a wait.
          if (!hasStarted) Moment.dequeue(moment)
        }
        if (!hasStarted) return undefined
        hasStarted = false
        observer?.onSettled(moment.read() - startedAt, moment)
        if (Exit.isFailure(exit)) this.heed(exit.cause, call, moment)
        return undefined
      }
    )
  }

  /** Takes units for what is to come. What is not settled when the scope ends comes back. */
  reserve({ cost, key }: CallOptions): Effect.Effect<Reservation, RateLimitRejection, Scope.Scope> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.scope, (scope) =>
        Effect.withFiber((fiber) => {
          const moment = Moment.of(fiber)
          const units = checkUnits(cost ?? fiber.getRef(Cost), 1)
          const permit = this.laneOf(key, moment).enterUnsafe({ key, cost: units }, moment, fiber)
          if (!(permit instanceof Permit)) return Effect.fail(permit)
          const cancel = Effect.sync(() => permit.cancelUnsafe())
          const reservation: Reservation = {
            key,
            cost: units,
            settle: (used = units) => {
              checkUnits(used, 0)
              return Effect.sync(() => permit.settleUnsafe(used))
            }
          }
          return Scope.addFinalizer(scope, cancel).pipe(
            Effect.andThen(permit.state === "held" ? Effect.void : Effect.onError(restore(permit.turn), () => cancel)),
            Effect.as(reservation)
          )
        })
      )
    )
  }

  /** A dependency that says when to come back says it to all callers of the key. */
  private heed(cause: Cause.Cause<unknown>, { key, rules = [] }: ProtectOptions, moment: Moment.Moment): void {
    const { maxPause } = this.tuning
    const error = Cause.findErrorOption(cause)
    // Our own rejections are no word of the dependency.
    if (maxPause === 0 || Option.isNone(error) || isResilienceError(error.value)) return
    const { kind, retryAfter } = Errors.classify(error.value, [...rules, ...moment.fiber.getRef(Errors.Rules)], {
      now: moment.clock.currentTimeMillisUnsafe()
    })
    if (kind !== "rate_limited" || retryAfter === undefined) return
    const millis = Math.min(Duration.toMillis(retryAfter), maxPause)
    moment.read()
    if (millis > 0) this.pauseUnsafe(key, millis, "response", moment)
  }

  /** @internal */
  pauseUnsafe(key: string | undefined, millis: number, because: "response" | "operator", moment: Moment.Moment): void {
    const isForAll = !this.tuning.perKey || (key === undefined && because === "operator")
    const lane = this.laneOf(key, moment)
    const isNews = isForAll ? this.pauseAll(millis, moment.now) : lane.pauseUnsafe(millis, moment.now)
    if (!isNews || !this.events.isActive()) return
    this.events.publishUnsafe({
      _tag: "RateLimitPaused",
      operation: this.operation,
      key: isForAll ? undefined : key,
      at: timestamp(moment.clock),
      scope: this.scope,
      because,
      pausedFor: Duration.millis(millis)
    })
  }

  /** Whether it is news to any key. */
  private pauseAll(millis: number, now: number): boolean {
    this.pausedUntil = Math.max(this.pausedUntil, now + millis)
    return Array.from(this.lanes(), (lane) => lane.pauseUnsafe(millis, now)).includes(true)
  }

  /** @internal */
  resumeUnsafe(key: string | undefined, moment: Moment.Moment): void {
    const isForAll = !this.tuning.perKey || key === undefined
    const lane = this.laneOf(key, moment)
    if (isForAll) this.pausedUntil = -Infinity
    const lanes = isForAll ? this.lanes() : [lane]
    const wasPaused = Array.from(lanes, (lane) => lane.resumeUnsafe(moment.now)).includes(true)
    if (!wasPaused || !this.events.isActive()) return
    this.events.publishUnsafe({
      _tag: "RateLimitResumed",
      operation: this.operation,
      key: isForAll ? undefined : key,
      at: timestamp(moment.clock),
      scope: this.scope
    })
  }

  /** Changes the settings in force. What is counted stays, and so does who waits. Throws `InvalidSettings`. */
  retuneUnsafe(settings: Settings): void {
    const before = this.tuning
    this.tuning = tune(settings, this.splits)
    if (this.clock === undefined) return
    for (const lane of this.lanes()) lane.retuneUnsafe(before, this.clock)
    if (before.perKey === this.tuning.perKey) return
    const now = Monotonic.now(this.clock)
    let left = 0
    for (const lane of this.lanes()) left = Math.max(left, lane.pausedFor(now))
    if (left > 0) this.pauseAll(left, now)
  }

  isAtRest(now: number): boolean {
    if (this.pausedUntil > now) return false
    for (const lane of this.lanes()) if (!lane.isAtRest(now)) return false
    return true
  }

  snapshotUnsafe(clock: Clock.Clock): Snapshot {
    const now = Monotonic.now(clock)
    const keys = Array.from(this.lanes(), (lane) => lane.snapshotUnsafe(now))
    const { granted, refused, returned, started, waited } = this
    return {
      operation: this.operation,
      scope: this.scope,
      settings: this.tuning.settings,
      counters: { granted, started, returned, held: granted - started - returned, refused, waited },
      waiting: keys.reduce((sum, { waiting }) => sum + waiting, 0),
      size: keys.length,
      keys: keys.toSorted(byNeed).slice(0, maxShown)
    }
  }

  /** @internal */
  snapshotsUnsafe(clock: Clock.Clock): ReadonlyArray<Snapshot> {
    return [this.snapshotUnsafe(clock)]
  }

  private *lanes(): IterableIterator<Lane> {
    if (this.unkeyed !== undefined) yield this.unkeyed
    if (this.keyed !== undefined) yield* this.keyed.entries.values()
    if (this.overflow !== undefined) yield this.overflow
  }

  /** The lane of a key, made if it is new. */
  private laneOf(key: string | undefined, moment: Moment.Moment): Lane {
    if (key === undefined || !this.tuning.perKey) return (this.unkeyed ??= this.open(undefined, moment))
    const known = this.keyed?.get(key)
    if (known !== undefined) return known
    const added = this.open(key, moment)
    this.keyed ??= new BoundedMap(this.maxKeys, (lane, now) => lane.isAtRest(now))
    if (this.keyed.add(key, added, moment.now)) return added
    // Full of keys that must stay: what is left over is limited together.
    return (this.overflow ??= this.open(overflowKey, moment))
  }

  private open(key: string | undefined, moment: Moment.Moment): Lane {
    this.clock ??= moment.clock
    const lane = new Lane(this, key)
    if (this.pausedUntil > moment.now) lane.pauseUnsafe(this.pausedUntil - moment.now, moment.now)
    return lane
  }
}

const byNeed = (a: KeySnapshot, b: KeySnapshot): number =>
  Duration.toMillis(b.pausedFor) - Duration.toMillis(a.pausedFor) ||
  b.waiting - a.waiting ||
  a.available - b.available ||
  b.refused - a.refused

/**
 * The limits of one operation: one for each key, or one for all.
 *
 * @category services
 * @since 0.1.0
 */
export class RateLimiter
  extends /*#__PURE__*/ Context.Service<
    RateLimiter,
    {
      /** Runs an effect when it has room. */
      readonly protect: (
        options?: ProtectOptions
      ) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | RateLimitRejection, R>
      /** Takes units for what is to come. What is not settled when the scope ends comes back. */
      readonly reserve: (options?: CallOptions) => Effect.Effect<Reservation, RateLimitRejection, Scope.Scope>
      /** Admits no call of a key, or without one no call at all, for so long, 1 ms to 1 day. A pause that lasts longer stays. */
      readonly pause: (key: string | undefined, duration: Duration.Input) => Effect.Effect<void>
      /** Ends the pause of a key, or without one every pause, before its time. */
      readonly resume: (key: string | undefined) => Effect.Effect<void>
      /** Changes the settings. Throws `InvalidSettings`, and changes nothing then. */
      readonly retune: (settings: SettingsInput | Settings) => Effect.Effect<void>
      readonly snapshot: Effect.Effect<Snapshot>
    }
  >()("breakwater/RateLimiter")
{
  /** Throws `InvalidSettings` at once, not when the layer is built. */
  static readonly layer = (options: MakeOptions): Layer.Layer<RateLimiter> => {
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
  /** The scope in errors and events. Default `quota`. */
  readonly scope?: RateLimitExceeded["scope"] | undefined
  /** Keys kept at most, 1 to 1,000,000. Default 10,000. */
  readonly maxKeys?: number | undefined
  /** Rules asked before the built-in classification of errors. */
  readonly rules?: ReadonlyArray<Errors.Rule> | undefined
}

/**
 * Makes a limiter that has counted nothing. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: MakeOptions): Effect.Effect<RateLimiter["Service"]> => {
  const { maxKeys, operation, rules, scope = "quota" } = options
  const checked = settings(options.settings)
  Settings_.checkMaxKeys("RateLimiter", maxKeys)
  return Effect.zipWith(ResilienceEvents, Clock.Clock, (events, clock) =>
    service(
      new Limiter({
        operation,
        slot: scope,
        events,
        maxKeys,
        now: Monotonic.now(clock),
        settings: checked,
        scope,
        splits: true
      }),
      rules
    )
  )
}

const service = (limiter: Limiter, rules: ReadonlyArray<Errors.Rule> | undefined): RateLimiter["Service"] => ({
  protect: (options = {}) => {
    if (options.cost !== undefined) checkUnits(options.cost, 1)
    const call = rules === undefined ? options : { ...options, rules: [...(options.rules ?? []), ...rules] }
    return (self) => Effect.withFiber((fiber) => limiter.run(self, call, Moment.of(fiber)))
  },
  reserve: (options = {}) => {
    if (options.cost !== undefined) checkUnits(options.cost, 1)
    return limiter.reserve(options)
  },
  pause: (key, duration) => {
    const length = Duration.fromInputUnsafe(duration)
    const millis = Duration.toMillis(length)
    if (!(millis >= 1 && millis <= maxPauseMillis)) {
      throw invalid("duration", duration, `expected a duration from 1ms to 1d, got ${Duration.format(length)}`)
    }
    return Effect.withFiber((fiber) =>
      Effect.sync(() => limiter.pauseUnsafe(key, millis, "operator", Moment.of(fiber)))
    )
  },
  resume: (key) => Effect.withFiber((fiber) => Effect.sync(() => limiter.resumeUnsafe(key, Moment.of(fiber)))),
  retune: (input) => {
    const checked = settings(input)
    return Effect.sync(() => limiter.retuneUnsafe(checked))
  },
  snapshot: Effect.map(Clock.Clock, (clock) => limiter.snapshotUnsafe(clock))
})

const maxPauseMillis = /*#__PURE__*/ Duration.toMillis("1 day")
