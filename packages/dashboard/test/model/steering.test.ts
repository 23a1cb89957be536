import { assert, describe, it } from "@effect/vitest"
import { sentence, urlOf } from "../../page/api/client.ts"
import type { BenchmarkRun, Configuration, Finding, Operation, Strategies } from "../../page/api/types.ts"
import { expected, progress, tracks } from "../../page/model/benchmarks.ts"
import { bodyOf, check, question, undo } from "../../page/model/commands.ts"
import { configOf, findingsOf, place, restOf, typedOf } from "../../page/model/configForm.ts"
import { commonSource, descriptionOf, pipelineOf, sourceOf } from "../../page/model/pipeline.ts"
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

  describe("is undone", () => {
    const now = Date.parse("2026-11-24T12:00:00.000Z")
    const isolated = {
      mode: "isolated",
      reason: "maintenance",
      actor: null,
      expires_at: "2026-11-24T12:01:00.500Z"
    } as const
    const metricsOnly = { mode: "metrics_only", reason: "a trial", actor: "a", expires_at: null } as const
    const before = (
      state: Parameters<typeof undo>[1]["state"],
      overrides: Parameters<typeof undo>[1]["overrides"] = []
    ) => ({ state, overrides, retry_after_seconds: 12.3 })

    it("by a release, whatever is underneath, if it laid an override", () => {
      for (const [command, mode] of [
        ["isolate", "isolated"],
        ["disable", "disabled"],
        ["metrics-only", "metrics_only"]
      ] as const) {
        for (const state of ["closed", "open", "half_open"] as const) {
          const [only, ...rest] = undo({ command }, before(state), now)
          assert.deepInclude(only, { command: "release", mode })
          assert.isEmpty(rest)
        }
      }
      assert.deepInclude(undo({ command: "isolate" }, before("metrics_only", [metricsOnly]), now)[0], {
        command: "release",
        mode: "isolated"
      })
    })

    it("by the override that was there, for as long as it had left", () => {
      const again = { command: "isolate", reason: "maintenance", seconds: "61" } as const
      const held = before("isolated", [isolated, metricsOnly])
      assert.deepStrictEqual(undo({ command: "isolate" }, held, now), [again])
      assert.deepStrictEqual(undo({ command: "release", mode: "isolated" }, held, now), [again])
      // Close ends all of them.
      assert.deepStrictEqual(undo({ command: "close" }, held, now), [
        again,
        { command: "metrics-only", reason: "a trial", seconds: "86400" }
      ])
    })

    it("by what leads back to the state before, where nothing is laid over it", () => {
      assert.deepInclude(undo({ command: "reset" }, before("open"), now)[0], { command: "trip", seconds: "13" })
      assert.deepInclude(undo({ command: "close" }, before("half_open"), now)[0], { command: "trip", seconds: "1" })
      assert.deepInclude(undo({ command: "trip" }, before("closed"), now)[0], { command: "close" })
      assert.isEmpty(undo({ command: "reset" }, before("closed"), now))
    })
  })

  it("that releases names the override", () => {
    const release = { command: "release", reason: "", seconds: "", mode: "metrics_only" } as const
    assert.deepStrictEqual(bodyOf(release), { mode: "metrics_only" })
    assert.strictEqual(question(release, "embed"), "End metrics only of embed?")
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

  it("has one source for a policy whose numbers agree", () => {
    const [total, retry] = pipelineOf(operation, undefined, { effective } as unknown as Configuration)
    assert.strictEqual(commonSource(total!)?.text, "strategy balanced")
    assert.isUndefined(commonSource(retry!))
    assert.isUndefined(commonSource({ ...total!, numbers: [] }))
  })

  it("shows limits in units of people, and leaves out what is not set", () => {
    const [admission, budget] = pipelineOf(
      {
        ...operation,
        settings: {
          retry_budget: { form: "in_flight", ratio: 0.2, dependency: null },
          admission: { limit: 5, window: 1, max_wait: 0.25, burst: null }
        }
      } as unknown as Operation,
      undefined,
      undefined
    )
    assert.deepStrictEqual(
      admission!.numbers.map(({ name, value }) => [name, value]),
      [
        ["limit", "5"],
        ["window", "1 s"],
        ["max wait", "250 ms"]
      ]
    )
    assert.deepStrictEqual(
      budget!.numbers.map(({ name, value }) => [name, value]),
      [
        ["form", "in flight"],
        ["ratio", "20%"]
      ]
    )
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
      { name: "longest call", value: "38 s" },
      { name: "with Retry-After", value: "without end" },
      { name: "attempts for one call", value: "3" }
    ])
    assert.deepStrictEqual(description.findings, [finding])
    const stages = pipelineOf(operation, undefined, undefined, description.order)
    assert.deepStrictEqual(
      stages.map(({ numbers, title }) => [title, numbers.length]),
      // What the server leaves out stands where a call meets it.
      [
        ["Total timeout", 1],
        ["Admission", 0],
        ["Retry", 3],
        ["Circuit breaker", 2],
        ["Bulkhead", 1],
        ["Attempt timeout", 2],
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
