/**
 * Reads what names say about an environment. Pure: names in, verdicts out.
 *
 *   "EU-Staging2"  ──lower case──>  ["eu", "staging2"]  ──digits off──>  "staging"
 *
 * A part matches a word as a whole, so that "latest" is no test and "domain" no
 * main branch. Staging comes first, because "preprod" and "staging-prod" are
 * no production; production comes last.
 */

/** @internal */
type Kind = "staging" | "development" | "production"

/** @internal */
export type Environment = "development" | "testing" | "staging" | "production"

const words: ReadonlyArray<readonly [kind: Kind, words: ReadonlyArray<string>]> = [
  ["staging", ["stag", "stage", "staging", "preprod", "preproduction", "uat", "integration"]],
  ["development", ["dev", "development", "local", "test", "testing", "sandbox", "demo"]],
  ["production", ["prod", "production", "live", "release", "stable", "main", "master"]]
]

/** What a name says, and the part of it that says so. @internal */
export interface Match {
  readonly kind: Kind
  readonly word: string
}

/** The first kind with a word among the parts of a name. @internal */
export const match = (name: string): Match | undefined => {
  const parts = name
    .trim()
    .toLowerCase()
    .split(/[-_.]/)
    .map((part) => /^([a-z]+)\d*$/.exec(part)?.[1] ?? "")
  const preprod = parts.findIndex(
    (part, at) => part === "pre" && (parts[at + 1] === "prod" || parts[at + 1] === "production")
  )
  if (preprod !== -1) return { kind: "staging", word: `pre-${parts[preprod + 1]}` }
  for (const [kind, list] of words) {
    const word = parts.find((part) => list.includes(part))
    if (word !== undefined) return { kind, word }
  }
  return undefined
}

/** The environments that a variable names with one word of its own. @internal */
export const named: ReadonlyMap<string, Environment> = new Map([
  ["development", "development"],
  ["dev", "development"],
  ["testing", "testing"],
  ["test", "testing"],
  ["staging", "staging"],
  ["stage", "staging"],
  ["production", "production"],
  ["prod", "production"],
  ["live", "production"]
])
