import { assert, describe, it } from "@effect/vitest"
import { Arbitrary, ConfigProvider, Effect, Schema } from "effect"
import { execFileSync } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseEnv } from "node:util"
import { Preset } from "breakwater"
import * as CustomConfig from "../../src/config/CustomConfig.ts"
import * as writing from "../../src/config/internal/migrationScript.ts"
import * as Legacy from "../../src/config/Legacy.ts"
import * as Migration from "../../src/config/Migration.ts"

const core = (retry: string, threshold: string, recovery?: string, strategy?: string) => ({
  RETRY_MAX_ATTEMPTS: retry,
  CIRCUIT_BREAKER_FAILURE_THRESHOLD: threshold,
  ...(recovery !== undefined && { CIRCUIT_BREAKER_RECOVERY_TIMEOUT: recovery }),
  ...(strategy !== undefined && { DEFAULT_RESILIENCE_STRATEGY: strategy })
})

const messy = {
  ...core("8", "2", undefined, "aggressive"),
  QA_RESILIENCE_STRATEGY: "critical",
  RETRY_JITTER_MAX: "it's \"$HOME\" `id` $(id) \\\n# rm\n$'\\n'"
}

describe("analyze", () => {
  interface Vector {
    readonly variables: Legacy.Variables
    readonly preset: string
    readonly confidence: number
    readonly level: Migration.ConfidenceLevel
    readonly overrides: Partial<CustomConfig.Encoded>
    readonly warnings: ReadonlyArray<Migration.Warning["code"]>
  }
  const vectors: Readonly<Record<string, Vector>> = {
    "nothing at all": { variables: {}, preset: "simple", confidence: 1, level: "high", overrides: {}, warnings: [] },
    "the numbers of simple": {
      variables: core("3", "5", "60", "balanced"),
      preset: "simple",
      confidence: 1,
      level: "high",
      overrides: {},
      warnings: []
    },
    "the numbers of development": {
      variables: core("2", "3", "30", "aggressive"),
      preset: "development",
      confidence: 1,
      level: "high",
      overrides: {},
      warnings: ["aggressive_default"]
    },
    "the numbers of production with another strategy for qa": {
      variables: { ...core("5", "10", "120", "conservative"), QA_RESILIENCE_STRATEGY: "aggressive" },
      preset: "production",
      confidence: 0.9,
      level: "high",
      overrides: { operation_overrides: { qa: "aggressive" } },
      warnings: []
    },
    "the numbers and strategies of production": {
      variables: {
        ...core("5", "10", "120", "conservative"),
        QA_RESILIENCE_STRATEGY: "critical",
        SENTIMENT_RESILIENCE_STRATEGY: "aggressive"
      },
      preset: "production",
      confidence: 1,
      level: "high",
      overrides: {},
      warnings: []
    },
    "numbers that nobody should run": {
      variables: { ...core("8", "2", undefined, "aggressive"), QA_RESILIENCE_STRATEGY: "critical" },
      preset: "development",
      confidence: 0.4896,
      level: "low",
      overrides: { retry_attempts: 8, circuit_breaker_threshold: 2, operation_overrides: { qa: "critical" } },
      warnings: ["many_retries", "low_threshold", "retry_gt_threshold", "aggressive_default"]
    },
    "a medium likeness": {
      variables: core("4", "5", "90", "balanced"),
      preset: "simple",
      // 0.3 × 3/4 + 0.25 + 0.2 × 2/3 + 0.15, over 0.9
      confidence: 0.8426,
      level: "medium",
      overrides: { retry_attempts: 4, recovery_timeout: 90 },
      warnings: []
    },
    "settings of pauses only": {
      variables: { RETRY_JITTER_ENABLED: "false", RETRY_EXPONENTIAL_MAX: "30", RETRY_MAX_DELAY: "60" },
      preset: "simple",
      confidence: 0.5,
      level: "low",
      overrides: { max_delay_seconds: 60, exponential_max: 30, jitter_enabled: false },
      warnings: []
    },
    "settings of pauses beside the numbers of simple": {
      variables: {
        ...core("3", "5", "60", "balanced"),
        RETRY_EXPONENTIAL_MULTIPLIER: "1.0",
        RETRY_EXPONENTIAL_MIN: "2",
        RETRY_EXPONENTIAL_MAX: "10",
        RETRY_JITTER_ENABLED: "true",
        RETRY_JITTER_MAX: "2",
        RETRY_MAX_DELAY: "30"
      },
      preset: "simple",
      confidence: 1,
      level: "high",
      overrides: {
        max_delay_seconds: 30,
        exponential_multiplier: 1,
        exponential_min: 2,
        exponential_max: 10,
        jitter_enabled: true,
        jitter_max: 2
      },
      warnings: []
    },
    "another default, and an operation that keeps the old one": {
      variables: { ...core("3", "5", "60", "critical"), SUMMARIZE_RESILIENCE_STRATEGY: "balanced" },
      preset: "simple",
      confidence: 0.85,
      level: "medium",
      overrides: { default_strategy: "critical", operation_overrides: { summarize: "balanced" } },
      warnings: []
    },
    "more attempts than the nearest preset's threshold": {
      variables: { RETRY_MAX_ATTEMPTS: "6", CIRCUIT_BREAKER_RECOVERY_TIMEOUT: "60", RETRY_JITTER_MAX: "1" },
      preset: "simple",
      confidence: 0.7,
      level: "medium",
      overrides: { retry_attempts: 6, jitter_max: 1 },
      warnings: ["retry_gt_threshold"]
    },
    "a number that cannot be used": {
      variables: { ...core("3", "5", "60"), RETRY_MAX_DELAY: "soon" },
      preset: "simple",
      confidence: 1,
      level: "high",
      overrides: {},
      warnings: []
    }
  }
  for (const [name, { confidence, level, overrides, preset, variables, warnings }] of Object.entries(vectors)) {
    it(`finds ${preset}, with ${level} confidence, for ${name}`, () => {
      const plan = Migration.analyze(variables)
      assert.deepStrictEqual(
        {
          preset: plan.preset,
          confidence: plan.confidence,
          level: plan.confidenceLevel,
          overrides: plan.overrides,
          warnings: plan.warnings.map(({ code }) => code)
        },
        { preset, confidence, level, overrides, warnings }
      )
      assert.isNotEmpty(plan.steps)
    })
  }

  it("reports what cannot be used, keeps it in the backup and says so in the steps", () => {
    const plan = Migration.analyze({ RETRY_MAX_DELAY: "soon", RETRY_MAX_ATTEMPTS: "3" })
    assert.deepStrictEqual(
      plan.problems.map(({ variable, value }) => [variable, value]),
      [["RETRY_MAX_DELAY", "soon"]]
    )
    assert.deepStrictEqual(plan.legacy, { RETRY_MAX_ATTEMPTS: "3", RETRY_MAX_DELAY: "soon" })
    assert.match(plan.steps[0]!, /^Decide about RETRY_MAX_DELAY/)
  })

  it("warns about a new variable that is there already, and keeps its value", () => {
    const plan = Migration.analyze({ RETRY_MAX_ATTEMPTS: "3", RESILIENCE_PRESET: "production" })
    assert.deepStrictEqual(
      plan.warnings.map(({ code }) => code),
      ["already_set"]
    )
    assert.deepStrictEqual(plan.backup, { RETRY_MAX_ATTEMPTS: "3", RESILIENCE_PRESET: "production" })
    assert.deepStrictEqual(plan.legacy, { RETRY_MAX_ATTEMPTS: "3" })
  })

  it("chooses among other presets when they are given", () => {
    const mine = Preset.make("mine", {
      description: "Mine",
      retryAttempts: 8,
      circuitBreakerThreshold: 20,
      recoveryTimeout: "300 seconds",
      defaultStrategy: "critical",
      environmentContexts: ["production"]
    })
    const plan = Migration.analyze(core("8", "20", "300", "critical"), { presets: [Preset.simple, mine] })
    assert.deepStrictEqual([plan.preset, plan.confidence, plan.overrides], ["mine", 1, {}])
  })

  it.effect("reads the ConfigProvider when no variables are given", () =>
    Effect.gen(function* () {
      const env = { ...messy, RESILIENCE_PRESET: "simple", RETRY_ENABLED: "no" }
      const plan = yield* Migration.analyzeConfig().pipe(
        Effect.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
      )
      assert.deepStrictEqual(plan, Migration.analyze(env))
    })
  )

  it.prop(
    "gives every operation the strategy that the variables gave it, and every field its value",
    {
      fields: Schema.Struct({
        RETRY_MAX_ATTEMPTS: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10 }))),
        CIRCUIT_BREAKER_FAILURE_THRESHOLD: Schema.optionalKey(
          Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 20 }))
        ),
        CIRCUIT_BREAKER_RECOVERY_TIMEOUT: Schema.optionalKey(
          Schema.Int.check(Schema.isBetween({ minimum: 10, maximum: 300 }))
        ),
        DEFAULT_RESILIENCE_STRATEGY: Schema.optionalKey(CustomConfig.fields.defaultStrategy),
        RETRY_JITTER_ENABLED: Schema.optionalKey(Schema.Boolean),
        SUMMARIZE_RESILIENCE_STRATEGY: Schema.optionalKey(CustomConfig.fields.defaultStrategy),
        SENTIMENT_RESILIENCE_STRATEGY: Schema.optionalKey(CustomConfig.fields.defaultStrategy),
        QA_RESILIENCE_STRATEGY: Schema.optionalKey(CustomConfig.fields.defaultStrategy)
      })
    },
    ({ fields }) => {
      const variables = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]))
      const { overlay } = Legacy.decode(variables)
      const plan = Migration.analyze(variables)
      const preset = Preset.builtIn[plan.preset as keyof typeof Preset.builtIn]
      const migrated =
        Object.keys(plan.overrides).length === 0
          ? new Preset.Overlay()
          : Schema.decodeUnknownSync(CustomConfig.CustomConfig)(plan.overrides)
      for (const field of ["retryAttempts", "circuitBreakerThreshold", "recoveryTimeout", "defaultStrategy"] as const) {
        if (overlay[field] !== undefined) assert.deepStrictEqual(migrated[field] ?? preset[field], overlay[field])
      }
      assert.strictEqual(migrated.jitterEnabled, overlay.jitterEnabled)
      for (const [operation, strategy] of Object.entries(overlay.operationOverrides ?? {})) {
        assert.strictEqual(Preset.resolve(preset, migrated, operation).strategy.name, strategy)
      }
    },
    { arbitrary: { runs: 500 } }
  )
})

