/**
 * Lists what the policies say about themselves, as one closed union of data.
 *
 * **Details**
 *
 * Policies publish, and never log, count in metrics or trace. Logs, metrics,
 * alerts, the admin stream and the dashboard are subscribers. A success is no
 * event: calls are counted in place and read by snapshot.
 *
 * **Gotchas**
 *
 * Without `ResilienceEvent.layer` every event is dropped. A subscriber that
 * falls behind loses the oldest events and slows no call.
 *
 * **Example** (Watching circuits)
 *
 * ```ts import.meta.vitest
 * import { Effect, Fiber, Stream } from "effect"
 * import { CircuitBreaker, ResilienceEvent } from "breakwater"
 *
 * const program = Effect.gen(function*() {
 *   const events = yield* ResilienceEvent.ResilienceEvents
 *   const seen = yield* ResilienceEvent.stream(events).pipe(Stream.take(1), Stream.runCollect, Effect.forkChild({ startImmediately: true }))
 *   const breaker = yield* CircuitBreaker.make({ operation: "payments", settings: { failureThreshold: 1 } })
 *   yield* Effect.exit(Effect.fail("down").pipe(breaker.protect()))
 *   return (yield* Fiber.join(seen)).map((event) => event._tag)
 * }).pipe(Effect.provide(ResilienceEvent.layer))
 *
 * await Effect.runPromise(program) // => ["CircuitOpened"]
 * ```
 *
 * @since 0.1.0
 */
export * from "./EventSchema.ts"
export * from "./EventSink.ts"
