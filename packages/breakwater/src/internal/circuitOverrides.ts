/**
 * What operators lay over a circuit, as pure as the machine under it. The
 * states go on underneath; the strongest override is in force, and each ends by
 * itself:
 *
 *   Isolated      refuses every call
 *   Disabled      admits every call, and counts none of them
 *   MetricsOnly   admits every call, while the states move as if it did not
 *
 * An override stands beside those of other operators, and in place of an
 * earlier one of the same mode and actor: nobody undoes what another has said.
 */
import type { Admission, Machine, Mode, Move, Override, Overrides, Passed, Settings, Step } from "./circuit.ts"
import * as machine from "./circuitMachine.ts"

const modes: ReadonlyArray<Mode> = ["isolated", "disabled", "metrics_only"]

/** Overrides of one circuit at most; the one that ends first makes room. @internal */
export const maxOverrides = 16

const passed: Extract<Admission, { _tag: "Admitted" }> = { _tag: "Admitted", token: { generation: -1, probe: -1 } }

class Laid implements Overrides {
  readonly list: Overrides["list"]

  constructor(list: Overrides["list"]) {
    this.list = list
  }

  passTime(settings: Settings, self: Machine, now: number): Passed {
    const moves: Array<Move> = []
    let next = self
    for (;;) {
      const first = next.overrides?.list.reduce((a, b) => (b.until < a.until ? b : a))
      const deadline = machine.deadlineOf(next)
      // Each in its turn; at one moment, overrides before probes.
      if (first !== undefined && first.until <= Math.min(deadline, now)) {
        const [ended, after] = end(next, first, first.until)
        moves.push(ended)
        next = after
      } else if (deadline <= now) next = machine.lapse(settings, next, now, moves)
      else return [moves, machine.rampEnded(next, now)]
    }
  }

  admit(now: number, byItself: () => Step<Admission>, self: Machine, moves: ReadonlyArray<Move>): Step<Admission> {
    const [override] = this.list
    switch (override.mode) {
      case "isolated":
        return [{ _tag: "Isolated", override, retryAfterMillis: override.until - now }, moves, self]
      case "disabled":
        return [passed, moves, self]
      case "metrics_only": {
        const [admission, moved, next] = byItself()
        return [admission._tag === "Admitted" ? admission : { ...passed, wouldReject: true }, moved, next]
      }
    }
  }
}

const listOf = (self: Machine): ReadonlyArray<Override> => self.overrides?.list ?? []

const overridesOf = (overrides: ReadonlyArray<Override>): Overrides | undefined => {
  const [first, ...others] = overrides.toSorted(
    (a, b) => modes.indexOf(a.mode) - modes.indexOf(b.mode) || (a.until === b.until ? 0 : b.until - a.until)
  )
  return first === undefined ? undefined : new Laid([first, ...others])
}

/** The machine with an override over it, in place of that of its mode and actor. @internal */
export const laid = (self: Machine, override: Override): Machine => {
  const others = listOf(self).filter(({ actor, mode }) => mode !== override.mode || actor !== override.actor)
  const kept =
    others.length < maxOverrides ? others : others.toSorted((a, b) => b.until - a.until).slice(0, maxOverrides - 1)
  return { ...self, overrides: overridesOf([...kept, override]) }
}

const end = (self: Machine, override: Override, at: number): readonly [Move, Machine] => {
  const overrides = overridesOf(listOf(self).filter((each) => each !== override))
  const { actor, mode } = override
  return machine.move(
    self,
    at,
    { _tag: "OverrideEnded", mode, actor, to: machine.state({ ...self, overrides }) },
    { overrides }
  )
}

/** Lays an override over the states. @internal */
export const override = (settings: Settings, self: Machine, now: number, added: Override): Step<void> => {
  const [moves, next] = machine.advance(settings, self, now)
  const { overrides } = laid(next, added)
  const { until, ...facts } = added
  const leftMillis = until === Infinity ? undefined : until - now
  const [overridden, after] = machine.move(next, now, { _tag: "Overridden", ...facts, leftMillis }, { overrides })
  return [undefined, [...moves, overridden], after]
}

/** Ends the overrides of a mode before their time: those of an actor, or all. @internal */
export const release = (
  settings: Settings,
  self: Machine,
  now: number,
  mode: Mode,
  actor: string | undefined
): Step<void> => {
  const [passed, advanced] = machine.advance(settings, self, now)
  const moves = [...passed]
  let next = advanced
  for (const override of listOf(advanced)) {
    if (override.mode !== mode || (actor !== undefined && override.actor !== actor)) continue
    const [ended, after] = end(next, override, now)
    moves.push(ended)
    next = after
  }
  return [undefined, moves, next]
}
