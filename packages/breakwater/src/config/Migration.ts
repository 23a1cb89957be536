/**
 * Turns the variables of the original service into a preset and the fields in
 * which they differ from it.
 *
 * **Details**
 *
 * The nearest preset is the one with the highest weighted similarity, over the
 * fields that are there:
 *
 * | field | weight | similarity |
 * | --- | --- | --- |
 * | retry attempts | 0.30 | `1 − abs(a − b) / max(a, b, 1)` |
 * | circuit breaker threshold | 0.25 | as above |
 * | recovery timeout | 0.20 | as above |
 * | default strategy | 0.15 | 1 if equal, else 0 |
 * | strategies of operations | 0.10 | share of those that are equal |
 *
 * Whatever differs goes into the overlay, however near the preset is, and so do
 * all settings of pauses, which a preset does not have. From 0.9 the confidence
 * is `high`, from 0.7 `medium`, below `low`.
 *
 * **Gotchas**
 *
 * - Nothing is written and nothing is run: a script is text.
 * - The bash script is to be sourced. In a process of its own its exports would
 *   be lost.
 * - A variable with a value that cannot be used is reported, kept in the backup
 *   and left out of the overlay.
 *
 * **Example** (What to write instead)
 *
 * ```ts import.meta.vitest
 * import { Migration } from "breakwater"
 *
 * const plan = Migration.analyze({
 *   RETRY_MAX_ATTEMPTS: "5",
 *   CIRCUIT_BREAKER_FAILURE_THRESHOLD: "10",
 *   CIRCUIT_BREAKER_RECOVERY_TIMEOUT: "120",
 *   DEFAULT_RESILIENCE_STRATEGY: "conservative",
 *   QA_RESILIENCE_STRATEGY: "aggressive"
 * })
 *
 * plan.preset // => "production"
 * plan.confidenceLevel // => "high"
 * plan.overrides // => { operation_overrides: { qa: "aggressive" } }
 * ```
 *
 * @since 0.1.0
 */
import type * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Preset from "../Preset.ts"
import type * as Strategy from "../Strategy.ts"
import * as Wire from "../Wire.ts"
import * as CustomConfig from "./CustomConfig.ts"
import * as writing from "./internal/migrationScript.ts"
import * as Legacy from "./Legacy.ts"

/**
 * How sure it is that the preset is the right one.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ConfidenceLevel = Schema.Literals(["high", "medium", "low"])

/**
 * @category models
 * @since 0.1.0
 */
export type ConfidenceLevel = typeof ConfidenceLevel.Type

/**
 * Something about the migrated configuration that deserves a thought.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Warning = Wire.snakeCase("MigrationWarning", {
  code: Schema.Literals(["many_retries", "low_threshold", "retry_gt_threshold", "aggressive_default", "already_set"]),
  message: Schema.String
})

/**
 * @category models
 * @since 0.1.0
 */
export type Warning = typeof Warning.Type

/**
 * The formats of a script.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Format = Schema.Literals(["bash", "env", "docker", "json"])

/**
 * @category models
 * @since 0.1.0
 */
export type Format = typeof Format.Type

const Values = Schema.Record(Schema.String, Schema.String)

const { fields } = CustomConfig

const encoded = <S extends Schema.Constraint>(schema: S) => Schema.optionalKey(Schema.toEncoded(schema))

/** Some of the fields of a custom configuration, or none. */
const Overrides = Schema.Struct({
  retry_attempts: encoded(fields.retryAttempts),
  circuit_breaker_threshold: encoded(fields.circuitBreakerThreshold),
  recovery_timeout: encoded(fields.recoveryTimeout),
  default_strategy: encoded(fields.defaultStrategy),
  operation_overrides: encoded(fields.operationOverrides),
  max_delay_seconds: encoded(fields.maxDelay),
  exponential_multiplier: encoded(fields.exponentialMultiplier),
  exponential_min: encoded(fields.exponentialMin),
  exponential_max: encoded(fields.exponentialMax),
  jitter_enabled: encoded(fields.jitterEnabled),
  jitter_max: encoded(fields.jitterMax)
})

const plan = {
  /** The nearest preset. */
  preset: Schema.String,
  /** 0 to 1. */
  confidence: Schema.Finite,
  confidenceLevel: ConfidenceLevel,
  /** The fields that differ from the preset: a custom configuration, or nothing. */
  overrides: Overrides,
  warnings: Schema.Array(Warning),
  /** Values that cannot be used. */
  problems: Schema.Array(Legacy.Problem),
  /** What to do, in order. */
  steps: Schema.Array(Schema.String),
  /** Variables to set. */
  environment: Values,
  /** Variables to remove, with their values. */
  legacy: Values,
  /** Variables whose values the backup keeps. */
  backup: Values
} as const

/**
 * Where to go, and how.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Plan = Wire.snakeCase("MigrationPlan", plan)

/**
 * @category models
 * @since 0.1.0
 */
