import { Effect } from "effect"
import { Bulkhead, Priority } from "breakwater"
import { type Case, type Theatre, Work } from "./Interleavings.ts"

const opened = (theatre: Theatre, settings: Bulkhead.SettingsInput) => {
  const work = new Work()
  const bulkhead = theatre.run(Bulkhead.make({ operation: "target", settings }))
  const snapshot = () => theatre.run(bulkhead.snapshot())
  return {
    work,
    bulkhead,
    call: work.done().pipe(bulkhead.protect()),
    /** No more run than may, and no more are counted than run. */
    wrong: (limit: number) => () => {
      if (work.running > limit) return `${work.running} run in ${limit} places`
      const { active } = snapshot()
      return work.running > active ? `${work.running} run, ${active} are counted` : undefined
    },
    after: () => {
      const { active, queued } = snapshot()
      return active === 0 && queued === 0 ? "free" : `${active} places are taken and ${queued} wait`
    }
  }
}

export const bulkheadCases: ReadonlyArray<Case> = [
  {
    name: "a bulkhead of one place runs one of three callers at a time, and never refuses all",
    preemptions: 1,
    open: (theatre) => {
      const { after, call, wrong } = opened(theatre, { maxConcurrent: 1 })
      return { actors: { a: call, b: call, c: call }, wrong: wrong(1), after }
    },
    outcomes: [
      "a: BulkheadFull, b: BulkheadFull, c: done, free",
      "a: BulkheadFull, b: done, c: BulkheadFull, free",
      "a: BulkheadFull, b: done, c: done, free",
      "a: done, b: BulkheadFull, c: BulkheadFull, free",
      "a: done, b: BulkheadFull, c: done, free",
      "a: done, b: done, c: BulkheadFull, free",
      "a: done, b: done, c: done, free"
    ]
  },
  {
    name: "a bulkhead with a queue of one lets the second of two callers wait, and never refuses it",
    open: (theatre) => {
      const { after, call, wrong } = opened(theatre, { maxConcurrent: 1, maxQueue: 1, maxWait: "1 minute" })
      return { actors: { a: call, b: call }, wrong: wrong(1), after }
    },
    outcomes: ["a: done, b: done, free"]
  },
  {
    name: "a bulkhead with a queue of one refuses at most one of three callers",
    preemptions: 1,
    open: (theatre) => {
      const { after, call, wrong } = opened(theatre, { maxConcurrent: 1, maxQueue: 1, maxWait: "1 minute" })
      return { actors: { a: call, b: call, c: call }, wrong: wrong(1), after }
    },
    outcomes: [
      "a: BulkheadFull, b: done, c: done, free",
      "a: done, b: BulkheadFull, c: done, free",
      "a: done, b: done, c: BulkheadFull, free",
      "a: done, b: done, c: done, free"
    ]
  },
  {
    name: "a bulkhead loses no place to a caller that is interrupted before, while or after it waits",
    preemptions: 2,
    open: (theatre) => {
      const { after, call, wrong } = opened(theatre, { maxConcurrent: 1, maxQueue: 1, maxWait: "1 minute" })
      return { actors: { a: call, b: call, operator: theatre.interrupt("b") }, wrong: wrong(1), after }
    },
    outcomes: ["a: done, b: done, operator: done, free", "a: done, b: interrupted, operator: done, free"]
  },
  {
    name: "a bulkhead that grows while one waits lets it run beside the other",
    preemptions: 1,
    open: (theatre) => {
      const { after, bulkhead, call, work, wrong } = opened(theatre, {
        maxConcurrent: 1,
        maxQueue: 1,
        maxWait: "1 minute"
      })
      const most = () => `${after()} after ${work.most} at once`
      return { actors: { a: call, b: call, operator: bulkhead.resize(2) }, wrong: wrong(2), after: most }
    },
    outcomes: [
      "a: done, b: done, operator: done, free after 1 at once",
      "a: done, b: done, operator: done, free after 2 at once"
    ]
  },
  {
    name: "a bulkhead that shrinks in use admits nobody until fewer run",
    preemptions: 1,
    open: (theatre) => {
      const { after, bulkhead, call, work, wrong } = opened(theatre, {
        maxConcurrent: 2,
        maxQueue: 2,
        maxWait: "1 minute"
      })
      const most = () => `${after()} after ${work.most} at once`
      return { actors: { a: call, b: call, operator: bulkhead.resize(1) }, wrong: wrong(2), after: most }
    },
    outcomes: [
      "a: done, b: done, operator: done, free after 1 at once",
      "a: done, b: done, operator: done, free after 2 at once"
    ]
  },
  {
    name: "a full queue gives the place of what matters less to what matters more",
    preemptions: 1,
    open: (theatre) => {
      const { after, call, wrong } = opened(theatre, { maxConcurrent: 1, maxQueue: 1, maxWait: "1 minute" })
      const actors = {
        a: call,
        low: Priority.withPriority("low")(call),
        high: Priority.withPriority("high")(call)
      }
      return { actors, wrong: wrong(1), after }
    },
    outcomes: [
      "a: BulkheadFull, low: done, high: done, free",
      "a: done, low: BulkheadFull, high: done, free",
      "a: done, low: done, high: done, free"
    ]
  },
  {
    name: "whoever waits gets a place or is refused when both come at its longest wait, and holds none after",
    open: (theatre) => {
      const { after, bulkhead, call, work, wrong } = opened(theatre, {
        maxConcurrent: 1,
        maxQueue: 1,
        maxWait: "10 millis"
      })
      const slow = work.of(0, Effect.as(Effect.sleep("10 millis"), "done")).pipe(bulkhead.protect())
      return { actors: { slow, b: call }, wrong: wrong(1), after }
    },
    outcomes: ["slow: done, b: BulkheadFull, free", "slow: done, b: done, free"]
  }
]
