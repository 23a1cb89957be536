import { assert, describe, it } from "@effect/vitest"
import { DateTime, Duration, Option, Schema } from "effect"
import * as Preset from "../../src/Preset.ts"
import * as Strategy from "../../src/Strategy.ts"
import * as CustomConfig from "../../src/config/CustomConfig.ts"
import * as Finding from "../../src/config/Finding.ts"
import * as Validation from "../../src/config/Validation.ts"

const at = DateTime.makeUnsafe("2026-01-02T03:04:05Z")
const secure = { level: "secure", at } as const

const codes = ({ findings }: { readonly findings: ReadonlyArray<Finding.Finding> }): ReadonlyArray<string> =>
  findings.map(({ code, path, severity }) => `${severity} ${code} ${path}`.trim())

const nested = (depth: number): string => `${"[".repeat(depth + 1)}${"]".repeat(depth + 1)}`

const overrides = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`operation_${at}`, "balanced"]))

describe("validate", () => {
  const range = "error out_of_range retry_attempts"
  const many = "warning many_retries retry_attempts"
  const vectors: ReadonlyArray<readonly [value: unknown, findings: ReadonlyArray<string>]> = [
    [{}, ["error empty_configuration"]],
    [{ retry_attempts: 15 }, [range, many]],
    [{ retry_attempts: true }, ["error invalid_type retry_attempts"]],
    [{ retry_attempts: "5" }, ["error invalid_type retry_attempts"]],
    [{ retry_attempts: null }, ["error invalid_type retry_attempts"]],
    [{ retry_attempts: 3.5 }, ["error invalid_type retry_attempts"]],
    [{ retry_attempts: 99.5 }, ["error invalid_type retry_attempts"]],
    [{ retry_attempts: [3] }, ["error invalid_type retry_attempts"]],
    [{ retry_attempts: 3.0 }, []],
    [{ retry_attempts: 1e300 }, [range, many]],
    [{ retry_attempts: 7, circuit_breaker_threshold: 12, recovery_timeout: 180, default_strategy: "conservative" }, []],
    [{ retry_attempts: 8, max_delay_seconds: 10 }, ["warning delay_too_short max_delay_seconds", many]],
    [{ retry_attempts: 5, max_delay_seconds: 10 }, []],
    [{ circuit_breaker_threshold: 2 }, ["warning low_threshold circuit_breaker_threshold"]],
    [{ circuit_breaker_threshold: 3 }, []],
    [{ retry_attempts: 7 }, []],
    [{ exponential_min: 9, exponential_max: 6 }, ["error exp_bounds exponential_min"]],
    [{ exponential_min: 6, exponential_max: 6 }, ["error exp_bounds exponential_min"]],
    [{ exponential_min: 5.9, exponential_max: 6 }, []],
    [{ exponential_min: "9", exponential_max: 6 }, ["error invalid_type exponential_min"]],
    [{ attempt_timeout: 11, max_delay_seconds: 10 }, ["warning attempt_exceeds_total attempt_timeout"]],
    [{ attempt_timeout: 10, max_delay_seconds: 10 }, []],
    [{ half_open_max_calls: 11 }, ["error out_of_range half_open_max_calls"]],
    [{ attempt_timeout: 0.1, half_open_max_calls: 10 }, []],
    [{ jitter_enabled: "true" }, ["error invalid_type jitter_enabled"]],
    [{ jitter_enabled: 1 }, ["error invalid_type jitter_enabled"]],
    [{ operation_overrides: {} }, []],
    [{ operation_overrides: [] }, ["error invalid_type operation_overrides"]],
    [{ operation_overrides: { foo: "balanced" } }, ["warning unknown_operation operation_overrides.foo"]],
    [{ operation_overrides: { qa: "nonsense" } }, ["error invalid_enum operation_overrides.qa"]],
    [{ operation_overrides: { qa: 3 } }, ["error invalid_type operation_overrides.qa"]],
    [{ operation_overrides: { answer_question: "critical", qa: "critical" } }, []],
    [{ operation_overrides: { Qa: "critical" } }, ["error invalid_name operation_overrides.Qa"]],
    [{ default_strategy: "Balanced" }, ["error invalid_enum default_strategy"]],
    [{ default_strategy: "bälanced" }, ["error invalid_enum default_strategy"]],
    [{ default_strategy: null }, ["error invalid_type default_strategy"]],
    [{ recovery_timeout: 20, attempt_timeout: 30 }, ["warning open_shorter_than_attempt recovery_timeout"]],
    [{ recovery_timeout: 30, attempt_timeout: 30 }, []],
    [{ retry_attempts: 4, jitter_enabled: false }, ["warning no_jitter jitter_enabled"]],
    [{ retry_attempts: 3, jitter_enabled: false }, []],
    [
      {
        retry_attempts: 6,
        exponential_multiplier: 5,
        exponential_min: 5,
        exponential_max: 20,
        max_delay_seconds: 35
      },
      // Pauses of 5, 10 and 20 seconds.
      ["warning unreachable_attempts retry_attempts"]
    ],
    [
      {
        retry_attempts: 3,
        exponential_multiplier: 1,
        exponential_min: 1,
        exponential_max: 5,
        max_delay_seconds: 30,
        attempt_timeout: 30
      },
      ["info slow_attempts attempt_timeout"]
    ],
    [{ bulkhead_max_concurrent: 10 }, []],
    [{ bulkhead_max_concurrent: 10, bulkhead_max_queue: 5, bulkhead_max_wait: 1 }, []],
    [{ bulkhead_max_concurrent: 10, bulkhead_max_queue: 0, bulkhead_max_wait: 0 }, []],
    [{ bulkhead_max_concurrent: 10, bulkhead_max_queue: 5 }, ["warning queue_without_wait bulkhead_max_queue"]],
    [{ bulkhead_max_concurrent: 10, bulkhead_max_wait: 5 }, ["warning wait_without_queue bulkhead_max_wait"]],
    [
      { bulkhead_max_queue: 5, bulkhead_max_wait: 0 },
      [
        "warning policy_not_put_on bulkhead_max_queue",
        "warning policy_not_put_on bulkhead_max_wait",
        "warning queue_without_wait bulkhead_max_queue"
      ]
    ],
    [{ bulkhead_max_queue: 5 }, ["warning policy_not_put_on bulkhead_max_queue"]],
    [
      { bulkhead_max_concurrent: 10, bulkhead_max_queue: 5, bulkhead_max_wait: 20, max_delay_seconds: 20 },
      ["warning wait_exceeds_total bulkhead_max_wait"]
    ],
    [{ bulkhead_max_concurrent: 0 }, ["error out_of_range bulkhead_max_concurrent"]],
    [{ bulkhead_max_concurrent: 2.5 }, ["error invalid_type bulkhead_max_concurrent"]],
    [{ admission_limit: 10, quota_limit: 10 }, []],
    [
      { admission_window: 1, quota_window: 1 },
      ["warning policy_not_put_on admission_window", "warning policy_not_put_on quota_window"]
    ],
    [{ admission_limit: 100_000, admission_window: 0.1 }, []],
    [{ quota_limit: 100_001, quota_window: 0.1 }, ["warning limit_above_pace quota_limit"]],
    [{ retry_budget_ratio: 0.2, retry_attempts: 2 }, []],
    [{ retry_budget_ratio: 0.2, retry_attempts: 1 }, ["warning budget_without_retries retry_budget_ratio"]],
    [{ retry_budget_min_per_second: 0 }, ["warning policy_not_put_on retry_budget_min_per_second"]],
    [{ circuit_breaker_failure_rate: 0.5, retry_attempts: 5 }, []],
    [{ retry_attempts: 5, circuit_breaker_threshold: 4 }, ["warning retry_gt_threshold circuit_breaker_threshold"]],
    [{ retry_attempts: 5, circuit_breaker_threshold: 5 }, ["info retry_gt_threshold circuit_breaker_threshold"]],
    [{ retry_attempts: 5, circuit_breaker_threshold: 6 }, []],
    [{ half_open_max_calls: 10, bulkhead_max_concurrent: 2 }, ["warning probes_exceed_places half_open_max_calls"]],
    [{ half_open_max_calls: 2, bulkhead_max_concurrent: 2 }, []],
    [
      {
        circuit_breaker_failure_rate: 0.5,
        circuit_breaker_minimum_calls: 41,
        admission_limit: 10,
        admission_window: 60,
        retry_attempts: 2
      },
      ["warning minimum_calls_unreachable circuit_breaker_minimum_calls"]
    ],
    [
      {
        circuit_breaker_failure_rate: 0.5,
        circuit_breaker_minimum_calls: 40,
        admission_limit: 10,
        admission_window: 60,
        retry_attempts: 2
      },
      []
    ],
    [
      { circuit_breaker_failure_rate: 0.5, circuit_breaker_threshold: 2 },
      ["warning threshold_without_effect circuit_breaker_threshold"]
    ],
    [
      { circuit_breaker_window_seconds: 60, circuit_breaker_minimum_calls: 10, circuit_breaker_threshold: 5 },
      [
        "warning policy_not_put_on circuit_breaker_window_seconds",
        "warning policy_not_put_on circuit_breaker_minimum_calls"
      ]
    ],
    [
      { circuit_breaker_failure_rate: 0.5, circuit_breaker_minimum_calls: 3, retry_attempts: 3 },
      ["warning retry_gt_threshold circuit_breaker_minimum_calls"]
    ],
    [
      { circuit_breaker_failure_rate: 0.5, circuit_breaker_minimum_calls: 21, quota_limit: 10, quota_window: 60 },
      ["warning minimum_calls_unreachable circuit_breaker_minimum_calls"]
    ],
    [{ circuit_breaker_failure_rate: 0.5, circuit_breaker_minimum_calls: 20, quota_limit: 10, quota_window: 60 }, []],
    [{ timeout_seconds: 30 }, ["error unknown_field timeout_seconds"]],
    [{ timeout_seconds: 30, retry_attempts: 15 }, ["error unknown_field timeout_seconds", range, many]],
    [[], ["error invalid_type"]],
    [null, ["error invalid_type"]],
    ["text", ["error invalid_type"]],
    [3, ["error invalid_type"]]
  ]
  for (const [value, expected] of vectors) {
    const outcome = expected.length === 0 ? "nothing" : expected.join(", ")
    it(`finds ${outcome} in ${JSON.stringify(value)}, at both levels, in a value and in text`, () => {
      const text = JSON.stringify(value)
      const isValid = !expected.some((finding) => finding.startsWith("error"))
      for (const result of [
        Validation.validate(value),
        Validation.validateText(text),
        Validation.validate(value, secure),
        Validation.validateText(text, secure)
      ]) {
        // At the secure level a number can be extreme, too.
        assert.deepStrictEqual(
          codes(result).filter((code) => !/extreme|huge/.test(code)),
          expected
        )
        assert.strictEqual(result.isValid, isValid)
        assert.strictEqual(Option.isSome(result.value), isValid)
        assert.strictEqual(result.errors.length, expected.filter((finding) => finding.startsWith("error")).length)
      }
    })
  }

  const suggestions: ReadonlyArray<readonly [value: unknown, suggestion: string]> = [
    [{ retry_attempts: 15 }, "Set retry_attempts to a whole number from 1 to 10, for example 3"],
    [{ circuit_breaker_threshold: 0 }, "Set circuit_breaker_threshold to a whole number from 1 to 20, for example 5"],
    [{ recovery_timeout: 9 }, "Set recovery_timeout to a whole number from 10 to 300, for example 60"],
    [{ exponential_min: 99 }, "Set exponential_min to a number from 0.5 to 10, for example 10"],
    [{ retry_attempts: "5" }, "Write retry_attempts without quotes: 5"],
    [{ jitter_enabled: "False" }, "Write jitter_enabled without quotes: false"],
    [{ default_strategy: "agressive" }, 'Did you mean "aggressive"?'],
    [{ default_strategy: "xyz" }, "Use one of aggressive, balanced, conservative, critical"],
    [{ operation_overrides: { sumarize: "balanced" } }, 'Did you mean "summarize"?'],
    [{ operation_overrides: { "My Op": "balanced" } }, 'Use "my_op"'],
    [{ retryAttempts: 3 }, 'Did you mean "retry_attempts"?'],
    [{ retry_attempts: 8, max_delay_seconds: 10 }, "Set max_delay_seconds to 16 or more"],
    [{ retry_attempts: 9 }, "Set retry_attempts to 7 or less, or use the preset production"],
    [{ circuit_breaker_threshold: 2 }, "Set circuit_breaker_threshold to 3 or more"],
    [{ attempt_timeout: 40, max_delay_seconds: 20.5 }, "Set attempt_timeout to 20.5 or less"],
    [{ retry_attempts: 4, jitter_enabled: false }, "Set jitter_enabled to true"],
    [{ bulkhead_max_concurent: 9 }, 'Did you mean "bulkhead_max_concurrent"?'],
    [{ bulkhead_max_concurrent: 10, bulkhead_max_queue: 5 }, "Set bulkhead_max_wait, for example to 1"],
    [{ admission_window: 5 }, "Set admission_limit too, or leave admission_window out"],
    [{ quota_limit: 100_001, quota_window: 0.1 }, "Set quota_limit to 100000 or less, or quota_window to more"],
    [{ retry_budget_ratio: 2 }, "Set retry_budget_ratio to a number from 0.01 to 1, for example 1"],
    [
      { circuit_breaker_failure_rate: 0.5, circuit_breaker_minimum_calls: 3, retry_attempts: 3 },
      "Set circuit_breaker_minimum_calls to 5 or more"
    ],
    [{ exponential_min: 9, exponential_max: 6 }, "Set exponential_min to 3, or exponential_max to 18"]
  ]
  for (const [value, suggestion] of suggestions) {
    it(`suggests "${suggestion}" for ${JSON.stringify(value)}`, () => {
      assert.include(Validation.validate(value).suggestions, suggestion)
    })
  }

  it("adds up no pauses of attempts out of range", () => {
    const pauses = { exponential_multiplier: 1, exponential_min: 1, exponential_max: 5, max_delay_seconds: 1e300 }
    const found = codes(Validation.validate({ ...pauses, retry_attempts: 2 ** 52 }))
    assert.include(found, "error out_of_range retry_attempts")
    assert.notInclude(found.join(), "unreachable_attempts")
  })

  it("names value, rule and range in a message", () => {
    assert.deepStrictEqual(Validation.validate({ retry_attempts: 15 }).errors, [
      "retry_attempts is 15; it has to be a whole number from 1 to 10"
    ])
  })

  it("suggests bounds for pauses that are themselves within their ranges, whatever was written", () => {
    const numbers = [-1e9, 0, 0.1, 0.5, 3, 5, 9, 10, 60, 119, 120, 121, 1e9, 1e200]
    for (const min of numbers) {
      for (const max of numbers.filter((max) => max <= min)) {
        const { findings } = Validation.validate({ exponential_min: min, exponential_max: max })
        const [lower, higher] = /to (\S+), or exponential_max to (\S+)$/
          .exec(findings.find(({ code }) => code === "exp_bounds")!.suggestion!)!
          .slice(1)
          .map(Number) as [number, number]
        assert.isTrue(lower >= 0.5 && lower <= 10 && higher >= 5 && higher <= 120, `${min}/${max}: ${lower}, ${higher}`)
        for (const [exponential_min, exponential_max] of [
          [lower, Math.min(Math.max(max, 5), 120)],
          [Math.min(Math.max(min, 0.5), 10), higher]
        ]) {
          assert.isTrue(Validation.validate({ exponential_min, exponential_max }).isValid)
        }
      }
    }
  })

  it("knows the operations it is given", () => {
    const value = { operation_overrides: { translate: "balanced", qa: "critical" } }
    const result = Validation.validate(value, { operations: ["translate", "quality"] })
    assert.deepStrictEqual(codes(result), ["warning unknown_operation operation_overrides.qa"])
    assert.isTrue(result.isValid)
  })

  it("gives the overlay of a valid configuration", () => {
    const { value } = Validation.validateText('{"retry_attempts":4,"recovery_timeout":90}')
    assert.deepStrictEqual(value, Option.some(Preset.overlay({ retryAttempts: 4, recoveryTimeout: "90 seconds" })))
  })

  it("says nothing about security at the level standard", () => {
    assert.isNull(Validation.validate({ retry_attempts: 3 }).securityInfo)
  })
})

