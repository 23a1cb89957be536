import { Duration, type Exit, Option } from "effect"
import type { CircuitBreaker, ResilienceError, ResilienceEvent } from "breakwater"
import type { Attempt, Call, Fact, Law, Stage } from "../Stage.ts"
import { type Announced, type Arrival, CircuitModel, type CircuitSettings } from "./circuitModel.ts"
import { errorOf, outcomeOf, rejectionOf, retryAfterOf } from "./judgement.ts"

/** The rejection with which a call of the operation ended, if it is one of its circuit's. */
const circuitRejection = (operation: string, error: unknown): ResilienceError | undefined => {
  const rejection = rejectionOf(operation, error)
  return rejection?.reason._tag.startsWith("Circuit") ? rejection : undefined
}

const circuitEvents: ReadonlySet<string> = new Set([
  "CircuitOpened",
  "CircuitHalfOpened",
  "CircuitClosed",
  "CircuitOverridden",
  "CircuitOverrideEnded",
  "ProbeLapsed"
])

/** What an event says, without when and where. */
const factsOf = (event: ResilienceEvent.ResilienceEvent): Announced => {
  const { _tag, ...rest } = event
  const facts = Object.entries(rest).flatMap(([name, value]) =>
    value === undefined || ["operation", "key", "at", "error", "actor"].includes(name)
      ? []
      : [[name, Duration.isDuration(value) ? Duration.toMillis(value) : value] as const]
  )
  return { _tag, ...Object.fromEntries(facts) } as unknown as Announced
}

const isSame = (seen: unknown, due: unknown): boolean =>
  typeof seen === "number" && typeof due === "number" ? Math.abs(seen - due) <= 1e-3 : seen === due

const isSameEvent = (seen: Announced, due: Announced | undefined): boolean =>
  due !== undefined &&
  Object.keys(seen).length === Object.keys(due).length &&
  Object.entries(seen).every(([name, value]) => isSame(value, due[name]))

interface Options {
  readonly operation: string
  /** The numbers that a call brings along; `undefined`: its attempts pass no circuit. */
  readonly settingsOf: (call: Call) => CircuitSettings | undefined
  /** The numbers for reads and commands. */
  readonly current: () => CircuitSettings
  readonly snapshots: () => ReadonlyArray<CircuitBreaker.Snapshot>
  /** `false`: another law compares the counters. */
  readonly startedAt: () => number
}

/** INV-CB-1 to INV-CB-9: the circuits of one operation do what their history says. */
export class CircuitLaw implements Law {
  private readonly stage: Stage
  private readonly options: Options
  private readonly models = new Map<string | undefined, CircuitModel>()
  private readonly seen = new Map<string | undefined, Array<Announced>>()
  private readonly governing = new Map<Call, CircuitSettings>()
  private readonly tickets = new Map<Attempt, Extract<Arrival, { is: "admitted" }>["ticket"]>()

  constructor(stage: Stage, options: Options) {
    this.stage = stage
    this.options = options
  }

  model(key: string | undefined): CircuitModel {
    let model = this.models.get(key)
    if (model === undefined) {
      // The circuit without a key is there from the start.
      model = new CircuitModel(key === undefined ? this.options.startedAt() : this.stage.world.now)
      this.models.set(key, model)
    }
    return model
  }

  readonly see = (fact: Fact): void => {
    switch (fact._tag) {
      case "Published": {
        const { event } = fact
        if (!circuitEvents.has(event._tag) || !("key" in event)) return
        const seen = this.seen.get(event.key)
        if (seen === undefined) this.seen.set(event.key, [factsOf(event)])
        else seen.push(factsOf(event))
        return
      }
      case "CallStarted":
        return this.govern(fact.call)
      case "Entered":
        this.entered(fact.call, fact.attempt)
        return this.compareEvents(fact.call.key)
      case "Left":
        this.compareEvents(fact.call.key)
        return this.left(fact.call, fact.attempt, fact.exit)
      case "FallbackStarted":
        return this.refused(fact.call, fact.error)
      case "CallEnded": {
        const error = errorOf(fact.exit)
        if (!fact.call.fallbacks.includes(error)) this.refused(fact.call, error)
        return
      }
    }
  }

