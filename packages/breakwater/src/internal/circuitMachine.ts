/**
 * The circuit as a pure state machine: time comes in as a number of monotonic
 * milliseconds, chance as a number from 0 to 1, what happened goes out as data.
 * Each step has the shape that `Ref.modify` takes.
 *
 *   Closed ──trip policy──> Open ──open time over, next admit──> HalfOpen
 *   HalfOpen ──successThreshold probes succeed──> Closed, with slow start
 *   HalfOpen ──so many probes fail or lapse that they no longer can──> Open
 *   Closed ──a failure during the slow start──> Open
 *
 *   Any ──operator trips──> Open
 *
 * An operator's overrides (`circuitOverrides.ts`) lie over these states, which
 * go on underneath. `generation` fences
 * outcomes: one that was admitted in an older generation, or whose probe has
 * lapsed, changes nothing.
 */
import type {
  Admission,
  Automatic,
  Backoff,
  Machine,
  Move,
  Passed,
  Recorded,
  Settings,
  State,
  Step,
  Token
} from "./circuit.ts"
import * as tripPolicy from "./tripPolicy.ts"

const none: ReadonlyArray<Move> = []
const freshBackoff: Backoff = { openings: 0, openMillis: 0 }

/** The share of calls with which a slow start begins. */
const firstShare = 0.1

type Closed = Extract<Automatic, { _tag: "closed" }>

/** @internal */
export const closedSince = (since: number, generation: number, backoff: Backoff, rampUntil = 0): Closed => ({
  _tag: "closed",
  generation,
  backoff,
  since,
  window: tripPolicy.empty,
  rampUntil,
  token: { generation, probe: 0 }
})

/** Openings in a row whose times are told apart; later ones last as long as the last of them. @internal */
export const maxOpenings = 64

/** @internal */
export const make = (now: number): Machine => ({
  automatic: closedSince(now, 0, freshBackoff),
  overrides: undefined,
  version: 0
})

/** What every circuit starts with. One for all: closed circuits without a past share it. @internal */
export const initial: Machine = make(-Infinity)

/** @internal */
export const state = (self: Machine): State =>
  self.overrides === undefined ? self.automatic._tag : self.overrides.list[0].mode

type Moved = readonly [move: Move, next: Machine]

/** The distributive form of `Omit`, for a union. */
type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

/** @internal */
export const move = (
  self: Machine,
  at: number,
  what: Without<Move, "version" | "at" | "from">,
  next: Partial<Machine>
): Moved => {
  const version = self.version + 1
  return [
    { ...what, version, from: state(self), at },
    { ...self, ...next, version }
  ]
}

/** A close that lasted at least as long as the opening before it forgets the backoff. */
const backoffAt = ({ _tag, backoff, since }: Automatic, now: number): Backoff =>
  _tag === "closed" && now - since >= backoff.openMillis ? freshBackoff : backoff

const openMillisOf = ({ openMillis }: Settings, openings: number): number =>
  typeof openMillis === "number" ? openMillis : openMillis(openings)

