/**
 * Measures what resilience costs in this process, and what an operation can
 * bear.
 *
 * **Details**
 *
 * - `run` measures the benchmarks of `benchmarks`: each iteration for itself,
 *   after up to 10 that do not count.
 * - `load` runs calls side by side through the strategy of a running operation
 *   against a synthetic target, with its pauses, limits and a circuit.
 * - Both keep their last 50 results. `history` compares each with the latest
 *   earlier one under the same conditions: a median that is more than 20 %
 *   longer is a regression.
 *
 * | benchmark | iterations | threshold |
 * | --- | --- | --- |
 * | `closed_breaker_call`, `open_breaker_rejection`, `guarded_call` | 1,000 | 1 ms |
 * | `metrics_read` | 1,000 | 0.5 ms |
 * | `breaker_state_read`, `error_classification`, `schedule_step` | 1,000 | 0.1 ms |
 * | `preset_loading` | 100 | 10 ms |
 * | `settings_initialization`, `resilience_config_loading` | 50 | 100 ms |
 * | `validation_performance` | 50 | 50 ms |
 * | `service_initialization` (slow) | 25 | 200 ms |
 * | `custom_config_loading`, `legacy_config_loading` (slow) | 25 | 100 ms |
 *
 * A benchmark passes if its average is within its threshold and at least 95 %
 * of its iterations succeed.
 *
 * **Gotchas**
 *
 * - One benchmark runs at a time, for 30 seconds at most. It gives way to
 *   everything else every 2 ms, and what else the process does then is not
 *   measured.
 * - Operations, circuits, events and traces of the process are not touched. A
 *   load benchmark takes the settings of an operation, not the rules for its
 *   errors nor open times that grow.
 * - The operation does not have to be well, or switched on, for that.
 * - Memory is how far the heap of the whole process grew at most. The garbage
 *   collector decides what counts.
 *
 * **Example** (What a guarded call costs)
 *
 * ```ts import.meta.vitest
 * import { Effect, Layer } from "effect"
 * import { Performance, Preset, Resilience } from "breakwater"
 *
 * const program = Effect.gen(function* () {
 *   const performance = yield* Performance.Performance
 *   const suite = yield* performance.run({ operations: ["guarded_call"], iterations: 100 })
 *   const load = yield* performance.load({ operation: "summarize_text", iterations: 20, concurrency: 10 })
 *   return [suite.passRate, load.results.successRate]
 * }).pipe(
 *   Effect.provide(
 *     Performance.layer().pipe(
 *       Layer.provideMerge(Resilience.layer(Preset.simple, { operations: ["summarize_text"] }))
 *     )
 *   )
 * )
 *
 * await Effect.runPromise(program) // => [1, 1]
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Monotonic from "../Monotonic.ts"
import { Registry } from "../Registry.ts"
import type { Resilience } from "../Resilience.ts"
import { timestamp } from "../EventSink.ts"
import { snakeCase, Timestamp } from "../Wire.ts"
import * as host from "./internal/performanceHost.ts"
import * as runs from "./internal/performanceRun.ts"
import * as statistics from "./internal/performanceStats.ts"
import * as suites from "./internal/performanceSuite.ts"

/**
 * What may be asked for, and what is kept.
 *
 * @category models
 * @since 0.1.0
 */
export const limits = {
  iterations: { minimum: 1, maximum: 10_000 },
  concurrency: { minimum: 1, maximum: 200 },
  /** Mean latency of the synthetic target in milliseconds. */
  latencyMs: { minimum: 0, maximum: 10_000 },
  failureRate: { minimum: 0, maximum: 1 },
  history: { minimum: 1, maximum: 1_000 },
  timeLimit: Duration.seconds(30),
  kept: 50
} as const

/** Share of iterations that must succeed. */
const minimumSuccess = 0.95
/** Share of benchmarks that must pass. */
const minimumPassed = 0.8
const maxAverageMs = 100
const defaultIterations = 50

/**
 * Something to measure. `setup` runs once and gives the iteration.
 *
 * @category models
 * @since 0.1.0
 */
export interface Benchmark extends suites.Benchmark {}

/**
 * The benchmarks of every process.
 *
 * @category benchmarks
 * @since 0.1.0
 */
export const benchmarks: ReadonlyArray<Benchmark> = suites.benchmarks

/**
 * Something that was asked for is out of its range.
 *
 * @category errors
 * @since 0.1.0
 */
