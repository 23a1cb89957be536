import { Duration } from "effect"
import type { Timeout } from "breakwater"
import type { Attempt, Call, Fact, Law, Stage } from "../Stage.ts"
import { errorOf, isInterrupted, rejectionOf } from "./judgement.ts"

/** The limits that a call brings along, in milliseconds. */
export interface TimeoutSettings {
  readonly attempt: number
  readonly total: number
  readonly mode: Timeout.Mode
}

interface Limited {
  readonly call: Call
  readonly at: number
  readonly limit: number
  readonly scope: "attempt" | "total"
  readonly settings: TimeoutSettings
}

interface Options {
  readonly operation: string
  readonly settingsOf: (call: Call) => TimeoutSettings | undefined
}

/** A deadline is reached up to a microsecond early. */
const tolerance = 2e-3

/**
 * INV-TO: an attempt ends at its limit at the latest, once; its work is told to stop once and cleaned up once. With
 * `detach` the caller goes ahead at the limit, with `await` when the work has ended.
 */
export class TimeoutLaw implements Law {
  private readonly stage: Stage
  private readonly options: Options
  private readonly running = new Map<Attempt, Limited>()
  private readonly abandoning = new Map<Attempt, Call>()

  constructor(stage: Stage, options: Options) {
    this.stage = stage
    this.options = options
  }

  /** When the call's time is over. */
  deadlineOf(call: Call): number {
    return call.startedAt + (this.options.settingsOf(call)?.total ?? Infinity)
  }

  /** Attempts whose caller went ahead and whose work has not ended. */
  get abandoned(): number {
    let abandoned = 0
    for (const [attempt, call] of this.abandoning) {
      if (call.bodies[attempt.number]?.endedAt === undefined) abandoned++
      else this.abandoning.delete(attempt)
    }
    return abandoned
  }

  readonly see = (fact: Fact): void => {
    switch (fact._tag) {
      case "Entered":
        return this.entered(fact.call, fact.attempt)
      case "Left":
        return this.left(fact)
      case "BodyStarted": {
        const { body, call } = fact
        const attempt = call.attempts[body.number]
        if (attempt !== undefined && this.running.has(attempt)) {
          this.stage.equal("INV-TO", body.startedAt, attempt.enteredAt, "the start of the work")
        }
        return
      }
      case "BodyEnded":
        return this.stage.equal("INV-TO", fact.body.finalized, 1, "times that the work was cleaned up")
    }
  }

  private entered(call: Call, attempt: Attempt): void {
    const settings = this.options.settingsOf(call)
    if (settings === undefined) return
    const { now } = this.stage.world
    const limited: Limited =
      this.deadlineOf(call) <= now + settings.attempt
        ? { call, at: this.deadlineOf(call), limit: settings.total, scope: "total", settings }
        : { call, at: now + settings.attempt, limit: settings.attempt, scope: "attempt", settings }
    this.running.set(attempt, limited)
  }

  private left({ attempt, call, exit }: Extract<Fact, { _tag: "Left" }>): void {
    const limited = this.running.get(attempt)
    if (limited === undefined) return
    this.running.delete(attempt)
    const { stage } = this
    const { now } = stage.world
    const { at, limit, scope, settings } = limited
    const name = `attempt ${call.id}.${attempt.number}`
    const body = call.bodies[attempt.number]
    if (call.interruptedAt !== undefined) {
      const isLeft = body !== undefined && body.endedAt === undefined && isInterrupted(exit)
      return stage.hold("INV-TO", !isLeft, () => `the work of ${name} goes on without its caller`)
    }
    const rejection = rejectionOf(this.options.operation, errorOf(exit))
    if (rejection?.reason._tag !== "TimeoutExceeded") {
      stage.hold("INV-TO", now <= at + tolerance, () => `${name} ends by itself, ${now - at} ms after its limit`)
      return stage.equal("INV-TO", body?.endedAt, now, `the end of the work of ${name}`)
    }
    const { elapsed, limit: told, scope: tells } = rejection.reason
    stage.equal("INV-TO", tells, scope, `the scope that ${name} tells`)
    stage.close("INV-TO", Duration.toMillis(told), limit, `the limit that ${name} tells`)
    const startedAt = scope === "total" ? call.startedAt : attempt.enteredAt
    if (settings.mode === "detach") {
      stage.hold("INV-TO", Math.abs(now - at) <= tolerance, () => `${name} is let go ${now - at} ms after its limit`)
      if (body !== undefined && body.endedAt === undefined) this.abandoning.set(attempt, call)
    } else if (body !== undefined || attempt.enteredAt < at - tolerance) {
      stage.equal("INV-TO", body?.endedAt, now, `the end of the work that ${name} waits for`)
    }
    const spent = Math.abs(Duration.toMillis(elapsed) - (at - startedAt))
    stage.hold("INV-TO", spent <= tolerance, () => `${name} tells of ${Duration.toMillis(elapsed)} ms`)
    if (body !== undefined && !body.treatment.isStubborn) {
      stage.equal("INV-TO", body.wasInterrupted, true, `the work of ${name} is told to stop`)
    }
  }

  readonly settled = (): void => {
    const { now } = this.stage.world
    for (const [attempt, { at, call, settings }] of this.running) {
      const isFree = settings.mode === "detach" && call.interruptedAt === undefined
      this.stage.hold(
        "INV-TO",
        !isFree || now <= at + tolerance,
        () => `attempt ${call.id}.${attempt.number} runs ${now - at} ms past its limit`
      )
    }
  }

  readonly due = (): ReadonlyArray<number> => [...this.running.values()].map(({ at }) => at)

  readonly rest = (): void => {
    for (const { bodies, id } of this.stage.calls) {
      for (const { finalized, number } of bodies) {
        this.stage.equal("INV-TO", finalized, 1, `times that the work ${id}.${number} was cleaned up`)
      }
    }
    this.stage.equal("INV-TO", this.abandoned, 0, "abandoned attempts at rest")
  }
}
