import { assert, describe, it } from "@effect/vitest"
import {
  Cause,
  Clock,
  Config,
  ConfigProvider,
  Deferred,
  Duration,
  Effect,
  Equal,
  Exit,
  Fiber,
  Option,
  Schema,
  Stream
} from "effect"
import { TestClock } from "effect/testing"
import {
  Bulkhead,
  type BulkheadFull,
  Deadline,
  Priority,
  ResilienceError,
  ResilienceEvent,
  Retry,
  Settings,
  Timeout
} from "breakwater"
import * as DeadlineQueue from "../src/DeadlineQueue.ts"

const open = (settings: Bulkhead.SettingsInput, maxKeys?: number) =>
  Bulkhead.make({ operation: "target", settings, maxKeys })

type Service = Bulkhead.Bulkhead["Service"]

/** Starts a call that runs until it is told to end. */
const call = (bulkhead: Service, options?: Bulkhead.ProtectOptions, around?: Priority.Priority) =>
  Effect.forkChild(Effect.never.pipe(bulkhead.protect(options), Priority.withPriority(around ?? "medium")), {
    startImmediately: true
  })

const refusal = (exit: Exit.Exit<unknown, unknown>): BulkheadFull => {
  const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.findErrorOption(exit.cause)) : undefined
  assert.instanceOf(error, ResilienceError)
  assert.strictEqual(error.reason._tag, "BulkheadFull")
  return error.reason as BulkheadFull
}

const nobodyWaits = Effect.map(Clock.Clock, (clock) => assert.strictEqual(DeadlineQueue.of(clock).waiting(), 0))

const queue = { maxConcurrent: 1, maxQueue: 3, maxWait: "1 minute" } as const

