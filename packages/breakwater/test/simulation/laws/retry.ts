import { Duration, Option } from "effect"
import { Retry } from "breakwater"
import type { Call, Fact, Law, Stage } from "../Stage.ts"
import { errorOf, isRepeatable, rejectionOf, retryAfterOf } from "./judgement.ts"

/** The numbers that a call brings along, in milliseconds. */
export interface RetrySettings {
  readonly maxAttempts: number
  readonly base: number
  readonly factor: number
  readonly min: number
  readonly max: number
  readonly jitter: Retry.Jitter
  readonly jitterMax: number
}

/** The pause after attempt `n`, counted from 1, for what chance gave. */
const pauseOf = (
  settings: RetrySettings,
  n: number,
  before: number,
  chance: number,
  wish: number | undefined
): number => {
  const { base, factor, jitter, jitterMax, max, min } = settings
  const cut = (millis: number) => Math.min(Math.max(millis, min), max)
  // Grown step by step, as the documentation tells it.
  let grown = base
  for (let i = 1; i < n; i++) grown *= factor
  const plain = cut(grown)
  const first = cut(base)
  const spread = {
    none: plain,
    full: plain * chance,
    equal: plain * (0.5 + chance / 2),
    decorrelated: first + (Math.max(3 * before, first) - first) * chance,
    additive: plain + jitterMax * chance
  }
  const pause = Math.min(spread[jitter], max)
  if (wish === undefined || wish <= pause) return pause
  return wish + (jitter === "none" ? 0 : Math.min(jitterMax, max) * chance)
}

/** Where a call stands between its attempts. */
interface Progress {
  before: number
  /** What chance had given when the latest attempt ended. */
  draws: number
  /** The next attempt, or the rejection in its place, is due then; `undefined`: the call ends at once. */
  next: number | undefined
  leftAt: number
  because: "attempts" | "deadline" | "budget" | undefined
  /** Others repeat enough. */
  isDenied: boolean
}

interface Options {
  readonly operation: string
  readonly settingsOf: (call: Call) => RetrySettings | undefined
  /** When the call's time is over. */
  readonly deadlineOf: (call: Call) => number
}

/** INV-RT: attempts are bounded, pauses are as long as they must be, and nothing follows an interruption. */
export class RetryLaw implements Law {
  private readonly stage: Stage
  private readonly options: Options
  private readonly progress = new Map<Call, Progress>()
  retries = 0
  exhausted = 0

  constructor(stage: Stage, options: Options) {
    this.stage = stage
    this.options = options
  }

  readonly see = (fact: Fact): void => {
    if (fact._tag === "Entered") this.entered(fact.call)
    if (fact._tag === "Left") this.left(fact)
    if (fact._tag === "FallbackStarted") this.concluded(fact.call, fact.error)
    if (fact._tag === "CallEnded" && fact.call.fallbacks.length === 0) {
      this.concluded(fact.call, errorOf(fact.exit))
      this.annotated(fact)
    }
  }

  private entered(call: Call): void {
    const { stage } = this
    const { now } = stage.world
    const settings = this.options.settingsOf(call)
    const count = call.attempts.length
    stage.hold(
      "INV-RT",
      count <= (settings?.maxAttempts ?? 1),
      () => `call ${call.id} makes attempt ${count} of ${settings?.maxAttempts ?? 1}`
    )
    stage.hold("INV-RT", call.interruptedAt === undefined, () => `call ${call.id} goes on after its interruption`)
    const progress = this.progress.get(call)
    if (progress === undefined) return
    this.resolve(call, progress)
    stage.close("INV-RT", now, progress.next ?? NaN, `the start of attempt ${count} of call ${call.id}`)
    progress.before = progress.next! - progress.leftAt
    progress.next = undefined
  }

  private left({ attempt, call, exit }: Extract<Fact, { _tag: "Left" }>): void {
    const settings = this.options.settingsOf(call)
    if (settings === undefined) return
    let progress = this.progress.get(call)
    if (progress === undefined) {
      progress = { before: 0, draws: 0, next: undefined, leftAt: 0, because: undefined, isDenied: false }
      this.progress.set(call, progress)
    }
    progress.leftAt = this.stage.world.now
    progress.draws = this.stage.world.draws.length
    progress.because = undefined
    progress.isDenied = false
    const isOver = !isRepeatable(exit) || call.interruptedAt !== undefined
    if (!isOver && attempt.number + 1 >= settings.maxAttempts) {
      progress.because = "attempts"
      this.exhausted++
    }
    // Chance is drawn after this; the pause is worked out when something follows.
    progress.next = isOver || progress.because !== undefined ? undefined : NaN
    if (progress.next !== undefined) this.pending.push(call)
  }

