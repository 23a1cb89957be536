/**
 * Decides which conditions hold, from the calls of operations over sliding
 * windows, the circuits that are open now, and the use of configuration. Pure;
 * times are monotonic milliseconds.
 *
 *   error_rate          an operation, over `errorWindow`; critical from twice the threshold
 *   slo_burn            an operation, over a long window and, so that it ends soon, a short one
 *   circuit_open        an operation, while one of its circuits is not closed
 *   circuit_closed      the same, for some time after that
 *   circuits_open       all circuits
 *   load_time           a preset, by its slowest recent load
 *   config_error        a preset, by its recent loads that failed
 *   change_frequency    the configuration, in the last hour
 *   validation_failure  the configuration, in the last hour
 */
import type * as machine from "../../internal/alertMachine.ts"
import type { JsonObject } from "./boundedJson.ts"
import * as sliding from "./slidingRate.ts"
import type { Signals } from "./usageFigures.ts"

/** @internal */
interface BurnRate {
  /** How many times faster than the objective allows. */
  readonly factor: number
  readonly short: number
  readonly long: number
  readonly level: machine.Level
}

/** Durations in milliseconds. @internal */
export interface Settings {
  readonly errorRate: number
  readonly errorWindow: number
  /** Calls in a window, or checks in an hour, below which a rate says nothing. */
  readonly minimumCalls: number
  readonly objective: number
  readonly burnRates: ReadonlyArray<BurnRate>
  readonly openCircuits: number
  readonly loadTime: number
  readonly changesPerHour: number
  readonly validationFailureRate: number
  /** How long an alert without an end of its own stays open. */
  readonly cooldown: number
}

/** What an alert says. @internal */
export interface Facts {
  readonly title: string
  readonly description: string
  readonly metricType: "config_load" | "config_error" | "config_change" | "validation_event" | "performance_event"
  /** `undefined`: the preset in force. */
  readonly preset: string | undefined
  readonly operation: string
  readonly metadata: JsonObject
}

type Firing = machine.Firing<Facts>

/** Calls of an operation since it began. @internal */
export interface Counts {
  readonly name: string
  readonly finished: number
  /** Those whose caller did not get what it asked for. */
  readonly bad: number
}

interface Tracked {
  readonly finished: number
  readonly bad: number
  /** One for each length in use. */
  readonly windows: ReadonlyArray<sliding.SlidingRate>
}

/** @internal */
export interface State {
  /** Nothing was counted yet: what came before the first look is not held against anyone. */
  readonly isNew: boolean
  readonly operations: ReadonlyMap<string, Tracked>
}

/** @internal */
export const empty: State = { isNew: true, operations: new Map() }

const lengthsOf = ({ burnRates, errorWindow }: Settings): ReadonlyArray<number> =>
  Array.from(new Set([errorWindow, ...burnRates.flatMap(({ long, short }) => [short, long])]))

/** Takes in how far the counts have come. Operations that are gone are forgotten. @internal */
export const count = (settings: Settings, state: State, now: number, counts: Iterable<Counts>): State => {
  const operations = new Map<string, Tracked>()
  const fresh = lengthsOf(settings).map(sliding.make)
  for (const { bad, finished, name } of counts) {
    const known = state.operations.get(name)
    if (known === undefined && state.isNew) {
      operations.set(name, { finished, bad, windows: fresh })
      continue
    }
    const { windows } = known ?? { windows: fresh }
    // Counts that fell belong to an operation that was forgotten and has begun again.
    const isBehind = known !== undefined && (finished < known.finished || bad < known.bad)
    const since = known === undefined || isBehind ? { finished: 0, bad: 0 } : known
    const more = finished - since.finished
    operations.set(name, {
      finished,
      bad,
      windows: more === 0 ? windows : windows.map((window) => sliding.add(window, now, more, bad - since.bad))
    })
  }
  return { isNew: false, operations }
}

/** A circuit that is open or half-open. @internal */
export interface OpenCircuit {
  readonly name: string
  readonly operation: string
}

const tiny = 1e-9

const percent = (rate: number): string => `${Number((rate * 100).toFixed(2))} %`

const times = (factor: number): string => String(Number(factor.toFixed(1)))

const minutes = (millis: number): string =>
  millis % 3_600_000 === 0 ? `${millis / 3_600_000} h` : `${Number((millis / 60_000).toFixed(2))} min`

/** The circuits of one operation that are not closed. @internal */
export const circuitOpen = (operation: string, names: ReadonlyArray<string>): Firing => ({
  rule: "circuit_open",
  subject: operation,
  level: "error",
  threshold: 0,
  actual: names.length,
  facts: {
    title: `Circuit of ${operation} is open`,
    description: `Calls of ${operation} are refused by ${names.length === 1 ? "its circuit" : `${names.length} circuits`}`,
    metricType: "performance_event",
    preset: undefined,
    operation,
    metadata: { circuits: names.slice(0, 10) }
  }
})

/** What to tell when conditions have ended. @internal */
export const closings = (settings: Settings, changes: ReadonlyArray<machine.Change<Facts>>): ReadonlyArray<Firing> =>
  changes.flatMap(({ _tag, alert }) =>
    _tag === "Resolved" && alert.rule === "circuit_open"
      ? [
          {
            rule: "circuit_closed",
            subject: alert.subject,
            level: "info" as const,
            threshold: 0,
            actual: 0,
            lasts: settings.cooldown,
            facts: {
              ...alert.facts,
              title: `Circuit of ${alert.subject} is closed`,
              description: `Calls of ${alert.subject} are let through again`,
              metadata: { opened_as: alert.id }
            }
          }
        ]
      : []
  )

