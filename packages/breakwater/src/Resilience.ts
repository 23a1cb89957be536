/**
 * Holds the running operations of a program, and guards effects with them.
 *
 * **Details**
 *
 * - `Resilience.layer(preset)` starts with no operation. An operation starts
 *   with its first call, or when it is listed under `operations`.
 * - `withResilience(strategy)` guards an effect with a strategy that the code
 *   names; `withOperation(name)` lets the preset choose.
 * - The operation's name is the key of its circuit, its limits and its
 *   metrics. Without one, the strategy's name is used.
 *
 * **Gotchas**
 *
 * - The first call of an operation decides its strategy. A later call that
 *   names another strategy shares the circuit and the counters and keeps its
 *   own retries and timeouts.
 * - Names come from code, never from requests: use `key` for what callers
 *   choose. Operations beyond `maxOperations` share one record.
 *
 * **Example** (Guarding a call)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Preset, Resilience, withResilience } from "breakwater"
 *
 * const summarize = (text: string) =>
 *   Effect.fail("model down").pipe(
 *     Effect.when(Effect.succeed(text === "")),
 *     Effect.as("a summary"),
 *     withResilience("aggressive", {
 *       operation: "summarize_text",
 *       classify: () => "permanent",
 *       fallback: () => Effect.succeed("no summary today")
 *     })
 *   )
 *
 * const program = Effect.all([summarize("a long text"), summarize("")]).pipe(
 *   Effect.provide(Resilience.layer(Preset.production))
 * )
 *
 * await Effect.runPromise(program) // => ["a summary", "no summary today"]
 * ```
 *
 * @since 0.1.0
 */
// Reasons are yieldable, and the check takes a type argument made of them for an effect.
// @effect-diagnostics missingEffectError:off
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import * as Errors from "./Errors.ts"
import { BoundedMap } from "./internal/boundedMap.ts"
import * as Monotonic from "./Monotonic.ts"
import { Operation, type Snapshot } from "./Operation.ts"
import * as Pipeline from "./Pipeline.ts"
import * as Preset from "./Preset.ts"
import type { Reason, ResilienceError } from "./ResilienceError.ts"
import * as ResilienceEvent from "./ResilienceEvent.ts"
import * as Settings from "./Settings.ts"
import type * as Strategy from "./Strategy.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface LayerOptions {
  /** Fields that go over the numbers of every strategy. */
  readonly overlay?: Preset.OverlayInput | Preset.Overlay | undefined
  /** Operations to start at once, so that they can be seen before their first call. */
  readonly operations?: ReadonlyArray<string> | undefined
  /** Operations kept at most, 1 to 1,000,000. Default 20,000. */
  readonly maxOperations?: number | undefined
  /** Keys kept at most for each operation, 1 to 1,000,000. Default 10,000. */
  readonly maxKeys?: number | undefined
}

/** An operation with its pipelines: the one it started with, and those of other strategies that came later. */
class Entry {
  readonly operation: Operation
  readonly own: Own
  readonly pipeline: Pipeline.Pipeline
  private byName: Map<string, Pipeline.Pipeline> | undefined = undefined
  private byStrategy: WeakMap<Strategy.Strategy, Pipeline.Pipeline> | undefined = undefined

  constructor(operation: Operation, own: Own, pipeline: Pipeline.Pipeline) {
    this.operation = operation
    this.own = own
    this.pipeline = pipeline
  }

  pipelineOf(own: Own, make: (operation: Operation) => Pipeline.Pipeline): Pipeline.Pipeline {
    if (own === undefined || own === this.own) return this.pipeline
    const known = typeof own === "string" ? this.byName?.get(own) : this.byStrategy?.get(own)
    if (known !== undefined) return known
    const made = make(this.operation)
    if (typeof own === "string") (this.byName ??= new Map()).set(own, made)
    else (this.byStrategy ??= new WeakMap()).set(own, made)
    return made
  }
}

/** The strategy that the code names, if it names one. */
type Own = Strategy.BuiltIn | Strategy.Strategy | undefined

/** The operations that run, and how new ones start. */
class Running {
  private readonly preset: Preset.Preset
  private readonly options: LayerOptions
  private readonly sink: ResilienceEvent.Sink
  private readonly rules: ReadonlyArray<Errors.Rule>
  private readonly entries: BoundedMap<string, Entry>
  private overflow: Entry | undefined = undefined

  constructor(
    preset: Preset.Preset,
    options: LayerOptions,
    services: { readonly sink: ResilienceEvent.Sink; readonly rules: ReadonlyArray<Errors.Rule> }
  ) {
    this.preset = preset
    this.options = options
    this.sink = services.sink
    this.rules = services.rules
    this.entries = new BoundedMap(options.maxOperations ?? 20_000, (entry) => entry.operation.isAtRest)
  }

  pipeline(name: string, own: Own, clock: Clock.Clock): Pipeline.Pipeline {
    const known = this.entries.get(name)
    const entry = known ?? this.start(name, own, clock)
    return entry.pipelineOf(own, (operation) => Pipeline.make(operation, this.resolve(operation.name, own), this.sink))
  }

