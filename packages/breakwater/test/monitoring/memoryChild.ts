/** Prints the heap after 500,000 and after 1,000,000 calls of 10,000 operations, with a subscriber that hears events. */
import { Effect, ManagedRuntime, Stream } from "effect"
import { Preset, Registry, Resilience, Strategy, withResilience } from "breakwater"

const collect = (globalThis as { gc?: () => void }).gc!
const heap = (): number => {
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

const names = Array.from({ length: 10_000 }, (_, index) => `operation_${index}`)
const strategy = Strategy.make("busy", {
  retry: false,
  circuitBreaker: { failureThreshold: 3, openDuration: "1 hour" }
})
const runtime = ManagedRuntime.make(Resilience.layer(Preset.simple, { decisions: { sampleEvery: 2, capacity: 8 } }))

// Half of the calls are refused by an open circuit: each is an event and a decision.
const round = Effect.forEach(
  names,
  (operation, index) =>
    (index % 2 === 0 ? Effect.fail("down") : Effect.succeed("up")).pipe(
      withResilience(strategy, { operation }),
      Effect.exit
    ),
  { discard: true }
)

const program = Effect.gen(function* () {
  const { events } = yield* Registry
  yield* Effect.forkScoped(Stream.runDrain(events))
  const sizes: Array<number> = []
  for (let rounds = 1; rounds <= 100; rounds++) {
    yield* round
    if (rounds % 50 === 0) sizes.push(heap())
  }
  return sizes
}).pipe(Effect.scoped)

process.stdout.write(JSON.stringify(await runtime.runPromise(program)))
await runtime.dispose()
