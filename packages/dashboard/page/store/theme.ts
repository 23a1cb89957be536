/**
 * Light, dark, or what the system says. The choice is kept; it is no secret.
 */
import { effect, signal } from "@preact/signals"

export const themes = ["system", "light", "dark"] as const

export type Theme = (typeof themes)[number]

const name = "breakwater-theme"

const kept = (): Theme => {
  try {
    return themes.find((theme) => theme === localStorage.getItem(name)) ?? "system"
  } catch {
    return "system"
  }
}

export const theme = signal<Theme>(kept())

const dark = matchMedia("(prefers-color-scheme: dark)")

/** What is shown. Charts are drawn again when it changes: a canvas knows no style sheet. */
export const scheme = signal<"light" | "dark">("light")

const update = (): void => {
  scheme.value = theme.value === "system" ? (dark.matches ? "dark" : "light") : theme.value
  document.documentElement.dataset["theme"] = scheme.value
}

/** Shows the choice, and keeps it, from now on. */
export const follow = (): void => {
  dark.addEventListener("change", update)
  effect(() => {
    update()
    try {
      localStorage.setItem(name, theme.value)
    } catch {
      // Storage is switched off: the choice lasts until the page is left.
    }
  })
}
