/**
 * Evaluates one effect within the evaluation of another one.
 *
 * **Details**
 *
 * Before each effect a fiber can yield, and be interrupted. What a policy takes
 * and what watches over its return must not be that far apart.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import type * as Fiber from "effect/Fiber"

const marker: () => Effect.Effect<never> = Effect.fail as never

/** The name under which `Effectable` gives an effect its `evaluate`. */
const evaluate = /*#__PURE__*/ Object.entries(Effectable.Prototype({ label: "", evaluate: marker })).find(
  ([, value]) => value === marker
)![0]

/**
 * Does what the fiber would do with an effect, and returns what it is to go on
 * with. Only inside of `Effect.withFiber`, as its last step.
 *
 * @category combinators
 * @since 0.1.0
 */
export const into = <A, E, R>(
  self: Effect.Effect<A, E, R>,
  fiber: Fiber.Fiber<unknown, unknown>
): Effect.Effect<A, E, R> =>
  (self as unknown as Record<string, (fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<A, E, R>>)[evaluate]!(
    fiber
  )
