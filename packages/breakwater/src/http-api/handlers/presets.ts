/**
 * The handlers of presets.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Configuration from "../../config/Configuration.ts"
import * as Environment from "../../config/Environment.ts"
import * as Presets from "../../config/Presets.ts"
import { Served } from "../internal/served.ts"
import { unknownPreset, unreadable } from "../internal/configurationErrors.ts"

/** @internal */
export const layer = HttpApiBuilder.group(
  Served,
  "presets",
  Effect.fnUntraced(function* (handlers) {
    const presets = yield* Presets.Presets
    const configuration = yield* Configuration.Configuration

    const inForce = Effect.map(configuration.current, ({ preset }) => preset.key)
    const names = Effect.map(presets.list, (entries) => entries.map(({ key }) => key))
    const detected = Effect.mapError(Environment.detect(), unreadable)

    const compare = Effect.fnUntraced(function* (current: string | undefined, compareWith: string) {
      return yield* presets.compare(current ?? (yield* inForce), compareWith)
    }, Effect.mapError(unknownPreset))

    return handlers.handleAll({
      list: () => Effect.map(presets.list, (entries) => entries.map(Presets.summaryOf)),
      get: ({ params }) =>
        presets
          .get(params.preset_name)
          .pipe(Effect.mapBoth({ onFailure: unknownPreset, onSuccess: Presets.detailsOf })),
      summary: () => presets.summary,
      compare: ({ query }) => compare(query.current, query.compare_with),
      recommend: ({ params }) => Effect.map(names, (all) => Environment.recommend(params.environment, all)),
      recommendAuto: () => Effect.zipWith(detected, names, Environment.toRecommendation)
    })
  })
)
