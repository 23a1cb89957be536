/**
 * Looks for text that has no business in a configuration: the marks of code and
 * markup, invisible characters, long runs of one character. Each string is read
 * once from end to end, whatever it holds.
 */
import * as Finding from "../Finding.ts"
import type { Text } from "./validationShape.ts"

/** @internal */
export const maxCodePoint = 0x1f4ff

/** @internal */
export const forbiddenCategories = ["Cc", "Cf", "Co", "Cs"] as const

/** @internal */
export const maxRepeated = 10

/**
 * Text that is not accepted. `matches` gets the string in lower case and takes
 * time in proportion to its length.
 *
 * @internal
 */
export interface Pattern {
  readonly name: string
  readonly matches: (lowerCase: string) => boolean
}

const containing =
  (mark: string) =>
  (text: string): boolean =>
    text.includes(mark)

/** `from`, and `to` somewhere after it. */
const between =
  (from: string, to: string) =>
  (text: string): boolean => {
    const start = text.indexOf(from)
    return start !== -1 && text.includes(to, start + from.length)
  }

/** `word`, blanks, `(`. */
const called =
  (word: string) =>
  (text: string): boolean =>
    everywhere(text, word, (end) => text[pastBlanks(text, end)] === "(")

/** Whether `test` holds at the end of one of the places where `mark` stands. */
const everywhere = (text: string, mark: string, test: (end: number) => boolean): boolean => {
  for (let at = text.indexOf(mark); at !== -1; at = text.indexOf(mark, at + mark.length)) {
    if (test(at + mark.length)) return true
  }
  return false
}

const escaped =
  (letter: string, digits: number) =>
  (text: string): boolean =>
    everywhere(text, `\\${letter}`, (end) => {
      for (let at = end; at < end + digits; at++) if (!isHex(text.charCodeAt(at))) return false
      return true
    })

/** A word that holds `on` and one more letter, blanks, `=`. Goes back from each `=`, never over the same text twice. */
const eventHandler = (text: string): boolean =>
  everywhere(text, "=", (end) => {
    let to = end - 1
    while (to > 0 && isBlank(text.charCodeAt(to - 1))) to--
    let from = to
    while (from > 0 && isWord(text.charCodeAt(from - 1))) from--
    const on = text.slice(from, to).indexOf("on")
    return on !== -1 && from + on + 2 < to
  })

const isBlank = (unit: number): boolean =>
  unit === 0x20 || (unit >= 0x09 && unit <= 0x0d) || unit === 0xa0 || unit === 0x2028 || unit === 0x2029
const isDigit = (unit: number): boolean => unit >= 0x30 && unit <= 0x39
const isHex = (unit: number): boolean => isDigit(unit) || (unit >= 0x61 && unit <= 0x66)
const isWord = (unit: number): boolean => isDigit(unit) || unit === 0x5f || (unit >= 0x61 && unit <= 0x7a)

const pastBlanks = (text: string, from: number): number => {
  let at = from
  while (isBlank(text.charCodeAt(at))) at++
  return at
}

/** @internal */
export const patterns: ReadonlyArray<Pattern> = [
  { name: "script_tag", matches: containing("<script") },
  { name: "javascript_url", matches: containing("javascript:") },
  { name: "data_url", matches: containing("data:") },
  { name: "vbscript_url", matches: containing("vbscript:") },
  { name: "event_handler", matches: eventHandler },
  { name: "parent_directory", matches: containing("../") },
  { name: "hex_escape", matches: escaped("x", 2) },
  { name: "unicode_escape", matches: escaped("u", 4) },
  { name: "server_tag", matches: between("<%", "%>") },
  { name: "template_expression", matches: between("${", "}") },
  { name: "eval_call", matches: called("eval") },
  { name: "exec_call", matches: called("exec") },
  { name: "import_statement", matches: (text) => everywhere(text, "import", (end) => isBlank(text.charCodeAt(end))) },
  { name: "require_call", matches: called("require") },
  { name: "double_underscore_name", matches: between("__", "__") }
]

// One class of characters, no quantifier. Halves of surrogate pairs are found with the shape.
const forbidden = /[\p{Cc}\p{Cf}\p{Co}\u{1F500}-\u{10FFFF}]/u

/** @internal */
export const inspect = (texts: ReadonlyArray<Text>, patterns: ReadonlyArray<Pattern>): ReadonlyArray<Finding.Finding> =>
  texts.flatMap(({ path, text }) => {
    const findings: Array<Finding.Finding> = []
    const lowerCase = text.toLowerCase()
    const found = patterns.filter(({ matches }) => matches(lowerCase)).map(({ name }) => name)
    if (found.length > 0) {
      findings.push(
        Finding.make({
          code: "forbidden_pattern",
          severity: "error",
          path,
          message: `${Finding.quote(text)} is not accepted: ${found.join(", ")}`,
          suggestion: "Use plain names: a configuration holds no code and no markup"
        })
      )
    }
    const character = forbidden.exec(text)?.[0]
    if (character !== undefined) {
      findings.push(
        Finding.make({
          code: "forbidden_character",
          severity: "error",
          path,
          message: `${Finding.quote(text)} has the character ${codePointOf(character)}, which is invisible, private or above ${codePointOf(String.fromCodePoint(maxCodePoint))}`,
          suggestion: `Leave the character ${codePointOf(character)} out`
        })
      )
    }
    const repeated = repeatedIn(text)
    if (repeated !== undefined) {
      findings.push(
        Finding.make({
          code: "repeated_characters",
          severity: "warning",
          path,
          message: `${Finding.quote(text)} repeats ${Finding.quote(repeated)} more than ${maxRepeated} times in a row`,
          suggestion: `Repeat no character more than ${maxRepeated} times in a row`
        })
      )
    }
    return findings
  })

const codePointOf = (character: string): string =>
  `U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}`

const repeatedIn = (text: string): string | undefined => {
  let run = 0
  let last: string | undefined
  for (const character of text) {
    run = character === last ? run + 1 : 1
    if (run > maxRepeated) return character
    last = character
  }
  return undefined
}
