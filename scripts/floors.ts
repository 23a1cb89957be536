/**
 * Fails when a file imports from a floor above its own. The floors are the design; this keeps them true.
 *
 * A file belongs to the first floor whose pattern matches its path inside `src`. Imports go down, or stay on the floor
 * without running in a circle. Type imports and re-exports count: the drawing is about knowing, not about loading.
 */
import { globSync, readFileSync } from "node:fs"
import { join, posix } from "node:path"

interface Floor {
  readonly name: string
  readonly files: RegExp
  /** The files of this floor do not import each other. */
  readonly apart?: boolean
  /** The files of this floor import nothing but each other: no package, no Node module. */
  readonly closed?: boolean
}

const named = (...names: ReadonlyArray<string>): RegExp => new RegExp(`^(${names.join("|")})\\.ts$`)

/** From the bottom to the top. */
export const floors: ReadonlyArray<Floor> = [
  { name: "machines", files: /^internal\//, closed: true },
  {
    name: "words",
    files: named(
      "Settings",
      "Outcome",
      "Fallback",
      "Policy",
      "Priority",
      "Errors",
      "ResilienceError",
      "ResilienceEvent",
      "EventSchema",
      "EventSink",
      "Classification",
      "Moment",
      "Attempt",
      "Step",
      "Watch",
      "Child",
      "Monotonic",
      "Tracing",
      "Wire",
      "Deadline",
      "DeadlineQueue",
      "Consecutive",
      "TripPolicy"
    )
  },
  {
    name: "policies",
    files: named(
      "CircuitBreaker",
      "Retry",
      "RetryBudget",
      "Timeout",
      "Bulkhead",
      "RateLimiter",
      "AdaptiveLimiter",
      "Hedge",
      "Coalesce",
      "Tiered",
      "StaleCache"
    ),
    apart: true
  },
  ...[
    "Strategy",
    "Description",
    "Preset",
    "Decision",
    "Operation",
    "Pipeline",
    "Running",
    "Resilience",
    "Registry",
    "Async"
  ].map((name) => ({
    name,
    files: named(name)
  })),
  { name: "services", files: /^(monitoring|config)\// },
  { name: "doors", files: /^(http-api|observability|http|ai|persistence|testing)\// },
  { name: "roof", files: named("index"), apart: true }
]

const importsOf = (text: string): ReadonlyArray<string> =>
  [
    ...text
      .replace(/^[ \t]*(\/\*[\s\S]*?\*\/|\/\/.*)/gm, "")
      .matchAll(/(?:\bfrom|\bimport)\s*\(?\s*["'`]([^"'`\n]+)["'`]/g)
  ].map((match) => match[1]!)

/** Every fault in a tree of sources, given as text by path inside `src`. */
export const faults = (sources: ReadonlyMap<string, string>): ReadonlyArray<string> => {
  const found: Array<string> = []
  const graph = new Map<string, ReadonlyArray<string>>()
  for (const [file, text] of sources) {
    const here = floors.findIndex((floor) => floor.files.test(file))
    const floor = floors[here]
    if (floor === undefined) {
      found.push(`${file} stands on no floor: give it a place in scripts/floors.ts`)
      continue
    }
    const [relative, packages] = [true, false].map((is) => importsOf(text).filter((at) => at.startsWith(".") === is))
    if (floor.closed) found.push(...packages!.map((name) => `${file} imports ${name}: ${floor.name} import no package`))
    const targets = relative!.map((at) => posix.join(posix.dirname(file), at))
    graph.set(file, targets)
    for (const target of targets) {
      const there = floors.findIndex((floor) => floor.files.test(target))
      if (target.startsWith("..")) found.push(`${file} reaches out of src to ${target}`)
      else if (there > here) found.push(`${file} (${floor.name}) reaches up to ${target} (${floors[there]!.name})`)
      else if (there === here && floor.apart) found.push(`${file} leans on ${target}: ${floor.name} stand apart`)
    }
  }
  return [...found, ...circles(graph)]
}

const circles = (graph: ReadonlyMap<string, ReadonlyArray<string>>): ReadonlyArray<string> => {
  const found: Array<string> = []
  const done = new Set<string>()
  const visit = (file: string, path: ReadonlyArray<string>): void => {
    if (path.includes(file)) found.push(`circle: ${[...path.slice(path.indexOf(file)), file].join(" > ")}`)
    else if (!done.has(file)) for (const target of graph.get(file) ?? []) visit(target, [...path, file])
    done.add(file)
  }
  for (const file of graph.keys()) visit(file, [])
  return found
}

if (import.meta.main) {
  const root = join(import.meta.dirname, "../packages/breakwater/src")
  const files = globSync("**/*.ts", { cwd: root }).toSorted()
  const found = faults(new Map(files.map((file) => [file, readFileSync(join(root, file), "utf8")])))
  for (const fault of found) console.error(fault)
  console.log(`${files.length} files, ${found.length} faults`)
  process.exitCode = found.length === 0 ? 0 : 1
}
