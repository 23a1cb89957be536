/**
 * Tells whether the process lives, takes calls and is well, and whether
 * resilience is wired as it is meant to be.
 *
 * **Details**
 *
 * | answer | no when |
 * | --- | --- |
 * | `liveness` | never: whoever answers is alive |
 * | `readiness` | after `drain`, for example while the process shuts down |
 * | `health` | a circuit is open, or an operator holds one open |
 * | `detailed` | the same, an alert is an error, or a check below that degrades says no |
 *
 * `detailed` is `unhealthy` while every circuit refuses calls, or an alert is
 * critical.
 *
 * | check | says no when | degrades |
 * | --- | --- | --- |
 * | `resilience_enabled` | a variable such as `RESILIENCE_ENABLED` switches it, or a part of it, off | yes |
 * | `operations_called` | an operation is known for 5 minutes and was never called | |
 * | `pipelines_shared` | operations or strategies seem to be made for each call | yes |
 * | `keys_bounded` | new keys keep coming at 90 % of the bound, or calls share the circuit beyond it | yes |
 * | `preset_fits_environment` | the preset is not meant for the environment that was detected | |
 * | `isolations_short` | an operator holds a circuit open, or lets it refuse nothing, for an hour | yes |
 *
 * **Gotchas**
 *
 * - An open circuit takes no readiness away. It tells of a dependency, and every
 *   process has the same one: all of them would stop at once.
 * - Ages count from when `Health` first saw something, which it looks for when
 *   it is built and when it is asked. They are never too high.
 * - What happened in the last 5 minutes counts as happening.
 *
 * **Example** (A name that the calls do not use)
 *
 * ```ts import.meta.vitest
 * import { Effect, Layer } from "effect"
 * import { Health, Preset, Resilience } from "breakwater"
 *
 * const program = Effect.gen(function* () {
 *   const health = yield* Health.Health
 *   yield* Effect.sleep("20 millis")
 *   const { checks, status } = yield* health.detailed
 *   return [status, ...checks.filter(({ ok }) => !ok).map(({ name }) => name)]
 * }).pipe(
 *   Effect.provide(
 *     Health.layer({ uncalledAfter: "10 millis" }).pipe(
 *       Layer.provideMerge(Resilience.layer(Preset.simple, { operations: ["sumarize_text"] }))
 *     )
 *   )
 * )
 *
 * await Effect.runPromise(program) // => ["healthy", "operations_called"]
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import type * as CircuitBreaker from "../CircuitBreaker.ts"
import * as Configuration from "../config/Configuration.ts"
import * as Environment from "../config/Environment.ts"
import * as Legacy from "../config/Legacy.ts"
import type * as Resolution from "../config/Resolution.ts"
import * as Monotonic from "../Monotonic.ts"
import type * as Preset from "../Preset.ts"
import type * as Operation from "../Operation.ts"
import { Registry, type States } from "../Registry.ts"
import type { Resilience } from "../Resilience.ts"
import { timestamp } from "../EventSink.ts"
import * as Settings_ from "../Settings.ts"
import { orNull, Seconds, snakeCase, Timestamp } from "../Wire.ts"
import * as wiring from "./internal/healthChecks.ts"
import * as watching from "./internal/healthWatch.ts"
import { circuitsOf, isOpen, namesOf, percent, severityOf } from "./internal/snapshots.ts"

/** Operations, and circuits, that `detailed` lists. */
const maxListed = 1000
/** Bulkheads, and pauses, that `detailed` lists. */
const maxLimits = 100
/** Alerts that `detailed` lists. */
const maxAlerts = 10

