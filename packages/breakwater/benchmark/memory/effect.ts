import { Effect } from "effect"
import { effectBreaker, effectPieces } from "../contestants/effect.ts"
import { answerEffect, valueEffect } from "../contestants/fiber.ts"
import { callsBefore, type Cases, each, never } from "./made.ts"

const neverEffect = Effect.promise(never)

export const cases: Cases = {
  // In its store an operation is a key, which is there after one call.
  "idle operation": async (names, keep) => {
    const guard = effectPieces()
    for (const name of names) await Effect.runPromise(guard(valueEffect, name))
    keep(guard)
  },
  "busy operation": async (names, keep) => {
    const guard = effectPieces()
    for (const name of names) {
      for (let calls = 0; calls < callsBefore; calls++) await Effect.runPromise(guard(answerEffect, name))
      keep(Effect.runFork(guard(neverEffect, name)))
    }
    keep(guard)
  },
  "idle breaker": each(effectBreaker)
}
