import { assert, describe, it } from "@effect/vitest"
import * as AiError from "effect/ai/AiError"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Layer from "effect/Layer"
import * as PlatformError from "effect/PlatformError"
import * as Schema from "effect/Schema"
import * as SqlError from "effect/sql/SqlError"
import { createServer } from "node:net"
import * as Errors from "../src/Errors.ts"
import * as Outcome from "../src/Outcome.ts"
import * as ResilienceError from "../src/ResilienceError.ts"

const transient: Errors.Classification = { kind: "transient", retried: true, counted: true }
const limited: Errors.Classification = { kind: "rate_limited", retried: true, counted: true }
const unavailable: Errors.Classification = { kind: "unavailable", retried: true, counted: true }
const permanent: Errors.Classification = { kind: "permanent", retried: false, counted: false }
const unusable: Errors.Classification = { kind: "transient", retried: true, counted: false }
const after = (base: Errors.Classification, retryAfter: Duration.Input): Errors.Classification => ({
  ...base,
  retryAfter: Duration.fromInputUnsafe(retryAfter)
})

const classify = (error: unknown, now?: number) => Errors.classify(error, [], { now })

const withProps = (props: object, message = "boom") => Object.assign(new Error(message), props)

const classes = [
  Errors.ApplicationError,
  Errors.ValidationError,
  Errors.AuthenticationError,
  Errors.AuthorizationError,
  Errors.ConfigurationError,
  Errors.BusinessLogicError,
  Errors.RequestTooLargeError,
  Errors.InfrastructureError,
  Errors.AIServiceError,
  Errors.TransientAIError,
  Errors.RateLimitError,
  Errors.ServiceUnavailableError,
  Errors.PermanentAIError
] as const

const rows: ReadonlyArray<readonly [keyof typeof Errors.table, Errors.Kind, boolean, boolean, number]> = [
  ["ApplicationError", "permanent", false, false, 400],
  ["ValidationError", "permanent", false, false, 400],
  ["AuthenticationError", "permanent", false, false, 401],
  ["AuthorizationError", "permanent", false, false, 403],
  ["ConfigurationError", "permanent", false, false, 500],
  ["BusinessLogicError", "permanent", false, false, 422],
  ["RequestTooLargeError", "permanent", false, false, 413],
  ["InfrastructureError", "transient", true, true, 500],
  ["AIServiceError", "transient", true, true, 502],
  ["TransientAIError", "transient", true, true, 503],
  ["RateLimitError", "rate_limited", true, true, 429],
  ["ServiceUnavailableError", "unavailable", true, true, 503],
  ["PermanentAIError", "permanent", false, false, 502],
  ["ResilienceError", "unavailable", false, false, 503]
]

