/**
 * Remembers when each call of the last window was admitted.
 *
 * Bound: `limit` units in every span (t − window, t]. Exact, for 16 bytes a
 * call.
 */
import { type Algorithm, slack } from "./rateAlgorithm.ts"

/**
 * The entries `start` to `end` of two arrays that only grow at their ends:
 * states share them, and the one that is not the newest copies before it adds.
 *
 * @internal
 */
export interface Log {
  readonly times: Array<number>
  /** Units counted up to each entry and with it. */
  readonly sums: Array<number>
  readonly start: number
  readonly end: number
  /** Units counted before the first entry. */
  readonly base: number
}

const total = ({ base, end, start, sums }: Log): number => (end > start ? sums[end - 1]! : base)

/** The first entry from `start` on that satisfies what all later ones satisfy too; `end`: none does. */
const first = ({ end, start }: Log, satisfies: (index: number) => boolean): number => {
  let low = start
  let high = end
  while (low < high) {
    const middle = (low + high) >>> 1
    if (satisfies(middle)) high = middle
    else low = middle + 1
  }
  return low
}

/** Without what has left the window. */
const since = (log: Log, after: number): Log => {
  if (log.start === log.end || log.times[log.start]! > after) return log
  const start = first(log, (index) => log.times[index]! > after)
  return { ...log, start, base: log.sums[start - 1]! }
}

/** @internal */
export const slidingLog: Algorithm<Log> = {
  empty: { times: [], sums: [], start: 0, end: 0, base: 0 },
  refills: false,
  wait: ({ limit, window }, log, now, cost) => {
    const excess = total(log) + cost - limit
    if (excess <= log.base) return 0
    // The oldest entry after which enough has left.
    const index = first(log, (index) => log.sums[index]! >= excess)
    return Math.max(log.times[index]! + window - now, 0)
  },
  take: ({ window }, log, now, cost) => {
    const { base, end, start, sums, times } = since(log, now - window)
    const sum = (end > start ? sums[end - 1]! : base) + cost
    // Copies what another state has added to, and what is for the most part forgotten.
    const copies = end === 0 || times.length !== end || start > 32 + end / 2
    const ownTimes = copies ? times.slice(start, end) : times
    const ownSums = copies ? sums.slice(start, end) : sums
    ownTimes.push(now)
    ownSums.push(sum)
    return { times: ownTimes, sums: ownSums, start: copies ? 0 : start, end: ownTimes.length, base }
  },
  give: ({ window }, log, now, at, cost) => {
    const live = since(log, now - window)
    const index = first(live, (index) => live.times[index]! >= at - slack)
    let left = cost
    let sum = live.base
    const sums: Array<number> = []
    for (let i = live.start; i < live.end; i++) {
      const own = live.sums[i]! - (i === live.start ? live.base : live.sums[i - 1]!)
      const given = i >= index && live.times[i]! <= at + slack ? Math.min(left, own) : 0
      left -= given
      sum += own - given
      sums.push(sum)
    }
    return { times: live.times.slice(live.start, live.end), sums, start: 0, end: sums.length, base: live.base }
  },
  used: ({ window }, log, now) => {
    const live = since(log, now - window)
    return total(live) - live.base
  },
  drain: (_rate, log) => log
}