describe("a bulkhead", () => {
  it.effect("runs as many as it may, and refuses the rest at once with what it knows", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open({ maxConcurrent: 2 })
      const first = yield* call(bulkhead)
      yield* call(bulkhead)
      const { active, limit, queued, waited } = refusal(yield* Effect.exit(Effect.void.pipe(bulkhead.protect())))
      assert.deepStrictEqual(
        { active, limit, queued, waited },
        { active: 2, limit: 2, queued: 0, waited: Duration.zero }
      )
      yield* Fiber.interrupt(first)
      assert.strictEqual(yield* Effect.succeed(1).pipe(bulkhead.protect()), 1)
      const snapshot = yield* bulkhead.snapshot()
      assert.deepInclude(snapshot, { name: "target", active: 1, queued: 0, limit: 2 })
      assert.deepStrictEqual(snapshot.counters, { admitted: 3, rejected: 1, waited: 0, gaveUp: 0, interrupted: 0 })
    })
  )

  it.effect("passes values, errors and defects through, and gives the place back", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open({ maxConcurrent: 1 })
      const error = { error: true }
      assert.strictEqual(yield* Effect.flip(Effect.fail(error).pipe(bulkhead.protect())), error)
      const exit = yield* Effect.exit(Effect.die("bug").pipe(bulkhead.protect()))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      assert.strictEqual((yield* bulkhead.snapshot()).active, 0)
    })
  )

  it.effect("holds the place until the finalizers have ended", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open({ maxConcurrent: 1 })
      const cleaned = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(
        Effect.acquireUseRelease(
          Effect.void,
          () => Effect.never,
          () => Deferred.await(cleaned)
        ).pipe(bulkhead.protect()),
        { startImmediately: true }
      )
      fiber.interruptUnsafe()
      assert.strictEqual((yield* bulkhead.snapshot()).active, 1)
      yield* Deferred.succeed(cleaned, undefined)
      yield* Fiber.await(fiber)
      assert.strictEqual((yield* bulkhead.snapshot()).active, 0)
    })
  )

  it.effect("lets calls wait in order, each with its place when one gets free", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open(queue)
      const seen: Array<string> = []
      const work = (name: string) =>
        Effect.forkChild(
          Effect.sleep("1 second").pipe(
            Effect.andThen(Effect.map(Clock.currentTimeMillis, (at) => void seen.push(`${name} ${at}`))),
            bulkhead.protect()
          ),
          { startImmediately: true }
        )
      for (const name of ["a", "b", "c"]) yield* work(name)
      assert.strictEqual((yield* bulkhead.snapshot()).queued, 2)
      for (let second = 0; second < 3; second++) yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(seen, ["a 1000", "b 2000", "c 3000"])
      const { counters, longestWait } = yield* bulkhead.snapshot()
      assert.deepStrictEqual(counters, { admitted: 3, rejected: 0, waited: 2, gaveUp: 0, interrupted: 0 })
      assert.deepStrictEqual(longestWait, Duration.seconds(2))
      yield* nobodyWaits
    })
  )

  it.effect("refuses whoever has waited as long as it may", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open(queue)
      yield* call(bulkhead)
      const waits = yield* call(bulkhead)
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(waits.pollUnsafe())
      yield* TestClock.adjust("1 second")
      const { active, queued, waited } = refusal(yield* Fiber.await(waits))
      assert.deepStrictEqual({ active, queued, waited }, { active: 1, queued: 0, waited: Duration.minutes(1) })
      assert.deepInclude((yield* bulkhead.snapshot()).counters, { waited: 1, gaveUp: 1, rejected: 1 })
      yield* nobodyWaits
    })
  )

  it.effect("waits no longer than the deadline of the call, and not at all after it", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open(queue)
      yield* call(bulkhead)
      const refused = yield* Effect.forkChild(
        Effect.exit(Effect.void.pipe(bulkhead.protect())).pipe(Timeout.total("5 seconds"), Effect.exit),
        { startImmediately: true }
      )
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(refused.pollUnsafe())
      assert.strictEqual((yield* bulkhead.snapshot()).queued, 0)
      yield* nobodyWaits
      const late = yield* Effect.forkChild(
        Effect.sleep("5 seconds").pipe(
          Effect.uninterruptible,
          Effect.andThen(Effect.uninterruptible(Effect.exit(Effect.void.pipe(bulkhead.protect())))),
          Timeout.total("5 seconds", { mode: "await" })
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(late.pollUnsafe())
      assert.deepInclude((yield* bulkhead.snapshot()).counters, { waited: 1 })
    })
  )

  it.effect("ends the wait at the deadline by itself, with how long it was", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open(queue)
      yield* call(bulkhead)
      const waits = yield* Effect.forkChild(
        Effect.exit(Effect.void.pipe(bulkhead.protect())).pipe(
          Effect.provideService(Deadline.Current, { startedAt: 0, limit: 5_000, at: 5_000 })
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("4999 millis")
      assert.isUndefined(waits.pollUnsafe())
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(refusal(yield* Fiber.join(waits)).waited, Duration.seconds(5))
    })
  )

  it.effect("lets go of a waiter that is interrupted, at once", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open(queue)
      const first = yield* call(bulkhead)
      const second = yield* call(bulkhead)
      const third = yield* call(bulkhead)
      yield* Fiber.interrupt(second)
      assert.strictEqual((yield* bulkhead.snapshot()).queued, 1)
      yield* Fiber.interrupt(first)
      assert.deepInclude(yield* bulkhead.snapshot(), { active: 1, queued: 0 })
      yield* Fiber.interrupt(third)
      assert.deepInclude(yield* bulkhead.snapshot(), { active: 0, queued: 0 })
      assert.deepInclude((yield* bulkhead.snapshot()).counters, { waited: 2, interrupted: 1, admitted: 2 })
      yield* nobodyWaits
    })
  )

  it.effect("loses no place that is given to a waiter in the instant of its interruption", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open(queue)
      const first = yield* call(bulkhead)
      const second = yield* call(bulkhead)
      const third = yield* call(bulkhead)
      first.interruptUnsafe()
      // The place is the second's now, and the second has not gone on yet.
      assert.deepInclude(yield* bulkhead.snapshot(), { active: 1, queued: 1 })
      second.interruptUnsafe()
      yield* Fiber.await(second)
      assert.deepInclude(yield* bulkhead.snapshot(), { active: 1, queued: 0 })
      yield* Fiber.interrupt(third)
      assert.deepInclude(yield* bulkhead.snapshot(), { active: 0, queued: 0 })
    })
  )

  it.effect("serves ten thousand waiters without running one inside the other", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open({ maxConcurrent: 1, maxQueue: 10_000, maxWait: "1 minute" })
      const first = yield* call(bulkhead)
      let depth = 0
      let deepest = 0
      const work = Effect.suspend(() => {
        deepest = Math.max(deepest, ++depth)
        return Effect.void
      }).pipe(bulkhead.protect(), Effect.andThen(Effect.sync(() => void depth--)))
      const fibers = []
      for (let i = 0; i < 10_000; i++) fibers.push(yield* Effect.forkChild(work, { startImmediately: true }))
      yield* Fiber.interrupt(first)
      for (const fiber of fibers) yield* Fiber.join(fiber)
      assert.isAtMost(deepest, 2)
      assert.deepInclude(yield* bulkhead.snapshot(), { active: 0, queued: 0 })
      yield* nobodyWaits
    })
  )

  it.effect("prefers the higher priority, and the tenant of whom fewer run", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open({ ...queue, maxConcurrent: 2 })
      const running = yield* call(bulkhead, { key: "a" })
      yield* call(bulkhead, { key: "a" })
      const a = yield* call(bulkhead, { key: "a" })
      const b = yield* call(bulkhead, { key: "b" })
      const urgent = yield* call(bulkhead, { key: "a" }, "high")
      // The urgent one takes the first place, b the next, a the last.
      yield* Fiber.interrupt(running)
      yield* Fiber.interrupt(urgent)
      assert.strictEqual((yield* bulkhead.snapshot()).queued, 1)
      yield* Fiber.interrupt(a)
      assert.strictEqual((yield* bulkhead.snapshot()).counters.interrupted, 1)
      yield* Fiber.interrupt(b)
      assert.deepInclude(yield* bulkhead.snapshot(), { active: 1, queued: 0 })
    })
  )

  it.effect("refuses the waiter that gives way to a newcomer", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open({ ...queue, maxQueue: 1 })
      yield* call(bulkhead)
      const low = yield* call(bulkhead, {}, "low")
      yield* TestClock.adjust("3 seconds")
      const high = yield* call(bulkhead, {}, "high")
      const { queued, waited } = refusal(yield* Fiber.await(low))
      assert.deepStrictEqual({ queued, waited }, { queued: 1, waited: Duration.seconds(3) })
      assert.isUndefined(high.pollUnsafe())
      yield* Fiber.interrupt(high)
      yield* nobodyWaits
    })
  )

  it.effect("starts the first call of a tenant soon, however many calls of others wait", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open({ maxConcurrent: 2, maxQueue: 1_000, maxWait: "1 hour" })
      const started: Array<string> = []
      const wait = (key: string) =>
        Effect.sync(() => started.push(key)).pipe(
          Effect.andThen(Effect.sleep("1 second")),
          bulkhead.protect({ key }),
          Effect.forkChild({ startImmediately: true })
        )
      for (const key of ["a", "b"]) for (let i = 0; i < 20; i++) yield* wait(key)
      yield* wait("c")
      yield* TestClock.adjust("21 seconds")
      assert.lengthOf(started, 41)
      // Two run already, and each of the others has one turn before it at most.
      assert.isAtMost(started.indexOf("c"), 4)
      const [ofA, ofB] = ["a", "b"].map((key) => started.slice(5, 35).filter((each) => each === key).length)
      assert.isAtMost(Math.abs(ofA! - ofB!), 1)
    })
  )

  it.effect("has places of its own for each key when it is asked to", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open({ maxConcurrent: 1, perKey: true }, 2)
      yield* call(bulkhead, { key: "a" })
      yield* call(bulkhead, { key: "b" })
      refusal(yield* Effect.exit(Effect.void.pipe(bulkhead.protect({ key: "a" }))))
      yield* Effect.void.pipe(bulkhead.protect())
      // Both known keys are in use: the others share one.
      yield* call(bulkhead, { key: "c" })
      refusal(yield* Effect.exit(Effect.void.pipe(bulkhead.protect({ key: "d" }))))
      assert.deepStrictEqual(
        (yield* bulkhead.snapshots).map(({ active, name }) => `${name} ${active}`),
        ["target 0", "target:a 1", "target:b 1", "target:(overflow) 1"]
      )
    })
  )

  it.effect("interrupts nobody when it is cut, and admits when fewer run than may", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open({ ...queue, maxConcurrent: 3 })
      const fibers = [yield* call(bulkhead), yield* call(bulkhead), yield* call(bulkhead)]
      const waits = yield* call(bulkhead)
      yield* bulkhead.resize(1)
      assert.deepInclude(yield* bulkhead.snapshot(), { active: 3, queued: 1, limit: 1 })
      yield* Fiber.interrupt(fibers[0]!)
      yield* Fiber.interrupt(fibers[1]!)
      assert.deepInclude(yield* bulkhead.snapshot(), { active: 1, queued: 1 })
      yield* Fiber.interrupt(fibers[2]!)
      assert.deepInclude(yield* bulkhead.snapshot(), { active: 1, queued: 0 })
      yield* Fiber.interrupt(waits)
    })
  )

  it.effect("admits those who wait when it grows, and tells of it", () =>
    Effect.gen(function* () {
      const events = yield* ResilienceEvent.ResilienceEvents
      const seen = yield* ResilienceEvent.stream(events).pipe(
        Stream.take(1),
        Stream.runCollect,
        Effect.forkChild({ startImmediately: true })
      )
      const bulkhead = yield* open(queue)
      for (let i = 0; i < 4; i++) yield* call(bulkhead)
      yield* bulkhead.resize(1)
      yield* bulkhead.resize(3)
      assert.deepInclude(yield* bulkhead.snapshot(), { active: 3, queued: 1 })
      const [event] = yield* Fiber.join(seen)
      assert.deepInclude(event, { _tag: "BulkheadResized", operation: "target", from: 1, to: 3, active: 3, queued: 1 })
      assert.instanceOf(yield* Effect.flip(bulkhead.resize(0)), Settings.InvalidSettings)
      assert.strictEqual((yield* bulkhead.snapshot()).limit, 3)
    }).pipe(Effect.provide(ResilienceEvent.layer))
  )

  it.effect("gets its place back when a timeout inside abandons the attempt", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open({ maxConcurrent: 1 })
      let ended = 0
      const stubborn = Effect.never.pipe(
        Effect.ensuring(
          Effect.andThen(
            Effect.sleep("1 minute"),
            Effect.sync(() => ended++)
          )
        ),
        Timeout.attempt("1 second", { mode: "detach" }),
        bulkhead.protect()
      )
      const fiber = yield* Effect.forkChild(Effect.exit(stubborn), { startImmediately: true })
      assert.strictEqual((yield* bulkhead.snapshot()).active, 1)
      yield* TestClock.adjust("1 second")
      assert.isDefined(fiber.pollUnsafe())
      assert.strictEqual(ended, 0)
      assert.strictEqual((yield* bulkhead.snapshot()).active, 0)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(ended, 1)
    })
  )

  it.effect("inside a retry takes a place for each attempt, and none for the pauses", () =>
    Effect.gen(function* () {
      const bulkhead = yield* open({ maxConcurrent: 1 })
      const fiber = yield* Effect.forkChild(
        Effect.exit(
          Effect.fail("down").pipe(
            bulkhead.protect(),
            Retry.retry({ settings: { maxAttempts: 3, base: "1 second", jitter: "none" } })
          )
        ),
        { startImmediately: true }
      )
      assert.strictEqual((yield* bulkhead.snapshot()).active, 0)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(fiber)
      assert.strictEqual((yield* bulkhead.snapshot()).counters.admitted, 3)
    })
  )

  it.effect("can be started by whoever composes policies, and retuned in use", () =>
    Effect.gen(function* () {
      const events = yield* ResilienceEvent.ResilienceEvents
      const running = Bulkhead.settings(queue).startUnsafe({ operation: "target", slot: "bulkhead", events, now: 0 })
      const clock = yield* Clock.Clock
      assert.isTrue(running.isAtRest(0))
      const service = yield* open(queue)
      yield* call(service)
      running.retuneUnsafe(Bulkhead.settings({ maxConcurrent: 7 }))
      assert.deepInclude(running.snapshotsUnsafe(clock)[0], { limit: 7, active: 0 })
      try {
        running.retuneUnsafe(new Bulkhead.Settings({ maxQueue: 5 }))
        assert.fail("accepted")
      } catch (error) {
        assert.instanceOf(error, Settings.InvalidSettings)
      }
    })
  )
})