  /** A window belongs to one policy: where the call or the operation has one when the call begins, the operation's decides. */
  private govern(call: Call): void {
    const own = this.options.settingsOf(call)
    if (own === undefined) return
    const current = this.options.current()
    const isCounting = ({ tripPolicy }: CircuitSettings) => tripPolicy._tag === "Consecutive"
    this.governing.set(call, isCounting(own) && isCounting(current) ? own : current)
  }

  private settingsOf(call: Call): CircuitSettings | undefined {
    return this.governing.get(call)
  }

  private entered(call: Call, attempt: Attempt): void {
    const settings = this.settingsOf(call)
    if (settings === undefined) return
    const model = this.model(call.key)
    const { draws, now } = this.stage.world
    const arrival = model.arrive(settings, now, draws.at(-1) ?? 0)
    if (arrival.is === "admitted") this.tickets.set(attempt, arrival.ticket)
    this.stage.hold(
      arrival.is === "half_open" ? "INV-CB-1" : "INV-CB-2",
      arrival.is === "admitted",
      () => `call ${call.id} is let through at ${now} while the circuit is ${describe(arrival)}`
    )
  }

  private left(call: Call, attempt: Attempt, exit: Exit.Exit<unknown, unknown>): void {
    const settings = this.settingsOf(call)
    const ticket = this.tickets.get(attempt)
    if (settings === undefined || ticket === undefined) return
    this.model(call.key).end(settings, this.stage.world.now, ticket, outcomeOf(exit), retryAfterOf(exit) ?? 0)
  }

  private refused(call: Call, error: unknown): void {
    const rejection = circuitRejection(this.options.operation, error)
    if (rejection === undefined) return
    const { stage } = this
    const settings = this.settingsOf(call)
    stage.hold(
      "INV-CB-2",
      settings !== undefined,
      () => `call ${call.id} is refused by a circuit that it does not have`
    )
    if (settings === undefined) return
    const arrival = this.model(call.key).arrive(settings, stage.world.now, stage.world.draws.at(-1) ?? 0)
    const { reason } = rejection
    const due = {
      open: "CircuitOpen",
      half_open: "CircuitHalfOpen",
      slow_start: "CircuitHalfOpen",
      isolated: "CircuitIsolated",
      admitted: "a place"
    }
    stage.hold(
      "INV-CB-6",
      reason._tag === due[arrival.is],
      () => `call ${call.id} gets ${reason._tag}, the observer expects ${due[arrival.is]}: ${describe(arrival)}`
    )
    if (arrival.is === "admitted") return
    const retryAfter = rejection.retryAfter === undefined ? undefined : Duration.toMillis(rejection.retryAfter)
    const expected = arrival.retryAfter === undefined ? undefined : Math.ceil(arrival.retryAfter)
    stage.equal("INV-CB-9", retryAfter, expected, `retryAfter of call ${call.id}`)
    if (reason._tag === "CircuitHalfOpen") {
      stage.equal(
        "INV-CB-9",
        reason.because,
        arrival.is === "slow_start" ? "slow_start" : "probing",
        "why it is refused"
      )
    }
    if (arrival.is === "isolated" && reason._tag === "CircuitIsolated") {
      stage.equal("INV-CB-9", reason.because, arrival.because, "the reason of the isolation")
    }
    this.compareEvents(call.key)
  }

  /** Each transition is published once, in order, and before anything that follows from it. */
  private compareEvents(key: string | undefined): void {
    const announced = this.models.get(key)?.announced ?? []
    const seen = this.seen.get(key) ?? []
    const checked = this.checked.get(key) ?? 0
    this.checked.set(key, announced.length)
    for (let i = checked; i < Math.max(announced.length, seen.length); i++) {
      this.stage.hold(
        "INV-CB-3",
        seen[i] !== undefined && isSameEvent(seen[i]!, announced[i]),
        () => `event ${i}: ${JSON.stringify(seen[i])}, the observer expects ${JSON.stringify(announced[i])}`
      )
    }
  }

