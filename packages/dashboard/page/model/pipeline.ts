/**
 * The policies of an operation in the order in which a call meets them, each
 * with its numbers in force and where they come from.
 */
import type { Configuration, Finding, Operation, Strategies } from "../api/types.ts"
import { isFinding } from "./configForm.ts"
import { duration, percent, words } from "./format.ts"

interface Number_ {
  readonly name: string
  readonly value: string
  readonly source: Source
}

/** Where a number comes from, in one of a few words and exactly. */
export interface Source {
  readonly kind: "preset" | "strategy" | "override" | "environment" | "code"
  readonly text: string
}

export interface Policy {
  readonly name: string
  readonly title: string
  readonly meaning: string
  readonly numbers: ReadonlyArray<Number_>
}

type Stage = readonly [name: string, title: string, meaning: string]

/** From the outside in. Policies that the API does not tell of are left out. */
const order: ReadonlyArray<Stage> = [
  ["coalesce", "Coalesce", "Calls that ask the same share one answer"],
  ["total_timeout", "Total timeout", "Ends the call with all its attempts"],
  ["admission", "Admission", "Admits so many calls in a time"],
  ["rate_limiter", "Rate limit", "Admits so many calls in a time"],
  ["retry", "Retry", "Tries again after a growing pause"],
  ["retry_budget", "Retry budget", "Grants retries as a share of the calls"],
  ["hedge", "Hedge", "Asks twice and takes the first answer"],
  ["circuit_breaker", "Circuit breaker", "Stops calling what keeps failing"],
  ["bulkhead", "Bulkhead", "Lets so many run side by side"],
  ["adaptive_limiter", "Adaptive limit", "Finds how many may run side by side"],
  ["quota", "Quota", "Makes so many attempts in a time"],
  ["attempt_timeout", "Attempt timeout", "Ends one attempt"]
]

/** The names that the configuration has for fields of the settings. */
const configurationNames: ReadonlyMap<string, string> = new Map([
  ["retry.max_attempts", "retry_attempts"],
  ["retry.base", "exponential_multiplier"],
  ["retry.min_delay", "exponential_min"],
  ["retry.max_delay", "exponential_max"],
  ["retry.jitter", "jitter_enabled"],
  ["retry.jitter_max", "jitter_max"],
  ["circuit_breaker.failure_threshold", "circuit_breaker_threshold"],
  ["circuit_breaker.recovery_timeout", "recovery_timeout"],
  ["circuit_breaker.half_open_max_calls", "half_open_max_calls"],
  ["timeout.attempt", "attempt_timeout"],
  ["timeout.total", "max_delay_seconds"]
])

const isTime =
  /(^|_)(attempt|total|base|delay|max_delay|min_delay|jitter_max|timeout|window|max_wait|max_pause|after|duration)$/

const shown = (name: string, value: unknown): string =>
  typeof value === "number" && (isTime.test(name) || name.endsWith("_seconds"))
    ? duration(value * 1000)
    : typeof value === "object" && value !== null
      ? Object.entries(value)
          .map(([key, each]) => `${words(key)} ${String(each)}`)
          .join(", ")
      : typeof value === "boolean"
        ? value
          ? "yes"
          : "no"
        : name === "ratio" && typeof value === "number"
          ? percent(value)
          : words(String(value))

export const sourceOf = (text: string): Source => {
  const kind = text.startsWith("preset")
    ? "preset"
    : text.startsWith("strategy")
      ? "strategy"
      : text === "runtime"
        ? "override"
        : text === "code"
          ? "code"
          : "environment"
  return { kind, text: kind === "override" ? "set by an operator" : text }
}

const byStrategy: Readonly<Record<Operation["source"], string>> = {
  operator: "set by an operator",
  code: "named in the code",
  overlay: "set in the custom configuration",
  preset: "chosen by the preset",
  overlay_default: "the default of the custom configuration",
  preset_default: "the default of the preset"
}

/** Who chose the strategy of an operation. */
export const strategySource = (operation: Pick<Operation, "source">): string =>
  byStrategy[operation.source] ?? operation.source

type Effective = Configuration["effective"]

const effectiveOf = (
  operation: Operation,
  strategies: Strategies | undefined,
  configuration: Configuration | undefined
): Effective | undefined => {
  const isDefault = operation.source === "preset_default" || operation.source === "overlay_default"
  return (isDefault ? configuration?.effective : undefined) ?? strategies?.strategies[operation.strategy]?.effective
}

