import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import type * as circuit from "../../src/internal/circuit.ts"
import * as machine from "../../src/internal/circuitMachine.ts"
import * as circuitOverrides from "../../src/internal/circuitOverrides.ts"
import { consecutive } from "../../src/internal/tripPolicy.ts"
import { windowed } from "../../src/internal/tripWindow.ts"

const settings: circuit.Settings = {
  tripPolicy: consecutive(2),
  openMillis: () => 500,
  probes: 1,
  successThreshold: 1,
  probeMillis: 100,
  maxRetryAfterMillis: 3_600_000,
  rampMillis: 0
}

type Outcome = "Success" | "Failure" | "Ignored"
type Step = { readonly at: number } & (
  | { readonly admit: string; readonly draw?: number }
  | { readonly end: string; readonly as: Outcome; readonly retryAfter?: number }
  | { readonly isolate: number; readonly mode?: circuit.Mode }
  | { readonly release: circuit.Mode }
  | { readonly trip: number | undefined }
  | { readonly close: "keep" | "forget" }
  | { readonly look: true }
)

const admit = (at: number, call: string): Step => ({ at, admit: call })
const success = (at: number, call: string): Step => ({ at, end: call, as: "Success" })
const failure = (at: number, call: string): Step => ({ at, end: call, as: "Failure" })
const ignored = (at: number, call: string): Step => ({ at, end: call, as: "Ignored" })
const isolate = (at: number, until: number): Step => ({ at, isolate: until })
const trip = (at: number, openMillis?: number): Step => ({ at, trip: openMillis })
const close = (at: number): Step => ({ at, close: "keep" })
const reset = (at: number): Step => ({ at, close: "forget" })
const look = (at: number): Step => ({ at, look: true })

const tell = (move: circuit.Move): string => {
  const head = `${move.version} ${move.from} ${move._tag}`
  switch (move._tag) {
    case "Opened":
      return `${head} ${move.because} ${move.failures} for ${move.openMillis}`
    case "Closed":
      return `${head} ${move.because}`
    case "OverrideEnded":
      return `${head} ${move.mode} to ${move.to}`
    case "Overridden":
      return `${head} ${move.mode}`
    case "ProbeLapsed":
      return `${head} overdue ${move.overdueMillis}`
    case "HalfOpened":
      return head
  }
}

/** Plays a story against the machine: no clock, no fiber, no layer. One line for each step. */
const play = (settings: circuit.Settings, steps: ReadonlyArray<Step>) => {
  let self = machine.make(0)
  const tokens = new Map<string, circuit.Token>()
  const lines: Array<string> = []
  const moves: Array<circuit.Move> = []
  for (const step of steps) {
    const [line, moved, next] = take(settings, self, step, tokens)
    self = next
    moves.push(...moved)
    lines.push([line, ...moved.map(tell)].filter((text) => text !== "").join(" | "))
  }
  return { lines, moves, self, state: machine.state(self) }
}

const take = (
  settings: circuit.Settings,
  self: circuit.Machine,
  step: Step,
  tokens: Map<string, circuit.Token>
): circuit.Step<string> => {
  if ("admit" in step) {
    const [admission, moves, next] = machine.admit(settings, self, step.at, step.draw)
    switch (admission._tag) {
      case "Admitted":
        tokens.set(step.admit, admission.token)
        return [`${step.admit} admitted`, moves, next]
      case "Rejected":
        return [`${step.admit} rejected ${admission.state} ${admission.retryAfterMillis}`, moves, next]
      case "Isolated":
        return [`${step.admit} isolated ${admission.retryAfterMillis}`, moves, next]
    }
  }
  if ("end" in step) {
    const token = tokens.get(step.end)!
    const [recorded, moves, next] = machine.record(settings, self, step.at, token, step.as, step.retryAfter)
    return [`${step.end} ${recorded}`, moves, next]
  }
  if ("isolate" in step) {
    const { isolate: until, mode = "isolated" } = step
    const [, moves, next] = circuitOverrides.override(settings, self, step.at, {
      mode,
      reason: "maintenance",
      actor: undefined,
      until
    })
    return ["", moves, next]
  }
  if ("release" in step) {
    const [, moves, next] = circuitOverrides.release(settings, self, step.at, step.release, undefined)
    return ["", moves, next]
  }
  if ("trip" in step) {
    const [, moves, next] = machine.trip(settings, self, step.at, { openMillis: step.trip })
    return ["", moves, next]
  }
  if ("close" in step) {
    const [, moves, next] = machine.close(settings, self, step.at, { forget: step.close === "forget" })
    return ["", moves, next]
  }
  const [moves, next] = machine.advance(settings, self, step.at)
  return ["", moves, next]
}

/** Calls that are admitted and end at one instant, until the circuit opens at `at`. */
const failing = (at: number, threshold = 2): ReadonlyArray<Step> =>
  Array.from({ length: threshold }, (_, i) => [admit(at, `f${i}`), failure(at, `f${i}`)]).flat()