  operation(name: string): Operation | undefined {
    return this.entries.get(Preset.canonicalName(name))?.operation
  }

  operations(): ReadonlyArray<Operation> {
    const entries = Array.from(this.entries.values(), (entry) => entry.operation)
    return this.overflow === undefined ? entries : [...entries, this.overflow.operation]
  }

  private start(name: string, own: Own, clock: Clock.Clock): Entry {
    const canonical = Preset.canonicalName(name)
    if (canonical !== name) {
      const known = this.entries.get(canonical)
      if (known !== undefined) return known
    }
    const entry = this.make(checkName(canonical), own, clock)
    if (this.entries.add(canonical, entry)) return entry
    this.overflow ??= this.make(overflowName, undefined, clock)
    return this.overflow
  }

  private make(name: string, own: Own, clock: Clock.Clock): Entry {
    const resolved = this.resolve(name, own)
    const { openSchedule, rules, settings } = resolved.strategy
    const circuits =
      settings.circuitBreaker === false
        ? undefined
        : CircuitBreaker.makeUnsafe(
            { operation: name, settings: settings.circuitBreaker, openSchedule, rules, maxKeys: this.options.maxKeys },
            { events: this.sink, now: Monotonic.now(clock) }
          )
    const operation = new Operation(name, resolved, circuits)
    return new Entry(operation, own, Pipeline.make(operation, resolved, this.sink))
  }

  private resolve(name: string, own: Own): Preset.Resolved {
    const { source, strategy } = Preset.resolve(this.preset, this.options.overlay ?? {}, name, own)
    return { source, strategy: { ...strategy, rules: [...strategy.rules, ...this.rules] } }
  }
}

const overflowName = "overflow"

const namePattern = /^[A-Za-z][\w.-]{0,63}$/

const checkName = (name: string): string => {
  if (namePattern.test(name)) return name
  throw new Settings.InvalidSettings({
    settings: "operation",
    findings: [
      {
        path: "",
        value: name,
        rule: `expected a name of letters, digits, "_", "." and "-", a letter first, 64 at most, got ${JSON.stringify(
          name.slice(0, 80)
        )}`
      }
    ]
  })
}

/**
 * The running operations.
 *
 * @category services
 * @since 0.1.0
 */
export class Resilience extends Context.Service<
  Resilience,
  {
    readonly preset: Preset.Preset
    /** The pipeline of an operation, started if it is new. @internal */
    readonly pipelineUnsafe: (name: string, own: Own, clock: Clock.Clock) => Pipeline.Pipeline
    /** Every running operation at this moment. */
    readonly operations: Effect.Effect<ReadonlyArray<Snapshot>>
    /** One running operation at this moment, by either of its names. */
    readonly operation: (name: string) => Effect.Effect<Option.Option<Snapshot>>
    /** Every circuit. */
    readonly circuits: Effect.Effect<ReadonlyArray<CircuitBreaker.Circuit>>
    /** One circuit, by operation or by `operation:key`. */
    readonly circuit: (name: string) => Effect.Effect<Option.Option<CircuitBreaker.Circuit>>
    /** What happens from now on. */
    readonly events: Stream.Stream<ResilienceEvent.ResilienceEvent>
  }
>()("breakwater/Resilience") {
  /**
   * Provides the operations, and a sink for their events unless one is there.
   * Throws `InvalidSettings` at once for an overlay that no policy can run with.
   */
  static readonly layer = (
    preset: Preset.Preset = Preset.simple,
    options: LayerOptions = {}
  ): Layer.Layer<Resilience> => {
    const checked = { ...options, overlay: Preset.overlay(options.overlay ?? {}) }
    return Layer.effectContext(
      Effect.gen(function* () {
        const outer = yield* ResilienceEvent.ResilienceEvents
        const clock = yield* Clock.Clock
        const sink =
          outer === Context.get(Context.empty(), ResilienceEvent.ResilienceEvents) ? ResilienceEvent.make() : outer
        const running = new Running(preset, checked, { sink, rules: yield* Errors.Rules })
        for (const name of options.operations ?? []) running.pipeline(name, undefined, clock)
        const service = Resilience.of({
          preset,
          pipelineUnsafe: (name, own, clock) => running.pipeline(name, own, clock),
          operations: Effect.map(Clock.Clock, (clock) =>
            running.operations().map((each) => each.snapshotUnsafe(clock))
          ),
          operation: (name) =>
            Effect.map(Clock.Clock, (clock) =>
              Option.map(Option.fromUndefinedOr(running.operation(name)), (found) => found.snapshotUnsafe(clock))
            ),
          circuits: Effect.sync(() => running.operations().flatMap((each) => each.circuits?.allUnsafe() ?? [])),
          circuit: (name) => Effect.sync(() => Option.fromUndefinedOr(findCircuit(running, name))),
          events: sink.stream
        })
        return Context.make(Resilience, service).pipe(Context.add(ResilienceEvent.ResilienceEvents, sink))
      })
    )
  }
}

