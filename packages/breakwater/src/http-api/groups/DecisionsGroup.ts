/**
 * Why calls were refused, or not.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import * as Decisions from "../../monitoring/Decisions.ts"
import { snakeCase, Timestamp } from "../../Wire.ts"
import * as AdminError from "../AdminError.ts"
import { operation } from "../Endpoint.ts"
import * as parameters from "./parameters.ts"

/**
 * Decisions, newest first.
 *
 * @category schemas
 * @since 0.1.0
 */
export const List = snakeCase("DecisionList", {
  decisions: Schema.Array(Decisions.View),
  /** Decisions listed here. */
  totalCount: Schema.Int,
  limit: Schema.Int
})

/**
 * @category models
 * @since 0.1.0
 */
export type List = typeof List.Type

/**
 * @category groups
 * @since 0.1.0
 */
export class DecisionsGroup extends HttpApiGroup.make("decisions").add(
  HttpApiEndpoint.get("list", "/decisions", {
    query: {
      operation: Schema.optionalKey(Schema.String),
      key: Schema.optionalKey(Schema.String),
      reason: Schema.optionalKey(Schema.String),
      verdict: Schema.optionalKey(Schema.Literals(["succeeded", "failed", "rejected", "interrupted"])),
      since: Schema.optionalKey(Timestamp),
      until: Schema.optionalKey(Timestamp),
      limit: parameters.limit
    },
    success: [List, Schema.String.pipe(HttpApiSchema.asText({ contentType: "application/x-ndjson" }))]
  }).annotateMerge(
    operation("list_decisions", "decision_listing", {
      summary:
        "How calls were decided: all that were refused, a sample of the rest. limit: 1 to 1,000, default 100. With Accept: application/x-ndjson one line for each call."
    })
  ),
  HttpApiEndpoint.get("get", "/decisions/:decision_id", {
    params: { decision_id: Schema.String },
    success: Decisions.View,
    error: AdminError.businessLogic
  }).annotateMerge(
    operation("get_decision", "decision_retrieval", { summary: "One decision, with its numbers and in one sentence." })
  )
) {}
