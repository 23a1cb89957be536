import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import { Account, type Settings } from "../../src/internal/budgetMachine.ts"

const byWindow: Settings = { form: "window", ratio: 0.2, floor: 0, windowMillis: 10_000 }
const inFlight: Settings = { form: "in_flight", ratio: 0.2, floor: 0, windowMillis: 10_000 }

const granted = (account: Account, settings: Settings, now: number, tries = 100) =>
  Array.from({ length: tries }, () => account.reserve(settings, now)).filter(Boolean).length

describe("a budget by window", () => {
  it("grants a share of the calls", () => {
    const account = new Account()
    for (let call = 0; call < 50; call++) account.began(byWindow, call * 10)
    assert.strictEqual(granted(account, byWindow, 500), 10)
    assert.strictEqual(account.tokens(byWindow, 500), 0)
    assert.deepStrictEqual(account.counters(), { calls: 50, granted: 10, refused: 90, returned: 0 })
  })

  it("does not round, so a share of less than one is one", () => {
    const account = new Account()
    assert.strictEqual(granted(account, byWindow, 0), 0)
    account.began(byWindow, 0)
    assert.strictEqual(granted(account, byWindow, 0), 1)
    assert.strictEqual(granted(new Account(), { ...byWindow, floor: 0.5 }, 0), 1)
  })

  it("grants its floor, or the share of the calls if that is more", () => {
    const settings = { ...byWindow, floor: 3 }
    const account = new Account()
    assert.strictEqual(granted(account, settings, 0), 3)
    for (let call = 0; call < 25; call++) account.began(settings, 0)
    assert.strictEqual(granted(account, settings, 0), 2)
  })

  it("forgets after the window, in tenths of it", () => {
    const account = new Account()
    for (let call = 0; call < 10; call++) account.began(byWindow, 999)
    assert.strictEqual(granted(account, byWindow, 999), 2)
    assert.strictEqual(account.max(byWindow), 2)
    assert.isFalse(account.isAtRest(byWindow, 9_999))
    assert.isTrue(account.isAtRest(byWindow, 10_000))
    assert.strictEqual(account.max(byWindow), 0)
  })

  it("takes a repetition that did not happen back, as long as it counts", () => {
    const account = new Account()
    for (let call = 0; call < 5; call++) account.began(byWindow, 0)
    assert.isTrue(account.reserve(byWindow, 0))
    account.settle(byWindow, 0, false)
    assert.strictEqual(account.tokens(byWindow, 0), 1)
    assert.isTrue(account.reserve(byWindow, 5_000))
    account.settle(byWindow, 5_000, true)
    assert.strictEqual(account.used(byWindow), 1)
    assert.isFalse(account.reserve(byWindow, 6_000))
    // Its slice is gone: there is nothing to take back.
    account.settle(byWindow, 5_000, false)
    assert.strictEqual(account.tokens(byWindow, 50_000), 0)
    assert.strictEqual(account.used(byWindow), 0)
  })

  it("takes nothing back from the slice that came in place of its own", () => {
    const settings = { ...byWindow, floor: 5 }
    const account = new Account()
    assert.isTrue(account.reserve(settings, 0))
    assert.isTrue(account.reserve(settings, 10_000))
    account.settle(settings, 0, false)
    assert.strictEqual(account.used(settings), 1)
  })

  it("does not count a call that was refused", () => {
    const account = new Account()
    for (let call = 0; call < 10; call++) account.began(byWindow, 0)
    for (let call = 0; call < 5; call++) account.ended(byWindow, 0, false)
    for (let call = 0; call < 5; call++) account.ended(byWindow, 0, true)
    assert.strictEqual(account.max(byWindow), 1)
    assert.strictEqual(account.counters().calls, 5)
  })

  it("keeps what counts when the window changes, as if it had happened then", () => {
    const account = new Account()
    for (let call = 0; call < 20; call++) account.began(byWindow, 0)
    for (let call = 0; call < 10; call++) account.began(byWindow, 9_000)
    assert.strictEqual(granted(account, byWindow, 9_500, 5), 5)
    const narrower = { ...byWindow, windowMillis: 1_000 }
    assert.strictEqual(account.tokens(narrower, 9_800), 1)
    assert.deepStrictEqual([account.used(narrower), account.max(narrower)], [5, 6])
    assert.strictEqual(account.tokens(narrower, 10_700), 1)
    assert.isTrue(account.isAtRest(narrower, 10_800))
  })

  it("leaves behind what was out of the window when it changed", () => {
    const account = new Account()
    for (let call = 0; call < 10; call++) account.began(byWindow, 0)
    for (let call = 0; call < 5; call++) account.began(byWindow, 5_000)
    assert.strictEqual(account.tokens({ ...byWindow, windowMillis: 60_000 }, 12_000), 1)
  })

  it("takes back what was counted before the window changed, once and only if it was kept", () => {
    const settings = { ...byWindow, floor: 10 }
    const wider = { ...settings, windowMillis: 60_000 }
    const account = new Account()
    for (const at of [0, 9_000, 9_500]) assert.isTrue(account.reserve(settings, at))
    // Not looked at since the change: it counts where it was.
    account.settle(wider, 9_500, false)
    assert.strictEqual(account.tokens(wider, 12_000), 9)
    account.settle(wider, 0, false)
    assert.strictEqual(account.used(wider), 1)
    account.settle(wider, 9_000, false)
    account.settle(wider, 9_000, false)
    assert.strictEqual(account.used(wider), 0)
  })

  it("takes back what went over twice", () => {
    const settings = { ...byWindow, floor: 10 }
    const account = new Account()
    assert.isTrue(account.reserve(settings, 0))
    const [wider, wide] = [60_000, 30_000].map((windowMillis) => ({ ...settings, windowMillis }))
    assert.strictEqual(account.tokens(wider!, 5_000), 9)
    assert.strictEqual(account.tokens(wide!, 50_000), 9)
    account.settle(wide!, 0, false)
    assert.strictEqual(account.tokens(wide!, 79_000), 10)
  })
})

