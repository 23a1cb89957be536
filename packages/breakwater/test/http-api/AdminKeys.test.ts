import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, FileSystem, Layer, Logger, Option, PlatformError, Redacted } from "effect"
import { readFileSync } from "node:fs"
import { createHash } from "node:crypto"
import { AdminKeys } from "../../src/http-api/index.ts"

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex")

const path = "/etc/keys.json"

interface File {
  content: string | undefined
}

const layer = (file: File, env: Record<string, string> = { API_KEYS_FILE: path }) =>
  AdminKeys.AdminKeys.layerConfig.pipe(
    Layer.provide(
      FileSystem.layerNoop({
        readFileString: (at) =>
          file.content === undefined || at !== path
            ? Effect.fail(
                PlatformError.systemError({
                  _tag: "NotFound",
                  module: "FileSystem",
                  method: "readFileString",
                  pathOrDescriptor: at
                })
              )
            : Effect.succeed(file.content)
      })
    ),
    Layer.provide(ConfigProvider.layer(ConfigProvider.fromEnvRecord(env)))
  )

const entry = (id: string, key: string, scope = "read") => ({ id, sha256: sha256(key), scope })

const who = (key: string) =>
  Effect.gen(function* () {
    const { identify } = yield* AdminKeys.AdminKeys
    const { id, scope } = yield* identify(Redacted.make(key))
    return [id, Option.getOrNull(scope)] as const
  })

const captured = () => {
  const lines: Array<string> = []
  return { lines, logger: Logger.layer([Logger.map(Logger.formatJson, (line) => void lines.push(line))]) }
}

describe("a file of keys", () => {
  it.effect("names keys by id and digest, beside those of the environment", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* who("dashboard-key-000"), ["dashboard", "read"])
      assert.deepStrictEqual(yield* who("oncall-key-000000"), ["oncall@ops", "admin"])
      assert.deepStrictEqual(yield* who("environment-key-0"), [sha256("environment-key-0").slice(0, 6), "admin"])
      assert.deepStrictEqual(yield* who("nobody-gave-this"), [sha256("nobody-gave-this").slice(0, 6), null])
      assert.isNull((yield* who(sha256("dashboard-key-000")))[1])
    }).pipe(
      Effect.provide(
        layer(
          {
            content: JSON.stringify([
              { ...entry("dashboard", "dashboard-key-000"), sha256: sha256("dashboard-key-000").toUpperCase() },
              entry("oncall@ops", "oncall-key-000000", "admin")
            ])
          },
          { API_KEYS_FILE: path, API_KEY: "environment-key-0" }
        )
      )
    )
  )

  it.effect("that is not one stops the start with its place, and shows nothing of it", () =>
    Effect.gen(function* () {
      const good = entry("a", "a-key-of-sixteen")
      const cases: ReadonlyArray<readonly [string | undefined, string, RegExp]> = [
        [undefined, "unreadable", /NotFound/],
        ["", "malformed", /JSON array/],
        ["{", "malformed", /JSON array/],
        ["{}", "malformed", /JSON array/],
        ["null", "malformed", /JSON array/],
        ['["s3cret"]', "malformed", /entry 1 has to be \{/],
        [JSON.stringify([good, { ...good, id: "s3cret id" }]), "malformed", /id of entry 2/],
        [JSON.stringify([{ ...good, sha256: "s3cret" }]), "malformed", /sha256 of entry 1 has to be 64 hex digits/],
        [JSON.stringify([{ ...good, scope: "s3cret" }]), "malformed", /scope of entry 1 has to be read/],
        [JSON.stringify([{ id: "a", sha256: good.sha256 }]), "malformed", /scope of entry 1/],
        [JSON.stringify([{ ...good, s3cret: 1 }]), "malformed", /entry 1 has to be \{/],
        [JSON.stringify([good, good]), "repeated", /entry 2/],
        [`[${" ".repeat(1024 * 1024)}]`, "malformed", /1 MB/],
        [
          JSON.stringify(Array.from({ length: 1_001 }, (_, n) => entry(`k${n}`, `key number ${n}`))),
          "too_many",
          /1001 keys, of 1000/
        ]
      ]
      for (const [content, problem, message] of cases) {
        const error = yield* Effect.flip(who("x").pipe(Effect.provide(layer({ content }))))
        assert(error._tag === "InvalidKeys")
        assert.strictEqual(error.problem, problem)
        assert.match(error.message, message)
        assert.notInclude(`${error.message} ${JSON.stringify(error)}`, "s3cret")
      }
    })
  )

  it.effect("is read again, and one that is broken changes nothing", () => {
    const file: File = { content: JSON.stringify([entry("old", "the-key-of-yesterday")]) }
    return Effect.gen(function* () {
      const { reload } = yield* AdminKeys.AdminKeys
      assert.deepStrictEqual(yield* who("the-key-of-yesterday"), ["old", "read"])
      file.content = JSON.stringify([entry("new", "the-key-of-today-00", "operate"), entry("other", "x".repeat(20))])
      assert.isNull((yield* who("the-key-of-today-00"))[1])
      assert.strictEqual(yield* reload, 2)
      assert.deepStrictEqual(yield* who("the-key-of-today-00"), ["new", "operate"])
      assert.isNull((yield* who("the-key-of-yesterday"))[1])
      for (const content of ["[", undefined]) {
        file.content = content
        assert.strictEqual((yield* Effect.flip(reload))._tag, "InvalidKeys")
        assert.deepStrictEqual(yield* who("the-key-of-today-00"), ["new", "operate"])
      }
    }).pipe(Effect.provide(layer(file)))
  })
})

