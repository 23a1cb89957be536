/**
 * Calls the admin API of a process, typed by its definition.
 *
 * @since 0.1.0
 */
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as Redacted from "effect/Redacted"
import { AdminApi, Authorization } from "./AdminApi.ts"

/**
 * Sends a key with every request of a client.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerKey = (key: Redacted.Redacted) =>
  HttpApiMiddleware.layerClient(Authorization, ({ next, request }) =>
    next(HttpClientRequest.bearerToken(request, Redacted.value(key)))
  )

/**
 * Makes a client.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: { readonly baseUrl: string | URL }) => HttpApiClient.make(AdminApi, options)
