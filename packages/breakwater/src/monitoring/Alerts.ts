/**
 * Raises alerts when something needs a look, and takes them back when it is
 * over.
 *
 * **Details**
 *
 * | rule | about | level |
 * | --- | --- | --- |
 * | `error_rate` | an operation that fails for 5 % of its calls, over 5 minutes | warning, critical from 10 % |
 * | `slo_burn_…` | an operation that uses up its error budget, over a long and a short window | critical, error |
 * | `circuit_open` | an operation with a circuit that is open or half-open | error |
 * | `circuit_closed` | the same, once it is over | info |
 * | `circuits_open` | more than 3 open circuits | critical |
 * | `load_time` | a preset whose configuration took longer than 100 ms to load | warning |
 * | `config_error` | a configuration that did not load | error |
 * | `change_frequency` | more than 10 changes of the configuration in an hour | warning |
 * | `validation_failure` | more than 10 % of the checked configurations are invalid, in an hour | warning |
 *
 * The rules look every 5 seconds. An open circuit is told at once. One alert at
 * most is open for each rule and subject. That an alert is raised, acknowledged
 * or resolved is an event.
 *
 * **Gotchas**
 *
 * - A call counts as an error if it failed or was refused, even if a fallback
 *   answered it. Interrupted calls count neither way.
 * - The same alert is not raised again within 5 minutes after its end, unless at
 *   a higher level. If the condition holds then, it is raised.
 * - A level only rises while an alert is open. The rise is an event of its own
 *   and takes back the acknowledgement.
 * - Rates say nothing below 10 calls.
 *
 * **Example** (Looking at alerts)
 *
 * ```ts import.meta.vitest
 * import { Effect, Layer } from "effect"
 * import { Alerts, Resilience, Strategy, Usage, withResilience } from "breakwater"
 *
 * const fragile = Strategy.make("fragile", { retry: false, circuitBreaker: { failureThreshold: 1 } })
 *
 * const program = Effect.gen(function* () {
 *   const alerts = yield* Alerts.Alerts
 *   yield* Effect.exit(Effect.fail("down").pipe(withResilience(fragile, { operation: "payments" })))
 *   yield* alerts.look
 *   const { alerts: [alert] } = yield* alerts.active({ level: "error" })
 *   const { status } = yield* alerts.acknowledge(alert!.id, "ada")
 *   return [alert!.title, status]
 * }).pipe(
 *   Effect.provide(Alerts.layer().pipe(Layer.provideMerge(Usage.layer()), Layer.provideMerge(Resilience.layer())))
 * )
 *
 * await Effect.runPromise(program) // => ["Circuit of payments is open", "acknowledged"]
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as machine from "../internal/alertMachine.ts"
import { hourMillis } from "../internal/trend.ts"
import * as Monotonic from "../Monotonic.ts"
import { Registry } from "../Registry.ts"
import type { Resilience } from "../Resilience.ts"
import { ResilienceEvents } from "../ResilienceEvent.ts"
import * as Settings_ from "../Settings.ts"
import * as Wire from "../Wire.ts"
import * as rules from "./internal/alertRules.ts"
import { cut } from "./internal/boundedJson.ts"
import { maxHours, MetricType, type OutOfRange, type Cleared, Usage, within } from "./Usage.ts"

/**
 * How much an alert matters.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Level = Schema.Literals(["info", "warning", "error", "critical"])

/**
 * @category models
 * @since 0.1.0
 */
export type Level = typeof Level.Type

const window = Settings_.duration({ minimum: "1 minute", maximum: "7 days" })

/**
 * Errors come at least so many times faster than the objective allows, over a
 * long window and over a short one.
 *
 * @category schemas
 * @since 0.1.0
 */
export class BurnRate extends Schema.Class<BurnRate>("breakwater/monitoring/Alerts/BurnRate")({
  /** 1 to 10,000. */
  factor: Settings_.number({ minimum: 1, maximum: 10_000 }),
  /** 1 minute to 7 days. */
  short: window,
  /** 1 minute to 7 days. */
  long: window,
  level: Level
}) {}

/**
 * @category models
 * @since 0.1.0
 */
