/**
 * The fields of a schema as its JSON Schema document states them, and findings
 * in their words for what the schema refuses.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Preset from "../../Preset.ts"
import * as Strategy from "../../Strategy.ts"
import * as Finding from "../Finding.ts"
import { nearest } from "./nearest.ts"

/** What a field accepts, in the words of JSON Schema. @internal */
export interface Field {
  readonly type: "integer" | "number" | "string" | "boolean" | "object" | "array"
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  /** Values accepted: of the field, of each item, or of each member. */
  readonly enum?: ReadonlyArray<string>
  /** Names accepted, of the members. */
  readonly namePattern?: string
}

/** @internal */
export type Fields = ReadonlyMap<string, Field>

/** @internal */
export type Json = Readonly<Record<string, unknown>>

/** @internal */
export const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A schema that findings can speak about. @internal */
export interface Document<A> {
  readonly fields: Fields
  /** The value, or what stands where and is refused with which words. */
  readonly decode: (json: unknown) => Result.Result<A, ReadonlyArray<Fault>>
}

interface Fault {
  readonly path: ReadonlyArray<PropertyKey>
  readonly message: string
}

/** @internal */
export const document = <S extends Schema.ConstraintDecoder<unknown>>(schema: S): Document<S["Type"]> => {
  const decode = Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })
  return {
    fields: fieldsOf(schema),
    decode: (json) => Result.mapError(decode(json), ({ issue }) => faultsOf(issue))
  }
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const faultsOf = (issue: SchemaIssue.Issue): ReadonlyArray<Fault> =>
  format(issue).issues.map(({ message, path = [] }) => ({
    path: path.map((segment) => (typeof segment === "object" ? segment.key : segment)),
    message
  }))

const fieldsOf = (schema: Schema.Constraint): Fields => {
  const { definitions, schema: root } = Schema.toJsonSchemaDocument(schema)
  const resolved = (node: Json): Json => {
    const name = typeof node["$ref"] === "string" ? node["$ref"].split("/").at(-1)! : undefined
    return name === undefined ? node : resolved(definitions[name] as Json)
  }
  const properties = resolved(root)["properties"] as Readonly<Record<string, Json>>
  return new Map(Object.entries(properties).map(([name, node]) => [name, fieldOf(resolved(node))]))
}

const fieldOf = (node: Json): Field => {
  // The document says no more of a record than that it is an object.
  if (node["type"] === "object") {
    return { type: "object", enum: Strategy.BuiltIn.literals, namePattern: "^[a-z][a-z0-9_]{0,63}$" }
  }
  if (node["type"] !== "array") return node as unknown as Field
  return { type: "array", enum: (node["items"] as Field).enum! }
}

/** The name of a value's type in JSON. @internal */
export const typeOf = (value: unknown): string => {
  if (value === null) return "null"
  if (Array.isArray(value)) return "array"
  return typeof value === "number" && Number.isInteger(value) ? "integer" : typeof value
}

/** Finds the name that was meant, until the work it has allowed itself is done. @internal */
export type Spelling = (word: string, candidates: ReadonlyArray<string>) => string | undefined

/** `letters`: pairs of letters to compare, in all. @internal */
export const spelling = (letters = 12_000): Spelling => {
  let left = letters
  return (word, candidates) => {
    if (left < 0 || word.length > 80) return undefined
    const typed = word.toLowerCase()
    const mistakes = Math.max(1, Math.floor(word.length / 3))
    const likely = candidates.filter(
      ({ length }, at) => Math.abs(length - word.length) <= mistakes || candidates[at]!.startsWith(typed)
    )
    for (const { length } of likely) left -= word.length * Math.min(length, 64)
    return left < 0 ? undefined : nearest(word, likely)
  }
}

/** A message has no room for all of them. */
const mostNames = 10

const inWords = (names: ReadonlyArray<string>): string =>
  names.length <= mostNames
    ? names.join(", ")
    : `${names.slice(0, mostNames).join(", ")} and ${names.length - mostNames} more`

