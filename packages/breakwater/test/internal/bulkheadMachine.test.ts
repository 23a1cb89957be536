import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Schema } from "effect"
import * as machine from "../../src/internal/bulkheadMachine.ts"
import { type Tenant, Waiter } from "../../src/internal/fairQueue.ts"

/** A caller that is known by a number. */
class Caller extends Waiter {
  readonly id: number
  place: Tenant | undefined = undefined

  constructor(id: number, tenant: string | undefined, priority: number) {
    super(tenant, priority)
    this.id = id
  }
}

/** A bulkhead with its callers, watched from outside. */
const open = (settings: { limit: number; maxQueue: number; order?: "fifo" | "lifo" }) => {
  let inForce: machine.Settings = { order: "fifo", ...settings }
  const self = machine.make()
  const callers: Array<Caller> = []
  const running: Array<Caller> = []
  const take = (grants: ReadonlyArray<machine.Grant>) =>
    grants.map(({ place, waiter }) => {
      const caller = waiter as Caller
      caller.place = place
      running.push(caller)
      return caller.id
    })
  return {
    self,
    running,
    settings: () => inForce,
    arrive: (tenant?: string, priority = 2) => {
      const caller = new Caller(callers.length + 1, tenant, priority)
      callers.push(caller)
      const arrival = machine.arrive(inForce, self, caller)
      if (arrival._tag === "Admitted") {
        caller.place = arrival.place
        running.push(caller)
      }
      if (arrival._tag !== "Queued") return arrival._tag
      return arrival.displaced === undefined ? "Queued" : (arrival.displaced as Caller).id
    },
    release: (id: number) => {
      const at = running.findIndex((caller) => caller.id === id)
      const [caller] = running.splice(at, 1)
      return take(machine.release(inForce, self, caller!.place!))
    },
    cancel: (id: number) => machine.cancel(self, callers[id - 1]!),
    retune: (change: Partial<machine.Settings>) => {
      inForce = { ...inForce, ...change }
      return take(machine.retune(inForce, self))
    }
  }
}

