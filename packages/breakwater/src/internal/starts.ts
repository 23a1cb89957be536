/**
 * The calls in flight, in the order in which they started, and how many of them
 * are older than a limit.
 *
 * A doubly linked list: a call is added at the end and removed from anywhere in
 * O(1). Those that are overdue come first, so each counter keeps the first that
 * is not and moves on from there. The list changes in place: it may hold many
 * thousands of calls, and belongs to one stay in the closed state only.
 */

/** @internal */
export interface Start {
  readonly at: number
  /** Grows along the list. */
  readonly order: number
  readonly list: Starts
  previous: Start | undefined
  next: Start | undefined
}

/** @internal */
export class Starts {
  private first: Start | undefined = undefined
  private last: Start | undefined = undefined
  private added = 0
  private readonly counters: ReadonlyArray<Overdue | undefined>

  /** Limits in milliseconds. */
  constructor(limits: ReadonlyArray<number | undefined>) {
    this.counters = limits.map((limit) => (limit === undefined ? undefined : new Overdue(limit)))
  }

  add(at: number): Start {
    const start: Start = { at, order: this.added++, list: this, previous: this.last, next: undefined }
    if (this.last === undefined) this.first = start
    else this.last.next = start
    this.last = start
    for (const counter of this.counters) counter?.added(start)
    return start
  }

  /** Removes a call that is in the list. */
  remove(start: Start): void {
    for (const counter of this.counters) counter?.removed(start)
    if (start.previous === undefined) this.first = start.next
    else start.previous.next = start.next
    if (start.next === undefined) this.last = start.previous
    else start.next.previous = start.previous
  }

  /** How many calls are as old as the n-th limit, or older. */
  overdue(limit: number, now: number): number {
    return this.counters[limit]?.at(now) ?? 0
  }

  get isEmpty(): boolean {
    return this.first === undefined
  }
}

class Overdue {
  private readonly limit: number
  private count = 0
  /** The first call that is not known to be overdue. */
  private young: Start | undefined = undefined

  constructor(limit: number) {
    this.limit = limit
  }

  at(now: number): number {
    while (this.young !== undefined && now - this.young.at >= this.limit) {
      this.count++
      this.young = this.young.next
    }
    return this.count
  }

  added(start: Start): void {
    this.young ??= start
  }

  removed(start: Start): void {
    if (this.young === undefined || start.order < this.young.order) this.count--
    else if (start === this.young) this.young = start.next
  }
}
