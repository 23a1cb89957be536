/**
 * Answers from the first tier that can: the full answer, else a smaller one,
 * else one from before, else a canned one, and says which it was.
 *
 * **Details**
 *
 * - A tier is a name and an effect, or a function of the error of the tier
 *   before. Tiers are tried in order, each at most once, and the next one only
 *   after a final failure: retries belong inside a tier.
 * - The answer is `Served`: the value, the name of its tier and, for a lower
 *   tier, the reason: the name of the error, or of our rejection, that led to it.
 *   Narrowing by `tier` narrows the value.
 * - Only errors that nothing answers are left: those of the last tier, and those
 *   that `on` does not let the next one answer. A defect is answered with
 *   `on: "all"` only, an interruption never.
 * - `when` chooses a lower tier before anything fails: a tier whose `when` says
 *   no is skipped, for load, for spend, or for lack of time. The next one gets
 *   `TierSkipped` as its error.
 *
 * **Gotchas**
 *
 * - Tiers have no time of their own. Limit each one; `hasTime` skips what would
 *   not end before the deadline.
 * - An error of `when` is impossible by its type. A defect in it is a defect of
 *   its tier.
 *
 * **Example** (Three tiers)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Tiered } from "breakwater"
 *
 * const summarize = (text: string) =>
 *   Tiered.make(
 *     Tiered.tier("full", Effect.fail("down"), { when: Tiered.hasTime("2 seconds") }),
 *     Tiered.tier("excerpt", () => text === "" ? Effect.fail("empty") : Effect.succeed(text.slice(0, 7))),
 *     Tiered.tier("canned", Effect.succeed("no summary today"))
 *   )
 *
 * const program = Effect.map(summarize("a long text"), ({ tier, value }) => `${value}, ${tier}`)
 *
 * await Effect.runPromise(program) // => "a long , excerpt"
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Deadline from "./Deadline.ts"
import { errorName, ResilienceEvents, timestamp } from "./EventSink.ts"
import * as Fallback from "./Fallback.ts"
import * as Monotonic from "./Monotonic.ts"
import { isResilienceError } from "./ResilienceError.ts"

/**
 * An answer, and where it comes from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Served<out A, out Name extends string = string> {
  readonly value: A
  readonly tier: Name
  /** Why a lower tier answered: the latest error's name. `undefined` for the first tier. */
  readonly reason: string | undefined
}

/**
 * What the next tier gets from one that was not tried.
 *
 * @category errors
 * @since 0.1.0
 */
export class TierSkipped {
  readonly _tag = "TierSkipped"
  readonly tier: string
  constructor(fields: { readonly tier: string }) {
    this.tier = fields.tier
  }
}

/**
 * The errors of a tier by what becomes of them: `passed` to the next tier, else
 * `left` to the caller. Of a last tier, all that `failed` are left.
 *
 * @category models
 * @since 0.1.0
 */
export interface Ends {
  readonly passed: unknown
  readonly left: unknown
  readonly failed: unknown
}

/**
 * One way to answer. `In` is the error that it answers.
 *
 * @category models
 * @since 0.1.0
 */
export interface Tier<in In, out S extends Served<unknown>, out X extends Ends, out R> {
  readonly name: S["tier"]
  readonly run: (error: In) => Effect.Effect<S["value"], X["failed"], R>
  readonly when: Effect.Effect<boolean, never, R> | undefined
  readonly on: Fallback.On
  readonly "~types"?: { readonly served: S; readonly ends: X }
}

/** A tier that is always tried: after the last one there is none to go to. */
type Last<In, S extends Served<unknown>, X extends Ends, R> = Tier<In, S, X, R> & { readonly when: undefined }

type Run<In, A, E, R> = Effect.Effect<A, E, R> | ((error: In) => Effect.Effect<A, E, R>)

interface Failing<E, O extends Fallback.On, Skipped = never> extends Ends {
  readonly passed: Fallback.Answered<E, O> | Skipped
  readonly left: Fallback.Unanswered<E, O>
  readonly failed: E
}

