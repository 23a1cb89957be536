/**
 * Reads the variables of the original service, and says what to write instead.
 *
 * **Details**
 *
 * | variable | field |
 * | --- | --- |
 * | `RETRY_MAX_ATTEMPTS` | `retry_attempts` |
 * | `CIRCUIT_BREAKER_FAILURE_THRESHOLD` | `circuit_breaker_threshold` |
 * | `CIRCUIT_BREAKER_RECOVERY_TIMEOUT` | `recovery_timeout` |
 * | `DEFAULT_RESILIENCE_STRATEGY` | `default_strategy` |
 * | `RETRY_MAX_DELAY` | `max_delay_seconds` |
 * | `RETRY_EXPONENTIAL_MULTIPLIER`, `_MIN`, `_MAX` | `exponential_multiplier`, `_min`, `_max` |
 * | `RETRY_JITTER_ENABLED`, `RETRY_JITTER_MAX` | `jitter_enabled`, `jitter_max` |
 * | `SUMMARIZE_RESILIENCE_STRATEGY` | `operation_overrides.summarize` |
 * | the same of `SENTIMENT`, `KEY_POINTS`, `QUESTIONS`, `QA` | `operation_overrides.sentiment` and so on |
 *
 * Each that is there gets a warning, because it is deprecated; each that cannot
 * be used gets a problem as well, and no effect. `RESILIENCE_ENABLED`,
 * `CIRCUIT_BREAKER_ENABLED` and `RETRY_ENABLED` are no fields: they come out as
 * `toggles`.
 *
 * **Gotchas**
 *
 * - The ranges are those of the custom configuration. The original replaced a
 *   number below 1 by its default and knew no upper bound.
 * - An empty variable counts as absent.
 *
 * **Example** (Reading old variables)
 *
 * ```ts import.meta.vitest
 * import { Legacy } from "breakwater"
 *
 * const legacy = Legacy.decode({ RETRY_MAX_ATTEMPTS: "4", QA_RESILIENCE_STRATEGY: "critcal" })
 *
 * legacy.config // => { retry_attempts: 4 }
 * legacy.problems[0]?.fix // => "use \"critical\""
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as Preset from "../Preset.ts"
import * as Strategy from "../Strategy.ts"
import * as Wire from "../Wire.ts"
import * as CustomConfig from "./CustomConfig.ts"
import { nearest } from "./internal/nearest.ts"
import { shown } from "./internal/migrationScript.ts"

type Field = Exclude<keyof typeof CustomConfig.fields, "operationOverrides" | "halfOpenMaxCalls" | "attemptTimeout">

type Target = { readonly field: Field } | { readonly operation: string }

const targets: ReadonlyMap<string, Target> = new Map<string, Target>([
  ["RETRY_MAX_ATTEMPTS", { field: "retryAttempts" }],
  ["CIRCUIT_BREAKER_FAILURE_THRESHOLD", { field: "circuitBreakerThreshold" }],
  ["CIRCUIT_BREAKER_RECOVERY_TIMEOUT", { field: "recoveryTimeout" }],
  ["DEFAULT_RESILIENCE_STRATEGY", { field: "defaultStrategy" }],
  ["RETRY_MAX_DELAY", { field: "maxDelay" }],
  ["RETRY_EXPONENTIAL_MULTIPLIER", { field: "exponentialMultiplier" }],
  ["RETRY_EXPONENTIAL_MIN", { field: "exponentialMin" }],
  ["RETRY_EXPONENTIAL_MAX", { field: "exponentialMax" }],
  ["RETRY_JITTER_ENABLED", { field: "jitterEnabled" }],
  ["RETRY_JITTER_MAX", { field: "jitterMax" }],
  ["SUMMARIZE_RESILIENCE_STRATEGY", { operation: "summarize" }],
  ["SENTIMENT_RESILIENCE_STRATEGY", { operation: "sentiment" }],
  ["KEY_POINTS_RESILIENCE_STRATEGY", { operation: "key_points" }],
  ["QUESTIONS_RESILIENCE_STRATEGY", { operation: "questions" }],
  ["QA_RESILIENCE_STRATEGY", { operation: "qa" }]
])

/**
 * The deprecated variables.
 *
 * @category models
 * @since 0.1.0
 */
export const variables: ReadonlyArray<string> = [...targets.keys()]

const toggleVariables = {
  enabled: "RESILIENCE_ENABLED",
  circuitBreaker: "CIRCUIT_BREAKER_ENABLED",
  retry: "RETRY_ENABLED"
} as const

