/**
 * Watches how an effect ends, for less than `Effect.onExit`.
 *
 * **Details**
 *
 * Effect lays a mask over whoever watches an end and takes it off again, so that
 * an interruption does not cut short what is done about the end. Here that is a
 * plain function, which no interruption can. The mask is laid for failures and
 * for interruptions, which would pass by a watcher without one; a success does
 * without.
 *
 * **Gotchas**
 *
 * - It is made of Effect's own watcher, whose parts are found by what they are. If
 *   an Effect has others, or a fiber does not tell by `_interruptedCause` whether
 *   it is interrupted, the mask is always laid.
 * - If the function throws at a success, and an interruption arrives in that very
 *   step, the cause has the interruption alone.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"

/**
 * Tells a function how an effect ended, at the end of each run. The effect dies
 * with what it throws.
 *
 * @category models
 * @since 0.1.0
 */
export type Watcher = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  ended: (exit: Exit.Exit<A, E>) => undefined
) => Effect.Effect<A, E, R>

type Parts = Record<string, unknown>

/** By this field a fiber says that it is interrupted. */
const interrupted = "_interruptedCause"

const nameOf = (parts: Parts, is: (part: unknown, name: string) => boolean): string | undefined =>
  Object.keys(parts).find((name) => is(parts[name], name))

/** The same watcher without its mask, or the same one if that cannot be. @internal */
export const unmasked = (watcher: Watcher): Watcher => {
  const nothing = () => undefined
  const sample = watcher(Effect.void, nothing) as unknown as Parts
  const prototype = Object.getPrototypeOf(sample) as Parts
  const self = nameOf(sample, (part) => part === Effect.void)
  const ended = nameOf(sample, (part) => part === nothing)
  const mask = nameOf(prototype, (_, name) => name.endsWith("/ensureCont"))
  const failed = nameOf(prototype, (_, name) => name.endsWith("/failureCont"))
  if (self === undefined || ended === undefined || mask === undefined || failed === undefined) return watcher
  const lay = prototype[mask] as (fiber: Parts) => void
  const fail = prototype[failed] as (cause: unknown, fiber: Parts, exit: unknown) => unknown
  const Unmasked = function (this: Parts, effect: unknown, handler: unknown) {
    this[self] = effect
    this[ended] = handler
  } as unknown as new (effect: unknown, handler: unknown) => never
  Unmasked.prototype = Object.assign(Object.create(prototype), {
    [mask](fiber: Parts) {
      if (!(interrupted in fiber) || fiber[interrupted] !== undefined) lay.call(this, fiber)
    },
    // It does nothing where the mask lies already.
    [failed](cause: unknown, fiber: Parts, exit: unknown) {
      lay.call(this, fiber)
      return fail.call(this, cause, fiber, exit)
    }
  })
  return (effect, handler) => new Unmasked(effect, handler)
}

/**
 * Watches without a mask, as long as all goes well.
 *
 * @category combinators
 * @since 0.1.0
 */
export const end: Watcher = /*#__PURE__*/ unmasked(Effect.onExitPrimitive)
