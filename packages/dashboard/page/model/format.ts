/**
 * Numbers and times as short text. English digits and units, whatever the
 * browser's language is: `Intl` throws on languages that it does not know, and
 * columns have to align.
 */

/** What stands where there is nothing to say. */
export const none = "–"

const trim = (text: string): string => (text.includes(".") ? text.replace(/\.?0+$/, "") : text)

/** Three digits that matter: `0.42`, `7.1`, `38`, `1.2k`. */
export const count = (value: number): string => {
  if (!Number.isFinite(value)) return none
  const size = Math.abs(value)
  if (size >= 999_500) return `${trim((value / 1_000_000).toFixed(size >= 9_950_000 ? 0 : 1))}M`
  if (size >= 9_995) return `${trim((value / 1_000).toFixed(size >= 99_950 ? 0 : 1))}k`
  if (size >= 1_000) return `${trim((value / 1_000).toFixed(2))}k`
  return trim(value.toFixed(size >= 99.95 || Number.isInteger(value) ? 0 : size >= 9.995 ? 1 : 2))
}

/** A share of 0 to 1. All is 100 %, and almost all is not. */
export const percent = (share: number | undefined): string => {
  if (share === undefined || !Number.isFinite(share)) return none
  if (share === 1 || share === 0) return `${share * 100}%`
  const value = Math.min(99.99, Math.max(0.01, share * 100))
  return `${trim(value.toFixed(value > 99.9 || value < 0.1 ? 2 : 1))}%`
}

/** Milliseconds, in the unit that fits: `5.2 µs`, `68 ms`, `1.1 s`. */
export const millis = (value: number | undefined): string => {
  if (value === undefined || !Number.isFinite(value)) return none
  if (value >= 59_950) return duration(value)
  if (value >= 999.5) return `${trim((value / 1000).toFixed(value >= 9_950 ? 1 : 2))} s`
  if (value > 0 && value < 0.9995) return `${trim((value * 1000).toFixed(value >= 0.00995 ? 0 : 1))} µs`
  return `${trim(value.toFixed(value >= 9.95 ? 0 : 1))} ms`
}

/** A span of time: `50 ms`, `2.5 s`, `12 s`, `4 min 3 s`, `2 h 5 min`, `3 d 4 h`. */
export const duration = (value: number): string => {
  if (!Number.isFinite(value)) return none
  if (value > 0 && value < 999.5) return `${Math.max(1, Math.round(value))} ms`
  if (value < 9_950) return `${trim((value / 1000).toFixed(1))} s`
  const all = Math.round(value / 1000)
  const units = [
    [86_400, "d"],
    [3_600, "h"],
    [60, "min"],
    [1, "s"]
  ] as const
  const first = units.findIndex(([size]) => all >= size)
  const [size, unit] = units[first] ?? [1, "s"]
  const next = units[first + 1]
  const whole = Math.floor(all / size)
  const rest = next === undefined ? 0 : Math.floor((all % size) / next[0])
  return rest === 0 || next === undefined ? `${whole} ${unit}` : `${whole} ${unit} ${rest} ${next[1]}`
}

/** Time that is left, for a display that counts: `0:04`, `12:30`, `1:02:03`. */
export const countdown = (left: number): string => {
  const all = Math.max(0, Math.ceil(left / 1000))
  const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor((all % 3600) / 60), all % 60]
  const two = (value: number): string => String(value).padStart(2, "0")
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`
}

/** The time of the day, in the zone of the browser. */
export const clock = (at: number): string => {
  const date = new Date(at)
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, "0")).join(":")
}

/** The day as well, unless it is today. */
export const moment = (at: number, now: number): string => {
  const [date, today] = [new Date(at), new Date(now)]
  if (date.toDateString() === today.toDateString()) return clock(at)
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0"))
  return `${day.join("-")} ${clock(at)}`
}

/** How long ago: `now`, `5 s ago`, `3 min ago`. */
export const ago = (at: number, now: number): string => {
  const passed = now - at
  return passed < 1_500
    ? "now"
    : `${duration(passed < 60_000 ? Math.floor(passed / 1000) * 1000 : Math.floor(passed / 60_000) * 60_000)} ago`
}

/** Any JSON value in one line. */
export const value = (json: unknown): string => {
  if (json === null || json === undefined) return "none"
  if (typeof json === "string") return json
  if (typeof json === "object") {
    const entries = Object.entries(json)
    return entries.length === 0 ? "none" : entries.map(([name, value_]) => `${name}: ${value(value_)}`).join(", ")
  }
  return typeof json === "number" || typeof json === "boolean" ? String(json) : typeof json
}

/** A field of JSON in words: `max_attempts` is `max attempts`. */
export const words = (name: string): string => name.replaceAll("_", " ")

/** A word for one or for many. */
export const plural = (howMany: number, one: string, many = `${one}s`): string =>
  `${howMany} ${howMany === 1 ? one : many}`
