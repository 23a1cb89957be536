/**
 * Reads who asks from the headers of a request.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { AdminKeys, Caller, Identity } from "../AdminKeys.ts"

// A header that is there counts as a credential, whatever it holds.
/** The keys that a request presents. @internal */
export const credentialsOf = (headers: Readonly<Record<string, string | undefined>>): ReadonlyArray<string> => {
  const bearer = headers["authorization"]
  const apiKey = headers["x-api-key"]
  if (bearer === undefined) return apiKey === undefined ? [] : [apiKey]
  const token = /^Bearer +(\S+)$/i.exec(bearer)?.[1] ?? ""
  return apiKey === undefined ? [token] : [token, apiKey]
}

/** Whose keys these are. @internal */
export const identitiesOf = (
  { identify }: AdminKeys["Service"],
  presented: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<Identity>> => Effect.forEach(presented, (key) => identify(Redacted.make(key)))

/** Who presents these keys; `undefined`: nobody, or not one. @internal */
export const callerOf = ([first, ...others]: ReadonlyArray<Identity>): Caller | undefined =>
  first !== undefined &&
  Option.isSome(first.scope) &&
  others.every(({ id, scope }) => Option.isSome(scope) && id === first.id)
    ? { id: first.id, scope: first.scope.value }
    : undefined
