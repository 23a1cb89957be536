/** Stories about trip policies with windows, slow starts and overrides. The core of the machine: circuitMachine.test.ts. */
import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import type * as data from "../../src/internal/circuit.ts"
import * as machine from "../../src/internal/circuitMachine.ts"
import * as circuitOverrides from "../../src/internal/circuitOverrides.ts"
import { consecutive } from "../../src/internal/tripPolicy.ts"
import { type Rule, windowed } from "../../src/internal/tripWindow.ts"

const settings: data.Settings = {
  tripPolicy: consecutive(2),
  openMillis: () => 500,
  probes: 1,
  successThreshold: 1,
  probeMillis: 100,
  maxRetryAfterMillis: 3_600_000,
  rampMillis: 0
}

const looking = (...rules: ReadonlyArray<Rule>): data.Settings => ({ ...settings, tripPolicy: windowed(rules) })

const lastFour: Rule = {
  _tag: "Rate",
  slowMillis: undefined,
  rate: 0.5,
  minimumCalls: 4,
  span: { _tag: "Count", size: 4 }
}
const slow: Rule = { ...lastFour, slowMillis: 50, minimumCalls: 2 }

/** A circuit that is told what happens, call by call. */
class Story {
  settings: data.Settings
  self = machine.make(0)
  now = 0
  readonly moves: Array<string> = []
  private readonly tokens = new Map<string, data.Token>()

  constructor(settings: data.Settings) {
    this.settings = settings
  }

  private took<Decision>([decision, moves, next]: data.Step<Decision>): Decision {
    this.self = next
    for (const move of moves) {
      const why = "because" in move ? ` ${move.because}` : ""
      const what = move._tag === "Overridden" ? ` ${move.mode}` : move._tag === "OverrideEnded" ? ` ${move.mode}` : ""
      this.moves.push(`${move.at} ${move.from} ${move._tag}${why}${what}`)
    }
    return decision
  }

  at(now: number): this {
    this.now = now
    return this
  }

  admit(call: string, draw?: number): string {
    const admission = this.took(machine.admit(this.settings, this.self, this.now, draw))
    if (admission._tag === "Admitted") this.tokens.set(call, admission.token)
    return admission._tag === "Admitted"
      ? "admitted"
      : `${admission._tag === "Isolated" ? "isolated" : admission.state} ${admission.retryAfterMillis}`
  }

  end(call: string, outcome: "Success" | "Failure" | "Ignored", retryAfter?: number): data.Recorded {
    const token = this.tokens.get(call)!
    return this.took(machine.record(this.settings, this.self, this.now, token, outcome, retryAfter))
  }

  /** Calls that end in the instant in which they start: s succeeds, f fails. */
  run(outcomes: string): this {
    for (const outcome of outcomes) {
      if (this.admit("run") === "admitted") this.end("run", outcome === "s" ? "Success" : "Failure")
    }
    return this
  }

  override(mode: data.Mode, until: number): void {
    this.took(
      circuitOverrides.override(this.settings, this.self, this.now, { mode, reason: mode, actor: undefined, until })
    )
  }

  release(mode: data.Mode): void {
    this.took(circuitOverrides.release(this.settings, this.self, this.now, mode, undefined))
  }

  close(): void {
    this.took(machine.close(this.settings, this.self, this.now, { forget: false }))
  }

  look(): data.State {
    const [moves, next] = machine.advance(this.settings, this.self, this.now)
    this.took([undefined, moves, next])
    return machine.state(this.self)
  }

  get until(): number | undefined {
    const { automatic } = this.self
    return automatic._tag === "open" ? automatic.until : undefined
  }
}

const story = (settings: data.Settings): Story => new Story(settings)