export interface BurnRateInput {
  readonly factor: number
  readonly short: Duration.Input
  readonly long: Duration.Input
  readonly level: Level
}

const defaultBurnRates: ReadonlyArray<BurnRate> = [
  new BurnRate({ factor: 14.4, short: Duration.minutes(5), long: Duration.hours(1), level: "critical" }),
  new BurnRate({ factor: 6, short: Duration.minutes(30), long: Duration.hours(6), level: "error" })
]

/**
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/monitoring/Alerts/Settings")({
  /** Time between two looks, 1 second to 1 hour. Default 5 seconds. */
  lookEvery: Settings_.duration({ minimum: "1 second", maximum: "1 hour" }).pipe(
    Settings_.withDefault(Duration.seconds(5))
  ),
  /** Time after its end before an alert is raised again, 1 second to 1 day. Default 5 minutes. */
  cooldown: Settings_.duration({ minimum: "1 second", maximum: "1 day" }).pipe(
    Settings_.withDefault(Duration.minutes(5))
  ),
  /** Alerts kept, open and resolved, 10 to 10,000. Default 1,000. */
  maxAlerts: Settings_.count({ minimum: 10, maximum: 10_000 }).pipe(Settings_.withDefault(1000)),
  /** Share of calls from which a warning is raised, 0.0001 to 1. Default 0.05. */
  errorRate: Settings_.number({ minimum: 0.0001, maximum: 1 }).pipe(Settings_.withDefault(0.05)),
  /** 1 minute to 7 days. Default 5 minutes. */
  errorWindow: window.pipe(Settings_.withDefault(Duration.minutes(5))),
  /** Calls, or validations, below which a rate says nothing, 1 to 1,000,000. Default 10. */
  minimumCalls: Settings_.count({ minimum: 1, maximum: 1_000_000 }).pipe(Settings_.withDefault(10)),
  /** Share of calls that should succeed, 0.5 to 0.99999. Default 0.99. */
  objective: Settings_.number({ minimum: 0.5, maximum: 0.999_99 }).pipe(Settings_.withDefault(0.99)),
  /** Default 14.4 times over 5 minutes and 1 hour, 6 times over 30 minutes and 6 hours. At most 4. */
  burnRates: Schema.Array(BurnRate).check(Schema.isMaxLength(4)).pipe(Settings_.withDefault(defaultBurnRates)),
  /** Open circuits that are not many yet, 1 to 1,000,000. Default 3. */
  openCircuits: Settings_.count({ minimum: 1, maximum: 1_000_000 }).pipe(Settings_.withDefault(3)),
  /** Time that a load may take, 1 ms to 1 hour. Default 100 ms. */
  loadTime: Settings_.duration({ minimum: "1 milli", maximum: "1 hour" }).pipe(
    Settings_.withDefault(Duration.millis(100))
  ),
  /** Changes in an hour that are not many yet, 1 to 10,000. Default 10. */
  changesPerHour: Settings_.count({ minimum: 1, maximum: 10_000 }).pipe(Settings_.withDefault(10)),
  /** Share of validations that may fail, 0 to 1. Default 0.1. */
  validationFailureRate: Settings_.number({ minimum: 0, maximum: 1 }).pipe(Settings_.withDefault(0.1))
}) {}

