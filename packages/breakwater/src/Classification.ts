/**
 * Judges failures: whether a retry may help, whether the dependency is to
 * blame, and when to come back. `Errors` has all of it, and the errors of our
 * own.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
// A leaf that `effect/Schema` loads anyway: it adds nothing to a bundle.
import * as Headers from "effect/http/Headers"
import * as Layer from "effect/Layer"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import * as Outcome from "./Outcome.ts"
import * as ResilienceError from "./ResilienceError.ts"

/**
 * Marks the errors of our own, whose tags other libraries have too. Its value is
 * the `Kind` of the error.
 *
 * @category type IDs
 * @since 0.1.0
 */
export const TypeId = "~breakwater/Errors"

/**
 * What a failure says about the next attempt. `transient`: it may succeed.
 * `rate_limited`, `unavailable`: it may succeed later. `permanent`: it fails
 * the same way.
 *
 * @category models
 * @since 0.1.0
 */
export type Kind = "transient" | "rate_limited" | "unavailable" | "permanent"

/**
 * The meaning of one failure.
 *
 * @category models
 * @since 0.1.0
 */
export interface Classification {
  readonly kind: Kind
  /** Whether a retry may repeat the attempt. */
  readonly retried: boolean
  /** Whether the failure counts against the dependency. */
  readonly counted: boolean
  /** When the dependency asked to be called again. Finite and not negative. */
  readonly retryAfter?: Duration.Duration | undefined
}

/**
 * Knows the failures of one library or service. `undefined` leaves the answer
 * to the next rule. A bare `Kind` is retried and counted unless `permanent`,
 * and keeps the failure's own `retryAfter`.
 *
 * @category models
 * @since 0.1.0
 */
export type Rule = (error: unknown) => Classification | Kind | undefined

type Verdict = Classification | Kind
type Rows<A> = Readonly<Record<string, A>>

// The model answered, and the answer is unusable: ask again, blame nobody.
const unusable: Classification = { kind: "transient", retried: true, counted: false }

// Effect's errors by their tag and the tag of their reason. The reasons of
// `AiError` that are not listed say `isRetryable`, and all of `SqlError`'s do.
// The row without a name is for all others.
const reasons: Rows<Rows<Verdict>> = {
  AiError: {
    RateLimitError: "rate_limited",
    QuotaExhaustedError: { kind: "rate_limited", retried: false, counted: true },
    InternalProviderError: "transient",
    InvalidOutputError: unusable,
    StructuredOutputError: unusable,
    ToolNotFoundError: unusable,
    ToolParameterValidationError: unusable
  },
  HttpClientError: {
    TransportError: "transient",
    EncodeError: "permanent",
    InvalidUrlError: "permanent",
    // The status decides about a response, and these about one below 300.
    StatusCodeError: "permanent",
    DecodeError: "permanent",
    EmptyBodyError: "permanent"
  },
  PlatformError: {
    "": "transient",
    NotFound: "permanent",
    PermissionDenied: "permanent",
    AlreadyExists: "permanent",
    BadResource: "permanent",
    InvalidData: "permanent",
    BadArgument: "permanent"
  }
}

// A status that is not listed means what the first of its hundred means
// (RFC 9110, section 15). 529 is what AI providers answer when overloaded.
const statuses: Rows<Kind> = {
  300: "permanent",
  400: "permanent",
  408: "transient",
  425: "transient",
  429: "rate_limited",
  500: "transient",
  501: "permanent",
  503: "unavailable",
  505: "permanent",
  529: "unavailable"
}

// An abort is the caller's wish; a signal that timed out is not.
const names: Rows<Kind> = {
  AbortError: "permanent",
  SchemaError: "permanent",
  TimeoutError: "transient"
}

// Codes of Node, undici, axios and OpenSSL, by what they have in common.
const transientCode =
  /^E(?:CONN|NET|HOST|ADDR|AI_|PIPE$|AGAIN$|BUSY$|NOTFOUND$|NOBUFS$|[MN]FILE$)|TIMED?OUT$|_SOCKET$|^ERR_NETWORK$|PREMATURE_CLOSE$/
