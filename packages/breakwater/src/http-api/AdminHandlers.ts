/**
 * The admin API's handlers. Each is a translation: what is shown is decided in
 * `internal/views.ts`, and what happens by the operations.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Layer from "effect/Layer"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import { Registry } from "../Registry.ts"
import { Served } from "./internal/served.ts"
import { Commands } from "./Commands.ts"
import * as circuits from "./handlers/circuits.ts"
import * as performance from "./handlers/performance.ts"
import * as operations from "./handlers/operations.ts"
import * as monitoring from "./handlers/monitoring.ts"
import * as metrics from "./handlers/metrics.ts"
import * as healthDetails from "./handlers/health.ts"
import * as events from "./handlers/events.ts"
import * as decisions from "./handlers/decisions.ts"
import * as configuration from "./handlers/configuration.ts"
import * as presets from "./handlers/presets.ts"
import * as templates from "./handlers/templates.ts"
import * as validation from "./handlers/validation.ts"
import * as configurationServices from "./internal/configurationServices.ts"
import * as lookup from "./internal/lookup.ts"
import { Reads } from "./internal/reads.ts"
import * as services from "./internal/services.ts"
import * as views from "./internal/views.ts"
import * as wire from "./internal/wire.ts"

const health = HttpApiBuilder.group(
  Served,
  "health",
  Effect.fnUntraced(function* (handlers) {
    const reads = yield* Reads

    return handlers.handleAll({
      status: ({ query }) =>
        Effect.flatMap(reads.health, (summary) =>
          summary.healthy || query.strict !== true
            ? Effect.succeed(wire.answer(wire.health(summary)))
            : Effect.fail(summary)
        )
    })
  })
)

const circuitBreakers = HttpApiBuilder.group(
  Served,
  "circuitBreakers",
  Effect.fnUntraced(function* (handlers) {
    const resilience = yield* Registry
    const reads = yield* Reads
    const commands = yield* Commands

    const reset = Effect.fn("AdminApi.reset")(function* (
      name: string,
      ifMatch: string | undefined,
      reason: string | undefined
    ) {
      const circuit = yield* lookup.circuit(resilience, name)
      const { after, before } = yield* commands.run(
        {
          command: "reset_circuit_breaker",
          resource: `circuit-breakers/${circuit.name}`,
          ifMatch,
          reason,
          read: lookup.breakerDetails(resilience, circuit.name),
          context: { breaker_name: circuit.name }
        },
        () => CircuitBreaker.reset(circuit)
      )
      yield* Effect.logInfo("Circuit reset").pipe(
        Effect.annotateLogs({ circuit: circuit.name, ...(reason === undefined ? {} : { reason }) })
      )
      return views.breakerReset(before, after, yield* DateTime.now)
    })

    return handlers.handleAll({
      list: () => Effect.map(reads.circuitBreakers, wire.answerText),
      get: ({ params }) =>
        Effect.map(
          lookup.breakerDetails(resilience, params.breaker_name, { operation: "circuit_breaker_lookup" }),
          (details) => wire.tagged(wire.breakerDetails(details))
        ),
      reset: ({ headers, params, payload }) => reset(params.breaker_name, headers["if-match"], payload?.reason)
    })
  })
)

const ofConfiguration = Layer.mergeAll(configuration.layer, presets.layer, templates.layer, validation.layer).pipe(
  Layer.provide(configurationServices.layer)
)

const ofOperations = Layer.mergeAll(
  circuits.layer,
  decisions.layer,
  events.layer,
  healthDetails.layer,
  metrics.layer,
  monitoring.layer,
  operations.layer,
  performance.layer
).pipe(Layer.provide(Layer.merge(services.layer, configurationServices.layer)))

/**
 * Every handler.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = Layer.mergeAll(health, circuitBreakers, ofConfiguration, ofOperations)
