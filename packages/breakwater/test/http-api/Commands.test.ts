import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Layer, Option } from "effect"
import { TestClock } from "effect/testing"
import { AdminKeys, Audit, Commands, EventStreams } from "../../src/http-api/index.ts"
import { Locks } from "../../src/http-api/internal/locks.ts"
import { Ring } from "../../src/http-api/internal/ring.ts"

const live = Commands.Commands.layer.pipe(Layer.provideMerge(Audit.Audit.layer))

const as = (id: string) =>
  Effect.provideService(AdminKeys.CurrentCaller, Option.some<AdminKeys.Caller>({ id, scope: "admin" }))

const lamp = () => {
  const current = { state: "red", version: 1 }
  const command = {
    command: "change_lamp",
    resource: "lamps/1",
    read: Effect.sync(() => ({ ...current }))
  }
  const turn = (state: string) =>
    Effect.sync(() => {
      current.state = state
      current.version++
    })
  return { command, turn }
}

describe("a command", () => {
  it.effect("returns what was before and after, and is in the audit log", () =>
    Effect.gen(function* () {
      const { run } = yield* Commands.Commands
      const { recent } = yield* Audit.Audit
      const { command, turn } = lamp()
      const done = yield* run({ ...command, reason: "a car comes" }, () => Effect.as(turn("green"), "turned")).pipe(
        as("4f2a91")
      )
      assert.deepStrictEqual(done, {
        before: { state: "red", version: 1 },
        after: { state: "green", version: 2 },
        value: "turned"
      })
      const [entry, ...others] = yield* recent(10)
      assert.isEmpty(others)
      assert.deepInclude(entry, {
        id: 1,
        actor: "4f2a91",
        action: "change_lamp",
        resource: "lamps/1",
        from: Option.some("red"),
        to: Option.some("green"),
        version: Option.some(2),
        reason: Option.some("a car comes"),
        result: "done"
      })
    }).pipe(Effect.provide(live))
  )

  it.effect("with the version of another state does nothing, and is in the audit log as refused", () =>
    Effect.gen(function* () {
      const { run } = yield* Commands.Commands
      const { recent } = yield* Audit.Audit
      const { command, turn } = lamp()
      for (const ifMatch of [`"0"`, `"2"`, `W/"1"`, "1", "", `"1`]) {
        const refused = yield* Effect.flip(run({ ...command, ifMatch, context: { lamp: 1 } }, () => turn("green")))
        assert(refused._tag === "PreconditionFailedError")
        assert.deepStrictEqual(refused.context, { lamp: 1, resource: "lamps/1", current_version: 1 })
      }
      const [entry] = yield* recent(1)
      assert.deepInclude(entry, {
        from: Option.some("red"),
        to: Option.none(),
        version: Option.some(1),
        result: "PreconditionFailedError"
      })
      for (const ifMatch of [`"1"`, "*", `"7", "3"`]) {
        assert.strictEqual((yield* run({ ...command, ifMatch }, () => turn("green"))).value, undefined)
      }
    }).pipe(Effect.provide(live))
  )

  it.effect("is used ten times a minute by one key, and each command counts for itself", () =>
    Effect.gen(function* () {
      const { run } = yield* Commands.Commands
      const { recent } = yield* Audit.Audit
      const { command, turn } = lamp()
      const change = run(command, () => turn("green"))
      yield* Effect.repeat(change, { times: 9 }).pipe(as("a"))
      const refused = yield* Effect.flip(change).pipe(as("a"))
      assert(refused._tag === "RateLimitError")
      assert.deepStrictEqual(refused.retryAfter, Duration.minutes(1))
      assert.deepInclude((yield* recent(1))[0], { actor: "a", result: "RateLimitError", version: Option.none() })
      yield* run({ ...command, command: "break_lamp" }, () => turn("dark")).pipe(as("a"))
      yield* change.pipe(as("b"))
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* Effect.flip(change).pipe(as("a")))._tag, "RateLimitError")
      yield* TestClock.adjust("1 second")
      yield* change.pipe(as("a"))
    }).pipe(Effect.provide(live))
  )

  it.effect("waits for its turn at a resource, so the audit log is in the order of versions", () =>
    Effect.gen(function* () {
      const { run } = yield* Commands.Commands
      const { recent } = yield* Audit.Audit
      const { command, turn } = lamp()
      let inside = 0
      const slow = run(command, () =>
        Effect.gen(function* () {
          assert.strictEqual(++inside, 1)
          yield* Effect.sleep("1 second")
          yield* turn("green")
          inside--
        })
      )
      const others = yield* Effect.forkChild(
        Effect.forEach(
          Array.from({ length: 30 }, (_, n) => n),
          (n) => slow.pipe(as(`key-${n}`)),
          { concurrency: "unbounded" }
        )
      )
      yield* TestClock.adjust("30 seconds")
      yield* Fiber.join(others)
      const versions = (yield* recent(100)).map(({ version }) => Option.getOrThrow(version)).toReversed()
      assert.deepStrictEqual(
        versions,
        Array.from({ length: 30 }, (_, n) => n + 2)
      )
    }).pipe(Effect.provide(live))
  )

  it.effect("does not wait for another resource", () =>
    Effect.gen(function* () {
      const { run } = yield* Commands.Commands
      const { command, turn } = lamp()
      const latch = yield* Deferred.make<void>()
      const held = yield* Effect.forkChild(run(command, () => Deferred.await(latch)))
      yield* Effect.yieldNow
      yield* run({ ...command, resource: "lamps/2" }, () => turn("green"))
      yield* Deferred.succeed(latch, undefined)
      yield* Fiber.join(held)
    }).pipe(Effect.provide(live))
  )

  it.effect("that is interrupted while it waits leaves nothing, and later it is finished", () =>
    Effect.gen(function* () {
      const { run } = yield* Commands.Commands
      const { recent } = yield* Audit.Audit
      const { command, turn } = lamp()
      const latch = yield* Deferred.make<void>()
      const first = yield* Effect.forkChild(run(command, () => Effect.andThen(Deferred.await(latch), turn("green"))))
      yield* Effect.yieldNow
      const second = yield* Effect.forkChild(run(command, () => turn("blue")))
      yield* Effect.yieldNow
      yield* Fiber.interrupt(second)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(first))
      yield* Effect.yieldNow
      yield* Deferred.succeed(latch, undefined)
      yield* Fiber.join(interrupting)
      assert.deepStrictEqual(
        (yield* recent(10)).map(({ result, to }) => [Option.getOrNull(to), result]),
        [["green", "done"]]
      )
      assert.strictEqual((yield* run(command, () => turn("red"))).before.state, "green")
    }).pipe(Effect.provide(live))
  )

  it.effect("that fails is in the audit log with the code of its failure, and lets the next one go", () =>
    Effect.gen(function* () {
      const { run } = yield* Commands.Commands
      const { recent } = yield* Audit.Audit
      const { command, turn } = lamp()
      yield* Effect.exit(run(command, () => Effect.die(new Error("hunter2"))))
      yield* Effect.exit(run({ ...command, read: Effect.fail("gone") }, () => turn("green")))
      yield* run(command, () => turn("green"))
      const entries = yield* recent(10)
      assert.deepStrictEqual(
        entries.map(({ result }) => result),
        ["done", "InfrastructureError", "InfrastructureError"]
      )
      assert.notInclude(JSON.stringify(entries), "hunter2")
    }).pipe(Effect.provide(live))
  )
})

