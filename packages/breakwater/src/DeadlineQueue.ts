/**
 * Wakes what has waited long enough: one sleep for all deadlines of a clock, in
 * place of a timer and a fiber for each call.
 *
 * **Details**
 *
 * Deadlines with one limit form one list, so that adding and removing costs the
 * same however many wait. A single sleep lasts until the earliest of them.
 *
 * **Gotchas**
 *
 * - With the live clock the sleep is a timer that keeps the process alive only
 *   while a deadline waits. Any other clock, such as `TestClock`, is asked to
 *   sleep in a fiber of its own, which is interrupted when nothing waits.
 * - `release` runs on the queue's turn and must not throw.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { DeadlineList, type Entry } from "./internal/deadlineList.ts"
import * as Monotonic from "./Monotonic.ts"

/** Lists kept for reuse; above it, empty ones are dropped. */
const maxLists = 64
/** Timers count in 32 bits; a longer wait takes several. */
const maxTimerMillis = 2 ** 31 - 1
/** A deadline is reached this many milliseconds early: sums with fractions of milliseconds are not exact. */
const tolerance = 1e-3

/** One pending sleep. */
interface Sleep {
  readonly until: number
  /** On the live clock: it holds the process while a deadline waits, and goes on when none does. */
  readonly timer?: ReturnType<typeof setTimeout>
  readonly cancel: () => void
}

/**
 * The deadlines of one clock.
 *
 * @category models
 * @since 0.1.0
 */
export interface DeadlineQueue {
  /** How many deadlines wait. */
  readonly waiting: () => number
  /**
   * Calls `release` once, as soon as the clock has reached `deadline`, unless
   * the entry is removed before. `limit` chooses the list.
   */
  readonly add: (
    fiber: Fiber.Fiber<unknown, unknown>,
    now: number,
    limit: number,
    deadline: number,
    release: () => void
  ) => Entry
  /** Does nothing to an entry that is gone, or that there never was. */
  readonly remove: (entry: Entry | undefined) => void
}

/**
 * Makes a queue. `of` finds that of a clock.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (clock: Clock.Clock): DeadlineQueue => {
  const lists = new Map<number, DeadlineList>()
  let size = 0
  let sleep: Sleep | undefined
  let context: Context.Context<never> = Context.empty()

  const listOf = (limit: number): DeadlineList => {
    const list = lists.get(limit)
    if (list !== undefined) return list
    if (lists.size >= maxLists) {
      for (const [key, list] of lists) if (list.first === undefined) lists.delete(key)
    }
    const added = new DeadlineList()
    lists.set(limit, added)
    return added
  }

  const timer = (until: number, now: number): Sleep => {
    const timer = setTimeout(wake, Math.min(Math.ceil(until - now), maxTimerMillis))
    return { until, timer, cancel: () => clearTimeout(timer) }
  }

  const sleeper = (until: number, now: number): Sleep => {
    const fiber = Effect.runForkWith(context)(
      Effect.andThen(clock.sleep(Duration.millis(until - now)), Effect.sync(wake))
    )
    return { until, cancel: () => fiber.interruptUnsafe() }
  }

  const isLive = clock === Context.get(Context.empty(), Clock.Clock)
  const sleepUntil = isLive ? timer : sleeper

  const sleepTo = (until: number, now: number): void => {
    sleep?.cancel()
    sleep = sleepUntil(until, now)
  }

  const remove = (entry: Entry | undefined): void => {
    if (entry?.list === undefined) return
    entry.list.remove(entry)
    if (--size > 0) return
    context = Context.empty()
    if (sleep?.timer !== undefined) sleep.timer.unref?.()
    else {
      sleep?.cancel()
      sleep = undefined
    }
  }

  const wake = (): void => {
    sleep = undefined
    const now = Monotonic.now(clock) + tolerance
    const due: Array<Entry> = []
    for (const { first } of lists.values()) {
      for (let entry = first; entry !== undefined && entry.deadline <= now; entry = entry.next) due.push(entry)
    }
    due.sort((a, b) => a.deadline - b.deadline)
    for (const entry of due) {
      // A release before it may have removed it.
      if (entry.list === undefined) continue
      remove(entry)
      entry.release()
    }
    let until = Infinity
    for (const { first } of lists.values()) if (first !== undefined) until = Math.min(until, first.deadline)
    // A release may have added a deadline and so started a sleep.
    const started = sleep as Sleep | undefined
    if (until !== Infinity && (started === undefined || started.until > until)) sleepTo(until, Monotonic.now(clock))
  }

  return {
    waiting: () => size,
    add: (fiber, now, limit, deadline, release) => {
      const entry = listOf(limit).add(deadline, release)
      if (++size === 1) {
        context = fiber.context
        sleep?.timer?.ref?.()
      }
      if (sleep === undefined || deadline < sleep.until) sleepTo(deadline, now)
      return entry
    },
    remove
  }
}

const queues = new WeakMap<Clock.Clock, DeadlineQueue>()

/**
 * The queue of a clock.
 *
 * @category constructors
 * @since 0.1.0
 */
export const of = (clock: Clock.Clock): DeadlineQueue => {
  let queue = queues.get(clock)
  if (queue === undefined) {
    queue = make(clock)
    queues.set(clock, queue)
  }
  return queue
}
