import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Schedule } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"
import { Description, Policies, Presets, Preset, Resilience, Retry, Strategy, withResilience } from "breakwater"
import * as Monotonic from "../src/Monotonic.ts"

const seconds = Duration.toSeconds

const codes = ({ findings }: Pick<Description.Description, "findings">): ReadonlyArray<string> =>
  findings.map(({ code, path, severity }) => `${severity} ${code} ${path}`)

/** A strategy about which nothing is doubtful. */
const calm = Strategy.make("calm", {
  retry: { maxAttempts: 3, base: "1 second", minDelay: "1 second", maxDelay: "4 seconds", jitter: "full" },
  circuitBreaker: { failureThreshold: 5, openDuration: "30 seconds" },
  timeout: { attempt: "5 seconds", total: "30 seconds" }
})

const withSettings = (
  { settings: { circuitBreaker, retry, timeout } }: Strategy.Strategy,
  settings: Partial<Description.Settings>
): Description.Settings => ({ circuitBreaker, retry, timeout, ...settings })

const described = (settings: Partial<Description.Settings>) =>
  Description.describe({ name: "calm", settings: withSettings(calm, settings) })

const circuit = (tripPolicy: Description.TripPolicy): Partial<Description.Settings> => ({
  circuitBreaker: Object.assign(Object.create(calm.settings.circuitBreaker as object), { tripPolicy })
})

const probes = (halfOpenMaxCalls: number): Partial<Description.Settings> => ({
  circuitBreaker: Object.assign(Object.create(calm.settings.circuitBreaker as object), { halfOpenMaxCalls })
})

const slow = (
  minimumCalls: number,
  window?: { readonly duration: Duration.Duration } | { readonly size: number }
): Description.TripPolicy => ({ _tag: "SlowCalls", threshold: Duration.seconds(2), rate: 0.5, minimumCalls, window })

const bulkhead = { maxConcurrent: 8, maxQueue: 100, maxWait: Duration.seconds(2) }
const limit = {
  limit: 60,
  window: Duration.minutes(1),
  onExceeded: "wait",
  maxWait: Duration.seconds(3)
} as const

