/**
 * Where a request comes from.
 */
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import { clientOf, type Proxies } from "../TrustedProxies.ts"

/** @internal */
export const clientAddress = (
  proxies: Proxies,
  { headers, peerAddress }: Pick<HttpServerRequest.HttpServerRequest, "headers" | "peerAddress">
): string =>
  Option.match(peerAddress, {
    onNone: () => "unknown",
    onSome: (peer) =>
      clientOf(proxies, { peer, forwardedFor: headers["x-forwarded-for"], forwarded: headers["forwarded"] })
  })
