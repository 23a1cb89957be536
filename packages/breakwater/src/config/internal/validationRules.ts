/**
 * The rules between the fields of a configuration. They look at each field that
 * has the right type, in range or not, so that one answer names everything.
 */
import { type Field, type Found, type Numbers, rules, type Words } from "../../internal/strategyRules.ts"
import * as Preset from "../../Preset.ts"
import type * as CustomConfig from "../CustomConfig.ts"
import * as Finding from "../Finding.ts"
import { type Fields, isName, isObject, type Json, type Spelling } from "./validationFields.ts"

/** Both names of each operation of the text service. @internal */
export const defaultOperations: ReadonlySet<string> = new Set([...Preset.aliases.keys(), ...Preset.aliases.values()])

const warning = (code: string, path: string, message: string, suggestion: string): Finding.Finding =>
  Finding.make({ code, severity: "warning", path, message, suggestion })

const number = (json: Json, name: string): number | undefined => {
  const value = json[name]
  return typeof value === "number" && Number.isFinite(value) ? value : undefined
}

const whole = (json: Json, name: string): number | undefined => {
  const value = number(json, name)
  return value !== undefined && Number.isInteger(value) ? value : undefined
}

/** The nearest value that a field accepts. */
const within =
  (fields: Fields) =>
  (name: string, value: number): number => {
    const { maximum = value, minimum = value } = fields.get(name) ?? {}
    return Math.min(Math.max(value, minimum), maximum)
  }

/** The fields of strategies as a configuration names them. */
const names: { readonly [F in Field]?: CustomConfig.Name } = {
  "retry.maxAttempts": "retry_attempts",
  "retry.minDelay": "exponential_min",
  "retry.maxDelay": "exponential_max",
  "retry.jitter": "jitter_enabled",
  "timeout.attempt": "attempt_timeout",
  "timeout.total": "max_delay_seconds",
  "circuitBreaker.failureThreshold": "circuit_breaker_threshold",
  "circuitBreaker.openDuration": "recovery_timeout"
}

const nameOf = (field: Field): string => names[field] ?? field

const wordsOf = (inRange: (name: string, value: number) => number): Words => ({
  name: nameOf,
  time: String,
  fit: (field, value) => inRange(nameOf(field), value),
  jittered: "true",
  or: (code) => (code === "many_retries" ? ", or use the preset production" : "")
})

const warningOf = ({ code, field, message, severity, suggestion }: Found): Finding.Finding =>
  Finding.make({ code, severity, path: nameOf(field), message, suggestion })

const maxAttempts = 10

/** What a configuration states, in seconds. */
const numbersOf = (json: Json): Numbers => {
  const threshold = whole(json, "circuit_breaker_threshold")
  const attempts = whole(json, "retry_attempts")
  const isJittered = json["jitter_enabled"]
  const jitter = isJittered === true ? "additive" : isJittered === false ? "none" : undefined
  const [base, min, max] = ["exponential_multiplier", "exponential_min", "exponential_max"].map((name) =>
    number(json, name)
  )
  return {
    attempts,
    attempt: number(json, "attempt_timeout"),
    total: number(json, "max_delay_seconds"),
    openDuration: number(json, "recovery_timeout"),
    trips: threshold === undefined ? undefined : [{ _tag: "Consecutive", failures: threshold }],
    jitter,
    // A lowest pause above the highest is an error of its own, and so are attempts
    // out of range: the pauses of millions of them are not to be added up.
    backoff:
      base === undefined || min === undefined || max === undefined || min > max || (attempts ?? 0) > maxAttempts
        ? undefined
        : { base, factor: 2, min, max, jitter: jitter ?? "additive", jitterMax: number(json, "jitter_max") ?? 0 }
  }
}

/** @internal */
export const common = (
  json: Json,
  options: { readonly fields: Fields; readonly operations: ReadonlySet<string>; readonly spelling: Spelling }
): ReadonlyArray<Finding.Finding> => {
  const { fields } = options
  const findings: Array<Finding.Finding> = []
  const inRange = within(fields)

  const min = number(json, "exponential_min")
  const max = number(json, "exponential_max")
  if (min !== undefined && max !== undefined && min >= max) {
    const lower = inRange("exponential_min", inRange("exponential_max", max) / 2)
    const higher = inRange("exponential_max", inRange("exponential_min", min) * 2)
    findings.push(
      Finding.make({
        code: "exp_bounds",
        severity: "error",
        path: "exponential_min",
        message: `exponential_min is ${min} and exponential_max is ${max}; the shortest pause has to be below the longest`,
        suggestion: `Set exponential_min to ${lower}, or exponential_max to ${higher}`
      })
    )
  }

  const attempts = whole(json, "retry_attempts")
  const total = number(json, "max_delay_seconds")
  if (attempts !== undefined && total !== undefined && total < 2 * attempts) {
    findings.push(
      warning(
        "delay_too_short",
        "max_delay_seconds",
        `max_delay_seconds is ${total}: too short for ${attempts} attempts, which need at least ${2 * attempts}`,
        `Set max_delay_seconds to ${inRange("max_delay_seconds", 2 * attempts)} or more`
      )
    )
  }

  const { oneCallOpens: _ofPresets, ...ofAll } = rules
  const between = Object.values(ofAll).flatMap((rule) => rule(numbersOf(json), wordsOf(inRange)))
  findings.push(...between.map(warningOf))

  return [...findings, ...unknownOperations(json, options)]
}

const unknownOperations = (
  json: Json,
  { operations, spelling }: { readonly operations: ReadonlySet<string>; readonly spelling: Spelling }
): ReadonlyArray<Finding.Finding> => {
  const overrides = json["operation_overrides"]
  if (!isObject(overrides)) return []
  const unknown = Object.keys(overrides).filter((name) => isName(name) && !operations.has(name))
  if (unknown.length === 0) return []
  const known = [...operations]
  const some = known.slice(0, 10).join(", ")
  return unknown.map((name) => {
    const meant = spelling(name, known)
    return warning(
      "unknown_operation",
      `operation_overrides.${name}`,
      `${name} is not a registered operation; its strategy waits for an operation of this name`,
      meant === undefined
        ? `Registered operations: ${some}${known.length > 10 ? ", ..." : ""}`
        : `Did you mean "${meant}"?`
    )
  })
}

/** The rules for whole presets. @internal */
export const ofPreset = (json: Json, fields: Fields): ReadonlyArray<Finding.Finding> => {
  const findings = rules.oneCallOpens(numbersOf(json), wordsOf(within(fields))).map(warningOf)
  const attempts = whole(json, "retry_attempts")
  const strategy = json["default_strategy"]
  const contexts = json["environment_contexts"]
  const runsIn = (environment: string): boolean => Array.isArray(contexts) && contexts.includes(environment)

  if (runsIn("production") && strategy === "aggressive") {
    findings.push(
      warning(
        "aggressive_in_prod",
        "default_strategy",
        "default_strategy is aggressive in a preset for production: it gives up early",
        "Set default_strategy to balanced or conservative"
      )
    )
  }
  if (runsIn("development") && strategy === "conservative" && attempts !== undefined && attempts > 3) {
    findings.push(
      warning(
        "conservative_in_dev",
        "default_strategy",
        `default_strategy is conservative with ${attempts} attempts in a preset for development: faults show late`,
        "Set default_strategy to aggressive, or use the preset development"
      )
    )
  }
  return findings
}
