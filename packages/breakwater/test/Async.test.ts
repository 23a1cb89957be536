import { assert, describe, it } from "@effect/vitest"
import { ManagedRuntime } from "effect"
import { afterAll } from "vitest"
import { Async, Errors, Resilience, ResilienceError, Strategy } from "breakwater"

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
