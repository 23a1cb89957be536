import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, type Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Bulkhead from "../../src/Bulkhead.ts"
import * as Coalesce from "../../src/Coalesce.ts"
import * as Errors from "../../src/Errors.ts"
import * as OperationsGroup from "../../src/http-api/groups/OperationsGroup.ts"
import { AdminApi } from "../../src/http-api/index.ts"
import * as Preset from "../../src/Preset.ts"
import * as RateLimiter from "../../src/RateLimiter.ts"
import { Registry, RegistryInForce } from "../../src/Registry.ts"
import { Resilience, withResilience } from "../../src/Resilience.ts"
import { BulkheadFull, RateLimitExceeded, type Reason, reject } from "../../src/ResilienceError.ts"
import * as RetryBudget from "../../src/RetryBudget.ts"
import * as Strategy from "../../src/Strategy.ts"
import { app, decodes, secrets } from "./operating.ts"

const shared = { limit: 10, window: "1 minute", onExceeded: "wait", maxWait: "1 hour" } as const

const Limited = Strategy.make("limited", {
  retry: { maxAttempts: 2, base: "1 second", minDelay: 0, jitter: "none" },
  circuitBreaker: false,
  timeout: false,
  admission: RateLimiter.settings({ algorithm: "fixed-window", limit: 50, window: "1 minute" }),
  bulkhead: Bulkhead.settings({ maxConcurrent: 2, maxQueue: 3, maxWait: "10 seconds", perKey: true }),
  quota: RateLimiter.settings({ ...shared, perKey: true }),
  retryBudget: RetryBudget.settings({ dependency: "the model" })
})

const Half = Strategy.make("half", { extends: Limited, admission: false, quota: RateLimiter.settings(shared) })

const live = Resilience.layer(Preset.production, {
  operations: ["summarize_text", { name: "half", strategy: Half }, { name: "analyze_sentiment", strategy: Limited }]
})

const call = (key?: string, self: Effect.Effect<unknown, unknown> = Effect.void) =>
  self.pipe(withResilience(Limited, { operation: "analyze_sentiment", key }), Effect.exit)

const start = <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.forkChild(self, { startImmediately: true })

const outcome = (key?: string) =>
  Effect.map(call(key), (exit) => {
    const error = Exit.isFailure(exit) ? Exit.findErrorOption(exit) : undefined
    return error?._tag === "Some" ? (error.value as any).reason._tag : "admitted"
  })

const path = "/operations/analyze_sentiment"
const at = (command: string, name = "analyze_sentiment") => `/operations/${name}/rate-limits/${command}`
const post = (body: unknown, init = {}) => ({ method: "POST", body, ...init })
const pause = { scope: "admission", pause_seconds: 60, reason: "the provider asked for it" }

