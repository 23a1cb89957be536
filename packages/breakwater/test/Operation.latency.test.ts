import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Clock, Effect, Fiber, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { Preset, Registry, Resilience, withOperation } from "breakwater"
import { operationUnsafe } from "../src/Running.ts"

const snapshot = Effect.flatMap(Registry, (registry) => Effect.map(registry.operation("op"), Option.getOrThrow))
const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

/** A call that takes so long, or one that fails at first and then does. */
const call = Effect.fnUntraced(function* (millis: number, failsFirst: boolean) {
  let hasFailed = !failsFirst
  const effect = Effect.suspend(() => {
    if (hasFailed) return Effect.delay(Effect.void, millis)
    hasFailed = true
    return Effect.fail("down")
  })
  const start = yield* now
  const fiber = yield* Effect.forkChild(effect.pipe(withOperation("op"), Effect.andThen(now)), {
    startImmediately: true
  })
  // The pause before a retry is shorter.
  yield* TestClock.adjust(failsFirst ? "10 seconds" : millis)
  const end = yield* Fiber.join(fiber)
  return { end, millis: end - start }
})

const slice = 30_000

const Step = Schema.Union([
  // Often several in one slice.
  ...[100, 100, 40_000].map((maximum) =>
    Schema.Struct({
      _tag: Schema.tag("Call"),
      pause: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum })),
      millis: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 20 })),
      failsFirst: Schema.Literals([false, false, false, true])
    })
  ),
  Schema.Struct({
    _tag: Schema.tag("Read"),
    pause: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40_000 }))
  }),
  Schema.Struct({ _tag: Schema.tag("Reset") })
])

describe("The latencies of an operation", () => {
  it.effect("have room from the first call on, whatever the slice", () =>
    Effect.gen(function* () {
      const { running } = yield* Resilience
      for (const [name, pause] of [
        ["early", 0],
        ["late", 90_000]
      ] as const) {
        yield* TestClock.adjust(pause)
        yield* Effect.void.pipe(withOperation(name))
        const { atOnce, first } = operationUnsafe(running, name, yield* Clock.Clock)!
        assert.isFalse(atOnce?.isEmpty)
        assert.strictEqual(first, -1)
      }
    }).pipe(Effect.provide(Resilience.layer(Preset.simple)))
  )

  it.effect.prop(
    "are those of all calls, whenever they are read",
    { steps: Arbitrary.array(Arbitrary.schema(Step), { minLength: 10, maxLength: 30 }) },
    ({ steps }) =>
      Effect.gen(function* () {
        let calls: Array<{ readonly end: number; readonly millis: number }> = []
        let lastSuccess: number | undefined
        for (const step of [...steps, { _tag: "Read", pause: 0 } as const]) {
          if (step._tag === "Reset") {
            yield* Effect.flatMap(Registry, (registry) => registry.resetMetrics())
            calls = []
            lastSuccess = undefined
            continue
          }
          yield* TestClock.adjust(step.pause)
          if (step._tag === "Call") {
            const made = yield* call(step.millis, step.failsFirst)
            calls.push(made)
            lastSuccess = Math.floor(made.end)
            continue
          }
          if (calls.length === 0) continue
          const at = yield* now
          const seen = yield* snapshot
          const expect = (some: typeof calls) => ({
            count: some.length,
            mean: some.length === 0 ? 0 : some.reduce((sum, { millis }) => sum + millis, 0) / some.length,
            max: Math.max(0, ...some.map(({ millis }) => millis))
          })
          const recent = calls.filter(({ end }) => Math.floor(at / slice) - Math.floor(end / slice) <= 1)
          assert.deepInclude(seen.callLatency, expect(calls))
          assert.deepInclude(seen.recent.callLatency, expect(recent))
          assert.deepStrictEqual(seen.lastSuccess, Option.fromUndefinedOr(lastSuccess))
        }
      }).pipe(Effect.provide(Resilience.layer(Preset.simple))),
    { arbitrary: { runs: 60 } }
  )
})
