/**
 * Says which strategy each operation gets, and the base numbers of those that
 * get the default one.
 *
 * **Details**
 *
 * | preset | attempts | opens after | open for | default strategy |
 * | --- | --- | --- | --- | --- |
 * | `simple` | 3 | 5 failures | 60 s | `balanced` |
 * | `development` | 2 | 3 | 30 s | `aggressive` |
 * | `production` | 5 | 10 | 120 s | `conservative` |
 *
 * The rule of numbers: an operation under the preset's default strategy gets
 * the preset's numbers; an operation with a strategy of its own gets that
 * strategy's numbers; fields of an overlay go over both.
 *
 * Fields of an overlay about bulkheads, rate limits, retry budgets and windows
 * of circuits make policies. Whoever makes them is handed in, so that a program
 * without such fields bundles none: `Configuration` does, and with
 * `Resilience.layer` it is the option `makers`.
 *
 * | field | without the policy |
 * | --- | --- |
 * | `bulkheadMaxConcurrent`, `admissionLimit`, `quotaLimit`, `retryBudgetRatio`, `circuitBreakerFailureRate` | puts one on |
 * | the others about them | waits for a strategy that has one |
 *
 * **Gotchas**
 *
 * A policy that an overlay puts on rejects with reasons of its own, which the
 * types of a strategy from code do not list.
 *
 * **Example** (What an operation gets)
 *
 * ```ts import.meta.vitest
 * import { Preset } from "breakwater"
 *
 * Preset.resolve(Preset.production, {}, "answer_question").strategy.name // => "critical"
 * Preset.resolve(Preset.production, {}, "translate").strategy.name // => "conservative"
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import type * as CircuitBreaker from "./CircuitBreaker.ts"
import type * as Retry from "./Retry.ts"
import * as Settings_ from "./Settings.ts"
import * as Strategy from "./Strategy.ts"

/**
 * The form of an operation's name in a preset: lower case letters, digits and
 * underscores, a letter first, at most 64.
 *
 * @category schemas
 * @since 0.1.0
 */
export const OperationName = Schema.String.check(Schema.isPattern(/^[a-z][a-z0-9_]{0,63}$/u))

const OperationOverrides = /*#__PURE__*/ Schema.Record(OperationName, Strategy.BuiltIn)

/**
 * Where a preset is meant to run.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Environment = /*#__PURE__*/ Schema.Literals(["development", "testing", "staging", "production"])

/**
 * @category schemas
 * @since 0.1.0
 */
export class Preset extends Schema.Class<Preset>("breakwater/Preset")({
  /** 1 to 50 characters. */
  name: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(50)),
  /** 1 to 200 characters. */
  description: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200)),
  /** Attempts in all, 1 to 10. */
  retryAttempts: Settings_.count({ minimum: 1, maximum: 10 }),
  /** Failures in a row that open a circuit, 1 to 20. */
  circuitBreakerThreshold: Settings_.count({ minimum: 1, maximum: 20 }),
  /** Time a circuit stays open, 10 to 300 seconds. */
  recoveryTimeout: Settings_.duration({ minimum: "10 seconds", maximum: "300 seconds" }),
  /** The strategy of every operation that has none of its own. */
  defaultStrategy: Strategy.BuiltIn,
  /** Strategies of single operations. */
  operationOverrides: OperationOverrides,
  environmentContexts: Schema.NonEmptyArray(Environment)
}) {
  /**
   * Chooses by this preset. Throws `InvalidSettings` for an overlay that needs
   * `makers` and has none.
   */
  chooser(over: OverlayInput | Overlay = {}, makers?: Makers): Configured {
    return new Configured({ ...plain, preset: this, overlay: overlay(over), makers })
  }
}

/**
 * What decides the numbers of every operation.
 *
 * @category models
 * @since 0.1.0
 */
export interface Configuration {
  readonly preset: Preset
  /** Fields that go over the numbers of every strategy. */
  readonly overlay: Overlay
  /** Who makes the policies that the overlay speaks of. It has to speak of none without. */
  readonly makers?: Makers | undefined
  /** Strategies that an operator has set, by operation. They go over what the code names. */
  readonly strategies: ReadonlyMap<string, Strategy.BuiltIn>
  /** `false`: effects run as if they were not guarded. */
  readonly isEnabled: boolean
  /** `false`: as if every strategy left the policy out. */
  readonly retry: boolean
  readonly circuitBreaker: boolean
}

const plain = { strategies: new Map(), isEnabled: true, retry: true, circuitBreaker: true }

