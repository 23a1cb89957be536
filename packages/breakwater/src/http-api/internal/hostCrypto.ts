/**
 * What Node, Bun and Deno offer beside WebCrypto: digests without another
 * thread, which takes ten times as long as the digest itself.
 */

interface Crypto {
  readonly hash: (algorithm: "sha256", text: string, encoding: "latin1") => string
  readonly randomUUID: () => string
}

interface Host {
  readonly process?: { readonly getBuiltinModule?: (name: string) => unknown } | undefined
}

/** A module of Node, where there is one. @internal */
export const builtinModule = (name: string): unknown => (globalThis as Host).process?.getBuiltinModule?.(name)

const { hash, randomUUID } = (builtinModule("node:crypto") ?? {}) as Partial<Crypto>

const digestBytes = 32

// A string is three times as fast as a buffer, which is memory outside of the heap.
const sha256Of =
  (digest: Crypto["hash"]) =>
  (text: string): Uint8Array => {
    const binary = digest("sha256", text, "latin1")
    const bytes = new Uint8Array(digestBytes)
    for (let index = 0; index < digestBytes; index++) bytes[index] = binary.charCodeAt(index)
    return bytes
  }

/** `undefined`: there is only WebCrypto. @internal */
export const hostCrypto =
  hash === undefined || randomUUID === undefined
    ? undefined
    : { sha256: sha256Of(hash), randomUUID: () => randomUUID() }
