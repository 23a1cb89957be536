import { assert, layer } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Redacted, Scope } from "effect"
import { FetchHttpClient } from "effect/http"
import { Errors, Timeout } from "breakwater"
import { Model } from "../Model.ts"
import { type Behaviour, ModelServer, script } from "../ModelServer.ts"

const Live = Layer.unwrap(
  Effect.map(ModelServer, ({ baseUrl }) => Model.layer({ baseUrl, apiKey: Redacted.make("any"), model: "scripted" }))
).pipe(Layer.provideMerge(ModelServer.layer({ speed: 8 })), Layer.provide(FetchHttpClient.layer))

const failureAs = (behaviour: Behaviour) =>
  Effect.gen(function* () {
    const server = yield* ModelServer
    const model = yield* Model
    yield* server.become(behaviour)
    return yield* model.generate({ instructions: "Echo.", input: "One. Two." }).pipe(
      Timeout.attempt("500 millis"),
      Effect.flip,
      Effect.map((error) => Errors.classify(error))
    )
  })

layer(Live, { excludeTestServices: true })("ModelServer", (it) => {
  for (const behaviour of ["healthy", "slow"] as const) {
    it.effect(`answers when it is ${behaviour}`, () =>
      Effect.gen(function* () {
        yield* (yield* ModelServer).become(behaviour)
        const answer = yield* (yield* Model).generate({ instructions: "Echo.", input: "One. Two." })
        assert.strictEqual(answer, "One.")
      })
    )
  }

  it.effect("says how long to wait when it limits the rate", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* failureAs("rate_limited"), {
        kind: "rate_limited",
        retried: true,
        counted: true,
        retryAfter: Duration.seconds(1)
      })
    })
  )

  for (const behaviour of ["failing", "hanging", "dropping"] as const) {
    it.effect(`causes a transient failure that counts when it is ${behaviour}`, () =>
      Effect.gen(function* () {
        assert.deepStrictEqual(yield* failureAs(behaviour), { kind: "transient", retried: true, counted: true })
      })
    )
  }

  it.effect("ends a hanging call when it stops", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Layer.fresh(Live), scope)
      yield* Context.get(context, ModelServer).become("hanging")
      const call = yield* Effect.forkChild(Context.get(context, Model).generate({ instructions: "", input: "" }))
      yield* Effect.sleep("50 millis")
      yield* Effect.timeout(Scope.close(scope, Exit.void), "1 second")
      const error = yield* Effect.flip(Fiber.join(call))
      assert.strictEqual(Errors.classify(error).kind, "transient")
    })
  )

  it.effect("ends its script healthy, longer than any circuit stays open", () =>
    Effect.sync(() => {
      assert.deepStrictEqual(script.at(-1), { behaviour: "healthy", seconds: 5 })
    })
  )
})
