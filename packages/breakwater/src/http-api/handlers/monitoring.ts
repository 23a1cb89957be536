/**
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { Presets } from "../../config/Presets.ts"
import * as Alerts from "../../monitoring/Alerts.ts"
import * as Export from "../../monitoring/Export.ts"
import * as Monitoring from "../../monitoring/Monitoring.ts"
import * as Usage from "../../monitoring/Usage.ts"
import { Registry } from "../../Registry.ts"
import { Served } from "../internal/served.ts"
import { Commands } from "../Commands.ts"
import { accepts } from "../internal/accept.ts"
import * as lookup from "../internal/lookup.ts"
import * as refusals from "../internal/refusals.ts"

const statuses = ["active", "acknowledged", "resolved"] as const satisfies ReadonlyArray<Alerts.Alert["status"]>

const types: { readonly [Format in Export.Format]: string } = {
  json: "application/json",
  csv: "text/csv; charset=utf-8"
}

const file = ({ data, format }: Export.Exported): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.text(data, {
    contentType: types[format],
    headers: { "content-disposition": `attachment; filename="metrics.${format}"` }
  })

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = HttpApiBuilder.group(
  Served,
  "monitoring",
  Effect.fnUntraced(function* (handlers) {
    const resilience = yield* Registry
    const usage = yield* Usage.Usage
    const alerts = yield* Alerts.Alerts
    const presets = yield* Presets
    const commands = yield* Commands
    let cleanups = 0

    const bounded = Effect.mapError(refusals.outOfRange)

    const presetTrend = Effect.fnUntraced(function* (name: string, hours: number | undefined) {
      const trend = yield* bounded(usage.presetTrend(name, hours))
      // A preset that was used once is known, also if it is not there any more.
      if (trend.summary.totalUsage > 0) return trend
      const { preset } = yield* resilience.configuration
      const known = [...(yield* presets.list).map(({ key }) => key), preset.name]
      if (known.some((key) => key.toLowerCase() === name.trim().toLowerCase())) return trend
      return yield* refusals.unknownPreset(name, Array.from(new Set(known)).slice(0, 100))
    })

    const alert = (id: string) =>
      Effect.flatMap(Effect.orDie(alerts.history({ maxAlerts: 1_000 })), ({ alerts: all }) => {
        const found = all.find((alert) => alert.id === id)
        if (found !== undefined) {
          return Effect.succeed({ state: found.status, version: statuses.indexOf(found.status) })
        }
        const available = all.filter(({ status }) => status !== "resolved").map((alert) => alert.id)
        return Effect.fail(refusals.unknownAlert(new Alerts.UnknownAlert({ id, available: available.slice(0, 100) })))
      })

    const acknowledge = Effect.fn("AdminApi.acknowledge")(function* (
      id: string,
      ifMatch: string | undefined,
      reason: string | undefined
    ) {
      const actor = yield* lookup.actor
      const { value } = yield* commands.run(
        { command: "acknowledge_alert", resource: `alerts/${id}`, ifMatch, reason, read: alert(id) },
        () => Effect.mapError(alerts.acknowledge(id, actor), refusals.unknownAlert)
      )
      return value
    })

    const exported = Effect.fnUntraced(
      function* (format: string | undefined, hours: number | undefined, accept: string | undefined) {
        if (accepts(accept, "text/csv")) return file(yield* Export.metrics("csv", hours))
        const made = yield* Export.metrics(format ?? "json", hours)
        return accepts(accept, "application/octet-stream") ? file(made) : made
      },
      Effect.provideService(Usage.Usage, usage),
      Effect.mapError((error) =>
        error._tag === "OutOfRange" ? refusals.outOfRange(error) : refusals.unknownFormat(error)
      )
    )

    const kept = Effect.map(usage.size, (size) => ({ state: `${size} events`, version: cleanups }))

    const cleanup = Effect.fn("AdminApi.cleanup")(function* (
      hours: number | undefined,
      ifMatch: string | undefined,
      reason: string | undefined
    ) {
      const { value } = yield* commands.run(
        { command: "cleanup_old_metrics", resource: "monitoring", ifMatch, reason, read: kept },
        () =>
          Monitoring.cleanup(hours).pipe(
            Effect.provideService(Usage.Usage, usage),
            Effect.provideService(Alerts.Alerts, alerts),
            bounded,
            Effect.tap(() => Effect.sync(() => ++cleanups))
          )
      )
      return value
    })

    return handlers.handleAll({
      usageStatistics: ({ query }) => bounded(usage.usageStatistics(query.time_window_hours)),
      presetTrend: ({ params, query }) => presetTrend(params.preset_name, query.hours),
      performance: ({ query }) => bounded(usage.performance(query.hours)),
      alerts: ({ query }) => bounded(alerts.active({ maxAlerts: query.max_alerts, level: query.level })),
      acknowledge: ({ headers, params, payload }) => acknowledge(params.alert_id, headers["if-match"], payload?.reason),
      session: ({ params }) => usage.session(params.session_id),
      export: ({ query, request }) => exported(query.format, query.time_window_hours, request.headers["accept"]),
      cleanup: ({ headers, payload, query }) => cleanup(query.hours, headers["if-match"], payload?.reason)
    })
  })
)
