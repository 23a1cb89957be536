/**
 * What a circuit must do, told by its history. Lists all that has happened and counts it anew each time: slow, and
 * unlike the machine.
 */

import type { Outcome } from "./judgement.ts"

/** The numbers that a call brings along, in milliseconds. */
export interface CircuitSettings {
  readonly failureThreshold: number
  /** Open time of the n-th opening in a row. */
  readonly openMillis: (opening: number) => number
  readonly probes: number
  readonly successThreshold: number
  readonly probeMillis: number | undefined
}

interface Admitted {
  readonly phase: Phase
  readonly deadline: number
  outcome: Outcome | "lapsed" | "stale" | undefined
}

type Phase =
  | { readonly is: "closed"; readonly since: number; readonly outcomes: Array<Outcome> }
  | { readonly is: "open"; readonly since: number; readonly until: number; readonly failures: number }
  | { readonly is: "half_open"; readonly since: number; readonly probes: Array<Admitted> }

/** An event that must be published, as plain data. */
export interface Announced {
  readonly _tag: string
  readonly version: number
  readonly from: string
  readonly [fact: string]: unknown
}

export type Arrival =
  | { readonly is: "admitted"; readonly ticket: Admitted }
  | { readonly is: "open" | "half_open"; readonly retryAfter: number }
  | { readonly is: "isolated"; readonly because: string; readonly retryAfter: number | undefined }

const count = <A>(all: ReadonlyArray<A>, is: (one: A) => boolean): number => all.filter(is).length

export class CircuitModel {
  phase: Phase
  isolation: { readonly reason: string; readonly until: number } | undefined = undefined
  readonly announced: Array<Announced> = []
  readonly admitted: Array<Admitted> = []
  rejected = 0
  private version = 0
  /** Open times since the circuit last stayed closed for long. */
  private openings: Array<number> = []
  /** The open time of the latest opening, whoever opened it. */
  private lastOpenMillis = 0
  private readonly changes: Array<{ readonly at: number; readonly to: string }>

  constructor(now: number) {
    this.phase = { is: "closed", since: -Infinity, outcomes: [] }
    this.changes = [{ at: now, to: "closed" }]
  }

  get state(): string {
    return this.isolation === undefined ? this.phase.is : "isolated"
  }

  private announce(now: number, _tag: string, facts: Record<string, unknown>, change: () => void): void {
    const from = this.state
    change()
    this.version++
    this.announced.push({ _tag, version: this.version, from, ...facts })
    if (_tag !== "ProbeLapsed") this.changes.push({ at: now, to: this.state })
  }

  private forgetOldOpenings(now: number): void {
    if (this.phase.is === "closed" && now - this.phase.since >= this.lastOpenMillis) {
      this.openings = []
      this.lastOpenMillis = 0
    }
  }

  private open(now: number, at: number, because: string, failures: number, openMillis: number): void {
    this.announce(now, "CircuitOpened", { because, failures, openFor: openMillis }, () => {
      this.lastOpenMillis = openMillis
      this.phase = { is: "open", since: at, until: at + openMillis, failures }
    })
  }

  private openByItself(settings: CircuitSettings, now: number, at: number, because: string, failures: number): void {
    this.forgetOldOpenings(at)
    const openMillis = settings.openMillis(this.openings.length + 1)
    this.openings.push(openMillis)
    this.open(now, at, because, failures, openMillis)
  }

  private reopenIfLost(settings: CircuitSettings, now: number, at: number, because: string): void {
    if (this.phase.is !== "half_open") return
    const failed = this.failures
    if (failed > settings.probes - settings.successThreshold) this.openByItself(settings, now, at, because, failed)
  }

  /** Failures in a row while closed, those that opened it while open, failed probes while half-open. */
  get failures(): number {
    const { phase } = this
    if (phase.is === "open") return phase.failures
    if (phase.is === "half_open") {
      return count(phase.probes, ({ outcome }) => outcome === "failed" || outcome === "lapsed")
    }
    const counted = phase.outcomes.filter((outcome) => outcome === "succeeded" || outcome === "failed")
    return counted.length - 1 - counted.lastIndexOf("succeeded")
  }

  private runningProbes(): ReadonlyArray<Admitted> {
    return this.phase.is === "half_open"
      ? this.phase.probes
          .filter(({ outcome }) => outcome === undefined)
          .toSorted((one, other) => one.deadline - other.deadline)
      : []
  }

  /** What time alone brings about. */
  pass(settings: CircuitSettings, now: number): void {
    if (this.isolation !== undefined && this.isolation.until <= now) {
      this.announce(now, "CircuitIsolationEnded", { to: this.phase.is }, () => (this.isolation = undefined))
    }
    for (let [oldest] = this.runningProbes(); oldest !== undefined; [oldest] = this.runningProbes()) {
      if (oldest.deadline > now) return
      const { deadline } = oldest
      this.announce(now, "ProbeLapsed", { overdue: now - deadline }, () => (oldest!.outcome = "lapsed"))
      this.reopenIfLost(settings, now, deadline, "probe_lapsed")
    }
  }

  arrive(settings: CircuitSettings, now: number): Arrival {
    this.pass(settings, now)
    const arrival = this.answer(settings, now)
    if (arrival.is === "admitted") this.admitted.push(arrival.ticket)
    else this.rejected++
    return arrival
  }

