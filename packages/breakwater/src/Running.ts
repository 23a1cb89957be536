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
import type * as Errors from "./Classification.ts"
import { BoundedMap } from "./internal/boundedMap.ts"
import * as Monotonic from "./Monotonic.ts"
import { Operation, type Services } from "./Operation.ts"
import * as Pipeline from "./Pipeline.ts"
import type * as Policy from "./Policy.ts"
import type { ResilienceError } from "./ResilienceError.ts"
import * as Settings from "./Settings.ts"
import type * as Strategy from "./Strategy.ts"
import type * as Tracing from "./Tracing.ts"

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
export interface Options extends Services {
  readonly keeper: CircuitBreaker.KeeperService | undefined
  /** Rules for the errors of all operations, asked after those of call and strategy. */
  readonly rules: ReadonlyArray<Errors.Rule>
  readonly tracing: Tracing.Tracing | undefined
  readonly maxOperations: number
  readonly maxKeys: number
}

/** A strategy with its numbers in force, and its pipeline. */
interface Prepared {
  readonly strategy: Strategy.Strategy
  readonly pipeline: Pipeline.Pipeline
  /** By why operations run by it, one for all of them. */
  readonly inForce: { [Source in Strategy.Source]?: InForce }
}

/** What an operation runs by. */
interface InForce extends Strategy.Resolved {
  readonly chosen: Strategy.Own
  readonly pipeline: Pipeline.Pipeline
  readonly version: number
}

type Entry = Operation<InForce>

/**
 * The running operations of a program.
 *
 * @category models
 * @since 0.1.0
 */
export class Running {
  /** @internal */
  declare readonly options: Options
  /** @internal */
  declare readonly entries: BoundedMap<string, Entry>
  /** Who chooses the strategies, by the configuration. */
  declare chooser: Strategy.Chooser
  private named = new Map<Strategy.Own, Prepared>()
  private valued = new WeakMap<object, Prepared>()
  /** @internal */
  overflow: Entry | undefined = undefined
  private budgets: Policy.KeptBudgets | undefined = undefined
  /** Counts the changes of the configuration. */
  version = 0
  /** Counts the strategies that were prepared. Far more than there are operations: they are made for each call. */
  prepared = 0

  constructor(chooser: Strategy.Chooser, options: Options) {
    this.options = options
    this.chooser = chooser
    this.entries = new BoundedMap(options.maxOperations, (entry, now) => entry.isAtRest(now))
  }

  /** Starts one run of an effect under an operation. */
  run<A, E, R>(
    self: Effect.Effect<A, E, R>,
    name: string,
    own: Strategy.Own,
    call: Pipeline.Call,
    fiber: Fiber.Fiber<unknown, unknown>
  ): Effect.Effect<A, E | ResilienceError, R> {
    const entry = this.entries.get(name) ?? this.start(name, own, fiber.getRef(Clock.Clock))
    if (entry.resolved.version !== this.version) this.update(entry, fiber.getRef(Clock.Clock))
    const { resolved } = entry
    const pipeline =
      own === undefined || own === resolved.chosen || resolved.source === "operator"
        ? resolved.pipeline
        : this.prepare(own, fiber.getRef(Clock.Clock)).pipeline
    // This call's own strategy may have a circuit where the operation's has none.
    if (entry.circuits === undefined && pipeline.tuning !== undefined)
      entry.circuits = this.circuitsOf(entry.name, pipeline, fiber.getRef(Clock.Clock))
    if (pipeline !== resolved.pipeline && (pipeline.started.length > 0 || pipeline.budget !== undefined))
      this.startPolicies(entry, pipeline, false, fiber.getRef(Clock.Clock))
    return this.chooser.isEnabled ? pipeline.run(self, entry, call, fiber) : self
  }

  /** The operation of a name, started if it is new. */
  start(name: string, own: Strategy.Own, clock: Clock.Clock): Entry {
    const canonical = this.chooser.nameOf(name)
    const known = canonical === name ? undefined : this.entries.get(canonical)
    if (known !== undefined) return known
    const entry = this.make(checkName(canonical), own, clock)
    if (this.entries.add(canonical, entry, Monotonic.now(clock))) return entry
    return (this.overflow ??= this.make(overflowName, undefined, clock))
  }

  private make(name: string, own: Strategy.Own, clock: Clock.Clock): Entry {
    const resolved = this.resolve(name, own, clock)
    const circuits = this.circuitsOf(name, resolved.pipeline, clock)
    const entry = new Operation(name, own, resolved, circuits, this.options)
    this.startPolicies(entry, resolved.pipeline, true, clock)
    return entry
  }

