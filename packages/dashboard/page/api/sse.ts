/**
 * Reads server-sent events from text that comes in pieces (HTML Standard, 9.2.6).
 * `EventSource` could do it, and could not send a key.
 */
export interface Message {
  readonly id: string | undefined
  readonly event: string
  readonly data: string
}

/** Characters of one message. A server that sends more has gone mad. */
const maxLength = 1_000_000

export class SseParser {
  private rest = ""
  private data: Array<string> = []
  private length = 0
  private event = ""
  private id: string | undefined = undefined
  /** What the server asks to be waited before a reconnection. */
  retryMillis: number | undefined = undefined

  /** Takes a piece, and gives the messages that it ends. */
  push(piece: string): ReadonlyArray<Message> {
    const messages: Array<Message> = []
    const text = this.rest + piece
    let from = 0
    for (;;) {
      const end = nextEnd(text, from)
      if (end === undefined) break
      this.line(text.slice(from, end.at), messages)
      from = end.next
    }
    this.rest = text.slice(from)
    if (this.rest.length + this.length > maxLength) throw new Error("A message of the event stream is too long")
    return messages
  }

  private line(line: string, messages: Array<Message>): void {
    if (line === "") {
      if (this.data.length > 0) {
        messages.push({ id: this.id, event: this.event === "" ? "message" : this.event, data: this.data.join("\n") })
      }
      this.data = []
      this.length = 0
      this.event = ""
      return
    }
    const colon = line.indexOf(":")
    if (colon === 0) return
    const name = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? "" : line.slice(colon + 1).replace(/^ /, "")
    if (name === "data") {
      this.data.push(value)
      this.length += value.length
    } else if (name === "event") this.event = value
    else if (name === "id" && !value.includes("\0")) this.id = value
    else if (name === "retry" && /^\d+$/.test(value)) this.retryMillis = Number(value)
  }
}

const nextEnd = (text: string, from: number): { readonly at: number; readonly next: number } | undefined => {
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 10) return { at, next: at + 1 }
    if (code !== 13) continue
    // A carriage return at the end of a piece may be half of a line end.
    if (at + 1 === text.length) return undefined
    return { at, next: text.charCodeAt(at + 1) === 10 ? at + 2 : at + 1 }
  }
  return undefined
}