describe("the description of a strategy", () => {
  it("lists its policies with their numbers, the outermost first", () => {
    const { order, strategy } = described({
      bulkhead,
      admission: { ...limit, onExceeded: "fail", burst: 5 },
      quota: limit
    })
    assert.strictEqual(strategy, "calm")
    assert.deepStrictEqual(
      order.map(({ numbers, policy }) => `${policy}: ${numbers}`),
      [
        "total_timeout: 30s",
        "admission: 60 in 1m, 5 at once",
        "retry: 3 attempts, pauses of 1s × 2 up to 4s, full jitter",
        "circuit_breaker: opens after 5 failures in a row, for 30s, 1 probe",
        "bulkhead: 8 at once, 100 wait up to 2s",
        "quota: 60 in 1m, waits up to 3s",
        "attempt_timeout: 5s"
      ]
    )
  })

  it("leaves out the policies that the strategy leaves out, with their reasons", () => {
    const bare = Description.describe(Strategy.make("bare", { retry: false, circuitBreaker: false, timeout: false }))
    assert.deepStrictEqual(bare.order, [])
    assert.deepStrictEqual(bare.reasons, [])
    assert.strictEqual(seconds(bare.worstCase.latency), Infinity)
    assert.strictEqual(bare.worstCase.calls, 1)
    assert.deepStrictEqual(described({ circuitBreaker: false }).reasons, ["TimeoutExceeded"])
  })

  it("names the reasons with which a call can end", () => {
    assert.deepStrictEqual(described({ bulkhead, quota: limit }).reasons, [
      "CircuitOpen",
      "CircuitHalfOpen",
      "CircuitIsolated",
      "BulkheadFull",
      "RateLimitExceeded",
      "TimeoutExceeded"
    ])
  })

  it("adds waits to the worst case: once for the admission, before each attempt for the others", () => {
    const { retry, timeout } = Strategy.make("patient", {
      retry: { maxAttempts: 2, base: "1 second", minDelay: 0, jitter: "none" },
      timeout: { attempt: "5 seconds", total: "1 hour" }
    }).settings
    const latency = (settings: Partial<Description.Settings>) =>
      seconds(described({ retry, timeout, ...settings }).worstCase.latency)
    assert.strictEqual(latency({}), 11)
    assert.strictEqual(latency({ admission: limit }), 14)
    assert.strictEqual(latency({ quota: limit }), 17)
    assert.strictEqual(latency({ bulkhead }), 15)
    assert.strictEqual(latency({ bulkhead: { ...bulkhead, maxQueue: 0 } }), 11)
    assert.strictEqual(latency({ admission: { ...limit, onExceeded: "fail" } }), 11)
    assert.strictEqual(seconds(described({ retry, timeout }).worstCase.latencyWithRetryAfter), 3_600)
  })

  const circuitNumbers = (overrides: Omit<Strategy.Overrides, "extends">) =>
    Description.describe(Strategy.make("shown", { extends: calm, ...overrides })).order.find(
      ({ policy }) => policy === "circuit_breaker"
    )!.numbers

  it("tells how long a probe and a ramp take, and how long an opening lasts at most if it is asked to last", () => {
    assert.strictEqual(
      circuitNumbers({
        circuitBreaker: { probeTimeout: "20 seconds", rampUp: "1 minute", maxRetryAfter: "5 minutes" }
      }),
      "opens after 5 failures in a row, for 30s, up to 5m if asked to, 1 probe within 20s, all calls again 1m after it closes"
    )
    assert.strictEqual(
      circuitNumbers({ circuitBreaker: { halfOpenMaxCalls: 3, successThreshold: 2, probeTimeout: "20 seconds" } }),
      "opens after 5 failures in a row, for 30s, 2 of 3 probes have to succeed within 20s"
    )
  })

  it("shows the first steps of open times that grow, and where they lead", () => {
    const shown = (openSchedule: Schedule.Schedule<unknown, number>) =>
      circuitNumbers({ openSchedule }).match(/row, for (.*), 1 probe/)?.[1]
    assert.strictEqual(shown(Schedule.exponential("1 second")), "1s, 2s, 4s, 8s … 1d")
    assert.strictEqual(shown(Schedule.exponential("1 second").pipe(Schedule.upTo({ times: 3 }))), "1s, 2s, 4s")
    assert.strictEqual(shown(Schedule.spaced("7 seconds")), "7s")
  })

  it("tells whose limit it is where that is said", () => {
    const { order } = described({ admission: { ...limit, perKey: true }, quota: { ...limit, perKey: false } })
    const numbers = order.map((part) => part.numbers)
    assert.include(numbers, "60 in 1m, each key by itself, waits up to 3s")
    assert.include(numbers, "60 in 1m, all keys together, waits up to 3s")
  })

  it("shows every kind of trip policy", () => {
    const shown = (policy: Description.TripPolicy) =>
      described(circuit(policy)).order.find(({ policy }) => policy === "circuit_breaker")!.numbers
    assert.strictEqual(
      shown({
        _tag: "AnyOf",
        policies: [
          { _tag: "Consecutive", failures: 7 },
          { _tag: "CountWindow", size: 100, rate: 0.125 },
          { _tag: "TimeWindow", duration: Duration.minutes(1), rate: 0.5 },
          { _tag: "FailuresIn", count: 9, duration: Duration.seconds(10) },
          { _tag: "SlowCalls", threshold: Duration.seconds(2), rate: 0.8 }
        ]
      }),
      "opens after 7 failures in a row, or 12.5 % failures of 100 calls, or 50 % failures in 1m, " +
        "or 9 failures in 10s, or 80 % calls of 2s or more, for 30s, 1 probe"
    )
  })
})

