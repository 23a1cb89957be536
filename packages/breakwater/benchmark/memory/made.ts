/** Ways to make many instances, and to keep them. */
import { answer } from "../contestants/work.ts"

/** Makes an instance for each name and keeps it. */
export type Make = (names: Iterable<string>, keep: (made: unknown) => void) => unknown

/** What a contestant makes in each case. */
export type Cases = { readonly [name: string]: Make }

export const each =
  (make: () => unknown): Make =>
  (names, keep) => {
    for (const _ of names) keep(make())
  }

export const never = (): Promise<number> => new Promise(() => {})
export const callsBefore = 10

/** An operation that has made some calls and has one in flight. `call` takes what is guarded. */
export const busy =
  (make: () => (action: () => Promise<number>) => Promise<unknown>): Make =>
  async (names, keep) => {
    for (const _ of names) {
      const call = make()
      for (let calls = 0; calls < callsBefore; calls++) await call(answer)
      keep(call)
      keep(call(never))
    }
  }

/** One action for contestants that are made around it. */
export const around =
  (make: (action: () => Promise<number>) => () => Promise<unknown>) =>
  (): ((action: () => Promise<number>) => Promise<unknown>) => {
    let current = answer
    const call = make(() => current())
    return (action) => {
      current = action
      return call()
    }
  }
