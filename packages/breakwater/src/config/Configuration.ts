/**
 * Holds the configuration in force, and changes it while the program runs.
 *
 * **Details**
 *
 * - `Configuration.layer` reads the environment (see `Resolution`), provides
 *   `Resilience` with it, and fails with every problem at once.
 * - `apply` puts an operator's wishes over the environment, `reset` drops them,
 *   `reload` reads the environment again and keeps them, `rollback` goes back to
 *   before a change. Each is atomic: a change that cannot be made changes
 *   nothing, and a call goes through with the configuration it began with.
 * - Circuits keep their state. So do bulkheads, rate limits and retry budgets,
 *   which a field of the configuration can put on, change and take off again:
 *   see `Policies`.
 * - `SHOW_CONFIG_LOADING=true` logs every field with its value and source.
 *
 * **Gotchas**
 *
 * `rollback` restores what was in force before a change, as another change. It
 * does not read the environment again.
 *
 * **Example** (Changing a number while the program runs)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Configuration } from "breakwater"
 *
 * const program = Effect.gen(function* () {
 *   const configuration = yield* Configuration.Configuration
 *   const change = yield* configuration.apply({ overlay: { retryAttempts: 4 }, actor: "ada", reason: "flaky model" })
 *   return change.diff.map(({ field, to }) => `${field} is now ${to}`)
 * }).pipe(Effect.provide(Configuration.layer()))
 *
 * await Effect.runPromise(program) // => ["retry_attempts is now 4"]
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as Ref from "effect/Ref"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Preset from "../Preset.ts"
import { Registry } from "../Registry.ts"
import { type LayerOptions, Resilience } from "../Resilience.ts"
import { ResilienceEvents, timestamp } from "../ResilienceEvent.ts"
import * as Settings from "../Settings.ts"
import type * as Strategy from "../Strategy.ts"
import * as Environment from "./Environment.ts"
import * as Legacy from "./Legacy.ts"
import * as Policies from "./Policies.ts"
import * as Presets from "./Presets.ts"
import * as Resolution from "./Resolution.ts"

/**
 * Changes kept for `history`, newest first. Older ones are forgotten.
 */
const maxChanges = 100

/**
 * A change that was made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Change {
  /** Counts the changes; the version that it made. */
  readonly version: number
  /** Wall time, for display. */
  readonly at: DateTime.Utc
  readonly kind: "apply" | "reset" | "reload" | "rollback"
  readonly actor: string
  readonly reason: string | undefined
  readonly diff: ReadonlyArray<Resolution.Difference>
  readonly warnings: ReadonlyArray<string>
}

/**
 * What an operator wishes. A field that is left out stays as it is.
 *
 * @category models
 * @since 0.1.0
 */
export interface Wishes {
  /** A preset by name. */
  readonly preset?: string | undefined
  /** Takes the place of the overlay of an earlier change. */
  readonly overlay?: Preset.OverlayInput | Preset.Overlay | undefined
  /** Strategies of single operations, put over what the code names; `null` takes one back. */
  readonly strategies?: Readonly<Record<string, Strategy.BuiltIn | null>> | undefined
}

/**
 * Who changes something, and why.
 *
 * @category models
 * @since 0.1.0
 */
export interface By {
  readonly actor?: string | undefined
  readonly reason?: string | undefined
  /** The version that the change was meant for. A newer one refuses it. */
  readonly ifVersion?: number | undefined
  /** Tells what would differ, and changes nothing. */
  readonly dryRun?: boolean | undefined
}

/**
 * The configuration is not the one that the change was meant for.
 *
 * @category errors
 * @since 0.1.0
 */
export class StaleVersion extends Data.TaggedError("StaleVersion")<{
  readonly expected: number
  readonly actual: number
}> {
  override get message(): string {
    return `The configuration has version ${this.actual}, the change was meant for ${this.expected}: read it again`
  }
}

/**
 * There is no such change to go back to, or it is too old to be kept.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownChange extends Data.TaggedError("UnknownChange")<{
  readonly version: number
  readonly available: ReadonlyArray<number>
}> {
  override get message(): string {
    return `No change made version ${this.version}; known: ${this.available.join(", ") || "none"}`
  }
}

/** Everything that the configuration follows from. */
interface State {
  readonly inputs: Resolution.Inputs
  readonly runtime: Resolution.Runtime
  readonly resolved: Resolution.Resolved
}

/** A change with what to go back to. */
interface Kept {
  readonly change: Change
  readonly before: State
}

type Refused = Resolution.InvalidConfiguration | StaleVersion

/**
 * @category services
 * @since 0.1.0
 */
export class Configuration extends Context.Service<
  Configuration,
  {
    /** The numbers in force, with the count of their changes. */
    readonly current: Effect.Effect<Resolution.Resolved & { readonly version: number }>
    /** Puts an operator's wishes over the environment. Fails without changing anything. */
    readonly apply: (change: Wishes & By) => Effect.Effect<Change, Refused>
    /** Drops what operators changed. */
    readonly reset: (by?: By) => Effect.Effect<Change, Refused>
    /** Reads the environment again, and keeps what operators changed. */
    readonly reload: (by?: By) => Effect.Effect<Change, Refused | Config.ConfigError>
    /** Goes back to before the change that made a version. */
    readonly rollback: (version: number, by?: By) => Effect.Effect<Change, Refused | UnknownChange>
    /** The latest changes, newest first, 100 at most. */
    readonly history: Effect.Effect<ReadonlyArray<Change>>
  }
