import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Context, Effect, Exit, Fiber, Layer, Option, Scheduler, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Bulkhead, CircuitBreaker, Resilience, Retry, RetryBudget, Strategy, Timeout, withResilience } from "breakwater"
import * as DeadlineQueue from "../src/DeadlineQueue.ts"

/** One run, and what must hold when it is over, however it ended. */
interface Trial {
  readonly run: Effect.Effect<unknown, unknown>
  readonly check: Effect.Effect<void>
}

type Fresh = Effect.Effect<Trial, never, Scope.Scope>

/** Counts what was started and what was cleaned up. */
class Work {
  started = 0
  finalized = 0

  around<A, E>(body: Effect.Effect<A, E>, finalizer: Effect.Effect<unknown> = Effect.void): Effect.Effect<A, E> {
    return Effect.acquireUseRelease(
      Effect.sync(() => {
        this.started++
      }),
      () => body,
      () =>
        Effect.andThen(
          finalizer,
          Effect.sync(() => {
            this.finalized++
          })
        )
    )
  }

  readonly check: Effect.Effect<void> = Effect.sync(() => {
    assert.strictEqual(this.finalized, this.started, "started = finalized")
  })
}

const atRest: Effect.Effect<void> = Effect.map(Clock.Clock, (clock) => {
  assert.strictEqual(DeadlineQueue.of(clock).waiting, 0, "no deadline waits")
})

/** Sees every operation of the fibers that run under it. */
const watching = (
  scheduler: Scheduler.Scheduler,
  onOperation: (fiber: Fiber.Fiber<unknown, unknown>) => void
): Scheduler.Scheduler => ({
  executionMode: scheduler.executionMode,
  shouldYield: (fiber) => {
    onOperation(fiber)
    return scheduler.shouldYield(fiber)
  },
  makeDispatcher: () => scheduler.makeDispatcher()
})

/** Lets as much time pass as the fiber needs to end. */
const passTime = Effect.fnUntraced(function* (fiber: Fiber.Fiber<unknown, unknown>) {
  for (let i = 0; fiber.pollUnsafe() === undefined && i < 20; i++) yield* TestClock.adjust("10 seconds")
  // What was abandoned ends too.
  yield* TestClock.adjust("10 seconds")
  assert.isDefined(fiber.pollUnsafe(), "the call ends")
})

interface Seen {
  readonly operations: number
  readonly exit: Exit.Exit<unknown, unknown>
}

/**
 * The strict form: interrupts the call at its `at`-th operation, counted over
 * all its fibers. The interruption falls between two synchronous steps.
 */
const interruptedAt = Effect.fnUntraced(function* (fresh: Fresh, at: number) {
  const trial = yield* fresh
  const fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  let operations = 0
  const scheduler = watching(yield* Scheduler.Scheduler, (fiber) => {
    fibers.add(fiber)
    operations++
    if (operations !== at) return
    const [root] = fibers
    root!.interruptUnsafe()
  })
  const fiber = yield* Effect.forkChild(Effect.provideService(trial.run, Scheduler.Scheduler, scheduler), {
    startImmediately: true
  })
  yield* passTime(fiber)
  const exit = yield* Fiber.await(fiber)
  assert.deepStrictEqual(
    Array.from(fibers).filter((fiber) => fiber.pollUnsafe() === undefined).length,
    0,
    "no fiber is left"
  )
  yield* atRest
  yield* trial.check
  const seen: Seen = { operations, exit }
  return seen
}, Effect.scoped)

/** The second form: the call yields after `budget` operations, and another fiber interrupts it after `turns` turns. */
const interruptedAfter = Effect.fnUntraced(function* (fresh: Fresh, budget: number, turns: number) {
  const trial = yield* fresh
  const fiber = yield* Effect.forkChild(Effect.provideService(trial.run, Scheduler.MaxOpsBeforeYield, budget), {
    startImmediately: true
  })
  for (let turn = 1; turn <= turns; turn++) {
    if (turn % 8 === 0) yield* TestClock.adjust("600 millis")
    else yield* Effect.yieldNow
  }
  const wasRunning = fiber.pollUnsafe() === undefined
  const interruption = yield* Effect.forkChild(Fiber.interrupt(fiber), { startImmediately: true })
  yield* passTime(interruption)
  yield* atRest
  yield* trial.check
  return wasRunning
}, Effect.scoped)

