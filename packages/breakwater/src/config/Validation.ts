/**
 * Checks configurations of strangers: size, shape, fields, values, and the
 * rules between them.
 *
 * **Details**
 *
 * In this order, and nothing is read before it is known to be small and flat:
 *
 * 1. size, at most 4096 bytes as compact JSON, and depth, at most 10;
 * 2. names that stand twice or reach a prototype, and values that are not JSON;
 * 3. the schema: fields, types, ranges, names of strategies and operations;
 * 4. the rules between fields.
 *
 * That is the level `standard`. The level `secure` adds limits for the number
 * of members and items and the length of strings, warnings about extreme
 * numbers, and a look at the text of every string.
 *
 * Everything that can be found is found at once. After a fault of the first two
 * kinds, or text that is not JSON, nothing more is looked at.
 *
 * **Gotchas**
 *
 * - Text may have blanks. Its size is that of the same JSON without them. Text
 *   of more than 65536 UTF-16 units is not read at all.
 * - A number out of range breaks its range and is still held against the rules
 *   between fields.
 * - No code of a value is run, but listing the names of a large object takes
 *   its time before they can be counted. Bound request bodies first.
 *
 * **Example** (What is wrong, and what to do)
 *
 * ```ts import.meta.vitest
 * import { Validation } from "breakwater"
 *
 * const { findings, isValid, suggestions } = Validation.validateText('{ "retry_atempts": 3, "default_strategy": "critical" }')
 *
 * isValid // => false
 * findings.map(({ code, path }) => `${code} at ${path}`) // => ["unknown_field at retry_atempts"]
 * suggestions // => ['Did you mean "retry_attempts"?']
 * ```
 *
 * @since 0.1.0
 */
import type * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as Preset from "../Preset.ts"
import * as Wire from "../Wire.ts"
import * as CustomConfig from "./CustomConfig.ts"
import * as Finding from "./Finding.ts"
import * as content from "./internal/validationContent.ts"
import * as fields from "./internal/validationFields.ts"
import * as rules from "./internal/validationRules.ts"
import { limits as shapeLimits, Shape } from "./internal/validationShape.ts"
import { type Malformed, scan } from "./internal/validationText.ts"
import { walk } from "./internal/validationValue.ts"
import * as Presets from "./Presets.ts"

/**
 * How much is checked.
 *
 * @category models
 * @since 0.1.0
 */
export type Level = "standard" | "secure"

/**
 * Text that is not accepted in any string. `matches` gets the string in lower
 * case, and has to take time in proportion to its length.
 *
 * @category models
 * @since 0.1.0
 */
export type Pattern = content.Pattern

/**
 * The fifteen patterns that the level `secure` looks for.
 *
 * @category patterns
 * @since 0.1.0
 */
export const patterns: ReadonlyArray<Pattern> = content.patterns

/**
 * @category models
 * @since 0.1.0
 */
export type Options = {
  /** Names of the operations that can be meant. Default: those of the text service, long and short. */
  readonly operations?: Iterable<string> | undefined
} & (
  | {
      /** Default `standard`. */
      readonly level?: "standard" | undefined
    }
  | {
      readonly level: "secure"
      /** When this is done. The answer says so. */
      readonly at: DateTime.Utc
      /** Default `patterns`. */
      readonly patterns?: ReadonlyArray<Pattern> | undefined
    }
)

/**
 * The facts about the security checks.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SecurityInfo = Wire.snakeCase("SecurityInfo", {
  /** UTF-8 bytes as compact JSON. If reading stopped early, those read. */
  sizeBytes: Schema.Int,
  maxSizeBytes: Schema.Int,
  fieldCount: Schema.Int,
  validationTimestamp: Wire.Timestamp
})

/**
 * @category models
 * @since 0.1.0
 */
export type SecurityInfo = typeof SecurityInfo.Type

/**
 * What the admin API answers.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Response = Wire.snakeCase("ValidationResponse", {
  isValid: Schema.Boolean,
  findings: Schema.Array(Finding.Finding),
  /** The messages of errors. */
  errors: Schema.Array(Schema.String),
  /** The messages of warnings and notes. */
  warnings: Schema.Array(Schema.String),
  /** Each suggestion once. */
  suggestions: Schema.Array(Schema.String),
  /** Of the level `secure`. */
  securityInfo: Schema.NullOr(SecurityInfo)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Response = typeof Response.Type