describe("keys", () => {
  it.effect("that are weak are named by id in a warning, and strong ones are not", () => {
    const { lines, logger } = captured()
    return Effect.gen(function* () {
      assert.strictEqual((yield* who("short"))[1], "admin")
      assert.lengthOf(lines, 1)
      assert.include(lines[0], sha256("short").slice(0, 6))
      assert.notInclude(lines[0], "short")
    }).pipe(
      Effect.provide(
        layer({ content: undefined }, { API_KEY: "short", ADDITIONAL_API_KEYS: "one-of-16-letters:read" }).pipe(
          Layer.provideMerge(logger)
        )
      )
    )
  })

  it.effect("that are missing are worth a warning", () => {
    const { lines, logger } = captured()
    return Effect.gen(function* () {
      assert.isNull((yield* who(""))[1])
      assert.include(lines.join(), "refuses every request")
    }).pipe(Effect.provide(layer({ content: "[]" }).pipe(Layer.provideMerge(logger))))
  })

  it.effect("of the environment are read again too", () => {
    const env: Record<string, string> = { API_KEY: "the-first-of-the-keys" }
    return Effect.gen(function* () {
      const { reload } = yield* AdminKeys.AdminKeys
      env["API_KEY"] = "the-second-of-the-keys"
      assert.strictEqual(yield* reload, 1)
      assert.isNull((yield* who("the-first-of-the-keys"))[1])
      assert.strictEqual((yield* who("the-second-of-the-keys"))[1], "admin")
    }).pipe(
      Effect.provide(
        AdminKeys.AdminKeys.layerConfig.pipe(
          Layer.provide(FileSystem.layerNoop({})),
          Layer.provide(
            ConfigProvider.layer(
              ConfigProvider.make((path) => {
                const value = env[path.join("_")]
                return Effect.succeed(value === undefined ? undefined : ConfigProvider.makeValue(value))
              })
            )
          )
        )
      )
    )
  })

  it("are compared one by one to the end, and never by a shortcut", () => {
    const source = readFileSync(new URL("../../src/http-api/AdminKeys.ts", import.meta.url), "utf8")
    const find = /const find = \([^]*?\n\}\n/.exec(source)?.[0] ?? ""
    assert.include(find, "for (const { digest, identity } of keys) {\n    if (Mac.timingSafeEqual(digest, presented))")
    assert.notMatch(find, /break|return true|===|\.(has|includes|find|some|indexOf|get)\(/)
    // Nothing else looks at the keys.
    assert.lengthOf(source.match(/\binForce\b/g) ?? [], 4)
    assert.lengthOf(source.match(/find\(inForce, /g) ?? [], 2)
  })
})
