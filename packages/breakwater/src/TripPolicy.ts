/**
 * Says when a circuit opens, as data.
 *
 * **Details**
 *
 * | policy | opens when |
 * | --- | --- |
 * | `consecutive` | so many calls in a row failed |
 * | `countWindow` | a share of the latest calls failed |
 * | `timeWindow` | a share of the calls within a time failed |
 * | `failuresIn` | so many calls failed within a time |
 * | `slowCalls` | a share of the calls was slow, or is in flight and already too old |
 * | `anyOf` | any of several would |
 *
 * A share that reaches its limit opens the circuit, and so does a call as slow
 * as the threshold. What is as old as the window has left it. Policies are asked
 * after every outcome, also after a success. Calls that are ignored count for
 * nothing.
 *
 * A program bundles this module if it names one of its policies, or reads them
 * from JSON.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import { Consecutive } from "./Consecutive.ts"
import * as machine from "./internal/tripWindow.ts"
import * as Settings from "./Settings.ts"

const day = "1 day"

/** A share, above 0 and up to 1. Default 0.5. */
const rate = Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1)).pipe(Settings.withDefault(0.5))
const size = Settings.count({ minimum: 1, maximum: 10_000 }).pipe(Settings.withDefault(100))
const minimumCalls = Schema.optionalKey(Settings.count({ minimum: 1, maximum: 10_000 }))
const time = Settings.duration({ minimum: "1 milli", maximum: day }).pipe(Settings.withDefault(Duration.minutes(1)))
const buckets = Settings.count({ minimum: 1, maximum: 120 }).pipe(Settings.withDefault(10))

const fits = (
  minimumCalls: number | undefined,
  size: number | undefined
): true | { readonly path: ReadonlyArray<string>; readonly issue: string } =>
  minimumCalls === undefined || size === undefined || minimumCalls <= size
    ? true
    : { path: ["minimumCalls"], issue: `expected at most size (${size}), got ${minimumCalls}` }

/** Calls that a window must hold before it trips, unless its settings say otherwise. */
const enoughCalls = 10

const rateOf = (
  { minimumCalls, rate }: { readonly minimumCalls?: number; readonly rate: number },
  window: Window,
  slowMillis: number | undefined
): machine.Rule => ({
  _tag: "Rate",
  slowMillis,
  rate,
  minimumCalls: minimumCalls ?? Math.min(enoughCalls, "size" in window ? window.size : Infinity),
  span:
    "size" in window
      ? { _tag: "Count", size: window.size }
      : { _tag: "Time", millis: Duration.toMillis(window.duration), buckets: window.buckets }
})

/**
 * The share of failures among the latest calls.
 *
 * @category schemas
 * @since 0.1.0
 */
export class CountWindow extends Schema.Class<CountWindow>("breakwater/CircuitBreaker/CountWindow")(
  Schema.Struct({
    _tag: Schema.tag("CountWindow"),
    /** Calls in the window, 1 to 10,000. Default 100. */
    size,
    /** The share that opens the circuit, above 0 and up to 1. Default 0.5. */
    rate,
    /** Calls there must be before it opens, 1 to `size`. Default 10, or `size` if that is less. */
    minimumCalls
  }).check(Schema.makeFilter(({ minimumCalls, size }) => fits(minimumCalls, size)))
) {
  /** @internal */
  get rule(): machine.Rule {
    return rateOf(this, this, undefined)
  }

  /** @internal */
  compile(): machine.Windowed {
    return machine.windowed([this.rule])
  }
}

/**
 * The share of failures among the calls that ended within a time.
 *
 * @category schemas
 * @since 0.1.0
 */
export class TimeWindow extends Schema.Class<TimeWindow>("breakwater/CircuitBreaker/TimeWindow")({
  _tag: Schema.tag("TimeWindow"),
  /** Length of the window, 1 ms to 1 day. Default 1 minute. */
  duration: time,
  /** Parts in which it moves on, 1 to 120: a call counts for the window's length less one part at least. Default 10. */
  buckets,
  /** The share that opens the circuit, above 0 and up to 1. Default 0.5. */
  rate,
  /** Calls there must be before it opens, 1 to 10,000. Default 10. */
  minimumCalls
}) {
  /** @internal */
  get rule(): machine.Rule {
    return rateOf(this, this, undefined)
  }

  /** @internal */
  compile(): machine.Windowed {
    return machine.windowed([this.rule])
  }
}

