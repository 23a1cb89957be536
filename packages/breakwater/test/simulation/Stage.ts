/**
 * Where the calls of a simulation are played: the callers, the dependency that they call, and the record of what an
 * observer can see of both.
 */
import { Cause, Duration, Effect, Exit, type Fiber } from "effect"
import { CircuitOpen, ResilienceError, type ResilienceEvent } from "breakwater"
import type { Answer, Step, Treatment } from "./Script.ts"
import type { World } from "./World.ts"

/** One execution of the dependency. */
export interface Body {
  readonly number: number
  readonly treatment: Treatment
  readonly startedAt: number
  /** When it answered, or was told to stop. */
  stoppedAt: number | undefined
  wasInterrupted: boolean
  /** It interrupted itself. */
  isSelfInterrupted: boolean
  /** When its finalizer was done. */
  endedAt: number | undefined
  finalized: number
  exit: Exit.Exit<unknown, unknown> | undefined
}

/** One attempt, as the policy sees it that stands around attempts. */
export interface Attempt {
  readonly number: number
  readonly enteredAt: number
  leftAt: number | undefined
  exit: Exit.Exit<unknown, unknown> | undefined
}

export interface Call {
  readonly id: number
  readonly key: string | undefined
  readonly variant: number
  readonly treatments: ReadonlyArray<Treatment>
  readonly startedAt: number
  readonly attempts: Array<Attempt>
  readonly bodies: Array<Body>
  /** What its fallback was asked to answer. */
  readonly fallbacks: Array<unknown>
  interruptedAt: number | undefined
  endedAt: number | undefined
  exit: Exit.Exit<unknown, unknown> | undefined
}

/** What can be seen. */
export type Fact =
  | { readonly _tag: "CallStarted"; readonly call: Call }
  | { readonly _tag: "Entered"; readonly call: Call; readonly attempt: Attempt }
  | {
      readonly _tag: "Left"
      readonly call: Call
      readonly attempt: Attempt
      readonly exit: Exit.Exit<unknown, unknown>
    }
  | { readonly _tag: "BodyStarted"; readonly call: Call; readonly body: Body }
  | { readonly _tag: "BodyEnded"; readonly call: Call; readonly body: Body; readonly exit: Exit.Exit<unknown, unknown> }
  | { readonly _tag: "FallbackStarted"; readonly call: Call; readonly error: unknown }
  | { readonly _tag: "CallEnded"; readonly call: Call; readonly exit: Exit.Exit<unknown, unknown> }
  | { readonly _tag: "Published"; readonly event: ResilienceEvent.ResilienceEvent }

/** An invariant that must hold, and what it has to see to know. */
export interface Law {
  readonly see?: (fact: Fact) => void
  /** Times at which something is due, in monotonic milliseconds. */
  readonly due?: () => ReadonlyArray<number>
  /** Asks the subject what it says about itself, and compares. */
  readonly look?: () => void
  /** After each step, when everything has come to rest. */
  readonly settled?: () => void
  /** At the end, when every call has ended. */
  readonly rest?: () => void
}

export interface Violation {
  readonly invariant: string
  readonly message: string
  readonly now: number
}

/** Errors that a retry repeats and a circuit counts, or not, by what they say about themselves. */
export interface Refusal {
  readonly answer: Answer
  readonly isRetryable?: boolean
  readonly retryAfter?: Duration.Duration
}

interface Held {
  readonly body: Body
  readonly resume: (answer: Effect.Effect<unknown, unknown>) => void
}

const tagOf = (error: unknown): string =>
  error instanceof ResilienceError
    ? `${error.operation} ${error.reason._tag}`
    : typeof error === "object" && error !== null && "answer" in error
      ? String(error.answer)
      : String(error)

export const describeExit = (exit: Exit.Exit<unknown, unknown>): string =>
  Exit.isSuccess(exit)
    ? "success"
    : exit.cause.reasons
        .map((reason) =>
          Cause.isInterruptReason(reason)
            ? "interrupted"
            : Cause.isDieReason(reason)
              ? `defect ${tagOf(reason.defect)}`
              : tagOf(reason.error)
        )
        .join(" and ")

export class Stage {
  readonly world: World
  readonly calls: Array<Call> = []
  readonly trace: Array<string> = []
  readonly violations: Array<Violation> = []
  private readonly held: Array<Held> = []
  private readonly running = new Map<Call, Fiber.Fiber<unknown, unknown>>()
  private readonly laws: Array<Law> = []

  constructor(world: World) {
    this.world = world
  }

  obey(...laws: ReadonlyArray<Law>): void {
    this.laws.push(...laws)
  }

