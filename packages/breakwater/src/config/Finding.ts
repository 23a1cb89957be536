/**
 * Says what is wrong, or doubtful, about a configuration.
 *
 * **Details**
 *
 * A finding has a `code` for programs and a `message` for people. The message
 * names the value, the rule and its range; the suggestion can be followed as it
 * stands.
 *
 * **Gotchas**
 *
 * Findings quote what strangers wrote. `make` cuts it and makes it visible:
 * control characters, direction marks and the like come out as `\u{..}`.
 *
 * **Example** (Findings for people)
 *
 * ```ts import.meta.vitest
 * import { Finding } from "breakwater"
 *
 * const findings = [
 *   Finding.make({
 *     code: "low_threshold",
 *     severity: "warning",
 *     path: "circuit_breaker_threshold",
 *     message: "circuit_breaker_threshold is 2: two failures in a row open the circuit",
 *     suggestion: "Set circuit_breaker_threshold to 3 or more"
 *   })
 * ]
 *
 * Finding.toLists(findings).suggestions // => ["Set circuit_breaker_threshold to 3 or more"]
 * Finding.quote("a\u0000b") // => '"a\\u{0}b"'
 * ```
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * An error makes a configuration invalid. A warning and a note do not.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Severity = Schema.Literals(["error", "warning", "info"])

/**
 * @category models
 * @since 0.1.0
 */
export type Severity = typeof Severity.Type

/**
 * One thing that is wrong, or doubtful.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Finding = Schema.Struct({
  /** What is wrong, for programs: `out_of_range`. */
  code: Schema.String,
  severity: Severity,
  /** Dotted path of the field in JSON. Empty: the whole configuration. */
  path: Schema.String,
  /** Value, rule and range, for people. At most 300 characters. */
  message: Schema.String,
  /** What to write instead. At most 300 characters. */
  suggestion: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "Finding" })

/**
 * @category models
 * @since 0.1.0
 */
export interface Finding extends Schema.Schema.Type<typeof Finding> {}

/**
 * Findings that a report holds at most.
 *
 * @category limits
 * @since 0.1.0
 */
export const maxFindings = 100

const maxText = 300
const maxPath = 200
const maxQuoted = 60

/**
 * A finding whose texts are cut to their length and have no invisible
 * characters.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (fields: {
  readonly code: string
  readonly severity: Severity
  readonly path: string
  readonly message: string
  readonly suggestion?: string | undefined
}): Finding => ({
  code: fields.code,
  severity: fields.severity,
  path: visible(fields.path, maxPath),
  message: visible(fields.message, maxText),
  ...(fields.suggestion !== undefined && { suggestion: visible(fields.suggestion, maxText) })
})

/**
 * A value as a message shows it: on one line, at most about 60 characters of
 * it.
 *
 * @category formatting
 * @since 0.1.0
 */
export const quote = (value: unknown): string => {
  switch (typeof value) {
    case "string":
      return `"${visible(value, maxQuoted)}"`
    case "object":
      return value === null ? "null" : Array.isArray(value) ? "an array" : "an object"
    case "function":
      return "a function"
    case "symbol":
      return "a symbol"
    case "bigint":
      return "a bigint"
    default:
      return String(value)
  }
}

/**
 * One finding for each code and path, errors first, 100 at most. A note says
 * how many were left out.
 *
 * @category combinators
 * @since 0.1.0
 */
export const collect = (findings: Iterable<Finding>): ReadonlyArray<Finding> => {
  const kept = new Map<string, Finding>()
  for (const finding of findings) {
    const key = `${finding.code} ${finding.path}`
    if (!kept.has(key)) kept.set(key, finding)
  }
  const all = Severity.literals.flatMap((severity) => [...kept.values()].filter((one) => one.severity === severity))
  if (all.length <= maxFindings) return all
  const shown = all.slice(0, maxFindings - 1)
  const message = `${all.length - shown.length} more findings are not shown`
  return [...shown, { code: "more_findings", severity: "info", path: "", message }]
}

/**
 * Findings as lists of text.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lists {
  readonly errors: ReadonlyArray<string>
  /** Warnings, and notes. */
  readonly warnings: ReadonlyArray<string>
  /** Each suggestion once. */
  readonly suggestions: ReadonlyArray<string>
}

/**
 * @category accessors
 * @since 0.1.0
 */
export const toLists = (findings: ReadonlyArray<Finding>): Lists => ({
  errors: findings.filter(isError).map(({ message }) => message),
  warnings: findings.filter((finding) => !isError(finding)).map(({ message }) => message),
  suggestions: [...new Set(findings.flatMap(({ suggestion }) => suggestion ?? []))]
})

/**
 * @category predicates
 * @since 0.1.0
 */
export const isError = (finding: Finding): boolean => finding.severity === "error"

const invisible = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\p{Zl}\p{Zp}]/gu

/** Cuts first: the work is bounded by `length`, not by the text. */
const visible = (text: string, length: number): string => {
  const escaped = cut(text, length).replace(invisible, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)
  return cut(escaped, length)
}

const cut = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length - 1).replace(/[\uD800-\uDBFF]$/, "")}…`
