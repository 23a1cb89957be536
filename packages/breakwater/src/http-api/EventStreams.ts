/**
 * Limits the event streams that are open at once: five for each key.
 *
 * **Details**
 *
 * `permit` lasts as long as the scope of the request, so until the stream ends
 * or its reader hangs up. Streams do not count among the requests that are
 * handled at once.
 *
 * A stream whose key is taken away ends within 15 seconds.
 *
 * **Example** (A sixth stream)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { EventStreams } from "breakwater/http-api"
 *
 * const program = Effect.gen(function*() {
 *   const { permit } = yield* EventStreams.EventStreams
 *   yield* Effect.repeat(permit, { times: 4 })
 *   const refused = yield* Effect.flip(permit)
 *   return refused._tag
 * }).pipe(Effect.scoped, Effect.provide(EventStreams.EventStreams.layer))
 *
 * await Effect.runPromise(program) // => "RateLimitError"
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Errors from "../Errors.ts"
import { CurrentCaller } from "./AdminKeys.ts"

const perKey = 5
const retryAfter = Duration.seconds(5)

/**
 * The open event streams.
 *
 * @category services
 * @since 0.1.0
 */
export class EventStreams extends Context.Service<
  EventStreams,
  {
    /** Counts a stream of the current caller while the scope is open, or refuses it. */
    readonly permit: Effect.Effect<void, Errors.RateLimitError, Scope.Scope>
    /** Streams that are open. */
    readonly open: Effect.Effect<number>
  }
>()("breakwater/http-api/EventStreams") {
  static readonly layer: Layer.Layer<EventStreams> = Layer.sync(EventStreams, () => make())
}

const make = (): EventStreams["Service"] => {
  const open = new Map<string, number>()

  const acquire = Effect.gen(function* () {
    const id = Option.match(yield* CurrentCaller, { onNone: () => "", onSome: ({ id }) => id })
    const count = open.get(id) ?? 0
    if (count >= perKey) {
      return yield* new Errors.RateLimitError({
        message: `A key may have ${perKey} event streams open at once`,
        retryAfter
      })
    }
    open.set(id, count + 1)
    return id
  })

  const release = (id: string) =>
    Effect.sync(() => {
      const left = (open.get(id) ?? 1) - 1
      if (left === 0) open.delete(id)
      else open.set(id, left)
    })

  return EventStreams.of({
    permit: Effect.asVoid(Effect.acquireRelease(acquire, release)),
    open: Effect.sync(() => Array.from(open.values()).reduce((sum, count) => sum + count, 0))
  })
}
