/**
 * A heap whose items know where they stand, so that one whose rank has changed
 * finds its new place in logarithmic time, and any can be taken out.
 */

/** @internal */
export class Heap<T> {
  private readonly items: Array<T> = []
  private readonly compare: (a: T, b: T) => number
  private readonly placeOf: (item: T) => number
  private readonly place: (item: T, at: number) => void

  /** `compare` is negative where `a` comes first. An item outside stands at −1. */
  constructor(compare: (a: T, b: T) => number, placeOf: (item: T) => number, place: (item: T, at: number) => void) {
    this.compare = compare
    this.placeOf = placeOf
    this.place = place
  }

  get first(): T | undefined {
    return this.items[0]
  }

  add(item: T): void {
    this.put(item, this.items.length)
    this.moved(item)
  }

  remove(item: T): void {
    const at = this.placeOf(item)
    const last = this.items.pop()!
    this.place(item, -1)
    if (last === item) return
    this.put(last, at)
    this.moved(last)
  }

  /** The rank of an item has changed. */
  moved(item: T): void {
    this.rise(item)
    this.sink(item)
  }

  /** The ranks of all items have changed. */
  reorder(): void {
    for (let at = (this.items.length >>> 1) - 1; at >= 0; at--) this.sink(this.items[at]!)
  }

  private put(item: T, at: number): void {
    this.items[at] = item
    this.place(item, at)
  }

  private rise(item: T): void {
    let at = this.placeOf(item)
    while (at > 0) {
      const up = (at - 1) >>> 1
      const above = this.items[up]!
      if (this.compare(above, item) <= 0) break
      this.put(above, at)
      at = up
    }
    this.put(item, at)
  }

  private sink(item: T): void {
    let at = this.placeOf(item)
    for (;;) {
      let down = 2 * at + 1
      if (down >= this.items.length) break
      if (down + 1 < this.items.length && this.compare(this.items[down + 1]!, this.items[down]!) < 0) down++
      const below = this.items[down]!
      if (this.compare(item, below) <= 0) break
      this.put(below, at)
      at = down
    }
    this.put(item, at)
  }
}