const isInterrupted = (exit: Exit.Exit<unknown, unknown>): boolean =>
  Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)

const sweep = (name: string, fresh: Fresh) => {
  it.effect(`${name}: interrupted at every operation`, () =>
    Effect.gen(function* () {
      const { exit, operations } = yield* interruptedAt(fresh, 0)
      assert.isFalse(isInterrupted(exit))
      assert.isAbove(operations, 3)
      let interrupted = 0
      for (let at = 1; at <= operations; at++) {
        const seen = yield* interruptedAt(fresh, at)
        if (isInterrupted(seen.exit)) interrupted++
      }
      // A sweep that interrupts nothing proves nothing.
      assert.isAbove(interrupted, operations / 3)
    })
  )

  it.effect(`${name}: interrupted after every number of turns`, () =>
    Effect.gen(function* () {
      for (let budget = 3; budget <= 64; budget += budget < 32 ? 1 : 4) {
        for (let turns = 0; turns <= 40; turns++) {
          if (!(yield* interruptedAfter(fresh, budget, turns))) break
        }
      }
    })
  )
}

const make = CircuitBreaker.make({
  operation: "target",
  settings: { failureThreshold: 1, openDuration: "1 minute", probeTimeout: "1 hour" }
})

type Breaker = CircuitBreaker.CircuitBreaker["Service"]

const idle = Effect.fnUntraced(function* (breaker: Breaker) {
  const { counters } = yield* (yield* breaker.circuit()).snapshot
  const { admitted, failed, ignored, inFlight, interrupted, stale, succeeded } = counters
  assert.strictEqual(inFlight, 0, "nothing is in flight")
  assert.strictEqual(admitted, succeeded + failed + ignored + interrupted + stale)
})

/** A call is admitted once the open time is over: no probe place is lost. */
const admits = Effect.fnUntraced(function* (breaker: Breaker) {
  yield* TestClock.adjust("1 minute")
  assert.isTrue(Exit.isSuccess(yield* Effect.exit(Effect.void.pipe(breaker.protect()))), "a call is admitted")
})

const circuit = (options: {
  readonly state: "closed" | "open" | "half-open"
  readonly body: Effect.Effect<unknown, unknown>
  readonly finalizer?: Effect.Effect<unknown>
}): Fresh =>
  Effect.gen(function* () {
    const breaker = yield* make
    const work = new Work()
    if (options.state !== "closed") yield* Effect.exit(Effect.fail("down").pipe(breaker.protect()))
    if (options.state === "half-open") yield* TestClock.adjust("1 minute")
    return {
      run: work.around(options.body, options.finalizer).pipe(breaker.protect()),
      check: Effect.gen(function* () {
        yield* work.check
        yield* idle(breaker)
        yield* admits(breaker)
        assert.strictEqual((yield* (yield* breaker.circuit()).snapshot).state, "closed")
      })
    }
  })

const timeout = (
  wrap: (self: Effect.Effect<unknown, unknown>, observer: Timeout.Observer) => Effect.Effect<unknown, unknown>,
  body: Effect.Effect<unknown, unknown>,
  finalizer?: Effect.Effect<unknown>
): Fresh =>
  Effect.sync(() => {
    const work = new Work()
    let abandoned = 0
    return {
      run: wrap(work.around(body, finalizer), {
        onTimedOut: () => {},
        onAbandoned: (change) => void (abandoned += change)
      }),
      check: Effect.andThen(
        work.check,
        Effect.sync(() => assert.strictEqual(abandoned, 0, "nothing is abandoned"))
      )
    }
  })

