import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as Performance from "../../src/monitoring/Performance.ts"
import * as Preset from "../../src/Preset.ts"
import { Resilience } from "../../src/Resilience.ts"

const running = Performance.layer().pipe(
  Layer.provideMerge(Resilience.layer(Preset.production, { operations: ["summarize_text"] }))
)

/** The time that this thread has computed for: what other processes take does not count. */
const busyMillis = (): number => {
  const { system, user } = process.threadCpuUsage()
  return (system + user) / 1_000
}

/** The times in milliseconds for which the event loop could do nothing else, longest first. */
const gapsDuring = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const gaps: Array<number> = []
    let last = busyMillis()
    let isOver = false
    const tick = () => {
      const now = busyMillis()
      gaps.push(now - last)
      last = now
      if (!isOver) setImmediate(tick)
    }
    setImmediate(tick)
    yield* self
    isOver = true
    return gaps.toSorted((a, b) => b - a)
  })

/** All but one in twenty: the garbage collector takes its time too. */
const isShort = (gaps: ReadonlyArray<number>) => {
  assert.isAbove(gaps.length, 20)
  assert.isBelow(gaps[Math.floor(gaps.length / 20)]!, 10, `${gaps.slice(0, 5).join(", ")} ms`)
}

describe("a benchmark beside other work", { retry: 2 }, () => {
  it.live("lets the event loop go on while it measures the hot path", () =>
    Effect.gen(function* () {
      const { run } = yield* Performance.Performance
      isShort(
        yield* gapsDuring(
          run({ iterations: 10_000, operations: ["guarded_call", "validation_performance", "closed_breaker_call"] })
        )
      )
    }).pipe(Effect.provide(running))
  )

  it.live("lets the event loop go on while 200 calls run side by side and none waits", () =>
    Effect.gen(function* () {
      const { load } = yield* Performance.Performance
      isShort(
        yield* gapsDuring(
          Effect.repeat(
            load({ operation: "summarize_text", iterations: 10_000, concurrency: 200, latency: { mean: 0 } }),
            { times: 4 }
          )
        )
      )
    }).pipe(Effect.provide(running))
  )

  it.live("finds the hot path far below its thresholds", () =>
    Effect.gen(function* () {
      const { run } = yield* Performance.Performance
      const { results } = yield* run({ includeSlow: true })
      for (const { memoryPeakMb, operation, p50DurationMs, thresholdMs } of results) {
        assert.isAbove(p50DurationMs, 0, operation)
        assert.isBelow(p50DurationMs, thresholdMs / 2, operation)
        assert.isNumber(memoryPeakMb, operation)
      }
    }).pipe(Effect.provide(running))
  )
})
