/**
 * Answers that are private from the start. The headers that all of them have
 * are put together once for each status: to add them to an answer takes longer
 * than to write it.
 */
import * as HttpBody from "effect/http/HttpBody"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import { privateHeaders } from "./privateHeaders.ts"

const headersOf: Readonly<Record<number, Readonly<Record<string, string>>>> = { 401: { "www-authenticate": "Bearer" } }

const bare = new Map<number, HttpServerResponse.HttpServerResponse>()

const bareOf = (status: number): HttpServerResponse.HttpServerResponse => {
  let response = bare.get(status)
  if (response === undefined) {
    response = HttpServerResponse.empty({ status, headers: { ...privateHeaders, ...headersOf[status] } })
    bare.set(status, response)
  }
  return response
}

/** @internal */
export const make = (
  text: string,
  options: { readonly requestId: string; readonly status?: number; readonly contentType?: string }
): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.setHeader(
    HttpServerResponse.setBody(
      bareOf(options.status ?? 200),
      HttpBody.text(text, options.contentType ?? "application/json")
    ),
    "x-request-id",
    options.requestId
  )
