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
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as Settings from "./Settings.ts"

const day = "1 day"

/** A share, above 0 and up to 1. Default 0.5. */
const rate = /*#__PURE__*/ Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(1)).pipe(
  Settings.withDefault(0.5)
)
const size = /*#__PURE__*/ Settings.count({ minimum: 1, maximum: 10_000 }).pipe(Settings.withDefault(100))
const minimumCalls = /*#__PURE__*/ Schema.optionalKey(Settings.count({ minimum: 1, maximum: 10_000 }))
const time = /*#__PURE__*/ Settings.duration({ minimum: "1 milli", maximum: day }).pipe(
  Settings.withDefault(Duration.minutes(1))
)
const buckets = /*#__PURE__*/ Settings.count({ minimum: 1, maximum: 120 }).pipe(Settings.withDefault(10))

const fits = (
  minimumCalls: number | undefined,
  size: number | undefined
): true | { readonly path: ReadonlyArray<string>; readonly issue: string } =>
  minimumCalls === undefined || size === undefined || minimumCalls <= size
    ? true
    : { path: ["minimumCalls"], issue: `expected at most size (${size}), got ${minimumCalls}` }

/**
 * Failures in a row, in the order in which calls end.
 */
const Consecutive = /*#__PURE__*/ Schema.TaggedStruct("Consecutive", {
  /** 1 to 100. Default 5. */
  failures: Settings.count({ minimum: 1, maximum: 100 }).pipe(Settings.withDefault(5))
})

/**
 * The share of failures among the latest calls.
 */
const CountWindow = /*#__PURE__*/ Schema.TaggedStruct("CountWindow", {
  /** Calls in the window, 1 to 10,000. Default 100. */
  size,
  /** The share that opens the circuit, above 0 and up to 1. Default 0.5. */
  rate,
  /** Calls there must be before it opens, 1 to `size`. Default 10, or `size` if that is less. */
  minimumCalls
}).check(Schema.makeFilter(({ minimumCalls, size }) => fits(minimumCalls, size)))

/**
 * The share of failures among the calls that ended within a time.
 */
const TimeWindow = /*#__PURE__*/ Schema.TaggedStruct("TimeWindow", {
  /** Length of the window, 1 ms to 1 day. Default 1 minute. */
  duration: time,
  /** Parts in which it moves on, 1 to 120: a call counts for the window's length less one part at least. Default 10. */
  buckets,
  /** The share that opens the circuit, above 0 and up to 1. Default 0.5. */
  rate,
  /** Calls there must be before it opens, 1 to 10,000. Default 10. */
  minimumCalls
})

/**
 * Failures within a time, exact to the call.
 */
const FailuresIn = /*#__PURE__*/ Schema.TaggedStruct("FailuresIn", {
  /** 1 to 1,000. Default 5. */
  count: Settings.count({ minimum: 1, maximum: 1_000 }).pipe(Settings.withDefault(5)),
  /** 1 ms to 1 day. Default 1 minute. */
  duration: time
})

const Time = /*#__PURE__*/ Schema.Struct({
  /** 1 ms to 1 day. */
  duration: Settings.duration({ minimum: "1 milli", maximum: day }),
  /** 1 to 120. Default 10. */
  buckets
})

/**
 * What a policy about slow calls looks at: the latest calls, or those within a
 * time.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Window = /*#__PURE__*/ Schema.Union([
  Schema.Struct({
    /** 1 to 10,000. */
    size: Settings.count({ minimum: 1, maximum: 10_000 })
  }),
  Time
])

/**
 * @category models
 * @since 0.1.0
 */
export type Window = typeof Window.Type

/**
 * The share of slow calls: of those that ended, whether well or not, and of
 * those in flight that are already as old as the threshold. A probe as slow as
 * that counts as failed.
 */
const SlowCalls = /*#__PURE__*/ Schema.TaggedStruct("SlowCalls", {
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

const Single = /*#__PURE__*/ Schema.Union([Consecutive, CountWindow, TimeWindow, FailuresIn, SlowCalls])

/**
 * A policy that is not made of others.
 *
 * @category models
 * @since 0.1.0
 */
export type Single = typeof Single.Type

/**
 * Opens when any of its policies would; the first of them says why.
 */
const AnyOf = /*#__PURE__*/ Schema.TaggedStruct("AnyOf", {
  /** 1 to 8. */
  policies: Schema.Array(Single).check(Schema.isMinLength(1), Schema.isMaxLength(8))
})

/**
 * @category schemas
 * @since 0.1.0
 */
export const TripPolicy = /*#__PURE__*/ Schema.Union([...Single.members, AnyOf])

/**
 * @category models
 * @since 0.1.0
 */
export type TripPolicy = typeof TripPolicy.Type

/**
 * Opens after so many failures in a row, 5 by default. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const consecutive = (failures?: number): typeof Consecutive.Type =>
  Settings.make<typeof Consecutive.Type, { readonly failures?: number | undefined }>(Consecutive, {
    settings: "CircuitBreaker.consecutive",
    input: { failures },
    durations: []
  })

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
): typeof CountWindow.Type =>
  Settings.make<typeof CountWindow.Type, typeof input>(CountWindow, {
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
): typeof TimeWindow.Type =>
  Settings.make<typeof TimeWindow.Type, typeof input>(TimeWindow, {
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
): typeof FailuresIn.Type =>
  Settings.make<typeof FailuresIn.Type, typeof input>(FailuresIn, {
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
}): typeof SlowCalls.Type => {
  const { window } = input
  const spelled =
    window !== undefined && "duration" in window
      ? Settings.make<typeof Time.Type, typeof window>(Time, {
          settings: "CircuitBreaker.slowCalls.window",
          input: window,
          durations: ["duration"]
        })
      : window
  return Settings.make<typeof SlowCalls.Type, typeof input>(SlowCalls, {
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
export const anyOf = (...policies: ReadonlyArray<TripPolicy>): typeof AnyOf.Type =>
  Settings.make<typeof AnyOf.Type, { readonly policies: ReadonlyArray<Single> }>(AnyOf, {
    settings: "CircuitBreaker.anyOf",
    input: { policies: policies.flatMap((policy) => (policy._tag === "AnyOf" ? policy.policies : policy)) },
    durations: []
  })
