/**
 * The known word that a mistyped one was meant to be.
 */

/** Longer words are compared by their beginning. */
const compared = 64

/**
 * The candidate nearest to a word, or `undefined` if none is near: one that the
 * word begins, else the one with the fewest typing mistakes, at most one for
 * each three letters. Case and spaces around do not count.
 *
 * @internal
 */
export const nearest = <const A extends string>(word: string, candidates: ReadonlyArray<A>): A | undefined => {
  const typed = word.trim().toLowerCase().slice(0, compared)
  if (typed.length < 2) return undefined
  const begun = candidates.find((candidate) => candidate.toLowerCase().startsWith(typed))
  if (begun !== undefined) return begun
  let best: A | undefined
  let fewest = Math.max(1, Math.floor(typed.length / 3)) + 1
  for (const candidate of candidates) {
    const mistakes = distance(typed, candidate.toLowerCase().slice(0, compared))
    if (mistakes < fewest) {
      best = candidate
      fewest = mistakes
    }
  }
  return best
}

/** Letters put in, left out, changed, or swapped with the next one. */
const distance = (a: string, b: string): number => {
  let beforeLast: ReadonlyArray<number> = []
  let last: ReadonlyArray<number> = Array.from({ length: b.length + 1 }, (_, at) => at)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      const swapped =
        i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? beforeLast[j - 2]! + 1 : Infinity
      row.push(Math.min(last[j]! + 1, row[j - 1]! + 1, changed, swapped))
    }
    beforeLast = last
    last = row
  }
  return last[b.length]!
}
