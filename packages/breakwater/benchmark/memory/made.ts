/** Ways to make many instances, and to keep them. */
import { answer } from "../contestants/work.ts"

/** Makes an instance for each name and keeps them in `kept`. */
export type Make = (names: Iterable<string>, kept: Array<unknown>) => unknown

/** What a contestant makes in each case. */
export type Cases = { readonly [name: string]: Make }

export const each =
  (make: () => unknown): Make =>
  (names, kept) => {
    for (const _ of names) kept.push(make())
  }

export const never = (): Promise<number> => new Promise(() => {})
export const callsBefore = 10

/** An operation that has made some calls and has one in flight. `call` takes what is guarded. */
export const busy =
  (make: () => (action: () => Promise<number>) => Promise<unknown>): Make =>
  async (names, kept) => {
    for (const _ of names) {
      const call = make()
      for (let calls = 0; calls < callsBefore; calls++) await call(answer)
      kept.push(call, call(never))
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
