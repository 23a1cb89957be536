import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { parser } from "@prometheus-io/lezer-promql"
import { Effect, Layer, Metric } from "effect"
import { Metrics } from "../../src/observability/index.ts"
import * as Preset from "../../src/Preset.ts"
import { Resilience } from "../../src/Resilience.ts"
import { demo } from "./demo.ts"
import * as prometheus from "./prometheus.ts"

const dashboard = JSON.parse(readFileSync(new URL("../../grafana/dashboard.json", import.meta.url), "utf8"))

/** Every value under a name, wherever it is. */
const all = (value: unknown, name: string): ReadonlyArray<unknown> =>
  typeof value !== "object" || value === null
    ? []
    : Object.entries(value).flatMap(([key, inner]) => [...(key === name ? [inner] : []), ...all(inner, name)])

interface Query {
  readonly isSound: boolean
  readonly metrics: ReadonlyArray<string>
  readonly labels: ReadonlyArray<readonly [metric: string, label: string, value: string | undefined]>
}

/** What a query asks for, as the parser of Prometheus reads it. */
const parse = (query: string): Query => {
  const metrics: Array<string> = []
  const labels: Array<[string, string, string | undefined]> = []
  let isSound = true
  parser.parse(query).iterate({
    enter: (node) => {
      if (node.type.isError) isSound = false
      if (node.name !== "VectorSelector") return
      const metric = /^[\w:]+/.exec(query.slice(node.from, node.to))![0]
      metrics.push(metric)
      for (const [, label, equal, value] of query.slice(node.from, node.to).matchAll(/(\w+)(=~|!=|!~|=)"([^"]*)"/g)) {
        labels.push([metric, label!, equal === "=" ? value : undefined])
      }
    }
  })
  return { isSound, metrics, labels }
}

const withoutVariables = (query: string): string =>
  query.replaceAll("$__rate_interval", "5m").replaceAll("$operation", ".*")

const queries = all(dashboard, "expr").map((query) => withoutVariables(String(query)))

const live = Metrics.layer().pipe(
  Layer.provideMerge(Resilience.layer(Preset.simple)),
  Layer.provideMerge(Layer.sync(Metric.MetricRegistry, () => new Map()))
)

describe("the Grafana dashboard", () => {
  it("asks in queries that Prometheus understands", () => {
    assert.isFalse(parse('sum(rate(x{a="b"[5m]))').isSound)
    assert.isAbove(queries.length, 20)
    for (const query of queries) {
      assert.isTrue(parse(query).isSound, query)
      assert.notInclude(query, "$")
    }
  })

  it.effect("asks for metrics, labels and values that a scrape has", () =>
    Effect.gen(function* () {
      yield* demo
      yield* Effect.yieldNow
      const samples = Array.from(
        prometheus.check(yield* Metrics.prometheus()).values(),
        ({ samples }) => samples
      ).flat()
      const variables = dashboard.templating.list.map(({ query }: { query: { query: string } }) => query.query)
      assert.deepStrictEqual(variables, ["label_values(breakwater_calls_total, operation)"])
      const asked = [...queries, 'breakwater_calls_total{operation=~".*"}'].map(parse)
      for (const metric of asked.flatMap(({ metrics }) => metrics)) {
        assert.isTrue(
          samples.some(({ name }) => name === metric),
          metric
        )
      }
      for (const [metric, label, value] of asked.flatMap(({ labels }) => labels)) {
        assert.isTrue(
          samples.some(
            ({ labels, name }) => name === metric && (value === undefined ? label in labels : labels[label] === value)
          ),
          `${metric}{${label}="${value}"}`
        )
      }
    }).pipe(Effect.provide(live))
  )

  it.effect("shows every metric", () =>
    Effect.gen(function* () {
      yield* demo
      const families = Array.from(prometheus.check(yield* Metrics.prometheus()).keys())
      const asked = queries.flatMap((query) => parse(query).metrics)
      for (const family of families) {
        assert.isTrue(
          asked.some((metric) => metric.replace(/_(sum|count)$/, "") === family),
          family
        )
      }
    }).pipe(Effect.provide(live))
  )

  it("stands in rows, reads the data source that is asked for, and gives each panel an id and a place", () => {
    const panels: ReadonlyArray<Record<string, any>> = dashboard.panels
    assert.deepStrictEqual(
      panels.filter(({ type }) => type === "row").map(({ title }) => title),
      ["Summary", "Calls", "Circuits", "Retries & timeouts", "Limits"]
    )
    assert.strictEqual(dashboard.schemaVersion, 41)
    assert.strictEqual(dashboard.__inputs[0].name, "DS_PROMETHEUS")
    for (const source of all([panels, dashboard.templating], "datasource")) {
      assert.deepStrictEqual(source, { type: "prometheus", uid: "${DS_PROMETHEUS}" })
    }
    assert.strictEqual(new Set(panels.map(({ id }) => id)).size, panels.length)
    const places = panels.flatMap(({ gridPos: { h, w, x, y } }) =>
      Array.from({ length: h * w }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`)
    )
    assert.strictEqual(new Set(places).size, places.length)
    for (const { gridPos } of panels) assert.isAtMost(gridPos.x + gridPos.w, 24)
    for (const { description, type } of panels) assert.isTrue(type === "row" || description.length > 0)
  })
})