describe("a bulkhead", () => {
  it("admits as many as it has places, lets as many wait as it has room, and refuses the rest", () => {
    const { arrive, self } = open({ limit: 2, maxQueue: 1 })
    assert.deepStrictEqual([arrive(), arrive(), arrive(), arrive()], ["Admitted", "Admitted", "Queued", "Full"])
    assert.strictEqual(self.active, 2)
    assert.strictEqual(machine.queued(self), 1)
  })

  it("refuses at once without a queue", () => {
    const { arrive, self } = open({ limit: 1, maxQueue: 0 })
    assert.deepStrictEqual([arrive(), arrive()], ["Admitted", "Full"])
    assert.isUndefined(self.queue)
  })

  it("gives a place on in the order of arrival", () => {
    const { arrive, release } = open({ limit: 1, maxQueue: 3 })
    for (let i = 0; i < 4; i++) arrive()
    assert.deepStrictEqual([release(1), release(2), release(3), release(4)], [[2], [3], [4], []])
  })

  it("gives a place to the newest with lifo, and a newcomer displaces the oldest", () => {
    const { arrive, release } = open({ limit: 1, maxQueue: 2, order: "lifo" })
    assert.deepStrictEqual([arrive(), arrive(), arrive(), arrive()], ["Admitted", "Queued", "Queued", 2])
    assert.deepStrictEqual([release(1), release(4), release(3)], [[4], [3], []])
  })

  it("prefers the higher priority, and the order of arrival within it", () => {
    const { arrive, release } = open({ limit: 1, maxQueue: 4 })
    arrive()
    arrive(undefined, 1)
    arrive(undefined, 3)
    arrive(undefined, 1)
    arrive(undefined, 3)
    assert.deepStrictEqual([release(1), release(3), release(5), release(2)], [[3], [5], [2], [4]])
  })

  it("lets a higher priority displace the last of the lowest, and a lower one nobody", () => {
    const { arrive } = open({ limit: 1, maxQueue: 3 })
    arrive()
    arrive(undefined, 1)
    arrive(undefined, 1)
    arrive(undefined, 2)
    assert.strictEqual(arrive(undefined, 4), 3)
    assert.strictEqual(arrive(undefined, 0), "Full")
    assert.strictEqual(arrive(undefined, 1), "Full")
  })

  it("prefers the tenant of whom fewer run", () => {
    const { arrive, release } = open({ limit: 2, maxQueue: 4 })
    arrive("a")
    arrive("a")
    arrive("a")
    arrive("a")
    arrive("b")
    arrive("b")
    // One `a` runs on, so `b` is next; then neither has one, and `a` has had no turn yet.
    assert.deepStrictEqual(release(1), [5])
    assert.deepStrictEqual(release(2), [3])
    assert.deepStrictEqual(release(3), [4])
    assert.deepStrictEqual(release(4), [6])
  })

  /** Ends whoever runs longest, again and again; says whose calls started in turn. */
  const turns = ({ release, running }: ReturnType<typeof open>): string => {
    let names = ""
    while (running.length > 0) {
      const [ended] = running
      names += ended!.tenant ?? "-"
      release(ended!.id)
    }
    return names
  }

  it("gives each tenant its turn however many calls of others wait, and however few places there are", () => {
    const one = open({ limit: 1, maxQueue: 20 })
    for (let i = 0; i < 8; i++) one.arrive("a")
    for (let i = 0; i < 4; i++) one.arrive("b")
    assert.strictEqual(turns(one), "aababababaaa")
    const two = open({ limit: 2, maxQueue: 100 })
    for (let i = 0; i < 20; i++) two.arrive("a")
    for (let i = 0; i < 20; i++) two.arrive("b")
    two.arrive("c")
    assert.isAtMost(turns(two).indexOf("c"), 4)
  })

  it("lets newcomers, however many, hold up nobody who waits already", () => {
    const { arrive, release, running } = open({ limit: 1, maxQueue: 100 })
    for (const tenant of ["a", "a", "a", "b", "b"]) arrive(tenant)
    let started = ""
    for (let i = 0; i < 6; i++) {
      arrive(`new ${i}`)
      release(running[0]!.id)
      started += running[0]!.tenant!.at(0)!
    }
    assert.strictEqual(started, "abnanb")
  })

  it("gives turns in each priority by itself", () => {
    const { arrive, release } = open({ limit: 1, maxQueue: 10 })
    arrive("x")
    arrive("a", 2)
    arrive("a", 2)
    arrive("b", 2)
    arrive("a", 3)
    assert.deepStrictEqual([release(1), release(5), release(2), release(4)], [[5], [2], [4], [3]])
  })

  it("gives the turns of lifo to the newest who had none, then to who had theirs longest ago", () => {
    const { arrive, release } = open({ limit: 1, maxQueue: 10, order: "lifo" })
    arrive("x")
    for (const tenant of ["a", "a", "b", "b"]) arrive(tenant)
    assert.deepStrictEqual([release(1), release(5), release(3)], [[5], [3], [4]])
    arrive("c")
    assert.deepStrictEqual([release(4), release(6)], [[6], [2]])
  })

  it("counts all who name no tenant as one", () => {
    const { arrive, release } = open({ limit: 2, maxQueue: 2 })
    arrive()
    arrive()
    arrive()
    arrive("a")
    assert.deepStrictEqual(release(1), [4])
  })

  it("keeps room in a full queue for a tenant who waits less", () => {
    const { arrive } = open({ limit: 1, maxQueue: 3 })
    arrive("a")
    arrive("a")
    arrive("a")
    arrive("a")
    assert.strictEqual(arrive("a"), "Full")
    assert.strictEqual(arrive("b"), 4)
    // Two of `a` and one of `b`: another exchange would gain nothing.
    assert.strictEqual(arrive("b"), "Full")
    assert.strictEqual(arrive("c"), 3)
  })

  it("admits nobody after a cut until fewer run than may", () => {
    const { arrive, release, retune, self } = open({ limit: 3, maxQueue: 2 })
    for (let i = 0; i < 4; i++) arrive()
    assert.deepStrictEqual(retune({ limit: 1 }), [])
    assert.strictEqual(self.active, 3)
    assert.deepStrictEqual([release(1), release(2), release(3)], [[], [], [4]])
  })

  it("admits those who wait as soon as it grows, and keeps those who wait when the queue shrinks", () => {
    const { arrive, retune, self } = open({ limit: 1, maxQueue: 4 })
    for (let i = 0; i < 5; i++) arrive()
    assert.deepStrictEqual(retune({ limit: 3, maxQueue: 0 }), [2, 3])
    assert.strictEqual(machine.queued(self), 2)
    assert.strictEqual(arrive(), "Full")
    assert.deepStrictEqual(retune({ order: "lifo" }), [])
    assert.deepStrictEqual(retune({ limit: 4 }), [5])
  })

  it("lets one who waits go once", () => {
    const { arrive, cancel, release } = open({ limit: 1, maxQueue: 2 })
    for (let i = 0; i < 3; i++) arrive()
    assert.isTrue(cancel(2))
    assert.isFalse(cancel(2))
    assert.deepStrictEqual(release(1), [3])
    assert.isFalse(cancel(3))
  })

  it("forgets tenants who neither run nor wait", () => {
    const { arrive, cancel, release, self } = open({ limit: 1, maxQueue: 2 })
    arrive("a")
    arrive("b")
    arrive("c")
    arrive("d")
    assert.strictEqual(self.tenants?.size, 3)
    cancel(2)
    release(1)
    assert.deepStrictEqual(Array.from(self.tenants!.keys()), ["c"])
    release(3)
    assert.strictEqual(self.tenants?.size, 0)
  })
})

