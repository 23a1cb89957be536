/**
 * Lets a tracer stand around calls and attempts.
 *
 * **Gotchas**
 *
 * It is read once, when `Resilience.layer` is built. Without one, calls pay
 * nothing for it.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

/**
 * What a tracer is told about a call.
 *
 * @category models
 * @since 0.1.0
 */
export interface Info {
  readonly operation: string
  readonly key: string | undefined
  readonly strategy: string
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Tracing {
  /** Stands around a call with all its attempts, inside its fallback. */
  readonly call: <A, E, R>(self: Effect.Effect<A, E, R>, info: Info) => Effect.Effect<A, E, R>
  /** Stands around each attempt, inside its circuit. */
  readonly attempt: <A, E, R>(self: Effect.Effect<A, E, R>, info: Info) => Effect.Effect<A, E, R>
}

/**
 * The tracer in force.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = /*#__PURE__*/ Context.Reference<Tracing | undefined>("breakwater/Tracing", {
  defaultValue: () => undefined
})
