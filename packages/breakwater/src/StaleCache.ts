/**
 * Remembers what a lookup answered, and serves the last good answer for a while
 * when the lookup fails.
 *
 * **Details**
 *
 * - An answer is fresh for `timeToLive`. After that the next call looks up
 *   again; if that fails, the old answer is served for another `maxStale`, with
 *   its age and marked `isStale`.
 * - Calls for one key share one lookup, which is interrupted when the last of
 *   them leaves.
 * - Failures are not remembered: each call after one looks up again. `on` and
 *   `serveStale` say which failures an old answer may stand in for. A defect is
 *   one with `on: "all"` only, an interruption never.
 * - At most `capacity` answers are kept; those not used for the longest time go
 *   first.
 *
 * **Gotchas**
 *
 * - Put retries, circuit and timeout into the lookup: while the dependency is
 *   down every call asks it again, and waits for it, before it gets what is old.
 * - A lookup has no deadline of a caller, because it is shared: it goes on as
 *   long as somebody waits.
 * - Ages are counted from the end of the lookup, by the monotonic clock.
 *
 * **Example** (An old answer in place of none)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { StaleCache } from "breakwater"
 *
 * let isDown = false
 * const rate = (currency: string) => Effect.suspend(() => isDown ? Effect.fail("down") : Effect.succeed(`1.08 ${currency}`))
 *
 * const program = Effect.gen(function*() {
 *   const rates = yield* StaleCache.make(rate, { timeToLive: "1 milli", maxStale: "1 hour" })
 *   yield* rates.get("EUR")
 *   isDown = true
 *   yield* Effect.sleep("5 millis")
 *   return yield* rates.get("EUR")
 * })
 *
 * const { isStale, value } = await Effect.runPromise(program)
 * value // => "1.08 EUR"
 * isStale // => true
 * ```
 *
 * @since 0.1.0
 */
import * as Cache from "effect/Cache"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Deadline from "./Deadline.ts"
import * as Fallback from "./Fallback.ts"
import * as Monotonic from "./Monotonic.ts"
import * as Settings_ from "./Settings.ts"

/**
 * How much is kept, and how long.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/StaleCache/Settings")({
  /** Answers kept at most, 1 to 1,000,000. Default 1,000. */
  capacity: Settings_.count({ minimum: 1, maximum: 1_000_000 }).pipe(Settings_.withDefault(1_000)),
  /** Time for which an answer is fresh, 1 ms to 30 days. Default 1 minute. */
  timeToLive: Settings_.duration({ minimum: "1 milli", maximum: "30 days" }).pipe(
    Settings_.withDefault(Duration.minutes(1))
  ),
  /** Time after that for which it stands in for a failed lookup, 0 to 30 days. Default 1 hour. */
  maxStale: Settings_.duration({ minimum: 0, maximum: "30 days" }).pipe(Settings_.withDefault(Duration.hours(1)))
}) {}

/**
 * Settings as code writes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly capacity?: number | undefined
  readonly timeToLive?: Duration.Input | undefined
  readonly maxStale?: Duration.Input | undefined
}

/**
 * Checks settings. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const settings = (input: SettingsInput | Settings = {}): Settings =>
  input instanceof Settings
    ? input
    : Settings_.make(Settings, { settings: "StaleCache", input, durations: ["timeToLive", "maxStale"] })

/**
 * An answer, and how old it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Kept<out A> {
  readonly value: A
  readonly age: Duration.Duration
  /** It is older than `timeToLive`, and stands in for a lookup that failed. */
  readonly isStale: boolean
}

/**
 * What is kept at one moment, and what was served since the start.
 *
 * @category models
 * @since 0.1.0
 */
export interface Snapshot {
  readonly capacity: number
  /** Answers kept, those too old to serve among them. */
  readonly size: number
  /** Calls that got a fresh answer from before. */
  readonly hits: number
  /** Calls that got the answer of a lookup, or its failure. */
  readonly misses: number
  /** Calls that got an old answer in place of a failure. */
  readonly stale: number
}

