import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Clock, type Duration, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"
import { make, of } from "../src/DeadlineQueue.ts"
import type { Entry } from "../src/internal/deadlineList.ts"
import * as Monotonic from "../src/Monotonic.ts"

/** The test clock, counting the sleeps that are pending. It may be put ahead, as after a long synchronous step. */
const counting = Effect.map(Clock.Clock, (clock) => {
  const sleeps = { pending: 0, aheadMillis: 0 }
  const counted: Clock.Clock = {
    currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe(),
    currentTimeMillis: clock.currentTimeMillis,
    currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe(),
    currentTimeNanos: clock.currentTimeNanos,
    monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe() + BigInt(sleeps.aheadMillis * 1_000_000),
    monotonicTimeNanos: clock.monotonicTimeNanos,
    sleep: (duration: Duration.Duration) =>
      Effect.acquireUseRelease(
        Effect.sync(() => {
          sleeps.pending++
        }),
        () => clock.sleep(duration),
        () =>
          Effect.sync(() => {
            sleeps.pending--
          })
      )
  }
  return [counted, sleeps] as const
})

/** A queue on the test clock, with the releases it made. */
const setup = Effect.gen(function* () {
  const [clock, sleeps] = yield* counting
  const queue = make(clock)
  const released: Array<readonly [name: string, at: number]> = []
  const fiber = Fiber.getCurrent()!
  const now = () => Monotonic.now(clock)
  const add = (
    name: string,
    limit: number,
    options: { readonly deadline?: number; readonly onRelease?: () => void } = {}
  ) =>
    queue.add(fiber, now(), limit, options.deadline ?? now() + limit, () => {
      released.push([name, now()])
      options.onRelease?.()
    })
  return { queue, sleeps, released, add, now }
})