/**
 * Settings as code writes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly lookEvery?: Duration.Input | undefined
  readonly cooldown?: Duration.Input | undefined
  readonly maxAlerts?: number | undefined
  readonly errorRate?: number | undefined
  readonly errorWindow?: Duration.Input | undefined
  readonly minimumCalls?: number | undefined
  readonly objective?: number | undefined
  readonly burnRates?: ReadonlyArray<BurnRateInput | BurnRate> | undefined
  readonly openCircuits?: number | undefined
  readonly loadTime?: Duration.Input | undefined
  readonly changesPerHour?: number | undefined
  readonly validationFailureRate?: number | undefined
}

const durations = ["lookEvery", "cooldown", "errorWindow", "loadTime"] as const

/**
 * Checks settings. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settings = (input: SettingsInput | Settings = {}): Settings => {
  if (input instanceof Settings) return input
  const burnRates = input.burnRates?.map((rate) =>
    rate instanceof BurnRate
      ? rate
      : Settings_.make(BurnRate, { settings: "Alerts.BurnRate", input: rate, durations: ["short", "long"] })
  )
  return Settings_.make(Settings, { settings: "Alerts", input: { ...input, burnRates }, durations })
}

/**
 * One alert.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Alert = Wire.snakeCase("Alert", {
  id: Schema.String,
  /** When it was raised. */
  timestamp: Wire.Timestamp,
  level: Level,
  title: Schema.String,
  description: Schema.String,
  presetName: Schema.String,
  /** The operation it is about, or `configuration`, or `circuits` for all of them. */
  operation: Schema.String,
  metricType: MetricType,
  thresholdValue: Schema.Finite,
  /** The latest number while the alert is open. */
  actualValue: Schema.Finite,
  /** Has the `rule`, and facts of that rule. */
  metadata: Schema.Record(Schema.String, Schema.Json),
  status: Schema.Literals(["active", "acknowledged", "resolved"]),
  acknowledgedBy: Wire.orNull(Schema.String),
  resolvedAt: Wire.orNull(Wire.Timestamp)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Alert = typeof Alert.Type

/**
 * Alerts, newest first, and what all open alerts come to.
 *
 * @category schemas
 * @since 0.1.0
 */
export const AlertList = Wire.snakeCase("AlertList", {
  alerts: Schema.Array(Alert),
  /** Of every alert that is open, whatever was asked for. */
  summary: Wire.snakeCase("AlertSummary", {
    totalAlerts: Schema.Int,
    alertCounts: Schema.Struct({
      info: Schema.Int,
      warning: Schema.Int,
      error: Schema.Int,
      critical: Schema.Int
    }).annotate({ identifier: "AlertCounts" }),
    hasCritical: Schema.Boolean,
    hasErrors: Schema.Boolean
  })
})

/**
 * @category models
 * @since 0.1.0
 */
export type AlertList = typeof AlertList.Type

/**
 * No alert of that id is open: there never was one, or it is resolved.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownAlert extends Data.TaggedError("UnknownAlert")<{
  readonly id: string
  /** Ids of open alerts, newest first, 100 at most. */
  readonly available: ReadonlyArray<string>
}> {
  override get message(): string {
    const { available, id } = this
    return `No alert ${JSON.stringify(cut(id, 80))} is open. Open: ${available.slice(0, 10).join(", ") || "none"}`
  }
}

/**
 * Which alerts to list.
 *
 * @category models
 * @since 0.1.0
 */
export interface Query {
  /** 1 to 1,000. Default 50. The newest, of those that the level leaves. */
  readonly maxAlerts?: number | undefined
  readonly level?: Level | undefined
}

/**
 * @category services
 * @since 0.1.0
 */
export class Alerts extends Context.Service<
  Alerts,
  {
    /** Alerts that are open: active or acknowledged. */
    readonly active: (query?: Query) => Effect.Effect<AlertList, OutOfRange>
    /** Alerts that are kept, resolved ones too. */
    readonly history: (query?: Query) => Effect.Effect<AlertList, OutOfRange>
    /** Says who looks after an alert. A second actor changes nothing. */
    readonly acknowledge: (id: string, actor: string) => Effect.Effect<Alert, UnknownAlert>
    /** Applies the rules now. */
    readonly look: Effect.Effect<void>
    /** Forgets alerts that were resolved so many hours ago, or earlier. */
    readonly clearOlderThan: (hours: number) => Effect.Effect<Cleared, OutOfRange>
  }
>()("breakwater/monitoring/Alerts") {}

type State = machine.State<rules.Facts>

const machineSettings = (settings: Settings, prefix: string): machine.Settings => ({
  capacity: settings.maxAlerts,
  cooldown: Duration.toMillis(settings.cooldown),
  prefix
})

