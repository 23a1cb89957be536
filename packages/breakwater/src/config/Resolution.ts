/**
 * Decides the numbers in force from all that has a say, and knows where each
 * comes from.
 *
 * **Details**
 *
 * Strongest first: what an operator changed at run time,
 * `RESILIENCE_CUSTOM_CONFIG`, `RESILIENCE_PRESET`, the variables of the
 * original service, the detected environment if its confidence is at least 0.7,
 * and the preset `simple`.
 *
 * **Gotchas**
 *
 * - With `RESILIENCE_PRESET` the original's variables have no say; each gets a
 *   warning.
 * - All problems are reported together, and none of the sources is used then.
 *
 * **Example** (Numbers and their sources)
 *
 * ```ts import.meta.vitest
 * import { ConfigProvider, Effect } from "effect"
 * import { Presets, Resolution } from "breakwater"
 *
 * const program = Effect.gen(function* () {
 *   const inputs = yield* Resolution.read
 *   const resolved = yield* Resolution.resolve(inputs, Resolution.noRuntime)
 *   const { value, source } = resolved.effective.find(({ field }) => field === "retry_attempts")!
 *   return `${value} from ${source}`
 * }).pipe(
 *   Effect.provide(Presets.layer),
 *   Effect.provideService(
 *     ConfigProvider.ConfigProvider,
 *     ConfigProvider.fromEnvRecord({ RESILIENCE_PRESET: "production", RESILIENCE_CUSTOM_CONFIG: '{"retry_attempts":4}' })
 *   )
 * )
 *
 * await Effect.runPromise(program) // => "4 from RESILIENCE_CUSTOM_CONFIG"
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Preset from "../Preset.ts"
import type { Configuration } from "../Preset.ts"
import type * as Strategy from "../Strategy.ts"
import * as CustomConfig from "./CustomConfig.ts"
import * as Environment from "./Environment.ts"
import * as Legacy from "./Legacy.ts"
import * as Policies from "./Policies.ts"
import * as Presets from "./Presets.ts"
import * as Validation from "./Validation.ts"

/**
 * Something in the environment that nothing can run with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Problem {
  readonly variable: string
  /** As written, shortened, and without what could be a secret. */
  readonly value: string
  /** What may stand there. */
  readonly allowed: string
  readonly fix: string
}

/**
 * The environment cannot be used. Names every problem at once.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidConfiguration extends Data.TaggedError("InvalidConfiguration")<{
  readonly problems: ReadonlyArray<Problem>
}> {
  override get message(): string {
    return [
      `Invalid configuration: ${this.problems.length === 1 ? "1 problem" : `${this.problems.length} problems`}`,
      ...this.problems.map(({ allowed, fix, value, variable }) => `  ${variable}=${value}: expected ${allowed}; ${fix}`)
    ].join("\n")
  }
}

/**
 * What the environment says, as read at one moment.
 *
 * @category models
 * @since 0.1.0
 */
export interface Inputs {
  /** `RESILIENCE_PRESET`. */
  readonly preset: Option.Option<string>
  /** `RESILIENCE_CUSTOM_CONFIG`, as text. */
  readonly customConfig: Option.Option<string>
  readonly legacy: Legacy.Legacy
  readonly detection: Environment.Detection
  /** What the code says. Everything else is stronger. */
  readonly code?: Presets.Entry | undefined
}

/**
 * What operators changed at run time.
 *
 * @category models
 * @since 0.1.0
 */
export interface Runtime {
  readonly preset: string | undefined
  readonly overlay: Preset.Overlay
  /** Strategies of single operations. They go over what the code names. */
  readonly strategies: ReadonlyMap<string, Strategy.BuiltIn>
}

/**
 * @category models
 * @since 0.1.0
 */
export const noRuntime: Runtime = { preset: undefined, overlay: new Preset.Overlay({}), strategies: new Map() }

/**
 * A field with the value in force and where it comes from: `runtime`, the name
 * of a variable, or `preset` with the preset's name.
 *
 * @category models
 * @since 0.1.0
 */
export interface Effective {
  readonly field: CustomConfig.Name
  /** As JSON has it. */
  readonly value: unknown
  readonly source: string
}

/**
 * How the preset was chosen.
 *
 * @category models
 * @since 0.1.0
 */
export type PresetSource = "runtime" | "RESILIENCE_PRESET" | "detected" | "default" | "code"

/**
 * The numbers in force.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resolved {
  readonly preset: Presets.Entry
  readonly presetSource: PresetSource
  readonly overlay: Preset.Overlay
  /** The numbers of operations under the default strategy. */
  readonly effective: ReadonlyArray<Effective>
  readonly strategies: ReadonlyMap<string, Strategy.BuiltIn>
  readonly toggles: Legacy.Toggles
  readonly detection: Environment.Detection
  readonly warnings: ReadonlyArray<string>
}

/** Confidence from which a detected environment chooses the preset. */
const minimumConfidence = 0.7

/**
 * Reads the environment from the `ConfigProvider` in force.
 *
 * @category constructors
 * @since 0.1.0
 */
