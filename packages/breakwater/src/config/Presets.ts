/**
 * Keeps the presets that can be chosen by name: the built-in ones and those of
 * the program.
 *
 * **Details**
 *
 * | preset | attempts | attempt, total | pauses | opens after | open for |
 * | --- | --- | --- | --- | --- | --- |
 * | `microsoft-standard` | 4 | 10 s, 30 s | 2 s to 8 s | 10 % | 10 s |
 * | `llm-interactive` | 2 | 15 s, 30 s | 0.5 s | 5 | 30 s |
 * | `llm-batch` | 6 | 120 s, 600 s | 4 s to 32 s | 10 | 60 s |
 * | `embedding` | 4 | 10 s, 60 s | 1 s to 4 s | 8 | 30 s |
 * | `internal-rpc` | 2 | 1 s, 5 s | 0.5 s | 5 | 10 s |
 *
 * These stand beside `simple`, `development` and `production`. A preset may
 * come with an overlay, for the numbers that a `Preset` does not have.
 *
 * `microsoft-standard` follows .NET's standard resilience handler: it opens at
 * 10 % of at least 100 attempts in 30 s, and lets 1,000 run at once. That one
 * opens for 5 s; here it is 10 s, the shortest time that a preset can state, and
 * the 1,000 are attempts, not calls.
 *
 * **Gotchas**
 *
 * - Names are compared without case. A key is in lower case.
 * - An overlay goes over every strategy, also over one that the code names.
 * - An overlay that puts policies on, as `microsoft-standard` has it, needs
 *   `Policies.makers` where it is handed to `Resilience.layer`.
 *
 * **Example** (Registering and finding presets)
 *
 * ```ts import.meta.vitest
 * import { Duration, Effect } from "effect"
 * import { Presets } from "breakwater"
 *
 * const program = Effect.gen(function*() {
 *   const presets = yield* Presets.Presets
 *   yield* presets.register({
 *     name: "high-throughput",
 *     description: "Gives up early and opens late",
 *     retryAttempts: 2,
 *     circuitBreakerThreshold: 20,
 *     recoveryTimeout: "30 seconds",
 *     defaultStrategy: "aggressive",
 *     environmentContexts: ["production"]
 *   })
 *   return yield* presets.get("High-Throughput")
 * }).pipe(Effect.provide(Presets.layer))
 *
 * const entry = await Effect.runPromise(program)
 * entry.key // => "high-throughput"
 *
 * const { max } = Presets.figures(entry)
 * max.amplification // => 2
 * Duration.format(max.latency) // => "13s"
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as Description from "../Description.ts"
import * as Preset from "../Preset.ts"
import * as Settings from "../Settings.ts"
import * as Strategy from "../Strategy.ts"
import * as Wire from "../Wire.ts"
import * as CustomConfig from "./CustomConfig.ts"
import { nearest } from "./internal/nearest.ts"
import * as Policies from "./Policies.ts"

/**
 * A preset that can be chosen.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  /** The name by which it is chosen. */
  readonly key: string
  readonly displayName: string
  readonly preset: Preset.Preset
  /** Goes over the preset's numbers and under those of a custom configuration. */
  readonly overlay: Preset.Overlay
}

const builtInEntry = (displayName: string, preset: Preset.Preset, overlay: Preset.OverlayInput = {}): Entry => ({
  key: preset.name,
  displayName,
  preset,
  overlay: Preset.overlay(overlay)
})

const everywhere = ["development", "testing", "staging", "production"] as const

/**
 * The presets that are always there.
 *
 * @category presets
 * @since 0.1.0
 */
