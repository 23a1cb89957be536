import { Exit } from "effect"
import type { Operation } from "breakwater"
import type { Call, Fact, Law, Stage } from "../Stage.ts"
import { defectOf, errorOf, hasInterrupts, isInterrupted, kindOf, rejectionOf } from "./judgement.ts"

interface Options {
  readonly operation: string
  readonly isGuarded: (call: Call) => boolean
  readonly isRetried: (call: Call) => boolean
  readonly snapshot: () => Operation.Snapshot | undefined
  readonly retries: () => number
  readonly exhausted: () => number
  readonly abandoned: () => number
}

/** What a call came to before its fallback. */
type End = "succeeded" | "failed" | "rejected" | "interrupted"

/** INV-MET: an operation's counters say what the observer has seen. */
export class OperationLaw implements Law {
  private readonly stage: Stage
  private readonly options: Options
  private readonly counted = new Set<Call>()
  private readonly ends = new Map<Call, End>()
  private failures: Record<string, number> = {}
  private rejections: Record<string, number> = {}
  private calls = 0
  private attempts = 0
  private settledAttempts = 0
  private timeouts = 0
  private fallbacks = 0
  private longest = 0
  private before = { retries: 0, exhausted: 0 }

  constructor(stage: Stage, options: Options) {
    this.stage = stage
    this.options = options
  }

  readonly see = (fact: Fact): void => {
    if (fact._tag === "Published") {
      if (fact.event._tag === "AttemptTimedOut") this.timeouts++
      return
    }
    const { call } = fact
    if (!this.options.isGuarded(call)) return
    switch (fact._tag) {
      case "CallStarted":
        this.calls++
        return
      case "Entered":
        this.attempts++
        return
      case "Left":
        this.settledAttempts++
        return
      case "FallbackStarted":
        return this.ended(call, fact.error)
      case "CallEnded":
        if (call.fallbacks.length === 0) return this.concluded(call, fact.exit)
        if (Exit.isSuccess(fact.exit)) this.fallbacks++
    }
  }

  private concluded(call: Call, exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isSuccess(exit)) return this.count(call, "succeeded")
    if (isInterrupted(exit)) {
      const last = call.attempts.at(-1)?.exit
      // Work that cannot be interrupted may fail by itself meanwhile. Its caller never hears of it, and a retry neither.
      const isFailure =
        last !== undefined && hasInterrupts(last) && !isInterrupted(last) && !this.options.isRetried(call)
      return isFailure ? this.ended(call, errorOf(last) ?? defectOf(last)) : this.count(call, "interrupted")
    }
    this.ended(call, errorOf(exit) ?? defectOf(exit))
  }

  private ended(call: Call, error: unknown): void {
    const rejection = rejectionOf(this.options.operation, error)
    if (rejection !== undefined) {
      const { _tag } = rejection.reason
      this.rejections[_tag] = (this.rejections[_tag] ?? 0) + 1
      return this.count(call, "rejected")
    }
    this.failures[kindOf(error)] = (this.failures[kindOf(error)] ?? 0) + 1
    this.count(call, "failed")
  }

  private count(call: Call, end: End): void {
    this.ends.set(call, end)
    if (end !== "interrupted") this.longest = Math.max(this.longest, this.stage.world.now - call.startedAt)
  }

  /** An operator lets the operation count from 0 again. */
  reset(): void {
    const concluded = this.ends.size
    this.calls -= concluded
    this.ends.clear()
    this.failures = {}
    this.rejections = {}
    this.attempts = 0
    this.settledAttempts = 0
    this.timeouts = 0
    this.fallbacks = 0
    this.longest = 0
    this.before = { retries: this.options.retries(), exhausted: this.options.exhausted() }
  }

  private looks = 0

  readonly look = (): void => {
    // A snapshot sums up histograms, which takes as long as all the rest of a step.
    if (this.looks++ % 8 === 0) this.compare()
  }

  compare(): void {
    const { stage } = this
    const snapshot = this.options.snapshot()
    if (snapshot === undefined) return stage.equal("INV-MET", this.calls, 0, "calls of an operation that is not there")
    const { attemptLatency, callLatency, counters } = snapshot
    const ended = (end: End) => [...this.ends.values()].filter((each) => each === end).length
    const expected = {
      calls: this.calls,
      succeeded: ended("succeeded"),
      failed: ended("failed"),
      rejected: ended("rejected"),
      interrupted: ended("interrupted"),
      inFlight: this.calls - this.ends.size,
      fallbacks: this.fallbacks,
      attempts: this.attempts,
      retries: this.options.retries() - this.before.retries,
      exhausted: this.options.exhausted() - this.before.exhausted,
      timeouts: this.timeouts,
      abandoned: this.options.abandoned()
    }
    for (const [name, value] of Object.entries(expected)) {
      stage.equal("INV-MET", counters[name as keyof typeof expected], value, name)
    }
    const sorted = (counts: Readonly<Partial<Record<string, number>>>) =>
      Object.entries(counts).toSorted(([one], [other]) => one.localeCompare(other))
    stage.equal("INV-MET", sorted(counters.failures), sorted(this.failures), "failures by kind")
    stage.equal("INV-MET", sorted(counters.rejections), sorted(this.rejections), "rejections by reason")
    stage.equal("INV-MET", callLatency.count, this.ends.size - ended("interrupted"), "call latencies")
    stage.equal("INV-MET", attemptLatency.count, this.settledAttempts, "attempt latencies")
    stage.hold(
      "INV-MET",
      callLatency.max >= this.longest - 1e-3 && callLatency.max <= this.longest * (17 / 16) + 1,
      () => `the longest call took ${callLatency.max}, the observer says ${this.longest}`
    )
  }

  readonly rest = (): void => {
    this.compare()
    const counters = this.options.snapshot()?.counters
    this.stage.equal("INV-MET", [counters?.inFlight ?? 0, counters?.abandoned ?? 0], [0, 0], "gauges at rest")
  }
}
