/**
 * Cuts what strangers attach to a record down to a small piece of JSON.
 */

/** @internal */
type Json = null | boolean | number | string | ReadonlyArray<Json> | { readonly [key: string]: Json }

/** @internal */
export type JsonObject = { readonly [key: string]: Json }

const maxDepth = 4
const maxEntries = 32
const maxText = 256
/** Characters in all, scalars counted as 8. */
const maxTotal = 1024

/** At most `length` UTF-16 units, well formed. @internal */
export const cut = (text: string, length: number): string =>
  (text.length <= length ? text : text.slice(0, length - 1).replace(/[\uD800-\uDBFF]$/, "") + "…").toWellFormed()

/** What can be told in JSON of the own fields of an object, and fits. Runs getters, and survives them. @internal */
export const boundedJson = (value: object): JsonObject => {
  const budget = { left: maxTotal }
  const textOf = (text: string): string => {
    const kept = cut(text, maxText)
    budget.left -= kept.length
    return kept
  }
  const of = (value: unknown, depth: number): Json | undefined => {
    budget.left -= 8
    switch (typeof value) {
      case "string":
        return textOf(value)
      case "boolean":
        return value
      case "number":
        // JSON has no negative zero.
        return Number.isFinite(value) ? value + 0 : null
      case "bigint":
        return textOf(String(value))
      case "object":
        if (value === null) return null
        if (value instanceof Date) return textOf(Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString())
        return depth === maxDepth ? textOf("…") : Array.isArray(value) ? items(value, depth) : fields(value, depth)
      default:
        return undefined
    }
  }
  const items = (values: ReadonlyArray<unknown>, depth: number): ReadonlyArray<Json> => {
    const kept: Array<Json> = []
    for (let at = 0; at < values.length && kept.length < maxEntries && budget.left > 0; at++) {
      kept.push(attempt(() => of(values[at], depth + 1)) ?? null)
    }
    return kept
  }
  const fields = (source: object, depth: number): JsonObject => {
    const kept: Record<string, Json> = {}
    let count = 0
    for (const key in source) {
      if (count === maxEntries || budget.left <= 0) break
      if (key === "__proto__" || !Object.hasOwn(source, key)) continue
      const told = attempt(() => of((source as Readonly<Record<string, unknown>>)[key], depth + 1))
      if (told === undefined) continue
      kept[textOf(key)] = told
      count++
    }
    return kept
  }
  return attempt(() => fields(value, 1)) ?? {}
}

const attempt = <A>(f: () => A): A | undefined => {
  try {
    return f()
  } catch {
    return undefined
  }
}
