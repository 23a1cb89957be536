/**
 * Provides everything that watches the running operations and their
 * configuration.
 *
 * **Details**
 *
 * - `layer` watches a `Resilience` that is there; `layerConfiguration` builds a
 *   `Configuration` too and times its loads.
 * - The use of a preset is the calls that were made while it was in force. They
 *   are read off the counters of operations every minute.
 *
 * **Gotchas**
 *
 * A preset is in force for all calls, also for those whose strategy the code
 * names.
 *
 * **Example** (Watching a configuration)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Configuration, Monitoring, Usage } from "breakwater"
 *
 * const program = Effect.gen(function* () {
 *   const configuration = yield* Configuration.Configuration
 *   yield* configuration.reload()
 *   const { statistics } = yield* (yield* Usage.Usage).usageStatistics()
 *   return statistics.totalLoads
 * }).pipe(Effect.provide(Monitoring.layerConfiguration(Configuration.layer())))
 *
 * await Effect.runPromise(program) // => 2
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Configuration from "../config/Configuration.ts"
import * as Resolution from "../config/Resolution.ts"
import type { ResilienceEvent } from "../EventSchema.ts"
import * as Monotonic from "../Monotonic.ts"
import { Registry } from "../Registry.ts"
import type { Resilience } from "../Resilience.ts"
import * as Wire from "../Wire.ts"
import * as Alerts from "./Alerts.ts"
import * as Usage from "./Usage.ts"

/** Openings of circuits between two looks that are told apart by operation. */
const maxOperations = 100

/**
 * Records what the running operations do: the calls under the preset in force
 * at every look, the openings of circuits, and changes of what is in force.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerUsage: Layer.Layer<never, never, Usage.Usage | Resilience> = Layer.effectDiscard(
  Effect.gen(function* () {
    const usage = yield* Usage.Usage
    const resilience = yield* Registry
    const presetInForce = Effect.map(resilience.configuration, ({ preset }) => preset.name)
    let preset = yield* presetInForce
    let before: ReadonlyMap<string, number> = new Map()
    let openings = new Map<string, number>()

    const look = Effect.gen(function* () {
      const after = new Map<string, number>()
      const calls: Array<readonly [name: string, calls: number]> = []
      for (const { counters, name } of yield* resilience.operations) {
        after.set(name, counters.calls)
        const known = before.get(name) ?? 0
        // An operation that was forgotten begins again at 0.
        const more = counters.calls < known ? counters.calls : counters.calls - known
        if (more > 0) calls.push([name, more])
      }
      before = after
      if (calls.length > 0) {
        yield* usage.recordPresetUsage(preset, {
          operation: "calls",
          calls: calls.reduce((sum, [, more]) => sum + more, 0),
          metadata: {
            operations: calls.length,
            most_called: Object.fromEntries(calls.toSorted((a, b) => b[1] - a[1]).slice(0, 10))
          }
        })
      }
      const opened = openings
      openings = new Map()
      for (const [operation, count] of opened) {
        yield* usage.recordPerformance(preset, count, { operation, metadata: { event: "circuit_opened" } })
      }
    })

    const count = (event: ResilienceEvent): void => {
      if (event._tag !== "CircuitOpened") return
      const isTold = openings.size < maxOperations || openings.has(event.operation)
      const operation = isTold ? event.operation : "(others)"
      openings.set(operation, (openings.get(operation) ?? 0) + 1)
    }
    const end = resilience.listenUnsafe(count)
    yield* Effect.addFinalizer(() => Effect.sync(end))
    yield* resilience.events.pipe(
      Stream.runForEach((event) => {
        if (event._tag === "ConfigurationChanged" && event.fields.length > 0) {
          return Effect.gen(function* () {
            // Calls until now were made under the preset before.
            yield* look
            const from = preset
            preset = yield* presetInForce
            const { actor, fields, reason, version } = event
            yield* usage.recordChange(preset, { from, to: preset, metadata: { version, actor, reason, fields } })
          })
        }
        return Effect.void
      }),
      Effect.forkScoped({ startImmediately: true })
    )
    yield* Effect.forkScoped(Effect.repeat(look, Schedule.spaced(usage.settings.lookEvery)))
  })
)

const configTypeOf = ({ effective }: Resolution.Resolved): Usage.ConfigType => {
  const sources = effective.map(({ source }) => source)
  if (sources.some((source) => source === "runtime" || source === "RESILIENCE_CUSTOM_CONFIG")) return "custom"
  return sources.every((source) => source.startsWith("preset ")) ? "preset" : "legacy"
}

/** What a load came to, and what it cost. */
const told = (
  usage: Usage.Usage["Service"],
  exit: Exit.Exit<unknown, unknown>,
  startedAt: number,
  current: Effect.Effect<Resolution.Resolved> | undefined,
  options: { readonly operation: string; readonly isLoad: boolean; readonly isCheck: boolean }
): Effect.Effect<void> =>
  Effect.gen(function* () {
    const millis = Monotonic.now(yield* Clock.Clock) - startedAt
    const { isCheck, isLoad, operation } = options
    const resolved = current === undefined ? undefined : yield* current
    const preset = resolved?.preset.key ?? "unknown"
    if (Exit.isSuccess(exit)) {
      if (isLoad && resolved !== undefined) {
        yield* usage.recordLoad(preset, millis, { operation, configType: configTypeOf(resolved) })
      }
      if (isCheck) yield* usage.recordValidation(preset, true, { operation })
      return
    }
    if (Cause.hasInterruptsOnly(exit.cause)) return
    const error = Cause.squash(exit.cause)
    // Refused before anything was loaded.
    if (error instanceof Configuration.StaleVersion || error instanceof Configuration.UnknownChange) return
    if (isLoad) yield* usage.recordError(preset, error, { operation, metadata: { duration_ms: millis } })
    if (isCheck && error instanceof Resolution.InvalidConfiguration) {
      const errors = error.problems.map(({ variable }) => variable)
      yield* usage.recordValidation(preset, false, { operation, errors })
    }
  })

