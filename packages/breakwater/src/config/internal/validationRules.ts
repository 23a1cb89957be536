/**
 * The rules between the fields of a configuration. They look at each field that
 * has the right type, in range or not, so that one answer names everything.
 */
import { allowedBy, check, type Field, type Found, type Numbers, type Words } from "../../internal/strategyRules.ts"
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
  "circuitBreaker.halfOpenMaxCalls": "half_open_max_calls",
  "circuitBreaker.openDuration": "recovery_timeout",
  "circuitBreaker.tripPolicy": "circuit_breaker_minimum_calls",
  "bulkhead.maxConcurrent": "bulkhead_max_concurrent",
  "bulkhead.maxWait": "bulkhead_max_wait"
}

const nameOf = (field: Field): string => names[field] ?? field

const wordsOf = (inRange: (name: string, value: number) => number): Words => ({
  name: nameOf,
  time: String,
  fit: (field, value) => inRange(nameOf(field), value),
  minimumCalls: "circuit_breaker_minimum_calls",
  jittered: "true",
  or: (code) => (code === "many_retries" ? ", or use the preset production" : "")
})

const warningOf = ({ code, field, message, severity, suggestion }: Found): Finding.Finding =>
  Finding.make({ code, severity, path: nameOf(field), message, suggestion })

const maxAttempts = 10

/** What policies have that are put on without these numbers. */
const defaults = { window: 1, failureWindow: 60, minimumCalls: 10 } as const

/** The share goes over failures in a row. */
const tripsOf = (json: Json): Numbers["trips"] => {
  const threshold = whole(json, "circuit_breaker_threshold")
  if (number(json, "circuit_breaker_failure_rate") === undefined) {
    return threshold === undefined ? undefined : [{ _tag: "Consecutive", failures: threshold }]
  }
  return [
    {
      _tag: "TimeWindow",
      minimumCalls: whole(json, "circuit_breaker_minimum_calls") ?? defaults.minimumCalls,
      duration: number(json, "circuit_breaker_window_seconds") ?? defaults.failureWindow
    }
  ]
}

const allowedOf = (json: Json): Numbers["allowed"] =>
  (["quota", "admission"] as const).flatMap((slot) => {
    const limit = whole(json, `${slot}_limit`)
    const window = number(json, `${slot}_window`) ?? defaults.window
    const attempts = slot === "quota" ? 1 : whole(json, "retry_attempts")
    if (limit === undefined || limit < 1 || window <= 0 || attempts === undefined || attempts < 1) return []
    return [allowedBy(slot, { limit, window }, attempts)]
  })

/** Places of a bulkhead. */
const placesOf = (json: Json): Numbers["places"] => {
  const limit = whole(json, "bulkhead_max_concurrent")
  if (limit === undefined || limit < 1) return undefined
  return { limit, hasQueue: (number(json, "bulkhead_max_queue") ?? 0) > 0 }
}

/** What a configuration states, in seconds. */
const numbersOf = (json: Json): Numbers => {
  const wait = number(json, "bulkhead_max_wait")
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
    trips: tripsOf(json),
    probes: whole(json, "half_open_max_calls"),
    places: placesOf(json),
    allowed: allowedOf(json),
    waits:
      wait === undefined || wait <= 0 || number(json, "bulkhead_max_queue") === 0
        ? undefined
        : [["bulkhead.maxWait", wait]],
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

  const numbers = numbersOf(json)
  const isEven = numbers.trips?.some((trip) => trip._tag === "Consecutive" && trip.failures === attempts) === true
  const between = check(numbers, wordsOf(inRange)).map((found) =>
    // As many failures in a row as attempts are enough for one call, and often meant so.
    found.code === "retry_gt_threshold" && isEven ? { ...found, severity: "info" as const } : found
  )
  findings.push(...between.map(warningOf))

  return [...findings, ...ofPolicies(json), ...unknownOperations(json, options)]
}

