/**
 * Icons as paths: a font might not have the characters.
 */
import type { State } from "../model/states.ts"
import { factsOf } from "../model/states.ts"

const paths = {
  overview: "M4 4h7v7H4zM13 4h7v4h-7zM13 10h7v10h-7zM4 13h7v7H4z",
  timeline: "M5 6h14M5 12h14M5 18h14M8 4v4M15 10v4M10 16v4",
  alerts: "M12 4l9 16H3zM12 10v4M12 17v.5",
  configuration: "M4 7h10M18 7h2M4 17h4M12 17h8M16 5v4M10 15v4",
  benchmarks: "M4 19a8 8 0 1 1 16 0M12 19l5-7",
  environment: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM3 12h18M12 3c3 3 3 15 0 18M12 3c-3 3-3 15 0 18",
  search: "M10.5 5a5.5 5.5 0 1 0 0 11 5.5 5.5 0 0 0 0-11zM15 15l5 5",
  back: "M14 6l-6 6 6 6",
  close: "M6 6l12 12M18 6L6 18",
  out: "M10 5H5v14h5M14 8l4 4-4 4M18 12H9",
  light: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M19 5l-2 2M7 17l-2 2",
  dark: "M19 14A8 8 0 0 1 10 5a8 8 0 1 0 9 9z",
  system: "M4 5h16v11H4zM9 20h6M12 16v4",
  arrow: "M5 12h13M13 7l5 5-5 5",
  check: "M5 13l4 4L19 7",
  undo: "M8 6L4 10l4 4M4 10h10a5 5 0 0 1 0 10h-3"
} as const

export type IconName = keyof typeof paths

export const Icon = ({ name, size = 18 }: { readonly name: IconName; readonly size?: number }) => (
  <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path
      d={paths[name]}
      fill="none"
      stroke="currentColor"
      stroke-width="1.8"
      stroke-linecap="round"
      stroke-linejoin="round"
    />
  </svg>
)

/** Each state has a shape of its own, for who does not see the colours. */
const Shape = ({ state }: { readonly state: State }) => {
  switch (state) {
    case "closed":
      return (
        <>
          <circle cx="8" cy="8" r="6.5" fill="currentColor" />
          <path
            d="M5 8.2l2.1 2.1L11 6.2"
            fill="none"
            stroke="var(--surface)"
            stroke-width="1.7"
            stroke-linecap="round"
            stroke-linejoin="round"
          />
        </>
      )
    case "open":
      return (
        <>
          <path d="M5.2 1.5h5.6l3.7 3.7v5.6l-3.7 3.7H5.2l-3.7-3.7V5.2z" fill="currentColor" />
          <path d="M5.5 5.5l5 5M10.5 5.5l-5 5" stroke="var(--surface)" stroke-width="1.7" stroke-linecap="round" />
        </>
      )
    case "half_open":
      return (
        <>
          <circle cx="8" cy="8" r="5.8" fill="none" stroke="currentColor" stroke-width="1.6" />
          <path d="M8 2.2a5.8 5.8 0 0 1 0 11.6z" fill="currentColor" />
        </>
      )
    case "isolated":
      return (
        <>
          <rect x="2.5" y="7" width="11" height="7.5" rx="1.5" fill="currentColor" />
          <path d="M4.8 7V5.2a3.2 3.2 0 0 1 6.4 0V7" fill="none" stroke="currentColor" stroke-width="1.7" />
        </>
      )
    case "disabled":
      return (
        <path
          d="M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM3.6 12.4l8.8-8.8"
          fill="none"
          stroke="currentColor"
          stroke-width="1.7"
        />
      )
    case "metrics_only":
      return (
        <path d="M2.5 14V9M6.2 14V4M9.8 14V7M13.5 14V2" stroke="currentColor" stroke-width="2" stroke-linecap="round" />
      )
    default:
      return <path d="M3 8h10" stroke="currentColor" stroke-width="2" stroke-linecap="round" />
  }
}

export const StateIcon = ({ size = 16, state }: { readonly state: State; readonly size?: number }) => (
  <svg
    class={`state-icon tone-${factsOf(state).tone}`}
    width={size}
    height={size}
    viewBox="0 0 16 16"
    aria-hidden="true"
    focusable="false"
  >
    <Shape state={state} />
  </svg>
)

export const StateBadge = ({ note, state }: { readonly state: State; readonly note?: string | undefined }) => (
  <span class={`badge tone-${factsOf(state).tone}`}>
    <StateIcon state={state} size={13} />
    <span>{factsOf(state).label}</span>
    {note === undefined ? null : <span class="badge-note">{note}</span>}
  </span>
)

export const Brand = ({ size = 28 }: { readonly size?: number }) => (
  <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden="true" focusable="false">
    <rect width="32" height="32" rx="7" fill="var(--brand)" />
    <path
      d="M5 11c2.6 0 2.6 2.6 5.2 2.6s2.6-2.6 5.2-2.6M5 18.5c2.6 0 2.6 2.6 5.2 2.6s2.6-2.6 5.2-2.6"
      fill="none"
      stroke="#fff"
      stroke-width="2.4"
      stroke-linecap="round"
    />
    <rect x="20" y="6.5" width="5.5" height="19" rx="1.8" fill="#fff" />
  </svg>
)
