/**
 * The rows that are measured in time. In every row the contestant `breakwater` is what the others are compared with.
 */
import {
  Async,
  Preset,
  Presets,
  Registry,
  type Resilience,
  Resolution,
  Retry,
  Strategy,
  Timeout,
  Validation,
  withResilience
} from "breakwater"
import { ConfigProvider, Context, DateTime, Effect, Exit, Fiber } from "effect"
import { TestClock } from "effect/testing"
import pRetry from "p-retry"
import {
  algorithms,
  extended,
  ownBreaker,
  ownBulkhead,
  ownLimiter,
  resilience,
  stack
} from "./contestants/breakwater.ts"
import {
  cockatielBreaker,
  cockatielBulkhead,
  cockatielFull,
  cockatielRetry,
  cockatielRetryAtOnce,
  cockatielStack,
  cockatielTimeout
} from "./contestants/cockatiel.ts"
import {
  effectAlgorithms,
  effectBreaker,
  effectBulkhead,
  effectLimiter,
  effectPieces,
  effectPiecesWithSemaphore,
  effectRetry,
  fewerEffectPieces,
  watched
} from "./contestants/effect.ts"
import { answerEffect, awaited, build, byRunPromise, inFiber, none, runLoop, valueEffect } from "./contestants/fiber.ts"
import { mollitiaCircuit } from "./contestants/mollitia.ts"
import { opossumAsShipped, opossumBreaker, opossumFull } from "./contestants/opossum.ts"
import { answer, down, numbers, value } from "./contestants/work.ts"
import type { Contestant, TimeRow } from "./harness.ts"

type Guarded = Effect.Effect<unknown, unknown, Resilience>
type Call = () => unknown
type Named<A> = ReadonlyArray<readonly [name: string, guarded: A]>

/** One protection, as each contestant puts it around an effect or a function. */
interface Protection {
  readonly effects: (self: Effect.Effect<number>) => Named<Guarded>
  /** `action` is what is guarded; `promised` is the same for a contestant that takes async functions only. */
  readonly calls: (action: Call, promised: () => Promise<number>) => Named<Call>
}

// The same names, retries and limits in every contestant: contestants/.
const protections: { readonly [name: string]: Protection } = {
  "breaker alone": {
    effects: (self) => [
      ["breakwater", self.pipe(ownBreaker().protect())],
      ["effect", self.pipe(effectBreaker().execute({ key: "own" }))],
      ["effect, watched", watched(self)]
    ],
    calls: (action, promised) => {
      const policy = cockatielBreaker()
      const opossum = opossumBreaker(action)
      const shipped = opossumAsShipped(action)
      return [
        ["breakwater, Async.protect", Async.protect(ownBreaker(), {}, promised)],
        ["cockatiel", () => policy.execute(action)],
        ["opossum", () => opossum.fire()],
        ["opossum, as shipped", () => shipped.fire()],
        ["mollitia", mollitiaCircuit.breaker(promised)]
      ]
    }
  },
  "retry alone": {
    effects: (self) => [
      ["breakwater", self.pipe(Retry.retry())],
      ["effect", effectRetry(self)]
    ],
    calls: (action, promised) => {
      const policy = cockatielRetry()
      const options = { retries: numbers.retries, minTimeout: numbers.firstPause }
      return [
        ["cockatiel", () => policy.execute(action)],
        ["mollitia", mollitiaCircuit.retry(promised)],
        ["p-retry", () => pRetry(action, options)]
      ]
    }
  },
  "timeout alone": {
    effects: (self) => [
      ["breakwater", self.pipe(Timeout.attempt(numbers.attemptMillis))],
      ["effect", self.pipe(Effect.timeout(numbers.attemptMillis))]
    ],
    calls: (action, promised) => {
      const policy = cockatielTimeout()
      return [
        ["cockatiel", () => policy.execute(action)],
        ["mollitia", mollitiaCircuit.timeout(promised)]
      ]
    }
  },
  "bulkhead alone": {
    effects: (self) => [
      ["breakwater", self.pipe(ownBulkhead().protect())],
      ["effect", effectBulkhead()(self)]
    ],
    calls: (action) => {
      const policy = cockatielBulkhead()
      return [["cockatiel", () => policy.execute(action)]]
    }
  },
  "full strategy": {
    effects: (self) => [
      ["breakwater", self.pipe(withResilience("balanced", { operation: "full" }))],
      ["effect", effectPieces()(self)],
      ["effect, no total timeout", fewerEffectPieces(self)],
      ["effect, and a semaphore", effectPiecesWithSemaphore(self)]
    ],
    calls: (action, promised) => {
      const policy = cockatielFull()
      const opossum = opossumFull(action)
      return [
        ["cockatiel", () => policy.execute(action)],
        ["opossum", () => opossum.fire()],
        ["mollitia", mollitiaCircuit.full(promised)]
      ]
    }
  },
  "full strategy, bulkhead and window": {
    effects: (self) => [["breakwater", self.pipe(withResilience(stack, { operation: "stack" }))]],
    calls: (action) => {
      const policy = cockatielStack()
      return [["cockatiel", () => policy.execute(action)]]
    }
  }
}

