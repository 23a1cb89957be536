/**
 * Those who wait for a place, in the order in which they get one.
 *
 *   the highest priority
 *     ─> of those, the tenant of whom the fewest run
 *       ─> of those, the tenant whose last turn is longest ago
 *         ─> of one tenant, who came first; with `lifo`, who came last
 *
 * One group for each tenant and priority, and two heaps of groups: `best` says
 * whose turn is next, `worst` who gives way in a full queue. All steps are
 * logarithmic in the number of groups.
 *
 * Turns go round: a group that begins to wait stands behind all others of its
 * rank, and so does one that has had its turn and waits on. So no tenant has
 * two turns before another of its rank has one, and newcomers, however many,
 * hold up nobody. With `lifo` those who had no turn yet go first, the newest of
 * them before the others. A group is forgotten when nobody waits in it.
 */
import { Heap } from "./heap.ts"

/** @internal */
export type Order = "fifo" | "lifo"

/** Who shares the places. `undefined`: all who name no tenant, as one. @internal */
export interface Tenant {
  readonly name: string | undefined
  /** Its places. */
  running: number
  /** Its groups in which someone waits. */
  readonly groups: Array<Group>
}

interface Group {
  readonly tenant: Tenant
  readonly priority: number
  first: Waiter | undefined
  last: Waiter | undefined
  size: number
  /** When it began to wait, or had its last turn since, as a count of both. */
  since: number
  /** When it had its last turn; 0: none since it began to wait. */
  lastTurn: number
  bestAt: number
  worstAt: number
}

/** @internal */
export const tenantOf = (name: string | undefined): Tenant => ({ name, running: 0, groups: [] })

/** Someone who wants a place. @internal */
export class Waiter {
  readonly tenant: string | undefined
  /** Higher goes first. */
  readonly priority: number
  /** Counts arrivals. @internal */
  arrival = 0
  group: Group | undefined = undefined
  before: Waiter | undefined = undefined
  after: Waiter | undefined = undefined

  constructor(tenant: string | undefined, priority: number) {
    this.tenant = tenant
    this.priority = priority
  }
}

/** @internal */
export class FairQueue {
  private order: Order
  private waiting = 0
  private arrivals = 0
  private turns = 0
  private readonly best = new Heap<Group>(
    (a, b) =>
      b.priority - a.priority ||
      a.tenant.running - b.tenant.running ||
      (this.order === "fifo" ? a.since - b.since : a.lastTurn - b.lastTurn || b.last!.arrival - a.last!.arrival),
    (group) => group.bestAt,
    (group, at) => (group.bestAt = at)
  )
  private readonly worst = new Heap<Group>(
    (a, b) => a.priority - b.priority || b.size - a.size || b.last!.arrival - a.last!.arrival,
    (group) => group.worstAt,
    (group, at) => (group.worstAt = at)
  )

  constructor(order: Order) {
    this.order = order
  }

  get size(): number {
    return this.waiting
  }

  setOrder(order: Order): void {
    if (order === this.order) return
    this.order = order
    this.best.reorder()
  }

  add(waiter: Waiter, tenant: Tenant): void {
    waiter.arrival = ++this.arrivals
    this.waiting++
    const known = groupOf(tenant, waiter.priority)
    const group = known ?? {
      tenant,
      priority: waiter.priority,
      first: undefined,
      last: undefined,
      size: 0,
      since: ++this.turns,
      lastTurn: 0,
      bestAt: -1,
      worstAt: -1
    }
    waiter.group = group
    waiter.before = group.last
    if (group.last === undefined) group.first = waiter
    else group.last.after = waiter
    group.last = waiter
    group.size++
    if (known === undefined) {
      tenant.groups.push(group)
      this.best.add(group)
      this.worst.add(group)
    } else this.moved(group)
  }

  /** Takes out whose turn it is. Returns the tenant. */
  take(waiter: Waiter): Tenant {
    const group = waiter.group!
    group.since = group.lastTurn = ++this.turns
    return this.remove(waiter)
  }

  /** Takes one out who waits. Returns the tenant. */
  remove(waiter: Waiter): Tenant {
    const group = waiter.group!
    const { tenant } = group
    this.waiting--
    if (waiter.before === undefined) group.first = waiter.after
    else waiter.before.after = waiter.after
    if (waiter.after === undefined) group.last = waiter.before
    else waiter.after.before = waiter.before
    waiter.group = undefined
    waiter.before = undefined
    waiter.after = undefined
    group.size--
    if (group.size > 0) this.moved(group)
    else {
      // The heaps compare by who waits, so the group leaves them by its place alone.
      this.best.remove(group)
      this.worst.remove(group)
      tenant.groups.splice(tenant.groups.indexOf(group), 1)
    }
    return tenant
  }

  /** Whose turn is next. */
  get next(): Waiter | undefined {
    const group = this.best.first
    return this.order === "fifo" ? group?.first : group?.last
  }

  /** The places of a tenant have changed. */
  changed(tenant: Tenant): void {
    for (const group of tenant.groups) this.best.moved(group)
  }

  /**
   * Who gives way to a newcomer in a full queue: of the lowest priority, the
   * tenant who waits most often, and of those who would get a place last.
   * `undefined`: the newcomer stands last.
   */
  yielding(priority: number, tenant: Tenant | undefined): Waiter | undefined {
    const group = this.worst.first
    if (group === undefined || priority < group.priority) return undefined
    if (priority > group.priority) return this.lastOf(group)
    const own = tenant === undefined ? undefined : groupOf(tenant, priority)
    const size = own?.size ?? 0
    if (this.order === "lifo") return this.lastOf(group.size > size ? group : own!)
    return group.size > size + 1 ? this.lastOf(group) : undefined
  }

  private lastOf(group: Group): Waiter {
    return this.order === "fifo" ? group.last! : group.first!
  }

  private moved(group: Group): void {
    this.best.moved(group)
    this.worst.moved(group)
  }
}

const groupOf = (tenant: Tenant, priority: number): Group | undefined =>
  tenant.groups.find((group) => group.priority === priority)
