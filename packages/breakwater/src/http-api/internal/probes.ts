/**
 * One word for those who ask whether the process lives, and whether it is ready.
 *
 * Anyone may ask, and as often as they like: all who ask while the application
 * is thinking about its answer get that one.
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Coalesce from "../../Coalesce.ts"
import * as routes from "./routes.ts"

const word = (text: string, status = 200) => HttpServerResponse.text(text, { status })

const live = word("live")
const isReady = word("ready")
const isNotReady = word("not ready", 503)

/** @internal */
export const layer = (ready: Effect.Effect<boolean>) => {
  const answer = ready.pipe(
    Effect.timeoutOrElse({ duration: "1 second", orElse: () => Effect.succeed(false) }),
    Effect.catchCause(() => Effect.succeed(false)),
    Effect.map((yes) => (yes ? isReady : isNotReady))
  )
  const shared = Layer.unwrap(
    Effect.map(Coalesce.make(), ({ join }) => HttpRouter.add("GET", routes.readyPath, answer.pipe(join("ready"))))
  )
  return Layer.merge(HttpRouter.add("GET", routes.livePath, live), shared)
}
