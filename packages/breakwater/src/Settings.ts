/**
 * Builds the schemas that the settings of all policies share, and the error
 * that says which setting is wrong.
 *
 * **Details**
 *
 * Settings are data: one schema per policy serves as constructor, JSON codec,
 * `Config` and documentation. Code writes durations as
 * `Duration.Input`; text writes them as `"10 seconds"`.
 *
 * **Gotchas**
 *
 * A number is read as milliseconds in code only, as everywhere in Effect. JSON
 * and configuration refuse it.
 *
 * **Example** (Settings of a policy of your own)
 *
 * ```ts import.meta.vitest
 * import { Duration, Schema } from "effect"
 * import { Settings } from "breakwater"
 *
 * class Pause extends Schema.Class<Pause>("my-app/Pause")({
 *   length: Settings.duration({ minimum: "1 milli", maximum: "1 hour" }).pipe(
 *     Settings.withDefault(Duration.seconds(5))
 *   )
 * }) {}
 *
 * Duration.toMillis(new Pause().length) // => 5000
 * Duration.toMillis(Schema.decodeUnknownSync(Pause)({ length: "2 seconds" }).length) // => 2000
 * ```
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { pipe } from "effect/Function"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"

/**
 * One wrong setting: where it stands, what stands there and the rule it breaks.
 *
 * @category models
 * @since 0.1.0
 */
export interface Finding {
  /** Dotted path of the field, for example `"retry.maxAttempts"`. */
  readonly path: string
  /** The value as written. */
  readonly value: unknown
  /** The rule, with range and unit. */
  readonly rule: string
}

/**
 * Settings that no policy can run with. Names every wrong field.
 *
 * @category errors
 * @since 0.1.0
 */
export class InvalidSettings extends Data.TaggedError("InvalidSettings")<{
  /** The settings that were refused, for example `"CircuitBreaker"`. */
  readonly settings: string
  readonly findings: ReadonlyArray<Finding>
}> {
  override get message(): string {
    return `Invalid ${this.settings} settings: ${this.findings
      .map(({ path, rule }) => (path === "" ? rule : `${path}: ${rule}`))
      .join("; ")}`
  }
}

/**
 * One default, for `new Settings()` as for decoded JSON and configuration.
 *
 * @category combinators
 * @since 0.1.0
 */
export const withDefault =
  <S extends Schema.Constraint & Schema.WithoutConstructorDefault>(value: S["Type"] & S["~type.make.in"]) =>
  (schema: S) =>
    pipe(
      schema,
      Schema.withDecodingDefaultType(Effect.succeed(value)),
      Schema.withConstructorDefault(Effect.succeed(value))
    )

/**
 * The schema of the settings of a policy. The fields are a function so that a
 * program which does not name the schema does not bundle it: write
 * `/*#__PURE__*\/` in front of the call.
 *
 * @category schemas
 * @since 0.1.0
 */
export const struct = <const Fields extends Schema.Struct.Fields>(
  identifier: string,
  fields: () => Fields
): Schema.Struct<Fields> => Schema.Struct(fields()).annotate({ identifier })

/**
 * A whole number within `[minimum, maximum]`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const count = (options: { readonly minimum: number; readonly maximum: number }) =>
  Schema.Int.check(Schema.isBetween(options))

/**
 * A finite number within `[minimum, maximum]`.
 *
 * @category schemas
 * @since 0.1.0
 */
export const number = (options: { readonly minimum: number; readonly maximum: number }) =>
  Schema.Finite.check(Schema.isBetween(options))

/**
 * A finite duration within `[minimum, maximum]`. Text such as `"10 seconds"`
 * in JSON and configuration.
 *
 * @category schemas
 * @since 0.1.0
 */
export const duration = (options: { readonly minimum: Duration.Input; readonly maximum: Duration.Input }) => {
  const minimum = Duration.fromInputUnsafe(options.minimum)
  const maximum = Duration.fromInputUnsafe(options.maximum)
  const rule = `a duration from ${Duration.format(minimum)} to ${Duration.format(maximum)}`
  return Schema.DurationFromString.check(
    Schema.makeFilter(
      (self) => Duration.between(self, { minimum, maximum }) || `Expected ${rule}, got ${Duration.format(self)}`,
      {
        description: rule
      }
    )
  )
}

/**
 * Checks settings written in code: durations may be any `Duration.Input`.
 * Throws `InvalidSettings`, which names every wrong field at once.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <Self, Input extends object>(
  schema: {
    readonly fields: Schema.Struct.Fields
    makeEffect(input: never, options?: Schema.MakeOptions): Effect.Effect<Self, SchemaIssue.Issue>
  },
  options: { readonly settings: string; readonly input: Input; readonly durations: ReadonlyArray<keyof Input & string> }
): Self => {
  const { input, settings } = options
  const findings: Array<Finding> = []
  const fields: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(input)) {
    if (value === undefined) continue
    if (!(field in schema.fields)) {
      findings.push({ path: field, value, rule: `unknown field; known: ${Object.keys(schema.fields).join(", ")}` })
    } else if (options.durations.some((name) => name === field)) {
      const parsed = parseDuration(value)
      if (Option.isSome(parsed)) fields[field] = parsed.value
      else findings.push({ path: field, value, rule: `expected a duration such as "10 seconds", got ${String(value)}` })
    } else {
      fields[field] = value
    }
  }
  const exit = Effect.runSyncExit(
    schema.makeEffect(fields as never, { parseOptions: { errors: "all", onExcessProperty: "error" } })
  )
  if (Exit.isSuccess(exit) && findings.length === 0) return exit.value
  if (Exit.isFailure(exit)) {
    const issue = Cause.findErrorOption(exit.cause)
    if (Option.isSome(issue)) findings.push(...fromIssue(issue.value, input))
  }
  throw new InvalidSettings({ settings, findings })
}

/**
 * Checks how many keys a policy keeps at most, 1 to 1,000,000. Throws
 * `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const checkMaxKeys = (settings: string, maxKeys: number | undefined): void =>
  checkCounts(settings, [["maxKeys", maxKeys, 1, 1_000_000]])

/**
 * Checks whole numbers: each with its path, its value, and the least and the
 * most it may be. Throws `InvalidSettings`.
 *
 * @category constructors
 * @since 0.1.0
 */
export const checkCounts = (
  settings: string,
  counts: ReadonlyArray<readonly [path: string, value: number | undefined, minimum: number, maximum: number]>
): void => {
  const findings = counts.flatMap(([path, value, minimum, maximum]) =>
    value === undefined || (Number.isInteger(value) && value >= minimum && value <= maximum)
      ? []
      : [{ path, value, rule: `expected a whole number from ${minimum} to ${maximum}, got ${value}` }]
  )
  if (findings.length > 0) throw new InvalidSettings({ settings, findings })
}

// `Duration.fromInput` reads NaN as zero; here it is a mistake.
const parseDuration = (value: unknown): Option.Option<Duration.Duration> =>
  typeof value === "number" && Number.isNaN(value) ? Option.none() : Duration.fromInput(value as Duration.Input)

const format = /*#__PURE__*/ SchemaIssue.makeFormatterStandardSchemaV1()

const fromIssue = (issue: SchemaIssue.Issue, input: object): ReadonlyArray<Finding> =>
  format(issue).issues.map(({ message, path = [] }) => {
    const keys = path.map((segment) => (typeof segment === "object" ? segment.key : segment))
    return {
      path: keys.map(String).join("."),
      value: keys.reduce<unknown>((value, key) => (Predicate.hasProperty(value, key) ? value[key] : undefined), input),
      rule: message
    }
  })
