/**
 * Finds out in which environment a process runs, and recommends a preset for
 * it.
 *
 * **Details**
 *
 * - `recommend` judges a name that somebody gives.
 * - `detect` weighs signals: variables, the name of the host, and files.
 *   `explain` says why the result won.
 *
 * | environment | preset |
 * | --- | --- |
 * | development, testing | `development` |
 * | staging, production | `production` |
 * | unknown | `simple` |
 *
 * | signal | says | confidence |
 * | --- | --- | --- |
 * | `ENVIRONMENT` | its value | 0.95 |
 * | `NODE_ENV`, `FLASK_ENV`, `APP_ENV`, `ENV`, `DEPLOYMENT_ENV` | their value | 0.85 each |
 * | `DJANGO_SETTINGS_MODULE`, `RAILS_ENV` | their value | 0.85 each |
 * | `PRODUCTION=true`, `PROD=true`, `DEBUG=false` | production | 0.75 each |
 * | `DEBUG=true`, files `.env`, `.git`, `docker-compose.dev.yml` | development | 0.70 each |
 * | `DATABASE_URL` with the word production | production | 0.70 |
 * | `HOSTNAME`, `HOST` | the first word of staging, development, production | 0.65, 0.60, 0.70 |
 *
 * The strongest signal wins, and of equals the first. Each other one that
 * agrees adds 0.05, up to 0.98; one above 0.70 that contradicts takes 15 % off.
 *
 * **Gotchas**
 *
 * - Everything is read through `ConfigProvider`, and files through `FileProbe`,
 *   which finds none until it is replaced.
 * - A name matches by whole words between `-`, `_` and `.`, with digits behind
 *   or not: `dev2` is development, `latest` and `domain` are unknown.
 * - A variable counts only with one of nine values: `development`, `dev`,
 *   `testing`, `test`, `staging`, `stage`, `production`, `prod`, `live`. Of
 *   `DJANGO_SETTINGS_MODULE` the last part is read.
 *
 * **Example** (From a name, and from what is there)
 *
 * ```ts import.meta.vitest
 * import { ConfigProvider, Effect } from "effect"
 * import { Environment } from "breakwater"
 *
 * Environment.recommend("eu-staging-2").recommendedPreset // => "production"
 *
 * const env = { ENVIRONMENT: "staging", NODE_ENV: "production" }
 * const program = Environment.detect().pipe(
 *   Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
 * )
 *
 * const detection = await Effect.runPromise(program)
 * detection.environment // => "staging"
 * detection.confidence // => 0.8075
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Preset from "../Preset.ts"
import * as Wire from "../Wire.ts"
import * as weighing from "./internal/environmentSignals.ts"
import * as words from "./internal/environmentWords.ts"

/**
 * An environment, or that nothing is known about it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Environment = Schema.Literals([...Preset.Environment.literals, "unknown"])

/**
 * @category models
 * @since 0.1.0
 */
export type Environment = typeof Environment.Type

/**
 * The built-in preset for an environment.
 *
 * @category accessors
 * @since 0.1.0
 */
export const presetOf = (environment: Environment): keyof typeof Preset.builtIn => presets[environment]

const presets = {
  development: "development",
  testing: "development",
  staging: "production",
  production: "production",
  unknown: "simple"
} as const satisfies Record<Environment, keyof typeof Preset.builtIn>

const recommendation = {
  /** The name as it was given, or the environment that was detected. */
  environmentDetected: Schema.String,
  recommendedPreset: Schema.String,
  /** 0 to 1. */
  confidence: Schema.Finite,
  reasoning: Schema.String,
  availablePresets: Schema.Array(Schema.String)
} as const

/**
 * A preset for the name of an environment.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Recommendation = Wire.snakeCase("PresetRecommendation", {
  ...recommendation,
  autoDetected: Schema.Literal(false)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Recommendation = typeof Recommendation.Type

/**
 * A preset for the environment that was detected.
 *
 * @category schemas
 * @since 0.1.0
 */
export const AutoRecommendation = Wire.snakeCase("AutoPresetRecommendation", {
  ...recommendation,
  autoDetected: Schema.Literal(true),
  detectionMethod: Schema.Literal("environment_variables_and_context")
})

/**
 * @category models
 * @since 0.1.0
 */
export type AutoRecommendation = typeof AutoRecommendation.Type

const builtInNames: ReadonlyArray<string> = Object.keys(Preset.builtIn)

