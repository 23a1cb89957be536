/**
 * Versions as entity tags (RFC 9110, section 8.8).
 */

/** @internal */
export const etagOf = (version: number): string => `"${version}"`

/** Whether an `If-Match` lets a write through. A weak tag never does. @internal */
export const matches = (version: number, ifMatch: string | undefined): boolean =>
  ifMatch === undefined || ifMatch.split(",").some((tag) => ["*", etagOf(version)].includes(tag.trim()))