/**
 * Failures within a time, exact to the call.
 *
 * @category schemas
 * @since 0.1.0
 */
export class FailuresIn extends Schema.Class<FailuresIn>("breakwater/CircuitBreaker/FailuresIn")({
  _tag: Schema.tag("FailuresIn"),
  /** 1 to 1,000. Default 5. */
  count: Settings.count({ minimum: 1, maximum: 1_000 }).pipe(Settings.withDefault(5)),
  /** 1 ms to 1 day. Default 1 minute. */
  duration: time
}) {
  /** @internal */
  get rule(): machine.Rule {
    return { _tag: "FailuresIn", count: this.count, millis: Duration.toMillis(this.duration) }
  }

  /** @internal */
  compile(): machine.Windowed {
    return machine.windowed([this.rule])
  }
}

const Time = Schema.Struct({
  /** 1 ms to 1 day. */
  duration: Settings.duration({ minimum: "1 milli", maximum: day }),
  /** 1 to 120. Default 10. */
  buckets
})

/** What a policy about slow calls looks at: the latest calls, or those within a time. */
const Window = Schema.Union([
  Schema.Struct({
    /** 1 to 10,000. */
    size: Settings.count({ minimum: 1, maximum: 10_000 })
  }),
  Time
])

type Window = typeof Window.Type

/**
 * The share of slow calls: of those that ended, whether well or not, and of
 * those in flight that are already as old as the threshold. A probe as slow as
 * that counts as failed. In a strategy the time that a call waits for its place
 * in the bulkhead and for the quota counts, as it does in a probe's deadline.
 *
 * @category schemas
 * @since 0.1.0
 */
export class SlowCalls extends Schema.Class<SlowCalls>("breakwater/CircuitBreaker/SlowCalls")(
  Schema.Struct({
    _tag: Schema.tag("SlowCalls"),
    /** From how long on a call is slow, 1 ms to 1 day. */
    threshold: Settings.duration({ minimum: "1 milli", maximum: day }),
    /** The share that opens the circuit, above 0 and up to 1. Default 0.5. */
    rate,
    /** Default 1 minute in 10 parts. */
    window: Window.pipe(Settings.withDefault({ duration: Duration.minutes(1), buckets: 10 })),
    /** Calls there must be before it opens, 1 to the size of the window. Default 10, or that size if it is less. */
    minimumCalls
  }).check(
    Schema.makeFilter(({ minimumCalls, window }) => fits(minimumCalls, "size" in window ? window.size : undefined))
  )
) {
  /** @internal */
  get rule(): machine.Rule {
    return rateOf(this, this.window, Duration.toMillis(this.threshold))
  }

  /** @internal */
  compile(): machine.Windowed {
    return machine.windowed([this.rule])
  }
}

const singles = { Consecutive, CountWindow, TimeWindow, FailuresIn, SlowCalls }

// As a union of structs: `Config` does not find its way into a union of classes.
const SingleFromJson = Schema.Union([
  Schema.Struct(Consecutive.fields),
  Schema.Struct(CountWindow.fields),
  Schema.Struct(TimeWindow.fields),
  Schema.Struct(FailuresIn.fields),
  Schema.Struct(SlowCalls.fields)
])

const Single = SingleFromJson.pipe(
  Schema.decodeTo(
    Schema.toType(Schema.Union([Consecutive, CountWindow, TimeWindow, FailuresIn, SlowCalls])),
    SchemaTransformation.transformEffect({
      decode: (fields: typeof SingleFromJson.Type) => singles[fields._tag].makeEffect(fields as never),
      encode: (policy: Single) => Effect.succeed(policy)
    })
  )
)

/**
 * A policy that is not made of others.
 *
 * @category models
 * @since 0.1.0
 */
export type Single = Consecutive | CountWindow | TimeWindow | FailuresIn | SlowCalls

const ruleOf = (policy: Single): machine.Rule =>
  policy._tag === "Consecutive" ? { _tag: "Streak", failures: policy.failures } : policy.rule

/**
 * Opens when any of its policies would; the first of them says why.
 *
 * @category schemas
 * @since 0.1.0
 */
