/**
 * Decides which alerts there are, from the conditions that hold. Pure.
 *
 *                 holds                      ended
 *   (nothing) ─────────────► active ──────────────────► resolved
 *                              │  ▲ holds, at a higher level   │
 *                 acknowledge  ▼  │                            │ holds again, after the pause
 *                           acknowledged ──► (as active)       ▼   or at a higher level
 *                                                           a new alert
 *
 * One alert at most is open for each rule and subject. Its level only rises; a
 * rise needs a new look, so it takes back the acknowledgement. An alert with a
 * time to last stays open that long, even if nothing holds it.
 *
 * Room is bounded: a new alert takes the place of the oldest resolved one, or
 * else of the oldest open one of the lowest level below its own, or is refused.
 */

const ranks = { info: 0, warning: 1, error: 2, critical: 3 } as const

/** @internal */
export type Level = keyof typeof ranks

/** One reading of the clocks: `now` is monotonic and decides, `at` is wall time and is for display. @internal */
export interface Now {
  readonly now: number
  readonly at: number
}

/** A condition that holds. @internal */
export interface Firing<out F> {
  readonly rule: string
  readonly subject: string
  readonly level: Level
  readonly threshold: number
  readonly actual: number
  readonly facts: F
  /** Milliseconds that the alert stays open by itself. Default 0. */
  readonly lasts?: number
}

/** @internal */
export interface Alert<out F> extends Firing<F> {
  readonly id: string
  readonly raisedAt: Now
  readonly status: "active" | "acknowledged" | "resolved"
  readonly acknowledgedBy: string | undefined
  readonly resolvedAt: Now | undefined
}

/** @internal */
export interface State<out F> {
  /** By id, in the order of raising. */
  readonly alerts: ReadonlyMap<string, Alert<F>>
  /** The latest alert of each rule and subject. */
  readonly latest: ReadonlyMap<string, string>
  readonly raised: number
}

/** @internal */
export interface Settings {
  /** Alerts kept, open and resolved. */
  readonly capacity: number
  /** Milliseconds after its end before the same alert is raised again. */
  readonly cooldown: number
  /** Begins every id. */
  readonly prefix: string
}

/** What others should hear of. `Raised` also when an alert rises to a higher level. @internal */
export interface Change<out F> {
  readonly _tag: "Raised" | "Resolved"
  readonly alert: Alert<F>
}

/** @internal */
export type Step<F> = readonly [changes: ReadonlyArray<Change<F>>, state: State<F>]

/** @internal */
export const empty: State<never> = { alerts: new Map(), latest: new Map(), raised: 0 }

const isOpen = ({ status }: Alert<unknown>): boolean => status !== "resolved"

const keyOf = ({ rule, subject }: Firing<unknown>): string => `${rule} ${subject}`

/** A state to write on: a sweep copies it once. */
interface Draft<F> {
  readonly alerts: Map<string, Alert<F>>
  readonly latest: Map<string, string>
  raised: number
  /** Alerts up to this rank find no room any more. */
  full: number
}

const draftOf = <F>({ alerts, latest, raised }: State<F>): Draft<F> => ({
  alerts: new Map(alerts),
  latest: new Map(latest),
  raised,
  full: -1
})

const stateOf = <F>({ alerts, latest, raised }: Draft<F>): State<F> => ({ alerts, latest, raised })

const latestOf = <F>({ alerts, latest }: State<F>, firing: Firing<F>): Alert<F> | undefined => {
  const id = latest.get(keyOf(firing))
  return id === undefined ? undefined : alerts.get(id)
}

/** Whether a condition asks for an alert, or for a rise of one. */
const isNews = <F>(settings: Settings, state: State<F>, now: Now, firing: Firing<F>): boolean => {
  const known = latestOf(state, firing)
  if (known === undefined || ranks[firing.level] > ranks[known.level]) return true
  return known.resolvedAt !== undefined && now.now - known.resolvedAt.now >= settings.cooldown
}

