import { withResilience } from "breakwater"
import { Effect } from "effect"
import { ownBreaker, resilience } from "../contestants/breakwater.ts"
import { answerEffect, valueEffect } from "../contestants/fiber.ts"
import { callsBefore, type Cases, each, never } from "./made.ts"

const neverEffect = Effect.promise(never)

export const cases: Cases = {
  "idle operation": async (names, keep) => keep(await resilience({ operations: [...names] })),
  "operation after one call": async (names, keep) => {
    const operations = [...names]
    const context = await resilience({ operations })
    const run = Effect.runPromiseWith(context)
    for (const operation of operations) await run(valueEffect.pipe(withResilience("balanced", { operation })))
    keep(context)
  },
  "busy operation": async (names, keep) => {
    const operations = [...names]
    const context = await resilience({ operations })
    const run = Effect.runPromiseWith(context)
    const fork = Effect.runForkWith(context)
    for (const operation of operations) {
      for (let calls = 0; calls < callsBefore; calls++) {
        await run(answerEffect.pipe(withResilience("balanced", { operation })))
      }
      keep(fork(neverEffect.pipe(withResilience("balanced", { operation }))))
    }
    keep(context)
  },
  "idle breaker": each(ownBreaker),
  // One operation that is called with many keys, with the bounds as shipped.
  keys: async (names, keep) => {
    const context = await resilience()
    const calls = Effect.gen(function* () {
      for (const key of names) yield* valueEffect.pipe(withResilience("balanced", { operation: "keyed", key }))
    })
    await Effect.runPromiseWith(context)(calls)
    keep(context)
  }
}
