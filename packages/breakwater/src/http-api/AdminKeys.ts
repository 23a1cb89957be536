/**
 * Knows the keys of the admin API.
 *
 * **Details**
 *
 * - Only SHA-256 digests are kept. A key that is presented is compared with
 *   all of them, in constant time.
 * - A key's id is the first 6 hex digits of its digest. Logs name keys by it.
 * - `layerConfig` reads `API_KEY`, which has every scope, and
 *   `ADDITIONAL_API_KEYS`, a comma list of `KEY` or `KEY:scope`.
 *
 * **Gotchas**
 *
 * Without a key every request is refused. Blank keys are no keys.
 *
 * **Example** (A key that may only read)
 *
 * ```ts import.meta.vitest
 * import { Effect, Option, Redacted } from "effect"
 * import { AdminKeys } from "breakwater/http-api"
 *
 * const program = Effect.gen(function*() {
 *   const keys = yield* AdminKeys.AdminKeys
 *   const { scope } = yield* keys.identify(Redacted.make("a key of a dashboard"))
 *   return Option.getOrElse(scope, () => "refused")
 * }).pipe(
 *   Effect.provide(AdminKeys.AdminKeys.layer([{ key: Redacted.make("a key of a dashboard"), scope: "read" }]))
 * )
 *
 * await Effect.runPromise(program) // => "read"
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as Mac from "effect/crypto/Mac"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { Scope } from "./AdminApi.ts"

/**
 * A key, and what it may do. Default: everything.
 *
 * @category models
 * @since 0.1.0
 */
export interface Key {
  readonly key: Redacted.Redacted
  readonly scope?: Scope | undefined
}

/**
 * What is known about a key that was presented.
 *
 * @category models
 * @since 0.1.0
 */
export interface Identity {
  /** The first 6 hex digits of the digest, for logs. */
  readonly id: string
  /** What the key may do. None: nobody gave out this key. */
  readonly scope: Option.Option<Scope>
}

/**
 * Who makes the current request.
 *
 * @category models
 * @since 0.1.0
 */
export interface Caller {
  readonly id: string
  readonly scope: Scope
}

/**
 * Who makes the current request. None: nobody whose key was checked.
 *
 * @category references
 * @since 0.1.0
 */
export const CurrentCaller = Context.Reference<Option.Option<Caller>>("breakwater/http-api/AdminKeys/CurrentCaller", {
  defaultValue: Option.none
})

/**
 * Whether a scope includes another one.
 *
 * @category predicates
 * @since 0.1.0
 */
export const includes = (held: Scope, needed: Scope): boolean =>
  Scope.literals.indexOf(held) >= Scope.literals.indexOf(needed)

/**
 * The keys of the admin API.
 *
 * @category services
 * @since 0.1.0
 */
export class AdminKeys extends Context.Service<
  AdminKeys,
  {
    /** Says what a key may do. */
    readonly identify: (key: Redacted.Redacted) => Effect.Effect<Identity>
  }
>()("breakwater/http-api/AdminKeys") {
  /** Provides keys. Those without a scope have every scope; of two that are equal the first counts. */
  static readonly layer = (keys: ReadonlyArray<Key>): Layer.Layer<AdminKeys> =>
    Layer.effect(AdminKeys, make(keys)).pipe(Layer.provide(Digest.layerWebCrypto))

  /** Provides the keys of `API_KEY` and `ADDITIONAL_API_KEYS`. */
  static readonly layerConfig: Layer.Layer<AdminKeys, Config.ConfigError> = Layer.unwrap(
    Effect.suspend(() => Effect.map(config, AdminKeys.layer))
  )
}

const make = Effect.fnUntraced(function* (keys: ReadonlyArray<Key>) {
  const { digest } = yield* Digest.Digest
  const digestOf = (key: Redacted.Redacted) => digest(Digest.sha256, new TextEncoder().encode(Redacted.value(key)))
  const known = yield* Effect.forEach(
    keys.filter(({ key }) => Redacted.value(key).trim() !== ""),
    ({ key, scope = "admin" }) => Effect.map(digestOf(key), (digest) => ({ digest, scope }))
  )
  return AdminKeys.of({
    identify: (key) =>
      Effect.map(digestOf(key), (presented) => {
        let scope: Scope | undefined
        // No early exit: the time taken says nothing about which key matched.
        for (const entry of known) {
          if (Mac.timingSafeEqual(entry.digest, presented)) scope ??= entry.scope
        }
        return { id: Hex.encode(presented).slice(0, 6), scope: Option.fromUndefinedOr(scope) }
      })
  })
})

const isScope = Schema.is(Scope)

// The message names the entry by its place: any part of it may belong to the key.
const malformed = (place: number): Config.ConfigError =>
  new Config.ConfigError(
    new Schema.SchemaError(
      new SchemaIssue.InvalidValue({
        message: `ADDITIONAL_API_KEYS: entry ${place} has to be KEY or KEY:scope, with scope read, operate or admin`
      })
    )
  )

const parse = (entry: string, place: number): Effect.Effect<Key, Config.ConfigError> => {
  const [key, scope, ...rest] = entry.split(":")
  if (rest.length > 0 || key === undefined) return Effect.fail(malformed(place))
  if (scope === undefined) return Effect.succeed({ key: Redacted.make(key) })
  const named = scope.trim()
  return key.trim() !== "" && isScope(named)
    ? Effect.succeed({ key: Redacted.make(key.trim()), scope: named })
    : Effect.fail(malformed(place))
}

const config = Effect.gen(function* () {
  const main = yield* Config.option(Config.Redacted("API_KEY"))
  const additional = yield* Config.option(Config.Redacted("ADDITIONAL_API_KEYS"))
  const entries = Option.match(additional, {
    onNone: () => [],
    onSome: (list) => Redacted.value(list).split(",")
  })
  const parsed = yield* Effect.forEach(
    entries.map((entry) => entry.trim()),
    (entry, index) => (entry === "" ? Effect.succeed([]) : Effect.map(parse(entry, index + 1), (key) => [key]))
  )
  return [
    ...Option.match(main, {
      onNone: () => [],
      onSome: (key): ReadonlyArray<Key> => [{ key: Redacted.make(Redacted.value(key).trim()) }]
    }),
    ...parsed.flat()
  ]
})
