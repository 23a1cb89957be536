import { Effect } from "effect"
import { Retry, RetryBudget } from "breakwater"
import { type Case, type Theatre, Work } from "./Interleavings.ts"

const opened = (theatre: Theatre, settings: RetryBudget.SettingsInput) => {
  const budgets = theatre.run(RetryBudget.make({ settings }))
  const snapshot = () => theatre.run(budgets.snapshot("dependency"))
  const retry = Retry.retry({
    budget: budgets.of("dependency"),
    settings: { maxAttempts: 2, base: "1 second", jitter: "none" }
  })
  return {
    /** Fails once, then answers. */
    call: (name: string) => {
      let attempts = 0
      const work = new Work()
      const attempt = Effect.suspend(() =>
        work.of(1, ++attempts === 1 ? Effect.fail(name) : Effect.succeed("repeated"))
      )
      return Effect.catchCause(retry(attempt), (cause) =>
        cause.reasons.some(({ _tag }) => _tag === "Interrupt") ? Effect.failCause(cause) : Effect.succeed("refused")
      )
    },
    wrong: () => {
      const { max, tokens, used } = snapshot()
      return tokens < 0 || used > Math.max(max, 1) ? `${used} of ${max} repetitions, ${tokens} tokens` : undefined
    },
    after: () => {
      const { counters, used } = snapshot()
      const { granted, refused, returned } = counters
      return `${granted} granted, ${refused} refused, ${returned} returned, ${used} in use`
    }
  }
}

const oneAtOnce: RetryBudget.SettingsInput = { form: "in_flight", minConcurrent: 1, ratio: 0.001 }

export const retryCases: ReadonlyArray<Case> = [
  {
    name: "a retry budget of one lets one of two callers repeat at once, or one after the other",
    preemptions: 1,
    open: (theatre) => {
      const { after, call, wrong } = opened(theatre, oneAtOnce)
      return { actors: { a: call("a"), b: call("b"), clock: theatre.pass(1_000) }, wrong, after }
    },
    outcomes: [
      "a: refused, b: repeated, clock: done, 1 granted, 1 refused, 0 returned, 0 in use",
      "a: repeated, b: refused, clock: done, 1 granted, 1 refused, 0 returned, 0 in use",
      "a: repeated, b: repeated, clock: done, 2 granted, 0 refused, 0 returned, 0 in use"
    ]
  },
  {
    name: "a repetition whose caller is interrupted in its pause comes back for another",
    preemptions: 1,
    open: (theatre) => {
      const { after, call, wrong } = opened(theatre, oneAtOnce)
      return { actors: { a: call("a"), b: call("b"), operator: theatre.interrupt("a") }, wrong, after }
    },
    outcomes: [
      "a: interrupted, b: refused, operator: done, 1 granted, 1 refused, 1 returned, 0 in use",
      "a: interrupted, b: repeated, operator: done, 1 granted, 0 refused, 0 returned, 0 in use",
      "a: interrupted, b: repeated, operator: done, 1 granted, 1 refused, 0 returned, 0 in use",
      "a: interrupted, b: repeated, operator: done, 2 granted, 0 refused, 1 returned, 0 in use",
      "a: refused, b: repeated, operator: done, 1 granted, 1 refused, 0 returned, 0 in use"
    ]
  },
  {
    name: "a caller that is interrupted makes no attempt after that, not even one that is due",
    open: (theatre) => {
      let attempts = 0
      let before = 0
      const retry = Retry.retry({ settings: { maxAttempts: 2, base: "1 second", jitter: "none" } })
      const attempt = Effect.suspend(() => (++attempts === 1 ? Effect.fail("failed") : Effect.succeed("repeated")))
      const interrupt = Effect.sync(() => {
        before = attempts
        theatre.interruptUnsafe("a")
      })
      return {
        actors: { a: retry(attempt), operator: Effect.andThen(Effect.sleep("1 second"), interrupt) },
        after: () => `${attempts} attempts, ${attempts - before} after that`
      }
    },
    outcomes: [
      "a: interrupted, operator: done, 1 attempts, 0 after that",
      "a: interrupted, operator: done, 2 attempts, 0 after that",
      "a: repeated, operator: done, 2 attempts, 0 after that"
    ]
  }
]
