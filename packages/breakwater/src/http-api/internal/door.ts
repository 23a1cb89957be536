/**
 * Everything that happens to every request, in one place: a request id, the
 * host and the origin, a key, a place among those that are handled at once, the
 * handler, one envelope for what fails, an entry in the audit log for a write
 * that nobody recorded, and the headers of a private answer.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Types from "effect/Types"
import * as Errors from "../../Errors.ts"
import * as Monotonic from "../../Monotonic.ts"
import { AdminKeys, type Caller, CurrentCaller } from "../AdminKeys.ts"
import * as AdminError from "../AdminError.ts"
import { Audit } from "../Audit.ts"
import * as failure from "./failure.ts"
import { Gate } from "./gate.ts"
import { Hosts } from "./hosts.ts"
import { maxBodyBytes, maxHeaderBytes, maxUrlLength } from "./limits.ts"
import { privateHeaders } from "./privateHeaders.ts"
import * as problem from "./problem.ts"
import * as routes from "./routes.ts"
import { type Facts, Recorded, Visit } from "./visit.ts"
import { WrongKeys } from "./wrongKeys.ts"

const handling = { permits: 32, patience: "250 millis", maxWaiting: 1_024 } as const

const requestIdPattern = /^[A-Za-z0-9._-]{1,64}$/

const requestIdOf = (given: string | undefined): string =>
  given !== undefined && requestIdPattern.test(given) ? given : SecureRandom.uuidV4Unsafe()

// A header that is there counts as a credential, whatever it holds.
const credentialsOf = (headers: HttpServerRequest.HttpServerRequest["headers"]): ReadonlyArray<string> => {
  const bearer = headers["authorization"]
  const apiKey = headers["x-api-key"]
  return [
    ...(bearer === undefined ? [] : [/^Bearer +(\S+)$/i.exec(bearer)?.[1] ?? ""]),
    ...(apiKey === undefined ? [] : [apiKey])
  ]
}

const unauthenticated = (): Errors.AuthenticationError =>
  new Errors.AuthenticationError({ message: "A valid API key is required" })

const authenticate = (keys: AdminKeys["Service"], wrongKeys: WrongKeys) =>
  Effect.fnUntraced(function* (
    request: HttpServerRequest.HttpServerRequest
  ): Effect.fn.Return<Caller, Errors.AuthenticationError | Errors.RateLimitError> {
    const presented = credentialsOf(request.headers)
    if (presented.every((key) => key === "")) return yield* unauthenticated()
    const [first, ...others] = yield* Effect.forEach(presented, (key) => keys.identify(Redacted.make(key)))
    if (
      first !== undefined &&
      Option.isSome(first.scope) &&
      others.every(({ id, scope }) => Option.isSome(scope) && id === first.id)
    ) {
      return { id: first.id, scope: first.scope.value }
    }
    const address = Option.getOrElse(request.peerAddress, () => "unknown")
    const wait = wrongKeys.add(address, Monotonic.now(yield* Clock.Clock))
    if (wait > 0) {
      return yield* new Errors.RateLimitError({ message: "Too many wrong API keys", retryAfter: Duration.millis(wait) })
    }
    yield* Effect.logWarning("Wrong API key").pipe(Effect.annotateLogs({ key: first?.id, address }))
    return yield* unauthenticated()
  })

const checkLength = ({ headers }: HttpServerRequest.HttpServerRequest) =>
  Number(headers["content-length"] ?? 0) > maxBodyBytes ? Effect.fail(failure.ofStatus(413)) : Effect.void

const headerBytes = (headers: Readonly<Record<string, string | undefined>>): number => {
  let sum = 0
  // What goes over the wire for each: `name: value` and the end of the line.
  for (const name in headers) sum += name.length + (headers[name]?.length ?? 0) + 4
  return sum
}

const busy = (): Errors.ServiceUnavailableError =>
  new Errors.ServiceUnavailableError({
    message: "Too many requests are handled at once",
    retryAfter: Duration.seconds(1)
  })

// A refusal that was answered below us, without an envelope.
const isBare = ({ body, status }: HttpServerResponse.HttpServerResponse): boolean =>
  status >= 400 && !(body._tag !== "Empty" && isOwnType(body.contentType))

const isOwnType = (type: string | undefined): boolean =>
  type !== undefined && (type.startsWith("application/json") || type.startsWith(problem.contentType))

// A page may run the scripts that it came with, and talk to its own origin only.
const pagePolicy = Effect.fnUntraced(function* (digest: Digest.Digest["Service"], html: string) {
  const scripts = Array.from(html.matchAll(/<script>([^]*?)<\/script>/g), ([, source = ""]) => source)
  const hashes = yield* Effect.forEach(scripts, (source) =>
    Effect.map(
      digest.digest(Digest.sha256, new TextEncoder().encode(source)),
      (hash) => `'sha256-${Base64.encode(hash)}'`
    )
  )
  return [
    "default-src 'none'",
    `script-src ${hashes.join(" ")}`,
    "style-src 'unsafe-inline'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'none'"
  ].join("; ")
})

type Handler = Effect.Effect<HttpServerResponse.HttpServerResponse, Types.unhandled>

/**
 * Lets a request in, or says why not. @internal
 */
