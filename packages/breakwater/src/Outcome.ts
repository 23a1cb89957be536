/**
 * Says what one finished attempt means for the health of a dependency.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import type * as Exit from "effect/Exit"

/**
 * The dependency answered.
 *
 * @category models
 * @since 0.1.0
 */
export interface Success {
  readonly _tag: "Success"
}

/**
 * The dependency is in trouble. It may have said when to come back.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  readonly _tag: "Failure"
  readonly retryAfter?: Duration.Duration | undefined
}

/**
 * Says nothing about the dependency: it neither counts against it nor proves
 * it well. A probe with this outcome gives its place back.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ignored {
  readonly _tag: "Ignored"
}

/**
 * @category models
 * @since 0.1.0
 */
export type Outcome = Success | Failure | Ignored

/**
 * Judges an attempt by its `Exit`. It never sees an interruption: that is
 * `Ignored` whatever it would say.
 *
 * @category models
 * @since 0.1.0
 */
export type Classify<in A, in E> = (exit: Exit.Exit<A, E>) => Outcome

/**
 * @category constructors
 * @since 0.1.0
 */
export const success: Outcome = { _tag: "Success" }

/**
 * @category constructors
 * @since 0.1.0
 */
export const failure: Outcome = { _tag: "Failure" }

/**
 * A failure that came with a hint when to try again.
 *
 * @category constructors
 * @since 0.1.0
 */
export const failureAfter = (retryAfter: Duration.Duration): Outcome => ({ _tag: "Failure", retryAfter })

/**
 * @category constructors
 * @since 0.1.0
 */
export const ignored: Outcome = { _tag: "Ignored" }
