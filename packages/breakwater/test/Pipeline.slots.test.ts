import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import {
  Bulkhead,
  BulkheadFull,
  Coalesce,
  Policy,
  Preset,
  RateLimiter,
  Registry,
  Resilience,
  ResilienceError,
  Retry,
  RetryBudget,
  Strategy,
  Timeout,
  withOperation,
  withResilience
} from "breakwater"
import type { Moment } from "../src/Moment.ts"

/** Notes who passes, and refuses whom it is told to. */
class Gate implements Policy.Startable<number> {
  readonly log: Array<string>
  readonly options: { readonly refuses?: (nth: number) => boolean; readonly isBusy?: boolean; readonly wait?: number }
  constructor(log: Array<string>, options: Gate["options"] = {}) {
    this.log = log
    this.options = options
  }
  placeUnsafe(known: Policy.Placed | undefined, services: Policy.Services, isOwn: boolean): Policy.Placed {
    return Policy.place(this, known, services, isOwn)
  }
  startUnsafe({ operation, slot }: Policy.Services): Policy.Running<this, number> {
    let inForce: Pick<Gate, "log" | "options"> = { log: this.log, options: this.options }
    let passed = 0
    inForce.log.push(`start ${slot}`)
    return {
      run: <A, E, R>(self: Effect.Effect<A, E, R>, call: Policy.Call, moment: Moment, observer?: Policy.Observer) =>
        Effect.suspend((): Effect.Effect<A, E | ResilienceError, R> => {
          const { refuses, wait = 0 } = inForce.options
          inForce.log.push(call.key === undefined ? slot : `${slot} ${call.key}`)
          passed++
          const waited = Duration.millis(wait)
          if (refuses?.(passed) === true) {
            const reason = new BulkheadFull({ active: 1, queued: 0, limit: 1, waited })
            return Effect.fail(new ResilienceError({ operation, key: call.key, reason }))
          }
          return Effect.andThen(
            Effect.sleep(wait),
            Effect.suspend(() => {
              const startedAt = moment.read()
              observer?.onAdmitted()
              return Effect.onExitPrimitive(self, () => {
                observer?.onSettled(moment.read() - startedAt, moment)
                return undefined
              })
            })
          )
        }),
      retuneUnsafe: (settings) => {
        inForce = settings
        inForce.log.push(`retune ${slot}`)
      },
      isAtRest: () => inForce.options.isBusy !== true,
      snapshotsUnsafe: () => [passed]
    }
  }
}

/** What stands in a place is known by what it does. */
const standIn = (gate: Gate): Bulkhead.Settings => gate as unknown as Bulkhead.Settings

const operations = Effect.flatMap(Registry, ({ operations }) => operations)

const settings = {
  retry: { maxAttempts: 2, base: "1 second", minDelay: 0, jitter: "none" },
  timeout: { attempt: "2 seconds", total: "30 seconds" }
} as const

const finish = Effect.fnUntraced(function* <A, E, R>(self: Effect.Effect<A, E, R>) {
  const fiber = yield* Effect.forkChild(self, { startImmediately: true })
  yield* TestClock.adjust("1 minute")
  return yield* Fiber.await(fiber)
})