export type Plan = typeof Plan.Type

/**
 * A plan with its scripts.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Report = Wire.snakeCase("MigrationReport", {
  ...plan,
  script: Schema.Struct({ bash: Schema.String, env: Schema.String, docker: Schema.String, json: Schema.String })
})

/**
 * @category models
 * @since 0.1.0
 */
export type Report = typeof Report.Type

/**
 * @category models
 * @since 0.1.0
 */
export interface AnalyzeOptions {
  /** The presets to choose from; of equally near ones the first. Default the three built-in ones. */
  readonly presets?: readonly [Preset.Preset, ...ReadonlyArray<Preset.Preset>] | undefined
}

const preset = "RESILIENCE_PRESET"
const customConfig = "RESILIENCE_CUSTOM_CONFIG"

/**
 * Finds the nearest preset of a set of variables, and what differs.
 *
 * @category constructors
 * @since 0.1.0
 */
export const analyze = (
  variables: Legacy.Variables,
  { presets = [Preset.simple, Preset.development, Preset.production] }: AnalyzeOptions = {}
): Plan => {
  const legacy = Legacy.decode(variables)
  const { confidence, nearest } = choose(legacy, presets)
  const overrides = differences(legacy, nearest)
  const environment: Record<string, string> = { [preset]: nearest.name }
  if (Object.keys(overrides).length > 0) environment[customConfig] = JSON.stringify(overrides)
  const replaced = [preset, customConfig].flatMap((name) => {
    const value = variables[name]
    return value === undefined || value === "" ? [] : [[name, value] as const]
  })
  return {
    preset: nearest.name,
    confidence,
    confidenceLevel: confidence >= 0.9 ? "high" : confidence >= 0.7 ? "medium" : "low",
    overrides,
    warnings: warnings(legacy, nearest, replaced),
    problems: legacy.problems,
    steps: steps(legacy, environment),
    environment,
    legacy: Object.fromEntries(legacy.present),
    backup: Object.fromEntries([...legacy.present, ...replaced])
  }
}

/**
 * Finds the nearest preset of the variables that the `ConfigProvider` in force
 * has.
 *
 * @category constructors
 * @since 0.1.0
 */
export const analyzeConfig = (options?: AnalyzeOptions): Effect.Effect<Plan, Config.ConfigError> =>
  Effect.map(Legacy.collect([...Legacy.variables, ...Legacy.toggles, preset, customConfig]), (variables) =>
    analyze(variables, options)
  )

/** 1 if there is nothing to compare because nothing is there, 0.5 if what is there cannot be compared. */
const choose = (
  legacy: Legacy.Legacy,
  presets: readonly [Preset.Preset, ...ReadonlyArray<Preset.Preset>]
): { readonly nearest: Preset.Preset; readonly confidence: number } => {
  const [first, ...others] = presets
  if (legacy.present.size === 0) return { nearest: first, confidence: 1 }
  let nearest = first
  let confidence = similarity(legacy.overlay, first)
  for (const preset of others) {
    const other = similarity(legacy.overlay, preset)
    if (other > confidence) {
      nearest = preset
      confidence = other
    }
  }
  return { nearest, confidence }
}

/**
 * How near variables are to a preset, from 0 to 1.
 *
 * @category accessors
 * @since 0.1.0
 */
export const similarity = (overlay: Preset.Overlay, preset: Preset.Preset): number => {
  const { circuitBreakerThreshold, defaultStrategy, operationOverrides, recoveryTimeout, retryAttempts } = overlay
  let weights = 0
  let sum = 0
  const compare = <A>(weight: number, value: A | undefined, of: (value: A) => number): void => {
    if (value === undefined) return
    weights += weight
    sum += weight * of(value)
  }
  compare(0.3, retryAttempts, (value) => near(value, preset.retryAttempts))
  compare(0.25, circuitBreakerThreshold, (value) => near(value, preset.circuitBreakerThreshold))
  compare(0.2, recoveryTimeout, (value) => near(Duration.toSeconds(value), Duration.toSeconds(preset.recoveryTimeout)))
  compare(0.15, defaultStrategy, (value) => (value === preset.defaultStrategy ? 1 : 0))
  compare(0.1, operationOverrides, (value) => {
    const strategies = Object.entries(value)
    return strategies.filter(([name, strategy]) => strategy === strategyOf(preset, name)).length / strategies.length
  })
  // Rounded, so that 0.9 of weights that add up to 1 is 0.9.
  return weights === 0 ? 0.5 : Math.round((sum / weights) * 10_000) / 10_000
}

const near = (a: number, b: number): number => 1 - Math.abs(a - b) / Math.max(a, b, 1)

