import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as machine from "../../src/internal/alertMachine.ts"

const settings: machine.Settings = { capacity: 3, cooldown: 100, prefix: "a" }

const whole = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const firing = (
  subject: string,
  level: machine.Level = "warning",
  more: Partial<machine.Firing<string>> = {}
): machine.Firing<string> => ({
  rule: "rule",
  subject,
  level,
  threshold: 1,
  actual: 2,
  facts: `${level} words`,
  ...more
})

/** Plays sweeps and raises one after another. */
class Story {
  state: machine.State<string> = machine.empty
  now = 0

  private take([changes, state]: machine.Step<string>): ReadonlyArray<string> {
    this.state = state
    return changes.map(({ _tag, alert }) => `${_tag} ${alert.id} ${alert.subject} ${alert.level}`)
  }

  private get at(): machine.Now {
    return { now: this.now, at: this.now + 1e12 }
  }

  sweep(...firings: ReadonlyArray<machine.Firing<string>>): ReadonlyArray<string> {
    return this.take(machine.sweep(settings, this.state, this.at, firings))
  }

  raise(one: machine.Firing<string>): ReadonlyArray<string> {
    return this.take(machine.raise(settings, this.state, this.at, one))
  }

  acknowledge(id: string, actor: string): machine.Alert<string> | undefined {
    const found = machine.acknowledge(this.state, id, actor)
    if (found !== undefined) this.state = found[1]
    return found?.[0]
  }

  wait(millis: number): this {
    this.now += millis
    return this
  }

  alert(id: string): machine.Alert<string> {
    return this.state.alerts.get(id)!
  }
}

describe("an alert", () => {
  it("is raised once while its condition holds, and follows its number", () => {
    const story = new Story()
    assert.deepStrictEqual(story.sweep(firing("x")), ["Raised a-1 x warning"])
    assert.deepStrictEqual(story.wait(5).sweep(firing("x", "warning", { actual: 7, facts: "newer words" })), [])
    const { actual, facts, raisedAt, status } = story.alert("a-1")
    assert.deepStrictEqual([actual, facts, raisedAt, status], [7, "newer words", { now: 0, at: 1e12 }, "active"])
  })

  it("is one for each rule and subject", () => {
    const story = new Story()
    assert.deepStrictEqual(
      story.sweep(firing("x"), firing("y"), firing("x", "error", { rule: "other" }), firing("y")),
      ["Raised a-1 x warning", "Raised a-2 y warning", "Raised a-3 x error"]
    )
  })

  it("is resolved by itself when its condition ends", () => {
    const story = new Story()
    story.sweep(firing("x"))
    assert.deepStrictEqual(story.wait(5).sweep(), ["Resolved a-1 x warning"])
    assert.deepStrictEqual(story.alert("a-1").resolvedAt, { now: 5, at: 1e12 + 5 })
    assert.deepStrictEqual(story.wait(5).sweep(), [])
  })

  it("is raised again, as a new one, only after the pause", () => {
    const story = new Story()
    story.sweep(firing("x"))
    story.wait(5).sweep()
    assert.deepStrictEqual(story.wait(99).sweep(firing("x")), [])
    assert.strictEqual(story.alert("a-1").status, "resolved")
    assert.deepStrictEqual(story.wait(1).sweep(firing("x")), ["Raised a-2 x warning"])
  })

  it("does not wait for the pause at a higher level", () => {
    const story = new Story()
    story.sweep(firing("x"))
    story.wait(5).sweep()
    assert.deepStrictEqual(story.wait(1).sweep(firing("x", "error")), ["Raised a-2 x error"])
  })

  it("rises under the same id, and asks for a new look", () => {
    const story = new Story()
    story.sweep(firing("x"))
    story.acknowledge("a-1", "ada")
    assert.deepStrictEqual(story.sweep(firing("x", "critical")), ["Raised a-1 x critical"])
    const { acknowledgedBy, status } = story.alert("a-1")
    assert.deepStrictEqual([status, acknowledgedBy], ["active", undefined])
  })

  it("keeps the level and the words of its worst moment", () => {
    const story = new Story()
    story.sweep(firing("x", "critical"))
    story.acknowledge("a-1", "ada")
    assert.deepStrictEqual(story.sweep(firing("x", "warning", { actual: 1.5 })), [])
    const { actual, facts, level, status } = story.alert("a-1")
    assert.deepStrictEqual([actual, facts, level, status], [1.5, "critical words", "critical", "acknowledged"])
  })

  it("is acknowledged by the first actor, while it is open", () => {
    const story = new Story()
    story.sweep(firing("x"))
    assert.strictEqual(story.acknowledge("a-1", "ada")?.acknowledgedBy, "ada")
    assert.strictEqual(story.acknowledge("a-1", "bob")?.acknowledgedBy, "ada")
    assert.deepStrictEqual(story.sweep(), ["Resolved a-1 x warning"])
    assert.isUndefined(story.acknowledge("a-1", "bob"))
    assert.isUndefined(story.acknowledge("a-9", "bob"))
    assert.strictEqual(story.alert("a-1").acknowledgedBy, "ada")
  })

  it("stays open for the time it has to last, even if nothing holds it", () => {
    const story = new Story()
    assert.deepStrictEqual(story.raise(firing("x", "info", { lasts: 50 })), ["Raised a-1 x info"])
    assert.deepStrictEqual(story.wait(49).sweep(), [])
    assert.deepStrictEqual(story.wait(1).sweep(), ["Resolved a-1 x info"])
  })

  it("that is told between two sweeps is the same as one of a sweep", () => {
    const story = new Story()
    assert.deepStrictEqual(story.raise(firing("x")), ["Raised a-1 x warning"])
    assert.deepStrictEqual(story.raise(firing("x")), [])
    assert.deepStrictEqual(story.sweep(firing("x")), [])
    assert.deepStrictEqual(story.sweep(), ["Resolved a-1 x warning"])
  })
})

