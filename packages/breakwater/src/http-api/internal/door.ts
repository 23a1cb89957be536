/**
 * Everything that happens to every request, in one place: a request id, the
 * host and the origin, a key, a place among those that are handled at once, the
 * handler, one envelope for what fails, an entry in the audit log for a write
 * that nobody recorded, and the headers of a private answer.
 *
 * What can be decided from the head of a request is decided before its route is
 * looked for, by plain functions: who floods the port without a key has to cost
 * less than the calls that run beside it.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import type * as Fiber from "effect/Fiber"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerError from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as References from "effect/References"
import type * as Types from "effect/Types"
import * as Errors from "../../Errors.ts"
import * as Monotonic from "../../Monotonic.ts"
import { AdminKeys, type Caller, CurrentCaller, type Identity, identifyUnsafe } from "../AdminKeys.ts"
import * as AdminError from "../AdminError.ts"
import { Audit } from "../Audit.ts"
import { TrustedProxies } from "../TrustedProxies.ts"
import * as failure from "./failure.ts"
import { Gate } from "./gate.ts"
import { clientAddress } from "./clientAddress.ts"
import { callerOf, credentialsOf, identitiesOf } from "./credentials.ts"
import { hostCrypto } from "./hostCrypto.ts"
import { Hosts } from "./hosts.ts"
import { maxBodyBytes, maxHeaderBytes, maxUrlLength } from "./limits.ts"
import * as privateAnswer from "./privateAnswer.ts"
import { privateHeaders } from "./privateHeaders.ts"
import * as problem from "./problem.ts"
import { Reads } from "./reads.ts"
import * as routes from "./routes.ts"
import { type Facts, Visit } from "./visit.ts"
import { WrongKeys } from "./wrongKeys.ts"

type Request = HttpServerRequest.HttpServerRequest
type Response = HttpServerResponse.HttpServerResponse
type Handler = Effect.Effect<Response, Types.unhandled>
type AnyFiber = Fiber.Fiber<unknown, unknown>

const handling = { permits: 32, patience: "250 millis", maxWaiting: 1_024 } as const

const requestIdPattern = /^[A-Za-z0-9._-]{1,64}$/

const newRequestId: () => string = hostCrypto?.randomUUID ?? (() => SecureRandom.uuidV4Unsafe())

const requestIdOf = (given: string | undefined): string =>
  given !== undefined && requestIdPattern.test(given) ? given : newRequestId()

const unauthenticated: failure.Refusal = { status: 401, message: "A valid API key is required" }

const busy = (): Errors.ServiceUnavailableError =>
  new Errors.ServiceUnavailableError({
    message: "Too many requests are handled at once",
    retryAfter: Duration.seconds(1)
  })

const isTooLong = ({ headers }: Request): boolean => Number(headers["content-length"] ?? 0) > maxBodyBytes

const headerBytes = (headers: Readonly<Record<string, string | undefined>>): number => {
  let sum = 0
  // What goes over the wire for each: `name: value` and the end of the line.
  for (const name in headers) sum += name.length + (headers[name]?.length ?? 0) + 4
  return sum
}

// A refusal that was answered below us, without an envelope.
const isBare = ({ body, status }: Response): boolean =>
  status >= 400 && !(body._tag !== "Empty" && isOwnType(body.contentType))

const isOwnType = (type: string | undefined): boolean =>
  type !== undefined && (type.startsWith("application/json") || type.startsWith(problem.contentType))

const isLost = (cause: Cause.Cause<unknown>): boolean => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  return HttpServerError.isHttpServerError(error) && error.reason._tag === "RouteNotFound"
}

const requestOf = ({ context }: AnyFiber): Request => Context.getUnsafe(context, HttpServerRequest.HttpServerRequest)

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

/**
 * Lets a request in, or says why not. @internal
 */
export class Door extends Context.Service<
  Door,
  {
    /** Puts the door before every route, also before those that are not there. Reads may go past the routes. */
    readonly outer: (handler: Handler, options: { readonly hasReads: boolean }) => Handler
    /** Puts it before a route that was found. */
    readonly inner: (handler: Handler, options: { readonly docsAreOpen: boolean }) => Handler
  }
