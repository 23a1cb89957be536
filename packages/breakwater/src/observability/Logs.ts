/**
 * Writes the events of the policies to the loggers of the program.
 *
 * **Details**
 *
 * The message is the tag of the event; its fields are annotations. What happens
 * to single calls is `Debug`, because a failing dependency makes thousands of
 * it a second; what changes for all calls is `Info` or `Warn`.
 *
 * **Gotchas**
 *
 * - Errors appear by name. Their messages, which may hold a secret, never do.
 * - A key appears as a hash unless `keys` says otherwise. The hash hides a key
 *   from a glance, not from someone who can guess it.
 * - In a burst the oldest events are lost, and no call is slowed.
 * - `RetriesNested` is written for each pair of operations once, and then at
 *   most once a minute, with the count of them so far.
 *
 * **Example** (An open circuit is an error here)
 *
 * ```ts import.meta.vitest
 * import { Effect, Layer, Logger } from "effect"
 * import { Preset, Resilience, Strategy, withResilience } from "breakwater"
 * import { Logs } from "breakwater/observability"
 *
 * const lines: Array<string> = []
 * const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${message}`))
 *
 * const Live = Logs.layer({ severity: { CircuitOpened: "Error", FallbackServed: null } }).pipe(
 *   Layer.provideMerge(Resilience.layer(Preset.production)),
 *   Layer.provide(Logger.layer([logger]))
 * )
 *
 * const Fragile = Strategy.make("fragile", { retry: false, circuitBreaker: { failureThreshold: 1 } })
 *
 * const program = Effect.fail("down").pipe(
 *   withResilience(Fragile, { operation: "summarize_text", fallback: () => Effect.succeed("no summary today") }),
 *   Effect.provide(Live)
 * )
 *
 * await Effect.runPromise(program) // => "no summary today"
 * lines // => ["Error CircuitOpened"]
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import * as Stream from "effect/Stream"
import { PairCounts } from "../internal/pairCounts.ts"
import * as Monotonic from "../Monotonic.ts"
import { Registry } from "../Registry.ts"
import type { Resilience } from "../Resilience.ts"
import type { ResilienceEvent } from "../ResilienceEvent.ts"
import { type Keys, show } from "./internal/keys.ts"

type Tag = ResilienceEvent["_tag"]

/**
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** Severities other than the default; `null` silences an event. */
  readonly severity?: { readonly [Event in Tag]?: LogLevel.Severity | null | undefined } | undefined
  /** How keys appear: `hashed` (default), `omitted` or `plain`. */
  readonly keys?: Keys | undefined
}

/**
 * The severity of each event unless options say otherwise.
 *
 * @category constants
 * @since 0.1.0
 */
export const severity: { readonly [Event in Tag]: LogLevel.Severity } = {
  CallRejected: "Debug",
  AttemptFailed: "Debug",
  RetryScheduled: "Debug",
  RetriesExhausted: "Warn",
  RetriesNested: "Warn",
  AttemptTimedOut: "Warn",
  AttemptAbandoned: "Warn",
  CircuitOpened: "Warn",
  CircuitHalfOpened: "Info",
  CircuitClosed: "Info",
  CircuitOverridden: "Warn",
  CircuitOverrideEnded: "Info",
  ProbeLapsed: "Warn",
  RateLimitPaused: "Warn",
  RateLimitResumed: "Info",
  FallbackServed: "Debug",
  FallbackFailed: "Error",
  BulkheadResized: "Info",
  ConfigurationChanged: "Info",
  AlertRaised: "Warn",
  AlertAcknowledged: "Info",
  AlertResolved: "Info"
}

/**
 * Writes what happens to the operations below it, to the loggers below it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options = {}): Layer.Layer<never, never, Resilience> => {
  const { keys = "hashed" } = options
  const pairs = new PairCounts()
  const write = (event: ResilienceEvent, now: number): Effect.Effect<void> => {
    const nested = event._tag === "RetriesNested" ? pairs.add(`${event.operation} ${event.inner}`, now) : 0
    if (nested === undefined) return Effect.void
    const count = nested === 0 ? {} : { count: nested }
    const own = options.severity?.[event._tag]
    if (own === null) return Effect.void
    const level = own ?? severity[event._tag]
    return Effect.flatMap(LogLevel.isEnabled(level), (isEnabled) =>
      isEnabled
        ? Effect.annotateLogs(Effect.logWithLevel(level)(event._tag), { ...annotations(event, keys), ...count })
        : Effect.void
    )
  }
  return Layer.effectDiscard(
    Effect.gen(function* () {
      const { events } = yield* Registry
      yield* events.pipe(
        Stream.runForEach((event) => Effect.flatMap(Clock.Clock, (clock) => write(event, Monotonic.now(clock)))),
        Effect.forkScoped({ startImmediately: true })
      )
      // Lets it write what has happened up to the end.
      yield* Effect.addFinalizer(() => Effect.yieldNow)
    })
  )
}

const annotations = (event: ResilienceEvent, keys: Keys): Record<string, unknown> => {
  const found: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(event)) {
    const shown = name === "key" ? show(value as string | undefined, keys) : textOf(value)
    if (name !== "_tag" && shown !== undefined) found[name] = shown
  }
  return found
}

const textOf = (value: unknown): unknown =>
  Duration.isDuration(value) ? Duration.format(value) : DateTime.isDateTime(value) ? DateTime.formatIso(value) : value
