/**
 * How configuration and presets are used, and what needs a look.
 *
 * @since 0.1.0
 */
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"
import * as Alerts from "../../monitoring/Alerts.ts"
import * as Export from "../../monitoring/Export.ts"
import * as Monitoring from "../../monitoring/Monitoring.ts"
import * as Usage from "../../monitoring/Usage.ts"
import * as AdminError from "../AdminError.ts"
import { operation } from "../Endpoint.ts"
import * as parameters from "./parameters.ts"

/**
 * @category groups
 * @since 0.1.0
 */
export class MonitoringGroup extends HttpApiGroup.make("monitoring").add(
  HttpApiEndpoint.get("usageStatistics", "/monitoring/usage-statistics", {
    query: { time_window_hours: parameters.hours },
    success: Usage.UsageStatistics
  }).annotateMerge(
    operation("get_usage_statistics", "usage_statistics_retrieval", {
      summary: "The use of presets and configurations. time_window_hours: 1 to 8,760, default 24."
    })
  ),
  HttpApiEndpoint.get("presetTrend", "/monitoring/preset-trends/:preset_name", {
    params: { preset_name: Schema.String },
    query: { hours: parameters.hours },
    success: Usage.PresetTrend,
    error: AdminError.businessLogic
  }).annotateMerge(
    operation("get_preset_trends", "preset_trend_retrieval", {
      summary: "The use of one preset by the hour. hours: 1 to 8,760, default 24."
    })
  ),
  HttpApiEndpoint.get("performance", "/monitoring/performance-metrics", {
    query: { hours: parameters.hours },
    success: Usage.PerformanceMetrics
  }).annotateMerge(
    operation("get_performance_metrics", "performance_metrics_retrieval", {
      summary: "How long loads of the configuration took. hours: 1 to 8,760, default 24."
    })
  ),
  HttpApiEndpoint.get("alerts", "/monitoring/alerts", {
    query: { max_alerts: parameters.limit, level: Schema.optionalKey(Alerts.Level) },
    success: Alerts.AlertList
  }).annotateMerge(
    operation("get_active_alerts", "alerts_retrieval", {
      summary: "Alerts that are open, newest first. max_alerts: 1 to 1,000, default 50."
    })
  ),
  HttpApiEndpoint.post("acknowledge", "/monitoring/alerts/:alert_id/acknowledge", {
    params: { alert_id: Schema.String },
    headers: parameters.ifMatch,
    payload: parameters.optionalReason,
    success: Alerts.Alert,
    error: [AdminError.businessLogic, AdminError.preconditionFailed]
  }).annotateMerge(
    operation("acknowledge_alert", "alert_acknowledgement", {
      summary: "Says that somebody looks after an alert.",
      scope: "operate",
      optionalBody: true
    })
  ),
  HttpApiEndpoint.get("session", "/monitoring/session/:session_id", {
    params: { session_id: Schema.String },
    success: Usage.SessionMetrics
  }).annotateMerge(
    operation("get_session_metrics", "session_metrics_retrieval", {
      summary: "What one session did. Nothing, for one that is not known."
    })
  ),
  HttpApiEndpoint.get("export", "/monitoring/export", {
    query: { format: Schema.optionalKey(Schema.String), time_window_hours: parameters.hours },
    success: [Export.Exported, Schema.String.pipe(HttpApiSchema.asText({ contentType: "text/csv; charset=utf-8" }))]
  }).annotateMerge(
    operation("export_metrics", "metrics_export", {
      summary:
        "All events that are kept, as text in JSON. format: json or csv. With Accept: text/csv a file of CSV, with application/octet-stream a file in that format."
    })
  ),
  HttpApiEndpoint.post("cleanup", "/monitoring/cleanup", {
    query: { hours: parameters.hours },
    headers: parameters.ifMatch,
    payload: parameters.optionalReason,
    success: Monitoring.Cleanup,
    error: AdminError.preconditionFailed
  }).annotateMerge(
    operation("cleanup_old_metrics", "metrics_cleanup", {
      summary: "Forgets events and resolved alerts of that age. hours: 1 to 8,760, default 24.",
      scope: "operate",
      optionalBody: true
    })
  )
) {}
