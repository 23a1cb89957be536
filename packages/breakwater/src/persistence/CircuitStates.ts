/**
 * Keeps open circuits and operators' overrides in a key-value store, so that a
 * restart does not forget them.
 *
 * **Details**
 *
 * - What is kept: an open circuit with what is left of its open time and how
 *   often it opened in a row; overrides with what is left of them. A half-open
 *   circuit is kept as one whose open time is over. Windows, counters and the
 *   backoff of a closed circuit are not kept.
 * - A circuit that moves is saved `debounce` later, with all that moved
 *   meanwhile, and what is left is saved when the layer's scope closes. No call
 *   waits for the store.
 * - A saved state carries the wall time. What is left after a restart lies
 *   between 0 and the whole open time, also if the clock was set meanwhile.
 * - Circuits go on where they were when their first call comes, or when their
 *   operation starts.
 *
 * **Gotchas**
 *
 * - Give each program a `prefix` of its own. The layer lists all keys of the
 *   store once, at the start.
 * - An entry that is garbage, or of another version, counts as absent. A store
 *   that fails or does not answer in time is warned of, counted and tried
 *   again; the program starts without it.
 * - At most `maxEntries` circuits are kept.
 *
 * **Example** (A restart)
 *
 * ```ts import.meta.vitest
 * import { Effect, Layer } from "effect"
 * import { KeyValueStore } from "effect/persistence"
 * import { CircuitBreaker } from "breakwater"
 * import { CircuitStates } from "breakwater/persistence"
 *
 * const Payments = CircuitBreaker.CircuitBreaker.layer({ operation: "payments", settings: { failureThreshold: 1 } })
 * const life = Effect.gen(function*() {
 *   const breaker = yield* CircuitBreaker.CircuitBreaker
 *   const error = yield* Effect.flip(Effect.fail("down").pipe(breaker.protect()))
 *   return typeof error === "string" ? error : error.reason._tag
 * }).pipe(Effect.provide(Layer.provide(Payments, CircuitStates.layer())))
 *
 * const program = Effect.all([life, life]).pipe(Effect.provide(KeyValueStore.layerMemory))
 *
 * await Effect.runPromise(program) // => ["down", "CircuitOpen"]
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Schema from "effect/Schema"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import type * as circuit from "../internal/circuit.ts"
import { maxOverrides } from "../internal/circuitOverrides.ts"
import * as memory from "../internal/circuitMemory.ts"
import { timestamp } from "../EventSink.ts"
import * as Monotonic from "../Monotonic.ts"
import * as Settings_ from "../Settings.ts"

const dayMillis = 86_400_000
const millis = (maximum: number) => Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum }))

/**
 * What is saved of one circuit.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Entry = /*#__PURE__*/ Schema.Struct({
  version: Schema.Literal(1),
  operation: Schema.String,
  key: Schema.NullOr(Schema.String),
  savedAt: Schema.DateTimeUtcFromString,
  /** `null`: the circuit is closed. */
  open: Schema.NullOr(
    Schema.Struct({
      leftMillis: millis(dayMillis),
      openMillis: millis(dayMillis),
      openings: Settings_.count({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
      failures: Settings_.count({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })
    })
  ),
  overrides: Schema.Array(
    Schema.Struct({
      mode: Schema.Literals(["isolated", "disabled", "metrics_only"]),
      reason: Schema.String,
      actor: Schema.NullOr(Schema.String),
      /** `null`: until an operator ends it. */
      leftMillis: Schema.NullOr(millis(30 * dayMillis))
    })
  ).check(Schema.isMaxLength(maxOverrides))
})

/**
 * @category models
 * @since 0.1.0
 */
export type Entry = typeof Entry.Type

const EntryJson = /*#__PURE__*/ Schema.fromJsonString(Entry)

/**
 * Where and how often circuits are saved.
 *
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/persistence/CircuitStates/Settings")({
  /** What keys in the store begin with, 1 to 100 characters. Default `breakwater/circuit/`. */
  prefix: Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(100)).pipe(
    Settings_.withDefault("breakwater/circuit/")
  ),
  /** Time from a move until it is saved, 1 ms to 1 minute. Default 1 second. */
  debounce: Settings_.duration({ minimum: "1 milli", maximum: "1 minute" }).pipe(
    Settings_.withDefault(Duration.seconds(1))
  ),
  /** Time the store has for all it is asked at once, 1 ms to 1 minute. Default 5 seconds. */
  timeout: Settings_.duration({ minimum: "1 milli", maximum: "1 minute" }).pipe(
    Settings_.withDefault(Duration.seconds(5))
  ),
  /** Circuits kept at most, 1 to 100,000. Default 10,000. */
  maxEntries: Settings_.count({ minimum: 1, maximum: 100_000 }).pipe(Settings_.withDefault(10_000))
}) {}