/**
 * Chooses by a configuration. Throws `InvalidSettings` for an overlay that
 * needs `makers` and has none.
 *
 * @category models
 * @since 0.1.0
 */
export class Configured implements Strategy.Chooser {
  readonly configuration: Configuration
  readonly isEnabled: boolean
  readonly nameOf = canonicalName

  constructor(configuration: Configuration) {
    checkMakers(configuration.overlay, configuration.makers)
    this.configuration = configuration
    this.isEnabled = configuration.isEnabled
  }

  choose(operation: string, own: Strategy.Own): { readonly chosen: Strategy.Own; readonly source: Source } {
    const { overlay, preset, strategies } = this.configuration
    const set = strategies.get(operation)
    return set === undefined ? choose(preset, overlay, operation, own) : { chosen: set, source: "operator" }
  }

  strategyOf(chosen: Strategy.Own): Strategy.Strategy {
    const { circuitBreaker, makers, overlay, preset, retry } = this.configuration
    const strategy = strategyOf(preset, overlay, chosen, makers)
    if (circuitBreaker && retry) return strategy
    const { settings } = strategy
    return {
      ...strategy,
      settings: {
        ...settings,
        circuitBreaker: circuitBreaker && settings.circuitBreaker,
        retry: retry && settings.retry,
        retryBudget: retry && settings.retryBudget
      }
    }
  }
}

const limit = /*#__PURE__*/ Settings_.count({ minimum: 1, maximum: 1_000_000 })
const window = /*#__PURE__*/ Settings_.duration({ minimum: "100 millis", maximum: "1 day" })

/**
 * Fields that go over the numbers of whatever strategy is in force.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Overlay extends Schema.Class<Overlay>("breakwater/Preset/Overlay")({
  /** 1 to 10. */
  retryAttempts: Schema.optionalKey(Settings_.count({ minimum: 1, maximum: 10 })),
  /** 1 to 20. */
  circuitBreakerThreshold: Schema.optionalKey(Settings_.count({ minimum: 1, maximum: 20 })),
  /** 10 to 300 seconds. */
  recoveryTimeout: Schema.optionalKey(Settings_.duration({ minimum: "10 seconds", maximum: "300 seconds" })),
  defaultStrategy: Schema.optionalKey(Strategy.BuiltIn),
  operationOverrides: Schema.optionalKey(OperationOverrides),
  /** First pause, 0.1 to 5 seconds. */
  exponentialMultiplier: Schema.optionalKey(Settings_.duration({ minimum: "100 millis", maximum: "5 seconds" })),
  /** Shortest pause, 0.5 to 10 seconds. */
  exponentialMin: Schema.optionalKey(Settings_.duration({ minimum: "500 millis", maximum: "10 seconds" })),
  /** Longest pause, 5 to 120 seconds. */
  exponentialMax: Schema.optionalKey(Settings_.duration({ minimum: "5 seconds", maximum: "120 seconds" })),
  jitterEnabled: Schema.optionalKey(Schema.Boolean),
  /** 0.1 to 10 seconds. */
  jitterMax: Schema.optionalKey(Settings_.duration({ minimum: "100 millis", maximum: "10 seconds" })),
  /** Total timeout, 5 to 600 seconds. */
  maxDelay: Schema.optionalKey(Settings_.duration({ minimum: "5 seconds", maximum: "600 seconds" })),
  /** 1 to 10. */
  halfOpenMaxCalls: Schema.optionalKey(Settings_.count({ minimum: 1, maximum: 10 })),
  /** 0.1 to 600 seconds. */
  attemptTimeout: Schema.optionalKey(Settings_.duration({ minimum: "100 millis", maximum: "600 seconds" })),
  /** Attempts that run at once, 1 to 10,000. Puts a bulkhead on strategies without one. */
  bulkheadMaxConcurrent: Schema.optionalKey(Settings_.count({ minimum: 1, maximum: 10_000 })),
  /** Attempts that wait for a place, 0 to 10,000. Without a longest wait, none. */
  bulkheadMaxQueue: Schema.optionalKey(Settings_.count({ minimum: 0, maximum: 10_000 })),
  /** Longest wait for a place, 0 to 60 seconds. Without a queue, none. */
  bulkheadMaxWait: Schema.optionalKey(Settings_.duration({ minimum: 0, maximum: "60 seconds" })),
  /** Calls in a window, 1 to 1,000,000. Puts a rate limit before the calls of strategies without one. */
  admissionLimit: Schema.optionalKey(limit),
  /** 0.1 to 86,400 seconds. */
  admissionWindow: Schema.optionalKey(window),
  /** Attempts in a window, 1 to 1,000,000. Puts a rate limit before the attempts of strategies without one. */
  quotaLimit: Schema.optionalKey(limit),
  /** 0.1 to 86,400 seconds. */
  quotaWindow: Schema.optionalKey(window),
  /** Retries for each call, 0.01 to 1. Puts a retry budget on strategies that retry without one. */
  retryBudgetRatio: Schema.optionalKey(Settings_.number({ minimum: 0.01, maximum: 1 })),
  /** Retries a second that are granted in any case, 0 to 100. */
  retryBudgetMinPerSecond: Schema.optionalKey(Settings_.number({ minimum: 0, maximum: 100 })),
  /** Share of failures in a time that opens a circuit, 0.01 to 1. Goes over failures in a row. */
  circuitBreakerFailureRate: Schema.optionalKey(Settings_.number({ minimum: 0.01, maximum: 1 })),
  /** The time that the share is of, 1 to 3,600 seconds. */
  circuitBreakerWindow: Schema.optionalKey(Settings_.duration({ minimum: "1 second", maximum: "1 hour" })),
  /** Calls there must be in it before a circuit opens, 1 to 10,000. */
  circuitBreakerMinimumCalls: Schema.optionalKey(Settings_.count({ minimum: 1, maximum: 10_000 }))
}) {}

