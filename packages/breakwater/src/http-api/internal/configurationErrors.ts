/**
 * The errors with which the admin API refuses names and configurations.
 */
import type * as Config from "effect/Config"
import * as Configuration from "../../config/Configuration.ts"
import { nearest } from "../../config/internal/nearest.ts"
import type * as Presets from "../../config/Presets.ts"
import * as Resolution from "../../config/Resolution.ts"
import type * as Validation from "../../config/Validation.ts"
import * as Errors from "../../Errors.ts"
import * as AdminError from "../AdminError.ts"
import * as AdminKeys from "../AdminKeys.ts"

/** Nothing has the name that a path or query asks for. @internal */
export const unknownName = (
  kind: "preset" | "template" | "strategy",
  name: string,
  available: ReadonlyArray<string>
): Errors.BusinessLogicError =>
  new Errors.BusinessLogicError({
    message: `There is no such ${kind}`,
    context: {
      operation: `${kind}_lookup`,
      reason: "not_found",
      [`${kind}_name`]: name,
      available_options: available,
      nearest: nearest(name, available) ?? null
    }
  })

/** @internal */
export const unknownPreset = ({ available, name }: Presets.UnknownPreset): Errors.BusinessLogicError =>
  unknownName("preset", name, available)

const maxValue = 100

/** A body names a preset that is not there. @internal */
export const unknownPresetInBody = (error: Presets.UnknownPreset): Errors.ValidationError =>
  new Errors.ValidationError({
    message: "There is no such preset",
    context: {
      reason: "unknown_preset",
      preset_name: error.name.slice(0, maxValue),
      available_options: error.available,
      nearest: error.nearest ?? null,
      validation_errors: [{ path: ["payload", "preset"], message: `Expected one of ${error.available.join(", ")}` }]
    }
  })

/** A body holds a custom configuration that nothing can run with. @internal */
export const invalidCustomConfig = ({ findings, suggestions }: Validation.Response): Errors.ValidationError =>
  new Errors.ValidationError({
    message: "The custom configuration is invalid",
    context: {
      findings,
      suggestions,
      validation_errors: findings
        .filter(({ severity }) => severity === "error")
        .map(({ message, path }) => ({
          path: ["payload", "custom_config", ...(path === "" ? [] : path.split("."))],
          message
        }))
    }
  })

/** @internal */
export const unknownVersion = ({ available, version }: Configuration.UnknownChange): Errors.BusinessLogicError =>
  new Errors.BusinessLogicError({
    message: "No change that is remembered made this version",
    context: { operation: "configuration_change_lookup", reason: "not_found", version, available_options: available }
  })

/** Why a change was not made. @internal */
export const refused = (
  error: Resolution.InvalidConfiguration | Configuration.StaleVersion | Config.ConfigError | AdminKeys.InvalidKeys
): Errors.ValidationError | Errors.InfrastructureError | AdminError.PreconditionFailedError => {
  if (error instanceof Resolution.InvalidConfiguration) {
    return new Errors.ValidationError({
      message: "Nothing can run with this configuration",
      context: {
        problems: error.problems,
        validation_errors: error.problems.map(({ allowed, fix, variable }) => ({
          path: [variable],
          message: `Expected ${allowed}; ${fix}`
        }))
      }
    })
  }
  if (error instanceof Configuration.StaleVersion) {
    return new AdminError.PreconditionFailedError({
      message: "The resource has changed",
      context: { resource: "config", current_version: error.actual }
    })
  }
  if (error instanceof AdminKeys.InvalidKeys) {
    return new Errors.ValidationError({
      message: "The keys can not be used, so nothing was changed",
      context: { reason: error.problem, validation_errors: [{ path: ["API_KEYS_FILE"], message: error.message }] }
    })
  }
  return unreadable()
}

/** The source of variables failed. Its text may hold the value of one. @internal */
export const unreadable = (): Errors.InfrastructureError =>
  new Errors.InfrastructureError({ message: "The environment can not be read" })