describe("what is doubtful", () => {
  it("is nothing about a calm strategy, nor about one with queues", () => {
    assert.deepStrictEqual(codes(Description.describe(calm)), [])
    assert.deepStrictEqual(codes(described({ bulkhead, quota: { ...limit, burst: 10 } })), [])
  })

  it("is nothing that warns about the built-in strategies", () => {
    for (const strategy of Object.values(Strategy.builtIn)) {
      const warnings = Description.describe(strategy).findings.filter(({ severity }) => severity === "warning")
      assert.deepStrictEqual(warnings, [], strategy.name)
    }
  })

  type Change = Omit<Strategy.Overrides, "extends">
  const vectors: ReadonlyArray<readonly [change: Change, findings: ReadonlyArray<string>]> = [
    [
      { timeout: { attempt: "31 seconds" } },
      [
        "warning attempt_exceeds_total timeout.attempt",
        "warning open_shorter_than_attempt circuitBreaker.openDuration",
        "warning probe_shorter_than_attempt circuitBreaker.probeTimeout"
      ]
    ],
    [{ timeout: { attempt: "30 seconds" } }, ["info slow_attempts timeout.attempt"]],
    [
      { retry: { base: "20 seconds", maxDelay: "20 seconds", jitter: "none" } },
      ["warning unreachable_attempts retry.maxAttempts"]
    ],
    [
      { retry: { maxAttempts: 8, base: "1 milli", minDelay: 0 }, circuitBreaker: { failureThreshold: 9 } },
      ["warning many_retries retry.maxAttempts", "info slow_attempts timeout.attempt"]
    ],
    [{ retry: { minDelay: "5 seconds" } }, ["warning min_exceeds_max retry.minDelay"]],
    [{ retry: { jitter: "none" } }, []],
    [{ retry: { jitter: "none", maxAttempts: 4 } }, ["warning no_jitter retry.jitter"]],
    [{ timeout: false }, ["warning no_timeout timeout", "warning unbounded_retry_after timeout.total"]],
    [{ timeout: false, retry: false }, ["warning no_timeout timeout"]],
    [{ circuitBreaker: false }, ["warning retry_without_circuit_breaker circuitBreaker"]],
    [{ circuitBreaker: false, retry: { maxAttempts: 1 } }, []],
    [{ circuitBreaker: { failureThreshold: 4 } }, []],
    [{ circuitBreaker: { failureThreshold: 3 } }, ["warning retry_gt_threshold circuitBreaker.failureThreshold"]],
    [
      { circuitBreaker: { failureThreshold: 2 } },
      [
        "warning low_threshold circuitBreaker.failureThreshold",
        "warning retry_gt_threshold circuitBreaker.failureThreshold"
      ]
    ],
    [
      { circuitBreaker: { openDuration: "4 seconds" } },
      ["warning open_shorter_than_attempt circuitBreaker.openDuration"]
    ],
    [
      { circuitBreaker: { probeTimeout: "4 seconds" } },
      ["warning probe_shorter_than_attempt circuitBreaker.probeTimeout"]
    ]
  ]
  for (const [change, expected] of vectors) {
    it(`is ${expected.join(", ") || "nothing"} with ${JSON.stringify(change)}`, () => {
      const strategy = Strategy.make("changed", { extends: calm, ...change })
      assert.deepStrictEqual(codes(Description.describe(strategy)), expected)
    })
  }

  const structural: ReadonlyArray<
    readonly [name: string, settings: Partial<Description.Settings>, findings: ReadonlyArray<string>]
  > = [
    [
      "a queue as long as the call",
      { bulkhead: { ...bulkhead, maxWait: Duration.seconds(30) } },
      ["warning probe_shorter_than_attempt circuitBreaker.probeTimeout", "warning wait_exceeds_total bulkhead.maxWait"]
    ],
    [
      "an admission as long as the call",
      { admission: { ...limit, maxWait: Duration.minutes(1) } },
      ["warning wait_exceeds_total admission.maxWait"]
    ],
    ["a limit that never waits", { quota: { ...limit, onExceeded: "fail", maxWait: Duration.hours(1) } }, []],
    ["retries under a budget", { circuitBreaker: false, retryBudget: { ratio: 0.2 } }, []],
    [
      "a budget without retries",
      { retry: false, retryBudget: { ratio: 0.2 } },
      ["warning budget_without_retries retryBudget"]
    ],
    [
      "a budget for one attempt",
      { retry: Retry.settings({ maxAttempts: 1 }), retryBudget: { ratio: 0.2 } },
      ["warning budget_without_retries retryBudget"]
    ],
    [
      "more probes than places",
      { ...probes(10), bulkhead: { maxConcurrent: 2, maxQueue: 0, maxWait: Duration.zero } },
      ["warning probes_exceed_places circuitBreaker.halfOpenMaxCalls"]
    ],
    [
      "as many probes as places",
      { ...probes(2), bulkhead: { maxConcurrent: 2, maxQueue: 0, maxWait: Duration.zero } },
      []
    ],
    [
      "slow calls that a quota keeps too few",
      { ...circuit(slow(41, { duration: Duration.seconds(30) })), quota: { ...limit, burst: 10 } },
      ["warning minimum_calls_unreachable circuitBreaker.tripPolicy"]
    ],
    [
      "slow calls that a quota lets be enough",
      { ...circuit(slow(40, { duration: Duration.seconds(30) })), quota: { ...limit, burst: 10 } },
      []
    ],
    ["slow calls in a window of calls", { ...circuit(slow(41, { size: 100 })), quota: { ...limit, burst: 10 } }, []],
    [
      "slow calls that are enough within a minute, unless they say",
      { ...circuit(slow(121)), quota: limit },
      ["warning minimum_calls_unreachable circuitBreaker.tripPolicy"]
    ],
    [
      "failures that a quota keeps too few",
      {
        ...circuit({ _tag: "FailuresIn", count: 1_000, duration: Duration.minutes(1) }),
        quota: { ...limit, limit: 10 }
      },
      ["warning minimum_calls_unreachable circuitBreaker.tripPolicy"]
    ],
    [
      "failures that a quota lets be enough",
      { ...circuit({ _tag: "FailuresIn", count: 20, duration: Duration.minutes(1) }), quota: { ...limit, limit: 10 } },
      []
    ],
    [
      "a window that an admission limit cannot fill",
      {
        ...circuit({ _tag: "TimeWindow", duration: Duration.minutes(1), rate: 0.5, minimumCalls: 61 }),
        admission: { ...limit, limit: 10 }
      },
      ["warning minimum_calls_unreachable circuitBreaker.tripPolicy"]
    ],
    [
      "a window that an admission limit can just fill with retries",
      {
        ...circuit({ _tag: "TimeWindow", duration: Duration.minutes(1), rate: 0.5, minimumCalls: 60 }),
        admission: { ...limit, limit: 10 }
      },
      []
    ],
    [
      "a window of few calls",
      circuit({ _tag: "CountWindow", size: 3, rate: 0.5 }),
      ["warning retry_gt_threshold circuitBreaker.tripPolicy"]
    ],
    ["a window of enough calls", circuit({ _tag: "CountWindow", size: 100, rate: 0.5 }), []],
    [
      "few failures in a time",
      circuit({ _tag: "FailuresIn", count: 3, duration: Duration.seconds(1) }),
      ["warning retry_gt_threshold circuitBreaker.tripPolicy"]
    ],
    [
      "a window that a quota cannot fill",
      {
        ...circuit({ _tag: "TimeWindow", duration: Duration.seconds(30), rate: 0.5, minimumCalls: 41 }),
        quota: { ...limit, burst: 10 }
      },
      ["warning minimum_calls_unreachable circuitBreaker.tripPolicy"]
    ],
    [
      "a window that a quota can just fill",
      {
        ...circuit({ _tag: "TimeWindow", duration: Duration.seconds(30), rate: 0.5, minimumCalls: 40 }),
        quota: { ...limit, burst: 10 }
      },
      []
    ],
    [
      "a call that is never slow",
      circuit({ _tag: "SlowCalls", threshold: Duration.millis(5_001), rate: 0.5 }),
      ["warning slow_threshold_unreachable circuitBreaker.tripPolicy"]
    ],
    ["a call that can be slow", circuit({ _tag: "SlowCalls", threshold: Duration.seconds(5), rate: 0.5 }), []]
  ]
  for (const [name, settings, expected] of structural) {
    it(`is ${expected.join(", ") || "nothing"} about ${name}`, () => {
      assert.deepStrictEqual(codes(described(settings)), expected)
    })
  }

  it("leaves open times that grow alone", () => {
    const { circuitBreaker } = Strategy.make("hasty", {
      extends: calm,
      circuitBreaker: { openDuration: "1 second" }
    }).settings
    const settings = withSettings(calm, { circuitBreaker })
    assert.strictEqual(Description.lint(settings).length, 1)
    assert.deepStrictEqual(Description.lint(settings, { hasOpenSchedule: true }), [])
  })

  it("says what keeps a circuit from opening, and what to write instead", () => {
    const [finding] = described({
      ...circuit({ _tag: "FailuresIn", count: 1_000, duration: Duration.minutes(1) }),
      admission: { ...limit, limit: 10 },
      quota: { ...limit, limit: 60 }
    }).findings
    assert.strictEqual(
      finding?.message,
      "The admission limit lets 60 attempts pass in the window of 1m, and count is 1000: the circuit cannot open"
    )
    assert.strictEqual(finding?.suggestion, "Set count to 60 or less, or make the window longer")
    const [places] = described({ ...probes(10), bulkhead: { ...bulkhead, maxConcurrent: 2 } }).findings
    assert.strictEqual(
      places?.message,
      "circuitBreaker.halfOpenMaxCalls is 10 and bulkhead.maxConcurrent is 2: of as many probes at once 8 wait in the queue while their time runs"
    )
    assert.strictEqual(
      places?.suggestion,
      "Set circuitBreaker.halfOpenMaxCalls to 2 or less, or bulkhead.maxConcurrent to 10 or more"
    )
  })

  it("says what stands there, in the units in which it is written, and what to write instead", () => {
    const [finding] = Description.describe(
      Strategy.make("changed", { extends: calm, timeout: { attempt: "31 seconds", total: "30 seconds" } })
    ).findings
    assert.deepStrictEqual(finding, {
      code: "attempt_exceeds_total",
      severity: "warning",
      path: "timeout.attempt",
      message: "timeout.attempt is 31s and timeout.total is 30s: the call is over before an attempt is",
      suggestion: "Set timeout.attempt to 30s or less"
    })
  })
})

