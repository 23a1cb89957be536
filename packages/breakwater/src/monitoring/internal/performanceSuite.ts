/**
 * The benchmarks of what a process does for every guarded call, and when it
 * starts or reloads. Each works on operations, circuits and variables of its
 * own.
 */
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as CircuitBreaker from "../../CircuitBreaker.ts"
import * as Environment from "../../config/Environment.ts"
import * as Presets from "../../config/Presets.ts"
import * as Resolution from "../../config/Resolution.ts"
import * as Validation from "../../config/Validation.ts"
import * as Errors from "../../Errors.ts"
import * as Preset from "../../Preset.ts"
import { Registry } from "../../Registry.ts"
import { Resilience, withResilience } from "../../Resilience.ts"
import * as EventSink from "../../EventSink.ts"
import * as Retry from "../../Retry.ts"
import * as Tracing from "../../Tracing.ts"

/** @internal */
export interface Benchmark {
  readonly name: string
  readonly description: string
  /** The longest average that passes, in milliseconds. */
  readonly thresholdMs: number
  /** Default 50. */
  readonly iterations?: number | undefined
  /** Runs only when asked for. */
  readonly isSlow?: boolean | undefined
  /** Runs once and gives the iteration. */
  readonly setup: Effect.Effect<Effect.Effect<unknown, unknown>, unknown, Scope.Scope>
}

/** Whatever happens inside is seen by nobody: no subscriber, no tracer. @internal */
const unseen = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  self.pipe(
    Effect.provideService(EventSink.ResilienceEvents, EventSink.make()),
    Effect.provideService(Tracing.Current, undefined)
  )

/** Operations that nobody else sees. @internal */
export const privately = (
  preset: Preset.Preset,
  operations: ReadonlyArray<string> = []
): Effect.Effect<Resilience["Service"], never, Scope.Scope> =>
  Effect.map(unseen(Layer.build(Resilience.layer(preset, { operations }))), (context) =>
    Context.get(context, Resilience)
  )

const builtInPresets = Object.values(Preset.builtIn)
const noOverlay = Preset.overlay({})

const documents = [
  { retry_attempts: 4, circuit_breaker_threshold: 7 },
  { retry_attempts: 6, circuit_breaker_threshold: 9, operation_overrides: { summarize: "critical" } },
  { retry_attempts: 3, circuit_breaker_threshold: 5, exponential_multiplier: 1.5, jitter_enabled: true }
]

/** What a start or a reload does, with these variables and no other. */
const loading = (environments: ReadonlyArray<Record<string, string>>): Benchmark["setup"] =>
  Effect.map(Presets.make, (presets) =>
    Effect.forEach(
      environments,
      (variables) =>
        Resolution.read.pipe(
          Effect.flatMap((inputs) => Resolution.resolve(inputs, Resolution.noRuntime)),
          Effect.map(Resolution.toConfiguration),
          Effect.provideService(Presets.Presets, presets),
          Effect.provideService(Environment.FileProbe, { exists: () => Effect.succeed(false) }),
          Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(variables))
        ),
      { discard: true }
    )
  )

const breaker = CircuitBreaker.make({
  operation: "benchmark",
  settings: { failureThreshold: 1, openDuration: "1 day" }
}).pipe(unseen)

const errors = [
  new Errors.TransientAIError({ message: "overloaded" }),
  new Errors.PermanentAIError({ message: "refused" }),
  new Errors.RateLimitError({ message: "slow down" }),
  new TypeError("fetch failed"),
  { status: 503 }
]

const guarded = (resilience: Resilience["Service"]): Effect.Effect<void, unknown> =>
  Effect.void.pipe(
    withResilience("balanced", { operation: "benchmark" }),
    Effect.provideService(Resilience, resilience)
  )

/** Operations of the text service. */
const textOperations = Array.from(Preset.aliases.values())