export const pipelineOf = (
  operation: Operation,
  strategies: Strategies | undefined,
  configuration: Configuration | undefined,
  parts: Description["order"] = []
): ReadonlyArray<Policy> => {
  const effective = new Map(
    effectiveOf(operation, strategies, configuration)?.map(({ field, source }) => [field, source] as const)
  )
  const settings = operation.settings as Readonly<Record<string, Readonly<Record<string, unknown>> | null>>
  const numbersOf = (policy: string, only?: ReadonlyArray<string>): ReadonlyArray<Number_> | undefined => {
    const of = settings[policy]
    if (of === undefined || of === null) return undefined
    return Object.entries(of)
      .filter(([name, value]) => value !== null && (only === undefined || only.includes(name)))
      .map(([name, value]) => ({
        name: words(name),
        value: shown(name, value),
        source: sourceOf(
          effective.get(configurationNames.get(`${policy}.${name}`) ?? name) ?? `strategy ${operation.strategy}`
        )
      }))
  }
  const known: Readonly<Record<string, () => ReadonlyArray<Number_> | undefined>> = {
    total_timeout: () => numbersOf("timeout", ["total"]),
    attempt_timeout: () => numbersOf("timeout", ["attempt", "mode"])
  }
  const standard = order.flatMap(([name, title, meaning]): ReadonlyArray<Policy> => {
    const numbers = (known[name] ?? (() => numbersOf(name)))()
    return numbers === undefined ? [] : [{ name, title, meaning, numbers }]
  })
  if (parts.length === 0) return standard
  // Where the API tells the order, it is the API's. What it leaves out has its place in ours.
  const told = parts.map(({ numbers, policy }): Policy => {
    const found = standard.find(({ name }) => name === policy)
    const [, title = words(policy), meaning = numbers] = order.find(([name]) => name === policy) ?? []
    // The one number of a timeout stands below it anyhow.
    return {
      name: policy,
      title,
      meaning: policy.endsWith("_timeout") ? meaning : numbers,
      numbers: found?.numbers ?? []
    }
  })
  const rankOf = (policy: string): number => order.findIndex(([name]) => name === policy)
  for (const missing of standard) {
    if (told.some(({ name }) => name === missing.name)) continue
    const before = told.findLastIndex(({ name }) => rankOf(name) !== -1 && rankOf(name) < rankOf(missing.name))
    told.splice(before + 1, 0, missing)
  }
  return told
}

/** The source that all numbers of a policy have, if it is one. */
export const commonSource = ({ numbers }: Policy): Source | undefined =>
  numbers.every(({ source }) => source.text === numbers[0]!.source.text) ? numbers[0]?.source : undefined

/** What a strategy comes to. Empty where the API does not describe it. */
export interface Description {
  readonly order: ReadonlyArray<{ readonly policy: string; readonly numbers: string }>
  readonly worstCase: ReadonlyArray<{ readonly name: string; readonly value: string }>
  /** The reasons with which it can end a call by itself. */
  readonly reasons: ReadonlyArray<string>
  readonly findings: ReadonlyArray<Finding>
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const listOf = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])

const worst = "worst_case_"

const worstNames: ReadonlyMap<string, string> = new Map([
  ["latency_seconds", "longest call"],
  ["latency_with_retry_after_seconds", "with Retry-After"],
  ["calls", "attempts for one call"]
])

/** Reads the `description` of an operation's details, as far as the server tells it. */
export const descriptionOf = (details: object): Description => {
  const found = { ...details } as Readonly<Record<string, unknown>>
  const of = isRecord(found["description"]) ? found["description"] : {}
  return {
    order: listOf(of["order"]).flatMap((part) =>
      isRecord(part) && typeof part["policy"] === "string"
        ? [{ policy: part["policy"], numbers: typeof part["numbers"] === "string" ? part["numbers"] : "" }]
        : []
    ),
    worstCase: Object.entries(of).flatMap(([name, value]) => {
      if (!name.startsWith(worst) || (typeof value !== "number" && value !== null)) return []
      const isTime_ = name.endsWith("_seconds")
      return {
        name: worstNames.get(name.slice(worst.length)) ?? words(name.slice(worst.length).replace(/_seconds$/, "")),
        value: value === null ? "without end" : isTime_ ? duration(value * 1000) : String(value)
      }
    }),
    reasons: listOf(of["reasons"]).filter((reason) => typeof reason === "string"),
    findings: listOf(of["findings"]).filter(isFinding)
  }
}