/**
 * An overlay as code writes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface OverlayInput {
  readonly retryAttempts?: number | undefined
  readonly circuitBreakerThreshold?: number | undefined
  readonly recoveryTimeout?: Duration.Input | undefined
  readonly defaultStrategy?: Strategy.BuiltIn | undefined
  readonly operationOverrides?: Readonly<Record<string, Strategy.BuiltIn>> | undefined
  readonly exponentialMultiplier?: Duration.Input | undefined
  readonly exponentialMin?: Duration.Input | undefined
  readonly exponentialMax?: Duration.Input | undefined
  readonly jitterEnabled?: boolean | undefined
  readonly jitterMax?: Duration.Input | undefined
  readonly maxDelay?: Duration.Input | undefined
  readonly halfOpenMaxCalls?: number | undefined
  readonly attemptTimeout?: Duration.Input | undefined
  readonly bulkheadMaxConcurrent?: number | undefined
  readonly bulkheadMaxQueue?: number | undefined
  readonly bulkheadMaxWait?: Duration.Input | undefined
  readonly admissionLimit?: number | undefined
  readonly admissionWindow?: Duration.Input | undefined
  readonly quotaLimit?: number | undefined
  readonly quotaWindow?: Duration.Input | undefined
  readonly retryBudgetRatio?: number | undefined
  readonly retryBudgetMinPerSecond?: number | undefined
  readonly circuitBreakerFailureRate?: number | undefined
  readonly circuitBreakerWindow?: Duration.Input | undefined
  readonly circuitBreakerMinimumCalls?: number | undefined
}

/**
 * Checks an overlay. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const overlay = (input: OverlayInput | Overlay): Overlay =>
  input instanceof Overlay
    ? input
    : Settings_.make(Overlay, {
        settings: "Preset.Overlay",
        input,
        durations: [
          "recoveryTimeout",
          "exponentialMultiplier",
          "exponentialMin",
          "exponentialMax",
          "jitterMax",
          "maxDelay",
          "attemptTimeout",
          "bulkheadMaxWait",
          "admissionWindow",
          "quotaWindow",
          "circuitBreakerWindow"
        ]
      })

/**
 * Makes the policies that an overlay speaks of. `from` are the settings of the
 * strategy that it goes over.
 *
 * @category models
 * @since 0.1.0
 */
export interface Makers {
  /** Settings that are equal have to be the same object: others retune what runs. */
  readonly started: (
    from: Strategy.Settings,
    over: Overlay
  ) => Pick<Strategy.Overrides, "admission" | "bulkhead" | "quota" | "retryBudget">
  /** `undefined`: the strategy's own stays. */
  readonly tripPolicy: (from: CircuitBreaker.Settings, over: Overlay) => CircuitBreaker.TripPolicy | undefined
}

const madeFields = [
  "bulkheadMaxConcurrent",
  "bulkheadMaxQueue",
  "bulkheadMaxWait",
  "admissionLimit",
  "admissionWindow",
  "quotaLimit",
  "quotaWindow",
  "retryBudgetRatio",
  "retryBudgetMinPerSecond",
  "circuitBreakerFailureRate",
  "circuitBreakerWindow",
  "circuitBreakerMinimumCalls"
] as const satisfies ReadonlyArray<keyof Overlay>

