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
  policy(Schema.declare((u): u is S => Policy.isStartable(u))).pipe(Settings_.withDefault(false))

/**
 * The settings of each policy of a strategy. `false` leaves a policy out.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/Strategy/Settings")({
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
}) {}

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
  readonly openSchedule: Schedule.Schedule<unknown, number> | undefined
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
  return {
    name,
    settings: new Settings({
      retry: merge(from.settings.retry, stated.retry, Retry.settings),
      circuitBreaker: merge(
        withoutPolicy(from.settings.circuitBreaker, stated),
        stated.circuitBreaker,
        CircuitBreaker.settings
      ),
      timeout: merge(from.settings.timeout, stated.timeout, Timeout.settings),
      admission: stated.admission ?? from.settings.admission,
      bulkhead: stated.bulkhead ?? from.settings.bulkhead,
      quota: stated.quota ?? from.settings.quota,
      retryBudget: stated.retryBudget ?? from.settings.retryBudget
    }),
    rules: [...rules, ...from.rules],
    openSchedule: openSchedule ?? from.openSchedule
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
  return new CircuitBreaker.Settings(others)
}

/** A field stated as `undefined` is not stated. */
const withoutUndefined = (stated: object): object =>
  Object.fromEntries(Object.entries(stated).filter(([, value]) => value !== undefined))

const merge = <S extends object>(from: S | false, stated: object | false | undefined, check: (input: object) => S) =>
  stated === undefined ? from : stated === false ? false : check({ ...from, ...withoutUndefined(stated) })

const preset = <const Name extends BuiltIn>(
  name: Name,
  numbers: {
    readonly maxAttempts: number
    readonly total: number
    readonly attempt: number
    readonly multiplier: number
    readonly min: number
    readonly max: number
    readonly jitterMax: number
    readonly threshold: number
    readonly openFor: number
  }
): Strategy<Name, Standard> => ({
  name,
  settings: new Settings({
    retry: Retry.settings({
      maxAttempts: numbers.maxAttempts,
      base: Duration.seconds(numbers.multiplier),
      minDelay: Duration.seconds(numbers.min),
      maxDelay: Duration.seconds(numbers.max),
      jitter: "additive",
      jitterMax: Duration.seconds(numbers.jitterMax)
    }),
    circuitBreaker: CircuitBreaker.settings({
      failureThreshold: numbers.threshold,
      openDuration: Duration.seconds(numbers.openFor)
    }),
    timeout: Timeout.settings({ attempt: Duration.seconds(numbers.attempt), total: Duration.seconds(numbers.total) })
  }),
  rules: [],
  openSchedule: undefined
})

/**
 * Fails fast: for what a user waits for and can do without.
 *
 * @category strategies
 * @since 0.1.0
 */
export const aggressive = preset("aggressive", {
  maxAttempts: 2,
  total: 10,
  attempt: 5,
  multiplier: 0.5,
  min: 1,
  max: 5,
  jitterMax: 2,
  threshold: 3,
  openFor: 30
})

/**
 * The middle way, and the default.
 *
 * @category strategies
 * @since 0.1.0
 */
export const balanced = preset("balanced", {
  maxAttempts: 3,
  total: 30,
  attempt: 10,
  multiplier: 1,
  min: 2,
  max: 10,
  jitterMax: 2,
  threshold: 5,
  openFor: 60
})

/**
 * Patient: for work that nobody watches.
 *
 * @category strategies
 * @since 0.1.0
 */
export const conservative = preset("conservative", {
  maxAttempts: 5,
  total: 120,
  attempt: 30,
  multiplier: 2,
  min: 4,
  max: 30,
  jitterMax: 2,
  threshold: 8,
  openFor: 120
})

/**
 * Gives up last: for what must happen.
 *
 * @category strategies
 * @since 0.1.0
 */
export const critical = preset("critical", {
  maxAttempts: 7,
  total: 300,
  attempt: 60,
  multiplier: 1.5,
  min: 3,
  max: 60,
  jitterMax: 5,
  threshold: 10,
  openFor: 300
})

/**
 * The built-in strategies by name.
 *
 * @category strategies
 * @since 0.1.0
 */
export const builtIn = { aggressive, balanced, conservative, critical } as const satisfies Record<BuiltIn, Strategy>
