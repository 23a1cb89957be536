/**
 * Keeps the repetitions of calls to a share of the calls, so that retries do
 * not finish off a dependency that is in trouble.
 *
 * **Details**
 *
 * - One budget for each dependency, for everything that repeats its calls. A
 *   repetition is granted as long as there are fewer than
 *   `max(floor, ratio × calls)`; the bound is not rounded.
 * - `window`, the default, counts the calls and repetitions of the last
 *   `window`. Its floor is `minPerSecond × window`, so a dependency with few
 *   calls can still be retried.
 * - `in_flight` counts attempts that run, and repetitions that run or wait for
 *   their turn. Its floor is `minConcurrent`. With few calls at once it is
 *   coarse: one call in flight has the floor and nothing else.
 * - A repetition is reserved before its pause and returned if it does not
 *   happen. A refused one leaves the error of the last attempt in place.
 * - A call that we refuse before it runs is no call to the dependency.
 * - Budgets are kept for `maxKeys` dependencies. Those that remember nothing are
 *   forgotten first; beyond the bound dependencies share one.
 *
 * **Gotchas**
 *
 * - The window is forgotten in tenths: what happened counts for nine tenths of it
 *   at least.
 * - With a window of another length, what counts goes on counting as if it had
 *   happened when the next call came.
 *
 * **Example** (Two retries in ten seconds, whoever asks)
 *
 * ```ts import.meta.vitest
 * import { Effect, Ref } from "effect"
 * import { Retry, RetryBudget } from "breakwater"
 *
 * const program = Effect.gen(function*() {
 *   const budgets = yield* RetryBudget.make({ settings: { minPerSecond: 0.2 } })
 *   const attempts = yield* Ref.make(0)
 *   yield* Ref.update(attempts, (n) => n + 1).pipe(
 *     Effect.andThen(Effect.fail("down")),
 *     Retry.retry({ budget: budgets.of("model"), settings: { maxAttempts: 10, base: "1 milli", jitter: "none" } }),
 *     Effect.ignore
 *   )
 *   return yield* Ref.get(attempts)
 * })
 *
 * await Effect.runPromise(program) // => 3
 * ```
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { BoundedMap } from "./internal/boundedMap.ts"
import * as machine from "./internal/budgetMachine.ts"
import * as Monotonic from "./Monotonic.ts"
import type * as Policy from "./Policy.ts"
import * as Settings_ from "./Settings.ts"

/**
 * What a budget counts: what happened in the last `window`, or what is
 * `in_flight` at this moment.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Form = /*#__PURE__*/ Schema.Literals(["window", "in_flight"])

/**
 * @category models
 * @since 0.1.0
 */
export type Form = typeof Form.Type

/**
 * How many repetitions a dependency is spared.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/RetryBudget/Settings")({
  /** Default `window`. */
  form: Form.pipe(Settings_.withDefault("window")),
  /** Repetitions for each call, 0.001 to 1. Default 0.2. */
  ratio: Settings_.number({ minimum: 0.001, maximum: 1 }).pipe(Settings_.withDefault(0.2)),
  /** With `window`: repetitions a second that are granted in any case, 0 to 1,000. Default 1. */
  minPerSecond: Settings_.number({ minimum: 0, maximum: 1_000 }).pipe(Settings_.withDefault(1)),
  /** With `in_flight`: repetitions at once that are granted in any case, 0 to 1,000. Default 3. */
  minConcurrent: Settings_.count({ minimum: 0, maximum: 1_000 }).pipe(Settings_.withDefault(3)),
  /** What `window` remembers, 1 second to 1 hour. Default 10 seconds. */
  window: Settings_.duration({ minimum: "1 second", maximum: "1 hour" }).pipe(
    Settings_.withDefault(Duration.seconds(10))
  ),
  /**
   * In a strategy: whose calls are limited, 1 to 64 characters. Strategies that
   * name the same dependency share one budget, with the numbers of the one that
   * came into use last. Default: the operation, by itself.
   */
  dependency: Schema.optionalKey(Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(64)))
}) {
  /** @internal */
  keepUnsafe(maxKeys: number): Policy.KeptBudgets {
    // Given only what was made here, which the compiler cannot see.
    return new Kept(maxKeys) as unknown as Policy.KeptBudgets
  }
}

