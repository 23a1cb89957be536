/**
 * The names of operations that a configuration can mean.
 */
import * as Effect from "effect/Effect"
import * as Preset from "../../Preset.ts"
import type { Registry } from "../../Registry.ts"

const builtIn: ReadonlyArray<string> = Array.from(Preset.aliases).flat()

/** Those of the text service, and those that run. @internal */
export const operationNames = (resilience: Registry): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(resilience.operations, (operations) => [...builtIn, ...operations.map(({ name }) => name)])
