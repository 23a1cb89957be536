/**
 * Reads who asks from the headers of a request.
 */
import * as Option from "effect/Option"
import type { Caller, Identity } from "../AdminKeys.ts"

// A header that is there counts as a credential, whatever it holds.
/** The keys that a request presents. @internal */
export const credentialsOf = (headers: Readonly<Record<string, string | undefined>>): ReadonlyArray<string> => {
  const bearer = headers["authorization"]
  const apiKey = headers["x-api-key"]
  if (bearer === undefined) return apiKey === undefined ? [] : [apiKey]
  const token = /^Bearer +(\S+)$/i.exec(bearer)?.[1] ?? ""
  return apiKey === undefined ? [token] : [token, apiKey]
}

/** Who presents these keys; `undefined`: nobody, or not one. @internal */
export const callerOf = ([first, ...others]: ReadonlyArray<Identity>): Caller | undefined =>
  first !== undefined &&
  Option.isSome(first.scope) &&
  others.every(({ id, scope }) => Option.isSome(scope) && id === first.id)
    ? { id: first.id, scope: first.scope.value }
    : undefined
