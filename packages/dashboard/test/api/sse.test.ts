import { assert, describe, it } from "@effect/vitest"
import { FastCheck as fc } from "effect/testing"
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
    fc.assert(
      fc.property(fc.constantFrom("\n", "\r\n"), fc.array(fc.nat(stream.length), { maxLength: 8 }), (end, cuts) => {
        const text = `${stream}\n`.replaceAll("\n", end)
        const parser = new SseParser()
        const at = [0, ...cuts.toSorted((a, b) => a - b), text.length]
        const read = at.slice(1).flatMap((to, index) => parser.push(text.slice(at[index], to)))
        assert.deepStrictEqual(read, whole)
      })
    )
  })

  it("gives up on a message without end", () => {
    const parser = new SseParser()
    assert.throws(() => {
      for (let piece = 0; piece < 20; piece++) parser.push(`data: ${"x".repeat(100_000)}\n`)
    }, /too long/)
  })
})
