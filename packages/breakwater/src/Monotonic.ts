/**
 * Reads the monotonic clock as a number of milliseconds, the unit in which all
 * machines count.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"

/**
 * Milliseconds since an arbitrary origin, with fractions. Unmoved by steps of
 * the wall clock. Compare only readings of one clock.
 *
 * @category accessors
 * @since 0.1.0
 */
export const now = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
