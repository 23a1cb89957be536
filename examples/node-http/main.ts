/**
 * A plain `node:http` server that guards a call, with the admin API on a port of its own.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer, ManagedRuntime, Redacted } from "effect"
import { HttpServer } from "effect/http"
import { Async, Errors, Preset, Resilience } from "breakwater"
import { AdminServer } from "breakwater/http-api"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { createServer, type IncomingMessage, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout } from "node:timers/promises"

const host = "127.0.0.1"
const ownKey = process.env["API_KEY"]?.trim() || undefined
const key = ownKey ?? randomBytes(24).toString("base64url")

/** The message is printed, and no stack. */
class Failed extends Error {}

const portOf = (name: string, fallback: number): number => {
  const port = Number(process.env[name]?.trim() || fallback)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new Failed(`${name} has to be a port, from 0 to 65535.`)
}

const unusable = (name: string, port: number, error: unknown): Failed => {
  const { code, message } = error as NodeJS.ErrnoException
  return new Failed(
    code === "EADDRINUSE"
      ? `Port ${port} is taken by another program. Choose another one with ${name}.`
      : `Port ${port} cannot be used: ${message}. Choose another one with ${name}.`
  )
}

/** The admin API, and the operations that it shows. */
const makeRuntime = (port: number) => {
  const node = AdminServer.create(createServer)
  const server = NodeHttpServer.layer(() => node, { port, host, gracefulShutdownTimeout: "300 millis" }).pipe(
    Layer.catchTag("ServeError", ({ cause }) => Layer.effectContext(Effect.fail(unusable("ADMIN_PORT", port, cause))))
  )
  // Connections that are still open after the grace period would keep the server from closing.
  const hangUp = Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections())))
  return AdminServer.layer({ keys: [{ key: Redacted.make(key) }] }).pipe(
    Layer.provide(hangUp),
    Layer.provideMerge(server),
    Layer.provideMerge(Resilience.layer(Preset.production, { operations: ["look_up_price"] })),
    ManagedRuntime.make
  )
}

let asked = 0

/** Stands in for another service, which fails one time in five. */
const askSupplier = async (signal: AbortSignal, item: string) => {
  await setTimeout(20, undefined, { signal })
  if (++asked % 5 === 0) throw new Errors.ServiceUnavailableError({ message: "The supplier did not answer" })
  return { item, cents: 100 * item.length }
}

type LookUp = Async.Guarded<[item: string], { readonly item: string; readonly cents: number }>

/** No Effect in here: a promise comes back, or an error is thrown. */
const answer = async (lookUp: LookUp, request: IncomingMessage, response: ServerResponse): Promise<void> => {
  const send = (status: number, body: unknown) =>
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))
  const item = /^\/prices\/([a-z]{1,20})$/.exec(request.url ?? "")?.[1]
  if (request.method !== "GET" || item === undefined) return void send(404, { error: "Try GET /prices/tea" })
  const gone = new AbortController()
  response.once("close", () => gone.abort())
  try {
    send(200, await lookUp.withSignal(gone.signal)(item))
  } catch (error) {
    if (!gone.signal.aborted) send(503, { error: error instanceof Error ? error.message : "The price is not known" })
  }
}

const main = async (): Promise<void> => {
  const [port, adminPort] = [portOf("PORT", 8000), portOf("ADMIN_PORT", 9090)]
  const runtime = makeRuntime(adminPort)
  const { address } = await runtime.runPromise(HttpServer.HttpServer)
  const lookUp: LookUp = Async.guard(runtime, "balanced", { operation: "look_up_price" }, askSupplier)

  const server = createServer((request, response) => void answer(lookUp, request, response))
  try {
    await once(server.listen(port, host), "listening")
  } catch (error) {
    await runtime.dispose()
    throw unusable("PORT", port, error)
  }

  const admin = `http://${host}:${address._tag === "UnixPathAddress" ? adminPort : address.port}/internal`
  console.log(`Prices      http://${host}:${(server.address() as AddressInfo).port}/prices/tea
Admin API   ${admin}/resilience
Docs        ${admin}/docs
Key         ${ownKey === undefined ? `${key}   (random, for this run; API_KEY=... sets your own)` : "the value of API_KEY"}

Ctrl-C stops it.`)

  const stop = async (): Promise<void> => {
    server.close()
    server.closeIdleConnections()
    // Who waits for an answer has a moment to get it.
    await Promise.race([once(server, "close"), setTimeout(300, undefined, { ref: false })])
    server.closeAllConnections()
    await runtime.dispose()
  }
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void stop())
}

main().catch((error: unknown) => {
  console.error(error instanceof Failed ? error.message : error)
  process.exitCode = 1
})