describe("a full house", () => {
  it("forgets resolved alerts first, oldest first", () => {
    const story = new Story()
    story.sweep(firing("x"), firing("y"), firing("z"))
    story.sweep(firing("x"))
    assert.deepStrictEqual(story.sweep(firing("x"), firing("w")), ["Raised a-4 w warning"])
    assert.deepStrictEqual([...story.state.alerts.keys()], ["a-1", "a-3", "a-4"])
  })

  it("does not mistake an alert for an earlier one that it forgets", () => {
    const story = new Story()
    story.sweep(firing("x"))
    story.sweep()
    const all = [firing("x"), firing("y"), firing("z")]
    assert.deepStrictEqual(story.wait(100).sweep(...all), [
      "Raised a-2 x warning",
      "Raised a-3 y warning",
      "Raised a-4 z warning"
    ])
    assert.deepStrictEqual([...story.state.alerts.keys()], ["a-2", "a-3", "a-4"])
    assert.deepStrictEqual(story.raise(firing("x", "critical")), ["Raised a-2 x critical"])
  })

  it("refuses what does not matter more than what is open", () => {
    const story = new Story()
    const three = [firing("x"), firing("y", "error"), firing("z")]
    story.sweep(...three)
    assert.deepStrictEqual(story.sweep(...three, firing("w")), [])
    assert.deepStrictEqual(story.sweep(...three, firing("w", "info")), [])
    assert.strictEqual(story.state.alerts.size, 3)
  })

  it("gives the place of the least to what matters more, and is quiet about the least from then on", () => {
    const story = new Story()
    const all = [firing("x"), firing("y", "error"), firing("z", "info"), firing("w", "critical")]
    assert.deepStrictEqual(story.sweep(...all), [
      "Raised a-1 x warning",
      "Raised a-2 y error",
      "Raised a-3 z info",
      "Raised a-4 w critical"
    ])
    assert.deepStrictEqual([...story.state.alerts.keys()], ["a-1", "a-2", "a-4"])
    assert.deepStrictEqual(story.wait(1000).sweep(...all), [])
  })

  it("takes ten thousand conditions at once in little time", () => {
    const many = Array.from({ length: 10_000 }, (_, at) => firing(`s${at}`))
    const wide = { ...settings, capacity: 1000 }
    let state: machine.State<string> = machine.empty
    const startedAt = process.hrtime.bigint()
    for (let sweep = 0; sweep < 10; sweep++) {
      state = machine.sweep(wide, state, { now: sweep, at: sweep }, many)[1]
    }
    assert.strictEqual(state.alerts.size, 1000)
    assert.isBelow(Number(process.hrtime.bigint() - startedAt) / 1e6, 1000)
  })
})

