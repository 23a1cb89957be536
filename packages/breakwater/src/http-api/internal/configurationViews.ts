/**
 * What the admin API shows of the configuration. Pure.
 */
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Configuration from "../../config/Configuration.ts"
import * as CustomConfig from "../../config/CustomConfig.ts"
import * as Environment from "../../config/Environment.ts"
import * as Finding from "../../config/Finding.ts"
import * as Legacy from "../../config/Legacy.ts"
import type * as Resolution from "../../config/Resolution.ts"
import type * as Validation from "../../config/Validation.ts"
import type * as Operation from "../../Operation.ts"
import * as Preset from "../../Preset.ts"
import * as Strategy from "../../Strategy.ts"
import type * as Shapes from "../ConfigurationShapes.ts"
import type { EnvironmentValidation } from "../groups/ValidationGroup.ts"
import { description } from "./descriptionView.ts"
import * as limitViews from "./limitViews.ts"

/** The configuration in force, with the count of its changes. @internal */
export type Current = Resolution.Resolved & { readonly version: number }

// Values in force are those of JSON.
const json = (value: unknown): Schema.Json => (value ?? null) as Schema.Json

const configOf = (
  strategy: string,
  settings: Strategy.Settings,
  { toggles }: Resolution.Resolved
): Shapes.ResilienceConfig => {
  const { circuitBreaker, retry, timeout } = settings
  const { admission, bulkhead, quota, retryBudget } = limitViews.limits(settings)
  return {
    strategy,
    retryConfig: retry
      ? {
          maxAttempts: retry.maxAttempts,
          maxDelaySeconds: timeout ? timeout.total : null,
          exponentialMultiplier: retry.base,
          exponentialMin: retry.minDelay,
          exponentialMax: retry.maxDelay,
          jitter: retry.jitter !== "none",
          jitterMax: retry.jitterMax
        }
      : null,
    circuitBreakerConfig: circuitBreaker
      ? {
          failureThreshold: circuitBreaker.failureThreshold,
          recoveryTimeout: circuitBreaker.openDuration,
          halfOpenMaxCalls: circuitBreaker.halfOpenMaxCalls
        }
      : null,
    timeoutConfig: timeout ? { attemptTimeout: timeout.attempt, totalTimeout: timeout.total } : null,
    bulkheadConfig: bulkhead,
    admissionConfig: admission,
    quotaConfig: quota,
    retryBudgetConfig: retryBudget,
    enableCircuitBreaker: toggles.enabled && toggles.circuitBreaker && circuitBreaker !== false,
    enableRetry: toggles.enabled && toggles.retry && retry !== false
  }
}

const defaultConfig = (current: Resolution.Resolved): Shapes.ResilienceConfig => {
  const { name, settings } = Preset.strategyOf(current.preset.preset, current.overlay, undefined)
  return configOf(name, settings, current)
}

const namedSettings = ({ overlay, preset }: Resolution.Resolved, name: Strategy.BuiltIn): Strategy.Settings =>
  Preset.strategyOf(preset.preset, overlay, name).settings

const effectiveOf = ({ effective }: Resolution.Resolved): ReadonlyArray<Shapes.Effective> =>
  effective.map(({ field, source, value }) => ({ field, value: json(value), source }))

// Sources of numbers: operators, the variables of `Resolution`, or a preset.
const isCustom = ({ source, value }: Resolution.Effective): boolean =>
  value !== undefined && !source.startsWith("preset ")

const fieldsByName: ReadonlyMap<string, keyof Preset.Overlay> = new Map(
  Object.entries(CustomConfig.names).map(([field, name]) => [name, field as keyof Preset.Overlay])
)

/** What goes over the preset, from whatever source. */
const customOverrides = ({ effective, overlay }: Resolution.Resolved): Option.Option<Preset.Overlay> => {
  const stated = effective.filter(isCustom).flatMap(({ field }) => {
    const name = fieldsByName.get(field)
    return name === undefined || overlay[name] === undefined ? [] : [[name, overlay[name]] as const]
  })
  return stated.length === 0 ? Option.none() : Option.some(new Preset.Overlay(Object.fromEntries(stated)))
}

const legacySources: ReadonlySet<string> = new Set([...Legacy.variables, "legacy"])

const isLegacy = ({ effective }: Resolution.Resolved): boolean =>
  effective.some(({ source }) => legacySources.has(source))