describe("the bounds of each field", () => {
  const { definitions } = CustomConfig.jsonSchema()
  const { properties } = definitions["CustomConfigEncoded"] as unknown as {
    readonly properties: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  }
  const numeric = Object.entries(properties).flatMap(([name, { maximum, minimum, type }]) =>
    typeof minimum === "number" && typeof maximum === "number" ? [{ name, minimum, maximum, type }] : []
  )

  it("are those of all numeric fields", () => {
    assert.strictEqual(numeric.length, 22)
  })

  for (const { maximum, minimum, name, type } of numeric) {
    const step = (value: number, direction: -1 | 1): number =>
      type === "integer" ? value + direction : nextDouble(value, direction)
    const cases: ReadonlyArray<readonly [number, boolean]> = [
      [minimum, true],
      [maximum, true],
      [step(minimum, 1), true],
      [step(maximum, -1), true],
      [step(minimum, -1), false],
      [step(maximum, 1), false],
      [0, minimum === 0],
      [-1, false],
      ...(type === "integer" ? [[minimum + 0.5, false] as const] : [])
    ]
    for (const [value, isValid] of cases) {
      it(`${isValid ? "accept" : "refuse"} ${name} ${value}`, () => {
        assert.strictEqual(Validation.validate({ [name]: value }).isValid, isValid)
        assert.strictEqual(Validation.validateText(`{"${name}":${value}}`, secure).isValid, isValid)
      })
    }
    for (const value of ["1", true, null, [], {}]) {
      it(`refuse ${name} ${JSON.stringify(value)} with one error`, () => {
        assert.deepStrictEqual(codes(Validation.validate({ [name]: value })), [`error invalid_type ${name}`])
      })
    }
  }
})

