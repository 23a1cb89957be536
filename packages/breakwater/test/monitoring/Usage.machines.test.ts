import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { Ring } from "../../src/internal/ring.ts"
import { hourly, hourMillis, share, spread } from "../../src/internal/trend.ts"
import { boundedJson } from "../../src/monitoring/internal/boundedJson.ts"
import { type Event, UsageLog } from "../../src/monitoring/internal/usageLog.ts"

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

describe("Ring", () => {
  it.prop(
    "is a queue that forgets its oldest item when it is full",
    {
      capacity: whole(1, 40),
      steps: Arbitrary.array(Arbitrary.schema(Schema.Literals(["push", "push", "push", "shift"])), { maxLength: 200 })
    },
    ({ capacity, steps }) => {
      const ring = new Ring<number>(capacity)
      const model: Array<number> = []
      steps.forEach((step, item) => {
        if (step === "push") {
          model.push(item)
          assert.strictEqual(ring.push(item), model.length > capacity ? model.shift() : undefined)
        } else {
          assert.strictEqual(ring.shift(), model.shift())
        }
        assert.deepStrictEqual([...ring], model)
        assert.strictEqual(ring.length, model.length)
        assert.strictEqual(ring.at(0), model[0])
        assert.strictEqual(ring.at(model.length - 1), model.at(-1))
        assert.isUndefined(ring.at(model.length))
        assert.isUndefined(ring.at(-1))
        const middle = model[Math.floor(model.length / 2)] ?? 0
        const index = ring.indexFrom((each) => each >= middle)
        assert.deepStrictEqual(
          [...ring.from(index)],
          model.filter((each) => each >= middle)
        )
      })
    }
  )
})

describe("a ring that gave an item away", () => {
  it("holds it no longer", () => {
    const ring = new Ring<string>(2)
    for (const item of ["one", "two", "three"]) ring.push(item)
    assert.notInclude(JSON.stringify(ring), "one")
    ring.shift()
    assert.notInclude(JSON.stringify(ring), "two")
  })
})

describe("a spread", () => {
  const cases: ReadonlyArray<readonly [values: ReadonlyArray<number>, p95: number, mean: number]> = [
    [[], 0, 0],
    [[7], 7, 7],
    [[3, 1, 2], 3, 2],
    // 20 values: the 19th, and not the maximum.
    [Array.from({ length: 20 }, (_, at) => at + 1), 19, 10.5],
    [Array.from({ length: 21 }, (_, at) => at + 1), 20, 11],
    [Array.from({ length: 100 }, (_, at) => 100 - at), 95, 50.5],
    [Array.from({ length: 101 }, (_, at) => at), 95, 50]
  ]
  for (const [values, p95, mean] of cases) {
    it(`has ${p95} as the 95th percentile of ${values.length} values`, () => {
      const found = spread(values)
      assert.strictEqual(found.p95, p95)
      assert.strictEqual(found.mean, mean)
      assert.strictEqual(found.count, values.length)
    })
  }

  it.prop(
    "has a percentile that at least 95 % of the values do not pass, and no smaller value would do",
    [Arbitrary.array(Arbitrary.schema(whole(0, 50)), { minLength: 1, maxLength: 80 })],
    ([values]) => {
      const { count, max, mean, min, p95 } = spread(values)
      assert.strictEqual(count, values.length)
      assert.strictEqual(max, Math.max(...values))
      assert.strictEqual(min, Math.min(...values))
      assert.isTrue(min <= mean && mean <= max)
      const upTo = (limit: number) => values.filter((value) => value <= limit).length
      assert.isAtLeast(upTo(p95) * 100, values.length * 95)
      assert.isBelow(upTo(p95 - 1) * 100, values.length * 95)
    }
  )

  it("is a share of 0 of nothing", () => {
    assert.strictEqual(share(0, 0), 0)
    assert.strictEqual(share(1, 4), 0.25)
  })
})

describe("an hourly trend", () => {
  const noon = 12 * hourMillis
  const sums = (ats: ReadonlyArray<number>, now: number, hours: number) =>
    hourly(
      ats.map((at) => ({ at, value: 1 })),
      now,
      hours
    ).map(({ sum }) => sum)

  it("puts the last millisecond of an hour and the first of the next apart", () => {
    assert.deepStrictEqual(sums([noon - 1, noon, noon + 1], noon + 1, 2), [1, 2])
  })

  it("has whole hours only, but for the current one", () => {
    const now = noon + 15 * 60_000
    // Younger than three hours, and before the first of three points.
    assert.deepStrictEqual(sums([now - 3 * hourMillis + 1, 10 * hourMillis, now], now, 3), [1, 0, 1])
  })

  it("starts its points at the hour, oldest first", () => {
    assert.deepStrictEqual(
      hourly([], noon + 59 * 60_000, 3).map(({ at }) => at / hourMillis),
      [10, 11, 12]
    )
  })

  it("counts what lies in the future for the current hour", () => {
    assert.deepStrictEqual(sums([noon + 2 * hourMillis], noon, 2), [0, 1])
  })

  it("takes hours before 1970 as they come", () => {
    assert.deepStrictEqual(hourly([{ at: -1, value: 2 }], -1, 1), [{ at: -hourMillis, sum: 2 }])
  })

  it.prop(
    "counts each value once",
    [Arbitrary.array(Arbitrary.schema(whole(0, 10 * hourMillis)), { maxLength: 40 }), whole(1, 12)],
    ([ats, hours]) => {
      const now = 10 * hourMillis
      const points = hourly(
        ats.map((at) => ({ at, value: 1 })),
        now,
        hours
      )
      assert.strictEqual(points.length, hours)
      const first = points[0]!.at
      assert.strictEqual(
        points.reduce((total, { sum }) => total + sum, 0),
        ats.filter((at) => at >= first).length
      )
    }
  )
})

