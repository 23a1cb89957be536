/**
 * Lets so many calls run at once, so that one slow dependency cannot take all
 * that a program has.
 *
 * **Details**
 *
 * - `maxConcurrent` calls run. `maxQueue` others wait, `maxWait` at most and
 *   never past the deadline of their call. The rest fails with `BulkheadFull`
 *   at once. Without a queue, which is the default, nothing ever waits.
 * - Whose turn it is: the highest `Priority` first; of those, the tenant of whom
 *   the fewest run; of equals, the tenant whose last turn is longest ago; of one
 *   tenant, who came first, or last with `lifo`.
 * - The tenant is the key of the call. Calls without one are one tenant. However
 *   many calls of others wait, the first call of a tenant starts within as many
 *   turns as tenants of its priority wait. With `lifo` a tenant that waits on
 *   after its turn lets those that came since go first.
 * - A full queue makes room for a newcomer that stands above the last in it:
 *   one of a higher priority, one whose tenant waits less, and with `lifo` any.
 *   The call that gives way fails with `BulkheadFull`.
 * - `resize` returns at once. A smaller bulkhead interrupts nothing: it admits
 *   again when fewer run than it has places. A larger one admits those who wait.
 * - With `perKey` each key has a bulkhead of its own, `maxKeys` at most, and
 *   there are no tenants. Keys beyond the bound share one.
 *
 * **Gotchas**
 *
 * - A place is held until the effect and its finalizers have ended. An attempt
 *   timeout inside, with `detach`, gives the place back when the caller is
 *   released: what was abandoned is still running beside those who are counted.
 * - A bulkhead around a retry is held during the pauses. Stand it inside.
 * - Priorities are strict: as long as enough calls of a higher one come, those of
 *   a `low` one wait until `maxWait`, and are refused then. Tenants are fair to
 *   each other within a priority, not across.
 *
 * **Example** (Refusing what is too much)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Bulkhead } from "breakwater"
 *
 * const program = Effect.gen(function*() {
 *   const bulkhead = yield* Bulkhead.make({ operation: "reports", settings: { maxConcurrent: 1 } })
 *   const answer = Effect.sleep("10 millis").pipe(
 *     Effect.as("done"),
 *     bulkhead.protect(),
 *     Effect.catchReason("ResilienceError", "BulkheadFull", ({ active, limit }) =>
 *       Effect.succeed(`${active} of ${limit} run`)
 *     )
 *   )
 *   return yield* Effect.all([answer, answer], { concurrency: "unbounded" })
 * })
 *
 * await Effect.runPromise(program) // => ["done", "1 of 1 run"]
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as DeadlineQueue from "./DeadlineQueue.ts"
import { ResilienceEvents, type Sink, timestamp } from "./EventSink.ts"
import * as Attempt from "./Attempt.ts"
import { BoundedMap } from "./internal/boundedMap.ts"
import * as machine from "./internal/bulkheadMachine.ts"
import type { Entry } from "./internal/deadlineList.ts"
import * as fairQueue from "./internal/fairQueue.ts"
import * as Moment from "./Moment.ts"
import * as Monotonic from "./Monotonic.ts"
import * as Policy from "./Policy.ts"
import * as Priority from "./Priority.ts"
import { BulkheadFull, reject, type ResilienceError } from "./ResilienceError.ts"
import * as Settings_ from "./Settings.ts"
import * as Watch from "./Watch.ts"

/**
 * Who goes first among calls of one priority and one tenant: `fifo`, who waits
 * longest; `lifo`, who came last, which answers the freshest calls when there
 * are more than can ever be answered. Of several tenants, whose turn is next;
 * with `lifo`, those first that had none yet, the newest before the others.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Order = /*#__PURE__*/ Schema.Literals(["fifo", "lifo"])

/**
 * @category models
 * @since 0.1.0
 */
export type Order = typeof Order.Type