describe("circuitMachine", () => {
  describe("closed", () => {
    it("opens when the threshold is reached, not before", () => {
      assert.deepStrictEqual(
        play({ ...settings, tripPolicy: consecutive(3) }, [
          admit(0, "a"),
          failure(1, "a"),
          admit(2, "b"),
          failure(3, "b"),
          admit(4, "c"),
          failure(5, "c"),
          admit(6, "d")
        ]).lines,
        [
          "a admitted",
          "a counted",
          "b admitted",
          "b counted",
          "c admitted",
          "c counted | 1 closed Opened failures 3 for 500",
          "d rejected open 499"
        ]
      )
    })

    it("counts failures in the order of completion, not of admission", () => {
      const inOrder = [admit(0, "a"), admit(1, "b"), admit(2, "c")]
      assert.strictEqual(
        play(settings, [...inOrder, failure(3, "a"), success(4, "b"), failure(5, "c")]).state,
        "closed"
      )
      assert.strictEqual(play(settings, [...inOrder, success(3, "b"), failure(4, "a"), failure(5, "c")]).state, "open")
    })

    it("forgets failures at a success", () => {
      assert.deepStrictEqual(
        play(settings, [admit(0, "a"), failure(0, "a"), admit(1, "b"), success(1, "b"), admit(2, "c"), failure(2, "c")])
          .moves,
        []
      )
    })

    it("neither counts nor forgets at an ignored outcome", () => {
      const story = [admit(0, "a"), failure(0, "a"), admit(1, "b"), ignored(1, "b"), admit(2, "c")]
      assert.strictEqual(play(settings, story).state, "closed")
      assert.strictEqual(play(settings, [...story, failure(2, "c")]).state, "open")
      assert.strictEqual(play(settings, [...story, ignored(2, "c")]).state, "closed")
    })

    it("takes the outcomes of calls that ran when it opened for stale", () => {
      assert.deepStrictEqual(
        play(settings, [admit(0, "late"), admit(0, "later"), ...failing(1), failure(2, "late"), success(3, "later")])
          .lines,
        [
          "late admitted",
          "later admitted",
          "f0 admitted",
          "f0 counted",
          "f1 admitted",
          "f1 counted | 1 closed Opened failures 2 for 500",
          "late stale",
          "later stale"
        ]
      )
    })
  })

  describe("open", () => {
    it("admits nothing before the open time is over, and the first call at or after it", () => {
      assert.deepStrictEqual(
        play(settings, [...failing(7), admit(7, "a"), admit(506.999, "b"), admit(507, "c")]).lines.slice(4),
        ["a rejected open 500", `b rejected open ${507 - 506.999}`, "c admitted | 2 open HalfOpened"]
      )
      assert.strictEqual(play(settings, [...failing(7), admit(100_000, "late")]).state, "half_open")
    })

    it("stays open while nobody calls, however much time passes", () => {
      assert.strictEqual(play(settings, [...failing(0), look(100_000)]).state, "open")
    })
  })

  describe("half-open", () => {
    for (let probes = 1; probes <= 5; probes++) {
      for (let successThreshold = 1; successThreshold <= probes; successThreshold++) {
        const k = probes
        const m = successThreshold
        const halfOpen = { ...settings, probes: k, successThreshold: m }

        it(`lets ${k} probes through and no more, until one of them ends`, () => {
          const steps = Array.from({ length: k + 1 }, (_, i) => admit(500 + i, `p${i}`))
          assert.deepStrictEqual(play(halfOpen, [...failing(0), ...steps]).lines.slice(4), [
            "p0 admitted | 2 open HalfOpened",
            ...Array.from({ length: k - 1 }, (_, i) => `p${i + 1} admitted`),
            // The oldest probe has to answer by 600.
            `p${k} rejected half_open ${100 - k}`
          ])
        })

        it(`closes at success ${m} and reopens at failure ${k - m + 1} of ${k}, whatever their order`, () => {
          // Every order of outcomes: bit i says whether probe i succeeds.
          for (let bits = 0; bits < 2 ** k; bits++) {
            const outcomes = Array.from({ length: k }, (_, i) => (bits >> i) & 1)
            const admitted = outcomes.map((_, i) => admit(500, `p${i}`))
            let succeeded = 0
            let failed = 0
            let expected = "half_open"
            for (let i = 0; i < k; i++) {
              const before = expected
              if (outcomes[i] === 1) succeeded++
              else failed++
              if (before === "half_open") {
                if (succeeded === m) expected = "closed"
                else if (failed === k - m + 1) expected = "open"
              }
              const ends = outcomes
                .slice(0, i + 1)
                .map((ok, j) => (ok === 1 ? success(501 + j, `p${j}`) : failure(501 + j, `p${j}`)))
              const { lines, state } = play(halfOpen, [...failing(0), ...admitted, ...ends])
              assert.strictEqual(state, expected)
              // What comes after the verdict changes nothing.
              assert.strictEqual(lines.at(-1)!.includes("stale"), before !== "half_open")
            }
            assert.notStrictEqual(expected, "half_open")
          }
        })
      }
    }

    it("gives an ignored probe's place back", () => {
      assert.deepStrictEqual(
        play(settings, [
          ...failing(0),
          admit(500, "a"),
          admit(510, "b"),
          ignored(520, "a"),
          admit(530, "c"),
          success(540, "c")
        ]).lines.slice(4),
        [
          "a admitted | 2 open HalfOpened",
          "b rejected half_open 90",
          "a counted",
          "c admitted",
          "c counted | 3 half_open Closed probes_succeeded"
        ]
      )
    })

    it("does not give back the place of a probe that failed or succeeded", () => {
      const three = { ...settings, probes: 3, successThreshold: 2 }
      assert.deepStrictEqual(
        play(three, [
          ...failing(0),
          admit(500, "a"),
          admit(500, "b"),
          failure(510, "a"),
          success(510, "b"),
          admit(520, "c"),
          admit(520, "d")
        ]).lines.slice(-2),
        ["c admitted", "d rejected half_open 100"]
      )
    })

    it("counts a probe that lapsed as failed, at its deadline", () => {
      assert.deepStrictEqual(play(settings, [...failing(0), admit(500, "a"), look(599), look(600)]).lines.slice(-2), [
        "",
        "3 half_open ProbeLapsed overdue 0 | 4 half_open Opened probe_lapsed 1 for 500"
      ])
      // Seen late, it is dated at the deadline: the open time is over at 600 + 500.
      const seenLate = [...failing(0), admit(500, "a"), admit(1_099, "b")]
      assert.deepStrictEqual(play(settings, seenLate).lines.slice(-1), [
        "b rejected open 1 | 3 half_open ProbeLapsed overdue 499 | 4 half_open Opened probe_lapsed 1 for 500"
      ])
      assert.deepStrictEqual(play(settings, [...failing(0), admit(500, "a"), admit(1_100, "b")]).lines.slice(-1), [
        "b admitted | 3 half_open ProbeLapsed overdue 500 | 4 half_open Opened probe_lapsed 1 for 500 | 5 open HalfOpened"
      ])
    })

    it("takes an outcome at the very instant of the deadline for late", () => {
      assert.deepStrictEqual(play(settings, [...failing(0), admit(500, "a"), success(600, "a")]).lines.slice(-1), [
        "a stale | 3 half_open ProbeLapsed overdue 0 | 4 half_open Opened probe_lapsed 1 for 500"
      ])
      assert.strictEqual(play(settings, [...failing(0), admit(500, "a"), success(599.999, "a")]).state, "closed")
    })

    it("takes a lapsed probe's late outcome for stale while the verdict is still open", () => {
      const three = { ...settings, probes: 3, successThreshold: 2 }
      assert.deepStrictEqual(
        play(three, [
          ...failing(0),
          admit(500, "a"),
          admit(550, "b"),
          look(600),
          success(610, "a"),
          success(620, "b"),
          admit(630, "c"),
          success(640, "c")
        ]).lines.slice(4),
        [
          "a admitted | 2 open HalfOpened",
          "b admitted",
          "3 half_open ProbeLapsed overdue 0",
          "a stale",
          "b counted",
          "c admitted",
          "c counted | 4 half_open Closed probes_succeeded"
        ]
      )
    })

    it("lapses probes one by one, each at its own deadline", () => {
      const two = { ...settings, probes: 2, successThreshold: 1 }
      assert.deepStrictEqual(play(two, [...failing(0), admit(500, "a"), admit(540, "b"), look(700)]).lines.slice(-1), [
        "3 half_open ProbeLapsed overdue 100 | 4 half_open ProbeLapsed overdue 60 | 5 half_open Opened probe_lapsed 2 for 500"
      ])
    })

    it("lapses no probe after the one that decided", () => {
      const two = { ...settings, probes: 2, successThreshold: 2 }
      assert.deepStrictEqual(
        play(two, [...failing(0), admit(500, "a"), admit(510, "b"), look(700), success(710, "b")]).lines.slice(-2),
        ["3 half_open ProbeLapsed overdue 100 | 4 half_open Opened probe_lapsed 1 for 500", "b stale"]
      )
    })

    for (const [openMillis, probeMillis] of [
      [1, 10_000],
      [9_999, 10_000],
      [10_000, 10_000],
      [30_000, 30_000],
      [60_000, 60_000],
      [60_001, 60_000],
      [86_400_000, 60_000]
    ] as const) {
      it(`gives a probe ${probeMillis} ms by default when the open time is ${openMillis} ms`, () => {
        const byDefault = { ...settings, openMillis: () => openMillis, probeMillis: undefined }
        const story = [...failing(0), admit(openMillis, "a")]
        assert.strictEqual(play(byDefault, [...story, look(openMillis + probeMillis - 1)]).state, "half_open")
        assert.strictEqual(play(byDefault, [...story, look(openMillis + probeMillis)]).state, "open")
      })
    }

    it("gives a probe the grown open time by default", () => {
      const growing = { ...settings, openMillis: (opening: number) => opening * 20_000, probeMillis: undefined }
      const story = [...failing(0), admit(20_000, "a"), failure(20_000, "a"), admit(60_000, "b")]
      assert.strictEqual(play(growing, [...story, look(99_999)]).state, "half_open")
      assert.strictEqual(play(growing, [...story, look(100_000)]).state, "open")
    })
  })

  describe("the backoff", () => {
    const growing = { ...settings, openMillis: (opening: number) => opening * 100 }
    const openFor = (steps: ReadonlyArray<Step>): ReadonlyArray<number> =>
      play(growing, steps).moves.flatMap((move) => (move._tag === "Opened" ? [move.openMillis] : []))

    it("grows while probes fail", () => {
      assert.deepStrictEqual(
        openFor([...failing(0), admit(100, "a"), failure(100, "a"), admit(300, "b"), failure(300, "b")]),
        [100, 200, 300]
      )
    })

    it("is remembered when the circuit stayed closed for less than it was open, and forgotten when as long", () => {
      const closedAgain = [...failing(0), admit(100, "a"), failure(100, "a"), admit(300, "b"), success(310, "b")]
      assert.deepStrictEqual(openFor([...closedAgain, ...failing(509)]), [100, 200, 300])
      assert.deepStrictEqual(openFor([...closedAgain, ...failing(510)]), [100, 200, 100])
    })

    it("is remembered when an operator closes, and forgotten when one resets", () => {
      const reopened = [...failing(0), admit(100, "a"), failure(100, "a")]
      assert.deepStrictEqual(openFor([...reopened, close(110), ...failing(120)]), [100, 200, 300])
      assert.deepStrictEqual(openFor([...reopened, reset(110), ...failing(120)]), [100, 200, 100])
      // A reset of a closed circuit forgets too.
      assert.deepStrictEqual(openFor([...reopened, close(110), reset(115), ...failing(120)]), [100, 200, 100])
    })
  })

  describe("an operator", () => {
    it("closes from open and half-open, with a fresh count, and leaves a closed circuit's version alone", () => {
      assert.deepStrictEqual(
        play(settings, [...failing(0), close(10), admit(11, "a"), failure(11, "a")]).lines.slice(4),
        ["2 open Closed operator", "a admitted", "a counted"]
      )
      assert.deepStrictEqual(
        play(settings, [...failing(0), admit(500, "a"), close(510), failure(520, "a")]).lines.slice(5),
        ["3 half_open Closed operator", "a stale"]
      )
      assert.deepStrictEqual(
        play(settings, [admit(0, "a"), failure(0, "a"), close(1), admit(2, "b"), failure(2, "b")]).moves,
        []
      )
    })

    it("trips a closed circuit, which probes after its open time", () => {
      assert.deepStrictEqual(
        play(settings, [admit(0, "a"), trip(10), failure(20, "a"), admit(509, "b"), admit(510, "c"), success(520, "c")])
          .lines,
        [
          "a admitted",
          "1 closed Opened operator 0 for 500",
          "a stale",
          "b rejected open 1",
          "c admitted | 2 open HalfOpened",
          "c counted | 3 half_open Closed probes_succeeded"
        ]
      )
    })

    it("trips for as long as told, also a circuit that is open or half-open", () => {
      assert.deepStrictEqual(
        play(settings, [...failing(0), trip(100, 1_000), admit(1_099, "a"), admit(1_100, "b")]).lines.slice(4),
        ["2 open Opened operator 2 for 1000", "a rejected open 1", "b admitted | 3 open HalfOpened"]
      )
      assert.deepStrictEqual(
        play(settings, [...failing(0), admit(500, "a"), trip(510), success(520, "a"), admit(1_009, "b")]).lines.slice(
          5
        ),
        ["3 half_open Opened operator 0 for 500", "a stale", "b rejected open 1"]
      )
    })

    it("trips underneath an isolation, which stays", () => {
      assert.deepStrictEqual(
        play(settings, [isolate(0, 100), trip(10), admit(20, "a"), admit(100, "b"), admit(510, "c")]).lines.slice(1),
        [
          "2 isolated Opened operator 0 for 500",
          "a isolated 80",
          "b rejected open 410 | 3 isolated OverrideEnded isolated to open",
          "c admitted | 4 open HalfOpened"
        ]
      )
    })

    it("does not make open times grow by tripping", () => {
      const growing = { ...settings, openMillis: (opening: number) => 100 * 2 ** (opening - 1) }
      assert.deepStrictEqual(
        play(growing, [trip(0), trip(1), admit(101, "a"), failure(101, "a"), trip(102, 50)]).moves.map(tell),
        [
          "1 closed Opened operator 0 for 100",
          "2 open Opened operator 0 for 100",
          "3 open HalfOpened",
          "4 half_open Opened probe_failed 1 for 100",
          "5 open Opened operator 1 for 50"
        ]
      )
    })

    it("isolates a closed circuit, whose calls in flight still count", () => {
      assert.deepStrictEqual(
        play(settings, [
          admit(0, "a"),
          admit(0, "b"),
          isolate(10, 1_000),
          admit(20, "c"),
          failure(30, "a"),
          failure(40, "b"),
          admit(539, "d"),
          admit(1_000, "e")
        ]).lines,
        [
          "a admitted",
          "b admitted",
          "1 closed Overridden isolated",
          "c isolated 980",
          "a counted",
          "b counted | 2 isolated Opened failures 2 for 500",
          "d isolated 461",
          "e admitted | 3 isolated OverrideEnded isolated to open | 4 open HalfOpened"
        ]
      )
    })

    it("isolates an open circuit, and what is left of the open time counts after it", () => {
      assert.deepStrictEqual(
        play(settings, [...failing(0), isolate(10, 100), admit(99, "a"), admit(100, "b"), admit(500, "c")]).lines.slice(
          4
        ),
        [
          "2 open Overridden isolated",
          "a isolated 1",
          "b rejected open 400 | 3 isolated OverrideEnded isolated to open",
          "c admitted | 4 open HalfOpened"
        ]
      )
    })

    it("isolates a half-open circuit, and its probes go on underneath", () => {
      const story = [...failing(0), admit(500, "a"), isolate(510, 1_000), admit(520, "b")]
      assert.deepStrictEqual(play(settings, [...story, success(530, "a"), admit(1_000, "c")]).lines.slice(5), [
        "3 half_open Overridden isolated",
        "b isolated 480",
        "a counted | 4 isolated Closed probes_succeeded",
        "c admitted | 5 isolated OverrideEnded isolated to closed"
      ])
      assert.deepStrictEqual(play(settings, [...story, look(600), admit(1_100, "c")]).lines.slice(7), [
        "4 isolated ProbeLapsed overdue 0 | 5 isolated Opened probe_lapsed 1 for 500",
        "c admitted | 6 isolated OverrideEnded isolated to open | 7 open HalfOpened"
      ])
    })

    it("isolates for as long as nobody closes when no end is named", () => {
      assert.deepStrictEqual(
        play(settings, [isolate(0, Infinity), admit(1e12, "a"), close(1e12), admit(1e12, "b")]).lines,
        ["1 closed Overridden isolated", "a isolated Infinity", "2 isolated Closed operator", "b admitted"]
      )
    })

    it("replaces an isolation with the next one", () => {
      assert.deepStrictEqual(play(settings, [isolate(0, 100), isolate(10, 50), admit(49, "a"), admit(50, "b")]).lines, [
        "1 closed Overridden isolated",
        "2 isolated Overridden isolated",
        "a isolated 1",
        "b admitted | 3 isolated OverrideEnded isolated to closed"
      ])
    })
  })

  describe("untilProbe", () => {
    const at = (steps: ReadonlyArray<Step>, now: number) => machine.untilProbe(play(settings, steps).self, now)

    it("is 0 while closed, exact while open, and the oldest probe's time while half-open", () => {
      assert.strictEqual(at([], 5), 0)
      assert.strictEqual(at(failing(0), 123), 377)
      assert.strictEqual(at(failing(0), 700), 0)
      assert.strictEqual(at([...failing(0), admit(500, "a")], 530), 70)
      assert.strictEqual(at([...failing(0), admit(500, "a"), ignored(510, "a")], 530), 0)
    })

    it("never passes the open time, however long a probe may take", () => {
      const slow = { ...settings, probeMillis: 60_000 }
      assert.strictEqual(machine.untilProbe(play(slow, [...failing(0), admit(500, "a")]).self, 500), 500)
    })
  })
})

