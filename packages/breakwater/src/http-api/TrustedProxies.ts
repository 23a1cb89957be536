/**
 * Says whose word is taken for the address of a client.
 *
 * **Details**
 *
 * Wrong keys are counted by address. Behind a proxy all of them come from the
 * proxy, unless it is trusted: then the address is looked for in
 * `X-Forwarded-For` or `Forwarded`, from the right, and the first one that is
 * not a trusted proxy is the client. Of IPv6 the first 64 bits count.
 *
 * - Trusted are networks such as `10.0.0.0/8` and `fd00::/8`, and single
 *   addresses. Default: none, and both headers are ignored.
 * - `layerConfig` reads `TRUSTED_PROXIES`, a comma list.
 * - An entry that is not an address, more than 64 entries, or two headers that
 *   say different things: the address is that of the connection.
 *
 * **Gotchas**
 *
 * A trusted proxy has to add to the header or to replace it. If it passes on
 * what a client has sent, clients choose their address.
 *
 * Networks are compared by Node's `BlockList`, which Bun and Deno have too.
 * Elsewhere nobody can be trusted.
 *
 * **Example** (A proxy in front of the admin API)
 *
 * ```ts import.meta.vitest
 * import { TrustedProxies } from "breakwater/http-api"
 *
 * const proxies = TrustedProxies.make(["10.0.0.0/8"])
 * const client = TrustedProxies.clientOf(proxies, {
 *   peer: "10.1.2.3",
 *   forwardedFor: "6.6.6.6, 203.0.113.7, 10.9.9.9"
 * })
 * client // => "203.0.113.7"
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as addresses from "./internal/addresses.ts"

/**
 * A network that nobody can be trusted by.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidTrustedProxies extends Schema.TaggedError<InvalidTrustedProxies>(
  "breakwater/http-api/TrustedProxies/InvalidTrustedProxies"
)("InvalidTrustedProxies", {
  /** The entry as written, 80 characters at most. */
  value: Schema.String,
  rule: Schema.String,
  fix: Schema.String
}) {
  override get message(): string {
    return `Trusted proxies: ${JSON.stringify(this.value)}: ${this.rule}. ${this.fix}`
  }
}

/**
 * Those who are trusted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Proxies {
  /** As they were given. */
  readonly networks: ReadonlyArray<string>
  /** Whether an address is that of a trusted proxy. */
  readonly trusts: (address: string) => boolean
}

/**
 * What a request says about where it comes from.
 *
 * @category models
 * @since 0.1.0
 */
export interface Origin {
  /** The address of the connection. */
  readonly peer: string
  /** The header `X-Forwarded-For`. */
  readonly forwardedFor?: string | undefined
  /** The header `Forwarded`. */
  readonly forwarded?: string | undefined
}

/**
 * Nobody is trusted.
 *
 * @category constructors
 * @since 0.1.0
 */
export const none: Proxies = { networks: [], trusts: () => false }

const maxNetworks = 1_000
const maxShown = 80

const example = "Write an address, or a network such as 10.0.0.0/8 or fd00::/8"

/**
 * Trusts networks and addresses. Throws `InvalidTrustedProxies`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (networks: ReadonlyArray<string>): Proxies => {
  if (networks.length === 0) return none
  const invalid = (value: string, rule: string, fix: string) =>
    new InvalidTrustedProxies({ value: value.slice(0, maxShown), rule, fix })
  if (networks.length > maxNetworks) {
    throw invalid(String(networks.length), `There may be ${maxNetworks} at most`, "Put neighbours into one network")
  }
  const list = addresses.makeList()
  if (list === undefined) {
    throw invalid(networks.join(","), "This runtime has no node:net to compare networks", "Leave the list empty")
  }
  for (const text of networks) {
    const network = addresses.parseNetwork(text.trim())
    if (network === undefined) throw invalid(text, "It has to be an address or a network in CIDR notation", example)
    if (network.prefix === 0) throw invalid(text, "It trusts everybody, so clients choose their address", example)
    list.addSubnet(network.address, network.prefix, network.family)
  }
  return {
    networks,
    trusts: (address) => {
      const parsed = addresses.parse(address)
      return parsed !== undefined && list.check(parsed.address, parsed.family)
    }
  }
}

/**
 * The address of the client: that of the connection, unless a trusted proxy
 * says otherwise.
 *
 * @category accessors
 * @since 0.1.0
 */
export const clientOf = (proxies: Proxies, { forwarded, forwardedFor, peer }: Origin): string => {
  const connection = addresses.parse(peer)?.address ?? peer
  if (!proxies.trusts(connection)) return connection
  const found = new Set<string>()
  if (forwardedFor !== undefined) found.add(walk(proxies, addresses.chainOf(forwardedFor)) ?? connection)
  if (forwarded !== undefined) found.add(walk(proxies, addresses.chainOfForwarded(forwarded)) ?? connection)
  const [client = connection] = found
  return found.size > 1 ? connection : client
}

/** `undefined`: it can not be followed. */
const walk = (proxies: Proxies, chain: ReadonlyArray<string> | undefined): string | undefined => {
  let furthest: string | undefined
  for (const entry of chain?.toReversed() ?? []) {
    const parsed = addresses.parse(entry)
    if (parsed === undefined) return undefined
    furthest = parsed.address
    if (!proxies.trusts(furthest)) return furthest
  }
  return furthest
}

/**
 * Those whose word is taken for the address of a client. Default: nobody.
 *
 * @category references
 * @since 0.1.0
 */
export const TrustedProxies = Context.Reference<Proxies>("breakwater/http-api/TrustedProxies", {
  defaultValue: () => none
})

/**
 * Trusts networks and addresses.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (networks: ReadonlyArray<string>): Layer.Layer<never, InvalidTrustedProxies> =>
  Layer.effect(TrustedProxies, checked(networks))

/**
 * Trusts the networks and addresses of `TRUSTED_PROXIES`.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerConfig: Layer.Layer<never, Config.ConfigError | InvalidTrustedProxies> = Layer.effect(
  TrustedProxies,
  Effect.suspend(() =>
    Effect.flatMap(Config.option(Config.String("TRUSTED_PROXIES")), (list) =>
      checked(
        Option.getOrElse(list, () => "")
          .split(",")
          .filter((entry) => entry.trim() !== "")
      )
    )
  )
)

const checked = (networks: ReadonlyArray<string>): Effect.Effect<Proxies, InvalidTrustedProxies> =>
  Effect.try({
    try: () => make(networks),
    catch: (error) => {
      if (error instanceof InvalidTrustedProxies) return error
      throw error
    }
  })
