/**
 * What a circuit must do, told by its history. Lists all that has happened and counts it anew each time: slow, and
 * unlike the machine.
 */
import type { CircuitBreaker } from "breakwater"
import type { Outcome } from "./judgement.ts"
import { slowMillisOf, TripModel, type TripPolicy } from "./tripModel.ts"

/** The numbers that a call brings along, in milliseconds. */
export interface CircuitSettings {
  readonly tripPolicy: TripPolicy
  /** Open time of the n-th opening in a row. */
  readonly openMillis: (opening: number) => number
  readonly probes: number
  readonly successThreshold: number
  readonly probeMillis: number | undefined
  readonly maxRetryAfter: number
  readonly rampMillis: number
}

export interface Ticket {
  readonly phase: Phase
  /** When it was let through, if its age matters. */
  readonly since: number
  readonly deadline: number
  /** An override let it pass, and it counts for nothing. */
  readonly isPassed: boolean
  outcome: Outcome | "lapsed" | "stale" | undefined
}

interface Closed {
  readonly is: "closed"
  readonly since: number
  trip: TripModel
  /** Until then a growing share of the calls is let through. */
  rampUntil: number
}

type Phase =
  | Closed
  | { readonly is: "open"; readonly since: number; readonly until: number; readonly failures: number }
  | { readonly is: "half_open"; readonly since: number; readonly probes: Array<Ticket>; readonly wishes: Array<number> }

type Mode = CircuitBreaker.Mode

interface Override {
  readonly mode: Mode
  readonly reason: string
  readonly until: number
}

/** The strongest first. */
const modes: ReadonlyArray<Mode> = ["isolated", "disabled", "metrics_only"]

/** An event that must be published, as plain data. */
export interface Announced {
  readonly _tag: string
  readonly version: number
  readonly from: string
  readonly [fact: string]: unknown
}

export type Arrival =
  | { readonly is: "admitted"; readonly ticket: Ticket }
  | { readonly is: "open" | "half_open" | "slow_start"; readonly retryAfter: number }
  | { readonly is: "isolated"; readonly because: string; readonly retryAfter: number | undefined }

const count = <A>(all: ReadonlyArray<A>, is: (one: A) => boolean): number => all.filter(is).length

const nothingYet: TripPolicy = { _tag: "Consecutive", failures: Infinity }

export class CircuitModel {
  phase: Phase
  overrides: ReadonlyArray<Override> = []
  readonly announced: Array<Announced> = []
  private admitted: Array<Ticket> = []
  private rejected = 0
  private wouldReject = 0
  private version = 0
  /** Open times since the circuit last stayed closed for long. */
  private openings: Array<number> = []
  /** The open time of the latest opening, whoever opened it. */
  private lastOpenMillis = 0
  private readonly changes: Array<{ readonly at: number; readonly to: string }>
  /** Events before the counters were set back. */
  private forgotten = 0

  constructor(now: number) {
    this.phase = closed(-Infinity, 0)
    this.changes = [{ at: now, to: "closed" }]
  }

  get state(): string {
    return this.overrides[0]?.mode ?? this.phase.is
  }

  private announce(at: number, _tag: string, facts: Record<string, unknown>, change: () => void): void {
    const from = this.state
    change()
    this.version++
    this.announced.push({ _tag, version: this.version, from, ...facts })
    if (_tag !== "ProbeLapsed") this.changes.push({ at, to: this.state })
  }

  private forgetOldOpenings(now: number): void {
    if (this.phase.is === "closed" && now - this.phase.since >= this.lastOpenMillis) {
      this.openings = []
      this.lastOpenMillis = 0
    }
  }

  private open(at: number, because: string, failures: number, openMillis: number): void {
    this.announce(at, "CircuitOpened", { because, failures, openFor: openMillis }, () => {
      this.lastOpenMillis = openMillis
      this.phase = { is: "open", since: at, until: at + openMillis, failures }
    })
  }

