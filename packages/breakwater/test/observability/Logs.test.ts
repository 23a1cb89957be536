import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, Option, References } from "effect"
import { TestClock } from "effect/testing"
import * as CircuitBreaker from "../../src/CircuitBreaker.ts"
import { Logs } from "../../src/observability/index.ts"
import * as Preset from "../../src/Preset.ts"
import { Registry } from "../../src/Registry.ts"
import { Resilience, withResilience } from "../../src/Resilience.ts"
import { ResilienceEvent } from "../../src/ResilienceEvent.ts"
import * as Strategy from "../../src/Strategy.ts"

const fragile = Strategy.make("fragile", {
  retry: { maxAttempts: 2, base: "100 millis", minDelay: 0, jitter: "none" },
  circuitBreaker: { failureThreshold: 2, openDuration: "10 seconds" },
  timeout: { attempt: "500 millis", total: "3 seconds" }
})

interface Line {
  readonly level: string
  readonly message: string
  readonly annotations: Readonly<Record<string, unknown>>
}

/** What is logged while an effect runs, with everything from `Trace` up. */
const logged = <A, E>(self: Effect.Effect<A, E, Resilience>, options?: Logs.Options) =>
  Effect.gen(function* () {
    const lines: Array<Line> = []
    const logger = Logger.make(({ fiber, logLevel, message }) => {
      lines.push({
        level: logLevel,
        message: String(message),
        annotations: { ...fiber.getRef(References.CurrentLogAnnotations) }
      })
    })
    const live = Logs.layer(options).pipe(
      Layer.provideMerge(Resilience.layer(Preset.simple)),
      Layer.provide(Logger.layer([logger])),
      Layer.provide(Layer.succeed(References.MinimumLogLevel, "Trace"))
    )
    const fiber = yield* Effect.forkChild(self.pipe(Effect.exit, Effect.provide(live)), { startImmediately: true })
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(fiber)
    return lines
  })

const fail = (error: unknown, key?: string) =>
  Effect.fail(error).pipe(withResilience(fragile, { operation: "read", key }), Effect.exit)

const told = (lines: ReadonlyArray<Line>) => lines.map(({ level, message }) => `${level} ${message}`)

describe("Logs", () => {
  it.effect("tells each event with its default severity, up to the end of the program", () =>
    Effect.gen(function* () {
      const lines = yield* logged(Effect.andThen(fail("down"), fail("down")))
      assert.deepStrictEqual(told(lines), [
        "Debug AttemptFailed",
        "Debug RetryScheduled",
        "Warn CircuitOpened",
        "Debug AttemptFailed",
        "Warn RetriesExhausted",
        "Debug CallRejected"
      ])
    })
  )

  it.effect("tells events with the severity of the options, and none with null", () =>
    Effect.gen(function* () {
      const lines = yield* logged(Effect.andThen(fail("down"), fail("down")), {
        severity: { CircuitOpened: "Error", AttemptFailed: null, RetryScheduled: "Trace", RetriesExhausted: undefined }
      })
      assert.deepStrictEqual(told(lines), [
        "Trace RetryScheduled",
        "Error CircuitOpened",
        "Warn RetriesExhausted",
        "Debug CallRejected"
      ])
    })
  )

  it.effect("annotates with the facts of the event", () =>
    Effect.gen(function* () {
      const lines = yield* logged(fail("down", "tenant"), { keys: "plain" })
      const { annotations } = lines.find(({ message }) => message === "CircuitOpened")!
      assert.deepStrictEqual(annotations, {
        operation: "read",
        key: "tenant",
        at: "1970-01-01T00:00:00.100Z",
        version: 1,
        from: "closed",
        because: "failures",
        failures: 2,
        error: "string",
        openFor: "10s"
      })
    })
  )

  it.effect("tells neither the message of an error nor a key", () =>
    Effect.gen(function* () {
      const secret = "sk-live-0f3c2b7e"
      const hashed = yield* logged(fail(new TypeError(`refused ${secret}`), secret))
      assert.isAbove(hashed.length, 3)
      assert.notInclude(JSON.stringify(hashed), secret)
      assert.match(String(hashed[0]!.annotations["key"]), /^[0-9a-f]{8}$/)
      assert.strictEqual(hashed[0]!.annotations["error"], "TypeError")
      const omitted = yield* logged(fail("down", secret), { keys: "omitted" })
      for (const { annotations } of omitted) assert.notProperty(annotations, "key")
    })
  )

  it.effect("tells what an operator does", () =>
    Effect.gen(function* () {
      const isolate = Effect.gen(function* () {
        yield* Effect.void.pipe(withResilience(fragile, { operation: "read" }))
        const circuit = Option.getOrThrow(yield* (yield* Registry).circuit("read"))
        yield* CircuitBreaker.isolate(circuit, { reason: "incident 42", actor: "ana", expiresIn: "10 seconds" })
        yield* Effect.sleep("11 seconds")
        yield* Effect.void.pipe(withResilience(fragile, { operation: "read" }))
      })
      const lines = yield* logged(isolate)
      assert.deepStrictEqual(told(lines), ["Warn CircuitOverridden", "Info CircuitOverrideEnded"])
      assert.include(lines[0]!.annotations, { reason: "incident 42", actor: "ana", expiresIn: "10s" })
    })
  )

  it("has a severity for every event", () => {
    assert.sameMembers(Object.keys(Logs.severity), Object.keys(ResilienceEvent.cases))
  })
})
