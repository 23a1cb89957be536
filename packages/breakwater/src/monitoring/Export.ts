/**
 * Writes events as JSON or CSV, and reads them again.
 *
 * **Details**
 *
 * CSV is that of RFC 4180: a header, lines that end with CR LF, and quotes
 * around what needs them. Metadata is JSON in one cell. A missing session or
 * user context is an empty cell; an empty text is a quoted one.
 *
 * **Gotchas**
 *
 * A text that a spreadsheet would run as a formula, because it begins with `=`,
 * `+`, `-` or `@`, wide or not, a tab or a line break, gets an apostrophe in
 * front, and one more if it has some there already. `parseCsv` takes it off
 * again; other readers of the file have to do the same.
 *
 * **Example** (Exporting events)
 *
 * ```ts import.meta.vitest
 * import { Effect } from "effect"
 * import { Export, Usage } from "breakwater"
 *
 * const program = Effect.gen(function* () {
 *   const usage = yield* Usage.Usage
 *   yield* usage.recordPresetUsage("production", { operation: "=1+1", metadata: { tier: "free" } })
 *   const { data } = yield* Export.metrics("CSV")
 *   const [metric] = yield* Export.parseCsv(data)
 *   return [data.includes(",'=1+1,1,"), metric?.operation]
 * }).pipe(Effect.provide(Usage.layer()))
 *
 * await Effect.runPromise(program) // => [true, "=1+1"]
 * ```
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Wire from "../Wire.ts"
import { cut } from "./internal/boundedJson.ts"
import { type Cell, InvalidCell, parse, write } from "./internal/csv.ts"
import { Metric, type OutOfRange, Usage } from "./Usage.ts"

/**
 * @category models
 * @since 0.1.0
 */
export const Format = Schema.Literals(["json", "csv"])

/**
 * @category models
 * @since 0.1.0
 */
export type Format = typeof Format.Type

/**
 * There is no such format.
 *
 * @category errors
 * @since 0.1.0
 */
export class UnknownFormat extends Data.TaggedError("UnknownFormat")<{
  readonly invalidFormat: string
  readonly supportedFormats: ReadonlyArray<Format>
}> {
  override get message(): string {
    const { invalidFormat, supportedFormats } = this
    return `There is no format ${JSON.stringify(cut(invalidFormat, 60))}. Available: ${supportedFormats.join(", ")}`
  }
}

/**
 * A text is no export of events.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidExport extends Data.TaggedError("InvalidExport")<{
  readonly format: Format
  readonly reason: string
}> {
  override get message(): string {
    return `Not a ${this.format.toUpperCase()} export of events: ${this.reason}`
  }
}

/**
 * What the admin API answers.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Exported = Wire.snakeCase("MetricsExport", {
  format: Format,
  /** `null`: everything that is kept. */
  timeWindowHours: Wire.orNull(Schema.Int),
  /** JSON or CSV, as text. */
  data: Schema.String,
  exportTimestamp: Wire.Timestamp
})

/**
 * @category models
 * @since 0.1.0
 */
export type Exported = typeof Exported.Type

/**
 * A format by its name, without regard to case.
 *
 * @category constructors
 * @since 0.1.0
 */
export const format = (name: string): Effect.Effect<Format, UnknownFormat> => {
  const found = Format.literals.find((known) => known === name.trim().toLowerCase())
  return found === undefined
    ? Effect.fail(new UnknownFormat({ invalidFormat: name, supportedFormats: Format.literals }))
    : Effect.succeed(found)
}

const encode = Schema.encodeSync(Schema.Array(Metric))

const decode = Schema.decodeUnknownEffect(Schema.Array(Metric))

/**
 * A JSON array of events.
 *
 * @category encoding
 * @since 0.1.0
 */
export const toJson = (metrics: ReadonlyArray<Metric>): string => JSON.stringify(encode(metrics))

const columns = [
  "timestamp",
  "metric_type",
  "preset_name",
  "operation",
  "value",
  "metadata",
  "session_id",
  "user_context"
] as const

/**
 * A CSV document of events, always with a header.
 *
 * @category encoding
 * @since 0.1.0
 */
export const toCsv = (metrics: ReadonlyArray<Metric>): string =>
  write([
    columns,
    ...encode(metrics).map((metric) =>
      columns.map((column): Cell => (column === "metadata" ? JSON.stringify(metric.metadata) : metric[column]))
    )
  ])

const attempt = <A>(format: Format, evaluate: () => A): Effect.Effect<A, InvalidExport> =>
  Effect.try({
    try: evaluate,
    catch: (error) =>
      new InvalidExport({ format, reason: error instanceof Error ? cut(error.message, 300) : "unknown" })
  })

const decoded = (format: Format, rows: unknown): Effect.Effect<ReadonlyArray<Metric>, InvalidExport> =>
  Effect.mapError(decode(rows), (error) => new InvalidExport({ format, reason: cut(error.message, 300) }))

/**
 * Reads what `toJson` wrote.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseJson = (text: string): Effect.Effect<ReadonlyArray<Metric>, InvalidExport> =>
  Effect.flatMap(
    attempt("json", () => JSON.parse(text) as unknown),
    (rows) => decoded("json", rows)
  )

const rowsOf = (text: string): ReadonlyArray<unknown> => {
  const [header, ...rows] = parse(text)
  if (header?.length !== columns.length || columns.some((column, at) => header[at] !== column)) {
    throw new InvalidCell(1, `expected the header ${columns.join(",")}`)
  }
  return rows.map((cells, index) => {
    if (cells.length !== columns.length) {
      throw new InvalidCell(index + 2, `expected ${columns.length} cells, got ${cells.length}`)
    }
    return Object.fromEntries(
      columns.map((column, at) => {
        const cell = cells[at] ?? null
        if (column === "metadata") return [column, JSON.parse(cell ?? "null") as unknown]
        return [column, column === "value" && cell !== null ? Number(cell) : cell]
      })
    )
  })
}

/**
 * Reads what `toCsv` wrote.
 *
 * @category decoding
 * @since 0.1.0
 */
export const parseCsv = (text: string): Effect.Effect<ReadonlyArray<Metric>, InvalidExport> =>
  Effect.flatMap(
    attempt("csv", () => rowsOf(text)),
    (rows) => decoded("csv", rows)
  )

/**
 * Exports the events of the last hours, or all that are kept.
 *
 * @category combinators
 * @since 0.1.0
 */
export const metrics = Effect.fnUntraced(function* (
  formatName: string,
  timeWindowHours?: number
): Effect.fn.Return<Exported, UnknownFormat | OutOfRange, Usage> {
  const chosen = yield* format(formatName)
  const events = yield* (yield* Usage).metrics(timeWindowHours)
  return {
    format: chosen,
    timeWindowHours: Option.fromUndefinedOr(timeWindowHours),
    data: chosen === "json" ? toJson(events) : toCsv(events),
    exportTimestamp: yield* DateTime.now
  }
})
