/**
 * The contestants, configured for the same work. README.md lists what differs, and why.
 */
import {
  bulkhead,
  circuitBreaker,
  ConsecutiveBreaker,
  ConstantBackoff,
  CountBreaker,
  ExponentialBackoff,
  handleAll,
  type IPolicy,
  retry,
  timeout,
  TimeoutStrategy,
  wrap
} from "cockatiel"
import { Bulkhead, CircuitBreaker, Preset, RateLimiter, Resilience, RetryBudget, Strategy } from "breakwater"
import { Context, Effect, Layer, Schedule, Scope, Semaphore } from "effect"
import { CircuitBreaker as EffectBreaker, RateLimiter as EffectLimiter } from "effect/persistence"
import * as mollitia from "mollitia"
import Opossum from "opossum"
import type { Contestant } from "./harness.ts"

/** The numbers of `balanced`, which every contestant gets as far as it has a place for them. */
export const numbers = {
  attempts: 3,
  firstPause: 2000,
  longestPause: 10_000,
  failures: 5,
  openMillis: 60_000,
  attemptMillis: 10_000,
  totalMillis: 30_000,
  /** More than ever run. */
  places: 10_000,
  /** The last so many calls, of which half must fail, ten at least. */
  window: { size: 100, rate: 0.5, minimumCalls: 10 }
}

// What is guarded

/** The promise that everyone guards. */
export const answer = async (): Promise<number> => 1
/** The synchronous function that everyone guards. */
export const value = (): number => 1
/** The failure that everyone retries. One object, so that no contestant pays for a stack. */
export const down = new Error("down")

export const answerEffect = Effect.promise(answer)
export const valueEffect = Effect.sync(value)

// How contestants are driven

/** In one running fiber, the way a program written in Effect makes its calls. */
export const inFiber = <R>(
  name: string,
  context: Context.Context<R>,
  effect: Effect.Effect<unknown, unknown, R>
): Contestant => ({ name, run: (steps) => runLoop(context, steps, () => effect) })

/** The same, with an effect that is made for each call. */
export const runLoop = <R>(
  context: Context.Context<R>,
  steps: number,
  make: (step: number) => Effect.Effect<unknown, unknown, R>
): Promise<void> =>
  Effect.runPromiseWith(context)(
    Effect.gen(function* () {
      for (let step = 0; step < steps; step++) yield* make(step)
    })
  )

/** In an async loop, the way a program written with promises makes its calls. */
export const awaited = (name: string, call: (step: number) => unknown): Contestant => ({
  name,
  run: async (steps) => {
    for (let step = 0; step < steps; step++) await call(step)
  }
})

/** In an async loop, with a fiber for each call. */
export const byRunPromise = <R>(
  name: string,
  context: Context.Context<R>,
  effect: Effect.Effect<unknown, unknown, R>
): Contestant => {
  const run = Effect.runPromiseWith(context)
  return awaited(name, () => run(effect))
}

// Effect

export const build = <A>(layer: Layer.Layer<A>): Promise<Context.Context<A>> =>
  Effect.runPromise(Layer.buildWithScope(layer, Scope.makeUnsafe()))

export const resilience = (options?: Parameters<typeof Resilience.layer>[1]): Promise<Context.Context<Resilience>> =>
  build(Resilience.layer(Preset.simple, options))

export const none: Context.Context<never> = Context.empty()

/** `balanced` with a bulkhead, and with a window instead of failures in a row. */
export const stack = Strategy.make("stack", {
  bulkhead: Bulkhead.settings({ maxConcurrent: numbers.places }),
  circuitBreaker: { tripPolicy: CircuitBreaker.countWindow(numbers.window) }
})

/** What `balanced` can have besides, one at a time. */
export const extended = {
  "with a retry budget": Strategy.make("budgeted", { retryBudget: RetryBudget.settings() }),
  "with a bulkhead": Strategy.make("bounded", { bulkhead: Bulkhead.settings({ maxConcurrent: numbers.places }) }),
  "with a quota": Strategy.make("limited", { quota: RateLimiter.settings({ algorithm: "token-bucket", limit: 1e9 }) }),
  "with a count window": Strategy.make("windowed", {
    circuitBreaker: { tripPolicy: CircuitBreaker.countWindow(numbers.window) }
  }),
  "with a time window": Strategy.make("timed", { circuitBreaker: { tripPolicy: CircuitBreaker.timeWindow() } })
}

export const ownBulkhead = (): Bulkhead.Bulkhead["Service"] =>
  Effect.runSync(Bulkhead.make({ operation: "own", settings: { maxConcurrent: numbers.places } }))

/** Limits that the fastest loop does not reach. */
const limits = {
  // A schedule has no more than 1,000 a millisecond.
  gcra: { limit: 1e6, burst: 1e9 },
  "token-bucket": { limit: 1e9 },
  // A log has no more than 100,000 a window.
  "sliding-log": { limit: 100_000, window: 10 },
  "sliding-counter": { limit: 1e9 },
  "fixed-window": { limit: 1e9 }
} satisfies { readonly [algorithm in RateLimiter.Algorithm]: RateLimiter.SettingsInput }

