/**
 * Plays two or three short actors in every order in which their fibers can run, and compares what comes of it with what
 * may.
 *
 * The scheduler is a queue of tasks. Wherever more than one fiber can run, a schedule says which one goes on; and as
 * often as a case allows, a fiber is stopped between two of its operations for another to run first. Schedules are
 * enumerated depth first: each is played anew from the start, up to its last choice that can be another one.
 *
 * Time passes when no fiber can run, or when an actor lets it. Whoever wakes at one instant can run in any order.
 */
import { assert, it } from "@effect/vitest"
import { Cause, Clock, Context, Duration, Effect, Exit, type Fiber, Scheduler } from "effect"
import { ResilienceError } from "breakwater"
import * as DeadlineQueue from "../../src/DeadlineQueue.ts"

/** More schedules than this are too many to see them all. */
const maxSchedules = 20_000
/** More turns than this: the fibers never come to rest. */
const maxTurns = 2_000

/** What a case sets up anew for each schedule. */
export interface Scene {
  /** What runs at once, by name. */
  readonly actors: Readonly<Record<string, Effect.Effect<unknown, unknown>>>
  /** What is wrong, between any two turns; `undefined`: nothing. */
  readonly wrong?: () => string | undefined
  /** What is left at the end, as part of the outcome. */
  readonly after?: () => string
}

export interface Case {
  readonly name: string
  readonly open: (theatre: Theatre) => Scene
  /** Everything that may come of it: how each actor ends, and what is left. Each must be seen. */
  readonly outcomes: ReadonlyArray<string>
  /** How often a fiber is stopped between two of its operations. Default 2. */
  readonly preemptions?: number
}

/** One choice of a schedule: which one was taken, of how many. */
interface Choice {
  readonly taken: number
  readonly of: number
}

interface Sleeper {
  readonly at: number
  readonly wake: () => void
  isDue: boolean
}

/** Where one schedule is played. */
export class Theatre {
  readonly clock: Readonly<Clock.Clock>
  readonly context: Context.Context<never>
  readonly choices: Array<Choice> = []
  private readonly schedule: ReadonlyArray<number>
  private readonly actors = new Map<string, Fiber.Fiber<unknown, unknown>>()
  private readonly fibers = new Set<Fiber.Fiber<unknown, unknown>>()
  /** Whose turn it was. */
  private readonly turns: Array<Fiber.Fiber<unknown, unknown>> = []
  private readonly ready: Array<() => void> = []
  private sleepers: Array<Sleeper> = []
  private now = 0
  private preemptions: number
  private isOpen = false
  /** A fiber that has its turn does something first. */
  private isFresh = false
  /** The task of a fiber that was stopped: another goes first. */
  private stopped: (() => void) | undefined
  private isStopping = false

  constructor(schedule: ReadonlyArray<number>, preemptions: number) {
    this.schedule = schedule
    this.preemptions = preemptions
    const nanos = () => BigInt(Math.round(this.now * 1e6))
    this.clock = {
      currentTimeMillisUnsafe: () => this.now,
      currentTimeMillis: Effect.sync(() => this.now),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: nanos,
      monotonicTimeNanos: Effect.sync(nanos),
      sleep: (duration) => this.sleep(Duration.toMillis(duration))
    }
    const scheduler: Scheduler.Scheduler = {
      executionMode: "async",
      shouldYield: (fiber) => this.isStopped(fiber),
      makeDispatcher: () => ({ scheduleTask: (task) => this.add(task), flush: () => {} })
    }
    this.context = Context.make(Clock.Clock, this.clock).pipe(Context.add(Scheduler.Scheduler, scheduler))
  }

  private add(task: () => void): void {
    this.ready.push(task)
    if (!this.isStopping) return
    this.isStopping = false
    this.stopped = task
  }

  /** The next choice of the schedule; beyond its end the first of all. */
  private choose(of: number): number {
    if (of === 1) return 0
    const taken = this.schedule[this.choices.length] ?? 0
    this.choices.push({ taken, of })
    return taken
  }