describe("the taxonomy", () => {
  it("has one row for every class and one for ResilienceError", () => {
    assert.sameMembers(
      Object.keys(Errors.table),
      rows.map(([tag]) => tag)
    )
    assert.sameMembers(Object.keys(Errors.table), [
      ...classes.map((Class) => new Class({ message: "" })._tag),
      "ResilienceError"
    ])
  })

  it.each(rows)("%s is %s, retried %s, counted %s, status %i", (tag, kind, retried, counted, status) => {
    assert.deepStrictEqual(Errors.table[tag], { kind, retried, counted, status })
  })

  for (const Class of classes) {
    const error = new Class({ message: "m", context: { operation: "op" }, cause: new Error("inner") })
    const row = Errors.table[error._tag]

    it(`${error._tag} is an Error that carries message, context and cause`, () => {
      assert.instanceOf(error, Error)
      assert.strictEqual(error._tag, Class.name)
      assert.strictEqual(error.message, "m")
      assert.deepStrictEqual(error.context, { operation: "op" })
      assert.strictEqual((error.cause as Error).message, "inner")
    })

    it(`${error._tag} is classified and given its status by the table, even behind a promise`, () => {
      const expected = { kind: row.kind, retried: row.retried, counted: row.counted }
      assert.deepStrictEqual(classify(error), expected)
      assert.deepStrictEqual(classify(new Cause.UnknownError(error)), expected)
      assert.strictEqual(Errors.statusOf(error), row.status)
    })

    it(`${error._tag} survives JSON`, () => {
      const json: unknown = JSON.parse(JSON.stringify(Schema.encodeSync(Errors.Known)(error)))
      const decoded = Schema.decodeUnknownSync(Errors.Known)(json)
      assert.isTrue(decoded instanceof Class)
      assert.strictEqual(decoded.message, "m")
      assert.deepStrictEqual(decoded.context, { operation: "op" })
      assert.strictEqual((decoded.cause as Error).message, "inner")
      assert.deepStrictEqual(classify(decoded), Errors.classify(error))
    })
  }

  it.effect("is yieldable and caught by tag", () =>
    Effect.gen(function* () {
      const program = Effect.gen(function* () {
        return yield* new Errors.BusinessLogicError({ message: "sold out" })
      })
      const caught = yield* program.pipe(
        Effect.catchTag("BusinessLogicError", (error) => Effect.succeed(error.message))
      )
      assert.strictEqual(caught, "sold out")
    })
  )

  it.each([Errors.RateLimitError, Errors.ServiceUnavailableError])(
    "%s hands on retryAfter, as text in JSON",
    (Class) => {
      const error = new Class({ message: "later", retryAfter: Duration.seconds(30) })
      assert.deepStrictEqual(
        classify(error),
        after(error._tag === "RateLimitError" ? limited : unavailable, "30 seconds")
      )
      const json = Schema.encodeSync(Errors.Known)(error)
      assert.deepInclude(json, { retryAfter: "30000 millis" })
      assert.deepStrictEqual(Schema.decodeUnknownSync(Class)(json).retryAfter, Duration.seconds(30))
    }
  )

  it("encodes any context, and decodes an object with a message as the object it is", () => {
    const cyclic: Record<string, unknown> = {}
    cyclic.self = cyclic
    const context = { at: new Date(0), big: 1n, map: new Map(), call: () => 1, cyclic, failed: new Error("x") }
    const json = JSON.stringify(
      Schema.encodeSync(Errors.ValidationError)(new Errors.ValidationError({ message: "m", context }))
    )
    assert.include(json, "1970-01-01T00:00:00.000Z")
    const plain = { finding: { message: "too long" } }
    const error = new Errors.ValidationError({ message: "m", context: plain })
    const decoded = Schema.decodeUnknownSync(Errors.ValidationError)(Schema.encodeSync(Errors.ValidationError)(error))
    assert.deepStrictEqual(decoded.context, plain)
  })

  it("does not take a foreign error with the same tag for ours", () => {
    assert.deepStrictEqual(classify({ _tag: "ValidationError" }), transient)
    assert.strictEqual(Errors.statusOf({ _tag: "ValidationError" }), 500)
    assert.strictEqual(Errors.statusOf({ _tag: "constructor" }), 500)
  })

  it("gives anything else status 500", () => {
    for (const value of [undefined, null, 1, "x", Symbol("x"), new Error("x")]) {
      assert.strictEqual(Errors.statusOf(value), 500)
    }
  })
})

describe("ResilienceError", () => {
  const second = Duration.seconds(1)
  const timeout = (scope: "attempt" | "total") =>
    new ResilienceError.TimeoutExceeded({ scope, limit: second, elapsed: second })
  const refused = { kind: "unavailable", retried: false, counted: false } as const

  it.each<readonly [string, ResilienceError.Reason, Errors.Classification]>([
    ["CircuitOpen", new ResilienceError.CircuitOpen({ retryAfter: second }), after(refused, second)],
    ["CircuitHalfOpen", new ResilienceError.CircuitHalfOpen({ retryAfter: second }), after(refused, second)],
    ["CircuitIsolated", new ResilienceError.CircuitIsolated({ because: "repair" }), refused],
    [
      "BulkheadFull",
      new ResilienceError.BulkheadFull({ active: 1, queued: 0, limit: 1, waited: Duration.zero }),
      refused
    ],
    [
      "RateLimitExceeded",
      new ResilienceError.RateLimitExceeded({ scope: "quota", retryAfter: second, limit: 5 }),
      { ...after(refused, second), kind: "rate_limited" }
    ],
    ["TimeoutExceeded of an attempt", timeout("attempt"), transient],
    ["TimeoutExceeded of the whole call", timeout("total"), { kind: "transient", retried: false, counted: true }]
  ])("%s", (_, reason, expected) => {
    const error = ResilienceError.reject("op", undefined, reason)
    assert.deepStrictEqual(classify(error), expected)
    assert.strictEqual(Errors.statusOf(error), reason._tag === "RateLimitExceeded" ? 429 : 503)
  })
})