// What one step does, drawn by chance.
const Step = Schema.Struct({
  kind: Schema.Literals(["arrive", "arrive", "arrive", "release", "release", "cancel", "limit", "order", "maxQueue"]),
  tenant: Schema.Union([Schema.Undefined, Schema.Literals(["a", "b", "c", "d"])]),
  priority: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4 })),
  pick: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000 }))
})

interface Known {
  readonly id: number
  readonly tenant: string | undefined
  readonly priority: number
}

/** The rule, written down as a search through lists. */
const naive = () => {
  let settings: machine.Settings = { limit: 2, maxQueue: 4, order: "fifo" }
  let running: Array<Known> = []
  let waiting: Array<Known> = []
  /** By tenant and priority, while someone waits: when it began to wait, or had its turn. */
  const turns = new Map<string, { at: number; hadOne: boolean }>()
  let clock = 0
  const groupOf = ({ priority, tenant }: Known) => `${priority} ${tenant}`
  const begin = (known: Known) => {
    if (!turns.has(groupOf(known))) turns.set(groupOf(known), { at: ++clock, hadOne: false })
  }
  const forget = () => {
    for (const group of turns.keys()) if (!waiting.some((known) => groupOf(known) === group)) turns.delete(group)
  }
  const runs = (tenant: string | undefined) => running.filter((known) => known.tenant === tenant).length
  const turnOf = (known: Known) => {
    const { at, hadOne } = turns.get(groupOf(known))!
    return settings.order === "fifo" || hadOne ? at : 0
  }
  const next = () =>
    waiting.toSorted(
      (a, b) =>
        b.priority - a.priority ||
        runs(a.tenant) - runs(b.tenant) ||
        turnOf(a) - turnOf(b) ||
        (settings.order === "fifo" ? a.id - b.id : b.id - a.id)
    )[0]
  const fill = () => {
    const granted: Array<number> = []
    while (running.length < settings.limit && waiting.length > 0) {
      const known = next()!
      waiting = waiting.filter(({ id }) => id !== known.id)
      turns.set(groupOf(known), { at: ++clock, hadOne: true })
      forget()
      running.push(known)
      granted.push(known.id)
    }
    return granted
  }
  return {
    get running() {
      return running
    },
    get waiting() {
      return waiting
    },
    arrive: (known: Known) => {
      if (running.length < settings.limit) {
        running.push(known)
        return "Admitted"
      }
      if (settings.maxQueue === 0) return "Full"
      if (waiting.length < settings.maxQueue) {
        waiting.push(known)
        begin(known)
        return "Queued"
      }
      const lowest = Math.min(...waiting.map(({ priority }) => priority))
      if (known.priority < lowest) return "Full"
      const groups = Map.groupBy(
        waiting.filter(({ priority }) => priority === lowest),
        ({ tenant }) => tenant
      )
      const largest = Array.from(groups.values()).toSorted(
        (a, b) => b.length - a.length || b.at(-1)!.id - a.at(-1)!.id
      )[0]!
      const own = known.priority === lowest ? (groups.get(known.tenant) ?? []) : []
      const isNewest = settings.order === "lifo"
      let from = largest
      if (known.priority === lowest) {
        if (isNewest && largest.length <= own.length) from = own
        if (!isNewest && largest.length <= own.length + 1) return "Full"
      }
      const gone = isNewest ? from[0]! : from.at(-1)!
      waiting = waiting.filter(({ id }) => id !== gone.id)
      forget()
      waiting.push(known)
      begin(known)
      return gone.id
    },
    release: (id: number) => {
      running = running.filter((known) => known.id !== id)
      return fill()
    },
    cancel: (id: number) => {
      waiting = waiting.filter((known) => known.id !== id)
      forget()
    },
    retune: (change: Partial<machine.Settings>) => {
      settings = { ...settings, ...change }
      return fill()
    }
  }
}