describe("a policy in a place of the pipeline", () => {
  it.effect("is passed in order: admission once, bulkhead and quota for each attempt", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const gate = new Gate(log)
      const strategy = Strategy.make("gated", {
        ...settings,
        ...({ admission: gate, bulkhead: gate, quota: gate } as unknown as Strategy.Overrides)
      })
      const exit = yield* Effect.suspend(() => Effect.fail(log.push("call"))).pipe(
        withResilience(strategy, { operation: "target", key: "a" }),
        finish
      )
      assert.isTrue(Exit.isFailure(exit))
      assert.deepStrictEqual(log, [
        "start quota",
        "start bulkhead",
        "start admission",
        "admission a",
        "bulkhead a",
        "quota a",
        "call",
        "bulkhead a",
        "quota a",
        "call"
      ])
      const [target] = yield* operations
      assert.deepInclude(target!.counters, { calls: 1, failed: 1, attempts: 2, retries: 1, inFlight: 0 })
      assert.deepInclude(target!.circuits[0]!.counters, { admitted: 2, failed: 2 })
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("lets a call that it refuses count as a call without an attempt", () =>
    Effect.gen(function* () {
      for (const slot of ["admission", "bulkhead", "quota"] as const) {
        const gate = new Gate([], { refuses: () => true })
        const strategy = Strategy.make(slot, { ...settings, [slot]: gate })
        const error = yield* Effect.succeed(1).pipe(withResilience(strategy), Effect.flip)
        assert.strictEqual(error.reason._tag, "BulkheadFull")
        const target = (yield* operations).find(({ name }) => name === slot)!
        const expected = { calls: 1, rejected: 1, failed: 0, attempts: 0, retries: 0, inFlight: 0 }
        assert.deepInclude(target.counters, expected)
        assert.deepStrictEqual(target.counters.rejections, { BulkheadFull: 1 })
        assert.deepInclude(target.circuits[0], { state: "closed", failureCount: 0 })
        assert.strictEqual(target.attemptLatency.count, 0)
      }
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("keeps the time of an attempt from its own wait, and the time of a call not", () =>
    Effect.gen(function* () {
      const wait = 3_000
      const strategy = Strategy.make("slow", { ...settings, bulkhead: standIn(new Gate([], { wait })) })
      const exit = yield* Effect.sleep("1 second").pipe(withResilience(strategy), finish)
      assert.isTrue(Exit.isSuccess(exit))
      const [target] = yield* operations
      assert.strictEqual(target!.attemptLatency.max, 1_000)
      assert.strictEqual(target!.callLatency.max, 4_000)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("refuses without the circuit counting it, whatever a rule says", () =>
    Effect.gen(function* () {
      for (const slot of ["bulkhead", "quota"] as const) {
        const gate = new Gate([], { refuses: () => true })
        const strategy = Strategy.make(slot, {
          ...settings,
          circuitBreaker: { failureThreshold: 1 },
          rules: [() => "transient" as const],
          [slot]: gate
        })
        yield* Effect.exit(Effect.void.pipe(withResilience(strategy)))
        const target = (yield* operations).find(({ name }) => name === slot)!
        assert.deepInclude(target.circuits[0], { state: "closed", failureCount: 0 })
        assert.deepInclude(target.circuits[0]!.counters, { admitted: 1, ignored: 1, failed: 0 })
      }
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("refuses a probe of the circuit, which gives its place to the next", () =>
    Effect.gen(function* () {
      // The first call opens the circuit, and the first probe is refused.
      const gate = new Gate([], { refuses: (nth) => nth === 2 })
      const strategy = Strategy.make("probed", {
        retry: false,
        circuitBreaker: { failureThreshold: 1, openDuration: "1 second" },
        bulkhead: standIn(gate)
      })
      yield* Effect.exit(Effect.fail("down").pipe(withResilience(strategy)))
      yield* TestClock.adjust("1 second")
      const refused = yield* Effect.flip(Effect.void.pipe(withResilience(strategy)))
      assert.strictEqual(refused.reason._tag, "BulkheadFull")
      yield* Effect.void.pipe(withResilience(strategy))
      const [target] = yield* operations
      assert.deepInclude(target!.circuits[0], { state: "closed" })
      assert.deepInclude(target!.circuits[0]!.counters, { admitted: 3, succeeded: 1, failed: 1, ignored: 1 })
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("refuses after a wait, and the call shows how long it took", () =>
    Effect.gen(function* () {
      const alone = { retry: false, circuitBreaker: false } as const
      const bulkhead = Strategy.make("bulkhead", {
        ...alone,
        timeout: { attempt: "20 seconds", total: "30 seconds" },
        bulkhead: Bulkhead.settings({ maxConcurrent: 1, maxQueue: 1, maxWait: "2 seconds" })
      })
      const work = Effect.sleep("10 seconds").pipe(withResilience(bulkhead))
      yield* finish(Effect.all([Effect.exit(work), Effect.exit(work)], { concurrency: "unbounded" }))
      const [target] = yield* operations
      const rejected = (yield* Effect.flatMap(Registry, ({ decisions }) => decisions)).find(
        ({ verdict }) => verdict === "rejected"
      )
      assert.strictEqual(rejected!.elapsed, 2_000)
      assert.deepInclude(target!.counters, { calls: 2, succeeded: 1, rejected: 1, attempts: 1 })
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("refuses after a wait that a pause made too long, and the call shows how long it took", () =>
    Effect.gen(function* () {
      const limited = { _tag: "RateLimitError", isRetryable: true, retryAfter: Duration.minutes(1) }
      const strategy = Strategy.make("paused", {
        retry: false,
        circuitBreaker: false,
        timeout: { attempt: "20 seconds", total: "30 seconds" },
        admission: RateLimiter.settings({ limit: 1, window: "10 seconds", onExceeded: "wait", maxWait: "20 seconds" })
      })
      const first = Effect.fail(limited).pipe(Effect.delay("3 seconds"), withResilience(strategy))
      const second = Effect.void.pipe(withResilience(strategy))
      yield* finish(Effect.all([Effect.exit(first), Effect.exit(second)], { concurrency: "unbounded" }))
      const rejected = (yield* Effect.flatMap(Registry, ({ decisions }) => decisions)).find(
        ({ verdict }) => verdict === "rejected"
      )
      assert.strictEqual(rejected!.elapsed, 3_000)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("is started once for an operation, and once more for another", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const strategy = Strategy.make("gated", { bulkhead: standIn(new Gate(log)) })
      const call = (operation: string) => withResilience(Effect.void, strategy, { operation })
      yield* Effect.all([call("one"), call("one"), call("two")])
      assert.deepStrictEqual(log, ["start bulkhead", "bulkhead", "bulkhead", "start bulkhead", "bulkhead"])
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("is started by a later call whose own strategy has it, and left as it is by others", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const operation = "shared"
      const call = (strategy: Strategy.Strategy) => withResilience(Effect.void, strategy, { operation })
      yield* call(Strategy.balanced)
      yield* call(Strategy.make("first", { bulkhead: standIn(new Gate(log)) }))
      yield* call(Strategy.make("second", { bulkhead: standIn(new Gate([])) }))
      yield* call(Strategy.balanced)
      assert.deepStrictEqual(log, ["start bulkhead", "bulkhead", "bulkhead"])
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("keeps its state when the configuration changes", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const strategy = Strategy.make("gated", { bulkhead: standIn(new Gate(log)) })
      const resilience = yield* Registry
      const call = withResilience(Effect.void, strategy)
      yield* call
      yield* resilience.configure((current) => ({ ...current, overlay: Preset.overlay({ retryAttempts: 2 }) }))
      yield* call
      assert.deepStrictEqual(log, ["start bulkhead", "bulkhead", "bulkhead"])
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("that is busy keeps its operation from being forgotten", () =>
    Effect.gen(function* () {
      const strategy = (isBusy: boolean) => Strategy.make("gated", { bulkhead: standIn(new Gate([], { isBusy })) })
      for (const [operation, isBusy] of [
        ["busy", true],
        ["idle", false],
        ["next", false]
      ] as const) {
        yield* withResilience(Effect.void, strategy(isBusy), { operation })
      }
      const names = (yield* operations).map(({ name }) => name)
      assert.deepStrictEqual(names, ["busy", "next"])
    }).pipe(Effect.provide(Resilience.layer(Preset.simple, { maxOperations: 2 })))
  )
})

describe("calls that share a run", () => {
  const named = (operation: string, options: { readonly key?: string; readonly text?: string } = {}) =>
    withResilience("balanced", { operation, key: options.key, coalesce: Coalesce.by(options.text ?? "same") })

  it.effect("count as one call, and as many followers", () =>
    Effect.gen(function* () {
      let runs = 0
      const work = Effect.sync(() => ++runs).pipe(Effect.delay("1 second"), named("target"))
      const exit = yield* finish(Effect.all([work, work, work], { concurrency: "unbounded" }))
      assert.deepStrictEqual(exit, Exit.succeed([1, 1, 1]))
      const [target] = yield* operations
      assert.deepInclude(target!.counters, { calls: 1, succeeded: 1, attempts: 1, inFlight: 0 })
      const expected = { led: 1, joined: 2, alone: 0, inFlight: 0, waiting: 0, capacity: 10_000 }
      assert.deepStrictEqual(target!.coalesce, Option.some(expected))
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("are of one operation, one tenant and one key", () =>
    Effect.gen(function* () {
      let runs = 0
      const work = Effect.sync(() => ++runs).pipe(Effect.delay("1 second"))
      const calls = [
        named("one"),
        named("two"),
        named("one", { key: "a" }),
        named("one", { key: "b" }),
        named("one", { text: "other" }),
        named("one", { text: JSON.stringify(["a", "same"]) }),
        named("one", { text: "1:asame" })
      ]
      yield* finish(
        Effect.all(
          calls.map((guard) => guard(work)),
          { concurrency: "unbounded" }
        )
      )
      assert.strictEqual(runs, calls.length)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("each have their own fallback", () =>
    Effect.gen(function* () {
      let runs = 0
      const work = Effect.suspend(() => Effect.fail(++runs)).pipe(Effect.delay("1 second"))
      const call = (fallback: string) =>
        withResilience(work, Strategy.make("once", { retry: false }), {
          coalesce: Coalesce.by("same"),
          fallback: () => Effect.succeed(fallback)
        })
      const exit = yield* finish(Effect.all([call("a"), call("b")], { concurrency: "unbounded" }))
      assert.deepStrictEqual(exit, Exit.succeed(["a", "b"]))
      assert.strictEqual(runs, 1)
      const [target] = yield* operations
      assert.deepInclude(target!.counters, { calls: 1, failed: 1, fallbacks: 2 })
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("run on when the first leaves, under the strategy's time and not under a caller's", () =>
    Effect.gen(function* () {
      const work = Effect.succeed("done").pipe(Effect.delay("5 seconds"), named("target"))
      const hasty = yield* Effect.forkChild(Timeout.total(work, "1 second"), { startImmediately: true })
      const patient = yield* Effect.forkChild(work, { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.await(hasty)))
      assert.deepStrictEqual(yield* Fiber.await(patient), Exit.succeed("done"))
    }).pipe(Effect.provide(Resilience.layer()))
  )
})

describe("a strategy with a bulkhead", () => {
  const strategy = Strategy.make("narrow", { ...settings, bulkhead: Bulkhead.settings({ maxConcurrent: 2 }) })

  it.effect("refuses what finds no place, and shows who is in", () =>
    Effect.gen(function* () {
      const work = Effect.sleep("1 second").pipe(withResilience(strategy))
      const running = yield* Effect.forkChild(Effect.all([work, work], { concurrency: 2 }), { startImmediately: true })
      const error = yield* Effect.flip(work)
      assert.strictEqual(error.reason._tag, "BulkheadFull")
      const [during] = yield* operations
      assert.deepInclude(during!.bulkheads[0], { active: 2, queued: 0, limit: 2 })
      assert.deepInclude(during!.counters, { calls: 3, rejected: 1, attempts: 2, inFlight: 2 })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(running)
      const [after] = yield* operations
      assert.deepInclude(after!.bulkheads[0], { active: 0, queued: 0 })
      assert.deepInclude(after!.counters, { calls: 3, succeeded: 2, rejected: 1, attempts: 2, inFlight: 0 })
      assert.strictEqual(after!.circuits[0]!.failureCount, 0)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("gives the place of an abandoned attempt back at its limit", () =>
    Effect.gen(function* () {
      const one = Strategy.make("one", { ...settings, retry: false, bulkhead: Bulkhead.settings({ maxConcurrent: 1 }) })
      const slow = Effect.onInterrupt(Effect.never, () => Effect.sleep("1 minute"))
      const call = yield* Effect.forkChild(slow.pipe(withResilience(one)), { startImmediately: true })
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.await(call)))
      yield* Effect.void.pipe(withResilience(one))
      const [target] = yield* operations
      assert.deepInclude(target!.counters, { abandoned: 1, succeeded: 1, timeouts: 1 })
    }).pipe(Effect.provide(Resilience.layer()))
  )
})

describe("an attempt under policies that may refuse it", () => {
  const bulkhead = Bulkhead.settings({ maxConcurrent: 1, maxQueue: 1, maxWait: "10 seconds" })
  const quota = RateLimiter.settings({ algorithm: "fixed-window", limit: 2, window: "1 hour" })
  const both = { ...settings, retry: { ...settings.retry, maxAttempts: 1 } }

  it.effect("begins when none refuses it any more, with a circuit and without", () =>
    Effect.gen(function* () {
      for (const [name, strategy] of Object.entries({
        bounded: Strategy.make("bounded", { ...both, bulkhead }),
        inner: Strategy.make("inner", { ...both, bulkhead, quota }),
        bare: Strategy.make("bare", { ...both, bulkhead, quota, circuitBreaker: false })
      })) {
        const call = Effect.sleep("1 second").pipe(withResilience(strategy), Effect.exit)
        yield* finish(Effect.all([call, call, call], { concurrency: 3 }))
        const target = (yield* operations).find((operation) => operation.name === name)!
        const expected = { calls: 3, succeeded: 2, rejected: 1, attempts: 2, inFlight: 0 }
        assert.deepInclude(target.counters, expected)
        assert.deepInclude(target.attemptLatency, { count: 2, max: 1_000 })
        assert.strictEqual(target.callLatency.max, 2_000)
      }
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("is counted each time it is repeated, and not when it is refused", () =>
    Effect.gen(function* () {
      const strategy = Strategy.make("limited", { ...settings, quota })
      const call = Effect.fail("down").pipe(Effect.delay("1 second"), withResilience(strategy))
      yield* finish(call)
      yield* finish(call)
      const [target] = yield* operations
      assert.deepInclude(target!.counters, { calls: 2, failed: 1, rejected: 1, attempts: 2, retries: 1 })
      assert.deepInclude(target!.attemptLatency, { count: 2, max: 1_000 })
    }).pipe(Effect.provide(Resilience.layer()))
  )
})

describe("a strategy with rate limits", () => {
  it.effect("counts a call once at admission, and each attempt against the quota", () =>
    Effect.gen(function* () {
      const limit = RateLimiter.settings({ algorithm: "fixed-window", limit: 10, window: "1 hour" })
      const strategy = Strategy.make("limited", { ...settings, admission: limit, quota: limit })
      yield* finish(Effect.fail("down").pipe(withResilience(strategy)))
      const [target] = yield* operations
      const available = (snapshot: Option.Option<RateLimiter.Snapshot>) =>
        Option.getOrThrow(Option.map(snapshot, ({ keys }) => keys[0]!.available))
      assert.strictEqual(available(target!.admission), 9)
      assert.strictEqual(available(target!.quota), 8)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("does not wait past the deadline of the call, and says which limit it was", () =>
    Effect.gen(function* () {
      const wait = RateLimiter.settings({ limit: 1, window: "20 seconds", onExceeded: "wait", maxWait: "1 minute" })
      const strategy = Strategy.make("waiting", { ...settings, timeout: { total: "30 seconds" }, admission: wait })
      const call = Effect.void.pipe(withResilience(strategy))
      yield* call
      const second = yield* Effect.forkChild(call, { startImmediately: true })
      const error = yield* Effect.flip(call)
      assert.strictEqual(error.reason._tag, "RateLimitExceeded")
      assert.strictEqual(error.reason._tag === "RateLimitExceeded" && error.reason.scope, "admission")
      yield* TestClock.adjust("20 seconds")
      yield* Fiber.join(second)
      const [target] = yield* operations
      assert.deepInclude(target!.counters, { calls: 3, succeeded: 2, rejected: 1, attempts: 2 })
      assert.strictEqual(target!.callLatency.max, 20_000)
      assert.strictEqual(target!.attemptLatency.max, 0)
    }).pipe(Effect.provide(Resilience.layer()))
  )
})

describe("a strategy with a retry budget", () => {
  const retries = (operation: string) =>
    Effect.map(operations, (all) => all.find(({ name }) => name === operation)!.counters.retries)
  const budgeted = (dependency?: string) =>
    Strategy.make("budgeted", {
      circuitBreaker: false,
      retry: { maxAttempts: 5, base: "1 milli", minDelay: 0, jitter: "none" },
      retryBudget: RetryBudget.settings({ minPerSecond: 0.2, dependency })
    })

  it.effect("retries within it, each operation by itself", () =>
    Effect.gen(function* () {
      const strategy = budgeted()
      for (const operation of ["one", "two"]) {
        const exit = yield* finish(Effect.fail("down").pipe(withResilience(strategy, { operation }), Effect.flip))
        assert.deepStrictEqual(exit, Exit.succeed("down"))
        assert.strictEqual(yield* retries(operation), 2)
      }
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("shares it with the strategies that name the same dependency", () =>
    Effect.gen(function* () {
      for (const [operation, expected] of [
        ["one", 2],
        ["two", 0]
      ] as const) {
        const call = Effect.fail("down").pipe(withResilience(budgeted("model"), { operation }))
        const fiber = yield* Effect.forkChild(call, { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* Fiber.await(fiber)
        assert.strictEqual(yield* retries(operation), expected)
      }
      const [one] = yield* operations
      assert.deepInclude(Option.getOrThrow(one!.retryBudget), { dependency: "model", used: 2 })
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("counts no call that was refused at admission, and its time from there", () =>
    Effect.gen(function* () {
      const strategy = Strategy.make("admitted", {
        retry: { maxAttempts: 2, base: "1 second", minDelay: 0, jitter: "none" },
        circuitBreaker: false,
        timeout: { attempt: "2 seconds", total: "1 minute" },
        admission: RateLimiter.settings({
          limit: 1,
          window: "10 seconds",
          onExceeded: "wait",
          maxWait: "15 seconds",
          maxQueue: 1
        }),
        retryBudget: RetryBudget.settings()
      })
      const call = Effect.exit(Effect.fail("down").pipe(withResilience(strategy)))
      const exit = yield* finish(Effect.all([call, call, call], { concurrency: "unbounded" }))
      const elapsed = Exit.isSuccess(exit)
        ? exit.value.map((ended) =>
            Exit.isFailure(ended)
              ? Option.map(Retry.exhausted(ended.cause), ({ elapsed }) => Duration.toMillis(elapsed))
              : Option.none()
          )
        : []
      assert.deepStrictEqual(elapsed, [Option.some(1_000), Option.some(1_000), Option.none()])
      const [target] = yield* operations
      assert.deepInclude(Option.getOrThrow(target!.retryBudget).counters, { calls: 2, granted: 2 })
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("is no part of that of a dependency that another call's strategy names", () =>
    Effect.gen(function* () {
      yield* withOperation(Effect.void, "target")
      const retried = (dependency: string | undefined) =>
        finish(Effect.exit(Effect.fail("down").pipe(withResilience(budgeted(dependency), { operation: "target" }))))
      yield* retried("model")
      assert.strictEqual(yield* retries("target"), 2)
      yield* retried(undefined)
      assert.strictEqual(yield* retries("target"), 4)
      const [target] = yield* operations
      assert.deepInclude(Option.getOrThrow(target!.retryBudget), { dependency: "target" })
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("may be forgotten while others use the budget of its dependency", () =>
    Effect.gen(function* () {
      for (const operation of ["one", "two", "three"]) {
        yield* Effect.void.pipe(withResilience(budgeted("model"), { operation }))
      }
      const names = (yield* operations).map(({ name }) => name)
      assert.deepStrictEqual(names.toSorted(), ["three", "two"])
    }).pipe(Effect.provide(Resilience.layer(Preset.simple, { maxOperations: 2 })))
  )

  it.effect("shares what is left over beyond the bound of dependencies", () =>
    Effect.gen(function* () {
      const snapshots = []
      for (const operation of ["one", "two", "three"]) {
        yield* finish(Effect.exit(Effect.fail("down").pipe(withResilience(budgeted(operation), { operation }))))
      }
      yield* Effect.void.pipe(withResilience(budgeted("four"), { operation: "four" }))
      yield* Effect.void.pipe(withResilience(budgeted("five"), { operation: "five" }))
      yield* Effect.void.pipe(withResilience(budgeted("six"), { operation: "six" }))
      for (const { retryBudget } of yield* operations) snapshots.push(Option.getOrThrow(retryBudget).dependency)
      assert.deepStrictEqual(snapshots, ["one", "two", "three", "four", "five", "(overflow)"])
    }).pipe(Effect.provide(Resilience.layer(Preset.simple, { maxKeys: 2 })))
  )
})