// ---------------------------------------------------------------------------
// The same machine, written once more as slowly as possible.
// ---------------------------------------------------------------------------

interface Plan {
  readonly failures: number
  /** The share of failures that opens the circuit is a half. */
  readonly window: { readonly size: number; readonly minimumCalls: number } | undefined
  readonly probes: number
  readonly successThreshold: number
  readonly openMillis: (opening: number) => number
  readonly probeMillis: number | undefined
}

interface Ended {
  readonly at: number
  readonly outcome: Outcome
}

/** One stay in a state, with everything that happened in it. */
interface Phase {
  readonly state: "closed" | "open" | "half_open"
  readonly since: number
  /** Whether an operator's reset happened in it or at its start. */
  forgot: boolean
  /** Closed: the outcomes since the operator last cleared them. */
  outcomes: Array<Outcome>
  /** Half-open: the probes, with their end. */
  readonly probes: Array<{ readonly deadline: number; lapsed: boolean; ended: Ended | undefined }>
}

/** Remembers all phases and computes every answer from the whole list. */
class Naive {
  readonly plan: Plan
  readonly phases: Array<Phase> = [{ state: "closed", since: 0, forgot: true, outcomes: [], probes: [] }]
  isolatedUntil: number | undefined = undefined
  told: Array<string> = []
  version = 0