  /** Whether a fiber that could go on lets another go first. */
  private isStopped(fiber: Fiber.Fiber<unknown, unknown>): boolean {
    this.fibers.add(fiber)
    if (this.isFresh) {
      this.isFresh = false
      this.turns.push(fiber)
      return false
    }
    if (!this.isOpen || this.preemptions === 0 || this.ready.length === 0 || this.choose(2) === 0) return false
    this.preemptions--
    this.isStopping = true
    return true
  }

  private sleep(millis: number): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const sleeper: Sleeper = { at: this.now + millis, wake: () => resume(Effect.void), isDue: false }
      this.sleepers.push(sleeper)
      return Effect.sync(() => {
        this.sleepers = this.sleepers.filter((other) => other !== sleeper)
      })
    })
  }

  /** Everyone who has slept long enough can run. Who is interrupted before that does not. */
  private wakeUntil(at: number): void {
    this.now = at
    for (const sleeper of this.sleepers) {
      if (sleeper.isDue || sleeper.at > at) continue
      sleeper.isDue = true
      this.ready.push(() => {
        if (!this.sleepers.includes(sleeper)) return
        this.sleepers = this.sleepers.filter((other) => other !== sleeper)
        sleeper.wake()
      })
    }
  }

  /** Lets time pass, whoever else can run. */
  pass(millis: number): Effect.Effect<void> {
    return Effect.sync(() => this.wakeUntil(this.now + millis))
  }

  interruptUnsafe(name: string): void {
    this.actors.get(name)!.interruptUnsafe()
  }

  /** Interrupts an actor, and waits for nothing. */
  interrupt(name: string): Effect.Effect<void> {
    return Effect.sync(() => this.interruptUnsafe(name))
  }

  /** Runs what needs neither time nor others, between two turns. */
  run<A>(self: Effect.Effect<A, unknown>): A {
    const { isOpen } = this
    this.isOpen = false
    const exit = Effect.runForkWith(this.context)(self).pollUnsafe()
    this.isOpen = isOpen
    if (exit === undefined) throw new Error("the effect waits")
    if (Exit.isFailure(exit)) throw new Error(`the effect fails: ${describe(exit)}`)
    return exit.value
  }

  /** Who ran, in order. A fiber that an actor started has no name. */
  get story(): string {
    const names = new Map([...this.actors].map(([name, fiber]) => [fiber, name]))
    return this.turns.map((fiber) => names.get(fiber) ?? "another").join(" ")
  }

  private turn(): void {
    const others = this.ready.filter((task) => task !== this.stopped)
    const task = others[this.choose(others.length)]!
    this.stopped = undefined
    this.ready.splice(this.ready.indexOf(task), 1)
    this.isFresh = true
    task()
    this.isFresh = false
  }

  /** Plays the whole schedule. Returns what came of it, or throws with what is wrong. */
  play({ actors, after, wrong }: Scene): string {
    for (const [name, actor] of Object.entries(actors)) {
      this.actors.set(name, Effect.runForkWith(this.context)(Effect.andThen(Effect.yieldNow, actor)))
    }
    this.isOpen = true
    for (let turns = 0; this.ready.length > 0 || this.sleepers.length > 0; turns++) {
      if (turns > maxTurns) throw new Error("the fibers never come to rest")
      if (this.ready.length === 0) this.wakeUntil(Math.min(...this.sleepers.map(({ at }) => at)))
      this.turn()
      const found = wrong?.()
      if (found !== undefined) throw new Error(found)
    }
    this.isOpen = false
    const ends: Array<string> = []
    for (const [name, fiber] of this.actors) {
      const exit = fiber.pollUnsafe()
      if (exit === undefined) throw new Error(`deadlock: ${name} never ends`)
      ends.push(`${name}: ${describe(exit)}`)
    }
    for (const fiber of this.fibers) {
      if (fiber.pollUnsafe() === undefined) throw new Error("deadlock: a fiber that an actor started never ends")
    }
    if (DeadlineQueue.of(this.clock).waiting() > 0) throw new Error("a deadline is left that nobody waits for")
    return [...ends, ...(after === undefined ? [] : [after()])].join(", ")
  }
}