/**
 * How many run, how many wait, and how long.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/Bulkhead/Settings")({
  /** Calls that run at once, 1 to 100,000. Default 25. */
  maxConcurrent: Settings_.count({ minimum: 1, maximum: 100_000 }).pipe(Settings_.withDefault(25)),
  /** Calls that wait, 0 to 100,000. Default 0. */
  maxQueue: Settings_.count({ minimum: 0, maximum: 100_000 }).pipe(Settings_.withDefault(0)),
  /** Longest wait, 0 to 1 hour. Default 0: a call that would have to wait is refused. */
  maxWait: Settings_.duration({ minimum: 0, maximum: "1 hour" }).pipe(Settings_.withDefault(Duration.zero)),
  /** Default `fifo`. */
  order: Order.pipe(Settings_.withDefault("fifo")),
  /** Whether each key has places of its own. Default `false`: keys share them, as tenants. */
  perKey: Schema.Boolean.pipe(Settings_.withDefault(false))
}) {
  /** @internal */
  placeUnsafe(known: Policy.Placed | undefined, services: Policy.Services, isOwn: boolean): Policy.Placed {
    return Policy.place(this, known, services, isOwn)
  }

  /** Starts the policy for an operation. */
  startUnsafe(services: Policy.Services): Policy.Running<Settings, Snapshot> {
    return new Bulkheads(settings(this), services)
  }
}

/**
 * Settings as code writes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly maxConcurrent?: number | undefined
  readonly maxQueue?: number | undefined
  readonly maxWait?: Duration.Input | undefined
  readonly order?: Order | undefined
  readonly perKey?: boolean | undefined
}

/**
 * Checks settings. Throws `InvalidSettings`, also for a queue in which nothing
 * may wait, and for a wait without a queue.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settings = (input: SettingsInput | Settings = {}): Settings => {
  const checked =
    input instanceof Settings
      ? input
      : Settings_.make(Settings, { settings: "Bulkhead", input, durations: ["maxWait"] })
  const { maxQueue, maxWait } = checked
  if (maxQueue > 0 === Duration.isPositive(maxWait)) return checked
  throw new Settings_.InvalidSettings({
    settings: "Bulkhead",
    findings: [
      maxQueue > 0
        ? { path: "maxWait", value: maxWait, rule: `expected more than 0 with a maxQueue of ${maxQueue}, got 0` }
        : {
            path: "maxQueue",
            value: maxQueue,
            rule: `expected at least 1 with a maxWait of ${Duration.format(maxWait)}, got 0`
          }
    ]
  })
}

/**
 * What a bulkhead has counted since it was made.
 * `waited = admitted after a wait + rejected after a wait + interrupted + queued`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counters {
  readonly admitted: number
  readonly rejected: number
  /** Calls that had to wait. */
  readonly waited: number
  /** Of the rejected, those that had waited. */
  readonly gaveUp: number
  /** Interrupted while they waited. */
  readonly interrupted: number
}

/**
 * A bulkhead at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  /** The operation, and `operation:key` for a bulkhead of one key. */
  readonly name: string
  readonly operation: string
  readonly key: string | undefined
  /** Calls that run. */
  readonly active: number
  /** Calls that wait. */
  readonly queued: number
  /** Calls that may run. Fewer than `active` for a while after a resize. */
  readonly limit: number
  readonly settings: Settings
  readonly counters: Counters
  /** The longest that a call has waited for its place, or until it gave up. */
  readonly longestWait: Duration.Duration
}

/**
 * The error of a call that found no place.
 *
 * @category models
 * @since 0.1.0
 */
export type BulkheadRejection = ResilienceError<BulkheadFull>

/** What all gates of one operation share. */
interface Shared {
  readonly operation: string
  readonly tuning: Tuning
}

interface Tuning {
  readonly settings: Settings
  readonly machine: machine.Settings
  readonly maxWait: number
}

