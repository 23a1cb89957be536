/**
 * Describes the endpoints that show presets and recommend one.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Schema from "effect/Schema"
import * as Environment from "../../config/Environment.ts"
import * as Presets from "../../config/Presets.ts"
import * as AdminError from "../AdminError.ts"
import { operation } from "../Endpoint.ts"

/**
 * Presets.
 *
 * @category groups
 * @since 0.1.0
 */
export class PresetsGroup extends HttpApiGroup.make("presets").add(
  HttpApiEndpoint.get("list", "/config/presets", { success: Schema.Array(Presets.PresetSummary) }).annotateMerge(
    operation("list_available_presets", "preset_listing", { summary: "Every preset." })
  ),
  HttpApiEndpoint.get("get", "/config/presets/:preset_name", {
    params: { preset_name: Schema.String },
    success: Presets.PresetDetails,
    error: AdminError.businessLogic
  }).annotateMerge(
    operation("get_preset_details", "preset_details_retrieval", {
      summary: "One preset. Case and spaces around the name do not count."
    })
  ),
  HttpApiEndpoint.get("summary", "/config/presets-summary", { success: Presets.PresetsSummary }).annotateMerge(
    operation("get_all_presets_summary", "presets_summary_retrieval", {
      summary: "Every preset with everything that is known about it, by name."
    })
  ),
  HttpApiEndpoint.get("compare", "/config/presets-compare", {
    query: { current: Schema.optionalKey(Schema.String), compare_with: Schema.String },
    success: Presets.Comparison,
    error: AdminError.businessLogic
  }).annotateMerge(
    operation("compare_presets", "preset_comparison", {
      summary: "The fields in which two presets differ. current: the preset in force by default."
    })
  ),
  HttpApiEndpoint.get("recommend", "/config/recommend-preset/:environment", {
    params: { environment: Schema.String },
    success: Environment.Recommendation
  }).annotateMerge(
    operation("recommend_preset", "preset_recommendation", { summary: "The preset for the name of an environment." })
  ),
  HttpApiEndpoint.get("recommendAuto", "/config/recommend-preset-auto", {
    success: Environment.AutoRecommendation
  }).annotateMerge(
    operation("recommend_preset_auto", "auto_preset_recommendation", {
      summary: "The preset for the environment in which the process runs."
    })
  )
) {}
