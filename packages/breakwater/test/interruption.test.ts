import { assert, describe, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Layer, Option, Scheduler, Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  Bulkhead,
  CircuitBreaker,
  Coalesce,
  Errors,
  RateLimiter,
  Registry,
  Resilience,
  Retry,
  RetryBudget,
  StaleCache,
  Strategy,
  Tiered,
  Timeout,
  withResilience
} from "breakwater"
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
  assert.strictEqual(DeadlineQueue.of(clock).waiting(), 0, "no deadline waits")
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
  // What was abandoned ends too, with as many turns as it needs.
  for (let i = 0; i < 3; i++) yield* TestClock.adjust("10 seconds")
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
      assert.isAbove(operations, 1)
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
  const { counters } = yield* CircuitBreaker.snapshot(yield* breaker.circuit())
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
        assert.strictEqual((yield* CircuitBreaker.snapshot(yield* breaker.circuit())).state, "closed")
      })
    }
  })

/** A call that finds room, waits for it, or is refused. */
const limited = (options: {
  readonly phase: "room" | "turn" | "refusal"
  readonly run: (limiter: RateLimiter.RateLimiter["Service"], work: Work) => Effect.Effect<unknown, unknown>
}): Fresh =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make({
      operation: "target",
      settings: { limit: 10, window: "1 second", burst: 2, onExceeded: options.phase === "refusal" ? "fail" : "wait" }
    })
    const work = new Work()
    const start = yield* Clock.monotonicTimeNanos
    if (options.phase !== "room") yield* Effect.orDie(Effect.void.pipe(limiter.protect({ cost: 2 })))
    return {
      run: options.run(limiter, work),
      check: Effect.gen(function* () {
        yield* work.check
        const { counters, keys, waiting } = yield* limiter.snapshot
        assert.strictEqual(waiting, 0, "nobody waits")
        assert.strictEqual(counters.held, 0, "nothing is held")
        assert.strictEqual(counters.granted, counters.started + counters.returned)
        assert.isAtMost(counters.granted, options.phase === "room" ? 1 : 2)
        assert.isAtLeast(counters.started, work.started, "what started was granted")
        // Nothing is lost: the bucket is full again.
        assert.isTrue((yield* Clock.monotonicTimeNanos) > start)
        assert.strictEqual(keys[0]?.available ?? 2, 2)
      })
    }
  })

/** Nothing refills in time: what is missing at the end was lost. */
const returned = (phase: "room" | "turn"): Fresh =>
  Effect.gen(function* () {
    const settings = { limit: 1, window: "1 day", burst: 1, onExceeded: "wait", maxWait: "1 hour" } as const
    const limiter = yield* RateLimiter.make({ operation: "target", settings })
    if (phase === "turn") {
      const held = yield* Scope.fork(yield* Effect.scope)
      yield* Effect.orDie(Scope.provide(limiter.reserve(), held))
      // Whoever waits does so for what this one gives back, not for a day.
      yield* Effect.forkScoped(Effect.andThen(Effect.sleep("100 millis"), Scope.close(held, Exit.void)))
      yield* limiter.retune({ ...settings, window: "30 minutes" })
    }
    return {
      run: Effect.scoped(Effect.andThen(limiter.reserve(), Effect.sleep("50 millis"))),
      check: Effect.gen(function* () {
        const { counters, keys, waiting } = yield* limiter.snapshot
        assert.strictEqual(waiting, 0, "nobody waits")
        assert.strictEqual(counters.held, 0, "nothing is held")
        assert.strictEqual(counters.started, 0)
        assert.strictEqual(counters.granted, counters.returned)
        assert.strictEqual(keys[0]?.available ?? 1, 1, "nothing is lost")
      })
    }
  })

