/**
 * The parameters that several endpoints take.
 */
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Schema from "effect/Schema"

const named = (expected: string, isInside: (value: number) => boolean) =>
  Schema.makeFilter((value: number) => isInside(value) || `Expected ${expected}, got ${value}`).abort()

/** A number within its range. The message of a refusal names both. @internal */
export const within = ({ maximum, minimum }: { readonly minimum: number; readonly maximum: number }) =>
  Schema.Finite.check(
    named(`a number from ${minimum} to ${maximum}`, (value) => value >= minimum && value <= maximum),
    Schema.isBetween({ minimum, maximum })
  )

/** The same of a whole number. @internal */
export const whole = (minimum: number, maximum: number) =>
  Schema.Finite.check(
    named(
      `a whole number from ${minimum} to ${maximum}`,
      (value) => Number.isInteger(value) && value >= minimum && value <= maximum
    ),
    // For the document: after the first one they never fail.
    Schema.isInt(),
    Schema.isBetween({ minimum, maximum })
  )

/** A window, up to a year. @internal */
export const hours = Schema.optionalKey(whole(1, 8_760))

/** Entries of a list. @internal */
export const limit = Schema.optionalKey(whole(1, 1_000))

/** Why, in the words of the caller. @internal */
export const reason = Schema.String.check(Schema.isMinLength(1), Schema.isMaxLength(200))

/** A body that only says why, or none. A client takes the first that fits, and everything fits no content. @internal */
export const optionalReason = [
  Schema.Struct({ reason: Schema.optionalKey(Schema.String.check(Schema.isMaxLength(200))) }),
  HttpApiSchema.NoContent
] as const

/** The version that a write is about. @internal */
export const ifMatch = { "if-match": Schema.optionalKey(Schema.String) } as const

/** A body with its version as `ETag`. @internal */
export const tagged = <S extends Schema.Top>(schema: S) => HttpApiSchema.WithHeaders(schema, { etag: Schema.String })
