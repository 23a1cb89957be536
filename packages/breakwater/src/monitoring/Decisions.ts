/**
 * Answers "why was this call refused?": finds remembered decisions and tells
 * them in one sentence.
 *
 * **Details**
 *
 * Decisions are always remembered for calls that we refused or cut short, and
 * for a sample of the rest. A rejection carries the id of its decision.
 *
 * **Gotchas**
 *
 * A sample is no traffic: to record every call, set `decisions.sampleEvery` of
 * `Resilience.layer` to 1 and `decisions.capacity` to what you need.
 *
 * **Example** (Explaining a rejection)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Decisions, Resilience, Strategy, withResilience } from "breakwater"
 *
 * const once = Strategy.make("once", {
 *   retry: false,
 *   circuitBreaker: { failureThreshold: 1, openDuration: "10 seconds" }
 * })
 *
 * const program = Effect.gen(function* () {
 *   yield* Effect.exit(Effect.fail("down").pipe(withResilience(once, { operation: "answer_question" })))
 *   const rejected = yield* Effect.flip(Effect.void.pipe(withResilience(once, { operation: "answer_question" })))
 *   const decision = yield* Decisions.find(rejected.decisionId ?? "")
 *   return Decisions.explain(decision).startsWith("refused by circuit answer_question: 1 failure in a row, opened ")
 * }).pipe(Effect.provide(Resilience.layer()))
 *
 * await Effect.runPromise(program) // => true
 * ```
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as CircuitBreaker from "../CircuitBreaker.ts"
import type * as Decision from "../Decision.ts"
import * as Description from "../Description.ts"
import { Registry } from "../Registry.ts"
import type { Resilience } from "../Resilience.ts"
import type { Reason } from "../ResilienceError.ts"
import * as Wire from "../Wire.ts"

/**
 * No decision of that id is remembered: it never was one, or newer ones have
 * taken its place.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownDecision extends Data.TaggedError("UnknownDecision")<{ readonly id: string }> {
  override get message(): string {
    return `No decision ${JSON.stringify(this.id.slice(0, 80))} is remembered`
  }
}

/**
 * Which decisions to list.
 *
 * @category models
 * @since 0.1.0
 */
export interface Query {
  readonly operation?: string | undefined
  readonly key?: string | undefined
  readonly verdict?: Decision.Decision["verdict"] | undefined
  /** The tag of a rejection's reason, such as `CircuitOpen`. */
  readonly reason?: string | undefined
  readonly since?: DateTime.DateTime | undefined
  readonly until?: DateTime.DateTime | undefined
  /** 1 to 1,000. Default 100. */
  readonly limit?: number | undefined
}

/**
 * Decisions that match, newest first.
 *
 * @category accessors
 * @since 0.1.0
 */
export const list = (query: Query = {}): Effect.Effect<ReadonlyArray<Decision.Decision>, never, Resilience> =>
  Effect.gen(function* () {
    const { key, limit = 100, operation, reason, since, until, verdict } = query
    const from = since === undefined ? -Infinity : DateTime.toEpochMillis(since)
    const to = until === undefined ? Infinity : DateTime.toEpochMillis(until)
    return (yield* (yield* Registry).decisions)
      .filter(
        (decision) =>
          (operation === undefined || decision.operation === operation) &&
          (key === undefined || decision.key === key) &&
          (verdict === undefined || decision.verdict === verdict) &&
          (reason === undefined || decision.reason?._tag === reason) &&
          decision.at >= from &&
          decision.at <= to
      )
      .toSorted((a, b) => b.at - a.at)
      .slice(0, limit)
  })

/**
 * The decision of an id.
 *
 * @category accessors
 * @since 0.1.0
 */
export const find = (id: string): Effect.Effect<Decision.Decision, UnknownDecision, Resilience> =>
  Effect.flatMap(Registry, (resilience) =>
    Effect.flatMap(resilience.decisions, (all) => {
      const found = all.find((decision) => decision.id === id)
      return found === undefined ? Effect.fail(new UnknownDecision({ id })) : Effect.succeed(found)
    })
  )

const time = (millis: number): string =>
  new Intl.DateTimeFormat("en-GB", { timeStyle: "medium", timeZone: "UTC" }).format(millis)

const times = (count: number, one: string): string => `${count} ${one}${count === 1 ? "" : "s"}`

const span = (millis: number): string => Duration.format(Duration.millis(Math.max(Math.ceil(millis), 0)))

/**
 * A decision in one plain sentence, with the numbers it was made by.
 *
 * @category accessors
 * @since 0.1.0
 */
