import { assert, describe, it } from "@effect/vitest"
import { bands, type Entry, merge, ofAudit, ofEvent, summary } from "../../page/model/timeline.ts"

const at = "2026-11-24T12:00:00.000Z"
const time = Date.parse(at)

describe("an event", () => {
  it("becomes an entry in words", () => {
    const opened = ofEvent("a-1", {
      _tag: "CircuitOpened",
      operation: "summarize_text",
      key: "tenant",
      at,
      version: 3,
      from: "closed",
      because: "failures",
      failures: 4,
      error: "Refused",
      open_for_seconds: 2.5
    })
    assert.deepInclude(opened, {
      at: time,
      kind: "transition",
      title: "summarize_text:tenant opened",
      detail: "4 failures · last error Refused · for 2.5 s",
      operation: "summarize_text",
      circuit: "summarize_text:tenant",
      from: "closed",
      to: "open"
    })
    const isolated = ofEvent("a-2", {
      _tag: "CircuitIsolated",
      operation: "x",
      at,
      from: "open",
      reason: "maintenance"
    })
    assert.strictEqual(isolated?.detail, "maintenance · until it is closed")
    const overridden = ofEvent("a-4", {
      _tag: "CircuitOverridden",
      operation: "x",
      at,
      from: "open",
      mode: "disabled",
      reason: "r"
    })
    assert.deepInclude(overridden, { title: "x was disabled", from: "open", to: "disabled" })
    const ended = ofEvent("a-5", {
      _tag: "CircuitOverrideEnded",
      operation: "x",
      at,
      from: "disabled",
      mode: "disabled",
      to: "open"
    })
    assert.deepInclude(ended, { title: "x is no longer disabled", to: "open" })
    assert.isUndefined(ofEvent("a-3", { _tag: "AttemptFailed", operation: "x", at }))
  })

  it("and the history tell of one change of the configuration once", () => {
    const heard = ofEvent("a-1", {
      _tag: "ConfigurationChanged",
      at,
      version: 2,
      actor: "5a1b",
      fields: ["retry_attempts"]
    })!
    assert.strictEqual(heard.id, "configuration-2")
    assert.strictEqual(merge([heard], [{ ...heard, detail: "from the history" }], 10).length, 1)
  })
})

describe("a write in the audit log", () => {
  const entry = {
    id: 7,
    at,
    actor: "5a1b",
    action: "isolate_circuit_breaker",
    resource: "circuit-breakers/embed%3Atenant",
    from: "closed",
    to: "isolated",
    version: 3,
    reason: "maintenance",
    result: "done"
  }

  it("names the circuit, who did it and why, and what came of it", () => {
    assert.deepInclude(ofAudit(entry), {
      title: "isolate circuit breaker",
      detail: "embed:tenant · by key 5a1b · maintenance · closed → isolated",
      operation: "embed"
    })
  })

  it("is told when it was refused, and left out when the history has it", () => {
    assert.match(ofAudit({ ...entry, result: "PreconditionFailedError" })!.title, /^Refused: /)
    assert.isUndefined(ofAudit({ ...entry, resource: "config/reload" }))
    assert.isDefined(ofAudit({ ...entry, resource: "config/reload", result: "ValidationError" }))
  })

  it("survives a name that can not be decoded", () => {
    assert.include(ofAudit({ ...entry, resource: "circuit-breakers/%ff" })!.detail, "%ff")
  })
})

const entry = (id: number, fields: Partial<Entry> = {}): Entry => ({
  id: String(id),
  at: id,
  kind: "transition",
  tone: "bad",
  title: "",
  detail: "",
  ...fields
})

describe("merge", () => {
  it("keeps the newest, newest first, and what was known as it was", () => {
    const merged = merge([entry(2, { wasMissed: true }), entry(1)], [entry(3), entry(2)], 2)
    assert.deepStrictEqual(
      merged.map(({ id, wasMissed }) => [id, wasMissed]),
      [
        ["3", undefined],
        ["2", true]
      ]
    )
  })
})

describe("bands", () => {
  const move = (at: number, from: Entry["from"], to: Entry["to"], circuit = "a"): Entry =>
    entry(at, { operation: "a", circuit, from, to })

  it("follow the transitions, from the state before the first", () => {
    const entries = [move(50, "half_open", "closed"), move(40, "open", "half_open"), move(20, "closed", "open")]
    assert.deepStrictEqual(bands(entries, "a", { from: 0, to: 100, now: "closed" }), [
      { from: 0, to: 20, state: "closed" },
      { from: 20, to: 40, state: "open" },
      { from: 40, to: 50, state: "half_open" },
      { from: 50, to: 100, state: "closed" }
    ])
    // What began before the range is cut, and what it was then is known.
    assert.deepStrictEqual(bands(entries, "a", { from: 30, to: 45, now: "closed" }), [
      { from: 30, to: 40, state: "open" },
      { from: 40, to: 45, state: "half_open" }
    ])
  })

  it("are those of the worst of several circuits", () => {
    const entries = [
      move(10, "closed", "open", "a:x"),
      move(20, "closed", "open", "a:y"),
      move(30, "open", "closed", "a:x")
    ]
    assert.deepStrictEqual(bands(entries, "a", { from: 0, to: 40, now: "open" }), [
      { from: 0, to: 10, state: "closed" },
      { from: 10, to: 40, state: "open" }
    ])
  })

  it("are one band of the present state when nothing is known", () => {
    assert.deepStrictEqual(bands([], "a", { from: 0, to: 10, now: "isolated" }), [
      { from: 0, to: 10, state: "isolated" }
    ])
  })
})

describe("what was missed", () => {
  it("is said in a sentence, also when the server forgot some of it", () => {
    assert.strictEqual(
      summary([entry(1), entry(2), entry(3, { kind: "alert" })], true),
      "Missed meanwhile: 2 transitions, 1 alert."
    )
    assert.strictEqual(summary([], true), "Nothing happened meanwhile.")
    assert.match(summary([], false), /no longer knows everything/)
  })
})
