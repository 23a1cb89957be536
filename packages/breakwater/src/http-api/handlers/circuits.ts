/**
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as CircuitBreaker from "../../CircuitBreaker.ts"
import { circuitsOf } from "../../monitoring/internal/snapshots.ts"
import { Registry } from "../../Registry.ts"
import { Served } from "../internal/served.ts"
import { Commands } from "../Commands.ts"
import * as lookup from "../internal/lookup.ts"
import * as operationViews from "../internal/operationViews.ts"
import { tagged } from "../internal/version.ts"

/** An override always expires. */
const overrideSeconds = 3_600

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = HttpApiBuilder.group(
  Served,
  "circuits",
  Effect.fnUntraced(function* (handlers) {
    const resilience = yield* Registry
    const commands = yield* Commands

    const run = Effect.fnUntraced(function* (
      command: string,
      given: { readonly name: string; readonly ifMatch: string | undefined; readonly reason: string | undefined },
      write: (circuit: CircuitBreaker.Circuit) => Effect.Effect<void>
    ) {
      const { ifMatch, reason } = given
      const { name } = yield* lookup.circuit(resilience, given.name)
      const { after } = yield* commands.run(
        {
          command,
          resource: `circuit-breakers/${name}`,
          ifMatch,
          reason,
          read: lookup.breakerDetails(resilience, name),
          context: { breaker_name: name }
        },
        () => Effect.flatMap(lookup.circuit(resilience, name), write)
      )
      return tagged(after)
    })

    const override =
      (
        command: string,
        lay: (circuit: CircuitBreaker.Circuit, how: CircuitBreaker.OverrideOptions) => Effect.Effect<void>
      ) =>
      (request: {
        readonly headers: { readonly "if-match"?: string | undefined }
        readonly params: { readonly breaker_name: string }
        readonly payload: { readonly reason: string; readonly expires_in_seconds?: number | undefined }
      }) => {
        const { expires_in_seconds: seconds = overrideSeconds, reason } = request.payload
        return run(
          command,
          { name: request.params.breaker_name, ifMatch: request.headers["if-match"], reason },
          (circuit) =>
            Effect.flatMap(lookup.actor, (actor) =>
              lay(circuit, { reason, actor, expiresIn: Duration.seconds(seconds) })
            )
        )
      }

    const circuits = Effect.map(resilience.operations, (operations) =>
      operationViews.circuitsState(circuitsOf(operations))
    )

    const resetAll = Effect.fn("AdminApi.resetAll")(function* (
      ifMatch: string | undefined,
      reason: string | undefined
    ) {
      const { after, before } = yield* commands.run(
        { command: "reset_all_circuit_breakers", resource: "circuit-breakers", ifMatch, reason, read: circuits },
        () => Effect.flatMap(resilience.circuits, Effect.forEach(CircuitBreaker.reset, { discard: true }))
      )
      return operationViews.allReset(before.circuits, after.circuits, yield* DateTime.now)
    })

    return handlers.handleAll({
      resetAll: ({ headers, payload }) => resetAll(headers["if-match"], payload?.reason),
      trip: ({ headers, params, payload: { open_for_seconds: seconds, reason } }) =>
        run("trip_circuit_breaker", { name: params.breaker_name, ifMatch: headers["if-match"], reason }, (circuit) =>
          CircuitBreaker.trip(circuit, { openFor: seconds === undefined ? undefined : Duration.seconds(seconds) })
        ),
      isolate: override("isolate_circuit_breaker", (circuit, how) => CircuitBreaker.isolate(circuit, how)),
      disable: override("disable_circuit_breaker", (circuit, how) => CircuitBreaker.disable(circuit, how)),
      metricsOnly: override("metrics_only_circuit_breaker", (circuit, how) => CircuitBreaker.metricsOnly(circuit, how)),
      close: ({ headers, params, payload }) =>
        run(
          "close_circuit_breaker",
          { name: params.breaker_name, ifMatch: headers["if-match"], reason: payload?.reason },
          (circuit) => CircuitBreaker.close(circuit)
        ),
      release: ({ headers, params, payload: { actor, mode, reason } }) =>
        run("release_circuit_breaker", { name: params.breaker_name, ifMatch: headers["if-match"], reason }, (circuit) =>
          CircuitBreaker.release(circuit, mode, { actor })
        )
    })
  })
)
