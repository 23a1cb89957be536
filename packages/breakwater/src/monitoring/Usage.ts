/**
 * Remembers how configuration and presets are used, and tells it in figures.
 *
 * **Details**
 *
 * - It knows what it is told: see `Monitoring` for layers that tell it of the
 *   loads and changes of a configuration and of the calls of operations.
 * - Rates of errors are `errors ÷ (loads + errors)`; an error is a load that
 *   failed. The share of custom and of legacy configurations is one of loads.
 *   The use of a preset is counted in calls.
 * - A trend has one point for each UTC hour. The last is the current hour as
 *   far as it has gone, all others are whole.
 *
 * **Gotchas**
 *
 * - Figures tell of the events that are kept: the newest `maxEvents`, none
 *   older than `retention`. A window that reaches further back sees no more.
 * - Metadata is cut down to about 1,000 characters of JSON. Names of presets
 *   are compared in lower case.
 * - Only names of errors are kept, never their messages.
 *
 * **Example** (Tracking loads)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Usage } from "breakwater"
 *
 * const program = Effect.gen(function* () {
 *   const usage = yield* Usage.Usage
 *   yield* Effect.succeed("numbers").pipe(usage.trackLoad("production"))
 *   yield* Effect.exit(Effect.fail("no such file").pipe(usage.trackLoad("production")))
 *   yield* usage.recordPresetUsage("production", { operation: "batch_processing" })
 *   const { statistics } = yield* usage.usageStatistics(24)
 *   return [statistics.totalLoads, statistics.errorRate, statistics.mostUsedPreset]
 * }).pipe(Effect.provide(Usage.layer()))
 *
 * await Effect.runPromise(program) // => [1, 0.5, "production"]
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { hourMillis } from "../internal/trend.ts"
import * as Monotonic from "../Monotonic.ts"
import { errorName } from "../ResilienceEvent.ts"
import * as Settings_ from "../Settings.ts"
import * as Wire from "../Wire.ts"
import { boundedJson, cut } from "./internal/boundedJson.ts"
import * as figures from "./internal/usageFigures.ts"
import { type Event, UsageLog } from "./internal/usageLog.ts"

/**
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/monitoring/Usage/Settings")({
  /** Events kept, 1,000 to 100,000. Default 10,000. */
  maxEvents: Settings_.count({ minimum: 1000, maximum: 100_000 }).pipe(Settings_.withDefault(10_000)),
  /** Age at which an event is forgotten, 1 to 168 hours. Default 24 hours. */
  retention: Settings_.duration({ minimum: "1 hour", maximum: "168 hours" }).pipe(
    Settings_.withDefault(Duration.hours(24))
  ),
  /** Sessions that can be asked for, 1 to 100,000. Default 1,000. */
  maxSessions: Settings_.count({ minimum: 1, maximum: 100_000 }).pipe(Settings_.withDefault(1000)),
  /** Time between two looks at the calls of the running operations, 1 second to 1 hour. Default 1 minute. */
  lookEvery: Settings_.duration({ minimum: "1 second", maximum: "1 hour" }).pipe(
    Settings_.withDefault(Duration.minutes(1))
  )
}) {}

/**
 * Settings as code writes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly maxEvents?: number | undefined
  readonly retention?: Duration.Input | undefined
  readonly maxSessions?: number | undefined
  readonly lookEvery?: Duration.Input | undefined
}

/**
 * Checks settings. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settings = (input: SettingsInput | Settings = {}): Settings =>
  input instanceof Settings
    ? input
    : Settings_.make(Settings, { settings: "Usage", input, durations: ["retention", "lookEvery"] })

/**
 * A number was asked for that is no whole number within its range.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutOfRange extends Data.TaggedError("OutOfRange")<{
  readonly parameter: string
  readonly value: number
  readonly minimum: number
  readonly maximum: number
}> {
  override get message(): string {
    const { maximum, minimum, parameter, value } = this
    return `${parameter} is ${value}: expected a whole number from ${minimum} to ${maximum}`
  }
}

/** A number within its range, or `OutOfRange`. @internal */
export const within = (parameter: string, value: number, maximum: number): Effect.Effect<number, OutOfRange> =>
  Number.isInteger(value) && value >= 1 && value <= maximum
    ? Effect.succeed(value)
    : Effect.fail(new OutOfRange({ parameter, value, minimum: 1, maximum }))

