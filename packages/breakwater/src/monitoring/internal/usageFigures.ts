/**
 * The figures that follow from events.
 */
import { hourly, share, spread } from "../../internal/trend.ts"
import type { Event } from "./usageLog.ts"

/** Below these all is well. @internal */
const limits = { errorRate: 0.05, averageLoad: 100, p95Load: 200 } as const

const none = "none"

/** Sums by name, in the order of first use. */
const add = (sums: Map<string, number>, name: string, value: number): void => {
  sums.set(name, (sums.get(name) ?? 0) + value)
}

const extreme = (sums: ReadonlyMap<string, number>, isBetter: (sum: number, than: number) => boolean): string => {
  let best: readonly [string, number] | undefined
  for (const entry of sums) if (best === undefined || isBetter(entry[1], best[1])) best = entry
  return best?.[0] ?? none
}

/** Loads, errors and preset usage among events. */
const tally = (events: Iterable<Event>) => {
  const loads: Array<number> = []
  const byPreset = new Map<string, Array<number>>()
  const types = new Map<string, number>()
  const usage = new Map<string, number>()
  let errors = 0
  let total = 0
  for (const { metadata, preset, type, value } of events) {
    total++
    if (type === "config_error") errors++
    else if (type === "preset_usage") add(usage, preset, value)
    else if (type === "config_load") {
      loads.push(value)
      const own = byPreset.get(preset)
      if (own === undefined) byPreset.set(preset, [value])
      else own.push(value)
      const configType = metadata["config_type"]
      if (typeof configType === "string") add(types, configType, 1)
    }
  }
  return { loads, byPreset, types, usage, errors, total, errorRate: share(errors, loads.length + errors) }
}

/** @internal */
export const statistics = (events: Iterable<Event>, hours: number) => {
  const { errorRate, loads, types, usage } = tally(events)
  const { mean } = spread(loads)
  const legacyRate = share(types.get("legacy") ?? 0, loads.length)
  return {
    timeWindowHours: hours,
    statistics: {
      totalLoads: loads.length,
      presetUsageCount: Object.fromEntries(usage),
      errorRate,
      avgLoadTimeMs: mean,
      mostUsedPreset: extreme(usage, (sum, than) => sum > than),
      leastUsedPreset: extreme(usage, (sum, than) => sum < than),
      customConfigUsageRate: share(types.get("custom") ?? 0, loads.length),
      legacyConfigUsageRate: legacyRate
    },
    summary: {
      healthy: errorRate < limits.errorRate,
      performanceGood: mean < limits.averageLoad,
      presetAdoption: 1 - legacyRate
    }
  }
}

/** @internal */
export const trend = (events: Iterable<Event>, preset: string, hours: number, at: number) => {
  const own = Array.from(events).filter((event) => event.type === "preset_usage" && event.preset === preset)
  const points = hourly(own, at, hours)
  const total = points.reduce((sum, point) => sum + point.sum, 0)
  return {
    points,
    summary: {
      totalUsage: total,
      peakUsage: points.reduce((peak, { sum }) => Math.max(peak, sum), 0),
      avgHourlyUsage: share(total, hours)
    }
  }
}

/** @internal */
export const performance = (events: Iterable<Event>, hours: number) => {
  const { byPreset, errorRate, errors, loads } = tally(events)
  const { count, max, mean, min, p95 } = spread(loads)
  return {
    timeWindowHours: hours,
    performanceMetrics: {
      avgLoadTimeMs: mean,
      minLoadTimeMs: min,
      maxLoadTimeMs: max,
      p95LoadTimeMs: p95,
      errorCount: errors,
      totalSamples: count,
      presetPerformance: Object.fromEntries(
        Array.from(byPreset, ([preset, own]) => {
          const { count, max, mean, min } = spread(own)
          return [preset, { avgLoadTimeMs: mean, minLoadTimeMs: min, maxLoadTimeMs: max, sampleCount: count }]
        })
      )
    },
    healthCheck: {
      performanceGood: mean < limits.averageLoad,
      errorRateAcceptable: errorRate < limits.errorRate,
      p95WithinThreshold: p95 < limits.p95Load
    }
  }
}

/** @internal */
export const session = (events: Iterable<Event>) => {
  const { errorRate, errors, loads, total, usage } = tally(events)
  return {
    totalOperations: total,
    presetUsage: Object.fromEntries(usage),
    errorCount: errors,
    errorRate,
    avgLoadTimeMs: spread(loads).mean
  }
}

/** What alerts are decided by. @internal */
export interface Signals {
  /** The slowest recent load of each preset, in milliseconds. */
  readonly slowest: ReadonlyMap<string, number>
  /** Recent errors by preset. */
  readonly errors: ReadonlyMap<string, number>
  readonly changes: number
  readonly validations: number
  readonly invalid: number
}

/** Loads and errors since `recent`, in monotonic milliseconds, and changes and validations of all events. @internal */
export const signals = (events: Iterable<Event>, recent: number): Signals => {
  const slowest = new Map<string, number>()
  const errors = new Map<string, number>()
  let changes = 0
  let validations = 0
  let invalid = 0
  for (const { now, preset, type, value } of events) {
    if (type === "config_change") changes++
    else if (type === "validation_event") {
      validations++
      if (value === 0) invalid++
    } else if (now > recent) {
      if (type === "config_load") slowest.set(preset, Math.max(slowest.get(preset) ?? 0, value))
      else if (type === "config_error") add(errors, preset, 1)
    }
  }
  return { slowest, errors, changes, validations, invalid }
}
