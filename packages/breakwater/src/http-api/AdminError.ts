/**
 * What the admin API answers when it does not answer what was asked: one body
 * for every failure, `{ error, error_code, context }`.
 *
 * **Details**
 *
 * Handlers fail with the errors of `Errors` and with those of this module. The
 * error's message becomes `error`, its status decides `error_code`, and its
 * context is joined by `endpoint`, `operation`, `request_id` and `timestamp`.
 * A client gets the same error back, with that context.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as Errors from "../Errors.ts"

const fields = {
  message: Schema.String,
  context: Schema.optional(Schema.Record(Schema.String, Schema.Json))
}

/**
 * No endpoint has this path.
 *
 * @category errors
 * @since 0.1.0
 */
export class NotFoundError extends Schema.TaggedError<NotFoundError>("breakwater/NotFoundError")(
  "NotFoundError",
  fields
) {}

/**
 * The path exists with other methods, named in `context.allowed_methods`.
 *
 * @category errors
 * @since 0.1.0
 */
export class MethodNotAllowedError extends Schema.TaggedError<MethodNotAllowedError>(
  "breakwater/MethodNotAllowedError"
)("MethodNotAllowedError", fields) {}

/**
 * The request contradicts the state of what it is about.
 *
 * @category errors
 * @since 0.1.0
 */
export class ConflictError extends Schema.TaggedError<ConflictError>("breakwater/ConflictError")(
  "ConflictError",
  fields
) {}

/**
 * What the request is about has changed since the version in `If-Match`.
 *
 * @category errors
 * @since 0.1.0
 */
export class PreconditionFailedError extends Schema.TaggedError<PreconditionFailedError>(
  "breakwater/PreconditionFailedError"
)("PreconditionFailedError", fields) {}

/**
 * The body is not JSON.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnsupportedMediaTypeError extends Schema.TaggedError<UnsupportedMediaTypeError>(
  "breakwater/UnsupportedMediaTypeError"
)("UnsupportedMediaTypeError", fields) {}

/**
 * The request was sent to a name that this server does not answer to.
 *
 * @category errors
 * @since 0.1.0
 */
export class MisdirectedRequestError extends Schema.TaggedError<MisdirectedRequestError>(
  "breakwater/MisdirectedRequestError"
)("MisdirectedRequestError", fields) {}

/**
 * The headers of the request are larger than 16 KB.
 *
 * @category errors
 * @since 0.1.0
 */
export class HeadersTooLargeError extends Schema.TaggedError<HeadersTooLargeError>("breakwater/HeadersTooLargeError")(
  "HeadersTooLargeError",
  fields
) {}

const own = Schema.Union([
  NotFoundError,
  MethodNotAllowedError,
  ConflictError,
  PreconditionFailedError,
  UnsupportedMediaTypeError,
  MisdirectedRequestError,
  HeadersTooLargeError
])

const ownStatuses: { readonly [Tag in (typeof own.Type)["_tag"]]: number } = {
  NotFoundError: 404,
  MethodNotAllowedError: 405,
  ConflictError: 409,
  PreconditionFailedError: 412,
  UnsupportedMediaTypeError: 415,
  MisdirectedRequestError: 421,
  HeadersTooLargeError: 431
}

/**
 * Everything with which the admin API refuses or fails a request.
 *
 * @category models
 * @since 0.1.0
 */
export type AdminError = Errors.Known | typeof own.Type

const hasOwnStatus = (error: AdminError): error is typeof own.Type => Object.hasOwn(ownStatuses, error._tag)

const isOwn = Schema.is(own)
const isKnown = Schema.is(Errors.Known)

/**
 * Whether a value is an error that the admin API shows as it is.
 *
 * @category guards
 * @since 0.1.0
 */
export const isAdminError = (u: unknown): u is AdminError => isOwn(u) || isKnown(u)

/**
 * The HTTP status of an error.
 *
 * @category accessors
 * @since 0.1.0
 */
export const statusOf = (error: AdminError): number =>
  hasOwnStatus(error) ? ownStatuses[error._tag] : Errors.statusOf(error)

