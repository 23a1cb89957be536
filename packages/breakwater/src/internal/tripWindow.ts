/**
 * Windows over the outcomes of a closed circuit, and when they trip it. Pure,
 * but for the list of calls in flight.
 *
 * - The last n outcomes are bits in a ring.
 * - The outcomes of a time are counted in buckets. The first one begins with
 *   the first outcome. A bucket leaves the window as a whole once its beginning
 *   is as old as the window, so nothing older than the window ever counts.
 * - Failures within a time are a list of instants, the newest few of them.
 *
 * A slow call counts as one when it ends, and as soon as it is too old while it
 * is still in flight.
 */
import { type Start, Starts } from "./starts.ts"
import { type Figure, gone, type TripPolicy, type Tripped, type Window as Any } from "./tripPolicy.ts"

/** @internal */
export type Span =
  | { readonly _tag: "Count"; readonly size: number }
  | { readonly _tag: "Time"; readonly millis: number; readonly buckets: number }

/** A share of the outcomes in a window speaks against the dependency. @internal */
export interface Rate {
  readonly _tag: "Rate"
  /** From how many milliseconds on a call is slow; `undefined`: it is failures that count. */
  readonly slowMillis: number | undefined
  readonly rate: number
  readonly minimumCalls: number
  readonly span: Span
}

/** @internal */
export type Rule =
  | Rate
  | { readonly _tag: "Streak"; readonly failures: number }
  | { readonly _tag: "FailuresIn"; readonly count: number; readonly millis: number }

/** Trips when any of its rules does. @internal */
export interface Windowed extends TripPolicy {
  readonly rules: ReadonlyArray<Rule>
}

/** What has become of the outcomes that a rule remembers. */
type Part =
  | { readonly _tag: "Streak"; readonly failures: number }
  | { readonly _tag: "FailuresIn"; readonly at: ReadonlyArray<number> }
  | Ring
  | Buckets

interface Ring {
  readonly _tag: "Ring"
  /** One bit for each of the last `size` outcomes. */
  readonly words: ReadonlyArray<number>
  readonly next: number
  readonly calls: number
  readonly counted: number
}

interface Buckets {
  readonly _tag: "Buckets"
  readonly since: number
  /** Which bucket, counted from `since`, is the newest. */
  readonly newest: number
  /** Calls and counted calls of each bucket, in turns. */
  readonly counts: ReadonlyArray<number>
}

/** @internal */
export interface Window {
  readonly policy: Windowed
  readonly parts: ReadonlyArray<Part>
  /** Calls in flight, if a rule is about slow ones. */
  readonly running: Starts | undefined
}

const slowMillisOf = (rule: Rule): number | undefined => (rule._tag === "Rate" ? rule.slowMillis : undefined)

const ring: Ring = { _tag: "Ring", words: [], next: 0, calls: 0, counted: 0 }
const buckets: Buckets = { _tag: "Buckets", since: 0, newest: -1, counts: [] }

const fresh = (rule: Rule): Part => {
  switch (rule._tag) {
    case "Streak":
      return { _tag: "Streak", failures: 0 }
    case "FailuresIn":
      return { _tag: "FailuresIn", at: [] }
    case "Rate":
      return rule.span._tag === "Count" ? ring : buckets
  }
}

/** @internal */
export const windowed = (rules: ReadonlyArray<Rule>): Windowed => {
  const slowMillis = Math.min(...rules.map((rule) => slowMillisOf(rule) ?? Infinity))
  const policy: Windowed = {
    _tag: "Windowed",
    rules,
    slowMillis,
    started:
      slowMillis === Infinity
        ? undefined
        : (before, now) => {
            const window = under(policy, before)
            return [started(window, now), window]
          },
    observe: (window, now, failed, start) => observe(under(policy, window), now, failed, start),
    ignoresSuccess: (window) => isWindow(window) && window.policy === policy && ignoresSuccess(window),
    trips: (window, now) => trips(under(policy, window), now),
    tripsByAge: (window, now) => tripsByAge(under(policy, window), now),
    figures: (window, now) => figures(under(policy, window), now)
  }
  return policy
}

