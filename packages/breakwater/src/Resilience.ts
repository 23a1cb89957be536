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
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Stream from "effect/Stream"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import type * as Coalesce from "./Coalesce.ts"
import type * as Decision from "./Decision.ts"
import * as Errors from "./Classification.ts"
import type { Snapshot } from "./Operation.ts"
import type * as Policy from "./Policy.ts"
import type * as Pipeline from "./Pipeline.ts"
import * as Monotonic from "./Monotonic.ts"
import * as Preset from "./Preset.ts"
import type { Reason, ResilienceError } from "./ResilienceError.ts"
import type { ResilienceEvent } from "./EventSchema.ts"
import * as EventSink from "./EventSink.ts"
import { type Configuration, type Own, Running, type Start } from "./Running.ts"
import * as Settings from "./Settings.ts"
import type * as Strategy from "./Strategy.ts"
import * as Tracing from "./Tracing.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface LayerOptions {
  /** Fields that go over the numbers of every strategy. */
  readonly overlay?: Preset.OverlayInput | Preset.Overlay | undefined
  /** Who makes the policies that the overlay speaks of, if it does: `Policies.makers`. */
  readonly makers?: Preset.Makers | undefined
  /** Operations to start at once, so that they can be seen before their first call. */
  readonly operations?: ReadonlyArray<Start> | undefined
  /** Operations kept at most, 1 to 1,000,000. Default 20,000. */
  readonly maxOperations?: number | undefined
  /** Keys kept at most for each operation, 1 to 1,000,000. Default 10,000. */
  readonly maxKeys?: number | undefined
  readonly decisions?:
    | {
        /** Decisions kept for each operation, 1 to 10,000. Default 64. */
        readonly capacity?: number | undefined
        /** One in so many calls that we did not reject is remembered, 0 to 1,000,000; 0 for none. Default 100. */
        readonly sampleEvery?: number | undefined
      }
    | undefined
}

/**
 * The states of all circuits at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface States {
  /** How many operations run. */
  readonly operations: number
  readonly circuits: ReadonlyArray<{ readonly name: string; readonly state: CircuitBreaker.State }>
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
    /** Guards one run of an effect; an operation that is new starts. @internal */
    readonly runUnsafe: <A, E, R>(
      self: Effect.Effect<A, E, R>,
      name: string,
      own: Own,
      call: Pipeline.Call,
      fiber: Fiber.Fiber<unknown, unknown>
    ) => Effect.Effect<A, E | ResilienceError, R>
    /** What decides the numbers, with the count of its changes. */
    readonly configuration: Effect.Effect<Configuration & { readonly version: number }>
    /**
     * Changes the configuration at once and returns its version. Calls that run go
     * through with the old one. Dies with `InvalidSettings`, and changes nothing,
     * if the overlay needs `makers` and has none.
     */
    readonly configure: (change: (current: Configuration) => Configuration) => Effect.Effect<number>
    /** Counts the strategies that were prepared. */
    readonly prepared: Effect.Effect<number>
    /** Which states the circuits are in. Costs a fraction of `operations`. */
    readonly states: Effect.Effect<States>
    /** Every running operation at this moment. */
    readonly operations: Effect.Effect<ReadonlyArray<Snapshot>>
    /** One running operation at this moment, by either of its names. */
    readonly operation: (name: string) => Effect.Effect<Option.Option<Snapshot>>
    /** Lets an operation count from 0 again, or all of them. Returns how many; states of circuits stay. */
    readonly resetMetrics: (name?: string) => Effect.Effect<number>
    /** The decisions that are remembered, newest first for each operation. */
    readonly decisions: Effect.Effect<ReadonlyArray<Decision.Decision>>
    /** Every circuit. */
    readonly circuits: Effect.Effect<ReadonlyArray<CircuitBreaker.Circuit>>
    /** One circuit, by operation or by `operation:key`. */
    readonly circuit: (name: string) => Effect.Effect<Option.Option<CircuitBreaker.Circuit>>
    /** What runs in a place of an operation, by either of its names. */
    readonly policy: (
      operation: string,
      slot: Policy.Slot
    ) => Effect.Effect<Option.Option<Policy.Running<never, unknown>>>
    /** What happens from now on. */
    readonly events: Stream.Stream<ResilienceEvent>
    /** Whom every event is told at once. @internal */
    readonly observers: Set<EventSink.Observer>
  }
>()("breakwater/Resilience") {
  /**
   * Provides the operations, and a sink for their events unless one is there.
   * Throws `InvalidSettings` at once for options that nothing can run with.
   */
  static readonly layer = (
    preset: Preset.Preset = Preset.simple,
    options: LayerOptions = {}
  ): Layer.Layer<Resilience> => {
    const { makers } = options
    const overlay = Preset.overlay(options.overlay ?? {})
    Preset.checkMakers(overlay, makers)
    const { decisions, maxKeys, maxOperations } = bounds(options)
    return Layer.effectContext(
      Effect.gen(function* () {
        const outer = yield* EventSink.ResilienceEvents
        const clock = yield* Clock.Clock
        const isNone = outer === Context.get(Context.empty(), EventSink.ResilienceEvents)
        const { observers, sink } = EventSink.observed(isNone ? EventSink.make() : outer)
        const running = new Running(
          { preset, overlay, makers, strategies: new Map(), isEnabled: true, retry: true, circuitBreaker: true },
          {
            events: sink,
            keeper: yield* CircuitBreaker.Keeper,
            rules: yield* Errors.Rules,
            tracing: yield* Tracing.Current,
            decisions: { ...decisions, run: yield* runId },
            maxOperations,
            maxKeys
          }
        )
        for (const start of options.operations ?? []) {
          if (typeof start === "string") running.start(start, undefined, clock)
          else running.start(start.name, start.strategy, clock)
        }
        return Context.make(Resilience, make(running, sink, observers)).pipe(
          Context.add(EventSink.ResilienceEvents, sink)
        )
      })
    )
  }
}

