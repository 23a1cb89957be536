/**
 * Weighs what a process knows about its environment. Pure: variables and file
 * names in, signals and a verdict out.
 *
 *   variables, files ──collect──> signals ──weigh──> the strongest one,
 *     +0.05 for each that agrees, at most 0.98,
 *     × 0.85 if one above 0.70 contradicts
 */
import { type Environment, match, named } from "./environmentWords.ts"

/** @internal */
export interface Signal {
  readonly source: string
  /** Fit to be shown: never a secret. */
  readonly value: string
  readonly environment: Environment
  readonly confidence: number
}

/** Variables that name an environment, the strongest first. @internal */
const naming: ReadonlyArray<readonly [variable: string, confidence: number]> = [
  ["ENVIRONMENT", 0.95],
  ["NODE_ENV", 0.85],
  ["FLASK_ENV", 0.85],
  ["APP_ENV", 0.85],
  ["ENV", 0.85],
  ["DEPLOYMENT_ENV", 0.85],
  ["DJANGO_SETTINGS_MODULE", 0.85],
  ["RAILS_ENV", 0.85]
]

/** @internal */
export const variables: ReadonlyArray<string> = [
  ...naming.map(([variable]) => variable),
  "DEBUG",
  "PRODUCTION",
  "PROD",
  "HOSTNAME",
  "HOST",
  "DATABASE_URL",
  "ENFORCE_AUTH",
  "ENABLE_AI_CACHE"
]

/** Files of a working copy. @internal */
export const files: ReadonlyArray<string> = [".env", ".git", "docker-compose.dev.yml"]

const hosts = { development: 0.6, staging: 0.65, production: 0.7 } as const

/** Longer values are cut where they are shown. */
const shown = 100

/** Whether a switch is on. @internal */
export const isOn = (value: string | undefined): boolean =>
  value !== undefined && ["true", "1", "yes"].includes(value.trim().toLowerCase())

/** @internal */
export const collect = (
  values: ReadonlyMap<string, string>,
  existing: ReadonlyArray<string>,
  isSecurity: boolean
): ReadonlyArray<Signal> => {
  const signals: Array<Signal> = []
  const add = (source: string, environment: Environment, confidence: number, value = values.get(source) ?? "") => {
    signals.push({ source, value: value.trim().slice(0, shown), environment, confidence })
  }
  const lower = (variable: string): string => (values.get(variable) ?? "").trim().toLowerCase()
  const debug = lower("DEBUG")

  for (const [variable, confidence] of naming) {
    // A settings module is a path, such as `shop.settings.production`.
    const name = variable === "DJANGO_SETTINGS_MODULE" ? lower(variable).split(".").at(-1)! : lower(variable)
    const environment = named.get(name)
    if (environment !== undefined) add(variable, environment, confidence)
  }
  if (debug === "true" || debug === "1") add("DEBUG", "development", 0.7)
  for (const file of existing) add(file, "development", 0.7, "exists")
  for (const variable of ["PRODUCTION", "PROD"]) if (lower(variable) === "true") add(variable, "production", 0.75)
  if (debug === "false" || debug === "0") add("DEBUG", "production", 0.75)
  for (const variable of ["HOSTNAME", "HOST"]) {
    const kind = isLoopback(lower(variable)) ? "development" : match(lower(variable))?.kind
    if (kind !== undefined) add(variable, kind, hosts[kind])
  }
  if (/(^|[^a-z0-9])production\d*([^a-z0-9]|$)/.test(withoutUser(lower("DATABASE_URL")))) {
    add("DATABASE_URL", "production", 0.7, "contains production")
  }
  if (isSecurity && isOn(values.get("ENFORCE_AUTH"))) add("ENFORCE_AUTH", "production", 0.98)
  return signals
}

const isLoopback = (host: string): boolean =>
  /^(.*\.)?localhost(:\d+)?$|^127\.[\d.]+(:\d+)?$|^(::1|\[::1\](:\d+)?)$/.test(host)

/** A user or a password may contain any word. */
const withoutUser = (url: string): string => url.slice(url.lastIndexOf("@") + 1)

/** @internal */
export interface Verdict {
  readonly winner: Signal
  readonly agreeing: ReadonlyArray<Signal>
  readonly conflicting: ReadonlyArray<Signal>
  /** Whether a strong signal contradicts. */
  readonly isDoubted: boolean
  readonly confidence: number
}

/** @internal */
export const highest = 0.98
/** @internal */
export const perAgreeing = 0.05
/** @internal */
export const strong = 0.7
/** @internal */
export const doubt = 0.85

/** Of equally strong signals the first decides. @internal */
export const weigh = (signals: ReadonlyArray<Signal>): Verdict | undefined => {
  const [first, ...others] = signals
  if (first === undefined) return undefined
  const winner = others.reduce((best, signal) => (signal.confidence > best.confidence ? signal : best), first)
  const rest = signals.filter((signal) => signal !== winner)
  const agreeing = rest.filter(({ environment }) => environment === winner.environment)
  const conflicting = rest.filter(({ environment }) => environment !== winner.environment)
  const isDoubted = conflicting.some(({ confidence }) => confidence > strong)
  const supported = Math.min(winner.confidence + perAgreeing * agreeing.length, highest)
  const confidence = Math.round((isDoubted ? supported * doubt : supported) * 10_000) / 10_000
  return { winner, agreeing, conflicting, isDoubted, confidence }
}