/**
 * When the checks say no.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/monitoring/Health/Settings")({
  /** Time an operation may be known without a call, 1 ms to 30 days. Default 5 minutes. */
  uncalledAfter: Settings_.duration({ minimum: "1 milli", maximum: "30 days" }).pipe(
    Settings_.withDefault(Duration.minutes(5))
  ),
  /** Time a circuit may be isolated, disabled or for metrics only, 1 ms to 30 days. Default 1 hour. */
  isolatedAfter: Settings_.duration({ minimum: "1 milli", maximum: "30 days" }).pipe(
    Settings_.withDefault(Duration.hours(1))
  ),
  /** Time for which something that happened counts as happening, 1 ms to 1 day. Default 5 minutes. */
  recent: Settings_.duration({ minimum: "1 milli", maximum: "1 day" }).pipe(Settings_.withDefault(Duration.minutes(5))),
  /** The `maxKeys` of `Resilience.layer`, 1 to 1,000,000. Default 10,000. */
  maxKeys: Settings_.count({ minimum: 1, maximum: 1_000_000 }).pipe(Settings_.withDefault(10_000))
}) {}

/**
 * Settings as code writes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly uncalledAfter?: Duration.Input | undefined
  readonly isolatedAfter?: Duration.Input | undefined
  readonly recent?: Duration.Input | undefined
  readonly maxKeys?: number | undefined
}

/**
 * Checks settings. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settings = (input: SettingsInput | Settings = {}): Settings =>
  input instanceof Settings
    ? input
    : Settings_.make(Settings, {
        settings: "Health",
        input,
        durations: ["uncalledAfter", "isolatedAfter", "recent"]
      })

/**
 * @category schemas
 * @since 0.1.0
 */
export const Liveness = Schema.Literal("alive")

/**
 * @category models
 * @since 0.1.0
 */
export type Liveness = typeof Liveness.Type

/**
 * @category schemas
 * @since 0.1.0
 */
export const Readiness = Schema.Literals(["ready", "draining"])

/**
 * @category models
 * @since 0.1.0
 */
export type Readiness = typeof Readiness.Type

const statusFields = {
  healthy: Schema.Boolean,
  /** Circuits that are open, or held open by an operator. */
  openCircuitBreakers: Schema.Array(Schema.String),
  halfOpenCircuitBreakers: Schema.Array(Schema.String),
  totalCircuitBreakers: Schema.Int,
  totalOperations: Schema.Int,
  timestamp: Timestamp
} as const

/**
 * The circuits that refuse calls or try their dependency again.
 *
 * @category schemas
 * @since 0.1.0
 */
export const HealthStatus = snakeCase("HealthStatus", statusFields)

/**
 * @category models
 * @since 0.1.0
 */
export type HealthStatus = typeof HealthStatus.Type

/**
 * The circuits in one word, with the facts.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Summary = snakeCase("Health", {
  healthy: Schema.Boolean,
  status: Schema.Literals(["healthy", "degraded"]),
  details: HealthStatus
})

/**
 * @category models
 * @since 0.1.0
 */
export type Summary = typeof Summary.Type

/**
 * What the calls of an operation came to. Rates are in percent of
 * `total_calls`, with two decimals, and 0 while there was no call.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Metrics = snakeCase("Metrics", {
  totalCalls: Schema.Int,
  successfulCalls: Schema.Int,
  /** Ended with an error of the dependency, or refused or cut short by us. */
  failedCalls: Schema.Int,
  retryAttempts: Schema.Int,
  circuitBreakerOpens: Schema.Int,
  circuitBreakerHalfOpens: Schema.Int,
  circuitBreakerCloses: Schema.Int,
  successRate: Schema.Finite,
  failureRate: Schema.Finite,
  lastFailure: orNull(Timestamp),
  lastSuccess: orNull(Timestamp)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Metrics = typeof Metrics.Type

/**
 * How bad an alert is.
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

/**
 * An alert as far as health is concerned.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Alert = snakeCase("HealthAlert", {
  timestamp: Timestamp,
  level: Level,
  title: Schema.String,
  description: Schema.String
})

/**
 * @category models
 * @since 0.1.0
 */
export type Alert = typeof Alert.Type

/**
 * Where the alerts that are active come from. The default has none. Read once,
 * when `Health` is built.
 *
 * @category references
 * @since 0.1.0
 */