  private answer(settings: CircuitSettings, now: number): Arrival {
    if (this.isolation !== undefined) {
      const { reason: because, until } = this.isolation
      return { is: "isolated", because, retryAfter: until === Infinity ? undefined : until - now }
    }
    if (this.phase.is === "closed") {
      return { is: "admitted", ticket: { phase: this.phase, deadline: Infinity, outcome: undefined } }
    }
    if (this.phase.is === "open") {
      if (now < this.phase.until) return { is: "open", retryAfter: this.phase.until - now }
      this.announce(now, "CircuitHalfOpened", {}, () => (this.phase = { is: "half_open", since: now, probes: [] }))
    }
    const phase = this.phase as Extract<Phase, { is: "half_open" }>
    const used = count(phase.probes, ({ outcome }) => outcome !== "ignored" && outcome !== "interrupted")
    if (used >= settings.probes && this.runningProbes().length > 0) {
      return { is: "half_open", retryAfter: this.untilProbe(now) }
    }
    const deadline = now + (settings.probeMillis ?? Math.min(Math.max(this.lastOpenMillis, 10_000), 60_000))
    const ticket: Admitted = { phase, deadline, outcome: undefined }
    phase.probes.push(ticket)
    return { is: "admitted", ticket }
  }

  /** Time until the next probe: exact while open, an upper bound while half-open. */
  untilProbe(now: number): number {
    if (this.phase.is === "open") return Math.max(this.phase.until - now, 0)
    const [oldest] = this.runningProbes()
    return Math.min(oldest === undefined ? 0 : oldest.deadline - now, this.lastOpenMillis)
  }

  end(settings: CircuitSettings, now: number, ticket: Admitted, outcome: Outcome): void {
    this.pass(settings, now)
    const { phase } = this
    if (ticket.phase !== phase || phase.is === "open" || ticket.outcome === "lapsed") {
      ticket.outcome = "stale"
      // A lapsed probe has already counted as failed.
      if (phase.is === "half_open" && ticket.phase === phase) phase.probes.push({ ...ticket, outcome: "lapsed" })
      if (phase.is === "half_open" && ticket.phase === phase) phase.probes.splice(phase.probes.indexOf(ticket), 1)
      return
    }
    ticket.outcome = outcome
    if (phase.is === "closed") {
      phase.outcomes.push(outcome)
      const { failures } = this
      if (outcome === "failed" && failures >= settings.failureThreshold) {
        this.openByItself(settings, now, now, "failures", failures)
      }
      return
    }
    this.reopenIfLost(settings, now, now, "probe_failed")
    if (this.phase !== phase) return
    if (count(phase.probes, (probe) => probe.outcome === "succeeded") >= settings.successThreshold) {
      this.closeNow(now, "probes_succeeded")
    }
  }

  private closeNow(now: number, because: "probes_succeeded" | "operator"): void {
    this.announce(now, "CircuitClosed", { because }, () => {
      this.phase = { is: "closed", since: now, outcomes: [] }
      if (because === "operator") this.isolation = undefined
    })
  }

  isolate(settings: CircuitSettings, now: number, reason: string, expiresIn: number | undefined): void {
    this.pass(settings, now)
    const facts = expiresIn === undefined ? { reason } : { reason, expiresIn }
    this.announce(now, "CircuitIsolated", facts, () => {
      this.isolation = { reason, until: expiresIn === undefined ? Infinity : now + expiresIn }
    })
  }

  trip(settings: CircuitSettings, now: number, openFor: number | undefined): void {
    this.pass(settings, now)
    const { failures } = this
    this.forgetOldOpenings(now)
    this.open(now, now, "operator", failures, openFor ?? settings.openMillis(Math.max(this.openings.length, 1)))
  }

  close(settings: CircuitSettings, now: number, doesForget: boolean): void {
    this.pass(settings, now)
    if (doesForget) {
      this.openings = []
      this.lastOpenMillis = 0
    }
    if (this.state === "closed" && this.phase.is === "closed") this.phase.outcomes.length = 0
    else this.closeNow(now, "operator")
  }

  /** Counts from 0 again. What runs stays counted. */
  forgetCounts(): void {
    const running = this.admitted.filter(({ outcome }) => outcome === undefined || outcome === "lapsed")
    this.admitted.splice(0, Infinity, ...running)
    this.rejected = 0
    this.forgotten = this.announced.length
  }

  private forgotten = 0

  get counters() {
    const ended = (is: Admitted["outcome"]) => count(this.admitted, ({ outcome }) => outcome === is)
    const moved = (_tag: string) => count(this.announced.slice(this.forgotten), (event) => event._tag === _tag)
    return {
      admitted: this.admitted.length,
      rejected: this.rejected,
      succeeded: ended("succeeded"),
      failed: ended("failed"),
      ignored: ended("ignored"),
      interrupted: ended("interrupted"),
      stale: ended("stale"),
      inFlight: ended(undefined) + ended("lapsed"),
      opened: moved("CircuitOpened"),
      halfOpened: moved("CircuitHalfOpened"),
      closed: moved("CircuitClosed")
    }
  }

  /** Milliseconds spent in a state. */
  timeIn(state: string, now: number): number {
    return this.changes.reduce(
      (sum, { at, to }, index) => (to === state ? sum + (this.changes[index + 1]?.at ?? now) - at : sum),
      0
    )
  }

  /** Times at which something is due. */
  get due(): ReadonlyArray<number> {
    return [
      ...(this.phase.is === "open" ? [this.phase.until] : []),
      ...(this.isolation === undefined ? [] : [this.isolation.until]),
      ...this.runningProbes().map(({ deadline }) => deadline)
    ]
  }
}