/** @internal */
export const benchmarks: ReadonlyArray<Benchmark> = [
  {
    name: "closed_breaker_call",
    description: "A call that does nothing, through a closed circuit",
    thresholdMs: 1,
    iterations: 1000,
    setup: Effect.map(breaker, ({ protect }) => Effect.void.pipe(protect()))
  },
  {
    name: "open_breaker_rejection",
    description: "A call that an open circuit refuses",
    thresholdMs: 1,
    iterations: 1000,
    setup: Effect.flatMap(breaker, ({ protect }) =>
      Effect.as(Effect.exit(Effect.fail("down").pipe(protect())), Effect.flip(Effect.void.pipe(protect())))
    )
  },
  {
    name: "breaker_state_read",
    description: "A snapshot of a circuit",
    thresholdMs: 0.1,
    iterations: 1000,
    setup: Effect.flatMap(breaker, ({ circuit }) => Effect.map(circuit(), CircuitBreaker.snapshot))
  },
  {
    name: "metrics_read",
    description: "A snapshot of an operation with its counters, latencies and circuit",
    thresholdMs: 0.5,
    iterations: 1000,
    setup: privately(Preset.simple).pipe(
      Effect.tap(guarded),
      Effect.flatMap((resilience) => Effect.provideService(Registry, Resilience, resilience)),
      Effect.map((registry) => registry.operation("benchmark"))
    )
  },
  {
    name: "error_classification",
    description: "What five errors mean: of ours, of fetch, of HTTP",
    thresholdMs: 0.1,
    iterations: 1000,
    setup: Effect.succeed(Effect.sync(() => errors.map((error) => Errors.classify(error))))
  },
  {
    name: "schedule_step",
    description: "The first pause of a retry",
    thresholdMs: 0.1,
    iterations: 1000,
    setup: Effect.succeed(
      Effect.flatMap(Schedule.toStep(Retry.schedule({ jitter: "additive" })), (step) => step(0, errors[0]))
    )
  },
  {
    name: "guarded_call",
    description: "A call that does nothing, through every policy of the strategy balanced",
    thresholdMs: 1,
    iterations: 1000,
    setup: Effect.map(privately(Preset.simple), guarded)
  },
  {
    name: "preset_loading",
    description: "Finding three presets by name",
    thresholdMs: 10,
    iterations: 100,
    setup: Effect.map(Presets.make, ({ get }) =>
      Effect.forEach(builtInPresets, ({ name }) => get(name), { discard: true })
    )
  },
  {
    name: "settings_initialization",
    description: "The settings of every policy, for three presets",
    thresholdMs: 100,
    iterations: 50,
    setup: Effect.succeed(
      Effect.sync(() => builtInPresets.map((preset) => Preset.strategyOf(preset, noOverlay, undefined)))
    )
  },
  {
    name: "resilience_config_loading",
    description: "Reading the environment and resolving the configuration, for three presets",
    thresholdMs: 100,
    iterations: 50,
    setup: loading(builtInPresets.map(({ name }) => ({ RESILIENCE_PRESET: name })))
  },
  {
    name: "validation_performance",
    description: "Validating and decoding three custom configurations",
    thresholdMs: 50,
    iterations: 50,
    setup: Effect.succeed(
      Effect.suspend(() => {
        const results = documents.map((document) => Validation.validate(document))
        return results.every(({ isValid }) => isValid) ? Effect.void : Effect.fail("invalid")
      })
    )
  },
  {
    name: "service_initialization",
    description: "Starting five operations from nothing",
    thresholdMs: 200,
    iterations: 25,
    isSlow: true,
    setup: Effect.succeed(Effect.scoped(privately(Preset.production, textOperations)))
  },
  {
    name: "custom_config_loading",
    description: "Reading and resolving three custom configurations",
    thresholdMs: 100,
    iterations: 25,
    isSlow: true,
    setup: loading(documents.map((document) => ({ RESILIENCE_CUSTOM_CONFIG: JSON.stringify(document) })))
  },
  {
    name: "legacy_config_loading",
    description: "Reading and resolving the variables of the original service, two sets of them",
    thresholdMs: 100,
    iterations: 25,
    isSlow: true,
    setup: loading([
      {
        RETRY_MAX_ATTEMPTS: "3",
        CIRCUIT_BREAKER_FAILURE_THRESHOLD: "5",
        DEFAULT_RESILIENCE_STRATEGY: "balanced"
      },
      {
        RETRY_MAX_ATTEMPTS: "5",
        CIRCUIT_BREAKER_FAILURE_THRESHOLD: "10",
        DEFAULT_RESILIENCE_STRATEGY: "conservative",
        SUMMARIZE_RESILIENCE_STRATEGY: "conservative"
      }
    ])
  }
]
