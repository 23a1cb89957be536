/**
 * What the page knows of the server, kept up to date by two loops: snapshots
 * that are asked for again and again, and the stream of events.
 *
 * Events are applied as they come and shown ten times a second at most, however
 * many there are: the page follows one `revision`, not thousands of signals.
 */
import { signal } from "@preact/signals"
import { type Client, type Problem, sentence } from "../api/client.ts"
import { SseParser } from "../api/sse.ts"
import type { Alert, Breaker, BreakerDetails, Operation } from "../api/types.ts"
import type { ClockOffset } from "../model/clockOffset.ts"
import { between, countedOf, type Counted } from "../model/counts.ts"
import { type Circuit, type Tile, tileOf } from "../model/overview.ts"
import { Series } from "../model/series.ts"
import { factsOf, type State } from "../model/states.ts"
import * as timeline from "../model/timeline.ts"

export type Connection =
  | { readonly _tag: "Connecting" }
  | { readonly _tag: "Live" }
  | { readonly _tag: "Lost"; readonly since: number; readonly retryAt: number; readonly why: string }

export interface Missed {
  readonly from: number
  readonly to: number
  readonly text: string
  readonly howMany: number
}

/** An operation with everything that is known of it. */
export interface Known {
  operation: Operation
  readonly circuits: Map<string, Circuit & { heardAt: number }>
  readonly series: Series
  /** The latest snapshots, oldest first. */
  counted: ReadonlyArray<Counted>
  tile: Tile
}

const maxEntries = 2_000
/** Snapshots over which attempts and calls are compared. */
const maxCounted = 10
const showEveryMillis = 100
const silenceMillis = 25_000
/** Details asked for with one snapshot: of circuits that are held or open, where no event told how long. */
const maxDetails = 6

const backoff = (failures: number): number =>
  Math.min(15_000, 1_000 * 2 ** Math.min(failures, 4)) * (0.8 + 0.4 * Math.random())

const pause = (millis: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener("abort", done)
      resolve()
    }
    const timer = setTimeout(done, millis)
    signal.addEventListener("abort", done)
  })

/** What operators laid over a circuit, the strongest of it. Older servers know isolation only. */
const overrideOf = (details: BreakerDetails): NonNullable<BreakerDetails["isolation"]> | undefined => {
  const { overrides } = details as { readonly overrides?: ReadonlyArray<NonNullable<BreakerDetails["isolation"]>> }
  return overrides?.[0] ?? details.isolation ?? undefined
}

export class Live {
  /** Changes when anything below did. */
  readonly revision = signal(0)
  readonly connection = signal<Connection>({ _tag: "Connecting" })
  readonly missed = signal<Missed | undefined>(undefined)
  readonly entries = signal<ReadonlyArray<timeline.Entry>>([])
  readonly alerts = signal<ReadonlyArray<Alert> | undefined>(undefined)
  /** Sentences for who does not see the page. */
  readonly spoken = signal("")
  /** Whether there ever was a snapshot. */
  readonly isLoaded = signal(false)
  /** Whether the server has commands that lay `disabled` and `metrics_only` over a circuit. */
  readonly hasOverrides = signal(false)
  readonly operations = new Map<string, Known>()

  private readonly client: Client
  private readonly clock: ClockOffset
  private readonly onRefused: (why: string) => void
  private running = new AbortController()
  private hurry = new AbortController()
  private pending: Array<timeline.Entry> = []
  private lastEventId = "start"
  private shown: ReturnType<typeof setTimeout> | undefined = undefined
  private streamIsUp = false
  private lostSince: number | undefined = undefined
  private failures = 0

  constructor(client: Client, clock: ClockOffset, onRefused: (why: string) => void) {
    this.client = client
    this.clock = clock
    this.onRefused = onRefused
  }

  /** Draws a component again when anything changed. */
  follow(): number {
    return this.revision.value
  }

  /** Now, on the clock of the server. */
  get now(): number {
    return Date.now() + this.clock.millis
  }

  start(): void {
    void this.poll(this.running.signal)
    void this.listen(this.running.signal)
    void this.watchAlerts(this.running.signal)
    document.addEventListener("visibilitychange", this.onVisible)
  }

  stop(): void {
    this.running.abort()
    this.hurry.abort()
    clearTimeout(this.shown)
    document.removeEventListener("visibilitychange", this.onVisible)
  }

  /** Does not wait for the next snapshot or attempt. */
  readonly refresh = (): void => {
    this.hurry.abort()
    this.hurry = new AbortController()
  }

  private readonly onVisible = (): void => {
    if (!document.hidden) this.refresh()
  }

