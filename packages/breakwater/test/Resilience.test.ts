import { assert, describe, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Option, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"
import {
  CircuitBreaker,
  Errors,
  Preset,
  Registry,
  Resilience,
  ResilienceError,
  Settings,
  Strategy,
  withOperation,
  withResilience
} from "breakwater"

const quick = Strategy.make("quick", {
  retry: false,
  circuitBreaker: { failureThreshold: 2, openDuration: "10 seconds" },
  timeout: { attempt: "1 second", total: "5 seconds" }
})

describe("withResilience", () => {
  it.effect("rejects the third call after two failures without reaching the target, then lets one of two probe", () =>
    Effect.gen(function* () {
      const calls = yield* Ref.make(0)
      const target = <A, E>(answer: Effect.Effect<A, E>) => Ref.update(calls, (n) => n + 1).pipe(Effect.andThen(answer))
      const guard = withResilience(quick, { operation: "target" })

      yield* Effect.exit(target(Effect.fail("down")).pipe(guard))
      yield* Effect.exit(target(Effect.fail("down")).pipe(guard))
      const rejected = yield* Effect.flip(target(Effect.succeed("up")).pipe(guard))
      assert.strictEqual(rejected._tag, "ResilienceError")
      assert.strictEqual(rejected.reason._tag, "CircuitOpen")
      assert.deepStrictEqual(rejected.retryAfter, Duration.seconds(10))
      assert.strictEqual(yield* Ref.get(calls), 2)

      yield* TestClock.adjust("10 seconds")
      const [first, second] = yield* Effect.all([
        Effect.forkChild(Effect.exit(target(Effect.sleep("100 millis")).pipe(guard)), { startImmediately: true }),
        Effect.forkChild(Effect.exit(target(Effect.void).pipe(guard)), { startImmediately: true })
      ])
      yield* TestClock.adjust("100 millis")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(first)))
      assert.isTrue(Exit.isFailure(yield* Fiber.join(second)))
      assert.strictEqual(yield* Ref.get(calls), 3)

      const { circuits } = Option.getOrThrow(yield* (yield* Registry).operation("target"))
      assert.strictEqual(circuits[0]?.state, "closed")
    }).pipe(Effect.provide(Resilience.layer()))
  )

  for (const error of [
    new Errors.ValidationError({ message: "no" }),
    new Errors.BusinessLogicError({ message: "no" })
  ]) {
    it.effect(`executes once when the operation fails with ${error._tag}`, () =>
      Effect.gen(function* () {
        const calls = yield* Ref.make(0)
        const failed = yield* Ref.update(calls, (n) => n + 1).pipe(
          Effect.andThen(Effect.fail(error)),
          withOperation("summarize"),
          Effect.flip
        )
        assert.strictEqual(failed, error)
        assert.strictEqual(yield* Ref.get(calls), 1)
      }).pipe(Effect.provide(Resilience.layer(Preset.production)))
    )
  }

  it.effect("executes three times on a connection error and gives the error to the fallback", () =>
    Effect.gen(function* () {
      const calls = yield* Ref.make(0)
      const refused = Object.assign(new Error("connect"), { code: "ECONNREFUSED" })
      const fiber = yield* Ref.update(calls, (n) => n + 1).pipe(
        Effect.andThen(Effect.fail(refused)),
        withResilience("balanced", { operation: "target", fallback: (error) => Effect.succeed(error) }),
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), refused)
      assert.strictEqual(yield* Ref.get(calls), 3)
      const { counters } = Option.getOrThrow(yield* (yield* Registry).operation("target"))
      assert.strictEqual(counters.attempts, 3)
      assert.strictEqual(counters.retries, 2)
      assert.strictEqual(counters.fallbacks, 1)
      assert.strictEqual(counters.failed, 1)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("times out an attempt, retries it, and ends at the total", () =>
    Effect.gen(function* () {
      const fiber = yield* Effect.never.pipe(
        withResilience("aggressive", { operation: "target" }),
        Effect.flip,
        Effect.forkChild({ startImmediately: true })
      )
      yield* TestClock.adjust("30 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.reason._tag, "TimeoutExceeded")
      assert.strictEqual(error.reason._tag === "TimeoutExceeded" && error.reason.scope, "total")
      const { counters } = Option.getOrThrow(yield* (yield* Registry).operation("target"))
      assert.strictEqual(counters.attempts, 2)
      assert.strictEqual(counters.timeouts, 2)
      assert.strictEqual(counters.inFlight, 0)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("asks the rule of the call, then those of the strategy, then those of the layer", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const rule =
        (name: string, answer?: Errors.Kind): Errors.Rule =>
        () => {
          asked.push(name)
          return answer
        }
      const strategy = Strategy.make("ruled", { rules: [rule("strategy")] })
      yield* Effect.fail("down").pipe(
        withResilience(strategy, { classify: rule("call") }),
        Effect.exit,
        Effect.provide(Resilience.layer().pipe(Layer.provide(Errors.layerRules([rule("layer", "permanent")]))))
      )
      // Once for the circuit, once for the retry.
      assert.deepStrictEqual(asked, ["call", "strategy", "layer", "call", "strategy", "layer"])
    })
  )

  it.effect("dies with the defect of a rule that throws, and forgets the attempt", () =>
    Effect.gen(function* () {
      const bug = new Error("rule")
      const exit = yield* Effect.fail("down").pipe(
        withResilience(quick, {
          operation: "target",
          classify: () => {
            throw bug
          },
          fallback: () => Effect.succeed("never")
        }),
        Effect.exit
      )
      assert.isTrue(
        Exit.isFailure(exit) && exit.cause.reasons.some((reason) => Cause.isDieReason(reason) && reason.defect === bug)
      )
      const { circuits } = Option.getOrThrow(yield* (yield* Registry).operation("target"))
      assert.strictEqual(circuits[0]?.counters.ignored, 1)
      assert.strictEqual(circuits[0]?.failureCount, 0)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("answers with the fallback for what it is asked for, and never for an interruption", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const guard = <A, E>(self: Effect.Effect<A, E>, fallbackOn: "failures" | "rejections" | "all") =>
        self.pipe(
          withResilience(Strategy.make("plain", { retry: false, circuitBreaker: false }), {
            operation: "target",
            fallbackOn,
            fallback: (error: unknown) => Effect.sync(() => void seen.push(error))
          }),
          Effect.exit
        )
      assert.isTrue(Exit.isSuccess(yield* guard(Effect.fail("down"), "failures")))
      assert.isTrue(Exit.isFailure(yield* guard(Effect.fail("down"), "rejections")))
      assert.isTrue(Exit.isFailure(yield* guard(Effect.die("bug"), "failures")))
      assert.isTrue(Exit.isSuccess(yield* guard(Effect.die("bug"), "all")))
      assert.isTrue(Exit.isFailure(yield* guard(Effect.interrupt, "all")))
      assert.deepStrictEqual(seen, ["down", "bug"])

      const late = yield* Effect.forkChild(guard(Effect.never, "rejections"), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Exit.isSuccess(yield* Fiber.join(late)))
      assert.instanceOf(seen[2], ResilienceError)
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("splits an operation into circuits by key", () =>
    Effect.gen(function* () {
      const guard = (key: string) => withResilience(quick, { operation: "target", key })
      for (let i = 0; i < 2; i++) yield* Effect.exit(Effect.fail("down").pipe(guard("a")))
      assert.strictEqual(
        (yield* Effect.flip(Effect.void.pipe(guard("a")))).message,
        "target:a: circuit open, retry after 10s"
      )
      yield* Effect.void.pipe(guard("b"))
      const resilience = yield* Registry
      const states = yield* Effect.forEach(yield* resilience.circuits, CircuitBreaker.snapshot)
      assert.deepStrictEqual(
        states.map(({ name, state }) => [name, state]),
        [
          ["target:a", "open"],
          ["target:b", "closed"]
        ]
      )
      assert.isTrue(Option.isSome(yield* resilience.circuit("target:a")))
      assert.isTrue(Option.isNone(yield* resilience.circuit("target:c")))
      assert.isTrue(Option.isNone(yield* resilience.circuit("other")))
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("publishes what happens, in order", () =>
    Effect.gen(function* () {
      const resilience = yield* Registry
      const events = yield* Effect.forkChild(resilience.events.pipe(Stream.take(7), Stream.runCollect), {
        startImmediately: true
      })
      const strategy = Strategy.make("loud", {
        retry: { maxAttempts: 2, base: "1 second", minDelay: 0, jitter: "none" },
        circuitBreaker: { failureThreshold: 2 }
      })
      const guard = withResilience(strategy, { fallback: () => Effect.void })
      const call = yield* Effect.forkChild(Effect.fail("down").pipe(guard), { startImmediately: true })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(call)
      yield* Effect.void.pipe(withResilience(strategy), Effect.exit)
      assert.deepStrictEqual(
        (yield* Fiber.join(events)).map((event) => event._tag),
        [
          "AttemptFailed",
          "RetryScheduled",
          "CircuitOpened",
          "AttemptFailed",
          "RetriesExhausted",
          "FallbackServed",
          "CallRejected"
        ]
      )
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("shares one record beyond the bound of operations, and refuses a name that is no name", () =>
    Effect.gen(function* () {
      const resilience = yield* Registry
      const busy = yield* Effect.forkChild(Effect.never.pipe(withOperation("first")), { startImmediately: true })
      yield* Effect.void.pipe(withOperation("second"))
      yield* Effect.void.pipe(withOperation("third"))
      const names = (yield* resilience.operations).map(({ counters, name }) => [name, counters.calls])
      assert.deepStrictEqual(names, [
        ["first", 1],
        ["(overflow)", 2]
      ])
      yield* Fiber.interrupt(busy)
      const exit = yield* Effect.exit(Effect.void.pipe(withOperation("<script>")))
      assert.isTrue(Exit.isFailure(exit) && Cause.squash(exit.cause) instanceof Settings.InvalidSettings)
    }).pipe(Effect.provide(Resilience.layer(Preset.simple, { maxOperations: 1 })))
  )

  it.effect("takes over a new configuration at the next call, and keeps the circuit", () =>
    Effect.gen(function* () {
      const resilience = yield* Registry
      yield* Effect.exit(
        Effect.fail(new Errors.InfrastructureError({ message: "down" })).pipe(
          withOperation("target"),
          Effect.timeoutOption(0)
        )
      )
      const before = Option.getOrThrow(yield* resilience.operation("target"))
      const version = yield* resilience.configure((current) => ({
        ...current,
        overlay: Preset.overlay({ circuitBreakerThreshold: 2, retryAttempts: 1 })
      }))
      assert.strictEqual(version, 1)
      yield* Effect.exit(Effect.fail("down").pipe(withOperation("target")))
      const after = Option.getOrThrow(yield* resilience.operation("target"))
      assert.strictEqual(before.circuits[0]?.failureCount, 1)
      assert.strictEqual(after.circuits[0]?.state, "open")
      assert.strictEqual(after.counters.calls, 2)

      yield* resilience.configure((current) => ({ ...current, isEnabled: false }))
      assert.strictEqual(yield* Effect.succeed("through").pipe(withOperation("target")), "through")
    }).pipe(Effect.provide(Resilience.layer()))
  )
})

describe("strategies that meet in one operation", () => {
  it.effect("gives a call's own strategy its circuit, when the operation's first strategy had none", () =>
    Effect.gen(function* () {
      const bare = Strategy.make("bare", { retry: false, circuitBreaker: false, timeout: false })
      yield* Effect.succeed(1).pipe(withResilience(bare, { operation: "mixed" }))
      const guarded = withResilience(quick, { operation: "mixed" })
      yield* Effect.exit(Effect.fail("down").pipe(guarded))
      yield* Effect.exit(Effect.fail("down").pipe(guarded))
      const rejected = yield* Effect.flip(Effect.succeed("up").pipe(guarded))
      assert.strictEqual(rejected.reason._tag, "CircuitOpen")
    }).pipe(Effect.provide(Resilience.layer()))
  )

  it.effect("takes a field stated as undefined for one that is not stated", () =>
    Effect.sync(() => {
      // Callers without exactOptionalPropertyTypes can write this.
      const stated: { retry: { maxAttempts: number } } = JSON.parse('{"retry":{}}')
      Object.assign(stated.retry, { maxAttempts: undefined })
      const retry = Strategy.make("odd", stated).settings.retry
      assert.isNumber(retry && retry.maxAttempts)
    })
  )

  it.effect("counts a failure whose rule throws", () =>
    Effect.gen(function* () {
      const broken = () => {
        throw new Error("a rule's own bug")
      }
      const plain = Strategy.make("plain", { retry: false, circuitBreaker: false, rules: [broken] })
      const exit = yield* Effect.fail("down").pipe(withResilience(plain, { operation: "thrown" }), Effect.exit)
      assert.isTrue(Exit.isFailure(exit))
      const { counters } = Option.getOrThrow(yield* (yield* Registry).operation("thrown"))
      assert.deepStrictEqual([counters.calls, counters.failed, counters.inFlight], [1, 1, 0])
      assert.deepStrictEqual(counters.failures, { defect: 1 })
    }).pipe(Effect.provide(Resilience.layer()))
  )
})
