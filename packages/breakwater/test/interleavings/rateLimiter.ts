import { Effect, Exit, Scope } from "effect"
import { RateLimiter } from "breakwater"
import { type Case, type Theatre, turn, Work } from "./Interleavings.ts"

const opened = (theatre: Theatre, settings: RateLimiter.SettingsInput) => {
  const work = new Work()
  const limiter = theatre.run(
    RateLimiter.make({ operation: "target", settings: { algorithm: "sliding-log", window: "1 second", ...settings } })
  )
  const snapshot = () => theatre.run(limiter.snapshot)
  return {
    work,
    limiter,
    call: limiter.protect()(work.done()),
    wrong: () => {
      const { counters, waiting } = snapshot()
      const { granted, held, returned, started } = counters
      if (work.started > started) return `${work.started} calls started, ${started} are counted`
      if (held < 0 || waiting < 0) return `${held} units are held and ${waiting} wait`
      return granted === started + returned + held
        ? undefined
        : `${granted} units were granted, ${started} started, ${returned} returned, ${held} are held`
    },
    after: () => {
      const { counters, keys, waiting } = snapshot()
      if (counters.held > 0 || waiting > 0) return `${counters.held} units are held and ${waiting} wait`
      return `${keys[0]?.available ?? "all"} left`
    }
  }
}

/** When a call started, besides what it answered. */
const timed = (self: Effect.Effect<unknown, unknown>, theatre: Theatre): Effect.Effect<unknown, unknown> =>
  Effect.map(self, (answer) => `${String(answer)} at ${theatre.clock.currentTimeMillisUnsafe()}`)

export const rateLimiterCases: ReadonlyArray<Case> = [
  {
    name: "a rate limiter of one lets one of three callers through",
    preemptions: 1,
    open: (theatre) => {
      const { after, call, wrong } = opened(theatre, { limit: 1 })
      return { actors: { a: call, b: call, c: call }, wrong, after }
    },
    outcomes: [
      "a: RateLimitExceeded, b: RateLimitExceeded, c: done, 0 left",
      "a: RateLimitExceeded, b: done, c: RateLimitExceeded, 0 left",
      "a: done, b: RateLimitExceeded, c: RateLimitExceeded, 0 left"
    ]
  },
  {
    name: "a rate limiter whose callers wait lets them through one by one, each in its window",
    open: (theatre) => {
      const { after, call, wrong } = opened(theatre, { limit: 1, onExceeded: "wait", maxWait: "1 minute" })
      const one = timed(call, theatre)
      return { actors: { a: one, b: one }, wrong, after }
    },
    outcomes: ["a: done at 0, b: done at 1000, 0 left", "a: done at 1000, b: done at 0, 0 left"]
  },
  {
    name: "a caller that leaves the line is passed by those behind it",
    open: (theatre) => {
      const { after, call, wrong } = opened(theatre, { limit: 1, onExceeded: "wait", maxWait: "1 minute" })
      const one = timed(call, theatre)
      return { actors: { a: one, b: one, operator: theatre.interrupt("a") }, wrong, after }
    },
    outcomes: [
      "a: done at 0, b: done at 1000, operator: done, 0 left",
      "a: interrupted, b: done at 0, operator: done, 0 left",
      "a: interrupted, b: done at 1000, operator: done, 0 left"
    ]
  },
  {
    name: "a waiter that is interrupted in the instant of its turn gives its unit back, unless its effect is under way",
    open: (theatre) => {
      const { after, call, limiter, work, wrong } = opened(theatre, {
        limit: 1,
        onExceeded: "wait",
        maxWait: "1 minute"
      })
      theatre.run(limiter.protect()(Effect.void))
      const operator = Effect.andThen(Effect.sleep("1 second"), theatre.interrupt("a"))
      return {
        actors: { a: timed(call, theatre), operator },
        wrong,
        after: () => `${work.started} started, ${after()}`
      }
    },
    outcomes: [
      "a: done at 1000, operator: done, 1 started, 0 left",
      "a: interrupted, operator: done, 0 started, 0 left",
      "a: interrupted, operator: done, 0 started, 1 left",
      "a: interrupted, operator: done, 1 started, 0 left"
    ]
  },
  {
    name: "units that were reserved and not used are there for others",
    open: (theatre) => {
      const { after, limiter, wrong } = opened(theatre, { limit: 3 })
      const reserving = Effect.scoped(
        Effect.flatMap(limiter.reserve({ cost: 2 }), ({ settle }) => Effect.andThen(turn(1), settle(1)))
      )
      const call = limiter.protect({ cost: 2 })(Effect.succeed("done"))
      return { actors: { reserving, call }, wrong, after }
    },
    outcomes: [
      "reserving: RateLimitExceeded, call: done, 1 left",
      "reserving: done, call: RateLimitExceeded, 2 left",
      "reserving: done, call: done, 0 left"
    ]
  },
  {
    name: "a reservation comes back when its scope is interrupted before it is settled",
    preemptions: 3,
    open: (theatre) => {
      const { after, limiter, wrong } = opened(theatre, { limit: 2 })
      const reserving = Effect.scoped(
        Effect.flatMap(limiter.reserve({ cost: 2 }), ({ settle }) => Effect.andThen(turn(1), settle()))
      )
      return { actors: { reserving, operator: theatre.interrupt("reserving") }, wrong, after }
    },
    outcomes: [
      "reserving: done, operator: done, 0 left",
      "reserving: interrupted, operator: done, 0 left",
      "reserving: interrupted, operator: done, 2 left",
      "reserving: interrupted, operator: done, all left"
    ]
  },
  {
    name: "a reservation that two settle is settled once, by whoever comes first",
    open: (theatre) => {
      const { after, limiter, wrong } = opened(theatre, { limit: 2 })
      const scope = Scope.makeUnsafe()
      const { settle } = theatre.run(Effect.provideService(limiter.reserve({ cost: 2 }), Scope.Scope, scope))
      const all = Effect.andThen(turn(1), settle(2))
      return { actors: { none: Effect.andThen(settle(0), Scope.close(scope, Exit.void)), all }, wrong, after }
    },
    outcomes: ["none: done, all: done, 0 left", "none: done, all: done, 2 left"]
  },
  {
    name: "a pause keeps callers out, whoever comes first, and ends when it is told to",
    preemptions: 3,
    open: (theatre) => {
      const { after, call, limiter, wrong } = opened(theatre, { limit: 5 })
      const operator = Effect.andThen(limiter.pause(undefined, "1 minute"), limiter.resume(undefined))
      return { actors: { a: call, operator }, wrong, after }
    },
    outcomes: ["a: RateLimitExceeded, operator: done, 5 left", "a: done, operator: done, 4 left"]
  },
  {
    name: "a limit that grows while one waits lets it through at once",
    open: (theatre) => {
      const settings: RateLimiter.SettingsInput = {
        algorithm: "sliding-log",
        window: "1 second",
        limit: 1,
        onExceeded: "wait",
        maxWait: "1 minute"
      }
      const { after, call, limiter, wrong } = opened(theatre, settings)
      const one = timed(call, theatre)
      return { actors: { a: one, b: one, operator: limiter.retune({ ...settings, limit: 2 }) }, wrong, after }
    },
    preemptions: 1,
    outcomes: ["a: done at 0, b: done at 0, operator: done, 0 left"]
  }
]
