/**
 * What an operator may do to a circuit, and what undoes it.
 */
import type { Body, BreakerDetails, Path } from "../api/types.ts"
import { duration } from "./format.ts"
import type { State } from "./states.ts"

/** The page ends all overrides at once, with `close`: none of its own for `release`, which ends one of them. */
type CommandPath = Exclude<
  Extract<Path<"POST">, `/circuit-breakers/:breaker_name/${string}`>,
  "/circuit-breakers/:breaker_name/release"
>

/** `disable` and `metrics-only` are for servers that tell of `overrides`. */
export type Command =
  | "isolate"
  | "trip"
  | "close"
  | "reset"
  | "disable"
  | "metrics-only"
  // A command of the API that is not named here has no facts below, which the compiler says.
  | (CommandPath extends `${string}/:breaker_name/${infer Name}` ? Name : never)

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
    from: ["closed", "open", "half_open", "isolated"]
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

/** Those of a server, by whether it tells of overrides. */
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

export type CommandBody = Body<"POST", "/circuit-breakers/:breaker_name/isolate"> &
  Body<"POST", "/circuit-breakers/:breaker_name/trip">

export const bodyOf = ({ command, reason, seconds }: Draft): CommandBody => {
  const { expiry } = commands[command]
  return {
    ...(reason.trim() === "" ? {} : { reason: reason.trim() }),
    ...(expiry === undefined ? {} : { [expiry.field]: Number(seconds) })
  } as CommandBody
}

/** What confirms it, in a sentence. */
export const question = (draft: Draft, circuit: string): string => {
  const { expiry, label } = commands[draft.command]
  return `${label} ${circuit}${expiry === undefined ? "" : ` for ${duration(Number(draft.seconds) * 1000)}`}?`
}

/**
 * The command that takes another one back, from what the circuit was before.
 * `undefined` if nothing can: what a circuit has forgotten stays forgotten.
 */
export const undo = (
  command: Command,
  before: Pick<BreakerDetails, "state" | "isolation" | "retry_after_seconds">,
  left: { readonly isolationMillis: number | undefined }
): Draft | undefined => {
  const wholeSeconds = (seconds: number): string => String(Math.min(maxSeconds, Math.max(1, Math.ceil(seconds))))
  const reason = `Undo: ${commands[command].label.toLowerCase()}`
  // When an isolation ends by itself, the state that was underneath comes back.
  if (
    commands[command].expiry?.field === "expires_in_seconds" &&
    (before.state === "open" || before.state === "half_open")
  ) {
    return { command, reason, seconds: "1" }
  }
  switch (before.state) {
    case "closed":
      // Reset and close did nothing that can be seen.
      return command !== "close" && command !== "reset" ? { command: "close", reason, seconds: "" } : undefined
    case "isolated":
      return before.isolation === null
        ? undefined
        : {
            command: "isolate",
            reason: before.isolation.reason,
            seconds: left.isolationMillis === undefined ? String(maxSeconds) : wholeSeconds(left.isolationMillis / 1000)
          }
    case "open":
      return { command: "trip", reason, seconds: wholeSeconds(before.retry_after_seconds ?? 1) }
    case "half_open":
      return { command: "trip", reason, seconds: "1" }
    default:
      return undefined
  }
}