const exact: ReadonlyMap<string, readonly [confidence: number, reasoning: string]> = new Map([
  ["development", [0.95, "the environment's own name"]],
  ["dev", [0.9, "short for development"]],
  ["testing", [0.85, "tests should fail fast, as development does"]],
  ["test", [0.85, "tests should fail fast, as development does"]],
  ["staging", [0.9, "staging mirrors production"]],
  ["stage", [0.85, "short for staging, which mirrors production"]],
  ["production", [0.95, "the environment's own name"]],
  ["prod", [0.9, "short for production"]],
  ["live", [0.85, "another word for production"]]
])

const mirrors = { staging: ", which mirrors production", development: "", production: "" } as const

const partial = { staging: 0.7, development: 0.75, production: 0.75 } as const

/**
 * Recommends a preset for the name of an environment. Every name gets one.
 *
 * @category constructors
 * @since 0.1.0
 */
export const recommend = (
  environment: string,
  availablePresets: ReadonlyArray<string> = builtInNames
): Recommendation => ({
  environmentDetected: environment,
  ...judge(environment),
  availablePresets,
  autoDetected: false
})

const judge = (environment: string): Pick<Recommendation, "recommendedPreset" | "confidence" | "reasoning"> => {
  const name = environment.trim().toLowerCase()
  const known = exact.get(name)
  if (known !== undefined) {
    const [confidence, why] = known
    return { recommendedPreset: presetOf(words.named.get(name)!), confidence, reasoning: `"${name}": ${why}.` }
  }
  const found = words.match(name)
  if (found === undefined) {
    return {
      recommendedPreset: presetOf("unknown"),
      confidence: 0.4,
      reasoning: "No part of the name is a known environment; the simple preset fits most uses."
    }
  }
  const { kind, word } = found
  return {
    recommendedPreset: presetOf(kind),
    confidence: partial[kind],
    reasoning: `The part "${word}" of the name stands for ${kind}${mirrors[kind]}.`
  }
}

/**
 * Looks for files beside the process.
 *
 * @category models
 * @since 0.1.0
 */
export interface FileProbe {
  /** Whether a file or directory of this name is in the working directory. */
  readonly exists: (name: string) => Effect.Effect<boolean>
}

/**
 * The probe in force. The default one finds nothing.
 *
 * @category references
 * @since 0.1.0
 */
export const FileProbe: Context.Reference<FileProbe> = Context.Reference<FileProbe>(
  "breakwater/config/Environment/FileProbe",
  { defaultValue: () => ({ exists: () => Effect.succeed(false) }) }
)

/**
 * One thing that points to an environment.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Signal = Wire.snakeCase("EnvironmentSignal", {
  /** A variable, or a file. */
  source: Schema.String,
  /** What it holds, or what matters of it where it could hold a secret. */
  value: Schema.String,
  environment: Preset.Environment,
  /** 0 to 1. */
  confidence: Schema.Finite
})

/**
 * @category models
 * @since 0.1.0
 */
export type Signal = typeof Signal.Type

const detection = {
  environment: Environment,
  /** 0 to 1. */
  confidence: Schema.Finite,
  recommendedPreset: Schema.String,
  reasoning: Schema.String,
  /** All of them, in the order in which they are looked for. */
  signals: Schema.Array(Signal),
  /** The one that decided. */
  winner: Wire.orNull(Signal),
  agreeing: Schema.Array(Signal),
  conflicting: Schema.Array(Signal),
  /** Facts beside the environment, such as the `prefix` of an AI service. */
  metadata: Schema.Record(Schema.String, Schema.String)
} as const

/**
 * What was detected, and from what.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Detection = Wire.snakeCase("EnvironmentDetection", detection)

/**
 * @category models
 * @since 0.1.0
 */
export type Detection = typeof Detection.Type

/**
 * @category models
 * @since 0.1.0
 */
export interface DetectOptions {
  /**
   * What the answer is for. `security` lets `ENFORCE_AUTH` count, as
   * production; `ai` lets `ENABLE_AI_CACHE` put a `prefix` into the metadata.
   */
  readonly context?: "security" | "ai" | undefined
}

/**
 * Detects the environment from the `ConfigProvider` and the `FileProbe` in
 * force.
 *
 * @category constructors
 * @since 0.1.0
 */