export const read: Effect.Effect<Inputs, Config.ConfigError> = Effect.gen(function* () {
  return {
    preset: yield* text("RESILIENCE_PRESET"),
    customConfig: yield* text("RESILIENCE_CUSTOM_CONFIG"),
    legacy: yield* Legacy.read,
    detection: yield* Environment.detect()
  }
})

// An empty variable counts as absent.
const text = (name: string) =>
  Effect.map(
    Config.option(Config.String(name)),
    Option.filter((value) => value.trim() !== "")
  )

/** One source of overlay fields. */
interface Source {
  readonly overlay: Preset.Overlay
  readonly nameOf: (field: keyof Preset.Overlay) => string
}

/**
 * Decides the numbers. Fails with every problem of the environment at once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const resolve = (
  inputs: Inputs,
  runtime: Runtime
): Effect.Effect<Resolved, InvalidConfiguration, Presets.Presets> =>
  Effect.gen(function* () {
    const presets = yield* Presets.Presets
    const problems: Array<Problem> = []
    const warnings: Array<string> = []

    const [chosen, presetSource] = choose(inputs, runtime)
    const found = presetSource === "code" ? Effect.succeed(inputs.code!) : presets.get(chosen)
    const preset = yield* found.pipe(
      Effect.catch((error) => {
        problems.push({
          variable: presetSource === "runtime" ? "preset" : "RESILIENCE_PRESET",
          value: shown(chosen),
          allowed: error.available.join(", "),
          fix: error.nearest === undefined ? "choose one of these" : `did you mean "${error.nearest}"?`
        })
        return presets.get("simple").pipe(Effect.orDie)
      })
    )

    const sources: Array<Source> = [{ overlay: runtime.overlay, nameOf: () => "runtime" }]
    if (Option.isSome(inputs.customConfig)) {
      const { findings, value } = Validation.validateText(inputs.customConfig.value, {
        level: "secure",
        at: yield* DateTime.now
      })
      for (const { message, path, severity, suggestion } of findings) {
        if (severity === "error") {
          problems.push({
            variable: path === "" ? "RESILIENCE_CUSTOM_CONFIG" : `RESILIENCE_CUSTOM_CONFIG.${path}`,
            // The whole text may hold a secret; the message names what is wrong.
            value: `(${inputs.customConfig.value.length} characters)`,
            allowed: message,
            fix: suggestion ?? "correct it or leave it out"
          })
        } else {
          warnings.push(`RESILIENCE_CUSTOM_CONFIG: ${message}`)
        }
      }
      if (Option.isSome(value)) sources.push({ overlay: value.value, nameOf: () => "RESILIENCE_CUSTOM_CONFIG" })
    }

    const legacyHasSay = presetSource !== "RESILIENCE_PRESET"
    for (const { message, variable } of inputs.legacy.warnings) {
      warnings.push(legacyHasSay ? message : `${variable} has no effect, because RESILIENCE_PRESET is set. ${message}`)
    }
    if (legacyHasSay) {
      problems.push(...inputs.legacy.problems)
      sources.push({
        overlay: inputs.legacy.overlay,
        nameOf: (field) => inputs.legacy.sources.get(CustomConfig.names[field]) ?? "legacy"
      })
    }
    sources.push({
      overlay: preset.overlay,
      nameOf: () => (presetSource === "code" ? "code" : `preset ${preset.key}`)
    })
    if (problems.length > 0) return yield* new InvalidConfiguration({ problems })

    const overlay = merge(sources.map((source) => source.overlay))
    return {
      preset,
      presetSource,
      overlay,
      effective: effectiveOf(preset.preset, overlay, sources),
      strategies: runtime.strategies,
      toggles: inputs.legacy.toggles,
      detection: inputs.detection,
      warnings
    }
  })

const choose = ({ code, detection, preset }: Inputs, runtime: Runtime): readonly [string, PresetSource] => {
  if (runtime.preset !== undefined) return [runtime.preset, "runtime"]
  if (Option.isSome(preset)) return [preset.value.trim(), "RESILIENCE_PRESET"]
  if (code !== undefined) return [code.key, "code"]
  return detection.confidence >= minimumConfidence ? [detection.recommendedPreset, "detected"] : ["simple", "default"]
}

/** Strongest first. Strategies of operations are merged one by one. */
const merge = (overlays: ReadonlyArray<Preset.Overlay>): Preset.Overlay => {
  const weakestFirst = overlays.toReversed()
  const operationOverrides: Record<string, Strategy.BuiltIn> = {}
  for (const overlay of weakestFirst) {
    for (const [operation, strategy] of Object.entries(overlay.operationOverrides ?? {})) {
      operationOverrides[Preset.canonicalName(operation)] = strategy
    }
  }
  return new Preset.Overlay(
    Object.assign(
      {},
      ...weakestFirst.map((overlay, at) => ofWindow(overlay, weakestFirst.slice(at + 1))),
      Object.keys(operationOverrides).length === 0 ? {} : { operationOverrides }
    )
  )
}