export const AlertSource: Context.Reference<Effect.Effect<ReadonlyArray<Alert>>> = Context.Reference<
  Effect.Effect<ReadonlyArray<Alert>>
>("breakwater/monitoring/Health/AlertSource", { defaultValue: () => Effect.succeed([]) })

/**
 * One check of the wiring.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Check = snakeCase("HealthCheck", {
  name: Schema.String,
  ok: Schema.Boolean,
  /** What was seen, with its numbers. */
  detail: Schema.String,
  /** What to do about it; `null` if the check is ok. */
  fix: Schema.NullOr(Schema.String)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Check = typeof Check.Type

/**
 * The state of a circuit.
 *
 * @category schemas
 * @since 0.1.0
 */
export const CircuitState = Schema.Literals(["closed", "open", "half_open", "isolated", "disabled", "metrics_only"])

/**
 * Everything about the health of the process.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Detailed = snakeCase("DetailedHealth", {
  ...statusFields,
  status: Schema.Literals(["healthy", "degraded", "unhealthy"]),
  uptimeSeconds: Schema.Finite,
  configuration: snakeCase("HealthConfiguration", {
    /** How the preset was chosen; `code`: by the program, without `Configuration`. */
    source: Schema.Literals(["runtime", "RESILIENCE_PRESET", "detected", "default", "code"]),
    presetName: Schema.String,
    /** Whether a variable of the original service has a say. */
    isLegacyConfig: Schema.Boolean,
    /** Counts the changes. */
    generation: Schema.Int,
    /** Whether anything goes over the preset. */
    customOverridesApplied: Schema.Boolean
  }),
  operations: Schema.Record(
    Schema.String,
    snakeCase("HealthOperation", {
      strategy: Schema.String,
      metrics: Metrics,
      /** The worst one, if there are many; `null` without a circuit. */
      breakerState: Schema.NullOr(CircuitState)
    })
  ),
  circuitBreakers: Schema.Record(
    Schema.String,
    snakeCase("HealthCircuitBreaker", {
      state: CircuitState,
      failureCount: Schema.Int,
      failureThreshold: Schema.Int,
      recoveryTimeout: Seconds,
      /** When the next probe is let through: exact while open, the latest time while half-open. */
      retryAt: orNull(Timestamp)
    })
  ),
  /** Left out of the two lists above, which have 1,000 entries at most, the worst ones first. */
  omitted: snakeCase("HealthOmitted", { operations: Schema.Int, circuitBreakers: Schema.Int }),
  /** Bulkheads without a free place, 100 at most, those with most who wait first. They degrade nothing. */
  fullBulkheads: Schema.Array(
    snakeCase("HealthBulkhead", {
      name: Schema.String,
      active: Schema.Int,
      queued: Schema.Int,
      limit: Schema.Int
    })
  ),
  /** Keys that a rate limit lets nothing of through for a while, 100 at most, the longest first. */
  pausedRateLimits: Schema.Array(
    snakeCase("HealthRateLimit", {
      operation: Schema.String,
      scope: Schema.Literals(["admission", "quota"]),
      /** `null`: the calls without a key. */
      key: Schema.NullOr(Schema.String),
      pausedForSeconds: Seconds
    })
  ),
  environment: snakeCase("HealthEnvironment", {
    detected: Environment.Environment,
    confidence: Schema.Finite,
    recommendedPreset: Schema.String,
    matchesCurrent: Schema.Boolean
  }),
  alerts: snakeCase("HealthAlerts", {
    counts: Schema.Struct({ info: Schema.Int, warning: Schema.Int, error: Schema.Int, critical: Schema.Int }),
    /** The latest 10, newest first. */
    latest: Schema.Array(Alert)
  }),
  checks: Schema.Array(Check)
})

/**
 * @category models
 * @since 0.1.0
 */
export type Detailed = typeof Detailed.Type

/**
 * What is remembered between two looks at the operations.
 *
 * @category models
 * @since 0.1.0
 */
export type Watch = watching.Watch

