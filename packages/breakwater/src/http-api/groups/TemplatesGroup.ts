/**
 * Describes the endpoints for configurations to start from.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import * as Template from "../../config/Template.ts"
import * as Validation from "../../config/Validation.ts"
import { snakeCase } from "../../Wire.ts"
import * as AdminError from "../AdminError.ts"
import { operation } from "../Endpoint.ts"

const ValidateTemplate = snakeCase("ValidateTemplateRequest", {
  templateName: Schema.String,
  overrides: Schema.optionalKey(Schema.JsonObject)
})

/**
 * A configuration that nobody has looked at.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Candidate = snakeCase("ConfigurationRequest", { configuration: Schema.JsonObject })

/**
 * Templates.
 *
 * @category groups
 * @since 0.1.0
 */
export class TemplatesGroup extends HttpApiGroup.make("templates").add(
  HttpApiEndpoint.get("list", "/config/templates", { success: Template.List }).annotateMerge(
    operation("get_configuration_templates", "template_listing", { summary: "Every template by its key." })
  ),
  HttpApiEndpoint.get("get", "/config/templates/:template_name", {
    params: { template_name: Schema.String },
    success: Template.Template,
    error: AdminError.businessLogic
  }).annotateMerge(operation("get_template", "template_retrieval", { summary: "One template." })),
  HttpApiEndpoint.post("validate", "/config/validate-template", {
    payload: ValidateTemplate,
    success: Validation.Response,
    error: [AdminError.businessLogic, AdminError.rateLimit]
  }).annotateMerge(
    operation("validate_template_based_config", "template_validation", {
      summary: "What is wrong with a template and the overrides over it."
    })
  ),
  HttpApiEndpoint.post("recommend", "/config/recommend-template", {
    payload: Candidate,
    success: Template.Suggestion
  }).annotateMerge(
    operation("suggest_template_for_config", "template_suggestion", {
      summary: "The template nearest to a configuration."
    })
  )
) {}
