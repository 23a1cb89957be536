/**
 * A model server that misbehaves by a script, for demonstrations without a
 * provider. It speaks the chat completion of OpenAI on a loopback port.
 */
import { Context, Effect, FiberSet, Layer, Option, Random, Ref, Schema } from "effect"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import { instructions } from "./TextService.ts"

export type Behaviour = "healthy" | "slow" | "rate_limited" | "failing" | "hanging" | "dropping"

export const descriptions: { readonly [B in Behaviour]: string } = {
  healthy: "is healthy",
  slow: "is slow, within the limits",
  rate_limited: "answers 429 with Retry-After",
  failing: "answers 500",
  hanging: "accepts calls and never answers",
  dropping: "drops every connection"
}

export interface Phase {
  readonly behaviour: Behaviour
  readonly seconds: number
}

export const script: ReadonlyArray<Phase> = [
  { behaviour: "healthy", seconds: 3 },
  { behaviour: "slow", seconds: 3 },
  { behaviour: "rate_limited", seconds: 3 },
  { behaviour: "healthy", seconds: 4 },
  { behaviour: "failing", seconds: 4 },
  { behaviour: "healthy", seconds: 4 },
  { behaviour: "hanging", seconds: 3 },
  { behaviour: "dropping", seconds: 2 },
  { behaviour: "healthy", seconds: 5 }
]

const ChatRequest = Schema.fromJsonString(
  Schema.Struct({
    model: Schema.String,
    messages: Schema.Array(Schema.Struct({ role: Schema.String, content: Schema.String }))
  })
)

export class ModelServer extends Context.Service<
  ModelServer,
  {
    /** The base URL, as `OPENAI_BASE_URL` would name it. */
    readonly baseUrl: string
    readonly become: (behaviour: Behaviour) => Effect.Effect<void>
    /** Goes through the script once. `onPhase` runs as each phase begins. */
    readonly play: (onPhase: (phase: Phase) => Effect.Effect<void>) => Effect.Effect<void>
  }
>()("text-service/ModelServer") {
  /** `speed` divides every duration. */
  static readonly layer = ({ speed = 1 }: { readonly speed?: number } = {}): Layer.Layer<ModelServer> =>
    Layer.effect(
      ModelServer,
      Effect.gen(function* () {
        const current = yield* Ref.make<Behaviour>("healthy")
        const run = yield* FiberSet.makeRuntime()

        const answer = Effect.fnUntraced(function* (request: IncomingMessage, response: ServerResponse) {
          const behaviour = yield* Ref.get(current)
          if (behaviour === "dropping") return request.socket.destroy()
          if (behaviour === "hanging") return yield* Effect.never

          const body = yield* Effect.tryPromise(() => text(request))
          const [least, most] = behaviour === "slow" ? [400, 800] : [30, 80]
          yield* Effect.sleep((yield* Random.nextBetween(least, most)) / speed)
          if (behaviour === "rate_limited") {
            return send(response, 429, failure("too many requests", "rate_limit_error"), { "retry-after": "1" })
          }
          if (behaviour === "failing") return send(response, 500, failure("the server failed", "server_error"))

          const chat = Schema.decodeOption(ChatRequest)(body)
          if (request.method !== "POST" || request.url !== "/v1/chat/completions") {
            return send(response, 404, failure("no such route", "invalid_request_error"))
          }
          if (Option.isNone(chat)) return send(response, 400, failure("not a chat", "invalid_request_error"))
          const said = (role: string) => chat.value.messages.find((message) => message.role === role)?.content ?? ""
          return send(response, 200, {
            object: "chat.completion",
            model: chat.value.model,
            choices: [
              {
                index: 0,
                message: { role: "assistant", content: reply(said("system"), said("user")) },
                finish_reason: "stop"
              }
            ]
          })
        })

        const server = yield* Effect.acquireRelease(
          Effect.callback<ReturnType<typeof createServer>>((resume) => {
            const server = createServer((request, response) => {
              const fiber = run(Effect.ignore(answer(request, response)))
              // Also ends a hanging answer when its caller has given up.
              response.once("close", () => fiber.interruptUnsafe())
            })
            server.once("error", (error) => resume(Effect.die(error)))
            server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
          }),
          (server) =>
            Effect.callback<void>((resume) => {
              server.close(() => resume(Effect.void))
              server.closeAllConnections()
            })
        )

        return ModelServer.of({
          baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
          become: (behaviour) => Ref.set(current, behaviour),
          play: (onPhase) =>
            Effect.forEach(
              script,
              (phase) =>
                Ref.set(current, phase.behaviour).pipe(
                  Effect.andThen(onPhase(phase)),
                  Effect.andThen(Effect.sleep((phase.seconds * 1000) / speed))
                ),
              { discard: true }
            )
        })
      })
    )
}

const failure = (message: string, type: string) => ({ error: { message, type } })

const send = (
  response: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {}
): void => {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body))
}

/** What a model could have said. */
const reply = (system: string, user: string): string => {
  const sentences = user.split(/(?<=[.!?])\s+/)
  switch (system) {
    case instructions.analyze_sentiment:
      return JSON.stringify({ sentiment: "positive", confidence: 0.9, explanation: "The tone is confident." })
    case instructions.extract_key_points:
      return sentences
        .slice(0, 3)
        .map((sentence) => `- ${sentence}`)
        .join("\n")
    case instructions.generate_questions:
      return "What is this text about?\nWho is it for?"
    case instructions.answer_question:
      return `The text says: ${sentences[0]}`
    default:
      return sentences[0] ?? ""
  }
}
