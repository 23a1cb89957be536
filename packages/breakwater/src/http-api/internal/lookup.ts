/**
 * Finds what a path names, or says what there is.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Resilience } from "../../Resilience.ts"
import { CurrentCaller } from "../AdminKeys.ts"
import * as operationViews from "./operationViews.ts"
import * as views from "./views.ts"

/** @internal */
export const operation = Effect.fnUntraced(function* (resilience: Resilience["Service"], name: string) {
  const found = yield* resilience.operation(name)
  if (Option.isSome(found)) return found.value
  return yield* operationViews.unknownOperation(name, yield* resilience.operations)
})

/** `extra` goes into the context of the error. @internal */
export const circuit = Effect.fnUntraced(function* (
  resilience: Resilience["Service"],
  name: string,
  extra?: { readonly operation: string }
) {
  const found = yield* resilience.circuit(name)
  if (Option.isSome(found)) return found.value
  return yield* views.unknownBreaker(name, yield* resilience.operations, extra)
})

/** `extra` goes into the context of the error. @internal */
export const breakerDetails = Effect.fnUntraced(function* (
  resilience: Resilience["Service"],
  name: string,
  extra?: { readonly operation: string }
) {
  const snapshot = yield* Effect.flatMap(circuit(resilience, name, extra), (found) => found.snapshot)
  const found = yield* resilience.operation(snapshot.operation)
  // Forgotten between two steps: as if it had been unknown.
  if (Option.isNone(found)) return yield* views.unknownBreaker(name, yield* resilience.operations, extra)
  return views.breakerDetails(found.value, snapshot, yield* DateTime.now)
})

/** The id of the key of this request. @internal */
export const actor: Effect.Effect<string> = Effect.map(
  CurrentCaller,
  Option.match({ onNone: () => "unknown", onSome: ({ id }) => id })
)
