/**
 * Reads and steers what runs.
 *
 * **Details**
 *
 * `Registry` is an effect: it needs the `Resilience` that guards the calls, and
 * a program that only guards calls does not bundle it.
 *
 * **Example** (Reading an operation, and opening its circuit)
 *
 * ```ts import.meta.vitest
 * import { Effect, Option } from "effect"
 * import { CircuitBreaker, Registry, Resilience, withResilience } from "breakwater"
 *
 * const program = Effect.gen(function*() {
 *   yield* Effect.succeed("a rate").pipe(withResilience("aggressive", { operation: "rates" }))
 *   const registry = yield* Registry
 *   const { counters } = Option.getOrThrow(yield* registry.operation("rates"))
 *   const circuit = Option.getOrThrow(yield* registry.circuit("rates"))
 *   yield* CircuitBreaker.trip(circuit)
 *   const { state } = yield* CircuitBreaker.snapshot(circuit)
 *   return [counters.succeeded, state]
 * }).pipe(Effect.provide(Resilience.layer()))
 *
 * await Effect.runPromise(program) // => [1, "open"]
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import { type Decision, newestFirst } from "./Decision.ts"
import * as Operation from "./Operation.ts"
import type * as Policy from "./Policy.ts"
import * as Monotonic from "./Monotonic.ts"
import * as Preset from "./Preset.ts"
import type { ResilienceEvent } from "./EventSchema.ts"
import { type Sink, stream } from "./EventSink.ts"
import { Resilience } from "./Resilience.ts"
import { operationsUnsafe, operationUnsafe, type Running } from "./Running.ts"

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
 * What runs, and what decides its numbers.
 *
 * @category models
 * @since 0.1.0
 */
export interface Registry {
  /** What decides the numbers, with the count of its changes. */
  readonly configuration: Effect.Effect<Preset.Configuration & { readonly version: number }>
  /**
   * Changes the configuration at once and returns its version. Calls that run go
   * through with the old one. Dies with `InvalidSettings`, and changes nothing,
   * if the overlay needs `makers` and has none.
   */
  readonly configure: (change: (current: Preset.Configuration) => Preset.Configuration) => Effect.Effect<number>
  /** Counts the strategies that were prepared. */
  readonly prepared: Effect.Effect<number>
  /** Which states the circuits are in. Costs a fraction of `operations`. */
  readonly states: Effect.Effect<States>
  /** Every running operation at this moment. */
  readonly operations: Effect.Effect<ReadonlyArray<Operation.Snapshot>>
  /** One running operation at this moment, by either of its names. */
  readonly operation: (name: string) => Effect.Effect<Option.Option<Operation.Snapshot>>
  /**
   * Lets an operation and its circuits count from 0 again, or all of them. Returns how many. States of circuits stay, and
   * so do the counters of bulkheads, rate limits and budgets, which calls in flight balance.
   */
  readonly resetMetrics: (name?: string) => Effect.Effect<number>
  /** The decisions that are remembered, newest first for each operation. */
  readonly decisions: Effect.Effect<ReadonlyArray<Decision>>
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
  /** Tells a listener of every event, in the step that publishes it. @internal */
  readonly listenUnsafe: Sink["listenUnsafe"]
}

/**
 * A registry in place of the real one, for tests of what reads it.
 *
 * @category references
 * @since 0.1.0
 */
export const RegistryInForce = /*#__PURE__*/ Context.Reference<Registry | undefined>("breakwater/RegistryInForce", {
  defaultValue: () => undefined
})

/**
 * The running operations.
 *
 * @category accessors
 * @since 0.1.0
 */
export const Registry: Effect.Effect<Registry, never, Resilience> = /*#__PURE__*/ Effect.zipWith(
  Resilience,
  RegistryInForce,
  ({ running }, inForce) => inForce ?? of(running)
)

const of = (running: Running): Registry => {
  // Without a preset the numbers are those of `simple`.
  const configuration = (): Preset.Configuration =>
    (running.chooser instanceof Preset.Configured ? running.chooser : Preset.simple.chooser()).configuration
  const read = <A>(f: (operations: ReadonlyArray<Operation.Operation>, clock: Clock.Clock) => A): Effect.Effect<A> =>
    Effect.map(Clock.Clock, (clock) => f(operationsUnsafe(running, clock), clock))
  const find = <A>(
    name: string,
    f: (operation: Operation.Operation, clock: Clock.Clock) => A | undefined
  ): Effect.Effect<Option.Option<A>> =>
    Effect.map(Clock.Clock, (clock) => {
      const found = operationUnsafe(running, name, clock)
      return Option.fromUndefinedOr(found && f(found, clock))
    })
  return {
    configuration: Effect.sync(() => ({ ...configuration(), version: running.version })),
    configure: (change) =>
      Effect.sync(() => {
        running.configure(new Preset.Configured(change(configuration())))
        return running.version
      }),
    prepared: Effect.sync(() => running.prepared),
    states: read((operations, clock) => {
      const now = Monotonic.now(clock)
      const circuits = operations.flatMap((operation) =>
        (operation.circuits?.allUnsafe() ?? []).map((circuit) => ({
          name: circuit.name,
          state: CircuitBreaker.stateUnsafe(circuit, clock, now)
        }))
      )
      return { operations: operations.length, circuits }
    }),
    operations: read((operations, clock) => operations.map((each) => Operation.snapshotUnsafe(each, clock))),
    operation: (name) => find(name, Operation.snapshotUnsafe),
    resetMetrics: (name) =>
      Effect.map(Clock.Clock, (clock) => {
        const found = name === undefined ? operationsUnsafe(running, clock) : [operationUnsafe(running, name, clock)]
        const operations = found.filter((operation) => operation !== undefined)
        for (const operation of operations) Operation.resetUnsafe(operation)
        return operations.length
      }),
    decisions: read((operations) => operations.flatMap(({ log }) => (log === undefined ? [] : newestFirst(log)))),
    circuits: read((operations) => operations.flatMap(({ circuits }) => circuits?.allUnsafe() ?? [])),
    circuit: (name) => {
      const separator = name.indexOf(":")
      return separator === -1
        ? find(name, ({ circuits }) => circuits?.findUnsafe(undefined))
        : find(name.slice(0, separator), ({ circuits }) => circuits?.findUnsafe(name.slice(separator + 1)))
    },
    policy: (name, slot) => find(name, ({ policies }) => policies?.[slot]?.running),
    events: stream(running.options.events),
    listenUnsafe: running.options.events.listenUnsafe
  }
}
