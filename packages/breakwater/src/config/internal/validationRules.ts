/**
 * The rules between the fields of a configuration. They look at each field that
 * has the right type, in range or not, so that one answer names everything.
 */
import * as Preset from "../../Preset.ts"
import * as Finding from "../Finding.ts"
import { type Fields, isName, isObject, type Json, type Spelling } from "./validationFields.ts"

/** Both names of each operation of the text service. @internal */
export const defaultOperations: ReadonlySet<string> = new Set([...Preset.aliases.keys(), ...Preset.aliases.values()])

const maxAttemptsOfUse = 7
const lowestCalmThreshold = 3

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

/** @internal */
export const common = (
  json: Json,
  options: { readonly fields: Fields; readonly operations: ReadonlySet<string>; readonly spelling: Spelling }
): ReadonlyArray<Finding.Finding> => {
  const { fields } = options
  const findings: Array<Finding.Finding> = []
  const inRange = (name: string, value: number): number => {
    const { maximum = value, minimum = value } = fields.get(name) ?? {}
    return Math.min(Math.max(value, minimum), maximum)
  }

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

  const threshold = whole(json, "circuit_breaker_threshold")
  if (threshold !== undefined && threshold < lowestCalmThreshold) {
    findings.push(
      warning(
        "low_threshold",
        "circuit_breaker_threshold",
        `circuit_breaker_threshold is ${threshold}: below ${lowestCalmThreshold} a circuit opens at the slightest fault`,
        `Set circuit_breaker_threshold to ${lowestCalmThreshold} or more`
      )
    )
  }

  if (attempts !== undefined && attempts > maxAttemptsOfUse) {
    findings.push(
      warning(
        "many_retries",
        "retry_attempts",
        `retry_attempts is ${attempts}: more than ${maxAttemptsOfUse} attempts load a dependency that is failing already`,
        `Set retry_attempts to ${maxAttemptsOfUse} or less, or use the preset production`
      )
    )
  }

  const attempt = number(json, "attempt_timeout")
  if (attempt !== undefined && total !== undefined && attempt > total) {
    findings.push(
      warning(
        "attempt_exceeds_total",
        "attempt_timeout",
        `attempt_timeout is ${attempt} and max_delay_seconds is ${total}: the call is over before an attempt is`,
        `Set attempt_timeout to ${inRange("attempt_timeout", total)} or less`
      )
    )
  }

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
export const ofPreset = (json: Json): ReadonlyArray<Finding.Finding> => {
  const findings: Array<Finding.Finding> = []
  const attempts = whole(json, "retry_attempts")
  const threshold = whole(json, "circuit_breaker_threshold")
  const strategy = json["default_strategy"]
  const contexts = json["environment_contexts"]
  const runsIn = (environment: string): boolean => Array.isArray(contexts) && contexts.includes(environment)

  if (attempts !== undefined && threshold !== undefined && attempts > threshold) {
    findings.push(
      warning(
        "retry_gt_threshold",
        "circuit_breaker_threshold",
        `retry_attempts is ${attempts} and circuit_breaker_threshold is ${threshold}: one call alone opens the circuit`,
        attempts + 2 <= 20
          ? `Set circuit_breaker_threshold to ${attempts + 2} or more`
          : "Set retry_attempts to 10 or less, and circuit_breaker_threshold to 12 or more"
      )
    )
  }
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