const findCircuit = (running: Running, name: string): CircuitBreaker.Circuit | undefined => {
  const separator = name.indexOf(":")
  const [operation, key] = separator === -1 ? [name, undefined] : [name.slice(0, separator), name.slice(separator + 1)]
  return running.operation(operation)?.circuits?.findUnsafe(key)
}

/**
 * What a call may say about itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface CallOptions {
  /** The operation: letters, digits, `_`, `.` and `-`, at most 64. Default: the strategy's name. */
  readonly operation?: string | undefined
  /** Splits the operation into circuits, for example by tenant or provider. */
  readonly key?: string | undefined
  /** A rule for the errors of this call, asked before all others. */
  readonly classify?: Errors.Rule | undefined
}

/**
 * What a fallback is given.
 *
 * @category utility types
 * @since 0.1.0
 */
export type FallbackInput<E, R extends Reason, On extends Pipeline.FallbackOn> = On extends "rejections"
  ? ResilienceError<R>
  : On extends "all"
    ? unknown
    : E | ResilienceError<R>

/**
 * The error that is left after a fallback: what it does not answer, and its
 * own.
 *
 * @category utility types
 * @since 0.1.0
 */
export type FallbackError<E, E2, On extends Pipeline.FallbackOn> = On extends "rejections"
  ? Exclude<E, ResilienceError> | E2
  : E2

/**
 * A call with another answer for when it fails.
 *
 * @category models
 * @since 0.1.0
 */
export interface FallbackOptions<E, R extends Reason, On extends Pipeline.FallbackOn, A2, E2, R2> extends CallOptions {
  /** Runs on a final failure, with its error. Never on an interruption. */
  readonly fallback: (error: FallbackInput<E, R, On>) => Effect.Effect<A2, E2, R2>
  /** `failures` (default), `rejections` for ours only, or `all` for defects too. */
  readonly fallbackOn?: On | undefined
}

/**
 * A strategy by name or by value.
 *
 * @category models
 * @since 0.1.0
 */
export type Named = Strategy.BuiltIn | Strategy.Strategy

/**
 * The reasons with which a strategy can end a call.
 *
 * @category utility types
 * @since 0.1.0
 */
export type ReasonOf<S extends Named> = S extends Strategy.Strategy<string, infer R> ? R : Reason

/**
 * Guards an effect with a strategy.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withResilience: {
  <S extends Named, E, A2, E2, R2, On extends Pipeline.FallbackOn = "failures">(
    strategy: S,
    options: FallbackOptions<E, ReasonOf<S>, On, A2, E2, R2>
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, FallbackError<E, E2, On>, R | R2 | Resilience>
  <S extends Named>(
    strategy: S,
    options?: CallOptions
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ResilienceError<ReasonOf<S>>, R | Resilience>
  <A, E, R, S extends Named, A2, E2, R2, On extends Pipeline.FallbackOn = "failures">(
    self: Effect.Effect<A, E, R>,
    strategy: S,
    options: FallbackOptions<E, ReasonOf<S>, On, A2, E2, R2>
  ): Effect.Effect<A | A2, FallbackError<E, E2, On>, R | R2 | Resilience>
  <A, E, R, S extends Named>(
    self: Effect.Effect<A, E, R>,
    strategy: S,
    options?: CallOptions
  ): Effect.Effect<A, E | ResilienceError<ReasonOf<S>>, R | Resilience>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    strategy: Named,
    options: CallOptions = {}
  ): Effect.Effect<A, E | ResilienceError, R | Resilience> =>
    guard(self, options.operation ?? (typeof strategy === "string" ? strategy : strategy.name), strategy, options)
)

/**
 * Guards an effect as an operation. The preset in force chooses the strategy.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withOperation: {
  <E, A2, E2, R2, On extends Pipeline.FallbackOn = "failures">(
    operation: string,
    options: FallbackOptions<E, Reason, On, A2, E2, R2>
  ): <A, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A | A2, FallbackError<E, E2, On>, R | R2 | Resilience>
  (
    operation: string,
    options?: CallOptions
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ResilienceError, R | Resilience>
  <A, E, R, A2, E2, R2, On extends Pipeline.FallbackOn = "failures">(
    self: Effect.Effect<A, E, R>,
    operation: string,
    options: FallbackOptions<E, Reason, On, A2, E2, R2>
  ): Effect.Effect<A | A2, FallbackError<E, E2, On>, R | R2 | Resilience>
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    operation: string,
    options?: CallOptions
  ): Effect.Effect<A, E | ResilienceError, R | Resilience>
} = dual(
  (args) => Effect.isEffect(args[0]),
  <A, E, R>(
    self: Effect.Effect<A, E, R>,
    operation: string,
    options: CallOptions = {}
  ): Effect.Effect<A, E | ResilienceError, R | Resilience> => guard(self, operation, undefined, options)
)

const guard = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  operation: string,
  own: Own,
  call: Pipeline.Call
): Effect.Effect<A, E | ResilienceError, R | Resilience> =>
  Effect.withFiber((fiber) => {
    const { pipelineUnsafe } = Context.get(fiber.context as Context.Context<Resilience>, Resilience)
    return pipelineUnsafe(operation, own, fiber.getRef(Clock.Clock)).protect(self, call)
  })
