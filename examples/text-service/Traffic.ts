/**
 * Calls the service over HTTP, each operation at a steady rate whatever the
 * answers are.
 */
import { Duration, Effect, FiberSet, Schedule } from "effect"
import { HttpClient, HttpClientRequest, HttpClientResponse } from "effect/http"
import * as Http from "./Http.ts"
import type { Request } from "./TextService.ts"

const text =
  "Breakwaters shelter a harbour from the sea. They take the force of the waves, so that boats behind them lie calm. " +
  "A harbour without one works on fair days only."

const requests: ReadonlyArray<Request> = [
  { operation: "summarize", text },
  { operation: "sentiment", text },
  { operation: "key_points", text },
  { operation: "questions", text },
  { operation: "qa", text, question: "What does a breakwater do?" }
]

/** Requests that wait for an answer at most, for each operation. */
const maxInFlight = 40

export interface Counts {
  readonly sent: number
  /** With status 200, by the model or by a fallback. */
  readonly answered: number
  /** With another status, or not at all. */
  readonly failed: number
  /** Not sent, because too many were waiting. */
  readonly skipped: number
}

interface Traffic {
  /** Sends requests until it is interrupted, and then leaves those in flight alone. */
  readonly drive: Effect.Effect<void>
  /** Ends when every request has its answer. */
  readonly settled: Effect.Effect<void>
  readonly counts: Effect.Effect<Counts>
}

export const make = Effect.fnUntraced(function* (options: {
  /** Where the service listens. */
  readonly url: string
  /** From one request of an operation to its next. */
  readonly interval: Duration.Duration
}) {
  const client = (yield* HttpClient.HttpClient).pipe(
    HttpClient.mapRequest(HttpClientRequest.prependUrl(options.url)),
    HttpClient.filterStatusOk
  )
  const inFlight = yield* Effect.forEach(requests, () => FiberSet.make<void>())
  let sent = 0
  let answered = 0
  let failed = 0
  let skipped = 0

  const send = (request: Request) =>
    Effect.suspend(() => {
      sent++
      return HttpClientRequest.post(Http.path).pipe(HttpClientRequest.bodyJsonUnsafe(request), client.execute)
    }).pipe(
      Effect.flatMap(HttpClientResponse.schemaBodyJson(Http.Response)),
      Effect.match({ onFailure: () => void failed++, onSuccess: () => void answered++ })
    )

  const drive = Effect.forEach(
    requests,
    (request, index) => {
      const set = inFlight[index]!
      const next = Effect.gen(function* () {
        if ((yield* FiberSet.size(set)) >= maxInFlight) skipped++
        else yield* FiberSet.run(set, send(request))
      })
      return next.pipe(
        Effect.repeat(Schedule.fixed(options.interval)),
        // Side by side, not all at once.
        Effect.delay(Duration.times(options.interval, index / requests.length))
      )
    },
    { concurrency: "unbounded", discard: true }
  )

  return {
    drive,
    settled: Effect.forEach(inFlight, FiberSet.awaitEmpty, { discard: true }),
    counts: Effect.sync(() => ({ sent, answered, failed, skipped }))
  } satisfies Traffic
})
