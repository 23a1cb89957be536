/**
 * Walks a value that is there already, and shows its shape. Runs no code of the
 * value: properties are read by their descriptors, and getters are refused.
 * Stacks instead of recursion; a circle is found among the open containers.
 */
import { quote } from "../Finding.ts"
import type { Shape } from "./validationShape.ts"

interface Open {
  readonly source: object
  /** `undefined`: an array. */
  readonly keys: ReadonlyArray<string> | undefined
  readonly length: number
  readonly copy: Record<string, unknown> | Array<unknown>
  next: number
}

/**
 * A copy made of plain objects and arrays, good for nothing once `shape`
 * refuses it or is too large. Stops at the first thing that is not JSON.
 *
 * @internal
 */
export const walk = (value: unknown, shape: Shape): unknown => {
  try {
    return copy(value, shape)
  } catch {
    // The traps of a proxy can throw.
    shape.foreign("an object that cannot be read")
    return undefined
  }
}

const copy = (value: unknown, shape: Shape): unknown => {
  const path: Array<Open> = []
  const ancestors = new Set<object>()

  const visit = (value: unknown): unknown => {
    if (typeof value !== "object" || value === null) {
      scalar(value, shape)
      return value
    }
    if (ancestors.has(value)) {
      shape.foreign("part of itself")
      return undefined
    }
    const opened = open(value, shape)
    if (opened === undefined) return undefined
    shape.enter(opened.keys === undefined ? "array" : "object")
    ancestors.add(value)
    path.push(opened)
    return opened.copy
  }

  const root = visit(value)
  for (let top = path.at(-1); top !== undefined && !shape.full; top = path.at(-1)) {
    if (top.next === top.length) {
      path.pop()
      ancestors.delete(top.source)
      shape.leave()
      continue
    }
    const key = top.keys === undefined ? String(top.next) : top.keys[top.next]!
    top.next++
    const descriptor = Object.getOwnPropertyDescriptor(top.source, key)
    if (top.keys !== undefined) {
      if (descriptor?.enumerable !== true) continue
      shape.key(key)
    }
    if (descriptor !== undefined && !("value" in descriptor)) {
      shape.foreign("computed by a getter or setter")
      break
    }
    const member = visit(descriptor?.value)
    if (shape.refused || shape.tooLarge) continue
    if (Array.isArray(top.copy)) top.copy.push(member)
    // An assignment could meet a setter, or a prototype that is frozen.
    else Object.defineProperty(top.copy, key, { value: member, configurable: true, enumerable: true, writable: true })
  }
  return root
}

const scalar = (value: unknown, shape: Shape): void => {
  if (typeof value === "string") shape.string(value)
  else if (typeof value === "number" && Number.isFinite(value)) shape.number(value, JSON.stringify(value).length)
  else if (typeof value === "boolean" || value === null) shape.scalar(String(value).length)
  else shape.foreign(quote(value))
}

const open = (value: object, shape: Shape): Open | undefined => {
  if (Array.isArray(value)) return { source: value, keys: undefined, length: value.length, copy: [], next: 0 }
  const prototype: unknown = Object.getPrototypeOf(value)
  // An object of another realm is plain too: there is nothing above its prototype.
  if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
    shape.foreign("an object with a class of its own")
    return undefined
  }
  const keys = Reflect.ownKeys(value)
  // Symbols come last.
  if (typeof keys.at(-1) === "symbol") {
    shape.foreign("an object with a symbol for a name")
    return undefined
  }
  return { source: value, keys: keys as ReadonlyArray<string>, length: keys.length, copy: {}, next: 0 }
}