export const explain = (decision: Decision.Decision): string => {
  const { elapsed, error, failedAttempts, operation, queued, reason, verdict } = decision
  const name = decision.key === undefined ? operation : `${operation}:${decision.key}`
  const tries =
    failedAttempts.length === 0
      ? ""
      : `, after ${times(failedAttempts.length, "failed attempt")} (${failedAttempts.map(({ error }) => error).join(", ")})`
  const waits = queued === 0 ? "" : `, ${span(queued)} of it waiting for its turn`
  switch (verdict) {
    case "succeeded":
      return `${name} succeeded in ${span(elapsed)}${waits}${tries}`
    case "interrupted":
      return `${name} was interrupted by its caller after ${span(elapsed)}${waits}${tries}`
    case "failed":
      return `${name} failed with ${error ?? "an error"} after ${span(elapsed)}${waits}${tries}`
    case "rejected":
      return `${refusal(name, decision, reason)}${tries}`
  }
}

const refusal = (name: string, { at, circuit, elapsed }: Decision.Decision, reason: Reason | undefined): string => {
  switch (reason?._tag) {
    case "CircuitOpen": {
      const failures = circuit === undefined || circuit.failureCount === 0 ? "" : `${counted(circuit)}, `
      // Without a failure only an operator opens a circuit.
      const by = circuit?.failureCount === 0 ? "by an operator " : ""
      const opened = circuit === undefined ? "" : `opened ${by}${time(at - circuit.since)}, `
      return `refused by circuit ${name}: ${failures}${opened}next probe in ${Duration.format(reason.retryAfter)}`
    }
    case "CircuitHalfOpen":
      return reason.because === "probing"
        ? `refused by circuit ${name}: half-open, all its probes are under way, next one in ${Duration.format(reason.retryAfter)} at most`
        : `refused by circuit ${name}: closed again and starting slowly, back to all calls in ${Duration.format(reason.retryAfter)} at most`
    case "CircuitIsolated":
      return `refused by circuit ${name}: isolated by an operator (${reason.because})${
        reason.retryAfter === undefined ? "" : `, for another ${Duration.format(reason.retryAfter)}`
      }`
    case "BulkheadFull":
      return `refused by bulkhead ${name}: ${reason.active} of ${reason.limit} places taken and ${reason.queued} waiting${
        Duration.isZero(reason.waited) ? "" : `, after a wait of ${Duration.format(reason.waited)}`
      }`
    case "RateLimitExceeded":
      return `refused by the ${reason.scope} rate limit of ${name}: ${reason.limit} are allowed, ${
        Duration.isFinite(reason.retryAfter)
          ? `room again in ${Duration.format(reason.retryAfter)}`
          : `a cost of ${reason.cost} never passes`
      }`
    case "TimeoutExceeded":
      return `${name} was cut short by its ${reason.scope} timeout of ${Duration.format(reason.limit)}, ${span(elapsed)} after its start`
    case undefined:
      return `${name} was refused`
  }
}

const counted = ({ failureCount, settings }: CircuitBreaker.Facts): string => {
  const tripPolicy = CircuitBreaker.tripPolicyOf(settings)
  switch (tripPolicy._tag) {
    case "Consecutive":
      return `${times(failureCount, "failure")} in a row`
    case "CountWindow":
      return `${times(failureCount, "failure")} in ${times(tripPolicy.size, "call")}`
    case "TimeWindow":
    case "FailuresIn":
      return `${times(failureCount, "failure")} in ${Duration.format(tripPolicy.duration)}`
    case "SlowCalls":
      return times(failureCount, "slow call")
    case "AnyOf":
      return times(failureCount, "bad call")
  }
}

const policyNames = {
  CircuitOpen: "circuit_breaker",
  CircuitHalfOpen: "circuit_breaker",
  CircuitIsolated: "circuit_breaker",
  BulkheadFull: "bulkhead"
} as const

/**
 * The policy that refused a call or cut it short; `undefined` if none did.
 *
 * @category accessors
 * @since 0.1.0
 */
export const refusedBy = ({ reason }: Decision.Decision): string | undefined => {
  if (reason === undefined) return undefined
  switch (reason._tag) {
    case "TimeoutExceeded":
      return `${reason.scope}_timeout`
    case "RateLimitExceeded":
      return reason.scope
    default:
      return policyNames[reason._tag]
  }
}

/**
 * The policies that a call came by, outermost first: all of its strategy, or
 * up to the one that refused its first attempt.
 *
 * @category accessors
 * @since 0.1.0
 */
export const policies = (decision: Decision.Decision): ReadonlyArray<string> => {
  const { failedAttempts, settings } = decision
  const all: ReadonlyArray<string> = Description.policiesOf(settings)
  const by = refusedBy(decision)
  // The total time may pass anywhere.
  if (by === undefined || by === "total_timeout" || failedAttempts.length > 0) return all
  const last = all.indexOf(by)
  return last < 0 ? all : all.slice(0, last + 1)
}

