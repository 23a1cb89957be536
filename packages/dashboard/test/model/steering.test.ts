import { assert, describe, it } from "@effect/vitest"
import { sentence, urlOf } from "../../page/api/client.ts"
import type { BenchmarkRun, Configuration, Finding, Operation, Strategies } from "../../page/api/types.ts"
import { expected, progress, tracks } from "../../page/model/benchmarks.ts"
import { bodyOf, check, question, undo } from "../../page/model/commands.ts"
import { configOf, findingsOf, place, restOf, typedOf } from "../../page/model/configForm.ts"
import { descriptionOf, pipelineOf, sourceOf } from "../../page/model/pipeline.ts"
import { hrefOf, parse } from "../../page/model/routes.ts"
import { stack } from "../../page/model/series.ts"

describe("a command", () => {
  const draft = { command: "isolate", reason: " maintenance ", seconds: "900" } as const

  it("says what is wrong with it by field", () => {
    assert.deepStrictEqual(check(draft), {})
    assert.deepStrictEqual(Object.keys(check({ ...draft, reason: " ", seconds: "0" })), ["reason", "seconds"])
    for (const seconds of ["", "1.5", "86401", "x"]) assert.isDefined(check({ ...draft, seconds }).seconds, seconds)
    assert.match(check({ ...draft, reason: "x".repeat(201) }).reason!, /these are 201/)
    assert.deepStrictEqual(check({ command: "close", reason: "", seconds: "" }), {})
  })

  it("has the body and the question of its kind", () => {
    assert.deepStrictEqual(bodyOf(draft), { reason: "maintenance", expires_in_seconds: 900 })
    assert.deepStrictEqual(bodyOf({ ...draft, command: "trip" }), {
      reason: "maintenance",
      open_for_seconds: 900
    })
    assert.isEmpty(bodyOf({ command: "close", reason: "", seconds: "5" }))
    assert.strictEqual(question(draft, "embed"), "Isolate embed for 15 min?")
  })

  it("is undone by what leads back to the state before", () => {
    const before = (state: "closed" | "open" | "half_open" | "isolated") => ({
      state,
      retry_after_seconds: 12.3,
      isolation: state === "isolated" ? { reason: "maintenance", actor: null, expires_at: null } : null
    })
    const left = { isolationMillis: 60_500 }
    assert.strictEqual(undo("isolate", before("closed"), left)?.command, "close")
    assert.deepInclude(undo("isolate", before("open"), left), { command: "isolate", seconds: "1" })
    assert.deepInclude(undo("reset", before("open"), left), { command: "trip", seconds: "13" })
    assert.deepInclude(undo("close", before("isolated"), left), {
      command: "isolate",
      reason: "maintenance",
      seconds: "61"
    })
    assert.isUndefined(undo("reset", before("closed"), left))
  })
})

describe("the form of a configuration", () => {
  it("sends what was typed, as numbers where they are, and keeps what it has no field for", () => {
    const custom = { retry_attempts: 4, operation_overrides: { qa: "critical" } }
    assert.deepStrictEqual(typedOf(custom), { retry_attempts: "4" })
    const typed = { retry_attempts: "x1", jitter_enabled: "false", attempt_timeout: " 2.5 ", recovery_timeout: "" }
    assert.deepStrictEqual(configOf(typed, restOf(custom)), {
      operation_overrides: { qa: "critical" },
      retry_attempts: "x1",
      jitter_enabled: false,
      attempt_timeout: 2.5
    })
  })

  it("puts findings at their fields, errors first, and the others apart", () => {
    const finding = (path: string, severity: Finding["severity"]): Finding => ({
      code: path + severity,
      path,
      severity,
      message: ""
    })
    const { byField, others } = place([
      finding("retry_attempts", "warning"),
      finding("retry_attempts", "error"),
      finding("operation_overrides.qa", "error"),
      finding("", "error")
    ])
    assert.deepStrictEqual(
      byField.get("retry_attempts")?.map(({ severity }) => severity),
      ["error", "warning"]
    )
    assert.strictEqual(others.length, 2)
    assert.deepStrictEqual(findingsOf({ findings: "none" }), [])
  })
})

