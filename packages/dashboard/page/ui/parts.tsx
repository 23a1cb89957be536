/**
 * The small parts that every page is made of.
 */
import type { ComponentChildren } from "preact"
import { useEffect, useRef } from "preact/hooks"
import type { Gauge } from "../model/gauges.ts"
import { plural } from "../model/format.ts"
import { Icon } from "./icons.tsx"

const maxBars = 20

/** The heading takes the focus when the page changes, so that a screen reader says where it is. */
export const PageTitle = ({
  children,
  aside,
  lead
}: {
  readonly children: ComponentChildren
  readonly aside?: ComponentChildren
  readonly lead?: ComponentChildren
}) => {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    if (document.activeElement === document.body || document.activeElement?.closest("nav") !== null) {
      heading.current?.focus({ preventScroll: true })
    }
  }, [])
  return (
    <header class="page-title">
      <div>
        <h1 ref={heading} tabIndex={-1}>
          {children}
        </h1>
        {lead === undefined ? null : <p class="lead">{lead}</p>}
      </div>
      {aside === undefined ? null : <div class="page-aside">{aside}</div>}
    </header>
  )
}

export const Card = ({
  aside,
  children,
  title,
  class: name = ""
}: {
  readonly title: string
  readonly aside?: ComponentChildren
  readonly children: ComponentChildren
  readonly class?: string
}) => (
  <section class={`card ${name}`} aria-label={title}>
    <header class="card-head">
      <h2>{title}</h2>
      {aside === undefined ? null : <div class="card-aside">{aside}</div>}
    </header>
    {children}
  </section>
)

export const Empty = ({ children, title }: { readonly title: string; readonly children?: ComponentChildren }) => (
  <div class="empty">
    <p class="empty-title">{title}</p>
    {children === undefined ? null : <p>{children}</p>}
  </div>
)

export const Loading = ({ what }: { readonly what: string }) => (
  <div class="loading" role="status">
    <span class="skeleton" aria-hidden="true" />
    <span class="skeleton short" aria-hidden="true" />
    <span class="hidden">Loading {what}</span>
  </div>
)

export const Trouble = ({ onRetry, text }: { readonly text: string; readonly onRetry?: (() => void) | undefined }) => (
  <div class="trouble" role="alert">
    <Icon name="alerts" />
    <span>{text}</span>
    {onRetry === undefined ? null : (
      <button type="button" class="button small" onClick={onRetry}>
        Try again
      </button>
    )}
  </div>
)

export const Metric = ({
  hint,
  label,
  tone,
  unit,
  value
}: {
  readonly label: string
  readonly value: string
  readonly unit?: string
  readonly tone?: string | undefined
  readonly hint?: string
}) => (
  <div class="metric" title={hint}>
    <dt>{label}</dt>
    <dd class={tone === undefined ? "" : `tone-${tone}`}>
      {value}
      {unit === undefined ? null : <span class="unit">{unit}</span>}
    </dd>
  </div>
)

/** A bar that says in text what it shows: the label, the numbers, and what else there is to say. */
export const GaugeBar = ({ gauge, left }: { readonly gauge: Gauge; readonly left?: string | undefined }) => {
  const { id, label, mark, notes, share, slots, text, tone } = gauge
  const said = [left === undefined ? text : `paused, ${left} left`, ...notes]
  const lit = slots === undefined ? 0 : Math.round(share * slots)
  return (
    <div class={`gauge gauge-${left === undefined ? tone : "held"}`} data-gauge={id}>
      <div class="gauge-head">
        <span class="gauge-label">{label}</span>
        <span class="gauge-text">{said[0]}</span>
      </div>
      <div
        class={slots === undefined ? "gauge-bar" : "gauge-bar slots"}
        role="meter"
        aria-label={label}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={Math.round(share * 100)}
        aria-valuetext={said.join(", ")}
      >
        {slots === undefined ? (
          <>
            <span class="gauge-fill" style={{ width: `${share * 100}%` }} />
            {mark === undefined || mark >= 1 ? null : <span class="gauge-mark" style={{ left: `${mark * 100}%` }} />}
          </>
        ) : (
          Array.from({ length: slots }, (_, index) => <span key={index} class={index < lit ? "slot lit" : "slot"} />)
        )}
      </div>
      {said.length === 1 ? null : <div class="gauge-notes">{said.slice(1).join(" · ")}</div>}
    </div>
  )
}

/** Failures in a row as bars, out of those that open the circuit: of one that is open, those that opened it. */
export const Window = ({
  filled,
  isOpen = false,
  size
}: {
  readonly filled: number
  readonly size: number
  readonly isOpen?: boolean
}) => {
  const bars = Math.min(size, maxBars)
  const lit = size === 0 ? 0 : Math.round((filled / size) * bars)
  return (
    <span
      class="window"
      role="img"
      aria-label={isOpen ? openedAfter(filled) : `${filled} of ${size} failures that open the circuit`}
    >
      {Array.from({ length: bars }, (_, index) => (
        <span key={index} class={index < lit ? (isOpen || lit === bars ? "slot full" : "slot lit") : "slot"} />
      ))}
    </span>
  )
}

/** One is enough, if it was a probe. */
export const openedAfter = (failures: number): string =>
  failures === 0 ? "opened" : `opened after ${plural(failures, "failure")}`

const line = (values: ReadonlyArray<number>, width: number, height: number, top: number): string => {
  const step = width / Math.max(1, values.length - 1)
  return values
    .map((value, index) => {
      const y = height - 1 - (top === 0 ? 0 : (value / top) * (height - 3))
      return `${index === 0 ? "M" : "L"}${(index * step).toFixed(1)} ${y.toFixed(1)}`
    })
    .join("")
}

/** Calls by the second as an area, and those among them that did not succeed. */
export const Sparkline = ({
  bad,
  height = 34,
  values,
  width = 240
}: {
  readonly values: ReadonlyArray<number>
  readonly bad: ReadonlyArray<number>
  readonly width?: number
  readonly height?: number
}) => {
  // Calls end later than they arrive: of those that end, more may fail in a second than arrive in it.
  const top = Math.max(...values, ...bad, 0)
  if (values.length < 2)
    return <svg class="spark" viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true" />
  const all = line(values, width, height, top)
  const failing = bad.some((value) => value > 0)
  const close = `L${width} ${height}L0 ${height}Z`
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
      focusable="false"
    >
      <path class="spark-area" d={all + close} />
      <path class="spark-line" d={all} />
      {failing ? <path class="spark-bad" d={line(bad, width, height, top) + close} /> : null}
    </svg>
  )
}
