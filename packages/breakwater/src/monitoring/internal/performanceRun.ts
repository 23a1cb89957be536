/**
 * Runs iterations and takes their time, one after another or side by side.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as Monotonic from "../../Monotonic.ts"
import type * as Operation from "../../Operation.ts"
import * as Preset from "../../Preset.ts"
import { Resilience, withResilience } from "../../Resilience.ts"
import { isResilienceError } from "../../ResilienceError.ts"
import { errorName } from "../../EventSink.ts"
import * as Strategy from "../../Strategy.ts"
import * as breathing from "./performanceBreath.ts"
import * as host from "./performanceHost.ts"
import * as synthetic from "./performanceLoad.ts"
import { type Benchmark, privately } from "./performanceSuite.ts"

const warmUps = 10
/** Errors that are named. */
const maxErrors = 5

/** How far a run has come. @internal */
export interface Progress {
  completed: number
  readonly target: number
}

/** @internal */
export interface Measured {
  /** In milliseconds. */
  readonly samples: Float64Array
  readonly succeeded: number
  /** `null` where it cannot be read. */
  readonly memoryPeakMb: number | null
}

/** Never a message, which may hold a secret. */
const nameOf = (cause: Cause.Cause<unknown>): string => {
  const error = Cause.squash(cause)
  return isResilienceError(error) ? error.reason._tag : errorName(error)
}

/** How far the heap grew at most. */
const heap = () => {
  const start = host.heapMb()
  let peak = start
  return {
    observe: (): void => {
      const now = host.heapMb()
      if (now !== undefined && peak !== undefined) peak = Math.max(peak, now)
    },
    grown: (): number | null => (start === undefined || peak === undefined ? null : peak - start)
  }
}

/** Measures one benchmark. What goes wrong in it is part of the result. @internal */
export const measure = (
  { setup }: Benchmark,
  iterations: number,
  progress: Progress
): Effect.Effect<Measured & { readonly errors: Readonly<Record<string, string>> }> =>
  Effect.scoped(
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const ready = yield* Effect.exit(setup)
      const iterate = Exit.isSuccess(ready) ? ready.value : Effect.failCause(ready.cause)
      const memory = heap()
      const breath = breathing.make(clock, memory.observe)
      for (let i = 0; i < Math.min(iterations, warmUps); i++) {
        yield* Effect.exit(iterate)
        if (breath.isDue(Monotonic.now(clock))) yield* breath.take
      }
      const samples = new Float64Array(iterations)
      const errors: Record<string, string> = {}
      let failed = 0
      for (let i = 0; i < iterations; i++) {
        const before = Monotonic.now(clock)
        const exit = yield* Effect.exit(iterate)
        const after = Monotonic.now(clock)
        samples[i] = after - before
        progress.completed++
        if (Exit.isFailure(exit) && failed++ < maxErrors) errors[`error_${i}`] = nameOf(exit.cause)
        if (breath.isDue(after)) yield* breath.take
      }
      memory.observe()
      return { samples, succeeded: iterations - failed, memoryPeakMb: memory.grown(), errors }
    })
  ).pipe(
    // A turn of the event loop in the middle of an iteration would be measured. The breath takes them in between.
    Effect.provideService(Scheduler.PreventSchedulerYield, true)
  )

/** @internal */
export interface Pressure {
  readonly iterations: number
  readonly concurrency: number
  readonly target: synthetic.Target
  readonly seed: string | number | undefined
}

/** Runs calls through the strategy of an operation, on a record and circuits that nobody else sees. @internal */
export const press = (
  { settings, strategy }: Pick<Operation.Snapshot, "settings" | "strategy">,
  { concurrency, iterations, seed, target }: Pressure,
  progress: Progress
): Effect.Effect<Measured & { readonly failures: Readonly<Record<string, number>>; readonly totalMs: number }> =>
  Effect.scoped(
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const random = yield* seed === undefined ? Random.Random : Random.withSeed(Random.Random, seed)
      const resilience = yield* privately(Preset.simple)
      // The settings in force have the overlay and the switches in them.
      const own: Strategy.Strategy = { ...Strategy.balanced, name: strategy, settings }
      const call = synthetic
        .answer(target, random)
        .pipe(withResilience(own, { operation: "benchmark" }), Effect.provideService(Resilience, resilience))

      const memory = heap()
      const breath = breathing.make(clock, memory.observe)
      const samples = new Float64Array(iterations)
      const failures: Record<string, number> = {}
      let started = 0
      let succeeded = 0
      const worker = Effect.gen(function* () {
        while (started < iterations) {
          const i = started++
          const before = Monotonic.now(clock)
          const exit = yield* Effect.exit(call)
          const after = Monotonic.now(clock)
          samples[i] = after - before
          progress.completed++
          if (Exit.isSuccess(exit)) {
            succeeded++
          } else {
            const error = nameOf(exit.cause)
            failures[error] = (failures[error] ?? 0) + 1
          }
          if (breath.isDue(after)) yield* breath.take
        }
      })
      const startedAt = Monotonic.now(clock)
      yield* Effect.all(
        Array.from({ length: Math.min(concurrency, iterations) }, () => worker),
        { concurrency: "unbounded", discard: true }
      )
      const totalMs = Monotonic.now(clock) - startedAt
      memory.observe()
      return { samples, succeeded, memoryPeakMb: memory.grown(), failures, totalMs }
    })
  )