  private openByItself(settings: CircuitSettings, at: number, because: string, failures: number, least = 0): void {
    this.forgetOldOpenings(at)
    const byItself = settings.openMillis(this.openings.length + 1)
    const openMillis = Math.max(byItself, least)
    this.openings.push(openMillis)
    this.open(at, because, failures, openMillis)
  }

  private reopenIfLost(settings: CircuitSettings, at: number, because: string, wish = 0): void {
    const failed = this.failures(at)
    if (failed > settings.probes - settings.successThreshold) {
      // Not before any failed probe has asked to be called again.
      const wishes = this.phase.is === "half_open" ? this.phase.wishes : []
      this.openByItself(settings, at, because, failed, Math.max(...wishes.map((wish) => wish - at), wish))
    }
  }

  /** What speaks against it while closed, what opened it while open, failed probes while half-open. */
  failures(now: number): number {
    const { phase } = this
    switch (phase.is) {
      case "open":
        return phase.failures
      case "half_open":
        return count(phase.probes, ({ outcome }) => outcome === "failed" || outcome === "lapsed")
      case "closed":
        return phase.trip.counted(now)
    }
  }

  private runningProbes(): ReadonlyArray<Ticket> {
    return this.phase.is === "half_open"
      ? this.phase.probes
          .filter(({ outcome }) => outcome === undefined)
          .toSorted((one, other) => one.deadline - other.deadline)
      : []
  }

  /** What time alone brings about, each at its time: overrides before probes, the strongest first. */
  private passTime(settings: CircuitSettings, now: number): void {
    for (;;) {
      const [override] = this.overrides.toSorted((one, other) => one.until - other.until)
      const [probe] = this.runningProbes()
      const endsAt = override?.until ?? Infinity
      const lapsesAt = probe?.deadline ?? Infinity
      if (Math.min(endsAt, lapsesAt) > now) break
      if (endsAt <= lapsesAt) this.endOverride(override!, endsAt)
      else {
        this.announce(lapsesAt, "ProbeLapsed", { overdue: now - lapsesAt }, () => (probe!.outcome = "lapsed"))
        this.reopenIfLost(settings, lapsesAt, "probe_lapsed")
      }
    }
    if (this.phase.is === "closed" && this.phase.rampUntil <= now) this.phase.rampUntil = 0
  }

  private endOverride(override: Override, at: number): void {
    const left = this.overrides.filter((other) => other !== override)
    const to = left.at(0)?.mode ?? this.phase.is
    this.announce(at, "CircuitOverrideEnded", { mode: override.mode, to }, () => (this.overrides = left))
  }

  /** What time brings about, and calls that have been in flight for too long. */
  pass(settings: CircuitSettings, now: number): void {
    this.passTime(settings, now)
    if (this.phase.is !== "closed") return
    // A window that another policy began counts for nothing.
    const trip = this.phase.trip.under(settings.tripPolicy)
    const tripped = trip.running.size === 0 ? undefined : trip.trips(now, true)
    if (tripped !== undefined) this.openByItself(settings, now, tripped.because, tripped.counted)
  }

  /** `chance`: what a call that comes while the circuit starts slowly has drawn. */
  arrive(settings: CircuitSettings, now: number, chance: number): Arrival {
    this.pass(settings, now)
    const arrival = this.answer(settings, now, chance)
    if (arrival.is === "admitted") this.admitted.push(arrival.ticket)
    else this.rejected++
    return arrival
  }

  private answer(settings: CircuitSettings, now: number, chance: number): Arrival {
    const [override] = this.overrides
    const { phase } = this
    const passed: Arrival = {
      is: "admitted",
      ticket: { phase, since: now, deadline: Infinity, isPassed: true, outcome: undefined }
    }
    if (override?.mode === "isolated") {
      const retryAfter = override.until === Infinity ? undefined : override.until - now
      return { is: "isolated", because: override.reason, retryAfter }
    }
    if (override?.mode === "disabled") return passed
    const arrival = this.byItself(settings, now, chance)
    if (override?.mode !== "metrics_only" || arrival.is === "admitted") return arrival
    this.wouldReject++
    return passed
  }

