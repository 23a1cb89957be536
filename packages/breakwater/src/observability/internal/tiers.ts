/**
 * Counts the answers of lower tiers. Operations of tiers need not be ones that
 * run, so they are counted beside those.
 */
import { cut } from "../../monitoring/internal/boundedJson.ts"
import { rest } from "./series.ts"

/** Tiers of one operation that are told apart. */
const maxTiers = 16
/** Characters of a name. */
const maxName = 64

interface Cell {
  count: number
}

/** A count that was not there before. */
type New = readonly [operation: string, tier: string, read: () => number]

/** @internal */
export class Tiers {
  private readonly maxOperations: number
  private readonly operations = new Map<string, Map<string, Cell>>()
  private fresh: Array<New> = []

  constructor(maxOperations: number) {
    this.maxOperations = maxOperations
  }

  count(operation: string, tier: string): void {
    const name = within(this.operations, operation, this.maxOperations)
    let tiers = this.operations.get(name)
    if (tiers === undefined) this.operations.set(name, (tiers = new Map()))
    const key = within(tiers, tier, maxTiers)
    let cell = tiers.get(key)
    if (cell === undefined) {
      const made: Cell = { count: 0 }
      tiers.set(key, (cell = made))
      this.fresh.push([name, key, () => made.count])
    }
    cell.count++
  }

  /** The counts that are new since the last time. */
  takeNew(): ReadonlyArray<New> {
    const { fresh } = this
    if (fresh.length > 0) this.fresh = []
    return fresh
  }
}

const within = (known: ReadonlyMap<string, unknown>, given: string, bound: number): string => {
  const name = cut(given, maxName)
  return known.has(name) || known.size < bound ? name : rest
}