describe("a budget by what is in flight", () => {
  it("grants a share of the attempts and repetitions", () => {
    const account = new Account()
    for (let call = 0; call < 10; call++) account.began(inFlight, 0)
    // 0 < 2.0, 1 < 2.2, 2 < 2.4 and not 3 < 2.6
    assert.strictEqual(granted(account, inFlight, 0), 3)
  })

  it("grants again as soon as a repetition has ended", () => {
    const settings = { ...inFlight, floor: 1 }
    const account = new Account()
    assert.strictEqual(granted(account, settings, 0), 1)
    account.settle(settings, 0, true)
    assert.strictEqual(granted(account, settings, 0), 1)
    account.settle(settings, 0, false)
    assert.isTrue(account.isAtRest(settings, 0))
    assert.strictEqual(account.counters().returned, 1)
  })

  it("counts attempts until they end", () => {
    const account = new Account()
    for (let call = 0; call < 10; call++) account.began(inFlight, 0)
    for (let call = 0; call < 10; call++) account.ended(inFlight, 0, true)
    assert.strictEqual(granted(account, inFlight, 0), 0)
    assert.isTrue(account.isAtRest(inFlight, 0))
  })
})

const Step = Schema.Struct({
  kind: Schema.Literals(["call", "call", "call", "refused", "reserve", "reserve", "happened", "returned", "wait"]),
  pick: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 10_000 }))
})

describe("every run of a budget", () => {
  for (const form of ["window", "in_flight"] as const) {
    it.prop(
      `by ${form} agrees with lists, keeps its tokens in bounds, and balances`,
      [Arbitrary.array(Arbitrary.schema(Step), { minLength: 40, maxLength: 120 }), Schema.Literals([0, 0.5, 2])],
      ([steps, floor]) => {
        const settings: Settings = { form, ratio: 0.3, floor, windowMillis: 1_000 }
        const account = new Account()
        let now = 0
        let calls: Array<number> = []
        let open: Array<number> = []
        let repeats: Array<number> = []
        const counted = { granted: 0, refused: 0, returned: 0, happened: 0 }
        const within = (at: number) => Math.floor(at / 100) > Math.floor(now / 100) - 10
        for (const { kind, pick } of steps) {
          const usedNow = form === "window" ? repeats.filter(within).length : open.length
          const callsNow = form === "window" ? calls.filter(within).length : calls.length + open.length
          const max = Math.max(floor, 0.3 * callsNow)
          if (kind === "wait") now += pick % 400
          else if (kind === "call") {
            account.began(settings, now)
            calls.push(now)
          } else if (kind === "refused" && calls.length > 0) {
            const at = calls[pick % calls.length]!
            account.ended(settings, at, false)
            calls = calls.toSpliced(pick % calls.length, 1)
          } else if (kind === "reserve") {
            const isGranted = account.reserve(settings, now)
            assert.strictEqual(isGranted, usedNow < max)
            if (isGranted) {
              counted.granted++
              open.push(now)
              repeats.push(now)
            } else counted.refused++
          } else if ((kind === "happened" || kind === "returned") && open.length > 0) {
            const at = open[pick % open.length]!
            account.settle(settings, at, kind === "happened")
            open = open.toSpliced(pick % open.length, 1)
            if (kind === "happened") counted.happened++
            else {
              counted.returned++
              repeats = repeats.toSpliced(repeats.indexOf(at), 1)
            }
          }
          const tokens = account.tokens(settings, now)
          assert.isAtLeast(tokens, 0)
          assert.isAtMost(tokens, account.max(settings))
        }
        const { granted, refused, returned } = account.counters()
        assert.deepStrictEqual(
          { granted, refused, returned },
          {
            granted: counted.granted,
            refused: counted.refused,
            returned: counted.returned
          }
        )
        assert.strictEqual(granted - returned - counted.happened, open.length)
      }
    )
  }
})