export const builtIn: ReadonlyArray<Entry> = [
  builtInEntry("Simple", Preset.simple),
  builtInEntry("Development", Preset.development),
  builtInEntry("Production", Preset.production),
  builtInEntry(
    "Microsoft standard",
    Preset.make("microsoft-standard", {
      description: "The numbers of the standard resilience handler of .NET",
      retryAttempts: 4,
      circuitBreakerThreshold: 10,
      recoveryTimeout: "10 seconds",
      defaultStrategy: "balanced",
      environmentContexts: everywhere
    }),
    {
      attemptTimeout: "10 seconds",
      maxDelay: "30 seconds",
      exponentialMultiplier: "2 seconds",
      exponentialMin: "2 seconds",
      exponentialMax: "30 seconds",
      bulkheadMaxConcurrent: 1_000,
      circuitBreakerFailureRate: 0.1,
      circuitBreakerWindow: "30 seconds",
      circuitBreakerMinimumCalls: 100
    }
  ),
  // Somebody waits, and leaves after half a minute.
  builtInEntry(
    "LLM, interactive",
    Preset.make("llm-interactive", {
      description: "Model calls that somebody waits for",
      retryAttempts: 2,
      circuitBreakerThreshold: 5,
      recoveryTimeout: "30 seconds",
      defaultStrategy: "aggressive",
      environmentContexts: everywhere
    }),
    {
      attemptTimeout: "15 seconds",
      maxDelay: "30 seconds",
      exponentialMultiplier: "500 millis",
      exponentialMin: "500 millis",
      jitterMax: "500 millis"
    }
  ),
  // Long answers take minutes, and a rate limit is over after one.
  builtInEntry(
    "LLM, batch",
    Preset.make("llm-batch", {
      description: "Model calls of jobs that nobody watches",
      retryAttempts: 6,
      circuitBreakerThreshold: 10,
      recoveryTimeout: "60 seconds",
      defaultStrategy: "conservative",
      environmentContexts: everywhere
    }),
    {
      attemptTimeout: "120 seconds",
      maxDelay: "600 seconds",
      exponentialMultiplier: "2 seconds",
      exponentialMin: "4 seconds",
      exponentialMax: "60 seconds",
      jitterMax: "10 seconds"
    }
  ),
  // Short calls in large numbers, often at the rate limit.
  builtInEntry(
    "Embedding",
    Preset.make("embedding", {
      description: "Many short calls to an embedding model",
      retryAttempts: 4,
      circuitBreakerThreshold: 8,
      recoveryTimeout: "30 seconds",
      defaultStrategy: "balanced",
      environmentContexts: everywhere
    }),
    {
      attemptTimeout: "10 seconds",
      maxDelay: "60 seconds",
      exponentialMultiplier: "1 second",
      exponentialMin: "1 second",
      exponentialMax: "20 seconds"
    }
  ),
  // One retry at most: services stand in rows, and each row multiplies.
  builtInEntry(
    "Internal RPC",
    Preset.make("internal-rpc", {
      description: "Calls between services of one network",
      retryAttempts: 2,
      circuitBreakerThreshold: 5,
      recoveryTimeout: "10 seconds",
      defaultStrategy: "aggressive",
      environmentContexts: everywhere
    }),
    {
      attemptTimeout: "1 second",
      maxDelay: "5 seconds",
      exponentialMultiplier: "100 millis",
      exponentialMin: "500 millis",
      jitterMax: "500 millis"
    }
  )
]

/**
 * What a call can come to at worst.
 *
 * @category schemas
 * @since 0.1.0
 */
export const WorstCase = Schema.Struct({
  /** Time from the call to its answer. */
  latency: Wire.Seconds,
  /** Calls of the dependency for one call. */
  amplification: Schema.Int
}).pipe(Schema.encodeKeys({ latency: "latency_seconds" }), (self) => self.annotate({ identifier: "WorstCase" }))

/**
 * @category models
 * @since 0.1.0
 */
export type WorstCase = typeof WorstCase.Type

/**
 * What a call can come to at worst under these settings, as `Description` has
 * it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const worstCase = (settings: Strategy.Settings): WorstCase => {
  const { calls, latency } = Description.worstCaseOf(settings)
  return { latency, amplification: calls }
}

/**
 * The worst cases of a preset.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Figures = Schema.Struct({
  /** The highest of each. */
  max: WorstCase,
  /** Of operations under the default strategy. */
  default: WorstCase,
  /** Of operations with a strategy of their own. */
  operations: Schema.Record(Schema.String, WorstCase)
}).annotate({ identifier: "WorstCaseFigures" })

