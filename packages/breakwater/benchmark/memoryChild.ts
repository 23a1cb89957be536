/**
 * Prints the bytes that a case takes for each of its instances: `node --expose-gc memoryChild.ts CASE CONTESTANT COUNT`.
 * The case `keys` prints the bytes of all of them.
 *
 * Counted is the JavaScript heap and what it holds outside of itself, such as the buffers of typed arrays, after a full
 * collection. The names and the list that holds the instances are there before.
 */
import { withResilience } from "breakwater"
import { Effect } from "effect"
import { setTimeout } from "node:timers/promises"
import {
  answer,
  cockatielBreaker,
  cockatielFull,
  effectBreaker,
  effectPieces,
  mollitiaCircuit,
  opossumBreaker,
  opossumFull,
  ownBreaker,
  resilience,
  valueEffect
} from "./contestants.ts"

/** Makes instances under the given names and keeps them in `kept`. */
type Make = (names: ReadonlyArray<string>, kept: Array<unknown>) => unknown

const each =
  (make: () => unknown): Make =>
  (names, kept) => {
    for (const _ of names) kept.push(make())
  }

const never = (): Promise<number> => new Promise(() => {})
const neverEffect = Effect.promise(never)
const callsBefore = 10

/** An operation that has made some calls and has one in flight. `call` takes what is guarded. */
const busy =
  (make: () => (action: () => Promise<number>) => Promise<unknown>): Make =>
  async (names, kept) => {
    for (const _ of names) {
      const call = make()
      for (let calls = 0; calls < callsBefore; calls++) await call(answer)
      kept.push(call, call(never))
    }
  }

/** One action for contestants that are made around it. */
const around =
  (make: (action: () => Promise<number>) => () => Promise<unknown>) =>
  (): ((action: () => Promise<number>) => Promise<unknown>) => {
    let current = answer
    const call = make(() => current())
    return (action) => {
      current = action
      return call()
    }
  }

const cases: { readonly [name: string]: { readonly [contestant: string]: Make } } = {
  "idle operation": {
    breakwater: async (names, kept) => kept.push(await resilience({ operations: names })),
    // In its store an operation is a key, which is there after one call.
    effect: async (names, kept) => {
      const guard = effectPieces()
      for (const name of names) await Effect.runPromise(guard(valueEffect, name))
      kept.push(guard)
    },
    cockatiel: each(cockatielFull),
    opossum: each(() => opossumFull(answer)),
    mollitia: each(() => mollitiaCircuit.full(answer))
  },
  "operation after one call": {
    breakwater: async (names, kept) => {
      const context = await resilience({ operations: names })
      const run = Effect.runPromiseWith(context)
      for (const operation of names) await run(valueEffect.pipe(withResilience("balanced", { operation })))
      kept.push(context)
    }
  },
  "busy operation": {
    breakwater: async (names, kept) => {
      const context = await resilience({ operations: names })
      const run = Effect.runPromiseWith(context)
      const fork = Effect.runForkWith(context)
      for (const operation of names) {
        for (let calls = 0; calls < callsBefore; calls++) {
          await run(Effect.promise(answer).pipe(withResilience("balanced", { operation })))
        }
        kept.push(fork(neverEffect.pipe(withResilience("balanced", { operation }))))
      }
      kept.push(context)
    },
    effect: async (names, kept) => {
      const guard = effectPieces()
      for (const name of names) {
        for (let calls = 0; calls < callsBefore; calls++) await Effect.runPromise(guard(Effect.promise(answer), name))
        kept.push(Effect.runFork(guard(neverEffect, name)))
      }
      kept.push(guard)
    },
    cockatiel: busy(() => {
      const policy = cockatielFull()
      return (action) => policy.execute(action)
    }),
    opossum: busy(
      around((action) => {
        const opossum = opossumFull(action)
        return () => opossum.fire()
      })
    ),
    mollitia: busy(around((action) => mollitiaCircuit.full(action)))
  },
  "idle breaker": {
    breakwater: each(ownBreaker),
    effect: each(effectBreaker),
    cockatiel: each(cockatielBreaker),
    opossum: each(() => opossumBreaker(answer)),
    mollitia: each(() => mollitiaCircuit.breaker(answer))
  }
}

/** One operation that is called with many keys, with the bounds as shipped. */
const keys =
  (first: number, count: number) =>
  async (kept: Array<unknown>): Promise<void> => {
    const context = await resilience()
    const calls = Effect.gen(function* () {
      for (let key = first; key < first + count; key++) {
        yield* valueEffect.pipe(withResilience("balanced", { operation: "keyed", key: `key_${key}` }))
      }
    })
    await Effect.runPromiseWith(context)(calls)
    kept.push(context)
  }

const inUse = async (): Promise<number> => {
  for (let collections = 0; collections < 3; collections++) {
    await setTimeout(5)
    globalThis.gc!()
  }
  const { external, heapUsed } = process.memoryUsage()
  return heapUsed + external
}

const [name = "", contestant = "", count = ""] = process.argv.slice(2)
const instances = Number(count)
const warm = 300
const kept: Array<unknown> = []

/** What the first instances bring with them, such as code, is there before. */
const grown = async (first: (kept: Array<unknown>) => unknown, rest: (kept: Array<unknown>) => unknown) => {
  await first([])
  const before = await inUse()
  await rest(kept)
  return (await inUse()) - before
}

if (name === "keys") {
  process.stdout.write(String(await grown(keys(0, warm), keys(0, instances))))
} else {
  const make = cases[name]?.[contestant]
  if (make === undefined) throw new Error(`no case ${name} for ${contestant}`)
  // Flat strings, as they come from code.
  const names = Array.from({ length: warm + instances }, (_, index) =>
    Buffer.from(`operation_${index}`).toString("latin1")
  )
  const [first, rest] = [names.slice(0, warm), names.slice(warm)]
  const bytes = await grown(
    (kept) => make(first, kept),
    (kept) => make(rest, kept)
  )
  process.stdout.write(String(Math.round(bytes / instances)))
}
// Timers and calls that never end are still there.
process.exit()