describe("a circuit with a window", () => {
  it("opens when the share of failures reaches the limit, not before there are enough calls", () => {
    assert.strictEqual(story(looking(lastFour)).run("fff").look(), "closed")
    assert.strictEqual(story(looking(lastFour)).run("ffss").look(), "open")
    assert.strictEqual(story(looking(lastFour)).run("fsss").look(), "closed")
  })

  it("may be opened by a success, which makes the calls enough", () => {
    const ended = story(looking(lastFour)).run("ff").at(7)
    ended.run("ss")
    assert.deepStrictEqual(ended.moves, ["7 closed Opened failures"])
  })

  it("counts nothing that was ignored", () => {
    const circuit = story(looking(lastFour)).run("fsf")
    circuit.admit("a")
    assert.strictEqual(circuit.end("a", "Ignored"), "counted")
    assert.strictEqual(circuit.look(), "closed")
    assert.strictEqual(circuit.run("s").look(), "open")
  })

  it("begins with an empty window after it closed", () => {
    const circuit = story(looking(lastFour)).run("ffff").at(500).run("s")
    assert.strictEqual(circuit.look(), "closed")
    assert.strictEqual(circuit.run("fff").look(), "closed")
    assert.strictEqual(circuit.run("f").look(), "open")
  })

  it("takes outcomes of calls that ran when it opened for stale", () => {
    const circuit = story(looking(lastFour))
    circuit.admit("late")
    circuit.run("ffff")
    assert.strictEqual(circuit.end("late", "Failure"), "stale")
  })

  it("starts to count anew when its settings get another policy, of whichever kind", () => {
    const circuit = story(looking(lastFour)).run("fff")
    circuit.settings = settings
    assert.strictEqual(circuit.run("f").look(), "closed")
    assert.strictEqual(circuit.run("f").look(), "open")

    const other = story(settings).run("f")
    other.settings = looking({ _tag: "Streak", failures: 2 })
    assert.strictEqual(other.run("f").look(), "closed")
    assert.strictEqual(other.run("f").look(), "open")
  })

  it("opens when any of several policies would", () => {
    const any = looking({ _tag: "Streak", failures: 3 }, { _tag: "FailuresIn", count: 2, millis: 10 })
    assert.strictEqual(story(any).run("fsf").look(), "open")
    assert.strictEqual(story(any).run("f").at(10).run("sf").look(), "closed")
    assert.strictEqual(story(any).run("f").at(10).run("f").at(20).run("f").look(), "open")
  })
})

describe("a circuit that watches for slow calls", () => {
  it("opens when calls that ended were slow, well or not", () => {
    const circuit = story(looking(slow))
    circuit.admit("a")
    circuit.admit("b")
    circuit.at(49).end("a", "Success")
    assert.deepStrictEqual(circuit.moves, [])
    circuit.at(50).end("b", "Success")
    assert.deepStrictEqual(circuit.moves, ["50 closed Opened slow_calls"])
  })

  it("opens while calls hang, as soon as anyone calls or looks", () => {
    const hanging = () => {
      const circuit = story(looking(slow))
      circuit.admit("a")
      circuit.admit("b")
      return circuit
    }
    assert.strictEqual(hanging().at(49).look(), "closed")
    assert.strictEqual(hanging().at(50).look(), "open")
    const called = hanging().at(50)
    assert.strictEqual(called.admit("c"), "open 500")
    assert.deepStrictEqual(called.moves, ["50 closed Opened slow_calls"])
    assert.strictEqual(called.end("a", "Success"), "stale")
  })

  it("counts a call that is ignored neither while it runs nor after", () => {
    const circuit = story(looking(slow))
    circuit.admit("a")
    circuit.admit("b")
    circuit.at(49).end("a", "Ignored")
    assert.strictEqual(circuit.at(1_000).look(), "closed")
    circuit.end("b", "Ignored")
    assert.strictEqual(circuit.admit("c"), "admitted")
    assert.strictEqual(circuit.look(), "closed")
  })

  it("takes a probe that is as slow for failed", () => {
    const opened = () => {
      const circuit = story(looking(slow))
      circuit.admit("a")
      circuit.admit("b")
      circuit.at(50).look()
      circuit.at(550).admit("probe")
      return circuit
    }
    const well = opened().at(599)
    well.end("probe", "Success")
    assert.strictEqual(well.look(), "closed")
    const slowly = opened().at(600)
    slowly.end("probe", "Success")
    assert.strictEqual(slowly.moves.at(-1), "600 half_open Opened probe_failed")
    const ignored = opened().at(600)
    ignored.end("probe", "Ignored")
    assert.strictEqual(ignored.look(), "half_open")
  })

  it("no longer minds calls in flight once its settings do not", () => {
    for (const other of [settings, looking(lastFour), looking({ ...slow, minimumCalls: 3 })]) {
      const circuit = story(looking(slow))
      circuit.admit("a")
      circuit.admit("b")
      circuit.settings = other
      assert.strictEqual(circuit.at(1_000).look(), "closed")
      assert.strictEqual(circuit.admit("c"), "admitted")
      circuit.end("a", "Success")
      assert.strictEqual(circuit.look(), "closed")
    }
  })

  it("forgets what was in flight when an operator closes it", () => {
    const circuit = story(looking(slow))
    circuit.admit("a")
    circuit.admit("b")
    circuit.close()
    assert.strictEqual(circuit.at(50).look(), "closed")
    circuit.end("a", "Success")
    assert.strictEqual(circuit.look(), "closed")
    circuit.end("b", "Success")
    assert.strictEqual(circuit.look(), "open")
  })
})