const shown = (value: unknown): string => {
  if (value === undefined) return "done"
  if (value instanceof Error) return value.message
  return typeof value === "string" ? value : JSON.stringify(value)
}

const describe = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit)
    ? shown(exit.value)
    : exit.cause.reasons
        .map((reason) => {
          if (Cause.isInterruptReason(reason)) return "interrupted"
          const error = Cause.isDieReason(reason) ? reason.defect : reason.error
          return error instanceof ResilienceError ? error.reason._tag : shown(error)
        })
        .join(" and ")

/** What came of all schedules of a case. */
export interface Explored {
  readonly schedules: number
  /** With who ran in the first schedule from which it came. */
  readonly outcomes: ReadonlyMap<string, string>
  /** What went wrong first. */
  readonly failure: { readonly story: string; readonly message: string } | undefined
}

/** The first schedule after this one: its last choice that can be another one is. */
const following = (choices: ReadonlyArray<Choice>): ReadonlyArray<number> | undefined => {
  const last = choices.findLastIndex(({ of, taken }) => taken + 1 < of)
  if (last === -1) return undefined
  return [...choices.slice(0, last), { taken: choices[last]!.taken + 1 }].map(({ taken }) => taken)
}

/** Plays every schedule of a case, until one goes wrong. */
export const explore = ({ open, preemptions = 2 }: Case): Explored => {
  const outcomes = new Map<string, string>()
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    let schedules = 0
    for (let schedule: ReadonlyArray<number> | undefined = []; schedule !== undefined;) {
      if (++schedules > maxSchedules) throw new Error(`there are more than ${maxSchedules} schedules`)
      const theatre = new Theatre(schedule, preemptions)
      try {
        const outcome = theatre.play(open(theatre))
        if (!outcomes.has(outcome)) outcomes.set(outcome, theatre.story)
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        return { schedules, outcomes, failure: { story: theatre.story, message } }
      }
      schedule = following(theatre.choices)
    }
    return { schedules, outcomes, failure: undefined }
  } finally {
    Error.stackTraceLimit = limit
  }
}

/** What is wrong with what came of a case; `undefined`: nothing. */
export const fault = ({ outcomes: declared }: Case, { failure, outcomes }: Explored): string | undefined => {
  if (failure !== undefined) return `${failure.message}, in the order ${failure.story}`
  const undeclared = [...outcomes].filter(([outcome]) => !declared.includes(outcome))
  if (undeclared.length > 0) {
    return undeclared.map(([outcome, story]) => `"${outcome}" is not declared, in the order ${story}`).join("\n")
  }
  const unseen = declared.filter((outcome) => !outcomes.has(outcome))
  return unseen.length === 0 ? undefined : unseen.map((outcome) => `"${outcome}" is never seen`).join("\n")
}

export const interleavings = (cases: ReadonlyArray<Case>): void => {
  for (const each of cases) {
    it(`${each.name}, in every order`, { timeout: 60_000 }, () => {
      const explored = explore(each)
      const found = fault(each, explored)
      if (found !== undefined) assert.fail(found)
      // A case with one schedule proves nothing.
      assert.isAbove(explored.schedules, 1)
    })
  }
}

/** Work that takes so many turns, of which it is known how much goes on at once. */
export class Work {
  running = 0
  started = 0
  most = 0

  of<A>(turns: number, answer: Effect.Effect<A, unknown>): Effect.Effect<A, unknown> {
    return Effect.suspend(() => {
      let isRunning = false
      const working = Effect.suspend(() => {
        isRunning = true
        this.started++
        this.running++
        this.most = Math.max(this.most, this.running)
        return Effect.andThen(turn(turns), answer)
      })
      return Effect.onExitPrimitive(working, () => {
        if (isRunning) this.running--
        return undefined
      })
    })
  }

  done(turns = 1): Effect.Effect<unknown, unknown> {
    return this.of(turns, Effect.succeed("done"))
  }
}

/** Lets others go first so many times. */
export const turn = (count: number): Effect.Effect<void> =>
  count === 0 ? Effect.void : count === 1 ? Effect.yieldNow : Effect.andThen(Effect.yieldNow, turn(count - 1))
