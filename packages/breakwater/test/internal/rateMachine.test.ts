import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { type Hold, Holds } from "../../src/internal/rateHolds.ts"
import * as rate from "../../src/internal/rateMachine.ts"

const names = ["gcra", "token-bucket", "sliding-log", "sliding-counter", "fixed-window"] as const
const refilling: ReadonlySet<rate.Name> = new Set(["gcra", "token-bucket"])

const law = { arbitrary: { runs: 10_000 } }
const int = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Gaps of whole milliseconds, mostly short beside a window. */
const gap = Schema.Union([int(0, 3), int(0, 60), Schema.Literals([0, 1])])

const numbers = {
  limit: int(1, 12),
  window: Schema.Union([int(1, 60), Schema.Literals([1, 10, 12, 60])]),
  burst: int(1, 12),
  start: Schema.Literals([0, 1, 123_456_789, 5_000_000_000])
}

const trace = Arbitrary.array(Arbitrary.schema(Schema.Struct({ gap, cost: int(1, 6) })), { maxLength: 40 })

/** What a machine did: each call with its time and what it came to. */
interface Call {
  readonly at: number
  readonly cost: number
  /** The cost that was used in the end. */
  readonly net: number
}

interface Numbers {
  readonly limit: number
  readonly window: number
  readonly burst: number
}

const sum = (calls: ReadonlyArray<Call>): number => calls.reduce((sum, { net }) => sum + net, 0)

/** Units in use by the definition of each algorithm, told from the whole past. Times `window`, so that it is whole. */
const naive: {
  readonly [name in rate.Name]: (numbers: Numbers, past: ReadonlyArray<Call>, now: number) => number
} = {
  "sliding-log": ({ window }, past, now) => sum(past.filter(({ at }) => at > now - window)) * window,
  "fixed-window": ({ window }, past, now) => inWindow(past, window, now, 0) * window,
  "sliding-counter": ({ window }, past, now) =>
    inWindow(past, window, now, 0) * window +
    inWindow(past, window, now, 1) * (window - ((now - (past[0]?.at ?? now)) % window)),
  gcra: (numbers, past, now) => bucketed(numbers, past, now),
  "token-bucket": (numbers, past, now) => bucketed(numbers, past, now)
}

/** Units in the aligned window so many before the current one. */
const inWindow = (past: ReadonlyArray<Call>, window: number, now: number, back: number): number => {
  const first = past[0]?.at ?? now
  const index = Math.floor((now - first) / window) - back
  return sum(past.filter(({ at }) => Math.floor((at - first) / window) === index))
}

const bucketed = ({ limit, window }: Numbers, past: ReadonlyArray<Call>, now: number): number => {
  let inUse = 0
  let last = past[0]?.at ?? now
  for (const { at, net } of past) {
    inUse = Math.max(inUse - (at - last) * limit, 0) + net * window
    last = at
  }
  return Math.max(inUse - (now - last) * limit, 0)
}

const capacityOf = (name: rate.Name, { burst, limit }: Numbers): number => (refilling.has(name) ? burst : limit)

const settingsOf = (algorithm: rate.Name, numbers: Numbers): rate.Settings => rate.settings({ algorithm, ...numbers })

