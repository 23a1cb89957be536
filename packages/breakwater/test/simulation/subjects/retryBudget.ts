import { Effect, Exit } from "effect"
import { Retry, RetryBudget } from "breakwater"
import type { Dice } from "../Dice.ts"
import { BudgetLaw, type BudgetSettings } from "../laws/budget.ts"
import { isRefusal } from "../laws/judgement.ts"
import { passThrough } from "../laws/passThrough.ts"
import { RetryLaw } from "../laws/retry.ts"
import type { Subject } from "../Simulation.ts"
import { drawRetry, retryInput } from "./retry.ts"

export const drawBudget = (dice: Dice): BudgetSettings => ({
  form: dice.pick(["window", "in_flight"]),
  ratio: dice.pick([0.001, 0.2, 0.5, 1]),
  minPerSecond: dice.pick([0, 0.1, 1]),
  minConcurrent: dice.pick([0, 1, 3]),
  window: dice.pick([1_000, 10_000])
})

/** Two kinds of callers, each with a retry of its own, and the budget of the dependency that they share. */
export const retryBudgetSubject = (
  name = "a retry budget",
  tampered: (settings: RetryBudget.SettingsInput) => RetryBudget.SettingsInput = (settings) => settings
): Subject => ({
  name,
  open: (stage, dice) => {
    const { world } = stage
    const settings = drawBudget(dice)
    const retries = [drawRetry(dice), drawRetry(dice)] as const
    const budgets = world.run(RetryBudget.make({ settings: tampered(settings) }))
    const law = new BudgetLaw(stage, { settings, snapshot: () => world.run(budgets.snapshot("dependency")) })
    const retryOf = ({ variant }: { readonly variant: number }) => retries[variant < 0.5 ? 0 : 1]
    const attempts = new RetryLaw(stage, {
      operation: "target",
      settingsOf: retryOf,
      deadlineOf: () => Infinity
    })
    stage.obey(
      {
        see: (fact) => {
          if (fact._tag === "CallStarted") law.began(fact.call)
          if (fact._tag === "Entered") law.attemptBegan(fact.call)
          if (fact._tag === "Left" && Exit.isFailure(fact.exit)) law.attemptEnded(fact.call, !isRefusal(fact.exit))
          if (fact._tag === "CallEnded") law.ended(fact.call)
        }
      },
      attempts,
      law,
      passThrough(stage)
    )
    return {
      settings: { ...settings, retries },
      guard: (call) =>
        Retry.retry(
          Effect.suspend(() => stage.attempt(call)(stage.body(call))),
          {
            settings: retryInput(retryOf(call)),
            budget: budgets.of("dependency"),
            observer: {
              onScheduled: () => law.reserved(call),
              onExhausted: ({ because }) => {
                if (because !== "budget") return
                law.refused(call)
                attempts.denied(call)
              }
            }
          }
        )
    }
  }
})
