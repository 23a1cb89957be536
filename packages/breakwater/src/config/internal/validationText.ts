/**
 * Reads JSON text without making a value of it, and shows its shape. Accepts
 * what `JSON.parse` accepts, in one pass without recursion.
 *
 *            ┌──────────────── , ────────────────┐
 *            ▼                                   │
 *   value: { ─ key ─ : ─ value │ [ ─ value │ scalar ──> after ── } ] ──> after
 */
import type { Shape } from "./validationShape.ts"

/** Where the text stops being JSON, and what would go on. @internal */
export interface Malformed {
  readonly at: number
  readonly expected: string
}

/** `undefined`: the text is JSON, or `shape` is full. @internal */
export const scan = (text: string, shape: Shape): Malformed | undefined => {
  const reader = new Reader(text)
  let expecting: "value" | "key" | "after" = "value"
  while (!shape.full) {
    const unit = reader.token()
    if (expecting === "after") {
      if (shape.depth === 0) return unit === undefined ? undefined : reader.malformed("the end of the text")
      if (unit === comma) expecting = shape.inObject ? "key" : "value"
      else if (unit === (shape.inObject ? closeBrace : closeBracket)) shape.leave()
      else return reader.malformed(`a comma or "${shape.inObject ? "}" : "]"}"`)
      reader.at++
      continue
    }
    if (expecting === "key") {
      const key = unit === quote ? reader.string() : undefined
      if (key === undefined) return reader.malformed(unit === quote ? "a string" : "a name in double quotes")
      shape.key(key)
      if (reader.token() !== colon) return reader.malformed("a colon")
      reader.at++
      expecting = "value"
      continue
    }
    expecting = "after"
    if (unit === openBrace || unit === openBracket) {
      reader.at++
      shape.enter(unit === openBrace ? "object" : "array")
      if (reader.token() === (unit === openBrace ? closeBrace : closeBracket)) {
        reader.at++
        shape.leave()
      } else expecting = unit === openBrace ? "key" : "value"
    } else if (unit === quote) {
      const string = reader.string()
      if (string === undefined) return reader.malformed("a string")
      shape.string(string)
    } else {
      const scalar = reader.scalar()
      if (scalar === undefined) return reader.malformed("a value")
      if (typeof scalar === "number") shape.number(scalar, JSON.stringify(scalar).length)
      else shape.scalar(scalar.length)
    }
  }
  return undefined
}

const openBrace = 0x7b
const closeBrace = 0x7d
const openBracket = 0x5b
const closeBracket = 0x5d
const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const backslash = 0x5c

const escapes: ReadonlyMap<string, string> = new Map([
  ['"', '"'],
  ["\\", "\\"],
  ["/", "/"],
  ["b", "\b"],
  ["f", "\f"],
  ["n", "\n"],
  ["r", "\r"],
  ["t", "\t"]
])

// Sticky and without nested quantifiers: each reads on from one place and never goes back.
const blanks = /[ \t\n\r]*/y
const word = /true|false|null/y
// All but control characters, the quote and the backslash.
const plain = /[ !#-[\]-\uffff]*/y
const number = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const hex = /[0-9a-fA-F]{4}/y

class Reader {
  at = 0
  private readonly text: string

  constructor(text: string) {
    this.text = text
  }

  malformed(expected: string): Malformed {
    return { at: this.at, expected }
  }

  /** Passes over blanks to the next unit, `undefined` at the end. */
  token(): number | undefined {
    const unit = this.text.charCodeAt(this.at)
    if (unit > 0x20) return unit
    this.skip(blanks)
    return this.at < this.text.length ? this.text.charCodeAt(this.at) : undefined
  }

  scalar(): string | number | undefined {
    const digits = this.take(number)
    return digits === undefined ? this.take(word) : Number(digits)
  }

  /** The decoded string that begins here, or `undefined` with `at` at the fault. */
  string(): string | undefined {
    this.at++
    let decoded = this.take(plain)!
    while (this.text.charCodeAt(this.at) === backslash) {
      this.at++
      const letter = this.text.charAt(this.at)
      if (letter === "u") {
        this.at++
        const digits = this.take(hex)
        if (digits === undefined) return undefined
        decoded += String.fromCharCode(Number.parseInt(digits, 16))
      } else {
        const escape = escapes.get(letter)
        if (escape === undefined) return undefined
        this.at++
        decoded += escape
      }
      decoded += this.take(plain)!
    }
    if (this.text.charCodeAt(this.at) !== quote) return undefined
    this.at++
    return decoded
  }

  private take(pattern: RegExp): string | undefined {
    const from = this.at
    return this.skip(pattern) ? this.text.slice(from, this.at) : undefined
  }

  /** Whether it stands here. Makes nothing: a text has thousands of tokens. */
  private skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.at
    if (!pattern.test(this.text)) return false
    this.at = pattern.lastIndex
    return true
  }
}
