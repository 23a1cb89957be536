import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer, Option, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import * as CircuitBreaker from "../../src/CircuitBreaker.ts"
import { Spans } from "../../src/observability/index.ts"
import * as Preset from "../../src/Preset.ts"
import { Registry } from "../../src/Registry.ts"
import { Resilience, withResilience } from "../../src/Resilience.ts"
import * as ResilienceEvent from "../../src/ResilienceEvent.ts"
import * as Strategy from "../../src/Strategy.ts"

const fragile = Strategy.make("fragile", {
  retry: { maxAttempts: 3, base: "100 millis", minDelay: 0, jitter: "none" },
  circuitBreaker: { failureThreshold: 2, openDuration: "10 seconds" },
  timeout: { attempt: "500 millis", total: "800 millis" }
})
const once = Strategy.make("once", { extends: fragile, retry: false })

const live = (options?: Spans.Options) => Resilience.layer(Preset.simple).pipe(Layer.provideMerge(Spans.layer(options)))

/** Runs an effect for a minute with a tracer that keeps its spans. */
const traced = <A, E>(self: Effect.Effect<A, E, Resilience>, options?: Spans.Options) =>
  Effect.gen(function* () {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    const fiber = yield* self.pipe(
      Effect.exit,
      Effect.provide(live(options)),
      Effect.withTracer(tracer),
      Effect.forkChild({ startImmediately: true })
    )
    yield* TestClock.adjust("1 minute")
    return { exit: yield* Fiber.join(fiber), spans }
  })

const fail = withResilience(Effect.fail("down"), fragile, { operation: "read" })

const parentOf = (span: Tracer.Span | undefined) => Option.getOrUndefined(span!.parent)
const factsOf = (span: Tracer.Span | undefined) => Object.fromEntries(span!.attributes)
const eventsOf = (span: Tracer.NativeSpan | undefined): ReadonlyArray<Record<string, unknown>> =>
  span!.events.map(([name, at, facts]) => ({ name, at: Number(at / 1_000_000n), ...facts }))

