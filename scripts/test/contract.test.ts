import { assert, describe, it } from "@effect/vitest"
import { faults, laws } from "../contract.ts"

const tests = [
  {
    file: "Retry.test.ts",
    title: "pauses longer and longer",
    fullName: "Retry pauses longer and longer",
    passed: true
  },
  { file: "Retry.test.ts", title: "fails", fullName: "Retry fails", passed: false }
]

const row = (law: string, test = "`Retry.test.ts` pauses longer and longer") => `| ${law} | what holds | ${test} |`

const contract = (rows: ReadonlyArray<string> = laws.map((law) => row(law))) =>
  ["# Contract", "", "## Retry", "", "| Law | What holds | Tests |", "| --- | --- | --- |", ...rows].join("\n")

const check = (text: string, policies = ["Retry"]) => faults(text, policies, tests)

const withRow = (changed: string) => contract([changed, ...laws.slice(1).map((law) => row(law))])

describe("the contract", () => {
  it("is kept when each law of each policy has a test that passed", () => {
    assert.deepStrictEqual(check(contract()), [])
    const two = "`Retry.test.ts` pauses longer and longer<br>`Retry.test.ts` Retry pauses longer and longer"
    assert.deepStrictEqual(check(withRow(row(laws[0], two))), [])
  })

  it("is broken by a policy without a section, and by a section without a policy", () => {
    assert.deepStrictEqual(check(contract(), ["Retry", "Hedge"]), ["Hedge has no section"])
    assert.deepStrictEqual(check(contract(), []), ["Retry is no policy"])
  })

  it("is broken by a law that is left out, told twice or made up", () => {
    assert.deepStrictEqual(check(contract(laws.slice(1).map((law) => row(law)))), ["Retry has no row for Interruption"])
    assert.deepStrictEqual(check(contract([...laws, laws[0]].map((law) => row(law)))), [
      "Retry has 2 rows for Interruption"
    ])
    assert.deepStrictEqual(check(contract([...laws, "Gravity"].map((law) => row(law)))), [
      "Retry, Gravity: there is no such law"
    ])
  })

  it("is broken by a cell that names no test", () => {
    assert.deepStrictEqual(check(withRow("| Interruption | what holds | |")), ["Retry, Interruption: names no test"])
    assert.deepStrictEqual(check(withRow("| Interruption | |")), ["Retry, Interruption: names no test"])
    assert.deepStrictEqual(check(withRow(row("Interruption", "later"))), [
      'Retry, Interruption: "later" is not a file in backticks and a title'
    ])
  })

  it("is broken by a test that does not exist, stands elsewhere, or has not passed", () => {
    assert.deepStrictEqual(check(withRow(row("Interruption", "`Retry.test.ts` longer and longer"))), [
      'Retry, Interruption: Retry.test.ts has no test "longer and longer"'
    ])
    assert.deepStrictEqual(check(withRow(row("Interruption", "`Timeout.test.ts` pauses longer and longer"))), [
      'Retry, Interruption: Timeout.test.ts has no test "pauses longer and longer"'
    ])
    assert.deepStrictEqual(check(withRow(row("Interruption", "`Retry.test.ts` fails"))), [
      'Retry, Interruption: Retry.test.ts "fails" has not passed'
    ])
  })
})
