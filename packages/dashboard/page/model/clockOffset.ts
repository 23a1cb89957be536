/**
 * How far the clock of the server is ahead of ours, as far as it can be told
 * from `Date` headers. Each says in which second an answer was made, and it was
 * made after we asked and before we had it: every answer narrows the range.
 */
export class ClockOffset {
  private low = -Infinity
  private high = Infinity

  observe(answer: { readonly sent: number; readonly received: number; readonly date: number }): void {
    const low = answer.date - answer.received
    const high = answer.date + 1000 - answer.sent
    const [nextLow, nextHigh] = [Math.max(this.low, low), Math.min(this.high, high)]
    // One of the clocks was set: what was known is worth nothing.
    const wasSet = nextLow > nextHigh
    this.low = wasSet ? low : nextLow
    this.high = wasSet ? high : nextHigh
  }

  /** In milliseconds. 0 while nothing is known, and while 0 is possible. */
  get millis(): number {
    return this.low <= 0 && this.high >= 0 ? 0 : (this.low + this.high) / 2
  }
}
