/**
 * One port for the service, its admin API, and the dashboard.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Data, Effect, Layer, type Redacted } from "effect"
import { HttpRouter } from "effect/http"
import { Admin, AdminKeys } from "breakwater/http-api"
import { Dashboard } from "@breakwater/dashboard"
import { createServer } from "node:http"
import * as Http from "./Http.ts"
import { portHint } from "./Options.ts"

/** The port cannot be used. The message says what to do. */
class PortUnavailable extends Data.TaggedError("PortUnavailable")<{ readonly message: string }> {}

const codeOf = (cause: unknown): unknown =>
  typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined

const reasonOf = (port: number, cause: unknown): string => {
  switch (codeOf(cause)) {
    case "EADDRINUSE":
      return `Port ${port} is taken by another program.`
    case "EACCES":
      return `Port ${port} is reserved: this user may not listen there.`
    default:
      return `Port ${port} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}.`
  }
}

export const layer = (options: {
  readonly port: number
  /** The key of the admin API. */
  readonly key: Redacted.Redacted
}) => {
  const node = createServer()
  const server = NodeHttpServer.layer(() => node, {
    port: options.port,
    host: "127.0.0.1",
    gracefulShutdownTimeout: "300 millis"
  }).pipe(
    Layer.catchTag("ServeError", ({ cause }) =>
      Layer.effectContext(
        Effect.fail(new PortUnavailable({ message: `${reasonOf(options.port, cause)} ${portHint(options.port)}` }))
      )
    )
  )
  // Connections that are still open after the grace period would keep the server from closing.
  const hangUp = Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections())))

  const admin = Admin.layer().pipe(Layer.provide(AdminKeys.AdminKeys.layer([{ key: options.key }])))
  const routes = Layer.mergeAll(Http.layer, admin, Dashboard.layer)
  return HttpRouter.serve(routes, { disableLogger: true, disableListenLog: true }).pipe(
    Layer.provide(hangUp),
    Layer.provideMerge(server)
  )
}
