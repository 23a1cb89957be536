/**
 * Offers custom configurations to start from.
 *
 * **Details**
 *
 * | template | attempts | opens after | open for | strategy |
 * | --- | --- | --- | --- | --- |
 * | `fast_development` | 1 | 2 failures | 15 s | `aggressive` |
 * | `robust_production` | 6 | 12 | 180 s | `conservative` |
 * | `low_latency` | 1 | 2 | 10 s | `aggressive` |
 * | `high_throughput` | 3 | 8 | 45 s | `balanced` |
 * | `maximum_reliability` | 8 | 15 | 300 s | `critical` |
 *
 * `suggest` compares attempts, threshold and strategy, as many of them as a
 * configuration states. One score chooses the template and is the confidence:
 * 1 if all are equal, less with each step between them.
 *
 * **Gotchas**
 *
 * Validation warns about three of the five: a threshold of 2 is low, and 8
 * attempts are many. That is what these templates are for.
 *
 * **Example** (Starting from a template)
 *
 * ```ts import.meta.vitest
 * import { Preset, Template } from "breakwater"
 *
 * const overlay = Template.merge(Template.templates.high_throughput, { retryAttempts: 2 })
 * overlay.retryAttempts // => 2
 * overlay.circuitBreakerThreshold // => 8
 *
 * Template.suggest(Preset.overlay({ retryAttempts: 8, circuitBreakerThreshold: 15, defaultStrategy: "critical" })).confidence // => 1
 * ```
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Preset from "../Preset.ts"
import * as Strategy from "../Strategy.ts"
import * as Wire from "../Wire.ts"
import * as CustomConfig from "./CustomConfig.ts"
import { isObject } from "./internal/validationFields.ts"
import * as Validation from "./Validation.ts"

/**
 * The names of the templates, in the order in which they win a tie.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Key = Schema.Literals([
  "fast_development",
  "robust_production",
  "low_latency",
  "high_throughput",
  "maximum_reliability"
])

/**
 * @category models
 * @since 0.1.0
 */
export type Key = typeof Key.Type

/**
 * A configuration to start from.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Template = Wire.snakeCase("Template", {
  name: Schema.String,
  description: Schema.String,
  config: CustomConfig.CustomConfig
})

/**
 * @category models
 * @since 0.1.0
 */
export type Template = typeof Template.Type

/**
 * Every template by its key.
 *
 * @category schemas
 * @since 0.1.0
 */
export const List = Wire.snakeCase("TemplateList", { templates: Schema.Record(Schema.String, Template) })

/**
 * The templates, in the order in which they win a tie.
 *
 * @category templates
 * @since 0.1.0
 */
export const templates: { readonly [K in Key]: Template } = {
  fast_development: {
    name: "Fast Development",
    description: "One attempt and short open times, so that a developer sees faults at once",
    config: Preset.overlay({
      retryAttempts: 1,
      circuitBreakerThreshold: 2,
      recoveryTimeout: "15 seconds",
      defaultStrategy: "aggressive",
      operationOverrides: { sentiment: "aggressive" }
    })
  },
  robust_production: {
    name: "Robust Production",
    description: "Patient with every call, most of all with answers to questions",
    config: Preset.overlay({
      retryAttempts: 6,
      circuitBreakerThreshold: 12,
      recoveryTimeout: "180 seconds",
      defaultStrategy: "conservative",
      operationOverrides: { qa: "critical", summarize: "conservative" }
    })
  },
  low_latency: {
    name: "Low Latency",
    description: "An answer or an error within five seconds",
    config: Preset.overlay({
      retryAttempts: 1,
      circuitBreakerThreshold: 2,
      recoveryTimeout: "10 seconds",
      defaultStrategy: "aggressive",
      maxDelay: "5 seconds",
      exponentialMultiplier: "500 millis",
      exponentialMin: "500 millis",
      exponentialMax: "5 seconds"
    })
  },
  high_throughput: {
    name: "High Throughput",
    description: "Many calls at a time, a few of them worth a retry",
    config: Preset.overlay({
      retryAttempts: 3,
      circuitBreakerThreshold: 8,
      recoveryTimeout: "45 seconds",
      defaultStrategy: "balanced",
      operationOverrides: { sentiment: "aggressive", key_points: "balanced" }
    })
  },
  maximum_reliability: {
    name: "Maximum Reliability",
    description: "Tries for minutes before it gives up",
    config: Preset.overlay({
      retryAttempts: 8,
      circuitBreakerThreshold: 15,
      recoveryTimeout: "300 seconds",
      defaultStrategy: "critical",
      operationOverrides: {
        qa: "critical",
        summarize: "critical",
        sentiment: "conservative",
        key_points: "conservative",
        questions: "conservative"
      },
      exponentialMultiplier: "2 seconds",
      exponentialMin: "3 seconds",
      exponentialMax: "60 seconds",
      jitterEnabled: true,
      jitterMax: "5 seconds"
    })
  }
}

/**
 * A template by its key, if there is one.
 *
 * @category accessors
 * @since 0.1.0
 */
export const get = (key: string): Option.Option<Template> => (isKey(key) ? Option.some(templates[key]) : Option.none())

const isKey = Schema.is(Key)

/**
 * The configuration of a template in JSON.
 *
 * @category accessors
 * @since 0.1.0
 */
export const toJson = ({ config }: Template): CustomConfig.Encoded => encode(config)

