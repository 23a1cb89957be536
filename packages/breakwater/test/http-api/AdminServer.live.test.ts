import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Logger, Redacted } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createServer, type Server } from "node:http"
import { connect, type Socket } from "node:net"
import { AdminServer } from "../../src/http-api/index.ts"
import * as Preset from "../../src/Preset.ts"
import { Resilience } from "../../src/Resilience.ts"
import { root } from "./App.ts"

const key = "key-of-the-live-server-0123456789"

interface Live {
  readonly port: number
  readonly node: Server
  readonly lines: ReadonlyArray<string>
}

/** A server on a free port, with limits short enough to wait for. */
const serving = (limits: AdminServer.Limits = {}, options: AdminServer.Options = {}) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const node = AdminServer.create(createServer, {
      headersTimeout: 300,
      requestTimeout: 400,
      keepAliveTimeout: 200,
      connectionsCheckingInterval: 50,
      ...limits
    })
    // Connections that are still open would keep the server from closing.
    yield* Effect.addFinalizer(() => Effect.sync(() => node.closeAllConnections()))
    const context = yield* Layer.build(
      AdminServer.layer({ ...options, keys: [{ key: Redacted.make(key) }] }).pipe(
        Layer.provideMerge(
          NodeHttpServer.layer(() => node, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: "100 millis" })
        ),
        Layer.provide(Resilience.layer(Preset.production, { operations: ["summarize_text"] })),
        Layer.provide(Logger.layer([Logger.map(Logger.formatJson, (line) => void lines.push(line))]))
      )
    )
    const { address } = yield* Effect.provideContext(HttpServer.HttpServer, context)
    assert(address._tag !== "UnixPathAddress")
    return { port: address.port, node, lines } satisfies Live
  })

interface Exchange {
  readonly bytes: string
  /** `end`: half closed after the last byte. `cut`: closed at once. `open`: nothing more is said. */
  readonly ending: "end" | "cut" | "open"
}

interface Outcome {
  readonly text: string
  /** Who gave up first. */
  readonly closedBy: "server" | "client"
  readonly millis: number
}

/** Sends bytes, and waits until the server closes the connection. */
const exchange = ({ port }: Live, { bytes, ending }: Exchange, patience = 3_000): Promise<Outcome> =>
  new Promise((resolve) => {
    const start = performance.now()
    const chunks: Array<Buffer> = []
    let closedBy: Outcome["closedBy"] = "server"
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true })
    const giveUp = setTimeout(() => {
      closedBy = "client"
      socket.destroy()
    }, patience)
    socket.on("data", (chunk) => void chunks.push(chunk))
    socket.on("error", () => {})
    socket.on("end", () => void socket.end())
    socket.on("close", () => {
      clearTimeout(giveUp)
      resolve({ text: Buffer.concat(chunks).toString("latin1"), closedBy, millis: performance.now() - start })
    })
    socket.on("connect", () => {
      socket.write(Buffer.from(bytes, "latin1"), () => {
        if (ending === "cut") socket.destroy()
        if (ending === "end") socket.end()
      })
    })
  })

const statuses = (text: string): ReadonlyArray<number> =>
  Array.from(text.matchAll(/HTTP\/1\.1 (\d{3}) /g), ([, status]) => Number(status))

const open = ({ node }: Live): Promise<number> =>
  new Promise((resolve, reject) => {
    node.getConnections((error, count) => (error === null ? resolve(count) : reject(error)))
  })

const settled = async (server: Live): Promise<number> => {
  const until = performance.now() + 3_000
  while ((await open(server)) > 0 && performance.now() < until) await new Promise((next) => setTimeout(next, 20))
  return open(server)
}

const get = (path: string, headers: ReadonlyArray<string> = []) =>
  [`GET ${path} HTTP/1.1`, "Host: localhost", "Connection: close", ...headers, "", ""].join("\r\n")

const health = get(`${root}/health`, [`X-API-Key: ${key}`])

const isAlive = async (server: Live) => {
  const { text } = await exchange(server, { bytes: health, ending: "open" })
  assert.match(text, /^HTTP\/1\.1 200 /)
}

