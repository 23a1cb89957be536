import { Effect, type Schema } from "effect"
import { describe, expectTypeOf, it } from "vitest"
import {
  Bulkhead,
  type BulkheadFull,
  type CircuitHalfOpen,
  type CircuitIsolated,
  type CircuitOpen,
  CircuitBreaker,
  Resilience,
  ResilienceError,
  Retry,
  Strategy,
  Timeout,
  type TimeoutExceeded,
  withOperation,
  withResilience
} from "breakwater"
import type { FallbackOn } from "../src/Pipeline.ts"

class Down {
  readonly _tag = "Down"
}
class Busy {
  readonly _tag = "Busy"
}

declare const work: Effect.Effect<number, Down>
declare const decoding: Effect.Effect<number, Schema.SchemaError | Down>

type ErrorOf<T> = T extends Effect.Effect<infer _A, infer E, infer _R> ? E : never
type SuccessOf<T> = T extends Effect.Effect<infer A, infer _E, infer _R> ? A : never

declare const isOn: boolean

describe("a guarded effect", () => {
  it("needs the layer", () => {
    const guarded = work.pipe(withResilience("balanced"))
    expectTypeOf(guarded).toEqualTypeOf<Effect.Effect<number, Down | ResilienceError, Resilience>>()
    // @ts-expect-error the layer is missing
    void Effect.runPromise(guarded)
    // @ts-expect-error the layer is missing
    void Effect.runPromise(work.pipe(withOperation("summarize")))
    void Effect.runPromise(guarded.pipe(Effect.provide(Resilience.layer())))
  })

  it("keeps its answer, its errors and its needs, data first and data last", () => {
    expectTypeOf(withResilience(work, "critical")).toEqualTypeOf(work.pipe(withResilience("critical")))
    expectTypeOf(withOperation(work, "summarize")).toEqualTypeOf(work.pipe(withOperation("summarize")))
    expectTypeOf<ErrorOf<ReturnType<typeof both>>>().toEqualTypeOf<Schema.SchemaError | Down | ResilienceError>()
    const both = () => withResilience(decoding, "balanced", { operation: "decode", key: "tenant" })
    expectTypeOf<Effect.Services<ReturnType<typeof tagged>>>().toEqualTypeOf<
      Resilience | CircuitBreaker.CircuitBreaker
    >()
    const tagged = () => withResilience(Effect.asVoid(CircuitBreaker.CircuitBreaker), "balanced")
  })

  it("refuses names of strategies that do not exist", () => {
    expectTypeOf<"agressive">().not.toExtend<Strategy.BuiltIn>()
    // @ts-expect-error no such strategy
    work.pipe(withResilience("agressive"))
    // @ts-expect-error no such strategy
    withResilience(work, "fast", { operation: "target" })
    // @ts-expect-error an operation is text
    withOperation(work, 1)
    // @ts-expect-error no such option
    withResilience(work, "balanced", { operations: "target" })
  })

  it("narrows by reason", () => {
    const handled = work.pipe(
      withResilience("balanced"),
      Effect.catchReason("ResilienceError", "CircuitOpen", (reason) => {
        expectTypeOf(reason).toEqualTypeOf<CircuitOpen>()
        return Effect.succeed(reason.retryAfter)
      })
    )
    expectTypeOf<ErrorOf<typeof handled>>().toExtend<Down | ResilienceError>()
    work.pipe(
      withResilience("balanced"),
      // @ts-expect-error no such reason
      Effect.catchReason("ResilienceError", "CircuitBroken", () => Effect.succeed(0))
    )
    const caught = work.pipe(
      withResilience("balanced"),
      Effect.catchTag("ResilienceError", (error) => {
        expectTypeOf(error).toEqualTypeOf<ResilienceError>()
        return Effect.succeed(0)
      })
    )
    expectTypeOf<ErrorOf<typeof caught>>().toEqualTypeOf<Down>()
  })
})