export class OutOfRange extends Data.TaggedError("OutOfRange")<{
  readonly field: string
  readonly value: number
  readonly minimum: number
  readonly maximum: number
  readonly isWhole: boolean
}> {
  override get message(): string {
    const what = this.isWhole ? "a whole number" : "a number"
    return `${this.field}: expected ${what} from ${this.minimum} to ${this.maximum}, got ${this.value}`
  }
}

/**
 * There is no such operation, or no such benchmark.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownOperation extends Data.TaggedError("UnknownOperation")<{
  readonly operation: string
  /** 100 at most. */
  readonly availableOperations: ReadonlyArray<string>
  readonly requestedOperations: ReadonlyArray<string>
}> {
  override get message(): string {
    return `Unknown operation "${this.operation}"; available: ${this.availableOperations.join(", ") || "none"}`
  }
}

/**
 * Another benchmark has not ended.
 *
 * @category errors
 * @since 0.1.0
 */
export class BenchmarkRunning extends Data.TaggedError("BenchmarkRunning")<{
  /** The one that runs. */
  readonly benchmarkId: string
  readonly name: string
}> {
  override get message(): string {
    return `The benchmark ${this.benchmarkId} (${this.name}) is running, and one runs at a time`
  }
}

/**
 * A benchmark took too long and was interrupted. Nothing of it is kept.
 *
 * @category errors
 * @since 0.1.0
 */
export class BenchmarkTimeout extends Data.TaggedError("BenchmarkTimeout")<{
  readonly name: string
  readonly completedIterations: number
  readonly targetIterations: number
  readonly timeLimitMs: number
  readonly executionTimeMs: number
}> {
  override get message(): string {
    return `${this.name}: ${this.completedIterations} of ${this.targetIterations} iterations were done after ${this.timeLimitMs} ms`
  }
}

/**
 * No result has this id, or it is too old to be kept.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownBenchmark extends Data.TaggedError("UnknownBenchmark")<{
  readonly benchmarkId: string
  readonly available: ReadonlyArray<string>
}> {
  override get message(): string {
    return `No benchmark has the id "${this.benchmarkId}"; kept: ${this.available.join(", ") || "none"}`
  }
}

/**
 * Why a benchmark gave no result.
 *
 * @category errors
 * @since 0.1.0
 */
export type Failure = OutOfRange | UnknownOperation | BenchmarkRunning | BenchmarkTimeout

/**
 * The facts of a failure, as errors of the admin API carry them.
 *
 * @category accessors
 * @since 0.1.0
 */
export const contextOf = (failure: Failure | UnknownBenchmark): Schema.JsonObject => {
  switch (failure._tag) {
    case "OutOfRange":
      return {
        field: failure.field,
        value: Number.isFinite(failure.value) ? failure.value : String(failure.value),
        minimum: failure.minimum,
        maximum: failure.maximum
      }
    case "UnknownOperation":
      return {
        unknown_operation: failure.operation,
        available_operations: [...failure.availableOperations],
        requested_operations: [...failure.requestedOperations]
      }
    case "BenchmarkRunning":
      return { benchmark_id: failure.benchmarkId, benchmark_name: failure.name }
    case "BenchmarkTimeout":
      return {
        benchmark_name: failure.name,
        completed_iterations: failure.completedIterations,
        target_iterations: failure.targetIterations,
        time_limit_ms: failure.timeLimitMs,
        execution_time_ms: failure.executionTimeMs
      }
    case "UnknownBenchmark":
      return { benchmark_id: failure.benchmarkId, available_options: [...failure.available] }
  }
}

/**
 * What a benchmark came to.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Result = snakeCase("BenchmarkResult", {
  operation: Schema.String,
  /** The sum of all iterations. */
  durationMs: Schema.Finite,
  avgDurationMs: Schema.Finite,
  minDurationMs: Schema.Finite,
  maxDurationMs: Schema.Finite,
  /** Of a sample; 0 for one iteration. */
  stdDevMs: Schema.Finite,
  p50DurationMs: Schema.Finite,
  p95DurationMs: Schema.Finite,
  /** How far the heap grew at most; `null` where it cannot be read. */
  memoryPeakMb: Schema.NullOr(Schema.Finite),
  /** 0 to 1. */
  successRate: Schema.Finite,
  iterations: Schema.Int,
  thresholdMs: Schema.Finite,
  passed: Schema.Boolean,
  /** Among other facts `error_<n>`: what the first iterations that failed ended with. */
  metadata: Schema.Record(Schema.String, Schema.Json)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Result = typeof Result.Type

