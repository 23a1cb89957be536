import { Effect } from "effect"
import { describe, expectTypeOf, it } from "vitest"
import { type CircuitOpen, type ResilienceError, Tiered } from "breakwater"

class Down {
  readonly _tag = "Down"
}
class Gone {
  readonly _tag = "Gone"
}
interface Model {
  readonly _: "Model"
}
interface Budget {
  readonly _: "Budget"
}

declare const full: Effect.Effect<number, Down | ResilienceError<CircuitOpen>, Model>
declare const hasBudget: Effect.Effect<boolean, never, Budget>
const canned = Tiered.tier("canned", Effect.succeed(true))

type ErrorOf<T> = T extends Effect.Effect<infer _A, infer E, infer _R> ? E : never

describe("tiers", () => {
  it("leave the errors of the last one, and need what all of them need", () => {
    const answer = Tiered.make(
      Tiered.tier("full", full),
      Tiered.tier("smaller", (error) => {
        expectTypeOf(error).toEqualTypeOf<Down | ResilienceError<CircuitOpen>>()
        return Effect.as(hasBudget, "text")
      }),
      Tiered.tier("cached", Effect.fail(new Gone()))
    )
    expectTypeOf(answer).toEqualTypeOf<
      Effect.Effect<
        Tiered.Served<number, "full"> | Tiered.Served<string, "smaller"> | Tiered.Served<never, "cached">,
        Gone,
        Model | Budget
      >
    >()
  })

  it("narrow the value by the tier", () => {
    Effect.map(Tiered.make(Tiered.tier("full", full), canned), (served) => {
      if (served.tier === "full") expectTypeOf(served.value).toEqualTypeOf<number>()
      else expectTypeOf(served.value).toEqualTypeOf<boolean>()
    })
  })

  it("pass on rejections only, and leave the other errors, when they are asked to", () => {
    const answer = Tiered.make(
      Tiered.tier("full", full, { on: "rejections" }),
      Tiered.tier("smaller", (error) => {
        expectTypeOf(error).toEqualTypeOf<ResilienceError<CircuitOpen>>()
        return Effect.fail(new Gone())
      })
    )
    expectTypeOf<ErrorOf<typeof answer>>().toEqualTypeOf<Down | Gone>()
  })

  it("know nothing of what they answer if that may be a defect", () => {
    Tiered.make(
      Tiered.tier("full", full, { on: "all" }),
      Tiered.tier("smaller", (error) => {
        expectTypeOf(error).toEqualTypeOf<unknown>()
        return Effect.succeed(1)
      })
    )
  })

  it("that may be skipped say so to the next one, and need what their choice needs", () => {
    const answer = Tiered.make(
      Tiered.tier("full", full, { when: hasBudget }),
      Tiered.tier("smaller", (error) => {
        expectTypeOf(error).toEqualTypeOf<Down | ResilienceError<CircuitOpen> | Tiered.TierSkipped>()
        return Effect.succeed(1)
      })
    )
    expectTypeOf<Effect.Services<typeof answer>>().toEqualTypeOf<Model | Budget>()
  })

  it("of four and five are made alike", () => {
    const four = Tiered.make(
      Tiered.tier("a", full),
      Tiered.tier("b", Effect.fail("b" as const)),
      Tiered.tier("c", (error) => Effect.fail([error])),
      Tiered.tier("d", (error) => Effect.fail({ error }))
    )
    expectTypeOf<ErrorOf<typeof four>>().toEqualTypeOf<{ error: Array<"b"> }>()
    const five = Tiered.makeWith({ operation: "target" })(
      Tiered.tier("a", full),
      Tiered.tier("b", full, { on: "rejections" }),
      Tiered.tier("c", full),
      Tiered.tier("d", full),
      canned
    )
    expectTypeOf<ErrorOf<typeof five>>().toEqualTypeOf<Down>()
  })

  it("that do not fit are refused", () => {
    // @ts-expect-error one tier has no other
    Tiered.make(Tiered.tier("full", full))
    const first = Tiered.tier("full", full)
    const answersGone = Tiered.tier("next", (error: Gone) => Effect.succeed(error))
    // @ts-expect-error the tier before never fails so
    Tiered.make(first, answersGone)
    // @ts-expect-error there is no error before the first one
    Tiered.make(answersGone, canned)
    // @ts-expect-error after the last one there is none to go to
    Tiered.make(Tiered.tier("full", full), Tiered.tier("last", full, { when: hasBudget }))
    expectTypeOf<"errors">().not.toExtend<NonNullable<Parameters<typeof Tiered.tier>[2]>["on"]>()
    // @ts-expect-error no such word
    Tiered.tier("full", full, { on: "errors" })
  })
})
