/** Effects as they are guarded, and the fibers that run them. */
import { Context, Effect, Layer, Scope } from "effect"
import type { Contestant } from "../harness.ts"
import { answer, value } from "./work.ts"

export const answerEffect = Effect.promise(answer)
export const valueEffect = Effect.sync(value)

export const none: Context.Context<never> = Context.empty()

export const build = <A>(layer: Layer.Layer<A>): Promise<Context.Context<A>> =>
  Effect.runPromise(Layer.buildWithScope(layer, Scope.makeUnsafe()))

/** In one running fiber, the way a program written in Effect makes its calls. */
export const inFiber = <R>(
  name: string,
  context: Context.Context<R>,
  effect: Effect.Effect<unknown, unknown, R>
): Contestant => ({ name, run: (steps) => runLoop(context, steps, () => effect) })

/** The same, with an effect that is made for each call. */
export const runLoop = <R>(
  context: Context.Context<R>,
  steps: number,
  make: (step: number) => Effect.Effect<unknown, unknown, R>
): Promise<void> =>
  Effect.runPromiseWith(context)(
    Effect.gen(function* () {
      for (let step = 0; step < steps; step++) yield* make(step)
    })
  )

/** In an async loop, the way a program written with promises makes its calls. */
export const awaited = (name: string, call: (step: number) => unknown): Contestant => ({
  name,
  run: async (steps) => {
    for (let step = 0; step < steps; step++) await call(step)
  }
})

/** In an async loop, with a fiber for each call. */
export const byRunPromise = <R>(
  name: string,
  context: Context.Context<R>,
  effect: Effect.Effect<unknown, unknown, R>
): Contestant => {
  const run = Effect.runPromiseWith(context)
  return awaited(name, () => run(effect))
}
