/**
 * Starts operations and keeps them up to date with the configuration.
 *
 * **Details**
 *
 * The configuration has a version. An operation compares it at each call, one
 * number with another, and takes over what changed: its record and its circuits
 * keep their state. A call goes through with the strategy it began with.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import type * as Decision from "./Decision.ts"
import type * as Errors from "./Classification.ts"
import { BoundedMap } from "./internal/boundedMap.ts"
import * as Monotonic from "./Monotonic.ts"
import { isShared, Operation, type StartedBudget } from "./Operation.ts"
import * as Pipeline from "./Pipeline.ts"
import type * as Policy from "./Policy.ts"
import * as Preset from "./Preset.ts"
import type { ResilienceError } from "./ResilienceError.ts"
import type { Sink } from "./EventSink.ts"
import * as Settings from "./Settings.ts"
import * as Strategy from "./Strategy.ts"
import type * as Tracing from "./Tracing.ts"

/**
 * What decides the numbers of every operation.
 *
 * @category models
 * @since 0.1.0
 */
export interface Configuration {
  readonly preset: Preset.Preset
  /** Fields that go over the numbers of every strategy. */
  readonly overlay: Preset.Overlay
  /** Who makes the policies that the overlay speaks of. It has to speak of none without. */
  readonly makers?: Preset.Makers | undefined
  /** Strategies that an operator has set, by operation. They go over what the code names. */
  readonly strategies: ReadonlyMap<string, Strategy.BuiltIn>
  /** `false`: effects run as if they were not guarded. */
  readonly isEnabled: boolean
  /** `false`: as if every strategy left the policy out. */
  readonly retry: boolean
  readonly circuitBreaker: boolean
}

/**
 * The strategy that the code names, if it names one.
 *
 * @category models
 * @since 0.1.0
 */
export type Own = Strategy.BuiltIn | Strategy.Strategy | undefined

/**
 * An operation to start before its first call, with its strategy unless the
 * preset is to choose.
 *
 * @category models
 * @since 0.1.0
 */
export type Start = string | { readonly name: string; readonly strategy: Strategy.BuiltIn | Strategy.Strategy }

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly events: Sink
  readonly keeper: CircuitBreaker.KeeperService | undefined
  /** Rules for the errors of all operations, asked after those of call and strategy. */
  readonly rules: ReadonlyArray<Errors.Rule>
  readonly tracing: Tracing.Tracing | undefined
  readonly decisions: Decision.Options
  readonly maxOperations: number
  readonly maxKeys: number
}

/** A strategy with its numbers in force, and its pipeline. All operations under it share it. */
interface Prepared {
  readonly strategy: Strategy.Strategy
  readonly pipeline: Pipeline.Pipeline
}

/** An operation with what it runs by. One object, so that a call touches little memory. */
class Entry extends Operation {
  readonly own: Own
  pipeline: Pipeline.Pipeline
  version: number

  constructor(
    name: string,
    own: Own,
    { pipeline, source, strategy }: Prepared & { readonly source: Preset.Source },
    circuits: CircuitBreaker.Circuits | undefined,
    version: number,
    options: Options
  ) {
    super(name, { source, strategy }, circuits, options)
    this.own = own
    this.pipeline = pipeline
    this.version = version
  }
}

/**
 * The running operations of a program.
 *
 * @category models
 * @since 0.1.0
 */
export class Running {
  private readonly options: Options
  private readonly entries: BoundedMap<string, Entry>
  private current: Configuration
  private named = new Map<Strategy.BuiltIn | "default", Prepared>()
  private valued = new WeakMap<Strategy.Strategy, Prepared>()
  private overflow: Entry | undefined = undefined
  private readonly budgets: BoundedMap<string, { started: StartedBudget }>
  private leftOver: StartedBudget | undefined = undefined
  private changes = 0
  private preparations = 0

  constructor(configuration: Configuration, options: Options) {
    this.options = options
    this.current = configuration
    this.entries = new BoundedMap(options.maxOperations, (entry, now) => entry.isAtRest(now))
    this.budgets = new BoundedMap(options.maxKeys, ({ started }, now) => started.running.isAtRest(now))
  }

  get configuration(): Configuration {
    return this.current
  }

  /** Counts the changes of the configuration. */
  get version(): number {
    return this.changes
  }

  /** Counts the strategies that were prepared. Far more than there are operations: they are made for each call. */
  get prepared(): number {
    return this.preparations
  }

