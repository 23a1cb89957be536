import type { Exit } from "effect"
import type { Coalesce } from "breakwater"
import { type Call, describeExit, type Fact, type Law, type Stage } from "../Stage.ts"
import { isInterrupted, isSame } from "./judgement.ts"

/** One run and the callers that wait for it, in the order in which they came. */
export interface Flight {
  readonly key: string
  readonly leader: Call
  readonly callers: Array<Call>
  exit: Exit.Exit<unknown, unknown> | undefined
  endedAt: number | undefined
}

interface Options {
  readonly capacity: number
  /** What a call shares its run by; `undefined`: it shares nothing. */
  readonly keyOf: (call: Call) => string | undefined
  /** `undefined`: nothing was shared yet. */
  readonly snapshot: () => Coalesce.Snapshot | undefined
}

/**
 * INV-CO: calls with one key that are there at once share the run of the first, each gets its very end, the run is
 * interrupted when the last of them leaves and not before, and no more keys are in flight than may be.
 */
export class CoalesceLaw implements Law {
  private readonly stage: Stage
  private readonly options: Options
  private readonly flights = new Map<Call, Flight>()
  /** Those that a call can still join. */
  private readonly open = new Map<string, Flight>()
  private readonly alone = new Set<Call>()
  private led = 0
  private joined = 0

  constructor(stage: Stage, options: Options) {
    this.stage = stage
    this.options = options
  }

  /** Whose effect answers the call. */
  leaderOf(call: Call): Call {
    return this.flights.get(call)?.leader ?? call
  }

  /** Whether it found no room to share. */
  isAlone(call: Call): boolean {
    return this.alone.has(call)
  }

  /** When the run of a call lost its last caller. */
  leftAt(call: Call): number | undefined {
    const flight = this.flights.get(call)
    if (flight === undefined) return call.interruptedAt
    let latest = -Infinity
    for (const { interruptedAt } of flight.callers) latest = Math.max(latest, interruptedAt ?? Infinity)
    return Number.isFinite(latest) ? latest : undefined
  }

  readonly see = (fact: Fact): void => {
    this.forget()
    if (fact._tag === "CallStarted") this.arrived(fact.call)
    if (fact._tag === "CallEnded") this.ended(fact.call, fact.exit)
  }

  private arrived(call: Call): void {
    const key = this.options.keyOf(call)
    if (key === undefined) return
    const found = this.open.get(key)
    if (found !== undefined) {
      this.joined++
      found.callers.push(call)
      this.flights.set(call, found)
    } else if (this.open.size >= this.options.capacity) this.alone.add(call)
    else {
      this.led++
      const flight: Flight = { key, leader: call, callers: [call], exit: undefined, endedAt: undefined }
      this.open.set(key, flight)
      this.flights.set(call, flight)
    }
  }

  /** The effect of a call begins to run. */
  runStarted(call: Call): void {
    this.forget()
    const { stage } = this
    if (this.options.keyOf(call) === undefined) return
    stage.equal("INV-CO", this.leaderOf(call).id, call.id, "whose effect runs")
    stage.equal("INV-CO", stage.world.now, call.startedAt, `the start of the run of call ${call.id}`)
  }

  runEnded(call: Call, exit: Exit.Exit<unknown, unknown>): void {
    this.forget()
    const flight = this.flights.get(call)
    if (flight === undefined || flight.leader !== call || flight.exit !== undefined) return
    const isOwn = call.bodies.at(-1)?.isSelfInterrupted
    this.stage.hold(
      "INV-CO",
      !isInterrupted(exit) || isOwn === true || this.leftAt(call) !== undefined,
      () => `the run of call ${call.id} is interrupted while somebody waits for it`
    )
    flight.exit = exit
    flight.endedAt = this.stage.world.now
    if (this.open.get(flight.key) === flight) this.open.delete(flight.key)
  }

  private ended(call: Call, exit: Exit.Exit<unknown, unknown>): void {
    const flight = this.flights.get(call)
    if (flight === undefined || call.interruptedAt !== undefined || call.fallbacks.length > 0) return
    const { stage } = this
    stage.equal("INV-CO", flight.endedAt, stage.world.now, `the end of the run that call ${call.id} waits for`)
    if (flight.exit === undefined) return
    stage.hold(
      "INV-CO",
      isSame(exit, flight.exit),
      () => `call ${call.id} ends with ${describeExit(exit)}, its run with ${describeExit(flight.exit!)}`
    )
  }

  /** A run without callers is on its way out: nobody joins it. */
  private forget(): void {
    for (const [key, { leader }] of this.open) if (this.leftAt(leader) !== undefined) this.open.delete(key)
  }

  readonly settled = (): void => {
    this.forget()
    const { stage } = this
    stage.hold("INV-CO", this.open.size <= this.options.capacity, () => `${this.open.size} keys are in flight`)
    for (const [call, { endedAt, exit, leader }] of this.flights) {
      const isWaiting = call.endedAt === undefined && call.interruptedAt === undefined && call.fallbacks.length === 0
      stage.hold(
        "INV-CO",
        exit === undefined || !isWaiting,
        () => `call ${call.id} waits for a run that ended at ${endedAt}`
      )
      if (call === leader && exit === undefined) this.running(call)
    }
  }

  /** The latest work of a run is told to stop when nobody waits for it, and not before. */
  private running(leader: Call): void {
    const last = leader.bodies.at(-1)
    if (last === undefined || this.leftAt(leader) === undefined) return
    this.stage.hold(
      "INV-CO",
      last.stoppedAt !== undefined || last.treatment.isStubborn,
      () => `the run of call ${leader.id} goes on for nobody`
    )
  }

  readonly look = (): void => {
    this.forget()
    const snapshot = this.options.snapshot()
    if (snapshot === undefined) return this.stage.equal("INV-MET", this.led, 0, "runs of what shares nothing")
    let waiting = 0
    for (const { callers } of this.open.values()) {
      waiting += callers.filter(({ interruptedAt }) => interruptedAt === undefined).length
    }
    const { alone, led } = this
    const { capacity, ...seen } = snapshot
    this.stage.equal("INV-CO", capacity, this.options.capacity, "keys that may be in flight")
    const due = { inFlight: this.open.size, waiting, led, joined: this.joined, alone: alone.size }
    this.stage.equal("INV-MET", seen, due, "shared runs")
  }

  readonly rest = (): void => {
    this.look()
    this.stage.equal("INV-CO", this.open.size, 0, "keys in flight at rest")
  }
}
