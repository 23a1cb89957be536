/**
 * One at a time for each name. A name takes room only while somebody holds it
 * or waits for it.
 */
import * as Effect from "effect/Effect"
import * as Semaphore from "effect/Semaphore"

interface Lock {
  readonly semaphore: Semaphore.Semaphore
  users: number
}

/** @internal */
export class Locks {
  private readonly locks = new Map<string, Lock>()

  get size(): number {
    return this.locks.size
  }

  /** Waiting can be interrupted, what is done with the lock can not. */
  hold<A, E, R>(name: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.suspend(() => {
        const lock = this.locks.get(name) ?? { semaphore: Semaphore.makeUnsafe(1), users: 0 }
        this.locks.set(name, lock)
        lock.users++
        return Effect.ensuring(
          restore(lock.semaphore.withPermit(Effect.uninterruptible(effect))),
          Effect.sync(() => {
            if (--lock.users === 0) this.locks.delete(name)
          })
        )
      })
    )
  }
}