  /** Changes the configuration. Calls that run go through with the old one. Throws `InvalidSettings`, and changes nothing then. */
  configure(configuration: Configuration): void {
    Preset.checkMakers(configuration.overlay, configuration.makers)
    this.current = configuration
    this.named = new Map()
    this.valued = new WeakMap()
    this.changes++
  }

  /** Starts one run of an effect under an operation. */
  run<A, E, R>(
    self: Effect.Effect<A, E, R>,
    name: string,
    own: Own,
    call: Pipeline.Call,
    fiber: Fiber.Fiber<unknown, unknown>
  ): Effect.Effect<A, E | ResilienceError, R> {
    const entry = this.entries.get(name) ?? this.start(name, own, fiber.getRef(Clock.Clock))
    if (entry.version !== this.changes) this.update(entry, fiber.getRef(Clock.Clock))
    const pipeline =
      own === undefined || own === entry.own || entry.source === "operator"
        ? entry.pipeline
        : this.prepare(own, fiber.getRef(Clock.Clock)).pipeline
    // This call's own strategy may have a circuit where the operation's has none.
    if (entry.circuits === undefined && pipeline.tuning !== undefined)
      entry.circuits = this.circuitsOf(entry.name, pipeline, Monotonic.now(fiber.getRef(Clock.Clock)))
    if (pipeline !== entry.pipeline && (pipeline.started.length > 0 || pipeline.budget !== undefined))
      this.startPolicies(entry, pipeline, false, Monotonic.now(fiber.getRef(Clock.Clock)))
    return this.current.isEnabled ? pipeline.run(self, entry, call, fiber) : self
  }

  /** The operation of a name, started if it is new. */
  start(name: string, own: Own, clock: Clock.Clock): Entry {
    const canonical = Preset.canonicalName(name)
    const known = canonical === name ? undefined : this.entries.get(canonical)
    if (known !== undefined) return known
    const entry = this.make(checkName(canonical), own, clock)
    if (this.entries.add(canonical, entry, Monotonic.now(clock))) return entry
    this.overflow ??= this.make(overflowName, undefined, clock)
    return this.overflow
  }

  /** A running operation by either of its names, up to date with the configuration. */
  operation(name: string, clock: Clock.Clock): Operation | undefined {
    const entry = name === overflowName ? this.overflow : this.entries.get(Preset.canonicalName(name))
    if (entry !== undefined && entry.version !== this.changes) this.update(entry, clock)
    return entry
  }

  /** Every operation, up to date with the configuration. */
  operations(clock: Clock.Clock): ReadonlyArray<Operation> {
    const entries = Array.from(this.entries.values())
    if (this.overflow !== undefined) entries.push(this.overflow)
    return entries.map((entry) => {
      if (entry.version !== this.changes) this.update(entry, clock)
      return entry
    })
  }

  private make(name: string, own: Own, clock: Clock.Clock): Entry {
    const now = Monotonic.now(clock)
    const resolved = this.resolve(name, own, clock)
    const circuits = this.circuitsOf(name, resolved.pipeline, now)
    const entry = new Entry(name, own, resolved, circuits, this.changes, this.options)
    this.startPolicies(entry, resolved.pipeline, true, now)
    return entry
  }

  private update(entry: Entry, clock: Clock.Clock): void {
    const now = Monotonic.now(clock)
    const { pipeline, source, strategy } = this.resolve(entry.name, entry.own, clock)
    entry.pipeline = pipeline
    entry.version = this.changes
    entry.retuneUnsafe({ source, strategy })
    if (entry.circuits === undefined) entry.circuits = this.circuitsOf(entry.name, pipeline, now)
    else if (pipeline.tuning !== undefined) entry.circuits.retuneUnsafe(pipeline.tuning)
    this.startPolicies(entry, pipeline, true, now)
  }

  /** Starts what the operation does not have yet. A policy of another class in a place takes it over. */
  private startPolicies(entry: Entry, { budget, started }: Pipeline.Pipeline, isOwn: boolean, now: number): void {
    const { retryBudget } = entry.policies ?? {}
    const isMissing = retryBudget === undefined || (budget?.shared === undefined && isShared(retryBudget))
    if (budget !== undefined && (isOwn || isMissing)) {
      entry.policies = { ...entry.policies, retryBudget: this.budgetOf(entry, budget) }
    }
    for (const [slot, settings] of started) {
      const known = entry.policies?.[slot]
      if (known === undefined || (isOwn && known.settings.constructor !== settings.constructor)) {
        const { events, maxKeys } = this.options
        const running = settings.startUnsafe({ operation: entry.name, slot, events, maxKeys, now })
        entry.policies = { ...entry.policies, [slot]: { settings, running } }
      } else if (isOwn && known.settings !== settings) {
        // Of one class, as was just seen.
        known.running.retuneUnsafe(settings as never)
        entry.policies = { ...entry.policies, [slot]: { settings, running: known.running } }
      }
    }
  }

