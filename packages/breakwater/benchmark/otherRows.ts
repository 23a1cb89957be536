/**
 * The rows that are not measured in time per call: memory and start-up, in processes of their own, and size.
 */
import { mkdir, rm } from "node:fs/promises"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { build, type OutputChunk } from "rolldown"
import { numberFrom } from "./child.ts"
import { compared, type Effort, type Result, rotated, rounded, type Unit } from "./harness.ts"
import { median } from "./median.ts"

export interface OtherRow {
  readonly name: string
  readonly unit: Unit
  readonly measure: (effort: Effort) => Promise<ReadonlyMap<string, ReadonlyArray<number>>>
}

const here = import.meta.dirname

// Memory

const memory = (what: string, contestants: ReadonlyArray<string>, count: number): OtherRow => ({
  name: `memory of one ${what}`,
  unit: "bytes",
  measure: async () => {
    const figures = contestants.map(
      async (contestant) => [contestant, [(await inUse(what, contestant, count)) / count]] as const
    )
    return new Map(await Promise.all(figures))
  }
})

/** Most of such a process is the compilation of what it loads, which the next one finds done. */
const inUse = (what: string, contestant: string, count: number): Promise<number> =>
  numberFrom(["--expose-gc", "memoryChild.ts", what, contestant, String(count)], {
    NODE_COMPILE_CACHE: join(here, "node_modules/.cache/compiled")
  })

const everyone = ["breakwater", "effect", "cockatiel", "opossum", "mollitia"]

const millionKeys: OtherRow = {
  name: "memory of 1,000,000 keys",
  unit: "bytes",
  measure: async () => new Map([["breakwater", [await inUse("keys", "breakwater", 1_000_000)]]])
}

// Start-up

const source = join(here, "../src/index.ts")
const isEffect = /^effect(\/|$)/

const startUp: OtherRow = {
  name: "start-up, time of the import",
  unit: "ms",
  measure: async ({ rounds }) => {
    // As it is published: JavaScript, a file for each module. It lies where `effect` resolves.
    const published = join(here, "node_modules/.cache/published")
    await rm(published, { recursive: true, force: true })
    await mkdir(published, { recursive: true })
    await build({
      input: source,
      external: isEffect,
      output: { dir: published, preserveModules: true, entryFileNames: "[name].mjs" },
      logLevel: "silent"
    })
    const imports: ReadonlyArray<readonly [name: string, specifiers: ReadonlyArray<string>]> = [
      ["breakwater", [join(published, "index.mjs")]],
      ["effect", ["effect"]],
      ["effect, the modules of breakwater", await externals()]
    ]
    const contestants = imports.map(([name, specifiers]) => {
      const load = specifiers.map((specifier) => `await import(${JSON.stringify(specifier)})`)
      const script = `const t = performance.now();${load.join(";")};console.log(performance.now() - t)`
      return { name, script, times: new Array<number>() }
    })
    for (let round = 0; round < Math.max(3, Math.ceil(rounds / 5)); round++) {
      for (const { script, times } of rotated(contestants, round)) {
        times.push(await numberFrom(["--input-type=module", "-e", script]))
      }
    }
    return new Map(contestants.map(({ name, times }) => [name, times]))
  }
}

/** The modules of effect that breakwater imports. */
const externals = async (): Promise<ReadonlyArray<string>> =>
  (await bundle(`export * from ${JSON.stringify(source)}`, { external: isEffect, minify: "spaces" })).imports.filter(
    (at) => isEffect.test(at)
  )

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

const size: OtherRow = {
  name: "size beyond effect, minified and gzipped",
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
    return figures
  }
}

/** Those of a group may be measured at the same time. */
export const otherRows: ReadonlyArray<ReadonlyArray<OtherRow>> = [
  [
    // The longest first.
    millionKeys,
    memory("busy operation", everyone, 350),
    memory("operation after one call", ["breakwater"], 1000),
    memory("idle operation", everyone, 1000),
    memory("idle breaker", everyone, 1000),
    size
  ],
  [startUp]
]

export const measureOther = async (row: OtherRow, effort: Effort): Promise<ReadonlyArray<Result>> =>
  compared(await row.measure(effort)).map(({ contestant, figures, ratioToBreakwater }) => ({
    name: row.name,
    contestant,
    value: rounded(median(figures), row.unit === "ms" ? 10 : 1),
    unit: row.unit,
    ratioToBreakwater
  }))
