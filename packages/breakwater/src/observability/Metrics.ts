/**
 * Exports the numbers of the operations as Effect metrics, for Prometheus and
 * OTLP.
 *
 * **Details**
 *
 * | metric | type | labels besides `operation` |
 * | --- | --- | --- |
 * | `breakwater_calls_total` | counter | `outcome`: `succeeded`, `failed`, `rejected`, `interrupted` |
 * | `breakwater_failures_total` | counter | `kind`: as `Errors.classify` says, or `defect` |
 * | `breakwater_rejections_total` | counter | `reason`: the tag of ours, such as `CircuitOpen` |
 * | `breakwater_attempts_total` | counter | |
 * | `breakwater_retries_total` | counter | |
 * | `breakwater_retries_exhausted_total` | counter | |
 * | `breakwater_fallbacks_total` | counter | |
 * | `breakwater_tier_fallbacks_total` | counter | `tier`: the lower one of `Tiered` that answered |
 * | `breakwater_timeouts_total` | counter | |
 * | `breakwater_in_flight` | gauge | |
 * | `breakwater_abandoned` | gauge | |
 * | `breakwater_call_duration_seconds` | summary | `quantile`: `0.5`, `0.9`, `0.95`, `0.99`, `1` |
 * | `breakwater_attempt_duration_seconds` | summary | the same |
 * | `breakwater_circuit_state` | gauge, 0 or 1 | `state`: `closed`, `open`, `half_open`, `isolated`, `disabled`, `metrics_only` |
 * | `breakwater_circuits` | gauge | `state` |
 * | `breakwater_circuit_transitions_total` | counter | `to`: `open`, `half_open`, `closed` |
 * | `breakwater_circuit_state_seconds_total` | counter | `state`: as above |
 * | `breakwater_circuit_failures` | gauge | |
 * | `breakwater_bulkhead_active`, `_queued`, `_limit` | gauge | |
 * | `breakwater_bulkhead_rejected_total`, `_waited_total` | counter | |
 * | `breakwater_rate_limit_available`, `_waiting`, `_paused_seconds` | gauge | `scope`: `admission`, `quota` |
 * | `breakwater_rate_limit_granted_total`, `_refused_total`, `_waited_total` | counter | `scope` |
 * | `breakwater_retry_budget_tokens` | gauge | |
 * | `breakwater_retries_refused_total` | counter | |
 * | `breakwater_coalesce_waiting` | gauge | |
 * | `breakwater_coalesced_calls_total` | counter | |
 * | `breakwater_operations` | gauge | no `operation` |
 * | `breakwater_events_total` | counter | `event`, no `operation` |
 *
 * - Nothing is counted twice: an exporter that reads the metrics makes them
 *   read the operations, so calls pay nothing.
 * - A summary has the quantiles of the latest half to whole minute, and the
 *   count and sum of all time. Without a call in that time it has no quantiles.
 * - An operation has the series of a policy from when it first had the policy.
 * - No label holds a key. The circuits of an operation are one series: the
 *   worst state, the most failures, the sum of transitions. So are the keys of
 *   its limits: the least that is available, the longest pause, the sum of calls.
 * - Operations beyond `maxOperations` are one, called `(other)`, and so are tiers
 *   beyond 16 of an operation. An operation that is forgotten takes its series
 *   with it, but for those of its tiers.
 * - The time in a state is that of all circuits of the operation together.
 *
 * **Gotchas**
 *
 * - An operation that is new is in the second pull of an exporter that knows
 *   nothing of this module. `prometheus`, `layerHttp` and `refresh` look for
 *   new ones first.
 * - Provide exporters below this layer. When it closes, it lets the OTLP
 *   exporters there send the last numbers, and removes its series.
 * - One layer for each metric registry: a second one takes over the series.
 * - Events and tiers are counted from when this layer is built, all others from
 *   the start of the operation. All are exact, in a burst too.
 *
 * **Example** (A scrape)
 *
 * ```ts import.meta.vitest
 * import { Effect, Layer } from "effect"
 * import { Preset, Resilience, withOperation } from "breakwater"
 * import { Metrics } from "breakwater/observability"
 *
 * const program = Effect.gen(function*() {
 *   yield* Effect.succeed("a summary").pipe(withOperation("summarize_text"))
 *   const text = yield* Metrics.prometheus()
 *   return text.split("\n").filter((line) => line.startsWith("breakwater_attempts_total"))
 * }).pipe(Effect.provide(Layer.provideMerge(Metrics.layer(), Resilience.layer(Preset.production))))
 *
 * await Effect.runPromise(program) // => ["breakwater_attempts_total{operation=\"summarize_text\"} 1"]
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as OtlpExporter from "effect/observability/OtlpExporter"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Option from "effect/Option"
import type { Snapshot } from "../Operation.ts"
import { Registry } from "../Registry.ts"
import type { Resilience } from "../Resilience.ts"
import { ResilienceEvent } from "../ResilienceEvent.ts"
import { InvalidSettings } from "../Settings.ts"
import { parts } from "./internal/parts.ts"
import { Row } from "./internal/row.ts"
import * as series from "./internal/series.ts"
import { Tiers } from "./internal/tiers.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Operations with series of their own, 1 to 1,000,000. The first that are seen. Default 1,000. */
  readonly maxOperations?: number | undefined
  /**
   * Whether events are counted, and answers by tier. Policies build events only
   * for someone who listens: `false` leaves failures as cheap as they are without.
   * Default `true`.
   */
  readonly events?: boolean | undefined
}

