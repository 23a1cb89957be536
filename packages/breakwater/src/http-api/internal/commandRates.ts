/**
 * Counts the commands of each key: ten at once, then one every six seconds, and
 * never more than ten in a minute.
 */
import { BoundedMap } from "../../internal/boundedMap.ts"
import * as machine from "../../internal/pacedLimit.ts"

/** Commands a minute. @internal */
export const perMinute = 10

const minute = 60_000
const maxIdentities = 10_000

const pace: machine.Settings = {
  burst: perMinute,
  interval: minute / perMinute,
  windows: [{ length: minute, limit: perMinute }]
}

interface Count {
  touched: boolean
  state: machine.State
}

/** @internal */
export class CommandRates {
  private readonly counts = new BoundedMap<string, Count>(maxIdentities, ({ state }, now) =>
    machine.isIdle(pace, state, now)
  )
  // Those beyond the bound count as one.
  private readonly shared: Count = { touched: false, state: machine.empty }

  /** Counts a command. Returns the milliseconds to wait, or 0. */
  take(identity: string, now: number): number {
    const count = this.counts.get(identity) ?? this.add(identity, now)
    const [wait, state] = machine.admit(pace, count.state, now)
    count.state = state
    return wait
  }

  private add(identity: string, now: number): Count {
    const count: Count = { touched: false, state: machine.empty }
    return this.counts.add(identity, count, now) ? count : this.shared
  }
}
