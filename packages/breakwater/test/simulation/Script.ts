/** What a simulation does, drawn from the seed as data: any step can be left out and the others mean the same. */
import type { Dice } from "./Dice.ts"

/** What a dependency answers. `foreign`: the rejection of a strategy of its own. `interrupt`: it interrupts itself. */
export type Answer = "success" | "transient" | "permanent" | "limited" | "foreign" | "defect" | "interrupt"

/** How the dependency treats one attempt. */
export interface Treatment {
  readonly answer: Answer
  /** Milliseconds until it answers; `Infinity`: when a step tells it to. */
  readonly latency: number
  /** Milliseconds that its finalizer takes once it is interrupted. */
  readonly cleanup: number
  /** It cannot be interrupted until it has answered. */
  readonly isStubborn: boolean
  /** The Retry-After of the answer `limited`, in milliseconds. */
  readonly retryAfter: number
}

export type Step =
  | {
      readonly _tag: "call"
      readonly key: string | undefined
      /** Which of the ways to call that a subject has, from 0 to 1. */
      readonly variant: number
      /** One for each attempt. Attempts beyond succeed at once. */
      readonly treatments: ReadonlyArray<Treatment>
    }
  /** Lets the dependency answer one of the attempts that wait for it to. */
  | { readonly _tag: "answer"; readonly pick: number; readonly answer: Answer; readonly retryAfter: number }
  | { readonly _tag: "interrupt"; readonly pick: number }
  | { readonly _tag: "advance"; readonly millis: number }
  /** Lets time pass until just before, just at or just after something is due. */
  | { readonly _tag: "approach"; readonly pick: number; readonly offset: number }
  | { readonly _tag: "wall"; readonly millis: number }
  | { readonly _tag: "look" }
  /** What only this subject knows: an operator's command, other settings. */
  | {
      readonly _tag: "command"
      readonly name: string
      readonly key: string | undefined
      readonly value: number
    }

const tenYears = 10 * 365 * 24 * 3_600_000

/** How a seed's dependency and callers are, so that quiet and stormy runs both come up. */
export interface Weather {
  readonly health: number
  readonly isSlow: boolean
  readonly isIdle: boolean
  readonly keys: ReadonlyArray<string | undefined>
  readonly commands: ReadonlyArray<string>
}

export const drawWeather = (dice: Dice, commands: ReadonlyArray<string>): Weather => ({
  health: dice.pick([0.1, 0.5, 0.9]),
  isSlow: dice.chance(0.4),
  isIdle: dice.chance(0.3),
  keys: dice.pick([[undefined], [undefined], ["a"], [undefined, "a", "b"]]),
  commands
})

const failures = { transient: 6, permanent: 2, limited: 2, foreign: 1, defect: 1, interrupt: 0.5 } as const

const drawAnswer = (dice: Dice, { health }: Weather): Answer =>
  dice.chance(health) ? "success" : dice.weighted(failures)

const drawRetryAfter = (dice: Dice): number => dice.pick([0, 5, 300, 1_500, 45_000])

const drawTreatment = (dice: Dice, weather: Weather): Treatment => ({
  answer: drawAnswer(dice, weather),
  latency: dice.chance(weather.isSlow ? 0.2 : 0.6)
    ? 0
    : dice.chance(0.5)
      ? Infinity
      : dice.pick([dice.whole(1, 50), dice.whole(50, 3_000), dice.whole(1, 400) * 250, dice.next() * 2_000]),
  cleanup: dice.chance(0.8) ? 0 : dice.whole(1, 2_000),
  isStubborn: dice.chance(0.05),
  retryAfter: drawRetryAfter(dice)
})

const drawAdvance = (dice: Dice): number =>
  dice.pick([dice.whole(1, 20), dice.whole(1, 2_000), dice.whole(1, 60) * 1_000, dice.next() * 300])

const drawStep = (dice: Dice, weather: Weather): Step => {
  const _tag = dice.weighted({
    call: 8,
    answer: 4,
    interrupt: 0.7,
    advance: weather.isIdle ? 4 : 1.5,
    approach: 2.5,
    wall: 0.4,
    look: 0.5,
    command: weather.commands.length === 0 ? 0 : 0.9
  })
  const key = dice.pick(weather.keys)
  switch (_tag) {
    case "call": {
      const treatments = Array.from({ length: dice.whole(1, 5) }, () => drawTreatment(dice, weather))
      return { _tag, key, variant: dice.next(), treatments }
    }
    case "answer":
      return { _tag, pick: dice.next(), answer: drawAnswer(dice, weather), retryAfter: drawRetryAfter(dice) }
    case "interrupt":
      return { _tag, pick: dice.next() }
    case "advance":
      return { _tag, millis: drawAdvance(dice) }
    case "approach":
      return { _tag, pick: dice.next(), offset: dice.pick([-1, -0.5, 0, 0, 0, 0.5, 1]) }
    case "wall":
      return { _tag, millis: dice.pick([-tenYears, -3_600_000, 3_600_000, tenYears]) }
    case "look":
      return { _tag }
    case "command":
      return { _tag, name: dice.pick(weather.commands), key, value: dice.next() }
  }
}

export const drawSteps = (dice: Dice, weather: Weather, count: number): ReadonlyArray<Step> =>
  Array.from({ length: count }, () => drawStep(dice, weather))
