/**
 * Names a composition of policies with its numbers.
 *
 * **Details**
 *
 * | strategy | attempts | total | attempt | pauses | opens after | open for | at worst |
 * | --- | --- | --- | --- | --- | --- | --- | --- |
 * | `aggressive` | 2 | 10 s | 5 s | 1 s | 3 failures | 30 s | 10 s, 2 calls |
 * | `balanced` | 3 | 30 s | 10 s | 2 s, 2 s | 5 | 60 s | 30 s, 3 calls |
 * | `conservative` | 5 | 120 s | 30 s | 4 s to 16 s | 8 | 120 s | 120 s, 5 calls |
 * | `critical` | 7 | 300 s | 60 s | 3 s to 48 s | 10 | 300 s | 300 s, 7 calls |
 *
 * Pauses are without jitter, which adds up to 2 s, and 5 s for `critical`. At
 * worst one call takes so long and becomes so many of the dependency:
 * `Description` says that of every strategy.
 *
 * **Gotchas**
 *
 * A strategy is data and holds no state. Two operations with one strategy have
 * two circuits; the operation is the key.
 *
 * A strategy or an overlay that states failures in a row and no `tripPolicy`
 * does not take over the one that is there: the failures count.
 *
 * **Example** (A strategy of your own)
 *
 * ```ts import.meta.vitest
 * import { Duration } from "effect"
 * import { Strategy } from "breakwater"
 *
 * const payments = Strategy.make("payments", { extends: "conservative", timeout: { attempt: "2 seconds" } })
 *
 * const { timeout } = payments.settings
 * timeout && Duration.format(timeout.attempt) // => "2s"
 * timeout && Duration.format(timeout.total) // => "2m"
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Bulkhead from "./Bulkhead.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import * as Policy from "./Policy.ts"
import type * as Errors from "./Classification.ts"
import type {
  BulkheadFull,
  CircuitHalfOpen,
  CircuitIsolated,
  CircuitOpen,
  RateLimitExceeded,
  Reason,
  TimeoutExceeded
} from "./ResilienceError.ts"
import type * as RateLimiter from "./RateLimiter.ts"
import * as Retry from "./Retry.ts"
import type * as RetryBudget from "./RetryBudget.ts"
import * as Settings_ from "./Settings.ts"
import * as Timeout from "./Timeout.ts"

const policy = <S extends Schema.Constraint>(settings: S) => Schema.Union([settings, Schema.Literal(false)])

// By what they do and not by class: a program bundles the policies that it names itself.
const started = <S extends Policy.Startable | Policy.StartableBudget>() =>
  policy(
    Schema.declare((u): u is S => Policy.isStartable(u), {
      expected: "settings made by Bulkhead.settings, RateLimiter.settings or RetryBudget.settings"
    })
  ).pipe(Settings_.withDefault(false))

/**
 * The settings of each policy of a strategy. `false` leaves a policy out.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Settings = /*#__PURE__*/ Settings_.struct("breakwater/Strategy/Settings", () => ({
  retry: policy(Retry.Settings),
  circuitBreaker: policy(CircuitBreaker.Settings),
  timeout: policy(Timeout.Settings),
  /** A rate limit that each call passes once, before its first attempt. Default `false`. */
  admission: started<RateLimiter.Settings>(),
  /** A limit on attempts that run at once. Default `false`. */
  bulkhead: started<Bulkhead.Settings>(),
  /** A rate limit that each attempt passes. Default `false`. */
  quota: started<RateLimiter.Settings>(),
  /** A limit on retries, as a share of the calls. Default `false`. */
  retryBudget: started<RetryBudget.Settings>()
}))

/**
 * @category models
 * @since 0.1.0
 */
export type Settings = typeof Settings.Type

/**
 * A named composition of policies. `R` lists the reasons with which it can end
 * a call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Strategy<out Name extends string = string, out R extends Reason = Reason> {
  readonly name: Name
  readonly settings: Settings
  /** Rules for its errors, asked before the built-in classification. */
  readonly rules: ReadonlyArray<Errors.Rule>
  /** Open times that grow, in place of the fixed one. */
  readonly openTimes: CircuitBreaker.OpenTimes | undefined
  readonly "~reason"?: R
}

/**
 * The names of the built-in strategies.
 *
 * @category schemas
 * @since 0.1.0
 */
export const BuiltIn = /*#__PURE__*/ Schema.Literals(["aggressive", "balanced", "conservative", "critical"])

/**
 * @category models
 * @since 0.1.0
 */
export type BuiltIn = typeof BuiltIn.Type