export class AnyOf extends Schema.Class<AnyOf>("breakwater/CircuitBreaker/AnyOf")({
  _tag: Schema.tag("AnyOf"),
  /** 1 to 8. */
  policies: Schema.Array(Single).check(Schema.isMinLength(1), Schema.isMaxLength(8))
}) {
  /** @internal */
  compile(): machine.Windowed {
    return machine.windowed(this.policies.map(ruleOf))
  }
}

/**
 * Any trip policy. JSON is decoded to one that is ready to decide.
 *
 * @category schemas
 * @since 0.1.0
 */
export const TripPolicy = Schema.Union([...SingleFromJson.members, Schema.Struct(AnyOf.fields)]).pipe(
  Schema.decodeTo(
    Schema.toType(Schema.Union([Consecutive, CountWindow, TimeWindow, FailuresIn, SlowCalls, AnyOf])),
    SchemaTransformation.transformEffect({
      decode: (fields): Effect.Effect<TripPolicy, SchemaIssue.Issue> =>
        fields._tag === "AnyOf" ? AnyOf.makeEffect(fields) : singles[fields._tag].makeEffect(fields as never),
      encode: (policy) => Effect.succeed(policy)
    })
  )
)

/**
 * @category models
 * @since 0.1.0
 */
export type TripPolicy = Single | AnyOf

/**
 * Opens when a share of the latest calls failed. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const countWindow = (
  input: {
    readonly size?: number | undefined
    readonly rate?: number | undefined
    readonly minimumCalls?: number | undefined
  } = {}
): CountWindow =>
  Settings.make<CountWindow, typeof input>(CountWindow, {
    settings: "CircuitBreaker.countWindow",
    input,
    durations: []
  })

/**
 * Opens when a share of the calls within a time failed. Throws
 * `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const timeWindow = (
  input: {
    readonly duration?: Duration.Input | undefined
    readonly buckets?: number | undefined
    readonly rate?: number | undefined
    readonly minimumCalls?: number | undefined
  } = {}
): TimeWindow =>
  Settings.make<TimeWindow, typeof input>(TimeWindow, {
    settings: "CircuitBreaker.timeWindow",
    input,
    durations: ["duration"]
  })

/**
 * Opens when so many calls failed within a time. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const failuresIn = (
  input: { readonly count?: number | undefined; readonly duration?: Duration.Input | undefined } = {}
): FailuresIn =>
  Settings.make<FailuresIn, typeof input>(FailuresIn, {
    settings: "CircuitBreaker.failuresIn",
    input,
    durations: ["duration"]
  })

/**
 * Opens when a share of the calls was slow, or is in flight and already too
 * old. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const slowCalls = (input: {
  readonly threshold: Duration.Input
  readonly rate?: number | undefined
  /** The latest `size` calls, or those within `duration`. Default 1 minute in 10 parts. */
  readonly window?:
    | { readonly size: number }
    | { readonly duration: Duration.Input; readonly buckets?: number | undefined }
    | undefined
  readonly minimumCalls?: number | undefined
}): SlowCalls => {
  const { window } = input
  const spelled =
    window !== undefined && "duration" in window
      ? Settings.make<typeof Time.Type, typeof window>(Time, {
          settings: "CircuitBreaker.slowCalls.window",
          input: window,
          durations: ["duration"]
        })
      : window
  return Settings.make<SlowCalls, typeof input>(SlowCalls, {
    settings: "CircuitBreaker.slowCalls",
    input: { ...input, window: spelled },
    durations: ["threshold"]
  })
}

/**
 * Opens when any of several policies would. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const anyOf = (...policies: ReadonlyArray<TripPolicy>): AnyOf =>
  Settings.make<AnyOf, { readonly policies: ReadonlyArray<Single> }>(AnyOf, {
    settings: "CircuitBreaker.anyOf",
    input: { policies: policies.flatMap((policy) => (policy._tag === "AnyOf" ? policy.policies : policy)) },
    durations: []
  })

/**
 * Settings with a field `tripPolicy`, as JSON and configuration write them.
 *
 * @category schemas
 * @since 0.1.0
 */
export const settingsFromJson = <Fields extends Schema.Struct.Fields>(settings: Schema.Struct<Fields>) =>
  Schema.Struct({ ...settings.fields, tripPolicy: Schema.optionalKey(TripPolicy) }).pipe(
    Schema.decodeTo(
      Schema.toType(settings),
      SchemaTransformation.transform({
        decode: (fields): any => fields,
        encode: (self): any => self
      })
    )
  )
