import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { Deadline, Retry } from "breakwater"

// Found by simulation. Sums of milliseconds with fractions are not exact: 5000 ms were "left" by a trillionth more.
describe("a retry whose pause would end with the call's time", () => {
  const start = Duration.nanos(5_037_734_914n)
  const settings = { maxAttempts: 3, base: "5 seconds", factor: 1, jitter: "none" } as const

  /** A call that has 5 seconds, as inside a pipeline: nothing but the retry itself ends it. */
  const within = <A, E>(self: Effect.Effect<A, E>) =>
    Effect.flatMap(Clock.monotonicTimeNanos, (nanos) =>
      Effect.provideService(self, Deadline.Current, Deadline.tighten(undefined, Number(nanos) / 1e6, 5_000))
    )

  it.effect("gives up at once, wherever the clock stands", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust(start)
      const fiber = yield* Effect.fail("down").pipe(
        Retry.retry({ settings }),
        within,
        Effect.forkChild({ startImmediately: true })
      )
      const exit = fiber.pollUnsafe() ?? Exit.void
      assert.deepStrictEqual(
        Exit.isFailure(exit) ? Retry.exhausted(exit.cause) : undefined,
        Option.some({ attempts: 1, elapsed: Duration.zero })
      )
    })
  )

  it.effect("counts the attempts that were made, if it wakes too late for another", () =>
    Effect.gen(function* () {
      const clock = yield* TestClock.testClockWith(Effect.succeed)
      // Sleeps that take longer than asked for, as on a busy machine.
      const late = { ...clock, sleep: (duration: Duration.Duration) => clock.sleep(Duration.times(duration, 3)) }
      const fiber = yield* Effect.fail("down").pipe(
        Retry.retry({ settings: { ...settings, base: "2 seconds" } }),
        within,
        Effect.provideService(Clock.Clock, late),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("6 seconds")
      const exit = yield* Fiber.await(fiber)
      assert.deepStrictEqual(
        Exit.isFailure(exit) ? Option.map(Retry.exhausted(exit.cause), ({ attempts }) => attempts) : undefined,
        Option.some(1)
      )
    })
  )
})