export class Door extends Context.Service<
  Door,
  {
    readonly enter: (
      handler: Handler,
      request: HttpServerRequest.HttpServerRequest,
      at: { readonly facts: Facts; readonly isOpen: boolean }
    ) => Handler
    /** Why a request is refused, whatever it wants. */
    readonly refusal: (request: HttpServerRequest.HttpServerRequest) => AdminError.AdminError | undefined
    /** Whether a path is ours to answer. */
    readonly isOurs: (url: string) => boolean
  }
>()("breakwater/http-api/Door") {}

/** @internal */
export interface Options {
  /** Names that the server answers to, beside those of the loopback address. */
  readonly hosts: ReadonlyArray<string>
  /** Whether every path is ours. */
  readonly isAlone: boolean
  readonly hasProbes: boolean
}

const make = Effect.fnUntraced(function* (options: Options) {
  const identify = authenticate(yield* AdminKeys, new WrongKeys())
  const audit = yield* Audit
  const digest = yield* Digest.Digest
  const server = yield* Effect.serviceOption(HttpServer.HttpServer)
  const port = Option.match(server, {
    onNone: () => undefined,
    onSome: ({ address }) => (address._tag === "UnixPathAddress" ? undefined : address.port)
  })
  const hosts = new Hosts(options.hosts, port)
  const gate = new Gate(handling)
  const policies = new WeakMap<HttpServerResponse.HttpServerResponse, string>()

  const policyOf = Effect.fnUntraced(function* (response: HttpServerResponse.HttpServerResponse) {
    const { body } = response
    if (body._tag !== "Uint8Array" || !body.contentType.startsWith("text/html")) return undefined
    const known = policies.get(response)
    if (known !== undefined) return known
    const policy = yield* pagePolicy(digest, new TextDecoder().decode(body.body))
    policies.set(response, policy)
    return policy
  })

  return Door.of({
    isOurs: (url) => options.isAlone || routes.isOurs(url) || (options.hasProbes && routes.isProbe(url)),
    refusal: (request) => {
      if (request.url.length > maxUrlLength) {
        return new Errors.ValidationError({ message: "The URL is longer than 8 KB" })
      }
      if (headerBytes(request.headers) > maxHeaderBytes) return failure.ofStatus(431)
      return hosts.refusal(request, { addresses: routes.isProbe(request.url) })
    },
    enter: Effect.fnUntraced(function* (handler, request, { facts, isOpen }) {
      const requestId = requestIdOf(request.headers["x-request-id"])
      const recorded: Recorded = { by: undefined }
      let actor: string | undefined
      const admitted = isOpen
        ? handler
        : Effect.flatMap(identify(request), (caller) => {
            actor = caller.id
            return Effect.andThen(checkLength(request), gate.pass(handler, busy)).pipe(
              Effect.provideService(CurrentCaller, Option.some(caller)),
              Effect.annotateLogs({ key: caller.id })
            )
          })
      const answered = Effect.gen(function* () {
        const response = yield* admitted.pipe(
          Effect.catchCause(failure.respondAll),
          Effect.filterOrElse(
            (response) => !isBare(response) || routes.isProbe(request.url),
            ({ status }) => failure.respond(failure.ofStatus(status))
          )
        )
        if (facts.isWrite === true && actor !== undefined && recorded.by === undefined) {
          const { status } = response
          yield* audit.record({
            actor,
            action: facts.endpoint,
            resource: routes.resourceOf(request.url),
            result: status < 400 ? undefined : AdminError.codeOf(status)
          })
        }
        return response
      })
      const response = yield* answered.pipe(
        Effect.provideService(Visit, {
          ...facts,
          requestId,
          wantsProblem: problem.isWanted(request.headers["accept"])
        }),
        Effect.provideService(Recorded, recorded),
        Effect.annotateLogs({ request_id: requestId, endpoint: facts.endpoint })
      )
      const policy = yield* policyOf(response)
      return HttpServerResponse.setHeaders(response, {
        ...privateHeaders,
        ...(policy === undefined ? {} : { "content-security-policy": policy }),
        "x-request-id": requestId
      })
    })
  })
})

