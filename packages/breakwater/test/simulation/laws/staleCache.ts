import { Duration, Exit } from "effect"
import { ResilienceError, type StaleCache } from "breakwater"
import { type Call, describeExit, type Fact, type Law, type Stage } from "../Stage.ts"
import type { Flight } from "./coalesce.ts"
import { defectOf, errorOf, hasInterrupts, isSame } from "./judgement.ts"

/** How much is kept, and how long, in milliseconds. */
export interface StaleCacheSettings {
  readonly capacity: number
  readonly timeToLive: number
  readonly maxStale: number
  readonly on: "failures" | "rejections" | "all"
}

/** What a lookup answered, and when. */
interface Answer {
  readonly key: string
  readonly value: unknown
  readonly at: number
}

interface Options {
  readonly settings: StaleCacheSettings
  readonly keyOf: (call: Call) => string
  /** Whether an old answer may stand in for this error. */
  readonly doesServe: (error: unknown) => boolean
  readonly snapshot: () => StaleCache.Snapshot
}

/**
 * INV-SC: a fresh answer is served without a lookup and with its true age; calls for one key share one lookup, which goes
 * on as long as somebody waits; an old answer stands in for the failures that it may, as long as it may; nothing else is
 * remembered, and no more answers are kept than may be, the ones last used.
 */
export class StaleCacheLaw implements Law {
  private readonly stage: Stage
  private readonly options: Options
  /** By last use, the newest last. */
  private answers: ReadonlyArray<Answer> = []
  private readonly lookups = new Map<Call, Flight>()
  /** Those that a call can still join. */
  private readonly open = new Map<string, Flight>()
  private readonly fresh = new Map<Call, Answer>()
  private hits = 0
  private misses = 0
  private stale = 0

  constructor(stage: Stage, options: Options) {
    this.stage = stage
    this.options = options
  }

  /** Reading an answer makes it the one used last. */
  private read(key: string): Answer | undefined {
    const found = this.answers.find((answer) => answer.key === key)
    if (found !== undefined) this.answers = [...this.answers.filter((answer) => answer !== found), found]
    return found
  }

  private keep(answer: Answer): void {
    const others = this.answers.filter(({ key }) => key !== answer.key)
    this.answers = [...others, answer].slice(-this.options.settings.capacity)
  }

  private ageOf({ at }: Answer): number {
    return this.stage.world.now - at
  }

  /** An operator has an answer forgotten. */
  invalidate(key: string): void {
    this.answers = this.answers.filter((answer) => answer.key !== key)
  }

  readonly see = (fact: Fact): void => {
    this.forget()
    if (fact._tag === "CallStarted") this.arrived(fact.call)
    if (fact._tag === "BodyStarted") this.lookupStarted(fact.call)
    if (fact._tag === "BodyEnded") this.lookupEnded(fact.call, fact.exit)
    if (fact._tag === "CallEnded") this.ended(fact.call, fact.exit)
  }

  private arrived(call: Call): void {
    const key = this.options.keyOf(call)
    const answer = this.read(key)
    if (answer !== undefined && this.ageOf(answer) < this.options.settings.timeToLive) {
      this.hits++
      this.fresh.set(call, answer)
      return
    }
    let lookup = this.open.get(key)
    if (lookup === undefined) {
      lookup = { key, leader: call, callers: [], exit: undefined, endedAt: undefined }
      this.open.set(key, lookup)
    }
    lookup.callers.push(call)
    this.lookups.set(call, lookup)
  }

  private lookupStarted(call: Call): void {
    const { stage } = this
    stage.equal("INV-SC", this.lookups.get(call)?.leader.id, call.id, "whose lookup runs")
    stage.equal("INV-SC", call.bodies.length, 1, `lookups of call ${call.id}`)
    stage.equal("INV-SC", stage.world.now, call.startedAt, `the start of the lookup of call ${call.id}`)
  }

  private lookupEnded(call: Call, exit: Exit.Exit<unknown, unknown>): void {
    const lookup = this.lookups.get(call)
    if (lookup === undefined || lookup.leader !== call) return
    this.stage.hold(
      "INV-SC",
      !hasInterrupts(exit) || call.bodies.at(-1)!.isSelfInterrupted || isLeft(lookup),
      () => `the lookup of call ${call.id} is interrupted while somebody waits for it`
    )
    lookup.exit = exit
    lookup.endedAt = this.stage.world.now
    if (isLeft(lookup)) return
    this.open.delete(lookup.key)
    if (Exit.isSuccess(exit)) this.keep({ key: lookup.key, value: exit.value, at: this.stage.world.now })
  }

