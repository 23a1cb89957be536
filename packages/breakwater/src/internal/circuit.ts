/** What the circuit machine knows, decides and tells, as data. */
import type * as tripPolicy from "./tripPolicy.ts"

/** @internal */
export interface Settings {
  readonly tripPolicy: tripPolicy.TripPolicy
  /** Open time of the n-th opening in a row, n ≥ 1. */
  readonly openMillis: (opening: number) => number
  readonly probes: number
  readonly successThreshold: number
  /** Time a probe has; `undefined`: the open time, at least 10 s and at most 60 s. */
  readonly probeMillis: number | undefined
}

/** @internal How often the circuit opened without staying closed in between, and for how long the last time. */
export interface Backoff {
  readonly openings: number
  readonly openMillis: number
}

/** @internal */
interface Probe {
  readonly id: number
  readonly deadline: number
}

/** @internal */
export type Automatic = { readonly generation: number; readonly backoff: Backoff } & (
  | {
      readonly _tag: "closed"
      readonly since: number
      readonly window: tripPolicy.Window
      /** What every call gets. */
      readonly token: Token
    }
  | {
      readonly _tag: "open"
      readonly since: number
      readonly until: number
      /** Failures that led here. */
      readonly failures: number
    }
  | {
      readonly _tag: "half_open"
      readonly since: number
      readonly succeeded: number
      readonly failed: number
      /** Probes that have not ended, earliest deadline first. */
      readonly running: ReadonlyArray<Probe>
      readonly nextProbe: number
    }
)

/** @internal */
export interface Isolation {
  readonly reason: string
  readonly actor: string | undefined
  /** `Infinity`: until an operator closes the circuit. */
  readonly until: number
}

/** @internal */
export interface Machine {
  readonly automatic: Automatic
  readonly isolation: Isolation | undefined
  /** Counts transitions. */
  readonly version: number
}

/** @internal */
export type State = Automatic["_tag"] | "isolated"

/** @internal */
export type Move = { readonly version: number; readonly from: State } & (
  | {
      readonly _tag: "Opened"
      readonly because: "failures" | "probe_failed" | "probe_lapsed" | "operator"
      readonly failures: number
      readonly openMillis: number
    }
  | { readonly _tag: "HalfOpened" }
  | { readonly _tag: "Closed"; readonly because: "probes_succeeded" | "operator" }
  | { readonly _tag: "Isolated"; readonly isolation: Isolation }
  | { readonly _tag: "IsolationEnded"; readonly to: Automatic["_tag"] }
  | { readonly _tag: "ProbeLapsed"; readonly overdueMillis: number }
)

/** What an admitted call hands back with its outcome. `probe` 0: not a probe. @internal */
export interface Token {
  readonly generation: number
  readonly probe: number
}

/** @internal */
export type Admission =
  | { readonly _tag: "Admitted"; readonly token: Token }
  | { readonly _tag: "Rejected"; readonly state: "open" | "half_open"; readonly retryAfterMillis: number }
  | { readonly _tag: "Isolated"; readonly isolation: Isolation; readonly retryAfterMillis: number }

/** A decision with the moves that led to it, and the next machine. @internal */
export type Step<Decision> = readonly [decision: Decision, moves: ReadonlyArray<Move>, next: Machine]

/** What became of an outcome. @internal */
export type Recorded = "counted" | "stale"