describe("the open time", () => {
  it("is at least as long as the failure asks for that opened it, up to a limit", () => {
    const opened = (retryAfter: number) => {
      const circuit = story({ ...settings, maxRetryAfterMillis: 2_000 }).run("f")
      circuit.admit("a")
      circuit.end("a", "Failure", retryAfter)
      return circuit.until
    }
    assert.strictEqual(opened(499), 500)
    assert.strictEqual(opened(1_500), 1_500)
    assert.strictEqual(opened(3_000), 2_000)
    for (const nonsense of [NaN, -1, 0]) assert.strictEqual(opened(nonsense), 500)
    assert.strictEqual(opened(Infinity), 2_000)
  })

  it("heeds what a failed probe asks for, and remembers it as the last opening", () => {
    const circuit = story({ ...settings, openMillis: (opening) => 500 * opening })
      .run("ff")
      .at(500)
    circuit.admit("probe")
    circuit.end("probe", "Failure", 5_000)
    assert.strictEqual(circuit.until, 5_500)
    // Closed for less than that: the next opening is the third in a row.
    circuit.at(5_500).run("s").at(10_499).run("ff")
    assert.strictEqual(circuit.until, 10_499 + 1_500)
  })

  it("is never cut short by what a failure asks for", () => {
    const circuit = story({ ...settings, maxRetryAfterMillis: 100 }).run("f")
    circuit.admit("a")
    circuit.end("a", "Failure", 1_000)
    assert.strictEqual(circuit.until, 500)
  })
})

