/**
 * Deadlines in order, first due first. A doubly linked list: an entry is added
 * at its place from the back, which is O(1) when all entries have one limit,
 * and removed in O(1). Pure: it knows no clock.
 */

/** @internal */
export interface Entry {
  readonly deadline: number
  readonly release: () => void
  previous: Entry | undefined
  next: Entry | undefined
  list: DeadlineList | undefined
}

/** @internal */
export class DeadlineList {
  first: Entry | undefined = undefined
  private last: Entry | undefined = undefined

  /** Entries with equal deadlines keep the order in which they came. */
  add(deadline: number, release: () => void): Entry {
    let before = this.last
    while (before !== undefined && before.deadline > deadline) before = before.previous
    const after = before === undefined ? this.first : before.next
    const entry: Entry = { deadline, release, previous: before, next: after, list: this }
    if (before === undefined) this.first = entry
    else before.next = entry
    if (after === undefined) this.last = entry
    else after.previous = entry
    return entry
  }

  /** Removes an entry. Does nothing to one that is gone. */
  remove(entry: Entry): void {
    if (entry.list !== this) return
    if (entry.previous === undefined) this.first = entry.next
    else entry.previous.next = entry.next
    if (entry.next === undefined) this.last = entry.previous
    else entry.next.previous = entry.previous
    entry.list = entry.previous = entry.next = undefined
  }
}
