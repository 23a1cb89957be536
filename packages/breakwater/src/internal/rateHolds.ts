/**
 * Units that were taken and may be returned, in the order in which they were
 * taken, for what refills up to a full bucket.
 *
 * Had the units never been taken, the bucket might have run over in the
 * meantime. So no more comes back than was in use at every moment since:
 *
 *   returned = min(wanted, low),  low = least units in use since the take
 *
 * After it the bucket is exactly where it would be had the returned units never
 * been taken. That holds for the lows of the others too: those taken later saw
 * as many units less in use, those taken before only since this one was.
 */

/** @internal */
export interface Hold {
  readonly at: number
  /** Least units in use since. Never more than that of a newer one. */
  low: number
  older: Hold | undefined
  newer: Hold | undefined
}

/** @internal */
export class Holds {
  private newest: Hold | undefined = undefined
  private count = 0

  get size(): number {
    return this.count
  }

  /** Units have just been taken. */
  add(at: number): Hold {
    const hold: Hold = { at, low: Infinity, older: this.newest, newer: undefined }
    if (this.newest !== undefined) this.newest.newer = hold
    this.newest = hold
    this.count++
    return hold
  }

  /** So many units are in use before the next step. */
  observe(inUse: number): void {
    for (let hold = this.newest; hold !== undefined && hold.low > inUse; hold = hold.older) {
      hold.low = Math.max(inUse, 0)
    }
  }

  /** How many of `wanted` units come back, after the units in use now were observed. */
  give(hold: Hold, wanted: number): number {
    const given = Math.min(wanted, hold.low)
    const left = hold.low - given
    for (let newer = hold.newer; newer !== undefined; newer = newer.newer) newer.low -= given
    for (let older = hold.older; older !== undefined && older.low > left; older = older.older) older.low = left
    return given
  }

  remove(hold: Hold): void {
    if (hold.older !== undefined) hold.older.newer = hold.newer
    if (hold.newer !== undefined) hold.newer.older = hold.older
    else this.newest = hold.older
    hold.older = undefined
    hold.newer = undefined
    this.count--
  }
}
