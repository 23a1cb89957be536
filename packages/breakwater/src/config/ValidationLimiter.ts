/**
 * Limits how often a client may have configurations validated.
 *
 * **Details**
 *
 * Ten calls at once, then one a second; 60 in any minute and 1000 in any hour.
 * All validations of one client count together. The identity of a client is
 * its key, or else its address.
 *
 * **Gotchas**
 *
 * The table of clients is bounded. One that has been quiet for so long that
 * nothing counts any more is forgotten. Clients beyond the bound share one
 * count.
 *
 * **Example** (Pacing a client)
 *
 * ```ts import.meta.vitest
 * import { Duration, Effect } from "effect"
 * import { ValidationLimiter } from "breakwater"
 *
 * const program = Effect.gen(function*() {
 *   const limiter = yield* ValidationLimiter.ValidationLimiter
 *   yield* Effect.repeat(limiter.check("key 4f2a"), { times: 9 })
 *   const { retryAfter } = yield* Effect.flip(limiter.check("key 4f2a"))
 *   return Duration.toSeconds(retryAfter) <= 1
 * }).pipe(Effect.provide(ValidationLimiter.ValidationLimiter.layer()))
 *
 * await Effect.runPromise(program) // => true
 * ```
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import { BoundedMap } from "../internal/boundedMap.ts"
import * as machine from "../internal/pacedLimit.ts"
import * as Monotonic from "../Monotonic.ts"
import * as Settings_ from "../Settings.ts"
import * as Wire from "../Wire.ts"
import { rates } from "./Validation.ts"

const whole = (minimum: number, maximum: number, value: number) =>
  Settings_.count({ minimum, maximum }).pipe(Settings_.withDefault(value))

/**
 * @category schemas
 * @since 0.1.0
 */
export class Settings extends Schema.Class<Settings>("breakwater/config/ValidationLimiter/Settings")({
  /** Calls in any minute, 1 to 6000. The pace is this many a minute. Default 60. */
  perMinute: whole(1, 6000, rates.perMinute),
  /** Calls in any hour, 1 to 10000. Default 1000. */
  perHour: whole(1, 10_000, rates.perHour),
  /** Calls at once, 1 to 1000. Default 10. */
  burst: whole(1, 1000, rates.burst),
  /** Clients that are told apart, 1 to 100000. Default 4096. */
  maxClients: whole(1, 100_000, 4096)
}) {}

/**
 * @category models
 * @since 0.1.0
 */
export interface SettingsInput {
  readonly perMinute?: number | undefined
  readonly perHour?: number | undefined
  readonly burst?: number | undefined
  readonly maxClients?: number | undefined
}

/**
 * The client has to wait.
 *
 * @category errors
 * @since 0.1.0
 */
export class RateLimited extends Data.TaggedError("RateLimited")<{
  /** After this time, exactly, a call is admitted if no other comes before it. */
  readonly retryAfter: Duration.Duration
}> {
  override get message(): string {
    return `Too many validations: wait ${Duration.format(this.retryAfter)}`
  }
}

/**
 * What a client has used of its limits.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Status = Wire.snakeCase("ValidationRateLimitStatus", {
  clientIdentifier: Schema.String,
  currentStatus: Wire.snakeCase("ValidationRateLimitUse", {
    requestsLastMinute: Schema.Int,
    requestsLastHour: Schema.Int,
    maxPerMinute: Schema.Int,
    maxPerHour: Schema.Int,
    /** Seconds until the next call is admitted. */
    cooldownRemaining: Wire.Seconds
  }),
  limits: Wire.snakeCase("ValidationRateLimits", {
    maxValidationsPerMinute: Schema.Int,
    maxValidationsPerHour: Schema.Int,
    /** Always 0: calls are paced and not spaced. */
    cooldownSeconds: Wire.Seconds
  }),
  checkTimestamp: Wire.Timestamp
})

/**
 * @category models
 * @since 0.1.0
 */
export type Status = typeof Status.Type

/**
 * The limits of all clients.
 *
 * @category services
 * @since 0.1.0
 */
export class ValidationLimiter extends Context.Service<
  ValidationLimiter,
  {
    /** Counts a call of a client, or refuses it. */
    readonly check: (identity: string) => Effect.Effect<void, RateLimited>
    /** What a client has used. Counts nothing and remembers nobody. */
    readonly status: (identity: string) => Effect.Effect<Status>
  }
>()("breakwater/config/ValidationLimiter") {
  /** Provides limits. Throws `InvalidSettings`. */
  static readonly layer = (settings?: SettingsInput): Layer.Layer<ValidationLimiter> =>
    Layer.sync(ValidationLimiter, () => make(settings))
}

const minute = 60_000
const hour = 3_600_000

interface Client {
  touched: boolean
  state: machine.State
}

/**
 * Makes limits. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (input: SettingsInput = {}): ValidationLimiter["Service"] => {
  const settings = Settings_.make(Settings, { settings: "ValidationLimiter", input, durations: [] })
  const pace: machine.Settings = {
    burst: settings.burst,
    interval: minute / settings.perMinute,
    windows: [
      { length: minute, limit: settings.perMinute },
      { length: hour, limit: settings.perHour }
    ]
  }
  const clients = new BoundedMap<string, Client>(settings.maxClients, ({ state }, now) =>
    machine.isIdle(pace, state, now)
  )
  const shared: Client = { touched: false, state: machine.empty }

  const clientOf = (identity: string, now: number): Client => {
    const known = clients.get(identity)
    if (known !== undefined) return known
    const client: Client = { touched: false, state: machine.empty }
    return clients.add(identity, client, now) ? client : shared
  }

  return ValidationLimiter.of({
    check: (identity) =>
      Clock.clockWith((clock) => {
        const now = Monotonic.now(clock)
        const client = clientOf(identity, now)
        const [wait, state] = machine.admit(pace, client.state, now)
        client.state = state
        return wait === 0 ? Effect.void : Effect.fail(new RateLimited({ retryAfter: Duration.millis(wait) }))
      }),
    status: (identity) =>
      Clock.clockWith((clock) => {
        const now = Monotonic.now(clock)
        const state =
          clients.get(identity)?.state ?? (clients.entries.size < settings.maxClients ? machine.empty : shared.state)
        return Effect.map(DateTime.now, (checkTimestamp) => ({
          clientIdentifier: identity,
          currentStatus: {
            requestsLastMinute: machine.countWithin(state, minute, now),
            requestsLastHour: machine.countWithin(state, hour, now),
            maxPerMinute: settings.perMinute,
            maxPerHour: settings.perHour,
            cooldownRemaining: Duration.millis(machine.wait(pace, state, now))
          },
          limits: {
            maxValidationsPerMinute: settings.perMinute,
            maxValidationsPerHour: settings.perHour,
            cooldownSeconds: Duration.zero
          },
          checkTimestamp
        }))
      })
  })
}