const tune = (settings: Settings): Tuning => ({
  settings,
  machine: { limit: settings.maxConcurrent, maxQueue: settings.maxQueue, order: settings.order },
  maxWait: Duration.toMillis(settings.maxWait)
})

/** The places of an operation, or of one key. */
class Gate {
  touched = false
  readonly key: string | undefined
  private readonly shared: Shared
  private readonly state = machine.make()
  private admitted = 0
  private rejected = 0
  private waited = 0
  private gaveUp = 0
  private interrupted = 0
  private longestWait = 0

  constructor(shared: Shared, key: string | undefined) {
    this.shared = shared
    this.key = key
  }

  get isAtRest(): boolean {
    return this.state.active === 0 && machine.queued(this.state) === 0
  }

  get wasUsed(): boolean {
    return this.admitted > 0 || this.rejected > 0 || this.waited > 0
  }

  get active(): number {
    return this.state.active
  }

  get queued(): number {
    return machine.queued(this.state)
  }

  /** Takes a place if one is free. */
  enter(tenant: string | undefined): fairQueue.Tenant | undefined {
    const place = machine.admit(this.shared.tuning.machine, this.state, tenant)
    if (place !== undefined) this.admitted++
    return place
  }

  /** Takes a place or waits for one. */
  arrive(waiting: Waiting): void {
    const arrival = machine.arrive(this.shared.tuning.machine, this.state, waiting)
    if (arrival._tag === "Full") return waiting.refused(this.refuse(waiting.callKey, 0))
    if (arrival._tag === "Admitted") {
      this.admitted++
      waiting.place = arrival.place
      return waiting.wake()
    }
    this.waited++
    waiting.startTimer()
    if (arrival.displaced !== undefined) this.giveUp(arrival.displaced as Waiting)
  }

  /** Gives back the place of a call that was refused elsewhere. */
  withdraw(place: fairQueue.Tenant): void {
    this.admitted--
    this.release(place)
  }

  release(place: fairQueue.Tenant): void {
    this.give(machine.release(this.shared.tuning.machine, this.state, place))
  }

  retune(): void {
    this.give(machine.retune(this.shared.tuning.machine, this.state))
  }

  /** The wait of one who waits is over. */
  expire(waiting: Waiting): void {
    if (machine.cancel(this.state, waiting)) this.giveUp(waiting)
  }

  /** Whoever waited, or got a place after it, is gone. */
  leave(waiting: Waiting): void {
    if (waiting.place !== undefined) return this.release(waiting.place)
    if (!machine.cancel(this.state, waiting)) return
    waiting.stopTimer()
    this.interrupted++
  }

  hasWaited(millis: number): void {
    if (millis > this.longestWait) this.longestWait = millis
  }

  refuse(key: string | undefined, waited: number): BulkheadRejection {
    this.rejected++
    const { operation, tuning } = this.shared
    return reject(
      operation,
      key,
      new BulkheadFull({
        active: this.state.active,
        queued: machine.queued(this.state),
        limit: tuning.machine.limit,
        waited: Duration.millis(waited)
      })
    )
  }

  snapshot(): Snapshot {
    const { operation, tuning } = this.shared
    return {
      name: this.key === undefined ? operation : `${operation}:${this.key}`,
      operation,
      key: this.key,
      active: this.state.active,
      queued: machine.queued(this.state),
      limit: tuning.machine.limit,
      settings: tuning.settings,
      counters: {
        admitted: this.admitted,
        rejected: this.rejected,
        waited: this.waited,
        gaveUp: this.gaveUp,
        interrupted: this.interrupted
      },
      longestWait: Duration.millis(this.longestWait)
    }
  }

  private give(grants: ReadonlyArray<machine.Grant>): void {
    // Whoever is woken or stopped below may interrupt one that is still to come:
    // by then it must know what it holds.
    for (const { place, waiter } of grants) {
      const waiting = waiter as Waiting
      waiting.place = place
    }
    for (const { waiter } of grants) {
      this.admitted++
      const waiting = waiter as Waiting
      waiting.stopTimer()
      waiting.wake()
    }
  }

