/**
 * Codecs between our data and JSON: `camelCase` and `snake_case`, durations and
 * seconds, instants and RFC 3339 in UTC.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as SchemaTransformation from "effect/SchemaTransformation"

type Snake<S extends string> = S extends `${infer Head}${infer Tail}`
  ? `${Head extends Lowercase<Head> ? Head : `_${Lowercase<Head>}`}${Snake<Tail>}`
  : S

/**
 * The names of fields in `snake_case`.
 *
 * @category utility types
 * @since 0.1.0
 */
export type SnakeKeys<Fields> = { readonly [K in keyof Fields]: K extends string ? Snake<K> : K }

const snakeOf = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/**
 * A struct with `camelCase` keys in code and `snake_case` keys in JSON. The
 * name is that of the JSON, in documents made from the schema.
 *
 * @category schemas
 * @since 0.1.0
 */
export const snakeCase = <const Fields extends Schema.Struct.Fields>(
  identifier: string,
  fields: Fields
): Schema.encodeKeys<Schema.Struct<Fields>, SnakeKeys<Fields>> => {
  const keys = Object.fromEntries(Object.keys(fields).map((key) => [key, snakeOf(key)])) as SnakeKeys<Fields>
  const renamed = Schema.encodeKeys<Schema.Struct<Fields>, SnakeKeys<Fields>>(keys)(Schema.Struct(fields))
  return Schema.annotateEncoded({ identifier })(renamed) as never
}

/**
 * An instant: RFC 3339 in UTC.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Timestamp = Schema.DateTimeUtcFromString

const inSeconds = SchemaTransformation.transform({
  decode: (seconds: number) => Duration.seconds(seconds),
  encode: (duration: Duration.Duration) => Duration.toSeconds(duration)
})

/**
 * A duration: a number of seconds.
 *
 * @category schemas
 * @since 0.1.0
 */
export const Seconds = Schema.Finite.pipe(Schema.decodeTo(Schema.Duration, inSeconds))

/**
 * A duration within bounds: a number of seconds.
 *
 * @category schemas
 * @since 0.1.0
 */
export const seconds = (options: { readonly minimum: number; readonly maximum: number; readonly whole?: boolean }) => {
  const { maximum, minimum, whole = false } = options
  return (whole ? Schema.Int : Schema.Finite)
    .check(Schema.isBetween({ minimum, maximum }))
    .pipe(Schema.decodeTo(Schema.Duration, inSeconds))
}

/**
 * A value, or `null` where there is none.
 *
 * @category schemas
 * @since 0.1.0
 */
export const orNull = Schema.OptionFromNullOr
