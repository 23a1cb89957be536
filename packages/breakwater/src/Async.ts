/**
 * Guards async functions for code that does not use Effect.
 *
 * **Gotchas**
 *
 * - What the function rejects with comes back as itself. A rejection of ours is
 *   a `ResilienceError`.
 * - The signal that the function gets is aborted when its time is over or when
 *   the caller's own signal is. A function that ignores it runs on.
 *
 * **Example** (Guarding a function)
 *
 * ```ts import.meta.vitest
 * import { ManagedRuntime } from "effect"
 * import { Async, Preset, Resilience } from "breakwater"
 *
 * const runtime = ManagedRuntime.make(Resilience.layer(Preset.production))
 *
 * const length = Async.guard(runtime, "balanced", { operation: "measure" }, async (_signal, text: string) => text.length)
 *
 * await length("abc") // => 3
 * await runtime.dispose()
 * ```
 *
 * @since 0.1.0
 */
// What a function rejects with is unknown, and stays what it is.
// @effect-diagnostics unknownInEffectCatch:off
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as ManagedRuntime from "effect/ManagedRuntime"
import type * as CircuitBreaker from "./CircuitBreaker.ts"
import { type CallOptions, type Named, type Resilience, withResilience } from "./Resilience.ts"

/**
 * @category models
 * @since 0.1.0
 */
export interface Options<A2> extends CallOptions {
  /** Another answer for a call that fails, with its error. */
  readonly fallback?: ((error: unknown) => A2 | PromiseLike<A2>) | undefined
}

/**
 * A guarded function: the same arguments, without the signal.
 *
 * @category models
 * @since 0.1.0
 */
export interface Guarded<Args extends ReadonlyArray<unknown>, A> {
  (...args: Args): Promise<A>
  /** The same function, given up when `signal` is aborted. */
  readonly withSignal: (signal: AbortSignal) => (...args: Args) => Promise<A>
}

/**
 * Wraps an async function into a guarded one. The function gets an
 * `AbortSignal` before its own arguments.
 *
 * @category constructors
 * @since 0.1.0
 */
export const guard = <R, ER, Args extends ReadonlyArray<unknown>, A, A2 = never>(
  runtime: ManagedRuntime.ManagedRuntime<R | Resilience, ER>,
  strategy: Named,
  options: Options<A2>,
  run: (signal: AbortSignal, ...args: Args) => PromiseLike<A>
): Guarded<Args, A | A2> => {
  const { fallback, ...call } = options
  const start = (args: Args, signal: AbortSignal | undefined): Promise<A | A2> => {
    const guarded: Effect.Effect<A | A2, unknown, Resilience> = Effect.tryPromise({
      try: (inner) => run(inner, ...args),
      catch: (error) => error
    }).pipe((self) =>
      fallback === undefined
        ? withResilience(self, strategy, call)
        : withResilience(self, strategy, {
            ...call,
            fallback: (error: unknown) =>
              Effect.tryPromise({ try: async () => fallback(error), catch: (error) => error })
          })
    )
    return runtime.runPromiseExit(guarded, signal === undefined ? {} : { signal }).then((exit) => {
      if (Exit.isSuccess(exit)) return exit.value
      if (signal?.aborted && Cause.hasInterrupts(exit.cause)) throw signal.reason
      throw Cause.squash(exit.cause)
    })
  }
  return Object.assign((...args: Args) => start(args, undefined), {
    withSignal:
      (signal: AbortSignal) =>
      (...args: Args) =>
        start(args, signal)
  })
}

/**
 * Wraps an async function with a breaker alone. It runs in no fiber, which
 * costs half of what `CircuitBreaker.protect` does.
 *
 * **Details**
 *
 * Clock and rules are those that were in force where the breaker was made.
 *
 * **Example** (A breaker without a runtime)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Async, CircuitBreaker } from "breakwater"
 *
 * const breaker = Effect.runSync(CircuitBreaker.make({ operation: "rates" }))
 *
 * const rate = Async.protect(breaker, {}, async (currency: string) => (currency === "EUR" ? 1 : 1.08))
 *
 * await rate("EUR") // => 1
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const protect = <Args extends ReadonlyArray<unknown>, A>(
  breaker: CircuitBreaker.CircuitBreaker["Service"],
  options: CircuitBreaker.ProtectOptions<A, unknown>,
  run: (...args: Args) => PromiseLike<A>
): ((...args: Args) => Promise<A>) => breaker.protectAsync(options, run)
