import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, DateTime, Effect, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as Export from "../../src/monitoring/Export.ts"
import { parse, write } from "../../src/monitoring/internal/csv.ts"
import * as Usage from "../../src/monitoring/Usage.ts"

const hostile = [
  "",
  " ",
  "'",
  "''",
  "=1+1",
  "'=1+1",
  "''=1+1",
  "+1",
  "-1",
  "@SUM(A1)",
  "\tx",
  "\rx",
  "\nx",
  '"',
  '""',
  '"a","b"',
  "a,b",
  "a\r\nb",
  "null",
  "it's",
  "'tis",
  "ünï",
  "日本",
  "🙂",
  "\u0000",
  "\u2028",
  "a;b",
  "__proto__",
  '=HYPERLINK("http://x","y")'
]

const text = Schema.Union([Schema.Literals(hostile), Schema.String])

/** Names of a few members: V8 13.6 confuses names that are written with escapes. */
const metadata = Schema.Record(
  Schema.Literals(["=a", "key one", "b,c", "d''e"]),
  Schema.Union([text, Schema.Finite, Schema.Boolean, Schema.Null, Schema.Array(text)])
)

const metric = Arbitrary.map(
  Arbitrary.schema(
    Schema.Struct({
      at: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 4e12 })),
      metricType: Usage.MetricType,
      presetName: text,
      operation: text,
      value: Schema.Finite,
      metadata,
      sessionId: Schema.Option(text),
      userContext: Schema.Option(text)
    })
  ),
  ({ at, ...rest }): Usage.Metric => ({ ...rest, timestamp: DateTime.makeUnsafe(at) })
)

const encoded = Schema.encodeSync(Schema.Array(Usage.Metric))

const plain: Usage.Metric = {
  timestamp: DateTime.makeUnsafe(0),
  metricType: "config_load",
  presetName: "simple",
  operation: "load_config",
  value: -1.5,
  metadata: { config_type: "preset" },
  sessionId: Option.none(),
  userContext: Option.none()
}

const same = (found: ReadonlyArray<Usage.Metric>, expected: ReadonlyArray<Usage.Metric>) =>
  assert.strictEqual(JSON.stringify(encoded(found)), JSON.stringify(encoded(expected)))

describe("JSON", () => {
  it("is an array of metrics", () => {
    assert.strictEqual(
      Export.toJson([plain]),
      '[{"timestamp":"1970-01-01T00:00:00.000Z","metric_type":"config_load","preset_name":"simple","operation":' +
        '"load_config","value":-1.5,"metadata":{"config_type":"preset"},"session_id":null,"user_context":null}]'
    )
    assert.strictEqual(Export.toJson([]), "[]")
  })

  it.effect.prop("comes back as it was", [Arbitrary.array(metric, { maxLength: 5 })], ([metrics]) =>
    Effect.map(Export.parseJson(Export.toJson(metrics)), (found) => same(found, metrics))
  )
})

