/**
 * A rate limit for one key, as a pure state machine. One of five algorithms
 * counts; a pause lies over it.
 *
 *   admitted at t  ⇔  the algorithm has room at t  ∧  no pause lasts at t
 *
 * After a pause nothing is left of a burst, and for one window calls are
 * `window / limit` apart: whoever waited returns one by one.
 */
import { fixedWindow } from "./fixedWindow.ts"
import { gcra } from "./gcra.ts"
import { type Algorithm, type Rate, slack } from "./rateAlgorithm.ts"
import { slidingCounter } from "./slidingCounter.ts"
import { slidingLog } from "./slidingLog.ts"
import { tokenBucket } from "./tokenBucket.ts"

/** @internal */
export type Name = "gcra" | "sliding-log" | "sliding-counter" | "fixed-window" | "token-bucket"

/** @internal */
export interface Settings extends Rate {
  readonly algorithm: Algorithm<unknown>
  /** Milliseconds that one unit takes at the rate of the limit. */
  readonly interval: number
  /** A call is let through so many milliseconds early: a small part of what one unit takes. */
  readonly early: number
}

interface Pause {
  readonly until: number
  /** When the next call may go, as far as the pause goes. */
  readonly due: number
  /** Whether the burst is gone. */
  readonly drained: boolean
}

/** @internal */
export interface Machine {
  readonly counted: unknown
  readonly pause: Pause | undefined
}

const algorithms: { readonly [name in Name]: Algorithm<unknown> } = {
  gcra,
  "sliding-log": slidingLog,
  "sliding-counter": slidingCounter,
  "fixed-window": fixedWindow,
  "token-bucket": tokenBucket
}

/** Parts of a millisecond below which sums of times are not exact. */
const finest = 1e-5

/** @internal */
export const settings = (options: Rate & { readonly algorithm: Name }): Settings => {
  const interval = options.window / options.limit
  const early = Math.min(slack, Math.max(interval / 100, finest))
  return { ...options, algorithm: algorithms[options.algorithm], interval, early }
}

/** @internal */
export const make = ({ algorithm }: Settings): Machine => ({ counted: algorithm.empty, pause: undefined })

/** Units that can be taken at once at best. @internal */
export const capacity = (settings: Settings): number => (settings.algorithm.refills ? settings.burst : settings.limit)

/** Whether the pause itself is over, and what came before it has sunk in. */
const isOver = ({ until }: Pause, now: number): boolean => now >= until - slack

/** What is counted once the pause is over. */
const drained = (settings: Settings, { counted }: Machine, pause: Pause): unknown =>
  pause.drained ? counted : settings.algorithm.drain(settings, counted, pause.until)

/** What is counted at a time. */
const countedAt = (settings: Settings, self: Machine, now: number): unknown =>
  self.pause === undefined || !isOver(self.pause, now) ? self.counted : drained(settings, self, self.pause)

/** When calls are no longer kept apart. */
const endOf = ({ window }: Settings, { until }: Pause): number => until + window

/** Milliseconds until a call has room if no other takes it; 0: now; `Infinity`: never. @internal */
export const wait = (settings: Settings, self: Machine, now: number, cost: number): number => {
  if (cost > capacity(settings)) return Infinity
  const { algorithm } = settings
  const { counted, pause } = self
  let millis: number
  if (pause === undefined) millis = algorithm.wait(settings, counted, now, cost)
  else {
    const from = Math.max(now, pause.until)
    const inner = algorithm.wait(settings, drained(settings, self, pause), from, cost)
    millis = Math.max(from + inner, Math.min(pause.due, endOf(settings, pause))) - now
  }
  return millis <= settings.early ? 0 : millis
}

/** Counts units, whether there is room or not. @internal */
export const take = (settings: Settings, self: Machine, now: number, cost: number): Machine => {
  const { algorithm, interval } = settings
  const { pause } = self
  const counted = algorithm.take(settings, countedAt(settings, self, now), now, cost)
  if (pause === undefined || !isOver(pause, now)) return { counted, pause }
  if (now >= endOf(settings, pause) - slack) return { counted, pause: undefined }
  return { counted, pause: { until: pause.until, due: Math.max(pause.due, now) + cost * interval, drained: true } }
}

/** Admits a call, or says how long it has to wait. A call that is refused leaves no trace. @internal */
export const admit = (
  settings: Settings,
  self: Machine,
  now: number,
  cost: number
): readonly [wait: number, self: Machine] => {
  const millis = wait(settings, self, now, cost)
  return millis > 0 ? [millis, self] : [0, take(settings, self, now, cost)]
}

/** Returns units that were taken at `at`. @internal */
export const give = (settings: Settings, self: Machine, now: number, at: number, cost: number): Machine => {
  const { algorithm } = settings
  const { pause } = self
  const units = algorithm.refills ? Math.min(cost, Math.max(used(settings, self, now), 0)) : cost
  return {
    counted: algorithm.give(settings, countedAt(settings, self, now), now, at, units),
    pause: pause !== undefined && isOver(pause, now) ? { ...pause, drained: true } : pause
  }
}

/** Units that stand in the way of others. More than the capacity: debt. @internal */
export const used = (settings: Settings, self: Machine, now: number): number =>
  settings.algorithm.used(settings, countedAt(settings, self, now), now)

/** Units that a call can take now. @internal */
export const available = (settings: Settings, self: Machine, now: number): number =>
  wait(settings, self, now, 1) > 0
    ? 0
    : Math.floor(capacity(settings) - used(settings, self, now) + settings.early / settings.interval)

/** Milliseconds that a pause still lasts. @internal */
export const pausedFor = ({ pause }: Machine, now: number): number =>
  pause === undefined || isOver(pause, now) ? 0 : pause.until - now

/** Admits nobody before `until`. A pause that lasts longer stays. @internal */
export const pauseUntil = (self: Machine, until: number): Machine =>
  self.pause !== undefined && self.pause.until >= until
    ? self
    : { counted: self.counted, pause: { until, due: until, drained: false } }

/** Ends a pause before its time, as if it had never been. @internal */
export const resume = (self: Machine): Machine => ({ counted: self.counted, pause: undefined })

/** Forgetting it would change nothing for any call. @internal */
export const isAtRest = (settings: Settings, self: Machine, now: number): boolean =>
  (self.pause === undefined || now >= endOf(settings, self.pause) - slack) && used(settings, self, now) <= 1e-6

/**
 * Goes on with other settings. Units that count now go on counting: a window
 * that is as long as before keeps its entries, everything else starts with the
 * units in use as if they had been taken now. A capacity that shrinks makes no
 * debt.
 *
 * @internal
 */
export const convert = (from: Settings, to: Settings, self: Machine, now: number): Machine => {
  const keepsWindows = from.window === to.window || to.algorithm === algorithms["sliding-log"]
  if (from.algorithm === to.algorithm && !to.algorithm.refills && keepsWindows) return self
  const inUse = used(from, self, now)
  const debt = Math.max(inUse - capacity(from), 0)
  const units = Math.min(inUse - debt, capacity(to)) + debt
  const counted =
    units <= 1e-6
      ? to.algorithm.empty
      : to.algorithm.take(to, to.algorithm.empty, now, to.algorithm.refills ? units : Math.ceil(units))
  const { pause } = self
  return { counted, pause: pause !== undefined && isOver(pause, now) ? { ...pause, drained: true } : pause }
}