  constructor(plan: Plan) {
    this.plan = plan
  }

  get phase(): Phase {
    return this.phases.at(-1)!
  }

  get state(): string {
    return this.isolatedUntil === undefined ? this.phase.state : "isolated"
  }

  /** How many openings in a row there were up to a phase, that one included. */
  opening(index: number): number {
    let openings = 0
    for (let i = 0; i <= index; i++) {
      const phase = this.phases[i]!
      if (phase.forgot) openings = 0
      if (phase.state === "open") openings++
      const next = this.phases[i + 1]
      const lastOpen = this.phases.slice(0, i).findLastIndex(({ state }) => state === "open")
      if (phase.state === "closed" && next?.state === "open" && lastOpen !== -1 && i < index) {
        if (next.since - phase.since >= this.plan.openMillis(this.opening(lastOpen))) openings = 0
      }
    }
    return openings
  }

  get openFor(): number {
    return this.plan.openMillis(this.opening(this.phases.findLastIndex(({ state }) => state === "open")))
  }

  enter(state: Phase["state"], since: number, tag: string, forgot = false): void {
    this.told.push(`${++this.version} ${this.state} ${tag}`)
    this.phases.push({ state, since, forgot, outcomes: [], probes: [] })
  }

  succeeded(): number {
    return this.phase.probes.filter(({ ended }) => ended?.outcome === "Success").length
  }

