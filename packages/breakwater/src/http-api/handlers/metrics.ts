/**
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Metrics } from "../../observability/Metrics.ts"
import { Registry } from "../../Registry.ts"
import { Served } from "../internal/served.ts"
import { Commands } from "../Commands.ts"
import * as lookup from "../internal/lookup.ts"
import * as operationViews from "../internal/operationViews.ts"
import * as wire from "../internal/wire.ts"

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = HttpApiBuilder.group(
  Served,
  "metrics",
  Effect.fnUntraced(function* (handlers) {
    const resilience = yield* Registry
    const metrics = yield* Metrics
    const commands = yield* Commands
    let resets = 0

    const one = (name: string) => lookup.operation(resilience, name)

    /** Calls that are counted, of one operation or of all. */
    const counted = Effect.fnUntraced(function* (name: string | undefined) {
      const operations = name === undefined ? yield* resilience.operations : [yield* one(name)]
      const calls = operations.reduce((sum, { counters }) => sum + counters.calls, 0)
      return { state: `${calls} calls`, version: resets }
    })

    const reset = Effect.fn("AdminApi.resetMetrics")(function* (
      given: string | undefined,
      ifMatch: string | undefined,
      reason: string | undefined
    ) {
      const name = given === undefined ? undefined : (yield* one(given)).name
      const { value } = yield* commands.run(
        {
          command: "reset_resilience_metrics",
          resource: name === undefined ? "metrics" : `metrics/${name}`,
          ifMatch,
          reason,
          read: counted(name)
        },
        () => Effect.tap(resilience.resetMetrics(name), () => Effect.sync(() => ++resets))
      )
      return operationViews.metricsReset(name ?? null, value, yield* DateTime.now)
    })

    return handlers.handleAll({
      all: () =>
        Effect.zipWith(resilience.operations, DateTime.now, (operations, now) =>
          wire.answer(wire.allMetrics(operationViews.allMetrics(operations, now)))
        ),
      prometheus: () => metrics.prometheus(),
      one: ({ params }) => Effect.map(one(params.operation_name), operationViews.oneMetrics),
      reset: ({ headers, payload, query }) => reset(query.operation_name, headers["if-match"], payload?.reason),
      dashboard: () => Effect.zipWith(resilience.operations, DateTime.now, operationViews.dashboard)
    })
  })
)
