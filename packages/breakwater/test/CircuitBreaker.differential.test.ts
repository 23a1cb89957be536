/**
 * Plays the same traces against Effect's own circuit breaker. Where both say
 * what they do, they do the same: failures in a row and the rate over the last
 * calls, open times fixed and growing, `Retry-After`, one probe, ignored
 * outcomes, interruptions, late results.
 *
 * One difference is known. Effect takes the number of an opening when the call
 * is admitted that will open the circuit; we take it when the circuit opens.
 * They differ when the memory of earlier openings ends in between. A trace ends
 * where that happens.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Option, Schedule } from "effect"
import { CircuitBreaker as Theirs } from "effect/persistence"
import { TestClock } from "effect/testing"
import { CircuitBreaker, Outcome, ResilienceEvent } from "breakwater"

/** Mulberry32: a seed gives the same trace everywhere. */
const chanceOf = (seed: number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

const planOf = (chance: () => number) => {
  const upTo = (maximum: number) => 1 + Math.floor(chance() * maximum)
  const size = upTo(8)
  return {
    policy:
      chance() < 0.5
        ? ({ _tag: "Consecutive", failures: upTo(4) } as const)
        : ({ _tag: "Rate", size, threshold: upTo(10) / 10, minimumCalls: upTo(size) } as const),
    openMillis: 1_000 * upTo(5),
    grows: chance() < 0.5
  }
}

type Plan = ReturnType<typeof planOf>

const scheduleOf = ({ grows, openMillis }: Plan) =>
  grows ? Schedule.upTo(Schedule.exponential(openMillis), { times: 4 }) : undefined

const makeOurs = (plan: Plan) =>
  CircuitBreaker.make({
    operation: "target",
    settings: {
      tripPolicy:
        plan.policy._tag === "Consecutive"
          ? CircuitBreaker.consecutive(plan.policy.failures)
          : CircuitBreaker.countWindow({
              size: plan.policy.size,
              rate: plan.policy.threshold,
              minimumCalls: plan.policy.minimumCalls
            }),
      openDuration: plan.openMillis,
      probeTimeout: "1 day"
    },
    openSchedule: scheduleOf(plan)
  })

const makeTheirs = (plan: Plan) =>
  Theirs.make({
    tripPolicy:
      plan.policy._tag === "Consecutive" ? Theirs.consecutive(plan.policy.failures) : Theirs.rate(plan.policy),
    openDuration: scheduleOf(plan) ?? plan.openMillis
  })

interface Verdict {
  readonly outcome: "Success" | "Failure" | "Ignored"
  readonly retryAfter: number | undefined
}

const verdictOf = (exit: Exit.Exit<Verdict>): Verdict =>
  Exit.isSuccess(exit) ? exit.value : assert.fail("an interruption is never judged")

const ourOutcome = (exit: Exit.Exit<Verdict>): Outcome.Outcome => {
  const { outcome, retryAfter } = verdictOf(exit)
  if (outcome !== "Failure") return outcome === "Success" ? Outcome.success : Outcome.ignored
  return retryAfter === undefined ? Outcome.failure : Outcome.failureAfter(Duration.millis(retryAfter))
}

const theirOutcome = (exit: Exit.Exit<Verdict>): Theirs.Outcome => {
  const { outcome, retryAfter } = verdictOf(exit)
  if (outcome !== "Failure") return outcome === "Success" ? Theirs.success : Theirs.ignored
  return Theirs.failure({ retryAfter })
}

/** A refusal in words. Only we say how long a half-open circuit may take. */
const refusal = ({ reason }: { readonly reason: { readonly _tag: string; readonly retryAfter?: unknown } }): string =>
  reason._tag === "CircuitOpen"
    ? `CircuitOpen ${Duration.toMillis(reason.retryAfter as Duration.Duration)}`
    : reason._tag

const answerOf = (fiber: Fiber.Fiber<string>): string => {
  const exit = fiber.pollUnsafe()
  return exit === undefined ? "admitted" : Exit.isSuccess(exit) ? exit.value : "died"
}

/** One call, under way at both breakers. */
interface Call {
  readonly gate: Deferred.Deferred<Verdict>
  readonly fibers: readonly [ours: Fiber.Fiber<string>, theirs: Fiber.Fiber<string>]
  readonly admittedAt: number
}

interface Played {
  readonly steps: number
  readonly opened: number
  readonly ended: "by the known difference" | undefined
}

const play = (seed: number): Effect.Effect<Played, Theirs.CircuitBreakerError> => {
  const chance = chanceOf(seed)
  const plan = planOf(chance)
  let now = 0
  let opened = 0
  /** When the memory of earlier openings ends. */
  let forgottenAt = -Infinity
  let openFor = 0
  const sink: ResilienceEvent.Sink = {
    isActive: () => true,
    publishUnsafe: (event) => {
      if (event._tag === "CircuitOpened") {
        opened++
        openFor = Duration.toMillis(event.openFor)
        forgottenAt = Infinity
      } else if (event._tag === "CircuitClosed") forgottenAt = now + openFor
    },
    listenUnsafe: () => () => {}
  }
  return Effect.gen(function* () {
    const ours = yield* makeOurs(plan)
    const theirs = yield* makeTheirs(plan)
    const circuit = yield* ours.circuit()
    const running: Array<Call> = []

    const start = Effect.gen(function* () {
      const gate = yield* Deferred.make<Verdict>()
      const begin = <E extends Parameters<typeof refusal>[0]>(call: Effect.Effect<Verdict, E>) =>
        call.pipe(
          Effect.as("ran"),
          Effect.catch((error) => Effect.succeed(refusal(error))),
          Effect.forkChild({ startImmediately: true })
        )
      const fibers = [
        yield* begin(Deferred.await(gate).pipe(ours.protect({ classify: ourOutcome }))),
        yield* begin(Deferred.await(gate).pipe(theirs.execute({ key: "target", classify: theirOutcome })))
      ] as const
      const [our, their] = fibers.map(answerOf)
      assert.strictEqual(our, their, `seed ${seed}: the answer to a call`)
      if (our === "admitted") running.push({ gate, fibers, admittedAt: now })
    })

    const end = ({ fibers, gate }: Call) =>
      Effect.gen(function* () {
        const verdict = chance()
        const retryAfter = chance() < 0.2 ? Math.floor(chance() * 20_000) : undefined
        if (verdict < 0.1) return yield* Effect.forEach(fibers, Fiber.interrupt, { discard: true })
        const outcome: Verdict["outcome"] = verdict < 0.25 ? "Ignored" : verdict < 0.5 ? "Success" : "Failure"
        yield* Deferred.succeed(gate, { outcome, retryAfter })
        yield* Effect.forEach(fibers, Fiber.await, { discard: true })
      })

    const states = Effect.gen(function* () {
      const { retryAfter, state } = yield* CircuitBreaker.snapshot(circuit)
      const their = yield* theirs.state("target")
      return [
        state === "open" ? `open ${Option.match(retryAfter, { onNone: () => NaN, onSome: Duration.toMillis })}` : state,
        their._tag === "Open"
          ? `open ${Duration.toMillis(their.retryAfter)}`
          : their._tag === "HalfOpen"
            ? "half_open"
            : "closed"
      ] as const
    })

    for (let step = 1; step <= 40; step++) {
      const what = chance()
      const before = opened
      if (what < 0.4) yield* start
      else if (what < 0.8 && running.length > 0) {
        const [call] = running.splice(Math.floor(chance() * running.length), 1)
        const memoryEnds = forgottenAt
        yield* end(call!)
        if (plan.grows && opened > before && call!.admittedAt < memoryEnds && memoryEnds <= now) {
          return { steps: step, opened, ended: "by the known difference" as const }
        }
      } else {
        const millis = chance() < 0.5 ? plan.openMillis : Math.floor(chance() * 4_000)
        now += millis
        yield* TestClock.adjust(millis)
      }
      const [our, their] = yield* states
      assert.strictEqual(our, their, `seed ${seed}: the state after step ${step}`)
    }
    for (const { fibers } of running) yield* Effect.forEach(fibers, Fiber.interrupt)
    return { steps: 40, opened, ended: undefined }
  }).pipe(
    Effect.scoped,
    Effect.provide(Theirs.layerStoreMemory()),
    Effect.provideService(ResilienceEvent.ResilienceEvents, sink),
    Effect.provide(TestClock.layer())
  )
}

describe("Effect's own circuit breaker", () => {
  const traces = Number(process.env["BREAKWATER_TRACES"] ?? 2_000)

  it.effect(
    `does the same in ${traces} random traces`,
    () =>
      Effect.gen(function* () {
        let opened = 0
        let ended = 0
        let steps = 0
        for (let seed = 1; seed <= traces; seed++) {
          const played = yield* play(seed)
          opened += played.opened
          steps += played.steps
          if (played.ended !== undefined) ended++
        }
        // The traces go through what is compared, and few end early.
        assert.isAbove(opened, traces)
        assert.isAbove(steps, 35 * traces)
        assert.isBelow(ended, traces / 20)
      }),
    120_000 + 20 * traces
  )
})
