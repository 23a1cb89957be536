/**
 * Keeps the last so many values.
 *
 * @internal
 */
export class Ring<A> {
  private readonly values: Array<A> = []
  private readonly capacity: number
  private next = 0

  constructor(capacity: number) {
    this.capacity = capacity
  }

  push(value: A): void {
    this.values[this.next] = value
    this.next = (this.next + 1) % this.capacity
  }

  /** The newest values, newest first. */
  last(limit: number): ReadonlyArray<A> {
    const { length } = this.values
    return Array.from(
      { length: Math.min(limit, length) },
      (_, index) => this.values[(this.next - 1 - index + 2 * length) % length]!
    )
  }
}
