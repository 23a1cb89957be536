/**
 * What composes policies knows of one: that it can be started for an operation,
 * and that it then goes around effects.
 *
 * **Details**
 *
 * A policy's settings carry the function that starts it. Whoever composes
 * policies imports none of them, so a program bundles those it names.
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import type * as Clock from "effect/Clock"
import type * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import type * as Attempt from "./Attempt.ts"
import type * as Errors from "./Classification.ts"
import type { Sink } from "./EventSink.ts"
import type { Moment } from "./Moment.ts"
import type { ResilienceError } from "./ResilienceError.ts"

/**
 * Where a started policy stands: `admission` outside of the retry, once for a
 * call; `bulkhead` and, within it, `quota` inside of the circuit, for each
 * attempt.
 *
 * @category models
 * @since 0.1.0
 */
export type Slot = "admission" | "bulkhead" | "quota"

/**
 * What a policy is started with.
 *
 * @category models
 * @since 0.1.0
 */
export interface Services {
  readonly operation: string
  readonly slot: Slot
  readonly events: Sink
  /** Keys kept at most, 1 to 1,000,000. Default 10,000. */
  readonly maxKeys?: number | undefined
  /** Monotonic milliseconds. */
  readonly now: number
}

/**
 * What a call says about itself.
 *
 * @category models
 * @since 0.1.0
 */
export interface Call {
  readonly key?: string | undefined
  readonly rules?: ReadonlyArray<Errors.Rule> | undefined
}

/**
 * Who is told about the attempts that a policy lets through. Must not throw.
 *
 * @category models
 * @since 0.1.0
 */
export interface Observer {
  readonly onAdmitted: () => void
  /** An attempt ended just now, `millis` after it was admitted. */
  readonly onSettled: (millis: number, moment: Moment) => void
}

/**
 * Settings that start their policy.
 *
 * @category models
 * @since 0.1.0
 */
export interface Startable<Snapshot = unknown> {
  /** What it starts is retuned with settings of the same class only. */
  startUnsafe(services: Services): Running<never, Snapshot>
  /** Takes a place with `place`. @internal */
  placeUnsafe(known: Placed | undefined, services: Services, isOwn: boolean): Placed
}

/**
 * What stands in a place, with the settings in force.
 *
 * @category models
 * @since 0.1.0
 */
export interface Placed {
  readonly settings: Startable
  readonly running: Running<never, unknown>
}

/**
 * Starts a policy, or lets the one that stands in its place go on. `isOwn`: the
 * settings are the operation's, and not those of one call.
 *
 * @category constructors
 * @since 0.1.0
 */
export const place = (settings: Startable, known: Placed | undefined, services: Services, isOwn: boolean): Placed => {
  if (known === undefined || (isOwn && known.settings.constructor !== settings.constructor))
    return { settings, running: settings.startUnsafe(services) }
  if (!isOwn || known.settings === settings) return known
  // Of one class, as was just seen.
  known.running.retuneUnsafe(settings as never)
  return { settings, running: known.running }
}

/**
 * @category guards
 * @since 0.1.0
 */
export const isStartable = (u: unknown): u is Startable | StartableBudget =>
  Predicate.hasProperty(u, "placeUnsafe") || Predicate.hasProperty(u, "keepUnsafe")

/**
 * A policy that runs for one operation. Its state outlives the calls.
 *
 * @category models
 * @since 0.1.0
 */
export interface Running<in Settings, out Snapshot> {
  /**
   * Guards one run of an effect. What it returns may be run again when it has
   * ended, for the next attempt, and not twice at once.
   * An observer, which the innermost policy gets,
   * has to be told of each attempt that is let through, and of its end.
   */
  readonly run: <A, E, R>(
    self: Effect.Effect<A, E, R>,
    call: Call,
    moment: Moment,
    observer?: Observer
  ) => Effect.Effect<A, E | ResilienceError, R>
  /**
   * `run` for an attempt that can begin at once, without an effect of its own:
   * lets `begin` begin, and is told of the end before it. Any other attempt goes
   * on with `otherwise`.
   */
  readonly beginUnsafe?: <A, E, R>(
    begin: Attempt.Begin<A, E, R>,
    otherwise: () => Effect.Effect<A, E, R>,
    call: Call,
    moment: Moment
  ) => ReturnType<Attempt.Begin<A, E, R>>
  /** Changes the settings in force. What runs and what is counted stays. */
  readonly retuneUnsafe: (settings: Settings) => void
  /** Forgetting it would change nothing for any call. */
  readonly isAtRest: (now: number) => boolean
  readonly snapshotsUnsafe: (clock: Clock.Clock) => ReadonlyArray<Snapshot>
}

