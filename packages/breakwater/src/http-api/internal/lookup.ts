/**
 * Finds what a path names, or says what there is.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Bulkhead from "../../Bulkhead.ts"
import * as CircuitBreaker from "../../CircuitBreaker.ts"
import * as RateLimiter from "../../RateLimiter.ts"
import type { Registry } from "../../Registry.ts"
import { CurrentCaller } from "../AdminKeys.ts"
import type { RateLimitScope } from "../Shapes.ts"
import * as operationViews from "./operationViews.ts"
import * as views from "./views.ts"

/** @internal */
export const operation = Effect.fnUntraced(function* (resilience: Registry, name: string) {
  const found = yield* resilience.operation(name)
  if (Option.isSome(found)) return found.value
  return yield* operationViews.unknownOperation(name, yield* resilience.operations)
})

/** `extra` goes into the context of the error. @internal */
export const circuit = Effect.fnUntraced(function* (
  resilience: Registry,
  name: string,
  extra?: { readonly operation: string }
) {
  const found = yield* resilience.circuit(name)
  if (Option.isSome(found)) return found.value
  return yield* views.unknownBreaker(name, yield* resilience.operations, extra)
})

/** `extra` goes into the context of the error. @internal */
export const breakerDetails = Effect.fnUntraced(function* (
  resilience: Registry,
  name: string,
  extra?: { readonly operation: string }
) {
  const snapshot = yield* Effect.flatMap(circuit(resilience, name, extra), CircuitBreaker.snapshot)
  const found = yield* resilience.operation(snapshot.operation)
  // Forgotten between two steps: as if it had been unknown.
  if (Option.isNone(found)) return yield* views.unknownBreaker(name, yield* resilience.operations, extra)
  return views.breakerDetails(found.value, snapshot, yield* DateTime.now)
})

/** The rate limit that stands in a place of an operation. @internal */
export const rateLimit = Effect.fnUntraced(function* (
  resilience: Registry,
  name: string,
  scope: typeof RateLimitScope.Type
) {
  const snapshot = yield* operation(resilience, name)
  const found = yield* resilience.policy(name, scope)
  if (Option.isSome(found) && found.value instanceof RateLimiter.Limiter) return found.value
  return yield* operationViews.unknownRateLimit(snapshot.name, scope, snapshot)
})

/** The bulkhead of an operation. @internal */
export const bulkhead = Effect.fnUntraced(function* (resilience: Registry, name: string) {
  const found = yield* resilience.policy(name, "bulkhead")
  if (Option.isSome(found) && found.value instanceof Bulkhead.Bulkheads) return found.value
  return yield* operationViews.withoutBulkhead(name, yield* resilience.operations)
})

/** The id of the key of this request. @internal */
export const actor: Effect.Effect<string> = Effect.map(
  CurrentCaller,
  Option.match({ onNone: () => "unknown", onSome: ({ id }) => id })
)
