/**
 * Lets identical calls that are in flight at once share one run.
 *
 * **Details**
 *
 * - The first call with a key leads: its effect runs, in a fiber of its own.
 *   Calls with that key follow until it ends, and all get the same end: value,
 *   error or defect, by reference, in the order in which they came.
 * - A caller that is interrupted leaves the others alone. The run is
 *   interrupted when the last one leaves, and that one waits until it has
 *   cleaned up.
 * - A call after the end starts anew: nothing is kept. So does a call that
 *   comes while an abandoned run is still cleaning up.
 * - At most `capacity` keys are in flight. Beyond it a call runs by itself.
 *
 * **Gotchas**
 *
 * - Effects under one key must be of one kind: a follower gets what the leader's
 *   effect answers, as if its own had. The key has to name all that the answer
 *   depends on, such as the tenant.
 * - The run has the services of the leader, its `Scope` and its span too. A
 *   leader that leaves closes its scope; an effect that needs one brings it
 *   along with `Effect.scoped`.
 * - The run has no deadline of a caller: the leader's would cut short a follower
 *   that has more time. A total timeout around the shared call limits that
 *   caller alone, and the run goes on as long as somebody waits; one inside
 *   limits the run.
 * - A run that joins its own key would wait for itself: it runs by itself.
 *
 * **Example** (Two callers, one run)
 *
 * ```ts import.meta.vitest
 * import { Effect, Ref } from "effect"
 * import { Coalesce } from "breakwater"
 *
 * const program = Effect.gen(function*() {
 *   const coalesce = yield* Coalesce.make()
 *   const runs = yield* Ref.make(0)
 *   const answer = Ref.updateAndGet(runs, (n) => n + 1).pipe(Effect.delay("10 millis"), coalesce.join("user-1"))
 *   return yield* Effect.all([answer, answer], { concurrency: "unbounded" })
 * })
 *
 * await Effect.runPromise(program) // => [1, 1]
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Child from "./Child.ts"
import * as Deadline from "./Deadline.ts"
import * as Settings_ from "./Settings.ts"

/**
 * How much may be shared.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/Coalesce/Settings")({
  /** Keys in flight at most, 1 to 1,000,000. Default 10,000. */
  capacity: Settings_.count({ minimum: 1, maximum: 1_000_000 }).pipe(Settings_.withDefault(10_000))
}) {}

/**
 * Settings as code writes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly capacity?: number | undefined
}

/**
 * Checks settings. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settings = (input: SettingsInput | Settings = {}): Settings =>
  input instanceof Settings ? input : Settings_.make(Settings, { settings: "Coalesce", input, durations: [] })

/**
 * What is shared at one moment, and what was since the start.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly capacity: number
  /** Keys with a run that callers wait for. */
  readonly inFlight: number
  /** Callers that wait, the leading ones among them. */
  readonly waiting: number
  /** Calls whose effect ran for all with their key. */
  readonly led: number
  /** Calls that followed: runs that were saved. */
  readonly joined: number
  /** Calls that ran by themselves, for lack of room or inside their own run. */
  readonly alone: number
}

/**
 * Shares runs by key.
 *
 * @category services
 * @since 0.1.0
 */
export class Coalesce
  extends /*#__PURE__*/ Context.Service<
    Coalesce,
    {
      /** Runs an effect, or joins the run that is in flight for its key. */
      readonly join: (key: string) => <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
      readonly snapshot: Effect.Effect<Snapshot>
    }
  >()("breakwater/Coalesce")
{
  /** Throws `InvalidSettings` at once, not when the layer is built. */
  static readonly layer = (input: SettingsInput | Settings = {}): Layer.Layer<Coalesce> => {
    const checked = settings(input)
    return Layer.effect(this, make(checked))
  }
}

/**
 * Makes one with nothing in flight. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: SettingsInput | Settings = {}): Effect.Effect<Coalesce["Service"]> => {
  const checked = settings(input)
  return Effect.sync(() => {
    const flights = new Flights(checked)
    return {
      join: (key) => (self) => flights.run(self, key),
      snapshot: Effect.sync(() => flights.snapshotUnsafe())
    }
  })
}

/**
 * The runs in flight, at hand for whoever composes policies.
 *
 * @category models
 * @since 0.1.0
 */
export class Flights {
  private readonly byKey = new Map<string, Flight>()
  private readonly capacity: number
  private led = 0
  private joined = 0
  private alone = 0

  /** @internal */
  constructor({ capacity }: Settings) {
    this.capacity = capacity
  }

  /** Nothing is in flight. */
  get isAtRest(): boolean {
    return this.byKey.size === 0
  }