/** The strategy of an operation under a preset, with another default if there is one. */
const strategyOf = (
  preset: Preset.Preset,
  operation: string,
  defaultStrategy: Strategy.BuiltIn = preset.defaultStrategy
): Strategy.BuiltIn => {
  const { chosen } = Preset.choose(preset, none, operation)
  return typeof chosen === "string" ? chosen : defaultStrategy
}

const none = new Preset.Overlay()

const encodePreset = (preset: Preset.Preset): Plan["overrides"] => ({
  retry_attempts: preset.retryAttempts,
  circuit_breaker_threshold: preset.circuitBreakerThreshold,
  recovery_timeout: Duration.toSeconds(preset.recoveryTimeout),
  default_strategy: preset.defaultStrategy
})

const differences = ({ config }: Legacy.Legacy, preset: Preset.Preset): Plan["overrides"] => {
  const { operation_overrides, ...fields } = config
  const own: Readonly<Record<string, unknown>> = encodePreset(preset)
  const differing = Object.fromEntries(Object.entries(fields).filter(([field, value]) => own[field] !== value))
  const operations = Object.entries(operation_overrides ?? {}).filter(
    // A new default is one for the operations that the preset does not name.
    ([name, strategy]) => strategy !== strategyOf(preset, name, config.default_strategy)
  )
  return operations.length === 0 ? differing : { ...differing, operation_overrides: Object.fromEntries(operations) }
}

const warnings = (
  { overlay }: Legacy.Legacy,
  nearest: Preset.Preset,
  replaced: ReadonlyArray<readonly [name: string, value: string]>
): ReadonlyArray<Warning> => {
  const retries = overlay.retryAttempts ?? nearest.retryAttempts
  const threshold = overlay.circuitBreakerThreshold ?? nearest.circuitBreakerThreshold
  const all: Array<Warning> = []
  if (retries > 7) {
    all.push({ code: "many_retries", message: `${retries} attempts make a failing call slow: consider 7 or fewer` })
  }
  if (threshold < 3) {
    all.push({
      code: "low_threshold",
      message: `A circuit with a threshold of ${threshold} opens by chance: consider 3 or more`
    })
  }
  if (retries > threshold) {
    all.push({
      code: "retry_gt_threshold",
      message: `${retries} attempts are more than the threshold of ${threshold}: one call can open the circuit`
    })
  }
  if (overlay.defaultStrategy === "aggressive") {
    all.push({
      code: "aggressive_default",
      message: "The default strategy aggressive gives up early: consider balanced in production"
    })
  }
  for (const [name, value] of replaced) {
    all.push({
      code: "already_set",
      message: `${name} is ${writing.shown(value)} already, and goes before the old variables`
    })
  }
  return all
}

const steps = (legacy: Legacy.Legacy, environment: Readonly<Record<string, string>>): ReadonlyArray<string> => {
  if (legacy.present.size === 0) return [`Set ${preset}. There are no old variables.`]
  const all = legacy.problems.map(({ fix, variable }) => `Decide about ${variable}, which is left out: ${fix}.`)
  all.push(`Keep the old values in ${writing.backupFile}.`)
  for (const [name, value] of Object.entries(environment)) all.push(`Set ${name} to ${value}.`)
  all.push(`Remove ${[...legacy.present.keys()].join(", ")}.`)
  all.push("Restart the service.", `Check it: ${writing.check(defaultBaseUrl)}`)
  return all
}

const defaultBaseUrl = "http://localhost:8000"

/**
 * @category models
 * @since 0.1.0
 */
export interface ScriptOptions {
  /** Where the service answers. Default `http://localhost:8000`. */
  readonly baseUrl?: string | undefined
}

/**
 * Writes a plan as a script: for bash, as lines of an `.env` file, as
 * environment of a service in a Compose file, or as JSON.
 *
 * @category accessors
 * @since 0.1.0
 */
export const script = (plan: Plan, format: Format, { baseUrl = defaultBaseUrl }: ScriptOptions = {}): string => {
  if (format === "json") return `${JSON.stringify(encodePlan(plan), null, 2)}\n`
  const { backup, confidence, confidenceLevel, environment, legacy, preset, problems, warnings } = plan
  const notes = [
    `Preset ${preset}, confidence ${confidenceLevel} (${confidence}).`,
    ...warnings.map(({ message }) => `Warning: ${message}.`),
    ...problems.map(({ message }) => `Left out: ${message}.`)
  ]
  return scripts[format]({ backup, baseUrl, environment, legacy, notes })
}

const scripts = { bash: writing.bash, env: writing.env, docker: writing.docker } as const

const encodePlan = Schema.encodeSync(Plan)

/**
 * A plan with all its scripts.
 *
 * @category accessors
 * @since 0.1.0
 */
export const report = (plan: Plan, options?: ScriptOptions): Report => ({
  ...plan,
  script: {
    bash: script(plan, "bash", options),
    env: script(plan, "env", options),
    docker: script(plan, "docker", options),
    json: script(plan, "json", options)
  }
})
