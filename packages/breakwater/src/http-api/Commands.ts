/**
 * Carries out the writes of the admin API.
 *
 * **Details**
 *
 * `run` does what every write needs, in this order: it counts the command (10 a
 * minute for each key and command), waits for its turn at the resource, reads
 * the resource, compares its version with `If-Match`, writes, reads again, and
 * adds an entry to the audit log. Entries about a resource therefore stand in
 * the order of its versions.
 *
 * **Gotchas**
 *
 * A caller that hangs up while it waits for its turn leaves no trace. Once its
 * turn has come the write is finished and recorded, whoever listens.
 *
 * `write` must not run another command on the same resource: it would wait for
 * itself.
 *
 * **Example** (A write that names the version it is about)
 *
 * ```ts import.meta.vitest
 * import { Effect, Layer } from "effect"
 * import { Audit, Commands } from "breakwater/http-api"
 *
 * const program = Effect.gen(function*() {
 *   const commands = yield* Commands.Commands
 *   const light = { state: "red", version: 7 }
 *   const change = commands.run(
 *     {
 *       command: "change_light",
 *       resource: "lights/1",
 *       ifMatch: `"7"`,
 *       read: Effect.sync(() => ({ ...light }))
 *     },
 *     () => Effect.sync(() => Object.assign(light, { state: "green", version: 8 }))
 *   )
 *   const { after, before } = yield* change
 *   const stale = yield* Effect.flip(change)
 *   return [before.state, after.state, stale._tag]
 * }).pipe(Effect.provide(Commands.Commands.layer.pipe(Layer.provide(Audit.Audit.layer))))
 *
 * await Effect.runPromise(program) // => ["red", "green", "PreconditionFailedError"]
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Schema from "effect/Schema"
import * as Errors from "../Errors.ts"
import * as Monotonic from "../Monotonic.ts"
import * as AdminError from "./AdminError.ts"
import * as AdminKeys from "./AdminKeys.ts"
import * as Audit from "./Audit.ts"
import { CommandRates, perMinute } from "./internal/commandRates.ts"
import * as failure from "./internal/failure.ts"
import { Locks } from "./internal/locks.ts"
import * as version from "./internal/version.ts"
import { Visit } from "./internal/visit.ts"

/**
 * What a command has to know of its resource.
 *
 * @category models
 * @since 0.1.0
 */
export interface State {
  /** The state in a word or two, for the audit log. */
  readonly state: string
  /** Grows with every change. */
  readonly version: number
}

/**
 * A write.
 *
 * @category models
 * @since 0.1.0
 */
export interface Command<S extends State, E = never, R = never> {
  /** The OpenAPI operation id of the endpoint: the rate limit and the audit log go by it. */
  readonly command: string
  /** What is written to, as `collection/name`. Writes to one resource happen one after another. */
  readonly resource: string
  /** The header of that name. */
  readonly ifMatch?: string | undefined
  /** Why, in the words of the caller. */
  readonly reason?: string | undefined
  /** Reads the resource. Fails if there is none. */
  readonly read: Effect.Effect<S, E, R>
  /** Facts for the context of a 412, beside `resource` and `current_version`. */
  readonly context?: { readonly [name: string]: Schema.Json } | undefined
}

/**
 * What a write came to.
 *
 * @category models
 * @since 0.1.0
 */
export interface Done<S extends State, A> {
  readonly before: S
  readonly after: S
  /** What `write` returned. */
  readonly value: A
}

/**
 * The writes of the admin API.
 *
 * @category services
 * @since 0.1.0
 */
export class Commands extends Context.Service<
  Commands,
  {
    readonly run: <S extends State, A, E, R, E2, R2>(
      command: Command<S, E, R>,
      write: (before: S) => Effect.Effect<A, E2, R2>
    ) => Effect.Effect<Done<S, A>, E | E2 | Errors.RateLimitError | AdminError.PreconditionFailedError, R | R2>
  }
>()("breakwater/http-api/Commands") {
  static readonly layer: Layer.Layer<Commands, never, Audit.Audit> = Layer.effect(
    Commands,
    Effect.suspend(() => make)
  )
}

/**
 * The value of `ETag` for a version.
 *
 * @category accessors
 * @since 0.1.0
 */
export const etagOf: (version: number) => string = version.etagOf

const make = Effect.gen(function* () {
  const audit = yield* Audit.Audit
  const rates = new CommandRates()
  const locks = new Locks()

  const run = Effect.fnUntraced(function* <S extends State, A, E, R, E2, R2>(
    command: Command<S, E, R>,
    write: (before: S) => Effect.Effect<A, E2, R2>
  ): Effect.fn.Return<Done<S, A>, E | E2 | Errors.RateLimitError | AdminError.PreconditionFailedError, R | R2> {
    const actor = Option.match(yield* AdminKeys.CurrentCaller, { onNone: () => "unknown", onSome: ({ id }) => id })
    const visit = yield* Visit
    const record = (facts: Pick<Audit.Write, "from" | "to" | "version" | "result">) => {
      visit.recordedBy = "command"
      return audit.record({
        actor,
        action: command.command,
        resource: command.resource,
        reason: command.reason,
        ...facts
      })
    }

    const wait = rates.take(`${actor} ${command.command}`, Monotonic.now(yield* Clock.Clock))
    if (wait > 0) {
      yield* record({ result: AdminError.codeOf(429) })
      return yield* new Errors.RateLimitError({
        message: `This command may be used ${perMinute} times a minute`,
        retryAfter: Duration.millis(wait)
      })
    }

    const carryOut = Effect.gen(function* () {
      const before = yield* Effect.tapCause(command.read, (cause) => record({ result: resultOf(cause) }))
      const { state: from, version: current } = before
      if (!version.matches(current, command.ifMatch)) {
        yield* record({ from, version: current, result: AdminError.codeOf(412) })
        return yield* new AdminError.PreconditionFailedError({
          message: "The resource has changed",
          context: { ...command.context, resource: command.resource, current_version: current }
        })
      }
      const value = yield* Effect.tapCause(write(before), (cause) =>
        record({ from, version: current, result: resultOf(cause) })
      )
      const exit = yield* Effect.exit(command.read)
      // The write has happened, also if its resource is gone now.
      yield* record(
        Exit.isSuccess(exit) ? { from, to: exit.value.state, version: exit.value.version } : { from, version: current }
      )
      return { before, after: yield* exit, value }
    })
    return yield* locks.hold(command.resource, carryOut)
  })

  return Commands.of({ run })
})

const resultOf = (cause: Cause.Cause<unknown>): string =>
  Cause.hasInterruptsOnly(cause) ? "interrupted" : AdminError.codeOf(failure.statusOf(cause))