const nextDouble = (value: number, direction: -1 | 1): number => {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, value)
  view.setBigInt64(0, view.getBigInt64(0) + BigInt(direction))
  return view.getFloat64(0)
}

describe("the level secure", () => {
  const sized = (bytes: number): string => {
    const empty = JSON.stringify({ retry_attempts: 3, filler: [] })
    const items: Array<string> = []
    let left = bytes - empty.length
    while (left > 0) {
      const length = Math.min(left, 200)
      items.push("ab".repeat(100).slice(0, length - (items.length === 0 ? 2 : 3)))
      left -= length
    }
    return JSON.stringify({ retry_attempts: 3, filler: items })
  }

  it("accepts exactly 4096 bytes, and refuses 4097", () => {
    assert.strictEqual(sized(4096).length, 4096)
    for (const [bytes, isRefused] of [
      [4096, false],
      [4097, true],
      [5000, true]
    ] as const) {
      for (const result of [
        Validation.validateText(sized(bytes), secure),
        Validation.validate(JSON.parse(sized(bytes)), secure),
        Validation.validateText(sized(bytes)),
        Validation.validateText(sized(bytes).replace("[", `[${" ".repeat(9000)}`))
      ]) {
        assert.strictEqual(codes(result).includes("error too_large"), isRefused)
        if (isRefused) assert.strictEqual(result.findings.length, 1)
      }
    }
    const { securityInfo } = Validation.validateText(sized(4096), secure)
    assert.deepStrictEqual(securityInfo, {
      sizeBytes: 4096,
      maxSizeBytes: 4096,
      fieldCount: 2,
      validationTimestamp: at
    })
  })

  it("counts UTF-8 bytes of compact JSON, however the text is written", () => {
    const value = { a: 'é"\n\u0001\u{1F4A9}', b: [1.5, -0, 1e21, true, null, {}], "\u20ac": "\ud800" }
    const bytes = new TextEncoder().encode(JSON.stringify(value)).length
    const size = (result: Validation.Validation<unknown>) => result.securityInfo?.sizeBytes
    assert.strictEqual(size(Validation.validate(value, secure)), bytes)
    assert.strictEqual(size(Validation.validateText(JSON.stringify(value), secure)), bytes)
    assert.strictEqual(size(Validation.validateText(JSON.stringify(value, null, 4), secure)), bytes)
    assert.strictEqual(
      size(Validation.validateText('{"\\u0061":"\\u00e9","b":1.0e1}', secure)),
      new TextEncoder().encode('{"a":"é","b":10}').length
    )
  })

  const limits: ReadonlyArray<readonly [name: string, fine: string, broken: string, code: string]> = [
    ["depth 11", nested(10), nested(11), "error too_deep"],
    [
      "eleven overrides",
      JSON.stringify({ operation_overrides: overrides(10) }),
      JSON.stringify({ operation_overrides: overrides(11) }),
      "error too_many_properties operation_overrides"
    ],
    ["51 properties", JSON.stringify(overrides(50)), JSON.stringify(overrides(51)), "error too_many_properties"],
    [
      "21 items",
      JSON.stringify({ a: Array.from({ length: 20 }, () => 1) }),
      JSON.stringify({ a: Array.from({ length: 21 }, () => 1) }),
      "error too_many_items a"
    ],
    [
      "a string of 201 characters",
      JSON.stringify({ a: "\u{1F40C}".repeat(200) }),
      JSON.stringify({ a: "\u{1F40C}".repeat(201) }),
      "error string_too_long a"
    ],
    [
      "a key of 201 characters",
      JSON.stringify({ ["k".repeat(200)]: 1 }),
      JSON.stringify({ ["k".repeat(201)]: 1 }),
      "error key_too_long"
    ]
  ]
  for (const [name, fine, broken, code] of limits) {
    it(`refuses ${name}, and not one less`, () => {
      const has = (result: Validation.Validation<unknown>) => codes(result).some((found) => found.startsWith(code))
      for (const [text, expected] of [
        [fine, false],
        [broken, true]
      ] as const) {
        assert.strictEqual(has(Validation.validateText(text, secure)), expected)
        assert.strictEqual(has(Validation.validate(JSON.parse(text), secure)), expected)
      }
    })
  }

  it("counts a scalar at depth 11 as one level too many", () => {
    const text = `${'{"a":'.repeat(11)}1${"}".repeat(11)}`
    assert.include(codes(Validation.validateText(text, secure))[0], "too_deep")
    assert.include(codes(Validation.validate(JSON.parse(text)))[0], "too_deep")
    assert.notInclude(codes(Validation.validateText(text.slice(5, -1), secure)).join(), "too_deep")
  })

  for (const [text, path] of [
    ['{"retry_attempts":3,"retry_attempts":4}', "retry_attempts"],
    ['{"retry_attempts":3,"retry\\u005fattempts":4}', "retry_attempts"],
    ['{"operation_overrides":{"qa":"critical","qa":"balanced"}}', "operation_overrides.qa"]
  ] as const) {
    it(`refuses the name that stands twice in ${text}, at both levels`, () => {
      assert.deepStrictEqual(codes(Validation.validateText(text)), [`error duplicate_key ${path}`])
      assert.deepStrictEqual(codes(Validation.validateText(text, secure)), [`error duplicate_key ${path}`])
    })
  }

  for (const name of ["__proto__", "constructor", "prototype"]) {
    it(`refuses the name ${name} wherever it stands, at both levels`, () => {
      for (const text of [
        `{"${name}":{"retry_attempts":3}}`,
        `{"operation_overrides":{"${name}":"balanced"}}`,
        `{"\\u00${name.charCodeAt(0).toString(16)}${name.slice(1)}":1}`
      ]) {
        for (const result of [
          Validation.validateText(text),
          Validation.validateText(text, secure),
          Validation.validate(JSON.parse(text))
        ]) {
          assert.include(codes(result)[0], "error forbidden_key")
        }
      }
    })
  }

  it("refuses half a surrogate pair, in a value, a name and an escape", () => {
    for (const text of ['{"a":"\\ud800"}', '{"\\udc00":1}', '{"a":"\ud800x"}']) {
      assert.include(codes(Validation.validateText(text)).join(), "lone_surrogate")
      assert.include(codes(Validation.validate(JSON.parse(text), secure)).join(), "lone_surrogate")
    }
  })

  it("warns about extreme numbers", () => {
    const warnings = (number: number) =>
      codes(Validation.validate({ jitter_max: number }, secure)).filter((code) => code.startsWith("warning"))
    assert.deepStrictEqual(warnings(2 ** 53), [])
    assert.deepStrictEqual(warnings(-(2 ** 53)), [])
    assert.deepStrictEqual(warnings(2 ** 53 + 2), ["warning huge_integer jitter_max"])
    assert.deepStrictEqual(warnings(1e100), ["warning huge_integer jitter_max"])
    assert.deepStrictEqual(warnings(1.1e100), ["warning extreme_number jitter_max"])
    assert.deepStrictEqual(warnings(1e-100), [])
    assert.deepStrictEqual(warnings(-0.9e-100), ["warning extreme_number jitter_max"])
    assert.deepStrictEqual(warnings(0), [])
  })

  const patterns: ReadonlyArray<
    readonly [name: string, matching: ReadonlyArray<string>, other: ReadonlyArray<string>]
  > = [
    ["script_tag", ["<script", "a<SCRIPT>"], ["script", "< script"]],
    ["javascript_url", ["javascript:x", "JavaScript:"], ["javascript"]],
    ["data_url", ["data:text"], ["data", "data ;"]],
    ["vbscript_url", ["vbscript:x"], ["vbscript"]],
    [
      "event_handler",
      ["onload=x", "x ONCLICK  = y", "a=b onx=", "conk=1"],
      ["on=1", "on x=1", "onload x=", "onload", "="]
    ],
    ["parent_directory", ["a/../b"], ["..", "./"]],
    ["hex_escape", ["\\x4f", "\\\\xAB"], ["\\x4", "\\xg0", "x4f"]],
    ["unicode_escape", ["\\u00e9"], ["\\u00e", "u00e9"]],
    ["server_tag", ["<% x %>", "<%%>"], ["<%", "%><%"]],
    ["template_expression", ["${x}", "${}"], ["${", "}${", "$x"]],
    ["eval_call", ["eval(", "EVAL  ("], ["eval", "eval x("]],
    ["exec_call", ["exec(x)", "exec\t("], ["exec"]],
    ["import_statement", ["import os"], ["import", "important"]],
    ["require_call", ["require (x)"], ["required("]],
    ["double_underscore_name", ["__init__", "____"], ["__a", "_a_"]]
  ]
  it("has a vector for each of the fifteen patterns", () => {
    assert.deepStrictEqual(
      patterns.map(([name]) => name),
      Validation.patterns.map(({ name }) => name)
    )
    assert.strictEqual(patterns.length, 15)
  })
  for (const [name, matching, other] of patterns) {
    const found = (text: string, value: unknown): boolean =>
      Validation.validate(value, secure).findings.some(
        ({ code, message }) => code === "forbidden_pattern" && message.endsWith(name) && text.length > 0
      )
    it(`refuses ${name} in a string and in a name`, () => {
      for (const text of matching) {
        assert.isTrue(found(text, { default_strategy: text }), text)
        assert.isTrue(found(text, { [text]: 1 }), text)
        assert.notInclude(codes(Validation.validate({ default_strategy: text })).join(), "forbidden_pattern")
      }
      for (const text of other) assert.isFalse(found(text, { default_strategy: text }), text)
    })
  }

  it("looks for patterns in each string apart", () => {
    const { findings } = Validation.validate({ operation_overrides: { a__b: "balanced", c__d: "balanced" } }, secure)
    assert.notInclude(codes({ findings }).join(), "forbidden_pattern")
  })

  it("looks for the patterns it is given", () => {
    const own = [{ name: "secret", matches: (text: string) => text.includes("secret") }]
    const value = { default_strategy: "SECRET <script" }
    const { findings } = Validation.validate(value, { ...secure, patterns: own })
    assert.include(findings.map(({ message }) => message).join("\n"), "is not accepted: secret")
  })

  const characters: ReadonlyArray<readonly [character: string, isForbidden: boolean]> = [
    ["\u0000", true],
    ["\u007f", true],
    ["\n", true],
    ["\u200b", true],
    ["\u202e", true],
    ["\ue000", true],
    ["\u{1F500}", true],
    ["\u{1F4FF}", false],
    ["\u{10FFFF}", true],
    ["ä", false],
    ["漢", false],
    ["я", false]
  ]
  for (const [character, isForbidden] of characters) {
    const point = character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")
    it(`${isForbidden ? "refuses" : "lets pass"} U+${point}`, () => {
      const value = { operation_overrides: { qa: `a${character}b` } }
      const found = Validation.validateText(JSON.stringify(value), secure)
      assert.strictEqual(codes(found).join().includes("forbidden_character"), isForbidden)
      if (isForbidden) assert.include(found.errors.join(), `U+${point}`)
    })
  }

  it("warns about more than ten equal characters in a row", () => {
    const found = (text: string) => codes(Validation.validate({ default_strategy: text }, secure)).join()
    assert.notInclude(found(`b${"a".repeat(10)}b`), "repeated_characters")
    assert.include(found(`b${"a".repeat(11)}b`), "warning repeated_characters default_strategy")
    assert.include(found("\u{1F40C}".repeat(11)), "warning repeated_characters default_strategy")
  })
})

