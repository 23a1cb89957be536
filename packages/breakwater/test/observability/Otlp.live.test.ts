import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Metric, References } from "effect"
import { FetchHttpClient } from "effect/http"
import { Otlp } from "effect/observability"
import { Logs, Metrics, Spans } from "../../src/observability/index.ts"
import * as Preset from "../../src/Preset.ts"
import { Resilience } from "../../src/Resilience.ts"
import { calls } from "./demo.ts"

/** Keeps what is posted to it, by path. */
const receiver = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly received: Map<string, Array<any>>; readonly close: () => void }>(
    (resume) => {
      const received = new Map<string, Array<any>>()
      const server = createServer((request, response) => {
        const parts: Array<Buffer> = []
        request.on("data", (part: Buffer) => parts.push(part))
        request.on("end", () => {
          const body = JSON.parse(Buffer.concat(parts).toString("utf8"))
          received.set(request.url!, [...(received.get(request.url!) ?? []), body])
          response.writeHead(200, { "content-type": "application/json" }).end("{}")
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        const close = () => {
          server.closeAllConnections()
          server.close()
        }
        resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, received, close }))
      })
    }
  ),
  ({ close }) => Effect.sync(close)
)

const factsOf = (of: { readonly attributes: ReadonlyArray<{ key: string; value: Record<string, unknown> }> }) =>
  Object.fromEntries(of.attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

describe("an OTLP receiver", () => {
  it.live("gets the traces, metrics and logs of guarded calls", () =>
    Effect.gen(function* () {
      const { received, url } = yield* receiver
      const exporters = Otlp.layerJson({ baseUrl: url, resource: { serviceName: "demo" } }).pipe(
        Layer.provide(FetchHttpClient.layer),
        Layer.provideMerge(Layer.succeed(Metric.MetricRegistry, new Map())),
        Layer.provideMerge(Layer.succeed(References.MinimumLogLevel, "Trace"))
      )
      const live = Layer.mergeAll(Metrics.layer(), Logs.layer()).pipe(
        Layer.provideMerge(Resilience.layer(Preset.simple)),
        Layer.provide(Spans.layer()),
        Layer.provideMerge(exporters)
      )
      // All is sent when the layers close, long before the intervals of the exporters.
      yield* calls.pipe(Effect.provide(live))

      const spans: ReadonlyArray<any> = received
        .get("/v1/traces")!
        .flatMap(({ resourceSpans }) => resourceSpans[0].scopeSpans[0].spans)
      const sentiment = spans.filter(({ name }) => name === "breakwater.call analyze_sentiment")
      assert.deepStrictEqual(
        sentiment.map((span) => factsOf(span)["breakwater.outcome"]),
        ["failed", "rejected"]
      )
      const attempts = spans.filter(({ parentSpanId }) => parentSpanId === sentiment[0].spanId)
      assert.deepStrictEqual(
        attempts.map((span) => [span.name, Number(factsOf(span)["breakwater.attempt"])]),
        [
          ["breakwater.attempt", 1],
          ["breakwater.attempt", 2]
        ]
      )
      const events = sentiment[0].events.map(({ name }: { name: string }) => name)
      assert.includeMembers(events, ["RetryScheduled", "CircuitOpened", "RetriesExhausted"])
      assert.strictEqual(sentiment[0].status.code, 2)

      const metrics = new Map<string, any>(
        received
          .get("/v1/metrics")!
          .flatMap(({ resourceMetrics }) => resourceMetrics[0].scopeMetrics[0].metrics)
          .map((metric) => [metric.name, metric])
      )
      const pointOf = (points: ReadonlyArray<any>, facts: Record<string, string>) =>
        points.find((point) => Object.entries(facts).every(([name, value]) => factsOf(point)[name] === value))
      const total = metrics.get("breakwater_calls_total")
      assert.isTrue(total.sum.isMonotonic)
      assert.strictEqual(
        pointOf(total.sum.dataPoints, { operation: "analyze_sentiment", outcome: "rejected" }).asDouble,
        1
      )
      const duration = metrics.get("breakwater_call_duration_seconds")
      assert.strictEqual(duration.unit, "s")
      const point = pointOf(duration.summary.dataPoints, { operation: "answer_question" })
      assert.strictEqual(Number(point.count), 1)
      assert.isAtLeast(point.sum, 0.2)
      assert.strictEqual(metrics.get("breakwater_in_flight").unit, "{call}")

      const records: ReadonlyArray<any> = received
        .get("/v1/logs")!
        .flatMap(({ resourceLogs }) => resourceLogs[0].scopeLogs[0].logRecords)
      const opened = records.find(
        (record) => record.body.stringValue === "CircuitOpened" && factsOf(record)["operation"] === "analyze_sentiment"
      )
      assert.strictEqual(opened.severityText, "Warn")
      assert.include(factsOf(opened), { error: "Error", openFor: "10s" })

      const everything = JSON.stringify(Array.from(received))
      assert.notInclude(everything, "a secret")
      assert.notInclude(everything, "sk-live")
    })
  )
})