describe("rules", () => {
  it("come before everything else, in order, and undefined asks the next", () => {
    const seen: Array<string> = []
    const rule =
      (name: string, verdict: ReturnType<Errors.Rule>): Errors.Rule =>
      () => {
        seen.push(name)
        return verdict
      }
    const error = new Errors.ValidationError({ message: "m" })
    const rules = [rule("a", undefined), rule("b", "transient"), rule("c", "permanent")]
    assert.deepStrictEqual(Errors.classify(error, rules), transient)
    assert.deepStrictEqual(seen, ["a", "b"])
  })

  it("fall back to the built-in judgement when none has an opinion", () => {
    assert.deepStrictEqual(Errors.classify(new Errors.ValidationError({ message: "m" }), [() => undefined]), permanent)
  })

  it.each<readonly [Errors.Kind, Errors.Classification]>([
    ["transient", transient],
    ["rate_limited", limited],
    ["unavailable", unavailable],
    ["permanent", permanent]
  ])("read the bare kind %s as a whole classification", (kind, expected) => {
    assert.deepStrictEqual(Errors.classify("x", [() => kind]), expected)
  })

  it("keep the failure's own retryAfter behind a bare kind", () => {
    assert.deepStrictEqual(Errors.classify({ retryAfter: 2 }, [() => "unavailable"]), after(unavailable, "2 seconds"))
    assert.deepStrictEqual(Errors.classify({ retryAfter: 2 }, [() => "permanent"]), permanent)
  })

  it("give a whole classification unchanged", () => {
    const verdict: Errors.Classification = { kind: "permanent", retried: false, counted: true }
    assert.strictEqual(Errors.classify({ retryAfter: 2 }, [() => verdict]), verdict)
  })

  it("throw through", () => {
    assert.throws(
      () =>
        Errors.classify("x", [
          () => {
            throw new Error("bad rule")
          }
        ]),
      "bad rule"
    )
  })

  it.effect("are empty by default, and layers put theirs in front", () =>
    Effect.gen(function* () {
      const a: Errors.Rule = () => undefined
      const b: Errors.Rule = () => "permanent"
      const inner = Errors.layerRules([a])
      assert.deepStrictEqual(yield* Errors.Rules, [])
      assert.deepStrictEqual(yield* Effect.provide(Errors.Rules, inner), [a])
      const nested = Errors.Rules.pipe(Effect.provide(inner), Effect.provide(Errors.layerRules([b])))
      assert.deepStrictEqual(yield* nested, [a, b])
      const layered = inner.pipe(Layer.provideMerge(Errors.layerRules([b])))
      assert.deepStrictEqual(yield* Effect.provide(Errors.Rules, layered), [a, b])
    })
  )

  it.effect("are put in front of what is in force at each place, though the layer is one value", () =>
    Effect.gen(function* () {
      const a: Errors.Rule = () => undefined
      const b: Errors.Rule = () => "permanent"
      const shared = Errors.layerRules([a])
      const nested = Errors.Rules.pipe(
        Effect.provide(shared),
        Effect.provide(Errors.layerRules([b])),
        Effect.provide(shared)
      )
      assert.deepStrictEqual(yield* nested, [a, b, a])
    })
  )
})

