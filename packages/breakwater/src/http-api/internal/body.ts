/**
 * Bounds what a handler reads: 64 KB, 64 levels, 15 seconds.
 */
import * as ByteSize from "effect/ByteSize"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Errors from "../../Errors.ts"
import { isTooDeep, maxDepth } from "./depth.ts"
import * as failure from "./failure.ts"
import { maxBodyBytes } from "./limits.ts"

const size = ByteSize.bytes(maxBodyBytes)
const patience = "15 seconds"

/** Stops to read a body that is too large. @internal */
export const limit = Layer.succeed(HttpIncomingMessage.MaxBodySize, size)

const isJson = (type: string | undefined): boolean => type === undefined || /^application\/json\b/i.test(type.trim())

const check = Effect.gen(function* () {
  const request = yield* HttpServerRequest.HttpServerRequest
  if (request.method === "GET" || request.method === "HEAD" || !isJson(request.headers["content-type"])) return
  const text = yield* request.text.pipe(
    Effect.provideService(HttpIncomingMessage.MaxBodySize, size),
    Effect.timeoutOrElse({
      duration: patience,
      orElse: () => Effect.fail(new Errors.ValidationError({ message: "The body did not arrive in time" }))
    })
  )
  if (isTooDeep(text)) {
    return yield* new Errors.ValidationError({
      message: "The request's payload is invalid",
      context: { validation_errors: [{ path: ["payload"], message: `It nests deeper than ${maxDepth} levels` }] }
    })
  }
})

/** Reads the body of a request that may have one, and looks at it before it is parsed. @internal */
export const checked = <E, R>(handler: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>) =>
  Effect.matchCauseEffect(check, { onFailure: failure.respondAll, onSuccess: () => handler })
