/**
 * The time, for what counts: twice a second while somebody looks.
 */
import { signal } from "@preact/signals"

export const now = signal(Date.now())

setInterval(() => {
  if (!document.hidden) now.value = Date.now()
}, 500)
