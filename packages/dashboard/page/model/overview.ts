/**
 * The tiles of the overview: what each says, which of them are shown, and in
 * which order.
 */
import type { Operation } from "../api/types.ts"
import { factsOf, type State, worst } from "./states.ts"
import type { Series } from "./series.ts"

export interface Circuit {
  readonly name: string
  readonly state: State
  readonly failures: number
  readonly threshold: number
  /** On the clock of the server. */
  readonly retryAt?: number | undefined
  readonly expiresAt?: number | undefined
  readonly reason?: string | undefined
  readonly actor?: string | undefined
}

export interface Tile {
  readonly name: string
  readonly alias: string | null
  readonly strategy: string
  readonly state: State
  readonly circuits: number
  readonly openCircuits: number
  /** 0 to 1, over the latest minute. `undefined` if no call ended. */
  readonly successRate: number | undefined
  readonly callsPerSecond: number | undefined
  readonly attemptsPerCall: number | undefined
  readonly inFlight: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  /** Failures in a row, and how many open the circuit. */
  readonly window: { readonly filled: number; readonly size: number } | undefined
  readonly retryAt: number | undefined
  readonly expiresAt: number | undefined
  readonly trouble: number
}

/** Points of about the latest minute. */
const minute = 60_000

const sum = (values: ReadonlyArray<number>): number => values.reduce((total, value) => total + value, 0)

/** Steps and not a scale, so that tiles do not change places all the time. */
const troubleOf = (state: State, successRate: number | undefined, filled: number): number => {
  const { trouble } = factsOf(state)
  if (trouble > 0) return trouble
  if (successRate !== undefined && successRate < 0.99) return successRate < 0.8 ? 200 : successRate < 0.95 ? 150 : 100
  return filled >= 0.5 ? 50 : 0
}

export const tileOf = (operation: Operation, circuits: ReadonlyArray<Circuit>, series: Series, now: number): Tile => {
  const state = worst(circuits.map(({ state }) => state))
  const shown = circuits.filter((circuit) => circuit.state === state)
  const since = now - minute
  const at = series.column("at")
  const first = at.findIndex((moment) => moment >= since)
  const latest = first === -1 ? 0 : at.length - first
  const [succeeded, failed, rejected] = (["succeeded", "failed", "rejected"] as const).map((name) =>
    sum(series.column(name, latest))
  )
  const ended = succeeded! + failed! + rejected!
  const successRate = ended > 0 ? succeeded! / ended : undefined
  const last = series.at(series.length - 1)
  const fullest = circuits.reduce<Circuit | undefined>(
    (a, b) => (a === undefined || b.failures / b.threshold > a.failures / a.threshold ? b : a),
    undefined
  )
  const times = (name: "retryAt" | "expiresAt"): number | undefined => {
    const known = shown.flatMap((circuit) => circuit[name] ?? [])
    return known.length === 0 ? undefined : Math.min(...known)
  }
  return {
    name: operation.name,
    alias: operation.alias,
    strategy: operation.strategy,
    state,
    circuits: Math.max(circuits.length, operation.total_circuit_breakers),
    openCircuits: circuits.filter(({ state }) => factsOf(state).trouble > 0).length,
    successRate,
    callsPerSecond: last?.calls,
    attemptsPerCall: last === undefined || Number.isNaN(last.attemptsPerCall) ? undefined : last.attemptsPerCall,
    inFlight: operation.in_flight,
    p50: operation.latency_ms.p50,
    p95: operation.latency_ms.p95,
    p99: operation.latency_ms.p99,
    window:
      fullest === undefined
        ? undefined
        : { filled: Math.min(fullest.failures, fullest.threshold), size: fullest.threshold },
    retryAt: state === "open" || state === "half_open" ? times("retryAt") : undefined,
    expiresAt: factsOf(state).tone === "held" ? times("expiresAt") : undefined,
    trouble: troubleOf(state, successRate, fullest === undefined ? 0 : fullest.failures / fullest.threshold)
  }
}

export const filters = {
  all: { label: "All", holds: () => true },
  trouble: { label: "Trouble", holds: ({ trouble }: Tile) => trouble >= 100 },
  open: { label: "Open", holds: ({ state }: Tile) => state === "open" },
  half_open: { label: "Half-open", holds: ({ state }: Tile) => state === "half_open" },
  isolated: { label: "Held", holds: ({ state }: Tile) => factsOf(state).tone === "held" }
} as const satisfies Record<string, { readonly label: string; readonly holds: (tile: Tile) => boolean }>

export type Filter = keyof typeof filters

const byName = (a: Tile, b: Tile): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0)

export const orders = {
  trouble: { label: "Trouble", compare: (a: Tile, b: Tile) => b.trouble - a.trouble },
  name: { label: "Name", compare: byName },
  traffic: {
    label: "Calls per second",
    compare: (a: Tile, b: Tile) => (b.callsPerSecond ?? 0) - (a.callsPerSecond ?? 0)
  },
  latency: { label: "Latency (p95)", compare: (a: Tile, b: Tile) => b.p95 - a.p95 },
  success: { label: "Success rate", compare: (a: Tile, b: Tile) => (a.successRate ?? 2) - (b.successRate ?? 2) }
} as const satisfies Record<string, { readonly label: string; readonly compare: (a: Tile, b: Tile) => number }>

export type Order = keyof typeof orders

export const isOrder = (text: string): text is Order => Object.hasOwn(orders, text)

/** Each word has to be in the name, the alias or the strategy. */
const matches = ({ alias, name, strategy }: Tile, search: string): boolean => {
  const where = `${name} ${alias ?? ""} ${strategy}`.toLowerCase()
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => where.includes(word))
}

export const arrange = (
  tiles: ReadonlyArray<Tile>,
  { filter, order, search }: { readonly filter: Filter; readonly order: Order; readonly search: string }
): ReadonlyArray<Tile> => {
  const { compare } = orders[order]
  return tiles
    .filter((tile) => filters[filter].holds(tile) && matches(tile, search))
    .toSorted((a, b) => compare(a, b) || byName(a, b))
}

export interface Totals {
  readonly operations: number
  readonly open: number
  readonly halfOpen: number
  readonly held: number
  readonly callsPerSecond: number
  readonly inFlight: number
  readonly successRate: number | undefined
}

export const totals = (tiles: ReadonlyArray<Tile>): Totals => {
  const weighed = tiles.filter(
    ({ callsPerSecond, successRate }) => successRate !== undefined && (callsPerSecond ?? 0) > 0
  )
  const calls = sum(weighed.map(({ callsPerSecond }) => callsPerSecond!))
  const countOf = (filter: Filter): number => tiles.filter((tile) => filters[filter].holds(tile)).length
  return {
    operations: tiles.length,
    open: countOf("open"),
    halfOpen: countOf("half_open"),
    held: countOf("isolated"),
    callsPerSecond: sum(tiles.map(({ callsPerSecond }) => callsPerSecond ?? 0)),
    inFlight: sum(tiles.map(({ inFlight }) => inFlight)),
    successRate:
      calls > 0
        ? sum(weighed.map(({ callsPerSecond, successRate }) => callsPerSecond! * successRate!)) / calls
        : undefined
  }
}