/** @internal */
export const make = (policy: Windowed): Window => {
  const limits = policy.rules.map(slowMillisOf)
  return {
    policy,
    parts: policy.rules.map(fresh),
    running: limits.every((limit) => limit === undefined) ? undefined : new Starts(limits)
  }
}

const isSame = (a: Windowed, b: Windowed): boolean => JSON.stringify(a.rules) === JSON.stringify(b.rules)

const isWindow = (window: Any): window is Window => typeof window !== "number"

/** The window under a policy: another policy begins with an empty one. @internal */
export const under = (policy: Windowed, window: Any): Window =>
  !isWindow(window)
    ? make(policy)
    : window.policy === policy
      ? window
      : isSame(window.policy, policy)
        ? { ...window, policy }
        : make(policy)

/** In a full ring of zeros it does not matter where the next one goes. */
const ignoresZero = ({ calls, counted }: Ring, size: number): boolean => counted === 0 && calls === size

const pushed = (part: Ring, size: number, counts: boolean): Ring => {
  if (!counts && ignoresZero(part, size)) return part
  const { calls, counted, next, words } = part
  const word = next >>> 5
  const bit = 1 << (next & 31)
  const before = words[word] ?? 0
  const after = words.slice()
  after[word] = counts ? before | bit : before & ~bit
  const wasCounted = calls === size && (before & bit) !== 0
  return {
    _tag: "Ring",
    words: after,
    next: next + 1 === size ? 0 : next + 1,
    calls: Math.min(calls + 1, size),
    counted: counted + (counts ? 1 : 0) - (wasCounted ? 1 : 0)
  }
}

type Time = Extract<Span, { _tag: "Time" }>

/** The bucket of an instant. The clock may be read a little late, but never goes back to an older bucket. */
const bucketOf = ({ newest, since }: Buckets, { buckets, millis }: Time, now: number): number =>
  Math.max(newest, Math.floor(((now - since) * buckets) / millis))

/** Forgets the buckets that left the window. */
const moved = (part: Buckets, span: Time, now: number): Buckets => {
  const newest = bucketOf(part, span, now)
  if (part.newest === -1 || newest - part.newest >= span.buckets) {
    return { _tag: "Buckets", since: now, newest: 0, counts: Array.from({ length: 2 * span.buckets }, () => 0) }
  }
  if (newest === part.newest) return part
  const counts = part.counts.slice()
  for (let bucket = part.newest + 1; bucket <= newest; bucket++) {
    const at = 2 * (bucket % span.buckets)
    counts[at] = 0
    counts[at + 1] = 0
  }
  return { ...part, newest, counts }
}

const added = (part: Buckets, span: Time, now: number, counts: boolean): Buckets => {
  const at = moved(part, span, now)
  const after = at.counts.slice()
  const index = 2 * (at.newest % span.buckets)
  after[index]!++
  if (counts) after[index + 1]!++
  return { ...at, counts: after }
}

const sumOf = (part: Buckets, span: Time, now: number): Figure => {
  let calls = 0
  let counted = 0
  if (part.newest === -1) return { calls, counted }
  const oldest = Math.max(bucketOf(part, span, now) - span.buckets + 1, 0)
  for (let bucket = oldest; bucket <= part.newest; bucket++) {
    const at = 2 * (bucket % span.buckets)
    calls += part.counts[at]!
    counted += part.counts[at + 1]!
  }
  return { calls, counted }
}

