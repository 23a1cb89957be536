/**
 * The rows that are not measured in time per call: memory and start-up, in processes of their own, and size.
 */
import { mkdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { build, type OutputChunk } from "rolldown"
import { numbersFrom } from "./child.ts"
import { compared, type Effort, type Result, rotated, rounded, type Unit } from "./harness.ts"
import { median } from "./median.ts"

/** What was measured, by contestant. */
type Figures = ReadonlyMap<string, ReadonlyArray<number>>

/** Rows that are measured together. */
export interface OtherRows {
  readonly names: ReadonlyArray<string>
  readonly unit: Unit
  /** Measures those of these names. */
  readonly measure: (names: ReadonlyArray<string>, effort: Effort) => Promise<ReadonlyMap<string, Figures>>
}

const here = import.meta.dirname

// Memory

const everyone = ["breakwater", "effect", "cockatiel", "opossum", "mollitia"] as const

type Contestant = (typeof everyone)[number]

interface Case {
  readonly row: string
  /** Its name in memory/. */
  readonly name: string
  /** So many instances at a time. */
  readonly count: number
  /** The figure is for one of them. Default: for all together. */
  readonly each?: boolean
  readonly contestants: ReadonlyArray<Contestant>
}

const ofOne = (name: string, count: number, contestants: ReadonlyArray<Contestant>): Case => ({
  row: `memory of one ${name}`,
  name,
  count,
  each: true,
  contestants
})

const cases: ReadonlyArray<Case> = [
  ofOne("idle breaker", 1000, everyone),
  ofOne("idle operation", 1000, everyone),
  ofOne("operation after one call", 1000, ["breakwater"]),
  ofOne("busy operation", 350, everyone)
]

const keys: Case = { row: "memory of 1,000,000 keys", name: "keys", count: 1_000_000, contestants: ["breakwater"] }

const memoryOf = (cases: ReadonlyArray<Case>): OtherRows => ({
  names: cases.map(({ row }) => row),
  unit: "bytes",
  measure: async (names) => {
    const wanted = cases.filter(({ row }) => names.includes(row))
    const figures = new Map(wanted.map(({ row }) => [row, new Map<string, ReadonlyArray<number>>()]))
    const grown = everyone.map(async (contestant) => {
      const own = wanted.filter(({ contestants }) => contestants.includes(contestant))
      return { contestant, own, bytes: await growths(contestant, own) }
    })
    for (const { bytes, contestant, own } of await Promise.all(grown)) {
      own.forEach(({ row }, at) => figures.get(row)!.set(contestant, [bytes[at]!]))
    }
    return figures
  }
})

/**
 * What a contestant takes in each case, from a process that loads no other. Most of the time is compilation, which the
 * next run finds done, and collections, which take less of two busy cores with one thread.
 */
const growths = async (contestant: Contestant, cases: ReadonlyArray<Case>): Promise<ReadonlyArray<number>> => {
  if (cases.length === 0) return []
  const wanted = cases.flatMap(({ count, name }) => [name, String(count)])
  const grown = await numbersFrom(
    cases.length,
    ["--expose-gc", "--single-threaded-gc", "memoryChild.ts", contestant, ...wanted],
    { NODE_COMPILE_CACHE: join(here, "node_modules/.cache/compiled") }
  )
  return cases.map(({ count, each = false }, at) => grown[at]! / (each ? count : 1))
}

// Start-up

const source = join(here, "../src/index.ts")
const isEffect = /^effect(\/|$)/

const startUpRow = "start-up, time of the import"

const startUp: OtherRows = {
  names: [startUpRow],
  unit: "ms",
  measure: async (_, { rounds }) => {
    // As it is published: JavaScript, a file for each module. It lies where `effect` resolves.
    const published = join(here, "node_modules/.cache/published")
    await rm(published, { recursive: true, force: true })
    await mkdir(published, { recursive: true })
    const { output } = await build({
      input: source,
      external: isEffect,
      output: { dir: published, preserveModules: true, entryFileNames: "[name].mjs" },
      logLevel: "silent"
    })
    const externals = new Set(output.flatMap((chunk) => (chunk.type === "chunk" ? chunk.imports : [])))
    const imports: ReadonlyArray<readonly [name: string, specifiers: ReadonlyArray<string>]> = [
      ["breakwater", [join(published, "index.mjs")]],
      ["effect", ["effect"]],
      ["effect, the modules of breakwater", Array.from(externals).filter((at) => isEffect.test(at))]
    ]
    const contestants = imports.map(([name, specifiers]) => {
      const load = specifiers.map((specifier) => `await import(${JSON.stringify(specifier)})`)
      const script = `const t = performance.now();${load.join(";")};console.log(performance.now() - t)`
      return { name, script, times: new Array<number>() }
    })
    // Each has each turn equally often.
    for (let round = 0; round < contestants.length * Math.ceil(rounds / 11); round++) {
      for (const { script, times } of rotated(contestants, round)) {
        times.push(...(await numbersFrom(1, ["--input-type=module", "-e", script])))
      }
    }
    return new Map([[startUpRow, new Map(contestants.map(({ name, times }) => [name, times]))]])
  }
}

// Size

/** With `spaces`, identifiers stay what they are, and only comments and spaces go. */
type Minify = "all" | "spaces"

/** Bundles a program that a string holds. */
const bundle = async (
  program: string,
  { external = [], minify }: { readonly external?: RegExp | Array<RegExp>; readonly minify: Minify }
): Promise<OutputChunk> => {
  const { output } = await build({
    input: "program",
    external,
    platform: "node",
    write: false,
    output: { minify: minify === "all" || { compress: false, mangle: false, codegen: true }, codeSplitting: false },
    logLevel: "silent",
    plugins: [
      {
        name: "program",
        resolveId: (id) => (id === "program" ? join(here, "program.ts") : undefined),
        load: (id) => (id === join(here, "program.ts") ? program : undefined)
      }
    ]
  })
  return output[0]
}

const gzipped = async (program: string, external?: RegExp): Promise<number> => {
  const { code } = await bundle(program, { minify: "all", ...(external === undefined ? {} : { external }) })
  return gzipSync(code, { level: 9 }).length
}

const guarding = `
import { Resilience, Strategy, withResilience } from "breakwater"
export const guard = withResilience(Strategy.balanced, { operation: "call" })
export const layer = Resilience.layer()
`

const choosing = `
import { Preset, Resilience, withResilience } from "breakwater"
export const guard = withResilience("balanced", { operation: "call" })
export const layer = Resilience.layer(Preset.production)
`

const peers = {
  cockatiel: `
import {
  circuitBreaker, ConsecutiveBreaker, ExponentialBackoff, handleAll, retry, timeout, TimeoutStrategy, wrap
} from "cockatiel"
export const policy = wrap(
  retry(handleAll, { maxAttempts: 2, backoff: new ExponentialBackoff() }),
  circuitBreaker(handleAll, { halfOpenAfter: 60000, breaker: new ConsecutiveBreaker(5) }),
  timeout(10000, TimeoutStrategy.Aggressive)
)`,
  opossum: `
import CircuitBreaker from "opossum"
export const breaker = (action) => new CircuitBreaker(action, { timeout: 10000 })`,
  mollitia: `
import { Circuit, Retry, SlidingCountBreaker, Timeout } from "mollitia"
export const circuit = (func) => new Circuit({ func, options: {
  modules: [new Retry({ attempts: 2 }), new SlidingCountBreaker({ slidingWindowSize: 5 }), new Timeout({ delay: 10000 })]
} })`
}

/** The parts of effect that a bundle names: the imports, and each part by the name that effect has for it. */
const partsOfEffect = ({ code }: OutputChunk) => {
  const imports: Array<string> = []
  const parts: Array<readonly [name: string, expression: string]> = []
  const all = /import\s*\*\s*as ([\w$]+) from\s*"(effect[^"]*)"|import\s*\{([^}]*)\}\s*from\s*"(effect[^"]*)"/g
  for (const [, namespace, from, names, named] of code.matchAll(all)) {
    if (names !== undefined) {
      for (const name of names.split(",").map((name) => name.trim())) {
        imports.push(`import { ${name} as part_${parts.length} } from "${named}"`)
        parts.push([name, `part_${parts.length}`])
      }
      continue
    }
    imports.push(`import * as ${namespace} from "${from}"`)
    const members = Array.from(code.matchAll(new RegExp(`\\b${namespace}\\.(\\w+)`, "g")), ([, member]) => member!)
    for (const member of new Set(members)) parts.push([member, `${namespace}.${member}`])
  }
  return { imports, parts }
}

type Parts = ReturnType<typeof partsOfEffect>

/** Those parts as a library: a bundle that exports each by its name. */
const asLibrary = ({ imports, parts }: Parts): string => {
  const taken = new Map<string, number>()
  const lines = parts.map(([name, expression], index) => {
    const times = taken.get(name) ?? 0
    taken.set(name, times + 1)
    return `const export_${index} = ${expression}\nexport { export_${index} as ${name}${times === 0 ? "" : times} }`
  })
  return [...imports, ...lines].join("\n")
}

/** Those parts in a program that calls none of them by a name. */
const asProgram = ({ imports, parts }: Parts): string =>
  [...imports, `globalThis.parts = [${parts.map(([, expression]) => expression).join(", ")}]`].join("\n")

const sizeRow = "size beyond effect, minified and gzipped"

const size: OtherRows = {
  names: [sizeRow],
  unit: "bytes",
  measure: async () => {
    const figures = new Map([["breakwater", [await gzipped(guarding, isEffect)]]])
    for (const [name, program] of [
      ["", guarding],
      [", with a preset", choosing]
    ] as const) {
      const parts = partsOfEffect(await bundle(program, { external: isEffect, minify: "spaces" }))
      const whole = await gzipped(program)
      figures.set(`breakwater, by difference${name}`, [whole - (await gzipped(asLibrary(parts)))])
      figures.set(`breakwater, by difference, unnamed${name}`, [whole - (await gzipped(asProgram(parts)))])
    }
    for (const [name, program] of Object.entries(peers)) figures.set(name, [await gzipped(program)])
    return new Map([[sizeRow, figures]])
  }
}

/** Those of a group may be measured at the same time. */
export const otherRows: ReadonlyArray<ReadonlyArray<OtherRows>> = [
  // The longest first. A process of its own: calls of the other cases would run into their limits during this one.
  [memoryOf([keys]), memoryOf(cases), size],
  [startUp]
]

export const measureOther = async (
  rows: OtherRows,
  names: ReadonlyArray<string>,
  effort: Effort
): Promise<ReadonlyArray<Result>> =>
  Array.from(await rows.measure(names, effort)).flatMap(([name, values]) =>
    compared(values).map(({ contestant, figures, ratioToBreakwater }) => ({
      name,
      contestant,
      value: rounded(median(figures), rows.unit === "ms" ? 10 : 1),
      unit: rows.unit,
      ratioToBreakwater
    }))
  )
