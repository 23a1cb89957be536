import { assert, describe, it } from "@effect/vitest"
import { Effect, Schema, type Scope } from "effect"
import { TestClock } from "effect/testing"
import * as EventsGroup from "../../src/http-api/groups/EventsGroup.ts"
import { app, type App, live, open, secrets } from "./operating.ts"

interface Reader {
  /** The next block that is no retry: an event or a comment. */
  readonly next: Effect.Effect<any>
  readonly close: Effect.Effect<void>
}

const parse = (block: string) => {
  if (block.startsWith(":")) return { comment: block }
  const fields = Object.fromEntries(
    block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 2)])
  )
  return { ...fields, data: JSON.parse(fields["data"] ?? "null") }
}

const connect = (
  { call }: App,
  headers: Readonly<Record<string, string>> = {},
  key: string = secrets.read
): Effect.Effect<Reader, never, Scope.Scope> =>
  Effect.gen(function* () {
    const response = yield* call("/events", { headers, key })
    assert.strictEqual(response.status, 200)
    assert.strictEqual(response.headers.get("content-type"), "text/event-stream")
    assert.strictEqual(response.headers.get("cache-control"), "no-store")
    const reader = response.body!.getReader()
    const close = Effect.promise(() => reader.cancel())
    yield* Effect.addFinalizer(() => close)
    let text = ""
    const block: Effect.Effect<string> = Effect.suspend(() => {
      const end = text.indexOf("\n\n")
      if (end < 0) {
        return Effect.andThen(
          Effect.promise(async () => {
            const { done, value } = await reader.read()
            assert.isFalse(done, "the stream has ended")
            text += new TextDecoder().decode(value)
          }),
          block
        )
      }
      const found = text.slice(0, end)
      text = text.slice(end + 2)
      return Effect.succeed(found)
    })
    assert.strictEqual(yield* block, "retry: 3000")
    return { next: Effect.map(block, parse), close }
  })

/** A reader listens only once it has asked for the first message. */
const settled = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))

describe("the stream of events", () => {
  it.effect("tells what happens, with ids and fields in snake_case", () =>
    Effect.gen(function* () {
      const { close, next } = yield* connect(yield* app())
      yield* settled
      yield* open("ai_service")
      const { data, ...message } = yield* next
      yield* Schema.decodeUnknownEffect(EventsGroup.Message)({ ...message, data: JSON.stringify(data) })
      assert.strictEqual(message.event, "CircuitOpened")
      assert.match(message.id, /^[0-9a-z]{5}-\d+$/)
      assert.deepInclude(data, {
        _tag: "CircuitOpened",
        operation: "ai_service",
        because: "failures",
        failures: 2,
        open_for_seconds: 30
      })
      yield* close
    }).pipe(Effect.provide(live))
  )

  it.effect("goes on after the event that a reader saw last", () =>
    Effect.gen(function* () {
      const made = yield* app()
      const before = yield* connect(made)
      yield* settled
      yield* open("ai_service")
      const seen = yield* before.next
      yield* before.close
      yield* open("text_processing")
      yield* made.get("/health")
      const { next } = yield* connect(made, { "last-event-id": seen.id })
      const missed = yield* next
      assert.deepInclude(missed.data, { _tag: "CircuitOpened", operation: "text_processing" })
      assert.strictEqual(Number(missed.id.split("-")[1]), Number(seen.id.split("-")[1]) + 1)
      yield* settled
      yield* open("summarize_text")
      assert.strictEqual((yield* next).data.operation, "summarize_text")
    }).pipe(Effect.provide(live))
  )

  it.effect("says when what came after an event is no longer known", () =>
    Effect.gen(function* () {
      const made = yield* app()
      yield* open("ai_service")
      yield* made.get("/health")
      for (const id of ["other-7", "not an id", "zzzzz-99999"]) {
        const { close, next } = yield* connect(made, { "last-event-id": id })
        assert.deepStrictEqual((yield* next).data, { _tag: "EventsMissed", last_event_id: id })
        assert.strictEqual((yield* next).data.operation, "ai_service")
        yield* close
      }
    }).pipe(Effect.provide(live))
  )

  it.effect("sends a comment every 15 seconds", () =>
    Effect.gen(function* () {
      const { next } = yield* connect(yield* app())
      yield* settled
      for (let i = 0; i < 2; i++) {
        yield* TestClock.adjust("15 seconds")
        assert.deepStrictEqual(yield* next, { comment: ": heartbeat" })
      }
    }).pipe(Effect.provide(live))
  )

  it.effect("is open five times for a key, and again once one has hung up", () =>
    Effect.gen(function* () {
      const made = yield* app()
      const readers = yield* Effect.forEach([1, 2, 3, 4, 5], () => connect(made))
      const response = yield* made.call("/events", { key: secrets.read })
      assert.strictEqual(response.status, 429)
      assert.isNotNull(response.headers.get("retry-after"))
      yield* connect(made, {}, secrets.operate)
      yield* readers[0]!.close
      yield* settled
      yield* connect(made)
    }).pipe(Effect.provide(live))
  )
})