describe("Spans", () => {
  it.effect("puts the attempts of a call below its span", () =>
    Effect.gen(function* () {
      const { spans } = yield* traced(
        Effect.void.pipe(
          Effect.withSpan("the target"),
          withResilience(fragile, { operation: "read" }),
          Effect.withSpan("the program")
        )
      )
      assert.deepStrictEqual(
        spans.map(({ name }) => name),
        ["the program", "breakwater.call read", "breakwater.attempt", "the target"]
      )
      const [program, call, attempt, target] = spans
      assert.strictEqual(parentOf(call), program)
      assert.strictEqual(parentOf(attempt), call)
      assert.strictEqual(parentOf(target), attempt)
      assert.deepStrictEqual(factsOf(call), {
        "breakwater.operation": "read",
        "breakwater.strategy": "fragile",
        "breakwater.attempts": 1,
        "breakwater.outcome": "succeeded"
      })
      assert.deepStrictEqual(factsOf(attempt), {
        "breakwater.operation": "read",
        "breakwater.attempt": 1,
        "breakwater.outcome": "succeeded"
      })
      for (const { status } of spans) assert.isTrue(status._tag === "Ended" && Exit.isSuccess(status.exit))
    })
  )

  it.effect("tells retries, the circuit that opens, and the rejection as events of the call", () =>
    Effect.gen(function* () {
      const { spans } = yield* traced(fail)
      const [call, ...attempts] = spans
      assert.deepStrictEqual(attempts.map(factsOf), [
        {
          "breakwater.operation": "read",
          "breakwater.attempt": 1,
          "breakwater.outcome": "failed",
          "error.type": "string"
        },
        {
          "breakwater.operation": "read",
          "breakwater.attempt": 2,
          "breakwater.outcome": "failed",
          "error.type": "string"
        }
      ])
      for (const attempt of attempts) assert.strictEqual(parentOf(attempt), call)
      const circuit = {
        version: 1,
        from: "closed",
        because: "failures",
        failures: 2,
        error: "string",
        openFor_seconds: 10
      }
      assert.deepStrictEqual(eventsOf(call), [
        { name: "RetryScheduled", at: 0, attempt: 2, delay_seconds: 0.1, error: "string" },
        { name: "CircuitOpened", at: 100, ...circuit },
        { name: "RetryScheduled", at: 100, attempt: 3, delay_seconds: 0.2, error: "string" },
        { name: "CallRejected", at: 300, reason: "CircuitOpen", message: "circuit open, retry after 9s 800ms" }
      ])
      assert.strictEqual(factsOf(call)["breakwater.attempts"], 2)
    })
  )

  it.effect("ends a rejected call with the reason and no attempt", () =>
    Effect.gen(function* () {
      const { spans } = yield* traced(Effect.andThen(Effect.exit(fail), fail))
      const call = spans.at(-1)
      assert.strictEqual(call?.name, "breakwater.call read")
      assert.include(factsOf(call), {
        "breakwater.attempts": 0,
        "breakwater.outcome": "rejected",
        "breakwater.reason": "CircuitOpen",
        "error.type": "ResilienceError.CircuitOpen"
      })
      const message = "circuit open, retry after 9s 800ms"
      assert.deepStrictEqual(eventsOf(call), [{ name: "CallRejected", at: 300, reason: "CircuitOpen", message }])
      assert.isTrue(call?.status._tag === "Ended" && Exit.isFailure(call.status.exit))
    })
  )

  it.effect("ends every span of a call that runs into its limits", () =>
    Effect.gen(function* () {
      const { exit, spans } = yield* traced(Effect.never.pipe(withResilience(fragile, { operation: "read" })))
      assert.isTrue(Exit.isFailure(exit))
      const [call, ...attempts] = spans
      assert.strictEqual(attempts.length, 2)
      assert.include(factsOf(call), { "breakwater.outcome": "rejected", "breakwater.reason": "TimeoutExceeded" })
      for (const { status } of spans) assert.strictEqual(status._tag, "Ended")
    })
  )

  it.effect("ends the spans of an interrupted call as interrupted", () =>
    Effect.gen(function* () {
      const interrupted = Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(Effect.never.pipe(withResilience(fragile, { operation: "read" })), {
          startImmediately: true
        })
        yield* Fiber.interrupt(fiber)
      })
      const { spans } = yield* traced(interrupted)
      assert.deepStrictEqual(
        spans.map((span) => factsOf(span)["breakwater.outcome"]),
        ["interrupted", "interrupted"]
      )
      for (const { status } of spans) {
        assert.isTrue(status._tag === "Ended" && Exit.isFailure(status.exit) && Cause.hasInterrupts(status.exit.cause))
      }
    })
  )

  it.effect("numbers the attempts of calls that run side by side and inside each other on their own", () =>
    Effect.gen(function* () {
      const flaky = (operation: string) =>
        Effect.suspend(() => {
          let left = 1
          return Effect.suspend(() => (left-- > 0 ? Effect.fail("down") : Effect.void)).pipe(
            withResilience(fragile, { operation })
          )
        })
      const nested = flaky("inner").pipe(withResilience(once, { operation: "outer" }))
      const { exit, spans } = yield* traced(
        Effect.all([flaky("one"), flaky("two"), nested], { concurrency: "unbounded" })
      )
      assert.isTrue(Exit.isSuccess(exit))
      const numbers: Record<string, Array<unknown>> = {}
      for (const span of spans.filter(({ name }) => name === "breakwater.attempt")) {
        const call = parentOf(span)
        assert.strictEqual(
          call?._tag === "Span" && call.name,
          `breakwater.call ${String(factsOf(span)["breakwater.operation"])}`
        )
        ;(numbers[String(factsOf(span)["breakwater.operation"])] ??= []).push(factsOf(span)["breakwater.attempt"])
      }
      assert.deepStrictEqual(numbers, { one: [1, 2], two: [1, 2], outer: [1], inner: [1, 2] })
      const inner = spans.find(({ name }) => name === "breakwater.call inner")
      assert.strictEqual((parentOf(inner) as Tracer.Span).name, "breakwater.attempt")
      const outer = spans.find(({ name }) => name === "breakwater.call outer")
      assert.deepStrictEqual(eventsOf(outer), [])
    })
  )

  it.effect("tells a rejection of another operation as a failure", () =>
    Effect.gen(function* () {
      const inner = Effect.fail("down").pipe(withResilience(once, { operation: "inner" }))
      const open = Effect.andThen(Effect.exit(inner), Effect.exit(inner))
      const outer = inner.pipe(withResilience(once, { operation: "outer" }))
      const { spans } = yield* traced(Effect.andThen(open, outer))
      assert.include(factsOf(spans.find(({ name }) => name === "breakwater.call outer")), {
        "breakwater.outcome": "failed",
        "error.type": "ResilienceError.CircuitOpen"
      })
    })
  )

  it.effect("leaves out what the circuits of others do inside an attempt", () =>
    Effect.gen(function* () {
      const inside = Effect.gen(function* () {
        for (const operation of ["other", "read"]) {
          const breaker = yield* CircuitBreaker.make({ operation, settings: { failureThreshold: 1 } })
          yield* Effect.exit(Effect.fail("down").pipe(breaker.protect({ key: "b" })))
        }
      })
      const { spans } = yield* traced(inside.pipe(withResilience(fragile, { operation: "read", key: "a" })))
      assert.deepStrictEqual(eventsOf(spans[0]), [])
      const same = inside.pipe(withResilience(fragile, { operation: "read", key: "b" }))
      assert.strictEqual(eventsOf((yield* traced(same)).spans[0]).length, 1)
    })
  )

  it.effect("shows a key as a hash, as it is, or not at all", () =>
    Effect.gen(function* () {
      const keyed = Effect.void.pipe(withResilience(fragile, { operation: "read", key: "tenant" }))
      const keyOf = (options?: Spans.Options) =>
        Effect.map(traced(keyed, options), ({ spans }) => factsOf(spans[0])["breakwater.key"])
      assert.match(String(yield* keyOf()), /^[0-9a-f]{8}$/)
      assert.strictEqual(yield* keyOf({ keys: "plain" }), "tenant")
      assert.isUndefined(yield* keyOf({ keys: "omitted" }))
    })
  )

  it.effect("ends a failed span without the message of the error, unless it is told to show all", () =>
    Effect.gen(function* () {
      const secret = "sk-live-0f3c2b7e"
      const failing = Effect.fail(new TypeError(secret)).pipe(
        withResilience(fragile, { operation: "read", key: secret })
      )
      const told = (options?: Spans.Options) =>
        Effect.map(traced(Effect.andThen(Effect.exit(failing), failing), options), ({ spans }) =>
          spans.flatMap(({ status }) =>
            status._tag === "Ended" && Exit.isFailure(status.exit)
              ? Cause.prettyErrors(status.exit.cause).map((error) => `${error.name}: ${error.message} ${error.stack}`)
              : []
          )
        )
      const names = yield* told()
      assert.include(names.join("\n"), "TypeError: TypeError")
      assert.notInclude(names.join("\n"), secret)
      assert.include((yield* told({ errors: "full" })).join("\n"), `TypeError: ${secret}`)
    })
  )

  it.effect("keeps events going to those who listen", () =>
    Effect.gen(function* () {
      const { exit } = yield* traced(
        Effect.gen(function* () {
          const seen = yield* (yield* Registry).events.pipe(
            Stream.takeUntil(({ _tag }) => _tag === "CircuitOpened"),
            Stream.runCollect,
            Effect.forkChild({ startImmediately: true })
          )
          yield* Effect.exit(fail)
          return (yield* Fiber.join(seen)).map(({ _tag }) => _tag)
        })
      )
      assert.deepStrictEqual(exit, Exit.succeed(["AttemptFailed", "RetryScheduled", "CircuitOpened"]))
    })
  )

  it.effect("publishes to the sink that is there", () =>
    Effect.gen(function* () {
      const sink = ResilienceEvent.make()
      const seen = yield* ResilienceEvent.stream(sink).pipe(
        Stream.take(1),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      yield* Effect.exit(Effect.fail("down").pipe(withResilience(once, { operation: "read" }))).pipe(
        Effect.provide(live().pipe(Layer.provide(Layer.succeed(ResilienceEvent.ResilienceEvents, sink))))
      )
      const second = Effect.exit(Effect.fail("down").pipe(withResilience(once, { operation: "read" })))
      yield* Effect.andThen(second, second).pipe(
        Effect.provide(live().pipe(Layer.provide(Layer.succeed(ResilienceEvent.ResilienceEvents, sink))))
      )
      assert.strictEqual((yield* Fiber.join(seen))[0]?._tag, "CircuitOpened")
    })
  )

  it.effect("starts no span when it is not provided", () =>
    Effect.gen(function* () {
      let spans = 0
      const tracer = Tracer.make({ span: (options) => (spans++, new Tracer.NativeSpan(options)) })
      yield* Effect.void.pipe(
        withResilience(fragile, { operation: "read" }),
        Effect.provide(Resilience.layer(Preset.simple)),
        Effect.withTracer(tracer)
      )
      assert.strictEqual(spans, 0)
    })
  )
})