/**
 * Nothing was seen yet.
 *
 * @category watching
 * @since 0.1.0
 */
export const unwatched: Watch = watching.empty

/**
 * Looks at the operations, at a time in monotonic milliseconds. `prepared`
 * counts the strategies that were prepared, if somebody counts them.
 *
 * @category watching
 * @since 0.1.0
 */
export const watch = (
  before: Watch,
  look: {
    readonly operations: ReadonlyArray<Operation.Snapshot>
    readonly now: number
    readonly prepared?: number | undefined
  }
): Watch => watching.next(before, look.operations, look.prepared, look.now)

/**
 * Everything that health follows from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Facts {
  /** In monotonic milliseconds. */
  readonly now: number
  /** The same, for display. */
  readonly at: DateTime.Utc
  readonly uptime: Duration.Duration
  readonly operations: ReadonlyArray<Operation.Snapshot>
  /** Has seen these operations. */
  readonly watch: Watch
  readonly configuration: Preset.Configuration & { readonly version: number }
  /** `undefined`: the program chose the numbers. */
  readonly resolved: (Resolution.Resolved & { readonly version: number }) | undefined
  /** `undefined`: the environment cannot be read. */
  readonly detection: Environment.Detection | undefined
  readonly alerts: ReadonlyArray<Alert>
  readonly settings: Settings
}

const statusOf = ({ circuits, operations }: States, timestamp: DateTime.Utc): HealthStatus => {
  const open = circuits.filter(isOpen)
  return {
    healthy: open.length === 0,
    openCircuitBreakers: namesOf(open),
    halfOpenCircuitBreakers: namesOf(circuits.filter(({ state }) => state === "half_open")),
    totalCircuitBreakers: circuits.length,
    totalOperations: operations,
    timestamp
  }
}

/**
 * The health of the circuits.
 *
 * @category accessors
 * @since 0.1.0
 */
export const summary = (operations: ReadonlyArray<Operation.Snapshot>, at: DateTime.Utc): Summary =>
  summaryOf({ operations: operations.length, circuits: circuitsOf(operations) }, at)

/**
 * The health of the circuits, from nothing but their states.
 *
 * @category accessors
 * @since 0.1.0
 */
export const summaryOf = (states: States, at: DateTime.Utc): Summary => {
  const details = statusOf(states, at)
  return { healthy: details.healthy, status: details.healthy ? "healthy" : "degraded", details }
}

const instant = Option.map<number, DateTime.Utc>(DateTime.makeUnsafe)

/**
 * The metrics of an operation. Calls are those of the operation, transitions
 * those of its circuits.
 *
 * @category accessors
 * @since 0.1.0
 */
export const metrics = ({ circuits, counters, lastFailure, lastSuccess }: Operation.Snapshot): Metrics => {
  const { calls, failed, rejected, retries, succeeded } = counters
  const sum = (of: (counters: CircuitBreaker.Counters) => number): number =>
    circuits.reduce((total, circuit) => total + of(circuit.counters), 0)
  return {
    totalCalls: calls,
    successfulCalls: succeeded,
    failedCalls: failed + rejected,
    retryAttempts: retries,
    circuitBreakerOpens: sum(({ opened }) => opened),
    circuitBreakerHalfOpens: sum(({ halfOpened }) => halfOpened),
    circuitBreakerCloses: sum(({ closed }) => closed),
    successRate: percent(succeeded, calls),
    failureRate: percent(failed + rejected, calls),
    lastFailure: instant(lastFailure),
    lastSuccess: instant(lastSuccess)
  }
}

/**
 * The checks of the wiring.
 *
 * @category accessors
 * @since 0.1.0
 */
export const checks = ({ configuration, detection, now, operations, settings, watch }: Facts): ReadonlyArray<Check> =>
  wiring.run({
    now,
    operations,
    watch,
    configuration,
    detection,
    limits: {
      uncalledMillis: Duration.toMillis(settings.uncalledAfter),
      isolatedMillis: Duration.toMillis(settings.isolatedAfter),
      recentMillis: Duration.toMillis(settings.recent),
      maxKeys: settings.maxKeys
    }
  })

