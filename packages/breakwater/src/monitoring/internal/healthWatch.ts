/**
 * What snapshots cannot say, because it lies between them: how long something
 * has been so, and when it last changed. Pure: each reading gives the next
 * watch.
 */
import type * as CircuitBreaker from "../../CircuitBreaker.ts"
import type * as Operation from "../../Operation.ts"

/** The name of the record, and the key of the circuit, that take what is beyond a bound. @internal */
export const overflow = "(overflow)"

/** Monotonic milliseconds throughout; `-Infinity`: not since it is watched. @internal */
interface Seen {
  /** First seen. */
  readonly since: number
  readonly calls: number
  /** Calls were seen to come in. */
  readonly calledAt: number
  /** Circuits with a key, without the one for the overflow. */
  readonly keys: number
  readonly newestKey: string | undefined
  /** A new key was seen. */
  readonly newKeyAt: number
  /** Calls that went to the circuit for the overflow. */
  readonly spilled: number
  readonly spilledAt: number
}

/** @internal */
export interface Watch {
  readonly operations: ReadonlyMap<string, Seen>
  readonly newestOperation: string | undefined
  /** An operation was seen that was not there before. */
  readonly newOperationAt: number
  /** Strategies prepared. */
  readonly prepared: number
  readonly preparedAt: number
  /** Since when overrides lie over circuits, by `overrideOf`. */
  readonly overridden: ReadonlyMap<string, number>
}

/** @internal */
export const empty: Watch = {
  operations: new Map(),
  newestOperation: undefined,
  newOperationAt: -Infinity,
  prepared: 0,
  preparedAt: -Infinity,
  overridden: new Map()
}

/** Names an override of a circuit. A mode is one word. @internal */
export const overrideOf = (circuit: string, mode: CircuitBreaker.Mode): string => `${mode} ${circuit}`

/** Maps keep the order of insertion, so something new stands at the end also where the number stays the same. */
const seen = (snapshot: Operation.Snapshot, before: Seen | undefined, now: number): Seen => {
  let keys = 0
  let spilled = 0
  let newestKey: string | undefined
  for (const { counters, key } of snapshot.circuits) {
    if (key === undefined) continue
    if (key === overflow) {
      spilled = counters.admitted + counters.rejected
    } else {
      keys++
      newestKey = key
    }
  }
  const { calls } = snapshot.counters
  const changed = (isSo: boolean, at: number | undefined): number => (isSo ? now : (at ?? -Infinity))
  return {
    since: before?.since ?? now,
    calls,
    calledAt: changed(calls !== (before?.calls ?? 0), before?.calledAt),
    keys,
    newestKey,
    newKeyAt: changed(newestKey !== before?.newestKey || keys > (before?.keys ?? 0), before?.newKeyAt),
    spilled,
    spilledAt: changed(spilled !== (before?.spilled ?? 0), before?.spilledAt)
  }
}

/** @internal */
export const next = (
  before: Watch,
  operations: ReadonlyArray<Operation.Snapshot>,
  prepared: number | undefined,
  now: number
): Watch => {
  const known = new Map<string, Seen>()
  const overridden = new Map<string, number>()
  let newestOperation: string | undefined
  for (const snapshot of operations) {
    known.set(snapshot.name, seen(snapshot, before.operations.get(snapshot.name), now))
    if (snapshot.name !== overflow) newestOperation = snapshot.name
    for (const { name, overrides } of snapshot.circuits) {
      for (const { mode } of overrides) {
        const override = overrideOf(name, mode)
        overridden.set(override, before.overridden.get(override) ?? now)
      }
    }
  }
  const count = prepared ?? 0
  return {
    operations: known,
    newestOperation,
    newOperationAt:
      newestOperation !== before.newestOperation || known.size > before.operations.size ? now : before.newOperationAt,
    prepared: count,
    preparedAt: count > before.prepared ? now : before.preparedAt,
    overridden
  }
}
