import { assert, describe, it } from "@effect/vitest"
import { createHash } from "node:crypto"
import { ConfigProvider, DateTime, Duration, Effect, FileSystem, Layer, Schema, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { ResilienceEvent } from "../../src/EventSchema.ts"
import { ResilienceEvents } from "../../src/EventSink.ts"
import * as EventsGroup from "../../src/http-api/groups/EventsGroup.ts"
import { AdminKeys } from "../../src/http-api/index.ts"
import * as application from "./App.ts"
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

  it.effect("tells every event of a burst", () =>
    Effect.gen(function* () {
      const { close, next } = yield* connect(yield* app())
      yield* settled
      const { publishUnsafe } = yield* ResilienceEvents
      const burst = 600
      const event: ResilienceEvent = {
        _tag: "RateLimitResumed",
        operation: "ai_service",
        key: undefined,
        at: DateTime.makeUnsafe(0),
        scope: "quota"
      }
      for (let index = 0; index < burst; index++) publishUnsafe(event)
      const first = Number((yield* next).id.split("-")[1])
      for (let index = 1; index < burst; index++) {
        assert.strictEqual(Number((yield* next).id.split("-")[1]), first + index)
      }
      yield* close
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

  it.effect("ends within 15 seconds after its key was taken away, and those of other keys go on", () => {
    const file = { keys: ["read", "operate"] as ReadonlyArray<"read" | "operate"> }
    const entry = (scope: "read" | "operate") => ({
      id: scope,
      scope,
      sha256: createHash("sha256").update(application.secrets[scope]).digest("hex")
    })
    const keys = AdminKeys.AdminKeys.layerConfig.pipe(
      Layer.provide(
        FileSystem.layerNoop({ readFileString: () => Effect.sync(() => JSON.stringify(file.keys.map(entry))) })
      ),
      Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord({ API_KEYS_FILE: "/keys.json" }))),
      Layer.orDie
    )
    return Effect.gen(function* () {
      const service = yield* AdminKeys.AdminKeys
      const { call } = yield* application.app({ keys: Layer.succeed(AdminKeys.AdminKeys, service) })
      const stream = (key: string) =>
        Effect.map(call(`${application.root}/events`, { key }), (response) => {
          const reader = response.body!.getReader()
          return Effect.promise(async () => {
            const { done, value } = await reader.read()
            return done ? "(end)" : new TextDecoder().decode(value)
          })
        })
      const [taken, kept] = [yield* stream(application.secrets.read), yield* stream(application.secrets.operate)]
      for (const next of [taken, kept]) assert.strictEqual(yield* next, "retry: 3000\n\n")
      yield* settled
      yield* TestClock.adjust("15 seconds")
      for (const next of [taken, kept]) assert.strictEqual(yield* next, ": heartbeat\n\n")
      file.keys = ["operate"]
      yield* service.reload
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(yield* taken, "(end)")
      assert.strictEqual(yield* kept, ": heartbeat\n\n")
      assert.strictEqual((yield* call(`${application.root}/events`, { key: application.secrets.read })).status, 401)
    }).pipe(Effect.provide(Layer.merge(live, keys)))
  })

  it("writes every duration in seconds, and reads it again", () => {
    const common = { operation: "read", key: undefined, at: DateTime.makeUnsafe(0) }
    const time = Duration.seconds(90)
    const moved = { ...common, version: 1, from: "closed" } as const
    const events: ReadonlyArray<ResilienceEvent> = [
      { _tag: "RetryScheduled", ...common, attempt: 1, delay: time, error: "Error" },
      { _tag: "RetriesExhausted", ...common, attempts: 1, elapsed: time, error: "Error", because: "attempts" },
      { _tag: "AttemptTimedOut", ...common, scope: "total", limit: time },
      { _tag: "CircuitOpened", ...moved, because: "failures", failures: 1, error: "Error", openFor: time },
      { _tag: "CircuitOverridden", ...moved, mode: "isolated", reason: "x", actor: "ada", expiresIn: time },
      { _tag: "ProbeLapsed", ...common, overdue: time },
      { _tag: "RateLimitPaused", ...common, scope: "quota", because: "response", pausedFor: time }
    ]
    const message = (data: ResilienceEvent) => ({ id: "a-1", event: data._tag, data })
    for (const event of events) {
      const encoded = Schema.encodeSync(EventsGroup.Message)(message(event))
      const numbers = Object.entries(JSON.parse(encoded.data)).filter(([name]) => name.endsWith("_seconds"))
      assert.deepStrictEqual(
        numbers.map(([, seconds]) => seconds),
        [90],
        event._tag
      )
      assert.deepInclude(Schema.decodeSync(EventsGroup.Message)(encoded).data, { _tag: event._tag })
    }
    const isDuration = (field: object): boolean =>
      field === Schema.DurationFromString ||
      ("schema" in field &&
        (field.schema as { readonly members?: ReadonlyArray<unknown> }).members?.[0] === Schema.DurationFromString)
    const withDuration = Object.entries(ResilienceEvent.cases).filter(([, { fields }]) =>
      Object.values(fields).some(isDuration)
    )
    assert.sameMembers(
      events.map(({ _tag }) => _tag as string),
      withDuration.map(([tag]) => tag)
    )
  })
})