/**
 * What limits how often the calls to one dependency are repeated, in whatever
 * way and by whomever.
 *
 * @category models
 * @since 0.1.0
 */
export interface Budget {
  /** Whether it counts what runs, and so has to be told when a first attempt ends. */
  readonly countsRunning: boolean
  /** The account for one call. */
  readonly open: (now: number) => Account
  /** What one call that retries spends of it. */
  readonly spend: (now: number) => Spending
}

/**
 * Settings that start a budget.
 *
 * @category models
 * @since 0.1.0
 */
export interface StartableBudget {
  /** Whose calls it limits. `undefined`: those of the operation. */
  readonly dependency?: string | undefined
  /** Keeps the budgets of a program. */
  keepUnsafe(maxKeys: number): KeptBudgets
}

/**
 * A budget with the settings in force.
 *
 * @category models
 * @since 0.1.0
 */
export interface StartedBudget {
  readonly settings: StartableBudget
  readonly running: RunningBudget<never, unknown>
}

/**
 * The budgets of a program: one for each dependency that strategies name, and
 * those of operations.
 *
 * @category models
 * @since 0.1.0
 */
export interface KeptBudgets {
  /** What the operations of a strategy with these settings go by. */
  readonly prepare: (settings: StartableBudget, now: number) => PreparedBudget
}

/**
 * The budget that a strategy asks for: that of the dependency which its settings
 * name, or else one for each operation.
 *
 * @category models
 * @since 0.1.0
 */
export interface PreparedBudget {
  /**
   * The budget that an operation is to have, `known` if that will do. `isOwn`:
   * the settings are the operation's, and not those of one call.
   */
  readonly start: (operation: string, known: StartedBudget | undefined, isOwn: boolean) => StartedBudget
  /** What a call spends of, given the budget of its operation. */
  readonly of: (known: StartedBudget | undefined) => Budget
}

/**
 * The budget of one dependency. Its state outlives the calls.
 *
 * @category models
 * @since 0.1.0
 */
export interface RunningBudget<in Settings, out Snapshot> extends Budget {
  readonly retuneUnsafe: (settings: Settings) => void
  readonly isAtRest: (now: number) => boolean
  readonly snapshotUnsafe: (clock: Clock.Clock) => Snapshot
}

/**
 * A call that retries on a budget.
 *
 * @category models
 * @since 0.1.0
 */
export interface Spending {
  /** Runs the first attempt, and what is to follow if it fails. */
  readonly run: <A, E, R>(
    first: Effect.Effect<A, E, R>,
    orElse: (cause: Cause.Cause<E>) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  /** Asks for one more attempt. */
  readonly reserve: (now: number) => boolean
  readonly attemptBegins: () => void
  /** `hasRun: false`: a rejection of ours came first. */
  readonly attemptEnded: (hasRun: boolean) => void
}

/**
 * What the calls to one dependency share.
 *
 * @category models
 * @since 0.1.0
 */
export interface Account {
  /** A first attempt begins. Each is matched by one `ended`, if the budget counts what runs. */
  readonly began: (now: number) => void
  /** `hasRun: false`: a rejection of ours came first, so the dependency never saw it. `at` is when it began. */
  readonly ended: (at: number, hasRun: boolean) => void
  /** Grants a repetition, or `undefined`. To be settled once: when its attempt has ended, or when it will not happen. */
  readonly reserve: (now: number) => Reservation | undefined
}

/**
 * A repetition that was granted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Reservation {
  readonly settle: (hasHappened: boolean) => void
}
