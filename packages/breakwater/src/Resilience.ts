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
import * as Random from "effect/Random"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import type * as Coalesce from "./Coalesce.ts"
import * as Errors from "./Classification.ts"
import type * as Pipeline from "./Pipeline.ts"
import type * as Preset from "./Preset.ts"
import type { Reason, ResilienceError } from "./ResilienceError.ts"
import * as EventSink from "./EventSink.ts"
import { Running, type Start } from "./Running.ts"
import * as Settings from "./Settings.ts"
import * as Strategy from "./Strategy.ts"
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
 * The running operations. `Registry` reads and steers them.
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
      own: Strategy.Own,
      call: Pipeline.Call,
      fiber: Fiber.Fiber<unknown, unknown>
    ) => Effect.Effect<A, E | ResilienceError, R>
    /** What runs, for whoever reads and steers it: `Registry`. @internal */
    readonly running: Running
  }
>()("breakwater/Resilience") {
  /**
   * Provides the operations, and a sink for their events unless one is there.
   * Without a preset the numbers are those of `Preset.simple`. Throws
   * `InvalidSettings` at once for options that nothing can run with.
   */
  static readonly layer: {
    (preset?: undefined, options?: Omit<LayerOptions, "overlay" | "makers">): Layer.Layer<Resilience>
    (preset: Preset.Preset, options?: LayerOptions): Layer.Layer<Resilience>
  } = (preset?: Preset.Preset, options: LayerOptions = {}): Layer.Layer<Resilience> => {
    const { decisions = {}, makers, maxKeys = 10_000, maxOperations = 20_000, overlay } = options
    const { capacity = 64, sampleEvery = 100 } = decisions
    Settings.checkCounts("Resilience", [
      ["maxKeys", maxKeys, 1, 1_000_000],
      ["maxOperations", maxOperations, 1, 1_000_000],
      ["decisions.capacity", capacity, 1, 10_000],
      ["decisions.sampleEvery", sampleEvery, 0, 1_000_000]
    ])
    const chooser = preset === undefined ? Strategy.plainly : preset.chooser(overlay, makers)
    return Layer.effectContext(
      Effect.gen(function* () {
        const outer = yield* EventSink.ResilienceEvents
        const clock = yield* Clock.Clock
        const events = outer === Context.get(Context.empty(), EventSink.ResilienceEvents) ? EventSink.make() : outer
        const running = new Running(chooser, {
          events,
          keeper: yield* CircuitBreaker.Keeper,
          rules: yield* Errors.Rules,
          tracing: yield* Tracing.Current,
          decisions: { capacity, sampleEvery, run: yield* runId },
          maxOperations,
          maxKeys
        })
        for (const start of options.operations ?? []) {
          if (typeof start === "string") running.start(start, undefined, clock)
          else running.start(start.name, start.strategy, clock)
        }
        return Context.make(Resilience, {
          running,
          runUnsafe: (self, name, own, call, fiber) => running.run(self, name, own, call, fiber)
        }).pipe(Context.add(EventSink.ResilienceEvents, events))
      })
    )
  }
}

const runId = Effect.map(Random.nextIntBetween(36 ** 4, 36 ** 5), (n) => n.toString(36))

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
  own: Strategy.Own,
  call: Pipeline.Call
): Effect.Effect<A, E | ResilienceError, R | Resilience> =>
  Effect.withFiber((fiber) => {
    const { runUnsafe } = Context.get(fiber.context as Context.Context<Resilience>, Resilience)
    return runUnsafe(self, operation, own, call, fiber)
  })
