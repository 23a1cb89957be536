import { assert, describe, it } from "@effect/vitest"
import { SseParser } from "../../page/api/sse.ts"

const stream = [
  "retry: 3000",
  "",
  ": heartbeat",
  "",
  "id: a-1",
  "event: CircuitOpened",
  'data: {"_tag":"CircuitOpened"}',
  "",
  "data: one",
  "data:two",
  "",
  "id: a-2",
  ""
].join("\n")

describe("SseParser", () => {
  it("reads messages, and what the server asks to be waited", () => {
    const parser = new SseParser()
    assert.deepStrictEqual(parser.push(`${stream}\n`), [
      { id: "a-1", event: "CircuitOpened", data: '{"_tag":"CircuitOpened"}' },
      // The id stays until there is a new one.
      { id: "a-1", event: "message", data: "one\ntwo" }
    ])
    assert.strictEqual(parser.retryMillis, 3_000)
  })

  it("reads the same wherever the text is cut, and with every kind of line end", () => {
    const whole = new SseParser().push(`${stream}\n`)
    for (const end of ["\n", "\r\n"]) {
      const text = `${stream}\n`.replaceAll("\n", end)
      for (let first = 0; first <= text.length; first++) {
        for (let second = first; second <= text.length; second++) {
          const parser = new SseParser()
          const pieces = [text.slice(0, first), text.slice(first, second), text.slice(second)]
          const read = pieces.flatMap((piece) => parser.push(piece))
          assert.deepStrictEqual(read, whole, `cut at ${first} and ${second}`)
        }
      }
    }
  })

  it("gives up on a message without end", () => {
    const parser = new SseParser()
    assert.throws(() => {
      for (let piece = 0; piece < 20; piece++) parser.push(`data: ${"x".repeat(100_000)}\n`)
    }, /too long/)
  })
})