describe("the details of an operation", () => {
  it.effect("have the settings of its limits, null for those it leaves out", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      const { settings } = yield* get(path)
      assert.deepStrictEqual(settings.bulkhead, {
        max_concurrent: 2,
        max_queue: 3,
        max_wait: 10,
        order: "fifo",
        per_key: true
      })
      assert.deepStrictEqual(settings.admission, {
        algorithm: "fixed-window",
        limit: 50,
        window: 60,
        burst: null,
        on_exceeded: "fail",
        max_wait: 5,
        max_queue: 1000,
        max_pause: 3600,
        per_key: true
      })
      assert.deepInclude(settings.quota, { algorithm: "gcra", limit: 10, burst: 10, on_exceeded: "wait" })
      assert.deepStrictEqual(settings.retry_budget, {
        form: "window",
        ratio: 0.2,
        min_per_second: 1,
        min_concurrent: 3,
        window: 10,
        dependency: "the model"
      })
      const plain = yield* get("/operations/summarize_text")
      yield* decodes(OperationsGroup.Details, plain)
      assert.deepInclude(plain.settings, { bulkhead: null, admission: null, quota: null, retry_budget: null })
      assert.deepInclude(plain, {
        bulkheads: [],
        total_bulkheads: 0,
        rate_limits: [],
        retry_budget: null,
        coalesce: null
      })
      assert.isNotNull(plain.settings.retry)
    }).pipe(Effect.provide(live))
  )

  it.effect("tell what its limits are at", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      yield* start(call("a", Effect.never))
      for (let n = 0; n < 3; n++) yield* start(call("b", Effect.never))
      for (let n = 0; n < 6; n++) yield* start(call("c", Effect.never))
      yield* TestClock.adjust("1 second")
      const body = yield* get(path)
      yield* decodes(OperationsGroup.Details, body)
      assert.strictEqual(body.total_bulkheads, 3)
      assert.deepStrictEqual(
        body.bulkheads.map(({ active, key, limit, queued }: any) => ({ key, active, queued, limit })),
        [
          { key: "c", active: 2, queued: 3, limit: 2 },
          { key: "b", active: 2, queued: 1, limit: 2 },
          { key: "a", active: 1, queued: 0, limit: 2 }
        ]
      )
      assert.deepInclude(body.bulkheads[0].counters, { admitted: 2, rejected: 1, waited: 3, gave_up: 0 })
      const [admission, quota, ...others] = body.rate_limits
      assert.isEmpty(others)
      assert.deepInclude(admission, {
        scope: "admission",
        available: 44,
        waiting: 0,
        paused_for_seconds: 0,
        total_keys: 3
      })
      assert.deepInclude(admission.counters, { granted: 10, started: 10, refused: 0 })
      assert.deepInclude(quota, { scope: "quota", available: 8, total_keys: 3 })
      assert.deepStrictEqual(quota.settings, body.settings.quota)
      assert.strictEqual(body.retry_budget.dependency, "the model")
      assert.isAtLeast(body.retry_budget.tokens, 10)
    }).pipe(Effect.provide(live))
  )

  it.effect("tell of retries that the budget refused, and of runs that calls share", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      const Poor = Strategy.make("poor", {
        extends: Limited,
        quota: false,
        retryBudget: RetryBudget.settings({ minPerSecond: 0, ratio: 0.001 })
      })
      const failing = yield* Effect.forEach([1, 2, 3], () =>
        start(Effect.exit(Effect.fail("down").pipe(withResilience(Poor, { operation: "poor" }))))
      )
      yield* TestClock.adjust("1 second")
      yield* Effect.forEach(failing, Fiber.join)
      const shared = Effect.never.pipe(withResilience(Poor, { operation: "poor", coalesce: Coalesce.by("one") }))
      yield* Effect.forEach([1, 2, 3], () => start(shared))
      const body = yield* get("/operations/poor")
      yield* decodes(OperationsGroup.Details, body)
      assert.deepInclude(body.retry_budget, { dependency: "poor", given_up: 2, used: 1 })
      assert.deepInclude(body.retry_budget.counters, { granted: 1, refused: 2 })
      assert.deepStrictEqual(body.coalesce, { capacity: 10_000, in_flight: 1, waiting: 3, led: 1, joined: 2, alone: 0 })
    }).pipe(Effect.provide(live))
  )

  it.effect("show 100 bulkheads at most", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      for (let n = 0; n < 120; n++) yield* call(`tenant-${n}`)
      const body = yield* get(path)
      assert.lengthOf(body.bulkheads, 100)
      assert.strictEqual(body.total_bulkheads, 120)
      assert.lengthOf(body.rate_limits[0].keys, 100)
      assert.strictEqual(body.rate_limits[0].total_keys, 120)
    }).pipe(Effect.provide(live))
  )

  it.effect("are in the strategy that brings them", () =>
    Effect.gen(function* () {
      const { get } = yield* app()
      const { configuration } = yield* get("/strategies/limited")
      assert.deepInclude(configuration.bulkhead_config, { max_concurrent: 2 })
      assert.deepInclude(configuration.quota_config, { limit: 10, window: 60 })
      assert.deepInclude(configuration.retry_budget_config, { ratio: 0.2 })
      assert.isTrue(configuration.quota_config.per_key)
      const half = (yield* get("/strategies/half")).configuration
      assert.isNull(half.admission_config)
      // What a quota does unless it is told.
      assert.isFalse(half.quota_config.per_key)
    }).pipe(Effect.provide(live))
  )
})