/** Fields that refine a policy, by the field that puts it on. */
const refinements = [
  ["bulkhead_max_concurrent", "bulkhead", ["bulkhead_max_queue", "bulkhead_max_wait"]],
  ["admission_limit", "admission limit", ["admission_window"]],
  ["quota_limit", "quota", ["quota_window"]],
  ["retry_budget_ratio", "retry budget", ["retry_budget_min_per_second"]],
  ["circuit_breaker_failure_rate", "window", ["circuit_breaker_window_seconds", "circuit_breaker_minimum_calls"]]
] as const satisfies ReadonlyArray<readonly [CustomConfig.Name, string, ReadonlyArray<CustomConfig.Name>]>

/** What is stated and does nothing, or less than it says. */
const ofPolicies = (json: Json): ReadonlyArray<Finding.Finding> => {
  const findings: Array<Finding.Finding> = []
  for (const [main, policy, refining] of refinements) {
    if (number(json, main) !== undefined) continue
    for (const name of refining) {
      if (number(json, name) === undefined) continue
      findings.push(
        warning(
          "policy_not_put_on",
          name,
          `${name} is stated without ${main}: strategies that have no ${policy} of their own get none`,
          `Set ${main} too, or leave ${name} out`
        )
      )
    }
  }

  const queue = number(json, "bulkhead_max_queue")
  const wait = number(json, "bulkhead_max_wait")
  // Without a number of places, the strategy may have the other half.
  const isWhole = number(json, "bulkhead_max_concurrent") !== undefined
  if (queue !== undefined && queue > 0 && (wait === 0 || (wait === undefined && isWhole))) {
    findings.push(
      warning(
        "queue_without_wait",
        "bulkhead_max_queue",
        `bulkhead_max_queue is ${queue} and bulkhead_max_wait is ${wait ?? "not stated"}: nothing may wait, so there is no queue`,
        "Set bulkhead_max_wait, for example to 1"
      )
    )
  }
  if (wait !== undefined && wait > 0 && (queue === 0 || (queue === undefined && isWhole))) {
    findings.push(
      warning(
        "wait_without_queue",
        "bulkhead_max_wait",
        `bulkhead_max_wait is ${wait} and bulkhead_max_queue is ${queue ?? "not stated"}: there is no queue to wait in`,
        "Set bulkhead_max_queue, for example to 10"
      )
    )
  }

  for (const slot of ["admission", "quota"] as const) {
    const limit = number(json, `${slot}_limit`)
    const window = number(json, `${slot}_window`) ?? defaults.window
    const most = Math.floor(mostPerSecond * window)
    if (limit === undefined || most < 1 || limit <= most) continue
    findings.push(
      warning(
        "limit_above_pace",
        `${slot}_limit`,
        `${slot}_limit is ${limit} in ${window} seconds: more than ${mostPerSecond} a second cannot be told apart, so ${most} pass`,
        `Set ${slot}_limit to ${most} or less, or ${slot}_window to more`
      )
    )
  }

  if (number(json, "retry_budget_ratio") !== undefined && json["retry_attempts"] === 1) {
    findings.push(
      warning(
        "budget_without_retries",
        "retry_budget_ratio",
        "retry_attempts is 1: there are no retries that retry_budget_ratio could limit",
        "Leave retry_budget_ratio out, or set retry_attempts to 2 or more"
      )
    )
  }

  const threshold = number(json, "circuit_breaker_threshold")
  if (threshold !== undefined && number(json, "circuit_breaker_failure_rate") !== undefined) {
    findings.push(
      warning(
        "threshold_without_effect",
        "circuit_breaker_threshold",
        `circuit_breaker_threshold is ${threshold} and does nothing beside circuit_breaker_failure_rate, which takes its place`,
        "Leave one of the two out"
      )
    )
  }
  return findings
}

/** As a rate limit paces its units. */
const mostPerSecond = 1_000_000

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
