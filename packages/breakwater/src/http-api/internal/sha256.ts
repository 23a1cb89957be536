/**
 * SHA-256 of a text.
 */
import * as Digest from "effect/crypto/Digest"
import * as Effect from "effect/Effect"
import { hostCrypto } from "./hostCrypto.ts"

const encoder = new TextEncoder()

/** `undefined`: this runtime digests in another thread only. @internal */
export const unsafe: ((text: string) => Uint8Array) | undefined = hostCrypto?.sha256

/** @internal */
export const make: Effect.Effect<(text: string) => Effect.Effect<Uint8Array>, never, Digest.Digest> = Effect.map(
  Digest.Digest,
  ({ digest }) =>
    unsafe === undefined
      ? (text) => digest(Digest.sha256, encoder.encode(text))
      : (text) => Effect.sync(() => unsafe(text))
)