/**
 * What a strategy states. Everything else it takes over from `extends`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Overrides {
  /** Default `balanced`. */
  readonly extends?: BuiltIn | Strategy | undefined
  readonly retry?: Retry.SettingsInput | false | undefined
  readonly circuitBreaker?: CircuitBreaker.SettingsInput | false | undefined
  readonly timeout?: Timeout.SettingsInput | false | undefined
  /** A rate limit that each call passes once, before its first attempt. */
  readonly admission?: RateLimiter.Settings | false | undefined
  /** A limit on attempts that run at once. */
  readonly bulkhead?: Bulkhead.Settings | false | undefined
  /** A rate limit that each attempt passes. */
  readonly quota?: RateLimiter.Settings | false | undefined
  /** A limit on retries, as a share of the calls. */
  readonly retryBudget?: RetryBudget.Settings | false | undefined
  readonly rules?: ReadonlyArray<Errors.Rule> | undefined
  readonly openSchedule?: Schedule.Schedule<unknown, number> | undefined
}

type CircuitReason = CircuitOpen | CircuitHalfOpen | CircuitIsolated

/** The reasons of the built-in strategies. */
type Standard = CircuitReason | TimeoutExceeded

type Inherited<O extends Overrides> = O["extends"] extends Strategy<string, infer R> ? R : Standard

/** The reasons that a policy adds: none when it is left out, those of `extends` when nothing is said. */
type Added<O extends Overrides, Field extends keyof Overrides, R extends Reason> = Field extends keyof O
  ? AddedBy<O[Field], Extract<Inherited<O>, R>, R>
  : Extract<Inherited<O>, R>

/** Of each thing that may be stated: `cond ? settings : undefined` adds what both add. */
type AddedBy<Stated, From, R> = Stated extends false ? never : Stated extends undefined ? From : R

/** Two policies can refuse with it, so that both have to be left out. */
type Limited<O extends Overrides> = Added<O, "admission", RateLimitExceeded> | Added<O, "quota", RateLimitExceeded>

/**
 * The reasons with which a strategy of these overrides can end a call.
 *
 * @category utility types
 * @since 0.1.0
 */
export type ReasonOf<O extends Overrides> =
  | Added<O, "circuitBreaker", CircuitReason>
  | Added<O, "timeout", TimeoutExceeded>
  | Added<O, "bulkhead", BulkheadFull>
  | Limited<O>

/**
 * Makes a strategy. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const Name extends string, const O extends Overrides = {}>(
  name: Name,
  overrides?: O
): Strategy<Name, ReasonOf<O>> => {
  const { extends: base = "balanced", openSchedule, rules = [], ...stated }: Overrides = overrides ?? {}
  if (!namePattern.test(name)) {
    throw new Settings_.InvalidSettings({
      settings: "Strategy",
      findings: [{ path: "name", value: name, rule: `expected ${namePattern}, got ${JSON.stringify(name)}` }]
    })
  }
  const from = typeof base === "string" ? builtIn[base] : base
  const circuitBreaker = merge(
    withoutPolicy(from.settings.circuitBreaker, stated),
    stated.circuitBreaker,
    CircuitBreaker.settings
  )
  return {
    name,
    settings: Settings_.make<Settings, Settings>(Settings, {
      settings: "Strategy",
      input: {
        retry: merge(from.settings.retry, stated.retry, Retry.settings),
        circuitBreaker,
        timeout: merge(from.settings.timeout, stated.timeout, Timeout.settings),
        admission: stated.admission ?? from.settings.admission,
        bulkhead: stated.bulkhead ?? from.settings.bulkhead,
        quota: stated.quota ?? from.settings.quota,
        retryBudget: stated.retryBudget ?? from.settings.retryBudget
      },
      durations: []
    }),
    rules: [...rules, ...from.rules],
    openTimes:
      openSchedule === undefined
        ? from.openTimes
        : CircuitBreaker.openTimesOf(openSchedule, circuitBreaker ? circuitBreaker.openDuration : Duration.minutes(1))
  }
}

const namePattern = /^[A-Za-z][\w.-]{0,63}$/

/** Whoever states failures in a row means them, not the trip policy that would go over them. */
const withoutPolicy = (
  from: CircuitBreaker.Settings | false,
  { circuitBreaker }: Overrides
): CircuitBreaker.Settings | false => {
  if (from === false || !circuitBreaker || circuitBreaker.failureThreshold === undefined) return from
  const { tripPolicy: _replaced, ...others } = from
  return others
}

/** A field stated as `undefined` is not stated. */
const withoutUndefined = (stated: object): object =>
  Object.fromEntries(Object.entries(stated).filter(([, value]) => value !== undefined))