describe("DeadlineQueue", () => {
  it.effect("releases each entry at its deadline, once", () =>
    Effect.gen(function* () {
      const { add, queue, released } = yield* setup
      add("a", 100)
      yield* TestClock.adjust(50)
      add("b", 100)
      yield* TestClock.adjust(49)
      assert.deepStrictEqual(released, [])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(released, [["a", 100]])
      assert.strictEqual(queue.waiting(), 1)
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(released, [
        ["a", 100],
        ["b", 150]
      ])
      assert.strictEqual(queue.waiting(), 0)
    })
  )

  it.effect("releases entries of different limits in the order of their deadlines", () =>
    Effect.gen(function* () {
      const { add, released } = yield* setup
      add("slow", 300)
      add("quick", 100)
      add("clipped", 300, { deadline: 50 })
      yield* TestClock.adjust(300)
      assert.deepStrictEqual(released, [
        ["clipped", 50],
        ["quick", 100],
        ["slow", 300]
      ])
    })
  )

  it.effect("releases what is overdue in the order of the deadlines", () =>
    Effect.gen(function* () {
      const { add, queue, released, sleeps } = yield* setup
      for (const limit of [30, 10, 20, 40]) add(`${limit}`, limit)
      add("clipped", 40, { deadline: 25 })
      sleeps.aheadMillis = 22
      yield* TestClock.adjust(10)
      assert.deepStrictEqual(released, [
        ["10", 32],
        ["20", 32],
        ["clipped", 32],
        ["30", 32]
      ])
      assert.strictEqual(queue.waiting(), 1)
      yield* TestClock.adjust(8)
      assert.deepStrictEqual(released.slice(4), [["40", 40]])
    })
  )

  it.effect("loses nothing among more limits than it keeps lists for", () =>
    Effect.gen(function* () {
      const { add, queue, released } = yield* setup
      for (let round = 0; round < 3; round++) {
        for (let limit = 1; limit <= 200; limit++) add(`${limit}`, limit)
        assert.strictEqual(queue.waiting(), 200)
        yield* TestClock.adjust(200)
        assert.deepStrictEqual(
          released.map(([, at]) => at),
          Array.from({ length: 200 }, (_, i) => round * 200 + i + 1)
        )
        released.length = 0
      }
    })
  )

  it.effect("counts an entry as gone while it is released", () =>
    Effect.gen(function* () {
      const { add, queue } = yield* setup
      const waiting: Array<number> = []
      const look = () => {
        waiting.push(queue.waiting())
        queue.remove(a)
        queue.remove(b)
      }
      const a = add("a", 10, { onRelease: look })
      const b = add("b", 20, { onRelease: look })
      add("c", 30, { onRelease: look })
      yield* TestClock.adjust(30)
      assert.deepStrictEqual(waiting, [2, 0])
    })
  )

  it.effect("releases all that share an instant at that instant, whatever their limits", () =>
    Effect.gen(function* () {
      const { add, released } = yield* setup
      for (const limit of [30, 10, 20]) {
        add(`${limit}`, limit, { deadline: 100 })
        add(`${limit} again`, limit, { deadline: 100 })
      }
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(
        released.map(([, at]) => at),
        Array.from({ length: 6 }, () => 100)
      )
      assert.strictEqual(new Set(released.map(([name]) => name)).size, 6)
    })
  )

  it.effect("does not release what was removed, and forgives a second removal", () =>
    Effect.gen(function* () {
      const { add, queue, released, sleeps } = yield* setup
      const a = add("a", 100)
      const b = add("b", 100)
      queue.remove(a)
      queue.remove(a)
      assert.strictEqual(queue.waiting(), 1)
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(released, [["b", 100]])
      queue.remove(b)
      assert.strictEqual(queue.waiting(), 0)
      assert.strictEqual(sleeps.pending, 0)
    })
  )

  it.effect("does not release what an earlier release of the same instant removed", () =>
    Effect.gen(function* () {
      const { add, queue, released } = yield* setup
      add("a", 100, { onRelease: () => queue.remove(b) })
      const b = add("b", 100)
      yield* TestClock.adjust(100)
      assert.deepStrictEqual(released, [["a", 100]])
    })
  )

  it.effect("releases what a release added, sooner or later than what waits", () =>
    Effect.gen(function* () {
      const { add, released } = yield* setup
      add("a", 100, {
        onRelease: () => {
          add("later", 500)
          add("sooner", 5)
        }
      })
      add("b", 200)
      yield* TestClock.adjust(1_000)
      assert.deepStrictEqual(released, [
        ["a", 100],
        ["sooner", 105],
        ["b", 200],
        ["later", 600]
      ])
    })
  )

  it.effect("sleeps once, however many wait, and not at all when nothing waits", () =>
    Effect.gen(function* () {
      const { add, queue, sleeps } = yield* setup
      assert.strictEqual(sleeps.pending, 0)
      const entries = Array.from({ length: 1_000 }, (_, i) => add(`${i}`, 100 + (i % 7)))
      assert.strictEqual(sleeps.pending, 1)
      for (const entry of entries) queue.remove(entry)
      assert.strictEqual(sleeps.pending, 0)
      add("again", 10)
      assert.strictEqual(sleeps.pending, 1)
      yield* TestClock.adjust(10)
      assert.strictEqual(sleeps.pending, 0)
    })
  )

  it.effect("releases at a deadline that floating point puts just after the clock's reading", () =>
    Effect.gen(function* () {
      yield* TestClock.adjust("100 micros")
      const { add, queue, released, sleeps } = yield* setup
      // 0.1 + 1.1 is 1.2000000000000002, and the clock will read 1.2.
      add("a", 1.1)
      yield* TestClock.adjust("1100 micros")
      assert.deepStrictEqual(released, [["a", 1.2]])
      assert.strictEqual(queue.waiting(), 0)
      assert.strictEqual(sleeps.pending, 0)
      add("b", 5)
      yield* TestClock.adjust("5 millis")
      assert.strictEqual(released.length, 2)
    })
  )

  it.effect("is one and the same for one clock", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const [other] = yield* counting
      assert.strictEqual(of(clock), of(clock))
      assert.notStrictEqual(of(clock), of(other))
    })
  )
})

const between = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

/** Deadlines are rounded up to `grain` plus the number of their limit, so that only entries of one limit share one. */
const grain = 256

const add = Schema.TaggedStruct("add", {
  /** Which of the limits, of few or of many. */
  limit: Schema.Union([between(0, 2), between(0, 200)]),
  /** How much sooner than the limit the deadline is, as one clipped to a total is. */
  sooner: between(0, 12)
})

