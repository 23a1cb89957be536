/**
 * Which requests may come from a browser at all. A page of another site can
 * send requests to a loopback port, and with a name that it lets point there it
 * could read the answers: hence the names are listed, and origins are compared.
 */
import * as Option from "effect/Option"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Errors from "../../Errors.ts"
import * as AdminError from "../AdminError.ts"

type Request = Pick<HttpServerRequest.HttpServerRequest, "headers" | "originalUrl">

interface Host {
  readonly name: string
  readonly port: string | undefined
}

// Made once: an error costs more than the rest of a refusal, and these say nothing of the request.
const misdirected = new AdminError.MisdirectedRequestError({ message: "This server does not answer to this host" })
const foreign = new Errors.AuthorizationError({ message: "Requests from other sites are refused" })

const loopback: ReadonlyArray<string> = ["127.0.0.1", "localhost", "[::1]"]

const parse = (text: string): Option.Option<Host> => {
  const [, name, port] = /^([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::(\d{1,5}))?$/i.exec(text) ?? []
  return name === undefined ? Option.none() : Option.some({ name: name.toLowerCase(), port })
}

const isAddress = (name: string): boolean => name.startsWith("[") || /^\d{1,3}(\.\d{1,3}){3}$/.test(name)

// A web request has its host in the URL.
const hostOf = ({ headers, originalUrl }: Request): string | undefined =>
  headers["host"] ?? /^https?:\/\/([^/?#]*)/i.exec(originalUrl)?.[1]

/** @internal */
export class Hosts {
  private readonly listed: ReadonlyArray<Host>
  private readonly port: number | undefined
  // The last one that was found in the list: most requests name the same.
  private admitted: { readonly text: string; readonly host: Host } | undefined

  /**
   * A name without a port is that name alone, or with the port of the server;
   * with any port, if that of the server is not known.
   */
  constructor(names: ReadonlyArray<string>, port: number | undefined) {
    this.listed = [...loopback, ...names].flatMap((name) => Option.toArray(parse(name)))
    this.port = port
  }

  /** Why a request is refused before anybody looks at what it wants. */
  refusal(request: Request, options: { readonly addresses: boolean }): AdminError.AdminError | undefined {
    const given = hostOf(request)
    const host = given !== undefined && given === this.admitted?.text ? this.admitted.host : this.find(given, options)
    if (host === undefined) return misdirected
    const { origin, "sec-fetch-site": site } = request.headers
    const isForeign =
      (site !== undefined && site !== "same-origin" && site !== "none") ||
      (origin !== undefined && !isOriginOf(origin, host))
    return isForeign ? foreign : undefined
  }

  private find(given: string | undefined, options: { readonly addresses: boolean }): Host | undefined {
    const host = given === undefined ? undefined : Option.getOrUndefined(parse(given))
    if (given === undefined || host === undefined) return undefined
    if (this.includes(host)) {
      this.admitted = { text: given, host }
      return host
    }
    // No name resolves to a name that is an address, so an address can not be pointed elsewhere.
    return options.addresses && isAddress(host.name) ? host : undefined
  }

  private includes({ name, port }: Host): boolean {
    return this.listed.some(
      (listed) =>
        listed.name === name &&
        (listed.port === undefined
          ? port === undefined || this.port === undefined || port === String(this.port)
          : port === listed.port)
    )
  }
}

// The scheme says nothing here: whoever ends TLS in front of us changes it.
const isOriginOf = (origin: string, host: Host): boolean => {
  const [, scheme = "", rest = ""] = /^(https?):\/\/([^/?#]*)$/i.exec(origin) ?? []
  const usual = scheme.toLowerCase() === "https" ? "443" : "80"
  return Option.match(parse(rest), {
    onNone: () => false,
    onSome: ({ name, port }) => name === host.name && (port ?? usual) === (host.port ?? usual)
  })
}
