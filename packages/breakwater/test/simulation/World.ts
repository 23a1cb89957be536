/**
 * A world in which nothing happens by itself: time passes when it is told to, fibers run when it lets them, and chance
 * comes from a seed.
 *
 * Everything is synchronous. After each step the world runs every fiber that can run, so that the laws can be checked
 * where nothing moves, and no step waits for the event loop.
 */
import {
  type Clock,
  Clock as Clocks,
  Context,
  Duration,
  Effect,
  type Exit,
  type Fiber,
  Random,
  Scheduler
} from "effect"
import type { Dice } from "./Dice.ts"

interface Sleeper {
  readonly at: number
  readonly wake: () => void
}

/** More tasks than this without time passing: the fibers never come to rest. */
const maxTasks = 100_000

export class World {
  readonly clock: Readonly<Clock.Clock>
  readonly context: Context.Context<never>
  /** What `Random` has given out, newest last. */
  readonly draws: Array<number> = []
  /** Every fiber that ever ran, until it has ended. */
  private readonly fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  /** Earliest last. */
  private readonly sleepers: Array<Sleeper> = []
  private readonly ready: Array<() => void> = []
  /** Nanoseconds that have passed. A whole number, so that sums are exact. */
  private nanos: number
  private wallMillis = 0

  /** `shuffled`: of the fibers that can run, any one goes first. Else the one that could first. */
  private readonly shuffled: Dice | undefined

  constructor(dice: Dice, options: { readonly startsAt: number; readonly shuffled?: Dice | undefined }) {
    this.nanos = options.startsAt
    this.shuffled = options.shuffled
    const wall = () => 1_700_000_000_000 + Math.floor(this.nanos / 1e6) + this.wallMillis
    const wallNanos = () => BigInt(wall()) * 1_000_000n
    const monotonic = () => BigInt(this.nanos)
    this.clock = {
      currentTimeMillisUnsafe: wall,
      currentTimeMillis: Effect.sync(wall),
      currentTimeNanosUnsafe: wallNanos,
      currentTimeNanos: Effect.sync(wallNanos),
      monotonicTimeNanosUnsafe: monotonic,
      monotonicTimeNanos: Effect.sync(monotonic),
      sleep: (duration) => this.sleep(duration)
    }
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: (fiber) => {
        this.fibers.add(fiber)
        return false
      },
      makeDispatcher: () => ({ scheduleTask: (task) => void this.ready.push(task), flush: () => this.settle() })
    }
    const random = () => {
      const drawn = dice.next()
      this.draws.push(drawn)
      return drawn
    }
    this.context = Context.make(Clocks.Clock, this.clock).pipe(
      Context.add(Scheduler.Scheduler, scheduler),
      Context.add(Random.Random, {
        nextDoubleUnsafe: random,
        nextIntUnsafe: () => Math.floor(random() * Number.MAX_SAFE_INTEGER)
      })
    )
  }

  /** Monotonic milliseconds. */
  get now(): number {
    return this.nanos / 1e6
  }

  /** Sets the wall clock ahead or back, and nothing else. */
  stepWall(millis: number): void {
    this.wallMillis += millis
  }

  private sleep(duration: Duration.Duration): Effect.Effect<void> {
    const millis = Duration.toMillis(duration)
    return Effect.callback((resume) => {
      const at = this.nanos + Math.max(Math.round(millis * 1e6), 0)
      if (at <= this.nanos) return resume(Effect.void)
      const sleeper: Sleeper = { at, wake: () => resume(Effect.void) }
      // Of two that wake together, the one that slept first wakes first.
      let place = this.sleepers.length
      while (place > 0 && this.sleepers[place - 1]!.at <= at) place--
      this.sleepers.splice(place, 0, sleeper)
      return Effect.sync(() => {
        const found = this.sleepers.indexOf(sleeper)
        if (found !== -1) this.sleepers.splice(found, 1)
      })
    })
  }

  /** Runs fibers until none can run. */
  settle(): void {
    for (let tasks = 0; this.ready.length > 0; tasks++) {
      if (tasks > maxTasks) throw new Error("the fibers never come to rest")
      const next = this.shuffled === undefined ? 0 : this.shuffled.whole(0, this.ready.length - 1)
      const [task] = this.ready.splice(next, 1)
      task!()
    }
  }

  /** Starts a fiber, and lets everything run. */
  start<A, E>(self: Effect.Effect<A, E>): Fiber.Fiber<A, E> {
    const fiber = Effect.runForkWith(this.context)(self)
    this.settle()
    return fiber
  }

  /** Runs what needs no time. */
  run<A>(self: Effect.Effect<A, unknown>): A {
    const exit: Exit.Exit<A, unknown> | undefined = this.start(self).pollUnsafe()
    if (exit === undefined) throw new Error("the effect waits")
    if (exit._tag === "Failure") throw new Error(`the effect fails: ${JSON.stringify(exit.cause)}`)
    return exit.value
  }

  interrupt(fiber: Fiber.Fiber<unknown, unknown>): void {
    fiber.interruptUnsafe()
    this.settle()
  }

  /** Lets time pass. Sleepers wake one by one, each at its time, and each comes to rest before the next wakes. */
  advance(millis: number, onRest?: () => void): void {
    const end = this.nanos + Math.round(millis * 1e6)
    for (let next = this.sleepers.at(-1); next !== undefined && next.at <= end; next = this.sleepers.at(-1)) {
      this.sleepers.pop()
      this.nanos = next.at
      next.wake()
      this.settle()
      onRest?.()
    }
    this.nanos = end
  }

  /** When the next sleeper wakes, in monotonic milliseconds. */
  get nextWake(): number | undefined {
    const next = this.sleepers.at(-1)
    return next === undefined ? undefined : next.at / 1e6
  }

  /** What is still there: fibers, sleeps, tasks. */
  get residue(): { readonly fibers: number; readonly sleeps: number; readonly tasks: number } {
    let fibers = 0
    for (const fiber of this.fibers) if (fiber.pollUnsafe() === undefined) fibers++
    return { fibers, sleeps: this.sleepers.length, tasks: this.ready.length }
  }
}