/**
 * Settings as code writes them.
 *
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly prefix?: string | undefined
  readonly debounce?: Duration.Input | undefined
  readonly timeout?: Duration.Input | undefined
  readonly maxEntries?: number | undefined
}

/**
 * What came of keeping circuits so far.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stats {
  /** Circuits that were found at the start. */
  readonly found: number
  /** Of those, circuits that have gone on where they were. */
  readonly recalled: number
  /** Entries that were garbage, or of another version. */
  readonly garbage: number
  readonly saved: number
  readonly removed: number
  /** Times the store failed, or did not answer in time. */
  readonly failures: number
  /** Circuits that were not saved because `maxEntries` were. */
  readonly omitted: number
}

/**
 * @category services
 * @since 0.1.0
 */
export class CircuitStates extends Context.Service<
  CircuitStates,
  {
    readonly stats: Effect.Effect<Stats>
    /** Saves what has moved, now. */
    readonly save: Effect.Effect<void>
  }
>()("breakwater/persistence/CircuitStates") {}

const nameOf = (operation: string, key: string | undefined): string =>
  key === undefined
    ? encodeURIComponent(operation)
    : `${encodeURIComponent(operation)}:${encodeURIComponent(key.toWellFormed())}`

/** How long an entry whose time is over is kept, so that a late start still probes first. */
const restMillis = dayMillis

/** A store that failed is asked again after this time. */
const retryAfter = Duration.seconds(10)

/** Millis until nothing of an entry is left. */
const lifeOf = ({ open, overrides }: memory.Memory): number =>
  Math.max(open?.leftMillis ?? 0, ...overrides.map(({ leftMillis }) => leftMillis ?? Infinity))

/** `undefined`: nothing that a new circuit would not do. */
const entryOf = (circuit: CircuitBreaker.Circuit, clock: Clock.Clock): [Entry, memory.Memory] | undefined => {
  const kept = memory.remember(circuit.current, Monotonic.now(clock))
  if (kept === undefined) return undefined
  const entry: Entry = {
    version: 1,
    operation: circuit.operation,
    key: circuit.key ?? null,
    savedAt: timestamp(clock),
    open: kept.open ?? null,
    overrides: kept.overrides.map(({ actor, leftMillis, mode, reason }) => ({
      mode,
      reason,
      actor: actor ?? null,
      leftMillis: leftMillis ?? null
    }))
  }
  return [entry, kept]
}

const memoryOf = ({ open, overrides }: Entry): memory.Memory => ({
  open: open ?? undefined,
  overrides: overrides.map(({ actor, leftMillis, mode, reason }) => ({
    mode,
    reason,
    actor: actor ?? undefined,
    leftMillis: leftMillis ?? undefined
  }))
})

const passedSince = ({ savedAt }: Entry, clock: Clock.Clock): number =>
  clock.currentTimeMillisUnsafe() - savedAt.epochMilliseconds

/**
 * What a restart would have to know of a circuit, to keep it where one likes.
 * None of a circuit that is closed and has no override.
 *
 * @category accessors
 * @since 0.1.0
 */
export const exported = (circuit: CircuitBreaker.Circuit): Effect.Effect<Option.Option<Entry>> =>
  Effect.map(Clock.Clock, (clock) => Option.map(Option.fromUndefinedOr(entryOf(circuit, clock)), ([entry]) => entry))

/**
 * Lets a circuit go on with what was exported, of itself or of another one.
 * Calls that run count for nothing any more. It publishes no event.
 *
 * @category combinators
 * @since 0.1.0
 */
export const restore = (circuit: CircuitBreaker.Circuit, entry: Entry): Effect.Effect<void> =>
  Effect.map(Clock.Clock, (clock) => {
    const now = Monotonic.now(clock)
    const { current } = circuit
    const recalled = memory.recall(memoryOf(entry), passedSince(entry, clock), now, current)
    CircuitBreaker.recallUnsafe(circuit, recalled, now)
  })

