import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, Result, Schema } from "effect"
import { AdminApi } from "../../src/http-api/index.ts"
import * as MetricsGroup from "../../src/http-api/groups/MetricsGroup.ts"
import * as OperationsGroup from "../../src/http-api/groups/OperationsGroup.ts"
import * as wire from "../../src/http-api/internal/wire.ts"

const agrees = <A, I>(name: string, schema: Schema.Codec<A, I>, write: (value: A) => I) => {
  const encode = Schema.encodeResult(schema)
  // The schema has no words for an infinite duration.
  const values = Arbitrary.filter(Arbitrary.schema(schema), (value) => Result.isSuccess(encode(value)))
  it.prop(`is what the schema of ${name} writes, to the letter`, { value: values }, ({ value }) => {
    assert.strictEqual(JSON.stringify(write(value)), JSON.stringify(Result.getOrThrow(encode(value))))
  })
}

describe("JSON that is written by hand", () => {
  agrees("health", AdminApi.Health, wire.health)
  agrees("the list of circuits", AdminApi.BreakerList, wire.breakerList)
  agrees("one circuit", AdminApi.BreakerDetails, wire.breakerDetails)
  agrees("one operation", OperationsGroup.Operation, wire.operation)
  agrees("the list of operations", OperationsGroup.List, wire.operationList)
  agrees("all metrics", MetricsGroup.All, wire.allMetrics)
})
