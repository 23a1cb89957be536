/**
 * Watches the shape of a JSON document go by: its size, depth and breadth, and
 * its strings. The same rules for text that is not parsed yet and for a value
 * that is.
 *
 * Nothing here recurses, and nothing is kept of a document but its open
 * containers and its strings. Once it is too large, only its size is still
 * counted, up to a bound.
 */
import * as Finding from "../Finding.ts"

/** @internal */
export const limits = {
  /** UTF-8 bytes of the document as compact JSON. */
  sizeBytes: 4096,
  /** Bytes at which counting stops. */
  countedBytes: 16_384,
  /** UTF-16 units of text that is read at all. */
  textLength: 65_536,
  /** Characters of a string, and of a key. */
  stringLength: 200,
  arrayItems: 20,
  objectProperties: 50,
  /** Members of `operation_overrides`. */
  overrides: 10,
  /** The root stands at 0. */
  depth: 10
} as const

/** Names that reach the prototype of an object. */
const forbiddenKeys: ReadonlySet<string> = new Set(["__proto__", "constructor", "prototype"])

/** A string of the document, key or value, and where it stands. @internal */
export interface Text {
  readonly path: string
  readonly text: string
}

interface Container {
  readonly kind: "object" | "array"
  readonly path: string
  readonly most: number
  /** Keys seen. Of an array: none. */
  readonly keys: Set<string>
  members: number
  /** The path of the current member. */
  member: string
}

/** `strict` adds the limits of the secure level. @internal */
export class Shape {
  readonly findings: Array<Finding.Finding> = []
  readonly texts: Array<Text> = []
  /** Bytes so far. */
  size = 0
  /** Members of the root. */
  fieldCount = 0
  /** No value may be made of this document. */
  refused = false
  private readonly strict: boolean
  private readonly open: Array<Container> = []
  private tooDeep = false
  private aborted = false

  constructor(strict: boolean) {
    this.strict = strict
  }

  get tooLarge(): boolean {
    return this.size > limits.sizeBytes
  }

  /** Reading on is no use. */
  get full(): boolean {
    return this.aborted || this.tooDeep || this.size > limits.countedBytes
  }

  get depth(): number {
    return this.open.length
  }

  get inObject(): boolean {
    return this.open[this.open.length - 1]?.kind === "object"
  }

  /** Where the next value stands. */
  get path(): string {
    return this.open[this.open.length - 1]?.member ?? ""
  }

  enter(kind: "object" | "array"): void {
    this.element()
    this.size += 2
    const path = this.path
    const most =
      kind === "array"
        ? limits.arrayItems
        : path === "operation_overrides" && this.depth === 1
          ? limits.overrides
          : limits.objectProperties
    this.open.push({ kind, path, most, keys: kind === "array" ? noKeys : new Set(), members: 0, member: path })
  }

  leave(): void {
    this.open.pop()
  }

  key(key: string): void {
    const container = this.open[this.open.length - 1]!
    this.member(container)
    this.size += quotedBytes(key) + 1
    if (this.depth === 1) this.fieldCount++
    if (!this.watching) return
    const path = container.path === "" ? key : `${container.path}.${key}`
    container.member = path.length > 200 ? path.slice(0, 200) : path
    if (forbiddenKeys.has(key)) {
      this.refuse("forbidden_key", container.member, {
        message: `${Finding.quote(key)} is not accepted as a name`,
        suggestion: `Leave ${Finding.quote(key)} out`
      })
    }
    if (container.keys.has(key)) {
      this.refuse("duplicate_key", container.member, {
        message: `${Finding.quote(key)} stands twice in the same object`,
        suggestion: "Keep one of the two"
      })
    }
    container.keys.add(key)
    this.text(key, "key")
  }

  string(text: string): void {
    this.element()
    this.size += quotedBytes(text)
    if (this.watching) this.text(text, "string")
  }

  /** A number, `true`, `false` or `null` of so many characters. */
  scalar(length: number): void {
    this.element()
    this.size += length
  }

  number(value: number, length: number): void {
    this.scalar(length)
    if (!this.strict || !this.watching) return
    const magnitude = Math.abs(value)
    if (magnitude > 1e100 || (magnitude > 0 && magnitude < 1e-100)) {
      this.warn("extreme_number", `${this.name} is ${value}, an extreme number`, "Use a number of everyday size")
    } else if (magnitude > 2 ** 53 && Number.isInteger(value)) {
      this.warn(
        "huge_integer",
        `${this.name} is ${value}: whole numbers above 2^53 are not exact`,
        "Use a smaller number"
      )
    }
  }

