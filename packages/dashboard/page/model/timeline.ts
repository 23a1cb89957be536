/**
 * What happened, from the event stream, the audit log and the configuration's
 * history, as one list in the order of time.
 */
import type { AuditEntry, ConfigurationChange } from "../api/types.ts"
import { duration, plural, value, words } from "./format.ts"
import { factsOf, type State, worst } from "./states.ts"

export type Kind = "transition" | "override" | "configuration" | "alert"

export interface Entry {
  readonly id: string
  /** Milliseconds on the clock of the server. */
  readonly at: number
  readonly kind: Kind
  readonly tone: "good" | "bad" | "trying" | "held" | "quiet"
  readonly title: string
  readonly detail: string
  readonly operation?: string | undefined
  /** Set by a transition: the circuit, and its states before and after. */
  readonly circuit?: string | undefined
  readonly from?: State | undefined
  readonly to?: State | undefined
  /** It happened while the page had no connection. */
  readonly wasMissed?: boolean | undefined
}

/**
 * An event as the stream has it. Its schema is `ResilienceEvent`, with names in
 * `snake_case` and durations in seconds.
 */
export interface WireEvent {
  readonly _tag: string
  readonly at: string
  readonly operation?: string
  readonly key?: string
  readonly [field: string]: unknown
}

export const circuitOf = ({ key, operation = "" }: WireEvent): string =>
  key === undefined ? operation : `${operation}:${key}`

const text = (value: unknown): string => (typeof value === "string" ? value : "")

const seconds = (value: unknown): number | undefined => (typeof value === "number" ? value * 1000 : undefined)

const reasons: ReadonlyMap<string, string> = new Map([
  ["slow_calls", "too many calls were slow"],
  ["relapsed", "a call failed during the slow start"],
  ["probe_failed", "a probe failed"],
  ["probe_lapsed", "a probe did not answer in time"],
  ["operator", "an operator did it"],
  ["probes_succeeded", "the probes succeeded"]
])

const because = (event: WireEvent): string => {
  const reason = text(event["because"])
  const failures = event["failures"]
  if (reason === "failures" && typeof failures === "number") return plural(failures, "failure")
  return reasons.get(reason) ?? words(reason)
}

/** The events that the page reads. All others are about single calls, and there are many. */
export const wanted: ReadonlySet<string> = new Set([
  "CircuitOpened",
  "CircuitHalfOpened",
  "CircuitClosed",
  "CircuitIsolated",
  "CircuitIsolationEnded",
  "CircuitOverridden",
  "CircuitOverrideEnded",
  "ConfigurationChanged",
  "AlertRaised",
  "AlertAcknowledged",
  "AlertResolved",
  "EventsMissed"
])

export const stateAfter = (event: WireEvent): State | undefined => {
  switch (event._tag) {
    case "CircuitOpened":
      return "open"
    case "CircuitHalfOpened":
      return "half_open"
    case "CircuitClosed":
      return "closed"
    case "CircuitIsolated":
      return "isolated"
    case "CircuitOverridden":
      return text(event["mode"]) as State
    case "CircuitIsolationEnded":
    case "CircuitOverrideEnded":
      return text(event["to"]) as State
    default:
      return undefined
  }
}

const join = (...parts: ReadonlyArray<string | false | undefined>): string =>
  parts.filter((part) => part !== undefined && part !== false && part !== "").join(" · ")

const transition = (id: string, event: WireEvent, to: State, verb: string, detail: string): Entry => ({
  id,
  at: Date.parse(event.at),
  kind: "transition",
  tone: factsOf(to).tone,
  title: `${circuitOf(event)} ${verb}`,
  detail,
  operation: event.operation,
  circuit: circuitOf(event),
  from: text(event["from"]) as State,
  to
})

const laid: Readonly<Partial<Record<State, string>>> = {
  isolated: "was isolated",
  disabled: "was disabled",
  metrics_only: "only counts"
}

const alertTones: Readonly<Record<string, Entry["tone"]>> = { critical: "bad", error: "bad", warning: "trying" }