const permanentCode =
  /^(?:E(?:NOENT|ACCES|PERM|INVAL|EXIST|NOTDIR|ISDIR)|ABORT_ERR|ERR_CANCELED|UND_ERR_ABORTED|ERR_INVALID_URL)$|^(?:CERT_|ERR_TLS_)|_CERT(?:_|$)|_LEAF_SIGNATURE$/

/** A failure may be anything: a getter that throws, a revoked Proxy. @internal */
export const attempt = <A>(f: () => A): A | undefined => {
  try {
    return f()
  } catch {
    return undefined
  }
}

/** @internal */
export const read = (u: unknown, key: string): unknown =>
  Predicate.isObjectKeyword(u) ? attempt(() => (u as Readonly<Record<string, unknown>>)[key]) : undefined

/** @internal */
export const tagOf = (u: unknown): string => {
  const tag = read(u, "_tag")
  return typeof tag === "string" ? tag : ""
}

// Own rows only: a tag may be "constructor".
const lookup = <A>(rows: Rows<A> | undefined, key: unknown): A | undefined =>
  rows !== undefined && (typeof key === "string" || typeof key === "number") && Object.hasOwn(rows, key)
    ? rows[key]
    : undefined

const statusIn = (u: unknown): number | undefined => {
  // Only a number is an integer.
  const status = (read(u, "status") ?? read(u, "statusCode")) as number
  return Number.isInteger(status) && status >= 300 && status < 600 ? status : undefined
}

// Effect, axios and `AiError` carry the response; other clients' errors, and a
// failed `Response` itself, look like one.
const responseOf = (error: unknown): unknown => {
  const reason = read(error, "reason")
  return [read(error, "response"), read(read(reason, "http"), "response"), error, reason].find(
    (u) => statusIn(u) !== undefined
  )
}

const header = (headers: unknown, name: string): string | undefined => {
  if (!Predicate.isObjectKeyword(headers)) return undefined
  const value = attempt(() =>
    typeof read(headers, "get") === "function"
      ? (headers as { get(name: string): unknown }).get(name)
      : Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1]
  )
  return typeof value === "string" ? value : undefined
}

const toDuration = (value: unknown, now: number | undefined): Duration.Duration | undefined => {
  if (Duration.isDuration(value)) return value
  if (typeof value === "number" && value >= 0) return Duration.seconds(value)
  const left = value instanceof Date && now !== undefined ? value.getTime() - now : NaN
  return Number.isNaN(left) ? undefined : Duration.millis(Math.max(left, 0))
}

// The two dates of one response are of one clock, whatever ours says.
const fromHeaders = (headers: unknown, now: number | undefined): Duration.Duration | undefined => {
  const text = header(headers, "retry-after")
  const value = text === undefined ? undefined : Result.getOrUndefined(Headers.parseRetryAfter(text))
  if (value === undefined || value._tag === "Duration") return value?.duration
  const date = header(headers, "date")
  const sent = date === undefined ? undefined : Result.getOrUndefined(Headers.parseHttpDate(date))
  const from = sent === undefined ? now : DateTime.toEpochMillis(sent)
  return from === undefined ? undefined : Headers.retryAfterDelay(value, from)
}

const hintOf = (error: unknown, now: number | undefined): Duration.Duration | undefined =>
  attempt(() => {
    const hint =
      toDuration(read(error, "retryAfter"), now) ??
      toDuration(read(read(error, "reason"), "retryAfter"), now) ??
      fromHeaders(read(responseOf(error), "headers"), now)
    return hint !== undefined && Duration.isFinite(hint) && !Duration.isNegative(hint) ? hint : undefined
  })

const classification = (
  kind: Kind,
  retried: boolean,
  counted: boolean,
  retryAfter: Duration.Duration | undefined
): Classification => (retryAfter === undefined ? { kind, retried, counted } : { kind, retried, counted, retryAfter })

const settle = (verdict: Verdict, retryAfter: Duration.Duration | undefined): Classification =>
  typeof verdict !== "string"
    ? verdict
    : verdict === "permanent"
      ? classification(verdict, false, false, undefined)
      : classification(verdict, true, true, retryAfter)