  failed(): number {
    return this.phase.probes.filter(({ ended, lapsed }) => lapsed || ended?.outcome === "Failure").length
  }

  running() {
    return this.phase.probes.filter(({ ended, lapsed }) => !lapsed && ended === undefined)
  }

  settle(at: number, because: "failed" | "lapsed"): void {
    if (this.phase.state === "closed") {
      const counted = this.phase.outcomes.filter((outcome) => outcome !== "Ignored")
      const { failures, window } = this.plan
      const last = counted.slice(-(window?.size ?? failures))
      const failed = last.filter((outcome) => outcome === "Failure").length
      const isEnough =
        window === undefined ? failed === failures : last.length >= window.minimumCalls && 2 * failed >= last.length
      if (isEnough) this.enter("open", at, "Opened failures")
    } else if (this.phase.state === "half_open") {
      const left = this.plan.probes - this.succeeded() - this.failed()
      if (this.succeeded() >= this.plan.successThreshold) this.enter("closed", at, "Closed probes_succeeded")
      else if (this.succeeded() + left < this.plan.successThreshold) {
        this.enter("open", at, `Opened probe_${because}`)
      }
    }
  }

  passTime(now: number): void {
    for (;;) {
      const due = this.due(now)
      if (this.isolatedUntil !== undefined && this.isolatedUntil <= Math.min(now, due?.deadline ?? now)) {
        this.told.push(`${++this.version} isolated OverrideEnded`)
        this.isolatedUntil = undefined
      } else if (due !== undefined) {
        due.lapsed = true
        this.told.push(`${++this.version} ${this.state} ProbeLapsed`)
        this.settle(due.deadline, "lapsed")
      } else return
    }
  }