/** The findings about what a schema refused: one for each place. @internal */
export const explain = (
  faults: ReadonlyArray<Fault>,
  options: { readonly json: unknown; readonly fields: Fields; readonly spelling: Spelling }
): ReadonlyArray<Finding.Finding> => {
  const places = new Set<string>()
  const findings: Array<Finding.Finding> = []
  const names = [...options.fields.keys()]
  const known = { names, inWords: inWords(names) }
  for (const fault of faults) {
    const path = fault.path.map(String).join(".")
    if (places.has(path)) continue
    places.add(path)
    findings.push(
      findings.length < Finding.maxFindings
        ? Finding.make({ severity: "error", path, ...explained(fault, { ...options, known }) })
        : unexplained(path)
    )
  }
  return findings
}

/** So many stand before it that it is counted and never shown. */
const unexplained = (path: string): Finding.Finding => ({ code: "invalid_value", severity: "error", path, message: "" })

interface Explained {
  /** Default: where the schema found the fault. */
  readonly path?: string
  readonly code: string
  readonly message: string
  readonly suggestion: string
}

const explained = (
  { message, path }: Fault,
  options: {
    readonly json: unknown
    readonly fields: Fields
    readonly spelling: Spelling
    readonly known: { readonly names: ReadonlyArray<string>; readonly inWords: string }
  }
): Explained => {
  const { fields, json, known, spelling } = options
  const example = `for example {"${known.names[0]}": ...}`
  if (!isObject(json)) {
    return {
      code: "invalid_type",
      message: `The configuration is ${withType(json)}; it has to be an object`,
      suggestion: `Write an object, ${example}`
    }
  }
  const [name, member] = path.map(String)
  if (name === undefined) {
    return Object.keys(json).length === 0
      ? {
          code: "empty_configuration",
          message: "The configuration is empty; it has to state at least one field",
          suggestion: `State at least one of ${known.inWords}`
        }
      : { code: "invalid_value", message, suggestion: `Write an object, ${example}` }
  }
  const field = fields.get(name)
  if (field === undefined) {
    const meant = spelling(name, known.names)
    return {
      code: "unknown_field",
      message: `${Finding.quote(name)} is not a field of the configuration`,
      suggestion: meant === undefined ? `Known fields: ${known.inWords}` : `Did you mean "${meant}"?`
    }
  }
  if (!Object.hasOwn(json, name)) {
    return { code: "required_field", message: `${name} is missing`, suggestion: `Set ${name} to ${ruleOf(field)}` }
  }
  const value = json[name]
  if (field.type === "object" && member !== undefined && isObject(value)) {
    return isName(member) ? literal(`${name}.${member}`, value[member], field, spelling) : invalidName(member)
  }
  if (field.type === "array" && Array.isArray(value)) {
    if (value.length === 0) {
      const suggestion = `Name at least one of ${field.enum?.join(", ")}`
      return { path: name, code: "required_field", message: `${name} is empty`, suggestion }
    }
    return member === undefined
      ? { code: "duplicate_item", message: `${name} names something twice`, suggestion: "Keep one of the two" }
      : literal(`${name}.${member}`, value[Number(member)], field, spelling)
  }
  return (
    wrongValue(name, value, field, spelling) ?? {
      code: "invalid_value",
      message: `${name}: ${message}`,
      suggestion: `Set ${name} to ${ruleOf(field)}`
    }
  )
}

/** Whether an operation can have this name. @internal */
export const isName = Schema.is(Preset.OperationName)

const invalidName = (name: string): Explained => {
  const proper = name
    .slice(0, 64)
    .toLowerCase()
    .replaceAll(/[^a-z0-9_]/g, "_")
  const rule = "a lower case letter, then lower case letters, digits and underscores, at most 64 in all"
  return {
    code: "invalid_name",
    message: `${Finding.quote(name)} cannot be the name of an operation: expected ${rule}`,
    suggestion: isName(proper) ? `Use "${proper}"` : `Use ${rule}`
  }
}

