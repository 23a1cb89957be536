/**
 * The circuit as a pure state machine: time comes in as a number of monotonic
 * milliseconds, what happened goes out as data. Each step has the shape that
 * `Ref.modify` takes.
 *
 *   Closed ──window trips──> Open ──open time over, next admit──> HalfOpen
 *   HalfOpen ──successThreshold probes succeed──> Closed
 *   HalfOpen ──so many probes fail or lapse that they no longer can──> Open
 *
 *   Any ──operator trips──> Open
 *
 * An operator's isolation lies over these states and ends by itself; the states
 * go on underneath. `generation` fences outcomes: one that was admitted in an
 * older generation, or whose probe has lapsed, changes nothing.
 */
import type {
  Admission,
  Automatic,
  Backoff,
  Isolation,
  Machine,
  Move,
  Recorded,
  Settings,
  State,
  Step,
  Token
} from "./circuit.ts"
import * as tripPolicy from "./tripPolicy.ts"

const none: ReadonlyArray<Move> = []
const freshBackoff: Backoff = { openings: 0, openMillis: 0 }

const closedSince = (since: number, generation: number, backoff: Backoff): Automatic => ({
  _tag: "closed",
  generation,
  backoff,
  since,
  window: tripPolicy.empty,
  token: { generation, probe: 0 }
})

/** @internal */
export const make = (now: number): Machine => ({
  automatic: closedSince(now, 0, freshBackoff),
  isolation: undefined,
  version: 0
})

/** What every circuit starts with. One for all: closed circuits without a past share it. @internal */
export const initial: Machine = make(-Infinity)

/** @internal */
export const state = (self: Machine): State => (self.isolation === undefined ? self.automatic._tag : "isolated")

/** The distributive form of `Omit`, for a union. */
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

const move = (self: Machine, what: Without<Move, "version" | "from">, next: Partial<Machine>): [Move, Machine] => {
  const version = self.version + 1
  return [
    { ...what, version, from: state(self) },
    { ...self, ...next, version }
  ]
}

/** A close that lasted at least as long as the opening before it forgets the backoff. */
const backoffAt = ({ _tag, backoff, since }: Automatic, now: number): Backoff =>
  _tag === "closed" && now - since >= backoff.openMillis ? freshBackoff : backoff

const open = (
  settings: Settings,
  self: Machine,
  now: number,
  because: "failures" | "probe_failed" | "probe_lapsed",
  failures: number
): [Move, Machine] => {
  const { automatic } = self
  const openings = backoffAt(automatic, now).openings + 1
  const openMillis = settings.openMillis(openings)
  return move(
    self,
    { _tag: "Opened", because, failures, openMillis },
    {
      automatic: {
        _tag: "open",
        generation: automatic.generation + 1,
        backoff: { openings, openMillis },
        since: now,
        until: now + openMillis,
        failures
      }
    }
  )
}

const closed = (self: Machine, now: number, because: "probes_succeeded" | "operator", backoff: Backoff) =>
  move(
    self,
    { _tag: "Closed", because },
    {
      automatic: closedSince(now, self.automatic.generation + 1, backoff),
      // Probes that succeed underneath an isolation leave it in force.
      isolation: because === "operator" ? undefined : self.isolation
    }
  )

/** Too many probes failed for `successThreshold` of them to succeed. */
const isLost = (settings: Settings, failed: number): boolean => failed > settings.probes - settings.successThreshold

/**
 * Whether admitting a call, and recording a success, does without the time. A
 * closed circuit spares its callers the clock.
 *
 * @internal
 */
export const isTimeless = (self: Machine): boolean => self.automatic._tag === "closed" && self.isolation === undefined

/**
 * What a call gets from a closed circuit: neither the time nor a step is
 * needed. `undefined`: ask `admit`.
 *
 * @internal
 */
export const immediate = (self: Machine): Token | undefined =>
  self.isolation === undefined && self.automatic._tag === "closed" ? self.automatic.token : undefined

/**
 * Closed, with nothing to remember: a new circuit would do the same.
 *
 * @internal
 */