describe("Bulkhead.settings", () => {
  it.effect("are the same from code, JSON and configuration", () =>
    Effect.gen(function* () {
      const code = Bulkhead.settings({ maxConcurrent: 5, maxQueue: 10, maxWait: 500, order: "lifo", perKey: true })
      const json = { maxConcurrent: 5, maxQueue: 10, maxWait: "500 millis", order: "lifo", perKey: true }
      assert.isTrue(Equal.equals(yield* Schema.decodeUnknownEffect(Bulkhead.Settings)(json), code))
      const config = yield* Config.schema(Bulkhead.Settings, "bulkhead").parse(
        ConfigProvider.fromUnknown({ bulkhead: { ...json, maxConcurrent: "5", maxQueue: "10", perKey: "true" } })
      )
      assert.isTrue(Equal.equals(config, code))
      assert.isTrue(Equal.equals(yield* Schema.decodeUnknownEffect(Bulkhead.Settings)({}), Bulkhead.settings()))
    })
  )

  const nonsense: ReadonlyArray<readonly [input: Record<string, unknown>, path: string]> = [
    ...[0, -1, 1.5, NaN, Infinity, 100_001].map((maxConcurrent) => [{ maxConcurrent }, "maxConcurrent"] as const),
    ...[-1, 0.5, NaN, 100_001].map((maxQueue) => [{ maxQueue, maxWait: "1 second" }, "maxQueue"] as const),
    ...[-1, NaN, Infinity, "2 hours"].map((maxWait) => [{ maxWait, maxQueue: 1 }, "maxWait"] as const),
    [{ order: "random" }, "order"],
    [{ perKey: 1 }, "perKey"],
    [{ maxQueue: 1 }, "maxWait"],
    [{ maxWait: "1 second" }, "maxQueue"]
  ]
  for (const [input, path] of nonsense) {
    it(`refuse ${Object.entries(input).map(String).join(" with ")}`, () => {
      try {
        Bulkhead.settings(input)
      } catch (error) {
        assert.instanceOf(error, Settings.InvalidSettings)
        assert.include(
          error.findings.map((finding) => finding.path),
          path
        )
        return
      }
      assert.fail("accepted")
    })
  }

  it("refuse a number of keys out of range", () => {
    for (const maxKeys of [0, 1.5, 1_000_001]) {
      assert.throws(() => Bulkhead.make({ operation: "target", maxKeys }), Settings.InvalidSettings)
    }
  })
})
