import { spawn } from "node:child_process"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Random } from "effect"
import { Timeout } from "breakwater"
import { make } from "../src/DeadlineQueue.ts"
import * as Monotonic from "../src/Monotonic.ts"

/** Runs a script in a process of its own. Tells how it ended, and how long after its last line. */
const spawned = (script: string) =>
  Effect.callback<{
    readonly code: number | null
    readonly lines: ReadonlyArray<string>
    readonly millisAfter: number
  }>((resume) => {
    const child = spawn(
      process.execPath,
      [
        "--input-type=module",
        "--eval",
        `import { Effect } from "effect"; import { Timeout } from "breakwater"; ${script}`
      ],
      { cwd: new URL("..", import.meta.url), stdio: ["ignore", "pipe", "inherit"] }
    )
    let text = ""
    let last = performance.now()
    child.stdout.on("data", (chunk) => {
      text += chunk
      last = performance.now()
    })
    child.on("close", (code) =>
      resume(Effect.succeed({ code, lines: text.split("\n").filter(Boolean), millisAfter: performance.now() - last }))
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

describe("DeadlineQueue on the live clock", () => {
  it.live("releases no entry early, each once, and soon", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const queue = make(clock)
      const done = yield* Deferred.make<void>()
      const fiber = Fiber.getCurrent()!
      const released: Array<readonly [id: number, late: number]> = []
      const removed = new Set<number>()
      const count = 200
      for (let id = 0; id < count; id++) {
        const now = Monotonic.now(clock)
        const limit = yield* Random.nextIntBetween(1, 60)
        const deadline = now + limit
        const entry = queue.add(fiber, now, limit, deadline, () => {
          released.push([id, Monotonic.now(clock) - deadline])
          if (released.length === count - removed.size) Deferred.doneUnsafe(done, Effect.void)
        })
        if (id % 5 === 0) {
          removed.add(id)
          queue.remove(entry)
        }
      }
      yield* Deferred.await(done)
      yield* Effect.sleep(20)
      assert.strictEqual(new Set(released.map(([id]) => id)).size, count - removed.size)
      assert.strictEqual(released.length, count - removed.size)
      for (const [id, late] of released) {
        assert.isFalse(removed.has(id))
        assert.isAtLeast(late, -0.001)
        assert.isBelow(late, 250)
      }
      assert.strictEqual(queue.waiting(), 0)
    })
  )

  it.live("takes up again after a rest, with an earlier and with a later deadline", () =>
    Effect.gen(function* () {
      for (const limit of ["5 millis", "1 minute", "10 millis", "2 minutes", "5 millis"] as const) {
        const quick = limit.endsWith("minute") || limit.endsWith("minutes")
        const body = quick ? Effect.sleep(2) : Effect.never
        const error = yield* Effect.flip(
          Effect.andThen(body, Effect.fail("done" as const)).pipe(Timeout.attempt(limit))
        )
        assert.strictEqual(error === "done" ? "done" : error.reason._tag, quick ? "done" : "TimeoutExceeded")
      }
    })
  )

  it.live(
    "lets the process end when nothing waits",
    () =>
      Effect.gen(function* () {
        const { code, lines, millisAfter } = yield* spawned(`
          const quick = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5, "quick")))
          console.log(await Effect.runPromise(Timeout.attempt(quick, "60 seconds")))
        `)
        assert.deepStrictEqual(lines, ["quick"])
        assert.strictEqual(code, 0)
        assert.isBelow(millisAfter, 1_000)
      }),
    15_000
  )

  it.live(
    "keeps the process alive while a deadline waits",
    () =>
      Effect.gen(function* () {
        const { code, lines } = yield* spawned(`
          const never = Effect.promise(() => new Promise(() => {}))
          const quick = Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 5, "quick")))
          const limited = (self) => Timeout.attempt(self, "300 millis")
          const start = performance.now()
          // The first call leaves a timer behind that holds nothing.
          console.log(await Effect.runPromise(limited(quick)))
          const error = await Effect.runPromise(Effect.flip(limited(never)))
          const took = performance.now() - start
          console.log(error.reason._tag, took >= 300 && took < 2_000 ? "in time" : took)
        `)
        assert.deepStrictEqual(lines, ["quick", "TimeoutExceeded in time"])
        assert.strictEqual(code, 0)
      }),
    15_000
  )
})
