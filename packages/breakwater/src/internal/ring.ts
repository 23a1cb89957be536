/**
 * A queue with a fixed capacity that forgets its oldest item when it is full.
 * It takes the space it needs: a ring with few items is small, however large
 * its capacity.
 */

/** @internal */
export class Ring<T> {
  readonly capacity: number
  private items: Array<T | undefined>
  private first = 0
  private size = 0

  constructor(capacity: number) {
    this.capacity = capacity
    this.items = Array.from({ length: Math.min(capacity, 16) })
  }

  get length(): number {
    return this.size
  }

  /** Items from the oldest, 0, to the newest. */
  at(index: number): T | undefined {
    return index < 0 || index >= this.size ? undefined : this.items[(this.first + index) % this.items.length]
  }

  /** Adds the newest item, and returns the one that was forgotten for it. */
  push(item: T): T | undefined {
    const forgotten = this.size === this.capacity ? this.shift() : undefined
    if (this.size === this.items.length) this.grow()
    this.items[(this.first + this.size) % this.items.length] = item
    this.size++
    return forgotten
  }

  /** Takes the oldest item. */
  shift(): T | undefined {
    if (this.size === 0) return undefined
    const item = this.items[this.first]
    this.items[this.first] = undefined
    this.first = (this.first + 1) % this.items.length
    this.size--
    return item
  }

  /** The index of the first item of which it is true, where it is true of all that follow. */
  indexFrom(isTrue: (item: T) => boolean): number {
    let low = 0
    let high = this.size
    while (low < high) {
      const middle = (low + high) >>> 1
      if (isTrue(this.at(middle)!)) high = middle
      else low = middle + 1
    }
    return low
  }

  /** Items from an index on. */
  *from(index: number): IterableIterator<T> {
    for (let at = index; at < this.size; at++) yield this.at(at)!
  }

  [Symbol.iterator](): IterableIterator<T> {
    return this.from(0)
  }

  private grow(): void {
    const items: Array<T | undefined> = Array.from({ length: Math.min(this.items.length * 2, this.capacity) })
    for (let at = 0; at < this.size; at++) items[at] = this.at(at)
    this.items = items
    this.first = 0
  }
}
