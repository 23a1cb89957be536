import { assert, describe, it } from "@effect/vitest"
import { Redacted, Result } from "effect"
import { type Environment, type Options, parse } from "../Options.ts"

const optionsOf = (args: ReadonlyArray<string>, env: Environment = {}): Options => {
  const command = Result.getOrThrow(parse(args, env))
  assert(command._tag === "Run")
  return command.options
}

const messageOf = (args: ReadonlyArray<string>, env: Environment = {}): string =>
  Result.getOrThrow(Result.flip(parse(args, env))).message

describe("parse", () => {
  it("has a default for everything", () => {
    assert.deepStrictEqual(optionsOf([]), {
      once: false,
      speed: 1,
      port: 8000,
      apiKey: undefined,
      provider: undefined,
      preset: undefined,
      notes: []
    })
  })

  it("reads the arguments in either form, and ignores the separator of a package manager", () => {
    assert.isTrue(optionsOf(["--once"]).once)
    assert.strictEqual(optionsOf(["--", "--speed", "4"]).speed, 4)
    assert.strictEqual(optionsOf(["--speed=0.5", "--once"]).speed, 0.5)
    assert.deepStrictEqual(parse(["--help"], { PORT: "unused" }), Result.succeed({ _tag: "Help" }))
  })

  it("takes a blank variable for an unset one", () => {
    const options = optionsOf([], { PORT: "", API_KEY: " ", RESILIENCE_PRESET: "", OPENAI_API_KEY: "" })
    assert.strictEqual(options.port, 8000)
    assert.strictEqual(options.apiKey, undefined)
  })

  it("calls a provider when both of its variables are set, and says so when one is missing", () => {
    const env = { OPENAI_BASE_URL: "https://example.com/v1/", OPENAI_API_KEY: "secret" }
    const { provider } = optionsOf([], env)
    assert.strictEqual(provider?.baseUrl, "https://example.com/v1")
    assert.strictEqual(provider?.model, "gpt-4o-mini")
    assert.strictEqual(Redacted.value(provider!.apiKey), "secret")

    const lonely = optionsOf([], { OPENAI_API_KEY: "secret" })
    assert.strictEqual(lonely.provider, undefined)
    assert.deepStrictEqual(lonely.notes, [
      "OPENAI_API_KEY is set without OPENAI_BASE_URL: set both to call a provider."
    ])
  })

  for (const [args, env, value, rule, fix] of [
    [["--onec"], {}, '"--onec"', "expected --once, --speed N or --help", "--help"],
    [["once"], {}, '"once"', "expected --once", "--help"],
    [["--speed", "fast"], {}, '"fast"', "from 0.5 to 8", "--speed 2"],
    [["--speed=9"], {}, '"9"', "from 0.5 to 8", "--speed 2"],
    [["--speed"], {}, "without a number", "from 0.5 to 8", "--speed 2"],
    [[], { PORT: "80a" }, '"80a"', "from 0 to 65535", "PORT=8001"],
    [[], { PORT: "65536" }, '"65536"', "from 0 to 65535", "PORT=8001"],
    [[], { PORT: "-1" }, '"-1"', "from 0 to 65535", "PORT=8001"],
    [[], { RESILIENCE_PRESET: "prod" }, '"prod"', "simple, development, production", "Choose one of them"],
    [
      ["--once"],
      { RESILIENCE_PRESET: "simple" },
      "=simple with --once",
      "expected no preset",
      "Unset RESILIENCE_PRESET"
    ],
    [[], { OPENAI_BASE_URL: "x", OPENAI_API_KEY: "k" }, "1 characters", "http or https", "OPENAI_BASE_URL=https://"]
  ] as const) {
    it(`names value, rule and fix of ${[...args, ...Object.entries(env).map((pair) => pair.join("="))].join(" ")}`, () => {
      const message = messageOf(args, env)
      assert.include(message, value)
      assert.include(message, rule)
      assert.include(message, fix)
    })
  }
})
