/**
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Errors from "../../Errors.ts"
import * as Performance from "../../monitoring/Performance.ts"
import { Served } from "../internal/served.ts"
import { Commands } from "../Commands.ts"
import type { Request } from "../groups/PerformanceGroup.ts"
import * as refusals from "../internal/refusals.ts"

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = HttpApiBuilder.group(
  Served,
  "performance",
  Effect.fnUntraced(function* (handlers) {
    const performance = yield* Performance.Performance
    const commands = yield* Commands
    let runs = 0

    const measure = (request: Request): Effect.Effect<Performance.Custom | Performance.Load, Performance.Failure> => {
      const { failure_rate: failureRate, include_slow: includeSlow, iterations, latency_ms: latency } = request
      return request.operation_name === undefined
        ? Effect.map(performance.run({ iterations, includeSlow, operations: request.operations }), Performance.toCustom)
        : performance.load({
            operation: request.operation_name,
            iterations,
            concurrency: request.concurrency,
            failureRate,
            latency: latency === undefined ? undefined : { mean: Duration.millis(latency) }
          })
    }

    const kept = performance.history(1).pipe(
      Effect.orDie,
      Effect.map(({ totalCount }) => ({ state: `${totalCount} results`, version: totalCount }))
    )

    const run = Effect.fn("AdminApi.benchmark")(function* (request: Request, ifMatch: string | undefined) {
      if (request.operation_name !== undefined && request.operations !== undefined) {
        return yield* new Errors.ValidationError({
          message: "Give operation_name or operations, not both",
          context: { conflicting_fields: ["operation_name", "operations"] }
        })
      }
      const { value } = yield* commands.run(
        // Each is its own resource: the second of two is refused at once, it does not wait.
        { command: "run_benchmark", resource: `performance/benchmark/${++runs}`, ifMatch, read: kept },
        // Who hangs up ends it, and so does its time limit.
        () => Effect.interruptible(Effect.mapError(measure(request), refusals.benchmark))
      )
      return value
    })

    const report = (format: string | undefined) => {
      const wanted = (format ?? "json").trim().toLowerCase()
      return wanted === "json" || wanted === "text"
        ? performance.report(wanted)
        : Effect.fail(
            new Errors.ValidationError({
              message: "There is no such format",
              context: { invalid_format: wanted.slice(0, 60), supported_formats: ["json", "text"] }
            })
          )
    }

    return handlers.handleAll({
      latest: () => performance.latest,
      run: ({ headers, payload }) => run(payload ?? {}, headers["if-match"]),
      get: ({ params }) => Effect.mapError(performance.get(params.benchmark_id), refusals.unknownBenchmark),
      thresholds: () => Effect.succeed(Performance.thresholds),
      report: ({ query }) => report(query.format),
      history: ({ query }) => Effect.mapError(performance.history(query.limit), refusals.benchmarkOutOfRange)
    })
  })
)