/**
 * Names a tier. `on` says which of its failures the next one answers, by
 * default every error; `when` whether it is tried at all.
 *
 * @category constructors
 * @since 0.1.0
 */
export const tier: {
  <const Name extends string, In, A, E, R, R2, O extends Fallback.On = "failures">(
    name: Name,
    run: Run<In, A, E, R>,
    options: { readonly when: Effect.Effect<boolean, never, R2>; readonly on?: O | undefined }
  ): Tier<In, Served<A, Name>, Failing<E, O, TierSkipped>, R | R2>
  <const Name extends string, In, A, E, R, O extends Fallback.On = "failures">(
    name: Name,
    run: Run<In, A, E, R>,
    options?: { readonly on?: O | undefined }
  ): Last<In, Served<A, Name>, Failing<E, O>, R>
} = <const Name extends string, In, A, E, R, O extends Fallback.On = "failures">(
  name: Name,
  run: Run<In, A, E, R>,
  options?: { readonly when?: Effect.Effect<boolean, never, R>; readonly on?: O | undefined }
): Last<In, Served<A, Name>, Failing<E, O>, R> => ({
  name,
  run: Effect.isEffect(run) ? () => run : run,
  // A tier with one has the type of the first overload.
  when: options?.when as undefined,
  on: options?.on ?? "failures"
})

/**
 * Makes an effect of two to five tiers.
 *
 * @category models
 * @since 0.1.0
 */
export interface Make {
  <S1 extends Served<unknown>, X1 extends Ends, R1, S2 extends Served<unknown>, X2 extends Ends, R2>(
    first: Tier<undefined, S1, X1, R1>,
    last: Last<X1["passed"], S2, X2, R2>
  ): Effect.Effect<S1 | S2, X1["left"] | X2["failed"], R1 | R2>
  <
    S1 extends Served<unknown>,
    X1 extends Ends,
    R1,
    S2 extends Served<unknown>,
    X2 extends Ends,
    R2,
    S3 extends Served<unknown>,
    X3 extends Ends,
    R3
  >(
    first: Tier<undefined, S1, X1, R1>,
    second: Tier<X1["passed"], S2, X2, R2>,
    last: Last<X2["passed"], S3, X3, R3>
  ): Effect.Effect<S1 | S2 | S3, (X1 | X2)["left"] | X3["failed"], R1 | R2 | R3>
  <
    S1 extends Served<unknown>,
    X1 extends Ends,
    R1,
    S2 extends Served<unknown>,
    X2 extends Ends,
    R2,
    S3 extends Served<unknown>,
    X3 extends Ends,
    R3,
    S4 extends Served<unknown>,
    X4 extends Ends,
    R4
  >(
    first: Tier<undefined, S1, X1, R1>,
    second: Tier<X1["passed"], S2, X2, R2>,
    third: Tier<X2["passed"], S3, X3, R3>,
    last: Last<X3["passed"], S4, X4, R4>
  ): Effect.Effect<S1 | S2 | S3 | S4, (X1 | X2 | X3)["left"] | X4["failed"], R1 | R2 | R3 | R4>
  <
    S1 extends Served<unknown>,
    X1 extends Ends,
    R1,
    S2 extends Served<unknown>,
    X2 extends Ends,
    R2,
    S3 extends Served<unknown>,
    X3 extends Ends,
    R3,
    S4 extends Served<unknown>,
    X4 extends Ends,
    R4,
    S5 extends Served<unknown>,
    X5 extends Ends,
    R5
  >(
    first: Tier<undefined, S1, X1, R1>,
    second: Tier<X1["passed"], S2, X2, R2>,
    third: Tier<X2["passed"], S3, X3, R3>,
    fourth: Tier<X3["passed"], S4, X4, R4>,
    last: Last<X4["passed"], S5, X5, R5>
  ): Effect.Effect<S1 | S2 | S3 | S4 | S5, (X1 | X2 | X3 | X4)["left"] | X5["failed"], R1 | R2 | R3 | R4 | R5>
}