type Started = { readonly settings: Settings; readonly running: Policy.RunningBudget<Settings, Snapshot> }

/** The budget of one dependency. */
const start = (settings: Settings, dependency: string): Started["running"] => {
  const budgets = new Budgets(settings, 1)
  const { open, spend } = budgets.of(dependency)
  return {
    get countsRunning() {
      return budgets.countsRunning
    },
    open,
    spend,
    retuneUnsafe: (settings) => budgets.retuneUnsafe(settings),
    isAtRest: (now) => budgets.isAtRest(now),
    snapshotUnsafe: (clock) => budgets.snapshotUnsafe(dependency, clock)
  }
}

/** What runs goes on. */
const retuned = (known: Started | undefined, settings: Settings, dependency: string): Started => {
  if (known === undefined) return { settings, running: start(settings, dependency) }
  if (known.settings !== settings) known.running.retuneUnsafe(settings)
  return { settings, running: known.running }
}

const isShared = ({ settings }: Started): boolean => settings.dependency !== undefined

/** The budgets of one program. */
class Kept {
  private readonly byDependency: BoundedMap<string, { touched: boolean; started: Started }>
  private leftOver: Started | undefined = undefined

  constructor(maxKeys: number) {
    this.byDependency = new BoundedMap(maxKeys, ({ started }, now) => started.running.isAtRest(now))
  }

  private shared(settings: Settings, now: number): Started["running"] | undefined {
    const { dependency } = settings
    if (dependency === undefined) return undefined
    const known = this.byDependency.get(dependency)
    const started = retuned(known?.started, settings, dependency)
    if (known !== undefined) known.started = started
    else if (!this.byDependency.add(dependency, { touched: false, started }, now)) {
      // Full of budgets in use: what is left over shares one.
      this.leftOver = retuned(this.leftOver, settings, "(overflow)")
      return this.leftOver.running
    }
    return started.running
  }

  prepare(settings: Settings, now: number) {
    const shared = this.shared(settings, now)
    return {
      start: (operation: string, known: Started | undefined, isOwn: boolean): Started => {
        const isMissing = known === undefined || (shared === undefined && isShared(known))
        if (known !== undefined && !isOwn && !isMissing) return known
        if (shared !== undefined) return { settings, running: shared }
        // Others may count on a shared one.
        return retuned(known === undefined || isShared(known) ? undefined : known, settings, operation)
      },
      // An operation whose calls ask for one of its own has got it.
      of: (known: Started | undefined) => shared ?? known!.running
    }
  }
}

/**
 * Settings as code writes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly form?: Form | undefined
  readonly ratio?: number | undefined
  readonly minPerSecond?: number | undefined
  readonly minConcurrent?: number | undefined
  readonly window?: Duration.Input | undefined
  readonly dependency?: string | undefined
}

/**
 * Checks settings. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settings = (input: SettingsInput | Settings = {}): Settings =>
  input instanceof Settings
    ? input
    : Settings_.make(Settings, { settings: "RetryBudget", input, durations: ["window"] })

const toMachine = (settings: Settings): machine.Settings => ({
  form: settings.form,
  ratio: settings.ratio,
  floor:
    settings.form === "window" ? settings.minPerSecond * Duration.toSeconds(settings.window) : settings.minConcurrent,
  windowMillis: Duration.toMillis(settings.window)
})

/**
 * The budget of a dependency at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly dependency: string
  /** Repetitions that are left: from 0 to `max`. */
  readonly tokens: number
  /** Repetitions at most, by what is counted now. */
  readonly max: number
  /** Repetitions that count now: of the window, or in flight. */
  readonly used: number
  readonly settings: Settings
  /** Since the budget was made. `granted − returned` repetitions happened or are about to. */
  readonly counters: machine.Counters
}

