/**
 * Short messages about what was just done, some with a way back.
 */
import { signal } from "@preact/signals"

export interface Toast {
  readonly id: number
  readonly tone: "good" | "bad"
  readonly text: string
  readonly undo?: { readonly label: string; readonly run: () => void } | undefined
}

export const toasts = signal<ReadonlyArray<Toast>>([])

const maxShown = 4
let newest = 0

export const dismiss = (id: number): void => {
  toasts.value = toasts.value.filter((toast) => toast.id !== id)
}

export const show = (toast: Omit<Toast, "id">): void => {
  const id = ++newest
  toasts.value = [...toasts.value, { ...toast, id }].slice(-maxShown)
  // Who wants to undo needs time to see what happened.
  setTimeout(() => dismiss(id), toast.undo === undefined ? 6_000 : 30_000)
}