/** A circuit that knows the age of its calls: one that is gone never becomes too old. */
const watched = (options: { readonly isDisabled: boolean; readonly body: Effect.Effect<unknown, unknown> }): Fresh =>
  Effect.gen(function* () {
    const breaker = yield* CircuitBreaker.make({
      operation: "target",
      settings: { tripPolicy: CircuitBreaker.slowCalls({ threshold: "1 minute", window: { size: 20 } }) }
    })
    const circuit = yield* breaker.circuit()
    if (options.isDisabled) yield* CircuitBreaker.disable(circuit, { reason: "drill", expiresIn: "30 minutes" })
    const work = new Work()
    return {
      run: work.around(options.body).pipe(breaker.protect()),
      check: Effect.gen(function* () {
        yield* work.check
        yield* idle(breaker)
        yield* TestClock.adjust("1 hour")
        const { counters, window } = yield* CircuitBreaker.snapshot(circuit)
        const ended = options.isDisabled ? 0 : counters.succeeded + counters.failed
        assert.deepInclude(window[0], { calls: ended, counted: 0 })
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
    const resilience = yield* Effect.provideContext(Registry, context)
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

/** Policies whose trials need no more than an entry here. */
const others: Readonly<Record<string, Fresh>> = {
  "tiers, the first of which fails after a while": Effect.sync(() => {
    const work = new Work()
    const tiers = Tiered.make(
      Tiered.tier("full", work.around(Effect.andThen(Effect.sleep("100 millis"), Effect.fail("down")))),
      Tiered.tier("less", work.around(Effect.delay(Effect.succeed(1), "100 millis")), { when: Effect.succeed(true) }),
      Tiered.tier("canned", Effect.succeed(0))
    )
    return { run: tiers, check: work.check }
  }),
  "a stale cache that has to look up": Effect.gen(function* () {
    const work = new Work()
    const lookup = () => work.around(Effect.delay(Effect.succeed(1), "100 millis"), Effect.sleep("50 millis"))
    const cache = yield* StaleCache.make(lookup, { timeToLive: "1 second" })
    return {
      run: cache.get("key"),
      check: Effect.gen(function* () {
        yield* work.check
        const again = yield* Effect.forkChild(cache.get("key"), { startImmediately: true })
        yield* passTime(again)
        assert.isTrue(Exit.isSuccess(yield* Fiber.await(again)), "the next caller gets an answer")
        yield* work.check
      })
    }
  }),
  "a stale cache that serves what is old": Effect.gen(function* () {
    const work = new Work()
    let runs = 0
    const lookup = () =>
      work.around(
        Effect.suspend(() => (++runs === 1 ? Effect.succeed(1) : Effect.delay(Effect.fail("down"), "1 second")))
      )
    const cache = yield* StaleCache.make(lookup, { timeToLive: "1 second" })
    yield* Effect.ignore(cache.get("key"))
    yield* TestClock.adjust("2 seconds")
    return { run: cache.get("key"), check: work.check }
  }),
  "a retry that waits for a Retry-After": Effect.sync(() => {
    const work = new Work()
    const limited = new Errors.RateLimitError({ message: "slow down", retryAfter: Duration.seconds(2) })
    return {
      run: work.around(Effect.fail(limited)).pipe(Retry.retry({ settings: { maxAttempts: 3, base: "1 second" } })),
      check: work.check
    }
  })
}

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
    for (const [name, body] of bodies)
      sweep(`that knows the age of calls, around ${name}`, watched({ isDisabled: false, body }))
    sweep("disabled, around a sleep", watched({ isDisabled: true, body: Effect.sleep("100 millis") }))
    sweep("open", circuit({ state: "open", body: Effect.void }))
    sweep(
      "half-open, around a slow finalizer",
      circuit({ state: "half-open", body: Effect.void, finalizer: Effect.sleep("50 millis") })
    )
  })

  describe("in a rate limiter", () => {
    for (const phase of ["room", "turn", "refusal"] as const) {
      const name = { room: "with room", turn: "with a turn to wait for", refusal: "without room" }[phase]
      for (const [around, body] of phase === "refusal" ? bodies.slice(0, 1) : bodies) {
        sweep(
          `${name}, around ${around}`,
          limited({ phase, run: (limiter, work) => work.around(body).pipe(limiter.protect()) })
        )
      }
      if (phase === "refusal") continue
      sweep(
        `${name}, that reserves and settles`,
        limited({
          phase,
          run: (limiter) =>
            Effect.scoped(
              Effect.flatMap(limiter.reserve({ cost: 2 }), ({ settle }) =>
                Effect.andThen(Effect.sleep("10 millis"), settle(1))
              )
            )
        })
      )
      sweep(`${name}, that reserves and does not settle`, returned(phase))
    }
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

  describe("in a shared run", () => {
    const shared = (
      options: { readonly body: Effect.Effect<unknown, unknown>; readonly finalizer?: Effect.Effect<unknown> },
      role: "leads" | "follows" | "is all"
    ): Fresh =>
      Effect.gen(function* () {
        const coalesce = yield* Coalesce.make()
        const work = new Work()
        const call = work.around(options.body, options.finalizer).pipe(coalesce.join("key"))
        // The other caller comes first, or when the swept one has led for a while.
        const other =
          role === "is all"
            ? undefined
            : yield* Effect.forkScoped(role === "follows" ? call : Effect.delay(call, "50 millis"), {
                startImmediately: true
              })
        return {
          run:
            role === "is all"
              ? Effect.all([call, call, call], { concurrency: "unbounded" })
              : Effect.andThen(Effect.yieldNow, Effect.asVoid(call)),
          check: Effect.gen(function* () {
            if (other !== undefined) yield* passTime(other)
            const exit = other?.pollUnsafe()
            assert.isFalse(exit !== undefined && isInterrupted(exit), "the other caller is left alone")
            yield* work.check
            const { inFlight, waiting } = yield* coalesce.snapshot
            assert.deepStrictEqual({ inFlight, waiting }, { inFlight: 0, waiting: 0 })
          })
        }
      })
    for (const role of ["leads", "follows", "is all"] as const) {
      for (const [name, body] of bodies) {
        if (role !== "follows" || name === "a sleep" || name === "a promise")
          sweep(`that the caller ${role}, around ${name}`, shared({ body }, role))
      }
      const finalizer = Effect.sleep("800 millis")
      sweep(
        `that the caller ${role}, around a slow finalizer`,
        shared({ body: Effect.sleep("1 second"), finalizer }, role)
      )
    }
  })

  describe("in tiers", () => {
    const tiers = (options: {
      readonly body: Effect.Effect<unknown, unknown>
      readonly on: "failures" | "all"
    }): Fresh =>
      Effect.sync(() => {
        const work = new Work()
        const lower = new Work()
        return {
          run: Tiered.make(
            Tiered.tier("full", work.around(options.body), { on: options.on, when: Effect.as(Effect.yieldNow, true) }),
            Tiered.tier("canned", lower.around(Effect.as(Effect.yieldNow, "instead")))
          ),
          check: Effect.andThen(work.check, lower.check)
        }
      })
    for (const on of ["failures", "all"] as const) {
      for (const [name, body] of bodies) sweep(`that answer ${on}, around ${name}`, tiers({ body, on }))
    }
  })

  describe("in a cache of old answers", () => {
    const cached = (body: Effect.Effect<unknown, unknown>): Fresh =>
      Effect.gen(function* () {
        const work = new Work()
        let lookups = 0
        const cache = yield* StaleCache.make(
          () => Effect.suspend(() => (++lookups === 1 ? Effect.succeed("old") : work.around(body))),
          { timeToLive: "1 second", maxStale: "1 day", on: "all" }
        )
        yield* Effect.exit(cache.get("key"))
        yield* TestClock.adjust("1 second")
        return {
          run: Effect.all([cache.get("key"), cache.get("key")], { concurrency: "unbounded" }),
          check: Effect.gen(function* () {
            yield* work.check
            // Nothing is left in flight to be joined.
            const before = lookups
            const again = yield* Effect.forkChild(cache.get("key"), { startImmediately: true })
            yield* passTime(again)
            const { hits } = yield* cache.snapshot
            assert.isTrue(lookups === before + 1 || hits > 0, "a lookup starts anew")
          })
        }
      })
    for (const [name, body] of bodies) sweep(`around ${name}`, cached(body))
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

  describe("in", () => {
    for (const [name, fresh] of Object.entries(others)) sweep(name, fresh)
  })
})
