/**
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import { Configuration } from "../../config/Configuration.ts"
import * as Moment from "../../Moment.ts"
import type * as RateLimiter from "../../RateLimiter.ts"
import { Registry } from "../../Registry.ts"
import type * as Strategy from "../../Strategy.ts"
import { Served } from "../internal/served.ts"
import { Commands } from "../Commands.ts"
import * as configurationErrors from "../internal/configurationErrors.ts"
import * as lookup from "../internal/lookup.ts"
import * as operationViews from "../internal/operationViews.ts"
import { tagged } from "../internal/version.ts"
import * as wire from "../internal/wire.ts"

interface LimitRequest {
  readonly headers: { readonly "if-match"?: string | undefined }
  readonly params: { readonly operation_name: string }
  readonly payload: {
    readonly scope: RateLimiter.Snapshot["scope"]
    readonly key?: string | undefined
    readonly reason?: string | undefined
  }
}

/**
 * @category layers
 * @since 0.1.0
 */
export const layer = HttpApiBuilder.group(
  Served,
  "operations",
  Effect.fnUntraced(function* (handlers) {
    const resilience = yield* Registry
    const configuration = yield* Configuration
    const commands = yield* Commands

    const version = Effect.map(configuration.current, ({ version }) => version)

    const list = Effect.zipWith(resilience.operations, version, operationViews.operationList)

    const one = (name: string) =>
      Effect.zipWith(lookup.operation(resilience, name), version, operationViews.operationDetails)

    const set = Effect.fn("AdminApi.setStrategy")(function* (
      given: string,
      ifMatch: string | undefined,
      { reason, strategy }: { readonly strategy: Strategy.BuiltIn | null; readonly reason?: string }
    ) {
      const { name } = yield* lookup.operation(resilience, given)
      const actor = yield* lookup.actor
      const { after } = yield* commands.run(
        {
          command: "set_operation_strategy",
          resource: `operations/${name}`,
          ifMatch,
          reason,
          read: Effect.map(one(name), (view) => ({ view, state: view.strategy, version: view.version })),
          context: { operation_name: name }
        },
        ({ version }) =>
          Effect.mapError(
            configuration.apply({
              strategies: { [name]: strategy },
              actor,
              reason,
              // Another operation, or the configuration, may be written to meanwhile.
              ...(ifMatch === undefined ? {} : { ifVersion: version })
            }),
            configurationErrors.refused
          )
      )
      return after.view
    })

    /** A pause belongs to a key, so that is what a command locks and what the audit log names. */
    const limit = Effect.fn("AdminApi.rateLimit")(function* (
      command: "pause_rate_limit" | "resume_rate_limit",
      request: LimitRequest,
      write: (limiter: RateLimiter.Limiter, moment: Moment.Moment) => void
    ) {
      const { key, reason, scope } = request.payload
      const { name } = yield* lookup.operation(resilience, request.params.operation_name)
      const read = Effect.gen(function* () {
        const limiter = yield* lookup.rateLimit(resilience, name, scope)
        const { keys } = limiter.snapshotUnsafe(yield* Clock.Clock)
        const pausedFor = keys.find((each) => each.key === key)?.pausedFor ?? Duration.zero
        const view = yield* one(name)
        const state = Duration.isZero(pausedFor) ? "running" : `paused for ${Duration.format(pausedFor)}`
        return { view, state, version: view.version }
      })
      const { after } = yield* commands.run(
        {
          command,
          resource: `operations/${name}/rate-limits/${key === undefined ? scope : `${scope}:${key}`}`,
          ifMatch: request.headers["if-match"],
          reason,
          read,
          context: { operation_name: name }
        },
        () =>
          Effect.flatMap(lookup.rateLimit(resilience, name, scope), (limiter) =>
            Effect.withFiber((fiber) => Effect.sync(() => write(limiter, Moment.of(fiber))))
          )
      )
      return tagged(after.view)
    })

    const resize = Effect.fn("AdminApi.resizeBulkhead")(function* (
      given: string,
      ifMatch: string | undefined,
      { max_concurrent, reason }: { readonly max_concurrent: number; readonly reason: string }
    ) {
      const { name } = yield* lookup.operation(resilience, given)
      const { after, before } = yield* commands.run(
        {
          command: "resize_bulkhead",
          resource: `operations/${name}/bulkhead`,
          ifMatch,
          reason,
          read: Effect.zipWith(lookup.bulkhead(resilience, name), version, ({ tuning: { settings } }, version) => ({
            limit: settings.maxConcurrent,
            state: `${settings.maxConcurrent} at once`,
            version
          })),
          context: { operation_name: name }
        },
        () =>
          Effect.zipWith(lookup.bulkhead(resilience, name), Clock.Clock, (bulkheads, clock) =>
            // Within the bounds of the settings, as the payload was checked.
            bulkheads.resizeUnsafe(max_concurrent, clock)
          )
      )
      return operationViews.bulkheadResized(yield* lookup.operation(resilience, name), {
        from: before.limit,
        to: after.limit,
        version: after.version
      })
    })

    return handlers.handleAll({
      list: () => Effect.map(list, (found) => wire.tagged(wire.operationList(found))),
      get: ({ params }) => Effect.map(one(params.operation_name), tagged),
      set: ({ headers, params, payload }) =>
        Effect.map(set(params.operation_name, headers["if-match"], payload), tagged),
      resize: ({ headers, params, payload }) =>
        Effect.map(resize(params.operation_name, headers["if-match"], payload), tagged),
      pause: (request) =>
        limit("pause_rate_limit", request, (limiter, moment) =>
          limiter.pauseUnsafe(request.payload.key, request.payload.pause_seconds * 1000, "operator", moment)
        ),
      resume: (request) =>
        limit("resume_rate_limit", request, (limiter, moment) => limiter.resumeUnsafe(request.payload.key, moment))
    })
  })
)
