/**
 * Counts calls and their repetitions, and grants a repetition as long as there
 * are few of them. Pure but for its state, which is counted in place: a call
 * that succeeds costs it one addition. Times are monotonic milliseconds.
 *
 *   window:    repetitions < max(floor, ratio × calls)      of the last window
 *   in flight: repetitions < max(floor, ratio × attempts)   at this moment
 *
 * The window is cut into slices, and a slice is forgotten as a whole: what
 * happened counts for nine tenths of the window at least, and for all of it at
 * most. A repetition that did not happen is taken back from its own slice. When
 * the window changes, all that counts goes over into one slice of the new one:
 * it counts as if it had happened at that moment.
 */

/** @internal */
export interface Settings {
  readonly form: "window" | "in_flight"
  readonly ratio: number
  /** Repetitions that are granted however few calls there are. Need not be whole. */
  readonly floor: number
  readonly windowMillis: number
}

/** @internal */
export interface Counters {
  readonly calls: number
  readonly granted: number
  readonly refused: number
  readonly returned: number
}

const slices = 10

/** One budget. @internal */
export class Account {
  /** Since it was made. */
  private calls = 0
  private granted = 0
  private refused = 0
  private returned = 0
  /** Attempts that run, and repetitions that run or are waited for. */
  private primaries = 0
  private repeats = 0
  /** The slices of the window; `newest` counts slices since the clock's origin. */
  private windowMillis = 0
  private newest = -Infinity
  private readonly callsAt: Array<number> = []
  private readonly repeatsAt: Array<number> = []
  private callsWithin = 0
  private repeatsWithin = 0
  /** When the window changed, and since when what had happened counted then: it counts at that time. */
  private changedAt = -Infinity
  private keptSince = -Infinity

  /** A call begins. */
  began(settings: Settings, now: number): void {
    this.calls++
    if (settings.form === "in_flight") this.primaries++
    else this.count(settings, now, this.callsAt, 1)
  }

  /** A first attempt ended; `hasRun: false`: it was refused, and is not counted. */
  ended(settings: Settings, at: number, hasRun: boolean): void {
    if (settings.form === "in_flight") this.primaries--
    else if (!hasRun) this.count(settings, at, this.callsAt, -1)
    if (!hasRun) this.calls--
  }

  /** Takes a repetition, if one is left. */
  reserve(settings: Settings, now: number): boolean {
    if (settings.form === "window") this.advance(settings, now)
    if (this.used(settings) >= this.max(settings)) {
      this.refused++
      return false
    }
    this.granted++
    if (settings.form === "in_flight") this.repeats++
    else this.count(settings, now, this.repeatsAt, 1)
    return true
  }

  /** A repetition has ended, or will not happen. `at` is when it was taken. */
  settle(settings: Settings, at: number, hasHappened: boolean): void {
    if (!hasHappened) this.returned++
    if (settings.form === "in_flight") this.repeats--
    else if (!hasHappened) this.count(settings, at, this.repeatsAt, -1)
  }

  /** What is left, at least 0, and at most `max`. */
  tokens(settings: Settings, now: number): number {
    if (settings.form === "window") this.advance(settings, now)
    return Math.max(this.max(settings) - this.used(settings), 0)
  }

  /** Repetitions at most, by what is counted at this moment. */
  max({ floor, form, ratio }: Settings): number {
    return Math.max(floor, ratio * (form === "window" ? this.callsWithin : this.primaries + this.repeats))
  }

  used({ form }: Settings): number {
    return form === "window" ? this.repeatsWithin : this.repeats
  }

  /** Nothing is remembered that would change a decision. */
  isAtRest(settings: Settings, now: number): boolean {
    if (settings.form === "in_flight") return this.primaries + this.repeats === 0
    this.advance(settings, now)
    return this.callsWithin === 0 && this.repeatsWithin === 0
  }

  counters(): Counters {
    const { calls, granted, refused, returned } = this
    return { calls, granted, refused, returned }
  }

  /** Counts at a time that may lie back; what is out of the window by now changes nothing. */
  private count(settings: Settings, at: number, where: Array<number>, change: 1 | -1): void {
    if (change > 0) this.advance(settings, at)
    const slice = this.sliceOf(at)
    if (slice > this.newest || slice <= this.newest - slices) return
    const index = mod(slice)
    // Nothing below zero, whatever is settled twice.
    if (where[index]! + change < 0) return
    where[index] = where[index]! + change
    if (where === this.callsAt) this.callsWithin += change
    else this.repeatsWithin += change
  }

  /** The slice in which something counts that happened at a time. */
  private sliceOf(at: number): number {
    if (at < this.keptSince || this.windowMillis === 0) return -Infinity
    return Math.floor((Math.max(at, this.changedAt) * slices) / this.windowMillis)
  }

  /** Forgets the slices that have left the window. */
  private advance({ windowMillis }: Pick<Settings, "windowMillis">, now: number): void {
    if (windowMillis !== this.windowMillis) return this.change(windowMillis, now)
    const slice = Math.floor((now * slices) / windowMillis)
    if (slice <= this.newest) return
    if (slice >= this.newest + slices) this.forget()
    else {
      for (let gone = this.newest + 1; gone <= slice; gone++) {
        const index = mod(gone)
        this.callsWithin -= this.callsAt[index]!
        this.repeatsWithin -= this.repeatsAt[index]!
        this.callsAt[index] = 0
        this.repeatsAt[index] = 0
      }
    }
    this.newest = slice
  }

  private forget(): void {
    for (let index = 0; index < slices; index++) this.callsAt[index] = this.repeatsAt[index] = 0
    this.callsWithin = 0
    this.repeatsWithin = 0
  }

  /** Goes on with a window of another length. */
  private change(windowMillis: number, now: number): void {
    if (this.windowMillis > 0) {
      this.advance({ windowMillis: this.windowMillis }, now)
      const oldest = this.newest - slices + 1
      // What had been kept before may have left the window since.
      if (this.sliceOf(this.changedAt) < oldest) this.keptSince = (oldest * this.windowMillis) / slices
      this.changedAt = now
    }
    const { callsWithin, repeatsWithin } = this
    this.forget()
    this.windowMillis = windowMillis
    this.newest = Math.floor((now * slices) / windowMillis)
    const index = mod(this.newest)
    this.callsAt[index] = this.callsWithin = callsWithin
    this.repeatsAt[index] = this.repeatsWithin = repeatsWithin
  }
}

const mod = (slice: number): number => ((slice % slices) + slices) % slices