describe("values that are not JSON", () => {
  const circle: { self?: unknown } = {}
  circle.self = circle
  let ran = 0
  const values: ReadonlyArray<readonly [name: string, value: unknown]> = [
    ["undefined", undefined],
    ["a member undefined", { retry_attempts: undefined }],
    ["NaN", { retry_attempts: Number.NaN }],
    ["Infinity", { retry_attempts: Infinity }],
    ["a bigint", { retry_attempts: 3n }],
    ["a function", { retry_attempts: () => 3 }],
    ["a symbol", { retry_attempts: Symbol("x") }],
    ["a name that is a symbol", { [Symbol("x")]: 3 }],
    ["a date", new Date(0)],
    ["a map", new Map([["retry_attempts", 3]])],
    ["a class", Preset.overlay({ retryAttempts: 3 })],
    ["a hole", { a: Array(3) }],
    ["itself", circle],
    [
      "a getter",
      {
        get retry_attempts() {
          return ++ran
        }
      }
    ],
    ["a method toJSON", { toJSON: () => ({ retry_attempts: ++ran }) }],
    [
      "a proxy that throws",
      new Proxy(
        {},
        {
          ownKeys: () => {
            throw new Error("no")
          }
        }
      )
    ]
  ]
  for (const [name, value] of values) {
    it(`are refused: ${name}`, () => {
      const result = Validation.validate(value, secure)
      assert.isFalse(result.isValid)
      assert.strictEqual(result.findings[0]?.code, "not_json")
      assert.strictEqual(ran, 0)
    })
  }

  it("may be without a prototype, and may hold one object twice", () => {
    const plain = Object.assign(Object.create(null), { operation_overrides: { qa: "critical" } })
    assert.isTrue(Validation.validate(plain).isValid)
    const twice = { a: 1 }
    assert.notInclude(codes(Validation.validate({ x: twice, y: twice })).join(), "not_json")
  })
})

