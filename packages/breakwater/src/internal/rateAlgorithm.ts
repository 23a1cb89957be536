/**
 * What the rate machine asks of a way to count. Pure; times are monotonic
 * milliseconds that never go back for one state, costs are whole numbers.
 */

/** @internal */
export interface Rate {
  /** Units of cost in one window. */
  readonly limit: number
  /** Length of a window in milliseconds. */
  readonly window: number
  /** Units that may go at once, for what refills. */
  readonly burst: number
}

/** Methods, so that algorithms with different states are one type. @internal */
export interface Algorithm<State> {
  /** The state of a key that was never used. */
  readonly empty: State
  /** Whether used units come back bit by bit, up to a full bucket. */
  readonly refills: boolean
  /** Milliseconds until `cost` units have room if nobody else takes them. `cost` is at most the capacity. */
  wait(rate: Rate, state: State, now: number, cost: number): number
  /** Counts `cost` units at `now`, whether there is room or not. */
  take(rate: Rate, state: State, now: number, cost: number): State
  /** Counts `cost` fewer of the units taken at `at`. */
  give(rate: Rate, state: State, now: number, at: number, cost: number): State
  /** Units that stand in the way of others now. More than the capacity: debt. */
  used(rate: Rate, state: State, now: number): number
  /** Leaves one unit at most. */
  drain(rate: Rate, state: State, now: number): State
}

/** Time that clocks, timers and sums with fractions may be off, in milliseconds. @internal */
export const slack = 2e-3