export const isAtRest = ({ automatic, isolation }: Machine, now: number): boolean =>
  automatic._tag === "closed" &&
  isolation === undefined &&
  automatic.window === tripPolicy.empty &&
  (automatic.backoff.openings === 0 || now - automatic.since >= automatic.backoff.openMillis)

/**
 * Brings the machine up to `now`: ends an isolation whose time is over, and
 * counts probes past their deadline as failed, dated at that deadline.
 *
 * @internal
 */
export const advance = (settings: Settings, self: Machine, now: number): readonly [ReadonlyArray<Move>, Machine] => {
  const { automatic, isolation } = self
  if (automatic._tag !== "half_open" && isolation === undefined) return [none, self]
  const moves: Array<Move> = []
  let next = self
  const apply = ([made, after]: [Move, Machine]) => {
    moves.push(made)
    next = after
  }
  if (isolation !== undefined && isolation.until <= now) {
    apply(move(next, { _tag: "IsolationEnded", to: automatic._tag }, { isolation: undefined }))
  }
  while (next.automatic._tag === "half_open") {
    const half = next.automatic
    const [oldest, ...running] = half.running
    if (oldest === undefined || oldest.deadline > now) break
    const failed = half.failed + 1
    apply(
      move(
        next,
        { _tag: "ProbeLapsed", overdueMillis: now - oldest.deadline },
        {
          automatic: { ...half, failed, running }
        }
      )
    )
    if (isLost(settings, failed)) apply(open(settings, next, oldest.deadline, "probe_lapsed", failed))
  }
  return [moves, next]
}

const probe = (settings: Settings, self: Machine, now: number): readonly [Admission, Machine] => {
  const half = self.automatic as Extract<Automatic, { _tag: "half_open" }>
  const id = half.nextProbe
  const deadline = now + (settings.probeMillis ?? Math.min(Math.max(half.backoff.openMillis, 10_000), 60_000))
  return [
    { _tag: "Admitted", token: { generation: half.generation, probe: id } },
    {
      ...self,
      automatic: {
        ...half,
        running: [...half.running, { id, deadline }].toSorted((a, b) => a.deadline - b.deadline),
        nextProbe: id + 1
      }
    }
  ]
}

/** @internal */
export const admit = (settings: Settings, self: Machine, now: number): Step<Admission> => {
  const [moves, next] = advance(settings, self, now)
  const { automatic, isolation } = next
  if (isolation !== undefined) {
    return [{ _tag: "Isolated", isolation, retryAfterMillis: isolation.until - now }, moves, next]
  }
  switch (automatic._tag) {
    case "closed":
      return [{ _tag: "Admitted", token: automatic.token }, moves, next]
    case "open": {
      if (now < automatic.until) {
        return [{ _tag: "Rejected", state: "open", retryAfterMillis: automatic.until - now }, moves, next]
      }
      const [halfOpened, half] = move(
        next,
        { _tag: "HalfOpened" },
        {
          automatic: {
            _tag: "half_open",
            generation: automatic.generation + 1,
            backoff: automatic.backoff,
            since: now,
            succeeded: 0,
            failed: 0,
            running: [],
            nextProbe: 1
          }
        }
      )
      const [admission, probing] = probe(settings, half, now)
      return [admission, [...moves, halfOpened], probing]
    }
    case "half_open": {
      const used = automatic.succeeded + automatic.failed + automatic.running.length
      // With fewer probes than before, those that ended may already be too many: the next outcome decides.
      if (used < settings.probes || automatic.running.length === 0) {
        const [admission, probing] = probe(settings, next, now)
        return [admission, moves, probing]
      }
      return [{ _tag: "Rejected", state: "half_open", retryAfterMillis: untilProbe(next, now) }, moves, next]
    }
  }
}

/** Time until the next probe can be admitted: exact while open, an upper bound while half-open. @internal */
export const untilProbe = (self: Machine, now: number): number => {
  const { automatic } = self
  switch (automatic._tag) {
    case "closed":
      return 0
    case "open":
      return Math.max(automatic.until - now, 0)
    case "half_open":
      return Math.min(Math.max((automatic.running[0]?.deadline ?? now) - now, 0), automatic.backoff.openMillis)
  }
}

