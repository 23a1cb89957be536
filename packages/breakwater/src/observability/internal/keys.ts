/**
 * Shows keys, which callers choose and which may be secret, to backends that
 * many people read.
 */
import * as Hash from "effect/Hash"

/** @internal */
export type Keys = "hashed" | "omitted" | "plain"

/** @internal */
export const show = (key: string | undefined, keys: Keys): string | undefined => {
  if (key === undefined || keys === "omitted") return undefined
  return keys === "plain" ? key : (Hash.string(key) >>> 0).toString(16).padStart(8, "0")
}
