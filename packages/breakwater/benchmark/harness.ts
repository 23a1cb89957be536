/**
 * Measures contestants side by side.
 *
 * All contestants of a row are warmed up, then take turns: a round runs one batch of each, in an order that rotates from
 * round to round, so that a slow second of the machine falls on all of them. A figure is the median over the rounds, and
 * so is a ratio: it is taken in each round, whose contestants have met the same machine.
 */
import { median } from "./median.ts"

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

/** One result. Time is `nsPerCall`, with that of each round; everything else is a `value` with its `unit`. */
export type Result = {
  readonly name: string
  readonly contestant: string
  readonly ratioToBreakwater: number
} & (
  | { readonly nsPerCall: number; readonly rounds: ReadonlyArray<number> }
  | { readonly value: number; readonly unit: Unit }
)

export type Unit = "bytes" | "ms"

export interface Effort {
  readonly rounds: number
  /** Rounds before those that count. */
  readonly warmUpRounds: number
  readonly batchMillis: number
  readonly warmUpMillis: number
}

export const quick: Effort = { rounds: 7, warmUpRounds: 3, batchMillis: 4, warmUpMillis: 12 }
export const thorough: Effort = { rounds: 21, warmUpRounds: 2, batchMillis: 40, warmUpMillis: 200 }

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
const warmUp = async (contestant: Contestant, batchMillis: number, warmUpMillis: number): Promise<number> => {
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

/** Shows the code of every row to the compiler, so that the first row finds the same machine as the last. */
export const acquaint = async (rows: ReadonlyArray<TimeRow>): Promise<void> => {
  for (const row of rows) {
    for (const contestant of await row.setup()) {
      await warmUp(contestant, 4, 8)
      contestant.close?.()
    }
  }
}

export const measure = async (
  row: TimeRow,
  { batchMillis, rounds, warmUpMillis, warmUpRounds }: Effort
): Promise<ReadonlyArray<Result>> => {
  const contestants = await row.setup()
  const batches: Array<{ readonly contestant: Contestant; readonly steps: number; readonly times: Array<number> }> = []
  for (const contestant of contestants) {
    batches.push({ contestant, steps: await warmUp(contestant, batchMillis, warmUpMillis), times: [] })
  }
  for (let round = -warmUpRounds; round < rounds; round++) {
    for (const { contestant, steps, times } of rotated(batches, round + warmUpRounds)) {
      await turn()
      const spent = await millis(contestant, steps)
      if (round >= 0) times.push(spent / (steps * (contestant.callsPerStep ?? 1)))
    }
  }
  for (const { close } of contestants) close?.()
  const figures = new Map<string, Map<string, ReadonlyArray<number>>>()
  for (const { contestant, times } of batches) {
    for (const name of contestant.rows ?? [row.name]) {
      if (!figures.has(name)) figures.set(name, new Map())
      figures.get(name)!.set(
        contestant.name,
        times.map((millis) => millis * 1e6)
      )
    }
  }
  return Array.from(figures).flatMap(([name, values]) =>
    compared(values).map(({ contestant, figures, ratioToBreakwater }) => ({
      name,
      contestant,
      nsPerCall: rounded(median(figures), 10),
      ratioToBreakwater,
      rounds: figures.map((ns) => rounded(ns, 10))
    }))
  )
}

/** The order in which contestants take their turns in a round. */
export const rotated = <A>(contestants: ReadonlyArray<A>, round: number): ReadonlyArray<A> =>
  contestants.map((_, turn) => contestants[(round + turn) % contestants.length]!)

/** To so many parts of one. */
export const rounded = (value: number, parts: number): number => Math.round(value * parts) / parts

/** Puts the figures of all rounds beside those of breakwater. */
export const compared = (
  values: ReadonlyMap<string, ReadonlyArray<number>>
): ReadonlyArray<{
  readonly contestant: string
  readonly figures: ReadonlyArray<number>
  readonly ratioToBreakwater: number
}> => {
  const ours = values.get("breakwater")!
  return Array.from(values, ([contestant, figures]) => ({
    contestant,
    figures,
    ratioToBreakwater: rounded(median(figures.map((value, round) => value / ours[round]!)), 1000)
  }))
}