/**
 * The variables that switch resilience, or a part of it, off.
 *
 * @category models
 * @since 0.1.0
 */
export const toggles: ReadonlyArray<string> = Object.values(toggleVariables)

/**
 * The field that a deprecated variable stands for, by its name in JSON.
 *
 * @category accessors
 * @since 0.1.0
 */
export const replacementOf = (variable: string): string | undefined => {
  const target = targets.get(variable)
  if (target === undefined) return undefined
  return "field" in target ? CustomConfig.names[target.field] : `operation_overrides.${target.operation}`
}

/**
 * A deprecated variable that is there.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Warning = Wire.snakeCase("LegacyWarning", {
  variable: Schema.String,
  value: Schema.String,
  /** The field that takes its place, for example `operation_overrides.qa`. */
  replacement: Schema.String,
  message: Schema.String
})

/**
 * @category models
 * @since 0.1.0
 */
export type Warning = typeof Warning.Type

/**
 * A variable that cannot be used.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Problem = Wire.snakeCase("LegacyProblem", {
  variable: Schema.String,
  value: Schema.String,
  /** What it may hold. */
  allowed: Schema.String,
  fix: Schema.String,
  message: Schema.String
})

/**
 * @category models
 * @since 0.1.0
 */
export type Problem = typeof Problem.Type

/**
 * What is switched on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Toggles {
  readonly enabled: boolean
  readonly circuitBreaker: boolean
  readonly retry: boolean
}

/**
 * What the variables say.
 *
 * @category models
 * @since 0.1.0
 */
export interface Legacy {
  /** The deprecated variables that are there, as they are written. */
  readonly present: ReadonlyMap<string, string>
  /** Their fields by their names in JSON. */
  readonly config: Partial<CustomConfig.Encoded>
  /** Their fields as an overlay. */
  readonly overlay: Preset.Overlay
  /** The variable from which each field comes, by the field's name in JSON. */
  readonly sources: ReadonlyMap<string, string>
  readonly toggles: Toggles
  readonly warnings: ReadonlyArray<Warning>
  readonly problems: ReadonlyArray<Problem>
}

/**
 * Variables by name.
 *
 * @category models
 * @since 0.1.0
 */
export type Variables = Readonly<Record<string, string | undefined>>

/**
 * Reads the variables of a record.
 *
 * @category constructors
 * @since 0.1.0
 */
export const decode = (environment: Variables): Legacy => {
  const present = presentOf(environment, variables)
  const config: Record<string, Schema.Json> = {}
  const overrides: Record<string, Schema.Json> = {}
  const sources = new Map<string, string>()
  const problems: Array<Problem> = []
  for (const [variable, value] of present) {
    const target = targets.get(variable)!
    const read = ("field" in target ? readerOf(target.field) : readStrategy)(value)
    if (Result.isFailure(read)) {
      problems.push(problem(variable, value, read.failure))
      continue
    }
    sources.set(replacementOf(variable)!, variable)
    if ("field" in target) config[CustomConfig.names[target.field]] = read.success
    else overrides[target.operation] = read.success
  }
  if (Object.keys(overrides).length > 0) config[CustomConfig.names.operationOverrides] = overrides
  const switches = readToggles(environment)
  const overlay = Object.keys(config).length === 0 ? undefined : decodeConfig(config)
  return {
    present,
    // As the overlay has it: a duration ends with nanoseconds.
    config: overlay === undefined ? {} : encodeConfig(overlay),
    overlay: overlay ?? new Preset.Overlay(),
    sources,
    toggles: switches.toggles,
    warnings: Array.from(present, ([variable, value]) => warning(variable, value)),
    problems: [...problems, ...switches.problems]
  }
}

// Each field has been read by its own schema before.
const decodeConfig = Schema.decodeUnknownSync(CustomConfig.CustomConfig)
const encodeConfig = Schema.encodeSync(CustomConfig.CustomConfig)

/**
 * Reads the variables through the `ConfigProvider` in force.
 *
 * @category constructors
 * @since 0.1.0
 */
export const read: Effect.Effect<Legacy, Config.ConfigError> = Effect.suspend(() =>
  Effect.map(collect([...variables, ...toggles]), decode)
)

/**
 * Reads variables as they are through the `ConfigProvider` in force.
 *
 * @category accessors
 * @since 0.1.0
 */
