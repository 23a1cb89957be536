/**
 * The form of a custom configuration: what was typed, what it comes to, and
 * which finding belongs to which field.
 */
import type { Body, Finding } from "../api/types.ts"

export type CustomConfig = NonNullable<Body<"POST", "/config/reload">["custom_config"]>

type Input =
  | {
      readonly _tag: "Number"
      readonly minimum: number
      readonly maximum: number
      readonly isWhole: boolean
      readonly unit: string
    }
  | { readonly _tag: "Choice"; readonly options: ReadonlyArray<string> }

export interface Field {
  readonly name: string
  readonly label: string
  readonly help: string
  readonly input: Input
}

export const strategies = ["aggressive", "balanced", "conservative", "critical"] as const

const number = (
  name: string,
  label: string,
  help: string,
  [minimum, maximum, unit, isWhole = false]: readonly [number, number, string, boolean?]
): Field => ({ name, label, help, input: { _tag: "Number", minimum, maximum, unit, isWhole } })

/** The ranges are help for the eye. What is right, the API says. */
export const groups: ReadonlyArray<{ readonly title: string; readonly fields: ReadonlyArray<Field> }> = [
  {
    title: "Retry",
    fields: [
      number("retry_attempts", "Attempts", "The first one included", [1, 10, "", true]),
      number("exponential_multiplier", "First pause", "Doubles with every attempt", [0.1, 5, "s"]),
      number("exponential_min", "Shortest pause", "", [0.5, 10, "s"]),
      number("exponential_max", "Longest pause", "", [5, 120, "s"]),
      {
        name: "jitter_enabled",
        label: "Jitter",
        help: "Spreads the pauses",
        input: { _tag: "Choice", options: ["true", "false"] }
      },
      number("jitter_max", "Most jitter", "", [0.1, 10, "s"])
    ]
  },
  {
    title: "Circuit breaker",
    fields: [
      number("circuit_breaker_threshold", "Failures to open", "In a row", [1, 20, "", true]),
      number("recovery_timeout", "Open time", "Until the first probe", [10, 300, "s", true]),
      number("half_open_max_calls", "Probes", "At a time while half-open", [1, 10, "", true])
    ]
  },
  {
    title: "Time",
    fields: [
      number("attempt_timeout", "Attempt timeout", "", [0.1, 600, "s"]),
      number("max_delay_seconds", "Total timeout", "With all attempts and pauses", [5, 600, "s", true])
    ]
  },
  {
    title: "Strategy",
    fields: [
      {
        name: "default_strategy",
        label: "Default strategy",
        help: "Of operations without one of their own",
        input: { _tag: "Choice", options: strategies }
      }
    ]
  }
]

const fields: ReadonlyMap<string, Field> = new Map(
  groups.flatMap((group) => group.fields.map((field) => [field.name, field] as const))
)

/** What was typed, by field. A field that is empty is not part of the configuration. */
export type Typed = Readonly<Record<string, string>>

/** What of a configuration has no field in the form, and is kept as it is. */
export const restOf = (custom: Readonly<Record<string, unknown>> | null): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(custom ?? {}).filter(([name]) => !fields.has(name)))

export const typedOf = (custom: Readonly<Record<string, unknown>> | null): Typed =>
  Object.fromEntries(
    Object.entries(custom ?? {}).flatMap(([name, value]) => (fields.has(name) ? [[name, String(value)]] : []))
  )

const parse = (field: Field, text: string): unknown => {
  if (field.input._tag === "Choice") return text === "true" ? true : text === "false" ? false : text
  // What is no number goes to the API as it is, which says what is wrong with it.
  const value = Number(text)
  return Number.isFinite(value) ? value : text
}

export const configOf = (typed: Typed, rest: Readonly<Record<string, unknown>>): CustomConfig =>
  Object.fromEntries([
    ...Object.entries(rest),
    ...Object.entries(typed).flatMap(([name, text]) => {
      const field = fields.get(name)
      return field === undefined || text.trim() === "" ? [] : [[name, parse(field, text.trim())] as const]
    })
  ]) as CustomConfig

export interface Placed {
  readonly byField: ReadonlyMap<string, ReadonlyArray<Finding>>
  /** About no single field of the form. */
  readonly others: ReadonlyArray<Finding>
}

/** Findings at their fields, errors first. */
export const place = (findings: ReadonlyArray<Finding>): Placed => {
  const byField = new Map<string, ReadonlyArray<Finding>>()
  const others: Array<Finding> = []
  const weight = { error: 0, warning: 1, info: 2 }
  for (const finding of findings.toSorted((a, b) => weight[a.severity] - weight[b.severity])) {
    const name = finding.path.split(/[.[]/, 1)[0] ?? ""
    if (fields.has(name)) byField.set(name, [...(byField.get(name) ?? []), finding])
    else others.push(finding)
  }
  return { byField, others }
}

export const isFinding = (value: unknown): value is Finding =>
  typeof value === "object" && value !== null && "severity" in value && "message" in value && "path" in value

/** The findings of a refusal. */
export const findingsOf = (context: Readonly<Record<string, unknown>>): ReadonlyArray<Finding> => {
  const { findings } = context
  return Array.isArray(findings) ? findings.filter(isFinding) : []
}