/**
 * Throws `InvalidSettings` for the fields of an overlay that nobody makes
 * policies of.
 *
 * @category guards
 * @since 0.1.0
 */
export const checkMakers = (over: Overlay, makers: Makers | undefined): void => {
  if (makers !== undefined) return
  const rule = "expected makers for the policy; pass { makers: Policies.makers } or use Configuration.layer"
  const findings = madeFields.flatMap((path) => (over[path] === undefined ? [] : [{ path, value: over[path], rule }]))
  if (findings.length > 0) throw new Settings_.InvalidSettings({ settings: "Preset.Overlay", findings })
}

/**
 * A preset as code writes it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Input {
  readonly description: string
  readonly retryAttempts: number
  readonly circuitBreakerThreshold: number
  readonly recoveryTimeout: Duration.Input
  readonly defaultStrategy: Strategy.BuiltIn
  readonly operationOverrides?: Readonly<Record<string, Strategy.BuiltIn>> | undefined
  readonly environmentContexts: readonly [typeof Environment.Type, ...ReadonlyArray<typeof Environment.Type>]
}

/**
 * Makes a preset. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (name: string, input: Input): Preset =>
  Settings_.make(Preset, {
    settings: "Preset",
    input: { operationOverrides: {}, ...input, name },
    durations: ["recoveryTimeout"]
  })

/**
 * Balanced numbers that fit most uses.
 *
 * @category presets
 * @since 0.1.0
 */
export const simple: Preset = /*#__PURE__*/ make("simple", {
  description: "Balanced numbers that fit most uses",
  retryAttempts: 3,
  circuitBreakerThreshold: 5,
  recoveryTimeout: "60 seconds",
  defaultStrategy: "balanced",
  environmentContexts: ["development", "testing", "staging", "production"]
})

/**
 * Fails fast, so that a developer sees what is wrong.
 *
 * @category presets
 * @since 0.1.0
 */
export const development: Preset = /*#__PURE__*/ make("development", {
  description: "Fails fast, so that a developer sees what is wrong",
  retryAttempts: 2,
  circuitBreakerThreshold: 3,
  recoveryTimeout: "30 seconds",
  defaultStrategy: "aggressive",
  operationOverrides: { sentiment: "aggressive", qa: "balanced" },
  environmentContexts: ["development", "testing"]
})

/**
 * Patient and reliable under production load.
 *
 * @category presets
 * @since 0.1.0
 */
export const production: Preset = /*#__PURE__*/ make("production", {
  description: "Patient and reliable under production load",
  retryAttempts: 5,
  circuitBreakerThreshold: 10,
  recoveryTimeout: "120 seconds",
  defaultStrategy: "conservative",
  operationOverrides: {
    qa: "critical",
    sentiment: "aggressive",
    summarize: "conservative",
    key_points: "balanced",
    questions: "balanced"
  },
  environmentContexts: ["production", "staging"]
})

/**
 * The built-in presets by name.
 *
 * @category presets
 * @since 0.1.0
 */
export const builtIn = { simple, development, production } as const

/**
 * Short names of the text service's operations, and the names under which they
 * run.
 *
 * @category presets
 * @since 0.1.0
 */
export const aliases: ReadonlyMap<string, string> = new Map([
  ["summarize", "summarize_text"],
  ["sentiment", "analyze_sentiment"],
  ["key_points", "extract_key_points"],
  ["questions", "generate_questions"],
  ["qa", "answer_question"]
])

/**
 * The name under which an operation runs.
 *
 * @category accessors
 * @since 0.1.0
 */
export const canonicalName = (operation: string): string => aliases.get(operation) ?? operation

/**
 * @category models
 * @since 0.1.0
 */
export type Source = Strategy.Source

/**
 * @category models
 * @since 0.1.0
 */
export type Resolved = Strategy.Resolved

/**
 * The strategy and the numbers that an operation gets. `own` is the strategy
 * that its code names. Throws `InvalidSettings` for an overlay that needs
 * `makers` and has none.
 *
 * @category accessors
 * @since 0.1.0
 */
export const resolve = (
  preset: Preset,
  input: OverlayInput | Overlay,
  operation: string,
  own?: Strategy.BuiltIn | Strategy.Strategy,
  makers?: Makers
): Resolved => {
  const over = overlay(input)
  const { chosen, source } = choose(preset, over, operation, own)
  return { strategy: strategyOf(preset, over, chosen, makers), source }
}

/**
 * Chooses the strategy of an operation. `chosen` is `undefined` for the default
 * one.
 *
 * @category accessors
 * @since 0.1.0
 */
