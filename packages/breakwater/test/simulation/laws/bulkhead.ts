import type { Bulkhead, Priority } from "breakwater"
import type { Call, Fact, Law, Stage } from "../Stage.ts"
import { errorOf, rejectionOf } from "./judgement.ts"

/** Places and times, in milliseconds. */
export interface BulkheadSettings {
  readonly maxConcurrent: number
  readonly maxQueue: number
  readonly maxWait: number
  readonly order: Bulkhead.Order
  readonly perKey: boolean
}

interface Gate {
  readonly running: Set<Call>
  /** In the order in which they came. */
  readonly waiting: Array<Call>
  admitted: number
  rejected: number
}

interface Options {
  readonly operation: string
  readonly settings: BulkheadSettings
  /** When the call's time is over. Default: never. */
  readonly deadlineOf?: (call: Call) => number
  /** How much a call matters. Default: all the same. */
  readonly priorityOf?: (call: Call) => Priority.Priority
  readonly snapshots: () => ReadonlyArray<Bulkhead.Snapshot>
}

const slack = 5e-3

/** The least first. */
const priorities: ReadonlyArray<Priority.Priority> = ["very_low", "low", "medium", "high", "very_high"]

/**
 * INV-BH: no more run and wait than may, whoever matters most first, in order within a tenant; a refusal only if both
 * were full, of whoever stands last, or after the longest wait; nobody waits beside a free place. INV-FAIR: while a call
 * waits of whose tenant none runs, no other tenant has two turns, so it starts within as many turns as tenants wait.
 */
export class BulkheadLaw implements Law {
  private readonly stage: Stage
  private readonly options: Options
  private readonly gates = new Map<string | undefined, Gate>()
  /** The tenants that had a turn while a call waited whose own had none. */
  private readonly passed = new WeakMap<Call, Set<string | undefined>>()
  private limit: number
  /** How many places came back since everything was at rest. */
  private left = 0
  /** Calls that started since everything was at rest, and who should have before. Places of one instant are taken in any order. */
  private readonly started: Array<{
    readonly gate: Gate
    readonly call: Call
    readonly first: ReadonlyArray<Call>
    readonly hasWaited: boolean
  }> = []

  constructor(stage: Stage, options: Options) {
    this.stage = stage
    this.options = options
    this.limit = options.settings.maxConcurrent
  }

  private gate(key: string | undefined): Gate {
    const name = this.options.settings.perKey ? key : undefined
    let gate = this.gates.get(name)
    if (gate === undefined) {
      gate = { running: new Set(), waiting: [], admitted: 0, rejected: 0 }
      this.gates.set(name, gate)
    }
    return gate
  }

  private rankOf(call: Call): number {
    return priorities.indexOf(this.options.priorityOf?.(call) ?? "medium")
  }

  /** An operator changes how many may run. */
  resize(limit: number): void {
    this.limit = limit
  }

  readonly see = (fact: Fact): void => {
    if (fact._tag === "CallStarted") this.gate(fact.call.key).waiting.push(fact.call)
    if (fact._tag === "Entered") this.entered(fact.call)
    if (fact._tag === "Left") {
      this.left++
      this.gate(fact.call.key).running.delete(fact.call)
    }
    if (fact._tag === "CallEnded") this.ended(fact)
  }

  private entered(call: Call): void {
    const { options, stage } = this
    const { maxWait, order } = options.settings
    const gate = this.gate(call.key)
    stage.hold(
      "INV-BH",
      gate.running.size < this.limit,
      () => `call ${call.id} runs beside ${gate.running.size} others`
    )
    const others = gate.waiting.filter(({ interruptedAt }) => interruptedAt === undefined)
    const tenants = others.filter((other) => other.key === call.key && this.rankOf(other) === this.rankOf(call))
    const place = tenants.indexOf(call)
    const first = [
      ...others.filter((other) => this.rankOf(other) > this.rankOf(call)),
      ...(order === "fifo" ? tenants.slice(0, place) : tenants.slice(place + 1))
    ]
    this.started.push({ gate, call, first, hasWaited: call.startedAt < stage.world.now })
    const waited = stage.world.now - call.startedAt
    stage.hold("INV-BH", waited <= maxWait + slack, () => `call ${call.id} waited for ${waited} ms`)
    gate.waiting.splice(gate.waiting.indexOf(call), 1)
    gate.running.add(call)
    gate.admitted++
    // Its tenant has its turn.
    for (const other of gate.waiting) if (other.key === call.key) this.passed.delete(other)
  }

  private ended({ call, exit }: Extract<Fact, { _tag: "CallEnded" }>): void {
    const gate = this.gate(call.key)
    const all = gate.waiting.length
    const last = this.lastOf(gate)
    const place = gate.waiting.indexOf(call)
    if (place !== -1) gate.waiting.splice(place, 1)
    const reason = rejectionOf(this.options.operation, errorOf(exit))?.reason
    if (reason?._tag !== "BulkheadFull") return
    gate.rejected++
    const { stage } = this
    const { maxQueue, maxWait } = this.options.settings
    stage.equal("INV-BH", call.attempts.length, 0, `attempts of the refused call ${call.id}`)
    const waited = stage.world.now - call.startedAt
    // It is one of those who wait, beside as many as there are places to wait in.
    const deadline = this.options.deadlineOf?.(call) ?? Infinity
    if (maxWait > 0 && waited >= Math.min(maxWait, deadline - call.startedAt) - slack) return
    stage.hold(
      "INV-BH",
      gate.running.size >= this.limit && all > maxQueue,
      () => `call ${call.id} is refused beside ${gate.running.size} that run and ${all - 1} that wait`
    )
    stage.hold("INV-BH", last === call, () => `call ${call.id} gives way, and call ${last?.id} stands last`)
  }

