import { Effect, Layer, Schedule, Scope, Semaphore } from "effect"
import { CircuitBreaker as EffectBreaker, RateLimiter as EffectLimiter } from "effect/persistence"
import { numbers } from "./work.ts"

export const effectBreaker = (failures = numbers.failures): EffectBreaker.CircuitBreaker =>
  Effect.runSync(
    EffectBreaker.make({
      tripPolicy: EffectBreaker.consecutive(failures),
      openDuration: numbers.openMillis
    }).pipe(Effect.provideService(Scope.Scope, Scope.makeUnsafe()), Effect.provide(EffectBreaker.layerStoreMemory()))
  )

/** What Effect takes for watching an end, with nothing done about it. */
export const watched = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.withFiber(() => Effect.onExitPrimitive(self, () => undefined))

export const effectRetry = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.retry(self, { times: numbers.retries, schedule: Schedule.exponential(numbers.firstPause) })

/** Effect's own pieces in our order: retry around the breaker around the attempt's timeout. One breaker, many keys. */
export const effectPieces = (failures?: number) => {
  const breaker = effectBreaker(failures)
  return <A, E>(self: Effect.Effect<A, E>, key = "own") =>
    self.pipe(
      Effect.timeout(numbers.attemptMillis),
      breaker.execute({ key }),
      effectRetry,
      Effect.timeout(numbers.totalMillis)
    )
}

/** The same without the total timeout, which the promise libraries lack too. */
export const fewerEffectPieces = <A, E>(self: Effect.Effect<A, E>) =>
  self.pipe(Effect.timeout(numbers.attemptMillis), effectBreaker().execute({ key: "own" }), effectRetry)

export const effectBulkhead = () => Semaphore.makeUnsafe(numbers.places).withPermits(1)

/** The algorithms that Effect's limiter has. */
export const effectAlgorithms = ["token-bucket", "fixed-window"] as const

export const effectLimiter = (algorithm: (typeof effectAlgorithms)[number]) =>
  Effect.runSync(
    Effect.provide(
      EffectLimiter.makeWithRateLimiter,
      Layer.provide(EffectLimiter.layer, EffectLimiter.layerStoreMemory)
    )
  )({ algorithm, key: "own", limit: 1e9, window: "1 second", onExceeded: "fail" })

/** A bulkhead around all pieces. */
export const effectPiecesWithSemaphore = <A, E>(self: Effect.Effect<A, E>) =>
  Semaphore.makeUnsafe(1_000_000).withPermits(1)(effectPieces()(self))