/**
 * What a validation found, with the value if it is valid.
 *
 * @category models
 * @since 0.1.0
 */
export interface Validation<out A> extends Response {
  readonly value: Option.Option<A>
}

/**
 * Validates a value as it comes out of `JSON.parse`.
 *
 * @category validation
 * @since 0.1.0
 */
export const validate = (value: unknown, options: Options = {}): Validation<Preset.Overlay> =>
  run(customConfig(), readValue(value, options), options)

/**
 * Validates JSON text.
 *
 * @category validation
 * @since 0.1.0
 */
export const validateText = (text: string, options: Options = {}): Validation<Preset.Overlay> =>
  run(customConfig(), readText(text, options), options)

/**
 * Validates a preset as JSON: all fields have to be there, and there are rules
 * for the environments it is meant for.
 *
 * @category validation
 * @since 0.1.0
 */
export const validatePreset = (value: unknown, options: Options = {}): Validation<Preset.Preset> =>
  run(presetJson(), readValue(value, options), options)

/**
 * Validates what becomes of a value, if it is an object that can be read:
 * `complete` gets a copy of it.
 *
 * @category validation
 * @since 0.1.0
 */
export const validateAs = (
  value: unknown,
  complete: (json: Readonly<Record<string, unknown>>) => unknown,
  options: Options = {}
): Validation<Preset.Overlay> => {
  const read = readValue(value, options)
  const completed = Option.map(Option.filter(read.json, fields.isObject), (json) => readValue(complete(json), options))
  return run(
    customConfig(),
    Option.getOrElse(completed, () => read),
    options
  )
}

/**
 * A copy of a value that is known to be JSON, small and flat. None: it is not.
 *
 * @category validation
 * @since 0.1.0
 */
export const read = (value: unknown): Option.Option<unknown> => readValue(value, {}).json

/**
 * What a field accepts.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Constraints = Wire.snakeCase("FieldConstraints", {
  minimum: Schema.optionalKey(Schema.Finite),
  maximum: Schema.optionalKey(Schema.Finite),
  /** Values accepted, of the field or of each member. */
  enum: Schema.optionalKey(Schema.Array(Schema.String)),
  /** Names accepted for members, as a regular expression. */
  namePattern: Schema.optionalKey(Schema.String),
  maxProperties: Schema.optionalKey(Schema.Int)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Constraints = typeof Constraints.Type

const current = {
  currentValue: Schema.Json,
  /** `null`, `boolean`, `integer`, `number`, `string`, `array` or `object`. */
  currentType: Schema.String
} as const

/**
 * What is known about one field of a configuration.
 *
 * @category schemas
 * @since 0.1.0
 */
export const FieldAnalysis = Schema.Union([
  Wire.snakeCase("AllowedField", {
    allowed: Schema.Literal(true),
    type: Schema.String,
    constraints: Constraints,
    ...current
  }),
  Wire.snakeCase("ForbiddenField", { allowed: Schema.Literal(false), ...current })
])

/**
 * @category models
 * @since 0.1.0
 */
export type FieldAnalysis = typeof FieldAnalysis.Type

/**
 * The fields of a configuration, held against those that are known.
 *
 * @category schemas
 * @since 0.1.0
 */
export const FieldReport = Wire.snakeCase("FieldWhitelistResponse", {
  isValid: Schema.Boolean,
  findings: Schema.Array(Finding.Finding),
  errors: Schema.Array(Schema.String),
  suggestions: Schema.Array(Schema.String),
  /** Empty if the configuration is not read. */
  fieldAnalysis: Schema.Record(Schema.String, FieldAnalysis),
  allowedFields: Schema.Array(Schema.String),
  validationTimestamp: Wire.Timestamp
})

/**
 * @category models
 * @since 0.1.0
 */
export type FieldReport = typeof FieldReport.Type

/**
 * Holds each field against the schema. The rules between fields and the text of
 * strings are not looked at.
 *
 * @category validation
 * @since 0.1.0
 */