describe("HTTP", () => {
  const request = HttpClientRequest.get("https://example.com/")
  const respond = (status: number, headers: Record<string, string> = {}) =>
    HttpClientResponse.fromWeb(request, new Response(null, { status, headers }))
  const failed = (reason: HttpClientError.HttpClientErrorReason) => new HttpClientError.HttpClientError({ reason })
  const statusError = (status: number, headers?: Record<string, string>) =>
    failed(new HttpClientError.StatusCodeError({ request, response: respond(status, headers) }))

  const statuses: ReadonlyArray<readonly [number, Errors.Classification]> = [
    [301, permanent],
    [304, permanent],
    [400, permanent],
    [401, permanent],
    [404, permanent],
    [408, transient],
    [409, permanent],
    [418, permanent],
    [422, permanent],
    [425, transient],
    [429, limited],
    [500, transient],
    [501, permanent],
    [502, transient],
    [503, unavailable],
    [504, transient],
    [505, permanent],
    [529, unavailable],
    [599, transient]
  ]

  it.each(statuses)("status %i means the same in every shape of error", (status, expected) => {
    assert.deepStrictEqual(classify(statusError(status)), expected)
    assert.deepStrictEqual(classify(withProps({ status })), expected)
    assert.deepStrictEqual(classify(withProps({ statusCode: status })), expected)
    assert.deepStrictEqual(classify(withProps({ response: { status, headers: {} } })), expected)
    assert.deepStrictEqual(classify(new Response(null, { status })), expected)
    assert.deepStrictEqual(classify(respond(status)), expected)
    assert.deepStrictEqual(classify(new Cause.UnknownError(withProps({ status }))), expected)
  })

  it.each([0, 1, 127, 200, 299, 600, 404.5, NaN, "404"])("a status %s is no HTTP failure", (status) => {
    assert.deepStrictEqual(classify(withProps({ status })), transient)
  })

  it.each<readonly [string, HttpClientError.HttpClientErrorReason, Errors.Classification]>([
    ["TransportError", new HttpClientError.TransportError({ request, cause: new Error("x") }), transient],
    ["EncodeError", new HttpClientError.EncodeError({ request }), permanent],
    ["InvalidUrlError", new HttpClientError.InvalidUrlError({ request }), permanent],
    ["StatusCodeError", new HttpClientError.StatusCodeError({ request, response: respond(200) }), permanent],
    ["DecodeError", new HttpClientError.DecodeError({ request, response: respond(200) }), permanent],
    ["EmptyBodyError", new HttpClientError.EmptyBodyError({ request, response: respond(200) }), permanent],
    ["an undeclared status", new HttpClientError.DecodeError({ request, response: respond(503) }), unavailable]
  ])("%s without a telling status", (_, reason, expected) => {
    assert.deepStrictEqual(classify(failed(reason)), expected)
  })

  const date = "Sun, 06 Nov 1994 08:49:37 GMT"
  const earlier = "Sun, 06 Nov 1994 08:49:27 GMT"
  const now = Date.parse(date) - 4_000

  it.each<readonly [string, Record<string, string>, number | undefined, Errors.Classification]>([
    ["seconds", { "retry-after": "7" }, undefined, after(limited, "7 seconds")],
    ["a date, against the Date header", { "retry-after": date, date: earlier }, now, after(limited, "10 seconds")],
    ["a date, against now", { "retry-after": date }, now, after(limited, "4 seconds")],
    ["a date in the past", { "retry-after": earlier, date }, undefined, after(limited, 0)],
    ["a date, against nothing", { "retry-after": date }, undefined, limited],
    ["nonsense", { "retry-after": "soon" }, now, limited],
    ["a negative number", { "retry-after": "-7" }, now, limited]
  ])("Retry-After: %s", (_, headers, at, expected) => {
    assert.deepStrictEqual(classify(statusError(429, headers), at), expected)
    assert.deepStrictEqual(classify(withProps({ status: 429, headers: new Headers(headers) }), at), expected)
    assert.deepStrictEqual(classify(withProps({ response: { status: 429, headers } }), at), expected)
  })

  it("reads header names in any case, and no header that is not text", () => {
    assert.deepStrictEqual(
      classify(withProps({ status: 503, headers: { "Retry-After": "3" } })),
      after(unavailable, "3 seconds")
    )
    for (const headers of ["Retry-After: 3", null, { "retry-after": {} }, { get: () => 3 }]) {
      assert.deepStrictEqual(classify(withProps({ status: 503, headers })), unavailable)
    }
  })

  it("lets isRetryable forbid the retry, not the count", () => {
    assert.deepStrictEqual(classify(withProps({ status: 503, isRetryable: false })), {
      kind: "unavailable",
      retried: false,
      counted: true
    })
    assert.deepStrictEqual(classify(withProps({ status: 404, isRetryable: true })), permanent)
  })
})