describe("a cleanup", () => {
  it("forgets what was resolved long ago, and nothing that is open", () => {
    const story = new Story()
    story.sweep(firing("x"), firing("y"), firing("z"))
    story.wait(10).sweep(firing("y"), firing("z"))
    story.wait(10).sweep(firing("z"))
    const left = machine.clear(story.state, 10)
    assert.deepStrictEqual([...left.alerts.keys()], ["a-2", "a-3"])
    assert.deepStrictEqual([...left.latest.values()], ["a-2", "a-3"])
  })
})

describe("whatever happens", () => {
  const level = Schema.Literals(["info", "warning", "error", "critical"])
  const condition = Schema.Struct({ subject: Schema.Literals(["p", "q", "r", "s", "t"]), level })

  it.prop(
    "alerts are bounded, one is open for each subject, and what is told is what is there",
    {
      steps: Arbitrary.array(
        Arbitrary.schema(
          Schema.Struct({
            what: Schema.Literals(["sweep", "sweep", "raise", "acknowledge"]),
            wait: whole(0, 120),
            conditions: Schema.Array(condition).check(Schema.isMaxLength(6))
          })
        ),
        { maxLength: 40 }
      )
    },
    ({ steps }) => {
      let state: machine.State<string> = machine.empty
      let now = 0
      /** What a subscriber believes to be open. */
      const believed = new Map<string, string>()
      const ended = new Map<string, number>()
      for (const { conditions, wait, what } of steps) {
        now += wait
        const at = { now, at: now }
        const firings = conditions.map(({ level, subject }) => firing(subject, level))
        const before = state
        let changes: ReadonlyArray<machine.Change<string>> = []
        if (what === "sweep") [changes, state] = machine.sweep(settings, state, at, firings)
        else if (what === "raise" && firings[0] !== undefined) {
          ;[changes, state] = machine.raise(settings, state, at, firings[0])
        } else if (what === "acknowledge") {
          state = machine.acknowledge(state, before.alerts.keys().next().value ?? "", "ada")?.[1] ?? state
        }
        for (const { _tag, alert } of changes) {
          if (_tag === "Resolved") {
            assert.strictEqual(believed.get(alert.id), alert.subject)
            believed.delete(alert.id)
            ended.set(`${alert.subject} ${alert.level}`, now)
          } else {
            const isRise = believed.has(alert.id)
            const last = ended.get(`${alert.subject} ${alert.level}`)
            if (!isRise && last !== undefined && state.latest.size < settings.capacity) {
              const known = before.latest.get(`rule ${alert.subject}`)
              if (known !== undefined && before.alerts.get(known)?.level === alert.level) {
                assert.isAtLeast(now - last, settings.cooldown)
              }
            }
            believed.set(alert.id, alert.subject)
          }
        }
        const all = [...state.alerts.values()]
        assert.isAtMost(all.length, settings.capacity)
        const open = all.filter(({ status }) => status !== "resolved")
        assert.strictEqual(new Set(open.map(({ subject }) => subject)).size, open.length)
        // An alert that had to make room was never told to have ended.
        for (const { id } of open) assert.isTrue(believed.has(id))
        for (const [key, id] of state.latest) assert.strictEqual(key, `rule ${state.alerts.get(id)?.subject}`)
        for (const { resolvedAt, status } of all) assert.strictEqual(resolvedAt !== undefined, status === "resolved")
        if (what === "sweep") {
          const held = new Set(conditions.map(({ subject }) => subject as string))
          for (const { subject } of open) assert.isTrue(held.has(subject))
        }
      }
    }
  )
})
