import { Effect } from "effect"
import { Coalesce, StaleCache } from "breakwater"
import { type Case, type Theatre, turn, Work } from "./Interleavings.ts"

const shared = (theatre: Theatre) => {
  const work = new Work()
  const coalesce = theatre.run(Coalesce.make())
  return {
    work,
    call: Effect.suspend(() => {
      const number = work.started
      return work.of(1, Effect.succeed(`run ${number}`))
    }).pipe(coalesce.join("key")),
    wrong: () => (work.running > 1 ? `${work.running} runs of one key go on at once` : undefined),
    after: () => {
      const { inFlight, waiting } = theatre.run(coalesce.snapshot)
      return inFlight > 0 || waiting > 0 ? `${inFlight} runs and ${waiting} callers are left` : `${work.started} runs`
    }
  }
}

export const coalesceCases: ReadonlyArray<Case> = [
  {
    name: "two callers of one key share a run, or the second comes after its end and starts anew",
    preemptions: 3,
    open: (theatre) => {
      const { after, call, wrong } = shared(theatre)
      return { actors: { a: call, b: call }, wrong, after }
    },
    outcomes: ["a: run 0, b: run 0, 1 runs", "a: run 0, b: run 1, 2 runs", "a: run 1, b: run 0, 2 runs"]
  },
  {
    name: "three callers of one key never have two runs at once",
    preemptions: 1,
    open: (theatre) => {
      const { after, call, wrong } = shared(theatre)
      return { actors: { a: call, b: call, c: call }, wrong, after }
    },
    outcomes: [
      "a: run 0, b: run 0, c: run 0, 1 runs",
      "a: run 0, b: run 0, c: run 1, 2 runs",
      "a: run 0, b: run 1, c: run 0, 2 runs",
      "a: run 0, b: run 1, c: run 1, 2 runs",
      "a: run 0, b: run 1, c: run 2, 3 runs",
      "a: run 0, b: run 2, c: run 1, 3 runs",
      "a: run 1, b: run 0, c: run 0, 2 runs",
      "a: run 1, b: run 0, c: run 1, 2 runs",
      "a: run 1, b: run 0, c: run 2, 3 runs",
      "a: run 1, b: run 1, c: run 0, 2 runs",
      "a: run 1, b: run 2, c: run 0, 3 runs",
      "a: run 2, b: run 0, c: run 1, 3 runs",
      "a: run 2, b: run 1, c: run 0, 3 runs"
    ]
  },
  {
    name: "a caller that leaves leaves the run to the other, whoever led it",
    open: (theatre) => {
      const { after, call } = shared(theatre)
      return { actors: { a: call, b: call, operator: theatre.interrupt("a") }, after }
    },
    outcomes: [
      "a: interrupted, b: run 0, operator: done, 1 runs",
      "a: interrupted, b: run 0, operator: done, 2 runs",
      "a: interrupted, b: run 1, operator: done, 2 runs",
      "a: run 0, b: run 0, operator: done, 1 runs",
      "a: run 0, b: run 1, operator: done, 2 runs",
      "a: run 1, b: run 0, operator: done, 2 runs"
    ]
  },
  {
    name: "a run that its last caller leaves is cleaned up, once, before that caller ends",
    open: (theatre) => {
      let [begun, cleaned, ended] = [0, 0, 0]
      const coalesce = theatre.run(Coalesce.make())
      const run = Effect.suspend(() => {
        begun++
        return turn(2)
      })
      const cleanup = Effect.andThen(
        turn(1),
        Effect.sync(() => void cleaned++)
      )
      const shared = coalesce.join("key")(Effect.onExit(run, () => (begun > 0 ? cleanup : Effect.void)))
      const a = Effect.onExitPrimitive(shared, () => {
        ended++
        return undefined
      })
      return {
        actors: { a, operator: theatre.interrupt("a") },
        wrong: () => (ended > 0 && cleaned !== begun ? "its caller has ended before it" : undefined),
        after: () => `${cleaned} of ${begun} cleaned up, ${theatre.run(coalesce.snapshot).inFlight} in flight`
      }
    },
    outcomes: [
      "a: done, operator: done, 1 of 1 cleaned up, 0 in flight",
      "a: interrupted, operator: done, 0 of 0 cleaned up, 0 in flight",
      "a: interrupted, operator: done, 1 of 1 cleaned up, 0 in flight"
    ]
  }
]

