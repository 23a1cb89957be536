/**
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Configuration } from "../../config/Configuration.ts"
import { Resilience } from "../../Resilience.ts"
import type * as Strategy from "../../Strategy.ts"
import { Served } from "../internal/served.ts"
import { Commands } from "../Commands.ts"
import * as configurationErrors from "../internal/configurationErrors.ts"
import * as lookup from "../internal/lookup.ts"
import * as operationViews from "../internal/operationViews.ts"
import { tagged } from "../internal/version.ts"
import * as wire from "../internal/wire.ts"

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = HttpApiBuilder.group(
  Served,
  "operations",
  Effect.fnUntraced(function* (handlers) {
    const resilience = yield* Resilience
    const configuration = yield* Configuration
    const commands = yield* Commands

    const version = Effect.map(configuration.current, ({ version }) => version)

    const list = Effect.zipWith(resilience.operations, version, operationViews.operationList)

    const one = (name: string) =>
      Effect.zipWith(lookup.operation(resilience, name), version, operationViews.operationDetails)

    const set = Effect.fn("AdminApi.setStrategy")(function* (
      given: string,
      ifMatch: string | undefined,
      { reason, strategy }: { readonly strategy: Strategy.BuiltIn | null; readonly reason?: string }
    ) {
      const { name } = yield* lookup.operation(resilience, given)
      const actor = yield* lookup.actor
      const { after } = yield* commands.run(
        {
          command: "set_operation_strategy",
          resource: `operations/${name}`,
          ifMatch,
          reason,
          read: Effect.map(one(name), (view) => ({ view, state: view.strategy, version: view.version })),
          context: { operation_name: name }
        },
        ({ version }) =>
          Effect.mapError(
            configuration.apply({
              strategies: { [name]: strategy },
              actor,
              reason,
              // Another operation, or the configuration, may be written to meanwhile.
              ...(ifMatch === undefined ? {} : { ifVersion: version })
            }),
            configurationErrors.refused
          )
      )
      return after.view
    })

    return handlers.handleAll({
      list: () => Effect.map(list, (found) => wire.tagged(wire.operationList(found))),
      get: ({ params }) => Effect.map(one(params.operation_name), tagged),
      set: ({ headers, params, payload }) =>
        Effect.map(set(params.operation_name, headers["if-match"], payload), tagged)
    })
  })
)