describe("CSV", () => {
  const header = "timestamp,metric_type,preset_name,operation,value,metadata,session_id,user_context\r\n"

  it("has a header, quotes what needs it, and leaves out what is not there", () => {
    assert.strictEqual(
      Export.toCsv([
        plain,
        { ...plain, operation: 'a "b", c', sessionId: Option.some(""), userContext: Option.some("u") }
      ]),
      header +
        '1970-01-01T00:00:00.000Z,config_load,simple,load_config,-1.5,"{""config_type"":""preset""}",,\r\n' +
        '1970-01-01T00:00:00.000Z,config_load,simple,"a ""b"", c",-1.5,"{""config_type"":""preset""}","",u\r\n'
    )
    assert.strictEqual(Export.toCsv([]), header)
  })

  const cells: ReadonlyArray<readonly [text: string, cell: string]> = [
    ["=1+1", "'=1+1"],
    ["+1", "'+1"],
    ["-1", "'-1"],
    ["@x", "'@x"],
    ["\tx", "'\tx"],
    ["\rx", '"\'\rx"'],
    ["\nx", '"\'\nx"'],
    ["'=1", "''=1"],
    ["''=1", "'''=1"],
    ["'tis", "'tis"],
    ["a=1", "a=1"],
    ["-", "'-"],
    ["＝1+1", "'＝1+1"],
    ["＋1", "'＋1"],
    ["－1", "'－1"],
    ["＠x", "'＠x"],
    ['=A("1")', '"\'=A(""1"")"']
  ]
  for (const [text, cell] of cells) {
    it(`writes ${JSON.stringify(text)} as ${JSON.stringify(cell)} and reads it again`, () => {
      assert.strictEqual(write([[text]]), `${cell}\r\n`)
      assert.deepStrictEqual(parse(`${cell}\r\n`), [[text]])
    })
  }

  it.effect.prop("comes back as it was", [Arbitrary.array(metric, { maxLength: 5 })], ([metrics]) =>
    Effect.map(Export.parseCsv(Export.toCsv(metrics)), (found) => same(found, metrics))
  )

  it.prop("has no cell that a spreadsheet would run", [Arbitrary.array(metric, { maxLength: 5 })], ([metrics]) => {
    for (const [index, row] of rawCells(Export.toCsv(metrics)).entries()) {
      for (const [column, cell] of row.entries()) {
        // The value is a number, which is no formula even if it is negative.
        if (index > 0 && column === 4) assert.isTrue(Number.isFinite(Number(cell)))
        else assert.notMatch(cell, /^[=+\-@＝＋－＠\t\r\n]/)
      }
    }
  })

  it("reads rows that end with a line feed, or with nothing", () => {
    assert.deepStrictEqual(parse('a,"b\nc",\n"",\'=d'), [
      ["a", "b\nc", null],
      ["", "=d"]
    ])
    assert.deepStrictEqual(parse(""), [])
  })

  const broken: ReadonlyArray<readonly [name: string, text: string, reason: string]> = [
    ["an empty text", "", "record 1: expected the header"],
    ["another header", "a,b\r\n", "record 1: expected the header"],
    ["a row that is too short", `${header}a,b\r\n`, "record 2: expected 8 cells, got 2"],
    ["a quote that is never closed", `${header}"a`, "record 2: a quote is out of place"],
    ["a quote within a text", `${header}a"b,c`, "record 2: a quote is out of place"],
    ["a text after a quote", `${header}"a"b,c`, "record 2: a quote is out of place"],
    ["metadata that is no JSON", `${header}1970-01-01T00:00:00.000Z,config_load,s,o,1,{,,\r\n`, "JSON"],
    ["a type that there is not", `${header}1970-01-01T00:00:00.000Z,nothing,s,o,1,{},,\r\n`, "metric_type"],
    ["a value that is no number", `${header}1970-01-01T00:00:00.000Z,config_load,s,o,x,{},,\r\n`, "value"]
  ]
  for (const [name, text, reason] of broken) {
    it.effect(`does not accept ${name}`, () =>
      Effect.map(Effect.flip(Export.parseCsv(text)), (error) => {
        assert.deepStrictEqual([error._tag, error.format], ["InvalidExport", "csv"])
        assert.include(error.message, reason)
      })
    )
  }

  it.effect("does not accept JSON that is no export", () =>
    Effect.gen(function* () {
      for (const text of ["", "{}", "[1]", '[{"timestamp":1}]']) {
        assert.strictEqual((yield* Effect.flip(Export.parseJson(text))).format, "json")
      }
    })
  )

  it("is read in time that grows with its length", () => {
    const startedAt = process.hrtime.bigint()
    for (const text of [`"${'""'.repeat(500_000)}`, '"'.repeat(1_000_001), ",".repeat(1_000_000)]) {
      try {
        parse(text)
      } catch (error) {
        assert.include(String(error), "record 1")
      }
    }
    assert.isBelow(Number(process.hrtime.bigint() - startedAt) / 1e6, 2000)
  })
})

/** Cells with their guard, read by another parser. */
const rawCells = (csv: string): ReadonlyArray<ReadonlyArray<string>> => {
  const rows: Array<Array<string>> = []
  let row: Array<string> = []
  let cell = ""
  let isQuoted = false
  for (let at = 0; at < csv.length; at++) {
    const character = csv[at]!
    if (isQuoted) {
      if (character !== '"') cell += character
      else if (csv[at + 1] === '"') cell += csv[++at]!
      else isQuoted = false
    } else if (character === '"') isQuoted = true
    else if (character === ",") {
      row.push(cell)
      cell = ""
    } else if (character === "\r" && csv[at + 1] === "\n") {
      at++
      rows.push([...row, cell])
      row = []
      cell = ""
    } else cell += character
  }
  return rows
}

describe("an export", () => {
  it.effect("has the events of the last hours, or all of them", () =>
    Effect.gen(function* () {
      const usage = yield* Usage.Usage
      yield* usage.recordLoad("simple", 10)
      yield* TestClock.adjust("3 hours")
      yield* usage.recordLoad("production", 20)
      const all = yield* Export.metrics("JSON")
      assert.strictEqual((yield* Export.parseJson(all.data)).length, 2)
      const latest = yield* Export.metrics(" csv ", 2)
      assert.deepStrictEqual(
        (yield* Export.parseCsv(latest.data)).map(({ presetName }) => presetName),
        ["production"]
      )
      assert.deepStrictEqual(Schema.encodeSync(Export.Exported)({ ...all, data: "[]" }), {
        format: "json",
        time_window_hours: null,
        data: "[]",
        export_timestamp: "1970-01-01T03:00:00.000Z"
      })
      assert.strictEqual(Schema.encodeSync(Export.Exported)(latest).time_window_hours, 2)
    }).pipe(Effect.provide(Usage.layer()))
  )

  it.effect("is not made in a format that there is not, or of no hours", () =>
    Effect.gen(function* () {
      const unknown = yield* Effect.flip(Export.metrics("xml"))
      assert.strictEqual(unknown._tag, "UnknownFormat")
      if (unknown._tag === "UnknownFormat") {
        assert.deepStrictEqual([unknown.invalidFormat, unknown.supportedFormats], ["xml", ["json", "csv"]])
      }
      for (const hours of [0, -1, 8761, 0.5]) {
        assert.strictEqual((yield* Effect.flip(Export.metrics("json", hours)))._tag, "OutOfRange")
      }
    }).pipe(Effect.provide(Usage.layer()))
  )
})