describe("a slow start", () => {
  const ramping = { ...settings, rampMillis: 1_000 }
  const closedAt500 = () => story(ramping).run("ff").at(500).run("s")

  it("admits a share that grows from a tenth to all", () => {
    for (const [after, share] of [
      [0, 0.1],
      [250, 0.325],
      [500, 0.55],
      [999, 0.9991]
    ] as const) {
      assert.strictEqual(
        closedAt500()
          .at(500 + after)
          .admit("a", share - 1e-9),
        "admitted",
        `${after}`
      )
      // The time until it is over, and never above the last open time.
      assert.strictEqual(
        closedAt500()
          .at(500 + after)
          .admit("a", share + 1e-9),
        `closed ${Math.min(1_000 - after, 500)}`
      )
    }
    assert.strictEqual(closedAt500().at(1_500).admit("a", 0.999_999), "admitted")
    assert.isFalse(machine.isRamping(closedAt500().at(1_500).run("s").self))
  })

  it("follows a circuit that closed by itself, not a new one and not one that an operator closed", () => {
    assert.strictEqual(story(ramping).admit("a", 0.99), "admitted")
    const circuit = story(ramping).run("ff")
    circuit.close()
    assert.strictEqual(circuit.admit("a", 0.99), "admitted")
    const during = closedAt500()
    during.close()
    assert.strictEqual(during.admit("a", 0.99), "admitted")
  })

  it("opens at the first failure, for longer than before", () => {
    const growing = { ...ramping, openMillis: (opening: number) => 500 * opening }
    const circuit = story(growing).run("ff").at(500).run("s").at(600)
    circuit.admit("a")
    circuit.admit("late")
    circuit.end("a", "Failure")
    assert.strictEqual(circuit.moves.at(-1), "600 closed Opened relapsed")
    assert.strictEqual(circuit.until, 1_600)
    assert.strictEqual(circuit.end("late", "Failure"), "stale")
    assert.strictEqual(story(growing).run("ff").at(500).run("s").at(1_500).run("f").look(), "closed")
  })

  it("opens at the first failure with a window too, and goes on at successes and what is ignored", () => {
    const circuit = story({ ...looking(lastFour), rampMillis: 1_000 })
      .run("ffff")
      .at(500)
      .run("sss")
    circuit.admit("a")
    circuit.end("a", "Ignored")
    assert.strictEqual(circuit.look(), "closed")
    circuit.run("f")
    assert.strictEqual(circuit.moves.at(-1), "500 closed Opened relapsed")
  })

  it("opens at a failure that no rule counts, because the call was quick", () => {
    const circuit = story({ ...looking(slow), rampMillis: 1_000 })
    circuit.admit("a")
    circuit.admit("b")
    circuit.at(60).end("a", "Success")
    circuit.end("b", "Success")
    circuit.at(600).run("s").at(1_000).run("ssss")
    assert.strictEqual(circuit.look(), "closed")
    circuit.run("f")
    assert.strictEqual(circuit.moves.at(-1), "1000 closed Opened relapsed")
  })

  it("is no rest and needs the clock until it is over", () => {
    const { self } = closedAt500()
    assert.isFalse(machine.isUnmoved(ramping, self, tokenOf(self)))
    assert.isFalse(machine.isWaiting(self, 1_499))
    assert.isTrue(machine.isWaiting(self, 1_500))
    assert.isFalse(machine.isAtRest(self, 1_499))
    assert.isTrue(machine.isAtRest(self, 1_500))
  })
})

describe("a circuit that gives tokens at once", () => {
  it("gives the one that a step would, and only while it is closed and watches no call", () => {
    const ramping = { ...settings, rampMillis: 1_000 }
    const disabled = story(looking(lastFour))
    disabled.override("disabled", 100)
    const cases: ReadonlyArray<readonly [Story, boolean]> = [
      [story(settings).run("f"), true],
      [story(looking(lastFour)).run("ssf"), true],
      [story(looking(lastFour)).run("ffff"), false],
      [story(looking(lastFour)).run("ffff").at(500).run("s"), true],
      [story(looking(lastFour, slow)).run("ss"), false],
      [story(ramping).run("ff").at(500).run("s"), false],
      [disabled, false]
    ]
    for (const [{ now, self, settings }, isImmediate] of cases) {
      const token = machine.immediate(settings, self)
      assert.strictEqual(token !== undefined, isImmediate)
      if (token === undefined) continue
      const [admission, moves, next] = machine.admit(settings, self, now)
      assert.deepStrictEqual(admission, { _tag: "Admitted", token })
      assert.deepStrictEqual(moves, [])
      assert.strictEqual(next, self)
    }
  })
})

