/**
 * What an operator may do to a circuit, and what undoes it.
 */
import type { Body, BreakerDetails, Path } from "../api/types.ts"
import { duration } from "./format.ts"
import { factsOf, type State } from "./states.ts"

type CommandPath = Extract<Path<"POST">, `/circuit-breakers/:breaker_name/${string}`>

/** A command of the API that has no facts below is something that the compiler says. */
export type Command = CommandPath extends `${string}/:breaker_name/${infer Name}` ? Name : never

/** What lies over a circuit until it ends, or is released. */
export type Mode = BreakerDetails["overrides"][number]["mode"]

interface Facts {
  readonly label: string
  /** What it does, in a sentence. */
  readonly effect: string
  readonly needsReason: boolean
  /** Whether it has an end, and by default after how many seconds. */
  readonly expiry:
    | { readonly label: string; readonly field: "expires_in_seconds" | "open_for_seconds"; readonly seconds: number }
    | undefined
  /** Whether it refuses calls that go through now. */
  readonly isHarsh: boolean
  /** The states in which it does something. */
  readonly from: ReadonlyArray<State>
}

export const commands: Readonly<Record<Command, Facts>> = {
  isolate: {
    label: "Isolate",
    effect: "Every call is refused until you close the circuit or the time is over.",
    needsReason: true,
    expiry: { label: "Ends after", field: "expires_in_seconds", seconds: 3600 },
    isHarsh: true,
    from: ["closed", "open", "half_open", "isolated", "disabled", "metrics_only"]
  },
  trip: {
    label: "Trip",
    effect: "The circuit opens as if calls had failed, and probes when its open time is over.",
    needsReason: true,
    expiry: { label: "Open for", field: "open_for_seconds", seconds: 60 },
    isHarsh: true,
    from: ["closed", "half_open", "open"]
  },
  disable: {
    label: "Disable",
    effect: "Every call goes through, and the circuit counts none of them.",
    needsReason: true,
    expiry: { label: "Ends after", field: "expires_in_seconds", seconds: 3600 },
    isHarsh: false,
    from: ["closed", "open", "half_open", "disabled", "metrics_only"]
  },
  "metrics-only": {
    label: "Metrics only",
    effect: "The circuit counts calls and moves as ever, and refuses none.",
    needsReason: true,
    expiry: { label: "Ends after", field: "expires_in_seconds", seconds: 3600 },
    isHarsh: false,
    from: ["closed", "open", "half_open", "metrics_only"]
  },
  release: {
    label: "End override",
    effect: "It ends before its time. What is underneath is in force again: another override, or the circuit.",
    needsReason: false,
    expiry: undefined,
    isHarsh: false,
    from: ["isolated", "disabled", "metrics_only"]
  },
  close: {
    label: "Close",
    effect: "Calls go through again at once. The circuit remembers how often it has opened.",
    needsReason: false,
    expiry: undefined,
    isHarsh: false,
    from: ["open", "half_open", "isolated", "disabled", "metrics_only"]
  },
  reset: {
    label: "Reset",
    effect: "The circuit closes and forgets its failures. The counters of calls stay.",
    needsReason: false,
    expiry: undefined,
    isHarsh: false,
    from: ["open", "half_open", "isolated", "disabled", "metrics_only", "closed"]
  }
}

/** Those of a server, by whether it tells of overrides. Each override is released where it is shown. */
export const listOf = (hasOverrides: boolean): ReadonlyArray<Command> =>
  hasOverrides
    ? ["isolate", "trip", "disable", "metrics-only", "close", "reset"]
    : ["isolate", "trip", "close", "reset"]

export const maxReason = 200
/** A day. */
const maxSeconds = 86_400

export interface Draft {
  readonly command: Command
  readonly reason: string
  /** As it was typed. */
  readonly seconds: string
  /** Which override a release ends. */
  readonly mode?: Mode | undefined
}

export interface Faults {
  readonly reason?: string
  readonly seconds?: string
}

/** The same rules as those of the API, for who is still typing. */
export const check = ({ command, reason, seconds }: Draft): Faults => {
  const { expiry, needsReason } = commands[command]
  const given = Number(seconds)
  return {
    ...(needsReason && reason.trim() === "" ? { reason: "Say why: others will read it." } : {}),
    ...(reason.length > maxReason ? { reason: `At most ${maxReason} characters; these are ${reason.length}.` } : {}),
    ...(expiry !== undefined && !(Number.isInteger(given) && given >= 1 && given <= maxSeconds)
      ? { seconds: `A whole number of seconds from 1 to ${maxSeconds}.` }
      : {})
  }
}

/** A command says what of it is its own: all that any of them may say. */
export type CommandBody = Partial<
  Body<"POST", "/circuit-breakers/:breaker_name/isolate"> &
    Body<"POST", "/circuit-breakers/:breaker_name/trip"> &
    Body<"POST", "/circuit-breakers/:breaker_name/release">
>

export const bodyOf = ({ command, mode, reason, seconds }: Draft): CommandBody => {
  const { expiry } = commands[command]
  return {
    ...(mode === undefined ? {} : { mode }),
    ...(reason.trim() === "" ? {} : { reason: reason.trim() }),
    ...(expiry === undefined ? {} : { [expiry.field]: Number(seconds) })
  }
}

/** What confirms it, in a sentence. */
export const question = (draft: Draft, circuit: string): string => {
  const { expiry, label } = commands[draft.command]
  if (draft.mode !== undefined) return `End ${factsOf(draft.mode).label.toLowerCase()} of ${circuit}?`
  return `${label} ${circuit}${expiry === undefined ? "" : ` for ${duration(Number(draft.seconds) * 1000)}`}?`
}

const modes: Readonly<Partial<Record<Command, Mode>>> = {
  isolate: "isolated",
  disable: "disabled",
  "metrics-only": "metrics_only"
}

const layers: Readonly<Record<Mode, Command>> = {
  isolated: "isolate",
  disabled: "disable",
  metrics_only: "metrics-only"
}

const wholeSeconds = (seconds: number): string => String(Math.min(maxSeconds, Math.max(1, Math.ceil(seconds))))

/**
 * The commands that take another one back, one after the other, from what the
 * circuit was before. None if nothing can: what a circuit has forgotten stays
 * forgotten.
 */
export const undo = (
  { command, mode }: Pick<Draft, "command" | "mode">,
  before: Pick<BreakerDetails, "state" | "overrides" | "retry_after_seconds">,
  now: number
): ReadonlyArray<Draft> => {
  const reason = `Undo: ${commands[command].label.toLowerCase()}`
  const again = ({ expires_at, mode, reason }: BreakerDetails["overrides"][number]): Draft => ({
    command: layers[mode],
    reason,
    seconds: expires_at === null ? String(maxSeconds) : wholeSeconds((Date.parse(expires_at) - now) / 1000)
  })
  const laid = modes[command] ?? mode
  if (laid !== undefined) {
    const replaced = before.overrides.find((override) => override.mode === laid)
    if (replaced !== undefined) return [again(replaced)]
    return command === "release" ? [] : [{ command: "release", reason, seconds: "", mode: laid }]
  }
  if (before.overrides.length > 0) return before.overrides.map(again)
  switch (before.state) {
    case "closed":
      // Reset and close did nothing that can be seen.
      return command === "trip" ? [{ command: "close", reason, seconds: "" }] : []
    case "open":
      return [{ command: "trip", reason, seconds: wholeSeconds(before.retry_after_seconds ?? 1) }]
    case "half_open":
      return [{ command: "trip", reason, seconds: "1" }]
    default:
      return []
  }
}
