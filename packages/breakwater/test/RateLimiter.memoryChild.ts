/**
 * Prints by how many bytes the heap grows when so many distinct keys call once
 * each: keys that are at rest soon, and keys that never are.
 */
import { Effect } from "effect"
import { RateLimiter } from "breakwater"

const collect = (globalThis as { gc?: () => void }).gc!
const heap = (): number => {
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

const count = Number(process.argv[2])
// The state of least size and that of most.
const algorithms = ["gcra", "sliding-log"] as const
const growth: Record<string, { readonly soon: number; readonly never: number; readonly kept: number }> = {}

const grow = (settings: RateLimiter.SettingsInput) =>
  Effect.gen(function* () {
    const limiter = yield* RateLimiter.make({ operation: "keyed", settings })
    const before = heap()
    for (let i = 0; i < count; i++) {
      yield* Effect.exit(Effect.void.pipe(limiter.protect({ key: `tenant-${i}-of-many` })))
    }
    const bytes = heap() - before
    return { bytes, kept: (yield* limiter.snapshot).size }
  })

for (const algorithm of algorithms) {
  const soon = await Effect.runPromise(grow({ algorithm, limit: 1_000, window: "1 milli" }))
  const never = await Effect.runPromise(grow({ algorithm, limit: 1, window: "1 day" }))
  growth[algorithm] = { soon: soon.bytes, never: never.bytes, kept: Math.max(soon.kept, never.kept) }
}

process.stdout.write(JSON.stringify(growth))