describe("AiError", () => {
  const http = (status: number, headers: Record<string, string> = {}) => ({ response: { status, headers } })
  const network = (reason: "TransportError" | "EncodeError" | "InvalidUrlError") =>
    new AiError.NetworkError({ reason, method: "GET", url: "https://example.com" })

  it.each<readonly [string, AiError.AiErrorReason, Errors.Classification]>([
    ["RateLimitError", new AiError.RateLimitError({}), limited],
    [
      "RateLimitError that knows when",
      new AiError.RateLimitError({ retryAfter: Duration.seconds(9) }),
      after(limited, "9 seconds")
    ],
    [
      "RateLimitError with a header",
      new AiError.RateLimitError({ http: http(429, { "Retry-After": "9" }) }),
      after(limited, "9 seconds")
    ],
    ["QuotaExhaustedError", new AiError.QuotaExhaustedError({ http: http(429) }), { ...limited, retried: false }],
    ["AuthenticationError", new AiError.AuthenticationError({ kind: "InvalidKey" }), permanent],
    ["ContentPolicyError", new AiError.ContentPolicyError({ description: "no" }), permanent],
    ["InvalidRequestError", new AiError.InvalidRequestError({}), permanent],
    ["InvalidResponseError", new AiError.InvalidResponseError({ description: "no" }), permanent],
    [
      "InternalProviderError, whatever the status",
      new AiError.InternalProviderError({ description: "no", http: http(501) }),
      transient
    ],
    ["InternalProviderError", new AiError.InternalProviderError({ description: "no" }), transient],
    ["NetworkError: transport", network("TransportError"), transient],
    ["NetworkError: encode", network("EncodeError"), permanent],
    ["NetworkError: url", network("InvalidUrlError"), permanent],
    ["InvalidOutputError", new AiError.InvalidOutputError({ description: "no" }), unusable],
    ["StructuredOutputError", new AiError.StructuredOutputError({ description: "no", responseText: "{" }), unusable],
    ["UnsupportedSchemaError", new AiError.UnsupportedSchemaError({ description: "no" }), permanent],
    ["UnknownError", new AiError.UnknownError({}), permanent],
    ["ToolNotFoundError", new AiError.ToolNotFoundError({ toolName: "t", availableTools: [] }), unusable],
    [
      "ToolParameterValidationError",
      new AiError.ToolParameterValidationError({ toolName: "t", description: "no" }),
      unusable
    ],
    ["ToolConfigurationError", new AiError.ToolConfigurationError({ toolName: "t", description: "no" }), permanent],
    ["InvalidUserInputError", new AiError.InvalidUserInputError({ description: "no" }), permanent]
  ])("%s", (_, reason, expected) => {
    const error = AiError.make({ module: "Model", method: "generateText", reason })
    assert.deepStrictEqual(classify(error), expected)
    assert.deepStrictEqual(classify(new Cause.UnknownError(error)), expected)
    assert.strictEqual(Errors.classify(error).retried, error.isRetryable)
  })
})

describe("PlatformError", () => {
  const system: ReadonlyArray<readonly [PlatformError.SystemErrorTag, Errors.Classification]> = [
    ["TimedOut", transient],
    ["Busy", transient],
    ["WouldBlock", transient],
    ["UnexpectedEof", transient],
    ["WriteZero", transient],
    ["Unknown", transient],
    ["NotFound", permanent],
    ["PermissionDenied", permanent],
    ["AlreadyExists", permanent],
    ["BadResource", permanent],
    ["InvalidData", permanent]
  ]
  it.each(system)("%s", (_tag, expected) => {
    assert.deepStrictEqual(
      classify(PlatformError.systemError({ _tag, module: "FileSystem", method: "open" })),
      expected
    )
  })

  it("BadArgument is permanent", () => {
    assert.deepStrictEqual(classify(PlatformError.badArgument({ module: "FileSystem", method: "open" })), permanent)
  })
})