describe("overrides", () => {
  it("are in force by strength, whatever their order, and each ends by itself", () => {
    const orders: ReadonlyArray<ReadonlyArray<data.Mode>> = [
      ["isolated", "disabled", "metrics_only"],
      ["metrics_only", "disabled", "isolated"],
      ["disabled", "isolated", "metrics_only"]
    ]
    for (const order of orders) {
      const circuit = story(settings)
      const until = { isolated: 10, disabled: 20, metrics_only: 30 }
      for (const mode of order) circuit.override(mode, until[mode])
      assert.deepStrictEqual(
        [9, 10, 19, 20, 29, 30].map((now) => circuit.at(now).look()),
        ["isolated", "disabled", "disabled", "metrics_only", "metrics_only", "closed"]
      )
      assert.deepStrictEqual(circuit.moves.slice(3), [
        "10 isolated OverrideEnded isolated",
        "20 disabled OverrideEnded disabled",
        "30 metrics_only OverrideEnded metrics_only"
      ])
    }
  })

  it("end in the order of their times when nobody looked meanwhile", () => {
    const circuit = story(settings)
    circuit.override("metrics_only", 10)
    circuit.override("isolated", 30)
    circuit.override("disabled", 20)
    assert.strictEqual(circuit.at(100).look(), "closed")
    assert.deepStrictEqual(circuit.moves.slice(3), [
      "10 isolated OverrideEnded metrics_only",
      "20 isolated OverrideEnded disabled",
      "30 isolated OverrideEnded isolated"
    ])
  })

  it("end when an operator releases them, one without the others", () => {
    const circuit = story(settings)
    circuit.override("disabled", 100)
    circuit.override("isolated", 100)
    circuit.release("isolated")
    assert.strictEqual(circuit.look(), "disabled")
    circuit.release("isolated")
    assert.strictEqual(circuit.self.version, 3)
    circuit.release("disabled")
    assert.strictEqual(circuit.look(), "closed")
  })

  it("all end when an operator closes the circuit", () => {
    const circuit = story(settings)
    circuit.override("disabled", 100)
    circuit.override("metrics_only", 100)
    circuit.close()
    assert.strictEqual(circuit.look(), "closed")
    assert.isUndefined(circuit.self.overrides)
  })

  it("let everything pass while disabled and count none of it", () => {
    const circuit = story(settings)
    circuit.admit("before")
    circuit.override("disabled", 100)
    circuit.run("ffff")
    circuit.admit("during")
    assert.deepStrictEqual(circuit.moves, ["0 closed Overridden disabled"])
    circuit.at(100)
    assert.strictEqual(circuit.end("during", "Failure"), "counted")
    assert.strictEqual(machine.failures(circuit.self, 100), 0)
    // A call counts as it was admitted.
    circuit.end("before", "Failure")
    assert.strictEqual(machine.failures(circuit.self, 100), 1)
  })

  it("let an open circuit pass everything while disabled, and it is open after it", () => {
    const circuit = story(settings).run("ff")
    circuit.override("disabled", 100)
    assert.strictEqual(circuit.admit("a"), "admitted")
    circuit.end("a", "Success")
    assert.strictEqual(circuit.at(100).admit("b"), "open 400")
  })

  it("let the circuit move and refuse nothing with metrics only", () => {
    const circuit = story(settings)
    circuit.override("metrics_only", 10_000)
    circuit.run("ff")
    assert.strictEqual(circuit.admit("while open"), "admitted")
    assert.strictEqual(circuit.end("while open", "Success"), "counted")
    circuit.at(500)
    assert.strictEqual(circuit.admit("probe"), "admitted")
    assert.strictEqual(circuit.admit("beyond the probes"), "admitted")
    circuit.end("beyond the probes", "Failure")
    circuit.end("probe", "Success")
    assert.deepStrictEqual(circuit.moves.slice(1), [
      "0 metrics_only Opened failures",
      "500 metrics_only HalfOpened",
      "500 metrics_only Closed probes_succeeded"
    ])
    assert.strictEqual(circuit.look(), "metrics_only")
    circuit.run("ff")
    assert.strictEqual(circuit.at(10_000).look(), "open")
  })

  it("admit every call of a slow start with metrics only", () => {
    const circuit = story({ ...settings, rampMillis: 1_000 })
      .run("ff")
      .at(500)
      .run("s")
    circuit.override("metrics_only", 10_000)
    assert.strictEqual(circuit.admit("a", 0.99), "admitted")
  })

  it("are dated at their end, in order with the lapse of a probe", () => {
    const circuit = story(settings).run("ff").at(500)
    circuit.admit("probe")
    circuit.override("isolated", 550)
    circuit.override("disabled", 650)
    circuit.at(1_000).look()
    assert.deepStrictEqual(circuit.moves.slice(4), [
      "550 isolated OverrideEnded isolated",
      "600 disabled ProbeLapsed",
      "600 disabled Opened probe_lapsed",
      "650 disabled OverrideEnded disabled"
    ])
  })

  it.prop(
    "refuse a call only while isolated, and never lose the states underneath",
    {
      steps: Arbitrary.array(
        Arbitrary.schema(
          Schema.Struct({
            after: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 300 })),
            what: Schema.Literals([
              "fail",
              "succeed",
              "fail",
              "isolated",
              "disabled",
              "metrics_only",
              "release",
              "look"
            ]),
            long: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000 }))
          })
        ),
        { maxLength: 60 }
      )
    },
    ({ steps }) => {
      const circuit = story(settings)
      const until = new Map<data.Mode, number>()
      for (const { after, long, what } of steps) {
        circuit.at(circuit.now + after)
        for (const [mode, end] of until) if (end <= circuit.now) until.delete(mode)
        const inForce = (["isolated", "disabled", "metrics_only"] as const).find((mode) => until.has(mode))
        assert.strictEqual(circuit.look(), inForce ?? circuit.self.automatic._tag)
        if (what === "fail" || what === "succeed") {
          const before = circuit.self.automatic
          const answer = circuit.admit("a")
          if (inForce === "isolated") assert.match(answer, /^isolated/)
          else if (inForce !== undefined) assert.strictEqual(answer, "admitted")
          if (answer === "admitted") circuit.end("a", what === "fail" ? "Failure" : "Success")
          if (inForce === "disabled" || inForce === "isolated") assert.strictEqual(circuit.self.automatic, before)
        } else if (what === "release") {
          if (inForce !== undefined) circuit.release(inForce)
          if (inForce !== undefined) until.delete(inForce)
        } else if (what !== "look") {
          circuit.override(what, circuit.now + long)
          until.set(what, circuit.now + long)
        }
      }
    },
    { arbitrary: { runs: 1_000, size: 60 } }
  )
})