describe("a pause of a rate limit", () => {
  it.effect("lets no call of a key through for its time, and is in the audit log", () =>
    Effect.gen(function* () {
      const { audit, call: request, get } = yield* app()
      const response = yield* request(at("pause"), post({ ...pause, key: "a" }, { key: secrets.operate }))
      const body = (yield* Effect.promise(() => response.json())) as any
      assert.strictEqual(response.status, 200, JSON.stringify(body))
      yield* decodes(OperationsGroup.Details, body)
      assert.strictEqual(response.headers.get("etag"), `"${body.version}"`)
      const [admission, quota] = body.rate_limits
      assert.deepInclude(admission, { paused_for_seconds: 60, available: 0 })
      assert.deepInclude(admission.keys[0], { key: "a", paused_for_seconds: 60 })
      assert.strictEqual(quota.paused_for_seconds, 0)
      assert.strictEqual(yield* outcome("a"), "RateLimitExceeded")
      assert.strictEqual(yield* outcome("b"), "admitted")
      assert.strictEqual(yield* outcome(), "admitted")
      const [entry] = yield* audit
      assert.deepInclude(entry, {
        action: "pause_rate_limit",
        resource: "operations/analyze_sentiment/rate-limits/admission:a",
        from: "running",
        to: "paused for 1m",
        reason: "the provider asked for it",
        result: "done"
      })
      assert.match(entry.actor, /^[0-9a-f]{6}$/)
      yield* TestClock.adjust("60 seconds")
      assert.strictEqual(yield* outcome("a"), "admitted")
      assert.strictEqual((yield* get(path)).rate_limits[0].paused_for_seconds, 0)
    }).pipe(Effect.provide(live))
  )

  it.effect("without a key is one of every call, and a longer one stays", () =>
    Effect.gen(function* () {
      const { post: send } = yield* app()
      yield* send(at("pause"), pause)
      const body = yield* send(at("pause"), { ...pause, pause_seconds: 10 })
      assert.strictEqual(body.rate_limits[0].paused_for_seconds, 60)
      assert.strictEqual(yield* outcome(), "RateLimitExceeded")
      assert.strictEqual(yield* outcome("a"), "RateLimitExceeded")
      yield* send(at("resume"), { scope: "admission" })
      assert.strictEqual(yield* outcome("a"), "admitted")
    }).pipe(Effect.provide(live))
  )

  it.effect("holds attempts that wait for a quota until it is over", () =>
    Effect.gen(function* () {
      const { get, post: send } = yield* app()
      yield* send(at("pause", "half"), { ...pause, scope: "quota", pause_seconds: 5 })
      const waiting = yield* start(Effect.void.pipe(withResilience(Half, { operation: "half" })))
      yield* TestClock.adjust("4 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      assert.strictEqual((yield* get("/operations/half")).rate_limits[0].waiting, 1)
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(waiting)))
    }).pipe(Effect.provide(live))
  )

  it.effect("ends when it is resumed, whoever caused it", () =>
    Effect.gen(function* () {
      const { audit, post: send } = yield* app()
      const slowDown = new Errors.RateLimitError({ message: "slow down", retryAfter: Duration.seconds(50) })
      const once = Strategy.make("once", { extends: Limited, retry: false })
      yield* Effect.exit(Effect.fail(slowDown).pipe(withResilience(once, { operation: "analyze_sentiment", key: "a" })))
      assert.strictEqual(yield* outcome("a"), "RateLimitExceeded")
      const body = yield* send(at("resume"), { scope: "admission", key: "a", reason: "it was a test" })
      assert.strictEqual(body.rate_limits[0].paused_for_seconds, 0)
      assert.deepInclude((yield* audit)[0], {
        action: "resume_rate_limit",
        from: "paused for 50s",
        to: "running",
        reason: "it was a test"
      })
      yield* send(at("resume"), { scope: "quota", key: "a" })
      const call = yield* start(outcome("a"))
      // Nothing is left of a burst after a pause.
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual(yield* Fiber.join(call), "admitted")
    }).pipe(Effect.provide(live))
  )
})

