/**
 * Decides when a closed circuit opens. Pure, but for the calls in flight that a
 * window may count.
 *
 * Failures in a row are one number, and the circuit that counts them needs no
 * clock. Every other policy looks at a window (`tripWindow.ts`) and brings what
 * it does along, so that nobody bundles it who names no such policy. A window
 * is whatever a policy has to remember; it starts as `empty`.
 */
import type { Start, Starts } from "./starts.ts"

/** A window that another policy began counts for nothing. @internal */
export interface TripPolicy {
  readonly _tag: "Consecutive" | "Windowed"
  /** From how many milliseconds on a call is slow; `Infinity`: none is. */
  readonly slowMillis: number
  /** A call starts. `undefined`: nobody asks how old it is. */
  readonly started: ((window: Window, now: number) => readonly [Start | undefined, Window]) | undefined
  /** A call ended with an outcome. */
  readonly observe: (window: Window, now: number, failed: boolean, start: Start | undefined) => Window
  /** Whether a success changes nothing in it, at any time. */
  readonly ignoresSuccess: (window: Window) => boolean
  readonly trips: (window: Window, now: number) => Tripped | undefined
  /** Whether calls in flight trip it. `undefined`: they never do. */
  readonly tripsByAge: ((window: Window, now: number) => Tripped | undefined) | undefined
  readonly figures: (window: Window, now: number) => ReadonlyArray<Figure>
}

/** What a window holds, for one rule. @internal */
export interface Figure {
  readonly calls: number
  /** Calls that speak against the dependency: failed ones, or slow ones. */
  readonly counted: number
}

/** @internal */
export interface Tripped extends Figure {
  readonly because: "failures" | "slow_calls"
}

/** Failures in a row, or what another policy remembers. @internal */
export type Window =
  | number
  | {
      /** Who began it. */
      readonly policy: TripPolicy
      /** Calls in flight, if it is about slow ones. */
      readonly running: Starts | undefined
    }

/** @internal */
export const empty: Window = 0

const inARow = (window: Window): number => (typeof window === "number" ? window : 0)

const figureOf = (window: Window): Figure => ({ calls: inARow(window), counted: inARow(window) })

/** @internal */
export const consecutive = (failures: number): TripPolicy => ({
  _tag: "Consecutive",
  slowMillis: Infinity,
  started: undefined,
  observe: (window, _now, failed) => (failed ? inARow(window) + 1 : 0),
  ignoresSuccess: (window) => window === empty,
  trips: (window) => (inARow(window) >= failures ? { ...figureOf(window), because: "failures" } : undefined),
  tripsByAge: undefined,
  figures: (window) => [figureOf(window)]
})

/** Many circuits open after as many failures: 100 policies at most do for all of them. */
const known: Array<TripPolicy | undefined> = []

/** The same policy for the same number. @internal */
export const consecutiveOf = (failures: number): TripPolicy => (known[failures] ??= consecutive(failures))

/** What speaks against the dependency, as one number. @internal */
export const counted = (window: Window, now: number): number =>
  typeof window === "number" ? window : Math.max(...window.policy.figures(window, now).map(({ counted }) => counted))

/** Whether nothing in it speaks against the dependency. @internal */
export const isClean = (window: Window, now: number): boolean =>
  (typeof window === "number" || window.running === undefined || window.running.isEmpty) && counted(window, now) === 0

/** A call ended without an outcome, whatever the policy is by now. @internal */
export const gone = (window: Window, start: Start | undefined): void => {
  if (typeof window !== "number" && start !== undefined && start.list === window.running) start.list.remove(start)
}