const rows = (...names: ReadonlyArray<string>) => ({ name: names.join(" / "), rows: names })

const alone = Object.entries(protections).flatMap(([name, { calls, effects }]): ReadonlyArray<TimeRow> => {
  const both = rows(`${name}, promise (in a fiber)`, `${name}, promise (by runPromise)`)
  return [
    {
      name: `${name}, sync (in a fiber)`,
      setup: async () => {
        const context = await resilience()
        return [
          ...effects(valueEffect).map(([contestant, guarded]) => inFiber(contestant, context, guarded)),
          ...calls(value, answer).map(([contestant, call]) => awaited(contestant, call)),
          inFiber("bare effect", context, valueEffect),
          awaited("bare function", value)
        ]
      }
    },
    {
      name: both.name,
      setup: async () => {
        const context = await resilience()
        const guarded: Named<Guarded> = [...effects(answerEffect), ["bare effect", answerEffect]]
        return [
          ...guarded.map(([contestant, effect]) => ({
            ...inFiber(contestant, context, effect),
            rows: [both.rows[0]!]
          })),
          ...guarded.map(([contestant, effect]) => ({
            ...byRunPromise(contestant, context, effect),
            rows: [both.rows[1]!]
          })),
          // Promises are driven in one way only.
          ...[...calls(answer, answer), ["bare promise", answer] as const].map(([contestant, call]) => ({
            ...awaited(contestant, call),
            rows: both.rows
          }))
        ]
      }
    }
  ]
})

// Many at once

const crowd = 1000
const thousand = Array.from({ length: crowd }, (_, index) => index)

/** A function whose promises all resolve when the thousandth call has been made. */
const gate = (): (() => Promise<number>) => {
  let calls = 0
  let { promise, resolve } = Promise.withResolvers<number>()
  return () => {
    const shared = promise
    if (++calls === crowd) {
      resolve(1)
      calls = 0
      ;({ promise, resolve } = Promise.withResolvers<number>())
    }
    return shared
  }
}

const inFlight = (protection: string): TimeRow => {
  const both = rows(`${protection}, 1,000 in flight (in a fiber)`, `${protection}, 1,000 in flight (by runPromise)`)
  return {
    name: both.name,
    setup: async () => {
      const context = await resilience()
      const run = Effect.runPromiseWith(context)
      const { calls, effects } = protections[protection]!
      const together = (name: string, call: Call): Contestant => ({
        ...awaited(name, () => Promise.all(thousand.map(call))),
        callsPerStep: crowd,
        rows: both.rows
      })
      const drive = (name: string, guarded: Guarded): ReadonlyArray<Contestant> => [
        {
          ...inFiber(
            name,
            context,
            Effect.forEach(thousand, () => guarded, { concurrency: "unbounded", discard: true })
          ),
          callsPerStep: crowd,
          rows: [both.rows[0]!]
        },
        { ...together(name, () => run(guarded)), rows: [both.rows[1]!] }
      ]
      // Each contestant has a gate of its own.
      return [
        ...effects(valueEffect).flatMap(([name], index) => drive(name, effects(Effect.promise(gate()))[index]![1])),
        ...drive("bare effect", Effect.promise(gate())),
        ...calls(answer, answer).map(([name], index) => {
          const action = gate()
          return together(name, calls(action, action)[index]![1])
        }),
        together("bare promise", gate())
      ]
    }
  }
}

// One policy more

const limiterRow = (algorithm: string): string => `rate limit alone, ${algorithm}, sync (in a fiber)`

const limiters: TimeRow = {
  name: rows(...algorithms.map(limiterRow)).name,
  setup: () => [
    ...algorithms.map((algorithm) => ({
      ...inFiber("breakwater", none, valueEffect.pipe(ownLimiter(algorithm).protect())),
      rows: [limiterRow(algorithm)]
    })),
    ...effectAlgorithms.map((algorithm) => ({
      ...inFiber("effect", none, valueEffect.pipe(effectLimiter(algorithm))),
      rows: [limiterRow(algorithm)]
    })),
    { ...inFiber("bare effect", none, valueEffect), rows: algorithms.map(limiterRow) }
  ]
}

const oneMore: TimeRow = {
  name: "full strategy with one policy more, promise (in a fiber)",
  setup: async () => {
    const context = await resilience()
    const guarded: Named<Guarded> = [
      ["breakwater", answerEffect.pipe(withResilience("balanced", { operation: "balanced" }))],
      ...Object.entries(extended).map(
        ([name, strategy]) => [name, answerEffect.pipe(withResilience(strategy, { operation: strategy.name }))] as const
      )
    ]
    return guarded.map(([name, effect]) => inFiber(name, context, effect))
  }
}

