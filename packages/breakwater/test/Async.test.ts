import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, ManagedRuntime } from "effect"
import { TestClock } from "effect/testing"
import { afterAll } from "vitest"
import { Async, CircuitBreaker, Errors, Resilience, ResilienceError, Strategy } from "breakwater"

const once = Strategy.make("once", {
  retry: false,
  circuitBreaker: { failureThreshold: 1 },
  timeout: { attempt: "1 second" }
})

describe("Async.guard", () => {
  const runtime = ManagedRuntime.make(Resilience.layer())
  afterAll(() => runtime.dispose())

  it("gives the arguments and a signal to the function, and its answer to the caller", async () => {
    const add = Async.guard(runtime, once, { operation: "add" }, async (signal, a: number, b: number) => {
      assert.isFalse(signal.aborted)
      return a + b
    })
    assert.strictEqual(await add(1, 2), 3)
  })

  it("rejects with what the function rejected with, and with ours once the circuit is open", async () => {
    const boom = new Errors.InfrastructureError({ message: "down" })
    const fail = Async.guard(runtime, once, { operation: "fail" }, () => Promise.reject(boom))
    await fail().then(
      () => assert.fail("resolved"),
      (error) => assert.strictEqual(error, boom)
    )
    await fail().then(
      () => assert.fail("resolved"),
      (error) => {
        assert.instanceOf(error, ResilienceError)
        assert.strictEqual(error.reason._tag, "CircuitOpen")
      }
    )
  })

  it("answers with the fallback", async () => {
    const fail = Async.guard(
      runtime,
      once,
      { operation: "fall", fallback: (error) => `instead of ${String(error)}` },
      () => Promise.reject("nothing")
    )
    assert.strictEqual(await fail(), "instead of nothing")
  })

  it("gives up with the caller's reason when the caller's signal is aborted, and aborts the function's", async () => {
    let inner: AbortSignal | undefined
    const hang = Async.guard(runtime, once, { operation: "hang" }, (signal) => {
      inner = signal
      return new Promise<never>(() => {})
    })
    const controller = new AbortController()
    const answer = hang.withSignal(controller.signal)()
    controller.abort("enough")
    await answer.then(
      () => assert.fail("resolved"),
      (error) => assert.strictEqual(error, "enough")
    )
    assert.isTrue(inner?.aborted)
  })
})

describe("Async.protect", () => {
  const make = (rules: ReadonlyArray<Errors.Rule> = []) =>
    CircuitBreaker.make({ operation: "rates", settings: { failureThreshold: 2, openDuration: "10 seconds" }, rules })
  const counters = (breaker: CircuitBreaker.CircuitBreaker["Service"], key?: string) =>
    Effect.runSync(Effect.flatMap(breaker.circuit(key), CircuitBreaker.snapshot)).counters
  const reason = (call: Promise<unknown>): Promise<unknown> =>
    call.then(
      () => assert.fail("resolved"),
      (error: unknown) => (error instanceof ResilienceError ? error.reason._tag : error)
    )

  it("gives the arguments to the function, and its answer to the caller", async () => {
    const breaker = Effect.runSync(make())
    const add = Async.protect(breaker, {}, async (a: number, b: number) => {
      assert.strictEqual(counters(breaker).inFlight, 1)
      return a + b
    })
    assert.strictEqual(await add(1, 2), 3)
    assert.deepInclude(counters(breaker), { admitted: 1, succeeded: 1, inFlight: 0 })
  })

  it("counts what the function rejects with and what it throws, and refuses calls once the circuit is open", async () => {
    const breaker = Effect.runSync(make())
    const boom = new Error("down")
    let runs = 0
    const rejects = Async.protect(breaker, {}, () => Promise.reject(boom))
    const throws = Async.protect(breaker, {}, (): Promise<never> => {
      runs++
      throw boom
    })
    assert.strictEqual(await reason(rejects()), boom)
    assert.strictEqual(await reason(throws()), boom)
    assert.strictEqual(await reason(throws()), "CircuitOpen")
    assert.strictEqual(runs, 1)
    assert.deepInclude(counters(breaker), { admitted: 2, failed: 2, rejected: 1, inFlight: 0 })
  })

  it("counts no abort, nothing that a rule calls permanent, and nothing that `classify` ignores", async () => {
    const breaker = await make([(error) => (error === "inner" ? "permanent" : undefined)]).pipe(
      Effect.provide(Errors.layerRules([(error) => (error === "outer" ? "permanent" : undefined)])),
      Effect.runPromise
    )
    for (const error of ["inner", "outer", new DOMException("", "AbortError")]) {
      assert.strictEqual(await reason(Async.protect(breaker, {}, () => Promise.reject(error))()), error)
    }
    const ignores = Async.protect(breaker, { classify: () => ({ _tag: "Ignored" }) }, async () => 1)
    assert.strictEqual(await ignores(), 1)
    assert.deepInclude(counters(breaker), { admitted: 4, ignored: 4, inFlight: 0 })
  })

  it("gives the place back when `classify` throws, and rejects with that", async () => {
    const breaker = Effect.runSync(make())
    const classify = () => {
      throw new RangeError("wrong")
    }
    for (const run of [async () => 1, () => Promise.reject("down")]) {
      assert.instanceOf(await reason(Async.protect(breaker, { classify }, run)()), RangeError)
    }
    assert.deepInclude(counters(breaker), { admitted: 2, ignored: 2, inFlight: 0 })
  })

  it("has a circuit for each key", async () => {
    const breaker = Effect.runSync(make())
    const fail = Async.protect(breaker, { key: "a" }, () => Promise.reject("down"))
    await reason(fail())
    await reason(fail())
    assert.strictEqual(await reason(fail()), "CircuitOpen")
    assert.strictEqual(await Async.protect(breaker, { key: "b" }, async () => "well")(), "well")
    assert.strictEqual(counters(breaker, "a").opened, 1)
  })

  it.effect("goes by the clock of the breaker", () =>
    Effect.gen(function* () {
      const breaker = yield* make()
      const fail = Async.protect(breaker, {}, () => Promise.reject("down"))
      const answer = Async.protect(breaker, {}, async () => "well")
      yield* Effect.promise(() => reason(fail()))
      yield* Effect.promise(() => reason(fail()))
      yield* TestClock.adjust("9 seconds")
      const error = yield* Effect.promise(() => answer().catch((error: unknown) => error))
      assert.deepStrictEqual((error as ResilienceError).retryAfter, Duration.seconds(1))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Effect.promise(answer), "well")
      assert.strictEqual((yield* CircuitBreaker.snapshot(yield* breaker.circuit())).state, "closed")
    })
  )
})