  private ended(call: Call, exit: Exit.Exit<unknown, unknown>): void {
    if (call.interruptedAt !== undefined) return
    const { stage } = this
    const fresh = this.fresh.get(call)
    if (fresh !== undefined) {
      stage.equal("INV-SC", call.endedAt, call.startedAt, `the end of call ${call.id}, for which there is an answer`)
      return this.served(call, exit, fresh, false)
    }
    const lookup = this.lookups.get(call)!
    stage.equal("INV-SC", lookup.endedAt, stage.world.now, `the end of the lookup that call ${call.id} waits for`)
    if (lookup.exit === undefined) return
    if (Exit.isSuccess(lookup.exit)) {
      this.misses++
      return this.served(call, exit, { key: lookup.key, value: lookup.exit.value, at: lookup.endedAt! }, false)
    }
    const { maxStale, timeToLive } = this.options.settings
    const answer = this.read(lookup.key)
    if (answer !== undefined && this.mayStandIn(lookup.exit) && this.ageOf(answer) < timeToLive + maxStale) {
      this.stale++
      return this.served(call, exit, answer, this.ageOf(answer) >= timeToLive)
    }
    this.misses++
    stage.hold(
      "INV-SC",
      isSame(exit, lookup.exit),
      () => `call ${call.id} ends with ${describeExit(exit)}, its lookup with ${describeExit(lookup.exit!)}`
    )
  }

  private mayStandIn(exit: Exit.Exit<unknown, unknown>): boolean {
    const { on } = this.options.settings
    const defect = defectOf(exit)
    if (hasInterrupts(exit) || (defect !== undefined && on !== "all")) return false
    const error = errorOf(exit) ?? defect
    return (on !== "rejections" || error instanceof ResilienceError) && this.options.doesServe(error)
  }

  private served(call: Call, exit: Exit.Exit<unknown, unknown>, answer: Answer, isStale: boolean): void {
    const { stage } = this
    const kept = Exit.isSuccess(exit) ? (exit.value as StaleCache.Kept<unknown>) : undefined
    stage.hold(
      "INV-SC",
      kept?.value === answer.value,
      () => `call ${call.id} ends with ${describeExit(exit)}, not with the answer of ${answer.at} ms`
    )
    if (kept === undefined) return
    stage.equal("INV-SC", kept.isStale, isStale, `whether the answer of call ${call.id} is stale`)
    stage.close("INV-SC", Duration.toMillis(kept.age), this.ageOf(answer), `the age of the answer of call ${call.id}`)
  }

  /** A lookup without callers is on its way out: nobody joins it. */
  private forget(): void {
    for (const [key, lookup] of this.open) if (isLeft(lookup)) this.open.delete(key)
  }

  readonly settled = (): void => {
    this.forget()
    const { stage } = this
    for (const [call, lookup] of this.lookups) {
      const isWaiting = call.endedAt === undefined && call.interruptedAt === undefined
      stage.hold(
        "INV-SC",
        lookup.exit === undefined || !isWaiting,
        () => `call ${call.id} waits for a lookup that ended at ${lookup.endedAt}`
      )
      if (lookup.exit !== undefined || lookup.leader !== call) continue
      const body = call.bodies.at(-1)
      stage.hold("INV-SC", body !== undefined, () => `call ${call.id} looks nothing up`)
      stage.hold(
        "INV-SC",
        body === undefined || !isLeft(lookup) || body.stoppedAt !== undefined || body.treatment.isStubborn,
        () => `the lookup of call ${call.id} goes on for nobody`
      )
    }
  }

  readonly look = (): void => {
    this.forget()
    const { hits, misses, stale } = this
    const due = { capacity: this.options.settings.capacity, size: this.answers.length, hits, misses, stale }
    this.stage.equal("INV-MET", this.options.snapshot(), due, "what is kept and was served")
  }

  readonly rest = (): void => {
    this.look()
    this.stage.equal("INV-SC", this.open.size, 0, "lookups at rest")
  }

  readonly due = (): ReadonlyArray<number> => {
    const { maxStale, timeToLive } = this.options.settings
    return this.answers.flatMap(({ at }) => [at + timeToLive, at + timeToLive + maxStale])
  }
}

/** Nobody waits for it any more. */
const isLeft = ({ callers, endedAt = Infinity }: Flight): boolean =>
  callers.every(({ interruptedAt = Infinity }) => interruptedAt <= endedAt && interruptedAt !== Infinity)
