/**
 * What the admin API shows besides the operations. What the application
 * provides is taken as it is, and what it does not provide is started here.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Alerts from "../../monitoring/Alerts.ts"
import * as Health from "../../monitoring/Health.ts"
import * as Monitoring from "../../monitoring/Monitoring.ts"
import * as Performance from "../../monitoring/Performance.ts"
import * as Usage from "../../monitoring/Usage.ts"
import * as Metrics from "../../observability/Metrics.ts"
import type { Resilience } from "../../Resilience.ts"
import { EventLog } from "./eventLog.ts"

const orElse = <Id, Service, R>(
  service: Context.Key<Id, Service>,
  layer: Layer.Layer<Id, never, R>
): Layer.Layer<Id, never, R> =>
  Layer.unwrap(
    Effect.map(
      Effect.serviceOption(service),
      Option.match({ onNone: () => layer, onSome: (found) => Layer.succeed(service, found) })
    )
  )

const monitoring: Layer.Layer<Usage.Usage | Alerts.Alerts, never, Resilience> = Layer.unwrap(
  Effect.gen(function* () {
    const usage = yield* Effect.serviceOption(Usage.Usage)
    const alerts = yield* Effect.serviceOption(Alerts.Alerts)
    if (Option.isNone(usage)) {
      return Option.isNone(alerts)
        ? Monitoring.layer()
        : Layer.merge(Usage.layer(), Layer.succeed(Alerts.Alerts, alerts.value))
    }
    const known = Layer.succeed(Usage.Usage, usage.value)
    return Option.isNone(alerts)
      ? Layer.provideMerge(Alerts.layer(), known)
      : Layer.merge(known, Layer.succeed(Alerts.Alerts, alerts.value))
  })
)

/** Health knows the alerts, unless the application says where they come from. */
const health: Layer.Layer<Health.Health, never, Resilience | Alerts.Alerts> = Layer.unwrap(
  Effect.gen(function* () {
    const alerts = yield* Alerts.Alerts
    const source = yield* Health.AlertSource
    const isDefault = source === Context.get(Context.empty(), Health.AlertSource)
    const active = Effect.map(Effect.orDie(alerts.active({ maxAlerts: 1_000 })), ({ alerts }) => alerts)
    return Health.layer().pipe(Layer.provide(Layer.succeed(Health.AlertSource, isDefault ? active : source)))
  })
)

/** Its own registry: the application's may have the same series already. */
const metrics = Layer.provide(
  Metrics.layer({ events: false }),
  Layer.sync(Metric.MetricRegistry, () => new Map())
)

/** @internal */
export const layer: Layer.Layer<
  Usage.Usage | Alerts.Alerts | Health.Health | Performance.Performance | Metrics.Metrics | EventLog,
  never,
  Resilience
> = Layer.mergeAll(
  orElse(Health.Health, health),
  orElse(Performance.Performance, Performance.layer()),
  orElse(Metrics.Metrics, metrics),
  EventLog.layer
).pipe(Layer.provideMerge(monitoring))