/**
 * @category models
 * @since 0.1.0
 */
export type Figures = typeof Figures.Type

/**
 * Computes the worst cases of a preset.
 *
 * @category accessors
 * @since 0.1.0
 */
export const figures = ({ overlay, preset }: Pick<Entry, "overlay" | "preset">): Figures => {
  const byDefault = worstCase(Preset.strategyOf(preset, overlay, undefined, Policies.makers).settings)
  const operations = Object.keys({ ...preset.operationOverrides, ...overlay.operationOverrides }).map(
    (operation) =>
      [
        operation,
        worstCase(Preset.resolve(preset, overlay, operation, undefined, Policies.makers).strategy.settings)
      ] as const
  )
  const all = [byDefault, ...operations.map(([, figure]) => figure)]
  return {
    max: {
      latency: all.map(({ latency }) => latency).reduce(Duration.max),
      amplification: Math.max(...all.map(({ amplification }) => amplification))
    },
    default: byDefault,
    operations: Object.fromEntries(operations)
  }
}

const presetFields = {
  name: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(50)),
  description: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200)),
  retryAttempts: CustomConfig.fields.retryAttempts,
  circuitBreakerThreshold: CustomConfig.fields.circuitBreakerThreshold,
  recoveryTimeout: CustomConfig.fields.recoveryTimeout,
  defaultStrategy: CustomConfig.fields.defaultStrategy,
  operationOverrides: CustomConfig.fields.operationOverrides,
  environmentContexts: Schema.NonEmptyArray(Preset.Environment).check(Schema.isUnique())
} as const

/**
 * A preset as JSON, and as the `Preset` it is. All eight fields have to be
 * there.
 *
 * @category schemas
 * @since 0.1.0
 */
export const PresetJson = Wire.snakeCase("Preset", presetFields).pipe(
  Schema.decodeTo(
    Schema.toType(Preset.Preset),
    SchemaTransformation.transform({
      decode: (fields) => new Preset.Preset(fields),
      encode: (preset): Omit<Preset.Preset, never> => preset
    })
  )
)

/**
 * A preset in a list.
 *
 * @category schemas
 * @since 0.1.0
 */
export const PresetSummary = Wire.snakeCase("PresetSummary", {
  /** The name by which it is chosen. */
  name: Schema.String,
  displayName: Schema.String,
  description: Schema.String,
  retryAttempts: Schema.Int,
  circuitBreakerThreshold: Schema.Int,
  recoveryTimeout: Wire.Seconds,
  defaultStrategy: Strategy.BuiltIn,
  environmentContexts: Schema.Array(Preset.Environment),
  worstCase: WorstCase
})

/**
 * @category models
 * @since 0.1.0
 */
export type PresetSummary = typeof PresetSummary.Type

/**
 * One preset.
 *
 * @category schemas
 * @since 0.1.0
 */
export const PresetDetails = Wire.snakeCase("PresetDetails", {
  /** The name by which it is chosen. */
  name: Schema.String,
  displayName: Schema.String,
  description: Schema.String,
  configuration: Wire.snakeCase("PresetConfiguration", {
    retryAttempts: Schema.Int,
    circuitBreakerThreshold: Schema.Int,
    recoveryTimeout: Wire.Seconds,
    defaultStrategy: Strategy.BuiltIn,
    operationOverrides: Schema.Record(Schema.String, Strategy.BuiltIn)
  }),
  /** Numbers that a preset has no field for. */
  overlay: Wire.orNull(CustomConfig.CustomConfig),
  environmentContexts: Schema.Array(Preset.Environment),
  worstCase: Figures
})

/**
 * @category models
 * @since 0.1.0
 */
export type PresetDetails = typeof PresetDetails.Type

/**
 * Every preset by the name by which it is chosen.
 *
 * @category schemas
 * @since 0.1.0
 */
export const PresetsSummary = Schema.Record(Schema.String, PresetDetails).annotate({ identifier: "PresetsSummary" })

