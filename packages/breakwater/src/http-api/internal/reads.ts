/**
 * The reads that a dashboard asks for again and again. On a server that is all
 * ours a request for one of them, without parameters, goes past the router: it
 * has nothing to decode.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Health from "../../monitoring/Health.ts"
import { Registry } from "../../Registry.ts"
import type { Resilience } from "../../Resilience.ts"
import { root } from "./paths.ts"
import * as views from "./views.ts"
import * as wire from "./wire.ts"

/** A document. */
type Read = Effect.Effect<string>

/** @internal */
export class Reads extends Context.Service<
  Reads,
  {
    readonly health: Effect.Effect<Health.Summary>
    readonly circuitBreakers: Read
    /** What a GET of a whole URL is answered. Any key may read these. */
    readonly byUrl: ReadonlyMap<string, Read>
  }
>()("breakwater/http-api/Reads") {
  static readonly layer: Layer.Layer<Reads, never, Resilience> = Layer.effect(
    Reads,
    Effect.map(Registry, ({ operations, states }) => {
      const health = Effect.flatMap(states, (states) =>
        Effect.withFiber((fiber) => {
          const now = fiber.getRef(Clock.Clock).currentTimeMillisUnsafe()
          return Effect.succeed(Health.summaryOf(states, DateTime.makeUnsafe(now)))
        })
      )
      const circuitBreakers = Effect.map(operations, (operations) =>
        JSON.stringify(wire.breakerList(views.breakerList(operations)))
      )
      return Reads.of({
        health,
        circuitBreakers,
        byUrl: new Map([
          [`${root}/health`, Effect.map(health, (summary) => JSON.stringify(wire.health(summary)))],
          [`${root}/circuit-breakers`, circuitBreakers]
        ])
      })
    })
  )
}
