/**
 * The service over HTTP: `POST /v1/text_processing/process`.
 */
import { ByteSize, Cause, Clock, DateTime, Effect, type Layer, Schema, SchemaIssue } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Errors } from "breakwater"
import { Answer, Request, TextService } from "./TextService.ts"

export const path = "/v1/text_processing/process"

/** The body of a success. */
export const Response = Schema.Struct({
  operation: Request.fields.operation,
  ...Answer.fields,
  request_id: Schema.String,
  processing_time_ms: Schema.Finite,
  timestamp: Schema.String
})

/** The body of a failure. */
export const Envelope = Schema.Struct({
  error: Schema.String,
  error_code: Schema.String,
  context: Schema.Struct({
    endpoint: Schema.String,
    operation: Schema.String,
    request_id: Schema.String,
    timestamp: Schema.String
  })
})

/** Registers the routes of the service on the router around it. */
export const layer: Layer.Layer<never, never, HttpRouter.HttpRouter | TextService> = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const service = yield* TextService

    const handle = Effect.fn("Http.process")(function* (requestId: string) {
      const start = yield* Clock.currentTimeMillis
      const request = yield* decode
      const answer = yield* service.process(request)
      const body: typeof Response.Type = {
        operation: request.operation,
        ...answer,
        request_id: requestId,
        processing_time_ms: (yield* Clock.currentTimeMillis) - start,
        timestamp: yield* timestamp
      }
      return HttpServerResponse.jsonUnsafe(body)
    })

    yield* router.add(
      "POST",
      path,
      Effect.suspend(() => {
        const requestId = `req_${crypto.randomUUID().slice(0, 8)}`
        return handle(requestId).pipe(
          Effect.catch((error) => envelope(error._tag, Errors.statusOf(error), error.message, requestId)),
          Effect.catchDefect((defect) =>
            Effect.logError("process_text failed", Cause.die(defect)).pipe(
              Effect.andThen(envelope("InfrastructureError", 500, "The request could not be processed.", requestId))
            )
          )
        )
      })
    )
    yield* router.add(
      "*",
      "/v1/*",
      Effect.suspend(() => envelope("NotFoundError", 404, `Not found. The service has one route: POST ${path}`, "none"))
    )
  })
)

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const decode = HttpServerRequest.schemaBodyJson(Request, { errors: "all" }).pipe(
  Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.kibibytes(64)),
  Effect.mapError((error) => {
    if (error._tag === "HttpServerError") {
      return error.reason._tag === "RequestParseError" && error.reason.reason === "BodyTooLarge"
        ? new Errors.RequestTooLargeError({ message: "The body is larger than 64 KiB." })
        : new Errors.ValidationError({ message: "The body is not JSON." })
    }
    const findings = format(error.issue).issues.map(({ message, path = [] }) => {
      const at = path.map((segment) => String(typeof segment === "object" ? segment.key : segment)).join(".")
      return at === "" ? message : `${at}: ${message}`
    })
    return new Errors.ValidationError({ message: findings.join("; ") })
  })
)

const timestamp = Effect.map(DateTime.now, DateTime.formatIso)

const envelope = Effect.fnUntraced(function* (code: string, status: number, error: string, requestId: string) {
  const body: typeof Envelope.Type = {
    error,
    error_code: code,
    context: {
      endpoint: "process_text",
      operation: "text_processing",
      request_id: requestId,
      timestamp: yield* timestamp
    }
  }
  return HttpServerResponse.jsonUnsafe(body, { status })
})
