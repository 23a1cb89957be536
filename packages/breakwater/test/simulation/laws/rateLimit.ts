import { Duration } from "effect"
import type { RateLimiter, RateLimitExceeded } from "breakwater"
import type { Call, Fact, Law, Stage } from "../Stage.ts"
import { errorOf, rejectionOf, retryAfterOf } from "./judgement.ts"

/** The limits in milliseconds and units. */
export interface RateSettings {
  readonly algorithm: RateLimiter.Algorithm
  readonly limit: number
  readonly window: number
  readonly burst: number
  /** 0: who finds no room fails. */
  readonly maxWait: number
  readonly maxQueue: number
  readonly maxPause: number
}

interface Taken {
  readonly at: number
  readonly cost: number
}

/** What sums of fractions may be off, in milliseconds. */
const slack = 5e-3

const sum = (taken: ReadonlyArray<Taken>): number => taken.reduce((units, { cost }) => units + cost, 0)

const isRefilled = ({ algorithm }: RateSettings): boolean => algorithm === "gcra" || algorithm === "token-bucket"

/** What is in a bucket from which so much was taken. */
const tokensAt = ({ burst, limit, window }: RateSettings, taken: ReadonlyArray<Taken>, now: number): number => {
  let tokens = burst
  let at = taken[0]?.at ?? now
  for (const each of taken) {
    tokens = Math.min(burst, tokens + ((each.at - at) * limit) / window) - each.cost
    at = each.at
  }
  return Math.min(burst, tokens + ((now - at) * limit) / window)
}

/** Whether a cost has room, counted anew over the list of all that was taken. */
const hasRoom = (settings: RateSettings, taken: ReadonlyArray<Taken>, now: number, cost: number): boolean => {
  const { algorithm, limit, window } = settings
  const first = taken[0]?.at ?? now
  const windowOf = (at: number) => Math.floor((at + slack / 2 - first) / window)
  const inWindow = (number: number) => sum(taken.filter(({ at }) => windowOf(at) === number))
  switch (algorithm) {
    case "gcra":
    case "token-bucket":
      return tokensAt(settings, taken, now) >= cost - 1e-9
    case "sliding-log":
      return sum(taken.filter(({ at }) => now - at < window)) + cost <= limit
    case "fixed-window":
      return inWindow(windowOf(now)) + cost <= limit
    case "sliding-counter": {
      const { current, previous, start } = blend(taken, window, now)
      const share = Math.min(1 - (now - start) / window, 1)
      return current + previous * share + cost <= limit + 1e-9
    }
  }
}

/** The counts of this window and of the one before. After a window without a call, the first call starts them anew. */
const blend = (taken: ReadonlyArray<Taken>, window: number, now: number) => {
  let start = taken[0]?.at ?? now
  let current = 0
  let previous = 0
  const move = (to: number) => {
    const passed = Math.floor((to - start + slack / 2) / window)
    if (passed <= 0) return
    previous = passed === 1 ? current : 0
    current = 0
    start += passed * window
  }
  for (const each of taken) {
    move(each.at)
    current += each.cost
  }
  move(now)
  return { start, current, previous }
}

interface Lane {
  taken: Array<Taken>
  /** In the order in which they came. */
  readonly waiting: Array<Call>
  pausedSince: number
  pausedUntil: number
  retunedAt: number
}

interface Options {
  readonly operation: string
  readonly settings: RateSettings
  /** Whether each key has a limit of its own. Default `true`. */
  readonly perKey?: boolean
  readonly costOf: (call: Call) => number
  /** Which limit of the operation it is. Default: the only one. */
  readonly scope?: RateLimitExceeded["scope"]
  /** When the call's time is over. Default: never. */
  readonly deadlineOf?: (call: Call) => number
  /** `undefined`: no call has come yet. */
  readonly snapshot: () => RateLimiter.Snapshot | undefined
}

/**
 * INV-RL: never more than the bound of the algorithm, nobody refused or kept waiting while there is room, first come
 * first served, a truthful `retryAfter`, and units that are used, given back or held.
 */
