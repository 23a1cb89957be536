/**
 * Keeps the newest events, in order, and the sessions that they belong to.
 *
 * Age is told by the monotonic clock, so that a step of the wall clock neither
 * empties the log nor stops it from forgetting. A session has no event that the
 * log has forgotten; sessions that were not used lately are forgotten first.
 */
import { Ring } from "../../internal/ring.ts"
import { hourMillis } from "../../internal/trend.ts"
import type { JsonObject } from "./boundedJson.ts"

/** @internal */
export interface Event {
  /** Monotonic milliseconds. */
  readonly now: number
  /** Wall time in milliseconds since 1970. */
  readonly at: number
  readonly type:
    | "preset_usage"
    | "config_load"
    | "config_error"
    | "config_change"
    | "validation_event"
    | "performance_event"
  readonly preset: string
  readonly operation: string
  readonly value: number
  readonly metadata: JsonObject
  readonly session: string | undefined
  readonly user: string | undefined
}

/** @internal */
export interface Options {
  readonly maxEvents: number
  /** In milliseconds. */
  readonly retention: number
  readonly maxSessions: number
}

/** @internal */
export class UsageLog {
  private readonly options: Options
  private readonly events: Ring<Event>
  // The order of the map is that of use: the first session was not used for the longest time.
  private readonly sessions = new Map<string, Ring<Event>>()

  constructor(options: Options) {
    this.options = options
    this.events = new Ring(options.maxEvents)
  }

  get size(): number {
    return this.events.length
  }

  get sessionCount(): number {
    return this.sessions.size
  }

  record(event: Event): void {
    this.expire(event.now)
    const forgotten = this.events.push(event)
    if (forgotten !== undefined) this.leaveSession(forgotten)
    if (event.session !== undefined) this.use(event.session, true)!.push(event)
  }

  /** Forgets what is as old as the retention, or older. */
  expire(now: number): void {
    this.forgetUntil(now - this.options.retention)
  }

  /** Forgets what is so many hours old, or older. Returns how many events that were. */
  clear(hours: number, now: number): number {
    this.expire(now)
    return this.forgetUntil(now - hours * hourMillis)
  }

  /** Events younger than so many milliseconds, oldest first. */
  within(millis: number, now: number): IterableIterator<Event> {
    this.expire(now)
    const since = now - millis
    return this.events.from(this.events.indexFrom((event) => event.now > since))
  }

  /** The events of a session, oldest first. */
  session(id: string, now: number): ReadonlyArray<Event> {
    this.expire(now)
    return [...(this.use(id, false) ?? [])]
  }

  private forgetUntil(until: number): number {
    let count = 0
    for (let event = this.events.at(0); event !== undefined && event.now <= until; event = this.events.at(0)) {
      this.events.shift()
      this.leaveSession(event)
      count++
    }
    return count
  }

  private leaveSession(event: Event): void {
    if (event.session === undefined) return
    const session = this.sessions.get(event.session)
    // Not so if the session was forgotten and has begun again.
    if (session?.at(0) !== event) return
    session.shift()
    if (session.length === 0) this.sessions.delete(event.session)
  }

  private use(id: string, isNew: boolean): Ring<Event> | undefined {
    const known = this.sessions.get(id)
    if (known === undefined && !isNew) return undefined
    const session = known ?? new Ring<Event>(this.options.maxEvents)
    this.sessions.delete(id)
    this.sessions.set(id, session)
    if (this.sessions.size > this.options.maxSessions) {
      for (const oldest of this.sessions.keys()) {
        this.sessions.delete(oldest)
        break
      }
    }
    return session
  }
}
