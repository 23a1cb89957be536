import type { RetryBudget } from "breakwater"
import type { Call, Law, Stage } from "../Stage.ts"

/** What is counted, and the bound, in milliseconds. */
export interface BudgetSettings {
  readonly form: RetryBudget.Form
  readonly ratio: number
  readonly minPerSecond: number
  readonly minConcurrent: number
  readonly window: number
}

interface Repetition {
  readonly at: number
  hasBegun: boolean
}

/** What a call has taken. */
interface Spent {
  readonly at: number
  isFirst: boolean
  repetition: Repetition | undefined
}

interface Options {
  readonly settings: BudgetSettings
  /** `undefined`: nobody has one yet. */
  readonly snapshot: () => RetryBudget.Snapshot | undefined
}

/**
 * INV-RT for a budget that callers share: every repetition that is granted has room and every one that is refused has
 * none, over a list of all calls and repetitions. 0 ≤ tokens ≤ max, and what was granted is used, given back or in use.
 */
export class BudgetLaw implements Law {
  private readonly stage: Stage
  private readonly options: Options
  private readonly spent = new Map<Call, Spent>()
  /** When each call of the dependency began, and when each repetition was granted. */
  private readonly calls: Array<Spent> = []
  private readonly repetitions: Array<Repetition> = []
  private granted = 0
  private refusals = 0
  private returned = 0
  private happened = 0

  constructor(stage: Stage, options: Options) {
    this.stage = stage
    this.options = options
  }

  /** A call passes on to its first attempt. */
  began(call: Call): void {
    const spent: Spent = { at: this.stage.world.now, isFirst: true, repetition: undefined }
    this.spent.set(call, spent)
    this.calls.push(spent)
  }

  attemptBegan(call: Call): void {
    const repetition = this.spent.get(call)?.repetition
    if (repetition !== undefined) repetition.hasBegun = true
  }

  /** `hasRun: false`: a rejection came in its place. */
  attemptEnded(call: Call, hasRun: boolean): void {
    const spent = this.spent.get(call)
    if (spent === undefined) return
    const isPassing = this.options.settings.form === "in_flight"
    if (spent.isFirst) {
      spent.isFirst = false
      if (isPassing || !hasRun) this.calls.splice(this.calls.indexOf(spent), 1)
    }
    const { repetition } = spent
    if (repetition === undefined) return
    spent.repetition = undefined
    const hasHappened = repetition.hasBegun && hasRun
    if (hasHappened) this.happened++
    else this.returned++
    if (isPassing || !hasHappened) this.repetitions.splice(this.repetitions.indexOf(repetition), 1)
  }

  ended(call: Call): void {
    const spent = this.spent.get(call)
    if (spent === undefined) return
    // A first attempt that was interrupted stays counted.
    this.attemptEnded(call, true)
    this.spent.delete(call)
  }

  private figures(): { readonly used: number; readonly max: number } {
    const { form, minConcurrent, minPerSecond, ratio, window } = this.options.settings
    if (form === "in_flight") {
      const used = this.repetitions.length
      return { used, max: Math.max(minConcurrent, ratio * (this.calls.length + used)) }
    }
    // Ten slices of the window; what began in an eleventh is forgotten.
    const slice = (at: number) => Math.floor((at * 10) / window)
    const newest = slice(this.stage.world.now)
    const counted = (all: ReadonlyArray<{ readonly at: number }>) =>
      all.filter(({ at }) => slice(at) > newest - 10).length
    return {
      used: counted(this.repetitions),
      max: Math.max((minPerSecond * window) / 1_000, ratio * counted(this.calls))
    }
  }

  reserved(call: Call): void {
    const { max, used } = this.figures()
    this.stage.hold("INV-RT", used < max, () => `call ${call.id} repeats beside ${used} of ${max} repetitions`)
    this.granted++
    const repetition = { at: this.stage.world.now, hasBegun: false }
    this.repetitions.push(repetition)
    const spent = this.spent.get(call)
    this.stage.hold("INV-RT", spent !== undefined, () => `call ${call.id} repeats without a budget`)
    if (spent !== undefined) spent.repetition = repetition
  }

  refused(call: Call): void {
    const { max, used } = this.figures()
    this.stage.hold("INV-RT", used >= max, () => `call ${call.id} may not repeat beside ${used} of ${max} repetitions`)
    this.refusals++
  }

  readonly look = (): void => {
    const { stage } = this
    const snapshot = this.options.snapshot()
    if (snapshot === undefined)
      return stage.equal("INV-MET", this.granted, 0, "repetitions of a budget that is not there")
    const { max, used } = this.figures()
    const { counters, tokens } = snapshot
    stage.hold("INV-RT", tokens >= 0 && tokens <= snapshot.max, () => `${tokens} tokens of ${snapshot.max} are left`)
    stage.equal("INV-RT", snapshot.used, used, "repetitions that count")
    stage.hold("INV-RT", Math.abs(snapshot.max - max) <= 1e-9, () => `${snapshot.max} repetitions at most, not ${max}`)
    stage.hold(
      "INV-RT",
      Math.abs(tokens - Math.max(max - used, 0)) <= 1e-9,
      () => `${tokens} tokens, not ${max - used}`
    )
    stage.equal(
      "INV-MET",
      [counters.granted, counters.refused, counters.returned],
      [this.granted, this.refusals, this.returned],
      "granted, refused and returned"
    )
    let open = 0
    for (const { repetition } of this.spent.values()) if (repetition !== undefined) open++
    stage.equal(
      "INV-RT",
      counters.granted,
      this.happened + counters.returned + open,
      "granted = used + returned + open"
    )
  }

  /** What is taken back leaves the window when it is nearly as old, and not before. */
  readonly due = (): ReadonlyArray<number> => {
    const { window } = this.options.settings
    return [...this.spent.values()].flatMap(({ at }) => [at + 0.92 * window, at + window])
  }

  readonly rest = (): void => {
    this.look()
    this.stage.equal("INV-RT", this.spent.size, 0, "calls of the budget at rest")
    if (this.options.settings.form === "window") return
    const snapshot = this.options.snapshot()
    this.stage.equal("INV-RT", [snapshot?.used ?? 0, this.calls.length], [0, 0], "what is in flight at rest")
  }
}
