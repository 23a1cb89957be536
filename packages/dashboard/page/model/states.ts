/**
 * What the states of a circuit are called, and how much trouble they are.
 */
import type { CircuitState } from "../api/types.ts"

/** `none`: the operation has no circuit. The last two are states that a newer API may tell of. */
export type State = CircuitState | "none" | "disabled" | "metrics_only"

export interface StateFacts {
  readonly label: string
  /** What it means for a call, in a sentence. */
  readonly meaning: string
  /** More is worse. */
  readonly trouble: number
  readonly tone: "good" | "bad" | "trying" | "held" | "quiet"
}

const facts: Readonly<Record<State, StateFacts>> = {
  closed: { label: "Closed", meaning: "Calls go through.", trouble: 0, tone: "good" },
  open: { label: "Open", meaning: "Calls are refused until the next probe.", trouble: 500, tone: "bad" },
  half_open: { label: "Half-open", meaning: "Probes are trying the dependency.", trouble: 400, tone: "trying" },
  isolated: { label: "Isolated", meaning: "An operator holds it open.", trouble: 300, tone: "held" },
  disabled: { label: "Disabled", meaning: "Calls go through and nothing is counted.", trouble: 250, tone: "held" },
  metrics_only: { label: "Metrics only", meaning: "Calls go through and are counted.", trouble: 240, tone: "held" },
  none: { label: "No circuit", meaning: "Nothing refuses calls.", trouble: 0, tone: "quiet" }
}

export const factsOf = (state: State): StateFacts =>
  // A state of a newer server is shown under its own name.
  facts[state] ?? { label: state, meaning: "", trouble: 200, tone: "quiet" }

/** The one that is most trouble. */
export const worst = (states: ReadonlyArray<State>): State =>
  states.reduce<State>((a, b) => (a === "none" || factsOf(b).trouble > factsOf(a).trouble ? b : a), "none")