describe("text that is not JSON", () => {
  for (const [text, message] of [
    ["", "expected a value at line 1, column 1, got the end of the text"],
    ['{"a":1,}', 'expected a name in double quotes at line 1, column 8, got "}"'],
    ["{'a':1}", 'expected a name in double quotes at line 1, column 2, got "\'"'],
    ['{"a" 1}', 'expected a colon at line 1, column 6, got "1"'],
    ['{\n  "a": 1\n  "b": 2\n}', 'expected a comma or "}" at line 3, column 3, got """'],
    ["[1 2]", 'expected a comma or "]" at line 1, column 4, got "2"'],
    ["1 2", 'expected the end of the text at line 1, column 3, got "2"'],
    ['{"a":NaN}', 'expected a value at line 1, column 6, got "N"'],
    ['{"a":"\u0001"}', 'expected a string at line 1, column 7, got "\\u{1}"']
  ] as const) {
    it(`is refused with its place: ${JSON.stringify(text)}`, () => {
      const { errors, findings } = Validation.validateText(text)
      assert.strictEqual(findings[0]?.code, "malformed_json")
      assert.deepStrictEqual(errors, [`Not JSON: ${message}`])
    })
  }
})

describe("Finding", () => {
  const finding = (code: string, severity: Finding.Severity, path = "", suggestion?: string): Finding.Finding =>
    Finding.make({ code, severity, path, message: code, suggestion })

  it("keeps one for each code and path, errors first", () => {
    const all = [
      finding("b", "warning"),
      finding("a", "error", "x"),
      finding("a", "error", "x"),
      finding("a", "error", "y"),
      finding("c", "info")
    ]
    assert.deepStrictEqual(
      Finding.collect(all).map(({ code, path }) => code + path),
      ["ax", "ay", "b", "c"]
    )
  })

  it("keeps a hundred and says how many more there are", () => {
    const all = Finding.collect(Array.from({ length: 250 }, (_, at) => finding("a", "warning", String(at))))
    assert.strictEqual(all.length, 100)
    assert.strictEqual(all[99]?.message, "151 more findings are not shown")
  })

  it("cuts texts and makes the invisible visible", () => {
    const long = Finding.make({
      code: "a",
      severity: "error",
      path: "p\n".repeat(500),
      message: "\u202e\u{1F4A9}".repeat(500),
      suggestion: "s".repeat(500)
    })
    assert.isTrue(long.message.length <= 300 && long.path.length <= 200 && long.suggestion!.length <= 300)
    assert.isTrue(long.message.isWellFormed())
    assert.notMatch(long.message + long.path, /[\p{Cc}\p{Cf}\p{Cs}]/u)
  })

  it("lists each suggestion once", () => {
    const lists = Finding.toLists([
      finding("a", "error", "", "do"),
      finding("b", "warning", "", "do"),
      finding("c", "info")
    ])
    assert.deepStrictEqual(lists, { errors: ["a"], warnings: ["b", "c"], suggestions: ["do"] })
  })

  it("quotes no more than the beginning of what strangers wrote", () => {
    const { errors } = Validation.validate({ default_strategy: "x\u0000".repeat(90) })
    assert.isTrue(errors[0]!.length < 200)
    assert.include(errors[0], "x\\u{0}x")
  })
})

