import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { HttpServer } from "effect/http"
import { OpenApi } from "effect/http-api"
import { execFile } from "node:child_process"
import { createServer } from "node:http"
import { promisify } from "node:util"
import { AdminApi, AdminServer } from "../../src/http-api/index.ts"
import * as Preset from "../../src/Preset.ts"
import { Resilience } from "../../src/Resilience.ts"

const key = "your-api-key"
const root = "/internal/resilience"

/** What the original's guide tells its readers to type, and what they may be asked for by its reference. */
const lines: ReadonlyArray<readonly [method: string, path: string, body?: string]> = [
  ["GET", "/config/presets"],
  ["GET", "/config/recommend-preset-auto"],
  ["GET", "/health/detailed"],
  ["POST", "/config/validate-secure", '{"configuration": {"retry_attempts": 15}}'],
  ["GET", "/circuit-breakers"],
  ["POST", "/circuit-breakers/ai_service/reset"],
  ["POST", "/performance/benchmark", '{"operation_name": "text_processing", "iterations": 100}'],
  ["POST", "/config/validate", '{"configuration": {"retry_attempts": 5, "timeout_seconds": 30}}'],
  ["GET", "/config/presets/production"],
  ["GET", "/config/recommend-preset/production"],
  ["GET", "/config/templates"],
  ["POST", "/config/validate-template", '{"template_name": "robust_production", "overrides": {"retry_attempts": 5}}'],
  ["GET", "/health"],
  ["GET", "/metrics"],
  ["GET", "/metrics/text_processing"],
  ["GET", "/circuit-breakers/ai_service"],
  ["GET", "/monitoring/usage-statistics"],
  ["GET", "/monitoring/preset-trends/production"],
  ["GET", "/monitoring/performance-metrics"],
  ["GET", "/monitoring/alerts"],
  ["POST", "/performance/benchmark", '{"operation_name": "text_processing", "iterations": 100, "concurrency": 10}']
]

/** Every endpoint that the original has, with the first of those it lacks. */
const original = [
  "GET /health",
  "GET /health/detailed",
  "GET /metrics",
  "GET /metrics/{operation_name}",
  "POST /metrics/reset",
  "GET /dashboard",
  "GET /config",
  "GET /config/presets",
  "GET /config/presets/{preset_name}",
  "GET /config/presets-summary",
  "GET /config/recommend-preset/{environment}",
  "GET /config/recommend-preset-auto",
  "GET /config/templates",
  "GET /config/templates/{template_name}",
  "POST /config/validate-template",
  "POST /config/recommend-template",
  "POST /config/validate",
  "POST /config/validate-secure",
  "POST /config/validate-json",
  "POST /config/validate/field-whitelist",
  "GET /config/validate/security-config",
  "GET /config/validate/rate-limit-status",
  "GET /circuit-breakers",
  "GET /circuit-breakers/{breaker_name}",
  "POST /circuit-breakers/{breaker_name}/reset",
  "GET /monitoring/usage-statistics",
  "GET /monitoring/preset-trends/{preset_name}",
  "GET /monitoring/performance-metrics",
  "GET /monitoring/alerts",
  "GET /monitoring/session/{session_id}",
  "GET /monitoring/export",
  "POST /monitoring/cleanup",
  "GET /performance/benchmark",
  "POST /performance/benchmark",
  "GET /performance/thresholds",
  "GET /performance/report",
  "GET /performance/history",
  "POST /config/reload"
]

const live = AdminServer.layer({ keys: [{ key: Redacted.make(key) }] }).pipe(
  Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1" })),
  Layer.provide(Resilience.layer(Preset.production, { operations: ["ai_service", "text_processing"] }))
)

const send = (url: string, method: string, body: string | undefined) =>
  Effect.promise(async () => {
    const headers = { "x-api-key": key, ...(body === undefined ? {} : { "content-type": "application/json" }) }
    const response = await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  })

/** The same with the program that the guide names; `undefined` where there is none. */
const curl = (url: string, method: string, body: string | undefined) =>
  Effect.promise(async () => {
    const data = body === undefined ? [] : ["-H", "Content-Type: application/json", "-d", body]
    try {
      const args = ["-s", "-f", "-X", method, "-H", `X-API-Key: ${key}`, ...data, url]
      return (await promisify(execFile)("curl", args)).stdout
    } catch (error) {
      if ((error as { readonly code?: unknown }).code === "ENOENT") return undefined
      throw error
    }
  })

layer(live, { excludeTestServices: true })("the guide against a live server", (it) => {
  const base = Effect.map(HttpServer.HttpServer, ({ address }) => {
    assert(address._tag !== "UnixPathAddress")
    return `http://127.0.0.1:${address.port}${root}`
  })

  for (const [method, path, body] of lines) {
    it.effect(`answers ${method} ${path} with ${body ?? "no body"}`, () =>
      Effect.gen(function* () {
        const url = `${yield* base}${path}`
        const answer = yield* send(url, method, body)
        assert.strictEqual(answer.status, 200, JSON.stringify(answer.body))
        const typed = yield* curl(url, method, body)
        if (typed !== undefined) assert.isOk(JSON.parse(typed))
      })
    )
  }

  it.effect("has all that the original has, and more", () =>
    Effect.sync(() => {
      const { paths } = OpenApi.fromApi(AdminApi.AdminApi)
      const endpoints = Object.entries(paths).flatMap(([path, methods]) =>
        Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(root, "")}`)
      )
      assert.deepStrictEqual(
        original.filter((endpoint) => !endpoints.includes(endpoint)),
        []
      )
      assert.strictEqual(original.length, 38)
      assert.isAtLeast(endpoints.length, 54)
      assert.strictEqual(new Set(endpoints).size, endpoints.length)
    })
  )
})
