/**
 * Where the admin API is.
 */

/** @internal */
export const root = "/internal/resilience"
