/**
 * Watches one attempt from its beginning to its end.
 *
 * **Details**
 *
 * What a policy does at the beginning and at the end of an attempt are plain
 * functions. Those of several policies are put together and run in one step of
 * the fiber, in place of an effect for each.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Step from "./Step.ts"

/**
 * Is told how an attempt ended, once for each that has begun.
 *
 * @category models
 * @since 0.1.0
 */
export type Ended<in A, in E> = (exit: Exit.Exit<A, E>) => undefined

/**
 * Lets an attempt begin and says who is told of its end, or what to do in its
 * place. Must not throw.
 *
 * @category models
 * @since 0.1.0
 */
export type Begin<A, E, R> = () => Ended<A, E> | Effect.Effect<A, E, R>

/**
 * @category guards
 * @since 0.1.0
 */
export const hasBegun = <A, E, R>(begun: ReturnType<Begin<A, E, R>>): begun is Ended<A, E> =>
  typeof begun === "function"

const proceed = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  begun: ReturnType<Begin<A, E, R>>,
  fiber: Fiber.Fiber<unknown, unknown>
): Effect.Effect<A, E, R> =>
  hasBegun(begun)
    ? // Not interruptible: an interruptible handler is skipped by the interruption that it has to see.
      Step.into(Effect.onExitPrimitive(self, begun), fiber)
    : begun

/**
 * Begins with each run of an effect. The end is watched in one step with the
 * beginning, so wherever an interruption falls, what has begun ends.
 *
 * @category combinators
 * @since 0.1.0
 */
export const watch = <A, E, R>(self: Effect.Effect<A, E, R>, begin: Begin<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => proceed(self, begin(), fiber))