/**
 * The machine and the runtime. No variable of the environment.
 *
 * @category schemas
 * @since 0.1.0
 */
export const EnvironmentInfo = snakeCase("BenchmarkEnvironment", {
  runtimeVersion: Schema.String,
  platform: Schema.String,
  processor: Schema.String,
  /** The limit of the process; `null` if it has none or it is unknown. */
  memoryGb: Schema.NullOr(Schema.Finite),
  cpuCount: Schema.NullOr(Schema.Int)
})

/**
 * Benchmarks that ran one after another.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Suite = snakeCase("BenchmarkSuite", {
  benchmarkId: Schema.String,
  name: Schema.String,
  results: Schema.Array(Result),
  totalDurationMs: Schema.Finite,
  /** Those that passed out of all, 0 to 1. */
  passRate: Schema.Finite,
  /** Those that did not pass. */
  failedBenchmarks: Schema.Array(Schema.String),
  timestamp: Timestamp,
  environmentInfo: EnvironmentInfo
})

/**
 * @category models
 * @since 0.1.0
 */
export type Suite = typeof Suite.Type

/**
 * The last suite with its summary; without one, `null` and zeros.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Latest = snakeCase("BenchmarkLatest", {
  benchmarkSuite: Schema.NullOr(Suite),
  summary: snakeCase("BenchmarkLatestSummary", {
    totalBenchmarks: Schema.Int,
    passRate: Schema.Finite,
    totalDurationMs: Schema.Finite,
    failedBenchmarks: Schema.Array(Schema.String),
    /** At least 80 % passed. */
    performanceTargetMet: Schema.Boolean
  })
})

/**
 * @category models
 * @since 0.1.0
 */
export type Latest = typeof Latest.Type

/**
 * A suite as the answer to whoever asked for it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Custom = snakeCase("BenchmarkCustom", {
  benchmarkId: Schema.String,
  results: Schema.Array(Result),
  summary: snakeCase("BenchmarkCustomSummary", {
    totalBenchmarks: Schema.Int,
    totalDurationMs: Schema.Finite,
    /** The mean of the averages. */
    avgDurationMs: Schema.Finite,
    /** 0 to 1. */
    overallSuccessRate: Schema.Finite,
    /** The mean of the averages is below 100 ms. */
    performanceTargetMet: Schema.Boolean
  }),
  timestamp: Timestamp
})

/**
 * @category models
 * @since 0.1.0
 */
export type Custom = typeof Custom.Type

/**
 * What an operation bore. Times are in seconds.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Load = snakeCase("LoadBenchmark", {
  benchmarkId: Schema.String,
  operationName: Schema.String,
  strategy: Schema.String,
  iterations: Schema.Int,
  concurrency: Schema.Int,
  results: snakeCase("LoadBenchmarkResults", {
    totalTime: Schema.Finite,
    averageResponseTime: Schema.Finite,
    requestsPerSecond: Schema.Finite,
    /** 0 to 1. */
    successRate: Schema.Finite,
    p50ResponseTime: Schema.Finite,
    p95ResponseTime: Schema.Finite,
    p99ResponseTime: Schema.Finite
  }),
  /** Calls that failed, by error. */
  failures: Schema.Record(Schema.String, Schema.Int),
  timestamp: Timestamp
})

/**
 * @category models
 * @since 0.1.0
 */
export type Load = typeof Load.Type

/**
 * A result that is kept.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Stored = Schema.Union([Suite, Load])

/**
 * @category models
 * @since 0.1.0
 */
export type Stored = typeof Stored.Type

/**
 * What takes longer, or not, than the last time under the same conditions.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Regression = snakeCase("BenchmarkRegression", {
  /** Whether anything became slower by more than the threshold. */
  regressed: Schema.Boolean,
  thresholdPercent: Schema.Finite,
  changes: Schema.Array(
    snakeCase("BenchmarkChange", {
      operation: Schema.String,
      /** The `benchmark_id` of the earlier run. */
      comparedWith: Schema.String,
      previousP50Ms: Schema.Finite,
      p50Ms: Schema.Finite,
      /** Negative: faster. */
      changePercent: Schema.Finite,
      regressed: Schema.Boolean
    })
  )
})

/**
 * @category models
 * @since 0.1.0
 */
export type Regression = typeof Regression.Type

/**
 * The results that are kept, newest first.
 *
 * @category schemas
 * @since 0.1.0
 */