/**
 * @category models
 * @since 0.1.0
 */
export type PresetsSummary = typeof PresetsSummary.Type

/**
 * A preset as a list shows it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const summaryOf = (entry: Entry): PresetSummary => {
  const { displayName, key, preset } = entry
  const { operationOverrides: _, ...fields } = preset
  return { ...fields, name: key, displayName, worstCase: figures(entry).max }
}

/**
 * A preset with everything that is known about it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const detailsOf = (entry: Entry): PresetDetails => {
  const { displayName, key, overlay, preset } = entry
  const { description, environmentContexts, name: _, ...configuration } = preset
  return {
    name: key,
    displayName,
    description,
    configuration,
    overlay: Object.keys(overlay).length === 0 ? Option.none() : Option.some(overlay),
    environmentContexts,
    worstCase: figures(entry)
  }
}

/**
 * Presets with everything that is known about them, by name.
 *
 * @category accessors
 * @since 0.1.0
 */
export const summaryOfAll = (entries: ReadonlyArray<Entry>): PresetsSummary =>
  Object.fromEntries(entries.map((entry) => [entry.key, detailsOf(entry)]))

/**
 * The fields in which two presets differ, and those in which they do not.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Comparison = Wire.snakeCase("PresetComparison", {
  current: Schema.String,
  compareWith: Schema.String,
  identical: Schema.Boolean,
  differences: Schema.Array(
    Wire.snakeCase("PresetDifference", {
      /** Dotted, for example `operation_overrides.qa`. */
      field: Schema.String,
      /** `null` where there is none. */
      current: Schema.Json,
      compareWith: Schema.Json
    })
  ),
  unchanged: Schema.Array(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Comparison = typeof Comparison.Type

/**
 * Compares two presets field by field, with their figures.
 *
 * @category accessors
 * @since 0.1.0
 */
export const compare = (current: Entry, compareWith: Entry): Comparison => {
  const left = flatten(current)
  const right = flatten(compareWith)
  const differences: Array<Comparison["differences"][number]> = []
  const unchanged: Array<string> = []
  for (const field of new Set([...left.keys(), ...right.keys()])) {
    const a = left.get(field) ?? null
    const b = right.get(field) ?? null
    if (JSON.stringify(a) === JSON.stringify(b)) unchanged.push(field)
    else differences.push({ field, current: a, compareWith: b })
  }
  return {
    current: current.key,
    compareWith: compareWith.key,
    identical: differences.length === 0,
    differences,
    unchanged
  }
}

const encodeDetails = Schema.encodeSync(PresetDetails)

const shortNames = new Map(Array.from(Preset.aliases, ([short, name]) => [name, short]))

/** The fields of a preset by their names in JSON. Both names of an operation are one field. */
const flatten = (entry: Entry): ReadonlyMap<string, Schema.Json> => {
  const { configuration, description, environment_contexts, overlay, worst_case } = encodeDetails(detailsOf(entry))
  const { operation_overrides, ...numbers } = configuration
  const { operation_overrides: overlaid = {}, ...overlayNumbers } = overlay ?? {}
  const operations = (overrides: Readonly<Record<string, Strategy.BuiltIn>>, under: string) =>
    Object.entries(overrides).map(([name, strategy]) => [`${under}.${shortNames.get(name) ?? name}`, strategy] as const)
  return new Map<string, Schema.Json>([
    ["description", description],
    ...Object.entries(numbers),
    ...operations(operation_overrides, "operation_overrides"),
    ["environment_contexts", environment_contexts.toSorted()],
    ...Object.entries(overlayNumbers).map(([name, value]) => [`overlay.${name}`, value] as const),
    ...operations(overlaid, "overlay.operation_overrides"),
    ...Object.entries(worst_case.max).map(([name, value]) => [`worst_case.${name}`, value] as const)
  ])
}

/**
 * One thing that is wrong with a preset, and what would be right.
 *
 * @category models
 * @since 0.1.0
 */
export interface Finding extends Settings.Finding {
  readonly fix: string
}

/**
 * A preset that cannot be registered. Names every wrong field.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidPreset extends Data.TaggedError("InvalidPreset")<{
  readonly name: string
  readonly findings: ReadonlyArray<Finding>
}> {
  override get message(): string {
    return `The preset ${show(this.name)} is invalid: ${this.findings
      .map(({ fix, path, rule }) => `${path}: ${rule}; ${fix}`)
      .join(". ")}`
  }
}

/**
 * Another preset has this name.
 *
 * @category errors
 * @since 0.1.0
 */
export class DuplicatePreset extends Data.TaggedError("DuplicatePreset")<{
  readonly name: string
  readonly fix: string
}> {
  override get message(): string {
    return `There is a preset ${show(this.name)} already: ${this.fix}`
  }
}

/**
 * No preset has this name.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownPreset extends Data.TaggedError("UnknownPreset")<{
  readonly name: string
  readonly available: ReadonlyArray<string>
  /** The name that was probably meant. */
  readonly nearest: string | undefined
}> {
  override get message(): string {
    const meant = this.nearest === undefined ? "" : ` Did you mean "${this.nearest}"?`
    return `There is no preset ${show(this.name)}.${meant} Available: ${this.available.join(", ")}`
  }
}

