/**
 * Says what a failure means: whether a retry may help, whether the dependency
 * is to blame, and which HTTP status it becomes.
 *
 * **Details**
 *
 * `table` holds the facts of our own errors. `classify` judges any value: the
 * rules given to it, then this table, then `ResilienceError`, then what Effect,
 * HTTP, Node and browsers are known to fail with, then the properties
 * `isRetryable` and `retryAfter`. A failure of which nothing is known is taken
 * for transient.
 *
 * A value without an answer of its own is judged by its `cause`, up to eight
 * levels deep.
 *
 * **Gotchas**
 *
 * A number in `retryAfter` means seconds, as in the HTTP header of that name.
 *
 * A rule sees the failure as it is. Around a promise that is often
 * `Cause.UnknownError`, with the rejected value in `cause`.
 *
 * **Example** (Telling failures apart)
 *
 * ```ts import.meta.vitest
 * import { Duration } from "effect"
 * import { Errors } from "breakwater"
 *
 * const limited = new Errors.RateLimitError({ message: "slow down", retryAfter: Duration.seconds(30) })
 * Errors.classify(limited).kind // => "rate_limited"
 * Errors.statusOf(limited) // => 429
 *
 * const dropped = Object.assign(new Error("socket hang up"), { code: "ECONNRESET" })
 * Errors.classify(dropped).retried // => true
 *
 * const quota: Errors.Rule = (error) => (String(error).includes("quota") ? "permanent" : undefined)
 * Errors.classify(new Error("quota used up"), [quota]).retried // => false
 * ```
 *
 * @since 0.1.0
 */
import type * as Cause from "effect/Cause"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

import { attempt, type Kind, read, tagOf, TypeId } from "./Classification.ts"
import { isResilienceError } from "./ResilienceError.ts"

export * from "./Classification.ts"

/**
 * The facts about one class of error.
 *
 * @category models
 * @since 0.1.0
 */
export interface Row {
  readonly kind: Kind
  readonly retried: boolean
  readonly counted: boolean
  /** The HTTP status of a response that reports the error. */
  readonly status: number
}

const row = (kind: Kind, status: number): Row => ({
  kind,
  retried: kind !== "permanent",
  counted: kind !== "permanent",
  status
})

/**
 * The facts about our errors, by tag. `ResilienceError` has those of a refused
 * call; a `TimeoutExceeded` inside it is counted, and retried if its scope was
 * one attempt.
 *
 * @category table
 * @since 0.1.0
 */
export const table = {
  ApplicationError: row("permanent", 400),
  ValidationError: row("permanent", 400),
  AuthenticationError: row("permanent", 401),
  AuthorizationError: row("permanent", 403),
  ConfigurationError: row("permanent", 500),
  BusinessLogicError: row("permanent", 422),
  RequestTooLargeError: row("permanent", 413),
  InfrastructureError: row("transient", 500),
  AIServiceError: row("transient", 502),
  TransientAIError: row("transient", 503),
  RateLimitError: row("rate_limited", 429),
  ServiceUnavailableError: row("unavailable", 503),
  PermanentAIError: row("permanent", 502),
  ResilienceError: { kind: "unavailable", retried: false, counted: false, status: 503 }
} as const satisfies Readonly<Record<string, Row>>

/**
 * The HTTP status of a response that reports the failure: 500 for anything but
 * our own errors. A call that a rate limit refused is 429, all other rejections
 * are 503.
 *
 * @category accessors
 * @since 0.1.0
 */
export const statusOf = (error: unknown): number => {
  if (attempt(() => isResilienceError(error))) {
    const isLimited = tagOf(read(error, "reason")) === "RateLimitExceeded"
    return (isLimited ? table.RateLimitError : table.ResilienceError).status
  }
  const isOwn = read(error, TypeId) !== undefined
  return (isOwn ? table[tagOf(error) as keyof typeof table] : table.InfrastructureError).status
}

// Any value goes in and JSON comes out. `Schema.Unknown` refuses to encode a
// Date; `Schema.Defect` decodes every object with a `message` to an `Error`.
const Detail = Schema.Json.pipe(
  Schema.decodeTo(
    Schema.Unknown,
    SchemaTransformation.transform({
      decode: (json): unknown => json,
      encode: Schema.encodeUnknownSync(Schema.Defect())
    })
  )
)

