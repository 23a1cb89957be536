/**
 * Counts the validations of a caller.
 */
import * as Effect from "effect/Effect"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import type * as ValidationLimiter from "../../config/ValidationLimiter.ts"
import * as Errors from "../../Errors.ts"
import * as AdminKeys from "../AdminKeys.ts"
import { TrustedProxies } from "../TrustedProxies.ts"
import { clientAddress } from "./clientAddress.ts"
import { peerOf } from "./wrongKeys.ts"

/** Who makes the current request: the id of the key, or else the address, of IPv6 its first 64 bits. @internal */
export const identity: Effect.Effect<string, never, HttpServerRequest.HttpServerRequest> = Effect.gen(function* () {
  const caller = yield* AdminKeys.CurrentCaller
  if (Option.isSome(caller)) return caller.value.id
  return peerOf(clientAddress(yield* TrustedProxies, yield* HttpServerRequest.HttpServerRequest))
})

/** Validates if the caller may. @internal */
export const limited = (limiter: ValidationLimiter.ValidationLimiter["Service"]) => {
  const check = Effect.flatMap(identity, limiter.check).pipe(
    Effect.mapError(({ retryAfter }) => new Errors.RateLimitError({ message: "Too many validations", retryAfter }))
  )
  return <A, E, R>(validation: Effect.Effect<A, E, R>) => Effect.andThen(check, validation)
}
