/**
 * Loads the admin API over the loopback address, and holds it to its bars. It is not part of `pnpm test`, because
 * machines are noisy.
 *
 * - An authenticated GET of the admin API beside a bare `HttpApi` route, each on a server from `AdminServer.create`.
 *   The health goes past the router; a circuit, which has no bar, goes through it as most routes do.
 * - Protected calls in the process of the admin API, alone and while its port is flooded with requests without a key.
 *
 * The servers are in this process, and the clients in another one. What is compared takes turns, so that a change of
 * the machine's pace meets both.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Effect, Layer, ManagedRuntime, Redacted, Schema } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { HttpApi, HttpApiBuilder, HttpApiEndpoint, HttpApiGroup } from "effect/http-api"
import { Preset, Resilience, withResilience } from "breakwater"
import { AdminServer } from "breakwater/http-api"
import { fork } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { createServer } from "node:http"
import { connect } from "node:net"
import { setTimeout } from "node:timers/promises"

const host = "127.0.0.1"
const connections = 50
const rounds = 4
const seconds = 1.25
const warmUp = 1

const bars = { ratio: 0.6, p99: 150, share: 0.6 }

// The client

interface Job {
  readonly port: number
  /** The whole request. It has no body. */
  readonly request: string
  readonly seconds: number
  readonly status: number
}

interface Answers {
  readonly perSecond: number
  /** Milliseconds. */
  readonly latencies: ReadonlyArray<number>
  /** Answers with another status, and connections that ended. */
  readonly wrong: number
}

/** One request after the other on each connection. */
const load = async (job: Job): Promise<Answers> => {
  const latencies: Array<number> = []
  let wrong = 0
  const expected = `HTTP/1.1 ${job.status} `
  const start = performance.now()
  const end = start + job.seconds * 1000

  const drive = () =>
    new Promise<void>((resolve) => {
      const socket = connect(job.port, host).setNoDelay().setEncoding("latin1")
      let text = ""
      let sent = 0
      const ask = () => {
        sent = performance.now()
        socket.write(job.request)
      }
      socket.on("connect", ask)
      socket.on("data", (chunk) => {
        text += String(chunk)
        const head = text.indexOf("\r\n\r\n")
        if (head < 0) return
        const length = /\r\ncontent-length: (\d+)/i.exec(text)?.[1]
        if (length === undefined) socket.destroy(new Error("The answer has no length"))
        else if (text.length >= head + 4 + Number(length)) {
          const now = performance.now()
          if (text.startsWith(expected)) latencies.push(now - sent)
          else wrong++
          text = ""
          if (now < end) ask()
          else socket.destroy()
        }
      })
      socket.on("error", () => {})
      socket.on("close", () => {
        if (performance.now() < end) wrong++
        resolve()
      })
    })

  await Promise.all(Array.from({ length: connections }, drive))
  return { perSecond: (latencies.length * 1000) / (performance.now() - start), latencies, wrong }
}

const serveJobs = (): void => {
  process.on("message", (job: Job) => {
    void load(job).then((answers) => process.send!(answers))
  })
}

// The servers

const Plain = Schema.Struct({ healthy: Schema.Boolean, status: Schema.String })

const BareApi = HttpApi.make("bare").add(
  HttpApiGroup.make("bare").add(HttpApiEndpoint.get("health", "/health", { success: Plain }))
)

const bareRoutes = HttpApiBuilder.layer(BareApi).pipe(
  Layer.provide(
    HttpApiBuilder.group(BareApi, "bare", (handlers) =>
      Effect.succeed(handlers.handleAll({ health: () => Effect.succeed({ healthy: true, status: "healthy" }) }))
    )
  ),
  Layer.provide(HttpServer.layerServices)
)

const bare = HttpRouter.serve(bareRoutes, { disableLogger: true, disableListenLog: true })

const listening = () => {
  const node = AdminServer.create(createServer)
  return Layer.effectDiscard(Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))).pipe(
    Layer.provideMerge(NodeHttpServer.layer(() => node, { port: 0, host, gracefulShutdownTimeout: "100 millis" }))
  )
}

const portOf = Effect.map(HttpServer.HttpServer, ({ address }) =>
  address._tag === "UnixPathAddress" ? 0 : address.port
)

const operations = ["summarize_text", "analyze_sentiment", "extract_key_points", "answer_question"]

// The protected calls

/** As many callers as the client has connections. Each calls, and calls again when it was answered. */
const protectedCalls = Effect.fnUntraced(function* (millis: number, seconds: number) {
  let calls = 0
  const call = Effect.andThen(
    withResilience(Effect.sleep(millis), "balanced", { operation: "summarize_text" }),
    Effect.sync(() => calls++)
  )
  const start = performance.now()
  yield* Effect.forEach(Array.from({ length: connections }), () => Effect.forever(call), {
    concurrency: "unbounded",
    discard: true
  }).pipe(Effect.timeoutOption(seconds * 1000))
  return (calls * 1000) / (performance.now() - start)
})

// The run

const mean = (values: ReadonlyArray<number>): number => values.reduce((sum, value) => sum + value, 0) / values.length