describe("a command to a rate limit", () => {
  it.effect("that does not exist is 422 with those that do", () =>
    Effect.gen(function* () {
      const { refused } = yield* app()
      for (const command of ["pause", "resume"]) {
        const body = command === "pause" ? pause : { scope: "admission" }
        const context = yield* refused(422, at(command, "half"), post(body))
        assert.deepInclude(context, {
          endpoint: `${command}_rate_limit`,
          operation_name: "half",
          scope: "admission",
          reason: "not_found"
        })
        assert.deepStrictEqual(context.available_options, ["quota"])
        const unknown = yield* refused(422, at(command, "ghost"), post(body))
        assert.include(unknown.available_operations, "half")
      }
    }).pipe(Effect.provide(live))
  )

  it.effect("with a stale version is 412 and pauses nothing", () =>
    Effect.gen(function* () {
      const { post: send, refused } = yield* app()
      const context = yield* refused(412, at("pause"), post(pause, { headers: { "if-match": '"9"' } }))
      assert.deepInclude(context, { operation_name: "analyze_sentiment", current_version: 0 })
      assert.strictEqual(yield* outcome(), "admitted")
      yield* send(at("pause"), pause, { headers: { "if-match": '"0"' } })
      assert.strictEqual(yield* outcome(), "RateLimitExceeded")
    }).pipe(Effect.provide(live))
  )

  it.effect("needs a scope, a time within its range and a reason", () =>
    Effect.gen(function* () {
      const { refused } = yield* app()
      for (const body of [
        {},
        { ...pause, scope: "total" },
        { ...pause, pause_seconds: 0 },
        { ...pause, pause_seconds: 3_601 },
        { ...pause, pause_seconds: 1.5 },
        { ...pause, reason: "" },
        { ...pause, reason: "x".repeat(201) },
        { ...pause, key: "x".repeat(201) },
        { ...pause, forever: true }
      ]) {
        yield* refused(400, at("pause"), post(body))
      }
      yield* refused(400, at("resume"), post({}))
      assert.strictEqual(yield* outcome(), "admitted")
    }).pipe(Effect.provide(live))
  )

  it.effect("may not come from a key that only reads, and ten times a minute from others", () =>
    Effect.gen(function* () {
      const { post: send, refused } = yield* app()
      yield* refused(403, at("pause"), post(pause, { key: secrets.read }))
      yield* refused(403, at("resume"), post({ scope: "quota" }, { key: secrets.read }))
      for (let n = 0; n < 10; n++) yield* send(at("resume"), { scope: "quota" })
      yield* refused(429, at("resume"), post({ scope: "quota" }))
      yield* send(at("pause"), pause)
    }).pipe(Effect.provide(live))
  )
})