/** A small generator with a seed (mulberry32). */
const random = (seed: number) => {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const int = (below: number): number => Math.floor(next() * below)
  const pick = <A>(values: ReadonlyArray<A>): A => values[int(values.length)]!
  const noise = (length: number): string => Array.from({ length }, () => String.fromCharCode(int(256))).join("")
  return { int, noise, pick }
}

const malformed = (seed: number): Exchange => {
  const { int, noise, pick } = random(seed)
  const path = pick([
    ...Array.from({ length: 12 }, () => `${root}/health`),
    `${root}/circuit-breakers`,
    `${root}/circuit-breakers/%ff%fe`,
    `${root}/circuit-breakers/%zz`,
    `${root}/circuit-breakers/${"../".repeat(9)}etc/passwd`,
    `${root}/audit?limit=${noise(3).replaceAll(/[\s]/g, "")}`,
    "//internal//resilience//health",
    "/internal/resilience;x/health",
    "/livez",
    "/",
    "*",
    "",
    "http://evil.example/internal/resilience/health",
    "http://localhost/internal/resilience/health",
    "/\u0000",
    `/${"x".repeat(int(10_000))}`
  ])
  const reset = `${root}/circuit-breakers/summarize_text/reset`
  const host = "Host: localhost"
  const auth = pick([`X-API-Key: ${key}`, `Authorization: Bearer ${key}`, "X-API-Key: wrong-key", "X-Nothing: 1"])
  const line = (method: string, version = "HTTP/1.1") => `${method} ${path} ${version}`
  const request = (first: string, headers: ReadonlyArray<string>, body = "") =>
    [first, ...headers, "", body].join("\r\n")
  const post = (headers: ReadonlyArray<string>, body: string) =>
    request(`POST ${reset} HTTP/1.1`, [host, auth, "Content-Type: application/json", ...headers], body)
  const valid = request(line("GET"), [host, auth])
  const bytes = pick<() => string>([
    // Methods, versions, lines
    () =>
      request(line(pick(["", "G", "get", "FOO", "GET\u0000", "CONNECT", "PRI", "TRACE", "🦀", noise(4)])), [
        host,
        auth
      ]),
    () =>
      request(line("GET", pick(["HTTP/0.9", "HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "HTTP", "", "ICE/1.0"])), [host, auth]),
    () => request(`GET  ${path}  HTTP/1.1`, [host]),
    () => request(path, []),
    () => noise(1 + int(2_000)),
    () => `\r\n\r\n\n${valid}`,
    () => valid.replaceAll("\r\n", "\n"),
    () => valid.replaceAll("\r\n", "\r"),
    // Headers
    () => request(line("GET"), [host, auth, `X-Huge: ${"y".repeat(10_000 + int(20_000))}`]),
    () => request(line("GET"), [host, auth, ...Array.from({ length: 100 + int(3_000) }, (_, n) => `X-${n}: ${n}`)]),
    () => request(line("GET"), [auth]),
    () => request(line("GET"), [host, host, auth]),
    () => request(line("GET"), [`Host: ${noise(8)}`, auth]),
    () => request(line("GET"), ["Host: evil.example", auth]),
    () => request(line("GET"), [host, `X API Key: ${key}`]),
    () => request(line("GET"), [host, ": empty", auth]),
    () => request(line("GET"), [host, " folded", auth]),
    () => request(line("GET"), [host, auth, auth]),
    () => request(line("GET"), [host, auth, `X-Raw: ${noise(20)}`]),
    () => request(line("GET"), [host, auth, "Expect: 100-continue"]),
    () => request(line("GET"), [host, auth, "Expect: miracles"]),
    () => request(line("GET"), [host, auth, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]),
    () => request(line("GET"), [host, auth, "Connection: Upgrade", "Upgrade: h2c", "HTTP2-Settings: x"]),
    () => request(line("GET"), [host, auth, "Origin: http://evil.example"]),
    () => request(line("GET"), [host, auth, `Accept: ${pick(["application/problem+json", ",;q=,", noise(9)])}`]),
    // Lengths and bodies
    () =>
      post(
        [`Content-Length: ${pick(["-1", "+2", "1e3", "0x10", "99999999999999999999", "2, 2", "2 2", "NaN"])}`],
        "{}"
      ),
    () => post(["Content-Length: 2", "Content-Length: 3"], "{}x"),
    () => post([`Content-Length: ${2 + int(100)}`], "{}"),
    () => post(["Content-Length: 70000"], "x".repeat(70_000)),
    () => post(["Content-Length: 200000"], "x".repeat(100_000)),
    () => post(["Content-Length: 60000"], `{"reason":"${"[".repeat(59_988)}"}`),
    () => post(["Content-Length: 20000"], "[".repeat(20_000)),
    () => post(["Content-Length: 12"], `{"reason":"\xff`),
    () => post(["Content-Length: 14"], `{"reason":\xc3\x28\x80"}`),
    () => post(["Content-Length: 30"], `{"__proto__":{"polluted":true}}`),
    () => post(["Content-Encoding: gzip", "Content-Length: 20"], noise(20)),
    // Chunks
    () =>
      post(
        ["Transfer-Encoding: chunked"],
        `${pick(["zz", "-1", "ffffffffffffffffff", "2;", "", "0x2"])}\r\n{}\r\n0\r\n\r\n`
      ),
    () => post(["Transfer-Encoding: chunked"], `2;${"e".repeat(20_000)}\r\n{}\r\n0\r\n\r\n`),
    () => post(["Transfer-Encoding: chunked"], `2\r\n{}XX0\r\n\r\n`),
    () => post(["Transfer-Encoding: chunked"], `2\r\n{}\r\n0\r\nTrailer: ${noise(9)}\r\n\r\n`),
    () => post(["Transfer-Encoding: chunked"], `4000\r\n${"x".repeat(0x4000)}\r\n`.repeat(6)),
    () => post(["Transfer-Encoding: chunked"], "2\r\n{}\r\n"),
    // Smuggling
    () => post(["Content-Length: 6", "Transfer-Encoding: chunked"], `0\r\n\r\nG${valid}`),
    () => post(["Transfer-Encoding: chunked", "Content-Length: 4"], `5c\r\n${valid}\r\n0\r\n\r\n`),
    () =>
      post(
        [`Transfer-Encoding: ${pick(["xchunked", "chunked, identity", "identity", " chunked", "\x0bchunked"])}`],
        "0\r\n\r\n"
      ),
    () => post(["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], `0\r\n\r\n${valid}`),
    () => post(["Content-Length : 2"], `{}${valid}`),
    () => request(line("GET"), [host, auth, `Content-Length: ${valid.length}`], valid),
    // Pipelines, and whatever is cut off
    () => valid.repeat(2 + int(8)),
    () => valid + noise(50),
    () => post(["Content-Length: 2"], "{}") + valid + post(["Content-Length: 999"], "{"),
    () => valid.slice(0, int(valid.length)),
    () => post(["Content-Length: 50"], `{"reason":"a"`)
  ])()
  return { bytes, ending: pick(["end", "end", "end", "end", "cut", "cut", "open"]) }
}

const inParallel = async <A>(width: number, count: number, run: (n: number) => Promise<A>): Promise<void> => {
  let next = 0
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < count) await run(next++)
    })
  )
}

describe("a live admin server", () => {
  it.live(
    "survives 5,000 malformed requests: no 5xx, no crash, no connection left",
    () =>
      Effect.gen(function* () {
        const server = yield* serving()
        const count = 5_000
        const seen = new Map<number, number>()
        yield* Effect.promise(() =>
          inParallel(48, count, async (seed) => {
            const sent = malformed(seed)
            const { closedBy, text } = await exchange(server, sent)
            for (const status of statuses(text)) {
              seen.set(status, (seen.get(status) ?? 0) + 1)
              assert.isBelow(status, 500, `seed ${seed}: ${JSON.stringify(sent.bytes.slice(0, 300))}`)
            }
            // Only who asked for the connection to stay, and was understood, keeps it for a while.
            assert.strictEqual(closedBy, "server", `seed ${seed}: ${JSON.stringify(sent.bytes.slice(0, 300))}`)
            assert.notInclude(text, key)
          })
        )
        yield* Effect.promise(() => isAlive(server))
        assert.strictEqual(yield* Effect.promise(() => settled(server)), 0)
        assert.containsAllKeys(Object.fromEntries(seen), [
          "200",
          "400",
          "401",
          "404",
          "405",
          "413",
          "417",
          "421",
          "431"
        ])
        assert.notProperty({}, "polluted")
        assert.notInclude(server.lines.join("\n"), key)
      }).pipe(Effect.scoped),
    60_000
  )

  it.live("answers what it can not parse with the envelope", () =>
    Effect.gen(function* () {
      const server = yield* serving()
      for (const [bytes, status, code] of [
        ["NONSENSE\r\n\r\n", 400, "ValidationError"],
        [get("/", [`X-Huge: ${"y".repeat(20_000)}`]), 431, "HeadersTooLargeError"],
        [`GET / HTTP/1.1\r\n`, 408, "ValidationError"],
        [get("/", ["Expect: miracles"]), 417, "ValidationError"]
      ] as const) {
        const { text } = yield* Effect.promise(() => exchange(server, { bytes, ending: "open" }))
        assert.deepStrictEqual(statuses(text), [status], text)
        const [head = "", body = ""] = text.split("\r\n\r\n")
        assert.match(head, /\r\nx-content-type-options: nosniff/i)
        assert.match(head, /\r\ncache-control: no-store/i)
        const { context, error_code } = JSON.parse(body)
        assert.strictEqual(error_code, code)
        assert.strictEqual(context.endpoint, "unknown_route")
      }
      assert.strictEqual(yield* Effect.promise(() => settled(server)), 0)
    }).pipe(Effect.scoped)
  )

  it.live("closes connections that are silent, slow with headers or slow with a body", () =>
    Effect.gen(function* () {
      const server = yield* serving()
      const drip = (first: string) =>
        new Promise<number>((resolve) => {
          const start = performance.now()
          const socket: Socket = connect({ port: server.port, host: "127.0.0.1" })
          const dripping = setInterval(() => void socket.write("x"), 20)
          socket.on("connect", () => void socket.write(first))
          socket.on("error", () => {})
          socket.on("data", () => {})
          socket.on("close", () => {
            clearInterval(dripping)
            resolve(performance.now() - start)
          })
        })
      const silent = exchange(server, { bytes: "", ending: "open" }).then(({ millis }) => millis)
      const headers = Array.from({ length: 20 }, () => drip("GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "))
      const body = drip(
        `POST ${root}/circuit-breakers/summarize_text/reset HTTP/1.1\r\nHost: localhost\r\nX-API-Key: ${key}\r\n` +
          "Content-Type: application/json\r\nContent-Length: 60000\r\n\r\n"
      )
      const idle = exchange(server, { bytes: health.replace("Connection: close", "X-Keep: 1"), ending: "open" })
      const millis = yield* Effect.promise(() => Promise.all([silent, ...headers, body, idle.then((o) => o.millis)]))
      for (const took of millis) assert.isBelow(took, 2_000)
      yield* Effect.promise(() => isAlive(server))
      assert.strictEqual(yield* Effect.promise(() => settled(server)), 0)
    }).pipe(Effect.scoped)
  )

  it.live("answers to its own port only, and one of two keys is wrong", () =>
    Effect.gen(function* () {
      const server = yield* serving()
      const status = (headers: ReadonlyArray<string>, path = `${root}/health`) =>
        Effect.map(
          Effect.promise(() =>
            exchange(server, {
              bytes: [`GET ${path} HTTP/1.1`, "Connection: close", ...headers, "", ""].join("\r\n"),
              ending: "open"
            })
          ),
          ({ text }) => statuses(text)[0]
        )
      const auth = `Authorization: Bearer ${key}`
      assert.strictEqual(yield* status([`Host: 127.0.0.1:${server.port}`, auth]), 200)
      assert.strictEqual(yield* status([`Host: localhost:${server.port}`, auth]), 200)
      assert.strictEqual(yield* status([`Host: localhost:${server.port + 1}`, auth]), 421)
      assert.strictEqual(yield* status(["Host: evil.example", auth]), 421)
      assert.strictEqual(yield* status(["Host: localhost", "Host: localhost", auth]), 421)
      assert.strictEqual(yield* status(["Host: localhost", auth], `http://evil.example${root}/health`), 421)
      assert.strictEqual(yield* status(["Host: localhost", auth, "Authorization: Bearer wrong"]), 401)
      assert.strictEqual(yield* status(["Host: localhost", auth, auth]), 401)
      assert.strictEqual(yield* status(["Host: localhost", `X-API-Key: ${key}`, `X-API-Key: ${key}`]), 401)
      assert.strictEqual(yield* status(["Host: localhost"], "/livez"), 200)
    }).pipe(Effect.scoped)
  )

  it.live("counts wrong keys by the client that a trusted proxy names, and by the connection without one", () =>
    Effect.gen(function* () {
      const statusOf = (server: Live, headers: ReadonlyArray<string>) =>
        Effect.map(
          Effect.promise(() =>
            exchange(server, {
              bytes: [`GET ${root}/health HTTP/1.1`, "Host: localhost", "Connection: close", ...headers, "", ""].join(
                "\r\n"
              ),
              ending: "open"
            })
          ),
          ({ text }) => statuses(text)[0]
        )
      const wrong = (header: string) => [`X-API-Key: a-wrong-key-0123456789`, header]
      const nobody = yield* serving()
      for (let n = 0; n < 10; n++) {
        assert.strictEqual(yield* statusOf(nobody, wrong(`X-Forwarded-For: 203.0.113.${n}`)), 401)
      }
      assert.strictEqual(yield* statusOf(nobody, wrong("X-Forwarded-For: 203.0.113.99")), 429)
      const trusting = yield* serving({}, { trustedProxies: ["127.0.0.0/8"] })
      for (let n = 0; n < 10; n++) {
        // The left part is what the client has sent.
        assert.strictEqual(yield* statusOf(trusting, wrong(`X-Forwarded-For: 6.6.6.${n}, 2001:db8::${n}`)), 401)
      }
      assert.strictEqual(yield* statusOf(trusting, wrong("X-Forwarded-For: 2001:db8:0:0:9::1")), 429)
      assert.strictEqual(yield* statusOf(trusting, wrong("X-Forwarded-For: 2001:db8:0:1::1")), 401)
      assert.strictEqual(yield* statusOf(trusting, wrong('Forwarded: for="[2001:db8::77]:4711"')), 429)
      assert.strictEqual(yield* statusOf(trusting, [`X-API-Key: ${key}`, "X-Forwarded-For: 2001:db8::1"]), 200)
      assert.isTrue(trusting.lines.some((line) => line.includes('"address":"2001:db8::3"')))
    }).pipe(Effect.scoped)
  )

  it.live("accepts no more connections than it may", () =>
    Effect.gen(function* () {
      const server = yield* serving({ maxConnections: 8, headersTimeout: 1_000, requestTimeout: 1_000 })
      const sockets = yield* Effect.promise(() =>
        Promise.all(
          Array.from(
            { length: 40 },
            () =>
              new Promise<Socket>((resolve) => {
                const socket = connect({ port: server.port, host: "127.0.0.1" }, () => resolve(socket))
                socket.on("error", () => {})
                socket.on("data", () => {})
              })
          )
        )
      )
      assert.isAtMost(yield* Effect.promise(() => open(server)), 8)
      for (const socket of sockets) socket.destroy()
      assert.strictEqual(yield* Effect.promise(() => settled(server)), 0)
      yield* Effect.promise(() => isAlive(server))
    }).pipe(Effect.scoped)
  )

  it.live("takes a request to change the protocol for any other request, and keeps no connection for it", () =>
    Effect.gen(function* () {
      const server = yield* serving()
      const upgrade = (line: string, headers: ReadonlyArray<string>) =>
        [`${line} HTTP/1.1`, "Connection: Upgrade", ...headers, "", ""].join("\r\n")
      const withKey = ["Host: localhost", `X-API-Key: ${key}`]
      const reset = `POST ${root}/circuit-breakers/summarize_text/reset`
      const asked = ["websocket", "h2c", "nonsense"].flatMap((protocol) => {
        const wanted = `Upgrade: ${protocol}`
        return [
          [upgrade(`GET ${root}/health`, ["Host: localhost", wanted]), 401],
          [upgrade(`GET ${root}/health`, [...withKey, wanted]), 200],
          [upgrade("GET /livez", ["Host: evil.example", wanted]), 421],
          [upgrade(reset, [...withKey, wanted, "Transfer-Encoding: chunked"]) + "2\r\n{}\r\n0\r\n\r\n", 200],
          [upgrade(reset, [...withKey, wanted, "Content-Length: 60000"]), 408]
        ] as const
      })
      yield* Effect.promise(() =>
        inParallel(asked.length, asked.length, async (index) => {
          const [bytes, status] = asked[index]!
          const { closedBy, text } = await exchange(server, { bytes, ending: "open" })
          assert.deepStrictEqual(statuses(text), [status], bytes)
          assert.strictEqual(closedBy, "server", bytes)
        })
      )
      // Who hears that the server has ended, and does not end too.
      const sockets = yield* Effect.promise(() =>
        Promise.all(
          Array.from(
            { length: 8 },
            () =>
              new Promise<Socket>((resolve) => {
                const socket = connect({ port: server.port, host: "127.0.0.1", allowHalfOpen: true })
                socket.on("error", () => {})
                socket.on("data", () => resolve(socket))
                socket.write(upgrade("GET /livez", ["Host: localhost", "Upgrade: websocket"]))
              })
          )
        )
      )
      assert.strictEqual(yield* Effect.promise(() => settled(server)), 0)
      for (const socket of sockets) socket.destroy()
    }).pipe(Effect.scoped)
  )

  it.live("counts an event stream no longer when its reader is gone, whatever it asked for", () =>
    Effect.gen(function* () {
      const server = yield* serving()
      const stream = (headers: ReadonlyArray<string>) =>
        new Promise<string>((resolve) => {
          const socket = connect({ port: server.port, host: "127.0.0.1" })
          socket.on("error", () => {})
          socket.on("data", (chunk) => {
            socket.destroy()
            resolve(chunk.toString("latin1"))
          })
          socket.write([`GET ${root}/events HTTP/1.1`, "Host: localhost", ...headers, "", ""].join("\r\n"))
        })
      for (const headers of [[], ["Connection: Upgrade", "Upgrade: websocket"]]) {
        for (let n = 0; n < 8; n++) {
          const text = yield* Effect.promise(() => stream([`X-API-Key: ${key}`, ...headers]))
          assert.deepStrictEqual(statuses(text), [200], `stream ${n} with ${headers.join()}: ${text}`)
          assert.strictEqual(yield* Effect.promise(() => settled(server)), 0)
        }
      }
    }).pipe(Effect.scoped)
  )

  it.live("lets a middleware of its routes see every request that comes through the door", () =>
    Effect.gen(function* () {
      const seeing = HttpRouter.middleware(Effect.map(HttpServerResponse.setHeader("x-seen", "yes")), { global: true })
      const server = yield* serving({}, { routes: seeing })
      for (const path of ["health", "health?strict=false", "circuit-breakers", "audit"]) {
        const bytes = get(`${root}/${path}`, [`X-API-Key: ${key}`])
        const { text } = yield* Effect.promise(() => exchange(server, { bytes, ending: "open" }))
        assert.deepStrictEqual(statuses(text), [200], path)
        assert.match(text, /\r\nx-seen: yes\r\n/, path)
      }
    }).pipe(Effect.scoped)
  )

  it.live("has the limits of its options unless others are chosen", () =>
    Effect.sync(() => {
      const server = AdminServer.create(createServer)
      assert.strictEqual(server.headersTimeout, 10_000)
      assert.strictEqual(server.requestTimeout, 15_000)
      assert.strictEqual(server.keepAliveTimeout, 5_000)
      assert.strictEqual(server.maxConnections, 256)
      assert.strictEqual(AdminServer.nodeOptions.maxHeaderSize, 16_384)
      assert.strictEqual(AdminServer.harden(createServer(), { maxConnections: 1 }).maxConnections, 1)
    })
  )
})
