/**
 * Calls the admin API with `fetch`, typed by the API's definition.
 *
 * `AdminClient` of `breakwater/http-api` does the same and decodes what it gets,
 * but brings Effect's HTTP client and every schema along: 3 times what the whole
 * page may weigh. Types cost nothing.
 */
import type { ClockOffset } from "../model/clockOffset.ts"
import type { Answer, Body, Failure, Method, Params, Path } from "./types.ts"

export type Problem =
  | { readonly _tag: "Unreachable" }
  | {
      readonly _tag: "Refused"
      readonly status: number
      readonly code: string
      readonly message: string
      readonly context: Readonly<Record<string, unknown>>
      readonly retryAfterMillis: number | undefined
    }

export type Reply<A> =
  | { readonly ok: true; readonly body: A; readonly etag: string | undefined }
  | { readonly ok: false; readonly problem: Problem }

type Query = { readonly [name: string]: string | number | undefined }

interface Call {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Query
  readonly body?: unknown
  /** The version that a write is about. */
  readonly version?: number | undefined
  readonly signal?: AbortSignal
}

type Input<M extends Method, P extends Path<M>> = Omit<Call, "params" | "body"> &
  (keyof Params<P> extends never ? unknown : { readonly params: Params<P> }) &
  (M extends "GET" ? unknown : { readonly body?: Body<M, P> })

export interface Client {
  readonly get: <P extends Path<"GET">>(path: P, input: Input<"GET", P>) => Promise<Reply<Answer<"GET", P>>>
  readonly post: <P extends Path<"POST">>(path: P, input: Input<"POST", P>) => Promise<Reply<Answer<"POST", P>>>
  readonly put: <P extends Path<"PUT">>(path: P, input: Input<"PUT", P>) => Promise<Reply<Answer<"PUT", P>>>
  /** The stream of events, from after one of them. */
  readonly events: (after: string | undefined, signal: AbortSignal) => Promise<Response>
}

/** Times of an answer of which nothing else is known. */
const patienceMillis = 45_000

export const urlOf = (root: string, path: string, { params = {}, query = {} }: Call): string => {
  const filled = path.replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ""))
  const search = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`]
  )
  return `${root}${filled}${search.length === 0 ? "" : `?${search.join("&")}`}`
}

const isFailure = (json: unknown): json is Failure =>
  typeof json === "object" && json !== null && "error" in json && typeof json.error === "string"

const refusal = async (response: Response): Promise<Problem> => {
  const json: unknown = await response.json().catch(() => undefined)
  const retryAfter = Number(response.headers.get("retry-after") ?? NaN)
  return {
    _tag: "Refused",
    status: response.status,
    code: isFailure(json) ? json.error_code : "",
    message: isFailure(json) ? json.error : `The server answered with status ${response.status}`,
    context: isFailure(json) ? (json.context ?? {}) : {},
    retryAfterMillis: Number.isFinite(retryAfter) ? retryAfter * 1000 : undefined
  }
}

export const make = (options: {
  readonly root: string
  readonly key: string
  readonly clock: ClockOffset
  readonly now: () => number
}): Client => {
  const common = {
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
    referrerPolicy: "no-referrer"
  } satisfies RequestInit
  const key = { "x-api-key": options.key }

  const call = async (method: Method, path: string, input: Call): Promise<Reply<never>> => {
    const sent = options.now()
    try {
      const response = await fetch(urlOf(options.root, path, input), {
        ...common,
        method,
        headers: {
          ...key,
          accept: "application/json",
          ...(input.body === undefined ? {} : { "content-type": "application/json" }),
          ...(input.version === undefined ? {} : { "if-match": `"${input.version}"` })
        },
        ...(input.body === undefined ? {} : { body: JSON.stringify(input.body) }),
        signal: AbortSignal.any([...(input.signal ? [input.signal] : []), AbortSignal.timeout(patienceMillis)])
      })
      const date = Date.parse(response.headers.get("date") ?? "")
      if (Number.isFinite(date)) options.clock.observe({ sent, received: options.now(), date })
      if (!response.ok) return { ok: false, problem: await refusal(response) }
      return { ok: true, body: (await response.json()) as never, etag: response.headers.get("etag") ?? undefined }
    } catch {
      return { ok: false, problem: { _tag: "Unreachable" } }
    }
  }

  return {
    get: (path, input) => call("GET", path, input),
    post: (path, input) => call("POST", path, input),
    put: (path, input) => call("PUT", path, input),
    events: (after, signal) =>
      fetch(urlOf(options.root, "/events", {}), {
        ...common,
        headers: { ...key, accept: "text/event-stream", ...(after === undefined ? {} : { "last-event-id": after }) },
        signal
      })
  }
}

/** A problem in a sentence. */
export const sentence = (problem: Problem): string => {
  if (problem._tag === "Unreachable") return "The server cannot be reached."
  const { context, message, status } = problem
  if (status === 403 && typeof context["required_scope"] === "string") {
    return `This key may only ${String(context["scope"])}: it needs the scope ${context["required_scope"]}.`
  }
  const wait = problem.retryAfterMillis
  const text = /[.!?]$/.test(message) ? message : `${message}.`
  return status === 429 && wait !== undefined ? `${text} Try again in ${Math.ceil(wait / 1000)} s.` : text
}