const open = (
  settings: Settings,
  self: Machine,
  now: number,
  because: "failures" | "slow_calls" | "relapsed" | "probe_failed" | "probe_lapsed",
  failures: number,
  /** What the dependency has asked for. */
  askedMillis = 0
): Moved => {
  const { automatic } = self
  const openings = backoffAt(automatic, now).openings + 1
  const openMillis = Math.max(openMillisOf(settings, openings), askedMillis)
  return move(
    self,
    now,
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

/** Too many probes failed for `successThreshold` of them to succeed. */
const isLost = (settings: Settings, failed: number): boolean => failed > settings.probes - settings.successThreshold

/** Whether admitting a call asks for a number drawn by chance. @internal */
export const isRamping = ({ automatic }: Machine): boolean => automatic._tag === "closed" && automatic.rampUntil > 0

/**
 * What a call gets from a closed circuit that needs neither the time nor a step
 * for it, because no call is watched while it runs. `undefined`: ask `admit`.
 *
 * @internal
 */
export const immediate = ({ tripPolicy }: Settings, { automatic, overrides }: Machine): Token | undefined =>
  automatic._tag === "closed" &&
  overrides === undefined &&
  automatic.rampUntil === 0 &&
  tripPolicy.slowMillis === Infinity
    ? automatic.token
    : undefined

/**
 * Whether recording a success would change nothing, so that its caller needs
 * neither the time nor a step: the circuit is closed, and its window ignores it.
 *
 * @internal
 */
export const isUnmoved = (settings: Settings, self: Machine, token: Token): boolean =>
  immediate(settings, self) === token && settings.tripPolicy.ignoresSuccess((self.automatic as Closed).window)

/**
 * Closed, with nothing to remember that speaks against the dependency. But for
 * the successes in a window, a new circuit would do the same.
 *
 * @internal
 */
export const isAtRest = ({ automatic, overrides }: Machine, now: number): boolean =>
  automatic._tag === "closed" &&
  overrides === undefined &&
  automatic.rampUntil <= now &&
  tripPolicy.isClean(automatic.window, now) &&
  (automatic.backoff.openings === 0 || now - automatic.since >= automatic.backoff.openMillis)

/**
 * Whether the next call would be admitted anyway, so that an idle circuit may
 * be forgotten when room is scarce.
 *
 * @internal
 */
export const isWaiting = ({ automatic, overrides }: Machine, now: number): boolean =>
  overrides === undefined &&
  (automatic._tag === "closed" ? automatic.rampUntil <= now : automatic._tag === "half_open" || automatic.until <= now)

/**
 * Counts probes past their deadline as failed, each dated at its deadline, and
 * ends a slow start whose time is over.
 */
const passTime = (settings: Settings, self: Machine, now: number): Passed => {
  const { automatic, overrides } = self
  if (overrides !== undefined) return overrides.passTime(settings, self, now)
  if (automatic._tag === "open" || (automatic._tag === "closed" && automatic.rampUntil === 0)) return [none, self]
  const moves: Array<Move> = []
  let next = self
  while (deadlineOf(next) <= now) next = lapse(settings, next, now, moves)
  return [moves, rampEnded(next, now)]
}

/** When the oldest probe lapses; `Infinity`: none runs. @internal */
export const deadlineOf = ({ automatic }: Machine): number =>
  automatic._tag === "half_open" ? (automatic.running[0]?.deadline ?? Infinity) : Infinity

/** @internal */
export const rampEnded = (self: Machine, now: number): Machine => {
  const { automatic } = self
  return automatic._tag === "closed" && automatic.rampUntil > 0 && automatic.rampUntil <= now
    ? { ...self, automatic: { ...automatic, rampUntil: 0 } }
    : self
}

/**
 * Brings the machine up to `now`. What was due is dated at its time; calls in
 * flight that have become too old trip it now.
 *
 * @internal
 */
export const advance = (settings: Settings, self: Machine, now: number): Passed => {
  const passed = passTime(settings, self, now)
  const [moves, next] = passed
  const { automatic } = next
  if (automatic._tag !== "closed") return passed
  const tripped = settings.tripPolicy.tripsByAge?.(automatic.window, now)
  if (tripped === undefined) return passed
  const [opened, after] = open(settings, next, now, tripped.because, tripped.counted)
  return [[...moves, opened], after]
}

/** The oldest probe lapses. @internal */
export const lapse = (settings: Settings, self: Machine, now: number, moves: Array<Move>): Machine => {
  const half = self.automatic as Extract<Automatic, { _tag: "half_open" }>
  const [oldest, ...running] = half.running
  const at = oldest!.deadline
  const failed = half.failed + 1
  const [lapsed, next] = move(
    self,
    at,
    { _tag: "ProbeLapsed", overdueMillis: now - at },
    { automatic: { ...half, failed, running } }
  )
  moves.push(lapsed)
  if (!isLost(settings, failed)) return next
  const [opened, after] = open(settings, next, at, "probe_lapsed", failed, half.notBefore - at)
  moves.push(opened)
  return after
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
        running: [...half.running, { id, since: now, deadline }].toSorted((a, b) => a.deadline - b.deadline),
        nextProbe: id + 1
      }
    }
  ]
}

/** `draw` is a number from 0 to below 1, by chance: the calls of a slow start are chosen by it. @internal */
export const admit = (settings: Settings, self: Machine, now: number, draw = 0): Step<Admission> => {
  const [moves, next] = advance(settings, self, now)
  const byItself = () => admitByItself(settings, next, now, draw, moves)
  return next.overrides === undefined ? byItself() : next.overrides.admit(now, byItself, next, moves)
}

