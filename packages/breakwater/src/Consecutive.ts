/**
 * The trip policy of a circuit that is told of no other: failures in a row.
 *
 * **Details**
 *
 * A trip policy carries the function that makes it ready to decide. Whoever
 * guards calls imports this one only, so a program bundles those it names.
 *
 * @since 0.1.0
 */
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as machine from "./internal/tripPolicy.ts"
import * as Settings from "./Settings.ts"

/**
 * Failures in a row, in the order in which calls end.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Consecutive extends Schema.Class<Consecutive>("breakwater/CircuitBreaker/Consecutive")({
  _tag: Schema.tag("Consecutive"),
  /** 1 to 100. Default 5. */
  failures: Settings.count({ minimum: 1, maximum: 100 }).pipe(Settings.withDefault(5))
}) {
  /** @internal */
  compile(): machine.TripPolicy {
    return machine.consecutiveOf(this.failures)
  }
}

// Many circuits open after as many failures: 100 policies at most do for all of them.
const stated: Array<Consecutive | undefined> = []

/** The policy of a circuit that states nothing but a number of failures. @internal */
export const ofThreshold = (failures: number): Consecutive => (stated[failures] ??= new Consecutive({ failures }))

/**
 * Whether something says when a circuit opens.
 *
 * @category guards
 * @since 0.1.0
 */
export const isTripPolicy = (u: unknown): u is { readonly compile: () => machine.TripPolicy } =>
  Predicate.hasProperty(u, "compile") && typeof u.compile === "function"

/**
 * Opens after so many failures in a row, 5 by default. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const consecutive = (failures?: number): Consecutive =>
  Settings.make<Consecutive, { readonly failures?: number | undefined }>(Consecutive, {
    settings: "CircuitBreaker.consecutive",
    input: { failures },
    durations: []
  })