const make = Effect.fnUntraced(function* (settings: Settings) {
  const { maxEntries, prefix, timeout } = settings
  const store = yield* KeyValueStore.KeyValueStore
  const clock = yield* Clock.Clock
  const stats = { found: 0, recalled: 0, garbage: 0, saved: 0, removed: 0, failures: 0, omitted: 0 }
  const waiting = new Map<string, circuit.Machine>()
  /** Entries in the store, with the monotonic time at which nothing of them is left. */
  const entries = new Map<string, number>()
  const dirty = new Map<string, CircuitBreaker.Circuit>()
  const latch = Latch.makeUnsafe(false)

  /** `false`: the store failed, which has been told. */
  const ask = (what: string, effect: Effect.Effect<unknown, unknown>): Effect.Effect<boolean> =>
    effect.pipe(
      Effect.timeout(timeout),
      Effect.as(true),
      Effect.catchCause((cause) => {
        if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
        stats.failures++
        return Effect.as(Effect.logWarning(`Circuit states: the store failed to ${what}`, cause), false)
      })
    )

  const load = Effect.fnUntraced(function* (name: string) {
    const text = yield* store.get(prefix + name)
    if (text === undefined) return
    const decoded = yield* Effect.exit(Schema.decodeUnknownEffect(EntryJson)(text, { onExcessProperty: "error" }))
    if (Exit.isFailure(decoded)) {
      stats.garbage++
      return
    }
    const entry = decoded.value
    if (nameOf(entry.operation, entry.key ?? undefined) !== name) {
      stats.garbage++
      return
    }
    const kept = memoryOf(entry)
    const passed = passedSince(entry, clock)
    const left = lifeOf(kept) - passed
    if (left <= -restMillis) return yield* store.remove(prefix + name)
    const now = Monotonic.now(clock)
    entries.set(name, now + left)
    waiting.set(name, memory.recall(kept, passed, now))
    stats.found++
  })

  yield* ask(
    "tell what it keeps",
    Effect.flatMap(store.keys, (keys) => {
      const names = keys.filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length))
      stats.omitted += Math.max(names.length - maxEntries, 0)
      return Effect.forEach(names.slice(0, maxEntries), load, { concurrency: 8, discard: true })
    })
  )

  /** Makes room by removing entries of which nothing is left. */
  const makeRoom = Effect.suspend(() => {
    const now = Monotonic.now(clock)
    const over = Array.from(entries).flatMap(([name, until]) => (until <= now ? [name] : []))
    return Effect.forEach(over, remove, { concurrency: 8, discard: true })
  })

  const remove = (name: string) =>
    Effect.tap(store.remove(prefix + name), () =>
      Effect.sync(() => {
        entries.delete(name)
        stats.removed++
      })
    )

  const write = Effect.fnUntraced(function* (name: string, circuit: CircuitBreaker.Circuit) {
    const found = entryOf(circuit, clock)
    if (found === undefined) return entries.has(name) ? yield* remove(name) : undefined
    const [entry, kept] = found
    if (!entries.has(name) && entries.size >= maxEntries) {
      yield* makeRoom
      if (entries.size >= maxEntries) {
        stats.omitted++
        return
      }
    }
    entries.set(name, Monotonic.now(clock) + lifeOf(kept))
    const text = yield* Schema.encodeEffect(EntryJson)(entry)
    yield* store.set(prefix + name, text)
    stats.saved++
  })

  const save = Effect.suspend(() => {
    const moved = Array.from(dirty)
    latch.closeUnsafe()
    return ask(
      "save circuits",
      Effect.forEach(
        moved,
        ([name, circuit]) =>
          Effect.suspend(() => {
            // What moves while it is written is written again.
            dirty.delete(name)
            return Effect.onExit(write(name, circuit), (exit) =>
              Effect.sync(() => {
                if (Exit.isFailure(exit)) keep(name, circuit)
              })
            )
          }),
        { concurrency: 8, discard: true }
      )
    )
  })

  const keep = (name: string, circuit: CircuitBreaker.Circuit): void => {
    dirty.set(name, circuit)
    latch.openUnsafe()
  }

  const keeper: CircuitBreaker.KeeperService = {
    recall: (operation, key) => {
      const name = nameOf(operation, key)
      const found = waiting.get(name)
      if (found !== undefined && waiting.delete(name)) stats.recalled++
      return found
    },
    onMoved: (circuit) => keep(nameOf(circuit.operation, circuit.key), circuit),
    start: (options) => new CircuitBreaker.KeptCircuits(options, keeper)
  }

  yield* Effect.addFinalizer(() => save)
  yield* latch.await.pipe(
    Effect.andThen(Effect.sleep(settings.debounce)),
    Effect.andThen(save),
    Effect.flatMap((isDone) => (isDone ? Effect.void : Effect.sleep(retryAfter))),
    Effect.forever,
    Effect.forkScoped({ startImmediately: true })
  )

  return Context.make(CircuitStates, {
    stats: Effect.sync(() => ({ ...stats })),
    save: Effect.asVoid(save)
  }).pipe(Context.add(CircuitBreaker.Keeper, keeper))
})

/**
 * Keeps the circuits of the breakers and of the `Resilience` that it is
 * provided to. Throws `InvalidSettings`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (input: SettingsInput = {}): Layer.Layer<CircuitStates, never, KeyValueStore.KeyValueStore> => {
  const settings = Settings_.make(Settings, {
    settings: "CircuitStates",
    input,
    durations: ["debounce", "timeout"]
  })
  return Layer.effectContext(make(settings))
}
