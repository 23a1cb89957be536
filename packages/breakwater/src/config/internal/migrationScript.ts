/**
 * Writes values so that a shell, Docker Compose or a comment reads them back as
 * they are. Pure.
 *
 * A value may hold anything: quotes, line feeds, `$`, backslashes. Only a zero
 * byte cannot be in an environment, so it is dropped.
 */

/** A word of a POSIX shell: `it's` becomes `'it'\''s'`. @internal */
const shell = (value: string): string => `'${withoutZero(value).replaceAll("'", String.raw`'\''`)}'`

/**
 * A value in an `.env` file, where a quote inside cannot be escaped: it stands
 * in quotes that it does not contain.
 *
 * @internal
 */
export const dotEnv = (value: string): string => {
  const quote = ["'", "`", '"'].find((quote) => !value.includes(quote)) ?? "'"
  return `${quote}${withoutZero(value)}${quote}`
}

/** A string in YAML that Docker Compose does not substitute in: `$` becomes `$$`. @internal */
export const compose = (value: string): string => JSON.stringify(withoutZero(value).replaceAll("$", "$$$$"))

/** One line of a comment, whatever it says. @internal */
const comment = (text: string): string => `# ${text.replaceAll(/\p{Cc}|\p{Zl}|\p{Zp}/gu, " ")}`

/** A value in a message or comment. @internal */
export const shown = (value: string): string => JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value)

const withoutZero = (value: string): string => value.replaceAll("\0", "")

/** @internal */
export interface Parts {
  /** Variables to set. */
  readonly environment: Readonly<Record<string, string>>
  /** Variables to remove, with their values. */
  readonly legacy: Readonly<Record<string, string>>
  /** Variables to keep a copy of. */
  readonly backup: Readonly<Record<string, string>>
  /** Lines for the reader. */
  readonly notes: ReadonlyArray<string>
  /** Where the service answers. */
  readonly baseUrl: string
}

/** @internal */
export const backupFile = ".env.resilience.backup"

/** @internal */
export const check = (baseUrl: string): string =>
  `curl --fail --silent --show-error -H "X-API-Key: $API_KEY" ${url(baseUrl)}/internal/resilience/health`

const url = (baseUrl: string): string => {
  const base = baseUrl.replace(/\/$/, "")
  return /^[\w:/.[\]-]+$/.test(base) ? base : shell(base)
}

/** @internal */
export const bash = ({ backup, baseUrl, environment, legacy, notes }: Parts): string => {
  const kept = Object.entries(backup).map(([name, value]) => `export ${name}=${shell(value)}`)
  return lines(
    "#!/bin/bash",
    "# Moves the resilience configuration to a preset. Source it, so that the shell keeps what it exports:",
    "#   source ./migrate-resilience.sh",
    ...notes.map(comment),
    ...(kept.length === 0
      ? []
      : [
          "",
          "# The values until now. To go back: source " + backupFile,
          "if ! (umask 077 && printf '%s\\n' \\",
          ...kept.map((line) => `  ${shell(line)} \\`),
          `  >| ${backupFile}); then`,
          `  echo 'The backup ${backupFile} cannot be written. Nothing was changed.' >&2`,
          "  return 1 2> /dev/null || exit 1",
          "fi"
        ]),
    "",
    ...Object.entries(environment).map(([name, value]) => `export ${name}=${shell(value)}`),
    ...Object.keys(legacy).map((name) => `unset ${name}`),
    "",
    `printf '%s\\n' 'Restart the service, then check it:' ${shell(`  ${check(baseUrl)}`)}`
  )
}

/** @internal */
export const env = ({ baseUrl, environment, legacy, notes }: Parts): string =>
  lines(
    ...notes.map(comment),
    ...Object.entries(environment).map(([name, value]) => `${name}=${dotEnv(value)}`),
    ...removed(legacy, (value) => JSON.stringify(value)),
    comment(`Restart the service, then check it: ${check(baseUrl)}`)
  )

/** @internal */
export const docker = ({ baseUrl, environment, legacy, notes }: Parts): string =>
  lines(
    "# For the service in compose.yaml.",
    ...notes.map(comment),
    "environment:",
    ...Object.entries(environment).map(([name, value]) => `  ${name}: ${compose(value)}`),
    ...removed(legacy, compose),
    comment(`Restart the service, then check it: ${check(baseUrl)}`)
  )

const removed = (legacy: Readonly<Record<string, string>>, quote: (value: string) => string): ReadonlyArray<string> => {
  const entries = Object.entries(legacy)
  if (entries.length === 0) return []
  return [comment("Remove:"), ...entries.map(([name, value]) => comment(`  ${name}: ${quote(value)}`))]
}

const lines = (...all: ReadonlyArray<string>): string => `${all.join("\n")}\n`