const next = (rule: Rule, part: Part, now: number, failed: boolean, took: number): Part => {
  if (rule._tag === "Rate") {
    const counts = rule.slowMillis === undefined ? failed : took >= rule.slowMillis
    return rule.span._tag === "Count"
      ? pushed(part as Ring, rule.span.size, counts)
      : added(part as Buckets, rule.span, now, counts)
  }
  if (rule._tag === "Streak") {
    const { failures } = part as Extract<Part, { _tag: "Streak" }>
    return failed || failures > 0 ? { _tag: "Streak", failures: failed ? failures + 1 : 0 } : part
  }
  if (!failed) return part
  const { at } = part as Extract<Part, { _tag: "FailuresIn" }>
  return { _tag: "FailuresIn", at: [...at.slice(at.length === rule.count ? 1 : 0), now] }
}

/** A call starts. @internal */
export const started = (window: Window, now: number): Start | undefined => window.running?.add(now)

/** A call ended with an outcome. @internal */
export const observe = (window: Window, now: number, failed: boolean, start: Start | undefined): Window => {
  gone(window, start)
  const took = start === undefined ? 0 : now - start.at
  const { rules } = window.policy
  let parts: Array<Part> | undefined
  for (let i = 0; i < rules.length; i++) {
    const before = window.parts[i]!
    const after = next(rules[i]!, before, now, failed, took)
    if (after === before) continue
    parts ??= window.parts.slice()
    parts[i] = after
  }
  return parts === undefined ? window : { policy: window.policy, parts, running: window.running }
}

/** Of a policy that is not about slow calls. */
const ignoresSuccess = ({ parts, policy: { rules } }: Window): boolean => {
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i]!
    const part = parts[i]!
    if (part._tag === "Buckets") return false
    if (part._tag === "Ring" && !ignoresZero(part, ((rule as Rate).span as { readonly size: number }).size))
      return false
    if (part._tag === "Streak" && part.failures > 0) return false
  }
  return true
}

const figure = (window: Window, index: number, now: number): Figure => {
  const rule = window.policy.rules[index]!
  const part = window.parts[index]!
  switch (part._tag) {
    case "Streak":
      return { calls: part.failures, counted: part.failures }
    case "FailuresIn": {
      const counted = part.at.filter((at) => now - at < (rule as Extract<Rule, { _tag: "FailuresIn" }>).millis).length
      return { calls: counted, counted }
    }
    case "Ring":
    case "Buckets": {
      const rate = rule as Rate
      const { calls, counted } = part._tag === "Ring" ? part : sumOf(part, rate.span as Time, now)
      if (rate.slowMillis === undefined) return { calls, counted }
      const overdue = window.running!.overdue(index, now)
      return { calls: calls + overdue, counted: counted + overdue }
    }
  }
}

/** @internal */
export const figures = (window: Window, now: number): ReadonlyArray<Figure> =>
  window.policy.rules.map((_, index) => figure(window, index, now))

const doesTrip = (rule: Rule, { calls, counted }: Figure): boolean => {
  switch (rule._tag) {
    case "Streak":
      return counted >= rule.failures
    case "FailuresIn":
      return counted >= rule.count
    case "Rate":
      return calls >= rule.minimumCalls && counted / calls >= rule.rate
  }
}

const isSlow = (rule: Rule): boolean => slowMillisOf(rule) !== undefined

/** The first rule that trips. @internal */
export const trips = (window: Window, now: number): Tripped | undefined => firstOf(window, now, () => true)

/** The first rule that calls in flight trip. @internal */
export const tripsByAge = (window: Window, now: number): Tripped | undefined =>
  window.running === undefined || window.running.isEmpty ? undefined : firstOf(window, now, isSlow)

const firstOf = (window: Window, now: number, isAsked: (rule: Rule) => boolean): Tripped | undefined => {
  const { rules } = window.policy
  for (let i = 0; i < rules.length; i++) {
    const rule = rules[i]!
    if (!isAsked(rule)) continue
    const found = figure(window, i, now)
    if (doesTrip(rule, found)) return { ...found, because: isSlow(rule) ? "slow_calls" : "failures" }
  }
  return undefined
}