/** @internal */
export const layer = (options: Options): Layer.Layer<Door, never, AdminKeys | Audit> =>
  Layer.effect(Door, make(options)).pipe(Layer.provide(Digest.layerWebCrypto))

/** Puts the door before the routes that it is provided to. @internal */
export const beforeRoutes = (options: { readonly docsAreOpen: boolean }) =>
  HttpRouter.middleware(
    Effect.map(
      Door,
      ({ enter }) =>
        (handler: Handler) =>
          Effect.gen(function* () {
            const request = yield* HttpServerRequest.HttpServerRequest
            const { route } = yield* HttpRouter.RouteContext
            const isOpen = routes.isDocumentation(route) ? options.docsAreOpen : !routes.isGuarded(route.path)
            return yield* enter(handler, request, { facts: routes.factsOf(route), isOpen })
          })
    )
  ).layer

const refuse = (request: HttpServerRequest.HttpServerRequest) => failure.respond(routes.refusal(request))

/** Turns away what may not be looked at, and answers what is ours and has no route. @internal */
export const withoutRoute = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const { enter, isOurs, refusal } = yield* Door
    // A route of the application may take every path, hence these.
    // Not `*`: a HEAD that nobody answers goes to the route of its GET.
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] as const) {
      yield* router.add(method, "/internal/*", refuse)
      yield* router.add(method, `${routes.root}/*`, refuse)
    }
    yield* router.addGlobalMiddleware((handler) =>
      Effect.gen(function* () {
        const request = yield* HttpServerRequest.HttpServerRequest
        if (!isOurs(request.url)) return yield* handler
        const refused = refusal(request)
        if (refused !== undefined) {
          return yield* enter(failure.respond(refused), request, {
            facts: routes.factsOfRequest(request),
            isOpen: true
          })
        }
        // Some methods, and paths that can not be decoded, are lost before any route.
        return yield* Effect.catchCauseIf(handler, isLost, () =>
          enter(refuse(request), request, { facts: routes.unknown, isOpen: !routes.isGuarded(request.url) })
        )
      })
    )
  })
)

const isLost = (cause: Cause.Cause<unknown>): boolean => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  return HttpServerError.isHttpServerError(error) && error.reason._tag === "RouteNotFound"
}
