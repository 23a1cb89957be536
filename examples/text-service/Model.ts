/**
 * Asks a model, by an OpenAI-compatible chat completion over HTTP.
 *
 * HTTP failures pass through as they are: status, `Retry-After` and transport
 * errors are what Breakwater classifies.
 */
import { Context, Effect, flow, Layer, type Redacted, Schema } from "effect"
import { HttpClient, type HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"

export interface Provider {
  /** For example `https://api.openai.com/v1`. */
  readonly baseUrl: string
  readonly apiKey: Redacted.Redacted
  readonly model: string
}

export interface Prompt {
  readonly instructions: string
  readonly input: string
}

const Completion = Schema.Struct({
  choices: Schema.NonEmptyArray(Schema.Struct({ message: Schema.Struct({ content: Schema.String }) }))
})

export class Model extends Context.Service<
  Model,
  {
    readonly generate: (prompt: Prompt) => Effect.Effect<string, HttpClientError.HttpClientError | Schema.SchemaError>
  }
>()("text-service/Model") {
  static readonly layer = ({ apiKey, baseUrl, model }: Provider): Layer.Layer<Model, never, HttpClient.HttpClient> =>
    Layer.effect(
      Model,
      Effect.gen(function* () {
        const client = (yield* HttpClient.HttpClient).pipe(
          HttpClient.mapRequest(
            flow(
              HttpClientRequest.prependUrl(baseUrl),
              HttpClientRequest.bearerToken(apiKey),
              HttpClientRequest.acceptJson
            )
          ),
          HttpClient.filterStatusOk
        )

        const generate = Effect.fn("Model.generate")(function* ({ input, instructions }: Prompt) {
          const response = yield* HttpClientRequest.post("/chat/completions").pipe(
            HttpClientRequest.bodyJsonUnsafe({
              model,
              messages: [
                { role: "system", content: instructions },
                { role: "user", content: input }
              ]
            }),
            client.execute
          )
          const { choices } = yield* HttpClientResponse.schemaBodyJson(Completion)(response)
          return choices[0].message.content
        })

        return Model.of({ generate })
      })
    )
}
