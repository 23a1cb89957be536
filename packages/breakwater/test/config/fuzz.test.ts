import { assert, describe, it } from "@effect/vitest"
import { DateTime, Option, Schema } from "effect"
import * as CustomConfig from "../../src/config/CustomConfig.ts"
import * as Template from "../../src/config/Template.ts"
import * as Validation from "../../src/config/Validation.ts"

const cases = Number(process.env["FUZZ_CASES"] ?? 50_000)
const seed = Number(process.env["FUZZ_SEED"] ?? 20_260_102)

const mulberry32 = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}

/** Makes configurations that range from valid to vicious. */
const generator = (random: () => number) => {
  const whole = (minimum: number, maximum: number): number => minimum + Math.floor(random() * (maximum - minimum + 1))
  const oneOf = <A>(values: ReadonlyArray<A>): A => values[whole(0, values.length - 1)]!
  const chance = (probability: number): boolean => random() < probability

  const { definitions } = CustomConfig.jsonSchema()
  const { properties } = definitions["CustomConfigEncoded"] as unknown as {
    readonly properties: Readonly<
      Record<
        string,
        {
          readonly type: string
          readonly minimum?: number
          readonly maximum?: number
          readonly enum?: ReadonlyArray<string>
        }
      >
    >
  }
  const names = Object.keys(properties)
  const strategies = ["aggressive", "balanced", "conservative", "critical"]
  const operations = ["qa", "summarize", "sentiment", "answer_question", "translate", "a", "b".repeat(64), "x_9"]
  const keys = ["__proto__", "constructor", "prototype", "toString", "hasOwnProperty", "", " ", "é", "\ud800", "\u0000"]
  const texts = [
    ...keys,
    "<script>alert(1)</script>",
    "${x}",
    "__x__",
    "漢字",
    "\u202e",
    "\u{1F4A9}",
    "\udfff\ud800",
    "onx=".repeat(40),
    "on".repeat(90),
    "a".repeat(199),
    "a".repeat(201),
    "eval ".repeat(30),
    "0x10",
    "5",
    "true"
  ]
  const numbers = [0, -0, -1, 0.5, 1.5, 1e-320, 5e-324, 1e21, 2 ** 53, 2 ** 53 + 2, 1e100, 1e101, -1e308, 1.7e308]

  const valid = (name: string): unknown => {
    const { enum: accepted, maximum = 1, minimum = 0, type } = properties[name]!
    switch (type) {
      case "integer":
        return whole(minimum, maximum)
      case "number":
        return chance(0.3) ? oneOf([minimum, maximum]) : minimum + random() * (maximum - minimum)
      case "boolean":
        return chance(0.5)
      case "string":
        return oneOf(accepted!)
      default:
        return Object.fromEntries(Array.from({ length: whole(0, 11) }, () => [oneOf(operations), oneOf(strategies)]))
    }
  }

  const anything = (depth: number): unknown => {
    switch (whole(0, depth > 3 ? 5 : 7)) {
      case 0:
        return oneOf(numbers)
      case 1:
        return oneOf(texts)
      case 2:
        return null
      case 3:
        return chance(0.5)
      case 4:
        return (random() - 0.5) * 10 ** whole(-5, 20)
      case 5:
        return oneOf(strategies)
      case 6:
        return Array.from({ length: whole(0, 24) }, () => anything(depth + 1))
      default:
        return Object.fromEntries(
          Array.from({ length: whole(0, 14) }, () => [chance(0.5) ? oneOf(texts) : oneOf(names), anything(depth + 1)])
        )
    }
  }

  const near = (name: string): unknown => {
    const { maximum = 1, minimum = 0 } = properties[name]!
    return chance(0.6)
      ? valid(name)
      : chance(0.5)
        ? oneOf([
            minimum - 1,
            maximum + 1,
            minimum - 1e-9,
            maximum + 1e-9,
            String(minimum),
            `${oneOf(strategies)}s`,
            null
          ])
        : anything(0)
  }

  const fields = (value: (name: string) => unknown): Record<string, unknown> =>
    Object.fromEntries(names.filter(() => chance(0.35)).map((name) => [name, value(name)]))

  const mutate = (text: string): string => {
    const bytes = new TextEncoder().encode(text)
    let mutated = [...bytes]
    for (let edits = whole(1, 4); edits > 0; edits--) {
      const at = whole(0, Math.max(mutated.length - 1, 0))
      switch (whole(0, 4)) {
        case 0:
          mutated[at] = whole(0, 255)
          break
        case 1:
          mutated.splice(at, whole(1, 8))
          break
        case 2:
          mutated.splice(
            at,
            0,
            ...new TextEncoder().encode(oneOf(['"', "{", "}", "[", ",", ":", "\\u", "\\", "-", "e9", "\n"]))
          )
          break
        case 3:
          mutated.splice(at, 0, ...mutated.slice(at, at + whole(1, 40)))
          break
        default:
          mutated = mutated.slice(0, at)
      }
    }
    return new TextDecoder().decode(Uint8Array.from(mutated))
  }

  const duplicate = (): string => {
    const [name, value] = oneOf([...Object.entries(fields(valid)), ["retry_attempts", 3] as const])
    const written = oneOf([JSON.stringify(name), `"\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}"`])
    return `{${JSON.stringify(name)}:${JSON.stringify(value)},"jitter_enabled":true,${written}:1}`
  }

  const deep = (): string => {
    const levels = chance(0.01) ? whole(10_000, 100_000) : whole(1, 400)
    const [open, close] = oneOf([
      ["[", "]"],
      ['{"a":', "}"],
      ['{"operation_overrides":', "}"],
      ['[{"a":', "}]"]
    ] as const)
    return `${open.repeat(levels)}${oneOf(["1", "{}", "", '"x"'])}${close.repeat(chance(0.8) ? levels : whole(0, levels))}`
  }

  const wide = (): string => {
    const count = chance(0.005) ? whole(5000, 60_000) : whole(10, 700)
    return oneOf([
      () => JSON.stringify(Array.from({ length: count }, () => 1)),
      () => `{${Array.from({ length: count }, (_, at) => `"k${at}":1`).join(",")}}`,
      () => `{"operation_overrides":{${Array.from({ length: count }, (_, at) => `"op${at}":"x"`).join(",")}}}`,
      () =>
        `{"operation_overrides":{${Array.from({ length: count }, () => `"${"sumarize_text_".repeat(4)}${whole(0, 99)}":"critica"`).join(",")}}}`,
      () => `{${Array.from({ length: count }, (_, at) => `"retry_attempts${at % 7}${at}":1`).join(",")}}`,
      () =>
        `{"default_strategy":"${oneOf(["a", "é", "\\u0041", "\u{1F4A9}", "\\ud800", "on", "=", " ", "\\\\x"]).repeat(count)}"}`,
      () =>
        `{${" ".repeat(count)}"retry_attempts":${oneOf(["3", "1e999", "-0", "3.0", "9".repeat(300), `0.${"0".repeat(400)}1`, `1e${count}`])}}`
    ])()
  }

  const prototype = (): string => {
    const name = oneOf(["__proto__", "constructor", "prototype", "\\u005f_proto__", "constructo\\u0072"])
    return oneOf([
      `{"${name}":{"polluted":true}}`,
      `{"operation_overrides":{"${name}":{"polluted":"balanced"}}}`,
      `{"retry_attempts":3,"${name}":{"prototype":{"polluted":1}}}`,
      `[{"${name}":null}]`
    ])
  }

  return (): string => {
    switch (whole(0, 9)) {
      case 0:
      case 1:
        return JSON.stringify(fields(valid))
      case 2:
      case 3:
        return JSON.stringify(fields(near))
      case 4:
        return JSON.stringify(anything(0), null, whole(0, 4))
      case 5:
        return mutate(JSON.stringify(fields(near)))
      case 6:
        return duplicate()
      case 7:
        return deep()
      case 8:
        return wide()
      default:
        return prototype()
    }
  }
}