/** `undefined` for events that the page does not show. */
export const ofEvent = (id: string, event: WireEvent): Entry | undefined => {
  const to = stateAfter(event)
  const at = Date.parse(event.at)
  switch (event._tag) {
    case "CircuitOpened": {
      const openFor = seconds(event["open_for_seconds"])
      const error = text(event["error"])
      return transition(
        id,
        event,
        "open",
        "opened",
        join(because(event), error !== "" && `last error ${error}`, openFor !== undefined && `for ${duration(openFor)}`)
      )
    }
    case "CircuitHalfOpened":
      return transition(id, event, "half_open", "is half-open", "it probes its dependency")
    case "CircuitClosed":
      return transition(id, event, "closed", "closed", because(event))
    case "CircuitIsolated":
    case "CircuitOverridden": {
      const left = seconds(event["expires_in_seconds"])
      const actor = text(event["actor"])
      const detail = join(
        text(event["reason"]),
        actor !== "" && `by key ${actor}`,
        left === undefined ? "until it is closed" : `for ${duration(left)}`
      )
      return transition(id, event, to ?? "isolated", laid[to ?? "isolated"] ?? `is ${to}`, detail)
    }
    case "CircuitIsolationEnded":
    case "CircuitOverrideEnded": {
      const mode = factsOf((text(event["mode"]) || "isolated") as State).label.toLowerCase()
      const after = to ?? "closed"
      return transition(id, event, after, `is no longer ${mode}`, `it is ${factsOf(after).label.toLowerCase()} again`)
    }
    case "ConfigurationChanged": {
      const fields = Array.isArray(event["fields"]) ? event["fields"].map(String) : []
      const version = Number(event["version"])
      return {
        id: `configuration-${version}`,
        at,
        kind: "configuration",
        tone: "quiet",
        title: `Configuration changed to version ${version}`,
        detail: join(text(event["reason"]), `by ${text(event["actor"])}`, fields.map(words).join(", "))
      }
    }
    case "AlertRaised":
    case "AlertResolved": {
      const isOver = event._tag === "AlertResolved"
      const level = text(event["level"])
      return {
        id,
        at,
        kind: "alert",
        tone: isOver ? "good" : (alertTones[level] ?? "quiet"),
        title: isOver ? `Resolved: ${text(event["title"])}` : text(event["title"]),
        detail: isOver ? "" : join(level, text(event["description"])),
        operation: text(event["subject"])
      }
    }
    default:
      return undefined
  }
}

/** Writes that have entries of their own are left out. */
export const ofAudit = (entry: AuditEntry): Entry | undefined => {
  const [collection, name] = entry.resource.split("/")
  const isDone = entry.result === "done"
  if (isDone && collection === "config") return undefined
  const isCircuit = collection === "circuit-breakers" && name !== undefined
  const circuit = isCircuit ? decode(name) : undefined
  return {
    id: `audit-${entry.id}`,
    at: Date.parse(entry.at),
    kind: "override",
    tone: isDone ? "held" : "quiet",
    title: `${isDone ? "" : "Refused: "}${words(entry.action)}`,
    detail: join(
      circuit ?? entry.resource,
      `by key ${entry.actor}`,
      entry.reason ?? "",
      isDone ? entry.from !== null && entry.to !== null && `${entry.from} → ${entry.to}` : words(entry.result)
    ),
    operation: circuit?.split(":")[0]
  }
}

const decode = (name: string): string => {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}

export const ofChange = (change: ConfigurationChange): Entry => ({
  id: `configuration-${change.id}`,
  at: Date.parse(change.at),
  kind: "configuration",
  tone: "quiet",
  title: `Configuration changed to version ${change.id}`,
  detail: join(
    change.reason ?? "",
    `by ${change.actor}`,
    change.diff.map(({ field, from, to }) => `${words(field)}: ${value(from)} → ${value(to)}`).join(", ")
  )
})

/** Keeps so many entries, newest first, each once. */
export const merge = (
  entries: ReadonlyArray<Entry>,
  added: ReadonlyArray<Entry>,
  capacity: number
): ReadonlyArray<Entry> => {
  if (added.length === 0) return entries
  const byId = new Map(entries.map((entry) => [entry.id, entry]))
  // What is known stays as it is: it may be marked as missed.
  for (const entry of added) if (!byId.has(entry.id)) byId.set(entry.id, entry)
  return Array.from(byId.values())
    .toSorted((a, b) => b.at - a.at)
    .slice(0, capacity)
}

export interface Band {
  readonly from: number
  readonly to: number
  readonly state: State
}

/** The states of an operation over time: of several circuits the worst one. */
export const bands = (
  entries: ReadonlyArray<Entry>,
  operation: string,
  range: { readonly from: number; readonly to: number; readonly now: State }
): ReadonlyArray<Band> => {
  const moves = entries
    .filter((entry) => entry.operation === operation && entry.circuit !== undefined && entry.to !== undefined)
    .toSorted((a, b) => a.at - b.at)
  const circuits = new Map<string, State>()
  for (const move of moves) if (!circuits.has(move.circuit!)) circuits.set(move.circuit!, move.from ?? "closed")
  const found: Array<Band> = []
  let state = moves.length === 0 ? range.now : worst(Array.from(circuits.values()))
  let from = range.from
  for (const move of moves) {
    circuits.set(move.circuit!, move.to!)
    const next = worst(Array.from(circuits.values()))
    if (next === state) continue
    if (move.at > from) {
      found.push({ from, to: Math.min(move.at, range.to), state })
      from = move.at
    }
    state = next
    if (move.at >= range.to) return found
  }
  found.push({ from, to: range.to, state })
  return found
}

/** What was missed, in a sentence. */
export const summary = (missed: ReadonlyArray<Entry>, isComplete: boolean): string => {
  const of = (kind: Kind): number => missed.filter((entry) => entry.kind === kind).length
  const parts = [
    of("transition") > 0 && plural(of("transition"), "transition"),
    of("alert") > 0 && plural(of("alert"), "alert"),
    of("configuration") > 0 && plural(of("configuration"), "configuration change")
  ].filter((part) => part !== false)
  const known = parts.length === 0 ? "Nothing happened meanwhile" : `Missed meanwhile: ${parts.join(", ")}`
  return isComplete ? `${known}.` : `${known}. The server no longer knows everything that happened.`
}