/** A bulkhead in which the call finds a free place, or waits for one. */
const bulkhead = (options: {
  readonly finds: "a place" | "a queue" | "a queue with others"
  readonly body: Effect.Effect<unknown, unknown>
}): Fresh =>
  Effect.gen(function* () {
    const service = yield* Bulkhead.make({
      operation: "target",
      settings: { maxConcurrent: 1, maxQueue: 3, maxWait: "20 seconds" }
    })
    const work = new Work()
    const hold = Effect.sleep("2 seconds").pipe(service.protect())
    if (options.finds !== "a place") yield* Effect.forkScoped(hold, { startImmediately: true })
    if (options.finds === "a queue with others") {
      yield* Effect.forkScoped(Effect.exit(hold), { startImmediately: true })
    }
    return {
      run: work.around(options.body).pipe(service.protect({ key: "tenant" })),
      check: Effect.gen(function* () {
        yield* TestClock.adjust("1 minute")
        yield* work.check
        const { active, counters, queued } = yield* service.snapshot()
        assert.deepStrictEqual({ active, queued }, { active: 0, queued: 0 })
        assert.isAtMost(counters.admitted + counters.rejected + counters.interrupted, 3)
        assert.isTrue(Exit.isSuccess(yield* Effect.exit(Effect.void.pipe(service.protect()))))
      })
    }
  })

const budget = (form: RetryBudget.Form): Fresh =>
  Effect.gen(function* () {
    const budgets = yield* RetryBudget.make({ settings: { form, window: "1 hour" } })
    const work = new Work()
    return {
      run: work.around(Effect.fail("down")).pipe(
        Retry.retry({
          budget: budgets.of("target"),
          settings: { maxAttempts: 3, base: "1 second", jitter: "none", nested: "innerYields" }
        })
      ),
      check: Effect.gen(function* () {
        yield* work.check
        const { counters, used } = yield* budgets.snapshot("target")
        const happened = counters.granted - counters.returned
        // What was granted and not returned is an attempt; one is not begun when it is interrupted at its very start.
        assert.isAtLeast(happened, work.started - 1)
        assert.isAtMost(happened, Math.max(work.started, 0))
        assert.strictEqual(used, form === "in_flight" ? 0 : happened)
      })
    }
  })

const strategy = Strategy.make("swept", {
  retry: { maxAttempts: 3, base: "1 second", minDelay: 0, jitter: "none" },
  // Opens before the attempts are used up.
  circuitBreaker: { failureThreshold: 2, openDuration: "1 minute" },
  timeout: { attempt: "500 millis", total: "10 seconds" }
})

const pipeline = (options: {
  readonly body: Effect.Effect<unknown, unknown>
  readonly key?: string
  readonly fallback?: Effect.Effect<unknown>
}): Fresh =>
  Effect.gen(function* () {
    const context = yield* Layer.build(Resilience.layer())
    const resilience = Context.get(context, Resilience)
    const work = new Work()
    const { fallback } = options
    const call = { operation: "target", key: options.key }
    const guarded =
      fallback === undefined
        ? withResilience(work.around(options.body), strategy, call)
        : withResilience(work.around(options.body), strategy, { ...call, fallback: () => work.around(fallback) })
    return {
      run: Effect.provideContext(guarded, context),
      check: Effect.gen(function* () {
        yield* work.check
        const snapshot = yield* resilience.operation("target")
        // Interrupted before the operation was started by its first call.
        if (Option.isNone(snapshot)) return
        const { circuits, counters } = snapshot.value
        assert.strictEqual(counters.inFlight, 0, "no call is in flight")
        assert.strictEqual(counters.abandoned, 0, "nothing is abandoned")
        assert.isAtMost(counters.calls, 1)
        for (const circuit of circuits) {
          const { admitted, failed, ignored, inFlight, interrupted, stale, succeeded } = circuit.counters
          assert.strictEqual(inFlight, 0, "no attempt is in flight")
          assert.strictEqual(admitted, succeeded + failed + ignored + interrupted + stale)
        }
      })
    }
  })

