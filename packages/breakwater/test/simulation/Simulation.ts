/**
 * Plays simulations of a subject from seeds, and makes the shortest story of one that breaks an invariant.
 *
 * A seed fixes everything: the subject's settings, the steps, what chance brings, and which fiber runs first.
 */
import type { Effect } from "effect"
import { Dice, hash } from "./Dice.ts"
import { drawSteps, drawWeather, type Step } from "./Script.ts"
import { type Call, Stage, type Violation } from "./Stage.ts"
import { World } from "./World.ts"

/** A policy, or policies together, as a simulation plays it. */
export interface Subject {
  readonly name: string
  /** Draws its settings, starts it and says which laws it obeys. */
  readonly open: (stage: Stage, dice: Dice) => Opened
}

export interface Opened {
  /** For the report: the settings that were drawn. */
  readonly settings: unknown
  /** One call of the dependency under the subject. */
  readonly guard: (call: Call) => Effect.Effect<unknown, unknown>
  readonly commands?: ReadonlyArray<string>
  readonly command?: (name: string, key: string | undefined, value: number) => void
  /** After the last step, when every call has ended. */
  readonly recover?: (call: (key: string | undefined) => void) => void
  /** What is left that should not be. */
  readonly residue?: () => number
}

export interface Outcome {
  readonly hash: number
  readonly calls: number
  readonly settings: unknown
  readonly steps: ReadonlyArray<Step>
  readonly trace: ReadonlyArray<string>
  readonly violation: Violation | undefined
}

interface Options {
  /** The numbers of the steps that are played; the others are left out. Default: all. */
  readonly keep?: ReadonlySet<number>
  /** Whether the wall clock stays where it is at the steps that would set it. */
  readonly isWallStill?: boolean
}

export const simulate = (subject: Subject, seed: number, options: Options = {}): Outcome => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  try {
    return play(subject, seed, options)
  } finally {
    Error.stackTraceLimit = limit
  }
}

const play = (subject: Subject, seed: number, { isWallStill = false, keep }: Options): Outcome => {
  const dice = (use: string) => new Dice(hash(`${subject.name} ${seed} ${use}`))
  const start = dice("start")
  const world = new World(dice("chance"), {
    // Now and then not a whole number of milliseconds.
    startsAt: start.chance(0.7) ? 0 : start.whole(0, 1e9),
    shuffled: start.chance(0.5) ? dice("turns") : undefined
  })
  const stage = new Stage(world)
  const { command, commands = [], guard, recover, residue, settings } = subject.open(stage, dice("settings"))
  const script = dice("script")
  const steps = drawSteps(script, drawWeather(script, commands), script.whole(20, 120))
  // A reader moves a circuit on. Half of the simulations have none that reads all the time.
  const isWatched = start.chance(0.5)

  const step = (step: Step): void => {
    if (step._tag === "call") stage.start(step, guard)
    else if (step._tag === "command") command!(step.name, step.key, step.value)
    else if (step._tag !== "wall" || !isWallStill) stage.play(step)
    stage.settled()
    if (isWatched) stage.look()
  }

  let played = 0
  try {
    for (const [number, next] of steps.entries()) {
      if (keep !== undefined && !keep.has(number)) continue
      stage.trace.push(`${world.now} step ${number}: ${next._tag}`)
      step(next)
      played++
      if (stage.violations.length > 0) break
    }
    if (stage.violations.length === 0) stage.finish()
    if (stage.violations.length === 0) {
      recover?.((key) => step({ _tag: "call", key, variant: 0, treatments: [] }))
      const { fibers, sleeps, tasks } = world.residue
      stage.equal("INV-RES", [fibers, sleeps, tasks], [0, 0, 0], "fibers, sleeps and tasks at rest")
      stage.equal("INV-RES", residue?.() ?? 0, 0, "what is left at rest")
    }
  } catch (error) {
    stage.hold("INV-RES", false, () => (error instanceof Error ? error.message : String(error)))
  }
  return {
    hash: stage.trace.reduce((mixed, line) => hash(line, mixed), 0x811c9dc5),
    calls: stage.calls.length,
    settings,
    steps: steps.slice(0, keep === undefined ? played : steps.length),
    trace: stage.trace,
    violation: stage.violations[0]
  }
}

/**
 * The fewest steps that still break the invariant: leaves out half of them, then quarters, down to single steps, as long
 * as the same invariant breaks.
 */
export const minimise = (
  subject: Subject,
  seed: number
): { readonly kept: ReadonlySet<number>; readonly outcome: Outcome } => {
  const whole = simulate(subject, seed)
  const breaks = (kept: ReadonlyArray<number>): Outcome | undefined => {
    const outcome = simulate(subject, seed, { keep: new Set(kept) })
    return outcome.violation?.invariant === whole.violation?.invariant ? outcome : undefined
  }
  let kept = Array.from(whole.steps.keys())
  let outcome = whole
  for (let size = Math.ceil(kept.length / 2); size >= 1;) {
    const before = kept.length
    for (let from = 0; from < kept.length;) {
      const fewer = kept.toSpliced(from, size)
      const found = breaks(fewer)
      if (found === undefined) from += size
      else [kept, outcome] = [fewer, found]
    }
    // What one step needed, another may do without.
    if (size > 1) size = Math.ceil(size / 2)
    else if (kept.length === before) break
  }
  return { kept: new Set(kept), outcome }
}

/** Everything that is needed to understand a violation and to play it again. */
export const report = (subject: Subject, seed: number): string => {
  const { kept, outcome } = minimise(subject, seed)
  const { settings, steps, trace, violation } = outcome
  return [
    `${violation?.invariant} is broken by ${subject.name} with seed ${seed}, at ${violation?.now} ms:`,
    `  ${violation?.message}`,
    `Play it again: SIMULATION_SUBJECT="${subject.name}" SIMULATION_SEED=${seed} pnpm vitest run simulation/replay`,
    `Settings: ${JSON.stringify(settings)}`,
    `The ${kept.size} steps that it takes:`,
    ...steps.flatMap((step, number) => (kept.has(number) ? [`  ${number}: ${describe(step)}`] : [])),
    "What the observer saw:",
    ...trace.map((line) => `  ${line}`)
  ].join("\n")
}

// JSON has no Infinity.
const describe = (step: Step): string =>
  JSON.stringify(step, (_, value: unknown) => (value === Infinity ? "until told" : value))