/**
 * @category models
 * @since 0.1.0
 */
export interface StaleCache<in Key, out A, out E = never, out R = never> {
  readonly get: (key: Key) => Effect.Effect<Kept<A>, E, R>
  /** Forgets an answer. A lookup that is in flight goes on. */
  readonly invalidate: (key: Key) => Effect.Effect<void>
  readonly snapshot: Effect.Effect<Snapshot>
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options extends SettingsInput {
  /** `failures` (default), `rejections` for ours only, or `all` for defects too. */
  readonly on?: Fallback.On | undefined
  /** Whether an old answer may stand in for this error. Default: always. */
  readonly serveStale?: ((error: unknown) => boolean) | undefined
}

interface Loaded<A> {
  readonly value: A
  /** In monotonic milliseconds. */
  readonly at: number
}

/**
 * Makes an empty one. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <Key, A, E, R>(
  lookup: (key: Key) => Effect.Effect<A, E, R>,
  { on = "failures", serveStale = () => true, ...input }: Options = {}
): Effect.Effect<StaleCache<Key, A, E, R>> => {
  const { capacity, maxStale, timeToLive } = settings(input)
  const freshFor = Duration.toMillis(timeToLive)
  const servedFor = freshFor + Duration.toMillis(maxStale)
  let hits = 0
  let misses = 0
  let stale = 0

  return Effect.gen(function* () {
    // Answers, by last use. Their age is judged here: `Cache` would ask the wall clock.
    const answers = yield* Cache.make<Key, Loaded<A>>({ capacity, lookup: () => Effect.never })

    // Lookups in flight: an exit is forgotten as soon as those who wait have it. There are never more than calls that
    // wait, and whoever came for one that was crowded out would look up beside it.
    const lookups = yield* Cache.makeWith<Key, Loaded<A>, E, R, "lookup">(
      (key) =>
        lookup(key).pipe(
          Effect.provideService(Deadline.Current, undefined),
          Effect.flatMap((value) => Effect.map(now, (at) => ({ value, at }))),
          Effect.tap((loaded) => Cache.set(answers, key, loaded)),
          // One that takes the place of another is the last used only once it is read.
          Effect.tap(() => Cache.getSuccess(answers, key))
        ),
      { capacity: Infinity, timeToLive: () => Duration.zero, requireServicesAt: "lookup" }
    )

    const known = (key: Key) => Effect.zip(Cache.getSuccess(answers, key), now)

    const get = (key: Key): Effect.Effect<Kept<A>, E, R> =>
      Effect.flatMap(known(key), ([answer, at]) => {
        if (Option.isSome(answer) && at - answer.value.at < freshFor) {
          hits++
          return Effect.succeed(kept(answer.value, at, false))
        }
        return Effect.matchCauseEffect(Cache.get(lookups, key), {
          onSuccess: (loaded) => {
            misses++
            return Effect.map(now, (at) => kept(loaded, at, false))
          },
          onFailure: (cause) => {
            const failed = Fallback.answerable(cause, on)
            const isServed = failed !== undefined && serveStale(failed.error)
            // What is kept may have changed while this one waited.
            return Effect.flatMap(known(key), ([answer, at]) => {
              if (isServed && Option.isSome(answer) && at - answer.value.at < servedFor) {
                stale++
                return Effect.succeed(kept(answer.value, at, at - answer.value.at >= freshFor))
              }
              misses++
              return Effect.failCause(cause)
            })
          }
        })
      })

    return {
      get,
      invalidate: (key) => Cache.invalidate(answers, key),
      snapshot: Effect.map(Cache.size(answers), (size) => ({ capacity, size, hits, misses, stale }))
    }
  })
}

const now: Effect.Effect<number> = /*#__PURE__*/ Effect.map(Clock.Clock, Monotonic.now)

const kept = <A>({ at, value }: Loaded<A>, now: number, isStale: boolean): Kept<A> => ({
  value,
  age: Duration.millis(now - at),
  isStale
})