/** Makes room for an alert of a level, if one may go for it. */
const makeRoom = <F>(settings: Settings, draft: Draft<F>, level: Level): boolean => {
  if (draft.alerts.size < settings.capacity) return true
  if (ranks[level] <= draft.full) return false
  let least: Alert<F> | undefined
  for (const alert of draft.alerts.values()) {
    if (!isOpen(alert)) {
      least = alert
      break
    }
    if (ranks[alert.level] < ranks[least?.level ?? level]) least = alert
  }
  if (least === undefined) {
    draft.full = ranks[level]
    return false
  }
  draft.alerts.delete(least.id)
  if (draft.latest.get(keyOf(least)) === least.id) draft.latest.delete(keyOf(least))
  return true
}

/** Raises an alert, or lets one rise. */
const announce = <F>(settings: Settings, draft: Draft<F>, now: Now, firing: Firing<F>): ReadonlyArray<Change<F>> => {
  const known = latestOf(draft, firing)
  if (known !== undefined && isOpen(known)) {
    const alert: Alert<F> = { ...known, ...firing, status: "active", acknowledgedBy: undefined }
    draft.alerts.set(known.id, alert)
    return [{ _tag: "Raised", alert }]
  }
  if (!makeRoom(settings, draft, firing.level)) return []
  const id = `${settings.prefix}-${++draft.raised}`
  const none = { acknowledgedBy: undefined, resolvedAt: undefined }
  const alert: Alert<F> = { ...firing, ...none, id, raisedAt: now, status: "active" }
  draft.alerts.set(id, alert)
  draft.latest.set(keyOf(firing), id)
  return [{ _tag: "Raised", alert }]
}

/** Takes in one condition, between two sweeps. @internal */
export const raise = <F>(settings: Settings, state: State<F>, now: Now, firing: Firing<F>): Step<F> => {
  if (!isNews(settings, state, now, firing)) return [[], state]
  const draft = draftOf(state)
  const changes = announce(settings, draft, now, firing)
  return [changes, changes.length === 0 ? state : stateOf(draft)]
}

/** An open alert while its condition goes on: it keeps the words of its worst moment. */
const updated = <F>(alert: Alert<F>, firing: Firing<F>): Alert<F> =>
  firing.level === alert.level ? { ...alert, ...firing } : { ...alert, actual: firing.actual }

/** Takes in all conditions that hold: open alerts without one are resolved. @internal */
export const sweep = <F>(settings: Settings, state: State<F>, now: Now, firings: ReadonlyArray<Firing<F>>): Step<F> => {
  const draft = draftOf(state)
  const holding = new Map(firings.map((firing) => [keyOf(firing), firing]))
  const changes: Array<Change<F>> = []
  for (const alert of state.alerts.values()) {
    if (!isOpen(alert)) continue
    const firing = holding.get(keyOf(alert))
    if (firing !== undefined) {
      draft.alerts.set(alert.id, updated(alert, firing))
    } else if (now.now - alert.raisedAt.now >= (alert.lasts ?? 0)) {
      const resolved: Alert<F> = { ...alert, status: "resolved", resolvedAt: now }
      draft.alerts.set(alert.id, resolved)
      changes.push({ _tag: "Resolved", alert: resolved })
    }
  }
  for (const firing of holding.values()) {
    if (isNews(settings, draft, now, firing)) changes.push(...announce(settings, draft, now, firing))
  }
  return [changes, stateOf(draft)]
}

/** Says who looks after an open alert. The first one stays. `undefined`: no such alert is open. @internal */
export const acknowledge = <F>(
  state: State<F>,
  id: string,
  actor: string
): readonly [alert: Alert<F>, state: State<F>] | undefined => {
  const known = state.alerts.get(id)
  if (known === undefined || !isOpen(known)) return undefined
  if (known.status === "acknowledged") return [known, state]
  const alert: Alert<F> = { ...known, status: "acknowledged", acknowledgedBy: actor }
  return [alert, { ...state, alerts: new Map(state.alerts).set(id, alert) }]
}

/** Forgets alerts that were resolved at `until` or before. @internal */
export const clear = <F>(state: State<F>, until: number): State<F> => {
  const alerts = new Map(state.alerts)
  for (const { id, resolvedAt } of state.alerts.values()) {
    if (resolvedAt !== undefined && resolvedAt.now <= until) alerts.delete(id)
  }
  return { ...state, alerts, latest: new Map([...state.latest].filter(([, id]) => alerts.has(id))) }
}
