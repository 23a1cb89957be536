/** What every contestant guards, and the numbers that it guards by. README.md lists what differs, and why. */

/** The numbers of `balanced`, which every contestant gets as far as it has a place for them. */
export const numbers = {
  retries: 2,
  firstPause: 2000,
  longestPause: 10_000,
  failures: 5,
  openMillis: 60_000,
  attemptMillis: 10_000,
  totalMillis: 30_000,
  /** More than ever run. */
  places: 10_000,
  /** The last so many calls, of which half must fail, ten at least. */
  window: { size: 100, rate: 0.5, minimumCalls: 10 }
}

/** The promise that everyone guards. */
export const answer = async (): Promise<number> => 1
/** The synchronous function that everyone guards. */
export const value = (): number => 1
/** The failure that everyone retries. One object, so that no contestant pays for a stack. */
export const down = new Error("down")