describe("SqlError", () => {
  const cause = new Error("driver")
  it.each<readonly [string, SqlError.SqlErrorReason, Errors.Classification]>([
    ["ConnectionError", new SqlError.ConnectionError({ cause }), transient],
    ["DeadlockError", new SqlError.DeadlockError({ cause }), transient],
    ["SerializationError", new SqlError.SerializationError({ cause }), transient],
    ["LockTimeoutError", new SqlError.LockTimeoutError({ cause }), transient],
    ["StatementTimeoutError", new SqlError.StatementTimeoutError({ cause }), transient],
    ["AuthenticationError", new SqlError.AuthenticationError({ cause }), permanent],
    ["AuthorizationError", new SqlError.AuthorizationError({ cause }), permanent],
    ["SqlSyntaxError", new SqlError.SqlSyntaxError({ cause }), permanent],
    ["UniqueViolation", new SqlError.UniqueViolation({ cause, constraint: "pk" }), permanent],
    ["ConstraintError", new SqlError.ConstraintError({ cause }), permanent],
    ["UnknownError", new SqlError.UnknownError({ cause }), permanent]
  ])("%s", (_, reason, expected) => {
    assert.deepStrictEqual(classify(new SqlError.SqlError({ reason })), expected)
  })
})

describe("Effect, Node and browsers", () => {
  it.effect("an Effect timeout is transient, a failed decoding permanent", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(classify(new Cause.TimeoutError()), transient)
      assert.deepStrictEqual(classify({ _tag: "TimeoutError", cause: { code: "ENOENT" } }), transient)
      const decoding = yield* Effect.flip(Schema.decodeUnknownEffect(Schema.Number)("x"))
      assert.deepStrictEqual(classify(decoding), permanent)
    })
  )

  it("an abort is the caller's wish, a signal that timed out is not", () => {
    assert.deepStrictEqual(classify(AbortSignal.abort().reason), permanent)
    assert.deepStrictEqual(classify(new DOMException("stop", "AbortError")), permanent)
    assert.deepStrictEqual(classify(new DOMException("late", "TimeoutError")), transient)
    assert.deepStrictEqual(classify(withProps({ name: "AbortError", code: "ABORT_ERR" })), permanent)
  })

  const transientCodes =
    "ECONNREFUSED ECONNRESET ECONNABORTED ETIMEDOUT EPIPE EAI_AGAIN ENOTFOUND ENETUNREACH EHOSTUNREACH ENETDOWN " +
    "EADDRNOTAVAIL EBUSY EAGAIN EMFILE ENFILE UND_ERR_CONNECT_TIMEOUT UND_ERR_HEADERS_TIMEOUT UND_ERR_BODY_TIMEOUT " +
    "UND_ERR_SOCKET ERR_NETWORK ERR_TLS_HANDSHAKE_TIMEOUT"
  const permanentCodes =
    "ENOENT EACCES EPERM EINVAL EEXIST ENOTDIR EISDIR CERT_HAS_EXPIRED CERT_NOT_YET_VALID ERR_CANCELED " +
    "ERR_TLS_CERT_ALTNAME_INVALID SELF_SIGNED_CERT_IN_CHAIN ERR_INVALID_URL"

  it.each([
    ...transientCodes.split(" ").map((code) => [code, transient] as const),
    ...permanentCodes.split(" ").map((code) => [code, permanent] as const)
  ])("%s means the same at any depth", (code, expected) => {
    const error = withProps({ code })
    assert.deepStrictEqual(classify(error), expected)
    assert.deepStrictEqual(classify(new TypeError("fetch failed", { cause: error })), expected)
    assert.deepStrictEqual(classify(new Cause.UnknownError(new TypeError("fetch failed", { cause: error }))), expected)
  })

  it("a code that is not in the table says nothing", () => {
    for (const code of [42, 20, "constructor", "__proto__", "", "EWHAT", "UNCERT_", null]) {
      assert.deepStrictEqual(classify(withProps({ code, isRetryable: false })), permanent)
      assert.deepStrictEqual(classify(withProps({ code, isRetryable: true })), transient)
    }
  })

  it.each(["fetch failed", "Failed to fetch", "NetworkError when attempting to fetch resource.", "Load failed"])(
    'a TypeError "%s" is transient',
    (message) => {
      assert.deepStrictEqual(classify(new TypeError(message)), transient)
    }
  )

  it.each([new TypeError("x"), new RangeError("x"), new ReferenceError("x"), new SyntaxError("x")])(
    "%s as a failure is unknown, so transient",
    (error) => {
      assert.deepStrictEqual(classify(error), transient)
    }
  )

  it.effect("a real fetch to a closed port is transient, to no URL permanent", () =>
    Effect.gen(function* () {
      const port = yield* Effect.promise(
        () =>
          new Promise<number>((resolve) => {
            const server = createServer().listen(0, "127.0.0.1", () => {
              const { port } = server.address() as { readonly port: number }
              server.close(() => resolve(port))
            })
          })
      )
      const get = (url: string) =>
        Effect.flip(Effect.tryPromise(() => fetch(url, { signal: AbortSignal.timeout(5_000) })))
      const refused = yield* get(`http://127.0.0.1:${port}/`)
      assert.strictEqual(((refused.cause as Error).cause as NodeJS.ErrnoException).code, "ECONNREFUSED")
      assert.deepStrictEqual(classify(refused), transient)
      assert.deepStrictEqual(classify(yield* get("http://[")), permanent)
      const controller = new AbortController()
      controller.abort()
      const aborted = yield* Effect.flip(
        Effect.tryPromise(() => fetch(`http://127.0.0.1:${port}/`, { signal: controller.signal }))
      )
      assert.deepStrictEqual(classify(aborted), permanent)
    })
  )

  it("the outermost opinion counts", () => {
    const inner = withProps({ code: "ENOENT" })
    assert.deepStrictEqual(classify(new Error("a", { cause: new Error("b", { cause: inner }) })), permanent)
    assert.deepStrictEqual(classify(withProps({ isRetryable: true, cause: inner })), transient)
    assert.deepStrictEqual(
      classify(withProps({ isRetryable: false, cause: withProps({ code: "ECONNRESET" }) })),
      permanent
    )
  })

  it("looks eight levels deep and no deeper", () => {
    const wrap = (levels: number): unknown => {
      let error: unknown = withProps({ code: "ENOENT" })
      for (let i = 0; i < levels; i++) error = new Error("outer", { cause: error })
      return error
    }
    assert.deepStrictEqual(classify(wrap(7)), permanent)
    assert.deepStrictEqual(classify(wrap(8)), transient)
  })
})

