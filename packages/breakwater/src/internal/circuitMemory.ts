/**
 * What a circuit takes along through a restart, and how it begins with it.
 * Monotonic time means nothing to another process, so times are kept as what is
 * left of them.
 */
import type { Automatic, Machine, Mode, Override } from "./circuit.ts"
import * as machine from "./circuitMachine.ts"
import * as circuitOverrides from "./circuitOverrides.ts"

/** @internal */
export interface Memory {
  /** The opening in force; `undefined`: closed. A half-open circuit is open with nothing left. */
  readonly open:
    | {
        readonly leftMillis: number
        readonly openMillis: number
        /** Openings in a row, this one included. */
        readonly openings: number
        readonly failures: number
      }
    | undefined
  readonly overrides: ReadonlyArray<{
    readonly mode: Mode
    readonly reason: string
    readonly actor: string | undefined
    /** `undefined`: until an operator ends it. */
    readonly leftMillis: number | undefined
  }>
}

/** `undefined`: nothing that a new circuit would not do. Windows and the backoff of a closed circuit are not kept. @internal */
export const remember = ({ automatic, overrides }: Machine, now: number): Memory | undefined => {
  const left = (overrides?.list ?? none).filter(({ until }) => until > now)
  if (automatic._tag === "closed" && left.length === 0) return undefined
  return {
    open:
      automatic._tag === "closed"
        ? undefined
        : {
            leftMillis: automatic._tag === "open" ? Math.max(automatic.until - now, 0) : 0,
            openMillis: automatic.backoff.openMillis,
            openings: automatic.backoff.openings,
            failures: automatic._tag === "open" ? automatic.failures : automatic.failed
          },
    overrides: left.map(({ actor, mode, reason, until }) => ({
      mode,
      reason,
      actor,
      leftMillis: until === Infinity ? undefined : until - now
    }))
  }
}

const none: ReadonlyArray<Override> = []

const clamp = (value: number, maximum: number): number => Math.min(Math.max(value, 0), maximum)

/**
 * A machine that goes on, `passedMillis` of wall time later, in place of one
 * whose outcomes it fences off. The wall clock may have been set: what is left
 * is never below 0, nor above the whole time.
 *
 * @internal
 */
export const recall = (
  { open, overrides }: Memory,
  passedMillis: number,
  now: number,
  before: Machine = machine.initial
): Machine => {
  const generation = before.automatic.generation + 1
  const automatic: Automatic =
    open === undefined
      ? machine.closedSince(now, generation, { openings: 0, openMillis: 0 })
      : opened(open, clamp(open.leftMillis - passedMillis, open.openMillis), generation, now)
  const self: Machine = { automatic, overrides: undefined, version: before.version + 1 }
  return overrides.reduce((self, { actor, leftMillis = Infinity, mode, reason }) => {
    const left = clamp(leftMillis - passedMillis, leftMillis)
    return left === 0 ? self : circuitOverrides.laid(self, { mode, reason, actor, until: now + left })
  }, self)
}

const opened = (
  { failures, openMillis, openings }: NonNullable<Memory["open"]>,
  leftMillis: number,
  generation: number,
  now: number
): Automatic => ({
  _tag: "open",
  generation,
  backoff: { openings, openMillis },
  since: now + leftMillis - openMillis,
  until: now + leftMillis,
  failures
})
