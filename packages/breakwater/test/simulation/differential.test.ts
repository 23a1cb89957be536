/**
 * Plays the same troubles under `Retry` and under Effect's own `Schedule` and `Effect.retry`, where both mean the same:
 * attempts, pauses and ends must be the same. Left out is what Effect's have no word for: Retry-After, decorrelated
 * jitter, deadlines.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Option, Random, Schedule } from "effect"
import { CircuitBreaker, Retry } from "breakwater"
import { Dice, hash } from "./Dice.ts"
import { times } from "./Simulations.ts"
import { drawRetry, retryInput } from "./subjects/retry.ts"
import type { RetrySettings } from "./laws/retry.ts"
import { World } from "./World.ts"

const count = 5_000 * times

/** The settings as Effect's own combinators say them. */
const reference = ({ base, factor, jitter, jitterMax, max, maxAttempts, min }: RetrySettings) =>
  Schedule.exponential(base, factor).pipe(
    (grown) => Schedule.max([grown, Schedule.spaced(min)]),
    (raised) => Schedule.min([raised, Schedule.spaced(max)]),
    Schedule.modifyDelay(({ duration }) =>
      Effect.map(Random.next, (chance) => {
        const millis = Duration.toMillis(duration)
        const spread =
          jitter === "full"
            ? millis * chance
            : jitter === "equal"
              ? millis / 2 + (millis / 2) * chance
              : jitter === "additive"
                ? millis + jitterMax * chance
                : millis
        return Duration.millis(Math.min(spread, max))
      })
    ),
    Schedule.upTo({ times: maxAttempts - 1 })
  )

interface Trouble {
  readonly isRetryable: boolean
}

/** When attempts start and end, and what comes of them. Each attempt takes its time and has its end. */
const play = (seed: number, guard: (self: Effect.Effect<string, Trouble>) => Effect.Effect<string, Trouble>) => {
  const world = new World(new Dice(seed), { startsAt: 0 })
  const ends = new Dice(hash(`ends ${seed}`))
  const trace: Array<string> = []
  const attempt = Effect.suspend(() => {
    trace.push(`starts at ${world.now}`)
    const end = ends.next()
    const answer: Effect.Effect<string, Trouble> =
      end < 0.15 ? Effect.succeed("well") : Effect.fail({ isRetryable: end < 0.95 })
    return Effect.andThen(Effect.sleep(ends.whole(0, 2) * 100), answer)
  })
  const fiber = world.start(guard(attempt))
  for (let wakes = 0; world.nextWake !== undefined && wakes < 1_000; wakes++) world.advance(world.nextWake - world.now)
  const exit = fiber.pollUnsafe()
  const end = exit === undefined ? "never" : Exit.isSuccess(exit) ? exit.value : exit.cause.reasons.length
  trace.push(`ends at ${world.now}: ${end}`)
  return trace
}

const drawShared = (seed: number): RetrySettings => {
  const dice = new Dice(hash(`settings ${seed}`))
  const settings = drawRetry(dice)
  return settings.jitter === "decorrelated" ? { ...settings, jitter: "none" } : settings
}

describe("Retry agrees with Effect's own in attempts, pauses and ends:", () => {
  it(`retry with Effect.retry, in ${count} runs`, { timeout: 60_000 * times }, () => {
    let attempts = 0
    for (let seed = 0; seed < count; seed++) {
      const settings = drawShared(seed)
      const ours = play(seed, Retry.retry({ settings: retryInput(settings) }))
      const theirs = play(
        seed,
        Effect.retry({ schedule: reference(settings), while: (trouble) => trouble.isRetryable })
      )
      // Where jitter is `none`, chance is drawn all the same.
      assert.deepStrictEqual(ours, theirs, JSON.stringify(settings))
      attempts += ours.length - 1
    }
    assert.isAbove(attempts, count * 1.5)
  })

  it("retry with Effect.retry over Retry.schedule, of any jitter", () => {
    for (let seed = 0; seed < count / 5; seed++) {
      const settings = retryInput(drawRetry(new Dice(hash(`settings ${seed}`))))
      const ours = play(seed, Retry.retry({ settings }))
      const theirs = play(
        seed,
        Effect.retry({ schedule: Retry.schedule(settings), while: (trouble) => trouble.isRetryable })
      )
      assert.deepStrictEqual(ours, theirs, JSON.stringify(settings))
    }
  })
})

describe("CircuitBreaker agrees with Schedule", () => {
  it("in open times that grow", () => {
    for (let seed = 0; seed < 300; seed++) {
      const dice = new Dice(hash(`open ${seed}`))
      const [base, factor, opens] = [dice.whole(1, 5_000), dice.pick([1, 1.5, 2, 3]), dice.whole(1, 8)]
      const schedule = Schedule.exponential(base, factor)
      const world = new World(dice, { startsAt: 0 })
      const step = world.run(Schedule.toStep(schedule))
      const breaker = world.run(
        CircuitBreaker.make({ operation: "target", settings: { failureThreshold: 1 }, openSchedule: schedule })
      )
      const fail = Effect.exit(Effect.fail("down").pipe(breaker.protect()))
      for (let opening = 0; opening < opens; opening++) {
        world.run(fail)
        const [, millis] = world.run(step(0, opening)) as readonly [unknown, Duration.Duration]
        const { retryAfter } = world.run(Effect.flatMap(breaker.circuit(), CircuitBreaker.snapshot))
        const due = Math.ceil(Math.min(Duration.toMillis(millis), 86_400_000) - 1e-9)
        assert.deepStrictEqual(
          Option.getOrThrow(Option.map(retryAfter, Duration.toMillis)),
          due,
          `opening ${opening} of ${base} × ${factor}`
        )
        world.advance(due)
      }
    }
  })
})
