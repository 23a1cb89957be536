/**
 * Lets so many in at once. Others wait their turn for a while, first come first
 * served, and then go away.
 *
 * A permit passes from hand to hand: who leaves gives it to the first who
 * waits, so nobody who comes later is faster.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

interface Waiter {
  hasPermit: boolean
  wake: (() => void) | undefined
}

/** @internal */
export interface Settings {
  readonly permits: number
  readonly patience: Duration.Input
  /** Those who wait at once. */
  readonly maxWaiting: number
}

/** @internal */
export class Gate {
  private readonly waiting = new Set<Waiter>()
  private readonly settings: Settings
  private free: number

  constructor(settings: Settings) {
    this.settings = settings
    this.free = settings.permits
  }

  get inUse(): number {
    return this.settings.permits - this.free
  }

  /** Runs an effect with a permit. Who waits for one can be interrupted, whatever the region. */
  pass<A, E, R, E2>(effect: Effect.Effect<A, E, R>, tooBusy: () => E2): Effect.Effect<A, E | E2, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const run = Effect.onExitPrimitive(restore(effect), this.leave)
        if (this.free > 0) {
          this.free--
          return run
        }
        if (this.waiting.size >= this.settings.maxWaiting) return Effect.fail(tooBusy())
        const waiter: Waiter = { hasPermit: false, wake: undefined }
        this.waiting.add(waiter)
        const turn = Effect.callback<void>((resume) => {
          waiter.wake = () => resume(Effect.void)
          if (waiter.hasPermit) waiter.wake()
        })
        const waited = Effect.onExitPrimitive(
          Effect.interruptible(Effect.timeoutOption(turn, this.settings.patience)),
          (exit) => {
            this.waiting.delete(waiter)
            if (exit._tag === "Failure" && waiter.hasPermit) this.release()
            return undefined
          }
        )
        return waited.pipe(
          // The permit may have come in the very moment in which patience ended.
          Effect.flatMap((): Effect.Effect<A, E | E2, R> => (waiter.hasPermit ? run : Effect.fail(tooBusy())))
        )
      })
    )
  }

  private readonly leave = (): undefined => {
    this.release()
    return undefined
  }

  private readonly release = (): void => {
    for (const waiter of this.waiting) {
      this.waiting.delete(waiter)
      waiter.hasPermit = true
      waiter.wake?.()
      return
    }
    this.free++
  }
}
