/**
 * What Node, Bun and Deno offer beside WebCrypto: digests without another
 * thread, which takes ten times as long as the digest itself.
 */

interface Crypto {
  readonly hash: (algorithm: "sha256", text: string, encoding: "buffer") => Uint8Array
  readonly randomUUID: () => string
}

interface Host {
  readonly process?: { readonly getBuiltinModule?: (name: string) => unknown } | undefined
}

/** A module of Node, where there is one. @internal */
export const builtinModule = (name: string): unknown => (globalThis as Host).process?.getBuiltinModule?.(name)

const { hash, randomUUID } = (builtinModule("node:crypto") ?? {}) as Partial<Crypto>

/** `undefined`: there is only WebCrypto. @internal */
export const hostCrypto =
  hash === undefined || randomUUID === undefined
    ? undefined
    : { sha256: (text: string): Uint8Array => hash("sha256", text, "buffer"), randomUUID: () => randomUUID() }