export const History = snakeCase("BenchmarkHistory", {
  runs: Schema.Array(
    snakeCase("BenchmarkRun", {
      benchmarkId: Schema.String,
      kind: Schema.Literals(["suite", "load"]),
      timestamp: Timestamp,
      passRate: Schema.Finite,
      results: Schema.Array(Result),
      /** `null` if there was nothing to compare with. */
      regression: Schema.NullOr(Regression)
    })
  ),
  totalCount: Schema.Int,
  limit: Schema.Int
})

/**
 * @category models
 * @since 0.1.0
 */
export type History = typeof History.Type

/**
 * @category schemas
 * @since 0.1.0
 */
export const Format = Schema.Literals(["json", "text"])

/**
 * @category models
 * @since 0.1.0
 */
export type Format = typeof Format.Type

/**
 * The last suite with what it means, as data.
 *
 * @category schemas
 * @since 0.1.0
 */
export const JsonReport = snakeCase("BenchmarkJsonReport", {
  format: Schema.Literal("json"),
  suite: Schema.NullOr(Suite),
  analysis: snakeCase("BenchmarkAnalysis", {
    performanceSummary: snakeCase("BenchmarkPerformanceSummary", {
      /** Of `resilience_config_loading`. */
      avgConfigLoadingMs: Schema.NullOr(Schema.Finite),
      avgPresetLoadingMs: Schema.NullOr(Schema.Finite),
      targetMet: Schema.Boolean
    }),
    recommendations: Schema.Array(Schema.String)
  })
})

/**
 * The last suite with what it means, as text.
 *
 * @category schemas
 * @since 0.1.0
 */
export const TextReport = snakeCase("BenchmarkTextReport", {
  format: Schema.Literal("text"),
  report: Schema.String,
  timestamp: Timestamp
})

/**
 * @category schemas
 * @since 0.1.0
 */
export const Report = Schema.Union([JsonReport, TextReport])

/**
 * @category models
 * @since 0.1.0
 */
export type Report = typeof Report.Type

/**
 * @category schemas
 * @since 0.1.0
 */
export const Thresholds = snakeCase("BenchmarkThresholds", {
  thresholds: snakeCase("BenchmarkThresholdNumbers", {
    configLoadingMs: Schema.Finite,
    presetAccessMs: Schema.Finite,
    validationMs: Schema.Finite,
    serviceInitializationMs: Schema.Finite,
    breakerCallMs: Schema.Finite,
    stateCheckMs: Schema.Finite,
    metricsUpdateMs: Schema.Finite
  }),
  targets: snakeCase("BenchmarkTargets", {
    primaryTarget: Schema.String,
    secondaryTargets: Schema.Array(Schema.String)
  }),
  measurementInfo: snakeCase("BenchmarkMeasurement", {
    /** Of benchmarks that state none. */
    defaultIterations: Schema.Int,
    memoryTracking: Schema.String,
    timingPrecision: Schema.String
  })
})

/**
 * @category models
 * @since 0.1.0
 */
export type Thresholds = typeof Thresholds.Type

const thresholdOf = (name: string): number => benchmarks.find((benchmark) => benchmark.name === name)!.thresholdMs

/**
 * What benchmarks are held against.
 *
 * @category models
 * @since 0.1.0
 */
export const thresholds: Thresholds = {
  thresholds: {
    configLoadingMs: thresholdOf("resilience_config_loading"),
    presetAccessMs: thresholdOf("preset_loading"),
    validationMs: thresholdOf("validation_performance"),
    serviceInitializationMs: thresholdOf("service_initialization"),
    breakerCallMs: thresholdOf("closed_breaker_call"),
    stateCheckMs: thresholdOf("breaker_state_read"),
    metricsUpdateMs: thresholdOf("metrics_read")
  },
  targets: {
    primaryTarget: `At least ${minimumPassed * 100} % of the benchmarks pass: average within the threshold, ${minimumSuccess * 100} % of the iterations successful`,
    secondaryTargets: [
      `The mean of all averages is below ${maxAverageMs} ms`,
      `No median is more than ${statistics.regressionPercent} % longer than in the run before`,
      `A run ends within ${Duration.toSeconds(limits.timeLimit)} s`
    ]
  },
  measurementInfo: {
    defaultIterations,
    memoryTracking: "growth of the heap in use, read between iterations",
    timingPrecision: "monotonic clock in nanoseconds, read before and after each iteration"
  }
}