describe("bounded JSON", () => {
  const size = (value: object) => JSON.stringify(boundedJson(value)).length

  it("keeps small JSON as it is", () => {
    const value = { text: "a", number: 1.5, flag: true, nothing: null, list: [1, "b"], deep: { er: { value: 1 } } }
    assert.deepStrictEqual(boundedJson(value), value)
  })

  it("leaves out what JSON does not have", () => {
    assert.deepStrictEqual(boundedJson({ a: undefined, b: () => 1, c: Symbol("c"), d: [undefined], e: Number.NaN }), {
      d: [null],
      e: null
    })
    assert.deepStrictEqual(boundedJson({ big: 10n, when: new Date(0), never: new Date(Number.NaN) }), {
      big: "10",
      when: "1970-01-01T00:00:00.000Z",
      never: "Invalid Date"
    })
  })

  it("has bounds for text, members, depth and size", () => {
    const circular: Record<string, unknown> = {}
    circular["self"] = circular
    const long = "v".repeat(1000)
    const wide = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`k${at}`, long]))
    for (const value of [circular, wide, { list: Array<string>(1e6).fill("x".repeat(500)) }]) {
      assert.isBelow(size(value), 2500)
    }
    assert.strictEqual((boundedJson({ text: "a".repeat(1000) })["text"] as string).length, 256)
  })

  it("survives getters and proxies that throw", () => {
    const trap = new Proxy(
      {},
      {
        ownKeys: () => {
          throw new Error("no")
        }
      }
    )
    const getter = {
      fine: 1,
      get bad(): never {
        throw new Error("no")
      }
    }
    assert.deepStrictEqual(boundedJson(trap), {})
    assert.deepStrictEqual(boundedJson(getter), { fine: 1 })
  })

  it("takes over no prototype", () => {
    const value = JSON.parse('{"__proto__":{"polluted":true},"a":1}') as object
    assert.deepStrictEqual(Object.keys(boundedJson(value)), ["a"])
    assert.isUndefined((boundedJson(value) as { polluted?: unknown }).polluted)
  })

  it.prop("is small JSON, whatever it was made of", [Schema.Record(Schema.String, Schema.Unknown)], ([value]) => {
    const found = boundedJson(value)
    assert.isTrue(isJson(found))
    assert.isBelow(JSON.stringify(found).length, 10_000)
    assert.deepStrictEqual(boundedJson(found), found)
  })
})

const isJson = Schema.is(Schema.Json)

describe("the log", () => {
  const event = (now: number, session?: string): Event => ({
    now,
    at: now,
    type: "preset_usage",
    preset: "simple",
    operation: "calls",
    value: 1,
    metadata: {},
    session,
    user: undefined
  })

  it("takes nothing from a session that has begun again", () => {
    const log = new UsageLog({ maxEvents: 4, retention: hourMillis, maxSessions: 2 })
    for (const [at, session] of ["a", "b", "c", "a", "a"].entries()) log.record(event(at, session))
    // The event at 0 was forgotten at 4, after the session had begun again at 3.
    assert.deepStrictEqual(
      log.session("a", 4).map(({ at }) => at),
      [3, 4]
    )
  })

  it.prop(
    "has what a list with the same limits would have",
    {
      maxEvents: whole(1, 12),
      maxSessions: whole(1, 4),
      steps: Arbitrary.array(
        Arbitrary.schema(
          Schema.Struct({
            what: Schema.Literals(["record", "record", "record", "session", "within", "clear"]),
            wait: whole(0, 3),
            session: Schema.Literals(["a", "b", "c", "d", "e", "none"]),
            hours: whole(1, 5)
          })
        ),
        { maxLength: 80 }
      )
    },
    ({ maxEvents, maxSessions, steps }) => {
      const retention = 8 * hourMillis
      const log = new UsageLog({ maxEvents, retention, maxSessions })
      let model: Array<Event> = []
      // Sessions by last use, and since which event each is known.
      let used: ReadonlyArray<{ readonly id: string; readonly since: number }> = []
      let now = 0
      let count = 0
      const order = new Map<Event, number>()
      const age = (hours: number) => (each: Event) => now - each.now < hours * hourMillis
      const forget = () => {
        used = used.filter(({ id, since }) => model.some((each) => each.session === id && order.get(each)! >= since))
      }
      for (const { hours, session, wait, what } of steps) {
        now += wait * hourMillis
        model = model.filter(age(8))
        forget()
        const known = used.find(({ id }) => id === session)
        if (what === "record") {
          const one = event(now, session === "none" ? undefined : session)
          order.set(one, count)
          model = [...model, one].slice(-maxEvents)
          if (session !== "none") {
            // A session whose last event went for this one begins again.
            const next = { id: session, since: known?.since ?? count }
            used = [...used.filter(({ id }) => id !== session), next].slice(-maxSessions)
          }
          count++
          log.record(one)
          forget()
        } else if (what === "session") {
          const expected = model.filter((each) => each.session === session && order.get(each)! >= (known?.since ?? 1e9))
          if (known !== undefined) used = [...used.filter(({ id }) => id !== session), known]
          assert.deepStrictEqual(log.session(session, now), expected)
        } else if (what === "within") {
          assert.deepStrictEqual([...log.within(hours * hourMillis, now)], model.filter(age(hours)))
        } else {
          const left = model.filter(age(hours))
          assert.strictEqual(log.clear(hours, now), model.length - left.length)
          model = left
          forget()
        }
        log.expire(now)
        assert.strictEqual(log.size, model.length)
        assert.isAtMost(log.size, maxEvents)
        assert.isAtMost(log.sessionCount, maxSessions)
      }
    }
  )
})
