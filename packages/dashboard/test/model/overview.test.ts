import { assert, describe, it } from "@effect/vitest"
import type { Operation } from "../../page/api/types.ts"
import { arrange, type Circuit, type Tile, tileOf, totals } from "../../page/model/overview.ts"
import { Series } from "../../page/model/series.ts"
import { factsOf, type State, worst } from "../../page/model/states.ts"

const now = 1_000_000

const operation: Operation = {
  name: "summarize_text",
  alias: "summarize",
  strategy: "balanced",
  source: "preset",
  version: 0,
  settings: { retry: null, circuit_breaker: null, timeout: null },
  metrics: {
    total_calls: 10,
    successful_calls: 8,
    failed_calls: 2,
    retry_attempts: 0,
    circuit_breaker_opens: 0,
    circuit_breaker_half_opens: 0,
    circuit_breaker_closes: 0,
    success_rate: 80,
    failure_rate: 20,
    last_failure: null,
    last_success: null
  },
  counters: { rejected: 0, interrupted: 0, fallbacks: 0, attempts: 10, timeouts: 0 },
  in_flight: 2,
  latency_ms: { p50: 10, p95: 20, p99: 30 },
  circuit_breakers: [],
  total_circuit_breakers: 1
}

const circuit = (state: State, fields: Partial<Circuit> = {}): Circuit => ({
  name: "summarize_text",
  state,
  failures: 0,
  threshold: 5,
  ...fields
})

const points = (...rates: ReadonlyArray<readonly [at: number, succeeded: number, failed: number]>): Series => {
  const series = new Series(100)
  for (const [at, succeeded, failed] of rates) {
    series.push({
      at,
      calls: succeeded + failed,
      succeeded,
      failed,
      rejected: 0,
      attemptsPerCall: 1,
      p50: 1,
      p95: 1,
      p99: 1,
      inFlight: 0
    })
  }
  return series
}

describe("tileOf", () => {
  it("takes the success rate of the latest minute", () => {
    const series = points([now - 90_000, 0, 100], [now - 30_000, 6, 2], [now - 1_000, 3, 1])
    const tile = tileOf(operation, [circuit("closed")], series, now)
    assert.strictEqual(tile.successRate, 0.75)
    assert.strictEqual(tile.callsPerSecond, 4)
  })

  it("shows the worst of several circuits, and the earliest time at which one of them changes", () => {
    const circuits = [
      circuit("closed", { failures: 4 }),
      circuit("open", { name: "summarize_text:b", retryAt: now + 9_000, failures: 1 }),
      circuit("open", { name: "summarize_text:c", retryAt: now + 2_000 })
    ]
    const tile = tileOf(operation, circuits, new Series(10), now)
    assert.strictEqual(tile.state, "open")
    assert.strictEqual(tile.openCircuits, 2)
    assert.strictEqual(tile.retryAt, now + 2_000)
    assert.isUndefined(tile.expiresAt)
    assert.deepStrictEqual(tile.window, { filled: 4, size: 5 })
  })

  it("counts a circuit as in trouble before calls that fail, and those before failures in a row", () => {
    const healthy = points([now - 1_000, 100, 0])
    const failing = points([now - 1_000, 10, 90])
    const trouble = (state: State, series: Series, failures = 0) =>
      tileOf(operation, [circuit(state, { failures })], series, now).trouble
    const order = [
      trouble("open", healthy),
      trouble("half_open", healthy),
      trouble("isolated", healthy),
      trouble("closed", failing),
      trouble("closed", points([now - 1_000, 90, 10])),
      trouble("closed", points([now - 1_000, 98, 2])),
      trouble("closed", healthy, 4),
      trouble("closed", healthy)
    ]
    assert.deepStrictEqual(
      order,
      order.toSorted((a, b) => b - a)
    )
    assert.strictEqual(new Set(order).size, order.length)
  })
})

const tile = (name: string, fields: Partial<Tile> = {}): Tile => ({
  ...tileOf(operation, [circuit("closed")], new Series(10), now),
  name,
  ...fields
})

describe("arrange", () => {
  const tiles = [tile("b"), tile("a"), tile("c", { state: "open", trouble: 500 })]
  const names = (input: Partial<Parameters<typeof arrange>[1]>) =>
    arrange(tiles, { filter: "all", order: "trouble", search: "", ...input }).map(({ name }) => name)

  it("puts trouble first and equals in the order of their names", () => {
    assert.deepStrictEqual(names({}), ["c", "a", "b"])
    assert.deepStrictEqual(names({ order: "name" }), ["a", "b", "c"])
  })

  it("filters by state and finds every word, in any case, in name, alias and strategy", () => {
    assert.deepStrictEqual(names({ filter: "open" }), ["c"])
    assert.deepStrictEqual(names({ search: "SUMM b" }), ["c", "a", "b"])
    assert.deepStrictEqual(names({ search: "nothing" }), [])
  })
})

describe("totals", () => {
  it("weighs success rates by calls", () => {
    const all = totals([
      tile("a", { callsPerSecond: 9, successRate: 1 }),
      tile("b", { callsPerSecond: 1, successRate: 0, state: "open" }),
      tile("c", { callsPerSecond: 0, successRate: undefined, state: "isolated" })
    ])
    assert.strictEqual(all.successRate, 0.9)
    assert.strictEqual(all.callsPerSecond, 10)
    assert.deepStrictEqual([all.operations, all.open, all.halfOpen, all.held], [3, 1, 0, 1])
  })
})

describe("states", () => {
  it("knows the worst, and shows a state of a newer server under its own name", () => {
    assert.strictEqual(worst(["closed", "half_open", "open"]), "open")
    assert.strictEqual(worst(["closed"]), "closed")
    assert.strictEqual(worst([]), "none")
    assert.strictEqual(factsOf("drained" as State).label, "drained")
  })
})
