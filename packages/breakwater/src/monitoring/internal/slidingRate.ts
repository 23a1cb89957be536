/**
 * Counts what went wrong, of all, over a sliding window of 12 slots. Pure.
 *
 *   slot  = now ÷ (length ÷ 12), rounded down
 *   sum   = the slots `slot − 11 … slot`, so of the last 11/12 to 12/12 of the length
 *
 * What lies further back is forgotten by itself; nothing has to clean up.
 */

const slots = 12

/** @internal */
export interface SlidingRate {
  /** The length of the window in milliseconds. */
  readonly length: number
  /** The newest slot; the others lie before it. */
  readonly slot: number
  readonly total: ReadonlyArray<number>
  readonly bad: ReadonlyArray<number>
}

const zeros: ReadonlyArray<number> = Array.from({ length: slots }, () => 0)

/** @internal */
export const make = (length: number): SlidingRate => ({ length, slot: 0, total: zeros, bad: zeros })

const slotOf = (length: number, now: number): number => Math.floor((now * slots) / length)

/** Time never runs back: what comes late counts for the newest slot. */
const shifted = (counts: ReadonlyArray<number>, by: number): Array<number> =>
  by >= slots ? [...zeros] : [...counts.slice(by), ...zeros.slice(0, by)]

/** @internal */
export const add = (self: SlidingRate, now: number, total: number, bad: number): SlidingRate => {
  const slot = Math.max(slotOf(self.length, now), self.slot)
  const totals = shifted(self.total, slot - self.slot)
  const bads = shifted(self.bad, slot - self.slot)
  totals[slots - 1] = totals[slots - 1]! + total
  bads[slots - 1] = bads[slots - 1]! + bad
  return { length: self.length, slot, total: totals, bad: bads }
}

/** @internal */
export interface Sums {
  readonly total: number
  readonly bad: number
  /** `bad ÷ total`, 0 of nothing. */
  readonly rate: number
}

/** @internal */
export const sums = (self: SlidingRate, now: number): Sums => {
  const gone = Math.max(slotOf(self.length, now) - self.slot, 0)
  let total = 0
  let bad = 0
  for (let at = gone; at < slots; at++) {
    total += self.total[at]!
    bad += self.bad[at]!
  }
  return { total, bad, rate: total === 0 ? 0 : bad / total }
}
