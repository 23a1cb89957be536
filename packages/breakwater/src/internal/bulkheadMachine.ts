/**
 * Gives out a bounded number of places, and lets a bounded number wait for one.
 *
 *              free place                     release
 *   arrive ───────────────────> running ───────────────────> gone
 *     │  none free, may wait       ^
 *     ├──────────────> waiting ────┘ a place got free, or the limit grew
 *     │ queue full        │
 *     v                   └──> cancelled (interrupted, too late) or displaced
 *   refused
 *
 * Data in, data out, but the state is changed in place: it holds a queue that
 * is taken from at its middle, and a step without a queue is two additions. In
 * every state: while a place is free, nobody waits. A place that gets free
 * belongs to the next in the same step.
 */
import { FairQueue, type Order, type Tenant, tenantOf, type Waiter } from "./fairQueue.ts"

/** @internal */
export interface Settings {
  /** Places. */
  readonly limit: number
  readonly maxQueue: number
  /** Among equals. */
  readonly order: Order
}

/** @internal */
export interface Machine {
  active: number
  readonly anonymous: Tenant
  /** Those who run or wait, so there are never more than places and waiters. */
  tenants: Map<string, Tenant> | undefined
  /** Made when someone has to wait. */
  queue: FairQueue | undefined
}

/** What became of one who came. `place`: to be given to `release`. @internal */
export type Arrival =
  | { readonly _tag: "Admitted"; readonly place: Tenant }
  | { readonly _tag: "Queued"; readonly displaced: Waiter | undefined }
  | { readonly _tag: "Full" }

/** One who waited, and the place that is now theirs. @internal */
export interface Grant {
  readonly waiter: Waiter
  readonly place: Tenant
}

/** @internal */
export const make = (): Machine => ({
  active: 0,
  anonymous: tenantOf(undefined),
  tenants: undefined,
  queue: undefined
})

/** @internal */
export const queued = (self: Machine): number => (self.queue === undefined ? 0 : self.queue.size)

/** Takes a place if one is free. @internal */
export const admit = (settings: Settings, self: Machine, tenant: string | undefined): Tenant | undefined => {
  if (self.active >= settings.limit) return undefined
  const place = enter(self, tenant)
  self.active++
  place.running++
  return place
}

/** Takes a place or waits for one. In a full queue a newcomer can displace one who waits. @internal */
export const arrive = (settings: Settings, self: Machine, waiter: Waiter): Arrival => {
  const place = admit(settings, self, waiter.tenant)
  if (place !== undefined) return { _tag: "Admitted", place }
  if (settings.maxQueue === 0) return full
  self.queue ??= new FairQueue(settings.order)
  let displaced: Waiter | undefined
  if (self.queue.size >= settings.maxQueue) {
    displaced = self.queue.yielding(waiter.priority, known(self, waiter.tenant))
    if (displaced === undefined) return full
    cancel(self, displaced)
  }
  self.queue.add(waiter, enter(self, waiter.tenant))
  return { _tag: "Queued", displaced }
}

/** Gives a place back, and on to whoever is next. @internal */
export const release = (settings: Settings, self: Machine, place: Tenant): ReadonlyArray<Grant> => {
  self.active--
  place.running--
  if (self.queue === undefined || self.queue.size === 0) {
    leave(self, place)
    return none
  }
  self.queue.changed(place)
  leave(self, place)
  return fill(settings, self)
}

/** Takes one out who waits; `false`: did not wait any more. @internal */
export const cancel = (self: Machine, waiter: Waiter): boolean => {
  if (waiter.group === undefined) return false
  leave(self, self.queue!.remove(waiter))
  return true
}

/** The settings have changed. Whoever runs or waits goes on; a place that is new is given out. @internal */
export const retune = (settings: Settings, self: Machine): ReadonlyArray<Grant> => {
  self.queue?.setOrder(settings.order)
  return fill(settings, self)
}

const fill = (settings: Settings, self: Machine): ReadonlyArray<Grant> => {
  const { queue } = self
  if (queue === undefined) return none
  let grants: Array<Grant> | undefined
  for (let waiter = queue.next; waiter !== undefined && self.active < settings.limit; waiter = queue.next) {
    const place = queue.take(waiter)
    self.active++
    place.running++
    queue.changed(place)
    grants ??= []
    grants.push({ waiter, place })
  }
  return grants ?? none
}

const full: Arrival = { _tag: "Full" }
const none: ReadonlyArray<Grant> = []

const known = (self: Machine, name: string | undefined): Tenant | undefined =>
  name === undefined ? self.anonymous : self.tenants?.get(name)

const enter = (self: Machine, name: string | undefined): Tenant => {
  const found = known(self, name)
  if (found !== undefined) return found
  const added = tenantOf(name)
  self.tenants ??= new Map()
  self.tenants.set(name!, added)
  return added
}

/** Forgets a tenant who neither runs nor waits. */
const leave = (self: Machine, { groups, name, running }: Tenant): void => {
  if (name !== undefined && running === 0 && groups.length === 0) self.tenants!.delete(name)
}