/**
 * The exported metrics.
 *
 * @category services
 * @since 0.1.0
 */
export class Metrics extends Context.Service<
  Metrics,
  {
    /** Reads the operations and adds series for those that are new. */
    readonly refresh: Effect.Effect<void>
    /** Every metric of the program after a refresh, in the text format of Prometheus. */
    readonly prometheus: (options?: PrometheusMetrics.FormatOptions) => Effect.Effect<string>
  }
>()("breakwater/observability/Metrics") {}

/**
 * Exports the operations below it. Throws `InvalidSettings`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Metrics, never, Resilience> => {
  const { events: countsEvents = true, maxOperations = 1000 } = options
  if (!Number.isInteger(maxOperations) || maxOperations < 1 || maxOperations > 1_000_000) {
    const rule = `expected a whole number from 1 to 1000000, got ${maxOperations}`
    throw new InvalidSettings({
      settings: "Metrics",
      findings: [{ path: "maxOperations", value: maxOperations, rule }]
    })
  }
  return Layer.effect(
    Metrics,
    Effect.gen(function* () {
      const { listenUnsafe, operations } = yield* Registry
      const context = yield* Effect.context()
      const exporters = yield* Effect.serviceOption(OtlpExporter.Flusher)
      const exported = new Exported(context, maxOperations, () => Effect.runSyncWith(context)(operations))
      const refresh = Effect.sync(() => exported.refresh())
      yield* Effect.addFinalizer(() =>
        refresh.pipe(
          Effect.andThen(Option.isNone(exporters) ? Effect.void : exporters.value.flush),
          // A collector may hang.
          Effect.timeoutOption("3 seconds"),
          Effect.andThen(Effect.sync(() => exported.close()))
        )
      )
      if (countsEvents) {
        const end = listenUnsafe(exported.countEvents())
        yield* Effect.addFinalizer(() => Effect.sync(end))
      }
      return Metrics.of({
        refresh,
        prometheus: (options) => Effect.sync(() => exported.prometheus(options))
      })
    })
  )
}

/**
 * Every metric of the program, in the text format of Prometheus.
 *
 * @category accessors
 * @since 0.1.0
 */
export const prometheus = (options?: PrometheusMetrics.FormatOptions): Effect.Effect<string, never, Metrics> =>
  Effect.flatMap(Metrics, (metrics) => metrics.prometheus(options))

/**
 * Serves `prometheus` to everyone who reaches the router, at `/metrics` unless
 * `path` says otherwise.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerHttp = (
  options: PrometheusMetrics.HttpOptions = {}
): Layer.Layer<never, never, Metrics | HttpRouter.HttpRouter> => {
  const { path = "/metrics", ...format } = options
  return Layer.effectDiscard(
    Effect.gen(function* () {
      const router = yield* HttpRouter.HttpRouter
      const metrics = yield* Metrics
      const response = Effect.map(metrics.prometheus(format), (text) =>
        HttpServerResponse.text(text, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
      )
      yield* router.add("GET", path, response)
    })
  )
}

/** What is registered for one operation. */
interface Entry {
  readonly row: Row
  readonly registrations: Array<Metric.Registration>
  /** Places in `parts` whose series are registered. */
  readonly parts: Set<number>
}

const rest = series.rest

/** The series in a metric registry. */
class Exported {
  private readonly context: Context.Context<never>
  private readonly maxOperations: number
  private readonly operations: () => ReadonlyArray<Snapshot>
  private readonly entries = new Map<string, Entry>()
  private readonly own: Array<Metric.Registration> = []
  private readonly tiers: Tiers
  private others: Entry | undefined = undefined
  private running = 0
  private isFresh = false

