/**
 * What is counted against a limit at this moment: the windows of a circuit, the
 * places of a bulkhead, what a rate limit has left. Each is a bar and a sentence
 * that says the same.
 */
import type { BreakerDetails, OperationDetails } from "../api/types.ts"
import { count, duration, percent, plural } from "./format.ts"

export interface Gauge {
  readonly id: string
  readonly label: string
  /** 0 to 1: how much of the bar is filled. */
  readonly share: number
  /** 0 to 1: where something happens. */
  readonly mark?: number | undefined
  /** Parts of the bar, where there are few enough to be seen one by one. */
  readonly slots?: number | undefined
  readonly tone: "good" | "trying" | "bad"
  readonly text: string
  /** What else there is to say, in a few words. */
  readonly notes: ReadonlyArray<string>
  /** Nothing passes for so long, from when it was asked. */
  readonly pausedMillis?: number | undefined
}

type TripWindow = BreakerDetails["window"][number]

const shareOf = (part: number, whole: number): number => (whole > 0 ? Math.min(1, Math.max(0, part / whole)) : 0)

const maxSlots = 20

const fillTone = (share: number, mark = 1): Gauge["tone"] =>
  share >= mark ? "bad" : share >= mark / 2 ? "trying" : "good"

const rates: Readonly<Partial<Record<TripWindow["policy"], { readonly label: string; readonly of: string }>>> = {
  count_window: { label: "Latest calls", of: "failed" },
  time_window: { label: "Calls in a time", of: "failed" },
  slow_calls: { label: "Slow calls", of: "slow" }
}

/** What a trip policy counts, against what opens the circuit. */
export const ofWindow = ({ calls, counted, limit, policy }: TripWindow): Gauge => {
  const rate = rates[policy]
  if (rate === undefined) {
    const share = shareOf(counted, limit)
    return {
      id: policy,
      label: policy === "consecutive" ? "Failures in a row" : "Failures in a time",
      share,
      slots: limit <= maxSlots ? limit : undefined,
      tone: fillTone(share),
      text: `${counted} of ${limit}`,
      notes: []
    }
  }
  const share = shareOf(counted, calls)
  return {
    id: policy,
    label: rate.label,
    share,
    mark: limit,
    // It counts while the circuit is closed: where the limit is reached, calls are too few yet.
    tone: calls > 0 && share >= limit / 2 ? "trying" : "good",
    text: calls === 0 ? "no call" : `${counted} of ${calls} ${rate.of}`,
    notes: [
      `${calls === 0 ? "" : `${percent(share)}, `}opens at ${percent(limit)}${calls > 0 && share >= limit ? " of enough calls" : ""}`
    ]
  }
}

const some = (howMany: number, what: string): ReadonlyArray<string> =>
  howMany > 0 ? [`${count(howMany)} ${what}`] : []

const ofBulkhead = (
  { active, counters, key, limit, longest_wait_seconds, queued }: OperationDetails["bulkheads"][number],
  maxQueue: number | undefined
): Gauge => ({
  id: `bulkhead ${key ?? ""}`,
  label: key === null ? "Bulkhead" : `Bulkhead of ${key}`,
  share: shareOf(active, limit),
  slots: limit <= maxSlots ? limit : undefined,
  tone: queued > 0 ? "bad" : active >= limit ? "trying" : "good",
  text: `${active} of ${limit} places taken`,
  notes: [
    maxQueue === 0 && queued === 0
      ? "no queue"
      : maxQueue === undefined
        ? `${queued} queued`
        : `${queued} of ${maxQueue} queued`,
    ...(longest_wait_seconds > 0 ? [`longest wait ${duration(longest_wait_seconds * 1000)}`] : []),
    ...some(counters.rejected, "refused")
  ]
})

const scopes = { admission: "Admission", quota: "Quota" } as const

const ofLimit = (
  id: string,
  label: string,
  {
    available,
    limit,
    paused_for_seconds: paused,
    refused,
    waiting
  }: Pick<OperationDetails["rate_limits"][number]["keys"][number], "available" | "paused_for_seconds" | "waiting"> & {
    readonly limit: number
    readonly refused: number
  },
  settings: OperationDetails["rate_limits"][number]["settings"]
): Gauge => {
  const share = shareOf(available, limit)
  const left = Math.floor(available)
  return {
    id,
    label,
    share,
    slots: limit <= maxSlots && Number.isInteger(limit) ? limit : undefined,
    tone: paused > 0 || waiting > 0 || left === 0 ? "bad" : share < 0.25 ? "trying" : "good",
    text: `${count(left)} of ${count(limit)} left`,
    notes: [
      `${count(settings.limit)} in ${duration(settings.window * 1000)}`,
      ...(settings.on_exceeded === "wait" || waiting > 0 ? [`${waiting} waiting`] : []),
      ...some(refused, "refused")
    ],
    ...(paused > 0 ? { pausedMillis: paused * 1000 } : {})
  }
}

