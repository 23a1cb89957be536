/**
 * Everything about the health of the process.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as Health from "../../monitoring/Health.ts"
import { operation } from "../Endpoint.ts"

/**
 * @category groups
 * @since 0.1.0
 */
export class HealthDetailsGroup extends HttpApiGroup.make("healthDetails").add(
  HttpApiEndpoint.get("detailed", "/health/detailed", { success: Health.Detailed }).annotateMerge(
    operation("get_detailed_health", "detailed_health_retrieval", {
      summary: "Health with configuration, operations, circuits, alerts and the checks of the wiring."
    })
  )
) {}
