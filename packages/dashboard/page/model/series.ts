/**
 * The latest points of an operation. Numbers in one block of memory: there may
 * be thousands of operations.
 */

/** What a point has, in the order of the block. Times in milliseconds, rates by the second. */
const columns = [
  "at",
  "calls",
  "succeeded",
  "failed",
  "rejected",
  "attemptsPerCall",
  "p50",
  "p95",
  "p99",
  "inFlight"
] as const

export type Column = (typeof columns)[number]

/** `NaN` where there was nothing to measure. */
export type Point = Readonly<Record<Column, number>>

export class Series {
  readonly capacity: number
  private readonly block: Float64Array
  private next = 0
  private filled = 0

  constructor(capacity: number) {
    this.capacity = capacity
    this.block = new Float64Array(capacity * columns.length)
  }

  get length(): number {
    return this.filled
  }

  push(point: Point): void {
    const from = this.next * columns.length
    columns.forEach((column, index) => (this.block[from + index] = point[column]))
    this.next = (this.next + 1) % this.capacity
    this.filled = Math.min(this.filled + 1, this.capacity)
  }

  private row(index: number): number {
    return ((this.next - this.filled + index + this.capacity) % this.capacity) * columns.length
  }

  /** One number of each point, oldest first: of all, or of the latest so many. */
  column(column: Column, latest = this.filled): Array<number> {
    const offset = columns.indexOf(column)
    const from = Math.max(0, this.filled - latest)
    return Array.from({ length: this.filled - from }, (_, index) => this.block[this.row(from + index) + offset]!)
  }

  at(index: number): Point | undefined {
    if (index < 0 || index >= this.filled) return undefined
    const from = this.row(index)
    return Object.fromEntries(columns.map((column, offset) => [column, this.block[from + offset]!])) as Record<
      Column,
      number
    >
  }

  /** The point that was the latest one at a moment. */
  before(moment: number): Point | undefined {
    for (let index = this.filled - 1; index >= 0; index--) {
      if (this.block[this.row(index)]! <= moment) return this.at(index)
    }
    return undefined
  }
}

/** Each value on top of those before it. A gap counts as nothing. */
export const stack = (lines: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<ReadonlyArray<number>> => {
  const sums = (lines[0] ?? []).map(() => 0)
  return lines.map((values) => values.map((value, index) => (sums[index]! += Number.isNaN(value) ? 0 : value)))
}