  private readonly checked = new Map<string | undefined, number>()

  readonly settled = (): void => {
    for (const key of new Set([...this.models.keys(), ...this.seen.keys()])) this.compareEvents(key)
  }

  /** What an operator does, to the model. */
  command(
    key: string | undefined,
    command: (model: CircuitModel, settings: CircuitSettings, now: number) => void
  ): void {
    command(this.model(key), this.options.current(), this.stage.world.now)
  }

  forgetCounts(): void {
    for (const model of this.models.values()) model.forgetCounts()
  }

  readonly look = (): void => {
    const { stage } = this
    const { now } = stage.world
    for (const snapshot of this.options.snapshots()) {
      const { counters, failureCount, key, overrides, retryAfter, state, timeIn } = snapshot
      const model = this.model(key)
      model.pass(this.options.current(), now)
      stage.equal("INV-CB-3", state, model.state, "state")
      stage.equal("INV-CB-8", failureCount, model.failures(now), `failures while ${state}`)
      this.balance(counters)
      stage.equal("INV-CB-4", counters, model.counters, "counters")
      stage.equal("INV-CB-3", snapshot.version, model.announced.length, "version")
      const wait = model.phase.is === "closed" ? undefined : Math.ceil(model.untilProbe(now))
      stage.equal("INV-CB-9", Option.getOrUndefined(Option.map(retryAfter, Duration.toMillis)), wait, "retryAfter")
      const modes = (all: ReadonlyArray<{ readonly mode: string; readonly reason: string }>) =>
        all.map(({ mode, reason }) => [mode, reason])
      stage.equal("INV-CB-3", modes(overrides), modes(model.overrides), "overrides")
      const figures = snapshot.window.map(({ calls, counted }) => ({ calls, counted }))
      stage.equal("INV-CB-8", figures, model.figures(this.options.current(), now), "window")
      for (const [state, spent] of Object.entries(timeIn)) {
        stage.close("INV-MET", Duration.toMillis(spent), model.timeIn(state, now), `time in ${state}`)
      }
    }
  }

  /** Whatever was let through is in flight or came to one end. */
  private balance(counters: CircuitBreaker.Counters): void {
    const { admitted, failed, ignored, inFlight, interrupted, stale, succeeded } = counters
    const sum = succeeded + failed + ignored + interrupted + stale + inFlight
    this.stage.equal("INV-CB-5", admitted, sum, "attempts that were let through")
    const least = Object.values(counters).every((count) => count >= 0)
    this.stage.hold("INV-CB-5", least, () => `a counter is below 0: ${JSON.stringify(counters)}`)
  }

  readonly due = (): ReadonlyArray<number> => [...this.models.values()].flatMap((model) => model.due)

  readonly rest = (): void => {
    this.look()
    for (const { counters } of this.models.values()) {
      this.stage.equal("INV-PERMIT", counters.inFlight, 0, "attempts in flight at rest")
    }
  }

  /** INV-CB-7: once the dependency is well and a call with these settings comes each second, every circuit closes in time. */
  recover(call: (key: string | undefined) => void, settings: CircuitSettings = this.options.current()): void {
    const { world } = this.stage
    for (const [key, model] of this.models) {
      this.look()
      if (model.overrides.length > 0) continue
      const probing = settings.probeMillis ?? 60_000
      const inTime = world.now + model.untilProbe(world.now) + probing + 2_000 + settings.probes * 1_000
      while (world.now <= inTime && model.phase.is !== "closed") {
        world.advance(1_000)
        call(key)
      }
      this.stage.hold("INV-CB-7", model.phase.is === "closed", () => `the circuit is ${model.state} and does not close`)
    }
  }
}

const describe = (arrival: Arrival): string =>
  arrival.is === "admitted" ? "letting calls through" : `${arrival.is} for another ${arrival.retryAfter} ms`
