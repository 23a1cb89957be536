/**
 * Reads arguments and environment.
 */
import { Data, Redacted, Result } from "effect"
import type { Provider } from "./Model.ts"

export const help = `A text processing service that calls a model, guarded by Breakwater.

Usage: pnpm start [--once] [--speed N] [--help]

  --once       Run the script of the model server once (about 30 seconds; with a provider, 30
               seconds of traffic), print a summary, and exit with 0 if every circuit that opened
               has recovered, else with 1.
  --speed N    Run script, traffic and strategies N times as fast, 0.5 to 8. Default 1.
  --help       Print this.

Environment:

  PORT               Port of the service and of its admin API, 0 to 65535. 0 takes a free one.
                     Default 8000.
  API_KEY            Key of the admin API. Default: a random one, printed at the start.
  OPENAI_BASE_URL    With OPENAI_API_KEY: an OpenAI-compatible provider to call, for example
                     https://api.openai.com/v1. It gets one call a second. Without: a model
                     server of its own, whose behaviour follows a script.
  OPENAI_API_KEY     Key of that provider.
  OPENAI_MODEL       Model of that provider. Default gpt-4o-mini.
  RESILIENCE_PRESET  simple, development or production. Default: strategies of the example with
                     short open times; simple when a provider is called.
  NO_COLOR           Print no colours.
`

/** The command line or the environment cannot be used. The message names value, rule and fix. */
export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

const presets = ["simple", "development", "production"] as const

export interface Options {
  readonly once: boolean
  readonly speed: number
  readonly port: number
  /** `undefined`: make a random one. */
  readonly apiKey: Redacted.Redacted | undefined
  /** `undefined`: start the scripted model server. */
  readonly provider: Provider | undefined
  /** `undefined`: the strategies of the example. */
  readonly preset: (typeof presets)[number] | undefined
  /** What the user should know about the environment. */
  readonly notes: ReadonlyArray<string>
}

export type Command = { readonly _tag: "Help" } | { readonly _tag: "Run"; readonly options: Options }

export type Environment = Readonly<Record<string, string | undefined>>

/** The message of a port that cannot be used. */
export const portHint = (port: number): string =>
  `Choose another one: PORT=${port >= 1024 && port < 65_535 ? port + 1 : 8001} pnpm start`

export const parse = (args: ReadonlyArray<string>, env: Environment): Result.Result<Command, UsageError> =>
  Result.gen(function* () {
    const { help, once, speed } = yield* parseArguments(args)
    if (help) return { _tag: "Help" }

    const set = (name: string): string | undefined => env[name]?.trim() || undefined
    const port = yield* parsePort(set("PORT"))
    const preset = yield* parsePreset(set("RESILIENCE_PRESET"))
    const [url, key, apiKey] = [set("OPENAI_BASE_URL"), set("OPENAI_API_KEY"), set("API_KEY")]
    const provider =
      url === undefined || key === undefined
        ? undefined
        : { baseUrl: yield* parseUrl(url), apiKey: Redacted.make(key), model: set("OPENAI_MODEL") ?? "gpt-4o-mini" }

    if (once && preset !== undefined && provider === undefined) {
      return yield* fail(
        `RESILIENCE_PRESET=${preset} with --once: expected no preset, because circuits of the built-in presets stay ` +
          "open longer than the whole script runs. Unset RESILIENCE_PRESET, or leave --once out."
      )
    }
    const notes =
      provider !== undefined || (url === undefined && key === undefined)
        ? []
        : [
            `${url === undefined ? "OPENAI_API_KEY" : "OPENAI_BASE_URL"} is set without ` +
              `${url === undefined ? "OPENAI_BASE_URL" : "OPENAI_API_KEY"}: set both to call a provider.`
          ]
    return {
      _tag: "Run",
      options: {
        once,
        speed,
        port,
        apiKey: apiKey === undefined ? undefined : Redacted.make(apiKey),
        provider,
        preset,
        notes
      }
    }
  })

const fail = (message: string) => Result.fail(new UsageError({ message }))

const parseArguments = (
  args: ReadonlyArray<string>
): Result.Result<{ readonly help: boolean; readonly once: boolean; readonly speed: number }, UsageError> =>
  Result.gen(function* () {
    let help = false
    let once = false
    let speed = 1
    const left = [...args]
    for (let arg = left.shift(); arg !== undefined; arg = left.shift()) {
      if (arg === "--help" || arg === "-h") help = true
      else if (arg === "--once") once = true
      else if (arg === "--speed") speed = yield* parseSpeed(left.shift())
      else if (arg.startsWith("--speed=")) speed = yield* parseSpeed(arg.slice("--speed=".length))
      // `pnpm start -- --once` hands the separator on.
      else if (arg !== "--") {
        return yield* fail(
          `Unknown argument ${JSON.stringify(arg)}: expected --once, --speed N or --help. Leave it out, or see --help.`
        )
      }
    }
    return { help, once, speed }
  })

const parseSpeed = (text: string | undefined): Result.Result<number, UsageError> => {
  const speed = text === undefined || text.trim() === "" ? NaN : Number(text)
  return speed >= 0.5 && speed <= 8
    ? Result.succeed(speed)
    : fail(
        `--speed ${text === undefined ? "without a number" : JSON.stringify(text)}: expected a number from 0.5 to 8. ` +
          "For example: --speed 2"
      )
}

const parsePort = (text: string | undefined): Result.Result<number, UsageError> => {
  if (text === undefined) return Result.succeed(8000)
  return /^\d{1,5}$/.test(text) && Number(text) <= 65_535
    ? Result.succeed(Number(text))
    : fail(`PORT=${JSON.stringify(text)}: expected a whole number from 0 to 65535. For example: PORT=8001 pnpm start`)
}

const parsePreset = (text: string | undefined): Result.Result<Options["preset"], UsageError> => {
  const preset = presets.find((name) => name === text)
  return text === undefined || preset !== undefined
    ? Result.succeed(preset)
    : fail(
        `RESILIENCE_PRESET=${JSON.stringify(text)}: expected ${presets.join(", ")}, in lower case. ` +
          "Choose one of them, or unset it."
      )
}

// The value is not shown: it may be the key, in the wrong variable.
const parseUrl = (text: string): Result.Result<string, UsageError> =>
  /^https?:$/.test(URL.parse(text)?.protocol ?? "")
    ? Result.succeed(text.replace(/\/+$/, ""))
    : fail(
        `OPENAI_BASE_URL (${text.length} characters, not shown): expected an http or https URL. ` +
          "For example: OPENAI_BASE_URL=https://api.openai.com/v1"
      )