  /**
   * Who gives way when one more has come than may wait: of those who matter least the tenant who waits most often, and
   * there the last one. Of tenants that wait equally often the newcomer's with `fifo`, another with `lifo`.
   */
  private lastOf({ waiting }: Gate): Call | undefined {
    const isFirst = this.options.settings.order === "fifo"
    const newcomer = waiting.at(-1)
    const least = Math.min(...waiting.map((call) => this.rankOf(call)))
    const tenants = new Map<string | undefined, Array<Call>>()
    for (const call of waiting) {
      if (this.rankOf(call) !== least) continue
      const own = tenants.get(call.key)
      if (own === undefined) tenants.set(call.key, [call])
      else own.push(call)
    }
    const most = Math.max(...[...tenants.values()].map(({ length }) => length))
    const all = [...tenants.values()].filter(({ length }) => length === most)
    const own = all.find((calls) => calls.includes(newcomer!))
    const others = all.filter((calls) => calls !== own)
    // Of others, the tenant whose latest call came last.
    const latest = others.toSorted((one, other) => other.at(-1)!.id - one.at(-1)!.id)[0]
    const giving = isFirst ? (own ?? latest) : (latest ?? own)
    return isFirst ? giving?.at(-1) : giving?.[0]
  }

  /** How many wait in all. */
  get waiting(): number {
    return [...this.gates.values()].reduce((sum, { waiting }) => sum + waiting.length, 0)
  }

  /** Of those who waited and matter most, the tenant goes first of whom the fewest run, and of one tenant who came first, or last. */
  private isFair(call: Call, { running, waiting }: Gate): boolean {
    const { now } = this.stage.world
    const runningOf = (key: string | undefined) =>
      [...running].filter((each) => each !== call && each.key === key).length
    const own = runningOf(call.key)
    // Who came in this very instant may have come after the place was given.
    const others = waiting.filter((each) => each.startedAt < now && each.interruptedAt === undefined)
    return others.every((other) => {
      if (this.rankOf(other) !== this.rankOf(call)) return this.rankOf(other) < this.rankOf(call)
      const theirs = runningOf(other.key)
      if (other.key !== call.key || other.startedAt === call.startedAt) return theirs >= own
      return this.options.settings.order === "fifo"
        ? call.startedAt < other.startedAt
        : call.startedAt > other.startedAt
    })
  }

  /** The tenant of a call that starts may not have had its turn while another waits for the first. */
  private isInTurn(call: Call, { running, waiting }: Gate): boolean {
    // What is new goes first with lifo, as often as it comes.
    if (this.options.settings.order === "lifo") return true
    const { now } = this.stage.world
    const runs = new Set(Array.from(running, ({ key }) => key))
    const waits = waiting.filter(
      (other) =>
        other.key !== call.key &&
        other.startedAt < now &&
        other.interruptedAt === undefined &&
        this.rankOf(other) === this.rankOf(call)
    )
    return waits.every((other) => {
      if (runs.has(other.key)) return true
      const passed = this.passed.get(other) ?? new Set()
      this.passed.set(other, passed)
      const isFirst = !passed.has(call.key)
      passed.add(call.key)
      return isFirst
    })
  }

  readonly settled = (): void => {
    const { maxQueue, order } = this.options.settings
    const [only] = this.started
    // Of several, nobody can tell who was given a place when.
    if (this.started.length === 1 && only!.hasWaited && this.left <= 1) {
      const { call, gate } = only!
      this.stage.hold("INV-BH", this.isFair(call, gate), () => `call ${call.id} goes before a tenant of whom fewer run`)
      this.stage.hold("INV-FAIR", this.isInTurn(call, gate), () => `call ${call.id} has the second turn of its tenant`)
    }
    this.left = 0
    for (const { call, first, gate } of this.started.splice(0)) {
      const passed = first.find((other) => gate.waiting.includes(other))
      this.stage.hold("INV-BH", passed === undefined, () => `call ${call.id} goes before ${passed?.id}, ${order}`)
    }
    for (const { running, waiting } of this.gates.values()) {
      this.stage.hold("INV-BH", waiting.length <= maxQueue, () => `${waiting.length} calls wait in ${maxQueue} places`)
      this.stage.hold(
        "INV-PERMIT",
        waiting.length === 0 || running.size >= this.limit,
        () => `${waiting.length} calls wait beside ${this.limit - running.size} free places`
      )
    }
  }

  readonly look = (): void => {
    const { stage } = this
    for (const { active, counters, key, limit, queued } of this.options.snapshots()) {
      const { admitted, rejected, running, waiting } = this.gate(key)
      stage.equal("INV-PERMIT", active, running.size, "calls that run")
      stage.equal("INV-BH", queued, waiting.length, "calls that wait")
      stage.equal("INV-BH", limit, this.limit, "calls that may run")
      stage.equal("INV-MET", [counters.admitted, counters.rejected], [admitted, rejected], "admitted and rejected")
    }
  }

  readonly rest = (): void => {
    this.look()
    for (const { running, waiting } of this.gates.values()) {
      this.stage.equal("INV-PERMIT", [running.size, waiting.length], [0, 0], "places that are taken at rest")
    }
  }

  readonly due = (): ReadonlyArray<number> =>
    [...this.gates.values()].flatMap(({ waiting }) =>
      waiting.map(({ startedAt }) => startedAt + this.options.settings.maxWait)
    )
}
