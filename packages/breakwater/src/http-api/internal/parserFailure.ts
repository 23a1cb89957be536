/**
 * Failures that the HTTP parser raises before there is a request. They get the
 * envelope of all others, and the connection ends.
 */
import * as AdminError from "../AdminError.ts"
import { privateHeaders } from "./privateHeaders.ts"
import * as problem from "./problem.ts"

/** @internal */
export interface Facts {
  /** The `code` of Node's error. */
  readonly code: string | undefined
  readonly requestId: string
  readonly timestamp: string
}

interface Failure {
  readonly status: number
  readonly message: string
}

const overflow: Failure = { status: 431, message: "The headers are larger than 16 KB" }
const late: Failure = { status: 408, message: "The request did not arrive in time" }
const unreadable: Failure = { status: 400, message: "The request can not be read" }

const failures: ReadonlyMap<string | undefined, Failure> = new Map([
  ["HPE_HEADER_OVERFLOW", overflow],
  ["HPE_CHUNK_EXTENSIONS_OVERFLOW", { status: 413, message: "The chunk extensions are too large" }],
  ["ERR_HTTP_REQUEST_TIMEOUT", late],
  // Raised by us: Node asks what to do about an `Expect` that is not `100-continue`.
  ["UNKNOWN_EXPECTATION", { status: 417, message: "This expectation is not known" }]
])

/** @internal */
export const answer = ({ code, requestId, timestamp }: Facts) => {
  const { message, status } = failures.get(code) ?? unreadable
  const envelope: AdminError.Envelope = {
    error: message,
    error_code: AdminError.codeOf(status),
    context: { endpoint: "unknown_route", operation: "request_parsing", request_id: requestId, timestamp }
  }
  const body = JSON.stringify(envelope)
  return {
    status,
    headers: {
      ...privateHeaders,
      "content-type": "application/json",
      "content-length": String(new TextEncoder().encode(body).length),
      connection: "close",
      "x-request-id": requestId
    },
    body
  }
}

/** The whole response as it goes over the wire. @internal */
export const render = (facts: Facts): string => {
  const { body, headers, status } = answer(facts)
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} ${problem.titleOf(status)}\r\n${lines.join("")}\r\n${body}`
}