export const algorithms = Object.keys(limits) as ReadonlyArray<RateLimiter.Algorithm>

export const ownLimiter = (algorithm: RateLimiter.Algorithm): RateLimiter.RateLimiter["Service"] =>
  Effect.runSync(RateLimiter.make({ operation: "own", settings: { algorithm, ...limits[algorithm] } }))

export const ownBreaker = (failureThreshold = numbers.failures): CircuitBreaker.CircuitBreaker["Service"] =>
  Effect.runSync(
    CircuitBreaker.make({ operation: "own", settings: { failureThreshold, openDuration: numbers.openMillis } })
  )

export const effectBreaker = (failures = numbers.failures): EffectBreaker.CircuitBreaker =>
  Effect.runSync(
    EffectBreaker.make({
      tripPolicy: EffectBreaker.consecutive(failures),
      openDuration: numbers.openMillis
    }).pipe(Effect.provideService(Scope.Scope, Scope.makeUnsafe()), Effect.provide(EffectBreaker.layerStoreMemory()))
  )

/** The least that a guard written in Effect can be: its end is watched, and nothing is done about it. */
export const watched = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.withFiber(() => Effect.onExitPrimitive(self, () => undefined))

export const effectRetry = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.retry(self, { times: numbers.attempts - 1, schedule: Schedule.exponential(numbers.firstPause) })

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

// cockatiel

const maxAttempts = numbers.attempts - 1

export const cockatielRetry = () => retry(handleAll, { maxAttempts, backoff: new ExponentialBackoff() })
export const cockatielRetryAtOnce = () => retry(handleAll, { maxAttempts, backoff: new ConstantBackoff(0) })
export const cockatielBreaker = (failures = numbers.failures) =>
  circuitBreaker(handleAll, { halfOpenAfter: numbers.openMillis, breaker: new ConsecutiveBreaker(failures) })
export const cockatielTimeout = () => timeout(numbers.attemptMillis, TimeoutStrategy.Aggressive)
export const cockatielFull = (retries: IPolicy = cockatielRetry(), failures?: number) =>
  wrap(retries, cockatielBreaker(failures), cockatielTimeout())

export const cockatielBulkhead = () => bulkhead(numbers.places)

const cockatielWindow = () => {
  const { minimumCalls: minimumNumberOfCalls, rate: threshold, size } = numbers.window
  const breaker = new CountBreaker({ minimumNumberOfCalls, threshold, size })
  return circuitBreaker(handleAll, { halfOpenAfter: numbers.openMillis, breaker })
}

/** In our order: the bulkhead stands inside of the breaker. */
export const cockatielStack = () => wrap(cockatielRetry(), cockatielWindow(), cockatielBulkhead(), cockatielTimeout())

// opossum

const opossumOptions = {
  resetTimeout: numbers.openMillis,
  // It has no consecutive window: all of the calls of its window, five at least, must fail.
  errorThresholdPercentage: 100,
  volumeThreshold: numbers.failures,
  // The timers that its documentation says to switch off where nobody reads snapshots.
  enableSnapshots: false
}

export const opossumBreaker = (action: () => unknown) =>
  new Opossum(action, { ...opossumOptions, timeout: false, rollingPercentilesEnabled: false })
/** With its latency percentiles on, as in our full strategy. */
export const opossumFull = (action: () => unknown) =>
  new Opossum(action, { ...opossumOptions, timeout: numbers.attemptMillis })

/** A breaker with its defaults: a timeout of 10 seconds and latency percentiles. */
export const opossumAsShipped = (action: () => unknown) => new Opossum(action)

// mollitia

const mollitiaBreaker = (options: { state?: mollitia.BreakerState; onError?: () => boolean } = {}) =>
  new mollitia.SlidingCountBreaker({
    // The nearest to consecutive failures: all of the last five.
    slidingWindowSize: numbers.failures,
    minimumNumberOfCalls: numbers.failures,
    failureRateThreshold: 100,
    openStateDelay: numbers.openMillis,
    ...options
  })
const mollitiaRetry = (interval: number) => new mollitia.Retry({ attempts: maxAttempts, interval })
const mollitiaTimeout = () => new mollitia.Timeout({ delay: numbers.attemptMillis })

type Func = () => Promise<unknown>

const circuit = (func: Func, ...modules: Array<mollitia.Module>): Func => {
  const made = new mollitia.Circuit({ func, options: { modules } })
  return () => made.execute()
}

export const mollitiaCircuit = {
  breaker: (func: Func) => circuit(func, mollitiaBreaker()),
  openBreaker: (func: Func) => circuit(func, mollitiaBreaker({ state: mollitia.BreakerState.OPENED })),
  retry: (func: Func, interval = numbers.firstPause) => circuit(func, mollitiaRetry(interval)),
  timeout: (func: Func) => circuit(func, mollitiaTimeout()),
  full: (func: Func) => circuit(func, mollitiaRetry(numbers.firstPause), mollitiaBreaker(), mollitiaTimeout()),
  neverOpens: (func: Func) =>
    circuit(func, mollitiaRetry(0), mollitiaBreaker({ onError: () => false }), mollitiaTimeout())
}