describe("isRetryable and retryAfter", () => {
  const now = 1_000_000
  it.each<readonly [string, object, Errors.Classification]>([
    ["false", { isRetryable: false }, permanent],
    ["false, with a hint", { isRetryable: false, retryAfter: 5 }, permanent],
    ["true", { isRetryable: true }, transient],
    ["neither boolean", { isRetryable: "no" }, transient],
    ["true and a Duration", { isRetryable: true, retryAfter: Duration.millis(1500) }, after(limited, "1500 millis")],
    ["true and seconds", { isRetryable: true, retryAfter: 1.5 }, after(limited, "1500 millis")],
    ["true and zero", { isRetryable: true, retryAfter: 0 }, after(limited, 0)],
    ["true and a Date", { isRetryable: true, retryAfter: new Date(now + 2_000) }, after(limited, "2 seconds")],
    ["true and a Date gone by", { isRetryable: true, retryAfter: new Date(now - 2_000) }, after(limited, 0)],
    ["true and a Date that is none", { isRetryable: true, retryAfter: new Date(NaN) }, transient],
    ["true and NaN", { isRetryable: true, retryAfter: NaN }, transient],
    ["true and below zero", { isRetryable: true, retryAfter: -1 }, transient],
    ["true and without end", { isRetryable: true, retryAfter: Infinity }, transient],
    ["true and a Duration without end", { isRetryable: true, retryAfter: Duration.infinity }, transient],
    ["true and a Duration below zero", { isRetryable: true, retryAfter: Duration.millis(-1) }, transient],
    ["true and a tag", { isRetryable: true, _tag: "MyRateLimitError" }, limited],
    ["a hint alone", { retryAfter: 3 }, after(limited, "3 seconds")],
    ["in the reason: false", { reason: { isRetryable: false } }, permanent],
    ["in the reason: a hint", { reason: { isRetryable: true, retryAfter: 3 } }, after(limited, "3 seconds")],
    ["in the reason: a tag", { reason: { isRetryable: true, _tag: "RateLimited" } }, limited]
  ])("%s", (_, props, expected) => {
    assert.deepStrictEqual(classify(props, now), expected)
    assert.deepStrictEqual(classify(withProps(props), now), expected)
  })

  it("a Date says nothing without now", () => {
    assert.deepStrictEqual(classify({ isRetryable: true, retryAfter: new Date(0) }), transient)
  })
})

