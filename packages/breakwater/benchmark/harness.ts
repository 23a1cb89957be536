/**
 * Measures contestants side by side.
 *
 * All contestants of a row are warmed up, then take turns: a round runs one batch of each, in an order that rotates from
 * round to round, so that a slow second of the machine falls on all of them. The result is the median over the rounds.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"

export interface Contestant {
  readonly name: string
  /** Makes so many steps. A step is `callsPerStep` calls. */
  readonly run: (steps: number) => Promise<void>
  readonly callsPerStep?: number
  /** The rows it belongs to, when several are measured side by side. Default: the one that made it. */
  readonly rows?: ReadonlyArray<string>
  /** Ends what would run on. */
  readonly close?: () => void
}

export interface TimeRow {
  readonly name: string
  /** Makes the contestants anew. */
  readonly setup: () => ReadonlyArray<Contestant> | Promise<ReadonlyArray<Contestant>>
}

/** One result. Time is `nsPerCall`; everything else is a `value` with its `unit`. */
export type Result = {
  readonly name: string
  readonly contestant: string
  readonly ratioToBreakwater: number
} & ({ readonly nsPerCall: number } | { readonly value: number; readonly unit: Unit })

export type Unit = "bytes" | "ms"

export interface Effort {
  readonly rounds: number
  readonly batchMillis: number
  readonly warmUpMillis: number
}

export const quick: Effort = { rounds: 9, batchMillis: 7, warmUpMillis: 25 }
export const thorough: Effort = { rounds: 21, batchMillis: 40, warmUpMillis: 200 }

setFlagsFromString("--expose-gc")
const collect = runInNewContext("gc") as () => void

const worked = (): number => {
  // Linux brings the figure of the thread up to date when that of the process is asked for, and else with each tick.
  process.cpuUsage()
  const { system, user } = process.threadCpuUsage()
  return (user + system) / 1000
}

/**
 * The time that the main thread worked. On an idle machine it is the time that passed; on a busy one it leaves out what
 * other programs took, and it leaves out waiting for a timer.
 */
const millis = async (contestant: Contestant, steps: number): Promise<number> => {
  const start = worked()
  await contestant.run(steps)
  return worked() - start
}

/** Lets timers and closed handles of the contestant before have their turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Runs a contestant for so long, and returns how many steps fill a batch. */
const warmUp = async (contestant: Contestant, { batchMillis, warmUpMillis }: Effort): Promise<number> => {
  let steps = 1
  let spent = 0
  for (;;) {
    const took = await millis(contestant, steps)
    spent += took
    await turn()
    if (spent >= warmUpMillis) return Math.max(1, Math.round((steps * batchMillis) / took))
    if (took < batchMillis) steps *= 2
  }
}

export const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Shows the code of every row to the compiler, so that the first row finds the same machine as the last. */
export const acquaint = async (rows: ReadonlyArray<TimeRow>): Promise<void> => {
  for (const row of rows) {
    for (const contestant of await row.setup()) {
      await warmUp(contestant, { rounds: 1, batchMillis: 4, warmUpMillis: 12 })
      contestant.close?.()
    }
  }
}

export const measure = async (row: TimeRow, effort: Effort): Promise<ReadonlyArray<Result>> => {
  const contestants = await row.setup()
  const batches: Array<{ readonly contestant: Contestant; readonly steps: number; readonly times: Array<number> }> = []
  for (const contestant of contestants) {
    batches.push({ contestant, steps: await warmUp(contestant, effort), times: [] })
  }
  collect()
  for (let round = 0; round < effort.rounds; round++) {
    for (let turns = 0; turns < batches.length; turns++) {
      const { contestant, steps, times } = batches[(round + turns) % batches.length]!
      await turn()
      times.push((await millis(contestant, steps)) / (steps * (contestant.callsPerStep ?? 1)))
    }
  }
  for (const { close } of contestants) close?.()
  const figures = new Map<string, Map<string, number>>()
  for (const { contestant, times } of batches) {
    for (const name of contestant.rows ?? [row.name]) {
      if (!figures.has(name)) figures.set(name, new Map())
      figures.get(name)!.set(contestant.name, median(times) * 1e6)
    }
  }
  return Array.from(figures).flatMap(([name, values]) =>
    compared(values).map(({ contestant, ratioToBreakwater, value }) => ({
      name,
      contestant,
      nsPerCall: Math.round(value * 10) / 10,
      ratioToBreakwater
    }))
  )
}

/** Puts figures beside that of breakwater. */
export const compared = (
  values: ReadonlyMap<string, number>
): ReadonlyArray<{ readonly contestant: string; readonly value: number; readonly ratioToBreakwater: number }> => {
  const ours = values.get("breakwater")!
  return Array.from(values, ([contestant, value]) => ({
    contestant,
    value,
    ratioToBreakwater: Math.round((value / ours) * 1000) / 1000
  }))
}