/**
 * The longest window, in hours: a year.
 *
 * @category limits
 * @since 0.1.0
 */
export const maxHours = 8760

/**
 * What an event is about.
 *
 * @category schemas
 * @since 0.1.0
 */
export const MetricType = Schema.Literals([
  "preset_usage",
  "config_load",
  "config_error",
  "config_change",
  "validation_event",
  "performance_event"
])

/**
 * @category models
 * @since 0.1.0
 */
export type MetricType = typeof MetricType.Type

/**
 * One event.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Metric = Wire.snakeCase("Metric", {
  timestamp: Wire.Timestamp,
  metricType: MetricType,
  presetName: Schema.String,
  operation: Schema.String,
  /** `preset_usage`: calls. `config_load`: milliseconds. `validation_event`: 1 for valid, else 0. Else a count. */
  value: Schema.Finite,
  metadata: Schema.Record(Schema.String, Schema.Json),
  sessionId: Wire.orNull(Schema.String),
  userContext: Wire.orNull(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Metric = typeof Metric.Type

/**
 * What was loaded: a preset as it is, one with a custom configuration or an
 * operator's numbers over it, or the variables of the original service.
 *
 * @category models
 * @since 0.1.0
 */
export type ConfigType = "preset" | "custom" | "legacy"

/**
 * The use of presets and configurations in the last hours.
 *
 * @category schemas
 * @since 0.1.0
 */
export const UsageStatistics = Wire.snakeCase("UsageStatistics", {
  timeWindowHours: Schema.Int,
  statistics: Wire.snakeCase("UsageFigures", {
    totalLoads: Schema.Int,
    /** Calls by preset, in the order of first use. */
    presetUsageCount: Schema.Record(Schema.String, Schema.Finite),
    /** `errors ÷ (loads + errors)`, 0 without loads. */
    errorRate: Schema.Finite,
    avgLoadTimeMs: Schema.Finite,
    /** `none` without usage. */
    mostUsedPreset: Schema.String,
    leastUsedPreset: Schema.String,
    /** Of all loads. */
    customConfigUsageRate: Schema.Finite,
    legacyConfigUsageRate: Schema.Finite
  }),
  summary: Wire.snakeCase("UsageSummary", {
    /** The error rate is below 0.05. */
    healthy: Schema.Boolean,
    /** The average load takes less than 100 ms. */
    performanceGood: Schema.Boolean,
    /** Loads that were no legacy ones, of all. */
    presetAdoption: Schema.Finite
  })
})

/**
 * @category models
 * @since 0.1.0
 */
export type UsageStatistics = typeof UsageStatistics.Type

/**
 * The use of one preset by the hour.
 *
 * @category schemas
 * @since 0.1.0
 */
export const PresetTrend = Wire.snakeCase("PresetTrend", {
  presetName: Schema.String,
  timeWindowHours: Schema.Int,
  /** One for each UTC hour, by its start, oldest first. */
  trendData: Schema.Array(Wire.snakeCase("PresetTrendPoint", { timestamp: Wire.Timestamp, usageCount: Schema.Finite })),
  summary: Wire.snakeCase("PresetTrendSummary", {
    totalUsage: Schema.Finite,
    peakUsage: Schema.Finite,
    avgHourlyUsage: Schema.Finite
  })
})

/**
 * @category models
 * @since 0.1.0
 */
export type PresetTrend = typeof PresetTrend.Type

/**
 * How long loads took in the last hours. All 0 without loads.
 *
 * @category schemas
 * @since 0.1.0
 */
export const PerformanceMetrics = Wire.snakeCase("PerformanceMetrics", {
  timeWindowHours: Schema.Int,
  performanceMetrics: Wire.snakeCase("LoadTimes", {
    avgLoadTimeMs: Schema.Finite,
    minLoadTimeMs: Schema.Finite,
    maxLoadTimeMs: Schema.Finite,
    /** By nearest rank. */
    p95LoadTimeMs: Schema.Finite,
    errorCount: Schema.Int,
    totalSamples: Schema.Int,
    presetPerformance: Schema.Record(
      Schema.String,
      Wire.snakeCase("PresetLoadTimes", {
        avgLoadTimeMs: Schema.Finite,
        minLoadTimeMs: Schema.Finite,
        maxLoadTimeMs: Schema.Finite,
        sampleCount: Schema.Int
      })
    )
  }),
  healthCheck: Wire.snakeCase("LoadHealth", {
    /** The average load takes less than 100 ms. */
    performanceGood: Schema.Boolean,
    /** `errors ÷ (loads + errors)` is below 0.05. */
    errorRateAcceptable: Schema.Boolean,
    /** The 95th percentile is below 200 ms. */
    p95WithinThreshold: Schema.Boolean
  })
})

/**
 * @category models
 * @since 0.1.0
 */
export type PerformanceMetrics = typeof PerformanceMetrics.Type

/**
 * What one session did. Nothing, for a session that is not known.
 *
 * @category schemas
 * @since 0.1.0
 */
export const SessionMetrics = Wire.snakeCase("SessionMetrics", {
  sessionId: Schema.String,
  /** Oldest first. */
  metrics: Schema.Array(Metric),
  summary: Wire.snakeCase("SessionSummary", {
    totalOperations: Schema.Int,
    presetUsage: Schema.Record(Schema.String, Schema.Finite),
    errorCount: Schema.Int,
    errorRate: Schema.Finite,
    avgLoadTimeMs: Schema.Finite
  })
})

/**
 * @category models
 * @since 0.1.0
 */
export type SessionMetrics = typeof SessionMetrics.Type

/**
 * What was forgotten, and what is left.
 *
 * @category models
 * @since 0.1.0
 */
export interface Cleared {
  readonly removed: number
  readonly remaining: number
}

/**
 * On whose behalf something is recorded. Events that do not say it themselves
 * take it from here.
 *
 * @category references
 * @since 0.1.0
 */
export const Caller = Context.Reference<{
  readonly sessionId?: string | undefined
  readonly userContext?: string | undefined
}>("breakwater/monitoring/Usage/Caller", { defaultValue: () => ({}) })

/**
 * What every event may say.
 *
 * @category models
 * @since 0.1.0
 */
export interface Details {
  readonly operation?: string | undefined
  /** Cut down to a small piece of JSON. */
  readonly metadata?: object | undefined
  /** Default: that of `Caller`. */
  readonly sessionId?: string | undefined
  /** Default: that of `Caller`. */
  readonly userContext?: string | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface LoadDetails extends Details {
  /** Default `preset`. */
  readonly configType?: ConfigType | undefined
}

/**
 * @category services
 * @since 0.1.0
 */
export class Usage extends Context.Service<
  Usage,
  {
    /** Records an event of any type. */
    readonly record: (
      event: Details & { readonly metricType: MetricType; readonly presetName: string; readonly value: number }
    ) => Effect.Effect<void>
    /** `calls` used a preset, 1 unless told otherwise. */
    readonly recordPresetUsage: (
      preset: string,
      details?: Details & { readonly calls?: number | undefined }
    ) => Effect.Effect<void>
    readonly recordLoad: (preset: string, duration: Duration.Input, details?: LoadDetails) => Effect.Effect<void>
    /** A load failed. */
    readonly recordError: (preset: string, error: unknown, details?: Details) => Effect.Effect<void>
    /** The configuration changed. */
    readonly recordChange: (
      preset: string,
      details?: Details & { readonly from?: string | undefined; readonly to?: string | undefined }
    ) => Effect.Effect<void>
    /** A configuration was checked. */
    readonly recordValidation: (
      preset: string,
      isValid: boolean,
      details?: Details & { readonly errors?: ReadonlyArray<string> | undefined }
    ) => Effect.Effect<void>
    readonly recordPerformance: (preset: string, value: number, details?: Details) => Effect.Effect<void>
    /** Times a load and records how it ended. An interruption is neither load nor error. */
    readonly trackLoad: (
      preset: string,
      details?: LoadDetails
    ) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
    /** The last 24 hours, or 1 to 8,760. */
    readonly usageStatistics: (hours?: number) => Effect.Effect<UsageStatistics, OutOfRange>
    readonly presetTrend: (preset: string, hours?: number) => Effect.Effect<PresetTrend, OutOfRange>
    readonly performance: (hours?: number) => Effect.Effect<PerformanceMetrics, OutOfRange>
    readonly session: (id: string) => Effect.Effect<SessionMetrics>
    /** The events of the last hours, oldest first. Default: all that are kept. */
    readonly metrics: (hours?: number) => Effect.Effect<ReadonlyArray<Metric>, OutOfRange>
    /** Events kept. */
    readonly size: Effect.Effect<number>
    /** Forgets events that are so many hours old, or older. */
    readonly clearOlderThan: (hours: number) => Effect.Effect<Cleared, OutOfRange>
    /** What alerts are decided by: the last hour, and loads of the last `recent` milliseconds. @internal */
    readonly signals: (recent: number) => Effect.Effect<figures.Signals>
    /** @internal */
    readonly settings: Settings
  }
>()("breakwater/monitoring/Usage") {}

const maxName = 128

/** A name under which a preset is counted. */
const presetKey = (name: string): string => cut(name.trim().toLowerCase(), maxName) || "unknown"

const textOf = (text: string | undefined): string | undefined =>
  text === undefined || text === "" ? undefined : cut(text, maxName)

const metricOf = ({ at, metadata, operation, preset, session, type, user, value }: Event): Metric => ({
  timestamp: DateTime.makeUnsafe(at),
  metricType: type,
  presetName: preset,
  operation,
  value,
  metadata,
  sessionId: Option.fromUndefinedOr(session),
  userContext: Option.fromUndefinedOr(user)
})

/** Keeps events and answers questions. It forgets by itself only when it is used: see `layer`. */
const make = (settings: Settings): Usage["Service"] => {
  const retention = Duration.toMillis(settings.retention)
  const { maxEvents, maxSessions } = settings
  const log = new UsageLog({ maxEvents, maxSessions, retention })

  const write = (
    clock: Clock.Clock,
    caller: typeof Caller.Service,
    type: MetricType,
    preset: string,
    value: number,
    details: Details,
    metadata: object = {}
  ): void =>
    log.record({
      now: Monotonic.now(clock),
      at: clock.currentTimeMillisUnsafe(),
      type,
      preset: presetKey(preset),
      operation: cut(details.operation ?? type, maxName),
      value: Number.isFinite(value) ? value : 0,
      metadata: boundedJson({ ...metadata, ...details.metadata }),
      session: textOf(details.sessionId ?? caller.sessionId),
      user: textOf(details.userContext ?? caller.userContext)
    })

  const recorded = (
    type: MetricType,
    preset: string,
    value: number,
    details: Details,
    metadata?: object
  ): Effect.Effect<void> =>
    Effect.withFiber((fiber) => {
      write(fiber.getRef(Clock.Clock), fiber.getRef(Caller), type, preset, value, details, metadata)
      return Effect.void
    })

  const read = <A>(
    hours: number,
    use: (events: Iterable<Event>, clock: Clock.Clock) => A
  ): Effect.Effect<A, OutOfRange> =>
    Effect.flatMap(within("hours", hours, maxHours), () =>
      Effect.map(Clock.Clock, (clock) => use(log.within(hours * hourMillis, Monotonic.now(clock)), clock))
    )

  return Usage.of({
    settings,
    record: ({ metricType, presetName, value, ...details }) => recorded(metricType, presetName, value, details),
    recordPresetUsage: (preset, { calls = 1, ...details } = {}) => recorded("preset_usage", preset, calls, details),
    recordLoad: (preset, duration, { configType = "preset", ...details } = {}) =>
      recorded("config_load", preset, Duration.toMillis(duration), details, { config_type: configType }),
    recordError: (preset, error, details = {}) =>
      recorded("config_error", preset, 1, details, { error: errorName(error) }),
    recordChange: (preset, { from, to, ...details } = {}) =>
      recorded("config_change", preset, 1, details, { from, to }),
    recordValidation: (preset, isValid, { errors = [], ...details } = {}) =>
      recorded("validation_event", preset, isValid ? 1 : 0, details, { errors }),
    recordPerformance: (preset, value, details = {}) => recorded("performance_event", preset, value, details),
    trackLoad:
      (preset, { configType = "preset", ...details } = {}) =>
      (self) =>
        Effect.withFiber((fiber) => {
          const clock = fiber.getRef(Clock.Clock)
          const caller = fiber.getRef(Caller)
          const startedAt = Monotonic.now(clock)
          return Effect.onExitPrimitive(self, (exit) => {
            const millis = Monotonic.now(clock) - startedAt
            if (Exit.isSuccess(exit)) {
              write(clock, caller, "config_load", preset, millis, details, { config_type: configType })
            } else if (!Cause.hasInterruptsOnly(exit.cause)) {
              const error = errorName(Cause.squash(exit.cause))
              write(clock, caller, "config_error", preset, 1, details, { error, duration_ms: millis })
            }
            return undefined
          })
        }),
    usageStatistics: (hours = 24) => read(hours, (events) => figures.statistics(events, hours)),
    presetTrend: (preset, hours = 24) =>
      read(hours, (events, clock) => {
        const { points, summary } = figures.trend(events, presetKey(preset), hours, clock.currentTimeMillisUnsafe())
        const trendData = points.map(({ at, sum }) => ({ timestamp: DateTime.makeUnsafe(at), usageCount: sum }))
        return { presetName: preset, timeWindowHours: hours, trendData, summary }
      }),
    performance: (hours = 24) => read(hours, (events) => figures.performance(events, hours)),
    session: (id) =>
      Effect.map(Clock.Clock, (clock) => {
        const events = log.session(cut(id, maxName), Monotonic.now(clock))
        return { sessionId: id, metrics: events.map(metricOf), summary: figures.session(events) }
      }),
    metrics: (hours) => read(hours ?? maxHours, (events) => Array.from(events, metricOf)),
    size: Effect.map(Clock.Clock, (clock) => {
      log.expire(Monotonic.now(clock))
      return log.size
    }),
    clearOlderThan: (hours) =>
      Effect.flatMap(within("hours", hours, maxHours), () =>
        Effect.map(Clock.Clock, (clock) => {
          const removed = log.clear(hours, Monotonic.now(clock))
          return { removed, remaining: log.size }
        })
      ),
    signals: (recent) =>
      Effect.map(Clock.Clock, (clock) => {
        const now = Monotonic.now(clock)
        return figures.signals(log.within(hourMillis, now), now - recent)
      })
  })
}

/**
 * Provides a log of events. Forgets by the minute what is too old. Throws
 * `InvalidSettings` at once.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (input?: SettingsInput | Settings): Layer.Layer<Usage> => {
  const checked = settings(input)
  return Layer.effect(
    Usage,
    Effect.suspend(() => {
      const usage = make(checked)
      return Effect.as(Effect.forkScoped(Effect.repeat(usage.size, Schedule.spaced("1 minute"))), usage)
    })
  )
}