  due(now: number) {
    return this.phase.state !== "half_open"
      ? undefined
      : this.running()
          .filter(({ deadline }) => deadline <= now)
          .toSorted((a, b) => a.deadline - b.deadline)[0]
  }

  /** The record of the call, or the time to wait. */
  admit(now: number): { readonly phase: Phase; readonly probe: number } | number {
    this.passTime(now)
    if (this.isolatedUntil !== undefined) return this.isolatedUntil - now
    if (this.phase.state === "open") {
      const until = this.phase.since + this.openFor
      if (now < until) return until - now
      this.enter("half_open", now, "HalfOpened")
    }
    if (this.phase.state === "closed") return { phase: this.phase, probe: -1 }
    if (this.succeeded() + this.failed() + this.running().length >= this.plan.probes) {
      return Math.min(Math.min(...this.running().map(({ deadline }) => deadline)) - now, this.openFor)
    }
    const probeMillis = this.plan.probeMillis ?? Math.max(10_000, Math.min(60_000, this.openFor))
    this.phase.probes.push({ deadline: now + probeMillis, lapsed: false, ended: undefined })
    return { phase: this.phase, probe: this.phase.probes.length - 1 }
  }

  record(now: number, call: { readonly phase: Phase; readonly probe: number }, outcome: Outcome): "counted" | "stale" {
    this.passTime(now)
    if (this.phase !== call.phase) return "stale"
    if (call.probe === -1) this.phase.outcomes.push(outcome)
    else {
      const probe = this.phase.probes[call.probe]!
      if (probe.lapsed) return "stale"
      probe.ended = { at: now, outcome }
    }
    this.settle(now, "failed")
    return "counted"
  }

  isolate(now: number, until: number): void {
    this.passTime(now)
    this.told.push(`${++this.version} ${this.state} Overridden`)
    this.isolatedUntil = until
  }

  close(now: number, forget: boolean): void {
    this.passTime(now)
    if (this.state === "closed") {
      this.phase.outcomes = []
      if (forget) this.phase.forgot = true
      return
    }
    this.enter("closed", now, "Closed operator", forget)
    this.isolatedUntil = undefined
  }
}

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Steps of time in units of 2.5 s, so that sequences often meet a boundary exactly. */
const command = Schema.Union([
  Schema.TaggedStruct("admit", { after: between(0, 4) }),
  Schema.TaggedStruct("admit", { after: between(0, 30) }),
  Schema.TaggedStruct("record", {
    after: between(0, 3),
    call: between(0, 5),
    outcome: Schema.Literals(["Success", "Failure", "Failure", "Ignored"])
  }),
  Schema.TaggedStruct("record", {
    after: between(0, 1),
    call: between(0, 1),
    outcome: Schema.Literals(["Success", "Failure"])
  }),
  Schema.TaggedStruct("look", { after: between(0, 30) }),
  Schema.TaggedStruct("operator", {
    after: between(0, 4),
    what: Schema.Literals(["isolate", "isolate briefly", "close", "reset"])
  })
])

type Command = typeof command.Type

const plan = Schema.Struct({
  failures: between(1, 3),
  window: Schema.UndefinedOr(Schema.Struct({ size: between(1, 6), minimumCalls: between(1, 6) })),
  probes: between(1, 4),
  spare: between(0, 3),
  open: Schema.Literals([5_000, 20_000, 40_000]),
  growth: Schema.Literals([1, 2]),
  probeMillis: Schema.UndefinedOr(Schema.Literals([2_500, 15_000]))
})

const planOf = (input: typeof plan.Type): Plan => ({
  failures: input.failures,
  window: input.window && { ...input.window, minimumCalls: Math.min(input.window.size, input.window.minimumCalls) },
  probes: input.probes,
  successThreshold: Math.max(input.probes - input.spare, 1),
  openMillis: (opening) => Math.min(input.open * input.growth ** (opening - 1), 160_000),
  probeMillis: input.probeMillis
})

const settingsOf = (plan: Plan): circuit.Settings => ({
  tripPolicy:
    plan.window === undefined
      ? consecutive(plan.failures)
      : windowed([
          {
            _tag: "Rate",
            slowMillis: undefined,
            rate: 0.5,
            minimumCalls: plan.window.minimumCalls,
            span: { _tag: "Count", size: plan.window.size }
          }
        ]),
  openMillis: plan.openMillis,
  probes: plan.probes,
  successThreshold: plan.successThreshold,
  probeMillis: plan.probeMillis,
  maxRetryAfterMillis: 3_600_000,
  rampMillis: 0
})