>()("breakwater/http-api/Door") {}

/** @internal */
export interface Options {
  /** Names that the server answers to, beside those of the loopback address. */
  readonly hosts: ReadonlyArray<string>
  /** Whether every path is ours. */
  readonly isAlone: boolean
  /** Whether somebody else has put a middleware before all routes. Asked when all of them are there. */
  readonly hasMiddleware?: (() => boolean) | undefined
  readonly hasProbes: boolean
}

const make = Effect.fnUntraced(function* (options: Options) {
  const keys = yield* AdminKeys
  const identifyAtOnce = identifyUnsafe(keys)
  const reads = yield* Reads
  const proxies = yield* TrustedProxies
  const wrongKeys = new WrongKeys()
  const audit = yield* Audit
  const digest = yield* Digest.Digest
  const server = yield* Effect.serviceOption(HttpServer.HttpServer)
  const port = Option.match(server, {
    onNone: () => undefined,
    onSome: ({ address }) => (address._tag === "UnixPathAddress" ? undefined : address.port)
  })
  const hosts = new Hosts(options.hosts, port)
  const gate = new Gate(handling)
  const policies = new WeakMap<Response, string>()

  const isOurs = (url: string): boolean =>
    options.isAlone || routes.isOurs(url) || (options.hasProbes && routes.isProbe(url))

  /** Why a request is refused, whatever it wants. */
  const refusal = (request: Request): AdminError.AdminError | undefined => {
    if (request.url.length > maxUrlLength) {
      return new Errors.ValidationError({ message: "The URL is longer than 8 KB" })
    }
    if (headerBytes(request.headers) > maxHeaderBytes) return failure.ofStatus(431)
    return hosts.refusal(request, { addresses: routes.isProbe(request.url) })
  }

  const policyOf = Effect.fnUntraced(function* (response: Response, html: Uint8Array) {
    const known = policies.get(response)
    if (known !== undefined) return known
    const policy = yield* pagePolicy(digest, new TextDecoder().decode(html))
    policies.set(response, policy)
    return policy
  })

  const finish = (response: Response, { requestId }: Visit): Effect.Effect<Response> => {
    const { body } = response
    const withHeaders = (extra?: { readonly [name: string]: string }) =>
      HttpServerResponse.setHeaders(response, { ...privateHeaders, ...extra, "x-request-id": requestId })
    return body._tag === "Uint8Array" && body.contentType.startsWith("text/html")
      ? Effect.map(policyOf(response, body.body), (policy) => withHeaders({ "content-security-policy": policy }))
      : Effect.succeed(withHeaders())
  }

  const settle = (response: Response, visit: Visit, request: Request): Effect.Effect<Response> => {
    if (isBare(response) && !routes.isProbe(request.url)) {
      return Effect.flatMap(failure.respond(failure.ofStatus(response.status)), (told) => settle(told, visit, request))
    }
    const { caller, facts, recordedBy } = visit
    if (facts.isWrite !== true || caller === undefined || recordedBy !== undefined) return finish(response, visit)
    return Effect.andThen(
      audit.record({
        actor: caller.id,
        action: facts.endpoint,
        resource: routes.resourceOf(request.url),
        result: response.status < 400 ? undefined : AdminError.codeOf(response.status)
      }),
      finish(response, visit)
    )
  }

  const visitOf = ({ headers }: Request, facts: Facts, caller: Caller | undefined): Visit => ({
    facts,
    requestId: requestIdOf(headers["x-request-id"]),
    accept: headers["accept"],
    caller,
    recordedBy: undefined
  })

  /** From here on this fiber is about this visit. The server puts the context back when the request ends. */
  const begin = (fiber: AnyFiber, visit: Visit): Visit => {
    const { caller, facts, requestId } = visit
    const annotations = {
      ...fiber.getRef(References.CurrentLogAnnotations),
      request_id: requestId,
      endpoint: facts.endpoint,
      ...(caller === undefined ? {} : { key: caller.id })
    }
    const context = fiber.context.pipe(
      Context.add(Visit, visit),
      Context.add(References.CurrentLogAnnotations, annotations)
    )
    fiber.setContext(caller === undefined ? context : Context.add(context, CurrentCaller, Option.some(caller)))
    return visit
  }

  const refuse = (fiber: AnyFiber, visit: Visit, refusal: failure.Refusal): Effect.Effect<Response> => {
    const { contentType, text } = failure.render(refusal, visit, fiber.getRef(Clock.Clock).currentTimeMillisUnsafe())
    const { requestId } = visit
    const { status } = refusal
    const response = privateAnswer.make(text, { requestId, status, contentType })
    return Effect.succeed(
      refusal === unauthenticated ? response : HttpServerResponse.setHeaders(response, failure.headersOf(refusal))
    )
  }

  const fail = (cause: Cause.Cause<unknown>, visit: Visit, request: Request): Effect.Effect<Response> => {
    const isLostHere = isLost(cause)
    if (isLostHere) visit.facts = routes.unknown
    return Effect.flatMap(
      isLostHere ? failure.respond(routes.refusal(request)) : failure.respondAll(cause),
      (response) => settle(response, visit, request)
    )
  }

  const conclude = (handler: Effect.Effect<Response, unknown>, visit: Visit, request: Request): Handler =>
    Effect.matchCauseEffect(handler, {
      onSuccess: (response) => settle(response, visit, request),
      onFailure: (cause) => fail(cause, visit, request)
    })

  const open = (handler: Handler, facts: (fiber: AnyFiber, request: Request) => Facts): Handler =>
    Effect.withFiber((fiber) => {
      const request = requestOf(fiber)
      return conclude(handler, begin(fiber, visitOf(request, facts(fiber, request), undefined)), request)
    })

  const stranger = (fiber: AnyFiber, request: Request, visit: Visit, first: Identity | undefined): Handler => {
    const address = clientAddress(proxies, request)
    const wait = wrongKeys.add(address, Monotonic.now(fiber.getRef(Clock.Clock)))
    if (wait > 0) {
      const retryAfter = failure.secondsOf(wait)
      return refuse(fiber, visit, { status: 429, message: "Too many wrong API keys", retryAfter })
    }
    begin(fiber, visit)
    return Effect.logWarning("Wrong API key").pipe(
      Effect.annotateLogs({ key: first?.id, address }),
      Effect.andThen(refuse(fiber, visit, unauthenticated))
    )
  }

  const behindGate = <A>(handler: Effect.Effect<A, Types.unhandled>): Effect.Effect<A, unknown> =>
    gate.pass(Effect.interruptible(handler), busy)
  const tooLong = Effect.suspend(() => Effect.fail(failure.ofStatus(413)))

  // Nothing below a reading asks about the visit, unless it fails.
  const read = (reading: Effect.Effect<string, unknown>, fiber: AnyFiber, visit: Visit, request: Request): Handler =>
    Effect.matchCauseEffect(reading, {
      onSuccess: (text) => Effect.succeed(privateAnswer.make(text, { requestId: visit.requestId })),
      onFailure: (cause) => fail(cause, begin(fiber, visit), request)
    })

  const guarded = (
    handler: Handler,
    facts: (fiber: AnyFiber, request: Request) => Facts,
    reading?: Effect.Effect<string, unknown>
  ): Handler => {
    const handled = behindGate(handler)
    const admit = (fiber: AnyFiber, request: Request, identities: ReadonlyArray<Identity>): Handler => {
      const caller = callerOf(identities)
      const visit = visitOf(request, facts(fiber, request), caller)
      if (caller === undefined) return stranger(fiber, request, visit, identities[0])
      if (isTooLong(request)) return conclude(tooLong, begin(fiber, visit), request)
      return reading === undefined
        ? conclude(handled, begin(fiber, visit), request)
        : read(reading, fiber, visit, request)
    }
    return Effect.withFiber((fiber) => {
      const request = requestOf(fiber)
      const presented = credentialsOf(request.headers)
      if (presented.every((key) => key === "")) {
        return refuse(fiber, visitOf(request, facts(fiber, request), undefined), unauthenticated)
      }
      return identifyAtOnce === undefined
        ? Effect.flatMap(identitiesOf(keys, presented), (identities) => admit(fiber, request, identities))
        : admit(fiber, request, presented.map(identifyAtOnce))
    })
  }

  const factsOfRoute = (fiber: AnyFiber): Facts => routes.factsOf(routeOf(fiber))

  return Door.of({
    outer: (handler, { hasReads }) => {
      const behindKey = guarded(handler, (_fiber, request) => routes.factsOfRequest(request))
      const mayRead = options.isAlone && hasReads && options.hasMiddleware?.() !== true
      const readings = new Map(
        Array.from(mayRead ? reads.byUrl : [], ([url, read]) => {
          const facts = routes.factsOfRequest({ method: "GET", url })
          return [url, guarded(handler, () => facts, behindGate(read))]
        })
      )
      const unguarded = Effect.catchCauseIf(handler, isLost, (cause) =>
        open(Effect.failCause(cause), () => routes.unknown)
      )
      return Effect.withFiber((fiber) => {
        const request = requestOf(fiber)
        if (!isOurs(request.url)) return handler
        const refused = refusal(request)
        if (refused !== undefined) return open(failure.respond(refused), () => routes.factsOfRequest(request))
        const reading = request.method === "GET" ? readings.get(request.url) : undefined
        return reading ?? (routes.isGuarded(request.url) ? behindKey : unguarded)
      })
    },
    inner: (handler, { docsAreOpen }) => {
      const opened = open(handler, factsOfRoute)
      const behindKey = guarded(handler, factsOfRoute)
      return Effect.withFiber((fiber) => {
        const route = routeOf(fiber)
        const visit = fiber.getRef(Visit)
        if (visit.caller !== undefined) {
          nameAgain(fiber, visit, routes.factsOf(route))
          return handler
        }
        // A path that the router reads in another way than the outer door did.
        const refused = refusal(requestOf(fiber))
        if (refused !== undefined) return open(failure.respond(refused), factsOfRoute)
        const isOpen = routes.isDocumentation(route) ? docsAreOpen : routes.isOpen(route)
        return isOpen ? opened : behindKey
      })
    }
  })
})

