/**
 * The checks of whether resilience is wired as it is meant to be. Each says
 * what it saw in one sentence with its numbers.
 */
import * as Duration from "effect/Duration"
import type * as Environment from "../../config/Environment.ts"
import type * as Operation from "../../Operation.ts"
import type { Configuration } from "../../Preset.ts"
import { overflow, overrideOf, type Watch } from "./healthWatch.ts"

/** Durations in milliseconds. @internal */
interface Limits {
  readonly uncalledMillis: number
  readonly isolatedMillis: number
  /** For how long something that happened counts as happening. */
  readonly recentMillis: number
  readonly maxKeys: number
}

/** @internal */
export interface Input {
  /** In monotonic milliseconds. */
  readonly now: number
  readonly operations: ReadonlyArray<Operation.Snapshot>
  readonly watch: Watch
  readonly limits: Limits
  readonly configuration: Configuration & { readonly version: number }
  readonly detection: Environment.Detection | undefined
}

/** @internal */
export interface Check {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
  readonly fix: string | null
}

/** Share of the bound from which keys are too many. */
const nearShare = 0.9
/** Operations from which names that are used once look as if they were built for each call. */
const manyOperations = 100
const onceShare = 0.9
/** Confidence from which a detected environment counts, as when it chooses the preset. */
const minimumConfidence = 0.7
const maxNamed = 5

/** @internal */
export const run = (input: Input): ReadonlyArray<Check> => [
  enabled(input),
  called(input),
  shared(input),
  bounded(input),
  fitting(input),
  isolations(input)
]

const check = (name: string, detail: string, fix?: string): Check => ({
  name,
  ok: fix === undefined,
  detail,
  fix: fix ?? null
})

const inWords = (millis: number): string => Duration.format(Duration.seconds(Math.floor(millis / 1000)))

const named = (names: ReadonlyArray<string>): string =>
  names.length <= maxNamed
    ? names.join(", ")
    : `${names.slice(0, maxNamed).join(", ")} and ${names.length - maxNamed} more`

