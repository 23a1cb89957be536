/**
 * The handlers of templates.
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Template from "../../config/Template.ts"
import { ValidationLimiter } from "../../config/ValidationLimiter.ts"
import { Registry } from "../../Registry.ts"
import { Served } from "../internal/served.ts"
import { unknownName } from "../internal/configurationErrors.ts"
import { verdict } from "../internal/configurationViews.ts"
import { limited } from "../internal/limiting.ts"
import { operationNames } from "../internal/operationNames.ts"

const find = (name: string) =>
  Effect.mapError(Effect.fromOption(Template.get(name)), () => unknownName("template", name, Template.Key.literals))

/** @internal */
export const layer = HttpApiBuilder.group(
  Served,
  "templates",
  Effect.fnUntraced(function* (handlers) {
    const withinLimit = limited(yield* ValidationLimiter)
    const names = operationNames(yield* Registry)

    const validate = (name: string, overrides: unknown) =>
      Effect.zipWith(find(name), names, (template, operations) =>
        verdict(Template.validate(template, overrides, { operations }))
      )

    return handlers.handleAll({
      list: () => Effect.succeed({ templates: Template.templates }),
      get: ({ params }) => find(params.template_name),
      validate: ({ payload }) => withinLimit(validate(payload.templateName, payload.overrides ?? {})),
      recommend: ({ payload }) => Effect.sync(() => Template.suggestFor(payload.configuration))
    })
  })
)