const show = (name: string): string => JSON.stringify(name.slice(0, 100))

/**
 * A preset to register, as code writes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input extends Preset.Input {
  readonly name: string
}

/**
 * @category models
 * @since 0.1.0
 */
export interface RegisterOptions {
  /** Default the preset's name. */
  readonly displayName?: string | undefined
  readonly overlay?: Preset.OverlayInput | Preset.Overlay | undefined
  /** Whether a preset of the same name gives way. Default `false`. */
  readonly replace?: boolean | undefined
}

/**
 * The presets that can be chosen.
 *
 * @category services
 * @since 0.1.0
 */
export class Presets extends Context.Service<
  Presets,
  {
    /** Adds a preset under its name in lower case. */
    readonly register: (
      preset: Preset.Preset | Input,
      options?: RegisterOptions
    ) => Effect.Effect<Entry, InvalidPreset | DuplicatePreset>
    /** Finds a preset. Case and spaces around the name do not count. */
    readonly get: (name: string) => Effect.Effect<Entry, UnknownPreset>
    /** All presets, the built-in ones first. */
    readonly list: Effect.Effect<ReadonlyArray<Entry>>
    /** All presets with everything that is known about them. */
    readonly summary: Effect.Effect<PresetsSummary>
    readonly compare: (current: string, compareWith: string) => Effect.Effect<Comparison, UnknownPreset>
  }
>()("breakwater/config/Presets") {}

const keyPattern = /^[a-z][a-z0-9_-]{0,49}$/

/**
 * Makes an entry out of a preset as it is registered.
 *
 * @category constructors
 * @since 0.1.0
 */
export const entry = (
  input: Preset.Preset | Input,
  options: Omit<RegisterOptions, "replace"> = {}
): Result.Result<Entry, InvalidPreset> => {
  const { name } = input
  const key = name.toLowerCase()
  const preset = checked("", () => (input instanceof Preset.Preset ? input : Preset.make(name, input)))
  const overlay = checked("overlay.", () => Preset.overlay(options.overlay ?? {}))
  const findings = [
    ...(keyPattern.test(key) ? [] : [wrongKey(name, key)]),
    ...(Result.isFailure(preset) ? preset.failure : repeated(preset.success)),
    ...(Result.isFailure(overlay) ? overlay.failure : [])
  ]
  return Result.isFailure(preset) || Result.isFailure(overlay) || findings.length > 0
    ? Result.fail(new InvalidPreset({ name, findings }))
    : Result.succeed({
        key,
        displayName: options.displayName ?? name,
        preset: preset.success,
        overlay: overlay.success
      })
}