/** Whoever states failures in a row means them, not the window that a weaker source puts in their place. */
const ofWindow = (overlay: Preset.Overlay, stronger: ReadonlyArray<Preset.Overlay>): object => {
  const statesRow = ({ circuitBreakerFailureRate, circuitBreakerThreshold }: Preset.Overlay): boolean =>
    circuitBreakerThreshold !== undefined && circuitBreakerFailureRate === undefined
  if (!stronger.some(statesRow)) return overlay
  const { circuitBreakerFailureRate: _rate, circuitBreakerMinimumCalls: _calls, ...rest } = overlay
  const { circuitBreakerWindow: _window, ...others } = rest
  return others
}

const effectiveOf = (
  preset: Preset.Preset,
  overlay: Preset.Overlay,
  sources: ReadonlyArray<Source>
): ReadonlyArray<Effective> => {
  const numbers = numbersOf(preset, overlay)
  return Object.entries(CustomConfig.names).map(([name, field]) => {
    const key = name as keyof Preset.Overlay
    const source = overlay[key] === undefined ? undefined : sources.find(({ overlay }) => overlay[key] !== undefined)
    // A number for a policy that the default strategy does not have is for those that do.
    const value = numbers[key] ?? overlay[key]
    return {
      field,
      value: Duration.isDuration(value) ? Duration.toSeconds(value) : value,
      source: source === undefined ? `preset ${preset.name}` : source.nameOf(key)
    }
  })
}

/** Every number of the default strategy, as an overlay would state it. */
const numbersOf = (
  preset: Preset.Preset,
  overlay: Preset.Overlay
): Readonly<Partial<Record<keyof Preset.Overlay, unknown>>> => {
  const { settings } = Preset.strategyOf(preset, overlay, undefined, Policies.makers)
  const { circuitBreaker, retry, timeout } = settings
  return {
    defaultStrategy: overlay.defaultStrategy ?? preset.defaultStrategy,
    operationOverrides: { ...preset.operationOverrides, ...overlay.operationOverrides },
    ...(retry && {
      retryAttempts: retry.maxAttempts,
      exponentialMultiplier: retry.base,
      exponentialMin: retry.minDelay,
      exponentialMax: retry.maxDelay,
      jitterEnabled: retry.jitter !== "none",
      jitterMax: retry.jitterMax
    }),
    ...(circuitBreaker && {
      circuitBreakerThreshold: circuitBreaker.failureThreshold,
      recoveryTimeout: circuitBreaker.openDuration,
      halfOpenMaxCalls: circuitBreaker.halfOpenMaxCalls
    }),
    ...(timeout && { maxDelay: timeout.total, attemptTimeout: timeout.attempt }),
    ...Policies.numbersOf(settings)
  }
}

/**
 * The configuration that operations run with.
 *
 * @category accessors
 * @since 0.1.0
 */
export const toConfiguration = ({ overlay, preset, strategies, toggles }: Resolved): Configuration => ({
  preset: preset.preset,
  overlay,
  makers: Policies.makers,
  strategies,
  isEnabled: toggles.enabled,
  retry: toggles.retry,
  circuitBreaker: toggles.circuitBreaker
})

/**
 * A field whose value in force differs.
 *
 * @category models
 * @since 0.1.0
 */
export interface Difference {
  /** The name of the field, `preset`, or `operations.` and the name of one. */
  readonly field: string
  readonly from: unknown
  readonly to: unknown
}

/**
 * What differs in force between two resolutions.
 *
 * @category accessors
 * @since 0.1.0
 */
export const diff = (from: Resolved, to: Resolved): ReadonlyArray<Difference> => {
  const facts = ({ effective, preset, strategies, toggles }: Resolved): ReadonlyMap<string, unknown> =>
    new Map<string, unknown>([
      ["preset", preset.key],
      ...effective.map(({ field, value }): [string, unknown] => [field, value]),
      ...Array.from(strategies, ([operation, strategy]): [string, unknown] => [`operations.${operation}`, strategy]),
      ...Object.entries(toggles).map(([name, value]): [string, unknown] => [`toggles.${name}`, value])
    ])
  const [before, after] = [facts(from), facts(to)]
  return Array.from(new Set([...before.keys(), ...after.keys()])).flatMap((field) => {
    const [was, is] = [before.get(field), after.get(field)]
    return JSON.stringify(was) === JSON.stringify(is) ? [] : [{ field, from: was ?? null, to: is ?? null }]
  })
}

/** Shortened; never more than a glance, for it may hold what was meant to be secret. */
const shown = (value: string): string => JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value)

/**
 * A table of every field with its value and source, and the warnings.
 *
 * @category accessors
 * @since 0.1.0
 */
export const describe = ({ effective, preset, presetSource, warnings }: Resolved): ReadonlyArray<string> => [
  `preset ${preset.key} (${presetSource})`,
  ...effective.map(({ field, source, value }) => `${field.padEnd(28)} ${JSON.stringify(value) ?? "-"}  (${source})`),
  ...warnings.map((warning) => `warning: ${warning}`)
]