/**
 * A suite as the answer to whoever asked for it.
 *
 * @category accessors
 * @since 0.1.0
 */
export const toCustom = ({ benchmarkId, results, timestamp, totalDurationMs }: Suite): Custom => {
  const mean = (of: (result: Result) => number): number =>
    results.length === 0 ? 0 : results.reduce((sum, result) => sum + of(result), 0) / results.length
  const avgDurationMs = mean((result) => result.avgDurationMs)
  return {
    benchmarkId,
    results,
    summary: {
      totalBenchmarks: results.length,
      totalDurationMs,
      avgDurationMs,
      overallSuccessRate: mean(({ successRate }) => successRate),
      performanceTargetMet: avgDurationMs < maxAverageMs
    },
    timestamp
  }
}

/**
 * The last suite with its summary; without one, `null` and zeros.
 *
 * @category accessors
 * @since 0.1.0
 */
export const toLatest = (suite: Suite | undefined): Latest => ({
  benchmarkSuite: suite ?? null,
  summary: {
    totalBenchmarks: suite?.results.length ?? 0,
    passRate: suite?.passRate ?? 0,
    totalDurationMs: suite?.totalDurationMs ?? 0,
    failedBenchmarks: suite?.failedBenchmarks ?? [],
    performanceTargetMet: suite !== undefined && suite.passRate >= minimumPassed
  }
})

/**
 * What a suite means.
 *
 * @category accessors
 * @since 0.1.0
 */
export const toReport = (suite: Suite | undefined, format: Format, at: DateTime.Utc): Report => {
  const recommendations = recommendationsOf(suite)
  if (format === "text") {
    return { format, report: [...linesOf(suite), ...recommendations].join("\n"), timestamp: at }
  }
  const average = (name: string): number | null =>
    suite?.results.find(({ operation }) => operation === name)?.avgDurationMs ?? null
  return {
    format,
    suite: suite ?? null,
    analysis: {
      performanceSummary: {
        avgConfigLoadingMs: average("resilience_config_loading"),
        avgPresetLoadingMs: average("preset_loading"),
        targetMet: toLatest(suite).summary.performanceTargetMet
      },
      recommendations
    }
  }
}

const shown = (value: number): string => value.toPrecision(3)

const recommendationsOf = (suite: Suite | undefined): ReadonlyArray<string> => {
  if (suite === undefined) return ["Run a benchmark: none is kept"]
  const failed = suite.results.flatMap(({ avgDurationMs, operation, passed, successRate, thresholdMs }) => {
    if (passed) return []
    return [
      successRate < minimumSuccess
        ? `${operation}: only ${shown(successRate * 100)} % of the iterations succeed. Its metadata names their errors`
        : `${operation}: ${shown(avgDurationMs)} ms on average, ${thresholdMs} ms are the threshold. See whether the process has the processor to itself`
    ]
  })
  return failed.length > 0
    ? failed
    : ["Every benchmark passes", "Run them again after a change: the history tells what became slower"]
}

const linesOf = (suite: Suite | undefined): ReadonlyArray<string> => {
  if (suite === undefined) return []
  const { cpuCount, platform, processor, runtimeVersion } = suite.environmentInfo
  return [
    `${suite.name} ${suite.benchmarkId}, ${DateTime.formatIso(suite.timestamp)}`,
    `${runtimeVersion} on ${platform} ${processor}, ${cpuCount ?? "unknown"} processors`,
    `${suite.results.filter(({ passed }) => passed).length} of ${suite.results.length} passed in ${shown(suite.totalDurationMs)} ms`,
    "",
    ...suite.results.map(
      (result) =>
        `${result.passed ? "pass" : "FAIL"} ${result.operation.padEnd(26)} avg ${shown(result.avgDurationMs)} ms, p95 ${shown(result.p95DurationMs)} ms, max ${shown(result.maxDurationMs)} ms, threshold ${result.thresholdMs} ms, ${shown(result.successRate * 100)} % of ${result.iterations} succeeded`
    ),
    ""
  ]
}

/**
 * Which benchmarks to run, and how often.
 *
 * @category models
 * @since 0.1.0
 */
export interface SuiteOptions {
  /** Of each benchmark, 1 to 10,000. Default: what it states. */
  readonly iterations?: number | undefined
  /** Also those that are slow. Default `false`. */
  readonly includeSlow?: boolean | undefined
  /** By name, slow or not. Default, as for none: all that are not slow. */
  readonly operations?: ReadonlyArray<string> | undefined
}