export const collect = Effect.fnUntraced(function* (
  names: ReadonlyArray<string>
): Effect.fn.Return<Variables, Config.ConfigError> {
  const found: Record<string, string> = {}
  for (const name of names) {
    const value = yield* Config.option(Config.String(name))
    if (Option.isSome(value)) found[name] = value.value
  }
  return found
})

const presentOf = (environment: Variables, names: ReadonlyArray<string>): ReadonlyMap<string, string> => {
  const present = new Map<string, string>()
  for (const name of names) {
    const value = Object.hasOwn(environment, name) ? environment[name] : undefined
    if (value !== undefined && value.trim() !== "") present.set(name, value)
  }
  return present
}

const warning = (variable: string, value: string): Warning => {
  const replacement = replacementOf(variable)!
  return {
    variable,
    value,
    replacement,
    message: `${variable} is deprecated: use ${replacement} in RESILIENCE_CUSTOM_CONFIG, over a RESILIENCE_PRESET`
  }
}

interface Refusal {
  readonly allowed: string
  readonly fix: string
}

const problem = (variable: string, value: string, { allowed, fix }: Refusal): Problem => ({
  variable,
  value,
  allowed,
  fix,
  message: `${variable} is ${shown(value)}, expected ${allowed}: ${fix}`
})

type Reader = (text: string) => Result.Result<Schema.Json, Refusal>

const trues = ["true", "1", "yes", "on"]
const falses = ["false", "0", "no", "off"]

const readBoolean: Reader = (text) => {
  const word = text.trim().toLowerCase()
  if (trues.includes(word)) return Result.succeed(true)
  if (falses.includes(word)) return Result.succeed(false)
  const meant = nearest(word, [...trues, ...falses])
  return Result.fail({
    allowed: `one of ${[...trues, ...falses].join(", ")}`,
    fix: `use "${meant ?? "true"}"${meant === undefined ? ` or "false"` : ""}`
  })
}

const readStrategy: Reader = (text) => {
  const word = text.trim().toLowerCase()
  const strategy = Strategy.BuiltIn.literals.find((name) => name === word)
  if (strategy !== undefined) return Result.succeed(strategy)
  const meant = nearest(word, Strategy.BuiltIn.literals)
  const allowed = `one of ${Strategy.BuiltIn.literals.join(", ")}`
  return Result.fail({ allowed, fix: meant === undefined ? `use ${allowed}` : `use "${meant}"` })
}

/** The range is read off the schema, so that it stands in one place. */
const readNumber = (schema: Schema.ConstraintCodec<unknown, unknown>): Reader => {
  const isAllowed = Schema.is(Schema.toEncoded(schema))
  const { maximum, minimum, type } = Schema.toJsonSchemaDocument(schema).schema as {
    readonly type: "integer" | "number"
    readonly minimum: number
    readonly maximum: number
  }
  const isWhole = type === "integer"
  const allowed = `a ${isWhole ? "whole number" : "number"} from ${minimum} to ${maximum}`
  const clip = (number: number): number => Math.min(Math.max(isWhole ? Math.round(number) : number, minimum), maximum)
  return (text) => {
    const number = /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text.trim()) ? Number(text.trim()) : undefined
    if (number === undefined) return Result.fail({ allowed, fix: `write digits, such as ${minimum}` })
    if (isAllowed(number)) return Result.succeed(number)
    return Result.fail({ allowed, fix: `use ${clip(number)}, the nearest allowed value` })
  }
}

const readers = new Map<Field, Reader>()

const readerOf = (field: Field): Reader => {
  const made = readers.get(field)
  if (made !== undefined) return made
  const reader =
    field === "defaultStrategy"
      ? readStrategy
      : field === "jitterEnabled"
        ? readBoolean
        : readNumber(CustomConfig.fields[field])
  readers.set(field, reader)
  return reader
}

const readToggles = (
  environment: Variables
): { readonly toggles: Toggles; readonly problems: ReadonlyArray<Problem> } => {
  const present = presentOf(environment, toggles)
  const problems: Array<Problem> = []
  const isOn = (variable: string): boolean => {
    const value = present.get(variable)
    if (value === undefined) return true
    const read = readBoolean(value)
    if (Result.isSuccess(read)) return read.success === true
    problems.push(problem(variable, value, read.failure))
    return true
  }
  return {
    toggles: {
      enabled: isOn(toggleVariables.enabled),
      circuitBreaker: isOn(toggleVariables.circuitBreaker),
      retry: isOn(toggleVariables.retry)
    },
    problems
  }
}