describe("every run of a bulkhead", () => {
  it.prop(
    "agrees with a search through lists, runs no more than it may, and leaves no place free while one waits",
    [Arbitrary.array(Arbitrary.schema(Step), { minLength: 60, maxLength: 160 })],
    ([steps]) => {
      const real = open({ limit: 2, maxQueue: 4 })
      const model = naive()
      let id = 0
      for (const { kind, pick, priority, tenant } of steps) {
        const limitBefore = real.settings().limit
        const activeBefore = real.self.active
        if (kind === "arrive") {
          id++
          assert.strictEqual(real.arrive(tenant, priority), model.arrive({ id, tenant, priority }))
        } else if (kind === "release" && model.running.length > 0) {
          const gone = model.running[pick % model.running.length]!.id
          assert.deepStrictEqual(real.release(gone), model.release(gone))
        } else if (kind === "cancel" && model.waiting.length > 0) {
          const gone = model.waiting[pick % model.waiting.length]!.id
          assert.isTrue(real.cancel(gone))
          model.cancel(gone)
        } else if (kind === "limit") {
          const limit = (pick % 5) + 1
          assert.deepStrictEqual(real.retune({ limit }), model.retune({ limit }))
        } else if (kind === "order") {
          const order = pick % 2 === 0 ? "fifo" : "lifo"
          assert.deepStrictEqual(real.retune({ order }), model.retune({ order }))
        } else if (kind === "maxQueue") {
          const maxQueue = pick % 7
          assert.deepStrictEqual(real.retune({ maxQueue }), model.retune({ maxQueue }))
        }
        const { limit } = real.settings()
        assert.strictEqual(real.self.active, model.running.length)
        assert.strictEqual(machine.queued(real.self), model.waiting.length)
        if (real.self.active > activeBefore) assert.isAtMost(real.self.active, Math.max(limit, limitBefore))
        if (real.self.active < limit) assert.strictEqual(machine.queued(real.self), 0)
        assert.isAtMost(real.self.tenants?.size ?? 0, real.self.active + machine.queued(real.self))
      }
    }
  )
})