describe("validatePreset", () => {
  const preset = {
    name: "night",
    description: "At night",
    retry_attempts: 3,
    circuit_breaker_threshold: 5,
    recovery_timeout: 60,
    default_strategy: "balanced",
    operation_overrides: {},
    environment_contexts: ["production"]
  }

  it("accepts a preset that has everything", () => {
    const { findings, value } = Validation.validatePreset(preset, secure)
    assert.deepStrictEqual(findings, [])
    assert.strictEqual(Option.getOrThrow(value).name, "night")
    assert.deepStrictEqual(Option.getOrThrow(value).recoveryTimeout, Duration.seconds(60))
  })

  it("names each field that is missing", () => {
    assert.deepStrictEqual(
      codes(Validation.validatePreset({})),
      Object.keys(preset).map((name) => `error required_field ${name}`)
    )
  })

  const vectors: ReadonlyArray<readonly [change: object, findings: ReadonlyArray<string>]> = [
    [{ name: "" }, ["error invalid_length name"]],
    [{ name: "x".repeat(51) }, ["error invalid_length name"]],
    [{ description: "x".repeat(201) }, ["error invalid_length description"]],
    [{ environment_contexts: [] }, ["error required_field environment_contexts"]],
    [{ environment_contexts: ["prod"] }, ["error invalid_enum environment_contexts.0"]],
    [{ environment_contexts: ["staging", "staging"] }, ["error duplicate_item environment_contexts"]],
    [{ environment_contexts: "production" }, ["error invalid_type environment_contexts"]],
    [{ retry_attempts: 6 }, ["warning retry_gt_threshold circuit_breaker_threshold"]],
    [{ retry_attempts: 5 }, ["info retry_gt_threshold circuit_breaker_threshold"]],
    [{ retry_attempts: 4 }, []],
    [{ default_strategy: "aggressive" }, ["warning aggressive_in_prod default_strategy"]],
    [{ default_strategy: "aggressive", environment_contexts: ["staging"] }, []],
    [
      { default_strategy: "conservative", retry_attempts: 4, environment_contexts: ["development"] },
      ["warning conservative_in_dev default_strategy"]
    ],
    [{ default_strategy: "conservative", environment_contexts: ["development"] }, []],
    [{ jitter_enabled: true }, ["error unknown_field jitter_enabled"]]
  ]
  for (const [change, expected] of vectors) {
    it(`finds ${expected.length === 0 ? "nothing" : expected.join(", ")} after ${JSON.stringify(change).slice(0, 90)}`, () => {
      assert.deepStrictEqual(codes(Validation.validatePreset({ ...preset, ...change })), expected)
    })
  }
})

