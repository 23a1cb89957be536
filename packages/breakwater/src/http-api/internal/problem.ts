/**
 * The envelope in the words of RFC 9457, for clients that ask for it.
 */
import * as ProblemDetails from "effect/http/ProblemDetails"
import type * as AdminError from "../AdminError.ts"

/** @internal */
export const contentType = ProblemDetails.contentType

const titles: Readonly<Record<number, string>> = {
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  417: "Expectation Failed",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  502: "Bad Gateway",
  503: "Service Unavailable"
}

/** @internal */
export const titleOf = (status: number): string => titles[status] ?? (status < 500 ? "Bad Request" : "Server Error")

/** The same facts: `error` is `detail`, the rest are extensions. @internal */
export const of = (status: number, { context, error, error_code }: AdminError.Envelope) => ({
  type: ProblemDetails.blankType,
  title: titleOf(status),
  status,
  detail: error,
  error_code,
  context
})

const qualityOf = (parameters: ReadonlyArray<string>): number => {
  const given = parameters.map((parameter) => /^\s*q\s*=\s*([\d.]+)\s*$/i.exec(parameter)?.[1]).find(Boolean)
  return given === undefined ? 1 : Number(given)
}

/** Whether `Accept` names problem documents, and does not like plain JSON better. @internal */
export const isWanted = (accept: string | undefined): boolean => {
  if (accept === undefined || !/problem\+json/i.test(accept)) return false
  const quality = (wanted: string): number => {
    for (const range of accept.split(",")) {
      const [type = "", ...parameters] = range.split(";")
      if (type.trim().toLowerCase() === wanted) return qualityOf(parameters)
    }
    return 0
  }
  const problem = quality(contentType)
  return problem > 0 && problem >= quality("application/json")
}