// Trouble

const ignore = (): void => {}
const failing = Effect.fail(down)
const fail = async (): Promise<number> => {
  throw down
}
const times = (count: number): ReadonlyArray<number> => thousand.slice(0, count)

const rejection: TimeRow = {
  name: "rejection by an open circuit",
  setup: async () => {
    const context = await resilience()
    const run = Effect.runPromiseWith(context)
    const open = <R>(guarded: Effect.Effect<unknown, unknown, R>) =>
      Effect.forEach(times(numbers.failures), () => Effect.exit(guarded), { discard: true })

    const own = ownBreaker()
    const effectOwn = effectBreaker().execute({ key: "own" })
    const once = Strategy.make("once", { retry: false })
    await run(open(failing.pipe(own.protect())))
    await run(open(failing.pipe(effectOwn)))
    await run(open(failing.pipe(withResilience(once, { operation: "open" }))))
    const cockatiel = cockatielBreaker()
    for (const _ of times(numbers.failures)) await cockatiel.execute(fail).catch(ignore)
    const opossum = opossumBreaker(answer)
    opossum.open()
    const mollitia = mollitiaCircuit.openBreaker(answer)

    const guarded: Named<Guarded> = [
      ["breakwater", answerEffect.pipe(own.protect())],
      ["breakwater, full strategy", answerEffect.pipe(withResilience("balanced", { operation: "open" }))],
      ["effect", answerEffect.pipe(effectOwn)]
    ]
    const calls: Named<() => Promise<unknown>> = [
      ["cockatiel", () => cockatiel.execute(answer)],
      ["opossum", () => opossum.fire()],
      ["mollitia", mollitia]
    ]
    for (const [name, effect] of guarded) rejects(name, await run(Effect.exit(effect)))
    for (const [name, call] of calls) rejects(name, await run(Effect.exit(Effect.promise(call))))
    return [
      ...guarded.map(([name, effect]) => inFiber(name, context, Effect.exit(effect))),
      ...calls.map(([name, call]) => awaited(name, () => call().catch(ignore))),
      inFiber("bare effect", none, Effect.exit(failing)),
      awaited("bare promise", () => fail().catch(ignore))
    ]
  }
}

const rejects = (name: string, exit: Exit.Exit<unknown, unknown>): void => {
  if (Exit.isSuccess(exit)) throw new Error(`${name} lets a call through its open circuit`)
}

/** As many failing calls, of three attempts each, as leave a circuit closed. Then one call succeeds. */
const failuresInARow = 30
const patientFailures = 100
const patient = Strategy.make("patient", { circuitBreaker: { failureThreshold: patientFailures } })

/** Makes a call, lets its pauses pass and waits for it. */
const underTestClock = (call: Guarded): Effect.Effect<void, unknown, Resilience> =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.exit(call), { startImmediately: true })
    yield* TestClock.adjust("20 seconds")
    rejects("a failing call", yield* Fiber.join(fiber))
  })

const testClock = (name: string, context: Context.Context<Resilience>, call: Guarded): Contestant =>
  inFiber(name, context, underTestClock(call))

/** A thousand at once, so that the millisecond of their timers is shared. */
const failed = (name: string, call: () => Promise<unknown>): Contestant => ({
  ...awaited(name, () => Promise.all(thousand.map(() => call().catch(ignore)))),
  callsPerStep: crowd
})

const twoSleeps = Effect.andThen(Effect.andThen(Effect.sleep("2 seconds"), Effect.sleep("4 seconds")), failing)

const underTest = async (): Promise<Context.Context<Resilience>> =>
  Context.merge(await resilience(), await build(TestClock.layer()))

const failures: ReadonlyArray<TimeRow> = [
  {
    name: "failing call with two retries, retry alone",
    setup: async () => {
      const context = await underTest()
      const cockatiel = cockatielRetryAtOnce()
      return [
        testClock("breakwater", context, failing.pipe(Retry.retry())),
        testClock("effect", context, effectRetry(failing)),
        failed("cockatiel", () => cockatiel.execute(fail)),
        failed("mollitia", mollitiaCircuit.retry(fail, 0)),
        failed("p-retry", () => pRetry(fail, { retries: numbers.retries, minTimeout: 0 })),
        testClock("bare effect", context, twoSleeps)
      ]
    }
  },
  {
    name: "failing call with two retries, full strategy",
    setup: async () => {
      const context = await underTest()
      const cockatiel = cockatielFull(cockatielRetryAtOnce(), Number.MAX_SAFE_INTEGER)
      const guarded = (name: string, protect: (self: Effect.Effect<number, Error>) => Guarded): Contestant => {
        const succeeds = protect(valueEffect)
        const fails = underTestClock(protect(failing))
        return {
          name,
          callsPerStep: failuresInARow,
          run: (steps) =>
            runLoop(context, steps * (failuresInARow + 1), (step) =>
              step % (failuresInARow + 1) === 0 ? succeeds : fails
            )
        }
      }
      return [
        guarded("breakwater", withResilience(patient, { operation: "failing" })),
        guarded("effect", effectPieces(patientFailures)),
        failed("cockatiel", () => cockatiel.execute(fail)),
        failed("mollitia", mollitiaCircuit.neverOpens(fail))
      ]
    }
  }
]

