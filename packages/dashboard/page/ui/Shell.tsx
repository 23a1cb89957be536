/**
 * What is around every page: where to go, how the connection is, what was missed.
 */
import type { ComponentChildren } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { countdown, duration } from "../model/format.ts"
import { now } from "../store/clock.ts"
import type { Live } from "../store/live.ts"
import { hrefOf, titles } from "../model/routes.ts"
import { route } from "../store/route.ts"
import { signOut } from "../store/session.ts"
import { theme, themes } from "../store/theme.ts"
import { dismiss, toasts } from "../store/toasts.ts"
import { Brand, Icon } from "./icons.tsx"
import { useSession } from "./useLive.ts"

const pages = ["overview", "timeline", "alerts", "configuration", "benchmarks", "environment"] as const

/** Where six of them share the width of a phone. */
const shortTitles: Readonly<Partial<Record<(typeof pages)[number], string>>> = {
  configuration: "Config",
  benchmarks: "Bench",
  environment: "Env"
}

const Nav = ({ live }: { readonly live: Live }) => {
  const current = route.value.page === "operation" ? "overview" : route.value.page
  const alerts =
    live.alerts.value?.filter(({ level, status }) => status === "active" && (level === "critical" || level === "error"))
      .length ?? 0
  return (
    <nav class="nav" aria-label="Pages">
      <ul>
        {pages.map((page) => (
          <li key={page}>
            <a href={hrefOf({ page })} aria-current={current === page ? "page" : undefined}>
              <Icon name={page} />
              <span class="nav-title">{titles[page]}</span>
              <span class="nav-short" aria-hidden="true">
                {shortTitles[page] ?? titles[page]}
              </span>
              {page === "alerts" && alerts > 0 ? (
                <span class="count">
                  {alerts > 99 ? "99+" : alerts}
                  <span class="hidden"> open</span>
                </span>
              ) : null}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  )
}

const labels = { Connecting: "Connecting", Live: "Live", Lost: "Lost" } as const

const Status = ({ live }: { readonly live: Live }) => {
  const { _tag } = live.connection.value
  return (
    <span class={`status status-${_tag.toLowerCase()}`} data-connection={_tag}>
      <span class="status-dot" aria-hidden="true" />
      {labels[_tag]}
    </span>
  )
}

const ThemeButton = () => {
  const next = themes[(themes.indexOf(theme.value) + 1) % themes.length]!
  return (
    <button
      type="button"
      class="icon-button"
      aria-label={`Theme: ${theme.value}. Change to ${next}.`}
      title={`Theme: ${theme.value}`}
      onClick={() => (theme.value = next)}
    >
      <Icon name={theme.value} />
    </button>
  )
}

const LostBanner = ({ live }: { readonly live: Live }) => {
  const connection = live.connection.value
  if (connection._tag !== "Lost") return null
  const at = now.value + (live.now - Date.now())
  return (
    <div class="banner bad" role="alert">
      <Icon name="alerts" />
      <span class="banner-text">
        <strong>No connection.</strong> {connection.why} What you see is {duration(Math.max(0, at - connection.since))}{" "}
        old.
      </span>
      <span class="banner-aside" aria-hidden="true">
        {connection.retryAt > at ? `next try in ${countdown(connection.retryAt - at)}` : "trying…"}
      </span>
      <button type="button" class="button small" onClick={live.refresh}>
        Try now
      </button>
    </div>
  )
}

const MissedBanner = ({ live }: { readonly live: Live }) => {
  const missed = live.missed.value
  if (missed === undefined || live.connection.value._tag === "Lost") return null
  return (
    <div class="banner" role="status">
      <Icon name="check" />
      <span class="banner-text">
        <strong>Connected again</strong> after {duration(missed.to - missed.from)}. {missed.text}
      </span>
      {missed.howMany === 0 ? null : (
        <a class="button small" href={hrefOf({ page: "timeline" })} onClick={() => (live.missed.value = undefined)}>
          Show
        </a>
      )}
      <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => (live.missed.value = undefined)}>
        <Icon name="close" size={16} />
      </button>
    </div>
  )
}

const Toasts = () => (
  <div class="toasts" role="status" aria-live="polite">
    {toasts.value.map((toast) => (
      <div key={toast.id} class={`toast ${toast.tone}`}>
        <Icon name={toast.tone === "good" ? "check" : "alerts"} />
        <span class="banner-text">{toast.text}</span>
        {toast.undo === undefined ? null : (
          <button
            type="button"
            class="button small"
            onClick={() => {
              dismiss(toast.id)
              toast.undo?.run()
            }}
          >
            <Icon name="undo" size={14} />
            {toast.undo.label}
          </button>
        )}
        <button type="button" class="icon-button" aria-label="Dismiss" onClick={() => dismiss(toast.id)}>
          <Icon name="close" size={16} />
        </button>
      </div>
    ))}
  </div>
)

export const Shell = ({ children }: { readonly children: ComponentChildren }) => {
  const { live } = useSession()
  const main = useRef<HTMLElement>(null)
  const at = route.value
  const where = at.page === "operation" ? at.name : titles[at.page]
  useEffect(() => {
    document.title = `${where} · Breakwater`
    main.current?.scrollTo(0, 0)
  }, [where])
  return (
    <div class="shell">
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault()
          main.current?.focus()
        }}
      >
        Skip to the page
      </a>
      <header class="bar">
        <a class="brand" href={hrefOf({ page: "overview" })}>
          <Brand />
          <span>Breakwater</span>
        </a>
        <Nav live={live} />
        <div class="bar-end">
          <Status live={live} />
          <ThemeButton />
          <button type="button" class="icon-button" aria-label="Sign out" title="Sign out" onClick={() => signOut()}>
            <Icon name="out" />
          </button>
        </div>
      </header>
      <div class="body">
        <LostBanner live={live} />
        <MissedBanner live={live} />
        <main id="main" class="main" ref={main} tabIndex={-1}>
          <div class="page">{children}</div>
        </main>
      </div>
      <Toasts />
      <div class="hidden" role="log" aria-live="polite">
        {live.spoken.value}
      </div>
    </div>
  )
}