/**
 * Times the loads of a configuration: the first one, while its layer is built,
 * and those of later changes. Changes and reloads count as validations too, a
 * dry run as a validation only.
 *
 * @category layers
 * @since 0.1.0
 */
export const watch = <ROut, E, R>(
  self: Layer.Layer<Configuration.Configuration | ROut, E, R>
): Layer.Layer<Configuration.Configuration | ROut, E, R | Usage.Usage> =>
  Layer.fromBuildMemo((memoMap, scope) =>
    Effect.gen(function* () {
      const usage = yield* Usage.Usage
      const startedAt = Monotonic.now(yield* Clock.Clock)
      const first = { operation: "load_config", isLoad: true, isCheck: false }
      const context = yield* Effect.onExit(Layer.buildWithMemoMap(self, memoMap, scope), (exit) =>
        Exit.isFailure(exit) ? told(usage, exit, startedAt, undefined, first) : Effect.void
      )
      const inner = Context.get(context as Context.Context<Configuration.Configuration>, Configuration.Configuration)
      yield* told(usage, Exit.void, startedAt, inner.current, first)
      const watched =
        (operation: string, options: { readonly dryRun: boolean | undefined; readonly isCheck: boolean }) =>
        <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
          Effect.flatMap(Clock.Clock, (clock) => {
            const startedAt = Monotonic.now(clock)
            const isLoad = options.dryRun !== true
            return Effect.onExit(effect, (exit) =>
              told(usage, exit, startedAt, inner.current, { operation, isLoad, isCheck: options.isCheck })
            )
          })
      const outer = Configuration.Configuration.of({
        ...inner,
        apply: (change) => watched("apply", { dryRun: change.dryRun, isCheck: true })(inner.apply(change)),
        reset: (by) => watched("reset", { dryRun: by?.dryRun, isCheck: false })(inner.reset(by)),
        reload: (by) => watched("reload", { dryRun: by?.dryRun, isCheck: true })(inner.reload(by)),
        rollback: (version, by) =>
          watched("rollback", { dryRun: by?.dryRun, isCheck: false })(inner.rollback(version, by))
      })
      return Context.merge(context, Context.make(Configuration.Configuration, outer))
    })
  )

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  readonly usage?: Usage.SettingsInput | Usage.Settings | undefined
  readonly alerts?: Alerts.SettingsInput | Alerts.Settings | undefined
}

const layerOver = (options: Options): Layer.Layer<Alerts.Alerts, never, Resilience | Usage.Usage> =>
  Layer.merge(Alerts.layer(options.alerts), layerUsage)

/**
 * Watches the running operations. Throws `InvalidSettings` at once.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<Alerts.Alerts | Usage.Usage, never, Resilience> =>
  Layer.provideMerge(layerOver(options), Usage.layer(options.usage))

/**
 * Watches the running operations of a configuration, and that configuration.
 * Throws `InvalidSettings` at once.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfiguration = <ROut, E, R>(
  configuration: Layer.Layer<Configuration.Configuration | Resilience | ROut, E, R>,
  options: Options = {}
): Layer.Layer<
  Alerts.Alerts | Usage.Usage | Configuration.Configuration | Resilience | ROut,
  E,
  Exclude<R, Usage.Usage>
> =>
  layerOver(options).pipe(
    Layer.provideMerge(watch<ROut | Resilience, E, R>(configuration)),
    Layer.provideMerge(Usage.layer(options.usage))
  )

/**
 * What a cleanup removed.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Cleanup = Wire.snakeCase("MonitoringCleanup", {
  cleanupThresholdHours: Schema.Int,
  metricsRemoved: Schema.Int,
  alertsRemoved: Schema.Int,
  metricsRemaining: Schema.Int,
  alertsRemaining: Schema.Int,
  cleanupTimestamp: Wire.Timestamp
})

/**
 * @category models
 * @since 0.1.0
 */
export type Cleanup = typeof Cleanup.Type

/**
 * Forgets events that are so many hours old, and alerts that were resolved so
 * long ago, or longer. Open alerts stay.
 *
 * @category combinators
 * @since 0.1.0
 */
export const cleanup = Effect.fnUntraced(function* (
  hours = 24
): Effect.fn.Return<Cleanup, Usage.OutOfRange, Usage.Usage | Alerts.Alerts> {
  const metrics = yield* (yield* Usage.Usage).clearOlderThan(hours)
  const alerts = yield* (yield* Alerts.Alerts).clearOlderThan(hours)
  return {
    cleanupThresholdHours: hours,
    metricsRemoved: metrics.removed,
    alertsRemoved: alerts.removed,
    metricsRemaining: metrics.remaining,
    alertsRemaining: alerts.remaining,
    cleanupTimestamp: yield* DateTime.now
  }
})