/**
 * How long the synthetic target takes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Latency {
  /** Default `fixed`. */
  readonly distribution?: "fixed" | "uniform" | "exponential" | undefined
  /** 0 to 10 seconds. Default 1 ms. */
  readonly mean?: Duration.Input | undefined
}

/**
 * @category models
 * @since 0.1.0
 */
export interface LoadOptions {
  /** A running operation, by either of its names. */
  readonly operation: string
  /** Calls in all, 1 to 10,000. Default 100. */
  readonly iterations?: number | undefined
  /** Calls side by side, 1 to 200. Default 10. */
  readonly concurrency?: number | undefined
  readonly latency?: Latency | undefined
  /** Share of the answers of the target that are errors worth a retry, 0 to 1. Default 0. */
  readonly failureRate?: number | undefined
  /** Makes the target answer the same each time. */
  readonly seed?: string | number | undefined
}

/**
 * @category services
 * @since 0.1.0
 */
export class Performance extends Context.Service<
  Performance,
  {
    /** Measures this process, and keeps the result. */
    readonly run: (options?: SuiteOptions) => Effect.Effect<Suite, Failure>
    /** Measures an operation against a synthetic target, and keeps the result. */
    readonly load: (options: LoadOptions) => Effect.Effect<Load, Failure>
    /** The last suite. */
    readonly latest: Effect.Effect<Latest>
    /** A result that is kept. */
    readonly get: (benchmarkId: string) => Effect.Effect<Stored, UnknownBenchmark>
    /** The last suite with what it means. */
    readonly report: (format?: Format) => Effect.Effect<Report>
    /** The results that are kept, newest first. Default 10, 1 to 1,000. */
    readonly history: (limit?: number) => Effect.Effect<History, OutOfRange>
  }
>()("breakwater/monitoring/Performance") {}

/** A result that is kept, with what it is compared by. */
interface Kept {
  readonly stored: Stored
  readonly run: History["runs"][number]
  readonly timed: statistics.Timed
}

const within = (
  field: "iterations" | "concurrency" | "latencyMs" | "failureRate" | "history",
  value: number,
  name: string = field
): Effect.Effect<void, OutOfRange> => {
  const { maximum, minimum } = limits[field]
  const isWhole = field !== "failureRate" && field !== "latencyMs"
  const isInside = value >= minimum && value <= maximum && (!isWhole || Number.isInteger(value))
  return isInside ? Effect.void : Effect.fail(new OutOfRange({ field: name, value, minimum, maximum, isWhole }))
}

const resultOf = (
  samples: Float64Array,
  options: {
    readonly operation: string
    readonly thresholdMs: number
    readonly succeeded: number
    readonly memoryPeakMb: number | null
    readonly metadata: Schema.JsonObject
  }
): { readonly result: Result; readonly stats: statistics.Stats } => {
  const stats = statistics.stats(samples)
  const successRate = options.succeeded / stats.count
  return {
    stats,
    result: {
      operation: options.operation,
      durationMs: stats.total,
      avgDurationMs: stats.mean,
      minDurationMs: stats.min,
      maxDurationMs: stats.max,
      stdDevMs: stats.stdDev,
      p50DurationMs: stats.p50,
      p95DurationMs: stats.p95,
      memoryPeakMb: options.memoryPeakMb,
      successRate,
      iterations: stats.count,
      thresholdMs: options.thresholdMs,
      passed: stats.mean <= options.thresholdMs && successRate >= minimumSuccess,
      metadata: options.metadata
    }
  }
}

const idOf = (at: DateTime.Utc): string =>
  `bench_${DateTime.formatIso(at).slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "_")}`