/** Runs commands against the machine. A call is named by how many unfinished ones are older. */
const run = (
  plan: Plan,
  commands: ReadonlyArray<Command>,
  onStep: (step: {
    readonly now: number
    readonly before: circuit.Machine
    readonly after: circuit.Machine
    readonly moves: ReadonlyArray<circuit.Move>
    readonly command: Command
    readonly call: number
    readonly answer: circuit.Admission | circuit.Recorded | undefined
  }) => void
): { readonly now: number; readonly self: circuit.Machine } => {
  const settings = settingsOf(plan)
  const calls: Array<circuit.Token> = []
  const open: Array<number> = []
  let self = machine.make(0)
  let now = 0
  for (const command of commands) {
    now += command.after * 2_500
    const before = self
    let answer: circuit.Admission | circuit.Recorded | undefined
    let call = -1
    let moves: ReadonlyArray<circuit.Move>
    switch (command._tag) {
      case "admit": {
        const [admission, moved, next] = machine.admit(settings, self, now)
        if (admission._tag === "Admitted") {
          call = calls.length
          open.push(call)
          calls.push(admission.token)
        }
        answer = admission
        moves = moved
        self = next
        break
      }
      case "record": {
        const [chosen] = open.splice(command.call % Math.max(open.length, 1), 1)
        if (chosen === undefined) continue
        call = chosen
        const [recorded, moved, next] = machine.record(settings, self, now, calls[chosen]!, command.outcome)
        answer = recorded
        moves = moved
        self = next
        break
      }
      case "look": {
        const [moved, next] = machine.advance(settings, self, now)
        moves = moved
        self = next
        break
      }
      case "operator": {
        const [, moved, next] = command.what.startsWith("isolate")
          ? circuitOverrides.override(settings, self, now, {
              mode: "isolated",
              reason: "why",
              actor: undefined,
              until: command.what === "isolate" ? Infinity : now + 20_000
            })
          : machine.close(settings, self, now, { forget: command.what === "reset" })
        moves = moved
        self = next
        break
      }
    }
    onStep({ now, before, after: self, moves, command, call, answer })
  }
  return { now, self }
}

const legal: Readonly<Record<circuit.Move["_tag"], ReadonlyArray<circuit.State>>> = {
  Opened: ["closed", "half_open", "isolated"],
  HalfOpened: ["open"],
  Closed: ["open", "half_open", "isolated"],
  Overridden: ["closed", "open", "half_open", "isolated"],
  OverrideEnded: ["isolated"],
  ProbeLapsed: ["half_open", "isolated"]
}

const commands = Arbitrary.array(Arbitrary.schema(command), { maxLength: 80 })

describe("circuitMachine, over random sequences", () => {
  it.prop(
    "agrees with a model that remembers everything",
    { input: plan, commands },
    ({ input, commands }) => {
      const plan = planOf(input)
      const model = new Naive(plan)
      const calls = new Map<number, { readonly phase: Phase; readonly probe: number }>()
      run(plan, commands, ({ after, answer, call, command, moves, now }) => {
        model.told = []
        switch (command._tag) {
          case "admit": {
            const expected = model.admit(now)
            const admission = answer as circuit.Admission
            if (typeof expected === "number") {
              assert.notStrictEqual(admission._tag, "Admitted")
              assert.strictEqual(admission._tag !== "Admitted" && admission.retryAfterMillis, expected)
              assert.strictEqual(admission._tag === "Rejected" ? admission.state : "isolated", model.state)
            } else {
              assert.strictEqual(admission._tag, "Admitted")
              calls.set(call, expected)
            }
            break
          }
          case "record":
            assert.strictEqual(answer, model.record(now, calls.get(call)!, command.outcome))
            break
          case "look":
            model.passTime(now)
            break
          case "operator":
            if (command.what.startsWith("isolate")) {
              model.isolate(now, command.what === "isolate" ? Infinity : now + 20_000)
            } else model.close(now, command.what === "reset")
        }
        assert.strictEqual(machine.state(after), model.state)
        assert.deepStrictEqual(
          moves.map((move) =>
            [move.version, move.from, move._tag, ...("because" in move ? [move.because] : [])].join(" ")
          ),
          model.told
        )
        for (const move of moves) {
          if (move._tag === "Opened" && move === moves.findLast(({ _tag }) => _tag === "Opened")) {
            assert.strictEqual(move.openMillis, model.openFor)
          }
        }
      })
    },
    { arbitrary: { runs: 3_000, size: 60 } }
  )

  it.prop(
    "moves along legal edges only and counts each move once",
    { input: plan, commands },
    ({ input, commands }) => {
      run(planOf(input), commands, ({ after, before, moves }) => {
        let { version } = before
        for (const move of moves) {
          assert.strictEqual(move.version, ++version)
          assert.include(legal[move._tag], move.from)
          if (move._tag === "Closed" && move.because === "probes_succeeded") {
            assert.include(["half_open", "isolated"], move.from)
          }
        }
        assert.strictEqual(after.version, version)
        assert.isAtLeast(after.automatic.generation, before.automatic.generation)
      })
    },
    { arbitrary: { runs: 1_000, size: 60 } }
  )

  it.prop(
    "changes nothing at an outcome of another generation",
    { input: plan, commands, generation: between(-3, 40), outcome: Schema.Literals(["Success", "Failure", "Ignored"]) },
    ({ commands, generation, input, outcome }) => {
      const plan = planOf(input)
      const { now, self } = run(plan, commands, () => {})
      const [, brought] = machine.advance(settingsOf(plan), self, now)
      if (generation === brought.automatic.generation) return
      for (const probe of [0, 1, 2]) {
        const [recorded, moves, next] = machine.record(settingsOf(plan), brought, now, { generation, probe }, outcome)
        assert.strictEqual(recorded, "stale")
        assert.deepStrictEqual(moves, [])
        assert.strictEqual(next, brought)
      }
    },
    { arbitrary: { runs: 1_000, size: 60 } }
  )

  it.prop(
    "tells a rejected caller a time within the open time, exact while open",
    { input: plan, commands },
    ({ input, commands }) => {
      const plan = planOf(input)
      run(plan, commands, ({ after, answer, command, now }) => {
        if (command._tag !== "admit") return
        const admission = answer as circuit.Admission
        if (admission._tag !== "Rejected") return
        assert.isAbove(admission.retryAfterMillis, 0)
        assert.isAtMost(admission.retryAfterMillis, after.automatic.backoff.openMillis)
        if (admission.state !== "open") return
        const at = (millis: number) => machine.admit(settingsOf(plan), after, now + millis)[0]._tag
        assert.strictEqual(at(admission.retryAfterMillis), "Admitted")
        assert.strictEqual(at(admission.retryAfterMillis - 1), "Rejected")
      })
    },
    { arbitrary: { runs: 1_000, size: 60 } }
  )

  it.prop(
    "never has more than the configured probes running or counted",
    { input: plan, commands },
    ({ input, commands }) => {
      const plan = planOf(input)
      run(plan, commands, ({ after: { automatic } }) => {
        if (automatic._tag !== "half_open") return
        assert.isAtMost(automatic.running.length + automatic.succeeded + automatic.failed, plan.probes)
      })
    },
    { arbitrary: { runs: 500, size: 60 } }
  )

  it.prop(
    "closes soon after the dependency is well again, whatever happened before",
    { input: plan, commands: Arbitrary.filter(commands, (all) => all.every(({ _tag }) => _tag !== "operator")) },
    ({ input, commands }) => {
      const plan = planOf(input)
      const settings = settingsOf(plan)
      let { now, self } = run(plan, commands, () => {})
      const from = now
      const { openMillis, openings } = self.automatic.backoff
      const longestOpen = Math.max(openMillis, plan.openMillis(openings + 1))
      const longestProbe = plan.probeMillis ?? Math.min(Math.max(longestOpen, 10_000), 60_000)
      const bound = from + longestOpen + longestProbe + 2_000
      while (machine.state(self) !== "closed" && now <= bound) {
        const [admission, , next] = machine.admit(settings, self, now)
        self = next
        if (admission._tag === "Admitted") {
          self = machine.record(settings, self, now, admission.token, "Success")[2]
        }
        now += 250
      }
      assert.strictEqual(machine.state(self), "closed")
    },
    { arbitrary: { runs: 1_000, size: 60 } }
  )

  it.prop(
    "at rest does what a new one does, so that forgetting it changes nothing",
    { input: plan, commands, later: commands, wait: between(0, 60) },
    ({ commands, input, later, wait }) => {
      // The successes of a window are the one thing that is lost.
      const plan = planOf({ ...input, window: undefined })
      const settings = settingsOf(plan)
      const past = run(plan, commands, () => {})
      const now = past.now + wait * 2_500
      if (!machine.isAtRest(past.self, now)) return
      const follow = (self: circuit.Machine) => {
        const lines: Array<string> = []
        const tokens: Array<circuit.Token> = []
        let at = now
        for (const command of later) {
          at += command.after * 2_500
          if (command._tag === "admit") {
            const [admission, moves, next] = machine.admit(settings, self, at)
            if (admission._tag === "Admitted") tokens.push(admission.token)
            lines.push(admission._tag, ...moves.map((move) => tell({ ...move, version: 0 })))
            self = next
          } else if (command._tag === "record") {
            const token = tokens.shift()
            if (token === undefined) continue
            const [recorded, moves, next] = machine.record(settings, self, at, token, command.outcome)
            lines.push(recorded, ...moves.map((move) => tell({ ...move, version: 0 })))
            self = next
          }
        }
        return lines
      }
      assert.deepStrictEqual(follow(past.self), follow(machine.make(now)))
    },
    { arbitrary: { runs: 1_000, size: 60 } }
  )
})

