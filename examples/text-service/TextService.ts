/**
 * What the service does with a text: five operations on a model, each with an
 * answer for when the model has none.
 */
import { Context, Effect, Layer, Schema } from "effect"
import { type Errors, Resilience, withOperation } from "breakwater"
import { Model } from "./Model.ts"

/** The operations as callers name them, and the names of their circuits. */
const operations = {
  summarize: "summarize_text",
  sentiment: "analyze_sentiment",
  key_points: "extract_key_points",
  questions: "generate_questions",
  qa: "answer_question"
} as const

export type Operation = (typeof operations)[keyof typeof operations]

export const names: ReadonlyArray<Operation> = Object.values(operations)

export const instructions: { readonly [O in Operation]: string } = {
  summarize_text: "Summarize the text in two sentences.",
  analyze_sentiment:
    'Judge the sentiment of the text. Answer with JSON only: {"sentiment": "positive" | "neutral" | "negative", ' +
    '"confidence": 0 to 1, "explanation": one sentence}.',
  extract_key_points: "List the key points of the text, one on each line.",
  generate_questions: "Write questions that the text answers, one on each line.",
  answer_question: "Answer the question from the text alone."
}

const Text = Schema.Trim.check(Schema.isMinLength(1), Schema.isMaxLength(10_000))
const Question = Schema.Trim.check(Schema.isMinLength(1), Schema.isMaxLength(500))

export const Request = Schema.Struct({
  operation: Schema.Literals(["summarize", "sentiment", "key_points", "questions", "qa"]),
  text: Text,
  question: Schema.optionalKey(Question)
}).check(
  Schema.makeFilter(({ operation, question }) =>
    operation !== "qa" || question !== undefined ? true : { path: ["question"], issue: "qa needs a question" }
  )
)

export type Request = typeof Request.Type

const Sentiment = Schema.Struct({
  sentiment: Schema.Literals(["positive", "neutral", "negative"]),
  confidence: Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
  explanation: Schema.String
})

/** `source` tells an answer of the model from the one given in its place. */
export const Answer = Schema.Struct({
  source: Schema.Literals(["model", "fallback"]),
  result: Schema.optionalKey(Schema.String),
  sentiment: Schema.optionalKey(Sentiment),
  key_points: Schema.optionalKey(Schema.Array(Schema.String)),
  questions: Schema.optionalKey(Schema.Array(Schema.String))
})

export type Answer = typeof Answer.Type

/** The model said something that is no answer. */
class UnusableAnswer extends Schema.TaggedError<UnusableAnswer>()("UnusableAnswer", {
  operation: Schema.String
}) {}

// Another attempt may do better, and the provider is well: retried, not counted.
const unusable: Errors.Rule = (error) =>
  error instanceof UnusableAnswer ? { kind: "transient", retried: true, counted: false } : undefined

export class TextService extends Context.Service<
  TextService,
  {
    readonly process: (request: Request) => Effect.Effect<Answer>
  }
>()("text-service/TextService") {
  static readonly layer: Layer.Layer<TextService, never, Model | Resilience> = Layer.effect(
    TextService,
    Effect.gen(function* () {
      const model = yield* Model
      const resilience = yield* Resilience

      const summarize = (text: string) =>
        model.generate({ instructions: instructions.summarize_text, input: text }).pipe(
          Effect.map((result): Answer => ({ source: "model", result })),
          withOperation("summarize_text", {
            fallback: () => Effect.succeed<Answer>({ source: "fallback", result: excerpt(text) })
          })
        )

      const sentiment = (text: string) =>
        model.generate({ instructions: instructions.analyze_sentiment, input: text }).pipe(
          Effect.flatMap(parseSentiment),
          Effect.map((sentiment): Answer => ({ source: "model", sentiment })),
          withOperation("analyze_sentiment", {
            classify: unusable,
            fallback: () => Effect.succeed<Answer>({ source: "fallback", sentiment: neutral })
          })
        )

      const keyPoints = (text: string) =>
        model.generate({ instructions: instructions.extract_key_points, input: text }).pipe(
          Effect.map((answer): Answer => ({ source: "model", key_points: lines(answer) })),
          withOperation("extract_key_points", {
            fallback: () => Effect.succeed<Answer>({ source: "fallback", key_points: [] })
          })
        )

      const questions = (text: string) =>
        model.generate({ instructions: instructions.generate_questions, input: text }).pipe(
          Effect.map((answer): Answer => ({ source: "model", questions: lines(answer) })),
          withOperation("generate_questions", {
            fallback: () => Effect.succeed<Answer>({ source: "fallback", questions: [] })
          })
        )

      const answer = (text: string, question: string) =>
        model.generate({ instructions: instructions.answer_question, input: `${text}\n\nQuestion: ${question}` }).pipe(
          Effect.map((result): Answer => ({ source: "model", result })),
          withOperation("answer_question", {
            fallback: () => Effect.succeed<Answer>({ source: "fallback", result: apology })
          })
        )

      const process = Effect.fn("TextService.process")(
        ({ operation, question = "", text }: Request) => {
          switch (operation) {
            case "summarize":
              return summarize(text)
            case "sentiment":
              return sentiment(text)
            case "key_points":
              return keyPoints(text)
            case "questions":
              return questions(text)
            case "qa":
              return answer(text, question)
          }
        },
        Effect.provideService(Resilience, resilience)
      )

      return TextService.of({ process })
    })
  )
}

const neutral: typeof Sentiment.Type = {
  sentiment: "neutral",
  confidence: 0,
  explanation: "The model is not available."
}

const apology = "Sorry, this question cannot be answered right now. Please try again in a moment."

/** The beginning of a text, cut between two words. */
const excerpt = (text: string): string => (text.length <= 200 ? text : `${text.slice(0, 200).replace(/\s+\S*$/, "")} …`)

const lines = (answer: string): ReadonlyArray<string> =>
  answer
    .split("\n")
    .map((line) => line.replace(/^\s*(?:[-*•]|\d+[.)])\s*/, "").trim())
    .filter((line) => line !== "")

const decodeSentiment = Schema.decodeEffect(Schema.fromJsonString(Sentiment))

// Models like to wrap JSON in a code fence.
const parseSentiment = (answer: string) =>
  decodeSentiment(answer.replace(/^\s*```(?:json)?|```\s*$/g, "")).pipe(
    Effect.mapError(() => new UnusableAnswer({ operation: "analyze_sentiment" }))
  )
