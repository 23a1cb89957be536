/**
 * Everything that happens to every request, in one place: a request id, a key,
 * the handler, one envelope for what fails, and the headers of a private answer.
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
import * as failure from "./failure.ts"
import * as routes from "./routes.ts"
import { type Facts, Visit } from "./visit.ts"
import { WrongKeys } from "./wrongKeys.ts"

/** The largest body in bytes. @internal */
export const maxBodyBytes = 64 * 1024

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

// A refusal that was answered below us, without an envelope.
const isBare = ({ body, status }: HttpServerResponse.HttpServerResponse): boolean =>
  status >= 400 && !(body._tag !== "Empty" && body.contentType?.startsWith("application/json"))

const privateHeaders = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  vary: "Origin",
  "x-content-type-options": "nosniff"
}

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
  }
>()("breakwater/http-api/Door") {}

const make = Effect.gen(function* () {
  const identify = authenticate(yield* AdminKeys, new WrongKeys())
  const digest = yield* Digest.Digest
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
    enter: Effect.fnUntraced(function* (handler, request, { facts, isOpen }) {
      const requestId = requestIdOf(request.headers["x-request-id"])
      const admitted = isOpen
        ? handler
        : Effect.flatMap(identify(request), (caller) =>
            Effect.andThen(checkLength(request), handler).pipe(
              Effect.provideService(CurrentCaller, Option.some(caller)),
              Effect.annotateLogs({ key: caller.id })
            )
          )
      const response = yield* admitted.pipe(
        Effect.catchCause(failure.respondAll),
        Effect.filterOrElse(
          (response) => !isBare(response),
          ({ status }) => failure.respond(failure.ofStatus(status))
        ),
        Effect.provideService(Visit, { ...facts, requestId }),
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
export const layer: Layer.Layer<Door, never, AdminKeys> = Layer.effect(Door, make).pipe(
  Layer.provide(Digest.layerWebCrypto)
)

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

/** Answers what is ours and has no route. @internal */
export const withoutRoute = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const { enter } = yield* Door
    // A route of the application may take every path, hence these.
    // Not `*`: a HEAD that nobody answers goes to the route of its GET.
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] as const) {
      yield* router.add(method, "/internal/*", refuse)
      yield* router.add(method, `${routes.root}/*`, refuse)
    }
    // Other methods, and paths that can not be decoded, are lost before any route.
    yield* router.addGlobalMiddleware((handler) =>
      Effect.catchCause(handler, (cause) =>
        Effect.flatMap(HttpServerRequest.HttpServerRequest, (request) =>
          isLost(cause) && routes.isOurs(request.url)
            ? enter(refuse(request), request, { facts: routes.unknown, isOpen: !routes.isGuarded(request.url) })
            : Effect.failCause(cause)
        )
      )
    )
  })
)

const isLost = (cause: Cause.Cause<unknown>): boolean => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  return HttpServerError.isHttpServerError(error) && error.reason._tag === "RouteNotFound"
}
