/** What the circuit machine knows, decides and tells, as data. */
import type { Start } from "./starts.ts"
import type * as tripPolicy from "./tripPolicy.ts"

/** @internal */
export interface Settings {
  readonly tripPolicy: tripPolicy.TripPolicy
  /** The open time, or that of the n-th opening in a row, n ≥ 1. */
  readonly openMillis: number | ((opening: number) => number)
  readonly probes: number
  readonly successThreshold: number
  /** Time a probe has; `undefined`: the open time, at least 10 s and at most 60 s. */
  readonly probeMillis: number | undefined
  /** How much of a failure's own `retryAfter` is heeded. */
  readonly maxRetryAfterMillis: number
  /** Time from closing until every call is admitted. */
  readonly rampMillis: number
}

/** @internal How often the circuit opened without staying closed in between, and for how long the last time. */
export interface Backoff {
  readonly openings: number
  readonly openMillis: number
}

/** @internal */
interface Probe {
  readonly id: number
  readonly since: number
  readonly deadline: number
}

/** @internal */
export type Automatic = { readonly generation: number; readonly backoff: Backoff } & (
  | {
      readonly _tag: "closed"
      readonly since: number
      readonly window: tripPolicy.Window
      /** Until then only a growing share of the calls is admitted; 0: all are. */
      readonly rampUntil: number
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
      /** The latest time that a failed probe named to come back, until when the circuit opens again; 0: none did. */
      readonly notBefore: number
      /** Probes that have not ended, earliest deadline first. */
      readonly running: ReadonlyArray<Probe>
      readonly nextProbe: number
    }
)

/** The mode of an override. @internal */
export type Mode = "isolated" | "disabled" | "metrics_only"

/** What an operator lays over the automatic state. @internal */
export interface Override {
  readonly mode: Mode
  readonly reason: string
  readonly actor: string | undefined
  /** `Infinity`: until an operator ends it. */
  readonly until: number
}

/**
 * The overrides that lie over a circuit, with what they do to it: whoever lays
 * one over it brings that along, and nobody else bundles it.
 *
 * @internal
 */
export interface Overrides {
  /** The strongest first, and of one mode the one that ends last. */
  readonly list: readonly [Override, ...ReadonlyArray<Override>]
  /** What was due up to `now`, each at its time. */
  readonly passTime: (settings: Settings, self: Machine, now: number) => Passed
  /** Admits a call in place of the automatic state, whose own step is `byItself`. */
  readonly admit: (
    now: number,
    byItself: () => Step<Admission>,
    self: Machine,
    moves: ReadonlyArray<Move>
  ) => Step<Admission>
}

/** The moves that time has made, and the machine after them. @internal */
export type Passed = readonly [moves: ReadonlyArray<Move>, next: Machine]

/** @internal */
export interface Machine {
  readonly automatic: Automatic
  /** `undefined`: none. */
  readonly overrides: Overrides | undefined
  /** Counts transitions. */
  readonly version: number
}

/** @internal */
export type State = Automatic["_tag"] | Mode

/** `at`: when it happened, which may be before it was noticed. @internal */
export type Move = { readonly version: number; readonly from: State; readonly at: number } & (
  | {
      readonly _tag: "Opened"
      readonly because: "failures" | "slow_calls" | "relapsed" | "probe_failed" | "probe_lapsed" | "operator"
      readonly failures: number
      readonly openMillis: number
    }
  | { readonly _tag: "HalfOpened" }
  | { readonly _tag: "Closed"; readonly because: "probes_succeeded" | "operator" }
  /** `leftMillis`: until it ends by itself; `undefined`: until an operator ends it. */
  | ({ readonly _tag: "Overridden"; readonly leftMillis: number | undefined } & Omit<Override, "until">)
  | { readonly _tag: "OverrideEnded"; readonly mode: Mode; readonly actor: string | undefined; readonly to: State }
  | { readonly _tag: "ProbeLapsed"; readonly overdueMillis: number }
)

/**
 * What an admitted call hands back with its outcome. `probe` 0: not a probe;
 * below 0: an override let it pass, and its outcome counts for nothing.
 *
 * @internal
 */
export interface Token {
  readonly generation: number
  readonly probe: number
  /** Its place among the calls in flight, if anyone asks for their age. */
  readonly start?: Start | undefined
}

/** @internal */
export type Admission =
  /** `wouldReject`: by itself the circuit would not have admitted it. */
  | { readonly _tag: "Admitted"; readonly token: Token; readonly wouldReject?: true }
  | { readonly _tag: "Rejected"; readonly state: "open" | "half_open" | "closed"; readonly retryAfterMillis: number }
  | { readonly _tag: "Isolated"; readonly override: Override; readonly retryAfterMillis: number }

/** A decision with the moves that led to it, and the next machine. @internal */
export type Step<Decision> = readonly [decision: Decision, moves: ReadonlyArray<Move>, next: Machine]

/** What became of an outcome. @internal */
export type Recorded = "counted" | "stale"
