/**
 * Prints how many bytes the instances of a contestant take together, one number for each case:
 * `node --expose-gc memoryChild.ts CONTESTANT CASE COUNT [CASE COUNT...]`. Loads nothing of the other contestants.
 *
 * Counted is the JavaScript heap and what it holds outside of itself, such as the buffers of typed arrays, after a full
 * collection. The names and the list that holds the instances are there before, but for the names of `keys`. What was
 * made for one case stays while the next is measured.
 */
import { setTimeout } from "node:timers/promises"
import { median } from "./median.ts"
import type { Cases } from "./memory/made.ts"

const inUse = async (): Promise<number> => {
  for (let collections = 0; collections < 2; collections++) {
    await setTimeout(5)
    globalThis.gc!()
  }
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

const [contestant = "", ...wanted] = process.argv.slice(2)
const load: { readonly [contestant: string]: () => Promise<{ readonly cases: Cases }> } = {
  breakwater: () => import("./memory/breakwater.ts"),
  cockatiel: () => import("./memory/cockatiel.ts"),
  effect: () => import("./memory/effect.ts"),
  mollitia: () => import("./memory/mollitia.ts"),
  opossum: () => import("./memory/opossum.ts")
}
const cases = (await load[contestant]?.())?.cases
const warm = 300
const all: Array<unknown> = []

function* keys(first: number, count: number): Iterable<string> {
  for (let key = first; key < first + count; key++) yield `key_${key}`
}
// Flat strings, as they come from code.
const flat = (first: number, count: number): Iterable<string> =>
  Array.from(keys(first, count), (key) => Buffer.from(key).toString("latin1"))

/** By how much so many instances make the process grow. */
const growth = async (name: string, count: number): Promise<number> => {
  const make = cases?.[name]
  if (make === undefined) throw new Error(`no case ${name} for ${contestant}`)
  // One operation has all keys. Else now and then half a megabyte that belongs to none of them comes with one of three
  // times, and at most two things of each instance are kept, and one of each time.
  const [namesOf, times, room] = name === "keys" ? [keys, 1, 1] : [flat, 3, 2 * count + 1]
  const named = Array.from({ length: times }, (_, time) => namesOf(warm + time * count, count))
  // What the first instances bring with them, such as code, is there before.
  await make(namesOf(0, warm), () => {})
  const kept = Array.from<unknown>({ length: times * room })
  let next = 0
  const keep = (made: unknown): void => {
    kept[next++] = made
  }
  all.push(kept, named)
  const grown: Array<number> = []
  let before = await inUse()
  for (const names of named) {
    await make(names, keep)
    const after = await inUse()
    grown.push(after - before)
    before = after
  }
  return median(grown)
}

for (let at = 0; at < wanted.length; at += 2) {
  process.stdout.write(`${await growth(wanted[at]!, Number(wanted[at + 1]))}\n`)
}
// Timers and calls that never end are still there.
process.exit()