const ofOperation = (settings: Settings, now: number, operation: string, tracked: Tracked): ReadonlyArray<Firing> => {
  const over = (length: number): sliding.Sums =>
    sliding.sums(
      tracked.windows.find((window) => window.length === length)!,
      now
    )
  const firings: Array<Firing> = []
  const { bad, rate, total } = over(settings.errorWindow)
  const common = { metricType: "performance_event", preset: undefined, operation } as const
  if (total >= settings.minimumCalls && rate >= settings.errorRate) {
    firings.push({
      rule: "error_rate",
      subject: operation,
      level: rate >= settings.errorRate * 2 ? "critical" : "warning",
      threshold: settings.errorRate,
      actual: rate,
      facts: {
        ...common,
        title: `High error rate of ${operation}`,
        description: `${bad} of ${total} calls failed or were refused in ${minutes(settings.errorWindow)}: ${percent(rate)}, limit ${percent(settings.errorRate)}`,
        metadata: { calls: total, errors: bad }
      }
    })
  }
  for (const { factor, level, long, short } of settings.burnRates) {
    const [recent, whole] = [over(short), over(long)]
    const burn = Math.min(recent.rate, whole.rate) / (1 - settings.objective)
    if (recent.total < settings.minimumCalls || burn < factor - tiny) continue
    firings.push({
      rule: `slo_burn_${minutes(short)}_${minutes(long)}`.replaceAll(" ", ""),
      subject: operation,
      level,
      threshold: factor,
      actual: burn,
      facts: {
        ...common,
        title: `${operation} uses up its error budget`,
        description: `At least ${times(burn)} times as many errors as an objective of ${percent(settings.objective)} allows, over ${minutes(short)} and ${minutes(long)}`,
        metadata: { short_rate: recent.rate, long_rate: whole.rate, calls: whole.total, objective: settings.objective }
      }
    })
  }
  return firings
}

const ofCircuits = (settings: Settings, circuits: ReadonlyArray<OpenCircuit>): ReadonlyArray<Firing> => {
  const byOperation = new Map<string, Array<string>>()
  for (const { name, operation } of circuits) {
    const own = byOperation.get(operation)
    if (own === undefined) byOperation.set(operation, [name])
    else own.push(name)
  }
  const firings = Array.from(byOperation, ([operation, names]) => circuitOpen(operation, names))
  if (circuits.length > settings.openCircuits) {
    firings.push({
      rule: "circuits_open",
      subject: "circuits",
      level: "critical",
      threshold: settings.openCircuits,
      actual: circuits.length,
      facts: {
        title: "Many circuits are open",
        description: `${circuits.length} circuits are open, limit ${settings.openCircuits}`,
        metricType: "performance_event",
        preset: undefined,
        operation: "circuits",
        metadata: { operations: [...byOperation.keys()].slice(0, 10) }
      }
    })
  }
  return firings
}

const ofUsage = (settings: Settings, signals: Signals): ReadonlyArray<Firing> => {
  const firings: Array<Firing> = []
  for (const [preset, millis] of signals.slowest) {
    if (millis <= settings.loadTime) continue
    firings.push({
      rule: "load_time",
      subject: preset,
      level: "warning",
      threshold: settings.loadTime,
      actual: millis,
      facts: {
        title: `Slow load of preset ${preset}`,
        description: `A configuration took ${Math.round(millis)} ms to load, limit ${settings.loadTime} ms`,
        metricType: "performance_event",
        preset,
        operation: "configuration",
        metadata: {}
      }
    })
  }
  for (const [preset, errors] of signals.errors) {
    firings.push({
      rule: "config_error",
      subject: preset,
      level: "error",
      threshold: 0,
      actual: errors,
      facts: {
        title: "A configuration did not load",
        description: `${errors} ${errors === 1 ? "load" : "loads"} failed in the last minutes`,
        metricType: "config_error",
        preset,
        operation: "configuration",
        metadata: {}
      }
    })
  }
  const common = { preset: undefined, operation: "configuration" } as const
  if (signals.changes > settings.changesPerHour) {
    firings.push({
      rule: "change_frequency",
      subject: "configuration",
      level: "warning",
      threshold: settings.changesPerHour,
      actual: signals.changes,
      facts: {
        ...common,
        title: "The configuration changes often",
        description: `${signals.changes} changes in the last hour, limit ${settings.changesPerHour}`,
        metricType: "config_change",
        metadata: {}
      }
    })
  }
  const rate = signals.validations === 0 ? 0 : signals.invalid / signals.validations
  if (signals.validations >= settings.minimumCalls && rate > settings.validationFailureRate) {
    firings.push({
      rule: "validation_failure",
      subject: "configuration",
      level: "warning",
      threshold: settings.validationFailureRate,
      actual: rate,
      facts: {
        ...common,
        title: "Many configurations are invalid",
        description: `${signals.invalid} of ${signals.validations} checks failed in the last hour: ${percent(rate)}, limit ${percent(settings.validationFailureRate)}`,
        metricType: "validation_event",
        metadata: { validations: signals.validations, invalid: signals.invalid }
      }
    })
  }
  return firings
}

/** Every condition that holds now. @internal */
export const firings = (
  settings: Settings,
  state: State,
  now: number,
  circuits: ReadonlyArray<OpenCircuit>,
  signals: Signals
): ReadonlyArray<Firing> => [
  ...Array.from(state.operations).flatMap(([name, tracked]) => ofOperation(settings, now, name, tracked)),
  ...ofCircuits(settings, circuits),
  ...ofUsage(settings, signals)
]