const make = Effect.fnUntraced(function* (all: ReadonlyArray<Benchmark>) {
  const resilience = yield* Registry
  const running = yield* Ref.make<{ readonly benchmarkId: string; readonly name: string } | undefined>(undefined)
  const kept = yield* Ref.make<ReadonlyArray<Kept>>([])
  /** Runs that start within one second get a number each. */
  const latestId = yield* Ref.make({ id: "", count: 0 })
  const lastSuite = Effect.map(Ref.get(kept), (kept) =>
    kept.map(({ stored }) => stored).find((stored) => "environmentInfo" in stored)
  )

  /** Runs one benchmark at a time, within the time limit, and keeps what it gives. */
  const exclusively = <A extends Kept, E>(
    name: string,
    target: number,
    use: (benchmarkId: string, at: DateTime.Utc, progress: runs.Progress) => Effect.Effect<A, E>
  ): Effect.Effect<A, E | BenchmarkRunning | BenchmarkTimeout> =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const at = timestamp(clock)
      const id = idOf(at)
      const count = yield* Ref.modify(latestId, (latest) => {
        const count = latest.id === id ? latest.count + 1 : 1
        return [count, { id, count }]
      })
      const benchmarkId = count === 1 ? id : `${id}_${count}`
      const progress: runs.Progress = { completed: 0, target }
      const startedAt = Monotonic.now(clock)
      const tooLong = Effect.suspend(() =>
        Effect.fail(
          new BenchmarkTimeout({
            name,
            completedIterations: progress.completed,
            targetIterations: progress.target,
            timeLimitMs: Duration.toMillis(limits.timeLimit),
            executionTimeMs: Monotonic.now(clock) - startedAt
          })
        )
      )
      return yield* Effect.acquireUseRelease(
        Effect.flatMap(
          Ref.modify(running, (current) => [current, current ?? { benchmarkId, name }]),
          (current) => (current === undefined ? Effect.void : Effect.fail(new BenchmarkRunning(current)))
        ),
        () =>
          use(benchmarkId, at, progress).pipe(
            Effect.timeoutOrElse({ duration: limits.timeLimit, orElse: () => tooLong }),
            Effect.tap((made) => Ref.update(kept, (kept) => [made, ...kept].slice(0, limits.kept)))
          ),
        () => Ref.set(running, undefined)
      )
    })

  /** What is kept of a run, compared with those before. */
  const keep = <S extends Stored>(
    stored: S,
    options: {
      readonly kind: "suite" | "load"
      readonly passRate: number
      readonly results: ReadonlyArray<Result>
      readonly medians: ReadonlyMap<string, number>
    }
  ): Effect.Effect<Kept & { readonly stored: S }> =>
    Effect.map(Ref.get(kept), (earlier) => {
      const { kind, medians, passRate, results } = options
      const { benchmarkId, timestamp } = stored
      const timed = { id: benchmarkId, medians }
      const changes = statistics.compare(
        timed,
        earlier.map(({ timed }) => timed)
      )
      const regression =
        changes.length === 0
          ? null
          : {
              regressed: changes.some(({ regressed }) => regressed),
              thresholdPercent: statistics.regressionPercent,
              changes
            }
      return { stored, timed, run: { benchmarkId, kind, timestamp, passRate, results, regression } }
    })

  const choose = ({ includeSlow = false, operations }: SuiteOptions) =>
    Effect.gen(function* () {
      if (operations === undefined || operations.length === 0)
        return all.filter(({ isSlow = false }) => includeSlow || !isSlow)
      const chosen: Array<Benchmark> = []
      for (const operation of new Set(operations)) {
        const found = all.find(({ name }) => name === operation)
        if (found === undefined) {
          return yield* new UnknownOperation({
            operation,
            availableOperations: all.map(({ name }) => name),
            requestedOperations: operations
          })
        }
        chosen.push(found)
      }
      return chosen
    })

  const run = Effect.fnUntraced(function* (options: SuiteOptions = {}): Effect.fn.Return<Suite, Failure> {
    if (options.iterations !== undefined) yield* within("iterations", options.iterations)
    const chosen = yield* choose(options)
    const iterationsOf = ({ iterations = defaultIterations }: Benchmark) => options.iterations ?? iterations
    const target = chosen.reduce((sum, benchmark) => sum + iterationsOf(benchmark), 0)
    const name = options.operations === undefined ? "resilience_performance" : "resilience_performance_custom"
    const { stored } = yield* exclusively(name, target, (benchmarkId, at, progress) =>
      Effect.gen(function* () {
        const clock = yield* Clock.Clock
        const startedAt = Monotonic.now(clock)
        const results: Array<Result> = []
        for (const benchmark of chosen) {
          const { errors, memoryPeakMb, samples, succeeded } = yield* runs.measure(
            benchmark,
            iterationsOf(benchmark),
            progress
          )
          const { result } = resultOf(samples, {
            operation: benchmark.name,
            thresholdMs: benchmark.thresholdMs,
            succeeded,
            memoryPeakMb,
            metadata: { description: benchmark.description, ...errors }
          })
          results.push(result)
          yield* Effect.yieldNow
        }
        const failedBenchmarks = results.filter(({ passed }) => !passed).map(({ operation }) => operation)
        const passRate = results.length === 0 ? 0 : 1 - failedBenchmarks.length / results.length
        const suite: Suite = {
          benchmarkId,
          name,
          results,
          totalDurationMs: Monotonic.now(clock) - startedAt,
          passRate,
          failedBenchmarks,
          timestamp: at,
          environmentInfo: host.describe()
        }
        return yield* keep(suite, {
          kind: "suite",
          passRate,
          results,
          medians: new Map(results.map(({ operation, p50DurationMs }) => [operation, p50DurationMs]))
        })
      })
    )
    return stored
  })

  const load = Effect.fnUntraced(function* ({
    concurrency = 10,
    failureRate = 0,
    iterations = 100,
    latency: { distribution = "fixed", mean = "1 milli" } = {},
    operation,
    seed
  }: LoadOptions): Effect.fn.Return<Load, Failure> {
    const meanMillis = Option.match(Duration.fromInput(mean), { onNone: () => NaN, onSome: Duration.toMillis })
    yield* within("iterations", iterations)
    yield* within("concurrency", concurrency)
    yield* within("latencyMs", meanMillis, "latency.mean in ms")
    yield* within("failureRate", failureRate)
    const found = yield* resilience.operation(operation)
    if (Option.isNone(found)) {
      const operations = yield* resilience.operations
      return yield* new UnknownOperation({
        operation,
        availableOperations: operations.slice(0, 100).map(({ name }) => name),
        requestedOperations: [operation]
      })
    }
    const { name, strategy } = found.value
    const target = { distribution, meanMillis, failureRate }
    const conditions = `${name}, ${concurrency} at a time, ${distribution} ${meanMillis} ms, failure rate ${failureRate}`
    const { stored } = yield* exclusively(name, iterations, (benchmarkId, at, progress) =>
      Effect.gen(function* () {
        const { failures, memoryPeakMb, samples, succeeded, totalMs } = yield* runs.press(
          found.value,
          { iterations, concurrency, target, seed },
          progress
        )
        const requestsPerSecond = totalMs === 0 ? 0 : (iterations / totalMs) * 1000
        const { result, stats } = resultOf(samples, {
          operation: name,
          // There is no threshold for what an operation takes: its own limits hold.
          thresholdMs: Duration.toMillis(limits.timeLimit),
          succeeded,
          memoryPeakMb,
          metadata: { concurrency, strategy, distribution, mean_ms: meanMillis, failure_rate: failureRate, ...failures }
        })
        const made: Load = {
          benchmarkId,
          operationName: name,
          strategy,
          iterations,
          concurrency,
          results: {
            totalTime: totalMs / 1000,
            averageResponseTime: stats.mean / 1000,
            requestsPerSecond,
            successRate: result.successRate,
            p50ResponseTime: stats.p50 / 1000,
            p95ResponseTime: stats.p95 / 1000,
            p99ResponseTime: stats.p99 / 1000
          },
          failures,
          timestamp: at
        }
        return yield* keep(made, {
          kind: "load",
          passRate: result.passed ? 1 : 0,
          results: [result],
          medians: new Map([[conditions, stats.p50]])
        })
      })
    )
    return stored
  })

  return Performance.of({
    run,
    load,
    latest: Effect.map(lastSuite, toLatest),
    get: (benchmarkId) =>
      Effect.flatMap(Ref.get(kept), (kept) => {
        const found = kept.find(({ run }) => run.benchmarkId === benchmarkId)
        return found === undefined
          ? Effect.fail(new UnknownBenchmark({ benchmarkId, available: kept.map(({ run }) => run.benchmarkId) }))
          : Effect.succeed(found.stored)
      }),
    report: (format = "json") =>
      Effect.zipWith(lastSuite, Clock.Clock, (suite, clock) => toReport(suite, format, timestamp(clock))),
    history: (limit = 10) =>
      Effect.flatMap(within("history", limit, "limit"), () =>
        Effect.map(Ref.get(kept), (kept) => ({
          runs: kept.slice(0, limit).map(({ run }) => run),
          totalCount: kept.length,
          limit
        }))
      )
  })
})

/**
 * @category models
 * @since 0.1.0
 */
export interface LayerOptions {
  /** Default `benchmarks`. */
  readonly benchmarks?: ReadonlyArray<Benchmark> | undefined
}

/**
 * Benchmarks of this process and of the operations of `Resilience`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: LayerOptions = {}): Layer.Layer<Performance, never, Resilience> =>
  Layer.effect(Performance, make(options.benchmarks ?? benchmarks))
