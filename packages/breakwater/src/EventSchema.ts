/**
 * What the policies say about themselves, as one closed union of data.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

const event = <const Tag extends string, const Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.TaggedStruct(tag, {
    /** The operation it happened to. */
    operation: Schema.String,
    /** The part of the operation, for example a tenant, when the call named one. */
    key: Schema.optional(Schema.String),
    /** Wall time, for display only. */
    at: Schema.DateTimeUtcFromString,
    ...fields
  })

const overrideMode = Schema.Literals(["isolated", "disabled", "metrics_only"])

const circuitState = Schema.Literals(["closed", "open", "half_open", ...overrideMode.literals])

const circuitEvent = <const Tag extends string, const Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  event(tag, {
    /** Counts the transitions of this circuit. */
    version: Schema.Int,
    from: circuitState,
    ...fields
  })

const alertEvent = <const Tag extends string, const Fields extends Schema.Struct.Fields>(tag: Tag, fields: Fields) =>
  Schema.TaggedStruct(tag, {
    at: Schema.DateTimeUtcFromString,
    id: Schema.String,
    rule: Schema.String,
    /** What it is about: an operation, a preset, or the rule's own word for all of them. */
    subject: Schema.String,
    level: Schema.Literals(["info", "warning", "error", "critical"]),
    title: Schema.String,
    ...fields
  })

/**
 * Everything that a policy can report.
 *
 * @category schemas
 * @since 0.1.0
 */
export const ResilienceEvent = Schema.Union([
  /** A call was refused or cut short by us. */
  event("CallRejected", { reason: Schema.String, message: Schema.String, decisionId: Schema.String }),
  /** An attempt failed, and what that means. */
  event("AttemptFailed", { attempt: Schema.Int, error: Schema.String, kind: Schema.String }),
  /** Another attempt will follow. */
  event("RetryScheduled", { attempt: Schema.Int, delay: Schema.DurationFromString, error: Schema.String }),
  /** The call fails with its last error, although that error could be retried. */
  event("RetriesExhausted", {
    attempts: Schema.Int,
    elapsed: Schema.DurationFromString,
    error: Schema.String,
    /** `budget`: others repeat enough already. `nested`: left to a retry around or inside of this one. */
    because: Schema.Literals(["attempts", "deadline", "budget", "nested"])
  }),
  /** While this operation repeats, one inside of it repeats too: their attempts multiply. */
  event("RetriesNested", { inner: Schema.String }),
  /** The caller was released at the deadline and the attempt was interrupted. */
  event("AttemptTimedOut", { scope: Schema.Literals(["attempt", "total"]), limit: Schema.DurationFromString }),
  /** A timed out attempt did not end at once: `abandoned` of them are still ending. */
  event("AttemptAbandoned", { abandoned: Schema.Int }),
  circuitEvent("CircuitOpened", {
    /** `relapsed`: a call failed during the slow start. */
    because: Schema.Literals(["failures", "slow_calls", "relapsed", "probe_failed", "probe_lapsed", "operator"]),
    /** Failures that led to it, or slow calls. */
    failures: Schema.Int,
    /** The error of the call that opened it, if one did and failed. */
    error: Schema.optional(Schema.String),
    openFor: Schema.DurationFromString
  }),
  circuitEvent("CircuitHalfOpened", {}),
  circuitEvent("CircuitClosed", { because: Schema.Literals(["probes_succeeded", "operator"]) }),
  /** An operator laid an override over the circuit. */
  circuitEvent("CircuitOverridden", {
    mode: overrideMode,
    reason: Schema.String,
    actor: Schema.optional(Schema.String),
    expiresIn: Schema.optional(Schema.DurationFromString)
  }),
  /** An override ended by itself, or an operator ended it alone; `to` is the state that was underneath. */
  circuitEvent("CircuitOverrideEnded", { mode: overrideMode, actor: Schema.optional(Schema.String), to: circuitState }),
  /** A probe did not answer in time and counts as failed. */
  event("ProbeLapsed", { overdue: Schema.DurationFromString }),
  /** No call of the key is let through for a while: the dependency asked for it, or an operator. */
  event("RateLimitPaused", {
    scope: Schema.Literals(["admission", "quota"]),
    because: Schema.Literals(["response", "operator"]),
    pausedFor: Schema.DurationFromString
  }),
  /** An operator ended a pause before its time. */
  event("RateLimitResumed", { scope: Schema.Literals(["admission", "quota"]) }),
  /** The caller got the fallback's answer, that of a `tier` if there are several. */
  event("FallbackServed", { error: Schema.String, tier: Schema.optional(Schema.String) }),
  /** The fallback itself failed, or the last `tier` that was tried. */
  event("FallbackFailed", { error: Schema.String, tier: Schema.optional(Schema.String) }),
  /** The number of calls that may run at once was changed. `active` run and `queued` wait after it. */
  event("BulkheadResized", { from: Schema.Int, to: Schema.Int, active: Schema.Int, queued: Schema.Int }),
  /** The configuration of all operations changed. */
  Schema.TaggedStruct("ConfigurationChanged", {
    at: Schema.DateTimeUtcFromString,
    version: Schema.Int,
    actor: Schema.String,
    reason: Schema.optional(Schema.String),
    /** What differs in force. */
    fields: Schema.Array(Schema.String)
  }),
  /** Something needs a look; or needs it more than before, with the same `id` and a higher `level`. */
  alertEvent("AlertRaised", { description: Schema.String, threshold: Schema.Finite, actual: Schema.Finite }),
  /** Somebody looks after it. */
  alertEvent("AlertAcknowledged", { actor: Schema.String }),
  /** The condition ended by itself. */
  alertEvent("AlertResolved", {})
]).pipe(Schema.toTaggedUnion("_tag"))

/**
 * @category models
 * @since 0.1.0
 */
export type ResilienceEvent = typeof ResilienceEvent.Type
