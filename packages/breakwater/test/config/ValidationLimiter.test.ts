import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as ValidationLimiter from "../../src/config/ValidationLimiter.ts"
import * as machine from "../../src/internal/pacedLimit.ts"

const settings: machine.Settings = {
  burst: 10,
  interval: 1000,
  windows: [
    { length: 60_000, limit: 60 },
    { length: 3_600_000, limit: 1000 }
  ]
}

/** Calls as early as they are let, from `start` on, and when each was admitted. */
const greedy = (calls: number, start = 0): ReadonlyArray<number> => {
  let state = machine.empty
  let now = start
  const times: Array<number> = []
  while (times.length < calls) {
    const [wait, next] = machine.admit(settings, state, now)
    state = next
    if (wait === 0) times.push(now)
    else now += wait
  }
  return times
}

const mulberry32 = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

describe("the paced limit", () => {
  it("lets ten through at once, then one a second", () => {
    assert.deepStrictEqual(greedy(14), [...Array.from({ length: 10 }, () => 0), 1000, 2000, 3000, 4000])
  })

  it("lets sixty through in the first minute, and the next when the first ten have left it", () => {
    const times = greedy(72)
    assert.strictEqual(times[59], 50_000)
    assert.deepStrictEqual(
      times.slice(60, 70),
      Array.from({ length: 10 }, () => 60_000)
    )
    assert.strictEqual(times[70], 61_000)
  })

  it("lets a thousand through in the first hour, and the next when the first have left it", () => {
    const times = greedy(1001)
    assert.isBelow(times[999]!, 3_600_000)
    assert.strictEqual(times[1000], 3_600_000)
  })

  it("says exactly how long to wait, and a refusal changes nothing", () => {
    const random = mulberry32(7)
    let state = machine.empty
    let now = 0
    for (let call = 0; call < 5000; call++) {
      now += random() < 0.8 ? 0 : random() * 3000
      const [wait, next] = machine.admit(settings, state, now)
      if (wait > 0) {
        assert.strictEqual(next, state)
        assert.isAbove(machine.admit(settings, state, now + wait * 0.999)[0], 0)
        assert.isBelow(machine.admit(settings, state, now + wait)[0], 1e-6)
      }
      state = next
    }
  })

  it("keeps its promises in every window, whatever the calls (seed 11)", () => {
    const random = mulberry32(11)
    let state = machine.empty
    let now = 0
    const admitted: Array<number> = []
    for (let call = 0; call < 20_000; call++) {
      now += random() < 0.7 ? random() * 10 : random() * 4000
      const [wait, next] = machine.admit(settings, state, now)
      state = next
      if (wait === 0) admitted.push(now)
      const within = (length: number) => admitted.length - (admitted.findLastIndex((time) => time <= now - length) + 1)
      assert.isAtMost(within(60_000), 60)
      assert.isAtMost(within(3_600_000), 1000)
      assert.isAtMost(within(500), 10)
      assert.strictEqual(machine.countWithin(state, 60_000, now), within(60_000))
    }
    assert.isAtMost(state.times.length, 1000)
  })

  it("is idle once nothing counts any more", () => {
    const [, state] = machine.admit(settings, machine.empty, 0)
    assert.isFalse(machine.isIdle(settings, state, 3_599_999))
    assert.isTrue(machine.isIdle(settings, state, 3_600_000))
  })
})

const { ValidationLimiter: Limiter } = ValidationLimiter

describe("ValidationLimiter", () => {
  it.effect("answers ten calls of a client within two seconds and refuses the eleventh", () =>
    Effect.gen(function* () {
      const limiter = yield* Limiter
      for (let call = 0; call < 10; call++) yield* limiter.check("a")
      const { _tag, retryAfter } = yield* Effect.flip(limiter.check("a"))
      assert.strictEqual(_tag, "RateLimited")
      assert.deepStrictEqual(retryAfter, Duration.seconds(1))
      yield* limiter.check("b")

      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual((yield* Effect.flip(limiter.check("a"))).retryAfter, Duration.millis(1))
      yield* TestClock.adjust("1 milli")
      yield* limiter.check("a")
    }).pipe(Effect.provide(Limiter.layer()))
  )

  it.effect("shows what a client has used, and remembers nobody who is asked about", () =>
    Effect.gen(function* () {
      const limiter = yield* Limiter
      const json = Effect.map(limiter.status("a"), Schema.encodeSync(ValidationLimiter.Status))
      const current = { requests_last_minute: 0, requests_last_hour: 0, max_per_minute: 60, max_per_hour: 1000 }
      assert.deepStrictEqual(yield* json, {
        client_identifier: "a",
        current_status: { ...current, cooldown_remaining: 0 },
        limits: { max_validations_per_minute: 60, max_validations_per_hour: 1000, cooldown_seconds: 0 },
        check_timestamp: "1970-01-01T00:00:00.000Z"
      })
      for (let call = 0; call < 10; call++) yield* limiter.check("a")
      yield* Effect.exit(limiter.check("a"))
      assert.deepStrictEqual((yield* json).current_status, {
        ...current,
        requests_last_minute: 10,
        requests_last_hour: 10,
        cooldown_remaining: 1
      })
      yield* TestClock.adjust("60 seconds")
      assert.deepStrictEqual((yield* json).current_status, {
        ...current,
        requests_last_hour: 10,
        cooldown_remaining: 0
      })
    }).pipe(Effect.provide(Limiter.layer()))
  )

  it.effect("lets clients beyond the bound share one count, and forgets the quiet ones", () =>
    Effect.gen(function* () {
      const limiter = yield* Limiter
      yield* limiter.check("a")
      yield* limiter.check("b")
      yield* limiter.check("c")
      yield* Effect.flip(limiter.check("d"))
      assert.strictEqual((yield* limiter.status("e")).currentStatus.requestsLastMinute, 1)
      yield* TestClock.adjust("1 hour")
      yield* limiter.check("c")
      yield* limiter.check("d")
      assert.strictEqual((yield* limiter.status("d")).currentStatus.requestsLastHour, 1)
      assert.strictEqual((yield* limiter.status("a")).currentStatus.requestsLastHour, 0)
    }).pipe(Effect.provide(Limiter.layer({ maxClients: 2, burst: 1 })))
  )

  it("refuses limits that nothing can run with", () => {
    assert.throws(() => ValidationLimiter.make({ perMinute: 0 }), /perMinute/)
    assert.isTrue(Layer.isLayer(Limiter.layer({ perMinute: 0 })))
  })
})