  /** A value that JSON does not have. */
  foreign(what: string): void {
    this.aborted = true
    this.refuse("not_json", this.path, {
      message: `${this.name} is ${what}, which JSON does not have`,
      suggestion: "Use objects, arrays, strings, finite numbers, true, false and null only"
    })
  }

  private get watching(): boolean {
    return !this.full && !this.tooLarge
  }

  private get name(): string {
    return this.path === "" ? "The configuration" : this.path
  }

  /** Before each value. The member of an object was counted with its key. */
  private element(): void {
    const container = this.open[this.open.length - 1]
    if (container?.kind === "array") {
      const at = container.members
      this.member(container)
      if (this.watching) container.member = container.path === "" ? String(at) : `${container.path}.${at}`
    }
    if (this.watching && this.depth > limits.depth) {
      this.tooDeep = true
      this.refuse("too_deep", this.path, {
        message: `The configuration is nested more than ${limits.depth} levels deep`,
        suggestion: "Two levels are enough: the fields, and the members of operation_overrides"
      })
    }
  }

  private member(container: Container): void {
    container.members++
    if (container.members > 1) this.size++
    if (!this.strict || !this.watching || container.members !== container.most + 1) return
    const what = container.kind === "array" ? "items" : "members"
    const where = container.path === "" ? "The configuration" : container.path
    this.error(container.kind === "array" ? "too_many_items" : "too_many_properties", container.path, {
      message: `${where} has more than ${container.most} ${what}`,
      suggestion: `Leave at most ${container.most} ${what} in ${where === container.path ? where : "the configuration"}`
    })
  }

  private text(text: string, kind: "key" | "string"): void {
    this.texts.push({ path: this.path, text })
    if (!text.isWellFormed()) {
      this.error("lone_surrogate", this.path, {
        message: `${Finding.quote(text)} has half of a surrogate pair, which is no character`,
        suggestion: "Write the character as a whole, or leave it out"
      })
    }
    if (this.strict && longer(text, limits.stringLength)) {
      this.error(kind === "key" ? "key_too_long" : "string_too_long", this.path, {
        message: `${kind === "key" ? "The name" : "The text"} ${Finding.quote(text)} is longer than ${limits.stringLength} characters`,
        suggestion: `Use at most ${limits.stringLength} characters`
      })
    }
  }

  private error(code: string, path: string, texts: { readonly message: string; readonly suggestion: string }): void {
    this.findings.push(Finding.make({ code, severity: "error", path, ...texts }))
  }

  private warn(code: string, message: string, suggestion: string): void {
    this.findings.push(Finding.make({ code, severity: "warning", path: this.path, message, suggestion }))
  }

  private refuse(code: string, path: string, texts: { readonly message: string; readonly suggestion: string }): void {
    this.refused = true
    this.error(code, path, texts)
  }
}

const noKeys = new Set<string>()

const longer = (text: string, length: number): boolean => {
  if (text.length <= length) return false
  if (text.length > 2 * length) return true
  let characters = 0
  for (const _ of text) characters++
  return characters > length
}

/** Characters that are one byte each. */
const plain = /^[ !#-[\]-~]*$/

/** UTF-8 bytes of a string in compact JSON. */
const quotedBytes = (text: string): number => {
  // Longer than anything that is read: its length alone ends the reading.
  if (text.length > limits.countedBytes) return text.length
  if (plain.test(text)) return text.length + 2
  let bytes = 2
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit === 0x22 || unit === 0x5c) bytes += 2
    else if (unit < 0x20) bytes += unit === 8 || unit === 9 || unit === 10 || unit === 12 || unit === 13 ? 2 : 6
    else if (unit < 0x80) bytes += 1
    else if (unit < 0x800) bytes += 2
    else if (unit < 0xd800 || unit > 0xdfff) bytes += 3
    else if (unit < 0xdc00 && isTrail(text.charCodeAt(at + 1))) {
      bytes += 4
      at++
    } else bytes += 6
  }
  return bytes
}

const isTrail = (unit: number): boolean => unit >= 0xdc00 && unit <= 0xdfff