describe("an idle circuit", () => {
  it("may be forgotten once its next call would be admitted anyway", () => {
    const { self } = story(settings).run("ff")
    assert.isFalse(machine.isWaiting(self, 499))
    assert.isTrue(machine.isWaiting(self, 500))
    assert.isFalse(machine.isAtRest(self, 500))
    const overridden = story(settings).run("ff")
    overridden.override("disabled", 10_000)
    assert.isFalse(machine.isWaiting(overridden.self, 500))
  })

  it("is at rest when nothing in its window speaks against the dependency", () => {
    const timed = looking({ ...lastFour, span: { _tag: "Time", millis: 100, buckets: 4 } })
    assert.isTrue(machine.isAtRest(story(timed).run("sss").self, 0))
    assert.isFalse(machine.isAtRest(story(timed).run("f").self, 99))
    assert.isTrue(machine.isAtRest(story(timed).run("f").self, 100))
  })
})

const tokenOf = ({ automatic }: data.Machine): data.Token =>
  automatic._tag === "closed" ? automatic.token : assert.fail("it is closed")

describe("a success that changes nothing", () => {
  it("is one of a closed circuit without a failure, and recording it would have said so", () => {
    const fresh = story(settings)
    const token = tokenOf(fresh.self)
    assert.isTrue(machine.isUnmoved(settings, fresh.self, token))
    assert.deepStrictEqual(machine.record(settings, fresh.self, 5, token, "Success"), ["counted", [], fresh.self])
  })

  it("is none after a failure, under an override, with a window, or of an older generation", () => {
    const failed = story(settings).run("f")
    assert.isFalse(machine.isUnmoved(settings, failed.self, tokenOf(failed.self)))
    const fresh = story(settings)
    const token = tokenOf(fresh.self)
    const laid = { mode: "metrics_only", reason: "drill", actor: undefined, until: Infinity } as const
    assert.isFalse(machine.isUnmoved(settings, circuitOverrides.laid(fresh.self, laid), token))
    assert.isFalse(machine.isUnmoved(looking(lastFour), fresh.self, token))
    assert.isFalse(machine.isUnmoved(settings, fresh.self, { ...token }))
  })
})