/** Checks that say how well calls are protected now. The others say what somebody should look at. */
const degrading: ReadonlySet<string> = new Set([
  "resilience_enabled",
  "pipelines_shared",
  "keys_bounded",
  "isolations_short"
])

/**
 * Everything about the health of the process.
 *
 * @category accessors
 * @since 0.1.0
 */
export const detailed = (facts: Facts): Detailed => {
  const { alerts, at, configuration, detection, operations, uptime } = facts
  const circuits = circuitsOf(operations)
  const status = statusOf({ operations: operations.length, circuits }, at)
  const found = checks(facts)
  const counts = { info: 0, warning: 0, error: 0, critical: 0 }
  for (const { level } of alerts) counts[level]++
  const isUnhealthy = counts.critical > 0 || (circuits.length > 0 && circuits.every(isOpen))
  const isWell = status.healthy && counts.error === 0 && found.every(({ name, ok }) => ok || !degrading.has(name))
  const listed = worstFirst(operations, (operation) => severityOf(worstOf(operation.circuits)))
  const listedCircuits = worstFirst(circuits, ({ state }) => severityOf(state))
  return {
    ...status,
    healthy: isWell && !isUnhealthy,
    status: isUnhealthy ? "unhealthy" : isWell ? "healthy" : "degraded",
    uptimeSeconds: Duration.toSeconds(uptime),
    configuration: configurationOf(facts),
    operations: Object.fromEntries(
      listed.map((operation) => [
        operation.name,
        {
          strategy: operation.strategy,
          metrics: metrics(operation),
          breakerState: worstOf(operation.circuits) ?? null
        }
      ])
    ),
    circuitBreakers: Object.fromEntries(
      listedCircuits.map(({ failureCount, name, retryAfter, settings, state }) => [
        name,
        {
          state,
          failureCount,
          failureThreshold: settings.failureThreshold,
          recoveryTimeout: settings.openDuration,
          retryAt: Option.map(retryAfter, (after) => DateTime.add(at, { milliseconds: Duration.toMillis(after) }))
        }
      ])
    ),
    omitted: {
      operations: operations.length - listed.length,
      circuitBreakers: circuits.length - listedCircuits.length
    },
    fullBulkheads: operations
      .flatMap(({ bulkheads }) => bulkheads)
      .filter(({ active, limit }) => active >= limit)
      .toSorted((a, b) => b.queued - a.queued)
      .slice(0, maxLimits)
      .map(({ active, limit, name, queued }) => ({ name, active, queued, limit })),
    pausedRateLimits: operations
      .flatMap(({ admission, quota }) => [...Option.toArray(admission), ...Option.toArray(quota)])
      .flatMap(({ keys, operation, scope }) =>
        keys
          .filter(({ pausedFor }) => !Duration.isZero(pausedFor))
          .map(({ key, pausedFor }) => ({ operation, scope, key: key ?? null, pausedForSeconds: pausedFor }))
      )
      .toSorted((a, b) => Duration.toMillis(b.pausedForSeconds) - Duration.toMillis(a.pausedForSeconds))
      .slice(0, maxLimits),
    environment: {
      detected: detection?.environment ?? "unknown",
      confidence: detection?.confidence ?? 0,
      recommendedPreset: detection?.recommendedPreset ?? Environment.presetOf("unknown"),
      matchesCurrent: detection?.recommendedPreset === configuration.preset.name
    },
    alerts: {
      counts,
      latest: alerts
        .toSorted((a, b) => DateTime.toEpochMillis(b.timestamp) - DateTime.toEpochMillis(a.timestamp))
        .slice(0, maxAlerts)
    },
    checks: found
  }
}

const worstOf = (circuits: ReadonlyArray<CircuitBreaker.Snapshot>): CircuitBreaker.State | undefined => {
  let worst: CircuitBreaker.State | undefined
  for (const { state } of circuits) if (worst === undefined || severityOf(state) > severityOf(worst)) worst = state
  return worst
}

