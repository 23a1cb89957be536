/**
 * Versions as entity tags (RFC 9110, section 8.8).
 */
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"

/** @internal */
export const etagOf = (version: number): string => `"${version}"`

/** Whether an `If-Match` lets a write through. A weak tag never does. @internal */
export const matches = (version: number, ifMatch: string | undefined): boolean =>
  ifMatch === undefined || ifMatch.split(",").some((tag) => ["*", etagOf(version)].includes(tag.trim()))

/** A body with its version as `ETag`. @internal */
export const tagged = <A extends { readonly version: number }>(
  body: A
): HttpApiSchema.withHeaders<A, { readonly etag: string }> => taggedAs(body.version, body)

/** A body with a version as `ETag`. @internal */
export const taggedAs = <A>(version: number, body: A): HttpApiSchema.withHeaders<A, { readonly etag: string }> =>
  HttpApiSchema.withHeaders({ body, headers: { etag: etagOf(version) } })