/**
 * A decision as the admin API tells it.
 *
 * @category schemas
 * @since 0.1.0
 */
export const View = Wire.snakeCase("Decision", {
  id: Schema.String,
  operation: Schema.String,
  key: Schema.NullOr(Schema.String),
  strategy: Schema.String,
  source: Schema.String,
  timestamp: Wire.Timestamp,
  verdict: Schema.Literals(["succeeded", "failed", "rejected", "interrupted"]),
  reason: Schema.NullOr(Schema.String),
  /** The policy that refused the call, or cut it short. */
  refusedBy: Schema.NullOr(Schema.String),
  /** What the call came by, outermost first. */
  policies: Schema.Array(Schema.String),
  error: Schema.NullOr(Schema.String),
  elapsedSeconds: Wire.Seconds,
  /** Of these, waiting for places and limits. */
  queuedSeconds: Schema.Finite,
  attempts: Schema.Array(
    Wire.snakeCase("FailedAttempt", {
      attempt: Schema.Int,
      error: Schema.String,
      kind: Schema.String,
      waitedSeconds: Schema.NullOr(Schema.Finite)
    })
  ),
  circuit: Schema.NullOr(
    Wire.snakeCase("CircuitFacts", {
      state: Schema.String,
      version: Schema.Int,
      failureCount: Schema.Int,
      failureThreshold: Schema.Int,
      /** `null` for a circuit that has never moved. */
      secondsInState: Schema.NullOr(Schema.Finite),
      secondsUntilProbe: Schema.Finite,
      isolatedBecause: Schema.NullOr(Schema.String),
      /** What operators had laid over the circuit, the strongest first. */
      overrides: Schema.Array(
        Wire.snakeCase("DecisionOverride", {
          mode: Schema.String,
          reason: Schema.String,
          actor: Schema.NullOr(Schema.String),
          /** Until it ends by itself; `null` if it does not. */
          secondsLeft: Schema.NullOr(Schema.Finite)
        })
      )
    })
  ),
  explanation: Schema.String
})

/**
 * @category models
 * @since 0.1.0
 */
export type View = typeof View.Type

/**
 * @category accessors
 * @since 0.1.0
 */
export const view = (decision: Decision.Decision): View => ({
  id: decision.id,
  operation: decision.operation,
  key: decision.key ?? null,
  strategy: decision.strategy,
  source: decision.source,
  timestamp: DateTime.makeUnsafe(decision.at),
  verdict: decision.verdict,
  reason: decision.reason?._tag ?? null,
  refusedBy: refusedBy(decision) ?? null,
  policies: policies(decision),
  error: decision.error ?? null,
  elapsedSeconds: Duration.millis(decision.elapsed),
  queuedSeconds: decision.queued / 1000,
  attempts: decision.failedAttempts.map(({ attempt, error, kind, waited }) => ({
    attempt,
    error,
    kind,
    waitedSeconds: waited === undefined ? null : waited / 1000
  })),
  circuit:
    decision.circuit === undefined
      ? null
      : {
          state: decision.circuit.state,
          version: decision.circuit.version,
          failureCount: decision.circuit.failureCount,
          failureThreshold: decision.circuit.settings.failureThreshold,
          secondsInState: Number.isFinite(decision.circuit.since) ? decision.circuit.since / 1000 : null,
          secondsUntilProbe: decision.circuit.untilProbe / 1000,
          isolatedBecause: decision.circuit.isolatedBecause ?? null,
          overrides: decision.circuit.overrides.map(({ actor, left, mode, reason }) => ({
            mode,
            reason,
            actor: actor ?? null,
            secondsLeft: Number.isFinite(left) ? left / 1000 : null
          }))
        },
  explanation: explain(decision)
})

/**
 * The traffic that decisions remember, one line of JSON for each call: what
 * started when, for how long, of that how long waiting for its turn, and how it
 * ended.
 *
 * @category accessors
 * @since 0.1.0
 */
export const toNdjson = (decisions: ReadonlyArray<Decision.Decision>): string =>
  decisions
    .map(({ at, elapsed, error, failedAttempts, key, operation, queued, reason, verdict }) =>
      JSON.stringify({
        start: DateTime.formatIso(DateTime.makeUnsafe(at - elapsed)),
        operation,
        key: key ?? null,
        duration_seconds: elapsed / 1000,
        queued_seconds: queued / 1000,
        outcome: verdict,
        reason: reason?._tag ?? null,
        error: error ?? null,
        failed_attempts: failedAttempts.length
      })
    )
    .map((line) => `${line}\n`)
    .join("")
