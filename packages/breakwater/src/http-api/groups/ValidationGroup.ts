/**
 * Describes the endpoints that check configurations. What they find wrong with
 * a configuration is an answer, with status 200.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import * as Finding from "../../config/Finding.ts"
import * as Legacy from "../../config/Legacy.ts"
import * as Validation from "../../config/Validation.ts"
import * as ValidationLimiter from "../../config/ValidationLimiter.ts"
import { snakeCase } from "../../Wire.ts"
import * as AdminError from "../AdminError.ts"
import { operation } from "../Endpoint.ts"
import { Effective, PresetSource, Problem } from "../ConfigurationShapes.ts"
import { Candidate } from "./TemplatesGroup.ts"

/**
 * What the variables of the process come to.
 *
 * @category schemas
 * @since 0.1.0
 */
export const EnvironmentValidation = snakeCase("EnvironmentValidation", {
  /** Whether a process can start with them. */
  isValid: Schema.Boolean,
  findings: Schema.Array(Finding.Finding),
  errors: Schema.Array(Schema.String),
  warnings: Schema.Array(Schema.String),
  suggestions: Schema.Array(Schema.String),
  securityInfo: Schema.NullOr(Validation.SecurityInfo),
  /** What nothing can run with. */
  problems: Schema.Array(Problem),
  /** Variables that are there and have no effect. */
  ignored: Schema.Array(snakeCase("IgnoredVariable", { variable: Schema.String, reason: Schema.String })),
  /** Variables of the original service that are there. */
  deprecated: Schema.Array(Legacy.Warning),
  /** `null` if nothing can run with the variables. */
  presetName: Schema.NullOr(Schema.String),
  presetSource: Schema.NullOr(PresetSource),
  /** The numbers that a process would start with. */
  effective: Schema.Array(Effective)
})

/**
 * @category models
 * @since 0.1.0
 */
export type EnvironmentValidation = typeof EnvironmentValidation.Type

const JsonConfig = snakeCase("JsonConfigRequest", { jsonConfig: Schema.String })

// The original counted by it. Here a client is its key, so that nobody can be somebody else.
const query = { client_ip: Schema.optionalKey(Schema.String) }

/**
 * Validation.
 *
 * @category groups
 * @since 0.1.0
 */
export class ValidationGroup extends HttpApiGroup.make("validation").add(
  HttpApiEndpoint.post("validate", "/config/validate", {
    payload: Candidate,
    success: Validation.Response,
    error: AdminError.rateLimit
  }).annotateMerge(
    operation("validate_custom_config", "config_validation", {
      summary: "What is wrong with a configuration: fields, ranges, and the rules between them."
    })
  ),
  HttpApiEndpoint.post("validateSecure", "/config/validate-secure", {
    query,
    payload: Candidate,
    success: Validation.Response,
    error: AdminError.rateLimit
  }).annotateMerge(
    operation("validate_custom_config_with_security", "security_validation", {
      summary: "The same with limits of size and content, for a configuration of a stranger. client_ip has no effect."
    })
  ),
  HttpApiEndpoint.post("validateJson", "/config/validate-json", {
    query: { json_config: Schema.optionalKey(Schema.String) },
    payload: [JsonConfig, HttpApiSchema.NoContent],
    success: Validation.Response,
    error: [AdminError.rateLimit, AdminError.validation]
  }).annotateMerge(
    operation("validate_json_config", "json_validation", {
      summary: "What is wrong with a configuration as JSON text, in the query or in the body, and not in both.",
      optionalBody: true
    })
  ),
  HttpApiEndpoint.post("fieldWhitelist", "/config/validate/field-whitelist", {
    payload: Candidate,
    success: Validation.FieldReport,
    error: AdminError.rateLimit
  }).annotateMerge(
    operation("validate_field_whitelist", "field_whitelist_validation", {
      summary: "The fields of a configuration, each with what it accepts."
    })
  ),
  HttpApiEndpoint.get("securityConfig", "/config/validate/security-config", {
    success: Validation.Limits
  }).annotateMerge(
    operation("get_security_configuration", "security_config_retrieval", { summary: "The limits of validation." })
  ),
  HttpApiEndpoint.get("rateLimitStatus", "/config/validate/rate-limit-status", {
    query,
    success: ValidationLimiter.Status
  }).annotateMerge(
    operation("get_rate_limit_status", "rate_limit_status_retrieval", {
      summary: "What the caller has used of its validations. client_ip has no effect."
    })
  ),
  HttpApiEndpoint.post("validateEnvironment", "/config/validate/environment", {
    success: EnvironmentValidation
  }).annotateMerge(
    operation("validate_environment", "environment_validation", {
      summary: "What is wrong with the variables of the process, and which of them have no effect."
    })
  )
) {}