describe("the rate machine", () => {
  for (const name of names) {
    describe(`with ${name}`, () => {
      it.prop(
        "admits what its definition admits, and keeps its bound",
        { ...numbers, trace },
        ({ start, trace, ...numbers }) => {
          const settings = settingsOf(name, numbers)
          const capacity = capacityOf(name, numbers)
          const past: Array<Call> = []
          let machine = rate.make(settings)
          let now = start
          for (const { cost, gap } of trace) {
            now += gap
            const inUse = naive[name](numbers, past, now)
            assert.approximately(rate.used(settings, machine, now), inUse / numbers.window, 1e-4)
            assert.strictEqual(
              rate.available(settings, machine, now),
              Math.floor(capacity - inUse / numbers.window + 1e-9)
            )
            const [wait, next] = rate.admit(settings, machine, now, cost)
            assert.strictEqual(wait === 0, inUse + cost * numbers.window <= capacity * numbers.window)
            if (wait > 0) assert.strictEqual(next, machine)
            else past.push({ at: now, cost, net: cost })
            machine = next
          }
          for (const [i, { at: from }] of past.entries()) {
            for (let j = i; j < past.length; j++) {
              const to = past[j]!.at
              const passed = sum(past.slice(i, j + 1))
              if (refilling.has(name)) {
                assert.isAtMost(passed, numbers.burst + ((to - from) * numbers.limit) / numbers.window + 1e-9)
              } else if (to - from < numbers.window) {
                assert.isAtMost(passed, name === "sliding-log" ? numbers.limit : 2 * numbers.limit)
              }
            }
          }
        },
        law
      )

      it.prop(
        "says how long to wait, neither longer nor shorter",
        { ...numbers, trace, pause: int(0, 100), paced: Schema.Boolean },
        ({ pause, paced, start, trace, ...numbers }) => {
          const settings = settingsOf(name, numbers)
          let machine = rate.make(settings)
          let now = start
          for (const [i, { cost, gap }] of trace.entries()) {
            now += gap
            if (paced && i === trace.length >> 1) machine = rate.pauseUntil(machine, now + pause)
            const [wait, next] = rate.admit(settings, machine, now, cost)
            machine = next
            if (wait === 0) continue
            if (cost > capacityOf(name, numbers)) {
              assert.strictEqual(wait, Infinity)
              continue
            }
            assert.strictEqual(rate.wait(settings, machine, now + wait, cost), 0)
            assert.strictEqual(rate.wait(settings, machine, now + Math.ceil(wait), cost), 0)
            assert.isAbove(rate.wait(settings, machine, now + wait - 0.01, cost), 0)
            // What waits on the way sees the same end.
            for (const part of [0.1, 0.5, 0.9]) {
              const left = rate.wait(settings, machine, now + wait * part, cost)
              assert.approximately(left, wait * (1 - part), 0.01)
            }
          }
        },
        law
      )

      it.prop(
        "is where it would be had the returned units never been taken",
        {
          ...numbers,
          trace: Arbitrary.array(
            Arbitrary.schema(
              Schema.Struct({ gap, cost: int(1, 6), returned: int(0, 6), after: int(1, 6), holds: Schema.Boolean })
            ),
            { maxLength: 30 }
          )
        },
        ({ start, trace, ...numbers }) => {
          const settings = settingsOf(name, numbers)
          const holds = new Holds()
          const open: Array<{ index: number; returned: number; due: number; hold: Hold }> = []
          const past: Array<Call> = []
          let machine = rate.make(settings)
          let now = start
          const observe = () => holds.observe(rate.used(settings, machine, now))
          for (const [step, { after, cost, gap, holds: isHeld, returned }] of trace.entries()) {
            now += gap
            for (const [i, { due, hold, index, returned }] of [...open.entries()].toReversed()) {
              if (due > step) continue
              open.splice(i, 1)
              observe()
              const call = past[index]!
              const wanted = Math.min(returned, call.cost)
              const given = refilling.has(name) ? holds.give(hold, wanted) : wanted
              holds.remove(hold)
              machine = rate.give(settings, machine, now, call.at, given)
              past[index] = { ...call, net: call.cost - wanted }
              assert.approximately(
                rate.used(settings, machine, now),
                naive[name](numbers, past, now) / numbers.window,
                1e-4
              )
            }
            observe()
            const [wait, next] = rate.admit(settings, machine, now, cost)
            machine = next
            if (wait > 0) continue
            past.push({ at: now, cost, net: cost })
            if (isHeld) open.push({ index: past.length - 1, returned, due: step + after, hold: holds.add(now) })
          }
          assert.strictEqual(holds.size, open.length)
        },
        law
      )

      it.prop(
        "lets nobody through during a pause, and one by one for a window after it",
        { ...numbers, before: trace, after: trace, pause: int(1, 100) },
        ({ after, before, pause, start, ...numbers }) => {
          const settings = settingsOf(name, numbers)
          let machine = rate.make(settings)
          let now = start
          for (const { cost, gap } of before) machine = rate.admit(settings, machine, (now += gap), cost)[1]
          const until = now + pause
          const free = machine
          machine = rate.pauseUntil(machine, until)
          for (const cost of [1, capacityOf(name, numbers)]) {
            for (const at of [now, until, until + 1, until + numbers.window]) {
              assert.isAtLeast(
                rate.wait(settings, machine, at, cost),
                rate.wait(settings, free, at, cost) - 1e-3,
                "a pause makes nothing earlier"
              )
            }
          }
          assert.strictEqual(rate.pauseUntil(machine, until - 1), machine)
          let passed = 0
          for (const { cost, gap } of after) {
            now += gap
            const [wait, next] = rate.admit(settings, machine, now, cost)
            machine = next
            assert.strictEqual(rate.pausedFor(machine, now), Math.max(until - now, 0))
            if (wait > 0) continue
            assert.isAtLeast(now, until)
            // The last one went when those before it were through.
            if (now < until + numbers.window) {
              assert.isAtMost((passed * numbers.window) / numbers.limit, now - until + 1e-6)
            }
            passed += cost
            // Nothing was left of a burst.
            if (refilling.has(name)) {
              assert.isAtMost(passed, 1 + ((now - until) * numbers.limit) / numbers.window + 1e-3)
            }
          }
        },
        law
      )

      it.prop(
        "refuses nobody while there is plenty of room, at any fraction of a millisecond",
        {
          window: int(1, 60),
          start: Schema.Literals([0, 5_000_000_000]),
          trace: Arbitrary.array(
            Arbitrary.schema(
              Schema.Struct({ windows: int(0, 2), millis: int(0, 60), micros: int(-3, 3), cost: int(1, 1_000) })
            ),
            { maxLength: 30 }
          )
        },
        ({ start, trace, window }) => {
          const settings = settingsOf(name, { limit: 1_000_000, window, burst: 1_000_000 })
          let machine = rate.make(settings)
          let now: number = start
          for (const { cost, micros, millis, windows } of trace) {
            now = Math.max(now, Math.round(now) + windows * window + millis + micros / 1_000)
            const [wait, next] = rate.admit(settings, machine, now, cost)
            assert.strictEqual(wait, 0)
            machine = next
          }
        },
        law
      )

      it.prop(
        "goes on from any of its states as if the others were not",
        { ...numbers, before: trace, left: trace, right: trace },
        ({ before, left, right, start, ...numbers }) => {
          const settings = settingsOf(name, numbers)
          const run = (from: rate.Machine, at: number, calls: typeof before) => {
            let machine = from
            let now = at
            const waits = calls.map(({ cost, gap }) => {
              const [wait, next] = rate.admit(settings, machine, (now += gap), cost)
              machine = next
              return wait
            })
            return { machine, now, waits }
          }
          const common = run(rate.make(settings), start, before)
          const first = run(common.machine, common.now, left)
          run(common.machine, common.now, right)
          assert.deepStrictEqual(run(common.machine, common.now, left).waits, first.waits)
        },
        law
      )

      it.prop(
        "keeps the units in use under other settings, and owes nothing for a limit that shrinks",
        {
          ...numbers,
          trace,
          to: Arbitrary.schema(Schema.Struct({ name: Schema.Literals(names), limit: int(1, 12), burst: int(1, 12) })),
          window: int(1, 60),
          longer: Schema.Boolean
        },
        ({ longer, start, to, trace, ...numbers }) => {
          const from = settingsOf(name, numbers)
          const goal = rate.settings({
            algorithm: to.name,
            limit: to.limit,
            burst: to.burst,
            window: numbers.window + (longer ? 10 : 0)
          })
          let machine = rate.make(from)
          let now = start
          for (const { cost, gap } of trace) machine = rate.admit(from, machine, (now += gap), cost)[1]
          const before = rate.used(from, machine, now)
          const converted = rate.convert(from, goal, machine, now)
          const after = rate.used(goal, converted, now)
          const keepsEntries = to.name === name && !refilling.has(name) && (!longer || name === "sliding-log")
          if (keepsEntries) assert.isAtLeast(after, Math.min(before, 0))
          else assert.approximately(after, Math.min(before, rate.capacity(goal)), refilling.has(to.name) ? 1e-4 : 1)
          // Whatever came of it, a call gets through in the end.
          assert.isAtMost(rate.wait(goal, converted, now, 1), 2 * goal.window + 1e-6)
        },
        law
      )
    })
  }

  it("has each algorithm fill up and make room in its own way", () => {
    const numbers = { limit: 4, window: 100, burst: 4 }
    const story = (name: rate.Name, times: ReadonlyArray<number>): string => {
      const settings = settingsOf(name, numbers)
      let machine = rate.make(settings)
      return times
        .map((at) => {
          const [wait, next] = rate.admit(settings, machine, at, 1)
          machine = next
          return wait === 0 ? "yes" : String(Math.round(wait * 100) / 100)
        })
        .join(" ")
    }
    const times = [10, 20, 90, 95, 98, 109, 110, 119, 120, 185, 190, 210]
    assert.strictEqual(story("gcra", times), "yes yes yes yes yes yes 5 yes 20 yes yes yes")
    assert.strictEqual(story("token-bucket", times), "yes yes yes yes yes yes 5 yes 20 yes yes yes")
    assert.strictEqual(story("sliding-log", times), "yes yes yes yes 12 1 yes 1 yes 5 yes yes")
    assert.strictEqual(story("fixed-window", times), "yes yes yes yes 12 1 yes yes yes yes 20 yes")
    assert.strictEqual(story("sliding-counter", times), "yes yes yes yes 37 26 25 16 15 yes yes yes")
  })

  it("never admits what costs more than passes at once", () => {
    for (const name of names) {
      const settings = settingsOf(name, { limit: 10, window: 100, burst: 5 })
      const capacity = rate.capacity(settings)
      assert.strictEqual(capacity, refilling.has(name) ? 5 : 10)
      assert.strictEqual(rate.wait(settings, rate.make(settings), 0, capacity), 0)
      assert.strictEqual(rate.wait(settings, rate.make(settings), 0, capacity + 1), Infinity)
    }
  })

  it("starts its windows at the first admitted call", () => {
    const settings = settingsOf("fixed-window", { limit: 1, window: 100, burst: 1 })
    const waits: Array<number> = []
    let machine = rate.make(settings)
    for (const at of [70, 80, 169, 170, 250, 399, 400, 470]) {
      const [wait, next] = rate.admit(settings, machine, at, 1)
      waits.push(wait)
      machine = next
    }
    assert.deepStrictEqual(waits, [0, 90, 1, 0, 20, 0, 70, 0])
  })

  it("is at rest once nothing of the past matters", () => {
    for (const [name, rest] of [
      ["gcra", 20],
      ["token-bucket", 20],
      ["sliding-log", 100],
      ["fixed-window", 100],
      ["sliding-counter", 200]
    ] as const) {
      const settings = settingsOf(name, { limit: 10, window: 100, burst: 5 })
      assert.isTrue(rate.isAtRest(settings, rate.make(settings), 0), name)
      const used = rate.admit(settings, rate.make(settings), 0, 2)[1]
      assert.isFalse(rate.isAtRest(settings, used, rest - 1), name)
      assert.isTrue(rate.isAtRest(settings, used, rest), name)
      const paused = rate.pauseUntil(rate.make(settings), 50)
      assert.isFalse(rate.isAtRest(settings, paused, 149), name)
      assert.isTrue(rate.isAtRest(settings, paused, 150), name)
    }
  })

  it("has nothing left of a pause that was ended", () => {
    for (const name of names) {
      const settings = settingsOf(name, { limit: 10, window: 100, burst: 10 })
      const machine = rate.admit(settings, rate.make(settings), 0, 3)[1]
      const resumed = rate.resume(rate.pauseUntil(machine, 50))
      assert.strictEqual(rate.available(settings, rate.pauseUntil(machine, 50), 1), 0)
      assert.strictEqual(rate.wait(settings, resumed, 1, 7), 0, name)
      assert.isAtLeast(rate.wait(settings, rate.pauseUntil(machine, 50), 1, 7), 49, name)
    }
  })

  it("keeps calls apart for one window after a pause, and no longer", () => {
    const settings = settingsOf("sliding-log", { limit: 10, window: 100, burst: 10 })
    let machine = rate.pauseUntil(rate.make(settings), 50)
    machine = rate.admit(settings, machine, 50, 1)[1]
    assert.strictEqual(rate.wait(settings, machine, 50, 1), 10)
    machine = rate.admit(settings, machine, 149, 9)[1]
    assert.strictEqual(rate.wait(settings, machine, 149, 1), 1)
    machine = rate.admit(settings, machine, 150, 1)[1]
    assert.strictEqual(rate.wait(settings, machine, 150, 1), 99)
    assert.isUndefined(machine.pause)
  })

  it("counts debt, and waits until it is paid", () => {
    for (const [name, wait] of [
      ["gcra", 60],
      ["token-bucket", 60],
      ["sliding-log", 100],
      ["fixed-window", 100],
      ["sliding-counter", 140]
    ] as const) {
      const settings = settingsOf(name, { limit: 10, window: 100, burst: 10 })
      const machine = rate.take(settings, rate.make(settings), 0, 15)
      assert.strictEqual(rate.used(settings, machine, 0), 15)
      assert.strictEqual(rate.available(settings, machine, 0), 0)
      assert.approximately(rate.wait(settings, machine, 0, 1), wait, 1e-9, name)
    }
  })

  it("keeps the log of a key no longer than its window", () => {
    const settings = settingsOf("sliding-log", { limit: 100, window: 100, burst: 1 })
    let machine = rate.make(settings)
    for (let at = 0; at < 100_000; at++) machine = rate.admit(settings, machine, at, 1)[1]
    const { times } = machine.counted as { readonly times: ReadonlyArray<number> }
    assert.isAtMost(times.length, 400)
    assert.strictEqual(rate.used(settings, machine, 99_999), 100)
  })
})

describe("units that are held", () => {
  it("come back only as far as they are still missing", () => {
    const settings = settingsOf("gcra", { limit: 10, window: 10, burst: 10 })
    const holds = new Holds()
    let machine = rate.take(settings, rate.make(settings), 0, 10)
    const hold = holds.add(0)
    holds.observe(rate.used(settings, machine, 9))
    machine = rate.take(settings, machine, 9, 9)
    holds.observe(rate.used(settings, machine, 9))
    assert.strictEqual(holds.give(hold, 10), 1)
  })

  it("leave in any order", () => {
    const holds = new Holds()
    const [a, b, c] = [holds.add(1), holds.add(2), holds.add(3)]
    holds.remove(b)
    holds.observe(5)
    assert.deepStrictEqual([a.low, b.low, c.low], [5, Infinity, 5])
    holds.remove(c)
    holds.observe(4)
    assert.deepStrictEqual([a.low, c.low], [4, 5])
    holds.remove(a)
    assert.strictEqual(holds.size, 0)
    const d = holds.add(4)
    holds.observe(2)
    assert.strictEqual(d.low, 2)
  })
})