  /** Runs an effect, or joins the run that is in flight for its key. */
  run<A, E, R>(self: Effect.Effect<A, E, R>, key: string): Effect.Effect<A, E, R> {
    // Everything happens inside `register`, in one step of the fiber: there is no
    // moment at which an interruption could find a caller counted and not waiting.
    return Effect.callback<A, E, R>((resume) => {
      const fiber = Fiber.getCurrent()!
      const found = this.byKey.get(key)
      if (found !== undefined && !isInside(fiber, found)) {
        this.joined++
        return found.add(resume)
      }
      if (found !== undefined || this.byKey.size >= this.capacity) {
        this.alone++
        return resume(self)
      }
      this.led++
      const flight = new Flight(this.byKey, key)
      this.byKey.set(key, flight)
      return flight.start(self, fiber, resume)
    })
  }

  /** @internal */
  snapshotUnsafe(): Snapshot {
    const { alone, byKey, capacity, joined, led } = this
    let waiting = 0
    for (const flight of byKey.values()) waiting += flight.waiting
    return { capacity, inFlight: byKey.size, waiting, led, joined, alone }
  }
}

/**
 * What a guarded call shares its run by.
 *
 * @category models
 * @since 0.1.0
 */
export interface By {
  readonly key: string
  /** Shares a run among the calls of an operation. @internal */
  readonly runUnsafe: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    operation: { flights: Flights | undefined },
    tenant: string | undefined
  ) => Effect.Effect<A, E, R>
}

/**
 * Lets a guarded call share its run with those of its operation that have the
 * same key. The settings of the operation's first such call are in force.
 * Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const by = (key: string, input: SettingsInput | Settings = {}): By => {
  const checked = settings(input)
  return {
    key,
    // What one tenant may see is not for another: no key of one can be read as a key of another.
    runUnsafe: (self, operation, tenant) =>
      (operation.flights ??= new Flights(checked)).run(
        self,
        `${tenant === undefined ? "" : tenant.length}:${tenant ?? ""}${key}`
      )
  }
}

// The effects under one key are of one kind, which the compiler cannot see.
type Resume = (exit: Exit.Exit<never>) => void

/** One shared run. Ends once: by its own end, or when the last caller leaves. */
class Flight {
  private readonly byKey: Map<string, Flight>
  private readonly key: string
  private readonly callers = new Set<Resume>()
  private child: Fiber.Fiber<unknown, unknown> | undefined = undefined
  private hasEnded = false

  constructor(byKey: Map<string, Flight>, key: string) {
    this.byKey = byKey
    this.key = key
  }

  get waiting(): number {
    return this.callers.size
  }

  /** Returns what to do when this caller is interrupted. */
  add(resume: Resume): Effect.Effect<void> {
    this.callers.add(resume)
    return Effect.suspend(() => {
      this.callers.delete(resume)
      if (this.hasEnded || this.callers.size > 0) return Effect.void
      this.close()
      return Fiber.interrupt(this.child!)
    })
  }

  /** The same, for the caller whose effect it is. */
  start(
    self: Effect.Effect<unknown, unknown, unknown>,
    fiber: Fiber.Fiber<unknown, unknown>,
    resume: Resume
  ): Effect.Effect<void> | undefined {
    const leave = this.add(resume)
    const context = Context.add(fiber.context, Inside, { flight: this, outer: fiber.getRef(Inside) })
    const child = Child.start(
      self,
      fiber,
      fiber.getRef(Deadline.Current) === undefined ? context : Context.add(context, Deadline.Current, undefined)
    )
    const early = child.pollUnsafe()
    if (early !== undefined) {
      this.end(early)
      return undefined
    }
    this.child = child
    child.addObserver(this.end)
    return leave
  }

  // Before anyone is told: whoever calls again at once must start anew.
  private close(): void {
    this.hasEnded = true
    this.byKey.delete(this.key)
  }

  private readonly end = (exit: Exit.Exit<unknown, unknown>): void => {
    if (this.hasEnded) return
    this.close()
    for (const resume of this.callers) resume(exit as Exit.Exit<never>)
    this.callers.clear()
  }
}

/** The runs that a fiber is part of, the innermost first. */
interface Chain {
  readonly flight: Flight
  readonly outer: Chain | undefined
}

const Inside = /*#__PURE__*/ Context.Reference<Chain | undefined>("breakwater/Coalesce/Inside", {
  defaultValue: () => undefined
})

const isInside = (fiber: Fiber.Fiber<unknown, unknown>, flight: unknown): boolean => {
  for (let chain = fiber.getRef(Inside); chain !== undefined; chain = chain.outer) {
    if (chain.flight === flight) return true
  }
  return false
}
