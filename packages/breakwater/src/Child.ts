/**
 * Starts an effect in a fiber of its own, as a policy that has to outlive or
 * leave behind its caller does.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"

/**
 * Runs until its first pause, or to its end, before it returns. The fiber keeps
 * to the mask of `parent` and is no child of it: whoever starts it, interrupts
 * it.
 *
 * @category constructors
 * @since 0.1.0
 */
export const start = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  parent: Fiber.Fiber<unknown, unknown>,
  context: Context.Context<never>
): Fiber.Fiber<A, E> =>
  Effect.runForkWith(context as Context.Context<R>)(self, {
    // `Fiber` does not show the mask in its type.
    uninterruptible: (parent as { readonly interruptible?: boolean }).interruptible === false
  })