const wrongValue = (name: string, value: unknown, field: Field, spelling: Spelling): Explained | undefined => {
  if (field.type === "string" && field.enum !== undefined) return literal(name, value, field, spelling)
  if (!hasType(value, field)) {
    return {
      code: "invalid_type",
      message: `${name} is ${withType(value)}; it has to be ${ruleOf(field)}`,
      suggestion: unquoted(name, value, field) ?? setTo(name, undefined, field)
    }
  }
  if (typeof value === "number" && !inRange(value, field)) {
    return {
      code: "out_of_range",
      message: `${name} is ${value}; it has to be ${ruleOf(field)}`,
      suggestion: setTo(name, value, field)
    }
  }
  if (typeof value === "string") {
    return {
      code: "invalid_length",
      message: `${name} has ${value.length} characters; it has to be ${ruleOf(field)}`,
      suggestion: setTo(name, value, field)
    }
  }
  return undefined
}

const literal = (name: string, value: unknown, field: Field, spelling: Spelling): Explained => {
  const accepted = field.enum ?? []
  if (typeof value !== "string") {
    return {
      code: "invalid_type",
      message: `${name} is ${withType(value)}; it has to be one of ${accepted.join(", ")}`,
      suggestion: `Set ${name} to one of ${accepted.join(", ")}`
    }
  }
  const meant = spelling(value, accepted)
  return {
    code: "invalid_enum",
    message: `${name} is ${Finding.quote(value)}; it has to be one of ${accepted.join(", ")}`,
    suggestion: meant === undefined ? `Use one of ${accepted.join(", ")}` : `Did you mean "${meant}"?`
  }
}

// A number too large for a double is out of range rather than no number.
const hasType = (value: unknown, { type }: Field): boolean =>
  type === "integer"
    ? typeof value === "number" && (Number.isInteger(value) || !Number.isFinite(value))
    : type === "array"
      ? Array.isArray(value)
      : type === "object"
        ? isObject(value)
        : typeof value === type

const inRange = (value: number, { maximum = Infinity, minimum = -Infinity }: Field): boolean =>
  Number.isFinite(value) && value >= minimum && value <= maximum

const withType = (value: unknown): string => {
  const type = typeOf(value)
  const quoted = Finding.quote(value)
  return type === "string" || type === "integer" || type === "number" ? `${quoted}, ${article(type)}` : quoted
}

const article = (type: string): string => (type === "integer" ? "an integer" : `a ${type}`)

const ruleOf = (field: Field): string => {
  switch (field.type) {
    case "integer":
      return `a whole number from ${field.minimum} to ${field.maximum}`
    case "number":
      return `a number from ${field.minimum} to ${field.maximum}`
    case "boolean":
      return "true or false"
    case "object":
      return `an object that gives operations one of ${field.enum?.join(", ")}`
    case "array":
      return `an array of ${field.enum?.join(", ")}`
    case "string":
      return field.enum === undefined
        ? `text of ${field.minLength} to ${field.maxLength} characters`
        : `one of ${field.enum.join(", ")}`
  }
}

const examples: ReadonlyMap<string, number> = new Map([
  ["retry_attempts", 3],
  ["circuit_breaker_threshold", 5],
  ["recovery_timeout", 60]
])

/** The usual value, or the nearest one that is accepted. */
const setTo = (name: string, value: number | string | undefined, field: Field): string => {
  const nearestAccepted =
    field.minimum === undefined || field.maximum === undefined
      ? undefined
      : typeof value === "number"
        ? Math.min(Math.max(value, field.minimum), field.maximum)
        : field.minimum
  const example = examples.get(name) ?? nearestAccepted
  return `Set ${name} to ${ruleOf(field)}${example === undefined ? "" : `, for example ${example}`}`
}

/** What somebody put in quotes who need not have. */
const unquoted = (name: string, value: unknown, field: Field): string | undefined => {
  if (typeof value !== "string" || value.length > 20) return undefined
  const text = value.trim().toLowerCase()
  const isMeant =
    field.type === "boolean"
      ? text === "true" || text === "false"
      : (field.type === "integer" || field.type === "number") &&
        text !== "" &&
        hasType(Number(text), field) &&
        inRange(Number(text), field)
  return isMeant ? `Write ${name} without quotes: ${field.type === "boolean" ? text : Number(text)}` : undefined
}