const routeOf = ({ context }: AnyFiber): HttpRouter.Route<any, any> =>
  Context.getUnsafe(context, HttpRouter.RouteContext).route

// A path may be written in many ways: the router has the last word.
const nameAgain = (fiber: AnyFiber, visit: Visit, facts: Facts): void => {
  if (facts === visit.facts) return
  visit.facts = facts
  const annotations = { ...fiber.getRef(References.CurrentLogAnnotations), endpoint: facts.endpoint }
  fiber.setContext(Context.add(fiber.context, References.CurrentLogAnnotations, annotations))
}

/** @internal */
export const layer = (options: Options): Layer.Layer<Door, never, AdminKeys | Audit | Reads> =>
  Layer.effect(Door, make(options)).pipe(Layer.provide(Digest.layerWebCrypto))

/** Puts the door before the routes that it is provided to. @internal */
export const beforeRoutes = (options: { readonly docsAreOpen: boolean }) =>
  HttpRouter.middleware(
    Effect.map(
      Door,
      ({ inner }) =>
        (handler: Handler) =>
          inner(handler, options)
    )
  ).layer

// Ours. Whoever puts another one before the routes wants it to see every request. If the router calls them otherwise
// one day, none is found and nothing goes past the routes.
const hasOneMiddleware = ({ mapUnsafe }: Context.Context<never>): boolean =>
  Array.from(mapUnsafe.keys()).filter((key) => key.startsWith("effect/http/HttpRouter/Middleware-")).length === 1

const refuse = (request: Request) => failure.respond(routes.refusal(request))

/** Turns away what may not be looked at, and answers what is ours and has no route. @internal */
export const withoutRoute = HttpRouter.use(
  Effect.fnUntraced(function* (router) {
    const { outer } = yield* Door
    // A route of the application may take every path, hence these.
    // Not `*`: a HEAD that nobody answers goes to the route of its GET.
    for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] as const) {
      yield* router.add(method, "/internal/*", refuse)
      yield* router.add(method, `${routes.root}/*`, refuse)
    }
    const hasReads = hasOneMiddleware(yield* Effect.context())
    yield* router.addGlobalMiddleware((handler) => outer(handler, { hasReads }))
  })
)