interface Tuning {
  readonly settings: Settings
  readonly machine: machine.Settings
}

const tune = (settings: Settings): Tuning => ({ settings, machine: toMachine(settings) })

/** The budget of one dependency. */
class Account implements Policy.Account {
  touched = false
  readonly dependency: string
  tuning: Tuning
  private readonly state = new machine.Account()

  constructor(dependency: string, tuning: Tuning) {
    this.dependency = dependency
    this.tuning = tuning
  }

  began(now: number): void {
    this.state.began(this.tuning.machine, now)
  }

  ended(at: number, hasRun: boolean): void {
    this.state.ended(this.tuning.machine, at, hasRun)
  }

  reserve(now: number): Policy.Reservation | undefined {
    if (!this.state.reserve(this.tuning.machine, now)) return undefined
    let isOpen = true
    return {
      settle: (hasHappened) => {
        if (!isOpen) return
        isOpen = false
        this.state.settle(this.tuning.machine, now, hasHappened)
      }
    }
  }

  isAtRest(now: number): boolean {
    return this.state.isAtRest(this.tuning.machine, now)
  }

  snapshot(now: number): Snapshot {
    const { machine, settings } = this.tuning
    const tokens = this.state.tokens(machine, now)
    return {
      dependency: this.dependency,
      tokens,
      max: this.state.max(machine),
      used: this.state.used(machine),
      settings,
      counters: this.state.counters()
    }
  }
}

/** What one call has taken out of its budget. */
class Spending implements Policy.Spending {
  private readonly account: Policy.Account
  private readonly countsRunning: boolean
  private readonly start: number
  private isFirst = false
  private reservation: Policy.Reservation | undefined = undefined
  private hasBegun = false

  constructor(account: Policy.Account, countsRunning: boolean, start: number) {
    this.account = account
    this.countsRunning = countsRunning
    this.start = start
  }

  /** A success costs nothing but an addition, unless it counts what runs. */
  run<A, E, R>(
    first: Effect.Effect<A, E, R>,
    orElse: (cause: Cause.Cause<E>) => Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> {
    const ended = () => this.callEnded()
    if (this.countsRunning) {
      return Effect.onExitPrimitive(
        Effect.suspend(() => {
          this.callBegins()
          return Effect.catchCause(first, orElse)
        }),
        ended
      )
    }
    this.callBegins()
    // Nothing is reserved before the first failure.
    return Effect.catchCause(first, (cause) => Effect.onExitPrimitive(orElse(cause), ended))
  }

  private callBegins(): void {
    this.isFirst = true
    this.account.began(this.start)
  }

  reserve(now: number): boolean {
    this.reservation = this.account.reserve(now)
    this.hasBegun = false
    return this.reservation !== undefined
  }

  attemptBegins(): void {
    this.hasBegun = true
  }

  attemptEnded(hasRun: boolean): void {
    if (this.isFirst) {
      this.isFirst = false
      this.account.ended(this.start, hasRun)
    }
    if (this.reservation !== undefined) {
      this.reservation.settle(this.hasBegun && hasRun)
      this.reservation = undefined
    }
  }

  private callEnded(): undefined {
    this.attemptEnded(true)
    return undefined
  }
}

/**
 * The budgets of all dependencies, at hand for whoever composes policies.
 *
 * @category models
 * @since 0.1.0
 */
export class Budgets {
  private current: Tuning
  private readonly maxKeys: number
  private accounts: BoundedMap<string, Account>
  private overflow: Account | undefined = undefined

  /** @internal */
  constructor(settings: Settings, maxKeys = 10_000) {
    this.current = tune(settings)
    this.maxKeys = maxKeys
    this.accounts = this.empty()
  }

  /** The settings in force. */
  get settings(): Settings {
    return this.current.settings
  }

  /** @internal */
  get countsRunning(): boolean {
    return this.current.machine.form === "in_flight"
  }

