/**
 * Knows the keys of the admin API.
 *
 * **Details**
 *
 * - Only SHA-256 digests are kept. A key that is presented is compared with
 *   all of them, in constant time.
 * - A key's id is the one its file gives it, or the first 6 hex digits of its
 *   digest. Logs and the audit log name keys by it.
 * - `layerConfig` reads `API_KEY`, which has every scope;
 *   `ADDITIONAL_API_KEYS`, a comma list of `KEY` or `KEY:scope`; and the file
 *   at `API_KEYS_FILE`, a JSON array of `{ "id", "sha256", "scope" }`.
 * - `reload` reads them again. If that fails, the keys in force stay.
 *
 * **Gotchas**
 *
 * Without a key every request is refused. Blank keys are no keys. A key with
 * less than 16 characters works, and is warned about.
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
 * **Example** (Reading the keys again on SIGHUP, on Node)
 *
 * ```ts no-run
 * import { Effect, Queue, Stream } from "effect"
 * import { AdminKeys } from "breakwater/http-api"
 *
 * const hangups = Stream.callback<void>((queue) =>
 *   Effect.acquireRelease(
 *     Effect.sync(() => {
 *       const listener = () => void Queue.offerUnsafe(queue, undefined)
 *       process.on("SIGHUP", listener)
 *       return listener
 *     }),
 *     (listener) => Effect.sync(() => process.off("SIGHUP", listener))
 *   )
 * )
 *
 * const reloading = Effect.gen(function*() {
 *   const { reload } = yield* AdminKeys.AdminKeys
 *   yield* Stream.runForEach(hangups, () => Effect.catch(reload, (error) => Effect.logError(error.message)))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Digest from "effect/crypto/Digest"
import * as Mac from "effect/crypto/Mac"
import * as Effect from "effect/Effect"
import * as Hex from "effect/encoding/Hex"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Semaphore from "effect/Semaphore"
import { Scope } from "./AdminApi.ts"
import * as keysFile from "./internal/keysFile.ts"
import * as Sha256 from "./internal/sha256.ts"

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
  /** Its name in logs. Of a key that nobody gave out: the first 6 hex digits of the digest. */
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
 * The keys can not be used. The message says what is wrong where, and shows
 * nothing of a key or of the file.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidKeys extends Schema.TaggedError<InvalidKeys>("breakwater/http-api/AdminKeys/InvalidKeys")(
  "InvalidKeys",
  {
    /** `unreadable`: no file. `malformed`: no list of keys. `repeated`: two keys with one id. `too_many`: over 1,000. */
    problem: Schema.Literals(["unreadable", "malformed", "repeated", "too_many"]),
    message: Schema.String
  }
) {}

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
    /** Reads the keys again from where they came, and says how many there are. If it fails, nothing has changed. */
    readonly reload: Effect.Effect<number, Config.ConfigError | InvalidKeys>
  }
>()("breakwater/http-api/AdminKeys") {
  /** Provides keys. Those without a scope have every scope; of two that are equal the first counts. Dies of over 1,000. */
  static readonly layer = (keys: ReadonlyArray<Key>): Layer.Layer<AdminKeys> =>
    Layer.effect(
      AdminKeys,
      Effect.suspend(() => Effect.orDie(make(Effect.succeed({ keys, listed: [] }))))
    ).pipe(Layer.provide(Digest.layerWebCrypto))

  /** Provides the keys of `API_KEY`, `ADDITIONAL_API_KEYS` and `API_KEYS_FILE`. */
  static readonly layerConfig: Layer.Layer<AdminKeys, Config.ConfigError | InvalidKeys, FileSystem.FileSystem> =
    Layer.effect(
      AdminKeys,
      Effect.suspend(() => Effect.flatMap(configured, make))
    ).pipe(Layer.provide(Digest.layerWebCrypto))
}

interface Source {
  readonly keys: ReadonlyArray<Key>
  readonly listed: ReadonlyArray<keysFile.Listed>
}

interface Known {
  readonly digest: Uint8Array
  readonly identity: Identity
}

