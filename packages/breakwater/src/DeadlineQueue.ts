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

/** One pending sleep, told whether it holds the process. */
interface Sleep {
  readonly until: number
  readonly hold: () => void
  /** Stops holding the process. `false`: the sleep is over and must be started anew. */
  readonly release: () => boolean
  readonly cancel: () => void
}

/**
 * The deadlines of one clock.
 *
 * @category models
 * @since 0.1.0
 */
export class DeadlineQueue {
  private readonly clock: Clock.Clock
  private readonly lists = new Map<number, DeadlineList>()
  private readonly sleepUntil: (until: number, now: number, context: Context.Context<never>) => Sleep
  private sleep: Sleep | undefined = undefined
  private context: Context.Context<never> = Context.empty()
  private size = 0

  constructor(clock: Clock.Clock) {
    this.clock = clock
    this.sleepUntil = clock === liveClock() ? this.timer : this.sleeper
  }

  /** Deadlines that wait. */
  get waiting(): number {
    return this.size
  }

  /**
   * Calls `release` once, as soon as the clock has reached `deadline`, unless
   * the entry is removed before. `limit` chooses the list.
   */
  add(fiber: Fiber.Fiber<unknown, unknown>, now: number, limit: number, deadline: number, release: () => void): Entry {
    const entry = this.listOf(limit).add(deadline, release)
    if (++this.size === 1) {
      this.context = fiber.context
      this.sleep?.hold()
    }
    if (this.sleep === undefined || deadline < this.sleep.until) this.sleepTo(deadline, now)
    return entry
  }

  remove(entry: Entry): void {
    if (entry.list === undefined) return
    entry.list.remove(entry)
    this.removed()
  }

  private removed(): void {
    if (--this.size > 0) return
    this.context = Context.empty()
    if (this.sleep !== undefined && !this.sleep.release()) this.sleep = undefined
  }

  private listOf(limit: number): DeadlineList {
    const list = this.lists.get(limit)
    if (list !== undefined) return list
    if (this.lists.size >= maxLists) {
      for (const [key, list] of this.lists) if (list.first === undefined) this.lists.delete(key)
    }
    const added = new DeadlineList()
    this.lists.set(limit, added)
    return added
  }

  private sleepTo(until: number, now: number): void {
    this.sleep?.cancel()
    this.sleep = this.sleepUntil(until, now, this.context)
  }

  private readonly wake = (): void => {
    this.sleep = undefined
    const now = Monotonic.now(this.clock) + tolerance
    const due: Array<Entry> = []
    for (const { first } of this.lists.values()) {
      for (let entry = first; entry !== undefined && entry.deadline <= now; entry = entry.next) due.push(entry)
    }
    due.sort((a, b) => a.deadline - b.deadline)
    for (const entry of due) {
      // A release before it may have removed it.
      if (entry.list === undefined) continue
      this.remove(entry)
      entry.release()
    }
    let until = Infinity
    for (const { first } of this.lists.values()) if (first !== undefined) until = Math.min(until, first.deadline)
    // A release may have added a deadline and so started a sleep.
    const sleep = this.sleep as Sleep | undefined
    if (until !== Infinity && (sleep === undefined || sleep.until > until)) {
      this.sleepTo(until, Monotonic.now(this.clock))
    }
  }

  private readonly timer = (until: number, now: number): Sleep => {
    const timer = setTimeout(this.wake, Math.min(Math.ceil(until - now), maxTimerMillis))
    return {
      until,
      hold: () => void timer.ref?.(),
      release: () => {
        timer.unref?.()
        return true
      },
      cancel: () => clearTimeout(timer)
    }
  }

  private readonly sleeper = (until: number, now: number, context: Context.Context<never>): Sleep => {
    const fiber = Effect.runForkWith(context)(
      Effect.andThen(this.clock.sleep(Duration.millis(until - now)), Effect.sync(this.wake))
    )
    const cancel = () => fiber.interruptUnsafe()
    return {
      until,
      hold: () => {},
      release: () => {
        cancel()
        return false
      },
      cancel
    }
  }
}

const liveClock = (): Clock.Clock => Context.get(Context.empty(), Clock.Clock)

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
    queue = new DeadlineQueue(clock)
    queues.set(clock, queue)
  }
  return queue
}