describe("the answers of the admin API", () => {
  it("have the fields of the original, findings beside them", () => {
    const json = Schema.encodeSync(Validation.Response)(Validation.validate({ retry_attempts: 15 }, secure))
    assert.deepStrictEqual(Object.keys(json), [
      "is_valid",
      "findings",
      "errors",
      "warnings",
      "suggestions",
      "security_info"
    ])
    assert.deepStrictEqual(json.security_info, {
      size_bytes: 21,
      max_size_bytes: 4096,
      field_count: 1,
      validation_timestamp: "2026-01-02T03:04:05.000Z"
    })
    assert.isNull(Schema.encodeSync(Validation.Response)(Validation.validate({ retry_attempts: 3 })).security_info)
  })

  it("analyse each field", () => {
    const report = Validation.analyzeFields(
      { retry_attempts: 15, foo: [1], default_strategy: "critical", operation_overrides: {}, jitter_max: 2.5 },
      { at }
    )
    const json = Schema.encodeSync(Validation.FieldReport)(report)
    assert.isFalse(json.is_valid)
    assert.deepStrictEqual(codes(report), ["error unknown_field foo", "error out_of_range retry_attempts"])
    assert.deepStrictEqual(json.field_analysis, {
      retry_attempts: {
        allowed: true,
        type: "integer",
        constraints: { minimum: 1, maximum: 10 },
        current_value: 15,
        current_type: "integer"
      },
      foo: { allowed: false, current_value: [1], current_type: "array" },
      default_strategy: {
        allowed: true,
        type: "string",
        constraints: { enum: Strategy.BuiltIn.literals },
        current_value: "critical",
        current_type: "string"
      },
      operation_overrides: {
        allowed: true,
        type: "object",
        constraints: {
          enum: Strategy.BuiltIn.literals,
          name_pattern: "^[a-z][a-z0-9_]{0,63}$",
          max_properties: 10
        },
        current_value: {},
        current_type: "object"
      },
      jitter_max: {
        allowed: true,
        type: "number",
        constraints: { minimum: 0.1, maximum: 10 },
        current_value: 2.5,
        current_type: "number"
      }
    })
    assert.strictEqual(json.allowed_fields.length, 25)
  })

  it("analyse nothing that cannot be read", () => {
    for (const value of [[], "x", null, JSON.parse('{"__proto__":1}'), { a: "x".repeat(5000) }]) {
      const report = Validation.analyzeFields(value, { at })
      assert.isFalse(report.isValid)
      assert.deepStrictEqual(report.fieldAnalysis, {})
    }
  })

  it("say the limits", () => {
    const json = Schema.encodeSync(Validation.Limits)(Validation.limits)
    assert.deepStrictEqual(json.security_limits, {
      max_config_size_bytes: 4096,
      max_string_length: 200,
      max_array_items: 20,
      max_object_properties: 50,
      max_nesting_depth: 10
    })
    assert.strictEqual(json.forbidden_pattern_count, 15)
    assert.strictEqual(json.validation_features.length, 7)
    assert.strictEqual(json.rate_limiting.validation_cooldown_seconds, 0)
    assert.strictEqual(json.content_filtering.max_unicode_codepoint, 0x1f4ff)
  })
})
