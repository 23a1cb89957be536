/**
 * Turns the examples of the documentation into files that are compiled and run.
 *
 * An example is a fence: `ts import.meta.vitest` is compiled and run, `ts no-run` is only compiled, and a bare `ts` is an
 * error, so that nothing is documented that does not compile. In an example, a comment `// => value` at the end of a
 * statement asserts the value of its expression, or of the constant it declares:
 *
 *     const sum = 1 + 1 // => 2
 *     await Effect.runPromise(program) // => "done"
 *
 * The files go to `examples/.docs`, from where `breakwater` and `effect` resolve as they do for a user. A line keeps its
 * distance from the fence: line 5 of `README_md_L30.ts` is line 34 of the README.
 */
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { parseSync, Visitor, type ParseResult } from "oxc-parser"

export interface Example {
  readonly file: string
  /** The line of the opening fence. */
  readonly line: number
  readonly code: string
  readonly run: boolean
}

const where = (file: string, line: number, what: string): Error => new Error(`${file}:${line}: ${what}`)

/** Finds the fences of a Markdown file or, in a TypeScript file, of its comments. */
export const examplesOf = (file: string, text: string): ReadonlyArray<Example> => {
  const found: Array<Example> = []
  const fence = file.endsWith(".md") ? /^([ \t]*)(`{3,})(.*)$/ : /^([ \t]*\* ?[ \t]*)(`{3,})(.*)$/
  const lines = text.split("\n")
  for (let start = 0; start < lines.length; start++) {
    const [, indent, ticks, info] = fence.exec(lines[start]!) ?? []
    if (indent === undefined) continue
    const end = lines.findIndex((line, at) => at > start && fence.exec(line)?.[2] === ticks)
    if (end === -1) throw where(file, start + 1, "the fence is never closed")
    const [language, ...marks] = info!.trim().split(/\s+/)
    if (/^(ts|tsx|typescript|mts)$/.test(language!)) {
      const mark = marks.join(" ")
      if (language !== "ts" || (mark !== "import.meta.vitest" && mark !== "no-run")) {
        throw where(file, start + 1, `\`${info}\` is not compiled: mark it \`ts import.meta.vitest\` or \`ts no-run\``)
      }
      const body = lines.slice(start + 1, end).map((line) => {
        if (line.startsWith(indent)) return line.slice(indent.length)
        if (line.trimEnd() === indent.trimEnd() || line.trim() === "") return ""
        throw where(file, start + 1, `a line of the example is indented less than its fence: ${line}`)
      })
      found.push({ file, line: start + 1, code: body.join("\n"), run: mark !== "no-run" })
    }
    start = end
  }
  return found
}

interface Statement {
  readonly end: number
  readonly expression: readonly [start: number, end: number] | undefined
  readonly name: string | undefined
}

const statementsOf = (program: ParseResult["program"]): ReadonlyArray<Statement> => {
  const found: Array<Statement> = []
  new Visitor({
    ExpressionStatement: ({ end, expression }) => {
      found.push({ end, expression: [expression.start, expression.end], name: undefined })
    },
    VariableDeclaration: ({ declarations, end }) => {
      const [only, ...more] = declarations
      const name = more.length === 0 && only?.id.type === "Identifier" ? only.id.name : undefined
      found.push({ end, expression: undefined, name })
    }
  }).visit(program)
  return found
}

/** The file that stands for an example. Throws where a `// =>` does not belong to exactly one value. */
export const compile = ({ code, file, line }: Example): string => {
  const lineAt = (offset: number): number => line + code.slice(0, offset).split("\n").length
  const parsed = parseSync("example.ts", code)
  for (const error of parsed.errors) throw where(file, lineAt(error.labels[0]?.start ?? 0), error.message)

  const statements = statementsOf(parsed.program)
  const edits: Array<readonly [start: number, end: number, text: string]> = []
  for (const comment of parsed.comments) {
    const expected = /^\s*=>(.*)$/s.exec(comment.value)?.[1]?.trim()
    if (expected === undefined) continue
    const end = code.slice(0, comment.start).trimEnd().length
    const sameLine = !code.slice(end, comment.start).includes("\n")
    const statement = statements.findLast((statement) => statement.end === end)
    if (comment.type !== "Line" || !sameLine || (!statement?.expression && !statement?.name)) {
      throw where(file, lineAt(comment.start), "`// =>` must follow the last line of one expression or one `const`")
    }
    if (parseSync("expected.ts", `(${expected})`).errors.length > 0) {
      throw where(file, lineAt(comment.start), `\`${expected}\` is not an expression`)
    }
    if (statement.expression !== undefined) {
      const [from, to] = statement.expression
      edits.push([from, from, "assertEquals("], [to, comment.end, `, ${expected})`])
    } else edits.push([end, comment.end, `; assertEquals(${statement.name}, ${expected})`])
  }
  let out = code
  for (const [from, to, text] of edits.toSorted((a, b) => b[0] - a[0])) out = out.slice(0, from) + text + out.slice(to)
  return `/* ${file}:${line} */ import { assertEquals } from "../../scripts/assert.ts"\n${out}\nexport {}\n`
}

const extract = (root: string): string => {
  const files = globSync(
    ["README.md", "CONTRIBUTING.md", "packages/*/README.md", "docs/**/*.md", "packages/*/src/**/*.ts"],
    {
      cwd: root
    }
  )
  const examples = files.toSorted().flatMap((file) => examplesOf(file, readFileSync(join(root, file), "utf8")))
  const nameOf = ({ file, line }: Example): string => `${file.replace(/\W+/g, "_")}_L${line}.ts`
  const outputs = examples.map((example) => [nameOf(example), compile(example)] as const)
  const tests = examples
    .filter(({ run }) => run)
    .map((example) => `test("${example.file}:${example.line}", () => import("./${nameOf(example)}"))\n`)

  const out = join(root, "examples/.docs")
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  for (const [name, text] of outputs) writeFileSync(join(out, name), text)
  if (tests.length > 0) writeFileSync(join(out, "docs.test.ts"), `import { test } from "vitest"\n\n${tests.join("")}`)
  return `${examples.length} examples, ${tests.length} run`
}

if (import.meta.main) {
  try {
    console.log(extract(join(import.meta.dirname, "..")))
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
    process.exitCode = 1
  }
}
