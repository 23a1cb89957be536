import { Exit } from "effect"
import { ResilienceError, type ResilienceEvent, Tiered } from "breakwater"
import { type Call, describeExit, type Fact, type Law, type Stage } from "../Stage.ts"
import { defectOf, errorOf, hasInterrupts, isSame } from "./judgement.ts"

export interface TierSettings {
  readonly name: string
  readonly on: "failures" | "rejections" | "all"
  /** `false`: its `when` says no. */
  readonly isTried: boolean
}

interface Progress {
  /** The tier that runs or has run, and the number of its work. */
  at: number
  body: number
  /** What the tier before left to answer. */
  error: unknown
  reason: string | undefined
}

const nameOf = (error: unknown): string =>
  error instanceof ResilienceError ? error.reason._tag : error instanceof Tiered.TierSkipped ? error._tag : "object"

/**
 * INV-FB for tiers: in order, each at most once, the next one only for a failure that it is asked to answer, and never
 * for an interruption. The answer names its tier and why no higher one gave it.
 */
export class TieredLaw implements Law {
  private readonly stage: Stage
  private readonly tiersOf: (call: Call) => ReadonlyArray<TierSettings>
  private readonly progress = new Map<Call, Progress>()
  private readonly published: Array<ResilienceEvent.ResilienceEvent> = []

  constructor(stage: Stage, tiersOf: (call: Call) => ReadonlyArray<TierSettings>) {
    this.stage = stage
    this.tiersOf = tiersOf
  }

  /** The error with which a tier passes on to the next one; `undefined`: it does not. */
  private passed(call: Call, progress: Progress): { readonly error: unknown } | undefined {
    const tiers = this.tiersOf(call)
    const { on } = tiers[progress.at]!
    const exit = call.bodies[progress.body]?.exit
    if (progress.at === tiers.length - 1 || exit === undefined || Exit.isSuccess(exit)) return undefined
    if (hasInterrupts(exit) || call.interruptedAt !== undefined) return undefined
    const defect = defectOf(exit)
    if (defect !== undefined) return on === "all" ? { error: errorOf(exit) ?? defect } : undefined
    const error = errorOf(exit)
    return on === "rejections" && !(error instanceof ResilienceError) ? undefined : { error }
  }

  /** Skips what is not to be tried. */
  private skip(call: Call, { body, reason, ...from }: Progress): Progress {
    const tiers = this.tiersOf(call)
    let { at, error } = from
    let why = reason
    for (; !tiers[at]!.isTried; at++) {
      error = "skipped"
      why ??= "TierSkipped"
    }
    return { at, body, error, reason: why }
  }

  /** A tier is asked, with the error of the one before. */
  tried(call: Call, tier: number, error: unknown): void {
    const { stage } = this
    const before = this.progress.get(call)
    const passed = before === undefined ? { error: undefined } : this.passed(call, before)
    stage.hold("INV-FB", passed !== undefined, () => `call ${call.id} goes on to tier ${tier} for nothing`)
    if (passed === undefined) return
    const due = this.skip(call, {
      at: before === undefined ? 0 : before.at + 1,
      body: before === undefined ? 0 : before.body + 1,
      error: passed.error,
      reason: before === undefined ? undefined : nameOf(passed.error)
    })
    this.progress.set(call, due)
    stage.equal("INV-FB", tier, due.at, `the tier that call ${call.id} tries`)
    const isDue = due.error === "skipped" ? error instanceof Tiered.TierSkipped : error === due.error
    stage.hold("INV-FB", isDue, () => `tier ${tier} of call ${call.id} gets an error that no tier before it had`)
    if (before !== undefined) {
      stage.equal("INV-FB", stage.world.now, call.bodies[before.body]!.endedAt, `the start of tier ${tier}`)
    }
  }

  readonly see = (fact: Fact): void => {
    if (fact._tag === "Published") this.published.push(fact.event)
    if (fact._tag === "CallEnded") this.ended(fact.call, fact.exit)
  }

  private ended(call: Call, exit: Exit.Exit<unknown, unknown>): void {
    const { stage } = this
    const progress = this.progress.get(call)!
    const tiers = this.tiersOf(call)
    const told = this.published.splice(0)
    if (call.interruptedAt !== undefined) return
    const left = this.passed(call, progress)
    stage.hold(
      "INV-FB",
      left === undefined,
      () => `call ${call.id} ends with tier ${progress.at}, another could answer`
    )
    const own = call.bodies[progress.body]?.exit
    if (own === undefined) return stage.hold("INV-FB", false, () => `call ${call.id} ends before its tier`)
    if (Exit.isSuccess(own)) {
      const served = Exit.isSuccess(exit) ? (exit.value as Tiered.Served<unknown>) : undefined
      stage.hold("INV-FB", served?.value === own.value, () => `call ${call.id} ends with ${describeExit(exit)}`)
      stage.equal("INV-FB", served?.tier, tiers[progress.at]!.name, `the tier that call ${call.id} tells`)
      stage.equal("INV-FB", served?.reason, progress.reason, `the reason that call ${call.id} tells`)
    } else {
      stage.hold(
        "INV-FB",
        isSame(exit, own),
        () => `call ${call.id} ends with ${describeExit(exit)}, its tier with ${describeExit(own)}`
      )
    }
    const due =
      progress.at === 0 || hasInterrupts(own) ? [] : [Exit.isSuccess(own) ? "FallbackServed" : "FallbackFailed"]
    stage.equal(
      "INV-FB",
      told.map(({ _tag }) => _tag),
      due,
      `what is told of call ${call.id}`
    )
  }
}