describe("values that fight back", () => {
  const cyclic: Record<string, unknown> = {}
  Object.assign(cyclic, { cause: cyclic, reason: cyclic, response: cyclic })
  const bomb = () => {
    throw new Error("boom")
  }
  const traps = new Proxy({}, { get: bomb, has: bomb, getPrototypeOf: bomb, ownKeys: bomb })
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const getters = Object.defineProperties(
    {},
    Object.fromEntries(
      ["_tag", "name", "code", "cause", "reason", "response", "status", "headers", "isRetryable", "retryAfter"].map(
        (key) => [key, { get: bomb }]
      )
    )
  )
  it.each<readonly [string, unknown]>([
    ["undefined", undefined],
    ["null", null],
    ["a number", NaN],
    ["a bigint", 1n],
    ["a symbol", Symbol("x")],
    ["a function", () => 1],
    ["an object without prototype", Object.create(null)],
    ["a cycle", cyclic],
    ["a Proxy that throws", traps],
    ["a revoked Proxy", revoked.proxy],
    ["getters that throw", getters],
    ["a tag that is no text", { _tag: { toString: bomb }, name: Symbol("x"), code: {}, reason: { _tag: Symbol("x") } }],
    ["a tag of Object.prototype", { _tag: "constructor", reason: { _tag: "name" }, name: "__proto__" }],
    ["a forged ResilienceError", { _tag: "ResilienceError", reason: { _tag: "TimeoutExceeded" } }],
    ["a forged Duration", { retryAfter: { "~effect/Duration": "~effect/Duration" } }],
    ["a forged Date", { retryAfter: Object.create(Date.prototype) }],
    ["a retryAfter that is a trap", { retryAfter: traps, reason: traps }],
    ["a cause that is a trap", { cause: traps }]
  ])("%s is an unknown failure", (_, value) => {
    assert.deepStrictEqual(Errors.classify(value, [], { now: 0 }), transient)
    assert.deepStrictEqual(Errors.classify(new Cause.UnknownError(value), [], { now: 0 }), transient)
    assert.strictEqual(Errors.statusOf(value), 500)
  })

  it("headers that are a trap cost the hint only", () => {
    assert.deepStrictEqual(classify(withProps({ status: 503, headers: traps })), unavailable)
    assert.deepStrictEqual(classify(withProps({ status: 503, headers: { get: bomb } })), unavailable)
  })

  const key = Schema.Literals([
    "_tag",
    "name",
    "code",
    "cause",
    "reason",
    "response",
    "status",
    "headers",
    "isRetryable",
    "retryAfter",
    "http"
  ])
  const word = Schema.Literals([
    ...Object.keys(Errors.table),
    "AiError",
    "HttpClientError",
    "PlatformError",
    "SqlError",
    "get"
  ])
  const level = Schema.Record(key.pipe(Schema.optionalKey), Schema.Union([word, Schema.Unknown]))

  const total = (value: unknown) => {
    const { kind, retried, counted, retryAfter } = Errors.classify(value, [], { now: 0 })
    assert.oneOf(kind, ["transient", "rate_limited", "unavailable", "permanent"])
    assert.isBoolean(retried)
    assert.isBoolean(counted)
    assert.isTrue(retryAfter === undefined || (Duration.isFinite(retryAfter) && !Duration.isNegative(retryAfter)))
    assert.strictEqual(Errors.toOutcome({ kind, retried, counted, retryAfter })._tag, counted ? "Failure" : "Ignored")
    assert.isTrue(Number.isInteger(Errors.statusOf(value)))
  }
  it.prop("any value has a classification", [Schema.Unknown], ([value]) => total(value))
  it.prop("any value that looks like an error has a classification", [level, level], ([outer, inner]) => {
    total({ ...outer, cause: inner })
    total({ ...outer, reason: inner })
    total({ ...outer, response: inner })
  })
})

describe("toOutcome", () => {
  it("is a failure, with its hint, if counted, and ignored if not", () => {
    assert.deepStrictEqual(Errors.toOutcome(transient), Outcome.failure)
    assert.deepStrictEqual(Errors.toOutcome(after(limited, "1 second")), Outcome.failureAfter(Duration.seconds(1)))
    assert.deepStrictEqual(Errors.toOutcome(permanent), Outcome.ignored)
    assert.deepStrictEqual(Errors.toOutcome(after(unusable, "1 second")), Outcome.ignored)
  })
})
