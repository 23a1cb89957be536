/**
 * A map with a fixed capacity that forgets what was not used lately and may be
 * forgotten.
 *
 * Second chance: a read marks its entry. An insertion into a full map moves a
 * hand round the entries, which passes over those that must stay, clears marks,
 * and takes the first without one, or else the first that may go. It looks at
 * `slice` entries, so an insertion has a bounded cost, and goes on from there
 * next time. If all of those must stay it goes further, ten times a second at
 * most: many insertions do not pay for it again.
 */

/** What a map may forget. It holds its mark itself, so that a read touches nothing else. @internal */
export interface Forgettable {
  /** `false` for a value that is new. */
  touched: boolean
}

const slice = 128
/** A round of most maps, in about a millisecond. */
const furthest = 16_384
const pause = 100

/**
 * `mayForget` says of a value whether it may go: `"last"` only if no other that
 * the hand meets may.
 *
 * @internal
 */
export class BoundedMap<K, V extends Forgettable> {
  /** What it holds, to be read without a mark. */
  readonly entries: ReadonlyMap<K, V> = new Map<K, V>()
  declare readonly capacity: number
  declare private readonly mayForget: (value: V, now: number) => boolean | "last"
  // One iterator for good: a new one would have to pass over all that was deleted before it.
  declare private hand: IterableIterator<[K, V]>
  /** When it went further the last time. */
  private wentAt = -Infinity

  constructor(capacity: number, mayForget: (value: V, now: number) => boolean | "last") {
    this.capacity = capacity
    this.mayForget = mayForget
    this.hand = this.entries.entries()
  }

  get(key: K): V | undefined {
    const value = this.entries.get(key)
    if (value !== undefined) value.touched = true
    return value
  }

  /** Adds an entry that is not there, at a time in milliseconds. `false`: full of entries that must stay. */
  add(key: K, value: V, now: number): boolean {
    if (this.entries.size >= this.capacity && !this.forgetOne(now)) return false
    ;(this.entries as Map<K, V>).set(key, value)
    return true
  }

  private forgetOne(now: number): boolean {
    let used: K | undefined
    let last: K | undefined
    const most = Math.min(now - this.wentAt < pause ? slice : furthest, this.entries.size)
    for (let looks = 0; looks < most; looks++) {
      if (looks >= slice) {
        if ((used ?? last) !== undefined) break
        this.wentAt = now
      }
      let next = this.hand.next()
      if (next.done === true) {
        this.hand = this.entries.entries()
        next = this.hand.next()
        if (next.done === true) return false
      }
      const [key, value] = next.value
      const may = this.mayForget(value, now)
      if (may === false) continue
      if (may === true && !value.touched) return (this.entries as Map<K, V>).delete(key)
      if (may === true) used ??= key
      else if (!value.touched) last ??= key
      value.touched = false
    }
    const found = used ?? last
    return found !== undefined && (this.entries as Map<K, V>).delete(found)
  }
}