describe("a fallback", () => {
  it("takes every error away, and adds its own", () => {
    const answered = withResilience(work, "balanced", {
      fallback: (error) => {
        expectTypeOf(error).toEqualTypeOf<Down | ResilienceError>()
        return Effect.succeed("instead" as const)
      }
    })
    expectTypeOf(answered).toEqualTypeOf<Effect.Effect<number | "instead", never, Resilience>>()

    const failing = withOperation(work, "summarize", { fallback: () => Effect.fail(new Busy()) })
    expectTypeOf(failing).toEqualTypeOf<Effect.Effect<number, Busy, Resilience>>()
  })

  it("keeps the effect's own errors when it answers rejections only", () => {
    const answered = withResilience(work, "balanced", {
      fallbackOn: "rejections",
      fallback: (error) => {
        expectTypeOf(error).toEqualTypeOf<ResilienceError>()
        return Effect.fail(new Busy())
      }
    })
    expectTypeOf<ErrorOf<typeof answered>>().toEqualTypeOf<Down | Busy>()
  })

  it("is given the rejections of a guard inside, too", () => {
    const inner = work.pipe(withResilience(Strategy.make("inner", { timeout: false })))
    const outer = Strategy.make("outer", { circuitBreaker: false })
    withResilience(inner, outer, {
      fallbackOn: "rejections",
      fallback: (error) => {
        expectTypeOf(error.reason).toEqualTypeOf<CircuitOpen | CircuitHalfOpen | CircuitIsolated | TimeoutExceeded>()
        return Effect.succeed(0)
      }
    })
  })

  it("knows nothing of the error when it answers defects too", () => {
    const answered = withResilience(work, "balanced", {
      fallbackOn: "all",
      fallback: (error) => {
        expectTypeOf(error).toEqualTypeOf<unknown>()
        return Effect.succeed(0)
      }
    })
    expectTypeOf(answered).toEqualTypeOf<Effect.Effect<number, never, Resilience>>()
  })

  it("does the same at the end of a pipe", () => {
    const answered = work.pipe(withResilience("balanced", { fallback: () => Effect.succeed("instead" as const) }))
    expectTypeOf<SuccessOf<typeof answered>>().toEqualTypeOf<number | "instead">()
    expectTypeOf<ErrorOf<typeof answered>>().toEqualTypeOf<never>()
    const rejections = work.pipe(
      withResilience("balanced", { fallbackOn: "rejections", fallback: () => Effect.succeed(0) })
    )
    expectTypeOf<ErrorOf<typeof rejections>>().toEqualTypeOf<Down>()
  })

  it("answers to known occasions only", () => {
    expectTypeOf<"errors">().not.toExtend<FallbackOn>()
    withResilience(work, "balanced", {
      // @ts-expect-error no such occasion
      fallbackOn: "errors",
      fallback: () => Effect.succeed(0)
    })
  })
})

describe("a strategy of one's own", () => {
  type Circuit = CircuitOpen | CircuitHalfOpen | CircuitIsolated

  it("adds the reasons of its policies, and no others", () => {
    expectTypeOf(Strategy.make("all")).toEqualTypeOf<Strategy.Strategy<"all", Circuit | TimeoutExceeded>>()
    expectTypeOf(Strategy.make("timed", { circuitBreaker: false })).toEqualTypeOf<
      Strategy.Strategy<"timed", TimeoutExceeded>
    >()
    expectTypeOf(Strategy.make("broken", { timeout: false })).toEqualTypeOf<Strategy.Strategy<"broken", Circuit>>()
    expectTypeOf(Strategy.make("stated", { circuitBreaker: { failureThreshold: 3 } })).toEqualTypeOf<
      Strategy.Strategy<"stated", Circuit | TimeoutExceeded>
    >()
    expectTypeOf(Strategy.make("bare", { circuitBreaker: false, timeout: false })).toEqualTypeOf<
      Strategy.Strategy<"bare", never>
    >()
  })

  it("takes over what its base leaves out", () => {
    const timed = Strategy.make("timed", { circuitBreaker: false })
    expectTypeOf(Strategy.make("heir", { extends: timed })).toEqualTypeOf<Strategy.Strategy<"heir", TimeoutExceeded>>()
    expectTypeOf(Strategy.make("heir", { extends: timed, circuitBreaker: { failureThreshold: 2 } })).toEqualTypeOf<
      Strategy.Strategy<"heir", Circuit | TimeoutExceeded>
    >()
    expectTypeOf(Strategy.make("heir", { extends: "critical", timeout: false })).toEqualTypeOf<
      Strategy.Strategy<"heir", Circuit>
    >()
  })

  it("without a circuit breaker leaves no circuit reason in the error", () => {
    const timed = Strategy.make("timed", { circuitBreaker: false })
    const guarded = work.pipe(withResilience(timed))
    expectTypeOf<ErrorOf<typeof guarded>>().toEqualTypeOf<Down | ResilienceError<TimeoutExceeded>>()
    const handled = guarded.pipe(
      Effect.catchReason("ResilienceError", "TimeoutExceeded", (reason) => Effect.succeed(reason.scope))
    )
    expectTypeOf<SuccessOf<typeof handled>>().toEqualTypeOf<number | "attempt" | "total">()
    // @ts-expect-error a circuit that is not there does not open
    guarded.pipe(Effect.catchReason("ResilienceError", "CircuitOpen", () => Effect.succeed(0)))
  })

  it("refuses policies and settings that do not exist", () => {
    expectTypeOf<keyof Strategy.Overrides>().toEqualTypeOf<
      | "extends"
      | "retry"
      | "circuitBreaker"
      | "timeout"
      | "admission"
      | "bulkhead"
      | "quota"
      | "retryBudget"
      | "rules"
      | "openSchedule"
    >()
    // @ts-expect-error no such policy
    Strategy.make("wrong", { bulkheads: false })
    // @ts-expect-error settings that start no policy
    Strategy.make("wrong", { bulkhead: { maxConcurrent: 3 } })
    // @ts-expect-error no such setting
    Strategy.make("wrong", { circuitBreaker: { failureTreshold: 3 } })
    // @ts-expect-error a policy is left out with false
    Strategy.make("wrong", { retry: true })
    // @ts-expect-error no such jitter
    Strategy.make("wrong", { retry: { jitter: "some" } })
    // @ts-expect-error no such base
    Strategy.make("wrong", { extends: "fast" })
  })
})