const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`

const enabled = ({ configuration: { circuitBreaker, isEnabled, retry } }: Input): Check => {
  const off = [
    ...(isEnabled ? [] : ["RESILIENCE_ENABLED"]),
    ...(circuitBreaker ? [] : ["CIRCUIT_BREAKER_ENABLED"]),
    ...(retry ? [] : ["RETRY_ENABLED"])
  ]
  const name = "resilience_enabled"
  if (off.length === 0) return check(name, "Nothing is switched off: 3 of 3 switches are on")
  return check(
    name,
    `${off.length} of 3 switches ${off.length === 1 ? "is" : "are"} off: ${named(off)}${isEnabled ? "" : ". Calls run unguarded and are not counted"}`,
    `Remove ${off.map((variable) => `${variable}=false`).join(", ")} and reload the configuration`
  )
}

const called = ({ configuration, limits, now, operations, watch }: Input): Check => {
  const name = "operations_called"
  if (!configuration.isEnabled) return check(name, "Not judged: calls are not counted while resilience is switched off")
  const age = (operation: string): number => now - (watch.operations.get(operation)?.since ?? now)
  const silent = operations
    .filter(({ counters, name }) => counters.calls === 0 && age(name) >= limits.uncalledMillis)
    .map(({ name }) => `${name} (known for ${inWords(age(name))})`)
  const limit = inWords(limits.uncalledMillis)
  if (silent.length === 0) {
    return check(name, `${counted(operations.length, "operation")}, each called, or known for less than ${limit}`)
  }
  return check(
    name,
    `${silent.length} of ${counted(operations.length, "operation")} were never called in ${limit} or more: ${named(silent)}`,
    "Guard the calls with withOperation or withResilience under exactly these names, or take the names off the list"
  )
}

const shared = ({ configuration, limits, now, operations, watch }: Input): Check => {
  const name = "pipelines_shared"
  const isRecent = (at: number | undefined): boolean => at !== undefined && now - at < limits.recentMillis
  const own = operations.filter((operation) => operation.name !== overflow)
  const once = own.filter(({ counters }) => counters.calls === 1).length
  // A strategy is prepared once for each change of the configuration; those of the presets have five names.
  const expected = 10 * (own.length + 5) * (configuration.version + 1)
  const symptoms: Array<string> = []
  const spilled = watch.operations.get(overflow)
  if (isRecent(spilled?.calledAt)) {
    symptoms.push(`${counted(spilled!.calls, "call")} ran on the record for names beyond the bound of operations`)
  }
  if (own.length >= manyOperations && once >= own.length * onceShare && isRecent(watch.newOperationAt)) {
    symptoms.push(`${once} of ${own.length} operations were called just once, and new ones keep coming`)
  }
  if (watch.prepared > expected && isRecent(watch.preparedAt)) {
    symptoms.push(
      `${watch.prepared} strategies were prepared for ${counted(own.length, "operation")}, ${expected} at most are plausible`
    )
  }
  if (symptoms.length === 0) {
    return check(name, `${counted(own.length, "operation")}, and no sign of one made for each call`)
  }
  return check(
    name,
    symptoms.join("; "),
    "Make strategies once, outside of the call, and give operations fixed names: what callers choose belongs in key"
  )
}

const bounded = ({ limits, now, operations, watch }: Input): Check => {
  const name = "keys_bounded"
  const isRecent = (at: number): boolean => now - at < limits.recentMillis
  const symptoms: Array<string> = []
  let most = 0
  for (const operation of operations) {
    const seen = watch.operations.get(operation.name)
    if (seen === undefined) continue
    most = Math.max(most, seen.keys)
    if (isRecent(seen.spilledAt)) {
      symptoms.push(
        `${counted(seen.spilled, "call")} of ${operation.name} shared the circuit for keys beyond the bound`
      )
    } else if (seen.keys >= limits.maxKeys * nearShare && isRecent(seen.newKeyAt)) {
      symptoms.push(`${operation.name} has ${seen.keys} keys of ${limits.maxKeys} at most, and new ones keep coming`)
    }
  }
  if (symptoms.length === 0) {
    return check(name, `${counted(most, "key")} at most in one operation, ${limits.maxKeys} are kept`)
  }
  return check(
    name,
    named(symptoms),
    "Use keys of which there are few, such as tenants or providers, never requests or users, or raise maxKeys"
  )
}

const fitting = ({ configuration: { preset }, detection }: Input): Check => {
  const name = "preset_fits_environment"
  if (detection === undefined || detection.environment === "unknown") {
    return check(name, `The environment is unknown, the preset ${preset.name} is in force`)
  }
  const { confidence, environment, recommendedPreset, winner } = detection
  const saw = `${environment} was detected with confidence ${confidence}`
  if (confidence < minimumConfidence) return check(name, `${saw}, less than the ${minimumConfidence} that counts`)
  const contexts: ReadonlyArray<string> = preset.environmentContexts
  if (recommendedPreset === preset.name || contexts.includes(environment)) {
    return check(name, `${saw}, and the preset ${preset.name} is meant for it`)
  }
  return check(
    name,
    `${saw}, but the preset in force, ${preset.name}, is meant for ${contexts.join(", ")}`,
    `Choose the preset ${recommendedPreset}, or correct what says ${environment}${winner._tag === "Some" ? `: ${winner.value.source}` : ""}`
  )
}

const isolations = ({ limits, now, operations, watch }: Input): Check => {
  const name = "isolations_short"
  let total = 0
  const long: Array<string> = []
  for (const { circuits } of operations) {
    for (const { name, overrides } of circuits) {
      total++
      for (const { actor = "unknown", mode, reason } of overrides) {
        const age = now - (watch.overridden.get(overrideOf(name, mode)) ?? now)
        if (age < limits.isolatedMillis) continue
        long.push(`${name} (${modeNames[mode]} for ${inWords(age)}, by ${actor}: ${JSON.stringify(reason)})`)
      }
    }
  }
  const limit = inWords(limits.isolatedMillis)
  const lain = `${counted(watch.overridden.size, "override lies", "overrides lie")} over ${counted(total, "circuit")}`
  if (long.length === 0) return check(name, `${lain}, none for ${limit}`)
  return check(
    name,
    `${lain}, ${long.length} of them for ${limit} or more: ${named(long)}`,
    "Release them if they are not needed any more, or lay them anew with a time after which they end by themselves"
  )
}

const modeNames = { isolated: "isolated", disabled: "disabled", metrics_only: "metrics only" } as const