export const choose = (
  preset: Preset,
  over: Overlay,
  operation: string,
  own?: Strategy.BuiltIn | Strategy.Strategy
): { readonly chosen: Strategy.Own; readonly source: Source } => {
  if (own !== undefined) return { chosen: own, source: "code" }
  const fromOverlay = overrideOf(over.operationOverrides, operation)
  if (fromOverlay !== undefined) return { chosen: fromOverlay, source: "overlay" }
  const fromPreset = overrideOf(preset.operationOverrides, operation)
  if (fromPreset !== undefined) return { chosen: fromPreset, source: "preset" }
  return { chosen: undefined, source: over.defaultStrategy === undefined ? "preset_default" : "overlay_default" }
}

/**
 * A chosen strategy with the numbers in force. Throws `InvalidSettings` for an
 * overlay that needs `makers` and has none.
 *
 * @category accessors
 * @since 0.1.0
 */
export const strategyOf = (
  preset: Preset,
  over: Overlay,
  chosen: Strategy.BuiltIn | Strategy.Strategy | undefined,
  makers?: Makers
): Strategy.Strategy => {
  const strategy =
    chosen === undefined
      ? base(preset, over.defaultStrategy ?? preset.defaultStrategy)
      : typeof chosen === "string"
        ? Strategy.builtIn[chosen]
        : chosen
  return Object.keys(over).length === 0 ? strategy : overlaid(strategy, over, makers)
}

/** Both vocabularies name the same operation. */
const overrideOf = (
  overrides: Readonly<Record<string, Strategy.BuiltIn>> | undefined,
  operation: string
): Strategy.BuiltIn | undefined => {
  if (overrides === undefined) return undefined
  const name = canonicalName(operation)
  for (const [key, strategy] of Object.entries(overrides)) if (canonicalName(key) === name) return strategy
  return undefined
}

/** The numbers of a preset for the operations under its default strategy. */
const base = (preset: Preset, name: Strategy.BuiltIn): Strategy.Strategy => {
  const [multiplier, min, max] = name === "aggressive" ? [0.5, 1, 5] : name === "balanced" ? [1, 2, 10] : [1.5, 2, 30]
  return Strategy.make(name, {
    extends: name,
    retry: {
      maxAttempts: preset.retryAttempts,
      base: Duration.seconds(multiplier),
      minDelay: Duration.seconds(min),
      maxDelay: Duration.seconds(max),
      jitterMax: Duration.seconds(2)
    },
    circuitBreaker: {
      failureThreshold: preset.circuitBreakerThreshold,
      openDuration: preset.recoveryTimeout,
      halfOpenMaxCalls: 1
    },
    timeout: { total: Duration.seconds(Math.min(preset.retryAttempts * 20, 120)) }
  })
}

/** A policy that the strategy leaves out stays out. */
const overlaid = (strategy: Strategy.Strategy, over: Overlay, makers: Makers | undefined): Strategy.Strategy => {
  checkMakers(over, makers)
  const { circuitBreaker, retry, timeout } = strategy.settings
  return Strategy.make(strategy.name, {
    extends: strategy,
    retry:
      retry &&
      stated({
        maxAttempts: over.retryAttempts,
        base: over.exponentialMultiplier,
        minDelay: over.exponentialMin,
        maxDelay: over.exponentialMax,
        jitter: jitterOf(over.jitterEnabled, retry.jitter),
        jitterMax: over.jitterMax
      }),
    circuitBreaker:
      circuitBreaker &&
      stated({
        failureThreshold: over.circuitBreakerThreshold,
        openDuration: over.recoveryTimeout,
        halfOpenMaxCalls: over.halfOpenMaxCalls,
        // No more successes can be asked for than there are probes.
        successThreshold:
          over.halfOpenMaxCalls === undefined || circuitBreaker.successThreshold === undefined
            ? undefined
            : Math.min(circuitBreaker.successThreshold, over.halfOpenMaxCalls),
        tripPolicy: makers?.tripPolicy(circuitBreaker, over)
      }),
    timeout: timeout && stated({ attempt: over.attemptTimeout, total: over.maxDelay }),
    ...makers?.started(strategy.settings, over)
  })
}

/** Switching jitter on keeps the kind that is there. */
const jitterOf = (enabled: boolean | undefined, jitter: Retry.Jitter): Retry.Jitter | undefined =>
  enabled === undefined ? undefined : !enabled ? "none" : jitter === "none" ? "additive" : jitter

const stated = <A extends object>(fields: A): Partial<A> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<A>
