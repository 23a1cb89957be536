/**
 * Describes the endpoints that show the configuration in force and change it.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import * as Environment from "../../config/Environment.ts"
import * as Migration from "../../config/Migration.ts"
import * as Preset from "../../Preset.ts"
import * as Strategy from "../../Strategy.ts"
import { snakeCase } from "../../Wire.ts"
import * as AdminError from "../AdminError.ts"
import * as Shapes from "../ConfigurationShapes.ts"
import { operation } from "../Endpoint.ts"
import * as parameters from "./parameters.ts"

const by = {
  /** Why, for the audit log. */
  reason: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200))),
  /** Tells what would differ, and changes nothing. */
  dryRun: Schema.optionalKey(Schema.Boolean)
} as const

/** Strategies of operations that an operator sets; `null` takes one back. */
const OperationOverrides = Schema.Record(Preset.OperationName, Schema.NullOr(Strategy.BuiltIn))

/**
 * What an operator wishes. Without a wish the environment is read again.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Reload = snakeCase("ReloadRequest", {
  preset: Schema.optionalKey(Schema.String),
  /** A custom configuration, in place of that of an earlier change. */
  customConfig: Schema.optionalKey(Schema.JsonObject),
  operationOverrides: Schema.optionalKey(OperationOverrides),
  ...by
})

/**
 * @category models
 * @since 0.1.0
 */
export type Reload = typeof Reload.Type

const ApplyPreset = snakeCase("ApplyPresetRequest", { preset: Schema.String, ...by })

const Reset = snakeCase("ResetConfigurationRequest", by)

const Rollback = snakeCase("RollbackRequest", { version: Schema.Int.check(Schema.isGreaterThanOrEqualTo(1)), ...by })

/**
 * A document as `GET /config/export` gives it. What operators changed before
 * gives way to it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Import = snakeCase("ImportRequest", {
  format: Schema.optionalKey(Schema.Literal("breakwater-configuration")),
  formatVersion: Schema.optionalKey(Schema.Literal(1)),
  exportedAt: Schema.optionalKey(Schema.String),
  version: Schema.optionalKey(Schema.Int),
  preset: Schema.String,
  customConfig: Schema.optionalKey(Schema.NullOr(Schema.JsonObject)),
  operationOverrides: Schema.optionalKey(Schema.Record(Preset.OperationName, Strategy.BuiltIn)),
  ...by
})

/**
 * @category models
 * @since 0.1.0
 */
export type Import = typeof Import.Type

const Variables = Schema.Record(Schema.String, Schema.Union([Schema.String, Schema.Finite, Schema.Boolean])).annotate({
  identifier: "LegacyVariables"
})

const errors = [AdminError.validation, AdminError.preconditionFailed, AdminError.rateLimit] as const

/**
 * The configuration in force, and its changes. Where a body is optional, its
 * schema stands before that of none: a client takes the first that fits, and
 * none fits everything.
 *
 * @category groups
 * @since 0.1.0
 */
export class ConfigurationGroup extends HttpApiGroup.make("configuration").add(
  HttpApiEndpoint.get("current", "/config", {
    success: parameters.tagged(Shapes.CurrentConfiguration)
  }).annotateMerge(
    operation("get_current_config", "configuration_retrieval", {
      summary: "The configuration in force, each number with its source."
    })
  ),
  HttpApiEndpoint.post("reload", "/config/reload", {
    headers: parameters.ifMatch,
    payload: [Reload, HttpApiSchema.NoContent],
    success: parameters.tagged(Shapes.ConfigurationReloaded),
    error: errors
  }).annotateMerge(
    operation("reload_configuration", "configuration_reload", {
      summary: "Changes what the body names. Without a wish it reads the environment and the keys again.",
      scope: "admin",
      optionalBody: true
    })
  ),
  HttpApiEndpoint.post("applyPreset", "/config/apply-preset", {
    headers: parameters.ifMatch,
    payload: ApplyPreset,
    success: parameters.tagged(Shapes.ConfigurationChanged),
    error: errors
  }).annotateMerge(
    operation("apply_preset", "preset_application", {
      summary: "Changes the preset. Other changes of operators stay.",
      scope: "admin"
    })
  ),
  HttpApiEndpoint.post("reset", "/config/reset", {
    headers: parameters.ifMatch,
    payload: [Reset, HttpApiSchema.NoContent],
    success: parameters.tagged(Shapes.ConfigurationChanged),
    error: errors
  }).annotateMerge(
    operation("reset_configuration", "configuration_reset", {
      summary: "Drops what operators changed.",
      scope: "admin",
      optionalBody: true
    })
  ),
  HttpApiEndpoint.post("rollback", "/config/rollback", {
    headers: parameters.ifMatch,
    payload: Rollback,
    success: parameters.tagged(Shapes.ConfigurationChanged),
    error: [...errors, AdminError.businessLogic]
  }).annotateMerge(
    operation("rollback_configuration", "configuration_rollback", {
      summary: "Goes back to before the change that made a version.",
      scope: "admin"
    })
  ),
  HttpApiEndpoint.get("changes", "/config/changes", {
    query: { limit: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))) },
    success: Schema.Array(Shapes.HistoryEntry)
  }).annotateMerge(
    operation("get_configuration_changes", "configuration_history_retrieval", {
      summary: "The latest changes, newest first, 100 at most."
    })
  ),
  HttpApiEndpoint.get("export", "/config/export", {
    success: parameters.tagged(Shapes.ConfigurationDocument)
  }).annotateMerge(
    operation("export_configuration", "configuration_export", {
      summary: "The configuration in force, to import it elsewhere."
    })
  ),
  HttpApiEndpoint.post("import", "/config/import", {
    headers: parameters.ifMatch,
    payload: Import,
    success: parameters.tagged(Shapes.ConfigurationChanged),
    error: errors
  }).annotateMerge(
    operation("import_configuration", "configuration_import", {
      summary: "Puts an exported configuration over the environment, in place of what operators changed.",
      scope: "admin"
    })
  ),
  HttpApiEndpoint.get("environment", "/config/environment", { success: Environment.Report }).annotateMerge(
    operation("get_detected_environment", "environment_detection", {
      summary: "The environment that was detected, every signal, and whether the preset in force fits."
    })
  ),
  HttpApiEndpoint.post("migration", "/config/migration/analyze", {
    query: { format: Schema.optionalKey(Migration.Format) },
    payload: [Variables, HttpApiSchema.NoContent],
    success: [Migration.Report, Schema.String.pipe(HttpApiSchema.asText())]
  }).annotateMerge(
    operation("analyze_migration", "migration_analysis", {
      summary:
        "The preset and overrides for variables of the original service, those of the process by default. " +
        "With format: the script alone, as text.",
      optionalBody: true
    })
  ),
  HttpApiEndpoint.get("strategies", "/strategies", {
    success: parameters.tagged(Shapes.StrategyList)
  }).annotateMerge(
    operation("list_strategies", "strategy_listing", { summary: "Every strategy with its numbers in force." })
  ),
  HttpApiEndpoint.get("strategy", "/strategies/:strategy_name", {
    params: { strategy_name: Schema.String },
    success: parameters.tagged(Shapes.StrategyDescribed),
    error: AdminError.businessLogic
  }).annotateMerge(
    operation("get_strategy_details", "strategy_details_retrieval", {
      summary: "One strategy with its numbers in force, each with its source, and what it does with them."
    })
  )
) {}