const prototypes = (): string =>
  JSON.stringify(
    [Object.prototype, Array.prototype, Function.prototype, String.prototype, Number.prototype].map((prototype) =>
      Reflect.ownKeys(prototype).map(String)
    )
  )

const parse = (text: string): Option.Option<unknown> => {
  try {
    return Option.some(JSON.parse(text))
  } catch {
    return Option.none()
  }
}

/** The time that this thread has computed for: a machine with other work to do does not change it. */
const busyMillis = (): number => {
  // Linux brings the figure of the thread up to date when that of the process is asked for, and else with each tick.
  process.cpuUsage()
  const { system, user } = process.threadCpuUsage()
  return (system + user) / 1_000
}

describe("fuzzed configurations", () => {
  const at = DateTime.makeUnsafe(0)
  const secure = { level: "secure", at } as const
  const encode = Schema.encodeSync(Validation.Response)

  it(`do no harm: ${cases} with seed ${seed}`, { timeout: 60_000 + cases }, () => {
    const next = generator(mulberry32(seed))
    const before = prototypes()
    let slowest = 0
    let valid = 0
    let slow = 0
    const started = busyMillis()
    const timed = <A>(check: () => A, clock = () => performance.now()): readonly [A, number] => {
      const from = clock()
      const result = check()
      return [result, clock() - from]
    }
    const fail = (text: string, at: number, what: string): never =>
      assert.fail(`seed ${seed}, case ${at}: ${what}: ${JSON.stringify(text.slice(0, 500))}`)

    // What is compiled on first use is not part of a configuration's cost.
    for (let warm = 0; warm < 200; warm++) Validation.validateText(next(), secure)
    const many = Object.fromEntries(Array.from({ length: 400 }, (_, at) => [`k${at}`, 1]))
    for (let warm = 0; warm < 30; warm++) {
      for (const heavy of [many, { operation_overrides: many }]) Validation.validateText(JSON.stringify(heavy), secure)
    }

    for (let at = 0; at < cases; at++) {
      const text = next()
      const parsed = parse(text)
      const strict = at % 2 === 0
      const options = strict ? secure : {}
      const checks: Array<() => Validation.Validation<unknown>> = [() => Validation.validateText(text, options)]
      // Larger bodies are refused before they are parsed.
      if (Option.isSome(parsed) && text.length <= 65_536) {
        checks.push(
          at % 5 === 0
            ? () => Template.validate(Template.templates.high_throughput, parsed.value, options)
            : () => Validation.validate(parsed.value, options)
        )
      }
      for (const check of checks) {
        let result: Validation.Validation<unknown>
        let millis: number
        try {
          ;[result, millis] = timed(check)
          if (millis > 10) slow++
          // Again, for it may have been another process, the garbage collector, or the compiler, which a busy machine
          // keeps waiting for dozens of runs. What disturbs only ever adds, so the least is the cost.
          for (let again = 0; millis > 10 && again < 50; again++) [result, millis] = timed(check, busyMillis)
        } catch (error) {
          return fail(text, at, `it threw ${String(error)}`)
        }
        slowest = Math.max(slowest, millis)
        if (millis > 10) fail(text, at, `it took ${millis} ms`)
        if (result.isValid !== (result.errors.length === 0)) fail(text, at, "errors and isValid disagree")
        if (result.isValid !== Option.isSome(result.value)) fail(text, at, "value and isValid disagree")
        if (Option.isSome(parsed) && result.findings[0]?.code === "malformed_json")
          fail(text, at, "JSON.parse accepts it")
        if (result.findings.length > 100) fail(text, at, "too many findings")
        for (const { message, path, suggestion = "" } of result.findings) {
          if (message.length > 300 || suggestion.length > 300 || path.length > 200) fail(text, at, "a text is too long")
          if (/[\p{Cc}\p{Cf}\p{Cs}]/u.test(message + suggestion + path)) fail(text, at, "a text has control characters")
        }
        if (result.isValid) valid++
        if (at % 50 === 0) encode(result)
      }
    }
    assert.strictEqual(prototypes(), before)
    assert.notProperty({}, "polluted")
    const seconds = (busyMillis() - started) / 1000
    console.log(
      `seed ${seed}: ${cases} configurations in ${seconds.toFixed(1)} s, ${valid} validations passed, slowest ${slowest.toFixed(2)} ms, ${slow} measured twice`
    )
    // On the average 1 ms at most, with the making of it.
    assert.isBelow(seconds, Math.max(cases / 1_000, 1))
  })

  it("take no longer when they are gigantic", () => {
    let deep: unknown = 1
    for (let level = 0; level < 100_000; level++) deep = level % 2 === 0 ? [deep] : { a: deep }
    const sparse: Array<unknown> = []
    sparse.length = 2 ** 32 - 1
    const values: ReadonlyArray<unknown> = [
      deep,
      sparse,
      "x".repeat(10_000_000),
      { default_strategy: "\ud800".repeat(10_000_000) },
      Array.from({ length: 1_000_000 }, () => 1),
      { operation_overrides: Array.from({ length: 1_000_000 }, () => "\u{1F4A9}") }
    ]
    for (const check of [
      ...values.map((value) => () => Validation.validate(value, secure)),
      ...["x", "[", '{"a":', '"\\u0041', " ", "1"].map(
        (text) => () => Validation.validateText(text.repeat(1_000_000), secure)
      )
    ]) {
      const took = [1, 2, 3].map(() => {
        const from = busyMillis()
        assert.isFalse(check().isValid)
        return busyMillis() - from
      })
      assert.isBelow(Math.min(...took), 10)
    }
  })

  it(`agree in text and as a value, and with JSON.parse (seed ${seed + 1})`, () => {
    const next = generator(mulberry32(seed + 1))
    for (let at = 0; at < 3000; at++) {
      const text = next()
      const parsed = parse(text)
      const found = Validation.validateText(text, secure)
      const codes = found.findings.map(({ code, path }) => `${code} ${path}`)
      const unread = codes.some((code) => /^(too_large|too_deep|duplicate_key|forbidden_key)/.test(code))
      if (Option.isNone(parsed)) {
        assert.isTrue(unread || codes.some((code) => code.startsWith("malformed_json")), text.slice(0, 500))
        continue
      }
      assert.notInclude(codes.join(), "malformed_json", text.slice(0, 500))
      const value = Validation.validate(parsed.value, secure)
      // Too large a number is JSON in text, and no JSON as a value.
      if (unread || value.findings[0]?.code === "not_json") continue
      assert.deepStrictEqual(found.findings, value.findings)
      assert.deepStrictEqual(found.value, value.value)
      assert.deepStrictEqual(found.securityInfo, value.securityInfo)
      const bytes = new TextEncoder().encode(JSON.stringify(parsed.value)).length
      assert.strictEqual(found.securityInfo?.sizeBytes, bytes)
    }
  })
})