describe("the worst case", () => {
  it("of the built-in strategies is that of their documentation", () => {
    const text = readFileSync(new URL("../src/Strategy.ts", import.meta.url), "utf8")
    const rows = [...text.matchAll(/^ \* \| `(\w+)` \|.* \| ([^|]+) \|$/gm)]
    assert.deepStrictEqual(
      rows.map(([, name]) => name),
      Object.keys(Strategy.builtIn)
    )
    for (const [, name, figures] of rows) {
      const { worstCase } = Description.describe(Strategy.builtIn[name as Strategy.BuiltIn])
      assert.strictEqual(figures, `${seconds(worstCase.latency)} s, ${worstCase.calls} calls`, name)
    }
  })

  it("of a preset is that of its strategies", () => {
    for (const { overlay, preset } of Presets.builtIn) {
      const { settings } = Preset.resolve(preset, overlay, "any", undefined, Policies.makers).strategy
      const { calls, latency } = Description.worstCaseOf(settings)
      assert.deepStrictEqual(Presets.worstCase(settings), { latency, amplification: calls })
    }
  })

  const mulberry32 = (seed: number) => () => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  const random = mulberry32(20_260_111)
  const whole = (minimum: number, maximum: number) => minimum + Math.floor(random() * (maximum - minimum + 1))
  const strategies = Array.from({ length: 200 }, () =>
    Strategy.make("any", {
      retry: {
        maxAttempts: whole(1, 8),
        base: whole(1, 5_000),
        factor: whole(1, 4),
        minDelay: whole(0, 3_000),
        maxDelay: whole(1, 20_000),
        jitter: Retry.Jitter.literals[whole(0, 4)]!,
        jitterMax: whole(0, 3_000)
      },
      circuitBreaker: false,
      timeout: { attempt: whole(10, 10_000), total: whole(100, 60_000) }
    })
  )

  const now = Effect.map(Clock.Clock, Monotonic.now)

  /** Makes one call of a dependency that does `attempt`, and says what became of it. */
  const run = (strategy: Strategy.Strategy, attempt: (nth: number) => Effect.Effect<never, string>) =>
    Effect.gen(function* () {
      let calls = 0
      const dependency = Effect.suspend(() => attempt(++calls))
      const start = yield* now
      const call = Effect.flatMap(Effect.exit(withResilience(dependency, strategy)), (exit) =>
        Effect.map(now, (end) => ({ exit, elapsed: end - start, calls }))
      )
      const fiber = yield* Effect.forkChild(call, { startImmediately: true })
      for (let turn = 0; fiber.pollUnsafe() === undefined && turn < 200; turn++) yield* TestClock.adjust("1 second")
      return yield* Fiber.join(fiber)
    }).pipe(Effect.provide(Resilience.layer()))

  // A sleep lasts whole milliseconds.
  const rounding = (strategy: Strategy.Strategy) => (strategy.settings.retry ? strategy.settings.retry.maxAttempts : 1)

  it.effect("bounds calls whose attempts hang, fail at once, or take their time", () =>
    Effect.gen(function* () {
      for (const strategy of strategies) {
        const { calls, latency } = Description.worstCaseOf(strategy.settings)
        const behaviours: ReadonlyArray<(nth: number) => Effect.Effect<never, string>> = [
          () => Effect.never,
          () => Effect.fail("down"),
          () => Effect.andThen(Effect.sleep(whole(0, 12_000)), Effect.fail("down"))
        ]
        for (const behaviour of behaviours) {
          const seen = yield* run(strategy, behaviour)
          assert.isTrue(Exit.isFailure(seen.exit))
          assert.isAtMost(
            seen.elapsed,
            Duration.toMillis(latency) + rounding(strategy),
            JSON.stringify(strategy.settings)
          )
          assert.isAtMost(seen.calls, calls, JSON.stringify(strategy.settings))
        }
      }
    })
  )

  it.effect("is reached to within the jitter by calls whose attempts hang, where they all fit", () =>
    Effect.gen(function* () {
      let reached = 0
      for (const strategy of strategies) {
        const { retry, timeout } = strategy.settings
        if (!retry || !timeout) throw new Error("it has both")
        const { calls, latency, latencyWithRetryAfter } = Description.worstCaseOf(strategy.settings)
        if (Duration.toMillis(latency) >= Duration.toMillis(timeout.total)) continue
        const least = Description.worstCaseOf(
          Strategy.make("plain", { extends: strategy, retry: { jitter: "none" } }).settings
        ).latency
        const seen = yield* run(strategy, () => Effect.never)
        assert.strictEqual(seen.calls, calls)
        if (retry.jitter === "none") {
          assert.closeTo(seen.elapsed, Duration.toMillis(latency), rounding(strategy))
          reached++
        }
        if (retry.jitter === "additive") assert.isAtLeast(seen.elapsed + rounding(strategy), Duration.toMillis(least))
        const isRetried = calls > 1
        assert.strictEqual(
          Duration.toMillis(latencyWithRetryAfter),
          Duration.toMillis(isRetried ? timeout.total : latency)
        )
      }
      assert.isAbove(reached, 3)
    })
  )

  it.effect("is reached in calls by attempts that fail at once, without jitter", () =>
    Effect.gen(function* () {
      for (const strategy of strategies) {
        const { retry } = strategy.settings
        if (!retry || retry.jitter !== "none") continue
        const seen = yield* run(strategy, () => Effect.fail("down"))
        assert.strictEqual(seen.calls, Description.worstCaseOf(strategy.settings).calls)
      }
    })
  )

  it.effect("with Retry-After is reached by a dependency that asks for a long pause", () =>
    Effect.gen(function* () {
      const { latency, latencyWithRetryAfter } = Description.worstCaseOf(calm.settings)
      const asks = { _tag: "Busy", retryAfter: Duration.millis(24_500), isRetryable: true } as const
      const strategy = Strategy.make("asked", {
        extends: calm,
        retry: { jitter: "none" },
        rules: [() => "rate_limited" as const]
      })
      const seen = yield* run(strategy, (nth) => (nth === 1 ? Effect.fail(asks as never) : Effect.never))
      assert.isAbove(seen.elapsed, Duration.toMillis(latency))
      assert.isAtMost(seen.elapsed, Duration.toMillis(latencyWithRetryAfter))
      assert.isAbove(seen.elapsed, 29_000)
    })
  )
})
