/**
 * A process with operations, traffic, the admin API and the dashboard, on a free port of the loopback address.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { ConfigProvider, Context, Data, Effect, Exit, Fiber, Layer, Logger, Redacted, Scope } from "effect"
import { HttpServer } from "effect/http"
import { Configuration, Resilience, Strategy, withResilience } from "breakwater"
import { AdminServer } from "breakwater/http-api"
import { Dashboard } from "@breakwater/dashboard"
import { createServer, type Server } from "node:http"

export const key = "key-of-the-dashboard-0123456789"
export const readKey = "key-that-only-reads-0123456789"

class Refused extends Data.Error<{ readonly message: string }> {
  override readonly name: string = "Refused"
}

/** An error that would do something, were it markup. */
class Hostile extends Data.Error<{ readonly message: string }> {
  override readonly name: string = `<img src=x onerror="window.hacked=1">`
}

/** Opens soon and stays open for long: what is seen does not change while it is looked at. */
const quick = Strategy.make("quick", {
  extends: "aggressive",
  retry: false,
  circuitBreaker: { failureThreshold: 3, openDuration: "5 minutes" }
})

export interface App {
  readonly url: string
  readonly origin: string
  /** Operations whose calls fail from now on, until they are taken out again. */
  readonly failing: Set<string>
  readonly hostile: Set<string>
  /** Operations whose calls do not end, until they are taken out again. */
  readonly hanging: Set<string>
  /** Calls an operation once. */
  readonly call: (operation: string, key?: string) => Promise<void>
  readonly api: (method: string, path: string, body?: unknown) => Promise<Response>
  readonly hangUp: () => void
  /** Refuses connections until it is told otherwise. */
  readonly goAway: () => Promise<void>
  readonly comeBack: () => Promise<void>
  readonly stop: () => Promise<void>
}

export const start = async (options: {
  readonly operations: ReadonlyArray<string>
  /** Of operations that do not run with one that opens soon. */
  readonly strategies?: Readonly<Record<string, Strategy.Strategy>>
  /** Time between two calls of one operation; none: no traffic of its own. */
  readonly everyMillis?: number
}): Promise<App> => {
  const scope = Scope.makeUnsafe()
  const node: Server = AdminServer.create(createServer)
  const failing = new Set<string>()
  const hostile = new Set<string>()
  const hanging = new Set<string>()
  const strategyOf = (operation: string): Strategy.Strategy => options.strategies?.[operation] ?? quick

  const target = (operation: string) =>
    Effect.suspend(() =>
      hostile.has(operation)
        ? Effect.fail(new Hostile({ message: "<script>window.hacked=2</script>" }))
        : failing.has(operation)
          ? Effect.fail(new Refused({ message: "the dependency is down" }))
          : Effect.succeed("fine")
    )
  const guarded = (operation: string, key?: string) =>
    Effect.suspend(() => (hanging.has(operation) ? Effect.sleep("20 millis") : Effect.void)).pipe(
      Effect.repeat({ while: () => hanging.has(operation) }),
      Effect.andThen(target(operation)),
      withResilience(strategyOf(operation), { operation, key }),
      Effect.delay("2 millis"),
      Effect.exit,
      Effect.asVoid
    )

  const listening = NodeHttpServer.layer(() => node, {
    port: 0,
    host: "127.0.0.1",
    gracefulShutdownTimeout: "100 millis"
  })
  const layer = AdminServer.layer({
    keys: [{ key: Redacted.make(key) }, { key: Redacted.make(readKey), scope: "read" }],
    routes: Dashboard.layer
  }).pipe(
    Layer.provideMerge(listening),
    Layer.provideMerge(
      Configuration.layer({ operations: options.operations.map((name) => ({ name, strategy: strategyOf(name) })) })
    ),
    Layer.provide(ConfigProvider.layer(ConfigProvider.fromUnknown({}))),
    Layer.provide(Logger.layer([]))
  )
  const context = await Effect.runPromise(Layer.buildWithScope(layer, scope))
  const run = <A, E>(effect: Effect.Effect<A, E, Resilience>) =>
    Effect.runPromise(Effect.provideContext(effect, Context.pick(Resilience)(context)))
  const { address } = Context.get(context, HttpServer.HttpServer)
  if (address._tag === "UnixPathAddress") throw new Error("It listens on a path")
  const origin = `http://127.0.0.1:${address.port}`

  const { everyMillis } = options
  const traffic =
    everyMillis === undefined
      ? undefined
      : Effect.runFork(
          Effect.forEach(
            options.operations,
            (operation, index) =>
              guarded(operation).pipe(
                Effect.andThen(Effect.sleep(everyMillis)),
                Effect.forever,
                Effect.delay((everyMillis * index) / options.operations.length)
              ),
            { concurrency: "unbounded", discard: true }
          ).pipe(Effect.provideContext(Context.pick(Resilience)(context)))
        )

  const hangUp = () => node.closeAllConnections()
  return {
    url: `${origin}${Dashboard.path}`,
    origin,
    failing,
    hostile,
    hanging,
    call: (operation, key) => run(guarded(operation, key)),
    api: (method, path, body) =>
      fetch(`${origin}/internal/resilience${path}`, {
        method,
        headers: { "x-api-key": key, ...(body === undefined ? {} : { "content-type": "application/json" }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      }),
    hangUp,
    goAway: () =>
      new Promise((resolve) => {
        node.close(() => resolve())
        hangUp()
      }),
    comeBack: () => new Promise((resolve) => node.listen(address.port, "127.0.0.1", resolve)),
    stop: async () => {
      if (traffic !== undefined) await Effect.runPromise(Fiber.interrupt(traffic))
      hangUp()
      await Effect.runPromise(Scope.close(scope, Exit.void))
    }
  }
}
