/**
 * The handlers of the configuration in force.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as Option from "effect/Option"
import * as Configuration from "../../config/Configuration.ts"
import * as Environment from "../../config/Environment.ts"
import * as Migration from "../../config/Migration.ts"
import * as Presets from "../../config/Presets.ts"
import * as Validation from "../../config/Validation.ts"
import type { Snapshot } from "../../Operation.ts"
import { Registry } from "../../Registry.ts"
import type * as Strategy from "../../Strategy.ts"
import { Served } from "../internal/served.ts"
import * as AdminKeys from "../AdminKeys.ts"
import { Commands } from "../Commands.ts"
import type { Import, Reload } from "../groups/ConfigurationGroup.ts"
import * as errors from "../internal/configurationErrors.ts"
import * as views from "../internal/configurationViews.ts"
import { operationNames } from "../internal/operationNames.ts"
import { tagged, taggedAs } from "../internal/version.ts"

/** A write as its endpoint asks for it. */
interface Request {
  /** The OpenAPI operation id of the endpoint. */
  readonly command: string
  readonly ifMatch: string | undefined
  readonly reason?: string | undefined
  readonly dryRun?: boolean | undefined
}

/** What a write that is no wish does besides its change. */
interface Made {
  readonly change: Configuration.Change
  readonly warnings?: ReadonlyArray<string> | undefined
}

const usual = 50

const hasWish = ({ customConfig, operationOverrides, preset }: Reload): boolean =>
  preset !== undefined || customConfig !== undefined || operationOverrides !== undefined