  private giveUp(waiting: Waiting): void {
    waiting.stopTimer()
    this.gaveUp++
    const millis = waiting.elapsed()
    this.hasWaited(millis)
    waiting.refused(this.refuse(waiting.callKey, millis))
  }
}

/** A call that waits for its place. */
class Waiting extends fairQueue.Waiter {
  /** What it holds once its turn has come. */
  place: fairQueue.Tenant | undefined = undefined
  readonly callKey: string | undefined
  readonly since: number
  private readonly gate: Gate
  private readonly fiber: Fiber.Fiber<unknown, unknown>
  private readonly moment: Moment.Moment
  private readonly limit: number
  private readonly until: number
  private readonly resume: (effect: Effect.Effect<void, BulkheadRejection>) => void
  private entry: Entry | undefined = undefined

  constructor(
    gate: Gate,
    call: { readonly key: string | undefined; readonly tenant: string | undefined; readonly maxWait: number },
    fiber: Fiber.Fiber<unknown, unknown>,
    moment: Moment.Moment,
    resume: (effect: Effect.Effect<void, BulkheadRejection>) => void
  ) {
    super(call.tenant, Priority.rank(fiber.getRef(Priority.Current)))
    this.gate = gate
    this.fiber = fiber
    this.callKey = call.key
    this.moment = moment
    this.since = moment.now
    this.resume = resume
    const { deadline } = moment
    const isClipped = deadline !== undefined && deadline.at < this.since + call.maxWait
    // The limit chooses a list of the queue, so it must be one of a few.
    this.limit = isClipped ? deadline.limit : call.maxWait
    this.until = isClipped ? deadline.at : this.since + call.maxWait
  }

  elapsed(): number {
    return Math.max(this.moment.read() - this.since, 0)
  }

  startTimer(): void {
    this.entry = DeadlineQueue.of(this.moment.clock).add(this.fiber, this.since, this.limit, this.until, () =>
      this.gate.expire(this)
    )
  }

  stopTimer(): void {
    if (this.entry !== undefined) DeadlineQueue.of(this.moment.clock).remove(this.entry)
  }

  wake(): void {
    // It goes on in its own turn: whoever gave the place up would else run all
    // that wait, one inside the other.
    this.resume(Effect.yieldNow)
  }

  refused(error: BulkheadRejection): void {
    this.resume(Effect.fail(error))
  }
}

/**
 * The bulkhead of one operation, or one for each of its keys, at hand for
 * whoever composes policies.
 *
 * @category models
 * @since 0.1.0
 */
export class Bulkheads implements Policy.Running<Settings, Snapshot> {
  readonly operation: string
  private readonly events: Sink
  private readonly maxKeys: number
  private current: Tuning
  private readonly shared: Gate
  private keyed: BoundedMap<string, Gate> | undefined = undefined
  private overflow: Gate | undefined = undefined

  /** @internal */
  constructor(settings: Settings, services: Policy.Services) {
    this.operation = services.operation
    this.events = services.events
    this.maxKeys = services.maxKeys ?? 10_000
    this.current = tune(settings)
    this.shared = new Gate(this, undefined)
  }

  /** The settings in force, prepared. @internal */
  get tuning(): Tuning {
    return this.current
  }