  private readonly pending: Array<Call> = []

  /** A budget refuses the repetition that the latest attempt asks for. */
  denied(call: Call): void {
    const progress = this.progress.get(call)
    this.stage.hold(
      "INV-RT",
      progress !== undefined && Number.isNaN(progress.next),
      () => `call ${call.id} is refused a repetition that it cannot ask for`
    )
    if (progress !== undefined) progress.isDenied = true
  }

  /** Works out the pause that follows the latest attempt. */
  private resolve(call: Call, progress: Progress): void {
    if (!Number.isNaN(progress.next)) return
    const { world } = this.stage
    const { exit, number } = call.attempts.findLast(({ leftAt }) => leftAt !== undefined)!
    const chance = world.draws[progress.draws]
    this.stage.hold("INV-RT", chance !== undefined, () => `call ${call.id} draws no pause`)
    const pause = pauseOf(this.options.settingsOf(call)!, number + 1, progress.before, chance ?? 0, retryAfterOf(exit!))
    this.stage.hold("INV-RT", pause >= 0 && Number.isFinite(pause), () => `call ${call.id} pauses for ${pause} ms`)
    if (pause >= this.options.deadlineOf(call) - progress.leftAt - 1e-3) {
      progress.because = "deadline"
      progress.next = undefined
      this.exhausted++
      this.stage.hold("INV-RT", !progress.isDenied, () => `call ${call.id} asks for more than it has time for`)
    } else if (progress.isDenied) {
      progress.because = "budget"
      progress.next = undefined
      this.exhausted++
    } else {
      progress.next = progress.leftAt + pause
      this.retries++
    }
  }

  private concluded(call: Call, error: unknown): void {
    const progress = this.progress.get(call)
    if (progress === undefined || call.interruptedAt !== undefined) return
    this.resolve(call, progress)
    this.progress.delete(call)
    const due = progress.next ?? progress.leftAt
    this.stage.close("INV-RT", this.stage.world.now, due, `the end of call ${call.id}`)
    if (progress.next === undefined) return
    // Only a rejection comes in place of an attempt.
    const rejection = rejectionOf(this.options.operation, error)
    this.stage.hold("INV-RT", rejection !== undefined, () => `call ${call.id} ends in place of another attempt`)
    this.rejected.add(call)
  }

  private readonly rejected = new Set<Call>()

  private annotated({ call, exit }: Extract<Fact, { _tag: "CallEnded" }>): void {
    if (exit._tag === "Success" || this.options.settingsOf(call) === undefined || call.interruptedAt !== undefined)
      return
    const isFailure = exit.cause.reasons.every((reason) => reason._tag === "Fail")
    const seen = Option.getOrUndefined(Retry.exhausted(exit.cause))
    if (!isFailure) return this.stage.equal("INV-RT", seen, undefined, "attempts of a call that did not fail")
    const isRefused = call.attempts.length === 0 || this.rejected.has(call)
    const attempts = call.attempts.length + (isRefused ? 1 : 0)
    this.stage.equal("INV-RT", seen?.attempts, attempts, `attempts that call ${call.id} tells of`)
    if (seen === undefined) return
    const elapsed = this.stage.world.now - call.startedAt
    this.stage.close("INV-RT", Duration.toMillis(seen.elapsed), elapsed, `time that call ${call.id} tells of`)
  }

  readonly settled = (): void => {
    for (const call of this.pending.splice(0)) {
      const progress = this.progress.get(call)
      if (progress !== undefined) this.resolve(call, progress)
    }
    for (const [call, progress] of this.progress) {
      if (call.endedAt !== undefined) this.progress.delete(call)
      else if (progress.next !== undefined && call.interruptedAt === undefined) {
        const late = this.stage.world.now - progress.next
        this.stage.hold("INV-RT", late <= 1e-3, () => `attempt of call ${call.id} is ${late} ms late`)
      }
    }
  }

  readonly due = (): ReadonlyArray<number> => [...this.progress.values()].flatMap(({ next }) => next ?? [])
}