export class RateLaw implements Law {
  private readonly stage: Stage
  private readonly options: Options
  private readonly lanes = new Map<string | undefined, Lane>()
  /** The pause of keys that have not come yet. */
  private allPaused = { pausedSince: -Infinity, pausedUntil: -Infinity }
  private started = 0
  private refused = 0
  /** After a pause the limiter lets through less than its bound. */
  private hasPaused = false
  private settings: RateSettings

  constructor(stage: Stage, options: Options) {
    this.stage = stage
    this.options = options
    this.settings = options.settings
  }

  private lane(key: string | undefined): Lane {
    const name = this.options.perKey === false ? undefined : key
    let lane = this.lanes.get(name)
    if (lane === undefined) {
      lane = { taken: [], waiting: [], ...this.allPaused, retunedAt: -Infinity }
      this.lanes.set(name, lane)
    }
    return lane
  }

  readonly see = (fact: Fact): void => {
    if (fact._tag === "CallStarted") this.lane(fact.call.key).waiting.push(fact.call)
    if (fact._tag === "Entered") this.entered(fact.call)
    if (fact._tag === "Left") this.left(fact)
    if (fact._tag === "CallEnded") this.ended(fact)
  }

  private leave({ waiting }: Lane, call: Call): void {
    const place = waiting.indexOf(call)
    if (place !== -1) waiting.splice(place, 1)
  }

  private entered(call: Call): void {
    const { options, stage } = this
    const { now } = stage.world
    const lane = this.lane(call.key)
    const cost = options.costOf(call)
    const first = lane.waiting.find((other) => other.interruptedAt === undefined)
    stage.equal("INV-RL", first?.id, call.id, "who is first in line")
    stage.hold(
      "INV-RL",
      hasRoom(this.settings, lane.taken, now + slack, cost),
      () => `call ${call.id} takes ${cost} units at ${now}, for which there is no room`
    )
    // One whose turn came at the very instant in which the pause began starts.
    const isPaused = lane.pausedSince < now && now < lane.pausedUntil - slack
    stage.hold("INV-RL", !isPaused, () => `call ${call.id} starts during a pause`)
    const waited = now - call.startedAt
    stage.hold("INV-RL", waited <= this.settings.maxWait + slack, () => `call ${call.id} waited for ${waited} ms`)
    this.leave(lane, call)
    lane.taken.push({ at: now, cost })
    this.started++
  }

  private left({ call, exit }: Extract<Fact, { _tag: "Left" }>): void {
    const wish = retryAfterOf(exit)
    if (wish !== undefined) this.pause(call.key, Math.min(wish, this.settings.maxPause))
  }

  /** A failure, or an operator, asks for a pause of a key, or of all of them. */
  pause(key: string | undefined, millis: number, isForAll = false): void {
    if (millis <= 0) return
    const { now } = this.stage.world
    const own = this.lane(key)
    for (const lane of isForAll ? [...this.lanes.values(), this.allPaused] : [own]) {
      if (lane.pausedUntil <= now) lane.pausedSince = now
      lane.pausedUntil = Math.max(lane.pausedUntil, now + millis)
    }
    this.hasPaused = true
  }

  /** Other numbers are in force. A bucket begins anew with what is in use; what is counted in windows stays. */
  retune(settings: RateSettings): void {
    const { now } = this.stage.world
    for (const lane of this.lanes.values()) {
      lane.retunedAt = now
      if (!isRefilled(settings)) continue
      const used = this.settings.burst - tokensAt(this.settings, lane.taken, now)
      const cost = Math.min(used, settings.burst)
      lane.taken = cost > 1e-6 ? [{ at: now, cost }] : []
    }
    this.settings = settings
  }

  /** An operator ends the pause of a key, or without one every pause. */
  resume(key: string | undefined): void {
    const own = this.lane(key)
    const lanes = key === undefined ? [...this.lanes.values(), this.allPaused] : [own]
    for (const lane of lanes) lane.pausedUntil = -Infinity
  }

