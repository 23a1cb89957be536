import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { FetchHttpClient, HttpClient, HttpClientRequest, HttpClientResponse, HttpRouter } from "effect/http"
import { Preset, Registry, Resilience } from "breakwater"
import * as Http from "../Http.ts"
import { Model } from "../Model.ts"
import { ModelServer } from "../ModelServer.ts"
import { strategies } from "../Strategies.ts"
import { TextService } from "../TextService.ts"

const text = `${"A harbour lies calm behind its breakwater. ".repeat(8)}The end.`

const service = Layer.unwrap(
  Effect.map(ModelServer, ({ baseUrl }) =>
    TextService.layer.pipe(
      Layer.provide(Model.layer({ baseUrl, apiKey: Redacted.make("any"), model: "scripted" })),
      Layer.provide(FetchHttpClient.layer)
    )
  )
)

const resilience = Resilience.layer(Preset.simple, {
  operations: Object.entries(strategies(8)).map(([name, strategy]) => ({ name, strategy }))
})

const Live = HttpRouter.serve(Http.layer, { disableLogger: true, disableListenLog: true }).pipe(
  Layer.provide(service),
  Layer.provideMerge(ModelServer.layer({ speed: 8 })),
  Layer.provideMerge(NodeHttpServer.layerTest)
)

const post = (body: unknown) =>
  HttpClientRequest.post(Http.path).pipe(HttpClientRequest.bodyJsonUnsafe(body), HttpClient.execute)

const answerTo = (body: unknown) =>
  Effect.gen(function* () {
    const response = yield* post(body)
    assert.strictEqual(response.status, 200)
    return yield* HttpClientResponse.schemaBodyJson(Http.Response)(response)
  })

const refusalOf = (body: unknown) =>
  Effect.gen(function* () {
    const response = yield* post(body)
    const envelope = yield* HttpClientResponse.schemaBodyJson(Http.Envelope)(response)
    return { status: response.status, envelope }
  })

layer(Live.pipe(Layer.provideMerge(resilience)), { excludeTestServices: true })("the service", (it) => {
  it.effect("answers every operation by the model", () =>
    Effect.gen(function* () {
      const summary = yield* answerTo({ operation: "summarize", text })
      assert.strictEqual(summary.source, "model")
      assert.strictEqual(summary.result, "A harbour lies calm behind its breakwater.")
      assert.match(summary.request_id, /^req_[0-9a-f]{8}$/)

      assert.strictEqual((yield* answerTo({ operation: "sentiment", text })).sentiment?.sentiment, "positive")
      assert.lengthOf((yield* answerTo({ operation: "key_points", text })).key_points ?? [], 3)
      assert.lengthOf((yield* answerTo({ operation: "questions", text })).questions ?? [], 2)
      const { result } = yield* answerTo({ operation: "qa", text, question: "Where is it calm?" })
      assert.include(result, "The text says")
    })
  )

  for (const [what, body, message] of [
    ["an operation that does not exist", { operation: "translate", text }, "operation: Expected"],
    ["a text of blanks", { operation: "summarize", text: "  " }, "text: Expected"],
    ["a text that is too long", { operation: "summarize", text: "a".repeat(10_001) }, "text: Expected"],
    ["qa without a question", { operation: "qa", text }, "question: qa needs a question"],
    ["a body that is no object", [], "Expected object"]
  ] as const) {
    it.effect(`refuses ${what} with 400`, () =>
      Effect.gen(function* () {
        const { envelope, status } = yield* refusalOf(body)
        assert.strictEqual(status, 400)
        assert.strictEqual(envelope.error_code, "ValidationError")
        assert.include(envelope.error, message)
        assert.strictEqual(envelope.context.endpoint, "process_text")
        assert.strictEqual(envelope.context.operation, "text_processing")
      })
    )
  }

  it.effect("refuses what is not JSON with 400 and what is too large with 413", () =>
    Effect.gen(function* () {
      const response = yield* HttpClientRequest.post(Http.path).pipe(
        HttpClientRequest.bodyText("summarize, please", "application/json"),
        HttpClient.execute
      )
      assert.strictEqual(response.status, 400)
      const { envelope, status } = yield* refusalOf({ operation: "summarize", text: "a".repeat(70_000) })
      assert.strictEqual(status, 413)
      assert.strictEqual(envelope.error_code, "RequestTooLargeError")
    })
  )

  it.effect("has an envelope for a route that does not exist", () =>
    Effect.gen(function* () {
      const response = yield* HttpClient.get("/v1/nothing")
      const envelope = yield* HttpClientResponse.schemaBodyJson(Http.Envelope)(response)
      assert.strictEqual(response.status, 404)
      assert.strictEqual(envelope.error_code, "NotFoundError")
    })
  )
})

layer(Live.pipe(Layer.provideMerge(resilience)), { excludeTestServices: true })("the service without a model", (it) => {
  it.effect("answers every operation by its fallback, soon without calling the model", () =>
    Effect.gen(function* () {
      yield* (yield* ModelServer).become("dropping")

      const summary = yield* answerTo({ operation: "summarize", text })
      assert.strictEqual(summary.source, "fallback")
      assert.isTrue(text.startsWith(summary.result!.slice(0, 150)))
      assert.isAtMost(summary.result!.length, 202)

      const { sentiment } = yield* answerTo({ operation: "sentiment", text })
      assert.deepInclude(sentiment, { sentiment: "neutral", confidence: 0 })
      assert.deepStrictEqual((yield* answerTo({ operation: "key_points", text })).key_points, [])
      assert.deepStrictEqual((yield* answerTo({ operation: "questions", text })).questions, [])
      const { result } = yield* answerTo({ operation: "qa", text, question: "Where is it calm?" })
      assert.include(result, "Sorry")

      // 4 failures in a row open it: 3 attempts of the first call, 1 of this one.
      yield* answerTo({ operation: "summarize", text })
      const resilience = yield* Registry
      const before = (yield* resilience.operations).find(({ name }) => name === "summarize_text")
      assert.strictEqual(before?.circuits[0]?.state, "open")
      assert.strictEqual(before?.counters.attempts, 4)
      assert.strictEqual(before?.counters.fallbacks, 2)
    })
  )
})
