/**
 * What snapshots of operations come to.
 */
import type * as CircuitBreaker from "../../CircuitBreaker.ts"
import type * as Operation from "../../Operation.ts"

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