  private ended({ call, exit }: Extract<Fact, { _tag: "CallEnded" }>): void {
    const lane = this.lane(call.key)
    const ahead = lane.waiting.slice(0, lane.waiting.indexOf(call))
    this.leave(lane, call)
    const reason = rejectionOf(this.options.operation, errorOf(exit))?.reason
    const { scope = reason?._tag === "RateLimitExceeded" ? reason.scope : undefined } = this.options
    if (reason?._tag !== "RateLimitExceeded" || reason.scope !== scope) return
    this.refused++
    const { options, stage } = this
    const { now } = stage.world
    const { maxQueue, maxWait } = this.settings
    stage.equal("INV-RL", call.attempts.length, 0, `attempts of the refused call ${call.id}`)
    if (this.hasPaused) return
    // Whoever waits is refused later only if other numbers make its turn too late.
    if (now !== lane.retunedAt) stage.equal("INV-RL", now, call.startedAt, `the refusal of call ${call.id}`)
    // When its turn would come, after all who wait.
    const cost = options.costOf(call)
    const turn = this.turnOf(lane, [...ahead, call], now) - now
    const isFull = maxWait > 0 && ahead.length >= maxQueue
    stage.hold(
      "INV-RL",
      isFull || now + turn > Math.min(call.startedAt + maxWait, options.deadlineOf?.(call) ?? Infinity) - slack,
      () => `call ${call.id} is refused ${cost} units at ${now}, for which there is room in ${turn} ms`
    )
    const told = Duration.toMillis(reason.retryAfter)
    const isTrue = turn === Infinity ? told === Infinity : told >= turn - slack && told <= turn + 1 + slack
    stage.hold(
      "INV-RL",
      isTrue,
      () => `call ${call.id} is told to come back in ${told} ms, there is room in ${turn} ms`
    )
  }

  /** When the last of those who wait has its turn, each after the one before. */
  private turnOf({ taken }: Lane, waiting: ReadonlyArray<Call>, now: number): number {
    const { settings } = this
    const { costOf } = this.options
    const list = [...taken]
    let at = now
    for (const call of waiting) {
      const cost = costOf(call)
      if (cost > (isRefilled(settings) ? settings.burst : settings.limit)) return Infinity
      at = earliest((time) => hasRoom(settings, list, time, cost), at, settings)
      list.push({ at, cost })
    }
    return at
  }

  readonly settled = (): void => {
    const { settings } = this
    const { costOf } = this.options
    const { now } = this.stage.world
    for (const { taken, waiting } of this.lanes.values()) {
      const places = settings.maxWait === 0 ? 0 : settings.maxQueue
      this.stage.hold("INV-RL", waiting.length <= places, () => `${waiting.length} calls wait in ${places} places`)
      if (this.hasPaused) continue
      const [first] = waiting
      if (first === undefined) continue
      this.stage.hold(
        "INV-PERMIT",
        !hasRoom(settings, taken, Math.max(now - slack, taken.at(-1)?.at ?? 0), costOf(first)),
        () => `call ${first.id} waits at ${now}, although there is room`
      )
    }
  }

  readonly look = (): void => {
    const { stage } = this
    const snapshot = this.options.snapshot()
    if (snapshot === undefined) return stage.equal("INV-MET", this.started, 0, "calls of a limiter that is not there")
    const { counters, waiting } = snapshot
    const inLine = [...this.lanes.values()].reduce((count, lane) => count + lane.waiting.length, 0)
    stage.equal("INV-MET", waiting, inLine, "calls that wait")
    stage.equal("INV-MET", counters.started, this.started, "calls that started")
    stage.equal("INV-MET", counters.refused, this.refused, "calls that were refused")
    stage.equal("INV-RL", counters.held, 0, "units that are held at rest")
    stage.equal("INV-RL", counters.granted, counters.started + counters.returned, "granted = started + returned")
  }

  readonly rest = this.look

  readonly due = (): ReadonlyArray<number> =>
    [...this.lanes.values()].flatMap((lane) => {
      const last = lane.taken.at(-1)
      return last === undefined ? [] : [lane.pausedUntil, last.at + this.settings.window]
    })
}

/** The first time from `from` on at which something holds that goes on holding. */
const earliest = (holds: (at: number) => boolean, from: number, { limit, window, burst }: RateSettings): number => {
  if (holds(from)) return from
  let [low, high] = [from, from + window * (2 + (burst + limit) / limit)]
  while (high - low > 1e-4) {
    const middle = (low + high) / 2
    if (holds(middle)) high = middle
    else low = middle
  }
  return high
}