const bodies: ReadonlyArray<readonly [name: string, body: Effect.Effect<unknown, unknown>]> = [
  ["a sync effect", Effect.succeed(1)],
  ["a failure", Effect.fail("down")],
  ["a promise", Effect.promise(async () => 1)],
  ["a sleep", Effect.sleep("100 millis")],
  ["an effect that yields", Effect.forEach([1, 2, 3], () => Effect.yieldNow)]
]

describe("an interruption leaves nothing behind", () => {
  describe("in a circuit", () => {
    for (const [name, body] of bodies) {
      if (name !== "a failure") {
        sweep(`closed, around ${name}`, circuit({ state: "closed", body }))
        sweep(`half-open, around ${name}`, circuit({ state: "half-open", body }))
      }
    }
    sweep("closed, around a failure", circuit({ state: "closed", body: Effect.fail("down") }))
    sweep("half-open, around a failure", circuit({ state: "half-open", body: Effect.fail("down") }))
    sweep("open", circuit({ state: "open", body: Effect.void }))
    sweep(
      "half-open, around a slow finalizer",
      circuit({ state: "half-open", body: Effect.void, finalizer: Effect.sleep("50 millis") })
    )
  })

  for (const mode of ["detach", "await"] as const) {
    describe(`in a timeout that ${mode === "detach" ? "detaches" : "awaits"}`, () => {
      const scopes = {
        attempt: (self: Effect.Effect<unknown, unknown>, observer: Timeout.Observer) =>
          Timeout.attempt(self, "1 second", { mode, observer }),
        total: (self: Effect.Effect<unknown, unknown>, observer: Timeout.Observer) =>
          Timeout.total(self, "1 second", { mode, observer }),
        nested: (self: Effect.Effect<unknown, unknown>, observer: Timeout.Observer) =>
          self.pipe(Timeout.attempt("2 seconds", { mode, observer }), Timeout.total("1 second", { mode }))
      }
      for (const [scope, wrap] of Object.entries(scopes)) {
        for (const [name, body] of bodies) sweep(`${scope}, around ${name}`, timeout(wrap, body))
        sweep(`${scope}, around an effect without end`, timeout(wrap, Effect.never))
        sweep(`${scope}, around a slow finalizer`, timeout(wrap, Effect.never, Effect.sleep("800 millis")))
      }
    })
  }

  describe("in a bulkhead", () => {
    for (const [name, body] of bodies) {
      for (const finds of ["a place", "a queue", "a queue with others"] as const) {
        sweep(`that has ${finds}, around ${name}`, bulkhead({ finds, body }))
      }
    }
  })

  describe("in a retry with a budget", () => {
    for (const form of ["window", "in_flight"] as const) sweep(`by ${form}`, budget(form))
  })

  describe("in a retry", () => {
    sweep(
      "that sleeps",
      Effect.sync(() => {
        const work = new Work()
        return {
          run: work
            .around(Effect.fail("down"))
            .pipe(Retry.retry({ settings: { maxAttempts: 3, base: "1 second", jitter: "none" } })),
          check: work.check
        }
      })
    )
  })

  describe("in a pipeline", () => {
    const flaky = () => {
      let runs = 0
      return Effect.suspend(() => (++runs % 2 === 0 ? Effect.succeed(runs) : Effect.fail("down")))
    }
    for (const key of [undefined, "tenant"]) {
      for (const hasFallback of [false, true]) {
        const options = {
          ...(key === undefined ? {} : { key }),
          ...(hasFallback ? { fallback: Effect.as(Effect.yieldNow, "instead") } : {})
        }
        const suffix = `${key === undefined ? "without" : "with"} a key, ${hasFallback ? "with" : "without"} a fallback`
        sweep(`around a sync effect, ${suffix}`, pipeline({ ...options, body: Effect.succeed(1) }))
        sweep(`around a failure, ${suffix}`, pipeline({ ...options, body: Effect.fail("down") }))
        sweep(`around an effect without end, ${suffix}`, pipeline({ ...options, body: Effect.never }))
        sweep(
          `around an effect that recovers, ${suffix}`,
          Effect.suspend(() => pipeline({ ...options, body: flaky() }))
        )
      }
    }
  })
})