const cached = (theatre: Theatre, failure = () => "down") => {
  const work = new Work()
  let [isQuick, isDown] = [false, false]
  const cache = theatre.run(
    StaleCache.make(
      (_key: string) =>
        Effect.suspend(() => {
          const number = work.started
          return work.of(isQuick ? 0 : 1, isDown ? Effect.failSync(failure) : Effect.succeed(`answer ${number}`))
        }),
      { timeToLive: "1 second", maxStale: "1 second" }
    )
  )
  const snapshot = () => theatre.run(cache.snapshot)
  return {
    work,
    cache,
    get: Effect.map(cache.get("key"), ({ isStale, value }) => `${isStale ? "old" : "new"} ${value}`),
    /** Looks up an answer, which is old by now, and lets every lookup fail from here on. */
    breakDown: () => {
      isQuick = true
      theatre.run(cache.get("key"))
      theatre.run(theatre.pass(1_000))
      isQuick = false
      isDown = true
    },
    wrong: () => (work.running > 1 ? `${work.running} lookups of one key run at once` : undefined),
    after: () => {
      const { hits, misses, stale } = snapshot()
      return `${hits} hits, ${misses} misses, ${stale} stale`
    }
  }
}

export const staleCacheCases: ReadonlyArray<Case> = [
  {
    // Whoever has seen that there is no answer looks up, also if another has had one meanwhile.
    name: "two callers of a stale cache never look up at once",
    open: (theatre) => {
      const { after, get, work, wrong } = cached(theatre)
      return { actors: { a: get, b: get }, wrong, after: () => `${work.started} lookups, ${after()}` }
    },
    outcomes: [
      "a: new answer 0, b: new answer 0, 1 lookups, 0 hits, 2 misses, 0 stale",
      "a: new answer 0, b: new answer 0, 1 lookups, 1 hits, 1 misses, 0 stale",
      "a: new answer 0, b: new answer 1, 2 lookups, 0 hits, 2 misses, 0 stale",
      "a: new answer 1, b: new answer 0, 2 lookups, 0 hits, 2 misses, 0 stale"
    ]
  },
  {
    name: "an old answer stands in for a failure until it is too old, for each caller by itself",
    preemptions: 1,
    open: (theatre) => {
      const { after, breakDown, get, wrong } = cached(theatre)
      breakDown()
      return { actors: { a: get, b: get, clock: theatre.pass(1_000) }, wrong, after }
    },
    outcomes: [
      "a: down, b: down, clock: done, 0 hits, 3 misses, 0 stale",
      "a: down, b: old answer 0, clock: done, 0 hits, 2 misses, 1 stale",
      "a: old answer 0, b: down, clock: done, 0 hits, 2 misses, 1 stale",
      "a: old answer 0, b: old answer 0, clock: done, 0 hits, 1 misses, 2 stale"
    ]
  },
  {
    name: "an answer that was forgotten before its lookup failed does not stand in for the failure",
    open: (theatre) => {
      let [isForgotten, wasForgotten] = [false, false]
      const { breakDown, cache, get, wrong } = cached(theatre, () => {
        wasForgotten = isForgotten
        return "down"
      })
      breakDown()
      const operator = Effect.andThen(
        cache.invalidate("key"),
        Effect.sync(() => void (isForgotten = true))
      )
      return { actors: { a: get, operator }, wrong, after: () => (wasForgotten ? "forgotten first" : "failed first") }
    },
    outcomes: [
      "a: down, operator: done, failed first",
      "a: down, operator: done, forgotten first",
      "a: old answer 0, operator: done, failed first"
    ]
  },
  {
    name: "a lookup goes on as long as one of its callers waits",
    preemptions: 1,
    open: (theatre) => {
      const { get, work } = cached(theatre)
      const after = () => `${work.started} lookups`
      return { actors: { a: get, b: get, operator: theatre.interrupt("a") }, after }
    },
    outcomes: [
      "a: interrupted, b: new answer 0, operator: done, 1 lookups",
      "a: interrupted, b: new answer 0, operator: done, 2 lookups",
      "a: interrupted, b: new answer 1, operator: done, 2 lookups",
      "a: new answer 0, b: new answer 0, operator: done, 1 lookups",
      "a: new answer 0, b: new answer 1, operator: done, 2 lookups",
      "a: new answer 1, b: new answer 0, operator: done, 2 lookups"
    ]
  }
]