  /** @internal */
  isAtRest(now: number): boolean {
    return this.all().every((account) => account.isAtRest(now))
  }

  /** The budget of a dependency, to retry with. */
  of(dependency: string): Policy.Budget {
    const countsRunning = () => this.countsRunning
    return {
      get countsRunning() {
        return countsRunning()
      },
      open: (now) => this.open(dependency, now),
      spend: (now) => new Spending(this.open(dependency, now), this.countsRunning, now)
    }
  }

  /** Changes the settings. What is counted stays, unless the form changes: then it begins anew. */
  retuneUnsafe(settings: Settings): void {
    const before = this.current
    this.current = tune(settings)
    if (before.machine.form !== this.current.machine.form) {
      // Calls that run go through with the account they began with.
      this.accounts = this.empty()
      this.overflow = undefined
      return
    }
    for (const account of this.all()) account.tuning = this.current
  }

  /** Every budget that was used. */
  snapshotsUnsafe(clock: Clock.Clock): ReadonlyArray<Snapshot> {
    const now = Monotonic.now(clock)
    return this.all().map((account) => account.snapshot(now))
  }

  /** @internal */
  snapshotUnsafe(dependency: string, clock: Clock.Clock): Snapshot {
    const now = Monotonic.now(clock)
    return this.open(dependency, now).snapshot(now)
  }

  private open(dependency: string, now: number): Account {
    const known = this.accounts.get(dependency)
    if (known !== undefined) return known
    const added = new Account(dependency, this.current)
    if (this.accounts.add(dependency, added, now)) return added
    // Full of budgets that are in use: what is left over shares one.
    this.overflow ??= new Account(overflowKey, this.current)
    return this.overflow
  }

  private all(): ReadonlyArray<Account> {
    const accounts = Array.from(this.accounts.entries.values())
    return this.overflow === undefined ? accounts : [...accounts, this.overflow]
  }

  private empty(): BoundedMap<string, Account> {
    return new BoundedMap(this.maxKeys, (account, now) => account.isAtRest(now))
  }
}

const overflowKey = "(overflow)"

/**
 * The retry budgets of a program, one for each dependency.
 *
 * @category services
 * @since 0.1.0
 */
export class RetryBudget
  extends /*#__PURE__*/ Context.Service<
    RetryBudget,
    {
      /** The budget of a dependency, for `Retry.retry`. All that is made for one name is one budget. */
      readonly of: (dependency: string) => Policy.Budget
      /** The budget of a dependency now, made if it is new. */
      readonly snapshot: (dependency: string) => Effect.Effect<Snapshot>
      /** Every budget that exists. */
      readonly snapshots: Effect.Effect<ReadonlyArray<Snapshot>>
    }
  >()("breakwater/RetryBudget")
{
  /** Throws `InvalidSettings` at once, not when the layer is built. */
  static readonly layer = (options: MakeOptions = {}): Layer.Layer<RetryBudget> => {
    const checked = { ...options, settings: settings(options.settings) }
    return Layer.effect(this, make(checked))
  }
}

/**
 * @category models
 * @since 0.1.0
 */
export interface MakeOptions {
  readonly settings?: SettingsInput | Settings | undefined
  /** Dependencies with a budget of their own, 1 to 1,000,000. Default 10,000. */
  readonly maxKeys?: number | undefined
}

/**
 * Makes budgets of which nothing is used. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = ({ maxKeys, ...options }: MakeOptions = {}): Effect.Effect<RetryBudget["Service"]> => {
  const checked = settings(options.settings)
  Settings_.checkMaxKeys("RetryBudget", maxKeys)
  return Effect.sync(() => {
    const budgets = new Budgets(checked, maxKeys)
    return {
      of: (dependency) => budgets.of(dependency),
      snapshot: (dependency) => Effect.map(Clock.Clock, (clock) => budgets.snapshotUnsafe(dependency, clock)),
      snapshots: Effect.map(Clock.Clock, (clock) => budgets.snapshotsUnsafe(clock))
    }
  })
}