// Many operations

const namesOf = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `operation_${index}`)

const snapshots: TimeRow = {
  name: "snapshot of 1,000 operations",
  setup: async () => {
    const names = namesOf(1000)
    const context = await resilience({ operations: names })
    const run = Effect.runPromiseWith(context)
    const breaker = effectBreaker()
    const opossums = names.map(() => opossumFull(answer))
    for (let calls = 0; calls < 3; calls++) {
      for (const operation of names) {
        await run(valueEffect.pipe(withResilience("balanced", { operation })))
        await run(valueEffect.pipe(breaker.execute({ key: operation })))
      }
      for (const opossum of opossums) await opossum.fire()
    }
    return [
      inFiber(
        "breakwater",
        context,
        Effect.flatMap(Registry, (service) => service.operations)
      ),
      inFiber(
        "effect",
        none,
        Effect.forEach(names, (key) => breaker.state(key))
      ),
      {
        ...awaited("opossum", () => opossums.map((opossum) => opossum.stats)),
        close: () => {
          for (const opossum of opossums) opossum.shutdown()
        }
      }
    ]
  }
}

const few = "per call with 10 operations"
const many = "per call with 10,000 operations"

/** Calls that go round all operations, and on where the last batch stopped. */
const manyOperations: TimeRow = {
  name: rows(few, many).name,
  setup: async () => {
    const contestants: Array<Contestant> = []
    for (const [row, count] of [
      [few, 10],
      [many, 10_000]
    ] as const) {
      const names = namesOf(count)
      const context = await resilience({ operations: names })
      const pieces = effectPieces()
      const policies = new Map(names.map((name) => [name, cockatielFull()]))
      const counts = new Map(names.map((name) => [name, { calls: 0 }]))
      const counted = (name: string) => {
        counts.get(name)!.calls++
        return answerEffect
      }
      let next = 0
      const name = (): string => {
        if (next === names.length) next = 0
        return names[next++]!
      }
      const round: ReadonlyArray<Contestant> = [
        {
          name: "breakwater",
          run: (steps) =>
            runLoop(context, steps, () => answerEffect.pipe(withResilience("balanced", { operation: name() })))
        },
        { name: "effect", run: (steps) => runLoop(none, steps, () => pieces(answerEffect, name())) },
        { name: "bare effect", run: (steps) => runLoop(none, steps, () => counted(name())) },
        awaited("cockatiel", () => policies.get(name())!.execute(answer))
      ]
      for (const contestant of round) {
        await contestant.run(count)
        contestants.push({ ...contestant, rows: [row] })
      }
    }
    return contestants
  }
}

// Configuration

const environment = ConfigProvider.fromEnvRecord({
  RESILIENCE_PRESET: "production",
  RESILIENCE_CUSTOM_CONFIG: '{"retry_attempts":4,"operation_overrides":{"qa":"critical"}}'
})

const configured = (name: string, run: Effect.Effect<unknown, unknown, Presets.Presets>): TimeRow => ({
  name: `configuration, ${name}`,
  setup: async () => [
    inFiber("breakwater", Context.add(await build(Presets.layer), ConfigProvider.ConfigProvider, environment), run)
  ]
})

const configuration: ReadonlyArray<TimeRow> = [
  configured(
    "loading a preset",
    Effect.map(
      Effect.flatMap(Presets.Presets, (presets) => presets.get("production")),
      ({ overlay, preset }) => Preset.resolve(preset, overlay, "translate")
    )
  ),
  configured(
    "full resolution",
    Effect.flatMap(Resolution.read, (inputs) => Resolution.resolve(inputs, Resolution.noRuntime))
  ),
  configured(
    "validation",
    Effect.map(DateTime.now, (at) =>
      Validation.validateText('{"retry_attempts":4,"operation_overrides":{"qa":"critical"}}', { level: "secure", at })
    )
  )
]

export const timeRows: ReadonlyArray<TimeRow> = [
  ...alone,
  inFlight("full strategy"),
  inFlight("full strategy, bulkhead and window"),
  limiters,
  oneMore,
  rejection,
  ...failures,
  snapshots,
  manyOperations,
  ...configuration
]
