/**
 * Calls the admin API of a process, typed by its definition.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
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
 * A method for each endpoint, by group.
 *
 * @category models
 * @since 0.1.0
 */
export interface Client extends HttpApiClient.ForApi<typeof AdminApi> {}

/**
 * Makes a client.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (options: {
  readonly baseUrl: string | URL
}): Effect.Effect<Client, never, HttpClient.HttpClient | HttpApiMiddleware.ForClient<Authorization>> =>
  HttpApiClient.make(AdminApi, options)