>()("breakwater/config/Configuration") {}

const make = Effect.fnUntraced(function* (
  inputs: Resolution.Inputs,
  first: Resolution.Resolved,
  read: Effect.Effect<Resolution.Inputs, Config.ConfigError>
) {
  const resilience = yield* Registry
  const presets = yield* Presets.Presets
  const events = yield* ResilienceEvents
  const one = yield* Semaphore.make(1)
  const state = yield* Ref.make<State>({ inputs, runtime: Resolution.noRuntime, resolved: first })
  const history = yield* Ref.make<ReadonlyArray<Kept>>([])
  const { version: start } = yield* resilience.configuration
  const version = Effect.map(resilience.configuration, (configuration) => configuration.version - start)
  const resolve = (inputs: Resolution.Inputs, runtime: Resolution.Runtime) =>
    Effect.map(
      Effect.provideService(Resolution.resolve(inputs, runtime), Presets.Presets, presets),
      (resolved): State => ({ inputs, runtime, resolved })
    )

  /** Makes a change, one after another. `next` decides; nothing has changed if it fails. */
  const change = <E, R>(
    kind: Change["kind"],
    by: By,
    next: (before: State) => Effect.Effect<State, E, R>
  ): Effect.Effect<Change, E | StaleVersion, R> =>
    Semaphore.withPermits(
      one,
      1
    )(
      Effect.gen(function* () {
        const clock = yield* Clock.Clock
        const before = yield* Ref.get(state)
        const actual = yield* version
        if (by.ifVersion !== undefined && by.ifVersion !== actual) {
          return yield* new StaleVersion({ expected: by.ifVersion, actual })
        }
        const after = yield* next(before)
        const made: Change = {
          version: by.dryRun === true ? actual : actual + 1,
          at: timestamp(clock),
          kind,
          actor: by.actor ?? "unknown",
          reason: by.reason,
          diff: Resolution.diff(before.resolved, after.resolved),
          warnings: after.resolved.warnings
        }
        if (by.dryRun === true) return made
        return yield* Effect.uninterruptible(
          Effect.gen(function* () {
            yield* resilience.configure(() => Resolution.toConfiguration(after.resolved))
            yield* Ref.set(state, after)
            yield* Ref.update(history, (kept) => [{ change: made, before }, ...kept].slice(0, maxChanges))
            if (events.isActive()) {
              const { actor, at, diff, reason, version } = made
              events.publishUnsafe({
                _tag: "ConfigurationChanged",
                at,
                version,
                actor,
                reason,
                fields: diff.map(({ field }) => field)
              })
            }
            return made
          })
        )
      })
    )

  return Configuration.of({
    current: Effect.gen(function* () {
      return { ...(yield* Ref.get(state)).resolved, version: yield* version }
    }),
    apply: ({ overlay, preset, strategies, ...by }) =>
      change("apply", by, ({ inputs, runtime }) =>
        Effect.flatMap(checked(overlay), (overlay) =>
          resolve(inputs, {
            preset: preset ?? runtime.preset,
            overlay: overlay ?? runtime.overlay,
            strategies: withStrategies(runtime.strategies, strategies)
          })
        )
      ),
    reset: (by = {}) => change("reset", by, ({ inputs }) => resolve(inputs, Resolution.noRuntime)),
    reload: (by = {}) =>
      change("reload", by, ({ runtime }) => Effect.flatMap(read, (inputs) => resolve(inputs, runtime))),
    rollback: (version, by = {}) =>
      change("rollback", by, () =>
        Effect.flatMap(Ref.get(history), (kept) => {
          const found = kept.find(({ change }) => change.version === version)
          return found === undefined
            ? Effect.fail(new UnknownChange({ version, available: kept.map(({ change }) => change.version) }))
            : Effect.succeed(found.before)
        })
      ),
    history: Effect.map(Ref.get(history), (kept) => kept.map(({ change }) => change))
  })
})

const checked = (
  overlay: Preset.OverlayInput | Preset.Overlay | undefined
): Effect.Effect<Preset.Overlay | undefined, Resolution.InvalidConfiguration> =>
  Effect.suspend(() => {
    if (overlay === undefined) return Effect.undefined
    try {
      return Effect.succeed(Preset.overlay(overlay))
    } catch (error) {
      if (!(error instanceof Settings.InvalidSettings)) throw error
      return Effect.fail(
        new Resolution.InvalidConfiguration({
          problems: error.findings.map(({ path, rule, value }) => ({
            variable: path,
            value: JSON.stringify(value) ?? "undefined",
            allowed: rule,
            fix: "correct it or leave it out"
          }))
        })
      )
    }
  })