/** Failures in a row while closed, those that opened it while open, failed probes while half-open. @internal */
export const failures = ({ automatic }: Machine): number => {
  switch (automatic._tag) {
    case "closed":
      return automatic.window
    case "open":
      return automatic.failures
    case "half_open":
      return automatic.failed
  }
}

/** @internal */
export const record = (
  settings: Settings,
  self: Machine,
  now: number,
  token: Token,
  outcome: "Success" | "Failure" | "Ignored"
): Step<Recorded> => {
  const [moves, next] = advance(settings, self, now)
  const { automatic } = next
  if (automatic.generation !== token.generation) return ["stale", moves, next]
  switch (automatic._tag) {
    case "open":
      return ["stale", moves, next]
    case "closed": {
      if (outcome === "Ignored") return ["counted", moves, next]
      const window = tripPolicy.observe(settings.tripPolicy, automatic.window, outcome === "Failure")
      if (window === automatic.window) return ["counted", moves, next]
      const observed: Machine = { ...next, automatic: { ...automatic, window } }
      if (!tripPolicy.trips(settings.tripPolicy, window)) return ["counted", moves, observed]
      const [opened, after] = open(settings, observed, now, "failures", window)
      return ["counted", [...moves, opened], after]
    }
    case "half_open": {
      const running = automatic.running.filter((probe) => probe.id !== token.probe)
      if (running.length === automatic.running.length) return ["stale", moves, next]
      const succeeded = automatic.succeeded + (outcome === "Success" ? 1 : 0)
      const failed = automatic.failed + (outcome === "Failure" ? 1 : 0)
      const ended: Machine = { ...next, automatic: { ...automatic, running, succeeded, failed } }
      if (isLost(settings, failed)) {
        const [opened, after] = open(settings, ended, now, "probe_failed", failed)
        return ["counted", [...moves, opened], after]
      }
      if (succeeded >= settings.successThreshold) {
        const [closing, after] = closed(ended, now, "probes_succeeded", automatic.backoff)
        return ["counted", [...moves, closing], after]
      }
      return ["counted", moves, ended]
    }
  }
}

/** Holds the circuit open over whatever it does by itself. @internal */
export const isolate = (settings: Settings, self: Machine, now: number, isolation: Isolation): Step<void> => {
  const [moves, next] = advance(settings, self, now)
  const [isolated, after] = move(next, { _tag: "Isolated", isolation }, { isolation })
  return [undefined, [...moves, isolated], after]
}

/**
 * Opens the circuit, or opens it anew, for as long as told or as it would stay
 * open by itself. It does not count as an opening of its own: open times do not
 * grow by it. An isolation stays.
 *
 * @internal
 */
export const trip = (
  settings: Settings,
  self: Machine,
  now: number,
  options: { readonly openMillis: number | undefined }
): Step<void> => {
  const [moves, next] = advance(settings, self, now)
  const { generation } = next.automatic
  const backoff = backoffAt(next.automatic, now)
  const openMillis = options.openMillis ?? settings.openMillis(Math.max(backoff.openings, 1))
  const counted = failures(next)
  const [opened, after] = move(
    next,
    { _tag: "Opened", because: "operator", failures: counted, openMillis },
    {
      automatic: {
        _tag: "open",
        generation: generation + 1,
        backoff: { openings: backoff.openings, openMillis },
        since: now,
        until: now + openMillis,
        failures: counted
      }
    }
  )
  return [undefined, [...moves, opened], after]
}

/** Closes the circuit and ends an isolation. Keeps the backoff, unless asked to forget it. @internal */
export const close = (
  settings: Settings,
  self: Machine,
  now: number,
  options: { readonly forget: boolean }
): Step<void> => {
  const [moves, next] = advance(settings, self, now)
  const backoff = options.forget ? freshBackoff : next.automatic.backoff
  if (state(next) === "closed") {
    const automatic = { ...next.automatic, backoff, window: tripPolicy.empty } as Automatic
    return [undefined, moves, { ...next, automatic }]
  }
  const [closing, after] = closed(next, now, "operator", backoff)
  return [undefined, [...moves, closing], after]
}
