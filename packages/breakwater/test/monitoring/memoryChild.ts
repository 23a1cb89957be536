/**
 * Prints the heap after 600,000 and after 1,200,000 calls of 10,000 operations, how many events that were, and how many
 * alerts are open, with everything on that watches. Time goes on by five seconds for each round of calls, so that the
 * heap is measured at the same place of the five minutes over which alerts look back.
 */
import { Effect, Layer, Logger, ManagedRuntime, Metric, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Alerts, Health, Monitoring, Preset, Registry, Resilience, Strategy, withResilience } from "breakwater"
import { Logs, Metrics } from "breakwater/observability"

const collect = (globalThis as { gc?: () => void }).gc!
const heap = (): number => {
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

const names = Array.from({ length: 10_000 }, (_, index) => `operation_${index}`)
const guarded = Strategy.make("guarded", {
  retry: false,
  circuitBreaker: { failureThreshold: 3, openDuration: "1 hour" }
})

const live = Layer.mergeAll(
  Metrics.layer(),
  Logs.layer(),
  Health.layer(),
  Monitoring.layer({ alerts: { lookEvery: "1 minute" } })
).pipe(
  Layer.provideMerge(Resilience.layer(Preset.simple, { decisions: { sampleEvery: 2, capacity: 4 } })),
  Layer.provideMerge(Layer.sync(Metric.MetricRegistry, () => new Map())),
  Layer.provideMerge(TestClock.layer()),
  Layer.provideMerge(Logger.layer([]))
)
const runtime = ManagedRuntime.make(live)

const call = (operation: string, index: number) => {
  switch (index % 4) {
    // Refused and answered by a fallback: two events and a decision.
    case 1:
      return Effect.fail("down").pipe(withResilience(guarded, { operation, fallback: () => Effect.void }))
    case 3:
      return Effect.succeed("up").pipe(withResilience(guarded, { operation }))
    // Refused by an open circuit, after the first three: an event and a decision.
    default:
      return Effect.exit(Effect.fail("down").pipe(withResilience(guarded, { operation })))
  }
}

const round = Effect.forEach(names, (name, index) => Effect.exit(call(name, index)), { discard: true })

const program = Effect.gen(function* () {
  const { events } = yield* Registry
  const health = yield* Health.Health
  yield* Effect.forkScoped(Stream.runDrain(events))
  const sizes: Array<number> = []
  for (let rounds = 1; rounds <= 120; rounds++) {
    yield* round
    yield* TestClock.adjust("5 seconds")
    if (rounds % 60 !== 0) continue
    yield* Metrics.prometheus()
    yield* health.detailed
    sizes.push(heap())
  }
  const scrape = yield* Metrics.prometheus()
  const counts = scrape.matchAll(/^breakwater_events_total\{.*\} (\d+)$/gm)
  const told = Array.from(counts, ([, count]) => Number(count)).reduce((sum, count) => sum + count, 0)
  const { summary } = yield* (yield* Alerts.Alerts).active()
  return [...sizes, told, summary.totalAlerts]
}).pipe(Effect.scoped)

process.stdout.write(JSON.stringify(await runtime.runPromise(program)))
await runtime.dispose()