/** As they come while there is room for all. */
const worstFirst = <A>(all: ReadonlyArray<A>, severity: (each: A) => number): ReadonlyArray<A> =>
  all.length <= maxListed ? all : all.toSorted((a, b) => severity(b) - severity(a)).slice(0, maxListed)

const configurationOf = ({ configuration, resolved }: Facts): Detailed["configuration"] => {
  if (resolved === undefined) {
    return {
      source: "code",
      presetName: configuration.preset.name,
      isLegacyConfig: false,
      generation: configuration.version,
      customOverridesApplied: Object.keys(configuration.overlay).length > 0 || configuration.strategies.size > 0
    }
  }
  const sources = new Set(resolved.effective.map(({ source }) => source))
  return {
    source: resolved.presetSource,
    presetName: resolved.preset.key,
    isLegacyConfig: Legacy.variables.some((variable) => sources.has(variable)),
    generation: resolved.version,
    customOverridesApplied:
      sources.has("runtime") || sources.has("RESILIENCE_CUSTOM_CONFIG") || resolved.strategies.size > 0
  }
}

/**
 * @category services
 * @since 0.1.0
 */
export class Health extends Context.Service<
  Health,
  {
    /** Reads nothing. */
    readonly liveness: Effect.Effect<Liveness>
    readonly readiness: Effect.Effect<Readiness>
    /** From now on the process is not ready. */
    readonly drain: Effect.Effect<void>
    readonly health: Effect.Effect<Summary>
    readonly detailed: Effect.Effect<Detailed>
  }
>()("breakwater/monitoring/Health") {}

/**
 * @category models
 * @since 0.1.0
 */
export interface LayerOptions extends SettingsInput {
  /** Counts the strategies that were prepared. Default: those of `Resilience`. */
  readonly prepared?: Effect.Effect<number> | undefined
}

const make = Effect.fnUntraced(function* (settings: Settings, prepared: Effect.Effect<number> | undefined) {
  const resilience = yield* Registry
  const configuration = yield* Effect.serviceOption(Configuration.Configuration)
  const alerts = yield* AlertSource
  const detection = Option.isSome(configuration)
    ? undefined
    : yield* Environment.detect().pipe(Effect.orElseSucceed(() => undefined))
  const startedAt = Monotonic.now(yield* Clock.Clock)
  const isDraining = yield* Ref.make(false)
  const watched = yield* Ref.make(unwatched)

  const look = Effect.gen(function* () {
    const now = Monotonic.now(yield* Clock.Clock)
    const operations = yield* resilience.operations
    const count = yield* prepared ?? resilience.prepared
    const seen = yield* Ref.updateAndGet(watched, (before) => watch(before, { operations, prepared: count, now }))
    return { now, operations, watch: seen }
  })
  // What is there at the start is known from the start.
  yield* look

  return Health.of({
    liveness: Effect.succeed("alive"),
    readiness: Effect.map(Ref.get(isDraining), (isDraining) => (isDraining ? "draining" : "ready")),
    drain: Ref.set(isDraining, true),
    health: Effect.zipWith(look, Clock.Clock, ({ operations }, clock) => summary(operations, timestamp(clock))),
    detailed: Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const looked = yield* look
      const resolved = Option.isSome(configuration) ? yield* configuration.value.current : undefined
      return detailed({
        ...looked,
        at: timestamp(clock),
        uptime: Duration.millis(looked.now - startedAt),
        configuration: yield* resilience.configuration,
        resolved,
        detection: resolved?.detection ?? detection,
        alerts: yield* alerts,
        settings
      })
    })
  })
})

/**
 * Watches the operations of `Resilience`, and the configuration if there is a
 * `Configuration`. Throws `InvalidSettings` at once.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = ({ prepared, ...input }: LayerOptions = {}): Layer.Layer<Health, never, Resilience> =>
  Layer.effect(Health, make(settings(input), prepared))