/** @internal */
export const layer = HttpApiBuilder.group(
  Served,
  "configuration",
  Effect.fnUntraced(function* (handlers) {
    const configuration = yield* Configuration.Configuration
    const resilience = yield* Registry
    const presets = yield* Presets.Presets
    const keys = yield* AdminKeys.AdminKeys
    const commands = yield* Commands
    const names = operationNames(resilience)

    const read = Effect.map(configuration.current, (current) => ({ ...current, state: views.inWords(current) }))
    const shown = <A>(view: (current: views.Current, operations: ReadonlyArray<Snapshot>) => A) =>
      Effect.zipWith(configuration.current, resilience.operations, view)

    // One resource, so that changes happen one after another.
    const write = Effect.fnUntraced(function* <E, R>(
      { command, dryRun = false, ifMatch, reason }: Request,
      make: (by: Configuration.By, before: views.Current) => Effect.Effect<Made, E, R>
    ) {
      const caller = yield* AdminKeys.CurrentCaller
      const actor = Option.match(caller, { onNone: () => "unknown", onSome: ({ id }) => id })
      const { after, before, value } = yield* commands.run(
        {
          command,
          resource: "config",
          ifMatch,
          reason: dryRun ? ["dry run", ...(reason === undefined ? [] : [reason])].join(": ") : reason,
          read
        },
        (before) =>
          make({ actor, reason, dryRun, ...(ifMatch === undefined ? {} : { ifVersion: before.version }) }, before)
      )
      return views.changed(before, after, value.change, { dryRun, warnings: value.warnings ?? [] })
    })

    const known = (preset: string) => Effect.mapError(presets.get(preset), errors.unknownPresetInBody)

    const checked = Effect.fnUntraced(function* (customConfig: unknown) {
      const at = yield* DateTime.now
      const found = Validation.validate(customConfig, { operations: yield* names, level: "secure", at })
      if (Option.isNone(found.value)) return yield* errors.invalidCustomConfig(found)
      return { overlay: found.value.value, warnings: found.warnings }
    })

    const apply = Effect.fnUntraced(function* (
      { customConfig, operationOverrides, preset }: Pick<Reload, "preset" | "customConfig" | "operationOverrides">,
      by: Configuration.By
    ) {
      const entry = preset === undefined ? undefined : yield* known(preset)
      const custom = customConfig === undefined ? undefined : yield* checked(customConfig)
      const change = yield* Effect.mapError(
        configuration.apply({
          preset: entry?.key,
          overlay: custom?.overlay,
          strategies: operationOverrides,
          ...by
        }),
        errors.refused
      )
      return { change, warnings: custom?.warnings }
    })

    // The environment is tried before the keys, and the keys before it is taken over: neither changes alone.
    const reread = Effect.fnUntraced(function* (by: Configuration.By) {
      const tried = yield* configuration.reload({ ...by, dryRun: true })
      if (by.dryRun === true) return { change: tried, keysLoaded: null }
      const keysLoaded = yield* keys.reload
      return { change: yield* configuration.reload(by), keysLoaded }
    }, Effect.mapError(errors.refused))

    const reload = Effect.fnUntraced(function* (ifMatch: string | undefined, wishes: Reload = {}) {
      const request = { command: "reload_configuration", ifMatch, reason: wishes.reason, dryRun: wishes.dryRun }
      if (hasWish(wishes)) {
        return { ...(yield* write(request, (by) => apply(wishes, by))), keysLoaded: null }
      }
      let keysLoaded: number | null = null
      const changed = yield* write(request, (by) =>
        Effect.tap(reread(by), (done) => Effect.sync(() => void (keysLoaded = done.keysLoaded)))
      )
      return { ...changed, keysLoaded }
    })

    const importDocument = (ifMatch: string | undefined, document: Import) =>
      write(
        { command: "import_configuration", ifMatch, reason: document.reason, dryRun: document.dryRun },
        Effect.fnUntraced(function* (by, before) {
          const entry = yield* known(document.preset)
          const { customConfig = null } = document
          const custom = customConfig === null ? { overlay: {}, warnings: [] } : yield* checked(customConfig)
          const dropped: ReadonlyArray<[string, Strategy.BuiltIn | null]> = Array.from(
            before.strategies.keys(),
            (name) => [name, null]
          )
          const change = yield* Effect.mapError(
            configuration.apply({
              preset: entry.key,
              overlay: custom.overlay,
              strategies: { ...Object.fromEntries(dropped), ...document.operationOverrides },
              ...by
            }),
            errors.refused
          )
          return { change, warnings: custom.warnings }
        })
      )

    const reset = (ifMatch: string | undefined, by: Pick<Reload, "reason" | "dryRun"> = {}) =>
      write({ command: "reset_configuration", ifMatch, ...by }, (by) =>
        Effect.mapBoth(configuration.reset(by), {
          onFailure: errors.refused,
          onSuccess: (change) => ({ change })
        })
      )

    const rollback = (
      ifMatch: string | undefined,
      { version, ...by }: Pick<Reload, "reason" | "dryRun"> & { readonly version: number }
    ) =>
      write({ command: "rollback_configuration", ifMatch, ...by }, (by) =>
        Effect.mapBoth(configuration.rollback(version, by), {
          onFailure: (error) => (error._tag === "UnknownChange" ? errors.unknownVersion(error) : errors.refused(error)),
          onSuccess: (change) => ({ change })
        })
      )

    const environment = Effect.zipWith(
      Effect.mapError(Environment.detect(), errors.unreadable),
      configuration.current,
      views.environmentReport
    )

    const analyze = (variables: Readonly<Record<string, string | number | boolean>> | undefined) =>
      variables === undefined
        ? Effect.mapError(Migration.analyzeConfig(), errors.unreadable)
        : Effect.sync(() =>
            Migration.analyze(
              Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)]))
            )
          )

    const strategy = (name: string) =>
      Effect.flatMap(
        shown((current, operations) => ({
          version: current.version,
          found: views.strategy(current, operations, name)
        })),
        ({ found, version }) =>
          "known" in found
            ? Effect.fail(errors.unknownName("strategy", name, [...found.known]))
            : Effect.succeed(taggedAs(version, found))
      )

    return handlers.handleAll({
      current: () => Effect.map(shown(views.current), tagged),
      reload: ({ headers, payload }) => Effect.map(reload(headers["if-match"], payload ?? {}), tagged),
      applyPreset: ({ headers, payload }) =>
        write({ command: "apply_preset", ifMatch: headers["if-match"], ...payload }, (by) =>
          apply({ preset: payload.preset }, by)
        ).pipe(Effect.map(tagged)),
      reset: ({ headers, payload }) => Effect.map(reset(headers["if-match"], payload ?? {}), tagged),
      rollback: ({ headers, payload }) => Effect.map(rollback(headers["if-match"], payload), tagged),
      changes: ({ query }) =>
        Effect.map(configuration.history, (changes) => changes.slice(0, query.limit ?? usual).map(views.historyEntry)),
      export: () => Effect.map(Effect.zipWith(configuration.current, DateTime.now, views.document), tagged),
      import: ({ headers, payload }) => Effect.map(importDocument(headers["if-match"], payload), tagged),
      environment: () => environment,
      migration: ({ payload, query }) =>
        Effect.map(analyze(payload ?? undefined), (plan) =>
          query.format === undefined ? Migration.report(plan) : Migration.script(plan, query.format)
        ),
      strategies: () => Effect.map(shown(views.strategies), tagged),
      strategy: ({ params }) => strategy(params.strategy_name)
    })
  })
)
