/**
 * What snapshots of operations come to.
 */
import * as Duration from "effect/Duration"
import type * as CircuitBreaker from "../../CircuitBreaker.ts"
import type * as Operation from "../../Operation.ts"
import type * as RateLimiter from "../../RateLimiter.ts"

/** @internal */
export const circuitsOf = (operations: ReadonlyArray<Operation.Snapshot>): ReadonlyArray<CircuitBreaker.Snapshot> =>
  operations.flatMap(({ circuits }) => circuits)

/** The circuit refuses calls, by itself or because an operator holds it open. @internal */
export const isOpen = ({ state }: Pick<CircuitBreaker.Snapshot, "state">): boolean =>
  state === "open" || state === "isolated"

/** @internal */
export const namesOf = (circuits: ReadonlyArray<Pick<CircuitBreaker.Snapshot, "name">>): ReadonlyArray<string> =>
  circuits.map(({ name }) => name)

const severities = [
  "closed",
  "metrics_only",
  "disabled",
  "half_open",
  "open",
  "isolated"
] as const satisfies ReadonlyArray<CircuitBreaker.State>

/** The higher the worse; no state at all is below every state. @internal */
export const severityOf = (state: CircuitBreaker.State | undefined): number =>
  state === undefined ? -1 : severities.indexOf(state)

/** With two decimals. @internal */
export const percent = (part: number, whole: number): number =>
  whole === 0 ? 0 : Math.round((part / whole) * 10_000) / 100

/** Units that could pass now, for the key that has least. @internal */
export const availableOf = ({ keys, settings: { burst, limit } }: RateLimiter.Snapshot): number =>
  // Without a key nothing was taken yet.
  keys.length === 0 ? (burst ?? limit) : Math.min(...keys.map(({ available }) => available))

/** Milliseconds for which nothing passes, for the key that is paused longest. @internal */
export const pausedFor = ({ keys }: RateLimiter.Snapshot): number =>
  keys.reduce((longest, { pausedFor }) => Math.max(longest, Duration.toMillis(pausedFor)), 0)