  /** Guards one run of an effect. */
  run<A, E, R>(
    self: Effect.Effect<A, E, R>,
    { key }: Policy.Call,
    moment: Moment.Moment,
    observer?: Policy.Observer
  ): Effect.Effect<A, E | BulkheadRejection, R> {
    let gate = this.shared
    let place: fairQueue.Tenant | undefined
    let waiting: Waiting | undefined
    let startedAt: number | undefined
    const start = (): Effect.Effect<A, E, R> => {
      if (observer !== undefined) {
        startedAt = moment.now
        observer.onAdmitted()
      }
      return self
    }
    // The exit is watched before there is a place to lose: wherever an
    // interruption falls, it comes back.
    return Watch.end(
      Effect.suspend((): Effect.Effect<A, E | BulkheadRejection, R> => {
        const { maxWait, settings } = this.current
        gate = this.gateFor(key, moment)
        const tenant = this.tenantOf(key)
        place = gate.enter(tenant)
        if (place !== undefined) return start()
        if (settings.maxQueue === 0 || Math.min(maxWait, moment.left) <= 0) return Effect.fail(gate.refuse(key, 0))
        Moment.enqueue(moment)
        return Effect.flatMap(
          Effect.callback<void, BulkheadRejection>((resume) => {
            waiting = new Waiting(gate, { key, tenant, maxWait }, Fiber.getCurrent()!, moment, resume)
            gate.arrive(waiting)
          }),
          () => {
            gate.hasWaited(Moment.dequeue(moment) - waiting!.since)
            return start()
          }
        )
      }),
      () => {
        // The effect may run again, for the next attempt.
        if (startedAt !== undefined) {
          observer!.onSettled(moment.read() - startedAt, moment)
          startedAt = undefined
        }
        if (place !== undefined) {
          const held = place
          place = undefined
          gate.release(held)
        } else if (waiting !== undefined) {
          const gone = waiting
          waiting = undefined
          // It may have waited in vain.
          Moment.dequeue(moment)
          gate.leave(gone)
        }
        return undefined
      }
    )
  }

  /** The same for an attempt that has not to wait, in the step in which it begins. */
  beginUnsafe<A, E, R>(
    begin: Attempt.Begin<A, E, R>,
    otherwise: () => Effect.Effect<A, E, R>,
    { key }: Policy.Call,
    moment: Moment.Moment
  ): ReturnType<Attempt.Begin<A, E, R>> {
    const gate = this.gateFor(key, moment)
    // Before anything else begins, which may tell listeners, and they may make calls.
    const place = gate.enter(this.tenantOf(key))
    if (place === undefined) return otherwise()
    const ended = begin()
    if (!Attempt.hasBegun(ended)) {
      gate.withdraw(place)
      return ended
    }
    return (exit) => {
      gate.release(place)
      ended(exit)
    }
  }

  /** Changes the settings in force. Calls that run or wait stay. */
  retuneUnsafe(input: Settings): void {
    this.current = tune(settings(input))
    for (const gate of this.gates()) gate.retune()
  }

  /** Changes how many may run at once, and tells it. @internal */
  resizeUnsafe(maxConcurrent: number, clock: Clock.Clock): void {
    const { settings: before } = this.current
    const { maxQueue, maxWait, order, perKey } = before
    const after = settings({ maxConcurrent, maxQueue, maxWait, order, perKey })
    if (after.maxConcurrent === before.maxConcurrent) return
    this.retuneUnsafe(after)
    if (!this.events.isActive()) return
    let [active, queued] = [0, 0]
    for (const gate of this.gates()) {
      active += gate.active
      queued += gate.queued
    }
    this.events.publishUnsafe({
      _tag: "BulkheadResized",
      operation: this.operation,
      at: timestamp(clock),
      from: before.maxConcurrent,
      to: after.maxConcurrent,
      active,
      queued
    })
  }

  /** Nothing runs and nothing waits. */
  isAtRest(): boolean {
    for (const gate of this.gates()) if (!gate.isAtRest) return false
    return true
  }

  /** Every bulkhead that exists; the one without a key only once it was used. */
  snapshotsUnsafe(): ReadonlyArray<Snapshot> {
    const [shared, ...keyed] = this.gates()
    const shown = shared!.wasUsed || keyed.length === 0 ? [shared!, ...keyed] : keyed
    return shown.map((gate) => gate.snapshot())
  }