const maxKeys = 1_000
const strongLength = 16
const idLength = 6

const idOf = (digest: Uint8Array): string => Hex.encode(digest).slice(0, idLength)

const known = (id: string, digest: Uint8Array, scope: Scope): Known => ({
  digest,
  identity: { id, scope: Option.some(scope) }
})

// No early exit: the time taken says nothing about which key matched.
const find = (keys: ReadonlyArray<Known>, presented: Uint8Array): Identity => {
  let match: Identity | undefined
  for (const { digest, identity } of keys) {
    if (Mac.timingSafeEqual(digest, presented)) match ??= identity
  }
  return match ?? { id: idOf(presented), scope: Option.none() }
}

// By the function and not beside it: who wraps `identify` must not be passed over.
const atOnce = new WeakMap<AdminKeys["Service"]["identify"], (key: string) => Identity>()

/**
 * What `identify` does, without an effect. `undefined`: it needs one. @internal
 */
export const identifyUnsafe = ({ identify }: AdminKeys["Service"]): ((key: string) => Identity) | undefined =>
  atOnce.get(identify)

const make = Effect.fnUntraced(function* (source: Effect.Effect<Source, Config.ConfigError | InvalidKeys>) {
  const sha256 = yield* Sha256.make
  const digestOf = (key: Redacted.Redacted) => sha256(Redacted.value(key))

  const read = Effect.gen(function* () {
    const { keys, listed } = yield* source
    const given = keys.filter(({ key }) => Redacted.value(key).trim() !== "")
    const count = given.length + listed.length
    if (count > maxKeys) {
      return yield* new InvalidKeys({ problem: "too_many", message: `There are ${count} keys, of ${maxKeys} at most` })
    }
    if (count === 0) yield* Effect.logWarning("No API key is configured: the admin API refuses every request")
    const plain = yield* Effect.forEach(given, ({ key, scope = "admin" }) =>
      Effect.gen(function* () {
        const digest = yield* digestOf(key)
        const id = idOf(digest)
        if (Redacted.value(key).length < strongLength) {
          yield* Effect.logWarning(`An API key has less than ${strongLength} characters`).pipe(
            Effect.annotateLogs({ key: id })
          )
        }
        return known(id, digest, scope)
      })
    )
    return [...plain, ...listed.map(({ digest, id, scope }) => known(id, digest, scope))]
  })

  let inForce: ReadonlyArray<Known> = yield* read
  const oneAtATime = Semaphore.makeUnsafe(1)
  const { unsafe } = Sha256

  const identify: AdminKeys["Service"]["identify"] = (key) =>
    Effect.map(digestOf(key), (presented) => find(inForce, presented))
  if (unsafe !== undefined) atOnce.set(identify, (key) => find(inForce, unsafe(key)))

  return AdminKeys.of({
    identify,
    reload: oneAtATime.withPermit(
      Effect.map(read, (keys) => {
        inForce = keys
        return keys.length
      })
    )
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

const environment = Effect.gen(function* () {
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

const readFile = Effect.fnUntraced(function* (fs: FileSystem.FileSystem, path: string) {
  const text = yield* Effect.mapError(
    fs.readFileString(path),
    ({ reason }) => new InvalidKeys({ problem: "unreadable", message: `API_KEYS_FILE can not be read: ${reason._tag}` })
  )
  const listed = keysFile.parse(text)
  if (listed._tag === "Success") return listed.success
  const { message, problem } = listed.failure
  return yield* new InvalidKeys({ problem, message: `API_KEYS_FILE: ${message}` })
})

// Reads with the provider and the file system that the layer was built with.
const configured = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const provider = yield* ConfigProvider.ConfigProvider
  const source = Effect.gen(function* () {
    const keys = yield* environment
    const path = Option.filter(yield* Config.option(Config.String("API_KEYS_FILE")), (path) => path.trim() !== "")
    const listed = Option.isNone(path) ? [] : yield* readFile(fs, path.value.trim())
    return { keys, listed }
  })
  return Effect.provideService(source, ConfigProvider.ConfigProvider, provider)
})
