/**
 * What the failures of the services behind the admin API are to its callers.
 */
import type * as Schema from "effect/Schema"
import * as Errors from "../../Errors.ts"
import type * as Alerts from "../../monitoring/Alerts.ts"
import type * as Decisions from "../../monitoring/Decisions.ts"
import type * as Export from "../../monitoring/Export.ts"
import * as Performance from "../../monitoring/Performance.ts"
import type * as Usage from "../../monitoring/Usage.ts"
import * as AdminError from "../AdminError.ts"

/** @internal */
export const outOfRange = (error: Usage.OutOfRange): Errors.ValidationError => {
  const { maximum, message, minimum, parameter, value } = error
  return new Errors.ValidationError({ message, context: { parameter, value, minimum, maximum } })
}

/** @internal */
export const unknownFormat = (error: Export.UnknownFormat): Errors.ValidationError =>
  new Errors.ValidationError({
    message: error.message,
    context: { invalid_format: error.invalidFormat.slice(0, 60), supported_formats: [...error.supportedFormats] }
  })

/** @internal */
export const unknownAlert = ({ available, id, message }: Alerts.UnknownAlert): Errors.BusinessLogicError =>
  new Errors.BusinessLogicError({
    message,
    context: { reason: "not_found", alert_id: id.slice(0, 80), available_options: [...available] }
  })

/** @internal */
export const unknownDecision = ({ id, message }: Decisions.UnknownDecision): Errors.BusinessLogicError =>
  new Errors.BusinessLogicError({ message, context: { reason: "not_found", decision_id: id.slice(0, 120) } })

/** @internal */
export const unknownPreset = (name: string, available: ReadonlyArray<string>): Errors.BusinessLogicError =>
  new Errors.BusinessLogicError({
    message: "Preset not found",
    context: { reason: "not_found", preset_name: name.slice(0, 80), available_options: [...available] }
  })

const facts = (failure: Performance.Failure | Performance.UnknownBenchmark): Readonly<Record<string, Schema.Json>> =>
  Performance.contextOf(failure)

/** @internal */
export const benchmarkOutOfRange = (error: Performance.OutOfRange): Errors.ValidationError =>
  new Errors.ValidationError({ message: error.message, context: Performance.contextOf(error) })

/** @internal */
export const unknownBenchmark = (error: Performance.UnknownBenchmark): Errors.BusinessLogicError =>
  new Errors.BusinessLogicError({
    message: error.message.slice(0, 200),
    context: { reason: "not_found", ...facts(error), benchmark_id: error.benchmarkId.slice(0, 80) }
  })

/** @internal */
export const benchmark = (
  failure: Performance.Failure
): Errors.ValidationError | Errors.BusinessLogicError | AdminError.ConflictError | Errors.InfrastructureError => {
  const { message } = failure
  const context = Performance.contextOf(failure)
  switch (failure._tag) {
    case "OutOfRange":
      return benchmarkOutOfRange(failure)
    case "UnknownOperation":
      return new Errors.BusinessLogicError({ message, context: { reason: "not_found", ...facts(failure) } })
    case "BenchmarkRunning":
      return new AdminError.ConflictError({ message, context })
    case "BenchmarkTimeout":
      return new Errors.InfrastructureError({ message, context })
  }
}