describe("the audit log", () => {
  const write = { actor: "a", action: "b", resource: "c" }

  it.effect("keeps the newest 9,000 writes, and refusals never push them out", () =>
    Effect.gen(function* () {
      const { recent, record } = yield* Audit.Audit
      yield* Effect.repeat(record(write), { times: 9_009 })
      yield* Effect.repeat(record({ ...write, result: "AuthorizationError" }), { times: 1_499 })
      const all = yield* recent(100_000)
      assert.lengthOf(all, 10_000)
      assert.lengthOf(
        all.filter(({ result }) => result === "done"),
        9_000
      )
      assert.strictEqual(all[0]?.id, 10_510)
      assert.strictEqual(all.at(-1)?.id, 11)
      assert.isTrue(all.every(({ id }, index) => index === 0 || id < all[index - 1]!.id))
    }).pipe(Effect.provide(live))
  )

  it.effect("cuts long texts", () =>
    Effect.gen(function* () {
      const { recent, record } = yield* Audit.Audit
      const long = "x".repeat(100_000)
      yield* record({ actor: long, action: long, resource: long, from: long, to: long, reason: long })
      assert.isBelow(JSON.stringify(yield* recent(1)).length, 2_000)
    }).pipe(Effect.provide(live))
  )
})

describe("event streams", () => {
  it.effect("are five for each key, and a closed one makes room", () =>
    Effect.gen(function* () {
      const { open, permit } = yield* EventStreams.EventStreams
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* Effect.repeat(permit, { times: 4 }).pipe(as("a"))
          assert.strictEqual((yield* Effect.flip(permit).pipe(as("a")))._tag, "RateLimitError")
          yield* permit.pipe(as("b"))
          assert.strictEqual(yield* open, 6)
        })
      )
      assert.strictEqual(yield* open, 0)
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(Effect.scoped(permit)).pipe(as("a"))))
    }).pipe(Effect.provide(EventStreams.EventStreams.layer))
  )
})

describe("a ring", () => {
  it("gives the newest first, before and after it is full", () => {
    const ring = new Ring<number>(3)
    assert.deepStrictEqual(ring.last(2), [])
    for (const [value, last] of [
      [1, [1]],
      [2, [2, 1]],
      [3, [3, 2, 1]],
      [4, [4, 3, 2]],
      [5, [5, 4, 3]],
      [6, [6, 5, 4]],
      [7, [7, 6, 5]]
    ] as const) {
      ring.push(value)
      assert.deepStrictEqual(ring.last(10), last)
      assert.deepStrictEqual(ring.last(1), [value])
    }
  })
})

describe("locks", () => {
  it.effect("leave nothing behind", () =>
    Effect.gen(function* () {
      const locks = new Locks()
      const holding = yield* Effect.forkChild(locks.hold("a", Effect.sleep("1 second")))
      const waiting = yield* Effect.forkChild(locks.hold("a", Effect.die("never")))
      yield* Effect.yieldNow
      assert.strictEqual(locks.size, 1)
      yield* Fiber.interrupt(waiting)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(holding)
      yield* Effect.exit(locks.hold("b", Effect.fail("no")))
      assert.strictEqual(locks.size, 0)
    })
  )
})
