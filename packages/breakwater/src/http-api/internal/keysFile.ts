/**
 * Reads a file of keys: a JSON array of `{ "id", "sha256", "scope" }`.
 *
 * No message repeats a value of the file: somebody may have written the key
 * where its digest belongs.
 */
import * as Hex from "effect/encoding/Hex"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { Scope } from "../AdminApi.ts"

/** @internal */
export interface Listed {
  readonly id: string
  readonly digest: Uint8Array
  readonly scope: Scope
}

/** @internal */
export interface Fault {
  readonly problem: "malformed" | "repeated"
  readonly message: string
}

const File = Schema.Array(
  Schema.Struct({
    id: Schema.String.check(Schema.isPattern(/^[A-Za-z0-9._@-]{1,64}$/)),
    sha256: Schema.String.check(Schema.isPattern(/^[0-9a-fA-F]{64}$/)),
    scope: Scope
  })
)

const rules: Readonly<Record<string, string>> = {
  id: "1 to 64 letters, digits and . _ @ -",
  sha256: "64 hex digits",
  scope: "read, operate or admin"
}
const shape = 'a JSON array of { "id", "sha256", "scope" }'

const maxLength = 1024 * 1024

const decode = Schema.decodeUnknownResult(File, { onExcessProperty: "error", errors: "first" })
const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const malformed = (message: string): Result.Result<never, Fault> => Result.fail({ problem: "malformed", message })

/** @internal */
export const parse = (text: string): Result.Result<ReadonlyArray<Listed>, Fault> => {
  if (text.length > maxLength) return malformed("the file is larger than 1 MB")
  const json = Result.try((): unknown => JSON.parse(text))
  if (Result.isFailure(json)) return malformed(`the file has to be ${shape}`)
  const decoded = decode(json.success)
  if (Result.isFailure(decoded)) return malformed(faultOf(decoded.failure.issue))
  const seen = new Set<string>()
  for (const [index, { id }] of decoded.success.entries()) {
    if (seen.has(id))
      return Result.fail({ problem: "repeated", message: `entry ${index + 1} has the id of another one` })
    seen.add(id)
  }
  return Result.succeed(
    decoded.success.map(({ id, scope, sha256 }) => ({
      id,
      scope,
      digest: Result.getOrThrow(Hex.decode(sha256.toLowerCase()))
    }))
  )
}

const faultOf = (issue: SchemaIssue.Issue): string => {
  const path = formatIssue(issue).issues[0]?.path ?? []
  const [place, field] = path.map((segment) => (typeof segment === "object" ? segment.key : segment))
  if (typeof place !== "number") return `the file has to be ${shape}`
  const rule = typeof field === "string" && Object.hasOwn(rules, field) ? rules[field] : undefined
  return rule === undefined
    ? `entry ${place + 1} has to be { "id", "sha256", "scope" }`
    : `${String(field)} of entry ${place + 1} has to be ${rule}`
}