  private changed(): void {
    this.shown ??= setTimeout(() => {
      this.shown = undefined
      if (this.pending.length > 0) {
        this.entries.value = timeline.merge(this.entries.value, this.pending, maxEntries)
        this.pending = []
      }
      this.revision.value++
    }, showEveryMillis)
  }

  private wait(millis: number): Promise<void> {
    return pause(millis, AbortSignal.any([this.running.signal, this.hurry.signal]))
  }

  private lost(why: string, retryIn: number): void {
    this.lostSince ??= this.now
    this.connection.value = { _tag: "Lost", since: this.lostSince, retryAt: this.now + retryIn, why }
  }

  private refused(problem: Problem): boolean {
    if (problem._tag !== "Refused" || problem.status !== 401) return false
    this.onRefused("The server no longer accepts this key.")
    return true
  }

  // Snapshots

  private async poll(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const began = Date.now()
      const [operations, breakers] = await Promise.all([
        this.client.get("/operations", { signal }),
        this.client.get("/circuit-breakers", { signal })
      ])
      if (signal.aborted) return
      if (operations.ok && breakers.ok) {
        await this.take(operations.body.operations, breakers.body.circuit_breakers, began)
        if (!this.isLoaded.value) void this.askForOverrides(Object.keys(breakers.body.circuit_breakers)[0], signal)
        this.isLoaded.value = true
        this.failures = 0
        if (this.streamIsUp && this.connection.value._tag !== "Live") this.connection.value = { _tag: "Live" }
        this.changed()
        void this.lookCloser(signal)
        const took = Date.now() - began
        // A server with thousands of operations has other work to do as well.
        await this.wait(document.hidden ? 10_000 : Math.max(1_000 - took, Math.min(10_000, took * 4)))
        continue
      }
      const problem = [operations, breakers].flatMap((reply) => (reply.ok ? [] : [reply.problem]))[0]!
      if (this.refused(problem)) return
      const retryIn = (problem._tag === "Refused" ? problem.retryAfterMillis : undefined) ?? backoff(this.failures++)
      this.lost(sentence(problem), retryIn)
      await this.wait(retryIn)
    }
  }

  /** In slices: thousands of operations at once would block the page. */
  private async take(
    operations: ReadonlyArray<Operation>,
    breakers: Readonly<Record<string, Breaker>>,
    askedAt: number
  ): Promise<void> {
    const at = Date.now()
    const capacity = operations.length > 200 ? 120 : 600
    const circuitsOf = new Map<string, Array<readonly [string, Breaker]>>()
    const names = new Set(operations.map(({ name }) => name))
    for (const [name, breaker] of Object.entries(breakers)) {
      // `operation:key`, and both may contain a colon.
      let end = name.length
      while (end > 0 && !names.has(name.slice(0, end))) end = name.lastIndexOf(":", end - 1)
      if (end <= 0) continue
      const operation = name.slice(0, end)
      const list = circuitsOf.get(operation)
      if (list === undefined) circuitsOf.set(operation, [[name, breaker]])
      else list.push([name, breaker])
    }
    for (const [index, operation] of operations.entries()) {
      if (index % 250 === 249) await new Promise((next) => setTimeout(next, 0))
      this.takeOne(operation, circuitsOf.get(operation.name) ?? [], at, askedAt, capacity)
    }
    for (const name of this.operations.keys()) if (!names.has(name)) this.operations.delete(name)
  }

  private takeOne(
    operation: Operation,
    breakers: ReadonlyArray<readonly [string, Breaker]>,
    at: number,
    askedAt: number,
    capacity: number
  ): void {
    const before = this.operations.get(operation.name)
    const series = before?.series ?? new Series(capacity)
    const circuits: Known["circuits"] = before?.circuits ?? new Map()
    for (const [name, breaker] of breakers) {
      const known = circuits.get(name)
      // An event that came since is newer than this answer.
      const state = known !== undefined && known.heardAt >= askedAt ? known.state : breaker.state
      circuits.set(name, {
        ...(known?.state === state ? known : { heardAt: 0 }),
        name,
        state,
        failures: breaker.failure_count,
        threshold: breaker.failure_threshold
      })
    }
    if (breakers.length < circuits.size) {
      const names = new Set(breakers.map(([name]) => name))
      for (const [name, { heardAt }] of circuits) if (!names.has(name) && heardAt < askedAt) circuits.delete(name)
    }
    const counted = countedOf(operation, at)
    const last = before?.counted.at(-1)
    const rates = last === undefined ? undefined : between(last, counted)
    // A call and its last attempt are seconds apart: of one second to the next the ratio says nothing.
    const smooth = before?.counted[0] === undefined ? undefined : between(before.counted[0], counted)
    if (rates !== undefined) {
      series.push({
        at: at + this.clock.millis,
        calls: rates.calls,
        succeeded: rates.succeeded,
        failed: rates.failed,
        rejected: rates.rejected,
        attemptsPerCall: smooth?.attemptsPerCall ?? NaN,
        p50: operation.latency_ms.p50,
        p95: operation.latency_ms.p95,
        p99: operation.latency_ms.p99,
        inFlight: operation.in_flight
      })
    }
    const tile = tileOf(operation, Array.from(circuits.values()), series, this.now)
    const latest = rates === undefined ? [counted] : [...before!.counted.slice(1 - maxCounted), counted]
    if (before === undefined)
      this.operations.set(operation.name, { operation, circuits, series, counted: latest, tile })
    else Object.assign(before, { operation, counted: latest, tile })
  }

  private async askForOverrides(circuit: string | undefined, signal: AbortSignal): Promise<void> {
    if (circuit === undefined) return
    const reply = await this.client.get("/circuit-breakers/:breaker_name", {
      params: { breaker_name: circuit },
      signal
    })
    this.hasOverrides.value = reply.ok && "overrides" in reply.body
  }

  /** Asks how long circuits stay open or held that were so before the page came. */
  private async lookCloser(signal: AbortSignal): Promise<void> {
    const unknown: Array<readonly [Known, string]> = []
    for (const known of this.operations.values()) {
      if (unknown.length >= maxDetails) break
      for (const circuit of known.circuits.values()) {
        const isUnknown =
          (circuit.state === "open" && circuit.retryAt === undefined) ||
          (factsOf(circuit.state).tone === "held" && circuit.reason === undefined)
        if (isUnknown && unknown.length < maxDetails) unknown.push([known, circuit.name])
      }
    }
    await Promise.all(
      unknown.map(async ([known, name]) => {
        const reply = await this.client.get("/circuit-breakers/:breaker_name", {
          params: { breaker_name: name },
          signal
        })
        const circuit = known.circuits.get(name)
        if (!reply.ok || circuit === undefined || circuit.state !== reply.body.state) return
        const { retry_at } = reply.body
        const held = overrideOf(reply.body)
        this.update(known, {
          ...circuit,
          retryAt: retry_at === null ? this.now : Date.parse(retry_at),
          ...(held === undefined
            ? {}
            : {
                reason: held.reason,
                actor: held.actor ?? undefined,
                expiresAt: held.expires_at === null ? undefined : Date.parse(held.expires_at)
              })
        })
      })
    )
  }

  private update(known: Known, circuit: Circuit & { heardAt: number }): void {
    known.circuits.set(circuit.name, circuit)
    known.tile = tileOf(known.operation, Array.from(known.circuits.values()), known.series, this.now)
    this.changed()
  }

  // Events

  private async listen(signal: AbortSignal): Promise<void> {
    let failures = 0
    while (!signal.aborted) {
      const attempt = new AbortController()
      const quiet = this.watchdog(attempt)
      let why = "The event stream ended."
      let retryIn: number | undefined
      try {
        const response = await this.client.events(this.lastEventId, AbortSignal.any([signal, attempt.signal]))
        if (response.ok && response.body !== null) {
          failures = 0
          await this.read(response.body, quiet.heard)
        } else {
          const retryAfter = Number(response.headers.get("retry-after"))
          if (retryAfter > 0) retryIn = retryAfter * 1000
          why =
            response.status === 429
              ? "This key has too many event streams open: close another tab."
              : `The event stream was refused with status ${response.status}.`
          if (response.status === 401) return this.onRefused("The server no longer accepts this key.")
        }
      } catch {
        why = attempt.signal.aborted ? "The event stream went silent." : "The server cannot be reached."
      } finally {
        quiet.stop()
      }
      this.streamIsUp = false
      if (signal.aborted) return
      const wait = retryIn ?? backoff(failures++)
      this.lost(why, wait)
      await this.wait(wait)
    }
  }

  private watchdog(attempt: AbortController): { readonly heard: () => void; readonly stop: () => void } {
    let timer: ReturnType<typeof setTimeout>
    const heard = (): void => {
      clearTimeout(timer)
      timer = setTimeout(() => attempt.abort(), silenceMillis)
    }
    heard()
    return { heard, stop: () => clearTimeout(timer) }
  }

  private async read(body: ReadableStream<Uint8Array>, heard: () => void): Promise<void> {
    const parser = new SseParser()
    const decoder = new TextDecoder()
    const reader = body.getReader()
    const gap = this.lostSince === undefined ? undefined : { from: this.lostSince, to: this.now }
    // The first time, what was kept is history: snapshots tell what came of it.
    const isFirst = this.lastEventId === "start"
    const began = this.now
    let replayed: Array<timeline.Entry> | undefined = gap === undefined ? undefined : []
    let isComplete = true
    this.streamIsUp = true
    this.lostSince = undefined
    this.connection.value = { _tag: "Live" }
    // Nothing marks the end of what was kept: it is written at once, and this is long enough.
    const settle = setTimeout(() => {
      if (gap !== undefined && replayed !== undefined) this.told(gap, replayed, isComplete)
      replayed = undefined
    }, 400)
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        heard()
        for (const message of parser.push(decoder.decode(value, { stream: true }))) {
          if (message.id !== undefined) this.lastEventId = message.id
          if (!timeline.wanted.has(message.event)) continue
          const event = JSON.parse(message.data) as timeline.WireEvent
          if (event._tag === "EventsMissed") {
            // The first time there is nothing that could have been missed.
            isComplete &&= isFirst
            continue
          }
          const at = Date.parse(event.at)
          const entry = this.hear(message.id ?? `${event._tag}-${event.at}`, event, {
            wasMissed: gap !== undefined && replayed !== undefined && at < gap.to,
            isLive: !isFirst || at >= began
          })
          if (entry?.wasMissed === true) replayed?.push(entry)
        }
      }
    } finally {
      clearTimeout(settle)
      void reader.cancel().catch(() => {})
    }
  }

  private told(
    gap: { readonly from: number; readonly to: number },
    entries: ReadonlyArray<timeline.Entry>,
    isComplete: boolean
  ): void {
    this.missed.value = { ...gap, text: timeline.summary(entries, isComplete), howMany: entries.length }
  }

  private hear(
    id: string,
    event: timeline.WireEvent,
    how: { readonly wasMissed: boolean; readonly isLive: boolean }
  ): timeline.Entry | undefined {
    // One that is acknowledged has an entry in the audit log, and none of its own.
    if (event._tag.startsWith("Alert")) this.alertsAreStale()
    const made = timeline.ofEvent(id, event)
    if (made === undefined) return undefined
    const entry = how.wasMissed ? { ...made, wasMissed: true } : made
    this.pending.push(entry)
    // A page that nobody shows draws nothing, and must not grow either.
    if (this.pending.length > maxEntries) this.pending.splice(0, this.pending.length - maxEntries)
    if (how.isLive) this.apply(entry, event)
    this.changed()
    return entry
  }

  private apply(entry: timeline.Entry, event: timeline.WireEvent): void {
    const state = timeline.stateAfter(event)
    if (state === undefined) return
    const known = this.operations.get(event.operation ?? "")
    const name = timeline.circuitOf(event)
    // An operation that is not known yet comes with the next snapshot.
    if (known === undefined) return
    const circuit = known.circuits.get(name) ?? Array.from(known.circuits.values())[0]
    // What is laid under a stronger override is not in force.
    const isUnder =
      circuit?.name === name &&
      factsOf(state).tone === "held" &&
      factsOf(circuit.state).tone === "held" &&
      factsOf(circuit.state).trouble > factsOf(state).trouble
    if (isUnder && event._tag === "CircuitOverridden") return this.say(`${entry.title}.`)
    const threshold = circuit?.threshold ?? 1
    const seconds = (field: string): number | undefined => {
      const value = event[field]
      return typeof value === "number" ? entry.at + value * 1000 : undefined
    }
    this.update(known, {
      name,
      state: state satisfies State,
      failures: state === "open" ? threshold : state === "closed" || circuit?.name !== name ? 0 : circuit.failures,
      threshold,
      heardAt: Date.now(),
      retryAt: seconds("open_for_seconds"),
      expiresAt: seconds("expires_in_seconds"),
      reason: typeof event["reason"] === "string" ? event["reason"] : undefined,
      actor: typeof event["actor"] === "string" ? event["actor"] : undefined
    })
    this.say(`${entry.title}.`)
  }

  private lastSaid = 0
  private unsaid = 0

  /** One sentence in two seconds; of more it says how many. */
  private say(text: string): void {
    const now = Date.now()
    if (now - this.lastSaid < 2_000) {
      this.unsaid++
      return
    }
    this.spoken.value = this.unsaid === 0 ? text : `${text} ${this.unsaid} other changes before.`
    this.lastSaid = now
    this.unsaid = 0
  }

  // Alerts

  private alertsWanted = new AbortController()

  private readonly alertsAreStale = (): void => {
    this.alertsWanted.abort()
    this.alertsWanted = new AbortController()
  }

  readonly refreshAlerts = this.alertsAreStale

  private async watchAlerts(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const wanted = this.alertsWanted.signal
      const reply = await this.client.get("/monitoring/alerts", { query: { max_alerts: 200 }, signal })
      if (reply.ok) this.alerts.value = reply.body.alerts
      // Many alerts come together.
      await pause(500, signal)
      await pause(15_000, AbortSignal.any([signal, wanted]))
    }
  }
}