const encode = Schema.encodeSync(CustomConfig.CustomConfig)

/**
 * A template with other values. Strategies of single operations are added to
 * those of the template. Throws `InvalidSettings`.
 *
 * @category combinators
 * @since 0.1.0
 */
export const merge = (template: Template, overrides: Preset.OverlayInput | Preset.Overlay): Preset.Overlay => {
  const over = Preset.overlay(overrides)
  return Preset.overlay(merged(template.config, over, "operationOverrides"))
}

/**
 * Validates a template with the overrides of a stranger over it, as JSON.
 *
 * @category validation
 * @since 0.1.0
 */
export const validate = (
  template: Template,
  overrides: unknown,
  options: Validation.Options = {}
): Validation.Validation<Preset.Overlay> =>
  Validation.validateAs(overrides, (json) => merged(toJson(template), json, "operation_overrides"), options)

/** A short name of an operation and its long one are the same operation. */
const merged = <A extends object>(template: A, over: object, name: string): A => {
  const below = (template as Record<string, unknown>)[name]
  const above = (over as Record<string, unknown>)[name]
  if (!isObject(below) || !isObject(above)) return { ...template, ...over }
  const stated = new Set(Object.keys(above).map(Preset.canonicalName))
  const kept = Object.entries(below).filter(([operation]) => !stated.has(Preset.canonicalName(operation)))
  return { ...template, ...over, [name]: { ...Object.fromEntries(kept), ...above } }
}

/**
 * The template that is nearest to a configuration.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Suggestion = Wire.snakeCase("TemplateSuggestion", {
  /** `null` if none is near, or fewer than two fields can be compared. */
  suggestedTemplate: Schema.NullOr(Key),
  /** 1: equal in every field compared. 0: no suggestion. */
  confidence: Schema.Finite,
  reasoning: Schema.String,
  availableTemplates: Schema.Array(Key)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Suggestion = typeof Suggestion.Type

/**
 * The fields by which templates are compared.
 *
 * @category models
 * @since 0.1.0
 */
export type Compared = Pick<Preset.OverlayInput, "retryAttempts" | "circuitBreakerThreshold" | "defaultStrategy">

const fewestFields = 2
const leastScore = 0.5

/**
 * Suggests a template.
 *
 * @category accessors
 * @since 0.1.0
 */
export const suggest = (config: Compared): Suggestion => {
  const none = (reasoning: string): Suggestion => ({
    suggestedTemplate: null,
    confidence: 0,
    reasoning,
    availableTemplates: Key.literals
  })
  const scores = Key.literals.map((key) => ({ key, ...compare(config, templates[key].config) }))
  const best = scores.reduce((best, next) => (next.score > best.score ? next : best))
  if (best.fields.length < fewestFields) {
    return none(
      "State at least two of retry_attempts, circuit_breaker_threshold and default_strategy, so that templates can be compared"
    )
  }
  const confidence = Math.round(best.score * 100) / 100
  if (confidence < leastScore) return none("No template is near this configuration: a preset may be a better start")
  return {
    suggestedTemplate: best.key,
    confidence,
    reasoning: `${templates[best.key].name} is the nearest: ${best.fields.join(", ")}`,
    availableTemplates: Key.literals
  }
}

/**
 * Suggests a template for a configuration in JSON that nobody has validated.
 * Fields of the wrong type are not compared.
 *
 * @category accessors
 * @since 0.1.0
 */
export const suggestFor = (value: unknown): Suggestion => {
  const json = Option.getOrUndefined(Option.filter(Validation.read(value), isObject))
  const retryAttempts = json?.["retry_attempts"]
  const circuitBreakerThreshold = json?.["circuit_breaker_threshold"]
  const strategy = json?.["default_strategy"]
  return suggest({
    retryAttempts: typeof retryAttempts === "number" ? retryAttempts : undefined,
    circuitBreakerThreshold: typeof circuitBreakerThreshold === "number" ? circuitBreakerThreshold : undefined,
    defaultStrategy: isStrategy(strategy) ? strategy : undefined
  })
}

const isStrategy = Schema.is(Strategy.BuiltIn)

/** Points for each field by nearness, out of those that the fields stated are worth. */
const compare = (
  config: Compared,
  template: Preset.Overlay
): { readonly score: number; readonly fields: ReadonlyArray<string> } => {
  let points = 0
  let worth = 0
  const fields: Array<string> = []
  const add = <A>(
    name: string,
    weight: number,
    stated: A | undefined,
    own: A,
    nearness: (stated: A, own: A) => number
  ) => {
    if (stated === undefined) return
    worth += weight
    points += weight * nearness(stated, own)
    fields.push(stated === own ? `${name} is the same` : `${name} is ${String(stated)} and not ${String(own)}`)
  }
  add("retry_attempts", 3, config.retryAttempts, template.retryAttempts!, within(4))
  add("circuit_breaker_threshold", 2, config.circuitBreakerThreshold, template.circuitBreakerThreshold!, within(8))
  add("default_strategy", 3, config.defaultStrategy, template.defaultStrategy!, (a, b) => (a === b ? 1 : 0))
  return { score: worth === 0 ? 0 : points / worth, fields }
}

/** 1 for equal numbers, falling to 0 at the distance `far`. */
const within =
  (far: number) =>
  (a: number, b: number): number =>
    Math.max(1 - Math.abs(a - b) / far, 0)