describe("a resize of a bulkhead", () => {
  const resize = (name: string) => `/operations/${name}/bulkhead/resize`
  const active = Effect.map(
    Effect.flatMap(Registry, ({ operation }) => operation("half")),
    (found) => (found._tag === "Some" ? found.value.bulkheads.map(({ active, queued }) => [active, queued]) : [])
  )
  const occupy = start(Effect.never.pipe(withResilience(Half, { operation: "half" })))

  it.effect("lets more run at once, interrupts nothing when it takes places away, and is in the audit log", () =>
    Effect.gen(function* () {
      const { audit, get, post: send } = yield* app()
      for (let n = 0; n < 5; n++) yield* occupy
      assert.deepStrictEqual(yield* active, [[2, 3]])
      const body = yield* send(resize("half"), { max_concurrent: 4, reason: "a new node" }, { key: secrets.operate })
      yield* decodes(OperationsGroup.Resized, body)
      assert.deepInclude(body, { operation: "half", previous_limit: 2, limit: 4, configured_limit: 2, version: 0 })
      assert.strictEqual(
        body.message,
        "At most 4 attempts of half run at once, where it was 2. Its strategy says 2, and a change of the configuration may put that back"
      )
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* active, [[4, 1]])
      const shown = yield* get("/operations/half")
      assert.strictEqual(shown.bulkheads[0].limit, 4)
      assert.strictEqual(shown.settings.bulkhead.max_concurrent, 2)
      assert.deepInclude((yield* audit)[0], {
        action: "resize_bulkhead",
        resource: "operations/half/bulkhead",
        from: "2 at once",
        to: "4 at once",
        reason: "a new node",
        result: "done"
      })
      const back = yield* send(resize("half"), { max_concurrent: 2, reason: "it is gone" })
      assert.strictEqual(back.message, "At most 2 attempts of half run at once, where it was 4")
      assert.deepStrictEqual(yield* active, [[4, 1]])
    }).pipe(Effect.provide(live))
  )

  it.effect("stays through a change of the configuration that leaves the bulkhead alone", () =>
    Effect.gen(function* () {
      const { get, post: send } = yield* app()
      yield* send(resize("half"), { max_concurrent: 3, reason: "a test" })
      yield* (yield* Registry).configure((current) => ({ ...current, retry: false }))
      const { bulkheads, settings } = yield* get("/operations/half")
      assert.strictEqual(bulkheads[0].limit, 3)
      assert.strictEqual(settings.bulkhead.max_concurrent, 2)
      assert.isNull(settings.retry)
    }).pipe(Effect.provide(live))
  )

  it.effect("of an operation without one is 422, with a stale version 412, out of its range 400, by a reader 403", () =>
    Effect.gen(function* () {
      const { get, refused } = yield* app()
      const body = { max_concurrent: 5, reason: "why" }
      const context = yield* refused(422, resize("summarize_text"), post(body))
      assert.deepInclude(context, { endpoint: "resize_bulkhead", operation_name: "summarize_text" })
      assert.deepStrictEqual(context.available_operations, ["half", "analyze_sentiment"])
      yield* refused(422, resize("ghost"), post(body))
      yield* refused(412, resize("half"), post(body, { headers: { "if-match": '"7"' } }))
      yield* refused(403, resize("half"), post(body, { key: secrets.read }))
      for (const wrong of [
        {},
        { ...body, max_concurrent: 0 },
        { ...body, max_concurrent: 100_001 },
        { ...body, reason: "" }
      ]) {
        yield* refused(400, resize("half"), post(wrong))
      }
      assert.strictEqual((yield* get("/operations/half")).bulkheads[0].limit, 2)
    }).pipe(Effect.provide(live))
  )
})

describe("a rejection that reaches the API", () => {
  const failing = (reason: Reason): Effect.Effect<Response, never, Resilience | Scope.Scope> =>
    Effect.gen(function* () {
      const registry = yield* Registry
      const { call: request } = yield* app().pipe(
        Effect.provideService(RegistryInForce, {
          ...registry,
          operation: () => Effect.die(reject("store", undefined, reason))
        })
      )
      return yield* request(path)
    })

  for (const [name, status, retryAfter, reason] of [
    [
      "a rate limit is 429 with the time to come back",
      429,
      "8",
      new RateLimitExceeded({ scope: "quota", retryAfter: Duration.millis(7_500), limit: 5 })
    ],
    [
      "a rate limit that its cost never passes is 429 without a time",
      429,
      null,
      new RateLimitExceeded({ scope: "quota", retryAfter: Duration.infinity, limit: 5, cost: 6 })
    ],
    ["a full bulkhead is 503", 503, null, new BulkheadFull({ active: 2, queued: 0, limit: 2, waited: Duration.zero })]
  ] as const) {
    it.effect(`of ${name}`, () =>
      Effect.gen(function* () {
        const response = yield* failing(reason)
        assert.strictEqual(response.status, status)
        assert.strictEqual(response.headers.get("retry-after"), retryAfter)
        const text = yield* Effect.promise(() => response.text())
        const { context, error_code } = JSON.parse(text)
        assert.strictEqual(error_code, status === 429 ? "RateLimitError" : "ServiceUnavailableError")
        assert.strictEqual(context.retry_after_seconds, retryAfter === null ? undefined : Number(retryAfter))
        assert.notInclude(text, "Infinity")
      }).pipe(Effect.provide(live))
    )
  }
})

describe("the document", () => {
  it("has the commands to limits and overrides", () => {
    const names = Object.values(AdminApi.AdminApi.groups).flatMap(({ endpoints }) =>
      Object.values(endpoints).map(({ path }) => path)
    )
    for (const command of ["pause", "resume"]) {
      assert.include(names, `/internal/resilience/operations/:operation_name/rate-limits/${command}`)
    }
    assert.include(names, "/internal/resilience/operations/:operation_name/bulkhead/resize")
    assert.include(names, "/internal/resilience/circuit-breakers/:breaker_name/release")
  })
})
