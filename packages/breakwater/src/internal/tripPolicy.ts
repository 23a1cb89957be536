/**
 * Decides when a closed circuit opens. Pure.
 *
 * Failures in a row are one number, and the circuit that counts them needs no
 * clock. Every other policy looks at a window (`tripWindow.ts`). A window is
 * whatever a policy has to remember; it starts as `empty`.
 */
import * as tripWindow from "./tripWindow.ts"

/** @internal */
export type TripPolicy = Consecutive | tripWindow.Windowed

/** @internal */
export interface Consecutive {
  readonly _tag: "Consecutive"
  readonly failures: number
}

/** Failures in a row, or a window. @internal */
export type Window = number | tripWindow.Window

/** @internal */
export const empty: Window = 0

/** A window that another policy began counts for nothing. @internal */
export const observe = (_policy: Consecutive, window: Window, failed: boolean): number =>
  failed ? (typeof window === "number" ? window + 1 : 1) : 0

/** @internal */
export const trips = (policy: Consecutive, window: number): boolean => window >= policy.failures

/** What speaks against the dependency, as one number. @internal */
export const counted = (window: Window, now: number): number =>
  typeof window === "number" ? window : tripWindow.counted(window, now)

/** Whether nothing in it speaks against the dependency. @internal */
export const isClean = (window: Window, now: number): boolean =>
  typeof window === "number" ? window === 0 : tripWindow.isClean(window, now)