const make = (running: Running, sink: EventSink.Sink, observers: Set<EventSink.Observer>): Resilience["Service"] => ({
  runUnsafe: (self, name, own, call, fiber) => running.run(self, name, own, call, fiber),
  configuration: Effect.sync(() => ({ ...running.configuration, version: running.version })),
  configure: (change) =>
    Effect.sync(() => {
      running.configure(change(running.configuration))
      return running.version
    }),
  prepared: Effect.sync(() => running.prepared),
  states: Effect.map(Clock.Clock, (clock) => {
    const operations = running.operations(clock)
    const now = Monotonic.now(clock)
    const circuits: Array<States["circuits"][number]> = []
    for (const operation of operations) {
      for (const circuit of operation.circuits?.allUnsafe() ?? []) {
        circuits.push({ name: circuit.name, state: circuit.stateUnsafe(clock, now) })
      }
    }
    return { operations: operations.length, circuits }
  }),
  operations: Effect.map(Clock.Clock, (clock) => running.operations(clock).map((each) => each.snapshotUnsafe(clock))),
  operation: (name) =>
    Effect.map(Clock.Clock, (clock) =>
      Option.map(Option.fromUndefinedOr(running.operation(name, clock)), (found) => found.snapshotUnsafe(clock))
    ),
  resetMetrics: (name) =>
    Effect.map(Clock.Clock, (clock) => {
      const found = name === undefined ? running.operations(clock) : [running.operation(name, clock)]
      const operations = found.filter((operation) => operation !== undefined)
      for (const operation of operations) operation.resetUnsafe()
      return operations.length
    }),
  decisions: Effect.map(Clock.Clock, (clock) => running.operations(clock).flatMap((each) => each.decisionsUnsafe())),
  circuits: Effect.map(Clock.Clock, (clock) =>
    running.operations(clock).flatMap((each) => each.circuits?.allUnsafe() ?? [])
  ),
  circuit: (name) => Effect.map(Clock.Clock, (clock) => Option.fromUndefinedOr(findCircuit(running, name, clock))),
  policy: (name, slot) =>
    Effect.map(Clock.Clock, (clock) =>
      Option.fromUndefinedOr(running.operation(name, clock)?.policies?.[slot]?.running)
    ),
  events: sink.stream,
  observers
})

const runId = Effect.map(Random.nextIntBetween(0, 36 ** 5), (n) => n.toString(36).padStart(5, "0"))

const bounds = ({ decisions = {}, maxKeys = 10_000, maxOperations = 20_000 }: LayerOptions) => {
  const { capacity = 64, sampleEvery = 100 } = decisions
  const findings = [
    ["maxKeys", maxKeys, 1, 1_000_000] as const,
    ["maxOperations", maxOperations, 1, 1_000_000] as const,
    ["decisions.capacity", capacity, 1, 10_000] as const,
    ["decisions.sampleEvery", sampleEvery, 0, 1_000_000] as const
  ].flatMap(([path, value, minimum, maximum]) =>
    Number.isInteger(value) && value >= minimum && value <= maximum
      ? []
      : [{ path, value, rule: `expected a whole number from ${minimum} to ${maximum}, got ${value}` }]
  )
  if (findings.length > 0) throw new Settings.InvalidSettings({ settings: "Resilience", findings })
  return { maxKeys, maxOperations, decisions: { capacity, sampleEvery } }
}

const findCircuit = (running: Running, name: string, clock: Clock.Clock): CircuitBreaker.Circuit | undefined => {
  const separator = name.indexOf(":")
  const [operation, key] = separator === -1 ? [name, undefined] : [name.slice(0, separator), name.slice(separator + 1)]
  return running.operation(operation, clock)?.circuits?.findUnsafe(key)
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
  /**
   * Shares one run between calls that are in flight at once, by a key that names
   * all that the answer depends on: `Coalesce.by(text)`. They count as one call.
   */
  readonly coalesce?: Coalesce.By | undefined
  /** A rule for the errors of this call, asked before all others. */
  readonly classify?: Errors.Rule | undefined
}

/**
 * What a fallback is given. Rejections may also be those of a guard inside.
 *
 * @category utility types
 * @since 0.1.0
 */
export type FallbackInput<E, R extends Reason, On extends Pipeline.FallbackOn> = On extends "rejections"
  ? ResilienceError<R> | Extract<E, ResilienceError>
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
} = /*#__PURE__*/ dual(
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
} = /*#__PURE__*/ dual(
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
    const { runUnsafe } = Context.get(fiber.context as Context.Context<Resilience>, Resilience)
    return runUnsafe(self, operation, own, call, fiber)
  })