  /** The bulkhead of a key, made if it is new. @internal */
  snapshotUnsafe(key: string | undefined, moment: Moment.Moment): Snapshot {
    return this.gateFor(key, moment).snapshot()
  }

  /** With a bulkhead for each key, none has tenants. */
  private tenantOf(key: string | undefined): string | undefined {
    return this.current.settings.perKey ? undefined : key
  }

  private gateFor(key: string | undefined, moment: Moment.Moment): Gate {
    if (key === undefined || !this.current.settings.perKey) return this.shared
    this.keyed ??= new BoundedMap(this.maxKeys, (gate) => gate.isAtRest)
    const known = this.keyed.get(key)
    if (known !== undefined) return known
    const added = new Gate(this, key)
    if (this.keyed.add(key, added, moment.now)) return added
    // Full of bulkheads in use: what is left over is limited together.
    this.overflow ??= new Gate(this, overflowKey)
    return this.overflow
  }

  private gates(): ReadonlyArray<Gate> {
    const keyed = this.keyed === undefined ? [] : Array.from(this.keyed.entries.values())
    return this.overflow === undefined ? [this.shared, ...keyed] : [this.shared, ...keyed, this.overflow]
  }
}

const overflowKey = "(overflow)"

/**
 * What `protect` may be told about a call.
 *
 * @category models
 * @since 0.1.0
 */
export interface ProtectOptions {
  /** The tenant of the call; with `perKey`, which bulkhead. */
  readonly key?: string | undefined
}

/**
 * The bulkhead of one operation.
 *
 * @category services
 * @since 0.1.0
 */
export class Bulkhead
  extends /*#__PURE__*/ Context.Service<
    Bulkhead,
    {
      /** Runs an effect once it has a place, and gives the place back when it ends. */
      readonly protect: (
        options?: ProtectOptions
      ) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | BulkheadRejection, R>
      /**
       * Changes how many may run at once, and returns at once. Whoever runs or
       * waits stays; after a cut, calls are admitted when fewer run than may.
       */
      readonly resize: (maxConcurrent: number) => Effect.Effect<void, Settings_.InvalidSettings>
      /** The bulkhead now; with `perKey` that of a key, made if it is new. */
      readonly snapshot: (key?: string) => Effect.Effect<Snapshot>
      /** Every bulkhead that exists. One, unless `perKey`. */
      readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot>>
    }
  >()("breakwater/Bulkhead")
{
  /** Throws `InvalidSettings` at once, not when the layer is built. */
  static readonly layer = (options: MakeOptions): Layer.Layer<Bulkhead> => {
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
  /** Bulkheads kept at most with `perKey`, 1 to 1,000,000. Default 10,000. */
  readonly maxKeys?: number | undefined
}

/**
 * Makes a bulkhead in which nothing runs. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ maxKeys, operation, ...options }: MakeOptions): Effect.Effect<Bulkhead["Service"]> => {
  const checked = settings(options.settings)
  Settings_.checkMaxKeys("Bulkhead", maxKeys)
  return Effect.zipWith(ResilienceEvents, Clock.Clock, (events, clock) =>
    service(new Bulkheads(checked, { operation, slot: "bulkhead", events, maxKeys, now: Monotonic.now(clock) }))
  )
}

const service = (bulkheads: Bulkheads): Bulkhead["Service"] => ({
  protect: (options = {}) => {
    return (self) => Effect.withFiber((fiber) => bulkheads.run(self, options, Moment.of(fiber)))
  },
  resize: (maxConcurrent) =>
    Effect.flatMap(Clock.Clock, (clock) =>
      Effect.try({
        try: () => bulkheads.resizeUnsafe(maxConcurrent, clock),
        catch: (error) => error as Settings_.InvalidSettings
      })
    ),
  snapshot: (key) => Effect.withFiber((fiber) => Effect.succeed(bulkheads.snapshotUnsafe(key, Moment.of(fiber)))),
  snapshots: Effect.sync(() => bulkheads.snapshotsUnsafe())
})
