import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as tripPolicy from "../../src/internal/tripPolicy.ts"
import * as window from "../../src/internal/tripWindow.ts"

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const rate = (
  span: window.Span,
  options: { rate?: number; minimumCalls?: number; slowMillis?: number } = {}
): window.Rate => ({
  _tag: "Rate",
  slowMillis: options.slowMillis,
  rate: options.rate ?? 0.5,
  minimumCalls: options.minimumCalls ?? 1,
  span
})
const last = (size: number): window.Span => ({ _tag: "Count", size })
const within = (millis: number, buckets: number): window.Span => ({ _tag: "Time", millis, buckets })
const policy = (...rules: ReadonlyArray<window.Rule>): window.Windowed => window.windowed(rules)

interface Outcome {
  readonly at: number
  readonly failed: boolean
}

/** Records outcomes one after another and looks at the figures after each of them. */
const record = (
  policy: window.Windowed,
  outcomes: ReadonlyArray<Outcome>,
  onStep: (figure: tripPolicy.Figure, index: number, self: window.Window) => void
): window.Window =>
  outcomes.reduce((self, { at, failed }, index) => {
    const next = window.observe(self, at, failed, undefined)
    onStep(window.figures(next, at)[0]!, index, next)
    return next
  }, window.make(policy))

const figureOf = (outcomes: ReadonlyArray<Outcome>): tripPolicy.Figure => ({
  calls: outcomes.length,
  counted: outcomes.filter(({ failed }) => failed).length
})

const outcomes = Arbitrary.map(
  Arbitrary.array(Arbitrary.schema(Schema.Struct({ after: between(0, 40), failed: Schema.Boolean })), {
    maxLength: 40
  }),
  (steps) => {
    let at = 0
    return steps.map(({ after, failed }): Outcome => ({ at: (at += after), failed }))
  }
)