/** @internal */
export const current = (
  configuration: Current,
  operations: ReadonlyArray<Operation.Snapshot>
): Shapes.CurrentConfiguration => ({
  presetName: configuration.preset.key,
  presetSource: configuration.presetSource,
  isLegacyConfig: isLegacy(configuration),
  configuration: defaultConfig(configuration),
  operationStrategies: Object.fromEntries(operations.map(({ name, strategy }) => [name, strategy])),
  operationSources: Object.fromEntries(operations.map(({ name, source }) => [name, source])),
  customOverrides: customOverrides(configuration),
  strategies: Object.fromEntries(
    Strategy.BuiltIn.literals.map((name) => [name, configOf(name, namedSettings(configuration, name), configuration)])
  ),
  effective: effectiveOf(configuration),
  toggles: configuration.toggles,
  warnings: configuration.warnings,
  version: configuration.version
})

const state = (configuration: Current): Shapes.ConfigurationState => ({
  presetName: configuration.preset.key,
  presetSource: configuration.presetSource,
  configuration: defaultConfig(configuration),
  customOverrides: customOverrides(configuration),
  operationOverrides: Object.fromEntries(configuration.strategies),
  version: configuration.version
})

/** The state in a few words, for the audit log. @internal */
export const inWords = (configuration: Current): string => {
  const count = configuration.effective.filter(isCustom).length + configuration.strategies.size
  return count === 0
    ? configuration.preset.key
    : `${configuration.preset.key} with ${count} ${count === 1 ? "override" : "overrides"}`
}

const differences = (diff: ReadonlyArray<Resolution.Difference>): Shapes.ConfigurationChanged["diff"] =>
  diff.map(({ field, from, to }) => ({ field, from: json(from), to: json(to) }))

/** @internal */
export const changed = (
  before: Current,
  after: Current,
  change: Configuration.Change,
  { dryRun, warnings = [] }: { readonly dryRun: boolean; readonly warnings?: ReadonlyArray<string> }
): Shapes.ConfigurationChanged => ({
  applied: !dryRun,
  previous: state(before),
  current: state(after),
  diff: differences(change.diff),
  warnings: [...warnings, ...change.warnings],
  generation: change.version,
  version: change.version,
  appliedAt: dryRun ? Option.none() : Option.some(change.at)
})

/** @internal */
export const historyEntry = ({
  actor,
  at,
  diff,
  kind,
  reason,
  version,
  warnings
}: Configuration.Change): Shapes.HistoryEntry => {
  const shown = differences(diff)
  return {
    id: version,
    at,
    actor,
    source: kind,
    reason: Option.fromUndefinedOr(reason),
    old: Object.fromEntries(shown.map(({ field, from }) => [field, from])),
    new: Object.fromEntries(shown.map(({ field, to }) => [field, to])),
    diff: shown,
    warnings
  }
}

/** @internal */
export const document = (configuration: Current, exportedAt: DateTime.Utc): Shapes.ConfigurationDocument => ({
  format: "breakwater-configuration",
  formatVersion: 1,
  exportedAt,
  version: configuration.version,
  preset: configuration.preset.key,
  customConfig: customOverrides(configuration),
  operationOverrides: Object.fromEntries(configuration.strategies)
})

const inSeconds = (duration: Duration.Duration): number => Duration.toSeconds(duration)

/** The numbers of a strategy by the fields of a custom configuration. */
const numbersOf = ({
  circuitBreaker,
  retry,
  timeout
}: Strategy.Settings): ReadonlyArray<readonly [keyof Preset.Overlay, Schema.Json]> => [
  ...(retry
    ? ([
        ["retryAttempts", retry.maxAttempts],
        ["exponentialMultiplier", inSeconds(retry.base)],
        ["exponentialMin", inSeconds(retry.minDelay)],
        ["exponentialMax", inSeconds(retry.maxDelay)],
        ["jitterEnabled", retry.jitter !== "none"],
        ["jitterMax", inSeconds(retry.jitterMax)]
      ] as const)
    : []),
  ...(circuitBreaker
    ? ([
        ["circuitBreakerThreshold", circuitBreaker.failureThreshold],
        ["recoveryTimeout", inSeconds(circuitBreaker.openDuration)],
        ["halfOpenMaxCalls", circuitBreaker.halfOpenMaxCalls]
      ] as const)
    : []),
  ...(timeout
    ? ([
        ["maxDelay", inSeconds(timeout.total)],
        ["attemptTimeout", inSeconds(timeout.attempt)]
      ] as const)
    : [])
]

const defaultStrategyOf = ({ overlay, preset }: Resolution.Resolved): Strategy.BuiltIn =>
  overlay.defaultStrategy ?? preset.preset.defaultStrategy

const strategyDetails = (
  name: string,
  settings: Strategy.Settings,
  configuration: Resolution.Resolved,
  operations: ReadonlyArray<Operation.Snapshot>
): Shapes.StrategyDetails => {
  const sources = new Map<string, string>(configuration.effective.map(({ field, source }) => [field, source]))
  return {
    name,
    builtIn: isBuiltIn(name),
    isDefault: name === defaultStrategyOf(configuration),
    configuration: configOf(name, settings, configuration),
    effective: numbersOf(settings).map(([field, value]) => ({
      field: CustomConfig.names[field],
      value,
      source:
        configuration.overlay[field] === undefined
          ? `strategy ${name}`
          : (sources.get(CustomConfig.names[field]) ?? `strategy ${name}`)
    })),
    operations: operations.filter(({ strategy }) => strategy === name).map((operation) => operation.name)
  }
}