const codes: Readonly<Record<number, string>> = {
  400: "ValidationError",
  401: "AuthenticationError",
  403: "AuthorizationError",
  404: "NotFoundError",
  405: "MethodNotAllowedError",
  409: "ConflictError",
  412: "PreconditionFailedError",
  413: "RequestTooLargeError",
  415: "UnsupportedMediaTypeError",
  421: "MisdirectedRequestError",
  422: "BusinessLogicError",
  429: "RateLimitError",
  431: "HeadersTooLargeError",
  500: "InfrastructureError",
  502: "PermanentAIError",
  503: "ServiceUnavailableError"
}

/**
 * The `error_code` of an HTTP status.
 *
 * @category accessors
 * @since 0.1.0
 */
export const codeOf = (status: number): string =>
  codes[status] ?? (status < 500 ? "ValidationError" : "InfrastructureError")

/**
 * The body of every failure.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Envelope = Schema.Struct({
  error: Schema.String,
  error_code: Schema.String,
  context: Schema.StructWithRest(
    Schema.Struct({
      endpoint: Schema.String,
      operation: Schema.String,
      request_id: Schema.String,
      timestamp: Schema.String
    }),
    [Schema.Record(Schema.String, Schema.Json)]
  )
}).annotate({ identifier: "ErrorEnvelope" })

/**
 * @category models
 * @since 0.1.0
 */
export type Envelope = typeof Envelope.Type

interface Fields {
  readonly message: string
  readonly context?: { readonly [key: string]: unknown } | undefined
}

const declared = <A extends AdminError & Fields>(
  schema: Schema.Codec<A, any> & (new (fields: Fields) => A),
  status: number
): Schema.Codec<A, Envelope> => {
  const code = codeOf(status)
  return Envelope.pipe(
    Schema.decodeTo(
      Schema.instanceOf(schema),
      SchemaTransformation.transform({
        decode: ({ context, error }): A => new schema({ message: error, context }),
        // Only for completeness: the door writes every failure, with the request's facts.
        encode: ({ context, message }): Envelope => ({
          error: message,
          error_code: code,
          context: context as Envelope["context"]
        })
      })
    ),
    HttpApiSchema.status(status)
  ).annotate({ description: code })
}

/**
 * How an endpoint declares the errors with which its handler fails.
 *
 * @category declarations
 * @since 0.1.0
 */
export const validation = declared(Errors.ValidationError, 400)

/**
 * @category declarations
 * @since 0.1.0
 */
export const authentication = declared(Errors.AuthenticationError, 401)

/**
 * @category declarations
 * @since 0.1.0
 */
export const authorization = declared(Errors.AuthorizationError, 403)

/**
 * @category declarations
 * @since 0.1.0
 */
export const conflict = declared(ConflictError, 409)

/**
 * @category declarations
 * @since 0.1.0
 */
export const preconditionFailed = declared(PreconditionFailedError, 412)

/**
 * @category declarations
 * @since 0.1.0
 */
export const requestTooLarge = declared(Errors.RequestTooLargeError, 413)

/**
 * @category declarations
 * @since 0.1.0
 */
export const unsupportedMediaType = declared(UnsupportedMediaTypeError, 415)

/**
 * @category declarations
 * @since 0.1.0
 */
export const misdirectedRequest = declared(MisdirectedRequestError, 421)

/**
 * @category declarations
 * @since 0.1.0
 */
export const headersTooLarge = declared(HeadersTooLargeError, 431)

/**
 * @category declarations
 * @since 0.1.0
 */
export const businessLogic = declared(Errors.BusinessLogicError, 422)

/**
 * @category declarations
 * @since 0.1.0
 */
export const rateLimit = declared(Errors.RateLimitError, 429)

/**
 * @category declarations
 * @since 0.1.0
 */
export const infrastructure = declared(Errors.InfrastructureError, 500)

/**
 * @category declarations
 * @since 0.1.0
 */
export const serviceUnavailable = declared(Errors.ServiceUnavailableError, 503)