const ruleSettings = (settings: Settings): rules.Settings => ({
  errorRate: settings.errorRate,
  errorWindow: Duration.toMillis(settings.errorWindow),
  minimumCalls: settings.minimumCalls,
  objective: settings.objective,
  burnRates: settings.burnRates.map(({ factor, level, long, short }) => ({
    factor,
    level,
    short: Duration.toMillis(short),
    long: Duration.toMillis(long)
  })),
  openCircuits: settings.openCircuits,
  loadTime: Duration.toMillis(settings.loadTime),
  changesPerHour: settings.changesPerHour,
  validationFailureRate: settings.validationFailureRate,
  cooldown: Duration.toMillis(settings.cooldown)
})

/** An alert with the preset that was in force when it was raised. */
type Told = machine.Alert<rules.Facts>

const alertOf = (alert: Told): Alert => {
  const { facts } = alert
  return {
    id: alert.id,
    timestamp: DateTime.makeUnsafe(alert.raisedAt.at),
    level: alert.level,
    title: facts.title,
    description: facts.description,
    presetName: facts.preset ?? "unknown",
    operation: facts.operation,
    metricType: facts.metricType,
    thresholdValue: alert.threshold,
    actualValue: alert.actual,
    metadata: { rule: alert.rule, ...facts.metadata },
    status: alert.status,
    acknowledgedBy: Option.fromUndefinedOr(alert.acknowledgedBy),
    resolvedAt: Option.map(Option.fromUndefinedOr(alert.resolvedAt), ({ at }) => DateTime.makeUnsafe(at))
  }
}

const isOpen = ({ status }: Told): boolean => status !== "resolved"

const summaryOf = (open: ReadonlyArray<Told>): AlertList["summary"] => {
  const alertCounts = { info: 0, warning: 0, error: 0, critical: 0 }
  for (const { level } of open) alertCounts[level]++
  return {
    totalAlerts: open.length,
    alertCounts,
    hasCritical: alertCounts.critical > 0,
    hasErrors: alertCounts.error > 0
  }
}

