/**
 * SHA-256 of a text.
 *
 * WebCrypto digests in another thread, which takes ten times as long as the
 * digest itself, for every request. Node, Bun and Deno have one that does not.
 */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"

interface Crypto {
  readonly createHash: (algorithm: "sha256") => {
    readonly update: (bytes: Uint8Array) => { readonly digest: () => Uint8Array }
  }
}

interface Host {
  readonly process?: { readonly getBuiltinModule?: (name: string) => unknown } | undefined
}

const crypto = (globalThis as Host).process?.getBuiltinModule?.("node:crypto") as Crypto | undefined

const encoder = new TextEncoder()

/** @internal */
export const make: Effect.Effect<(text: string) => Effect.Effect<Uint8Array>, never, Digest.Digest> = Effect.map(
  Digest.Digest,
  ({ digest }) =>
    crypto === undefined
      ? (text) => digest(Digest.sha256, encoder.encode(text))
      : (text) => Effect.sync(() => crypto.createHash("sha256").update(encoder.encode(text)).digest())
)