  private byItself(settings: CircuitSettings, now: number, chance: number): Arrival {
    if (this.phase.is === "closed") return this.whileClosed(settings, this.phase, now, chance)
    if (this.phase.is === "open") {
      if (now < this.phase.until) return { is: "open", retryAfter: this.phase.until - now }
      this.announce(
        now,
        "CircuitHalfOpened",
        {},
        () => (this.phase = { is: "half_open", since: now, probes: [], wishes: [] })
      )
    }
    const phase = this.phase as Extract<Phase, { is: "half_open" }>
    const used = count(phase.probes, ({ outcome }) => outcome !== "ignored" && outcome !== "interrupted")
    if (used >= settings.probes && this.runningProbes().length > 0) {
      return { is: "half_open", retryAfter: this.untilProbe(now) }
    }
    const deadline = now + (settings.probeMillis ?? Math.min(Math.max(this.lastOpenMillis, 10_000), 60_000))
    const ticket: Ticket = { phase, since: now, deadline, isPassed: false, outcome: undefined }
    phase.probes.push(ticket)
    return { is: "admitted", ticket }
  }

  private whileClosed(settings: CircuitSettings, phase: Closed, now: number, chance: number): Arrival {
    const { rampUntil, since } = phase
    // From a tenth of the calls to all of them.
    if (rampUntil > 0 && chance >= 0.1 + (0.9 * (now - since)) / (rampUntil - since)) {
      return { is: "slow_start", retryAfter: Math.min(rampUntil - now, this.lastOpenMillis) }
    }
    const isTimed = slowMillisOf(settings.tripPolicy) < Infinity
    const ticket: Ticket = {
      phase,
      since: isTimed ? now : NaN,
      deadline: Infinity,
      isPassed: false,
      outcome: undefined
    }
    if (isTimed) {
      phase.trip = phase.trip.under(settings.tripPolicy)
      phase.trip.running.add(ticket)
    }
    return { is: "admitted", ticket }
  }

  /** Time until the next probe: exact while open, an upper bound while half-open. */
  untilProbe(now: number): number {
    if (this.phase.is === "open") return Math.max(this.phase.until - now, 0)
    const [oldest] = this.runningProbes()
    return Math.min(oldest === undefined ? 0 : oldest.deadline - now, this.lastOpenMillis)
  }

  end(settings: CircuitSettings, now: number, ticket: Ticket, outcome: Outcome, retryAfter: number): void {
    this.passTime(settings, now)
    const { phase } = this
    if (ticket.isPassed) {
      ticket.outcome = outcome
      return
    }
    if (phase.is === "closed") {
      if (ticket.phase === phase) return this.endWhileClosed(settings, phase, now, ticket, outcome, retryAfter)
    } else if (phase.is === "half_open" && ticket.phase === phase) {
      if (ticket.outcome !== "lapsed") return this.endProbe(settings, phase, now, ticket, outcome, retryAfter)
      // It has already counted as failed, and its place stays used.
      phase.probes.splice(phase.probes.indexOf(ticket), 1, { ...ticket })
    }
    ticket.outcome = "stale"
  }

  private endWhileClosed(
    settings: CircuitSettings,
    phase: Closed,
    now: number,
    ticket: Ticket,
    outcome: Outcome,
    retryAfter: number
  ): void {
    ticket.outcome = outcome
    if (outcome === "ignored" || outcome === "interrupted") {
      phase.trip.running.delete(ticket)
      return
    }
    const failed = outcome === "failed"
    phase.trip = phase.trip.under(settings.tripPolicy)
    phase.trip.running.delete(ticket)
    phase.trip.add({ at: now, failed, took: Number.isNaN(ticket.since) ? 0 : now - ticket.since })
    const tripped = phase.trip.trips(now, false)
    const hasRelapsed = phase.rampUntil > 0 && failed
    if (tripped === undefined && !hasRelapsed) return
    const because = hasRelapsed ? "relapsed" : tripped!.because
    const counted = tripped?.counted ?? phase.trip.counted(now)
    this.openByItself(settings, now, because, counted, failed ? Math.min(retryAfter, settings.maxRetryAfter) : 0)
  }

