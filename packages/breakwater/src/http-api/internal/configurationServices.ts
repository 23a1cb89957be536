/**
 * What the endpoints of the configuration stand on. What the application
 * provides is taken as it is. Without a `Configuration` it is the one that the
 * code gave to the operations.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Configuration from "../../config/Configuration.ts"
import * as Presets from "../../config/Presets.ts"
import { ValidationLimiter } from "../../config/ValidationLimiter.ts"
import type { Resilience } from "../../Resilience.ts"

const configuration: Layer.Layer<Configuration.Configuration | Presets.Presets, never, Resilience> = Layer.unwrap(
  Effect.gen(function* () {
    const found = yield* Effect.serviceOption(Configuration.Configuration)
    if (Option.isNone(found)) return Configuration.layerCode
    const presets = yield* Effect.serviceOption(Presets.Presets)
    return Layer.merge(
      Layer.succeed(Configuration.Configuration, found.value),
      Option.isNone(presets) ? Presets.layer : Layer.succeed(Presets.Presets, presets.value)
    )
  })
)

const limiter: Layer.Layer<ValidationLimiter> = Layer.unwrap(
  Effect.map(
    Effect.serviceOption(ValidationLimiter),
    Option.match({
      onNone: () => ValidationLimiter.layer(),
      onSome: (found) => Layer.succeed(ValidationLimiter, found)
    })
  )
)

/** @internal */
export const layer = Layer.merge(configuration, limiter)