describe("tripWindow", () => {
  it.prop(
    "counts the last calls as a list does",
    { outcomes, size: between(1, 36) },
    ({ outcomes, size }) => {
      record(policy(rate(last(size))), outcomes, (figure, index) => {
        assert.deepStrictEqual({ ...figure }, figureOf(outcomes.slice(Math.max(0, index + 1 - size), index + 1)))
      })
    },
    { arbitrary: { runs: 10_000, size: 40 }, timeout: 60_000 }
  )

  it.prop(
    "ignores a success where recording one changes nothing",
    { outcomes, size: between(1, 12), hasTime: Schema.Boolean, count: between(1, 3) },
    ({ count, hasTime, outcomes, size }) => {
      const streak: window.Rule = { _tag: "Streak", failures: 100 }
      const some: window.Rule = { _tag: "FailuresIn", count, millis: 50 }
      for (const rules of [[rate(last(size))], [streak, some], [some], [some, streak, rate(last(size))]]) {
        const self = policy(...rules, ...(hasTime ? [rate(within(100, 10))] : []))
        assert.isFalse(self.ignoresSuccess(tripPolicy.empty))
        assert.isFalse(policy(...rules).ignoresSuccess(window.make(self)))
        record(self, outcomes, (_, index, reached) => {
          const after = window.observe(reached, outcomes[index]!.at + 1, false, undefined)
          assert.strictEqual(self.ignoresSuccess(reached), after === reached)
        })
      }
    },
    { arbitrary: { runs: 2_000, size: 40 } }
  )

  it.prop(
    "counts the calls of a time as a list does that moves on in parts, from the first call on",
    { outcomes, buckets: between(1, 12), part: between(1, 20), later: between(0, 300) },
    ({ buckets, later, outcomes, part }) => {
      const millis = buckets * part
      const rule = policy(rate(within(millis, buckets)))
      // Parts begin with the first call, and anew with the first after the window ran empty.
      let since = 0
      let newest = -Infinity
      let kept: ReadonlyArray<Outcome & { readonly bucket: number }> = []
      const bucketAt = (at: number) => Math.floor((at - since) / part)
      const last = record(rule, outcomes, (figure, index) => {
        const { at, failed } = outcomes[index]!
        if (kept.length === 0 || bucketAt(at) - newest >= buckets) {
          since = at
          kept = []
        }
        newest = bucketAt(at)
        kept = [...kept, { at, failed, bucket: newest }].filter(({ bucket }) => bucket > newest - buckets)
        assert.deepStrictEqual({ ...figure }, figureOf(kept))
        // Never anything as old as the window, and everything younger than the window less one part.
        for (const each of kept) assert.isBelow(at - each.at, millis)
        const young = outcomes.slice(0, index + 1).filter((each) => at - each.at <= millis - part)
        assert.isAtLeast(figure.calls, young.length)
      })
      const end = (outcomes.at(-1)?.at ?? 0) + later
      const left = kept.filter(({ bucket }) => bucket > bucketAt(end) - buckets)
      assert.deepStrictEqual({ ...window.figures(last, end)[0]! }, figureOf(left))
      if (outcomes.every(({ at }) => end - at >= millis)) assert.deepStrictEqual(left, [])
    },
    { arbitrary: { runs: 10_000, size: 40 }, timeout: 60_000 }
  )

  it.prop(
    "counts the failures of a time as a list does, exactly, and trips when there are enough",
    { outcomes, count: between(1, 8), millis: between(1, 200), later: between(0, 300) },
    ({ count, later, millis, outcomes }) => {
      const rule = policy({ _tag: "FailuresIn", count, millis })
      const young = (until: number, now: number) =>
        outcomes.slice(0, until).filter(({ at, failed }) => failed && now - at < millis).length
      const last = record(rule, outcomes, (figure, index, self) => {
        const { at } = outcomes[index]!
        assert.strictEqual(figure.counted, Math.min(young(index + 1, at), count))
        assert.strictEqual(window.trips(self, at) !== undefined, young(index + 1, at) >= count)
      })
      const end = (outcomes.at(-1)?.at ?? 0) + later
      assert.strictEqual(tripPolicy.counted(last, end), Math.min(young(outcomes.length, end), count))
    },
    { arbitrary: { runs: 10_000, size: 40 }, timeout: 60_000 }
  )

  it.prop(
    "trips at a share that reaches the limit, once there are enough calls",
    { outcomes, size: between(1, 20), minimum: between(1, 20), share: between(1, 20) },
    ({ minimum, outcomes, share, size }) => {
      const minimumCalls = Math.min(minimum, size)
      record(policy(rate(last(size), { rate: share / 20, minimumCalls })), outcomes, (figure, index, self) => {
        const { calls, counted } = figureOf(outcomes.slice(Math.max(0, index + 1 - size), index + 1))
        const expected = calls >= minimumCalls && 20 * counted >= share * calls
        assert.strictEqual(window.trips(self, outcomes[index]!.at) !== undefined, expected)
      })
    },
    { arbitrary: { runs: 10_000, size: 40 }, timeout: 60_000 }
  )

  it.prop(
    "counts slow calls, ended and in flight, as a list of calls does",
    {
      steps: Arbitrary.array(
        Arbitrary.schema(
          Schema.Struct({
            after: between(0, 30),
            what: Schema.Literals(["start", "start", "end", "fail", "ignore", "look"]),
            call: between(0, 9)
          })
        ),
        { maxLength: 40 }
      ),
      limits: Schema.Struct({ first: between(1, 60), second: between(1, 60), size: between(1, 12) })
    },
    ({ limits: { first, second, size }, steps }) => {
      let self = window.make(
        policy(
          rate(last(size), { slowMillis: first }),
          { _tag: "Streak", failures: 100 },
          rate(last(size), { slowMillis: second })
        )
      )
      const running: Array<{ readonly at: number; readonly start: ReturnType<typeof window.started> }> = []
      const ended: Array<number> = []
      let now = 0
      for (const { after, call, what } of steps) {
        now += after
        if (what === "start") running.push({ at: now, start: window.started(self, now) })
        else if (what !== "look" && running.length > 0) {
          const [{ at, start } = { at: 0, start: undefined }] = running.splice(call % running.length, 1)
          if (what === "ignore") tripPolicy.gone(self, start)
          else {
            self = window.observe(self, now, what === "fail", start)
            ended.push(now - at)
          }
        }
        const [one, , two] = window.figures(self, now)
        for (const [figure, limit] of [
          [one!, first],
          [two!, second]
        ] as const) {
          const recent = ended.slice(-size)
          const overdue = running.filter(({ at }) => now - at >= limit).length
          assert.deepStrictEqual(
            { ...figure },
            { calls: recent.length + overdue, counted: recent.filter((took) => took >= limit).length + overdue }
          )
        }
        const isOverdue = running.some(({ at }) => now - at >= Math.min(first, second))
        if (!isOverdue && ended.length === 0) assert.isUndefined(window.tripsByAge(self, now))
      }
    },
    { arbitrary: { runs: 10_000, size: 40 }, timeout: 60_000 }
  )

  it("takes a call for slow at the very threshold, and for gone at the very age of the window", () => {
    const slow = window.make(policy(rate(last(5), { slowMillis: 100 })))
    const start = window.started(slow, 0)
    assert.isUndefined(window.tripsByAge(slow, 99))
    assert.deepStrictEqual(window.tripsByAge(slow, 100), { calls: 1, counted: 1, because: "slow_calls" })
    assert.strictEqual(tripPolicy.counted(window.observe(slow, 100, false, start), 100), 1)

    const timed = window.observe(window.make(policy(rate(within(100, 3)))), 0, true, undefined)
    assert.strictEqual(tripPolicy.counted(timed, 99.999), 1)
    assert.strictEqual(tripPolicy.counted(timed, 100), 0)
    const failures = window.observe(
      window.make(policy({ _tag: "FailuresIn", count: 2, millis: 100 })),
      0,
      true,
      undefined
    )
    assert.strictEqual(tripPolicy.counted(failures, 99.999), 1)
    assert.strictEqual(tripPolicy.counted(failures, 100), 0)
  })

  it("says by the first rule that trips why", () => {
    const any = policy({ _tag: "Streak", failures: 2 }, rate(last(4), { slowMillis: 10 }), rate(last(4)))
    const once = window.observe(window.make(any), 0, true, undefined)
    assert.deepStrictEqual(window.trips(once, 0), { calls: 1, counted: 1, because: "failures" })
    const slow = window.make(any)
    const after = window.observe(slow, 10, false, window.started(slow, 0))
    assert.deepStrictEqual(window.trips(after, 10), { calls: 1, counted: 1, because: "slow_calls" })
  })

  it("goes on under a policy that says the same, and begins anew under another", () => {
    const failed = window.observe(window.make(policy(rate(last(5)))), 0, true, undefined)
    assert.strictEqual(tripPolicy.counted(window.under(policy(rate(last(5))), failed), 0), 1)
    assert.strictEqual(tripPolicy.counted(window.under(policy(rate(last(6))), failed), 0), 0)
    assert.strictEqual(tripPolicy.counted(window.under(policy(rate(last(5))), 3), 0), 0)
  })

  it("is clean when nothing in it speaks against the dependency, and nothing whose age matters is in flight", () => {
    const fresh = window.make(policy(rate(within(100, 2), { slowMillis: 10 })))
    assert.isTrue(tripPolicy.isClean(fresh, 0))
    const start = window.started(fresh, 0)
    assert.isFalse(tripPolicy.isClean(fresh, 0))
    const slow = window.observe(fresh, 10, false, start)
    assert.isFalse(tripPolicy.isClean(slow, 10))
    assert.isTrue(tripPolicy.isClean(slow, 110))
    assert.isTrue(tripPolicy.isClean(window.observe(fresh, 0, false, undefined), 0))
  })

  it("does not mind a start of another list", () => {
    const one = window.make(policy(rate(last(5), { slowMillis: 10 })))
    const other = window.make(policy(rate(last(5), { slowMillis: 10 })))
    const start = window.started(one, 0)
    window.started(other, 0)
    assert.strictEqual(tripPolicy.counted(window.observe(other, 20, false, start), 20), 2)
  })
})