export const detect = Effect.fnUntraced(function* ({ context }: DetectOptions = {}): Effect.fn.Return<
  Detection,
  Config.ConfigError
> {
  const probe = yield* FileProbe
  const values = new Map<string, string>()
  for (const variable of weighing.variables) {
    const value = yield* Config.option(Config.String(variable))
    if (Option.isSome(value)) values.set(variable, value.value)
  }
  const existing = yield* Effect.filter(weighing.files, probe.exists)
  const signals = weighing.collect(values, existing, context === "security")
  const verdict = weighing.weigh(signals)
  const metadata = context === "ai" && weighing.isOn(values.get("ENABLE_AI_CACHE")) ? { prefix: "ai-" } : {}
  if (verdict === undefined) return { ...undetected, metadata }
  const { agreeing, confidence, conflicting, winner } = verdict
  const { environment } = winner
  const parts = [describe(winner), ...counted(agreeing, "agree"), ...counted(conflicting, "contradict")]
  return {
    environment,
    confidence,
    recommendedPreset: presetOf(environment),
    reasoning: `${parts.join("; ")}.`,
    signals,
    winner: Option.some(winner),
    agreeing,
    conflicting,
    metadata
  }
})

/**
 * What is known about the environment where nothing points to one.
 *
 * @category models
 * @since 0.1.0
 */
export const undetected: Detection = {
  environment: "unknown",
  confidence: 0.5,
  recommendedPreset: presetOf("unknown"),
  reasoning: "No signal was found; the simple preset fits most uses.",
  signals: [],
  winner: Option.none(),
  agreeing: [],
  conflicting: [],
  metadata: {}
}

const counted = (signals: ReadonlyArray<Signal>, verb: string): ReadonlyArray<string> =>
  signals.length === 0
    ? []
    : [signals.length === 1 ? `1 other signal ${verb}s` : `${signals.length} other signals ${verb}`]

/** Values are quoted, so that no value looks like a line of ours. */
const describe = ({ confidence, environment, source, value }: Signal): string =>
  `${source} (${JSON.stringify(value)}) says ${environment}, with confidence ${confidence.toFixed(2)}`

/**
 * The detected environment as it is shown, such as `production (auto-detected)`.
 *
 * @category accessors
 * @since 0.1.0
 */
export const label = ({ environment }: Detection): string => `${environment} (auto-detected)`

/**
 * The detection as a recommendation.
 *
 * @category accessors
 * @since 0.1.0
 */
export const toRecommendation = (
  detection: Detection,
  availablePresets: ReadonlyArray<string> = builtInNames
): AutoRecommendation => ({
  environmentDetected: label(detection),
  recommendedPreset: detection.recommendedPreset,
  confidence: detection.confidence,
  reasoning: detection.reasoning,
  availablePresets,
  autoDetected: true,
  detectionMethod: "environment_variables_and_context"
})

/**
 * Lists every signal with its part in the result, and how the result came to
 * its confidence. One line each.
 *
 * @category accessors
 * @since 0.1.0
 */
export const explain = (detection: Detection): ReadonlyArray<string> => {
  const { agreeing, confidence, conflicting, environment, recommendedPreset, signals } = detection
  const result = `Result: ${environment}, with confidence ${confidence}, so the preset ${recommendedPreset} fits.`
  if (Option.isNone(detection.winner)) return ["No signal was found.", result]
  const winner = detection.winner.value
  const partOf = (signal: Signal): string =>
    signal.source === winner.source ? "decides" : signal.environment === winner.environment ? "agrees" : "contradicts"
  const lines = signals.map((signal) => `${describe(signal)}: ${partOf(signal)}.`)
  const [strongest] = conflicting.toSorted((a, b) => b.confidence - a.confidence)
  lines.push(
    `${winner.source} decides because no signal is stronger${
      signals.some((signal) => signal.source !== winner.source && signal.confidence === winner.confidence)
        ? ", and among equals the first one counts"
        : ""
    }.`
  )
  if (agreeing.length > 0) {
    const added = (agreeing.length * weighing.perAgreeing).toFixed(2)
    lines.push(`${agreeing.length} agreeing: + ${added}, up to ${weighing.highest}.`)
  }
  if (strongest !== undefined) {
    lines.push(
      strongest.confidence > weighing.strong
        ? `${strongest.source} contradicts with more than ${weighing.strong}: × ${weighing.doubt}.`
        : `${conflicting.length} contradicting, none with more than ${weighing.strong}: nothing taken off.`
    )
  }
  return [...lines, result]
}

/**
 * The detection beside the preset in force.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Report = Wire.snakeCase("EnvironmentReport", {
  ...detection,
  environmentDetected: Schema.String,
  currentPreset: Schema.String,
  matchesCurrent: Schema.Boolean,
  explanation: Schema.Array(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Report = typeof Report.Type

/**
 * Compares the detection with the preset in force.
 *
 * @category accessors
 * @since 0.1.0
 */
export const report = (detection: Detection, currentPreset: string): Report => ({
  ...detection,
  environmentDetected: label(detection),
  currentPreset,
  matchesCurrent: detection.recommendedPreset === currentPreset.trim().toLowerCase(),
  explanation: explain(detection)
})