/** Runs bash in a directory of its own, with nothing but these variables. */
const inDirectory = <A>(
  use: (run: (command: string, env?: Readonly<Record<string, string>>) => string, directory: string) => A
): A => {
  const directory = mkdtempSync(join(tmpdir(), "migration-"))
  try {
    return use(
      (command, env = {}) =>
        execFileSync("/bin/bash", ["--noprofile", "--norc", "-c", command], {
          cwd: directory,
          env: { ...env, PATH: "/usr/bin:/bin" },
          encoding: "utf8",
          stdio: ["ignore", "pipe", "pipe"]
        }),
      directory
    )
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const environmentOf = (output: string): ReadonlyMap<string, string> =>
  new Map(
    output
      .split("\0")
      .filter((line) => line.includes("="))
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)])
  )

/** Sources the script in bash, then the backup, and reads the environment after each. */
const migrate = (plan: Migration.Plan, env: Readonly<Record<string, string>>) =>
  inDirectory((run, directory) => {
    writeFileSync(join(directory, "migrate.sh"), Migration.script(plan, "bash"))
    const after = environmentOf(run("set -euo pipefail; source ./migrate.sh > /dev/null; env -0", env))
    const files = readdirSync(directory)
    const restored = files.includes(writing.backupFile)
      ? environmentOf(run(`source ./${writing.backupFile}; env -0`))
      : new Map<string, string>()
    return { after, files, restored }
  })

