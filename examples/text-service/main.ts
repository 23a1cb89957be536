/**
 * Runs the text service and drives traffic through it. See `--help`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import {
  Cause,
  Console,
  Context,
  Data,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Queue,
  Redacted,
  Runtime,
  Stream
} from "effect"
import { FetchHttpClient, HttpServer } from "effect/http"
import { Configuration } from "breakwater"
import { Dashboard } from "@breakwater/dashboard"
import { randomBytes } from "node:crypto"
import * as Http from "./Http.ts"
import { Model } from "./Model.ts"
import * as ModelServer from "./ModelServer.ts"
import * as Options from "./Options.ts"
import * as Report from "./Report.ts"
import * as Server from "./Server.ts"
import { strategies } from "./Strategies.ts"
import { names, TextService } from "./TextService.ts"
import * as Traffic from "./Traffic.ts"

/** The run was not a success. The message is printed and no stack. */
class Failed extends Data.TaggedError("Failed")<{ readonly message: string }> {}

/** How long `--once` watches a provider, which follows no script. */
const watch = "30 seconds"

const run = Effect.fnUntraced(function* (options: Options.Options) {
  const scripted = options.provider === undefined ? yield* startModelServer(options) : undefined
  const provider = options.provider ?? scripted!.provider
  const own = scripted !== undefined && options.preset === undefined ? strategies(options.speed) : undefined
  const operations = own === undefined ? names : names.map((name) => ({ name, strategy: own[name] }))
  const key = options.apiKey ?? Redacted.make(randomBytes(24).toString("base64url"))

  const app = Server.layer({ port: options.port, key }).pipe(
    Layer.provide(TextService.layer),
    Layer.provide(Model.layer(provider)),
    // Reads RESILIENCE_PRESET and the rest of the environment, and reads it again when the process is told to.
    Layer.provideMerge(Configuration.layerReload(hangUps)),
    Layer.provideMerge(Configuration.layer({ operations })),
    Layer.provide(Configuration.layerDotEnv()),
    Layer.provide(NodeServices.layer),
    Layer.provideMerge(FetchHttpClient.layer)
  )
  yield* demonstrate(options, key, scripted?.play).pipe(Effect.provide(app))
}, Effect.scoped)

/** `kill -HUP` asks a service to read its configuration again. */
const hangUps = Stream.callback<void>((queue) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const onHangUp = () => void Queue.offerUnsafe(queue, undefined)
      process.on("SIGHUP", onHangUp)
      return onHangUp
    }),
    (onHangUp) => Effect.sync(() => process.off("SIGHUP", onHangUp))
  )
)

const startModelServer = Effect.fnUntraced(function* (options: Options.Options) {
  const { baseUrl, play } = Context.get(
    yield* Layer.build(ModelServer.ModelServer.layer({ speed: options.speed })),
    ModelServer.ModelServer
  )
  return { play, provider: { baseUrl, apiKey: Redacted.make("not needed"), model: "scripted" } }
})

const demonstrate = Effect.fnUntraced(function* (
  options: Options.Options,
  key: Redacted.Redacted,
  play: ModelServer.ModelServer["Service"]["play"] | undefined
) {
  const { address } = yield* HttpServer.HttpServer
  // By number: `localhost` may be another program that listens on ::1.
  const url = `http://127.0.0.1:${address._tag === "UnixPathAddress" ? options.port : address.port}`
  const report = yield* Report.make({ colours: process.stdout.isTTY && !process.env["NO_COLOR"] })
  // A provider costs money: one call a second in all.
  const interval = play === undefined ? Duration.seconds(names.length) : Duration.millis(250 / options.speed)
  const traffic = yield* Traffic.make({ url, interval })

  yield* Console.log(banner(options, url, key).join("\n"))
  const driving = yield* Effect.forkScoped(traffic.drive)
  const printing = yield* Effect.forkScoped(report.lines)

  const playOnce = play?.(({ behaviour, seconds }) =>
    report.note(`the model server ${ModelServer.descriptions[behaviour]}, for ${seconds / options.speed} s`)
  )
  if (!options.once) {
    return yield* (playOnce === undefined ? Effect.never : Effect.forever(playOnce)).pipe(
      Effect.onInterrupt(() => Effect.flatMap(traffic.counts, report.summary))
    )
  }

  yield* playOnce ?? Effect.sleep(watch)
  yield* Fiber.interrupt(driving)
  yield* Effect.timeoutOption(traffic.settled, "10 seconds")
  yield* Fiber.interrupt(printing)
  const counts = yield* traffic.counts
  const { open, opened } = yield* report.summary(counts)
  if (open.length > 0) return yield* new Failed({ message: ["Not every circuit has recovered:", ...open].join("\n  ") })
  if (counts.failed > 0) return yield* new Failed({ message: `${counts.failed} requests failed without a fallback.` })
  yield* Console.log(opened === 0 ? "No circuit opened." : "Every circuit that opened has recovered.")
}, Effect.scoped)

const banner = (options: Options.Options, url: string, key: Redacted.Redacted): ReadonlyArray<string> => [
  `Text service   POST ${url}${Http.path}`,
  `Admin API      ${url}/internal/resilience`,
  `Docs           ${url}/internal/docs`,
  `Dashboard      ${url}${Dashboard.path}`,
  options.apiKey === undefined
    ? `Key            ${Redacted.value(key)}   (random, for this run; API_KEY=... sets your own)`
    : "Key            the value of API_KEY",
  `Model          ${
    options.provider === undefined
      ? `a scripted server of its own (OPENAI_BASE_URL and OPENAI_API_KEY call a provider)`
      : `${options.provider.model} at ${new URL(options.provider.baseUrl).host}`
  }`,
  `Strategies     ${
    options.preset === undefined && options.provider === undefined
      ? "the example's, with short open times (RESILIENCE_PRESET chooses a preset)"
      : `those of the preset ${options.preset ?? "simple"}`
  }`,
  ...options.notes.map((note) => `Note           ${note}`),
  ...(options.once ? [] : ["", "Ctrl-C stops it."]),
  "",
  ...Report.legend
]

const main = Effect.gen(function* () {
  const command = yield* Effect.fromResult(Options.parse(process.argv.slice(2), process.env))
  yield* command._tag === "Help" ? Console.log(Options.help) : run(command.options)
}).pipe(
  Effect.catch((error) =>
    Effect.andThen(Console.error(error.message), Effect.fail(Object.assign(error, { [Runtime.errorReported]: false })))
  )
)

NodeRuntime.runMain(main, {
  // To stop a service that runs until it is stopped is no failure.
  teardown: (exit, onExit) =>
    Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) && !process.argv.includes("--once")
      ? onExit(0)
      : Runtime.defaultTeardown(exit, onExit)
})
