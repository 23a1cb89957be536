/**
 * Writes and reads CSV after RFC 4180, safe to open in a spreadsheet.
 *
 * A text that begins like a formula, after any apostrophes, gets one more
 * apostrophe in front; reading takes one off. Numbers are written as they are.
 * A cell without text is empty; an empty text is `""`.
 */

/** @internal */
export type Cell = string | number | null

/** Where and why a text is no CSV. @internal */
export class InvalidCell extends Error {
  override readonly name = "InvalidCell"

  constructor(line: number, reason: string) {
    super(`record ${line}: ${reason}`)
  }
}

// Also the wide forms of the four signs, which some spreadsheets take for them.
const formula = /^'*[=+\-@＝＋－＠\t\r\n]/

const guarded = (text: string): string => (formula.test(text) ? `'${text}` : text)

const unguarded = (text: string): string => (text.startsWith("'") && formula.test(text) ? text.slice(1) : text)

const cellOf = (cell: Cell): string => {
  if (cell === null) return ""
  if (typeof cell === "number") return String(cell)
  const text = guarded(cell)
  return text === "" || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** @internal */
export const write = (rows: ReadonlyArray<ReadonlyArray<Cell>>): string =>
  rows.map((cells) => `${cells.map(cellOf).join(",")}\r\n`).join("")

/** One cell: quoted, or up to the next comma or line break. */
const cell = /"((?:[^"]|"")*)"|([^",\r\n]*)/y

/** Rows of texts; `null` stands for an empty cell. Throws `InvalidCell`. @internal */
export const parse = (text: string): ReadonlyArray<ReadonlyArray<string | null>> => {
  const rows: Array<ReadonlyArray<string | null>> = []
  let row: Array<string | null> = []
  let at = 0
  while (at < text.length || row.length > 0) {
    cell.lastIndex = at
    const [all, quoted, plain] = cell.exec(text)!
    at += all.length
    row.push(quoted === undefined ? unguarded(plain!) || null : unguarded(quoted.replaceAll('""', '"')))
    if (text[at] === ",") {
      at++
      continue
    }
    if (text.startsWith("\r\n", at)) at += 2
    else if (text[at] === "\n") at++
    else if (at < text.length) throw new InvalidCell(rows.length + 1, "a quote is out of place or never closed")
    rows.push(row)
    row = []
  }
  return rows
}