const command = Schema.Union([
  Schema.Struct({
    ...add.fields,
    /** What the release does: adds another entry, removes one, or both. */
    adds: Schema.UndefinedOr(add),
    removes: Schema.UndefinedOr(between(0, 30))
  }),
  Schema.TaggedStruct("remove", { entry: between(0, 30) }),
  Schema.TaggedStruct("adjust", { millis: between(0, 3 * grain) }),
  Schema.TaggedStruct("adjust", { millis: between(0, 16 * grain) })
])

const deadlineOf = (now: number, { limit, sooner }: { readonly limit: number; readonly sooner: number }): number =>
  Math.ceil((now + 1 + Math.max((limit % 16) - sooner, 0) * grain) / grain) * grain + limit

/** A timer for each entry, and a look at all of them for each millisecond that one of them names. */
class Naive {
  now = 0
  readonly timers: Array<{
    readonly id: number
    readonly deadline: number
    state: "waiting" | "released" | "removed"
  }> = []
  readonly released: Array<readonly [id: number, at: number]> = []
  readonly onRelease: (id: number) => void

  constructor(onRelease: (id: number) => void) {
    this.onRelease = onRelease
  }

  get waiting(): number {
    return this.timers.filter(({ state }) => state === "waiting").length
  }

  add(deadline: number): void {
    this.timers.push({ id: this.timers.length, deadline, state: "waiting" })
  }

  remove(id: number): void {
    const timer = this.timers[id]
    if (timer?.state === "waiting") timer.state = "removed"
  }

  adjust(millis: number): void {
    const until = this.now + millis
    for (;;) {
      const next = this.timers
        .filter(({ deadline, state }) => state === "waiting" && deadline <= until)
        .toSorted((a, b) => a.deadline - b.deadline || a.id - b.id)[0]
      if (next === undefined) break
      this.now = next.deadline
      next.state = "released"
      this.released.push([next.id, this.now])
      this.onRelease(next.id)
    }
    this.now = until
  }
}

describe("DeadlineQueue, over random sequences", () => {
  it.effect.prop(
    "does what a timer for each entry does",
    { commands: Arbitrary.array(Arbitrary.schema(command), { maxLength: 60 }) },
    ({ commands }) =>
      Effect.gen(function* () {
        const [clock, sleeps] = yield* counting
        const queue = make(clock)
        const fiber = Fiber.getCurrent()!
        const entries: Array<Entry> = []
        const released: Array<readonly [id: number, at: number]> = []
        type Add = Extract<typeof command.Type, { _tag: "add" }>
        const plans: Array<Pick<Add, "adds" | "removes">> = []

        const addEntry = (what: typeof add.Type) => {
          const id = entries.length
          const now = Monotonic.now(clock)
          // A placeholder: the release may not come before `add` has returned.
          entries.push(undefined as never)
          entries[id] = queue.add(fiber, now, what.limit, deadlineOf(now, what), () => {
            released.push([id, Monotonic.now(clock)])
            const plan = plans[id]
            if (plan?.adds !== undefined) addEntry(plan.adds)
            if (plan?.removes !== undefined) removeEntry(plan.removes)
          })
        }
        const removeEntry = (entry: number) => {
          const found = entries[entry]
          if (found !== undefined) queue.remove(found)
        }
        const model = new Naive((id) => {
          const plan = plans[id]
          if (plan?.adds !== undefined) model.add(deadlineOf(model.now, plan.adds))
          if (plan?.removes !== undefined) model.remove(plan.removes)
        })

        for (const command of [...commands, { _tag: "adjust" as const, millis: 100 * grain }]) {
          switch (command._tag) {
            case "add":
              plans[entries.length] = command
              addEntry(command)
              model.add(deadlineOf(model.now, command))
              break
            case "remove":
              removeEntry(command.entry)
              model.remove(command.entry)
              break
            case "adjust":
              yield* TestClock.adjust(command.millis)
              model.adjust(command.millis)
          }
          assert.deepStrictEqual(released, model.released)
          assert.strictEqual(queue.waiting(), model.waiting)
          assert.strictEqual(sleeps.pending, model.waiting === 0 ? 0 : 1)
        }
        assert.strictEqual(queue.waiting(), 0)
      }),
    { arbitrary: { runs: 500, size: 60 } }
  )
})