  /** Takes over what has changed. @internal */
  update(entry: Entry, clock: Clock.Clock): void {
    const resolved = this.resolve(entry.name, entry.own, clock)
    const { pipeline } = resolved
    entry.resolved = resolved
    if (entry.circuits === undefined) entry.circuits = this.circuitsOf(entry.name, pipeline, clock)
    else if (pipeline.tuning !== undefined) entry.circuits.tuning = pipeline.tuning
    this.startPolicies(entry, pipeline, true, clock)
  }

  /** Starts what the operation does not have yet. A policy of another class in a place takes it over. */
  private startPolicies(
    entry: Entry,
    { budget, started }: Pipeline.Pipeline,
    isOwn: boolean,
    clock: Clock.Clock
  ): void {
    if (budget !== undefined) {
      const retryBudget = budget.start(entry.name, entry.policies?.retryBudget, isOwn)
      entry.policies = { ...entry.policies, retryBudget }
    }
    const { events, maxKeys } = this.options
    for (const [slot, settings] of started) {
      const services = { operation: entry.name, slot, events, maxKeys, now: Monotonic.now(clock) }
      entry.policies = { ...entry.policies, [slot]: settings.placeUnsafe(entry.policies?.[slot], services, isOwn) }
    }
  }

  private circuitsOf(
    operation: string,
    { tuning }: Pipeline.Pipeline,
    clock: Clock.Clock
  ): CircuitBreaker.Circuits | undefined {
    if (tuning === undefined) return undefined
    const { events, keeper, maxKeys } = this.options
    return CircuitBreaker.makeCircuits({ operation, tuning, events, maxKeys, now: Monotonic.now(clock) }, keeper)
  }

  private resolve(name: string, own: Strategy.Own, clock: Clock.Clock): InForce {
    const { chosen, source } = this.chooser.choose(name, own)
    const { inForce, pipeline, strategy } = this.prepare(chosen, clock)
    return (inForce[source] ??= { chosen, source, strategy, pipeline, version: this.version })
  }

  private prepare(chosen: Strategy.Own, clock: Clock.Clock): Prepared {
    const cache = (typeof chosen === "object" ? this.valued : this.named) as Map<Strategy.Own, Prepared>
    const known = cache.get(chosen)
    if (known !== undefined) return known
    this.prepared++
    const { maxKeys, rules, tracing } = this.options
    const strategy = this.chooser.strategyOf(chosen)
    const tuned = { ...strategy, rules: [...strategy.rules, ...rules] }
    const { retryBudget } = strategy.settings
    const budget = retryBudget
      ? (this.budgets ??= retryBudget.keepUnsafe(maxKeys)).prepare(retryBudget, Monotonic.now(clock))
      : undefined
    const prepared = { strategy: tuned, pipeline: Pipeline.make(tuned, tracing, budget), inForce: {} }
    cache.set(chosen, prepared)
    return prepared
  }

  /** Lets another choose. Calls that run go through with what was chosen for them. */
  configure(chooser: Strategy.Chooser): void {
    this.chooser = chooser
    this.named = new Map()
    this.valued = new WeakMap()
    this.version++
  }
}

/** A running operation by either of its names, up to date with the configuration. @internal */
export const operationUnsafe = (self: Running, name: string, clock: Clock.Clock): Operation | undefined => {
  const entry = name === overflowName ? self.overflow : self.entries.get(self.chooser.nameOf(name))
  if (entry !== undefined && entry.resolved.version !== self.version) self.update(entry, clock)
  return entry
}

/** Every operation, up to date with the configuration. @internal */
export const operationsUnsafe = (self: Running, clock: Clock.Clock): ReadonlyArray<Operation> => {
  const entries = Array.from(self.entries.entries.values())
  if (self.overflow !== undefined) entries.push(self.overflow)
  for (const entry of entries) if (entry.resolved.version !== self.version) self.update(entry, clock)
  return entries
}

const overflowName = "(overflow)"

const namePattern = /^[A-Za-z][\w.-]{0,63}$/

const checkName = (name: string): string => {
  if (namePattern.test(name)) return name
  const rule = 'expected a letter, then up to 63 letters, digits, "_", "." or "-"'
  throw new Settings.InvalidSettings({
    settings: "operation",
    findings: [{ path: "", value: name, rule: `${rule}, got ${JSON.stringify(name.slice(0, 80))}` }]
  })
}
