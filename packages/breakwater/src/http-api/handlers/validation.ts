/**
 * The handlers of validation.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Presets from "../../config/Presets.ts"
import * as Resolution from "../../config/Resolution.ts"
import * as Validation from "../../config/Validation.ts"
import { ValidationLimiter } from "../../config/ValidationLimiter.ts"
import * as Errors from "../../Errors.ts"
import { Registry } from "../../Registry.ts"
import { Served } from "../internal/served.ts"
import { unreadable } from "../internal/configurationErrors.ts"
import { environmentValidation, verdict } from "../internal/configurationViews.ts"
import { identity, limited } from "../internal/limiting.ts"
import { operationNames } from "../internal/operationNames.ts"

/** @internal */
export const layer = HttpApiBuilder.group(
  Served,
  "validation",
  Effect.fnUntraced(function* (handlers) {
    const limiter = yield* ValidationLimiter
    const presets = yield* Presets.Presets
    const withinLimit = limited(limiter)
    const names = operationNames(yield* Registry)

    const validate = (configuration: unknown) =>
      Effect.map(names, (operations) => verdict(Validation.validate(configuration, { operations })))

    const validateSecure = (configuration: unknown) =>
      Effect.zipWith(names, DateTime.now, (operations, at) =>
        verdict(Validation.validate(configuration, { operations, level: "secure", at }))
      )

    const validateJson = Effect.fnUntraced(function* (inQuery: string | undefined, inBody: string | undefined) {
      const text = inQuery ?? inBody
      if (text === undefined || (inQuery !== undefined && inBody !== undefined)) {
        return yield* new Errors.ValidationError({
          message: "json_config has to be in the query or in the body, and not in both",
          context: { validation_errors: [{ path: ["query", "json_config"], message: "Expected in one place" }] }
        })
      }
      const operations = yield* names
      return yield* withinLimit(Effect.sync(() => verdict(Validation.validateText(text, { operations }))))
    })

    const validateEnvironment = Effect.gen(function* () {
      const inputs = yield* Effect.mapError(Resolution.read, unreadable)
      const outcome = yield* Resolution.resolve(inputs, Resolution.noRuntime).pipe(
        Effect.provideService(Presets.Presets, presets),
        Effect.catch((error) => Effect.succeed(error))
      )
      return environmentValidation(inputs, outcome)
    })

    return handlers.handleAll({
      validate: ({ payload }) => withinLimit(validate(payload.configuration)),
      validateSecure: ({ payload }) => withinLimit(validateSecure(payload.configuration)),
      validateJson: ({ payload, query }) => validateJson(query.json_config, payload?.jsonConfig),
      fieldWhitelist: ({ payload }) =>
        withinLimit(Effect.map(DateTime.now, (at) => Validation.analyzeFields(payload.configuration, { at }))),
      securityConfig: () => Effect.succeed(Validation.limits),
      rateLimitStatus: () => Effect.flatMap(identity, limiter.status),
      validateEnvironment: () => validateEnvironment
    })
  })
)
