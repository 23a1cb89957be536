import { assert, describe, it } from "@effect/vitest"
import { faults } from "../floors.ts"

const check = (sources: Record<string, string>): ReadonlyArray<string> => faults(new Map(Object.entries(sources)))

describe("floors", () => {
  it("accepts imports that go down", () => {
    assert.deepStrictEqual(
      check({
        "internal/machine.ts": `import { a } from "./other.ts"`,
        "internal/other.ts": "export const a = 1",
        "Outcome.ts": `import type * as Exit from "effect/Exit"`,
        "Retry.ts": `import * as Outcome from "./Outcome.ts"\nimport { next } from "./internal/machine.ts"`,
        "Strategy.ts": `import * as Retry from "./Retry.ts"`,
        "http-api/AdminApi.ts": `import { Strategy } from "../Strategy.ts"`,
        "index.ts": `export * as Retry from "./Retry.ts"`
      }),
      []
    )
  })

  it("catches an import that goes up, also of a type, a re-export or a lazy one", () => {
    const lines = [
      `import { x } from "./Strategy.ts"`,
      `import type { X } from "./Strategy.ts"`,
      `export * from "./Strategy.ts"`,
      `export {\n  x,\n  y\n} from './Strategy.ts'`,
      `import "./Strategy.ts"`,
      `const lazy = import("./Strategy.ts")`,
      `type X = import("./Strategy.ts").X`
    ]
    for (const line of lines) {
      assert.deepStrictEqual(check({ "Retry.ts": line, "Strategy.ts": "" }), [
        "Retry.ts (policies) reaches up to Strategy.ts (Strategy)"
      ])
    }
  })

  it("orders the files of the composition", () => {
    assert.deepStrictEqual(check({ "Strategy.ts": `import "./Preset.ts"`, "Preset.ts": "" }), [
      "Strategy.ts (Strategy) reaches up to Preset.ts (Preset)"
    ])
  })

  it("catches a policy that leans on another", () => {
    assert.deepStrictEqual(
      check({ "Retry.ts": `import * as RetryBudget from "./RetryBudget.ts"`, "RetryBudget.ts": "" }),
      ["Retry.ts leans on RetryBudget.ts: policies stand apart"]
    )
  })

  it("catches a file on no floor", () => {
    assert.deepStrictEqual(check({ "Utils.ts": "" }), [
      "Utils.ts stands on no floor: give it a place in scripts/floors.ts"
    ])
  })

  it("catches a package in a machine", () => {
    assert.deepStrictEqual(check({ "internal/machine.ts": `import type * as Duration from "effect/Duration"` }), [
      "internal/machine.ts imports effect/Duration: machines import no package"
    ])
  })

  it("catches a circle on one floor", () => {
    assert.deepStrictEqual(
      check({ "Outcome.ts": `import "./Deadline.ts"`, "Deadline.ts": `import type { A } from "./Outcome.ts"` }),
      ["circle: Outcome.ts > Deadline.ts > Outcome.ts"]
    )
  })

  it("lets nobody import the roof", () => {
    assert.deepStrictEqual(check({ "testing/Chaos.ts": `import { Retry } from "../index.ts"`, "index.ts": "" }), [
      "testing/Chaos.ts (doors) reaches up to index.ts (roof)"
    ])
  })

  it("catches an import that leaves the sources", () => {
    assert.deepStrictEqual(check({ "Retry.ts": `import "../test/stub.ts"` }), [
      "Retry.ts reaches out of src to ../test/stub.ts"
    ])
  })

  it("does not read comments", () => {
    assert.deepStrictEqual(
      check({ "internal/machine.ts": `/**\n * import { Effect } from "effect"\n */\n// from "effect"\nexport {}` }),
      []
    )
  })
})