  /** Holds `condition` to be an invariant. The message is built only when it does not hold. */
  hold(invariant: string, condition: boolean, message: () => string): void {
    if (!condition) this.violations.push({ invariant, message: message(), now: this.world.now })
  }

  equal(invariant: string, actual: unknown, expected: unknown, what: string): void {
    if (Object.is(actual, expected)) return
    const [seen, due] = [JSON.stringify(actual), JSON.stringify(expected)]
    if (seen !== due) this.hold(invariant, false, () => `${what}: ${seen}, the observer says ${due}`)
  }

  /** The same time, to the thousandth of a millisecond. */
  close(invariant: string, actual: number, expected: number, what: string): void {
    this.hold(invariant, Math.abs(actual - expected) <= 1e-3, () => `${what}: ${actual}, the observer says ${expected}`)
  }

  private tell(fact: Fact): void {
    this.trace.push(`${this.world.now} ${line(fact)}`)
    for (const law of this.laws) law.see?.(fact)
  }

  /** Where policies publish. The observer sees an event in the instant in which it is published. */
  readonly sink: ResilienceEvent.Sink = {
    isActive: () => true,
    publishUnsafe: (event) => this.tell({ _tag: "Published", event }),
    listenUnsafe: () => () => {}
  }

  /** The dependency, as one call's attempts run it. */
  body(call: Call): Effect.Effect<unknown, unknown> {
    return Effect.suspend(() => {
      const number = call.bodies.length
      const body: Body = {
        number,
        treatment: call.treatments[number] ?? willing,
        startedAt: this.world.now,
        stoppedAt: undefined,
        wasInterrupted: false,
        isSelfInterrupted: false,
        endedAt: undefined,
        finalized: 0,
        exit: undefined
      }
      call.bodies.push(body)
      this.tell({ _tag: "BodyStarted", call, body })
      const { answer, cleanup, isStubborn, latency, retryAfter } = body.treatment
      const answering = this.answer(call, body, answer, retryAfter)
      const working =
        latency === 0
          ? answering
          : latency === Infinity
            ? Effect.callback<unknown, unknown>((resume) => {
                const held = { body, resume }
                this.held.push(held)
                return Effect.sync(() => this.drop(held))
              })
            : Effect.andThen(Effect.sleep(latency), answering)
      return Effect.onExit(isStubborn ? Effect.uninterruptible(working) : working, (exit) => {
        body.stoppedAt = this.world.now
        body.wasInterrupted = Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause)
        const end = Effect.sync(() => {
          body.endedAt = this.world.now
          body.exit = exit
          body.finalized++
          this.tell({ _tag: "BodyEnded", call, body, exit })
        })
        return body.wasInterrupted && cleanup > 0 ? Effect.andThen(Effect.sleep(cleanup), end) : end
      })
    })
  }

  private drop(held: Held): void {
    const found = this.held.indexOf(held)
    if (found !== -1) this.held.splice(found, 1)
  }

  private answer(call: Call, body: Body, answer: Answer, retryAfter: number): Effect.Effect<unknown, unknown> {
    const name = `${call.id}.${body.number}`
    switch (answer) {
      case "success":
        return Effect.succeed({ answer, name })
      case "transient":
        return Effect.fail({ answer, name, isRetryable: true })
      case "permanent":
        return Effect.fail({ answer, name, isRetryable: false })
      case "limited":
        return Effect.fail({ answer, name, retryAfter: Duration.millis(retryAfter) })
      case "foreign":
        return Effect.fail(
          new ResilienceError({ operation: "elsewhere", reason: new CircuitOpen({ retryAfter: Duration.seconds(1) }) })
        )
      case "defect":
        return Effect.die({ answer, name })
      case "interrupt":
        return Effect.suspend(() => {
          body.isSelfInterrupted = true
          return Effect.interrupt
        })
    }
  }

  /** Goes around each attempt, where the policy that counts attempts sees it. */
  attempt(call: Call): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> {
    return (self) =>
      Effect.suspend(() => {
        const attempt: Attempt = {
          number: call.attempts.length,
          enteredAt: this.world.now,
          leftAt: undefined,
          exit: undefined
        }
        call.attempts.push(attempt)
        this.tell({ _tag: "Entered", call, attempt })
        return Effect.onExitPrimitive(self, (exit) => {
          attempt.leftAt = this.world.now
          attempt.exit = exit
          this.tell({ _tag: "Left", call, attempt, exit })
          return undefined
        })
      })
  }

  /** What a subject's fallback tells before it answers. */
  fallback(call: Call, error: unknown): void {
    call.fallbacks.push(error)
    this.tell({ _tag: "FallbackStarted", call, error })
  }

  start(step: Extract<Step, { _tag: "call" }>, guard: (call: Call) => Effect.Effect<unknown, unknown>): Call {
    const call: Call = {
      id: this.calls.length,
      key: step.key,
      variant: step.variant,
      treatments: step.treatments,
      startedAt: this.world.now,
      attempts: [],
      bodies: [],
      fallbacks: [],
      interruptedAt: undefined,
      endedAt: undefined,
      exit: undefined
    }
    this.calls.push(call)
    const guarded = guard(call)
    this.tell({ _tag: "CallStarted", call })
    const fiber = this.world.start(
      Effect.onExitPrimitive(guarded, (exit) => {
        call.endedAt = this.world.now
        call.exit = exit
        this.running.delete(call)
        this.tell({ _tag: "CallEnded", call, exit })
        return undefined
      })
    )
    if (call.endedAt === undefined) this.running.set(call, fiber)
    return call
  }

  private due(): ReadonlyArray<number> {
    const { nextWake, now } = this.world
    return [nextWake ?? now, ...this.laws.flatMap((law) => law.due?.() ?? [])]
      .filter((at) => Number.isFinite(at) && at > now)
      .toSorted((a, b) => a - b)
  }

  /** Everything that is no call and no command. */
  play(step: Exclude<Step, { _tag: "call" | "command" }>): void {
    const { world } = this
    switch (step._tag) {
      case "answer": {
        const held = this.held[Math.floor(step.pick * this.held.length)]
        if (held === undefined) return
        this.drop(held)
        const call = this.calls.find(({ bodies }) => bodies.includes(held.body))!
        held.resume(this.answer(call, held.body, step.answer, step.retryAfter))
        return world.settle()
      }
      case "interrupt": {
        const [call, fiber] = [...this.running][Math.floor(step.pick * this.running.size)] ?? []
        if (call === undefined) return
        call.interruptedAt ??= world.now
        return world.interrupt(fiber!)
      }
      case "advance":
        return world.advance(step.millis, this.settled)
      case "approach": {
        const due = this.due()
        const at = due[Math.floor(step.pick ** 2 * due.length)]
        return at === undefined ? undefined : world.advance(Math.max(at + step.offset - world.now, 0), this.settled)
      }
      case "wall":
        return world.stepWall(step.millis)
      case "look":
        return this.look()
    }
  }

  look(): void {
    for (const law of this.laws) law.look?.()
  }

  readonly settled = (): void => {
    for (const law of this.laws) law.settled?.()
  }

  /** Lets the dependency answer whatever waits, and time pass, until every call has ended. */
  finish(): void {
    const { world } = this
    for (let turns = 0; this.running.size > 0 || this.held.length > 0 || world.nextWake !== undefined; turns++) {
      if (turns > 1_000) return this.hold("INV-RES", false, () => `${this.running.size} calls never end`)
      while (this.held.length > 0) this.play({ _tag: "answer", pick: 0, answer: "success", retryAfter: 0 })
      if (world.nextWake !== undefined) world.advance(world.nextWake - world.now, this.settled)
      else if (this.running.size > 0)
        return this.hold("INV-RES", false, () => `${this.running.size} calls wait forever`)
    }
    for (const law of this.laws) law.rest?.()
  }
}