  private budgetOf(entry: Entry, { settings, shared }: Pipeline.Budget): StartedBudget {
    if (shared !== undefined) return { settings, running: shared }
    const known = entry.policies?.retryBudget
    return startBudget(known !== undefined && isShared(known) ? undefined : known, settings, entry.name)
  }

  /** One for each dependency that strategies name. */
  private sharedBudget(
    settings: Policy.StartableBudget,
    clock: Clock.Clock
  ): Policy.RunningBudget<never, unknown> | undefined {
    const { dependency } = settings
    if (dependency === undefined) return undefined
    const known = this.budgets.get(dependency)
    const started = startBudget(known?.started, settings, dependency)
    if (known !== undefined) known.started = started
    else if (!this.budgets.add(dependency, { started }, Monotonic.now(clock))) {
      // Full of budgets in use: what is left over shares one.
      this.leftOver = startBudget(this.leftOver, settings, overflowName)
      return this.leftOver.running
    }
    return started.running
  }

  private circuitsOf(
    operation: string,
    { tuning }: Pipeline.Pipeline,
    now: number
  ): CircuitBreaker.Circuits | undefined {
    if (tuning === undefined) return undefined
    const { events, keeper, maxKeys } = this.options
    return CircuitBreaker.makeCircuits({ operation, tuning, events, maxKeys, now }, keeper)
  }

  private resolve(name: string, own: Own, clock: Clock.Clock): Prepared & { readonly source: Preset.Source } {
    const { overlay, preset, strategies } = this.current
    const set = strategies.get(name)
    const { chosen, source } =
      set === undefined ? Preset.choose(preset, overlay, name, own) : { chosen: set, source: "operator" as const }
    return { ...this.prepare(chosen, clock), source }
  }

  private prepare(chosen: Own, clock: Clock.Clock): Prepared {
    const known = typeof chosen === "object" ? this.valued.get(chosen) : this.named.get(chosen ?? "default")
    if (known !== undefined) return known
    this.preparations++
    const { circuitBreaker, makers, overlay, preset, retry } = this.current
    const strategy = Preset.strategyOf(preset, overlay, chosen, makers)
    const inForce: Strategy.Strategy = {
      ...strategy,
      settings: new Strategy.Settings({
        retry: retry && strategy.settings.retry,
        circuitBreaker: circuitBreaker && strategy.settings.circuitBreaker,
        timeout: strategy.settings.timeout,
        admission: strategy.settings.admission,
        bulkhead: strategy.settings.bulkhead,
        quota: strategy.settings.quota,
        retryBudget: retry && strategy.settings.retryBudget
      }),
      rules: [...strategy.rules, ...this.options.rules]
    }
    const { retryBudget } = inForce.settings
    const budget = retryBudget === false ? undefined : this.sharedBudget(retryBudget, clock)
    const prepared = { strategy: inForce, pipeline: Pipeline.make(inForce, this.options.tracing, budget) }
    if (typeof chosen === "object") this.valued.set(chosen, prepared)
    else this.named.set(chosen ?? "default", prepared)
    return prepared
  }
}

/** What runs by settings of the same class goes on. */
const startBudget = (
  known: StartedBudget | undefined,
  settings: Policy.StartableBudget,
  dependency: string
): StartedBudget => {
  if (known === undefined || known.settings.constructor !== settings.constructor)
    return { settings, running: settings.startUnsafe(dependency) }
  if (known.settings !== settings) known.running.retuneUnsafe(settings as never)
  return { settings, running: known.running }
}

const overflowName = "(overflow)"

const namePattern = /^[A-Za-z][\w.-]{0,63}$/

const checkName = (name: string): string => {
  if (namePattern.test(name)) return name
  const rule = 'expected a name of letters, digits, "_", "." and "-", a letter first, 64 at most'
  throw new Settings.InvalidSettings({
    settings: "operation",
    findings: [{ path: "", value: name, rule: `${rule}, got ${JSON.stringify(name.slice(0, 80))}` }]
  })
}