  constructor(context: Context.Context<never>, maxOperations: number, operations: () => ReadonlyArray<Snapshot>) {
    this.context = context
    this.maxOperations = maxOperations
    this.operations = operations
    this.tiers = new Tiers(maxOperations)
    const running = Metric.gauge("breakwater_operations", {
      description: "Operations that have started",
      attributes: { unit: "{operation}" }
    })
    // An exporter reads the series in the order of their registration. This one is
    // the first of ours, so a pull begins with a refresh.
    this.own.push(
      this.register(running, () => {
        if (!this.isFresh) this.refresh()
        return { value: this.running }
      })
    )
    this.refresh()
  }

  refresh(): void {
    const snapshots = new Map(this.operations().map((snapshot) => [snapshot.name, snapshot]))
    this.running = snapshots.size
    for (const [name, { registrations }] of this.entries) {
      if (snapshots.has(name)) continue
      this.entries.delete(name)
      for (const registration of registrations) registration.remove()
    }
    const others: Array<Snapshot> = []
    for (const [name, snapshot] of snapshots) {
      let entry = this.entries.get(name)
      if (entry === undefined) {
        if (this.entries.size >= this.maxOperations) {
          others.push(snapshot)
          continue
        }
        this.entries.set(name, (entry = this.start(name)))
      }
      this.update(name, entry, [snapshot])
    }
    if (others.length > 0) this.others ??= this.start(rest)
    if (this.others !== undefined) this.update(rest, this.others, others)
    for (const [operation, tier, read] of this.tiers.takeNew()) {
      this.own.push(this.counter({ ...series.tierFallbacks, labels: { tier } }, operation, read))
    }
  }

  prometheus(options?: PrometheusMetrics.FormatOptions): string {
    this.refresh()
    this.isFresh = true
    try {
      return PrometheusMetrics.formatUnsafe(this.context, options)
    } finally {
      this.isFresh = false
    }
  }

  /** Counts events and answers by tier from now on. */
  countEvents(): (event: ResilienceEvent) => void {
    const counts = new Map<string, number>()
    for (const event of Object.keys(ResilienceEvent.cases)) {
      const counter = Metric.counter("breakwater_events_total", {
        description: "Events of all operations",
        incremental: true,
        attributes: { event }
      })
      this.own.push(this.register(counter, () => ({ count: counts.get(event) ?? 0, incremental: true })))
    }
    return (event) => {
      counts.set(event._tag, (counts.get(event._tag) ?? 0) + 1)
      if (event._tag === "FallbackServed" && event.tier !== undefined) this.tiers.count(event.operation, event.tier)
    }
  }

  close(): void {
    for (const { registrations } of this.entries.values()) this.own.push(...registrations)
    if (this.others !== undefined) this.own.push(...this.others.registrations)
    for (const registration of this.own) registration.remove()
  }

  private start(operation: string): Entry {
    const row = new Row()
    const registrations = series.durations.map(({ description, name }, index) => {
      const summary = Metric.summaryWithTimestamp(name, {
        description,
        attributes: { operation, unit: "seconds" },
        quantiles: series.quantiles,
        // Nothing is kept here.
        maxAge: 0,
        maxSize: 0
      })
      return this.register(summary, () => ({ ...row.durations(index), min: 0, max: 0 }))
    })
    series.counters.forEach((each, index) => {
      registrations.push(this.counter(each, operation, () => row.counter(index)))
    })
    this.gauges(series.gauges, operation, row, registrations)
    return { row, registrations, parts: new Set() }
  }

  private update(operation: string, entry: Entry, snapshots: ReadonlyArray<Snapshot>): void {
    const { registrations, row } = entry
    row.update(snapshots)
    parts.forEach(({ counters, gauges }, part) => {
      if (!row.has(part) || entry.parts.has(part)) return
      entry.parts.add(part)
      counters.forEach((each, index) => {
        registrations.push(this.counter(each, operation, () => row.counterOf(part, index)))
      })
      this.gauges(gauges, operation, row, registrations)
    })
  }

  private counter(of: series.Series, operation: string, read: () => number): Metric.Registration {
    const { description, labels, name } = of
    const counter = Metric.counter(name, { description, incremental: true, attributes: { operation, ...labels } })
    return this.register(counter, () => ({ count: read(), incremental: true }))
  }

  private gauges(
    all: ReadonlyArray<series.Gauge>,
    operation: string,
    row: Row,
    registrations: Array<Metric.Registration>
  ): void {
    for (const each of all) {
      const { description, labels, name, unit } = each
      const gauge = Metric.gauge(name, { description, attributes: { operation, ...labels, unit } })
      registrations.push(this.register(gauge, () => ({ value: row.gauge(each) })))
    }
  }

  private register<Input, State>(metric: Metric.Metric<Input, State>, get: () => State): Metric.Registration {
    return Metric.registerUnsafe(metric, this.context, { get, update: nothing, modify: nothing })
  }
}

const nothing = (): void => {}