const admitByItself = (
  settings: Settings,
  next: Machine,
  now: number,
  draw: number,
  moves: ReadonlyArray<Move>
): Step<Admission> => {
  const { automatic } = next
  switch (automatic._tag) {
    case "closed": {
      if (automatic.rampUntil > 0 && draw >= shareAt(automatic, now)) {
        const retryAfterMillis = Math.min(automatic.rampUntil - now, automatic.backoff.openMillis)
        return [{ _tag: "Rejected", state: "closed", retryAfterMillis }, moves, next]
      }
      const { started } = settings.tripPolicy
      if (started === undefined) return [{ _tag: "Admitted", token: automatic.token }, moves, next]
      const [start, window] = started(automatic.window, now)
      const watching = window === automatic.window ? next : { ...next, automatic: { ...automatic, window } }
      return [{ _tag: "Admitted", token: { ...automatic.token, start } }, moves, watching]
    }
    case "open": {
      if (now < automatic.until) {
        return [{ _tag: "Rejected", state: "open", retryAfterMillis: automatic.until - now }, moves, next]
      }
      const [halfOpened, half] = move(
        next,
        now,
        { _tag: "HalfOpened" },
        {
          automatic: {
            _tag: "half_open",
            generation: automatic.generation + 1,
            backoff: automatic.backoff,
            since: now,
            notBefore: 0,
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

const shareAt = ({ rampUntil, since }: Closed, now: number): number =>
  firstShare + ((1 - firstShare) * (now - since)) / (rampUntil - since)

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

/** What speaks against the dependency while closed, what opened it while open, failed probes while half-open. @internal */
export const failures = ({ automatic }: Machine, now: number): number => {
  switch (automatic._tag) {
    case "closed":
      return tripPolicy.counted(automatic.window, now)
    case "open":
      return automatic.failures
    case "half_open":
      return automatic.failed
  }
}

/** `retryAfterMillis`: for how long a failure asks not to be called. @internal */
export const record = (
  settings: Settings,
  self: Machine,
  now: number,
  token: Token,
  outcome: "Success" | "Failure" | "Ignored",
  retryAfterMillis = 0
): Step<Recorded> => {
  const [moves, next] = passTime(settings, self, now)
  const { automatic } = next
  if (token.probe < 0) return ["counted", moves, next]
  if (automatic.generation !== token.generation) return ["stale", moves, next]
  const askedMillis = retryAfterMillis > 0 ? Math.min(retryAfterMillis, settings.maxRetryAfterMillis) : 0
  switch (automatic._tag) {
    case "open":
      return ["stale", moves, next]
    case "closed": {
      const { tripPolicy: policy } = settings
      if (outcome === "Ignored") {
        // Out of the window that counts it among the calls in flight.
        tripPolicy.gone(automatic.window, token.start)
        return ["counted", moves, next]
      }
      const failed = outcome === "Failure"
      const window = policy.observe(automatic.window, now, failed, token.start)
      if (window === automatic.window && !failed) return ["counted", moves, next]
      const observed: Machine = { ...next, automatic: { ...automatic, window } }
      const tripped = policy.trips(window, now)
      // A failure during the slow start says that the dependency is not well yet.
      const because = failed && automatic.rampUntil > 0 ? "relapsed" : tripped?.because
      if (because === undefined) return ["counted", moves, observed]
      const counted = tripped?.counted ?? tripPolicy.counted(window, now)
      const [opened, after] = open(settings, observed, now, because, counted, askedMillis)
      return ["counted", [...moves, opened], after]
    }
    case "half_open": {
      const ending = automatic.running.find((probe) => probe.id === token.probe)
      if (ending === undefined) return ["stale", moves, next]
      const running = automatic.running.filter((probe) => probe !== ending)
      // A probe as slow as what opened the circuit shows that nothing has changed.
      const isSlow = now - ending.since >= settings.tripPolicy.slowMillis
      const succeeded = automatic.succeeded + (outcome === "Success" && !isSlow ? 1 : 0)
      const failed = automatic.failed + (outcome === "Failure" || (outcome === "Success" && isSlow) ? 1 : 0)
      const notBefore = askedMillis > 0 ? Math.max(automatic.notBefore, now + askedMillis) : automatic.notBefore
      const ended: Machine = { ...next, automatic: { ...automatic, running, succeeded, failed, notBefore } }
      if (isLost(settings, failed)) {
        const [opened, after] = open(
          settings,
          ended,
          now,
          "probe_failed",
          failed,
          Math.max(askedMillis, automatic.notBefore - now)
        )
        return ["counted", [...moves, opened], after]
      }
      if (succeeded >= settings.successThreshold) {
        const { rampMillis } = settings
        const rampUntil = rampMillis === 0 ? 0 : now + rampMillis
        const [closing, after] = move(
          ended,
          now,
          { _tag: "Closed", because: "probes_succeeded" },
          { automatic: closedSince(now, automatic.generation + 1, automatic.backoff, rampUntil) }
        )
        return ["counted", [...moves, closing], after]
      }
      return ["counted", moves, ended]
    }
  }
}

/**
 * Opens the circuit, or opens it anew, for as long as told or as it would stay
 * open by itself. It does not count as an opening of its own: open times do not
 * grow by it. Overrides stay.
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
  const openMillis = options.openMillis ?? openMillisOf(settings, Math.max(backoff.openings, 1))
  const counted = failures(next, now)
  const [opened, after] = move(
    next,
    now,
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

/**
 * Closes the circuit and ends every override; all calls are admitted at once.
 * Keeps the backoff, unless asked to forget it.
 *
 * @internal
 */
export const close = (
  settings: Settings,
  self: Machine,
  now: number,
  options: { readonly forget: boolean }
): Step<void> => {
  const [moves, next] = advance(settings, self, now)
  const backoff = options.forget ? freshBackoff : next.automatic.backoff
  if (next.automatic._tag === "closed" && next.overrides === undefined) {
    const automatic: Closed = { ...next.automatic, backoff, window: tripPolicy.empty, rampUntil: 0 }
    return [undefined, moves, { ...next, automatic }]
  }
  const [closing, after] = move(
    next,
    now,
    { _tag: "Closed", because: "operator" },
    { automatic: closedSince(now, next.automatic.generation + 1, backoff), overrides: undefined }
  )
  return [undefined, [...moves, closing], after]
}