/** Keys with a bar of their own. */
const maxKeys = 5

const ofRateLimit = ({
  available,
  counters,
  keys,
  paused_for_seconds,
  scope,
  settings,
  total_keys,
  waiting
}: OperationDetails["rate_limits"][number]): ReadonlyArray<Gauge> => {
  const label = scopes[scope] ?? scope
  const whole = settings.burst ?? settings.limit
  const only = keys.length === 1 ? keys[0]!.key : undefined
  // With keys, what is left is told of the one that has least.
  const first = ofLimit(
    scope,
    only === undefined || only === null ? label : `${label} of ${only}`,
    { available, limit: whole, paused_for_seconds, refused: counters.refused, waiting },
    settings
  )
  if (total_keys <= 1) return [first]
  return keys
    .slice(0, maxKeys)
    .map((each, index) =>
      ofLimit(
        `${scope} ${each.key ?? ""}`,
        `${label} of ${each.key ?? "calls without a key"}${index === 0 && total_keys > maxKeys ? `, worst of ${total_keys} keys` : ""}`,
        each,
        settings
      )
    )
}

const ofBudget = ({
  counters,
  dependency,
  given_up,
  max,
  tokens,
  used
}: NonNullable<OperationDetails["retry_budget"]>) => {
  const share = shareOf(tokens, max)
  return {
    id: "retry_budget",
    label: "Retry budget",
    share,
    tone: tokens < 1 ? "bad" : share < 0.25 ? "trying" : "good",
    text: `${count(Math.floor(tokens))} of ${count(max)} retries left`,
    notes: [
      ...some(used, "count now"),
      ...some(counters.refused, "refused"),
      ...(given_up > 0 ? [`${plural(given_up, "call")} given up`] : []),
      ...(dependency === "" ? [] : [`for ${dependency}`])
    ]
  } satisfies Gauge
}

const ofCoalesce = ({
  alone,
  capacity,
  in_flight,
  joined,
  led,
  waiting
}: NonNullable<OperationDetails["coalesce"]>): Gauge => ({
  id: "coalesce",
  label: "Coalesced calls",
  share: shareOf(in_flight, capacity),
  tone: fillTone(shareOf(in_flight, capacity)),
  text: `${count(joined)} of ${count(joined + led + alone)} calls saved`,
  notes: [`${count(in_flight)} shared now`, ...some(waiting, "wait"), ...some(alone, "for lack of room alone")]
})

/** The limits of an operation in the order in which a call meets them. A server that tells of none has none. */
export const ofLimits = (details: Partial<OperationDetails>): ReadonlyArray<Gauge> => {
  const { bulkheads = [], coalesce, rate_limits: limits = [], retry_budget: budget, settings } = details
  const limit = (scope: string) => limits.filter((each) => each.scope === scope).flatMap(ofRateLimit)
  return [
    ...(coalesce === null || coalesce === undefined ? [] : [ofCoalesce(coalesce)]),
    ...limit("admission"),
    ...(budget === null || budget === undefined ? [] : [ofBudget(budget)]),
    ...bulkheads.slice(0, maxKeys).map((each) => ofBulkhead(each, settings?.bulkhead?.max_queue)),
    ...limit("quota")
  ]
}

export interface Held {
  readonly mode: BreakerDetails["overrides"][number]["mode"]
  readonly reason: string
  readonly actor: string | undefined
  /** On the clock of the server. */
  readonly expiresAt: number | undefined
}

/** What operators have laid over a circuit, the strongest first: that one is in force. */
export const overridesOf = ({ overrides = [] }: Partial<BreakerDetails>): ReadonlyArray<Held> =>
  overrides.map(({ actor, expires_at, mode, reason }) => ({
    mode,
    reason,
    actor: actor ?? undefined,
    expiresAt: expires_at === null ? undefined : Date.parse(expires_at)
  }))
