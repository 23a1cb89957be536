/**
 * The key, for as long as the tab is open. It is in `sessionStorage`, which no
 * other tab and no other origin reads, and goes nowhere but into a header.
 */
import { signal } from "@preact/signals"
import * as client from "../api/client.ts"
import { ClockOffset } from "../model/clockOffset.ts"
import { Live } from "./live.ts"

const name = "breakwater-key"

/** The API stands beside the page. */
const root = location.pathname.replace(/\/dashboard(\/.*)?$/, "/resilience")

export interface Session {
  readonly client: client.Client
  readonly live: Live
}

export const session = signal<Session | undefined>(undefined)

/** Why the page asks for a key again. */
export const farewell = signal<string | undefined>(undefined)

const storage = {
  get: (): string | undefined => {
    try {
      return sessionStorage.getItem(name) ?? undefined
    } catch {
      // Storage is switched off: the key lasts until the page is left.
      return undefined
    }
  },
  set: (key: string | undefined): void => {
    try {
      if (key === undefined) sessionStorage.removeItem(name)
      else sessionStorage.setItem(name, key)
    } catch {
      // See above.
    }
  }
}

const begin = (key: string): Session => {
  const clock = new ClockOffset()
  const made = client.make({ root, key, clock, now: Date.now })
  const live = new Live(made, clock, signOut)
  return { client: made, live }
}

/** Tries a key. `undefined`: it was accepted. */
export const signIn = async (key: string): Promise<client.Problem | undefined> => {
  const next = begin(key)
  const reply = await next.client.get("/health", {})
  if (!reply.ok) return reply.problem
  storage.set(key)
  farewell.value = undefined
  next.live.start()
  session.value = next
  return undefined
}

export const signOut = (why?: string): void => {
  storage.set(undefined)
  session.value?.live.stop()
  session.value = undefined
  farewell.value = why
}

/** Goes on with the key of this tab, after a reload of the page. */
export const resume = (): void => {
  const key = storage.get()
  if (key === undefined) return
  const next = begin(key)
  next.live.start()
  session.value = next
}