const p99Of = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.ceil(values.length * 0.99) - 1] ?? Infinity

const whole = (value: number): string => Math.round(value).toLocaleString("en").padStart(9)

const main = async (): Promise<boolean> => {
  const key = randomBytes(24).toString("base64url")
  const admin = ManagedRuntime.make(
    AdminServer.layer({ keys: [{ key: Redacted.make(key) }] }).pipe(
      Layer.provideMerge(listening()),
      Layer.provideMerge(Resilience.layer(Preset.production, { operations }))
    )
  )
  const other = ManagedRuntime.make(Layer.provideMerge(bare, listening()))
  const [adminPort, barePort] = [await admin.runPromise(portOf), await other.runPromise(portOf)]

  // Options of this process, such as a profiler, are not for the client.
  const client = fork(import.meta.filename, ["client"], { execArgv: [] })
  const lost = once(client, "exit").then(() => Promise.reject(new Error("The client ended early")))
  lost.catch(() => {})
  let wrong = 0
  const ask = async (job: Job): Promise<Answers> => {
    client.send(job)
    const [answers] = (await Promise.race([once(client, "message"), lost])) as [Answers]
    wrong += answers.wrong
    return answers
  }

  const get = (port: number, path: string, headers = ""): string =>
    `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${headers}\r\n`
  const withKey = `X-API-Key: ${key}\r\n`
  const health = "/internal/resilience/health"
  const circuit = `/internal/resilience/circuit-breakers/${operations[0]}`
  const withoutKey = { port: adminPort, request: get(adminPort, health), status: 401 }
  const routes = {
    bare: { port: barePort, request: get(barePort, "/health"), status: 200 },
    admin: { port: adminPort, request: get(adminPort, health, withKey), status: 200 },
    routed: { port: adminPort, request: get(adminPort, circuit, withKey), status: 200 }
  }
  const names = ["bare", "admin", "routed"] as const

  for (const job of [...Object.values(routes), withoutKey]) await ask({ ...job, seconds: warmUp })
  const answers = { bare: new Array<Answers>(), admin: new Array<Answers>(), routed: new Array<Answers>() }
  for (let round = 0; round < rounds; round++) {
    for (const name of names) answers[name].push(await ask({ ...routes[name], seconds }))
  }
  const rates = { bare: 0, admin: 0, routed: 0 }
  const slowest = { bare: 0, admin: 0, routed: 0 }
  console.log(`${connections} connections, ${rounds} × ${seconds} s each`)
  for (const name of names) {
    rates[name] = mean(answers[name].map(({ perSecond }) => perSecond))
    slowest[name] = p99Of(answers[name].flatMap(({ latencies }) => latencies))
    console.log(`  GET, ${name.padEnd(14)} ${whole(rates[name])} per s   p99 ${slowest[name].toFixed(1)} ms`)
  }

  console.log(`${connections} callers, ${rounds} × ${seconds} s each`)
  const shares: Array<number> = []
  for (const millis of [5, 20]) {
    const [alone, flooded, refused] = [new Array<number>(), new Array<number>(), new Array<number>()]
    await admin.runPromise(protectedCalls(millis, warmUp))
    for (let round = 0; round < rounds; round++) {
      alone.push(await admin.runPromise(protectedCalls(millis, seconds)))
      // The flood is there before the calls, and after them.
      const flood = ask({ ...withoutKey, seconds: seconds + 0.4 })
      await setTimeout(200)
      flooded.push(await admin.runPromise(protectedCalls(millis, seconds)))
      refused.push((await flood).perSecond)
    }
    shares.push(mean(flooded) / mean(alone))
    const calls = `calls of ${millis} ms`.padEnd(19)
    console.log(`  ${calls} ${whole(mean(alone))} per s   alone`)
    console.log(`  ${calls} ${whole(mean(flooded))} per s   beside ${whole(mean(refused)).trim()} refusals per s`)
  }

  client.removeAllListeners("exit")
  client.kill()
  await Promise.all([admin.dispose(), other.dispose()])

  const verdicts: ReadonlyArray<readonly [holds: boolean, text: string]> = [
    atLeast(rates.admin / rates.bare, bars.ratio, "GET of the admin API: × a bare route"),
    atMost(Math.max(slowest.admin, slowest.routed), bars.p99, "GET of the admin API: p99, ms"),
    atLeast(Math.min(...shares), bars.share, "protected calls in a flood: × alone"),
    atMost(wrong, 0, "answers that were not expected")
  ]
  for (const [holds, text] of verdicts) console.log(`${holds ? "ok  " : "FAIL"} ${text}`)
  return verdicts.every(([holds]) => holds)
}

const atLeast = (value: number, limit: number, what: string) =>
  [value >= limit, `${value.toFixed(2).padStart(7)} >= ${String(limit).padEnd(4)} ${what}`] as const

const atMost = (value: number, limit: number, what: string) =>
  [value <= limit, `${value.toFixed(2).padStart(7)} <= ${String(limit).padEnd(4)} ${what}`] as const

if (process.argv[2] === "client") serveJobs()
else process.exitCode = (await main()) ? 0 : 1