const wrongKey = (value: string, key: string): Finding => {
  const proper = key
    .replaceAll(/[^a-z0-9_-]+/g, "-")
    .slice(0, 50)
    .replace(/^[^a-z]+/, "")
    .replace(/[_-]+$/, "")
  return {
    path: "name",
    value,
    rule: "expected a letter, then letters, digits, - and _, at most 50 in all",
    fix: keyPattern.test(proper) ? `use "${proper}"` : "choose another name"
  }
}

const repeated = ({ environmentContexts }: Preset.Preset): ReadonlyArray<Finding> => {
  const unique = [...new Set(environmentContexts)]
  return unique.length === environmentContexts.length
    ? []
    : [
        {
          path: "environmentContexts",
          value: environmentContexts,
          rule: "expected each environment once",
          fix: `use ${JSON.stringify(unique)}`
        }
      ]
}

const checked = <A>(prefix: string, make: () => A): Result.Result<A, ReadonlyArray<Finding>> =>
  Result.try({
    try: make,
    catch: (error) => {
      if (!(error instanceof Settings.InvalidSettings)) throw error
      return error.findings.map((finding) => ({
        ...finding,
        path: `${prefix}${finding.path}`,
        fix: fixOf(finding)
      }))
    }
  })

const fixes: Readonly<Record<string, string>> = {
  name: "use 1 to 50 characters",
  description: "use 1 to 200 characters",
  retryAttempts: "use a whole number from 1 to 10, such as 3",
  circuitBreakerThreshold: "use a whole number from 1 to 20, such as 5",
  recoveryTimeout: `use a time from 10 to 300 seconds, such as "60 seconds"`,
  operationOverrides: "name operations in lower case with digits and _, each with a built-in strategy",
  environmentContexts: `use at least one of ${Preset.Environment.literals.join(", ")}`
}

const isStrategy = Schema.is(Strategy.BuiltIn)

const fixOf = ({ path, rule, value }: Settings.Finding): string => {
  const field = path.split(".")[0]!
  if (rule.startsWith("unknown field")) return "leave it out"
  if (isStrategy(value)) return fixes[field] ?? "leave it out"
  if (field === "defaultStrategy" || (field === "operationOverrides" && path !== field)) {
    const meant = typeof value === "string" ? nearest(value, Strategy.BuiltIn.literals) : undefined
    return meant === undefined ? `use one of ${Strategy.BuiltIn.literals.join(", ")}` : `use "${meant}"`
  }
  return fixes[field] ?? "use a value within the range"
}

/**
 * Makes a registry of the built-in presets.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<Presets["Service"]> = Effect.gen(function* () {
  const entries = yield* Ref.make<ReadonlyMap<string, Entry>>(new Map(builtIn.map((entry) => [entry.key, entry])))
  const get = Effect.fnUntraced(function* (name: string): Effect.fn.Return<Entry, UnknownPreset> {
    const all = yield* Ref.get(entries)
    const found = all.get(name.trim().toLowerCase())
    if (found !== undefined) return found
    const available = [...all.keys()]
    return yield* new UnknownPreset({ name, available, nearest: nearest(name, available) })
  })
  return {
    register: Effect.fnUntraced(function* (
      input: Preset.Preset | Input,
      { replace = false, ...options }: RegisterOptions = {}
    ): Effect.fn.Return<Entry, InvalidPreset | DuplicatePreset> {
      const made = yield* Effect.fromResult(entry(input, options))
      const isAdded = yield* Ref.modify(entries, (all) =>
        all.has(made.key) && !replace ? [false, all] : [true, new Map(all).set(made.key, made)]
      )
      if (isAdded) return made
      return yield* new DuplicatePreset({
        name: made.key,
        fix: "choose another name, or register it with replace: true"
      })
    }),
    get,
    list: Effect.map(Ref.get(entries), (all) => [...all.values()]),
    summary: Effect.map(Ref.get(entries), (all) => summaryOfAll([...all.values()])),
    compare: (current, compareWith) => Effect.zipWith(get(current), get(compareWith), compare)
  }
})

/**
 * Provides the built-in presets, and those that are registered later.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Presets> = Layer.effect(Presets, make)