const isBuiltIn = Schema.is(Strategy.BuiltIn)

/** The numbers of every strategy by name: of the built-in ones, then of those that running operations brought along. */
const settingsOf = (
  configuration: Resolution.Resolved,
  operations: ReadonlyArray<Operation.Snapshot>
): ReadonlyMap<string, Strategy.Settings> => {
  const settings = new Map<string, Strategy.Settings>(
    Strategy.BuiltIn.literals.map((name) => [name, namedSettings(configuration, name)])
  )
  for (const { settings: own, strategy } of operations) if (!settings.has(strategy)) settings.set(strategy, own)
  return settings
}

/** One strategy, with what it does; or the names that there are. @internal */
export const strategy = (
  configuration: Current,
  operations: ReadonlyArray<Operation.Snapshot>,
  name: string
): Shapes.StrategyDescribed | { readonly known: ReadonlyArray<string> } => {
  const settings = settingsOf(configuration, operations)
  const own = settings.get(name)
  return own === undefined
    ? { known: [...settings.keys()] }
    : { ...strategyDetails(name, own, configuration, operations), description: description(name, own) }
}

/** @internal */
export const strategies = (
  configuration: Current,
  operations: ReadonlyArray<Operation.Snapshot>
): Shapes.StrategyList => {
  const all = settingsOf(configuration, operations)
  return {
    strategies: Object.fromEntries(
      Array.from(all, ([name, own]) => [name, strategyDetails(name, own, configuration, operations)])
    ),
    defaultStrategy: defaultStrategyOf(configuration),
    default: { configuration: defaultConfig(configuration), effective: effectiveOf(configuration) },
    totalCount: all.size,
    version: configuration.version
  }
}

/** A validation without the value that it made. @internal */
export const verdict = ({
  errors,
  findings,
  isValid,
  securityInfo,
  suggestions,
  warnings
}: Validation.Response): Validation.Response => ({ isValid, findings, errors, warnings, suggestions, securityInfo })

/** @internal */
export const environmentReport = (
  detection: Environment.Detection,
  { preset }: Resolution.Resolved
): Environment.Report => Environment.report(detection, preset.key)

const ignoredOf = ({ legacy }: Resolution.Inputs, resolved: Resolution.Resolved): EnvironmentValidation["ignored"] => {
  const used = new Map<string, string>(resolved.effective.map(({ field, source }) => [field, source]))
  return Array.from(legacy.present.keys()).flatMap((variable) => {
    if (resolved.presetSource === "RESILIENCE_PRESET") return [{ variable, reason: "RESILIENCE_PRESET is set" }]
    const stronger = used.get(Legacy.replacementOf(variable) ?? "")
    return stronger === undefined || stronger === variable ? [] : [{ variable, reason: `${stronger} is stronger` }]
  })
}

/** What the variables came to, or why nothing can run with them. @internal */
export const environmentValidation = (
  inputs: Resolution.Inputs,
  outcome: Resolution.Resolved | Resolution.InvalidConfiguration
): EnvironmentValidation => {
  const resolved = "problems" in outcome ? undefined : outcome
  const problems = "problems" in outcome ? outcome.problems : []
  const findings = Finding.collect([
    ...problems.map(({ allowed, fix, value, variable }) =>
      Finding.make({
        code: "invalid_variable",
        severity: "error",
        path: variable,
        message: `${variable}=${value}: expected ${allowed}`,
        suggestion: fix
      })
    ),
    ...inputs.legacy.warnings.map(({ message, variable }) =>
      Finding.make({ code: "deprecated_variable", severity: "warning", path: variable, message })
    ),
    ...(resolved?.warnings ?? [])
      .filter((message) => message.startsWith("RESILIENCE_CUSTOM_CONFIG: "))
      .map((message, index) =>
        Finding.make({
          code: "custom_config",
          severity: "warning",
          path: `RESILIENCE_CUSTOM_CONFIG.${index}`,
          message
        })
      )
  ])
  return {
    isValid: resolved !== undefined,
    findings,
    ...Finding.toLists(findings),
    securityInfo: null,
    problems,
    ignored: resolved === undefined ? [] : ignoredOf(inputs, resolved),
    deprecated: inputs.legacy.warnings,
    presetName: resolved?.preset.key ?? null,
    presetSource: resolved?.presetSource ?? null,
    effective: resolved === undefined ? [] : effectiveOf(resolved)
  }
}
