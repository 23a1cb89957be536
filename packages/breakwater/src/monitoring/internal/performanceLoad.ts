/**
 * The synthetic dependency of a load benchmark. Chance comes from one
 * generator of its own, so that a seed decides every answer.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Random from "effect/Random"
import * as Errors from "../../Errors.ts"

/** @internal */
export interface Target {
  readonly distribution: "fixed" | "uniform" | "exponential"
  readonly meanMillis: number
  /** 0 to 1. */
  readonly failureRate: number
}

/** An exponential latency is cut here, so that one answer cannot outlast the run. */
const longest = 10

/** The latency in milliseconds for a number in [0, 1). @internal */
export const latency = ({ distribution, meanMillis }: Target, random: number): number => {
  switch (distribution) {
    case "fixed":
      return meanMillis
    case "uniform":
      return 2 * meanMillis * random
    case "exponential":
      return Math.min(-Math.log(1 - random), longest) * meanMillis
  }
}

/** @internal */
export const answer = (
  target: Target,
  random: (typeof Random.Random)["Service"]
): Effect.Effect<void, Errors.TransientAIError> => {
  const error = new Errors.TransientAIError({ message: "The synthetic target failed" })
  return Effect.suspend(() => {
    const fails = random.nextDoubleUnsafe() < target.failureRate
    const millis = latency(target, random.nextDoubleUnsafe())
    const pause = millis > 0 ? Effect.sleep(Duration.millis(millis)) : Effect.void
    return fails ? Effect.andThen(pause, Effect.fail(error)) : pause
  })
}