const fromStatus = (error: unknown): Kind | undefined => {
  const status = statusIn(responseOf(error))
  return status === undefined ? undefined : (statuses[status] ?? statuses[Math.floor(status / 100) * 100])
}

const fromCode = (code: unknown): Kind | undefined =>
  typeof code !== "string"
    ? undefined
    : transientCode.test(code)
      ? "transient"
      : permanentCode.test(code)
        ? "permanent"
        : undefined

// What is known about this very value, without its cause.
const judge = (error: unknown, now: number | undefined): Classification | undefined => {
  const retryAfter = hintOf(error, now)
  const reason = read(error, "reason")
  const [tag, reasonTag] = [tagOf(error), tagOf(reason)]
  const isRetryable = [read(error, "isRetryable"), read(reason, "isRetryable")].find(Predicate.isBoolean)
  const limited = tag.includes("RateLimit") || reasonTag.includes("RateLimit")

  if (attempt(() => ResilienceError.isResilienceError(error))) {
    const timeout = reasonTag === "TimeoutExceeded"
    const kind = timeout ? "transient" : limited ? "rate_limited" : "unavailable"
    return classification(kind, isRetryable === true, timeout, retryAfter)
  }
  const own = read(error, TypeId)
  if (own !== undefined) return settle(own as Kind, retryAfter)

  const rows = lookup(reasons, tag)
  const verdict =
    // `AiError` has already read its response.
    (tag === "AiError" ? undefined : fromStatus(error)) ??
    lookup(rows, reasonTag) ??
    rows?.[""] ??
    lookup(names, read(error, "name")) ??
    lookup(names, tag) ??
    fromCode(read(error, "code")) ??
    (isRetryable === false
      ? "permanent"
      : limited || retryAfter !== undefined
        ? "rate_limited"
        : isRetryable && "transient")
  if (verdict === undefined) return undefined
  const settled = settle(verdict, retryAfter)
  // Who says that a retry is wrong is right about the retry, whatever else is known.
  return isRetryable === false && settled.retried ? { ...settled, retried: false } : settled
}

/**
 * What a failure means. Never throws, whatever the failure is; a rule that
 * throws throws through.
 *
 * **Details**
 *
 * `options.now`, in milliseconds of the epoch, turns a `retryAfter` that is a
 * date into a duration. Without it such a date counts only if the response has
 * a `Date` header.
 *
 * @category classification
 * @since 0.1.0
 */
export const classify = (
  error: unknown,
  rules: ReadonlyArray<Rule> = [],
  options?: { readonly now?: number | undefined }
): Classification => {
  const now = options?.now
  for (const rule of rules) {
    const verdict = rule(error)
    if (verdict !== undefined) return settle(verdict, hintOf(error, now))
  }
  // Eight levels, because a cause may be its own cause.
  for (let depth = 0, current = error; depth < 8 && current !== undefined; depth++, current = read(current, "cause")) {
    const found = judge(current, now)
    if (found !== undefined) return found
  }
  return settle("transient", undefined)
}

/**
 * What a failure means to a circuit breaker.
 *
 * @category conversions
 * @since 0.1.0
 */
export const toOutcome = ({ counted, retryAfter }: Classification): Outcome.Outcome =>
  counted ? (retryAfter === undefined ? Outcome.failure : Outcome.failureAfter(retryAfter)) : Outcome.ignored

/**
 * The rules in force, first one first.
 *
 * @category references
 * @since 0.1.0
 */
export const Rules = /*#__PURE__*/ Context.Reference<ReadonlyArray<Rule>>("breakwater/Errors/Rules", {
  defaultValue: () => []
})

/**
 * Puts rules in front of those in force, for everything below it.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerRules = (rules: ReadonlyArray<Rule>): Layer.Layer<never> =>
  // Fresh, because a memoized layer keeps the rules it found where it was built first.
  Layer.fresh(
    Layer.effect(
      Rules,
      Effect.map(Rules, (outer) => [...rules, ...outer])
    )
  )