describe("a pipeline", () => {
  const effective = [
    { field: "retry_attempts", value: 5, source: "runtime" },
    { field: "recovery_timeout", value: 60, source: "RESILIENCE_RECOVERY_TIMEOUT" },
    { field: "attempt_timeout", value: 10, source: "preset production" }
  ]
  const operation = {
    name: "a",
    strategy: "balanced",
    source: "preset_default",
    settings: {
      retry: { max_attempts: 5, base: 1, jitter: "additive" },
      circuit_breaker: { failure_threshold: 5, recovery_timeout: 60 },
      timeout: { attempt: 10, total: 30, mode: "detach" },
      bulkhead: { max_concurrent: 10 },
      hedge: null
    }
  } as unknown as Operation

  it("has the policies in the order in which a call meets them, those of a newer server too", () => {
    assert.deepStrictEqual(
      pipelineOf(operation, undefined, undefined).map(({ name }) => name),
      ["total_timeout", "retry", "circuit_breaker", "bulkhead", "attempt_timeout"]
    )
  })

  it("says of every number where it comes from", () => {
    const stages = pipelineOf(operation, undefined, { effective } as unknown as Configuration)
    const source = (stage: string, name: string) =>
      stages.find((each) => each.name === stage)?.numbers.find((number) => number.name === name)?.source.kind
    assert.strictEqual(source("retry", "max attempts"), "override")
    assert.strictEqual(source("circuit_breaker", "recovery timeout"), "environment")
    assert.strictEqual(source("attempt_timeout", "attempt"), "preset")
    assert.strictEqual(source("retry", "base"), "strategy")
    assert.strictEqual(stages[0]!.numbers[0]!.value, "30 s")
    // Where the code names the strategy, the default of the preset says nothing.
    const named = pipelineOf(
      { ...operation, source: "code" },
      {
        strategies: { balanced: { effective: [{ field: "retry_attempts", value: 5, source: "strategy balanced" }] } }
      } as unknown as Strategies,
      { effective } as unknown as Configuration
    )
    assert.strictEqual(named[1]!.numbers[0]!.source.kind, "strategy")
    assert.strictEqual(sourceOf("code").kind, "code")
  })

  it("is what the server describes, where it does", () => {
    const finding: Finding = { code: "x", path: "", severity: "warning", message: "slow" }
    const description = descriptionOf({
      description: {
        order: [
          { policy: "admission", numbers: "5 in 1s" },
          { policy: "retry", numbers: "5 attempts" },
          { policy: "newer", numbers: "?" }
        ],
        worst_case_latency_seconds: 38,
        worst_case_latency_with_retry_after_seconds: null,
        worst_case_calls: 3,
        reasons: ["CircuitOpen"],
        findings: [finding, 1]
      }
    })
    assert.deepStrictEqual(description.worstCase, [
      { name: "latency", value: "38 s" },
      { name: "latency with retry after", value: "without end" },
      { name: "calls", value: "3" }
    ])
    assert.deepStrictEqual(description.findings, [finding])
    const stages = pipelineOf(operation, undefined, undefined, description.order)
    assert.deepStrictEqual(
      stages.map(({ numbers, title }) => [title, numbers.length]),
      [
        ["Admission", 0],
        ["Retry", 3],
        ["newer", 0]
      ]
    )
    assert.deepStrictEqual(descriptionOf({}), { order: [], worstCase: [], reasons: [], findings: [] })
  })
})

describe("benchmarks", () => {
  const run = (id: string, minute: number, p50: number, regressed = false) =>
    ({
      benchmark_id: id,
      kind: "suite",
      timestamp: `2026-11-24T12:${String(minute).padStart(2, "0")}:00.000Z`,
      pass_rate: 1,
      results: [
        { operation: "guarded_call", p50_duration_ms: p50, p95_duration_ms: p50 * 2, duration_ms: 700, passed: true }
      ],
      regression: { changes: [{ operation: "guarded_call", regressed }] }
    }) as unknown as BenchmarkRun

  it("become lines from the oldest run to the newest, with the change of the last", () => {
    const [track] = tracks([run("b", 2, 3, true), run("a", 1, 2)])
    assert.deepStrictEqual(
      track!.runs.map(({ id, hasRegressed }) => [id, hasRegressed]),
      [
        ["a", false],
        ["b", true]
      ]
    )
    assert.strictEqual(track!.change, 0.5)
    assert.isUndefined(tracks([run("a", 1, 2)])[0]!.change)
  })

  it("make progress that never claims to be done", () => {
    assert.strictEqual(expected([run("a", 1, 2)], "suite"), 700)
    assert.strictEqual(progress(0, 1_000), 0)
    assert.isAbove(progress(1_000, 1_000), 0.8)
    assert.isBelow(progress(60_000, 1_000), 1)
  })
})

describe("places", () => {
  it("are what stands behind the number sign, whatever an operation is called", () => {
    for (const name of ["a", "a/b", "<b>", "100%", "日本", "#?&"]) {
      assert.deepStrictEqual(parse(hrefOf({ page: "operation", name })), { page: "operation", name })
    }
    assert.deepStrictEqual(parse("#/alerts"), { page: "alerts" })
    for (const hash of ["", "#", "#/", "#/nowhere", "#/operations/", "#/operations/%ff", "#/constructor"]) {
      assert.deepStrictEqual(parse(hash), { page: "overview" }, hash)
    }
  })

  it("of the API are never more than a name can say", () => {
    const path = "/circuit-breakers/:breaker_name/reset"
    assert.strictEqual(
      urlOf("/internal/resilience", path, { params: { breaker_name: "../../x?y=1#z" } }),
      "/internal/resilience/circuit-breakers/..%2F..%2Fx%3Fy%3D1%23z/reset"
    )
    assert.strictEqual(
      urlOf("", "/decisions", { query: { operation: "a b&c", limit: 5, key: undefined } }),
      "/decisions?operation=a%20b%26c&limit=5"
    )
  })
})

describe("a problem", () => {
  it("is a sentence that says what to do", () => {
    const refused = { _tag: "Refused", code: "", context: {}, retryAfterMillis: undefined } as const
    assert.strictEqual(sentence({ _tag: "Unreachable" }), "The server cannot be reached.")
    assert.strictEqual(
      sentence({ ...refused, status: 403, message: "x", context: { scope: "read", required_scope: "operate" } }),
      "This key may only read: it needs the scope operate."
    )
    assert.strictEqual(
      sentence({ ...refused, status: 429, message: "Too many", retryAfterMillis: 2_100 }),
      "Too many. Try again in 3 s."
    )
  })
})

describe("stack", () => {
  it("puts each line on those before it, gaps counting as nothing", () => {
    assert.deepStrictEqual(
      stack([
        [1, 2],
        [3, NaN],
        [5, 6]
      ]),
      [
        [1, 2],
        [4, 2],
        [9, 8]
      ]
    )
  })
})
