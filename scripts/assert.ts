import { deepStrictEqual } from "node:assert"
import * as Equal from "effect/Equal"

/** What `actual // => expected` means in an example: equal to Effect, or equal to Node. */
export const assertEquals = (actual: unknown, expected: unknown): void => {
  if (!Equal.equals(actual, expected)) deepStrictEqual(actual, expected)
}
