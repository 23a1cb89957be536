/** When a closed circuit opens, counted anew over the list of all that ended in it. */
import { Duration } from "effect"
import type { CircuitBreaker } from "breakwater"

/** What a trip policy says, without what it does. */
type Said<Policy> = Policy extends unknown ? Omit<Policy, "compile" | "rule" | "policies"> & SaidBy<Policy> : never
type SaidBy<Policy> = Policy extends { readonly policies: ReadonlyArray<infer Each> }
  ? { readonly policies: ReadonlyArray<Said<Each>> }
  : unknown

export type TripPolicy = Said<CircuitBreaker.TripPolicy>
type Single = Exclude<TripPolicy, { readonly _tag: "AnyOf" }>

/** A call that ended. */
interface Ended {
  readonly at: number
  readonly failed: boolean
  /** How long it took, if anyone asked. */
  readonly took: number
}

export interface Figure {
  readonly calls: number
  readonly counted: number
}

export interface Tripped {
  readonly because: "failures" | "slow_calls"
  readonly counted: number
}

export const rulesOf = (policy: TripPolicy): ReadonlyArray<Single> =>
  policy._tag === "AnyOf" ? policy.policies : [policy]

/** From how many milliseconds on a call is slow. */
export const slowMillisOf = (policy: TripPolicy): number =>
  Math.min(
    Infinity,
    ...rulesOf(policy).flatMap((rule) => (rule._tag === "SlowCalls" ? [Duration.toMillis(rule.threshold)] : []))
  )

/** A list of what ended while the circuit was closed, under one policy. */
export class TripModel {
  readonly policy: TripPolicy
  private readonly ended: Array<Ended> = []
  /** When calls began that have not ended, if the policy is about slow ones. */
  readonly running = new Set<{ readonly since: number }>()

  constructor(policy: TripPolicy) {
    this.policy = policy
  }

  /** Failures in a row are counted on under another number of them; everything else begins anew. */
  under(policy: TripPolicy): TripModel {
    const isSame =
      this.policy._tag === "Consecutive"
        ? policy._tag === "Consecutive"
        : JSON.stringify(this.policy) === JSON.stringify(policy)
    if (!isSame) return new TripModel(policy)
    if (this.policy === policy) return this
    const next = new TripModel(policy)
    next.ended.push(...this.ended)
    for (const call of this.running) next.running.add(call)
    return next
  }

  add(ended: Ended): void {
    this.ended.push(ended)
  }

  private get streak(): number {
    return this.ended.length - 1 - this.ended.findLastIndex(({ failed }) => !failed)
  }

  /** The calls within a time that moves on in parts: a part leaves as a whole, and an empty window begins anew. */
  private within(duration: number, parts: number, now: number): ReadonlyArray<Ended> {
    let origin = 0
    let kept: Array<{ readonly call: Ended; readonly part: number }> = []
    let newest = -1
    const partOf = (at: number) => Math.max(newest, Math.floor(((at - origin) * parts) / duration))
    for (const call of this.ended) {
      if (newest === -1 || partOf(call.at) - newest >= parts) {
        origin = call.at
        newest = 0
        kept = []
      } else newest = partOf(call.at)
      kept.push({ call, part: newest })
    }
    return kept.filter(({ part }) => part > partOf(now) - parts).map(({ call }) => call)
  }

  private figure(rule: Single, now: number): Figure {
    switch (rule._tag) {
      case "Consecutive":
        return { calls: this.streak, counted: this.streak }
      case "FailuresIn": {
        const duration = Duration.toMillis(rule.duration)
        const failures = this.ended.filter(({ failed }) => failed).slice(-rule.count)
        const counted = failures.filter(({ at }) => now - at < duration).length
        return { calls: counted, counted }
      }
      case "CountWindow":
      case "TimeWindow":
      case "SlowCalls": {
        const window = rule._tag === "SlowCalls" ? rule.window : rule
        const calls =
          "size" in window
            ? this.ended.slice(-window.size)
            : this.within(Duration.toMillis(window.duration), window.buckets, now)
        if (rule._tag !== "SlowCalls")
          return { calls: calls.length, counted: calls.filter(({ failed }) => failed).length }
        const threshold = Duration.toMillis(rule.threshold)
        const overdue = [...this.running].filter(({ since }) => now - since >= threshold).length
        const slow = calls.filter(({ took }) => took >= threshold).length
        return { calls: calls.length + overdue, counted: slow + overdue }
      }
    }
  }

  figures(now: number): ReadonlyArray<Figure> {
    return rulesOf(this.policy).map((rule) => this.figure(rule, now))
  }

  /** What speaks against the dependency, as one number. */
  counted(now: number): number {
    return Math.max(...this.figures(now).map(({ counted }) => counted))
  }

  /** The first rule that opens the circuit. `byAge`: of those about slow calls. */
  trips(now: number, byAge: boolean): Tripped | undefined {
    for (const rule of rulesOf(this.policy)) {
      const isSlow = rule._tag === "SlowCalls"
      if (byAge && !isSlow) continue
      const { calls, counted } = this.figure(rule, now)
      const doesTrip =
        rule._tag === "Consecutive"
          ? counted >= rule.failures
          : rule._tag === "FailuresIn"
            ? counted >= rule.count
            : calls >= enough(rule) && counted / calls >= rule.rate
      if (doesTrip) return { because: isSlow ? "slow_calls" : "failures", counted }
    }
    return undefined
  }
}

/** Calls that there must be before a share of them says anything. */
const enough = (rule: Extract<Single, { readonly rate: number }>): number => {
  const window = rule._tag === "SlowCalls" ? rule.window : rule
  return rule.minimumCalls ?? ("size" in window ? Math.min(10, window.size) : 10)
}
