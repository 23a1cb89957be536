/**
 * Runs our limiter beside Effect's own, on its memory store, with the same
 * calls at the same times. They must agree where they mean the same.
 *
 * Where they differ, and so are not compared:
 *
 * - A fixed window of Effect's ends when all that was used would have been
 *   refilled, `used × window / limit` after its first call. Ours ends after
 *   `window`, whatever was used. They are compared until Effect's is over, and
 *   at its end if the limit was used up.
 * - A cost above the limit: Effect says to come back after a window, ours never.
 * - Effect reads the wall clock, ours the monotonic one. Here both stand still
 *   together.
 */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer } from "effect"
import * as Reference from "effect/persistence/RateLimiter"
import { TestClock } from "effect/testing"
import { RateLimiter } from "breakwater"

/** mulberry32 */
const random = (seed: number) => {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  return (bound: number) => Math.floor(next() * bound)
}

interface Answer {
  /** 0: let through. */
  readonly retryAfter: number
}

const through: Answer = { retryAfter: 0 }

const ask = (
  reference: Reference.RateLimiter,
  options: {
    readonly algorithm: "fixed-window" | "token-bucket"
    readonly limit: number
    readonly window: number
    readonly key: string
    readonly tokens: number
  }
): Effect.Effect<Answer & { readonly remaining: number }> =>
  reference.consume(options).pipe(
    Effect.map(({ remaining }) => ({ ...through, remaining })),
    Effect.catch(({ reason }) =>
      reason._tag === "RateLimitExceeded"
        ? Effect.succeed({ retryAfter: Duration.toMillis(reason.retryAfter), remaining: -1 })
        : Effect.die(reason)
    )
  )

const askOurs = (
  limiter: RateLimiter.RateLimiter["Service"],
  options: { readonly key: string; readonly cost: number }
): Effect.Effect<Answer> =>
  Effect.void.pipe(
    limiter.protect(options),
    Effect.as(through),
    Effect.catch(({ reason }) => Effect.succeed({ retryAfter: Duration.toMillis(reason.retryAfter) }))
  )

const available = (limiter: RateLimiter.RateLimiter["Service"], key: string) =>
  Effect.map(limiter.snapshot, ({ keys }) => keys.find((one) => one.key === key)?.available)

const layer = Layer.provide(Reference.layer, Reference.layerStoreMemory)

describe("beside Effect's own limiter", () => {
  for (const algorithm of ["token-bucket", "gcra"] as const) {
    it.effect(`${algorithm} answers as its token bucket, call by call`, () =>
      Effect.gen(function* () {
        const reference = yield* Reference.RateLimiter
        let refused = 0
        let asked = 0
        for (let seed = 1; seed <= 200; seed++) {
          const below = random(seed)
          const limit = 1 + below(12)
          // A token is refilled in whole milliseconds, because Effect divides them without rounding.
          const window = limit * (1 + below(40))
          const limiter = yield* RateLimiter.make({ operation: "target", settings: { algorithm, limit, window } })
          const key = `${algorithm}${seed}`
          for (let step = 0; step < 60; step++) {
            yield* TestClock.adjust(below(3) === 0 ? below(2 * window) : below(8))
            const cost = 1 + below(limit)
            const theirs = yield* ask(reference, { algorithm: "token-bucket", limit, window, key, tokens: cost })
            const ours = yield* askOurs(limiter, { key, cost })
            const where = `seed ${seed}, step ${step}`
            assert.strictEqual(ours.retryAfter, theirs.retryAfter, where)
            asked++
            if (theirs.retryAfter > 0) refused++
            else assert.strictEqual(yield* available(limiter, key), theirs.remaining, where)
          }
        }
        assert.isAbove(refused, asked / 5)
        assert.isBelow(refused, (asked * 4) / 5)
      }).pipe(Effect.provide(layer))
    )
  }

  it.effect("a fixed window answers as its own, until that is refilled", () =>
    Effect.gen(function* () {
      const reference = yield* Reference.RateLimiter
      let compared = 0
      let usedUp = 0
      for (let seed = 1; seed <= 1_000; seed++) {
        const below = random(seed)
        const limit = 1 + below(12)
        const refill = 1 + below(40)
        const window = limit * refill
        const limiter = yield* RateLimiter.make({
          operation: "target",
          settings: { algorithm: "fixed-window", limit, window }
        })
        const key = `k${seed}`
        let used = 0
        let at = 0
        for (let step = 0; step < 40; step++) {
          const gap = below(refill)
          if (used > 0 && at + gap >= used * refill) break
          yield* TestClock.adjust(gap)
          if (used > 0) at += gap
          const cost = 1 + below(Math.min(limit, 3))
          const theirs = yield* ask(reference, { algorithm: "fixed-window", limit, window, key, tokens: cost })
          const ours = yield* askOurs(limiter, { key, cost })
          const where = `seed ${seed}, step ${step}`
          assert.strictEqual(ours.retryAfter === 0, theirs.retryAfter === 0, where)
          compared++
          if (theirs.retryAfter === 0) {
            used += cost
            assert.strictEqual(yield* available(limiter, key), theirs.remaining, where)
          } else if (used === limit) {
            assert.strictEqual(ours.retryAfter, theirs.retryAfter, where)
            usedUp++
            yield* TestClock.adjust(ours.retryAfter)
            const next = { algorithm: "fixed-window", limit, window, key, tokens: limit } as const
            assert.strictEqual((yield* ask(reference, next)).retryAfter, 0, where)
            assert.strictEqual((yield* askOurs(limiter, { key, cost: limit })).retryAfter, 0, where)
            break
          }
        }
      }
      assert.isAbove(compared, 3_000)
      assert.isAbove(usedUp, 200)
    }).pipe(Effect.provide(layer))
  )

  it.effect("differs where Effect's window ends early and lets more through than its limit", () =>
    Effect.gen(function* () {
      const reference = yield* Reference.RateLimiter
      const settings = { algorithm: "fixed-window", limit: 10, window: "10 seconds" } as const
      const limiter = yield* RateLimiter.make({ operation: "target", settings })
      const passed = { theirs: 0, ours: 0 }
      for (const [calls, pause] of [
        [1, "1 second"],
        [12, 0]
      ] as const) {
        for (let i = 0; i < calls; i++) {
          const theirs = yield* ask(reference, {
            algorithm: "fixed-window",
            limit: 10,
            window: 10_000,
            key: "k",
            tokens: 1
          })
          const ours = yield* askOurs(limiter, { key: "k", cost: 1 })
          if (theirs.retryAfter === 0) passed.theirs++
          if (ours.retryAfter === 0) passed.ours++
        }
        yield* TestClock.adjust(pause)
      }
      assert.strictEqual(passed.ours, 10)
      assert.strictEqual(passed.theirs, 11)
    }).pipe(Effect.provide(layer))
  )
})