describe("settings that change under a half-open circuit", () => {
  it("admits a probe when fewer are allowed than have already ended, so that it cannot hang", () => {
    const three = {
      ...settings,
      tripPolicy: consecutive(1),
      probes: 3,
      successThreshold: 3
    }
    const story = [admit(0, "a"), failure(1, "a"), admit(501, "b"), success(502, "b")]
    const half = play(three, story).self
    assert.strictEqual(machine.state(half), "half_open")
    const one = { ...three, probes: 1, successThreshold: 1 }
    const [admission, , probing] = machine.admit(one, half, 503)
    assert.strictEqual(admission._tag, "Admitted")
    if (admission._tag !== "Admitted") return
    assert.strictEqual(machine.state(machine.record(one, probing, 504, admission.token, "Success")[2]), "closed")
  })

  it("lapses a probe with a nearer deadline before an older one with a later deadline", () => {
    const two = {
      ...settings,
      tripPolicy: consecutive(1),
      probes: 2,
      successThreshold: 2
    }
    const half = play({ ...two, probeMillis: 60_000 }, [admit(0, "a"), failure(1, "a"), admit(501, "b")]).self
    const [, , both] = machine.admit(two, half, 502)
    const [moves] = machine.advance(two, both, 602)
    assert.deepStrictEqual(
      moves.map(({ _tag }) => _tag),
      ["ProbeLapsed", "Opened"]
    )
  })

  it("forgets a backoff that is over when an operator trips", () => {
    const growing = { ...settings, openMillis: (openings: number) => 500 * openings }
    const story = [
      admit(0, "a"),
      admit(0, "b"),
      failure(1, "a"),
      failure(1, "b"),
      admit(501, "c"),
      failure(502, "c"),
      admit(1_502, "d"),
      success(1_503, "d"),
      trip(9_000)
    ]
    const { automatic } = play(growing, story).self
    assert.strictEqual(automatic._tag === "open" && automatic.until, 9_500)
  })
})
