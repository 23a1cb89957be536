/**
 * Decides when a closed circuit opens. Pure.
 *
 * The one kind so far counts failures in a row, in order of completion. A
 * window is whatever a kind has to remember; it starts as `empty`.
 */

/** @internal */
export type TripPolicy = { readonly _tag: "Consecutive"; readonly failures: number }

/** Failures in a row. @internal */
export type Window = number

/** @internal */
export const empty: Window = 0

/** @internal */
export const observe = (_policy: TripPolicy, window: Window, failed: boolean): Window => (failed ? window + 1 : empty)

/** @internal */
export const trips = (policy: TripPolicy, window: Window): boolean => window >= policy.failures