/** What a script is to leave behind, and what it does. */
const outcomes = (env: Readonly<Record<string, string>>) => {
  const plan = Migration.analyze(env)
  const { after, files, restored } = migrate(plan, env)
  const values = (from: ReadonlyMap<string, string>, names: ReadonlyArray<string>) =>
    Object.fromEntries(names.map((name) => [name, from.get(name)]))
  return {
    expected: {
      environment: plan.environment,
      left: [],
      backup: plan.backup,
      files: Object.keys(plan.backup).length === 0 ? ["migrate.sh"] : [writing.backupFile, "migrate.sh"]
    },
    actual: {
      environment: values(after, Object.keys(plan.environment)),
      left: Object.keys(plan.legacy).filter((name) => after.has(name)),
      backup: values(restored, Object.keys(plan.backup)),
      files
    }
  }
}

describe("the bash script", () => {
  it("sets the new variables, removes the old ones and keeps their values", () => {
    const { actual, expected } = outcomes({
      ...core("5", "10", "120", "conservative"),
      QA_RESILIENCE_STRATEGY: "aggressive"
    })
    assert.deepStrictEqual(actual, expected)
  })

  it("does so with values that are hostile to a shell", () => {
    const values = ["'", "''", "\\", "\\'", "$(touch owned)", "`touch owned`", "a\n'; touch owned; '", "!!", "%s"]
    for (const env of [
      messy,
      ...values.map((value) => ({ RETRY_MAX_DELAY: value, RESILIENCE_CUSTOM_CONFIG: value }))
    ]) {
      const { actual, expected } = outcomes(env)
      assert.deepStrictEqual(actual, expected)
    }
  })

  it("writes no backup when there is nothing to keep", () => {
    const { actual, expected } = outcomes({})
    assert.deepStrictEqual(actual, expected)
  })

  it.prop(
    "gives back every value as it was",
    {
      values: Arbitrary.array(
        Arbitrary.schema(
          Schema.Struct({
            name: Schema.Literals([...Legacy.variables, "RESILIENCE_PRESET", "RESILIENCE_CUSTOM_CONFIG"]),
            parts: Schema.Array(
              Schema.Union([
                Schema.Literals([
                  "'",
                  '"',
                  "$",
                  "`",
                  "\\",
                  "\n",
                  "\r",
                  " ",
                  "#",
                  "!",
                  "%s",
                  "$(id)",
                  "EOF",
                  "\u2028",
                  "é"
                ]),
                Schema.String
              ])
            )
          })
        ),
        { maxLength: 8 }
      )
    },
    ({ values }) => {
      const { actual, expected } = outcomes(
        Object.fromEntries(
          // What an environment can hold: no zero byte, no lone surrogate.
          values.map(({ name, parts }) => [name, parts.join("").replaceAll("\0", "").toWellFormed()])
        )
      )
      assert.deepStrictEqual(actual, expected)
    },
    { timeout: 60_000, arbitrary: { runs: 60 } }
  )

  it("changes nothing when the backup cannot be written", () => {
    inDirectory((run, directory) => {
      const env = { RETRY_MAX_ATTEMPTS: "8" }
      writeFileSync(join(directory, "migrate.sh"), Migration.script(Migration.analyze(env), "bash"))
      const output = run(`mkdir ${writing.backupFile}; source ./migrate.sh 2> /dev/null || echo failed; env -0`, env)
      assert.match(output, /^failed\n/)
      const after = environmentOf(output.slice("failed\n".length))
      assert.strictEqual(after.get("RETRY_MAX_ATTEMPTS"), "8")
      assert.isFalse(after.has("RESILIENCE_PRESET"))
    })
  })

  it("writes a backup that only its owner can read, over an older one", () => {
    inDirectory((run, directory) => {
      const env = { RETRY_MAX_ATTEMPTS: "8" }
      writeFileSync(join(directory, "migrate.sh"), Migration.script(Migration.analyze(env), "bash"))
      run("source ./migrate.sh", env)
      assert.strictEqual(statSync(join(directory, writing.backupFile)).mode & 0o777, 0o600)
      run("set -o noclobber; source ./migrate.sh", env)
      assert.strictEqual(readFileSync(join(directory, writing.backupFile), "utf8"), "export RETRY_MAX_ATTEMPTS='8'\n")
    })
  })

  it("says how to check the result, and does not show the key", () => {
    const output = inDirectory((run, directory) => {
      writeFileSync(join(directory, "migrate.sh"), Migration.script(Migration.analyze(messy), "bash"))
      return run("bash ./migrate.sh", { API_KEY: "secret" })
    })
    assert.strictEqual(
      output,
      "Restart the service, then check it:\n" +
        '  curl --fail --silent --show-error -H "X-API-Key: $API_KEY" ' +
        "http://localhost:8000/internal/resilience/health\n"
    )
    const elsewhere = Migration.script(Migration.analyze({}), "bash", { baseUrl: "https://api.example.com:8443/" })
    assert.include(elsewhere, " https://api.example.com:8443/internal/resilience/health")
  })

  it("quotes an address that is none", () => {
    inDirectory((run, directory) => {
      const script = Migration.script(Migration.analyze(messy), "bash", { baseUrl: "x'; touch owned; '" })
      writeFileSync(join(directory, "migrate.sh"), script)
      run("source ./migrate.sh")
      assert.isFalse(existsSync(join(directory, "owned")))
    })
  })
})