const willing: Treatment = { answer: "success", latency: 0, cleanup: 0, isStubborn: false, retryAfter: 0 }

const line = (fact: Fact): string => {
  switch (fact._tag) {
    case "CallStarted":
      return `call ${fact.call.id}${fact.call.key === undefined ? "" : ` of ${fact.call.key}`} starts`
    case "Entered":
      return `attempt ${fact.call.id}.${fact.attempt.number} is let through`
    case "Left":
      return `attempt ${fact.call.id}.${fact.attempt.number} is over: ${describeExit(fact.exit)}`
    case "BodyStarted":
      return `work ${fact.call.id}.${fact.body.number} starts`
    case "BodyEnded":
      return `work ${fact.call.id}.${fact.body.number} ends: ${describeExit(fact.exit)}`
    case "FallbackStarted":
      return `call ${fact.call.id} falls back: ${tagOf(fact.error)}`
    case "CallEnded":
      return `call ${fact.call.id} ends: ${describeExit(fact.exit)}`
    case "Published": {
      const { _tag, ...facts } = fact.event
      const shown = Object.entries(facts).flatMap(([name, value]) =>
        name === "at" || name === "operation" || name === "decisionId" || value === undefined
          ? []
          : [`${name}=${Duration.isDuration(value) ? `${Duration.toMillis(value)}ms` : JSON.stringify(value)}`]
      )
      return `${_tag} ${shown.join(" ")}`
    }
  }
}
