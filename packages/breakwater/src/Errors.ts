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

import { TypeId } from "./Classification.ts"

export * from "./Classification.ts"

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
  <Tag extends string, Fields extends Schema.Struct.Fields>(
    tag: Tag,
    struct: Fields
  ): Schema.Class<Self, Schema.TaggedStruct<Tag, Fields>, Cause.YieldableError> => {
    const base = Schema.TaggedError<Self>(`breakwater/${tag}`)(tag, struct) as never as {
      readonly prototype: Record<string, unknown>
    }
    base.prototype[TypeId] = true
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
