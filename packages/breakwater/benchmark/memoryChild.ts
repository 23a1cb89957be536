/**
 * Prints the bytes that so many instances take: `node --expose-gc memoryChild.ts CASE CONTESTANT COUNT`. Loads nothing of
 * the other contestants.
 *
 * Counted is the JavaScript heap and what it holds outside of itself, such as the buffers of typed arrays, after a full
 * collection. The names and the list that holds the instances are there before, but for the names of `keys`.
 */
import { setTimeout } from "node:timers/promises"
import { median } from "./median.ts"
import type { Cases } from "./memory/made.ts"

const inUse = async (): Promise<number> => {
  for (let collections = 0; collections < 3; collections++) {
    await setTimeout(5)
    globalThis.gc!()
  }
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

const [name = "", contestant = "", count = ""] = process.argv.slice(2)
const load: { readonly [contestant: string]: () => Promise<{ readonly cases: Cases }> } = {
  breakwater: () => import("./memory/breakwater.ts"),
  cockatiel: () => import("./memory/cockatiel.ts"),
  effect: () => import("./memory/effect.ts"),
  mollitia: () => import("./memory/mollitia.ts"),
  opossum: () => import("./memory/opossum.ts")
}
const make = (await load[contestant]?.())?.cases[name]
if (make === undefined) throw new Error(`no case ${name} for ${contestant}`)
const instances = Number(count)
const warm = 300
/** Now and then half a megabyte that belongs to none of them comes with one of these. */
const times = name === "keys" ? 1 : 3

function* keys(first: number, count: number): Iterable<string> {
  for (let key = first; key < first + count; key++) yield `key_${key}`
}
// Flat strings, as they come from code.
const flat = (first: number, count: number): Iterable<string> =>
  Array.from(keys(first, count), (key) => Buffer.from(key).toString("latin1"))

const namesOf = name === "keys" ? keys : flat
const named = Array.from({ length: times }, (_, time) => namesOf(warm + time * instances, instances))
const kept: Array<unknown> = []
// What the first instances bring with them, such as code, is there before.
await make(namesOf(0, warm), [])
const grown: Array<number> = []
let before = await inUse()
for (const names of named) {
  await make(names, kept)
  const after = await inUse()
  grown.push(after - before)
  before = after
}
process.stdout.write(String(median(grown)))
// Timers and calls that never end are still there.
process.exit()
