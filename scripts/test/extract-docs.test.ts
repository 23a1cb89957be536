import { assert, describe, it } from "@effect/vitest"
import { compile, type Example, examplesOf } from "../extract-docs.ts"

const example = (code: string): Example => ({ file: "README.md", line: 10, code, run: true })
const body = (code: string): string => compile(example(code)).split("\n").slice(1, -2).join("\n")

describe("examplesOf", () => {
  it("reads the fences of Markdown, and where they start", () => {
    const text = ["# Title", "```ts import.meta.vitest", "1 + 1 // => 2", "```", "```bash", "ls", "```"].join("\n")
    assert.deepStrictEqual(examplesOf("README.md", text), [
      { file: "README.md", line: 2, code: "1 + 1 // => 2", run: true }
    ])
  })

  it("reads the fences of comments and keeps their indentation", () => {
    const text = ["/**", " * ```ts no-run", " * if (x) {", " *   y()", " *", " *   * 2", " * }", " * ```", " */"].join(
      "\n"
    )
    assert.deepStrictEqual(examplesOf("src/A.ts", text), [
      { file: "src/A.ts", line: 2, code: "if (x) {\n  y()\n\n  * 2\n}", run: false }
    ])
  })

  it("reads a fence inside a list", () => {
    assert.strictEqual(examplesOf("a.md", "- x\n\n  ```ts no-run\n  a\n\n    b\n  ```")[0]?.code, "a\n\n  b")
  })

  it("refuses TypeScript that nothing compiles", () => {
    for (const info of ["ts", "typescript", "ts import.meta.vites", "tsx no-run"]) {
      assert.throws(() => examplesOf("README.md", `\n\`\`\`${info}\n1\n\`\`\``), /README\.md:2: .*is not compiled/)
    }
  })

  it("does not look for a fence inside another one", () => {
    assert.deepStrictEqual(examplesOf("README.md", "````md\n```ts\n1\n```\n````"), [])
  })

  it("refuses a fence that is never closed", () => {
    assert.throws(() => examplesOf("README.md", "```bash\nls"), /README\.md:1: .*never closed/)
  })
})

describe("compile", () => {
  it("asserts an expression", () => {
    assert.strictEqual(body("1 + 1 // => 2"), "assertEquals(1 + 1, 2)")
  })

  it("asserts an awaited expression", () => {
    assert.strictEqual(body(`await run(x) // => { a: "b" }`), `assertEquals(await run(x), { a: "b" })`)
  })

  it("asserts a constant", () => {
    assert.strictEqual(body("const x: number = f() // => 2"), "const x: number = f(); assertEquals(x, 2)")
  })

  it("asserts an expression of many lines", () => {
    assert.strictEqual(body("a.pipe(\n  b,\n  c\n) // => 1\nd()"), "assertEquals(a.pipe(\n  b,\n  c\n), 1)\nd()")
  })

  it("asserts inside a generator, and more than once", () => {
    assert.strictEqual(
      body("gen(function*() {\n  const x = yield* a // => 1\n  yield* b // => 2\n})"),
      "gen(function*() {\n  const x = yield* a; assertEquals(x, 1)\n  assertEquals(yield* b, 2)\n})"
    )
  })

  it("asserts a value and what is inside it", () => {
    assert.strictEqual(
      body("f(() => {\n  g() // => 1\n  g() // => 1\n}) // => 2"),
      "assertEquals(f(() => {\n  assertEquals(g(), 1)\n  assertEquals(g(), 1)\n}), 2)"
    )
  })

  it("leaves other comments and strings alone", () => {
    const code = `const x = "a // => b" // not => this\n// = >\nf(() => 1)`
    assert.strictEqual(body(code), code)
  })

  it("keeps every line where it is", () => {
    assert.strictEqual(compile(example("a\nb // => 1\nc")).split("\n")[3], "c")
  })

  it("refuses an assertion in the middle of an expression", () => {
    assert.throws(() => body("a.pipe(\n  b, // => 1\n  c\n)"), /README\.md:12: .*must follow/)
    assert.throws(() => body("f({\n  a: 1 // => 1\n})"), /README\.md:12: .*must follow/)
  })

  it("refuses an assertion on a line of its own, or of two constants", () => {
    assert.throws(() => body("a\n// => 1"), /README\.md:12: .*must follow/)
    assert.throws(() => body("const a = 1, b = 2 // => 1"), /must follow/)
    assert.throws(() => body("const { a } = b // => 1"), /must follow/)
  })

  it("refuses an expected value that is prose", () => {
    assert.throws(() => body("a // => the sum"), /README\.md:11: .*not an expression/)
  })

  it("refuses code that does not parse", () => {
    assert.throws(() => body("const = 1"), /README\.md:11: /)
  })
})