describe("single policies", () => {
  it("add their own reasons only", () => {
    expectTypeOf(work.pipe(Timeout.attempt("1 second"))).toEqualTypeOf<
      Effect.Effect<number, Down | ResilienceError<TimeoutExceeded>>
    >()
    expectTypeOf(Timeout.total(work, "1 second")).toEqualTypeOf<
      Effect.Effect<number, Down | ResilienceError<TimeoutExceeded>>
    >()
    expectTypeOf(work.pipe(Retry.retry())).toEqualTypeOf<Effect.Effect<number, Down>>()
    const program = Effect.flatMap(CircuitBreaker.make({ operation: "target" }), (breaker) =>
      work.pipe(breaker.protect())
    )
    expectTypeOf(program).toEqualTypeOf<
      Effect.Effect<number, Down | ResilienceError<CircuitOpen | CircuitHalfOpen | CircuitIsolated>>
    >()
  })

  it("take durations as Effect does, and nothing else", () => {
    expectTypeOf(work.pipe(Timeout.attempt(1_000))).toEqualTypeOf(work.pipe(Timeout.attempt("1 second")))
    // @ts-expect-error not a duration
    work.pipe(Timeout.attempt("1 sec"))
    // @ts-expect-error a limit is needed
    work.pipe(Timeout.attempt())
    CircuitBreaker.settings({ openDuration: "1 minute" })
    // @ts-expect-error not a duration
    CircuitBreaker.settings({ openDuration: true })
  })

  it("build errors whose reason is known", () => {
    expectTypeOf<ResilienceError<CircuitOpen>>().toExtend<ResilienceError>()
    expectTypeOf<ResilienceError>().not.toExtend<ResilienceError<CircuitOpen>>()
    // @ts-expect-error a reason is needed
    void new ResilienceError({ operation: "target" })
  })
})

describe("the reasons of a strategy", () => {
  type ReasonsOf<S> = S extends Strategy.Strategy<string, infer R> ? R["_tag"] : never
  const bulkhead = Bulkhead.settings()
  const limited = Strategy.make("limited", { bulkhead, circuitBreaker: false, timeout: false })

  it("are those of its policies, and of what it extends", () => {
    expectTypeOf<ReasonsOf<typeof limited>>().toEqualTypeOf<BulkheadFull["_tag"]>()
    const derived = Strategy.make("derived", { extends: limited, retry: false })
    expectTypeOf<ReasonsOf<typeof derived>>().toEqualTypeOf<"BulkheadFull">()
    const without = Strategy.make("without", { extends: limited, bulkhead: false })
    expectTypeOf<ReasonsOf<typeof without>>().toEqualTypeOf<never>()
  })

  it("include those of a policy that may be there", () => {
    const maybe = Strategy.make("maybe", {
      bulkhead: isOn ? bulkhead : undefined,
      circuitBreaker: false,
      timeout: isOn ? false : undefined
    })
    expectTypeOf<ReasonsOf<typeof maybe>>().toEqualTypeOf<"BulkheadFull" | "TimeoutExceeded">()
    const perhaps = Strategy.make("perhaps", {
      bulkhead: isOn && bulkhead,
      circuitBreaker: false,
      timeout: false
    })
    expectTypeOf<ReasonsOf<typeof perhaps>>().toEqualTypeOf<"BulkheadFull">()
    const kept = Strategy.make("kept", { extends: limited, bulkhead: isOn ? undefined : false })
    expectTypeOf<ReasonsOf<typeof kept>>().toEqualTypeOf<"BulkheadFull">()
  })
})
