/**
 * Remembers who changed what, when and why.
 *
 * **Details**
 *
 * Every write of the admin API is one entry, also a write that was refused to
 * a known key. The last 9,000 that were done and the last 1,000 that were
 * refused are kept, in memory: refusals never push out what happened. Every
 * entry is also one line of the log.
 *
 * Ids grow by one. Entries about one resource stand in the order of its
 * versions.
 *
 * **Gotchas**
 *
 * Texts are cut at 256 characters. A request without a valid key leaves no
 * entry, or strangers could fill the log.
 *
 * **Example** (Reading the last entry)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Audit } from "breakwater/http-api"
 *
 * const program = Effect.gen(function*() {
 *   const audit = yield* Audit.Audit
 *   yield* audit.record({ actor: "4f2a91", action: "trip_circuit_breaker", resource: "circuit-breakers/pay" })
 *   const [entry] = yield* audit.recent(1)
 *   return entry?.result
 * }).pipe(Effect.provide(Audit.Audit.layer))
 *
 * await Effect.runPromise(program) // => "done"
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { orNull, snakeCase, Timestamp } from "../Wire.ts"
import { Ring } from "./internal/ring.ts"

/**
 * One write.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Entry = snakeCase("AuditEntry", {
  id: Schema.Int,
  at: Timestamp,
  /** The id of the key. */
  actor: Schema.String,
  /** The OpenAPI operation id of the endpoint. */
  action: Schema.String,
  resource: Schema.String,
  /** The state before, if it was looked at. */
  from: orNull(Schema.String),
  /** The state after, if the write was done. */
  to: orNull(Schema.String),
  /** The version after the write, or the one that stood against it. */
  version: orNull(Schema.Int),
  reason: orNull(Schema.String),
  /** `done`, or the `error_code` of the refusal. */
  result: Schema.String
})

/**
 * @category models
 * @since 0.1.0
 */
export type Entry = typeof Entry.Type

/**
 * What is told about a write. Without a `result` it was done.
 *
 * @category models
 * @since 0.1.0
 */
export interface Write {
  readonly actor: string
  readonly action: string
  readonly resource: string
  readonly from?: string | undefined
  readonly to?: string | undefined
  readonly version?: number | undefined
  readonly reason?: string | undefined
  readonly result?: string | undefined
}

const maxDone = 9_000
const maxRefused = 1_000
const maxText = 256

/**
 * The audit log.
 *
 * @category services
 * @since 0.1.0
 */
export class Audit extends Context.Service<
  Audit,
  {
    /** Adds an entry. */
    readonly record: (write: Write) => Effect.Effect<void>
    /** The newest entries, newest first. */
    readonly recent: (limit: number) => Effect.Effect<ReadonlyArray<Entry>>
  }
>()("breakwater/http-api/Audit") {
  /** Provides an empty log. */
  static readonly layer: Layer.Layer<Audit> = Layer.sync(Audit, () => make())
}

const cut = (text: string): string => text.slice(0, maxText)

const optional = <A, B>(value: A | undefined, f: (value: A) => B): Option.Option<B> =>
  Option.map(Option.fromUndefinedOr(value), f)

/**
 * Makes an empty log.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (): Audit["Service"] => {
  const done = new Ring<Entry>(maxDone)
  const refused = new Ring<Entry>(maxRefused)
  let id = 0
  return Audit.of({
    record: Effect.fnUntraced(function* (write) {
      const at = yield* DateTime.now
      const entry: Entry = {
        id: ++id,
        at,
        actor: cut(write.actor),
        action: cut(write.action),
        resource: cut(write.resource),
        from: optional(write.from, cut),
        to: optional(write.to, cut),
        version: Option.fromUndefinedOr(write.version),
        reason: optional(write.reason, cut),
        result: write.result ?? "done"
      }
      const isDone = entry.result === "done"
      ;(isDone ? done : refused).push(entry)
      yield* Effect.logInfo(isDone ? "Admin write" : "Admin write refused").pipe(
        Effect.annotateLogs({
          audit_id: entry.id,
          actor: entry.actor,
          action: entry.action,
          resource: entry.resource,
          result: entry.result,
          ...(write.reason === undefined ? {} : { reason: cut(write.reason) })
        })
      )
    }),
    recent: (limit) =>
      Effect.sync(() => [...done.last(limit), ...refused.last(limit)].toSorted((a, b) => b.id - a.id).slice(0, limit))
  })
}