const make = Effect.fnUntraced(function* (settings: Settings) {
  const usage = yield* Usage
  const resilience = yield* Registry
  const sink = yield* ResilienceEvents
  const clock = yield* Clock.Clock
  const ofMachine = machineSettings(settings, `alert-${clock.currentTimeMillisUnsafe().toString(36)}`)
  const ofRules = ruleSettings(settings)
  const alerts = yield* Ref.make<State>(machine.empty)
  const counted = yield* Ref.make(rules.empty)

  const nowOf = (clock: Clock.Clock): machine.Now => ({
    now: Monotonic.now(clock),
    at: clock.currentTimeMillisUnsafe()
  })

  const commonOf = ({ facts, id, level, rule, subject }: Told, { at }: machine.Now) => ({
    at: DateTime.makeUnsafe(at),
    id,
    rule,
    subject,
    level,
    title: facts.title
  })

  const publish = (changes: ReadonlyArray<machine.Change<rules.Facts>>, now: machine.Now): void => {
    for (const { _tag, alert } of changes) {
      const common = commonOf(alert, now)
      if (_tag === "Resolved") sink.publishUnsafe({ _tag: "AlertResolved", ...common })
      else {
        const { actual, facts, threshold } = alert
        const { description } = facts
        sink.publishUnsafe({ _tag: "AlertRaised", ...common, description, threshold, actual })
      }
    }
  }

  /** Makes a step, and tells it after it is made. */
  const step = (next: (state: State, now: machine.Now) => machine.Step<rules.Facts>): Effect.Effect<void> =>
    Effect.flatMap(Clock.Clock, (clock) => {
      const now = nowOf(clock)
      return Effect.map(
        Ref.modify(alerts, (state) => next(state, now)),
        (changes) => publish(changes, now)
      )
    })

  const named =
    (preset: string) =>
    (firing: machine.Firing<rules.Facts>): machine.Firing<rules.Facts> =>
      firing.facts.preset === undefined ? { ...firing, facts: { ...firing.facts, preset } } : firing

  const raiseAll = (
    state: State,
    now: machine.Now,
    firings: ReadonlyArray<machine.Firing<rules.Facts>>
  ): machine.Step<rules.Facts> => {
    let current = state
    const changes = firings.flatMap((firing) => {
      const [raised, next] = machine.raise(ofMachine, current, now, firing)
      current = next
      return raised
    })
    return [changes, current]
  }

  const look = Effect.gen(function* () {
    const snapshots = yield* resilience.operations
    const signals = yield* usage.signals(ofRules.errorWindow)
    const { preset } = yield* resilience.configuration
    const now = Monotonic.now(yield* Clock.Clock)
    const counts = snapshots.map(({ counters: { failed, rejected, succeeded }, name }) => ({
      name,
      finished: succeeded + failed + rejected,
      bad: failed + rejected
    }))
    const circuits = snapshots.flatMap((snapshot) =>
      snapshot.circuits.filter(({ state }) => state === "open" || state === "half_open")
    )
    const state = yield* Ref.updateAndGet(counted, (state) => rules.count(ofRules, state, now, counts))
    const firings = rules.firings(ofRules, state, now, circuits, signals).map(named(preset.name))
    yield* step((before, now) => {
      const [changes, swept] = machine.sweep(ofMachine, before, now, firings)
      const [closed, after] = raiseAll(swept, now, rules.closings(ofRules, changes))
      return [[...changes, ...closed], after]
    })
  })

  // The first look only counts.
  yield* look
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.sleep(settings.lookEvery), look)))
  yield* resilience.events.pipe(
    Stream.runForEach((event) => {
      if (event._tag !== "CircuitOpened") return Effect.void
      const name = event.key === undefined ? event.operation : `${event.operation}:${event.key}`
      return Effect.flatMap(resilience.configuration, ({ preset }) =>
        step((state, now) =>
          machine.raise(ofMachine, state, now, named(preset.name)(rules.circuitOpen(event.operation, [name])))
        )
      )
    }),
    Effect.forkScoped({ startImmediately: true })
  )

  const list = (
    { level, maxAlerts = 50 }: Query,
    isListed: (alert: Told) => boolean
  ): Effect.Effect<AlertList, OutOfRange> =>
    Effect.flatMap(within("max_alerts", maxAlerts, 1000), () =>
      Effect.map(Ref.get(alerts), (state) => {
        const all = Array.from(state.alerts.values()).toReversed()
        const listed = all.filter((alert) => isListed(alert) && (level === undefined || alert.level === level))
        return { alerts: listed.slice(0, maxAlerts).map(alertOf), summary: summaryOf(all.filter(isOpen)) }
      })
    )

  return Alerts.of({
    look,
    active: (query = {}) => list(query, isOpen),
    history: (query = {}) => list(query, () => true),
    acknowledge: (id, given) =>
      Effect.flatten(
        Ref.modify(alerts, (state): readonly [Effect.Effect<Alert, UnknownAlert>, State] => {
          const actor = cut(given, 128)
          const found = machine.acknowledge(state, id, actor)
          if (found !== undefined) {
            const [alert, next] = found
            const acknowledged = Effect.map(Clock.Clock, (clock) => {
              const isNews = next !== state
              if (isNews) sink.publishUnsafe({ _tag: "AlertAcknowledged", ...commonOf(alert, nowOf(clock)), actor })
              return alertOf(alert)
            })
            return [acknowledged, next]
          }
          const open = Array.from(state.alerts.values()).filter(isOpen).toReversed()
          const available = open.slice(0, 100).map(({ id }) => id)
          return [Effect.fail(new UnknownAlert({ id, available })), state]
        })
      ),
    clearOlderThan: (hours) =>
      Effect.flatMap(within("hours", hours, maxHours), () =>
        Effect.flatMap(Clock.Clock, (clock) =>
          Ref.modify(alerts, (state) => {
            const next = machine.clear(state, Monotonic.now(clock) - hours * hourMillis)
            return [{ removed: state.alerts.size - next.alerts.size, remaining: next.alerts.size }, next]
          })
        )
      )
  })
})

/**
 * Raises alerts about the running operations and the use of configuration.
 * Throws `InvalidSettings` at once.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (input?: SettingsInput | Settings): Layer.Layer<Alerts, never, Resilience | Usage> => {
  const checked = settings(input)
  return Layer.effect(
    Alerts,
    Effect.suspend(() => make(checked))
  )
}