const merge = <S extends object>(from: S | false, stated: object | false | undefined, check: (input: object) => S) =>
  stated === undefined ? from : stated === false ? false : check({ ...from, ...withoutUndefined(stated) })

/** Times in seconds. */
type Numbers = readonly [
  maxAttempts: number,
  total: number,
  attempt: number,
  base: number,
  minDelay: number,
  maxDelay: number,
  jitterMax: number,
  failureThreshold: number,
  openDuration: number
]

const preset = <const Name extends BuiltIn>(
  name: Name,
  [maxAttempts, total, attempt, base, minDelay, maxDelay, jitterMax, failureThreshold, openDuration]: Numbers
): Strategy<Name, Standard> => ({
  name,
  // Plain data, and checked by a test: whoever names no schema bundles none.
  settings: {
    retry: {
      maxAttempts,
      base: Duration.seconds(base),
      factor: 2,
      minDelay: Duration.seconds(minDelay),
      maxDelay: Duration.seconds(maxDelay),
      jitter: "additive",
      jitterMax: Duration.seconds(jitterMax),
      nested: "warn"
    },
    circuitBreaker: {
      failureThreshold,
      openDuration: Duration.seconds(openDuration),
      halfOpenMaxCalls: 1
    },
    timeout: {
      attempt: Duration.seconds(attempt),
      total: Duration.seconds(total),
      mode: "detach"
    },
    admission: false,
    bulkhead: false,
    quota: false,
    retryBudget: false
  },
  rules: [],
  openTimes: undefined
})

/**
 * Fails fast: for what a user waits for and can do without.
 *
 * @category strategies
 * @since 0.1.0
 */
export const aggressive = /*#__PURE__*/ preset("aggressive", [2, 10, 5, 0.5, 1, 5, 2, 3, 30])

/**
 * The middle way, and the default.
 *
 * @category strategies
 * @since 0.1.0
 */
export const balanced = /*#__PURE__*/ preset("balanced", [3, 30, 10, 1, 2, 10, 2, 5, 60])

/**
 * Patient: for work that nobody watches.
 *
 * @category strategies
 * @since 0.1.0
 */
export const conservative = /*#__PURE__*/ preset("conservative", [5, 120, 30, 2, 4, 30, 2, 8, 120])

/**
 * Gives up last: for what must happen.
 *
 * @category strategies
 * @since 0.1.0
 */
export const critical = /*#__PURE__*/ preset("critical", [7, 300, 60, 1.5, 3, 60, 5, 10, 300])

/**
 * The built-in strategies by name.
 *
 * @category strategies
 * @since 0.1.0
 */
export const builtIn = { aggressive, balanced, conservative, critical } as const satisfies Record<BuiltIn, Strategy>

/**
 * Where the strategy of an operation comes from: an operator, its code, an
 * entry of an overlay or preset for it, or the default of either.
 *
 * @category models
 * @since 0.1.0
 */
export type Source = "operator" | "code" | "overlay" | "preset" | "overlay_default" | "preset_default"

/**
 * The strategy of an operation with the numbers in force.
 *
 * @category models
 * @since 0.1.0
 */
export interface Resolved {
  readonly strategy: Strategy
  readonly source: Source
}

/**
 * Chooses the strategies of operations, and their numbers.
 *
 * @category models
 * @since 0.1.0
 */
export interface Chooser {
  /** `false`: effects run as if they were not guarded. */
  readonly isEnabled: boolean
  /** The name under which an operation runs. */
  readonly nameOf: (operation: string) => string
  /** `own` is what the code names. `chosen` is `undefined` for the default one. */
  readonly choose: (operation: string, own: Own) => { readonly chosen: Own; readonly source: Source }
  /** A chosen strategy with the numbers in force. */
  readonly strategyOf: (chosen: Own) => Strategy
}

/**
 * The strategy that the code names, if it names one.
 *
 * @category models
 * @since 0.1.0
 */
export type Own = BuiltIn | Strategy | undefined

const standard = /*#__PURE__*/ preset("balanced", [3, 60, 10, 1, 2, 10, 2, 5, 60])

/**
 * What `Preset.simple` comes to, without its short names of operations:
 * `balanced`, with 60 seconds in all, unless the code names another strategy.
 *
 * @category models
 * @since 0.1.0
 */
export const plainly: Chooser = {
  isEnabled: true,
  nameOf: (operation) => operation,
  choose: (_operation, own) => ({ chosen: own, source: own === undefined ? "preset_default" : "code" }),
  strategyOf: (chosen = standard) => (typeof chosen === "string" ? builtIn[chosen] : chosen)
}
