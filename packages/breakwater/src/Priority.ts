/**
 * Carries how much a call matters, so that whatever has more calls than places
 * can choose.
 *
 * **Details**
 *
 * Five classes, `very_low` to `very_high`. A queue takes the highest class
 * first, and a full one gives up the lowest. Without a word every call is
 * `medium`.
 *
 * **Gotchas**
 *
 * - A class is a promise to the others: if every call is `very_high`, none is.
 * - Classes are strict. Where calls of a higher class keep coming faster than
 *   they end, those of a `low` one get no place at all: they wait as long as they
 *   may, and are refused. Give background work places of its own if it has to
 *   move on.
 *
 * **Example** (A call that can wait)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Priority } from "breakwater"
 *
 * const report = Effect.service(Priority.Current)
 *
 * Effect.runSync(report) // => "medium"
 * Effect.runSync(report.pipe(Priority.withPriority("low"))) // => "low"
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/**
 * @category schemas
 * @since 0.1.0
 */
export const Priority = /*#__PURE__*/ Schema.Literals(["very_low", "low", "medium", "high", "very_high"])

/**
 * @category models
 * @since 0.1.0
 */
export type Priority = typeof Priority.Type

/**
 * The priority in force. `medium` where none was set.
 *
 * @category references
 * @since 0.1.0
 */
export const Current = /*#__PURE__*/ Context.Reference<Priority>("breakwater/Priority", {
  defaultValue: () => "medium"
})

const ranks: { readonly [Class in Priority]: number } = { very_low: 0, low: 1, medium: 2, high: 3, very_high: 4 }

/**
 * A priority as a number, 0 to 4. The higher matters more.
 *
 * @category accessors
 * @since 0.1.0
 */
export const rank = (priority: Priority): number => ranks[priority]

/**
 * Runs an effect with a priority.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withPriority =
  (priority: Priority) =>
  <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.provideService(self, Current, priority)