const withStrategies = (
  strategies: ReadonlyMap<string, Strategy.BuiltIn>,
  changes: Readonly<Record<string, Strategy.BuiltIn | null>> | undefined
): ReadonlyMap<string, Strategy.BuiltIn> => {
  const next = new Map(strategies)
  for (const [operation, strategy] of Object.entries(changes ?? {})) {
    const name = Preset.canonicalName(operation)
    if (strategy === null) next.delete(name)
    else next.set(name, strategy)
  }
  return next
}

/**
 * @category models
 * @since 0.1.0
 */
export interface Options extends Omit<LayerOptions, "overlay" | "makers"> {
  /** Presets of one's own, to choose by name wherever a built-in one can be. */
  readonly presets?: ReadonlyArray<Presets.Input | Preset.Preset> | undefined
}

/**
 * Reads the environment and provides the operations with it. Fails, and starts
 * nothing, with every problem at once.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = ({ presets = [], ...options }: Options = {}): Layer.Layer<
  Configuration | Resilience | Presets.Presets,
  Resolution.InvalidConfiguration | Config.ConfigError | Presets.InvalidPreset | Presets.DuplicatePreset
> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const inputs = yield* Resolution.read
      const resolved = yield* Resolution.resolve(inputs, Resolution.noRuntime)
      const isShown = yield* Config.withDefault(Config.Boolean("SHOW_CONFIG_LOADING"), false)
      if (isShown) yield* Effect.logInfo(`Resilience configuration\n${Resolution.describe(resolved).join("\n")}`)
      for (const warning of resolved.warnings) yield* Effect.logWarning(warning)
      const { circuitBreaker, isEnabled, overlay, preset, retry } = Resolution.toConfiguration(resolved)
      const running = Layer.effectDiscard(
        Effect.flatMap(Registry, (resilience) =>
          resilience.configure((current) => ({ ...current, isEnabled, retry, circuitBreaker }))
        )
      )
      return Layer.effect(Configuration, make(inputs, resolved, Resolution.read)).pipe(
        Layer.provideMerge(running),
        Layer.provideMerge(Resilience.layer(preset, { ...options, overlay, makers: Policies.makers }))
      )
    })
  ).pipe(
    Layer.provideMerge(
      Layer.effect(
        Presets.Presets,
        Effect.tap(Presets.make, (registry) =>
          Effect.forEach(presets, (preset) => registry.register(preset), { discard: true })
        )
      )
    )
  )

/**
 * Holds the configuration of operations that the code has configured: the
 * environment has no say, and a reload changes nothing. The presets are those
 * that are provided, or else the built-in ones.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerCode: Layer.Layer<Configuration | Presets.Presets, never, Resilience> = Layer.effect(
  Configuration,
  Effect.gen(function* () {
    const { overlay, preset, ...toggles } = yield* (yield* Registry).configuration
    const code: Presets.Entry = { key: preset.name.toLowerCase(), displayName: preset.name, preset, overlay }
    const legacy = Legacy.decode({})
    const inputs: Resolution.Inputs = {
      preset: Option.none(),
      customConfig: Option.none(),
      legacy: {
        ...legacy,
        toggles: { enabled: toggles.isEnabled, retry: toggles.retry, circuitBreaker: toggles.circuitBreaker }
      },
      detection: Environment.undetected,
      code
    }
    // Nothing of the environment is in it, so nothing of it can be wrong.
    const first = yield* Effect.orDie(Resolution.resolve(inputs, Resolution.noRuntime))
    return yield* make(inputs, first, Effect.succeed(inputs))
  })
).pipe(
  Layer.provideMerge(
    Layer.unwrap(
      Effect.map(
        Effect.serviceOption(Presets.Presets),
        Option.match({ onNone: () => Presets.layer, onSome: (found) => Layer.succeed(Presets.Presets, found) })
      )
    )
  )
)

/**
 * Reads variables of the process first, and those of a `.env` file that are not
 * there. A file that is missing has none.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerDotEnv = (path = ".env"): Layer.Layer<never, never, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(
    ConfigProvider.ConfigProvider,
    Effect.gen(function* () {
      const variables = ConfigProvider.fromEnv()
      const file = yield* Effect.option(ConfigProvider.fromDotEnv({ path }))
      return Option.isNone(file) ? variables : ConfigProvider.orElse(variables, file.value)
    })
  )

/**
 * Reloads the configuration whenever the stream emits, for example on a signal
 * or when a file changes. A reload that fails is logged, and what is in force
 * stays.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerReload = <E, R>(when: Stream.Stream<unknown, E, R>): Layer.Layer<never, never, Configuration | R> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const configuration = yield* Configuration
      yield* when.pipe(
        Stream.runForEach(() =>
          configuration
            .reload({ actor: "system", reason: "the environment changed" })
            .pipe(Effect.catch((error) => Effect.logError(`The configuration was not reloaded. ${error.message}`)))
        ),
        Effect.catchCause((cause) => Effect.logError("The configuration is no longer reloaded by itself", cause)),
        Effect.forkScoped
      )
    })
  )