const fields = {
  message: Schema.String,
  /** Facts for logs and for the error body of the admin API. */
  context: Schema.optional(Schema.Record(Schema.String, Detail)),
  cause: Schema.optional(Schema.Defect())
}

const hinted = {
  ...fields,
  /** When the caller may come back. */
  retryAfter: Schema.optional(Schema.DurationFromString)
}

const tagged =
  <Self>() =>
  <Tag extends keyof typeof table, Fields extends Schema.Struct.Fields>(
    tag: Tag,
    struct: Fields
  ): Schema.Class<Self, Schema.TaggedStruct<Tag, Fields>, Cause.YieldableError> => {
    const base = Schema.TaggedError<Self>(`breakwater/${tag}`)(tag, struct) as never as {
      readonly prototype: Record<string, unknown>
    }
    base.prototype[TypeId] = table[tag].kind
    return base as never
  }

/**
 * The application failed, and none of the closer classes fits.
 *
 * @category errors
 * @since 0.1.0
 */
export class ApplicationError extends tagged<ApplicationError>()("ApplicationError", fields) {}

/**
 * The input is malformed.
 *
 * @category errors
 * @since 0.1.0
 */
export class ValidationError extends tagged<ValidationError>()("ValidationError", fields) {}

/**
 * Nobody knows who calls.
 *
 * @category errors
 * @since 0.1.0
 */
export class AuthenticationError extends tagged<AuthenticationError>()("AuthenticationError", fields) {}

/**
 * The caller is known and may not do this.
 *
 * @category errors
 * @since 0.1.0
 */
export class AuthorizationError extends tagged<AuthorizationError>()("AuthorizationError", fields) {}

/**
 * The application was started with settings it cannot run with.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConfigurationError extends tagged<ConfigurationError>()("ConfigurationError", fields) {}

/**
 * The input is well formed and a rule of the business forbids it.
 *
 * @category errors
 * @since 0.1.0
 */
export class BusinessLogicError extends tagged<BusinessLogicError>()("BusinessLogicError", fields) {}

/**
 * The input is larger than accepted.
 *
 * @category errors
 * @since 0.1.0
 */
export class RequestTooLargeError extends tagged<RequestTooLargeError>()("RequestTooLargeError", fields) {}

/**
 * Something the application stands on failed: network, database, file system.
 *
 * @category errors
 * @since 0.1.0
 */
export class InfrastructureError extends tagged<InfrastructureError>()("InfrastructureError", fields) {}

/**
 * An AI provider failed, and none of the closer classes fits.
 *
 * @category errors
 * @since 0.1.0
 */
export class AIServiceError extends tagged<AIServiceError>()("AIServiceError", fields) {}

/**
 * An AI provider failed in a way that passes.
 *
 * @category errors
 * @since 0.1.0
 */
export class TransientAIError extends tagged<TransientAIError>()("TransientAIError", fields) {}

/**
 * A dependency allows no more calls for now.
 *
 * @category errors
 * @since 0.1.0
 */
export class RateLimitError extends tagged<RateLimitError>()("RateLimitError", hinted) {}

/**
 * A dependency is out of service for now.
 *
 * @category errors
 * @since 0.1.0
 */
export class ServiceUnavailableError extends tagged<ServiceUnavailableError>()("ServiceUnavailableError", hinted) {}

/**
 * An AI provider refused this request and will refuse it again.
 *
 * @category errors
 * @since 0.1.0
 */
export class PermanentAIError extends tagged<PermanentAIError>()("PermanentAIError", fields) {}

/**
 * Every class of the taxonomy: decodes an error whose class is not known.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Known = Schema.Union([
  ApplicationError,
  ValidationError,
  AuthenticationError,
  AuthorizationError,
  ConfigurationError,
  BusinessLogicError,
  RequestTooLargeError,
  InfrastructureError,
  AIServiceError,
  TransientAIError,
  RateLimitError,
  ServiceUnavailableError,
  PermanentAIError
])

/**
 * @category models
 * @since 0.1.0
 */
export type Known = typeof Known.Type