/**
 * What tiers are told about where they stand.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The operation in the events `FallbackServed` and `FallbackFailed`. Without one there are none. */
  readonly operation?: string | undefined
  readonly key?: string | undefined
}

type AnyTier = Tier<unknown, Served<unknown>, Ends, unknown>

/**
 * Makes tiers whose falls are published as events of an operation.
 *
 * @category constructors
 * @since 0.1.0
 */
export const makeWith = (options: Options): Make =>
  // What one tier passes is what the next one takes: `Make` has checked it.
  ((...tiers: ReadonlyArray<AnyTier>) => from(tiers, 0, undefined, undefined, options)) as unknown as Make

/**
 * Makes an effect that answers from the first tier that can.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Make = /*#__PURE__*/ makeWith({})

/**
 * Whether so much of the call's time is left. Where no deadline is, it is.
 *
 * @category predicates
 * @since 0.1.0
 */
export const hasTime = (limit: Duration.Input): Effect.Effect<boolean> => {
  const millis = Duration.toMillis(limit)
  return Effect.withFiber((fiber) =>
    Effect.succeed(Deadline.remainingUnsafe(fiber, Monotonic.now(fiber.getRef(Clock.Clock))) >= millis)
  )
}

const from = (
  tiers: ReadonlyArray<AnyTier>,
  at: number,
  before: unknown,
  reason: string | undefined,
  options: Options
): Effect.Effect<Served<unknown>, unknown, unknown> => {
  const { name, on, run, when } = tiers[at]!
  const isLast = at === tiers.length - 1
  const tried = Effect.suspend(() => run(before))
  const answer =
    when === undefined
      ? tried
      : Effect.flatMap(when, (isTried) => (isTried ? tried : Effect.fail(new Skip(new TierSkipped({ tier: name })))))
  return Effect.matchCauseEffect(answer, {
    onSuccess: (value) =>
      Effect.withFiber((fiber) => {
        if (at > 0) publish("FallbackServed", before, name, options, fiber)
        return Effect.succeed({ value, tier: name, reason })
      }),
    onFailure: (cause) =>
      Effect.withFiber((fiber) => {
        const failed = isLast ? undefined : (skipOf(cause) ?? Fallback.answerable(cause, on))
        if (failed !== undefined) return from(tiers, at + 1, failed.error, reasonOf(failed.error, reason), options)
        if (at > 0 && !Cause.hasInterrupts(cause)) publish("FallbackFailed", Cause.squash(cause), name, options, fiber)
        return Effect.failCause(cause)
      })
  })
}

/** Says that a tier was not tried. Seen by no one else, so that no error of a tier can be taken for it. */
class Skip {
  readonly error: TierSkipped
  constructor(error: TierSkipped) {
    this.error = error
  }
}

const skipOf = (cause: Cause.Cause<unknown>): Skip | undefined => {
  const failure = Cause.squash(cause)
  return failure instanceof Skip ? failure : undefined
}

/** A tier that was skipped says less than the error before it. */
const reasonOf = (error: unknown, before: string | undefined): string =>
  error instanceof TierSkipped
    ? (before ?? error._tag)
    : isResilienceError(error)
      ? error.reason._tag
      : errorName(error)

const publish = (
  tag: "FallbackServed" | "FallbackFailed",
  error: unknown,
  tier: string,
  { key, operation }: Options,
  fiber: Fiber.Fiber<unknown, unknown>
): void => {
  if (operation === undefined) return
  const sink = fiber.getRef(ResilienceEvents)
  if (!sink.isActive()) return
  const at = timestamp(fiber.getRef(Clock.Clock))
  sink.publishUnsafe({ _tag: tag, operation, key, at, error: errorName(error), tier })
}
