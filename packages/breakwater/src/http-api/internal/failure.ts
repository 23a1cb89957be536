/**
 * Turns whatever went wrong into one envelope. The only place that writes an
 * error body.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as HttpApiError from "effect/http-api/HttpApiError"
import * as Option from "effect/Option"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Errors from "../../Errors.ts"
import { isResilienceError } from "../../ResilienceError.ts"
import * as AdminError from "../AdminError.ts"
import * as problem from "./problem.ts"
import { Visit } from "./visit.ts"

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const maxIssues = 20
const maxMessage = 200

const invalid = (error: HttpApiError.HttpApiSchemaError): AdminError.AdminError => {
  const part = error.kind.toLowerCase()
  const issues = formatIssue(error.cause.issue).issues.slice(0, maxIssues)
  return new Errors.ValidationError({
    message: `The request's ${part} is invalid`,
    context: {
      validation_errors: issues.map(({ message, path = [] }) => ({
        path: [part, ...path.map((segment) => String(typeof segment === "object" ? segment.key : segment))],
        message: message.slice(0, maxMessage)
      }))
    }
  })
}

/** A failure that another layer answered with a bare status. @internal */
export const ofStatus = (status: number): AdminError.AdminError => {
  switch (status) {
    case 413:
      return new Errors.RequestTooLargeError({ message: "The body is larger than 64 KB" })
    case 404:
      return new AdminError.NotFoundError({ message: "There is nothing at this path" })
    case 415:
      return new AdminError.UnsupportedMediaTypeError({ message: "The body has to be application/json" })
    case 431:
      return new AdminError.HeadersTooLargeError({ message: "The headers are larger than 16 KB" })
    default:
      return status < 500
        ? new Errors.ValidationError({ message: "The request can not be read" })
        : new Errors.InfrastructureError({ message: "Internal error" })
  }
}

/** What a failure is to the caller. `undefined`: a surprise. @internal */
const ofError = (error: unknown): AdminError.AdminError | undefined => {
  if (AdminError.isAdminError(error)) return error
  if (HttpApiError.HttpApiSchemaError.is(error)) {
    return error.kind === "Body" || error.kind === "ResponseHeaders" ? undefined : invalid(error)
  }
  if (isResilienceError(error)) {
    const facts = { message: error.message, retryAfter: error.retryAfter }
    return error.reason._tag === "RateLimitExceeded"
      ? new Errors.RateLimitError(facts)
      : new Errors.ServiceUnavailableError(facts)
  }
  if (HttpServerError.isHttpServerError(error) && error.reason._tag === "RequestParseError") {
    return ofStatus(error.reason.reason === "BodyTooLarge" ? 413 : 400)
  }
  return undefined
}

/** What a caller is told, as data: to refuse needs no error with a stack. @internal */
export interface Refusal {
  readonly status: number
  readonly message: string
  readonly context?: { readonly [name: string]: unknown } | undefined
  /** In seconds. */
  readonly retryAfter?: number | undefined
  /** The methods that the path has. */
  readonly allow?: string | undefined
}

/** Rounded up, so that whoever waits exactly that long is not too early. @internal */
export const secondsOf = (millis: number): number => Math.ceil(millis / 1000)

const refusalOf = (error: AdminError.AdminError): Refusal => ({
  status: AdminError.statusOf(error),
  message: error.message,
  context: error.context,
  // A cost that never passes has no time at which to come back.
  retryAfter:
    "retryAfter" in error && error.retryAfter !== undefined && Duration.isFinite(error.retryAfter)
      ? secondsOf(Duration.toMillis(error.retryAfter))
      : undefined,
  allow: error._tag === "MethodNotAllowedError" ? allowOf(error) : undefined
})

/** The body of a refusal at a time in milliseconds. @internal */
export const render = (
  { context, message, retryAfter, status }: Refusal,
  { accept, facts, requestId }: Visit,
  now: number
): { readonly text: string; readonly contentType: string } => {
  const body: AdminError.Envelope = {
    error: message,
    error_code: AdminError.codeOf(status),
    context: {
      endpoint: facts.endpoint,
      operation: facts.operation,
      ...(context as AdminError.Envelope["context"] | undefined),
      ...(retryAfter === undefined ? {} : { retry_after_seconds: retryAfter }),
      request_id: requestId,
      timestamp: DateTime.formatIso(DateTime.makeUnsafe(now))
    }
  }
  return problem.isWanted(accept)
    ? { text: JSON.stringify(problem.of(status, body)), contentType: problem.contentType }
    : { text: JSON.stringify(body), contentType: "application/json" }
}

/** The headers that belong to a refusal. @internal */
export const headersOf = ({ allow, retryAfter, status }: Refusal): Readonly<Record<string, string>> => ({
  ...(status === 401 ? { "www-authenticate": "Bearer" } : {}),
  ...(retryAfter === undefined ? {} : { "retry-after": String(retryAfter) }),
  ...(allow === undefined ? {} : { allow })
})

/** @internal */
export const respond = (error: AdminError.AdminError): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.withFiber((fiber) => {
    const refusal = refusalOf(error)
    const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
    const { contentType, text } = render(refusal, fiber.getRef(Visit), now)
    const { status } = refusal
    return Effect.succeed(HttpServerResponse.text(text, { status, contentType, headers: headersOf(refusal) }))
  })

const allowOf = (error: AdminError.MethodNotAllowedError): string => {
  const methods = error.context?.["allowed_methods"]
  return Array.isArray(methods) ? methods.join(", ") : ""
}

const ofCause = (cause: Cause.Cause<unknown>): AdminError.AdminError | undefined =>
  ofError(Option.getOrElse(Cause.findErrorOption(cause), () => Cause.squash(cause)))

/** The status with which a failure is answered. @internal */
export const statusOf = (cause: Cause.Cause<unknown>): number => {
  const found = ofCause(cause)
  return found === undefined ? 500 : AdminError.statusOf(found)
}

/** Answers what is known, and leaves the rest to the declared errors of the endpoint. @internal */
export const respondKnown = <E>(cause: Cause.Cause<E>): Effect.Effect<HttpServerResponse.HttpServerResponse, E> => {
  const found = ofCause(cause)
  return found === undefined ? Effect.failCause(cause) : respond(found)
}

/** Answers everything but an interruption. Surprises are logged, never shown. @internal */
export const respondAll = (cause: Cause.Cause<unknown>): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
  // It holds no failure: it is of every type.
  if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
  const found = ofCause(cause)
  return found === undefined
    ? Effect.andThen(Effect.logError("The admin API failed", cause), respond(ofStatus(500)))
    : respond(found)
}