  private endProbe(
    settings: CircuitSettings,
    phase: Extract<Phase, { is: "half_open" }>,
    now: number,
    ticket: Ticket,
    outcome: Outcome,
    retryAfter: number
  ): void {
    const isTooSlow = outcome === "succeeded" && now - ticket.since >= slowMillisOf(settings.tripPolicy)
    ticket.outcome = outcome
    // To the verdict it has failed, to the counters it has not.
    if (isTooSlow) phase.probes.splice(phase.probes.indexOf(ticket), 1, { ...ticket, outcome: "failed" })
    const wish = outcome === "failed" ? Math.min(retryAfter, settings.maxRetryAfter) : 0
    this.reopenIfLost(settings, now, "probe_failed", wish)
    if (this.phase !== phase) return
    if (wish > 0) phase.wishes.push(now + wish)
    if (count(phase.probes, (probe) => probe.outcome === "succeeded") >= settings.successThreshold) {
      const rampUntil = settings.rampMillis === 0 ? 0 : now + settings.rampMillis
      this.announce(now, "CircuitClosed", { because: "probes_succeeded" }, () => (this.phase = closed(now, rampUntil)))
    }
  }

  override(settings: CircuitSettings, now: number, mode: Mode, reason: string, expiresIn: number | undefined): void {
    this.pass(settings, now)
    const facts = expiresIn === undefined ? { mode, reason } : { mode, reason, expiresIn }
    this.announce(now, "CircuitOverridden", facts, () => {
      const added = { mode, reason, until: expiresIn === undefined ? Infinity : now + expiresIn }
      this.overrides = [...this.overrides.filter((other) => other.mode !== mode), added].toSorted(
        (one, other) => modes.indexOf(one.mode) - modes.indexOf(other.mode)
      )
    })
  }

  release(settings: CircuitSettings, now: number, mode: Mode): void {
    this.pass(settings, now)
    const found = this.overrides.find((override) => override.mode === mode)
    if (found !== undefined) this.endOverride(found, now)
  }

  trip(settings: CircuitSettings, now: number, openFor: number | undefined): void {
    this.pass(settings, now)
    const failures = this.failures(now)
    this.forgetOldOpenings(now)
    this.open(now, "operator", failures, openFor ?? settings.openMillis(Math.max(this.openings.length, 1)))
  }

  close(settings: CircuitSettings, now: number, doesForget: boolean): void {
    this.pass(settings, now)
    if (doesForget) {
      this.openings = []
      this.lastOpenMillis = 0
    }
    if (this.phase.is === "closed" && this.overrides.length === 0) {
      this.phase.trip = new TripModel(nothingYet)
      this.phase.rampUntil = 0
      return
    }
    this.announce(now, "CircuitClosed", { because: "operator" }, () => {
      this.phase = closed(now, 0)
      this.overrides = []
    })
  }

  /** Counts from 0 again. What runs stays counted. */
  forgetCounts(): void {
    this.admitted = this.admitted.filter(({ outcome }) => outcome === undefined || outcome === "lapsed")
    this.rejected = 0
    this.wouldReject = 0
    this.forgotten = this.announced.length
  }

  get counters() {
    const ended = (is: Ticket["outcome"]) => count(this.admitted, ({ outcome }) => outcome === is)
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
      wouldReject: this.wouldReject,
      opened: moved("CircuitOpened"),
      halfOpened: moved("CircuitHalfOpened"),
      closed: moved("CircuitClosed")
    }
  }

  /** The window of each rule; one that other settings began counts for nothing. */
  figures(settings: CircuitSettings, now: number) {
    return this.phase.is === "closed" ? this.phase.trip.under(settings.tripPolicy).figures(now) : []
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
      ...(this.phase.is === "closed" ? [this.phase.rampUntil] : []),
      ...this.overrides.map(({ until }) => until),
      ...this.runningProbes().map(({ deadline }) => deadline)
    ]
  }
}

const closed = (since: number, rampUntil: number): Closed => ({
  is: "closed",
  since,
  trip: new TripModel(nothingYet),
  rampUntil
})