export const analyzeFields = (value: unknown, options: { readonly at: DateTime.Utc }): FieldReport => {
  const { fields: known } = customConfig().document
  const { findings, json } = readValue(value, { level: "secure", at: options.at })
  const all = Option.match(json, {
    onNone: () => findings,
    onSome: (json) => [...findings, ...decode(customConfig().document, json, fields.spelling()).findings]
  })
  const collected = Finding.collect(all)
  const { errors, suggestions } = Finding.toLists(collected)
  return {
    isValid: errors.length === 0,
    findings: collected,
    errors,
    suggestions,
    fieldAnalysis: Object.fromEntries(
      Object.entries(Option.getOrElse(Option.filter(json, fields.isObject), () => ({}))).map(([name, value]) => [
        name,
        analysisOf(known.get(name), value as Schema.Json)
      ])
    ),
    allowedFields: [...known.keys()],
    validationTimestamp: options.at
  }
}

/**
 * The limits of the level `secure`, as the admin API shows them.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Limits = Wire.snakeCase("ValidationLimits", {
  securityLimits: Wire.snakeCase("SecurityLimits", {
    maxConfigSizeBytes: Schema.Int,
    maxStringLength: Schema.Int,
    maxArrayItems: Schema.Int,
    maxObjectProperties: Schema.Int,
    maxNestingDepth: Schema.Int
  }),
  rateLimiting: Wire.snakeCase("ValidationRates", {
    maxValidationsPerMinute: Schema.Int,
    maxValidationsPerHour: Schema.Int,
    /** Calls in a row before they are paced. */
    burst: Schema.Int,
    validationCooldownSeconds: Schema.Finite
  }),
  contentFiltering: Wire.snakeCase("ContentFiltering", {
    maxUnicodeCodepoint: Schema.Int,
    forbiddenUnicodeCategories: Schema.Array(Schema.String),
    maxRepeatedChars: Schema.Int
  }),
  allowedFields: Schema.Array(Schema.String),
  forbiddenPatternCount: Schema.Int,
  validationFeatures: Schema.Array(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Limits = typeof Limits.Type

/**
 * Calls that a client may make: per minute, per hour, and in a row.
 *
 * @category limits
 * @since 0.1.0
 */
export const rates = { perMinute: 60, perHour: 1000, burst: 10 } as const

/**
 * The limits in force.
 *
 * @category limits
 * @since 0.1.0
 */
export const limits: Limits = {
  securityLimits: {
    maxConfigSizeBytes: shapeLimits.sizeBytes,
    maxStringLength: shapeLimits.stringLength,
    maxArrayItems: shapeLimits.arrayItems,
    maxObjectProperties: shapeLimits.objectProperties,
    maxNestingDepth: shapeLimits.depth
  },
  rateLimiting: {
    maxValidationsPerMinute: rates.perMinute,
    maxValidationsPerHour: rates.perHour,
    burst: rates.burst,
    validationCooldownSeconds: 0
  },
  contentFiltering: {
    maxUnicodeCodepoint: content.maxCodePoint,
    forbiddenUnicodeCategories: content.forbiddenCategories,
    maxRepeatedChars: content.maxRepeated
  },
  allowedFields: Object.values(CustomConfig.names),
  forbiddenPatternCount: content.patterns.length,
  validationFeatures: [
    "size_limits",
    "field_whitelisting",
    "content_filtering",
    "rate_limiting",
    "unicode_validation",
    "nesting_depth_limits",
    "pattern_detection"
  ]
}

interface Subject<A> {
  readonly document: fields.Document<A>
  readonly rules: (json: fields.Json, fields: fields.Fields) => ReadonlyArray<Finding.Finding>
}

const once = <A>(make: () => A): (() => A) => {
  let made: { readonly value: A } | undefined
  return () => (made ??= { value: make() }).value
}

const customConfig = once((): Subject<Preset.Overlay> => ({
  document: fields.document(CustomConfig.CustomConfig),
  rules: () => []
}))

const presetJson = once((): Subject<Preset.Preset> => ({
  document: fields.document(Presets.PresetJson),
  rules: rules.ofPreset
}))

interface Read {
  readonly shape: Shape
  readonly findings: ReadonlyArray<Finding.Finding>
  /** None: it cannot be read, and `findings` say why. */
  readonly json: Option.Option<unknown>
}

const readText = (text: string, { level }: Options): Read => {
  const shape = new Shape(level === "secure")
  if (text.length > shapeLimits.textLength) {
    shape.size = text.length
    return tooLarge(shape)
  }
  const malformed = scan(text, shape)
  if (shape.tooLarge) return tooLarge(shape)
  if (malformed !== undefined) return { shape, findings: [notJson(text, malformed)], json: Option.none() }
  const { findings, refused } = shape
  return { shape, findings, json: refused ? Option.none() : Option.some(JSON.parse(text)) }
}

const readValue = (value: unknown, { level }: Options): Read => {
  const shape = new Shape(level === "secure")
  const json = walk(value, shape)
  if (shape.tooLarge) return tooLarge(shape)
  const { findings, refused } = shape
  return { shape, findings, json: refused ? Option.none() : Option.some(json) }
}

const tooLarge = (shape: Shape): Read => {
  const size = shape.size > shapeLimits.countedBytes ? `more than ${shapeLimits.countedBytes}` : String(shape.size)
  return {
    shape,
    findings: [
      Finding.make({
        code: "too_large",
        severity: "error",
        path: "",
        message: `The configuration has ${size} bytes as compact JSON; at most ${shapeLimits.sizeBytes} are accepted`,
        suggestion: "State only the fields that differ from the preset"
      })
    ],
    json: Option.none()
  }
}

const notJson = (text: string, { at, expected }: Malformed): Finding.Finding => {
  const before = text.slice(0, at).split("\n")
  const found = at < text.length ? Finding.quote(String.fromCodePoint(text.codePointAt(at)!)) : "the end of the text"
  return Finding.make({
    code: "malformed_json",
    severity: "error",
    path: "",
    message: `Not JSON: expected ${expected} at line ${before.length}, column ${before.at(-1)!.length + 1}, got ${found}`,
    suggestion: 'Write JSON such as {"retry_attempts": 3}: names in double quotes, no comma after the last field'
  })
}

const decode = <A>(
  document: fields.Document<A>,
  json: unknown,
  spelling: fields.Spelling
): { readonly findings: ReadonlyArray<Finding.Finding>; readonly value: Option.Option<A> } =>
  Result.match(document.decode(json), {
    onFailure: (faults) => ({
      findings: fields.explain(faults, { json, fields: document.fields, spelling }),
      value: Option.none()
    }),
    onSuccess: (value) => ({ findings: [], value: Option.some(value) })
  })

const run = <A>(subject: Subject<A>, { findings, json, shape }: Read, options: Options): Validation<A> => {
  const all = [...findings]
  let value = Option.none<A>()
  if (Option.isSome(json)) {
    const spelling = fields.spelling()
    const decoded = decode(subject.document, json.value, spelling)
    value = decoded.value
    all.push(...decoded.findings)
    if (fields.isObject(json.value)) {
      const operations = options.operations === undefined ? rules.defaultOperations : new Set(options.operations)
      all.push(...rules.common(json.value, { fields: subject.document.fields, operations, spelling }))
      all.push(...subject.rules(json.value, subject.document.fields))
    }
    if (options.level === "secure") all.push(...content.inspect(shape.texts, options.patterns ?? patterns))
  }
  const collected = Finding.collect(all)
  const isValid = !collected.some(Finding.isError)
  return {
    isValid,
    findings: collected,
    ...Finding.toLists(collected),
    value: isValid ? value : Option.none(),
    securityInfo:
      options.level === "secure"
        ? {
            sizeBytes: shape.size,
            maxSizeBytes: shapeLimits.sizeBytes,
            fieldCount: shape.fieldCount,
            validationTimestamp: options.at
          }
        : null
  }
}

const analysisOf = (field: fields.Field | undefined, value: Schema.Json): FieldAnalysis => {
  const current = { currentValue: value, currentType: fields.typeOf(value) }
  if (field === undefined) return { allowed: false, ...current }
  const { enum: accepted, maximum, minimum, namePattern, type } = field
  return {
    allowed: true,
    type,
    constraints: {
      ...(minimum !== undefined && { minimum }),
      ...(maximum !== undefined && { maximum }),
      ...(accepted !== undefined && { enum: accepted }),
      ...(namePattern !== undefined && { namePattern, maxProperties: shapeLimits.overrides })
    },
    ...current
  }
}