describe("the env script", () => {
  it("is read back by dotenv parsers", () => {
    const plan = Migration.analyze(messy)
    const text = Migration.script(plan, "env")
    assert.deepStrictEqual({ ...parseEnv(text) }, plan.environment)
    const provider = ConfigProvider.fromDotEnvContents(text)
    for (const [name, value] of Object.entries(plan.environment)) {
      const node = Effect.runSync(provider.load([name]))
      assert.strictEqual(node?.value, value)
    }
  })

  it("puts a value into quotes that it does not contain", () => {
    for (const value of ["a b", "it's", `it's "so"`, "#1", "a\nb"]) {
      assert.strictEqual(parseEnv(`X=${writing.dotEnv(value)}`)["X"], value)
    }
  })

  it("shows the old values in comments of one line each", () => {
    const lines = Migration.script(Migration.analyze(messy), "env").trimEnd().split("\n")
    assert.isTrue(lines.every((line) => line.startsWith("# ") || line.startsWith("RESILIENCE_")))
    assert.include(lines, '#   RETRY_MAX_ATTEMPTS: "8"')
    assert.isTrue(lines.some((line) => line.includes("/internal/resilience/health")))
  })
})

describe("the docker script", () => {
  it("is an environment in YAML, with every value a JSON string", () => {
    const plan = Migration.analyze(messy)
    const lines = Migration.script(plan, "docker").trimEnd().split("\n")
    const from = lines.indexOf("environment:") + 1
    const count = Object.keys(plan.environment).length
    const read = lines.slice(from, from + count).map((line) => {
      const [, name, value] = /^ {2}([A-Z_]+): (".*")$/.exec(line)!
      return [name!, JSON.parse(value!) as string] as const
    })
    assert.deepStrictEqual(Object.fromEntries(read), plan.environment)
    assert.isTrue([...lines.slice(0, from - 1), ...lines.slice(from + count)].every((line) => line.startsWith("# ")))
  })

  it("keeps Compose from substituting", () => {
    assert.strictEqual(writing.compose('a $HOME "b"\n\\'), String.raw`"a $$HOME \"b\"\n\\"`)
  })
})

describe("the json script", () => {
  it("is the plan", () => {
    const plan = Migration.analyze(messy)
    const json: unknown = JSON.parse(Migration.script(plan, "json"))
    assert.deepStrictEqual(Schema.decodeUnknownSync(Migration.Plan)(json), plan)
    assert.deepInclude(json, { preset: "development", confidence: 0.4896, confidence_level: "low" })
  })
})

describe("report", () => {
  it("has the plan and a script in each format", () => {
    const plan = Migration.analyze(messy)
    const report = Schema.encodeSync(Migration.Report)(Migration.report(plan))
    assert.deepStrictEqual(Object.keys(report.script), [...Migration.Format.literals])
    for (const format of Migration.Format.literals) {
      assert.strictEqual(report.script[format], Migration.script(plan, format))
    }
    assert.deepStrictEqual(report.overrides, plan.overrides)
  })
})
