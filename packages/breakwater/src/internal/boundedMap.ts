/**
 * A map with a fixed capacity that forgets what was not used lately and may be
 * forgotten.
 *
 * Second chance: a read marks its entry; the sweep at insertion goes round from
 * the oldest, clears marks, passes over entries that must stay, and takes the
 * first that is neither. One sweep looks at `slice` entries at most, so an
 * insertion has a bounded cost.
 */

interface Entry<V> {
  readonly value: V
  touched: boolean
}

const slice = 128

/** @internal */
export class BoundedMap<K, V> {
  private readonly entries = new Map<K, Entry<V>>()
  readonly capacity: number
  private readonly mayForget: (value: V) => boolean

  constructor(capacity: number, mayForget: (value: V) => boolean) {
    this.capacity = capacity
    this.mayForget = mayForget
  }

  get size(): number {
    return this.entries.size
  }

  get(key: K): V | undefined {
    const entry = this.entries.get(key)
    if (entry === undefined) return undefined
    entry.touched = true
    return entry.value
  }

  /** Adds an entry that is not there. `false`: full of entries that must stay. */
  add(key: K, value: V): boolean {
    if (this.entries.size >= this.capacity && !this.forgetOne()) return false
    this.entries.set(key, { value, touched: false })
    return true
  }

  *values(): IterableIterator<V> {
    for (const entry of this.entries.values()) yield entry.value
  }

  *[Symbol.iterator](): IterableIterator<readonly [K, V]> {
    for (const [key, entry] of this.entries) yield [key, entry.value]
  }

  private forgetOne(): boolean {
    let looks = Math.min(slice, this.entries.size)
    for (const [key, entry] of this.entries) {
      if (looks-- === 0) break
      this.entries.delete(key)
      if (!entry.touched && this.mayForget(entry.value)) return true
      entry.touched = false
      this.entries.set(key, entry)
    }
    return false
  }
}
